"""How sure a mean is, and how sure a difference."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart._arrays import Rng, blocks, check_between, generator
from coldstart.errors import InvalidInputError

Values = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with its interval, and the p-value of its being zero: floats, or arrays of one entry per column."""

    mean: Any
    low: Any
    high: Any
    p: Any


def bootstrap(
    values: Values,
    users: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    rng: Rng = 0,
) -> Interval:
    """Return the mean of per-user values with the percentile bootstrap interval over users (Efron 1979).

    Parameters
    ----------
    values : ndarray of shape (m,) or (m, n_columns)
        NaN are left out. All columns are resampled together.
    users : sequence of m hashables, optional
        Whose values they are; values of one user, for example of several splits, are drawn together. By default
        every value has its own user.
    level : float
        Between 0.5 and 0.999.
    draws : int
        Number of resamples, at least 100.
    rng : int, SeedSequence or Generator

    Returns
    -------
    Interval
        ``p`` is two-sided: twice the share of resampled means on the other side of zero, at least 2 / (draws + 1).
        All NaN without values.

    Raises
    ------
    InvalidInputError
        When an argument is out of range, or there is not one user per value.

    Examples
    --------
    >>> mean, low, high, p = bootstrap(np.array([0.1, 0.3] * 50))
    >>> bool(low < mean == 0.2 < high)
    True
    """
    check_between("level", level, 0.5, 0.999)
    check_between("draws", draws, 100, 10**7)
    values = np.asarray(values, dtype=np.float64)
    columns = values if values.ndim == 2 else values[:, None]
    found = _bootstrap(*_per_user(columns, users), level, draws, generator(rng))
    return Interval(*found) if values.ndim == 2 else Interval(*(float(part[0]) for part in found))


def paired_bootstrap(
    values: Values,
    others: Values,
    users: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    rng: Rng = 0,
) -> Interval:
    """Return the mean of ``values - others`` with its interval: the same users are drawn for both.

    Other arguments as in ``bootstrap``.

    Raises
    ------
    InvalidInputError
        When the two do not have one value per user each.

    Examples
    --------
    >>> better = paired_bootstrap(np.linspace(0.2, 0.4, 50), np.linspace(0.1, 0.3, 50))
    >>> bool(better.low > 0 and better.p < 0.01)
    True
    """
    if np.shape(values) != np.shape(others):
        raise InvalidInputError(
            f"`values` and `others` must be of the same users; got {np.shape(values)} and {np.shape(others)}."
        )
    difference = np.asarray(values, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    return bootstrap(difference, users, level=level, draws=draws, rng=rng)


def holm(p_values: Sequence[float] | Values) -> Values:
    """Return p-values corrected for their number (Holm 1979), in the order given.

    Raises
    ------
    InvalidInputError
        When one is not between 0 and 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InvalidInputError(f"`p_values` must be between 0 and 1; got {p[~((p >= 0) & (p <= 1))][0]}.")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _bootstrap(
    sums: Values, counts: Values, level: float, draws: int, random: np.random.Generator
) -> tuple[Values, Values, Values, Values]:
    """Mean, low, high and p of every column, from each user's sums and counts."""
    if not len(sums):
        nothing = np.full(sums.shape[1], np.nan)
        return nothing, nothing, nothing, nothing
    with np.errstate(invalid="ignore"):
        means = np.concatenate([_resampled(sums, counts, part, random) for part in blocks(draws, 200)])
        mean = sums.sum(axis=0) / counts.sum(axis=0)
    low, high = np.full((2, len(mean)), np.nan)
    some = ~np.isnan(mean)
    low[some], high[some] = np.nanquantile(means[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = np.fmin(low, mean), np.fmax(high, mean)  # rounding may push a bound past the mean of equal values
    beyond = np.minimum((means <= 0).sum(axis=0), (means >= 0).sum(axis=0))
    drawn = (~np.isnan(means)).sum(axis=0)
    return mean, low, high, np.where(some, np.minimum(1.0, 2 * (beyond + 1) / (drawn + 1)), np.nan)


def _per_user(values: Values, users: Sequence[Hashable] | None) -> tuple[Values, Values]:
    """Sum and number of each user's values, by column; users without any value are left out."""
    there = ~np.isnan(values)
    sums, counts = np.where(there, values, 0.0), there.astype(np.float64)
    if users is not None:
        if len(users) != len(values):
            raise InvalidInputError(f"`users` must name one user per value, {len(values)}; got {len(users)}.")
        rows: dict[Hashable, int] = {}
        row = np.array([rows.setdefault(user, len(rows)) for user in users], dtype=np.int64)
        owner = csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=(len(rows), len(row)))
        sums, counts = owner @ sums, owner @ counts
    known = counts.any(axis=1)
    return sums[known], counts[known]


def _resampled(sums: Values, counts: Values, part: slice, random: np.random.Generator) -> Values:
    """Means of a block of resamples of users, with replacement."""
    n_users, n_draws = len(sums), part.stop - part.start
    drawn = random.integers(n_users, size=(n_draws, n_users)) + n_users * np.arange(n_draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=n_draws * n_users).reshape(n_draws, n_users).astype(np.float64)
    means: Values = (times @ sums) / (times @ counts)
    return means
