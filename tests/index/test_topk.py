from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError
from coldstart.index import topk
from coldstart.index.topk import as_positions, top_k


def ranked(scores, k, allow=None, exclude=None):
    """Top-k of a whole matrix of scores, as the library calls it."""
    columns = slice(None) if allow is None else allow
    return top_k(lambda block: scores[block][:, columns].copy(), *scores.shape, k, allow, exclude)


def plainly_sorted(line, k, allow, exclude):
    """The definition: best first, equal scores by position, no excluded ones, no -inf."""
    possible = [at for at in range(len(line)) if (allow is None or at in allow) and at not in exclude]
    possible = [at for at in possible if line[at] > -np.inf]
    return sorted(possible, key=lambda at: (-line[at], at))[:k]


@st.composite
def searches(draw):
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    values = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf])
    scores = np.array(
        draw(st.lists(st.lists(values, min_size=n, max_size=n), min_size=m, max_size=m)), dtype=np.float32
    )
    some = st.sets(st.integers(0, n - 1)).map(sorted).map(lambda at: np.array(at, dtype=np.int64))
    allow = draw(st.none() | some)
    exclude = draw(st.none() | st.lists(some, min_size=m, max_size=m))
    return scores, draw(st.integers(1, n)), allow, exclude, draw(st.sampled_from([1, 40, 10_000]))


@settings(deadline=None, max_examples=300)
@given(searches())
def test_top_k_is_a_stable_sort_by_score_then_position(search):
    scores, k, allow, exclude, block_bytes = search
    with mock.patch.object(topk, "BLOCK_BYTES", block_bytes):
        positions, actual = ranked(scores, k, allow, exclude)
    for row, line in enumerate(scores):
        expected = plainly_sorted(line, k, allow, set() if exclude is None else set(exclude[row]))
        assert list(positions[row]) == expected
        assert list(actual[row]) == list(line[expected])


def test_full_rows_are_rectangular_arrays():
    positions, scores = ranked(np.array([[1, 3, 2], [3, 2, 1]], dtype=np.float32), 2)
    assert positions.tolist() == [[1, 2], [0, 1]]
    assert scores.tolist() == [[3.0, 2.0], [3.0, 2.0]]


def test_short_rows_come_as_lists_of_arrays():
    positions, scores = ranked(np.eye(3, dtype=np.float32), 2, exclude=[np.array([0, 1]), np.array([]), np.array([2])])
    assert isinstance(positions, list)
    assert [row.tolist() for row in positions] == [[2], [1, 0], [0, 1]]
    assert [row.tolist() for row in scores] == [[0.0], [1.0, 0.0], [0.0, 0.0]]


def test_an_excluded_item_is_not_returned_even_when_nothing_else_is_left():
    positions, _ = ranked(np.ones((1, 3), dtype=np.float32), 3, exclude=[np.arange(3)])
    assert [len(row) for row in positions] == [0]


def test_allowing_nothing_returns_nothing():
    positions, scores = ranked(np.ones((2, 3), dtype=np.float32), 3, np.array([], dtype=np.int64), [np.array([1])] * 2)
    assert [len(row) for row in [*positions, *scores]] == [0, 0, 0, 0]


def test_excluding_what_is_not_allowed_anyway_changes_nothing():
    line = np.arange(5, dtype=np.float32)[None]
    positions, _ = ranked(line, 5, np.array([1, 3]), [np.array([0, 4, 2])])
    assert [row.tolist() for row in positions] == [[3, 1]]


def test_no_queries_give_no_rows():
    positions, scores = ranked(np.zeros((0, 3), dtype=np.float32), 2)
    assert (len(positions), len(scores)) == (0, 0)


def test_a_catalogue_of_one_item():
    assert ranked(np.array([[-5.0]], dtype=np.float32), 1).positions.tolist() == [[0]]


def test_scores_are_asked_for_in_blocks_that_cover_every_query_once():
    blocks = []

    def scores_of(block):
        blocks.append(block)
        return np.zeros((block.stop - block.start, 4), dtype=np.float32)

    with mock.patch.object(topk, "BLOCK_BYTES", 32):
        top_k(scores_of, 5, 4, 1)
    assert blocks == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize("k", [0, -1, 4, True, float("nan")])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidInputError, match="`k` must be (a whole number )?between 1 and 3; got "):
        ranked(np.eye(3, dtype=np.float32), k)


def test_another_number_of_exclusions_is_refused():
    with pytest.raises(InvalidInputError, match="`exclude` must have one entry per query, 3; got 2"):
        ranked(np.eye(3, dtype=np.float32), 1, exclude=[np.array([0])] * 2)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(InvalidInputError, match="`scores` must be numbers; got NaN"):
        ranked(np.array([[1.0, np.nan]], dtype=np.float32), 1)


@pytest.mark.parametrize(
    "values", [[2, 0, 2], np.array([0, 2]), np.array([True, False, True]), [True, False, True], (2, 0)], ids=repr
)
def test_positions_and_masks_become_ascending_distinct_positions(values):
    positions = as_positions(values, 3, "allow")
    assert (positions.tolist(), positions.dtype) == ([0, 2], np.int64)


def test_an_empty_list_or_mask_becomes_no_positions():
    assert as_positions([], 3, "allow").tolist() == []
    assert as_positions(np.zeros(3, dtype=bool), 3, "allow").tolist() == []


@pytest.mark.parametrize("mask", [[True], [True] * 4, [[True] * 3]], ids=repr)
def test_a_mask_of_another_length_is_refused(mask):
    with pytest.raises(InvalidInputError, match=r"`allow` as a mask must have shape \(3,\); got \("):
        as_positions(mask, 3, "allow")


@pytest.mark.parametrize(("values", "got"), [([0, 3], "0 to 3"), ([-1, 2], "-1 to 2"), ([7], "7 to 7")])
def test_positions_out_of_range_are_refused(values, got):
    with pytest.raises(InvalidInputError, match=f"`exclude` must hold positions from 0 to 2; got {got}"):
        as_positions(values, 3, "exclude")


@pytest.mark.parametrize("k", [2.5, "2", None], ids=repr)
def test_a_k_that_is_no_whole_number_is_refused(k):
    with pytest.raises(InvalidInputError, match="`k` must be"):
        ranked(np.eye(3, dtype=np.float32), k)


def test_positions_that_are_no_whole_numbers_are_refused():
    with pytest.raises(InvalidInputError, match="`allow` must hold positions"):
        as_positions([0.5, 1.7], 3, "allow")


def test_several_threads_return_what_one_returns():
    scores = np.random.default_rng(0).standard_normal((50, 40)).astype(np.float32)
    exclude = [np.arange(row % 7) for row in range(50)]
    with mock.patch.object(topk, "BLOCK_BYTES", 4 * 40 * 3):  # three queries a block
        one, many = (
            top_k(lambda block: scores[block].copy(), 50, 40, 5, exclude=exclude, workers=workers) for workers in (1, 4)
        )
    assert np.array_equal(one.positions, many.positions)
    assert np.array_equal(one.scores, many.scores)
    assert not any(set(row) & set(out) for row, out in zip(many.positions.tolist(), exclude, strict=True))
