"""Everything a fitted recommender knows, as one value that never changes.

A change of the catalogue or of the clicks makes a new value; the old one stays whole, so that a
failure half-way, or a reader in another thread, never sees a mixture.
"""

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from coldstart._arrays import BLOCK_ROWS, BoolArray, Csr, FloatArray, IntArray, as_matrix, in_blocks
from coldstart._rows import Rows
from coldstart.base import (
    BaseFuser,
    BaseRanker,
    Encoder,
    Features,
    Fuser,
    Hits,
    Index,
    Ranker,
    VectorRanker,
    with_defaults,
)
from coldstart.data.catalog import Catalog
from coldstart.data.ids import Ids
from coldstart.data.interactions import Interactions
from coldstart.data.tables import Table, id_tuple
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import InvalidInputError
from coldstart.pipeline.encoding import encode_fields, fit_encoders
from coldstart.pipeline.sentences import Titles
from coldstart.pipeline.texts import Texts
from coldstart.pipeline.vectors import Edit, ItemVectors
from coldstart.reranking import LEAST_KEPT, diverse_cover

Fields: TypeAlias = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Parts:
    """The fitted parts: one encoder per field, a fuser, a ranker, an index yet to be built; words or none.

    ``sentences`` says whether queries are taken apart.
    """

    encoders: Mapping[str, Encoder]
    fuser: Fuser
    ranker: Ranker | VectorRanker
    index: Index
    lexical: LexicalEncoder | None = None
    sentences: bool = True


