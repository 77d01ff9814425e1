import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.training.negatives import by_popularity, false_negatives, log_q, mined, uniform

seeds = st.integers(0, 2**32 - 1)
quickly = settings(deadline=None, max_examples=50)
DRAWS = 20_000


def drawn(seed=0, shape=(30, 20), share=0.2):
    clicks = np.random.default_rng(seed).random(shape) < share
    clicks[0, 0] = True
    return csr_array(clicks.astype(np.float32))


def shares(items, n_items):
    return np.bincount(np.ravel(items), minlength=n_items) / np.size(items)


def popular(clicks):
    """Users who click so that item i has ``clicks[i]``; and one more without a click."""
    rows = np.arange(max(clicks) + 1)[:, None] < np.array(clicks)[None]
    return csr_array(rows.astype(np.float32)), max(clicks)


@pytest.mark.parametrize("sampled", [uniform, by_popularity])
@quickly
@given(seed=seeds, count=st.integers(1, 8))
def test_count_negatives_are_drawn_and_all_of_them_have_a_click(sampled, seed, count):
    liked = drawn(seed)
    users = np.random.default_rng(seed).integers(0, 30, 12)
    items = sampled(liked, users, count, np.random.default_rng(seed))
    assert items.shape == (12, count)
    assert np.isin(items, np.unique(liked.indices)).all()


@pytest.mark.parametrize("sampled", [uniform, by_popularity])
def test_no_user_gets_a_liked_item_as_negative(sampled):
    liked = drawn(shape=(100, 200), share=0.3)
    users = np.arange(100)
    items = sampled(liked, users, 50, np.random.default_rng(0))
    of_mine = liked.toarray()[users[:, None], items]
    assert of_mine.mean() < 1e-3


def test_negatives_of_a_user_do_not_depend_on_their_row_in_the_batch():
    liked = csr_array(np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.float32))
    items = uniform(liked, np.array([1, 0, 0, 1]), 9, np.random.default_rng(0))
    assert [set(row) <= {0, 1} for row in items.tolist()] == [True, False, False, True]
    assert [set(row) <= {2, 3} for row in items.tolist()] == [False, True, True, False]


def test_uniform_draws_each_clicked_item_as_often_as_the_others():
    liked, nobody = popular([0, 1, 50, 3, 0, 200])
    actual = shares(uniform(liked, np.array([nobody]), DRAWS, np.random.default_rng(0)), 6)
    np.testing.assert_allclose(actual, [0, 0.25, 0.25, 0.25, 0, 0.25], atol=0.015)


def test_uniform_is_uniform_among_items_a_user_did_not_like():
    liked, _ = popular([9, 5, 5, 2, 2])  # user 4 liked the first three
    actual = shares(uniform(liked, np.full(200, 4), 100, np.random.default_rng(0)), 5)
    np.testing.assert_allclose(actual, [0, 0, 0, 0.5, 0.5], atol=0.015)


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0, 2.0])
def test_by_popularity_draws_in_proportion_to_a_power_of_clicks(power):
    clicks = np.array([1, 0, 4, 9, 16, 0, 100])
    liked, nobody = popular(clicks)
    items = by_popularity(liked, np.array([nobody]), DRAWS, np.random.default_rng(0), power)
    expected = np.where(clicks > 0, clicks.astype(float) ** power, 0)
    expected *= DRAWS / expected.sum()
    counts, there = np.bincount(items[0], minlength=7), expected > 0
    assert not counts[~there].any()
    assert (((counts - expected) ** 2)[there] / expected[there]).sum() < 20  # chi-square of 4 degrees: 1 in 2,000


