from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.hybrid import choosing as module
from coldstart.rankers.hybrid.choosing import ALS, EXACT, POPULARITY, _told, choose, likeness
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import cut, found

START, FEW = Settings(), (0.0, 10.0)
METHODS = {"exact": EXACT, "als": ALS}


def chosen(world, clicks=None, seed=0, method="exact", grid=None, few=FEW):
    clicks = world.clicks if clicks is None else csr_array(clicks.astype(np.float32))
    fold = cut(clicks, np.random.default_rng(seed))
    grid = METHODS[method] if grid is None else grid
    return choose(fold, world.texts, Settings(Collaborative(method)), Content(), grid, few)


@pytest.mark.parametrize("method", METHODS)
def test_the_best_of_what_the_report_shows_is_taken(make_world, method):
    settings, report = chosen(make_world(n_users=300), method=method)
    searched = dict(METHODS[method])
    assert list(report) == [*searched, "popularity", "few"]
    for name, values in searched.items():
        assert tuple(report[name]) == tuple(values)
        assert report[name][getattr(settings.collaborative, name)] == max(report[name].values())
        assert all(0.0 < value < 1.0 for value in report[name].values())
    assert settings.collaborative.method == method


def test_what_is_searched_later_starts_from_the_best_of_what_was_searched_before(make_world):
    world = make_world(n_users=300)
    settings, report = chosen(world)
    fixed = (("l2", (settings.collaborative.l2,)), ("prior", dict(EXACT)["prior"]))
    assert chosen(world, grid=fixed)[1]["prior"] == report["prior"]


def test_what_is_not_searched_stays_as_it_is_given(make_world):
    world = make_world()
    fold = cut(world.clicks, np.random.default_rng(0))
    given = Collaborative(l2=7.0, prior=0.3)
    settings, report = choose(fold, world.texts, Settings(given, few=3.0), Content(), (), [3.0])
    assert (settings.collaborative, settings.few) == (given, 3.0)
    assert list(report) == ["popularity", "few"]


def test_when_no_click_is_hidden_on_a_known_item_nothing_is_learned(make_world):
    world = make_world()
    clicks = np.zeros(world.clicks.shape, dtype=np.float32)
    clicks[:30, 0] = 1.0
    fold = cut(csr_array(clicks), np.random.default_rng(0))
    settings, report = choose(replace(fold, held=csr_array(clicks.shape)), world.texts, START, Content(), EXACT, FEW)
    assert (settings, report) == (START, {})


class TestLikeness:
    def test_a_placing_that_tells_who_likes_what_comes_to_more_than_one_that_does_not(self, make_world):
        world = make_world()
        fold, right = cut(world.clicks, np.random.default_rng(0)), world.texts
        wrong = np.random.default_rng(1).permutation(right)
        came_to = likeness(fold, {0.0: wrong, 0.3: right}, Content())
        assert list(came_to) == [0.0, 0.3]
        assert came_to[0.3] > came_to[0.0] + 0.1

    def test_it_is_the_ndcg_of_the_clicks_alone_among_items_that_lost_theirs(self, make_world):
        world = make_world()
        fold, vectors = cut(world.clicks, np.random.default_rng(0)), world.texts
        raw = Raw.of(fold.train, vectors, Collaborative(), Content(boost=0.0), 0)
        rows = np.flatnonzero(np.diff(fold.held[:, fold.cold].indptr))
        _, by_text = raw.scores(csr_array(fold.train[rows][:, raw.warm]))
        cold = fold.cold[raw.young]
        nobody = csr_array((len(rows), cold.sum()))
        expected = found(by_text[:, cold], nobody, csr_array(fold.held[:, fold.cold][rows]))
        assert likeness(fold, {0.3: vectors}, Content())[0.3] == pytest.approx(expected, abs=1e-4)

    def test_with_few_users_nothing_is_said(self, make_world):
        world = make_world()
        few = world.clicks.toarray() * (np.arange(90)[:, None] < 19)
        assert likeness(cut(csr_array(few), np.random.default_rng(0)), {0.0: world.texts}, Content()) == {}

    def test_of_many_items_some_are_compared(self, monkeypatch, make_world):
        world = make_world()
        fold, right = cut(world.clicks, np.random.default_rng(0)), world.texts
        spaces = {0.0: np.random.default_rng(1).permutation(right), 0.3: right}
        of_all = likeness(fold, spaces, Content())
        monkeypatch.setattr(module, "ALIKE", 30)
        of_some = likeness(fold, spaces, Content())
        assert of_some != of_all
        assert of_some[0.3] > of_some[0.0] + 0.1


