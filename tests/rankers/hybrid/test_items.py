from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.rankers.hybrid.item_space import ItemSpace
from coldstart.rankers.hybrid.items import Items

WORDS = ["sun", "moon", "star", "rose", "lily", "beat", "song"]


class Noting(ItemSpace):
    """Notes how many rows are placed by each call."""

    def __init__(self, words=0.3):
        super().__init__(words)
        self.placed, self.tasted = [], []

    def item_vectors(self, features):
        self.placed.append(len(features))
        return super().item_vectors(features)

    def tastes(self, features):
        self.tasted.append(len(features))
        return super().tastes(features)


def texts(rng, n):
    return [" ".join(rng.choice(WORDS, 3)) for _ in range(n)]


@pytest.fixture(scope="module")
def encoder():
    return LexicalEncoder().fit(texts(np.random.default_rng(0), 40))


def some(encoder, n, seed=0, words=True):
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((n, 5)).astype(np.float32)
    return Features(dense, encoder.encode(texts(rng, n)) if words else None)


def joined(*parts):
    return Features(
        np.vstack([part.dense for part in parts]),
        None if parts[0].sparse is None else csr_array(np.vstack([part.sparse.toarray() for part in parts])),
    )


def edited(features, at, other):
    """The same items, those at ``at`` with texts of others; the first by meaning alone, the last by words alone."""
    dense, sparse = features.dense.copy(), features.sparse
    dense[at[:-1]] = other.dense[at[:-1]]
    if sparse is not None:
        rows = sparse.toarray()
        rows[at[1:]] = other.sparse.toarray()[at[1:]]
        sparse = csr_array(rows)
    return Features(dense, sparse)


@pytest.fixture(params=[True, False], ids=["words", "no words"])
def features(request, encoder):
    return some(encoder, 20, words=request.param)


@pytest.fixture
def space(features):
    space = Noting().fit(features)
    space.placed.clear(), space.tasted.clear()
    return space


def asked(dim=5):
    silent = csr_array((2, 1), dtype=np.float32)
    rows = np.random.default_rng(9).standard_normal((2, dim)).astype(np.float32)
    return Users(silent, silent, Features(rows), Features(np.zeros_like(rows)))


def check_equal(items, space, features):
    """They are placed as if there had been no change."""
    found, expected = items.placed, Items(space, features).placed
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
    np.testing.assert_allclose(found.tastes, expected.tastes, atol=1e-6)
    one, other = (reader.read_texts(asked()) for reader in (found.reader, expected.reader))
    np.testing.assert_allclose(one.meaning, other.meaning, atol=1e-5)
    np.testing.assert_allclose(one.words, other.words, atol=1e-5)


class TestPlaced:
    def test_they_are_where_the_space_puts_them(self, space, features):
        placed = Items(space, features).placed
        np.testing.assert_array_equal(placed.vectors, space.item_vectors(features))
        np.testing.assert_array_equal(placed.tastes, space.tastes(features))

    def test_once_and_only_when_they_are_needed(self, space, features):
        items = Items(space, features)
        assert (space.placed, space.tasted) == ([], [])
        assert items.placed is items.placed
        assert (space.placed, space.tasted) == ([20], [20])


