"""What all rankers by clicks do alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers._columns import move_columns, move_rows
from coldstart.rankers.als import ALSRanker
from coldstart.rankers.ease import EASERanker
from coldstart.rankers.itemknn import ItemKNNRanker
from coldstart.rankers.popularity import PopularityRanker, RandomRanker
from coldstart.testing import check_ranker

RANKERS = {
    "popularity": PopularityRanker(),
    "random": RandomRanker(),
    "itemknn": ItemKNNRanker(3, 0.0),
    "ease": EASERanker(1.0),
    "als": ALSRanker(4),
}
LEARNING = ("itemknn", "ease", "als")
N_ITEMS = 8

every = pytest.mark.parametrize("name", RANKERS)
learning = pytest.mark.parametrize("name", LEARNING)


def features(n_items=N_ITEMS):
    return Features(np.zeros((n_items, 1), dtype=np.float32))


def sparse(rows, n_items=N_ITEMS):
    return csr_array(np.array(rows, dtype=np.float32).reshape(-1, n_items))


def drawn(n_users, n_items=N_ITEMS, seed=0, weighted=True):
    rng = np.random.default_rng(seed)
    clicks = (rng.random((n_users, n_items)) < 0.4) * (rng.integers(1, 4, (n_users, n_items)) if weighted else 1)
    clicks[:, -1] = 0  # nobody clicked the last item
    return sparse(clicks, n_items)


def fitted(name, clicks=None, n_items=N_ITEMS):
    made = type(RANKERS[name])(**RANKERS[name].get_params())
    return made.fit(features(n_items), drawn(20, n_items) if clicks is None else clicks)


def score(ranker, history, disliked=None, n_items=N_ITEMS):
    history = sparse(history, n_items)
    nothing = Features(np.zeros((history.shape[0], 1), dtype=np.float32))
    disliked = csr_array(history.shape, dtype=np.float32) if disliked is None else sparse(disliked, n_items)
    return ranker.score(Users(history, disliked, nothing, nothing), features(n_items))


def row(*items, n_items=N_ITEMS):
    return np.isin(np.arange(n_items), items).astype(np.float32)


@pytest.mark.parametrize("ranker", [EASERanker(1.0), ALSRanker(8), ItemKNNRanker(3, 0.0)], ids=repr)
def test_the_contract_of_a_ranker_holds(ranker):
    check_ranker(ranker)


@every
@pytest.mark.parametrize("clicks", [None, sparse(np.zeros((3, N_ITEMS)))], ids=["none", "users without any"])
def test_without_clicks_scores_are_finite(name, clicks):
    ranker = type(RANKERS[name])(**RANKERS[name].get_params()).fit(features(), clicks)
    scores = score(ranker, [row(0, 3), row()])
    assert scores.shape == (2, N_ITEMS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert name == "random" or not scores.any()


@every
def test_no_users_have_no_scores(name):
    assert score(fitted(name), np.zeros((0, N_ITEMS))).shape == (0, N_ITEMS)


@pytest.mark.parametrize("name", [name for name in RANKERS if name != "random"])
def test_an_item_without_clicks_gets_the_score_0(name):
    scores = score(fitted(name), [row(0, 1, 2), row(5)])
    assert scores.any()
    np.testing.assert_allclose(scores[:, -1], 0.0, atol=1e-6)


@learning
def test_a_history_of_one_cold_item_scores_0_everywhere(name):
    np.testing.assert_allclose(score(fitted(name), [row(N_ITEMS - 1)]), 0.0, atol=1e-6)


@every
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_dislike_never_raises_a_score_and_lowers_that_of_the_item(name, seed):
    rng = np.random.default_rng(seed)
    history, disliked = rng.random((2, 4, N_ITEMS)) < 0.3
    ranker = fitted(name, drawn(20, seed=seed))
    before, after = score(ranker, history), score(ranker, history, disliked)
    assert (after <= before + 1e-6).all()
    assert (after[disliked] < before[disliked]).all()


@pytest.mark.parametrize(
    "name",
    [
        *LEARNING,
        *(pytest.param(one) for one in ("popularity", "random")),
    ],
)
def test_a_dislike_of_one_user_does_not_change_the_scores_of_another(name):
    ranker = fitted(name)
    alone = score(ranker, [row(0, 1)])
    beside = score(ranker, [row(0, 1), row(2)], [row(), row(3)])
    np.testing.assert_allclose(beside[:1], alone, atol=1e-6)


@every
def test_a_users_scores_do_not_depend_on_the_other_users(name):
    ranker, histories = fitted(name), [row(0, 1), row(), row(2), row(0, 1)]
    together = score(ranker, histories)
    for history, scores in zip(histories, together, strict=True):
        np.testing.assert_allclose(score(ranker, [history])[0], scores, atol=1e-5)


@every
def test_scoring_changes_neither_the_ranker_nor_what_it_was_given(name):
    ranker, clicks = fitted(name), drawn(20)
    before = clicks.toarray()
    first = score(ranker, [row(0, 1)])
    first[:] = -9.0
    score(ranker, [row(0, 1)], [row(2)])
    again = score(ranker, [row(0, 1)])
    assert again.min() > -9.0
    np.testing.assert_array_equal(again, score(fitted(name), [row(0, 1)]))
    np.testing.assert_array_equal(clicks.toarray(), before)


@every
def test_fitting_again_starts_anew(name):
    ranker = fitted(name).fit(features(5), drawn(9, 5, seed=1))
    np.testing.assert_array_equal(
        score(ranker, [row(0, n_items=5)], n_items=5),
        score(fitted(name, drawn(9, 5, seed=1), 5), [row(0, n_items=5)], n_items=5),
    )


@every
def test_fewer_or_more_columns_than_items_are_refused(name):
    kind = type(RANKERS[name]).__name__
    expected = rf"`clicks` of {kind} must have one column per item, 8; got 7\. Fit again, or call refreshed"
    with pytest.raises(InvalidInputError, match=expected):
        fitted(name, drawn(20, 7))
    with pytest.raises(InvalidInputError, match=expected):
        score(fitted(name), [row(0, n_items=7)], n_items=7)


@every
def test_scoring_or_refreshing_before_fit_says_what_to_call(name):
    kind = type(RANKERS[name])
    for use in (
        lambda ranker: score(ranker, [row(0)]),
        lambda ranker: ranker.refreshed(features(), drawn(2), np.arange(N_ITEMS)),
    ):
        with pytest.raises(NotFittedError, match=f"{kind.__name__} must be fitted .*; call {kind.__name__}.fit first"):
            use(kind())


class TestRefreshed:
    ORDER = np.array([5, 0, 7, 2, 3, 1, 6, 4])
    GROWN = np.array([0, 1, -1, 2, 3, 4, 5, 6, 7, -1, -1])
    KEPT = np.array([0, 2, 3, 5, 7])

    def moved_scores(self, name, origin, clicks, history):
        """Scores of a history before a change, and after it, where the items are then."""
        ranker = fitted(name, clicks)
        there = np.where(origin >= 0, np.concatenate([clicks.toarray(), clicks.toarray() * 0], 1)[:, origin], 0)
        now = ranker.refreshed(features(len(origin)), sparse(there, len(origin)), origin)
        before = score(ranker, [history])[0]
        return before, score(now, [np.where(origin >= 0, history[origin], 0)], n_items=len(origin))[0]

    @pytest.mark.parametrize("n_users", [20, 5], ids=["more users", "more items"])
    @pytest.mark.parametrize("name", [name for name in RANKERS if name != "random"])
    def test_in_another_order_the_items_keep_their_scores(self, name, n_users):
        before, after = self.moved_scores(name, self.ORDER, drawn(n_users), row(0, 3, 5))
        np.testing.assert_allclose(after, before[self.ORDER], atol=1e-5)

    @pytest.mark.parametrize("n_users", [20, 5], ids=["more users", "more items"])
    @pytest.mark.parametrize(
        "name",
        [
            "popularity",
            "itemknn",
            "ease",
            pytest.param("als"),
        ],
    )
    def test_beside_new_items_the_known_ones_keep_their_scores(self, name, n_users):
        before, after = self.moved_scores(name, self.GROWN, drawn(n_users), row(0, 3, 5))
        np.testing.assert_allclose(after[self.GROWN >= 0], before, atol=1e-5)
        np.testing.assert_allclose(after[self.GROWN < 0], 0.0, atol=1e-6)

    def test_beside_new_items_als_keeps_the_scores_nearly(self):
        before, after = self.moved_scores("als", self.GROWN, drawn(20), row(0, 3, 5))
        np.testing.assert_allclose(after[self.GROWN >= 0], before, atol=1e-3)
        assert not after[self.GROWN < 0].any()

    @pytest.mark.parametrize("n_users", [20, 5], ids=["more users", "more items"])
    @pytest.mark.parametrize("name", ["popularity", "itemknn", "ease"])
    def test_without_some_items_the_others_keep_their_scores(self, name, n_users):
        before, after = self.moved_scores(name, self.KEPT, drawn(n_users), row(0, 3, 5))
        np.testing.assert_allclose(after, before[self.KEPT], atol=1e-5)

    def test_without_some_items_als_keeps_the_factors_of_the_others(self):
        ranker = fitted("als")
        now = ranker.refreshed(features(5), drawn(20, 5), self.KEPT)
        np.testing.assert_array_equal(now.items_, ranker.items_[self.KEPT])

    @every
    @pytest.mark.parametrize("n_users", [20, 5], ids=["more users", "more items"])
    def test_refreshed_returns_a_copy_and_leaves_the_ranker_unchanged(self, name, n_users):
        ranker = fitted(name, drawn(n_users))
        before = score(ranker, [row(0, 1)])
        now = ranker.refreshed(features(5), drawn(n_users, 5), self.KEPT)
        assert now is not ranker
        assert (ranker.n_items_, now.n_items_) == (8, 5)
        np.testing.assert_array_equal(score(ranker, [row(0, 1)]), before)

    @every
    def test_it_can_be_refreshed_again(self, name):
        clicks = drawn(20)
        there_and_back = fitted(name, clicks).refreshed(
            features(9), sparse(np.hstack([clicks.toarray(), np.zeros((20, 1))]), 9), np.array([*range(8), -1])
        )
        there_and_back = there_and_back.refreshed(features(), clicks, np.arange(8))
        np.testing.assert_allclose(
            score(there_and_back, [row(0, 1)]), score(fitted(name, clicks), [row(0, 1)]), atol=1e-6
        )

    @learning
    def test_refreshed_learns_nothing_from_new_clicks(self, name):
        ranker = fitted(name)
        now = ranker.refreshed(features(), drawn(30, seed=9), np.arange(N_ITEMS))
        np.testing.assert_array_equal(score(now, [row(0, 1)]), score(ranker, [row(0, 1)]))


def test_rows_and_columns_are_moved_by_origin():
    origin = np.array([2, -1, 0])
    assert move_rows(np.array([1.0, 2.0, 3.0], dtype=np.float32), origin).tolist() == [3.0, 0.0, 1.0]
    assert move_rows(np.array([[1, 4], [2, 5], [3, 6]]), origin).tolist() == [[3, 6], [0, 0], [1, 4]]
    columns = move_columns(csr_array(np.array([[1.0, 2.0, 3.0]], dtype=np.float32)), origin)
    assert columns.toarray().tolist() == [[3.0, 0.0, 1.0]]
    assert columns.dtype == np.float32
