"""EASE with a text prior: item-item weights learned from clicks, starting from what texts say.

    B = argmin |X - XB|^2 + l2 |B - r C|^2,  diag B = 0

X are the clicks (m, n), B the weights (n, n) from an item in a history to an item that is scored, l2 the ridge in
clicks, and C the weights that texts suggest (``TextPrior``): the ridge pulls B to r times C instead of to 0. With r = 0
it is EASE (Steck 2019). In closed form, with P = (X'X + l2 I)^-1,

    B = I + r l2 P C - P diag(d),  d_j = (1 + r l2 (PC)_jj) / P_jj

Pairs that many users clicked together follow the clicks, the others stay near their texts.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray, blocks
from coldstart._component import Component
from coldstart._linalg import inverse_of


@dataclass(frozen=True, eq=False, repr=False)
class TextPrior(Component):
    """The weights C (n, n) that texts suggest: leave-one-out ridge regression of a user's clicks on texts.

        C = offdiag(F A^-1 F' D),  A = F'F + l2 I,  D = diag(1 / (1 - f_j' A^-1 f_j))

    F are the text vectors (n, dim) with rows f_j. Column j predicts clicks on item j from the texts of all others: by
    its leverage f_j' A^-1 f_j one regression serves all columns. C is never formed; its factors have rank dim.

    Attributes
    ----------
    vectors, solved : ndarray of shape (n, dim)
        F, and F A^-1.
    leverage : ndarray of shape (n,)
        f_j' A^-1 f_j, below 1.
    """

    vectors: FloatArray
    solved: FloatArray
    leverage: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, l2: float) -> "TextPrior":
        """Factor the regression on centred text vectors (n, dim), with a ridge in items."""
        gram = (vectors.T @ vectors).astype(np.float64)
        gram[np.diag_indices(len(gram))] += l2
        solved = np.ascontiguousarray(np.linalg.solve(gram, vectors.T.astype(np.float64)).T, dtype=np.float32)
        # Below 1, also where one text alone has its direction, so that D stays finite.
        leverage = np.minimum((solved * vectors).sum(axis=1), np.float32(1 - 1e-4))
        return cls(vectors, solved, leverage)

    @property
    def scale(self) -> FloatArray:
        """The diagonal of D, shape (n,)."""
        return np.asarray(1.0 / (1.0 - self.leverage), dtype=np.float32)

    def times(self, rows: FloatArray) -> FloatArray:
        """Return rows (m, n) times C."""
        product = (rows @ self.solved) @ self.vectors.T
        product -= rows * self.leverage
        product *= self.scale
        return np.asarray(product, dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(Component):
    """P = (X'X + l2 I)^-1 for clicks X, by an inverse of the smaller of its two sides.

    With fewer users than items P = (I - X' M X) / l2, M = (XX' + l2 I)^-1 (Woodbury), and only M (m, m) is held.

    Attributes
    ----------
    clicks : csr_array of shape (m, n)
    l2 : float
    inverse : ndarray
        P, or M with fewer users than items.
    dual : bool
        Whether ``inverse`` is M.
    """

    clicks: Csr
    l2: float
    inverse: AnyArray
    dual: bool

    @classmethod
    def of(cls, clicks: Csr, l2: float, dtype: Any = np.float32) -> "Ridge":
        """Invert, in single or double precision (``dtype``)."""
        dual = clicks.shape[0] < clicks.shape[1]
        gram = (clicks @ clicks.T if dual else clicks.T @ clicks).toarray().astype(dtype)
        gram[np.diag_indices(len(gram))] += dtype(l2)
        return cls(clicks, l2, inverse_of(gram), dual)

    @property
    def diagonal(self) -> AnyArray:
        """P_jj, shape (n,)."""
        if not self.dual:
            return np.array(np.diagonal(self.inverse))
        # Only x_j' M x_j of each column x_j: n numbers, where X' M X has n times n.
        columns = self.clicks.T.tocsr()
        sums = (columns[b].multiply(columns[b] @ self.inverse).sum(axis=1) for b in blocks(columns.shape[0], 1024))
        quadratic = np.concatenate([np.asarray(part, dtype=self.inverse.dtype).ravel() for part in sums])
        return np.asarray((1.0 - quadratic) / self.inverse.dtype.type(self.l2))

    def rows_times(self, rows: Csr) -> AnyArray:
        """Return sparse rows (q, n) times P, shape (q, n)."""
        if not self.dual:
            return np.asarray(rows @ self.inverse)
        common = (rows @ self.clicks.T).toarray()  # hardly sparse: a dense product is several times faster
        inner = np.asarray(common, dtype=self.inverse.dtype) @ self.inverse
        product: AnyArray = -(inner @ self.clicks)
        product += rows.toarray()
        product /= self.inverse.dtype.type(self.l2)
        return product

    def fill(self, whole: FloatArray) -> None:
        """Write P into an array of shape (n, n)."""
        if not self.dual:
            whole[:] = self.inverse
            return
        # In place and in blocks, as P may take 1.6 GB and there is no room for a second one.
        inner = self.clicks.T @ self.inverse
        for block in blocks(len(inner), 1024):
            np.divide(inner[block] @ self.clicks, -self.l2, out=whole[block])
        whole[np.diag_indices(len(inner))] += np.float32(1.0 / self.l2)

    def times(self, columns: FloatArray) -> FloatArray:
        """Return P times columns (n, q), shape (n, q)."""
        if not self.dual:
            return self.inverse @ columns
        inner = self.inverse @ (self.clicks @ columns)
        return np.asarray((columns - self.clicks.T @ inner) / np.float32(self.l2), dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class PriorEASE(Component):
    """The weights B, in factors until they are scored with or written out.

    Attributes
    ----------
    ridge : Ridge
        P.
    text : TextPrior
        C.
    prior : float
        r, at least 0; above 1 the prior is amplified.
    diagonal, scale : ndarray of shape (n,)
        P_jj and d.
    reached : ndarray of shape (n, dim)
        P F A^-1, the left factor of P C but for the diagonal of C.
    """

    ridge: Ridge
    text: TextPrior
    prior: float
    diagonal: FloatArray
    reached: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, ridge: Ridge, text: TextPrior, prior: float) -> "PriorEASE":
        """Combine both: cheap beside the inverse of the ridge."""
        diagonal = ridge.diagonal
        reached = ridge.times(text.solved)
        # (PC)_jj from the factors of C: its full product less that of the diagonal that C does not have.
        pc = text.scale * ((reached * text.vectors).sum(axis=1) - diagonal * text.leverage)
        scale = np.asarray((1.0 + prior * ridge.l2 * pc) / diagonal, dtype=np.float32)
        return cls(ridge, text, prior, diagonal, reached, scale)

    @property
    def plain(self) -> "PriorEASE":
        """EASE with the same ridge and without the prior."""
        return replace(self, prior=0.0, scale=np.float32(1.0) / self.diagonal)

    def plain_times(self, columns: FloatArray) -> FloatArray:
        """Return the weights of ``plain`` times columns (n, q), shape (n, q)."""
        product = self.ridge.times(columns * (np.float32(-1.0) / self.diagonal)[:, None])
        product += columns
        return product

    def scores(self, history: Csr) -> FloatArray:
        """Return history B, shape (q, n), of histories (q, n)."""
        # Without forming B (n, n): while settings are searched, only some histories are scored with each fit.
        applied = self.ridge.rows_times(history)
        scores = history.toarray() - applied * self.scale
        if self.prior:
            scores += self.text.times(applied) * np.float32(self.prior * self.ridge.l2)
        return np.asarray(scores, dtype=np.float32)

    def fill(self, weights: FloatArray) -> None:
        """Write B into an array of shape (n, n), in place as it may take 1.6 GB."""
        amplified, text = np.float32(self.prior * self.ridge.l2), self.text
        self.ridge.fill(weights)
        weights *= -(self.scale + amplified * text.leverage * text.scale)
        prior = (text.vectors * (amplified * text.scale)[:, None]).T
        for block in blocks(len(weights), 1024):
            weights[block] += self.reached[block] @ prior
        weights[np.diag_indices(len(weights))] += np.float32(1.0)
