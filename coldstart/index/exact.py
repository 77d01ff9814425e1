"""Exact nearest neighbours by dot product."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix, blocks
from coldstart._messages import shown
from coldstart._rows import Rows
from coldstart.base import BaseIndex, Hits
from coldstart.errors import InvalidInputError
from coldstart.index.float_search import float_search, max_norm
from coldstart.index.int8_search import Int8Search, is_exact
from coldstart.index.quantization import Codes, are_codes_of, encode_appended, from_arrays, to_arrays
from coldstart.index.topk import Ranked, as_hits, checked_search

MIN_ROWS = 50_000
"""Vectors from which on ``dtype="auto"`` keeps codes; fewer are searched in milliseconds without."""

MAX_K = 1024
"""Largest k that is searched by codes."""

MAX_DIM = 100_000
"""Columns up to which a product of codes fits 32 bits: 127 * 127 * 100,000 is below 2**31."""

BATCH = 512
"""Queries searched at once."""

MAX_CANDIDATES = 4096
"""Candidates of a query, beside 8 per result, above which it is searched without codes: scoring candidates one by one
would take longer than a matrix product with all vectors."""

DTYPES = ("auto", "float32", "int8")


class ExactIndex(BaseIndex, saved=True):
    """Compare every query with every vector; no approximation, nothing to tune.

    A score is the dot product, summed in double precision and rounded to float32 once, so that it does not depend
    on what else is searched. Many vectors are quantized to int8 besides, in a quarter of the memory of float32. The
    codes tell which vectors may be among the best ``k``, by the bound that
    ``coldstart.index.int8_search.Int8Search`` states, and these are scored from the float32 vectors: so positions,
    order and scores are those of a search without codes. Searched without codes are queries with too many candidates
    (more than 4,096 + 8 ``k``), a ``k`` above 1,024 or a sixteenth of the vectors, and a small ``allow``.

    The vectors are not copied when they are contiguous float32, and may be a memory map; do not change them afterwards.
    A search needs at most 200 MB beside them and its result.

    Parameters
    ----------
    dtype : {"auto", "float32", "int8"}
        What to search in. "auto" keeps int8 codes of 50,000 vectors or more where torch multiplies them exactly.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, dim), float32
    chunks_ : tuple of Codes
        Codes of all vectors; empty without codes.
    longest_ : float
        Upper bound on the norm of every vector.

    Examples
    --------
    >>> import numpy as np
    >>> index = ExactIndex().build(np.eye(3, dtype=np.float32))
    >>> positions, scores = index.search(np.array([[0.0, 1.0, 0.5]], dtype=np.float32), k=2)
    >>> positions.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 0.5]])
    """

    _rows: Rows
    chunks_: tuple[Codes, ...] = ()

    def __init__(self, dtype: Literal["auto", "float32", "int8"] = "auto") -> None:
        self.dtype = dtype

    @property
    def vectors_(self) -> FloatArray:
        """The vectors that are searched."""
        vectors: FloatArray = self._rows.whole()
        return vectors

    def build(self, vectors: FloatArray, /) -> Self:
        """Index vectors of shape (n, dim).

        Raises
        ------
        InvalidInputError
            When they are not finite rows, or there are none; when ``dtype`` is none of the three.
        """
        vectors = as_matrix(vectors, "vectors")
        if not len(vectors):
            raise InvalidInputError("`vectors` must have at least 1 row; got 0.")
        return self._set_vectors(Rows.of(vectors), max_norm(vectors))

    def extended(self, vectors: FloatArray, /) -> Self:
        """Return an index of the present vectors followed by others; the present ones are shared, not copied.

        Takes time in proportion to the new rows, of which each is encoded a few times over many calls.

        Raises
        ------
        NotFittedError
            Before ``build``.
        InvalidInputError
            When they are of another width, or not finite rows.
        """
        self.check_fitted("_rows", "build")
        new, dim = as_matrix(vectors, "vectors"), self._rows.blocks[0].shape[1]
        if new.shape[1] != dim:
            raise InvalidInputError(f"`vectors` must have {dim} columns; got {new.shape[1]}.")
        return self._unbuilt()._set_vectors(self._rows.extended(new), max(self.longest_, max_norm(new)), self.chunks_)

    def restored(self, vectors: FloatArray, /) -> Self:
        """Return an index of the vectors whose codes this one got by ``set_state``, without encoding them again.

        Raises
        ------
        InvalidInputError
            When the codes are not of these vectors: of another shape, or too far off on a sample of rows.
        """
        if not hasattr(self, "longest_"):  # saved by an earlier version, or never built
            return self._unbuilt().build(vectors)
        rows = Rows.of(np.ascontiguousarray(vectors, dtype=np.float32))
        if self.chunks_ and not are_codes_of(rows, self.chunks_):
            raise InvalidInputError(
                f"`vectors` must be those that the codes were made of; got others, of shape {vectors.shape}. "
                "Call build."
            )
        restored = self._unbuilt()
        restored._rows, restored.longest_, restored.chunks_ = rows, self.longest_, self.chunks_
        return restored

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | BoolArray | Sequence[int] | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return the ``k`` vectors with the largest dot product for each query.

        Parameters
        ----------
        queries : ndarray of shape (m, dim)
        k : int
            Between 1 and the number of vectors.
        allow : positions, or mask of shape (n,), optional
            The only vectors to consider, for all queries.
        exclude : sequence of m sequences of positions, optional
            Vectors never to return, per query.

        Returns
        -------
        Hits
            ``(positions, scores)``: arrays of shape (m, k), or lists of m arrays when some rows have fewer
            than ``k`` vectors left. Equal scores are in order of position.

        Raises
        ------
        NotFittedError
            Before ``build``.
        InvalidInputError
            When a shape, a position or ``k`` is out of range.
        """
        self.check_fitted("_rows", "build")
        queries, allowed, excluded = checked_search(
            queries, k, allow, exclude, len(self._rows), self._rows.blocks[0].shape[1]
        )
        rows: list[Ranked] = []
        for block in blocks(len(queries), BATCH):
            rows += self._search(queries[block], k, allowed, None if excluded is None else excluded[block])
        return as_hits(rows, k)

    def get_state(self) -> dict[str, Any]:
        """Return the codes as arrays, without the vectors: whoever passed them to ``build`` saves them once.

        ``restored`` puts both together again.
        """
        return {"longest_": self.longest_, "chunks_": to_arrays(self.chunks_)} if hasattr(self, "longest_") else {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take over the codes that another index returned by ``get_state``."""
        if "longest_" in state:
            self.longest_, self.chunks_ = state["longest_"], from_arrays(state["chunks_"])
        return self

    def _unbuilt(self) -> Self:
        """Return an index with the same parameters and no vectors."""
        return type(self)(self.dtype)

    def _set_vectors(self, rows: Rows, norm: float, chunks: tuple[Codes, ...] = ()) -> Self:
        """Index the rows, of which the first may have codes already."""
        self._rows, self.longest_ = rows, norm
        self.chunks_ = encode_appended(chunks, rows) if self._keeps_codes(len(rows), rows.blocks[0].shape[1]) else ()
        return self

    def _keeps_codes(self, n_rows: int, dim: int) -> bool:
        if self.dtype not in DTYPES:
            raise InvalidInputError(
                f"`dtype` of ExactIndex must be one of {', '.join(DTYPES)}; got {shown(self.dtype)}."
            )
        if self.dtype == "float32" or (self.dtype == "auto" and n_rows < MIN_ROWS):
            return False
        return 0 < dim <= MAX_DIM and is_exact(dim)

    def _search(
        self, queries: FloatArray, k: int, allowed: IntArray | None, excluded: Sequence[IntArray] | None
    ) -> list[Ranked]:
        """Search one batch of queries, by codes where they help."""
        vectors = self._rows
        few = len(vectors) // 16
        by_codes = bool(self.chunks_) and is_exact(queries.shape[1])  # the codes may come from another machine
        # Codes pay when they rule out almost everything: not when many vectors are asked for, nor when few are allowed,
        # for which a plain product is as fast.
        if not by_codes or k > min(few, MAX_K) or (allowed is not None and len(allowed) < few):
            return float_search(vectors, self.longest_, queries, k, allowed, excluded)
        mask = None
        if allowed is not None:
            mask = np.zeros(len(vectors), dtype=bool)
            mask[allowed] = True
        search = Int8Search(vectors, queries, k, MAX_CANDIDATES + 8 * k)
        rows = search.run(self.chunks_, mask, excluded)
        given_up = np.flatnonzero(search.given_up)
        if len(given_up):
            barred = None if excluded is None else [excluded[row] for row in given_up.tolist()]
            again = float_search(vectors, self.longest_, queries[given_up], k, allowed, barred)
            for row, ranked in zip(given_up, again, strict=True):
                rows[row] = ranked
        return rows
