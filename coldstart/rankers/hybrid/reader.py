"""How well each item answers the texts of a request: a sum of evidence in nats (logarithms of odds).

    score(i) = words(i) + meaning(i) + feedback(i) + collaborative(i) + popularity(i) - against(i)

========================  ============================================================================================
words(i)                  WORD_WEIGHT * (information of the query's words) * (share of it that item i covers)^2,
                          from ``LexicalEncoder``: exact words, names and codes
meaning(i)                MEANING * (query vector . item vector), the item vectors in standard deviations of the
                          catalogue: topics and genres
feedback(i)               how like item i is to the 20 best answers so far (pseudo-relevance feedback)
collaborative(i)          log-odds of a click given the history, from ``Blend``
popularity(i)             log(clicks on i + 1/2)
against(i)                likeness to disliked items, and to the text of a negation
========================  ============================================================================================

Words, meaning, clicks and popularity are taken as independent given the item (naive Bayes), so their logarithms add,
and a source that says nothing adds 0. ``QueryScorer`` computes the terms that texts decide; ``ScoreTerms`` adds up all.

Feedback is that of Rocchio (1971), with the answers weighted by their scores as in relevance models (Lavrenko and Croft
2001). It finds what the query does not name: "funny" finds some comedies, and these find the others. It also makes a
sentence and the one word that matters in it give much the same list, as both have much the same best answers.
"""

from dataclasses import dataclass

import numpy as np

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, spread, unit_rows
from coldstart.base import Features, Users

# Chosen together on the selection halves of all request tracks (docs/benchmarks.md, "Requests"), by the geometric mean
# of the ratios to the best simple rival. All lie on flat ground: a quarter more or less changes that mean by about 1 %.
# What is common to the first three says how much a text counts beside the log clicks, whose weight is 1.

WORD_WEIGHT = 0.8
"""Weight of the nats of the words."""

MEANING = 1.35
"""Nats that one standard deviation of meaning is worth."""

FEEDBACK = 1.5
"""Nats that one standard deviation of likeness to the best answers is worth; without it films by genre lose 9 %."""

FEEDBACK_ITEMS = 20
"""Best answers that feedback averages; with 10 or 40 films by genre and tags stay within 2 %."""

CANDIDATES = 1000
"""Items that feedback may reorder; all others stay below them, and cost nothing."""

LEAST_MEANING = 2.0
"""Standard deviations of meaning that the best item must reach to answer a text none of whose words any item has.

Three of 160 plain requests to the bundled films stay below, and so do signs, noise and most of what is not about films.
"""

PROFILE, LIKED, DISLIKED, AVOIDED = 0.5, 0.5, 0.5, 2.0
"""Weights of a profile, of liked items beside a text, of disliked items and of an unwanted text; a query has 1.

ReDial with likes is as good from .5 to 1.5 of theirs (.027 to .028); of "this genre and not that", 352 requests, .84 of
the first five are right at .5 of the last, .87 from 1.5 to 4. Nothing was measured of a profile and of disliked items.
"""

SOURCES = ("lexical", "content", "collaborative", "popularity")
"""Sources that may contribute to a score, in the order of ``ScoreTerms.shares``."""

PSEUDO_CLICKS = 0.5
"""Added to the clicks of every item before the logarithm; with 1 tags lose 2 %."""


@dataclass(frozen=True)
class QueryScores:
    """What the texts of m requests say of n items, in nats, (m, n) each.

    Attributes
    ----------
    words, meaning : ndarray of shape (m, n)
        Of the query, the profile and the liked items beside them.
    avoided : ndarray of shape (m, n), at least 0
        Likeness to the unwanted text.
    """

    words: FloatArray
    meaning: FloatArray
    avoided: FloatArray


