"""Write a fitted recommender to a folder, and read it back.

A folder holds data, never code: it names classes of the library (see ``registry``), and parts of other classes are
handed to ``load`` by the caller.
"""

import hashlib
import pkgutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coldstart._component import SAVED, Component
from coldstart._json import Json, read_json, write_json
from coldstart._messages import shown
from coldstart._paths import inside
from coldstart._rows import Rows
from coldstart._tensors import read_tensors, write_tensors
from coldstart.base import BaseEncoder, BaseRanker, with_defaults
from coldstart.data.catalog import Catalog
from coldstart.data.cells import Cells
from coldstart.data.ids import Ids
from coldstart.encoders._given import with_given
from coldstart.encoders._wrapper import EncoderWrapper, innermost
from coldstart.encoders.text import TextEncoder
from coldstart.errors import ColdstartWarning, InvalidInputError, SavedFolderError
from coldstart.packing import Tensors, pack, unpack
from coldstart.pipeline.loaded_sizes import check_sizes
from coldstart.pipeline.state import Fitted, Parts
from coldstart.pipeline.vectors import ItemVectors
from coldstart.storage import Verify, read_folder, write_folder

PARTS = ("encoders", "fusers", "index", "rankers")
"""Folders whose modules define the parts that a saved folder may name."""


