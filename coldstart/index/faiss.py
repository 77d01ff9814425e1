"""Approximate nearest neighbours by FAISS, for those who ask for them by name."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix, check_between
from coldstart._extras import require
from coldstart._rows import Rows
from coldstart.base import BaseIndex, Hits
from coldstart.errors import InvalidInputError
from coldstart.index.dots import best_of, pair_dots
from coldstart.index.plain import SPARE, longest, plain_search
from coldstart.index.topk import Ranked, as_hits, checked_search

KINDS = ("flat", "hnsw", "ivf")
SAMPLE = 100


class FaissIndex(BaseIndex, saved=True):
    """Search with FAISS: exact ("flat"), in a graph ("hnsw") or in the nearest of some lists ("ivf").

    "hnsw" and "ivf" may miss vectors: ``recall_`` says how many, on a sample of the vectors themselves. What they
    find is scored as ``ExactIndex`` scores it. Filters act inside the search; it is widened until ``k`` are found,
    and where even that finds too few, or ``allow`` leaves few, the search is exact. A saved recommender holds the
    parameters only: the index is built again on load. A graph is built by several threads and may differ a little each
    time.

    Needs ``pip install 'coldstart-rec[faiss]'``.

    Parameters
    ----------
    kind : {"hnsw", "ivf", "flat"}
    neighbours : int
        "hnsw": links of a vector in the graph.
    width : int
        "hnsw": how many vectors a search (and twice as many the build) keeps in view; more is slower and finds more.
    lists : int or None
        "ivf": by default about 4 sqrt(n), with at least 39 vectors each.
    probes : int
        "ivf": lists that a search reads.

    Attributes
    ----------
    recall_ : float
        Share of the true 10 best that were found, over up to 100 vectors as queries; measured by ``build``.

    Examples
    --------
    >>> index = FaissIndex("ivf", probes=16)
    >>> index
    FaissIndex(kind='ivf', probes=16)
    """

    recall_: float

    def __init__(
        self,
        kind: Literal["hnsw", "ivf", "flat"] = "hnsw",
        neighbours: int = 32,
        width: int = 128,
        lists: int | None = None,
        probes: int = 32,
    ) -> None:
        self.kind = kind
        self.neighbours = neighbours
        self.width = width
        self.lists = lists
        self.probes = probes

    def build(self, vectors: FloatArray, /) -> Self:
        """Take the vectors to search in, shape (n, dim), and measure ``recall_``.

        Raises
        ------
        MissingExtraError
            Without FAISS.
        InvalidInputError
            When they are not finite rows, or there are none; when a parameter is out of range.
        """
        faiss: Any = require("faiss", extra="faiss", by="FaissIndex")
        self._check()
        vectors = as_matrix(vectors, "vectors")
        if not len(vectors):
            raise InvalidInputError("`vectors` must have at least 1 row; got 0.")
        found = self._made(faiss, *vectors.shape)
        if self.kind == "ivf":
            found.train(vectors)
        found.add(vectors)
        self._faiss, self._vectors, self._longest = found, vectors, longest(vectors)
        self.recall_ = self._recall()
        return self

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | BoolArray | Sequence[int] | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return about the ``k`` vectors with the largest dot product; arguments as in ``ExactIndex.search``.

        Raises
        ------
        NotFittedError
            Before ``build``.
        InvalidInputError
            When a shape, a position or ``k`` is out of range.
        """
        self.check_fitted("_faiss", "build")
        vectors = self._vectors
        queries, allowed, excluded = checked_search(queries, k, allow, exclude, *vectors.shape)
        hidden = [np.zeros(0, dtype=np.int64)] * len(queries) if excluded is None else excluded
        if allowed is not None and len(allowed) < len(vectors) // 16:
            return as_hits(self._exact(queries, k, allowed, hidden), k)
        return as_hits(self._widened(queries, k, allowed, hidden), k)

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the index is built again on load."""
        return {}

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInputError(f"`kind` of FaissIndex must be one of {', '.join(KINDS)}; got {self.kind!r}.")
        for name, low in (("neighbours", 2), ("width", 1), ("probes", 1)):
            check_between(f"{name} of FaissIndex", getattr(self, name), low, 1_000_000)
        if self.lists is not None:
            check_between("lists of FaissIndex", self.lists, 1, 1_000_000)

    def _made(self, faiss: Any, n: int, dim: int) -> Any:
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(dim, self.neighbours, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = 2 * self.width
            return graph
        flat = faiss.IndexFlatIP(dim)
        if self.kind == "flat":
            return flat
        lists = max(1, min(int(4 * n**0.5), n // 39)) if self.lists is None else min(self.lists, n)
        return faiss.IndexIVFFlat(flat, dim, lists, faiss.METRIC_INNER_PRODUCT)

    def _options(self, allowed: IntArray | None, want: int) -> Any:
        faiss: Any = require("faiss", extra="faiss", by="FaissIndex")
        selector = None
        if allowed is not None:
            mask = np.zeros(len(self._vectors), dtype=bool)
            mask[allowed] = True
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=max(self.width, want))
        if self.kind == "ivf":
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.probes)
        return faiss.SearchParameters(sel=selector)

    def _widened(
        self, queries: FloatArray, k: int, allowed: IntArray | None, hidden: Sequence[IntArray]
    ) -> list[Ranked]:
        """Ask for more until each query has ``k`` that it may have."""
        n = len(self._vectors)
        rows: list[Ranked] = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(queries)
        pending = np.arange(len(queries))
        want = min(n, k + SPARE + max((len(row) for row in hidden), default=0))
        while len(pending):
            asked, barred = queries[pending], [hidden[row] for row in pending.tolist()]
            found = self._faiss.search(asked, want, params=self._options(allowed, want))[1]
            short = []
            for at, best in zip(pending.tolist(), self._scored(asked, found, barred, k), strict=True):
                rows[at] = best
                short += [at] * (len(best[0]) < k)
            pending = np.array(short, dtype=np.int64)
            if want == n and len(pending):
                exact = self._exact(queries[pending], k, allowed, [hidden[at] for at in pending.tolist()])
                for at, best in zip(pending.tolist(), exact, strict=True):
                    rows[at] = best
                break
            want = min(n, 4 * want)
        return rows

    def _scored(self, queries: FloatArray, found: IntArray, hidden: Sequence[IntArray], k: int) -> list[Ranked]:
        kept = [row[(row >= 0) & ~np.isin(row, out)] for row, out in zip(found, hidden, strict=True)]
        owner = np.repeat(np.arange(len(kept)), [len(row) for row in kept])
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *kept])
        return best_of(owner, positions, pair_dots(Rows.of(self._vectors), queries, positions, owner), len(kept), k)

    def _exact(self, queries: FloatArray, k: int, allowed: IntArray | None, hidden: Sequence[IntArray]) -> list[Ranked]:
        return plain_search(Rows.of(self._vectors), self._longest, queries, k, allowed, hidden)

    def _recall(self) -> float:
        n = len(self._vectors)
        queries = self._vectors[np.unique(np.linspace(0, n - 1, SAMPLE).astype(np.int64))]
        k, nothing = min(10, n), [np.zeros(0, dtype=np.int64)] * len(queries)
        found, true = (way(queries, k, None, nothing) for way in (self._widened, self._exact))
        shares = [len(np.intersect1d(a, b)) / k for (a, _), (b, _) in zip(found, true, strict=True)]
        return float(np.mean(shares))
