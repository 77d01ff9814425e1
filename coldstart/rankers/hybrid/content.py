"""Kernel regression on text: an item without clicks gets those of the items whose text is like its own."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, blocks
from coldstart.rankers.hybrid.linear import inverse_of

NEAREST = 50
"""Items whose texts say what a text alone does not."""


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """Ridge regression on the kernel K_ij = exp(-width (1 - s_ij)), s the cosine of two items' texts.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Rows of length one of the items that are learned from.
    inverse : ndarray of shape (n, n)
        (K + l2 I)^-1.
    width : float
    """

    vectors: FloatArray
    inverse: FloatArray
    width: float

    @classmethod
    def of(cls, vectors: FloatArray, width: float, l2: float) -> "KernelRidge":
        """Invert the kernel; n^3 / 3 multiplications by Cholesky."""
        gram = kernel(vectors, vectors, width)
        gram[np.diag_indices(len(gram))] += np.float32(l2)
        return cls(vectors, inverse_of(gram), width)

    def weights(self, others: FloatArray) -> FloatArray:
        """Return how much each learned item counts for other items, shape (n, n_others)."""
        weights: FloatArray = self.inverse @ kernel(self.vectors, others, self.width)
        return weights

    def leave_one_out(self, at: IntArray) -> FloatArray:
        """Return the weights for learned items as if each were new, shape (n, len(at)), zero on itself.

        The exact leave-one-out of kernel ridge: w_j = -(Q^-1)_j / (Q^-1)_jj off the diagonal.
        """
        weights = -self.inverse[:, at] / self.inverse[at, at]
        weights[at, np.arange(len(at))] = 0.0
        return np.asarray(weights, dtype=np.float32)


def nearest(vectors: FloatArray, others: FloatArray, count: int = NEAREST) -> Csr:
    """Return the cosines (n, n_others) of the nearest rows, at least 0 and ``count`` a column: for any size."""
    count = min(count, len(vectors))
    rows, values = np.empty((len(others), count), np.int64), np.empty((len(others), count), np.float32)
    for block in blocks(len(others), 1024):
        cosines = others[block] @ vectors.T
        rows[block] = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
        values[block] = np.maximum(np.take_along_axis(cosines, rows[block], axis=1), 0.0)
    indptr = count * np.arange(len(others) + 1)
    return csr_array(csr_array((values.ravel(), rows.ravel(), indptr), shape=(len(others), len(vectors))).T)


def neighbours(cosines: Csr) -> Csr:
    """Return how much the ``nearest`` rows count, by their cosines to the third power: sums of 1."""
    weights = cosines.power(3)
    return csr_array(weights / np.maximum(weights.sum(axis=0), 1e-9), dtype=np.float32)


def crowding(cosines: Csr, count: int = NEAREST) -> FloatArray:
    """Return the mean cosine (n_others,) of the ``nearest`` rows."""
    return np.asarray(cosines.sum(axis=0) / min(count, max(cosines.shape[0], 1)), dtype=np.float32)


def kernel(ones: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """Return exp(-width (1 - cosine)) of rows of length one, shape (n, n_others)."""
    similar: FloatArray = ones @ others.T
    similar -= 1.0
    similar *= np.float32(width)
    np.exp(similar, out=similar)
    return similar
