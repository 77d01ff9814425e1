from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart._arrays import unit_rows
from coldstart.data.holdout import Fold, cut
from coldstart.rankers.hybrid import tuning
from coldstart.rankers.hybrid.blend import Blend
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.config import PRIOR_ALONE, HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts
from coldstart.rankers.hybrid.prior import TastePrior
from coldstart.rankers.hybrid.tuning import (
    GROUP_SIZE,
    MIN_CLICKS,
    MIN_OFFSET,
    PRIOR_ERRORS,
    _compare,
    _give,
    _lexical_weight_ndcgs,
    auto_cold_share,
    cold_offset,
    tune,
)

CONFIG = HybridConfig()


@pytest.fixture(scope="module")
def halves(make_halves):
    return make_halves()


def tuned(world, method="exact", config=CONFIG, fold=None, exposure=None, seed=0, placed=None):
    """What is chosen on a fold of a world's clicks."""
    fold = cut(world.clicks, np.random.default_rng(seed)) if fold is None else fold
    start = Collaborative(method)
    placed = {0.0: world.texts} if placed is None else placed
    return tune(fold, placed, world.texts, exposure, start, config, np.random.default_rng(seed))


class TestCompare:
    """Which strengths of the prior are not significantly worse than the best, at one share of taste."""

    def compare(self, *groups):
        mean, proven = _compare([group[None] for group in groups], PRIOR_ERRORS)
        return mean[0], np.flatnonzero(proven[0]).tolist()

    def test_values_within_two_standard_errors_of_the_best_are_accepted(self):
        """The third value differs by less than its error, the last by four."""
        rng = np.random.default_rng(0)
        best = 0.5 + 0.1 * rng.standard_normal(100)
        noise = 0.05 * np.where(np.arange(100) % 2, 1.0, -1.0)  # mean 0; its standard error is 0.005
        group = np.stack([best - 0.1 * noise, best, best - 0.004 + noise, best - 0.02 + noise])
        mean, as_good = self.compare(group)
        assert as_good == [0, 1, 2]
        assert mean == pytest.approx(group.mean(axis=1))

    def test_values_more_than_two_standard_errors_below_the_best_are_rejected(self):
        rng = np.random.default_rng(0)
        best = 0.5 + 0.1 * rng.standard_normal(100)
        noise = 0.05 * np.where(np.arange(100) % 2, 1.0, -1.0)
        group = np.stack([best, best - 0.011 + noise, best - 0.02 + noise, best - 0.02 - noise])
        assert self.compare(group)[1] == [0]

    def test_groups_are_averaged_geometrically(self):
        """The second value doubles a small number and takes a quarter of a large one; the third is the reverse."""
        small, large = np.array([0.1, 0.2, 0.08, 0.1]), np.array([0.8, 0.6, 0.9, 0.1])
        mean, as_good = self.compare(*(np.tile(one[:, None], (1, 50)) for one in (small, large)))
        assert as_good == [1]
        assert mean == pytest.approx(np.sqrt(small * large))

    def test_users_for_whom_nothing_is_relevant_are_left_out(self):
        group = np.tile(np.array([[0.2], [0.4], [0.3], [0.1]]), (1, 5))
        group[:, 2] = np.nan
        mean, as_good = self.compare(group)
        assert (as_good, mean[1]) == ([1], pytest.approx(0.4))

    def test_where_ndcg_is_0_for_all_values_all_are_accepted(self):
        assert self.compare(np.zeros((4, 5)))[1] == [0, 1, 2, 3]