@dataclass(frozen=True)
class Fitted:
    """Items, their vectors, and who clicked what.

    Attributes
    ----------
    parts : Parts
    catalog : Catalog
    fields : mapping of str to Rows of shape (n, d)
        Encoded fields; rows of zeros where a field is missing.
    people : Ids
        The users.
    clicks : csr_array of shape (n_users, n)
    arrived : ndarray of shape (n,), float64
        Clicks made before an item came; 0 for those that were there from the start.
    clock : float
        Clicks made so far.
    texts : Texts or None
        None when the ranker reads vectors only.
    vectors : ItemVectors or None
        Of a ``VectorRanker``; None when the ranker's score is no dot product.
    known : Features or None
        The fused items, where they were made already, perhaps with the exposures of an earlier state.
    """

    parts: Parts
    catalog: Catalog
    fields: Mapping[str, Rows]
    people: Ids
    clicks: Csr
    arrived: npt.NDArray[np.float64]
    clock: float
    texts: Texts | None = None
    vectors: ItemVectors | None = None
    known: Features | None = None

    @cached_property
    def features(self) -> Features:
        """The fused items; a ``VectorRanker`` that has its vectors hardly needs them."""
        if self.known is not None:
            return self._exposed(self.known)
        fields = {name: rows.whole() for name, rows in self.fields.items()}
        return self.features_of(_fused(self.parts, fields, self.catalog.missing), self.catalog.missing)

    def features_at(self, rows: IntArray) -> Features:
        """Return some of ``features``."""
        if self.known is not None:
            return self.features[rows]
        missing = self.catalog.missing_at(rows)
        dense = _fused(self.parts, {name: vectors.take(rows) for name, vectors in self.fields.items()}, missing)
        return self.features_of(dense, missing, rows)

    def features_of(self, dense: FloatArray, missing: BoolArray, rows: IntArray | None = None) -> Features:
        """Return fused vectors with the texts of their items: all, or those of some rows."""
        texts = self.texts
        sparse, read, exposure = *((None, None) if texts is None else (texts.sparse, texts.read)), self.exposure
        if rows is not None:
            sparse, read, exposure = (None if part is None else part[rows] for part in (sparse, read, exposure))
        return Features(dense, sparse, missing, read, exposure)

    @cached_property
    def exposure(self) -> FloatArray | None:
        """Share of the clicks that came while an item was there, see ``Features``; None when all always were."""
        if not (self.clock and self.arrived.any()):
            return None
        return np.clip(1.0 - self.arrived / self.clock, 0.0, 1.0).astype(np.float32)

    def _exposed(self, features: Features) -> Features:
        """The same features with the exposures of now; themselves where those have not changed."""
        if np.array_equal(features.exposure, self.exposure):  # type: ignore[arg-type]
            return features
        return replace(features, exposure=self.exposure)

    @cached_property
    def dim(self) -> int:
        """Width of the fused items."""
        return int(self.features_at(np.zeros(1, dtype=np.int64)).dense.shape[1])

    @property
    def users(self) -> tuple[Hashable, ...]:
        """Ids of the users, one per row of ``clicks``."""
        return self.people.whole

    @cached_property
    def popularity(self) -> FloatArray:
        """Sum of the clicks' weights on each item, shape (n,)."""
        return np.asarray(self.clicks.sum(axis=0), dtype=np.float32)

    def cover(self, k: int) -> Hits:
        """Return ``k`` items that together cover the whole catalogue; the longest cover asked for so far is kept.

        A shorter cover is the beginning of a longer one.
        """
        kept: Hits | None = vars(self).get("_cover")
        if kept is None or len(kept.positions[0]) < k:
            everything = np.arange(len(self.catalog))
            kept = diverse_cover(lambda rows: self.features_at(rows).dense, max(k, LEAST_KEPT), everything)
            vars(self)["_cover"] = kept
        return Hits([kept.positions[0][:k]], [kept.scores[0][:k]])

    @cached_property
    def by_likeness(self) -> "Fitted":
        """The same with a ranker that leaves popularity out."""
        ranker = self.parts.ranker
        like = with_defaults(ranker, BaseRanker).by_likeness()
        if like is ranker:
            return self
        return replace(self, parts=replace(self.parts, ranker=like), known=self.features)

    @cached_property
    def titles(self) -> Titles:
        """The items by their titles, which are the cells of the first field, as sentences name them."""
        return Titles(self.catalog.cells(self.catalog.fields[0]))

    def ready(self) -> "Fitted":
        """Compute what requests need and is not there yet, so that what fails, fails now."""
        if self.vectors is not None:
            return self
        ranker, features = self.parts.ranker, self.features
        if not isinstance(ranker, VectorRanker):
            return replace(self, known=features)
        size = len(features) if with_defaults(ranker, BaseRanker).knows_positions else BLOCK_ROWS
        made = in_blocks(lambda block: ranker.item_vectors(features[block]), len(features), size)
        return replace(self, vectors=ItemVectors.of(made, self.parts.index), known=None)

    def compacted(self) -> "Fitted":
        """Return the same with item vectors in one piece, without dead rows."""
        return self if self.vectors is None else replace(self, vectors=self.vectors.compacted(self.parts.index))

    def with_items(self, table: Table) -> "Fitted":
        """Add items; only they are encoded."""
        new, before = self.catalog.like(table), len(self.catalog)
        catalog = self.catalog.joined(new)
        encoded = encode_fields(new, self.parts.encoders)
        clicks = _resized(self.clicks, len(self.people), len(catalog))
        texts = self.texts and self.texts.extended(new, encoded)
        arrived = np.append(self.arrived, np.full(len(new), self.clock))
        changed = replace(self, catalog=catalog, clicks=clicks, arrived=arrived, texts=texts)
        origin = lambda: np.append(np.arange(before), np.full(len(new), -1))  # noqa: E731
        return self._edited(Rows.extended, np.arange(before, len(catalog)), encoded, changed, origin)

    def with_updates(self, table: Table) -> "Fitted":
        """Change cells of known items; only rows whose fields changed are encoded."""
        rows, cells = self.catalog.edits(table)
        catalog, texts = self.catalog.with_cells(rows, cells), self.texts
        told = [(self.catalog.cells_at(name, rows), cells[name]) for name in catalog.fields if name in cells]
        rows = rows[[any(old[at] != new[at] for old, new in told) for at in range(len(rows))]]
        if not len(rows):
            return replace(self, catalog=catalog)
        edited = catalog.take(rows)
        encoded = encode_fields(edited, self.parts.encoders)
        changed = replace(self, catalog=catalog, texts=texts and texts.replaced(rows, edited, encoded))
        edit: Edit = lambda old, new: old.replaced(rows, new)  # noqa: E731
        return self._edited(edit, rows, encoded, changed, lambda: np.arange(len(catalog)))

    def without_items(self, item_ids: Iterable[Hashable]) -> "Fitted":
        """Take items out, with the clicks on them; their users stay known."""
        gone = self.catalog.positions(id_tuple(item_ids, "item_ids"))
        kept = np.delete(np.arange(len(self.catalog)), gone)
        if not len(kept):
            raise InvalidInputError(f"`item_ids` must leave at least 1 item; got all {len(self.catalog):,} of them.")
        catalog, clicks = self.catalog.take(kept), csr_array(self.clicks[:, kept])
        texts = self.texts and self.texts.taken(kept)
        changed = replace(self, catalog=catalog, clicks=clicks, arrived=self.arrived[kept], texts=texts)
        nothing = {name: rows.take(kept[:0]) for name, rows in self.fields.items()}
        return self._edited(lambda old, _: old.taken(kept), kept[:0], nothing, changed, lambda: kept)

    def with_clicks(self, interactions: Interactions) -> "Fitted":
        """Add clicks of known and new users; nothing is trained."""
        people = self.people.extended([user for user in interactions.users if user not in self.people])
        new = click_matrix(interactions, people, self.catalog)
        clicks = csr_array(_resized(self.clicks, len(people), len(self.catalog)) + new)
        changed = replace(self, people=people, clicks=clicks, clock=self.clock + len(interactions))
        return changed._refreshed(lambda: np.arange(len(self.catalog)))

    def _edited(
        self, edit: Edit, rows: IntArray, encoded: Fields, changed: "Fitted", origin: Callable[[], IntArray]
    ) -> "Fitted":
        """Change the rows of the items as ``edit`` says; ``rows`` of ``changed`` are new, and only they are made."""
        fields = {name: edit(old, encoded[name]) for name, old in self.fields.items()}
        changed = replace(changed, fields=fields, vectors=None, known=None)
        fresh = changed.features_at(rows) if len(rows) else None
        ranker, index = self.parts.ranker, self.parts.index
        if self.vectors is not None and not with_defaults(ranker, BaseRanker).knows_positions:
            made = self.vectors.rows.take(rows) if fresh is None else cast(VectorRanker, ranker).item_vectors(fresh)
            return replace(changed, vectors=self.vectors.edited(edit, made, index))
        dense = self.features.dense
        dense = edit(Rows.of(dense), dense[:0] if fresh is None else fresh.dense).whole()
        known = changed.features_of(dense, changed.catalog.missing)
        return replace(changed, known=known)._refreshed(origin)

    def _refreshed(self, origin: Callable[[], IntArray]) -> "Fitted":
        """Tell a ranker that knows items by position where they are now: ``origin`` is where they were, -1 new."""
        ranker = with_defaults(self.parts.ranker, BaseRanker)
        if not ranker.knows_positions:
            return self.ready()
        parts = replace(self.parts, ranker=ranker.refreshed(self.features, self.clicks, origin()))
        return replace(self, parts=parts, vectors=None, known=self.features).ready()


