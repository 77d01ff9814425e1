import copy
import io
import math
import re
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import ColdstartWarning, InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid import scorers as scorers_module
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.hybrid.reader import MEANING
from coldstart.rankers.hybrid.tuning import auto_cold_share
from coldstart.testing import HashEncoder, check_ranker, check_recommender, tiny_catalog, tiny_clicks

FEWEST = HybridConfig().fewest_clicks
UNBOUNDED = {"cold_share": None}


@pytest.fixture(scope="module")
def world(make_halves):
    """At least 1,000 clicks that say more than texts: the ranker has experts."""
    made = make_halves()
    assert made.clicks.nnz >= FEWEST
    return made


@pytest.fixture(scope="module")
def small(make_world):
    """Fewer: the prior alone ranks."""
    made = make_world(n_users=24, n_cold=24, per_kind=44)
    assert made.clicks.nnz < FEWEST
    return made


KIND_WORDS = [
    ["sun", "moon", "star"],
    ["rose", "lily", "tulip"],
    ["beat", "song", "tune"],
    ["soup", "bread", "plum"],
]


def titles_of(world):
    """Two words of the item's kind, and one of fifty that all kinds share."""
    rng = np.random.default_rng(0)
    return [" ".join([*rng.choice(KIND_WORDS[kind], 2), f"w{rng.integers(50)}"]) for kind in world.kinds]


@dataclass
class Worded:
    """A world whose items have words too."""

    world: Any
    encoder: LexicalEncoder

    def users(self, text, kind=None, history=None):
        """A user with a query that has the meaning of a kind."""
        said = 0.01 * np.ones(8) if kind is None else self.world.text_of(kind)
        return self.world.users(history, query=said, words=self.encoder.encode_query([text]))


@pytest.fixture(scope="module")
def worded(make_halves):
    world = make_halves()
    encoder = LexicalEncoder().fit(titles_of(world))
    world.features = Features(world.features.dense, encoder.encode(titles_of(world)))
    return Worded(world, encoder)


def fitted(world, clicks=None, exposure=None, **params):
    """A ranker without exposure and without a bound on old stock, by default."""
    features = world.features if exposure is None else replace(world.features, exposure=exposure)
    return HybridRanker(**UNBOUNDED | params).fit(features, world.clicks if clicks is None else csr_array(clicks))


@pytest.fixture(scope="module")
def of_words(worded):
    return fitted(worded.world)


@pytest.fixture(scope="module")
def ranker(world):
    made = fitted(world)
    assert made.blend_.experts is not None
    return made


@pytest.fixture(scope="module")
def of_small(small):
    return fitted(small)


@pytest.fixture(scope="module")
def of_new(world):
    """Items without clicks have just arrived."""
    return fitted(world, exposure=(~world.cold).astype(np.float32))


def by_kind(world, scores, cold):
    """Mean score of each user on the items of each kind."""
    kinds = range(world.kinds.max() + 1)
    return np.stack([scores[:, (world.kinds == kind) & (world.cold == cold)].mean(axis=1) for kind in kinds], axis=1)


def lists_of(world, ranker, features=None, k=20):
    """The first items of every user, without those they clicked."""
    clicks = world.clicks.toarray()
    scores = ranker.score(world.users(clicks), world.features if features is None else features)
    return np.argsort(-np.where(clicks > 0, -np.inf, scores), axis=1, kind="stable")[:, :k]


def share_of_old_stock(world, ranker):
    return world.cold[lists_of(world, ranker)].mean()


PARAMS = [{}, {"novelty": -1.0}, {"method": "als"}, {"popularity": 0.0}, UNBOUNDED]


class TestContracts:
    @pytest.mark.parametrize("params", PARAMS, ids=str)
    def test_the_contract_of_rankers_holds(self, params):
        check_ranker(HybridRanker(**params))

    @pytest.mark.parametrize("params", PARAMS, ids=str)
    def test_the_contract_of_recommenders_holds(self, params):
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(**params)))

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_the_contract_of_recommenders_holds_with_experts(self, method):
        """Eight items: the settings are chosen from 24 clicks."""
        params = {"config": HybridConfig(fewest_clicks=1, taste_share=(0.25,), prior_strength=(0.1, 1e6))}
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(method=method, **params)))

    def test_score_does_not_change_its_arguments(self, world, ranker):
        users, before = (world.users(world.only(1, 2), world.only(3), world.text_of(1)) for _ in range(2))
        ranker.score(users, world.features)
        for name in ("history", "disliked"):
            assert (getattr(users, name) != getattr(before, name)).nnz == 0
        assert np.array_equal(users.query.dense, before.query.dense)

    def test_retired_parameters_are_accepted_by_load_alone(self):
        assert not set(HybridRanker().get_params()) & HybridRanker.retired
        with pytest.raises(TypeError, match="few"):
            HybridRanker(few=3.0)


class TestWithoutClicks:
    @pytest.fixture
    def items(self):
        return Features(np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32))

    def users(self, history=None, disliked=None, query=None, profile=None):
        """Three users."""
        rng = np.random.default_rng(1)
        nobody, silent = csr_array((3, 30), dtype=np.float32), Features(np.zeros((3, 5), dtype=np.float32))
        lists = [csr_array((rng.random((3, 30)) < 0.2).astype(np.float32)) for _ in range(2)]
        texts = [Features(rng.standard_normal((3, 5)).astype(np.float32)) for _ in range(2)]
        given = (history, disliked, query, profile)
        nothing = (nobody, nobody, silent, silent)
        return Users(*(one if said else none for said, one, none in zip(given, [*lists, *texts], nothing, strict=True)))

    @pytest.mark.parametrize("clicks", [None, csr_array((4, 30), dtype=np.float32)], ids=["none", "empty"])
    def test_scores_of_a_history_are_cosines_to_its_mean(self, items, clicks):
        found, users = HybridRanker(novelty=3.0).fit(items, clicks), self.users(history=True)
        likes = users.history.sum(axis=1)[:, None]
        expected = 6.7 * likes / (likes + 1.0) * CosineRanker().fit(items).score(users, items)
        np.testing.assert_allclose(found.score(users, items) - 3.0, expected, rtol=1e-4, atol=1e-4)
        assert (found.report_, found.blend_.experts) == ({}, None)

    @pytest.mark.parametrize("said", ["query", "profile"])
    def test_scores_of_a_text_follow_the_cosine(self, items, said):
        users = self.users(**{said: True})
        found = HybridRanker().fit(items).score(users, items)
        expected = CosineRanker().fit(items).score(users, items)
        for row, cosines in zip(found, expected, strict=True):
            assert np.corrcoef(row, cosines)[0, 1] > 0.8
            assert row.argmax() in np.argsort(-cosines)[:3]

    def test_a_history_and_a_query_both_count(self, items):
        fitted = HybridRanker().fit(items)
        by_history, by_query = (fitted.score(self.users(**{said: True}), items) for said in ("history", "query"))
        both = fitted.score(self.users(history=True, query=True), items)
        assert np.corrcoef(both.ravel(), by_query.ravel())[0, 1] > 0.5
        assert np.corrcoef(both.ravel(), by_history.ravel())[0, 1] > 0.3

    def test_a_dislike_lowers_scores_by_half_the_worth_of_a_like(self, items):
        fitted = HybridRanker().fit(items)
        vectors = CosineRanker().fit(items).item_vectors(items)
        plain, found = (fitted.score(self.users(history=True, disliked=said), items) for said in (False, True))
        disliked = self.users(disliked=True).disliked
        weight = 0.5 * MEANING / fitted._items_of(items).query_scorer.spread
        expected = weight * np.maximum((disliked @ vectors) @ vectors.T, 0.0)
        np.testing.assert_allclose(plain - found, expected, rtol=1e-4, atol=1e-4)

    def test_a_word_of_the_query_raises_an_item_above_its_twin_without_it(self, worded):
        world = worded.world
        dense = world.features.dense.copy()
        dense[1] = dense[0]
        features = replace(world.features, dense=dense)
        fitted = HybridRanker().fit(features)
        words = [title.split()[-1] for title in titles_of(world)]
        assert words[0] != words[1]
        scores = fitted.score(worded.users(words[0], kind=0), features)[0]
        without = fitted.score(world.users(query=world.text_of(0)), features)[0]
        assert scores[0] - scores[1] > max(2 * abs(without[0] - without[1]), 1.0)

    def test_a_second_fit_without_clicks_starts_anew(self, world):
        again = fitted(world)
        assert again.report_
        again.fit(world.features)
        assert (again.report_, again.blend_.experts, again.blend_.counts.any()) == ({}, None, False)


