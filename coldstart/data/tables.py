"""Read frames, mappings, records and files into plain columns, and check ids."""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, TypeVar

import numpy as np

from coldstart._arrays import IntArray
from coldstart._extras import require
from coldstart._messages import shortened, shown
from coldstart.errors import InvalidInputError

_T = TypeVar("_T")

LONGEST_NAME = 1_000
"""Letters of the longest name of a column."""

ColumnName: TypeAlias = str | int
"""Name of a column; a whole number for a pandas frame that has no other names."""

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
        raise InvalidInputError(f"The columns of {owner} must be equally long; got {shown(lengths)}.")
    return columns


def with_index(table: Table, *names: str | None) -> Table:
    """Return a pandas frame with index levels of these names made columns; any other table as it is."""
    levels = getattr(getattr(table, "index", None), "names", ())
    chosen = [name for name in levels if name is not None and str(name) in names and name not in table.columns]
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


def column_name(name: Any) -> str:
    """Return the name of a column as a container keeps it: text; the whole numbers of a pandas frame become text.

    Raises
    ------
    InvalidInputError
        When it is something else, or text that cannot be written to a file.

    Examples
    --------
    >>> column_name("sku"), column_name(0)
    ('sku', '0')
    """
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return str(name)
    if not isinstance(name, str):
        raise InvalidInputError(f"The name of a column must be text or a whole number; got {shown(name)}.")
    if len(name) > LONGEST_NAME or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InvalidInputError(
            f"The name of a column must be valid text of at most {LONGEST_NAME:,} letters; got {shown(name)}."
        )
    return name


