"""Find what may be among the best k by int8 codes, with nothing left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, BoolArray, FloatArray, IntArray
from coldstart._device import as_tensor
from coldstart._rows import Rows
from coldstart.index.codes import BLOCK, TOP, Codes
from coldstart.index.dots import best_of, grouped, kth_of, pair_dots
from coldstart.index.topk import Ranked

DoubleArray: TypeAlias = npt.NDArray[np.float64]

GROUP = 16
"""Rows whose largest product is compared first; a divisor of ``BLOCK``."""

CELLS = 1 << 21
"""Products computed at once, 8 MB: they stay in the processor's last cache."""

LONGEST = 1 << 16
"""Rows of one product, at most."""

FRESH = 1 << 18
"""Candidates that are kept before they are looked through."""

MASKED = -(2**31)
HUGE = 1e38


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be among the best: of query ``owner``, a score within ``slack`` of ``middle``."""

    owner: IntArray
    positions: IntArray
    middle: DoubleArray
    slack: DoubleArray

    def __getitem__(self, rows: Any) -> "Candidates":
        return Candidates(self.owner[rows], self.positions[rows], self.middle[rows], self.slack[rows])

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Return all of several."""
        owner = np.concatenate([np.zeros(0, dtype=np.int64), *(part.owner for part in parts)])
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *(part.positions for part in parts)])
        middle, slack = (
            np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in ("middle", "slack")
        )
        return cls(owner, positions, middle, slack)


@cache
def is_exact(dim: int) -> bool:
    """Whether this machine multiplies int8 matrices of ``dim`` columns, and without saturating: a probe says."""
    try:
        import torch
    except ImportError:
        return False
    rng = np.random.default_rng(0)
    codes = rng.integers(-TOP, TOP + 1, (BLOCK, dim)).astype(np.int8)
    codes[0], codes[1] = TOP, -TOP
    for m in (1, 7, 32, 512):
        queries = np.resize(codes, (m, dim))
        try:
            found = torch._int_mm(torch.from_numpy(codes), torch.from_numpy(queries).T)
        except (RuntimeError, AttributeError, NotImplementedError):
            return False
        if not np.array_equal(found.numpy(), np.rint(codes.astype(np.float64) @ queries.T.astype(np.float64))):
            return False
    return True


