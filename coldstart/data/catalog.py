"""The items: ids, the fields an encoder reads, and every other column for filters."""

import copy
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from coldstart._arrays import BoolArray, IntArray
from coldstart.data.tables import Table, checked_ids, is_missing, pick, read_columns, some
from coldstart.errors import InvalidInputError, UnknownIdError


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """Items with text (and any other columns), copied from the caller and never changed.

    Use ``from_frame``; the constructor takes columns that are already plain lists.

    Attributes
    ----------
    ids : tuple of hashable
        Item ids as given, unique, in row order.
    fields : tuple of str
        The columns that are encoded.
    columns : mapping of str to tuple
        All columns except the id, fields included. Missing cells of fields are None.
    id_name : str
        Name of the id column.

    Examples
    --------
    >>> catalog = Catalog.from_frame({"id": ["a", "b"], "title": ["Alien", None], "year": [1979, 1982]},
    ...                              id="id", fields=["title"])
    >>> catalog
    Catalog(2 items, fields: title (1 missing), other columns: year)
    >>> catalog.missing.tolist()
    [[False], [True]]
    """

    ids: tuple[Hashable, ...]
    fields: tuple[str, ...]
    columns: Mapping[str, tuple[Any, ...]]
    id_name: str = "item_id"

    def __post_init__(self) -> None:
        columns = {name: tuple(map(_own, values)) for name, values in self.columns.items()}
        for name, values in columns.items():
            if len(values) != len(self.ids):
                raise InvalidInputError(f"Column {name!r} must have {len(self.ids)} cells; got {len(values)}.")
        object.__setattr__(self, "ids", tuple(checked_ids(self.ids, self.id_name)))
        object.__setattr__(self, "fields", _checked_fields(self.fields, columns))
        for name in self.fields:
            columns[name] = tuple(_checked_texts(columns[name], name))
        object.__setattr__(self, "columns", MappingProxyType(columns))
        if not self.ids:
            raise InvalidInputError("A Catalog must have at least 1 item; got 0 rows.")
        _check_unique(self.ids, self.id_name)

    @classmethod
    def from_frame(cls, frame: Table, *, id: str, fields: Sequence[str]) -> "Catalog":
        """Copy a table of items.

        Parameters
        ----------
        frame : pandas, polars or pyarrow frame, dict of columns, list of dicts, or path
            Paths end in ``.csv``, ``.tsv``, ``.jsonl`` (each also ``.gz``) or ``.parquet``.
        id : str
            The column of item ids: any hashable values, unique.
        fields : sequence of str
            The columns to encode, at least one. Other columns stay available for ``where=``.

        Raises
        ------
        InvalidInputError
            Unknown column, missing or duplicate id, a field that is not text, no rows.
        """
        columns = read_columns(frame, "Catalog")
        ids = pick(columns, id, "Catalog")
        if isinstance(fields, str):
            raise InvalidInputError(f"`fields` must be a list of column names; got {fields!r}. Pass [{fields!r}].")
        texts = {name: pick(columns, name, "Catalog") for name in fields}
        others = {name: values for name, values in columns.items() if name != id}
        return cls(tuple(ids), tuple(fields), {n: tuple(v) for n, v in (others | texts).items()}, id)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: Hashable) -> bool:
        return item_id in self._positions

    def __repr__(self) -> str:
        counts = self.missing.sum(axis=0)
        fields = [f"{n} ({c} missing)" if c else n for n, c in zip(self.fields, counts, strict=True)]
        others = [name for name in self.columns if name not in self.fields]
        tail = f", other columns: {', '.join(others)}" if others else ""
        return f"Catalog({len(self):,} items, fields: {', '.join(fields)}{tail})"

    @cached_property
    def missing(self) -> BoolArray:
        """Where a field has no value, shape (n_items, n_fields)."""
        missing = np.array([[v is None for v in self.columns[f]] for f in self.fields], dtype=bool).T.copy()
        missing.setflags(write=False)
        return missing

    def __reduce__(self) -> tuple[Any, ...]:
        return Catalog, (self.ids, self.fields, dict(self.columns), self.id_name)

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        return {item_id: row for row, item_id in enumerate(self.ids)}

    def positions(self, item_ids: Iterable[Hashable], what: str = "item_ids") -> IntArray:
        """Return the row of each id.

        Raises
        ------
        UnknownIdError
            Naming every id that is not in the catalogue.
        """
        known, item_ids = self._positions, list(item_ids)
        unknown = [item_id for item_id in item_ids if item_id not in known]
        if unknown:
            raise UnknownIdError(
                f"`{what}` must hold ids of the {len(self):,} items of the catalogue; got {some(unknown)}. "
                "Add the items first (add_items), or check the type of the ids: 1 and '1' differ."
            )
        return np.array([known[item_id] for item_id in item_ids], dtype=np.int64)

    def take(self, rows: Sequence[int] | IntArray) -> "Catalog":
        """Return the catalogue of some rows, in that order."""
        columns = {name: tuple(values[r] for r in rows) for name, values in self.columns.items()}
        return Catalog(tuple(self.ids[r] for r in rows), self.fields, columns, self.id_name)

    def joined(self, rows: "Catalog") -> "Catalog":
        """Return this catalogue with the rows of another below; a column either lacks is None there.

        Raises
        ------
        InvalidInputError
            When an id of ``rows`` is here already.
        """
        twice = [item_id for item_id in rows.ids if item_id in self]
        if twice:
            raise InvalidInputError(
                f"`{self.id_name}` of new items must be new; got {some(twice)}, which the catalogue has. "
                "Use update_items to change an item."
            )
        names = dict.fromkeys([*self.columns, *rows.columns])
        columns = {
            name: (*self.columns.get(name, [None] * len(self)), *rows.columns.get(name, [None] * len(rows)))
            for name in names
        }
        return Catalog((*self.ids, *rows.ids), self.fields, columns, self.id_name)

    def updated(self, table: Table) -> "Catalog":
        """Return this catalogue with the cells of known items replaced.

        ``table`` has the id column and any others; each column it has replaces the cells of its rows.

        Raises
        ------
        InvalidInputError, UnknownIdError
            A repeated id, a column that the catalogue lacks, or an id that is not in the catalogue.
        """
        if isinstance(table, Catalog):
            table = {table.id_name: table.ids, **table.columns}
        given = read_columns(table, "Catalog")
        ids = checked_ids(pick(given, self.id_name, "Catalog"), self.id_name)
        _check_unique(ids, self.id_name)
        rows = self.positions(ids, self.id_name)
        columns = {name: list(values) for name, values in self.columns.items()}
        for name in given.keys() - {self.id_name}:
            column = pick(columns, name, "Catalog")
            for row, value in zip(rows, given[name], strict=True):
                column[row] = value
        return Catalog(self.ids, self.fields, {n: tuple(c) for n, c in columns.items()}, self.id_name)

    def like(self, table: Table) -> "Catalog":
        """Read new rows by the same id and field columns; a ``Catalog`` with them is taken as it is.

        Raises
        ------
        InvalidInputError
            When the id column or a field is not there.
        """
        if not isinstance(table, Catalog):
            return Catalog.from_frame(table, id=self.id_name, fields=self.fields)
        if table.fields != self.fields:
            raise InvalidInputError(f"New items must have the fields {self.fields}; got {table.fields}.")
        return table


