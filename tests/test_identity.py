"""Which ids are the same, which differ, and which are refused: in a catalogue, in clicks, and in a saved folder."""

from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError, UnknownIdError
from coldstart.testing import HashEncoder

NANOSECOND = "2024-01-01T00:00:00.000000001"
DAY = datetime(2024, 1, 1)

KEPT = {
    "text": ("1", "1"),
    "text with half a character": ("\ud83d", "\ud83d"),
    "bytes": (b"1", b"1"),
    "whole number": (7, 7),
    "large number": (2**70, 2**70),
    "float": (1.5, 1.5),
    "tuple": (("a", 1), ("a", 1)),
    "date": (DAY.date(), DAY.date()),
    "datetime": (DAY, DAY),
    "datetime with a zone": (DAY.replace(tzinfo=timezone.utc), DAY.replace(tzinfo=timezone.utc)),
    "decimal": (Decimal("1.10"), Decimal("1.10")),
    "fraction": (Fraction(1, 3), Fraction(1, 3)),
    "numpy int": (np.int64(7), 7),
    "numpy float": (np.float64(1.5), 1.5),
    "numpy text": (np.str_("a"), "a"),
    "numpy datetime": (np.datetime64("2024-01-01T00:00", "ns"), DAY),
    "pandas timestamp": (pd.Timestamp(DAY), DAY),
}
"""An id as it is given, and as it comes back."""

REFUSED = {
    "True": (True, "not truth values, as True is equal to 1"),
    "numpy True": (np.bool_(True), "not truth values"),
    "timestamp with nanoseconds": (pd.Timestamp(NANOSECOND), "dates to the microsecond, or text"),
    "numpy datetime with nanoseconds": (np.datetime64(NANOSECOND), "dates to the microsecond, or text"),
    "year 300000": (np.datetime64("300000-01-01"), "dates to the microsecond, or text"),
    "list": ([1], "hashable ids"),
    "array": (np.array([1, 2]), "hashable ids"),
    "None": (None, "a value in every row"),
    "NaN": (float("nan"), "a value in every row"),
    "NaT": (pd.NaT, "a value in every row"),
    "NA": (pd.NA, "a value in every row"),
    "signalling NaN": (Decimal("sNaN"), "a value in every row"),
    "blank": (" ", "a value in every row"),
}

UNSAVED = {"decimal", "fraction", "bytes"}


def recommender(item_id):
    catalog = cs.Catalog.from_frame({"id": [item_id, "other"], "title": ["a", "b"]}, id="id", fields=["title"])
    clicks = cs.Interactions.from_frame({"who": [item_id], "what": [item_id]}, user="who", item="what")
    return cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(catalog, clicks)


@pytest.mark.parametrize(("given", "back"), KEPT.values(), ids=KEPT)
def test_an_id_comes_back_as_it_was_given(given, back):
    rec = recommender(given)
    (found,) = rec.recommend(candidates=[given]).item_ids[0]
    assert found == back
    assert type(found) in (type(back), type(given))
    assert rec.recommend(user=given).item_ids == [["other"]]


@pytest.mark.parametrize("kind", [kind for kind in KEPT if kind not in UNSAVED])
def test_a_saved_id_is_the_same_id(kind, tmp_path):
    given, back = KEPT[kind]
    rec = recommender(given)
    rec.save(tmp_path / "m")
    loaded = cs.load(tmp_path / "m", encoder=HashEncoder())
    assert loaded.catalog.ids == rec.catalog.ids == (back, "other")
    assert loaded.recommend(user=given).item_ids == [["other"]]


