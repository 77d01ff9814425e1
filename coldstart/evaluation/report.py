"""The report of an evaluation: tables, comparisons, plots, saving."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray
from coldstart._extras import as_frame
from coldstart._json import Json, read_json, write_json
from coldstart._paths import inside
from coldstart._tables import as_html, as_text
from coldstart._tensors import read_tensors, write_tensors
from coldstart.evaluation.comparison import Comparison, compare
from coldstart.evaluation.measured import Measured, Part, Row
from coldstart.evaluation.plots import draw
from coldstart.packing import pack, unpack
from coldstart.storage import read_folder, write_folder

MAIN = ("ndcg", "recall", "hit_rate", "mrr")
"""Metrics in the columns of a table, by default."""


@dataclass(frozen=True, eq=False, repr=False)
class Report(Measured):
    """The result of ``evaluate``: values per user, and their means with intervals.

    Attributes
    ----------
    name : str
        Of the recommender.
    parts : tuple of Part
        One per split and group.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
    >>> split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.0, test=0.25)
    >>> report = cs.evaluate(cs.Recommender(encoder=HashEncoder()), split, k=3)
    >>> report
    Recommender(encoder=HashEncoder()) on random(rng=0)
    group    users  ndcg@3                recall@3              hit_rate@3            mrr@3
    overall  5      0.852 [0.705, 1.000]  1.000 [1.000, 1.000]  1.000 [1.000, 1.000]  0.800 [0.600, 1.000]
    """

    def table(self, metrics: Sequence[str] = MAIN, k: int | None = None) -> str:
        """Return a text table: a row per group, a column per metric, each with its interval.

        Raises
        ------
        InvalidInputError
            When a metric was not measured.
        """
        return as_text(self._cells(metrics, k))

    def to_frame(self) -> Any:
        """Return the columns ``group``, ``metric``, ``k``, ``value``, ``low`` and ``high``.

        As a pandas frame; without pandas, as a dict of columns.
        """
        columns = zip(*self.rows, strict=True)
        return as_frame({name: list(values) for name, values in zip(Row._fields, columns, strict=True)})

    def compare(
        self, other: Measured, metrics: Sequence[str] = ("ndcg", "recall", "mrr"), k: int | None = None
    ) -> Comparison:
        """Return the differences of this report to another one, by a paired bootstrap over their users.

        Parameters
        ----------
        other : Report
            On the same splits.
        metrics : sequence of str
        k : int, optional
            By default the largest.

        Returns
        -------
        Comparison
            Intervals of 95 %; p-values corrected over all rows (Holm).

        Raises
        ------
        InvalidInputError
            When the users, splits or metrics differ.
        """
        return compare(self, other, metrics, k)

    def plot(self, kind: str = "groups", *, metric: str = "ndcg", others: Sequence[Measured] = ()) -> Any:
        """Plot the report; needs the ``[plot]`` extra.

        Parameters
        ----------
        kind : {"groups", "counts", "users", "deciles", "warm_up"}
            Bars of each group with intervals; recall by training clicks of the item; the metric by known clicks of the
            user; exposure by tenths of the catalogue; the metric by revealed clicks (give several splits to
            ``evaluate``).
        metric : str
            For "groups", "users" and "warm_up".
        others : sequence of Report
            Reports to plot beside this one.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InvalidInputError, MissingExtraError
            For an unknown kind or metric; without matplotlib.
        """
        return draw([self, *others], kind, metric)

    def save(self, folder: str | Path) -> None:
        """Write the report to a folder of JSON and safetensors, whole or not at all.

        Raises
        ------
        InvalidInputError
            When ``folder`` holds something else, or a user id cannot be saved.
        """
        tensors: dict[str, AnyArray] = {}
        parts = [
            {field.name: pack(getattr(part, field.name), tensors, f"{at}.{field.name}") for field in fields(Part)}
            for at, part in enumerate(self.parts)
        ]
        files: dict[str, Any] = {
            "values.safetensors": lambda path: write_tensors(tensors, path),
            "parts.json": lambda path: write_json(parts, path),
        }
        write_folder(Path(folder), files, {"kind": "report", "name": self.name})

    @classmethod
    def load(cls, folder: str | Path) -> "Report":
        """Read a report that ``save`` wrote.

        Raises
        ------
        SavedFolderError
            When the folder is incomplete, altered, or holds something else.
        """
        return read_folder(Path(folder), cls._read, "report")

    @classmethod
    def _read(cls, place: Path, config: dict[str, Json]) -> "Report":
        tensors = read_tensors(inside(place, "values.safetensors"))
        packed = read_json(inside(place, "parts.json"))
        parts = (Part(**{name: unpack(value, tensors, {}) for name, value in part.items()}) for part in packed)
        return cls(config["name"], tuple(parts))

    def __repr__(self) -> str:
        splits = list(dict.fromkeys(part.split for part in self.parts))
        return f"{self.name} on {', '.join(splits)}\n{self.table()}"

    def _repr_html_(self) -> str:
        return as_html(self.name, self._cells(MAIN, None))

    def _cells(self, metrics: Sequence[str], k: int | None) -> list[list[str]]:
        lines = [["group", "users", *(f"{metric}@{self.row(metric, k, self.groups[0]).k}" for metric in metrics)]]
        for group in self.groups:
            users = len({user for part in self.of(group) for user in part.users})
            lines.append([group, f"{users:,}", *(_cell(self.row(metric, k, group)) for metric in metrics)])
        return lines


def _cell(row: Row) -> str:
    return f"{row.value:.3f}" if np.isnan(row.low) else f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
