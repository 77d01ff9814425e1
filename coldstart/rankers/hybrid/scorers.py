"""Linear scorers: scores = history @ W, with the weights W stored as dense blocks or as factors.

Both experts of the blend are linear in the history, so after the fit they are kept as one matrix each:

    history (m, n) @ W (n, q) = scores (m, q)

for m users, n items with clicks and q items to score. ``BlockScorer`` stores W itself, in blocks of columns;
``FactorScorer`` stores factors, fold_in(history) @ F + history @ S, where W would not fit in memory. A new item is one
more column, and nothing else has to change.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, hstack
from typing_extensions import Self

from coldstart._arrays import AnyArray, Csr, FloatArray, blocks
from coldstart._component import Component
from coldstart._device import as_tensor
from coldstart.errors import InvalidInputError
from coldstart.rankers._prior_als import PriorALS

if TYPE_CHECKING:
    import torch

FEW_ROWS = 8
"""Rows up to which a product with float16 weights reads single rows, instead of converting all weights to float32."""

MOST_FLOAT32 = 4_096
"""Rows of W up to which weights are float32. Larger W are float16: a score takes as long as it takes to read W."""

MOST_NUMBERS = 100_000_000
"""Weights up to which they may be float32, 400 MB: where few of many items have clicks, W has few rows and is large."""


class LinearScorer(Component):
    """Maps histories (m, n) to scores (m, q)."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of items that are scored, q."""

    @abstractmethod
    def scores(self, history: Csr) -> FloatArray:
        """Return scores (m, q) of histories (m, n), a new array."""

    @abstractmethod
    def with_columns(self, columns: Self) -> Self:
        """Return a scorer with the columns of another one of the same class behind its own."""

    @abstractmethod
    def averaged(self, neighbours: Csr, weight: float) -> Self:
        """Return columns for q items that average neighbours: their clicks, plus ``weight`` times their scores.

        ``neighbours`` (n, q) has the weight of each of the n items, whose columns these are, for each of the q.
        """


def weight_type(n: int, q: int) -> type[np.floating[Any]]:
    """Return the type of weights (n, q): float16 where they are large."""
    return np.float16 if n > MOST_FLOAT32 or n * q > MOST_NUMBERS else np.float32


def dense_scorer(weights: FloatArray) -> "BlockScorer":
    """Return the scorer of weights (n, q)."""
    return BlockScorer((np.ascontiguousarray(weights, dtype=weight_type(*weights.shape)),))


