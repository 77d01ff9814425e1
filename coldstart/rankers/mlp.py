"""A small neural network on pairs of user and item, trained on clicks."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, blocks, check_between, generator
from coldstart._component import Component
from coldstart._device import best_device
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.cosine import CosineRanker

if TYPE_CHECKING:
    import torch


class MLPRanker(Component):
    """Learn from clicks what makes a user and an item fit: an MLP on ``[u, i, u*i, |u-i|]`` beside the cosine.

    ``u`` is the user's vector as in ``CosineRanker`` (in training: the mean of the liked items without
    the target), ``i`` the centred item vector. The last layer starts at zero, so that an untrained network
    is the cosine, and without clicks it stays there. Items never clicked are scored like any other.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    epochs, batch_size : int
        Passes over the clicks, and clicks per step.
    negatives : int
        Items per click drawn uniformly among those the user did not click.
    loss : {"bpr", "bce"}
        Pairwise (Rendle et al. 2009) or pointwise logistic loss.
    learning_rate, weight_decay, dropout : float
        AdamW step size and decay; share of hidden units dropped in training.
    center : bool
        Centre the item vectors, as in ``CosineRanker``.
    rng : int, SeedSequence, Generator or None
        Same seed and same machine: same weights.
    device : str, optional
        None means CUDA, then MPS, then CPU.
    progress : bool
        Show a bar when training takes more than a second.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        The layers; ``skip`` is the weight of the cosine.
    losses_ : list of float
        Mean loss of each epoch; empty without clicks.
    space_ : CosineRanker
        Places users and items.
    """

    weights_: dict[str, FloatArray]
    losses_: list[float]
    space_: CosineRanker

    def __init__(
        self,
        hidden: int = 128,
        epochs: int = 6,
        batch_size: int = 1024,
        negatives: int = 4,
        loss: Literal["bpr", "bce"] = "bpr",
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        dropout: float = 0.1,
        center: bool = True,
        rng: Rng = 0,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.negatives = negatives
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.center = center
        self.rng = rng
        self.device = device
        self.progress = progress

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Train on clicks (m, n); without clicks the ranker is the cosine.

        Raises
        ------
        InvalidInputError
            A parameter out of range, or vectors that are not finite rows.
        """
        self._check_params()
        self.space_ = CosineRanker(center=self.center).fit(features)
        rng = generator(self.rng)
        self.weights_ = _start(features.dense.shape[1], self.hidden, rng)
        self.losses_ = []
        if clicks is not None and len(_trainable(clicks)[0]):
            self._train(self.space_.item_vectors(features), clicks, rng)
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return logits, shape (m, n); zero for users of whom nothing is known."""
        self.check_fitted("weights_")
        items = self.space_.item_vectors(features)
        vectors = self.space_.user_vectors(users, items)
        item_part = items @ self.weights_["item"] + self.weights_["bias"]
        scores = np.empty((len(vectors), len(items)), dtype=np.float32)
        for row, vector in enumerate(vectors):
            scores[row] = self._score_one(vector, items, item_part)
        return scores

    def _score_one(self, user: FloatArray, items: FloatArray, item_part: FloatArray) -> FloatArray:
        """Scores of one user; the layer of ``u*i`` is folded into the user, so no pair is ever stored."""
        w = self.weights_
        hidden = item_part + user @ w["user"] + items @ (user[:, None] * w["product"])
        hidden += np.abs(items - user) @ w["distance"]
        scores: FloatArray = np.maximum(hidden, 0.0) @ w["out"] + w["skip"] * (items @ user)
        return scores * np.float32(user.any())

    def _train(self, items: FloatArray, clicks: Csr, rng: np.random.Generator) -> None:
        import torch
        from tqdm.auto import tqdm

        device = self.device or best_device()
        liked = clicks.astype(bool).astype(np.float32)
        users, positives = _trainable(liked)
        tastes = torch.from_numpy(liked @ items).to(device)
        table = torch.from_numpy(items).to(device)
        weights = {name: torch.from_numpy(v.copy()).to(device).requires_grad_() for name, v in self.weights_.items()}
        optimizer = torch.optim.AdamW(weights.values(), lr=self.learning_rate, weight_decay=self.weight_decay)
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for _ in tqdm(range(self.epochs), desc="MLPRanker", delay=1.0, disable=not self.progress):
            order, total = rng.permutation(len(users)), 0.0
            for block in blocks(len(order), self.batch_size):
                user, item = users[order[block]], positives[order[block]]
                others = _unclicked(liked, user, self.negatives, rng)
                taste = torch.nn.functional.normalize(tastes[user] - table[item], dim=1)
                positive = self._forward(weights, taste, table[item], noise)
                negative = self._forward(weights, taste[:, None], table[others], noise)
                loss = _pair_loss(positive, negative, self.loss)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.item() * len(user)
            self.losses_.append(total / len(users))
        self.weights_ = {name: value.detach().cpu().numpy() for name, value in weights.items()}

    def _forward(
        self, w: "dict[str, torch.Tensor]", user: "torch.Tensor", item: "torch.Tensor", noise: "torch.Generator"
    ) -> "torch.Tensor":
        hidden = user @ w["user"] + item @ w["item"] + (user * item) @ w["product"]
        hidden = (hidden + (user - item).abs() @ w["distance"] + w["bias"]).relu()
        return self._drop(hidden, noise) @ w["out"] + w["skip"] * (user * item).sum(-1)

    def _drop(self, hidden: "torch.Tensor", noise: "torch.Generator") -> "torch.Tensor":
        """Dropout by a generator of our own: the global seed is never touched."""
        if not self.dropout:
            return hidden
        import torch

        keep = torch.rand(hidden.shape, generator=noise) >= self.dropout
        return hidden * keep.to(hidden.device) / (1.0 - self.dropout)

    def _check_params(self) -> None:
        for name in ("hidden", "epochs", "batch_size", "negatives"):
            check_between(name, getattr(self, name), 1, 10**9)
        for name in ("learning_rate", "weight_decay"):
            check_between(name, getattr(self, name), 0.0, 1e3)
        check_between("dropout", self.dropout, 0.0, 0.99)
        if self.loss not in ("bpr", "bce"):
            raise InvalidInputError(f'`loss` of MLPRanker must be "bpr" or "bce"; got {self.loss!r}.')


def _start(dim: int, hidden: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Uniform first layer by fan-in, zero last layer, cosine weight 5 (cosines are small beside logits)."""
    bound = (4 * dim) ** -0.5
    first = {n: rng.uniform(-bound, bound, (dim, hidden)) for n in ("user", "item", "product", "distance")}
    rest = {"bias": np.zeros(hidden), "out": np.zeros(hidden), "skip": np.array(5.0)}
    return {name: np.asarray(value, dtype=np.float32) for name, value in {**first, **rest}.items()}


def _trainable(clicks: Csr) -> tuple[IntArray, IntArray]:
    """Users and items of the clicks that leave their user with another liked item to be known by."""
    pairs = clicks.tocoo()
    keep = np.diff(clicks.indptr)[pairs.row] > 1
    return pairs.row[keep], pairs.col[keep]


def _unclicked(liked: Csr, user: IntArray, negatives: int, rng: np.random.Generator) -> IntArray:
    """Uniform clicked items, shape (len(user), negatives); one the user clicked is drawn anew, a few times.

    Items that nobody clicked are no negatives: nobody may have seen them.
    """
    warm = np.unique(liked.indices)
    drawn = rng.choice(warm, (len(user), negatives))
    for _ in range(10):
        clicked = np.asarray(liked[np.repeat(user, negatives), drawn.ravel()]).reshape(drawn.shape) > 0
        if not clicked.any():
            break
        drawn[clicked] = rng.choice(warm, int(clicked.sum()))
    return drawn


def _pair_loss(positive: "torch.Tensor", negative: "torch.Tensor", kind: str) -> "torch.Tensor":
    from torch.nn.functional import softplus

    if kind == "bpr":
        return softplus(negative - positive[:, None]).mean()
    return softplus(-positive).mean() + softplus(negative).mean()
