import copy
import pickle
from dataclasses import FrozenInstanceError
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.data.catalog import Catalog
from coldstart.errors import InvalidInputError, UnknownIdError

FILMS = {"id": ["a", "b", "c"], "title": ["Alien", "Blade", "Cube"], "plot": ["space", None, "maze"], "year": [1, 2, 3]}
MAKE = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "dict of lists": dict,
    "dict of arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "list of dicts": lambda columns: [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ],
}
every_kind = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)

unique_ids = st.lists(
    st.one_of(st.text(min_size=1).filter(str.strip), st.integers(), st.tuples(st.integers(), st.text())),
    min_size=1,
    unique=True,
)


def films(**changed):
    return Catalog.from_frame(FILMS | changed, id="id", fields=["title", "plot"])


@every_kind
def test_every_kind_of_table_makes_the_same_catalogue(make):
    catalog = Catalog.from_frame(make(FILMS), id="id", fields=["title", "plot"])
    assert catalog.ids == ("a", "b", "c")
    assert catalog.fields == ("title", "plot")
    assert dict(catalog.columns) == {name: tuple(FILMS[name]) for name in ("title", "plot", "year")}
    assert catalog.missing.tolist() == [[False, False], [False, True], [False, False]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "id,title,plot\na,Alien,space\nb,Blade,\n"),
        ("t.tsv", "id\ttitle\tplot\na\tAlien\tspace\nb\tBlade\t\n"),
        ("t.jsonl", '{"id": "a", "title": "Alien", "plot": "space"}\n{"id": "b", "title": "Blade", "plot": null}\n'),
    ],
)
def test_a_file_makes_a_catalogue(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    catalog = Catalog.from_frame(tmp_path / name, id="id", fields=["title", "plot"])
    assert dict(catalog.columns) == {"title": ("Alien", "Blade"), "plot": ("space", None)}


@settings(deadline=None, max_examples=100)
@given(unique_ids)
def test_ids_of_any_hashable_type_are_kept(ids):
    table = {"id": list(ids), "title": ["x"] * len(ids)}
    before = copy.deepcopy(table)
    catalog = Catalog.from_frame(table, id="id", fields=["title"])
    assert catalog.ids == tuple(ids)
    assert [type(a) for a in catalog.ids] == [type(b) for b in ids]
    assert catalog.positions(ids).tolist() == list(range(len(ids)))
    assert all(item_id in catalog for item_id in ids)
    assert table == before


def test_the_number_1_and_the_text_1_are_two_items():
    catalog = Catalog.from_frame({"id": [1, "1"], "title": ["x", "y"]}, id="id", fields=["title"])
    assert catalog.positions(["1", 1]).tolist() == [1, 0]


def test_numpy_ids_find_the_items_of_a_numpy_column():
    catalog = Catalog.from_frame({"id": np.array([7, 8]), "title": ["x", "y"]}, id="id", fields=["title"])
    assert catalog.ids == (7, 8)
    assert [type(item_id) for item_id in catalog.ids] == [int, int]
    assert catalog.positions(np.array([8])).tolist() == [1]


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, "", "  "], ids=repr)
def test_missing_text_is_none_and_never_the_word_nan(nothing):
    catalog = Catalog.from_frame({"id": [1, 2], "title": [nothing, "nan"]}, id="id", fields=["title"])
    assert catalog.columns["title"] == (None, "nan")
    assert catalog.missing.tolist() == [[True], [False]]


def test_unicode_is_kept():
    catalog = Catalog.from_frame({"ключ": ["日本"], "été": ["🚀\u200dé"]}, id="ключ", fields=["été"])
    assert (catalog.ids, catalog.columns["été"], catalog.id_name) == (("日本",), ("🚀\u200dé",), "ключ")


def test_a_catalogue_of_one_item():
    catalog = Catalog.from_frame([{"id": 1, "title": "Alien"}], id="id", fields=["title"])
    assert len(catalog) == 1
    assert repr(catalog) == "Catalog(1 items, fields: title)"


