"""The two experts on clicks, fitted together: one for items with clicks, one for items without."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.rankers.hybrid.calibration import Calibration, level
from coldstart.rankers.hybrid.content import KernelRidge, smoother
from coldstart.rankers.hybrid.ease import PriorEASE, Ridge, TextPrior

TEXT_L2 = 10.0
"""Ridge of the text prior; flat from 3 to 30."""

YOUNG = 10
"""Clicks up to which text may speak for an item that has some."""

MOST_EXACT = 20_000
"""Items with clicks up to which the kernel is inverted (1.6 GB); above, the nearest neighbours are averaged."""


@dataclass(frozen=True)
class Settings(Component):
    """The numbers that are learned on a pseudo-cold fold.

    Attributes
    ----------
    l2, prior : float
        Ridge of the collaborative expert, and the weight of its text prior as a share of it.
    popularity : tuple of (float, float)
        Pairs of a user's clicks and what the most popular items get added to their relative scores then.
    collaborative, content : Calibration
        From scores to log-odds, of items with clicks and without.
    """

    l2: float = 100.0
    prior: float = 1.0
    popularity: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    collaborative: Calibration = field(default_factory=Calibration)
    content: Calibration = field(default_factory=Calibration)


@dataclass(frozen=True)
class Content(Component):
    """How the content expert works.

    Attributes
    ----------
    width, l2 : float
        Of the kernel, see ``KernelRidge``.
    boost : float
        How much the collaborative scores count beside the clicks as its targets.
    few : float
        Clicks at which an item's own clicks count as much as its text; 0: any click decides.
    """

    width: float = 3.0
    l2: float = 3.0
    boost: float = 3.0
    few: float = 0.0


@dataclass(frozen=True, eq=False)
class Experts(Component):
    """What is known of n items from the clicks on some of them and the texts of all.

    Attributes
    ----------
    warm : ndarray of shape (n_warm,)
        Positions of the items with clicks; -1 for one that was taken out of the catalogue since.
    ease : PriorEASE
        Among the warm items.
    young : ndarray of shape (n_young,)
        Positions of the items that the content expert scores: those without clicks, and, with ``content.few``, those
        with few.
    weights : ndarray of shape (n_warm, n_young)
        How much it counts for them that a warm item is liked.
    popular : ndarray of shape (n_warm,)
        Clicks, as a share of the mean of the 20 largest.
    counts : ndarray of shape (n_items,)
        Clicks of each item when the experts were fitted.
    vectors, texts : ndarray of shape (n_warm, dim) and (n_young, dim)
        Of the warm and of the young items, to place items that come later or are changed.
    content : Content
    settings : Settings
    """

    warm: IntArray
    ease: PriorEASE
    young: IntArray
    weights: FloatArray
    popular: FloatArray
    counts: FloatArray
    vectors: FloatArray
    texts: FloatArray
    content: Content
    settings: Settings

    @classmethod
    def of(cls, clicks: Csr, vectors: FloatArray, settings: Settings, content: Content) -> "Experts":
        """Fit on clicks (m, n), 0 or 1, and vectors (n, dim), rows of length one or zero."""
        counts = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        warm = np.flatnonzero(counts)
        columns = csr_array(clicks[:, warm])
        young = np.flatnonzero(counts <= (YOUNG if content.few else 0))
        return cls(
            warm=warm,
            ease=PriorEASE.of(Ridge.of(columns, settings.l2), TextPrior.of(vectors[warm], TEXT_L2), settings.prior),
            young=young,
            weights=_content_weights(vectors, warm, young, content),
            popular=popularity(counts[warm]),
            counts=counts,
            vectors=vectors[warm],
            texts=vectors[young],
            content=content,
            settings=settings,
        )

    def moved(self, vectors: FloatArray, origin: IntArray) -> "Experts":
        """Return the experts of a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        A new item, and one without clicks whose text was changed, is placed among its nearest neighbours, at the usual
        sum of weights.
        """
        known = np.flatnonzero(origin >= 0)
        place = np.full(len(self.counts), -1, dtype=np.int64)
        place[origin[known]] = known
        there = np.maximum(place[self.young], 0)
        kept = (place[self.young] >= 0) & (vectors[there] == self.texts).all(axis=1)
        changed = there[(place[self.young] >= 0) & ~kept]
        placed = np.sort(np.append(np.flatnonzero(origin < 0), changed))
        total = np.abs(self.weights.sum(axis=0)).mean() if self.weights.size else 1.0
        added = smoother(self.vectors, vectors[placed]) * np.float32(total)
        young = np.append(place[self.young][kept], placed)
        counts = np.zeros(len(origin), dtype=np.float32)
        counts[known] = self.counts[origin[known]]
        return replace(
            self,
            warm=place[self.warm],
            young=young,
            texts=vectors[young],
            weights=np.hstack([self.weights[:, kept], added]).astype(np.float32),
            counts=counts,
        )

    def scores(self, history: Csr) -> tuple[FloatArray, FloatArray]:
        """Return raw scores of the warm and of the young items, (m, n_warm) and (m, n_young)."""
        known = csr_array(history[:, np.maximum(self.warm, 0)].multiply(self.warm >= 0)).astype(np.float32)
        known = csr_array(known + self._stand_ins(history))
        collaborative = self.ease.scores(known)
        targets = collaborative * np.float32(self.content.boost)
        targets += known.toarray()
        return collaborative, np.asarray(targets @ self.weights, dtype=np.float32)

    def _stand_ins(self, history: Csr) -> Csr:
        """Clicks on items that had none when the experts were fitted, dealt out among the warm items like them."""
        new = np.flatnonzero(self.counts[self.young] == 0)
        told = csr_array(history[:, self.young[new]])
        if not told.nnz:
            return csr_array((history.shape[0], len(self.warm)), dtype=np.float32)
        asked = np.unique(told.indices)
        near = np.maximum(self.weights[:, new[asked]], 0.0)
        near /= np.maximum(near.sum(axis=0), 1e-9)
        return csr_array(told[:, asked] @ csr_array(near.T))

    def log_odds(self, history: Csr) -> FloatArray:
        """Return log-odds of a click on every item, (m, n), for histories (m, n) of 0 and 1."""
        settings, users = self.settings, clicks_of(history)
        level_of_clicks, by_clicks, level_of_text, by_text = self.relative(*self.scores(history), users)
        new = self.counts[self.young] == 0
        self._blend(by_clicks, by_text, ~new)
        there = self.warm >= 0
        odds = np.empty((len(users), len(self.counts)), dtype=np.float32)
        odds[:, self.warm[there]] = settings.collaborative.logits(by_clicks[:, there], level_of_clicks, users)
        odds[:, self.young[new]] = settings.content.logits(by_text[:, new], level_of_text, users)
        return odds

    def relative(
        self, collaborative: FloatArray, content: FloatArray, users: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return each user's level of an expert, and scores as shares of it, for clicks and for text.

        ``users`` are their numbers of clicks, (m, 1).
        """
        clicks, text = level(collaborative), level(content)
        popular = popularity_weight(self.settings.popularity, users) * self.popular
        return clicks, collaborative / clicks + popular, text, content / text

    def _blend(self, by_clicks: FloatArray, by_text: FloatArray, known: BoolArray) -> None:
        """Let the text speak for items with few clicks: the more clicks, the less."""
        if not known.any():
            return
        own = self.counts[self.young[known]]
        share = own / (own + np.float32(self.content.few))
        order = np.argsort(self.warm)
        at = order[np.searchsorted(self.warm, self.young[known], sorter=order)]
        by_clicks[:, at] = by_clicks[:, at] * share + by_text[:, known] * (1.0 - share)


