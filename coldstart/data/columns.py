"""Columns of a catalogue as tuples and as arrays, each made at first use and then kept."""

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
    """The cells of one column as read-only arrays, with what filters need to know of them.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Numbers, with NaN where a cell is missing, if all cells are numbers; else the cells as objects.
    present : ndarray of shape (n,), bool
        False where a cell is missing.
    types : frozenset of type
        Types of the cells that are not missing.
    """

    values: AnyArray
    present: BoolArray
    types: frozenset[type]

    @classmethod
    def of(cls, cells: Sequence[Any]) -> "Column":
        """Make the arrays of some cells.

        Examples
        --------
        >>> Column.of([1979, None, 1982]).values.tolist(), Column.of(["a", None]).values.tolist()
        ([1979.0, nan, 1982.0], ['a', None])
        """
        listed = list(cells)
        present = np.array([not is_missing(cell) for cell in listed], dtype=bool)
        filled = [cell for cell, is_present in zip(listed, present.tolist(), strict=True) if is_present]
        types = frozenset(map(type, filled))
        values = _numbers(filled, present) if types and all(issubclass(one, _NUMBERS) for one in types) else None
        if values is None:
            # Not np.array(listed): of lists of equal length it would make a matrix.
            values = np.fromiter(listed, dtype=object, count=len(listed))
        for array in (values, present):
            array.setflags(write=False)
        return cls(values, present, types)

    @property
    def kind(self) -> str:
        """Names of the types in the column, for messages."""
        return " and ".join(sorted(one.__name__ for one in self.types))


class ColumnArrays(Mapping[str, AnyArray]):
    """The columns of a catalogue as arrays, each made at first use."""

    def __init__(self, names: Sequence[str], cells_of: Callable[[str], Sequence[Any]]) -> None:
        self._names = tuple(names)
        self._cells_of = cells_of
        self._made: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """Return one column; raises KeyError when there is none of that name."""
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


def _numbers(filled: list[Any], present: BoolArray) -> AnyArray | None:
    """Return the numbers with NaN where cells are missing; None where an array cannot hold them exactly."""
    numbers = np.array(filled)
    if numbers.dtype.kind not in "biuf":
        return None
    if present.all():
        return numbers
    # NaN makes it an array of float64, which holds whole numbers exactly up to 2**53 only: large ids would be equal.
    if numbers.dtype.kind in "iu" and np.abs(numbers.astype(np.float64)).max() > 2**53:
        return None
    values = np.full(len(present), np.nan)
    values[present] = numbers
    return values
