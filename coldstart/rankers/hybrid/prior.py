"""The prior: what a user's taste and an item's base rate say of a click, before others' clicks are compared.

    log odds(u, i) = t * k / (k + h) * cos(f_i, taste_u) + b * log rate_i

for a user u with k likes, whose taste is the mean of their text vectors, and an item i with text vector f_i and base
rate rate_i, how often anybody clicks it. t is what a unit of cosine is worth in nats, h the likes at which a taste has
half its weight, b the weight of the base rate. Odds by taste and by popularity multiply, so that logarithms add.

Without clicks of others the order is that of the cosines. Which items are clicked together plays no part, so that a few
clicks cannot mislead.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, Csr, FloatArray, largest, unit_rows
from coldstart._component import Component
from coldstart.rankers.hybrid.config import HybridConfig

MAX_USERS = 1_000
"""Users that the prior is learned from, each with one held-out click."""

MAX_CANDIDATES = 20_000
"""Items that a held-out click is compared with: with 1,000 users each array takes 80 MB."""

MAX_LIKES = 10
"""Likes of such a user that are given: the prior matters to users with few."""

TOP = 20
"""Best unseen items of a user, by which scores of different users are made comparable."""

LOWEST = np.float32(-1e30)
"""Below every score."""

MIN_EXPOSURE = 1e-6
"""Exposure of an item that has just arrived, so that it has a logarithm."""


@dataclass(frozen=True, repr=False)
class TastePrior(Component, saved=True):
    """Log-odds of a click by taste and base rate.

    Attributes
    ----------
    taste : float
        t, nats per unit of cosine for a user with many likes.
    half : float
        h, likes at which a taste has half its weight.
    weight : float
        b, of the log base rate.
    strength : float
        Clicks that the prior counts for beside a user's own.
    """

    taste: float = 6.7
    half: float = 1.0
    weight: float = 1.0
    strength: float = 1e6

    def log_odds(
        self, history: Csr, vectors: FloatArray, log_rates: FloatArray, popularity: float = 1.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return the two terms of the log-odds: by taste (m, n) and by base rate (n,).

        ``history`` (m, n) holds likes of 0 or 1, ``vectors`` (n, dim) texts of length one or zero, ``log_rates`` (n,)
        those of ``log_base_rates``; ``popularity`` multiplies b.
        """
        by_rate = np.float32(popularity * self.weight) * log_rates
        return np.float32(self.taste) * cosines(history, vectors, self.half), by_rate

    def odds(self, history: Csr, vectors: FloatArray, log_rates: FloatArray, popularity: float = 1.0) -> FloatArray:
        """Return s / k * exp(log-odds), (m, n), where the median of exp over each user's best unseen items is made 1.

        Arguments are those of ``log_odds``; s is ``strength`` and k the user's number of likes.
        """
        odds, by_rate = self.log_odds(history, vectors, log_rates, popularity)
        # In place: each array has as many numbers as there are items and users.
        odds += by_rate
        odds -= np.median(best_unseen(odds, history), axis=1, keepdims=True)
        np.exp(odds, out=odds)
        odds *= np.float32(self.strength) / n_likes(history)
        return odds

    @classmethod
    def learn(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        exposure: FloatArray | None,
        config: HybridConfig,
        rng: np.random.Generator,
    ) -> "TastePrior":
        """Fit t and b by conditional logit (McFadden 1974): which of the candidates did a user click.

        One click of each user is held out; candidates are the items that the user has not clicked. The estimate is
        the maximum a posteriori under Gaussian priors around ``config``, so that a few clicks move it little.
        """
        start = np.array([config.taste, 1.0])
        choices = _hold_out_one(clicks, rng)
        if choices is None:
            return cls(config.taste, config.taste_half)
        history, target = choices
        # The likelihood of a choice from a random sample of the items gives the same estimate (McFadden 1978).
        items = sample = np.arange(clicks.shape[1])
        if len(items) > MAX_CANDIDATES:
            sample = rng.permutation(items)[:MAX_CANDIDATES]
            items = np.union1d(sample, target)
        users, chosen = np.arange(len(target)), np.searchsorted(items, target)

        counts = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        by_taste = cosines(history, vectors, config.taste_half)[:, items]
        by_rate = np.tile(log_base_rates(counts, exposure, config.prior_clicks)[items], (len(users), 1))
        # The held-out click must not count as evidence for itself.
        by_rate[users, chosen] = log_base_rates(counts, exposure, config.prior_clicks, less=1.0)[target]

        excluded = history[:, items].toarray() > 0
        excluded |= ~np.isin(items, sample)  # another user's target is a candidate only if it was drawn
        excluded[users, chosen] = False
        # An item could be chosen only while it was in the catalogue: its exposure is the chance that it was.
        available = np.zeros(len(items)) if exposure is None else np.log(np.maximum(exposure[items], MIN_EXPOSURE))
        offset = np.where(excluded, -np.inf, available).astype(np.float32)
        of_chosen = np.array([by_taste[users, chosen].sum(), by_rate[users, chosen].sum()], dtype=np.float64)
        deviation = np.array([config.taste_deviation, config.popularity_deviation])

        def loss(weights: AnyArray) -> tuple[float, AnyArray]:
            """Negative log posterior of (t, b), and its gradient: expected minus observed features."""
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
            z = (weights - start) / deviation
            log_total = (np.log(total) + most).sum(dtype=np.float64)
            value = float(log_total - weights @ of_chosen + 0.5 * z @ z)
            return value, expected - of_chosen + z / deviation

        # Taste never counts for less than in the config. The likelihood is over all items, NDCG over the first 20: on
        # office the former would halve the taste, and the latter lose 10 %. Popularity never counts against an item.
        bounds = [(config.taste, None), (0.0, None)]
        tolerance = {"ftol": 1e-7}  # sums in single precision are not exact to more
        taste, weight = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=tolerance).x
        return cls(float(taste), config.taste_half, float(weight))


