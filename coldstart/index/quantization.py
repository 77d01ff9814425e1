"""Vectors quantized to int8, with a bound on the error of each."""

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
"""Rows that share one scale. Rows are sorted by their largest number first, so that one scale fits the whole block."""

MAX_CODE = 127
"""Codes go from -127 to 127: symmetric, so that -x has the negated codes of x."""

MIN_SCALE = 2.0**-100
"""A block of a smaller scale gets codes of zero: dividing by such a scale would leave the range of float32."""


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
        Upper bound on the norm of every ``scale * code`` of the block.
    errors : ndarray of shape (m / BLOCK,), float64
        Upper bound on the distance of every row of the block to its ``scale * code``.
    """

    codes: npt.NDArray[np.int8]
    order: npt.NDArray[np.int32]
    scales: FloatArray
    reach: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]

    @cached_property
    def first(self) -> int:
        """Position of the first row in the matrix."""
        return int(self.order[self.order >= 0].min())

    @cached_property
    def rows(self) -> int:
        """Number of rows without the padding."""
        return int((self.order >= 0).sum())

    @cached_property
    def places(self) -> npt.NDArray[np.int32]:
        """Inverse of ``order``: index into ``codes`` of the row at position ``first + i``, shape (rows,)."""
        places = np.empty(self.rows, dtype=np.int32)
        places[self.order[: self.rows] - self.first] = np.arange(self.rows)
        return places

    @cached_property
    def tensor(self) -> "torch.Tensor":
        """The codes as a tensor that shares their memory."""
        return as_tensor(self.codes)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    def within(self, positions: IntArray) -> IntArray:
        """Return the indices into ``codes`` of those positions that are in this chunk."""
        inside = (positions >= self.first) & (positions < self.first + self.rows)
        return np.asarray(self.places[positions[inside] - self.first], dtype=np.int64)


def encode(vectors: Rows, first: int, stop: int) -> Codes:
    """Quantize the rows from ``first`` to ``stop``.

    Vectors may be a memory map larger than memory: they are read in blocks, twice.
    """
    positions = np.arange(first, stop)
    peaks = np.concatenate([_max_abs(vectors.take(positions[block])) for block in blocks(stop - first, 1 << 14)])
    # The scale of a block is that of its largest number. Unsorted, one long row would coarsen 511 short ones.
    order = first + np.argsort(-peaks, kind="stable")
    parts = [_quantize(vectors.take(order[block])) for block in blocks(len(order), BLOCK)]
    # Whole blocks only, so that products can be reshaped to (blocks, groups, rows of a group).
    padding = -len(order) % BLOCK
    codes = np.zeros((len(order) + padding, vectors.blocks[0].shape[1]), dtype=np.int8)
    for at, part in zip(blocks(len(order), BLOCK), parts, strict=True):
        codes[at] = part[0]
    scales, reach, errors = (np.array(column) for column in list(zip(*parts, strict=True))[1:])
    padded_order = np.append(order, np.full(padding, -1)).astype(np.int32)
    return Codes(codes, padded_order, scales.astype(np.float32), reach, errors)


def encode_appended(chunks: Sequence[Codes], vectors: Rows) -> tuple[Codes, ...]:
    """Quantize the rows after those of the chunks, and short chunks at the end again together with them.

    A chunk is encoded again only together with more rows than its own, or when it is shorter than a block. So over many
    calls each row is encoded about log2(n / BLOCK) times, there are as few chunks, and the large ones are shared with
    the index before.
    """
    kept = list(chunks)
    first = kept[-1].first + kept[-1].rows if kept else 0
    while kept and len(vectors) > first and kept[-1].rows < max(len(vectors) - first + 1, BLOCK):
        first = kept.pop().first
    return (*kept, encode(vectors, first, len(vectors))) if len(vectors) > first else tuple(kept)


def to_arrays(chunks: Sequence[Codes]) -> list[dict[str, AnyArray]]:
    """Return the arrays of each chunk by name, to be saved."""
    names = ("codes", "order", "scales", "reach", "errors")
    return [{name: getattr(chunk, name) for name in names} for chunk in chunks]


def from_arrays(arrays: Sequence[Any]) -> tuple[Codes, ...]:
    """Return the chunks whose arrays ``to_arrays`` returned."""
    return tuple(Codes(**chunk) for chunk in arrays)


def are_codes_of(vectors: Rows, chunks: Sequence[Codes], sample: int = 64) -> bool:
    """Whether the chunks may be the codes of these vectors, by shape and by a sample of rows of each chunk.

    Saved codes are put together with vectors that come from elsewhere; with the wrong ones, searches would silently
    miss what they should find. A sample costs milliseconds, and other vectors are outside of the bounds almost
    everywhere.
    """
    if sum(chunk.rows for chunk in chunks) != len(vectors):
        return False
    for chunk in chunks:
        at = np.unique(np.linspace(0, chunk.rows - 1, sample).astype(np.int64))
        if chunk.codes.shape[1] != vectors.blocks[0].shape[1] or chunk.order.max() >= len(vectors):
            return False
        scale = chunk.scales[at // BLOCK, None].astype(np.float64)
        rows = vectors.take(chunk.order[at].astype(np.int64)).astype(np.float64)
        if (np.linalg.norm(rows - scale * chunk.codes[at], axis=1) > chunk.errors[at // BLOCK]).any():
            return False
    return True


def _max_abs(rows: FloatArray) -> FloatArray:
    """Return the largest absolute value of each row, without the copy that ``np.abs`` would make."""
    largest: FloatArray = np.maximum(rows.max(axis=1, initial=0.0), -rows.min(axis=1, initial=0.0))
    return largest


def _quantize(rows: FloatArray) -> tuple[npt.NDArray[np.int8], np.float32, float, float]:
    """Return the codes, the scale, and the bounds ``reach`` and ``errors`` of one block.

    Everything is computed in float32, which is twice as fast as float64; the bounds allow for its rounding. Write x for
    a row, s for the scale, c for the code and y for x / s as computed, by a rounded reciprocal and a rounded product.
    Then ``|x / s - y| <= 2**-22 |y|``, so that

        |x - s c| <= s (|y - c| + 2**-22 |y|), with |y| <= |c| + |y - c|.
    """
    n, dim = rows.shape
    # A float32 sum of dim squares is off by at most about dim 2**-24 of itself; 8 stands for the other roundings.
    inflated = 1.0 + (dim + 8) * 2.0**-23
    peak = _max_abs(rows).max(initial=0.0)
    scale = np.float32(peak / MAX_CODE)
    if scale < MIN_SCALE:
        # All codes are 0, so the error is the norm of the row, at most sqrt(dim) times its largest number.
        return np.zeros((n, dim), dtype=np.int8), np.float32(0.0), 0.0, float(peak) * dim**0.5 * inflated
    scaled = rows * (np.float32(1.0) / scale)
    codes = np.rint(scaled)
    np.clip(codes, -MAX_CODE, MAX_CODE, out=codes)  # the scale is rounded, so the peak may come to a little above 127
    scaled -= codes
    residual = float(np.einsum("ij,ij->i", scaled, scaled).max()) ** 0.5 * inflated
    norm = float(np.einsum("ij,ij->i", codes, codes).max()) ** 0.5 * inflated
    size = float(scale)
    return codes.astype(np.int8), scale, size * norm, size * (residual + 2.0**-22 * (norm + residual)) * inflated