class TestLexicalWeightNdcgs:
    def spaces(self, world):
        rng = np.random.default_rng(0)
        return {0.0: world.texts, 0.3: unit_rows(rng.standard_normal(world.texts.shape).astype(np.float32))}

    def weights(self, world, fold, placed=None, method="exact"):
        warm = np.unique(fold.train.indices).astype(np.int64)
        placed = self.spaces(world) if placed is None else placed
        model = Collaborative(method).fit(csr_array(fold.train[:, warm]), world.texts[warm], CONFIG)
        return _lexical_weight_ndcgs(fold, model, warm, placed, CONFIG)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_vectors_that_separate_kinds_have_the_higher_ndcg(self, halves, method):
        found = self.weights(halves, cut(halves.clicks, np.random.default_rng(0)), method=method)
        assert set(found) == {0.0, 0.3}
        meaning, words = (np.nanmean(of_users) for of_users in found.values())
        assert 1.0 > meaning > words + 0.1 > 0.1

    @pytest.mark.parametrize("at", [0.0, 0.3])
    def test_the_weight_with_the_highest_ndcg_is_chosen_and_reported(self, halves, at):
        """Whichever weight it has."""
        right, wrong = self.spaces(halves).values()
        placed = {0.0: right if at == 0.0 else wrong, 0.3: wrong if at == 0.0 else right}
        chosen, report = tuned(halves, placed=placed)
        assert chosen.lexical_weight == at
        assert set(report["lexical_weight"]) == {0.0, 0.3}
        assert report["lexical_weight"][at] == max(report["lexical_weight"].values())

    def test_words_that_change_nothing_for_sure_are_left_out(self, halves):
        """The two spaces differ by a hair: whichever is ahead, it is so by chance."""
        noise = 1e-3 * np.random.default_rng(0).standard_normal(halves.texts.shape)
        for sign in (1.0, -1.0):
            near = unit_rows((halves.texts + sign * noise).astype(np.float32))
            assert tuned(halves, placed={0.0: halves.texts, 0.3: near})[0].lexical_weight == 0.0

    def test_a_single_weight_is_taken_without_comparison(self, halves):
        fold = cut(halves.clicks, np.random.default_rng(0))
        assert self.weights(halves, fold, {0.3: halves.texts}) == {}
        chosen, report = tuned(halves, placed={0.3: halves.texts})
        assert chosen.lexical_weight == 0.3
        assert not report.get("lexical_weight")

    def test_scores_of_ease_are_targets_beside_clicks(self, halves):
        fold = cut(halves.clicks, np.random.default_rng(0))
        warm = np.unique(fold.train.indices).astype(np.int64)
        model = Collaborative().fit(csr_array(fold.train[:, warm]), halves.texts[warm], CONFIG)
        with_them, without = (
            _lexical_weight_ndcgs(fold, model, warm, self.spaces(halves), replace(CONFIG, cf_target_weight=weight))
            for weight in (5.0, 0.0)
        )
        assert not np.array_equal(with_them[0.0], without[0.0])

    def test_it_is_empty_with_too_few_evaluation_users(self, halves):
        fold = cut(halves.clicks, np.random.default_rng(0))
        some = np.flatnonzero(np.diff(csr_array(fold.held[:, fold.cold]).indptr))

        def of(n_users):
            rows = np.ones(fold.held.shape[0], dtype=bool)
            rows[some[n_users:]] = False
            less = csr_array(fold.held.multiply(rows[:, None]))
            less.eliminate_zeros()
            return self.weights(halves, replace(fold, held=less))

        assert of(MIN_CLICKS - 1) == {}
        assert {len(of_users) for of_users in of(MIN_CLICKS).values()} == {MIN_CLICKS}
        nobody = csr_array(fold.held.shape, dtype=np.float32)
        assert self.weights(halves, replace(fold, held=nobody)) == {}


