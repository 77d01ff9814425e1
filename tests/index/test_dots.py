import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._rows import Rows
from coldstart.index.dots import best_per_query, dots, kth_largest, pair_dots


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 33))
def test_a_dot_product_is_the_exact_sum_rounded_once(seed, dim):
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((2, 5, dim)).astype(np.float32)
    exact = [
        math.fsum(float(a) * float(b) for a, b in zip(*rows, strict=True)) for rows in zip(left, right, strict=True)
    ]
    assert np.allclose(dots(left, right), np.array(exact, dtype=np.float32), rtol=2.0**-23, atol=1e-12)


def test_equal_rows_have_equal_scores_at_any_position():
    rng = np.random.default_rng(0)
    row, query = rng.standard_normal((2, 1, 384)).astype(np.float32)
    vectors = np.repeat(row, 5000, axis=0)
    scores = pair_dots(Rows.of(vectors), query, np.arange(5000), np.zeros(5000, dtype=np.int64))
    assert set(scores.tolist()) == set(dots(row, query).tolist())


def test_no_pairs_have_no_scores():
    none = np.zeros(0, dtype=np.int64)
    assert len(pair_dots(Rows.of(np.ones((2, 3), np.float32)), np.ones((1, 3), np.float32), none, none)) == 0


def test_the_best_per_query_each_owner_are_in_order_of_score_then_position():
    owner, positions = np.array([1, 0, 1, 1]), np.array([7, 3, 2, 5])
    rows = best_per_query(owner, positions, np.array([1.0, 0.0, 1.0, 2.0], dtype=np.float32), 3, 2)
    assert [actual.tolist() for actual, _ in rows] == [[3], [5, 2], []]


def test_the_kth_score_of_a_query_with_fewer_is_minus_infinity():
    scores = np.array([1.0, 3.0, 2.0, 9.0], dtype=np.float32)
    assert kth_largest(np.array([0, 0, 0, 1]), scores, 2, 2).tolist() == [2.0, -np.inf]
