import math
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
from coldstart.rankers.hybrid.blend import Blend
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.hybrid.reader import MEANING
from coldstart.rankers.hybrid.tuning import auto_cold_share
from coldstart.testing import HashEncoder, check_ranker, check_recommender, tiny_catalog, tiny_clicks

FEWEST = HybridConfig().fewest_clicks
UNBOUNDED = {"cold_share": None}


@pytest.fixture(scope="module")
def world(make_halves):
    """At least 1,000 clicks, which say more than texts: experts are learned."""
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
    """Two words of the item's kind, and one of fifty that are anyone's."""
    rng = np.random.default_rng(0)
    return [" ".join([*rng.choice(KIND_WORDS[kind], 2), f"w{rng.integers(50)}"]) for kind in world.kinds]


@dataclass
class Worded:
    """A world whose items have words too."""

    world: Any
    encoder: LexicalEncoder

    def asked(self, text, kind=None, history=None):
        """Someone who types a text, of a kind by its meaning."""
        said = 0.01 * np.ones(8) if kind is None else self.world.text_of(kind)
        return self.world.ask(history, query=said, words=self.encoder.encode_query([text]))


@pytest.fixture(scope="module")
def worded(make_halves):
    world = make_halves()
    encoder = LexicalEncoder().fit(titles_of(world))
    world.features = Features(world.features.dense, encoder.encode(titles_of(world)))
    return Worded(world, encoder)


def fitted(world, clicks=None, exposure=None, **params):
    """A ranker that is told nothing of new items, and bounds none, unless it is said otherwise."""
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
    return np.stack(
        [scores[:, (world.kinds == kind) & (world.cold == cold)].mean(axis=1) for kind in kinds], axis=1
    )


def lists_of(world, ranker, features=None, k=20):
    """The first items of every user, without those they clicked."""
    clicks = world.clicks.toarray()
    scores = ranker.score(world.ask(clicks), world.features if features is None else features)
    return np.argsort(-np.where(clicks > 0, -np.inf, scores), axis=1, kind="stable")[:, :k]


def share_of_old_stock(world, ranker):
    return world.cold[lists_of(world, ranker)].mean()


PARAMS = [{}, {"novelty": -1.0}, {"method": "als"}, {"popularity": 0.0}, UNBOUNDED]