def test_popularity_gets_the_best_weight_and_falls_with_the_clicks_of_a_user(make_world):
    world = make_world(n_users=400)
    often = np.random.default_rng(0).permutation(0.6 / np.arange(1, world.n_items + 1) ** 0.7)
    settings, report = chosen(world, np.random.default_rng(1).random((400, world.n_items)) < often)
    tried = report["popularity"]
    assert tuple(tried) == POPULARITY
    weight = max(tried, key=lambda one: tried[one])
    assert weight > 0.0
    falling = [(told, weight / told) for told in (1.0, 2.0, 3.0, 5.0, 10.0)]
    assert settings.popularity_told == (*falling, (20.0, 0.0))  # who is known well needs none
    of_known = settings.popularity[0][1]  # the least that does nearly as well: more clicks say what they are like
    assert tried[of_known] >= 0.995 * tried[weight]
    assert all(tried[less] < 0.995 * tried[weight] for less in POPULARITY if less < of_known)


def test_the_weight_of_popularity_minds_those_who_want_much_more_than_those_who_want_little(make_world):
    """Many strangers want two items of their taste; a few go on to click forty, what is popular."""
    world = make_world(n_users=400, n_cold=0, per_kind=60)
    fold, rng = cut(world.clicks, np.random.default_rng(0)), np.random.default_rng(1)
    popular = np.argsort(-fold.train.sum(axis=0), kind="stable")[:45]
    many, few = np.zeros((25, world.n_items), np.float32), np.zeros((60, world.n_items), np.float32)
    many[:, popular] = 1.0
    for row, clicks in zip(few, world.clicks.toarray(), strict=False):
        row[rng.permutation(np.flatnonzero(clicks))[:3]] = 1.0
    weights = {}
    for name, strangers in {"few": few, "both": np.vstack([few, many])}.items():
        settings, _ = choose(replace(fold, strangers=csr_array(strangers)), world.texts, START, Content(), EXACT, FEW)
        weights[name] = settings.popularity_told[0][1]
    assert weights["both"] > weights["few"]


def test_where_all_click_what_is_popular_popularity_counts_and_where_tastes_differ_it_does_not(make_world):
    tastes = make_world(n_users=400)
    often = np.random.default_rng(0).permutation(0.6 / np.arange(1, tastes.n_items + 1) ** 0.7)
    alike = np.random.default_rng(1).random((400, tastes.n_items)) < often
    of_popular, of_tastes = (dict(chosen(tastes, clicks)[0].popularity_told)[1.0] for clicks in (alike, None))
    assert of_popular > of_tastes


def test_texts_count_less_where_they_say_nothing(make_world):
    told = make_world(n_users=60, inside=0.3, noise=0.2)
    shuffled = make_world(n_users=60, inside=0.3, noise=0.2)
    np.random.default_rng(3).shuffle(shuffled.features.dense)
    assert chosen(told)[0].collaborative.prior > chosen(shuffled)[0].collaborative.prior


def test_the_same_fold_gives_the_same_settings(make_world):
    world = make_world()
    assert chosen(world) == chosen(world)


def test_with_few_users_nothing_is_learned_of_popularity(make_world):
    settings, report = chosen(make_world(n_users=90))
    assert report["popularity"] == {}
    assert settings.popularity == ((1.0, 0.0),)


@pytest.mark.parametrize("told", [1, 3])
def test_strangers_tell_so_many_clicks_and_the_rest_is_what_they_want(told):
    clicks = (np.random.default_rng(0).random((200, 30)) < 0.15).astype(np.float32)
    history, wanted = (part.toarray() for part in _told(csr_array(clicks), told, np.random.default_rng(1)))
    more = clicks[clicks.sum(axis=1) > told]
    assert np.array_equal(history + wanted, more)
    assert not (history * wanted).any()
    assert np.all(history.sum(axis=1) == told)
    assert history.argmax(axis=1).std() > 2  # drawn, not the first
