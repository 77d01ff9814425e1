"""Implicit ALS with a text prior: item factors learned from clicks, starting from what texts say, for any size.

    sum over clicks of (1 - u.y)^2 + a * sum over all pairs of (u.y)^2
      + sum over users of q |u|^2 + sum over items of r |y - T'f|^2 + l2 mean(r) |T|^2

u and y are the factors of a user and an item, f the text of the item, T a map from texts to factors, a the weight of
every pair; q and r are ``regularization`` times (clicks of the user or item + a * size of the other side), as in
Rendle et al. (2022). In the place of 0 the prior mean of an item is T'f: an item with few clicks stays near its text.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from coldstart._arrays import AnyArray, Csr, FloatArray, Rng, blocks, generator
from coldstart._component import Component
from coldstart.rankers._als import solve_rows

TEXT_L2 = 10.0
"""l2, the ridge of T, in items of mean r."""


@dataclass(frozen=True, eq=False)
class TextMap:
    """Ridge regression of item factors on texts, each item weighted by its r.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        F, texts of the items, centred.
    weights : ndarray of shape (n, 1)
        W, r as a multiple of its mean.
    factor : tuple of ndarray of shape (dim, dim), bool
        Cholesky factor of F'WF + l2 I.
    """

    vectors: FloatArray
    weights: FloatArray
    factor: tuple[AnyArray, bool]

    @classmethod
    def of(cls, vectors: FloatArray, ridge: FloatArray, l2: float = TEXT_L2) -> "TextMap":
        """Factor the regression once for all sweeps; ``ridge`` are the r of the items (n,)."""
        weights = (ridge / ridge.mean())[:, None]
        gram = l2 * np.eye(vectors.shape[1])
        for block in blocks(len(vectors), 8192):  # without a weighted copy of all texts
            gram += vectors[block].T @ (vectors[block] * weights[block])
        return cls(vectors, weights, cho_factor(gram, overwrite_a=True))

    def fit(self, items: FloatArray) -> FloatArray:
        """Return the T (dim, k) that predicts item factors (n, k) best."""
        right = self.vectors.T @ (items * self.weights)
        return np.asarray(cho_solve(self.factor, right.astype(np.float64)), dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class PriorALS(Component, saved=True):
    """Item factors and the map T. Users, items and T are solved exactly, in turn; without texts it is plain ALS.

    The work of a sweep grows with clicks, users and items, never with users times items.

    Attributes
    ----------
    items : ndarray of shape (n, k)
        The factors y.
    gram : ndarray of shape (k, k)
        Gram matrix of the items at the fit.
    text : ndarray of shape (dim, k)
        T: an item without clicks has the factors T'f.
    user_gram : ndarray of shape (k, k)
        Gram matrix of the users at the fit.
    n_users, n_items : int
        At the fit.
    regularization, unobserved : float
        The latter is a.
    """

    items: FloatArray
    gram: FloatArray
    text: FloatArray
    user_gram: FloatArray
    n_users: int
    n_items: int
    regularization: float
    unobserved: float

    @classmethod
    def of(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        factors: int = 64,
        regularization: float = 0.02,
        unobserved: float = 0.05,
        sweeps: int = 10,
        rng: Rng = 0,
    ) -> "PriorALS":
        """Learn from clicks (m, n) of 0 and 1, some in every column, and centred texts (n, dim)."""
        by_item, (n_users, n_items) = clicks.T.tocsr(), clicks.shape
        user_ridge = _ridge(clicks, n_items, regularization, unobserved)
        item_ridge = _ridge(by_item, n_users, regularization, unobserved)
        text_map = TextMap.of(vectors, item_ridge)
        start = generator(rng).standard_normal((n_items, factors)) / np.sqrt(factors)
        items, text = (0.1 * start).astype(np.float32), np.zeros((vectors.shape[1], factors), dtype=np.float32)
        for _ in range(sweeps):
            users = solve_rows(clicks, items, items.T @ items, unobserved, user_ridge)
            user_gram = users.T @ users
            items = solve_rows(by_item, users, user_gram, unobserved, item_ridge, vectors @ text)
            text = text_map.fit(items)
        return cls(items, items.T @ items, text, user_gram, n_users, n_items, regularization, unobserved)

    def fold_in(self, history: Csr) -> FloatArray:
        """Return user factors (q, k) of histories (q, n) as the fit would; zero without a history.

        A like may be split between duplicate items, so that its weights there sum to 1.
        """
        ridge = _ridge(history, self.n_items, self.regularization, self.unobserved)
        return solve_rows(history, self.items, self.gram, self.unobserved, ridge)

    def fold_in_items(self, clicks: Csr, users: FloatArray, texts: FloatArray) -> FloatArray:
        """Return factors (q, k) of items with texts (q, dim) and clicks (q, u) by users with factors (u, k)."""
        ridge = _ridge(clicks, self.n_users, self.regularization, self.unobserved)
        return solve_rows(clicks, users, self.user_gram, self.unobserved, ridge, texts @ self.text)

    def scores(self, history: Csr) -> FloatArray:
        """Return scores (q, n) of histories (q, n)."""
        return self.fold_in(history) @ self.items.T


def _ridge(rows: Csr, n_others: int, regularization: float, unobserved: float) -> FloatArray:
    """Return q or r of each row of clicks: the more data a row has, the larger its ridge (Rendle et al. 2022)."""
    return np.asarray(regularization * (rows.sum(axis=1) + unobserved * n_others), dtype=np.float32)
