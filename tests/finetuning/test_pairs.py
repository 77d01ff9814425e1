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
    return cut(clicks, np.random.default_rng(seed), cold=cold, held=0.0, new_users=0.0)


def texts_of(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def sets(rows):
    """Rows as sets of columns."""
    return [set(np.flatnonzero(row).tolist()) for row in rows.toarray()]


SMALL_FOLDS = given(st.integers(0, 2**31), st.integers(1, 25), st.integers(1, 20))


def evaluation_users(fold):
    """Rows with held-out and with given clicks."""
    return [
        at for at, (given, held) in enumerate(zip(sets(fold.train), sets(fold.held), strict=True)) if given and held
    ]


def check_evaluation_part(pairs, fold):
    """For all kinds of pairs: exactly the cold items are held out, and none of them is learned from."""
    cold = set(np.flatnonzero(fold.cold).tolist())
    assert set(pairs.cold.tolist()) == cold
    assert sets(pairs.relevant) == [sets(fold.held)[at] for at in evaluation_users(fold)]
    assert all(relevant <= cold for relevant in sets(pairs.relevant))
    assert not any(given & cold for given in sets(pairs.given))
    assert not any(liked & cold for liked in sets(pairs.liked))
    assert not cold & set(pairs.items.tolist())


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_each_item_of_a_history_is_predicted_from_the_rest_of_it(seed, n_users, n_items):
    fold = fold_of(seed, (n_users, n_items))
    pairs = Pairs.of_histories(texts_of(n_items), fold)
    train = sets(fold.train)
    expected = {(at, item) for at, row in enumerate(train) if len(row) > 1 for item in row}
    listed = list(zip(pairs.rows.tolist(), pairs.items.tolist(), strict=True))
    assert set(listed) == expected
    assert len(listed) == len(expected)
    assert sets(pairs.liked) == sets(pairs.known) == train
    assert sets(pairs.given) == [train[at] for at in evaluation_users(fold)]
    check_evaluation_part(pairs, fold)


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_an_item_is_paired_with_another_item_of_the_same_user(seed, n_users, n_items):
    fold = fold_of(seed, (n_users, n_items))
    pairs = Pairs.of_pairs(texts_of(n_items), fold, np.random.default_rng(seed))
    train, known = sets(fold.train), sets(pairs.known)
    targets = sorted((tuple(sorted(row)), item) for row in train if len(row) > 1 for item in row)
    assert (
        sorted((tuple(sorted(known[row])), item) for row, item in zip(pairs.rows, pairs.items, strict=True)) == targets
    )
    assert pairs.rows.tolist() == list(range(len(targets)))
    for pair, of_user, target in zip(sets(pairs.liked), known, pairs.items, strict=True):
        assert len(pair) == 2
        assert target in pair
        assert pair <= of_user
    assert set(np.unique(pairs.liked.data)) <= {1.0}
    check_evaluation_part(pairs, fold)


def test_the_paired_item_is_drawn_uniformly():
    clicks = csr_array(np.ones((4_000, 4), dtype=np.float32))
    fold = cut(clicks, np.random.default_rng(0), cold=0.0, held=0.0, new_users=0.0)
    pairs = Pairs.of_pairs(texts_of(4), fold, np.random.default_rng(0))
    partners = pairs.liked.toarray()
    partners[np.arange(len(pairs.items)), pairs.items] = 0
    for item in range(4):
        share = partners[pairs.items == item].mean(axis=0)
        np.testing.assert_allclose(np.delete(share, item), 1 / 3, atol=0.04)


def test_the_same_seed_draws_the_same_pairs_and_another_seed_others():
    one, same, other = (Pairs.of_pairs(texts_of(20), fold_of(), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert sets(one.liked) == sets(same.liked)
    assert sets(one.liked) != sets(other.liked)


@settings(deadline=None, max_examples=40)
@SMALL_FOLDS
def test_an_item_is_predicted_from_the_query_alone_and_items_found_with_it_are_no_negatives(seed, n_queries, n_items):
    fold = fold_of(seed, (n_queries, n_items))
    texts, queries = texts_of(n_items), texts_of(n_queries, seed=1)
    pairs = Pairs.of_queries(texts, queries, fold)
    np.testing.assert_array_equal(pairs.texts, np.vstack([texts, queries]))
    train = sets(fold.train)
    expected = [(at, item) for at, row in enumerate(train) for item in row]
    liked, known = sets(pairs.liked), sets(pairs.known)
    predicted = []
    for row, item in zip(pairs.rows, pairs.items, strict=True):
        (query,) = liked[row] - {item}
        predicted.append((query - n_items, int(item)))
        assert liked[row] == {query, item}
        assert known[row] == train[query - n_items] | {query}
    assert sorted(predicted) == sorted(expected)
    assert sets(pairs.given) == [{n_items + at} for at in evaluation_users(fold)]
    assert pairs.given.shape[1] == pairs.liked.shape[1] == n_items + n_queries
    assert pairs.relevant.shape[1] == n_items
    check_evaluation_part(pairs, fold)


def test_a_query_with_one_item_is_learned_from():
    fold = cut(csr_array(np.eye(3, dtype=np.float32)), np.random.default_rng(0), cold=0.0, held=0.0, new_users=0.0)
    assert len(Pairs.of_queries(texts_of(3), texts_of(3), fold).rows) == 3
    assert len(Pairs.of_histories(texts_of(3), fold).rows) == 0
    assert len(Pairs.of_pairs(texts_of(3), fold, np.random.default_rng(0)).rows) == 0


@pytest.mark.parametrize("kind", ["histories", "pairs"])
def test_without_held_out_clicks_the_evaluation_part_is_empty(kind):
    fold = fold_of(cold=0.0)
    more = [np.random.default_rng(0)] if kind == "pairs" else []
    pairs = getattr(Pairs, f"of_{kind}")(texts_of(20), fold, *more)
    assert len(pairs.cold) == pairs.relevant.shape[0] == pairs.given.shape[0] == 0
