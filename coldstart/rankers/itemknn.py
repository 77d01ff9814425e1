"""Item-based nearest neighbours: who clicked this also clicked that."""

import numpy as np
from scipy.sparse import csr_array, vstack

from coldstart._arrays import Csr, FloatArray, IntArray, blocks, check_between
from coldstart.rankers._columns import ClickRanker, moved_columns


class ItemKNNRanker(ClickRanker, saved=True):
    """Score an item by its similarity to the items of a history, counting the nearest neighbours only.

    The cosine of the items' columns of clicks, shrunk for items with few:
    s_ij = x_i . x_j / (|x_i| |x_j| + shrink) (Sarwar et al. 2001; Ferrari Dacrema et al. 2019).

    Parameters
    ----------
    neighbours : int
        Similar items kept for each item, at least 1.
    shrink : float
        At least 0.

    Attributes
    ----------
    similar_ : csr_array of shape (n_items, n_items)
        Row i: item i's similarity to those that have it among their neighbours.
    """

    similar_: Csr

    def __init__(self, neighbours: int = 100, shrink: float = 10.0) -> None:
        self.neighbours = neighbours
        self.shrink = shrink

    def _learn(self, clicks: Csr) -> None:
        check_between("neighbours", self.neighbours, 1, 10**9)
        check_between("shrink", self.shrink, 0.0, 1e9)
        columns = csr_array(clicks.T)
        length = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)))
        rows = [self._neighbours(columns, clicks, length, block) for block in blocks(len(length), 1024)]
        self.similar_ = csr_array(csr_array(vstack(rows)).T)

    def _neighbours(self, columns: Csr, clicks: Csr, length: FloatArray, block: slice) -> Csr:
        """Similarities of a block of items to their nearest neighbours, one row each."""
        together = csr_array(columns[block] @ clicks).tocoo()
        at = np.arange(len(length))[block][together.row]
        value = together.data / (length[at] * length[together.col] + self.shrink + 1e-9)
        value[at == together.col] = 0.0
        order = np.lexsort((together.col, -value, together.row))
        row = together.row[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        kept = order[(rank < self.neighbours) & (value[order] > 0)]
        shape = (together.shape[0], len(length))
        return csr_array((value[kept].astype(np.float32), (together.row[kept], together.col[kept])), shape=shape)

    def _from_history(self, history: Csr) -> FloatArray:
        scores: FloatArray = (history @ self.similar_).toarray().astype(np.float32)
        return scores

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        columns = moved_columns(self.similar_, origin)
        self.similar_ = csr_array(moved_columns(csr_array(columns.T), origin).T)
