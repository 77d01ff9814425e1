"""Distinct ids in order, and where each is."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from coldstart._arrays import IntArray
from coldstart._rows import SMALL, Rows


class Ids:
    """Distinct ids, found by id and by position; a value, of which a longer or a shorter one shares the most.

    Examples
    --------
    >>> import numpy as np
    >>> ids = Ids.of(["a", "b", "c"]).taken(np.array([1, 2])).extended(["a"])
    >>> ids.whole, ids.find("a"), ids.find("x")
    (('b', 'c', 'a'), 2, None)
    """

    def __init__(self, rows: Rows, tables: tuple[Mapping[Hashable, int], ...] | None = None) -> None:
        self.rows = rows
        if tables is not None:
            self._tables = tables

    @classmethod
    def of(cls, ids: Iterable[Hashable]) -> "Ids":
        """Return ids that are known to be distinct."""
        return cls(Rows.of(tuple(ids)))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.whole)

    def __contains__(self, one: Hashable) -> bool:
        return self.find(one) is not None

    @cached_property
    def whole(self) -> tuple[Hashable, ...]:
        """All ids, in order."""
        return tuple(self.rows.whole())

    def find(self, one: Hashable) -> int | None:
        """Return the position of an id, None when it is not here."""
        for table in reversed(self._tables):
            place = table.get(one)
            if place is not None:
                position = place if self.rows.order is None else int(self.rows.positions[place])
                return position if position >= 0 else None  # an older table knows an older place, dead as well
        return None

    def at(self, positions: IntArray) -> tuple[Hashable, ...]:
        """Return the ids at some positions."""
        return tuple(self.rows.take(positions))

    def extended(self, ids: Sequence[Hashable]) -> "Ids":
        """Return these ids and others, which are not here, after them."""
        if not len(ids):
            return self
        tables = (*self._tables, {one: self.rows.stored + at for at, one in enumerate(ids)})
        while len(tables) > 1 and len(tables[-2]) <= max(2 * len(tables[-1]), SMALL):
            tables = (*tables[:-2], {**tables[-2], **tables[-1]})
        return Ids(self.rows.extended(tuple(ids)), tables)

    def taken(self, positions: IntArray) -> "Ids":
        """Return the ids at some positions, in that order."""
        rows = self.rows.taken(positions)
        return Ids(rows, self._tables if rows.blocks is self.rows.blocks else None)

    @cached_property
    def _tables(self) -> tuple[Mapping[Hashable, int], ...]:
        """Place of each id, newer ones in later tables; an id that came back is at the later of its places."""
        return (dict(zip(chain.from_iterable(self.rows.blocks), range(self.rows.stored), strict=True)),)