class TestColdOffset:
    @pytest.fixture(scope="class")
    def blend(self, halves):
        experts = FittedExperts.fit(
            halves.clicks, halves.texts, np.flatnonzero(halves.cold), Collaborative(), CONFIG
        ).compiled()
        counts = np.asarray(halves.clicks.sum(axis=0), dtype=np.float32)
        return Blend(TastePrior(strength=0.01), counts, None, experts, maybe_new=0.5)

    def share_of(self, world, blend):
        """Of the first 20 places of all users, what they clicked left out."""
        odds = np.where(world.clicks.toarray() > 0, -np.inf, blend.log_odds(world.clicks, world.texts))
        return world.cold[np.argsort(-odds, axis=1, kind="stable")[:, :20]].mean()

    @pytest.mark.parametrize("share", [0.02, 0.1, 0.2, 0.3])
    def test_the_share_is_just_below_the_bound(self, halves, blend, share):
        offset, before, after = cold_offset(blend, halves.clicks, halves.texts, share)
        assert before == pytest.approx(self.share_of(halves, blend))
        assert before > share
        assert MIN_OFFSET < offset < 0.0
        assert after == pytest.approx(self.share_of(halves, replace(blend, cold_offset=offset)))
        assert share - 0.02 < after <= share

    def test_it_is_0_when_the_share_is_within_the_bound_without_it(self, halves, blend):
        _, before, after = cold_offset(blend, halves.clicks, halves.texts, 1.0)
        assert after == before
        assert cold_offset(blend, halves.clicks, halves.texts, before) == (0.0, before, before)
        assert cold_offset(blend, halves.clicks, halves.texts, before - 0.001)[0] < 0.0

    def test_new_items_are_not_bounded(self, halves, blend):
        new = replace(blend, exposure=np.where(halves.cold, 0.0, 1.0).astype(np.float32))
        assert cold_offset(new, halves.clicks, halves.texts, 0.0) == (0.0, 0.0, 0.0)

    def test_beside_new_items_old_stock_has_fewer_places(self, halves, blend):
        old = halves.cold & (np.arange(halves.n_items) % 2 == 0)
        some = replace(blend, exposure=np.where(halves.cold & ~old, 0.0, 1.0).astype(np.float32))
        odds = np.where(halves.clicks.toarray() > 0, -np.inf, some.log_odds(halves.clicks, halves.texts))
        expected = old[np.argsort(-odds, axis=1, kind="stable")[:, :20]].mean()
        assert cold_offset(some, halves.clicks, halves.texts, 1.0) == (
            0.0,
            pytest.approx(expected),
            pytest.approx(expected),
        )

    def test_it_is_0_without_users(self, halves, blend):
        nobody = csr_array((3, halves.n_items), dtype=np.float32)
        assert cold_offset(blend, nobody, halves.texts, 0.0) == (0.0, 0.0, 0.0)

    def test_places_due_to_the_prior_are_not_bounded(self, halves, blend):
        """The offset is on what texts say beside the clicks of others: it ends at its least."""
        prior = replace(blend, prior=TastePrior(weight=0.0, strength=100.0))
        offset, before, after = cold_offset(prior, halves.clicks, halves.texts, 0.0)
        assert offset == MIN_OFFSET
        assert before >= after > 0.2
        assert after == pytest.approx(self.share_of(halves, replace(prior, cold_offset=offset)))


class TestAutoColdShare:
    def share(self, counts, most=0.2, old=None):
        counts = np.array(counts, dtype=np.float32)
        return auto_cold_share(counts, counts == 0 if old is None else np.array(old), most)

    def test_with_many_clicks_it_is_the_given_limit(self):
        assert self.share([0, 0, 50, 50]) == 0.2

    def test_it_is_at_most_the_share_of_the_catalogue(self):
        assert self.share([0, 9, 9, 9, 9, 9, 9, 9, 9, 9]) == pytest.approx(0.1)
        assert self.share([0, 0, 9, 9], old=[True, False, False, False], most=0.9) == pytest.approx(0.25)

    def test_with_few_clicks_it_is_the_good_turing_share(self):
        """Three of eight clicks are on such items, and half of the items have none."""
        assert self.share([0, 0, 0, 0, 1, 1, 1, 5]) == pytest.approx(3 / 8)
        assert self.share([0, 0, 0, 0, 1, 1, 1, 1]) == pytest.approx(0.5)

    def test_without_clicks_it_is_the_given_limit(self):
        assert self.share([0, 0, 0, 0]) == 0.2


