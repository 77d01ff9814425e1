import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart._linalg import inverse_of, symmetric_inverse


def drawn(size, seed=0):
    """A symmetric matrix whose eigenvalues are 1 or more."""
    half = np.random.default_rng(seed).standard_normal((size, max(1, size // 2))) / np.sqrt(size)
    return (half @ half.T + np.eye(size)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 3, 1023, 1024, 1500])
def test_the_inverse_is_that_of_numpy_and_exactly_symmetric(size):
    gram = drawn(size)
    expected = np.linalg.inv(gram.astype(np.float64))
    actual = inverse_of(gram.copy())
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=2e-6)
    np.testing.assert_array_equal(actual, actual.T)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_the_matrix_times_its_inverse_is_the_identity(seed, size):
    gram = drawn(size, seed)
    np.testing.assert_allclose(gram @ inverse_of(gram.copy()), np.eye(size), atol=1e-4)


def test_a_matrix_in_column_order_is_inverted_too():
    gram = drawn(5)
    np.testing.assert_allclose(inverse_of(np.asfortranarray(gram)), np.linalg.inv(gram), atol=1e-5)


@pytest.mark.parametrize(
    "gram",
    [[[0.0]], [[-1.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]],
    ids=["zero", "negative", "indefinite", "singular"],
)
def test_a_matrix_that_is_not_positive_definite_is_refused(gram):
    with pytest.raises(np.linalg.LinAlgError, match="is not positive definite; use a larger ridge"):
        inverse_of(np.array(gram, dtype=np.float32))


@pytest.mark.parametrize("size", [1, 5, 1030])
def test_the_inverse_from_a_cholesky_factor_does_not_read_below_its_diagonal(size):
    gram = drawn(size)
    factor = np.linalg.cholesky(gram.astype(np.float64)).T + np.tril(np.full((size, size), np.nan), -1)
    actual = symmetric_inverse(np.asfortranarray(factor, dtype=np.float32))
    np.testing.assert_allclose(actual, np.linalg.inv(gram.astype(np.float64)), atol=2e-6)
    np.testing.assert_array_equal(actual, actual.T)


def test_double_precision_stays_double():
    gram = drawn(20).astype(np.float64)
    actual = inverse_of(gram.copy())
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual @ gram, np.eye(20), atol=1e-12)
