import copy
import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from coldstart import metrics
from coldstart.errors import InvalidInputError

REFERENCE = {
    "recall": ir_measures.R,
    "precision": ir_measures.P,
    "ndcg": ir_measures.nDCG,
    "reciprocal_rank": ir_measures.RR,
    "average_precision": ir_measures.AP,
    "hit_rate": ir_measures.Success,
}
KS = (1, 2, 5, 20)
NAMES = "abcdefghijklmnopqrstuvwxyz"
ADVERSARIAL = {
    "an empty list": ([], {"a"}),
    "nothing relevant": (["a", "b"], set()),
    "an empty list and nothing relevant": ([], set()),
    "one item that is relevant": (["a"], {"a"}),
    "one item that is not": (["b"], {"a"}),
    "a list shorter than k": (["x", "a"], {"a", "b"}),
    "a list longer than k": (list(NAMES), {"z", "v", "e", "a"}),
    "more relevant than k": (list("abcde"), set(NAMES)),
    "everything relevant, nothing shown": ([], set(NAMES)),
    "only hits": (list("abcde"), set("abcde")),
    "a hit only at rank 1": (list(NAMES), {"a"}),
    "a hit only at rank 20": (list(NAMES), {"t"}),
    "a hit only at rank 21": (list(NAMES), {"u"}),
    "names in reverse": (list(NAMES[::-1]), {"y", "w"}),
    "relevant items that are never shown": (list("abc"), {"nope", "neither"}),
}


def random_cases(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    ranked = [list(rng.permutation(list(NAMES))[: rng.integers(0, 27)]) for _ in range(n)]
    relevant = [set(rng.permutation(list(NAMES))[: rng.integers(0, 9)]) for _ in range(n)]
    return ranked, relevant


@pytest.fixture(scope="module")
def cases():
    ranked, relevant = random_cases()
    return ranked + [row for row, _ in ADVERSARIAL.values()], relevant + [items for _, items in ADVERSARIAL.values()]


@pytest.fixture(scope="module")
def expected(cases):
    ranked, relevant = cases
    qrels = {str(user): dict.fromkeys(items, 1) for user, items in enumerate(relevant) if items}
    run = {str(user): {item: -float(rank) for rank, item in enumerate(row)} for user, row in enumerate(ranked) if row}
    measures = {measure @ k: (name, k) for name, measure in REFERENCE.items() for k in KS}
    values = {key: np.full(len(ranked), np.nan) for key in measures.values()}
    for metric in ir_measures.iter_calc(list(measures), qrels, run):
        values[measures[metric.measure]][int(metric.query_id)] = metric.value
    return values


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("name", REFERENCE)
def test_values_are_those_of_trec_eval_and_nan_where_nothing_is_relevant(cases, expected, name, k):
    ranked, relevant = cases
    actual = getattr(metrics, name)(ranked, relevant, k=k)
    assert actual.dtype == np.float64
    assert np.array_equal(np.isnan(actual), [not items for items in relevant])
    assert np.allclose(actual, expected[name, k], rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recall", 2 / 3),
        ("precision", 2 / 4),
        ("hit_rate", 1.0),
        ("ndcg", (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))),
        ("reciprocal_rank", 1 / 2),
        ("average_precision", (1 / 2 + 2 / 4) / 3),
    ],
)
def test_values_of_hits_at_ranks_2_and_4_of_3_relevant_items(name, value):
    assert getattr(metrics, name)([["x", "a", "y", "b", "c"]], [{"a", "b", "c"}], k=4) == pytest.approx([value])


@pytest.mark.parametrize("name", REFERENCE)
def test_the_order_of_the_list_counts_and_not_that_of_the_ids(name):
    metric = getattr(metrics, name)
    for one, other in (("a", "z"), ("z", "a")):
        assert metric([[one, other]], [{one}], k=1).tolist() == [1.0]
        assert metric([[one, other]], [{other}], k=1).tolist() == [0.0]


@pytest.mark.parametrize("name", REFERENCE)
def test_by_default_k_is_20(name):
    row = list(NAMES)
    values = getattr(metrics, name)([row, row], [{row[19]}, {row[20]}])
    assert values[0] > 0
    assert values[1] == 0


@pytest.mark.parametrize("name", REFERENCE)
def test_arrays_of_positions_give_the_values_of_lists_of_ids(name):
    metric = getattr(metrics, name)
    ids, relevant = [["a", "b", "c"], ["c", "a", "d"]], [{"b", "d"}, {"a"}]
    positions = np.array([[0, 1, 2], [2, 0, 3]])
    by_position = [np.array([1, 3]), [np.int64(0)]]
    assert metric(positions, by_position, k=3).tolist() == metric(ids, relevant, k=3).tolist()


@pytest.mark.parametrize("name", REFERENCE)
def test_no_users_have_no_values(name):
    for ranked in ([], np.zeros((0, 3), dtype=np.int64)):
        assert getattr(metrics, name)(ranked, [], k=3).shape == (0,)


@pytest.mark.parametrize("name", REFERENCE)
def test_lists_and_sets_are_not_changed(name):
    ranked, relevant = [["a", "b", "c"], []], [["b", "b"], {"a"}]
    before = copy.deepcopy((ranked, relevant))
    getattr(metrics, name)(ranked, relevant, k=2)
    assert (ranked, relevant) == before


