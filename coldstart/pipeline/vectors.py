"""The vectors of the items in an index, where items come and go."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray
from coldstart._rows import Rows
from coldstart.base import BaseIndex, Hits, Index, Users, VectorRanker, with_defaults

Edit: TypeAlias = Callable[[Rows, FloatArray], Rows]
"""What a change of the catalogue does to rows, given what is new in it."""


SPARE = 16
"""More rows than are wanted that are asked for, where the order of equal scores is not that of the places."""


@dataclass(frozen=True)
class ItemVectors:
    """The vectors of a ``VectorRanker``, and an index over them.

    The index holds every stored row, also dead ones: it is searched by place, not by position.

    Attributes
    ----------
    rows : Rows
    index : Index
    """

    rows: Rows
    index: Index

    @classmethod
    def of(cls, vectors: FloatArray, index: Index) -> "ItemVectors":
        """Put vectors into a copy of an index."""
        return cls(Rows.of(vectors), copy.deepcopy(index).build(vectors))

    @classmethod
    def restored(cls, vectors: FloatArray, index: Any) -> "ItemVectors":
        """Put vectors into an index that knew them before they were saved; one that cannot tell is built anew."""
        return cls(Rows.of(vectors), with_defaults(index, BaseIndex).restored(vectors))

    def edited(self, edit: Edit, new: FloatArray, index: Index) -> "ItemVectors":
        """Return these vectors changed; ``index`` is an empty one, for when the old cannot be extended."""
        rows, old = edit(self.rows, new), self.rows
        if rows.blocks is old.blocks:
            return ItemVectors(rows, self.index)
        longer = with_defaults(self.index, BaseIndex).extended(new) if rows.stored == old.stored + len(new) else None
        return ItemVectors.of(rows.whole(), index) if longer is None else ItemVectors(rows, longer)

    def search(
        self, ranker: VectorRanker, users: Users, k: int, allow: IntArray | None, excluded: list[IntArray]
    ) -> Hits:
        """Return the best items of each user; ``allow`` and ``excluded`` are positions."""
        vectors, order = ranker.user_vectors(*self._met(users)), self.rows.order
        if order is None:
            return self.index.search(vectors, k, allow, excluded)
        hidden = [np.append(order[row], self.rows.dead) for row in excluded]
        places, want = None if allow is None else np.sort(order[allow]), min(k + SPARE, self.rows.stored)
        hits = self.index.search(vectors, want, places, hidden)
        while want < self.rows.stored and any(len(row) == want and row[-1] == row[k - 1] for row in hits.scores):
            want = min(4 * want, self.rows.stored)  # there may be more of the score of the last one
            hits = self.index.search(vectors, want, places, hidden)
        positions = [self.rows.positions[row] for row in hits.positions]
        sorts = [np.lexsort((row, -scores))[:k] for row, scores in zip(positions, hits.scores, strict=True)]
        return Hits(
            [row[sort] for row, sort in zip(positions, sorts, strict=True)],
            [scores[sort] for scores, sort in zip(hits.scores, sorts, strict=True)],
        )

    def compacted(self, index: Index) -> "ItemVectors":
        """Return the same vectors in one block, without dead rows."""
        if self._is_plain:
            return self
        if self.rows.order is not None:
            return ItemVectors.of(self.rows.whole(), index)
        return ItemVectors.restored(self.rows.whole(), self.index)

    @property
    def _is_plain(self) -> bool:
        return self.rows.order is None and len(self.rows.blocks) == 1

    def _met(self, users: Users) -> tuple[Users, FloatArray]:
        """Users and the items; only those items that occur in a history, when all are not in one array."""
        if self._is_plain:
            return users, self.rows.blocks[0]
        met = np.unique(np.concatenate([users.history.indices, users.disliked.indices])).astype(np.int64)

        def among(liked: Csr) -> Csr:
            at = np.searchsorted(met, liked.indices)
            return csr_array((liked.data, at, liked.indptr), shape=(liked.shape[0], len(met)))

        some = replace(users, history=among(users.history), disliked=among(users.disliked))
        return some, self.rows.take(met)
