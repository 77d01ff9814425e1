"""The base of rankers that know an item by its column in the click matrix, not by its text."""

import copy
from abc import abstractmethod

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray
from coldstart.base import BaseRanker, Features, Users
from coldstart.errors import InvalidInputError, SavedFolderError


class ClickRanker(BaseRanker):
    """A collaborative ranker: items without clicks score 0, and a dislike never raises a score.

    Attributes
    ----------
    n_items_ : int
        Items of the fit or of the last ``refreshed``.
    """

    n_items_: int

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from clicks (m, n); of the features only the number of items is used.

        Raises
        ------
        InvalidInputError
            When a parameter is out of range, or there is not one column of clicks per item.
        """
        if clicks is None:
            clicks = csr_array((0, len(features)), dtype=np.float32)
        self._check_columns(clicks, len(features))
        self.n_items_ = len(features)
        self._learn(clicks)
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return scores by the history, less scores by the disliked items, shape (m, n).

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        self.check_fitted("n_items_")
        self._check_columns(users.history, self.n_items_)
        scores = self._from_history(users.history)
        rows = np.flatnonzero(np.diff(users.disliked.indptr))
        if len(rows):
            scores[rows] -= self._from_disliked(csr_array(users.disliked[rows]))
        return scores

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1."""
        self.check_fitted("n_items_")
        fresh = copy.copy(self)  # shallow: requests in other threads are still answered from this ranker
        fresh.n_items_ = len(features)
        fresh._move(clicks, origin)
        return fresh

    def check_loaded(self, n_items: int) -> None:
        """Compare the number of items.

        Raises
        ------
        SavedFolderError
            When it is another.
        """
        if self.n_items_ != n_items:
            raise SavedFolderError(
                f"The saved {type(self).__name__} must be of {n_items:,} items; got {self.n_items_}."
            )

    @abstractmethod
    def _learn(self, clicks: Csr) -> None:
        """Fit to clicks (m, n), where m may be 0."""

    @abstractmethod
    def _from_history(self, history: Csr) -> FloatArray:
        """Return scores (m, n) of histories (m, n), as a new array."""

    def _from_disliked(self, disliked: Csr) -> FloatArray:
        """Return what disliked items (m, n) take off the scores: of items alike, and of themselves."""
        return np.asarray(np.maximum(self._from_history(disliked), 0.0) + disliked.toarray(), dtype=np.float32)

    @abstractmethod
    def _move(self, clicks: Csr, origin: IntArray) -> None:
        """Move what was learned of each item to its new position; replace attributes, never write into them."""

    def _check_columns(self, clicks: Csr, n_items: int) -> None:
        if clicks.shape[1] != n_items:
            raise InvalidInputError(
                f"`clicks` of {type(self).__name__} must have one column per item, {n_items:,}; "
                f"got {clicks.shape[1]:,}. Fit again, or call refreshed."
            )


def move_rows(rows: AnyArray, origin: IntArray) -> AnyArray:
    """Return rows (n_before, ...) as rows (n, ...): row j is row ``origin[j]``, or zero where that is -1."""
    kept = (origin >= 0).reshape(-1, *[1] * (rows.ndim - 1))
    return np.where(kept, rows[np.maximum(origin, 0)], 0).astype(rows.dtype)


def move_columns(matrix: Csr, origin: IntArray) -> Csr:
    """Return a sparse matrix (m, n_before) as (m, n): column j is column ``origin[j]``, or empty where that is -1."""
    kept = origin >= 0
    entries = (np.ones(kept.sum(), dtype=matrix.dtype), (origin[kept], np.flatnonzero(kept)))
    return csr_array(matrix @ csr_array(entries, shape=(matrix.shape[1], len(origin))))
