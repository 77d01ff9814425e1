"""Compare two recommenders: differences with intervals and corrected p-values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from coldstart._extras import as_frame
from coldstart._messages import shown
from coldstart._tables import as_html, as_text
from coldstart.errors import InvalidInputError
from coldstart.evaluation.measured import Measured, check_per_user
from coldstart.metrics.significance import bootstrap, holm, paired_bootstrap

DRAWS = 2_000
"""Resamples behind each interval; the smallest p-value is 2 / 2,001."""


class Difference(NamedTuple):
    """Difference of one metric of one group: the first report minus the second."""

    group: str
    metric: str
    k: int
    value: float
    other: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Differences of two reports, metric by metric.

    Attributes
    ----------
    name, other : str
        Names of the two recommenders.
    rows : list of Difference
        With 95 % intervals of the difference, and p-values corrected over all rows (Holm).
    """

    name: str
    other: str
    rows: list[Difference]

    def to_frame(self) -> Any:
        """Return one row per group and metric: a pandas frame, or a dict of columns without pandas."""
        columns = zip(*self.rows, strict=True)
        return as_frame({name: list(values) for name, values in zip(Difference._fields, columns, strict=True)})

    def __repr__(self) -> str:
        return f"{self.name} minus {self.other}\n{as_text(self._cells())}"

    def _repr_html_(self) -> str:
        return as_html(f"{self.name} minus {self.other}", self._cells())

    def _cells(self) -> list[list[str]]:
        lines = [["group", "metric", "this", "other", "difference", "p (Holm)"]]
        for row in self.rows:
            interval = f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
            name = f"{row.metric}@{row.k}"
            lines.append([row.group, name, f"{row.value:.4f}", f"{row.other:.4f}", interval, f"{row.p:.4f}"])
        return lines


def compare(one: Measured, other: Measured, metrics: Sequence[str], k: int | None) -> Comparison:
    """Compare two reports on the same splits; see ``Report.compare``."""
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if not metrics:
        raise InvalidInputError("`metrics` must hold at least 1 metric; got none.")
    rows = [row for group in one.groups for row in _differences(one, other, group, metrics, k)]
    # Over all rows: of twenty comparisons of equal recommenders, one has p below .05 by chance.
    corrected = iter(holm([row.p for row in rows if not np.isnan(row.p)]))
    rows = [row if np.isnan(row.p) else row._replace(p=float(next(corrected))) for row in rows]
    return Comparison(one.name, other.name, rows)


def _differences(one: Measured, other: Measured, group: str, metrics: Sequence[str], k: int | None) -> list[Difference]:
    """Return the differences of some metrics in one group, paired by user."""
    parts, others = one.of(group), other.of(group)
    splits_and_users = [[(part.split, part.users) for part in side] for side in (parts, others)]
    if splits_and_users[0] != splits_and_users[1]:
        raise InvalidInputError(
            f"`other` must be a report on the same splits and users; in {shown(group)} they differ. "
            "Evaluate both on one split."
        )
    keys = [(metric, one.row(metric, k, group).k) for metric in metrics]
    for metric, length in keys:
        other.row(metric, length, group)
        check_per_user(parts[0], metric, length)
    values, baseline = (
        np.concatenate([np.column_stack([part.values[key] for key in keys]) for part in side])
        for side in (parts, others)
    )
    users = [user for part in parts for user in part.users]
    interval = paired_bootstrap(values, baseline, users, draws=DRAWS)
    means = [bootstrap(side, draws=100).mean for side in (values, baseline)]  # few draws: only the means are read
    columns = zip(keys, *means, interval.mean, interval.low, interval.high, interval.p, strict=True)
    return [Difference(group, *key, *map(float, numbers)) for key, *numbers in columns]
