import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.rankers.popularity import PopularityRanker, RandomRanker

CLICKS = np.array([[1, 0, 2, 0], [1, 0, 0, 0], [0.5, 3, 0, 0]], dtype=np.float32)


def features(n_items=4):
    return Features(np.zeros((n_items, 1), dtype=np.float32))


def score(ranker, histories, disliked=None):
    history = csr_array(np.array(histories, dtype=np.float32))
    nothing = Features(np.zeros((len(histories), 1), dtype=np.float32))
    disliked = csr_array(history.shape if disliked is None else np.array(disliked), dtype=np.float32)
    return ranker.score(Users(history, disliked, nothing, nothing), features(history.shape[1]))


def popular():
    return PopularityRanker().fit(features(), csr_array(CLICKS))


class TestPopularity:
    def test_scores_are_the_sums_of_the_clicks_weights(self):
        assert popular().counts_.tolist() == [2.5, 3.0, 2.0, 0.0]

    def test_everyone_gets_the_same(self):
        assert score(popular(), [[1, 0, 0, 0], [0, 0, 0, 0]]).tolist() == [[2.5, 3.0, 2.0, 0.0]] * 2

    def test_new_clicks_count_at_once(self):
        fresh = popular().refreshed(features(), csr_array(np.vstack([CLICKS, [[0, 0, 0, 9]]])), np.arange(4))
        assert score(fresh, [[0, 0, 0, 0]]).tolist() == [[2.5, 3.0, 2.0, 9.0]]

    def test_who_dislikes_an_item_gets_the_others_by_popularity(self):
        scores = score(popular(), [[0, 0, 0, 0]], [[0, 1, 0, 0]])[0]
        assert scores[0] > scores[2] > scores[3]
        assert scores[1] < 3.0


class TestRandom:
    N = 50

    def made(self, rng=0):
        return RandomRanker(rng).fit(features(self.N))

    def order(self, ranker, *items):
        history = np.isin(np.arange(self.N), items)
        return score(ranker, [history])[0].argsort().tolist()

    def test_the_same_history_gets_the_same_order_each_time(self):
        ranker = self.made()
        assert self.order(ranker, 3, 7) == self.order(ranker, 7, 3) == self.order(self.made(), 3, 7)

    def test_the_order_depends_on_the_items_of_a_history_and_not_on_their_weights(self):
        ranker, history = self.made(), np.isin(np.arange(self.N), [3, 7])
        np.testing.assert_array_equal(score(ranker, [history * 5])[0], score(ranker, [history])[0])

    def test_another_history_or_another_rng_gets_another_order(self):
        orders = [self.order(self.made(rng), *items) for rng in (0, 1) for items in ((), (3,), (3, 7))]
        assert len({tuple(order) for order in orders}) == 6

    @pytest.mark.parametrize(
        "rng", [np.random.SeedSequence(4), np.random.default_rng(4), None], ids=["seeds", "rng", "any"]
    )
    def test_any_rng_gives_one_order_per_fit(self, rng):
        ranker = self.made(rng)
        assert self.order(ranker, 3) == self.order(ranker, 3)

    def test_each_item_comes_first_about_as_often(self):
        ranker = RandomRanker().fit(features(8))
        histories = (np.arange(256)[:, None] >> np.arange(8)) & 1
        first = np.bincount(score(ranker, histories).argmax(axis=1), minlength=8)
        assert first.sum() == 256
        assert first.min() > 32 - 4 * 5.3
        assert first.max() < 32 + 4 * 5.3

    def test_clicks_are_not_used(self):
        clicks = csr_array(np.ones((5, self.N), dtype=np.float32))
        assert self.order(RandomRanker().fit(features(self.N), clicks), 3) == self.order(self.made(), 3)

    def test_scores_lie_between_0_and_1(self):
        scores = score(self.made(), np.eye(self.N))
        assert 0.0 <= scores.min() < 0.01
        assert 0.99 < scores.max() <= 1.0
        assert scores.mean() == pytest.approx(0.5, abs=0.03)
