"""Training pairs from clicks: a history and an item, an item and another one, a query and an item."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack

from coldstart._arrays import Csr, FloatArray, IntArray
from coldstart.data.holdout import Fold
from coldstart.training.towers import training_clicks


@dataclass(frozen=True)
class Pairs:
    """Pairs of a row (a history, an item or a query) and an item to predict from it; and a held-out part to measure.

    Attributes
    ----------
    texts : ndarray of shape (n + q, dim)
        Vectors of the items, and of queries below them: a query is a column like an item.
    rows, items : ndarray of shape (p,)
        The pairs: ``items[i]`` is predicted from the other columns of row ``rows[i]`` of ``liked``.
    liked, known : csr_array of shape (m, n + q), ones
        Columns of each row, with the items to predict; and columns that are no negatives of the row.
    given, relevant : csr_array of shape (a, n + q) and (a, n)
        Of the evaluation users: what predictions are made from, and held-out items.
    cold : ndarray of shape (c,)
        Pseudo-cold items, all of whose clicks are held out: the candidates of the measurement.
    """

    texts: FloatArray
    rows: IntArray
    items: IntArray
    liked: Csr
    known: Csr
    given: Csr
    relevant: Csr
    cold: IntArray

    @classmethod
    def of_histories(cls, texts: FloatArray, fold: Fold) -> "Pairs":
        """Return pairs of each user's history and, one after the other, each item of it."""
        return cls(texts, *training_clicks(fold.train), fold.train, fold.train, *_evaluation_part(fold))

    @classmethod
    def of_pairs(cls, texts: FloatArray, fold: Fold, rng: np.random.Generator) -> "Pairs":
        """Return, for each click, a pair of another item that the user liked, drawn uniformly, and the clicked one."""
        users, items = training_clicks(fold.train)
        others = _other_liked(fold.train, users, items, rng)
        pairs = _ones(np.tile(np.arange(len(items)), 2), np.append(items, others), (len(items), len(texts)))
        return cls(texts, np.arange(len(items)), items, pairs, csr_array(fold.train[users]), *_evaluation_part(fold))

    @classmethod
    def of_queries(cls, texts: FloatArray, queries: FloatArray, fold: Fold) -> "Pairs":
        """Return pairs of a query, vectors (q, dim), and an item found with it: the rows of the fold are queries."""
        query_columns = csr_array(eye_array(len(queries), dtype=np.float32))
        rows, items = (part.astype(np.int64) for part in fold.train.nonzero())
        single = _ones(np.arange(len(items)), items, (len(items), len(texts)))
        _, relevant, cold = _evaluation_part(fold)
        return cls(
            np.vstack([texts, queries]),
            np.arange(len(items)),
            items,
            _side_by_side(single, query_columns[rows]),
            _side_by_side(fold.train[rows], query_columns[rows]),
            _side_by_side(csr_array(relevant.shape, dtype=np.float32), query_columns[_evaluation_users(fold)]),
            relevant,
            cold,
        )


def _evaluation_users(fold: Fold) -> IntArray:
    """Return the rows with held-out clicks on cold items, and clicks to predict them from."""
    n_given, cold = np.diff(fold.train.indptr), np.flatnonzero(fold.cold)
    return np.flatnonzero(np.diff(csr_array(fold.held[:, cold]).indptr) * n_given)


def _evaluation_part(fold: Fold) -> tuple[Csr, Csr, IntArray]:
    """Return given clicks, held-out clicks and cold items, to measure by."""
    users = _evaluation_users(fold)
    return csr_array(fold.train[users]), csr_array(fold.held[users]), np.flatnonzero(fold.cold)


def _other_liked(liked: Csr, users: IntArray, items: IntArray, rng: np.random.Generator) -> IntArray:
    """Return one liked item of each user, drawn uniformly among those that differ from the one in ``items``."""
    # Drawn among all liked items but the last; the last one takes the place of a draw of the item itself. Each other
    # item has the same probability, and nothing is drawn twice.
    drawn = rng.integers(np.diff(liked.indptr)[users] - 1)
    others = liked.indices[liked.indptr[users] + drawn]
    last = liked.indices[liked.indptr[users + 1] - 1]
    return np.asarray(np.where(others == items, last, others), dtype=np.int64)


def _ones(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> Csr:
    """Return a matrix with ones at these rows and columns."""
    return csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _side_by_side(items: Csr, queries: Csr) -> Csr:
    """Return the columns of items, then those of queries."""
    return csr_array(hstack([items, queries], format="csr"))