def column_names(names: Any, argument: str) -> tuple[str, ...]:
    """Return the names of several columns.

    Raises
    ------
    InvalidInputError
        When it is a single name, no list at all, or a name is none.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InvalidInputError(
            f"`{argument}` must be a list of column names; got {shown(names)}. Pass [{shown(names)}]."
        )
    return tuple(map(column_name, listed(names, argument)))


def pick(columns: Mapping[str, _T], name: Any, owner: str) -> _T:
    """Return one column.

    Raises
    ------
    InvalidInputError
        When there is no such column; the message names those there are.
    """
    known = column_name(name)
    if known not in columns:
        raise InvalidInputError(f"{owner} has no column {shown(name)}; its columns are {shown(list(columns))}.")
    return columns[known]


def is_missing(value: Any) -> bool:
    """Whether a cell is missing: None, NaN, NaT, pandas.NA or blank text.

    Examples
    --------
    >>> [is_missing(v) for v in (None, float("nan"), " ", "nan", 0)]
    [True, True, True, False, False]
    """
    if value is None or (isinstance(value, str) and (not value or value.isspace())):
        return True
    try:
        return not bool(value == value)  # NaN and NaT are not equal to themselves
    except Exception:  # pandas.NA has no truth value, arrays have several, a signalling NaN compares with nothing
        return type(value).__name__ == "NAType" or isinstance(value, Decimal)


def checked_ids(values: Sequence[Any], name: str) -> list[Any]:
    """Return ids as plain hashable Python values.

    Raises
    ------
    InvalidInputError
        When an id is missing, not hashable, a truth value, or a time with nanoseconds.
    """
    ids = list(values)
    for row, value in enumerate(ids):
        # Nearly all ids are of these two kinds, and need no further look.
        if type(value) is not int and (type(value) is not str or not value or value.isspace()):
            ids[row] = plain(value) if isinstance(value, np.generic) else value
            rule = _broken_rule(ids[row])
            if rule:
                raise InvalidInputError(f"`{name}` must {rule}; got {shown(value)} in row {row}.")
    return ids


def _broken_rule(value: Any) -> str | None:
    """Return what an id must be and this one is not, None for an id."""
    if is_missing(value):
        return "have a value in every row"
    if isinstance(value, bool):
        return "hold ids such as str or int, not truth values, as True is equal to 1"
    # Nanoseconds, which no date of Python has: saved, it would be loaded as another id.
    if isinstance(value, np.generic) or getattr(value, "nanosecond", None):
        return "hold dates to the microsecond, or text"
    try:
        hash(value)
    except Exception:
        return "hold hashable ids such as str or int"
    return None


def plain(value: np.generic, exactly: bool = True) -> Any:
    """Return a scalar of numpy as a value of Python; as it is where Python has none.

    A time with nanoseconds has none either, unless ``exactly`` is False: then they are cut off.

    Examples
    --------
    >>> plain(np.int64(3)), plain(np.datetime64("2026-01-01T00:00", "ns"))
    (3, datetime.datetime(2026, 1, 1, 0, 0))
    """
    if not isinstance(value, np.datetime64 | np.timedelta64) or np.isnat(value):
        return value.item()
    # Beyond the years of a datetime the number of microseconds may overflow without an error.
    if isinstance(value, np.datetime64) and not 1 <= int(value.astype("datetime64[Y]").astype(int)) + 1970 <= 9999:
        return value
    cut = value.astype(f"{value.dtype.kind}8[us]")
    return value if exactly and cut != value else cut.item()


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
        raise InvalidInputError(f"`{name}` must be a list of ids; got {shown(ids)}. Pass [{shown(ids)}].")
    return tuple(checked_ids(listed(ids, name), name))


def listed(values: Iterable[_T], name: str) -> list[_T]:
    """Return the values of an iterable.

    Raises
    ------
    InvalidInputError
        When it has none, as an array without dimensions.
    """
    try:
        return list(values)
    except TypeError as error:
        raise InvalidInputError(f"`{name}` must be a list; got {shown(values)}: {shortened(error)}.") from error


def rows_of(rows: Any, count: int) -> IntArray:
    """Return positions among ``count`` rows, given as such (from the end where below 0) or as a mask.

    Raises
    ------
    InvalidInputError
        When they are something else, or there is no row at one of them.

    Examples
    --------
    >>> rows_of([0, -1], 3).tolist(), rows_of(np.array([False, True, True]), 3).tolist()
    ([0, 2], [1, 2])
    """
    try:
        positions: IntArray = np.arange(count)[np.asarray(rows if len(rows) else np.zeros(0, dtype=np.int64))]
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"`rows` must hold positions of the {count:,} rows, or be a mask of them; {shortened(error)}."
        ) from error
    return positions.reshape(-1)


def some(ids: Sequence[Hashable], most: int = 5) -> str:
    """Return the first few ids and the number of others, for messages."""
    more = f" and {len(ids) - most:,} more" if len(ids) > most else ""
    return ", ".join(map(shown, ids[:most])) + more


def _columns_of(table: Table, owner: str) -> Columns:
    """Return the columns of any kind of table, recognised by its methods: no package of frames need be imported."""
    if isinstance(table, str | Path):
        return _read_file(Path(table), owner)
    if isinstance(table, Mapping):
        _check_distinct(table, owner)
        return {str(name): _to_list(values, f"column {shown(name)} of {owner}") for name, values in table.items()}
    if hasattr(table, "column_names"):  # pyarrow
        _check_distinct(table.column_names, owner)
        return {str(name): table.column(name).to_pylist() for name in table.column_names}
    if hasattr(table, "collect"):  # polars, lazy: even its column names cost a query
        raise InvalidInputError(f"{owner} takes frames that are in memory; got {type(table).__name__}. Call collect().")
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        _check_distinct(table.columns, owner)
        return {str(name): _to_list(table[name], f"column {shown(name)} of {owner}") for name in table.columns}
    if isinstance(table, Iterable):
        return _from_records(listed(table, "table"), owner)
    raise InvalidInputError(
        f"{owner} takes a pandas, polars or pyarrow frame, a dict of columns, a list of dicts or a path; "
        f"got {type(table).__name__}."
    )


def _check_distinct(names: Iterable[Any], owner: str) -> None:
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise InvalidInputError(f"The columns of {owner} must have distinct names; got {some(repeated)} twice.")


def _to_list(values: Any, what: str) -> list[Any]:
    if isinstance(values, np.ndarray) and values.ndim and values.dtype.kind in "mM":
        return list(map(plain, values))  # `tolist` would make integers of nanoseconds
    for method in ("to_list", "tolist", "to_pylist"):
        if hasattr(values, method):
            listed = getattr(values, method)()
            return list(listed) if isinstance(listed, list) else [listed]
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise InvalidInputError(
            f"{what} must be a sequence of values; got {shown(values)}. For rows pass a list of dicts: [{{...}}, ...]."
        )
    return list(values)


def _from_records(records: list[Any], owner: str) -> Columns:
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InvalidInputError(f"{owner} takes a list of dicts; got {shown(record)} in row {row}.")
    names = dict.fromkeys(name for record in records for name in record)
    _check_distinct(names, owner)
    return {str(name): [record.get(name) for record in records] for name in names}


def _read_file(path: Path, owner: str) -> Columns:
    if not _is_file(path):
        raise InvalidInputError(f"{owner} got the path {shown(str(path))}, where there is no file.")
    suffix = [s for s in path.suffixes if s != ".gz"][-1:] or [""]
    if suffix[0] not in _READERS:
        raise InvalidInputError(f"{owner} reads files that end in {', '.join(_READERS)}; got {shown(path.name)}.")
    try:
        return _READERS[suffix[0]](path)
    except InvalidInputError:
        raise
    # pyarrow raises ValueErrors too; JSON that is nested very deeply, a RecursionError.
    except (OSError, ValueError, EOFError, RecursionError, csv.Error, zlib.error) as error:
        raise InvalidInputError(f"{owner} cannot read {shown(path.name)}: {shortened(error)}.") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text that is too long to name a file
        return False


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
                f"Every row of {shown(path.name)} must have the {len(header)} cells of its header; "
                f"got {len(row)} in data row {number}. Quote cells that hold the separator (CSV) or take it out (TSV)."
            )
    return {name: [row[i] for row in records] for i, name in enumerate(header)}


def _read_tsv(path: Path) -> Columns:
    return _read_csv(path, "\t", csv.QUOTE_NONE)


def _read_json_lines(path: Path) -> Columns:
    with _open_text(path) as file:
        return _from_records([json.loads(line) for line in file if line.strip()], path.name)


def _read_parquet(path: Path) -> Columns:
    parquet = require("pyarrow.parquet", extra="pandas", by=f"Reading {shown(path.name)}")
    columns: Columns = parquet.read_table(path).to_pydict()
    return columns


_READERS: dict[str, Callable[[Path], Columns]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
