import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart._arrays import unit_rows
from coldstart.rankers.hybrid.blend import LEAST_TEXT, TINY, Blend, text_weights
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts
from coldstart.rankers.hybrid.prior import TastePrior, log_base_rates


@dataclass
class Catalogue:
    """Items of which 0 and 1 are clicked together, and some have no clicks; rows of length one."""

    vectors: np.ndarray
    clicks: csr_array
    exposure: np.ndarray | None = None

    @property
    def counts(self):
        return np.asarray(self.clicks.sum(axis=0), dtype=np.float32)

    def blend(self, method="exact", strength=0.3, by_text=(2,), config=None, **others):
        config = config or HybridConfig()
        experts = FittedExperts.fit(
            self.clicks, self.vectors, np.array(by_text, dtype=np.int64), Collaborative(method, l2=2.0), config
        )
        prior = TastePrior(2.0, 1.0, 0.5, strength)
        return Blend(prior, self.counts, self.exposure, experts.compiled(), config=config, **others)

    def only(self, *items):
        return csr_array(np.isin(np.arange(len(self.vectors)), items).astype(np.float32)[None])


@pytest.fixture
def three():
    """Item 2 has no clicks and is like item 0."""
    vectors = unit_rows(np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], dtype=np.float32))
    return Catalogue(vectors, csr_array(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0]], dtype=np.float32)))


@pytest.fixture
def few(three):
    """These three beside thirty that are like nothing and that one other user clicked."""
    vectors = unit_rows(np.vstack([np.pad(three.vectors, ((0, 0), (0, 1))), np.tile([0, 0, 1], (30, 1))]))
    clicks = np.zeros((4, 33), dtype=np.float32)
    clicks[:3, :3], clicks[3, 3:] = three.clicks.toarray(), 1.0
    return Catalogue(vectors.astype(np.float32), csr_array(clicks))


@pytest.fixture
def many():
    """Forty items of four kinds, ten of them without clicks, of thirty users."""
    rng = np.random.default_rng(0)
    kinds = np.arange(40) % 4
    vectors = unit_rows((np.eye(4)[kinds] + 0.3 * rng.standard_normal((40, 4))).astype(np.float32))
    chance = np.where(np.arange(30)[:, None] % 4 == kinds, 0.6, 0.05) * (np.arange(40) < 30)
    return Catalogue(vectors, csr_array((rng.random((30, 40)) < chance).astype(np.float32)))


def by_hand(catalogue, item, strength, popularity=1.0):
    """The prior of someone who likes one item, as its formula says: half of 2 nats, and half of the log rates.

    It is measured by the twenty best of the items that are not liked yet.
    """
    cosines = catalogue.vectors @ catalogue.vectors[item]
    log_odds = 2.0 * (1 / (1 + 1.0)) * cosines
    counts, mean = catalogue.counts, catalogue.counts.mean()
    log_odds = log_odds + popularity * 0.5 * np.log((counts + 1.0) / (mean + 1.0))
    unseen = np.sort(np.delete(log_odds, item))[-20:]
    return strength * np.exp(log_odds - np.median(unseen))


