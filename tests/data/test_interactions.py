import copy
import warnings
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart.data.interactions import Interactions
from coldstart.errors import ColdstartWarning, InvalidInputError
from coldstart.testing import HashEncoder, tiny_catalog

ROWS = {"who": ["u", "v", "u"], "what": [2, 1, 1], "stars": [1.0, 0.5, 2.0], "at": [30, 10, 20]}
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
DAY = 86_400.0

ids = st.one_of(st.text(min_size=1).filter(str.strip), st.integers(), st.tuples(st.integers(), st.text()))


def clicks(**changed):
    return Interactions.from_frame(ROWS | changed, user="who", item="what", weight="stars", time="at")


def times(values):
    n = len(values)
    table = {"u": ["a"] * n, "i": ["x"] * n, "t": values}
    return Interactions.from_frame(table, user="u", item="i", time="t").time


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_every_kind_of_table_makes_the_same_clicks(make):
    table = make(ROWS)
    actual = Interactions.from_frame(table, user="who", item="what", weight="stars", time="at")
    assert (actual.users, actual.items) == (("u", "v"), (2, 1))
    assert actual.user_index.tolist() == [0, 1, 0]
    assert actual.item_index.tolist() == [0, 1, 1]
    assert actual.weight.tolist() == [1.0, 0.5, 2.0]
    assert actual.time.tolist() == [30.0, 10.0, 20.0]
    assert [actual.weight.dtype, actual.time.dtype, actual.user_index.dtype] == [np.float32, np.float64, np.int64]
    assert str(table) == str(make(ROWS))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_file_makes_clicks(tmp_path, name):
    texts = {"t.csv": "who,what,stars\nu,x,2\n", "t.jsonl": '{"who": "u", "what": "x", "stars": 2}\n'}
    (tmp_path / name).write_text(texts[name])
    actual = Interactions.from_frame(tmp_path / name, user="who", item="what", weight="stars")
    assert (actual.users, actual.items, actual.weight.tolist()) == (("u",), ("x",), [2.0])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(ids, ids)))
def test_ids_of_any_hashable_type_are_kept_row_by_row(pairs):
    table = {"u": [user for user, _ in pairs], "i": [item for _, item in pairs]}
    before = copy.deepcopy(table)
    actual = Interactions.from_frame(table, user="u", item="i")
    assert [actual.users[at] for at in actual.user_index] == before["u"]
    assert [actual.items[at] for at in actual.item_index] == before["i"]
    assert len(set(actual.users)) == len(actual.users)
    assert table == before


def test_the_number_1_and_the_text_1_are_two_ids():
    actual = Interactions.from_frame({"u": [1, "1"], "i": ["x", "x"]}, user="u", item="i")
    assert actual.users == (1, "1")


def test_without_a_weight_every_click_counts_1_and_time_is_unknown():
    actual = Interactions.from_frame(ROWS, user="who", item="what")
    assert actual.weight.tolist() == [1.0, 1.0, 1.0]
    assert actual.time is None


def test_an_empty_table_makes_no_clicks():
    actual = Interactions.from_frame(
        pd.DataFrame({"u": [], "i": [], "t": []}), user="u", item="i", weight="t", time="t"
    )
    assert (len(actual), actual.users, actual.items) == (0, (), ())
    assert repr(actual) == "Interactions(0 clicks of 0 users on 0 items)"


def test_the_repr_counts():
    assert repr(clicks()) == "Interactions(3 clicks of 2 users on 2 items)"
    assert len(clicks()) == 3


@pytest.mark.parametrize("name", ["users", "items", "user_index", "item_index", "weight", "time"])
def test_clicks_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        setattr(clicks(), name, None)


