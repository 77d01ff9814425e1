"""Read frames, mappings, records and files into plain columns, and check ids."""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, TypeVar

import numpy as np

from coldstart._extras import require
from coldstart.errors import InvalidInputError

_T = TypeVar("_T")

Columns: TypeAlias = dict[str, list[Any]]
Table: TypeAlias = Any
"""A pandas, polars or pyarrow frame, a mapping of columns, a list of mappings, or a path."""


def read_columns(table: Table, owner: str) -> Columns:
    """Copy a table into lists of Python values, one per column.

    Parameters
    ----------
    table : pandas, polars or pyarrow frame, mapping of columns, list of mappings, or path
        Paths end in ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` (each also ``.gz``) or ``.parquet``.
        The cells of a CSV or TSV are strings. A CSV may quote cells (RFC 4180), a TSV does not (IANA).
    owner : str
        Name of the class that reads it, for error messages.

    Raises
    ------
    InvalidInputError
        When the table is of no known kind, or its columns differ in length.

    Examples
    --------
    >>> read_columns([{"id": 1, "title": "Alien"}, {"id": 2}], "example")
    {'id': [1, 2], 'title': ['Alien', None]}
    """
    columns = _columns_of(table, owner)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"The columns of {owner} must be equally long; got {lengths}.")
    return columns


def with_index(table: Table, *names: str | None) -> Table:
    """Return a pandas frame with index levels of these names made columns; any other table as it is."""
    levels = getattr(getattr(table, "index", None), "names", ())
    chosen = [name for name in levels if name is not None and name in names and name not in table.columns]
    return table.reset_index(level=chosen) if chosen else table


def as_rows(table: Table) -> Table:
    """Return a single row (a mapping whose values are no columns) as a list of one; any other table as it is.

    Examples
    --------
    >>> as_rows({"id": 1, "title": "Alien"}), as_rows({"id": [1]})
    ([{'id': 1, 'title': 'Alien'}], {'id': [1]})
    """
    single = isinstance(table, Mapping) and all(
        isinstance(value, str | bytes) or not isinstance(value, Iterable) for value in table.values()
    )
    return [table] if single and table else table


def pick(columns: Mapping[str, _T], name: str, owner: str) -> _T:
    """Return one column.

    Raises
    ------
    InvalidInputError
        When there is no such column; the message names those there are.
    """
    if name not in columns:
        raise InvalidInputError(f"{owner} has no column {name!r}; its columns are {list(columns)}.")
    return columns[name]


