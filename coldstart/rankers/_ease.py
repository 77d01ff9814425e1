"""EASE, and EASE with a text prior: what clicks say of two items, starting from what their texts say."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, Csr, FloatArray, blocks
from coldstart._component import Component
from coldstart._linalg import inverse_of


@dataclass(frozen=True, eq=False, repr=False)
class TextPrior(Component):
    """The best linear guess of an item's clicks from the texts of the others: C, with a zero diagonal.

    C = offdiag(F A^-1 F' D), A = F'F + l2 I, D = diag(1 / (1 - f_j' A^-1 f_j)): the leave-one-out ridge regression of
    each item's column on its text. Never formed: only its factors are kept.

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
        """Regress on centred vectors of the items."""
        gram = (vectors.T @ vectors).astype(np.float64)
        gram[np.diag_indices(len(gram))] += l2
        solved = np.ascontiguousarray(np.linalg.solve(gram, vectors.T.astype(np.float64)).T, dtype=np.float32)
        leverage = np.minimum((solved * vectors).sum(axis=1), np.float32(1 - 1e-4))
        return cls(vectors, solved, leverage)

    @property
    def scale(self) -> FloatArray:
        """The diagonal of D."""
        return np.asarray(1.0 / (1.0 - self.leverage), dtype=np.float32)

    def times(self, rows: FloatArray) -> FloatArray:
        """Return rows (m, n) times C."""
        product = (rows @ self.solved) @ self.vectors.T
        product -= rows * self.leverage
        product *= self.scale
        return np.asarray(product, dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(Component):
    """P = (X'X + l2 I)^-1 for clicks X, from the smaller of its two sides.

    With fewer users than items P = (I - X' M X) / l2 with M = (XX' + l2 I)^-1 (Woodbury), and P is never formed whole.

    Attributes
    ----------
    clicks : csr_array of shape (n_users, n)
    l2 : float
    inverse : ndarray
        P, or M when users are fewer.
    dual : bool
        Whether ``inverse`` is M.
    """

    clicks: Csr
    l2: float
    inverse: AnyArray
    dual: bool

    @classmethod
    def of(cls, clicks: Csr, l2: float, dtype: Any = np.float32) -> "Ridge":
        """Invert, in single precision or in double (``dtype``)."""
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
        parts = (columns[b].multiply(columns[b] @ self.inverse).sum(axis=1) for b in blocks(columns.shape[0], 1024))
        quadratic = np.concatenate([np.asarray(part, dtype=self.inverse.dtype).ravel() for part in parts])
        return np.asarray((1.0 - quadratic) / self.inverse.dtype.type(self.l2))

    def applied(self, rows: Csr) -> AnyArray:
        """Return sparse rows (m, n) times P."""
        if not self.dual:
            return np.asarray(rows @ self.inverse)
        common = (rows @ self.clicks.T).toarray()  # hardly sparse: a product of dense matrices is several times faster
        inner = np.asarray(common, dtype=self.inverse.dtype) @ self.inverse
        product: AnyArray = -(inner @ self.clicks)
        product += rows.toarray()
        product /= self.inverse.dtype.type(self.l2)
        return product

    def fill(self, whole: FloatArray) -> None:
        """Put P itself into an array of shape (n, n)."""
        if not self.dual:
            whole[:] = self.inverse
            return
        inner = self.clicks.T @ self.inverse
        for block in blocks(len(inner), 1024):
            np.divide(inner[block] @ self.clicks, -self.l2, out=whole[block])
        whole[np.diag_indices(len(inner))] += np.float32(1.0 / self.l2)

    def times(self, columns: FloatArray) -> FloatArray:
        """Return P times columns (n, q)."""
        if not self.dual:
            return self.inverse @ columns
        inner = self.inverse @ (self.clicks @ columns)
        return np.asarray((columns - self.clicks.T @ inner) / np.float32(self.l2), dtype=np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class PriorEASE(Component):
    """Item-item weights B = argmin |X - XB|^2 + (1 - r) l2 |B|^2 + r l2 |B - C|^2, diag B = 0.

    B = I + r l2 P C - P diag((1 + r l2 (PC)_jj) / P_jj), r = ``prior``. With 0 it is EASE (Steck 2019); above 1 the
    prior is amplified.

    Attributes
    ----------
    ridge : Ridge
    text : TextPrior
    prior : float
        Weight of the prior as a share of the ridge's l2, at least 0.
    diagonal, reached, scale : ndarray
        P_jj; P F A^-1; (1 + prior l2 (PC)_jj) / P_jj.
    """

    ridge: Ridge
    text: TextPrior
    prior: float
    diagonal: FloatArray
    reached: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, ridge: Ridge, text: TextPrior, prior: float) -> "PriorEASE":
        """Combine; cheap once the ridge is there."""
        diagonal = ridge.diagonal
        reached = ridge.times(text.solved)
        pc = text.scale * ((reached * text.vectors).sum(axis=1) - diagonal * text.leverage)
        scale = np.asarray((1.0 + prior * ridge.l2 * pc) / diagonal, dtype=np.float32)
        return cls(ridge, text, prior, diagonal, reached, scale)

    @property
    def plain(self) -> "PriorEASE":
        """The same without the prior: EASE."""
        return replace(self, prior=0.0, scale=np.float32(1.0) / self.diagonal)

    def plain_times(self, columns: FloatArray) -> FloatArray:
        """Return B without the prior times columns (n, q)."""
        product = self.ridge.times(columns * (np.float32(-1.0) / self.diagonal)[:, None])
        product += columns
        return product

    def scores(self, rows: Csr) -> FloatArray:
        """Return exact scores (m, n) of histories (m, n)."""
        applied = self.ridge.applied(rows)
        scores = rows.toarray() - applied * self.scale
        if self.prior:
            scores += self.text.times(applied) * np.float32(self.prior * self.ridge.l2)
        return np.asarray(scores, dtype=np.float32)

    def fill(self, weights: FloatArray) -> None:
        """Put B itself into an array of shape (n, n)."""
        amplified, text = np.float32(self.prior * self.ridge.l2), self.text
        self.ridge.fill(weights)
        weights *= -(self.scale + amplified * text.leverage * text.scale)
        prior = (text.vectors * (amplified * text.scale)[:, None]).T
        for block in blocks(len(weights), 1024):
            weights[block] += self.reached[block] @ prior
        weights[np.diag_indices(len(weights))] += np.float32(1.0)
