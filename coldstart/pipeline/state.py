"""The state of a fitted recommender, as one immutable value.

A change of the catalogue or of the clicks makes a new value, and the recommender swaps one reference. So readers need
no lock: a request works on the value it got, whole, however many changes come meanwhile. And a change that fails
half-way leaves the old value as it was. The new value shares with the old all arrays that did not change (see
``Rows``), so that a change costs what it changes and not the size of the catalogue.
"""

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, cast

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
from coldstart.data.ids import Ids, sorted_positions
from coldstart.data.interactions import Interactions
from coldstart.data.tables import Table, id_tuple
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import InvalidInputError
from coldstart.pipeline.encoding import checked_widths, encode_fields, fit_encoders
from coldstart.pipeline.sentences import Titles
from coldstart.pipeline.texts import Texts
from coldstart.pipeline.vectors import Edit, ItemVectors
from coldstart.reranking import LEAST_KEPT, diverse_cover

Fields: TypeAlias = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Parts:
    """The parts of a recommender.

    Attributes
    ----------
    encoders : mapping of str to Encoder
        One per field.
    fuser : Fuser
    ranker : Ranker or VectorRanker
    index : Index
        Never built: copies of it are, see ``ItemVectors``.
    lexical : LexicalEncoder or None
        Not fitted: a fitted copy is in ``Texts``. None when exact words do not count.
    sentences : bool
        Whether queries are parsed, see ``parse_query``.
    """

    encoders: Mapping[str, Encoder]
    fuser: Fuser
    ranker: Ranker | VectorRanker
    index: Index
    lexical: LexicalEncoder | None = None
    sentences: bool = True


