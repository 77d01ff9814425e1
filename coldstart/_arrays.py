"""Small things every floor does with arrays: types, checks, unit rows, blocks, random numbers."""

from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart.errors import InvalidInputError

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]
Csr: TypeAlias = csr_array
GROUPS = 512
BLOCK_ROWS = 16_384

SAMPLE = 512
"""Rows by which a spread is measured."""

USUAL_SPREAD, PRIOR_ROWS = 0.1, 20
"""Spread of the cosines of a small sentence encoder (MiniLM: .09 to .13), and the rows that it counts for."""

Rng: TypeAlias = int | np.random.SeedSequence | np.random.Generator | None


def as_matrix(values: AnyArray, name: str) -> FloatArray:
    """Return ``values`` as finite float32 rows, or say what is wrong with them.

    Raises
    ------
    InvalidInputError
        When ``values`` is not two-dimensional, or holds something else than finite numbers.
    """
    try:
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"`{name}` must be rows of numbers of one length; {error}.") from error
    if matrix.ndim != 2:
        raise InvalidInputError(f"`{name}` must have shape (n, dim); got shape {matrix.shape}.")
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must be finite; got NaN or infinity in {len(bad)} of {len(matrix)} rows, "
            f"the first is row {bad[0]}. Check what produced that row."
        )
    return matrix


def check_between(name: str, value: Any, low: float, high: float, hint: str = "") -> None:
    """Raise unless ``value`` is a number in ``[low, high]``, a whole one when ``low`` is an int.

    Raises
    ------
    InvalidInputError
        Naming the argument, its range and what was got.
    """
    kind = Integral if isinstance(low, int) else Real
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits or not low <= float(value) <= high:
        word = "" if fits or not isinstance(value, float) else "a whole number "
        raise InvalidInputError(
            f"`{name}` must be {word}between {low:,.10g} and {high:,.10g}; got {value!r}.{' ' * bool(hint)}{hint}"
        )


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Scale each row to length one; a zero row stays zero.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: FloatArray = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    return unit


def blocks(total: int, size: int) -> Iterator[slice]:
    """Cut ``range(total)`` into consecutive slices of at most ``size``.

    Examples
    --------
    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def in_blocks(make: Callable[[slice], FloatArray], total: int, size: int = BLOCK_ROWS) -> FloatArray:
    """Return the rows that ``make`` makes of each slice of ``range(total)``; its scratch memory is that of one block.

    Examples
    --------
    >>> in_blocks(lambda block: np.arange(5.0)[block, None] + 1, 5, size=2).T.tolist()
    [[1.0, 2.0, 3.0, 4.0, 5.0]]
    """
    parts = blocks(max(total, 1), size)
    first = make(next(parts))
    if total <= size:
        return first
    rows = np.empty((total, *first.shape[1:]), dtype=first.dtype)
    rows[:size] = first
    for part in parts:
        rows[part] = make(part)
    return rows


def largest(scores: FloatArray, count: int) -> FloatArray:
    """Return the ``count`` largest numbers of each row, in any order.

    Examples
    --------
    >>> largest(np.array([[3.0, 1.0, 2.0]], dtype=np.float32), 2).tolist()
    [[2.0, 3.0]]
    """
    length = scores.shape[1]
    if not _is_long(scores, count):
        return np.partition(scores, length - count, axis=1)[:, length - count :]
    rows, columns = near_largest(scores, count)
    found = in_rows(rows, scores[rows, columns], len(scores), np.float32(-np.inf))
    return np.partition(found, found.shape[1] - count, axis=1)[:, found.shape[1] - count :]


def in_rows(rows: IntArray, values: AnyArray, n_rows: int, nothing: Any) -> AnyArray:
    """Return values (n,) of ascending rows as one line for each row, (n_rows, most of a row), ends of ``nothing``.

    Examples
    --------
    >>> in_rows(np.array([0, 0, 2]), np.array([5, 6, 7]), 3, -1).tolist()
    [[5, 6], [-1, -1], [7, -1]]
    """
    per_row = np.bincount(rows, minlength=n_rows)
    lines = np.full((n_rows, int(per_row.max(initial=0))), nothing, dtype=values.dtype)
    lines[rows, np.arange(len(rows)) - np.repeat(np.cumsum(per_row) - per_row, per_row)] = values
    return lines


def near_largest(scores: FloatArray, count: int) -> tuple[IntArray, IntArray]:
    """Return rows and columns of the ``count`` largest numbers of each row and, where rows are long, of few others.

    Long rows are dealt out to groups: as many groups as are asked for have a number that is at least the least of
    their largest, so that the largest of the row are at least that, too.
    """
    n_rows, length = scores.shape
    if _is_long(scores, count):
        depth = length // GROUPS
        tops = scores[:, : depth * GROUPS].reshape(n_rows, depth, GROUPS).max(axis=1)
        least = np.partition(tops, GROUPS - count, axis=1)[:, GROUPS - count, None]
    else:
        least = np.partition(scores, length - count, axis=1)[:, length - count, None]
    return positions_of(scores >= least)


def positions_of(mask: BoolArray) -> tuple[IntArray, IntArray]:
    """Return rows and columns of what is true, row by row: ``mask.nonzero()`` at a fraction of its time."""
    rows, columns = np.divmod(np.flatnonzero(mask), max(mask.shape[1], 1))
    return rows, columns


def split_entries(rows: Csr, which: BoolArray) -> tuple[Csr, Csr]:
    """Return the stored numbers that ``which`` (nnz,) says, in the order of the rows, and the others.

    Examples
    --------
    >>> kept, others = split_entries(csr_array([[1, 2], [3, 0]]), np.array([True, False, True]))
    >>> kept.toarray().tolist(), others.toarray().tolist()
    ([[1, 0], [3, 0]], [[0, 2], [0, 0]])
    """
    pairs = rows.tocoo()
    kept, others = (
        csr_array((pairs.data[part], (pairs.row[part], pairs.col[part])), shape=pairs.shape) for part in (which, ~which)
    )
    return kept, others


def spread(rows: FloatArray, others: FloatArray | None = None) -> float:
    """Return the standard deviation of the dot products of rows (n, dim) with the other ones, by a sample.

    Of a few rows it is mostly what is usual for the cosines of a sentence encoder: they tell next to nothing.

    Parameters
    ----------
    rows : ndarray of shape (n, dim)
    others : ndarray of shape (n, dim), optional
        What the rows are multiplied with, by default themselves; never row i with row i.
    """
    sample = np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64)
    products = rows[sample] @ (rows if others is None else others)[sample].T
    count = len(sample)
    variance = float(products[~np.eye(count, dtype=bool)].var()) if count > 1 else 0.0
    return float(np.sqrt((count * variance + PRIOR_ROWS * USUAL_SPREAD**2) / (count + PRIOR_ROWS)))


def _is_long(scores: FloatArray, count: int) -> bool:
    return len(scores) > 0 and scores.shape[1] >= 4 * GROUPS and count <= GROUPS // 4


def generator(rng: Rng) -> np.random.Generator:
    """Turn an int, a ``SeedSequence``, a ``Generator`` or None into a generator (SPEC 7)."""
    return np.random.default_rng(rng)
