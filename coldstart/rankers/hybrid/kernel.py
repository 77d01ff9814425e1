"""Kernel regression on text: an item without clicks gets those of the items whose text is like its own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import spotrf, spotrs
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, blocks
from coldstart._linalg import symmetric_inverse

NEAREST = 50
"""Items that are averaged where the kernel is too large to be factored."""


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """Ridge regression on the kernel K_ij = exp(-width (1 - s_ij)), s the cosine of two items' texts.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Rows of length one of the items that are learned from.
    factor : ndarray of shape (n, n)
        The upper Cholesky factor of K + l2 I; what is below the diagonal means nothing.
    width : float
    """

    vectors: FloatArray
    factor: FloatArray
    width: float

    @classmethod
    def of(cls, vectors: FloatArray, width: float, l2: float) -> "KernelRidge":
        """Factor the kernel in place: n^3 / 3 multiplications, a third of what an inverse takes."""
        gram = kernel(vectors, vectors, width)
        gram[np.diag_indices(len(gram))] += np.float32(l2)
        factor, failed = spotrf(gram.T, lower=0, overwrite_a=1, clean=0)
        if failed:
            raise np.linalg.LinAlgError("The kernel is not positive definite; use a larger `kernel_l2`.")
        return cls(vectors, factor, width)

    def weights(self, others: FloatArray) -> FloatArray:
        """Return how much each learned item counts for other items, (K + l2 I)^-1 K_others, shape (n, n_others)."""
        columns = kernel(others, self.vectors, self.width).T  # as LAPACK reads them, so that they are solved in place
        return spotrs(self.factor, columns, lower=0, overwrite_b=1)[0] if columns.size else columns

    def leave_one_out(self, at: IntArray) -> FloatArray:
        """Return the weights for learned items as if each were new, shape (n, len(at)), zero on itself.

        The exact leave-one-out of kernel ridge: w_j = -(Q^-1)_j / (Q^-1)_jj off the diagonal.
        """
        unit = np.zeros((len(self.vectors), len(at)), dtype=np.float32, order="F")
        unit[at, np.arange(len(at))] = 1.0
        columns = spotrs(self.factor, unit, lower=0, overwrite_b=1)[0] if len(at) else unit
        weights = -columns / columns[at, np.arange(len(at))]
        weights[at, np.arange(len(at))] = 0.0
        return np.asarray(weights, dtype=np.float32)

    @cached_property
    def inverse(self) -> FloatArray:
        """(K + l2 I)^-1, shape (n, n)."""
        return symmetric_inverse(self.factor.copy(order="F"))


def nearest(vectors: FloatArray, others: FloatArray, count: int = NEAREST) -> tuple[IntArray, FloatArray]:
    """Return which rows are nearest to others, in ascending order, and their cosines, at least 0, (n_others, count)."""
    count = min(count, len(vectors))
    rows, cosines = np.empty((len(others), count), np.int64), np.empty((len(others), count), np.float32)
    for block in blocks(len(others), 1024):
        every = others[block] @ vectors.T
        rows[block] = np.sort(np.argpartition(-every, count - 1, axis=1)[:, :count], axis=1)
        cosines[block] = np.maximum(np.take_along_axis(every, rows[block], axis=1), 0.0)
    return rows, cosines


def neighbours(rows: IntArray, cosines: FloatArray, n_rows: int) -> Csr:
    """Return weights (n_rows, n_others) of the ``nearest`` rows: their cosines to the third power, sums of 1."""
    weights = cosines**3
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-9))
    ends = rows.shape[1] * np.arange(len(rows) + 1)
    return csr_array(csr_array((weights.ravel(), rows.ravel(), ends), shape=(len(rows), n_rows)).T)


def density(cosines: FloatArray) -> FloatArray:
    """Return the mean cosine of the ``nearest`` rows, (n_others,)."""
    return np.asarray(cosines.mean(axis=1) if cosines.size else np.zeros(len(cosines)), dtype=np.float32)


def kernel(ones: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """Return exp(-width (1 - cosine)) of rows of length one, shape (n, n_others)."""
    similar: FloatArray = ones @ others.T
    similar -= 1.0
    similar *= np.float32(width)
    np.exp(similar, out=similar)
    return similar
