"""How the two experts are weighed against each other, learned from users some of whose clicks a fold hides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray
from coldstart.rankers.hybrid.calibration import Calibration, Levels, level
from coldstart.rankers.hybrid.content import crowding, nearest
from coldstart.rankers.hybrid.counts import clicks_of, foretold, popularity, popularity_weight, text_share, to_come
from coldstart.rankers.hybrid.experts import blended
from coldstart.rankers.hybrid.raw import Raw
from coldstart.rankers.hybrid.settings import Settings
from coldstart.training.folds import Fold, K, found, some_of

FEWEST = 20
"""Clicks below which nothing is learned."""

PRICE = 0.05
"""Share of NDCG@20 on items as they are that a fair chance for items with few clicks may cost."""

MUTE = 0.1
"""Log-odds by text that grow by less than this part of those by clicks say nothing of items that have some."""

TOP = 300
"""Items per user and expert, at most, that the calibration is learned from; at most a third of all, too."""


class Asked(NamedTuple):
    """Users some of whose clicks a fold hides, and what both experts say to the others.

    Attributes
    ----------
    history, held : csr_array of shape (m, n)
    users : ndarray of shape (m, 1)
        Clicks of each.
    by_clicks, by_text : ndarray of shape (m, n_warm) and (m, n_young)
        Scores as shares of the users' levels; popularity is in those by clicks.
    levels : Levels
    counts : ndarray of shape (n,)
        Clicks of the items.
    warm, young : ndarray of shape (n_warm,) and (n_young,)
        Positions of the items with clicks, and of those that the content expert scores.
    crowd : ndarray of shape (n_young,)
        How near the warm items are that are nearest to a young one.
    new : ndarray
        Which of the young items lost all their clicks.
    """

    history: Csr
    held: Csr
    users: FloatArray
    by_clicks: FloatArray
    by_text: FloatArray
    levels: Levels
    counts: FloatArray
    warm: IntArray
    young: IntArray
    crowd: FloatArray
    new: IntArray

    @classmethod
    def of(cls, raw: Raw, vectors: FloatArray, fold: Fold, chosen: Settings) -> "Asked":
        """Ask some, with vectors (n, dim) of the items."""
        rows = some_of(np.flatnonzero(np.diff(fold.held.indptr) * np.diff(fold.train.indptr)))
        history, held = csr_array(fold.train[rows]), csr_array(fold.held[rows])
        users, counts = clicks_of(history), np.asarray(fold.train.sum(axis=0), dtype=np.float32)
        new = np.flatnonzero(fold.cold[raw.young])
        by_clicks, by_text = raw.scores(csr_array(history[:, raw.warm]))
        levels = level(by_clicks), level(by_text[:, new])
        by_clicks /= levels[0]
        by_text /= levels[1]
        by_clicks += popularity_weight(chosen.popularity, users) * popularity(counts[raw.warm])
        crowd = crowding(nearest(vectors[raw.warm], vectors[raw.young]))
        return cls(history, held, users, by_clicks, by_text, levels, counts, raw.warm, raw.young, crowd, new)


def calibrated(asked: Asked, chosen: Settings) -> Settings:
    """Return the settings with the log-odds of both kinds of items, where there is enough to learn them from."""
    known = _candidates(asked.by_clicks, asked, asked.warm)
    new = _candidates(asked.by_text[:, asked.new], asked, asked.young[asked.new])
    if min(known.clicked.sum(), new.clicked.sum()) < FEWEST:
        return chosen
    rows = (known.clicked.sum(axis=1) + new.clicked.sum(axis=1)) > 0
    learned = Calibration.learn(
        (known.scores[rows], known.clicked[rows]),
        (new.scores[rows], new.clicked[rows]),
        (asked.levels[0][rows], asked.levels[1][rows]),
        asked.users[rows],
        asked.crowd[asked.new][new.at[rows]],
        new.at[rows],
    )
    return replace(chosen, calibration=learned, level=float(np.median(asked.levels[1] / asked.levels[0])))


def by_few(asked: Asked, calibration: Calibration, few: Sequence[float]) -> dict[float, float]:
    """Return what each value of ``few`` comes to among items with clicks: NDCG@20.

    Where text says nothing, the smallest only.
    """
    seen, wanted = csr_array(asked.history[:, asked.warm]), csr_array(asked.held[:, asked.warm])
    if wanted.nnz < FEWEST:
        return {}
    spoken = np.flatnonzero(asked.counts[asked.young])
    counts, at = asked.counts[asked.young[spoken]], np.searchsorted(asked.warm, asked.young[spoken])
    odds = calibration.of_known(asked.by_clicks)
    of_items = calibration.of_crowd(asked.crowd[spoken]) + to_come(counts, float(asked.counts[asked.warm].mean()))
    said = calibration.of_new(asked.by_text[:, spoken], calibration.of_users(asked.levels, asked.users), of_items)
    came_to, says = {}, calibration.new > MUTE * calibration.known
    for value in few if says else [min(few)]:
        mixed, told = odds.copy(), foretold(counts) * (calibration.knows(asked.users) & (value > 0))
        mixed[:, at] = blended(odds[:, at], said, text_share(counts, value), told)
        came_to[value] = found(mixed, seen, wanted)
    return came_to


def longest(came_to: dict[float, float]) -> float:
    """Return the largest value that costs little on items as they are: on new ones it pays, which no fold shows."""
    return max(value for value in came_to if came_to[value] >= (1.0 - PRICE) * max(came_to.values()))


class Candidates(NamedTuple):
    """Of each user the items that score best: where they stand, (m, top), their scores, and which were clicked.

    The score of what a user knows already is -inf.
    """

    at: IntArray
    scores: FloatArray
    clicked: BoolArray


def _candidates(scores: FloatArray, asked: Asked, items: IntArray) -> Candidates:
    unseen = np.where(asked.history[:, items].toarray() > 0, -np.inf, scores)
    top = min(TOP, max(len(items) // 3, K), len(items))
    at = np.argpartition(-unseen, top - 1, axis=1)[:, :top] if top else np.zeros((len(scores), 0), dtype=np.int64)
    clicked = asked.held[:, items].toarray() > 0
    return Candidates(at, np.take_along_axis(unseen, at, axis=1), np.take_along_axis(clicked, at, axis=1))