class TestContracts:
    @pytest.mark.parametrize("params", PARAMS, ids=str)
    def test_of_a_ranker(self, params):
        check_ranker(HybridRanker(**params))

    @pytest.mark.parametrize("params", PARAMS, ids=str)
    def test_of_a_recommender(self, params):
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(**params)))

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_of_a_recommender_with_experts(self, method):
        """Eight items: the settings are chosen from 24 clicks."""
        params = {"config": HybridConfig(fewest_clicks=1, taste_share=(0.0,), prior_strength=(0.1, 1e6))}
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(method=method, **params)))

    def test_scores_are_finite_float32(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()[:3]), world.features)
        assert scores.shape == (3, world.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_scoring_leaves_users_and_items_as_they_were(self, world, ranker):
        users, before = (world.ask(world.only(1, 2), world.only(3), world.text_of(1)) for _ in range(2))
        ranker.score(users, world.features)
        for name in ("history", "disliked"):
            assert (getattr(users, name) != getattr(before, name)).nnz == 0
        assert np.array_equal(users.query.dense, before.query.dense)

    def test_parameters_that_are_gone_are_told_to_loading_only(self):
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
        asked = (history, disliked, query, profile)
        nothing = (nobody, nobody, silent, silent)
        return Users(*(one if said else none for said, one, none in zip(asked, [*lists, *texts], nothing, strict=True)))

    @pytest.mark.parametrize("clicks", [None, csr_array((4, 30), dtype=np.float32)], ids=["none", "empty"])
    def test_a_history_alone_is_answered_by_the_cosine_to_its_mean(self, items, clicks):
        found, users = HybridRanker(novelty=3.0).fit(items, clicks), self.users(history=True)
        likes = users.history.sum(axis=1)[:, None]
        expected = 13.3 * likes / (likes + 5.0) * CosineRanker().fit(items).score(users, items)
        np.testing.assert_allclose(found.score(users, items) - 3.0, expected, rtol=1e-4, atol=1e-4)
        assert (found.report_, found.blend_.experts) == ({}, None)

    @pytest.mark.parametrize("said", ["query", "profile"])
    def test_a_text_alone_finds_what_is_like_it(self, items, said):
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

    def test_a_dislike_takes_half_as_much_as_a_like_gives(self, items):
        fitted = HybridRanker().fit(items)
        vectors = CosineRanker().fit(items).item_vectors(items)
        plain, found = (fitted.score(self.users(history=True, disliked=said), items) for said in (False, True))
        disliked = self.users(disliked=True).disliked
        weight = 0.5 * MEANING / fitted._place(items).reader.spread
        expected = weight * np.maximum((disliked @ vectors) @ vectors.T, 0.0)
        np.testing.assert_allclose(plain - found, expected, rtol=1e-4, atol=1e-4)

    def test_an_item_that_holds_the_words_of_a_query_stands_above_its_like_that_do_not(self, worded):
        world = worded.world
        dense = world.features.dense.copy()
        dense[1] = dense[0]
        features = replace(world.features, dense=dense)
        fitted = HybridRanker().fit(features)
        words = [title.split()[-1] for title in titles_of(world)]
        assert words[0] != words[1]
        scores = fitted.score(worded.asked(words[0], kind=0), features)[0]
        without = fitted.score(world.ask(query=world.text_of(0)), features)[0]
        assert scores[0] - scores[1] > max(2 * abs(without[0] - without[1]), 1.0)

    def test_fitting_again_without_clicks_forgets_them(self, world):
        again = fitted(world)
        assert again.report_
        again.fit(world.features)
        assert (again.report_, again.blend_.experts, again.blend_.counts.any()) == ({}, None, False)


class TestFewClicks:
    """Fewer than it takes to learn from: the prior alone."""

    def strangers(self, world, n_clicks):
        """Scores of strangers with a few likes, after so many clicks of others, and which items have none of both."""
        rng = np.random.default_rng(0)
        clicks = np.zeros((n_clicks, world.n_items), dtype=np.float32)
        clicks[np.arange(n_clicks) // 2, rng.permutation(world.n_items)[:n_clicks]] = 1.0
        histories = np.stack([world.only(*rng.permutation(world.n_items)[:likes]) for likes in (1, 2, 5)])
        scores = HybridRanker().fit(world.features, csr_array(clicks)).score(world.ask(histories), world.features)
        return scores, clicks.sum(axis=0) == 0

    def test_five_clicks_of_others_do_not_change_the_order_of_a_strangers_list_by_text(self, small):
        (before, _), (after, unclicked) = (self.strangers(small, count) for count in (0, 5))
        assert unclicked.sum() == small.n_items - 5
        assert np.array_equal(np.argsort(-before[:, unclicked]), np.argsort(-after[:, unclicked]))
        places = [np.argsort(np.argsort(-scores, axis=1), axis=1) for scores in (before, after)]
        moved = (places[0] - places[1])[:, ~unclicked]
        assert 0 < moved.max() < small.n_items / 3  # a click raises an item; it does not outweigh taste
        assert np.abs(places[0] - places[1])[:, unclicked].max() <= 5

    def test_nor_of_what_a_text_finds(self, small):
        clicks = np.zeros((5, small.n_items), dtype=np.float32)
        clicks[np.arange(5), [3, 50, 60, 100, 120]] = 1.0
        asked, unclicked = small.ask(query=np.eye(8)[:3]), clicks.sum(axis=0) == 0
        before, after = (
            HybridRanker().fit(small.features, made).score(asked, small.features)[:, unclicked]
            for made in (None, csr_array(clicks))
        )
        assert np.array_equal(np.argsort(-before), np.argsort(-after))

    def test_there_are_no_experts_and_nothing_is_reported(self, of_small):
        assert (of_small.blend_.experts, of_small.report_) == (None, {})

    @pytest.mark.parametrize("clicks", [999, 1000])
    def test_a_thousand_clicks_are_enough(self, clicks):
        rng = np.random.default_rng(0)
        pairs = np.zeros(60 * 40, dtype=np.float32)
        pairs[rng.permutation(pairs.size)[:clicks]] = 1.0
        items = Features(rng.standard_normal((40, 4)).astype(np.float32))
        report = HybridRanker().fit(items, csr_array(pairs.reshape(60, 40))).report_
        assert ("l2" in report) == (clicks == 1000)

    def test_popular_items_stand_first_of_those_with_the_same_text(self, small):
        dense = small.features.dense.copy()
        dense[1] = dense[0]
        clicks = small.clicks.toarray()
        clicks[:, :2] = 0.0
        clicks[:9, 1] = 1.0
        features = Features(dense)
        learned = HybridRanker().fit(features, csr_array(clicks))
        rare, popular = learned.score(small.ask(small.only(5)), features)[0, :2]
        mean = clicks.sum() / small.n_items
        expected = learned.blend_.prior.weight * math.log((9 + 1) / (mean + 1) / (1 / (mean + 1)))
        assert popular - rare == pytest.approx(expected, rel=1e-3)


class TestWhatIsLearned:
    def test_new_items_of_the_right_kind_stand_above_new_items_of_another(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, True).argmax(axis=1) == world.likes) > 0.97

    def test_so_do_known_items(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, False).argmax(axis=1) == world.likes) > 0.97

    def test_clicks_tell_the_half_of_a_kind_that_no_text_tells(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()), world.features)
        for user in range(40):
            mine = (world.kinds == world.likes[user]) & ~world.cold
            half = (np.arange(world.n_items) % 2 == 1) == bool(user // 4 % 2)
            assert scores[user, mine & half].mean() > scores[user, mine & ~half].mean()

    def test_one_click_on_a_known_item_is_enough(self, world, ranker):
        kinds = range(4)
        histories = np.stack([world.only(np.flatnonzero(~world.cold & (world.kinds == kind))[0]) for kind in kinds])
        scores = ranker.score(world.ask(histories), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2, 3]

    def test_what_each_value_came_to_is_there_to_read(self, ranker):
        config = HybridConfig()
        for name in ("l2", "text_prior", "taste_share", "prior_strength"):
            assert tuple(ranker.report_[name]) == getattr(config, name)
            assert all(type(value) is float and 0.0 < value < 1.0 for value in ranker.report_[name].values())
        assert ranker.blend_.prior.strength in config.prior_strength
        assert set(ranker.report_["seconds"]) == {"lexical weight", "tuning", "experts", "old stock"}
        assert "TastePrior(" in repr(ranker.blend_.prior)

    def test_where_clicks_say_no_more_than_the_prior_it_is_kept_alone(self, make_world):
        world = make_world()
        made = fitted(world)
        assert made.blend_.experts is None
        assert made.report_["prior_strength"]
        scores = made.score(world.ask(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, False).argmax(axis=1) == world.likes) > 0.97

    def test_the_same_rng_gives_the_same_bytes_and_another_hides_other_clicks(self, world, ranker):
        users = world.ask(world.clicks.toarray()[:4])
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
        one, two = (world.ask(clicks.toarray()[:5]) for clicks in (world.clicks, weighted))
        assert np.array_equal(other.score(two, world.features), plain.score(one, world.features))

    def test_a_click_of_half_the_weight_counts_half(self, small, of_small):
        weighted = small.clicks.copy()
        weighted.data = np.full(weighted.nnz, 0.5, dtype=np.float32)
        np.testing.assert_allclose(fitted(small, weighted).blend_.counts, 0.5 * small.clicks.sum(axis=0))
        history = np.zeros((2, small.n_items), dtype=np.float32)
        history[0, [0, 44]], history[1, [0, 44]] = (1.0, 0.5), (0.5, 1.0)
        found = by_kind(small, of_small.score(small.ask(history), small.features), True)
        assert found[0, 0] > found[1, 0]
        assert found[0, 1] < found[1, 1]

    @pytest.mark.parametrize("of", ["world", "small"])
    def test_a_stored_zero_is_no_click(self, request, of):
        """A weight of 1e-50 is above 0 and 0 as a float32."""
        world = request.getfixturevalue(of)
        made, pairs = fitted(world), world.clicks.tocoo()
        row, column = np.append(pairs.row, 0), np.append(pairs.col, np.flatnonzero(world.cold)[0])
        clicks = csr_array((np.append(pairs.data, 0.0), (row, column)), shape=world.clicks.shape)
        for query in (None, world.text_of(1)):
            silent = world.ask(world.only(0), query=query)
            silent.history.data[:] = 0.0
            expected = made.score(world.ask(world.only(), query=query), world.features)
            np.testing.assert_allclose(fitted(world, clicks).score(silent, world.features), expected, atol=1e-5)

    def test_a_user_may_be_asked_alone_or_among_others(self, world, ranker):
        histories, texts = world.clicks.toarray()[:4].copy(), np.zeros((4, 8))
        histories[1], texts[1], texts[2] = 0.0, world.text_of(2), world.text_of(0)
        together = ranker.score(world.ask(histories, query=texts), world.features)
        for at in range(4):
            alone = ranker.score(world.ask(histories[at], query=texts[at]), world.features)
            np.testing.assert_allclose(alone[0], together[at], atol=2e-4)


class TestConfig:
    def test_fewest_clicks_says_when_experts_are_learned(self, world, small):
        learned = fitted(small, config=HybridConfig(fewest_clicks=small.clicks.nnz))
        assert "l2" in learned.report_
        assert "l2" not in fitted(small, config=HybridConfig(fewest_clicks=small.clicks.nnz + 1)).report_
        assert fitted(world, config=HybridConfig(fewest_clicks=world.clicks.nnz + 1)).blend_.experts is None

    def test_only_the_values_it_names_are_tried(self, world):
        config = HybridConfig(l2=(7.0, 50.0), text_prior=(0.0, 0.25), taste_share=(0.5,), prior_strength=(0.05, 1e6))
        report = fitted(world, config=config).report_
        tried = {name: tuple(report[name]) for name in ("l2", "text_prior", "taste_share", "prior_strength")}
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
            {"taste_half": 1.0},
        ],
        ids=str,
    )
    def test_each_number_is_used(self, world, ranker, changed):
        config = HybridConfig(text_prior=(2.0,), prior_strength=(0.3, 1e6), **changed)
        plain = HybridConfig(text_prior=(2.0,), prior_strength=(0.3, 1e6))
        asked = world.ask(world.clicks.toarray()[:5])
        one, other = (fitted(world, config=made).score(asked, world.features) for made in (plain, config))
        assert np.abs(one - other).max() > 1e-3

    def test_taste_is_that_of_a_ranker_without_clicks(self, small):
        asked = small.ask(small.only(0))
        one, other = (
            HybridRanker(config=HybridConfig(taste=taste)).fit(small.features).score(asked, small.features)
            for taste in (5.0, 10.0)
        )
        np.testing.assert_allclose(2 * one, other, rtol=1e-4, atol=1e-5)

    def test_text_clicks_say_how_long_a_new_item_keeps_its_text(self, world):
        """Clicked by users of kind 1, with a text of kind 0: with more, its text has more to say."""
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        clicks, exposure = world.clicks.toarray(), np.where(world.cold, 0.0, 1.0).astype(np.float32)
        clicks[np.flatnonzero(world.likes == 1)[:3], item] = 1.0
        ahead = []
        for half in (1.0, 100.0):
            made = fitted(world, clicks, exposure, config=HybridConfig(text_clicks=half, prior_strength=(0.1, 1e6)))
            scores = made.score(world.ask(clicks), replace(world.features, exposure=exposure))[:, item]
            ahead.append(scores[world.likes == 0].mean() - scores[world.likes == 1].mean())
        assert ahead[0] < ahead[1]

    def test_by_default_it_is_the_usual_one(self, world, ranker):
        asked = world.ask(world.clicks.toarray()[:3])
        given = fitted(world, config=HybridConfig())
        assert np.array_equal(given.score(asked, world.features), ranker.score(asked, world.features))


