import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, hstack

import coldstart as cs
from coldstart._arrays import unit_rows
from coldstart.rankers.hybrid import answers as answers_module
from coldstart.rankers.hybrid.als import PriorALS
from coldstart.rankers.hybrid.counts import FORETOLD, YOUNG
from coldstart.rankers.hybrid.ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers.hybrid.experts import RISEN, Experts, text_share
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.hybrid.raw import Collaborative, Content
from coldstart.rankers.hybrid.rising import als_columns, ease_columns
from coldstart.rankers.hybrid.settings import Settings
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

METHODS = ["exact", "als"]
L2, TEXT_L2 = 10.0, 3.0


def drawn(seed, n_items=12, n_risen=3, n_users=40, dim=4):
    """Clicks and texts of some items and of others."""
    rng = np.random.default_rng(seed)
    clicks = (rng.random((n_users, n_items + n_risen)) < 0.3).astype(np.float32)
    vectors = unit_rows(rng.standard_normal((n_items + n_risen, dim)).astype(np.float32))
    return csr_array(clicks[:, :n_items]), csr_array(clicks[:, n_items:]), vectors[:n_items], vectors[n_items:]


class TestEaseColumns:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 2.0]), st.booleans())
    def test_they_are_those_of_the_dense_system(self, seed, prior, more_items):
        clicks, risen, vectors, texts = drawn(seed, n_users=8 if more_items else 40)
        found = ease_columns(clicks, risen, vectors, texts, L2, prior, TEXT_L2)
        x, f = clicks.toarray().astype(np.float64), vectors.astype(np.float64)
        guess = f @ np.linalg.solve(f.T @ f + TEXT_L2 * np.eye(4), texts.T)
        expected = np.linalg.solve(x.T @ x + L2 * np.eye(12), x.T @ risen.toarray() + prior * L2 * guess)
        assert (found.shape, found.dtype) == ((12, 3), np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-3)

    @pytest.mark.parametrize("prior", [0.0, 1.0, 2.0])
    def test_it_is_that_of_ease_fitted_with_the_item_among_the_others(self, prior):
        clicks, risen, vectors, texts = drawn(1, n_risen=1)
        found = ease_columns(clicks, risen, vectors, texts, L2, prior, TEXT_L2)[:, 0]
        everything = csr_array(hstack([clicks, risen], format="csr"))
        weights = np.empty((13, 13), dtype=np.float32)
        PriorEASE.of(Ridge.of(everything, L2), TextPrior.of(np.vstack([vectors, texts]), TEXT_L2), prior).fill(weights)
        np.testing.assert_allclose(found, weights[:12, 12], atol=1e-3)

    def test_without_a_prior_texts_do_not_count(self):
        clicks, risen, vectors, texts = drawn(2)
        one, other = (ease_columns(clicks, risen, vectors, t, L2, 0.0, TEXT_L2) for t in (texts, -texts))
        np.testing.assert_array_equal(one, other)

    def test_an_item_clicked_by_nobody_who_clicked_the_others_has_what_its_text_says(self):
        clicks, _, vectors, texts = drawn(3)
        alone = csr_array(np.vstack([np.zeros((40, 3)), np.ones((1, 3))]).astype(np.float32))
        clicks = csr_array(np.vstack([clicks.toarray(), np.zeros((1, 12))]).astype(np.float32))
        assert not ease_columns(clicks, alone, vectors, texts, L2, 0.0, TEXT_L2).any()
        assert ease_columns(clicks, alone, vectors, texts, L2, 1.0, TEXT_L2).any()

    def test_each_has_its_column_whoever_rises_beside_it(self):
        clicks, risen, vectors, texts = drawn(4)
        together = ease_columns(clicks, risen, vectors, texts, L2, 1.0, TEXT_L2)
        for at in range(3):
            alone = ease_columns(clicks, csr_array(risen[:, [at]]), vectors, texts[[at]], L2, 1.0, TEXT_L2)
            np.testing.assert_allclose(alone[:, 0], together[:, at], atol=1e-6)


