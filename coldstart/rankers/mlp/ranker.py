"""Two stages trained on clicks: two towers find candidates, a network on pairs re-ranks them."""

import copy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart._device import best_device
from coldstart._messages import shown
from coldstart.base import BaseRanker, Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.mlp.scoring import click_features, pair_scores

if TYPE_CHECKING:
    from coldstart.training.loop import History, Loop
    from coldstart.training.towers import Towers
    from coldstart.training.tracking import Tracker

SCALE = np.float32(20.0)
"""Factor of cosines where nothing was learned: that from which training starts."""

MIN_CLICKS = 1_000
"""Clicks below which none are held out: all epochs are run, and there is no second stage."""

MAX_EVAL_USERS = 1_000
"""Users on whom epochs are measured, at most."""

PATIENCE = 2
"""Epochs without a better NDCG after which a stage stops early."""

PAIR_EPOCHS, MAX_PAIR_USERS, MIN_PAIR_USERS = 8, 3_000, 100
"""Epochs of the second stage, and the most and the fewest users that it is trained on."""


class MLPRanker(BaseRanker, saved=True):
    """Rank by two towers and a network on pairs, both trained on clicks.

    The first stage gives every item a vector: that of its text, through a map that all items share, plus an embedding
    that is learned from the item's clicks and dropped at random in training, so that the map serves items without
    clicks. A user is the sum of the liked items. It starts at the cosine and stays there without clicks. The second
    stage is an MLP on ``[u, i, u*i, |u-i|]``, the score of the first stage and the numbers of clicks; it re-ranks the
    best ``candidates`` of each user, the other items keep their order below. It is trained on clicks that were held out
    of the first stage: on clicks that the towers have seen, their scores would look better than they are. Either stage
    is kept only as far as it improves NDCG on held-out clicks.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer of the second stage.
    candidates : int
        Items of each user that the second stage re-ranks; 0 for no second stage.
    epochs, batch_size : int
        Passes over the clicks, at most, and clicks per step.
    negatives : int
        Negatives that all clicks of a step share, drawn uniformly among items with clicks, beside the in-batch ones.
    loss : {"softmax", "bpr", "bce"}
        Of the first stage: softmax over the items of the step, with popular ones corrected for being drawn more often
        (Yi et al. 2019), pairwise (Rendle et al. 2009) or pointwise logistic.
    learning_rate, weight_decay : float
        Of AdamW.
    content_dropout : float
        Probability that the embedding of an item is dropped in training, from 0 to 0.99.
    dropout : float
        Share of hidden units dropped in training.
    center : bool
        Centre the item vectors, as in ``CosineRanker``.
    rng : int, SeedSequence, Generator or None
        Same seed and same machine: same weights.
    device : str, optional
        None means CUDA, then MPS, then CPU.
    tracker : {"tensorboard", "wandb"} or callable, optional
        Receives loss and measurement of each epoch, see ``coldstart.training.tracking``.
    progress : bool
        Show a bar when training takes more than a second.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Of the first stage ``map`` (dim, dim), ``own`` (n, dim) and ``scale``; those of the second where there is one.
    losses_ : list of float
        Mean loss of each epoch of the first stage; empty without clicks.
    report_ : dict of str to dict
        NDCG@20 on held-out clicks by stage and epoch; empty below 1,000 clicks.
    counts_ : ndarray of shape (n,)
        Clicks of each item at the fit.
    space_ : CosineRanker
        Centres texts and makes user vectors.

    Notes
    -----
    Two towers with shared negatives and logQ: Yi et al. (2019); dropout of item embeddings: DropoutNet, Volkovs et al.
    (2017); candidates and re-ranking: Covington et al. (2016).
    """

    draws = True

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
        """Return logits, shape (m, n); zero for users whose request is empty.

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        self.check_fitted("weights_")
        items = self._items(features)
        mapped = replace(users, query=self._map(users.query), profile=self._map(users.profile))
        vectors = self.space_.user_vectors(mapped, items)
        scores: FloatArray = self.weights_["scale"] * (vectors @ items.T)
        if "out" in self.weights_:
            # Only users with a history: the network was trained on such, and not on queries.
            for row in np.flatnonzero(np.diff(users.history.indptr)):
                self._rerank_candidates(scores[row], vectors[row], items, users.history[[row]].indices)
        return scores

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        New items are ranked by their text; clicks after ``fit`` count in the histories of users only.
        """
        self.check_fitted("weights_")
        fresh, kept = copy.copy(self), np.flatnonzero(origin >= 0)
        own = np.zeros((len(origin), self.weights_["own"].shape[1]), dtype=np.float32)
        fresh.counts_ = np.zeros(len(origin), dtype=np.float32)
        own[kept], fresh.counts_[kept] = self.weights_["own"][origin[kept]], self.counts_[origin[kept]]
        fresh.weights_, fresh._cached_items = self.weights_ | {"own": own}, None
        return fresh

    def _items(self, features: Features) -> FloatArray:
        """Return the vectors of the items (n, dim), computed once for each catalogue."""
        if len(features) != len(self.counts_):
            raise InvalidInputError(
                f"`features` must be of the {len(self.counts_):,} items that were fitted; got {len(features):,}. "
                "Call refreshed."
            )
        cached = self._cached_items  # read once: another thread may replace it
        if cached is None or cached[0] is not features:
            texts = self.space_.item_vectors(features)
            items = np.asarray(texts + texts @ self.weights_["map"] + self.weights_["own"], dtype=np.float32)
            self._cached_items = cached = (features, items)
        return cached[1]

    def _map(self, texts: Features) -> Features:
        """Return texts through the map of the items, so that both are in one space."""
        return Features(np.asarray(texts.dense + texts.dense @ self.weights_["map"], dtype=np.float32))

    def _rerank_candidates(self, scores: FloatArray, user: FloatArray, items: FloatArray, seen: IntArray) -> None:
        """Replace the scores of a user's best unseen items by those of the second stage, in place.

        ``scores`` are those of the first stage, (n,); ``user`` (dim,) and ``items`` (n, dim) its vectors.
        """
        unseen = scores.copy()
        unseen[seen] = -np.inf
        best = np.argsort(-unseen, kind="stable")[: min(self.candidates, len(unseen) - len(seen))]
        if not len(best):
            return
        weights = self.weights_
        clicks = click_features(self.counts_[best][None], np.array([len(seen)]))[0]
        # The network was trained on users times scale, whose products with items are the scores of the first stage.
        user = user * weights["scale"]
        reranked = pair_scores(weights, user, items[best], clicks, scores[best], lambda hidden: np.maximum(hidden, 0.0))
        # The two stages have different scales: a shift puts all other items below the worst candidate, in their order.
        scores += reranked.min() - scores[best].min()
        scores[best] = reranked

    def _train(self, texts: FloatArray, liked: Csr, rng: np.random.Generator) -> None:
        """Choose the number of epochs and train the second stage on a fold; then train the first on all clicks."""
        from coldstart.data.holdout import cut

        seed, epochs, second_stage = int(rng.integers(2**31)), self.epochs, {}
        if liked.nnz >= MIN_CLICKS:
            fold = cut(liked, rng, new_users=0.0)
            # Items without any click are no candidates: nobody's held-out click can be on them.
            clicked = np.flatnonzero(np.asarray(liked.sum(axis=0)))
            users = np.flatnonzero(np.diff(fold.held.indptr) * np.diff(fold.train.indptr))
            given, relevant = (csr_array(part[users][:, clicked]) for part in (fold.train, fold.held))
            held_out = HeldOutClicks(users, clicked, given, relevant)
            towers, history = self._train_towers(texts, fold.train, epochs, seed, held_out)
            self.report_["first stage"] = {e.number: float(e.measured or 0.0) for e in history.epochs}
            epochs = history.best
            second_stage = self._train_second_stage(towers, held_out, seed)
        towers, history = self._train_towers(texts, liked, epochs, seed)
        first_stage = {"map": towers.map.up, "own": towers.own, "scale": towers.log_scale.exp()}
        self.losses_ = history.losses
        self.weights_ = {name: weight.detach().cpu().numpy() for name, weight in first_stage.items()} | second_stage

    def _train_towers(
        self, texts: FloatArray, liked: Csr, epochs: int, seed: int, held_out: "HeldOutClicks | None" = None
    ) -> "tuple[Towers, History]":
        """Train the first stage: with early stopping where clicks are held out, else for all epochs."""
        from coldstart.data.holdout import mean_ndcg
        from coldstart.training.adapters import ResidualMap
        from coldstart.training.loop import run
        from coldstart.training.towers import Towers, batches, training_clicks

        residual = ResidualMap(texts.shape[1], "linear", 0, np.random.default_rng(seed))
        towers = Towers(texts, liked, residual, self.content_dropout).to(self.device or best_device())

        def measure(held_out: HeldOutClicks) -> float:
            users, items = towers.vectors()
            return mean_ndcg(users[held_out.users] @ items[held_out.items].T, held_out.given, held_out.relevant)

        clicks = training_clicks(liked)
        history = run(
            towers,
            lambda rng: batches(clicks, rng, self.batch_size, self.negatives),
            lambda batch: towers.loss(batch, self.loss),
            self._loop(epochs, seed, None if held_out is None else PATIENCE),
            steps=ceil(len(clicks[0]) / self.batch_size),
            measure=None if held_out is None else partial(measure, held_out.sample(MAX_EVAL_USERS)),
            tracker=self.tracker,
            name="MLPRanker",
        )
        return towers, history

    def _train_second_stage(self, towers: "Towers", held_out: "HeldOutClicks", seed: int) -> dict[str, FloatArray]:
        """Return the weights of the second stage, trained on held-out clicks; none where it does not improve NDCG."""
        from coldstart.rankers.mlp.pairs import CandidateLists, PairNetwork, train

        if not self.candidates or len(held_out.users) < MIN_PAIR_USERS:
            return {}
        held_out = held_out.sample(MAX_PAIR_USERS)
        users, items = towers.vectors()
        users, items = towers.log_scale.exp().item() * users[held_out.users], items[held_out.items]
        clicks = np.asarray(towers.liked.sum(axis=0))[held_out.items]
        lists = CandidateLists.of(users, items, held_out.given, held_out.relevant, clicks, self.candidates)
        network = PairNetwork(items, self.hidden, self.dropout, np.random.default_rng(seed))
        loop = self._loop(PAIR_EPOCHS, seed, PATIENCE)
        history = train(network, lists, held_out.given, held_out.relevant, loop)
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
            raise InvalidInputError(f'`loss` of MLPRanker must be "softmax", "bpr" or "bce"; got {shown(self.loss)}.')


class HeldOutClicks(NamedTuple):
    """Clicks held out of the training of the first stage.

    Attributes
    ----------
    users, items : ndarray of shape (q,) and (n,)
        Rows of the evaluation users, and positions of the candidates.
    given, relevant : csr_array of shape (q, n)
        Clicks of these users that were trained on, and those that were held out.
    """

    users: IntArray
    items: IntArray
    given: Csr
    relevant: Csr

    def sample(self, max_users: int) -> "HeldOutClicks":
        """Return those of at most ``max_users`` users, the same at each call."""
        rows = np.sort(np.random.default_rng(0).permutation(len(self.users))[:max_users])
        return HeldOutClicks(self.users[rows], self.items, csr_array(self.given[rows]), csr_array(self.relevant[rows]))