class TestNewItems:
    def test_a_new_item_with_the_right_text_stands_above_old_stock_with_the_same_text(self, world):
        """Pairs of the same text, one of which has just arrived."""
        cold = np.flatnonzero(world.cold)
        dense, exposure = world.features.dense.copy(), np.ones(world.n_items, dtype=np.float32)
        new, old = cold[::2], cold[1::2]
        dense[old], exposure[new] = dense[new], 0.0
        features = Features(dense, exposure=exposure)
        made = HybridRanker(cold_share=None).fit(features, world.clicks)
        assert made.blend_.experts is not None
        scores = made.score(world.ask(world.clicks.toarray()), features)
        assert (scores[:, new] >= scores[:, old]).all()
        right = world.likes[:, None] == world.kinds[new]
        assert (scores[:, new] - scores[:, old])[right].min() > 0.3

    def test_below_1000_clicks_too(self, small):
        cold = np.flatnonzero(small.cold)
        dense, exposure = small.features.dense.copy(), np.ones(small.n_items, dtype=np.float32)
        new, old = cold[::2], cold[1::2]
        dense[old], exposure[new] = dense[new], 0.0
        features = Features(dense, exposure=exposure)
        scores = HybridRanker().fit(features, small.clicks).score(small.ask(small.clicks.toarray()), features)
        mean = small.clicks.sum() / exposure.sum()
        weight = HybridRanker().fit(features, small.clicks).blend_.prior.weight
        np.testing.assert_allclose(scores[:, new] - scores[:, old], weight * np.log(mean + 1.0), rtol=1e-3)

    def test_so_does_what_a_query_finds(self, world):
        cold = np.flatnonzero(world.cold)
        dense, exposure = world.features.dense.copy(), np.ones(world.n_items, dtype=np.float32)
        new, old = cold[::2], cold[1::2]
        dense[old], exposure[new] = dense[new], 0.0
        features = Features(dense, exposure=exposure)
        scores = HybridRanker(cold_share=None).fit(features, world.clicks).score(
            world.ask(query=np.eye(8)[:4]), features
        )
        counts = world.clicks.sum(axis=0)
        expected = np.log((counts[counts > 0].mean() + 0.5) / 0.5)
        np.testing.assert_allclose(scores[:, new] - scores[:, old], expected, rtol=1e-3)

    def test_who_is_told_what_is_new_warns_of_nothing_and_shows_more_of_it(self, world, of_new, ranker):
        exposure = (~world.cold).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            told = HybridRanker().fit(replace(world.features, exposure=exposure), world.clicks)
        assert "old stock" not in told.report_
        assert share_of_old_stock(world, told) > share_of_old_stock(world, ranker) + 0.05

    def test_an_old_item_with_one_click_is_known_by_it_and_a_new_one_by_its_text_too(self, world):
        """Clicked by one who likes kind 1, its text of kind 0."""
        item = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        clicks, exposure = world.clicks.toarray(), np.where(world.cold, 0.0, 1.0).astype(np.float32)
        clicks[np.flatnonzero(world.likes == 1)[0], item] = 1.0
        config, ahead = HybridConfig(prior_strength=(0.0, 1e6)), []
        for of_item in (0.0, 1.0):
            exposure[item] = of_item
            made = fitted(world, clicks, exposure.copy(), config=config)
            asked = replace(world.features, exposure=exposure.copy())
            odds = np.exp(made.score(world.ask(world.clicks.toarray()), asked))
            shares = odds[:, item] / odds.max(axis=1)
            ahead.append(shares[world.likes == 0].mean() - shares[world.likes == 1].mean())
        assert ahead[0] > 0.0
        assert ahead[0] > ahead[1] + 0.05


