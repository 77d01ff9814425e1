"""Cells of one type, packed into arrays: a saved column of a million opens as a memory map, without being read."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, BoolArray, IntArray
from coldstart.errors import SavedFolderError

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

    def checked(self) -> "Cells":
        """Return the cells, read from a file, after checking that their arrays fit together; texts are not read.

        Raises
        ------
        SavedFolderError
            When they do not.
        """
        n, ends = len(self.missing), self.ends
        kinds = tuple(DTYPES.values()) if ends is None else (np.uint8,)
        fits = self.missing.dtype == bool and self.missing.ndim == self.data.ndim == 1 and self.data.dtype in kinds
        if fits and ends is None:
            fits = len(self.data) == n
        elif fits and ends is not None:
            bounds = np.concatenate([[0], ends, [len(self.data)]])
            fits = ends.dtype == np.int64 and ends.shape == (n,) and not (bounds[1:] < bounds[:-1]).any()
        if not fits:
            raise SavedFolderError(f"The arrays of {n:,} saved cells do not fit together. Copy the folder again.")
        return self

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
        return _text(self.data[begin : self.ends[row]].tobytes())

    def __iter__(self) -> Iterator[Any]:
        # Convert all at once: item by item, numpy takes many times as long.
        if self.ends is None:
            values: Any = self.data.tolist()
        else:
            text, ends = self.data.tobytes(), self.ends.tolist()
            bounds = zip([0, *ends], ends, strict=False)
            values = (_text(text[begin:end]) for begin, end in bounds)
        return (None if missing else value for value, missing in zip(values, self.missing.tolist(), strict=True))


def _text(content: bytes) -> str:
    """Decode a cell; when a large folder is loaded, its texts are neither read nor compared with their hash."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise SavedFolderError(
            f"A saved text is damaged: {error}. load(folder, verify=True) tells which file is not what was saved."
        ) from error
