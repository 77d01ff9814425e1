from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.hybrid import raw as raw_module
from coldstart.rankers.hybrid.calibration import FLOOR, Calibration, level
from coldstart.rankers.hybrid.counts import YOUNG, clicks_of, popularity
from coldstart.rankers.hybrid.experts import Experts, blended, text_part
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import HELD


@pytest.fixture
def world(make_world):
    return make_world(n_cold=24, per_kind=44)


def fitted(world, clicks=None, settings=None, few=None, **content):
    clicks, settings = world.clicks if clicks is None else csr_array(clicks), settings or Settings()
    settings = settings if few is None else replace(settings, few=few)
    return Experts.of(clicks, world.texts, settings, Content(**content))


def odds_by_kind(world, odds, cold):
    """Mean log-odds of each user on the items of each kind, shape (m, n_kinds)."""
    kinds = range(world.kinds.max() + 1)
    return np.stack([odds[:, (world.kinds == kind) & (world.cold == cold)].mean(axis=1) for kind in kinds], axis=1)


@pytest.mark.parametrize("cold", [True, False], ids=["without clicks", "with clicks"])
def test_items_of_the_kind_that_a_user_likes_have_the_best_odds(world, cold):
    found = odds_by_kind(world, fitted(world).log_odds(world.clicks), cold)
    assert np.mean(found.argmax(axis=1) == world.likes) > 0.97


def test_a_users_odds_are_those_of_their_history_whoever_is_asked_beside_them(world):
    experts = fitted(world)
    together = experts.log_odds(world.clicks)
    assert together.dtype == np.float32
    for user in (0, 7):
        np.testing.assert_allclose(experts.log_odds(csr_array(world.clicks[[user]]))[0], together[user], atol=2e-4)


@pytest.mark.parametrize("method", ["exact", "als"])
def test_odds_are_those_of_the_exact_scores(world, method):
    """By the book: raw scores as shares of the levels, their logarithm, and of few clicks a mean of two and a part."""
    collaborative, few = Collaborative(method), 10.0
    calibration = Calibration(1.2, 0.8, 0.3, 0.2, 0.4, -0.5, -2.0)
    learned = Settings(collaborative, calibration=calibration)
    counts = world.clicks.sum(axis=0)
    raw = Raw.of(world.clicks, world.texts, collaborative, Content(), YOUNG)
    new = counts[raw.young] == 0
    by_clicks, by_text = raw.scores(csr_array(world.clicks[:, raw.warm]))
    levels = level(by_clicks), level(by_text[:, new])
    by_clicks, by_text = by_clicks / levels[0], by_text / levels[1]
    expected = np.empty((90, world.n_items))
    expected[:, raw.warm] = calibration.of_known(by_clicks)
    cosines = world.texts[raw.young] @ world.texts[raw.warm].T
    crowd = np.maximum(np.sort(cosines, axis=1)[:, -50:], 0.0).mean(axis=1)
    said = calibration.of_new(
        by_text, calibration.of_users(levels, clicks_of(world.clicks)), calibration.of_crowd(crowd)
    )
    to_come = np.log((counts + 0.5) * HELD / (1 - HELD) / counts[counts > 0].mean())
    for at, item in enumerate(raw.young):
        share = few**4 / (few**4 + counts[item] ** 4)
        own = expected[:, item] if counts[item] else 0.0
        text = said[:, at] + (to_come[item] if counts[item] else 0.0)
        expected[:, item] = (1 - share) * own + share * text
        if counts[item]:
            expected[:, item] = np.log(np.exp(expected[:, item]) + 0.8 / np.sqrt(counts[item]) * np.exp(text))
    found = fitted(world, settings=learned, few=few).log_odds(world.clicks)
    assert (counts[raw.young] > 0).sum() > 3
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_stranger_with_the_history_of_a_known_user_has_the_same_odds(world):
    experts = fitted(world)
    alone = csr_array(world.clicks.toarray()[[5]])
    np.testing.assert_allclose(experts.log_odds(alone)[0], experts.log_odds(world.clicks)[5], atol=2e-4)