class TestAlsColumns:
    @pytest.fixture(scope="class")
    def learned(self):
        """Until it changes no more: users are the code of their clicks, items those of the users."""
        clicks, _, vectors, _ = drawn(0, n_items=30, n_users=60)
        return PriorALS.of(clicks, vectors, factors=4, unobserved=0.3, sweeps=200), clicks, vectors

    def test_they_are_those_of_the_dense_system(self, learned):
        model, clicks, _ = learned
        _, risen, _, texts = drawn(5, n_users=60)
        found = als_columns(model, clicks, risen, texts)
        assert (found.shape, found.dtype) == ((4, 3), np.float32)
        users = model.code(clicks).astype(np.float64)
        for at, (x, text) in enumerate(zip(risen.toarray().T, texts, strict=True)):
            ridge = model.regularization * (x.sum() + model.unobserved * 60)
            system = users.T @ (users * x[:, None]) + model.unobserved * model.user_gram + ridge * np.eye(4)
            np.testing.assert_allclose(
                found[:, at], np.linalg.solve(system, users.T @ x + ridge * text @ model.text), atol=1e-3
            )

    def test_an_item_with_the_clicks_and_the_text_of_another_gets_its_factors(self, learned):
        """To within what a sweep still moves: at the optimum it moves nothing."""
        model, clicks, vectors = learned
        found = als_columns(model, clicks, csr_array(clicks[:, :5]), vectors[:5]).T
        assert np.abs(found - model.items[:5]).max() < 0.01 * np.abs(model.items).max()
        distances = np.linalg.norm(found[:, None] - model.items, axis=2)
        assert distances.argmin(axis=1).tolist() == [0, 1, 2, 3, 4]

    def test_users_without_clicks_on_other_items_are_of_no_taste(self, learned):
        model, clicks, vectors = learned
        nobody = csr_array(np.vstack([np.zeros((59, 1)), np.ones((1, 1))]).astype(np.float32))
        rows = clicks.toarray()
        rows[-1] = 0.0
        found = als_columns(model, csr_array(rows), nobody, vectors[:1])[:, 0]
        assert np.isfinite(found).all()
        ridge = model.regularization * (1.0 + model.unobserved * 60)
        pulled = np.linalg.solve(
            model.unobserved * model.user_gram + ridge * np.eye(4), ridge * vectors[0] @ model.text
        )
        np.testing.assert_allclose(found, pulled, atol=1e-4)


@pytest.fixture(scope="module")
def world(make_world):
    """So many items of every kind without clicks that the level of text stays where it is when one rises."""
    return make_world(n_cold=24, per_kind=52)


def fitted(world, method="exact", few=12.0, **others):
    chosen = Settings(Collaborative(method), few=few, **others)
    return Experts.of(world.clicks, world.texts, chosen, Content())


@pytest.fixture(scope="module")
def experts_of(world):
    return {method: fitted(world, method) for method in METHODS}


@pytest.fixture(params=METHODS)
def experts(request, experts_of):
    return experts_of[request.param]


def cold_of(world, kind, at=0):
    return np.flatnonzero(world.cold & (world.kinds == kind))[at]


def with_clicks(world, **by_item):
    """The clicks, and some by lovers of kinds: ``i5=(kind, n)`` are n clicks on item 5."""
    clicks = world.clicks.toarray()
    for name, (kind, count) in by_item.items():
        clicks[np.flatnonzero(world.likes == kind)[:count], int(name[1:])] = 1.0
    return csr_array(clicks)


def same(experts, world):
    return experts.moved(world.texts, np.arange(world.n_items))


def assert_alike(one, other, users, atol=1e-4):
    np.testing.assert_allclose(one.log_odds(users), other.log_odds(users), atol=atol)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(np.sort(one.risen), np.sort(other.risen))


