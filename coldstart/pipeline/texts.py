"""The items as whole texts, beside their fields: what the words are compared with that people type."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from coldstart._arrays import Csr, FloatArray, IntArray, unit_rows
from coldstart._component import Component
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.encoders.lexical import LexicalEncoder, has_words


@dataclass(frozen=True, eq=False)
class Texts(Component):
    """Every item as one text.

    Attributes
    ----------
    fields : tuple of str
        The fields of text.
    lexical : LexicalEncoder or None
        Fitted; None when exact words are not asked for, or there are none.
    sparse : csr_array of shape (n, n_terms) or None
        Its rows.
    joined : ndarray of shape (n, dim) or None
        The mean of the text fields' vectors by the square root of their numbers of words, length one: near to what
        the encoder makes of the fields in one text, without encoding them twice. None when there is one field of text,
        or the fields do not share an encoder.
    """

    fields: tuple[str, ...]
    lexical: LexicalEncoder | None
    sparse: Csr | None
    joined: FloatArray | None

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        vectors: Mapping[str, FloatArray],
        encoders: Mapping[str, Encoder],
        lexical: LexicalEncoder | None,
    ) -> "Texts":
        """Learn the words of the catalogue; ``vectors`` are those of the fields."""
        fields = tuple(name for name in catalog.fields if _is_text(catalog.columns[name]))
        fitted = None
        if lexical is not None and any(map(has_words, _whole(catalog, fields))):
            fitted = copy.deepcopy(lexical).fit(_whole(catalog, fields))
        shared = len(fields) > 1 and len({id(encoders[name]) for name in fields}) == 1
        texts = cls(fields, fitted, None, np.zeros((0, 0), np.float32) if shared else None)
        return cls(fields, fitted, *texts._read(catalog, vectors))

    def extended(self, added: Catalog, vectors: Mapping[str, FloatArray]) -> "Texts":
        """Return these texts and those of other items after them."""
        sparse, joined = self._read(added, vectors)
        return Texts(
            self.fields,
            self.lexical,
            None if self.sparse is None else csr_array(vstack([self.sparse, sparse], format="csr")),
            None if self.joined is None or joined is None else np.vstack([self.joined, joined]),
        )

    def taken(self, rows: IntArray) -> "Texts":
        """Return the texts of some items."""
        sparse = None if self.sparse is None else csr_array(self.sparse[rows])
        return Texts(self.fields, self.lexical, sparse, None if self.joined is None else self.joined[rows])

    def asked(self, texts: Sequence[str], encoded: Mapping[str, FloatArray]) -> tuple[Csr | None, FloatArray | None]:
        """Return rows of queries as ``sparse`` and ``joined`` have them; ``encoded`` are the queries by field."""
        sparse = None if self.lexical is None else self.lexical.encode_query(texts)
        return sparse, None if self.joined is None else encoded[self.fields[0]]

    def _read(self, catalog: Catalog, vectors: Mapping[str, FloatArray]) -> tuple[Csr | None, FloatArray | None]:
        sparse = None if self.lexical is None else self.lexical.encode(_whole(catalog, self.fields))
        if self.joined is None:
            return sparse, None
        weighted = [vectors[name] * _root_of_words(catalog.columns[name]) for name in self.fields]
        return sparse, unit_rows(np.sum(weighted, axis=0))


def _is_text(cells: Sequence[object]) -> bool:
    told = [cell for cell in cells if cell is not None]
    return bool(told) and all(isinstance(cell, str) for cell in told)


def _root_of_words(cells: Sequence[str | None]) -> FloatArray:
    return np.sqrt(np.array([[len((cell or "").split())] for cell in cells], dtype=np.float32))


def _whole(catalog: Catalog, fields: Sequence[str]) -> list[str]:
    cells = zip(*(catalog.columns[name] for name in fields), strict=True) if fields else [()] * len(catalog)
    return [". ".join(cell for cell in row if isinstance(cell, str)) for row in cells]
