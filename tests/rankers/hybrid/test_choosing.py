import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.metrics.accuracy import ndcg
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.choosing import L2, POPULARITY, PRIOR, _told, choose, found
from coldstart.rankers.hybrid.experts import Content
from coldstart.rankers.hybrid.folds import cut


def chosen(world, clicks=None, seed=0):
    clicks = world.clicks if clicks is None else csr_array(clicks.astype(np.float32))
    vectors = CosineRanker().fit(world.features).item_vectors(world.features)
    return choose(cut(clicks, np.random.default_rng(seed)), vectors, Content())


def test_the_best_of_what_the_report_shows_is_taken(make_world):
    settings, report = chosen(make_world(n_users=300))
    assert list(report) == ["l2", "prior", "popularity"]
    assert (tuple(report["l2"]), tuple(report["prior"])) == (L2, PRIOR)
    assert report["l2"][settings.l2] == max(report["l2"].values())
    assert report["prior"][settings.prior] == max(report["prior"].values())
    assert all(0.0 < value < 1.0 for name in ("l2", "prior") for value in report[name].values())


def test_popularity_gets_the_least_weight_that_is_within_half_a_percent_of_the_best(make_world):
    settings, report = chosen(make_world(n_users=400))
    tried = report["popularity"]
    assert set(tried) == {1, 2, 3, 5}
    pairs = dict(settings.popularity)
    for told, by_weight in tried.items():
        assert tuple(by_weight) == POPULARITY
        good = [weight for weight, value in by_weight.items() if value >= 0.995 * max(by_weight.values())]
        assert pairs.pop(told) == min(good)
    assert pairs == {10.0: 0.0}  # who is known well needs none


def test_where_all_click_what_is_popular_popularity_counts_and_where_tastes_differ_it_does_not(make_world):
    tastes = make_world(n_users=400)
    often = np.random.default_rng(0).permutation(0.6 / np.arange(1, tastes.n_items + 1) ** 0.7)
    alike = np.random.default_rng(1).random((400, tastes.n_items)) < often
    of_popular, of_tastes = (dict(chosen(tastes, clicks)[0].popularity)[1.0] for clicks in (alike, None))
    assert of_popular > of_tastes


def test_texts_count_less_where_they_say_nothing(make_world):
    told = make_world(n_users=60, inside=0.3, noise=0.2)
    shuffled = make_world(n_users=60, inside=0.3, noise=0.2)
    np.random.default_rng(3).shuffle(shuffled.features.dense)
    assert chosen(told)[0].prior > chosen(shuffled)[0].prior


def test_log_odds_rise_with_the_scores_of_either_kind_of_item(make_world):
    settings, _ = chosen(make_world(n_users=300, noise=1.0, per_kind=60, n_cold=10))
    for calibration in (settings.collaborative, settings.content):
        assert calibration.slope > 0
        assert calibration != Calibration()


def test_where_texts_say_nothing_a_higher_score_still_never_has_lower_odds(make_world):
    world = make_world(n_users=90, noise=0.2, seed=8)
    np.random.default_rng(8).shuffle(world.features.dense)
    assert chosen(world)[0].content.slope >= 0.0


def test_the_same_fold_gives_the_same_settings(make_world):
    world = make_world()
    assert chosen(world) == chosen(world)


def test_with_few_users_nothing_is_learned_of_popularity(make_world):
    settings, report = chosen(make_world(n_users=90))
    assert report["popularity"] == {}
    assert settings.popularity == ((1.0, 0.0),)


def test_where_hardly_any_hidden_click_is_on_a_new_item_the_content_expert_keeps_its_plain_odds(make_world):
    world = make_world()
    clicks = world.clicks.toarray()
    clicks[2:] = 0.0
    clicks[:, 0] = 1.0  # of all items but the first, two users know a few
    fold = cut(csr_array(clicks), np.random.default_rng(0))
    assert 0 < fold.held[:, fold.cold].nnz < 20
    settings, _ = choose(fold, CosineRanker().fit(world.features).item_vectors(world.features), Content())
    assert settings.content == Calibration()


@pytest.mark.parametrize("told", [1, 3])
def test_strangers_tell_so_many_clicks_and_the_rest_is_what_they_want(told):
    clicks = (np.random.default_rng(0).random((200, 30)) < 0.15).astype(np.float32)
    history, wanted = (part.toarray() for part in _told(csr_array(clicks), told, np.random.default_rng(1)))
    more = clicks[clicks.sum(axis=1) > told]
    assert np.array_equal(history + wanted, more)
    assert not (history * wanted).any()
    assert np.all(history.sum(axis=1) == told)
    assert history.argmax(axis=1).std() > 2  # drawn, not the first


def test_what_is_found_is_the_ndcg_of_the_unseen_best_first():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20, 50)).astype(np.float32)
    history, wanted = rng.random((20, 50)) < 0.2, rng.random((20, 50)) < 0.1
    wanted &= ~history
    wanted[:, 0], history[:, 0] = True, False
    ranked = [[item for item in np.argsort(-row) if not seen[item]] for row, seen in zip(scores, history, strict=True)]
    expected = ndcg(ranked, [np.flatnonzero(row).tolist() for row in wanted], 20).mean()
    assert found(scores, csr_array(history), csr_array(wanted)) == pytest.approx(expected)


def test_fewer_items_than_a_list_has_places_are_ranked_all():
    scores, wanted = np.array([[3.0, 2.0, 1.0]], np.float32), csr_array(np.array([[0, 0, 1]]))
    assert found(scores, csr_array(np.array([[1, 0, 0]])), wanted) == pytest.approx(1 / np.log2(3))


def test_the_scores_given_are_left_as_they_were():
    scores = np.ones((1, 3), dtype=np.float32)
    found(scores, csr_array(np.array([[1, 0, 0]])), csr_array(np.array([[0, 0, 1]])))
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_odds_are_learned_from_unseen_items_and_those_of_new_items_from_hidden_ones_only(monkeypatch, make_world):
    learned = []
    monkeypatch.setattr(Calibration, "learn", lambda *pairs: learned.append(pairs) or Calibration())
    world = make_world()
    fold = cut(world.clicks, np.random.default_rng(0))
    choose(fold, CosineRanker().fit(world.features).item_vectors(world.features), Content())
    asked = (np.diff(fold.held.indptr) > 0) & (np.diff(fold.train.indptr) > 0)
    train, held = fold.train.toarray()[asked], fold.held.toarray()[asked]
    warm = train.any(axis=0) | fold.train.toarray().any(axis=0)
    assert warm.sum() < 100  # all items of each user are among the best 100
    (_, _, _, of_known), (_, _, _, of_new) = learned
    assert (len(of_known), of_known.sum()) == ((1 - train[:, warm]).sum(), held[:, warm].sum())
    assert (len(of_new), of_new.sum()) == (len(train) * fold.cold.sum(), held[:, fold.cold].sum())
    assert world.cold.any()
