"""Exact nearest neighbours by dot product."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import Self

from coldstart._arrays import BoolArray, FloatArray, IntArray, as_matrix
from coldstart._component import Component
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

    vectors_: FloatArray

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
        self.vectors_ = vectors
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
        self.check_fitted("vectors_", "build")
        vectors, queries = self.vectors_, as_matrix(queries, "queries")
        if queries.shape[1] != vectors.shape[1]:
            raise InvalidInputError(f"`queries` must have {vectors.shape[1]} columns; got {queries.shape[1]}.")
        allowed: Any = None if allow is None else as_positions(allow, len(vectors), "allow")
        excluded = None if exclude is None else [as_positions(row, len(vectors), "exclude") for row in exclude]
        searched = vectors if allowed is None else vectors[allowed]
        return top_k(lambda block: queries[block] @ searched.T, len(queries), len(vectors), k, allowed, excluded)
