from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from coldstart.data.catalog import Catalog
from coldstart.data.where import matching
from coldstart.errors import InvalidInputError

FRAME = {
    "id": ["a", "b", "c", "d"],
    "title": ["Alien", "Blade", None, "Dune"],
    "price": [5, 20, None, 30],
    "in_stock": [True, False, True, None],
    "tags": [["war", "space"], [], None, ["sand"]],
    "made": [datetime(1979, 1, 1), datetime(1998, 1, 1), None, datetime(2021, 1, 1)],
}


def kept(where, frame=FRAME):
    catalog = Catalog.from_frame(frame, id="id", fields=["title"])
    mask = matching(catalog, where)
    assert (mask.dtype, mask.shape) == (bool, (len(catalog),))
    return "".join(np.array(catalog.ids)[mask])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (20, "b"),
        (("==", 20), "b"),
        (("!=", 20), "ad"),
        (("<", 20), "a"),
        (("<=", 20), "ab"),
        ((">", 20), "d"),
        ((">=", 20), "bd"),
        (("in", [5, 30]), "ad"),
        (("in", {5}), "a"),
        (("not in", [5, 30]), "b"),
    ],
    ids=repr,
)
def test_each_operator_keeps_matching_cells_and_no_missing_one(condition, expected):
    assert kept({"price": condition}) == expected


def test_contains_looks_into_texts_and_lists():
    assert kept({"title": ("contains", "l")}) == "ab"
    assert kept({"tags": ("contains", "sand")}) == "d"


def test_truth_values_and_dates_compare():
    assert kept({"in_stock": True}) == "ac"
    assert kept({"made": (">", datetime(1990, 1, 1))}) == "bd"


def test_all_conditions_must_hold():
    assert kept({"in_stock": True, "price": ("<", 100)}) == "a"


def test_no_condition_keeps_everything():
    assert kept({}) == "abcd"


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT, ""], ids=repr)
@pytest.mark.parametrize("condition", [("!=", 7), ("not in", [7]), ("==", None)], ids=repr)
def test_a_missing_cell_holds_for_no_condition(nothing, condition):
    assert kept({"price": condition}, FRAME | {"price": [nothing] * 4}) == ""


def test_missing_cells_of_a_pandas_frame_hold_for_no_condition():
    assert kept({"price": ("<", 100)}, pd.DataFrame(FRAME)) == "abd"


@pytest.mark.parametrize("as_what", [list, tuple, np.array, pd.Series])
def test_a_callable_gets_the_columns_and_returns_a_truth_value_per_item(as_what):
    assert kept(lambda columns: as_what([(price or 0) > 5 for price in columns["price"]])) == "bd"


def test_a_callable_may_return_zeros_and_ones():
    assert kept(lambda columns: [0, 1, 1, 0]) == "bc"


@pytest.mark.parametrize("mask", [[True], [True] * 5, True, [[True] * 4], []], ids=repr)
def test_a_callable_that_returns_another_shape_is_refused(mask):
    with pytest.raises(InvalidInputError, match=r"`where` must return 4 truth values, one per item; got shape \("):
        kept(lambda columns: mask)


def test_an_unknown_column_is_named_with_those_there_are():
    with pytest.raises(InvalidInputError, match=r"where= has no column 'cost'; its columns are \['title', 'price'"):
        kept({"cost": 3})


def test_the_id_is_no_column_to_filter_by():
    with pytest.raises(InvalidInputError, match="where= has no column 'id'"):
        kept({"id": "a"})


@pytest.mark.parametrize("symbol", ["=", "like", "=<", None, 3], ids=repr)
def test_an_unknown_operator_is_named_with_those_there_are(symbol):
    with pytest.raises(InvalidInputError, match=rf"`where\['price'\]` must be .* of \['<', .*; got \({symbol!r}, 3\)"):
        kept({"price": (symbol, 3)})


@pytest.mark.parametrize("condition", [("<", "20"), ("in", 5), ("contains", 5), ("<", None)], ids=repr)
def test_values_that_cannot_be_compared_are_named(condition):
    with pytest.raises(InvalidInputError, match=r"`where\['price'\]` cannot compare the column with .*: .*"):
        kept({"price": condition})


