import math
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
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid import answers as answers_module
from coldstart.rankers.hybrid import ranker as module
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.hybrid.raw import Collaborative
from coldstart.rankers.hybrid.reader import MEANING
from coldstart.rankers.hybrid.settings import Settings
from coldstart.testing import HashEncoder, check_ranker, check_recommender, tiny_catalog, tiny_clicks


@pytest.fixture(scope="module")
def world(make_world):
    """At least 1,000 clicks: settings are learned."""
    made = make_world()
    assert made.clicks.nnz >= module.ENOUGH_CLICKS
    return made


@pytest.fixture(scope="module")
def small(make_world):
    """Fewer: the usual settings."""
    made = make_world(n_users=24, n_cold=24, per_kind=44)
    assert made.clicks.nnz < module.ENOUGH_CLICKS
    return made


KIND_WORDS = [["sun", "moon", "star"], ["rose", "lily", "tulip"], ["beat", "song", "tune"]]


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
def worded(make_world):
    world = make_world()
    encoder = LexicalEncoder().fit(titles_of(world))
    world.features = Features(world.features.dense, encoder.encode(titles_of(world)))
    return Worded(world, encoder)


@pytest.fixture(scope="module")
def of_words(worded):
    return HybridRanker().fit(worded.world.features, worded.world.clicks)


@pytest.fixture(scope="module")
def ranker(world):
    return HybridRanker().fit(world.features, world.clicks)


@pytest.fixture(scope="module")
def of_small(small):
    return HybridRanker().fit(small.features, small.clicks)


def by_kind(world, scores, cold):
    """Mean score of each user on the items of each kind."""
    return np.stack([scores[:, (world.kinds == kind) & (world.cold == cold)].mean(axis=1) for kind in range(3)], axis=1)


class TestContracts:
    @pytest.mark.parametrize(
        "params", [{}, {"few": 0.0}, {"novelty": -1.0}, {"method": "als"}, {"popularity": 0.0}, {"rate": 2.0}], ids=str
    )
    def test_of_a_ranker(self, params):
        check_ranker(HybridRanker(**params))

    @pytest.mark.parametrize(
        "params", [{}, {"few": 0.0}, {"novelty": -1.0}, {"method": "als"}, {"popularity": 0.0}, {"rate": 2.0}], ids=str
    )
    def test_of_a_recommender(self, params):
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(**params)))

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
    def test_a_history_alone_is_answered_by_cosine(self, items, clicks):
        found = HybridRanker(novelty=3.0).fit(items, clicks)
        expected = CosineRanker().fit(items).score(self.users(history=True), items)
        spread = found._reader(items).spread
        np.testing.assert_allclose(
            found.score(self.users(history=True), items), MEANING / spread * expected, rtol=1e-4, atol=1e-4
        )
        assert (found.settings_, found.report_, found.experts_) == (None, {}, None)

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
        weight = 0.5 * MEANING / fitted._reader(items).spread
        expected = weight * np.maximum((disliked @ vectors) @ vectors.T, 0.0)
        np.testing.assert_allclose(plain - found, expected, rtol=1e-4, atol=1e-4)

    def test_an_item_that_holds_the_words_of_a_query_stands_above_its_like_that_do_not(self, worded):
        world = worded.world
        world.features.dense[1] = world.features.dense[0]
        fitted = HybridRanker().fit(world.features)
        words = [title.split()[-1] for title in titles_of(world)]
        scores = fitted.score(worded.asked(words[0], kind=0), world.features)[0]
        assert scores[0] > scores[1]
        without = fitted.score(world.ask(query=world.text_of(0)), world.features)[0]
        assert scores[0] - scores[1] > 2 * abs(without[0] - without[1])

    def test_fitting_again_without_clicks_forgets_them(self, world):
        again = HybridRanker().fit(world.features, world.clicks).fit(world.features)
        assert (again.settings_, again.report_, again.experts_) == (None, {}, None)


class TestWhatIsLearned:
    def test_new_items_of_the_right_kind_stand_above_new_items_of_another(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, True).argmax(axis=1) == world.likes) > 0.97

    def test_so_do_known_items(self, world, ranker):
        scores = ranker.score(world.ask(world.clicks.toarray()), world.features)
        assert np.mean(by_kind(world, scores, False).argmax(axis=1) == world.likes) > 0.97

    def test_one_click_on_a_known_item_is_enough(self, world, ranker):
        histories = np.stack([world.only(np.flatnonzero(~world.cold & (world.kinds == kind))[0]) for kind in range(3)])
        scores = ranker.score(world.ask(histories), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2]

    def test_the_settings_and_what_each_value_came_to_are_there_to_read(self, ranker):
        assert isinstance(ranker.settings_, Settings)
        assert ranker.settings_ != Settings()
        assert "Collaborative(" in repr(ranker.settings_)
        for name in ("l2", "prior"):
            tried = ranker.report_[name]
            assert tried[getattr(ranker.settings_.collaborative, name)] == max(tried.values())
        assert all(type(value) is float for value in ranker.report_["l2"].values())

    def test_below_1000_clicks_the_settings_are_the_usual_ones_but_for_the_start(self, of_small):
        assert replace(of_small.settings_, unseen=0.0, rate=0.0) == Settings()
        assert set(of_small.report_) == {"rate"}

    @pytest.mark.parametrize("clicks", [999, 1000])
    def test_a_thousand_clicks_are_enough(self, clicks):
        rng = np.random.default_rng(0)
        pairs = np.zeros(60 * 40, dtype=np.float32)
        pairs[rng.permutation(pairs.size)[:clicks]] = 1.0
        items = Features(rng.standard_normal((40, 4)).astype(np.float32))
        report = HybridRanker().fit(items, csr_array(pairs.reshape(60, 40))).report_
        assert ("l2" in report) == (clicks == 1000)

    def test_the_same_rng_gives_the_same_bytes_and_another_hides_other_clicks(self, world, ranker):
        users = world.ask(world.clicks.toarray()[:4])
        same, other = (HybridRanker(rng=rng).fit(world.features, world.clicks) for rng in (0, 1))
        assert same.score(users, world.features).tobytes() == ranker.score(users, world.features).tobytes()
        assert same.report_ == ranker.report_ != other.report_

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_a_click_of_weight_above_1_counts_as_1(self, small, method):
        weighted = small.clicks.copy()
        weighted.data = np.random.default_rng(0).choice([1.0, 3.0, 1e6], weighted.nnz).astype(np.float32)
        plain, other = (HybridRanker(method=method).fit(small.features, clicks) for clicks in (small.clicks, weighted))
        one, two = (small.ask(clicks.toarray()[:5]) for clicks in (small.clicks, weighted))
        assert np.array_equal(other.score(two, small.features), plain.score(one, small.features))

    def test_a_click_of_half_the_weight_counts_half(self, small):
        """Half of everything is half as many clicks; a user's own scores are shares of their level."""
        weighted = small.clicks.copy()
        weighted.data = np.full(weighted.nnz, 0.5, dtype=np.float32)
        halved = HybridRanker().fit(small.features, weighted)
        np.testing.assert_allclose(halved.experts_.counts, 0.5 * small.clicks.sum(axis=0))
        history = np.zeros((2, small.n_items), dtype=np.float32)
        history[0, [0, 44]], history[1, [0, 44]] = (1.0, 0.5), (0.5, 1.0)
        scores = HybridRanker().fit(small.features, small.clicks).score(small.ask(history), small.features)
        found = by_kind(small, scores, True)
        assert found[0, 0] > found[1, 0]
        assert found[0, 1] < found[1, 1]

    def test_a_stored_zero_is_no_click(self, small, of_small):
        """A weight of 1e-50 is above 0 and 0 as a float32."""
        pairs = small.clicks.tocoo()
        row, column = np.append(pairs.row, 0), np.append(pairs.col, np.flatnonzero(small.cold)[0])
        clicks = csr_array((np.append(pairs.data, 0.0), (row, column)), shape=small.clicks.shape)
        history = small.ask(small.only(0))
        history.history.data[:] = 0.0
        found = HybridRanker().fit(small.features, clicks).score(history, small.features)
        nobody = small.ask(small.only())
        np.testing.assert_allclose(found, of_small.score(nobody, small.features), atol=1e-5)
        query = small.ask(small.only(0), query=small.text_of(1))
        query.history.data[:] = 0.0
        expected = of_small.score(small.ask(small.only(), query=small.text_of(1)), small.features)
        np.testing.assert_allclose(of_small.score(query, small.features), expected, atol=1e-5)

    def test_a_user_may_be_asked_alone_or_among_others(self, world, ranker):
        histories, texts = world.clicks.toarray()[:4].copy(), np.zeros((4, 8))
        histories[1], texts[1], texts[2] = 0.0, world.text_of(2), world.text_of(0)
        together = ranker.score(world.ask(histories, query=texts), world.features)
        for at in range(4):
            alone = ranker.score(world.ask(histories[at], query=texts[at]), world.features)
            np.testing.assert_allclose(alone[0], together[at], atol=2e-4)


