import numpy as np
import pytest

from coldstart.errors import InvalidInputError
from coldstart.metrics._lists import first_k, flat, hits, mean_per_row

ROWS = [[3, 1, 2], [2], []]


@pytest.mark.parametrize(
    "ranked",
    [
        [[3, 1, 2], [2, 0, 1]],
        [(3, 1, 2), (2, 0, 1)],
        np.array([[3, 1, 2], [2, 0, 1]]),
        list(np.array([[3, 1, 2], [2, 0, 1]])),
    ],
    ids=["lists", "tuples", "array", "list of arrays"],
)
def test_every_kind_of_rows_is_cut_to_the_first_k(ranked):
    assert first_k(ranked, 2) == [[3, 1], [2, 0]]
    assert hits(ranked, [{1}, {9}], 2)[0].tolist() == [[False, True], [False, False]]
    assert flat(ranked, 4, 2)[1].tolist() == [3, 1, 2, 0]


def test_rows_shorter_than_k_stay_short():
    assert first_k(ROWS, 2) == [[3, 1], [2], []]


def test_an_array_without_rows_has_no_rows():
    assert first_k(np.zeros((0, 5)), 3) == []


@pytest.mark.parametrize(
    ("k", "word"), [(0, ""), (-1, ""), (10**9 + 1, ""), (True, ""), ("2", ""), (2.0, "a whole number ")]
)
def test_k_must_be_a_whole_number_from_1(k, word):
    with pytest.raises(InvalidInputError, match=f"`k` must be {word}between 1 and 1,000,000,000; got {k!r}"):
        first_k(ROWS, k)


def test_an_item_twice_in_a_row_is_named_with_its_row():
    with pytest.raises(InvalidInputError, match=r"`ranked` must hold an item once per row; row 1 is \['b', 'b'\]"):
        first_k([["a", "b"], ["b", "b"]], 2)


def test_an_item_again_after_the_first_k_does_not_matter():
    assert first_k([["a", "b", "a"]], 2) == [["a", "b"]]


def test_hits_are_where_relevant_items_are_and_short_rows_end_in_misses():
    actual, total = hits(ROWS, [{1, 2, 9}, {2}, {5}], 3)
    assert actual.tolist() == [[False, True, True], [True, False, False], [False, False, False]]
    assert total.tolist() == [3, 1, 1]


@pytest.mark.parametrize(
    "relevant", [["a", "b", "a"], ("b", "a"), {"a": 1, "b": 1}, np.array(["b", "a", "a"])], ids=repr
)
def test_relevant_items_may_be_any_collection_and_count_once(relevant):
    actual, total = hits([["a", "x"]], [relevant], 2)
    assert (actual.tolist(), total.tolist()) == ([[True, False]], [2])


def test_the_number_1_and_the_text_1_are_two_items():
    assert hits([[1, "1"]], [{"1"}], 2)[0].tolist() == [[False, True]]


@pytest.mark.parametrize("relevant", [[], [{1}] * 2, [{1}] * 4], ids=len)
def test_there_must_be_one_set_of_relevant_items_per_row(relevant):
    expected = f"`relevant` must have one entry per row of `ranked`, 3; got {len(relevant)}"
    with pytest.raises(InvalidInputError, match=expected):
        hits(ROWS, relevant, 2)


def test_flat_returns_user_and_position_of_every_item():
    users, items = flat(ROWS, 4, 2)
    assert (users.tolist(), items.tolist()) == ([0, 0, 1], [3, 1, 2])


@pytest.mark.parametrize("ranked", [[], [[], []]], ids=repr)
def test_flat_of_empty_lists_is_empty(ranked):
    users, items = flat(ranked, 1, 5)
    assert (len(users), len(items)) == (0, 0)


@pytest.mark.parametrize(("ranked", "actual"), [([[0, 4]], "0 to 4"), ([[-1], [2]], "-1 to 2")])
def test_a_position_outside_the_catalogue_is_refused(ranked, actual):
    with pytest.raises(InvalidInputError, match=f"`ranked` must hold positions from 0 to 3; got {actual}"):
        flat(ranked, 4, 2)


@pytest.mark.parametrize("item", ["a", "1", 0.7, float("nan"), None], ids=repr)
def test_ids_in_place_of_positions_are_refused(item):
    with pytest.raises(InvalidInputError, match="`ranked` must hold positions"):
        flat([[item]], 4, 1)


def test_means_are_by_user_and_nan_for_users_without_values():
    means = mean_per_row(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 4)
    assert means.dtype == np.float64
    assert np.array_equal(means, [2.0, np.nan, 5.0, np.nan], equal_nan=True)