def test_each_kind_of_item_has_the_odds_of_its_own_calibration(world):
    plain = fitted(world, few=0.0).log_odds(world.clicks)
    apart = Settings(calibration=Calibration(known=2.0, intercept=-3.0))
    moved = fitted(world, settings=apart, few=0.0).log_odds(world.clicks)
    np.testing.assert_allclose(moved[:, world.cold], plain[:, world.cold] - 3.0, atol=1e-5)
    np.testing.assert_allclose(moved[:, ~world.cold], 2.0 * plain[:, ~world.cold], atol=1e-5)


@pytest.mark.parametrize("popular", [1.0, 0.4])
def test_popularity_is_added_as_a_share_of_the_users_level(world, popular):
    settings = Settings(popularity=((1.0, 0.5),))
    warm, counts = np.flatnonzero(world.clicks.sum(axis=0)), world.clicks.sum(axis=0)
    alone = np.exp(fitted(world, few=0.0).log_odds(world.clicks))[:, warm]
    found = np.exp(fitted(world, settings=settings, few=0.0).log_odds(world.clicks, popular))[:, warm]
    clear = alone > 2 * FLOOR
    expected = np.tile(0.5 * popular * counts[warm] / np.sort(counts)[-20:].mean(), (90, 1))
    np.testing.assert_allclose((found - alone)[clear], expected[clear], atol=1e-3)


def test_without_the_weight_of_popularity_it_says_nothing(world):
    popular, plain = (
        fitted(world, settings=Settings(popularity=((1.0, weight),))).log_odds(world.clicks, dial)
        for weight, dial in ((0.5, 0.0), (0.0, 1.0))
    )
    np.testing.assert_array_equal(popular, plain)


def test_someone_of_whom_nothing_is_known_gets_what_is_popular(world):
    odds = fitted(world, settings=Settings(popularity=((1.0, 1.0),))).log_odds(csr_array((1, world.n_items)))[0]
    assert np.isfinite(odds).all()
    counts = world.clicks.sum(axis=0)
    assert odds[counts == counts.max()].min() == odds.max()


class TestFewClicks:
    def odds_of_the_first(self, make_world, n_clicks, few):
        """How much better its odds are for those who like its kind, 0, than for those who like that of its clickers."""
        world = make_world()
        clicks, wrong = world.clicks.toarray(), world.likes == 1
        clicks[:, 0] = wrong & (np.cumsum(wrong) <= n_clicks)
        settings = Settings(Collaborative(l2=10.0, prior=0.0))
        odds = fitted(world, clicks, settings, few=few).log_odds(csr_array(clicks))
        others = clicks[:, 0] == 0
        return odds[world.likes == 0, 0].mean() - odds[wrong & others, 0].mean()

    def test_one_click_leaves_an_item_where_its_text_is_and_many_move_it(self, make_world):
        one, many = (self.odds_of_the_first(make_world, n_clicks, few=10.0) for n_clicks in (1, 20))
        assert many < 0.0 < one

    def test_the_more_the_longer_text_is_let_speak(self, make_world):
        alone, a_bit, more = (self.odds_of_the_first(make_world, 1, few) for few in (0.0, 10.0, 300.0))
        assert alone < 0.0 < a_bit < more

    def test_an_item_with_many_clicks_speaks_for_itself(self, make_world):
        world = make_world()
        odds, without = (fitted(world, few=few).log_odds(world.clicks) for few in (30.0, 0.0))
        many = world.clicks.sum(axis=0) > YOUNG
        assert 20 < many.sum() < world.n_items - 20
        np.testing.assert_allclose(odds[:, many], without[:, many], atol=1e-4)

    def test_what_is_expected_of_an_item_rises_with_its_clicks(self, make_world):
        world = make_world()
        clicks = world.clicks.toarray()
        clicks[:, :3] = 0.0
        clicks[:1, 0], clicks[:4, 1], clicks[:9, 2] = 1.0, 1.0, 1.0
        world.features.dense[1:3] = world.features.dense[0]
        odds = fitted(world, clicks, few=1000.0).log_odds(csr_array(clicks[60:]))
        of_one, of_four, of_nine = odds[:, :3].T
        assert (of_four - of_one).mean() > 0.3
        assert (of_nine - of_four).mean() > 0.3

    def test_items_that_were_never_liked_much_do_not_flood_the_lists(self, make_world):
        """A third of the items of every kind is old and has a click or two: fewer of them than of others are shown."""
        world = make_world(n_users=150, n_cold=0)
        clicks, unloved = world.clicks.toarray(), np.arange(world.n_items) % 3 == 0
        clicks[:, unloved] *= np.cumsum(clicks[:, unloved], axis=0) <= 2
        odds = fitted(world, clicks, few=10.0).log_odds(csr_array(clicks))
        top = np.argsort(-np.where(clicks > 0, -np.inf, odds), axis=1)[:, :10]
        assert unloved[top].mean() < 0.1


