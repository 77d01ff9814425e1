"""Exact search by float32 matrix products, for vectors without codes and queries that codes do not help."""

from collections.abc import Callable, Sequence

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray, blocks
from coldstart._rows import Rows
from coldstart.index.dots import best_per_query, kth_largest, pair_dots
from coldstart.index.topk import Ranked, top_k

SPARE = 16
"""Candidates beyond k that are scored exactly in the first round."""

GATHERED = 64 * 2**20
"""Bytes of allowed vectors that are copied before the product; of more, all vectors are multiplied and masked."""


def max_norm(vectors: FloatArray) -> float:
    """Return an upper bound on the norm of every row."""
    squares = []
    for block in blocks(len(vectors), 4096):
        rows = vectors[block].astype(np.float64)
        squares.append(np.einsum("ij,ij->i", rows, rows).max())
    return float(np.sqrt(max(squares, default=0.0))) * (1 + 2.0**-40)  # a little more than the rounding of the sums


def float_search(
    vectors: Rows,
    norm: float,
    queries: FloatArray,
    k: int,
    allowed: IntArray | None,
    excluded: Sequence[IntArray] | None,
) -> list[Ranked]:
    """Return positions and scores of the k best of each query, by the scores of ``dots``.

    A float32 product of d terms, added up in any order, is within d 2**-24 |x| |q| of the dot product (Higham 2002,
    section 3.1). So the best k and a few more by these products are candidates, and ``dots`` scores them. Where the
    k-th best of these scores is above what any other vector can reach, nothing was missed; the other queries are
    searched again with four times as many candidates.

    Parameters
    ----------
    vectors : Rows
        Of shape (n, dim), float32.
    norm : float
        Upper bound on the norm of every vector.
    queries : ndarray of shape (m, dim), float32
    k : int
    allowed : ndarray of int64, optional
        The only positions to return, ascending.
    excluded : sequence of m arrays of int64, optional
        Positions never to return, per query.
    """
    n, m, dim = len(vectors), len(queries), vectors.blocks[0].shape[1]
    scaled, factor = _rescaled(queries)
    # Twice Higham's bound; the second line is for products so small that they lose bits (subnormal numbers).
    slack = np.linalg.norm(scaled.astype(np.float64), axis=1) * norm * dim * 2.0**-23
    slack += queries.any(axis=1) * dim * 2.0**-120 * max(norm, 1.0)
    rows: list[Ranked] = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * m
    pending, n_candidates = np.arange(m), min(n, k + SPARE)
    multiply, columns = _multiplier(vectors, allowed)
    while len(pending):
        barred = None if excluded is None else [excluded[row] for row in pending.tolist()]
        batch = scaled[pending]
        hits = top_k(
            lambda block, batch=batch: multiply(batch[block]),  # type: ignore[misc]
            len(pending),
            n,
            n_candidates,
            columns,
            barred,
        )
        counts = np.array([len(row) for row in hits.positions])
        owner = np.repeat(np.arange(len(pending)), counts)
        positions = np.concatenate(list(hits.positions))
        scores = pair_dots(vectors, queries[pending], positions, owner)
        # No vector outside the candidates has a larger product than the last candidate. -inf: there is none outside.
        last = np.array([row[-1] if len(row) == n_candidates < n else -np.inf for row in hits.scores])
        with np.errstate(over="ignore"):
            bound = ((last + slack[pending]) * factor[pending]).astype(np.float32)
        # Above, not at the bound: at it, a vector outside may tie with the k-th and have an earlier position.
        # Slack is 0 for a query of zeros only: all scores are 0, and the first positions are the best.
        done = (kth_largest(owner, scores, len(pending), k) > bound) | np.isneginf(last) | (slack[pending] == 0)
        best = best_per_query(owner, positions, scores, len(pending), k)
        for at in np.flatnonzero(done):
            rows[pending[at]] = best[at]
        pending, n_candidates = pending[~done], min(n, 4 * n_candidates)
    return rows


def _rescaled(queries: FloatArray) -> tuple[FloatArray, AnyArray]:
    """Return the queries scaled so that no product overflows, and the factors that undo it.

    Factors are powers of two, so scaling rounds nothing. The largest number of a query comes to about 2**-20: its
    products with vectors up to the largest float32 stay finite.
    """
    peak = np.abs(queries).max(axis=1, initial=0.0).astype(np.float64)
    power = np.frexp(peak)[1] + 20
    scaled = np.ldexp(queries.astype(np.float64), -power[:, None]).astype(np.float32)
    return scaled, np.ldexp(1.0, power)


def _multiplier(vectors: Rows, allowed: IntArray | None) -> tuple[Callable[[FloatArray], FloatArray], IntArray | None]:
    """Return a function from queries to their products, and the positions of its columns as ``top_k`` takes them."""
    if allowed is None:
        return lambda batch: _products(batch, vectors.blocks), None
    if len(allowed) * vectors.blocks[0].shape[1] * 4 <= GATHERED:
        gathered = vectors.take(allowed)
        return lambda batch: batch @ gathered.T, allowed
    barred = np.ones(len(vectors), dtype=bool)
    barred[allowed] = False

    def masked(batch: FloatArray) -> FloatArray:
        products = _products(batch, vectors.blocks)
        products[:, barred] = -np.inf
        return products

    return masked, None


def _products(batch: FloatArray, parts: Sequence[FloatArray]) -> FloatArray:
    products = [batch @ part.T for part in parts]
    return products[0] if len(products) == 1 else np.hstack(products)
