"""Predicates on item columns: ``where={"in_stock": True, "price": ("<", 20)}``."""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from coldstart._arrays import BoolArray
from coldstart.data.catalog import Catalog
from coldstart.data.tables import is_missing, pick
from coldstart.errors import InvalidInputError

Where: TypeAlias = Mapping[str, Any] | Callable[[Mapping[str, tuple[Any, ...]]], Any]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "in": lambda cell, values: cell in values,
    "not in": lambda cell, values: cell not in values,
    "contains": lambda cell, value: value in cell,
}


def matching(catalog: Catalog, where: Where) -> BoolArray:
    """Mark the items a predicate keeps, shape (n_items,).

    Parameters
    ----------
    catalog : Catalog
    where : mapping or callable
        A mapping from column to a value, or to ``(operator, value)`` with an operator of
        ``< <= > >= == != in "not in" contains``; all must hold, and a missing cell holds for none.
        A callable gets the mapping of columns and returns one truth value per item.

    Raises
    ------
    InvalidInputError
        Unknown column or operator, values that cannot be compared, a mask of another length.

    Examples
    --------
    >>> catalog = Catalog.from_frame({"id": [1, 2], "title": ["a", "b"], "price": [9, 30]}, id="id", fields=["title"])
    >>> matching(catalog, {"price": ("<", 20)}).tolist()
    [True, False]
    """
    if callable(where):
        return _checked_mask(where(catalog.columns), len(catalog))
    if not isinstance(where, Mapping):
        raise InvalidInputError(f"`where` must be a mapping of columns or a callable; got {where!r}.")
    keep = np.ones(len(catalog), dtype=bool)
    for name, condition in where.items():
        keep &= _column_mask(pick(catalog.columns, name, "where="), name, condition)
    return keep


def _column_mask(cells: Any, name: str, condition: Any) -> BoolArray:
    pair = condition if isinstance(condition, tuple) else ("==", condition)
    if len(pair) != 2 or pair[0] not in list(_OPERATORS):
        raise InvalidInputError(
            f"`where[{name!r}]` must be a value or (operator, value) with an operator of {list(_OPERATORS)}; "
            f"got {condition!r}."
        )
    symbol, value = pair
    holds = _OPERATORS[symbol]
    value = list(value) if isinstance(value, Iterator) else value
    try:
        return np.array([not is_missing(cell) and bool(holds(cell, value)) for cell in cells], dtype=bool)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"`where[{name!r}]` cannot compare the column with {value!r}: {error}.") from error


def _checked_mask(mask: Any, n_items: int) -> BoolArray:
    values = np.asarray(mask)
    if values.shape != (n_items,):
        raise InvalidInputError(
            f"`where` must return {n_items:,} truth values, one per item; got shape {values.shape}."
        )
    return np.array([not is_missing(value) and bool(value) for value in values], dtype=bool)
