"""Vectors of items and users whose dot product says who likes what."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, normalize

from coldstart._arrays import Csr, FloatArray, IntArray, blocks, unit_rows
from coldstart.training.adapters import ResidualMap
from coldstart.training.losses import bce, bpr, sampled_softmax
from coldstart.training.negatives import false_negatives, log_q

SCALE = 20.0
"""What cosines are multiplied by at the start: the inverse of a temperature of 0.05."""


class Batch(NamedTuple):
    """Clicks, (b,) each, and the items all share as negatives, (k,)."""

    users: IntArray
    items: IntArray
    negatives: IntArray


class Towers(nn.Module):
    """A vector for every item and, from those they liked, for every user.

    An item is its text's vector, moved by a map that all share, and what clicks teach of it alone:
    ``map(x) + own``. A user is the sum of what they liked, at length one. Both start where the cosine is. In
    training ``own`` is left out at random (DropoutNet, Volkovs et al. 2017), so that the rest learns to stand for it
    where there are no clicks.

    Parameters
    ----------
    texts : ndarray of shape (n, dim)
    liked : csr_array of shape (m, n), ones
    residual : ResidualMap
    content_dropout : float
        How often what is known of an item by clicks is left out; at 1 it is not learned.
    known : csr_array of shape (m, n), optional
        What is no negative of a user; by default what they liked.
    """

    texts: Tensor
    sums: Tensor

    def __init__(
        self,
        texts: FloatArray,
        liked: Csr,
        residual: ResidualMap,
        content_dropout: float = 1.0,
        known: Csr | None = None,
    ) -> None:
        super().__init__()
        self.map = residual
        self.own = nn.Parameter(torch.zeros(texts.shape), requires_grad=content_dropout < 1.0)
        self.log_scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        self.register_buffer("texts", torch.from_numpy(texts), persistent=False)
        self.register_buffer("sums", torch.from_numpy(np.asarray(liked @ texts)), persistent=False)
        self.liked, self.content_dropout = liked, content_dropout
        self.known = liked if known is None else known

    def items(self, at: Tensor) -> Tensor:
        """Return vectors of items, (b, dim); of length one where clicks teach nothing of an item alone."""
        moved: Tensor = self.map(self.texts[at])
        if not self.own.requires_grad:
            return normalize(moved, dim=1)
        known = torch.rand(len(at), 1) >= (self.content_dropout if self.training else 0.0)
        return moved + embedding(at.to(self.own.device), self.own) * known.to(moved.device)

    def users(self, at: IntArray, without: IntArray) -> Tensor:
        """Return vectors of users, (b, dim), as they are without one item each."""
        if self.map.is_linear:
            vectors = self.map(self.sums[at] - self.texts[without])
            if self.own.requires_grad:
                vectors = vectors + self._history_sums(self.own, at, without)
            return normalize(vectors, dim=1)
        return normalize(self._history_sums(self.map(self.texts) + self.own, at, without), dim=1)

    def vectors(self) -> tuple[FloatArray, FloatArray]:
        """Return those of all users and items, (m, dim) and (n, dim), each item with clicks as they teach."""
        with torch.no_grad():
            items = self.map(self.texts) + self.own
        found = items.cpu().numpy() if self.own.requires_grad else unit_rows(items.cpu().numpy())
        return unit_rows(np.asarray(self.liked @ found)), found

    def loss(self, batch: Batch, kind: str) -> Tensor:
        """Return how badly the liked items of a batch stand out from the others in it and its negatives."""
        candidates = np.concatenate([batch.items, batch.negatives])
        return self._loss(self.users(batch.users, batch.items), self.items(torch.from_numpy(candidates)), batch, kind)

    def in_batch_loss(self, users: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """Return the softmax loss of given vectors, the items of the batch being each other's negatives."""
        return self._loss(users, items, batch._replace(negatives=batch.negatives[:0]), "softmax")

    def _loss(self, users: Tensor, items: Tensor, batch: Batch, kind: str) -> Tensor:
        scores = users @ items.T * self.log_scale.exp()
        candidates, n = np.concatenate([batch.items, batch.negatives]), len(batch.items)
        known = torch.from_numpy(false_negatives(self.known, batch.users, candidates)).to(scores.device)
        if kind == "softmax":
            draws = torch.from_numpy(self._log_expected_draws(candidates, n, len(batch.negatives))).to(scores.device)
            return sampled_softmax(scores, torch.arange(n, device=scores.device), draws, known)
        positive, negative = scores.diagonal(), scores[:, n:].masked_fill(known[:, n:], -torch.inf)
        if kind == "bpr":
            return bpr(positive, negative)
        return bce(positive, torch.ones_like(positive)) + nn.functional.softplus(negative).mean()

    def _history_sums(self, items: Tensor, at: IntArray, without: IntArray) -> Tensor:
        """The sums of what the users liked, without one each."""
        starts, lengths = self.liked.indptr[at].astype(np.int64), np.diff(self.liked.indptr)[at]
        begins = np.cumsum(lengths) - lengths
        flat = self.liked.indices[np.repeat(starts - begins, lengths) + np.arange(lengths.sum())]
        places = (torch.from_numpy(part.astype(np.int64)).to(items.device) for part in (flat, begins))
        liked, starts_at = places
        return embedding_bag(liked, items, starts_at, mode="sum") - embedding(
            torch.from_numpy(without).to(items.device), items
        )

    def _log_expected_draws(self, items: IntArray, n_clicks: int, n_negatives: int) -> FloatArray:
        """How often each item is expected in a batch: among the clicks, and among the negatives."""
        drawn = np.exp(log_q(self.liked, items)) * n_clicks
        return np.asarray(np.log(drawn + n_negatives / len(np.unique(self.liked.indices))), dtype=np.float32)


def batches(
    clicks: tuple[IntArray, IntArray], rng: np.random.Generator, batch_size: int, n_negatives: int
) -> Iterator[Batch]:
    """Pass over clicks, users and items, in random order; negatives are drawn among these items, at most as many."""
    users, items = clicks
    clicked, order = np.unique(items), rng.permutation(len(users))
    n_negatives = min(n_negatives, len(clicked))
    for block in blocks(len(order), batch_size):
        rows = order[block]
        yield Batch(users[rows], items[rows], rng.choice(clicked, n_negatives))


def training_clicks(liked: Csr) -> tuple[IntArray, IntArray]:
    """Users and items of the clicks that leave their user with another liked item to be known by."""
    pairs = liked.tocoo()
    keep = np.diff(liked.indptr)[pairs.row] > 1
    return pairs.row[keep].astype(np.int64), pairs.col[keep].astype(np.int64)
