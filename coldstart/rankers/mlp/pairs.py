"""The second stage: a network on pairs of a user and each of their best items."""

from collections.abc import Iterator
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, blocks
from coldstart.data.holdout import found
from coldstart.training.loop import History, Loop, run
from coldstart.training.losses import sampled_softmax

LOG_CLICKS_SCALE = 5.0
"""Logarithms of counts are divided by it, so that they are of the size of the rest."""

USERS_PER_STEP = 32
"""Users in a step."""

VALIDATE_EVERY = 4
"""One of so many users is measured on, not learned from."""


class CandidateLists(NamedTuple):
    """The best items of some users, as the first stage finds them.

    Attributes
    ----------
    users : ndarray of shape (q, dim)
    best, scores : ndarray of shape (q, c)
        Positions of items, and what the first stage says of them.
    known : ndarray of shape (q, c, 3)
        As ``click_features`` returns it.
    clicked : ndarray of shape (q, c), bool
        Which of them were clicked, and hidden from the first stage.
    """

    users: FloatArray
    best: IntArray
    scores: FloatArray
    known: FloatArray
    clicked: BoolArray

    @classmethod
    def of(
        cls, users: FloatArray, items: FloatArray, liked: Csr, held: Csr, clicks: FloatArray, count: int
    ) -> "CandidateLists":
        """Of vectors (q, dim) and (n, dim), what the users liked, left out, what is held out of it, and all clicks."""
        told = np.diff(liked.indptr)
        parts = []
        for block in blocks(len(users), 256):
            scores = np.where(liked[block].toarray() > 0, -np.inf, users[block] @ items.T)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
            scores = np.maximum(np.take_along_axis(scores, best, axis=1), np.finfo(np.float32).min / 2)
            clicked = np.take_along_axis(held[block].toarray() > 0, best, axis=1)
            parts.append((users[block], best, scores, click_features(clicks[best], told[block]), clicked))
        columns: list[Any] = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return cls(*columns)

    def select(self, at: IntArray) -> "CandidateLists":
        """Return those of some users."""
        return CandidateLists(self.users[at], self.best[at], self.scores[at], self.known[at], self.clicked[at])


class PairNetwork(nn.Module):
    """The score of the first stage and beside it an MLP on ``[u, i, u*i, |u-i|]`` and what is known of both.

    The last layer starts at zero: an untrained network leaves the first stage as it is.
    """

    items: Tensor

    def __init__(self, items: FloatArray, hidden: int, dropout: float, rng: np.random.Generator) -> None:
        super().__init__()
        dim = items.shape[1]
        bound = (4 * dim) ** -0.5
        first = (rng.uniform(-bound, bound, (dim, hidden)).astype(np.float32) for _ in range(4))
        self.user, self.item, self.product, self.distance = (nn.Parameter(torch.from_numpy(part)) for part in first)
        self.known = nn.Parameter(torch.zeros(3, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.out = nn.Parameter(torch.zeros(hidden))
        self.skip = nn.Parameter(torch.ones(()))
        self.drop = nn.Dropout(dropout)
        self.register_buffer("items", torch.from_numpy(items), persistent=False)

    def forward(self, lists: CandidateLists) -> Tensor:
        """Return scores, (q, c)."""
        users, items = torch.from_numpy(lists.users)[:, None], self.items[torch.from_numpy(lists.best)]
        hidden = users @ self.user + items @ self.item + (users * items) @ self.product
        hidden = hidden + (users - items).abs() @ self.distance
        hidden = hidden + torch.from_numpy(lists.known) @ self.known + self.bias
        scores: Tensor = self.drop(hidden.relu()) @ self.out + self.skip * torch.from_numpy(lists.scores)
        return scores

    def loss(self, lists: CandidateLists) -> Tensor:
        """Return how badly each hidden click stands out in its list, the other clicks there left out."""
        rows, target = np.nonzero(lists.clicked)
        others = torch.from_numpy(lists.clicked[rows])
        return sampled_softmax(self(lists)[torch.from_numpy(rows)], torch.from_numpy(target), masked=others)


def click_features(clicks: FloatArray, told: FloatArray) -> FloatArray:
    """Return what is known of items (q, c) and users (q,) with so many clicks, (q, c, 3).

    The logarithm of the item's clicks, whether it has none, and the logarithm of the user's.
    """
    of_users = np.broadcast_to(np.log1p(told)[:, None], clicks.shape)
    return np.stack([np.log1p(clicks) / LOG_CLICKS_SCALE, clicks == 0, of_users / LOG_CLICKS_SCALE], axis=-1).astype(
        np.float32
    )


def train(network: PairNetwork, lists: CandidateLists, liked: Csr, held: Csr, loop: Loop) -> History:
    """Train in place on three quarters of the lists, for as long as more is found in the others."""
    asked, taught = (
        np.arange(0, len(lists.users), VALIDATE_EVERY),
        np.flatnonzero(np.arange(len(lists.users)) % VALIDATE_EVERY),
    )
    taught = taught[lists.clicked[taught].any(axis=1)]
    history, wanted, measured = csr_array(liked[asked]), csr_array(held[asked]), lists.select(asked)

    def batches(rng: np.random.Generator) -> Iterator[CandidateLists]:
        order = rng.permutation(taught)
        return (lists.select(order[block]) for block in blocks(len(order), USERS_PER_STEP))

    def measure() -> float:
        scores = np.full(history.shape, -np.inf, dtype=np.float32)
        for block in blocks(len(asked), USERS_PER_STEP):
            some = measured.select(np.arange(len(asked))[block])
            np.put_along_axis(scores[block], some.best, network(some).numpy(), axis=1)
        return found(scores, history, wanted)

    return run(
        network, batches, network.loss, loop, steps=ceil(len(taught) / USERS_PER_STEP), measure=measure, name="Pairs"
    )
