"""Two stages trained on clicks: vectors find candidates, a network on pairs puts them in order."""

import copy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart._component import Component
from coldstart._device import best_device
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.cosine import CosineRanker

if TYPE_CHECKING:
    from coldstart.training.loop import History, Loop
    from coldstart.training.towers import Towers
    from coldstart.training.tracking import Tracker

SCALE = np.float32(20.0)
"""What cosines are multiplied by where nothing was learned."""

MIN_CLICKS = 1_000
"""With fewer, nothing is hidden to measure on: all epochs are run, and there is no second stage."""

MAX_EVAL_USERS = 1_000
"""Users by whom epochs are compared."""

PATIENCE = 2
"""Epochs without finding more after which a stage stops."""

PAIR_EPOCHS, PAIR_USERS, MIN_PAIR_USERS = 8, 3_000, 100
"""Passes of the second stage over hidden clicks, the most users it learns from, and the fewest."""


class MLPRanker(Component, saved=True):
    """Learn from clicks what makes a user and an item fit.

    The first stage gives every item a vector: that of its text, moved by a map that all items share, and what clicks
    teach of this item alone, which is left out at random in training, so that items without clicks do well, too. A user
    is the sum of what they liked. It starts where the cosine is and stays there without clicks. The second stage is an
    MLP on ``[u, i, u*i, |u-i|]``, the score of the first and the numbers of clicks; it puts the best ``candidates`` of
    each user in order, the others keep theirs below. It is trained on clicks that were hidden from the first stage, and
    each stage is kept only as far as it finds hidden clicks better than what was there before.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer of the second stage.
    candidates : int
        Items of each user that the second stage puts in order; 0 for none.
    epochs, batch_size : int
        Most passes over the clicks, and clicks per step.
    negatives : int
        Items drawn evenly among those with clicks that all clicks of a step share, beside each other's.
    loss : {"softmax", "bpr", "bce"}
        Of the first stage: softmax over the items of the step, with popular ones corrected for being drawn more often
        (Yi et al. 2019), pairwise (Rendle et al. 2009) or pointwise logistic.
    learning_rate, weight_decay : float
        Of AdamW.
    content_dropout : float
        How often what clicks teach of an item is left out in training, from 0 to 0.99.
    dropout : float
        Share of hidden units dropped in training.
    center : bool
        Centre the item vectors, as in ``CosineRanker``.
    rng : int, SeedSequence, Generator or None
        Same seed and same machine: same weights.
    device : str, optional
        None means CUDA, then MPS, then CPU.
    tracker : {"tensorboard", "wandb"} or callable, optional
        Gets loss and measurement of each epoch, see ``coldstart.training.tracking``.
    progress : bool
        Show a bar when training takes more than a second.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Of the first stage ``map`` (dim, dim), ``own`` (n, dim) and ``scale``; those of the second when it is used.
    losses_ : list of float
        Mean loss of each epoch of the first stage; empty without clicks.
    report_ : dict of str to dict
        NDCG@20 on hidden clicks of the first stage after each epoch, and of the second; empty below 1,000 clicks.
    counts_ : ndarray of shape (n,)
        Clicks of each item at the fit.
    space_ : CosineRanker
        Places texts and users.

    Notes
    -----
    Two towers with shared negatives and logQ: Yi et al. (2019); dropout of what clicks tell: DropoutNet, Volkovs et al.
    (2017); candidates and re-ranking: Covington et al. (2016).
    """

    weights_: dict[str, FloatArray]
    losses_: list[float]
    report_: dict[str, dict[int, float]]
    counts_: FloatArray
    space_: CosineRanker
    _cached_items: tuple[Features, FloatArray] | None = None

    def __init__(
        self,
        hidden: int = 64,
        candidates: int = 200,
        epochs: int = 6,
        batch_size: int = 1024,
        negatives: int = 1024,
        loss: Literal["softmax", "bpr", "bce"] = "softmax",
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        content_dropout: float = 0.5,
        dropout: float = 0.1,
        center: bool = True,
        rng: Rng = 0,
        device: str | None = None,
        tracker: "Tracker" = None,
        progress: bool = True,
    ) -> None:
        self.hidden = hidden
        self.candidates = candidates
        self.epochs = epochs
        self.batch_size = batch_size
        self.negatives = negatives
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.content_dropout = content_dropout
        self.dropout = dropout
        self.center = center
        self.rng = rng
        self.device = device
        self.tracker = tracker
        self.progress = progress

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Train on clicks (m, n); without clicks the ranker is the cosine.

        Raises
        ------
        InvalidInputError
            A parameter out of range, or vectors that are not finite rows.
        TrainingError
            When the loss is not a number.
        """
        self._check_params()
        self.space_, self._cached_items = CosineRanker(center=self.center).fit(features), None
        texts = self.space_.item_vectors(features)
        self.weights_ = {"map": np.zeros((texts.shape[1],) * 2, dtype=np.float32), "own": np.zeros_like(texts)}
        self.weights_["scale"] = np.array(SCALE)
        self.losses_, self.report_, self.counts_ = [], {}, np.zeros(len(texts), dtype=np.float32)
        if clicks is not None and (np.diff(clicks.indptr) > 1).any():
            liked = csr_array(clicks.astype(bool).astype(np.float32))
            self.counts_ = np.asarray(liked.sum(axis=0), dtype=np.float32)
            self._train(texts, liked, generator(self.rng))
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return logits, shape (m, n); zero for users of whom nothing is known.

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        self.check_fitted("weights_")
        items = self._items(features)
        moved = replace(users, query=self._moved(users.query), profile=self._moved(users.profile))
        vectors = self.space_.user_vectors(moved, items)
        scores: FloatArray = self.weights_["scale"] * (vectors @ items.T)
        if "out" in self.weights_:
            for row in np.flatnonzero(np.diff(users.history.indptr)):
                self._rerank_candidates(scores[row], vectors[row], items, users.history[[row]].indices)
        return scores

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        Of new items the text is known; clicks that came after ``fit`` count for users only.
        """
        self.check_fitted("weights_")
        fresh, known = copy.copy(self), np.flatnonzero(origin >= 0)
        own = np.zeros((len(origin), self.weights_["own"].shape[1]), dtype=np.float32)
        fresh.counts_ = np.zeros(len(origin), dtype=np.float32)
        own[known], fresh.counts_[known] = self.weights_["own"][origin[known]], self.counts_[origin[known]]
        fresh.weights_, fresh._cached_items = self.weights_ | {"own": own}, None
        return fresh

    def _items(self, features: Features) -> FloatArray:
        """Vectors of the items, made once for each catalogue."""
        if len(features) != len(self.counts_):
            raise InvalidInputError(
                f"`features` must be of the {len(self.counts_):,} items that were fitted; got {len(features):,}. "
                "Call refreshed."
            )
        kept = self._cached_items
        if kept is None or kept[0] is not features:
            texts = self.space_.item_vectors(features)
            items = np.asarray(texts + texts @ self.weights_["map"] + self.weights_["own"], dtype=np.float32)
            self._cached_items = kept = (features, items)
        return kept[1]

    def _moved(self, texts: Features) -> Features:
        return Features(np.asarray(texts.dense + texts.dense @ self.weights_["map"], dtype=np.float32))

    def _rerank_candidates(self, scores: FloatArray, user: FloatArray, items: FloatArray, seen: IntArray) -> None:
        """Score the best items of a user anew, (n,), those they know already left out; the others stay below."""
        from coldstart.rankers.mlp.pairs import click_features

        left = scores.copy()
        left[seen] = -np.inf
        best = np.argsort(-left, kind="stable")[: min(self.candidates, len(left) - len(seen))]
        if not len(best):
            return
        w, own = self.weights_, items[best]
        user = user * w["scale"]
        hidden = user @ w["user"] + own @ w["item"] + (own * user) @ w["product"] + np.abs(own - user) @ w["distance"]
        hidden += click_features(self.counts_[best][None], np.array([len(seen)]))[0] @ w["known"] + w["bias"]
        anew = np.maximum(hidden, 0.0) @ w["out"] + w["skip"] * scores[best]
        scores += anew.min() - scores[best].min()
        scores[best] = anew

    def _train(self, texts: FloatArray, liked: Csr, rng: np.random.Generator) -> None:
        """Find how long to train, and the second stage, on a fold; then train the first stage on all clicks."""
        from coldstart.data.holdout import cut

        seed, epochs, second = int(rng.integers(2**31)), self.epochs, {}
        if liked.nnz >= MIN_CLICKS:
            fold = cut(liked, rng, strangers=0.0)
            there = np.flatnonzero(np.asarray(liked.sum(axis=0)))
            asked = np.flatnonzero(np.diff(fold.held.indptr) * np.diff(fold.train.indptr))
            hidden = HeldOutClicks(
                asked, there, csr_array(fold.train[asked][:, there]), csr_array(fold.held[asked][:, there])
            )
            towers, history = self._train_towers(texts, fold.train, epochs, seed, hidden)
            self.report_["first stage"] = {e.number: float(e.measured or 0.0) for e in history.epochs}
            epochs = history.best
            second = self._train_second_stage(towers, hidden, seed)
        towers, history = self._train_towers(texts, liked, epochs, seed)
        first = {"map": towers.map.up, "own": towers.own, "scale": towers.log_scale.exp()}
        self.losses_ = history.losses
        self.weights_ = {name: weight.detach().cpu().numpy() for name, weight in first.items()} | second

    def _train_towers(
        self, texts: FloatArray, liked: Csr, epochs: int, seed: int, hidden: "HeldOutClicks | None" = None
    ) -> "tuple[Towers, History]":
        """Train the first stage; where clicks are hidden, for as long as it finds more of them."""
        from coldstart.data.holdout import found
        from coldstart.training.adapters import ResidualMap
        from coldstart.training.loop import run
        from coldstart.training.towers import Towers, batches, training_clicks

        residual = ResidualMap(texts.shape[1], "linear", 0, np.random.default_rng(seed))
        towers = Towers(texts, liked, residual, self.content_dropout).to(self.device or best_device())

        def measure(hidden: HeldOutClicks) -> float:
            users, items = towers.vectors()
            return found(users[hidden.users] @ items[hidden.items].T, hidden.history, hidden.wanted)

        clicks = training_clicks(liked)
        history = run(
            towers,
            lambda rng: batches(clicks, rng, self.batch_size, self.negatives),
            lambda batch: towers.loss(batch, self.loss),
            self._loop(epochs, seed, None if hidden is None else PATIENCE),
            steps=ceil(len(clicks[0]) / self.batch_size),
            measure=None if hidden is None else partial(measure, hidden.some(MAX_EVAL_USERS)),
            tracker=self.tracker,
            name="MLPRanker",
        )
        return towers, history

    def _train_second_stage(self, towers: "Towers", hidden: "HeldOutClicks", seed: int) -> dict[str, FloatArray]:
        """Train the second stage on what the first has not seen; nothing where it does not find more."""
        from coldstart.rankers.mlp.pairs import CandidateLists, PairNetwork, train

        if not self.candidates or len(hidden.users) < MIN_PAIR_USERS:
            return {}
        hidden = hidden.some(PAIR_USERS)
        users, items = towers.vectors()
        users, items = towers.log_scale.exp().item() * users[hidden.users], items[hidden.items]
        clicks = np.asarray(towers.liked.sum(axis=0))[hidden.items]
        lists = CandidateLists.of(users, items, hidden.history, hidden.wanted, clicks, self.candidates)
        network = PairNetwork(items, self.hidden, self.dropout, np.random.default_rng(seed))
        history = train(network, lists, hidden.history, hidden.wanted, self._loop(PAIR_EPOCHS, seed, PATIENCE))
        self.report_["second stage"] = {e.number: float(e.measured or 0.0) for e in history.epochs}
        return {n: weight.detach().numpy() for n, weight in network.named_parameters()} if history.best else {}

    def _loop(self, epochs: int, seed: int, patience: int | None) -> "Loop":
        from coldstart.training.loop import Loop

        return Loop(
            epochs=epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=patience,
            seed=seed,
            progress=self.progress,
        )

    def _check_params(self) -> None:
        for name in ("hidden", "epochs", "batch_size", "negatives"):
            check_between(name, getattr(self, name), 1, 10**9)
        check_between("candidates", self.candidates, 0, 10**9)
        for name in ("learning_rate", "weight_decay"):
            check_between(name, getattr(self, name), 0.0, 1e3)
        check_between("content_dropout", self.content_dropout, 0.0, 0.99)
        check_between("dropout", self.dropout, 0.0, 0.99)
        if self.loss not in ("softmax", "bpr", "bce"):
            raise InvalidInputError(f'`loss` of MLPRanker must be "softmax", "bpr" or "bce"; got {self.loss!r}.')


class HeldOutClicks(NamedTuple):
    """Clicks hidden from the first stage.

    Attributes
    ----------
    users, items : ndarray of shape (q,) and (n,)
        Who is asked, and what is ranked.
    history, wanted : csr_array of shape (q, n)
        What is told of the users, and what was hidden of it.
    """

    users: IntArray
    items: IntArray
    history: Csr
    wanted: Csr

    def some(self, most: int) -> "HeldOutClicks":
        """Return at most so many users."""
        rows = np.sort(np.random.default_rng(0).permutation(len(self.users))[:most])
        return HeldOutClicks(self.users[rows], self.items, csr_array(self.history[rows]), csr_array(self.wanted[rows]))
