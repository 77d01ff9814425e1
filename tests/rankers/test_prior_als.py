from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.base import Features
from coldstart.rankers._prior_als import TEXT_L2, PriorALS, TextMap
from coldstart.rankers.als import ALSRanker

REGULARIZATION, UNOBSERVED, FACTORS, DIM = 0.05, 0.2, 4, 5


def drawn(seed=0, shape=(30, 12)):
    """Clicks (m, n), one or more in every column, and centred texts of length one (n, dim); the last has no text."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((shape[1], DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1] = 0.0
    clicks = rng.random(shape) < 0.3
    clicks[0] = True
    return clicks.astype(np.float32), vectors.astype(np.float32)


def learned(clicks, vectors, factors=FACTORS, sweeps=10, rng=0, unobserved=UNOBSERVED):
    return PriorALS.of(csr_array(clicks), vectors, factors, REGULARIZATION, unobserved, sweeps, rng)


def ridge(clicks, n_others):
    return REGULARIZATION * (clicks.sum(axis=1) + UNOBSERVED * n_others)


def best(clicks, other, prior):
    """Factors of the rows of clicks by their normal equations, one after the other."""
    rows = []
    for line, held, mean in zip(clicks.astype(float), ridge(clicks, len(other)), prior, strict=True):
        left = (other.T * line) @ other + UNOBSERVED * other.T @ other + held * np.eye(other.shape[1])
        rows.append(np.linalg.solve(left, other.T @ line + held * mean))
    return np.array(rows)


def objective(clicks, vectors, model):
    """The formula of the docstring, at the best users."""
    items, text = model.items.astype(float), model.text.astype(float)
    users = best(clicks, items, np.zeros((len(clicks), items.shape[1])))
    scores = users @ items.T
    of_users, of_items = ridge(clicks, len(items)), ridge(clicks.T, len(users))
    total = (clicks * (1 - scores) ** 2).sum() + UNOBSERVED * (scores**2).sum()
    total += (of_users[:, None] * users**2).sum() + (of_items[:, None] * (items - vectors @ text) ** 2).sum()
    return total + TEXT_L2 * of_items.mean() * (text**2).sum()


@pytest.fixture
def planted():
    """Users who each like one kind of items, told by their texts; every fifth item keeps one click, right or wrong."""
    rng, kinds, likes = np.random.default_rng(0), np.repeat(np.arange(3), 40), np.arange(90) % 3
    vectors = np.eye(8)[kinds] + 0.5 / np.sqrt(8) * rng.standard_normal((120, 8))
    clicks = (rng.random((90, 120)) < np.where(likes[:, None] == kinds, 0.4, 0.15)).astype(np.float32)
    few = np.arange(120) % 5 == 0
    clicks[:, few] *= np.cumsum(clicks[:, few], axis=0) <= 1
    vectors = (vectors - vectors.mean(axis=0)).astype(np.float32)
    return clicks, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), few, likes[:, None] == kinds[few]


def well_ordered(scores, liked):
    """How often an item of the kind that a user likes stands above one of another kind."""
    above = scores[:, :, None] > scores[:, None, :]
    pairs = liked[:, :, None] & ~liked[:, None, :]
    return above[pairs].mean()


def test_a_history_is_folded_in_by_the_normal_equations():
    clicks, vectors = drawn()
    model = learned(clicks, vectors)
    histories = np.random.default_rng(1).random((8, 12)) < 0.4
    histories[0] = False
    expected = best(histories.astype(np.float32), model.items.astype(float), np.zeros((8, FACTORS)))
    rows = csr_array(histories.astype(np.float32))
    np.testing.assert_allclose(model.fold_in(rows), expected, atol=1e-5)
    np.testing.assert_allclose(model.scores(rows), expected @ model.items.T, atol=1e-5)
    assert not model.fold_in(rows)[0].any()


def test_without_texts_it_is_als():
    clicks, vectors = drawn()
    ranker = ALSRanker(FACTORS, REGULARIZATION, UNOBSERVED, 10, 0)
    expected = ranker.fit(Features(vectors), csr_array(clicks)).items_
    np.testing.assert_allclose(learned(clicks, np.zeros_like(vectors)).items, expected, atol=1e-5)
    assert not np.allclose(learned(clicks, vectors).items, expected, atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_the_objective_goes_down_with_every_sweep(seed):
    clicks, vectors = drawn(seed)
    values = [objective(clicks, vectors, learned(clicks, vectors, sweeps=sweeps)) for sweeps in range(1, 9)]
    assert all(later < earlier + 1e-4 for earlier, later in zip(values, values[1:], strict=False))
    assert values[-1] < values[0] - 0.1


def test_after_many_sweeps_items_and_text_map_solve_their_normal_equations():
    clicks, vectors = drawn()
    model = learned(clicks, vectors, sweeps=300)
    users = best(clicks, model.items.astype(float), np.zeros((30, FACTORS)))
    np.testing.assert_allclose(model.items, best(clicks.T, users, vectors @ model.text), atol=1e-4)
    weights = ridge(clicks.T, 30)
    wide = np.diag(weights / weights.mean())
    expected = np.linalg.solve(vectors.T @ wide @ vectors + TEXT_L2 * np.eye(DIM), vectors.T @ wide @ model.items)
    np.testing.assert_allclose(model.text, expected, atol=1e-5)


def test_texts_improve_the_scores_of_items_with_few_clicks(planted):
    clicks, vectors, few, liked = planted
    with_text, without = (
        well_ordered(learned(clicks, texts, 8).scores(csr_array(clicks))[:, few], liked)
        for texts in (vectors, np.zeros_like(vectors))
    )
    assert with_text > 0.9
    assert without < with_text - 0.2


def test_shuffled_texts_do_not_help(planted):
    clicks, vectors, few, liked = planted
    mixed = np.random.default_rng(0).permutation(vectors)
    right, wrong = (
        well_ordered(learned(clicks, texts, 8).scores(csr_array(clicks))[:, few], liked) for texts in (vectors, mixed)
    )
    assert wrong < right - 0.2


def test_an_item_without_clicks_is_placed_by_its_text(planted):
    clicks, vectors, few, liked = planted
    model = learned(clicks[:, ~few], vectors[~few], 8)
    scores = model.fold_in(csr_array(clicks[:, ~few])) @ (vectors[few] @ model.text).T
    assert well_ordered(scores, liked) > 0.95


def test_an_item_follows_its_text_after_one_click_and_its_users_after_many(planted):
    clicks, vectors, _, _ = planted
    kind = np.arange(90) % 3  # what each user likes; the first item's text is of kind 0
    gaps = []
    for n_clicks in (1, 25):
        clicks[:, 0] = (kind == 1) & (np.cumsum(kind == 1) <= n_clicks)
        scores = learned(clicks, vectors, 8).scores(csr_array(clicks))[:, 0]
        others = clicks[:, 0] == 0  # an item's own users pull it nearer to themselves than to their kind
        gaps.append(scores[(kind == 1) & others].mean() - scores[kind == 0].mean())
    assert gaps[0] < 0.0
    assert gaps[1] > 0.2


def test_folding_in_does_not_depend_on_later_items():
    clicks, vectors = drawn()
    model = learned(clicks, vectors)
    grown = replace(model, items=np.vstack([model.items, np.ones((7, FACTORS), np.float32)]))
    wide = np.hstack([clicks, np.zeros((30, 7), np.float32)])
    np.testing.assert_allclose(grown.fold_in(csr_array(wide)), model.fold_in(csr_array(clicks)), atol=1e-6)


def test_a_click_split_between_duplicates_is_a_click_on_either():
    model = learned(*drawn())
    doubled = replace(model, items=np.vstack([model.items, model.items[:1]]))
    whole, dealt = np.zeros((2, 1, 13), dtype=np.float32)
    whole[0, [0, 3]] = 1.0
    dealt[0, [0, 3, 12]] = 0.5, 1.0, 0.5
    np.testing.assert_allclose(doubled.fold_in(csr_array(dealt)), doubled.fold_in(csr_array(whole)), atol=1e-6)


def test_the_same_rng_gives_the_same_factors_and_another_does_not():
    one, same, other = (learned(*drawn(), sweeps=1, rng=rng) for rng in (0, 0, 1))
    np.testing.assert_array_equal(one.items, same.items)
    np.testing.assert_array_equal(one.text, same.text)
    assert not np.allclose(one.items, other.items, atol=1e-3)


def test_arguments_are_not_changed():
    clicks, vectors = drawn()
    given = csr_array(clicks)
    before = given.copy(), vectors.copy()
    PriorALS.of(given, vectors, FACTORS).scores(given)
    np.testing.assert_array_equal(given.toarray(), before[0].toarray())
    np.testing.assert_array_equal(vectors, before[1])


@pytest.mark.parametrize("factors", [1, 3, 40])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (7, 5)])
def test_the_smallest_sizes_have_finite_scores(shape, factors):
    clicks = np.ones(shape, dtype=np.float32)
    vectors = drawn(shape=shape)[1]
    model = learned(clicks, vectors, factors)
    assert model.items.shape == (shape[1], factors)
    assert model.text.shape == (DIM, factors)
    assert {part.dtype for part in (model.items, model.text, model.gram, model.fold_in(csr_array(clicks)))} == {
        np.dtype(np.float32)
    }
    scores = model.scores(csr_array(clicks))
    assert scores.shape == shape
    assert np.isfinite(scores).all()
    expected = best(clicks, model.items.astype(float), np.zeros((shape[0], factors))) @ model.items.T
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_items_with_a_larger_ridge_weigh_more_in_the_text_map():
    vectors, items = np.ones((2, 1), np.float32), np.array([[0.0], [1.0]], np.float32)
    even, uneven = (
        TextMap.of(vectors, np.array(held, np.float32), l2=1e-6).fit(items)[0, 0] for held in ([1, 1], [1, 3])
    )
    assert even == pytest.approx(0.5, abs=1e-4)
    assert uneven == pytest.approx(0.75, abs=1e-4)


def test_a_folded_in_item_has_the_factors_of_the_fit():
    """At convergence the items are what their users and texts say; so is one that is solved for again."""
    clicks, vectors = drawn()
    model = learned(clicks, vectors, sweeps=300)
    users = model.fold_in(csr_array(clicks))
    found = model.fold_in_items(csr_array(clicks[:, :3].T), users, vectors[:3])
    np.testing.assert_allclose(found, model.items[:3], atol=1e-4)


def test_an_item_without_clicks_is_folded_in_near_its_text():
    clicks, vectors = drawn()
    model = learned(clicks, vectors)
    none = csr_array((1, 30), dtype=np.float32)
    found = model.fold_in_items(none, model.fold_in(csr_array(clicks)), vectors[:1])
    held, users = REGULARIZATION * UNOBSERVED * 30, model.user_gram.astype(float)
    expected = np.linalg.solve(UNOBSERVED * users + held * np.eye(FACTORS), held * model.text.T @ vectors[0])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_an_item_is_folded_in_near_the_users_who_clicked_it(planted):
    clicks, vectors, few, _ = planted
    model = learned(clicks[:, ~few], vectors[~few], 8)
    users = model.fold_in(csr_array(clicks[:, ~few]))
    of_first = np.arange(90) % 3 == 0
    given = csr_array(of_first[of_first][None].astype(np.float32))
    found = model.fold_in_items(given, users[of_first], np.zeros((1, 8), np.float32))
    scores = users @ found[0]
    assert np.quantile(scores[of_first], 0.1) > np.quantile(scores[~of_first], 0.9)
