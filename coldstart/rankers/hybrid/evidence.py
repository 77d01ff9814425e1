"""The sum: everything a request says of an item is evidence in nats, and evidence adds up."""

from dataclasses import dataclass

import numpy as np

from coldstart._arrays import FloatArray

SOURCES = ("lexical", "content", "collaborative", "popularity")
"""Who may have a share in a recommendation."""

UNCLICKED = 0.5
"""Clicks that are added to those of every item before the logarithm: half a click for none; with 1 tags lose 2 %."""


@dataclass(frozen=True)
class Evidence:
    """The terms of a score, (m, n) each; a source that says nothing is zero.

    Affinities of a text and of a history multiply, and the base rate multiplies both (naive Bayes): logarithms add.

    Attributes
    ----------
    lexical : ndarray
        Words of a text that the item holds.
    content : ndarray
        Meaning of a text, and likeness to its best answers.
    collaborative : ndarray
        Log-odds by what was clicked.
    popularity : ndarray
        Logarithm of the item's clicks.
    against : ndarray, at least 0
        Likeness to what is not wanted.
    """

    lexical: FloatArray
    content: FloatArray
    collaborative: FloatArray
    popularity: FloatArray
    against: FloatArray

    @property
    def total(self) -> FloatArray:
        """The score."""
        return self.lexical + self.content + self.collaborative + self.popularity - self.against

    def shares(self) -> FloatArray:
        """Return how much each of ``SOURCES`` raises each item above the mean item, (4, m, n), sums of 1."""
        terms = np.stack([self.lexical, self.content, self.collaborative, self.popularity])
        raised = np.maximum(terms - terms.mean(axis=2, keepdims=True), 0.0)
        total = raised.sum(axis=0)
        raised[1] += total == 0  # an item below the mean in all is there by its text
        return np.asarray(raised / raised.sum(axis=0), dtype=np.float32)


def base_rate(counts: FloatArray, mean: float, arrived: np.ndarray) -> FloatArray:
    """Return the log clicks of items (n,); those that ``arrived`` after the fit are taken for average ones."""
    return np.asarray(np.log(np.where(arrived, mean, counts) + UNCLICKED), dtype=np.float32)