class TestNovelty:
    @pytest.mark.parametrize("novelty", [-20, -0.7, 2.5, 20.0])
    def test_it_shifts_the_items_without_clicks_by_exactly_that_much(self, world, ranker, novelty):
        users = world.ask(world.clicks.toarray()[:5])
        shifted = HybridRanker(novelty=novelty).fit(world.features, world.clicks)
        found, plain = shifted.score(users, world.features), ranker.score(users, world.features)
        assert np.array_equal(found[:, ~world.cold], plain[:, ~world.cold])
        assert np.array_equal(found[:, world.cold], plain[:, world.cold] + np.float32(novelty))

    def test_beside_a_query_it_still_moves_new_items(self, world):
        users = world.ask(world.clicks.toarray()[:5], query=np.tile(world.text_of(0), (5, 1)))
        ranks = []
        for novelty in (-3.0, 0.0, 3.0):
            scores = HybridRanker(novelty=novelty).fit(world.features, world.clicks).score(users, world.features)
            ranks.append((-scores).argsort(axis=1).argsort(axis=1)[:, world.cold].mean())
        assert ranks[0] > ranks[1] > ranks[2]


class TestFew:
    def place_of_the_first(self, world, n_clicks, **params):
        """Clicked by some who like kind 1, its text of kind 0: mean place for those who like 0, and who like 1."""
        clicks, wrong = world.clicks.toarray(), world.likes == 1
        clicks[:, 0] = 0.0
        users = world.ask(clicks.copy())
        clicks[:, 0] = wrong & (np.cumsum(wrong) <= n_clicks)
        scores = HybridRanker(**params).fit(world.features, csr_array(clicks)).score(users, world.features)
        places = (scores[:, ~world.cold] > scores[:, [0]]).sum(axis=1)
        others = clicks[:, 0] == 0
        return places[world.likes == 0].mean(), places[wrong & others].mean()

    def test_an_item_with_one_click_is_ranked_by_its_text_and_one_with_many_by_its_clicks(self, world):
        right, wrong = self.place_of_the_first(world, 1, few=10.0)
        assert right < wrong
        right, wrong = self.place_of_the_first(world, 20, few=10.0)
        assert wrong < right

    def test_with_0_any_click_decides(self, world):
        right, wrong = self.place_of_the_first(world, 1, few=0.0, prior=0.0)
        assert wrong < right

    def test_items_that_were_never_liked_much_do_not_flood_the_lists(self, make_world):
        world = make_world(n_users=150, n_cold=0)
        clicks, unloved = world.clicks.toarray(), np.arange(world.n_items) % 3 == 0
        clicks[:, unloved] *= np.cumsum(clicks[:, unloved], axis=0) <= 2
        scores = HybridRanker().fit(world.features, csr_array(clicks)).score(world.ask(clicks), world.features)
        top = np.argsort(-np.where(clicks > 0, -np.inf, scores), axis=1)[:, :10]
        assert unloved[top].mean() < 0.15

    def test_it_is_learned_unless_it_is_given(self, world, ranker, small):
        assert tuple(ranker.report_["few"]) == module.FEW
        assert ranker.settings_.few in module.FEW
        given = HybridRanker(few=2.5).fit(world.features, world.clicks)
        assert (given.settings_.few, list(given.report_["few"])) == (2.5, [2.5])
        assert HybridRanker(few=2.5).fit(small.features, small.clicks).settings_.few == 2.5