@pytest.mark.parametrize("where", ["price", 5, ["price"], [("price", "<", 3)]], ids=repr)
def test_a_filter_of_another_type_is_refused(where):
    with pytest.raises(InvalidInputError, match="`where` must be a mapping of columns or a callable; got "):
        kept(where)


@pytest.mark.parametrize("condition", [("<",), (1, 2, 3), ()], ids=repr)
def test_a_tuple_that_is_no_pair_is_refused(condition):
    with pytest.raises(
        InvalidInputError,
        match=r"`where\['price'\]` must be a value, a list of values or \(operator, value\) .*; got \(",
    ):
        kept({"price": condition})


def test_a_list_in_place_of_an_operator_is_refused():
    with pytest.raises(InvalidInputError, match=r"`where\['price'\]` must be .*; got \(\[1\], 2\)"):
        kept({"price": ([1], 2)})


def test_values_of_in_may_be_a_tuple():
    assert kept({"price": ("in", (5, 30))}) == "ad"
    assert kept({"price": ("not in", (5, 30))}) == "b"


def test_arrays_in_cells_that_have_no_truth_value_are_named():
    with pytest.raises(InvalidInputError, match=r"`where\['v'\]` cannot compare the column with 1"):
        kept({"v": 1}, FRAME | {"v": [np.array([1, 2])] * 4})


def test_values_of_in_may_come_from_an_iterator():
    assert kept({"price": ("in", iter([30, 5]))}) == "ad"


@pytest.mark.parametrize(
    "mask", [[1.0, float("nan"), 0.0, 0.0], pd.Series([True, None, False, False], dtype="boolean")], ids=["NaN", "NA"]
)
def test_a_missing_truth_value_of_a_callable_is_not_true(mask):
    assert kept(lambda columns: mask) == "a"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (["<", 20], "a"),
        (["==", 20], "b"),
        (["in", [5, 30]], "ad"),
        (["not in", [5, 30]], "b"),
        ([5, 30], "ad"),
        ([5, 30, 31], "ad"),
        ([20], "b"),
        ([], ""),
        ({5, 20}, "ab"),
        (range(10, 25), "b"),
        (np.array([30.0]), "d"),
        (pd.Series([5, 30]), "ad"),
    ],
    ids=repr,
)
def test_a_list_is_an_operator_pair_or_a_list_of_values(condition, expected):
    assert kept({"price": condition}) == expected


def test_a_list_of_two_texts_is_two_values_unless_the_first_is_an_operator():
    assert kept({"title": ["Alien", "Dune"]}) == "ad"
    assert kept({"title": ["contains", "Du"]}) == "d"
    with pytest.raises(InvalidInputError, match=r"`where\['title'\]` must be .*; got \['=', 'Dune'\]"):
        kept({"title": ["=", "Dune"]})


def test_in_with_a_text_instead_of_a_list_is_refused():
    with pytest.raises(InvalidInputError, match=r"'in' takes a list of values. Pass \('in', \['Alien'\]\)"):
        kept({"title": ("in", "Alien")})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"price": "20"}, r"'20': the column holds int; got str '20'"),
        ({"price": ("!=", "20")}, r"'20': the column holds int; got str '20'"),
        ({"price": ("<", "20")}, r"'20': the column holds int; got str '20'"),
        ({"price": [5, "20"]}, r"\[5, '20'\]: the column holds int; got str '20'"),
        ({"price": None}, r"None: the column holds int; got NoneType None. A missing cell .* pass a callable"),
        ({"title": 1979}, r"1979: the column holds str; got int 1979"),
        ({"made": "1979-01-01"}, r"the column holds datetime; got str '1979-01-01'"),
        ({"made": date(1979, 1, 1)}, r"the column holds datetime; got date"),
        ({"tags": ["war", "space"]}, r"the column holds list; got str 'war'"),
        ({"tags": ("contains", 5)}, r"5: its lists hold str; got int 5"),
    ],
    ids=repr,
)
def test_a_value_of_another_kind_than_the_column_is_an_error(where, said):
    with pytest.raises(InvalidInputError, match=rf"cannot compare the column with .*{said}"):
        kept(where)


