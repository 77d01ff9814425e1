"""The blend: the prior, the collaborative and the content expert as one sum of odds.

    odds(user, item) = s_clicks + w(item) * s_text + strength / k * exp(prior)

``s_clicks`` are scores by what was clicked together; ``s_text`` those by the texts of what was clicked, for items that
are new or have no clicks; the prior counts as ``strength`` clicks beside the user's own k (Dirichlet smoothing, Zhai
and Lafferty 2004). Where few clicks say what belongs together, both scores are small by their ridge, and the prior
decides; the more there are, the less it matters. Without experts the prior is all there is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.rankers.hybrid.calibration import TOP, Calibration, best_unseen, user_scale
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, Experts
from coldstart.rankers.hybrid.prior import TastePrior, log_base_rates, n_likes

LEAST_TEXT = 0.1
"""Weight below which the text of an item that has clicks is not asked."""

TINY = np.float32(1e-30)
"""Odds of what nothing speaks for, so that they have a logarithm."""


@dataclass(frozen=True, eq=False, repr=False)
class Blend(Component, saved=True):
    """Log-odds of a click on every item, for a catalogue as it is now.

    Attributes
    ----------
    prior : TastePrior
    counts : ndarray of shape (n_items,)
        Clicks of each item: at the fit, and as they are now of those that had none then.
    exposure : ndarray of shape (n_items,) or None
        Share of the clicks that came while the item was there; None: all, for all.
    experts : Experts or None
        None where clicks are too few for them, or do not say more than the prior.
    collaborative : Collaborative or None
        What the experts were fitted with.
    calibration : Calibration
    maybe_new : float
        Chance that an item without clicks, of which nothing is said, is new.
    mean_clicks : float or None
        Clicks of a mean item at the fit; None: as they are now.
    cold_offset : float
        Log-odds added to what the text says of items without clicks that were there from the start.
    config : HybridConfig
    """

    prior: TastePrior
    counts: FloatArray
    exposure: FloatArray | None = None
    experts: Experts | None = None
    collaborative: Collaborative | None = None
    calibration: Calibration = field(default_factory=Calibration)
    maybe_new: float = 0.0
    mean_clicks: float | None = None
    cold_offset: float = 0.0
    config: HybridConfig = field(default_factory=HybridConfig)

    def log_odds(self, history: Csr, vectors: FloatArray, popularity: float = 1.0, novelty: float = 0.0) -> FloatArray:
        """Return log-odds of a click on every item, (m, n), up to a number that all items of a user share.

        Parameters
        ----------
        history : csr_array of shape (m, n)
            Of zeros and ones.
        vectors : ndarray of shape (n, dim)
            Where tastes meet items.
        popularity : float
            Multiplies the log base rate in the prior.
        novelty : float
            Log-odds added to items without clicks.
        """
        if self.experts is None:
            by_taste, by_rate = self.prior.log_odds(history, vectors, self.log_rates, popularity)
            by_taste += by_rate
            odds = by_taste
        else:
            odds = self._odds(history, vectors, popularity)
            np.log(np.maximum(odds, TINY, out=odds), out=odds)
        return odds + np.float32(novelty) * (self.counts == 0) if novelty else odds

    def shares(self, history: Csr, vectors: FloatArray, popularity: float = 1.0) -> FloatArray:
        """Return how much texts, clicks and popularity each have in the odds, shape (3, m, n), sums of 1.

        What the prior says belongs to taste and base rate by how far each raises an item above the mean item.
        """
        prior = prior_odds(self.prior, history, vectors, self.log_rates, popularity)
        by_clicks, by_text = prior.copy(), np.zeros_like(prior)
        if self.experts is not None:
            self._add_experts(history, by_clicks, by_text)
        by_clicks -= prior
        by_taste, by_rate = self.prior.log_odds(history, vectors, self.log_rates, popularity)
        by_taste = np.maximum(by_taste - by_taste.mean(axis=1, keepdims=True), 0.0)
        by_rate = np.maximum(by_rate - by_rate.mean(), 0.0)
        popular = prior * (by_rate / np.maximum(by_taste + by_rate, np.float32(1e-9)))
        total = np.maximum(by_clicks + by_text + prior, TINY)
        return np.asarray(np.stack([by_text + prior - popular, by_clicks, popular]) / total, dtype=np.float32)

    def parts(self, history: Csr, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the odds but for what texts say of items, and that, (m, n) each."""
        odds = prior_odds(self.prior, history, vectors, self.log_rates)
        by_text = np.zeros_like(odds)
        self._add_experts(history, odds, by_text)
        return odds, by_text

    def _odds(self, history: Csr, vectors: FloatArray, popularity: float) -> FloatArray:
        odds = prior_odds(self.prior, history, vectors, self.log_rates, popularity)
        self._add_experts(history, odds, odds)
        return odds

    def _add_experts(self, history: Csr, by_clicks: FloatArray, by_text: FloatArray) -> None:
        """Add what the experts say to the odds of the prior, in place; both may be that array."""
        clicked, text = cast(Experts, self.experts).scores(history)
        columns = self._columns
        by_clicks[:, columns.clicked] += np.maximum(clicked[:, columns.at_clicked], 0.0)
        if len(columns.text):
            of_text = history[:, cast(Experts, self.experts).by_text[columns.scale]]
            scale, text_scale = user_scale(by_clicks, history), user_scale(text[:, columns.scale], of_text)
            of_users = self.calibration.user_terms(scale, text_scale, n_likes(history)) + np.log(scale)
            odds = self.calibration.odds(text[:, columns.at_text] / text_scale, of_users)
            by_text[:, columns.text] += odds * columns.weight

    @cached_property
    def log_rates(self) -> FloatArray:
        """Log base rates of the items, (n_items,)."""
        return log_base_rates(self.counts, self.exposure, self.config.prior_clicks, self.mean_clicks)

    @property
    def is_new(self) -> BoolArray:
        """Which items came after the first clicks, (n_items,)."""
        if self.exposure is None:
            return np.zeros(len(self.counts), dtype=bool)
        return np.asarray(self.exposure < 1.0)

    @property
    def is_old_stock(self) -> BoolArray:
        """Which items have no clicks, though they were there from the start, (n_items,)."""
        return np.asarray((self.counts == 0) & ~self.is_new)

    @cached_property
    def _columns(self) -> "_Columns":
        weights = text_weights(self.counts, self.exposure, self.config.text_clicks, self.log_rates, self.maybe_new)
        weights[self.is_old_stock] *= np.float32(np.exp(self.cold_offset))
        experts = cast(Experts, self.experts)
        columns = _Columns.of(experts, self.counts, self.is_new, weights)
        crowded = np.exp(np.float32(self.calibration.density) * experts.density[columns.at_text])
        return columns._replace(weight=columns.weight * crowded)

    def refreshed(
        self,
        exposure: FloatArray | None,
        clicks: Csr,
        origin: IntArray,
        place: Callable[[IntArray], FloatArray],
        edited: IntArray,
    ) -> "Blend":
        """Return the blend of a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        Parameters
        ----------
        exposure : ndarray of shape (n,) or None
        clicks : csr_array of shape (m, n)
            All there are now; a weight above 1 counts as 1.
        place : callable
            Returns where items meet items, rows of length one, for positions of some.
        edited : ndarray
            Positions of items whose text was changed.
        """
        weights = np.minimum(clicks.data, 1.0)
        now = np.bincount(clicks.indices, weights, len(origin)).astype(np.float32)
        known = np.flatnonzero(origin >= 0)
        now_at = np.full(len(self.counts), -1, dtype=np.int64)
        now_at[origin[known]] = known
        if self.experts is None:
            return replace(self, counts=now, exposure=exposure)
        fixed = np.zeros(len(origin), dtype=bool)  # what was learned of an item with clicks stays until the next fit
        warm = now_at[self.experts.warm[self.experts.warm >= 0]]
        fixed[warm[warm >= 0]] = True
        before = np.zeros(len(origin), dtype=np.float32)
        before[known] = self.counts[origin[known]]
        new = np.union1d(np.flatnonzero(origin < 0), edited[~fixed[edited]])
        experts = self.experts.moved(now_at, new, place(new) if len(new) else self.experts.vectors[:0])
        clicked = np.flatnonzero(~fixed & ((now != before) | (now > 0) & np.isin(np.arange(len(now)), edited)))
        experts = experts.folding_in(clicked, clicks, place(clicked)) if len(clicked) else experts
        return replace(self, counts=np.where(fixed, before, now), exposure=exposure, experts=experts)


