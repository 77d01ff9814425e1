"""Dates and numbers become seconds."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from coldstart.data.times import as_numbers, as_seconds, since_when
from coldstart.errors import InvalidInputError

DAY = 86_400.0


@pytest.mark.parametrize(
    "value",
    [
        DAY,
        date(1970, 1, 2),
        datetime(1970, 1, 2),
        datetime(1970, 1, 2, 2, tzinfo=timezone(timedelta(hours=2))),
        np.datetime64("1970-01-02"),
    ],
)
def test_every_kind_of_time_is_seconds_since_1970(value):
    assert since_when([value], "added").tolist() == [DAY]


@pytest.mark.parametrize("nothing", [None, float("nan"), " ", np.datetime64("NaT")])
def test_a_missing_cell_is_before_all_times(nothing):
    assert since_when([nothing, 5], "added").tolist() == [-np.inf, 5.0]


@pytest.mark.parametrize("value", ["soon", "2024-01-31", float("inf"), [1], object()])
def test_a_cell_that_is_no_time_is_named_with_its_row(value):
    with pytest.raises(InvalidInputError, match="`added` must hold dates, .*; got .* in row 1. Parse texts first"):
        since_when([3, value], "added")


@pytest.mark.parametrize("text", ["1609459200", "1609459200.5"])
def test_a_text_that_can_only_be_seconds_is_read_as_such(text):
    assert since_when([text], "added").tolist() == [float(text)]


@pytest.mark.parametrize("text", ["2020", "202001", "20200131", "1609459200000", "20200131120000", "-5"])
def test_a_text_that_may_be_a_date_or_milliseconds_is_no_time(text):
    with pytest.raises(InvalidInputError, match="`added` must hold dates, .*; got .* in row 0. Parse texts first"):
        since_when([text], "added")


@pytest.mark.parametrize("value", [np.datetime64("300000-01-01"), np.datetime64(10**15, "Y"), 10**400, [1.0]], ids=repr)
def test_what_no_number_of_seconds_stands_for_is_refused_instead_of_wrapped_around(value):
    with pytest.raises(InvalidInputError, match="`at` must be a time in every row; got .* in row 1"):
        as_seconds([5, value], "at")


def test_nanoseconds_are_rounded_to_what_a_float_holds():
    assert as_seconds([np.datetime64("1970-01-01T00:00:01.000000001")], "at").tolist() == [1.0]


@pytest.mark.parametrize("value", [[1.0], np.array([1.0]), 1j, np.timedelta64(1, "s"), 10**400, "many"], ids=repr)
def test_a_cell_that_is_no_number_is_named_with_its_row(value):
    with pytest.raises(InvalidInputError, match="`stars` must hold numbers; got .* in row 1"):
        as_numbers([1.0, value], "stars")


def test_numbers_of_every_kind_are_read():
    cells = [1, 2.5, "3", Decimal("4.5"), Fraction(1, 2), np.float32(0.5), np.int8(7), None]
    np.testing.assert_array_equal(as_numbers(cells, "stars"), [1, 2.5, 3, 4.5, 0.5, 0.5, 7, np.nan])
