"""Predicates on item columns: ``where={"in_stock": True, "price": ("<", 20)}``."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date, datetime
from numbers import Number
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from coldstart._arrays import AnyArray, BoolArray
from coldstart.data.catalog import Catalog
from coldstart.data.columns import Column
from coldstart.data.tables import is_missing, pick
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
"""Values of two kinds are never equal and have no order. A type of your own is of no kind: it compares as it likes."""

_Kinds: TypeAlias = set[str | None]


class _Condition(NamedTuple):
    """What the cells of a column must fulfil."""

    column: str
    symbol: str
    value: Any


def matching(catalog: Catalog, where: Where) -> BoolArray:
    """Mark the items a predicate keeps, shape (n_items,).

    Parameters
    ----------
    catalog : Catalog
    where : mapping or callable
        A mapping from column to a value, to ``(operator, value)`` with an operator of
        ``< <= > >= == != in "not in" contains``, or to a list of values, which means "in"; a pair may be a list, too,
        as JSON has it. All must hold, and a missing cell holds for none.
        A callable gets a mapping of columns as arrays and returns one truth value per item.

    Raises
    ------
    InvalidInputError
        Unknown column or operator, a value of another kind than all cells of the column, a mask of another length.

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
        raise InvalidInputError(f"`where` must be a mapping of columns or a callable; got {where!r}.")
    keep = np.ones(len(catalog), dtype=bool)
    for name, told in where.items():
        pick(catalog.arrays, name, "where=")
        keep &= _column_mask(catalog.arrays.column(name), _condition(name, told))
    return keep


def _condition(name: str, told: Any) -> _Condition:
    """Read a plain value, a pair, or values of which a cell is one."""
    listed = isinstance(told, Set | range | Iterator) or getattr(told, "ndim", 0) == 1
    if listed or (isinstance(told, list) and not _is_pair(told)):
        return _Condition(name, "in", list(told))
    symbol, value = told if _is_pair(told) else ("==", told)
    if symbol not in _OPERATORS or (isinstance(told, tuple) and not _is_pair(told)):
        raise InvalidInputError(
            f"`where[{name!r}]` must be a value, a list of values or (operator, value) with an operator of "
            f"{list(_OPERATORS)}; got {told!r}."
        )
    if symbol in ("in", "not in"):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidInputError(
                f"`where[{name!r}]` cannot compare the column with {value!r}: {symbol!r} takes a list of values. "
                f"Pass ({symbol!r}, [{value!r}])."
            )
        value = list(value)
    return _Condition(name, symbol, value)


def _is_pair(told: Any) -> bool:
    """Whether it is two things, the first of which is an operator or was meant to be one."""
    if not isinstance(told, list | tuple) or len(told) != 2 or not isinstance(told[0], str):
        return False
    return isinstance(told, tuple) or told[0] in _OPERATORS or not any(letter.isalnum() for letter in told[0])


def _column_mask(column: Column, condition: _Condition) -> BoolArray:
    _check_kinds(column, condition)
    try:
        mask = _fast_mask(column, condition)
        return _cell_by_cell(column, condition) if mask is None else mask
    except (TypeError, ValueError) as error:
        raise _no_comparison(condition, f"{error}.") from error


def _fast_mask(column: Column, condition: _Condition) -> BoolArray | None:
    """Numbers against a number, all at once."""
    numbers = column.values.dtype != object and isinstance(condition.value, bool | int | float | np.number | np.bool_)
    if not numbers or condition.symbol not in _COMPARE:
        return None
    mask: BoolArray = _COMPARE[condition.symbol](column.values, condition.value) & column.present
    return mask


def _cell_by_cell(column: Column, condition: _Condition) -> BoolArray:
    holds, value = _OPERATORS[condition.symbol], condition.value
    if condition.symbol in ("in", "not in"):
        value = _quick(value)
    mask = column.present.copy()
    if condition.symbol in ("<", "<=", ">", ">="):
        mask &= _comparable(column, value)
    cells = column.values.tolist()
    for row in np.flatnonzero(mask).tolist():
        mask[row] = bool(holds(cells[row], value))
    if condition.symbol == "contains" and not mask.any():
        _check_elements(column, condition)
    return mask


def _quick(values: list[Any]) -> Any:
    """The values as a set, where they can be hashed."""
    try:
        return set(values)
    except TypeError:
        return values


def _comparable(column: Column, value: Any) -> BoolArray:
    """Which cells of a column of several kinds have an order with the value."""
    if len(set(map(_kind_of_type, column.types))) < 2:
        return column.present
    kinds = (None, _kind(value))
    return np.array([_kind(cell) in kinds for cell in column.values], dtype=bool)


def _check_kinds(column: Column, condition: _Condition) -> None:
    """Raise when no cell can be what is asked for: an answer without items would not tell why."""
    if condition.symbol == "contains":
        return
    kinds: _Kinds = set(map(_kind_of_type, column.types))
    for value in condition.value if condition.symbol in ("in", "not in") else [condition.value]:
        if _is_alien(value, kinds):
            hint = " A missing cell holds for no condition: pass a callable." if value is None else ""
            got = f"{type(value).__name__} {value!r}"
            raise _no_comparison(condition, f"the column holds {column.kind}; got {got}.{hint}")


def _check_elements(column: Column, condition: _Condition) -> None:
    """Raise when the lists of a column cannot contain what is asked for."""
    lists = [cell for cell in column.values[column.present].tolist() if not isinstance(cell, str)]
    types = {type(element) for cell in lists for element in cell}
    if _is_alien(condition.value, set(map(_kind_of_type, types))):
        names = " and ".join(sorted(one.__name__ for one in types))
        got = f"{type(condition.value).__name__} {condition.value!r}"
        raise _no_comparison(condition, f"its lists hold {names}; got {got}.")


def _is_alien(value: Any, kinds: _Kinds) -> bool:
    """Whether a value is of another kind than all cells there are."""
    kind = _kind(value)
    return bool(kinds) and kind is not None and not {kind, None} & kinds


def _kind(value: Any) -> str | None:
    return _kind_of_type(type(value))


def _kind_of_type(one: type) -> str | None:
    return next((kind for types, kind in _KINDS if issubclass(one, types)), None)


def _no_comparison(condition: _Condition, why: str) -> InvalidInputError:
    return InvalidInputError(f"`where[{condition.column!r}]` cannot compare the column with {condition.value!r}: {why}")


def _checked_mask(mask: Any, n_items: int) -> BoolArray:
    values = np.asarray(mask)
    if values.shape != (n_items,):
        raise InvalidInputError(
            f"`where` must return {n_items:,} truth values, one per item; got shape {values.shape}."
        )
    if values.dtype == bool:
        return values.copy()
    return np.array([not is_missing(value) and bool(value) for value in values], dtype=bool)
