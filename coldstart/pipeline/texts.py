"""The items as a typed text is compared with them: their exact words, and the vectors of their text fields pooled."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from coldstart._arrays import Csr, FloatArray, IntArray, spread, unit_rows
from coldstart._component import Component
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.encoders.lexical import LexicalEncoder, has_words
from coldstart.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class FieldPooling(Component, saved="Reading"):
    """Pool the vectors of an item's text fields into one row, whose product with a text's vector is their similarity.

    The row is the mean of two views, which answer different queries. *Apart*, the fields are centred one by one and
    averaged: a genre in the query counts, however long the description beside it. *Joined*, the vectors are
    averaged by the square root of the fields' lengths, which is close to what the encoder makes of all fields in one
    text: the topic counts.

    Each view is divided by the spread of its cosines among the items. So both are in standard deviations, whatever the
    encoder, and can be added; and as both are linear in the text's vector, one product compares it with both.

    Attributes
    ----------
    centers : ndarray of shape (n_fields, dim)
        Mean vector of each field.
    joined_center : ndarray of shape (dim,)
        Mean of the second view.
    spreads : ndarray of shape (2,)
        Standard deviation of the cosines, of each view.
    weights : ndarray of shape (n_fields,)
        Importance of each field in the first view, relative to each other.
    """

    centers: FloatArray
    joined_center: FloatArray
    spreads: FloatArray
    weights: FloatArray

    @classmethod
    def of(
        cls, fields: Sequence[FloatArray], lengths: Sequence[FloatArray], weights: Sequence[float]
    ) -> "FieldPooling":
        """Learn centers and spreads from the vectors (n, dim) of each field and its lengths (n, 1)."""
        # Rows of zeros are missing fields: they must not draw the center towards zero.
        centers = np.stack([rows.sum(axis=0) / max(int(rows.any(axis=1).sum()), 1) for rows in fields])
        # Spreads of one, to compute the views that the spreads are learned from.
        unscaled = cls(centers, np.zeros_like(centers[0]), np.ones(2, np.float32), np.array(weights, np.float32))
        joined = _joined(fields, lengths)
        spreads = np.array([spread(joined, unscaled._apart(fields)), spread(joined)], dtype=np.float32)
        known = max(int(joined.any(axis=1).sum()), 1)
        return cls(centers, joined.sum(axis=0) / np.float32(known), spreads, unscaled.weights)

    def rows(self, fields: Sequence[FloatArray], lengths: Sequence[FloatArray]) -> FloatArray:
        """Return one row per item, (n, dim), whose product with the vector of a text is in standard deviations."""
        apart, joined = self._apart(fields), _joined(fields, lengths)
        known = joined.any(axis=1, keepdims=True)
        return np.asarray(
            0.5 * (apart / self.spreads[0] + known * (joined - self.joined_center) / self.spreads[1]), dtype=np.float32
        )

    def _apart(self, fields: Sequence[FloatArray]) -> FloatArray:
        """Return the weighted sum of the centred fields, (n, dim)."""
        total = np.zeros_like(fields[0])
        squares = np.zeros((len(total), 1), dtype=np.float32)
        for center, weight, rows in zip(self.centers, self.weights, fields, strict=True):
            present = rows.any(axis=1, keepdims=True)
            total += weight * unit_rows((rows - center) * present)
            squares += weight**2 * present
        # By the expected length of a sum of independent unit vectors: an item with more fields is not similar to more.
        return np.divide(total, np.sqrt(squares), out=total, where=squares > 0)


@dataclass(frozen=True, eq=False)
class Texts(Component, saved=True):
    """The rows of all items that a text is compared with.

    Attributes
    ----------
    fields : tuple of str
        Names of the text fields.
    lexical : LexicalEncoder or None
        Fitted; None when exact words do not count, or there are none.
    reading : FieldPooling or None
        None when the text fields do not share an encoder, so that their vectors cannot be added, or there are none.
    sparse : csr_array of shape (n, n_words) or None
        Exact words, weighted.
    read : ndarray of shape (n, dim) or None
        Meaning, see ``FieldPooling``.
    """

    fields: tuple[str, ...]
    lexical: LexicalEncoder | None
    reading: FieldPooling | None
    sparse: Csr | None = None
    read: FloatArray | None = None

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        vectors: Mapping[str, FloatArray],
        encoders: Mapping[str, Encoder],
        lexical: LexicalEncoder | None,
        weights: Mapping[str, float] | None = None,
    ) -> "Texts":
        """Learn from a catalogue.

        Parameters
        ----------
        catalog : Catalog
        vectors, encoders : mappings
            Of each field.
        lexical : LexicalEncoder or None
            A copy is fitted.
        weights : mapping of str to float, optional
            How much each field counts for a text, by default all alike.
        """
        fields = tuple(name for name in catalog.fields if _is_text(catalog.columns[name]))
        fitted = None
        if lexical is not None and any(map(has_words, _full_texts(catalog, fields))):
            fitted = copy.deepcopy(lexical).fit(_full_texts(catalog, fields))
        reading = None
        if len({id(encoders[name]) for name in fields}) == 1:
            importance = [1.0 if weights is None else weights[name] for name in fields]
            importance = importance if any(importance) else [1.0] * len(fields)
            reading = FieldPooling.of(*_vectors_and_lengths(catalog, vectors, fields), importance)
        return cls(fields, fitted, reading)._with_rows(catalog, vectors)

    def extended(self, added: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return these texts with those of new items appended."""
        new = self._with_rows(added, vectors)
        sparse = None if self.sparse is None else csr_array(vstack([self.sparse, new.sparse], format="csr"))
        read = None if self.read is None or new.read is None else np.vstack([self.read, new.read])
        return Texts(self.fields, self.lexical, self.reading, sparse, read)

    def replaced(self, rows: IntArray, edited: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return these texts with those of edited items in their places."""
        new, sparse, read = self._with_rows(edited, vectors), self.sparse, self.read
        if sparse is not None:
            # Rows of a sparse matrix cannot be written in place: append the new ones, then pick each from its place.
            order = np.arange(sparse.shape[0])
            order[rows] = len(order) + np.arange(len(rows))
            sparse = csr_array(vstack([sparse, new.sparse], format="csr")[order])
        if read is not None:
            read = np.array(read)
            read[rows] = new.read
        return Texts(self.fields, self.lexical, self.reading, sparse, read)

    def taken(self, rows: IntArray) -> "Texts":
        """Return the texts of some items."""
        sparse = None if self.sparse is None else csr_array(self.sparse[rows])
        return Texts(self.fields, self.lexical, self.reading, sparse, None if self.read is None else self.read[rows])

    def for_queries(
        self, texts: Sequence[str], encoded: Mapping[str, FloatArray]
    ) -> tuple[Csr | None, FloatArray | None]:
        """Return the rows of queries that are multiplied with ``sparse`` and ``read``.

        ``encoded`` has the vectors of the queries by field; those of the text fields are all the same.
        """
        sparse = None if self.lexical is None else self.lexical.encode_query(texts)
        return sparse, None if self.read is None else unit_rows(encoded[self.fields[0]])

    def _with_rows(self, catalog: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return texts of other items, by what was learned of these: words they lack stay unknown."""
        sparse = None if self.lexical is None else self.lexical.encode(_full_texts(catalog, self.fields))
        if not (sparse is None or issparse(sparse)):
            raise InvalidInputError(f"`lexical` must return sparse rows; got {type(sparse).__name__}.")
        read = None if self.reading is None else self.reading.rows(*_vectors_and_lengths(catalog, vectors, self.fields))
        return Texts(self.fields, self.lexical, self.reading, sparse, read)


def _vectors_and_lengths(
    catalog: Catalog, vectors: Mapping[str, FloatArray], fields: Sequence[str]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return the vectors of each field, (n, dim), and its lengths, (n, 1)."""
    # In letters, not words: some scripts write no spaces.
    letters = [[len(cell or "")] for name in fields for cell in catalog.columns[name]]
    lengths = np.array(letters, dtype=np.float32).reshape(len(fields), -1, 1)
    return [vectors[name] for name in fields], list(lengths)


def _joined(fields: Sequence[FloatArray], lengths: Sequence[FloatArray]) -> FloatArray:
    """Return the mean of the fields by the square root of their lengths, rows of length one or zero."""
    return unit_rows(np.sum([rows * np.sqrt(length) for rows, length in zip(fields, lengths, strict=True)], axis=0))


def _is_text(cells: Sequence[object]) -> bool:
    """Whether a field has values, and all are text."""
    present = [cell for cell in cells if cell is not None]
    return bool(present) and all(isinstance(cell, str) for cell in present)


def _full_texts(catalog: Catalog, fields: Sequence[str]) -> list[str]:
    """Return all text of each item, its fields joined as sentences."""
    cells = zip(*(catalog.columns[name] for name in fields), strict=True) if fields else [()] * len(catalog)
    return [". ".join(cell for cell in row if isinstance(cell, str)) for row in cells]
