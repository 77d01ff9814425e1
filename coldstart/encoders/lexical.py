"""Exact words beside meaning: sparse rows of words, without a download."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, check_between
from coldstart._component import Component
from coldstart.encoders._texts import checked_texts, words_of
from coldstart.errors import InvalidInputError

STOP_WORDS = frozenset(
    (  # noqa: SIM905
        "a about above after again against ain all am an and any are aren as at be because been before being below "
        "between both but by can couldn d did didn do does doesn doing don down during each few for from further "
        "had hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn it "
        "its itself just ll m ma me mightn more most mustn my myself needn no nor not now o of off on once only or "
        "other our ours ourselves out over own re s same shan she should shouldn so some such t than that the their "
        "theirs them themselves then there these they this those through to too under until up ve very was wasn we "
        "were weren what when where which while who whom why will with won wouldn would y you your yours yourself "
        "yourselves anything could everything hello hey hi may might must nothing please shall something thanks"
    ).split()
)
"""Words that carry no information in a query: the list of NLTK (Porter et al.), and words of asking."""

KINDS = frozenset(
    (  # noqa: SIM905
        "article articles book books course courses film films game games item items movie movies product products "
        "series show shows song songs video videos"
    ).split()
)
"""Words for what a catalogue holds, which tell no item from another.

