"""Scores of different experts on one scale: the log-odds of a click."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from coldstart._arrays import AnyArray, BoolArray, FloatArray, IntArray, largest
from coldstart._component import Component

Levels: TypeAlias = tuple[FloatArray, FloatArray]
"""Of each user, (m, 1): by clicks and by text."""

TOP = 20
FLOOR = np.float32(1e-3)
"""Scores below this share of the user's top level count as it: their logarithm would say too much."""

PENALTY = 1e-5
"""Of squared coefficients: for those that nothing is known of."""

BOUNDS = [(0.0, None), (0.0, None), (None, 0.0), *[(None, None)] * 4]
"""A higher score never means fewer clicks, and a crowd never more."""

FEWEST = 0.05
"""Share of the users who are learned from that have fewer clicks than are enough to be like them."""

UNCROWDED = [*BOUNDS[:2], (0.0, 0.0), *BOUNDS[3:]]

PROOF = 3.0
"""Standard errors that the effect of a crowd must be away from none, or it does not count."""


def level(scores: FloatArray) -> FloatArray:
    """Return each user's level of an expert, the median of their ``TOP`` best scores, shape (m, 1).

    At least a tenth of the best one, where few items have a score at all, and 1e-12.
    """
    top = min(TOP, scores.shape[1])
    if not top:
        return np.ones((len(scores), 1), dtype=np.float32)
    best = largest(scores, top)
    median, most = np.median(best, axis=1, keepdims=True), best.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(np.maximum(median, 0.1 * most), 1e-12), dtype=np.float32)


