"""From what a user liked to a score of every item."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, hstack

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray, blocks
from coldstart._component import Component
from coldstart._device import as_tensor
from coldstart.rankers.hybrid.als import PriorALS

if TYPE_CHECKING:
    import torch

MOST_WHOLE = 4_096
"""Items up to which weights are kept in four bytes each; above in two, which are half as many to read for a score."""


@dataclass(frozen=True, eq=False)
class Answers(Component):
    """Scores (m, q) of histories (m, n): code(rows) @ factors + rows @ weights, code by ``als``.

    Attributes
    ----------
    weights : ndarray or csr_array of shape (n, q)
        How much each like counts for each item; float16 where there are more than ``MOST_WHOLE`` rows.
    als : PriorALS or None
        Where items are too many to hold all weights.
    factors : ndarray of shape (rank, q) or None
    """

    weights: AnyArray | Csr
    als: PriorALS | None = None
    factors: FloatArray | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weights, np.ndarray) and len(self.weights) > MOST_WHOLE:
            object.__setattr__(self, "weights", self.weights.astype(np.float16, copy=False))
        if self.factors is not None:
            object.__setattr__(self, "factors", np.ascontiguousarray(self.factors))

    def scores(self, rows: Csr) -> FloatArray:
        """Return scores (m, q) of histories (m, n)."""
        if self.weights.dtype == np.float16:
            return self._of_two_bytes(rows)
        scores = rows @ self.weights
        if self.als is None or self.factors is None:
            return np.asarray(scores, dtype=np.float32)
        coded = self.als.code(rows) @ self.factors
        coded += scores.toarray()
        return np.asarray(coded, dtype=np.float32)

    def taking_in(self, at: int, columns: FloatArray) -> "Answers":
        """Return the answers with more columns in front of column ``at``: weights, or with ``als`` factors."""
        if self.als is None or self.factors is None:
            return replace(self, weights=np.insert(self.weights, [at] * columns.shape[1], columns, axis=1))
        nothing = csr_array((self.weights.shape[0], columns.shape[1]), dtype=np.float32)
        weights = hstack([self.weights[:, :at], nothing, self.weights[:, at:]], format="csr")
        factors = np.hstack([self.factors[:, :at], columns, self.factors[:, at:]])
        return replace(self, weights=csr_array(weights), factors=factors)

    def smoothed(self, near: Csr, boost: float) -> "Answers":
        """Return a column per new item: the likes of its neighbours, and their boosted scores.

        ``near`` are the weights (n, n_new) of the neighbours, whose own scores are the first n columns.
        """
        n_items = self.weights.shape[0]
        own = self.weights[:, :n_items]
        if self.als is None or self.factors is None:
            weights = [boost * (own[block].astype(np.float32) @ near) + near[block] for block in blocks(n_items, 1024)]
            return replace(self, weights=np.vstack(weights).astype(np.float32))
        weights = csr_array(boost * (own @ near) + near)
        return replace(self, weights=weights, factors=boost * (self.factors[:, :n_items] @ near))

    def grown(self, kept: IntArray, new: "Answers") -> "Answers":
        """Return the columns ``kept``, and then the new ones."""
        if self.als is None or self.factors is None or new.factors is None:
            return replace(self, weights=np.hstack([self.weights[:, kept], new.weights]))
        factors = np.hstack([self.factors[:, kept], new.factors]).astype(np.float32)
        weights = csr_array(hstack([self.weights[:, kept], new.weights], format="csr"), dtype=np.float32)
        return replace(self, weights=weights, factors=factors)

    def _of_two_bytes(self, rows: Csr) -> FloatArray:
        """Rows times weights: a row of weights is read for each like, and summed in four bytes."""
        import torch

        kinds = ((rows.indices, np.int64), (rows.indptr[:-1], np.int64), (rows.data, np.float16))
        at, start, counts = (torch.from_numpy(part.astype(kind)) for part, kind in kinds)
        bags = torch.nn.functional.embedding_bag(at, self._table, start, mode="sum", per_sample_weights=counts)
        scores: FloatArray = bags.float().numpy()
        return scores

    @cached_property
    def _table(self) -> "torch.Tensor":
        """The weights as torch sees them, in the same memory."""
        return as_tensor(self.weights)
