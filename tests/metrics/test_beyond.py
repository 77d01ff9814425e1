import copy
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart import metrics
from coldstart.errors import InvalidInputError

several = settings(deadline=None, max_examples=100)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def lists(draw):
    n_items = draw(st.integers(1, 25))
    row = st.lists(st.integers(0, n_items - 1), unique=True, max_size=8)
    return draw(st.lists(row, max_size=6)), n_items, draw(st.integers(1, 9))


def exposure(ranked, n_items, k):
    shown = Counter(item for row in ranked for item in row[:k])
    return [shown[item] for item in range(n_items)]


def same(actual, expected, atol=1e-9):
    return np.allclose(actual, np.array(expected, dtype=float), rtol=0, atol=atol, equal_nan=True)


def mean(values):
    return sum(values) / len(values) if values else math.nan


@several
@given(lists())
def test_coverage_is_the_share_of_items_in_any_list(case):
    ranked, n_items, k = case
    expected = sum(count > 0 for count in exposure(*case)) / n_items
    assert metrics.coverage(ranked, n_items, k) == pytest.approx(expected, abs=1e-12)


@several
@given(lists())
def test_coverage_never_falls_as_k_grows(case):
    ranked, n_items, _ = case
    covered = [metrics.coverage(ranked, n_items, k) for k in range(1, 10)]
    assert covered == sorted(covered)
    assert 0 <= covered[0] <= covered[-1] <= 1


@several
@given(lists())
def test_gini_is_half_the_relative_mean_difference_of_exposure(case):
    shown, n = exposure(*case), case[1]
    apart = sum(abs(one - other) for one in shown for other in shown)
    expected = apart / (2 * n * sum(shown)) if sum(shown) else math.nan
    actual = metrics.gini(*case)
    assert actual == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert math.isnan(actual) or -1e-12 <= actual < 1


@pytest.mark.parametrize(
    ("ranked", "n_items", "value"),
    [
        ([[0, 1], [2, 3]], 4, 0.0),
        ([[0, 1, 2], [2, 0, 1]], 3, 0.0),
        ([[0]] * 7, 10, 0.9),
        ([[0], [1]], 4, 0.5),
        ([[0]], 1, 0.0),
        ([], 3, math.nan),
        ([[], []], 3, math.nan),
    ],
)
def test_gini_is_0_for_uniform_exposure_and_near_1_when_one_item_takes_it_all(ranked, n_items, value):
    assert metrics.gini(ranked, n_items, k=3) == pytest.approx(value, nan_ok=True)


@several
@given(lists(), seeds)
def test_cold_exposure_is_the_share_of_cold_items_in_each_list(case, seed):
    ranked, n_items, k = case
    cold = np.random.default_rng(seed).random(n_items) < 0.5
    assert same(metrics.cold_exposure(ranked, cold, k), [mean([float(cold[i]) for i in row[:k]]) for row in ranked])


def test_a_list_shorter_than_k_is_not_filled_up_with_warm_items():
    assert metrics.cold_exposure([[0], [0, 1]], np.array([True, False]), k=2).tolist() == [1.0, 0.5]


@several
@given(lists(), seeds)
def test_novelty_is_the_mean_self_information_in_bits(case, seed):
    ranked, n_items, k = case
    counts = np.random.default_rng(seed).integers(0, 20, n_items)
    bits = [[-math.log2(max(int(counts[i]), 1) / 20) for i in row[:k]] for row in ranked]
    assert same(metrics.novelty(ranked, counts, 20, k), [mean(row) for row in bits])


def test_novelty_is_0_for_items_of_everyone_and_that_of_one_click_for_unclicked_items():
    counts = np.array([16, 1, 0, 4])
    assert metrics.novelty([[0], [1], [2], [0, 3], []], counts, n_users=16, k=2)[:4].tolist() == [0.0, 4.0, 4.0, 1.0]


