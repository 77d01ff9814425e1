"""Items that get their first clicks after the fit: what these say of them, the other items as they are."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from coldstart._arrays import Csr, FloatArray
from coldstart.rankers.hybrid.als import PriorALS
from coldstart.rankers.hybrid.ease import TextPrior

ACCURACY = 1e-4
"""Of the solution, as a share of the right side."""


def ease_columns(
    clicks: Csr, risen: Csr, vectors: FloatArray, texts: FloatArray, l2: float, prior: float, text_l2: float
) -> FloatArray:
    """Return the columns that ``PriorEASE`` would have for other items, b = (X'X + l2 I)^-1 (X'x + prior l2 c).

    By conjugate gradients: nothing as large as the items squared is formed.

    Parameters
    ----------
    clicks : csr_array of shape (m, n)
        X, of the items with columns.
    risen : csr_array of shape (m, q)
        The x, of the others.
    vectors, texts : ndarray of shape (n, dim) and (q, dim)
    l2, prior, text_l2 : float

    Returns
    -------
    ndarray of shape (n, q)
    """
    by_item, n_items = csr_array(clicks.T), clicks.shape[1]
    right = (by_item @ risen).toarray()
    if prior:
        right += prior * l2 * (TextPrior.of(vectors, text_l2).solved @ texts.T)
    gram = LinearOperator((n_items, n_items), matvec=lambda b: by_item @ (clicks @ b) + l2 * b, dtype=np.float64)
    columns = [cg(gram, column, rtol=ACCURACY)[0] for column in right.T.astype(np.float64)]
    return np.stack(columns, axis=1).astype(np.float32)


def als_columns(model: PriorALS, clicks: Csr, risen: Csr, texts: FloatArray) -> FloatArray:
    """Return the factors (k, q) that ``PriorALS`` would have for other items; arguments as of ``ease_columns``."""
    by_item = csr_array(risen.T)
    asked = np.unique(by_item.indices)
    return model.new_items(csr_array(by_item[:, asked]), model.code(csr_array(clicks[asked])), texts).T
