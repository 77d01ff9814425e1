"""Kernel regression on text: an item without clicks gets those of the items whose text is like its own."""

from dataclasses import dataclass

import numpy as np

from coldstart._arrays import FloatArray, IntArray
from coldstart.rankers.hybrid.linear import inverse_of


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


def smoother(vectors: FloatArray, others: FloatArray, neighbours: int = 50) -> FloatArray:
    """Return weights (n, n_others) of the nearest rows, their cosines to the third power summing to 1: for any size."""
    weights = np.maximum(vectors @ others.T, 0.0)
    if len(weights) > neighbours:
        weights[weights < np.partition(weights, len(weights) - neighbours, axis=0)[len(weights) - neighbours]] = 0.0
    weights **= 3
    return np.asarray(weights / np.maximum(weights.sum(axis=0), 1e-9), dtype=np.float32)


def kernel(ones: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """Return exp(-width (1 - cosine)) of rows of length one, shape (n, n_others)."""
    similar: FloatArray = ones @ others.T
    similar -= 1.0
    similar *= np.float32(width)
    np.exp(similar, out=similar)
    return similar
