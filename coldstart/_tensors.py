"""Arrays in a safetensors file: written piece by piece, read by mapping the file into memory."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart.errors import MALFORMED, InvalidInputError, SavedFolderError

AnyArray: TypeAlias = npt.NDArray[Any]

KINDS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""Number formats by their name in the safetensors format."""

MAX_HEADER = 100_000_000
"""Bytes of a header, at most, as of the safetensors package: a file that states more is refused before it is read."""

NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}
"""The same, the other way round."""


def write_tensors(tensors: Mapping[str, AnyArray], path: Path) -> None:
    """Write arrays to a safetensors file, one after the other, without a copy of all of them in memory.

    Raises
    ------
    InvalidInputError
        When the format has no name for the number format of an array, or there are too many arrays.
    """
    header, end = {}, 0
    # Wide numbers first: then every array begins at a multiple of its item size, and can be mapped into memory.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    for name, array in ordered:
        if array.dtype not in NAMES:
            raise InvalidInputError(f"`{name}` cannot be saved: its numbers are {array.dtype}; use {', '.join(KINDS)}.")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)  # blanks after JSON mean nothing; they align the first array
    if len(text) > MAX_HEADER:
        raise InvalidInputError(f"A file must have at most {MAX_HEADER:,} bytes of names; got {len(text):,}.")
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def read_tensors(path: Path) -> dict[str, AnyArray]:
    """Map a safetensors file into memory: read-only arrays whose pages are read from disk when they are used.

    Raises
    ------
    SavedFolderError
        When it is not a whole safetensors file.
    """
    try:
        return _map(path)
    except MALFORMED as error:
        raise SavedFolderError(f"{path.name!r} is not a whole safetensors file: {error}.") from error


def _map(path: Path) -> dict[str, AnyArray]:
    """Check the sizes that the header states against the file, and return views of the mapped bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if not 8 < start <= min(size, 8 + MAX_HEADER):
            raise ValueError(f"it has {size:,} bytes, and its header would end at {start:,}")
        header = json.loads(file.read(start - 8).decode("utf-8", "surrogatepass"))
    header.pop("__metadata__", None)
    end = start + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if end != size:
        raise ValueError(f"it has {size:,} bytes; its header says {end:,}")
    content = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    return {name: _view(content[start:], **entry) for name, entry in header.items()}


def _view(data: AnyArray, dtype: str, shape: list[int], data_offsets: list[int]) -> AnyArray:
    """Return the array of one header entry, without a copy where it is aligned, as in every file of ours."""
    begin, end = data_offsets
    if dtype not in KINDS or end - begin != math.prod(shape) * np.dtype(KINDS[dtype]).itemsize or begin < 0:
        raise ValueError(f"a {dtype} array of shape {shape} cannot stand in bytes {begin:,} to {end:,}")
    array: AnyArray = data[begin:end].view(KINDS[dtype]).reshape(shape)
    # Compiled code takes truth values for bytes of 0 or 1, and counts by them.
    if dtype == "BOOL" and data[begin:end].max(initial=0) > 1:
        raise ValueError("a truth value is neither 0 nor 1")
    return array if array.flags.aligned else array.copy()