@pytest.mark.parametrize("value", [20, 20.0, np.int64(20), np.float32(20), Decimal(20), Fraction(20)], ids=repr)
def test_numbers_of_any_type_compare(value):
    assert kept({"price": value}) == "b"
    assert kept({"price": (">", value)}) == "d"
    assert kept({"price": [value]}) == "b"
    assert kept({"in_stock": ("<", value)}) == "abc"
    assert kept({"in_stock": 1}) == "ac"


def test_numbers_too_large_for_a_float_stay_exact():
    frame = FRAME | {"code": [2**60, 2**60 + 1, None, 2**70]}
    assert kept({"code": 2**60}, frame) == "a"
    assert kept({"code": (">", 2**60)}, frame) == "bd"


def test_in_a_column_of_several_kinds_cells_of_the_kind_of_the_value_compare():
    frame = FRAME | {"size": [5, "large", None, 7.5]}
    assert kept({"size": "large"}, frame) == "b"
    assert kept({"size": ("<", 7)}, frame) == "a"
    assert kept({"size": ("!=", 5)}, frame) == "bd"
    with pytest.raises(InvalidInputError, match="the column holds float and int and str; got datetime"):
        kept({"size": datetime(2000, 1, 1)}, frame)


def test_a_callable_gets_arrays():
    assert kept(lambda columns: columns["price"] < 25) == "ab"
    assert kept(lambda columns: (columns["title"] == "Dune") | (columns["price"] == 5)) == "ad"
    assert kept(lambda columns: ~np.isnan(columns["price"]) & (columns["in_stock"] == 1)) == "a"


def test_a_callable_cannot_change_the_catalogue():
    def spoil(columns):
        columns["price"][0] = 99
        return [True] * 4

    with pytest.raises(ValueError, match="read-only"):
        kept(spoil)


def test_columns_are_made_at_first_use_and_kept():
    catalog = Catalog.from_frame(FRAME, id="id", fields=["title"])
    matching(catalog, {"price": 5})
    assert list(catalog.arrays._made) == ["price"]
    assert catalog.arrays["price"] is catalog.arrays["price"]
    with pytest.raises(KeyError, match="cost"):
        matching(catalog, lambda columns: columns["cost"] > 1)


class Refusing:
    def __eq__(self, other):
        raise RuntimeError("never")

    __hash__ = None


@pytest.mark.parametrize("value", [Decimal("sNaN"), Refusing(), pd.DataFrame([[1]])], ids=["sNaN", "own type", "frame"])
def test_a_value_that_refuses_comparison_is_refused(value):
    with pytest.raises(InvalidInputError, match=r"`where\['price'\]` cannot compare the column with"):
        kept({"price": value})


def test_a_number_too_large_for_a_float_is_refused_or_equal_to_nothing():
    with pytest.raises(InvalidInputError, match="cannot compare the column with <int of 1,329 bits>"):
        kept({"price": 10**400})


def test_a_text_for_a_column_of_a_csv_is_named_as_text():
    frame = {"id": ["a", "b"], "title": ["x", "y"], "stock": ["True", "False"]}
    with pytest.raises(
        InvalidInputError, match=r"cannot compare the column with True: the column holds str; got bool True"
    ):
        kept({"stock": True}, frame)
    assert kept({"stock": "True"}, frame) == "a"


@pytest.mark.parametrize(
    "mask", [[[1], [2, 3], [], []], [Refusing()] * 4, [np.ones(2)] * 4], ids=["ragged", "own", "arrays"]
)
def test_a_callable_that_returns_no_truth_values_is_refused(mask):
    def where(columns):
        return [type("NoTruth", (), {"__bool__": lambda self: 1 / 0})()] * 4 if isinstance(mask[0], Refusing) else mask

    with pytest.raises(InvalidInputError, match="`where` must return .*truth values"):
        kept(where)
