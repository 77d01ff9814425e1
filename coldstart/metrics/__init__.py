"""Metrics of ranked lists, on plain lists and arrays: anyone's lists, no recommender needed.

Accuracy is one number per user, NaN for users without relevant items; average with ``numpy.nanmean``.

>>> from coldstart import metrics
>>> metrics.ndcg([["a", "b"], ["b", "a"]], [{"a"}, {"a"}], k=2).round(3).tolist()
[1.0, 0.631]
"""

from coldstart.metrics.accuracy import (
    auc,
    average_precision,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from coldstart.metrics.beyond import (
    cold_exposure,
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    popularity_by_decile,
    serendipity,
)
from coldstart.metrics.significance import bootstrap, holm, paired_bootstrap

__all__ = [
    "auc",
    "average_precision",
    "bootstrap",
    "cold_exposure",
    "coverage",
    "gini",
    "hit_rate",
    "holm",
    "intra_list_diversity",
    "ndcg",
    "novelty",
    "paired_bootstrap",
    "popularity_by_decile",
    "precision",
    "recall",
    "reciprocal_rank",
    "serendipity",
]
