"""Search in float32: what has no codes, or where codes are no help."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray, blocks
from coldstart._rows import Rows
from coldstart.index.dots import best_of, kth_of, pair_dots
from coldstart.index.topk import Ranked, top_k

SPARE = 16
"""Candidates beyond k that are scored exactly, at first."""

GATHERED = 64 * 2**20
"""Bytes of allowed vectors that are copied; more are searched where they are."""


def longest(vectors: FloatArray) -> float:
    """Return an upper bound on the length of every row."""
    squares = [np.einsum("ij,ij->i", rows, rows).max() for rows in _in_double(vectors)]
    return float(np.sqrt(max(squares, default=0.0))) * (1 + 2.0**-40)


def plain_search(
    vectors: Rows,
    reach: float,
    queries: FloatArray,
    k: int,
    allowed: IntArray | None,
    excluded: Sequence[IntArray] | None,
) -> list[Ranked]:
    """Return positions and scores of the k best of each query, by scores of ``dots``.

    A float32 product of d terms, added up in any order, is within d 2**-24 |x| |q| of the dot product (Higham 2002,
    section 3.1). So the best k of these products and a few more are scored by ``dots``; when the k-th of these scores
    is above what the next product could be, nothing was missed, else four times as many are taken.

    Parameters
    ----------
    reach : float
        No vector is longer.
    """
    n, m, dim = len(vectors), len(queries), vectors.blocks[0].shape[1]
    scaled, factor = _scaled(queries)
    slack = np.linalg.norm(scaled.astype(np.float64), axis=1) * reach * dim * 2.0**-23
    slack += queries.any(axis=1) * dim * 2.0**-120 * max(reach, 1.0)
    rows: list[Ranked] = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * m
    pending, want = np.arange(m), min(n, k + SPARE)
    scores_of, columns = _products(vectors, allowed)
    while len(pending):
        hidden = None if excluded is None else [excluded[row] for row in pending.tolist()]
        asked = scaled[pending]
        hits = top_k(lambda block, asked=asked: scores_of(asked[block]), len(pending), n, want, columns, hidden)  # type: ignore[misc]
        counts = np.array([len(row) for row in hits.positions])
        owner = np.repeat(np.arange(len(pending)), counts)
        positions = np.concatenate(list(hits.positions))
        scores = pair_dots(vectors, queries[pending], positions, owner)
        last = np.array([row[-1] if len(row) == want < n else -np.inf for row in hits.scores])
        with np.errstate(over="ignore"):
            bound = ((last + slack[pending]) * factor[pending]).astype(np.float32)
        sure = (kth_of(owner, scores, len(pending), k) > bound) | np.isneginf(last) | (slack[pending] == 0)
        best = best_of(owner, positions, scores, len(pending), k)
        for at in np.flatnonzero(sure):
            rows[pending[at]] = best[at]
        pending, want = pending[~sure], min(n, 4 * want)
    return rows


def _scaled(queries: FloatArray) -> tuple[FloatArray, AnyArray]:
    """Bring queries by powers of two to lengths about 2**-20, where no product overflows; and the way back."""
    peak = np.abs(queries).max(axis=1, initial=0.0).astype(np.float64)
    power = np.frexp(peak)[1] + 20
    scaled = np.ldexp(queries.astype(np.float64), -power[:, None]).astype(np.float32)
    return scaled, np.ldexp(1.0, power)


def _products(vectors: Rows, allowed: IntArray | None) -> tuple[Callable[[FloatArray], FloatArray], IntArray | None]:
    """Return what multiplies queries with the vectors, and the positions of its columns as ``top_k`` takes them."""
    if allowed is None:
        return lambda asked: _times(asked, vectors.blocks), None
    if len(allowed) * vectors.blocks[0].shape[1] * 4 <= GATHERED:
        gathered = vectors.take(allowed)
        return lambda asked: asked @ gathered.T, allowed
    barred = np.ones(len(vectors), dtype=bool)
    barred[allowed] = False

    def masked(asked: FloatArray) -> FloatArray:
        products = _times(asked, vectors.blocks)
        products[:, barred] = -np.inf
        return products

    return masked, None


def _times(asked: FloatArray, parts: Sequence[FloatArray]) -> FloatArray:
    products = [asked @ part.T for part in parts]
    return products[0] if len(products) == 1 else np.hstack(products)


def _in_double(vectors: FloatArray) -> Iterator[AnyArray]:
    return (vectors[block].astype(np.float64) for block in blocks(len(vectors), 4096))
