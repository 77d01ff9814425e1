"""Arrays in a safetensors file: written piece by piece, read by mapping the file into memory."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart.errors import InvalidInputError, SavedFolderError

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
"""The names that the format gives to number formats."""

NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}


def write_tensors(tensors: Mapping[str, AnyArray], path: Path) -> None:
    """Write arrays as safetensors; none is copied.

    Raises
    ------
    InvalidInputError
        When one is of a number format that safetensors does not have.
    """
    header, end = {}, 0
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # so that all are aligned
    for name, array in ordered:
        if array.dtype not in NAMES:
            raise InvalidInputError(f"`{name}` cannot be saved: its numbers are {array.dtype}; use {', '.join(KINDS)}.")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def read_tensors(path: Path) -> dict[str, AnyArray]:
    """Map a safetensors file into memory: arrays that cannot be written to, read from disk where they are touched.

    Raises
    ------
    SavedFolderError
        When the file is not one, or is not whole.
    """
    try:
        return _mapped(path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SavedFolderError(f"{path.name!r} is not a whole safetensors file: {error}.") from error


def _mapped(path: Path) -> dict[str, AnyArray]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if not 8 < start <= size:
            raise ValueError(f"it has {size:,} bytes, and its header would end at {start:,}")
        header = json.loads(file.read(start - 8).decode("utf-8", "surrogatepass"))
    header.pop("__metadata__", None)
    end = start + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if end != size:
        raise ValueError(f"it has {size:,} bytes; its header says {end:,}")
    everything = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    return {name: _tensor(everything[start:], **entry) for name, entry in header.items()}


def _tensor(data: AnyArray, dtype: str, shape: list[int], data_offsets: list[int]) -> AnyArray:
    begin, end = data_offsets
    if dtype not in KINDS or end - begin != math.prod(shape) * np.dtype(KINDS[dtype]).itemsize or begin < 0:
        raise ValueError(f"a {dtype} array of shape {shape} cannot stand in bytes {begin:,} to {end:,}")
    return data[begin:end].view(KINDS[dtype]).reshape(shape)
