"""Top-k over blocks of scores: the one primitive behind every ranking in the library."""

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
"""Size of one block of scores; a search holds about three of them beside its result."""

Ranked: TypeAlias = tuple[IntArray, FloatArray]
"""Positions of one row, best first, and their scores."""

LOWEST = np.finfo(np.float32).min
"""Below stands only -inf, which is never returned."""


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
        Gets a slice of queries, returns their scores (b, n_items), which may be overwritten; when ``allow``
        is given, the columns are those positions only, in ascending order.
    n_queries, n_items : int
    k : int
        Between 1 and ``n_items``.
    allow : ndarray of int64, optional
        The only positions to return, ascending (see ``as_positions``).
    exclude : sequence of n_queries arrays of int64, optional
        Positions never to return, per query.
    workers : int
        Threads that take blocks; ``scores_of`` is called from all of them.

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
    part = partial(_ranked, scores_of, k=k, width=width, allow=allow, exclude=exclude)
    parts = list(blocks(n_queries, max(1, BLOCK_BYTES // (4 * max(width, 1)))))
    if min(workers, len(parts)) > 1:
        with ThreadPoolExecutor(workers) as pool:
            rows = list(chain.from_iterable(pool.map(part, parts)))
    else:
        rows = list(chain.from_iterable(map(part, parts)))
    return as_hits([(best if allow is None else allow[best], scores) for best, scores in rows], k)


def as_hits(rows: Sequence[Ranked], k: int) -> Hits:
    """Return rows as two arrays where each has ``k``, else as two lists."""
    if rows and all(len(positions) == k for positions, _ in rows):
        return Hits(np.stack([positions for positions, _ in rows]), np.stack([scores for _, scores in rows]))
    return Hits([positions for positions, _ in rows], [scores for _, scores in rows])


def as_positions(values: Any, n_items: int, name: str) -> IntArray:
    """Return ascending distinct positions out of positions or a mask (n_items,).

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
    """Return queries, ``allow`` and ``exclude`` of a search among vectors (n_rows, dim), as arrays.

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
    """Columns and scores of the best of each query of a block."""
    scores = scores_of(block)
    if width and np.isnan(scores.max()):
        raise InvalidInputError("`scores` must be numbers; got NaN. Check the vectors that produced them.")
    if exclude is not None:
        for line, excluded in zip(scores, exclude[block], strict=True):
            line[_columns(excluded, allow)] = -np.inf
    least = largest(scores, min(k, width)).min(axis=1, initial=np.inf)
    return [_best(line, low, k) for line, low in zip(scores, np.maximum(least, LOWEST), strict=True)]


def _columns(excluded: AnyArray, allow: IntArray | None) -> IntArray:
    """Where the excluded positions stand in a line of scores."""
    positions = np.asarray(excluded, dtype=np.int64)
    if allow is None or not len(allow):
        return positions if allow is None else positions[:0]
    at = np.searchsorted(allow, positions)
    at[at == len(allow)] = 0
    found: IntArray = at[allow[at] == positions]
    return found


def _best(line: FloatArray, low: np.float32, k: int) -> Ranked:
    """Positions and scores of the k largest, none below ``low``, ties by position."""
    candidates = np.flatnonzero(line >= low)
    order = candidates[np.argsort(-line[candidates], kind="stable")[:k]]
    return order, line[order]
