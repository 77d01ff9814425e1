"""What rankers share that know an item by its column of clicks instead of its text."""

import copy
from abc import abstractmethod

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray
from coldstart.base import BaseRanker, Features, Users
from coldstart.errors import InvalidInputError


class ClickRanker(BaseRanker):
    """A ranker of clicks alone; items without clicks get the score 0, dislikes never raise a score.

    Attributes
    ----------
    n_items_ : int
        Items it knows, by position.
    """

    n_items_: int

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from clicks (m, n); of the features only their number counts.

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
        """Return scores of the users' histories, less those of what they dislike, shape (m, n).

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
        fresh = copy.copy(self)
        fresh.n_items_ = len(features)
        fresh._move(clicks, origin)
        return fresh

    @abstractmethod
    def _learn(self, clicks: Csr) -> None:
        """Learn from clicks (m, n), which may have no row."""

    @abstractmethod
    def _from_history(self, history: Csr) -> FloatArray:
        """Return scores (m, n), a new array, of histories (m, n)."""

    def _from_disliked(self, disliked: Csr) -> FloatArray:
        """Return what to take off the scores for disliked items (m, n): those like them, and themselves."""
        return np.asarray(np.maximum(self._from_history(disliked), 0.0) + disliked.toarray(), dtype=np.float32)

    @abstractmethod
    def _move(self, clicks: Csr, origin: IntArray) -> None:
        """Put what is known of each item where it is now; attributes are replaced, never changed."""

    def _check_columns(self, clicks: Csr, n_items: int) -> None:
        if clicks.shape[1] != n_items:
            raise InvalidInputError(
                f"`clicks` of {type(self).__name__} must have one column per item, {n_items:,}; "
                f"got {clicks.shape[1]:,}. Fit again, or call refreshed."
            )


def moved(rows: AnyArray, origin: IntArray) -> AnyArray:
    """Return the rows of items where they are now, zero for new ones."""
    taken: AnyArray = np.where((origin >= 0).reshape(-1, *[1] * (rows.ndim - 1)), rows[np.maximum(origin, 0)], 0)
    return taken.astype(rows.dtype)


def moved_columns(matrix: Csr, origin: IntArray) -> Csr:
    """Return a sparse matrix with its columns where the items are now, empty for new ones."""
    known = origin >= 0
    at = (origin[known], np.flatnonzero(known))
    choose = csr_array((np.ones(known.sum(), dtype=matrix.dtype), at), shape=(matrix.shape[1], len(origin)))
    return csr_array(matrix @ choose)
