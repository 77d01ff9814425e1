"""Implicit alternating least squares: collaborative filtering for any size."""

import numpy as np

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart.rankers._als import solved_rows
from coldstart.rankers._columns import ClickRanker, moved


class ALSRanker(ClickRanker, saved=True):
    """Factors of users and items for clicks (Hu, Koren and Volinsky 2008), in the form of Rendle et al. (2022).

    Minimises sum over clicks of w (1 - u.i)^2 + unobserved * sum over all pairs of (u.i)^2
    + regularization * sum over users and items of (clicks + unobserved * other side) |factor|^2.
    Solved exactly, side by side; a user of a request is folded in by the same formula.

    Parameters
    ----------
    factors : int
        Width, at least 1.
    regularization : float
        Above 0; .001 to .1 are usual. Sharp: tune it.
    unobserved : float
        Weight of a pair without a click, above 0; .001 to .3 are usual.
    iterations : int
        Sweeps over both sides, at least 1.
    rng : int, SeedSequence, Generator or None
        Start of the item factors.

    Attributes
    ----------
    items_ : ndarray of shape (n_items, factors)
        Zero for items without clicks.
    gram_ : ndarray of shape (factors, factors)
        Of the items that ``fit`` saw, and ``fitted_items_`` their number: what a user is folded in with.
    """

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
        self.items_ = items * (np.diff(by_item.indptr) > 0)[:, None].astype(np.float32)
        self.gram_, self.fitted_items_ = self.items_.T @ self.items_, len(items)

    def _from_history(self, history: Csr) -> FloatArray:
        solved = self._solve(history.astype(np.float32), self.items_, self.gram_, self.fitted_items_)
        return solved @ self.items_.T

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        self.items_ = moved(self.items_, origin)

    def _solve(self, clicks: Csr, other: FloatArray, gram: FloatArray, n_others: int) -> FloatArray:
        """Return the factors of one side, given those of the other: a ridge regression for each row."""
        ridge = self.regularization * (np.diff(clicks.indptr) + self.unobserved * n_others)
        return solved_rows(clicks, other, gram, self.unobserved, ridge)
