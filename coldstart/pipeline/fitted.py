"""Everything a fitted recommender knows, as one value that never changes.

A change of the catalogue or of the clicks makes a new value; the old one stays whole, so that a
failure half-way, or a reader in another thread, never sees a mixture.
"""

import copy
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, as_matrix
from coldstart.base import Encoder, Features, Fuser, Index, Ranker, VectorRanker
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.tables import Table, id_tuple
from coldstart.errors import InvalidInputError


@dataclass(frozen=True)
class Parts:
    """The fitted parts: one encoder per field, a fuser, a ranker, and an index yet to be built."""

    encoders: Mapping[str, Encoder]
    fuser: Fuser
    ranker: Ranker | VectorRanker
    index: Index


@dataclass(frozen=True)
class Fitted:
    """Items, their vectors, and who clicked what.

    Attributes
    ----------
    parts : Parts
    catalog : Catalog
    fields : mapping of str to ndarray of shape (n, d)
        Encoded fields; rows of zeros where a field is missing.
    users : tuple of hashable
    clicks : csr_array of shape (n_users, n)
    """

    parts: Parts
    catalog: Catalog
    fields: Mapping[str, FloatArray]
    users: tuple[Hashable, ...]
    clicks: Csr

    @cached_property
    def features(self) -> Features:
        """The fused items."""
        missing = self.catalog.missing
        dense = as_matrix(self.parts.fuser.fuse(self.fields, missing), "vectors of the fuser")
        return Features(dense, None, missing)

    @cached_property
    def items(self) -> FloatArray:
        """The vectors of a ``VectorRanker``."""
        return cast(VectorRanker, self.parts.ranker).item_vectors(self.features)

    @cached_property
    def index(self) -> Index | None:
        """An index over ``items``; None when the ranker's score is no dot product."""
        if not isinstance(self.parts.ranker, VectorRanker):
            return None
        return copy.deepcopy(self.parts.index).build(self.items)

    @cached_property
    def popularity(self) -> FloatArray:
        """Sum of the clicks' weights on each item, shape (n,)."""
        return np.asarray(self.clicks.sum(axis=0), dtype=np.float32)

    @cached_property
    def user_positions(self) -> Mapping[Hashable, int]:
        """Row of each known user in ``clicks``."""
        return {user: row for row, user in enumerate(self.users)}

    def ready(self) -> "Fitted":
        """Compute what requests need, so that what fails, fails now."""
        _ = self.features, self.index
        return self

    def with_items(self, table: Table) -> "Fitted":
        """Add items; only they are encoded."""
        new = self.catalog.like(table)
        catalog = self.catalog.joined(new)
        encoded = encode_fields(new, self.parts.encoders)
        fields = {name: np.vstack([self.fields[name], encoded[name]]) for name in self.fields}
        clicks = _resized(self.clicks, len(self.users), len(catalog))
        origin = np.append(np.arange(len(self.catalog)), np.full(len(new), -1))
        return replace(self, catalog=catalog, fields=fields, clicks=clicks)._refreshed(origin)

    def with_updates(self, table: Table) -> "Fitted":
        """Change cells of known items; only rows whose fields changed are encoded."""
        catalog = self.catalog.updated(table)
        old, new = self.catalog.columns, catalog.columns
        changed = [r for r in range(len(catalog)) if any(old[f][r] != new[f][r] for f in catalog.fields)]
        fields = {name: vectors.copy() for name, vectors in self.fields.items()}
        if changed:
            for name, rows in encode_fields(catalog.take(changed), self.parts.encoders).items():
                fields[name][changed] = rows
        return replace(self, catalog=catalog, fields=fields)._refreshed(np.arange(len(catalog)))

    def without_items(self, item_ids: Iterable[Hashable]) -> "Fitted":
        """Take items out, with the clicks on them; their users stay known."""
        gone = self.catalog.positions(id_tuple(item_ids, "item_ids"))
        kept = np.setdiff1d(np.arange(len(self.catalog)), gone)
        if not len(kept):
            raise InvalidInputError(f"`item_ids` must leave at least 1 item; got all {len(self.catalog):,} of them.")
        fields = {name: vectors[kept] for name, vectors in self.fields.items()}
        catalog, clicks = self.catalog.take(kept), csr_array(self.clicks[:, kept])
        return replace(self, catalog=catalog, fields=fields, clicks=clicks)._refreshed(kept)

    def with_clicks(self, interactions: Interactions) -> "Fitted":
        """Add clicks of known and new users; nothing is trained."""
        users = tuple(dict.fromkeys([*self.users, *interactions.users]))
        merged = replace(self, users=users, clicks=_resized(self.clicks, len(users), len(self.catalog)))
        clicks = merged.clicks + click_matrix(interactions, merged.user_positions, self.catalog)
        return replace(merged, clicks=csr_array(clicks))._refreshed(np.arange(len(self.catalog)))

    def _refreshed(self, origin: IntArray) -> "Fitted":
        """Tell a ranker that knows items by position where they are now: ``origin`` is where they were, -1 new."""
        ranker: Any = self.parts.ranker
        if not hasattr(ranker, "refreshed"):
            return self.ready()
        parts = replace(self.parts, ranker=ranker.refreshed(self.features, self.clicks, origin))
        return replace(self, parts=parts).ready()


