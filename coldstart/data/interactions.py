"""The clicks: which user chose which item, with weights and times."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from coldstart._arguments import explain_arguments
from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray, check_between, check_one_of
from coldstart._extras import as_frame
from coldstart._messages import shown
from coldstart.data.catalog import Catalog
from coldstart.data.tables import (
    ColumnName,
    Table,
    checked_ids,
    column_name,
    id_tuple,
    pick,
    read_columns,
    rows_of,
    some,
    with_index,
)
from coldstart.data.times import as_numbers, as_seconds
from coldstart.errors import ColdstartWarning, InvalidInputError

SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-12, 1e12
"""Bounds of a weight: sums over all clicks, and the squares of these, stay far inside the range of float32."""

MIN_DECAY = 1e-6
"""Share of its weight that a click keeps however old it is: a weight must stay above 0."""

OnUnknown: TypeAlias = Literal["error", "drop"]


@explain_arguments("Make them of a table: Interactions.from_frame(table, user='user column', item='item column').")
@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A table of clicks (likes, purchases, ratings turned into likes), one per row, copied and never changed.

    Use ``from_frame``; the constructor takes ids, and positions among them, as they are here.

    Attributes
    ----------
    users, items : tuple of hashable
        The distinct ids as given, in order of first appearance.
    user_index, item_index : ndarray of shape (n,), int64
        Position in ``users`` and in ``items`` of each click.
    weight : ndarray of shape (n,), float32
        Weight of each click, from 1e-12 to 1e12; 1 by default.
    time : ndarray of shape (n,), float64, or None
        Seconds since 1970, UTC.

    Examples
    --------
    >>> clicks = Interactions.from_frame({"who": ["u", "u", "v"], "what": [1, 2, 1]}, user="who", item="what")
    >>> clicks
    Interactions(3 clicks of 2 users on 2 items)
    """

    users: tuple[Hashable, ...]
    items: tuple[Hashable, ...]
    user_index: IntArray
    item_index: IntArray
    weight: FloatArray
    time: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        users, items = _distinct_ids(self.users, "users"), _distinct_ids(self.items, "items")
        columns: dict[str, AnyArray] = {
            "user_index": _positions(self.user_index, len(users), "user_index"),
            "item_index": _positions(self.item_index, len(items), "item_index"),
            "weight": _within_bounds(_column(self.weight, "weight", "iuf"), self.weight, "weight"),
        }
        if self.time is not None:
            columns["time"] = _column(self.time, "time", "iuf").astype(np.float64)
            if not np.isfinite(columns["time"]).all():
                raise InvalidInputError("`time` must be a finite number of seconds since 1970 for every click.")
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidInputError(f"Interactions must have one number per click in each column; got {lengths}.")
        for column in columns.values():
            column.setflags(write=False)  # the caller's arrays were copied, and a view could be written to
        for name, value in {"users": users, "items": items, **columns}.items():
            object.__setattr__(self, name, value)

    @classmethod
    @explain_arguments()
    def from_frame(
        cls,
        frame: Table,
        *,
        user: ColumnName,
        item: ColumnName,
        weight: ColumnName | None = None,
        time: ColumnName | None = None,
    ) -> "Interactions":
        """Copy a table of clicks.

        Parameters
        ----------
        frame : pandas, polars or pyarrow frame, dict of columns, list of dicts, or path
            One row per click. The weights of repeated clicks of a user on an item add up. The index of a pandas frame
            may be named as a column. A table without rows makes no clicks, whatever its columns.
        user, item : str or int
            Columns of ids, any hashable values. Item ids must be those of the catalogue: 1 and "1" differ.
        weight : str or int, optional
            Column of weights, from 1e-12 to 1e12.
        time : str or int, optional
            Column of seconds since 1970, or of dates. Text is read where it can only be seconds, from 1973 on.

        Raises
        ------
        InvalidInputError
            When a column is unknown, an id is missing, a weight is out of range, or a time is none.
        """
        given = {"user": user, "item": item, "weight": weight, "time": time}
        names = {
            role: column_name(name) for role, name in given.items() if name is not None or role in ("user", "item")
        }
        columns = read_columns(with_index(frame, *names.values()), "Interactions")
        if not any(columns.values()):  # a feed without news may lack the columns, too
            columns = {name: [] for name in names.values()}
        cells = {role: pick(columns, name, "Interactions") for role, name in names.items()}
        users, user_index = _factorize(checked_ids(cells["user"], names["user"]))
        items, item_index = _factorize(checked_ids(cells["item"], names["item"]))
        weights = (
            _weights(cells["weight"], names["weight"]) if "weight" in names else np.ones(len(user_index), np.float32)
        )
        times = as_seconds(cells["time"], names["time"]) if "time" in names else None
        return cls(users, items, user_index, item_index, weights, times)

    @classmethod
    def from_csr(cls, clicks: Csr, users: Sequence[Hashable], items: Sequence[Hashable]) -> "Interactions":
        """Make interactions of a sparse matrix of weights, shape (n_users, n_items).

        Raises
        ------
        InvalidInputError
            When there are not as many ids as rows and columns, or a weight is not above 0.

        Examples
        --------
        >>> Interactions.from_csr(csr_array([[1.0, 0.0], [2.0, 3.0]]), ["u", "v"], ["a", "b"]).pairs()
        [('u', 'a'), ('v', 'a'), ('v', 'b')]
        """
        if not issparse(clicks):
            raise InvalidInputError(f"`clicks` must be a sparse matrix of users and items; got {shown(clicks)}.")
        users, items = id_tuple(users, "users"), id_tuple(items, "items")
        if clicks.shape != (len(users), len(items)):
            raise InvalidInputError(
                f"`users` and `items` must name the rows and columns of `clicks`, of shape {clicks.shape}; "
                f"got {len(users):,} and {len(items):,} ids."
            )
        entries = clicks.tocoo()
        weights = _within_bounds(entries.data, entries.data, "clicks")
        used_users, user_index = _compact(users, entries.row.astype(np.int64))
        used_items, item_index = _compact(items, entries.col.astype(np.int64))
        return cls(used_users, used_items, user_index, item_index, weights)

    def __len__(self) -> int:
        return len(self.user_index)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} clicks of {len(self.users):,} users on {len(self.items):,} items)"

    def take(self, rows: IntArray | BoolArray) -> "Interactions":
        """Return some of the clicks (positions or a mask), without users and items that have none of them.

        Raises
        ------
        InvalidInputError
            When a position is none of a click, or a mask has another length.
        """
        rows = rows_of(rows, len(self))
        users, user_index = _compact(self.users, self.user_index[rows])
        items, item_index = _compact(self.items, self.item_index[rows])
        time = None if self.time is None else self.time[rows]
        return Interactions(users, items, user_index, item_index, self.weight[rows], time)

    def pairs(self) -> list[tuple[Hashable, Hashable]]:
        """Return the (user, item) ids of each click."""
        users = (self.users[at] for at in self.user_index.tolist())
        return list(zip(users, (self.items[at] for at in self.item_index.tolist()), strict=True))

    def to_csr(self) -> Csr:
        """Return the weights as a sparse matrix with one row per user and one column per item.

        Rows are in the order of ``users``, columns in that of ``items``; weights of repeated clicks are added up.

        Examples
        --------
        >>> table = {"who": ["u", "v", "v"], "what": ["a", "b", "b"]}
        >>> Interactions.from_frame(table, user="who", item="what").to_csr().toarray().tolist()
        [[1.0, 0.0], [0.0, 2.0]]
        """
        at, shape = (self.user_index, self.item_index), (len(self.users), len(self.items))
        return csr_array((self.weight, at), shape=shape, dtype=np.float32)

    def to_frame(self) -> Any:
        """Return the columns ``user``, ``item``, ``weight`` and, where known, ``time`` in seconds since 1970.

        As a pandas frame; without pandas, as a dict of columns.
        """
        users, items = [self.users[at] for at in self.user_index], [self.items[at] for at in self.item_index]
        time = {} if self.time is None else {"time": self.time.tolist()}
        return as_frame({"user": users, "item": items, "weight": self.weight.tolist(), **time})

    def decayed(self, half_life: float, now: float | datetime | None = None) -> "Interactions":
        """Return the clicks with weights halved for every ``half_life`` days of their age.

        Parameters
        ----------
        half_life : float
            Days, above 0.
        now : float or datetime, optional
            Time, or seconds since 1970, at which age is 0, by default that of the last click. Later clicks keep their
            weight.

        Raises
        ------
        InvalidInputError
            When the clicks have no time, ``half_life`` is out of range, or ``now`` is no time.

        Examples
        --------
        >>> day = {"who": ["u", "u"], "what": [1, 2], "when": [0, 86_400]}
        >>> clicks = Interactions.from_frame(day, user="who", item="what", time="when")
        >>> clicks.decayed(half_life=1).weight.tolist()
        [0.5, 1.0]
        """
        check_between("half_life", half_life, 1e-6, 1e9)
        if self.time is None:
            raise InvalidInputError("`decayed` needs the time of each click; pass time= to Interactions.from_frame.")
        end = self.time.max(initial=0.0) if now is None else as_seconds([now], "now")[0]
        days = np.maximum(end - self.time, 0.0) / 86_400
        weight = self.weight * np.maximum(0.5 ** (days / half_life), MIN_DECAY)
        return replace(self, weight=np.maximum(weight, SMALLEST_WEIGHT).astype(np.float32))

    def within(self, item_ids: Sequence[Hashable] | Catalog, on_unknown: OnUnknown = "error") -> "Interactions":
        """Return the clicks on items of a catalogue.

        Parameters
        ----------
        item_ids : sequence of hashable, or Catalog
            The ids of the catalogue.
        on_unknown : {"error", "drop"}
            What to do with clicks on other items; "drop" warns and counts them.

        Raises
        ------
        InvalidInputError
            When there are clicks on other items and ``on_unknown="error"``.
        """
        check_one_of("on_unknown", on_unknown, ("error", "drop"))
        catalog = item_ids if isinstance(item_ids, Catalog) else set(id_tuple(item_ids, "item_ids"))
        unknown = [item_id for item_id in self.items if item_id not in catalog]
        if not unknown:
            return self
        keep = np.array([item_id in catalog for item_id in self.items], dtype=bool)[self.item_index]
        problem = (
            f"{(~keep).sum():,} of {len(self):,} clicks are on {len(unknown):,} items that are not in the catalogue"
        )
        if on_unknown == "error":
            raise InvalidInputError(
                f"Clicks must be on items of the catalogue; {problem}: {some(unknown)}. Add the items, check the "
                'type of the ids (1 and "1" differ), or pass on_unknown="drop".'
            )
        warnings.warn(f"Dropped: {problem}: {some(unknown)}.", ColdstartWarning, stacklevel=5)
        return self.take(keep)


