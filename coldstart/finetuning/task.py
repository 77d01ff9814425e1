"""The task of finetuning: items with their texts, training pairs, and the measurement on held-out items."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from coldstart._arrays import FloatArray, IntArray, as_matrix, check_between, unit_rows
from coldstart._messages import shown
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.data.holdout import Fold, mean_ndcg
from coldstart.errors import InvalidInputError
from coldstart.finetuning.pairs import Pairs
from coldstart.training.adapters import ResidualMap
from coldstart.training.towers import Batch, Towers, batches

MAX_STEPS = 30
"""Steps between two measurements, at most."""

MIN_USERS = 20
"""Evaluation users, or queries, below which nothing is measured: all epochs are run."""


@dataclass(frozen=True)
class Items:
    """The items of a catalogue as an encoder reads them.

    Attributes
    ----------
    texts : tuple of tuple of str
        The texts of each item, one for each field it has.
    vectors : ndarray of shape (n, dim)
        Mean of the vectors of an item's texts.
    mean : ndarray of shape (dim,)
        Mean vector of all texts.
    labels : ndarray of shape (n,) or None
        Classes to predict, from 0; -1 where the column has no value.
    """

    texts: tuple[tuple[str, ...], ...]
    vectors: FloatArray
    mean: FloatArray
    labels: IntArray | None

    @classmethod
    def of(cls, catalog: Catalog, encoder: Encoder, predict: str | None) -> "Items":
        """Encode the texts of a catalogue."""
        columns = [catalog.columns[name] for name in catalog.fields]
        texts = tuple(tuple(cell for cell in cells if cell is not None) for cells in zip(*columns, strict=True))
        all_texts = [text for cells in texts for text in cells]
        if not all_texts:
            raise InvalidInputError("`catalog` of finetune must hold an item with text; all fields of all are missing.")
        owners = np.repeat(np.arange(len(texts)), [len(cells) for cells in texts])
        encoded = unit_rows(as_matrix(encoder.encode(all_texts), "vectors of the encoder"))
        vectors = means(torch.from_numpy(encoded), owners, len(texts)).numpy()
        return cls(texts, vectors, encoded.mean(axis=0), None if predict is None else _labels(catalog, predict))

    @property
    def centred(self) -> FloatArray:
        """Centred vectors of length one; zero for items without text."""
        return unit_rows((self.vectors - self.mean) * self.vectors.any(axis=1, keepdims=True))


@dataclass(frozen=True)
class FinetuneTask:
    """Items, the pairs to learn from, and how many of them make a batch."""

    items: Items
    pairs: Pairs
    batch_size: int

    @classmethod
    def of(
        cls,
        items: Items,
        fold: Fold,
        positives: str,
        queries: FloatArray | None,
        batch_size: int | None,
        rng: np.random.Generator,
    ) -> "FinetuneTask":
        """Make training pairs from the given clicks of a fold.

        Raises
        ------
        InvalidInputError
            When there is no pair, or a batch is larger than they are.
        """
        if queries is not None:
            pairs = Pairs.of_queries(items.centred, queries, fold)
        elif positives == "history":
            pairs = Pairs.of_histories(items.centred, fold)
        else:
            pairs = Pairs.of_pairs(items.centred, fold, rng)
        n_pairs = len(pairs.rows)
        if not n_pairs:
            raise InvalidInputError(
                "`interactions` of finetune must hold a user with at least 2 liked items; got none. "
                "Without clicks, see coldstart.pretrain."
            )
        if batch_size is not None:
            check_between("batch_size", batch_size, 1, n_pairs, "There are no more pairs to learn from.")
        return cls(items, pairs, min(1024, n_pairs) if batch_size is None else batch_size)

    @property
    def steps(self) -> int:
        """Batches between two measurements."""
        return min(MAX_STEPS, ceil(len(self.pairs.rows) / self.batch_size))

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Return the batches of an epoch, at most ``steps``, with as many negatives as pairs."""
        shuffled = batches((self.pairs.rows, self.pairs.items), rng, self.batch_size, self.batch_size)
        return islice(shuffled, self.steps)

    def towers(self, residual: ResidualMap) -> Towers:
        """Return the two towers of rows and items with this map."""
        return Towers(self.pairs.texts, self.pairs.liked, residual, known=self.pairs.known)

    def mean_ndcg(self, users: FloatArray, cold: FloatArray) -> float:
        """Return NDCG@20 among the cold items, from vectors (a, dim) of evaluation users and (c, dim) of the items."""
        relevant = csr_array(self.pairs.relevant[:, self.pairs.cold])
        return mean_ndcg(users @ cold.T, csr_array(relevant.shape, dtype=np.float32), relevant)

    @property
    def is_measured(self) -> bool:
        """Whether there are enough evaluation users."""
        return len(self.pairs.given.indptr) > MIN_USERS


def means(vectors: Tensor, owners: IntArray, count: int) -> Tensor:
    """Return the mean of the rows of each owner, (count, dim); zero for owners without rows."""
    at = torch.from_numpy(owners).to(vectors.device)
    sums = torch.zeros(count, vectors.shape[1], device=vectors.device).index_add(0, at, vectors.float())
    return sums / torch.bincount(at, minlength=count).clamp(min=1)[:, None]


def _labels(catalog: Catalog, column: str) -> IntArray:
    """Return the values of a column as classes from 0, -1 where there is none."""
    if column not in catalog.columns:
        raise InvalidInputError(
            f"`predict` must be a column of the catalogue, {shown(list(catalog.columns))}; got {shown(column)}."
        )
    values = catalog.columns[column]
    classes = {value: at for at, value in enumerate(dict.fromkeys(v for v in values if v is not None))}
    if len(classes) < 2:
        raise InvalidInputError(f"`predict` must be a column of at least 2 values; {shown(column)} has {len(classes)}.")
    return np.array([-1 if value is None else classes[value] for value in values], dtype=np.int64)