def cosines(history: Csr, vectors: FloatArray, half: float) -> FloatArray:
    """Return k / (k + half) cos(f_i, taste_u) for each user u with k likes and each item i, shape (m, n)."""
    likes = n_likes(history)
    taste = unit_rows(np.asarray(history @ vectors, dtype=np.float32))
    # The weight is put on the taste (m, dim) rather than on the product (m, n), which is far larger.
    return np.asarray((taste * (likes / (likes + np.float32(half)))) @ vectors.T, dtype=np.float32)


def n_likes(history: Csr) -> FloatArray:
    """Return the number of likes of each user, at least 1, shape (m, 1)."""
    return np.maximum(np.asarray(history.sum(axis=1), dtype=np.float32), np.float32(1.0))[:, None]


def best_unseen(scores: FloatArray, history: Csr) -> FloatArray:
    """Return the ``TOP`` largest scores of each user outside the history, (m, at most ``TOP``).

    Where fewer items are unseen, the worst of them fills the other places; 0 where none is.
    """
    # Scores are large, histories short: hide the history in place, and put it back.
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


def log_base_rates(
    counts: FloatArray, exposure: FloatArray | None, prior_clicks: float, mean: float | None = None, less: float = 0.0
) -> FloatArray:
    """Return the log base rate of each item: its clicks per exposure, as a multiple of the mean item's, shape (n,).

        rate = (c + a) / (e m + a)

    It is the posterior mean of a Poisson rate under a Gamma prior of mean 1 and shape a (Gelman et al., Bayesian Data
    Analysis, 2.6), given c clicks in exposure e, where a mean item gets m clicks in all the time. A new item counts as
    a mean one; old stock without clicks has a / (m + a). Clicks are taken to come at a constant rate.

    ``counts`` are c, ``exposure`` e (None: 1 for all), ``prior_clicks`` a, and ``mean`` m, by default the
    ``mean_clicks`` of these items. ``less`` clicks are taken off every item, down to 0.
    """
    if exposure is None:
        exposure = np.ones(len(counts), dtype=np.float32)
    mean = mean_clicks(counts, exposure) if mean is None else mean
    # An item that is said to be new, yet has clicks, was there at least as long as a mean item takes to get them.
    exposure = np.maximum(exposure, np.minimum(counts / mean, 1.0))
    counts = np.maximum(counts - less, 0.0)
    return np.asarray(np.log((counts + prior_clicks) / (exposure * mean + prior_clicks)), dtype=np.float32)


def mean_clicks(counts: FloatArray, exposure: FloatArray | None) -> float:
    """Return the clicks that a mean item gets in all the time: all clicks, divided by the sum of exposures."""
    total = len(counts) if exposure is None else float(exposure.sum())
    return max(float(counts.sum()), 1e-9) / max(total, 1.0)


def _hold_out_one(clicks: Csr, rng: np.random.Generator) -> tuple[Csr, AnyArray] | None:
    """Return given clicks (m, n) and one held-out click (m,) of users with two or more; None without such users.

    From 1 to ``MAX_LIKES`` clicks are given, log-uniformly: few more often than many, as the prior matters most there.
    """
    users = np.flatnonzero(np.diff(clicks.indptr) > 1)
    if not len(users):
        return None
    users = rng.permutation(users)[:MAX_USERS]
    given, target = [], np.empty(len(users), dtype=np.int64)
    for row, user in enumerate(users):
        items = rng.permutation(clicks.indices[clicks.indptr[user] : clicks.indptr[user + 1]])
        most = min(MAX_LIKES, len(items) - 1)
        given.append(items[1 : 1 + int(np.exp(rng.random() * np.log(most + 1)))])
        target[row] = items[0]
    indptr = np.cumsum([0, *map(len, given)])
    likes = np.ones(indptr[-1], dtype=np.float32)
    return csr_array((likes, np.concatenate(given), indptr), shape=(len(users), clicks.shape[1])), target
