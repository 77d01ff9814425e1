"""The reader of texts: how well each item answers a request's words, in nats.

What a request says adds up as evidence does, in logarithms. *Words* are the information of the query's words, times
the square of the share that an item covers (``LexicalEncoder``). *Meaning* is the product of the text's vector with
the row of the item, in standard deviations of the items, times what one deviation is worth. Items that were named
as likes are read as texts, too. Then the best answers are asked what is like them: *feedback*, pseudo-relevance
feedback by Rocchio (1971) with weights from their scores, as in relevance models (Lavrenko and Croft 2001). A
sentence and the one word that matters in it find much the same best answers, and so much the same list.
"""

from dataclasses import dataclass

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, spread, unit_rows
from coldstart.base import Features, Users
from coldstart.rankers.hybrid.item_space import ItemSpace

# Chosen together on the selection halves of all request tracks (docs/benchmarks.md, "Requests"), by the geometric mean
# of the ratios to the best simple rival. All lie on flat ground: a quarter more or less changes that mean by about 1 %.
# What is common to the first three says how much a text counts beside the log clicks, whose weight is 1.

WORDS = 0.8
"""Weight of the nats that words tell."""

MEANING = 1.35
"""Nats that one standard deviation of meaning is worth."""

FEEDBACK = 1.5
"""Nats that one standard deviation of likeness to the best answers is worth; without, films by genre lose 9 %."""

ANSWERS = 20
"""Best answers that are asked; with 10 or 40 films by genre and tags stay within 2 %."""

CANDIDATES = 1000
"""Items that feedback may move past each other: the others stay below, and cost nothing."""

LEAST_MEANING = 2.0
"""Standard deviations of meaning that the best item must reach for a text to be answered that has none of its words.

Three of 160 plain requests to the bundled films stay below, and so do signs, noise and most of what is not about films.
"""

PROFILE, LIKED, DISLIKED, AVOIDED = 0.5, 0.5, 0.5, 2.0
"""Weights of a profile, of liked items beside a text, of disliked items and of an unwanted text; a query has 1.

ReDial with likes is as good from .5 to 1.5 of theirs (.027 to .028); of "this genre and not that", 352 requests, .84 of
the first five are right at .5 of the last, .87 from 1.5 to 4. Nothing was measured of a profile and of disliked items.
"""


@dataclass(frozen=True)
class Read:
    """What the texts of requests say of each item, in nats, (m, n) each.

    Attributes
    ----------
    words, meaning : ndarray of shape (m, n)
        Of query and profile, and of the liked items beside them.
    avoided : ndarray of shape (m, n), at least 0
        Of the text that is not wanted.
    """

    words: FloatArray
    meaning: FloatArray
    avoided: FloatArray


