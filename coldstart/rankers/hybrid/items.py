"""The items of a catalogue where items, tastes and texts meet them, kept through changes."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from coldstart._arrays import FloatArray, IntArray
from coldstart.base import Features
from coldstart.rankers.hybrid.item_space import ItemSpace
from coldstart.rankers.hybrid.reader import TextReader


class Placed(NamedTuple):
    """Items where items, tastes and texts meet them.

    Attributes
    ----------
    vectors, tastes : ndarray of shape (n, dim)
    reader : TextReader
    """

    vectors: FloatArray
    tastes: FloatArray
    reader: TextReader


class Items:
    """The items of a catalogue, placed when a request needs them: a change itself places only what is new.

    Attributes
    ----------
    space : ItemSpace
    features : Features
    before : Placed or None
        The items of an earlier catalogue.
    origin : ndarray of shape (n,)
        Where each item is in ``before``; -1 for those that are new or edited.
    """

    def __init__(
        self, space: ItemSpace, features: Features, before: Placed | None = None, origin: IntArray | None = None
    ) -> None:
        self.space = space
        self.features = features
        self.before = before
        self.origin = origin

    @cached_property
    def placed(self) -> Placed:
        """All items, from those of ``before`` where there are any."""
        space, features, before = self.space, self.features, self.before
        if before is None or self.origin is None:
            vectors, tastes = space.item_vectors(features), space.tastes(features)
            return Placed(vectors, tastes, TextReader.of(features, space, vectors))
        rows = np.flatnonzero(self.origin < 0)
        vectors, tastes = (
            _with_rows(old, self.origin, rows, place(features[rows]))
            for old, place in ((before.vectors, space.item_vectors), (before.tastes, space.tastes))
        )
        return Placed(vectors, tastes, TextReader.of(features, space, vectors))

    def moved(self, features: Features, origin: IntArray) -> tuple["Items", IntArray]:
        """Return the items of a changed catalogue, and the positions of those whose text was changed."""
        edited = np.zeros(0, dtype=np.int64)
        if len(origin) == len(self.features) and bool((origin == np.arange(len(origin))).all()):
            if features.dense is self.features.dense:  # clicks came, and nothing else
                items = Items(self.space, features, self.before, self.origin)
                if "placed" in vars(self):
                    vars(items)["placed"] = self.placed
                return items, edited
            edited = _edited(self.features, features)
        before, where = self.before, self.origin
        if "placed" in vars(self):
            before, where = self.placed, np.arange(len(self.features))
        if before is None or where is None:
            return Items(self.space, features), edited
        where = np.where(origin >= 0, where[np.maximum(origin, 0)], -1)
        where[edited] = -1
        return Items(self.space, features, before, where), edited


def _edited(before: Features, now: Features) -> IntArray:
    """Where the texts of the same items differ."""
    differ = (before.dense != now.dense).any(axis=1)
    if before.sparse is not None and now.sparse is not None:
        differ[(before.sparse != now.sparse).nonzero()[0]] = True
    return np.flatnonzero(differ)


def _with_rows(old: FloatArray, origin: IntArray, rows: IntArray, new: FloatArray) -> FloatArray:
    moved: FloatArray = old[np.maximum(origin, 0)]
    moved[rows] = new
    return moved