@dataclass(frozen=True, eq=False)
class QueryScorer:
    """Scores the n items of a catalogue by the texts of requests.

    Attributes
    ----------
    vectors : ndarray of shape (n, dim)
        Item vectors, rows of length one or zero, which compare items with each other.
    spread : float
        Standard deviation of their cosines.
    text_vectors : ndarray of shape (n, text_dim)
        Item vectors that are compared with the vector of a text, in standard deviations of the catalogue.
    words : csr_array of shape (n_words, n), or None
        Lexical rows of the items, transposed.
    fused : bool
        Whether texts are compared by their fused vectors, because the encoder gives none of their own (``read``).
    """

    vectors: FloatArray
    spread: float
    text_vectors: FloatArray
    words: Csr | None
    fused: bool

    @classmethod
    def of(cls, features: Features, vectors: FloatArray, tastes: FloatArray) -> "QueryScorer":
        """Prepare the items, with both kinds of vectors that ``ItemSpace`` gives them, (n, dim) each."""
        words = None if features.sparse is None else features.sparse.T.tocsr()
        fused = features.read is None
        text_vectors = tastes / np.float32(spread(tastes)) if features.read is None else features.read
        return cls(vectors, spread(vectors), text_vectors, words, fused)

    def score(self, users: Users) -> QueryScores:
        """Return the nats of queries, profiles, liked items beside them, and unwanted texts."""
        words, meaning = self._text_scores(users.query)
        if _has_content(users.profile).any():
            profile_words, profile_meaning = self._text_scores(users.profile)
            words, meaning = words + PROFILE * profile_words, meaning + PROFILE * profile_meaning
        if users.history.nnz:
            meaning = meaning + np.float32(LIKED) * self.likeness(users.history)
        avoided = np.zeros_like(meaning)
        if users.avoided is not None:
            # At least 0: "not a war film" must not raise what is unlike a war film.
            avoided = np.float32(AVOIDED) * np.maximum(np.sum(self._text_scores(users.avoided), axis=0), 0.0)
        return QueryScores(words, meaning, avoided)

    def answerable(self, users: Users) -> BoolArray:
        """Mark the users whose query or profile some item answers, or who have neither, shape (m,)."""
        words, meaning = np.sum([self._text_scores(part) for part in (users.query, users.profile)], axis=0)
        with_text = _has_content(users.query) | _has_content(users.profile)
        answered = (words.max(axis=1) > 0) | (meaning.max(axis=1) >= MEANING * LEAST_MEANING)
        return np.asarray(~with_text | answered, dtype=bool)

    def likeness(self, liked: Csr) -> FloatArray:
        """Return how like the mean of each user's liked items (m, n) each item is, read as a text, in nats, (m, n)."""
        means = np.asarray(liked.astype(bool).astype(np.float32) @ unit_rows(self.text_vectors), dtype=np.float32)
        return np.asarray(MEANING * (unit_rows(means) @ self.text_vectors.T), dtype=np.float32)

    def penalty(self, disliked: Csr) -> FloatArray:
        """Return what items lose by likeness to disliked ones (m, n), in nats, at least 0, shape (m, n)."""
        weight = np.float32(DISLIKED * MEANING / self.spread)
        return np.asarray(weight * np.maximum((disliked @ self.vectors) @ self.vectors.T, 0.0), dtype=np.float32)

    def feedback(self, answers: FloatArray, scores: FloatArray) -> FloatArray:
        """Return how like each item is to the best answers of its row, in nats, shape (m, n).

        Parameters
        ----------
        answers : ndarray of shape (m, n)
            Nats of words and meaning: how well each item answers the text. The best are averaged with weights that are
            proportional to their exponential. A row of equal numbers has no best answers, and gets zeros.
        scores : ndarray of shape (m, n)
            All evidence so far, by which the candidates are chosen.
        """
        result = np.zeros_like(scores)
        weight = np.float32(FEEDBACK / self.spread)
        for row, (answer, score) in enumerate(zip(answers, scores, strict=True)):
            if answer.min() == answer.max():
                continue
            best, candidates = _top(answer, FEEDBACK_ITEMS), _top(score, CANDIDATES)
            odds = np.exp(answer[best] - answer[best].max())
            centroid = (odds / odds.sum()) @ self.vectors[best]
            likeness = weight * (self.vectors[candidates] @ centroid)
            # The others get the least that a candidate gets: none of them can then pass a candidate, so leaving them
            # out does not change the first 1,000 places.
            result[row] = likeness.min()
            result[row, candidates] = likeness
        return result

    def _text_scores(self, texts: Features) -> tuple[FloatArray, FloatArray]:
        """Return the nats of words and of meaning of texts, (m, n) each, zeros where there is no text."""
        rows = texts.dense if self.fused else texts.read
        words, meaning = np.zeros((2, len(texts), len(self.text_vectors)), dtype=np.float32)
        if rows is not None:
            meaning = np.asarray(MEANING * (rows @ self.text_vectors.T), dtype=np.float32)
        if self.words is not None and texts.sparse is not None:
            words = np.asarray(WORD_WEIGHT * (texts.sparse @ self.words).toarray() ** 2, dtype=np.float32)
        return words, meaning


