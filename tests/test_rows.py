"""Rows are immutable and share memory with the tables they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._rows import SMALL, SPARE, Rows

KINDS = {
    "cells": (lambda values: tuple(f"cell {value}" for value in values), list),
    "vectors": (lambda values: np.array([[v, -v] for v in values], np.float32).reshape(-1, 2), np.ndarray.tolist),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6), sizes=st.lists(st.sampled_from([0, 1, 3, 40, SMALL, 3 * SMALL]), min_size=1, max_size=6)
)
@pytest.mark.parametrize("name", KINDS)
def test_any_sequence_of_changes_equals_that_of_a_list_and_leaves_the_old_rows_unchanged(name, seed, sizes):
    make, listed = KINDS[name]
    rng, next_value = np.random.default_rng(seed), 5
    rows, plain, before = Rows.of(make(range(5))), list(range(5)), []
    for size in sizes:
        before.append((rows, plain))
        values = list(range(next_value, next_value + size))
        next_value += size
        action = rng.integers(3)
        if action == 0:
            rows, plain = rows.extended(make(values)), plain + values
        elif action == 1:
            at = rng.permutation(len(plain))[:size]
            rows = rows.replaced(at, make(values[: len(at)]))
            plain = list(plain)
            for row, value in zip(at, values, strict=False):
                plain[row] = value
        else:
            kept = np.sort(rng.permutation(len(plain))[: max(1, len(plain) - size)])
            rows, plain = rows.taken(kept), [plain[row] for row in kept]
    for actual, expected in [*before, (rows, plain)]:
        assert len(actual) == len(expected)
        assert listed(actual.whole()) == listed(make(expected))
        some = rng.integers(len(expected), size=7)
        assert listed(actual.take(some)) == listed(make([expected[at] for at in some]))
        assert listed(make([expected[some[0]]]))[0] == (
            actual[int(some[0])] if name == "cells" else actual[int(some[0])].tolist()
        )
        assert (actual.stored - len(actual)) * SPARE <= len(actual)
        assert len(actual.blocks) <= 2 + np.log2(actual.stored)
        places = np.arange(actual.stored) if actual.order is None else actual.order
        assert actual.positions[places].tolist() == list(range(len(actual)))
        assert actual.dead.tolist() == np.setdiff1d(np.arange(actual.stored), places).tolist()


def test_few_added_or_replaced_rows_share_the_large_block():
    many = np.zeros((10 * SMALL, 2), np.float32)
    more = Rows.of(many).extended(np.ones((1, 2), np.float32)).extended(np.ones((1, 2), np.float32))
    assert more.blocks[0] is many
    assert [len(block) for block in more.blocks] == [10 * SMALL, 2]
    assert more.replaced(np.array([5]), np.ones((1, 2), np.float32)).blocks[0] is many
    assert more.taken(np.arange(5, len(more))).blocks is more.blocks


def test_whole_returns_a_single_block_without_a_copy():
    block = np.eye(3)
    assert Rows.of(block).whole() is block


def test_adding_or_replacing_no_rows_returns_the_same_object(kind):
    rows = Rows.of(kind[0](range(3)))
    assert rows.extended(kind[0]([])) is rows
    assert rows.replaced(np.zeros(0, np.int64), kind[0]([])) is rows


def test_a_row_out_of_range_is_an_index_error(kind):
    with pytest.raises(IndexError):
        Rows.of(kind[0](range(3))).take(np.array([3]))


def test_a_row_is_copied_about_log2_n_times_when_rows_are_added_one_by_one():
    copied, rows = 0, Rows.of(np.zeros((1, 1), np.float32))
    for _ in range(8 * SMALL):
        longer = rows.extended(np.zeros((1, 1), np.float32))
        old = {id(block) for block in rows.blocks}
        copied += sum(len(block) for block in longer.blocks if id(block) not in old and len(block) > SMALL)
        rows = longer
    assert copied < 8 * SMALL * np.log2(8 * SMALL)
