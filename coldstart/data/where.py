"""Filters on item columns: ``where={"in_stock": True, "price": ("<", 20)}``."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date, datetime
from numbers import Number
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from coldstart._arrays import AnyArray, BoolArray
from coldstart._messages import shortened, shown
from coldstart.data.catalog import Catalog
from coldstart.data.columns import Column
from coldstart.data.tables import column_name, is_missing, pick
from coldstart.errors import InvalidInputError

Where: TypeAlias = Mapping[str, Any] | Callable[[Mapping[str, AnyArray]], Any]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    **_COMPARE,
    "in": lambda cell, values: cell in values,
    "not in": lambda cell, values: cell not in values,
    "contains": lambda cell, value: value in cell,
}

_KINDS: tuple[tuple[Any, str], ...] = (
    ((Number, np.bool_), "number"),
    (str, "text"),
    (bytes, "bytes"),
    ((datetime, np.datetime64), "datetime"),
    (date, "date"),
    (list, "list"),
    (tuple, "tuple"),
    (Set, "set"),
    (Mapping, "mapping"),
    (type(None), "nothing"),
)
"""Types whose values compare with each other. Those of two kinds are never equal and have no order. A type outside of
the list is of no kind (None), and may compare with anything."""

_Kinds: TypeAlias = set[str | None]


class _Condition(NamedTuple):
    """A condition on the cells of one column."""

    column: str
    symbol: str
    value: Any


def matching(catalog: Catalog, where: Where) -> BoolArray:
    """Return the mask of the items that a filter keeps, shape (n_items,).

    Parameters
    ----------
    catalog : Catalog
    where : mapping or callable
        A mapping from column to a value, to ``(operator, value)`` with an operator of
        ``< <= > >= == != in "not in" contains``, or to a list of values, which means "in"; a pair may be a list, too,
        as in JSON. All conditions must hold; for a missing cell none does.
        A callable gets a mapping of columns as arrays and returns one truth value per item.

    Raises
    ------
    InvalidInputError
        When a column or operator is unknown, a value is of another kind than all cells of the column, or a callable
        returns another number of truth values.

    Examples
    --------
    >>> catalog = Catalog.from_frame({"id": [1, 2], "title": ["a", "b"], "price": [9, 30]}, id="id", fields=["title"])
    >>> matching(catalog, {"price": ("<", 20)}).tolist(), matching(catalog, {"price": [30, 31]}).tolist()
    ([True, False], [False, True])
    >>> matching(catalog, lambda columns: columns["price"] > 20).tolist()
    [False, True]
    """
    if callable(where):
        return _checked_mask(where(catalog.arrays), len(catalog))
    if not isinstance(where, Mapping):
        raise InvalidInputError(f"`where` must be a mapping of columns or a callable; got {shown(where)}.")
    keep = np.ones(len(catalog), dtype=bool)
    for name, given in where.items():
        pick(catalog.arrays, name, "where=")
        keep &= _column_mask(catalog.arrays.column(column_name(name)), _condition(name, given))
    return keep


def _condition(name: str, given: Any) -> _Condition:
    """Read a condition: a value, an (operator, value) pair, or a list of values."""
    listed = isinstance(given, Set | range | Iterator) or getattr(given, "ndim", 0) == 1
    if listed or (isinstance(given, list) and not _is_pair(given)):
        return _Condition(name, "in", list(given))
    symbol, value = given if _is_pair(given) else ("==", given)
    if symbol not in _OPERATORS or (isinstance(given, tuple) and not _is_pair(given)):
        raise InvalidInputError(
            f"`where[{shown(name)}]` must be a value, a list of values or (operator, value) with an operator of "
            f"{list(_OPERATORS)}; got {shown(given)}."
        )
    if symbol in ("in", "not in"):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidInputError(
                f"`where[{shown(name)}]` cannot compare the column with {shown(value)}: {symbol!r} takes a list of "
                f"values. Pass ({symbol!r}, [{shown(value)}])."
            )
        value = list(value)
    return _Condition(name, symbol, value)


def _is_pair(given: Any) -> bool:
    """Whether it is an (operator, value) pair, perhaps with a misspelled operator."""
    if not isinstance(given, list | tuple) or len(given) != 2 or not isinstance(given[0], str):
        return False
    # A list of two texts may be two values. One of signs alone, such as "=>", is a misspelled operator.
    return isinstance(given, tuple) or given[0] in _OPERATORS or not any(letter.isalnum() for letter in given[0])


def _column_mask(column: Column, condition: _Condition) -> BoolArray:
    """Return the mask of the cells for which a condition holds."""
    _check_kinds(column, condition)
    try:
        mask = _fast_mask(column, condition)
        return _cell_by_cell(column, condition) if mask is None else mask
    except InvalidInputError:
        raise
    except Exception as error:  # operators of the caller's own types may raise anything
        raise _no_comparison(condition, f"{shortened(error)}.") from error


def _fast_mask(column: Column, condition: _Condition) -> BoolArray | None:
    """Compare a column of numbers with a number, all cells at once; None where the condition is another one."""
    numbers = column.values.dtype != object and isinstance(condition.value, bool | int | float | np.number | np.bool_)
    if not numbers or condition.symbol not in _COMPARE:
        return None
    mask: BoolArray = _COMPARE[condition.symbol](column.values, condition.value) & column.present
    return mask


def _cell_by_cell(column: Column, condition: _Condition) -> BoolArray:
    """Evaluate a condition on each cell that is not missing, by the operators of Python."""
    holds, value = _OPERATORS[condition.symbol], condition.value
    if condition.symbol in ("in", "not in"):
        value = _as_set(value)
    mask = column.present.copy()
    if condition.symbol in ("<", "<=", ">", ">="):
        mask &= _comparable(column, value)
    cells = column.values.tolist()
    for row in np.flatnonzero(mask).tolist():
        mask[row] = bool(holds(cells[row], value))
    if condition.symbol == "contains" and not mask.any():
        _check_elements(column, condition)
    return mask


def _as_set(values: list[Any]) -> Any:
    """Return the values as a set, in which a look-up is fast; as they are where one has no hash."""
    try:
        return set(values)
    except TypeError:
        return values


def _comparable(column: Column, value: Any) -> BoolArray:
    """Return the mask of the cells that have an order with the value: of several kinds, those of its kind."""
    if len(set(map(_kind_of_type, column.types))) < 2:
        return column.present
    kinds = (None, _kind(value))
    return np.array([_kind(cell) in kinds for cell in column.values], dtype=bool)


def _check_kinds(column: Column, condition: _Condition) -> None:
    """Raise when a value is of another kind than all cells: an answer without items would not say why."""
    if condition.symbol == "contains":
        return
    kinds: _Kinds = set(map(_kind_of_type, column.types))
    for value in condition.value if condition.symbol in ("in", "not in") else [condition.value]:
        if _is_of_other_kind(value, kinds):
            hint = " A missing cell holds for no condition: pass a callable." if value is None else ""
            got = f"{type(value).__name__} {shown(value)}"
            raise _no_comparison(condition, f"the column holds {column.kind}; got {got}.{hint}")


def _check_elements(column: Column, condition: _Condition) -> None:
    """Raise when the value is of another kind than all elements of the lists in a column."""
    lists = [cell for cell in column.values[column.present].tolist() if not isinstance(cell, str)]
    types = {type(element) for cell in lists for element in cell}
    if _is_of_other_kind(condition.value, set(map(_kind_of_type, types))):
        names = " and ".join(sorted(one.__name__ for one in types))
        got = f"{type(condition.value).__name__} {shown(condition.value)}"
        raise _no_comparison(condition, f"its lists hold {names}; got {got}.")


def _is_of_other_kind(value: Any, kinds: _Kinds) -> bool:
    """Whether a value has a kind, and all of the kinds are others."""
    kind = _kind(value)
    return bool(kinds) and kind is not None and not {kind, None} & kinds


def _kind(value: Any) -> str | None:
    return _kind_of_type(type(value))


def _kind_of_type(one: type) -> str | None:
    return next((kind for types, kind in _KINDS if issubclass(one, types)), None)


def _no_comparison(condition: _Condition, why: str) -> InvalidInputError:
    """Return the error that names a condition and says why it cannot be evaluated."""
    named = f"`where[{shown(condition.column)}]`"
    return InvalidInputError(f"{named} cannot compare the column with {shown(condition.value)}: {why}")


def _checked_mask(mask: Any, n_items: int) -> BoolArray:
    """Return what a callable returned as a mask, in which a missing value is False."""
    try:
        values = np.asarray(mask)
    except ValueError:  # lists of several lengths
        values = np.zeros(())
    if values.shape != (n_items,):
        raise InvalidInputError(
            f"`where` must return {n_items:,} truth values, one per item; got shape {values.shape}."
        )
    if values.dtype == bool:
        return values.copy()
    try:
        return np.array([not is_missing(value) and bool(value) for value in values], dtype=bool)
    except Exception as error:
        raise InvalidInputError(f"`where` must return truth values; got {shown(mask)}: {shortened(error)}.") from error
