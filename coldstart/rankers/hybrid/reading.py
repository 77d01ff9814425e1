"""What a text says of each item: by its meaning, and by its exact words."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray
from coldstart.base import Features, Users
from coldstart.rankers.hybrid.calibration import TOP, level
from coldstart.rankers.hybrid.space import Space

WORDS = 0.3
"""How much exact words count beside the meaning."""


@dataclass(frozen=True)
class Asked:
    """How well each item answers a text, as shares of the best 20 items; rows of zeros where there is no text.

    Attributes
    ----------
    meaning, words : ndarray of shape (m, n), at least 0
    """

    meaning: FloatArray
    words: FloatArray

    @property
    def total(self) -> FloatArray:
        """Both together."""
        return np.asarray(self.meaning + self.words, dtype=np.float32)

    @property
    def best(self) -> Csr:
        """The items (m, n) that answer best, as one like dealt out by the third power of how well they do."""
        total = self.total
        top = min(TOP, total.shape[1])
        items = np.sort(np.argpartition(-total, top - 1, axis=1)[:, :top], axis=1)
        likes = np.take_along_axis(total, items, axis=1) ** 3
        likes /= np.maximum(likes.sum(axis=1, keepdims=True), 1e-9)
        return csr_array((likes.ravel(), items.ravel(), top * np.arange(len(total) + 1)), shape=total.shape)


@dataclass(frozen=True, eq=False)
class Reading:
    """The items of a catalogue as texts meet them.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Centred rows of length one, where items meet items.
    read : ndarray of shape (n, dim)
        Where items meet texts: their fields read as one, or else fused and centred.
    words : csr_array of shape (n_terms, n), or None
        Exact words, a row per word.
    joined : bool
        Whether ``read`` is the fields read as one.
    """

    vectors: FloatArray
    read: FloatArray
    words: Csr | None
    joined: bool

    @classmethod
    def of(cls, features: Features, space: Space) -> "Reading":
        """Place the items."""
        words = None if features.sparse is None else csr_array(features.sparse.T)
        read = space.cosine_.item_vectors(features) if features.joined is None else features.joined
        return cls(space.item_vectors(features), read, words, features.joined is not None)

    def asked(self, users: Users, weights: tuple[float, float]) -> Asked | None:
        """Return what the queries and profiles of users say, by their weights; None when nobody says anything."""
        parts = [(w, part) for w, part in zip(weights, (users.query, users.profile), strict=True) if _says(part)]
        if not parts:
            return None
        meaning, words = np.zeros((2, len(users), len(self.read)), dtype=np.float32)
        for w, part in parts:
            meaning += np.float32(w) * (_dense(part, self.joined) @ self.read.T)
            if self.words is not None and part.sparse is not None:
                words += np.float32(w) * (part.sparse @ self.words).toarray()
        return Asked(_relative(meaning), np.float32(WORDS) * _relative(words))


def _says(part: Features) -> bool:
    """Whether there is a text among these rows."""
    return bool(part.dense.any()) or (part.sparse is not None and part.sparse.nnz > 0)


def _dense(part: Features, joined: bool) -> FloatArray:
    return part.joined if joined and part.joined is not None else part.dense


def _relative(scores: FloatArray) -> FloatArray:
    """Scores as shares of the level of each row, 0 where it has none."""
    scores = np.maximum(scores, 0.0)
    return np.asarray(scores / level(scores), dtype=np.float32)
