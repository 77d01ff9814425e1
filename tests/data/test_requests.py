from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.data import requests
from coldstart.data.requests import Recommendation, Recommendations, Request
from coldstart.errors import InvalidInputError

LISTS = ["history", "disliked", "exclude"]
TEXTS = ["query", "profile"]


def two_rows():
    return Recommendations([["a", 2], ["b"]], [[0.9, 0.4], [1.5]], {"a": "Alien", "b": "<Blade>"})


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "given_ids",
    [[1, 2], (1, 2), iter([1, 2]), np.array([1, 2]), pd.Series([1, 2]), pl.Series([1, 2]), {1: "x", 2: "y"}],
    ids=["list", "tuple", "iterator", "array", "pandas", "polars", "keys"],
)
def test_ids_may_come_in_any_collection_and_are_plain(name, given_ids):
    if hasattr(given_ids, "__next__"):
        given_ids = iter([1, 2])
    ids = getattr(Request(**{name: given_ids}), name)
    assert ids == (1, 2)
    assert [type(item_id) for item_id in ids] == [int, int]


@given(st.lists(st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))))
def test_ids_of_any_hashable_type_come_back_as_given(ids):
    assert Request(history=ids).history == tuple(ids)


def test_changing_the_callers_list_later_changes_nothing():
    ids = ["a"]
    request = Request(history=ids)
    ids.append("b")
    assert request.history == ("a",)


def test_a_request_of_nothing_is_fine():
    request = Request()
    assert (request.user, request.history, request.query, request.profile) == (None, (), None, None)
    assert repr(request) == "Request()"


@pytest.mark.parametrize("name", LISTS)
def test_none_is_no_ids(name):
    assert getattr(Request(**{name: None}), name) == ()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("nothing", [None, "", "  ", float("nan"), pd.NA, pd.NaT], ids=repr)
def test_an_empty_text_is_no_text(name, nothing):
    assert getattr(Request(**{name: nothing}), name) is None


def test_a_profile_of_columns_becomes_a_phrase_without_the_missing_ones():
    profile = {"job": "nurse", "town": None, "age": 30, "note": float("nan"), "hobby": ""}
    assert Request(profile=profile).profile == "job: nurse. age: 30"
    assert Request(profile={"town": None}).profile is None


def test_texts_keep_their_letters():
    assert Request(query="été 日本", profile="nan").query == "été 日本"
    assert Request(profile="nan").profile == "nan"


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("value", ["m12", b"m12", 12, 2.5], ids=repr)
def test_one_id_instead_of_a_list_says_how_to_write_it(name, value):
    with pytest.raises(InvalidInputError, match=rf"`{name}` must be a list of item ids; got {value!r}\. Pass \["):
        Request(**{name: value})


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [12, ["jazz"], b"jazz"], ids=repr)
def test_a_text_that_is_no_text_is_refused(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be text; got "):
        Request(**{name: value})


@pytest.mark.parametrize("name", ["user", *LISTS, *TEXTS])
def test_a_request_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        setattr(Request(), name, "x")


def test_equal_requests_are_equal_and_the_repr_shows_what_was_said():
    one, other = Request(user="u", history=["a"], query="jazz"), Request(user="u", history=("a",), query="jazz")
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == "Request(user='u', query='jazz', history=('a',))"
    assert repr(Request(user=0, disliked=["x"])) == "Request(user=0, disliked=('x',))"


def test_rows_are_read_by_position_and_in_order():
    result = two_rows()
    assert len(result) == 2
    assert result[0] == [Recommendation("a", 0.9), Recommendation(2, 0.4)]
    assert list(result) == [result[0], result[1]]
    assert result[1][0].item_id == "b"
    assert result[1][0].score == 1.5
    assert result[-1] == result[1]


def test_ids_and_scores_of_different_length_are_noticed():
    with pytest.raises(ValueError, match="shorter"):
        Recommendations([["a", "b"]], [[1.0]], {})[0]


@pytest.mark.parametrize("name", ["item_ids", "scores", "titles"])
def test_recommendations_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        setattr(two_rows(), name, [])


COLUMNS = {
    "request": [0, 0, 1],
    "rank": [1, 2, 1],
    "item_id": ["a", 2, "b"],
    "title": ["Alien", None, "<Blade>"],
    "score": [0.9, 0.4, 1.5],
}


def test_the_frame_has_one_line_per_item():
    frame = two_rows().to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(COLUMNS)
    for name in ("request", "rank", "item_id", "score"):
        assert frame[name].tolist() == COLUMNS[name]
    assert frame["title"].isna().tolist() == [False, True, False]


def test_without_pandas_the_frame_is_a_dict_of_columns(monkeypatch):
    monkeypatch.setattr(requests, "find_spec", lambda name: None)
    assert two_rows().to_frame() == COLUMNS


def test_no_rows_make_an_empty_frame_with_columns():
    assert list(Recommendations([], [], {}).to_frame().columns) == list(COLUMNS)


def test_the_repr_is_a_ranking_with_titles():
    assert repr(Recommendations([["a", 2]], [[0.9, 0.4]], {"a": "Alien"})) == "1. Alien [a] 0.900\n2. 2 0.400"


def test_the_repr_of_many_rows_names_them_and_stops_at_five():
    shown = repr(Recommendations([["a"]] * 7, [[1.0]] * 7, {}))
    assert shown.startswith("request 0\n1. a 1.000\nrequest 1\n")
    assert shown.endswith("request 4\n1. a 1.000\n... 2 more requests")


def test_the_repr_says_when_nothing_is_there():
    assert repr(Recommendations([], [], {})) == "(no requests)"
    assert repr(Recommendations([[]], [[]], {})) == "(no items left)"


def test_the_table_of_a_notebook_escapes_what_it_shows():
    table = Recommendations([["<a>"], ["b"]], [[0.25], [1.0]], {"<a>": "R & <b>"})._repr_html_()
    assert "<td>0</td><td>1</td><td>&lt;a&gt;</td><td>R &amp; &lt;b&gt;</td><td>0.250</td>" in table
    assert "<td>1</td><td>1</td><td>b</td><td></td><td>1.000</td>" in table
    assert table.count("<tr>") == 3
