import copy
import gzip
import json
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.data.tables import checked_ids, id_tuple, is_missing, pick, read_columns, some, with_index
from coldstart.errors import InvalidInputError, MissingExtraError

COLUMNS = {"id": ["a", "b", "ç"], "title": ["Alien", "été 日本", "🚀, 2001"], "year": [1979, 1982, 1968]}


def records(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


MAKE = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "arrow record batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "dict of lists": dict,
    "dict of tuples": lambda columns: {name: tuple(values) for name, values in columns.items()},
    "dict of arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "dict of pandas series": lambda columns: {name: pd.Series(values) for name, values in columns.items()},
    "dict of polars series": lambda columns: {name: pl.Series(values) for name, values in columns.items()},
    "dict of arrow arrays": lambda columns: {name: pa.array(values) for name, values in columns.items()},
    "list of dicts": records,
    "iterator of dicts": lambda columns: iter(records(columns)),
}
every_kind = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)

ids = st.one_of(
    st.text(min_size=1).filter(str.strip),
    st.integers(),
    st.tuples(st.integers(), st.text()),
    st.dates(),
    st.frozensets(st.integers(), max_size=2),
)


def write(path, text):
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def separated(mark, quote=""):
    lines = [[f"{quote}{cell}{quote}" for cell in row.values()] for row in records(COLUMNS)]
    return "\n".join(mark.join(cells) for cells in [list(COLUMNS), *lines]) + "\n"


@every_kind
def test_every_kind_of_table_gives_the_same_columns(make):
    assert read_columns(make(COLUMNS), "Catalog") == COLUMNS


@every_kind
def test_cells_are_plain_python_values(make):
    columns = read_columns(make(COLUMNS), "Catalog")
    assert {type(cell) for cell in columns["year"]} == {int}
    assert {type(cell) for cell in columns["title"]} == {str}


@every_kind
def test_rows_keep_their_order_and_columns_theirs(make):
    assert list(read_columns(make(COLUMNS), "Catalog")) == ["id", "title", "year"]


def missing_cells():
    return {
        "pandas object": pd.DataFrame({"t": ["x", None, np.nan]}),
        "pandas string": pd.DataFrame({"t": pd.array(["x", pd.NA, None], dtype="string")}),
        "pandas float": pd.DataFrame({"t": [1.0, None, np.nan]}),
        "pandas Int64": pd.DataFrame({"t": pd.array([1, pd.NA, None], dtype="Int64")}),
        "pandas dates": pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None, None])}),
        "polars": pl.DataFrame({"t": ["x", None, None]}),
        "pyarrow": pa.table({"t": ["x", None, None]}),
        "numpy dates": {"t": np.array(["2024-01-01", "NaT", "NaT"], dtype="datetime64[ns]")},
        "records": [{"t": "x"}, {}, {"t": ""}],
        "blank text": {"t": ["x", "", " \t\n"]},
    }


@pytest.mark.parametrize("table", missing_cells().values(), ids=missing_cells())
def test_missing_cells_are_recognised_in_every_kind_of_table(table):
    cells = read_columns(table, "Catalog")["t"]
    assert [is_missing(cell) for cell in cells] == [False, True, True]
    assert "nan" not in map(str.lower, (cell for cell in cells if isinstance(cell, str)))


@pytest.mark.parametrize(
    ("cell", "missing"),
    [
        (None, True),
        (float("nan"), True),
        (np.float32("nan"), True),
        (pd.NA, True),
        (pd.NaT, True),
        (np.datetime64("NaT"), True),
        ("", True),
        ("  \n", True),
        ("nan", False),
        ("None", False),
        (0, False),
        (False, False),
        ((), False),
        ([], False),
        (np.array([1.0, 2.0]), False),
        (pd.Timestamp("2024-01-01"), False),
    ],
    ids=repr,
)
def test_only_cells_that_hold_nothing_are_missing(cell, missing):
    assert is_missing(cell) is missing


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"t": np.array(["2024-01-02"], dtype="datetime64[ns]")}),
        pl.DataFrame({"t": [datetime(2024, 1, 2)]}),
        pa.table({"t": pa.array([datetime(2024, 1, 2)], pa.timestamp("us"))}),
        {"t": np.array(["2024-01-02"], dtype="datetime64[ns]")},
        {"t": np.array(["2024-01-02"], dtype="datetime64[D]")},
        {"t": [datetime(2024, 1, 2)]},
    ],
    ids=["pandas", "polars", "pyarrow", "numpy ns", "numpy days", "list"],
)
def test_times_come_out_as_dates_never_as_integers(table):
    (cell,) = read_columns(table, "Interactions")["t"]
    assert isinstance(cell, datetime)
    assert cell == datetime(2024, 1, 2)


