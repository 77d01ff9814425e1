"""The items: their ids, the fields that are encoded, and other columns for filters."""

import copy
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from coldstart._arguments import explain_arguments
from coldstart._arrays import BoolArray, IntArray, check_between
from coldstart._extras import as_frame
from coldstart._messages import shown
from coldstart._rows import Rows
from coldstart._tables import as_html
from coldstart.data.cells import Cells
from coldstart.data.columns import ColumnArrays, ColumnTuples
from coldstart.data.ids import Ids
from coldstart.data.tables import (
    ColumnName,
    Table,
    as_rows,
    checked_ids,
    column_name,
    column_names,
    id_tuple,
    is_missing,
    listed,
    pick,
    plain,
    read_columns,
    rows_of,
    some,
    with_index,
)
from coldstart.data.times import since_when
from coldstart.errors import InvalidInputError, UnknownIdError

ROWS_SHOWN, LETTERS_SHOWN = 5, 80
"""Rows of a catalogue, and letters of a cell, that a notebook shows at most."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Catalog:
    """A table of items with text and any other columns, copied from the caller and never changed.

    Use ``from_frame``; the constructor takes columns that are plain sequences already. A catalogue made from another
    one (``joined``, ``updated``, ``take``) shares the memory of what did not change.

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
    added : str or None
        Name of the column that says when an item was added.

    Examples
    --------
    >>> catalog = Catalog.from_frame({"id": ["a", "b"], "title": ["Alien", None], "year": [1979, 1982]},
    ...                              id="id", fields=["title"])
    >>> catalog
    Catalog(2 items, fields: title (1 missing), other columns: year)
    >>> catalog.missing.tolist()
    [[False], [True]]
    """

    fields: tuple[str, ...]
    id_name: str
    added: str | None
    _ids: Ids
    _cells: Mapping[str, Rows]

    @explain_arguments("Make a Catalog of a table: Catalog.from_frame(table, id='id column', fields=['title', ...]).")
    def __init__(
        self,
        ids: Sequence[Hashable],
        fields: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        id_name: str = "item_id",
        added: str | None = None,
    ) -> None:
        if not isinstance(columns, Mapping):
            raise InvalidInputError(f"`columns` of Catalog must be a mapping of columns; got {shown(columns)}.")
        id_name, added = column_name(id_name), None if added is None else column_name(added)
        ids = checked_ids(listed(ids, "ids"), id_name)
        cells = {column_name(name): tuple(map(_own, listed(values, name))) for name, values in columns.items()}
        for name, values in cells.items():
            if len(values) != len(ids):
                raise InvalidInputError(f"Column {shown(name)} must have {len(ids)} cells; got {len(values)}.")
        fields = _checked_fields(fields, cells)
        for name in fields:
            cells[name] = tuple(_checked_texts(cells[name], name))
        if added is not None:
            since_when(pick(cells, added, "Catalog"), added)
        if not ids:
            raise InvalidInputError("A Catalog must have at least 1 item; got 0 rows.")
        _check_unique(ids, id_name)
        self._set(Ids.of(ids), fields, {name: Rows.of(values) for name, values in cells.items()}, id_name, added)

    @classmethod
    def of_rows(
        cls, ids: Ids, fields: tuple[str, ...], cells: Mapping[str, Rows], id_name: str, added: str | None = None
    ) -> "Catalog":
        """Make a catalogue of ids and cells without checking them again."""
        catalog = cls.__new__(cls)
        catalog._set(ids, fields, cells, id_name, added)
        return catalog

    def _set(
        self, ids: Ids, fields: tuple[str, ...], cells: Mapping[str, Rows], id_name: str, added: str | None
    ) -> None:
        named = {"_ids": ids, "fields": fields, "_cells": cells, "id_name": id_name, "added": added}
        for name, value in named.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen

    @classmethod
    @explain_arguments()
    def from_frame(
        cls, frame: Table, *, id: ColumnName, fields: Sequence[ColumnName], added: ColumnName | None = None
    ) -> "Catalog":
        """Copy a table of items.

        Parameters
        ----------
        frame : pandas, polars or pyarrow frame, dict of columns, list of dicts, or path
            Paths end in ``.csv``, ``.tsv``, ``.jsonl`` (each also ``.gz``) or ``.parquet``.
        id : str or int
            The column of item ids, or the index of a pandas frame that has this name: any hashable values, unique.
        fields : sequence of str or int
            The columns to encode, at least one. Other columns stay available for ``where=``.
        added : str or int, optional
            Column of when each item was added: dates, datetimes or seconds since 1970, as the times of clicks. A
            missing cell means that the item was there from the start. With it, an item that has few clicks because it
            came late is not taken for an unpopular one.

        Raises
        ------
        InvalidInputError
            When a column is unknown, an id is missing or repeated, a field is not text, a cell of ``added`` is no
            time, or there are no rows.
        """
        id_name, texts = column_name(id), column_names(fields, "fields")
        added = None if added is None else column_name(added)
        columns = read_columns(with_index(frame, id_name, added), "Catalog")
        ids = pick(columns, id_name, "Catalog")
        text_columns = {name: pick(columns, name, "Catalog") for name in texts}
        others = {name: values for name, values in columns.items() if name != id_name}
        return cls(ids, texts, others | text_columns, id_name, added)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, item_id: Hashable) -> bool:
        return item_id in self._ids

    def __repr__(self) -> str:
        counts = self.missing.sum(axis=0)
        fields = [f"{n} ({c} missing)" if c else n for n, c in zip(self.fields, counts, strict=True)]
        others = [name for name in self._cells if name not in self.fields]
        tail = f", other columns: {', '.join(others)}" if others else ""
        tail += "" if self.added is None else f", added: {self.added}"
        return f"Catalog({len(self):,} items, fields: {', '.join(fields)}{tail})"

    @property
    def ids(self) -> tuple[Hashable, ...]:
        """Item ids in row order."""
        return self._ids.whole

    @cached_property
    def columns(self) -> Mapping[str, tuple[Any, ...]]:
        """All columns except the id as tuples; each is made at first use."""
        return ColumnTuples(self._cells)

    @cached_property
    def arrays(self) -> ColumnArrays:
        """All columns except the id as read-only arrays; each is made at first use.

        A column of numbers is an array of numbers, with NaN where a cell is missing; any other is an array of objects.
        """
        return ColumnArrays(tuple(self._cells), self.cells)

    @cached_property
    def missing(self) -> BoolArray:
        """Mask of missing cells of the fields, shape (n_items, n_fields)."""
        missing = np.array([_is_none(self._cells[f].whole()) for f in self.fields], dtype=bool).T.copy()
        missing.setflags(write=False)
        return missing

    def _with_missing_of(self, before: "Catalog", origin: IntArray) -> "Catalog":
        """Take over the mask of missing cells from the catalogue that this one was made from.

        So adding an item does not look at the cells of all others again.

        Parameters
        ----------
        before : Catalog
        origin : ndarray of shape (n_items,), int64
            Row in ``before`` of each row, -1 where the row is new or changed.
        """
        if "missing" in vars(before):  # where the cached property was computed; else it is left until it is used
            missing, new = before.missing[origin], np.flatnonzero(origin < 0)
            missing[new] = self.missing_at(new)
            missing.setflags(write=False)
            vars(self)["missing"] = missing
        return self

    def missing_at(self, rows: IntArray) -> BoolArray:
        """Return the rows of ``missing`` at some positions, without computing the others."""
        return np.array([_is_none(self._cells[f].take(rows)) for f in self.fields], dtype=bool).T.copy()

    def ids_at(self, rows: IntArray) -> tuple[Hashable, ...]:
        """Return the ids of some rows."""
        return self._ids.at(rows)

    @cached_property
    def since(self) -> npt.NDArray[np.float64] | None:
        """Seconds since 1970 when each item was added, shape (n_items,); None without an ``added`` column.

        Minus infinity, before all times, where a cell is missing.
        """
        if self.added is None:
            return None
        since = since_when(tuple(self.cells(self.added)), self.added)
        since.setflags(write=False)
        return since

    @property
    def item_ids(self) -> Ids:
        """The ids with their positions."""
        return self._ids

    def cells(self, name: str) -> Sequence[Any]:
        """Return a column as it is stored: as a tuple, or as ``Cells`` where it was read from a saved folder."""
        cells: Sequence[Any] = self._cells[name].whole()
        return cells

    def cells_at(self, name: str, rows: IntArray) -> tuple[Any, ...]:
        """Return some cells of a column."""
        return tuple(self._cells[name].take(rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return Catalog, (self.ids, self.fields, dict(self.columns), self.id_name, self.added)

    def to_frame(self) -> Any:
        """Return the id column and all others as a pandas frame; without pandas, as a dict of columns.

        Examples
        --------
        >>> items = Catalog.from_frame([{"id": "a", "title": "Alien", "year": 1979}], id="id", fields=["title"])
        >>> items.to_frame().to_dict("list")
        {'id': ['a'], 'title': ['Alien'], 'year': [1979]}
        """
        return as_frame({self.id_name: list(self.ids), **{name: list(self.columns[name]) for name in self._cells}})

    def head(self, n: int = 5) -> Any:
        """Return the first ``n`` items, from 1 to any number, as ``to_frame`` does."""
        check_between("n", n, 1, 10**12)
        return self.take(np.arange(min(n, len(self)))).to_frame()

    def _repr_html_(self) -> str:
        first = self.take(np.arange(min(ROWS_SHOWN, len(self))))
        head = [self.id_name, *self.fields, *(name for name in self._cells if name not in self.fields)]
        rows = zip(first.ids, *(first.columns[name] for name in head[1:]), strict=True)
        return as_html(repr(self), [head, *([_shown(cell) for cell in row] for row in rows)])

    def positions(self, item_ids: Iterable[Hashable], what: str = "item_ids") -> IntArray:
        """Return the row of each id.

        Raises
        ------
        UnknownIdError
            Naming every id that is not in the catalogue.
        """
        item_ids = id_tuple(item_ids, what)
        positions = [self._ids.find(item_id) for item_id in item_ids]
        unknown = [item_id for item_id, position in zip(item_ids, positions, strict=True) if position is None]
        if unknown:
            raise UnknownIdError(
                f"`{what}` must hold ids of the {len(self):,} items of the catalogue; got {some(unknown)}. "
                "Add the items first (add_items), or check the type of the ids: 1 and '1' differ."
            )
        return np.array(positions, dtype=np.int64)

    def take(self, rows: Sequence[int] | IntArray) -> "Catalog":
        """Return a catalogue of some rows, in that order.

        Raises
        ------
        InvalidInputError
            When no row is left, one is taken twice, or there is none at a position.
        """
        rows = rows_of(rows, len(self))
        if not len(rows):
            raise InvalidInputError("A Catalog must have at least 1 item; got 0 rows.")
        if np.bincount(rows).max() > 1:
            _check_unique(self._ids.at(rows), self.id_name)
        cells = {name: column.taken(rows) for name, column in self._cells.items()}
        taken = Catalog.of_rows(self._ids.taken(rows), self.fields, cells, self.id_name, self.added)
        return taken._with_missing_of(self, rows)

    def joined(self, rows: "Catalog") -> "Catalog":
        """Return this catalogue followed by the rows of another; cells of a column that one lacks are None.

        Raises
        ------
        InvalidInputError
            When an id of ``rows`` is here already.
        """
        present = [item_id for item_id in rows.ids if item_id in self]
        if present:
            raise InvalidInputError(
                f"`{self.id_name}` of new items must be new; got {some(present)}, which the catalogue has. "
                "Use update_items to change an item."
            )
        cells = {}
        for name in dict.fromkeys([*self._cells, *rows._cells]):
            above, below = (c._cells[name] if name in c._cells else Rows.of((None,) * len(c)) for c in (self, rows))
            cells[name] = above.extended(tuple(below.whole()))
        joined = Catalog.of_rows(self._ids.extended(rows.ids), self.fields, cells, self.id_name, self.added)
        return joined._with_missing_of(self, np.append(np.arange(len(self)), np.full(len(rows), -1)))

    def updated(self, table: Table) -> "Catalog":
        """Return this catalogue with other cells for some items.

        ``table`` has the id column and any others of the catalogue; its cells replace those of its items.

        Raises
        ------
        InvalidInputError, UnknownIdError
            When an id is repeated, or the catalogue lacks a column or an id.
        """
        return self.with_cells(*self.edits(table))

    def edits(self, table: Table) -> tuple[IntArray, dict[str, tuple[Any, ...]]]:
        """Return the rows of a table's items, and its cells by column; raises as ``updated``."""
        if isinstance(table, Catalog):
            table = {table.id_name: table.ids, **table.columns}
        columns = read_columns(with_index(as_rows(table), self.id_name), "Catalog")
        if not any(columns.values()):
            columns = {self.id_name: []}  # a feed without news may lack the columns, too
        ids = checked_ids(pick(columns, self.id_name, "Catalog"), self.id_name)
        _check_unique(ids, self.id_name)
        rows, cells = self.positions(ids, self.id_name), {}
        for name in columns.keys() - {self.id_name}:
            pick(self._cells, name, "Catalog")
            cells[name] = tuple(map(_own, columns[name]))
            if name in self.fields:
                cells[name] = tuple(_checked_texts(cells[name], name))
        self._check_added(cells)
        return rows, cells

    def with_cells(self, rows: IntArray, cells: Mapping[str, tuple[Any, ...]]) -> "Catalog":
        """Return this catalogue with other cells in some rows, as ``edits`` returned them."""
        edited = {name: self._cells[name].replaced(rows, column) for name, column in cells.items()}
        changed = Catalog.of_rows(self._ids, self.fields, {**self._cells, **edited}, self.id_name, self.added)
        origin = np.arange(len(self))
        origin[rows] = -1
        return changed._with_missing_of(self, origin)

    def like(self, table: Table) -> "Catalog | None":
        """Read new items by the same id and field columns; None where the table has no rows.

        A ``Catalog`` that has these columns is returned as it is.

        Raises
        ------
        InvalidInputError
            When the id column or a field is missing, or a cell of the ``added`` column is no time.
        """
        if isinstance(table, Catalog):
            new = table
        else:
            columns = read_columns(with_index(as_rows(table), self.id_name), "Catalog")
            if not any(columns.values()):
                return None
            new = Catalog.from_frame(columns, id=self.id_name, fields=self.fields)
        if new.fields != self.fields:
            raise InvalidInputError(f"New items must have the fields {self.fields}; got {new.fields}.")
        self._check_added(new.columns)
        return new

    def _check_added(self, cells: Mapping[str, Sequence[Any]]) -> None:
        if self.added is not None and self.added in cells:
            since_when(cells[self.added], self.added)


