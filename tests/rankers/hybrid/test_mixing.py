from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.hybrid import mixing as module
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.choosing import EXACT, choose
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.mixing import _candidates
from coldstart.rankers.hybrid.raw import Content
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import cut, found

START, FEW = Settings(), (0.0, 10.0)


def chosen(world, few=FEW):
    fold = cut(world.clicks, np.random.default_rng(0))
    return choose(fold, world.texts, START, Content(), EXACT, few)


class TestFew:
    def world(self, make_world, shuffled):
        """A third of the items have a click or two; their texts tell their kind, or nothing."""
        world = make_world(n_users=200, n_cold=0, noise=0.2)
        clicks, young = world.clicks.toarray(), np.arange(world.n_items) % 3 == 0
        clicks[:, young] *= np.cumsum(clicks[:, young], axis=0) <= 3
        world.clicks = csr_array(clicks)
        if shuffled:
            np.random.default_rng(3).shuffle(world.features.dense)
        return world

    @pytest.mark.parametrize("shuffled", [False, True])
    def test_the_longest_that_text_may_speak_at_little_cost_is_taken_unless_it_says_nothing(self, make_world, shuffled):
        settings, report = chosen(self.world(make_world, shuffled), few=(0.0, 3.0, 10.0, 100.0))
        tried = report["few"]
        assert tuple(tried) == ((0.0,) if shuffled else (0.0, 3.0, 10.0, 100.0))
        good = [value for value, came_to in tried.items() if came_to >= (1 - module.PRICE) * max(tried.values())]
        assert settings.few == max(good)

    def test_one_value_is_kept_whatever_it_costs(self, make_world):
        settings, report = chosen(self.world(make_world, True), few=[1000.0])
        assert settings.few == 1000.0
        assert list(report["few"]) == [1000.0]

    def test_it_is_measured_on_the_odds_that_are_then_answered(self, make_world):
        """Among known items, the popularity in, by experts fitted on the rest."""
        world = self.world(make_world, False)
        fold = cut(world.clicks, np.random.default_rng(0))
        settings, report = choose(fold, world.texts, START, Content(), EXACT, [10.0])
        rows = np.flatnonzero(np.diff(fold.held.indptr) * np.diff(fold.train.indptr))
        warm = np.flatnonzero(fold.train.sum(axis=0))
        odds = Experts.of(fold.train, world.texts, settings, Content()).log_odds(csr_array(fold.train[rows]))
        history, wanted = (csr_array(part[rows][:, warm]) for part in (fold.train, fold.held))
        assert report["few"][10.0] == pytest.approx(found(odds[:, warm], history, wanted), abs=0.01)


def test_log_odds_rise_with_the_scores_of_either_kind_of_item(make_world):
    settings, _ = chosen(make_world(n_users=300, noise=1.0, per_kind=60, n_cold=10))
    assert settings.calibration.known > 0
    assert settings.calibration.new > 0
    assert settings.calibration != Calibration()


def test_where_texts_say_nothing_a_higher_score_still_never_has_lower_odds(make_world):
    world = make_world(n_users=90, noise=0.2, seed=8)
    np.random.default_rng(8).shuffle(world.features.dense)
    assert chosen(world)[0].calibration.new >= 0.0


def test_where_hardly_any_hidden_click_is_on_a_new_item_the_odds_stay_plain(make_world):
    world = make_world()
    clicks = world.clicks.toarray()
    clicks[2:] = 0.0
    clicks[:, 0] = 1.0  # of all items but the first, two users know a few
    fold = cut(csr_array(clicks), np.random.default_rng(0))
    assert 0 < fold.held[:, fold.cold].nnz < 20
    settings, _ = choose(fold, world.texts, START, Content(), EXACT, FEW)
    assert settings.calibration == Calibration()


def test_odds_are_learned_from_unseen_items_and_those_of_new_items_from_hidden_ones_only(monkeypatch, make_world):
    learned = []
    monkeypatch.setattr(Calibration, "learn", lambda *sides: learned.append(sides) or Calibration())
    monkeypatch.setattr(module, "K", 1_000)  # all items are candidates
    world = make_world()
    fold = cut(world.clicks, np.random.default_rng(0))
    choose(fold, world.texts, START, Content(), EXACT, FEW)
    asked = (np.diff(fold.held.indptr) > 0) & (np.diff(fold.train.indptr) > 0)
    train, held = fold.train.toarray()[asked], fold.held.toarray()[asked]
    warm = train.any(axis=0) | fold.train.toarray().any(axis=0)
    (((known, of_known), (new, of_new), levels, counts, crowd, items),) = learned
    assert (np.isfinite(known).sum(), of_known.sum()) == ((1 - train[:, warm]).sum(), held[:, warm].sum())
    assert (np.isfinite(new).sum(), of_new.sum()) == (len(train) * fold.cold.sum(), held[:, fold.cold].sum())
    assert [len(part) for part in (*levels, counts, crowd, items)] == [len(train)] * 5
    assert world.cold.any()


def test_the_best_third_of_the_items_are_candidates(make_world):
    rng = np.random.default_rng(0)
    scores, history, held = rng.random((9, 90)), csr_array((9, 90)), csr_array(rng.random((9, 90)) < 0.1)
    found = _candidates(scores, SimpleNamespace(history=history, held=held), np.arange(90))
    assert found.at.shape == (9, 30)
    assert np.array_equal(np.sort(found.at, axis=1), np.sort(np.argsort(-scores, axis=1)[:, :30], axis=1))
    assert np.array_equal(found.clicked, np.take_along_axis(held.toarray(), found.at, axis=1))
