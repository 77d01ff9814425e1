"""Vectors of another encoder, reduced to fewer dimensions."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from typing_extensions import Self

from coldstart._arrays import FloatArray, blocks, check_between, check_one_of, unit_rows
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.encoders._wrapper import EncoderWrapper
from coldstart.errors import NotFittedError

Method = Literal["pca", "truncate"]
METHODS = ("pca", "truncate")


class ReducedEncoder(EncoderWrapper, saved=True):
    """Reduce the vectors of another encoder to ``dim`` dimensions, at length one.

    "pca" rotates them to the principal axes of the catalogue's vectors, without centring, and keeps the first ``dim``:
    the projection that keeps dot products best (Eckart and Young 1936). "truncate" keeps the first ``dim`` numbers
    as they are, for models trained for that (Matryoshka). ``Recommender(dim=...)`` wraps its encoders in this one.

    Parameters
    ----------
    encoder : Encoder
    dim : int
        From 1 to the length of the encoder's vectors.
    method : {"pca", "truncate"}

    Attributes
    ----------
    projection_ : ndarray of shape (dim of encoder, dim)
        Principal axes, of "pca" only.
    kept_ : float
        Share of the squared length of the catalogue's vectors that remains, in [0, 1].

    Examples
    --------
    >>> from coldstart.testing import HashEncoder
    >>> ReducedEncoder(HashEncoder(dim=32), dim=2).fit(["tea", "green tea", "war"]).encode(["tea"]).shape
    (1, 2)
    """

    projection_: FloatArray
    kept_: float
    inner_: Encoder

    def __init__(self, encoder: Encoder, dim: int, method: Method = "pca") -> None:
        self.encoder = encoder
        self.dim = dim
        self.method = method

    def fit(self, values: Sequence[Any], /) -> Self:
        """Learn the axes from the catalogue's values; an encoder that has a ``fit`` is fitted first, on a copy.

        Raises
        ------
        InvalidInputError
            When ``dim`` or ``method`` is none of those above.
        """
        check_one_of("method", self.method, METHODS)
        check_between("dim", self.dim, 1, 1_000_000)
        learner = self.encoder
        if with_defaults(self.encoder, BaseEncoder).learns:
            learner = copy.deepcopy(self.encoder)
            with_defaults(learner, BaseEncoder).fit(values)
        vectors = unit_rows(learner.encode(values))
        self._check_width(vectors)
        # Second moments in float64 and in blocks: float32 sums of many rows lose digits, and a float64 copy of all
        # vectors would take twice their memory. The mean stays in, because dot products, not variances, are to be kept.
        parts = (vectors[block].astype(np.float64) for block in blocks(len(vectors), 8192))
        moments = sum((rows.T @ rows for rows in parts), np.zeros((vectors.shape[1],) * 2))
        total = float(np.trace(moments)) or 1.0
        if self.method == "pca":
            sizes, axes = np.linalg.eigh(moments)  # ascending: the largest come last
            self.projection_ = np.ascontiguousarray(_with_fixed_signs(axes[:, ::-1][:, : self.dim]), dtype=np.float32)
            self.kept_ = float(sizes[::-1][: self.dim].sum()) / total
        else:
            self.kept_ = float(np.diag(moments)[: self.dim].sum()) / total
        if learner is not self.encoder:
            self.inner_ = learner
        return self

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row of length one per value, shape (n, dim), float32.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._reduce(self._inner.encode(values))

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query, reduced as items are."""
        return self._reduce(with_defaults(self._inner, BaseEncoder).encode_query(values))

    def __deepcopy__(self, memo: dict[int, Any]) -> "ReducedEncoder":
        return self.with_encoder(self.encoder)  # its weights are large, and fit does not change it

    @property
    def _inner(self) -> Encoder:
        if not hasattr(self, "kept_"):
            raise NotFittedError("ReducedEncoder must be fitted before it is used; call ReducedEncoder.fit first.")
        return getattr(self, "inner_", self.encoder)

    def _check_width(self, vectors: FloatArray) -> None:
        width = vectors.shape[1]
        check_between("dim", self.dim, 1, width, f"The encoder's vectors have {width} numbers; pass dim <= {width}.")

    def _reduce(self, vectors: FloatArray) -> FloatArray:
        """Return reduced rows of length one, (n, dim)."""
        if self.method == "truncate":
            return unit_rows(np.ascontiguousarray(vectors[:, : self.dim]))
        return unit_rows(unit_rows(vectors) @ self.projection_)


def reduced(encoders: Mapping[str, Encoder], dim: int | None, method: Method) -> dict[str, Encoder]:
    """Wrap each distinct encoder in a ``ReducedEncoder``; fields that share an encoder still do."""
    if dim is None:
        return dict(encoders)
    wrapped = {id(encoder): ReducedEncoder(encoder, dim, method) for encoder in encoders.values()}
    return {name: wrapped[id(encoder)] for name, encoder in encoders.items()}


def _with_fixed_signs(axes: FloatArray) -> FloatArray:
    """Return the axes with signs that make their largest numbers positive.

    An eigenvector is defined up to its sign, and libraries of linear algebra choose differently.
    """
    largest = np.abs(axes).argmax(axis=0)
    signs: FloatArray = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    return signs
