"""Pseudo-cold folds: part of the training clicks is hidden, as the future hides new items and new users."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray, parted
from coldstart.metrics.accuracy import ndcg

COLD, HELD, STRANGERS = 0.15, 0.1, 0.1
"""Shares of items that lose all clicks, of other clicks hidden, and of users taken away."""

MOST_STRANGERS = 500

K = 20

ASKED = 1_000
"""Users that are asked, at most."""


@dataclass(frozen=True)
class Fold:
    """Clicks to learn from, and what is hidden of them.

    Attributes
    ----------
    train, held : csr_array of shape (m, n)
        Of the users that stay; ``held`` is what is hidden of their clicks.
    cold : ndarray of shape (n,), bool
        Items that lost all clicks.
    strangers : csr_array of shape (q, n)
        Users taken away whole.
    """

    train: Csr
    held: Csr
    cold: BoolArray
    strangers: Csr


def cut(
    clicks: Csr,
    rng: np.random.Generator,
    cold: float = COLD,
    held: float = HELD,
    strangers: float = STRANGERS,
) -> Fold:
    """Hide items, other clicks and users of (m, n) clicks at random, as shares of each."""
    n_users, n_items = clicks.shape
    away = np.zeros(n_users, dtype=bool)
    away[rng.permutation(n_users)[: min(MOST_STRANGERS, round(strangers * n_users))]] = True
    clicked = rng.permutation(np.unique(clicks.indices))
    without = np.zeros(n_items, dtype=bool)
    without[clicked[: round(cold * len(clicked))]] = True
    stay = csr_array(clicks[~away])
    hidden = without[stay.indices] | (rng.random(stay.nnz) < held)
    return Fold(*parted(stay, ~hidden), without, csr_array(clicks[away]))


def found(scores: FloatArray, history: Csr, wanted: Csr) -> float:
    """Return the mean NDCG@20 of scores (m, n), the history left out."""
    return float(np.nanmean(ndcg_of(scores, history, wanted)))


def ndcg_of(scores: FloatArray, history: Csr, wanted: Csr) -> AnyArray:
    """Return the NDCG@20 of each user, (m,), the history left out; NaN where nothing is wanted."""
    last = -scores  # ascending, as numpy sorts
    last[history.nonzero()] = np.inf
    k = min(K, last.shape[1])
    top = np.argpartition(last, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(top, np.argsort(np.take_along_axis(last, top, axis=1), axis=1, kind="stable"), axis=1)
    relevant = [row.tolist() for row in np.split(wanted.indices, wanted.indptr[1:-1])]
    return np.asarray(ndcg(order, relevant, K))


def some_of(rows: IntArray, most: int = ASKED) -> IntArray:
    """Return at most so many of the rows, always the same ones."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])
