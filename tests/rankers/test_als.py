import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers._als import solve_rows
from coldstart.rankers.als import ALSRanker

REGULARIZATION, UNOBSERVED = 0.05, 0.2


def features(n_items):
    return Features(np.zeros((n_items, 1), dtype=np.float32))


def drawn(seed=0, shape=(30, 12)):
    rng = np.random.default_rng(seed)
    clicks = (rng.random(shape) < 0.3) * rng.integers(1, 4, shape)
    clicks[:, -1] = 0
    clicks[0] = 0
    return clicks.astype(np.float32)


def fitted(clicks, factors=4, iterations=12, rng=0, regularization=REGULARIZATION, unobserved=UNOBSERVED):
    ranker = ALSRanker(factors, regularization, unobserved, iterations, rng)
    return ranker.fit(features(clicks.shape[1]), csr_array(clicks))


def score(ranker, histories):
    history = csr_array(np.array(histories, dtype=np.float32))
    nothing = Features(np.zeros((history.shape[0], 1), dtype=np.float32))
    return ranker.score(Users(history, csr_array(history.shape), nothing, nothing), features(history.shape[1]))


def best(clicks, other):
    """Factors of the rows of clicks, given those of the columns: the ridge regression of the docstring, row by row."""
    rows = []
    for line in clicks.astype(float):
        ridge = REGULARIZATION * ((line > 0).sum() + UNOBSERVED * len(other))
        left = (other.T * line) @ other + UNOBSERVED * other.T @ other + ridge * np.eye(other.shape[1])
        rows.append(np.linalg.solve(left, other.T @ line))
    return np.array(rows)


def objective(clicks, users, items):
    """The formula of the docstring, pair by pair."""
    total = 0.0
    for user, line in zip(users, clicks, strict=True):
        total += REGULARIZATION * ((line > 0).sum() + UNOBSERVED * len(items)) * user @ user
        for item, weight in zip(items, line, strict=True):
            total += (weight * (1 - user @ item) ** 2 if weight else 0.0) + UNOBSERVED * (user @ item) ** 2
    for item, column in zip(items, clicks.T, strict=True):
        total += REGULARIZATION * ((column > 0).sum() + UNOBSERVED * len(users)) * item @ item
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_objective_goes_down_with_every_sweep(seed):
    clicks = drawn(seed)
    values = []
    for iterations in range(1, 9):
        items = fitted(clicks, iterations=iterations).items_.astype(float)
        values.append(objective(clicks, best(clicks, items), items))
    assert all(later < earlier + 1e-4 for earlier, later in zip(values, values[1:], strict=False))
    assert values[-1] < values[0] - 0.1


def test_a_user_is_folded_in_by_the_formula_that_users_are_trained_by():
    clicks = drawn()
    ranker = fitted(clicks)
    items = ranker.items_.astype(float)
    np.testing.assert_allclose(score(ranker, clicks), best(clicks, items) @ items.T, atol=1e-4)


def test_after_many_sweeps_a_folded_in_training_user_has_the_factor_of_training():
    """So that the items are what is best for the users folded in, which is how they were made in training."""
    clicks = drawn()
    items = fitted(clicks, iterations=2_000).items_.astype(float)
    users = best(clicks, items)
    np.testing.assert_allclose(best(clicks.T, users), items, atol=2e-3)
    np.testing.assert_allclose(score(fitted(clicks, iterations=2_000), clicks), users @ items.T, atol=1e-4)


def test_each_side_minimises_the_loss_given_the_other():
    clicks = drawn()
    rng = np.random.default_rng(1)
    items = fitted(clicks).items_.astype(float)
    users = best(clicks, items)
    there = objective(clicks, users, items)
    for _ in range(10):
        assert objective(clicks, users + 0.01 * rng.standard_normal(users.shape), items) > there


def test_two_groups_of_users_are_separated():
    clicks = np.kron(np.eye(2), np.ones((6, 5))).astype(np.float32)
    scores = score(fitted(clicks), np.eye(10)[[0, 7]])
    assert scores[0, :5].min() > scores[0, 5:].max() + 0.2
    assert scores[1, 5:].min() > scores[1, :5].max() + 0.2


def test_a_click_of_more_weight_raises_the_score_more():
    clicks = drawn()
    light, heavy = (score(fitted(clicks), [np.eye(12)[0] * weight])[0, 0] for weight in (1, 5))
    assert heavy > light > 0


def test_a_larger_unobserved_weight_lowers_scores():
    clicks = drawn()
    low, high = (score(fitted(clicks, unobserved=unobserved), clicks).mean() for unobserved in (0.01, 1.0))
    assert high < low


def test_items_and_users_without_clicks_are_zero():
    clicks = drawn()
    ranker = fitted(clicks)
    assert not ranker.items_[-1].any()
    assert ranker.items_[:-1].any(axis=1).all()
    assert not score(ranker, [np.zeros(12)]).any()


def test_factors_have_the_given_width():
    assert fitted(drawn(), factors=7).items_.shape == (12, 7)
    assert fitted(drawn()).items_.dtype == np.float32


def test_the_same_rng_gives_the_same_factors_and_another_does_not():
    one, same, other = (fitted(drawn(), iterations=1, rng=rng).items_ for rng in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other, atol=1e-3)


def test_scores_do_not_depend_on_the_block():
    clicks = drawn(shape=(700, 12))
    ranker = fitted(clicks)
    ends = clicks[[0, 511, 512, 699]]
    np.testing.assert_allclose(score(ranker, clicks)[[0, 511, 512, 699]], score(ranker, ends), atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 30]), st.booleans())
def test_solve_rows_zeroes_the_gradient_of_every_row(seed, factors, held):
    """With fewer clicks than factors and with more."""
    rng = np.random.default_rng(seed)
    clicks, other = drawn(seed), rng.standard_normal((12, factors)).astype(np.float32)
    prior = rng.standard_normal((30, factors)).astype(np.float32) if held else None
    ridge = rng.uniform(1.0, 9.0, 30)
    found = solve_rows(csr_array(clicks), other, other.T @ other, UNOBSERVED, ridge, prior)
    for line, row, firm, mean in zip(
        clicks.astype(float), found, ridge, np.zeros(30) if prior is None else prior, strict=True
    ):
        slope = -((line * (1 - other @ row)) @ other) + UNOBSERVED * other.T @ (other @ row) + firm * (row - mean)
        np.testing.assert_allclose(slope, 0.0, atol=1e-3)


def test_rows_of_all_lengths_are_solved():
    rng = np.random.default_rng(0)
    counts = rng.permutation(300)
    clicks = (np.arange(300) < counts[:, None])[:, rng.permutation(300)].astype(np.float32)
    other = rng.standard_normal((300, 16)).astype(np.float32)
    ridge = REGULARIZATION * (counts + UNOBSERVED * 300)
    found = solve_rows(csr_array(clicks), other, other.T @ other, UNOBSERVED, ridge)
    np.testing.assert_allclose(found, best(clicks, other.astype(float)), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("factors", 0, "`factors` must be between 1 and"),
        ("factors", 2.5, "`factors` must be a whole number between 1 and"),
        ("iterations", 0, "`iterations` must be between 1 and"),
        ("regularization", 0.0, "`regularization` must be between 1e-09 and"),
        ("regularization", -1.0, "`regularization` must be"),
        ("unobserved", 0.0, "`unobserved` must be between 1e-09 and"),
        ("unobserved", float("nan"), "`unobserved` must be"),
    ],
)
def test_parameters_out_of_range_are_refused(name, value, expected):
    with pytest.raises(InvalidInputError, match=expected):
        fitted(drawn(), **{name: value})