def test_time_zones_and_plain_dates_are_kept():
    aware = datetime(2024, 1, 2, tzinfo=timezone.utc)
    assert read_columns(pl.DataFrame({"t": [aware]}), "Interactions") == {"t": [aware]}
    assert read_columns(pa.table({"t": [date(2024, 1, 2)]}), "Interactions") == {"t": [date(2024, 1, 2)]}


TEXTS = {
    "t.csv": separated(",", '"'),
    "t.csv.gz": separated(",", '"'),
    "t.tsv": separated("\t"),
    "t.tsv.gz": separated("\t"),
    "t.jsonl": "\n".join(map(json.dumps, records(COLUMNS))),
    "t.ndjson": "\n\n".join(map(json.dumps, records(COLUMNS))) + "\n",
    "t.jsonl.gz": "\n".join(map(json.dumps, records(COLUMNS))),
    "films.v2.csv": separated(",", '"'),
}


@pytest.mark.parametrize("as_path", [str, Path])
@pytest.mark.parametrize("name", TEXTS)
def test_files_give_the_columns_that_were_written(tmp_path, name, as_path):
    columns = read_columns(as_path(write(tmp_path / name, TEXTS[name])), "Catalog")
    typed = COLUMNS if "json" in name else COLUMNS | {"year": ["1979", "1982", "1968"]}
    assert columns == typed


def test_parquet_keeps_types_and_missing_cells(tmp_path):
    table = COLUMNS | {"plot": [None, "x", None]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet", "Catalog") == table


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"Reading 't.parquet' needs the package `pyarrow`.*\[pandas\]"):
        read_columns(tmp_path / "t.parquet", "Catalog")


def test_a_csv_may_quote_commas_and_line_ends_and_start_with_a_byte_order_mark(tmp_path):
    path = write(tmp_path / "t.csv", '\ufeffid,title\r\na,"one, two\nthree"\r\n\r\nb,\r\n')
    assert read_columns(path, "Catalog") == {"id": ["a", "b"], "title": ["one, two\nthree", ""]}


def test_a_quote_in_a_tsv_is_part_of_its_cell(tmp_path):
    path = write(tmp_path / "t.tsv", 'id\ttitle\na\t"Heroes", he said\nb\t12" records\n')
    assert read_columns(path, "Catalog")["title"] == ['"Heroes", he said', '12" records']


@pytest.mark.parametrize("text", ["", "id,title\n"], ids=["no bytes", "header only"])
def test_a_csv_without_rows_has_no_rows(tmp_path, text):
    columns = read_columns(write(tmp_path / "t.csv", text), "Catalog")
    assert not any(columns.values())


def test_a_key_that_a_record_lacks_is_none():
    assert read_columns([{"id": 1}, {"id": 2, "year": 1982}], "Catalog") == {"id": [1, 2], "year": [None, 1982]}


@pytest.mark.parametrize("make", [pd.DataFrame, dict, records], ids=["pandas", "dict", "records"])
def test_column_names_become_text(make):
    assert read_columns(make({0: ["a"], 1: ["b"]}), "Catalog") == {"0": ["a"], "1": ["b"]}


@every_kind
def test_a_table_without_rows_gives_empty_columns(make):
    assert not any(read_columns(make({"id": [], "title": []}), "Catalog").values())


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict of lists", "dict of arrays", "list of dicts"])
def test_the_table_is_not_changed(kind):
    table, same = MAKE[kind](COLUMNS), MAKE[kind](COLUMNS)
    for column in read_columns(table, "Catalog").values():
        column.append("more")
    assert str(table) == str(same)
    assert read_columns(table, "Catalog") == COLUMNS


def test_changing_the_table_later_does_not_change_the_columns():
    frame, array, listed = pd.DataFrame({"n": [1, 2]}), np.array([1, 2]), [1, 2]
    columns = [read_columns(t, "Catalog") for t in (frame, {"n": array}, {"n": listed})]
    frame.loc[0, "n"] = array[0] = listed[0] = 9
    assert columns == [{"n": [1, 2]}] * 3


