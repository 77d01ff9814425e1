"""What is known of every item, from the clicks on some and the texts of all: log-odds of a click."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, hstack

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component
from coldstart.rankers.hybrid.answers import Answers
from coldstart.rankers.hybrid.calibration import FLOOR, TOP, Levels, level
from coldstart.rankers.hybrid.content import crowding, kernel, nearest, neighbours
from coldstart.rankers.hybrid.counts import (
    YOUNG,
    clicks_of,
    foretold,
    popularity,
    popularity_weight,
    rated,
    text_share,
    to_come,
)
from coldstart.rankers.hybrid.ease import evened
from coldstart.rankers.hybrid.evidence import base_rate
from coldstart.rankers.hybrid.raw import TEXT_L2, Content, Raw
from coldstart.rankers.hybrid.rising import als_columns, ease_columns
from coldstart.rankers.hybrid.settings import Settings

RISEN = 12.0
"""Least ``few`` of items whose first clicks came after the fit."""


@dataclass(frozen=True, eq=False)
class Experts(Component):
    """Both experts on one scale, for n items as they are now.

    Attributes
    ----------
    warm : ndarray of shape (n_warm,)
        Positions of the items with clicks; -1 for one that was taken out of the catalogue since.
    risen : ndarray of shape (n_risen,)
        Positions of the items whose first clicks came after the fit.
    young : ndarray of shape (n_young,)
        Positions of the items that the content expert scores, the risen ones among them.
    answers : Answers
        From histories (m, n_warm) to raw scores of the warm, risen and young items, (m, n_warm + n_risen + n_young).
    near : csr_array of shape (n_warm, n_young)
        The warm items that stand for a young one in a history.
    crowd : ndarray of shape (n_young,)
        How near the warm items are that are nearest to a young one.
    placing : ndarray of shape (n_warm, n_warm) or None
        From the kernels of an item that comes later with the warm ones to its column of ``answers``; where there are
        too many, it is placed among its nearest neighbours.
    reach : float
        What the weights of a young item sum to.
    counts : ndarray of shape (n_items,)
        Clicks of each item when the experts were fitted; of the risen ones as they are now.
    old : ndarray of shape (n_items,), bool
        Which items were there then.
    vectors, texts : ndarray of shape (n_warm, dim) and (n_young, dim)
        Of the warm and of the young items, to place items that come later or are changed.
    content : Content
    settings : Settings
    """

    warm: IntArray
    risen: IntArray
    young: IntArray
    answers: Answers
    near: Csr
    crowd: FloatArray
    placing: FloatArray | None
    reach: float
    counts: FloatArray
    old: BoolArray
    vectors: FloatArray
    texts: FloatArray
    content: Content
    settings: Settings

    @classmethod
    def of(cls, clicks: Csr, vectors: FloatArray, settings: Settings, content: Content) -> "Experts":
        """Fit on clicks (m, n), weights up to 1, and vectors (n, dim), rows of length one or zero."""
        counts = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        raw = Raw.of(clicks, vectors, settings.collaborative, content, settings.most_young)
        cosines = nearest(vectors[raw.warm], vectors[raw.young])
        return cls(
            warm=raw.warm,
            risen=np.zeros(0, dtype=np.int64),
            young=raw.young,
            answers=raw.answers(),
            near=neighbours(cosines),
            crowd=crowding(cosines),
            placing=raw.placing(),
            reach=raw.reach,
            counts=counts,
            old=np.ones(len(counts), dtype=bool),
            vectors=vectors[raw.warm],
            texts=vectors[raw.young],
            content=content,
            settings=settings,
        )

    def moved(self, vectors: FloatArray, origin: IntArray) -> "Experts":
        """Return the experts of a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        A new item, and one with few or no clicks (at a start: none) whose text was changed, is placed by its text; one
        that has risen is new again.
        """
        known = np.flatnonzero(origin >= 0)
        place = np.full(len(self.counts), -1, dtype=np.int64)
        place[origin[known]] = known
        there = np.maximum(place[self.young], 0)
        same = (vectors[there] == self.texts).all(axis=1)
        if self.settings.rate:
            same |= self.counts[self.young] > 0  # or else its own clicks would count as those of a neighbour
        kept = (place[self.young] >= 0) & same
        changed = there[(place[self.young] >= 0) & ~kept]
        placed = np.sort(np.append(np.flatnonzero(origin < 0), changed))
        young = np.append(place[self.young][kept], placed)
        counts, old = np.zeros(len(origin), dtype=np.float32), np.zeros(len(origin), dtype=bool)
        counts[known], old[known] = self.counts[origin[known]], self.old[origin[known]]
        counts[place[self.risen][place[self.risen] >= 0]] = 0.0
        still = replace(
            self,
            warm=np.where(self.warm >= 0, place[self.warm], -1),
            risen=self.risen[:0],
            young=young,
            counts=counts,
            old=old,
            texts=vectors[young],
        )
        if kept.all() and not len(placed) and not len(self.risen):
            return still
        cosines = nearest(self.vectors, vectors[placed])
        columns = np.append(np.arange(len(self.warm)), len(self.known) + np.flatnonzero(kept))
        return replace(
            still,
            answers=self.answers.grown(columns, self._answers_of(vectors[placed], neighbours(cosines))),
            near=csr_array(hstack([self.near[:, np.flatnonzero(kept)], neighbours(cosines)], format="csr")),
            crowd=np.append(self.crowd[kept], crowding(cosines)),
        )

    def _answers_of(self, texts: FloatArray, near: Csr) -> Answers:
        """The columns of items that come later, (n_warm, q): by their texts (q, dim), or by their neighbours."""
        if self.placing is None:
            return self.answers.smoothed(near * self.reach, self.content.boost)
        return Answers(self.placing @ kernel(self.vectors, texts, self.content.width))

    def rising(self, clicks: Csr) -> "Experts":
        """Return the experts with what clicks (m, n), all there are, say of the items that had none at the fit.

        Of experts as ``moved`` returns them. At a start they count for the others, too.
        """
        now = np.asarray(clicks.sum(axis=0), dtype=np.float32)
        risen = np.flatnonzero((now > 0) & (self.counts == 0))
        counts = now if self.settings.rate else np.where(self.counts > 0, self.counts, now)
        if not len(risen):
            return replace(self, counts=counts) if self.settings.rate else self
        texts = self.texts[np.argsort(self.young)[np.searchsorted(np.sort(self.young), risen)]]
        of_warm, of_risen = self._rows(clicks), csr_array(clicks[:, risen])
        if self.answers.als is not None:
            columns = als_columns(self.answers.als, of_warm, of_risen, texts)
        else:
            both, n_warm = evened(csr_array(hstack([of_warm, of_risen], format="csr"))), len(self.warm)
            of_warm, of_risen = csr_array(both[:, :n_warm]), csr_array(both[:, n_warm:])
            fitted = self.settings.collaborative
            columns = ease_columns(of_warm, of_risen, self.vectors, texts, fitted.l2, fitted.prior, TEXT_L2)
        return replace(self, risen=risen, counts=counts, answers=self.answers.taking_in(len(self.warm), columns))

    def log_odds(self, history: Csr, popular: float = 1.0, strangers: BoolArray | None = None) -> FloatArray:
        """Return log-odds of a click on every item, (m, n), for histories (m, n) of weights up to 1.

        Up to a number that all items of a user share. ``popular`` multiplies what popularity is worth; ``strangers``
        (m,) are users of whom only a request tells.
        """
        shares = self.shares(history, popular, strangers)
        shares.scores[:, self.few.known] = blended(*self._calibrate(shares, popular))
        return self._placed(shares.scores)

    def shares(self, history: Csr, popular: float = 1.0, strangers: BoolArray | None = None) -> "Shares":
        """Return what the log-odds are made of: scores as shares of the users' levels, and what is of the users.

        Popularity is added to the scores by clicks. The columns (m, n_known + n_young) are the ``known`` items by their
        clicks, then the ``young`` by their text.
        """
        scores, levels = self._relative(history)
        users, calibration = clicks_of(history), self.settings.calibration
        scores[:, : len(self.known)] += self._by_popularity(users, popular, strangers)
        return Shares(scores, calibration.of_users(levels, users, strangers), calibration.knows(users))

    def _calibrate(self, shares: "Shares", popular: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Turn shares into log-odds, in place; return what ``blended`` takes of the items with few clicks."""
        calibration, few = self.settings.calibration, self.few
        known, said = np.split(shares.scores, [len(self.known)], axis=1)
        calibration.of_known(known, out=known)
        calibration.of_new(said, shares.of_users, self.of_text(popular), out=said)
        return known[:, few.known], said[:, few.young], few.share, few.foretold * shares.sure

    def voices(self, history: Csr, popular: float = 1.0, strangers: BoolArray | None = None) -> FloatArray:
        """Return how much text, clicks and popularity each have said in ``log_odds``, shape (3, m, n), sums of 1."""
        shares = self.shares(history, popular, strangers)
        if self.settings.rate:
            return self._voices_of_start(shares.scores[:, len(self.known) :], popular)
        of_text, of_clicks, of_many = voices = np.zeros((3, *shares.scores.shape), dtype=np.float32)
        n_known = len(self.known)
        many = self._by_popularity(clicks_of(history), popular, strangers)
        clicks = np.maximum(shares.scores[:, :n_known] - many, FLOOR)
        of_text[:, n_known:] = 1.0
        of_text[:, self.few.known] = text_part(*self._calibrate(shares, popular))
        of_clicks[:, :n_known] = (1.0 - of_text[:, :n_known]) * clicks / (clicks + many)
        of_many[:, :n_known] = (1.0 - of_text[:, :n_known]) * many / (clicks + many)
        return np.stack([self._placed(voice) for voice in voices])

    def _voices_of_start(self, by_text: FloatArray, popular: float) -> FloatArray:
        """The same where the clicks of an item multiply its odds by text: by the logarithms, over the least of each."""
        said = np.log(np.maximum(by_text, FLOOR) / FLOOR)
        many = np.float32(popular * self.settings.rate) * rated(self.counts[self.young], 0.0)
        voices = np.zeros((3, len(by_text), len(self.counts)), dtype=np.float32)
        voices[2][:, self.young] = many / np.maximum(said + many, np.float32(1e-9))
        voices[0] = 1.0 - voices[2]
        return voices

    @cached_property
    def known(self) -> IntArray:
        """Positions of the items that are scored by clicks."""
        return np.append(self.warm, self.risen)

    @cached_property
    def popular(self) -> FloatArray:
        """Clicks of the known items, as a share of the mean of the 20 largest."""
        known = self.known
        return popularity(np.where(known >= 0, self.counts[known], 0.0))

    @cached_property
    def base_rate(self) -> FloatArray:
        """Logarithm of the clicks of every item (n_items,)."""
        return base_rate(self.counts, self._mean, (self.counts == 0) & ~self.old)

    @cached_property
    def _new(self) -> IntArray:
        """Which of the young items have no clicks."""
        return np.flatnonzero(self.counts[self.young] == 0)

    @property
    def _mean(self) -> float:
        """Clicks of an item that had some at the fit."""
        there = self.warm[self.warm >= 0]
        return float(self.counts[there].mean()) if len(there) else 1.0

    def of_text(self, popular: float = 1.0) -> FloatArray:
        """What is of each young item in its log-odds by text, (n_young,)."""
        return self._of_kind + np.float32(popular) * self._rated if self.settings.rate else self._of_kind

    @cached_property
    def _rated(self) -> FloatArray:
        """What clicks add to it at a start; an item that came later starts as one with the mean."""
        counts, old = self.counts[self.young], self.old[self.young]
        odds = np.float32(self.settings.rate) * rated(counts, self._mean)
        return np.where(old, odds, np.maximum(odds, 0.0))

    @cached_property
    def _of_kind(self) -> FloatArray:
        """The same of items that are crowded, old and without clicks, or have few."""
        added = self.settings.calibration.of_crowd(self.crowd)
        added += np.float32(self.settings.unseen) * (self.old & (self.counts == 0))[self.young]
        added[self.few.young] += self.few.to_come
        return added

    @cached_property
    def few(self) -> "Few":
        """The young items with clicks.

        One that has risen is known to be new: it goes on as such, where one of the fit may have been there for long.
        """
        young, known = np.flatnonzero(self.counts[self.young] > 0), self.known
        items, order = self.young[young], np.argsort(known)
        new, counts = np.isin(items, self.risen), self.counts[items]
        at = order[np.searchsorted(known, items, sorter=order)]
        if self.settings.rate:
            none = np.zeros(len(young), dtype=np.float32)
            return Few(young, at, share=none + 1.0, foretold=none, to_come=none)
        few = np.where(counts <= YOUNG, self.settings.few, 0.0)
        share = text_share(counts, np.where(new, max(self.settings.few, RISEN), few))
        return Few(
            young,
            at,
            share,
            foretold(counts) * (share > 0),
            np.where(new, np.float32(0.0), to_come(counts, self._mean)),
        )

    def _rows(self, history: Csr) -> Csr:
        """The columns of the warm items, of zeros where one was taken out."""
        return csr_array(history[:, np.maximum(self.warm, 0)].multiply(self.warm >= 0))

    def _relative(self, history: Csr) -> tuple[FloatArray, Levels]:
        """Scores of the known and then of the young items, as shares of the users' levels; and the levels."""
        items, near = self._rowless
        rows = csr_array(self._rows(history) + history[:, items] @ near)
        scores = self.answers.scores(rows.astype(np.float32))
        by_clicks, by_text = np.split(scores, [len(self.known)], axis=1)
        levels = self._levels(by_clicks, by_text)
        by_clicks /= levels[0]
        by_text /= levels[1]
        return scores, levels

    @cached_property
    def _rowless(self) -> tuple[IntArray, Csr]:
        """Items without a row of their own in ``answers``, (q,), and the warm ones in their place, (q, n_warm)."""
        rowless = np.flatnonzero((self.counts[self.young] == 0) | np.isin(self.young, self.risen))
        return self.young[rowless], csr_array(self.near[:, rowless].T)

    def _levels(self, by_clicks: FloatArray, by_text: FloatArray) -> Levels:
        by_click = level(by_clicks)
        if self.settings.rate:
            return by_click, level(by_text)
        few_to_tell = len(self._new) < TOP
        return by_click, np.float32(self.settings.level) * by_click if few_to_tell else level(by_text[:, self._new])

    def _by_popularity(self, users: FloatArray, popular: float, strangers: BoolArray | None) -> FloatArray:
        """What popularity adds to the relative scores of users with so many clicks: (m, n_known), or (m, 1) of 0."""
        weights = popularity_weight(self.settings.popularity, users)
        if strangers is not None:
            told = popularity_weight(self.settings.popularity_told, users)
            weights = np.where(strangers[:, None], told, weights)
        weights = np.float32(popular) * weights
        return weights * self.popular if weights.any() else weights

    def _placed(self, scores: FloatArray) -> FloatArray:
        """One column for each item, (m, n_items): of the known items, and of the young ones that are new."""
        return np.take(scores, self._columns, axis=1)

    @cached_property
    def _columns(self) -> IntArray:
        """Where each item stands among the known and young ones."""
        there, columns = np.flatnonzero(self.known >= 0), np.empty(len(self.counts), dtype=np.int64)
        columns[self.known[there]] = there
        columns[self.young[self._new]] = len(self.known) + self._new
        return columns