def fit_parts(
    parts: Parts, catalog: Catalog, interactions: Interactions | None, arrived: npt.NDArray[np.float64]
) -> Fitted:
    """Fit copies of the parts on a catalogue and, when there are any, clicks on its items.

    ``arrived`` is the number of clicks made before each item came.
    """
    encoders = fit_encoders(catalog, parts.encoders)
    fields = encode_fields(catalog, encoders)
    people = Ids.of(() if interactions is None else interactions.users)
    clicks = csr_array((0, len(catalog)), dtype=np.float32)
    if interactions is not None:
        clicks = click_matrix(interactions, people, catalog)
    learn_from = clicks if clicks.nnz else None
    fuser = copy.deepcopy(parts.fuser).fit(fields, catalog.missing, learn_from)
    ranker = copy.deepcopy(parts.ranker)
    texts = None
    if with_defaults(ranker, BaseRanker).reads_words:
        texts = Texts.of(catalog, fields, encoders, parts.lexical, with_defaults(fuser, BaseFuser).query_weights_)
    parts = replace(parts, encoders=encoders, fuser=fuser, ranker=ranker)
    rows = {name: Rows.of(vectors) for name, vectors in fields.items()}
    clock = 0.0 if interactions is None else float(len(interactions))
    fitted = Fitted(parts, catalog, rows, people, clicks, arrived, clock, texts)
    ranker.fit(fitted.features, learn_from)
    return fitted.ready()


def click_matrix(interactions: Interactions, people: Ids, catalog: Catalog) -> Csr:
    """Weights of clicks as (n_users, n_items), repeated clicks added up."""
    row = np.array([people.find(user) for user in interactions.users], dtype=np.int64)
    column = catalog.positions(interactions.items, "items of interactions")
    at = (row[interactions.user_index], column[interactions.item_index])
    return csr_array((interactions.weight, at), shape=(len(people), len(catalog)), dtype=np.float32)


def _fused(parts: Parts, fields: Fields, missing: BoolArray) -> FloatArray:
    def fused(block: slice) -> FloatArray:
        some = {name: vectors[block] for name, vectors in fields.items()}
        return as_matrix(parts.fuser.fuse(some, missing[block]), "vectors of the fuser")

    return in_blocks(fused, len(missing))


def _resized(clicks: Csr, n_users: int, n_items: int) -> Csr:
    """The same clicks among more users and items; they are shared, not copied."""
    ends = np.append(clicks.indptr, np.full(n_users - clicks.shape[0], clicks.nnz, dtype=clicks.indptr.dtype))
    return csr_array((clicks.data, clicks.indices, ends), shape=(n_users, n_items))
