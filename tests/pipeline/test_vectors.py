"""Item vectors in an index while items come, change and go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart._rows import SMALL, Rows
from coldstart.base import Features, Users
from coldstart.index.exact import ExactIndex
from coldstart.pipeline.vectors import ItemVectors
from coldstart.rankers.cosine import CosineRanker

DIM, MANY = 8, 4 * SMALL


class Plain:
    """An index that cannot be extended, and counts how often it is built."""

    def __init__(self):
        self.built = 0

    def build(self, vectors, /):
        self.built, self.exact = self.built + 1, ExactIndex().build(vectors)
        return self

    def search(self, *args):
        return self.exact.search(*args)


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def some_users(n_items, seed=0):
    rng = np.random.default_rng(seed)
    history, disliked = (
        csr_array((np.ones(6, np.float32), (np.repeat(range(3), 2), rng.permutation(n_items)[:6])), shape=(3, n_items))
        for _ in range(2)
    )
    query, none = Features(vectors(3, seed)), Features(np.zeros((3, DIM), np.float32))
    return Users(history, disliked, query, none)


RANKER = CosineRanker(center=False).fit(Features(vectors(5)))


def same(items, expected, seed):
    """The same lists as those of vectors put in anew."""
    n = len(expected)
    rng, users, fresh = np.random.default_rng(seed), some_users(n, seed), ItemVectors.of(expected, ExactIndex())
    excluded = [rng.permutation(n)[:5] for _ in range(3)]
    for allow in (None, np.sort(rng.permutation(n)[: n // 2])):
        ours, theirs = (one.search(RANKER, users, 9, allow, excluded) for one in (items, fresh))
        for row in range(3):
            assert ours.positions[row].tolist() == theirs.positions[row].tolist()
            np.testing.assert_allclose(ours.scores[row], theirs.scores[row], rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.sampled_from([1, 30, SMALL]), min_size=1, max_size=4))
@pytest.mark.parametrize("index", [ExactIndex(), Plain()], ids=["extended", "built anew"])
def test_after_any_changes_hits_are_those_of_a_fresh_index(index, seed, sizes):
    rng, expected = np.random.default_rng(seed), vectors(MANY, seed)
    items = ItemVectors.of(expected, index)
    for at, size in enumerate(sizes):
        new, action = vectors(size, seed + at + 1), rng.integers(3)
        if action == 0:
            items, expected = items.edited(Rows.extended, new, index), np.vstack([expected, new])
        elif action == 1:
            rows, expected = rng.permutation(len(expected))[:size], expected.copy()
            items = items.edited(lambda old, fresh, rows=rows: old.replaced(rows, fresh), new, index)
            expected[rows] = new
        else:
            kept = np.sort(rng.permutation(len(expected))[size:])
            items, expected = items.edited(lambda old, _, kept=kept: old.taken(kept), new[:0], index), expected[kept]
        same(items, expected, seed)
    same(items.compacted(index), expected, seed)
    assert items.compacted(index).rows.order is None


def test_nothing_is_built_or_copied_for_a_few_changes():
    first = vectors(MANY)
    items = ItemVectors.of(first, ExactIndex())
    added = items.edited(Rows.extended, vectors(3, 1), ExactIndex())
    fewer = added.edited(lambda old, _: old.taken(np.arange(4, MANY + 3)), first[:0], ExactIndex())
    for one in (added, fewer):
        assert one.rows.blocks[0] is first
        assert one.index._rows.blocks[0] is first
    assert fewer.index is added.index


def test_the_caller_s_index_stays_empty():
    index = Plain()
    items = ItemVectors.of(vectors(5), index)
    assert index.built == 0
    assert items.edited(Rows.extended, vectors(2), index).index.built == 1
    assert items.index.built == 1


def test_equal_scores_are_in_order_of_position_after_an_update_too():
    items = ItemVectors.of(np.ones((MANY, DIM), np.float32), ExactIndex())
    rows = np.array([2, 0])
    items = items.edited(lambda old, new: old.replaced(rows, new), np.ones((2, DIM), np.float32), ExactIndex())
    no_items = csr_array((1, MANY), dtype=np.float32)
    ones = Features(np.ones((1, DIM), np.float32))
    hits = items.search(
        RANKER, Users(no_items, no_items, ones, ones), 4, np.array([0, 1, 2, 5]), [np.zeros(0, np.int64)]
    )
    assert hits.positions[0].tolist() == [0, 1, 2, 5]


def test_replaced_and_removed_vectors_are_not_found():
    first, index = vectors(MANY), ExactIndex()
    items = ItemVectors.of(first, index)
    rows, kept = np.array([3, 4]), np.delete(np.arange(MANY), 7)
    items = items.edited(lambda old, new: old.replaced(rows, new), -first[rows], index)
    items = items.edited(lambda old, _: old.taken(kept), first[:0], index)
    assert items.rows.dead.tolist() == [3, 4, 7]
    no_items = csr_array((3, MANY - 1), dtype=np.float32)
    users = Users(no_items, no_items, Features(first[[3, 4, 7]]), Features(np.zeros((3, DIM), np.float32)))
    hits = items.search(RANKER, users, 3, None, [np.zeros(0, np.int64)] * 3)
    expected = (first[[3, 4, 7]] / np.linalg.norm(first[[3, 4, 7]], axis=1, keepdims=True)) @ first.T
    expected[:, [3, 4, 7]] *= -1
    for row in range(3):
        best = np.argsort(-expected[row])[:3]
        assert hits.positions[row].tolist() == [at - (at > 7) for at in best]


def test_equal_scores_are_ranked_by_position_for_any_k():
    same = np.repeat(vectors(1), 130, axis=0)
    edited = ItemVectors.of(same, ExactIndex()).edited(
        lambda old, new: old.replaced(np.array([0, 3]), new), same[:2], ExactIndex()
    )
    assert edited.rows.order is not None
    no_items = csr_array((1, 130), dtype=np.float32)
    users = Users(no_items, no_items, Features(same[:1]), Features(np.zeros((1, DIM), np.float32)))
    ranker = CosineRanker(center=False).fit(Features(same))
    for k in (1, 2, 5, 130):
        hits = edited.search(ranker, users, k, None, [np.zeros(0, dtype=np.int64)])
        assert [list(row) for row in hits.positions] == [list(range(k))]


def test_what_a_given_index_was_built_over_is_not_used():
    theirs = ExactIndex("int8").build(vectors(600, seed=3))
    items = ItemVectors.of(vectors(200), theirs).edited(
        lambda old, _: old.taken(np.arange(5, 200)), vectors(200)[:0], theirs
    )
    assert items.rows.order is None or len(items.compacted(theirs).index.vectors_) == 195
    assert items.compacted(theirs).index.longest_ == pytest.approx(np.linalg.norm(vectors(200)[5:], axis=1).max())
