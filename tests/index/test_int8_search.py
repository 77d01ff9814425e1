"""With codes, positions, order and scores are those of a plain sort by ``dots``."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._rows import Rows
from coldstart.index import exact, int8_search
from coldstart.index.dots import dots
from coldstart.index.exact import ExactIndex
from coldstart.index.int8_search import Int8Search, is_exact

pytestmark = pytest.mark.skipif(not is_exact(8), reason="torch does not multiply int8 matrices exactly here")


def plainly_sorted(vectors, queries, k, allow=None, exclude=None):
    """The definition: best score first, equal scores by position."""
    rows = []
    for at, query in enumerate(queries):
        scores = dots(vectors, np.repeat(query[None], len(vectors), axis=0))
        possible = np.arange(len(vectors)) if allow is None else np.flatnonzero(allow)
        if exclude is not None:
            possible = np.setdiff1d(possible, exclude[at])
        order = possible[np.lexsort((possible, -scores[possible]))][:k]
        rows.append((order, scores[order]))
    return rows


def assert_same(hits, expected):
    for positions, scores, (right, right_scores) in zip(*hits, expected, strict=True):
        assert positions.tolist() == right.tolist()
        assert scores.tolist() == right_scores.tolist()


def near_ties(rng, n, dim):
    base = rng.standard_normal((3, dim)).astype(np.float32)[rng.integers(0, 3, n)]
    return np.nextafter(base, np.where(rng.random((n, dim)) < 0.5, np.inf, base).astype(np.float32))


def duplicates(rng, n, dim):
    return rng.standard_normal((4, dim)).astype(np.float32)[rng.integers(0, 4, n)]


def all_sizes(rng, n, dim):
    sizes = 10.0 ** rng.uniform(-44, 38, (n, 1))
    return (rng.standard_normal((n, dim)) * sizes).clip(-3e38, 3e38).astype(np.float32)


def mostly_zero(rng, n, dim):
    return (rng.standard_normal((n, dim)) * (rng.random((n, 1)) < 0.2)).astype(np.float32)


def ordinary(rng, n, dim):
    return rng.standard_normal((n, dim)).astype(np.float32)


def whole(rng, n, dim):
    return rng.integers(-2, 3, (n, dim)).astype(np.float32)


KINDS = (near_ties, duplicates, all_sizes, mostly_zero, ordinary, whole)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_search_equals_a_plain_sort(kind, dtype, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, dim, m = data.draw(st.integers(1, 1500)), data.draw(st.integers(1, 20)), data.draw(st.integers(0, 4))
    vectors, queries = kind(rng, n, dim), kind(rng, m, dim)
    k = data.draw(st.sampled_from([1, min(10, n), max(1, n // 16), n]))
    allow = None if data.draw(st.booleans()) else rng.random(n) < data.draw(st.sampled_from([0.02, 0.5, 0.9]))
    exclude = None if data.draw(st.booleans()) else [rng.permutation(n)[: n // 3] for _ in range(m)]
    limit = data.draw(st.sampled_from([5, exact.MAX_CANDIDATES]))
    with (
        mock.patch.object(exact, "MAX_CANDIDATES", limit),
        mock.patch.object(int8_search, "CELLS", data.draw(st.sampled_from([1, 1 << 21]))),
    ):
        hits = ExactIndex(dtype).build(vectors).search(queries, k, allow, exclude)
    assert_same(hits, plainly_sorted(vectors, queries, k, allow, exclude))


def test_codes_leave_few_candidates_and_need_no_other_search():
    rng = np.random.default_rng(0)
    vectors, queries = ordinary(rng, 20_000, 64), ordinary(rng, 5, 64)
    index = ExactIndex("int8").build(vectors)
    with mock.patch.object(exact, "float_search", side_effect=AssertionError("not needed")):
        assert_same(index.search(queries, 10), plainly_sorted(vectors, queries, 10))
    search = Int8Search(Rows.of(vectors), queries, 10, exact.MAX_CANDIDATES)
    search.run(index.chunks_, None, None)
    assert not search.given_up.any()
    assert len(search.candidates.owner) < 5 * 100


def test_the_next_best_are_found_when_the_best_thousand_are_excluded():
    rng = np.random.default_rng(0)
    vectors, queries = ordinary(rng, 5000, 16), ordinary(rng, 2, 16)
    exclude = [np.argsort(-(vectors @ query))[:1000] for query in queries]
    hits = ExactIndex("int8").build(vectors).search(queries, 10, exclude=exclude)
    assert_same(hits, plainly_sorted(vectors, queries, 10, exclude=exclude))


def test_a_query_of_zeros_and_one_of_many_ties_are_searched_without_codes():
    vectors = np.ones((6000, 8), dtype=np.float32)
    queries = np.stack([np.zeros(8), np.ones(8)]).astype(np.float32)
    hits = ExactIndex("int8").build(vectors).search(queries, 3)
    assert hits.positions.tolist() == [[0, 1, 2]] * 2


def test_more_queries_than_a_batch_keep_their_order():
    rng = np.random.default_rng(0)
    vectors, queries = ordinary(rng, 600, 8), ordinary(rng, exact.BATCH + 5, 8)
    index = ExactIndex("int8").build(vectors)
    together = index.search(queries, 3)
    assert np.array_equal(together.positions[-5:], index.search(queries[-5:], 3).positions)


def test_one_query_scores_as_it_does_in_a_batch():
    rng = np.random.default_rng(0)
    vectors, queries = ordinary(rng, 3000, 96), ordinary(rng, 40, 96)
    for dtype in ("int8", "float32"):
        index = ExactIndex(dtype).build(vectors)
        together = index.search(queries, 5)
        alone = [index.search(queries[[row]], 5) for row in range(40)]
        assert np.array_equal(together.scores, np.concatenate([hits.scores for hits in alone]))


def test_a_machine_whose_products_saturate_keeps_no_codes():
    with mock.patch.object(exact, "is_exact", return_value=False):
        index = ExactIndex("int8").build(np.eye(4, dtype=np.float32))
    assert index.chunks_ == ()
    assert index.search(np.eye(4, dtype=np.float32), 1).positions.tolist() == [[0], [1], [2], [3]]


def test_the_probe_notices_wrong_products():
    import torch

    is_exact.cache_clear()
    with mock.patch.object(torch, "_int_mm", lambda a, b: (a.int() @ b.int()).clamp(-(2**15), 2**15)):
        assert not is_exact(8)
    with mock.patch.object(torch, "_int_mm", side_effect=RuntimeError("no such kernel")):
        assert not is_exact(9)
    is_exact.cache_clear()
    assert is_exact(8)