class _Columns(NamedTuple):
    """Where the experts' columns belong.

    Attributes
    ----------
    clicked, at_clicked : ndarray
        Positions of the items that have a score by clicks, and their columns.
    text, at_text, weight : ndarray
        Positions of those that have one by text, their columns, and its weight.
    scale : ndarray
        Columns by text that tell a user's scale: of the new items without clicks or, where these are few, all.
    """

    clicked: IntArray
    at_clicked: IntArray
    text: IntArray
    at_text: IntArray
    weight: FloatArray
    scale: IntArray

    @classmethod
    def of(cls, experts: Experts, counts: FloatArray, is_new: BoolArray, weights: FloatArray) -> "_Columns":
        """Look the columns up, from what is known of the items (n,) and the weights of their texts."""
        with_clicks = experts.with_clicks
        at_clicked = np.flatnonzero((with_clicks >= 0) & (counts[with_clicks] > 0))
        by_text = experts.by_text
        at_text = np.flatnonzero((by_text >= 0) & (weights[by_text] > 0))
        new = np.flatnonzero((by_text >= 0) & (counts[by_text] == 0) & is_new[by_text])
        return cls(
            with_clicks[at_clicked],
            at_clicked,
            by_text[at_text],
            at_text,
            weights[by_text[at_text]],
            new if len(new) >= TOP else at_text,
        )