@cache
def registry() -> Mapping[str, type[Component]]:
    """Import every module that defines parts, and return the classes that a saved folder may name.

    A class registers itself when it is declared with ``saved=True``, which happens when its module is imported.
    """
    for folder in PARTS:
        package = import_module(f"coldstart.{folder}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg:
                import_module(module.name)
            elif folder == "rankers":
                import_module(f"{module.name}.ranker")
    return SAVED


def save_fitted(fitted: Fitted, folder: Path, *, include_encoder: bool, compact: bool = False) -> None:
    """Write a folder; see ``Recommender.save``."""
    # `pack` moves every array into `tensors`, which becomes one file that `load` maps into memory.
    tensors: Tensors = {}
    # Dead rows are of no use to who loads the folder, and one block can be mapped.
    fitted = fitted.compacted()
    ranker = with_defaults(fitted.parts.ranker, BaseRanker).compacted() if compact else fitted.parts.ranker
    parts = fitted.parts
    # Fields share an encoder: it is written once, and loaded as one object.
    encoders: list[Any] = list({id(encoder): encoder for encoder in parts.encoders.values()}.values())
    inside = [f"encoder_{at}" if include_encoder or _lies_in(e, folder) else None for at, e in enumerate(encoders)]
    config = {
        "fields": {name: encoders.index(encoder) for name, encoder in parts.encoders.items()},
        "encoders": [
            _pack_part(encoder.saved(name) if _has_weights(encoder) else encoder, tensors, f"encoder_{at}")
            for at, (encoder, name) in enumerate(zip(encoders, inside, strict=True))
        ],
        "fuser": _pack_part(parts.fuser, tensors, "fuser"),
        "ranker": _pack_part(ranker, tensors, "ranker"),
        "items": pack(fitted.vectors and fitted.vectors.rows.whole(), tensors, "items"),
        # A built index has its codes as state; its vectors are `items`, and not written twice.
        "index": _pack_part(fitted.vectors.index if fitted.vectors else parts.index, tensors, "index"),
        "vectors": pack({name: rows.whole() for name, rows in fitted.fields.items()}, tensors, "vectors"),
        "clicks": pack(fitted.clicks, tensors, "clicks"),
        "lexical": pack(parts.lexical, tensors, "lexical"),
        "texts": pack(fitted.texts, tensors, "texts"),
        "sentences": parts.sentences,
        "arrivals": pack(_arrivals(fitted), tensors, "arrivals"),
        "data": _fingerprint(fitted),
        "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    catalog = fitted.catalog
    # Pairs, as JSON objects would turn column names into text.
    columns = [[name, _pack_cells(catalog.cells(name), tensors, f"columns.{name}")] for name in catalog.columns]
    table = {
        "id": catalog.id_name,
        "fields": list(catalog.fields),
        "added": catalog.added,
        "columns": {"is": "dict", "items": columns},
    }
    ids_of = {"items": catalog.item_ids.rows.whole(), "users": fitted.user_ids.rows.whole()}
    ids = {name: _pack_cells(cells, tensors, f"ids of {name}") for name, cells in ids_of.items()}
    files: dict[str, Any] = {
        "weights.safetensors": lambda path: write_tensors(tensors, path),
        "ids.json": lambda path: write_json(ids, path),
        "columns.json": lambda path: write_json(table, path),
        "README.md": lambda path: path.write_text(_card(fitted, config), encoding="utf-8"),
    }
    files |= {n: e.copy_weights for n, e in zip(inside, encoders, strict=True) if n and _has_weights(e)}
    write_folder(folder, files, config)


def load_fitted(folder: Path, given: Mapping[str, Any], verify: Verify) -> Fitted:
    """Read a folder written by ``save_fitted``; see ``coldstart.load``.

    Parameters
    ----------
    folder : Path
    given : mapping of str to object
        By role ("encoder", "fuser", "ranker", "index"), the fitted parts of classes that the folder can only name, and
        encoders whose weights or cache it only names; None for the others.
    verify : bool or "auto"
        As in ``read_config``.
    """
    fitted, outdated = read_folder(folder, lambda place, config: _read(place, config, given), verify=verify)
    # The items are not fused here: a ranker with vectors may never need it, and others fuse them in `ready`.
    return _with_restored_ranker(fitted, outdated).ready()


def _read(place: Path, config: dict[str, Json], given: Mapping[str, Any]) -> tuple[Fitted, bool]:
    """Return what the folder at ``place`` holds, and whether its ranker is of a version that worked in another way."""
    tensors = read_tensors(inside(place, "weights.safetensors"))
    catalog, user_ids = _load_catalog(place, tensors)
    fields = catalog.fields
    by_field = given["encoder"] if isinstance(given["encoder"], Mapping) else dict.fromkeys(fields, given["encoder"])
    by_number = {
        at: _unpack_encoder(config["encoders"][at], tensors, by_field.get(name), place)
        for name, at in config["fields"].items()
    }
    outdated = _is_outdated(config["ranker"])
    if outdated:
        config["ranker"] = {**config["ranker"], "state": pack({}, {}, "")}
    roles = {role: _unpack_part(config[role], tensors, role, given[role]) for role in ("fuser", "ranker", "index")}
    built, items = roles["index"], unpack(config.get("items"), tensors, {})
    # `Parts.index` is never built, and the folder holds the built one: its parameters make the other.
    if "yours" not in config["index"]:
        roles["index"] = type(built)(**built.get_params())
    clicks = unpack(config["clicks"], tensors, {})
    arrived, clock = _load_arrivals(config.get("arrivals"), tensors, len(catalog), clicks.nnz)
    # Keys that earlier versions did not write are read with `get`.
    fitted = Fitted(
        parts=Parts(
            {name: by_number[at] for name, at in config["fields"].items()},
            **roles,
            lexical=unpack(config.get("lexical"), tensors, registry()),
            sentences=config.get("sentences", True),
        ),
        catalog=catalog,
        fields={name: Rows.of(vectors) for name, vectors in unpack(config["vectors"], tensors, {}).items()},
        user_ids=user_ids,
        clicks=clicks,
        arrived=arrived,
        clock=clock,
        texts=unpack(config.get("texts"), tensors, registry()),
        vectors=None if items is None else ItemVectors.restored(items, built),
    )
    check_sizes(fitted)
    return fitted, outdated


def _is_outdated(ranker: Json) -> bool:
    """Whether a saved ``HybridRanker`` has the state of a version that scored in another way."""
    # Only those versions kept their choices under this name.
    return ranker.get("class") == "HybridRanker" and "settings_" in dict(ranker["state"]["items"])


def _with_restored_ranker(fitted: Fitted, outdated: bool) -> Fitted:
    """Fit what the folder lacks: weights left out by ``compact``, or the whole of an outdated ranker."""
    ranker: Any = fitted.parts.ranker
    if outdated:
        warnings.warn(
            "This folder was saved by an earlier version, whose HybridRanker worked in another way: it is fitted anew "
            "from the clicks in the folder. Save it again to load it faster.",
            ColdstartWarning,
            stacklevel=4,
        )
        complete = ranker.fit(fitted.features, fitted.clicks)
    elif with_defaults(ranker, BaseRanker).restores:
        complete = ranker.restored(fitted.features, fitted.clicks)
    else:
        return fitted
    return replace(fitted, parts=replace(fitted.parts, ranker=complete))


def _load_catalog(place: Path, tensors: Tensors) -> tuple[Catalog, Ids]:
    """Return the catalogue and the user ids; since format 2, ids and cells stay packed until they are read."""
    ids, table = read_json(inside(place, "ids.json")), read_json(inside(place, "columns.json"))
    items, user_ids = (Ids(Rows.of(_checked_ids(unpack(ids[name], tensors, {})))) for name in ("items", "users"))
    id_name, fields, columns = (unpack(table[name], tensors, {}) for name in ("id", "fields", "columns"))
    cells = {name: Rows.of(column) for name, column in columns.items()}
    return Catalog.of_rows(items, tuple(fields), cells, id_name, table.get("added")), user_ids


def _checked_ids(ids: Sequence[Any]) -> Sequence[Any]:
    """Return ids that can be looked up; the table of a million is made when it is first needed."""
    if not isinstance(ids, Cells):
        hash(ids)  # as a tuple: it raises for a list, and for an id that is one
    return ids


def _arrivals(fitted: Fitted) -> dict[str, Any]:
    """Return the number of clicks, and of each item that is not old stock how many came before it."""
    rows = np.flatnonzero(fitted.arrived)
    return {"clock": fitted.clock, "rows": rows, "arrived": fitted.arrived[rows]}


def _load_arrivals(
    packed: Json, tensors: Tensors, n_items: int, n_clicks: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Read ``_arrivals``. A folder of a version without them has old stock only, and one click per user and item."""
    arrivals, arrived = unpack(packed, tensors, {}), np.zeros(n_items)
    if arrivals is None:
        return arrived, float(n_clicks)
    arrived[arrivals["rows"]] = arrivals["arrived"]
    return arrived, arrivals["clock"]


def _pack_cells(cells: Sequence[Any], tensors: Tensors, name: str) -> Json:
    """Pack cells that are all texts or all numbers as arrays, which are mapped at load; others as JSON."""
    return pack(Cells.of(cells) or tuple(cells), tensors, name)


def _has_weights(encoder: Any) -> bool:
    """Whether an encoder of the library has weights, to be referred to by hash or copied."""
    return _is_ours(encoder) and with_defaults(innermost(encoder), BaseEncoder).has_weights


def _lies_in(encoder: Any, folder: Path) -> bool:
    """Whether the weights lie in the folder that is about to be replaced: then they are copied into the new one."""
    inner = innermost(encoder)
    if not isinstance(inner, TextEncoder) or not isinstance(inner.model, str):
        return False
    return Path(inner.model).resolve().is_relative_to(folder.resolve()) and Path(inner.model).is_dir()


def _pack_part(part: Any, tensors: Tensors, name: str) -> Json:
    """Pack a part of the library with its state; of one of the caller's only the class name."""
    return pack(part, tensors, name) if _is_ours(part) else {"yours": type(part).__name__}


def _is_ours(part: Any) -> bool:
    """Whether a part is of a class of the library and, where it wraps an encoder, so is that."""
    # By identity, not by name: the caller may have a class of the same name.
    ours = isinstance(part, Component) and registry().get(part.saved_name) is type(part)
    return ours and (not isinstance(part, EncoderWrapper) or _is_ours(part.encoder))


def _unpack_encoder(packed: Json, tensors: Tensors, given: Any, place: Path) -> Any:
    """Return an encoder of the library, with the weights or the cache of the ``given`` one, or that one as it is."""
    if "yours" in packed:
        return _unpack_part(packed, tensors, "encoder", given)
    # Weights that were copied into the folder lie where the folder lies now.
    encoder = with_defaults(_unpack_part(packed, tensors, "encoder", None), BaseEncoder).opened(place)
    return encoder if given is None else with_given(encoder, given)


def _unpack_part(packed: Json, tensors: Tensors, role: str, given: Any) -> Any:
    """Return a part of the library, built from the folder, or the ``given`` one where the folder only names it.

    Raises
    ------
    InvalidInputError
        When a part is given that the folder holds.
    SavedFolderError
        When none is given, or one of another class.
    """
    if "yours" not in packed:
        if given is not None:
            raise InvalidInputError(
                f"`{role}` of load must be None: the folder holds the {role}, {packed['class']}; got {shown(given)}."
            )
        return unpack(packed, tensors, registry())
    name = packed["yours"]
    if given is None or type(given).__name__ != name:
        raise SavedFolderError(
            f"The saved {role} is a {name}, a class that is not of this library; got {shown(given)}. "
            f"Pass it, as it was fitted: coldstart.load(folder, {role}=...)."
        )
    return given


def _fingerprint(fitted: Fitted) -> dict[str, Json]:
    """Return counts of what the recommender knows, and a hash of its item ids and texts: which data a folder is of."""
    catalog, digest = fitted.catalog, hashlib.sha256()
    for cells in (catalog.item_ids.rows.whole(), *map(catalog.cells, catalog.fields)):
        packed = Cells.of(cells)
        if packed is None:
            digest.update(repr(tuple(cells)).encode("utf-8", "replace"))
        else:
            for part in (packed.data, packed.ends, packed.missing):
                digest.update(b"" if part is None else part.data)
    counts = {"items": len(catalog), "users": len(fitted.user_ids), "clicks": int(fitted.clicks.nnz)}
    return {**counts, "sha256": digest.hexdigest()}


def _card(fitted: Fitted, config: Mapping[str, Json]) -> str:
    """Return the README of a folder, for people who find it."""
    data, parts = config["data"], fitted.parts
    encoders = ", ".join(f"{name}: {encoder!r}" for name, encoder in parts.encoders.items())
    return f"""# A coldstart recommender

Saved {config["saved"]}. Load it with `coldstart.load("this folder")`; no training data is needed.

* Items: {data["items"]:,} with the fields {", ".join(fitted.catalog.fields)}
* Users: {data["users"]:,} with {data["clicks"]:,} distinct clicks
* Encoders: {encoders}
* Fuser: {parts.fuser!r}
* Ranker: {parts.ranker!r}
* SHA-256 of the item texts: {data["sha256"]}

**This folder holds data**: the texts and columns of the items, the ids of the users, and who clicked what. Keep it, and
give it away, as you would keep and give away these.

`config.json` names every file with its hash. `weights.safetensors` holds the vectors and, where all are texts or
numbers, ids and columns; `ids.json` and `columns.json` the other items and users.
"""