def clicks_of(history: Csr) -> FloatArray:
    """Return how many clicks each row has, at least 1, shape (m, 1)."""
    return np.maximum(np.asarray(history.sum(axis=1), dtype=np.float32), np.float32(1.0))[:, None]


def popularity(counts: AnyArray) -> FloatArray:
    """Return clicks as a share of the mean of the 20 largest."""
    return np.asarray(counts / max(np.sort(counts)[-20:].mean(), 1e-9), dtype=np.float32)


def popularity_weight(weights: Sequence[tuple[float, float]], users: FloatArray) -> FloatArray:
    """Return how much popularity counts for users with so many clicks: between the pairs by their logarithm."""
    clicks, values = np.array(weights, dtype=np.float64).T
    return np.asarray(np.interp(np.log(users), np.log(clicks), values), dtype=np.float32)


def _content_weights(vectors: FloatArray, warm: IntArray, young: IntArray, content: Content) -> FloatArray:
    known = np.isin(young, warm)
    if len(warm) > MOST_EXACT:
        weights = smoother(vectors[warm], vectors[young])
        weights[np.searchsorted(warm, young[known]), np.flatnonzero(known)] = 0.0  # its own clicks are not its text
        return np.asarray(weights / np.maximum(weights.sum(axis=0), 1e-9), dtype=np.float32)
    regression = KernelRidge.of(vectors[warm], content.width, content.l2)
    weights = np.empty((len(warm), len(young)), dtype=np.float32)
    weights[:, known] = regression.leave_one_out(np.searchsorted(warm, young[known]))
    weights[:, ~known] = regression.weights(vectors[young[~known]])
    return weights
