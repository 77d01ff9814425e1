"""Dot products that do not depend on what else is computed beside them."""

from itertools import pairwise

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray, blocks
from coldstart._rows import Rows
from coldstart.index.topk import Ranked

PAIRS = 256
"""Pairs of rows multiplied at once: 800 kB a matrix of 384 columns, which stay in the processor's cache."""


def dots(left: AnyArray, right: AnyArray) -> FloatArray:
    """Return the dot product of each row of ``left`` with the same row of ``right``, shape (n,).

    A product is added up in double precision, in one order, and rounded once. So equal rows have equal products,
    whatever stands beside them; a matrix product adds up in an order that changes with its shape.

    Examples
    --------
    >>> dots(np.array([[1.0, 2.0]], dtype=np.float32), np.array([[3.0, 0.5]], dtype=np.float32)).tolist()
    [4.0]
    """
    with np.errstate(over="ignore", under="ignore"):
        both = (side.astype(np.float64, copy=False) for side in (left, right))
        found = np.einsum("ij,ij->i", *both).astype(np.float32)
    return np.asarray(found + np.float32(0.0))  # -0.0 becomes 0.0


def pair_dots(vectors: Rows, queries: AnyArray, positions: IntArray, owner: IntArray) -> FloatArray:
    """Return the dot product of ``vectors[positions[i]]`` and ``queries[owner[i]]`` for each i."""
    found = np.empty(len(positions), dtype=np.float32)
    for at in blocks(len(found), PAIRS):
        found[at] = dots(vectors.take(positions[at]), queries.take(owner[at], axis=0))
    return found


def kth_of(owner: IntArray, scores: AnyArray, n_queries: int, k: int) -> AnyArray:
    """Return the k-th largest score of each owner, -inf where there are fewer."""
    order = grouped(owner, scores)
    starts = np.searchsorted(owner[order], np.arange(n_queries + 1))
    found = np.full(n_queries, -np.inf, dtype=scores.dtype)
    full = np.flatnonzero(np.diff(starts) >= k)
    found[full] = scores[order[starts[full] + k - 1]]
    return found


def grouped(owner: IntArray, values: AnyArray) -> IntArray:
    """Return the order that puts owners together, each below 65,536, and for each the largest values first."""
    order = np.argsort(-values)
    return np.asarray(order[np.argsort(owner[order].astype(np.uint16), kind="stable")])


def best_of(owner: IntArray, positions: IntArray, scores: FloatArray, n_queries: int, k: int) -> list[Ranked]:
    """Return positions and scores of the k best of each owner, equal scores in order of position."""
    order = np.lexsort((positions, -scores, owner))
    owner, positions, scores = owner[order], positions[order], scores[order]
    starts = np.searchsorted(owner, np.arange(n_queries + 1)).tolist()
    cuts = [slice(start, min(start + k, stop)) for start, stop in pairwise(starts)]
    return [(positions[cut], scores[cut]) for cut in cuts]
