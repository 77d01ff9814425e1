"""What the number of clicks says of items and of users."""

from collections.abc import Sequence

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray
from coldstart.training.folds import HELD

NEW, OLD = 0.25, 0.35
"""Shares of what they would get if they were like others, expected of the items without clicks: up to the first these
are taken for new, from the second on for old. So they are where they are as many as the others, and twice as many."""

SURE = 2.0
"""How many times the log of the ratio of rates counts: among many items without clicks some always score high."""

YOUNG = 10
"""Clicks up to which text may speak for an item that has some."""

FORETOLD = 0.8
"""Part of the odds by text that counts beside those by one click."""


def text_share(counts: FloatArray, few: AnyArray | float) -> FloatArray:
    """Return how much the text of items with so many clicks counts beside these, few^4 / (few^4 + counts^4).

    The text of a new item says more than its first click, and that of one with a few more says less, soon.
    """
    share = np.power(few, 4.0) / (np.power(few, 4.0) + np.power(counts, 4.0))
    return np.asarray(share, dtype=np.float32)


def foretold(counts: AnyArray) -> FloatArray:
    """Return what part of the odds by text is added to those of items with so many clicks.

    It falls with the root of the clicks; of more than ``YOUNG`` it is none.
    """
    return np.asarray(FORETOLD / np.sqrt(np.maximum(counts, 1.0)) * (counts <= YOUNG), dtype=np.float32)


def to_come(counts: FloatArray, mean: float) -> FloatArray:
    """Return what is added to the log-odds by text of items with few clicks.

    What a text says is said of new items, all of whose clicks are to come: ``mean``. An item with a few goes on as it
    began, and the odds by clicks are those of the share ``HELD`` of all clicks.
    """
    return np.asarray(np.log((counts + 0.5) * HELD / (1.0 - HELD) / mean), dtype=np.float32)


def rated(counts: FloatArray, mean: float) -> FloatArray:
    """Return log-odds of items with so many clicks beside an item with the mean, where clicks are few."""
    return np.asarray(np.log((counts + 0.5) / (mean + 0.5)), dtype=np.float32)


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


def unseen_odds(counts: AnyArray) -> float:
    """Return log-odds to add to the items without clicks, from the clicks of all items (n_items,): at most 0.

    By Good and Turing (1953) the share of the next clicks that goes to items without any is that of the clicks on items
    with one. Where that is near to nothing, as among popular items, those without are new, and nothing is added. Where
    it is a good part of what as many items would get if they were like the others, or where most items have no clicks,
    they are items that were there and were not clicked: they get ``SURE`` times the log of the ratio of their rate to
    that of an item with clicks.
    """
    n_known, n_unseen = np.count_nonzero(counts), np.count_nonzero(counts == 0)
    share = np.count_nonzero(counts == 1) / max(counts.sum(), 1.0)
    if not n_unseen or not 0.0 < share < 1.0:
        return 0.0
    expected = (share * len(counts) / n_unseen - NEW) / (OLD - NEW)
    old = np.clip(max(expected, n_unseen / n_known - 1.0), 0.0, 1.0)
    rates = (share / n_unseen) / ((1.0 - share) / n_known)
    return float(old * SURE * min(np.log(rates), 0.0)) + 0.0