class TestVoices:
    SETTINGS = Settings(popularity=((1.0, 0.5), (50.0, 0.1)))

    def test_they_are_shares_that_sum_to_1(self, world):
        for experts in (fitted(world, settings=self.SETTINGS), fitted(world, few=0.0)):
            found = experts.voices(world.clicks)
            assert found.shape == (3, 90, world.n_items)
            assert found.dtype == np.float32
            assert found.min() >= 0.0
            np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)

    def test_text_alone_speaks_for_items_without_clicks(self, world):
        found = fitted(world, settings=self.SETTINGS).voices(world.clicks)[:, :, world.cold]
        assert np.all(found[0] == 1.0)
        assert not found[1:].any()

    def test_of_an_item_with_few_clicks_text_has_at_least_its_share_of_many_none(self, make_world):
        world = make_world()
        found, counts = fitted(world, few=5.0).voices(world.clicks)[0], world.clicks.sum(axis=0)
        assert not found[:, counts > YOUNG].any()
        few = (counts > 0) & (counts <= YOUNG)
        share = (5.0**4 / (5.0**4 + counts**4))[few]
        assert (found[:, few] >= share - 1e-5).all()
        assert (found[:, few].max(axis=0) > share + 0.01).any()  # where clicks say less than the text foretells
        assert (found[:, few] <= 1.0).all()

    def test_without_popularity_it_has_no_share(self, world):
        assert not fitted(world).voices(world.clicks)[2].any()
        assert not fitted(world, settings=self.SETTINGS).voices(world.clicks, 0.0)[2].any()

    def test_popularity_says_the_more_the_more_popular_an_item_is_and_the_fewer_clicks_a_user_has(self, make_world):
        world = make_world()
        experts, counts = fitted(world, settings=self.SETTINGS, few=0.0), world.clicks.sum(axis=0)
        history = np.zeros((2, world.n_items), dtype=np.float32)
        history[0, 5], history[1, :30] = 1.0, 1.0
        short, long = experts.voices(csr_array(history))[2]
        known = ~world.cold & (world.kinds == 0)
        assert short[known].mean() > long[known].mean()
        order = np.argsort(counts[known])
        assert short[known][order[-8:]].mean() > short[known][order[:8]].mean()

    def test_of_nobody_popularity_says_nearly_all(self, make_world):
        world = make_world()
        found = fitted(world, settings=self.SETTINGS, few=0.0).voices(csr_array((1, world.n_items)))
        assert found[2, 0, ~world.cold].min() > 0.9


