"""Other libraries behind one small interface, so that one harness measures them beside ours.

Each peer imports its library when it is fitted: one that is not installed does not keep the others away.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack
from typing_extensions import Self

import coldstart as cs
from coldstart._arrays import BoolArray, FloatArray, IntArray, blocks
from coldstart.encoders.transformer.weights import find_weights
from coldstart.index.topk import BLOCK_BYTES, top_k

if TYPE_CHECKING:
    from irspack.recommenders import IALSRecommender


class Peer(ABC):
    """Ids, the click matrix and the ranking, which all peers share; of a request, only user, history and exclude are read."""

    catalog_: cs.Catalog
    user_positions_: dict[Hashable, int]
    clicks_: csr_matrix
    clicked_: BoolArray

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> Self:
        """Keep the ids and the clicks; each peer goes on to learn from them."""
        self.catalog_ = catalog
        self.user_positions_ = {user: at for at, user in enumerate(interactions.users)}
        columns = catalog.positions(interactions.items, "interactions")[interactions.item_index]
        shape = (len(interactions.users), len(catalog))
        self.clicks_ = csr_matrix((interactions.weight, (interactions.user_index, columns)), shape=shape)
        self.clicked_ = np.bincount(columns, minlength=len(catalog)) > 0
        return self

    @abstractmethod
    def scores(self, history: csr_matrix, users: IntArray) -> FloatArray:
        """Return new (m, n_items) scores for clicks (m, n_items) and positions of users, -1 for nobody known."""

    def recommend_many(
        self, requests: Sequence[cs.Request], k: int = 10, candidates: Iterable[Hashable] | None = None
    ) -> cs.Recommendations:
        """Rank the unseen items, or those of the candidates, for each request; ties by item order."""
        allow = None if candidates is None else np.unique(self.catalog_.positions(candidates, "candidates"))
        rows: list[tuple[IntArray, FloatArray]] = []
        for block in blocks(len(requests), max(1, BLOCK_BYTES // (4 * len(self.catalog_)))):
            rows += self._ranked(requests[block], k, allow)
        ids, titles = self.catalog_.ids, self.catalog_.columns[self.catalog_.fields[0]]
        return cs.Recommendations(
            [[ids[at] for at in positions] for positions, _ in rows],
            [scores.tolist() for _, scores in rows],
            {ids[at]: titles[at] for positions, _ in rows for at in positions if titles[at] is not None},
        )

    def _ranked(
        self, requests: Sequence[cs.Request], k: int, allow: IntArray | None
    ) -> list[tuple[IntArray, FloatArray]]:
        """Positions and scores of the best items of a few requests."""
        users = np.array([-1 if r.user is None else self.user_positions_[r.user] for r in requests])
        history = self._history(requests, users)
        scores = self.scores(history, users)
        scores = scores if allow is None else scores[:, allow]
        seen = np.split(history.indices, history.indptr[1:-1])
        seen = [
            np.append(row, self.catalog_.positions(request.exclude, "exclude"))
            for row, request in zip(seen, requests, strict=True)
        ]
        hits = top_k(lambda rows: scores[rows], len(requests), history.shape[1], k, allow, seen)
        return list(zip(*hits, strict=True))

    def _history(self, requests: Sequence[cs.Request], users: IntArray) -> csr_matrix:
        """Return the training clicks of known users plus the items that requests name."""
        known = np.flatnonzero(users >= 0)
        shape = (len(requests), len(self.user_positions_))
        choose = csr_matrix((np.ones(len(known), np.float32), (known, users[known])), shape=shape)
        named = [self.catalog_.positions(dict.fromkeys(request.history), "history") for request in requests]
        columns, ends = np.concatenate(named), np.cumsum([0, *map(len, named)])
        folded = csr_matrix((np.ones(len(columns), np.float32), columns, ends), (len(requests), len(self.catalog_)))
        return csr_matrix(choose @ self.clicks_ + folded)


class ImplicitALS(Peer):
    """ALS of implicit; every user is folded in from their history, so that new users are served alike."""

    def __init__(
        self,
        factors: int = 128,
        # alpha: Hu, Koren & Volinsky 2008; regularization, iterations: defaults of implicit
        alpha: float = 40.0,
        regularization: float = 0.01,
        iterations: int = 15,
        seed: int = 0,
        num_threads: int = 1,
    ) -> None:
        self.factors = factors
        self.alpha = alpha
        self.regularization = regularization
        self.iterations = iterations
        self.seed = seed
        self.num_threads = num_threads

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> Self:
        """Factorise the clicks."""
        from implicit.cpu.als import AlternatingLeastSquares

        super().fit(catalog, interactions)
        self.model_ = AlternatingLeastSquares(
            factors=self.factors,
            alpha=self.alpha,
            regularization=self.regularization,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self.num_threads,
        )
        self.model_.fit(self.clicks_, show_progress=False)
        return self

    def scores(self, history: csr_matrix, users: IntArray) -> FloatArray:
        """Return dot products of the folded-in users and the items; items without clicks score 0."""
        return self.model_.recalculate_user(users, history) @ self.model_.item_factors.T


class LightFMHybrid(Peer):
    """LightFM on TF-IDF of the texts, with or without an own embedding of each clicked item; known users only."""

    def __init__(
        self,
        dim: int = 64,
        # best overall NDCG@20 on the validation parts of citeulike-a, of 10, 30, 60 and 120
        epochs: int = 120,
        loss: str = "warp",
        features: Literal["tfidf", "tfidf+identity"] = "tfidf",
        seed: int = 0,
        num_threads: int = 1,
    ) -> None:
        self.dim = dim
        self.epochs = epochs
        self.loss = loss
        self.features = features
        self.seed = seed
        self.num_threads = num_threads

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> Self:
        """Learn embeddings of users and of item features."""
        from lightfm import LightFM

        super().fit(catalog, interactions)
        features = self._item_features()
        model = LightFM(no_components=self.dim, loss=self.loss, random_state=self.seed)
        model.fit(self.clicks_, item_features=features, epochs=self.epochs, num_threads=self.num_threads)
        self.item_biases_, self.item_vectors_ = model.get_item_representations(features)
        self.user_vectors_ = model.user_embeddings
        return self

    def scores(self, history: csr_matrix, users: IntArray) -> FloatArray:
        """Return the model's predictions up to the bias of the user; the history is only left out."""
        if (users < 0).any():
            raise ValueError("LightFMHybrid ranks for users of the interactions only; got a request without `user`.")
        return self.user_vectors_[users] @ self.item_vectors_.T + self.item_biases_

    def _item_features(self) -> csr_matrix:
        from sklearn.feature_extraction.text import TfidfVectorizer

        tfidf = TfidfVectorizer(dtype=np.float32).fit_transform(joined_texts(self.catalog_))
        if self.features == "tfidf":
            return csr_matrix(tfidf)
        return hstack([tfidf, diags(self.clicked_.astype(np.float32))], format="csr")


