"""The blend: odds of a click as a sum of the prior, the collaborative expert and the content expert.

    odds(u, i) = max(clicks(u, i), 0) + w(i) * text(u, i) + s / k * prior(u, i)

==============  ======================================================================================================
odds(u, i)      odds that user u clicks item i next, up to a factor that all items of u share
clicks(u, i)    score of the collaborative expert, 0 for an item without clicks
text(u, i)      score of the content expert, calibrated to the scale of the other two (``Calibration``)
w(i)            weight of the text of item i, from 0 to 1 (``text_weights``)
prior(u, i)     odds by taste and base rate (``TastePrior``), scaled so that the median of the 20 best unseen items is 1
s, k            prior strength, and the number of items that u likes
==============  ======================================================================================================

Odds are added and not log-odds, because the experts say that items go together, and have nothing to say of most items:
where a score is 0 the order is that of the prior. Scores grow with the likes and the prior shrinks with them, in the
manner of Dirichlet smoothing (Zhai and Lafferty 2004): it is large beside one like and small beside fifty; s is in the
unit of the experts' scores. It needs no knob for data with few clicks, either: there the ridge of the experts makes
both their scores small. Without experts the prior is all there is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.errors import SavedFolderError
from coldstart.rankers.hybrid.calibration import Calibration, user_scale
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, Experts
from coldstart.rankers.hybrid.prior import TOP, TastePrior, log_base_rates, n_likes

LEAST_TEXT = 0.1
"""Weight below which the text of an item with clicks is left out, so that it needs no column."""

TINY = np.float32(1e-30)
"""Odds of an item that no source supports, so that they have a logarithm."""


@dataclass(frozen=True, eq=False, repr=False)
class Blend(Component, saved=True):
    """Log-odds of a click on every item, for one state of the catalogue.

    Attributes
    ----------
    prior : TastePrior
    counts : ndarray of shape (n_items,)
        Clicks on each item: those of the fit, and for items that had none then those of now.
    exposure : ndarray of shape (n_items,) or None
        Share of the clicks that came while the item was in the catalogue; None: all, for all items.
    experts : Experts or None
        None where clicks are too few for experts, or experts do no better than the prior.
    collaborative : Collaborative or None
        Settings that the experts were fitted with.
    calibration : Calibration
    maybe_new : float
        Probability that an item without clicks is new, where nothing is known of its arrival.
    mean_clicks : float or None
        Clicks of a mean item at the fit; None: those of now.
    cold_offset : float
        Added to the log-odds by text of old stock without clicks, at most 0.
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

    def check_loaded(self, n_items: int) -> None:
        """Raise ``SavedFolderError`` where numbers, read from a folder, are not of so many items."""
        if self.counts.shape != (n_items,) or (self.exposure is not None and self.exposure.shape != (n_items,)):
            raise SavedFolderError(f"The saved counts of clicks must be of {n_items:,} items; got {self.counts.shape}.")
        if self.experts is not None:
            self.experts.check_loaded(n_items)

    def log_odds(self, history: Csr, vectors: FloatArray, popularity: float = 1.0, novelty: float = 0.0) -> FloatArray:
        """Return log-odds of a click on every item, (m, n), up to a number that all items of a user share.

        Parameters
        ----------
        history : csr_array of shape (m, n)
            Weights from 0 to 1.
        vectors : ndarray of shape (n, dim)
            Item vectors for tastes, see ``ItemSpace.tastes``.
        popularity : float
            Multiplies the log base rate in the prior.
        novelty : float
            Log-odds added to items without clicks.
        """
        if self.experts is None:
            odds, by_rate = self.prior.log_odds(history, vectors, self.log_rates, popularity)
            odds += by_rate
        else:
            odds = self.prior.odds(history, vectors, self.log_rates, popularity)
            self._add_experts(history, odds, odds)
            np.log(np.maximum(odds, TINY, out=odds), out=odds)
        return odds + np.float32(novelty) * (self.counts == 0) if novelty else odds

    def shares(self, history: Csr, vectors: FloatArray, popularity: float = 1.0) -> FloatArray:
        """Return the shares of texts, clicks and popularity in the odds, shape (3, m, n), sums of 1.

        The prior is a product of taste and base rate. Its part of the odds is split between texts and popularity in
        proportion to how far each of the two raises the item's log-odds above those of the mean item.
        """
        prior = self.prior.odds(history, vectors, self.log_rates, popularity)
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
        """Return two parts of the odds, (m, n) each: by the prior and by clicks, and by text."""
        odds = self.prior.odds(history, vectors, self.log_rates)
        by_text = np.zeros_like(odds)
        self._add_experts(history, odds, by_text)
        return odds, by_text

    def _add_experts(self, history: Csr, odds: FloatArray, by_text: FloatArray) -> None:
        """Add the scores by clicks to the odds of the prior, and those by text to ``by_text``, (m, n) each, in place.

        Both may be the same array: rows are as long as the catalogue, so a copy costs more than the sum.
        """
        experts, columns = cast(Experts, self.experts), self._columns
        click_scores, text_scores = experts.scores(history)
        # A score below 0 says that an item is clicked less than by chance by such users. That is no evidence beyond a
        # score of 0, which leaves the item to the prior, and odds cannot be negative.
        odds[:, columns.clicked] += np.maximum(click_scores[:, columns.at_clicked], 0.0)
        if not len(columns.text):
            return
        # Measured before the texts are added, as the calibration was learned: on the odds by prior and clicks.
        scale = user_scale(odds, history)
        text_scale = user_scale(text_scores[:, columns.scale], history[:, experts.by_text[columns.scale]])
        # Calibrated odds are shares of the user's scale; adding log(scale) brings them back to the scale of the odds.
        user_terms = self.calibration.user_terms(scale, text_scale, n_likes(history)) + np.log(scale)
        calibrated = self.calibration.odds(text_scores[:, columns.at_text] / text_scale, user_terms)
        by_text[:, columns.text] += calibrated * columns.weight

    @cached_property
    def log_rates(self) -> FloatArray:
        """Log base rates of the items, (n_items,)."""
        return log_base_rates(self.counts, self.exposure, self.config.prior_clicks, self.mean_clicks)

    @property
    def is_new(self) -> BoolArray:
        """Items that arrived after the first clicks, (n_items,)."""
        if self.exposure is None:
            return np.zeros(len(self.counts), dtype=bool)
        return np.asarray(self.exposure < 1.0)

    @property
    def is_old_stock(self) -> BoolArray:
        """Items without clicks that were there from the start, (n_items,)."""
        return np.asarray((self.counts == 0) & ~self.is_new)

    @cached_property
    def _columns(self) -> "_Columns":
        experts = cast(Experts, self.experts)
        weights = text_weights(self.counts, self.exposure, self.config.text_clicks, self.log_rates, self.maybe_new)
        # Chosen by ``tuning.cold_offset``, so that old stock stays within its share of the first 20 places.
        weights[self.is_old_stock] *= np.float32(np.exp(self.cold_offset))
        # An item with a position of -1, which has been removed, is in neither list.
        at_clicked = np.flatnonzero((experts.by_clicks >= 0) & (self.counts[experts.by_clicks] > 0))
        present = experts.by_text >= 0
        at_text = np.flatnonzero(present & (weights[experts.by_text] > 0))
        text = experts.by_text[at_text]
        # Scores by text are measured by the new items, as those of the fold are on which the calibration was learned.
        new = np.flatnonzero(present & (self.counts[experts.by_text] == 0) & self.is_new[experts.by_text])
        # Where many items have much the same text, one is easily taken for another: the coefficient is at most 0.
        crowding = np.exp(np.float32(self.calibration.density) * experts.density[at_text])
        scale = new if len(new) >= TOP else at_text
        return _Columns(experts.by_clicks[at_clicked], at_clicked, text, at_text, weights[text] * crowding, scale)

    def refreshed(
        self,
        exposure: FloatArray | None,
        clicks: Csr,
        origin: IntArray,
        place: Callable[[IntArray], FloatArray],
        edited: IntArray,
    ) -> "Blend":
        """Return the blend of a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        What was learned of items with clicks stays until the next fit: their counts, with the exposures that belong to
        these, and their columns. New and edited items without clicks at the fit get columns by text, and those with
        first clicks a column by clicks.

        Parameters
        ----------
        exposure : ndarray of shape (n,) or None
        clicks : csr_array of shape (m, n)
            All clicks there are now; a weight above 1 counts as 1.
        place : callable
            Returns the item vectors of some positions, rows of length one.
        edited : ndarray
            Positions of items whose text has changed.
        """
        n = len(origin)
        counts_now = np.bincount(clicks.indices, np.minimum(clicks.data, 1.0), n).astype(np.float32)
        if self.experts is None:
            return replace(self, counts=counts_now, exposure=exposure)
        kept = np.flatnonzero(origin >= 0)
        position = np.full(len(self.counts), -1, dtype=np.int64)
        position[origin[kept]] = kept
        counts_before = np.zeros(n, dtype=np.float32)
        counts_before[kept] = self.counts[origin[kept]]
        fitted = np.zeros(n, dtype=bool)
        warm = position[self.experts.warm[self.experts.warm >= 0]]
        fitted[warm[warm >= 0]] = True
        by_text = np.union1d(np.flatnonzero(origin < 0), edited[~fitted[edited]])
        experts = self.experts.with_items(
            position, by_text, place(by_text) if len(by_text) else self.experts.vectors[:0]
        )
        # A column by clicks depends on the text of the item as well, through the text prior.
        was_edited = np.isin(np.arange(n), edited)
        clicked = np.flatnonzero(~fitted & ((counts_now != counts_before) | (counts_now > 0) & was_edited))
        if len(clicked):
            experts = experts.with_first_clicks(clicked, clicks, place(clicked))
        if exposure is not None:
            # The counts of the fit beside the exposure of today would make an item less popular by waiting alone.
            exposure_before = np.ones(len(self.counts)) if self.exposure is None else self.exposure
            exposure = np.where(fitted, exposure_before[origin], exposure).astype(np.float32)
        return replace(self, counts=np.where(fitted, counts_before, counts_now), exposure=exposure, experts=experts)


