"""Scores of different experts on one scale: the log-odds of a click."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from coldstart._arrays import AnyArray, FloatArray
from coldstart._component import Component

TOP = 20
FLOOR = np.float32(1e-3)
"""Scores below this share of the user's top level count as it: their logarithm would say too much."""


BOUNDS = [(0.0, None), (None, None), (None, None), (None, None)]
"""A higher score never means fewer clicks."""


def level(scores: FloatArray) -> FloatArray:
    """Return each user's level of an expert, the median of their ``TOP`` best scores, shape (m, 1).

    At least a tenth of the best one, where few items have a score at all, and 1e-12.
    """
    top = min(TOP, scores.shape[1])
    if not top:
        return np.ones((len(scores), 1), dtype=np.float32)
    best = np.partition(scores, scores.shape[1] - top, axis=1)[:, -top:]
    median, most = np.median(best, axis=1, keepdims=True), best.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(np.maximum(median, 0.1 * most), 1e-12), dtype=np.float32)


@dataclass(frozen=True)
class Calibration(Component):
    """Log-odds = slope log(score / level) + level_slope log(level) + count_slope log(1 + m) + intercept.

    For a user with m clicks, whose level is the median of their best scores.

    Attributes
    ----------
    slope, level_slope, count_slope, intercept : float
    """

    slope: float = 1.0
    level_slope: float = 0.0
    count_slope: float = 0.0
    intercept: float = 0.0

    def logits(self, scores: FloatArray, levels: FloatArray, counts: FloatArray) -> FloatArray:
        """Return log-odds (m, n) of scores that are divided by the users' ``levels`` (m, 1) already."""
        users = self.level_slope * np.log(levels) + self.count_slope * np.log1p(counts) + self.intercept
        logits = np.log(np.maximum(scores, FLOOR))
        logits *= np.float32(self.slope)
        logits += users.astype(np.float32)
        return logits

    @classmethod
    def learn(cls, scores: AnyArray, levels: AnyArray, counts: AnyArray, clicked: AnyArray) -> "Calibration":
        """Fit by logistic regression on pairs, all arrays of shape (q,)."""
        columns = [np.log(np.maximum(scores, FLOOR)), np.log(levels), np.log1p(counts), np.ones(len(scores))]
        design = np.stack(columns, axis=1).astype(np.float64)
        target = np.asarray(clicked, dtype=np.float64)

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            logits = design @ weights
            value = np.logaddexp(0.0, logits).mean() - (target * logits).mean()
            slope = design.T @ (0.5 + 0.5 * np.tanh(logits / 2) - target) / len(target)
            return value + 1e-5 * weights @ weights, slope + 2e-5 * weights

        found = minimize(loss, np.array([1.0, 0.0, 0.0, 0.0]), jac=True, method="L-BFGS-B", bounds=BOUNDS).x
        return cls(*(float(weight) for weight in found))
