"""Plots of reports; matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from coldstart._extras import require
from coldstart._messages import shown
from coldstart.errors import InvalidInputError
from coldstart.evaluation.measured import Measured, Part, check_per_user
from coldstart.metrics.significance import bootstrap

KNOWN = ((0, 0), (1, 5), (6, 20), (21, 100), (101, 10**12))
"""Classes of users by their number of known clicks: smallest and largest number."""


def draw(reports: Sequence[Measured], kind: str, metric: str) -> Any:
    """Plot reports beside each other; see ``Report.plot``.

    Raises
    ------
    InvalidInputError
        When the kind is unknown.
    """
    if kind not in _KINDS:
        raise InvalidInputError(f"`kind` must be one of {list(_KINDS)}; got {shown(kind)}.")
    for report in reports:
        k = report.row(metric, None, report.groups[0]).k
        if kind in ("users", "warm_up"):
            check_per_user(report.parts[0], metric, k)
    axes = require("matplotlib.pyplot", extra="plot", by="Report.plot").subplots(layout="constrained")[1]
    _KINDS[kind](axes, reports, metric)
    axes.legend()
    return axes


def _groups(axes: Any, reports: Sequence[Measured], metric: str) -> None:
    """Bars of the metric in each group, with intervals."""
    groups = reports[0].groups
    width = 0.8 / len(reports)  # of a bar: those of one group fill .8 of the distance between two groups
    for at, report in enumerate(reports):
        rows = [report.row(metric, None, group) for group in groups]
        below, above = zip(*((row.value - row.low, row.high - row.value) for row in rows), strict=True)
        centers = np.arange(len(groups)) + (at - (len(reports) - 1) / 2) * width
        axes.bar(centers, [row.value for row in rows], width, yerr=[below, above], capsize=3, label=_label(report))
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(f"{metric}@{reports[0].row(metric, None, groups[0]).k}")


def _counts(axes: Any, reports: Sequence[Measured], _: str) -> None:
    """Lines of recall by training clicks of the item."""
    labels = list(reports[0].parts[0].by_count)
    for report in reports:
        totals = np.sum([[part.by_count[label] for label in labels] for part in _widest(report)], axis=0)
        share = np.divide(totals[:, 1], totals[:, 0], out=np.full(len(labels), np.nan), where=totals[:, 0] > 0)
        axes.plot(labels, share, marker="o", label=_label(report))
    axes.set_xlabel("training clicks of the item")
    axes.set_ylabel("recall")


def _users(axes: Any, reports: Sequence[Measured], metric: str) -> None:
    """Lines of the metric by known clicks of the user."""
    labels = [f"{low}" if low == high else f"{low}-{high}" for low, high in KNOWN[:-1]] + [f"over {KNOWN[-2][1]}"]
    for report in reports:
        k = report.row(metric, None, report.groups[0]).k
        values = np.concatenate([part.values[metric, k] for part in _widest(report)])
        known = np.concatenate([part.known for part in _widest(report)])
        means = [_mean(values[(known >= low) & (known <= high)]) for low, high in KNOWN]
        axes.plot(labels, means, marker="o", label=_label(report))
    axes.set_xlabel("known clicks of the user")
    axes.set_ylabel(metric)


def _deciles(axes: Any, reports: Sequence[Measured], _: str) -> None:
    """Lines of the share of exposure by tenth of the catalogue."""
    for report in reports:
        shares = np.mean([part.deciles for part in _widest(report)], axis=0)
        axes.plot(range(1, 11), shares, marker="o", label=_label(report))
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("tenth of the catalogue, most clicked first")
    axes.set_ylabel("share of exposure")


def _warm_up(axes: Any, reports: Sequence[Measured], metric: str) -> None:
    """Lines of the metric by revealed clicks, with intervals."""
    for report in reports:
        k = report.row(metric, None, report.groups[0]).k
        # The group whose clicks were revealed: the cold items, or the cold users of the first group.
        parts = report.of("cold" if "cold" in report.groups else report.groups[0])
        clicks = sorted({part.clicks for part in parts})
        intervals = [_interval([part for part in parts if part.clicks == count], metric, k) for count in clicks]
        mean, low, high = (np.array(values) for values in zip(*intervals, strict=True))
        axes.errorbar(clicks, mean, yerr=[mean - low, high - mean], marker="o", capsize=3, label=_label(report))
    axes.set_xlabel("clicks revealed")
    axes.set_ylabel(metric)


def _label(report: Measured) -> str:
    """Return the name for the legend, from which matplotlib leaves out names that begin with _."""
    return f" {report.name}" if report.name.startswith("_") else report.name


def _widest(report: Measured) -> list[Part]:
    """Return the results of the group with the most candidates: overall, where it was measured."""
    return report.of("overall" if "overall" in report.groups else report.groups[0])


def _interval(parts: Sequence[Part], metric: str, k: int) -> tuple[float, float, float]:
    """Return the mean of a metric over some splits and the bounds of its interval."""
    values = np.concatenate([part.values[metric, k] for part in parts])
    interval = bootstrap(values, [user for part in parts for user in part.users], draws=1000)
    return interval.mean, interval.low, interval.high


def _mean(values: Any) -> float:
    """Return the mean of the values that are not NaN, NaN without any, and no warning as ``nanmean`` would give."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


_KINDS = {"groups": _groups, "counts": _counts, "users": _users, "deciles": _deciles, "warm_up": _warm_up}