class IrspackFeatureIALS(Peer):
    """Feature-aware iALS of irspack: item factors have a prior mean that is linear in the vectors of the texts."""

    def __init__(
        self,
        encoder: cs.Encoder,
        factors: int = 128,
        # alpha, regularization: best overall NDCG@20 on the validation parts of citeulike-a; factors as ImplicitALS
        alpha: float = 0.003,
        regularization: float = 0.005,
        feature_regularization: float = 1.0,
        iterations: int = 16,
        seed: int = 0,
        num_threads: int = 1,
    ) -> None:
        self.encoder = encoder
        self.factors = factors
        self.alpha = alpha
        self.regularization = regularization
        self.feature_regularization = feature_regularization
        self.iterations = iterations
        self.seed = seed
        self.num_threads = num_threads

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> Self:
        """Factorise the clicks, then place the items without any by their texts."""
        super().fit(catalog, interactions)
        vectors = np.asarray(self.encoder.encode(joined_texts(catalog)), dtype=np.float32)
        self.model_ = self._factorised(vectors[self.clicked_])
        self.item_factors_ = np.empty((len(catalog), self.factors), dtype=np.float32)
        self.item_factors_[self.clicked_] = self.model_.get_item_embedding()
        unclicked = vectors[~self.clicked_]
        self.item_factors_[~self.clicked_] = self.model_.compute_item_embedding_from_features(unclicked)
        return self

    def scores(self, history: csr_matrix, users: IntArray) -> FloatArray:
        """Return dot products of the folded-in users and the items; only clicked items tell of a user."""
        return self.model_.compute_user_embedding(history[:, self.clicked_]) @ self.item_factors_.T

    def _factorised(self, vectors: FloatArray) -> "IALSRecommender":
        """Return the model of the clicked items."""
        from irspack.recommenders import IALSRecommender

        # Items without clicks stay out: they would count as seen and left by everyone.
        model = IALSRecommender(
            self.clicks_[:, self.clicked_],
            n_components=self.factors,
            alpha0=self.alpha,
            reg=self.regularization,
            random_seed=self.seed,
            n_threads=self.num_threads,
            item_features=vectors,
            lambda_item_feature=self.feature_regularization,
        )
        # Not learn(): it draws a progress bar.
        model.start_learning()
        for _ in range(self.iterations):
            model.run_epoch()
        return model


class SentenceTransformersNumpy(Peer):
    """What people write by hand: encode the texts, average the liked vectors, take dot products."""

    def __init__(
        self,
        model_folder: str | None = None,
        encode: Callable[[list[str]], FloatArray] | None = None,
    ) -> None:
        self.model_folder = model_folder
        self.encode = encode

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> Self:
        """Encode the items; nothing is learned from clicks."""
        super().fit(catalog, interactions)
        encode = self.encode or self._load_model()
        self.vectors_ = np.asarray(encode(joined_texts(catalog)), dtype=np.float32)
        return self

    def scores(self, history: csr_matrix, users: IntArray) -> FloatArray:
        """Return dot products of the mean of the liked vectors and the items; 0 without a history."""
        liked = np.maximum(np.diff(history.indptr), 1).astype(np.float32)[:, None]
        return (history.astype(bool).astype(np.float32) @ self.vectors_ / liked) @ self.vectors_.T

    def _load_model(self) -> Callable[[list[str]], FloatArray]:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(find_weights(self.model_folder)), device="cpu").encode


def joined_texts(catalog: cs.Catalog) -> list[str]:
    """Return one text per item: its fields, joined; missing ones are left out."""
    columns = (catalog.columns[name] for name in catalog.fields)
    return [". ".join(text for text in cells if text) for cells in zip(*columns, strict=True)]