class TestRate:
    def rated(self, world, **params):
        return HybridRanker(**params).fit(world.features, world.clicks)

    def test_it_is_learned_unless_how_clicks_count_is_given(self, small, of_small):
        assert tuple(of_small.report_["rate"]) == module.RATES
        for params in ({"few": 8.0}, {"l2": 100.0}, {"prior": 1.0}, {"method": "exact"}, {"rate": 0.0}):
            fitted = self.rated(small, **params)
            assert ("rate" in fitted.report_, fitted.settings_.rate) == (False, 0.0)
        assert self.rated(small, rate=3.0).settings_.rate == 3.0

    def test_with_many_clicks_it_is_not(self, monkeypatch, small):
        monkeypatch.setattr(module, "MOST_STARTING", small.clicks.nnz - 1)
        assert "rate" not in self.rated(small).report_

    def test_the_more_the_further_up_are_items_that_many_like(self, world):
        users, counts = world.ask(world.clicks.toarray()), np.asarray(world.clicks.sum(axis=0))

        def clicks_of_the_first(rate):
            scores = self.rated(world, rate=rate).score(users, world.features)
            return counts[np.argsort(-scores, axis=1)[:, :10]].mean()

        found = [clicks_of_the_first(rate) for rate in (0.25, 1.0, 4.0)]
        assert found == sorted(found)
        assert found[2] > found[0] + 2.0

    def test_without_popularity_text_alone_counts(self, world):
        users = world.ask(world.clicks.toarray()[:9])
        little, much = (self.rated(world, rate=rate, popularity=0.0) for rate in (0.25, 4.0))
        scores = little.score(users, world.features)
        np.testing.assert_allclose(scores, much.score(users, world.features), atol=1e-5)
        assert not much.voices(users, world.features)[3].any()

    def test_popularity_has_more_to_say_of_what_more_have_clicked(self, world):
        fitted, counts = self.rated(world, rate=1.0), np.asarray(world.clicks.sum(axis=0))
        voices = fitted.voices(world.ask(world.clicks.toarray()[:9]), world.features)
        assert not voices[3][:, world.cold].any()
        same = np.flatnonzero(world.kinds == 0)
        said = voices[3].mean(axis=0)[same]
        assert np.corrcoef(said, np.log(counts[same] + 0.5))[0, 1] > 0.6

    def test_an_item_that_comes_later_is_taken_for_one_with_as_many_clicks_as_others(self, world):
        fitted = self.rated(world, rate=2.0)
        origin = np.append(np.arange(world.n_items), -1)
        twin = int(np.flatnonzero(world.cold)[0])
        features = Features(world.features.dense[np.append(np.arange(world.n_items), twin)])
        clicks = csr_array(np.pad(world.clicks.toarray(), ((0, 0), (0, 1))))
        grown = fitted.refreshed(features, clicks, origin)
        told = np.zeros((1, world.n_items + 1), dtype=np.float32)
        told[0, :3] = 1.0
        nothing = Features(np.zeros((1, 8), dtype=np.float32))
        scores = grown.score(Users(csr_array(told), csr_array(0 * told), nothing, nothing), features)[0]
        mean = world.clicks.sum() / (~world.cold).sum()
        assert scores[-1] - scores[twin] == pytest.approx(2.0 * np.log((mean + 0.5) / 0.5), rel=1e-3)

    def refreshed(self, world, ranker, clicks, dense=None):
        """The ranker, with all there is clicked now."""
        features = world.features if dense is None else Features(dense)
        return ranker.refreshed(features, csr_array(clicks), np.arange(world.n_items)), features

    def test_clicks_that_come_later_count_for_every_item(self, world):
        fitted, clicks = self.rated(world, rate=2.0), world.clicks.toarray()
        clicks = np.vstack([clicks, np.zeros((50, world.n_items), dtype=np.float32)])
        old, unclicked = int(np.flatnonzero(~world.cold)[0]), int(np.flatnonzero(world.cold)[0])
        before = fitted.score(world.ask(world.only(5, 6)), world.features)[0]
        clicks[-50:, [old, unclicked]] = 1.0
        now, features = self.refreshed(world, fitted, clicks)
        gained = now.score(world.ask(world.only(5, 6)), features)[0] - before
        n_old = world.clicks.sum(axis=0)[old]
        others = gained[2]
        assert gained[old] - others == pytest.approx(2.0 * np.log((n_old + 50.5) / (n_old + 0.5)), rel=1e-3)
        assert gained[unclicked] - others == pytest.approx(2.0 * np.log(50.5 / 0.5), rel=1e-3)

    def test_an_item_whose_text_is_changed_a_little_stays_where_it_was(self, world):
        fitted, dense = self.rated(world, rate=1.0), world.features.dense.copy()
        item = int(np.flatnonzero(~world.cold)[3])
        dense[item] += 0.01
        now, features = self.refreshed(world, fitted, world.clicks.toarray(), dense)
        asked = world.ask(world.clicks.toarray()[:20])
        moved = now.score(asked, features)[:, item] - fitted.score(asked, world.features)[:, item]
        assert np.abs(moved).max() < 0.2

    def test_however_large_log_odds_are_a_query_is_answered(self, monkeypatch, world):
        fitted, users = self.rated(world, rate=1.0), world.ask(world.only(1), query=world.text_of(2))
        expected = fitted.score(users, world.features)
        odds = fitted.experts_.log_odds(users.history)
        monkeypatch.setattr(Experts, "log_odds", lambda *_: odds + np.float32(200.0))
        np.testing.assert_allclose(fitted.score(users, world.features) - 200.0, expected, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("rate", [-0.1, 10.1, float("nan")])
    def test_out_of_range_it_is_refused(self, world, rate):
        with pytest.raises(InvalidInputError, match="`rate` must be"):
            self.rated(world, rate=rate)


class TestMethod:
    def test_auto_is_exact_while_it_fits(self, monkeypatch, small):
        def chosen(method="auto"):
            return HybridRanker(method=method).fit(small.features, small.clicks).settings_.collaborative.method

        assert chosen() == "exact"
        monkeypatch.setattr(module, "MAX_SIDE", 23)
        assert chosen() == "als"
        monkeypatch.setattr(module, "MAX_SIDE", 24)
        assert chosen() == "exact"
        n_warm = len(np.unique(small.clicks.indices))
        monkeypatch.setattr(module, "MAX_WEIGHTS", n_warm * small.n_items)
        assert chosen() == "exact"
        monkeypatch.setattr(module, "MAX_WEIGHTS", n_warm * small.n_items - 1)
        assert chosen() == "als"
        monkeypatch.undo()
        assert chosen("als") == "als"

    def test_one_small_side_is_enough(self, monkeypatch, small):
        few_items = small.clicks.toarray()
        few_items[:, 5:] = 0.0
        monkeypatch.setattr(module, "MAX_SIDE", 5)
        fitted = HybridRanker(method="exact").fit(small.features, csr_array(few_items))
        assert fitted.settings_.collaborative.method == "exact"

    def test_als_tells_kinds_apart_for_known_and_new_items(self, world):
        fitted = HybridRanker(method="als").fit(world.features, world.clicks)
        assert fitted.experts_.answers.als is not None
        scores = fitted.score(world.ask(world.clicks.toarray()), world.features)
        for cold in (True, False):
            assert np.mean(by_kind(world, scores, cold).argmax(axis=1) == world.likes) > 0.95

    def test_als_searches_its_own_settings(self, world):
        fitted = HybridRanker(method="als").fit(world.features, world.clicks)
        tried = fitted.report_["unobserved"]
        assert tried[fitted.settings_.collaborative.unobserved] == max(tried.values())
        assert not {"l2", "prior"} & set(fitted.report_)


class TestWhatIsFixed:
    @pytest.mark.parametrize("params", [{"l2": 7.0}, {"prior": 0.0}, {"l2": 40.0, "prior": 3.0}], ids=str)
    def test_what_the_caller_gives_is_kept_and_the_rest_learned(self, world, params):
        fitted = HybridRanker(**params).fit(world.features, world.clicks)
        for name in ("l2", "prior"):
            assert (name in fitted.report_) == (name not in params)
            if name in params:
                assert getattr(fitted.settings_.collaborative, name) == params[name]

    def test_below_1000_clicks_too(self, small):
        fitted = HybridRanker(l2=7.0, prior=0.5).fit(small.features, small.clicks)
        assert replace(fitted.settings_, unseen=0.0) == Settings(Collaborative(l2=7.0, prior=0.5))

    @pytest.mark.parametrize("words", [0.0, 0.25, 1.0])
    def test_so_are_words(self, worded, words):
        fitted = HybridRanker(words=words).fit(worded.world.features, worded.world.clicks)
        assert fitted.space_.words == words
        assert "words" not in fitted.report_


class TestWordsLearned:
    def test_the_weight_that_does_best_is_taken_and_reported(self, of_words):
        tried = of_words.report_["words"]
        assert tuple(tried) == module.WORDS
        assert tried[of_words.space_.words] == max(tried.values())
        assert all(type(value) is float and 0.0 < value < 1.0 for value in tried.values())

    def test_words_count_where_meaning_says_nothing(self, make_world):
        world = make_world(noise=0.2)
        np.random.default_rng(0).shuffle(world.features.dense)
        titles = titles_of(world)
        features = Features(world.features.dense, LexicalEncoder().fit(titles).encode(titles))
        fitted = HybridRanker().fit(features, world.clicks)
        assert fitted.space_.words == 0.3
        assert fitted.report_["words"][0.3] > fitted.report_["words"][0.0] + 0.05

    def test_without_words_or_clicks_enough_nothing_is_learned_of_them(self, ranker, small):
        assert "words" not in ranker.report_
        titles = titles_of(small)
        features = Features(small.features.dense, LexicalEncoder().fit(titles).encode(titles))
        fitted = HybridRanker().fit(features, small.clicks)
        assert set(fitted.report_) == {"rate"}
        assert fitted.space_.words == module.WORDS[-1]


class TestPopularity:
    @pytest.fixture(scope="class")
    def popular(self, make_world):
        """All click what is popular: popularity is learned to count."""
        world = make_world(n_users=400)
        often = np.random.default_rng(0).permutation(0.6 / np.arange(1, world.n_items + 1) ** 0.7)
        world.clicks = csr_array((np.random.default_rng(1).random((400, world.n_items)) < often).astype(np.float32))
        return world

    def fitted(self, world, popularity):
        return HybridRanker(popularity=popularity).fit(world.features, world.clicks)

    def test_at_0_it_is_as_if_none_had_been_learned(self, popular):
        users = popular.ask(popular.clicks.toarray()[:20])
        fitted = self.fitted(popular, 0.0)
        assert max(weight for _, weight in fitted.settings_.popularity) > 0.0
        found = fitted.score(users, popular.features)
        fitted.experts_ = replace(fitted.experts_, settings=replace(fitted.settings_, popularity=((1.0, 0.0),)))
        assert np.array_equal(fitted.score(users, popular.features), found)

    def test_the_more_of_it_the_more_popular_are_the_items(self, popular):
        history = np.zeros((30, popular.n_items), dtype=np.float32)
        history[np.arange(30), np.arange(30)] = 1.0
        counts = popular.clicks.sum(axis=0)
        means = []
        for dial in (0.0, 0.3, 1.0):
            scores = self.fitted(popular, dial).score(popular.ask(history), popular.features)
            means.append(counts[np.argsort(-scores, axis=1)[:, :5]].mean())
        assert means[0] < means[1] < means[2]


class TestVoices:
    def voices(self, ranker, world, users):
        found = ranker.voices(users, world.features)
        assert found.shape == (4, len(users), world.n_items)
        assert found.min() >= 0.0
        assert found.max() <= 1.0 + 1e-6
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)
        return dict(zip(ranker.experts, found, strict=True))

    def test_the_experts_are_named_in_order(self, ranker):
        assert ranker.experts == ("lexical", "content", "collaborative", "popularity")

    def test_content_alone_speaks_for_an_item_without_clicks_when_nothing_is_asked(self, worded):
        world = worded.world
        of_experts = HybridRanker(rate=0.0).fit(world.features, world.clicks)
        found = self.voices(of_experts, world, world.ask(world.clicks.toarray()[:5]))
        assert np.all(found["content"][:, world.cold] == 1.0)
        known = world.clicks.sum(axis=0) > 10
        assert found["collaborative"][:, known].mean() > 0.5
        assert not found["lexical"].any()

    def test_a_word_that_matches_has_a_share_and_where_none_does_it_has_next_to_none(self, worded, of_words):
        world, titles = worded.world, titles_of(worded.world)
        for history in (None, world.clicks.toarray()[0]):
            found = self.voices(of_words, world, worded.asked("rose", kind=1, history=history))["lexical"][0]
            holding = np.array(["rose" in title.split() for title in titles])
            assert found[holding].min() > 0.01
            assert found[~holding].max() < found[holding].min()

    def test_without_popularity_it_has_no_share(self, world):
        fitted = HybridRanker(popularity=0.0).fit(world.features, world.clicks)
        histories = np.stack([world.only(at) for at in range(5)])
        assert not self.voices(fitted, world, world.ask(histories))["popularity"].any()

    def test_without_clicks_content_says_all_but_what_words_say(self, worded):
        world = worded.world
        fitted = HybridRanker().fit(world.features)
        found = self.voices(fitted, world, world.ask(world.clicks.toarray()[:3]))
        assert np.all(found["content"] == 1.0)
        asked = self.voices(fitted, world, worded.asked("rose", kind=1))
        assert asked["lexical"].max() > 0.1
        assert not (asked["collaborative"] + asked["popularity"]).any()

    def test_they_are_those_of_each_user_whoever_is_asked_beside_them(self, world, ranker):
        histories, texts = world.clicks.toarray()[:4].copy(), np.zeros((4, 8))
        histories[1], texts[1], texts[2] = 0.0, world.text_of(2), world.text_of(0)
        together = ranker.voices(world.ask(histories, query=texts), world.features)
        for at in range(4):
            alone = ranker.voices(world.ask(histories[at], query=texts[at]), world.features)
            np.testing.assert_allclose(alone[:, 0], together[:, at], atol=1e-3)

    @pytest.mark.parametrize("params", [{"method": "als"}, {"few": 0.0}, {"novelty": 5.0}, {"rate": 1.0}], ids=str)
    def test_they_are_shares_whatever_the_settings(self, worded, params):
        world = worded.world
        fitted = HybridRanker(**params).fit(world.features, world.clicks)
        self.voices(fitted, world, world.ask(world.clicks.toarray()[:3]))
        self.voices(fitted, world, worded.asked("song tune", kind=2, history=world.only(1, 2)))
        self.voices(fitted, world, world.ask(world.only()))
        self.voices(fitted, world, world.ask(world.only(), disliked=world.only(3)))

    def test_other_items_than_those_of_fit_are_refused(self, small, of_small):
        users = small.ask(small.only(0))
        with pytest.raises(InvalidInputError, match="Call refreshed"):
            of_small.voices(users, small.features[:5])


