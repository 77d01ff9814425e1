"""EASE: a linear item-item model, fitted in closed form."""

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray, check_between
from coldstart.errors import InvalidInputError
from coldstart.rankers._columns import ClickRanker, move_columns, move_rows
from coldstart.rankers._ease import Ridge

MAX_SIDE = 20_000
"""Users or items, whichever are fewer, at most: their inverse takes 3.2 GB in double precision."""


class EASERanker(ClickRanker, saved=True):
    """Embarrassingly shallow autoencoder (Steck 2019): scores x B, B = argmin |X - XB|^2 + l2 |B|^2, diag B = 0.

    x is a history, X are the clicks. With P = (X'X + l2 I)^-1, B = I - P diag(1 / P_jj). With fewer users than items
    the same scores come from an inverse of their size (Woodbury, see ``Ridge``). B is never formed. In double
    precision.

    Parameters
    ----------
    l2 : float
        Ridge in clicks, above 0; 10 to 500 are usual.

    Attributes
    ----------
    inverse_ : ndarray of shape (n_items, n_items) or (n_users, n_users)
        P, or M of ``Ridge`` with fewer users than items.
    diagonal_ : ndarray of shape (n_items,)
        P_jj.
    clicks_ : csr_array of shape (n_users, n_items) or None
        X, kept beside M.
    """

    inverse_: AnyArray
    diagonal_: AnyArray
    clicks_: Csr | None

    def __init__(self, l2: float = 100.0) -> None:
        self.l2 = l2

    def _learn(self, clicks: Csr) -> None:
        check_between("l2", self.l2, 1e-3, 1e9)
        side = min(clicks.shape)
        if side > MAX_SIDE:
            raise InvalidInputError(
                f"EASERanker needs an inverse of {side:,} x {side:,} numbers ({8e-9 * side**2:.1f} GB), and allows "
                f"{MAX_SIDE:,}. Use ALSRanker for so many users and items."
            )
        ridge = Ridge.of(clicks.astype(np.float64), self.l2, np.float64)
        self.inverse_, self.diagonal_ = ridge.inverse, ridge.diagonal
        self.clicks_ = ridge.clicks if ridge.dual else None

    def _from_history(self, history: Csr) -> FloatArray:
        ridge = Ridge(
            history if self.clicks_ is None else self.clicks_, self.l2, self.inverse_, self.clicks_ is not None
        )
        return np.asarray(history.toarray() - ridge.rows_times(history) / self.diagonal_, dtype=np.float32)

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        # A new item has no clicks: its row of P is that of the ridge alone, 1 / l2 on the diagonal.
        known = (origin >= 0).astype(np.float64)
        if self.clicks_ is None:
            self.inverse_ = move_rows(move_rows(self.inverse_, origin).T, origin).T + np.diag((1.0 - known) / self.l2)
        else:
            self.clicks_ = move_columns(self.clicks_, origin)
        self.diagonal_ = move_rows(self.diagonal_, origin) + (1.0 - known) / self.l2