def test_the_repr_counts_missing_cells_and_names_other_columns():
    assert repr(films()) == "Catalog(3 items, fields: title, plot (1 missing), other columns: year)"


def test_the_id_column_may_be_a_field_too():
    catalog = Catalog.from_frame({"name": ["red shoes", "hat"]}, id="name", fields=["name"])
    assert catalog.ids == catalog.columns["name"] == ("red shoes", "hat")


def test_fields_keep_the_order_of_the_argument():
    catalog = Catalog.from_frame(FILMS, id="id", fields=["plot", "title"])
    assert catalog.fields == ("plot", "title")
    assert catalog.missing[1].tolist() == [True, False]


@pytest.mark.parametrize("name", ["ids", "fields", "columns", "id_name"])
def test_a_catalogue_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        setattr(films(), name, ())


def test_columns_cannot_be_changed():
    catalog = films()
    with pytest.raises(TypeError):
        catalog.columns["year"] = (9, 9, 9)
    with pytest.raises(TypeError):
        catalog.columns["year"][0] = 9


def test_changing_the_frame_later_does_not_change_the_catalogue():
    frame, array = pd.DataFrame(FILMS), np.array(["x", "y"])
    one = Catalog.from_frame(frame, id="id", fields=["title"])
    other = Catalog.from_frame({"id": array, "title": array}, id="id", fields=["title"])
    frame.loc[0, ["id", "title", "year"]] = ["z", "Zulu", 9]
    array[0] = "z"
    assert (one.ids[0], one.columns["title"][0], one.columns["year"][0]) == ("a", "Alien", 1)
    assert (other.ids, other.columns["title"]) == (("x", "y"), ("x", "y"))


def test_the_constructor_copies_its_columns():
    columns = {"title": ["x"]}
    catalog = Catalog(["a"], ["title"], columns)
    columns["title"][0] = "changed"
    columns["more"] = ["y"]
    assert (catalog.ids, catalog.fields, dict(catalog.columns)) == (("a",), ("title",), {"title": ("x",)})


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict of lists", "dict of arrays"])
def test_no_rows_are_refused(kind):
    with pytest.raises(InvalidInputError, match="A Catalog must have at least 1 item; got 0 rows"):
        Catalog.from_frame(MAKE[kind]({"id": [], "title": []}), id="id", fields=["title"])


@pytest.mark.parametrize("table", [[], {}, pd.DataFrame()], ids=["list", "dict", "pandas"])
def test_a_table_without_columns_says_so(table):
    with pytest.raises(InvalidInputError, match=r"Catalog has no column 'id'; its columns are \[\]"):
        Catalog.from_frame(table, id="id", fields=["title"])


@pytest.mark.parametrize(("id_name", "field"), [("ID", "title"), ("id", "name")])
def test_an_absent_column_is_named_with_those_there_are(id_name, field):
    with pytest.raises(InvalidInputError, match=r"no column '(ID|name)'; its columns are \['id', 'title', 'plot'"):
        Catalog.from_frame(FILMS, id=id_name, fields=[field])


def test_fields_given_as_one_name_say_how_to_write_it():
    with pytest.raises(InvalidInputError, match=r"`fields` must be a list of column names; got 'title'. Pass \['title"):
        Catalog.from_frame(FILMS, id="id", fields="title")


@pytest.mark.parametrize("fields", [[], ["title", "title"]], ids=repr)
def test_no_field_or_one_twice_is_refused(fields):
    with pytest.raises(InvalidInputError, match="`fields` must name at least 1 column, each once; got "):
        Catalog.from_frame(FILMS, id="id", fields=fields)


def test_a_field_without_a_column_is_refused_by_the_constructor():
    with pytest.raises(InvalidInputError, match=r"Catalog has no column 'plot'; its columns are \['title'\]"):
        Catalog(("a",), ("plot",), {"title": ("x",)})


