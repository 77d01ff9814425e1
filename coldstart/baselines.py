"""Simple recommenders to compare with; they are fitted, tuned, evaluated and saved like any other.

>>> from coldstart import baselines
>>> from coldstart.testing import tiny_catalog, tiny_clicks
>>> rec = baselines.ease(l2=1.0).fit(tiny_catalog(), tiny_clicks())
>>> rec.recommend(user="u0", k=1).item_ids
[['s0']]
"""

from collections.abc import Mapping
from typing import Any

from scipy.stats import loguniform

from coldstart._arrays import Rng
from coldstart.base import Encoder, Ranker
from coldstart.encoders.none import NoEncoder
from coldstart.encoders.tfidf import TfidfEncoder
from coldstart.fusers.concat import ConcatFuser
from coldstart.rankers.als import ALSRanker
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.ease import EASERanker
from coldstart.rankers.itemknn import ItemKNNRanker
from coldstart.rankers.popularity import PopularityRanker, RandomRanker
from coldstart.recommender import Recommender

SPACES: Mapping[str, Mapping[str, Any]] = {
    "item_knn": {"ranker.neighbours": [20, 50, 100, 200, 500], "ranker.shrink": [0.0, 10.0, 50.0, 200.0]},
    "ease": {"ranker.l2": [10.0, 20.0, 30.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0]},
    "ials": {
        "ranker.factors": [32, 64, 128],
        "ranker.regularization": loguniform(0.001, 0.1),
        "ranker.unobserved": loguniform(0.001, 0.3),
    },
}
"""The search space of each baseline that has parameters, for ``tune(space=...)``."""


def popularity() -> Recommender:
    """Return a recommender of the most clicked items, the same for all users."""
    return _by_clicks(PopularityRanker())


def random(rng: Rng = 0) -> Recommender:
    """Return a recommender of random items: what any other must beat."""
    return _by_clicks(RandomRanker(rng))


def text_knn(encoder: Encoder | Mapping[str, Encoder] | None = None) -> Recommender:
    """Return a recommender by the cosine of item vectors to the mean vector of the liked items.

    Vectors are used as they come from the encoder, as a few lines of sentence-transformers and numpy would.

    Parameters
    ----------
    encoder : Encoder or mapping of str to Encoder, optional
        By default ``TextEncoder`` with the packaged MiniLM.
    """
    return Recommender(encoder=encoder, fuser=ConcatFuser("equal"), ranker=CosineRanker(center=False), lexical=None)


def tfidf_knn() -> Recommender:
    """Return ``text_knn`` with TF-IDF vectors."""
    return text_knn(TfidfEncoder())


def item_knn(neighbours: int = 100, shrink: float = 10.0) -> Recommender:
    """Return item-based nearest neighbours; see ``ItemKNNRanker``."""
    return _by_clicks(ItemKNNRanker(neighbours, shrink))


def ease(l2: float = 100.0) -> Recommender:
    """Return EASE, the linear item-item model; see ``EASERanker``."""
    return _by_clicks(EASERanker(l2))


def ials(
    factors: int = 64,
    regularization: float = 0.01,
    unobserved: float = 0.01,
    iterations: int = 12,
    rng: Rng = 0,
) -> Recommender:
    """Return implicit alternating least squares; see ``ALSRanker``."""
    return _by_clicks(ALSRanker(factors, regularization, unobserved, iterations, rng))


def _by_clicks(ranker: Ranker) -> Recommender:
    """Return a recommender that reads no text."""
    return Recommender(NoEncoder(), ConcatFuser("equal"), ranker, lexical=None)
