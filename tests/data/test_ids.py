"""Ids by position and positions by id, through any changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._rows import SMALL, Rows
from coldstart.data.cells import Cells
from coldstart.data.ids import Ids, sorted_positions


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), steps=st.lists(st.sampled_from([0, 1, 7, 2 * SMALL]), min_size=1, max_size=8))
def test_any_sequence_of_changes_equals_that_of_a_list(seed, steps):
    rng, ids, plain, before = np.random.default_rng(seed), Ids.of(range(9)), list(range(9)), []
    for size in steps:
        before.append((ids, plain))
        if rng.integers(2):
            absent = np.setdiff1d(np.arange(4 * SMALL), plain)  # ids that were taken out come back
            new = rng.permutation(absent)[:size].tolist()
            ids, plain = ids.extended(new), plain + new
        else:
            kept = np.sort(rng.permutation(len(plain))[: max(1, len(plain) - size)])
            ids, plain = ids.taken(kept), [plain[at] for at in kept]
    for actual, expected in [*before, (ids, plain)]:
        assert actual.whole == tuple(actual) == tuple(expected)
        assert len(actual) == len(expected)
        where = {one: at for at, one in enumerate(expected)}
        looked_up = rng.integers(4 * SMALL, size=50).tolist()
        assert [actual.find(one) for one in looked_up] == [where.get(one) for one in looked_up]
        some = rng.integers(len(expected), size=5)
        assert actual.at(some) == tuple(expected[at] for at in some)


def test_membership_is_by_id():
    ids = Ids.of(["a", 1, (2, 3)])
    assert all(one in ids for one in ("a", 1, (2, 3)))
    assert "1" not in ids
    with pytest.raises(TypeError, match="unhashable"):
        _ = [1] in ids


def test_new_ids_do_not_copy_the_table_of_the_others():
    many = Ids.of(range(10 * SMALL))
    assert 5 in many
    more = many.extended(["x"]).extended(["y"])
    assert more._tables[0] is many._tables[0]
    assert (more.find("y"), many.find("y")) == (10 * SMALL + 1, None)
    assert more.taken(np.arange(3, len(more)))._tables is more._tables


def test_packed_ids_are_found():
    ids = Ids(Rows.of(Cells.of(["a", "b"])))
    assert (ids.find("b"), ids.whole, ids.at(np.array([0]))) == (1, ("a", "b"), ("a",))


def test_an_empty_sequence_of_ids():
    nobody = Ids.of(())
    assert (len(nobody), nobody.whole, nobody.find("a")) == (0, (), None)
    assert nobody.extended(["a"]).find("a") == 0


def test_an_id_that_is_removed_and_added_again_is_at_its_new_position():
    many = Ids.of(range(10 * SMALL))
    fewer = many.taken(np.delete(np.arange(10 * SMALL), 5))
    again = fewer.extended([5])
    assert len(again._tables) == 2
    assert (many.find(5), fewer.find(5), again.find(5), again.find(6)) == (5, None, 10 * SMALL - 1, 5)


@given(st.permutations(["b", "a", 2, 10, ("x", 1), None, 1.5, True]))
def test_sorted_positions_do_not_depend_on_the_order_of_the_ids(ids):
    in_order = [ids[at] for at in sorted_positions(ids)]
    assert in_order == [None, True, 1.5, 10, 2, "a", "b", ("x", 1)]
