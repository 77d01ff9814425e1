"""The clicks: which user chose which item, with weights and times."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart._arguments import explain_arguments
from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, check_between
from coldstart._extras import as_frame
from coldstart.data.catalog import Catalog
from coldstart.data.tables import Table, checked_ids, pick, read_columns, some, with_index
from coldstart.data.times import as_numbers, as_seconds
from coldstart.errors import ColdstartWarning, InvalidInputError

MIN_DECAY = 1e-6
"""Share of its weight that a click keeps however old it is: a weight must stay above 0."""

OnUnknown: TypeAlias = Literal["error", "drop"]


@explain_arguments("Make them of a table: Interactions.from_frame(table, user='user column', item='item column').")
@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A table of clicks (likes, purchases, ratings turned into likes), one per row, copied and never changed.

    Use ``from_frame``.

    Attributes
    ----------
    users, items : tuple of hashable
        The distinct ids as given, in order of first appearance.
    user_index, item_index : ndarray of shape (n,), int64
        Position in ``users`` and in ``items`` of each click.
    weight : ndarray of shape (n,), float32
        Weight of each click, above 0; 1 by default.
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
        for name in ("user_index", "item_index", "weight", "time"):
            values = getattr(self, name)
            if values is not None:
                # The caller's arrays may change later, and a view could be written to.
                values = values.copy()
                values.setflags(write=False)
                object.__setattr__(self, name, values)

    @classmethod
    @explain_arguments()
    def from_frame(
        cls, frame: Table, *, user: str, item: str, weight: str | None = None, time: str | None = None
    ) -> "Interactions":
        """Copy a table of clicks.

        Parameters
        ----------
        frame : pandas, polars or pyarrow frame, dict of columns, list of dicts, or path
            One row per click. The weights of repeated clicks of a user on an item add up. The index of a pandas frame
            may be named as a column.
        user, item : str
            Columns of ids, any hashable values. Item ids must be those of the catalogue: 1 and "1" differ.
        weight : str, optional
            Column of weights, finite and above 0.
        time : str, optional
            Column of seconds since 1970, or of dates.

        Raises
        ------
        InvalidInputError
            When a column is unknown, an id is missing, a weight is not above 0, or a time is none.
        """
        columns = read_columns(with_index(frame, user, item, weight, time), "Interactions")
        users, user_index = _factorize(checked_ids(pick(columns, user, "Interactions"), user))
        items, item_index = _factorize(checked_ids(pick(columns, item, "Interactions"), item))
        weights = (
            np.ones(len(user_index)) if weight is None else _weights(pick(columns, weight, "Interactions"), weight)
        )
        times = None if time is None else as_seconds(pick(columns, time, "Interactions"), time)
        return cls(users, items, user_index, item_index, weights.astype(np.float32), times)

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
        if clicks.shape != (len(users), len(items)):
            raise InvalidInputError(
                f"`users` and `items` must name the rows and columns of `clicks`, of shape {clicks.shape}; "
                f"got {len(users):,} and {len(items):,} ids."
            )
        entries = clicks.tocoo()
        weights = _weights(entries.data.tolist(), "clicks")
        used_users, user_index = _compact(tuple(users), entries.row.astype(np.int64))
        used_items, item_index = _compact(tuple(items), entries.col.astype(np.int64))
        return cls(used_users, used_items, user_index, item_index, weights)

    def __len__(self) -> int:
        return len(self.user_index)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} clicks of {len(self.users):,} users on {len(self.items):,} items)"

    def take(self, rows: IntArray | BoolArray) -> "Interactions":
        """Return some of the clicks (positions or a mask), without users and items that have none of them."""
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

    def decayed(self, half_life: float, now: float | None = None) -> "Interactions":
        """Return the clicks with weights halved for every ``half_life`` days of their age.

        Parameters
        ----------
        half_life : float
            Days, above 0.
        now : float, optional
            Seconds since 1970 at which age is 0, by default the time of the last click. Later clicks keep their weight.

        Raises
        ------
        InvalidInputError
            When the clicks have no time, or ``half_life`` is out of range.

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
        now = self.time.max(initial=0.0) if now is None else now
        days = np.maximum(now - self.time, 0.0) / 86_400
        return replace(self, weight=(self.weight * np.maximum(0.5 ** (days / half_life), MIN_DECAY)).astype(np.float32))

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
        if on_unknown not in ("error", "drop"):
            raise InvalidInputError(f'`on_unknown` must be "error" or "drop"; got {on_unknown!r}.')
        catalog = item_ids if isinstance(item_ids, Catalog) else set(item_ids)
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
    """Return weights as float32; raise where one is not finite or not above 0, also by overflow or underflow."""
    with np.errstate(over="ignore"):
        weights = as_numbers(values, name).astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must be finite and above 0; got {values[bad[0]]!r} in row {bad[0]} ({len(bad):,} such rows). "
            "Drop rows that are no likes; pass dislikes in a request."
        )
    return weights
