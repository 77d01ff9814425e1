"""Choose a diverse set of items for somebody of whom nothing is known."""

from collections.abc import Callable

import numpy as np

from coldstart._arrays import FloatArray, IntArray, unit_rows
from coldstart.base import Hits

LEAST_KEPT = 10
"""Items of a cover that are computed and kept, at least: the default ``k``, so that most later requests find theirs."""

MAX_CANDIDATES = 2_000
"""Items compared with each other, at most: the matrix of their cosines has 16 MB. Of more items, evenly spaced ones
stand for all."""


def diverse_cover(vectors_at: Callable[[IntArray], FloatArray], k: int, allow: IntArray) -> Hits:
    """Choose items that together cover the catalogue: every item is similar to one of them.

    Greedy maximisation of facility location, ``sum over items of their largest cosine to a chosen one``
    (Nemhauser et al. 1978: at least 63 % of the best possible).

    Parameters
    ----------
    vectors_at : callable
        Gets positions, returns their vectors, shape (len(positions), dim).
    k : int
    allow : ndarray of int64
        Positions to choose from, ascending.

    Returns
    -------
    Hits
        One row; the score of an item is by how much it raised the mean cosine, descending.

    Examples
    --------
    >>> two_groups = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    >>> diverse_cover(two_groups.__getitem__, 2, np.arange(5)).positions[0].tolist()
    [0, 3]
    """
    evenly_spaced = np.linspace(0, len(allow) - 1, min(len(allow), MAX_CANDIDATES)).round().astype(np.int64)
    candidates = allow[np.unique(evenly_spaced)]
    unit = unit_rows(vectors_at(candidates))
    # An item that points away from another one covers it no less than an unrelated one.
    cosines = np.maximum(unit @ unit.T, 0.0)
    covered = np.zeros(len(candidates), dtype=np.float32)
    chosen: list[int] = []
    gains: list[float] = []
    for _ in range(min(k, len(candidates))):
        gain = np.maximum(cosines - covered, 0.0).mean(axis=1)
        gain[chosen] = -1.0  # below 0, which others may gain when all is covered
        best = int(gain.argmax())
        chosen.append(best)
        gains.append(float(gain[best]))
        covered = np.maximum(covered, cosines[best])
    # More items than candidates were asked for: fill up in the order of the catalogue.
    rest = np.setdiff1d(allow, candidates)[: k - len(chosen)]
    scores = np.array([*gains, *[0.0] * len(rest)], dtype=np.float32)
    return Hits([np.concatenate([candidates[chosen], rest])], [scores])
