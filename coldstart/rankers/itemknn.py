"""Item-based nearest neighbours: users who clicked this also clicked that."""

import numpy as np
from scipy.sparse import csr_array, vstack

from coldstart._arrays import Csr, FloatArray, IntArray, blocks, check_between
from coldstart.rankers._columns import ClickRanker, move_columns


class ItemKNNRanker(ClickRanker, saved=True):
    """Score an item by the sum of its similarities to those items of the history that are among its neighbours.

    The similarity is the cosine of two items' columns of clicks, shrunk for items with few clicks:
    s_ij = x_i . x_j / (|x_i| |x_j| + shrink) (Sarwar et al. 2001; Ferrari Dacrema et al. 2019).

    Parameters
    ----------
    neighbours : int
        Most similar items kept for each item, at least 1.
    shrink : float
        Clicks, at least 0, at which two items keep half of their cosine.

    Attributes
    ----------
    similar_ : csr_array of shape (n_items, n_items)
        Entry (i, j): similarity of item i to item j, where i is among the neighbours of j.
    """

    similar_: Csr

    def __init__(self, neighbours: int = 100, shrink: float = 10.0) -> None:
        self.neighbours = neighbours
        self.shrink = shrink

    def _learn(self, clicks: Csr) -> None:
        check_between("neighbours", self.neighbours, 1, 10**9)
        check_between("shrink", self.shrink, 0.0, 1e9)
        by_item = csr_array(clicks.T)
        length = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1)))
        rows = [self._neighbours(by_item, clicks, length, block) for block in blocks(len(length), 1024)]
        self.similar_ = csr_array(csr_array(vstack(rows)).T)

    def _neighbours(self, by_item: Csr, clicks: Csr, length: FloatArray, block: slice) -> Csr:
        """Return the similarities of a block of items to their nearest neighbours, shape (block, n_items)."""
        common = csr_array(by_item[block] @ clicks).tocoo()
        item = np.arange(len(length))[block][common.row]
        similarity = common.data / (length[item] * length[common.col] + self.shrink + 1e-9)
        similarity[item == common.col] = 0.0
        # Only pairs with a common click are stored. In this order their rank is the distance to the start of their row.
        order = np.lexsort((common.col, -similarity, common.row))
        row = common.row[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        kept = order[(rank < self.neighbours) & (similarity[order] > 0)]
        entries = (similarity[kept].astype(np.float32), (common.row[kept], common.col[kept]))
        return csr_array(entries, shape=common.shape)

    def _from_history(self, history: Csr) -> FloatArray:
        scores: FloatArray = (history @ self.similar_).toarray().astype(np.float32)
        return scores

    def _move(self, clicks: Csr, origin: IntArray) -> None:
        columns = move_columns(self.similar_, origin)
        self.similar_ = csr_array(move_columns(csr_array(columns.T), origin).T)
