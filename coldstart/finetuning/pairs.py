"""What belongs together, as clicks say it: a history and an item, an item and another, a query and an item."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack

from coldstart._arrays import Csr, FloatArray, IntArray
from coldstart.data.holdout import Fold
from coldstart.training.towers import training_clicks


@dataclass(frozen=True)
class Pairs:
    """Rows of what is told, each with items to be found.

    Attributes
    ----------
    texts : ndarray of shape (n + q, dim)
        Vectors of the items, and of queries below them.
    rows, items : ndarray of shape (p,)
        The pairs to learn from: item ``items[i]`` from what else ``liked`` holds in row ``rows[i]``.
    liked, known : csr_array of shape (m, n + q), ones
        What is told together with what is to be found, and what is no negative.
    told, wanted : csr_array of shape (a, n + q) and (a, n)
        To measure by: what is told, and what was hidden.
    cold : ndarray of shape (c,)
        Items all of whose clicks are hidden: what is ranked when it is measured.
    """

    texts: FloatArray
    rows: IntArray
    items: IntArray
    liked: Csr
    known: Csr
    told: Csr
    wanted: Csr
    cold: IntArray

    @classmethod
    def of_histories(cls, texts: FloatArray, fold: Fold) -> "Pairs":
        """From what a user liked, each time without one item, to that item."""
        return cls(texts, *training_clicks(fold.train), fold.train, fold.train, *_evaluation_part(fold))

    @classmethod
    def of_pairs(cls, texts: FloatArray, fold: Fold, rng: np.random.Generator) -> "Pairs":
        """From one item that a user liked, drawn for each click, to another one."""
        users, items = training_clicks(fold.train)
        others = _other_liked(fold.train, users, items, rng)
        pairs = _ones(np.tile(np.arange(len(items)), 2), np.append(items, others), (len(items), len(texts)))
        return cls(texts, np.arange(len(items)), items, pairs, csr_array(fold.train[users]), *_evaluation_part(fold))

    @classmethod
    def of_queries(cls, texts: FloatArray, queries: FloatArray, fold: Fold) -> "Pairs":
        """From queries, (q, dim), to what was found with them: clicks (q, n) in the fold."""
        said = csr_array(eye_array(len(queries), dtype=np.float32))
        rows, items = (part.astype(np.int64) for part in fold.train.nonzero())
        alone = _ones(np.arange(len(items)), items, (len(items), len(texts)))
        _, wanted, cold = _evaluation_part(fold)
        return cls(
            np.vstack([texts, queries]),
            np.arange(len(items)),
            items,
            _side_by_side(alone, said[rows]),
            _side_by_side(fold.train[rows], said[rows]),
            _side_by_side(csr_array(wanted.shape, dtype=np.float32), said[_evaluation_users(fold)]),
            wanted,
            cold,
        )


def _evaluation_users(fold: Fold) -> IntArray:
    """Who has clicks on cold items that were hidden, and others that were not."""
    told, cold = np.diff(fold.train.indptr), np.flatnonzero(fold.cold)
    return np.flatnonzero(np.diff(csr_array(fold.held[:, cold]).indptr) * told)


def _evaluation_part(fold: Fold) -> tuple[Csr, Csr, IntArray]:
    asked = _evaluation_users(fold)
    return csr_array(fold.train[asked]), csr_array(fold.held[asked]), np.flatnonzero(fold.cold)


def _other_liked(liked: Csr, users: IntArray, items: IntArray, rng: np.random.Generator) -> IntArray:
    """Of each user one liked item, drawn evenly among those that are not the one of ``items``."""
    drawn = rng.integers(np.diff(liked.indptr)[users] - 1)
    found = liked.indices[liked.indptr[users] + drawn]
    last = liked.indices[liked.indptr[users + 1] - 1]
    return np.asarray(np.where(found == items, last, found), dtype=np.int64)


def _ones(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> Csr:
    return csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _side_by_side(one: Csr, other: Csr) -> Csr:
    return csr_array(hstack([one, other], format="csr"))
