from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.calibration import FLOOR, Calibration, level


def of_new(calibration, scores, levels, counts, crowd, strangers=None):
    return calibration.of_new(scores, calibration.of_users(levels, counts, strangers), calibration.of_crowd(crowd))


def simulated(true, n_users=20_000, n_items=20, seed=0):
    """Candidates of users, half of the items known and half new, clicked by the odds that ``true`` gives them."""
    rng = np.random.default_rng(seed)
    scores = np.maximum(np.exp(rng.normal(-1.0, 1.0, (2, n_users, n_items))), FLOOR)
    levels = tuple(np.exp(rng.normal(-2.0, 1.0, (2, n_users, 1))))
    counts, crowd = rng.integers(1, 50, (n_users, 1)).astype(float), rng.random((n_users, n_items))
    odds = np.hstack([true.of_known(scores[0]), of_new(true, scores[1], levels, counts, crowd)])
    clicked = np.argmax(odds + rng.gumbel(size=odds.shape), axis=1)[:, None] == np.arange(2 * n_items)
    items = np.arange(n_users * n_items).reshape(n_users, n_items)  # of its own for every pair
    return (scores[0], clicked[:, :n_items]), (scores[1], clicked[:, n_items:]), levels, counts, crowd, items


NAMES = ("known", "new", "known_level", "new_level", "count", "crowd", "intercept")


@pytest.mark.parametrize(
    "true",
    [Calibration(1.3, 0.8, -0.4, 0.2, 0.1, -1.0, 0.5), Calibration(0.5, 2.0, 0.3, -0.3, -0.2, -0.4, -1.5)],
)
def test_the_coefficients_that_made_the_clicks_are_found(true):
    found = Calibration.learn(*simulated(true))
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.2)
        assert type(getattr(found, name)) is float


def test_what_users_know_already_says_nothing():
    known, new, *others = simulated(Calibration(1.3, 0.8), 300)
    scores, clicked = (np.hstack([part, part[:, :5]]) for part in known)
    scores[:, -5:], clicked[:, -5:] = -np.inf, False
    found = Calibration.learn((scores, clicked), new, *others)
    expected = Calibration.learn(known, new, *others)
    assert [getattr(found, name) for name in NAMES] == pytest.approx([getattr(expected, name) for name in NAMES])


def test_a_user_with_many_clicks_counts_as_much_as_one_with_one():
    known, new, levels, counts, crowd, items = simulated(Calibration(1.0, 1.0), 2)
    known[1][:], new[1][:] = False, False
    known[1][0, :20], new[1][1, 0] = True, True  # one found twenty known items, the other a single new one
    once = replace(Calibration.learn(known, new, levels, counts, crowd, items), least=0.0)
    odds = np.hstack([once.of_known(known[0]), of_new(once, new[0], levels, counts, crowd)])
    chances = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    assert chances[:, known[0].shape[1] :].sum() == pytest.approx(1.0, abs=0.05)


def test_where_all_or_none_are_new_the_odds_are_finite():
    known, new, *others = simulated(Calibration(), 200)
    for side in (known, new):
        for part in (known, new):
            part[1][:] = False
        side[1][:, 0] = True
        found = Calibration.learn(known, new, *others)
        assert np.isfinite([getattr(found, name) for name in NAMES]).all()


def test_a_crowded_item_never_has_the_better_odds_for_it():
    assert Calibration.learn(*simulated(Calibration(1.0, 1.0, crowd=2.0))).crowd == 0.0


def test_a_few_lonely_items_that_are_popular_prove_nothing():
    *rest, crowd, _ = simulated(Calibration(1.0, 1.0, crowd=-1.0), 2_000)
    of_two = np.where(crowd < 0.5, 0, 1)  # all candidates are one of two items
    assert Calibration.learn(*rest, crowd, of_two).crowd == 0.0
    assert Calibration.learn(*rest, crowd, np.arange(crowd.size).reshape(crowd.shape)).crowd < -0.5


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-10, 100, width=32), min_size=2, max_size=30), st.floats(0.01, 5), st.floats(-3, 3))
def test_a_higher_score_never_has_lower_odds(scores, slope, intercept):
    scores = np.sort(np.array([scores], dtype=np.float32))
    calibration = Calibration(slope, slope, 0.3, 0.3, 0.2, -1.0, intercept)
    one = np.ones((1, 1))
    crowd = np.full(scores.shape[1], 0.5)
    for odds in (calibration.of_known(scores), of_new(calibration, scores, (0.1 * one, one), one, crowd)):
        assert np.all(np.diff(odds[0]) >= 0)
        assert np.isfinite(odds).all()