def _factorize(ids: Sequence[Hashable]) -> tuple[tuple[Hashable, ...], IntArray]:
    """Return the distinct ids in order of first appearance, and the position of each row's id among them."""
    # Not np.unique: ids of several types have no order.
    positions: dict[Hashable, int] = {}
    index = np.fromiter((positions.setdefault(value, len(positions)) for value in ids), dtype=np.int64, count=len(ids))
    return tuple(positions), index


def _compact(ids: tuple[Hashable, ...], index: IntArray) -> tuple[tuple[Hashable, ...], IntArray]:
    """Return the ids that occur in the index, and the index into them."""
    used, compact = np.unique(index, return_inverse=True)
    return tuple(ids[i] for i in used), compact.astype(np.int64)


def _weights(values: Sequence[Any], name: str) -> FloatArray:
    """Return cells as weights."""
    return _within_bounds(as_numbers(values, name), values, name)


def _within_bounds(weights: AnyArray, given: Sequence[Any] | AnyArray, name: str) -> FloatArray:
    """Return weights as float32; raise where one, as it was given, is not within the bounds."""
    bad = np.flatnonzero(~((weights >= SMALLEST_WEIGHT) & (weights <= LARGEST_WEIGHT)))  # true for NaN
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must be between {SMALLEST_WEIGHT:g} and {LARGEST_WEIGHT:g}; got {shown(given[bad[0]])} in row "
            f"{bad[0]} ({len(bad):,} such rows). Drop rows that are no likes; pass dislikes in a request."
        )
    return weights.astype(np.float32)


def _column(values: Any, name: str, kinds: str) -> AnyArray:
    """Return a copy of a column as an array of one of some kinds of numbers."""
    try:
        column = np.array(values)
    except ValueError:  # lists of several lengths
        column = np.zeros((0, 0))
    if column.ndim != 1 or (len(column) and column.dtype.kind not in kinds):
        raise InvalidInputError(
            f"`{name}` of Interactions must be an array of numbers, one per click; got {shown(values)}."
        )
    return column


def _positions(values: Any, count: int, name: str) -> IntArray:
    """Return positions among a number of ids."""
    column = _column(values, name, "iu").astype(np.int64)
    outside = column[(column < 0) | (column >= count)]
    if len(outside):
        raise InvalidInputError(f"`{name}` must hold positions among the {count:,} ids, from 0 on; got {outside[0]}.")
    return column


def _distinct_ids(ids: Any, name: str) -> tuple[Hashable, ...]:
    """Return ids as a tuple; raise where one is repeated."""
    distinct = id_tuple(ids, name)
    if len(set(distinct)) < len(distinct):
        raise InvalidInputError(f"`{name}` of Interactions must hold every id once; got {some(distinct)}.")
    return distinct
