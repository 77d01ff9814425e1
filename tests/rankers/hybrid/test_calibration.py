import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.sparse import csr_array

from coldstart.packing import pack, unpack
from coldstart.rankers.hybrid import calibration as module
from coldstart.rankers.hybrid.calibration import FEW_CLICKS, FLOOR, Calibration, Candidates, user_scale

NAMES = ("slope", "density", "by_clicks", "by_text", "count", "intercept")
ONE = np.ones((1, 1), dtype=np.float32)
N_ITEMS = 20


def coefficients(calibration):
    return [getattr(calibration, name) for name in NAMES]


def log_odds(calibration, scores, scale, text_scale, likes):
    """Log-odds of pseudo-cold items; the scores given are not overwritten."""
    return np.log(calibration.odds(np.array(scores), calibration.user_terms(scale, text_scale, likes)))


def learn(data, **others):
    return Calibration.learn(**{**data, **others})


def simulated(true, n_users=20_000, warm_slope=1.0, base=0.0, shift=0.0, seed=0):
    """Candidates of users, half of the items warm and half pseudo-cold, clicked by the odds that ``true`` gives them.

    ``warm_slope`` multiplies all log-odds: it decides how sharp a choice is, and no order. ``base`` are the median odds
    of cold items without their text, ``shift`` is the least density. Every pair has an item of its own.
    """
    rng = np.random.default_rng(seed)
    shape = (n_users, N_ITEMS)
    scores = np.maximum(np.exp(rng.normal(-1.0, 1.0, (2, *shape))), FLOOR)
    scale, text_scale = np.exp(rng.normal(-2.0, 1.0, (2, n_users, 1)))
    likes = rng.integers(1, 50, (n_users, 1)).astype(float)
    density, bases = shift + rng.random(shape), base * np.exp(rng.normal(0.0, 1.0, shape))
    text = log_odds(true, scores[1], scale, text_scale, likes) + true.density * density
    with np.errstate(divide="ignore"):
        of_cold = np.logaddexp(warm_slope * text, warm_slope * np.log(bases))
    odds = np.hstack([warm_slope * np.log(scores[0]), of_cold])
    clicked = np.argmax(odds + rng.gumbel(size=odds.shape), axis=1)[:, None] == np.arange(2 * N_ITEMS)
    items = np.arange(density.size).reshape(shape)
    return {
        "warm": Candidates(scores[0], clicked[:, :N_ITEMS], items),
        "cold": Candidates(scores[1], clicked[:, N_ITEMS:], items),
        "base": bases,
        "density": density,
        "scale": scale,
        "text_scale": text_scale,
        "likes": likes,
    }


def users_of(data):
    return data["scale"], data["text_scale"], data["likes"]


def text_odds(calibration, data):
    """What the text adds to the odds of the pseudo-cold candidates."""
    by_score = log_odds(calibration, data["cold"].scores.astype(np.float32), *users_of(data))
    return np.exp(by_score + calibration.density * data["density"])


def scale_of(scores):
    """The scale of users without a history."""
    return user_scale(scores, csr_array(scores.shape, dtype=np.float32))


class TestUserScale:
    @pytest.mark.parametrize(("n", "expected"), [(100, 90.5), (21, 11.5), (20, 10.5), (3, 2.0), (1, 1.0)])
    def test_it_is_the_median_of_the_20_best_scores_or_of_all_when_there_are_fewer(self, n, expected):
        rows = np.stack([np.random.default_rng(at).permutation(np.arange(1.0, n + 1)) for at in range(3)])
        assert scale_of(rows.astype(np.float32)).tolist() == [[expected]] * 3

    def test_it_is_at_least_a_tenth_of_the_best_score(self):
        scores = np.zeros((2, 50), dtype=np.float32)
        scores[0, 7], scores[1, :10] = 3.0, 5.0
        np.testing.assert_allclose(scale_of(scores), [[0.3], [2.5]], rtol=1e-6)

    def test_without_items_it_is_1(self):
        assert scale_of(np.empty((2, 0), dtype=np.float32)).tolist() == [[1.0], [1.0]]

    @pytest.mark.parametrize("score", [0.0, -5.0])
    def test_it_is_positive_for_any_scores(self, score):
        found = scale_of(np.full((2, 30), score, dtype=np.float32))
        assert found.dtype == np.float32
        assert (found > 0).all()

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(0.125, 100, width=32), min_size=1, max_size=40), st.sampled_from([0.25, 4.0, 64.0]))
    def test_it_is_proportional_to_the_scores(self, scores, times):
        scores = np.array([scores], dtype=np.float32)
        np.testing.assert_allclose(scale_of(scores * np.float32(times)), times * scale_of(scores), rtol=1e-6)

    def test_items_of_the_history_are_left_out(self):
        scores = np.array([[9.0, 2.0, 3.0, 4.0]], dtype=np.float32)
        before = scores.copy()
        assert user_scale(scores, csr_array([[1.0, 0, 0, 0]])).tolist() == [[2.5]]  # of 4, 3, 2 and 2 again
        assert (scores == before).all()

    def test_it_is_the_minimum_when_all_items_are_in_the_history(self):
        assert user_scale(np.ones((1, 2), dtype=np.float32), csr_array([[1.0, 1.0]])).tolist() == [[np.float32(1e-12)]]


