import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.calibration import FLOOR, Calibration, level


def simulated(true, n=60_000, seed=0):
    """Pairs of a user and an item, clicked by the odds that ``true`` gives them."""
    rng = np.random.default_rng(seed)
    scores, levels = np.exp(rng.normal(-1.0, 1.0, n)), np.exp(rng.normal(-2.0, 1.0, n))
    counts = rng.integers(1, 50, n).astype(float)
    scores = np.maximum(scores, FLOOR)
    odds = true.slope * np.log(scores) + true.level_slope * np.log(levels) + true.count_slope * np.log1p(counts)
    return scores, levels, counts, rng.random(n) < 1 / (1 + np.exp(-odds - true.intercept))


@pytest.mark.parametrize(
    "true",
    [Calibration(1.3, 0.4, 0.2, -1.5), Calibration(0.5, -0.3, 0.0, -0.5), Calibration(2.0, 1.0, -0.4, 1.0)],
)
def test_the_coefficients_that_made_the_clicks_are_found(true):
    found = Calibration.learn(*simulated(true))
    for name in ("slope", "level_slope", "count_slope", "intercept"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.12)
        assert type(getattr(found, name)) is float


def test_a_thousand_pairs_of_which_none_or_all_were_clicked_give_finite_odds():
    scores, levels, counts, _ = simulated(Calibration(), 1000)
    for clicked in (np.zeros(1000, bool), np.ones(1000, bool)):
        found = Calibration.learn(scores, levels, counts, clicked)
        assert np.isfinite([found.slope, found.level_slope, found.count_slope, found.intercept]).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-10, 100, width=32), min_size=2, max_size=30), st.floats(0.01, 5), st.floats(-3, 3))
def test_a_higher_score_never_has_lower_odds(scores, slope, intercept):
    scores = np.sort(np.array([scores], dtype=np.float32))
    odds = Calibration(slope, 0.3, 0.2, intercept).logits(scores, np.full((1, 1), 0.1), np.ones((1, 1)))
    assert np.all(np.diff(odds[0]) >= 0)
    assert np.isfinite(odds).all()


def test_the_odds_are_those_of_the_formula_row_by_row():
    found = Calibration(2.0, 0.5, 0.25, -1.0).logits(
        np.array([[1.0, 4.0], [0.5, -3.0]]), np.array([[1.0], [0.2]]), np.array([[0.0], [9.0]])
    )
    of_second = 0.5 * np.log(0.2) + 0.25 * np.log(10) - 1.0
    expected = [[-1.0, 2 * np.log(4) - 1.0], [2 * np.log(0.5) + of_second, 2 * np.log(FLOOR) + of_second]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_by_default_the_odds_are_the_logarithm_of_the_share_of_the_level():
    found = Calibration().logits(np.array([[1.0, 0.5]]), np.array([[7.0]]), np.array([[3.0]]))
    np.testing.assert_allclose(found, np.log([[1.0, 0.5]]), atol=1e-6)


@pytest.mark.parametrize(("n", "expected"), [(100, 90.5), (21, 11.5), (20, 10.5), (3, 2.0), (1, 1.0)])
def test_the_level_is_the_median_of_the_20_best_or_of_all_when_there_are_fewer(n, expected):
    rows = np.stack([np.random.default_rng(at).permutation(np.arange(1.0, n + 1)) for at in range(3)])
    assert level(rows.astype(np.float32)).tolist() == [[expected]] * 3


def test_without_items_the_level_is_1():
    assert level(np.empty((2, 0), dtype=np.float32)).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("score", [0.0, -5.0])
def test_the_level_is_above_0_whatever_the_scores(score):
    found = level(np.full((2, 30), score, dtype=np.float32))
    assert found.dtype == np.float32
    assert np.all(found > 0)
