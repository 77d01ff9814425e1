import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.packing import pack, unpack
from coldstart.rankers.hybrid import prior as module
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.prior import TastePrior, cosines, log_base_rates, mean_clicks, n_likes

CONFIG = HybridConfig()
SHARES = st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8)
COUNTS = st.lists(st.integers(0, 1_000), min_size=8, max_size=8)


def rates(counts, exposure=None, prior_clicks=1.0, mean=None, less=0.0):
    """The rates themselves, as multiples of the mean item's."""
    exposure = None if exposure is None else np.array(exposure, dtype=np.float32)
    return np.exp(log_base_rates(np.array(counts, dtype=np.float32), exposure, prior_clicks, mean, less))


def learned(clicks, vectors, exposure=None, config=CONFIG, seed=0):
    return TastePrior.learn(csr_array(clicks), vectors, exposure, config, np.random.default_rng(seed))


def unit(n, dim=8, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def choices(odds, n_clicks, seed=0):
    """Clicks (m, n): of each user the ``n_clicks`` items that are drawn first by their log-odds (m, n)."""
    noisy = odds + np.random.default_rng(seed).gumbel(size=odds.shape)
    clicks = np.zeros(odds.shape, dtype=np.float32)
    np.put_along_axis(clicks, np.argsort(-noisy, axis=1)[:, :n_clicks], 1.0, axis=1)
    return clicks


def by_taste(vectors, strength, n_users=600, seed=1):
    """Log-odds of users who each have a direction that they like."""
    return strength * unit(n_users, vectors.shape[1], seed) @ vectors.T


class TestLogBaseRates:
    def test_at_full_exposure_the_rate_is_the_smoothed_share_of_the_mean(self):
        """12 clicks on three items, 4 in the mean: (c + 1) / (4 + 1)."""
        np.testing.assert_allclose(rates([0, 4, 8]), [0.2, 1.0, 1.8], rtol=1e-6)

    def test_clicks_are_divided_by_exposure(self):
        """10 clicks in 2.5 items' time: 4 a whole item; (2 + 1) / (0.5 * 4 + 1) = 1 and (8 + 1) / 5, (0 + 1) / 5."""
        np.testing.assert_allclose(rates([2, 8, 0], [0.5, 1.0, 1.0]), [1.0, 1.8, 0.2], rtol=1e-6)

    @pytest.mark.parametrize("prior_clicks", [0.3, 1.0, 10.0])
    @pytest.mark.parametrize("mean", [0.1, 3.0, 1_000.0])
    def test_a_new_item_has_the_mean_rate_and_old_stock_without_clicks_a_lower_one(self, prior_clicks, mean):
        found = rates([2 * mean, 0, 0], [1.0, 1.0, 0.0], prior_clicks)
        assert found[2] == 1.0
        assert found[1] == pytest.approx(prior_clicks / (mean + prior_clicks), rel=1e-5)

    def test_the_exposure_of_a_new_item_with_clicks_is_at_least_what_they_take_at_the_mean_rate(self):
        """Said to have arrived now, yet with 3 clicks where a mean item gets 6: half the time; and all of it at most."""
        found = rates([3, 6, 6, 12], [0.0, 1.0, 1.0, 0.0], prior_clicks=2.0)
        mean = 27 / 2
        shares = np.array([3 / mean, 1.0, 1.0, 12 / mean])
        np.testing.assert_allclose(found, (np.array([3, 6, 6, 12]) + 2.0) / (shares * mean + 2.0), rtol=1e-6)
        np.testing.assert_allclose(
            found[[0, 3]], 1.0, rtol=1e-6
        )  # no more than a mean item, which is all that is known
        assert rates([30, 6, 6], [0.0, 1.0, 1.0])[0] == pytest.approx(31 / (21 + 1), rel=1e-6)

    def test_without_clicks_all_rates_are_1(self):
        np.testing.assert_allclose(rates([0, 0, 0]), 1.0, rtol=1e-6)
        np.testing.assert_allclose(rates([0, 0], [0.0, 0.0]), 1.0, rtol=1e-6)

    @settings(deadline=None, max_examples=100)
    @given(COUNTS, st.integers(0, 7), st.integers(1, 500), st.floats(0.05, 20))
    def test_more_clicks_mean_a_higher_rate(self, counts, at, more, prior_clicks):
        before = rates(counts, prior_clicks=prior_clicks)
        counts[at] += more
        after = rates(counts, prior_clicks=prior_clicks)
        others = np.delete(np.arange(8), at)
        assert after[at] > before[at] * (1 - 1e-6)
        assert (after[others] <= before[others] * (1 + 1e-6)).all()
        assert (np.diff(after[np.argsort(counts)]) >= 0).all()

    @settings(deadline=None, max_examples=100)
    @given(COUNTS, SHARES)
    def test_with_equal_clicks_more_exposure_means_a_lower_rate(self, counts, exposure):
        found = rates([7] * 8, exposure)
        assert (np.diff(found[np.argsort(exposure)]) <= 1e-6).all()
        assert np.isfinite(log_base_rates(np.array(counts, "f4"), np.array(exposure, "f4"), 1.0)).all()

    def test_less_is_subtracted_from_all_counts_down_to_0(self):
        """The mean stays what it was: 4 clicks an item."""
        np.testing.assert_allclose(rates([0, 4, 8], less=1.0), [0.2, 0.8, 1.6], rtol=1e-6)

    @pytest.mark.parametrize("exposure", [None, [1.0, 1.0, 0.5]])
    def test_the_mean_defaults_to_that_of_these_items(self, exposure):
        of_items = 12.0 / (3.0 if exposure is None else 2.5)
        counts = np.array([0, 4, 8], dtype=np.float32)
        shares = None if exposure is None else np.array(exposure, dtype=np.float32)
        assert mean_clicks(counts, shares) == pytest.approx(of_items)
        np.testing.assert_array_equal(rates(counts, exposure), rates(counts, exposure, mean=of_items))

    def test_with_a_fixed_mean_a_rate_does_not_depend_on_clicks_of_other_items(self):
        found = [rates([3, *others], mean=4.0)[0] for others in ([1, 1], [100, 0], [7])]
        assert found == [pytest.approx(4.0 / 5.0)] * 3

    def test_more_prior_clicks_shrink_rates_to_the_mean(self):
        spreads = [np.ptp(log_base_rates(np.array([0, 4, 8], "f4"), None, credit)) for credit in (0.3, 1.0, 30.0)]
        assert spreads == sorted(spreads, reverse=True)

    def test_arguments_are_not_changed(self):
        counts, exposure = np.array([3, 5], dtype=np.float32), np.array([0.0, 1.0], dtype=np.float32)
        log_base_rates(counts, exposure, 1.0, less=1.0)
        assert (counts.tolist(), exposure.tolist()) == ([3, 5], [0, 1])


class TestMeanClicks:
    def test_it_is_the_clicks_per_full_exposure(self):
        counts = np.array([2, 8, 0], dtype=np.float32)
        assert mean_clicks(counts, None) == pytest.approx(10 / 3)
        assert mean_clicks(counts, np.array([0.5, 1.0, 1.0], dtype=np.float32)) == pytest.approx(4.0)

    def test_it_is_positive_and_finite_without_clicks_exposure_or_items(self):
        nothing = np.zeros(3, dtype=np.float32)
        assert 0.0 < mean_clicks(nothing, None) < 1e-6
        assert 0.0 < mean_clicks(nothing, nothing) < 1e-6
        assert mean_clicks(nothing + 2, nothing) == 6.0  # of at least one item
        assert mean_clicks(nothing[:0], None) > 0.0


class TestCosines:
    def test_taste_is_the_direction_of_the_mean_weighted_by_the_number_of_likes(self):
        vectors = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
        history = csr_array(np.array([[1, 0, 0], [1, 1, 0]], dtype=np.float32))
        found = cosines(history, vectors, half=2.0)
        np.testing.assert_allclose(found[0], [1 / 3, 0, -1 / 3], atol=1e-6)
        root = np.sqrt(0.5)
        np.testing.assert_allclose(found[1], [root / 2, root / 2, -root / 2], atol=1e-6)
        assert found.dtype == np.float32

    def test_without_likes_or_with_opposite_ones_the_cosines_are_0(self):
        vectors = np.array([[1, 0], [-1, 0], [0, 0]], dtype=np.float32)
        history = csr_array(np.array([[0, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32))
        assert not cosines(history, vectors, half=2.0).any()

    def test_n_likes_is_at_least_1(self):
        assert n_likes(csr_array(np.array([[1, 1, 0], [0, 0, 0]]))).tolist() == [[2.0], [1.0]]


class TestLogOdds:
    VECTORS = unit(12)

    def test_the_two_terms_are_those_of_the_formula(self):
        history = csr_array(np.eye(12, dtype=np.float32)[[3]] + np.eye(12, dtype=np.float32)[[5]])
        rates = np.linspace(-1, 1, 12).astype(np.float32)
        mean = self.VECTORS[3] + self.VECTORS[5]
        of_taste, of_rate = TastePrior(6.0, 3.0, 0.5).log_odds(history, self.VECTORS, rates, 0.8)
        np.testing.assert_allclose(of_taste[0], 6.0 * 2 / 5 * self.VECTORS @ mean / np.linalg.norm(mean), atol=1e-5)
        np.testing.assert_allclose(of_rate, 0.4 * rates, rtol=1e-6)

    def test_without_clicks_of_others_the_order_is_that_of_the_cosines(self):
        history = csr_array((np.random.default_rng(0).random((5, 12)) < 0.3).astype(np.float32))
        nothing = log_base_rates(np.zeros(12, dtype=np.float32), None, 1.0)
        odds = np.add(*TastePrior().log_odds(history, self.VECTORS, nothing))
        mean = history @ self.VECTORS
        np.testing.assert_array_equal(np.argsort(odds, axis=1), np.argsort(mean @ self.VECTORS.T, axis=1))

    def test_for_a_user_without_likes_the_order_is_that_of_the_base_rates(self):
        nobody, counts = csr_array((1, 12), dtype=np.float32), np.random.default_rng(0).permutation(12)
        odds = np.add(*TastePrior().log_odds(nobody, self.VECTORS, log_base_rates(counts.astype("f4"), None, 1.0)))
        np.testing.assert_array_equal(np.argsort(odds[0]), np.argsort(counts))


class TestLearn:
    VECTORS = unit(200)

    @pytest.mark.parametrize(
        "clicks", [np.zeros((0, 200)), np.zeros((5, 200)), np.eye(200)[:60]], ids=["no users", "no clicks", "one each"]
    )
    def test_without_a_user_with_two_clicks_it_is_that_of_the_config(self, clicks):
        config = HybridConfig(taste=7.0, taste_half=1.0)
        assert learned(clicks.astype(np.float32), self.VECTORS, config=config) == TastePrior(7.0, 1.0, 1.0)

    def test_a_few_clicks_move_taste_by_less_than_a_prior_deviation_and_many_by_more(self):
        clicks = choices(by_taste(self.VECTORS, 30.0), 10)
        few, many = learned(clicks[:2], self.VECTORS), learned(clicks, self.VECTORS)
        assert 0.0 <= few.taste - CONFIG.taste < CONFIG.taste_deviation < many.taste - CONFIG.taste
        assert few.weight == pytest.approx(1.0, abs=0.01)

    def test_users_with_stronger_tastes_give_a_larger_weight_of_taste(self):
        strong, weak = (learned(choices(by_taste(self.VECTORS, s), 10), self.VECTORS) for s in (30.0, 15.0))
        assert strong.taste > weak.taste > CONFIG.taste + 1.0
        assert strong.half == weak.half == CONFIG.taste_half

    def test_the_weight_of_taste_that_generated_the_clicks_is_recovered(self):
        """Users who like one item, and one more by the prior's own odds, are what the prior says they are."""
        config, rng = replace(CONFIG, taste=1.0, taste_deviation=100.0), np.random.default_rng(0)
        first = csr_array(np.eye(200, dtype=np.float32)[rng.integers(0, 200, 6_000)])
        odds = TastePrior(18.0, config.taste_half).log_odds(first, self.VECTORS, np.zeros(200, dtype=np.float32))[0]
        odds[first.nonzero()] = -np.inf
        clicks = first.toarray() + choices(odds, 1)
        found = learned(clicks, self.VECTORS, config=config)
        assert found.taste == pytest.approx(18.0, abs=1.5)

    @pytest.mark.parametrize(("power", "side"), [(2.0, 1), (0.3, -1)])
    def test_the_weight_of_the_base_rate_follows_how_popular_the_chosen_items_are(self, power, side):
        """The chance of the next click goes with the power of how often an item was clicked by those with one click."""
        rng, n = np.random.default_rng(0), 200
        popular = rng.normal(0, 1.5, n)
        once = choices(np.tile(popular, (20_000, 1)), 1)
        twice = choices(np.tile(power * popular, (900, 1)), 2)
        found = learned(np.vstack([once, twice]), self.VECTORS)
        assert side * (found.weight - 1.0) > 0.03

    @pytest.mark.parametrize("seed", range(3))
    def test_taste_is_never_below_that_of_the_config(self, seed):
        rng = np.random.default_rng(seed)
        clicks = (rng.random((400, 200)) < 0.05).astype(np.float32)  # texts say nothing
        found = learned(clicks, self.VECTORS)
        assert found.taste == CONFIG.taste
        assert found.strength == TastePrior().strength

    def test_the_weight_of_the_base_rate_is_never_negative(self):
        """Users with two clicks choose the items that those with one leave alone."""
        popular = np.random.default_rng(0).normal(0, 1.5, 200)
        once, twice = choices(np.tile(popular, (9_000, 1)), 1), choices(np.tile(-popular, (100, 1)), 2)
        config = replace(CONFIG, popularity_deviation=10.0)
        found = learned(np.vstack([once, twice]), self.VECTORS, config=config)
        assert found.weight == 0.0

    def test_a_small_prior_deviation_keeps_taste_near_the_config(self):
        clicks = choices(by_taste(self.VECTORS, 30.0), 10)
        firm, loose = (
            learned(clicks, self.VECTORS, config=replace(CONFIG, taste_deviation=deviation))
            for deviation in (0.01, 30.0)
        )
        assert firm.taste == pytest.approx(CONFIG.taste, abs=0.1)
        assert loose.taste > CONFIG.taste + 3.0

    def test_the_held_out_click_is_not_counted_in_its_own_base_rate(self):
        """Two clicks each on items that nobody else clicked: counted for themselves, popularity would tell them apart.

        By what others did the items that are clicked next have been clicked less than the mean.
        """
        clicks = np.zeros((80, 200), dtype=np.float32)
        clicks[np.arange(80), np.arange(80)] = clicks[np.arange(80), np.arange(80, 160)] = 1.0
        assert learned(clicks, self.VECTORS).weight < 0.99

    def test_given_items_are_not_candidates(self):
        """All like two items whose cosine is .7: nearer to a like than the other one is nothing but the like itself.

        Were it a candidate, a higher taste would make the other less likely. All items are as popular.
        """
        vectors = np.eye(5, dtype=np.float32)
        vectors[1, :2] = 0.7, np.sqrt(0.51)
        both, one = np.tile(np.eye(5)[0] + np.eye(5)[1], (200, 1)), np.repeat(np.eye(5)[2:], 200, axis=0)
        found = learned(np.vstack([both, one]).astype(np.float32), vectors)
        assert found.taste > CONFIG.taste + 5.0

    def test_sampled_candidates_give_about_the_estimate_of_all_candidates(self, monkeypatch):
        config = replace(CONFIG, taste=1.0, taste_deviation=100.0, popularity_deviation=10.0)
        vectors, popular = unit(1_000), np.random.default_rng(0).normal(0, 1.5, 1_000)
        clicks = choices(popular + by_taste(vectors, 8.0, n_users=1_500), 6)
        whole = learned(clicks, vectors, config=config)
        monkeypatch.setattr(module, "MAX_CANDIDATES", 200)
        sample = learned(clicks, vectors, config=config)
        assert sample != whole
        assert sample.taste == pytest.approx(whole.taste, rel=0.1)
        assert sample.weight == pytest.approx(whole.weight, rel=0.1)

    def weights(self, exposure):
        """Of clicks on the first half of the items by their popularity: half alone, and all with this exposure."""
        popular = np.where(np.arange(200) < 100, np.random.default_rng(1).normal(0, 1.5, 200), -np.inf)
        clicks = choices(np.tile(popular, (900, 1)), 3)
        return learned(clicks[:, :100], self.VECTORS[:100]).weight, learned(clicks, self.VECTORS, exposure).weight

    def test_items_without_exposure_do_not_change_the_weight_of_the_base_rate(self):
        without, beside = self.weights((np.arange(200) < 100).astype(np.float32))
        assert beside == pytest.approx(without, abs=0.05)

    def test_the_same_seed_gives_the_same_prior(self):
        clicks = choices(by_taste(self.VECTORS, 15.0), 5)
        assert learned(clicks, self.VECTORS) == learned(clicks, self.VECTORS)
        assert learned(clicks, self.VECTORS) != learned(clicks, self.VECTORS, seed=1)

    def test_clicks_and_vectors_are_not_changed(self):
        clicks = csr_array(choices(by_taste(self.VECTORS, 15.0), 5))
        before = clicks.toarray(), self.VECTORS.copy()
        TastePrior.learn(clicks, self.VECTORS, None, CONFIG, np.random.default_rng(0))
        np.testing.assert_array_equal(clicks.toarray(), before[0])
        np.testing.assert_array_equal(self.VECTORS, before[1])

    @pytest.mark.parametrize("n", [2, 3])
    def test_one_user_and_two_items_are_enough(self, n):
        found = learned(np.ones((1, n), dtype=np.float32), unit(n))
        assert np.isfinite([found.taste, found.weight]).all()


class TestHoldOutOne:
    def drawn(self, clicks, seed=0):
        return module._hold_out_one(csr_array(clicks), np.random.default_rng(seed))

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
    def test_each_user_has_given_clicks_and_a_held_out_one_that_is_not_among_them(self, seed, density):
        clicks = (np.random.default_rng(seed).random((12, 40)) < density).astype(np.float32)
        many = clicks.sum(axis=1) > 1
        if not many.any():
            assert self.drawn(clicks, seed) is None
            return
        history, target = self.drawn(clicks, seed)
        given, rows = history.toarray(), np.arange(len(target))
        assert len(given) == len(target) == many.sum()
        assert (given.sum(axis=1) >= 1).all()
        assert (given.sum(axis=1) <= module.MAX_LIKES).all()
        assert not given[rows, target].any()
        both = given.copy()
        both[rows, target] = 1.0
        assert all((row <= clicks[many]).all(axis=1).any() for row in both)

    def test_from_1_to_10_clicks_are_given_and_few_more_often(self):
        """From one to ten, few more often than many."""
        history, _ = self.drawn(np.ones((900, 60), dtype=np.float32))
        likes = np.bincount(np.diff(history.indptr), minlength=11)
        assert likes[0] == 0
        assert len(likes) == 11
        assert likes[1] > 2 * likes[4] > 0

    def test_at_most_max_users_are_drawn(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_USERS", 7)
        assert len(self.drawn(np.ones((20, 5), dtype=np.float32))[1]) == 7


def test_a_prior_survives_saving():
    prior, tensors = TastePrior(9.5, 1.5, 0.7, 0.3), {}
    packed = json.loads(json.dumps(pack(prior, tensors, "prior")))
    assert unpack(packed, tensors, {"TastePrior": TastePrior}) == prior
    assert not tensors