def test_duplicate_ids_are_named_and_counted():
    with pytest.raises(InvalidInputError, match=r"`id` must be unique; got 2 repeated: 'a', 'b'\. Drop the duplicate"):
        Catalog.from_frame({"id": ["a", "b", "a", "b"], "title": list("wxyz")}, id="id", fields=["title"])


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, ""], ids=repr)
def test_a_missing_id_is_refused(value):
    with pytest.raises(InvalidInputError, match="`id` must have a value in every row; got .* in row 1"):
        films(id=["a", value, "c"])


def test_an_id_that_is_a_list_is_refused():
    with pytest.raises(InvalidInputError, match=r"`id` must hold hashable ids .* got \['b'\] in row 1"):
        films(id=["a", ["b"], "c"])


@pytest.mark.parametrize("value", [3, 2.5, True, ["drama", "war"], {"name": "drama"}], ids=repr)
def test_a_field_that_is_no_text_is_named_by_row(value):
    with pytest.raises(InvalidInputError, match=r"Field 'plot' must hold text; got .* in row 1\. Turn it into a"):
        films(plot=["x", value, None])


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table], ids=["polars", "pyarrow"])
def test_lists_in_a_text_column_of_a_frame_are_refused(make):
    table = make({"id": ["a", "b"], "genres": [["drama", "war"], []]})
    with pytest.raises(InvalidInputError, match=r"Field 'genres' must hold text; got \['drama', 'war'\] in row 0"):
        Catalog.from_frame(table, id="id", fields=["genres"])


@pytest.mark.parametrize(
    "value", [np.array(["drama", "war"]), ("drama", "war"), {"drama"}, np.int64(3), np.bool_(True)], ids=repr
)
def test_numbers_and_lists_in_a_field_are_refused(value):
    with pytest.raises(InvalidInputError, match="Field 'plot' must hold text; got .* in row 1"):
        films(plot=["x", value, None])


def test_unknown_ids_are_all_named():
    with pytest.raises(UnknownIdError, match=r"`history` must hold ids of the 3 items .* got 'x', 1\. .*1 and '1' dif"):
        films().positions(["a", "x", 1], "history")


def test_ids_may_come_from_an_iterator():
    assert films().positions(iter(["c", "a"])).tolist() == [2, 0]


def test_no_ids_have_no_positions():
    positions = films().positions([])
    assert (positions.dtype, positions.shape) == (np.int64, (0,))


def test_membership_is_by_id():
    assert "a" in films()
    assert "A" not in films()


def test_take_returns_rows_in_the_order_given():
    part = films().take(np.array([2, 0]))
    assert (part.ids, part.columns["title"], part.columns["year"]) == (("c", "a"), ("Cube", "Alien"), (3, 1))
    assert part.fields == ("title", "plot")


def test_joined_appends_rows_and_fills_absent_columns_with_none():
    new = Catalog.from_frame(
        {"id": ["d"], "title": ["Dune"], "plot": ["sand"], "tag": ["x"]}, id="id", fields=["title"]
    )
    both = films().joined(new)
    assert both.ids == ("a", "b", "c", "d")
    assert both.columns["year"] == (1, 2, 3, None)
    assert both.columns["tag"] == (None, None, None, "x")
    assert both.columns["title"][3] == "Dune"


def test_joining_an_id_of_the_catalogue_is_refused():
    with pytest.raises(InvalidInputError, match=r"`id` of new items must be new; got 'b', .* Use update_items"):
        films().joined(films().take([1]))


def test_updated_replaces_only_the_cells_given():
    before = films()
    after = before.updated({"id": ["c", "a"], "year": [30, 10], "plot": [None, "void"]})
    assert after.columns["year"] == (10, 2, 30)
    assert after.columns["plot"] == ("void", None, None)
    assert after.columns["title"] == before.columns["title"]
    assert before.columns["year"] == (1, 2, 3)