@dataclass(frozen=True)
class Fitted:
    """Items, their vectors, and clicks.

    Attributes
    ----------
    parts : Parts
    catalog : Catalog
    fields : mapping of str to Rows of shape (n, d)
        Encoded fields; rows of zeros where a field is missing.
    user_ids : Ids
        One per row of ``clicks``.
    clicks : csr_array of shape (n_users, n)
        Sums of weights.
    arrived : ndarray of shape (n,), float64
        Number of clicks made before an item was added; 0 for old stock.
    clock : float
        Number of clicks made so far. It only grows: the time by which ``arrived`` counts. Clicks that went with removed
        items, or that repeat others, are counted too, so it may be more than ``clicks`` has entries.
    texts : Texts or None
        None when the ranker reads vectors only.
    vectors : ItemVectors or None
        Of a ``VectorRanker``; None when the ranker's score is no dot product.
    fused : Features or None
        The fused items of a state that has computed them. Their exposures may be those of an earlier state.
    """

    parts: Parts
    catalog: Catalog
    fields: Mapping[str, Rows]
    user_ids: Ids
    clicks: Csr
    arrived: npt.NDArray[np.float64]
    clock: float
    texts: Texts | None = None
    vectors: ItemVectors | None = None
    fused: Features | None = None

    @cached_property
    def features(self) -> Features:
        """The fused items, computed at first use.

        A loaded state has none. A ``VectorRanker`` ranks by its saved vectors and may never need them; fusing a million
        items at every load would take longer than the load itself.
        """
        if self.fused is not None:
            return self._with_exposure(self.fused)
        fields = {name: rows.whole() for name, rows in self.fields.items()}
        return self.features_of(_fuse(self.parts, fields, self.catalog.missing), self.catalog.missing)

    def features_at(self, rows: IntArray) -> Features:
        """Return the features of some items; only these are fused, where not all are yet."""
        if self.fused is not None:
            return self.features[rows]
        missing = self.catalog.missing_at(rows)
        dense = _fuse(self.parts, {name: vectors.take(rows) for name, vectors in self.fields.items()}, missing)
        return self.features_of(dense, missing, rows)

    def features_of(self, dense: FloatArray, missing: BoolArray, rows: IntArray | None = None) -> Features:
        """Return fused vectors as features, with the text rows and exposures of all items, or of ``rows``."""
        texts = self.texts
        sparse, read, exposure = *((None, None) if texts is None else (texts.sparse, texts.read)), self.exposure
        if rows is not None:
            sparse, read, exposure = (None if part is None else part[rows] for part in (sparse, read, exposure))
        return Features(dense, sparse, missing, read, exposure)

    @cached_property
    def exposure(self) -> FloatArray | None:
        """Exposure of each item, shape (n,), see ``Features``; None when all are old stock."""
        if not (self.clock and self.arrived.any()):
            return None
        return np.clip(1.0 - self.arrived / self.clock, 0.0, 1.0).astype(np.float32)

    def _with_exposure(self, features: Features) -> Features:
        """Return features with the exposures of this state."""
        # A click changes exposures and nothing else of the features, so the vectors are shared with the old state.
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
        return self.user_ids.whole

    @cached_property
    def popularity(self) -> FloatArray:
        """Sum of the clicks' weights on each item, shape (n,)."""
        return np.asarray(self.clicks.sum(axis=0), dtype=np.float32)

    def cover(self, k: int) -> Hits:
        """Return ``k`` items that together cover the whole catalogue."""
        # Items are picked one after the other, so a shorter cover is the beginning of a longer one: the longest so far
        # is kept. It is one value behind one reference, so two threads may both compute it, and neither sees a half.
        # `vars` writes past the frozen dataclass, as `cached_property` does.
        kept: Hits | None = vars(self).get("_cover")
        if kept is None or len(kept.positions[0]) < k:
            everything = np.arange(len(self.catalog))
            kept = diverse_cover(lambda rows: self.features_at(rows).dense, max(k, LEAST_KEPT), everything)
            vars(self)["_cover"] = kept
        return Hits([kept.positions[0][:k]], [kept.scores[0][:k]])

    @cached_property
    def by_likeness(self) -> "Fitted":
        """The same state with a ranker that leaves popularity out, for ``similar_items``."""
        ranker = self.parts.ranker
        like = with_defaults(ranker, BaseRanker).by_likeness()
        if like is ranker:
            return self
        return replace(self, parts=replace(self.parts, ranker=like), fused=self.features)

    @cached_property
    def titles(self) -> Titles:
        """The items by title, which is the first field; built when a query first has a cue."""
        return Titles(self.catalog.cells(self.catalog.fields[0]))

    def ready(self) -> "Fitted":
        """Return this state with all that requests need, computed now: a part that fails, fails before the swap."""
        if self.vectors is not None:
            return self
        ranker, features = self.parts.ranker, self.features
        if not isinstance(ranker, VectorRanker):
            return replace(self, fused=features)
        # A ranker that knows items by position must get all of them at once, or row 0 of a block would be item 0.
        size = len(features) if with_defaults(ranker, BaseRanker).knows_positions else BLOCK_ROWS
        vectors = in_blocks(lambda block: ranker.item_vectors(features[block]), len(features), size)
        # The item vectors replace the fused ones: both would take twice the memory.
        return replace(self, vectors=ItemVectors.of(vectors, self.parts.index), fused=None)

    def compacted(self) -> "Fitted":
        """Return this state with the item vectors in one array, without dead rows, to be saved."""
        return self if self.vectors is None else replace(self, vectors=self.vectors.compacted(self.parts.index))

    def with_items(self, table: Table) -> "Fitted":
        """Return a state with more items; only these are encoded."""
        new, before = self.catalog.like(table), len(self.catalog)
        if new is None:
            return self
        catalog = self.catalog.joined(new)
        encoded = checked_widths(encode_fields(new, self.parts.encoders), self.fields)
        clicks = _enlarged(self.clicks, len(self.user_ids), len(catalog))
        texts = self.texts and self.texts.extended(new, encoded)
        arrived = np.append(self.arrived, np.full(len(new), self.clock))
        changed = replace(self, catalog=catalog, clicks=clicks, arrived=arrived, texts=texts)
        origin = lambda: np.append(np.arange(before), np.full(len(new), -1))  # noqa: E731
        return self._edited(Rows.extended, np.arange(before, len(catalog)), encoded, changed, origin)

    def with_updates(self, table: Table) -> "Fitted":
        """Return a state with other cells; only items whose encoded fields changed are encoded again."""
        rows, cells = self.catalog.edits(table)
        catalog, texts = self.catalog.with_cells(rows, cells), self.texts
        # A price that changes, or a title sent again as it was, leaves all vectors as they are.
        encoded_cells = [(self.catalog.cells_at(name, rows), cells[name]) for name in catalog.fields if name in cells]
        rows = rows[[any(_differ(old[at], new[at]) for old, new in encoded_cells) for at in range(len(rows))]]
        if not len(rows):
            return replace(self, catalog=catalog)
        edited = catalog.take(rows)
        encoded = checked_widths(encode_fields(edited, self.parts.encoders), self.fields)
        changed = replace(self, catalog=catalog, texts=texts and texts.replaced(rows, edited, encoded))
        edit: Edit = lambda old, new: old.replaced(rows, new)  # noqa: E731
        return self._edited(edit, rows, encoded, changed, lambda: np.arange(len(catalog)))

    def without_items(self, item_ids: Iterable[Hashable]) -> "Fitted":
        """Return a state without some items and the clicks on them; users stay, even without a click left."""
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
        """Return a state with more clicks, of known and new users; nothing is trained."""
        if not len(interactions):
            return self
        user_ids = self.user_ids.extended([user for user in interactions.users if user not in self.user_ids])
        new = click_matrix(interactions, user_ids, self.catalog)
        clicks = csr_array(_enlarged(self.clicks, len(user_ids), len(self.catalog)) + new)
        changed = replace(self, user_ids=user_ids, clicks=clicks, clock=self.clock + len(interactions))
        return changed._refreshed(lambda: np.arange(len(self.catalog)))

    def _edited(
        self, edit: Edit, rows: IntArray, encoded: Fields, changed: "Fitted", origin: Callable[[], IntArray]
    ) -> "Fitted":
        """Apply a change of the catalogue to every array that has a row per item.

        Parameters
        ----------
        edit : callable
            The change, as a function of the old rows and the rows that are new.
        rows : ndarray of int
            Positions, in the new catalogue, of the items whose vectors are computed.
        encoded : mapping of str to ndarray of shape (len(rows), d)
            Their fields.
        changed : Fitted
            This state with the new catalogue, clicks and texts, and the old vectors.
        origin : callable
            Returns the old position of each item of the new catalogue, -1 for a new one. It is as long as the
            catalogue, so it is made only for a ranker that needs it.
        """
        fields = {name: edit(old, encoded[name]) for name, old in self.fields.items()}
        changed = replace(changed, fields=fields, vectors=None, fused=None)
        new = changed.features_at(rows) if len(rows) else None
        ranker, index = self.parts.ranker, self.parts.index
        # Vectors that depend on their own item only are edited like the fields: nothing but the new rows is fused.
        if self.vectors is not None and not with_defaults(ranker, BaseRanker).knows_positions:
            vectors = self.vectors.rows.take(rows) if new is None else cast(VectorRanker, ranker).item_vectors(new)
            return replace(changed, vectors=self.vectors.edited(edit, vectors, index))
        # Other rankers read all fused items, so these are edited instead, and not fused again either.
        dense = self.features.dense
        dense = edit(Rows.of(dense), dense[:0] if new is None else new.dense).whole()
        fused = changed.features_of(dense, changed.catalog.missing)
        return replace(changed, fused=fused)._refreshed(origin)

    def _refreshed(self, origin: Callable[[], IntArray]) -> "Fitted":
        """Return this state with its ranker refreshed, where the ranker knows items by position; see ``BaseRanker``."""
        ranker = with_defaults(self.parts.ranker, BaseRanker)
        if not ranker.knows_positions:
            return self.ready()
        parts = replace(self.parts, ranker=ranker.refreshed(self.features, self.clicks, origin()))
        return replace(self, parts=parts, vectors=None, fused=self.features).ready()