class TestOldStock:
    """Told nothing, items without clicks are taken for old stock."""

    MATCH = (
        "40 of 120 items have no clicks, and nothing says that they are new; by their texts they would take 4[0-9]% of "
        r"the first 20 places, and get {share}%\. Say which items are new: Recommender\.fit\(\.\.\., new=ids\), "
        r"Catalog\.from_frame\(\.\.\., added=column\), or add_items; or pass HybridRanker\(cold_share=\.\.\.\)\."
    )

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_it_takes_at_most_one_in_five_of_the_first_20_places(self, world, method):
        with pytest.warns(ColdstartWarning):
            made = HybridRanker(method=method).fit(world.features, world.clicks)
        assert made.blend_.experts is not None
        share = auto_cold_share(made.blend_.counts, world.cold, 0.2)
        assert share == 0.2
        assert 0.1 < share_of_old_stock(world, made) <= share

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
    def test_or_what_is_asked_for(self, world, share):
        with pytest.warns(ColdstartWarning, match=self.MATCH.format(share=round(100 * share))):
            made = HybridRanker(cold_share=share).fit(world.features, world.clicks)
        assert share - 0.01 <= share_of_old_stock(world, made) <= share

    def test_none_leaves_it_free_and_warns_of_nothing(self, world, ranker):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            free = HybridRanker(cold_share=None).fit(world.features, world.clicks)
        assert free.blend_.cold_offset == 0.0
        assert share_of_old_stock(world, free) > 0.35
        expected = "40 of 120 items have no clicks, and nothing says that they are new: they were taken for old stock."
        assert free.report_["old stock"] == expected

    def test_a_bound_that_is_kept_anyway_changes_nothing(self, world, ranker):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker(cold_share=0.9).fit(world.features, world.clicks)
        assert (made.blend_.cold_offset, share_of_old_stock(world, made)) == (0.0, share_of_old_stock(world, ranker))
        assert made.report_["old stock"].endswith("which gets at most 90% of the first 20 places.")

    def test_the_warning_says_how_many_and_what_to_do(self, world):
        with pytest.warns(ColdstartWarning, match=self.MATCH.format(share=20)):
            made = HybridRanker().fit(world.features, world.clicks)
        expected = (
            "40 of 120 items have no clicks, and nothing says that they are new: they were taken for old stock, which "
            "gets at most 20% of the first 20 places."
        )
        assert made.report_["old stock"] == expected

    def test_its_order_stays_the_same(self, world, ranker):
        with pytest.warns(ColdstartWarning):
            made = HybridRanker().fit(world.features, world.clicks)
        asked = world.ask(world.clicks.toarray())
        bound, free = (one.score(asked, world.features) for one in (made, ranker))
        np.testing.assert_allclose(bound[:, ~world.cold], free[:, ~world.cold], atol=1e-5)
        assert (bound[:, world.cold] <= free[:, world.cold] + 1e-5).all()
        assert (bound[:, world.cold] < free[:, world.cold] - 0.3).mean() > 0.5

    def test_where_every_item_has_clicks_there_is_nothing_to_say(self, make_halves):
        world = make_halves(n_cold=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = HybridRanker().fit(world.features, world.clicks)
        assert made.blend_.experts is not None
        assert "old stock" not in made.report_