@several
@given(lists(), seeds)
def test_diversity_is_the_mean_of_1_minus_cosine_over_pairs(case, seed):
    ranked, n_items, k = case
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_items, 3)) * rng.integers(0, 3, (n_items, 1))

    def cosine(one, other):
        lengths = np.linalg.norm(vectors[one]) * np.linalg.norm(vectors[other])
        return vectors[one] @ vectors[other] / lengths if lengths else 0.0

    expected = []
    for row in ranked:
        shown = row[:k]
        pairs = [(shown[a], shown[b]) for a in range(len(shown)) for b in range(a)]
        expected.append(mean([1 - cosine(*pair) for pair in pairs]))
    actual = metrics.intra_list_diversity(ranked, vectors, k)
    assert actual.dtype == np.float64
    assert same(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("row", "value"),
    [([0, 1], 0.0), ([0, 2], 1.0), ([0, 3], 2.0), ([0, 2, 3], 4 / 3), ([0, 4], 1.0), ([0], math.nan), ([], math.nan)],
)
def test_values_of_diversity(row, value):
    vectors = np.array([[1, 0], [5, 0], [0, 2], [-3, 0], [0, 0]])
    assert metrics.intra_list_diversity([row], vectors, k=3).tolist() == pytest.approx([value], abs=1e-6, nan_ok=True)


def test_diversity_of_equal_items_is_not_below_0():
    twins = np.tile(np.random.default_rng(0).standard_normal((200, 1, 16)), (3, 1)).reshape(600, 16)
    assert metrics.intra_list_diversity(np.arange(600).reshape(200, 3), twins, k=3).min() >= 0


def test_diversity_is_of_the_first_k():
    assert metrics.intra_list_diversity([[0, 1, 2]], np.array([[1, 0], [1, 0], [0, 1]]), k=2).tolist() == [0.0]