@dataclass(frozen=True, eq=False)
class TextReader:
    """The items of a catalogue as texts meet them.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Rows of length one or zero, where items meet items.
    spread : float
        Of their cosines.
    read : ndarray of shape (n, dim)
        Where texts meet items, in standard deviations; fused vectors where texts have no rows of their own.
    words : csr_array of shape (n_words, n), or None
    fused : bool
        Whether texts are read by their fused vectors.
    """

    vectors: FloatArray
    spread: float
    read: FloatArray
    words: Csr | None
    fused: bool

    @classmethod
    def of(cls, features: Features, space: ItemSpace, vectors: FloatArray) -> "TextReader":
        """Take the items, whose ``vectors`` are those of the space."""
        words = None if features.sparse is None else features.sparse.T.tocsr()
        if features.read is not None:
            return cls(vectors, spread(vectors), features.read, words, False)
        fused = space.cosine_.item_vectors(features)
        return cls(vectors, spread(vectors), fused / np.float32(spread(fused)), words, True)

    def read_texts(self, users: Users) -> Read:
        """Return what queries, profiles and liked items say, and what is not wanted."""
        words, meaning = self._said(users.query)
        if _says(users.profile):
            of_profile = self._said(users.profile)
            words, meaning = words + PROFILE * of_profile[0], meaning + PROFILE * of_profile[1]
        if users.history.nnz:
            meaning = meaning + np.float32(LIKED) * self.likeness(users.history)
        avoided = np.zeros_like(meaning)
        if users.avoided is not None:
            avoided = np.float32(AVOIDED) * np.maximum(np.sum(self._said(users.avoided), axis=0), 0.0)
        return Read(words, meaning, avoided)

    def answers(self, users: Users) -> BoolArray:
        """Mark the users whose query or profile some item answers, or who have neither, shape (m,)."""
        words, meaning = np.sum([self._said(part) for part in (users.query, users.profile)], axis=0)
        asks = _rows_that_say(users.query) | _rows_that_say(users.profile)
        answered = (words.max(axis=1) > 0) | (meaning.max(axis=1) >= MEANING * LEAST_MEANING)
        return np.asarray(~asks | answered, dtype=bool)

    def likeness(self, items: Csr) -> FloatArray:
        """Return how like the given items (m, n) each item is as a text, in nats."""
        given = unit_rows(np.asarray(items.astype(bool).astype(np.float32) @ unit_rows(self.read), dtype=np.float32))
        return np.asarray(MEANING * (given @ self.read.T), dtype=np.float32)

    def disliked(self, items: Csr) -> FloatArray:
        """Return what items lose that are like disliked ones (m, n), in nats, at least 0."""
        weight = np.float32(DISLIKED * MEANING / self.spread)
        return np.asarray(weight * np.maximum((items @ self.vectors) @ self.vectors.T, 0.0), dtype=np.float32)

    def feedback(self, answers: FloatArray, scores: FloatArray) -> FloatArray:
        """Return how like the best answers each item is, in nats.

        Parameters
        ----------
        answers : ndarray of shape (m, n)
            What says how well an item answers; the best ones count by the exponential of it. A row of one number for
            all gets zeros.
        scores : ndarray of shape (m, n)
            Whose best items are compared; all others get the least of what these get, so that none passes one.
        """
        result = np.zeros_like(scores)
        weight = np.float32(FEEDBACK / self.spread)
        for row, (answer, score) in enumerate(zip(answers, scores, strict=True)):
            if answer.min() == answer.max():
                continue
            best, candidates = _largest(answer, ANSWERS), _largest(score, CANDIDATES)
            shares = np.exp(answer[best] - answer[best].max())
            taste = (shares / shares.sum()) @ self.vectors[best]
            alike = weight * (self.vectors[candidates] @ taste)
            result[row] = alike.min()
            result[row, candidates] = alike
        return result

    def _said(self, texts: Features) -> tuple[FloatArray, FloatArray]:
        """Words and meaning of texts, (m, n) each; zeros where there is no text."""
        rows = texts.dense if self.fused else texts.read
        words, meaning = np.zeros((2, len(texts), len(self.read)), dtype=np.float32)
        if rows is not None:
            meaning = np.asarray(MEANING * (rows @ self.read.T), dtype=np.float32)
        if self.words is not None and texts.sparse is not None:
            words = np.asarray(WORDS * (texts.sparse @ self.words).toarray() ** 2, dtype=np.float32)
        return words, meaning


def says_something(users: Users) -> BoolArray:
    """Mark the users with a query, a profile or a text that they do not want, shape (m,)."""
    texts = [users.query, users.profile, *([] if users.avoided is None else [users.avoided])]
    return np.asarray(np.any([_rows_that_say(part) for part in texts], axis=0))


def _says(part: Features) -> bool:
    return bool(_rows_that_say(part).any())


def _rows_that_say(part: Features) -> BoolArray:
    says = np.asarray(part.dense.any(axis=1))
    return says if part.sparse is None else says | (np.diff(part.sparse.indptr) > 0)


def _largest(values: FloatArray, count: int) -> IntArray:
    """Where the largest numbers of a row are, in order of their places; of equal ones the first."""
    if count >= len(values):
        return np.arange(len(values))
    least = -np.partition(-values, count - 1)[count - 1]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.sort(np.append(above, equal[: count - len(above)]))
