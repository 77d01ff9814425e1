"""Choose the constants of the hybrid ranker on a pseudo-cold fold of the training clicks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.stats import gmean

from coldstart._arrays import Csr, FloatArray, IntArray, parted
from coldstart.rankers.hybrid.calibration import level
from coldstart.rankers.hybrid.content import KernelRidge
from coldstart.rankers.hybrid.counts import YOUNG, popularity
from coldstart.rankers.hybrid.mixing import FEWEST, Asked, by_few, calibrated, longest
from coldstart.rankers.hybrid.raw import Collaborative, Content, Model, Raw
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import ASKED, Fold, found, some_of

Report: TypeAlias = dict[str, dict[float, Any]]

Grid: TypeAlias = Sequence[tuple[str, Sequence[float]]]

EXACT: Grid = (("l2", (10.0, 30.0, 100.0, 200.0, 400.0)), ("prior", (0.0, 0.5, 1.0, 2.0, 4.0)))
ALS: Grid = (("unobserved", (10.0, 20.0)),)
"""What is searched, one setting after the other."""

POPULARITY = (0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 10.0, 30.0)
"""What popularity adds for a user of one click; for one of k clicks it is a k-th of that."""

TOLD = (1, 2, 3, 5, 10)
REPEATS = 5
"""How often, at most, other clicks are told of the same users."""

ALIKE = 4_000
"""Items with clicks by which ways to place items are compared."""


def choose(
    fold: Fold, vectors: FloatArray, start: Settings, content: Content, grid: Grid, few: Sequence[float]
) -> tuple[Settings, Report]:
    """Return the settings that do best on what a fold hides, and what each value came to (NDCG@20)."""
    warm = np.flatnonzero(np.asarray(fold.train.sum(axis=0)))
    if not fold.held[:, warm].nnz:
        return start, {}  # nobody is left to ask
    best, model, report = _collaborative(fold, vectors[warm], warm, start.collaborative, grid)
    chosen = replace(start, collaborative=best)
    report["popularity"] = came_to = _popularity(model, fold, warm)
    if came_to:
        best_told = max(came_to, key=lambda weight: came_to[weight])
        chosen = replace(chosen, popularity=_falling(_least(came_to)), popularity_told=_falling(best_told))
    raw = Raw.of(fold.train, vectors, best, content, YOUNG if any(few) else 0, model)
    asked = Asked.of(raw, vectors, fold, chosen)
    chosen = calibrated(asked, chosen)
    report["few"] = came_to = by_few(asked, chosen.calibration, few)
    return replace(chosen, few=longest(came_to)) if came_to else chosen, report


def likeness(fold: Fold, spaces: Mapping[float, FloatArray], content: Content) -> dict[float, float]:
    """Return what each placing of the items (n, dim) comes to: NDCG@20 among items that lost all their clicks."""
    warm, cold = some_of(np.flatnonzero(np.asarray(fold.train.sum(axis=0))), ALIKE), np.flatnonzero(fold.cold)
    rows = some_of(np.flatnonzero(np.diff(fold.held[:, cold].indptr)))
    if len(rows) < FEWEST:
        return {}
    history, wanted = csr_array(fold.train[rows]), csr_array(fold.held[:, cold][rows])
    came_to = {}
    for name, vectors in spaces.items():
        weights = KernelRidge.of(vectors[warm], content.width, content.l2).weights(vectors[cold])
        came_to[name] = found(history[:, warm] @ weights, csr_array(history[:, cold]), wanted)
    return came_to


def _collaborative(
    fold: Fold, vectors: FloatArray, warm: IntArray, start: Collaborative, grid: Grid
) -> tuple[Collaborative, Model, Report]:
    """The collaborative expert with its best settings."""
    columns, held = csr_array(fold.train[:, warm]), csr_array(fold.held[:, warm])
    asked = some_of(np.flatnonzero(np.diff(held.indptr)))
    history, wanted = csr_array(columns[asked]), csr_array(held[asked])
    report: Report = {}
    best, model = start, None
    for name, values in grid:
        tried, report[name] = best, {}
        for value in values:
            one = replace(tried, **{name: value})  # type: ignore[arg-type]
            fitted = one.fitted(columns, vectors, model)
            report[name][value] = found(fitted.scores(history), history, wanted)
            if report[name][value] == max(report[name].values()):
                best, model = one, fitted  # the best one only: each is large
    return best, model or best.fitted(columns, vectors), report


def _popularity(model: Model, fold: Fold, warm: IntArray) -> dict[float, float]:
    """What each weight comes to for users who were taken away, in the geometric mean over the numbers of clicks told.

    Users count by what there is to find, or else the many who are soon gone would speak for those who stay.
    """
    rng = np.random.default_rng(0)
    strangers = csr_array(fold.strangers[:, warm])
    repeats = min(max(ASKED // max(strangers.shape[0], 1), 1), REPEATS)
    popular = popularity(np.asarray(fold.train.sum(axis=0))[warm])
    came_to = []
    for told in TOLD:
        parts = [_told(strangers, told, rng) for _ in range(repeats)]
        if parts[0][0].shape[0] >= FEWEST:
            history, wanted = (csr_array(vstack(part, format="csr")) for part in zip(*parts, strict=True))
            scores = model.scores(history)
            scores /= level(scores)
            weights = [np.float32(weight / told) for weight in POPULARITY]
            came_to.append([found(scores + w * popular, history, wanted, by_wanted=True) for w in weights])
    return dict(zip(POPULARITY, gmean(came_to, axis=0).tolist(), strict=True)) if came_to else {}


def _falling(weight: float) -> tuple[tuple[float, float], ...]:
    """Popularity by the clicks of a user, falling with them; who is known well needs none."""
    return (*((float(told), weight / told) for told in TOLD), (2.0 * TOLD[-1], 0.0))


def _told(strangers: Csr, told: int, rng: np.random.Generator) -> tuple[Csr, Csr]:
    """The clicks told of each user, drawn at random, and the rest."""
    rows = np.flatnonzero(np.diff(strangers.indptr) > told)
    asked = csr_array(strangers[rows])
    user = np.repeat(np.arange(len(rows)), np.diff(asked.indptr))
    order = np.lexsort((rng.random(asked.nnz), user))
    place = np.empty(asked.nnz, dtype=np.int64)
    place[order] = np.arange(asked.nnz) - asked.indptr[user]
    return parted(asked, place < told)


def _least(results: dict[float, float]) -> float:
    """The smallest value within half a percent of the best."""
    best = max(results.values())
    return min(value for value, found in results.items() if found >= 0.995 * best)
