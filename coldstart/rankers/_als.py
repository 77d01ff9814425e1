"""One half of a sweep of alternating least squares: every row's ridge regression on the other side's factors."""

from collections.abc import Iterator

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray, blocks

BATCH = 2**19
"""Numbers gathered at once: 2 MB, so that they stay in the cache."""


def solved_rows(
    clicks: Csr,
    other: FloatArray,
    gram: FloatArray,
    unobserved: float,
    ridge: AnyArray,
    prior: FloatArray | None = None,
) -> FloatArray:
    """Return the x_i that minimise sum_j w_ij (1 - x_i.y_j)^2 + unobserved x_i'Gx_i + r_i |x_i - p_i|^2.

    In the eigenvectors of G all but the clicks is diagonal, D_i = unobserved * eigenvalues + r_i. With Z the clicked
    rows y_j times sqrt(w_ij), s = sqrt(w_ij) and b = D_i^-1 r_i p_i, the answer is b + D_i^-1 Z' (I + Z D_i^-1 Z')^-1
    (s - Z b): a system as large as the row has clicks, where those are fewer than the factors.

    Parameters
    ----------
    clicks : csr_array of shape (m, n)
        The weights w, above 0.
    other : ndarray of shape (n, k)
        The factors y of the columns.
    gram : ndarray of shape (k, k)
        G, positive semidefinite: ``other.T @ other``, or that of the columns that were there in training.
    unobserved : float
        Weight of every pair, above 0.
    ridge : ndarray of shape (m,)
        The r_i, above 0.
    prior : ndarray of shape (m, k), optional
        The p_i; by default zero.

    Returns
    -------
    ndarray of shape (m, k)
    """
    values, basis = _eigen(gram)
    ridge = np.asarray(ridge, dtype=np.float32)
    base = np.zeros((clicks.shape[0], len(gram)), dtype=np.float32)
    if prior is not None:
        base = (prior @ basis) / (1.0 + np.float32(unobserved) * values / ridge[:, None])
    seen, columns = np.unique(clicks.indices, return_inverse=True)
    turned, roots = other[seen] @ basis, np.sqrt(clicks.data).astype(np.float32)
    for rows, at in _batches(clicks.indptr, len(gram)):
        weights = roots.take(at, mode="clip") * (at < clicks.indptr[rows + 1, None])
        clicked = turned[columns.take(at, mode="clip")] * weights[:, :, None]
        base[rows] += _moves(clicked, weights, np.float32(unobserved) * values + ridge[rows, None], base[rows])
    return np.asarray(base @ basis.T, dtype=np.float32)


def _eigen(gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    values, basis = np.linalg.eigh(gram.astype(np.float64))
    return np.maximum(values, 0.0).astype(np.float32), basis.astype(np.float32)


def _batches(indptr: IntArray, factors: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows with about as many clicks each, and where their clicks stand, (b, width); past the end of shorter rows."""
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


def _moves(clicked: FloatArray, roots: FloatArray, diagonal: FloatArray, base: FloatArray) -> AnyArray:
    """Where the clicks Z (b, c, k) move the rows from their base (b, k), by the smaller of two systems."""
    missing = roots - np.matmul(clicked, base[:, :, None])[:, :, 0]
    n_clicks, factors = clicked.shape[1:]
    if n_clicks < factors:
        scaled = clicked / diagonal[:, None, :]
        system = np.matmul(scaled, clicked.transpose(0, 2, 1)) + np.eye(n_clicks, dtype=np.float32)
        moves: AnyArray = np.matmul(_solved(system, missing)[:, None, :], scaled)[:, 0]
        return moves
    system = np.matmul(clicked.transpose(0, 2, 1), clicked)
    system[:, range(factors), range(factors)] += diagonal
    return _solved(system, np.matmul(missing[:, None, :], clicked)[:, 0])


def _solved(systems: FloatArray, right: FloatArray) -> AnyArray:
    return np.linalg.solve(systems, right[:, :, None])[:, :, 0]