def fit_parts(parts: Parts, catalog: Catalog, interactions: Interactions | None) -> Fitted:
    """Fit copies of the parts on a catalogue and, when there are any, clicks on its items."""
    encoders = fit_encoders(catalog, parts.encoders)
    fields = encode_fields(catalog, encoders)
    users: tuple[Hashable, ...] = ()
    clicks = csr_array((0, len(catalog)), dtype=np.float32)
    if interactions is not None:
        users = interactions.users
        clicks = click_matrix(interactions, {user: row for row, user in enumerate(users)}, catalog)
    learn_from = clicks if clicks.nnz else None
    fuser = copy.deepcopy(parts.fuser).fit(fields, catalog.missing, learn_from)
    ranker = copy.deepcopy(parts.ranker)
    fitted = Fitted(Parts(encoders, fuser, ranker, parts.index), catalog, fields, users, clicks)
    ranker.fit(fitted.features, learn_from)
    return fitted.ready()


def click_matrix(interactions: Interactions, users: Mapping[Hashable, int], catalog: Catalog) -> Csr:
    """Weights of clicks as (n_users, n_items), repeated clicks added up."""
    row = np.array([users[user] for user in interactions.users], dtype=np.int64)
    column = catalog.positions(interactions.items, "items of interactions")
    at = (row[interactions.user_index], column[interactions.item_index])
    return csr_array((interactions.weight, at), shape=(len(users), len(catalog)), dtype=np.float32)


def fit_encoders(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, Encoder]:
    """Fit copies of the encoders that learn, each once on all its fields; others are used as they are."""
    fitted: dict[int, Encoder] = {}
    for encoder, names in _fields_of(encoders):
        learner: Any = copy.deepcopy(encoder) if hasattr(encoder, "fit") else encoder
        if learner is not encoder:
            learner.fit([value for name in names for value in _present(catalog, name)[1]])
        fitted[id(encoder)] = learner
    return {name: fitted[id(encoder)] for name, encoder in encoders.items()}


def encode_fields(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Encode what is there, one call per encoder; rows of zeros where a field is missing."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        there = [_present(catalog, name) for name in names]
        values = [value for _, cells in there for value in cells]
        vectors = checked_vectors(encoder.encode(values), len(values), encoder)
        ends = np.cumsum([len(rows) for rows, _ in there])
        for name, (rows, _), part in zip(names, there, np.split(vectors, ends[:-1]), strict=True):
            fields[name] = np.zeros((len(catalog), vectors.shape[1]), dtype=np.float32)
            fields[name][rows] = part
    return {name: fields[name] for name in encoders}


def encode_queries(texts: Sequence[str], encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Encode texts as every field would say them, {field: (m, d)}."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        encode = getattr(encoder, "encode_query", encoder.encode)
        fields |= dict.fromkeys(names, checked_vectors(encode(list(texts)), len(texts), encoder))
    return {name: fields[name] for name in encoders}


def checked_vectors(vectors: FloatArray, rows: int, encoder: Encoder) -> FloatArray:
    """Hold an encoder to its contract: finite rows, one per value.

    Raises
    ------
    InvalidInputError
        Naming the encoder.
    """
    matrix = as_matrix(vectors, f"vectors of {type(encoder).__name__}")
    if len(matrix) != rows:
        raise InvalidInputError(f"{type(encoder).__name__}.encode must return {rows} rows; got {len(matrix)}.")
    return matrix


def _fields_of(encoders: Mapping[str, Encoder]) -> list[tuple[Encoder, list[str]]]:
    """Each distinct encoder with its fields."""
    names: dict[int, list[str]] = {}
    for name, encoder in encoders.items():
        names.setdefault(id(encoder), []).append(name)
    return [(encoders[fields[0]], fields) for fields in names.values()]


def _present(catalog: Catalog, name: str) -> tuple[IntArray, list[Any]]:
    """Rows that have the field, and their values."""
    cells = catalog.columns[name]
    rows = np.array([row for row, cell in enumerate(cells) if cell is not None], dtype=np.int64)
    return rows, [cells[row] for row in rows]


def _resized(clicks: Csr, n_users: int, n_items: int) -> Csr:
    """The same clicks among more users and items."""
    grown = clicks.copy()
    grown.resize((n_users, n_items))
    return csr_array(grown)
