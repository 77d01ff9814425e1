"""Vectors of another encoder, moved a little by what clicks have taught."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray, unit_rows
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.encoders._around import Around
from coldstart.encoders.cached import CachedEncoder
from coldstart.errors import InvalidInputError


class AdaptedEncoder(Around, saved=True):
    """Centre the vectors of another encoder and move them by a small map, as ``coldstart.finetune`` learns it.

    ``encode`` returns ``y + f(y)`` at length one. Here y is the other encoder's vector minus the mean of the
    catalogue, at length one too, and f is ``y A``, ``y A B`` or ``relu(y A + b) B`` (a residual adapter, Houlsby et al.
    2019). The other encoder stays as it is; the map is saved with the recommender, in kilobytes. Without one vectors
    come back as they are.

    Parameters
    ----------
    encoder : Encoder

    Attributes
    ----------
    mean_ : ndarray of shape (dim,)
    map_ : dict of str to ndarray
        ``up`` (dim, dim) or (rank, dim); ``down`` (dim, rank) and ``bias`` (rank,) where there are.
    report_ : dict of str to dict
        What was measured in training, by epoch.

    Examples
    --------
    >>> from coldstart.testing import HashEncoder
    >>> encoder = AdaptedEncoder(HashEncoder(dim=4))
    >>> bool(np.allclose(encoder.encode(["tea"]), HashEncoder(dim=4).encode(["tea"])))
    True
    """

    mean_: FloatArray
    map_: dict[str, FloatArray]
    report_: dict[str, dict[int, float]]

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row of length one per value, shape (n, dim), float32."""
        return self._moved(self.encoder.encode(values))

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query, moved as items are."""
        return self._moved(with_defaults(self.encoder, BaseEncoder).encode_query(values))

    def identity(self) -> str:
        """Name everything a vector depends on."""
        inner = self.encoder.encoder if isinstance(self.encoder, CachedEncoder) else self.encoder
        identity = with_defaults(inner, BaseEncoder).identity
        if identity is None:
            raise InvalidInputError(
                f"`encoder` of AdaptedEncoder must have an identity() method to be cached; got {inner!r}. "
                "Give the cache a name: CachedEncoder(..., identity='a name that changes when the vectors do')."
            )
        weights = hashlib.sha256()
        for part in (getattr(self, "mean_", np.zeros(0)), *getattr(self, "map_", {}).values()):
            weights.update(np.ascontiguousarray(part).tobytes())
        return f"AdaptedEncoder {weights.hexdigest()} of {identity()}"

    def _moved(self, vectors: FloatArray) -> FloatArray:
        if not hasattr(self, "map_"):
            return vectors
        return unit_rows(moved(unit_rows(unit_rows(vectors) - self.mean_), self.map_))


def moved(vectors: FloatArray, weights: Mapping[str, FloatArray]) -> FloatArray:
    """Return vectors (n, dim) moved by the weights of a map, see ``AdaptedEncoder``."""
    inner = vectors @ weights["down"] if "down" in weights else vectors
    if "bias" in weights:
        inner = np.maximum(inner + weights["bias"], 0.0)
    return np.asarray(vectors + inner @ weights["up"], dtype=np.float32)
