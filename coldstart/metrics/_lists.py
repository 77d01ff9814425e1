"""Check ranked lists and relevant items, and mark the hits: what every metric begins with."""

from collections.abc import Collection, Hashable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, BoolArray, IntArray, check_between
from coldstart._messages import shown
from coldstart.errors import InvalidInputError

Lists: TypeAlias = Sequence[Sequence[Hashable] | AnyArray] | AnyArray
"""One row of items (ids, or positions in the catalogue) per user, best first; rows may be shorter than k."""

Relevant: TypeAlias = Sequence[Collection[Hashable]]
"""Relevant items of each user."""


def first_k(ranked: Lists, k: int) -> list[list[Any]]:
    """Return the first ``k`` items of each row.

    Raises
    ------
    InvalidInputError
        When ``k`` is below 1, a row is no list, or it holds an item twice.
    """
    check_between("k", k, 1, 10**9)
    lists = ranked.tolist() if isinstance(ranked, np.ndarray) else ranked
    for at, row in enumerate(lists):
        if isinstance(row, str) or not isinstance(row, Sequence | np.ndarray):
            raise InvalidInputError(f"`ranked` must hold one list of items per user; row {at} is {shown(row)}.")
    rows = [list(row[:k]) for row in lists]
    for at, row in enumerate(rows):
        if len(set(row)) < len(row):
            raise InvalidInputError(f"`ranked` must hold an item once per row; row {at} is {shown(row)}.")
    return rows


def hits(ranked: Lists, relevant: Relevant, k: int) -> tuple[BoolArray, IntArray]:
    """Return the mask of the hits and the number of relevant items of each user.

    Returns
    -------
    mask : ndarray of shape (m, longest row, at most k), bool
        Where a relevant item is; False beyond the end of a short row.
    n_relevant : ndarray of shape (m,)

    Raises
    ------
    InvalidInputError
        When there is not one collection of relevant items per row.
    """
    rows = first_k(ranked, k)
    if len(rows) != len(relevant):
        raise InvalidInputError(
            f"`relevant` must have one entry per row of `ranked`, {len(rows)}; got {len(relevant)}."
        )
    for at, items in enumerate(relevant):
        if isinstance(items, str):
            raise InvalidInputError(
                f"`relevant` must hold one collection of items per user; entry {at} is {shown(items)}."
            )
    relevant_sets = [frozenset(items) for items in relevant]
    mask = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=bool)
    for at, (row, items) in enumerate(zip(rows, relevant_sets, strict=True)):
        mask[at, : len(row)] = [item in items for item in row]
    return mask, np.array([len(items) for items in relevant_sets], dtype=np.int64)


def flat(ranked: Lists, n_items: int, k: int) -> tuple[IntArray, IntArray]:
    """Return the user and the position of every recommended item, row after row.

    Raises
    ------
    InvalidInputError
        When an item is no position, or is out of range.
    """
    rows = first_k(ranked, k)
    lengths = [len(row) for row in rows]
    wrong = [item for row in rows for item in row if isinstance(item, bool) or not isinstance(item, Integral)]
    if wrong:
        raise InvalidInputError(f"`ranked` must hold positions, whole numbers; got {shown(wrong[0])}.")
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    if len(items) and not 0 <= items.min() <= items.max() < n_items:
        raise InvalidInputError(
            f"`ranked` must hold positions from 0 to {n_items - 1}; got {items.min()} to {items.max()}."
        )
    return np.repeat(np.arange(len(rows)), lengths), items


def mean_per_row(values: AnyArray, users: IntArray, n_rows: int) -> npt.NDArray[np.float64]:
    """Return the mean of the values of each user, shape (n_rows,); NaN for users without any."""
    counts = np.bincount(users, minlength=n_rows).astype(np.float64)
    sums = np.bincount(users, weights=values, minlength=n_rows)
    means: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(n_rows, np.nan), where=counts > 0)
    return means