class TestMoved:
    def test_another_order_changes_nothing_but_the_order(self, world):
        experts, order = fitted(world), np.random.default_rng(0).permutation(world.n_items)
        moved = experts.moved(world.texts[order], order)
        found = moved.log_odds(csr_array(world.clicks[:, order]))
        np.testing.assert_allclose(found, experts.log_odds(world.clicks)[:, order], atol=1e-4)

    @pytest.mark.parametrize("few", [0.0, 5.0])
    def test_items_that_stay_keep_their_odds_when_items_that_nobody_clicked_go(self, world, few):
        """Those of kinds that the users do not like: of the best 20, by which levels go, all stay."""
        experts = fitted(world, few=few)
        asked = csr_array(world.clicks[world.likes == 0])
        stay = np.flatnonzero(~(world.cold & (world.kinds == 2)))
        found = experts.moved(world.texts[stay], stay).log_odds(csr_array(asked[:, stay]))
        np.testing.assert_allclose(found, experts.log_odds(asked)[:, stay], atol=1e-4)

    @pytest.mark.parametrize(("few", "within"), [(0.0, 1e-4), (10.0, 0.02)])
    def test_items_that_stay_keep_their_odds_when_items_that_the_user_did_not_click_go(self, world, few, within):
        """But for those with few clicks: what is expected of them goes by the mean of all."""
        experts = fitted(world, few=few)
        gone = np.flatnonzero(~world.cold)[:3]
        stay = np.setdiff1d(np.arange(world.n_items), gone)
        asked = csr_array(world.clicks[world.clicks[:, gone].sum(axis=1) == 0])
        assert asked.shape[0] > 10
        found = experts.moved(world.texts[stay], stay).log_odds(csr_array(asked[:, stay]))
        np.testing.assert_allclose(found, experts.log_odds(asked)[:, stay], atol=within)

    def test_a_click_on_an_item_that_is_gone_is_forgotten(self, world):
        experts, stay = fitted(world, few=0.0), np.arange(1, world.n_items)
        with_it, without = (np.zeros((1, world.n_items), dtype=np.float32) for _ in range(2))
        with_it[0, [0, 3, 4]], without[0, [3, 4]] = 1.0, 1.0
        moved = experts.moved(world.texts[stay], stay)
        expected = experts.log_odds(csr_array(without))[:, 1:]
        np.testing.assert_allclose(moved.log_odds(csr_array(with_it[:, 1:])), expected, atol=1e-4)

    def test_new_items_have_finite_odds_the_higher_the_more_their_text_is_liked(self, world):
        experts, vectors = fitted(world), world.texts
        origin = np.append(np.arange(world.n_items), [-1, -1, -1])
        like_others = vectors[[np.flatnonzero(world.cold & (world.kinds == kind))[0] for kind in (0, 1)]]
        grown = experts.moved(np.vstack([vectors, like_others, 0 * vectors[:1]]), origin)
        odds = grown.log_odds(csr_array(np.hstack([world.clicks.toarray(), np.zeros((90, 3))])))
        assert odds.shape == (90, world.n_items + 3)
        assert np.isfinite(odds).all()
        of_0, of_1, of_nothing = odds[:, -3:].T
        assert np.mean((of_0 > of_1)[world.likes == 0]) > 0.9
        assert np.mean((of_1 > of_0)[world.likes == 1]) > 0.9
        assert of_nothing.std() < 0.5 * of_0.std()  # it is for nobody more than for others
        known = world.clicks.sum(axis=0) > YOUNG
        np.testing.assert_allclose(odds[:, :-3][:, known], experts.log_odds(world.clicks)[:, known], atol=1e-4)

    @pytest.mark.parametrize("method", ["exact", "als"])
    def test_a_new_item_is_where_its_twin_was_fitted_or_about_there_if_it_is_placed_by_neighbours(self, world, method):
        experts, vectors = fitted(world, settings=Settings(Collaborative(method))), world.texts
        twin = np.flatnonzero(world.cold & (world.kinds == 0))[0]
        grown = experts.moved(np.vstack([vectors, vectors[twin]]), np.append(np.arange(world.n_items), -1))
        users = world.clicks.toarray()[world.likes == 0]
        odds = grown.log_odds(csr_array(np.hstack([users, np.zeros((len(users), 1))])))
        if method == "exact":
            np.testing.assert_allclose(odds[:, -1], odds[:, twin], atol=1e-3)
        else:
            assert np.abs(np.median(odds[:, -1] - odds[:, twin])) < 1.0

    def test_items_come_go_and_change_places_at_once_and_again(self, world):
        experts, vectors = fitted(world), world.texts
        rng = np.random.default_rng(0)
        first = np.append(rng.permutation(world.n_items), -1)
        second = rng.permutation(len(first))
        then = np.vstack([vectors, vectors[:1]])[np.append(first[:-1], -1)]
        once = experts.moved(then[second], first[second])
        twice = experts.moved(then, first).moved(then[second], second)
        history = csr_array((rng.random((5, len(first))) < 0.1).astype(np.float32))
        np.testing.assert_allclose(once.log_odds(history), twice.log_odds(history), atol=1e-4)

    def test_the_experts_themselves_stay_as_they_were(self, world):
        experts = fitted(world, few=3.0)
        before = deepcopy(experts)
        experts.moved(world.texts[[4, 2, 2]], np.array([4, -1, 100])).log_odds(csr_array((1, 3)))
        for name in ("warm", "young", "popular", "counts", "vectors", "texts"):
            np.testing.assert_array_equal(getattr(experts, name), getattr(before, name))
        np.testing.assert_array_equal(experts.answers.weights, before.answers.weights)
        assert (experts.near != before.near).nnz == 0

    @pytest.mark.parametrize("few", [10.0, 0.0])
    def test_few_items_without_clicks_keep_their_odds_when_others_go(self, make_world, few):
        world = make_world(n_cold=6)
        stay = np.flatnonzero(~(world.cold & (world.kinds == 2)))
        asked = csr_array(world.clicks[world.likes == 0])
        experts = fitted(world, few=few)
        found = experts.moved(world.texts[stay], stay).log_odds(csr_array(asked[:, stay]))
        np.testing.assert_allclose(found, experts.log_odds(asked)[:, stay], atol=0.5)

    def test_the_only_item_without_clicks_is_for_those_who_like_what_is_like_it(self, make_world):
        world = make_world(n_cold=0)
        vectors, near = world.texts, np.zeros((1, 8), dtype=np.float32)
        near[0, :2] = 0.95, 0.31  # of kind 0, with a little of kind 1
        grown = fitted(world).moved(np.vstack([vectors, near]), np.append(np.arange(world.n_items), -1))
        odds = grown.log_odds(csr_array(np.hstack([world.clicks.toarray(), np.zeros((90, 1))])))[:, -1]
        assert np.median(odds[world.likes == 0]) > np.median(odds[world.likes == 1]) + 0.5

    def test_an_item_whose_text_was_changed_is_placed_by_its_new_text(self, world):
        experts, vectors = fitted(world), world.texts.copy()
        item, other = (np.flatnonzero(world.cold & (world.kinds == kind))[0] for kind in (2, 0))
        vectors[item] = vectors[other]
        odds = experts.moved(vectors, np.arange(world.n_items)).log_odds(world.clicks)[:, item]
        assert odds[world.likes == 0].mean() > odds[world.likes == 2].mean()

    def test_so_is_one_with_few_clicks_and_its_clicks_stay(self, make_world):
        world = make_world()
        clicks = world.clicks.toarray()
        clicks[:, 0] *= np.cumsum(clicks[:, 0]) <= 2
        experts, vectors = fitted(world, clicks, few=100.0), world.texts.copy()
        vectors[0] = vectors[np.flatnonzero(world.cold & (world.kinds == 1))[0]]
        moved = experts.moved(vectors, np.arange(world.n_items))
        before, after = (one.log_odds(csr_array(clicks))[:, 0] for one in (experts, moved))
        assert before[world.likes == 0].mean() > before[world.likes == 1].mean()
        assert after[world.likes == 1].mean() > after[world.likes == 0].mean()
        assert moved.counts[0] == 2.0
        np.testing.assert_allclose(moved.voices(csr_array(clicks))[0, 0, 0], 1.0, rtol=1e-5)

    def test_one_with_few_clicks_can_go(self, make_world):
        world = make_world()
        few = np.flatnonzero((world.clicks.sum(axis=0) <= YOUNG) & ~world.cold)
        stay = np.setdiff1d(np.arange(world.n_items), few[:2])
        moved = fitted(world).moved(world.texts[stay], stay)
        users = csr_array(world.clicks[:, stay])
        assert np.isfinite(moved.log_odds(users)).all()
        np.testing.assert_allclose(moved.voices(users).sum(axis=0), 1.0, atol=1e-5)


