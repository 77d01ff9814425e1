"""The same recommender again and again, its texts encoded once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray
from coldstart._component import Component
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.pipeline.parts import checked_encoder, named_part
from coldstart.recommender import Recommender


class Remembered(Component):
    """An encoder that encodes a value once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.known: dict[Any, FloatArray] = {}

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Encode what was never asked for before."""
        if not all(isinstance(value, Hashable) for value in values):
            return self.encoder.encode(values)
        fresh = [value for value in dict.fromkeys(values) if value not in self.known]
        encoded = self.encoder.encode(fresh)
        self.known.update(zip(fresh, encoded, strict=True))
        return np.stack([self.known[value] for value in values]) if len(values) else encoded

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Encode queries with the encoder itself."""
        return with_defaults(self.encoder, BaseEncoder).encode_query(values)


def remembering(recommender: Recommender, known: dict[int, Remembered]) -> Recommender:
    """The same recommender, its encoders sharing what they encoded; one that learns does so anew."""

    def wrap(encoder: Any) -> Any:
        if isinstance(encoder, Remembered) or with_defaults(encoder, BaseEncoder).learns:
            return encoder
        return known.setdefault(id(encoder), Remembered(encoder))  # which keeps the encoder, and so its id, alive

    encoder: Any = checked_encoder(recommender.encoder)
    by_field = isinstance(encoder, Mapping)
    wrapped = {name: wrap(one) for name, one in encoder.items()} if by_field else wrap(encoder)
    copy: Recommender = with_params(recommender, {"encoder": wrapped})
    return copy


def with_params(owner: Any, setting: Mapping[str, Any]) -> Any:
    """A copy of a part with other parameters, those of its own parts included."""
    params = owner.get_params()
    for path, value in setting.items():
        name, _, rest = path.partition(".")
        params[name] = with_params(named_part(name, params[name]), {rest: value}) if rest else value
    return type(owner)(**params)
