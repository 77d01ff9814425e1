"""The best items of each user, without the log-odds of all the others."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import (
    AnyArray,
    BoolArray,
    Csr,
    FloatArray,
    IntArray,
    blocks,
    in_rows,
    near_largest,
    positions_of,
)
from coldstart.base import Hits
from coldstart.index.topk import Ranked, as_hits
from coldstart.rankers.hybrid.calibration import FLOOR
from coldstart.rankers.hybrid.experts import Experts, Shares, blended

SLACK = np.float32(1e-3)
"""Log-odds by which sums in another order may differ."""

BLOCK = 64
"""Histories at a time: their scores stay near the processor."""

STEEPEST = 60.0
"""Log of a score, above which it is no float32 any more."""

LOWEST = np.finfo(np.float32).min
"""All but what is hidden is above."""


class Weighed(NamedTuple):
    """Items of each row in ascending order, and their log-odds; -1 and -inf where a row has no more, (m, most)."""

    items: IntArray
    odds: FloatArray

    def best(self, k: int) -> list[Ranked]:
        """Return the k best items of each row, those of equal odds in their order, and their odds."""
        order = np.argsort(-self.odds, axis=1, kind="stable")[:, :k]
        items, odds = np.take_along_axis(self.items, order, axis=1), np.take_along_axis(self.odds, order, axis=1)
        return [(row[row >= 0], best[row >= 0]) for row, best in zip(items, odds, strict=True)]

    def at_rank(self, k: int) -> FloatArray:
        """Return the k-th best odds of each row, -inf where there are fewer, shape (m, 1)."""
        most = self.odds.shape[1]
        if most < k:
            return np.full((len(self.odds), 1), -np.inf, dtype=np.float32)
        return np.partition(self.odds, most - k, axis=1)[:, most - k, None]


@dataclass(frozen=True, eq=False)
class Finder:
    """Find what ``Experts.log_odds`` puts first.

    An item's log-odds are at most log(1 + ``foretold``) above the larger of its two parts (``blended``), and both grow
    with the scores. So a few items that score high are weighed; the k-th best of them is the bar; and of all others
    only those are weighed that come near to it by a part: some dozens for each user.

    Attributes
    ----------
    experts : Experts
    popular, novelty : float
        What popularity is worth, and what is added to the log-odds of items without clicks.
    known, text : ndarray of shape (n_items,)
        Columns of an item's scores by clicks and by text, or -1.
    items : ndarray of shape (n_columns,)
        The item of each column, or -1 where it was taken out.
    added : ndarray of shape (n_items,)
        To the log-odds by text.
    share, foretold : ndarray of shape (n_items,)
        Of items that have both, see ``blended``.
    above : ndarray of shape (n_items,)
        How far the log-odds may be above their larger part.
    """

    experts: Experts
    popular: float
    novelty: float
    known: IntArray
    text: IntArray
    items: IntArray
    added: FloatArray
    share: FloatArray
    foretold: FloatArray
    above: FloatArray

    @classmethod
    def of(cls, experts: Experts, popular: float, novelty: float) -> "Finder":
        """Note where the items stand."""
        few, there = experts.few, np.flatnonzero(experts.known >= 0)
        known, text = np.full((2, len(experts.counts)), -1, dtype=np.int64)
        known[experts.known[there]] = there
        text[experts.young] = len(experts.known) + np.arange(len(experts.young))
        added, share, foretold = np.zeros((3, len(experts.counts)), dtype=np.float32)
        added[experts.young] = experts.of_text()
        added[experts.counts == 0] += np.float32(novelty)
        both = experts.young[few.young]
        share[both], foretold[both] = few.share, few.foretold
        items = np.append(experts.known, experts.young)
        return cls(experts, popular, novelty, known, text, items, added, share, foretold, np.log1p(foretold))

    def best(
        self,
        history: Csr,
        strangers: BoolArray | None,
        k: int,
        allow: IntArray | None,
        exclude: Sequence[IntArray],
    ) -> Hits:
        """Return the ``k`` best items for each history (m, n) and their log-odds; fewer where fewer are left.

        ``allow`` are the only items to return, ``exclude`` those that are left out of each row; equal log-odds are in
        order of the items.
        """

        def found(block: slice) -> list[Ranked]:
            new = None if strangers is None else strangers[block]
            shares = self.experts.shares(csr_array(history[block]), self.popular, new)
            self._hide(shares.scores, allow, exclude[block])
            likely = self._weighed(shares, self._near_top(shares.scores, k))
            return self._weighed(shares, self._reaching(shares, likely.at_rank(k) - SLACK)).best(k)

        parts = list(blocks(history.shape[0], BLOCK))
        if len(parts) == 1:
            return as_hits(found(parts[0]), k)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return as_hits(list(chain.from_iterable(pool.map(found, parts))), k)

    def _hide(self, scores: FloatArray, allow: IntArray | None, exclude: Sequence[IntArray]) -> None:
        """Put what must not come back below everything else."""
        gone = self.items < 0
        if allow is not None:
            gone |= ~np.isin(self.items, allow)
        if gone.any():
            scores[:, gone] = -np.inf
        rows, items = np.repeat(np.arange(len(exclude)), [len(row) for row in exclude]), np.concatenate(exclude)
        for columns in (self.known[items], self.text[items]):
            scores[rows[columns >= 0], columns[columns >= 0]] = -np.inf

    def _near_top(self, scores: FloatArray, k: int) -> tuple[IntArray, IntArray]:
        """Rows and columns of about the k best by clicks and by text."""
        found = []
        for first, part in zip((0, len(self.experts.known)), self._parts(scores), strict=True):
            if not part.shape[1]:
                continue
            rows, columns = near_largest(part, min(k, part.shape[1]))
            there = part[rows, columns] >= LOWEST
            found.append((rows[there], first + columns[there]))
        rows, columns = map(np.concatenate, zip(*found, strict=True))
        return rows, columns

    def _reaching(self, shares: Shares, bar: FloatArray) -> tuple[IntArray, IntArray]:
        """Rows and columns whose log-odds by clicks or by text reach the bar (m, 1)."""
        scores, of_users, _ = shares
        calibration, reached = self.experts.settings.calibration, np.empty(scores.shape, dtype=bool)
        by_clicks, by_text = self._parts(scores)
        at_clicks, at_text = self._parts(reached)
        _reach(by_clicks, self.above[self.experts.known], bar, calibration.known, out=at_clicks)
        young = self.experts.young
        _reach(by_text, self.added[young] + self.above[young], bar - of_users, calibration.new, out=at_text)
        return positions_of(reached)

    def _parts(self, columns: AnyArray) -> tuple[AnyArray, AnyArray]:
        n_known = len(self.experts.known)
        return columns[:, :n_known], columns[:, n_known:]

    def _weighed(self, shares: Shares, found: tuple[IntArray, IntArray]) -> Weighed:
        """The items of rows and columns, as ``Experts.log_odds`` weighs them."""
        scores, of_users, sure = shares
        n_items, calibration = len(self.known), self.experts.settings.calibration
        rows, items = np.divmod(np.unique(found[0] * n_items + self.items[found[1]]), n_items)
        known, text = self.known[items], self.text[items]
        by_clicks = calibration.of_known(scores[rows, known])
        by_text = calibration.of_new(scores[rows, text], of_users[rows, 0], self.added[items])
        odds = np.where(known < 0, by_text, by_clicks)
        both = np.flatnonzero((known >= 0) & (text >= 0))
        at = items[both]
        foretold = self.foretold[at] * sure[rows[both], 0]
        odds[both] = blended(by_clicks[both], by_text[both], self.share[at], foretold)
        lines = (in_rows(rows, part, len(scores), end) for part, end in ((items, -1), (odds, -np.inf)))
        return Weighed(*lines)


def _reach(scores: FloatArray, added: FloatArray, bar: FloatArray, slope: float, out: BoolArray) -> None:
    """Note which scores (m, n) come to the bar (m, 1), times the slope in logs and with what is ``added`` (n,)."""
    if np.abs(added).max(initial=0.0) < STEEPEST * slope:
        lift = np.exp(added / np.float32(slope))
        np.greater_equal(scores * lift, _least(bar, slope, lift.max(initial=1.0)), out=out)
    else:
        np.greater_equal(scores, LOWEST, out=out)


def _least(bar: FloatArray, slope: float, lift: float) -> FloatArray:
    """The scores (m, 1) that come to the bar; where those at the floor do, all do."""
    if slope * STEEPEST < 1.0:
        return np.full_like(bar, LOWEST)
    least = np.exp(np.minimum(bar / np.float32(slope), np.float32(STEEPEST)))
    return np.where(least <= FLOOR * np.float32(lift), LOWEST, least).astype(np.float32)
