"""Array helpers used everywhere: types, checks, unit rows, blocks, largest numbers, random numbers."""

from collections.abc import Callable, Collection, Iterator
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart._messages import shortened, shown
from coldstart.errors import InvalidInputError

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]
Csr: TypeAlias = csr_array
Rng: TypeAlias = int | np.random.SeedSequence | np.random.Generator | None

GROUPS = 512
"""Groups into which ``largest`` deals the numbers of a long row."""

BLOCK_ROWS = 16_384
"""Rows that ``in_blocks`` makes at a time, by default."""

SAMPLE = 512
"""Rows by which ``spread`` is measured, at most."""

USUAL_SPREAD, PRIOR_ROWS = 0.1, 20
"""Prior of ``spread``: the spread of the cosines of a small sentence encoder (MiniLM: .09 to .13), and the number of
rows that it counts for."""


def as_matrix(values: AnyArray, name: str) -> FloatArray:
    """Return ``values`` as a contiguous float32 matrix of finite numbers.

    Raises
    ------
    InvalidInputError
        When ``values`` is not two-dimensional, or holds something else than finite numbers.
    """
    try:
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"`{name}` must be rows of numbers of one length; {shortened(error)}.") from error
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
    # True and False are ints in Python, and durations are in numpy; neither is ever meant as a number here.
    fits = isinstance(value, kind) and not isinstance(value, bool | np.timedelta64)
    if not fits or not low <= value <= high:
        word = "" if fits or not isinstance(value, float) else "a whole number "
        raise InvalidInputError(
            f"`{name}` must be {word}between {low:,.10g} and {high:,.10g}; got {shown(value)}.{' ' * bool(hint)}{hint}"
        )


def check_one_of(name: str, value: Any, allowed: Collection[str]) -> None:
    """Raise unless ``value`` is one of some words.

    Raises
    ------
    InvalidInputError
        Naming the argument, the words and what was got.
    """
    # Not `value in allowed` alone: compared with a text, an array is no single truth value.
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInputError(f"`{name}` must be one of {', '.join(map(repr, allowed))}; got {shown(value)}.")


def check_flag(name: str, value: Any) -> None:
    """Raise unless ``value`` is True or False.

    Raises
    ------
    InvalidInputError
        Naming the argument and what was got.
    """
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"`{name}` must be True or False; got {shown(value)}.")


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
    """Return the rows that ``make`` returns for each slice of ``range(total)``, stacked.

    So ``make`` needs scratch memory for ``size`` rows only.

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
    # Of a long row, find a lower bound of the `count`-th largest number first, and partition the few numbers that
    # reach it: in rows of 60,000 numbers a third of the time of a partition of all.
    if len(scores) and scores.shape[1] >= 4 * GROUPS and count <= GROUPS // 4:
        scores = _reaching(scores, _lower_bound(scores, count))
    length = scores.shape[1]
    return np.partition(scores, length - count, axis=1)[:, length - count :]


def _lower_bound(scores: FloatArray, count: int) -> FloatArray:
    """Return a lower bound of the ``count``-th largest number of each row, shape (m, 1).

    The numbers of a row are dealt out to ``GROUPS`` groups. The maxima of the groups are different numbers of the row,
    so at least ``count`` numbers of the row are as large as the ``count``-th largest maximum.
    """
    n_rows, length = scores.shape
    depth = length // GROUPS
    # What does not fill a last row of groups belongs to none. The bound holds without it, as it could only raise it.
    maxima = scores[:, : depth * GROUPS].reshape(n_rows, depth, GROUPS).max(axis=1)
    return np.partition(maxima, GROUPS - count, axis=1)[:, GROUPS - count, None]


def _reaching(scores: FloatArray, bound: FloatArray) -> FloatArray:
    """Return the numbers of each row that are at least its bound, shape (m, longest row), filled up with -inf."""
    # Flat positions and a division: a fraction of the time of `nonzero` of a matrix.
    rows, columns = np.divmod(np.flatnonzero(scores >= bound), scores.shape[1])
    per_row = np.bincount(rows, minlength=len(scores))
    first_of_row = np.cumsum(per_row) - per_row
    lines = np.full((len(scores), int(per_row.max(initial=0))), -np.inf, dtype=scores.dtype)
    lines[rows, np.arange(len(rows)) - np.repeat(first_of_row, per_row)] = scores[rows, columns]
    return lines


def split_entries(matrix: Csr, chosen: BoolArray) -> tuple[Csr, Csr]:
    """Return the stored entries where ``chosen`` (nnz,) is true, and the others, as two matrices of the same shape.

    Examples
    --------
    >>> kept, others = split_entries(csr_array([[1, 2], [3, 0]]), np.array([True, False, True]))
    >>> kept.toarray().tolist(), others.toarray().tolist()
    ([[1, 0], [3, 0]], [[0, 2], [0, 0]])
    """
    entries = matrix.tocoo()
    kept, others = (
        csr_array((entries.data[part], (entries.row[part], entries.col[part])), shape=entries.shape)
        for part in (chosen, ~chosen)
    )
    return kept, others


def spread(rows: FloatArray, others: FloatArray | None = None) -> float:
    """Return the standard deviation of the dot products of rows with each other, on a sample of the rows.

    The variance is shrunk towards that of a usual sentence encoder, since a few rows say next to nothing about it. So
    it is above 0 also for no rows and for equal ones.

    Parameters
    ----------
    rows : ndarray of shape (n, dim)
    others : ndarray of shape (n, dim), optional
        What the rows are multiplied with, by default themselves. Row i is never multiplied with row i.
    """
    sample = np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64)
    products = rows[sample] @ (rows if others is None else others)[sample].T
    count = len(sample)
    variance = float(products[~np.eye(count, dtype=bool)].var()) if count > 1 else 0.0
    return float(np.sqrt((count * variance + PRIOR_ROWS * USUAL_SPREAD**2) / (count + PRIOR_ROWS)))


def generator(rng: Rng) -> np.random.Generator:
    """Turn an int, a ``SeedSequence``, a ``Generator`` or None into a generator (SPEC 7)."""
    return np.random.default_rng(rng)
