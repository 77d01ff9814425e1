"""Accuracy: how many relevant items are in each user's list, and at which ranks.

Relevance is binary. Every function returns one float64 per user, NaN where nothing is relevant. A list shorter than
``k`` counts as filled up with misses.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from coldstart._arrays import AnyArray, BoolArray, IntArray
from coldstart.errors import InvalidInputError
from coldstart.metrics._lists import Lists, Relevant, hits

Values = npt.NDArray[np.float64]
"""One number per user, shape (m,)."""


def recall(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return hits in the first ``k`` / relevant items, from 0 to 1, shape (m,).

    Parameters
    ----------
    ranked : one row of items per user, best first
        Ids or positions, lists or a 2-D array.
    relevant : one collection of items per user
    k : int
        At least 1.

    Raises
    ------
    InvalidInputError
        When ``k`` is below 1, the lengths differ, or a row holds an item twice; so do the other metrics.

    Examples
    --------
    >>> recall([["a", "x", "b"]], [{"a", "b", "c", "d"}], k=3).tolist()
    [0.5]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    return _ratio(mask.sum(axis=1), n_relevant)


def precision(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return hits in the first ``k`` / ``k``, from 0 to 1, shape (m,). Arguments as in ``recall``.

    Examples
    --------
    >>> precision([["a", "x"]], [{"a", "b"}], k=4).tolist()
    [0.25]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    return np.where(n_relevant > 0, mask.sum(axis=1) / k, np.nan)


def hit_rate(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return 1 where anything relevant is in the first ``k``, else 0, shape (m,). Arguments as in ``recall``.

    Examples
    --------
    >>> hit_rate([["x", "a"], ["x", "y"]], [{"a"}, {"a"}], k=2).tolist()
    [1.0, 0.0]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    return np.where(n_relevant > 0, mask.any(axis=1).astype(np.float64), np.nan)


def ndcg(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return the normalised discounted cumulative gain, from 0 to 1, shape (m,). Arguments as in ``recall``.

    A hit at rank r (from 1) gains 1 / log2(r + 1); the ideal has min(relevant, k) hits on top
    (Järvelin and Kekäläinen 2002, with the discount of Burges et al. 2005).

    Examples
    --------
    >>> ndcg([["x", "a"]], [{"a"}], k=2).round(4).tolist()
    [0.6309]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    n_ideal = np.minimum(n_relevant, k)
    gains = 1.0 / np.log2(np.arange(2, 2 + max(mask.shape[1], n_ideal.max(initial=0))))
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[n_ideal]
    return _ratio(mask @ gains[: mask.shape[1]], ideal)


def reciprocal_rank(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return 1 / rank of the first hit in the first ``k``, 0 without one; the mean is MRR. Arguments as in ``recall``.

    Examples
    --------
    >>> reciprocal_rank([["x", "a", "b"]], [{"a", "b"}], k=3).tolist()
    [0.5]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    ranks = np.arange(1, mask.shape[1] + 1)
    first = (mask / ranks).max(axis=1, initial=0.0)
    return np.where(n_relevant > 0, first, np.nan)


def average_precision(ranked: Lists, relevant: Relevant, k: int = 20) -> Values:
    """Return the sum of the precision at every hit / relevant items; the mean is MAP. Arguments as in ``recall``.

    Divided by all relevant items, as trec_eval does, also when there are more than ``k``.

    Examples
    --------
    >>> average_precision([["a", "x", "b"]], [{"a", "b"}], k=3).round(4).tolist()
    [0.8333]
    """
    mask, n_relevant = hits(ranked, relevant, k)
    precisions = mask.cumsum(axis=1) / np.arange(1, mask.shape[1] + 1)
    return _ratio((precisions * mask).sum(axis=1), n_relevant)


def auc(scores: AnyArray, relevant: BoolArray, candidates: BoolArray | None = None) -> Values:
    """Return the probability that a relevant candidate scores above an irrelevant one, from 0 to 1, shape (m,).

    Ties count half. By the rank sum of Mann and Whitney (1947), in n log n instead of all pairs. NaN for users without
    both kinds of candidates.

    Parameters
    ----------
    scores : ndarray of shape (m, n)
        Finite where an item is a candidate.
    relevant : ndarray of shape (m, n), bool
    candidates : ndarray of shape (m, n) or (n,), bool, optional
        Items to rank; by default all.

    Raises
    ------
    InvalidInputError
        When the shapes differ, or a candidate's score is not finite.

    Examples
    --------
    >>> auc(np.array([[0.9, 0.1, 0.5]]), np.array([[True, False, False]])).tolist()
    [1.0]
    """
    scores, relevant = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=bool)
    if scores.ndim != 2 or scores.shape != relevant.shape:
        raise InvalidInputError(
            f"`scores` and `relevant` must have one shape (m, n); got {scores.shape} and {relevant.shape}."
        )
    is_candidate = _candidate_mask(candidates, scores.shape)
    if not np.isfinite(scores[is_candidate]).all():
        raise InvalidInputError("`scores` must be finite for every candidate; got NaN or infinity. Mask it out.")
    # Other items get the lowest ranks, so that taking off their number leaves the ranks among the candidates.
    n_others = (~is_candidate).sum(axis=1)
    ranks = rankdata(np.where(is_candidate, scores, -np.inf), axis=1) - n_others[:, None]
    positive = relevant & is_candidate
    n_positive = positive.sum(axis=1)
    n_pairs = n_positive * (is_candidate.sum(axis=1) - n_positive)
    # The lowest possible rank sum of the relevant is 1 + 2 + ... + n_positive; each pair that they win adds 1.
    wins = np.where(positive, ranks, 0.0).sum(axis=1) - n_positive * (n_positive + 1) / 2
    return _ratio(wins, n_pairs)


def _candidate_mask(candidates: BoolArray | None, shape: tuple[int, ...]) -> BoolArray:
    """Return the mask of the candidates of each user, shape (m, n)."""
    mask = np.asarray(True if candidates is None else candidates, dtype=bool)
    if candidates is not None and mask.shape not in (shape, shape[1:]):
        raise InvalidInputError(f"`candidates` must have shape {shape} or {shape[1:]}; got {mask.shape}.")
    return np.broadcast_to(mask, shape)


def _ratio(numerator: AnyArray, denominator: AnyArray | IntArray) -> Values:
    """Return the quotients; NaN where the denominator is 0."""
    nan = np.full(len(numerator), np.nan)
    ratio: Values = np.divide(numerator, denominator, out=nan, where=np.asarray(denominator) > 0)
    return ratio
