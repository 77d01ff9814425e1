import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid import ranker as module
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.experts import Settings
from coldstart.rankers.hybrid.ranker import HybridRanker
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
    @pytest.mark.parametrize("params", [{}, {"few": 10.0}, {"novelty": -1.0}], ids=str)
    def test_of_a_ranker(self, params):
        check_ranker(HybridRanker(**params))

    @pytest.mark.parametrize("params", [{}, {"few": 10.0}, {"novelty": -1.0}], ids=str)
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
    @pytest.mark.parametrize("clicks", [None, csr_array((4, 12), dtype=np.float32)], ids=["none", "empty"])
    def test_it_is_cosine(self, clicks):
        rng = np.random.default_rng(0)
        features, text = (Features(rng.standard_normal((n, 5)).astype(np.float32)) for n in (12, 3))
        liked, disliked = (csr_array((rng.random((3, 12)) < 0.2).astype(np.float32)) for _ in range(2))
        users = Users(liked, disliked, text, Features(text.dense[::-1].copy()))
        found = HybridRanker(novelty=3.0).fit(features, clicks)
        assert np.array_equal(found.score(users, features), CosineRanker().fit(features).score(users, features))
        assert (found.settings_, found.report_, found.experts_) == (None, {}, None)

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
        assert "Settings(l2=" in repr(ranker.settings_)
        assert ranker.report_["l2"][ranker.settings_.l2] == max(ranker.report_["l2"].values())
        assert ranker.report_["prior"][ranker.settings_.prior] == max(ranker.report_["prior"].values())
        assert all(type(value) is float for value in ranker.report_["l2"].values())

    def test_below_1000_clicks_the_settings_are_the_usual_ones(self, of_small):
        assert of_small.settings_ == Settings()
        assert of_small.report_ == {}

    @pytest.mark.parametrize("clicks", [999, 1000])
    def test_a_thousand_clicks_are_enough(self, clicks):
        rng = np.random.default_rng(0)
        pairs = np.zeros(60 * 40, dtype=np.float32)
        pairs[rng.permutation(pairs.size)[:clicks]] = 1.0
        items = Features(rng.standard_normal((40, 4)).astype(np.float32))
        report = HybridRanker().fit(items, csr_array(pairs.reshape(60, 40))).report_
        assert bool(report) == (clicks == 1000)

    def test_the_same_rng_gives_the_same_bytes_and_another_hides_other_clicks(self, world, ranker):
        users = world.ask(world.clicks.toarray()[:4])
        same, other = (HybridRanker(rng=rng).fit(world.features, world.clicks) for rng in (0, 1))
        assert same.score(users, world.features).tobytes() == ranker.score(users, world.features).tobytes()
        assert same.report_ == ranker.report_ != other.report_

    def test_weights_of_clicks_do_not_matter(self, world, ranker):
        weights = np.random.default_rng(0).choice([1e-6, 0.5, 3.0, 1e6], world.clicks.nnz)
        weighted = world.clicks.copy()
        weighted.data = weights.astype(np.float32)
        other = HybridRanker().fit(world.features, weighted)
        one, two = (world.ask(clicks.toarray()[:5]) for clicks in (world.clicks, weighted))
        assert other.settings_ == ranker.settings_
        assert np.array_equal(other.score(two, world.features), ranker.score(one, world.features))

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
    def test_text_speaks_for_items_with_few_clicks(self, world):
        """One user who likes kind 1 clicked an item of kind 0."""
        clicks = world.clicks.toarray()
        clicks[:, 0] = 0.0
        users = world.ask(clicks.copy())
        clicks[1, 0] = 1.0
        by_few = []
        for few in (0.0, 1000.0):
            scores = HybridRanker(few=few).fit(world.features, csr_array(clicks)).score(users, world.features)
            place = (scores[:, ~world.cold] > scores[:, [0]]).sum(axis=1)
            by_few.append(place[world.likes == 0].mean())
        assert by_few[1] < by_few[0]


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

    def test_a_query_that_matches_nothing_leaves_the_order_as_it_was(self, world, ranker):
        users = world.clicks.toarray()[:3]
        away = -np.tile(ranker.space_.item_vectors(world.features).sum(axis=0) + 5 * np.eye(8)[:3].sum(axis=0), (3, 1))
        cosines = away @ ranker.space_.item_vectors(world.features).T
        liked = cosines[0] <= 0
        found, plain = (ranker.score(world.ask(users, query=q), world.features)[:, liked] for q in (away, None))
        assert np.array_equal(found.argsort(axis=1)[:, -10:], plain.argsort(axis=1)[:, -10:])

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
        assert fall[3] == pytest.approx(module.DISLIKED, rel=1e-4)
        assert fall[world.kinds == 0].mean() > 0.5 > fall[world.kinds != 0].mean()


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
    @pytest.fixture
    def rec(self):
        return cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker()).fit(tiny_catalog(), tiny_clicks())

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
    rng = np.random.default_rng(0)
    words = [["sun", "moon", "star"], ["rose", "lily", "tulip"], ["beat", "song", "tune"]]
    titles = [" ".join([*rng.choice(words[kind], 2), f"w{rng.integers(50)}"]) for kind in world.kinds]
    catalog = cs.Catalog.from_frame({"id": list(range(len(titles))), "title": titles}, id="id", fields=["title"])
    user, item = world.clicks.nonzero()
    clicks = cs.Interactions.from_frame({"user": user, "item": item}, user="user", item="item")
    return cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(**params)).fit(catalog, clicks, check=False)