@pytest.mark.parametrize("name", ["user_index", "item_index", "weight", "time"])
def test_arrays_of_clicks_cannot_be_written_to(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(clicks(), name)[0] = 1


def test_changing_the_data_later_does_not_change_the_clicks():
    frame, weight = pd.DataFrame(ROWS), np.array([1.0], dtype=np.float32)
    one = Interactions.from_frame(frame, user="who", item="what", weight="stars")
    other = Interactions(("u",), ("x",), np.array([0]), np.array([0]), weight)
    frame.loc[0, ["who", "stars"]] = ["z", 9.0]
    weight[0] = 9.0
    assert (one.users[0], one.weight[0], other.weight[0]) == ("u", 1.0, 1.0)


@pytest.mark.parametrize("missing", ["user", "item", "weight", "time"])
def test_an_absent_column_is_named_with_those_there_are(missing):
    names = {"user": "who", "item": "what", "weight": "stars", "time": "at"} | {missing: "nope"}
    with pytest.raises(InvalidInputError, match=r"Interactions has no column 'nope'; its columns are \['who', 'what'"):
        Interactions.from_frame(ROWS, **names)


@pytest.mark.parametrize("column", ["who", "what"])
@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, ""], ids=repr)
def test_a_missing_id_is_named_by_row(column, value):
    with pytest.raises(InvalidInputError, match=f"`{column}` must have a value in every row; got .* in row 1"):
        clicks(**{column: ["a", value, "b"]})


def test_an_id_that_is_a_list_is_refused():
    with pytest.raises(InvalidInputError, match=r"`what` must hold hashable ids .* got \[2\] in row 2"):
        clicks(what=[1, 2, [2]])


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), None], ids=repr)
def test_a_weight_that_is_not_above_0_is_named_and_counted(value):
    with pytest.raises(
        InvalidInputError, match=r"`stars` must be between 1e-12 and 1e\+12; got .* in row 1 \(2 such rows\)"
    ):
        clicks(stars=[1.0, value, value])


def test_a_weight_that_is_no_number_is_refused():
    with pytest.raises(InvalidInputError, match="`stars` must hold numbers; got 'many' in row 2"):
        clicks(stars=["1", "2", "many"])


def test_weights_written_as_text_are_read():
    assert clicks(stars=["1", "2.5", "3"]).weight.tolist() == [1.0, 2.5, 3.0]


SECOND_DAY = {
    "datetime": [datetime(1970, 1, 2)],
    "date": [date(1970, 1, 2)],
    "aware datetime": [datetime(1970, 1, 2, 2, tzinfo=timezone(timedelta(hours=2)))],
    "seconds": [86_400],
    "numpy ns": np.array(["1970-01-02"], dtype="datetime64[ns]"),
    "numpy s": np.array(["1970-01-02"], dtype="datetime64[s]"),
    "numpy days": np.array(["1970-01-02"], dtype="datetime64[D]"),
    "pandas": pd.Series(pd.to_datetime(["1970-01-02"])),
    "pandas ns": pd.Series(np.array(["1970-01-02"], dtype="datetime64[ns]")),
    "pandas aware": pd.Series(pd.to_datetime(["1970-01-02 02:00+02:00"])),
    "polars": pl.Series([datetime(1970, 1, 2)]),
    "polars date": pl.Series([date(1970, 1, 2)]),
    "pyarrow": pa.array([datetime(1970, 1, 2)], pa.timestamp("ns")),
}


@pytest.mark.parametrize("values", SECOND_DAY.values(), ids=SECOND_DAY)
def test_any_kind_of_time_becomes_seconds_since_1970(values):
    assert times(values).tolist() == [DAY]


def test_times_keep_fractions_of_a_second():
    assert times(np.array(["1970-01-01T00:00:01.250"], dtype="datetime64[ns]")).tolist() == [1.25]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")], ids=repr)
def test_a_missing_time_is_named_by_row(value):
    with pytest.raises(InvalidInputError, match="`t` must be a time in every row; got .* in row 1"):
        times([1.0, value])