class TestFewClicks:
    """Fewer than 1,000 clicks: the prior ranks alone."""

    def new_users(self, world, n_clicks):
        """Scores of new users with a few likes, after some clicks of others, and the items without any click."""
        rng = np.random.default_rng(0)
        clicks = np.zeros((n_clicks, world.n_items), dtype=np.float32)
        clicks[np.arange(n_clicks) // 2, rng.permutation(world.n_items)[:n_clicks]] = 1.0
        histories = np.stack([world.only(*rng.permutation(world.n_items)[:likes]) for likes in (1, 2, 5)])
        scores = HybridRanker().fit(world.features, csr_array(clicks)).score(world.users(histories), world.features)
        return scores, clicks.sum(axis=0) == 0

    def test_five_clicks_of_others_keep_the_order_of_unclicked_items_for_new_users(self, small):
        (before, _), (after, unclicked) = (self.new_users(small, count) for count in (0, 5))
        assert unclicked.sum() == small.n_items - 5
        assert np.array_equal(np.argsort(-before[:, unclicked]), np.argsort(-after[:, unclicked]))
        gained = (after - before)[:, ~unclicked] - (after - before)[:, unclicked].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(gained, math.log(2), atol=0.15)  # two clicks where a mean item has one

    def test_five_clicks_of_others_keep_the_order_of_unclicked_items_for_a_query(self, small):
        clicks = np.zeros((5, small.n_items), dtype=np.float32)
        clicks[np.arange(5), [3, 50, 60, 100, 120]] = 1.0
        users, unclicked = small.users(query=np.eye(8)[:3]), clicks.sum(axis=0) == 0
        before, after = (
            HybridRanker().fit(small.features, made).score(users, small.features)[:, unclicked]
            for made in (None, csr_array(clicks))
        )
        assert np.array_equal(np.argsort(-before), np.argsort(-after))

    def test_items_with_the_same_text_differ_by_their_weighted_log_base_rates(self, small):
        dense = small.features.dense.copy()
        dense[1] = dense[0]
        clicks = small.clicks.toarray()
        clicks[:, :2] = 0.0
        clicks[:9, 1] = 1.0
        features = Features(dense)
        learned = HybridRanker().fit(features, csr_array(clicks))
        rare, popular = learned.score(small.users(small.only(5)), features)[0, :2]
        mean = clicks.sum() / small.n_items
        expected = learned.blend_.prior.weight * math.log((9 + 1) / (mean + 1) / (1 / (mean + 1)))
        assert popular - rare == pytest.approx(expected, rel=1e-3)


class TestWithExperts:
    @pytest.mark.parametrize("cold", [True, False], ids=["cold items", "warm items"])
    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_items_of_the_kind_that_a_user_likes_score_best(self, world, method, cold):
        made = fitted(world, method=method)
        assert made.blend_.experts is not None
        scores = made.score(world.users(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, cold).argmax(axis=1) == world.likes) > 0.95

    def test_clicks_separate_items_with_the_same_text(self, world, ranker):
        scores = ranker.score(world.users(world.clicks.toarray()), world.features)
        for user in range(40):
            mine = (world.kinds == world.likes[user]) & ~world.cold
            half = (np.arange(world.n_items) % 2 == 1) == bool(user // 4 % 2)
            assert scores[user, mine & half].mean() > scores[user, mine & ~half].mean()

    def test_one_click_on_a_warm_item_shows_the_kind(self, world, ranker):
        kinds = range(4)
        histories = np.stack([world.only(np.flatnonzero(~world.cold & (world.kinds == kind))[0]) for kind in kinds])
        scores = ranker.score(world.users(histories), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2, 3]

    def test_the_report_has_the_ndcg_of_each_value_tried(self, ranker):
        config = HybridConfig()
        for name in ("taste_share", "prior_strength"):
            assert tuple(ranker.report_[name]) == getattr(config, name)
        for name in ("l2", "text_prior"):  # from the middle one on, as long as they are better
            assert len(ranker.report_[name]) >= 2
            assert set(ranker.report_[name]) <= set(getattr(config, name))
        for name in ("l2", "text_prior", "taste_share", "prior_strength"):
            assert all(type(value) is float and 0.0 < value < 1.0 for value in ranker.report_[name].values())
        assert ranker.blend_.prior.strength in config.prior_strength
        assert set(ranker.report_["seconds"]) == {"tuning", "experts", "old stock"}
        assert "TastePrior(" in repr(ranker.blend_.prior)

    def test_the_prior_ranks_alone_where_experts_do_no_better(self, make_world):
        world = make_world()
        made = fitted(world)
        assert made.blend_.experts is None
        assert made.report_["prior_strength"]
        scores = made.score(world.users(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, False).argmax(axis=1) == world.likes) > 0.97

    def test_the_same_rng_gives_the_same_bytes_and_another_one_another_fold(self, world, ranker):
        users = world.users(world.clicks.toarray()[:4])
        same, other = (fitted(world, rng=rng) for rng in (0, 1))
        assert same.score(users, world.features).tobytes() == ranker.score(users, world.features).tobytes()
        reports = [{**one.report_, "seconds": None} for one in (same, ranker, other)]
        assert reports[0] == reports[1] != reports[2]

    @pytest.mark.parametrize("method", ["exact", "als"])
    @pytest.mark.parametrize("of", ["world", "small"])
    def test_a_click_of_weight_above_1_counts_as_1(self, request, of, method):
        world = request.getfixturevalue(of)
        weighted = world.clicks.copy()
        weighted.data = np.random.default_rng(0).choice([1.0, 3.0, 1e6], weighted.nnz).astype(np.float32)
        plain, other = (fitted(world, clicks, method=method) for clicks in (world.clicks, weighted))
        one, two = (world.users(clicks.toarray()[:5]) for clicks in (world.clicks, weighted))
        assert np.array_equal(other.score(two, world.features), plain.score(one, world.features))

    def test_a_click_of_half_the_weight_counts_half(self, small, of_small):
        weighted = small.clicks.copy()
        weighted.data = np.full(weighted.nnz, 0.5, dtype=np.float32)
        np.testing.assert_allclose(fitted(small, weighted).blend_.counts, 0.5 * small.clicks.sum(axis=0))
        history = np.zeros((2, small.n_items), dtype=np.float32)
        history[0, [0, 44]], history[1, [0, 44]] = (1.0, 0.5), (0.5, 1.0)
        found = by_kind(small, of_small.score(small.users(history), small.features), True)
        assert found[0, 0] > found[1, 0]
        assert found[0, 1] < found[1, 1]

    @pytest.mark.parametrize("of", ["world", "small"])
    def test_a_stored_zero_is_no_click(self, request, of):
        """A weight of 1e-50 is above 0 and 0 as a float32."""
        world = request.getfixturevalue(of)
        made, pairs = fitted(world), world.clicks.tocoo()
        row, column = np.append(pairs.row, 0), np.append(pairs.col, np.flatnonzero(world.cold)[0])
        weights = np.append(pairs.data.astype(np.float64), 1e-50)
        other = fitted(world, csr_array((weights, (row, column)), shape=world.clicks.shape))
        for query in (None, world.text_of(1)):
            silent = world.users(world.only(0), query=query)
            silent.history.data[:] = 0.0
            expected = made.score(world.users(world.only(), query=query), world.features)
            np.testing.assert_allclose(other.score(silent, world.features), expected, atol=1e-5)

    def test_scores_and_contributions_do_not_depend_on_the_batch(self, world, ranker):
        histories, texts = world.clicks.toarray()[:4].copy(), np.zeros((4, 8))
        histories[1], texts[1], texts[2] = 0.0, world.text_of(2), world.text_of(0)
        together = world.users(histories, query=texts)
        scores = ranker.score(together, world.features)
        shares = ranker.contributions(together, world.features).shares
        for row in range(4):
            alone = world.users(histories[row], query=texts[row])
            np.testing.assert_allclose(ranker.score(alone, world.features)[0], scores[row], atol=2e-4)
            found = ranker.contributions(alone, world.features).shares[:, 0]
            np.testing.assert_allclose(found, shares[:, row], atol=1e-3)

    def test_other_features_are_scored_by_their_own_vectors(self, small, of_small):
        users, turned = small.users(small.only(0)), Features(small.features.dense[::-1].copy())
        before = of_small.score(users, small.features)
        other = of_small.score(users, turned)
        assert np.abs(other - before).max() > 0.1
        assert np.array_equal(of_small.score(users, small.features), before)


class TestConfig:
    def test_fewest_clicks_is_the_threshold_for_experts(self, world, small):
        learned = fitted(small, config=HybridConfig(fewest_clicks=small.clicks.nnz))
        assert "l2" in learned.report_
        assert "l2" not in fitted(small, config=HybridConfig(fewest_clicks=small.clicks.nnz + 1)).report_
        assert fitted(world, config=HybridConfig(fewest_clicks=world.clicks.nnz + 1)).blend_.experts is None

    def test_only_values_of_the_grids_are_tried(self, world):
        config = HybridConfig(l2=(7.0, 50.0), text_prior=(0.0, 0.25), taste_share=(0.5,), prior_strength=(0.05, 1e6))
        report = fitted(world, config=config).report_
        tried = {name: tuple(sorted(report[name])) for name in ("l2", "text_prior", "taste_share", "prior_strength")}
        assert tried == {name: getattr(config, name) for name in tried}

    @pytest.mark.parametrize(
        "changed",
        [
            {"kernel_width": 0.5},
            {"kernel_l2": 30.0},
            {"cf_target_weight": 0.0},
            {"maybe_new": 0.9},
            {"text_prior_l2": 1000.0},
            {"most_kernel": 10},
            {"prior_clicks": 9.0},
            {"taste_half": 4.0},
        ],
        ids=str,
    )
    def test_every_number_changes_scores(self, world, ranker, changed):
        config = HybridConfig(text_prior=(2.0,), prior_strength=(0.3, 1e6), **changed)
        plain = HybridConfig(text_prior=(2.0,), prior_strength=(0.3, 1e6))
        users = world.users(world.clicks.toarray()[:5])
        one, other = (fitted(world, config=made).score(users, world.features) for made in (plain, config))
        assert np.abs(one - other).max() > 1e-3

    def test_without_clicks_scores_are_proportional_to_taste(self, small):
        users = small.users(small.only(0))
        one, other = (
            HybridRanker(config=HybridConfig(taste=taste)).fit(small.features).score(users, small.features)
            for taste in (5.0, 10.0)
        )
        np.testing.assert_allclose(2 * one, other, rtol=1e-4, atol=1e-5)

    def test_with_more_text_clicks_the_text_of_a_clicked_new_item_counts_more(self, world):
        """Clicked by users of kind 1, with a text of kind 0: with more, its text has more to say."""
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        clicks, exposure = world.clicks.toarray(), np.where(world.cold, 0.0, 1.0).astype(np.float32)
        clicks[np.flatnonzero(world.likes == 1)[:3], item] = 1.0
        ahead = []
        for half in (1.0, 100.0):
            made = fitted(world, clicks, exposure, config=HybridConfig(text_clicks=half, prior_strength=(0.1, 1e6)))
            scores = made.score(world.users(clicks), replace(world.features, exposure=exposure))[:, item]
            ahead.append(scores[world.likes == 0].mean() - scores[world.likes == 1].mean())
        assert ahead[0] < ahead[1]


class TestNewItems:
    def pairs(self, world):
        """Features of pairs of cold items with the same text: new items, old stock, and the features."""
        cold = np.flatnonzero(world.cold)
        dense, exposure = world.features.dense.copy(), np.ones(world.n_items, dtype=np.float32)
        new, old = cold[::2], cold[1::2]
        dense[old], exposure[new] = dense[new], 0.0
        return new, old, Features(dense, exposure=exposure)

    def test_a_new_item_scores_above_old_stock_with_the_same_text(self, world):
        new, old, features = self.pairs(world)
        made = HybridRanker(cold_share=None).fit(features, world.clicks)
        assert made.blend_.experts is not None
        scores = made.score(world.users(world.clicks.toarray()), features)
        assert (scores[:, new] >= scores[:, old]).all()
        right = world.likes[:, None] == world.kinds[new]
        assert (scores[:, new] - scores[:, old])[right].min() > 0.3

    def test_with_the_prior_alone_they_differ_by_the_weighted_log_base_rate(self, small):
        new, old, features = self.pairs(small)
        made = HybridRanker().fit(features, small.clicks)
        scores = made.score(small.users(small.clicks.toarray()), features)
        expected = made.blend_.prior.weight * np.log(small.clicks.sum() / features.exposure.sum() + 1.0)
        np.testing.assert_allclose(scores[:, new] - scores[:, old], expected, rtol=1e-3)

    def test_for_a_query_they_differ_by_the_log_clicks_of_a_mean_clicked_item(self, world):
        new, old, features = self.pairs(world)
        made, counts = HybridRanker(cold_share=None).fit(features, world.clicks), world.clicks.sum(axis=0)
        scores = made.score(world.users(query=np.eye(8)[:4]), features)
        expected = np.log((counts[counts > 0].mean() + 0.5) / 0.5)
        np.testing.assert_allclose(scores[:, new] - scores[:, old], expected, rtol=1e-3)

    def test_with_exposure_given_there_is_no_warning_and_more_new_items_are_shown(self, world, of_new, ranker):
        exposure = (~world.cold).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker().fit(replace(world.features, exposure=exposure), world.clicks)
        assert "old stock" not in made.report_
        assert share_of_old_stock(world, made) > share_of_old_stock(world, ranker) + 0.05

    def test_with_one_click_the_text_counts_for_a_new_item_but_not_for_old_stock(self, world):
        """Clicked by one who likes kind 1, its text of kind 0."""
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        clicks, exposure = world.clicks.toarray(), np.where(world.cold, 0.0, 1.0).astype(np.float32)
        clicks[np.flatnonzero(world.likes == 1)[0], item] = 1.0
        config, ahead = HybridConfig(prior_strength=(0.003, 1e6)), []
        for of_item in (0.0, 1.0):
            exposure[item] = of_item
            made = fitted(world, clicks, exposure.copy(), config=config)
            users = replace(world.features, exposure=exposure.copy())
            odds = np.exp(made.score(world.users(world.clicks.toarray()), users))
            shares = odds[:, item] / odds.max(axis=1)
            ahead.append(shares[world.likes == 0].mean() - shares[world.likes == 1].mean())
        assert ahead[0] > 0.0
        assert ahead[0] > ahead[1] + 0.05


class TestOldStock:
    """Without exposure, items without clicks count as old stock."""

    MATCH = (
        "40 of 120 items have no clicks, and nothing says that they are new; by their texts they would take [34][0-9]% of "
        r"the first 20 places of known users, and take {share}%\. Say which items are new: Recommender\.fit\(\.\.\., new=ids\), "
        r"Catalog\.from_frame\(\.\.\., added=column\), or add_items; or pass HybridRanker\(cold_share=\.\.\.\)\."
    )

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_by_default_it_gets_at_most_one_in_five_of_the_first_20_places(self, world, method):
        with pytest.warns(ColdstartWarning):
            made = HybridRanker(method=method).fit(world.features, world.clicks)
        assert made.blend_.experts is not None
        assert auto_cold_share(made.blend_.counts, world.cold, 0.2) == 0.2
        share = share_of_old_stock(world, made)
        assert 0.1 < share <= 0.2
        assert made.report_["old stock"] == (
            "40 of 120 items have no clicks, and nothing says that they are new: they were taken for old stock, which "
            f"takes {share:.0%} of the first 20 places of known users."
        )

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
    def test_its_share_is_at_most_cold_share(self, world, share):
        with pytest.warns(ColdstartWarning, match=self.MATCH.format(share=round(100 * share))):
            made = HybridRanker(cold_share=share).fit(world.features, world.clicks)
        assert share - 0.01 <= share_of_old_stock(world, made) <= share

    @pytest.mark.parametrize("share", [None, 0.9], ids=["no bound", "a bound that is kept anyway"])
    def test_where_no_bound_is_exceeded_there_is_no_offset_and_no_warning(self, world, share):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker(cold_share=share).fit(world.features, world.clicks)
        taken = share_of_old_stock(world, made)
        assert (made.blend_.cold_offset, taken > 0.35) == (0.0, True)
        assert made.report_["old stock"] == (
            "40 of 120 items have no clicks, and nothing says that they are new: they were taken for old stock, which "
            f"takes {taken:.0%} of the first 20 places of known users."
        )

    def test_where_the_prior_ranks_alone_there_is_no_bound(self, make_world):
        world = make_world(n_kinds=4, per_kind=30, n_cold=10, n_users=60, inside=0.6, outside=0.1, noise=0.2)
        assert world.clicks.nnz >= FEWEST
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker(cold_share=0.0).fit(world.features, world.clicks)
        assert made.blend_.experts is None
        assert (made.blend_.cold_offset, "old stock" in made.report_) == (0.0, False)
        assert share_of_old_stock(world, made) == share_of_old_stock(world, fitted(world)) > 0.05

    @pytest.mark.parametrize("share", [0.0, 0.02])
    def test_the_bound_is_on_the_content_expert_alone_and_the_reported_share_is_true(self, make_halves, share):
        """The prior alone brings some of it there."""
        world = make_halves(seed=0)
        config = HybridConfig(prior_strength=(0.3, 1e6))
        with pytest.warns(ColdstartWarning) as caught:
            made = HybridRanker(cold_share=share, config=config).fit(world.features, world.clicks)
        free = fitted(world, config=config)
        least = replace(made.blend_, cold_offset=-np.inf)
        taken = share_of_old_stock(world, made)
        made.blend_ = least
        of_the_prior = share_of_old_stock(world, made)
        assert max(share, of_the_prior) - 0.01 <= taken <= max(share, of_the_prior) + 1e-3
        assert taken < share_of_old_stock(world, free) - 0.05
        assert f"takes {taken:.0%} of the first 20 places" in made.report_["old stock"]
        assert f"and take {taken:.0%}." in str(caught[0].message)

    def test_a_loss_of_less_than_one_in_twenty_places_gives_no_warning(self, world, ranker):
        free = share_of_old_stock(world, ranker)
        for lost, warned in ((0.02, False), (0.04, False), (0.07, True)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                made = HybridRanker(cold_share=free - lost).fit(world.features, world.clicks)
            assert bool(caught) == warned
            assert made.blend_.cold_offset < 0.0
            taken = share_of_old_stock(world, made)
            assert f"takes {taken:.0%} of the first 20 places" in made.report_["old stock"]

    def test_without_cold_items_nothing_is_reported(self, make_halves):
        world = make_halves(n_cold=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker().fit(world.features, world.clicks)
        assert made.blend_.experts is not None
        assert "old stock" not in made.report_


class TestNovelty:
    @pytest.mark.parametrize("novelty", [-20, -0.7, 2.5, 20.0])
    @pytest.mark.parametrize("of", ["world", "small"])
    def test_it_is_added_to_the_scores_of_items_without_clicks(self, request, of, novelty):
        world = request.getfixturevalue(of)
        users = world.users(world.clicks.toarray()[:5])
        found, plain = (fitted(world, novelty=value).score(users, world.features) for value in (novelty, 0.0))
        assert np.array_equal(found[:, ~world.cold], plain[:, ~world.cold])
        assert np.array_equal(found[:, world.cold], plain[:, world.cold] + np.float32(novelty))

    def test_it_raises_items_without_clicks_for_a_query(self, world):
        users = world.users(world.clicks.toarray()[:5], query=np.tile(world.text_of(0), (5, 1)))
        ranks = []
        for novelty in (-3.0, 0.0, 3.0):
            scores = fitted(world, novelty=novelty).score(users, world.features)
            ranks.append((-scores).argsort(axis=1).argsort(axis=1)[:, world.cold].mean())
        assert ranks[0] > ranks[1] > ranks[2]


class TestMethod:
    def method_of(self, world, method="auto", **config):
        fitting = HybridRanker(method=method, config=HybridConfig(**config), **UNBOUNDED)
        return fitting._first_collaborative(world.clicks, fitting.config).method, fitting

    def test_auto_is_exact_up_to_the_size_limits(self, world):
        n_warm, n_users = len(np.unique(world.clicks.indices)), world.clicks.shape[0]
        side = min(n_warm, n_users)
        assert (n_warm, side) == (80, 80)
        chosen = {
            "usual": self.method_of(world),
            "side": self.method_of(world, most_side=side),
            "too small a side": self.method_of(world, most_side=side - 1),
            "weights": self.method_of(world, most_weights=n_warm * world.n_items),
            "too few weights": self.method_of(world, most_weights=n_warm * world.n_items - 1),
            "als": self.method_of(world, "als"),
        }
        assert {name: method for name, (method, _) in chosen.items()} == {
            "usual": "exact",
            "side": "exact",
            "too small a side": "als",
            "weights": "exact",
            "too few weights": "als",
            "als": "als",
        }
        fallen_back = chosen["too small a side"][1].fit(world.features, world.clicks)
        assert "unobserved" in fallen_back.report_

    def test_the_smaller_side_decides(self, make_halves):
        world = make_halves(n_users=40)
        assert self.method_of(world, "exact", most_side=40)[0] == "exact"
        with pytest.raises(InvalidInputError, match="inverts 40 x 40"):
            self.method_of(world, "exact", most_side=39)

    def test_als_searches_its_own_settings(self, world):
        report = fitted(world, method="als").report_
        assert set(report["unobserved"]) == set(HybridConfig().unobserved)
        assert not {"l2", "text_prior"} & set(report)


class TestLexicalWeight:
    def test_the_best_weight_is_chosen_and_reported(self, of_words):
        tried = of_words.report_["lexical_weight"]
        assert tuple(tried) == HybridConfig().lexical_weight
        assert tried[of_words.space_.words] == max(tried.values())
        assert all(type(value) is float and 0.0 < value < 1.0 for value in tried.values())

    def test_words_are_weighted_where_meaning_is_noise(self, make_world):
        world = make_world(noise=0.2)
        np.random.default_rng(0).shuffle(world.features.dense)
        titles = titles_of(world)
        features = Features(world.features.dense, LexicalEncoder().fit(titles).encode(titles))
        made = HybridRanker(cold_share=None).fit(features, world.clicks)
        assert made.space_.words == 0.3
        assert made.report_["lexical_weight"][0.3] > made.report_["lexical_weight"][0.0] + 0.05

    def test_a_single_weight_is_not_searched(self, worded):
        made = fitted(worded.world, config=HybridConfig(lexical_weight=(0.6,)))
        assert made.space_.words == 0.6
        assert not made.report_.get("lexical_weight")

    def test_without_words_or_with_few_clicks_no_weight_is_searched(self, ranker, small):
        assert not ranker.report_.get("lexical_weight")
        titles = titles_of(small)
        features = Features(small.features.dense, LexicalEncoder().fit(titles).encode(titles))
        made = HybridRanker().fit(features, small.clicks)
        assert made.report_ == {}
        assert made.space_.words == HybridConfig().lexical_weight[-1]


class TestPopularity:
    def test_at_0_with_few_clicks_scores_are_those_of_taste(self, small):
        made, users = fitted(small, popularity=0.0), small.users(small.only(0, 1))
        texts = small.texts
        cosines = texts @ (texts[:2].sum(axis=0) / np.linalg.norm(texts[:2].sum(axis=0)))
        found = made.score(users, small.features)[0]
        np.testing.assert_allclose(found, made.blend_.prior.taste * 2 / 3 * cosines, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("of", ["world", "small"])
    def test_by_likeness_is_a_copy_without_popularity(self, request, of):
        world = request.getfixturevalue(of)
        made = fitted(world)
        like, users = made.by_likeness(), world.users(world.only(0), query=None)
        assert (made.popularity, like.popularity) == (1.0, 0.0)
        expected = fitted(world, popularity=0.0).score(users, world.features)
        assert np.array_equal(like.score(users, world.features), expected)
        assert not np.array_equal(made.score(users, world.features), expected)


class TestContributions:
    def shares(self, ranker, world, users):
        sources, found = ranker.contributions(users, world.features)
        assert found.shape == (4, len(users), world.n_items)
        assert found.min() >= -1e-6
        assert found.max() <= 1.0 + 1e-6
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)
        return dict(zip(sources, found, strict=True))

    def test_content_explains_cold_items_and_clicks_the_warm_ones(self, world, ranker):
        found = self.shares(ranker, world, world.users(world.clicks.toarray()[:5]))
        assert found["content"][:, world.cold].min() > 0.95
        assert not found["collaborative"][:, world.cold].any()
        mine = world.kinds == world.likes[:5, None]
        assert found["collaborative"][mine & ~world.cold].mean() > 0.7
        assert not found["lexical"].any()

    def test_items_with_a_word_of_the_query_have_a_larger_lexical_share(self, worded, of_words):
        world, titles = worded.world, titles_of(worded.world)
        for history in (None, world.clicks.toarray()[0]):
            found = self.shares(of_words, world, worded.users("rose", kind=1, history=history))["lexical"][0]
            holding = np.array(["rose" in title.split() for title in titles])
            assert found[holding].min() > 0.01
            assert found[~holding].max() < found[holding].min()

    @pytest.mark.parametrize("of", ["world", "small"])
    def test_popularity_has_no_share_at_0(self, request, of):
        world = request.getfixturevalue(of)
        users = world.users(np.stack([world.only(at) for at in range(5)]))
        assert self.shares(fitted(world), world, users)["popularity"].any()
        assert not self.shares(fitted(world, popularity=0.0), world, users)["popularity"].any()

    @pytest.mark.parametrize("params", [{"method": "als"}, {"novelty": 5.0}, {"popularity": 0.5}, {"rng": 7}], ids=str)
    def test_they_sum_to_1_for_all_settings(self, worded, params):
        world = worded.world
        made = fitted(world, config=HybridConfig(prior_strength=(0.1, 1e6)), **params)
        self.shares(made, world, world.users(world.clicks.toarray()[:3]))
        self.shares(made, world, worded.users("song tune", kind=2, history=world.only(1, 2)))
        self.shares(made, world, world.users(world.only()))
        self.shares(made, world, world.users(world.only(), disliked=world.only(3)))

    def test_they_sum_to_1_for_items_that_no_source_supports(self, world):
        """The weakest prior there is, and a user of whom nothing is known."""
        made = fitted(world)
        least = HybridConfig().prior_strength[0]
        made.blend_ = replace(made.blend_, prior=replace(made.blend_.prior, strength=least))
        self.shares(made, world, world.users(np.stack([world.only(), world.only(0)])))


class TestQueries:
    @pytest.mark.parametrize("part", ["query", "profile"])
    def test_a_text_alone_ranks_items_of_its_kind_first(self, world, ranker, part):
        users = world.users(query=np.eye(8)[:4])
        if part == "profile":
            users = replace(users, query=users.profile, profile=users.query)
        scores = ranker.score(users, world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2, 3]
        assert (world.kinds[scores.argmax(axis=1)] == np.arange(4)).all()

    @pytest.mark.parametrize("kind", range(4))
    def test_a_query_beside_a_history_raises_matching_items(self, world, ranker, kind):
        users = world.clicks.toarray()
        without = ranker.score(world.users(users), world.features)
        beside = ranker.score(world.users(users, query=np.tile(world.text_of(kind), (120, 1))), world.features)
        before, after = (
            (-scores).argsort(axis=1).argsort(axis=1)[:, world.kinds == kind] for scores in (without, beside)
        )
        others = world.likes != kind
        assert after[others].mean() < before[others].mean() - 3

    def test_items_with_the_words_of_a_query_score_above_others_of_the_kind(self, worded, make_halves):
        world = make_halves()
        titles = titles_of(world)
        silent = np.flatnonzero(world.kinds == 1)[::2]
        for at in silent:
            titles[at] = ""
        features = Features(world.features.dense, worded.encoder.encode(titles))
        made = HybridRanker(cold_share=None).fit(features, world.clicks)
        scores = made.score(worded.users("rose lily", kind=1), features)[0]
        assert np.isfinite(scores).all()
        of_kind, held = world.kinds == 1, np.array(["rose" in title for title in titles])
        assert scores[held].mean() > scores[of_kind & ~held].mean() > scores[~of_kind].mean()

    def test_a_query_with_few_matches_does_not_drown_the_history(self, make_halves):
        world = make_halves(noise=0.0)
        alone = np.flatnonzero(world.cold & (world.kinds == 2))[:3]
        world.features.dense[alone] = world.text_of(7)
        history = world.clicks.toarray()[0]
        scores = fitted(world).score(world.users(history, query=world.text_of(7)), world.features)[0]
        liked = (world.kinds == 0) & (history == 0)
        assert scores[alone].max() - scores[liked].max() < math.log(1000)


def wider(clicks, more):
    """The same clicks on a catalogue of more items."""
    return csr_array((clicks.data, clicks.indices, clicks.indptr), shape=(clicks.shape[0], clicks.shape[1] + more))


class TestTextAndPopularity:
    """Users with a text alone: what matches it, popular items first."""

    @pytest.fixture(scope="class")
    def twins(self, make_halves):
        """Two items of one text and its words, liked by few and by many who like their kind."""
        world = make_halves()
        world.features.dense[1] = world.features.dense[0]
        titles = titles_of(world)
        titles[1] = titles[0]
        clicks, lovers = world.clicks.toarray(), np.flatnonzero(world.likes == 0)
        clicks[:, :2] = 0.0
        clicks[lovers[:4], 0], clicks[lovers, 1] = 1.0, 1.0
        world.clicks = csr_array(clicks)
        encoder = LexicalEncoder().fit(titles)
        world.features = Features(world.features.dense, encoder.encode(titles))
        return Worded(world, encoder)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_items_with_the_same_text_differ_by_popularity_times_their_log_clicks(self, twins, method):
        world = twins.world
        counts = np.asarray(world.clicks.sum(axis=0))
        for popularity in (0.0, 0.5, 1.0):
            made = fitted(world, popularity=popularity, method=method)
            rare, popular = made.score(world.users(query=world.text_of(0)), world.features)[0, :2]
            odds = np.log((counts[1] + 0.5) / (counts[0] + 0.5))
            assert popular - rare == pytest.approx(popularity * odds, abs=1e-3)

    def test_an_item_added_after_the_fit_has_the_popularity_of_a_mean_clicked_item(self, world, ranker):
        counts, twin = np.asarray(world.clicks.sum(axis=0)), int(np.flatnonzero(world.cold)[0])
        dense = world.features.dense[np.append(np.arange(world.n_items), twin)]
        exposure = np.append(np.ones(world.n_items), 0.0).astype(np.float32)
        grown = Features(dense, exposure=exposure)
        moved = ranker.refreshed(grown, wider(world.clicks, 1), np.append(np.arange(world.n_items), -1))
        users = world.users(query=world.text_of(0))
        users = replace(users, history=wider(users.history, 1), disliked=wider(users.disliked, 1))
        scores = moved.score(users, grown)[0]
        assert scores[-1] - scores[twin] == pytest.approx(np.log((counts[counts > 0].mean() + 0.5) / 0.5), rel=1e-3)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_a_title_as_query_finds_its_item_first(self, make_halves, method):
        """Its meaning is that of the item, and one of its words is in no other title; though others are popular."""
        world = make_halves()
        titles = [f"{title} own{at}" for at, title in enumerate(titles_of(world))]
        encoder = LexicalEncoder().fit(titles)
        features = Features(world.features.dense, encoder.encode(titles))
        made = HybridRanker(method=method, cold_share=None).fit(features, world.clicks)
        users = world.users(query=features.dense, words=encoder.encode_query(titles))
        ranks = (-made.score(users, features)).argsort(axis=1).argsort(axis=1).diagonal()
        assert (ranks == 0).mean() > 0.8


class TestDisliked:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def test_a_dislike_raises_no_score(self, world, ranker, seed, asks):
        rng = np.random.default_rng(seed)
        history, disliked = (rng.random((2, world.n_items)) < 0.1).astype(np.float32)
        query = rng.standard_normal(8) if asks else None
        with_it, without = (
            ranker.score(world.users(history, disliked=d, query=query), world.features) for d in (disliked, None)
        )
        assert np.all(with_it <= without)


class TestAvoided:
    """Unwanted texts."""

    def users(self, world, avoided, query=None):
        said = world.users(world.only(), query=query)
        return replace(said, avoided=Features(np.asarray(avoided, dtype=np.float32)[None]))

    @pytest.mark.parametrize("clicks", [False, True])
    def test_similar_items_are_lowered(self, world, clicks):
        made = HybridRanker(cold_share=None).fit(world.features, world.clicks if clicks else None)
        plain = made.score(world.users(world.only(), query=world.text_of(1)), world.features)[0]
        found = made.score(self.users(world, world.text_of(0), world.text_of(1)), world.features)[0]
        fall = plain - found
        assert fall[world.kinds == 0].mean() > 1.0
        assert fall[world.kinds == 0].mean() > 3 * abs(fall[world.kinds == 1].mean())

    def test_alone_it_leaves_the_other_kinds(self, world):
        made = HybridRanker().fit(world.features)
        found = made.score(self.users(world, world.text_of(0)), world.features)[0]
        assert not (world.kinds[np.argsort(-found)[:20]] == 0).any()


class TestClicksOnNewItems:
    """Histories of items without clicks."""

    def test_similar_items_of_a_new_item_are_of_its_kind(self):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker()).fit(tiny_catalog(), tiny_clicks())
        rec.add_items([{"id": "new", "title": "garden rose", "plot": "a story of garden and rose"}])
        assert all(item[0] == "g" for item in rec.similar_items("new", k=4).item_ids[0])

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_a_history_of_a_cold_item_counts_even_with_the_weakest_prior(self, world, method):
        least = HybridConfig().prior_strength[0]
        made = fitted(world, method=method, config=HybridConfig(prior_strength=(least,)))
        assert made.blend_.prior.strength == least == 0.003
        items = [np.flatnonzero(world.cold & (world.kinds == kind))[0] for kind in range(4)]
        scores = made.score(world.users(np.stack([world.only(item) for item in items])), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2, 3]


class TestChangedCatalogue:
    """Eight items and 24 clicks: the prior ranks alone."""

    @pytest.fixture
    def rec(self):
        return cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker()).fit(tiny_catalog(), tiny_clicks())

    def test_an_exact_match_stays_at_the_top_when_its_twin_is_added(self, rec):
        assert rec.recommend(query="garden rose", k=1).item_ids == [["g0"]]
        rec.add_items([{"id": "new rose", "title": "garden rose", "plot": "a story of garden and rose"}])
        assert "g0" in rec.recommend(query="garden rose", k=2).item_ids[0]

    def test_a_removed_item_can_be_added_again(self, rec):
        rec.remove_items(["s0"]).add_items([{"id": "s0", "title": "space star", "plot": "a story of space and star"}])
        assert rec.recommend(user="u0", k=1).item_ids == [["s0"]]

    def test_all_warm_items_can_be_removed(self, rec):
        rec.add_items([{"id": f"new {word}", "title": f"space {word}", "plot": word} for word in ("sun", "ray")])
        rec.remove_items([f"{kind}{at}" for kind in "sg" for at in range(4)])
        assert rec.recommend(query="space sun", k=1).item_ids == [["new sun"]]
        assert len(rec.recommend(user="u0", k=2).item_ids[0]) == 2


class TestRefreshed:
    """Clicks and items that come after the fit."""

    def changed(self, world, ranker, clicks, origin=None, features=None):
        """The ranker of a changed world, and the features that it scores."""
        features = world.features if features is None else features
        origin = np.arange(world.n_items) if origin is None else origin
        return ranker.refreshed(features, csr_array(clicks), origin), features

    def with_item(self, world, features, kind, exposure=0.0):
        """Features with one more item, of a kind by its text."""
        before = np.ones(len(features.dense), dtype=np.float32) if features.exposure is None else features.exposure
        dense = np.vstack([features.dense, world.text_of(kind)]).astype(np.float32)
        return Features(dense, exposure=np.append(before, np.float32(exposure)))

    def users(self, clicks):
        history, silent = csr_array(clicks), Features(np.zeros((len(clicks), 8), dtype=np.float32))
        return Users(history, csr_array(history.shape, dtype=np.float32), silent, silent)

    @pytest.fixture(scope="class", params=["exact", "als"])
    def either(self, request, world):
        made = fitted(world, method=request.param)
        assert made.blend_.experts is not None
        return made

    def test_later_clicks_on_warm_items_change_no_score_for_a_given_history(self, world, either):
        clicks = world.clicks.toarray()
        more = np.maximum(clicks, np.random.default_rng(0).random(clicks.shape) < 0.2) * ~world.cold
        now, features = self.changed(world, either, more.astype(np.float32))
        users = world.users(more[:9])
        np.testing.assert_allclose(now.score(users, features), either.score(users, world.features), atol=1e-4)

    def test_with_the_prior_alone_base_rates_are_those_of_now(self, small, of_small):
        clicks, item = small.clicks.toarray(), int(np.flatnonzero(small.cold)[0])
        more = np.vstack([clicks, np.zeros((50, small.n_items), dtype=np.float32)])
        more[-50:, item] = 1.0
        now, features = self.changed(small, of_small, more)
        gained = (
            now.score(small.users(small.only(5)), features) - of_small.score(small.users(small.only(5)), features)
        )[0]
        mean, weight = clicks.sum() / small.n_items, of_small.blend_.prior.weight
        assert gained[item] - gained[0] > weight * np.log(51) - 2.0
        assert now.blend_.counts[item] == 50
        assert mean < 5

    @pytest.mark.parametrize("kind", range(4))
    def test_an_added_item_reaches_the_first_20_of_users_of_its_kind(self, world, either, kind):
        features, clicks = self.with_item(world, world.features, kind), wider(world.clicks, 1).toarray()
        now, _ = self.changed(world, either, clicks, np.append(np.arange(world.n_items), -1), features)
        scores = now.score(self.users(clicks), features)
        assert scores.shape == (120, 121)
        places = (np.where(clicks > 0, -np.inf, scores) > scores[:, [-1]]).sum(axis=1)
        assert np.mean(places[world.likes == kind] < 20) > 0.8
        assert np.median(places[world.likes != kind]) > np.median(places[world.likes == kind]) + 10

    def test_a_new_item_with_first_clicks_is_ranked_by_them(self, world, either):
        """Its text is that of kind 0, and half of those who like kind 1 click it."""
        features, clicks = self.with_item(world, world.features, 0), wider(world.clicks, 1).toarray()
        origin = np.append(np.arange(world.n_items), -1)
        now, _ = self.changed(world, either, clicks, origin, features)
        fans = np.flatnonzero(world.likes == 1)[:15]
        later = clicks.copy()
        later[fans, -1] = 1.0
        then, aged = self.changed(
            world, now, later, np.arange(121), replace(features, exposure=np.append(np.ones(120), 0.5).astype("f4"))
        )
        assert then.blend_.counts[-1] == 15
        others = np.setdiff1d(np.flatnonzero(world.likes == 1), fans)
        before, after = now.score(self.users(clicks), features), then.score(self.users(clicks), aged)
        rank = [(scores > scores[:, [-1]]).sum(axis=1) for scores in (before, after)]
        assert np.median(rank[1][others]) < 25 < np.median(rank[0][others])
        assert np.median(rank[1][world.likes == 2]) > 40

    def test_old_stock_with_first_clicks_is_ranked_by_them(self, world, either):
        """Its text is that of kind 0: with clicks it is known by these alone."""
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        clicks, fans = world.clicks.toarray(), np.flatnonzero(world.likes == 1)[:15]
        later = clicks.copy()
        later[fans, item] = 1.0
        now, features = self.changed(world, either, later)
        others = np.setdiff1d(np.flatnonzero(world.likes == 1), fans)
        scores = [one.score(world.users(clicks), features) for one in (either, now)]
        rank = [(one > one[:, [item]]).sum(axis=1) for one in scores]
        assert np.median(rank[1][others]) < 25 < np.median(rank[0][others])
        assert np.median(rank[1][world.likes == 0]) > np.median(rank[0][world.likes == 0])

    def test_several_changes_equal_one(self, world, either):
        """Two items come, each gets clicks, and one without any goes."""
        n, wide, origin = world.n_items, wider(world.clicks, 2).toarray(), np.arange(world.n_items)
        wide[::7, n], wide[1::5, n + 1], wide[3::9, 25] = 1.0, 1.0, 1.0
        one_more = self.with_item(world, world.features, 0)
        exposure = np.append(np.ones(n), [0.3, 0.1]).astype(np.float32)
        two_more = replace(self.with_item(world, one_more, 2), exposure=exposure)
        last = np.delete(np.arange(n + 2), 27)
        whole, _ = self.changed(world, either, wide[:, last], np.append(origin, [-1, -1])[last], two_more[last])
        first, _ = self.changed(world, either, wide[:, : n + 1], np.append(origin, -1), one_more)
        then, _ = self.changed(world, first, wide, np.append(np.arange(n + 1), -1), two_more)
        finally_, features = self.changed(world, then, wide[:, last], last, two_more[last])
        users = self.users(wide[:, last])
        np.testing.assert_allclose(finally_.score(users, features), whole.score(users, features), rtol=1e-3, atol=1e-3)
        moved = np.abs(
            whole.score(users, features)[:, :20] - either.score(world.users(wide[:, :n]), world.features)[:, :20]
        )
        assert moved.max() > 0.0

    def test_an_edited_text_moves_a_cold_item_towards_its_new_kind(self, world, either):
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        either.score(world.users(world.only()), world.features)  # placed
        dense = world.features.dense.copy()
        dense[item] = world.text_of(3)
        now, features = self.changed(world, either, world.clicks.toarray(), features=Features(dense))
        users = world.users(world.clicks.toarray())
        before, after = either.score(users, world.features)[:, item], now.score(users, features)[:, item]
        assert (after > before)[world.likes == 3].mean() > 0.9
        assert (after < before)[world.likes == 0].mean() > 0.9
        by_text = [one.blend_.parts(users.history, world.texts)[1][:, item] for one in (either, now)]
        assert (by_text[1] > by_text[0])[world.likes == 3].mean() > 0.9

    def test_a_change_computes_vectors_of_new_items_alone(self, world, either, monkeypatch):
        """Of all others their places are kept, and a request after it places no more than what came."""
        either.score(world.users(world.only()), world.features)
        rows, place = [], type(either.space_).item_vectors
        monkeypatch.setattr(
            type(either.space_), "item_vectors", lambda space, of: rows.append(len(of)) or place(space, of)
        )
        self.changed(world, either, world.clicks.toarray())
        assert rows == []
        features, origin = self.with_item(world, world.features, 0), np.append(np.arange(world.n_items), -1)
        now, _ = self.changed(world, either, wider(world.clicks, 1).toarray(), origin, features)
        assert rows == [1]
        now.score(self.users(wider(world.clicks, 1).toarray()), features)
        assert rows == [1, 1]


def recommender_of(world, new=(), **params):
    """The same clicks on items that have words for texts."""
    titles = titles_of(world)
    catalog = cs.Catalog.from_frame({"id": list(range(len(titles))), "title": titles}, id="id", fields=["title"])
    user, item = world.clicks.nonzero()
    clicks = cs.Interactions.from_frame({"user": user, "item": item}, user="user", item="item")
    ranker = HybridRanker(**UNBOUNDED | params)
    return cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(catalog, clicks, check=False, new=new)


class TestHistoryInRequests:
    """Clicks of known users count the same in an update before the request and as its history."""

    @pytest.fixture(scope="class", params=["exact", "als"])
    def rec(self, request, world):
        made = recommender_of(world, method=request.param)
        assert made.ranker_.blend_.experts is not None
        return made

    def fresh(self, world, some, count=2):
        """Clicks of every user on items that are new to them, by user."""
        rng, clicks = np.random.default_rng(0), world.clicks.toarray()
        return {
            user: rng.choice(np.flatnonzero((row == 0) & some), count, replace=False).tolist()
            for user, row in enumerate(clicks)
        }

    def updated(self, rec, fresh):
        user, item = zip(*[(user, item) for user, items in fresh.items() for item in items], strict=True)
        return copy.deepcopy(rec).update(
            cs.Interactions.from_frame({"user": user, "item": item}, user="user", item="item")
        )

    def test_a_history_of_warm_items_in_the_request_equals_an_update(self, world, rec):
        """What is learned of items that have clicks stays."""
        fresh = self.fresh(world, ~world.cold)
        answers = rec.recommend_many([cs.Request(user=user, history=items) for user, items in fresh.items()], k=20)
        before = rec.recommend_many(users=list(fresh), k=20)
        assert self.updated(rec, fresh).recommend_many(users=list(fresh), k=20).item_ids == answers.item_ids
        assert sum(a != b for a, b in zip(answers.item_ids, before.item_ids, strict=True)) > 100

    @pytest.mark.parametrize("kind", ["old stock", "both"])
    def test_a_history_of_old_stock_in_the_request_equals_an_update(self, world, rec, kind):
        """An update for one user after the other: their own clicks change no order for them."""
        fresh = self.fresh(world, world.cold)
        if kind == "both":
            known = self.fresh(world, ~world.cold)
            fresh = {user: [items[0], known[user][0]] for user, items in fresh.items()}
        different = []
        for user, items in fresh.items():
            answers = rec.recommend(user=user, history=items, k=100).item_ids
            if self.updated(rec, {user: items}).recommend(user=user, k=100).item_ids != answers:
                different.append(user)
        assert different == []


REQUESTS = [
    cs.Request(user=0),
    cs.Request(user=1, query="rose"),
    cs.Request(query="a song"),
    cs.Request(query="rozes and tulip"),
    cs.Request(history=[5, 6], disliked=[7]),
]


def saved_and_loaded(rec, folder):
    rec.save(folder / "saved")
    return cs.load(folder / "saved", encoder=HashEncoder())


def with_changes(rec):
    rec.add_items([{"id": 1000, "title": "sun and moon"}, {"id": 1001, "title": "a quiet song"}])
    return rec.remove_items([1, 2, 39])


class TestSaved:
    @pytest.mark.parametrize("n_users", [24, 120], ids=["the prior alone", "experts"])
    @pytest.mark.parametrize(
        "params",
        [{}, {"novelty": -0.5, "config": HybridConfig(l2=(50.0,), taste=9.0), "rng": 3}],
        ids=["usual", "others"],
    )
    @pytest.mark.parametrize("grown", [False, True], ids=["as fitted", "with new items"])
    def test_a_loaded_ranker_gives_the_same_bytes(self, make_halves, tmp_path, n_users, params, grown):
        rec = recommender_of(make_halves(n_users=n_users), **params)
        loaded = saved_and_loaded(with_changes(rec) if grown else rec, tmp_path)
        assert loaded.recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)
        assert loaded.ranker_.blend_.prior == rec.ranker_.blend_.prior
        assert loaded.ranker_.blend_.calibration == rec.ranker_.blend_.calibration
        assert (rec.ranker_.blend_.experts is not None) == (n_users == 120)
        assert loaded.ranker_.report_ == rec.ranker_.report_
        assert loaded.ranker_.get_params() == rec.ranker_.get_params()
        rec.add_items([{"id": 2000, "title": "star and star"}])
        loaded.add_items([{"id": 2000, "title": "star and star"}])
        assert loaded.recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)

    @pytest.mark.parametrize("changed", [False, True], ids=["as fitted", "with new items"])
    def test_float16_weights_give_the_same_bytes(self, monkeypatch, make_halves, tmp_path, changed):
        monkeypatch.setattr(scorers_module, "MOST_FLOAT32", 50)
        rec = recommender_of(make_halves())
        assert rec.ranker_.blend_.experts.collaborative.blocks[0].dtype == np.float16
        rec = with_changes(rec) if changed else rec
        assert saved_and_loaded(rec, tmp_path).recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)

    @pytest.mark.parametrize("grown", [False, True], ids=["as fitted", "with new items"])
    def test_loaded_factors_give_the_same_scores(self, make_halves, tmp_path, grown):
        rec = recommender_of(make_halves(), method="als")
        loaded = saved_and_loaded(with_changes(rec) if grown else rec, tmp_path)
        found, expected = (one.recommend_many(REQUESTS, k=20) for one in (loaded, rec))
        for one, other in zip(found.scores, expected.scores, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)
        assert loaded.ranker_.blend_.prior == rec.ranker_.blend_.prior


