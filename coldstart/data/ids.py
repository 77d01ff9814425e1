"""Distinct ids in order, with their positions."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

import numpy as np

from coldstart._arrays import IntArray
from coldstart._rows import SMALL, Rows


def sorted_positions(ids: Sequence[Hashable]) -> IntArray:
    """Return the positions of ids of any types in an order that depends on nothing but the ids.

    Ids are compared as text, with their type before it, since 1 and "a" have no order between them.

    Examples
    --------
    >>> sorted_positions(["b", "a", 1]).tolist()
    [2, 1, 0]
    """
    texts = [f"{type(one).__name__} {one!r}" for one in ids]
    return np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)


class Ids:
    """Immutable sequence of distinct ids, looked up by id and by position.

    Sequences made from it (``extended``, ``taken``) share most of its memory. Look-up is by one or a few dicts from id
    to place in ``rows``; added ids have a dict of their own, so that adding one does not copy the dict of a million.

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
        """Make a sequence of ids, which the caller knows to be distinct."""
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
        """Return the position of an id, None when it is not one of them."""
        for table in reversed(self._tables):  # the latest first: an id that was removed and added again is in two
            place = table.get(one)
            if place is not None:
                position = place if self.rows.order is None else int(self.rows.positions[place])
                return position if position >= 0 else None  # removed, and so is any earlier place of it
        return None

    def at(self, positions: IntArray) -> tuple[Hashable, ...]:
        """Return the ids at some positions."""
        return tuple(self.rows.take(positions))

    def extended(self, ids: Sequence[Hashable]) -> "Ids":
        """Return a sequence with other ids appended, which the caller knows not to be among these."""
        if not len(ids):
            return self
        tables = (*self._tables, {one: self.rows.stored + at for at, one in enumerate(ids)})
        # Merged as blocks of `Rows` are: each table is much longer than the next, so a look-up passes by few of them.
        while len(tables) > 1 and len(tables[-2]) <= max(2 * len(tables[-1]), SMALL):
            tables = (*tables[:-2], {**tables[-2], **tables[-1]})
        return Ids(self.rows.extended(tuple(ids)), tables)

    def taken(self, positions: IntArray) -> "Ids":
        """Return a sequence of the ids at some positions, in that order."""
        rows = self.rows.taken(positions)
        # Places hold as long as the blocks are shared; when the rows were copied, the table is made anew.
        return Ids(rows, self._tables if rows.blocks is self.rows.blocks else None)

    @cached_property
    def _tables(self) -> tuple[Mapping[Hashable, int], ...]:
        """Place of each id among all stored ones; of an id that was added again, the later place."""
        return (dict(zip(chain.from_iterable(self.rows.blocks), range(self.rows.stored), strict=True)),)