class TestTexts:
    def test_a_query_alone_is_answered_by_text(self, world, ranker):
        scores = ranker.score(world.ask(query=np.eye(8)[:3]), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold).argmax(axis=1).tolist() == [0, 1, 2]
        assert (world.kinds[scores.argmax(axis=1)] == np.arange(3)).all()

    def test_so_is_a_profile_alone(self, world, ranker):
        asked = world.ask(query=np.eye(8)[:3])
        scores = ranker.score(Users(asked.history, asked.disliked, asked.profile, asked.query), world.features)
        assert (world.kinds[scores.argmax(axis=1)] == np.arange(3)).all()

    @pytest.mark.parametrize("kind", range(3))
    def test_a_query_beside_clicks_moves_items_that_match_it_up(self, world, ranker, kind):
        users = world.clicks.toarray()
        without = ranker.score(world.ask(users), world.features)
        asked = ranker.score(world.ask(users, query=np.tile(world.text_of(kind), (90, 1))), world.features)
        before, after = (
            (-scores).argsort(axis=1).argsort(axis=1)[:, world.kinds == kind] for scores in (without, asked)
        )
        others = world.likes != kind
        assert after[others].mean() < before[others].mean() - 3

    def test_words_of_a_query_count_on_items_with_them_and_without(self, worded, make_world):
        world = make_world()
        titles = titles_of(world)
        silent = np.flatnonzero(world.kinds == 1)[::2]
        for at in silent:
            titles[at] = ""
        features = Features(world.features.dense, worded.encoder.encode(titles))
        fitted = HybridRanker().fit(features, world.clicks)
        scores = fitted.score(worded.asked("rose lily", kind=1), features)[0]
        assert np.isfinite(scores).all()
        of_kind, held = world.kinds == 1, np.array(["rose" in title for title in titles])
        assert scores[held].mean() > scores[of_kind & ~held].mean() > scores[~of_kind].mean()

    def test_no_text_and_no_history_is_finite(self, world, ranker):
        assert np.isfinite(ranker.score(world.ask(world.only()), world.features)).all()

    def test_a_query_that_few_items_match_leaves_the_clicks_a_say(self, make_world):
        world = make_world(noise=0.0)
        alone = np.flatnonzero(world.cold & (world.kinds == 2))[:3]
        world.features.dense[alone] = world.text_of(7)
        ranker = HybridRanker().fit(world.features, world.clicks)
        history = world.clicks.toarray()[0]
        scores = ranker.score(world.ask(history, query=world.text_of(7)), world.features)[0]
        liked = (world.kinds == 0) & (history == 0)
        assert scores[alone].max() - scores[liked].max() < math.log(1000)


