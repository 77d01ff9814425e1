"""Pseudo-cold folds: hide a part of the training clicks, as if some items and users were new, to choose settings by."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray, split_entries
from coldstart.metrics.accuracy import ndcg

COLD, HELD, NEW_USERS = 0.15, 0.1, 0.1
"""Share of the clicked items that lose all clicks, of the other clicks that are held out, and of the users that are
taken out whole."""

MAX_NEW_USERS = 500
"""Users that are taken out whole, at most."""

K = 20
"""Length of the lists that NDCG is measured on."""

MAX_EVAL_USERS = 1_000
"""Evaluation users, at most."""


@dataclass(frozen=True)
class Fold:
    """Training clicks, cut into given and held-out ones.

    Attributes
    ----------
    train, held : csr_array of shape (m, n)
        Given and held-out clicks of the users that stay.
    cold : ndarray of shape (n,), bool
        Pseudo-cold items: all their clicks are held out.
    new_users : csr_array of shape (q, n)
        All clicks of the users that were taken out whole; they are in neither ``train`` nor ``held``.
    """

    train: Csr
    held: Csr
    cold: BoolArray
    new_users: Csr


def cut(
    clicks: Csr,
    rng: np.random.Generator,
    cold: float = COLD,
    held: float = HELD,
    new_users: float = NEW_USERS,
) -> Fold:
    """Hold out items, single clicks and users of a click matrix (m, n) at random.

    Parameters
    ----------
    clicks : csr_array of shape (m, n)
    rng : Generator
    cold : float
        Share of the clicked items that become pseudo-cold. Items without any click are not drawn: holding out their
        clicks would tell nothing.
    held : float
        Share of the other clicks that are held out.
    new_users : float
        Share of the users that are taken out whole, at most ``MAX_NEW_USERS`` of them.
    """
    n_users, n_items = clicks.shape
    is_new = np.zeros(n_users, dtype=bool)
    is_new[rng.permutation(n_users)[: min(MAX_NEW_USERS, round(new_users * n_users))]] = True
    clicked = rng.permutation(np.unique(clicks.indices))
    is_cold = np.zeros(n_items, dtype=bool)
    is_cold[clicked[: round(cold * len(clicked))]] = True
    rest = csr_array(clicks[~is_new])
    held_out = is_cold[rest.indices] | (rng.random(rest.nnz) < held)
    return Fold(*split_entries(rest, ~held_out), is_cold, csr_array(clicks[is_new]))


def mean_ndcg(scores: FloatArray, history: Csr, relevant: Csr) -> float:
    """Return the mean NDCG@20 over the users for whom something is relevant; see ``ndcg_per_user``."""
    return float(np.nanmean(ndcg_per_user(scores, history, relevant)))


def ndcg_per_user(scores: FloatArray, history: Csr, relevant: Csr) -> AnyArray:
    """Return the NDCG@20 of each user's ranking of the items outside their history.

    Parameters
    ----------
    scores : ndarray of shape (m, n)
        Not changed.
    history : csr_array of shape (m, n)
        Items that are left out of the ranking.
    relevant : csr_array of shape (m, n)
        Held-out items.

    Returns
    -------
    ndarray of shape (m,)
        NaN where nothing is relevant.
    """
    # Negated, since numpy sorts upwards; +inf puts the history behind everything else.
    keys = -scores
    keys[history.nonzero()] = np.inf
    # Only the first k must be in order: partition first, then sort k instead of n numbers a row.
    k = min(K, keys.shape[1])
    top = np.argpartition(keys, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(top, np.argsort(np.take_along_axis(keys, top, axis=1), axis=1, kind="stable"), axis=1)
    relevant_items = [row.tolist() for row in np.split(relevant.indices, relevant.indptr[1:-1])]
    return np.asarray(ndcg(order, relevant_items, K))


def sample_rows(rows: IntArray, size: int = MAX_EVAL_USERS) -> IntArray:
    """Return at most ``size`` of the rows, ascending; the same ones on every call."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:size])
