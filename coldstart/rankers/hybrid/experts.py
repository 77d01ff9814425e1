"""What is known of every item, from the clicks on some and the texts of all: log-odds of a click."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array, hstack

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.rankers.hybrid.answers import Answers
from coldstart.rankers.hybrid.calibration import FLOOR, TOP, Calibration, Levels, level
from coldstart.rankers.hybrid.content import crowding, nearest, neighbours
from coldstart.rankers.hybrid.folds import HELD
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw


@dataclass(frozen=True)
class Settings(Component):
    """What is learned on a pseudo-cold fold.

    Attributes
    ----------
    collaborative : Collaborative
        The expert on clicks.
    popularity : tuple of (float, float)
        Pairs of a user's clicks and what the most popular items get added to their relative scores then.
    calibration : Calibration
        From scores to log-odds.
    few : float
        Clicks at which an item's own clicks count as much as its text, of items with at most ``YOUNG``.
    """

    collaborative: Collaborative = field(default_factory=Collaborative)
    popularity: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    calibration: Calibration = field(default_factory=Calibration)
    few: float = 10.0


@dataclass(frozen=True, eq=False)
class Experts(Component):
    """Both experts on one scale, for n items as they are now.

    Attributes
    ----------
    warm : ndarray of shape (n_warm,)
        Positions of the items with clicks; -1 for one that was taken out of the catalogue since.
    young : ndarray of shape (n_young,)
        Positions of the items that the content expert scores.
    answers : Answers
        From histories (m, n_warm) to raw scores of the warm and the young items, (m, n_warm + n_young).
    near : csr_array of shape (n_warm, n_young)
        The warm items that stand for a young one in a history.
    crowd : ndarray of shape (n_young,)
        How near the warm items are that are nearest to a young one.
    reach : float
        What the weights of a young item sum to.
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
    young: IntArray
    answers: Answers
    near: Csr
    crowd: FloatArray
    reach: float
    popular: FloatArray
    counts: FloatArray
    vectors: FloatArray
    texts: FloatArray
    content: Content
    settings: Settings

    @classmethod
    def of(cls, clicks: Csr, vectors: FloatArray, settings: Settings, content: Content) -> "Experts":
        """Fit on clicks (m, n), weights up to 1, and vectors (n, dim), rows of length one or zero."""
        counts = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        raw = Raw.of(clicks, vectors, settings.collaborative, content, settings.few > 0)
        cosines = nearest(vectors[raw.warm], vectors[raw.young])
        return cls(
            warm=raw.warm,
            young=raw.young,
            answers=raw.answers(),
            near=neighbours(cosines),
            crowd=crowding(cosines),
            reach=raw.reach,
            popular=popularity(counts[raw.warm]),
            counts=counts,
            vectors=vectors[raw.warm],
            texts=vectors[raw.young],
            content=content,
            settings=settings,
        )

    def moved(self, vectors: FloatArray, origin: IntArray) -> "Experts":
        """Return the experts of a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        A new item, and one without clicks whose text was changed, is placed among its nearest neighbours.
        """
        known = np.flatnonzero(origin >= 0)
        place = np.full(len(self.counts), -1, dtype=np.int64)
        place[origin[known]] = known
        there = np.maximum(place[self.young], 0)
        kept = (place[self.young] >= 0) & (vectors[there] == self.texts).all(axis=1)
        changed = there[(place[self.young] >= 0) & ~kept]
        placed = np.sort(np.append(np.flatnonzero(origin < 0), changed))
        cosines = nearest(self.vectors, vectors[placed])
        added = neighbours(cosines)
        young = np.append(place[self.young][kept], placed)
        columns = np.append(np.arange(len(self.warm)), len(self.warm) + np.flatnonzero(kept))
        counts = np.zeros(len(origin), dtype=np.float32)
        counts[known] = self.counts[origin[known]]
        return replace(
            self,
            warm=place[self.warm],
            young=young,
            answers=self.answers.grown(columns, added * self.reach, self.content.boost),
            near=csr_array(hstack([self.near[:, np.flatnonzero(kept)], added], format="csr")),
            crowd=np.append(self.crowd[kept], crowding(cosines)),
            texts=vectors[young],
            counts=counts,
        )

    def log_odds(self, history: Csr, popular: float = 1.0) -> FloatArray:
        """Return log-odds of a click on every item, (m, n), for histories (m, n) of weights up to 1.

        Up to a number that all items of a user share. ``popular`` multiplies what popularity is worth.
        """
        settings, users = self.settings, clicks_of(history)
        by_clicks, by_text, levels = self._relative(history)
        by_clicks += popular * popularity_weight(settings.popularity, users) * self.popular
        known = settings.calibration.of_known(by_clicks)
        said = settings.calibration.of_new(by_text, levels, users, self.crowd)
        few, at = self._few()
        known[:, at] = blended(known[:, at], said[:, few], self.counts[self.young[few]], self._mean, settings.few)
        new, there = self._new, self.warm >= 0
        odds = np.empty((len(users), len(self.counts)), dtype=np.float32)
        odds[:, self.warm[there]] = known[:, there]
        odds[:, self.young[new]] = said[:, new]
        return odds

    def liked_along(self, likes: Csr) -> FloatArray:
        """Return how much the items with clicks are liked by who likes these (m, n), as shares of the best 20."""
        by_clicks, _, _ = self._relative(likes)
        found = np.zeros(likes.shape, dtype=np.float32)
        there = self.warm >= 0
        found[:, self.warm[there]] = np.maximum(by_clicks, 0.0)[:, there]
        return found

    def voices(self, history: Csr, popular: float = 1.0) -> FloatArray:
        """Return how much text, clicks and popularity each have said in ``log_odds``, shape (3, m, n), sums of 1."""
        by_clicks, _, _ = self._relative(history)
        weight = popular * popularity_weight(self.settings.popularity, clicks_of(history)) * self.popular
        few, at = self._few()
        of_text = np.zeros(len(self.warm), dtype=np.float32)
        of_text[at] = text_share(self.counts[self.young[few]], self.settings.few)
        clicks = np.maximum(by_clicks, FLOOR)
        of_clicks, of_many = ((1.0 - of_text) * part / (clicks + weight) for part in (clicks, weight))
        there = self.warm >= 0
        said = np.zeros((3, history.shape[0], len(self.counts)), dtype=np.float32)
        said[0][:, self.young[self._new]] = 1.0
        said[0][:, self.warm[there]] = of_text[there]
        said[1][:, self.warm[there]] = of_clicks[:, there]
        said[2][:, self.warm[there]] = of_many[:, there]
        return said

    @property
    def fame(self) -> FloatArray:
        """Logarithm of the clicks of every item (n_items,), as a share of the 20 largest; new ones have the mean."""
        clicks = np.log1p(np.where(self.counts > 0, self.counts, self._mean))
        return np.asarray(clicks / level(clicks[None])[0], dtype=np.float32)

    @property
    def _new(self) -> IntArray:
        """Which of the young items have no clicks."""
        return np.flatnonzero(self.counts[self.young] == 0)

    @property
    def _mean(self) -> float:
        """Clicks of an item that has some."""
        return float(self.counts.sum() / max(np.count_nonzero(self.counts), 1))

    def _few(self) -> tuple[IntArray, IntArray]:
        """Young items with clicks: which of the young they are, and which of the warm."""
        few = np.flatnonzero(self.counts[self.young] > 0)
        order = np.argsort(self.warm)
        return few, order[np.searchsorted(self.warm, self.young[few], sorter=order)]

    def _relative(self, history: Csr) -> tuple[FloatArray, FloatArray, Levels]:
        """Scores of the warm and of the young items, as shares of the users' levels; and the levels."""
        there = self.warm >= 0
        known = history[:, np.maximum(self.warm, 0)].multiply(there)
        known = csr_array(known + history[:, self.young[self._new]] @ self.near[:, self._new].T, dtype=np.float32)
        scores = self.answers.scores(known)
        by_clicks, by_text = scores[:, : len(self.warm)], scores[:, len(self.warm) :]
        return relative(by_clicks, by_text, self._new if len(self._new) >= TOP else slice(None))


def text_share(counts: FloatArray, few: float) -> FloatArray:
    """Return how much the text of items with so many clicks counts beside these."""
    return np.asarray(few / (counts + few), dtype=np.float32)


def blended(known: FloatArray, said: FloatArray, counts: FloatArray, mean: float, few: float) -> FloatArray:
    """Return the log-odds (m, n) of items with few clicks, from those by their clicks and those by their text.

    What a text says is said of new items, all of whose clicks are to come: ``mean``. An item with a few goes on as it
    began, and the odds by clicks are those of the share ``HELD`` of all clicks.
    """
    to_come = np.log((counts + 0.5) * HELD / (1.0 - HELD) / mean).astype(np.float32)
    share = text_share(counts, few)
    return np.asarray(known * (1.0 - share) + (said + to_come) * share, dtype=np.float32)


def relative(
    by_clicks: FloatArray, by_text: FloatArray, new: IntArray | slice
) -> tuple[FloatArray, FloatArray, Levels]:
    """Divide scores by each user's level of the expert, that of text among ``new`` items, in place; return both."""
    levels = level(by_clicks), level(by_text[:, new])
    by_clicks /= levels[0]
    by_text /= levels[1]
    return by_clicks, by_text, levels


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
