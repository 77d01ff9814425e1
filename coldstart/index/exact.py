"""Exact nearest neighbours by dot product."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix, blocks
from coldstart._rows import Rows
from coldstart.base import BaseIndex, Hits
from coldstart.errors import InvalidInputError
from coldstart.index.codes import Codes, agrees, as_arrays, grown, of_arrays
from coldstart.index.plain import longest, plain_search
from coldstart.index.scan import Scan, is_exact
from coldstart.index.topk import Ranked, as_hits, checked_search

MANY = 50_000
"""Rows from which on ``dtype="auto"`` keeps codes."""

MOST = 1024
"""The largest k that is searched by codes."""

WIDEST = 100_000
"""Columns up to which a product of codes fits 32 bits."""

BATCH = 512
"""Queries searched at once."""

LIMIT = 4096
"""Candidates of a query, and 8 per result, from which on its codes are no help."""

DTYPES = ("auto", "float32", "int8")


class ExactIndex(BaseIndex, saved=True):
    """Compare every query with every vector; no approximation, nothing to tune.

    A score is the dot product added up in double precision and rounded to float32 once, so that it does not depend
    on what else is searched. With int8 codes, which take a quarter of the memory that float32 takes, the
    codes say which vectors may be among the best ``k``, by the bound that ``coldstart.index.scan.Scan`` states. These
    are scored again from the float32 vectors, so that positions, order and scores are those without codes. A query
    that leaves too many (``LIMIT``), and a ``k`` above 1,024 or a sixteenth of the vectors, are searched without
    codes, and so is a small ``allow``.

    The vectors given are not copied when they are contiguous float32, and may be a memory map: leave them as they
    are. A search needs at most 200 MB beside them and its result.

    Parameters
    ----------
    dtype : {"auto", "float32", "int8"}
        What to search in. "auto" keeps int8 codes of 50,000 vectors or more, where torch multiplies them exactly.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, dim), float32
    chunks_ : tuple of Codes
        Codes of all vectors; empty without codes.
    longest_ : float
        No vector is longer.

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
        """What is searched in."""
        vectors: FloatArray = self._rows.whole()
        return vectors

    def build(self, vectors: FloatArray, /) -> Self:
        """Take the vectors to search in, shape (n, dim).

        Raises
        ------
        InvalidInputError
            When they are not finite rows, or there are none; when ``dtype`` is none of the three.
        """
        vectors = as_matrix(vectors, "vectors")
        if not len(vectors):
            raise InvalidInputError("`vectors` must have at least 1 row; got 0.")
        return self._take(Rows.of(vectors), longest(vectors))

    def extended(self, vectors: FloatArray, /) -> Self:
        """Return an index over these vectors and others after them; what there is, is shared, not copied.

        Time goes with the number of new rows: each is encoded a few times over many calls.

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
        return self._like()._take(self._rows.extended(new), max(self.longest_, longest(new)), self.chunks_)

    def restored(self, vectors: FloatArray, /) -> Self:
        """Return an index of the vectors whose codes this one was given by ``set_state``: nothing is encoded.

        Raises
        ------
        InvalidInputError
            When the codes are not of these vectors: another shape, or a row of a sample that is too far.
        """
        if not hasattr(self, "longest_"):
            return self._like().build(vectors)
        rows = Rows.of(np.ascontiguousarray(vectors, dtype=np.float32))
        if self.chunks_ and not agrees(self.chunks_, rows):
            raise InvalidInputError(
                f"`vectors` must be those that the codes were made of; got others, of shape {vectors.shape}. "
                "Call build."
            )
        restored = self._like()
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
        found = checked_search(queries, k, allow, exclude, len(self._rows), self._rows.blocks[0].shape[1])
        queries, allowed, excluded = found
        rows: list[Ranked] = []
        for block in blocks(len(queries), BATCH):
            rows += self._search(queries[block], k, allowed, None if excluded is None else excluded[block])
        return as_hits(rows, k)

    def get_state(self) -> dict[str, Any]:
        """Return the codes as arrays; the vectors stay with who gave them, see ``restored``."""
        return {"longest_": self.longest_, "chunks_": as_arrays(self.chunks_)} if hasattr(self, "longest_") else {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take over the codes that another index made."""
        if "longest_" in state:
            self.longest_, self.chunks_ = state["longest_"], of_arrays(state["chunks_"])
        return self

    def _like(self) -> Self:
        return type(self)(self.dtype)

    def _take(self, rows: Rows, longest: float, chunks: tuple[Codes, ...] = ()) -> Self:
        self._rows, self.longest_ = rows, longest
        self.chunks_ = grown(chunks, rows) if self._keeps_codes(len(rows), rows.blocks[0].shape[1]) else ()
        return self

    def _keeps_codes(self, n_rows: int, dim: int) -> bool:
        if self.dtype not in DTYPES:
            raise InvalidInputError(f"`dtype` of ExactIndex must be one of {', '.join(DTYPES)}; got {self.dtype!r}.")
        if self.dtype == "float32" or (self.dtype == "auto" and n_rows < MANY):
            return False
        return 0 < dim <= WIDEST and is_exact(dim)

    def _search(
        self, queries: FloatArray, k: int, allowed: IntArray | None, excluded: Sequence[IntArray] | None
    ) -> list[Ranked]:
        """Search for one batch, by codes where they help."""
        vectors = self._rows
        few = len(vectors) // 16
        by_codes = bool(self.chunks_) and is_exact(queries.shape[1])  # other machines may have made the codes
        if not by_codes or k > min(few, MOST) or (allowed is not None and len(allowed) < few):
            return plain_search(vectors, self.longest_, queries, k, allowed, excluded)
        mask = None
        if allowed is not None:
            mask = np.zeros(len(vectors), dtype=bool)
            mask[allowed] = True
        scan = Scan(vectors, queries, k, LIMIT + 8 * k)
        rows = scan.run(self.chunks_, mask, excluded)
        lost = np.flatnonzero(scan.lost)
        if len(lost):
            hidden = None if excluded is None else [excluded[row] for row in lost.tolist()]
            again = plain_search(vectors, self.longest_, queries[lost], k, allowed, hidden)
            for row, found in zip(lost, again, strict=True):
                rows[row] = found
        return rows
