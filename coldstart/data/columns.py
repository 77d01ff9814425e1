"""Columns as tuples and as arrays, made when they are asked for and kept as long as their catalogue."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, BoolArray
from coldstart._rows import Rows
from coldstart.data.tables import is_missing

_NUMBERS = (bool, int, float, np.number, np.bool_)


@dataclass(frozen=True)
class Column:
    """The cells of one column, not to be written to.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Numbers where all cells are numbers, with NaN where one is missing; else the cells as they are.
    present : ndarray of shape (n,), bool
        False where a cell is missing.
    types : frozenset of type
        Of the cells that are there.
    """

    values: AnyArray
    present: BoolArray
    types: frozenset[type]

    @classmethod
    def of(cls, cells: Sequence[Any]) -> "Column":
        """Make arrays of cells.

        Examples
        --------
        >>> Column.of([1979, None, 1982]).values.tolist(), Column.of(["a", None]).values.tolist()
        ([1979.0, nan, 1982.0], ['a', None])
        """
        listed = list(cells)
        present = np.array([not is_missing(cell) for cell in listed], dtype=bool)
        there = [cell for cell, is_there in zip(listed, present.tolist(), strict=True) if is_there]
        types = frozenset(map(type, there))
        values = _numbers(there, present) if types and all(issubclass(one, _NUMBERS) for one in types) else None
        if values is None:
            values = np.fromiter(listed, dtype=object, count=len(listed))
        for array in (values, present):
            array.setflags(write=False)
        return cls(values, present, types)

    @property
    def kind(self) -> str:
        """What the column holds, for messages."""
        return " and ".join(sorted(one.__name__ for one in self.types))


class ColumnArrays(Mapping[str, AnyArray]):
    """The columns of a catalogue as arrays, each made at first use."""

    def __init__(self, names: Sequence[str], cells_of: Callable[[str], Sequence[Any]]) -> None:
        self._names = tuple(names)
        self._cells_of = cells_of
        self._made: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """Return one column with what is known of its cells."""
        if name not in self._made:
            if name not in self._names:
                raise KeyError(name)
            self._made[name] = Column.of(self._cells_of(name))
        return self._made[name]

    def __getitem__(self, name: str) -> AnyArray:
        return self.column(name).values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class ColumnTuples(Mapping[str, tuple[Any, ...]]):
    """Columns as tuples, each made at first use."""

    def __init__(self, cells: Mapping[str, Rows]) -> None:
        self._cells = cells
        self._made: dict[str, tuple[Any, ...]] = {}

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        if name not in self._made:
            self._made[name] = tuple(self._cells[name].whole())
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {len(cells):,} cells' for name, cells in self._cells.items())}}}"


def _numbers(there: list[Any], present: BoolArray) -> AnyArray | None:
    """Numbers with NaN between them, None where they do not fit into one array exactly."""
    numbers = np.array(there)
    if numbers.dtype.kind not in "biuf":
        return None
    if present.all():
        return numbers
    if numbers.dtype.kind in "iu" and np.abs(numbers.astype(np.float64)).max() > 2**53:
        return None
    spread = np.full(len(present), np.nan)
    spread[present] = numbers
    return spread