def test_updated_takes_a_catalogue():
    assert films().updated(films(year=[7, 8, 9]).take([1])).columns["year"] == (1, 8, 3)


def test_updating_a_text_with_a_missing_cell_makes_it_missing():
    assert films().updated({"id": ["a"], "plot": [""]}).missing.tolist() == [[False, True], [False, True], [False] * 2]


def test_updating_an_unknown_or_repeated_item_is_refused():
    with pytest.raises(UnknownIdError, match="`id` must hold ids of the 3 items of the catalogue; got 'x'"):
        films().updated({"id": ["x"], "year": [1]})
    with pytest.raises(InvalidInputError, match="`id` must be unique; got 1 repeated: 'a'"):
        films().updated({"id": ["a", "a"], "year": [1, 2]})
    with pytest.raises(InvalidInputError, match="Catalog has no column 'id'"):
        films().updated({"year": [1]})
    with pytest.raises(InvalidInputError, match="Catalog has no column 'mood'; its columns are"):
        films().updated({"id": ["a"], "mood": ["dark"]})


def test_like_reads_rows_by_the_same_columns():
    assert films().like({"title": ["Dune"], "plot": [None], "id": ["d"]}).missing.tolist() == [[False, True]]
    same = films()
    assert films().like(same) is same


def test_like_refuses_rows_without_a_field():
    with pytest.raises(InvalidInputError, match="Catalog has no column 'plot'"):
        films().like({"id": ["d"], "title": ["Dune"]})
    other = Catalog.from_frame(FILMS, id="id", fields=["title"])
    with pytest.raises(InvalidInputError, match=r"New items must have the fields \('title', 'plot'\); got \('title"):
        films().like(other)


def test_the_constructor_refuses_columns_of_another_length():
    with pytest.raises(InvalidInputError, match="title"):
        Catalog(("a",), ("title",), {"title": ("x", "y")})


def test_the_mask_of_missing_cells_cannot_be_changed():
    catalog = films()
    with pytest.raises(ValueError, match="read-only"):
        catalog.missing[0, 0] = True


def test_changing_a_list_in_a_cell_later_does_not_change_the_catalogue():
    tags = [["war"], ["maze"], ["war"]]
    catalog = films(tags=tags)
    tags[0].append("changed")
    assert list(catalog.columns["tags"][0]) == ["war"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))], ids=["deepcopy", "pickle"])
def test_a_catalogue_can_be_copied_and_pickled(copied):
    catalog = copied(films())
    assert (catalog.ids, dict(catalog.columns)) == (films().ids, dict(films().columns))


class TestFramesAndNotebooks:
    FILMS = Catalog.from_frame(
        {"key": ["a", "b"], "year": [1979, 1982], "title": ["<Alien>", None]}, id="key", fields=["title"]
    )

    def test_the_frame_is_the_table_it_was_made_of(self):
        frame = self.FILMS.to_frame()
        assert list(frame.columns) == ["key", "year", "title"]
        again = Catalog.from_frame(frame, id="key", fields=["title"])
        assert (again.ids, dict(again.columns)) == (self.FILMS.ids, dict(self.FILMS.columns))

    def test_the_head_is_the_first_items(self):
        assert self.FILMS.head(1)["key"].tolist() == ["a"]
        assert len(self.FILMS.head()) == 2
        with pytest.raises(InvalidInputError, match="`n` must be between 1 and"):
            self.FILMS.head(0)

    def test_a_notebook_shows_the_first_rows_and_escapes_them(self):
        shown = self.FILMS._repr_html_()
        assert "<th>key</th><th>title</th><th>year</th>" in shown
        assert "<td>&lt;Alien&gt;</td>" in shown
        assert "<Alien>" not in shown
        long = Catalog.from_frame({"id": range(99), "title": ["x" * 999] * 99}, id="id", fields=["title"])
        assert len(long._repr_html_()) < 1000

    def test_a_table_passed_to_the_constructor_is_an_error_that_names_from_frame(self):
        with pytest.raises(
            TypeError, match=r"Catalog: missing a required argument: 'fields'.*Catalog.from_frame\(table"
        ):
            Catalog(pd.DataFrame({"id": [1]}))

    def test_the_index_of_a_pandas_frame_may_be_the_id(self):
        frame = pd.DataFrame({"item_id": [7, 8], "title": ["Alien", "Dune"]}).set_index("item_id")
        catalog = Catalog.from_frame(frame, id="item_id", fields=["title"])
        assert (catalog.ids, list(catalog.columns)) == ((7, 8), ["title"])
        assert frame.index.name == "item_id"
        assert catalog.updated(frame.assign(title="New")).columns["title"] == ("New", "New")


