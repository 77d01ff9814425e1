"""What an encoder is taught: items with their texts, what belongs together, and what it is measured by."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from coldstart._arrays import FloatArray, IntArray, as_matrix, check_between, unit_rows
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.data.holdout import Fold, found
from coldstart.errors import InvalidInputError
from coldstart.finetuning.pairs import Pairs
from coldstart.training.adapters import ResidualMap
from coldstart.training.towers import Batch, Towers, batches

MAX_STEPS = 30
"""Most steps between two measurements."""

MIN_USERS = 20
"""Users, or queries, below which nothing is measured: all epochs are run."""


@dataclass(frozen=True)
class Items:
    """The items as they are read.

    Attributes
    ----------
    texts : tuple of tuple of str
        What each item says, a text for each field it has.
    vectors : ndarray of shape (n, dim)
        Of their texts, the mean of those of an item.
    mean : ndarray of shape (dim,)
        Of all texts.
    labels : ndarray of shape (n,) or None
        What is predicted: classes from 0, -1 where there is none.
    """

    texts: tuple[tuple[str, ...], ...]
    vectors: FloatArray
    mean: FloatArray
    labels: IntArray | None

    @classmethod
    def of(cls, catalog: Catalog, encoder: Encoder, predict: str | None) -> "Items":
        """Read a catalogue."""
        columns = [catalog.columns[name] for name in catalog.fields]
        texts = tuple(tuple(cell for cell in cells if cell is not None) for cells in zip(*columns, strict=True))
        said = [text for cells in texts for text in cells]
        if not said:
            raise InvalidInputError("`catalog` of finetune must hold an item with text; all fields of all are missing.")
        owners = np.repeat(np.arange(len(texts)), [len(cells) for cells in texts])
        encoded = unit_rows(as_matrix(encoder.encode(said), "vectors of the encoder"))
        vectors = means(torch.from_numpy(encoded), owners, len(texts)).numpy()
        return cls(texts, vectors, encoded.mean(axis=0), None if predict is None else _labels(catalog, predict))

    @property
    def centred(self) -> FloatArray:
        """Vectors of length one, the mean left out."""
        return unit_rows((self.vectors - self.mean) * self.vectors.any(axis=1, keepdims=True))


@dataclass(frozen=True)
class FinetuneTask:
    """What is learned from, and by what it is measured."""

    items: Items
    positives: Pairs
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
        """Make pairs of what a fold does not hide."""
        if queries is not None:
            found_by = Pairs.of_queries(items.centred, queries, fold)
        elif positives == "history":
            found_by = Pairs.of_histories(items.centred, fold)
        else:
            found_by = Pairs.of_pairs(items.centred, fold, rng)
        n_pairs = len(found_by.rows)
        if not n_pairs:
            raise InvalidInputError(
                "`interactions` of finetune must hold a user with at least 2 liked items; got none. "
                "Without clicks, see coldstart.pretrain."
            )
        if batch_size is not None:
            check_between("batch_size", batch_size, 1, n_pairs, "There are no more pairs to learn from.")
        return cls(items, found_by, min(1024, n_pairs) if batch_size is None else batch_size)

    @property
    def steps(self) -> int:
        """Batches between two measurements."""
        return min(MAX_STEPS, ceil(len(self.positives.rows) / self.batch_size))

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Return some, with as many negatives as pairs."""
        some = batches((self.positives.rows, self.positives.items), rng, self.batch_size, self.batch_size)
        return islice(some, self.steps)

    def towers(self, residual: ResidualMap) -> Towers:
        """Return vectors of rows and items by a map."""
        return Towers(self.positives.texts, self.positives.liked, residual, known=self.positives.known)

    def found(self, told: FloatArray, cold: FloatArray) -> float:
        """Return NDCG@20 among the hidden items, from vectors of what is told, (a, dim), and of them, (c, dim)."""
        wanted = csr_array(self.positives.wanted[:, self.positives.cold])
        return found(told @ cold.T, csr_array(wanted.shape, dtype=np.float32), wanted)

    @property
    def is_measured(self) -> bool:
        """Whether enough was hidden."""
        return len(self.positives.told.indptr) > MIN_USERS


def means(vectors: Tensor, owners: IntArray, count: int) -> Tensor:
    """Return the mean of each owner's rows, (count, dim); zero without."""
    at = torch.from_numpy(owners).to(vectors.device)
    sums = torch.zeros(count, vectors.shape[1], device=vectors.device).index_add(0, at, vectors.float())
    return sums / torch.bincount(at, minlength=count).clamp(min=1)[:, None]


def _labels(catalog: Catalog, column: str) -> IntArray:
    if column not in catalog.columns:
        raise InvalidInputError(
            f"`predict` must be a column of the catalogue, {list(catalog.columns)}; got {column!r}."
        )
    values = catalog.columns[column]
    classes = {value: at for at, value in enumerate(dict.fromkeys(v for v in values if v is not None))}
    if len(classes) < 2:
        raise InvalidInputError(f"`predict` must be a column of at least 2 values; {column!r} has {len(classes)}.")
    return np.array([-1 if value is None else classes[value] for value in values], dtype=np.int64)
