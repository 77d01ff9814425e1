"""Rows that never change, of which a longer, a shorter or an edited table is made without copying them all."""

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
"""One row in so many may be dead, before the others are copied into one block."""


class Rows:
    """Rows in a few blocks, each much longer than the next, and where among them each row is.

    A value: what is added makes a new block and a new ``Rows`` that shares the others. A block is merged with the one
    before it when that is not twice as long, so a row is copied about log2(n) times in its life. Rows that are replaced
    or left out stay where they are, dead, until there are too many of them; a list of the places of the others says
    which rows there are. So a change costs what is new in it, plus 8 bytes per row when it is no plain addition.

    Attributes
    ----------
    blocks : tuple of arrays or of sequences
    order : ndarray of int64 or None
        Place of each row among the rows of all blocks; None when row i is at place i.
    stored : int
        Number of places.

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
        """Return the rows of one block."""
        return cls((block,))

    def __len__(self) -> int:
        return self.stored if self.order is None else len(self.order)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.whole())

    def __getitem__(self, row: int) -> Any:
        place = row if self.order is None else self.order[row]
        at = int(np.searchsorted(self._ends, place, side="right"))
        return self.blocks[at][int(place - self._ends[at])]  # counted from the block's end

    def take(self, rows: IntArray) -> Block:
        """Return some rows: an array, or a tuple of cells."""
        places = rows if self.order is None else self.order[rows]
        if len(self.blocks) == 1:
            return _picked(self.blocks[0], places)
        which = np.searchsorted(self._ends, places, side="right")
        if not isinstance(self.blocks[0], np.ndarray):
            ends, places = self._ends.tolist(), places.tolist()
            return tuple(self.blocks[b][place - ends[b]] for b, place in zip(which.tolist(), places, strict=True))
        first = np.asarray(self.blocks[0])
        taken = first[np.minimum(places, len(first) - 1)]  # most rows are there; the others are put right
        for at, block in enumerate(self.blocks[1:], start=1):
            here = np.flatnonzero(which == at)
            taken[here] = block[places[here] - self._ends[at]]
        return taken

    def whole(self) -> Block:
        """Return all rows: an array, or a tuple of cells; no copy while there is one block and all of it is used."""
        if self.order is not None:
            return self.take(np.arange(len(self)))
        return self.blocks[0] if len(self.blocks) == 1 else _joined(self.blocks)

    @cached_property
    def positions(self) -> IntArray:
        """Row at each place, -1 for dead ones."""
        if self.order is None:
            return np.arange(self.stored)
        positions = np.full(self.stored, -1, dtype=np.int64)
        positions[self.order] = np.arange(len(self.order))
        return positions

    @cached_property
    def dead(self) -> IntArray:
        """Places that hold no row any more."""
        return np.flatnonzero(self.positions < 0) if self.order is not None else np.zeros(0, dtype=np.int64)

    def extended(self, block: Block) -> "Rows":
        """Return these rows and those of a block after them."""
        if not len(block):
            return self
        places = np.arange(self.stored, self.stored + len(block))
        return Rows(_merged((*self.blocks, block)), None if self.order is None else np.append(self.order, places))

    def replaced(self, rows: IntArray, block: Block) -> "Rows":
        """Return these rows with some of them as in a block."""
        if not len(rows):
            return self
        order = np.arange(self.stored) if self.order is None else self.order.copy()
        order[rows] = np.arange(self.stored, self.stored + len(block))
        return Rows(_merged((*self.blocks, block)), order)._tidied()

    def taken(self, rows: IntArray) -> "Rows":
        """Return some of these rows, in the order given."""
        return Rows(self.blocks, rows if self.order is None else self.order[rows])._tidied()

    def _tidied(self) -> "Rows":
        """Copy what is alive into one block when too much is dead."""
        if (self.stored - len(self)) * SPARE <= len(self):
            return self
        return Rows.of(self.whole())


def _picked(block: Block, places: IntArray) -> Block:
    if isinstance(block, np.ndarray):
        return block[places]
    return tuple(block[place] for place in places.tolist())


def _joined(blocks: Sequence[Block]) -> Block:
    if isinstance(blocks[0], np.ndarray):
        return np.concatenate(blocks)
    return tuple(chain.from_iterable(blocks))


def _merged(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    while len(blocks) > 1 and len(blocks[-2]) <= max(2 * len(blocks[-1]), SMALL):
        blocks = (*blocks[:-2], _joined(blocks[-2:]))
    return blocks