class TestTextAlone:
    """Who is known by a text alone gets what answers it, the popular first."""

    @pytest.fixture(scope="class")
    def twins(self, make_world):
        """Two items of one text and its words, liked by few and by many who like their kind."""
        world = make_world()
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
    def test_of_two_that_answer_alike_the_popular_one_stands_first_the_more_the_more_popularity_counts(
        self, twins, method
    ):
        world, ahead = twins.world, []
        for popularity in (0.0, 0.5, 1.0):
            fitted = HybridRanker(popularity=popularity, method=method).fit(world.features, world.clicks)
            rare, popular = fitted.score(world.ask(query=world.text_of(0)), world.features)[0, :2]
            ahead.append(popular - rare)
        assert ahead[0] < ahead[1] < ahead[2]
        assert ahead[2] > 0.0

    def test_popularity_is_the_base_rate_of_what_answers_alike(self, twins):
        world = twins.world
        counts = np.asarray(world.clicks.sum(axis=0))
        for popularity in (0.0, 0.5, 1.0):
            fitted = HybridRanker(popularity=popularity).fit(world.features, world.clicks)
            rare, popular = fitted.score(world.ask(query=world.text_of(0)), world.features)[0, :2]
            odds = np.log((counts[1] + 0.5) / (counts[0] + 0.5))
            assert popular - rare == pytest.approx(popularity * odds, abs=1e-3)

    def test_the_order_of_the_whole_list_moves_to_the_popular(self, world):
        counts, means = world.clicks.sum(axis=0), []
        for popularity in (0.0, 1.0):
            fitted = HybridRanker(popularity=popularity).fit(world.features, world.clicks)
            scores = fitted.score(world.ask(query=np.eye(8)[:3]), world.features)
            means.append(counts[np.argsort(-scores, axis=1)[:, :5]].mean())
        assert means[1] > means[0]

    def test_of_an_item_without_clicks_clicks_and_of_0_popularity_say_nothing(self, worded):
        world = worded.world
        fitted = HybridRanker(popularity=0.0).fit(world.features, world.clicks)
        voices = dict(zip(fitted.experts, fitted.voices(worded.asked("rose", kind=1), world.features), strict=True))
        assert not voices["popularity"].any()
        assert not voices["collaborative"][:, world.cold].any()
        np.testing.assert_allclose(sum(voices.values()), 1.0, atol=1e-5)

    def test_popularity_has_a_say_of_items_that_are_more_popular_than_the_mean(self, worded, of_words):
        world = worded.world
        counts = np.log(np.asarray(world.clicks.sum(axis=0)) + 0.5)
        found = of_words.voices(worded.asked("rose", kind=1), world.features)[3, 0]
        np.testing.assert_array_equal(found > 0.0, counts > counts.mean())

    def test_an_item_that_came_later_is_taken_for_an_average_one(self, world):
        fitted = HybridRanker().fit(world.features, world.clicks)
        counts = np.asarray(world.clicks.sum(axis=0))
        grown = Features(np.vstack([world.features.dense, world.features.dense[:1]]))
        clicks = csr_array(
            (world.clicks.data, world.clicks.indices, world.clicks.indptr), shape=(90, world.n_items + 1)
        )
        moved = fitted.refreshed(grown, clicks, np.append(np.arange(world.n_items), -1))
        rates = moved.experts_.base_rate
        assert rates[-1] == pytest.approx(np.log(counts[counts > 0].mean() + 0.5), rel=1e-4)
        np.testing.assert_allclose(rates[:-1], np.log(counts + 0.5), rtol=1e-5)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_who_types_a_title_gets_that_item_first_new_or_known(self, make_world, method):
        """Its meaning is that of the item, and one of its words is in no other title; though others are popular."""
        world = make_world()
        titles = [f"{title} own{at}" for at, title in enumerate(titles_of(world))]
        encoder = LexicalEncoder().fit(titles)
        features = Features(world.features.dense, encoder.encode(titles))
        fitted = HybridRanker(method=method).fit(features, world.clicks)
        asked = world.ask(query=features.dense, words=encoder.encode_query(titles))
        ranks = (-fitted.score(asked, features)).argsort(axis=1).argsort(axis=1).diagonal()
        assert (ranks == 0).mean() > 0.8


