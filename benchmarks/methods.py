"""The recommenders of the benchmark of record: ours, the baselines tuned by ``cs.tune``, peers, and controls."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import peers
from common import encoder

import coldstart as cs
from coldstart import baselines

BUDGET = 6
"""Settings tried for each baseline, on the validation part of the first split."""


@dataclass(frozen=True)
class Method:
    """How to make a recommender, and what to search when it is to be tuned.

    Attributes
    ----------
    make : callable
    space : mapping
        For ``cs.tune``; empty when nothing is tuned.
    permute : bool
        Deal the texts out anew: a control.
    """

    make: Callable[[], Any]
    space: Mapping[str, Any] | None = None
    permute: bool = False


def ours(**parts: Any) -> cs.Recommender:
    """Return a recommender on the default language model."""
    return cs.Recommender(encoder=encoder(), **parts)


def text(**parts: Any) -> cs.Recommender:
    """Return one that goes by text alone."""
    return ours(ranker=cs.CosineRanker(), **parts)


METHODS = {
    "random": Method(baselines.random),
    "popularity": Method(baselines.popularity),
    "TF-IDF k-NN": Method(baselines.tfidf_knn),
    "text k-NN (sentence-transformers + numpy)": Method(
        lambda: peers.SentenceTransformersNumpy(encode=encoder().encode)
    ),
    "permuted text": Method(text, permute=True),
    "ItemKNN": Method(baselines.item_knn, baselines.SPACES["item_knn"]),
    "EASE": Method(baselines.ease, baselines.SPACES["ease"]),
    "iALS": Method(baselines.ials, {**baselines.SPACES["ials"], "ranker.factors": [64]}),
    "implicit ALS": Method(peers.ImplicitALS),
    "LightFM, TF-IDF": Method(lambda: peers.LightFMHybrid(epochs=30)),
    "LightFM, TF-IDF + ids": Method(lambda: peers.LightFMHybrid(features="tfidf+identity")),
    "irspack feature-aware iALS": Method(lambda: peers.IrspackFeatureIALS(encoder())),
    "WeightedFuser": Method(lambda: text(fuser=cs.WeightedFuser())),
    "AttentionFuser": Method(lambda: text(fuser=cs.AttentionFuser())),
    "MLPRanker": Method(lambda: ours(ranker=cs.MLPRanker(), fuser=cs.WeightedFuser())),
    "CosineRanker": Method(text),
    "HybridRanker, novelty log(1/2)": Method(lambda: ours(ranker=cs.HybridRanker(novelty=math.log(0.5)))),
    "HybridRanker": Method(ours),
}
