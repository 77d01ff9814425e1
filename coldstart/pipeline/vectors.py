"""The item vectors of a ``VectorRanker`` in an index, while items are added, changed and removed."""

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
"""A change of the catalogue: from old rows and the vectors that are new in it to new rows."""

SPARE = 16
"""Items searched for beyond ``k`` in an index whose places are in another order than the items, see ``search``."""


@dataclass(frozen=True)
class ItemVectors:
    """Vectors, and an index over them.

    The index holds every stored row, dead ones too, and answers with places (see ``Rows``), not positions. So a removal
    leaves the index as it is, an edited item is one that is appended and whose old row is dead, and only appended rows
    are ever indexed.

    Attributes
    ----------
    rows : Rows
        The vectors.
    index : Index
        Built over all stored rows, in the order of their places.
    """

    rows: Rows
    index: Index

    @classmethod
    def of(cls, vectors: FloatArray, index: Index) -> "ItemVectors":
        """Build a copy of an index over vectors."""
        return cls(Rows.of(vectors), copy.deepcopy(index).build(vectors))

    @classmethod
    def restored(cls, vectors: FloatArray, index: Any) -> "ItemVectors":
        """Put loaded vectors into the index that was saved with them, without building it where possible."""
        return cls(Rows.of(vectors), with_defaults(index, BaseIndex).restored(vectors))

    def edited(self, edit: Edit, new: FloatArray, index: Index) -> "ItemVectors":
        """Return vectors after a change of the catalogue.

        Parameters
        ----------
        edit : callable
        new : ndarray of shape (n_new, dim)
            The vectors of added or changed items.
        index : Index
            Not built; a copy is, where the present one cannot be extended.
        """
        rows, old = edit(self.rows, new), self.rows
        # A removal marks rows as dead: the stored ones are the same.
        if rows.blocks is old.blocks:
            return ItemVectors(rows, self.index)
        # Fewer stored rows than both together: the dead ones were dropped, so every place has changed.
        longer = with_defaults(self.index, BaseIndex).extended(new) if rows.stored == old.stored + len(new) else None
        return ItemVectors.of(rows.whole(), index) if longer is None else ItemVectors(rows, longer)

    def search(
        self, ranker: VectorRanker, users: Users, k: int, allow: IntArray | None, excluded: list[IntArray]
    ) -> Hits:
        """Return the best ``k`` items of each user; ``allow`` and ``excluded`` are positions, and so are the hits."""
        vectors, order = ranker.user_vectors(*self._with_vectors(users)), self.rows.order
        if order is None:
            return self.index.search(vectors, k, allow, excluded)
        hidden = [np.append(order[row], self.rows.dead) for row in excluded]
        places, searched = None if allow is None else np.sort(order[allow]), min(k + SPARE, self.rows.stored)
        # Equal scores are ranked by position, and the index ranks them by place. So more than k are searched for, and
        # more again while the last one found ties with the k-th: then items further down may come before it.
        hits = self.index.search(vectors, searched, places, hidden)
        while searched < self.rows.stored and any(
            len(row) == searched and row[-1] == row[k - 1] for row in hits.scores
        ):
            searched = min(4 * searched, self.rows.stored)
            hits = self.index.search(vectors, searched, places, hidden)
        positions = [self.rows.positions[row] for row in hits.positions]
        sorts = [np.lexsort((row, -scores))[:k] for row, scores in zip(positions, hits.scores, strict=True)]
        return Hits(
            [row[sort] for row, sort in zip(positions, sorts, strict=True)],
            [scores[sort] for scores, sort in zip(hits.scores, sorts, strict=True)],
        )

    def compacted(self, index: Index) -> "ItemVectors":
        """Return the same vectors in one block, without dead rows."""
        if self._is_one_block:
            return self
        if self.rows.order is not None:
            return ItemVectors.of(self.rows.whole(), index)
        # In order, in several blocks: the index is right as it is, only its vectors move.
        return ItemVectors.restored(self.rows.whole(), self.index)

    @property
    def _is_one_block(self) -> bool:
        """Whether row i is at place i of a single array."""
        return self.rows.order is None and len(self.rows.blocks) == 1

    def _with_vectors(self, users: Users) -> tuple[Users, FloatArray]:
        """Return users and item vectors for ``user_vectors``: all items where they are one array, else those it needs.

        A ``VectorRanker`` reads the vectors of liked and disliked items only, so these are gathered and renumbered;
        all rows together would be copied for every request.
        """
        if self._is_one_block:
            return users, self.rows.blocks[0]
        needed = np.unique(np.concatenate([users.history.indices, users.disliked.indices])).astype(np.int64)

        def renumber(items: Csr) -> Csr:
            columns = np.searchsorted(needed, items.indices)
            return csr_array((items.data, columns, items.indptr), shape=(items.shape[0], len(needed)))

        renumbered = replace(users, history=renumber(users.history), disliked=renumber(users.disliked))
        return renumbered, self.rows.take(needed)