class TestDisliked:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def test_it_never_raises_any_items_score(self, world, ranker, seed, asks):
        rng = np.random.default_rng(seed)
        history, disliked = (rng.random((2, world.n_items)) < 0.1).astype(np.float32)
        query = rng.standard_normal(8) if asks else None
        with_it, without = (
            ranker.score(world.ask(history, disliked=d, query=query), world.features) for d in (disliked, None)
        )
        assert np.all(with_it <= without)

    def test_it_lowers_the_item_and_those_like_it(self, world, ranker):
        history = world.clicks.toarray()[0]
        plain, found = (ranker.score(world.ask(history, disliked=d), world.features)[0] for d in (None, world.only(3)))
        fall = plain - found
        assert fall.argmax() == 3
        assert fall[world.kinds == 0].mean() > 3 * fall[world.kinds != 0].mean()


class TestAvoided:
    """A text that is not wanted."""

    def asked(self, world, avoided, query=None):
        said = world.ask(world.only(), query=query)
        return replace(said, avoided=Features(np.asarray(avoided, dtype=np.float32)[None]))

    @pytest.mark.parametrize("clicks", [False, True])
    def test_it_lowers_what_is_like_it_and_raises_nothing(self, world, clicks):
        fitted = HybridRanker().fit(world.features, world.clicks if clicks else None)
        plain = fitted.score(world.ask(world.only(), query=world.text_of(1)), world.features)[0]
        found = fitted.score(self.asked(world, world.text_of(0), world.text_of(1)), world.features)[0]
        fall = plain - found
        assert fall[world.kinds == 0].mean() > 1.0
        assert fall[world.kinds == 0].mean() > 3 * abs(fall[world.kinds == 1].mean())

    def test_alone_it_leaves_the_others(self, world):
        fitted = HybridRanker().fit(world.features)
        found = fitted.score(self.asked(world, world.text_of(0)), world.features)[0]
        assert not (world.kinds[np.argsort(-found)[:20]] == 0).any()


class TestClicksOnNewItems:
    """Someone who likes an item that nobody clicked before likes what is like it."""

    @pytest.mark.parametrize("kind", range(3))
    def test_a_history_of_new_items_counts(self, world, ranker, kind):
        history = world.only(np.flatnonzero(world.cold & (world.kinds == kind))[0])
        scores = ranker.score(world.ask(history), world.features)
        for cold in (True, False):
            assert by_kind(world, scores, cold)[0].argmax() == kind
            assert np.ptp(by_kind(world, scores, cold)) > 0.1

    def test_items_like_a_new_item_are_like_it(self):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker()).fit(tiny_catalog(), tiny_clicks())
        rec.add_items([{"id": "new", "title": "garden rose", "plot": "a story of garden and rose"}])
        assert all(item[0] == "g" for item in rec.similar_items("new", k=4).item_ids[0])


class TestLevels:
    @pytest.mark.parametrize("n_cold", [3, 6])
    def test_few_new_items_are_on_the_scale_of_known_ones(self, make_world, n_cold):
        """Fewer clicks than a thousand: log-odds are shares of the levels."""
        world = make_world(n_users=30, n_cold=n_cold, noise=0.2)
        scores = (
            HybridRanker().fit(world.features, world.clicks).score(world.ask(world.clicks.toarray()), world.features)
        )
        assert np.abs(scores).max() < 10.0  # a share of 20,000 of one's level


class TestChangedCatalogue:
    @pytest.fixture(params=["exact", "als"])
    def rec(self, request):
        ranker = HybridRanker(method=request.param)
        return cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(tiny_catalog(), tiny_clicks())

    def test_new_items_are_found_by_history_and_by_query(self, rec):
        rec.add_items(
            [
                {"id": "new star", "title": "space star", "plot": "a story of space and star"},
                {"id": "new rose", "title": "garden rose", "plot": "a story of garden and rose"},
            ]
        )
        assert "new star" in rec.recommend(user="u0", k=2).item_ids[0]
        assert "new rose" in rec.recommend(user="v0", k=2).item_ids[0]

    def test_an_item_that_matches_a_query_word_by_word_stays_at_the_top_when_its_like_comes(self, rec):
        assert rec.recommend(query="garden rose", k=1).item_ids == [["g0"]]
        rec.add_items([{"id": "new rose", "title": "garden rose", "plot": "a story of garden and rose"}])
        assert "g0" in rec.recommend(query="garden rose", k=2).item_ids[0]

    def test_an_item_that_is_removed_is_gone_and_the_others_keep_their_order(self, rec):
        before = rec.recommend(user="u0", k=8, exclude_seen=False).item_ids[0]
        rec.remove_items(["g3"])
        after = rec.recommend(user="u0", k=7, exclude_seen=False).item_ids[0]
        assert set(after) == set(before) - {"g3"}
        assert after[:4] == [item for item in before if item[0] == "s"]

    def test_a_removed_item_can_come_back_as_a_new_one(self, rec):
        rec.remove_items(["s0"]).add_items([{"id": "s0", "title": "space star", "plot": "a story of space and star"}])
        assert rec.recommend(user="u0", k=1).item_ids == [["s0"]]

    def test_clicks_that_come_later_count_for_their_users(self, rec):
        later = cs.Interactions.from_frame({"user": ["w", "w"], "item": ["g0", "g1"]}, user="user", item="item")
        rec.update(later)
        assert sorted(rec.recommend(user="w", k=2).item_ids[0]) == ["g2", "g3"]

    def test_a_changed_price_changes_no_score(self, rec):
        before = rec.recommend(user="u0", k=5)
        rec.update_items([{"id": "s0", "price": 99}])
        assert rec.recommend(user="u0", k=5) == before

    def test_all_items_with_clicks_can_go(self, rec):
        rec.add_items([{"id": f"new {word}", "title": f"space {word}", "plot": word} for word in ("sun", "ray")])
        rec.remove_items([f"{kind}{at}" for kind in "sg" for at in range(4)])
        assert rec.recommend(query="space sun", k=1).item_ids == [["new sun"]]
        assert len(rec.recommend(user="u0", k=2).item_ids[0]) == 2

    def test_refreshed_leaves_the_ranker_as_it_was(self, world, ranker):
        users = world.ask(world.clicks.toarray()[:2])
        before = ranker.score(users, world.features)
        stay = np.arange(5, world.n_items)
        fresh = ranker.refreshed(Features(world.features.dense[5:]), csr_array(world.clicks[:, 5:]), stay)
        assert fresh is not ranker
        assert np.array_equal(ranker.score(users, world.features), before)


