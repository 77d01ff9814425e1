"""Metrics that need the training clicks: how popular, how new and how cold the recommended items are."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from coldstart._arrays import AnyArray, FloatArray, IntArray
from coldstart.data.split import Split
from coldstart.evaluation.groups import Group, truth_of
from coldstart.metrics.beyond import (
    cold_exposure,
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    popularity_by_decile,
    serendipity,
)

Ranked: TypeAlias = Sequence[Sequence[Hashable]]

COUNTS = (("0", 0, 0), ("1-5", 1, 5), ("6-20", 6, 20), ("21-100", 21, 100), ("over 100", 101, 10**12))
"""Classes of items by their number of training clicks: label, smallest and largest number."""


class Background:
    """The training clicks of a split as counts and positions, to measure lists against.

    Parameters
    ----------
    split : Split

    Attributes
    ----------
    at : dict of item id to int
        Position in ``split.everything``.
    known : dict of user id to frozenset of item ids
        Items that the recommender may know a user to like: those of training and revealed clicks.
    counts : ndarray of shape (n_items,)
        Users who clicked each item in training.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self.at = {item: row for row, item in enumerate(split.everything.ids)}
        self.known = truth_of(split.train)
        if split.revealed is not None:
            self.known |= truth_of(split.revealed)
        self.counts = np.zeros(len(self.at), dtype=np.int64)
        np.add.at(self.counts, [self.at[item] for _, item in set(split.train.pairs())], 1)

    def clicks_of(self, users: Iterable[Hashable]) -> IntArray:
        """Return the number of items that each user is known to like."""
        return np.array([len(self.known.get(user, ())) for user in users], dtype=np.int64)

    def per_user(
        self, ranked: Ranked, group: Group, k: int, vectors: FloatArray | None
    ) -> dict[tuple[str, int], AnyArray]:
        """Return the metrics beyond accuracy that have one value per user, by name and k."""
        positions = self._positions(ranked)
        cold = np.array([item in self.split.cold_items for item in self.at], dtype=bool)
        relevant = list(group.relevant.values())
        values = {
            ("cold_exposure", k): cold_exposure(positions, cold, k),
            ("novelty", k): novelty(positions, self.counts, len(self.split.train.users), k),
            ("serendipity", k): serendipity(ranked, relevant, self._popular(group, k), k),
        }
        if vectors is not None:
            values["diversity", k] = intra_list_diversity(positions, vectors, k)
        return values

    def totals(self, ranked: Ranked, group: Group, k: int) -> dict[tuple[str, int], float]:
        """Return the metrics of all lists together, coverage and Gini coefficient over the candidates."""
        at = {item: row for row, item in enumerate(group.candidates)}
        positions = [[at[item] for item in row] for row in ranked]
        return {
            ("coverage", k): coverage(positions, len(at), k),
            ("gini", k): gini(positions, len(at), k),
        }

    def deciles(self, ranked: Ranked, k: int) -> AnyArray:
        """Return the share of exposure on each tenth of the catalogue, most clicked first."""
        return popularity_by_decile(self._positions(ranked), self.counts, k)

    def by_count(self, ranked: Ranked, relevant: Sequence[frozenset[Hashable]], k: int) -> dict[str, tuple[int, int]]:
        """Return the number of relevant items and of hits in the first ``k``, by class of training clicks."""
        of_relevant = self._counts_of(item for items in relevant for item in items)
        of_hits = self._counts_of(
            item for row, items in zip(ranked, relevant, strict=True) for item in row[:k] if item in items
        )

        def number(counts: IntArray, low: int, high: int) -> int:
            return int(((counts >= low) & (counts <= high)).sum())

        return {label: (number(of_relevant, low, high), number(of_hits, low, high)) for label, low, high in COUNTS}

    def _counts_of(self, items: Iterable[Hashable]) -> IntArray:
        return self.counts[np.array([self.at[item] for item in items], dtype=np.int64)]

    def _positions(self, ranked: Ranked) -> list[list[int]]:
        return [[self.at[item] for item in row] for row in ranked]

    def _popular(self, group: Group, k: int) -> list[list[Hashable]]:
        """Return the most clicked candidates that each user has not clicked: what serendipity takes to be expected."""
        order = sorted(group.candidates, key=lambda item: -self.counts[self.at[item]])
        lists = []
        for user in group.relevant:
            seen = self.known.get(user, frozenset())
            unseen = (item for item in order if item not in seen)
            lists.append([item for item, _ in zip(unseen, range(k), strict=False)])
        return lists
