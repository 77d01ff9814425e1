"""Confidence intervals and p-values of means and of differences."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart._arrays import Rng, blocks, check_between, generator
from coldstart.errors import InvalidInputError

Values = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean, its interval, and the p-value of a mean of zero: floats, or arrays with one entry per column."""

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
    """Return the mean of per-user values with its percentile bootstrap interval over users (Efron 1979).

    Parameters
    ----------
    values : ndarray of shape (m,) or (m, n_columns)
        NaN are left out. All columns are resampled together.
    users : sequence of m hashables, optional
        User of each value. Values of one user, for example of several splits, depend on each other, so they are
        resampled together. By default every value has a user of its own.
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
    interval = _bootstrap(*_per_user(columns, users), level, draws, generator(rng))
    return Interval(*interval) if values.ndim == 2 else Interval(*(float(part[0]) for part in interval))


def paired_bootstrap(
    values: Values,
    others: Values,
    users: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    rng: Rng = 0,
) -> Interval:
    """Return the mean of ``values - others`` with its interval, resampling users.

    Both values of a user are drawn together. So what makes users easy or hard for both cancels out, and the interval is
    narrower than that of two separate means. Other arguments as in ``bootstrap``.

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
    """Return p-values corrected for multiple tests, in the order given.

    The step-down method of Holm (1979): the smallest p is multiplied by n, the next by n - 1, and so on. The chance of
    any false discovery stays below the level, as with Bonferroni's n times each, but more true ones are found.

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
    # A test is rejected only if all with smaller p are: so no corrected p is below that of a smaller one.
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _bootstrap(
    sums: Values, counts: Values, level: float, draws: int, random: np.random.Generator
) -> tuple[Values, Values, Values, Values]:
    """Return mean, low, high and p of every column, from the sums and counts of each user's values."""
    if not len(sums):
        nothing = np.full(sums.shape[1], np.nan)
        return nothing, nothing, nothing, nothing
    with np.errstate(invalid="ignore"):
        # 200 draws at a time: the matrix of counts below has draws * users numbers.
        means = np.concatenate([_resampled_means(sums, counts, part, random) for part in blocks(draws, 200)])
        mean = sums.sum(axis=0) / counts.sum(axis=0)
    low, high = np.full((2, len(mean)), np.nan)
    has_values = ~np.isnan(mean)
    bounds = [(1 - level) / 2, (1 + level) / 2]
    low[has_values], high[has_values] = np.nanquantile(means[:, has_values], bounds, axis=0)
    low, high = np.fmin(low, mean), np.fmax(high, mean)  # rounding may push a bound past the mean of equal values
    # The 1 counts the observed mean itself as a draw, so that p is never 0 (Davison and Hinkley 1997, section 4.2).
    beyond = np.minimum((means <= 0).sum(axis=0), (means >= 0).sum(axis=0))
    drawn = (~np.isnan(means)).sum(axis=0)
    return mean, low, high, np.where(has_values, np.minimum(1.0, 2 * (beyond + 1) / (drawn + 1)), np.nan)


def _per_user(values: Values, users: Sequence[Hashable] | None) -> tuple[Values, Values]:
    """Return sum and number of each user's values, by column, without users who have none."""
    present = ~np.isnan(values)
    sums, counts = np.where(present, values, 0.0), present.astype(np.float64)
    if users is not None:
        if len(users) != len(values):
            raise InvalidInputError(f"`users` must name one user per value, {len(values)}; got {len(users)}.")
        rows: dict[Hashable, int] = {}
        row = np.array([rows.setdefault(user, len(rows)) for user in users], dtype=np.int64)
        owner = csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=(len(rows), len(row)))
        sums, counts = owner @ sums, owner @ counts
    has_value = counts.any(axis=1)
    return sums[has_value], counts[has_value]


def _resampled_means(sums: Values, counts: Values, part: slice, random: np.random.Generator) -> Values:
    """Return the means of a block of resamples of users, drawn with replacement, shape (draws, columns).

    Only how often each user was drawn matters, so that a mean is two dot products, for all columns at once.
    """
    n_users, n_draws = len(sums), part.stop - part.start
    # The users of draw i are numbered from i * n_users on: one bincount counts all draws.
    drawn = random.integers(n_users, size=(n_draws, n_users)) + n_users * np.arange(n_draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=n_draws * n_users).reshape(n_draws, n_users).astype(np.float64)
    means: Values = (times @ sums) / (times @ counts)
    return means