class TestExperts:
    def test_without_clicks_on_new_items_they_are_the_same(self, world, experts):
        assert experts.rising(world.clicks) is experts
        more = world.clicks.toarray()
        more[:, ~world.cold] = 1.0
        assert experts.rising(csr_array(more)) is experts

    def test_where_the_items_stand_that_have_risen_and_what_they_got(self, world, experts):
        one, other = cold_of(world, 0), cold_of(world, 2, 3)
        clicks = with_clicks(world, **{f"i{other}": (2, 4), f"i{one}": (0, 7)})
        risen = experts.rising(clicks)
        assert risen.risen.tolist() == [one, other]
        assert risen.counts[[one, other]].tolist() == [7.0, 4.0]
        untouched = np.setdiff1d(np.arange(world.n_items), [one, other])
        np.testing.assert_array_equal(risen.counts[untouched], experts.counts[untouched])
        np.testing.assert_array_equal(risen.known, [*experts.warm, one, other])
        np.testing.assert_array_equal(risen.young, experts.young)
        assert not len(experts.risen)
        assert not experts.counts[[one, other]].any()

    def test_clicks_that_warm_items_get_later_are_not_counted(self, world, experts):
        item, warm = cold_of(world, 0), np.flatnonzero(~world.cold)[0]
        clicks = with_clicks(world, **{f"i{item}": (0, 3), f"i{warm}": (1, 30)})
        assert experts.rising(clicks).counts[warm] == experts.counts[warm]

    @pytest.mark.parametrize("method", METHODS)
    def test_an_item_with_one_click_at_the_fit_does_not_rise(self, world, method):
        item, rows = cold_of(world, 0), world.clicks.toarray()
        rows[0, item] = 1.0
        experts = Experts.of(csr_array(rows), world.texts, Settings(Collaborative(method)), Content())
        rows[:30, item] = 1.0
        assert experts.rising(csr_array(rows)) is experts

    def test_of_two_each_is_for_those_who_click_it(self, world, experts):
        """Both have texts of kind 1."""
        one, other = cold_of(world, 1), cold_of(world, 1, 1)
        odds = experts.rising(with_clicks(world, **{f"i{one}": (0, 30), f"i{other}": (2, 30)})).log_odds(world.clicks)
        ahead = odds[:, one] - odds[:, other]
        assert ahead[world.likes == 0].mean() > 1.0
        assert ahead[world.likes == 2].mean() < -1.0

    def test_an_item_moves_to_those_who_click_it_the_more_the_more_they_are(self, world, experts):
        """Its text is of kind 1, its clicks are by lovers of kind 0."""
        item, gaps = cold_of(world, 1), []
        for count in (0, 10, 20, 30):
            odds = experts.rising(with_clicks(world, **{f"i{item}": (0, count)})).log_odds(world.clicks)[:, item]
            gaps.append(odds[world.likes == 0].mean() - odds[world.likes == 1].mean())
        assert gaps[0] < -1.0
        assert gaps[-1] > 0.0
        assert (np.diff(gaps) > 0.3).all()

    def test_an_item_liked_by_those_who_like_its_text_is_for_them(self, world, experts):
        item = cold_of(world, 2)
        for count in (1, 8, 30):
            odds = experts.rising(with_clicks(world, **{f"i{item}": (2, count)})).log_odds(world.clicks)[:, item]
            assert odds[world.likes == 2].mean() > odds[world.likes != 2].mean() + 1.0

    @pytest.mark.parametrize("few", [0.0, 12.0, 40.0])
    @pytest.mark.parametrize("method", METHODS)
    def test_voices_are_shares_and_text_has_as_much_as_of_items_with_few_clicks_but_at_least_12(
        self, world, method, few
    ):
        item, other = cold_of(world, 1), cold_of(world, 0)
        clicks = with_clicks(world, **{f"i{item}": (1, 25), f"i{other}": (2, 2)})
        risen = fitted(world, method, few=few, popularity=((1.0, 0.4), (50.0, 0.1))).rising(clicks)
        voices = risen.voices(world.clicks)
        assert voices.min() >= 0.0
        np.testing.assert_allclose(voices.sum(axis=0), 1.0, atol=1e-5)
        of_many, of_two = text_share(np.array([25.0, 2.0]), max(few, RISEN))
        np.testing.assert_allclose(voices[0][:, item], of_many, atol=1e-5)
        assert (voices[0][:, other] >= of_two - 1e-5).all()
        assert (voices[1][:, item] > 0.0).all()
        assert np.isfinite(risen.log_odds(world.clicks)).all()

    @pytest.mark.parametrize("method", METHODS)
    def test_where_text_says_all_the_first_click_is_good_news_alike_for_all(self, world, method):
        """No step down from all the clicks that a new item may get to the one that it has."""
        experts, item = fitted(world, method, few=1000.0), cold_of(world, 1)
        asked = csr_array(world.clicks[world.likes == 0])
        before, after = (
            one.log_odds(asked) for one in (experts, experts.rising(with_clicks(world, **{f"i{item}": (0, 1)})))
        )
        np.testing.assert_allclose(after[:, item], before[:, item] + np.log1p(FORETOLD), atol=0.05)

    def test_odds_of_what_is_new_still_and_of_many_clicks_stay(self, world, experts):
        """Those of users whose levels stay: the item is nothing to them by clicks or by text."""
        item = cold_of(world, 1)
        risen = experts.rising(with_clicks(world, **{f"i{item}": (1, 3)}))
        asked = csr_array(world.clicks[world.likes == 0])
        stay = (experts.counts == 0) | (experts.counts > YOUNG)
        stay[item] = False
        np.testing.assert_allclose(risen.log_odds(asked)[:, stay], experts.log_odds(asked)[:, stay], atol=1e-3)

    @pytest.mark.parametrize("kind", range(3))
    def test_a_history_of_an_item_that_has_risen_is_one_of_its_neighbours(self, world, experts, kind):
        item = cold_of(world, kind)
        risen = experts.rising(with_clicks(world, **{f"i{item}": (kind, 5)}))
        odds = risen.log_odds(csr_array(world.only(item)[None]))[0]
        assert np.isfinite(odds).all()
        for cold in (True, False):
            means = [odds[(world.kinds == one) & (world.cold == cold)].mean() for one in range(3)]
            assert np.argmax(means) == kind

    def test_clicks_of_users_who_came_later_count(self, world, experts):
        item = cold_of(world, 1)
        later = world.clicks.toarray()[world.likes == 0][:20]
        later[:, item] = 1.0
        odds = experts.rising(csr_array(np.vstack([world.clicks.toarray(), later]))).log_odds(world.clicks)[:, item]
        before = experts.log_odds(world.clicks)[:, item]
        assert odds[world.likes == 0].mean() > before[world.likes == 0].mean() + 0.5

    def test_a_click_of_half_the_weight_counts_half(self, world, experts):
        item = cold_of(world, 0)
        clicks = with_clicks(world, **{f"i{item}": (0, 6)}).toarray()
        clicks[:, item] *= 0.5
        assert experts.rising(csr_array(clicks)).counts[item] == 3.0

    def test_someone_who_clicked_nothing_else_does_no_harm(self, world, experts):
        item = cold_of(world, 0)
        only = np.zeros((1, world.n_items), dtype=np.float32)
        only[0, item] = 1.0
        risen = experts.rising(csr_array(np.vstack([world.clicks.toarray(), only])))
        assert np.isfinite(risen.log_odds(csr_array(only))).all()


