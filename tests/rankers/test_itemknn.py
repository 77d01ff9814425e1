import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.itemknn import ItemKNNRanker


def features(n_items):
    return Features(np.zeros((n_items, 1), dtype=np.float32))


def fitted(clicks, *params):
    clicks = np.asarray(clicks, dtype=np.float32)
    return ItemKNNRanker(*params).fit(features(clicks.shape[1]), csr_array(clicks))


def score(ranker, histories):
    history = csr_array(np.array(histories, dtype=np.float32))
    nothing = Features(np.zeros((len(histories), 1), dtype=np.float32))
    return ranker.score(Users(history, csr_array(history.shape), nothing, nothing), features(history.shape[1]))


def naive(clicks, histories, neighbours, shrink):
    """Plain loops over the definition, ties to the earlier item; and how close the nearest tie at the cut is."""
    n_items = clicks.shape[1]
    length = np.sqrt((clicks**2).sum(axis=0))
    scores, gap = np.zeros((len(histories), n_items)), 1.0
    for item in range(n_items):
        likeness = [0.0] * n_items
        for other in range(n_items):
            if other != item and length[item] and length[other]:
                likeness[other] = clicks[:, item] @ clicks[:, other] / (length[item] * length[other] + shrink)
        nearest = sorted(range(n_items), key=lambda other: (-likeness[other], other))
        if neighbours < n_items and likeness[nearest[neighbours - 1]] > 0:
            gap = min(gap, likeness[nearest[neighbours - 1]] - likeness[nearest[neighbours]])
        for user, history in enumerate(histories):
            scores[user, item] = sum(history[other] * likeness[other] for other in nearest[:neighbours])
    return scores, gap


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([0.0, 3.0, 50.0]))
def test_scores_are_those_of_plain_loops_over_the_definition(seed, neighbours, shrink):
    rng = np.random.default_rng(seed)
    clicks = rng.uniform(0.5, 3.0, (rng.integers(5, 20), 10))
    clicks *= rng.random(clicks.shape) < 0.5
    histories = (rng.random((3, 10)) < 0.4) * rng.integers(1, 3, 10)
    expected, gap = naive(clicks, histories, neighbours, shrink)
    assume(gap > 1e-5)
    np.testing.assert_allclose(score(fitted(clicks, neighbours, shrink), histories), expected, atol=1e-5)


def test_ties_between_neighbours_go_to_the_earlier_item():
    near = fitted(np.ones((4, 4)), 2, 0.0).similar_.toarray() > 0
    assert [np.flatnonzero(column).tolist() for column in near.T] == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_who_clicked_this_also_clicked_that():
    clicks = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]
    scores = score(fitted(clicks, 3, 0.0), [[1, 0, 0, 0]])[0]
    assert scores.tolist() == pytest.approx([0.0, 2 / np.sqrt(6), 0.0, 1 / np.sqrt(6)])


def test_only_the_nearest_neighbours_of_an_item_count():
    clicks = [[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
    one, two = (fitted(clicks, neighbours, 0.0) for neighbours in (1, 2))
    assert np.diff(one.similar_.T.tocsr().indptr).tolist() == [1, 1, 1]
    assert score(one, [[0, 0, 1]])[0].tolist() == [0.0, 0.0, 0.0]
    assert score(two, [[0, 0, 1]])[0, :2].min() > 0.3


def test_shrinking_lowers_items_with_few_clicks_most():
    clicks = np.zeros((41, 4))
    clicks[:40, :2] = 1
    clicks[40, 2:] = 1
    plain, shrunk = (score(fitted(clicks, 3, shrink), [[1, 0, 1, 0]])[0] for shrink in (0.0, 10.0))
    assert plain[[1, 3]].tolist() == pytest.approx([1.0, 1.0])
    assert shrunk[[1, 3]].tolist() == pytest.approx([40 / 50, 1 / 11])


def test_an_item_is_not_its_own_neighbour():
    assert not fitted(np.ones((3, 4)), 10, 0.0).similar_.diagonal().any()


def test_neighbours_do_not_depend_on_the_block():
    n_items = 1_030
    clicks = csr_array(
        (np.ones(2 * n_items), (np.repeat(np.arange(n_items), 2), np.arange(2 * n_items) // 2 % n_items))
    )
    ring = csr_array(clicks + clicks[:, np.roll(np.arange(n_items), 1)])
    similar = ItemKNNRanker(2, 0.0).fit(features(n_items), ring).similar_.tocoo()
    assert similar.shape == (n_items, n_items)
    assert set(((similar.row - similar.col) % n_items).tolist()) == {1, n_items - 1}
    assert similar.data == pytest.approx(np.full(2 * n_items, 0.5))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ((0,), "`neighbours` must be between 1 and"),
        ((2.5,), "`neighbours` must be a whole number between 1 and"),
        ((5, -0.1), "`shrink` must be between 0 and"),
        ((5, float("nan")), "`shrink` must be between 0 and"),
    ],
)
def test_parameters_out_of_range_are_refused(params, expected):
    with pytest.raises(InvalidInputError, match=expected):
        fitted(np.ones((2, 3)), *params)
