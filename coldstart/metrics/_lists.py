"""Ranked lists as rows: what every metric reads."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, BoolArray, IntArray, check_between
from coldstart.errors import InvalidInputError

Lists: TypeAlias = Sequence[Sequence[Hashable] | AnyArray] | AnyArray
"""One row of items (ids, or positions in the catalogue) per user, best first; rows may be shorter than k."""

Relevant: TypeAlias = Sequence[Collection[Hashable]]
"""What each user should find."""


def first_k(ranked: Lists, k: int) -> list[list[Any]]:
    """Return the first ``k`` items of each row.

    Raises
    ------
    InvalidInputError
        When ``k`` is below 1, or a row holds an item twice.
    """
    check_between("k", k, 1, 10**9)
    rows = [list(row[:k]) for row in (ranked.tolist() if isinstance(ranked, np.ndarray) else ranked)]
    for at, row in enumerate(rows):
        if len(set(row)) < len(row):
            raise InvalidInputError(f"`ranked` must hold an item once per row; row {at} is {row!r}.")
    return rows


def hits(ranked: Lists, relevant: Relevant, k: int) -> tuple[BoolArray, IntArray]:
    """Return where a relevant item stands, (m, k), and how many are relevant, (m,).

    Raises
    ------
    InvalidInputError
        When there is not one set of relevant items per row.
    """
    rows = first_k(ranked, k)
    if len(rows) != len(relevant):
        raise InvalidInputError(
            f"`relevant` must have one entry per row of `ranked`, {len(rows)}; got {len(relevant)}."
        )
    wanted = [frozenset(items) for items in relevant]
    found = np.zeros((len(rows), k), dtype=bool)
    for at, (row, items) in enumerate(zip(rows, wanted, strict=True)):
        found[at, : len(row)] = [item in items for item in row]
    return found, np.array([len(items) for items in wanted], dtype=np.int64)


def flat(ranked: Lists, n_items: int, k: int) -> tuple[IntArray, IntArray]:
    """Return user and position of every recommended item, row after row.

    Raises
    ------
    InvalidInputError
        When a position is out of range.
    """
    rows = first_k(ranked, k)
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    if len(items) and not 0 <= items.min() <= items.max() < n_items:
        raise InvalidInputError(
            f"`ranked` must hold positions from 0 to {n_items - 1}; got {items.min()} to {items.max()}."
        )
    return np.repeat(np.arange(len(rows)), lengths), items


def mean_per_row(values: AnyArray, users: IntArray, n_rows: int) -> npt.NDArray[np.float64]:
    """Average values by user; NaN for users without any."""
    counts = np.bincount(users, minlength=n_rows).astype(np.float64)
    sums = np.bincount(users, weights=values, minlength=n_rows)
    means: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(n_rows, np.nan), where=counts > 0)
    return means