LEARNING = {"config": HybridConfig(fewest_clicks=1, taste_share=(0.25,), prior_strength=(0.1, 1e6)), **UNBOUNDED}
"""Experts from the first click on, if the fold has evaluation users."""


def drawn(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def all_clicked(n_users):
    clicks = drawn((n_users, 10)) < 0.5
    clicks[0] = True
    return clicks, drawn((10, 4), 1) - 0.5, np.eye(10)[0]


def without_text(items):
    """The last item has no clicks."""
    clicks, dense = drawn((12, 10)) < 0.4, drawn((10, 4), 1) - 0.5
    clicks[:, 9], dense[items] = False, 0.0
    return clicks, dense, None


ODD_DATA = {
    "one item, one user, one click": lambda: ([[1]], [[1.0, 2.0]], None),
    "one item with 1,200 clicks": lambda: (np.ones((1200, 1)), [[1.0, 2.0]], None),
    "clicks on all items by 30 users": lambda: all_clicked(30),
    "clicks on all items by 3 users": lambda: all_clicked(3),
    "1,200 users with one click each": lambda: (np.eye(20)[(20 * drawn(1200)).astype(int)], drawn((20, 4), 1), None),
    "a user who clicked everything": lambda: (np.vstack([np.ones(10), drawn((5, 10)) < 0.3]), drawn((10, 4), 1), None),
    "everyone clicked everything": lambda: (np.ones((40, 40)), drawn((40, 4)), None),
    "a clicked item without text": lambda: without_text([0]),
    "a cold item without text": lambda: without_text([9]),
    "no item with text": lambda: without_text(range(10)),
}
"""Clicks, vectors and a history, by default that of the first user."""


class TestOddData:
    def scores(self, clicks, dense, params, history=None):
        clicks = np.asarray(clicks, dtype=np.float32)
        items = Features(np.asarray(dense, dtype=np.float32))
        fitted = HybridRanker(**params).fit(items, csr_array(clicks))
        nothing = Features(np.zeros((1, items.dense.shape[1]), dtype=np.float32))
        users = csr_array(clicks[:1] if history is None else np.array([history], dtype=np.float32))
        found = fitted.score(Users(users, csr_array(users.shape, dtype=np.float32), nothing, nothing), items)[0]
        assert found.shape == (len(items),)
        assert np.isfinite(found).all()
        return found

    @pytest.fixture(
        params=[{}, {"method": "als"}, LEARNING, {"method": "als", **LEARNING}],
        ids=["usual", "als", "with experts", "with factors"],
    )
    def params(self, request):
        return request.param

    def test_one_click_ranks_the_similar_item_first(self, params):
        """The item like the one that was clicked stands above the one that is not."""
        dense = [[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1], [0, 1, 0]]
        found = self.scores([[1, 0, 0, 0]], dense, params)
        assert found[1] == max(found[1:])

    def test_one_user_ranks_the_similar_item_first(self, params):
        found = self.scores([[1, 1, 0, 0]], [[1, 0], [1, 0.1], [0.9, 0], [0, 1]], params)
        assert found[2] > found[3]

    @pytest.mark.parametrize("case", ODD_DATA)
    def test_scores_are_finite(self, params, case):
        clicks, dense, history = ODD_DATA[case]()
        self.scores(clicks, dense, params, history)

    def test_cold_items_with_the_same_text_score_the_same(self, params):
        rng = np.random.default_rng(0)
        dense = np.repeat(rng.standard_normal((5, 4)), 4, axis=0)
        clicks = rng.random((12, 20)) < 0.4
        clicks[:, 18:] = False
        found = self.scores(clicks, dense, params)
        assert found[18] == pytest.approx(found[19], abs=1e-4)

    def test_click_weights_of_a_million_count_as_1(self, params):
        rng = np.random.default_rng(0)
        clicks, dense = (rng.random((12, 10)) < 0.4).astype(float), rng.standard_normal((10, 4))
        assert np.array_equal(self.scores(clicks * 1e6, dense, params), self.scores(clicks, dense, params))

    @pytest.mark.parametrize("shape", [(1000, 1), (1, 1000)], ids=["everyone their own item", "one user"])
    def test_scores_of_a_thousand_items_with_one_click_each_are_finite(self, shape):
        n_users = shape[0]
        clicks = np.eye(1000) if n_users > 1 else np.ones((1, 1000))
        self.scores(clicks, np.random.default_rng(0).standard_normal((1000, 4)), {})


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "value", "low", "high"),
        [
            ("novelty", -20.1, "-20", "20"),
            ("novelty", 21, "-20", "20"),
            ("novelty", float("nan"), "-20", "20"),
            ("popularity", -0.1, "0", "1"),
            ("popularity", 1.1, "0", "1"),
            ("popularity", "1", "0", "1"),
            ("cold_share", -0.1, "0", "1"),
            ("cold_share", 1.5, "0", "1"),
            ("cold_share", float("nan"), "0", "1"),
        ],
    )
    def test_a_parameter_out_of_range(self, small, name, value, low, high):
        with pytest.raises(InvalidInputError, match=rf"`{name}` must be between {low} and {high}; got {value!r}"):
            HybridRanker(**{name: value}).fit(small.features)

    def test_the_exact_method_for_data_that_is_too_large(self, world):
        for limit in ({"most_side": 79}, {"most_weights": 100}):
            expected = r'`method` "exact" would take about 0\.0 GB of memory, and inverts 80 x 80 .*Use "als" or "auto"'
            with pytest.raises(InvalidInputError, match=expected):
                HybridRanker(method="exact", config=HybridConfig(**limit)).fit(world.features, world.clicks)

    @pytest.mark.parametrize(
        ("name", "expected", "values"),
        [
            ("cold_share", '"auto", a number from 0 to 1, or None', ["all", "0.2", ""]),
            ("config", "a HybridConfig or None", [{"taste": 3.0}, 3, HybridConfig]),
            ("method", '"auto", "exact" or "als"', ["EASE", None, 1]),
        ],
    )
    def test_a_parameter_of_another_kind(self, small, name, expected, values):
        for value in values:
            with pytest.raises(InvalidInputError, match=re.escape(f"`{name}` must be {expected}; got {value!r}.")):
                HybridRanker(**{name: value}).fit(small.features)

    @pytest.mark.parametrize("n_items", [131, 133])
    @pytest.mark.parametrize("method", ["score", "contributions"])
    def test_another_number_of_items_than_was_fitted(self, of_small, method, n_items):
        expected = rf"`features` must be of the 132 items that were fitted; got {n_items}\. Call refreshed"
        users = Users(*(csr_array((1, n_items), dtype=np.float32),) * 2, *(Features(np.zeros((1, 8), np.float32)),) * 2)
        with pytest.raises(InvalidInputError, match=expected):
            getattr(of_small, method)(users, Features(np.ones((n_items, 8), dtype=np.float32)))

    @pytest.mark.parametrize(
        "use",
        [
            lambda ranker, world: ranker.score(world.users(world.only(0)), world.features),
            lambda ranker, world: ranker.refreshed(world.features, world.clicks, np.arange(world.n_items)),
            lambda ranker, world: ranker.contributions(world.users(world.only(0)), world.features),
        ],
        ids=["score", "refreshed", "contributions"],
    )
    def test_a_ranker_before_fit(self, small, use):
        with pytest.raises(NotFittedError, match="HybridRanker must be fitted before it is used"):
            use(HybridRanker(), small)

    def test_vectors_that_are_not_finite(self, small):
        dense = small.features.dense.copy()
        dense[3] = np.nan
        with pytest.raises(InvalidInputError, match=r"`features\.dense` must be finite"):
            HybridRanker().fit(Features(dense), small.clicks)


class TestStagesOfAFit:
    STAGES = ("tuning", "experts", "old stock")

    @pytest.fixture(scope="class")
    def many_clicks(self, make_halves):
        return make_halves(n_users=200)

    def test_they_are_logged_with_sizes_and_seconds(self, many_clicks, caplog):
        with caplog.at_level("INFO", logger="coldstart"):
            ranker = HybridRanker(**UNBOUNDED).fit(many_clicks.features, many_clicks.clicks)
        assert [record.args[0] for record in caplog.records] == list(self.STAGES)
        assert f"{many_clicks.clicks.shape[0]} users, {many_clicks.n_items} items" in caplog.text
        assert set(ranker.report_["seconds"]) == set(self.STAGES)

    def test_a_terminal_shows_them_and_a_log_does_not(self, many_clicks, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
            monkeypatch.setattr(sys, "stderr", stream)
            monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
            HybridRanker(**UNBOUNDED).fit(many_clicks.features, many_clicks.clicks)
            assert all((stage in stream.getvalue()) == shown for stage in self.STAGES)
