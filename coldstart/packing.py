"""Values as JSON beside a table of tensors, and back.

``pack`` turns parts and arrays into both; ``unpack`` builds only classes of the registry that it is given. There is no
pickle, so that reading values never runs code that came with them. Arrays that compiled code reads without looking,
such as sparse matrices, are checked whole: a wrong number there would end the process, or worse.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, issparse

from coldstart._arrays import AnyArray, Csr
from coldstart._component import Component
from coldstart._messages import shown
from coldstart.data.cells import Cells
from coldstart.data.tables import is_missing, plain
from coldstart.errors import MALFORMED, ColdstartError, InvalidInputError, SavedFolderError

Json: TypeAlias = Any
Tensors: TypeAlias = dict[str, AnyArray]
Registry: TypeAlias = Mapping[str, type[Component]]

_TAG = "is"
"""Key under which packed values say what they are; nothing else packs to a JSON object."""

NUMBERS = ("float32", "float64", "int64", "int32", "int8", "bool")
"""Formats of the numbers of a sparse matrix."""

POSITIONS = ("int32", "int64")
"""Formats of its indices and row ends."""


def pack(value: Any, tensors: Tensors, name: str) -> Json:
    """Turn a value into JSON, its arrays put into ``tensors`` under names that begin with ``name``.

    Parts become their class name, parameters and learned state.

    Raises
    ------
    InvalidInputError
        When a value is of a type that cannot be saved.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
        # An array that several parts share is written once.
        shared = next((other for other, array in tensors.items() if array is value), name)
        tensors[shared] = value
        return {_TAG: "tensor", "name": shared}
    if isinstance(value, Cells):
        parts = {"data": value.data, "ends": value.ends, "missing": value.missing}
        return {_TAG: "cells", **_pack_items(parts, tensors, name)}
    if isinstance(value, Component):
        params = value.get_params()
        if "device" in params:
            params["device"] = None  # it may be loaded on a machine without that device
        state = {"params": params, "state": value.get_state()}
        return {_TAG: "part", "class": value.saved_name, **_pack_items(state, tensors, name)}
    if isinstance(value, Mapping):
        items = [[pack(k, tensors, name), pack(v, tensors, f"{name}.{k}")] for k, v in value.items()]
        return {_TAG: "dict", "items": items}
    if isinstance(value, list | tuple):
        packed = [pack(v, tensors, f"{name}.{at}") for at, v in enumerate(value)]
        return packed if isinstance(value, list) else {_TAG: "tuple", "items": packed}
    return _pack_rare(value, tensors, name)


def unpack(value: Json, tensors: Tensors, registry: Registry) -> Any:
    """Return the value that ``pack`` turned into JSON.

    Raises
    ------
    SavedFolderError
        When a class is not in the registry, a tensor is missing, or arrays do not fit together.
    """
    if isinstance(value, list):
        return [unpack(item, tensors, registry) for item in value]
    if not isinstance(value, dict):
        return value
    try:
        return _UNPACK[value[_TAG]](value, tensors, registry)
    except ColdstartError:
        raise
    except MALFORMED as error:
        raise SavedFolderError(
            f"The saved folder holds something that cannot be read: {shown(error)} in {shown(value)}."
        ) from error


def _pack_items(items: Mapping[str, Any], tensors: Tensors, name: str) -> dict[str, Json]:
    return {key: pack(value, tensors, f"{name}.{key}") for key, value in items.items()}


def _pack_rare(value: Any, tensors: Tensors, name: str) -> Json:
    """Pack a numpy scalar, a date, a sparse matrix or a random generator."""
    if isinstance(value, datetime | np.datetime64) and is_missing(value):
        return None  # NaT
    if isinstance(value, np.generic) and not isinstance(exact := plain(value), np.generic):
        return pack(exact, tensors, name)
    if isinstance(value, datetime | date) and not getattr(value, "nanosecond", None):
        return {_TAG: type(value).__name__ if type(value) in (datetime, date) else "datetime", "iso": value.isoformat()}
    if issparse(value):
        parts = {key: getattr(value, key) for key in ("data", "indices", "indptr")}
        return {_TAG: "csr", "shape": list(value.shape), **_pack_items(parts, tensors, name)}
    if isinstance(value, np.random.Generator | np.random.SeedSequence):
        return None  # it is somewhere in its stream; a loaded part draws new numbers
    raise InvalidInputError(
        f"`{name}` cannot be saved: {shown(value)} is a {type(value).__name__}. "
        "Ids and columns may hold text, numbers, dates to the microsecond, and lists or tuples of them. Drop or "
        "convert the rest."
    )


def _unpack_part(value: Json, tensors: Tensors, registry: Registry) -> Component:
    if value["class"] not in registry:
        raise SavedFolderError(
            f"The saved folder names the class {shown(value['class'])}; known are {sorted(registry)}."
        )
    made = registry[value["class"]]
    params = unpack(value["params"], tensors, registry)
    part = made(**{name: param for name, param in params.items() if name not in made.retired})
    state = unpack(value["state"], tensors, registry)
    for name in state:
        if not name.endswith("_") or name.startswith("_") or callable(getattr(made, name, None)):
            raise SavedFolderError(f"The saved folder names {shown(name)} as what a {made.__name__} learned.")
    # Under a wrong name it would be missed by a request. What earlier versions learned may have other names.
    declared = {name for base in made.__mro__ for name in vars(base).get("__annotations__", ())}
    absent = {name for name in declared - set(state) if name.endswith("_") and not hasattr(part, name)}
    if absent and not set(state) <= declared:
        raise SavedFolderError(f"The saved {made.__name__} lacks {sorted(absent)}; it has {sorted(state)}.")
    return part.set_state(state)


def _unpack_dict(value: Json, tensors: Tensors, registry: Registry) -> dict[Any, Any]:
    return {unpack(k, tensors, registry): unpack(v, tensors, registry) for k, v in value["items"]}


def _unpack_csr(value: Json, tensors: Tensors, registry: Registry) -> Csr:
    parts = {key: unpack(value[key], tensors, registry) for key in ("data", "indices", "indptr")}
    for key, array in parts.items():
        kinds = NUMBERS if key == "data" else POSITIONS
        if array.ndim != 1 or array.dtype not in kinds:
            raise SavedFolderError(
                f"`{key}` of a saved sparse matrix must be a row of {', '.join(kinds)}; "
                f"got {array.dtype} of shape {array.shape}."
            )
    matrix = csr_array(tuple(parts.values()), shape=tuple(value["shape"]))
    # Compiled code takes these numbers for addresses: all are compared with the shape, not only the first and the last.
    matrix.check_format(full_check=True)
    return matrix


def _unpack_cells(value: Json, tensors: Tensors, registry: Registry) -> Cells:
    return Cells(*(unpack(value[key], tensors, registry) for key in ("data", "ends", "missing"))).checked()


_UNPACK: dict[str, Callable[[Json, Tensors, Registry], Any]] = {
    "tensor": lambda value, tensors, _: tensors[value["name"]],
    "tuple": lambda value, tensors, registry: tuple(unpack(value["items"], tensors, registry)),
    "date": lambda value, *_: date.fromisoformat(value["iso"]),
    "datetime": lambda value, *_: None if value["iso"] == "NaT" else datetime.fromisoformat(value["iso"]),
    "dict": _unpack_dict,
    "part": _unpack_part,
    "csr": _unpack_csr,
    "cells": _unpack_cells,
}