class TestAdded:
    """The column that says when an item was added."""

    TABLE = {"id": ["a", "b", "c"], "title": ["x", "y", "z"], "came": [None, date(1970, 1, 2), date(1970, 1, 3)]}

    def made(self, **columns):
        return Catalog.from_frame({**self.TABLE, **columns}, id="id", fields=["title"], added="came")

    def test_without_an_added_column_since_is_none(self):
        catalog = Catalog.from_frame(self.TABLE, id="id", fields=["title"])
        assert (catalog.added, catalog.since) == (None, None)

    def test_since_is_seconds_and_minus_infinity_for_a_missing_cell(self):
        catalog = self.made()
        assert catalog.since.tolist() == [-np.inf, 86_400.0, 172_800.0]
        assert catalog.columns["came"] == (None, date(1970, 1, 2), date(1970, 1, 3))
        with pytest.raises(ValueError, match="read-only"):
            catalog.since[0] = 0

    def test_the_repr_names_the_column(self):
        assert repr(self.made()) == "Catalog(3 items, fields: title, other columns: came, added: came)"

    def test_catalogues_made_from_a_catalogue_keep_the_column(self):
        catalog, later = self.made(), Catalog.from_frame({"id": ["d"], "title": ["w"]}, id="id", fields=["title"])
        assert catalog.take([2, 0]).since.tolist() == [172_800.0, -np.inf]
        assert catalog.joined(later).since.tolist() == [*catalog.since, -np.inf]
        assert catalog.updated({"id": ["a"], "came": [7]}).since.tolist() == [7.0, 86_400.0, 172_800.0]
        assert pickle.loads(pickle.dumps(catalog)).since.tolist() == catalog.since.tolist()
        assert copy.deepcopy(catalog).added == "came"

    def test_the_index_of_a_frame_may_be_the_column(self):
        frame = pd.DataFrame({"id": ["a"], "title": ["x"]}, index=pd.DatetimeIndex(["1970-01-02"], name="came"))
        assert Catalog.from_frame(frame, id="id", fields=["title"], added="came").since.tolist() == [86_400.0]

    def test_an_unknown_column_is_named(self):
        with pytest.raises(InvalidInputError, match="Catalog has no column 'born'; its columns are"):
            Catalog.from_frame(self.TABLE, id="id", fields=["title"], added="born")

    def test_cells_that_are_no_times_are_named(self):
        with pytest.raises(InvalidInputError, match="`came` must hold dates, .*; got 'soon' in row 2. Parse texts"):
            self.made(came=[None, 3, "soon"])

    def test_cells_of_new_and_changed_items_that_are_no_times_are_named(self):
        catalog = self.made()
        with pytest.raises(InvalidInputError, match="`came` must hold dates, .*; got 'soon' in row 0"):
            catalog.like({"id": "d", "title": "w", "came": "soon"})
        with pytest.raises(InvalidInputError, match="`came` must hold dates, .*; got 'soon' in row 0"):
            catalog.updated({"id": "a", "came": "soon"})


