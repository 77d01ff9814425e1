"""The second stage: a network on pairs of a user and each of their candidates, trained to re-rank them."""

from collections.abc import Iterator
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, blocks
from coldstart.data.holdout import mean_ndcg
from coldstart.rankers.mlp.scoring import click_features, pair_scores
from coldstart.training.loop import History, Loop, run
from coldstart.training.losses import sampled_softmax

USERS_PER_STEP = 32
"""Users per training step."""

VALIDATE_EVERY = 4
"""One of so many users is left out of training, for early stopping."""


class CandidateLists(NamedTuple):
    """Candidates of some users: the best items by the first stage.

    Attributes
    ----------
    users : ndarray of shape (q, dim)
        Vectors of the users.
    items, scores : ndarray of shape (q, c)
        Positions of the candidates, and their scores by the first stage.
    clicks : ndarray of shape (q, c, 3)
        Inputs that count clicks, of ``click_features``.
    relevant : ndarray of shape (q, c), bool
        Whether a candidate is among the held-out clicks of the user.
    """

    users: FloatArray
    items: IntArray
    scores: FloatArray
    clicks: FloatArray
    relevant: BoolArray

    @classmethod
    def of(
        cls, users: FloatArray, items: FloatArray, given: Csr, held_out: Csr, clicks: FloatArray, count: int
    ) -> "CandidateLists":
        """Return the ``count`` best items of each user, without their history.

        Parameters
        ----------
        users, items : ndarray of shape (q, dim) and (n, dim)
            Vectors of the first stage.
        given, held_out : csr_array of shape (q, n)
            Clicks that the first stage has seen, and those it has not.
        clicks : ndarray of shape (n,)
            Number of clicks of each item that the first stage has seen.
        count : int
        """
        n_given = np.diff(given.indptr)
        parts = []
        for block in blocks(len(users), 256):  # 256 rows of dense scores at a time
            scores = np.where(given[block].toarray() > 0, -np.inf, users[block] @ items.T)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
            # Where fewer than ``count`` items are unseen, seen ones fill the row: finite, because -inf times a weight
            # of 0 would be NaN, and so low that they come last.
            scores = np.maximum(np.take_along_axis(scores, best, axis=1), np.finfo(np.float32).min / 2)
            relevant = np.take_along_axis(held_out[block].toarray() > 0, best, axis=1)
            parts.append((users[block], best, scores, click_features(clicks[best], n_given[block]), relevant))
        columns: list[Any] = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return cls(*columns)

    def select(self, rows: IntArray) -> "CandidateLists":
        """Return the lists of some users."""
        return CandidateLists(
            self.users[rows], self.items[rows], self.scores[rows], self.clicks[rows], self.relevant[rows]
        )


class PairNetwork(nn.Module):
    """The score of the first stage plus an MLP on ``[u, i, u*i, |u-i|]`` and the clicks of both.

    The last layer starts at zero and the weight of the first score at one, so that an untrained network returns the
    scores of the first stage: training can only add to them.

    Parameters
    ----------
    items : ndarray of shape (n, dim)
        Vectors of the first stage; they are not trained.
    hidden : int
        Width of the hidden layer.
    dropout : float
    rng : Generator
    """

    items: Tensor

    def __init__(self, items: FloatArray, hidden: int, dropout: float, rng: np.random.Generator) -> None:
        super().__init__()
        dim = items.shape[1]
        bound = (4 * dim) ** -0.5  # that of a linear layer with 4 dim inputs; it is kept as four blocks
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
        clicks, first_scores = torch.from_numpy(lists.clicks), torch.from_numpy(lists.scores)
        users, items = torch.from_numpy(lists.users)[:, None], self.items[torch.from_numpy(lists.items)]
        scores: Tensor = pair_scores(
            dict(self.named_parameters()), users, items, clicks, first_scores, lambda hidden: self.drop(hidden.relu())
        )
        return scores

    def loss(self, lists: CandidateLists) -> Tensor:
        """Return the softmax loss of each held-out click among its candidates, other held-out clicks masked."""
        rows, target = np.nonzero(lists.relevant)
        masked = torch.from_numpy(lists.relevant[rows])
        return sampled_softmax(self(lists)[torch.from_numpy(rows)], torch.from_numpy(target), masked=masked)


def train(network: PairNetwork, lists: CandidateLists, given: Csr, held_out: Csr, loop: Loop) -> History:
    """Train in place on three quarters of the users, with early stopping by NDCG@20 of the others.

    ``given`` and ``held_out`` are those of ``CandidateLists.of``.
    """
    is_validated = np.arange(len(lists.users)) % VALIDATE_EVERY == 0
    validated, trained = np.flatnonzero(is_validated), np.flatnonzero(~is_validated)
    trained = trained[lists.relevant[trained].any(axis=1)]  # without a relevant candidate there is no loss
    history, relevant, validation = csr_array(given[validated]), csr_array(held_out[validated]), lists.select(validated)

    def batches(rng: np.random.Generator) -> Iterator[CandidateLists]:
        order = rng.permutation(trained)
        return (lists.select(order[block]) for block in blocks(len(order), USERS_PER_STEP))

    def measure() -> float:
        scores = np.full(history.shape, -np.inf, dtype=np.float32)
        for block in blocks(len(validated), USERS_PER_STEP):
            batch = validation.select(np.arange(len(validated))[block])
            np.put_along_axis(scores[block], batch.items, network(batch).numpy(), axis=1)
        return mean_ndcg(scores, history, relevant)

    steps = ceil(len(trained) / USERS_PER_STEP)
    return run(network, batches, network.loss, loop, steps=steps, measure=measure, name="Pairs")
