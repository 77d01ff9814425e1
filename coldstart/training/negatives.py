"""Items to learn against: drawn evenly, by popularity or near a user's taste, and what must not count as one."""

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray

MAX_REDRAWS = 10
"""How often a drawn item that the user liked is drawn anew."""


def uniform(liked: Csr, users: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Return items that each of the users did not like, (b, count), each clicked item as likely as the others.

    Items that nobody clicked are no negatives: nobody may have seen them. Where a user liked nearly everything, liked
    items remain: mask them by ``false_negatives``.

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

    The power is that of word2vec (Mikolov et al. 2013); 0 is ``uniform``.
    """
    clicks = np.bincount(liked.indices, minlength=liked.shape[1])
    warm = np.flatnonzero(clicks)
    upto = np.cumsum(clicks[warm] ** power)
    return _redraw_liked(
        liked, users, lambda size: warm[np.searchsorted(upto, rng.random(size) * upto[-1])], (len(users), count)
    )


def mined(scores: FloatArray, known: BoolArray, count: int, skip: int = 0) -> IntArray:
    """Return the columns of the ``count`` best candidates of each row that are not ``known``, best first, (b, count).

    The very best are often liked and not clicked yet: ``skip`` leaves out so many of them (Xiong et al. 2021 mine
    without, and see such false negatives).

    Parameters
    ----------
    scores : ndarray of shape (b, c)
        Of the model as it is.
    known : ndarray of shape (b, c), bool
        As ``false_negatives`` finds them; where fewer than ``count + skip`` are not known, known ones come last.
    count, skip : int
    """
    left = np.where(known, -np.inf, scores)
    return np.argsort(-left, axis=1, kind="stable")[:, skip : skip + count]


def false_negatives(liked: Csr, users: IntArray, items: IntArray) -> BoolArray:
    """Return which of the shared items (c,) each user liked, shape (b, c): in a batch they are no negatives of theirs.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> false_negatives(csr_array([[1, 0, 1], [0, 1, 0]]), np.array([1, 0]), np.array([1, 2])).tolist()
    [[True, False], [False, True]]
    """
    return np.asarray(liked[users][:, items].toarray() > 0)


def log_q(liked: Csr, items: IntArray) -> FloatArray:
    """Return the logarithm of each item's share of all clicks, (c,): how often it is in a batch of clicks."""
    clicks = np.bincount(liked.indices, minlength=liked.shape[1])
    return np.asarray(np.log(np.maximum(clicks[items], 1) / max(clicks.sum(), 1)), dtype=np.float32)


def _redraw_liked(liked: Csr, users: IntArray, draw, shape: tuple[int, int]) -> IntArray:  # type: ignore[no-untyped-def]
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