@settings(deadline=None, max_examples=100)
@given(st.lists(ids, min_size=1))
def test_any_hashable_value_is_kept_as_a_cell(values):
    table = {"id": list(values)}
    before = copy.deepcopy(table)
    assert read_columns(table, "Catalog") == before
    assert read_columns([{"id": value} for value in values], "Catalog") == before
    assert table == before


@pytest.mark.parametrize("table", [5, None, 2.5, object()], ids=repr)
def test_a_value_of_another_type_is_refused(table):
    with pytest.raises(InvalidInputError, match=f"Catalog takes a pandas, .* or a path; got {type(table).__name__}"):
        read_columns(table, "Catalog")


def test_columns_of_different_length_are_refused():
    with pytest.raises(InvalidInputError, match=r"columns of Catalog must be equally long; got \{'id': 2, 't': 1\}"):
        read_columns({"id": [1, 2], "t": ["x"]}, "Catalog")


@pytest.mark.parametrize("value", ["abc", 5, None], ids=repr)
def test_a_column_that_is_one_value_is_refused(value):
    with pytest.raises(InvalidInputError, match=f"column 't' of Catalog must be a sequence of values; got {value!r}"):
        read_columns({"t": value}, "Catalog")


@pytest.mark.parametrize("record", ["a", 3, ["a", "b"]], ids=repr)
def test_a_list_of_other_things_than_dicts_is_refused(record):
    with pytest.raises(InvalidInputError, match=r"Catalog takes a list of dicts; got .* in row 1\."):
        read_columns([{"id": 1}, record], "Catalog")


@pytest.mark.parametrize("name", ["nothing.csv", "a sentence about films", "."])
def test_a_path_without_a_file_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match=r"Catalog got the path '.*', where there is no file"):
        read_columns(str(tmp_path / name), "Catalog")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.gz", "csv"])
def test_a_file_of_unknown_kind_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InvalidInputError, match=rf"reads files that end in \.csv, .*\.parquet; got '{name}'"):
        read_columns(tmp_path / name, "Catalog")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "id\né".encode("latin-1")),
        ("t.csv.gz", b"id\na\n"),
        ("t.csv.gz", gzip.compress(b"id\na\n" * 99)[:-12]),
        ("t.csv", b"id\n" + b"x" * 200_000),
        ("t.jsonl", b'{"id": 1}\n{"id": '),
        ("t.parquet", b"no parquet at all"),
        ("t.csv.gz", gzip.compress(b"id,t\n" + bytes(range(32, 127)) * 50)[:30] + b"\xff" * 60),
    ],
    ids=["not UTF-8", "not gzip", "cut gzip", "huge cell", "cut JSON", "not Parquet", "altered gzip"],
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"Catalog cannot read '{name}': ."):
        read_columns(tmp_path / name, "Catalog")


@pytest.mark.parametrize(("line", "cells"), [("b", 1), ("b,one, two", 3)])
def test_a_csv_row_with_another_number_of_cells_is_named(tmp_path, line, cells):
    path = write(tmp_path / "t.csv", f"id,title\na,x\n{line}\n")
    with pytest.raises(InvalidInputError, match=rf"'t.csv' must have the 2 cells .* got {cells} in data row 1\. Quote"):
        read_columns(path, "Catalog")


def test_a_json_line_that_is_no_object_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"t.jsonl takes a list of dicts; got \[1\] in row 0"):
        read_columns(write(tmp_path / "t.jsonl", "[1]\n"), "Catalog")


def test_pick_names_the_columns_there_are():
    assert pick({"a": 1}, "a", "Catalog") == 1
    with pytest.raises(InvalidInputError, match=r"Catalog has no column 'ID'; its columns are \['id', 'title'\]"):
        pick({"id": [], "title": []}, "ID", "Catalog")


def test_ids_of_numpy_become_plain_python():
    ids = checked_ids([np.int64(3), np.str_("x"), ("a", 1)], "id")
    assert ids == [3, "x", ("a", 1)]
    assert [type(value) for value in ids] == [int, str, tuple]


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT, "", " "], ids=repr)
def test_a_missing_id_is_named_by_row(value):
    with pytest.raises(InvalidInputError, match=r"`movie_id` must have a value in every row; got .* in row 1\."):
        checked_ids(["a", value], "movie_id")


@pytest.mark.parametrize("value", [["a"], {"a": 1}, {1}], ids=repr)
def test_an_id_that_cannot_be_hashed_is_named_by_row(value):
    with pytest.raises(InvalidInputError, match=r"`movie_id` must hold hashable ids .* got .* in row 1\."):
        checked_ids(["a", value], "movie_id")