class TestOdds:
    def test_log_odds_are_those_of_the_formula(self):
        calibration = Calibration(3.0, -2.0, 0.5, -0.5, 0.25, -1.0)
        scores = np.array([[1.0, 4.0], [0.5, -3.0]], dtype=np.float32)
        found = log_odds(
            calibration, scores, np.array([[1.0], [0.2]]), np.array([[1.0], [0.4]]), np.array([[0.0], [9.0]])
        )
        of_second = 0.5 * np.log(0.2) - 0.5 * np.log(0.4) + 0.25 * np.log(10) - 1.0
        expected = [[-1.0, 3 * np.log(4) - 1.0], [3 * np.log(0.5) + of_second, 3 * np.log(FLOOR) + of_second]]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_by_default_odds_are_shares_of_the_user_scale(self):
        scores = np.array([[1.0, 0.5, 0.0]], dtype=np.float32)
        of_users = Calibration().user_terms(7 * ONE, 5 * ONE, 3 * ONE)
        np.testing.assert_allclose(Calibration().odds(scores.copy(), of_users), [[1.0, 0.5, FLOOR]], rtol=1e-6)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(-10, 100, width=32), min_size=2, max_size=30), st.floats(0.05, 5), st.floats(-3, 3))
    def test_odds_never_fall_with_the_score(self, scores, slope, intercept):
        scores = np.sort(np.array([scores], dtype=np.float32))
        odds = log_odds(Calibration(slope, -1.0, 0.3, 0.3, 0.2, intercept), scores, 0.1 * ONE, ONE, ONE)
        assert (np.diff(odds[0]) >= -1e-6).all()
        assert np.isfinite(odds).all()

    def test_users_with_fewer_likes_than_those_learned_from_have_the_usual_terms(self):
        calibration = Calibration(by_clicks=2.0, count=-1.0, least=3.0, usual=-0.7)
        counts, scales = np.array([[2.0], [3.0]], dtype=np.float32), np.full((2, 1), 5.0, dtype=np.float32)
        found = calibration.user_terms(scales, np.ones_like(scales), counts)
        np.testing.assert_allclose(found, [[-0.7], [2 * np.log(5) - np.log(4)]], rtol=1e-5)
        assert found.dtype == np.float32


FLAT, STEEP = Calibration(0.8, -1.0, -0.4, 0.2, 0.1, 0.5), Calibration(2.0, -0.7, 0.3, -0.3, -0.2, -0.5)


@pytest.fixture
def losses(monkeypatch):
    """The functions that are minimized: one, and a second one where the density is significant."""
    losses = []

    def seen(loss, start, **how):
        losses.append(loss)
        return minimize(loss, start, **how)

    minimize = module.minimize
    monkeypatch.setattr(module, "minimize", seen)
    return losses


