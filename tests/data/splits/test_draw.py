import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.splits._draw import (
    DROPPED,
    REVEALED,
    TEST,
    TRAIN,
    VALIDATION,
    assemble,
    by_pair,
    chosen_ids,
    first_of_each_pair,
    pair_of,
    random_rank_within,
    rank_within,
    shares,
    without_new_users,
)
from coldstart.errors import InvalidInputError

several = settings(deadline=None, max_examples=100)
small = st.integers(0, 4)
rows = st.lists(st.tuples(small, small, small), max_size=25)
share = st.floats(0, 1)


def clicks(table, times=True):
    columns = dict(zip("uit", zip(*table, strict=True), strict=True)) if table else {"u": [], "i": [], "t": []}
    return Interactions.from_frame(columns, user="u", item="i", time="t" if times else None)


def rng(seed=0):
    return np.random.default_rng(seed)


@several
@given(st.integers(0, 60), share, share)
def test_shares_hold_exactly(n, validation, test):
    assume(validation + test < 1)
    parts = shares(n, validation, test, rng())
    n_test = (parts == TEST).sum()
    assert len(parts) == n
    assert n_test == round(test * n)
    assert (parts == VALIDATION).sum() == min(round(validation * n), n - n_test)
    assert set(parts.tolist()) <= {TRAIN, VALIDATION, TEST}


def test_out_of_makes_shares_those_of_a_larger_set():
    parts = shares(10, 0.1, 0.2, rng(), out_of=20)
    assert [(parts == part).sum() for part in (TRAIN, VALIDATION, TEST)] == [4, 2, 4]


def test_the_draw_depends_on_the_rng_only():
    one, same, other = (shares(50, 0.2, 0.2, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_all_are_drawn_about_equally_often():
    drawn = np.mean([shares(10, 0.0, 0.3, rng(seed)) == TEST for seed in range(400)], axis=0)
    assert np.abs(drawn - 0.3).max() < 0.1


@pytest.mark.parametrize("name", ["validation", "test"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "0.1", None, True])
def test_a_share_is_from_0_to_1(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be between 0 and 1; got {value!r}"):
        shares(9, **{"validation": 0.1, "test": 0.1, name: value}, rng=rng())


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.0, 1.0), (1.0, 0.0), (0.7, 0.6)])
def test_shares_must_leave_a_training_part(validation, test):
    expected = f"`validation` and `test` must be below 1 together; got {validation} and {test}"
    with pytest.raises(InvalidInputError, match=expected):
        shares(9, validation, test, rng())


@several
@given(rows)
def test_pair_of_is_equal_for_clicks_of_one_pair_only(table):
    pairs, numbers = [row[:2] for row in table], pair_of(clicks(table)).tolist()
    assert len(set(zip(pairs, numbers, strict=True))) == len(set(pairs)) == len(set(numbers))
    assert set(numbers) == set(range(len(set(pairs))))


@several
@given(rows, st.integers(0, 9))
def test_repeated_clicks_go_to_one_part_and_count_once(table, seed):
    parts = by_pair(clicks(table), 0.2, 0.3, rng(seed))
    part_of = dict(zip((row[:2] for row in table), parts.tolist(), strict=True))
    assert [part_of[row[:2]] for row in table] == parts.tolist()
    assert list(part_of.values()).count(TEST) == round(0.3 * len(part_of))


@several
@given(rows, st.booleans())
def test_the_first_click_of_a_pair_is_the_earliest_and_at_equal_times_the_first_row(table, times):
    first = {}
    for at, (user, item, time) in enumerate(table):
        key = (time if times else 0, at)
        first[user, item] = min(first.get((user, item), key), key)
    assert first_of_each_pair(clicks(table, times)).tolist() == sorted(at for _, at in first.values())


@several
@given(st.lists(st.tuples(small, small)))
def test_ranks_within_an_owner_are_by_ascending_key(pairs):
    owner, key = (np.array([pair[at] for pair in pairs], dtype=np.int64) for at in (0, 1))
    rank = [sum((k, b) < (key[a], a) and o == owner[a] for b, (o, k) in enumerate(pairs)) for a in range(len(pairs))]
    assert rank_within(owner, key).tolist() == rank


@several
@given(rows, st.integers(0, 9))
def test_random_ranks_within_an_owner_are_a_permutation_and_equal_for_repeated_clicks(table, seed):
    made = clicks(table)
    pair = pair_of(made)
    order = random_rank_within(made.user_index, pair, rng(seed))
    place = dict(zip(pair.tolist(), order.tolist(), strict=True))
    assert [place[number] for number in pair.tolist()] == order.tolist()
    for user in range(len(made.users)):
        own = sorted({place[number] for number in pair[made.user_index == user].tolist()})
        assert own == list(range(len(set(pair[made.user_index == user].tolist()))))


def test_every_pair_has_rank_0_about_equally_often():
    owner, pair = np.zeros(5, dtype=np.int64), np.array([0, 0, 0, 1, 2])
    first = np.mean([random_rank_within(owner, pair, rng(seed))[[0, 3, 4]] == 0 for seed in range(600)], axis=0)
    assert np.abs(first - 1 / 3).max() < 0.07


def test_chosen_ids_are_those_where_the_mask_is_true():
    assert chosen_ids(("a", 1, ("b", 2)), np.array([True, False, True])) == {"a", ("b", 2)}


CATALOG = Catalog.from_frame({"id": [0, 1, 2, 3], "t": ["x"] * 4}, id="id", fields=["t"])
TABLE = [("u", 0, 1), ("u", 1, 2), ("v", 2, 3), ("u", 2, 4), ("w", 1, 5), ("w", 3, 6)]


def test_assemble_puts_clicks_into_their_parts():
    parts = np.array([TRAIN, TEST, TRAIN, VALIDATION, REVEALED, TEST])
    made = assemble("mine", CATALOG, clicks(TABLE), parts, cold_users={"w"}, cold_items={3})
    assert (made.name, made.catalog, made.cold_items, made.cold_users) == ("mine", CATALOG, {3}, {"w"})
    actual = [part.pairs() for part in (made.train, made.validation, made.test, made.revealed)]
    assert actual == [[("u", 0), ("v", 2)], [("u", 2)], [("u", 1), ("w", 3)], [("w", 1)]]
    assert made.test.time.tolist() == [2.0, 6.0]


def test_empty_parts_are_none_and_dropped_clicks_are_in_no_part():
    parts = np.array([TRAIN, TEST, TRAIN, DROPPED, DROPPED, DROPPED])
    made = assemble("mine", CATALOG, clicks(TABLE), parts)
    assert (made.validation, made.revealed) == (None, None)
    assert (made.train.users, made.test.items) == (("u", "v"), (1,))


def test_held_out_clicks_of_users_without_a_training_click_can_be_dropped():
    parts = np.array([TRAIN, TEST, TRAIN, VALIDATION, VALIDATION, TEST])
    known = assemble("mine", CATALOG, clicks(TABLE), without_new_users(clicks(TABLE), parts))
    assert (known.validation.pairs(), known.test.pairs()) == ([("u", 2)], [("u", 1)])
    every = assemble("mine", CATALOG, clicks(TABLE), parts)
    assert (every.validation.pairs(), every.test.pairs()) == ([("u", 2), ("w", 1)], [("u", 1), ("w", 3)])
