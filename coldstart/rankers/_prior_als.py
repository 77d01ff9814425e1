"""ALS with a text prior: what clicks say of an item, starting from what its text says, for catalogues of any size."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from coldstart._arrays import AnyArray, Csr, FloatArray, Rng, blocks, generator
from coldstart._component import Component
from coldstart.rankers._als import solved_rows

TEXT_L2 = 10.0
"""Ridge of the map from texts to factors, in items: the penalty of its square at the mean weight of an item."""


@dataclass(frozen=True, eq=False)
class TextMap:
    """The ridge regression of item factors on texts, weighted by how firmly each item is held to its prior mean.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Of the items, centred.
    weights : ndarray of shape (n, 1)
        Their mean is 1.
    factor : tuple of ndarray of shape (dim, dim), bool
        Cholesky factor of F'WF + l2 I.
    """

    vectors: FloatArray
    weights: FloatArray
    factor: tuple[AnyArray, bool]

    @classmethod
    def of(cls, vectors: FloatArray, ridge: FloatArray, l2: float = TEXT_L2) -> "TextMap":
        """Factor once; each sweep only solves."""
        weights = (ridge / ridge.mean())[:, None]
        gram = l2 * np.eye(vectors.shape[1])
        for block in blocks(len(vectors), 8192):
            gram += vectors[block].T @ (vectors[block] * weights[block])
        return cls(vectors, weights, cho_factor(gram, overwrite_a=True))

    def fitted(self, items: FloatArray) -> FloatArray:
        """Return the map (dim, k) that predicts item factors (n, k) best."""
        right = self.vectors.T @ (items * self.weights)
        return np.asarray(cho_solve(self.factor, right.astype(np.float64)), dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class PriorALS(Component, saved=True):
    """Factors of users u and items y, and a map T from texts f to factors, learned together.

    They minimise sum over clicks of (1 - u.y)^2 + a * sum over all pairs of (u.y)^2 + sum over users of q |u|^2 + sum
    over items of r |y - T'f|^2 + l2 mean(r) |T|^2, with a = ``unobserved``, r = ``regularization`` * (clicks of the
    item + a * users), and q alike (Rendle et al. 2022, but for the prior mean T'f).

    Users, items and T are solved exactly, one after the other. An item with few clicks stays near what its text says;
    without texts it is plain ALS. Work per sweep grows with the clicks, users and items, never with their product.

    Attributes
    ----------
    items : ndarray of shape (n, k)
    gram : ndarray of shape (k, k)
        Of the items, when they were learned.
    text : ndarray of shape (dim, k)
        T: the vector of an item without clicks times T is where it belongs.
    user_gram : ndarray of shape (k, k)
        Of the users, when the items were learned.
    n_users, n_items : int
        That were learned from.
    regularization, unobserved : float
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
        of_users = _ridge(clicks, n_items, regularization, unobserved)
        of_items = _ridge(by_item, n_users, regularization, unobserved)
        regression = TextMap.of(vectors, of_items)
        start = generator(rng).standard_normal((n_items, factors)) / np.sqrt(factors)
        items, text = (0.1 * start).astype(np.float32), np.zeros((vectors.shape[1], factors), dtype=np.float32)
        for _ in range(sweeps):
            users = solved_rows(clicks, items, items.T @ items, unobserved, of_users)
            user_gram = users.T @ users
            items = solved_rows(by_item, users, user_gram, unobserved, of_items, vectors @ text)
            text = regression.fitted(items)
        return cls(items, items.T @ items, text, user_gram, n_users, n_items, regularization, unobserved)

    def code(self, rows: Csr) -> FloatArray:
        """Return the factors (m, k) of histories (m, n), as those of users are learned; zero without a history.

        A click may be dealt out among items alike: then each has a share of the weight 1.
        """
        ridge = _ridge(rows, self.n_items, self.regularization, self.unobserved)
        return solved_rows(rows, self.items, self.gram, self.unobserved, ridge)

    def new_items(self, clicks: Csr, users: FloatArray, texts: FloatArray) -> FloatArray:
        """Return the factors (q, k) of items from clicks (q, u) of some users (u, k), as those of items are learned."""
        ridge = _ridge(clicks, self.n_users, self.regularization, self.unobserved)
        return solved_rows(clicks, users, self.user_gram, self.unobserved, ridge, texts @ self.text)

    def scores(self, rows: Csr) -> FloatArray:
        """Return scores (m, n) of histories (m, n)."""
        return self.code(rows) @ self.items.T


def _ridge(rows: Csr, n_others: int, regularization: float, unobserved: float) -> FloatArray:
    """How firmly each row of clicks is held to its prior mean."""
    return np.asarray(regularization * (rows.sum(axis=1) + unobserved * n_others), dtype=np.float32)