class TestChangedAfterwards:
    """What has risen is what it would be had all happened at once."""

    @pytest.fixture
    def item(self, world):
        return cold_of(world, 1)

    @pytest.fixture
    def clicks(self, world, item):
        return with_clicks(world, **{f"i{item}": (0, 8)})

    @pytest.fixture
    def risen(self, experts, clicks):
        return experts.rising(clicks)

    def test_again_it_is_the_same(self, world, risen, clicks):
        assert_alike(same(risen, world).rising(clicks), risen, world.clicks, atol=1e-3)

    def test_moved_alone_it_is_new_again(self, world, experts, risen):
        assert_alike(same(risen, world), experts, world.clicks)

    def test_clicks_in_two_parts_are_those_at_once(self, world, experts, item):
        other = cold_of(world, 0)
        one, two = (with_clicks(world, **part) for part in ({f"i{item}": (0, 3)}, {f"i{other}": (0, 5)}))
        both = with_clicks(world, **{f"i{item}": (0, 9), f"i{other}": (0, 5)})
        expected = experts.rising(both)
        for first in (one, two):
            then = same(same(experts, world).rising(first), world).rising(both)
            assert_alike(then, expected, world.clicks, atol=1e-3)

    def test_when_it_goes_all_are_as_before_it_rose(self, world, experts, risen, clicks, item):
        stay = np.setdiff1d(np.arange(world.n_items), item)
        vectors, left = world.texts[stay], csr_array(clicks[:, stay])
        found = risen.moved(vectors, stay).rising(left)
        assert not len(found.risen)
        assert_alike(found, experts.moved(vectors, stay), csr_array(world.clicks[:, stay]))

    def test_when_another_goes_those_with_many_clicks_keep_their_order(self, world, risen, clicks, item):
        gone = np.flatnonzero(~world.cold)[0]
        stay = np.setdiff1d(np.arange(world.n_items), gone)
        found = risen.moved(world.texts[stay], stay).rising(csr_array(clicks[:, stay]))
        assert stay[found.risen].tolist() == [item]
        asked = csr_array(world.clicks[world.clicks.toarray()[:, gone] == 0])
        many = (risen.counts > YOUNG) & (np.arange(world.n_items) != gone)
        before, after = risen.log_odds(asked)[:, many], found.log_odds(csr_array(asked[:, stay]))[:, many[stay]]
        np.testing.assert_allclose(after - before, np.tile((after - before)[:, :1], (1, many.sum())), atol=1e-3)
        np.testing.assert_allclose(found.voices(csr_array(asked[:, stay])).sum(axis=0), 1.0, atol=1e-5)

    def test_when_another_goes_its_clicks_say_nothing_more_of_what_rises(self, world, experts, clicks, item):
        """As though nobody had clicked it."""
        gone = np.flatnonzero(~world.cold & (world.kinds == 0))[0]
        stay = np.setdiff1d(np.arange(world.n_items), gone)
        without = clicks.toarray()
        without[:, gone] = 0.0
        found = experts.moved(world.texts[stay], stay).rising(csr_array(clicks[:, stay]))
        expected = experts.rising(csr_array(without))
        asked = csr_array(world.clicks[world.clicks.toarray()[:, gone] == 0])
        one, other = found.log_odds(csr_array(asked[:, stay])), expected.log_odds(asked)[:, stay]
        at = np.flatnonzero(stay == item)[0]
        assert np.abs(one[:, at] - other[:, at]).max() < 0.05  # the levels of clicks have moved a bit

    def test_when_another_comes_what_there_is_stays(self, world, risen, clicks):
        vectors = np.vstack([world.texts, -world.texts[:1]])  # like nothing
        origin = np.append(np.arange(world.n_items), -1)
        grown = csr_array(hstack([clicks, csr_array((90, 1), dtype=np.float32)], format="csr"))
        found = risen.moved(vectors, origin).rising(grown)
        asked = csr_array(hstack([world.clicks, csr_array((90, 1), dtype=np.float32)], format="csr"))
        np.testing.assert_allclose(found.log_odds(asked)[:, :-1], risen.log_odds(world.clicks), atol=1e-3)
        np.testing.assert_array_equal(found.risen, risen.risen)

    def test_one_that_comes_can_rise_too(self, world, risen, clicks):
        """Twins by text and by clicks have the same odds."""
        item, many = risen.risen[0], clicks.toarray()
        origin = np.append(np.arange(world.n_items), [-1, -1])
        grown = risen.moved(np.vstack([world.texts, np.tile(world.texts[item], (2, 1))]), origin)
        found = grown.rising(csr_array(np.hstack([many, many[:, [item, item]]])))
        assert found.risen.tolist() == [item, world.n_items, world.n_items + 1]
        asked = csr_array(np.hstack([world.clicks.toarray(), np.zeros((90, 2), dtype=np.float32)]))
        odds = found.log_odds(asked)
        np.testing.assert_allclose(odds[:, -1], odds[:, -2], atol=1e-4)
        voices = found.voices(asked)
        np.testing.assert_allclose(voices[:, :, -1], voices[:, :, item], atol=1e-3)

    @pytest.mark.parametrize("kind", [0, 2])
    def test_with_another_text_it_is_what_it_would_be_had_it_been_so_before(self, world, experts, risen, clicks, kind):
        vectors = world.texts.copy()
        vectors[risen.risen[0]] = vectors[cold_of(world, kind, 4)]
        stay = np.arange(world.n_items)
        changed = risen.moved(vectors, stay).rising(clicks)
        assert_alike(changed, experts.moved(vectors, stay).rising(clicks), world.clicks, atol=1e-3)
        assert np.abs(changed.log_odds(world.clicks)[:, risen.risen[0]]).max() > 0.0
        if kind == 2:
            odds = [one.log_odds(world.clicks)[world.likes == 2, risen.risen[0]].mean() for one in (risen, changed)]
            assert odds[1] > odds[0] + 0.3

    def test_another_order_changes_nothing_but_the_order(self, world, risen, clicks):
        order = np.random.default_rng(0).permutation(world.n_items)
        found = risen.moved(world.texts[order], order).rising(csr_array(clicks[:, order]))
        odds = found.log_odds(csr_array(world.clicks[:, order]))
        np.testing.assert_allclose(odds, risen.log_odds(world.clicks)[:, order], atol=2e-3)


