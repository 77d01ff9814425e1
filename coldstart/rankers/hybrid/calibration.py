"""Scores of different experts on one scale: the odds of a click."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray, largest
from coldstart._component import Component

TOP = 20
"""Best scores of a user whose median is the user's scale."""

LOWEST = np.float32(-1e30)
"""Below every score."""

FLOOR = np.float32(1e-3)
"""Scores below this share of the user's scale count as it: their logarithm would say too much."""

DEVIATION = 1.0
"""Standard deviation of the Gaussian prior on each coefficient: around what leaves scores as they are."""

BOUNDS = [(0.05, None), (0.05, None), (None, 0.0), *[(None, None)] * 4]
"""A higher score never means fewer clicks, and a denser neighbourhood never more."""

START = np.eye(7)[:2].sum(axis=0)
"""Slopes of 1, and nothing else: scores as they are."""

NO_DENSITY = [*BOUNDS[:2], (0.0, 0.0), *BOUNDS[3:]]
"""The same without an effect of the density."""

PROOF = 3.0
"""Standard errors that the effect of the density must be away from none, or it does not count."""

FEWEST = 0.05
"""Share of the users learned from whose clicks are too few to say what is special of them."""


def best_unseen(scores: FloatArray, history: Csr) -> FloatArray:
    """Return the ``TOP`` largest scores of each row but for the items of the history, (m, at most ``TOP``).

    What is known already is no measure of what is to come; and a click changes no scale but through other items. Who
    has fewer items left gets the worst of them in the place of the others, and 0 where none is left.
    """
    seen = history.nonzero()
    values = scores[seen]
    scores[seen] = LOWEST
    best = largest(scores, min(TOP, scores.shape[1]))
    scores[seen] = values
    unseen = best > LOWEST
    if unseen.all():
        return best
    worst = np.where(unseen, best, np.inf).min(axis=1, keepdims=True)
    return np.where(unseen, best, np.where(np.isinf(worst), np.float32(0.0), worst))


