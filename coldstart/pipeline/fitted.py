"""Everything a fitted recommender knows, as one value that never changes.

A change of the catalogue or of the clicks makes a new value; the old one stays whole, so that a
failure half-way, or a reader in another thread, never sees a mixture.
"""

import copy
from collections.abc import Hashable, Iterable, Mapping
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
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import InvalidInputError
from coldstart.pipeline.encoding import encode_fields, fit_encoders
from coldstart.pipeline.texts import Texts


@dataclass(frozen=True)
class Parts:
    """The fitted parts: one encoder per field, a fuser, a ranker, an index yet to be built; words or none."""

    encoders: Mapping[str, Encoder]
    fuser: Fuser
    ranker: Ranker | VectorRanker
    index: Index
    lexical: LexicalEncoder | None = None


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
    texts : Texts or None
        None when the ranker reads vectors only.
    """

    parts: Parts
    catalog: Catalog
    fields: Mapping[str, FloatArray]
    users: tuple[Hashable, ...]
    clicks: Csr
    texts: Texts | None = None

    @cached_property
    def features(self) -> Features:
        """The fused items."""
        missing = self.catalog.missing
        dense = as_matrix(self.parts.fuser.fuse(self.fields, missing), "vectors of the fuser")
        if self.texts is None:
            return Features(dense, None, missing)
        return Features(dense, self.texts.sparse, missing, self.texts.joined)

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
        texts = None if self.texts is None else self.texts.extended(new, encoded)
        return replace(self, catalog=catalog, fields=fields, clicks=clicks, texts=texts)._refreshed(origin)

    def with_updates(self, table: Table) -> "Fitted":
        """Change cells of known items; only rows whose fields changed are encoded."""
        catalog = self.catalog.updated(table)
        old, new = self.catalog.columns, catalog.columns
        changed = [r for r in range(len(catalog)) if any(old[f][r] != new[f][r] for f in catalog.fields)]
        fields = {name: vectors.copy() for name, vectors in self.fields.items()}
        texts = self.texts
        if changed:
            edited = catalog.take(changed)
            encoded = encode_fields(edited, self.parts.encoders)
            for name, vectors in encoded.items():
                fields[name][changed] = vectors
            rows = np.arange(len(catalog))
            rows[changed] = len(catalog) + np.arange(len(changed))
            texts = None if texts is None else texts.extended(edited, encoded).taken(rows)
        return replace(self, catalog=catalog, fields=fields, texts=texts)._refreshed(np.arange(len(catalog)))

    def without_items(self, item_ids: Iterable[Hashable]) -> "Fitted":
        """Take items out, with the clicks on them; their users stay known."""
        gone = self.catalog.positions(id_tuple(item_ids, "item_ids"))
        kept = np.setdiff1d(np.arange(len(self.catalog)), gone)
        if not len(kept):
            raise InvalidInputError(f"`item_ids` must leave at least 1 item; got all {len(self.catalog):,} of them.")
        fields = {name: vectors[kept] for name, vectors in self.fields.items()}
        catalog, clicks, texts = (
            self.catalog.take(kept),
            csr_array(self.clicks[:, kept]),
            self.texts and self.texts.taken(kept),
        )
        return replace(self, catalog=catalog, fields=fields, clicks=clicks, texts=texts)._refreshed(kept)

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
    reads_words = getattr(ranker, "reads_words", False)
    texts = Texts.of(catalog, fields, encoders, parts.lexical) if reads_words else None
    fitted = Fitted(
        replace(parts, encoders=encoders, fuser=fuser, ranker=ranker), catalog, fields, users, clicks, texts
    )
    ranker.fit(fitted.features, learn_from)
    return fitted.ready()


def click_matrix(interactions: Interactions, users: Mapping[Hashable, int], catalog: Catalog) -> Csr:
    """Weights of clicks as (n_users, n_items), repeated clicks added up."""
    row = np.array([users[user] for user in interactions.users], dtype=np.int64)
    column = catalog.positions(interactions.items, "items of interactions")
    at = (row[interactions.user_index], column[interactions.item_index])
    return csr_array((interactions.weight, at), shape=(len(users), len(catalog)), dtype=np.float32)


def _resized(clicks: Csr, n_users: int, n_items: int) -> Csr:
    """The same clicks among more users and items."""
    grown = clicks.copy()
    grown.resize((n_users, n_items))
    return csr_array(grown)