@dataclass(frozen=True, eq=False, repr=False)
class BlockScorer(LinearScorer, saved=True):
    """history @ W, with W in blocks of columns.

    Attributes
    ----------
    blocks : tuple of ndarray of shape (n, q_b)
        float32, or float16 where n is large.
    """

    blocks: tuple[AnyArray, ...]

    @property
    def n_columns(self) -> int:
        """Number of items that are scored."""
        return sum(block.shape[1] for block in self.blocks)

    def scores(self, history: Csr) -> FloatArray:
        """Return the products with all blocks, side by side."""
        # Into one array, as stacking the products would copy all scores once more.
        scores = np.empty((history.shape[0], self.n_columns), dtype=np.float32)
        start = 0
        for index, block in enumerate(self.blocks):
            end = start + block.shape[1]
            half = block.dtype == np.float16
            scores[:, start:end] = _half_product(history, self._tensors[index]) if half else history @ block
            start = end
        return scores

    def with_columns(self, columns: Self) -> Self:
        """Return the blocks of both; small ones are merged, a large one is never copied for a few columns."""
        blocks = [*self.blocks]
        for new in columns.blocks:
            blocks.append(new.astype(blocks[0].dtype) if blocks else new)
            # As in a binary counter: every block stays at least twice as wide as the next, so that there are at most
            # log2(q) blocks to multiply with, and each column is copied at most log2(q) times as items come one by one.
            while len(blocks) > 1 and blocks[-2].shape[1] < 2 * blocks[-1].shape[1]:
                blocks[-2:] = [np.hstack(blocks[-2:])]
        return replace(self, blocks=tuple(blocks))

    def averaged(self, neighbours: Csr, weight: float) -> Self:
        """Return one block of averaged columns."""
        columns = weight * self.times(neighbours) + neighbours.toarray()
        return replace(self, blocks=(columns.astype(self.blocks[0].dtype),))

    def dense_scores(self, rows: FloatArray) -> FloatArray:
        """Return dense rows (m, n) times the first block, (m, q_1)."""
        weights = self.blocks[0]
        if weights.dtype == np.float16 and len(rows) <= FEW_ROWS:
            return _half_product(csr_array(rows), self._tensors[0])
        # BLAS has no float16: 1,024 rows of weights at a time are converted, so that no float32 copy of all is made.
        products = [rows[:, b] @ weights[b].astype(np.float32, copy=False) for b in blocks(len(weights), 1024)]
        return np.asarray(np.sum(products, axis=0), dtype=np.float32)

    def times(self, columns: Csr) -> FloatArray:
        """Return the first block, which must be square (n, n), times sparse columns (n, q)."""
        weights, rows = self.blocks[0], np.unique(columns.nonzero()[0])
        # Only columns of the block that meet a number other than 0 count. Where these are many, reading all weights in
        # the order of memory is faster than picking columns from each row.
        if len(rows) * FEW_ROWS > len(weights):
            parts = (weights[b].astype(np.float32, copy=False) @ columns for b in blocks(len(weights), 256))
            return np.asarray(np.vstack(list(parts)), dtype=np.float32)
        return np.asarray(weights[:, rows].astype(np.float32) @ columns[rows], dtype=np.float32)

    @cached_property
    def _tensors(self) -> "tuple[torch.Tensor, ...]":
        """The blocks as torch tensors that share their memory."""
        return tuple(as_tensor(block) for block in self.blocks)


@dataclass(frozen=True, eq=False, repr=False)
class FactorScorer(LinearScorer, saved=True):
    """fold_in(history) @ F + history @ S, for catalogues whose item-item weights would not fit in memory.

    Attributes
    ----------
    als : PriorALS
        Computes the user factors of a history, (m, rank).
    factors : ndarray of shape (rank, q)
        F, the item factors.
    weights : csr_array of shape (n, q)
        S, sparse weights of the clicks themselves.
    """

    als: PriorALS
    factors: FloatArray
    weights: Csr

    @property
    def n_columns(self) -> int:
        """Number of items that are scored."""
        return int(self.factors.shape[1])

    def scores(self, history: Csr) -> FloatArray:
        """Return the sum of both products."""
        scores = self.als.fold_in(history) @ self.factors
        if self.weights.nnz:
            scores += (history @ self.weights).toarray()
        return np.asarray(scores, dtype=np.float32)

    def with_columns(self, columns: Self) -> Self:
        """Return the factors and sparse weights of both."""
        factors = np.hstack([self.factors, columns.factors])
        weights = csr_array(hstack([self.weights, columns.weights], format="csr"))
        return replace(self, factors=factors, weights=weights)

    def averaged(self, neighbours: Csr, weight: float) -> Self:
        """Return the mean factors of neighbours as F, which gives their mean scores, and their weights as S."""
        return replace(self, factors=np.float32(weight) * (self.factors @ neighbours), weights=neighbours)


def _half_product(history: Csr, weights: "torch.Tensor") -> FloatArray:
    """Return history (m, n) times float16 weights (n, q), in float32.

    scipy and BLAS would convert all weights to float32 first. ``embedding_bag`` reads one row of weights for each click
    and adds up in float32: a thousand weights of 1 beside one of 2,048 are not lost, as they would be in float16.
    """
    import torch

    if history.shape[1] != len(weights):  # as numpy would say; `embedding_bag` would read other memory
        raise InvalidInputError(f"`history` must have {len(weights):,} columns; got {history.shape[1]:,}.")
    arrays = ((history.indices, np.int64), (history.indptr[:-1], np.int64), (history.data, np.float16))
    indices, offsets, values = (torch.from_numpy(array.astype(dtype)) for array, dtype in arrays)
    bags = torch.nn.functional.embedding_bag(indices, weights, offsets, mode="sum", per_sample_weights=values)
    scores: FloatArray = bags.float().numpy()
    return scores
