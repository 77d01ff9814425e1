"""Negatives: sampled uniformly, by popularity or mined near a user's taste; and false negatives to mask."""

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray

MAX_REDRAWS = 10
"""Times that drawn items which the user liked are drawn again; users who liked nearly all would never end."""


def uniform(liked: Csr, users: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Return items that each of the users did not like, (b, count), drawn uniformly among clicked items.

    Items without clicks are left out: they may be new, and as negatives they would be pushed down for it. Where a user
    liked nearly everything, liked items remain: mask them by ``false_negatives``.

    Parameters
    ----------
    liked : csr_array of shape (m, n)
        With at least one click.
    users : ndarray of shape (b,)
    count : int
    rng : Generator
    """
    warm = np.unique(liked.indices)
    return _redraw_liked(liked, users, lambda size: rng.choice(warm, size), (len(users), count))


def by_popularity(liked: Csr, users: IntArray, count: int, rng: np.random.Generator, power: float = 0.75) -> IntArray:
    """Return items that each of the users did not like, (b, count), drawn in proportion to clicks ** ``power``.

    The power 0.75 is that of word2vec (Mikolov et al. 2013); 0 is ``uniform``.
    """
    clicks = np.bincount(liked.indices, minlength=liked.shape[1])
    warm = np.flatnonzero(clicks)
    cumulated = np.cumsum(clicks[warm] ** power)
    # Inverse transform sampling: one search for each draw, where rng.choice(p=...) would check and sum p each time.
    return _redraw_liked(
        liked,
        users,
        lambda size: warm[np.searchsorted(cumulated, rng.random(size) * cumulated[-1])],
        (len(users), count),
    )


def mined(scores: FloatArray, known: BoolArray, count: int, skip: int = 0) -> IntArray:
    """Return the columns of the ``count`` best candidates of each row that are not ``known``, best first, (b, count).

    Hard negatives. The very best are often false negatives, liked and not clicked yet: ``skip`` leaves out so many of
    them (Xiong et al. 2021 mine without, and report such false negatives).

    Parameters
    ----------
    scores : ndarray of shape (b, c)
        Scores of the model at this point of training.
    known : ndarray of shape (b, c), bool
        Liked candidates, as of ``false_negatives``; where fewer than ``count + skip`` others are left, they come last.
    count, skip : int
    """
    candidates = np.where(known, -np.inf, scores)
    return np.argsort(-candidates, axis=1, kind="stable")[:, skip : skip + count]


def false_negatives(liked: Csr, users: IntArray, items: IntArray) -> BoolArray:
    """Return which of the shared items (c,) each user liked, shape (b, c), to be masked as negatives.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> false_negatives(csr_array([[1, 0, 1], [0, 1, 0]]), np.array([1, 0]), np.array([1, 2])).tolist()
    [[True, False], [False, True]]
    """
    return np.asarray(liked[users][:, items].toarray() > 0)


def log_q(liked: Csr, items: IntArray) -> FloatArray:
    """Return the logarithm of each item's share of all clicks, (c,): how likely a drawn click is on it."""
    clicks = np.bincount(liked.indices, minlength=liked.shape[1])
    return np.asarray(np.log(np.maximum(clicks[items], 1) / max(clicks.sum(), 1)), dtype=np.float32)


def _redraw_liked(liked: Csr, users: IntArray, draw, shape: tuple[int, int]) -> IntArray:  # type: ignore[no-untyped-def]
    """Return items (b, count) of ``draw``; those that their user liked are drawn again, ``MAX_REDRAWS`` times."""
    if not np.prod(shape):
        return np.zeros(shape, dtype=np.int64)
    drawn = np.asarray(draw(shape))
    owners = np.repeat(users, shape[1])
    for _ in range(MAX_REDRAWS):
        clicked = np.asarray(liked[owners, drawn.ravel()]).reshape(shape) > 0
        if not clicked.any():
            break
        drawn[clicked] = draw(int(clicked.sum()))
    return drawn
