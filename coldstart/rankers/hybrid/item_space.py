"""The item space: one vector per item, so that the cosine of two items says how alike their texts are.

    cosine(i, j) = (1 - w) * cos(meaning_i, meaning_j) + w * cos(words_i, words_j)

``meaning`` are the fused vectors of the encoder, centred; ``words`` the lexical rows (exact words and parts of words),
reduced to 64 dimensions by latent semantic analysis and centred; w is the weight of the words, 0 or 0.3, which ``fit``
of the ranker chooses. Words tell products apart whose descriptions mean much the same. The experts compare items in
this space; the taste of a user meets the items by meaning alone.
"""

import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
from typing_extensions import Self

from coldstart._arrays import FloatArray, IntArray, unit_rows
from coldstart._component import Component
from coldstart._svd import right_singular_vectors
from coldstart.base import Features
from coldstart.rankers.cosine import PRIOR_ROWS, CosineRanker
from coldstart.rankers.hybrid.reader import QueryScorer

DIM = 64
"""Dimensions of the latent semantic analysis."""

LEAST_TEXTS = 2
"""Texts that a term must occur in: one that occurs in a single text makes no two items alike."""


class ItemSpace(Component, saved=True):
    """Item vectors of length one whose dot product is the weighted mean of two cosines, by meaning and by words.

    Latent semantic analysis: Deerwester et al. (1990). Fused vectors are centred as in ``CosineRanker``.

    Parameters
    ----------
    words : float
        Weight of the words, from 0 to 1. An item without words is placed by its meaning alone, and one without meaning
        by its words.

    Attributes
    ----------
    cosine_ : CosineRanker
        Holds the mean of the fused vectors.
    terms_ : ndarray of shape (n_terms,)
        Columns of the lexical rows that are used.
    directions_ : ndarray of shape (n_terms, dim)
        Leading right singular vectors of these columns.
    center_ : ndarray of shape (dim,)
        Mean of the projected rows.
    """

    cosine_: CosineRanker
    terms_: IntArray
    directions_: FloatArray
    center_: FloatArray

    def __init__(self, words: float = 0.3) -> None:
        self.words = words

    def fit(self, features: Features) -> Self:
        """Learn the means and, where features have ``sparse`` rows, the directions of the words."""
        self.cosine_ = CosineRanker().fit(features)
        self.terms_, self.directions_ = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
        if features.sparse is not None:
            texts_per_term = np.bincount(features.sparse.indices, minlength=features.sparse.shape[1])
            self.terms_ = np.flatnonzero(texts_per_term >= LEAST_TEXTS)
        if len(self.terms_):
            self.directions_ = right_singular_vectors(features.sparse[:, self.terms_], DIM, 2)  # type: ignore[index]
            projected = self._project(features)
            # Shrunk towards 0 as in CosineRanker, so that the mean of a handful of items does not cancel them out.
            self.center_ = projected.sum(axis=0) / np.float32(len(projected) + PRIOR_ROWS)
        return self

    @property
    def reads_words(self) -> bool:
        """Whether the items of ``fit`` share words."""
        return len(self.terms_) > 0

    def with_words(self, words: float) -> Self:
        """Return the same space with another weight of the words."""
        space = copy.copy(self)
        space.words = words
        return space

    def tastes(self, features: Features) -> FloatArray:
        """Return item vectors by meaning alone, rows of length one or zero, shape (n, dim), for the taste of users.

        With words added, new users with three likes lose 6 to 12 % of NDCG@20 on films and citeulike.
        """
        self.check_fitted("cosine_")
        return self.cosine_.item_vectors(features)

    def item_vectors(self, features: Features) -> FloatArray:
        """Return item vectors, rows of length one, or zero for an item without text, shape (n, dim)."""
        self.check_fitted("cosine_")
        meaning = self.cosine_.item_vectors(features)
        if not self.reads_words or features.sparse is None or not self.words:
            return meaning
        projected = self._project(features)
        words = unit_rows((projected - self.center_) * projected.any(axis=1, keepdims=True))
        # Side by side and scaled by roots of the weights: the dot product is then the weighted mean of both cosines.
        both = np.hstack([np.sqrt(1.0 - self.words) * meaning, np.sqrt(self.words) * words])
        return unit_rows(both.astype(np.float32))

    def _project(self, features: Features) -> FloatArray:
        return unit_rows(features.sparse[:, self.terms_] @ self.directions_)  # type: ignore[index]


class Placed(NamedTuple):
    """Item vectors of a catalogue.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        By meaning and words, see ``ItemSpace.item_vectors``.
    tastes : ndarray of shape (n, dim)
        By meaning alone, see ``ItemSpace.tastes``.
    """

    vectors: FloatArray
    tastes: FloatArray


class CatalogItems:
    """The items of one state of the catalogue, with vectors that are computed when a request first needs them.

    After ``add_items`` or ``update_items`` only the new and edited items are computed; all others are copied from the
    catalogue before. So a change is cheap, and of ten changes in a row only the last pays for a copy.

    Attributes
    ----------
    space : ItemSpace
    features : Features
    previous : Placed or None
        Vectors of an earlier catalogue; None when all are to be computed.
    origin : ndarray of shape (n,) or None
        Row of each item in ``previous``; -1 for items that are new or edited since.
    """

    def __init__(
        self, space: ItemSpace, features: Features, previous: Placed | None = None, origin: IntArray | None = None
    ) -> None:
        self.space = space
        self.features = features
        self.previous = previous
        self.origin = origin

    @cached_property
    def placed(self) -> Placed:
        """The vectors of all items."""
        space, features, previous, origin = self.space, self.features, self.previous, self.origin
        if previous is None or origin is None:
            return Placed(space.item_vectors(features), space.tastes(features))
        rows = np.flatnonzero(origin < 0)
        # Row 0 stands in for new and edited items until their own vectors overwrite it.
        vectors, tastes = (before[np.maximum(origin, 0)] for before in previous)
        vectors[rows], tastes[rows] = space.item_vectors(features[rows]), space.tastes(features[rows])
        self.previous = self.origin = None  # no longer needed, and as large as what was made of it
        return Placed(vectors, tastes)

    @cached_property
    def query_scorer(self) -> QueryScorer:
        """What scores the items by the texts of requests."""
        return QueryScorer.of(self.features, *self.placed)

    def refreshed(self, features: Features, origin: IntArray) -> tuple["CatalogItems", IntArray]:
        """Return the items of a changed catalogue, and the positions of the edited ones.

        Item j was item ``origin[j]`` before, or is new where that is -1. An item is edited if its text has changed.
        """
        edited = np.zeros(0, dtype=np.int64)
        if len(origin) == len(self.features) and bool((origin == np.arange(len(origin))).all()):
            if features.dense is self.features.dense:  # clicks have come, no text has changed
                same = copy.copy(self)  # with whatever has been computed
                same.features = features
                return same, edited
            edited = _edited_rows(self.features, features)
        previous, rows = self.previous, self.origin
        if "placed" in vars(self):
            previous, rows = self.placed, np.arange(len(self.features))
        if previous is None or rows is None:
            return CatalogItems(self.space, features), edited
        rows = np.where(origin >= 0, rows[np.maximum(origin, 0)], -1)
        rows[edited] = -1
        return CatalogItems(self.space, features, previous, rows), edited


def _edited_rows(before: Features, now: Features) -> IntArray:
    """Return the rows where the features of the same items differ."""
    differs = (before.dense != now.dense).any(axis=1)
    if before.sparse is not None and now.sparse is not None:
        differs[(before.sparse != now.sparse).nonzero()[0]] = True
    return np.flatnonzero(differs)