@several
@given(lists(), seeds)
def test_deciles_are_cut_by_popularity_with_ties_by_position(case, seed):
    ranked, n_items, k = case
    counts = np.random.default_rng(seed).integers(0, 4, n_items)
    by_popularity = sorted(range(n_items), key=lambda item: (-counts[item], item))
    shown, expected = exposure(*case), np.zeros(10)
    for place, item in enumerate(by_popularity):
        expected[place * 10 // n_items] += shown[item]
    actual = metrics.popularity_by_decile(ranked, counts, k)
    if not sum(shown):
        assert np.isnan(actual).tolist() == [True] * 10
    else:
        assert actual.sum() == pytest.approx(1.0)
        assert same(actual, expected / sum(shown))


def test_a_popularity_list_is_all_in_the_first_decile():
    counts = np.random.default_rng(0).permutation(40)
    popular = np.argsort(-counts)[:4]
    assert metrics.popularity_by_decile([popular] * 3, counts, k=4).tolist() == [1.0] + [0.0] * 9


def test_lists_without_popularity_bias_have_a_tenth_everywhere():
    everything = np.arange(30).reshape(6, 5)
    assert metrics.popularity_by_decile(everything, np.arange(30), k=5) == pytest.approx([0.1] * 10)


@several
@given(lists(), seeds)
def test_serendipity_is_the_share_of_unexpected_hits(case, seed):
    ranked, n_items, k = case
    rng = np.random.default_rng(seed)
    relevant = [set(rng.permutation(n_items)[: rng.integers(0, 6)].tolist()) for _ in ranked]
    expected = [rng.permutation(n_items)[: rng.integers(0, 12)].tolist() for _ in ranked]
    values = [
        sum(item in items and item not in usual[:k] for item in row[:k]) / k if items else math.nan
        for row, items, usual in zip(ranked, relevant, expected, strict=True)
    ]
    assert same(metrics.serendipity(ranked, relevant, expected, k), values)


def test_serendipity_is_0_for_the_expected_list_and_precision_where_nothing_is_expected():
    ranked, relevant = [["a", "b", "c"]], [{"a", "c"}]
    assert metrics.serendipity(ranked, relevant, [["c", "b", "a"]], k=3).tolist() == [0.0]
    assert (
        metrics.serendipity(ranked, relevant, [[]], k=3).tolist() == metrics.precision(ranked, relevant, k=3).tolist()
    )


def test_only_the_first_k_of_the_expected_list_count():
    assert metrics.serendipity([["a"]], [{"a"}], [["x", "a"]], k=1).tolist() == [1.0]


@pytest.mark.parametrize("expected", [[], [["a"]] * 3], ids=len)
def test_there_must_be_one_expected_list_per_list(expected):
    message = f"`expected` must have one row per row of `ranked`, 2; got {len(expected)}"
    with pytest.raises(InvalidInputError, match=message):
        metrics.serendipity([["a"], ["b"]], [{"a"}, {"b"}], expected)
    with pytest.raises(InvalidInputError, match="`relevant` must have one entry per row of `ranked`, 2; got 1"):
        metrics.serendipity([["a"], ["b"]], [{"a"}], [["a"]] * 2)


ON_POSITIONS = {
    "coverage": lambda ranked, **k: metrics.coverage(ranked, 25, **k),
    "gini": lambda ranked, **k: metrics.gini(ranked, 25, **k),
    "cold_exposure": lambda ranked, **k: metrics.cold_exposure(ranked, np.ones(25, dtype=bool), **k),
    "novelty": lambda ranked, **k: metrics.novelty(ranked, np.ones(25), 2, **k),
    "intra_list_diversity": lambda ranked, **k: metrics.intra_list_diversity(ranked, np.eye(25), **k),
    "popularity_by_decile": lambda ranked, **k: metrics.popularity_by_decile(ranked, np.ones(25), **k),
}
on_positions = pytest.mark.parametrize("metric", ON_POSITIONS.values(), ids=ON_POSITIONS)


@on_positions
def test_positions_must_be_in_the_catalogue_and_once_per_row(metric):
    with pytest.raises(InvalidInputError, match="`ranked` must hold positions from 0 to 24; got 1 to 25"):
        metric([[1, 25]])
    with pytest.raises(InvalidInputError, match=r"`ranked` must hold an item once per row; row 1 is \[2, 2\]"):
        metric([[1], [2, 2]])
    with pytest.raises(InvalidInputError, match="`k` must be between 1 and"):
        metric([[1]], k=0)


@on_positions
def test_arrays_give_the_values_of_lists_and_are_not_changed(metric):
    rows = [[0, 1, 2], [2, 3, 0]]
    array, before = np.array(rows), copy.deepcopy(rows)
    assert np.array_equal(metric(array, k=2), metric(rows, k=2))
    assert rows == before
    assert array.tolist() == before


@on_positions
def test_by_default_k_is_20(metric):
    assert metric([[*range(20), 99]]) is not None
    with pytest.raises(InvalidInputError, match="positions from 0 to 24; got 0 to 99"):
        metric([[*range(19), 99]])


def test_by_default_k_of_serendipity_is_20_for_both_lists():
    ranked, expected = [list(range(21))] * 3, [list(range(30, 51))] * 3
    assert metrics.serendipity(ranked, [{19}, {20}, set()], expected)[:2].tolist() == [1 / 20, 0.0]
    assert metrics.serendipity(ranked[:2], [{0}, {0}], [[*range(30, 49), 0], [*range(30, 50), 0]]).tolist() == [
        0.0,
        1 / 20,
    ]


@pytest.mark.parametrize("name", ["cold_exposure", "novelty", "intra_list_diversity"])
def test_no_users_have_no_values(name):
    assert ON_POSITIONS[name]([]).shape == (0,)


@pytest.mark.parametrize("name", ["cold_exposure", "novelty", "intra_list_diversity"])
def test_a_user_with_an_empty_list_has_no_value(name):
    assert np.isnan(ON_POSITIONS[name]([[], [0, 1]])).tolist() == [True, False]


@pytest.mark.parametrize("metric", [metrics.coverage, metrics.gini])
@pytest.mark.parametrize("n_items", [0, -1, 10**12 + 1])
def test_a_catalogue_has_at_least_one_item(metric, n_items):
    with pytest.raises(InvalidInputError, match="`n_items` must be between 1 and 1e\\+12; got"):
        metric([], n_items)


def test_there_is_at_least_one_user():
    with pytest.raises(InvalidInputError, match="`n_users` must be between 1 and 1e\\+12; got 0"):
        metrics.novelty([[0]], np.ones(1), n_users=0)


def test_vectors_must_be_finite_rows():
    with pytest.raises(InvalidInputError, match="`vectors` must be finite"):
        metrics.intra_list_diversity([[0]], np.array([[np.nan]]))
