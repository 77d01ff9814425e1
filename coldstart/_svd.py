"""Truncated singular value decomposition of large matrices."""

from typing import Any

import numpy as np
from scipy.linalg import eigh

from coldstart._arrays import AnyArray, FloatArray

OVERSAMPLING = 10
"""Directions beyond those asked for, which make the projection accurate (Halko et al. recommend 5 to 10)."""


def right_singular_vectors(matrix: Any, dim: int, steps: int = 4) -> FloatArray:
    """Return the leading right singular vectors of a dense or sparse matrix.

    Exact for a small matrix, else by random projection and power iteration (Halko, Martinsson and Tropp 2011, algorithm
    4.4). The start is fixed, so that the same matrix always has the same result.

    Parameters
    ----------
    matrix : ndarray or sparse array of shape (m, n)
    dim : int
        Vectors to return.
    steps : int
        Power iterations; each sharpens the difference between large and small singular values.

    Returns
    -------
    ndarray of shape (n, dim), float32
        Vectors as columns, that of the largest singular value first; fewer when the rank is below ``dim``.
    """
    if dim + OVERSAMPLING >= min(matrix.shape):
        whole = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        _, values, rows = np.linalg.svd(whole, full_matrices=False)
        return np.ascontiguousarray(rows[:dim][values[:dim] > 1e-5 * values[0]].T, dtype=np.float32)
    basis = matrix @ np.random.default_rng(0).standard_normal((matrix.shape[1], dim + OVERSAMPLING), matrix.dtype)
    for _ in range(steps):
        # Orthonormalise in between: powers of the matrix would turn all columns towards the first singular vector.
        basis = matrix @ (matrix.T @ np.linalg.qr(basis)[0])
    return _orthonormal(matrix.T @ np.linalg.qr(basis)[0])[:, :dim].astype(np.float32)


def _orthonormal(columns: AnyArray) -> AnyArray:
    """Return the left singular vectors of a tall matrix, largest first, without those of singular values near 0.

    By the eigenvectors of the small matrix ``columns.T @ columns``, whose eigenvalues are the squared singular values.
    """
    # In double precision: squaring doubles the range of magnitudes.
    squares, vectors = eigh((columns.T @ columns).astype(np.float64))
    kept = np.flatnonzero(squares > 1e-10 * squares[-1])[::-1]
    left: AnyArray = columns @ (vectors[:, kept] / np.sqrt(squares[kept])).astype(columns.dtype)
    return left
