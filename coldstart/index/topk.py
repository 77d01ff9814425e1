"""Top-k of blocks of scores, behind every ranking in the library; and checks of the arguments of a search."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray, as_matrix, blocks, check_between, largest
from coldstart.base import Hits
from coldstart.errors import InvalidInputError

BLOCK_BYTES = 16 * 2**20
"""Size of one block of scores; a search holds about three of them in memory beside its result."""

Ranked: TypeAlias = tuple[IntArray, FloatArray]
"""Positions of one row, best first, and their scores."""

LOWEST = np.finfo(np.float32).min
"""Lowest score that is returned; -inf, the score of excluded items, is below it."""


def top_k(
    scores_of: Callable[[slice], FloatArray],
    n_queries: int,
    n_items: int,
    k: int,
    allow: IntArray | None = None,
    exclude: Sequence[IntArray] | None = None,
    workers: int = 1,
) -> Hits:
    """Rank items for many queries, one block of queries at a time.

    Parameters
    ----------
    scores_of : callable
        Gets a slice of queries and returns their scores, shape (b, n_items), which are overwritten. With ``allow``
        it returns the columns of those positions only, shape (b, len(allow)).
    n_queries, n_items : int
    k : int
        Between 1 and ``n_items``.
    allow : ndarray of int64, optional
        The only positions to return, ascending and distinct (see ``as_positions``).
    exclude : sequence of n_queries arrays of int64, optional
        Positions never to return, per query.
    workers : int
        Threads among which blocks are shared; ``scores_of`` is called from all of them.

    Returns
    -------
    Hits
        Descending scores; equal scores in order of position. Rows are shorter than ``k`` when fewer items are
        left; then both parts are lists of arrays.

    Raises
    ------
    InvalidInputError
        When ``k`` is out of range, ``exclude`` has another length, or a score is NaN.
    """
    check_between("k", k, 1, n_items)
    if exclude is not None and len(exclude) != n_queries:
        raise InvalidInputError(f"`exclude` must have one entry per query, {n_queries}; got {len(exclude)}.")
    width = n_items if allow is None else len(allow)
    rank = partial(_ranked, scores_of, k=k, width=width, allow=allow, exclude=exclude)
    parts = list(blocks(n_queries, max(1, BLOCK_BYTES // (4 * max(width, 1)))))
    # Threads help, as numpy releases the interpreter lock in matrix products and partitions.
    if min(workers, len(parts)) > 1:
        with ThreadPoolExecutor(workers) as pool:
            rows = list(chain.from_iterable(pool.map(rank, parts)))
    else:
        rows = list(chain.from_iterable(map(rank, parts)))
    return as_hits([(best if allow is None else allow[best], scores) for best, scores in rows], k)


def as_hits(rows: Sequence[Ranked], k: int) -> Hits:
    """Return rows as two arrays of shape (m, k) where each has ``k`` items, else as two lists of arrays."""
    if rows and all(len(positions) == k for positions, _ in rows):
        return Hits(np.stack([positions for positions, _ in rows]), np.stack([scores for _, scores in rows]))
    return Hits([positions for positions, _ in rows], [scores for _, scores in rows])


def as_positions(values: Any, n_items: int, name: str) -> IntArray:
    """Return a filter, given as positions or as a mask of shape (n_items,), as ascending distinct positions.

    Raises
    ------
    InvalidInputError
        When a position is out of range, or the mask has another length.
    """
    array = np.asarray(values)
    if array.dtype == bool:
        if array.shape != (n_items,):
            raise InvalidInputError(f"`{name}` as a mask must have shape ({n_items},); got {array.shape}.")
        return np.flatnonzero(array)
    if array.size and array.dtype.kind not in "iu":
        raise InvalidInputError(f"`{name}` must hold positions, whole numbers; got {array.dtype} values.")
    positions = np.unique(array).astype(np.int64)
    if len(positions) and not 0 <= positions[0] <= positions[-1] < n_items:
        raise InvalidInputError(
            f"`{name}` must hold positions from 0 to {n_items - 1}; got {positions[0]} to {positions[-1]}."
        )
    return positions


def checked_search(
    queries: FloatArray, k: int, allow: Any, exclude: Sequence[IntArray] | None, n_rows: int, dim: int
) -> tuple[FloatArray, IntArray | None, list[IntArray] | None]:
    """Check the arguments of a search among vectors (n_rows, dim), and return queries and filters as arrays.

    Raises
    ------
    InvalidInputError
        When a shape, a position or ``k`` is out of range.
    """
    queries = as_matrix(queries, "queries")
    if queries.shape[1] != dim:
        raise InvalidInputError(f"`queries` must have {dim} columns; got {queries.shape[1]}.")
    check_between("k", k, 1, n_rows)
    if exclude is not None and len(exclude) != len(queries):
        raise InvalidInputError(f"`exclude` must have one entry per query, {len(queries)}; got {len(exclude)}.")
    allowed = None if allow is None else as_positions(allow, n_rows, "allow")
    return queries, allowed, None if exclude is None else [as_positions(row, n_rows, "exclude") for row in exclude]


def _ranked(
    scores_of: Callable[[slice], FloatArray],
    block: slice,
    k: int,
    width: int,
    allow: IntArray | None,
    exclude: Sequence[IntArray] | None,
) -> list[Ranked]:
    """Return the columns and scores of the k best of each query of one block."""
    scores = scores_of(block)
    if width and np.isnan(scores.max()):  # the maximum is NaN where any score is
        raise InvalidInputError("`scores` must be numbers; got NaN. Check the vectors that produced them.")
    if exclude is not None:
        for line, excluded in zip(scores, exclude[block], strict=True):
            line[_columns(excluded, allow)] = -np.inf
    # By the k-th largest score first: scores equal to it must all compete, so that ties are in order of position. A
    # partition that returned places would keep any of them.
    kth = largest(scores, min(k, width)).min(axis=1, initial=np.inf)
    return [_best(line, low, k) for line, low in zip(scores, np.maximum(kth, LOWEST), strict=True)]


def _columns(excluded: AnyArray, allow: IntArray | None) -> IntArray:
    """Return the columns of the excluded positions, without those that are not allowed and have none."""
    positions = np.asarray(excluded, dtype=np.int64)
    if allow is None or not len(allow):
        return positions if allow is None else positions[:0]
    at = np.searchsorted(allow, positions)
    at[at == len(allow)] = 0  # beyond the last: any column will do, as the comparison leaves it out
    columns: IntArray = at[allow[at] == positions]
    return columns


def _best(line: FloatArray, low: np.float32, k: int) -> Ranked:
    """Return positions and scores of the k largest, none of them below ``low``; ties are in order of position."""
    candidates = np.flatnonzero(line >= low)
    order = candidates[np.argsort(-line[candidates], kind="stable")[:k]]
    return order, line[order]
