"""Vectors as bytes, with a bound on what that loses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, FloatArray, IntArray, blocks
from coldstart._device import as_tensor
from coldstart._rows import Rows

if TYPE_CHECKING:
    import torch

BLOCK = 512
"""Rows with one scale: rows are sorted by their largest number, so that neighbours need about the same."""

TOP = 127
SMALLEST = 2.0**-100
"""A block whose scale is below has codes of zero: its numbers would leave the range of float32 when divided."""


@dataclass(frozen=True)
class Codes:
    """Consecutive rows of a matrix as int8; row ``order[i]`` is about ``scales[i // BLOCK] * codes[i]``.

    Attributes
    ----------
    codes : ndarray of shape (m, dim), int8
        m is a multiple of ``BLOCK``; the last rows may be padding.
    order : ndarray of shape (m,), int32
        Position of each row in the matrix; -1 is padding.
    scales : ndarray of shape (m / BLOCK,), float32
    reach : ndarray of shape (m / BLOCK,), float64
        No ``scale * code`` of the block is longer.
    errors : ndarray of shape (m / BLOCK,), float64
        No row of the block is further from its ``scale * code``.
    """

    codes: npt.NDArray[np.int8]
    order: npt.NDArray[np.int32]
    scales: FloatArray
    reach: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]

    @cached_property
    def first(self) -> int:
        """Position of the first row."""
        return int(self.order[self.order >= 0].min())

    @cached_property
    def rows(self) -> int:
        """Rows that are not padding."""
        return int((self.order >= 0).sum())

    @cached_property
    def places(self) -> npt.NDArray[np.int32]:
        """Where each row is, by its position from ``first`` on."""
        places = np.empty(self.rows, dtype=np.int32)
        places[self.order[: self.rows] - self.first] = np.arange(self.rows)
        return places

    @cached_property
    def tensor(self) -> "torch.Tensor":
        """The codes as torch sees them, in the same memory."""
        return as_tensor(self.codes)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    def within(self, positions: IntArray) -> IntArray:
        """Return where those of the positions are that are among these rows."""
        inside = (positions >= self.first) & (positions < self.first + self.rows)
        return np.asarray(self.places[positions[inside] - self.first], dtype=np.int64)


def encoded(vectors: Rows, first: int, stop: int) -> Codes:
    """Encode the rows from ``first`` to ``stop``; they are read, never copied whole."""
    positions = np.arange(first, stop)
    largest = np.concatenate([_largest(vectors.take(positions[block])) for block in blocks(stop - first, 1 << 14)])
    order = first + np.argsort(-largest, kind="stable")
    parts = [_block(vectors.take(order[block])) for block in blocks(len(order), BLOCK)]
    padding = -len(order) % BLOCK
    codes = np.zeros((len(order) + padding, vectors.blocks[0].shape[1]), dtype=np.int8)
    for at, part in zip(blocks(len(order), BLOCK), parts, strict=True):
        codes[at] = part[0]
    scales, reach, errors = (np.array(column) for column in list(zip(*parts, strict=True))[1:])
    places = np.append(order, np.full(padding, -1)).astype(np.int32)
    return Codes(codes, places, scales.astype(np.float32), reach, errors)


def grown(chunks: Sequence[Codes], vectors: Rows) -> tuple[Codes, ...]:
    """Encode the rows that came behind those of the chunks; short chunks at the end are encoded again with them.

    A chunk is taken in only by more rows than its own, or when it is shorter than a block: over many calls each row
    is encoded about log2(n / BLOCK) times, and the large chunks are shared.
    """
    kept = list(chunks)
    first = kept[-1].first + kept[-1].rows if kept else 0
    while kept and len(vectors) > first and kept[-1].rows < max(len(vectors) - first + 1, BLOCK):
        first = kept.pop().first
    return (*kept, encoded(vectors, first, len(vectors))) if len(vectors) > first else tuple(kept)


def as_arrays(chunks: Sequence[Codes]) -> list[dict[str, AnyArray]]:
    """Return chunks as arrays by name, to be saved."""
    names = ("codes", "order", "scales", "reach", "errors")
    return [{name: getattr(chunk, name) for name in names} for chunk in chunks]


def of_arrays(arrays: Sequence[Any]) -> tuple[Codes, ...]:
    """Return chunks out of what ``as_arrays`` gave."""
    return tuple(Codes(**chunk) for chunk in arrays)


def agrees(chunks: Sequence[Codes], vectors: Rows, sample: int = 64) -> bool:
    """Whether the chunks are of these vectors, by shape and by a sample of rows of each chunk."""
    if sum(chunk.rows for chunk in chunks) != len(vectors):
        return False
    for chunk in chunks:
        at = np.unique(np.linspace(0, chunk.rows - 1, sample).astype(np.int64))
        if chunk.codes.shape[1] != vectors.blocks[0].shape[1] or chunk.order.max() >= len(vectors):
            return False
        scale = chunk.scales[at // BLOCK, None].astype(np.float64)
        gap = np.linalg.norm(
            vectors.take(chunk.order[at].astype(np.int64)).astype(np.float64) - scale * chunk.codes[at], axis=1
        )
        if (gap > chunk.errors[at // BLOCK]).any():
            return False
    return True


def _largest(rows: FloatArray) -> FloatArray:
    found: FloatArray = np.maximum(rows.max(axis=1, initial=0.0), -rows.min(axis=1, initial=0.0))
    return found


def _block(rows: FloatArray) -> tuple[npt.NDArray[np.int8], np.float32, float, float]:
    """Codes, scale, reach and error of one block.

    With y = x / scale in float32, |x - scale c| <= scale (|y - c| + 2**-22 |y|), norms inflated by what their own
    float32 sums may lose.
    """
    n, dim = rows.shape
    inflated = 1.0 + (dim + 8) * 2.0**-23
    peak = _largest(rows).max(initial=0.0)
    scale = np.float32(peak / TOP)
    if scale < SMALLEST:
        return np.zeros((n, dim), dtype=np.int8), np.float32(0.0), 0.0, float(peak) * dim**0.5 * inflated
    scaled = rows * (np.float32(1.0) / scale)
    codes = np.rint(scaled)
    np.clip(codes, -TOP, TOP, out=codes)
    scaled -= codes
    away = float(np.einsum("ij,ij->i", scaled, scaled).max()) ** 0.5 * inflated
    long = float(np.einsum("ij,ij->i", codes, codes).max()) ** 0.5 * inflated
    size = float(scale)
    return codes.astype(np.int8), scale, size * long, size * (away + 2.0**-22 * (long + away)) * inflated