By its information "film", which stands in 3 of the 442 bundled texts, would outweigh the "romance" of "a romance film".
Without them moods and genres in phrases have .92 of the first five right, with them .90; "the movie called .." .97 and
.96; tags, ReDial and goods stay within .002.
"""

LOOKED_AT = 20
"""Words with the most runs of letters in common that are compared letter by letter."""

_GRAMS = (2, 3)
"""Lengths of those runs: a wrong letter breaks five of them."""


class LexicalEncoder(Component, saved=True):
    """Encode text by its exact words, as sparse rows; learned from the catalogue.

    The dot product of a query's row with a text's row is sqrt(I) c: I is the information of the query's words, the
    sum of their idf, and c the share of it that the text covers, from 0 to 1,

        c = sum over words w of (idf_w^2 / sum of idf^2) tf / (tf + k1 (1 - b + b length / mean length)),

    with idf and saturation of BM25 (Robertson and Zaragoza 2009). Its square, I c^2, is how much the words tell in
    nats: all of it where a text has all words of the query, so that a name or a code is found; of one word in
    passing little, and the less the more else a query says. A query's stop words are left out. A word that the
    catalogue lacks adds to what is asked for all the same; the word of the catalogue that is spelled most like it
    stands for it (``spelled_like``), which forgives a slip of the pen and finds other forms of a word. Letters
    count in lower case and without accents; of scripts without spaces, each two neighbouring ones are a word.

    Parameters
    ----------
    k1 : float
        How much a word that is repeated counts, from 0, not at all, to 10. BM25's usual 1.2 leaves a code that one text
        has behind texts of like meaning: first for 69 % of the codes of a shop, with little of it for 98 %.
    b : float
        How much long texts are discounted, from 0 to 1.
    fuzzy : bool
        Let words of the catalogue stand for those that it lacks.
    stop_words : "english", or sequence of str
        Words of queries that say nothing; an empty one for none. The English ones are ``STOP_WORDS`` and ``KINDS``.

    Attributes
    ----------
    words_ : list of str
        One per column.
    idf_ : ndarray of shape (n_words,)
        Information of each word, in nats.
    unknown_idf_ : float
        That of a word that no text has.
    mean_length_ : float
        Words of a text.

    Examples
    --------
    >>> encoder = LexicalEncoder().fit(["space war", "space opera", "garden party"])
    >>> items, query = encoder.encode(["space war", "garden party"]), encoder.encode_query(["gardens of war"])
    >>> (query @ items.T).power(2).toarray().round(1).tolist()
    [[0.10000000149011612, 0.6000000238418579]]
    """

    retired = frozenset({"pieces"})
    words_: list[str]
    idf_: FloatArray
    unknown_idf_: float
    mean_length_: float

    def __init__(
        self,
        k1: float = 0.05,
        b: float = 0.3,
        fuzzy: bool = True,
        stop_words: Literal["english"] | Sequence[str] = "english",
    ) -> None:
        self.k1 = k1
        self.b = b
        self.fuzzy = fuzzy
        self.stop_words = stop_words

    def fit(self, values: Sequence[str], /) -> Self:
        """Learn words and their weights from the catalogue's texts.

        Raises
        ------
        InvalidInputError
            When there is not one word, a value is not text, or a parameter is out of range.
        """
        check_between("k1", self.k1, 0.0, 10.0)
        check_between("b", self.b, 0.0, 1.0)
        self._check_stop_words()
        texts = [Counter(words_of(text)) for text in checked_texts(values, "LexicalEncoder.fit")]
        words = sorted({word for text in texts for word in text})
        if not words:
            raise InvalidInputError(f"LexicalEncoder needs at least one word to learn from; got {len(texts)} texts.")
        for made in ("_columns", "_halves", "_spelling", "_lengths"):
            vars(self).pop(made, None)
        self.words_ = words
        counts = _table(texts, self._columns)
        self.idf_ = _information(counts.count_nonzero(axis=0), len(texts)).astype(np.float32)
        self.unknown_idf_ = float(_information(np.zeros(1), len(texts))[0])
        self.mean_length_ = float(counts.sum() / len(texts))
        return self

    def encode(self, values: Sequence[str], /) -> Csr:
        """Return one row per text, shape (n, n_words), float32.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when a value is not text.
        """
        self.check_fitted("mean_length_")
        texts = [Counter(words_of(text)) for text in checked_texts(values, "LexicalEncoder.encode")]
        rows = _table(texts, self._columns)
        lengths = np.array([sum(text.values()) for text in texts], dtype=np.float32)
        half = self.k1 * (1.0 - self.b + self.b * lengths / self.mean_length_)  # the count that is worth half
        saturated = rows.data / (rows.data + np.repeat(half, np.diff(rows.indptr)))
        rows.data = (self._halves[rows.indices] * saturated).astype(np.float32)
        return rows

    def encode_query(self, values: Sequence[str], /) -> Csr:
        """Return rows; the square of their dot product with those of ``encode`` is in nats, from 0 to I.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when a value is not text.
        """
        self.check_fitted("mean_length_")
        rows = [self._asked(text) for text in checked_texts(values, "LexicalEncoder.encode_query")]
        indptr = np.cumsum([0, *map(len, rows)])
        columns = np.array([column for row in rows for column in row], dtype=np.int64)
        weights = np.array([weight for row in rows for weight in row.values()], dtype=np.float32)
        return csr_array((weights, columns, indptr), shape=(len(rows), len(self.words_)))

    def _asked(self, text: str) -> dict[int, float]:
        """The columns that a query weighs, and their weights."""
        information, squares, covered = 0.0, 0.0, dict[int, float]()
        for word in dict.fromkeys(words_of(text)):
            if word in self._left_out:
                continue
            column, likeness = self._meant(word)
            idf = float(self.idf_[column]) if likeness == 1.0 else self.unknown_idf_
            information += idf
            squares += idf**2
            if likeness:
                # what stands for a rarer word tells no more than it does itself
                known = min(1.0, float(self.idf_[column]) / idf) ** 0.5
                covered[column] = covered.get(column, 0.0) + likeness * known * idf**2
        # the row of a text has the other half
        return {at: information**0.5 * part / squares / float(self._halves[at]) for at, part in covered.items()}

    def _meant(self, word: str) -> tuple[int, float]:
        """The column of a word, or of the one that stands for it, and their likeness: 1 for itself, 0 for none."""
        if word in self._columns:
            return self._columns[word], 1.0
        return self._spelled_alike(word) if self.fuzzy else (0, 0.0)

    def _spelled_alike(self, word: str) -> tuple[int, float]:
        """The column of the word that is spelled most like one that has none; of equal ones the most common."""
        grams, rows = self._spelling
        known = [grams[gram] for gram in _grams(word) if gram in grams]
        if not known:
            return 0, 0.0
        shared = np.bincount(rows[known].indices, minlength=len(self.words_)) / self._lengths
        near = np.argpartition(-shared, min(LOOKED_AT, len(shared)) - 1)[:LOOKED_AT]
        likeness, _, column = max((spelled_like(word, self.words_[at]), -self.idf_[at], int(at)) for at in near)
        return column, likeness

    @cached_property
    def _halves(self) -> FloatArray:
        """What the row of a text has of each word: two texts are alike by the information that they share, cubed."""
        return np.asarray(self.idf_**1.5, dtype=np.float32)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {word: at for at, word in enumerate(self.words_)}

    @cached_property
    def _spelling(self) -> tuple[dict[str, int], Csr]:
        """The runs of letters of all words, and which words have each, (n_grams, n_words)."""
        counts = [dict.fromkeys(_grams(word), 1) for word in self.words_]
        grams = {gram: at for at, gram in enumerate(dict.fromkeys(gram for row in counts for gram in row))}
        return grams, csr_array(_table(counts, grams).T)

    @cached_property
    def _lengths(self) -> FloatArray:
        """Square roots of the numbers of runs of each word: shared runs over it are in the order of cosines."""
        return np.sqrt(np.array([2.0 * len(word) + 1.0 for word in self.words_], dtype=np.float32))

    @property
    def _left_out(self) -> frozenset[str]:
        if isinstance(self.stop_words, str):
            return STOP_WORDS | KINDS
        return frozenset(word for text in self.stop_words for word in words_of(text))

    def _check_stop_words(self) -> None:
        given = self.stop_words
        words = given if isinstance(given, Sequence | Set) and not isinstance(given, str) else [None]
        if given != "english" and not all(isinstance(word, str) for word in words):
            raise InvalidInputError(f'`stop_words` must be "english" or a list of words; got {given!r}.')


def has_words(text: str) -> bool:
    """Whether there is a word in a text."""
    return bool(words_of(text))


def spelled_like(word: str, other: str) -> float:
    """Return how surely one word is a slip of the pen or a form of another, from 0 to 1.

    One letter may be wrong, missing, too much or swapped with the next in words of 3 letters or more, two from 9
    letters on where the first one is right (as search engines allow by Lucene's fuzziness "auto"); or one word, of at
    least 4 letters, begins the other and is most of it ("detective" and "detectives", "drill" and "drillbit").

    Examples
    --------
    >>> spelled_like("casablanka", "casablanca"), spelled_like("scary", "mary"), spelled_like("drillbit", "drill")
    (0.9, 0.0, 0.625)
    """
    shorter, longer = sorted((word, other), key=len)
    if len(shorter) >= 4 and longer.startswith(shorter) and len(shorter) >= 0.6 * len(longer):
        return len(shorter) / len(longer)
    allowed = 0 if len(word) < 3 else 1 if len(word) < 9 or word[0] != other[0] else 2
    edits = _edits(word, other) if len(longer) - len(shorter) <= allowed else allowed + 1
    return 1.0 - edits / len(longer) if edits <= allowed else 0.0


def _edits(word: str, other: str) -> int:
    """Optimal string alignment distance: letters changed, added, left out, or swapped with the next."""
    before, above = [0] * (len(other) + 1), list(range(len(other) + 1))
    for at, letter in enumerate(word, 1):
        row = [at]
        for to, wanted in enumerate(other, 1):
            best = min(above[to] + 1, row[to - 1] + 1, above[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and word[at - 2] == wanted:
                best = min(best, before[to - 2] + 1)
            row.append(best)
        before, above = above, row
    return above[-1]


def _information(frequency: np.ndarray, n_texts: int) -> np.ndarray:
    """Inverse document frequency of words, never negative."""
    return np.log1p((n_texts - frequency + 0.5) / (frequency + 0.5))


def _grams(word: str) -> list[str]:
    """The letters of a word in short runs; its ends count as letters."""
    marked = f" {word} "
    return [marked[at : at + length] for length in _GRAMS for at in range(len(marked) - length + 1)]


def _table(rows: Sequence[Mapping[str, int]], columns: Mapping[str, int]) -> Csr:
    """Counts as (n_rows, n_columns); what has no column is left out."""
    known = [[(columns[key], count) for key, count in row.items() if key in columns] for row in rows]
    indptr = np.cumsum([0, *map(len, known)])
    pairs = [pair for row in known for pair in row]
    indices, data = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return csr_array((data.astype(np.float32), indices, indptr), shape=(len(rows), len(columns)))
