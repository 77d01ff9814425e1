"""Immutable rows; adding, replacing and leaving out rows makes a new table that shares most memory with the old."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
Block: TypeAlias = Any
"""An array of rows, or a tuple (or another sequence) of cells; never written to."""

SMALL = 1024
"""Blocks up to this long are merged with the next at once: copying them costs next to nothing."""

SPARE = 64
"""The live rows are copied into one block when there is more than one dead row per so many live ones."""


class Rows:
    """An immutable table of rows, stored in a few blocks, each much longer than the next.

    Added rows make a new block and a new ``Rows`` that shares the other blocks. A block is merged with the one before
    it when that is not twice as long, as in a log-structured merge tree, so a row is copied about log2(n) times in its
    life. Rows that are replaced or left out stay in their block, dead, and ``order`` says where the live rows are;
    when there are too many dead rows, the live ones are copied. So a change costs the size of the change, plus 8 bytes
    per row when it is more than an addition at the end.

    Attributes
    ----------
    blocks : tuple of arrays or of sequences
    order : ndarray of int64 or None
        Place of each row, counted over all blocks; None when row i is at place i.
    stored : int
        Number of places, dead ones included.

    Examples
    --------
    >>> few = Rows.of(("a", "b", "c")).taken(np.array([0, 2]))
    >>> more = few.extended(("d",)).replaced(np.array([0]), ("A",))
    >>> more.whole(), few.whole()
    (('A', 'c', 'd'), ('a', 'c'))
    """

    def __init__(self, blocks: tuple[Block, ...], order: IntArray | None = None) -> None:
        self.blocks = blocks
        self.order = order
        self._ends = np.cumsum([len(block) for block in blocks])
        self.stored = int(self._ends[-1])

    @classmethod
    def of(cls, block: Block) -> "Rows":
        """Make a table of one block."""
        return cls((block,))

    def __len__(self) -> int:
        return self.stored if self.order is None else len(self.order)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.whole())

    def __getitem__(self, row: int) -> Any:
        place = row if self.order is None else self.order[row]
        at = int(np.searchsorted(self._ends, place, side="right"))
        return self.blocks[at][int(place - self._ends[at])]  # a negative index, from the end of the block

    def take(self, rows: IntArray) -> Block:
        """Return the contents of some rows, in the order given: an array, or a tuple of cells."""
        places = rows if self.order is None else self.order[rows]
        if len(self.blocks) == 1:
            return _gather(self.blocks[0], places)
        which = np.searchsorted(self._ends, places, side="right")
        if not isinstance(self.blocks[0], np.ndarray):
            ends, places = self._ends.tolist(), places.tolist()
            return tuple(self.blocks[b][place - ends[b]] for b, place in zip(which.tolist(), places, strict=True))
        # Most rows are in the first block: read all rows there at once, then overwrite those of the other blocks.
        first = np.asarray(self.blocks[0])
        gathered = first[np.minimum(places, len(first) - 1)]
        for at, block in enumerate(self.blocks[1:], start=1):
            here = np.flatnonzero(which == at)
            gathered[here] = block[places[here] - self._ends[at]]
        return gathered

    def whole(self) -> Block:
        """Return all rows: an array, or a tuple of cells; without a copy where they are one block in its order."""
        if self.order is not None:
            return self.take(np.arange(len(self)))
        return self.blocks[0] if len(self.blocks) == 1 else _concatenate(self.blocks)

    @cached_property
    def positions(self) -> IntArray:
        """Row number at each place, -1 where the row is dead."""
        if self.order is None:
            return np.arange(self.stored)
        positions = np.full(self.stored, -1, dtype=np.int64)
        positions[self.order] = np.arange(len(self.order))
        return positions

    @cached_property
    def dead(self) -> IntArray:
        """Places of the rows that were replaced or left out, ascending."""
        return np.flatnonzero(self.positions < 0) if self.order is not None else np.zeros(0, dtype=np.int64)

    def extended(self, block: Block) -> "Rows":
        """Return a table with the rows of a block appended."""
        if not len(block):
            return self
        places = np.arange(self.stored, self.stored + len(block))
        return Rows(_merge_short((*self.blocks, block)), None if self.order is None else np.append(self.order, places))

    def replaced(self, rows: IntArray, block: Block) -> "Rows":
        """Return a table where ``rows[i]`` is row i of the block."""
        if not len(rows):
            return self
        order = np.arange(self.stored) if self.order is None else self.order.copy()
        order[rows] = np.arange(self.stored, self.stored + len(block))
        return Rows(_merge_short((*self.blocks, block)), order)._compacted()

    def taken(self, rows: IntArray) -> "Rows":
        """Return a table of some of the rows, in the order given."""
        return Rows(self.blocks, rows if self.order is None else self.order[rows])._compacted()

    def _compacted(self) -> "Rows":
        """Copy the live rows into one block where too many are dead."""
        if (self.stored - len(self)) * SPARE <= len(self):
            return self
        return Rows.of(self.whole())


def _gather(block: Block, places: IntArray) -> Block:
    if isinstance(block, np.ndarray):
        return block[places]
    return tuple(block[place] for place in places.tolist())


def _concatenate(blocks: Sequence[Block]) -> Block:
    if isinstance(blocks[0], np.ndarray):
        return np.concatenate(blocks)
    return tuple(chain.from_iterable(blocks))


def _merge_short(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Merge the last blocks until each is more than twice as long as the next, or longer than ``SMALL``."""
    while len(blocks) > 1 and len(blocks[-2]) <= max(2 * len(blocks[-1]), SMALL):
        blocks = (*blocks[:-2], _concatenate(blocks[-2:]))
    return blocks