def recommender_of(world, **params):
    """The same clicks on items that have words for texts."""
    titles = titles_of(world)
    catalog = cs.Catalog.from_frame({"id": list(range(len(titles))), "title": titles}, id="id", fields=["title"])
    user, item = world.clicks.nonzero()
    clicks = cs.Interactions.from_frame({"user": user, "item": item}, user="user", item="item")
    return cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(**params)).fit(catalog, clicks, check=False)


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
    @pytest.mark.parametrize("n_users", [24, 90], ids=["fewer users", "learned settings"])
    @pytest.mark.parametrize(
        "params", [{}, {"few": 0.0, "novelty": -0.5, "words": 0.6, "rng": 3}], ids=["usual", "others"]
    )
    @pytest.mark.parametrize("grown", [False, True], ids=["as fitted", "with new items"])
    def test_answers_are_the_same_to_the_last_bit(self, make_world, tmp_path, n_users, params, grown):
        rec = recommender_of(make_world(n_users=n_users), **params)
        loaded = saved_and_loaded(with_changes(rec) if grown else rec, tmp_path)
        assert loaded.recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)
        assert loaded.ranker_.settings_ == rec.ranker_.settings_
        assert loaded.ranker_.report_ == rec.ranker_.report_
        assert loaded.ranker_.get_params() == rec.ranker_.get_params()
        rec.add_items([{"id": 2000, "title": "star and star"}])
        loaded.add_items([{"id": 2000, "title": "star and star"}])
        assert loaded.recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)

    def test_with_weights_in_two_bytes_too(self, monkeypatch, make_world, tmp_path):
        monkeypatch.setattr(answers_module, "MOST_WHOLE", 50)
        rec = recommender_of(make_world())
        assert np.array_equal(
            rec.ranker_.experts_.answers.weights.astype(np.float16), rec.ranker_.experts_.answers.weights
        )
        assert saved_and_loaded(rec, tmp_path).recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)

    def test_with_weights_in_two_bytes_and_new_items_too(self, monkeypatch, make_world, tmp_path):
        monkeypatch.setattr(answers_module, "MOST_WHOLE", 50)
        rec = with_changes(recommender_of(make_world()))
        assert saved_and_loaded(rec, tmp_path).recommend_many(REQUESTS, k=100) == rec.recommend_many(REQUESTS, k=100)

    @pytest.mark.parametrize("grown", [False, True], ids=["as fitted", "with new items"])
    def test_with_factors_too(self, make_world, tmp_path, grown):
        rec = recommender_of(make_world(), method="als")
        loaded = saved_and_loaded(with_changes(rec) if grown else rec, tmp_path)
        found, expected = (one.recommend_many(REQUESTS, k=20) for one in (loaded, rec))
        for one, other in zip(found.scores, expected.scores, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)
        assert loaded.ranker_.settings_ == rec.ranker_.settings_

    def test_with_factors_to_the_last_bit(self, make_world, tmp_path):
        rec = recommender_of(make_world(), method="als")
        users = [cs.Request(user=user) for user in range(90)]
        assert saved_and_loaded(rec, tmp_path).recommend_many(users, k=100) == rec.recommend_many(users, k=100)

    def test_one_request_alone_too(self, make_world, tmp_path):
        rec = recommender_of(make_world())
        rec.save(tmp_path / "saved")
        loaded = cs.load(tmp_path / "saved", encoder=HashEncoder())
        assert all(loaded.recommend(user=user, k=100) == rec.recommend(user=user, k=100) for user in range(10))

    def test_without_clicks_too(self, tmp_path):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker()).fit(tiny_catalog())
        rec.save(tmp_path / "saved")
        loaded = cs.load(tmp_path / "saved", encoder=HashEncoder())
        assert loaded.recommend(query="garden", k=8) == rec.recommend(query="garden", k=8)
        assert loaded.ranker_.experts_ is None


