"""Approximate nearest neighbours by FAISS, an optional package."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix, check_between
from coldstart._extras import require
from coldstart._forks import survive_forks
from coldstart._messages import shown
from coldstart._rows import Rows
from coldstart.base import BaseIndex, Hits
from coldstart.errors import InvalidInputError
from coldstart.index.dots import best_per_query, pair_dots
from coldstart.index.float_search import SPARE, float_search, max_norm
from coldstart.index.topk import Ranked, as_hits, checked_search

KINDS = ("flat", "hnsw", "ivf")

SAMPLE = 100
"""Vectors that serve as queries to measure ``recall_``."""

MIN_PER_LIST = 39
"""Vectors per list, at least: FAISS warns when it learns the centres of lists from fewer."""


class FaissIndex(BaseIndex, saved=True):
    """Search with FAISS: exact ("flat"), in a graph ("hnsw") or in the nearest of some lists ("ivf").

    "hnsw" and "ivf" may miss vectors: ``recall_`` says how many, measured with a sample of the vectors as queries. The
    results are scored as ``ExactIndex`` scores them. Filters act inside the search, which asks for more neighbours
    until ``k`` pass the filters; where even all are too few, or ``allow`` holds few vectors, the search is exact. A
    saved recommender holds the parameters only, and the index is built again on load. A graph is built by several
    threads and may differ a little each time.

    Needs ``pip install 'coldstart-rec[faiss]'``.

    Parameters
    ----------
    kind : {"hnsw", "ivf", "flat"}
    neighbours : int
        "hnsw": links of a vector in the graph.
    width : int
        "hnsw": candidates that a search keeps (``efSearch``); the build keeps twice as many (``efConstruction``). More
        is slower and finds more.
    lists : int or None
        "ivf": by default about 4 sqrt(n), with at least 39 vectors each.
    probes : int
        "ivf": lists that a search reads.

    Attributes
    ----------
    recall_ : float
        Mean recall of the true 10 best, over up to 100 vectors as queries; measured by ``build``.

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
        """Index vectors of shape (n, dim), and measure ``recall_``.

        Raises
        ------
        MissingExtraError
            Without FAISS.
        InvalidInputError
            When they are not finite rows, or there are none; when a parameter is out of range.
        """
        faiss: Any = require("faiss", extra="faiss", by="FaissIndex")
        survive_forks(faiss.omp_set_num_threads)
        self._check_parameters()
        vectors = as_matrix(vectors, "vectors")
        if not len(vectors):
            raise InvalidInputError("`vectors` must have at least 1 row; got 0.")
        index = self._empty_index(faiss, *vectors.shape)
        if self.kind == "ivf":
            index.train(vectors)
        index.add(vectors)
        self._faiss, self._vectors, self._max_norm = index, vectors, max_norm(vectors)
        self.recall_ = self._measured_recall()
        return self

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | BoolArray | Sequence[int] | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return ``k`` vectors with about the largest dot products; arguments as in ``ExactIndex.search``.

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
        excluded = [np.zeros(0, dtype=np.int64)] * len(queries) if excluded is None else excluded
        # With few allowed vectors a graph or list search passes by most of them, and a product with them is fast.
        if allowed is not None and len(allowed) < len(vectors) // 16:
            return as_hits(self._exact(queries, k, allowed, excluded), k)
        return as_hits(self._approximate(queries, k, allowed, excluded), k)

    def get_state(self) -> dict[str, Any]:
        """Return no state: the index is built again on load."""
        return {}

    def _check_parameters(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInputError(f"`kind` of FaissIndex must be one of {', '.join(KINDS)}; got {shown(self.kind)}.")
        for name, low in (("neighbours", 2), ("width", 1), ("probes", 1)):
            check_between(f"{name} of FaissIndex", getattr(self, name), low, 1_000_000)
        if self.lists is not None:
            check_between("lists of FaissIndex", self.lists, 1, 1_000_000)

    def _empty_index(self, faiss: Any, n: int, dim: int) -> Any:
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(dim, self.neighbours, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = 2 * self.width
            return graph
        flat = faiss.IndexFlatIP(dim)
        if self.kind == "flat":
            return flat
        lists = max(1, min(int(4 * n**0.5), n // MIN_PER_LIST)) if self.lists is None else min(self.lists, n)
        return faiss.IndexIVFFlat(flat, dim, lists, faiss.METRIC_INNER_PRODUCT)

    def _search_parameters(self, allowed: IntArray | None, n_neighbours: int) -> Any:
        faiss: Any = require("faiss", extra="faiss", by="FaissIndex")
        selector = None
        if allowed is not None:
            mask = np.zeros(len(self._vectors), dtype=bool)
            mask[allowed] = True
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=max(self.width, n_neighbours))
        if self.kind == "ivf":
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.probes)
        return faiss.SearchParameters(sel=selector)

    def _approximate(
        self, queries: FloatArray, k: int, allowed: IntArray | None, excluded: Sequence[IntArray]
    ) -> list[Ranked]:
        """Search with FAISS, asking for more and more neighbours until each query has ``k`` that are not excluded."""
        n = len(self._vectors)
        rows: list[Ranked] = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(queries)
        pending = np.arange(len(queries))
        n_neighbours = min(n, k + SPARE + max((len(row) for row in excluded), default=0))
        while len(pending):
            batch, barred = queries[pending], [excluded[row] for row in pending.tolist()]
            parameters = self._search_parameters(allowed, n_neighbours)
            neighbours = self._faiss.search(batch, n_neighbours, params=parameters)[1]
            short = []
            for at, best in zip(pending.tolist(), self._scored(batch, neighbours, barred, k), strict=True):
                rows[at] = best
                short += [at] * (len(best[0]) < k)
            pending = np.array(short, dtype=np.int64)
            # Asked for all vectors, a graph or a list search may still return fewer than there are.
            if n_neighbours == n and len(pending):
                exact = self._exact(queries[pending], k, allowed, [excluded[at] for at in pending.tolist()])
                for at, best in zip(pending.tolist(), exact, strict=True):
                    rows[at] = best
                break
            n_neighbours = min(n, 4 * n_neighbours)
        return rows

    def _scored(self, queries: FloatArray, neighbours: IntArray, excluded: Sequence[IntArray], k: int) -> list[Ranked]:
        """Return the best k neighbours of each query by the scores of ``dots``; -1 in FAISS's rows is no neighbour."""
        kept = [row[(row >= 0) & ~np.isin(row, out)] for row, out in zip(neighbours, excluded, strict=True)]
        owner = np.repeat(np.arange(len(kept)), [len(row) for row in kept])
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *kept])
        scores = pair_dots(Rows.of(self._vectors), queries, positions, owner)
        return best_per_query(owner, positions, scores, len(kept), k)

    def _exact(
        self, queries: FloatArray, k: int, allowed: IntArray | None, excluded: Sequence[IntArray]
    ) -> list[Ranked]:
        return float_search(Rows.of(self._vectors), self._max_norm, queries, k, allowed, excluded)

    def _measured_recall(self) -> float:
        """Return the mean recall of the true 10 best, with evenly spaced vectors as queries."""
        n = len(self._vectors)
        queries = self._vectors[np.unique(np.linspace(0, n - 1, SAMPLE).astype(np.int64))]
        k, nothing = min(10, n), [np.zeros(0, dtype=np.int64)] * len(queries)
        approximate, exact = (search(queries, k, None, nothing) for search in (self._approximate, self._exact))
        recalls = [len(np.intersect1d(a, b)) / k for (a, _), (b, _) in zip(approximate, exact, strict=True)]
        return float(np.mean(recalls))
