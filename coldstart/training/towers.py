"""Two towers: vectors of items and of users whose dot products are scores."""

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
"""Initial factor of cosines, the inverse of a temperature of 0.05; it is learned.

A softmax of cosines, which end at 1, could hardly prefer one item among a thousand.
"""


class Batch(NamedTuple):
    """Users and items of clicks, (b,) each, and negatives shared by all of them, (k,)."""

    users: IntArray
    items: IntArray
    negatives: IntArray


class Towers(nn.Module):
    """Vectors of items from text and clicks, and of users from the items they liked.

    An item is ``map(x) + own``: the vector of its text, through a map that all items share, and an embedding of its own
    that is learned from clicks. A user is the sum of the liked items, at length one. The map starts as the identity and
    ``own`` at zero, so that training starts from the cosine of texts. In training ``own`` is dropped at random
    (DropoutNet, Volkovs et al. 2017), so that the map learns to do without it, as it must for items without clicks.

    Parameters
    ----------
    texts : ndarray of shape (n, dim)
        Vectors of the items' texts.
    liked : csr_array of shape (m, n), ones
    residual : ResidualMap
    content_dropout : float
        Probability that ``own`` is dropped; at 1 it is not learned.
    known : csr_array of shape (m, n), optional
        Items that are no negatives of a user; by default those they liked.
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
        # A linear map of the sum of texts is the sum of the mapped texts: users of a batch need no sum over histories.
        self.register_buffer("sums", torch.from_numpy(np.asarray(liked @ texts)), persistent=False)
        self.liked, self.content_dropout = liked, content_dropout
        self.known = liked if known is None else known

    def items(self, at: Tensor) -> Tensor:
        """Return vectors of the items at these positions, (b, dim); of length one where ``own`` is not learned."""
        mapped: Tensor = self.map(self.texts[at])
        if not self.own.requires_grad:
            return normalize(mapped, dim=1)
        # Drawn on the CPU, whose generator the loop has seeded: the same numbers on any device.
        kept = torch.rand(len(at), 1) >= (self.content_dropout if self.training else 0.0)
        return mapped + embedding(at.to(self.own.device), self.own) * kept.to(mapped.device)

    def users(self, at: IntArray, without: IntArray) -> Tensor:
        """Return vectors of the users at these rows, (b, dim), without one item of the history of each.

        The item to predict is left out of the history: else the sum would give it away.
        """
        if self.map.is_linear:
            vectors = self.map(self.sums[at] - self.texts[without])
            if self.own.requires_grad:
                vectors = vectors + self._history_sums(self.own, at, without)
            return normalize(vectors, dim=1)
        return normalize(self._history_sums(self.map(self.texts) + self.own, at, without), dim=1)

    def vectors(self) -> tuple[FloatArray, FloatArray]:
        """Return vectors of all users and items, (m, dim) and (n, dim), without dropout."""
        with torch.no_grad():
            items = (self.map(self.texts) + self.own).cpu().numpy()
        if not self.own.requires_grad:
            items = unit_rows(items)
        return unit_rows(np.asarray(self.liked @ items)), items

    def loss(self, batch: Batch, kind: str) -> Tensor:
        """Return the loss of the liked items of a batch against its other items and its negatives.

        Only "softmax" uses the other items of the batch; "bpr" and "bce" use the negatives alone.
        """
        candidates = np.concatenate([batch.items, batch.negatives])
        return self._loss(self.users(batch.users, batch.items), self.items(torch.from_numpy(candidates)), batch, kind)

    def in_batch_loss(self, users: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """Return the softmax loss of given vectors (b, dim) of users and items, with in-batch negatives alone."""
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
        """Return the sums of the vectors of liked items (n, dim), without one item of each user, (b, dim)."""
        starts, lengths = self.liked.indptr[at].astype(np.int64), np.diff(self.liked.indptr)[at]
        # The histories of these users one after another, cut from the CSR arrays without a loop over users.
        offsets = np.cumsum(lengths) - lengths
        history = self.liked.indices[np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())]
        excluded, history, offsets = (
            torch.from_numpy(part.astype(np.int64)).to(items.device) for part in (without, history, offsets)
        )
        return embedding_bag(history, items, offsets, mode="sum") - embedding(excluded, items)

    def _log_expected_draws(self, items: IntArray, n_clicks: int, n_negatives: int) -> FloatArray:
        """Return the logarithm of how often each item is expected in a batch, among the clicks and the negatives."""
        among_clicks = np.exp(log_q(self.liked, items)) * n_clicks
        return np.asarray(np.log(among_clicks + n_negatives / len(np.unique(self.liked.indices))), dtype=np.float32)


def batches(
    clicks: tuple[IntArray, IntArray], rng: np.random.Generator, batch_size: int, n_negatives: int
) -> Iterator[Batch]:
    """Yield batches of clicks (users, items) in random order, with negatives drawn uniformly among their items."""
    users, items = clicks
    clicked, order = np.unique(items), rng.permutation(len(users))
    n_negatives = min(n_negatives, len(clicked))
    for block in blocks(len(order), batch_size):
        rows = order[block]
        yield Batch(users[rows], items[rows], rng.choice(clicked, n_negatives))


def training_clicks(liked: Csr) -> tuple[IntArray, IntArray]:
    """Return users and items of the clicks to learn from: those of users with at least two liked items.

    A click is predicted from the rest of the history, and with one click nothing is left.
    """
    pairs = liked.tocoo()
    keep = np.diff(liked.indptr)[pairs.row] > 1
    return pairs.row[keep].astype(np.int64), pairs.col[keep].astype(np.int64)
