import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.rankers._ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers.ease import EASERanker

N_ITEMS, DIM = 12, 5
USERS = st.sampled_from([40, 12, 11, 5, 1])
"""More than items, as many, and fewer."""


def drawn(seed, n_users, n_items=N_ITEMS):
    """Clicks (m, n) and centred texts of length one (n, dim); the last item has no text."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_items, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1] = 0.0
    return (rng.random((n_users, n_items)) < 0.3).astype(np.float32), vectors.astype(np.float32)


def model(clicks, vectors, l2=10.0, prior=1.0, text_l2=2.0):
    return PriorEASE.of(Ridge.of(csr_array(clicks), l2), TextPrior.of(vectors, text_l2), prior)


def weights_of(found):
    """B: the scores of users who clicked one item each."""
    return found.scores(csr_array(np.eye(len(found.diagonal), dtype=np.float32)))


def left_out(vectors, text_l2):
    """C column by column: what the text of item j is worth of the others, in a ridge regression on all items but j.

    C_ij = f_j' A_j^-1 f_i, A_j the gram matrix without item j: the prediction for item j of a regression on the texts of
    the others, whose targets are a user's clicks.
    """
    vectors = vectors.astype(np.float64)
    c = np.zeros((len(vectors), len(vectors)))
    for j in range(len(vectors)):
        others = np.delete(np.arange(len(vectors)), j)
        gram = vectors[others].T @ vectors[others] + text_l2 * np.eye(vectors.shape[1])
        c[others, j] = vectors[others] @ np.linalg.solve(gram, vectors[j])
    return c


def textbook(clicks, vectors, l2, prior, text_l2):
    """The formula of the docstring."""
    p, c = np.linalg.inv(clicks.T.astype(float) @ clicks + l2 * np.eye(len(vectors))), left_out(vectors, text_l2)
    pull = prior * l2 * p @ c
    return np.eye(len(vectors)) + pull - p * (1.0 + np.diag(pull)) / np.diag(p)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 2.0, 100.0]))
def test_the_text_prior_is_the_regression_on_the_texts_of_all_other_items(seed, text_l2):
    vectors = drawn(seed, 1)[1]
    rows = np.random.default_rng(seed).standard_normal((4, N_ITEMS)).astype(np.float32)
    found = TextPrior.of(vectors, text_l2).times(rows)
    np.testing.assert_allclose(found, rows @ left_out(vectors, text_l2), atol=1e-4)
    assert found.dtype == np.float32


def test_no_item_is_predicted_from_its_own_text():
    assert np.abs(np.diag(TextPrior.of(drawn(0, 1)[1], 2.0).times(np.eye(N_ITEMS, dtype=np.float32)))).max() < 1e-6


def test_an_item_without_text_predicts_nothing_and_is_not_predicted():
    c = TextPrior.of(drawn(0, 1)[1], 2.0).times(np.eye(N_ITEMS, dtype=np.float32))
    assert not c[-1].any()
    assert not c[:, -1].any()


def test_a_leverage_of_1_stays_finite():
    """One item alone in its direction, nearly without a ridge: its leverage is one."""
    assert np.isfinite(TextPrior.of(np.eye(3, dtype=np.float32), 1e-9).times(np.ones((1, 3), np.float32))).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), USERS, st.sampled_from([1.0, 10.0, 300.0]), st.sampled_from([0.0, 0.5, 1.0, 4.0]))
def test_the_weights_are_those_of_the_formula_with_more_users_than_items_and_with_fewer(seed, n_users, l2, prior):
    clicks, vectors = drawn(seed, n_users)
    found = model(clicks, vectors, l2, prior)
    assert found.ridge.dual == (n_users < N_ITEMS)
    np.testing.assert_allclose(weights_of(found), textbook(clicks, vectors, l2, prior, 2.0), atol=5e-4)


@pytest.mark.parametrize("n_users", [40, 5])
def test_the_weights_minimise_the_loss(n_users):
    clicks, vectors = drawn(0, n_users)
    l2, prior = 10.0, 0.7
    weights, c = weights_of(model(clicks, vectors, l2, prior)).astype(float), left_out(vectors, 2.0)

    def loss(candidate):
        fit = ((clicks - clicks @ candidate) ** 2).sum()
        return fit + (1 - prior) * l2 * (candidate**2).sum() + prior * l2 * ((candidate - c) ** 2).sum()

    rng = np.random.default_rng(1)
    for _ in range(20):
        step = 0.01 * rng.standard_normal(weights.shape)
        np.fill_diagonal(step, 0.0)
        assert loss(weights) < loss(weights + step)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), USERS)
def test_without_the_prior_it_is_ease(seed, n_users):
    clicks, vectors = drawn(seed, n_users)
    nothing = Features(np.zeros((n_users, 1), dtype=np.float32))
    history = csr_array(clicks)
    users = Users(history, csr_array(history.shape, dtype=np.float32), nothing, nothing)
    of_items = Features(np.zeros((N_ITEMS, 1), dtype=np.float32))
    expected = EASERanker(10.0).fit(of_items, history).score(users, of_items)
    np.testing.assert_allclose(model(clicks, vectors, prior=0.0).scores(history), expected, atol=1e-4)


@pytest.mark.parametrize("prior", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("n_users", [40, 5])
def test_an_item_never_predicts_itself(n_users, prior):
    assert np.abs(np.diag(weights_of(model(*drawn(0, n_users), prior=prior)))).max() < 1e-5


def test_with_hardly_any_clicks_the_weights_are_those_of_the_text_prior():
    clicks, vectors = np.zeros((3, N_ITEMS), dtype=np.float32), drawn(0, 1)[1]
    clicks[0, 0] = 1.0
    weights = weights_of(model(clicks, vectors, l2=1000.0))
    np.testing.assert_allclose(weights, left_out(vectors, 2.0), atol=0.01)


@pytest.mark.parametrize("n_users", [40, 5])
def test_the_ridge_is_right_with_more_users_than_items_and_with_fewer(n_users):
    clicks = drawn(0, n_users)[0]
    ridge, p = Ridge.of(csr_array(clicks), 3.0), np.linalg.inv(clicks.T @ clicks + 3.0 * np.eye(N_ITEMS))
    assert ridge.inverse.shape == (min(n_users, N_ITEMS),) * 2
    columns = np.random.default_rng(0).standard_normal((N_ITEMS, 4)).astype(np.float32)
    np.testing.assert_allclose(ridge.diagonal, np.diag(p), atol=1e-6)
    np.testing.assert_allclose(ridge.rows_times(csr_array(clicks[:3])), clicks[:3] @ p, atol=1e-5)
    np.testing.assert_allclose(ridge.times(columns), p @ columns, atol=1e-5)


def test_the_diagonal_is_right_over_several_blocks():
    rng = np.random.default_rng(0)
    clicks = csr_array((rng.random((20, 2_500)) < 0.02).astype(np.float32))
    expected = (1.0 - (clicks.toarray() * (Ridge.of(clicks, 5.0).inverse @ clicks)).sum(axis=0)) / 5.0
    np.testing.assert_allclose(Ridge.of(clicks, 5.0).diagonal, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1)])
def test_the_smallest_sizes_have_finite_scores(shape):
    vectors = np.ones((shape[1], 1), dtype=np.float32)
    found = model(np.ones(shape, dtype=np.float32), vectors).scores(csr_array(np.ones((1, shape[1]), np.float32)))
    assert found.shape == (1, shape[1])
    assert np.isfinite(found).all()


def test_duplicate_texts_get_the_same_score_from_others():
    clicks, vectors = drawn(0, 40)
    clicks[:, 1], vectors[1] = clicks[:, 0], vectors[0]
    scores = model(clicks, vectors).scores(csr_array(np.eye(N_ITEMS, dtype=np.float32)[[4]]))
    assert scores[0, 0] == pytest.approx(scores[0, 1], abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), USERS, st.sampled_from([0.0, 1.0, 3.0]))
def test_fill_writes_the_weights_of_the_formula(seed, n_users, prior):
    clicks, vectors = drawn(seed, n_users)
    expected = textbook(clicks, vectors, 10.0, prior, 2.0)
    found = np.empty((N_ITEMS, N_ITEMS), dtype=np.float32)
    model(clicks, vectors, prior=prior).fill(found)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("n_users", [40, 5])
def test_plain_is_a_fit_without_the_prior(n_users):
    clicks, vectors = drawn(0, n_users)
    plain, expected = model(clicks, vectors, prior=2.0).plain, model(clicks, vectors, prior=0.0)
    np.testing.assert_allclose(weights_of(plain), weights_of(expected), atol=1e-6)
    columns = np.random.default_rng(1).standard_normal((N_ITEMS, 3)).astype(np.float32)
    found = model(clicks, vectors, prior=2.0).plain_times(columns)
    np.testing.assert_allclose(found, weights_of(expected) @ columns, atol=1e-5)


@pytest.mark.parametrize("n_users", [2_000, 20])
def test_fill_in_several_blocks_agrees_with_the_scores(n_users):
    """Of more items than a block has, with more users than items and with fewer."""
    rng, n_items = np.random.default_rng(0), 1_100
    clicks = csr_array((rng.random((n_users, n_items)) < 0.01).astype(np.float32))
    vectors = drawn(0, 1, n_items)[1]
    fitted = PriorEASE.of(Ridge.of(clicks, 20.0), TextPrior.of(vectors, 2.0), 1.0)
    found = np.empty((n_items, n_items), dtype=np.float32)
    fitted.fill(found)
    np.testing.assert_allclose(found[[0, 1_023, 1_024, 1_099]], weights_of(fitted)[[0, 1_023, 1_024, 1_099]], atol=1e-5)


def test_scoring_and_filling_change_no_argument():
    clicks, vectors = drawn(0, 5)
    given, before = csr_array(clicks), vectors.copy()
    fitted = PriorEASE.of(Ridge.of(given, 10.0), TextPrior.of(vectors, 2.0), 1.0)
    first = fitted.scores(given)
    fitted.fill(np.empty((N_ITEMS, N_ITEMS), dtype=np.float32))
    np.testing.assert_array_equal(fitted.scores(given), first)
    np.testing.assert_array_equal(given.toarray(), clicks)
    np.testing.assert_array_equal(vectors, before)
