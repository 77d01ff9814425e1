"""The prior: what is known of a user and an item before anybody's clicks say what belongs together.

A user with a few likes has a *taste*, the mean of their texts; an item has a *base rate*, how often it is clicked at
all. The odds of a click are the product of both, so that logarithms add:

    log odds = taste * k / (k + half) * cos(item, taste of k likes) + weight * log(base rate)

With no clicks of others this is the order of the cosines; it never asks which items were clicked together, so that a
handful of clicks cannot mislead it. With many clicks it is what remains for users and items that have few.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, Csr, FloatArray, unit_rows
from coldstart._component import Component
from coldstart.rankers.hybrid.config import HybridConfig

PAIRS = 1_000
"""Users that the prior is learned from, at most, with one held-out click each."""

CANDIDATES = 20_000
"""Items that a held-out click is compared with, at most; a random sample keeps the estimate right (McFadden 1978)."""

LEAST_EXPOSURE = 1e-6
"""Of an item that has just arrived, so that it has a logarithm."""

LIKES = 10
"""Likes that are given of such a user, at most: the prior speaks for those with few."""


@dataclass(frozen=True, repr=False)
class TastePrior(Component, saved=True):
    """Log-odds by taste and base rate.

    Attributes
    ----------
    taste : float
        Nats per unit of cosine, for a user with many likes.
    half : float
        Likes with which it is half of that.
    weight : float
        Of the log base rate.
    strength : float
        Clicks that the prior counts for beside those of a user.
    """

    taste: float = 6.7
    half: float = 1.0
    weight: float = 1.0
    strength: float = 1e6

    def log_odds(
        self, history: Csr, vectors: FloatArray, log_rates: FloatArray, popularity: float = 1.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return the two terms, by taste (m, n) and by base rate (n,), for histories (m, n) of zeros and ones.

        Parameters
        ----------
        vectors : ndarray of shape (n, dim)
            The items' texts, rows of length one or zero.
        log_rates : ndarray of shape (n,)
            See ``log_base_rates``.
        popularity : float
            Multiplies the weight of the base rate.
        """
        by_rate = np.float32(popularity * self.weight) * log_rates
        return np.float32(self.taste) * cosines(history, vectors, self.half), by_rate

    @classmethod
    def learn(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        exposure: FloatArray | None,
        config: HybridConfig,
        rng: np.random.Generator,
    ) -> "TastePrior":
        """Fit ``taste`` and ``weight`` by conditional logit (McFadden 1974) on held-out clicks, one of each user.

        Maximum a posteriori under Gaussian priors around ``config``: a few clicks move little. Taste never counts
        for less than there: on office the likelihood, which sees all items, would halve it and lose 10 % of NDCG@20,
        which sees the first twenty.
        """
        start = np.array([config.taste, 1.0])
        prior = cls(config.taste, config.taste_half)
        pairs = _held_out(clicks, rng)
        if pairs is None:
            return prior
        history, target = pairs
        n_users, rows = len(target), np.arange(len(target))
        items = sample = np.arange(clicks.shape[1])
        if len(items) > CANDIDATES:
            sample = rng.permutation(items)[:CANDIDATES]
            items = np.union1d(sample, target)
        counts = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        rates = log_base_rates(counts, exposure, config.prior_clicks)
        without = log_base_rates(counts, exposure, config.prior_clicks, less=1.0)
        by_taste = cosines(history, vectors, config.taste_half)[:, items]
        by_rate = np.tile(rates[items], (n_users, 1))
        at = np.searchsorted(items, target)
        by_rate[rows, at] = without[target]  # the held-out click is no evidence for itself
        absent = history[:, items].toarray() > 0
        absent |= ~np.isin(items, sample)  # the target of another user is a candidate only where it was drawn
        absent[rows, at] = False
        # An item that was there for a part of the time could get only that part of the clicks.
        there = np.zeros(len(items)) if exposure is None else np.log(np.maximum(exposure[items], LEAST_EXPOSURE))
        offset = np.where(absent, -np.inf, there).astype(np.float32)
        of_target = np.array([by_taste[rows, at].sum(), by_rate[rows, at].sum()], dtype=np.float64)
        deviation = np.array([config.taste_deviation, config.popularity_deviation])

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            # In place, as each array has up to 20 million numbers; scipy's logsumexp takes four times as long.
            chance = np.float32(weights[0]) * by_taste
            chance += np.float32(weights[1]) * by_rate
            chance += offset
            most = chance.max(axis=1, keepdims=True)
            chance -= most
            np.exp(chance, out=chance)
            total = chance.sum(axis=1, keepdims=True)
            chance /= total
            expected = np.array([np.einsum("ij,ij->i", chance, of).sum(dtype=np.float64) for of in (by_taste, by_rate)])
            away = (weights - start) / deviation
            log_total = (np.log(total) + most).sum(dtype=np.float64)
            return float(log_total - weights @ of_target + 0.5 * away @ away), expected - of_target + away / deviation

        bounds = [(config.taste, None), (0.0, None)]
        tolerance = {"ftol": 1e-7}  # sums in single precision are not exact to more
        taste, weight = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=tolerance).x
        return cls(float(taste), config.taste_half, float(weight))