def has_text(users: Users) -> BoolArray:
    """Mark the users with a query, a profile or an unwanted text, shape (m,)."""
    texts = [users.query, users.profile, *([] if users.avoided is None else [users.avoided])]
    return np.asarray(np.any([_has_content(part) for part in texts], axis=0))


def _has_content(texts: Features) -> BoolArray:
    meaning = np.asarray(texts.dense.any(axis=1))
    return meaning if texts.sparse is None else meaning | (np.diff(texts.sparse.indptr) > 0)


def _top(values: FloatArray, count: int) -> IntArray:
    """Return the positions of the largest numbers of a row, ascending; of equal numbers the first ones."""
    if count >= len(values):
        return np.arange(len(values))
    # ``argpartition`` breaks ties as it likes, which would make an answer depend on the machine.
    threshold = -np.partition(-values, count - 1)[count - 1]
    above, equal = np.flatnonzero(values > threshold), np.flatnonzero(values == threshold)
    return np.sort(np.append(above, equal[: count - len(above)]))


@dataclass(frozen=True)
class ScoreTerms:
    """The terms of the scores of requests with a text, in nats, (m, n) each.

    Attributes
    ----------
    lexical : ndarray
        Words of the text that the item has.
    content : ndarray
        Meaning of the text, and feedback.
    collaborative : ndarray
        Log-odds of a click given the history.
    popularity : ndarray
        Log clicks on the item.
    against : ndarray, at least 0
        Likeness to what is disliked or not wanted.
    """

    lexical: FloatArray
    content: FloatArray
    collaborative: FloatArray
    popularity: FloatArray
    against: FloatArray

    @property
    def total(self) -> FloatArray:
        """The scores, (m, n)."""
        return self.lexical + self.content + self.collaborative + self.popularity - self.against

    def shares(self) -> FloatArray:
        """Return the share of each of ``SOURCES`` in what raises an item above the mean item, (4, m, n), sums of 1."""
        terms = np.stack([self.lexical, self.content, self.collaborative, self.popularity])
        raised = np.maximum(terms - terms.mean(axis=2, keepdims=True), 0.0)
        total = raised.sum(axis=0)
        raised[1] += total == 0  # an item that no source raises is there by its text, so that shares still sum to 1
        return np.asarray(raised / raised.sum(axis=0), dtype=np.float32)


def log_popularity(counts: FloatArray, mean: float, exposure: FloatArray | None) -> FloatArray:
    """Return log(c + (1 - e) mean + 1/2) of items with c clicks and exposure e, shape (n,); None: e = 1 for all.

    An item that nobody could have clicked yet is not unpopular: for the time when it was not there it is credited with
    the clicks of a mean clicked item. So its first click never makes it less popular.
    """
    credit = 0.0 if exposure is None else (1.0 - exposure) * mean
    return np.asarray(np.log(counts + credit + PSEUDO_CLICKS), dtype=np.float32)