def user_scale(scores: FloatArray, history: Csr) -> FloatArray:
    """Return each user's scale of an expert, the median of their ``TOP`` best scores of unseen items, shape (m, 1).

    At least a tenth of the best one, where few items have a score at all, and 1e-12.
    """
    if not scores.shape[1]:
        return np.ones((len(scores), 1), dtype=np.float32)
    best = best_unseen(scores, history)
    median, most = np.median(best, axis=1, keepdims=True), best.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(np.maximum(median, 0.1 * most), 1e-12), dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Calibration(Component, saved=True):
    """What texts say of new items, on the scale of the odds of those with clicks.

    An item with clicks has the odds of the blend, divided by the user's scale. What its text adds for a new one:

        log odds = slope * log(score / scale) + density * d
                   + a log(scale of odds) + b log(scale by text) + c log(1 + m) + intercept

    for a user with m clicks and an item whose nearest neighbours have the mean cosine d: where many items are alike,
    one is easily taken for another (on citeulike this is worth 1.3 % of NDCG@20 among new items). The terms of a user
    with fewer clicks than ``least`` are the ``usual`` ones: nothing was learned of such.

    Attributes
    ----------
    slope, density, by_clicks, by_text, count, intercept, least, usual : float
    """

    slope: float = 1.0
    density: float = 0.0
    by_clicks: float = 0.0
    by_text: float = 0.0
    count: float = 0.0
    intercept: float = 0.0
    least: float = 0.0
    usual: float = 0.0

    def odds(self, scores: FloatArray, of_users: FloatArray) -> FloatArray:
        """Turn scores (m, n) of new items, as shares of the users' scale, into odds, in place; see ``of_users``."""
        odds: FloatArray = np.maximum(scores, FLOOR, out=scores)
        if self.slope != 1.0:
            np.log(odds, out=odds)
            odds *= np.float32(self.slope)
            np.exp(odds, out=odds)
        odds *= np.exp(of_users)
        return odds

    def of_users(self, by_clicks: FloatArray, by_text: FloatArray, counts: FloatArray) -> FloatArray:
        """Return the terms of each user (m, 1), from both scales and the number of clicks, (m, 1) each."""
        weights = [self.by_clicks, self.by_text, self.count, self.intercept]
        terms = _of_users(by_clicks, by_text, counts) @ np.array(weights, dtype=np.float32)
        return np.asarray(np.where(counts[:, 0] >= self.least, terms, self.usual), dtype=np.float32)[:, None]

    @classmethod
    def learn(
        cls,
        known: tuple[AnyArray, BoolArray],
        new: tuple[AnyArray, BoolArray],
        base: FloatArray,
        density: FloatArray,
        items: IntArray,
        by_clicks: FloatArray,
        by_text: FloatArray,
        counts: FloatArray,
    ) -> "Calibration":
        """Fit by conditional logit (McFadden 1974): which of a user's candidates were clicked.

        Parameters
        ----------
        known, new : tuple of ndarray of shape (m, a) and (m, b)
            Odds of candidates with clicks and scores of new ones, as shares of the users' scales, -inf for those that
            do not count, and whether they were clicked. Every user counts the same, some of whose candidates must be
            clicked.
        base : ndarray of shape (m, b)
            Odds of the new ones without their text, as shares of the users' scale.
        density : ndarray of shape (m, b)
            Of the new candidates.
        items : ndarray of shape (m, b)
            Which item each of them is.
        by_clicks, by_text, counts : ndarray of shape (m, 1)
            Both scales of the users, and their clicks.

        Notes
        -----
        The density counts where a score test says so whose errors are clustered by item (Liang and Zeger 1986): a few
        items that are popular and alone by chance prove nothing.
        """
        users, split = _of_users(by_clicks, by_text, counts).astype(np.float64), known[0].shape[1]
        scores = np.hstack([known[0], new[0]]).astype(np.float64)
        logs, absent = np.log(np.maximum(scores, FLOOR)), np.isneginf(scores)
        log_base = np.log(np.maximum(base.astype(np.float64), 1e-12))
        share = np.hstack([known[1], new[1]]) / (known[1].sum(axis=1) + new[1].sum(axis=1))[:, None]

        def excess(weights: AnyArray) -> tuple[float, AnyArray, AnyArray]:
            """The loss, the chance of each candidate above what it got, and the part of the odds that is the text's."""
            of_known, of_new, of_density, *of_users = weights
            logits = logs * np.where(np.arange(logs.shape[1]) < split, of_known, of_new)
            of_text = logits[:, split:] + of_density * density + (users @ of_users)[:, None]
            logits[:, split:] = np.logaddexp(of_text, of_known * log_base)
            logits[absent] = -1e9
            total = logsumexp(logits, axis=1, keepdims=True)
            value = float((total[:, 0] - (share * logits).sum(axis=1)).mean())
            in_text = np.exp(np.minimum(of_text - logits[:, split:], 0.0))
            return value, (np.exp(logits - total) - share) / len(users), in_text

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            value, above, in_text = excess(weights)
            on_base, on_new = above[:, split:] * (1.0 - in_text), above[:, split:] * in_text
            on_known = (above[:, :split] * logs[:, :split]).sum() + (on_base * log_base).sum()
            parts = [on_known, (on_new * logs[:, split:]).sum(), (on_new * density).sum()]
            slope = np.array([*parts, *(on_new.sum(axis=1) @ users)])
            away = (weights - START) / (DEVIATION**2 * len(users))
            return value + float(0.5 * away @ (weights - START)), slope + away

        found = minimize(loss, START, jac=True, method="L-BFGS-B", bounds=NO_DENSITY).x
        _, above, in_text = excess(found)
        scores_of_items = np.bincount(items.ravel(), (above[:, split:] * in_text * (density - density.mean())).ravel())
        if scores_of_items.sum() > PROOF * np.sqrt(np.square(scores_of_items).sum()):
            found = minimize(loss, found, jac=True, method="L-BFGS-B", bounds=BOUNDS).x
        # Only ratios decide an order: divided by the slope of known items, those keep their scores as odds.
        learned = cls(*(found[1:] / found[0]).tolist())
        usual = float(np.median(learned.of_users(by_clicks, by_text, counts)))
        return replace(learned, least=float(np.quantile(counts, FEWEST)), usual=usual)


def _of_users(by_clicks: FloatArray, by_text: FloatArray, counts: FloatArray) -> FloatArray:
    """What is known of each user, (m, 4)."""
    return np.hstack([np.log(by_clicks), np.log(by_text), np.log1p(counts), np.ones_like(counts)])
