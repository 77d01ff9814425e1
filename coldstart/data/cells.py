"""Cells of one type, packed into arrays: a saved column of a million opens as a memory map, without being read."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, BoolArray, IntArray

DTYPES = {int: np.int64, float: np.float64, bool: np.bool_}

LARGEST = 2**63 - 1
"""Largest absolute value that is packed; ints in Python have no bound."""


class Cells(Sequence[Any]):
    """A sequence of texts, ints, floats or bools, some of them None, stored in arrays; reads like a tuple.

    Attributes
    ----------
    data : ndarray
        The numbers, or the bytes of all texts one after the other, in UTF-8 that also allows lone surrogates.
    ends : ndarray of int64, or None
        Byte where each text ends; None for numbers.
    missing : ndarray of bool
        Where cells are None.

    Examples
    --------
    >>> cells = Cells.of(["Alien", None, "Ça"])
    >>> cells[2], cells[1], cells.data.nbytes
    ('Ça', None, 8)
    """

    def __init__(self, data: AnyArray, ends: IntArray | None, missing: BoolArray) -> None:
        self.data = data
        self.ends = ends
        self.missing = missing

    @classmethod
    def of(cls, cells: Sequence[Any]) -> "Cells | None":
        """Pack cells; None when they are not all of one type that can be packed."""
        if isinstance(cells, Cells):
            return cells
        kinds = set(map(type, cells)) - {type(None)}
        kind = kinds.pop() if len(kinds) == 1 else None
        missing = np.array([cell is None for cell in cells], dtype=bool)
        if kind is str:
            texts = [b"" if cell is None else cell.encode("utf-8", "surrogatepass") for cell in cells]
            ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
            return cls(np.frombuffer(b"".join(texts), dtype=np.uint8), ends, missing)
        if kind not in DTYPES or (kind is int and any(cell is not None and abs(cell) > LARGEST for cell in cells)):
            return None
        return cls(np.array([0 if cell is None else cell for cell in cells], dtype=DTYPES[kind]), None, missing)

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return tuple(self[at] for at in range(*row.indices(len(self))))
        row = range(len(self))[row]
        if self.missing[row]:
            return None
        if self.ends is None:
            return self.data[row].item()
        begin = self.ends[row - 1] if row else 0
        return self.data[begin : self.ends[row]].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[Any]:
        # Convert all at once: item by item, numpy takes many times as long.
        if self.ends is None:
            values: Any = self.data.tolist()
        else:
            text, ends = self.data.tobytes(), self.ends.tolist()
            bounds = zip([0, *ends], ends, strict=False)
            values = (text[begin:end].decode("utf-8", "surrogatepass") for begin, end in bounds)
        return (None if missing else value for value, missing in zip(values, self.missing.tolist(), strict=True))
