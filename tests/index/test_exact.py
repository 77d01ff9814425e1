import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.index.exact import ExactIndex
from coldstart.testing import check_index

EYE = np.eye(4, dtype=np.float32)


def test_the_contract_of_an_index_holds():
    check_index(ExactIndex())


def test_each_axis_finds_itself_first_and_then_the_others_in_order():
    positions, scores = ExactIndex().build(EYE).search(EYE, 4)
    assert positions.tolist() == [[0, 1, 2, 3], [1, 0, 2, 3], [2, 0, 1, 3], [3, 0, 1, 2]]
    assert scores.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 4
    assert scores.dtype == np.float32


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 5), st.integers(1, 30))
def test_a_search_equals_a_plain_sort_of_all_dot_products(seed, n, m, k):
    rng = np.random.default_rng(seed)
    vectors, queries = (rng.integers(-2, 3, (rows, 3)).astype(np.float32) for rows in (n, m))
    k = min(k, n)
    allow = rng.random(n) < 0.7
    exclude = [rng.permutation(n)[: n // 3] for _ in range(m)]
    positions, scores = ExactIndex().build(vectors).search(queries, k, allow, exclude)
    for row, dots in enumerate(queries @ vectors.T):
        possible = [at for at in range(n) if allow[at] and at not in exclude[row]]
        expected = sorted(possible, key=lambda at: (-dots[at], at))[:k]
        assert list(positions[row]) == expected
        assert list(scores[row]) == list(dots[expected])


def test_allow_as_a_mask_and_as_unsorted_positions_is_the_same():
    index = ExactIndex().build(EYE)
    masked = index.search(EYE, 2, allow=np.array([False, True, False, True]))
    listed = index.search(EYE, 2, allow=[3, 1, 3])
    assert masked.positions.tolist() == listed.positions.tolist() == [[1, 3], [1, 3], [1, 3], [3, 1]]


def test_exclusions_are_per_query():
    positions, _ = ExactIndex().build(EYE).search(EYE[:2], 1, exclude=[[0], [0]])
    assert positions.tolist() == [[1], [1]]


def test_one_vector_is_found():
    assert ExactIndex().build([[2.0]]).search([[3.0]], 1).scores.tolist() == [[6.0]]


def test_building_again_forgets_the_old_vectors():
    index = ExactIndex().build(EYE)
    assert index.build(EYE[:2]).search(EYE[:1], 2).positions.tolist() == [[0, 1]]


def test_the_callers_arrays_are_left_as_they_were():
    vectors, queries, exclude = EYE.copy(), EYE.copy(), [np.array([0])] * 4
    ExactIndex().build(vectors).search(queries, 2, np.array([3, 0]), exclude)
    assert np.array_equal(vectors, EYE)
    assert np.array_equal(queries, EYE)
    assert exclude[0].tolist() == [0]


def test_a_search_before_build_says_what_to_call():
    with pytest.raises(NotFittedError, match="ExactIndex must be fitted before .*; call ExactIndex.build first"):
        ExactIndex().search(EYE, 1)


def test_no_vectors_are_refused():
    with pytest.raises(InvalidInputError, match="`vectors` must have at least 1 row; got 0"):
        ExactIndex().build(EYE[:0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_and_queries_must_be_finite(bad):
    with pytest.raises(InvalidInputError, match="`vectors` must be finite; got NaN or infinity in 1 of 2 rows"):
        ExactIndex().build([[1.0], [bad]])
    with pytest.raises(InvalidInputError, match="`queries` must be finite"):
        ExactIndex().build(EYE).search([[bad] * 4], 1)


def test_one_query_without_its_batch_is_refused():
    with pytest.raises(InvalidInputError, match=r"`queries` must have shape \(n, dim\); got shape \(4,\)"):
        ExactIndex().build(EYE).search(EYE[0], 1)


def test_queries_of_another_width_are_refused():
    with pytest.raises(InvalidInputError, match="`queries` must have 4 columns; got 3"):
        ExactIndex().build(EYE).search(EYE[:, :3], 1)


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidInputError, match=f"`k` must be between 1 and 4; got {k}"):
        ExactIndex().build(EYE).search(EYE, k)


def test_filters_out_of_range_are_refused():
    index = ExactIndex().build(EYE)
    with pytest.raises(InvalidInputError, match="`allow` must hold positions from 0 to 3; got 4 to 4"):
        index.search(EYE, 1, allow=[4])
    with pytest.raises(InvalidInputError, match="`exclude` must hold positions from 0 to 3; got -1 to -1"):
        index.search(EYE[:1], 1, exclude=[[-1]])
    with pytest.raises(InvalidInputError, match=r"`allow` as a mask must have shape \(4,\); got \(3,\)"):
        index.search(EYE, 1, allow=[True] * 3)
    with pytest.raises(InvalidInputError, match="`exclude` must have one entry per query, 4; got 1"):
        index.search(EYE, 1, exclude=[[0]])
