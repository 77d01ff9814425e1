"""A start from few clicks: whether an item's text and its number of clicks say more than the experts together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, Csr, FloatArray, parted
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.mixing import FEWEST
from coldstart.rankers.hybrid.raw import Content
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import ASKED, some_of

PARTS = 5
"""Of the clicks, each of which is hidden in its turn until there is enough to compare."""

ENOUGH = 2_000
"""Hidden clicks that are."""

DEPTH = 100
"""Rank to which a hidden click counts as found: of few clicks hardly any are found among the first 20."""

PROOF = 1.0
"""Standard errors by which a start must be better than the settings as they are."""

MOST = 100_000_000
"""Users times items that are scored at once, and items with clicks times items after which no other part is tried."""


def started(settings: Settings, rate: float) -> Settings:
    """Return the settings of a start in which the odds by text are multiplied by this power of an item's clicks."""
    return replace(settings, rate=rate, calibration=Calibration(), unseen=0.0) if rate else settings


def best_rate(
    clicks: Csr,
    vectors: FloatArray,
    settings: Settings,
    content: Content,
    rates: Sequence[float],
    popular: float,
    rng: np.random.Generator,
) -> tuple[float, dict[float, float]]:
    """Return the power that does best, 0 for the ``settings`` as they are, and what each comes to.

    That is the mean gain 1 / log2(1 + rank) of clicks hidden at random, up to rank ``DEPTH`` of all items. What becomes
    popular is popular already, which is not so where items are hidden whole.
    """
    asked, gains, weights = np.zeros(clicks.shape[0], dtype=int), [], 0
    for train, held in _parts(clicks, rng):
        users = np.flatnonzero(np.diff(train.indptr) * np.diff(held.indptr))
        rows = some_of(users, min(ASKED, MOST // clicks.shape[1]))
        if len(rows):
            history, wanted = csr_array(train[rows]), csr_array(held[rows])
            experts = Experts.of(train, vectors, started(settings, max(rates)), content)
            tried = (replace(experts, settings=started(settings, rate)) for rate in rates)
            gains.append([_gains(one.log_odds(history, popular), history, wanted) for one in tried])
            asked[rows] += 1
            weights += len(experts.warm) * clicks.shape[1]
        if asked.sum() >= ASKED or sum(len(part[0]) for part in gains) >= ENOUGH or weights >= MOST:
            break
    if np.count_nonzero(asked) < FEWEST:
        return 0.0, {}
    of_rates = np.hstack(gains)
    came_to = of_rates.mean(axis=1)
    best = int(came_to.argmax())
    better = of_rates[best] - of_rates[0]
    proven = better.mean() > PROOF * better.std() / np.sqrt(better.size)
    return rates[best] if proven else 0.0, dict(zip(rates, came_to.tolist(), strict=True))


def _gains(scores: FloatArray, history: Csr, wanted: Csr) -> AnyArray:
    """The gain of each wanted click (nnz,); those with equal scores share their ranks."""
    unseen = np.where(history.toarray() > 0, -np.inf, scores)
    ranks = []
    for row, items in zip(unseen, np.split(wanted.indices, wanted.indptr[1:-1]), strict=True):
        ordered = np.sort(-row)
        first, last = (np.searchsorted(ordered, -row[items], side) for side in ("left", "right"))
        ranks.append((first + 1 + last) / 2)
    at = np.concatenate(ranks)
    return np.where(at <= DEPTH, 1.0 / np.log2(1.0 + at), 0.0)


def _parts(clicks: Csr, rng: np.random.Generator) -> Iterator[tuple[Csr, Csr]]:
    """The clicks (m, n) but for one part, and that part."""
    parts = rng.integers(PARTS, size=clicks.nnz)
    for part in range(PARTS):
        yield parted(clicks, parts != part)