class Scan:
    """One batch of queries against chunks of codes.

    Write x for a row, c for its code and s for the scale of its block; q for a query, p for its code and u for its
    scale. The product s u (c . p) is exact up to double rounding, and

        x . q - s u (c . p) = (s c) . (q - u p) + (x - s c) . q,

    so the score is within ``slack = |s c| |q - u p| + |x - s c| |q|`` of ``middle = s u (c . p)`` (Cauchy-Schwarz),
    plus the rounding of the score itself, 2**-24 |x| |q|. The k-th best ``middle - slack`` seen so far is a floor
    under the k-th best score: what has ``middle + slack`` below it is never among the best, not even by a tie.
    To raise the floor the best k so far are scored from their float32 vectors; then middle is the score, slack is 0.

    Parameters
    ----------
    vectors : Rows
        Of shape (n, dim), float32.
    queries : ndarray of shape (m, dim), float32
    k : int
    limit : int
        Candidates of a query, at most; queries with more are ``lost``.
    """

    def __init__(self, vectors: Rows, queries: FloatArray, k: int, limit: int) -> None:
        exact = queries.astype(np.float64)
        self.vectors, self.queries, self.k, self.limit = vectors, exact, k, limit
        self.scales = np.abs(exact).max(axis=1, initial=0.0) / TOP
        codes = np.rint(np.divide(exact, self.scales[:, None], out=np.zeros_like(exact), where=exact != 0))
        self.lengths = np.linalg.norm(exact, axis=1) * (1 + 2.0**-40)
        self.away = np.linalg.norm(exact - codes * self.scales[:, None], axis=1) * (1 + 2.0**-40)
        self.codes = np.clip(codes, -TOP, TOP).astype(np.int8)
        self.floor = np.where(self.lengths > 0, -np.inf, np.inf)
        self.lost = self.lengths == 0
        self.found = Candidates.joined([])
        self.fresh: list[Candidates] = []

    def run(
        self, chunks: Sequence[Codes], allowed: BoolArray | None, exclude: Sequence[IntArray] | None
    ) -> list[Ranked]:
        """Return positions and scores of the k best of every query that is not ``lost``."""
        m = len(self.codes)
        length = min(max(CELLS // m // BLOCK, 1) * BLOCK, LONGEST)
        queries = as_tensor(self.codes).T
        pending, seen, due = 0, 0, 0
        for chunk in chunks:
            self._give_up_where_too_large(chunk)
            hidden = _Hidden(chunk, allowed, exclude)
            for start in range(0, len(chunk.codes), length):
                rows = slice(start, min(start + length, len(chunk.codes)))
                products = _product(chunk, rows, queries)
                hidden.mask(products, rows)
                pending += self._look(products, chunk, rows)
                seen += rows.stop - start
                if pending > FRESH or seen >= due:
                    self._sift()
                    pending, due = 0, 2 * seen
        self._sift()
        found = self._scored(self.found, self.found.slack > 0)
        return best_of(found.owner, found.positions, found.middle.astype(np.float32), len(self.floor), self.k)

    def _give_up_where_too_large(self, chunk: Codes) -> None:
        """Leave scores beyond float32 to others: two infinite ones are equal, their products are not."""
        self._drop(self.lengths * (chunk.reach + chunk.errors).max() > HUGE)

    def _look(self, products: AnyArray, chunk: Codes, rows: slice) -> int:
        """Keep every product that may matter; return how many."""
        at = slice(rows.start // BLOCK, rows.stop // BLOCK)
        step = chunk.scales[at, None].astype(np.float64) * self.scales
        rounding = 2.0**-22 * (chunk.reach + chunk.errors)[at, None] * self.lengths + 2.0**-120
        slack = chunk.reach[at, None] * self.away + chunk.errors[at, None] * self.lengths + rounding
        groups = _group_maxima(products)
        if np.isneginf(self.floor).any():
            self._begin(groups, step, slack)
        least = _least(self.floor, step, slack)
        m = len(self.codes)
        hits = np.flatnonzero(groups.reshape(len(step), -1, m) >= least[:, None])
        group, owner = np.divmod(hits, m)
        cells = products.reshape(-1, GROUP, m)[group, :, owner]
        block = group // (BLOCK // GROUP)
        hit, inner = np.nonzero(cells >= least[block, owner][:, None])
        group, owner, block = group[hit], owner[hit], block[hit]
        middle = cells[hit, inner] * step[block, owner]
        positions = chunk.order[rows.start + group * GROUP + inner].astype(np.int64)
        self.fresh.append(Candidates(owner, positions, middle, slack[block, owner]))
        return len(owner)

    def _begin(self, groups: AnyArray, step: AnyArray, slack: AnyArray) -> None:
        """Set a first floor: the k-th best of the groups' largest, which are different rows."""
        m = len(self.codes)
        by_block = groups.reshape(len(step), -1, m)
        lower = np.where(by_block > MASKED, by_block * step[:, None] - slack[:, None], -np.inf).reshape(-1, m)
        if len(lower) >= self.k:
            kth = len(lower) - self.k
            self.floor = np.maximum(self.floor, np.partition(lower, kth, axis=0)[kth])

    def _sift(self) -> None:
        """Raise the floors by what was found, and let go of what is below them."""
        found = Candidates.joined([self.found, *self.fresh])
        found = found[found.middle + found.slack >= self.floor[found.owner]]
        m = len(self.floor)
        found = found[grouped(found.owner, found.middle)]
        starts = np.searchsorted(found.owner, np.arange(m))
        best = np.arange(len(found.owner)) - starts[found.owner] < self.k
        found = self._scored(found, best & (found.slack > 0))
        self.floor = np.maximum(self.floor, kth_of(found.owner[best], found.middle[best], m, self.k))
        self.found, self.fresh = found[found.middle + found.slack >= self.floor[found.owner]], []
        self._drop(np.bincount(self.found.owner, minlength=m) > self.limit)

    def _scored(self, found: Candidates, which: BoolArray) -> Candidates:
        """Replace what is known of some candidates by their scores."""
        middle, slack = found.middle.copy(), found.slack.copy()
        middle[which] = pair_dots(self.vectors, self.queries, found.positions[which], found.owner[which])
        slack[which] = 0.0
        return Candidates(found.owner, found.positions, middle, slack)

    def _drop(self, which: BoolArray) -> None:
        """Look no further for some queries."""
        if (which & ~self.lost).any():
            self.lost = self.lost | which
            self.floor[which] = np.inf
            self.found = self.found[~self.lost[self.found.owner]]
            self.fresh = [part[~self.lost[part.owner]] for part in self.fresh]


def _product(chunk: Codes, rows: slice, queries: Any) -> AnyArray:
    import torch

    products: AnyArray = torch._int_mm(chunk.tensor[rows], queries).numpy()
    return products


def _group_maxima(products: AnyArray) -> AnyArray:
    import torch

    groups: AnyArray = torch.amax(torch.from_numpy(products).view(-1, GROUP, products.shape[1]), 1).numpy()
    return groups


def _least(floor: AnyArray, step: AnyArray, slack: AnyArray) -> npt.NDArray[np.int32]:
    """Return the smallest product that may matter, per block and query.

    The quotient may be off by rounding, products below 2**31 by far less than 1: one is taken off.
    """
    need = floor - slack
    beyond = np.where(need > 0, np.inf, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.floor(np.divide(need, step, out=beyond, where=step > 0)) - 1
    return np.asarray(np.clip(whole, MASKED + 1, -MASKED - 1).astype(np.int32))


class _Hidden:
    """What of a chunk is padding or must not be returned."""

    def __init__(self, chunk: Codes, allowed: BoolArray | None, exclude: Sequence[IntArray] | None) -> None:
        barred = chunk.order < 0
        if allowed is not None:
            barred = barred | ~allowed[chunk.order]
        places = [] if exclude is None else [chunk.within(positions) for positions in exclude]
        columns = np.repeat(np.arange(len(places)), [len(row) for row in places])
        joined = np.concatenate([np.zeros(0, dtype=np.int64), *places])
        order = np.argsort(joined)
        self.rows, self.places, self.columns = np.flatnonzero(barred), joined[order], columns[order]

    def mask(self, products: AnyArray, rows: slice) -> None:
        """Overwrite the products that do not count."""
        first, stop = np.searchsorted(self.rows, (rows.start, rows.stop))
        if stop > first:
            products[self.rows[first:stop] - rows.start] = MASKED
        first, stop = np.searchsorted(self.places, (rows.start, rows.stop))
        if stop > first:
            products[self.places[first:stop] - rows.start, self.columns[first:stop]] = MASKED