class TestPriorOdds:
    PRIOR = TastePrior(2.0, 1.0, 0.5, 0.3)

    def odds(self, catalogue, *likes):
        return self.PRIOR.odds(catalogue.only(*likes), catalogue.vectors, log_base_rates(catalogue.counts, None, 1))

    def test_they_follow_the_formula(self, few):
        np.testing.assert_allclose(self.odds(few, 0)[0], by_hand(few, 0, 0.3), rtol=1e-5)

    def test_the_median_of_the_20_best_unseen_items_is_strength_over_likes(self, many):
        for likes in ([3], [3, 7], [3, 7, 11, 15, 19]):
            best = np.sort(np.delete(self.odds(many, *likes)[0], likes))[-20:]
            assert np.median(best) == pytest.approx(0.3 / len(likes), rel=1e-2)  # of the logarithms

    @pytest.mark.parametrize("left", [11, 5, 1, 0])
    def test_with_few_unseen_items_they_are_finite_and_in_order_of_the_prior(self, many, left):
        history = many.only(*range(40 - left))
        rates = log_base_rates(many.counts, None, 1.0)
        found = self.PRIOR.odds(history, many.vectors, rates)[0]
        assert np.isfinite(found).all()
        expected = np.add(*self.PRIOR.log_odds(history, many.vectors, rates))[0]
        assert np.argsort(found[40 - left :]).tolist() == np.argsort(expected[40 - left :]).tolist()

    def test_a_liked_item_does_not_count_for_the_scale(self, many):
        """A copy of the liked item is no nearer than it was: only through the taste does a scale move."""
        rates, prior = log_base_rates(many.counts, None, 1.0), replace(self.PRIOR, taste=0.0, strength=1.0)
        one, two = (prior.odds(many.only(*likes), many.vectors, rates)[0] for likes in ([3], [3, 39]))
        assert rates[39] < np.sort(rates)[-20]  # not among the best before
        np.testing.assert_allclose(2.0 * two, one, rtol=1e-5)