NEW = [
    {"id": "new star", "title": "space star", "plot": "a story of space and star"},
    {"id": "new rose", "title": "garden rose", "plot": "a story of garden and rose"},
    {"id": "new moon", "title": "space moon", "plot": None},
]
USERS = [f"{side}{who}" for side in "uv" for who in range(4)]
ITEMS = [item["id"] for item in NEW]


def clicks_on(pairs):
    users, items = zip(*pairs, strict=True)
    return cs.Interactions.from_frame({"user": list(users), "item": list(items)}, user="user", item="item")


def lists_of(rec, users=USERS):
    """Every user's score of each item."""
    n_items = len(rec.catalog)
    found = rec.recommend_many(users=users, k=n_items, exclude_seen=False)
    return [dict(zip(*row, strict=True)) for row in zip(found.item_ids, found.scores, strict=True)]


def assert_lists(one, other, atol=1e-4):
    for found, expected in zip(one, other, strict=True):
        assert set(found) == set(expected)
        np.testing.assert_allclose([found[item] for item in expected], list(expected.values()), atol=atol)


@pytest.fixture(scope="module")
def started():
    """With items that nobody clicked."""
    made = {}
    for method in METHODS:
        rec = cs.Recommender(encoder=HashEncoder(), ranker=HybridRanker(method=method))
        made[method] = rec.fit(tiny_catalog(), tiny_clicks()).add_items(NEW)
    return made


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def rec(started, method):
    """Anew each time: what was fitted never changes."""
    return started[method].with_fitted(started[method].fitted)


