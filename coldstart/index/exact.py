"""Exact nearest neighbours by dot product."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix, blocks, check_between
from coldstart._component import Component
from coldstart.base import Hits
from coldstart.errors import InvalidInputError
from coldstart.index.codes import Codes, agrees, as_arrays, encoded, grown, of_arrays
from coldstart.index.dots import Rows, as_hits
from coldstart.index.plain import longest, plain_search
from coldstart.index.scan import Scan, is_exact
from coldstart.index.topk import as_positions

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


class ExactIndex(Component):
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

    Examples
    --------
    >>> import numpy as np
    >>> index = ExactIndex().build(np.eye(3, dtype=np.float32))
    >>> positions, scores = index.search(np.array([[0.0, 1.0, 0.5]], dtype=np.float32), k=2)
    >>> positions.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 0.5]])
    """

    vectors_: FloatArray
    chunks_: tuple[Codes, ...] = ()

    def __init__(self, dtype: Literal["auto", "float32", "int8"] = "auto") -> None:
        self.dtype = dtype

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
        chunks = (encoded(vectors, 0, len(vectors)),) if self._keeps_codes(vectors) else ()
        return self._take(vectors, chunks, longest(vectors))

    def extended(self, vectors: FloatArray, /) -> Self:
        """Return an index of more vectors; this one stays as it is.

        Codes are shared: the time goes with the number of new rows (each is encoded a few times over many calls).

        Parameters
        ----------
        vectors : ndarray of shape (n + new, dim)
            The vectors of this index, unchanged, and the new ones behind them.

        Raises
        ------
        NotFittedError
            Before ``build``.
        InvalidInputError
            When they are fewer, of another width, or not finite rows.
        """
        self.check_fitted("vectors_", "build")
        old = self.vectors_
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) < len(old) or matrix.shape[1] != old.shape[1]:
            raise InvalidInputError(
                f"`vectors` must have at least the {len(old):,} rows and the {old.shape[1]} columns of the index; "
                f"got shape {matrix.shape}."
            )
        as_matrix(matrix[len(old) :], "new rows of vectors")
        chunks = grown(self.chunks_, matrix) if self._keeps_codes(matrix) else ()
        return type(self)(self.dtype)._take(matrix, chunks, max(self._longest, longest(matrix[len(old) :])))

    def restored(self, vectors: FloatArray, /) -> Self:
        """Return an index of the vectors whose codes this one was given by ``set_state``: nothing is encoded.

        Raises
        ------
        InvalidInputError
            When the codes are not of these vectors: another shape, or a row of a sample that is too far.
        """
        if not self.chunks_ or not self._keeps_codes(vectors):
            return type(self)(self.dtype).build(vectors)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if not agrees(self.chunks_, vectors):
            raise InvalidInputError(
                f"`vectors` must be those that the codes were made of; got others, of shape {vectors.shape}. "
                "Call build."
            )
        reach = max(float((chunk.reach + chunk.errors).max()) for chunk in self.chunks_)
        return type(self)(self.dtype)._take(vectors, self.chunks_, reach)

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
        self.check_fitted("vectors_", "build")
        vectors, queries = self.vectors_, as_matrix(queries, "queries")
        if queries.shape[1] != vectors.shape[1]:
            raise InvalidInputError(f"`queries` must have {vectors.shape[1]} columns; got {queries.shape[1]}.")
        check_between("k", k, 1, len(vectors))
        allowed: Any = None if allow is None else as_positions(allow, len(vectors), "allow")
        excluded = None if exclude is None else [as_positions(row, len(vectors), "exclude") for row in exclude]
        if excluded is not None and len(excluded) != len(queries):
            raise InvalidInputError(f"`exclude` must have one entry per query, {len(queries)}; got {len(excluded)}.")
        rows: Rows = []
        for block in blocks(len(queries), BATCH):
            rows += self._search(queries[block], k, allowed, None if excluded is None else excluded[block])
        return as_hits(rows, k)

    def get_state(self) -> dict[str, Any]:
        """Return the codes as arrays; the vectors stay with who gave them, see ``restored``."""
        return {"chunks_": as_arrays(self.chunks_)} if self.chunks_ else {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take over the codes that another index made."""
        if "chunks_" in state:
            self.chunks_ = of_arrays(state["chunks_"])
        return self

    def _take(self, vectors: FloatArray, chunks: tuple[Codes, ...], longest: float) -> Self:
        self.vectors_, self.chunks_, self._longest = vectors, chunks, longest
        return self

    def _keeps_codes(self, vectors: FloatArray) -> bool:
        if self.dtype not in DTYPES:
            raise InvalidInputError(f"`dtype` of ExactIndex must be one of {', '.join(DTYPES)}; got {self.dtype!r}.")
        if self.dtype == "float32" or (self.dtype == "auto" and len(vectors) < MANY):
            return False
        return 0 < vectors.shape[1] <= WIDEST and is_exact(vectors.shape[1])

    def _search(
        self, queries: FloatArray, k: int, allowed: IntArray | None, excluded: Sequence[IntArray] | None
    ) -> Rows:
        """Search for one batch, by codes where they help."""
        vectors = self.vectors_
        few = len(vectors) // 16
        if not self.chunks_ or k > min(few, MOST) or (allowed is not None and len(allowed) < few):
            return plain_search(vectors, self._longest, queries, k, allowed, excluded)
        mask = None
        if allowed is not None:
            mask = np.zeros(len(vectors), dtype=bool)
            mask[allowed] = True
        scan = Scan(vectors, queries, k, LIMIT + 8 * k)
        rows = scan.run(self.chunks_, mask, excluded)
        lost = np.flatnonzero(scan.lost)
        if len(lost):
            hidden = None if excluded is None else [excluded[row] for row in lost.tolist()]
            again = plain_search(vectors, self._longest, queries[lost], k, allowed, hidden)
            for row, found in zip(lost, again, strict=True):
                rows[row] = found
        return rows
