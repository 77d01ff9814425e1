"""HybridRanker with one part left out, or alone: the rows of the ablation."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from methods import ours
from scipy.sparse import csr_array
from tracks import permuted

import coldstart as cs
from coldstart import baselines
from coldstart.rankers.hybrid import ranker as hybrid
from coldstart.rankers.hybrid.calibration import Calibration, level
from coldstart.rankers.hybrid.content import KernelRidge


class GlobalFactor(cs.HybridRanker):
    """Raw scores, those of new items times one factor: the ratio of the experts' median levels."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "GlobalFactor":
        """Fit, then take the calibration away."""
        super().fit(features, clicks)
        experts = self.experts_
        asked = csr_array(clicks[:1000].minimum(1.0).astype(np.float32))
        scores = experts.answers.scores(csr_array(asked[:, experts.warm]))
        n_warm = len(experts.warm)
        factor = np.median(level(scores[:, :n_warm])) / np.median(level(scores[:, n_warm:]))
        raw = Calibration(known_level=-1.0, new_level=1.0, intercept=float(np.log(factor)))
        settings = replace(experts.settings, calibration=raw)
        self.experts_ = replace(experts, settings=settings)
        return self


class ContentAlone(cs.HybridRanker):
    """The kernel regression for every item, each as if it were new."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "ContentAlone":
        """Fit on clicks alone."""
        self.space_ = cs.CosineRanker().fit(features)
        vectors = self.space_.item_vectors(features)
        warm = np.flatnonzero(np.asarray(clicks.sum(axis=0)))
        new = np.setdiff1d(np.arange(len(vectors)), warm)
        regression = KernelRidge.of(vectors[warm], self.kernel_width, self.kernel_l2)
        self.warm_, self.weights_ = warm, np.zeros((len(warm), len(vectors)), dtype=np.float32)
        self.weights_[:, warm] = regression.leave_one_out(np.arange(len(warm)))
        self.weights_[:, new] = regression.weights(vectors[new])
        return self

    def best(self, *asked: Any) -> None:
        """Have all items scored."""

    def score(self, users: cs.Users, features: cs.Features) -> Any:
        """Return the likes of items alike."""
        return users.history[:, self.warm_].minimum(1.0).astype(np.float32) @ self.weights_


class Untuned(cs.HybridRanker):
    """Every setting as it is with too few clicks to search, the calibration too."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "Untuned":
        """Fit with no fold."""
        with mock.patch.object(hybrid, "ENOUGH_CLICKS", np.inf):
            super().fit(features, clicks)
        return self


def tfidf() -> cs.Recommender:
    """Return the default with TF-IDF, projected, in place of the language model."""
    return cs.Recommender(cs.TfidfEncoder(dim=300), ranker=cs.HybridRanker())


def same(split: cs.splits.Split) -> cs.splits.Split:
    """Return the split as it is."""
    return split


VARIANTS: dict[str, tuple[Callable[[], cs.Recommender], Callable[[cs.splits.Split], cs.splits.Split]]] = {
    "HybridRanker": (partial(ours, ranker=cs.HybridRanker()), same),
    "text alone (cosine of fused vectors)": (partial(ours, ranker=cs.CosineRanker()), same),
    "popularity alone": (baselines.popularity, same),
    "collaborative alone (new items last)": (partial(ours, ranker=cs.HybridRanker(novelty=-20.0, few=0.0)), same),
    "content alone (clicks as targets)": (partial(ours, ranker=ContentAlone()), same),
    "no text prior": (partial(ours, ranker=cs.HybridRanker(prior=0.0)), same),
    "clicks alone as kernel targets": (partial(ours, ranker=cs.HybridRanker(boost=0.0)), same),
    "one global factor instead of calibration": (partial(ours, ranker=GlobalFactor()), same),
    "no popularity": (partial(ours, ranker=cs.HybridRanker(popularity=0.0)), same),
    "no text for items with few clicks": (partial(ours, ranker=cs.HybridRanker(few=0.0)), same),
    "nothing tuned": (partial(ours, ranker=Untuned()), same),
    "no exact words": (partial(ours, ranker=cs.HybridRanker(), lexical=None), same),
    "TF-IDF instead of the language model": (tfidf, same),
    "permuted text": (partial(ours, ranker=cs.HybridRanker()), permuted),
}
"""How to make each, and what to do to the split."""