LOVED = [("v0", "new star"), ("v1", "new star"), ("v2", "new star"), ("w", "new rose"), ("w", "g1")]

pairs = st.lists(st.tuples(st.sampled_from([*USERS, "w", "x"]), st.sampled_from([*ITEMS, "s0", "g2"])), min_size=1)


class TestUpdates:
    @pytest.mark.parametrize("by", METHODS)
    @settings(deadline=None, max_examples=12)
    @given(one=pairs, other=pairs)
    def test_in_either_order_or_at_once_they_come_to_the_same(self, started, by, one, other):
        def after(*updates):
            rec = started[by].with_fitted(started[by].fitted)
            for update in updates:
                rec.update(clicks_on(update))
            return lists_of(rec)

        expected = after(one + other)
        assert_lists(after(one, other), expected)
        assert_lists(after(other, one), expected)

    def test_what_was_new_has_risen(self, rec):
        rec.update(clicks_on(LOVED))
        assert [rec.catalog.ids[at] for at in rec.ranker_.experts_.risen] == ["new star", "new rose"]

    def test_among_items_of_one_kind_one_that_others_like_stands_higher_for_them(self, rec):
        """Beside one of its kind that is new still."""
        rec.update(clicks_on([(f"w{at}", item) for at in range(24) for item in ("g0", "g1", "new star")]))
        ahead = [scores["new star"] - scores["new moon"] for scores in lists_of(rec)]
        assert min(ahead[4:]) > max(ahead[:4]) + 0.5

    def test_clicks_on_other_items_alone_change_nobodys_list_but_their_own(self, rec):
        before = lists_of(rec)
        rec.update(clicks_on([("w", "s0"), ("w", "s1")]))
        assert_lists(lists_of(rec), before)
        assert not len(rec.ranker_.experts_.risen)

    def test_the_recommender_that_was_keeps_its_answers(self, rec):
        earlier, before = rec.with_fitted(rec.fitted), lists_of(rec)
        rec.update(clicks_on(LOVED))
        assert_lists(lists_of(earlier), before, atol=1e-6)

    def test_removed_they_leave_the_rest_as_it_was(self, rec):
        """Of users who did not click them."""
        rec.remove_items(["new star", "new rose"])
        before = lists_of(rec, USERS[:4])
        rec.add_items(NEW[:2]).update(clicks_on(LOVED)).remove_items(["new star", "new rose"])
        assert_lists(lists_of(rec, USERS[:4]), before, atol=1e-3)

    def test_removed_and_added_again_they_are_new(self, rec):
        rec.update(clicks_on(LOVED)).remove_items(["new star"]).add_items(NEW[:1])
        assert [rec.catalog.ids[at] for at in rec.ranker_.experts_.risen] == ["new rose"]
        assert rec.ranker_.experts_.counts[-1] == 0.0

    def test_a_changed_text_or_price_a_removed_and_another_item_leave_every_list_whole(self, rec):
        rec.update(clicks_on(LOVED))
        rec.update_items([{"id": "new star", "title": "garden tulip"}, {"id": "s0", "price": 9}])
        rec.remove_items(["g0", "s3"]).add_items([{"id": "newer", "title": "space", "plot": "comet"}])
        rec.update(clicks_on([("u1", "newer"), ("w", "newer")]))
        assert {rec.catalog.ids[at] for at in rec.ranker_.experts_.risen} == {"new star", "new rose", "newer"}
        for scores in lists_of(rec, [*USERS, "w"]):
            assert len(scores) == len(rec.catalog) == 10
            assert np.isfinite(list(scores.values())).all()
        many = rec.recommend_many(users=USERS, k=10, exclude_seen=False)
        assert all(sum(shares.values()) == pytest.approx(1.0, abs=1e-4) for row in many.experts for shares in row)

    def test_who_clicked_one_alone_is_served_what_is_like_it(self, rec):
        rec.update(clicks_on([*LOVED, ("x", "new star"), ("y", "new rose")]))
        assert "new star" not in rec.recommend(user="x", k=11).item_ids[0]
        for scores, kind in zip(lists_of(rec, ["x", "y"]), "sg", strict=True):
            old = sorted((item for item in scores if item not in ITEMS), key=lambda item: -scores[item])
            assert [item[0] for item in old[:4]] == [kind] * 4

    def test_all_that_were_clicked_before_can_go(self, rec):
        rec.update(clicks_on(LOVED)).remove_items([f"{kind}{at}" for kind in "sg" for at in range(4)])
        assert all(np.isfinite(list(scores.values())).all() for scores in lists_of(rec))

    def test_queries_find_them(self, rec):
        rec.update(clicks_on(LOVED))
        found = rec.recommend(query="space star", k=11).item_ids[0]
        assert found.index("new star") < min(found.index(item) for item in ("g0", "g1", "g2", "g3", "new rose"))