def cosines(history: Csr, vectors: FloatArray, half: float) -> FloatArray:
    """Return k / (k + half) times the cosine of each item to the mean of a user's k likes, shape (m, n)."""
    likes = clicks_of(history)
    taste = unit_rows(np.asarray(history @ vectors, dtype=np.float32))
    return np.asarray((taste * (likes / (likes + np.float32(half)))) @ vectors.T, dtype=np.float32)


def clicks_of(history: Csr) -> FloatArray:
    """Return how many clicks each row has, at least 1, shape (m, 1)."""
    return np.maximum(np.asarray(history.sum(axis=1), dtype=np.float32), np.float32(1.0))[:, None]


def log_base_rates(
    counts: FloatArray, exposure: FloatArray | None, prior_clicks: float, mean: float | None = None, less: float = 0.0
) -> FloatArray:
    """Return the logarithm of each item's rate of clicks, as a multiple of the mean item's, shape (n,).

    The posterior mean under a Gamma prior (Gelman et al., Bayesian Data Analysis, 2.6): an item with c clicks in a
    share e of the time, where a mean item gets m in all of it, has (c + a) / (e m + a) of the mean rate. So an item
    that has just arrived is a mean one, and one that was there from the start without a click has a / (m + a). It
    assumes that an item's clicks come at one rate. Of an item with clicks that is said to be new it assumes that it was
    there as long as they take at the mean rate.

    Parameters
    ----------
    counts : ndarray of shape (n,)
    exposure : ndarray of shape (n,) or None
        Share of the clicks that came while the item was there, from 0 to 1; None: all of them, for all.
    prior_clicks : float
        a, above 0.
    mean : float, optional
        m; by default that of these items, see ``mean_clicks``.
    less : float
        Clicks that are taken off every item, which keeps at least none.
    """
    if exposure is None:
        exposure = np.ones(len(counts), dtype=np.float32)
    mean = mean_clicks(counts, exposure) if mean is None else mean
    exposure = np.maximum(exposure, np.minimum(counts / mean, 1.0))
    counts = np.maximum(counts - less, 0.0)
    return np.asarray(np.log((counts + prior_clicks) / (exposure * mean + prior_clicks)), dtype=np.float32)


def mean_clicks(counts: FloatArray, exposure: FloatArray | None) -> float:
    """Return the clicks of a mean item in all of the time: all clicks, divided by the sum of the items' exposures."""
    total = len(counts) if exposure is None else float(exposure.sum())
    return max(float(counts.sum()), 1e-9) / max(total, 1.0)


def _held_out(clicks: Csr, rng: np.random.Generator) -> tuple[Csr, AnyArray] | None:
    """Up to ``LIKES`` clicks of each user, as many as a log-uniform draw says, and another one; None without users."""
    users = np.flatnonzero(np.diff(clicks.indptr) > 1)
    if not len(users):
        return None
    users = rng.permutation(users)[:PAIRS]
    given, target = [], np.empty(len(users), dtype=np.int64)
    for row, user in enumerate(users):
        items = rng.permutation(clicks.indices[clicks.indptr[user] : clicks.indptr[user + 1]])
        most = min(LIKES, len(items) - 1)
        given.append(items[1 : 1 + int(np.exp(rng.random() * np.log(most + 1)))])
        target[row] = items[0]
    ends = np.cumsum([0, *map(len, given)])
    weights = np.ones(ends[-1], dtype=np.float32)
    return csr_array((weights, np.concatenate(given), ends), shape=(len(users), clicks.shape[1])), target