class Shares(NamedTuple):
    """Scores (m, n_known + n_young), what is of users in the log-odds of new items, and who is known well, (m, 1) each.

    Of the others, who have fewer clicks than those that were learned from, nothing is foretold for items with few.
    """

    scores: FloatArray
    of_users: FloatArray
    sure: BoolArray


class Few(NamedTuple):
    """Young items with clicks: where they stand, see ``blended`` for their text's share, and what moves that text.

    Each of shape (n_few,).
    """

    young: IntArray
    known: IntArray
    share: FloatArray
    foretold: FloatArray
    to_come: FloatArray


def blended(by_clicks: FloatArray, by_text: FloatArray, share: FloatArray, foretold: FloatArray) -> FloatArray:
    """Return the log-odds (m, n) of items with few clicks, from those by their clicks and those by their text.

    Their mean by the ``share`` (n,) of the text; and to these odds a part ``foretold`` (m, n) of those by text is
    added: clicks that are few say whom an item is for, not whom it is not for.
    """
    mean = by_clicks * (1.0 - share) + by_text * share
    added = by_text + _log(foretold)
    high = np.maximum(mean, added)
    return np.asarray(high + np.log(1.0 + np.exp(-np.abs(mean - added))), dtype=np.float32)


def text_part(by_clicks: FloatArray, by_text: FloatArray, share: FloatArray, foretold: FloatArray) -> FloatArray:
    """Return how much of what ``blended`` returns the text has said, (m, n), from 0 to 1."""
    added = np.exp(by_text + _log(foretold) - blended(by_clicks, by_text, share, foretold))
    return np.asarray(share * (1.0 - added) + added, dtype=np.float32)


def _log(foretold: FloatArray) -> FloatArray:
    return np.log(np.maximum(foretold, np.float32(1e-30)))
