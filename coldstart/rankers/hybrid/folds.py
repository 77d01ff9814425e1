"""Pseudo-cold folds: part of the training clicks is hidden, as the future hides new items and new users."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import BoolArray, Csr

COLD, HELD, STRANGERS = 0.15, 0.1, 0.1
"""Shares of items that lose all clicks, of other clicks hidden, and of users taken away."""

MOST_STRANGERS = 500


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


def cut(clicks: Csr, rng: np.random.Generator) -> Fold:
    """Hide items, clicks and users of (m, n) clicks at random."""
    n_users, n_items = clicks.shape
    away = np.zeros(n_users, dtype=bool)
    away[rng.permutation(n_users)[: min(MOST_STRANGERS, round(STRANGERS * n_users))]] = True
    clicked = rng.permutation(np.unique(clicks.indices))
    cold = np.zeros(n_items, dtype=bool)
    cold[clicked[: round(COLD * len(clicked))]] = True
    pairs = clicks[~away].tocoo()
    hidden = cold[pairs.col] | (rng.random(pairs.nnz) < HELD)
    train, held = (
        csr_array((pairs.data[part], (pairs.row[part], pairs.col[part])), shape=pairs.shape)
        for part in (~hidden, hidden)
    )
    return Fold(train, held, cold, csr_array(clicks[away]))