class TestLogOdds:
    @pytest.mark.parametrize("popularity", [1.0, 0.4])
    def test_without_experts_they_are_those_of_the_prior(self, three, popularity):
        blend = Blend(TastePrior(2.0, 1.0, 0.5), three.counts)
        found = blend.log_odds(three.only(0), three.vectors, popularity)[0]
        expected = np.log(by_hand(three, 0, 1.0, popularity))
        np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_odds_are_the_sum_of_the_prior_and_of_scores_by_clicks(self, few, method):
        blend = few.blend(method, by_text=())
        clicked, _ = blend.experts.scores(few.only(0))
        expected = by_hand(few, 0, 0.3)
        expected[blend.experts.by_clicks] += np.maximum(clicked[0], 0.0)
        np.testing.assert_allclose(np.exp(blend.log_odds(few.only(0), few.vectors))[0], expected, rtol=1e-4)
        assert clicked[0, 1] > 0.01

    def test_odds_of_cold_items_add_the_calibrated_score_by_text(self, few):
        """One item by text: its score is its own scale, so that the calibration is exp of the user's terms."""
        calibration = Calibration(slope=0.7, by_clicks=0.2, by_text=0.1, count=0.3, intercept=-0.4)
        blend = few.blend(maybe_new=0.25, calibration=calibration)
        clicked, text = blend.experts.scores(few.only(0))
        known = by_hand(few, 0, 0.3)
        known[blend.experts.by_clicks] += np.maximum(clicked[0], 0.0)
        unseen = np.sort(known[1:])[-20:]  # what is liked already is no measure
        scale = max(np.median(unseen), 0.1 * unseen.max())
        of_user = 0.2 * math.log(scale) + 0.1 * math.log(text[0, 0]) + 0.3 * math.log(2.0) - 0.4
        rate = 1.0 / (few.counts.mean() + 1.0)
        expected = known.copy()
        expected[2] += (0.25 + 0.75 * rate) * scale * math.exp(of_user)
        np.testing.assert_allclose(np.exp(blend.log_odds(few.only(0), few.vectors))[0], expected, rtol=1e-4)

    def test_the_text_of_a_new_item_has_the_weight_1(self, few):
        few.exposure = np.where(np.arange(33) == 2, 0.0, 1.0).astype(np.float32)
        blend = few.blend(strength=1e-6)
        clicked, _ = blend.experts.scores(few.only(0))
        found = np.exp(blend.log_odds(few.only(0), few.vectors))[0]
        assert found[2] == pytest.approx(0.1 * clicked[0, 1], rel=1e-3)  # the one other item that clicks speak for

    def test_scores_below_0_count_as_0(self, three):
        """Who likes item 1 alone: what speaks against an item cannot be less than nothing for it."""
        blend = three.blend(by_text=(), strength=0.0)
        negative = replace(blend.experts.collaborative, blocks=(-blend.experts.collaborative.blocks[0],))
        blend = replace(blend, experts=replace(blend.experts, collaborative=negative))
        found = blend.log_odds(three.only(0), three.vectors)[0]
        np.testing.assert_allclose(found, math.log(TINY), rtol=1e-6)

    def test_novelty_is_added_to_items_without_clicks(self, three):
        for blend in (three.blend(), Blend(TastePrior(), three.counts)):
            plain, moved = (blend.log_odds(three.only(0), three.vectors, 1.0, value) for value in (0.0, 1.5))
            np.testing.assert_allclose(moved - plain, [[0.0, 0.0, 1.5]], atol=1e-6)

    def test_the_cold_offset_changes_the_odds_by_text_of_old_stock_alone(self, many):
        many.exposure = np.where(np.arange(40) == 39, 0.0, 1.0).astype(np.float32)
        blend = many.blend(by_text=range(30, 40))
        history = csr_array(many.clicks[:5])
        (odds, text), (same, bound) = (
            one.parts(history, many.vectors) for one in (blend, replace(blend, cold_offset=-1.0))
        )
        np.testing.assert_array_equal(odds, same)
        np.testing.assert_allclose(bound[:, 30:39], math.exp(-1.0) * text[:, 30:39], rtol=1e-5)
        np.testing.assert_array_equal(bound[:, 39], text[:, 39])
        assert text[:, 30:].min() > 0.0

    def test_parts_add_up(self, many):
        blend, history = many.blend(by_text=range(30, 40)), csr_array(many.clicks[:5])
        odds, by_text = blend.parts(history, many.vectors)
        assert not by_text[:, :30].any()
        np.testing.assert_allclose(np.log(odds + by_text), blend.log_odds(history, many.vectors), rtol=1e-5)

    def test_a_new_item_with_clicks_has_a_score_by_both(self, many):
        """Item 5 came late: three quarters of its text's weight are left by age, and half / (half + c) by its clicks."""
        old, history = many.blend(by_text=(5, *range(30, 40))), csr_array(many.clicks[:5])
        many.exposure = np.where(np.arange(40) == 5, 0.25, 1.0).astype(np.float32)
        new = many.blend(by_text=(5, *range(30, 40)))
        assert not old.parts(history, many.vectors)[1][:, 5].any()
        assert new.parts(history, many.vectors)[1][:, 5].min() > 0.0
        weight = 0.75 * 3.0 / (3.0 + many.counts[5])
        assert new._columns.weight[new._columns.text == 5] == pytest.approx(weight)

    @pytest.mark.parametrize("n_new", [19, 20])
    def test_the_scale_by_text_is_that_of_new_items_if_there_are_20(self, many, n_new):
        many.clicks = csr_array(many.clicks * (np.arange(40) < 15))
        many.clicks.eliminate_zeros()
        many.exposure = np.where(np.arange(40) >= 40 - n_new, 0.0, 1.0).astype(np.float32)
        blend = many.blend(by_text=range(15, 40))
        positions = blend.experts.by_text[blend._columns.scale]
        np.testing.assert_array_equal(positions, np.arange(20 if n_new == 20 else 15, 40))


