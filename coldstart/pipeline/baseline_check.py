"""Did training pay? What a fitted ranker does on items and clicks that it has not seen, beside the simplest ones."""

import copy
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, IntArray, split_entries
from coldstart.base import Features, Fuser, Ranker, Users, VectorRanker
from coldstart.errors import ColdstartWarning
from coldstart.fusers.concat import ConcatFuser
from coldstart.metrics.accuracy import ndcg
from coldstart.metrics.significance import Values, paired_bootstrap
from coldstart.pipeline.ranking import scored
from coldstart.pipeline.state import Fitted, Parts
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.popularity import PopularityRanker

MIN_CLICKS = 1_000
"""With fewer nothing can be said."""

MAX_USERS, MAX_ITEMS = 2_000, 4_000
"""Users and items drawn, so that the check stays a matter of seconds."""

ASKED_USERS = 500
COLD_SHARE = 0.15
HELD_SHARE = 0.1
K = 20


class Finding(NamedTuple):
    """NDCG@20 of the ranker and of the simple one that it is compared with, and the interval of the difference."""

    group: str
    baseline: str
    ranker: float
    other: float
    low: float
    high: float

    @property
    def behind(self) -> bool:
        """Whether the simple one is ahead, and not by chance: the whole interval is below zero."""
        return self.high < 0.0


@dataclass(frozen=True)
class Honesty:
    """What the check of ``Recommender.fit`` found.

    Attributes
    ----------
    findings : tuple of Finding
        Among hidden items ("cold") and all clicked ones ("overall"), against text cosine and popularity.
    """

    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return "\n".join(
            f"{f.group}: NDCG@{K} {f.ranker:.3f}, {f.baseline} {f.other:.3f} "
            f"(difference {f.low:+.3f} to {f.high:+.3f}{_verdict(f)})"
            for f in self.findings
        )


def check_honesty(parts: Parts, fitted: Fitted) -> Honesty | None:
    """Hide some items and clicks, fit copies of fuser and ranker on the rest, compare, and warn when it does not pay.

    Returns None when there are too few clicks.
    """
    items = _some_items(fitted.clicks)
    clicks = _some_users(csr_array(fitted.clicks[:, items]))
    if clicks.nnz < MIN_CLICKS:
        return None
    train, held, cold = _hide(clicks)
    fields = {name: vectors.take(items) for name, vectors in fitted.fields.items()}
    known, missing = fitted.features_at(items), fitted.catalog.missing_at(items)
    exposure = np.ones(len(items), dtype=np.float32) if known.exposure is None else known.exposure.copy()
    exposure[cold] = 0.0  # hidden items are told as what they stand for: items that have just arrived
    rows = np.random.default_rng(0).permutation(len(train.indptr) - 1)[:ASKED_USERS]
    asked = _Asked(csr_array(train[rows]), csr_array(held[rows]), cold, np.unique(clicks.indices))
    if not asked.held[:, cold].nnz:
        return None

    def measured(fuser: Fuser, ranker: Ranker | VectorRanker) -> dict[str, Values]:
        features = replace(known, dense=fuser.fit(fields, missing, train).fuse(fields, missing), exposure=exposure)
        return asked.answer(ranker.fit(features, train), features)

    ours = measured(copy.deepcopy(parts.fuser), copy.deepcopy(parts.ranker))
    simple: dict[str, Ranker | VectorRanker] = {
        "text cosine": CosineRanker(center=False),
        "popularity": PopularityRanker(),
    }
    if not any(vectors.any() for vectors in fields.values()):
        del simple["text cosine"]  # it is a recommender that reads no text
    others = {name: measured(ConcatFuser("equal"), ranker) for name, ranker in simple.items()}
    found = Honesty(tuple(_compare(g, n, ours[g], by[g]) for g in ours for n, by in others.items()))
    _warn(found, type(parts.ranker).__name__)
    return found


class _Asked(NamedTuple):
    """Users with what is known of them, what is hidden, and the candidates."""

    history: Csr
    held: Csr
    cold: IntArray
    clicked: IntArray

    def answer(self, ranker: Ranker | VectorRanker, features: Features) -> dict[str, Values]:
        """NDCG of each user among the hidden items, and among all that were clicked."""
        nothing = Features(np.zeros((self.history.shape[0], features.dense.shape[1]), dtype=np.float32))
        nobody = csr_array(self.history.shape, dtype=np.float32)
        users = Users(self.history, nobody, nothing, nothing)
        seen = np.split(self.history.indices, self.history.indptr[1:-1])
        values = {}
        for group, candidates in (("cold", self.cold), ("overall", self.clicked)):
            hits = scored(ranker, users, features, min(K, len(candidates)), candidates, seen)
            held = csr_array(self.held[:, candidates])
            relevant = [candidates[row] for row in np.split(held.indices, held.indptr[1:-1])]
            values[group] = ndcg(list(hits.positions), [set(row.tolist()) for row in relevant], K)
        return values


def _some_items(clicks: Csr) -> IntArray:
    """All items, or ``MAX_ITEMS`` of those that somebody clicked."""
    if clicks.shape[1] <= MAX_ITEMS:
        return np.arange(clicks.shape[1])
    return np.sort(np.random.default_rng(0).permutation(np.unique(clicks.indices))[:MAX_ITEMS])


def _some_users(clicks: Csr) -> Csr:
    """At most ``MAX_USERS`` users with two clicks or more."""
    rows = np.flatnonzero(np.diff(clicks.indptr) > 1)
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:MAX_USERS])
    return csr_array(clicks[chosen])


def _hide(clicks: Csr) -> tuple[Csr, Csr, IntArray]:
    """Training clicks, hidden clicks, and the items that lost all of theirs."""
    rng = np.random.default_rng(0)
    clicked = np.unique(clicks.indices)
    cold = np.sort(rng.permutation(clicked)[: round(COLD_SHARE * len(clicked))])
    hidden = np.isin(clicks.indices, cold) | (rng.random(clicks.nnz) < HELD_SHARE)
    return *split_entries(clicks, ~hidden), cold


def _compare(group: str, baseline: str, ours: Values, other: Values) -> Finding:
    difference = paired_bootstrap(ours, other, draws=1000)
    return Finding(group, baseline, float(np.nanmean(ours)), float(np.nanmean(other)), difference.low, difference.high)


def _verdict(finding: Finding) -> str:
    if finding.behind:
        return ": behind"
    return "" if finding.low > 0.0 else ": not surely ahead"


def _warn(found: Honesty, ranker: str) -> None:
    behind = [finding for finding in found.findings if finding.behind]
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