class _Columns(NamedTuple):
    """Which columns of the experts' scores belong to which items.

    Attributes
    ----------
    clicked, at_clicked : ndarray
        Positions of the items with a score by clicks, and their columns.
    text, at_text, weight : ndarray
        Positions of the items with a score by text, their columns, and the weights of their texts.
    scale : ndarray
        Columns by text that measure a user's scale: of new items without clicks if these are at least 20, else all.
    """

    clicked: IntArray
    at_clicked: IntArray
    text: IntArray
    at_text: IntArray
    weight: FloatArray
    scale: IntArray


def text_weights(
    counts: FloatArray,
    exposure: FloatArray | None,
    half: float,
    log_rates: FloatArray | None = None,
    maybe_new: float = 0.0,
) -> FloatArray:
    """Return how much the score by text of each item counts, shape (n,); 0 where it is not used.

    ==============================================  ==================================================================
    item                                            weight
    ==============================================  ==================================================================
    without clicks, e < 1                           its base rate
    without clicks, there from the start            maybe_new + (1 - maybe_new) * its base rate
    with c clicks                                   (1 - e) * half / (half + c), and 0 where that is below 0.1
    ==============================================  ==================================================================

    Here e is the exposure of the item. The base rate is the posterior mean of a Gamma-Poisson model, see
    ``log_base_rates``, in units of a mean item: the text predicts what a mean item would get, and an item that nobody
    clicked in all that time is expected to get less. Where nothing is known of its arrival it may be new all the same,
    and then counts as a mean item: its weight is the mean over both cases.

    Parameters
    ----------
    counts : ndarray of shape (n,)
        Clicks on each item.
    exposure : ndarray of shape (n,) or None
        Share of the clicks that came while the item was in the catalogue; None: all, for all items.
    half : float
        Clicks with which the text of a new item has half of its weight.
    log_rates : ndarray of shape (n,), optional
        Log base rates; by default all 0, those of mean items.
    maybe_new : float
        Probability that an item without clicks, there from the start as far as is known, is new.
    """
    newness = np.zeros_like(counts) if exposure is None else 1.0 - exposure
    rates = np.ones_like(counts) if log_rates is None else np.exp(log_rates)
    rates = np.where(newness > 0, rates, maybe_new + (1.0 - maybe_new) * rates)
    clicked = newness * half / (half + counts)
    return np.where(counts > 0, clicked * (clicked >= LEAST_TEXT), rates).astype(np.float32)
