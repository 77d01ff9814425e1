"""Regression on text: an item without clicks gets its scores from items whose texts are like its own.

    weights for new items = (K + l2 I)^-1 K_new,    K_ij = exp(-width (1 - cos(f_i, f_j)))

f_i is the text vector of item i, of length one; K are the kernels between items with clicks, (n, n), and K_new those
between them and new items, (n, q). Column j says how much the target of each item with clicks (whether a user clicked
it, how EASE scores it) counts for new item j. Where n is too large to factor K, the nearest items are averaged.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import spotrf, spotrs
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, blocks
from coldstart._linalg import symmetric_inverse

NEAREST = 50
"""Items that are averaged where the kernel is too large to factor, and over which the density is measured."""


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """Kernel ridge regression on the texts of n items.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Texts of the items with clicks, rows of length one.
    factor : ndarray of shape (n, n)
        Upper Cholesky factor of K + l2 I; below the diagonal there is no meaning.
    width : float
    """

    vectors: FloatArray
    factor: FloatArray
    width: float

    @classmethod
    def of(cls, vectors: FloatArray, width: float, l2: float) -> "KernelRidge":
        """Factor the kernel of texts (n, dim): n^3 / 3 multiplications, a third of what an inverse takes."""
        gram = kernel(vectors, vectors, width)
        gram[np.diag_indices(len(gram))] += np.float32(l2)
        # LAPACK reads columns: the transpose of a symmetric matrix in C order is that matrix, and needs no copy.
        factor, failed = spotrf(gram.T, lower=0, overwrite_a=1, clean=0)
        if failed:
            raise np.linalg.LinAlgError("The kernel is not positive definite; use a larger `kernel_l2`.")
        return cls(vectors, factor, width)

    def weights(self, others: FloatArray) -> FloatArray:
        """Return the weights for new items with texts (q, dim), shape (n, q)."""
        columns = kernel(others, self.vectors, self.width).T  # in LAPACK's order, so that it solves in place
        return spotrs(self.factor, columns, lower=0, overwrite_b=1)[0] if columns.size else columns

    def leave_one_out(self, at: IntArray) -> FloatArray:
        """Return the weights for items of the fit (q,) as if each had been left out, shape (n, q), 0 on itself.

        By the block inverse of Q = K + l2 I, a fit without item j gives it the weights -(Q^-1)_ij / (Q^-1)_jj: one
        factor serves all items.
        """
        columns = np.arange(len(at))
        unit = np.zeros((len(self.vectors), len(at)), dtype=np.float32, order="F")
        unit[at, columns] = 1.0
        inverse = spotrs(self.factor, unit, lower=0, overwrite_b=1)[0] if len(at) else unit
        weights = -inverse / inverse[at, columns]
        weights[at, columns] = 0.0
        return np.asarray(weights, dtype=np.float32)

    @cached_property
    def inverse(self) -> FloatArray:
        """(K + l2 I)^-1, shape (n, n)."""
        return symmetric_inverse(self.factor.copy(order="F"))


def kernel(ones: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """Return exp(-width (1 - cosine)) of unit rows (m, dim) and (n, dim), shape (m, n)."""
    # In place: at 20,000 items each copy would be 1.6 GB.
    values: FloatArray = ones @ others.T
    values -= 1.0
    values *= np.float32(width)
    np.exp(values, out=values)
    return values


def nearest(vectors: FloatArray, others: FloatArray, count: int = NEAREST) -> tuple[IntArray, FloatArray]:
    """Return the nearest of n rows to each of q others, ascending, and their cosines or 0, (q, count) each."""
    count = min(count, len(vectors))
    rows, cosines = np.empty((len(others), count), np.int64), np.empty((len(others), count), np.float32)
    for block in blocks(len(others), 1024):  # 1024 x n cosines at once, 80 MB at 20,000 items
        similar = others[block] @ vectors.T
        # Ascending, as in the canonical form of a sparse matrix.
        rows[block] = np.sort(np.argpartition(-similar, count - 1, axis=1)[:, :count], axis=1)
        cosines[block] = np.maximum(np.take_along_axis(similar, rows[block], axis=1), 0.0)
    return rows, cosines


def neighbour_weights(rows: IntArray, cosines: FloatArray, n_rows: int) -> Csr:
    """Return the weights (n, q) of the ``nearest`` rows: cubes of cosines, which sum to 1 for each of q items."""
    weights = cosines**3
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-9))
    indptr = rows.shape[1] * np.arange(len(rows) + 1)
    return csr_array(csr_array((weights.ravel(), rows.ravel(), indptr), shape=(len(rows), n_rows)).T)


def density(cosines: FloatArray) -> FloatArray:
    """Return the mean cosine (q,) of the ``nearest`` rows: how crowded the neighbourhood of an item is."""
    return np.asarray(cosines.mean(axis=1) if cosines.size else np.zeros(len(cosines)), dtype=np.float32)