class TestLearn:
    @pytest.mark.parametrize("true", [FLAT, STEEP], ids=["flat", "steep"])
    @pytest.mark.parametrize(("warm_slope", "base"), [(1.0, 0.0), (1.7, 0.0), (1.7, 0.3)])
    def test_the_coefficients_that_generated_the_clicks_are_recovered_for_any_slope_of_warm_items(
        self, true, warm_slope, base
    ):
        """Only ratios decide an order: coefficients of cold items are relative to the slope of warm ones."""
        found = learn(simulated(true, warm_slope=warm_slope, base=base))
        for name in NAMES:
            assert getattr(found, name) == pytest.approx(getattr(true, name), abs=0.25)
            assert type(getattr(found, name)) is float

    @pytest.mark.parametrize("base", [0.0, 0.5])
    def test_the_expected_share_of_cold_items_is_that_of_the_clicks(self, base):
        data = simulated(Calibration(intercept=1.0), 5_000, base=base)
        of_cold = (text_odds(learn(data), data) + data["base"]).sum(axis=1)
        share = of_cold / (of_cold + data["warm"].scores.sum(axis=1))
        assert share.mean() == pytest.approx(data["cold"].clicked.any(axis=1).mean(), abs=0.02)

    def test_where_odds_without_text_explain_the_clicks_the_text_adds_little(self):
        """Half of the clicks go to cold items, as their odds without text say."""
        data = simulated(Calibration(intercept=-6.0), 5_000, base=0.5)
        assert data["cold"].clicked.any(axis=1).mean() > 0.4
        added = [text_odds(learn(data, base=base), data).mean() for base in (data["base"], 0 * data["base"])]
        assert added[0] < 0.1 * data["base"].mean() < 0.5 * added[1]

    def test_the_gradient_of_the_loss_is_right(self, losses):
        data = simulated(FLAT, 300, base=0.3)
        data["warm"].scores[:, -1], data["warm"].clicked[:, -1] = -np.inf, False
        data["cold"].scores[:, -1], data["cold"].clicked[:, -1] = -np.inf, False
        data["warm"].clicked[:, 0] = True  # each user has clicked something
        learn(data)
        rng = np.random.default_rng(0)
        for _ in range(5):
            at = np.append(rng.uniform(0.3, 2.0, 2), rng.normal(0.0, 0.5, 5))
            value, slope = losses[0](at)
            assert np.isfinite(value)
            assert np.abs(slope).max() > 0.01
            assert check_grad(lambda x: losses[0](x)[0], lambda x: losses[0](x)[1], at, epsilon=1e-6) < 1e-5

    def test_masked_candidates_change_nothing(self):
        data = simulated(Calibration(1.3), 300, base=0.2)
        sides = {}
        for side in ("warm", "cold"):
            sides[side] = wide = Candidates(*(np.hstack([part, part[:, :5]]) for part in data[side]))
            wide.scores[:, -5:], wide.clicked[:, -5:] = -np.inf, False
        wider = {name: np.hstack([data[name], data[name][:, :5]]) for name in ("base", "density")}
        wider["base"][:, -5:] = 9.0
        found, expected = learn(data, **sides, **wider), learn(data)
        assert coefficients(found) == pytest.approx(coefficients(expected), abs=1e-3)

    def test_users_count_alike_however_many_clicks_they_have(self):
        data = simulated(Calibration(), 2)
        scores = np.ones((2, N_ITEMS))  # scores and users are alike, so that only the intercept is to be learned
        clicked = np.zeros((2, 2, N_ITEMS), dtype=bool)
        clicked[1, 0], clicked[0, 1, 0] = True, True  # one clicked 20 cold items, the other a single warm one
        alike = dict(zip(("scale", "text_scale", "likes"), np.ones((3, 2, 1)), strict=True))
        items = data["cold"].items
        found = learn(
            data, warm=Candidates(scores, clicked[0], items), cold=Candidates(scores, clicked[1], items), **alike
        )
        terms = found.user_terms(*np.ones((3, 1, 1)))
        assert terms.item() == pytest.approx(0.0, abs=0.05)  # the same odds for cold items as for warm ones

    @pytest.mark.parametrize("base", [0.0, 0.5])
    def test_coefficients_are_finite_when_all_clicks_are_on_warm_or_all_on_cold_items(self, base):
        data = simulated(Calibration(), 200, base=base)
        for side in ("warm", "cold"):
            for part in (data["warm"], data["cold"]):
                part.clicked[:] = False
            data[side].clicked[:, 0] = True
            found = learn(data)
            assert np.isfinite([*coefficients(found), found.least, found.usual]).all()

    def test_slopes_stay_positive_when_low_scores_are_clicked(self):
        """Where the items with the lowest scores were clicked, a higher score still has higher odds."""
        for side in ("warm", "cold"):
            data = simulated(Calibration(), 300)
            scores, clicked, _ = data[side]
            clicked[:] = scores == scores.min(axis=1, keepdims=True)
            assert learn(data).slope > 0.0

    def test_least_is_a_quantile_of_likes_and_usual_the_median_of_user_terms(self):
        """One user in twenty has fewer likes than ``least``."""
        data = simulated(Calibration(by_clicks=0.5, by_text=0.5, count=1.0), 3_000)
        likes = data["likes"] + 9
        found = learn(data, likes=likes)
        assert found.least == np.quantile(likes, FEW_CLICKS)
        terms = replace(found, least=0.0).user_terms(data["scale"], data["text_scale"], likes)
        assert found.usual == pytest.approx(np.median(terms), rel=1e-5)
        scales = np.array([[1e-3], [1.0], [1e3]])
        few, many = (found.user_terms(scales, np.ones((3, 1)), np.full((3, 1), n)) for n in (2.0, 30.0))
        np.testing.assert_allclose(few, found.usual, rtol=1e-6)
        assert (np.diff(many[:, 0]) > 1.0).all()

    def test_arguments_are_not_changed(self):
        given, again = (simulated(FLAT, 300, base=0.2) for _ in range(2))
        learn(given)
        for name, part in given.items():
            for one, same in zip(part, again[name], strict=True):
                np.testing.assert_array_equal(one, same)