@pytest.mark.parametrize("name", REFERENCE)
def test_every_metric_checks_its_lists(name):
    metric = getattr(metrics, name)
    with pytest.raises(InvalidInputError, match="`ranked` must hold an item once per row; row 0"):
        metric([["a", "a"]], [{"a"}])
    with pytest.raises(InvalidInputError, match="`relevant` must have one entry per row of `ranked`, 1; got 2"):
        metric([["a"]], [{"a"}, {"b"}])
    with pytest.raises(InvalidInputError, match="`k` must be between 1 and"):
        metric([["a"]], [{"a"}], k=0)


@pytest.mark.parametrize("masked", ["no mask", "one mask for all", "a mask per user"])
def test_auc_is_that_of_scikit_learn_with_ties_and_masks(masked):
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 6, (1000, 12)) / 8
    scores[:100] = rng.standard_normal((100, 12))
    relevant = rng.random((1000, 12)) < rng.random((1000, 1))
    shapes = {"one mask for all": (12,), "a mask per user": (1000, 12)}
    candidates = rng.random(shapes[masked]) < 0.7 if masked in shapes else None
    compete = np.broadcast_to(True if candidates is None else candidates, scores.shape)
    scores = np.where(compete, scores, rng.choice([np.nan, np.inf, -np.inf, 9.0, -9.0], scores.shape))
    expected = [
        roc_auc_score(row[mask], values[mask]) if 0 < row[mask].sum() < mask.sum() else np.nan
        for row, values, mask in zip(relevant, scores, compete, strict=True)
    ]
    actual = metrics.auc(scores, relevant, candidates)
    assert np.isfinite(actual).sum() > 500
    assert np.isnan(actual).sum() > 5
    assert np.allclose(actual, expected, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("scores", "relevant", "value"),
    [
        ([3, 2, 1], [1, 0, 0], 1.0),
        ([3, 2, 1], [0, 0, 1], 0.0),
        ([3, 2, 1], [0, 1, 0], 0.5),
        ([5, 5, 5], [0, 1, 0], 0.5),
        ([2, 2, 1], [1, 0, 0], 0.75),
        ([3, 2, 1], [1, 1, 1], np.nan),
        ([3, 2, 1], [0, 0, 0], np.nan),
        ([3], [1], np.nan),
        ([], [], np.nan),
    ],
)
def test_values_of_auc(scores, relevant, value):
    assert np.array_equal(metrics.auc(np.array([scores]), np.array([relevant])), [value], equal_nan=True)


def test_auc_is_nan_when_the_mask_leaves_one_kind_only():
    scores, relevant = np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, False]])
    for mask in ([True, False, False], [False, True, True], [False, False, False]):
        assert np.isnan(metrics.auc(scores, relevant, np.array(mask))).tolist() == [True]


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_auc_is_1_minus_itself_for_negated_scores_and_the_same_for_monotone_ones(seed, levels):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(0, levels, (4, 6)).astype(float), rng.random((4, 6)) < 0.5
    auc = metrics.auc(scores, relevant)
    assert np.allclose(metrics.auc(-scores, relevant), 1 - auc, equal_nan=True)
    assert np.array_equal(metrics.auc(np.exp(scores) * 1e6, relevant), auc, equal_nan=True)


def test_auc_of_no_users_has_no_values():
    assert metrics.auc(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool)).shape == (0,)


def test_auc_does_not_change_its_arrays():
    scores, relevant, mask = (
        np.array([[1.0, np.nan, 3.0]]),
        np.array([[True, False, False]]),
        np.array([True, False, True]),
    )
    before = [array.copy() for array in (scores, relevant, mask)]
    metrics.auc(scores, relevant, mask)
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype == float) for a, b in zip((scores, relevant, mask), before, strict=True)
    )


@pytest.mark.parametrize(
    ("scores", "relevant"), [((3,), (3,)), ((2, 3), (3, 2)), ((2, 3), (3,)), ((1, 2, 3), (1, 2, 3))]
)
def test_auc_takes_scores_and_relevance_of_one_shape(scores, relevant):
    with pytest.raises(InvalidInputError, match=r"`scores` and `relevant` must have one shape \(m, n\); got \("):
        metrics.auc(np.zeros(scores), np.zeros(relevant))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_candidate_whose_score_is_not_finite_is_refused(value):
    scores, relevant = np.array([[1.0, value]]), np.array([[True, False]])
    with pytest.raises(InvalidInputError, match="`scores` must be finite for every candidate; got NaN or infinity"):
        metrics.auc(scores, relevant)


def test_a_mask_may_be_of_0_and_1():
    scores, relevant = np.array([[0.1, 0.9, 0.5]] * 2), np.array([[1, 0, 0]] * 2)
    assert metrics.auc(scores, relevant, np.array([1, 0, 1])).tolist() == [0.0, 0.0]
    assert metrics.auc(scores, np.array([[0, 0, 1]] * 2), np.array([1, 0, 1])).tolist() == [1.0, 1.0]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InvalidInputError, match="`candidates` must"):
        metrics.auc(np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, False]]), np.array([True, False]))