def prior_odds(
    prior: TastePrior, history: Csr, vectors: FloatArray, log_rates: FloatArray, popularity: float = 1.0
) -> FloatArray:
    """Return strength / k * exp(log-odds), (m, n); the median of the ``TOP`` best of a user's exponentials is 1."""
    odds, by_rate = prior.log_odds(history, vectors, log_rates, popularity)
    odds += by_rate
    odds -= np.median(best_unseen(odds, history), axis=1, keepdims=True)
    np.exp(odds, out=odds)
    odds *= np.float32(prior.strength) / n_likes(history)
    return odds


def text_weights(
    counts: FloatArray,
    exposure: FloatArray | None,
    half: float,
    log_rates: FloatArray | None = None,
    maybe_new: float = 0.0,
) -> FloatArray:
    """Return how much the text of each item counts, (n,); 0 where it is not asked.

    Of an item without clicks it speaks at the base rate (``log_rates``, by default those of new items): what it
    predicts are the clicks of a mean item. Of a new one with c clicks it has half / (half + c) of its weight, which
    fades as the item's exposure grows: the text of a new item says more than its first click. An item with clicks that
    was there from the start is known by these. One without clicks of which nothing is said is new with the chance
    ``maybe_new``, and counts by the mean of both rates.
    """
    new = np.zeros_like(counts) if exposure is None else 1.0 - exposure
    rates = np.ones_like(counts) if log_rates is None else np.exp(log_rates)
    rates = np.where(new > 0, rates, maybe_new + (1.0 - maybe_new) * rates)
    clicked = new * half / (half + counts)
    return np.where(counts > 0, clicked * (clicked >= LEAST_TEXT), rates).astype(np.float32)
