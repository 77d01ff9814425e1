"""Calibration: scores by text and scores by clicks on one scale, the odds of a click.

The experts' scores have units of their own. Divided by the *user scale*, the median of a user's 20 best scores of
unseen items, they compare between users. A conditional logit on a fold then learns what a score by text is worth: on
items that lost all their clicks, beside items that kept theirs.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.rankers.hybrid.prior import best_unseen

FLOOR = np.float32(1e-3)
"""Least score, as a share of the user scale: the logarithm of less would outweigh everything else."""

DEVIATION = 1.0
"""Standard deviation of the Gaussian prior on each coefficient, around what leaves scores as they are."""

START = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
"""Slopes of warm and of cold items, density, both log scales, log likes, intercept: leaves scores as they are."""

BOUNDS = [(0.05, None), (0.05, None), (None, 0.0), *[(None, None)] * 4]
"""A higher score never lowers the odds, and a denser neighbourhood never raises them."""

NO_DENSITY = [*BOUNDS[:2], (0.0, 0.0), *BOUNDS[3:]]
"""The same without an effect of the density."""

MIN_Z = 3.0
"""Standard errors from 0 at which the effect of the density is taken for proven."""

FEW_CLICKS = 0.05
"""Quantile of likes among the users learned from; below it the user terms are replaced by their median."""


class Candidates(NamedTuple):
    """Items that users may click, (m, c) each: scores as shares of the user scale, -inf for what is no candidate."""

    scores: AnyArray
    clicked: BoolArray
    items: IntArray


def user_scale(scores: FloatArray, history: Csr) -> FloatArray:
    """Return the median of each user's ``TOP`` best scores of unseen items, shape (m, 1).

    At least a tenth of the best, since the median is 0 where few items have a score at all; and at least 1e-12.
    """
    if not scores.shape[1]:
        return np.ones((len(scores), 1), dtype=np.float32)
    best = best_unseen(scores, history)
    median, most = np.median(best, axis=1, keepdims=True), best.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(np.maximum(median, 0.1 * most), 1e-12), dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Calibration(Component, saved=True):
    """Turns a score by text into odds, in the unit of the user scale of scores by clicks.

        log odds = slope * log(s / scale_text) + density * d
                   + by_clicks * log(scale) + by_text * log(scale_text) + count * log(1 + k) + intercept

    for the score s by text of an item, a user with k likes whose scores by clicks have the scale ``scale`` and those by
    text ``scale_text``, and d, the mean cosine to the 50 nearest items with clicks. Where many items are alike, one is
    easily taken for another: on citeulike d is worth 1.3 % of NDCG@20 among new items.

    Attributes
    ----------
    slope, density, by_clicks, by_text, count, intercept : float
        Coefficients.
    least : float
        Likes below which the last four terms, those of the user, are replaced by ``usual``: nothing was learned there.
    usual : float
        Median of these terms over the users learned from.
    """

    slope: float = 1.0
    density: float = 0.0
    by_clicks: float = 0.0
    by_text: float = 0.0
    count: float = 0.0
    intercept: float = 0.0
    least: float = 0.0
    usual: float = 0.0

    def odds(self, scores: FloatArray, user_terms: FloatArray) -> FloatArray:
        """Turn scores by text (m, n), as shares of their user scale, into odds but for the density, in place."""
        odds: FloatArray = np.maximum(scores, FLOOR, out=scores)
        if self.slope != 1.0:
            np.log(odds, out=odds)
            odds *= np.float32(self.slope)
            np.exp(odds, out=odds)
        odds *= np.exp(user_terms)
        return odds

    def user_terms(self, scale: FloatArray, text_scale: FloatArray, likes: FloatArray) -> FloatArray:
        """Return the last four terms of the log-odds (m, 1), from both user scales and numbers of likes, (m, 1)."""
        weights = np.array([self.by_clicks, self.by_text, self.count, self.intercept], dtype=np.float32)
        terms = _user_features(scale, text_scale, likes) @ weights
        return np.asarray(np.where(likes[:, 0] >= self.least, terms, self.usual), dtype=np.float32)[:, None]

    @classmethod
    def learn(
        cls,
        warm: Candidates,
        cold: Candidates,
        base: FloatArray,
        density: FloatArray,
        scale: FloatArray,
        text_scale: FloatArray,
        likes: FloatArray,
    ) -> "Calibration":
        """Fit by conditional logit (McFadden 1974): which of the candidates did a user click.

        The log-odds of a warm candidate are slope_warm * log(score); those of a pseudo-cold one are the log of the
        sum of its calibrated odds by text and of its odds without text, base^slope_warm. Every user counts the same.

        Parameters
        ----------
        warm, cold : Candidates
            Items with clicks, scored by clicks, and pseudo-cold items, scored by text. Each user has clicked some.
        base, density : ndarray of shape (m, c)
            Of the cold candidates: odds without their text, as shares of ``scale``, and mean cosine to neighbours.
        scale, text_scale, likes : ndarray of shape (m, 1)
            User scales of the scores by clicks and by text, and numbers of likes.
        """
        users, split = _user_features(scale, text_scale, likes).astype(np.float64), warm.scores.shape[1]
        scores = np.hstack([warm.scores, cold.scores]).astype(np.float64)
        logs, absent = np.log(np.maximum(scores, FLOOR)), np.isneginf(scores)
        log_base = np.log(np.maximum(base.astype(np.float64), 1e-12))
        share = np.hstack([warm.clicked, cold.clicked])
        share = share / share.sum(axis=1, keepdims=True)  # a user's clicks together weigh 1

        def evaluate(weights: AnyArray) -> tuple[float, AnyArray, AnyArray]:
            """Negative mean log-likelihood, its gradient by the logits, and the text's share of the cold odds."""
            of_warm, of_cold, of_density, *of_users = weights
            logits = logs * np.where(np.arange(logs.shape[1]) < split, of_warm, of_cold)
            by_text = logits[:, split:] + of_density * density + (users @ of_users)[:, None]
            logits[:, split:] = np.logaddexp(by_text, of_warm * log_base)
            logits[absent] = -1e9
            total = logsumexp(logits, axis=1, keepdims=True)
            value = float((total[:, 0] - (share * logits).sum(axis=1)).mean())
            # At most 1 by definition; absent candidates, whose logit was overwritten, would overflow.
            text_share = np.exp(np.minimum(by_text - logits[:, split:], 0.0))
            return value, (np.exp(logits - total) - share) / len(users), text_share

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            """Negative log posterior and its gradient, by the chain rule through ``logaddexp``."""
            value, slopes, text_share = evaluate(weights)
            on_base, on_text = slopes[:, split:] * (1.0 - text_share), slopes[:, split:] * text_share
            on_warm = (slopes[:, :split] * logs[:, :split]).sum() + (on_base * log_base).sum()
            by_item = [on_warm, (on_text * logs[:, split:]).sum(), (on_text * density).sum()]
            gradient = np.array([*by_item, *(on_text.sum(axis=1) @ users)])
            pull = (weights - START) / (DEVIATION**2 * len(users))
            return value + float(0.5 * pull @ (weights - START)), gradient + pull

        weights = minimize(loss, START, jac=True, method="L-BFGS-B", bounds=NO_DENSITY).x
        # A score test (Rao) of the density at the fit without it: is the gradient there further from 0 than chance
        # takes it? Errors are clustered by item (Liang and Zeger 1986), as the clicks of one item are not independent:
        # a few popular items that happen to have few neighbours prove nothing. The density is centred: a common shift
        # is the intercept's.
        _, slopes, text_share = evaluate(weights)
        by_pair = slopes[:, split:] * text_share * (density - density.mean())
        by_item = np.bincount(cold.items.ravel(), by_pair.ravel())
        if by_item.sum() > MIN_Z * np.sqrt(np.square(by_item).sum()):
            weights = minimize(loss, weights, jac=True, method="L-BFGS-B", bounds=BOUNDS).x
        # Only ratios decide an order. Divided by the slope of warm items, these keep their scores as odds.
        learned = cls(*(weights[1:] / weights[0]).tolist())
        usual = float(np.median(learned.user_terms(scale, text_scale, likes)))
        return replace(learned, least=float(np.quantile(likes, FEW_CLICKS)), usual=usual)


def _user_features(scale: FloatArray, text_scale: FloatArray, likes: FloatArray) -> FloatArray:
    """Log scales, log likes and 1 of each user, (m, 4)."""
    return np.hstack([np.log(scale), np.log(text_scale), np.log1p(likes), np.ones_like(likes)])