_NO_TEXT = (int, float, list, dict, tuple, set, frozenset)


def _check_unique(ids: Sequence[Hashable], name: str) -> None:
    first: dict[Hashable, int] = {}
    twice = [item_id for row, item_id in enumerate(ids) if first.setdefault(item_id, row) != row]
    if twice:
        raise InvalidInputError(
            f"`{name}` must be unique; got {len(twice)} repeated: {some(twice)}. Drop the duplicate rows first."
        )


def _checked_fields(fields: Sequence[str], columns: Mapping[str, Any]) -> tuple[str, ...]:
    fields = tuple(fields)
    if not fields or len(set(fields)) < len(fields):
        raise InvalidInputError(f"`fields` must name at least 1 column, each once; got {list(fields)}.")
    for name in fields:
        pick(columns, name, "Catalog")
    return fields


def _own(cell: Any) -> Any:
    """Copy a cell that the caller could change."""
    return copy.deepcopy(cell) if isinstance(cell, list | dict | set | np.ndarray) else cell


def _checked_texts(values: Sequence[Any], name: str) -> list[Any]:
    """Mark missing cells as None and refuse numbers and lists posing as text."""
    cells = [None if is_missing(value) else value for value in values]
    for row, value in enumerate(cells):
        if isinstance(value, _NO_TEXT) or (isinstance(value, np.generic | np.ndarray) and not isinstance(value, str)):
            raise InvalidInputError(
                f"Field {name!r} must hold text; got {value!r} in row {row}. "
                "Turn it into a phrase first, for example ', '.join(genres)."
            )
    return cells
