"""Fields to vectors, one call per encoder."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray, IntArray, as_matrix
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.data.catalog import Catalog
from coldstart.errors import InvalidInputError


def fit_encoders(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, Encoder]:
    """Fit copies of the encoders that learn, each once on all its fields; others are used as they are."""
    fitted: dict[int, Encoder] = {}
    for encoder, names in _fields_of(encoders):
        fitted[id(encoder)] = encoder
        if with_defaults(encoder, BaseEncoder).learns:
            values = [value for name in names for value in _present(catalog, name)[1]]
            fitted[id(encoder)] = learner = copy.deepcopy(encoder)
            with_defaults(learner, BaseEncoder).fit(values)
    return {name: fitted[id(encoder)] for name, encoder in encoders.items()}


def encode_fields(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Encode what is there, one call per encoder; rows of zeros where a field is missing."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        there = [_present(catalog, name) for name in names]
        values = [value for _, cells in there for value in cells]
        vectors = checked_vectors(encoder.encode(values), len(values), encoder)
        ends = np.cumsum([len(rows) for rows, _ in there])
        for name, (rows, _), part in zip(names, there, np.split(vectors, ends[:-1]), strict=True):
            fields[name] = np.zeros((len(catalog), vectors.shape[1]), dtype=np.float32)
            fields[name][rows] = part
    return {name: fields[name] for name in encoders}


def encode_queries(texts: Sequence[str], encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Encode texts as every field would say them, {field: (m, d)}."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        vectors = with_defaults(encoder, BaseEncoder).encode_query(list(texts))
        fields |= dict.fromkeys(names, checked_vectors(vectors, len(texts), encoder))
    return {name: fields[name] for name in encoders}


def checked_vectors(vectors: FloatArray, rows: int, encoder: Encoder) -> FloatArray:
    """Hold an encoder to its contract: finite rows, one per value.

    Raises
    ------
    InvalidInputError
        Naming the encoder.
    """
    matrix = as_matrix(vectors, f"vectors of {type(encoder).__name__}")
    if len(matrix) != rows:
        raise InvalidInputError(f"{type(encoder).__name__}.encode must return {rows} rows; got {len(matrix)}.")
    return matrix


def _fields_of(encoders: Mapping[str, Encoder]) -> list[tuple[Encoder, list[str]]]:
    """Each distinct encoder with its fields."""
    names: dict[int, list[str]] = {}
    for name, encoder in encoders.items():
        names.setdefault(id(encoder), []).append(name)
    return [(encoders[fields[0]], fields) for fields in names.values()]


def _present(catalog: Catalog, name: str) -> tuple[IntArray, list[Any]]:
    """Rows that have the field, and their values."""
    cells = catalog.columns[name]
    rows = np.array([row for row, cell in enumerate(cells) if cell is not None], dtype=np.int64)
    return rows, [cells[row] for row in rows]