def is_missing(value: Any) -> bool:
    """Whether a cell is missing: None, NaN, NaT, pandas.NA or blank text.

    Examples
    --------
    >>> [is_missing(v) for v in (None, float("nan"), " ", "nan", 0)]
    [True, True, True, False, False]
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    try:
        return not bool(value == value)  # NaN and NaT are not equal to themselves
    except (TypeError, ValueError):  # pandas.NA has no truth value; arrays have several
        return type(value).__name__ == "NAType"


def checked_ids(values: Sequence[Any], name: str) -> list[Any]:
    """Return ids as plain hashable Python values.

    Raises
    ------
    InvalidInputError
        When an id is missing or not hashable.
    """
    ids = [value.item() if isinstance(value, np.generic) else value for value in values]
    for row, value in enumerate(ids):
        if is_missing(value):
            raise InvalidInputError(f"`{name}` must have a value in every row; got {value!r} in row {row}.")
        try:
            hash(value)
        except TypeError:
            raise InvalidInputError(
                f"`{name}` must hold hashable ids such as str or int; got {value!r} in row {row}."
            ) from None
    return ids


def id_tuple(ids: Any, name: str) -> tuple[Hashable, ...]:
    """Return a list of ids as a tuple; None is an empty list.

    Raises
    ------
    InvalidInputError
        When it is a single id, or holds something that cannot be an id.
    """
    if ids is None:
        return ()
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InvalidInputError(f"`{name}` must be a list of ids; got {ids!r}. Pass [{ids!r}].")
    return tuple(checked_ids(list(ids), name))


def some(ids: Sequence[Hashable], most: int = 5) -> str:
    """Return the first few ids and the number of others, for messages."""
    more = f" and {len(ids) - most:,} more" if len(ids) > most else ""
    return ", ".join(map(repr, ids[:most])) + more


def _columns_of(table: Table, owner: str) -> Columns:
    """Return the columns of any kind of table, recognised by its methods: no package of frames need be imported."""
    if isinstance(table, str | Path):
        return _read_file(Path(table), owner)
    if isinstance(table, Mapping):
        _check_distinct(table, owner)
        return {str(name): _to_list(values, f"column {name!r} of {owner}") for name, values in table.items()}
    if hasattr(table, "column_names"):  # pyarrow
        _check_distinct(table.column_names, owner)
        return {str(name): table.column(name).to_pylist() for name in table.column_names}
    if hasattr(table, "collect"):  # polars, lazy: even its column names cost a query
        raise InvalidInputError(f"{owner} takes frames that are in memory; got {type(table).__name__}. Call collect().")
    if hasattr(table, "columns"):  # pandas, polars
        _check_distinct(table.columns, owner)
        return {str(name): _to_list(table[name], f"column {name!r} of {owner}") for name in table.columns}
    if isinstance(table, Iterable):
        return _from_records(list(table), owner)
    raise InvalidInputError(
        f"{owner} takes a pandas, polars or pyarrow frame, a dict of columns, a list of dicts or a path; "
        f"got {type(table).__name__}."
    )


def _check_distinct(names: Iterable[Any], owner: str) -> None:
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise InvalidInputError(f"The columns of {owner} must have distinct names; got {some(repeated)} twice.")


def _to_list(values: Any, what: str) -> list[Any]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = values.astype("datetime64[us]")  # nanoseconds would be listed as integers
    for method in ("to_list", "tolist", "to_pylist"):
        if hasattr(values, method):
            listed = getattr(values, method)()
            return list(listed) if isinstance(listed, list) else [listed]
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise InvalidInputError(
            f"{what} must be a sequence of values; got {values!r}. For rows pass a list of dicts: [{{...}}, ...]."
        )
    return list(values)


def _from_records(records: list[Any], owner: str) -> Columns:
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InvalidInputError(f"{owner} takes a list of dicts; got {record!r} in row {row}.")
    names = dict.fromkeys(name for record in records for name in record)
    return {str(name): [record.get(name) for record in records] for name in names}


def _read_file(path: Path, owner: str) -> Columns:
    if not path.is_file():
        raise InvalidInputError(f"{owner} got the path {str(path)!r}, where there is no file.")
    suffix = [s for s in path.suffixes if s != ".gz"][-1:] or [""]
    if suffix[0] not in _READERS:
        raise InvalidInputError(f"{owner} reads files that end in {', '.join(_READERS)}; got {path.name!r}.")
    try:
        return _READERS[suffix[0]](path)
    except InvalidInputError:
        raise
    except (OSError, ValueError, EOFError, csv.Error, zlib.error) as error:  # pyarrow raises ValueErrors too
        raise InvalidInputError(f"{owner} cannot read {path.name!r}: {error}.") from error


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read_csv(path: Path, delimiter: str = ",", quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Columns:
    with _open_text(path) as file:
        rows = csv.reader(file, delimiter=delimiter, quoting=quoting)
        header = next(rows, [])
        _check_distinct(header, path.name)
        records = [row for row in rows if row]
    for number, row in enumerate(records):
        if len(row) != len(header):
            raise InvalidInputError(
                f"Every row of {path.name!r} must have the {len(header)} cells of its header; "
                f"got {len(row)} in data row {number}. Quote cells that hold the separator (CSV) or take it out (TSV)."
            )
    return {name: [row[i] for row in records] for i, name in enumerate(header)}


def _read_tsv(path: Path) -> Columns:
    return _read_csv(path, "\t", csv.QUOTE_NONE)


def _read_json_lines(path: Path) -> Columns:
    with _open_text(path) as file:
        return _from_records([json.loads(line) for line in file if line.strip()], path.name)


def _read_parquet(path: Path) -> Columns:
    parquet = require("pyarrow.parquet", extra="pandas", by=f"Reading {path.name!r}")
    columns: Columns = parquet.read_table(path).to_pydict()
    return columns


_READERS: dict[str, Callable[[Path], Columns]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
