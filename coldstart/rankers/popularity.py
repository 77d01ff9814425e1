"""Rank by clicks of everybody, or at random: the baselines that every other ranker must beat."""

import hashlib

import numpy as np

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, generator
from coldstart.rankers._columns import ClickRanker


class PopularityRanker(ClickRanker, saved=True):
    """Score an item by the sum of the weights of its clicks: the same list for everyone.

    Attributes
    ----------
    counts_ : ndarray of shape (n_items,)
        Sum of the weights of each item's clicks.
    """

    counts_: FloatArray
    answers_nobody = True

    def _learn(self, clicks: Csr) -> None:
        self.counts_ = np.asarray(clicks.sum(axis=0), dtype=np.float32)

    def _from_history(self, history: Csr) -> FloatArray:
        return np.tile(self.counts_, (history.shape[0], 1))

    def _from_disliked(self, disliked: Csr) -> FloatArray:
        # More than its own score, so that a disliked item comes last; others stay where they are.
        return np.asarray(disliked.toarray() * (1.0 + self.counts_), dtype=np.float32)

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        self._learn(clicks)


class RandomRanker(ClickRanker, saved=True):
    """Score items at random from 0 to 1, the same each time for the same history.

    Parameters
    ----------
    rng : int, SeedSequence, Generator or None
        Another seed gives other orders.
    """

    answers_nobody = True

    def __init__(self, rng: Rng = 0) -> None:
        self.rng = rng

    def _learn(self, clicks: Csr) -> None:
        self.seed_ = int(generator(self.rng).integers(2**63))

    def _from_history(self, history: Csr) -> FloatArray:
        scores = np.empty(history.shape, dtype=np.float32)
        for row, (start, end) in enumerate(zip(history.indptr[:-1], history.indptr[1:], strict=True)):
            # By the history, not by its row in the batch: a user gets the same list in any batch.
            content = hashlib.sha256(np.sort(history.indices[start:end]).astype(np.int64).tobytes()).digest()
            seed = np.random.SeedSequence([self.seed_, int.from_bytes(content[:8], "little")])
            scores[row] = generator(seed).random(history.shape[1])
        return scores

    def _from_disliked(self, disliked: Csr) -> FloatArray:
        return np.asarray(2.0 * disliked.toarray(), dtype=np.float32)

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        """Nothing was learned of any item."""
