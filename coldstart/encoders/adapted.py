"""Vectors of another encoder, centred and passed through a small residual map learned from clicks."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray, unit_rows
from coldstart._messages import shown
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.encoders._wrapper import EncoderWrapper
from coldstart.encoders.cached import CachedEncoder
from coldstart.errors import InvalidInputError


class AdaptedEncoder(EncoderWrapper, saved=True):
    """Centre the vectors of another encoder and add a small residual map, as ``coldstart.finetune`` learns it.

    ``encode`` returns ``y + f(y)`` at length one. Here y is the other encoder's vector minus the mean of the
    catalogue, at length one too, and f is ``y A``, ``y A B`` or ``relu(y A + b) B`` (a residual adapter, Houlsby et al.
    2019). The other encoder is not changed; the map is saved with the recommender, in kilobytes. Before a map is
    learned vectors come back as they are.

    Parameters
    ----------
    encoder : Encoder

    Attributes
    ----------
    mean_ : ndarray of shape (dim,)
        Mean of the other encoder's vectors over the catalogue.
    map_ : dict of str to ndarray
        Weights of f: ``up`` (dim, dim) or (rank, dim); ``down`` (dim, rank) and ``bias`` (rank,) where f has them.
    report_ : dict of str to dict
        NDCG@20 on held-out items in training, by stage and epoch.

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
        return self._adapt(self.encoder.encode(values))

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query, mapped as items are."""
        return self._adapt(with_defaults(self.encoder, BaseEncoder).encode_query(values))

    def identity(self) -> str:
        """Name everything a vector depends on."""
        inner = self.encoder.encoder if isinstance(self.encoder, CachedEncoder) else self.encoder
        identity = with_defaults(inner, BaseEncoder).identity
        if identity is None:
            raise InvalidInputError(
                f"`encoder` of AdaptedEncoder must have an identity() method to be cached; got {shown(inner)}. "
                "Give the cache a name: CachedEncoder(..., identity='a name that changes when the vectors do')."
            )
        weights = hashlib.sha256()
        for part in (getattr(self, "mean_", np.zeros(0)), *getattr(self, "map_", {}).values()):
            weights.update(np.ascontiguousarray(part).tobytes())
        return f"AdaptedEncoder {weights.hexdigest()} of {identity()}"

    def _adapt(self, vectors: FloatArray) -> FloatArray:
        """Return vectors (n, dim) centred, mapped and scaled to length one; as they are before a map is learned."""
        if not hasattr(self, "map_"):
            return vectors
        return unit_rows(apply_map(unit_rows(unit_rows(vectors) - self.mean_), self.map_))


def apply_map(vectors: FloatArray, weights: Mapping[str, FloatArray]) -> FloatArray:
    """Return ``y + f(y)`` of vectors (n, dim), as ``AdaptedEncoder`` defines it.

    The forward pass of ``training.adapters.ResidualMap`` in numpy, so that a saved encoder needs no torch.
    """
    inner = vectors @ weights["down"] if "down" in weights else vectors
    if "bias" in weights:
        inner = np.maximum(inner + weights["bias"], 0.0)
    return np.asarray(vectors + inner @ weights["up"], dtype=np.float32)
