"""Did training pay? NDCG of a ranker on held-out items and clicks, beside the simplest rankers on the same ones."""

import copy
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, IntArray
from coldstart.base import Features, Fuser, Ranker, Users, VectorRanker
from coldstart.data.holdout import K, cut, sample_rows
from coldstart.data.ids import sorted_positions
from coldstart.errors import ColdstartWarning
from coldstart.fusers.concat import ConcatFuser
from coldstart.metrics.accuracy import ndcg
from coldstart.metrics.significance import Values, paired_bootstrap
from coldstart.pipeline.ranking import rank_by_scores
from coldstart.pipeline.state import Fitted, Parts, columns_of
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.popularity import PopularityRanker

MIN_CLICKS = 1_000
"""Clicks below which there is no check: the interval of every difference would contain zero."""

MAX_USERS, MAX_ITEMS = 2_000, 4_000
"""Users and items sampled for the check, at most, so that it takes seconds."""

EVAL_USERS = 500
"""Evaluation users, at most."""


class Finding(NamedTuple):
    """Mean NDCG@20 of the ranker and of one baseline, and the 95 % interval of the difference.

    Attributes
    ----------
    group : str
        The candidates: "cold" or "overall".
    baseline : str
        Its name.
    ranker, other : float
        NDCG@20 of the ranker and of the baseline.
    low, high : float
        Interval of ``ranker - other``.
    """

    group: str
    baseline: str
    ranker: float
    other: float
    low: float
    high: float

    @property
    def behind(self) -> bool:
        """Whether the baseline is significantly better: the whole interval is below zero."""
        return self.high < 0.0


@dataclass(frozen=True)
class BaselineCheck:
    """What ``Recommender.fit`` measured of the ranker beside the baselines.

    Attributes
    ----------
    findings : tuple of Finding
        Among pseudo-cold items ("cold") and among all clicked items ("overall"), against text cosine and popularity.
    """

    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return "\n".join(
            f"{f.group}: NDCG@{K} {f.ranker:.3f}, {f.baseline} {f.other:.3f} "
            f"(difference {f.low:+.3f} to {f.high:+.3f}{_verdict(f)})"
            for f in self.findings
        )


def check_against_baselines(parts: Parts, fitted: Fitted) -> BaselineCheck | None:
    """Fit copies of fuser and ranker without some items and clicks, and measure how well they predict these.

    The baselines, plain text cosine and popularity, are fitted and measured on the same clicks. Warns when the ranker
    is significantly behind one of them.

    Returns
    -------
    BaselineCheck or None
        None when there are too few clicks to tell.
    """
    items = sorted_positions(fitted.catalog.ids)  # what is drawn must not depend on the order of the catalogue
    if len(items) > MAX_ITEMS:
        items = items[sample_rows(np.flatnonzero(np.isin(items, fitted.clicks.indices)), MAX_ITEMS)]
    clicks = _sample_users(columns_of(fitted.clicks, items))
    if clicks.nnz < MIN_CLICKS:
        return None
    # No users are taken out: evaluation users need a history.
    fold = cut(clicks, np.random.default_rng(0), new_users=0.0)
    train, held, cold = fold.train, fold.held, np.flatnonzero(fold.cold)
    # Fields were encoded by `fit`: only fuser and ranker are fitted again, so nothing is encoded twice.
    fields = {name: vectors.take(items) for name, vectors in fitted.fields.items()}
    known, missing = fitted.features_at(items), fitted.catalog.missing_at(items)
    exposure = np.ones(len(items), dtype=np.float32) if known.exposure is None else known.exposure.copy()
    # Pseudo-cold items stand for new ones. As old stock, their lack of clicks would count against them.
    exposure[cold] = 0.0
    # Not `sample_rows`, which sorts: the bootstrap draws users by position, so another order gives another interval.
    rows = np.random.default_rng(0).permutation(len(train.indptr) - 1)[:EVAL_USERS]
    evaluation = _Evaluation(csr_array(train[rows]), csr_array(held[rows]), cold, np.unique(clicks.indices))
    if not evaluation.held[:, cold].nnz:
        return None

    def measure(fuser: Fuser, ranker: Ranker | VectorRanker) -> dict[str, Values]:
        features = replace(known, dense=fuser.fit(fields, missing, train).fuse(fields, missing), exposure=exposure)
        return evaluation.ndcg(ranker.fit(features, train), features)

    ours = measure(copy.deepcopy(parts.fuser), copy.deepcopy(parts.ranker))
    baselines: dict[str, Ranker | VectorRanker] = {
        "text cosine": CosineRanker(center=False),
        "popularity": PopularityRanker(),
    }
    if not any(vectors.any() for vectors in fields.values()):
        del baselines["text cosine"]  # the encoder reads no text, so every cosine would be zero
    theirs = {name: measure(ConcatFuser("equal"), ranker) for name, ranker in baselines.items()}
    check = BaselineCheck(tuple(_compare(g, n, ours[g], by[g]) for g in ours for n, by in theirs.items()))
    _warn_if_behind(check, type(parts.ranker).__name__)
    return check


