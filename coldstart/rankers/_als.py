"""One half of a sweep of alternating least squares: a ridge regression for each row, given the factors of the columns.

    x_i = argmin sum_j w_ij (1 - x_i.y_j)^2 + a x_i'G x_i + r_i |x_i - p_i|^2

x_i are the factors of row i, y_j those of column j, w_ij the weight of a click, a the weight of every pair, G = Y'Y,
r_i a ridge and p_i a prior mean. In the eigenvectors of G everything but the clicks is diagonal, D_i = a * eigenvalues
+ r_i, which is what makes it fast: with Z the clicked rows y_j times s = sqrt(w_ij), and b = D_i^-1 r_i p_i,

    x_i = b + D_i^-1 Z' (I + Z D_i^-1 Z')^-1 (s - Z b)    (Woodbury)

is a system as large as the row has clicks. With more clicks than factors the system of the factors is solved instead.
"""

from collections.abc import Iterator

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray, blocks

BATCH = 2**19
"""Numbers gathered at once: 2 MB, so that they stay in the cache."""


def solve_rows(
    clicks: Csr,
    other: FloatArray,
    gram: FloatArray,
    unobserved: float,
    ridge: AnyArray,
    prior: FloatArray | None = None,
) -> FloatArray:
    """Return the factors of all rows, shape (m, k).

    Parameters
    ----------
    clicks : csr_array of shape (m, n)
        The weights w, above 0.
    other : ndarray of shape (n, k)
        The factors y of the columns.
    gram : ndarray of shape (k, k)
        G, positive semidefinite: ``other.T @ other``, or that of the columns at the fit.
    unobserved : float
        a, above 0.
    ridge : ndarray of shape (m,)
        The r_i, above 0.
    prior : ndarray of shape (m, k), optional
        The p_i; by default zero.
    """
    values, basis = np.linalg.eigh(gram.astype(np.float64))
    values, basis = np.maximum(values, 0.0).astype(np.float32), basis.astype(np.float32)
    ridge = np.asarray(ridge, dtype=np.float32)
    rotated = np.zeros((clicks.shape[0], len(gram)), dtype=np.float32)
    if prior is not None:
        rotated = (prior @ basis) / (1.0 + np.float32(unobserved) * values / ridge[:, None])
    # Only columns with a click are rotated: when a few rows are folded in, those are few of many.
    seen, columns = np.unique(clicks.indices, return_inverse=True)
    rotated_other, roots = other[seen] @ basis, np.sqrt(clicks.data).astype(np.float32)
    for rows, at in _batches(clicks.indptr, len(gram)):
        # Places beyond the end of a shorter row hold another row's click: they get the weight 0.
        weights = roots.take(at, mode="clip") * (at < clicks.indptr[rows + 1, None])
        clicked = rotated_other[columns.take(at, mode="clip")] * weights[:, :, None]
        diagonal = np.float32(unobserved) * values + ridge[rows, None]
        rotated[rows] += _correction(clicked, weights, diagonal, rotated[rows])
    return np.asarray(rotated @ basis.T, dtype=np.float32)


def _batches(indptr: IntArray, factors: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield rows with about as many clicks each (b,), and the places of their clicks (b, width).

    LAPACK solves a stack of systems of one size. Numbers of clicks are rounded up by less than a quarter, so that there
    are few sizes.
    """
    counts = np.diff(indptr)
    step = 2 ** np.maximum(np.ceil(np.log2(np.maximum(counts, 1))) - 3, 0)
    widths = (np.ceil(counts / step) * step).astype(np.int64)
    order = np.argsort(widths, kind="stable")
    edges = np.searchsorted(widths[order], np.unique(widths[widths > 0]))
    for alike in np.split(order, edges)[1:]:
        width = widths[alike[0]]
        for block in blocks(len(alike), max(1, BATCH // (width * factors))):
            rows = alike[block]
            yield rows, indptr[rows, None] + np.arange(width)


def _correction(clicked: FloatArray, roots: FloatArray, diagonal: FloatArray, base: FloatArray) -> AnyArray:
    """Return x - b of a batch of rows, from Z (batch, c, k), s (batch, c), D (batch, k) and b (batch, k)."""
    residual = roots - np.matmul(clicked, base[:, :, None])[:, :, 0]
    n_clicks, factors = clicked.shape[1:]
    if n_clicks < factors:
        scaled = clicked / diagonal[:, None, :]
        system = np.matmul(scaled, clicked.transpose(0, 2, 1)) + np.eye(n_clicks, dtype=np.float32)
        correction: AnyArray = np.matmul(_solve(system, residual)[:, None, :], scaled)[:, 0]
        return correction
    system = np.matmul(clicked.transpose(0, 2, 1), clicked)
    system[:, range(factors), range(factors)] += diagonal
    return _solve(system, np.matmul(residual[:, None, :], clicked)[:, 0])


def _solve(systems: FloatArray, right: FloatArray) -> AnyArray:
    return np.linalg.solve(systems, right[:, :, None])[:, :, 0]
