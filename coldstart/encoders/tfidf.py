"""Text to vectors without a language model: TF-IDF and truncated SVD (latent semantic analysis, LSA)."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import norm
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, check_between, unit_rows
from coldstart._svd import right_singular_vectors
from coldstart.base import BaseEncoder
from coldstart.encoders._texts import checked_texts
from coldstart.errors import InvalidInputError

_WORD = re.compile(r"\w\w+")


class TfidfEncoder(BaseEncoder, saved=True):
    """Encode text by TF-IDF and LSA, learned from the catalogue: the baseline that needs no download.

    Term weights are ``(1 + log tf) * (1 + log((1 + n) / (1 + df)))``, rows of length one, projected on the
    largest right singular vectors (Deerwester et al. 1990). A text without a word of the vocabulary is a row of zeros.

    Parameters
    ----------
    dim : int
        Width of the vectors, at least 1; fewer when the catalogue has fewer texts or words.

    Attributes
    ----------
    terms_ : list of str
        The vocabulary.
    idf_ : ndarray of shape (n_terms,)
        Inverse document frequency of each term, in nats.
    components_ : ndarray of shape (n_terms, dim)
        Right singular vectors of the weighted term counts.

    Examples
    --------
    >>> encoder = TfidfEncoder(dim=2).fit(["red apple", "red pear", "blue car"])
    >>> vectors = encoder.encode(["apple", "pear", "car"])
    >>> bool(vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2])
    True
    """

    terms_: list[str]
    idf_: FloatArray
    components_: FloatArray

    def __init__(self, dim: int = 256) -> None:
        self.dim = dim

    def fit(self, values: Sequence[str], /) -> Self:
        """Learn words and their weights from the catalogue's texts.

        Raises
        ------
        InvalidInputError
            When there is not one word, or a value is not text.
        """
        check_between("dim", self.dim, 1, 10**6)
        words = [_words(text) for text in checked_texts(values, "TfidfEncoder.fit")]
        self.terms_ = sorted({word for line in words for word in line})
        if not self.terms_:
            raise InvalidInputError(f"TfidfEncoder needs at least one word to learn from; got {len(words)} texts.")
        counts = self._counts(words)
        frequency = np.bincount(counts.indices, minlength=len(self.terms_))
        self.idf_ = (1.0 + np.log((1.0 + len(words)) / (1.0 + frequency))).astype(np.float32)
        self.components_ = right_singular_vectors(self._weighted(counts), self.dim)
        return self

    def encode(self, values: Sequence[str], /) -> FloatArray:
        """Return one row per text, shape (n, dim), length one or zero.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when a value is not text.
        """
        self.check_fitted("components_")
        words = [_words(text) for text in checked_texts(values, "TfidfEncoder.encode")]
        return unit_rows((self._weighted(self._counts(words)) @ self.components_).astype(np.float32))

    def _counts(self, words: Sequence[Counter[str]]) -> Csr:
        """Return word counts, shape (n, n_terms), without words outside of the vocabulary."""
        column = {term: at for at, term in enumerate(self.terms_)}
        counts = [{column[word]: count for word, count in line.items() if word in column} for line in words]
        indptr = np.cumsum([0, *map(len, counts)])
        indices = [at for line in counts for at in line]
        data = np.array([count for line in counts for count in line.values()], dtype=np.float64)
        return csr_array((data, np.array(indices, dtype=np.int64), indptr), shape=(len(words), len(self.terms_)))

    def _weighted(self, counts: Csr) -> Csr:
        """Return TF-IDF weights of word counts (n, n_terms), rows of length one or zero."""
        weighted = counts.copy()
        weighted.data = (1.0 + np.log(counts.data)) * self.idf_[counts.indices]
        lengths = norm(weighted, axis=1)
        return csr_array(diags_array(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)) @ weighted)


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
