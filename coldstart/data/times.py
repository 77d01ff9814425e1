"""Turn the times of tables, numbers and dates, into seconds since 1970."""

from collections.abc import Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from coldstart._messages import shown
from coldstart.data.tables import is_missing, plain
from coldstart.errors import InvalidInputError

FIRST_AS_TEXT, LAST_AS_TEXT = 10**8, 253_402_300_799
"""Seconds from 1970 to 1973, and to the end of 9999. A text that is a number between them is read as seconds, as every
cell of a CSV is text; one below may be a year or a date, such as "2020" or "20200131", one above milliseconds."""

ADVICE = "Parse texts first, for example with pandas.to_datetime."


def as_seconds(values: Sequence[Any], name: str) -> npt.NDArray[np.float64]:
    """Turn numbers or dates into seconds since 1970.

    Raises
    ------
    InvalidInputError
        When a cell is missing or is no time.
    """
    seconds = np.array([_seconds(value) for value in values], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(seconds))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must be a time in every row; got {shown(values[bad[0]])} in row {bad[0]}. {ADVICE}"
        )
    return seconds


def since_when(values: Sequence[Any], name: str) -> npt.NDArray[np.float64]:
    """Turn numbers or dates into seconds since 1970; a missing cell becomes minus infinity, before all times.

    Raises
    ------
    InvalidInputError
        When a cell is no time.

    Examples
    --------
    >>> since_when([date(1970, 1, 2), None, 5], "added").tolist()
    [86400.0, -inf, 5.0]
    """
    seconds = np.array([-np.inf if is_missing(value) else _seconds(value) for value in values], dtype=np.float64)
    bad = np.flatnonzero(np.isnan(seconds) | (seconds == np.inf))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must hold dates, datetimes or seconds since 1970, and nothing where an item was there from the "
            f"start; got {shown(values[bad[0]])} in row {bad[0]}. {ADVICE}"
        )
    return seconds


def as_numbers(values: Sequence[Any], name: str) -> npt.NDArray[np.float64]:
    """Return cells as float64, NaN where one is missing.

    Raises
    ------
    InvalidInputError
        When a cell is no number.
    """
    numbers = [value if type(value) is float else _number(value) for value in values]
    if None in numbers:
        row = numbers.index(None)
        raise InvalidInputError(f"`{name}` must hold numbers; got {shown(values[row])} in row {row}.")
    return np.array(numbers, dtype=np.float64)


def _number(value: Any) -> float | None:
    """Return a number, or one written as text; NaN where it is missing, None where it is none that float64 can hold."""
    if type(value) is not int:  # of which columns may have millions
        if is_missing(value):
            return np.nan
        # Not whatever `float` takes: an array of one number is a column too many.
        if isinstance(value, np.timedelta64) or not isinstance(value, Real | Decimal | str | np.bool_):
            return None
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None


def _seconds(value: Any) -> float:
    """Return the seconds since 1970 of a time, by default in UTC; NaN for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, np.datetime64):
        value = plain(value, exactly=False)
    if isinstance(value, date) and value == value:  # NaT is not itself
        time = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    seconds = _number(value)
    if seconds is None or (isinstance(value, str) and not FIRST_AS_TEXT <= seconds <= LAST_AS_TEXT):
        return np.nan
    return seconds