def test_a_missing_time_of_numpy_is_named_by_row():
    with pytest.raises(InvalidInputError, match="`t` must be a time in every row; got None in row 1"):
        times(np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"))


def test_a_time_that_is_a_phrase_is_refused():
    with pytest.raises(
        InvalidInputError, match="`t` must be a time in every row; got 'monday' in row 0. Parse texts first"
    ):
        times(["monday"])


def test_take_leaves_out_users_and_items_without_a_row():
    part = clicks().take(np.array([1]))
    assert (part.users, part.items) == (("v",), (1,))
    assert (part.user_index.tolist(), part.item_index.tolist()) == ([0], [0])
    assert (part.weight.tolist(), part.time.tolist()) == ([0.5], [10.0])


@pytest.mark.parametrize("rows", [np.array([True, False, True]), np.array([0, 2])], ids=["mask", "positions"])
def test_take_keeps_ids_weights_and_times_together(rows):
    part = clicks().take(rows)
    actual = [(part.users[u], part.items[i]) for u, i in zip(part.user_index, part.item_index, strict=True)]
    assert actual == [("u", 2), ("u", 1)]
    assert (part.weight.tolist(), part.time.tolist()) == ([1.0, 2.0], [30.0, 20.0])


def test_take_of_clicks_without_times_has_none():
    assert Interactions.from_frame(ROWS, user="who", item="what").take(np.array([0])).time is None


def test_clicks_within_the_catalogue_are_all_kept():
    all_known = clicks()
    assert all_known.within([1, 2, 3]) is all_known


def test_clicks_on_unknown_items_are_an_error_with_counts():
    expected = r"2 of 3 clicks are on 1 items that are not in the catalogue: 1\. .*\(1 and \"1\" differ\).*=\"drop\""
    with pytest.raises(InvalidInputError, match=expected):
        clicks().within([2, "1"])


def test_clicks_on_unknown_items_are_dropped_with_a_counted_warning():
    with pytest.warns(ColdstartWarning, match="Dropped: 2 of 3 clicks are on 1 items that are not in the catalogue: 1"):
        kept = clicks().within([2], on_unknown="drop")
    assert (kept.users, kept.items, len(kept)) == (("u",), (2,), 1)


def test_without_unknown_items_drop_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(clicks().within([1, 2], on_unknown="drop")) == 3


def test_all_clicks_can_be_dropped():
    with pytest.warns(ColdstartWarning, match="3 of 3 clicks are on 2 items"):
        assert len(clicks().within(["x"], on_unknown="drop")) == 0


def test_another_value_of_on_unknown_is_refused():
    with pytest.raises(InvalidInputError, match="`on_unknown` must be one of 'error', 'drop'; got 'ignore'"):
        clicks().within([1, 2], on_unknown="ignore")


@pytest.mark.parametrize("unit", ["D", "ns"])
def test_single_numpy_dates_become_seconds_too(unit):
    assert times([np.datetime64("1970-01-02", unit)]).tolist() == [DAY]


@pytest.mark.parametrize(
    "values",
    [pd.Series(pd.to_datetime(["2024-01-01", None])), pd.Series([1, None], dtype="Int64")],
    ids=["pandas.NaT", "pandas.NA"],
)
def test_a_missing_time_of_pandas_is_named_by_row(values):
    with pytest.raises(InvalidInputError, match="`t` must be a time in every row; got .* in row 1"):
        times(values)


def test_a_missing_weight_of_pandas_is_named_by_row():
    with pytest.raises(InvalidInputError, match=r"`stars` must be between 1e-12 and 1e\+12; got <NA> in row 1"):
        clicks(stars=pd.Series([1, None, 2], dtype="Int64"))


@pytest.mark.parametrize("value", [1e-60, 1e300])
def test_a_weight_outside_float32_is_refused(value):
    with pytest.raises(InvalidInputError, match=r"`stars` must be between 1e-12 and 1e\+12; got .* in row 1"):
        clicks(stars=[1.0, value, 1.0])


def test_pairs_are_the_ids_of_each_row_with_repeats():
    assert clicks().pairs() == [("u", 2), ("v", 1), ("u", 1)]
    assert clicks(who=["u", "u", "u"], what=[1, 1, "1"]).pairs() == [("u", 1), ("u", 1), ("u", "1")]


class TestDecayed:
    CLICKS = {"who": ["u", "u", "v"], "what": [1, 2, 1], "when": [0.0, 10 * 86_400.0, 20 * 86_400.0], "how": [2, 2, 1]}

    def clicks(self, **columns):
        return Interactions.from_frame(self.CLICKS, user="who", item="what", weight="how", **columns)

    def test_a_weight_halves_with_every_half_life_before_the_last_click(self):
        assert self.clicks(time="when").decayed(10).weight.tolist() == [0.5, 1.0, 1.0]

    def test_now_scales_all_weights_alike_and_later_clicks_keep_theirs(self):
        decayed = self.clicks(time="when").decayed(10, now=10 * 86_400.0)
        assert decayed.weight.tolist() == [1.0, 2.0, 1.0]

    def test_the_oldest_click_keeps_a_weight_above_zero(self):
        assert (self.clicks(time="when").decayed(1e-6).weight > 0).all()

    def test_decayed_does_not_change_the_clicks(self):
        clicks = self.clicks(time="when")
        clicks.decayed(1)
        assert clicks.weight.tolist() == [2.0, 2.0, 1.0]

    @pytest.mark.parametrize("half_life", [0, -1.0, float("nan"), "a day"])
    def test_a_half_life_out_of_range_is_named(self, half_life):
        with pytest.raises(InvalidInputError, match="`half_life` must be between"):
            self.clicks(time="when").decayed(half_life)

    def test_clicks_without_a_time_cannot_decay(self):
        with pytest.raises(InvalidInputError, match="pass time="):
            self.clicks().decayed(1)


class TestFramesAndMatrices:
    ROWS = pd.DataFrame({"who": ["u", "v", "v"], "what": ["a", "b", "b"], "much": [1.0, 2.0, 0.5], "when": [1, 2, 3]})

    def test_the_frame_has_a_row_per_click(self):
        clicks = Interactions.from_frame(self.ROWS, user="who", item="what", weight="much", time="when")
        frame = clicks.to_frame()
        assert frame.to_dict("list") == {
            "user": ["u", "v", "v"],
            "item": ["a", "b", "b"],
            "weight": [1.0, 2.0, 0.5],
            "time": [1.0, 2.0, 3.0],
        }
        assert list(Interactions.from_frame(self.ROWS, user="who", item="what").to_frame()) == [
            "user",
            "item",
            "weight",
        ]

    def test_to_csr_adds_up_repeated_clicks_and_from_csr_reads_it_back(self):
        clicks = Interactions.from_frame(self.ROWS, user="who", item="what", weight="much")
        matrix = clicks.to_csr()
        assert matrix.toarray().tolist() == [[1.0, 0.0], [0.0, 2.5]]
        again = Interactions.from_csr(matrix, clicks.users, clicks.items)
        assert (again.pairs(), again.weight.tolist()) == ([("u", "a"), ("v", "b")], [1.0, 2.5])

    def test_a_matrix_needs_an_id_for_each_row_and_column(self):
        matrix = Interactions.from_frame(self.ROWS, user="who", item="what").to_csr()
        with pytest.raises(InvalidInputError, match=r"of shape \(2, 2\); got 1 and 2 ids"):
            Interactions.from_csr(matrix, ["u"], ["a", "b"])
        with pytest.raises(InvalidInputError, match="`clicks` must be between .*; got .*-1.0"):
            Interactions.from_csr(-matrix, ["u", "v"], ["a", "b"])

    def test_the_index_of_a_pandas_frame_may_be_a_column(self):
        clicks = Interactions.from_frame(self.ROWS.set_index(["who", "what"]), user="who", item="what")
        assert clicks.pairs() == [("u", "a"), ("v", "b"), ("v", "b")]

    def test_a_table_passed_to_the_constructor_is_an_error_that_names_from_frame(self):
        with pytest.raises(
            TypeError, match=r"Interactions: missing a required .*Interactions.from_frame\(table, user="
        ):
            Interactions(self.ROWS)


class TestConstructor:
    GOOD = {
        "users": ("u", "v"),
        "items": ("a",),
        "user_index": np.array([0, 1]),
        "item_index": np.array([0, 0]),
        "weight": np.array([1.0, 2.0]),
        "time": np.array([5.0, 6.0]),
    }

    def test_lists_and_arrays_of_any_number_are_taken_over(self):
        made = Interactions(**{**self.GOOD, "user_index": [0, 1], "weight": [1, 2]})
        assert made.pairs() == [("u", "a"), ("v", "a")]
        assert (made.weight.dtype, made.user_index.dtype, made.time.dtype) == (np.float32, np.int64, np.float64)

    def test_no_clicks_are_fine(self):
        assert len(Interactions((), (), [], [], [])) == 0

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("user_index", [0, 2], "`user_index` must hold positions among the 2 ids, from 0 on; got 2"),
            ("item_index", [-1, 0], "`item_index` must hold positions among the 1 ids, from 0 on; got -1"),
            ("item_index", [0.0, 0.5], "`item_index` of Interactions must be an array of numbers"),
            ("weight", [1.0, np.nan], "`weight` must be between .*; got nan in row 1"),
            ("weight", [1.0, 0.0], "`weight` must be between .*; got 0.0 in row 1"),
            ("weight", [[1.0], [2.0]], "`weight` of Interactions must be an array of numbers"),
            ("weight", [[1.0], [2.0, 3.0]], "`weight` of Interactions must be an array of numbers"),
            ("weight", [1.0], "one number per click in each column; got .*'weight': 1"),
            ("time", [5.0, np.inf], "`time` must be a finite number of seconds"),
            ("time", [5.0], "one number per click in each column; got .*'time': 1"),
            ("time", ["5", "6"], "`time` of Interactions must be an array of numbers"),
            ("users", ("u", "u"), "`users` of Interactions must hold every id once; got 'u', 'u'"),
            ("users", ("u", None), "`users` must have a value in every row; got None in row 1"),
            ("items", "a", "`items` must be a list of ids; got 'a'"),
        ],
    )
    def test_columns_that_do_not_fit_are_refused(self, name, value, message):
        with pytest.raises(InvalidInputError, match=message):
            Interactions(**{**self.GOOD, name: value})