def test_the_odds_are_those_of_the_formula_row_by_row():
    calibration = Calibration(2.0, 3.0, 0.5, -0.5, 0.25, -2.0, -1.0)
    scores = np.array([[1.0, 4.0], [0.5, -3.0]])
    levels = (np.array([[1.0], [0.2]]), np.array([[1.0], [0.4]]))
    found = of_new(calibration, scores, levels, np.array([[0.0], [9.0]]), np.array([0.0, 0.5]))
    of_second = 0.5 * np.log(0.2) - 0.5 * np.log(0.4) + 0.25 * np.log(10) - 1.0
    expected = [[-1.0, 3 * np.log(4) - 2.0], [3 * np.log(0.5) + of_second, 3 * np.log(FLOOR) + of_second - 1.0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    of_known = [[0.0, 2 * np.log(4)], [2 * np.log(0.5), 2 * np.log(FLOOR)]]
    np.testing.assert_allclose(calibration.of_known(scores), of_known, rtol=1e-5, atol=1e-7)


def test_by_default_the_odds_are_the_logarithm_of_the_share_of_the_level():
    scores, one = np.array([[1.0, 0.5]]), np.ones((1, 1))
    np.testing.assert_allclose(Calibration().of_known(scores), np.log(scores), atol=1e-6)
    found = of_new(Calibration(), scores, (7 * one, 5 * one), 3 * one, np.array([0.3, 0.9]))
    np.testing.assert_allclose(found, np.log(scores), atol=1e-6)


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


def test_users_with_fewer_clicks_than_those_it_was_learned_from_count_as_usual():
    known, new, levels, counts, crowd, items = simulated(Calibration(1.0, 1.0, 0.5, 0.5, 1.0), 3_000)
    learned = Calibration.learn(known, new, levels, counts + 9, crowd, items)
    assert learned.least >= 10
    one, scores = np.ones((3, 1)), np.ones((3, 1))
    odds = of_new(learned, scores, (np.array([[1e-3], [1.0], [1e3]]), one), 2 * one, np.zeros(1))
    assert odds[:, 0].tolist() == pytest.approx([learned.usual] * 3, abs=1e-5)
    odds = of_new(learned, scores, (np.array([[1e-3], [1.0], [1e3]]), one), 30 * one, np.zeros(1))
    assert np.all(np.diff(odds[:, 0]) > 1.0)


def test_what_is_of_a_stranger_is_never_more_than_usual():
    calibration = Calibration(count=-1.0, least=2.0, usual=-2.0)
    counts, one, scores = np.array([[3.0], [3.0], [50.0], [50.0], [1.0], [1.0]]), np.ones((6, 1)), np.ones((6, 1))
    strangers = np.array([False, True] * 3)
    odds = of_new(calibration, scores, (one, one), counts, np.zeros(1), strangers)[:, 0]
    np.testing.assert_allclose(odds, [-np.log(4), -2.0, -np.log(51), -np.log(51), -2.0, -2.0], rtol=1e-5)
    alike = of_new(calibration, scores, (one, one), counts, np.zeros(1))[:, 0]
    np.testing.assert_array_equal(
        alike, of_new(calibration, scores, (one, one), counts, np.zeros(1), strangers & False)[:, 0]
    )


def test_where_nothing_was_learned_a_stranger_is_like_all():
    scores, one = np.array([[1.0, 0.5]]), np.ones((1, 1))
    odds = of_new(Calibration(intercept=1.0), scores, (one, one), one, np.zeros(2), np.ones(1, dtype=bool))
    np.testing.assert_allclose(odds, np.log(scores) + 1.0, rtol=1e-5)