@pytest.mark.parametrize("kind", sorted(UNSAVED))
def test_an_id_that_a_folder_cannot_hold_is_named_by_save(kind, tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be saved"):
        recommender(KEPT[kind][0]).save(tmp_path / "m")


@pytest.mark.parametrize(("given", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_an_id_is_refused_wherever_ids_are_taken(given, rule):
    rec = recommender(1)
    table = {"id": [1, given], "title": ["a", "b"]}
    calls = [
        lambda: cs.Catalog.from_frame(table, id="id", fields=["title"]),
        lambda: cs.Interactions.from_frame(table, user="title", item="id"),
        lambda: cs.Request(history=[given]),
        lambda: rec.recommend(candidates=[given]),
        lambda: rec.recommend(exclude=[given]),
        lambda: rec.similar_items(given),
        lambda: rec.remove_items([given]),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match=f"must (have|hold) .*{rule}|must hold {rule}"):
            call()


SAME = {"1 and 1.0": (1, 1.0), "1 and a decimal": (1, Decimal(1)), "datetimes": (DAY, pd.Timestamp(DAY))}
DIFFERENT = {"1 and text": (1, "1"), "date and datetime": (date(2024, 1, 1), DAY), "text and bytes": ("a", b"a")}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_ids_that_are_equal_in_python_are_the_same(one, other):
    assert recommender(one).recommend(candidates=[other]).item_ids == [[one]]
    with pytest.raises(InvalidInputError, match="must be unique"):
        cs.Catalog.from_frame({"id": [one, other], "title": ["a", "b"]}, id="id", fields=["title"])


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_ids_of_two_kinds_are_two_items(one, other):
    with pytest.raises(UnknownIdError, match="check the type of the ids"):
        recommender(one).recommend(candidates=[other])
    assert len(cs.Catalog.from_frame({"id": [one, other], "title": ["a", "b"]}, id="id", fields=["title"])) == 2


def test_nanoseconds_of_a_numpy_column_are_not_cut_off():
    times = np.array([NANOSECOND, "2024-01-01T00:00:00.000000002"], dtype="datetime64[ns]")
    with pytest.raises(InvalidInputError, match="dates to the microsecond, or text; got .*000000001"):
        cs.Catalog.from_frame({"id": times, "title": ["a", "b"]}, id="id", fields=["title"])


TOO_EXACT = {
    "numpy": np.datetime64(NANOSECOND),
    "pandas": pd.Timestamp(NANOSECOND),
    "pandas with a zone": pd.Timestamp(NANOSECOND, tz="Europe/Berlin"),
    "year 300000": np.datetime64("300000-01-01"),
}
"""Dates that Python has none for: saved, they would be loaded as others, or as numbers."""


def with_cells(*cells):
    table = {"id": ["a", "b"], "title": ["red", "blue"], "when": list(cells)}
    return cs.Catalog.from_frame(table, id="id", fields=["title"])


@pytest.mark.parametrize("cell", TOO_EXACT.values(), ids=TOO_EXACT)
def test_cells_with_nanoseconds_are_refused_by_the_catalogue(cell):
    with pytest.raises(InvalidInputError, match=r"dates of a Catalog must be to the microsecond.*got .*floor\(.us.\)"):
        with_cells(None, cell)
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(with_cells(None, DAY))
    with pytest.raises(InvalidInputError, match="dates of a Catalog must be to the microsecond"):
        rec.update_items({"id": ["a"], "when": [cell]})
    assert rec.catalog.columns["when"] == (None, DAY)


@pytest.mark.parametrize(
    "cell", [[pd.Timestamp(NANOSECOND)], {"at": np.datetime64(NANOSECOND)}, np.timedelta64(3, "ns")], ids=str
)
def test_cells_that_hold_nanoseconds_are_not_saved(tmp_path, cell):
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(with_cells(None, cell))
    with pytest.raises(InvalidInputError, match="cannot be saved: .* dates to the microsecond"):
        rec.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("cell", [np.datetime64(DAY, "ns"), np.datetime64(DAY, "D"), pd.Timestamp(DAY), DAY], ids=repr)
@pytest.mark.parametrize("missing", [None, pd.NaT, np.datetime64("NaT")], ids=repr)
def test_dates_and_missing_dates_are_loaded_as_they_were(tmp_path, cell, missing):
    cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(with_cells(cell, missing)).save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert again.catalog.columns["when"] == (DAY, None)
    assert again.recommend(where={"when": (">=", DAY)}).item_ids == [["a"]]


def test_whole_numbers_name_the_columns_of_a_pandas_frame():
    frame = pd.DataFrame([["a", "Alien", 5], ["b", "Blade", 9]])
    catalog = cs.Catalog.from_frame(frame, id=0, fields=[1])
    assert (catalog.ids, catalog.fields, catalog.columns["2"]) == (("a", "b"), ("1",), (5, 9))
    assert cs.Interactions.from_frame(frame, user=0, item=1, weight=2).pairs() == [("a", "Alien"), ("b", "Blade")]
    rec = cs.Recommender(encoder=HashEncoder()).fit(frame, id=0, fields=[1])
    assert rec.recommend(where={2: (">", 5)}).item_ids == [["b"]]


@pytest.mark.parametrize(
    "name", ["\ud83d", ["id"], None, True, ("a", "b"), 1.5, "x" * 2000], ids=lambda n: repr(n)[:20]
)
def test_what_cannot_name_a_column_is_refused(name):
    with pytest.raises(InvalidInputError, match=r"The name of a column must be .*; got|must be a list of column names"):
        cs.Catalog.from_frame({"id": ["a"], "title": ["b"]}, id=name, fields=["title"])
    with pytest.raises(InvalidInputError, match=r"The name of a column must be .*; got"):
        cs.Catalog.from_frame({"id": ["a"], "title": ["b"]}, id="id", fields=[name])


def test_a_column_whose_name_cannot_be_written_is_refused_at_once():
    with pytest.raises(InvalidInputError, match="valid text of at most 1,000 letters"):
        cs.Catalog.from_frame({"id": ["a"], "title": ["b"], "\ud83d": [1]}, id="id", fields=["title"])
