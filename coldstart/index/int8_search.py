"""Exact search that reads int8 codes first: they tell, with a proof, which vectors cannot be among the best k."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coldstart._arrays import AnyArray, BoolArray, FloatArray, IntArray
from coldstart._device import as_tensor
from coldstart._forks import survive_forks
from coldstart._rows import Rows
from coldstart.index.dots import best_per_query, by_owner, kth_largest, pair_dots
from coldstart.index.quantization import BLOCK, MAX_CODE, Codes
from coldstart.index.topk import Ranked

DoubleArray: TypeAlias = npt.NDArray[np.float64]

GROUP = 16
"""Consecutive rows that are skipped together where their largest product is too small; a divisor of ``BLOCK``."""

CELLS = 1 << 21
"""Products computed at once, 8 MB: they stay in the processor's last cache until they are looked through."""

MAX_ROWS = 1 << 16
"""Rows of one product, at most."""

MAX_UNPRUNED = 1 << 18
"""New candidates after which those below the floor are dropped."""

MASKED = -(2**31)
"""The product that stands for rows that must not be returned: the smallest int32, below every true product."""

HUGE = 1e38
"""Scores that may be larger are left to the search in float32; the largest float32 is 3.4e38."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows that may be among the best of a query, in parallel arrays of shape (n,).

    Attributes
    ----------
    owner : ndarray of int64
        The query.
    positions : ndarray of int64
    estimate, slack : ndarray of float64
        The score is within ``slack`` of ``estimate``.
    """

    owner: IntArray
    positions: IntArray
    estimate: DoubleArray
    slack: DoubleArray

    def __getitem__(self, rows: Any) -> "Candidates":
        return Candidates(self.owner[rows], self.positions[rows], self.estimate[rows], self.slack[rows])

    @classmethod
    def concatenate(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Return the candidates of all parts."""
        owner = np.concatenate([np.zeros(0, dtype=np.int64), *(part.owner for part in parts)])
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *(part.positions for part in parts)])
        estimate, slack = (
            np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in ("estimate", "slack")
        )
        return cls(owner, positions, estimate, slack)


@cache
def is_exact(dim: int) -> bool:
    """Whether torch multiplies int8 matrices of ``dim`` columns exactly on this machine.

    Some processors (AVX2 without VNNI) add pairs of int8 products in 16 bits, which saturate. The extreme codes of this
    probe would do so.
    """
    try:
        import torch
    except ImportError:
        return False
    survive_forks(torch.set_num_threads)
    rng = np.random.default_rng(0)
    codes = rng.integers(-MAX_CODE, MAX_CODE + 1, (BLOCK, dim)).astype(np.int8)
    codes[0], codes[1] = MAX_CODE, -MAX_CODE
    for m in (1, 7, 32, 512):  # torch chooses its kernel by the shape
        queries = np.resize(codes, (m, dim))
        try:
            products = torch._int_mm(torch.from_numpy(codes), torch.from_numpy(queries).T)
        except (RuntimeError, AttributeError, NotImplementedError):
            return False
        if not np.array_equal(products.numpy(), np.rint(codes.astype(np.float64) @ queries.T.astype(np.float64))):
            return False
    return True


class Int8Search:
    """The search of one batch of queries in chunks of codes.

    Write x for a row, c for its code and s for the scale of its block; q for a query, p for its code and u for its
    scale. The product s u (c . p) is exact up to double rounding, and

        x . q - s u (c . p) = (s c) . (q - u p) + (x - s c) . q,

    so the score is within ``slack = |s c| |q - u p| + |x - s c| |q|`` of ``estimate = s u (c . p)`` (Cauchy-Schwarz),
    plus the rounding of the score itself, 2**-24 |x| |q|. The k-th best ``estimate - slack`` seen so far is a floor
    under the k-th best score: what has ``estimate + slack`` below it is never among the best, not even by a tie.
    To raise the floor the best k so far are scored from their float32 vectors; then estimate is the score, slack is 0.

    Parameters
    ----------
    vectors : Rows
        Of shape (n, dim), float32.
    queries : ndarray of shape (m, dim), float32
    k : int
    limit : int
        Candidates of a query, at most.

    Attributes
    ----------
    given_up : ndarray of shape (m,), bool
        Queries that codes cannot answer, of which ``run`` returns nothing to rely on: those of zeros, those with more
        candidates than ``limit``, and those whose scores may be ``HUGE``.
    """

    def __init__(self, vectors: Rows, queries: FloatArray, k: int, limit: int) -> None:
        exact = queries.astype(np.float64)
        self.vectors, self.queries, self.k, self.limit = vectors, exact, k, limit
        self.scales = np.abs(exact).max(axis=1, initial=0.0) / MAX_CODE
        codes = np.rint(np.divide(exact, self.scales[:, None], out=np.zeros_like(exact), where=exact != 0))
        # Norms are rounded up: by far more than double precision loses, by far less than matters.
        self.norms = np.linalg.norm(exact, axis=1) * (1 + 2.0**-40)
        self.errors = np.linalg.norm(exact - codes * self.scales[:, None], axis=1) * (1 + 2.0**-40)
        self.codes = np.clip(codes, -MAX_CODE, MAX_CODE).astype(np.int8)
        # All scores of a query of zeros tie, so no candidate could ever be dropped: an infinite floor drops all.
        self.floor = np.where(self.norms > 0, -np.inf, np.inf)
        self.given_up = self.norms == 0
        self.candidates = Candidates.concatenate([])
        self.unpruned: list[Candidates] = []

    def run(
        self, chunks: Sequence[Codes], allowed: BoolArray | None, exclude: Sequence[IntArray] | None
    ) -> list[Ranked]:
        """Return positions and scores of the k best of every query that was not ``given_up``."""
        # Rows of one product: whole blocks, since each has its own scale.
        length = min(max(CELLS // len(self.codes) // BLOCK, 1) * BLOCK, MAX_ROWS)
        queries = as_tensor(self.codes).T
        n_unpruned, seen, next_prune = 0, 0, 0
        for chunk in chunks:
            # Beyond the range of float32 two scores are both infinite and tie, though the products differ.
            self._give_up(self.norms * (chunk.reach + chunk.errors).max() > HUGE)
            mask = _Mask(chunk, allowed, exclude)
            for start in range(0, len(chunk.codes), length):
                rows = slice(start, min(start + length, len(chunk.codes)))
                products = _products(chunk, rows, queries)
                mask.apply(products, rows)
                n_unpruned += self._collect(products, chunk, rows)
                seen += rows.stop - start
                # Pruning reads float32 vectors, which is slow. The floor rises mostly at the beginning, so prune after
                # 1, 2, 4, 8 ... times as many rows, and when there are many candidates.
                if n_unpruned > MAX_UNPRUNED or seen >= next_prune:
                    self._prune()
                    n_unpruned, next_prune = 0, 2 * seen
        self._prune()
        best = self._rescored(self.candidates, self.candidates.slack > 0)
        return best_per_query(best.owner, best.positions, best.estimate.astype(np.float32), len(self.floor), self.k)

    def _collect(self, products: AnyArray, chunk: Codes, rows: slice) -> int:
        """Keep as candidates the rows that may reach the floor; return how many."""
        at = slice(rows.start // BLOCK, rows.stop // BLOCK)
        step = chunk.scales[at, None].astype(np.float64) * self.scales
        # |x| <= reach + errors. Four times the rounding of the score, which also covers that of the bound itself, and
        # 2**-120 for products so small that they lose bits.
        rounding = 2.0**-22 * (chunk.reach + chunk.errors)[at, None] * self.norms + 2.0**-120
        slack = chunk.reach[at, None] * self.errors + chunk.errors[at, None] * self.norms + rounding
        maxima = _group_maxima(products)
        if np.isneginf(self.floor).any():
            self._set_first_floor(maxima, step, slack)
        least = _smallest_product(self.floor, step, slack)
        m = len(self.codes)
        # Compare one number per group first: once the floor has risen, almost no group holds a candidate, and the
        # products, which are 16 times as many, are not read again.
        hits = np.flatnonzero(maxima.reshape(len(step), -1, m) >= least[:, None])
        group, owner = np.divmod(hits, m)
        cells = products.reshape(-1, GROUP, m)[group, :, owner]
        block = group // (BLOCK // GROUP)
        hit, inner = np.nonzero(cells >= least[block, owner][:, None])
        group, owner, block = group[hit], owner[hit], block[hit]
        estimate = cells[hit, inner] * step[block, owner]
        positions = chunk.order[rows.start + group * GROUP + inner].astype(np.int64)
        self.unpruned.append(Candidates(owner, positions, estimate, slack[block, owner]))
        return len(owner)

    def _set_first_floor(self, maxima: AnyArray, step: AnyArray, slack: AnyArray) -> None:
        """Set the floor to the k-th best lower bound among the maxima of the groups.

        They belong to different rows, so at least k rows have a score above it. Without a floor all products of the
        first rows would become candidates.
        """
        m = len(self.codes)
        by_block = maxima.reshape(len(step), -1, m)
        lower = np.where(by_block > MASKED, by_block * step[:, None] - slack[:, None], -np.inf).reshape(-1, m)
        if len(lower) >= self.k:
            kth = len(lower) - self.k
            self.floor = np.maximum(self.floor, np.partition(lower, kth, axis=0)[kth])

    def _prune(self) -> None:
        """Score the best k candidates of each query exactly, raise the floors by them, and drop what is below."""
        found = Candidates.concatenate([self.candidates, *self.unpruned])
        found = found[found.estimate + found.slack >= self.floor[found.owner]]
        m = len(self.floor)
        found = found[by_owner(found.owner, found.estimate)]
        starts = np.searchsorted(found.owner, np.arange(m))
        best = np.arange(len(found.owner)) - starts[found.owner] < self.k
        found = self._rescored(found, best & (found.slack > 0))
        self.floor = np.maximum(self.floor, kth_largest(found.owner[best], found.estimate[best], m, self.k))
        # At the floor is not below it: what ties with the k-th best may have an earlier position.
        self.candidates, self.unpruned = found[found.estimate + found.slack >= self.floor[found.owner]], []
        self._give_up(np.bincount(self.candidates.owner, minlength=m) > self.limit)

    def _rescored(self, candidates: Candidates, chosen: BoolArray) -> Candidates:
        """Replace the estimates of the chosen candidates by scores from their float32 vectors."""
        estimate, slack = candidates.estimate.copy(), candidates.slack.copy()
        estimate[chosen] = pair_dots(self.vectors, self.queries, candidates.positions[chosen], candidates.owner[chosen])
        slack[chosen] = 0.0
        return Candidates(candidates.owner, candidates.positions, estimate, slack)

    def _give_up(self, which: BoolArray) -> None:
        """Drop all candidates of some queries, and by an infinite floor all that would follow."""
        if (which & ~self.given_up).any():
            self.given_up = self.given_up | which
            self.floor[which] = np.inf
            self.candidates = self.candidates[~self.given_up[self.candidates.owner]]
            self.unpruned = [part[~self.given_up[part.owner]] for part in self.unpruned]


def _products(chunk: Codes, rows: slice, queries: Any) -> AnyArray:
    """Return the int32 products of some rows of codes with the codes of the queries, shape (rows, m)."""
    import torch

    products: AnyArray = torch._int_mm(chunk.tensor[rows], queries).numpy()
    return products


def _group_maxima(products: AnyArray) -> AnyArray:
    """Return the largest product of each group of rows, shape (rows / GROUP, m)."""
    import torch

    # torch reduces the middle axis several times as fast as numpy does.
    maxima: AnyArray = torch.amax(torch.from_numpy(products).view(-1, GROUP, products.shape[1]), 1).numpy()
    return maxima


def _smallest_product(floor: AnyArray, step: AnyArray, slack: AnyArray) -> npt.NDArray[np.int32]:
    """Return the smallest product whose ``estimate + slack`` may reach the floor, per block and query.

    So products are compared as the integers they are, and only the few candidates are turned into scores.
    """
    need = floor - slack
    # Where the scale is 0 every estimate is 0: nothing reaches a floor above the slack, anything one below.
    if_zero = np.where(need > 0, np.inf, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        # The quotient may be off by rounding; of products below 2**31 by far less than the 1 that is taken off.
        whole = np.floor(np.divide(need, step, out=if_zero, where=step > 0)) - 1
    # Above MASKED, so that masked rows never qualify.
    return np.asarray(np.clip(whole, MASKED + 1, -MASKED - 1).astype(np.int32))


class _Mask:
    """Rows of a chunk that must not be returned: padding, not allowed ones, and those excluded per query."""

    def __init__(self, chunk: Codes, allowed: BoolArray | None, exclude: Sequence[IntArray] | None) -> None:
        barred = chunk.order < 0
        if allowed is not None:
            barred = barred | ~allowed[chunk.order]
        places = [] if exclude is None else [chunk.within(positions) for positions in exclude]
        columns = np.repeat(np.arange(len(places)), [len(row) for row in places])
        joined = np.concatenate([np.zeros(0, dtype=np.int64), *places])
        # In order of rows, so that those of a product are found by bisection.
        order = np.argsort(joined)
        self.rows, self.places, self.columns = np.flatnonzero(barred), joined[order], columns[order]

    def apply(self, products: AnyArray, rows: slice) -> None:
        """Overwrite the products of masked rows with ``MASKED``."""
        first, stop = np.searchsorted(self.rows, (rows.start, rows.stop))
        if stop > first:
            products[self.rows[first:stop] - rows.start] = MASKED
        first, stop = np.searchsorted(self.places, (rows.start, rows.stop))
        if stop > first:
            products[self.places[first:stop] - rows.start, self.columns[first:stop]] = MASKED
