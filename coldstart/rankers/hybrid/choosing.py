"""Choose the constants of the hybrid ranker on a pseudo-cold fold of the training clicks."""

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray
from coldstart.metrics.accuracy import ndcg
from coldstart.rankers.hybrid.calibration import Calibration, level
from coldstart.rankers.hybrid.ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers.hybrid.experts import TEXT_L2, Content, Experts, Settings, clicks_of, popularity
from coldstart.rankers.hybrid.folds import Fold

Report: TypeAlias = dict[str, dict[float, Any]]

L2 = (10.0, 30.0, 100.0, 300.0)
PRIOR = (0.5, 1.0, 2.0, 4.0)
START = 2.0
"""Weight of the prior while the ridge is chosen."""

POPULARITY = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
TOLD = (1, 2, 3, 5)
ASKED = 1_000
FEWEST = 20
"""Clicks below which nothing is learned."""

K = 20
TOP = 100
"""Items per user and expert that the calibration is learned from."""


def choose(fold: Fold, vectors: FloatArray, content: Content) -> tuple[Settings, Report]:
    """Return the settings that do best on what a fold hides, and what each value came to (NDCG@20)."""
    warm = np.flatnonzero(np.asarray(fold.train.sum(axis=0)))
    if not fold.held[:, warm].nnz:
        return Settings(), {}  # nobody is left to ask
    ease, report = _ease(fold, vectors, warm)
    chosen = Settings(l2=ease.ridge.l2, prior=ease.prior)
    report["popularity"] = _popularity(ease, fold, warm)
    if report["popularity"]:
        pairs = tuple((float(told), _least(by_weight)) for told, by_weight in report["popularity"].items())
        chosen = replace(chosen, popularity=(*pairs, (2 * pairs[-1][0], 0.0)))  # who is known well needs none
    experts = Experts.of(fold.train, vectors, chosen, replace(content, few=0.0))
    return _calibrated(experts, fold, chosen), report


def _ease(fold: Fold, vectors: FloatArray, warm: IntArray) -> tuple[PriorEASE, Report]:
    """The collaborative expert by its ridge, then by the weight of its prior."""
    columns, text = csr_array(fold.train[:, warm]), TextPrior.of(vectors[warm], TEXT_L2)
    held = csr_array(fold.held[:, warm])
    asked = _some(np.flatnonzero(np.diff(held.indptr)))
    history, wanted = csr_array(columns[asked]), csr_array(held[asked])
    by_l2: dict[float, float] = {}
    models: dict[float, PriorEASE] = {}
    for l2 in L2:
        model = PriorEASE.of(Ridge.of(columns, l2), text, START)
        by_l2[l2] = found(model.scores(history), history, wanted)
        models = {l2: model} if by_l2[l2] == max(by_l2.values()) else models  # the best one only: each is large
    ridge = next(iter(models.values())).ridge
    by_prior: dict[float, float] = {}
    for prior in PRIOR:
        by_prior[prior] = found(PriorEASE.of(ridge, text, prior).scores(history), history, wanted)
    prior = max(by_prior, key=lambda value: by_prior[value])
    return PriorEASE.of(ridge, text, prior), {"l2": by_l2, "prior": by_prior}


def _popularity(ease: PriorEASE, fold: Fold, warm: IntArray) -> dict[float, dict[float, float]]:
    """By the number of clicks told of users who were taken away, what each weight comes to."""
    rng = np.random.default_rng(0)
    strangers = csr_array(fold.strangers[:, warm])
    popular = popularity(np.asarray(fold.train.sum(axis=0))[warm])
    report: dict[float, dict[float, float]] = {}
    for told in TOLD:
        history, wanted = _told(strangers, told, rng)
        if history.shape[0] >= FEWEST:
            scores = ease.scores(history)
            relative = scores / level(scores)
            report[told] = {w: found(relative + np.float32(w) * popular, history, wanted) for w in POPULARITY}
    return report


def _calibrated(experts: Experts, fold: Fold, chosen: Settings) -> Settings:
    """The log-odds of both kinds of items, learned from the top items of each user."""
    rows = _some(np.flatnonzero(np.diff(fold.held.indptr) * np.diff(fold.train.indptr)))
    history, held = csr_array(fold.train[rows]), csr_array(fold.held[rows])
    users = clicks_of(history)
    level_of_clicks, by_clicks, level_of_text, by_text = experts.relative(*experts.scores(history), users)
    cold = fold.cold[experts.young]
    by_text, young = by_text[:, cold], experts.young[cold]
    return replace(
        chosen,
        collaborative=_learn(by_clicks, level_of_clicks, users, history, held, experts.warm),
        content=_learn(by_text, level_of_text, users, history, held, young),
    )


def _learn(
    scores: FloatArray,
    levels: FloatArray,
    users: FloatArray,
    history: Csr,
    held: Csr,
    items: IntArray,
) -> Calibration:
    """The calibration of some items; plain when hardly any of them was clicked."""
    clicked = held[:, items].toarray() > 0
    if clicked.sum() < FEWEST:
        return Calibration()
    scores = np.where(history[:, items].toarray() > 0, -np.inf, scores)
    top = np.argpartition(-scores, min(TOP, scores.shape[1]) - 1, axis=1)[:, :TOP]
    picked = np.take_along_axis(scores, top, axis=1)
    real = np.isfinite(picked)
    wide_levels, wide_users = (np.broadcast_to(column, top.shape) for column in (levels, users))
    labels = np.take_along_axis(clicked, top, axis=1)
    return Calibration.learn(picked[real], wide_levels[real], wide_users[real], labels[real])


def found(scores: FloatArray, history: Csr, wanted: Csr) -> float:
    """Return the mean NDCG@20 of scores (m, n), the history left out."""
    unseen = np.where(history.toarray() > 0, -np.inf, scores)
    k = min(K, unseen.shape[1])
    top = np.argpartition(-unseen, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(top, np.argsort(-np.take_along_axis(unseen, top, axis=1), axis=1, kind="stable"), axis=1)
    relevant = [row.tolist() for row in np.split(wanted.indices, wanted.indptr[1:-1])]
    return float(np.nanmean(ndcg(order, relevant, K)))


def _told(strangers: Csr, told: int, rng: np.random.Generator) -> tuple[Csr, Csr]:
    """The clicks told of each user, drawn at random, and the rest."""
    rows = np.flatnonzero(np.diff(strangers.indptr) > told)
    pairs = strangers[rows].tocoo()
    order = np.lexsort((rng.random(pairs.nnz), pairs.row))
    place = np.empty(pairs.nnz, dtype=np.int64)
    place[order] = np.arange(pairs.nnz) - np.searchsorted(pairs.row[order], pairs.row[order])
    parts = (place < told, place >= told)
    history, wanted = (
        csr_array((pairs.data[part], (pairs.row[part], pairs.col[part])), shape=pairs.shape) for part in parts
    )
    return history, wanted


def _some(rows: IntArray) -> IntArray:
    """At most ``ASKED`` of the rows."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:ASKED])


def _least(results: dict[float, float]) -> float:
    """The smallest value within half a percent of the best."""
    best = max(results.values())
    return min(value for value, found in results.items() if found >= 0.995 * best)