REQUESTS = [*(cs.Request(user=user) for user in [*USERS, "w"]), cs.Request(history=["new star"])]


class TestSaved:
    def loaded(self, rec, folder):
        rec.save(folder / "saved")
        return cs.load(folder / "saved", encoder=HashEncoder())

    def assert_same(self, one, other, requests=REQUESTS):
        found, expected = (rec.recommend_many(requests, k=10, exclude_seen=False) for rec in (one, other))
        assert found.item_ids == expected.item_ids
        for row, wanted in zip(found.scores, expected.scores, strict=True):
            np.testing.assert_allclose(row, wanted, atol=1e-4)

    def test_lists_are_the_same_and_stay_so_with_what_comes_next(self, rec, tmp_path):
        rec.update(clicks_on(LOVED))
        loaded = self.loaded(rec, tmp_path)
        np.testing.assert_array_equal(loaded.ranker_.experts_.risen, rec.ranker_.experts_.risen)
        self.assert_same(loaded, rec)
        for one in (rec, loaded):
            one.update(clicks_on([("u0", "new moon"), ("u1", "new rose")])).remove_items(["s2"])
        self.assert_same(loaded, rec)

    def test_with_weights_in_two_bytes_too(self, monkeypatch, rec, tmp_path):
        monkeypatch.setattr(answers_module, "MOST_WHOLE", 3)
        rec.update(clicks_on(LOVED))
        self.assert_same(self.loaded(rec, tmp_path), rec)

    def test_pickled_too(self, rec):
        rec.update(clicks_on(LOVED))
        self.assert_same(pickle.loads(pickle.dumps(rec)), rec)

    def test_before_they_rose_it_is_as_fitted(self, rec, tmp_path):
        loaded = self.loaded(rec, tmp_path)
        for one in (rec, loaded):
            one.update(clicks_on(LOVED))
        self.assert_same(loaded, rec)


