"""A fitted recommender to a folder and back."""

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

from coldstart._arrays import Csr
from coldstart._component import SAVED, Component
from coldstart._rows import Rows
from coldstart._tensors import read_tensors, write_tensors
from coldstart.base import BaseEncoder, BaseRanker, Encoder, with_defaults
from coldstart.data.catalog import Catalog
from coldstart.data.cells import Cells
from coldstart.data.ids import Ids
from coldstart.encoders._wrapper import innermost
from coldstart.encoders.adapted import AdaptedEncoder
from coldstart.encoders.cached import CachedEncoder
from coldstart.encoders.reduced import ReducedEncoder
from coldstart.encoders.text import TextEncoder
from coldstart.errors import ColdstartWarning, InvalidInputError, SavedFolderError
from coldstart.pipeline.state import Fitted, Parts
from coldstart.pipeline.vectors import ItemVectors
from coldstart.storage import (
    Json,
    Tensors,
    Verify,
    pack,
    read_config,
    read_json,
    unpack,
    write_folder,
    write_json,
)

PARTS = ("encoders", "fusers", "index", "rankers")
"""Folders whose modules define the parts that a saved folder may name; those of your own are handed to ``load``."""


@cache
def registry() -> Mapping[str, type[Component]]:
    """Load every module that defines parts, and return the classes that a saved folder may name."""
    for folder in PARTS:
        package = import_module(f"coldstart.{folder}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg:
                import_module(module.name)
            elif folder == "rankers":
                import_module(f"{module.name}.ranker")
    return SAVED


def save_fitted(fitted: Fitted, folder: Path, *, include_encoder: bool, compact: bool = False) -> None:
    """Write a folder of readable files; see ``Recommender.save``."""
    tensors: Tensors = {}
    fitted = fitted.compacted()
    ranker = with_defaults(fitted.parts.ranker, BaseRanker).compacted() if compact else fitted.parts.ranker
    encoders = _distinct(fitted.parts.encoders)
    inside = [f"encoder_{at}" if include_encoder or _lies_in(e, folder) else None for at, e in enumerate(encoders)]
    parts = fitted.parts
    config = {
        "fields": {name: encoders.index(encoder) for name, encoder in parts.encoders.items()},
        "encoders": [
            _pack_part(_as_saved(encoder, name), tensors, f"encoder_{at}")
            for at, (encoder, name) in enumerate(zip(encoders, inside, strict=True))
        ],
        "fuser": _pack_part(parts.fuser, tensors, "fuser"),
        "ranker": _pack_part(ranker, tensors, "ranker"),
        "items": pack(fitted.vectors and fitted.vectors.rows.whole(), tensors, "items"),
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
    columns = [[name, _packed(catalog.cells(name), tensors, f"columns.{name}")] for name in catalog.columns]
    table = {
        "id": catalog.id_name,
        "fields": list(catalog.fields),
        "added": catalog.added,
        "columns": {"is": "dict", "items": columns},
    }
    both = {"items": catalog.item_ids.rows.whole(), "users": fitted.people.rows.whole()}
    ids = {name: _packed(value, tensors, f"ids of {name}") for name, value in both.items()}
    files: dict[str, Any] = {
        "weights.safetensors": lambda path: write_tensors(tensors, path),
        "ids.json": lambda path: write_json(ids, path),
        "columns.json": lambda path: write_json(table, path),
        "README.md": lambda path: path.write_text(_card(fitted, config), encoding="utf-8"),
    }
    files |= {n: e.copy_weights for n, e in zip(inside, encoders, strict=True) if n and _has_weights(e)}
    write_folder(folder, files, config)


def load_fitted(folder: Path, yours: Mapping[str, Any], verify: Verify) -> Fitted:
    """Read a folder written by ``save_fitted``; ``yours`` are parts of classes that are not ours, by role."""
    place, config = read_config(folder, verify=verify)
    tensors = read_tensors(place / "weights.safetensors")
    catalog, people = _load_catalog(place, tensors)
    fields = catalog.fields
    given = yours["encoder"] if isinstance(yours["encoder"], Mapping) else dict.fromkeys(fields, yours["encoder"])
    encoders = {
        at: _unpack_part(config["encoders"][at], tensors, "encoder", given.get(name))
        for name, at in config["fields"].items()
    }
    encoders = {at: with_defaults(encoder, BaseEncoder).opened(place) for at, encoder in encoders.items()}
    earlier = _of_earlier_form(config["ranker"])
    if earlier:
        config["ranker"] = {**config["ranker"], "state": pack({}, {}, "")}
    roles = {role: _unpack_part(config[role], tensors, role, yours[role]) for role in ("fuser", "ranker", "index")}
    built, items = roles["index"], unpack(config.get("items"), tensors, {})
    vectors = None
    if "yours" not in config["index"]:
        roles["index"] = type(built)(**built.get_params())
    if items is not None:
        vectors = ItemVectors.restored(items, built)
    by_field = {name: encoders[at] for name, at in config["fields"].items()}
    lexical, sentences = unpack(config.get("lexical"), tensors, registry()), config.get("sentences", True)
    clicks = unpack(config["clicks"], tensors, {})
    arrived, clock = _load_arrivals(config.get("arrivals"), tensors, clicks)
    fitted = Fitted(
        parts=Parts(by_field, **roles, lexical=lexical, sentences=sentences),
        catalog=catalog,
        fields={name: Rows.of(vectors) for name, vectors in unpack(config["vectors"], tensors, {}).items()},
        people=people,
        clicks=clicks,
        arrived=arrived,
        clock=clock,
        texts=unpack(config.get("texts"), tensors, registry()),
        vectors=vectors,
    )
    return _with_ranker(fitted, earlier).ready()


def _of_earlier_form(ranker: Json) -> bool:
    """Whether a saved ``HybridRanker`` was learned by a version that worked in another way."""
    return ranker.get("class") == "HybridRanker" and "settings_" in dict(ranker["state"]["items"])


def _with_ranker(fitted: Fitted, earlier: bool) -> Fitted:
    """Fit again what a folder does not hold: weights that were left out to save room, or all of an earlier form."""
    ranker: Any = fitted.parts.ranker
    if earlier:
        warnings.warn(
            "This folder was saved by an earlier version, whose HybridRanker worked in another way: it is fitted anew "
            "from the clicks in the folder. Save it again to load it faster.",
            ColdstartWarning,
            stacklevel=4,
        )
        again = ranker.fit(fitted.features, fitted.clicks)
    elif with_defaults(ranker, BaseRanker).restores:
        again = ranker.restored(fitted.features, fitted.clicks)
    else:
        return fitted
    return replace(fitted, parts=replace(fitted.parts, ranker=again))


def _load_catalog(place: Path, tensors: Tensors) -> tuple[Catalog, Ids]:
    """Items and users; of format 2, ids and cells stay packed until they are asked for."""
    ids, table = read_json(place / "ids.json"), read_json(place / "columns.json")
    items, people = (Ids(Rows.of(unpack(ids[name], tensors, {}))) for name in ("items", "users"))
    id_name, fields, columns = (unpack(table[name], tensors, {}) for name in ("id", "fields", "columns"))
    cells = {name: Rows.of(column) for name, column in columns.items()}
    return Catalog.of_rows(items, tuple(fields), cells, id_name, table.get("added")), people


def _arrivals(fitted: Fitted) -> dict[str, Any]:
    """How many clicks there were, and which items came after how many of them."""
    rows = np.flatnonzero(fitted.arrived)
    return {"clock": fitted.clock, "rows": rows, "arrived": fitted.arrived[rows]}


def _load_arrivals(packed: Json, tensors: Tensors, clicks: Csr) -> tuple[npt.NDArray[np.float64], float]:
    """The same read again; a folder of an earlier version has all items from the start and as many clicks as pairs."""
    told, arrived = unpack(packed, tensors, {}), np.zeros(clicks.shape[1])
    if told is None:
        return arrived, float(clicks.nnz)
    arrived[told["rows"]] = told["arrived"]
    return arrived, told["clock"]


def _packed(cells: Sequence[Any], tensors: Tensors, name: str) -> Json:
    """Cells of one kind as arrays, others as JSON."""
    return pack(Cells.of(cells) or tuple(cells), tensors, name)


def _distinct(encoders: Mapping[str, Encoder]) -> list[Any]:
    return list({id(encoder): encoder for encoder in encoders.values()}.values())


def _has_weights(encoder: Any) -> bool:
    """Whether it is an encoder of ours with weights of its own, to be referred to or copied."""
    return _is_ours(encoder) and with_defaults(innermost(encoder), BaseEncoder).has_weights


def _lies_in(encoder: Any, folder: Path) -> bool:
    """Whether its weights are in the folder, which will be replaced: then they are copied again."""
    inner = innermost(encoder)
    if not isinstance(inner, TextEncoder) or not isinstance(inner.model, str):
        return False
    return Path(inner.model).resolve().is_relative_to(folder.resolve()) and Path(inner.model).is_dir()


def _as_saved(encoder: Any, inside: str | None) -> Any:
    return encoder.saved(inside) if _has_weights(encoder) else encoder


def _pack_part(part: Any, tensors: Tensors, name: str) -> Json:
    """A part of ours with its state; of a part of the caller's only the class name."""
    return pack(part, tensors, name) if _is_ours(part) else {"yours": type(part).__name__}


def _is_ours(part: Any) -> bool:
    ours = registry().get(type(part).__name__) is type(part)
    return ours and (not isinstance(part, CachedEncoder | AdaptedEncoder | ReducedEncoder) or _is_ours(part.encoder))


def _unpack_part(packed: Json, tensors: Tensors, role: str, given: Any) -> Any:
    if "yours" not in packed:
        if given is not None:
            raise InvalidInputError(
                f"`{role}` of load must be None: the folder holds the {role}, {packed['class']}; got {given!r}."
            )
        return unpack(packed, tensors, registry())
    name = packed["yours"]
    if given is None or type(given).__name__ != name:
        raise SavedFolderError(
            f"The saved {role} is a {name}, a class that is not of this library; got {given!r}. "
            f"Pass it, as it was fitted: coldstart.load(folder, {role}=...)."
        )
    return given


def _fingerprint(fitted: Fitted) -> dict[str, Json]:
    """What the model was fitted on, in numbers and a hash."""
    catalog, digest = fitted.catalog, hashlib.sha256()
    for cells in (catalog.item_ids.rows.whole(), *map(catalog.cells, catalog.fields)):
        packed = Cells.of(cells)
        if packed is None:
            digest.update(repr(tuple(cells)).encode("utf-8", "replace"))
        else:
            for part in (packed.data, packed.ends, packed.missing):
                digest.update(b"" if part is None else part.data)
    counts = {"items": len(catalog), "users": len(fitted.people), "clicks": int(fitted.clicks.nnz)}
    return {**counts, "sha256": digest.hexdigest()}


def _card(fitted: Fitted, config: Mapping[str, Json]) -> str:
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

`config.json` names every file with its hash. `weights.safetensors` holds the vectors and, where all are texts or
numbers, ids and columns; `ids.json` and `columns.json` the other items and users.
"""
