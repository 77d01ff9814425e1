import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._rows import Rows
from coldstart.index.quantization import BLOCK, Codes, are_codes_of, encode, encode_appended, from_arrays, to_arrays


def vectors_of(n, dim=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def decoded(chunk, n, dim):
    """The approximate vectors, and the bound on the error of each."""
    rows, errors = np.zeros((n, dim)), np.zeros(n)
    real = chunk.order >= 0
    blocks = np.arange(len(chunk.order)) // BLOCK
    rows[chunk.order[real]] = (chunk.scales[blocks, None].astype(np.float64) * chunk.codes)[real]
    errors[chunk.order[real]] = chunk.errors[blocks][real]
    return rows, errors


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 9))
def test_no_row_is_further_from_its_code_than_the_error_bound(seed, n, dim):
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-44, 37, (n, 1)) * rng.integers(0, 2, (n, 1))
    vectors = (rng.standard_normal((n, dim)) * sizes).astype(np.float32)
    rows, errors = decoded(encode(Rows.of(vectors), 0, n), n, dim)
    assert (np.linalg.norm(vectors.astype(np.float64) - rows, axis=1) <= errors).all()


def test_no_code_has_a_norm_above_the_reach():
    chunk = encode(Rows.of(vectors_of(2000)), 0, 2000)
    blocks = np.arange(len(chunk.order)) // BLOCK
    lengths = np.linalg.norm(chunk.scales[blocks, None].astype(np.float64) * chunk.codes, axis=1)
    assert (lengths <= chunk.reach[blocks]).all()


def test_codes_take_little_more_than_a_byte_per_number():
    assert encode(Rows.of(vectors_of(4096, 384)), 0, 4096).nbytes < 1.02 * 4096 * 384


def test_within_returns_where_the_positions_of_a_chunk_are():
    chunk = encode(Rows.of(vectors_of(700)), 100, 700)
    assert np.array_equal(chunk.order[chunk.within(np.array([100, 350, 699]))], [100, 350, 699])
    assert len(chunk.within(np.array([0, 99]))) == 0


def test_appended_rows_share_the_large_chunks_and_every_row_is_in_one():
    vectors = vectors_of(6000)
    chunks = (encode(Rows.of(vectors), 0, 4000),)
    for n in (4001, 4002, 4300, 5000, 6000):
        before, chunks = chunks, encode_appended(chunks, Rows.of(vectors[:n]))
        assert chunks[0] is before[0]
        assert sorted(at for chunk in chunks for at in chunk.order if at >= 0) == list(range(n))


def test_a_row_is_encoded_a_few_times_when_rows_are_appended_in_small_steps():
    vectors, work, chunks = vectors_of(8192, 2), 0, ()
    for n in range(64, 8193, 64):
        before, chunks = chunks, encode_appended(chunks, Rows.of(vectors[:n]))
        work += sum(chunk.rows for chunk in chunks if not any(chunk is old for old in before))
    assert work < 8192 * 10
    assert len(chunks) < 10


def test_no_appended_rows_leave_the_chunks_as_they_are():
    chunks = (encode(Rows.of(vectors_of(5)), 0, 5),)
    assert encode_appended(chunks, Rows.of(vectors_of(5))) == chunks


def test_codes_come_back_from_their_arrays():
    vectors = vectors_of(600)
    (chunk,) = from_arrays(to_arrays((encode(Rows.of(vectors), 0, 600),)))
    assert isinstance(chunk, Codes)
    assert are_codes_of(Rows.of(vectors), (chunk,))


@pytest.mark.parametrize("other", [vectors_of(600, seed=1), vectors_of(599), vectors_of(601), vectors_of(600, 7)])
def test_codes_of_other_vectors_are_detected(other):
    assert not are_codes_of(Rows.of(other), (encode(Rows.of(vectors_of(600)), 0, 600),))
