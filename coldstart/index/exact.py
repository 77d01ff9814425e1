"""Exact nearest neighbours by dot product."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix
from coldstart._component import Component
from coldstart._rows import Rows
from coldstart.base import Hits
from coldstart.errors import InvalidInputError
from coldstart.index.topk import as_positions, top_k


class ExactIndex(Component):
    """Compare every query with every vector; no approximation, nothing to tune.

    Scores are computed one block of queries at a time, so that a search needs about 200 MB beside
    the vectors and its result, whatever the number of queries (up to 16 million items).

    Attributes
    ----------
    vectors_ : ndarray of shape (n, dim), float32

    Examples
    --------
    >>> import numpy as np
    >>> index = ExactIndex().build(np.eye(3, dtype=np.float32))
    >>> positions, scores = index.search(np.array([[0.0, 1.0, 0.5]], dtype=np.float32), k=2)
    >>> positions.tolist(), scores.tolist()
    ([[1, 2]], [[1.0, 0.5]])
    """

    _rows: Rows

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
            When they are not finite rows, or there are none.
        """
        vectors = as_matrix(vectors, "vectors")
        if not len(vectors):
            raise InvalidInputError("`vectors` must have at least 1 row; got 0.")
        self._rows = Rows.of(vectors)
        return self

    def extended(self, vectors: FloatArray, /) -> "ExactIndex":
        """Return an index over these vectors and others after them; what there is, is shared, not copied.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``build``; when they are not finite rows, or of another width.
        """
        self.check_fitted("_rows", "build")
        vectors, dim = as_matrix(vectors, "vectors"), self._rows.blocks[0].shape[1]
        if vectors.shape[1] != dim:
            raise InvalidInputError(f"`vectors` must have {dim} columns; got {vectors.shape[1]}.")
        longer = ExactIndex()
        longer._rows = self._rows.extended(vectors)
        return longer

    def get_state(self) -> dict[str, Any]:
        """Return the vectors, once there are any."""
        return {"vectors_": self.vectors_} if hasattr(self, "_rows") else {}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take over the vectors of another index, as they are."""
        if "vectors_" in state:
            self._rows = Rows.of(state["vectors_"])
        return self

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
        rows, queries = self._rows, as_matrix(queries, "queries")
        n_items, dim = len(rows), rows.blocks[0].shape[1]
        if queries.shape[1] != dim:
            raise InvalidInputError(f"`queries` must have {dim} columns; got {queries.shape[1]}.")
        allowed: Any = None if allow is None else as_positions(allow, n_items, "allow")
        excluded = None if exclude is None else [as_positions(row, n_items, "exclude") for row in exclude]
        searched = rows.blocks if allowed is None else (rows.take(allowed),)

        def scores_of(block: slice) -> FloatArray:
            parts = [queries[block] @ vectors.T for vectors in searched]
            return parts[0] if len(parts) == 1 else np.hstack(parts)

        return top_k(scores_of, len(queries), n_items, k, allowed, excluded)