class TestOddData:
    def scores(self, clicks, dense, params, history=None):
        clicks = np.asarray(clicks, dtype=np.float32)
        items = Features(np.asarray(dense, dtype=np.float32))
        fitted = HybridRanker(**params).fit(items, csr_array(clicks))
        nothing = Features(np.zeros((1, items.dense.shape[1]), dtype=np.float32))
        asked = csr_array(clicks[:1] if history is None else np.array([history], dtype=np.float32))
        found = fitted.score(Users(asked, csr_array(asked.shape, dtype=np.float32), nothing, nothing), items)[0]
        assert found.shape == (len(items),)
        assert np.isfinite(found).all()
        return found

    @pytest.fixture(params=[{}, {"few": 0.0}, {"method": "als"}], ids=["usual", "any click decides", "als"])
    def params(self, request):
        return request.param

    def test_one_item_one_user_one_click(self, params):
        self.scores([[1]], [[1.0, 2.0]], params)

    def test_one_click(self, params):
        """The item like the one that was clicked stands above the one that is not."""
        dense = [[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1], [0, 1, 0]]
        found = self.scores([[1, 0, 0, 0]], dense, params)
        assert found[1] == max(found[1:])

    def test_one_user(self, params):
        found = self.scores([[1, 1, 0, 0]], [[1, 0], [1, 0.1], [0.9, 0], [0, 1]], params)
        assert found[2] > found[3]

    def test_one_item_that_many_clicked(self, params):
        self.scores(np.ones((1200, 1)), [[1.0, 2.0]], params)

    @pytest.mark.parametrize("n_users", [30, 3])
    def test_items_that_were_all_clicked(self, params, n_users):
        rng = np.random.default_rng(0)
        clicks = rng.random((n_users, 10)) < 0.5
        clicks[0] = True
        self.scores(clicks, rng.standard_normal((10, 4)), params, history=np.eye(10)[0])

    def test_a_thousand_users_with_one_click_each(self, params):
        clicks = np.eye(20)[np.random.default_rng(0).integers(0, 20, 1200)]
        dense = np.random.default_rng(1).standard_normal((20, 4))
        self.scores(clicks, dense, params)

    def test_a_user_who_clicked_everything(self, params):
        rng = np.random.default_rng(0)
        self.scores(np.vstack([np.ones((1, 10)), rng.random((5, 10)) < 0.3]), rng.standard_normal((10, 4)), params)

    def test_everyone_clicked_everything(self, params):
        self.scores(np.ones((40, 40)), np.random.default_rng(0).standard_normal((40, 4)), params)

    @pytest.mark.parametrize("at", [0, 9], ids=["clicked", "new"])
    def test_an_item_without_any_text(self, params, at):
        rng = np.random.default_rng(0)
        dense, clicks = rng.standard_normal((10, 4)), rng.random((12, 10)) < 0.4
        dense[at], clicks[:, 9] = 0.0, False
        self.scores(clicks, dense, params)

    def test_no_item_has_any_text(self, params):
        clicks = np.random.default_rng(0).random((12, 10)) < 0.4
        clicks[:, 9] = False
        self.scores(clicks, np.zeros((10, 4)), params)

    def test_items_with_the_same_text(self, params):
        rng = np.random.default_rng(0)
        dense = np.repeat(rng.standard_normal((5, 4)), 4, axis=0)
        clicks = rng.random((12, 20)) < 0.4
        clicks[:, 18:] = False
        found = self.scores(clicks, dense, params)
        assert found[18] == pytest.approx(found[19], abs=1e-4)

    def test_counts_of_a_million(self, params):
        rng = np.random.default_rng(0)
        clicks, dense = (rng.random((12, 10)) < 0.4).astype(float), rng.standard_normal((10, 4))
        assert np.array_equal(self.scores(clicks * 1e6, dense, params), self.scores(clicks, dense, params))

    @pytest.mark.parametrize("shape", [(1000, 1), (1, 1000)], ids=["everyone their own item", "one user"])
    def test_a_thousand_items_with_one_click_each(self, shape):
        n_users = shape[0]
        clicks = np.eye(1000) if n_users > 1 else np.ones((1, 1000))
        self.scores(clicks, np.random.default_rng(0).standard_normal((1000, 4)), {})


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("name", "value", "low", "high"),
        [
            ("novelty", -20.1, "-20", "20"),
            ("novelty", 21, "-20", "20"),
            ("novelty", float("nan"), "-20", "20"),
            ("popularity", -0.1, "0", "1"),
            ("popularity", 1.1, "0", "1"),
            ("l2", 0.0, "0.1", "1,000,000"),
            ("l2", "10", "0.1", "1,000,000"),
            ("prior", -0.5, "0", "100"),
            ("prior", 101.0, "0", "100"),
            ("words", -0.1, "0", "1"),
            ("words", 1.5, "0", "1"),
            ("few", -1.0, "0", "1,000"),
            ("few", 1001.0, "0", "1,000"),
            ("few", "3", "0", "1,000"),
            ("kernel_width", 0.0, "0.001", "1,000"),
            ("kernel_width", 1e4, "0.001", "1,000"),
            ("kernel_l2", 0, "0.1", "1,000"),
            ("kernel_l2", float("inf"), "0.1", "1,000"),
            ("boost", -0.5, "0", "1,000"),
            ("boost", None, "0", "1,000"),
        ],
    )
    @pytest.mark.parametrize("with_clicks", [True, False])
    def test_a_parameter_out_of_range(self, small, name, value, low, high, with_clicks):
        with pytest.raises(InvalidInputError, match=rf"`{name}` must be between {low} and {high}; got {value!r}"):
            HybridRanker(**{name: value}).fit(small.features, small.clicks if with_clicks else None)

    def test_what_the_exact_form_cannot_hold_before_anything_is_computed(self, monkeypatch, small):
        for name, most in (("MAX_SIDE", 23), ("MAX_WEIGHTS", 100)):
            with monkeypatch.context() as patched:
                patched.setattr(module, name, most)
                expected = r'`method` "exact" would hold 0\.0 GB of weights, and inverts 24 x 24 .*Use "als" or "auto"'
                with pytest.raises(InvalidInputError, match=expected):
                    HybridRanker(method="exact").fit(small.features, small.clicks)

    @pytest.mark.parametrize("method", ["EASE", None, 1])
    def test_a_method_that_there_is_not(self, small, method):
        with pytest.raises(InvalidInputError, match=f'`method` must be "auto", "exact" or "als"; got {method!r}'):
            HybridRanker(method=method).fit(small.features)

    @pytest.mark.parametrize("n_items", [131, 133])
    def test_items_that_are_not_those_of_fit(self, small, of_small, n_items):
        expected = rf"`features` must be of the 132 items that were fitted; got {n_items}\. Call refreshed"
        users = Users(*(csr_array((1, n_items), dtype=np.float32),) * 2, *(Features(np.zeros((1, 8), np.float32)),) * 2)
        with pytest.raises(InvalidInputError, match=expected):
            of_small.score(users, Features(np.ones((n_items, 8), dtype=np.float32)))

    def test_anything_before_fit(self, small):
        with pytest.raises(NotFittedError, match="HybridRanker must be fitted before it is used"):
            HybridRanker().score(small.ask(small.only(0)), small.features)
        with pytest.raises(NotFittedError, match="HybridRanker must be fitted before it is used"):
            HybridRanker().refreshed(small.features, small.clicks, np.arange(small.n_items))

    def test_vectors_that_are_not_finite(self, small):
        dense = small.features.dense.copy()
        dense[3] = np.nan
        with pytest.raises(InvalidInputError, match=r"`features\.dense` must be finite"):
            HybridRanker().fit(Features(dense), small.clicks)


def test_a_plain_calibration_is_the_usual_one():
    assert Settings().calibration == Calibration()
