"""Saved folders of JSON and safetensors, with hashes, written so that a crash leaves the old or the new one whole.

``pack`` turns parts and arrays into JSON beside a table of tensors; ``unpack`` builds only classes of the registry that
it is given. There is no pickle, so that loading a folder never runs code from it. Nothing here knows what a recommender
is.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_array, issparse

from coldstart._arrays import AnyArray
from coldstart._component import Component
from coldstart.data.cells import Cells
from coldstart.errors import InvalidInputError, SavedFolderError

FORMAT = 2
"""Version of the folder's layout; a reader refuses folders of later versions, and reads all earlier ones."""

HASHED = 64 * 2**20
"""Bytes up to which a file is compared with its hash on every read; hashing gigabytes would take seconds."""

MODEL = "model"
"""The kind of a folder whose config names none."""

Json: TypeAlias = Any
Tensors: TypeAlias = dict[str, AnyArray]
Verify: TypeAlias = bool | Literal["auto"]
Registry: TypeAlias = Mapping[str, type[Component]]

_TAG = "is"
"""Key under which packed values say what they are; nothing else packs to a JSON object."""


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
        When a class is not in the registry, or a tensor is missing.
    """
    if isinstance(value, list):
        return [unpack(item, tensors, registry) for item in value]
    if not isinstance(value, dict):
        return value
    try:
        return _UNPACK[value[_TAG]](value, tensors, registry)
    except (KeyError, TypeError, ValueError) as error:
        raise SavedFolderError(
            f"The saved folder holds something that cannot be read: {error!r} in {str(value)[:80]}."
        ) from error


def write_folder(folder: Path, files: Mapping[str, Callable[[Path], None]], config: Mapping[str, Json]) -> None:
    """Write a folder beside the old one and swap them, so that at any time one of them is there whole.

    Parameters
    ----------
    folder : Path
        Where to write; only a folder of the same kind that ``write_folder`` wrote is overwritten.
    files : mapping of str to callable
        By name, functions that write the file (or folder) at the path they are given.
    config : mapping
        Content of ``config.json``, beside the format version and the size and SHA-256 of every file.

    Raises
    ------
    InvalidInputError
        When ``folder`` holds something else.
    """
    folder = folder.absolute()
    kind = config.get("kind", MODEL)
    if not (_is_free(folder) or _kind_of(folder) == kind):
        raise InvalidInputError(
            f"`folder` must be new, empty, or a saved {kind}; {str(folder)!r} holds something else."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        fresh.mkdir()
        for name, write in files.items():
            write(fresh / name)
        written = {path.relative_to(fresh).as_posix(): path for path in _files(fresh)}
        sizes = {name: path.stat().st_size for name, path in written.items()}
        hashes = {name: _sha256(path) for name, path in written.items()}
        content = {"format": FORMAT, **config, "files": hashes, "sizes": sizes}
        write_json({**content, "sha256": _digest(content)}, fresh / "config.json")
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_config(folder: Path, kind: str = MODEL, verify: Verify = "auto") -> tuple[Path, dict[str, Json]]:
    """Check a saved folder, and return its path and its config.

    Parameters
    ----------
    folder : Path
    kind : str
        What the folder must hold.
    verify : bool or "auto"
        Whether to compare every file with its hash; "auto" compares files up to 64 MB. Sizes are always compared.

    Returns
    -------
    tuple of Path and dict
        The path is that of the previous save, where the last one was interrupted between its two renames.

    Raises
    ------
    InvalidInputError
        When ``verify`` is something else.
    SavedFolderError
        When there is no such folder, or it is of another kind, of a newer format, incomplete or altered.
    """
    if verify not in (True, False, "auto"):
        raise InvalidInputError(f'`verify` must be True, False or "auto"; got {verify!r}.')
    place = folder.absolute()
    if not place.exists() and _previous(place).exists():
        place = _previous(place)  # a save was interrupted between its two renames
    if not (place / "config.json").is_file():
        raise SavedFolderError(f"{str(folder)!r} must be a folder written by save; it has no config.json.")
    config = read_json(place / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise SavedFolderError(f"config.json in {str(folder)!r} is not one that save wrote.")
    if config["format"] > FORMAT:
        raise SavedFolderError(
            f"{str(folder)!r} has format {config['format']}; this version reads up to {FORMAT}. Update coldstart-rec."
        )
    if config.get("kind", MODEL) != kind:
        raise SavedFolderError(
            f"{str(folder)!r} must hold a saved {kind}; it holds a saved {config.get('kind', MODEL)}."
        )
    content = {name: value for name, value in config.items() if name != "sha256"}
    if config.get("sha256") != _digest(content):
        raise SavedFolderError(f"config.json in {str(folder)!r} was altered after it was saved. Save the model again.")
    for name, expected in config["files"].items():
        path, size = place / name, config.get("sizes", {}).get(name)
        actual = path.stat().st_size if path.is_file() else None
        if actual is None or size not in (None, actual):  # folders of format 1 have no sizes
            raise SavedFolderError(
                f"{name} in {str(folder)!r} is missing or not what was saved (size differs). Copy the folder again."
            )
        compare_hash = verify is True or (verify == "auto" and (size is None or size <= HASHED))
        if compare_hash and _sha256(path) != expected:
            raise SavedFolderError(
                f"{name} in {str(folder)!r} is missing or not what was saved (SHA-256 differs). Copy the folder again."
            )
    return place, config


def write_json(value: Json, path: Path) -> None:
    """Write indented JSON in UTF-8, lone surrogates included: ids may hold any text."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8", errors="surrogatepass")


