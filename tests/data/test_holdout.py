import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.data import holdout
from coldstart.data.holdout import cut, found, some_of
from coldstart.metrics.accuracy import ndcg


def drawn(seed=0, shape=(60, 40)):
    return csr_array((np.random.default_rng(seed).random(shape) < 0.2).astype(np.float32))


def rows(clicks):
    """Users as sets of items, in order."""
    return [tuple(np.flatnonzero(row)) for row in clicks.toarray()]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20))
def test_nothing_is_lost_nothing_is_twice_and_hidden_items_have_no_click(seed, n_users, n_items):
    clicks = drawn(seed, (n_users, n_items))
    fold = cut(clicks, np.random.default_rng(seed))
    train, held = fold.train.toarray(), fold.held.toarray()
    assert not train[:, fold.cold].any()
    assert not (train * held).any()
    everyone = rows(clicks)
    assert sorted(rows(csr_array(train + held)) + rows(fold.strangers)) == sorted(everyone)
    staying = iter(everyone)
    assert all(row in staying for row in rows(csr_array(train + held)))  # in the order they had


def test_the_shares_are_those_that_are_told():
    clicks = drawn(shape=(1000, 200))
    fold = cut(clicks, np.random.default_rng(0))
    assert fold.cold.sum() == round(holdout.COLD * 200)
    assert fold.strangers.shape == (100, 200)
    assert fold.held[:, ~fold.cold].nnz / fold.train.nnz == pytest.approx(0.1 / 0.9, rel=0.1)


def test_items_that_nobody_clicked_are_not_spent_on_the_fold():
    clicks = csr_array(np.hstack([np.ones((20, 20)), np.zeros((20, 80))]))
    assert np.flatnonzero(cut(clicks, np.random.default_rng(0)).cold).max() < 20


def test_of_many_users_only_some_are_taken_away():
    clicks = csr_array(np.ones((6_000, 2), dtype=np.float32))
    assert cut(clicks, np.random.default_rng(0)).strangers.shape[0] == holdout.MOST_STRANGERS == 500


def test_the_same_rng_hides_the_same_and_another_something_else():
    one, again, other = (cut(drawn(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    for name in ("train", "held", "strangers"):
        assert (getattr(one, name) != getattr(again, name)).nnz == 0
    assert np.array_equal(one.cold, again.cold)
    assert not np.array_equal(one.cold, other.cold)


def test_the_clicks_given_are_left_as_they_were():
    clicks = drawn()
    before = clicks.toarray()
    cut(clicks, np.random.default_rng(0))
    assert np.array_equal(clicks.toarray(), before)


def test_one_user_with_one_click_stays():
    fold = cut(csr_array(np.ones((1, 1), dtype=np.float32)), np.random.default_rng(0))
    assert fold.train.nnz + fold.held.nnz == 1
    assert fold.strangers.shape == (0, 1)
    assert not fold.cold.any()


def test_users_count_the_same_however_many_clicks_are_wanted():
    scores = np.tile(-np.arange(60, dtype=np.float32), (3, 1))
    wanted = np.zeros((3, 60))
    wanted[0, 0], wanted[1, -5:], wanted[2, -40:] = 1.0, 1.0, 1.0  # found first; not found; those of places 21 to 60
    nobody = csr_array(wanted.shape)
    assert found(scores, nobody, csr_array(wanted)) == pytest.approx(1 / 3)


def test_what_is_found_is_the_ndcg_of_the_unseen_best_first():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20, 50)).astype(np.float32)
    history, wanted = rng.random((20, 50)) < 0.2, rng.random((20, 50)) < 0.1
    wanted &= ~history
    wanted[:, 0], history[:, 0] = True, False
    ranked = [[item for item in np.argsort(-row) if not seen[item]] for row, seen in zip(scores, history, strict=True)]
    expected = ndcg(ranked, [np.flatnonzero(row).tolist() for row in wanted], 20).mean()
    assert found(scores, csr_array(history), csr_array(wanted)) == pytest.approx(expected)


def test_fewer_items_than_a_list_has_places_are_ranked_all():
    scores, wanted = np.array([[3.0, 2.0, 1.0]], np.float32), csr_array(np.array([[0, 0, 1]]))
    assert found(scores, csr_array(np.array([[1, 0, 0]])), wanted) == pytest.approx(1 / np.log2(3))


def test_the_scores_given_are_left_as_they_were():
    scores = np.ones((1, 3), dtype=np.float32)
    found(scores, csr_array(np.array([[1, 0, 0]])), csr_array(np.array([[0, 0, 1]])))
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_some_of_many_are_in_order_and_always_the_same():
    rows = np.arange(100, 150)
    some = some_of(rows, 20)
    assert len(some) == 20
    assert np.isin(some, rows).all()
    assert np.all(np.diff(some) > 0)
    assert np.array_equal(some, some_of(rows, 20))
    assert np.array_equal(some_of(rows, 50), rows)