class _Evaluation(NamedTuple):
    """Evaluation users and candidates.

    Attributes
    ----------
    history, held : csr_array of shape (m, n)
        Given and held-out clicks.
    cold, clicked : ndarray of int
        Positions of the pseudo-cold items, and of all that have clicks.
    """

    history: Csr
    held: Csr
    cold: IntArray
    clicked: IntArray

    def ndcg(self, ranker: Ranker | VectorRanker, features: Features) -> dict[str, Values]:
        """Return the NDCG@20 of each user among the pseudo-cold items, and among all clicked ones."""
        no_text = Features(np.zeros((self.history.shape[0], features.dense.shape[1]), dtype=np.float32))
        no_dislikes = csr_array(self.history.shape, dtype=np.float32)
        users = Users(self.history, no_dislikes, no_text, no_text)
        seen = np.split(self.history.indices, self.history.indptr[1:-1])
        values = {}
        for group, candidates in (("cold", self.cold), ("overall", self.clicked)):
            # Lists are made as `recommend` makes them, with its order of equal scores; hence not `ndcg_per_user`.
            hits = rank_by_scores(ranker, users, features, min(K, len(candidates)), candidates, seen)
            held = csr_array(self.held[:, candidates])
            relevant = [candidates[row] for row in np.split(held.indices, held.indptr[1:-1])]
            values[group] = ndcg(list(hits.positions), [set(row.tolist()) for row in relevant], K)
        return values


def _sample_users(clicks: Csr) -> Csr:
    """Return the clicks of at most ``MAX_USERS`` users who have two or more: one to give and one to hold out."""
    return csr_array(clicks[sample_rows(np.flatnonzero(np.diff(clicks.indptr) > 1), MAX_USERS)])


def _compare(group: str, baseline: str, ours: Values, theirs: Values) -> Finding:
    difference = paired_bootstrap(ours, theirs, draws=1000)
    return Finding(group, baseline, float(np.nanmean(ours)), float(np.nanmean(theirs)), difference.low, difference.high)


def _verdict(finding: Finding) -> str:
    if finding.behind:
        return ": behind"
    return "" if finding.low > 0.0 else ": not surely ahead"


def _warn_if_behind(check: BaselineCheck, ranker: str) -> None:
    behind = [finding for finding in check.findings if finding.behind]
    if behind:
        lines = "; ".join(
            f"among {f.group} items {f.baseline} has {f.other:.3f} and {ranker} {f.ranker:.3f}" for f in behind
        )
        warnings.warn(
            f"{ranker} does not beat the simplest rankers on clicks that were hidden from it (NDCG@{K}): {lines}. "
            "Try other parts or settings (cs.tune), or pass check=False. All numbers: Recommender.check_.",
            ColdstartWarning,
            stacklevel=5,
        )