@given(st.lists(st.tuples(st.sampled_from(["take", "join", "edit"]), st.integers(0, 5), st.booleans()), max_size=6))
def test_the_mask_of_missing_cells_is_right_after_any_change(steps):
    catalog = Catalog.from_frame(FILMS, id="id", fields=["title", "plot"])
    catalog.missing  # noqa: B018 from here on it is carried along
    for number, (step, at, filled) in enumerate(steps):
        cell = "told" if filled else None
        if step == "take" and len(catalog) > 1:
            catalog = catalog.take(np.delete(np.arange(len(catalog)), at % len(catalog)))
        elif step == "join":
            catalog = catalog.joined(catalog.like({"id": [number], "title": ["new"], "plot": [cell]}))
        elif step == "edit":
            catalog = catalog.updated({"id": [catalog.ids[at % len(catalog)]], "plot": [cell]})
    plots = catalog.columns["plot"]
    assert catalog.missing.tolist() == [[False, plot is None] for plot in plots]
    assert not catalog.missing.flags.writeable


def test_joined_rows_of_a_catalogue_without_a_field_have_it_missing():
    films = Catalog.from_frame(FILMS, id="id", fields=["title", "plot"])
    assert films.missing.sum() == 1
    others = Catalog.from_frame({"id": ["x"], "year": [None], "title": ["Dune"]}, id="id", fields=["title"])
    assert films.joined(others).missing[3:].tolist() == [[False, True]]


@pytest.mark.parametrize("rows", [[99], [-4], np.ones(2, dtype=bool), [0.5], "ab", 5, None], ids=repr)
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(InvalidInputError, match="`rows` must hold positions of the 3 rows, or be a mask of them"):
        Catalog.from_frame(FILMS, id="id", fields=["title"]).take(rows)


def test_rows_may_be_a_mask():
    assert Catalog.from_frame(FILMS, id="id", fields=["title"]).take(np.array([True, False, True])).ids == ("a", "c")


class Own:
    def __init__(self):
        self.tags = ["war"]

    def __eq__(self, other):
        return self.tags == other.tags

    __hash__ = None


SHARED = {
    "tuple of lists": ((["war"],), lambda cell: cell[0].append("x")),
    "bytearray": (bytearray(b"war"), lambda cell: cell.append(5)),
    "own object": (Own(), lambda cell: cell.tags.append("x")),
    "list": (["war"], lambda cell: cell.append("x")),
    "array": (np.array([1.0]), lambda cell: cell.fill(5)),
}


@pytest.mark.parametrize(("cell", "change"), SHARED.values(), ids=SHARED)
def test_a_cell_that_changes_later_does_not_change_the_catalogue(cell, change):
    before = copy.deepcopy(cell)
    catalog = Catalog.from_frame({"id": ["a"], "title": ["x"], "extra": [cell]}, id="id", fields=["title"])
    edited = catalog.updated({"id": ["a"], "extra": [cell]})
    change(cell)
    for kept in (catalog, edited):
        assert np.all(kept.columns["extra"][0] == before)


def test_a_cell_that_cannot_be_copied_is_refused():
    with pytest.raises(
        InvalidInputError, match="cells of a Catalog must be values that can be copied; got .*generator"
    ):
        Catalog.from_frame({"id": ["a"], "title": ["x"], "e": [(one for one in "ab")]}, id="id", fields=["title"])


@pytest.mark.parametrize("fields", [None, 5, "title", b"title"], ids=repr)
def test_fields_must_be_a_list(fields):
    with pytest.raises(InvalidInputError, match="`fields` must be a list of column names; got"):
        Catalog.from_frame(FILMS, id="id", fields=fields)


def test_a_text_too_long_to_be_a_path_is_no_file():
    with pytest.raises(InvalidInputError, match="where there is no file"):
        Catalog.from_frame("a" * 300, id="id", fields=["title"])