def test_settings_that_ask_for_more_text_than_12_clicks_are_kept(world):
    item = cold_of(world, 0)
    clicks = with_clicks(world, **{f"i{item}": (1, 10)})
    shares = [
        replace(one, settings=replace(one.settings, few=few)).rising(clicks).voices(world.clicks)[0, 0, item]
        for one in [fitted(world)]
        for few in (0.0, RISEN, 50.0)
    ]
    assert shares[0] == shares[1] < shares[2]


def test_a_column_is_that_of_a_fit_on_all_clicks_where_some_users_have_many(world):
    rng, vectors = np.random.default_rng(0), world.texts
    clicks = world.clicks.toarray()
    clicks[:10] = (rng.random((10, world.n_items)) < 0.6) & ~world.cold
    risen = np.flatnonzero(world.cold)[0]
    later = clicks.copy()
    later[:, risen] = rng.random(len(later)) < 0.4
    experts = Experts.of(csr_array(clicks), vectors, Settings(Collaborative("exact")), Content())
    found = experts.moved(vectors, np.arange(world.n_items)).rising(csr_array(later)).answers.weights
    columns = np.append(np.flatnonzero(clicks.sum(axis=0)), risen)
    weights = np.empty((len(columns), len(columns)), dtype=np.float32)
    Collaborative("exact").fitted(csr_array(later[:, columns]), vectors[columns]).fill(weights)
    np.testing.assert_allclose(found[:, len(columns) - 1], weights[:-1, -1], atol=1e-3)