def fit_parts(
    parts: Parts, catalog: Catalog, interactions: Interactions | None, arrived: npt.NDArray[np.float64]
) -> Fitted:
    """Fit copies of the parts.

    In the order in which they read each other: encoders, fuser, texts, ranker, index.

    Parameters
    ----------
    parts : Parts
        Not changed.
    catalog : Catalog
    interactions : Interactions or None
        Clicks on items of the catalogue.
    arrived : ndarray of shape (n,), float64
        Number of clicks made before each item was added.
    """
    encoders = fit_encoders(catalog, parts.encoders)
    fields = encode_fields(catalog, encoders)
    users = () if interactions is None else interactions.users
    # In an order of their own: the rows of clicks, from which parts draw, are the same however a table is sorted.
    user_ids = Ids.of(users[at] for at in sorted_positions(users))
    clicks = csr_array((0, len(catalog)), dtype=np.float32)
    if interactions is not None:
        clicks = click_matrix(interactions, user_ids, catalog)
    # Parts that learn from clicks draw items at random. Which ones must not depend on the order of a table's rows, so
    # they get the items in the order of their ids. An empty matrix is no clicks: parts get None.
    order = sorted_positions(catalog.ids) if clicks.nnz else np.arange(len(catalog))
    in_order = columns_of(clicks, order) if clicks.nnz else None
    fuser = copy.deepcopy(parts.fuser).fit(
        {name: vectors[order] for name, vectors in fields.items()}, catalog.missing[order], in_order
    )
    ranker = copy.deepcopy(parts.ranker)
    texts = None  # computed for rankers that read them, since they take as much memory as the vectors
    if with_defaults(ranker, BaseRanker).reads_words:
        texts = Texts.of(catalog, fields, encoders, parts.lexical, with_defaults(fuser, BaseFuser).query_weights_)
    parts = replace(parts, encoders=encoders, fuser=fuser, ranker=ranker)
    rows = {name: Rows.of(vectors) for name, vectors in fields.items()}
    clock = 0.0 if interactions is None else float(len(interactions))
    fitted = Fitted(parts, catalog, rows, user_ids, clicks, arrived, clock, texts)
    if in_order is None or not with_defaults(ranker, BaseRanker).draws:
        ranker.fit(fitted.features, None if in_order is None else clicks)
        return fitted.ready()
    ranker.fit(fitted.features[order], in_order)
    return fitted._refreshed(lambda: np.argsort(order))


