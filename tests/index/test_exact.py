from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.index import exact, quantization
from coldstart.index.exact import ExactIndex
from coldstart.packing import pack, unpack
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


def test_an_index_of_one_vector():
    assert ExactIndex().build([[2.0]]).search([[3.0]], 1).scores.tolist() == [[6.0]]


def test_building_again_replaces_the_vectors():
    index = ExactIndex().build(EYE)
    assert index.build(EYE[:2]).search(EYE[:1], 2).positions.tolist() == [[0, 1]]


def test_arguments_are_not_changed():
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


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InvalidInputError, match="`dtype` of ExactIndex must be one of auto, float32, int8; got 'int4'"):
        ExactIndex("int4").build(EYE)


def test_the_vectors_are_not_copied_and_may_be_a_read_only_memory_map(tmp_path):
    given = np.random.default_rng(0).standard_normal((800, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", given)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    index = ExactIndex("int8").build(mapped)
    assert np.shares_memory(index.vectors_, mapped)
    assert np.array_equal(
        index.search(given[:9], 3).positions, ExactIndex("float32").build(given).search(given[:9], 3).positions
    )


def test_auto_keeps_codes_of_many_vectors_only():
    vectors = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    assert ExactIndex().build(vectors).chunks_ == ()
    with mock.patch.object(exact, "MIN_ROWS", 700):
        assert len(ExactIndex().build(vectors).chunks_) == 1


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_an_extended_index_equals_one_built_of_all_vectors_and_leaves_the_old_one(dtype):
    vectors = np.random.default_rng(0).standard_normal((2000, 8)).astype(np.float32)
    vectors[1900] *= 3
    old = index = ExactIndex(dtype).build(vectors[:1500])
    before = old.search(vectors[:4], 3)
    for first, stop in ((1500, 1501), (1501, 1502), (1502, 1700), (1700, 2000)):
        index = index.extended(vectors[first:stop])
    actual, built = index.search(vectors, 3), ExactIndex(dtype).build(vectors).search(vectors, 3)
    assert np.array_equal(actual.positions, built.positions)
    assert np.array_equal(actual.scores, built.scores)
    again = old.search(vectors[:4], 3)
    assert np.array_equal(before.positions, again.positions)
    assert len(old.vectors_) == 1500


def test_an_extension_that_is_wider_or_not_finite_is_refused():
    index = ExactIndex().build(EYE)
    with pytest.raises(InvalidInputError, match="`vectors` must have 4 columns; got 5"):
        index.extended(np.zeros((1, 5)))
    with pytest.raises(InvalidInputError, match="`vectors` must be finite"):
        index.extended(EYE[:1] * np.nan)
    with pytest.raises(NotFittedError, match="call ExactIndex.build first"):
        ExactIndex().extended(EYE)


def test_codes_are_saved_without_the_vectors_and_restored_without_encoding():
    vectors = np.random.default_rng(0).standard_normal((900, 8)).astype(np.float32)
    built = ExactIndex("int8").build(vectors)
    tensors = {}
    packed = pack(built, tensors, "index")
    assert not any(tensor.dtype == np.float32 and tensor.size >= vectors.size for tensor in tensors.values())
    for tensor in tensors.values():
        tensor.setflags(write=False)  # as a memory map
    empty = unpack(packed, tensors, {"ExactIndex": ExactIndex})
    with mock.patch.object(quantization, "encode", side_effect=AssertionError("not needed")):
        index = empty.restored(vectors)
    assert np.array_equal(index.search(vectors, 2).positions, built.search(vectors, 2).positions)


def test_codes_of_other_vectors_are_refused():
    vectors = np.random.default_rng(0).standard_normal((900, 8)).astype(np.float32)
    built = ExactIndex("int8").build(vectors)
    with pytest.raises(InvalidInputError, match="must be those that the codes were made of; got others"):
        ExactIndex("int8").set_state(built.get_state()).restored(-vectors)


def test_an_index_without_codes_saves_the_norm_of_its_vectors_and_computes_nothing_on_load():
    index = ExactIndex("float32").build(EYE)
    assert index.get_state() == {"longest_": pytest.approx(1.0), "chunks_": []}
    empty = ExactIndex("float32").set_state(index.get_state())
    with mock.patch.object(exact, "max_norm", side_effect=AssertionError("not needed")):
        assert empty.restored(EYE).search(EYE, 1).positions.tolist() == [[0], [1], [2], [3]]


def test_an_index_without_state_is_restored_by_building():
    assert ExactIndex("float32").restored(EYE).search(EYE, 1).positions.tolist() == [[0], [1], [2], [3]]


def test_saved_codes_are_not_used_where_they_cannot_be_multiplied_exactly():
    vectors = np.random.default_rng(0).standard_normal((900, 8)).astype(np.float32)
    built = ExactIndex("int8").build(vectors)
    actual = built.search(vectors[:5], 3)
    with mock.patch.object(exact, "is_exact", return_value=False):
        restored = ExactIndex("int8").set_state(built.get_state()).restored(vectors)
        with mock.patch.object(exact, "Int8Search", side_effect=AssertionError("not here")):
            again = restored.search(vectors[:5], 3)
    assert np.array_equal(again.positions, actual.positions)
    assert np.array_equal(again.scores, actual.scores)