@pytest.mark.parametrize(
    "given_ids",
    [[1, 2], (1, 2), iter([1, 2]), np.array([1, 2]), pd.Series([1, 2]), pl.Series([1, 2]), {1: "x", 2: "y"}],
    ids=["list", "tuple", "iterator", "array", "pandas", "polars", "keys"],
)
def test_a_list_of_ids_may_be_any_collection_and_becomes_plain(given_ids):
    if hasattr(given_ids, "__next__"):
        given_ids = iter([1, 2])
    ids = id_tuple(given_ids, "history")
    assert ids == (1, 2)
    assert [type(item_id) for item_id in ids] == [int, int]


def test_none_means_no_ids():
    assert id_tuple(None, "history") == id_tuple([], "history") == ()


@pytest.mark.parametrize("value", ["m12", b"m12", 12, 2.5], ids=repr)
def test_one_id_instead_of_a_list_is_an_error_that_shows_the_list(value):
    with pytest.raises(
        InvalidInputError, match=rf"`history` must be a list of ids; got {value!r}\. Pass \[{value!r}\]"
    ):
        id_tuple(value, "history")


def test_a_missing_id_in_a_list_is_named():
    with pytest.raises(InvalidInputError, match="`history` must have a value in every row; got None in row 1"):
        id_tuple(["a", None], "history")


def test_some_names_the_first_ids_and_counts_the_rest():
    assert some(["a", 1]) == "'a', 1"
    assert some(range(5)) == "0, 1, 2, 3, 4"
    assert some(range(2005)) == "0, 1, 2, 3, 4 and 2,000 more"


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "csv"])
def test_two_columns_of_one_name_are_refused(tmp_path, kind):
    table = {
        "pandas": lambda: pd.DataFrame([["x", "y"], ["v", "w"]], columns=["title", "title"]),
        "pyarrow": lambda: pa.table([["x", "v"], ["y", "w"]], names=["title", "title"]),
        "csv": lambda: write(tmp_path / "t.csv", "title,title\nx,y\nv,w\n"),
    }[kind]()
    with pytest.raises(InvalidInputError, match="title"):
        read_columns(table, "Catalog")


def test_a_column_that_is_a_mapping_is_refused():
    with pytest.raises(InvalidInputError, match="column 'id' of Catalog must be a sequence of values"):
        read_columns(pd.DataFrame({"id": ["a", "b"]}).to_dict(), "Catalog")


def test_a_dict_of_single_values_says_how_rows_are_given():
    with pytest.raises(InvalidInputError, match=r"got 5000. For rows pass a list of dicts: \[\{\.\.\.\}, \.\.\.\]"):
        read_columns({"id": 5000, "title": "x"}, "Catalog")


def test_an_unnamed_or_other_index_is_left_alone():
    frame = pd.DataFrame({"id": [1]})
    assert with_index(frame, "id") is frame
    named = frame.assign(other=2).set_index("other")
    assert with_index(named, "id", None) is named
    assert with_index(named, "other").columns.tolist() == ["other", "id"]
    assert with_index([{"id": 1}], "id") == [{"id": 1}]


def test_a_lazy_frame_asks_to_be_collected():
    polars = pytest.importorskip("polars")
    with pytest.raises(InvalidInputError, match=r"frames that are in memory; got LazyFrame. Call collect\(\)"):
        read_columns(polars.LazyFrame({"id": [1]}), "Catalog")


def test_json_that_is_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text("[" * 200_000)
    with pytest.raises(InvalidInputError, match=r"cannot read 't\.jsonl'"):
        read_columns(str(tmp_path / "t.jsonl"), "Catalog")


def test_records_may_not_name_a_column_twice():
    with pytest.raises(InvalidInputError, match="must have distinct names; got '0' twice"):
        read_columns([{0: 1, "0": 2}], "Catalog")


@pytest.mark.parametrize("value", [Decimal("sNaN"), Decimal("NaN"), pd.NaT, np.datetime64("NaT"), "\u2003\n"], ids=repr)
def test_missing_values_of_rare_types_are_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("ids", [np.array(5), 5, None.__class__], ids=repr)
def test_ids_must_be_several(ids):
    with pytest.raises(InvalidInputError, match="`ids` must be a list"):
        id_tuple(ids, "ids")