class TestManyItems:
    def test_above_the_most_that_is_inverted_the_nearest_are_averaged(self, monkeypatch, world):
        monkeypatch.setattr(raw_module, "MOST_EXACT", 3)
        experts = fitted(world)
        found = odds_by_kind(world, experts.log_odds(world.clicks), True)
        assert np.mean(found.argmax(axis=1) == world.likes) > 0.95


@pytest.mark.parametrize(("shape", "clicked"), [((1, 1), 1), ((1, 2), 1), ((2, 1), 1), ((1, 3), 3), ((4, 3), 3)])
def test_the_smallest_sizes_have_finite_odds(shape, clicked):
    clicks = np.zeros(shape, dtype=np.float32)
    clicks[:, :clicked] = 1.0
    vectors = np.eye(*[max(shape)] * 2, dtype=np.float32)[: shape[1]]
    vectors[-1] = 0.0  # without text
    for few in (0.0, 5.0):
        odds = Experts.of(csr_array(clicks), vectors, Settings(few=few), Content()).log_odds(csr_array(clicks))
        assert odds.shape == shape
        assert np.isfinite(odds).all()


def test_users_have_at_least_one_click():
    assert clicks_of(csr_array(np.array([[1, 1, 0], [0, 0, 0]]))).tolist() == [[2.0], [1.0]]


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_20_most_clicked_have_a_popularity_of_1_on_average(n):
    found = popularity(np.arange(1.0, n + 1))
    assert np.sort(found)[-20:].mean() == pytest.approx(1.0)
    assert found[-1] / found[0] == pytest.approx(n)