class TestGive:
    def test_users_with_more_clicks_are_given_so_many_and_the_rest_is_held_out(self, halves):
        some = csr_array(halves.clicks[:, :40])
        history, rest = _give(some, 2, np.random.default_rng(0))
        more = np.diff(some.indptr) > 2
        assert 0 < more.sum() < len(more)
        assert np.diff(history.indptr).tolist() == [2] * more.sum()
        np.testing.assert_array_equal((history + rest).toarray(), some[np.flatnonzero(more)].toarray())

    def test_given_clicks_are_drawn_at_random(self, halves):
        first, other = (_give(halves.clicks, 2, np.random.default_rng(seed))[0].toarray() for seed in (0, 1))
        assert (first != other).any()
        assert np.flatnonzero(first.sum(axis=0)).max() > 60


class TestTune:
    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_without_held_out_clicks_the_start_is_returned(self, halves, method):
        fold = cut(halves.clicks, np.random.default_rng(0))
        silent = replace(fold, held=csr_array(fold.held.shape, dtype=np.float32))
        chosen, report = tuned(halves, method, fold=silent)
        assert chosen.collaborative == Collaborative(method)
        assert (chosen.calibration, report) == (Calibration(), {})
        assert chosen.prior.strength == PRIOR_ALONE == max(CONFIG.prior_strength)

    def test_without_held_out_clicks_on_warm_items_the_start_is_returned(self, halves):
        fold = cut(halves.clicks, np.random.default_rng(0))
        of_cold = csr_array(fold.held * fold.cold)
        of_cold.eliminate_zeros()
        assert of_cold.nnz > 100
        chosen, report = tuned(halves, fold=replace(fold, held=of_cold))
        assert (chosen.collaborative, report) == (Collaborative(), {})

    def test_the_ridge_and_text_prior_with_the_highest_ndcg_are_chosen(self, halves):
        chosen, report = tuned(halves)
        for name in ("l2", "text_prior"):
            tried = report[name]
            assert set(tried) <= set(getattr(CONFIG, name))
            assert tried[getattr(chosen.collaborative, name)] == max(tried.values())
        assert report["text_prior"][0.0] == max(report["l2"].values())  # searched one after the other

    def test_the_unobserved_weight_with_the_highest_ndcg_is_chosen(self, halves):
        chosen, report = tuned(halves, "als")
        assert set(report["unobserved"]) == set(CONFIG.unobserved)
        assert report["unobserved"][chosen.collaborative.unobserved] == max(report["unobserved"].values())
        assert "l2" not in report

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_the_search_climbs_from_the_middle_until_both_neighbours_are_worse(self, make_halves, method):
        """From the middle upwards, and downwards where that is no better."""
        of = {"exact": ("l2", "text_prior"), "als": ("unobserved",)}[method]
        config = replace(CONFIG, unobserved=(5.0, 10.0, 20.0))
        _, report = tuned(make_halves(seed=3), method, config=config)
        for name in of:
            values, tried = getattr(config, name), list(report[name])
            assert tried[0] == values[len(values) // 2]
            at = sorted(values.index(value) for value in tried)
            assert at == list(range(at[0], at[-1] + 1))
            best = values.index(max(report[name], key=report[name].get))
            assert {max(best - 1, 0), min(best + 1, len(values) - 1)} <= set(at)

    def test_share_of_taste_and_strength_are_chosen_together(self, halves):
        """What is reported of one is at the other's value; the pair is as good as any, but for an error."""
        chosen, report = tuned(halves)
        assert tuple(report["taste_share"]) == CONFIG.taste_share
        assert tuple(report["prior_strength"]) == CONFIG.prior_strength
        alone, _ = tuned(halves, config=replace(CONFIG, taste_share=(1.0,)))
        share = min(CONFIG.taste_share, key=lambda one: abs(one * alone.prior.taste - chosen.prior.taste))
        assert chosen.prior.taste == pytest.approx(share * alone.prior.taste)
        assert report["taste_share"][share] == report["prior_strength"][chosen.prior.strength]
        for other in CONFIG.taste_share:
            _, of_other = tuned(halves, config=replace(CONFIG, taste_share=(other,)))
            reported = report["taste_share"][other]
            assert reported == pytest.approx(of_other["prior_strength"][chosen.prior.strength])
            assert max(of_other["prior_strength"].values()) < 1.1 * report["taste_share"][share]

    def test_the_order_of_a_grid_does_not_matter(self, halves):
        turned = replace(CONFIG, taste_share=CONFIG.taste_share[::-1], prior_strength=CONFIG.prior_strength[::-1])
        (one, report), (other, of_other) = tuned(halves), tuned(halves, config=turned)
        assert one == other
        assert report == of_other

    def test_the_chosen_prior_has_the_learned_taste_times_its_share(self, halves):
        chosen, _ = tuned(halves, config=replace(CONFIG, taste_share=(0.5,)))
        whole, _ = tuned(halves, config=replace(CONFIG, taste_share=(1.0,)))
        assert chosen.prior.taste == pytest.approx(0.5 * whole.prior.taste)
        assert whole.prior.taste >= CONFIG.taste

    def test_the_prior_is_compared_by_all_evaluation_users(self, make_halves, monkeypatch):
        """With a part of the known users, the error of the comparison, and so the prior, would be larger."""
        groups = []
        monkeypatch.setattr(tuning, "_compare", lambda ndcgs, errors: groups.extend(ndcgs) or _compare(groups, errors))
        world = make_halves(n_users=900)
        fold = cut(world.clicks, np.random.default_rng(0))
        tuned(world, fold=fold)
        warm = np.unique(fold.train.indices)
        known = (np.diff(fold.held[:, warm].tocsr().indptr) > 0) & (np.diff(fold.train.indptr) > 0)
        assert groups[0].shape[2] == known.sum() > GROUP_SIZE

    @pytest.mark.parametrize("method", ["exact", "als"])
    @pytest.mark.parametrize("seed", range(3))
    def test_with_few_clicks_that_follow_taste_the_prior_is_strong(self, make_world, method, seed):
        """A click for each item: hardly two items have users in common."""
        world = make_world(n_users=100, per_kind=400, inside=0.03, outside=0.0005, noise=1.0, seed=seed)
        chosen, _ = tuned(world, method, seed=seed)
        assert chosen.prior.strength >= 1.0
        assert chosen.prior.taste > 0.0

    @pytest.mark.parametrize("method", ["exact", "als"])
    @pytest.mark.parametrize("seed", range(3))
    def test_with_many_clicks_that_texts_do_not_explain_the_prior_is_weak(self, make_halves, method, seed):
        chosen, report = tuned(make_halves(n_users=400, seed=seed), method, seed=seed)
        assert chosen.prior.strength <= 0.3
        assert report["prior_strength"][chosen.prior.strength] > 1.25 * report["prior_strength"][1e6]

    def test_a_calibration_is_learned_only_with_experts(self, halves, make_world):
        chosen, _ = tuned(halves)
        assert chosen.prior.strength < max(CONFIG.prior_strength)
        assert chosen.calibration != Calibration()
        assert tuned(halves, config=replace(CONFIG, prior_strength=(1e6,)))[0].calibration == Calibration()

    def test_fewer_than_20_clicks_on_cold_items_give_the_default_calibration(self, halves):
        fold = cut(halves.clicks, np.random.default_rng(0))
        of_cold = csr_array(fold.held * fold.cold)
        pairs = csr_array(fold.held - of_cold)
        row, column = of_cold.nonzero()
        few = csr_array((np.ones(MIN_CLICKS - 1), (row[: MIN_CLICKS - 1], column[: MIN_CLICKS - 1])), shape=pairs.shape)
        chosen, _ = tuned(halves, fold=replace(fold, held=csr_array(pairs + few, dtype=np.float32)))
        assert chosen.calibration == Calibration()

    def test_with_one_click_per_user_the_start_is_returned(self):
        clicks = csr_array(np.eye(20, dtype=np.float32)[np.random.default_rng(0).integers(0, 20, 300)])
        fold = cut(clicks, np.random.default_rng(0))
        assert isinstance(fold, Fold)
        vectors = unit_rows(np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32))
        chosen, report = tune(fold, {0.3: vectors}, vectors, None, Collaborative(), CONFIG, np.random.default_rng(0))
        assert (chosen.collaborative, chosen.lexical_weight, report) == (Collaborative(), 0.3, {})
        assert chosen.prior.strength == PRIOR_ALONE
