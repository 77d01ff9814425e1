"""The clicks: who chose which item, how strongly and when."""

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

LEAST = 1e-6
"""What is left of the weight of a click however old it is."""

OnUnknown: TypeAlias = Literal["error", "drop"]


@explain_arguments("Make them of a table: Interactions.from_frame(table, user='user column', item='item column').")
@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Clicks (likes, purchases, ratings turned into likes): one row each, copied, never changed.

    Use ``from_frame``.

    Attributes
    ----------
    users, items : tuple of hashable
        The distinct ids as given, in order of first appearance.
    user_index, item_index : ndarray of shape (n,), int64
        Positions of each row in ``users`` and ``items``.
    weight : ndarray of shape (n,), float32
        Strength, above 0; 1 where nothing was given.
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
            One row per click. Repeated (user, item) rows add up. An index of a pandas frame may be named as a column.
        user, item : str
            Columns of ids, any hashable values. Item ids must be those of the catalogue: 1 and "1" differ.
        weight : str, optional
            Column of strengths, finite and above 0.
        time : str, optional
            Column of seconds since 1970, or of dates.

        Raises
        ------
        InvalidInputError
            Unknown column, missing id, a weight that is not above 0, a time that is not one.
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
        """Read a sparse matrix of weights, shape (n_users, n_items), with the ids of its rows and columns.

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
        cells = clicks.tocoo()
        weights = _weights(cells.data.tolist(), "clicks")
        used_users, user_index = _compact(tuple(users), cells.row.astype(np.int64))
        used_items, item_index = _compact(tuple(items), cells.col.astype(np.int64))
        return cls(used_users, used_items, user_index, item_index, weights)

    def __len__(self) -> int:
        return len(self.user_index)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} clicks of {len(self.users):,} users on {len(self.items):,} items)"

    def take(self, rows: IntArray | BoolArray) -> "Interactions":
        """Return some rows (positions or a mask); users and items without a row are left out."""
        users, user_index = _compact(self.users, self.user_index[rows])
        items, item_index = _compact(self.items, self.item_index[rows])
        time = None if self.time is None else self.time[rows]
        return Interactions(users, items, user_index, item_index, self.weight[rows], time)

    def pairs(self) -> list[tuple[Hashable, Hashable]]:
        """Return the (user, item) ids of each row."""
        users = (self.users[at] for at in self.user_index.tolist())
        return list(zip(users, (self.items[at] for at in self.item_index.tolist()), strict=True))

    def to_csr(self) -> Csr:
        """Return the weights as a sparse matrix, rows in the order of ``users``, columns in that of ``items``.

        Repeated clicks of a user on an item are added up.

        Examples
        --------
        >>> table = {"who": ["u", "v", "v"], "what": ["a", "b", "b"]}
        >>> Interactions.from_frame(table, user="who", item="what").to_csr().toarray().tolist()
        [[1.0, 0.0], [0.0, 2.0]]
        """
        at, shape = (self.user_index, self.item_index), (len(self.users), len(self.items))
        return csr_array((self.weight, at), shape=shape, dtype=np.float32)

    def to_frame(self) -> Any:
        """Return columns ``user, item, weight`` and, where it is known, ``time`` in seconds since 1970.

        A pandas frame, or a dict of columns without pandas.
        """
        users, items = [self.users[at] for at in self.user_index], [self.items[at] for at in self.item_index]
        time = {} if self.time is None else {"time": self.time.tolist()}
        return as_frame({"user": users, "item": items, "weight": self.weight.tolist(), **time})

    def decayed(self, half_life: float, now: float | None = None) -> "Interactions":
        """Return the clicks with weights that halve with every ``half_life`` days of their age.

        Parameters
        ----------
        half_life : float
            Days, above 0.
        now : float, optional
            Seconds since 1970, by default the time of the last click; later clicks keep their weight.

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
        return replace(self, weight=(self.weight * np.maximum(0.5 ** (days / half_life), LEAST)).astype(np.float32))

    def within(self, item_ids: Sequence[Hashable] | Catalog, on_unknown: OnUnknown = "error") -> "Interactions":
        """Keep the clicks on the items of a catalogue.

        Parameters
        ----------
        item_ids : sequence of hashable, or Catalog
            The ids of the catalogue.
        on_unknown : {"error", "drop"}
            What to do with clicks on other items; dropping warns with the counts.

        Raises
        ------
        InvalidInputError
            When there are clicks on other items and ``on_unknown="error"``.
        """
        if on_unknown not in ("error", "drop"):
            raise InvalidInputError(f'`on_unknown` must be "error" or "drop"; got {on_unknown!r}.')
        known = item_ids if isinstance(item_ids, Catalog) else set(item_ids)
        unknown = [item_id for item_id in self.items if item_id not in known]
        if not unknown:
            return self
        keep = np.array([item_id in known for item_id in self.items], dtype=bool)[self.item_index]
        found = f"{(~keep).sum():,} of {len(self):,} clicks are on {len(unknown):,} items that are not in the catalogue"
        if on_unknown == "error":
            raise InvalidInputError(
                f"Clicks must be on items of the catalogue; {found}: {some(unknown)}. Add the items, check the "
                'type of the ids (1 and "1" differ), or pass on_unknown="drop".'
            )
        warnings.warn(f"Dropped: {found}: {some(unknown)}.", ColdstartWarning, stacklevel=5)
        return self.take(keep)


def _factorize(ids: Sequence[Hashable]) -> tuple[tuple[Hashable, ...], IntArray]:
    """Distinct ids in order of first appearance, and the position of each row among them."""
    seen: dict[Hashable, int] = {}
    index = np.fromiter((seen.setdefault(value, len(seen)) for value in ids), dtype=np.int64, count=len(ids))
    return tuple(seen), index


def _compact(ids: tuple[Hashable, ...], index: IntArray) -> tuple[tuple[Hashable, ...], IntArray]:
    used, compact = np.unique(index, return_inverse=True)
    return tuple(ids[i] for i in used), compact.astype(np.int64)


def _weights(values: Sequence[Any], name: str) -> FloatArray:
    with np.errstate(over="ignore"):
        weights = as_numbers(values, name).astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must be finite and above 0; got {values[bad[0]]!r} in row {bad[0]} ({len(bad):,} such rows). "
            "Drop rows that are no likes; pass dislikes in a request."
        )
    return weights
