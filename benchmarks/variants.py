"""HybridRanker with one part left out, or alone, and the way from the simplest rivals to it: rows of the ablation."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from methods import ours
from tracks import permuted

import coldstart as cs
from coldstart import baselines
from coldstart.rankers.hybrid import tuning
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.kernel import KernelRidge

USUAL = {
    "l2": (100.0,),
    "text_prior": (1.0,),
    "lexical_weight": (0.0,),
    "prior_strength": (0.03,),
    "taste_share": (1.0,),
}
"""What is searched, at one value each."""


class Uncalibrated(cs.HybridRanker):
    """New items by their text as shares of the user's scale, as if these were odds."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "Uncalibrated":
        """Fit without the calibration."""
        with mock.patch.object(tuning, "_learn_calibration", return_value=Calibration()):
            super().fit(features, clicks)
        return self


class WithoutDensity(cs.HybridRanker):
    """No effect of the density of an item's neighbours."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "WithoutDensity":
        """Fit, then take the effect away."""
        with mock.patch("coldstart.rankers.hybrid.calibration.MIN_Z", np.inf):
            super().fit(features, clicks)
        return self


class ContentAlone(cs.HybridRanker):
    """The kernel regression for every item, each as if it were new."""

    draws = False  # so that it is fitted on the items where they are

    def fit(self, features: cs.Features, clicks: Any = None) -> "ContentAlone":
        """Fit on clicks alone."""
        config = HybridConfig()
        self.space_ = cs.CosineRanker().fit(features)
        vectors = self.space_.item_vectors(features)
        warm = np.flatnonzero(np.asarray(clicks.sum(axis=0)))
        new = np.setdiff1d(np.arange(len(vectors)), warm)
        regression = KernelRidge.of(vectors[warm], config.kernel_width, config.kernel_l2)
        self.warm_, self.weights_ = warm, np.zeros((len(warm), len(vectors)), dtype=np.float32)
        self.weights_[:, warm] = regression.leave_one_out(np.arange(len(warm)))
        self.weights_[:, new] = regression.weights(vectors[new])
        return self

    def refreshed(self, features: cs.Features, clicks: Any, origin: Any) -> "ContentAlone":
        """Stay as it is."""
        return self

    def score(self, users: cs.Users, features: cs.Features) -> Any:
        """Return the likes of items alike."""
        return users.history[:, self.warm_].minimum(1.0).astype(np.float32) @ self.weights_


class ClicksOnly(cs.HybridRanker):
    """The collaborative expert alone: new items come last."""

    def fit(self, features: cs.Features, clicks: Any = None) -> "ClicksOnly":
        """Fit, then take the prior and the texts away."""
        super().fit(features, clicks)
        self.blend_ = replace(self.blend_, prior=replace(self.blend_.prior, strength=0.0))
        return self


def tfidf() -> cs.Recommender:
    """Return the default with TF-IDF, projected, in place of the language model."""
    return cs.Recommender(cs.TfidfEncoder(dim=300), ranker=cs.HybridRanker())


def same(split: cs.splits.Split) -> cs.splits.Split:
    """Return the split as it is."""
    return split


def with_config(**numbers: Any) -> Callable[[], cs.Recommender]:
    """Return the maker of a recommender whose ranker has other numbers."""
    return partial(ours, ranker=cs.HybridRanker(config=HybridConfig(**numbers)))


VARIANTS: dict[str, tuple[Callable[[], cs.Recommender], Callable[[cs.splits.Split], cs.splits.Split]]] = {
    "HybridRanker": (partial(ours, ranker=cs.HybridRanker()), same),
    "text alone (cosine of fused vectors)": (partial(ours, ranker=cs.CosineRanker()), same),
    "popularity alone": (baselines.popularity, same),
    "prior alone (two lines: taste and base rate)": (with_config(prior_strength=(1e6,)), same),
    "collaborative alone (new items last)": (partial(ours, ranker=ClicksOnly(novelty=-20.0)), same),
    "content alone (clicks as targets)": (partial(ours, ranker=ContentAlone()), same),
    "25 lines: nothing searched, no calibration": (
        partial(ours, ranker=Uncalibrated(config=HybridConfig(**{**USUAL, "prior_strength": (1e-6,)}))),
        same,
    ),
    "nothing searched": (with_config(**USUAL), same),
    "no prior beside the experts": (with_config(prior_strength=(1e-6,)), same),
    "no text prior": (with_config(text_prior=(0.0,)), same),
    "clicks alone as kernel targets": (with_config(cf_target_weight=0.0), same),
    "no calibration": (partial(ours, ranker=Uncalibrated()), same),
    "no density of neighbours": (partial(ours, ranker=WithoutDensity()), same),
    "no words in the likeness of items": (with_config(lexical_weight=(0.0,)), same),
    "no exact words": (partial(ours, ranker=cs.HybridRanker(), lexical=None), same),
    "TF-IDF instead of the language model": (tfidf, same),
    "permuted text": (partial(ours, ranker=cs.HybridRanker()), permuted),
}
"""How to make each, and what to do to the split."""
