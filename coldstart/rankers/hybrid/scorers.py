"""From what users liked to a score of every item: a linear map, in one of three forms."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, hstack
from typing_extensions import Self

from coldstart._arrays import AnyArray, Csr, FloatArray, blocks
from coldstart._component import Component
from coldstart._device import as_tensor
from coldstart.rankers._prior_als import PriorALS

if TYPE_CHECKING:
    import torch

FEW_ROWS = 8
"""Rows up to which each is faster alone, where weights of two bytes must be widened first."""

MOST_FLOAT32 = 4_096
"""Rows up to which weights are kept in four bytes each; above in two, which are half as many to read for a score."""


class LinearScorer(Component):
    """Scores (m, q) of histories (m, n), linear in them but for the fold-in of factors."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Items that are scored, q."""

    @abstractmethod
    def scores(self, history: Csr) -> FloatArray:
        """Return scores (m, q) of histories (m, n), a new array."""

    @abstractmethod
    def with_columns(self, columns: Self) -> Self:
        """Return the scorer of these columns and then others, of the same form; none is copied but small ones."""

    @abstractmethod
    def averaged(self, near: Csr, weight: float) -> Self:
        """Return columns that average those of neighbours: their likes, and ``weight`` times their scores.

        ``near`` (n, q) says how much each of the n items, whose columns these are, counts.
        """


def dense_scorer(weights: FloatArray) -> "BlockScorer":
    """Return the scorer of weights (n, q), in two bytes each where there are many rows."""
    half = len(weights) > MOST_FLOAT32
    return BlockScorer((np.ascontiguousarray(weights, dtype=np.float16 if half else np.float32),))


@dataclass(frozen=True, eq=False, repr=False)
class BlockScorer(LinearScorer, saved=True):
    """history @ weights, the weights in blocks of columns.

    New columns make a new block, and a block is merged with the one before it when that is not twice as wide: a column
    is copied about log2(q) times in its life, and the large first block never for the sake of a few.

    Attributes
    ----------
    blocks : tuple of ndarray of shape (n, q_b)
        float32, or float16 of many rows.
    """

    blocks: tuple[AnyArray, ...]

    @property
    def n_columns(self) -> int:
        """Items that are scored."""
        return sum(block.shape[1] for block in self.blocks)

    def scores(self, history: Csr) -> FloatArray:
        """Return the product with each block, side by side."""
        scores = np.empty((history.shape[0], self.n_columns), dtype=np.float32)
        start = 0
        for at, block in enumerate(self.blocks):
            end = start + block.shape[1]
            half = block.dtype == np.float16
            scores[:, start:end] = _bags(history, self._tables[at]) if half else history @ block
            start = end
        return scores

    def with_columns(self, columns: Self) -> Self:
        """Return the blocks of both."""
        blocks = [*self.blocks]
        for new in columns.blocks:
            blocks.append(new.astype(blocks[0].dtype) if blocks else new)
            while len(blocks) > 1 and blocks[-2].shape[1] < 2 * blocks[-1].shape[1]:
                blocks[-2:] = [np.hstack(blocks[-2:])]
        return replace(self, blocks=tuple(blocks))

    def averaged(self, near: Csr, weight: float) -> Self:
        """Return one dense block."""
        columns = weight * self.dot(near) + near.toarray()
        return replace(self, blocks=(columns.astype(self.blocks[0].dtype),))

    def times(self, rows: FloatArray) -> FloatArray:
        """Return dense rows (m, n) times the first block."""
        weights = self.blocks[0]
        if weights.dtype == np.float16 and len(rows) <= FEW_ROWS:
            return _bags(csr_array(rows), self._tables[0])
        products = [rows[:, b] @ weights[b].astype(np.float32, copy=False) for b in blocks(len(weights), 1024)]
        return np.asarray(np.sum(products, axis=0), dtype=np.float32)

    def dot(self, columns: Csr) -> FloatArray:
        """Return the first block, of as many columns as rows, times columns (n, q) of which few rows are not zero."""
        weights, rows = self.blocks[0], np.unique(columns.nonzero()[0])
        if len(rows) * FEW_ROWS > len(weights):  # so many that all are read in their order
            parts = (weights[b].astype(np.float32, copy=False) @ columns for b in blocks(len(weights), 256))
            return np.asarray(np.vstack(list(parts)), dtype=np.float32)
        return np.asarray(weights[:, rows].astype(np.float32) @ columns[rows], dtype=np.float32)

    @cached_property
    def _tables(self) -> "tuple[torch.Tensor, ...]":
        """The blocks as torch sees them, in the same memory."""
        return tuple(as_tensor(block) for block in self.blocks)


@dataclass(frozen=True, eq=False, repr=False)
class FactorScorer(LinearScorer, saved=True):
    """fold_in(history) @ factors + history @ weights, for catalogues whose weights would not fit.

    Attributes
    ----------
    als : PriorALS
        Folds histories in.
    factors : ndarray of shape (rank, q)
    weights : csr_array of shape (n, q)
        Of the likes themselves.
    """

    als: PriorALS
    factors: FloatArray
    weights: Csr

    @property
    def n_columns(self) -> int:
        """Items that are scored."""
        return int(self.factors.shape[1])

    def scores(self, history: Csr) -> FloatArray:
        """Return both products."""
        scores = self.als.fold_in(history) @ self.factors
        if self.weights.nnz:
            scores += (history @ self.weights).toarray()
        return np.asarray(scores, dtype=np.float32)

    def with_columns(self, columns: Self) -> Self:
        """Return the factors and weights of both."""
        factors = np.hstack([self.factors, columns.factors])
        weights = csr_array(hstack([self.weights, columns.weights], format="csr"))
        return replace(self, factors=factors, weights=weights)

    def averaged(self, near: Csr, weight: float) -> Self:
        """Return factors of the neighbours' scores, and weights of their likes."""
        return replace(self, factors=np.float32(weight) * (self.factors @ near), weights=near)


def _bags(history: Csr, table: "torch.Tensor") -> FloatArray:
    """History times weights of two bytes: a row of weights is read for each like, and summed in four bytes."""
    import torch

    kinds = ((history.indices, np.int64), (history.indptr[:-1], np.int64), (history.data, np.float16))
    at, start, weights = (torch.from_numpy(part.astype(kind)) for part, kind in kinds)
    bags = torch.nn.functional.embedding_bag(at, table, start, mode="sum", per_sample_weights=weights)
    scores: FloatArray = bags.float().numpy()
    return scores