class TestSaved:
    @pytest.mark.parametrize("n_users", [24, 90], ids=["fewer users", "learned settings"])
    @pytest.mark.parametrize("params", [{}, {"few": 8.0, "novelty": -0.5, "rng": 3}], ids=["usual", "few"])
    @pytest.mark.parametrize("grown", [False, True], ids=["as fitted", "with new items"])
    def test_answers_are_the_same_to_the_last_bit(self, make_world, tmp_path, n_users, params, grown):
        rec = recommender_of(make_world(n_users=n_users), **params)
        if grown:
            rec.add_items([{"id": 1000, "title": "sun and moon"}, {"id": 1001, "title": "a quiet song"}])
            rec.remove_items([1, 2, 39])
        rec.save(tmp_path / "saved")
        loaded = cs.load(tmp_path / "saved", encoder=HashEncoder())
        requests = [
            cs.Request(user=0),
            cs.Request(user=1, query="rose"),
            cs.Request(query="a song"),
            cs.Request(history=[5, 6], disliked=[7]),
        ]
        assert loaded.recommend_many(requests, k=100) == rec.recommend_many(requests, k=100)
        assert loaded.ranker_.settings_ == rec.ranker_.settings_
        assert loaded.ranker_.report_ == rec.ranker_.report_
        assert loaded.ranker_.get_params() == rec.ranker_.get_params()
        rec.add_items([{"id": 2000, "title": "star and star"}])
        loaded.add_items([{"id": 2000, "title": "star and star"}])
        assert loaded.recommend_many(requests, k=100) == rec.recommend_many(requests, k=100)

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

    @pytest.fixture(params=[{}, {"few": 10.0}], ids=["usual", "few"])
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

    def test_too_many_users_and_items_before_anything_is_computed(self, monkeypatch, small):
        monkeypatch.setattr(module, "MAX_SIDE", 23)
        expected = r"needs an inverse of 24 x 24 numbers \(0\.0 GB\), and allows 23\. Use ALSRanker, or fit on fewer"
        with pytest.raises(InvalidInputError, match=expected):
            HybridRanker().fit(small.features, small.clicks)

    def test_one_small_side_is_enough(self, monkeypatch, small):
        monkeypatch.setattr(module, "MAX_SIDE", 24)
        assert HybridRanker().fit(small.features, small.clicks).experts_ is not None
        few_items = small.clicks.toarray()
        few_items[:, 5:] = 0.0
        monkeypatch.setattr(module, "MAX_SIDE", 5)
        assert HybridRanker().fit(small.features, csr_array(few_items)).experts_ is not None

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
    assert Settings().collaborative == Settings().content == Calibration()
