"""Exact words beside meaning: sparse rows of words and of their pieces, without a download."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array, diags_array, hstack
from scipy.sparse.linalg import norm
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, check_between
from coldstart._component import Component
from coldstart.encoders._texts import checked_texts
from coldstart.errors import InvalidInputError

SHORTEST, LONGEST = 3, 5
"""Lengths of the pieces of a word; its ends count as letters."""

_WORD = re.compile(r"\w+")


class LexicalEncoder(Component):
    """Encode text by its exact words and by pieces of them, as sparse rows; learned from the catalogue.

    Two blocks of columns. *Words*: the dot product of a query's row with a text's row is the share of the query's
    weight that the text holds, by BM25 (Robertson and Zaragoza 2009): sum of idf tf (k1 + 1) / (tf + k1 (1 - b + b
    length / mean length)) over the query's words, divided by the most it could be. *Pieces*: the cosine of TF-IDF of
    the 3 to 5 letters long pieces of words, which finds "detectives" for "detective" and forgives a slip of the pen.

    Parameters
    ----------
    k1 : float
        How much a word that is repeated counts, from 0 to 10.
    b : float
        How much long texts are discounted, from 0 to 1.
    pieces : float
        Weight of the pieces beside the words, at least 0.

    Attributes
    ----------
    words_, pieces_ : list of str
        One per column.
    idf_ : ndarray of shape (n_words,)
    piece_idf_ : ndarray of shape (n_pieces,)
    mean_length_ : float
        Words of a text.
    scale_ : float
        Mean length of the words' block of a row, before it is divided by it.

    Examples
    --------
    >>> encoder = LexicalEncoder().fit(["space war", "space opera", "garden party"])
    >>> items, query = encoder.encode(["space war", "garden party"]), encoder.encode_query(["gardens of war"])
    >>> (query @ items.T).toarray().round(1).tolist()
    [[1.2000000476837158, 1.100000023841858]]
    """

    words_: list[str]
    pieces_: list[str]
    idf_: FloatArray
    piece_idf_: FloatArray
    mean_length_: float
    scale_: float

    def __init__(self, k1: float = 1.2, b: float = 0.75, pieces: float = 2.0) -> None:
        self.k1 = k1
        self.b = b
        self.pieces = pieces

    def fit(self, values: Sequence[str], /) -> Self:
        """Learn words, pieces and their weights from the catalogue's texts.

        Raises
        ------
        InvalidInputError
            When there is not one word, a value is not text, or a parameter is out of range.
        """
        check_between("k1", self.k1, 0.0, 10.0)
        check_between("b", self.b, 0.0, 1.0)
        check_between("pieces", self.pieces, 0.0, 1e3)
        texts = _words(checked_texts(values, "LexicalEncoder.fit"))
        self.words_ = sorted({word for text in texts for word in text})
        if not self.words_:
            raise InvalidInputError(f"LexicalEncoder needs at least one word to learn from; got {len(texts)} texts.")
        self.pieces_ = sorted({piece for word in self.words_ for piece in _pieces(word)})
        vars(self).pop("_columns", None)
        counts, piece_counts = self._counts(texts)
        frequency, piece_frequency = counts.count_nonzero(axis=0), piece_counts.count_nonzero(axis=0)
        n_texts = len(texts)
        self.idf_ = np.log1p((n_texts - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        self.piece_idf_ = (1.0 + np.log((1.0 + n_texts) / (1.0 + piece_frequency))).astype(np.float32)
        self.mean_length_ = float(counts.sum() / n_texts)
        self.scale_ = float(norm(self._saturated(counts), axis=1).mean())
        return self

    def encode(self, values: Sequence[str], /) -> Csr:
        """Return one row per text, shape (n, n_words + n_pieces), float32.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when a value is not text.
        """
        self.check_fitted("scale_")
        counts, pieces = self._counts(_words(checked_texts(values, "LexicalEncoder.encode")))
        return self._side_by_side(self._saturated(counts) / self.scale_, pieces)

    def encode_query(self, values: Sequence[str], /) -> Csr:
        """Return rows whose dot product with those of ``encode`` is at most 1 for words, ``pieces`` for pieces.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when a value is not text.
        """
        self.check_fitted("scale_")
        counts, pieces = self._counts(_words(checked_texts(values, "LexicalEncoder.encode_query")))
        most = counts @ (self.idf_ * np.float32(self.k1 + 1.0))
        asked = counts @ diags_array(np.sqrt(self.idf_))
        return self._side_by_side(diags_array(self.scale_ * _inverse(most)) @ asked, pieces)

    @cached_property
    def _columns(self) -> tuple[dict[str, int], dict[str, int]]:
        """Column of each word, and of each piece among the pieces."""
        words, pieces = ({key: at for at, key in enumerate(keys)} for keys in (self.words_, self.pieces_))
        return words, pieces

    def _counts(self, texts: Sequence[Counter[str]]) -> tuple[Csr, Csr]:
        """How often each word and each piece is in each text, shapes (n, n_words) and (n, n_pieces)."""
        found = {word: at for at, word in enumerate(dict.fromkeys(word for text in texts for word in text))}
        columns, piece_columns = self._columns
        counts = _table(texts, found)
        known = _table([{word: 1} for word in found], columns)
        pieces = _table([Counter(_pieces(word)) for word in found], piece_columns)
        return csr_array(counts @ known), csr_array(counts @ pieces)

    def _saturated(self, counts: Csr) -> Csr:
        """Rows of sqrt(idf) times BM25's weight of a word in a text."""
        lengths = counts.sum(axis=1)
        base = self.k1 * (1.0 - self.b + self.b * lengths / self.mean_length_)
        weighted = csr_array(counts, copy=True)
        saturation = counts.data + np.repeat(base, np.diff(counts.indptr))
        weighted.data = np.sqrt(self.idf_)[counts.indices] * counts.data * (self.k1 + 1.0) / saturation
        return weighted

    def _side_by_side(self, words: Csr, pieces: Csr) -> Csr:
        """Both blocks, the pieces as rows of length ``sqrt(pieces)``."""
        pieces = csr_array(pieces @ diags_array(self.piece_idf_))
        pieces = diags_array(np.sqrt(self.pieces) * _inverse(norm(pieces, axis=1))) @ pieces
        return csr_array(hstack([words, pieces], format="csr"), dtype=np.float32)


def has_words(text: str) -> bool:
    """Whether there is a word in a text."""
    return _WORD.search(text) is not None


def _words(texts: Iterable[str]) -> list[Counter[str]]:
    return [Counter(_WORD.findall(text.lower())) for text in texts]


def _pieces(word: str) -> list[str]:
    """The letters of a word in runs; a word as short as a run is one."""
    marked = f" {word} "
    runs = [
        marked[at : at + length] for length in range(SHORTEST, LONGEST + 1) for at in range(len(marked) - length + 1)
    ]
    return runs or [marked]


def _table(rows: Sequence[Mapping[str, int]], columns: Mapping[str, int]) -> Csr:
    """Counts as (n_rows, n_columns); what has no column is left out."""
    known = [[(columns[key], count) for key, count in row.items() if key in columns] for row in rows]
    indptr = np.cumsum([0, *map(len, known)])
    pairs = [pair for row in known for pair in row]
    indices, data = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return csr_array((data.astype(np.float32), indices, indptr), shape=(len(rows), len(columns)))


def _inverse(values: FloatArray) -> FloatArray:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
