import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.data import holdout
from coldstart.data.holdout import cut, mean_ndcg, ndcg_per_user, sample_rows
from coldstart.metrics.accuracy import ndcg


def drawn(seed=0, shape=(60, 40)):
    return csr_array((np.random.default_rng(seed).random(shape) < 0.2).astype(np.float32))


def rows(clicks):
    """Users as sets of items, in order."""
    return [tuple(np.flatnonzero(row)) for row in clicks.toarray()]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20))
def test_every_click_is_in_exactly_one_part_and_pseudo_cold_items_have_no_training_click(seed, n_users, n_items):
    clicks = drawn(seed, (n_users, n_items))
    fold = cut(clicks, np.random.default_rng(seed))
    train, held = fold.train.toarray(), fold.held.toarray()
    assert not train[:, fold.cold].any()
    assert not (train * held).any()
    everyone = rows(clicks)
    assert sorted(rows(csr_array(train + held)) + rows(fold.new_users)) == sorted(everyone)
    staying = iter(everyone)
    assert all(row in staying for row in rows(csr_array(train + held)))  # in the order they had


def test_default_shares_of_cold_items_new_users_and_held_out_clicks():
    clicks = drawn(shape=(1000, 200))
    fold = cut(clicks, np.random.default_rng(0))
    assert fold.cold.sum() == round(holdout.COLD * 200)
    assert fold.new_users.shape == (100, 200)
    assert fold.held[:, ~fold.cold].nnz / fold.train.nnz == pytest.approx(0.1 / 0.9, rel=0.1)


def test_items_without_clicks_are_not_drawn_as_pseudo_cold():
    clicks = csr_array(np.hstack([np.ones((20, 20)), np.zeros((20, 80))]))
    assert np.flatnonzero(cut(clicks, np.random.default_rng(0)).cold).max() < 20


def test_at_most_500_users_are_taken_out():
    clicks = csr_array(np.ones((6_000, 2), dtype=np.float32))
    assert cut(clicks, np.random.default_rng(0)).new_users.shape[0] == holdout.MAX_NEW_USERS == 500


def test_the_same_seed_gives_the_same_fold_and_another_seed_another_one():
    one, again, other = (cut(drawn(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    for name in ("train", "held", "new_users"):
        assert (getattr(one, name) != getattr(again, name)).nnz == 0
    assert np.array_equal(one.cold, again.cold)
    assert not np.array_equal(one.cold, other.cold)


def test_cut_does_not_change_the_clicks():
    clicks = drawn()
    before = clicks.toarray()
    cut(clicks, np.random.default_rng(0))
    assert np.array_equal(clicks.toarray(), before)


def test_a_single_user_is_not_taken_out():
    fold = cut(csr_array(np.ones((1, 1), dtype=np.float32)), np.random.default_rng(0))
    assert fold.train.nnz + fold.held.nnz == 1
    assert fold.new_users.shape == (0, 1)
    assert not fold.cold.any()


def test_every_user_has_the_same_weight_however_many_items_are_relevant():
    scores = np.tile(-np.arange(60, dtype=np.float32), (3, 1))
    relevant = np.zeros((3, 60))
    relevant[0, 0], relevant[1, -5:], relevant[2, -40:] = 1.0, 1.0, 1.0  # ranked first; ranked last; ranked 21 to 60
    nobody = csr_array(relevant.shape)
    assert mean_ndcg(scores, nobody, csr_array(relevant)) == pytest.approx(1 / 3)


def test_mean_ndcg_is_that_of_the_ranking_without_the_history():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20, 50)).astype(np.float32)
    history, relevant = rng.random((20, 50)) < 0.2, rng.random((20, 50)) < 0.1
    relevant &= ~history
    relevant[:, 0], history[:, 0] = True, False
    ranked = [[item for item in np.argsort(-row) if not seen[item]] for row, seen in zip(scores, history, strict=True)]
    expected = ndcg(ranked, [np.flatnonzero(row).tolist() for row in relevant], 20).mean()
    assert mean_ndcg(scores, csr_array(history), csr_array(relevant)) == pytest.approx(expected)


def test_users_without_relevant_items_have_no_ndcg_and_do_not_count():
    scores, nothing = np.array([[2.0, 1.0], [2.0, 1.0]], np.float32), csr_array((2, 2))
    relevant = csr_array(np.array([[1, 0], [0, 0]]))
    np.testing.assert_array_equal(ndcg_per_user(scores, nothing, relevant), [1.0, np.nan])
    assert mean_ndcg(scores, nothing, relevant) == 1.0


def test_a_catalogue_shorter_than_k_is_ranked_whole():
    scores, relevant = np.array([[3.0, 2.0, 1.0]], np.float32), csr_array(np.array([[0, 0, 1]]))
    assert mean_ndcg(scores, csr_array(np.array([[1, 0, 0]])), relevant) == pytest.approx(1 / np.log2(3))


def test_mean_ndcg_does_not_change_the_scores():
    scores = np.ones((1, 3), dtype=np.float32)
    mean_ndcg(scores, csr_array(np.array([[1, 0, 0]])), csr_array(np.array([[0, 0, 1]])))
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_sampled_rows_are_ascending_and_the_same_on_every_call():
    rows = np.arange(100, 150)
    sample = sample_rows(rows, 20)
    assert len(sample) == 20
    assert np.isin(sample, rows).all()
    assert np.all(np.diff(sample) > 0)
    assert np.array_equal(sample, sample_rows(rows, 20))
    assert np.array_equal(sample_rows(rows, 50), rows)
