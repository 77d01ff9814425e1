import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart import _extras
from coldstart.data.requests import Recommendation, Recommendations, Request
from coldstart.errors import InvalidInputError

LISTS = ["history", "disliked", "exclude"]
TEXTS = ["query", "profile"]


def two_rows():
    return Recommendations([["a", 2], ["b"]], [[0.9, 0.4], [1.5]], {"a": "Alien", "b": "<Blade>"})


@pytest.mark.parametrize("name", LISTS)
def test_ids_become_a_tuple_of_python_values(name):
    ids = getattr(Request(**{name: np.array([1, 2])}), name)
    assert ids == (1, 2)
    assert [type(item_id) for item_id in ids] == [int, int]


def test_a_user_id_becomes_a_python_value():
    assert type(Request(user=np.int64(7)).user) is int
    assert Request(user=("a", 1)).user == ("a", 1)
    assert Request(user=0).user == 0


@pytest.mark.parametrize("value", [float("nan"), pd.NA, ""], ids=repr)
def test_a_missing_user_id_is_refused(value):
    with pytest.raises(InvalidInputError, match="`user` must have a value"):
        Request(user=value)


def test_a_user_id_that_cannot_be_hashed_is_refused():
    with pytest.raises(InvalidInputError, match=r"`user` must hold hashable ids .* got \['u'\]"):
        Request(user=["u"])


@given(st.lists(st.one_of(st.text().filter(str.strip), st.integers(), st.tuples(st.integers(), st.text()))))
def test_ids_of_any_hashable_type_are_kept(ids):
    assert Request(history=ids).history == tuple(ids)


def test_changing_the_list_later_does_not_change_the_request():
    ids = ["a"]
    request = Request(history=ids)
    ids.append("b")
    assert request.history == ("a",)


def test_an_empty_request_is_allowed():
    request = Request()
    assert (request.user, request.history, request.query, request.profile) == (None, (), None, None)
    assert repr(request) == "Request()"


@pytest.mark.parametrize("name", LISTS)
def test_none_means_no_ids(name):
    assert getattr(Request(**{name: None}), name) == ()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("nothing", [None, "", "  ", float("nan"), pd.NA, pd.NaT], ids=repr)
def test_a_missing_or_blank_text_is_none(name, nothing):
    assert getattr(Request(**{name: nothing}), name) is None


def test_a_profile_mapping_becomes_text_without_missing_cells():
    profile = {"job": "nurse", "town": None, "age": 30, "note": float("nan"), "hobby": ""}
    assert Request(profile=profile).profile == "job: nurse. age: 30"
    assert Request(profile={"town": None}).profile is None


def test_unicode_texts_are_kept():
    assert Request(query="été 日本", profile="nan").query == "été 日本"
    assert Request(profile="nan").profile == "nan"


@pytest.mark.parametrize("name", LISTS)
def test_one_id_instead_of_a_list_is_an_error_that_shows_the_list(name):
    with pytest.raises(InvalidInputError, match=rf"`{name}` must be a list of ids; got 'm12'\. Pass \['m12'\]"):
        Request(**{name: "m12"})


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [12, ["jazz"], b"jazz"], ids=repr)
def test_a_text_that_is_no_text_is_refused(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be text; got "):
        Request(**{name: value})


@pytest.mark.parametrize("name", ["user", *LISTS, *TEXTS])
def test_a_request_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        setattr(Request(), name, "x")


def test_requests_compare_by_value_and_the_repr_shows_only_what_was_given():
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


def test_ids_and_scores_of_different_length_are_an_error():
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
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    assert two_rows().to_frame() == COLUMNS


def test_no_requests_make_an_empty_frame_with_columns():
    assert list(Recommendations([], [], {}).to_frame().columns) == list(COLUMNS)


def test_the_repr_is_a_ranking_with_titles():
    assert repr(Recommendations([["a", 2]], [[0.9, 0.4]], {"a": "Alien"})) == "1. Alien [a] 0.900\n2. 2 0.400"


def test_the_repr_of_many_requests_numbers_them_and_stops_at_five():
    shown = repr(Recommendations([["a"]] * 7, [[1.0]] * 7, {}))
    assert shown.startswith("request 0\n1. a 1.000\nrequest 1\n")
    assert shown.endswith("request 4\n1. a 1.000\n... 2 more requests")


@pytest.mark.parametrize(("rows", "end"), [(2, "request 1\n1. a 1.000"), (5, "1. a 1.000"), (6, "... 1 more requests")])
def test_the_repr_counts_the_requests_after_the_fifth(rows, end):
    shown = repr(Recommendations([["a"]] * rows, [[1.0]] * rows, {}))
    assert shown.startswith("request 0\n")
    assert shown.endswith(end)


def test_the_repr_says_when_there_are_no_requests_or_items():
    assert repr(Recommendations([], [], {})) == "(no requests)"
    assert repr(Recommendations([[]], [[]], {})) == "(no items left)"


def test_the_table_of_a_notebook_escapes_what_it_shows():
    table = Recommendations([["<a>"], ["b"]], [[0.25], [1.0]], {"<a>": "R & <b>"})._repr_html_()
    assert "<td>0</td><td>1</td><td>&lt;a&gt;</td><td>R &amp; &lt;b&gt;</td><td>0.250</td>" in table
    assert "<td>1</td><td>1</td><td>b</td><td></td><td>1.000</td>" in table
    assert table.count("<tr>") == 3


class TestContributions:
    SHARES = (({"content": 0.75, "popularity": 0.25}, {"content": 1.0}), ({"popularity": 1.0},))

    def with_contributions(self):
        rows = two_rows()
        return Recommendations(rows.item_ids, rows.scores, rows.titles, lambda: [list(row) for row in self.SHARES])

    def test_they_are_computed_by_the_callable(self):
        assert self.with_contributions().contributions == [list(row) for row in self.SHARES]

    def test_without_a_callable_there_is_an_empty_dict_per_item(self):
        assert two_rows().contributions == [[{}, {}], [{}]]
        assert Recommendations([[]], [[]], {}).contributions == [[]]

    def test_they_are_not_compared(self):
        assert self.with_contributions() == two_rows()

    @pytest.mark.parametrize(
        "elsewhere",
        [lambda rows: pickle.loads(pickle.dumps(rows)), copy.copy, copy.deepcopy],
        ids="pickled copied deeply".split(),
    )
    def test_a_pickle_or_copy_does_not_have_them(self, elsewhere):
        again = elsewhere(self.with_contributions())
        assert again == self.with_contributions()
        assert again.contributions == [[{}, {}], [{}]]


def test_the_former_name_of_contributions_still_works_and_warns():
    with pytest.warns(DeprecationWarning, match="is now `contributions`"):
        assert two_rows().experts == two_rows().contributions
