"""The items as what people type meets them: their fields one by one and as one text, and their words."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from coldstart._arrays import Csr, FloatArray, IntArray, spread, unit_rows
from coldstart._component import Component
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.encoders.lexical import LexicalEncoder, has_words


@dataclass(frozen=True, eq=False)
class Reading(Component, saved=True):
    """How the vectors of the text fields become the row that a text is compared with.

    Two views of an item answer different questions. *Apart*, the fields centred one by one and averaged, knows that a
    genre was asked for, however long the description beside it. *Joined*, the mean of the vectors by the square root of
    the fields' lengths, is near to what the encoder makes of all fields in one text, and knows the topic. Each
    is divided by the spread of its cosines among the items, so that both speak in standard deviations, whatever the
    encoder; their mean is one row, and a text is compared with both in one product.

    Attributes
    ----------
    centers : ndarray of shape (n_fields, dim)
        Mean vector of each field.
    joined_center : ndarray of shape (dim,)
    spreads : ndarray of shape (2,)
        Of the two views.
    weights : ndarray of shape (n_fields,)
        Importance of each field where they stand apart, relative to each other.
    """

    centers: FloatArray
    joined_center: FloatArray
    spreads: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, fields: Sequence[FloatArray], lengths: Sequence[FloatArray], weights: Sequence[float]) -> "Reading":
        """Learn from the vectors (n, dim) of each field and its lengths (n, 1)."""
        centers = np.stack([rows.sum(axis=0) / max(int(rows.any(axis=1).sum()), 1) for rows in fields])
        blank = cls(centers, np.zeros_like(centers[0]), np.ones(2, np.float32), np.array(weights, np.float32))
        joined = _joined(fields, lengths)
        spreads = np.array([spread(joined, blank._apart(fields)), spread(joined)], dtype=np.float32)
        known = max(int(joined.any(axis=1).sum()), 1)
        return cls(centers, joined.sum(axis=0) / np.float32(known), spreads, blank.weights)

    def rows(self, fields: Sequence[FloatArray], lengths: Sequence[FloatArray]) -> FloatArray:
        """Return rows (n, dim) whose product with the vector of a text is in standard deviations of the items."""
        apart, joined = self._apart(fields), _joined(fields, lengths)
        known = joined.any(axis=1, keepdims=True)
        return np.asarray(
            0.5 * (apart / self.spreads[0] + known * (joined - self.joined_center) / self.spreads[1]), dtype=np.float32
        )

    def _apart(self, fields: Sequence[FloatArray]) -> FloatArray:
        """The weighted sum of the centred fields, of one expected length however many fields an item has."""
        total = np.zeros_like(fields[0])
        squares = np.zeros((len(total), 1), dtype=np.float32)
        for center, weight, rows in zip(self.centers, self.weights, fields, strict=True):
            present = rows.any(axis=1, keepdims=True)
            total += weight * unit_rows((rows - center) * present)
            squares += weight**2 * present
        return np.divide(total, np.sqrt(squares), out=total, where=squares > 0)


@dataclass(frozen=True, eq=False)
class Texts(Component, saved=True):
    """Every item as what a text is compared with.

    Attributes
    ----------
    fields : tuple of str
        The fields of text.
    lexical : LexicalEncoder or None
        Fitted; None when exact words are not asked for, or there are none.
    reading : Reading or None
        None when the fields of text do not share an encoder, or there are none.
    sparse : csr_array of shape (n, n_words) or None
        Exact words.
    read : ndarray of shape (n, dim) or None
        Meaning, see ``Reading``.
    """

    fields: tuple[str, ...]
    lexical: LexicalEncoder | None
    reading: Reading | None
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
        """Learn from the catalogue; ``vectors`` are those of the fields, ``weights`` what each counts for a text."""
        fields = tuple(name for name in catalog.fields if _is_text(catalog.columns[name]))
        fitted = None
        if lexical is not None and any(map(has_words, _whole(catalog, fields))):
            fitted = copy.deepcopy(lexical).fit(_whole(catalog, fields))
        reading = None
        if len({id(encoders[name]) for name in fields}) == 1:
            shares = [1.0 if weights is None else weights[name] for name in fields]
            shares = shares if any(shares) else [1.0] * len(fields)
            reading = Reading.of(*_rows_of(catalog, vectors, fields), shares)
        return cls(fields, fitted, reading)._with_rows(catalog, vectors)

    def extended(self, added: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return these texts and those of other items after them."""
        new = self._with_rows(added, vectors)
        sparse = None if self.sparse is None else csr_array(vstack([self.sparse, new.sparse], format="csr"))
        read = None if self.read is None or new.read is None else np.vstack([self.read, new.read])
        return Texts(self.fields, self.lexical, self.reading, sparse, read)

    def replaced(self, rows: IntArray, edited: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return these texts with those of some items as they are now."""
        new, sparse, read = self._with_rows(edited, vectors), self.sparse, self.read
        if sparse is not None:
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

    def asked(self, texts: Sequence[str], encoded: Mapping[str, FloatArray]) -> tuple[Csr | None, FloatArray | None]:
        """Return the rows of queries that meet ``sparse`` and ``read``; ``encoded`` are the queries by field."""
        sparse = None if self.lexical is None else self.lexical.encode_query(texts)
        return sparse, None if self.read is None else unit_rows(encoded[self.fields[0]])

    def _with_rows(self, catalog: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """The same of other items."""
        sparse = None if self.lexical is None else self.lexical.encode(_whole(catalog, self.fields))
        read = None if self.reading is None else self.reading.rows(*_rows_of(catalog, vectors, self.fields))
        return Texts(self.fields, self.lexical, self.reading, sparse, read)


def _rows_of(
    catalog: Catalog, vectors: Mapping[str, FloatArray], fields: Sequence[str]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """The vectors of each field, and its lengths in letters: in some scripts no space parts the words."""
    letters = [[len(cell or "")] for name in fields for cell in catalog.columns[name]]
    lengths = np.array(letters, dtype=np.float32).reshape(len(fields), -1, 1)
    return [vectors[name] for name in fields], list(lengths)


def _joined(fields: Sequence[FloatArray], lengths: Sequence[FloatArray]) -> FloatArray:
    return unit_rows(np.sum([rows * np.sqrt(length) for rows, length in zip(fields, lengths, strict=True)], axis=0))


def _is_text(cells: Sequence[object]) -> bool:
    present = [cell for cell in cells if cell is not None]
    return bool(present) and all(isinstance(cell, str) for cell in present)


def _whole(catalog: Catalog, fields: Sequence[str]) -> list[str]:
    cells = zip(*(catalog.columns[name] for name in fields), strict=True) if fields else [()] * len(catalog)
    return [". ".join(cell for cell in row if isinstance(cell, str)) for row in cells]
