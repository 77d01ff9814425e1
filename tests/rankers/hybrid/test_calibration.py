import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.calibration import FEWEST, FLOOR, Calibration, user_scale
from coldstart.storage import pack, unpack

NAMES = ("slope", "by_clicks", "by_text", "count", "intercept")
ONE = np.ones((1, 1), dtype=np.float32)


def log_odds(calibration, scores, by_clicks, by_text, counts):
    """Of new items; the scores given are not overwritten."""
    return np.log(calibration.odds(np.array(scores), calibration.of_users(by_clicks, by_text, counts)))


def learn(known, new, by_clicks, by_text, counts):
    """Learn where the text is all there is of new items."""
    base = np.zeros(new[0].shape, dtype=np.float32)
    return Calibration.learn(known, new, base, by_clicks, by_text, counts)


def simulated(true, n_users=20_000, n_items=20, of_known=1.0, seed=0):
    """Candidates of users, half of the items known and half new, clicked by the odds that ``true`` gives them.

    ``of_known`` multiplies all log-odds: what it is decides how sharp a choice is, and no order.
    """
    rng = np.random.default_rng(seed)
    scores = np.maximum(np.exp(rng.normal(-1.0, 1.0, (2, n_users, n_items))), FLOOR)
    by_clicks, by_text = np.exp(rng.normal(-2.0, 1.0, (2, n_users, 1)))
    counts = rng.integers(1, 50, (n_users, 1)).astype(float)
    odds = np.hstack([np.log(scores[0]), log_odds(true, scores[1], by_clicks, by_text, counts)])
    clicked = np.argmax(of_known * odds + rng.gumbel(size=odds.shape), axis=1)[:, None] == np.arange(2 * n_items)
    return (scores[0], clicked[:, :n_items]), (scores[1], clicked[:, n_items:]), by_clicks, by_text, counts


class TestUserScale:
    @pytest.mark.parametrize(("n", "expected"), [(100, 90.5), (21, 11.5), (20, 10.5), (3, 2.0), (1, 1.0)])
    def test_it_is_the_median_of_the_20_best_or_of_all_when_there_are_fewer(self, n, expected):
        rows = np.stack([np.random.default_rng(at).permutation(np.arange(1.0, n + 1)) for at in range(3)])
        assert user_scale(rows.astype(np.float32)).tolist() == [[expected]] * 3

    def test_where_few_items_have_a_score_it_is_a_tenth_of_the_best(self):
        scores = np.zeros((2, 50), dtype=np.float32)
        scores[0, 7], scores[1, :10] = 3.0, 5.0
        np.testing.assert_allclose(user_scale(scores), [[0.3], [2.5]], rtol=1e-6)

    def test_without_items_it_is_1(self):
        assert user_scale(np.empty((2, 0), dtype=np.float32)).tolist() == [[1.0], [1.0]]

    @pytest.mark.parametrize("score", [0.0, -5.0])
    def test_it_is_above_0_whatever_the_scores(self, score):
        found = user_scale(np.full((2, 30), score, dtype=np.float32))
        assert found.dtype == np.float32
        assert (found > 0).all()

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(0.125, 100, width=32), min_size=1, max_size=40), st.sampled_from([0.25, 4.0, 64.0]))
    def test_it_grows_with_the_scores(self, scores, times):
        scores = np.array([scores], dtype=np.float32)
        np.testing.assert_allclose(user_scale(scores * np.float32(times)), times * user_scale(scores), rtol=1e-6)


class TestOdds:
    def test_they_are_those_of_the_formula_row_by_row(self):
        calibration = Calibration(3.0, 0.5, -0.5, 0.25, -1.0)
        scores = np.array([[1.0, 4.0], [0.5, -3.0]], dtype=np.float32)
        found = log_odds(
            calibration, scores, np.array([[1.0], [0.2]]), np.array([[1.0], [0.4]]), np.array([[0.0], [9.0]])
        )
        of_second = 0.5 * np.log(0.2) - 0.5 * np.log(0.4) + 0.25 * np.log(10) - 1.0
        expected = [[-1.0, 3 * np.log(4) - 1.0], [3 * np.log(0.5) + of_second, 3 * np.log(FLOOR) + of_second]]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_by_default_they_are_the_share_of_the_scale(self):
        scores = np.array([[1.0, 0.5, 0.0]], dtype=np.float32)
        of_users = Calibration().of_users(7 * ONE, 5 * ONE, 3 * ONE)
        np.testing.assert_allclose(Calibration().odds(scores.copy(), of_users), [[1.0, 0.5, FLOOR]], rtol=1e-6)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(-10, 100, width=32), min_size=2, max_size=30), st.floats(0.05, 5), st.floats(-3, 3))
    def test_a_higher_score_never_has_lower_odds(self, scores, slope, intercept):
        scores = np.sort(np.array([scores], dtype=np.float32))
        odds = log_odds(Calibration(slope, 0.3, 0.3, 0.2, intercept), scores, 0.1 * ONE, ONE, ONE)
        assert (np.diff(odds[0]) >= -1e-6).all()
        assert np.isfinite(odds).all()

    def test_users_with_fewer_clicks_than_those_learned_from_have_the_usual_terms(self):
        calibration = Calibration(by_clicks=2.0, count=-1.0, least=3.0, usual=-0.7)
        counts, scales = np.array([[2.0], [3.0]], dtype=np.float32), np.full((2, 1), 5.0, dtype=np.float32)
        found = calibration.of_users(scales, np.ones_like(scales), counts)
        np.testing.assert_allclose(found, [[-0.7], [2 * np.log(5) - np.log(4)]], rtol=1e-5)
        assert found.dtype == np.float32