def test_settings_are_compared_by_their_numbers():
    one, other = (Settings(Collaborative(l2=l2), calibration=Calibration(2.0)) for l2 in (3.0, 4.0))
    assert replace(one, collaborative=Collaborative(l2=4.0)) == other != one


def test_what_was_there_and_not_clicked_is_expected_to_get_less_and_what_comes_later_is_not(world):
    vectors, cold = world.texts, np.flatnonzero(world.cold)
    experts, plain = fitted(world, settings=Settings(unseen=-1.5)), fitted(world)
    lower = experts.log_odds(world.clicks) - plain.log_odds(world.clicks)
    np.testing.assert_allclose(lower[:, cold], -1.5, atol=1e-5)
    np.testing.assert_allclose(np.delete(lower, cold, axis=1), 0.0, atol=1e-5)
    grown = experts.moved(np.vstack([vectors, vectors[cold[:1]]]), np.append(np.arange(world.n_items), -1))
    odds = grown.log_odds(csr_array(np.hstack([world.clicks.toarray(), np.zeros((90, 1))])))
    np.testing.assert_allclose(odds[:, -1] - odds[:, cold[0]], 1.5, atol=1e-3)


class TestBlended:
    NOBODY, ALL = (np.full(1, share, dtype=np.float32) for share in (0.0, 1.0))
    PART = np.full(1, 0.37, dtype=np.float32)

    def blended(self, by_clicks, by_text, share, foretold):
        return blended(np.array([[by_clicks]], "f4"), np.array([[by_text]], "f4"), share, foretold).item()

    def test_few_clicks_that_say_much_are_not_talked_down_by_text(self):
        assert self.blended(3.0, -8.0, self.NOBODY, self.PART) == pytest.approx(3.0, abs=1e-3)

    def test_few_clicks_that_say_nothing_leave_an_item_what_its_text_foretells(self):
        assert self.blended(-30.0, 2.0, self.NOBODY, self.PART) == pytest.approx(2.0 + np.log(0.37), abs=1e-3)

    def test_without_a_part_foretold_it_is_the_mean(self):
        assert self.blended(1.0, 3.0, self.NOBODY + 0.25, self.NOBODY) == pytest.approx(1.5)

    def test_text_has_said_all_or_nothing_at_the_ends(self):
        clicks, text = np.array([[3.0, -30.0]], "f4"), np.array([[-8.0, 2.0]], "f4")
        assert np.allclose(text_part(clicks, text, self.NOBODY, self.PART), [[0.0, 1.0]], atol=1e-3)
        assert np.allclose(text_part(clicks, text, self.ALL, self.NOBODY), 1.0)