@pytest.mark.parametrize("weight", [3e38, 1e30, 1e-30, 10**400])
def test_a_weight_whose_sums_or_squares_leave_float32_is_refused(weight):
    with pytest.raises(InvalidInputError, match="`stars` must (be between|hold numbers)"):
        clicks(stars=[weight] * 3)


@pytest.mark.parametrize("weight", [1e-12, 1e12])
def test_weights_at_the_bounds_rank_as_others_do(weight):
    table = {"who": ["u", "u", "v"], "what": ["s0", "s1", "g0"]}
    for ranker in ("cosine", "hybrid"):
        lists = []
        for one in (1.0, weight):
            rated = Interactions.from_frame({**table, "w": [one] * 3}, user="who", item="what", weight="w")
            rec = cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(tiny_catalog(), rated)
            lists.append(rec.recommend(user="u", k=2))
        assert sorted(lists[1].item_ids[0]) == ["s2", "s3"]
        assert np.ptp(lists[1].scores[0]) > 0 or np.ptp(lists[0].scores[0]) == 0


@pytest.mark.parametrize("now", [float("nan"), "2020", "soon", [5]], ids=repr)
def test_now_must_be_a_time(now):
    with pytest.raises(InvalidInputError, match="`now` must be a time in every row; got"):
        clicks().decayed(1, now=now)


