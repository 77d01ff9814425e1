"""Implicit alternating least squares: matrix factorisation of clicks, for any number of users and items."""

import numpy as np

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart.rankers._als import solve_rows
from coldstart.rankers._columns import ClickRanker, move_rows


class ALSRanker(ClickRanker, saved=True):
    """Implicit ALS (Hu, Koren and Volinsky 2008), with the loss of Rendle et al. (2022).

    Minimises the sum over clicks of w (1 - u.i)^2 + unobserved * the sum over all pairs of (u.i)^2
    + regularization * the sum over users and items of (clicks + unobserved * size of the other side) |factor|^2,
    where u and i are the factors of a user and an item, and w is the weight of a click. Each sweep solves for all users
    exactly, then for all items; the user of a request is folded in by the same formula.

    Parameters
    ----------
    factors : int
        Width of the factors, at least 1.
    regularization : float
        Ridge per click, above 0; .001 to .1 are usual. Results depend on it strongly: tune it.
    unobserved : float
        Weight of a pair without a click, above 0; .001 to .3 are usual.
    iterations : int
        Sweeps over both sides, at least 1.
    rng : int, SeedSequence, Generator or None
        Draws the first item factors.

    Attributes
    ----------
    items_ : ndarray of shape (n_items, factors)
        Zero for items without clicks.
    gram_ : ndarray of shape (factors, factors)
        Gram matrix of the items of ``fit``, by which users are folded in; later items do not change it.
    fitted_items_ : int
        Number of these.
    """

    draws = True

    items_: FloatArray
    gram_: FloatArray
    fitted_items_: int

    def __init__(
        self,
        factors: int = 64,
        regularization: float = 0.01,
        unobserved: float = 0.01,
        iterations: int = 12,
        rng: Rng = 0,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.unobserved = unobserved
        self.iterations = iterations
        self.rng = rng

    def _learn(self, clicks: Csr) -> None:
        for name in ("factors", "iterations"):
            check_between(name, getattr(self, name), 1, 100_000)
        for name in ("regularization", "unobserved"):
            check_between(name, getattr(self, name), 1e-9, 1e6)
        by_user, by_item = clicks.astype(np.float32), clicks.T.tocsr().astype(np.float32)
        start = generator(self.rng).standard_normal((clicks.shape[1], self.factors)) / np.sqrt(self.factors)
        items = (0.1 * start).astype(np.float32)
        for _ in range(self.iterations if clicks.nnz else 0):
            users = self._solve(by_user, items, items.T @ items, len(items))
            items = self._solve(by_item, users, users.T @ users, len(users))
        # Without any click there was no sweep, and the random start says nothing.
        self.items_ = items * (np.diff(by_item.indptr) > 0)[:, None].astype(np.float32)
        self.gram_, self.fitted_items_ = self.items_.T @ self.items_, len(items)

    def _from_history(self, history: Csr) -> FloatArray:
        users = self._solve(history.astype(np.float32), self.items_, self.gram_, self.fitted_items_)
        return users @ self.items_.T

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        self.items_ = move_rows(self.items_, origin)

    def _solve(self, clicks: Csr, other: FloatArray, gram: FloatArray, n_others: int) -> FloatArray:
        """Return the factors of the rows (m, factors), given those of the columns."""
        ridge = self.regularization * (np.diff(clicks.indptr) + self.unobserved * n_others)
        return solve_rows(clicks, other, gram, self.unobserved, ridge)
