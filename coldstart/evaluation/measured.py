"""Results of an evaluation: values per user, and their means with intervals."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from coldstart._arrays import AnyArray, IntArray
from coldstart._messages import shown
from coldstart.errors import InvalidInputError
from coldstart.metrics.significance import bootstrap

Key: TypeAlias = tuple[str, int]

DRAWS = 1_000
"""Resamples behind each interval."""


@dataclass(frozen=True, eq=False)
class Part:
    """Results of one group of one split.

    Attributes
    ----------
    split, group : str
    clicks : int
        Clicks of each cold item or user that the recommender knew, in a warm-up or k-click split.
    users : tuple of user ids
        Evaluation users.
    known : ndarray of shape (n_users,)
        Number of clicks of each user that the recommender knew.
    values : dict of (metric, k) to ndarray of shape (n_users,)
    totals : dict of (metric, k) to float
        Metrics of all lists together.
    by_count : dict of str to (int, int)
        Number of relevant items, and of hits, by class of training clicks.
    deciles : ndarray of shape (10,)
        Share of exposure on each tenth of the catalogue, most clicked first.
    fit_seconds, answer_seconds : float
        Time of ``fit`` and of all recommendations.
    """

    split: str
    clicks: int
    group: str
    users: tuple[Hashable, ...]
    known: IntArray
    values: Mapping[Key, AnyArray]
    totals: Mapping[Key, float]
    by_count: Mapping[str, tuple[int, int]]
    deciles: AnyArray
    fit_seconds: float
    answer_seconds: float


class Row(NamedTuple):
    """One mean with its interval; ``low`` and ``high`` are NaN for a metric of all lists together."""

    group: str
    metric: str
    k: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, repr=False)
class Measured:
    """Results of one recommender.

    Attributes
    ----------
    name : str
        Of the recommender.
    parts : tuple of Part
        One per split and group.
    """

    name: str
    parts: tuple[Part, ...]

    @property
    def groups(self) -> list[str]:
        """Names of the groups, in order."""
        return list(dict.fromkeys(part.group for part in self.parts))

    @cached_property
    def rows(self) -> list[Row]:
        """Every mean with its 95 % bootstrap interval over users; several splits are pooled."""
        return [row for group in self.groups for row in _rows(group, self.of(group))]

    def of(self, group: str) -> list[Part]:
        """Return the results of a group, one per split.

        Raises
        ------
        InvalidInputError
            When the group was not measured.
        """
        parts = [part for part in self.parts if part.group == group]
        if not parts:
            raise InvalidInputError(f"`group` must be one of {self.groups}; got {shown(group)}.")
        return parts

    def value(self, metric: str = "ndcg", k: int | None = None, group: str | None = None) -> float:
        """Return the mean of one metric.

        By default that of the largest ``k``, and of the group "overall" or else the first one.

        Raises
        ------
        InvalidInputError
            When it was not measured.
        """
        return self.row(metric, k, group).value

    def row(self, metric: str = "ndcg", k: int | None = None, group: str | None = None) -> Row:
        """Return the mean of one metric with its interval; defaults as in ``value``.

        Raises
        ------
        InvalidInputError
            When it was not measured.
        """
        if group is None:
            group = "overall" if "overall" in self.groups else self.groups[0]
        self.of(group)
        rows = [row for row in self.rows if row.group == group and row.metric == metric and k in (None, row.k)]
        if not rows:
            measured = list(dict.fromkeys(f"{row.metric}@{row.k}" for row in self.rows))
            raise InvalidInputError(f"`metric` must be one of {measured}; got {shown(metric)} with k={k}.")
        return max(rows, key=lambda row: row.k)


def check_per_user(part: Part, metric: str, k: int) -> None:
    """Raise unless a metric has a value for each user.

    Raises
    ------
    InvalidInputError
        Naming the metrics that do.
    """
    if (metric, k) not in part.values:
        per_user = list(dict.fromkeys(name for name, _ in part.values))
        raise InvalidInputError(f"`metric` must have a value per user, as {per_user} have; got {shown(metric)}.")


def _rows(group: str, parts: Sequence[Part]) -> list[Row]:
    """Return the means of all metrics of one group over its splits."""
    # All metrics as columns of one bootstrap: users are resampled once.
    keys = list(parts[0].values)
    values = np.concatenate([np.column_stack([part.values[key] for key in keys]) for part in parts])
    users = [user for part in parts for user in part.users]
    mean, low, high, _ = bootstrap(values, users, draws=DRAWS)
    rows = [
        Row(group, metric, k, *map(float, numbers)) for (metric, k), *numbers in zip(keys, mean, low, high, strict=True)
    ]
    nan = float("nan")
    totals = [
        Row(group, metric, k, float(np.mean([part.totals[metric, k] for part in parts])), nan, nan)
        for metric, k in parts[0].totals
    ]
    return rows + totals