class TestShares:
    @pytest.mark.parametrize("method", ["exact", "als"])
    @pytest.mark.parametrize("experts", [True, False])
    @pytest.mark.parametrize("popularity", [1.0, 0.0])
    def test_they_sum_to_1_and_popularity_has_none_at_0(self, many, method, experts, popularity):
        blend = many.blend(method, by_text=range(30, 40), maybe_new=0.2)
        blend = blend if experts else replace(blend, experts=None)
        found = blend.shares(many.clicks, many.vectors, popularity)
        assert (found.shape, found.dtype) == ((3, 30, 40), np.float32)
        assert found.min() >= -1e-6
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)
        assert bool(found[2].any()) == bool(popularity)
        assert bool(found[1].any()) == experts

    def test_they_are_proportional_to_the_parts_of_the_odds(self, few):
        blend = few.blend(maybe_new=0.2)
        odds, by_text = blend.parts(few.only(0), few.vectors)
        total, prior = (odds + by_text)[0], by_hand(few, 0, 0.3)
        found = blend.shares(few.only(0), few.vectors)[:, 0]
        np.testing.assert_allclose(found[1], (odds[0] - prior) / total, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[0] + found[2], (prior + by_text[0]) / total, rtol=1e-4)
        cosines = few.vectors @ few.vectors[0]  # of item 0, whose taste and rate are both above the mean
        taste = cosines[0] - cosines.mean()
        rates = 0.5 * np.log(few.counts + 1.0)
        popular = (rates[0] - rates.mean()) / (taste + rates[0] - rates.mean())
        assert found[2, 0] == pytest.approx(popular * prior[0] / total[0], rel=1e-4)


class TestTextWeights:
    RATES = np.log(np.array([0.5, 0.25, 2.0], dtype=np.float32))

    def weights(self, counts, exposure=None, **others):
        exposure = None if exposure is None else np.array(exposure, dtype=np.float32)
        found = text_weights(np.array(counts, dtype=np.float32), exposure, 3.0, **others)
        assert found.dtype == np.float32
        return found

    def test_old_stock_has_its_base_rate(self):
        np.testing.assert_allclose(self.weights([0, 0, 4], log_rates=self.RATES), [0.5, 0.25, 0.0])

    def test_old_stock_that_may_be_new_has_the_mean_of_its_base_rate_and_1(self):
        found = self.weights([0, 0, 4], log_rates=self.RATES, maybe_new=0.2)
        np.testing.assert_allclose(found, [0.2 + 0.8 * 0.5, 0.2 + 0.8 * 0.25, 0.0])

    def test_a_new_item_has_its_base_rate_whatever_maybe_new_is(self):
        found = self.weights([0, 0, 0], [0.0, 0.4, 1.0], log_rates=self.RATES, maybe_new=0.2)
        np.testing.assert_allclose(found, [0.5, 0.25, 0.2 + 0.8 * 2.0])

    def test_without_rates_cold_items_have_the_weight_1(self):
        np.testing.assert_allclose(self.weights([0, 7, 0]), [1.0, 0.0, 1.0])
        np.testing.assert_allclose(self.weights([0, 0, 0], [0.0, 0.5, 1.0]), [1.0, 1.0, 1.0])

    def test_the_weight_of_a_clicked_new_item_falls_with_clicks_and_exposure(self):
        found = self.weights([1, 3, 3, 1], [0.0, 0.0, 0.5, 1.0])
        np.testing.assert_allclose(found, [3 / 4, 3 / 6, 0.5 * 3 / 6, 0.0])

    def test_weights_below_a_tenth_are_0(self):
        assert LEAST_TEXT == 0.1
        np.testing.assert_allclose(self.weights([26, 28, 1], [0.0, 0.0, 0.9]), [3 / 29, 0.0, 0.0], rtol=1e-6)