class TestLearn:
    @pytest.mark.parametrize(
        "true", [Calibration(0.8, -0.4, 0.2, 0.1, 0.5), Calibration(2.0, 0.3, -0.3, -0.2, -1.5)], ids=["flat", "steep"]
    )
    @pytest.mark.parametrize("of_known", [1.0, 1.7])
    def test_the_coefficients_that_made_the_clicks_are_found_whatever_known_items_count(self, true, of_known):
        """Only ratios decide an order: those of new items are to be compared with the scores of known ones."""
        found = learn(*simulated(true, of_known=of_known))
        for name in NAMES:
            assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.2)
            assert type(getattr(found, name)) is float

    def test_new_items_are_shown_as_often_as_they_are_clicked(self):
        true = Calibration(1.0, intercept=1.0)
        known, new, *of_users = simulated(true, 5_000)
        found = learn(known, new, *of_users)
        odds = np.hstack([known[0], found.odds(new[0].astype(np.float32), found.of_users(*of_users))])
        share = odds[:, 20:].sum(axis=1) / odds.sum(axis=1)
        assert share.mean() == pytest.approx(new[1].any(axis=1).mean(), abs=0.02)

    def test_candidates_that_do_not_count_change_nothing(self):
        known, new, *others = simulated(Calibration(1.3), 300)
        scores, clicked = (np.hstack([part, part[:, :5]]) for part in known)
        scores[:, -5:], clicked[:, -5:] = -np.inf, False
        found = learn((scores, clicked), new, *others)
        expected = learn(known, new, *others)
        assert [getattr(found, name) for name in NAMES] == pytest.approx(
            [getattr(expected, name) for name in NAMES], abs=1e-3
        )

    def test_a_user_with_many_clicks_counts_as_much_as_one_with_one(self):
        known, new, by_clicks, by_text, counts = simulated(Calibration(), 2)
        scores = np.ones_like(known[0])  # scores and users are alike, so that only the intercept is to be learned
        clicked = np.zeros_like(known[1]), np.zeros_like(new[1])
        clicked[1][0, :20], clicked[0][1, 0] = True, True  # one clicked twenty new items, the other a single known one
        found = learn((scores, clicked[0]), (scores, clicked[1]), *np.ones((3, 2, 1)))
        terms = found.of_users(*np.ones((3, 1, 1)))
        assert terms.item() == pytest.approx(0.0, abs=0.05)  # as many odds for new items as for known ones

    def test_where_all_or_none_are_new_the_odds_are_finite(self):
        known, new, *others = simulated(Calibration(), 200)
        for clicked in (known, new):
            for part in (known, new):
                part[1][:] = False
            clicked[1][:, 0] = True
            found = learn(known, new, *others)
            assert np.isfinite([getattr(found, name) for name in (*NAMES, "least", "usual")]).all()

    def test_scores_that_mislead_are_never_turned_around(self):
        """The items with the lowest scores were clicked, of one kind: a higher score still has higher odds."""
        for at in (0, 1):
            known, new, *others = simulated(Calibration(), 300)
            scores, clicked = (known, new)[at]
            clicked[:] = scores == scores.min(axis=1, keepdims=True)
            assert learn(known, new, *others).slope > 0.0

    def test_of_users_with_the_fewest_clicks_it_learns_what_is_usual(self):
        """``least``: one in twenty has fewer clicks; ``usual``: the median of what users have."""
        known, new, by_clicks, by_text, counts = simulated(Calibration(1.0, 0.5, 0.5, 1.0), 3_000)
        found = learn(known, new, by_clicks, by_text, counts + 9)
        assert found.least == np.quantile(counts + 9, FEWEST)
        terms = replace(found, least=0.0).of_users(by_clicks, by_text, counts + 9)
        assert found.usual == pytest.approx(np.median(terms), rel=1e-5)
        strangers = np.array([[1e-3], [1.0], [1e3]])
        few, many = (found.of_users(strangers, np.ones((3, 1)), np.full((3, 1), n)) for n in (2.0, 30.0))
        np.testing.assert_allclose(few, found.usual, rtol=1e-6)
        assert (np.diff(many[:, 0]) > 1.0).all()

    def test_what_it_learns_from_stays_as_it_was(self):
        given, again = simulated(Calibration(), 50), simulated(Calibration(), 50)
        learn(*given)
        for part, same in zip([*given[0], *given[1], *given[2:]], [*again[0], *again[1], *again[2:]], strict=True):
            np.testing.assert_array_equal(part, same)


def test_it_comes_back_from_a_saved_folder_as_it_was():
    calibration, tensors = Calibration(1.2, 0.1, -0.3, 0.4, 0.5, 2.0, 0.7), {}
    packed = json.loads(json.dumps(pack(calibration, tensors, "calibration")))
    assert unpack(packed, tensors, {"Calibration": Calibration}) == calibration