def columns_of(clicks: Csr, items: IntArray) -> Csr:
    """Return the columns (m, q) of some items, the entries of each row in the order of these."""
    columns = csr_array(clicks[:, items])
    columns.sort_indices()
    return columns


def click_matrix(interactions: Interactions, user_ids: Ids, catalog: Catalog) -> Csr:
    """Return the weights of clicks, shape (n_users, n_items); those of repeated clicks are added up."""
    row = np.array([user_ids.find(user) for user in interactions.users], dtype=np.int64)
    column = catalog.positions(interactions.items, "items of interactions")
    at = (row[interactions.user_index], column[interactions.item_index])
    return csr_array((interactions.weight, at), shape=(len(user_ids), len(catalog)), dtype=np.float32)


def _fuse(parts: Parts, fields: Fields, missing: BoolArray) -> FloatArray:
    """Return the fused vectors, shape (n, dim), computed in blocks so that a fuser's copies stay small."""

    def fuse_block(block: slice) -> FloatArray:
        some = {name: vectors[block] for name, vectors in fields.items()}
        return as_matrix(parts.fuser.fuse(some, missing[block]), "vectors of the fuser")

    return in_blocks(fuse_block, len(missing))


def _differ(old: Any, new: Any) -> bool:
    """Whether two cells differ, or are of a type that cannot say so."""
    try:
        return bool(old != new)
    except Exception:
        return True


def _enlarged(clicks: Csr, n_users: int, n_items: int) -> Csr:
    """Return clicks with empty rows and columns added."""
    # Only the end positions of rows are new; data and indices are shared with the old state.
    ends = np.append(clicks.indptr, np.full(n_users - clicks.shape[0], clicks.nnz, dtype=clicks.indptr.dtype))
    return csr_array((clicks.data, clicks.indices, ends), shape=(n_users, n_items))