def test_the_default_power_is_three_quarters():
    liked, nobody = popular([1, 16])
    one, other = (
        by_popularity(liked, np.array([nobody]), 50, np.random.default_rng(0), *power) for power in ((), (0.75,))
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("sampled", [uniform, by_popularity])
def test_a_user_who_liked_everything_still_gets_items(sampled):
    liked = csr_array(np.ones((2, 5), dtype=np.float32))
    items = sampled(liked, np.array([0, 1, 0]), 4, np.random.default_rng(0))
    assert items.shape == (3, 4)
    assert false_negatives(liked, np.array([0]), items[0]).all()


@pytest.mark.parametrize("sampled", [uniform, by_popularity])
def test_the_same_seed_draws_the_same_and_another_something_else(sampled):
    one, again, other = (sampled(drawn(), np.arange(30), 5, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_arguments_are_left_as_they_were():
    liked, users, items = drawn(), np.arange(30), np.arange(20)
    scores = np.random.default_rng(0).standard_normal((30, 20)).astype(np.float32)
    known = false_negatives(liked, users, items)
    before = [part.copy() for part in (liked.data, liked.indices, liked.indptr, users, items, scores, known)]
    uniform(liked, users, 4, np.random.default_rng(0))
    by_popularity(liked, users, 4, np.random.default_rng(0))
    mined(scores, known, 4, skip=1)
    log_q(liked, items)
    after = (liked.data, liked.indices, liked.indptr, users, items, scores, known)
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@quickly
@given(seeds, st.integers(1, 6), st.integers(0, 3))
def test_mined_are_the_best_that_are_not_known_best_first(seed, count, skip):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((5, 20)).astype(np.float32)
    known = rng.random((5, 20)) < 0.3
    for row, actual in enumerate(mined(scores, known, count, skip)):
        best = sorted((at for at in range(20) if not known[row, at]), key=lambda at: -scores[row, at])
        best += [at for at in range(20) if known[row, at]]
        assert actual.tolist() == best[skip : skip + count]


def test_skip_leaves_out_the_very_best():
    scores = np.array([[0.1, 0.9, 0.5, 0.7]], dtype=np.float32)
    nothing = np.zeros((1, 4), dtype=bool)
    assert mined(scores, nothing, 2).tolist() == [[1, 3]]
    assert mined(scores, nothing, 2, skip=1).tolist() == [[3, 2]]


def test_equal_scores_are_mined_in_the_order_of_columns():
    scores = np.tile(np.array([0.0, 1.0], dtype=np.float32), (1, 100))
    order = [*range(1, 200, 2), *range(0, 200, 2)]
    assert mined(scores, np.zeros((1, 200), dtype=bool), 200).tolist() == [order]


def test_known_ones_are_mined_only_when_nothing_else_is_left():
    scores = np.array([[9.0, 1.0, 8.0, 2.0]], dtype=np.float32)
    known = np.array([[True, False, True, False]])
    assert mined(scores, known, 2).tolist() == [[3, 1]]
    assert mined(scores, known, 4)[0, :2].tolist() == [3, 1]
    assert set(mined(scores, known, 4)[0, 2:].tolist()) == {0, 2}


@quickly
@given(seeds, st.integers(0, 10), st.integers(0, 10))
def test_a_false_negative_is_a_pair_with_a_click(seed, n_users, n_items):
    liked = drawn(seed)
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 30, n_users), rng.integers(0, 20, n_items)
    actual = false_negatives(liked, users, items)
    table = liked.toarray()
    assert actual.shape == (n_users, n_items)
    assert actual.dtype == bool
    assert all(actual[i, j] == (table[u, it] > 0) for i, u in enumerate(users) for j, it in enumerate(items))


def test_log_q_is_the_share_of_clicks():
    liked, _ = popular([1, 4, 0, 15])
    actual = log_q(liked, np.array([3, 0, 1, 3]))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(np.exp(actual), [0.75, 0.05, 0.2, 0.75], rtol=1e-6)


def test_log_q_does_not_depend_on_the_strength_of_clicks():
    liked, _ = popular([1, 4, 0, 15])
    assert np.array_equal(log_q(csr_array(liked * 3.0), np.arange(4)), log_q(liked, np.arange(4)))


def test_log_q_of_an_item_without_clicks_is_a_number():
    liked, _ = popular([1, 4, 0, 15])
    assert log_q(liked, np.array([2]))[0] == log_q(liked, np.array([0]))[0]
    assert log_q(csr_array((3, 4), dtype=np.float32), np.arange(4)).tolist() == [0.0] * 4