class TestMoved:
    ALL = np.arange(20)

    @pytest.fixture(params=[True, False], ids=["asked before", "not asked"])
    def items(self, request, space, features):
        items = Items(space, features)
        if request.param:
            items.placed  # noqa: B018
        space.placed.clear(), space.tasted.clear()
        return items

    def more(self, encoder, features, n, seed=1):
        return some(encoder, n, seed, features.sparse is not None)

    def test_clicks_alone_leave_everything(self, items, space, features):
        aged = replace(features, exposure=np.linspace(0, 1, 20).astype(np.float32))
        moved, changed = items.moved(aged, self.ALL)
        assert moved.features is aged
        assert not len(changed)
        assert (space.placed, space.tasted) == ([], [])
        if "placed" in vars(items):
            assert moved.placed is items.placed
            assert space.placed == []
        check_equal(moved, space, aged)

    def test_of_items_that_are_added_only_these_are_placed(self, items, space, encoder, features):
        now = joined(features, self.more(encoder, features, 3))
        moved, changed = items.moved(now, np.append(self.ALL, [-1, -1, -1]))
        assert (space.placed, space.tasted) == ([], [])
        moved.placed  # noqa: B018
        assert space.placed == space.tasted == ([3] if "placed" in vars(items) else [23])
        assert not len(changed)
        check_equal(moved, space, now)

    def test_items_that_are_left_keep_their_places(self, items, space, features):
        stay = np.array([19, 3, 5, 4, 11])
        moved, changed = items.moved(features[stay], stay)
        moved.placed  # noqa: B018
        assert space.placed == ([0] if "placed" in vars(items) else [5])
        assert not len(changed)
        check_equal(moved, space, features[stay])

    @pytest.mark.parametrize("at", [[4, 7, 9], [0, 19]])
    def test_items_whose_text_was_changed_are_told_and_placed_anew(self, items, space, encoder, features, at):
        now = edited(features, at, self.more(encoder, features, 20))
        moved, changed = items.moved(now, self.ALL)
        by_text = at if features.sparse is not None else at[:-1]
        assert changed.tolist() == by_text
        assert (space.placed, space.tasted) == ([], [])
        moved.placed  # noqa: B018
        assert space.placed == ([len(by_text)] if "placed" in vars(items) else [20])
        check_equal(moved, space, now)

    def test_texts_written_anew_that_are_the_same_are_no_change(self, items, space, features):
        same = Features(features.dense.copy(), features.sparse)
        moved, changed = items.moved(same, self.ALL)
        assert not len(changed)
        moved.placed  # noqa: B018
        assert space.placed == ([0] if "placed" in vars(items) else [20])
        check_equal(moved, space, same)

    def test_the_items_themselves_stay(self, items, space, encoder, features):
        before = Items(space, features).placed.vectors.copy()
        moved, _ = items.moved(edited(features, [4, 7], self.more(encoder, features, 20)), self.ALL)
        moved.placed  # noqa: B018
        np.testing.assert_array_equal(items.placed.vectors, before)
        assert items.features is features

    def test_all_may_go_and_others_come(self, items, space, encoder, features):
        now = self.more(encoder, features, 4)
        moved, _ = items.moved(now, np.full(4, -1))
        check_equal(moved, space, now)

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["add", "remove", "edit", "clicks", "shuffle"]), st.booleans()),
            min_size=1,
            max_size=6,
        ),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2**32 - 1),
    )
    def test_several_changes_equal_placing_all_anew(self, encoder, changes, words, placed, seed):
        """Whether or not there was a request after each."""
        rng, now = np.random.default_rng(seed), some(encoder, 12, words=words)
        space = Noting().fit(now)
        items = Items(space, now)
        if placed:
            items.placed  # noqa: B018
        anew = 0  # rows that a request has to place
        for kind, request in changes:
            n = len(now)
            origin = np.arange(n)
            if kind == "add":
                now, origin = joined(now, some(encoder, 2, int(rng.integers(99)), words)), np.append(origin, [-1, -1])
                anew += 2
            elif kind == "remove" and n > 2:
                origin = np.sort(rng.permutation(n)[: n - 2])
                now = now[origin]
            elif kind == "shuffle":
                origin = rng.permutation(n)
                now = now[origin]
            elif kind == "edit":
                now = edited(now, rng.permutation(n)[:3], some(encoder, n, int(rng.integers(99)), words))
                anew += 3
            else:
                now = replace(now, exposure=np.ones(n, dtype=np.float32))
            space.placed.clear(), space.tasted.clear()
            items, _ = items.moved(now, origin)
            assert (space.placed, space.tasted) == ([], [])
            if request:
                items.placed  # noqa: B018
                assert sum(space.placed) <= (anew if placed else len(now))
                placed, anew = True, 0
        check_equal(items, space, now)
