"""Dates and numbers become seconds."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest

from coldstart.data.times import since_when
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
