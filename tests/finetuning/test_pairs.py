import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.data.holdout import cut
from coldstart.finetuning.pairs import Pairs

DIM = 3


def fold_of(seed=0, shape=(30, 20), cold=0.2):
    clicks = csr_array((np.random.default_rng(seed).random(shape) < 0.2).astype(np.float32))
    return cut(clicks, np.random.default_rng(seed), cold=cold, held=0.0, strangers=0.0)


def texts_of(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def sets(rows):
    """Rows as sets of columns."""
    return [set(np.flatnonzero(row).tolist()) for row in rows.toarray()]


SMALL_FOLDS = given(st.integers(0, 2**31), st.integers(1, 25), st.integers(1, 20))


def asked(fold):
    """Who has something that was hidden, and something that was not."""
    return [at for at, (told, held) in enumerate(zip(sets(fold.train), sets(fold.held), strict=True)) if told and held]


def check_measured(found, fold):
    """What all kinds share: cold items are hidden, exactly they, and never learned from."""
    cold = set(np.flatnonzero(fold.cold).tolist())
    assert set(found.cold.tolist()) == cold
    assert sets(found.wanted) == [sets(fold.held)[at] for at in asked(fold)]
    assert all(wanted <= cold for wanted in sets(found.wanted))
    assert not any(told & cold for told in sets(found.told))
    assert not any(liked & cold for liked in sets(found.liked))
    assert not cold & set(found.items.tolist())


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_a_history_is_all_that_a_user_liked_and_each_of_it_is_to_be_found(seed, n_users, n_items):
    fold = fold_of(seed, (n_users, n_items))
    found = Pairs.of_histories(texts_of(n_items), fold)
    train = sets(fold.train)
    expected = {(at, item) for at, row in enumerate(train) if len(row) > 1 for item in row}
    pairs = list(zip(found.rows.tolist(), found.items.tolist(), strict=True))
    assert set(pairs) == expected
    assert len(pairs) == len(expected)
    assert sets(found.liked) == sets(found.known) == train
    assert sets(found.told) == [train[at] for at in asked(fold)]
    check_measured(found, fold)


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_a_partner_is_another_item_of_the_same_user(seed, n_users, n_items):
    fold = fold_of(seed, (n_users, n_items))
    found = Pairs.of_pairs(texts_of(n_items), fold, np.random.default_rng(seed))
    train, known = sets(fold.train), sets(found.known)
    targets = sorted((tuple(sorted(row)), item) for row in train if len(row) > 1 for item in row)
    assert (
        sorted((tuple(sorted(known[row])), item) for row, item in zip(found.rows, found.items, strict=True)) == targets
    )
    assert found.rows.tolist() == list(range(len(targets)))
    for pair, of_user, target in zip(sets(found.liked), known, found.items, strict=True):
        assert len(pair) == 2
        assert target in pair
        assert pair <= of_user
    assert set(np.unique(found.liked.data)) <= {1.0}
    check_measured(found, fold)


def test_partners_are_drawn_evenly():
    clicks = csr_array(np.ones((4_000, 4), dtype=np.float32))
    fold = cut(clicks, np.random.default_rng(0), cold=0.0, held=0.0, strangers=0.0)
    found = Pairs.of_pairs(texts_of(4), fold, np.random.default_rng(0))
    partners = found.liked.toarray()
    partners[np.arange(len(found.items)), found.items] = 0
    for item in range(4):
        share = partners[found.items == item].mean(axis=0)
        np.testing.assert_allclose(np.delete(share, item), 1 / 3, atol=0.04)


def test_partners_are_the_same_under_the_same_seed_and_others_under_another():
    one, same, other = (Pairs.of_pairs(texts_of(20), fold_of(), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert sets(one.liked) == sets(same.liked)
    assert sets(one.liked) != sets(other.liked)


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_of_a_query_nothing_is_told_but_itself_and_what_was_found_with_it_is_no_negative(seed, n_queries, n_items):
    fold = fold_of(seed, (n_queries, n_items))
    texts, queries = texts_of(n_items), texts_of(n_queries, seed=1)
    found = Pairs.of_queries(texts, queries, fold)
    np.testing.assert_array_equal(found.texts, np.vstack([texts, queries]))
    train = sets(fold.train)
    pairs = [(at, item) for at, row in enumerate(train) for item in row]
    liked, known = sets(found.liked), sets(found.known)
    said = []
    for row, item in zip(found.rows, found.items, strict=True):
        (query,) = liked[row] - {item}
        said.append((query - n_items, int(item)))
        assert liked[row] == {query, item}
        assert known[row] == train[query - n_items] | {query}
    assert sorted(said) == sorted(pairs)
    assert sets(found.told) == [{n_items + at} for at in asked(fold)]
    assert found.told.shape[1] == found.liked.shape[1] == n_items + n_queries
    assert found.wanted.shape[1] == n_items
    check_measured(found, fold)


def test_a_query_with_one_item_is_learned_from():
    fold = cut(csr_array(np.eye(3, dtype=np.float32)), np.random.default_rng(0), cold=0.0, held=0.0, strangers=0.0)
    assert len(Pairs.of_queries(texts_of(3), texts_of(3), fold).rows) == 3
    assert len(Pairs.of_histories(texts_of(3), fold).rows) == 0
    assert len(Pairs.of_pairs(texts_of(3), fold, np.random.default_rng(0)).rows) == 0


@pytest.mark.parametrize("kind", ["histories", "pairs"])
def test_where_nothing_is_hidden_nothing_is_measured(kind):
    fold = fold_of(cold=0.0)
    more = [np.random.default_rng(0)] if kind == "pairs" else []
    found = getattr(Pairs, f"of_{kind}")(texts_of(20), fold, *more)
    assert len(found.cold) == found.wanted.shape[0] == found.told.shape[0] == 0
