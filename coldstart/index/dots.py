"""Exactly reproducible dot products, and the best of them for each query."""

from itertools import pairwise

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray, blocks
from coldstart._rows import Rows
from coldstart.index.topk import Ranked

PAIRS = 256
"""Pairs of rows multiplied at once: 800 kB a matrix of 384 columns in double precision, which stay in the cache."""


def dots(left: AnyArray, right: AnyArray) -> FloatArray:
    """Return the dot product of each row of ``left`` with the same row of ``right``, shape (n,).

    The products are summed in double precision, always in the same order, and rounded to float32 once. So equal rows
    have equal scores, whatever else is computed beside them. A matrix product does not promise that: it sums in an
    order that depends on its shape, and equal items would be ranked by rounding errors.

    Examples
    --------
    >>> dots(np.array([[1.0, 2.0]], dtype=np.float32), np.array([[3.0, 0.5]], dtype=np.float32)).tolist()
    [4.0]
    """
    # A score beyond the range of float32 becomes infinite, which still has an order.
    with np.errstate(over="ignore", under="ignore"):
        both = (side.astype(np.float64, copy=False) for side in (left, right))
        products = np.einsum("ij,ij->i", *both).astype(np.float32)
    return np.asarray(products + np.float32(0.0))  # -0.0 becomes 0.0


def pair_dots(vectors: Rows, queries: AnyArray, positions: IntArray, owner: IntArray) -> FloatArray:
    """Return the dot product of ``vectors[positions[i]]`` and ``queries[owner[i]]`` for each i."""
    products = np.empty(len(positions), dtype=np.float32)
    for at in blocks(len(products), PAIRS):
        products[at] = dots(vectors.take(positions[at]), queries.take(owner[at], axis=0))
    return products


def kth_largest(owner: IntArray, scores: AnyArray, n_queries: int, k: int) -> AnyArray:
    """Return the k-th largest score of each query, -inf where it owns fewer.

    Parameters
    ----------
    owner : ndarray of shape (n,)
        Query that each score belongs to, below 65,536.
    scores : ndarray of shape (n,)
    """
    order = by_owner(owner, scores)
    starts = np.searchsorted(owner[order], np.arange(n_queries + 1))
    kth = np.full(n_queries, -np.inf, dtype=scores.dtype)
    full = np.flatnonzero(np.diff(starts) >= k)
    kth[full] = scores[order[starts[full] + k - 1]]
    return kth


def by_owner(owner: IntArray, values: AnyArray) -> IntArray:
    """Return the order by owner, and for each owner by descending value; owners are below 65,536."""
    # Two sorts instead of a lexsort: numpy sorts 16-bit integers by a stable radix sort, in linear time.
    order = np.argsort(-values)
    return np.asarray(order[np.argsort(owner[order].astype(np.uint16), kind="stable")])


def best_per_query(owner: IntArray, positions: IntArray, scores: FloatArray, n_queries: int, k: int) -> list[Ranked]:
    """Return positions and scores of the k best of each query; equal scores are in order of position."""
    order = np.lexsort((positions, -scores, owner))
    owner, positions, scores = owner[order], positions[order], scores[order]
    starts = np.searchsorted(owner, np.arange(n_queries + 1)).tolist()
    cuts = [slice(start, min(start + k, stop)) for start, stop in pairwise(starts)]
    return [(positions[cut], scores[cut]) for cut in cuts]