def _shown(cell: Any) -> str:
    """Return a cell as a notebook shows it."""
    text = "" if is_missing(cell) else str(cell)
    return text if len(text) <= LETTERS_SHOWN else text[: LETTERS_SHOWN - 1] + "…"


_NO_TEXT = (int, float, list, dict, tuple, set, frozenset)
"""Types that would become text by ``str``, but were hardly meant to be encoded so."""


_UNCHANGEABLE = (str, bytes, Number, date, time, timedelta, np.generic, type(None))
"""Types of cells that nobody can change, and that need no copy."""


def _check_unique(ids: Sequence[Hashable], name: str) -> None:
    first: dict[Hashable, int] = {}
    repeated = [item_id for row, item_id in enumerate(ids) if first.setdefault(item_id, row) != row]
    if repeated:
        raise InvalidInputError(
            f"`{name}` must be unique; got {len(repeated)} repeated: {some(repeated)}. Drop the duplicate rows first."
        )


def _checked_fields(fields: Sequence[str], columns: Mapping[str, Any]) -> tuple[str, ...]:
    fields = column_names(fields, "fields")
    if not fields or len(set(fields)) < len(fields):
        raise InvalidInputError(f"`fields` must name at least 1 column, each once; got {shown(list(fields))}.")
    for name in fields:
        pick(columns, name, "Catalog")
    return fields