def test_now_may_be_a_date():
    timed = Interactions.from_frame({"u": ["a"], "i": ["x"], "t": [0.0]}, user="u", item="i", time="t")
    assert timed.decayed(1, now=date(1970, 1, 2)).weight.tolist() == timed.decayed(1, now=DAY).weight.tolist() == [0.5]


def test_the_smallest_weight_stays_one_however_old_the_click_is():
    table = {"who": ["u", "u"], "what": [1, 2], "w": [1e-12, 1.0], "at": [0, 10**9]}
    timed = Interactions.from_frame(table, user="who", item="what", weight="w", time="at")
    assert timed.decayed(1).weight[0] == np.float32(1e-12)


@pytest.mark.parametrize("rows", [[99], [-4], np.ones(2, dtype=bool), [0.5], "ab", 5, None, [[0], [1, 2]]], ids=repr)
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(InvalidInputError, match="`rows` must hold positions of the 3 rows, or be a mask of them"):
        clicks().take(rows)


@pytest.mark.parametrize("empty", [[], {}, {"who": [], "what": []}, pd.DataFrame(), pl.DataFrame()], ids=repr)
def test_a_table_without_rows_makes_no_clicks(empty):
    assert len(Interactions.from_frame(empty, user="who", item="what", weight="stars", time="at")) == 0


@pytest.mark.parametrize("matrix", [None, [[1, 0]], np.ones((2, 2)), "x"], ids=repr)
def test_what_is_no_sparse_matrix_is_refused(matrix):
    with pytest.raises(InvalidInputError, match="`clicks` must be a sparse matrix of users and items; got"):
        Interactions.from_csr(matrix, ["u", "v"], ["a", "b"])


def test_on_unknown_may_be_no_array():
    with pytest.raises(InvalidInputError, match="`on_unknown` must be one of 'error', 'drop'; got array"):
        clicks().within([1], on_unknown=np.ones(2))