def read_json(path: Path) -> Json:
    """Read JSON.

    Raises
    ------
    SavedFolderError
        When the file is cut or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
    except json.JSONDecodeError as error:
        raise SavedFolderError(f"{path.name!r} is not whole: {error}.") from error


def _pack_items(items: Mapping[str, Any], tensors: Tensors, name: str) -> dict[str, Json]:
    return {key: pack(value, tensors, f"{name}.{key}") for key, value in items.items()}


def _pack_rare(value: Any, tensors: Tensors, name: str) -> Json:
    """Pack a numpy scalar, a date, a sparse matrix or a random generator."""
    if isinstance(value, np.generic):
        return pack(value.item(), tensors, name)
    if isinstance(value, datetime | date):
        return {_TAG: type(value).__name__ if type(value) in (datetime, date) else "datetime", "iso": value.isoformat()}
    if issparse(value):
        parts = {key: getattr(value, key) for key in ("data", "indices", "indptr")}
        return {_TAG: "csr", "shape": list(value.shape), **_pack_items(parts, tensors, name)}
    if isinstance(value, np.random.Generator | np.random.SeedSequence):
        return None  # it is somewhere in its stream; a loaded part draws new numbers
    raise InvalidInputError(
        f"`{name}` cannot be saved: {value!r} is a {type(value).__name__}. "
        "Ids and columns may hold text, numbers, dates, and lists or tuples of them; drop or convert the rest."
    )


def _unpack_part(value: Json, tensors: Tensors, registry: Registry) -> Component:
    if value["class"] not in registry:
        raise SavedFolderError(f"The saved folder names the class {value['class']!r}; known are {sorted(registry)}.")
    made = registry[value["class"]]
    params = unpack(value["params"], tensors, registry)
    part = made(**{name: param for name, param in params.items() if name not in made.retired})
    return part.set_state(unpack(value["state"], tensors, registry))


def _unpack_dict(value: Json, tensors: Tensors, registry: Registry) -> dict[Any, Any]:
    return {unpack(k, tensors, registry): unpack(v, tensors, registry) for k, v in value["items"]}


def _unpack_csr(value: Json, tensors: Tensors, registry: Registry) -> Any:
    data, indices, indptr = (unpack(value[key], tensors, registry) for key in ("data", "indices", "indptr"))
    return csr_array((data, indices, indptr), shape=tuple(value["shape"]))


def _unpack_cells(value: Json, tensors: Tensors, registry: Registry) -> Cells:
    return Cells(*(unpack(value[key], tensors, registry) for key in ("data", "ends", "missing")))


_UNPACK: dict[str, Callable[[Json, Tensors, Registry], Any]] = {
    "tensor": lambda value, tensors, _: tensors[value["name"]],
    "tuple": lambda value, tensors, registry: tuple(unpack(value["items"], tensors, registry)),
    "date": lambda value, *_: date.fromisoformat(value["iso"]),
    "datetime": lambda value, *_: datetime.fromisoformat(value["iso"]),
    "dict": _unpack_dict,
    "part": _unpack_part,
    "csr": _unpack_csr,
    "cells": _unpack_cells,
}


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _kind_of(folder: Path) -> str | None:
    """Return the kind of a folder that ``write_folder`` wrote, None for any other.

    By the keys of its config: model folders of other libraries hold a config.json, too, and must not be overwritten.
    """
    path = folder / "config.json"
    try:
        config = read_json(path) if path.is_file() else {}
        return str(config.get("kind", MODEL)) if {"format", "files", "sha256"} <= set(config) else None
    except (SavedFolderError, TypeError, AttributeError):
        return None


def _swap(fresh: Path, folder: Path) -> None:
    """Rename ``fresh`` to ``folder``; between two renames the old one is at ``_previous``, where a load finds it."""
    _sync(fresh)
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    fresh.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _sync(folder: Path) -> None:
    """Flush every file to disk: after a power cut, the renames might be there and the contents not."""
    for path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(content: Mapping[str, Json]) -> str:
    """SHA-256 of a config's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