def _is_none(cells: Any) -> Any:
    """Return where cells are None; packed cells know it without being unpacked."""
    return cells.missing if isinstance(cells, Cells) else [cell is None for cell in cells]


def _own(cell: Any) -> Any:
    """Return a cell, copied if the caller could change it; a date of numpy as one of Python."""
    if isinstance(cell, date | np.datetime64) and not is_missing(cell):
        return _own_date(cell)
    if isinstance(cell, _UNCHANGEABLE):
        return cell
    try:
        return copy.deepcopy(cell)
    except Exception as error:
        raise InvalidInputError(
            f"The cells of a Catalog must be values that can be copied; got {shown(cell)}, {type(error).__name__}."
        ) from error


def _own_date(cell: date | np.datetime64) -> Any:
    """Return a date; raise where Python has none that is equal, and a saved folder would hold another."""
    exact = plain(cell) if isinstance(cell, np.datetime64) else cell
    if isinstance(exact, np.datetime64) or getattr(exact, "nanosecond", None):
        raise InvalidInputError(
            f"The dates of a Catalog must be to the microsecond, of the years 1 to 9999; got {shown(cell)}. "
            'Cut off the nanoseconds, in pandas by `column.dt.floor("us")`, or pass text.'
        )
    return exact


def _checked_texts(values: Sequence[Any], name: str) -> list[Any]:
    """Return the cells of a field with missing ones as None; raise where a cell is a number or a list."""
    cells = [None if is_missing(value) else value for value in values]
    for row, value in enumerate(cells):
        if isinstance(value, _NO_TEXT) or (isinstance(value, np.generic | np.ndarray) and not isinstance(value, str)):
            raise InvalidInputError(
                f"Field {shown(name)} must hold text; got {shown(value)} in row {row}. "
                "Turn it into a phrase first, for example ', '.join(genres)."
            )
    return cells
