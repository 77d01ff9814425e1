"""Beyond accuracy: how much of the catalogue is shown, how new, how diverse. Lists hold positions in the catalogue."""

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, BoolArray, FloatArray, as_matrix, check_between, unit_rows
from coldstart.errors import InvalidInputError
from coldstart.metrics._lists import Lists, Relevant, first_k, flat, hits, mean_per_row

Values = npt.NDArray[np.float64]


def coverage(ranked: Lists, n_items: int, k: int = 20) -> float:
    """Return the share of the catalogue that is in the first ``k`` of at least one list, from 0 to 1.

    Parameters
    ----------
    ranked : one row of positions per user, best first
    n_items : int
        Size of the catalogue, at least 1.
    k : int
        At least 1.

    Raises
    ------
    InvalidInputError
        When a position is outside the catalogue, or a row holds an item twice; so do the other metrics.

    Examples
    --------
    >>> coverage([[0, 1], [1, 2]], n_items=4, k=2)
    0.75
    """
    check_between("n_items", n_items, 1, 10**12)
    return len(np.unique(flat(ranked, n_items, k)[1])) / n_items


def gini(ranked: Lists, n_items: int, k: int = 20) -> float:
    """Return the Gini coefficient of exposure: 0 when all items appear equally often, near 1 when few take it all.

    G = sum_i (2 i - n - 1) c_i / (n sum_i c_i), counts c ascending, i from 1. NaN without any list.
    Arguments as in ``coverage``.

    Examples
    --------
    >>> gini([[0, 1], [2, 3]], n_items=4, k=2)
    0.0
    >>> gini([[0], [0]], n_items=4, k=1)
    0.75
    """
    check_between("n_items", n_items, 1, 10**12)
    counts = np.sort(np.bincount(flat(ranked, n_items, k)[1], minlength=n_items))
    if not counts.sum():
        return float("nan")
    return float(((2 * np.arange(1, n_items + 1) - n_items - 1) @ counts) / (n_items * counts.sum()))


def cold_exposure(ranked: Lists, cold: BoolArray, k: int = 20) -> Values:
    """Return the share of each list's first ``k`` that is cold, from 0 to 1, shape (m,); NaN for empty lists.

    Parameters
    ----------
    ranked : one row of positions per user
    cold : ndarray of shape (n_items,), bool
        Which items are cold.
    k : int
        At least 1.

    Examples
    --------
    >>> cold_exposure([[0, 1, 2]], np.array([True, False, False, True]), k=2).tolist()
    [0.5]
    """
    cold = np.asarray(cold, dtype=bool)
    users, items = flat(ranked, len(cold), k)
    return mean_per_row(cold[items], users, len(ranked))


def novelty(ranked: Lists, counts: AnyArray, n_users: int, k: int = 20) -> Values:
    """Return the mean self-information of each list in bits, shape (m,); NaN for empty lists.

    The self-information of an item is -log2(users who clicked it / users), 0 for one that everyone clicked (Zhou et al.
    2010). An item without clicks counts as having one.

    Parameters
    ----------
    ranked : one row of positions per user
    counts : ndarray of shape (n_items,)
        How many users clicked each item.
    n_users : int
        At least 1.
    k : int
        At least 1.

    Examples
    --------
    >>> novelty([[0], [1]], np.array([8, 1]), n_users=8, k=1).tolist()
    [0.0, 3.0]
    """
    check_between("n_users", n_users, 1, 10**12)
    users, items = flat(ranked, len(counts), k)
    bits = np.log2(n_users / np.maximum(np.asarray(counts, dtype=np.float64), 1.0))
    return mean_per_row(bits[items], users, len(ranked))


def intra_list_diversity(ranked: Lists, vectors: FloatArray, k: int = 20) -> Values:
    """Return the mean of 1 - cosine over the pairs of items in each list, from 0 to 2, shape (m,).

    Smyth and McClave (2001). NaN for lists of fewer than two items.

    Parameters
    ----------
    ranked : one row of positions per user
    vectors : ndarray of shape (n_items, dim)
    k : int
        At least 1.

    Examples
    --------
    >>> intra_list_diversity([[0, 1], [0, 2]], np.array([[1, 0], [1, 0], [0, 1]]), k=2).tolist()
    [0.0, 1.0]
    """
    unit = unit_rows(as_matrix(vectors, "vectors"))
    flat(ranked, len(unit), k)  # checks the positions
    rows = first_k(ranked, k)
    return np.array([_diversity(unit[np.array(row, dtype=np.int64)]) for row in rows], dtype=np.float64)


def popularity_by_decile(ranked: Lists, counts: AnyArray, k: int = 20) -> Values:
    """Return the share of all exposure on each tenth of the catalogue, most clicked first, shape (10,).

    A recommender without popularity bias has .1 everywhere. Items are ordered by their number of clicks, ties by
    position. All NaN without any list.

    Parameters
    ----------
    ranked : one row of positions per user
    counts : ndarray of shape (n_items,)
        Clicks of each item.
    k : int
        At least 1.

    Examples
    --------
    >>> popularity_by_decile([[0, 1]], np.arange(20)[::-1], k=2).tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    n_items = len(counts)
    decile = np.empty(n_items, dtype=np.int64)
    decile[np.argsort(-np.asarray(counts, dtype=np.float64), kind="stable")] = np.arange(n_items) * 10 // n_items
    exposure = np.bincount(decile[flat(ranked, n_items, k)[1]], minlength=10).astype(np.float64)
    return exposure / exposure.sum() if exposure.sum() else np.full(10, np.nan)


def serendipity(ranked: Lists, relevant: Relevant, expected: Lists, k: int = 20) -> Values:
    """Return unexpected hits / ``k``, from 0 to 1, shape (m,); NaN where nothing is relevant.

    Ge, Delgado-Battenfeld and Jannach (2010): expected is what a primitive recommender would recommend.

    Parameters
    ----------
    ranked : one row of items per user
    relevant : one collection of items per user
    expected : one row of items per user
        For example the most popular items; the first ``k`` of each row count as no hits.
    k : int
        At least 1.

    Raises
    ------
    InvalidInputError
        When the three have different lengths.

    Examples
    --------
    >>> serendipity([["hit", "gem"]], [{"hit", "gem"}], [["hit", "other"]], k=2).tolist()
    [0.5]
    """
    if len(expected) != len(ranked):
        raise InvalidInputError(
            f"`expected` must have one row per row of `ranked`, {len(ranked)}; got {len(expected)}."
        )
    mask, n_relevant = hits(ranked, relevant, k)
    is_expected, _ = hits(ranked, first_k(expected, k), k)
    return np.where(n_relevant > 0, (mask & ~is_expected).sum(axis=1) / k, np.nan)


def _diversity(unit: FloatArray) -> float:
    """Return the mean of 1 - cosine over all pairs of unit rows (n, dim), in n * dim operations.

    The squared norm of the sum of all rows is the sum of their cosines over all pairs, of each row with itself too.
    """
    n = len(unit)
    if n < 2:
        return float("nan")
    rows = unit.astype(np.float64)
    total = rows.sum(axis=0)
    mean_cosine = (total @ total - (rows * rows).sum()) / (n * (n - 1))
    return float(np.clip(1.0 - mean_cosine, 0.0, 2.0))  # rounding may lead a little outside