class TestRefreshed:
    def moved(self, blend, many, clicks=None, origin=None, exposure=None, vectors=None, edited=()):
        clicks = many.clicks if clicks is None else csr_array(clicks)
        origin = np.arange(40) if origin is None else np.asarray(origin)
        vectors = many.vectors if vectors is None else vectors
        return blend.refreshed(exposure, clicks, origin, vectors.__getitem__, np.array(edited, dtype=np.int64))

    def asked(self, blend, many, clicks=None, origin=None, edited=()):
        """Positions whose item vectors are computed."""
        asked = []

        def place(rows):
            asked.extend(rows.tolist())
            return many.vectors[rows]

        clicks = many.clicks if clicks is None else csr_array(clicks)
        origin = np.arange(clicks.shape[1]) if origin is None else np.asarray(origin)
        blend.refreshed(None, clicks, origin, place, np.array(edited, dtype=np.int64))
        return sorted(set(asked))

    def test_only_vectors_of_new_and_edited_items_and_first_clicks_are_computed(self, many):
        blend, clicks = many.blend(by_text=range(30, 40)), many.clicks.toarray()
        assert self.asked(blend, many) == []
        clicks[0] = np.maximum(clicks[0], np.arange(40) < 30)
        assert self.asked(blend, many, clicks) == []
        clicks[0, 33] = 1.0
        assert self.asked(blend, many, clicks) == [33]
        assert self.asked(blend, many, edited=[5, 34]) == [34]
        assert self.asked(blend, many, many.clicks[:, :39], [*range(38), -1]) == [38]
        assert self.asked(replace(blend, experts=None), many, clicks, edited=[33]) == []

    def test_an_item_with_clicks_does_not_become_less_popular_by_waiting(self, many):
        """Its counts are those of the fit, and so is the share of the time that they came in."""
        at_fit, later = np.ones(40, np.float32), np.ones(40, np.float32)
        at_fit[[3, 35]], later[[3, 35]] = 0.1, 0.6
        exposed = replace(many, exposure=at_fit)
        blend = exposed.blend(by_text=range(30, 40), mean_clicks=float(many.counts.mean()))
        fresh = self.moved(blend, many, exposure=later)
        np.testing.assert_allclose(fresh.exposure[[0, 3, 35]], [1.0, 0.1, 0.6], rtol=1e-6)
        np.testing.assert_array_equal(fresh.log_rates[:30], blend.log_rates[:30])
        moved = self.moved(blend, many, many.clicks[:, 1:], np.arange(1, 40), exposure=later[1:])
        assert moved.exposure[2] == np.float32(0.1)

    def test_base_rates_of_warm_items_keep_the_mean_of_the_fit(self, many):
        """What others got since moves no rate of an item that has its clicks still."""
        blend = many.blend(by_text=range(30, 40), mean_clicks=float(many.counts.mean()))
        clicks = many.clicks.toarray()
        clicks[:, 31:] = 1.0
        fresh = self.moved(blend, many, clicks)
        np.testing.assert_array_equal(fresh.log_rates[:31], blend.log_rates[:31])
        assert (fresh.log_rates[31:] > blend.log_rates[31:]).all()
        drifting = self.moved(replace(blend, mean_clicks=None), many, clicks)
        assert (drifting.log_rates[:31] < blend.log_rates[:31]).all()

    def test_counts_of_warm_items_are_kept_and_others_are_updated(self, many):
        clicks = many.clicks.toarray()
        clicks[:4] = 2.5  # counts as 1
        clicks[4:, 31] = 0.0
        fresh = self.moved(many.blend(by_text=range(30, 40)), many, clicks)
        np.testing.assert_array_equal(fresh.counts[:30], many.counts[:30])
        np.testing.assert_array_equal(fresh.counts[30:], 4.0)

    def test_without_experts_all_counts_are_updated(self, many):
        clicks = many.clicks.toarray()
        clicks[:4] = 2.5
        fresh = self.moved(replace(many.blend(), experts=None), many, clicks)
        np.testing.assert_array_equal(fresh.counts, np.minimum(clicks, 1.0).sum(axis=0))

    def test_counts_and_scores_move_with_their_items(self, many):
        """Item 3 goes, the last two change places, and one comes."""
        origin = np.array([*np.delete(np.arange(38), 3), 39, 38, -1])
        clicks = np.pad(many.clicks.toarray(), ((0, 0), (0, 1)))[:, origin]
        vectors = many.vectors[np.where(origin < 0, 0, origin)]
        fresh = self.moved(many.blend(by_text=range(30, 40)), many, clicks, origin, None, vectors)
        assert len(fresh.counts) == 40
        np.testing.assert_array_equal(fresh.counts, [*many.counts[origin[:-1]], 0.0])
        history = csr_array(clicks[:6])
        before = many.blend(by_text=range(30, 40)).parts(csr_array(many.clicks[:6]), many.vectors)[1]
        now = fresh.parts(history, vectors)[1]
        assert (now[:, -2] > 0).all()
        others = np.flatnonzero(many.clicks.toarray()[:6, 3] == 0)
        ratio = now[others, 37] / now[others, 38], before[others, 39] / before[others, 38]
        some = np.abs(np.log(ratio[1])) < 3  # no score at the floor
        assert some.sum() > 2
        np.testing.assert_allclose(ratio[0][some], ratio[1][some], rtol=1e-3)

    def test_exposure_is_replaced(self, many):
        exposure = np.where(np.arange(40) < 30, 1.0, 0.25).astype(np.float32)
        fresh = self.moved(many.blend(by_text=range(30, 40)), many, exposure=exposure)
        np.testing.assert_array_equal(fresh.is_new, np.arange(40) >= 30)
        assert not fresh.is_old_stock.any()
        np.testing.assert_allclose(fresh.log_rates, log_base_rates(many.counts, exposure, 1.0))

    def test_an_item_with_first_clicks_is_scored_by_clicks(self, many):
        clicks = many.clicks.toarray()
        clicks[:6, 33] = 1.0
        blend = many.blend(by_text=range(30, 40))
        fresh = self.moved(blend, many, clicks)
        assert 33 in fresh._columns.clicked
        assert 33 not in fresh._columns.text
        assert 33 not in blend._columns.clicked
        again = self.moved(fresh, many, clicks)
        np.testing.assert_array_equal(again._columns.clicked, fresh._columns.clicked)
        gone = self.moved(fresh, many, many.clicks)
        assert 33 not in gone._columns.clicked
        assert 33 in gone._columns.text

    def test_an_edited_text_changes_the_score_by_text_alone(self, many):
        """Item 33 takes the text of item 34, as does item 5, which has clicks, and item 35, which nobody says changed."""
        blend, vectors = many.blend(by_text=range(30, 40)), many.vectors.copy()
        vectors[[5, 33, 35]] = vectors[34]
        fresh, history = self.moved(blend, many, vectors=vectors, edited=[5, 33]), csr_array(many.clicks[:6])
        (odds, before), (same, text) = (one.parts(history, many.vectors) for one in (blend, fresh))
        np.testing.assert_allclose(text[:, 33], text[:, 34], rtol=1e-3)
        assert not np.allclose(before[:, 33], before[:, 34], rtol=0.1)
        assert not np.allclose(text[:, 35], text[:, 34], rtol=0.1)
        np.testing.assert_allclose(same, odds, rtol=1e-6)

    def test_an_edited_text_changes_the_column_of_an_item_with_first_clicks(self, many):
        clicks, vectors = many.clicks.toarray(), many.vectors.copy()
        clicks[:6, 33], vectors[33] = 1.0, vectors[36]
        blend = many.blend(by_text=range(30, 40))
        fresh = self.moved(self.moved(blend, many, clicks), many, clicks, vectors=vectors, edited=[33])
        at_once = self.moved(blend, many, clicks, vectors=vectors, edited=[33])
        found, expected = (one.parts(many.clicks, many.vectors)[0][:, 33] for one in (fresh, at_once))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        stale = self.moved(blend, many, clicks).parts(many.clicks, many.vectors)[0][:, 33]
        assert not np.allclose(stale, expected, rtol=1e-3)

    def test_a_change_leaves_the_blend_as_it_was(self, many):
        blend, clicks = many.blend(by_text=range(30, 40)), many.clicks.toarray()
        before = blend.log_odds(many.clicks, many.vectors)
        clicks[:, 33] = 1.0
        self.moved(blend, many, clicks)
        np.testing.assert_array_equal(blend.log_odds(many.clicks, many.vectors), before)
