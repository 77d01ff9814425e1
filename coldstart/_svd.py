"""Truncated singular value decomposition of large matrices."""

from typing import Any

import numpy as np
from scipy.linalg import eigh

from coldstart._arrays import AnyArray, FloatArray

OVERSAMPLING = 10


def right_singular_vectors(matrix: Any, dim: int, steps: int = 4) -> FloatArray:
    """Return the leading right singular vectors of a dense or sparse matrix as columns, largest first.

    Exact for a small matrix, else by random projection and power steps (Halko, Martinsson and Tropp 2011, algorithm
    4.4) from a fixed start, so that the result is the same every time. Fewer than ``dim`` when the rank is lower.
    """
    if dim + OVERSAMPLING >= min(matrix.shape):
        whole = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        _, values, rows = np.linalg.svd(whole, full_matrices=False)
        return np.ascontiguousarray(rows[:dim][values[:dim] > 1e-5 * values[0]].T, dtype=np.float32)
    basis = matrix @ np.random.default_rng(0).standard_normal((matrix.shape[1], dim + OVERSAMPLING), matrix.dtype)
    for _ in range(steps):
        basis = matrix @ (matrix.T @ np.linalg.qr(basis)[0])
    return _orthonormal(matrix.T @ np.linalg.qr(basis)[0])[:, :dim].astype(np.float32)


def _orthonormal(columns: AnyArray) -> AnyArray:
    """The left singular vectors of a tall matrix, largest first, without those of no weight."""
    squares, vectors = eigh((columns.T @ columns).astype(np.float64))
    kept = np.flatnonzero(squares > 1e-10 * squares[-1])[::-1]
    left: AnyArray = columns @ (vectors[:, kept] / np.sqrt(squares[kept])).astype(columns.dtype)
    return left
