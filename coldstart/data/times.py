"""Turn the times of tables, numbers and dates, into seconds since 1970."""

from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from coldstart.data.tables import is_missing
from coldstart.errors import InvalidInputError


def as_seconds(values: Sequence[Any], name: str) -> npt.NDArray[np.float64]:
    """Turn numbers or dates into seconds since 1970.

    Raises
    ------
    InvalidInputError
        When a cell is missing or is no time.
    """
    seconds = as_numbers([_timestamp(value) for value in values], name)
    bad = np.flatnonzero(~np.isfinite(seconds))
    if len(bad):
        raise InvalidInputError(f"`{name}` must be a time in every row; got {values[bad[0]]!r} in row {bad[0]}.")
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
    seconds = np.array([-np.inf if is_missing(value) else _number(value) for value in values], dtype=np.float64)
    bad = np.flatnonzero(np.isnan(seconds) | (seconds == np.inf))
    if len(bad):
        raise InvalidInputError(
            f"`{name}` must hold dates, datetimes or seconds since 1970, and nothing where an item was there from the "
            f"start; got {values[bad[0]]!r} in row {bad[0]}. Parse texts first, for example with pandas.to_datetime."
        )
    return seconds


def as_numbers(values: Sequence[Any], name: str) -> npt.NDArray[np.float64]:
    """Return cells as float64, NaN where one is missing.

    Raises
    ------
    InvalidInputError
        When a cell is no number.
    """
    try:
        return np.array([np.nan if is_missing(value) else value for value in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"`{name}` must hold numbers; {error}.") from error


def _timestamp(value: Any) -> Any:
    """Return the seconds since 1970 of a date or datetime, by default in UTC; other values as they are."""
    if isinstance(value, np.datetime64):  # to microseconds, the precision of a datetime
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value == value:  # NaT is not itself
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return value


def _number(value: Any) -> float:
    """Return the seconds since 1970 of a time, NaN for anything else."""
    try:
        return float(_timestamp(value))
    except (TypeError, ValueError):
        return np.nan