def test_a_stranger_gets_no_more_new_items_than_is_usual_and_known_items_alike(make_world):
    """Of short histories more of what comes next is new, it was learned; of a stranger who only begins it is not."""
    world = make_world(n_cold=30)
    calibration = Calibration(count=-1.0, intercept=3.0, least=1.0, usual=-1.0)
    experts = fitted(world, settings=Settings(calibration=calibration, few=0.0))
    history = csr_array(world.only(0, 1)[None])
    known, stranger = (experts.log_odds(history, strangers=np.array([flag])) for flag in (False, True))
    np.testing.assert_array_equal(experts.log_odds(history), known)
    np.testing.assert_array_equal(stranger[:, ~world.cold], known[:, ~world.cold])
    np.testing.assert_allclose((known - stranger)[:, world.cold], 4.0 - np.log(3.0), rtol=1e-4)


def test_of_users_with_fewer_clicks_than_those_learned_from_nothing_is_foretold(make_world):
    """Their one click says little by text; what it says by the clicks of others stays."""
    world = make_world(n_cold=30)
    clicks = world.clicks.toarray() * (np.arange(world.n_items) % 5 > 0)  # items of every kind with few clicks, below
    few = np.arange(world.n_items) % 5 == 0
    clicks[:, few] = world.clicks.toarray()[:, few] * (np.arange(90)[:, None] < 12)
    history = csr_array(world.only(1, 2)[None])
    odds = {}
    for least in (1.0, 3.0):
        calibration = Calibration(new_level=5.0, intercept=8.0, least=least, usual=8.0)
        experts = fitted(world, clicks, settings=Settings(calibration=calibration, few=0.1))
        odds[least] = experts.log_odds(history)[0]
    both = np.isin(np.arange(world.n_items), experts.young) & (experts.counts > 0)
    assert np.max(odds[1.0][both] - odds[3.0][both]) > 1.0
    by_clicks = fitted(world, clicks, settings=Settings(calibration=calibration, few=0.0)).log_odds(history)[0]
    np.testing.assert_allclose(odds[3.0][both], by_clicks[both], atol=0.5)


def test_an_item_with_clicks_that_was_taken_out_stays_out_through_later_changes(make_world):
    world = make_world(n_cold=30)
    experts, vectors = fitted(world), world.texts
    without = np.delete(np.arange(world.n_items), 1)  # item 1 has clicks
    history = csr_array(world.clicks[:5][:, without])
    once = experts.moved(vectors[without], without)
    again = once.moved(vectors[without], np.arange(len(without)))
    assert (once.warm < 0).sum() == (again.warm < 0).sum() == 1
    np.testing.assert_array_equal(again.log_odds(history), once.log_odds(history))
