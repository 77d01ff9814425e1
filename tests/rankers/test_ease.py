import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers import _ease, ease
from coldstart.rankers.ease import EASERanker


def features(n_items):
    return Features(np.zeros((n_items, 1), dtype=np.float32))


def fitted(clicks, l2=10.0):
    clicks = np.asarray(clicks, dtype=np.float32)
    return EASERanker(l2).fit(features(clicks.shape[1]), csr_array(clicks))


def score(ranker, histories):
    history = csr_array(np.array(histories, dtype=np.float32))
    nothing = Features(np.zeros((history.shape[0], 1), dtype=np.float32))
    return ranker.score(Users(history, csr_array(history.shape), nothing, nothing), features(history.shape[1]))


def textbook(clicks, l2):
    """Steck 2019, algorithm 1."""
    inverse = np.linalg.inv(clicks.T @ clicks + l2 * np.eye(clicks.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([1.0, 10.0, 300.0]), st.booleans(), st.sampled_from([40, 12, 11, 5, 1])
)
def test_scores_are_those_of_the_textbook_with_more_users_than_items_and_with_fewer(seed, l2, weighted, n_users):
    rng = np.random.default_rng(seed)
    clicks = (rng.random((n_users, 12)) < 0.3) * (rng.uniform(0.5, 4.0, (n_users, 12)) if weighted else 1.0)
    histories = (rng.random((6, 12)) < 0.3) * (rng.uniform(0.5, 4.0, (6, 12)) if weighted else 1.0)
    ranker = fitted(clicks, l2)
    assert (ranker.clicks_ is None) == (n_users >= 12)
    np.testing.assert_allclose(score(ranker, histories), histories @ textbook(clicks, l2), atol=2e-4)


@pytest.mark.parametrize(
    "n_users",
    [
        400,
        pytest.param(100),
    ],
    ids=["more users", "more items"],
)
def test_play_counts_rank_as_in_the_textbook(n_users):
    rng = np.random.default_rng(0)
    often = np.minimum(0.6, 0.03 * (rng.pareto(1.0, 300) + 0.5))
    clicks = (rng.random((n_users, 300)) < often) * rng.integers(1, 501, (n_users, 300))
    histories = clicks[:50]
    found, expected = (
        np.where(histories > 0, -np.inf, scores).argsort(axis=1)[:, -20:]
        for scores in (score(fitted(clicks), histories), histories @ textbook(clicks, 10.0))
    )
    assert np.mean([len(np.intersect1d(*rows)) / 20 for rows in zip(found, expected, strict=True)]) > 0.98


@pytest.mark.parametrize("n_users", [40, 5])
def test_no_other_item_weights_without_a_diagonal_reproduce_the_clicks_better(n_users):
    rng = np.random.default_rng(0)
    clicks = (rng.random((n_users, 12)) < 0.4).astype(float)
    weights = score(fitted(clicks), np.eye(12)).astype(float)
    np.testing.assert_allclose(np.diag(weights), 0.0, atol=1e-5)

    def loss(candidate):
        return ((clicks - clicks @ candidate) ** 2).sum() + 10.0 * (candidate**2).sum()

    for _ in range(20):
        step = 0.01 * rng.standard_normal((12, 12))
        np.fill_diagonal(step, 0.0)
        assert loss(weights) < loss(weights + step)


@pytest.mark.parametrize("n_users", [40, 5])
def test_the_inverse_is_of_the_smaller_side(n_users):
    side = min(n_users, 12)
    assert fitted(np.ones((n_users, 12))).inverse_.shape == (side, side)


@pytest.mark.parametrize("blocks", [1, 7, 4096])
def test_the_diagonal_is_right_in_blocks(monkeypatch, blocks):
    monkeypatch.setattr(_ease, "blocks", lambda total, _: (slice(at, at + blocks) for at in range(0, total, blocks)))
    clicks = np.random.default_rng(0).random((5, 12)) < 0.4
    inverse = np.linalg.inv(clicks.T.astype(float) @ clicks + 10.0 * np.eye(12))
    np.testing.assert_allclose(fitted(clicks).diagonal_, np.diag(inverse), rtol=1e-5)


@pytest.mark.parametrize("n_users", [40, 5])
def test_a_new_item_in_a_history_changes_no_other_score(n_users):
    clicks = (np.random.default_rng(0).random((n_users, 12)) < 0.4).astype(np.float32)
    ranker = fitted(clicks)
    origin = np.array([*range(12), -1])
    grown = ranker.refreshed(features(13), csr_array(np.hstack([clicks, clicks[:, :1] * 0])), origin)
    histories = np.eye(13)[[3, 12]] + np.eye(13)[12]
    np.testing.assert_allclose(score(grown, histories[:1])[0, :12], score(ranker, np.eye(12)[[3]])[0], atol=1e-6)
    np.testing.assert_allclose(score(grown, histories[1:]), 0.0, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4), (4, 5)])
def test_too_many_users_and_items_are_refused_before_anything_is_computed(monkeypatch, shape):
    monkeypatch.setattr(ease, "MAX_SIDE", 3)
    expected = (
        r"needs an inverse of 4 x 4 numbers \(0\.0 GB\), and allows 3\. Use ALSRanker for so many users and items"
    )
    with pytest.raises(InvalidInputError, match=expected):
        fitted(np.ones(shape))


def test_the_error_names_the_size_in_gigabytes():
    clicks = csr_array((31_000, 32_000), dtype=np.float32)
    with pytest.raises(
        InvalidInputError, match=r"an inverse of 31,000 x 31,000 numbers \(7\.7 GB\), and allows 20,000"
    ):
        EASERanker().fit(features(32_000), clicks)


def test_one_small_side_is_enough(monkeypatch):
    monkeypatch.setattr(ease, "MAX_SIDE", 3)
    for shape in ((3, 9), (9, 3)):
        assert fitted(np.ones(shape)).inverse_.shape == (3, 3)


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan"), float("inf"), "10"])
def test_a_ridge_that_is_not_above_0_is_refused(l2):
    with pytest.raises(InvalidInputError, match="`l2` must be between 0.001 and"):
        fitted(np.ones((2, 3)), l2)


def test_without_clicks_nothing_is_printed(capfd):
    ranker = EASERanker().fit(features(3))
    assert score(ranker, [[1, 0, 0]]).shape == (1, 3)
    assert capfd.readouterr() == ("", "")