class TestDensity:
    def test_a_positive_effect_of_density_is_never_learned(self, losses, monkeypatch):
        assert learn(simulated(Calibration(density=2.0), 5_000)).density == 0.0
        assert len(losses) == 1
        monkeypatch.setattr(module, "MIN_Z", -np.inf)  # not even if it were significant
        assert learn(simulated(Calibration(density=2.0), 5_000)).density == 0.0
        assert len(losses) == 3

    def test_density_without_an_effect_gets_the_coefficient_0(self):
        """By chance half of all samples have the sign of an effect, and about one in 700 proves it."""
        assert [learn(simulated(Calibration(), 300, seed=seed)).density for seed in range(12)] == [0.0] * 12

    def test_clicks_on_two_items_prove_no_effect_of_density(self):
        data = simulated(Calibration(density=-1.0), 2_000)
        of_two = np.where(data["density"] < 0.5, 0, 1)  # all candidates are one of two items
        assert learn(data, cold=data["cold"]._replace(items=of_two)).density == 0.0
        assert learn(data).density < -0.5

    def test_adding_a_constant_to_all_densities_keeps_the_effect_significant(self):
        """Only differences of density can change an order."""
        assert learn(simulated(Calibration(density=-1.0, intercept=2.0), 2_000, shift=2.0)).density < -0.5

    def test_density_is_judged_only_where_the_text_adds_to_the_odds(self, losses):
        """Dense items are clicked less than their odds without text say, where the text adds nothing to these."""
        data = simulated(Calibration(), 4_000)
        warm, cold = data["warm"], data["cold"]
        base = np.zeros_like(data["base"])
        base[:2_000] = 1.0
        cold.scores[:2_000] = FLOOR
        rng = np.random.default_rng(1)
        odds = np.log(np.hstack([warm.scores, cold.scores + base]))[:2_000]
        odds[:, N_ITEMS:] -= 2.0 * data["density"][:2_000]
        clicked = np.argmax(odds + rng.gumbel(size=odds.shape), axis=1)[:, None] == np.arange(2 * N_ITEMS)
        warm.clicked[:2_000], cold.clicked[:2_000] = clicked[:, :N_ITEMS], clicked[:, N_ITEMS:]
        assert learn(data, base=base).density == 0.0
        assert len(losses) == 1


def test_a_calibration_survives_saving():
    calibration, tensors = Calibration(1.2, -0.6, 0.1, -0.3, 0.4, 0.5, 2.0, 0.7), {}
    packed = json.loads(json.dumps(pack(calibration, tensors, "calibration")))
    assert unpack(packed, tensors, {"Calibration": Calibration}) == calibration