@dataclass(frozen=True)
class Calibration(Component):
    """Scores of both experts as log-odds of a click, up to a number that all items of a user share.

    Of an item with clicks: known log(score / level). Of one without: new log(score / level) + known_level log(level
    by clicks) + new_level log(level by text) + count log(1 + m) + crowd c + intercept, for a user with m clicks and an
    item whose nearest neighbours are as near as c: where many items are alike, one is easily taken for another. What is
    of the user is ``usual`` for those with fewer than ``least`` clicks: nothing was learned of such. It is no more than
    that for strangers: users were learned from most of whose clicks were known, so that more of their next were new.

    Attributes
    ----------
    known, new, known_level, new_level, count, crowd, intercept, least, usual : float
    """

    known: float = 1.0
    new: float = 1.0
    known_level: float = 0.0
    new_level: float = 0.0
    count: float = 0.0
    crowd: float = 0.0
    intercept: float = 0.0
    least: float = 0.0
    usual: float = 0.0

    def of_known(self, scores: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return log-odds (m, n) of items with clicks, from scores that are divided by the users' levels already.

        ``out``, which may be ``scores``, takes the place of a new array.
        """
        logits = _logs(scores, out)
        logits *= np.float32(self.known)
        return logits

    def of_new(
        self, scores: FloatArray, of_users: FloatArray, of_items: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return log-odds (m, n) of items without clicks, alike, from what is ``of_users`` (m, 1) and ``of_items``."""
        logits = _logs(scores, out)
        logits *= np.float32(self.new)
        logits += of_users
        logits += of_items
        return logits

    def of_crowd(self, crowd: FloatArray) -> FloatArray:
        """Return what the crowd of each new item (n,) adds to its log-odds."""
        return np.asarray(np.float32(self.crowd) * crowd, dtype=np.float32)

    def knows(self, counts: FloatArray) -> BoolArray:
        """Return which users have as many clicks as those that were learned from, (m, 1)."""
        return np.asarray(counts >= self.least)

    @classmethod
    def learn(
        cls,
        known: tuple[AnyArray, BoolArray],
        new: tuple[AnyArray, BoolArray],
        levels: Levels,
        counts: FloatArray,
        crowd: FloatArray,
        items: IntArray,
    ) -> "Calibration":
        """Fit by conditional logistic regression (McFadden 1974): which of a user's candidates were clicked.

        Parameters
        ----------
        known, new : tuple of ndarray of shape (m, a) and (m, b)
            Scores of candidates, -inf for those that do not count, and whether they were clicked. Every user counts
            the same, some of whose candidates must be clicked.
        levels : tuple of ndarray of shape (m, 1)
        counts : ndarray of shape (m, 1)
        crowd : ndarray of shape (m, b)
        items : ndarray of shape (m, b)
            Which item each of the new candidates is.

        Notes
        -----
        A crowd counts where a score test says so whose errors are clustered by item (Liang and Zeger 1986): a few
        items that are popular and alone by chance prove nothing.
        """
        users, split = _of_users(levels, counts).astype(np.float64), known[0].shape[1]
        scores = np.hstack([known[0], new[0]]).astype(np.float64)
        logs, absent = np.log(np.maximum(scores, FLOOR)), np.isneginf(scores)
        share = np.hstack([known[1], new[1]]) / (known[1].sum(axis=1) + new[1].sum(axis=1))[:, None]

        def excess(weights: AnyArray) -> tuple[float, AnyArray]:
            """The loss, and the chance of each candidate above what it got."""
            of_known, of_new, of_crowd, *of_users = weights
            logits = logs * np.where(np.arange(len(logs[0])) < split, of_known, of_new)
            logits[:, split:] += of_crowd * crowd + (users @ of_users)[:, None]
            logits[absent] = -1e9
            total = logsumexp(logits, axis=1, keepdims=True)
            value = float((total[:, 0] - (share * logits).sum(axis=1)).mean())
            return value, (np.exp(logits - total) - share) / len(users)

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            value, above = excess(weights)
            on_known, on_new = above[:, :split], above[:, split:]
            parts = [(on_known * logs[:, :split]).sum(), (on_new * logs[:, split:]).sum(), (on_new * crowd).sum()]
            slope = np.array([*parts, *(on_new.sum(axis=1) @ users)])
            return value + float(PENALTY * weights @ weights), slope + 2 * PENALTY * weights

        found = minimize(loss, np.eye(7)[:2].sum(axis=0), jac=True, method="L-BFGS-B", bounds=UNCROWDED).x
        of_items = np.bincount(items.ravel(), (excess(found)[1][:, split:] * (crowd - crowd.mean())).ravel())
        if of_items.sum() > PROOF * np.sqrt(np.square(of_items).sum()):
            found = minimize(loss, found, jac=True, method="L-BFGS-B", bounds=BOUNDS).x
        of_known, of_new, of_crowd, of_level, of_new_level, of_count, intercept = (float(weight) for weight in found)
        learned = cls(of_known, of_new, of_level, of_new_level, of_count, of_crowd, intercept)
        usual = float(np.median(learned.of_users(levels, counts)))
        return replace(learned, least=float(np.quantile(counts, FEWEST)), usual=usual)

    def of_users(self, levels: Levels, counts: FloatArray, strangers: BoolArray | None = None) -> FloatArray:
        """Return what is of each user in the log-odds of new items, (m, 1), from ``levels`` and clicks (m, 1).

        ``strangers`` (m,) are users of whom only a request tells; None when nobody is.
        """
        weights = [self.known_level, self.new_level, self.count, self.intercept]
        found = np.where(self.knows(counts)[:, 0], _of_users(levels, counts) @ weights, self.usual)
        if strangers is not None and self.least:
            found = np.where(strangers, np.minimum(found, self.usual), found)
        return np.asarray(found, dtype=np.float32)[:, None]


def _logs(scores: FloatArray, out: FloatArray | None) -> FloatArray:
    logs: FloatArray = np.maximum(scores, FLOOR, out=out)
    return np.log(logs, out=logs)


def _of_users(levels: Levels, counts: FloatArray) -> FloatArray:
    """What is known of each user, (m, 4)."""
    return np.hstack([np.log(levels[0]), np.log(levels[1]), np.log1p(counts), np.ones_like(counts)])
