"""Encode fields and queries, one call per encoder.

Fields that share an encoder are encoded in one call: a language model batches texts of similar length, and the more it
gets at once, the less it pads.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray, IntArray, as_matrix
from coldstart._rows import Rows
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.data.catalog import Catalog
from coldstart.errors import InvalidInputError

SMALLEST, LARGEST = np.float32(1e-17), np.float32(1e17)
"""Bounds of the largest number of a vector. Beyond them squares are 0 or infinite in float32, and so is its length."""


def fit_encoders(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, Encoder]:
    """Fit a copy of each encoder that learns, on the values of all its fields; others are returned as they are."""
    fitted: dict[int, Encoder] = {}
    for encoder, names in _fields_of(encoders):
        fitted[id(encoder)] = encoder
        if with_defaults(encoder, BaseEncoder).learns:
            values = [value for name in names for value in _present(catalog, name)[1]]
            fitted[id(encoder)] = learner = copy.deepcopy(encoder)
            with_defaults(learner, BaseEncoder).fit(values)
    return {name: fitted[id(encoder)] for name, encoder in encoders.items()}


def encode_fields(catalog: Catalog, encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Return the vectors of each field, {field: (n, d)}; rows of zeros where a value is missing."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        present = [_present(catalog, name) for name in names]
        values = [value for _, cells in present for value in cells]
        vectors = checked_vectors(encoder.encode(values), len(values), encoder)
        ends = np.cumsum([len(rows) for rows, _ in present])
        for name, (rows, _), part in zip(names, present, np.split(vectors, ends[:-1]), strict=True):
            fields[name] = np.zeros((len(catalog), vectors.shape[1]), dtype=np.float32)
            fields[name][rows] = part
    # In the order of the catalogue: fusers pair fields with the columns of `missing` by their order.
    return {name: fields[name] for name in encoders}


def encode_queries(texts: Sequence[str], encoders: Mapping[str, Encoder]) -> dict[str, FloatArray]:
    """Return the vectors of texts by the encoder of each field, {field: (m, d)}."""
    fields: dict[str, FloatArray] = {}
    for encoder, names in _fields_of(encoders):
        vectors = with_defaults(encoder, BaseEncoder).encode_query(list(texts))
        fields |= dict.fromkeys(names, checked_vectors(vectors, len(texts), encoder))
    return {name: fields[name] for name in encoders}


def checked_vectors(vectors: FloatArray, rows: int, encoder: Encoder) -> FloatArray:
    """Check that an encoder returned finite rows that have a length, one per value; return them as float32.

    Raises
    ------
    InvalidInputError
        Naming the encoder.
    """
    matrix = as_matrix(vectors, f"vectors of {type(encoder).__name__}")
    if len(matrix) != rows:
        raise InvalidInputError(f"{type(encoder).__name__}.encode must return {rows} rows; got {len(matrix)}.")
    largest = np.abs(matrix).max(axis=1, initial=0.0)
    lost = np.flatnonzero((largest > LARGEST) | ((largest > 0) & (largest < SMALLEST)))
    if len(lost):
        raise InvalidInputError(
            f"vectors of {type(encoder).__name__} must have numbers from {SMALLEST:g} to {LARGEST:g}, whose squares "
            f"float32 can hold; got {largest[lost[0]]:g} in row {lost[0]}. Scale them to length one."
        )
    return matrix


def checked_widths(encoded: Mapping[str, FloatArray], fields: Mapping[str, Rows]) -> Mapping[str, FloatArray]:
    """Check that new vectors are as long as those of the items, and return them.

    Raises
    ------
    InvalidInputError
        When they are not: the encoder given to ``load`` is another one, for example.
    """
    for name, vectors in encoded.items():
        width = fields[name].blocks[0].shape[1]
        if vectors.shape[1] != width:
            raise InvalidInputError(
                f"The encoder of {name!r} must return vectors of {width} numbers, as at fit; got {vectors.shape[1]}."
            )
    return encoded


def _fields_of(encoders: Mapping[str, Encoder]) -> list[tuple[Encoder, list[str]]]:
    """Return each distinct encoder with the names of its fields."""
    # By identity: encoders need not be hashable, and equal ones may have learned different things.
    names: dict[int, list[str]] = {}
    for name, encoder in encoders.items():
        names.setdefault(id(encoder), []).append(name)
    return [(encoders[fields[0]], fields) for fields in names.values()]


def _present(catalog: Catalog, name: str) -> tuple[IntArray, list[Any]]:
    """Return the rows that have a value in a field, and these values."""
    cells = catalog.columns[name]
    rows = np.array([row for row, cell in enumerate(cells) if cell is not None], dtype=np.int64)
    return rows, [cells[row] for row in rows]
