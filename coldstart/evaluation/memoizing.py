"""Copies of a recommender that share encoded texts, so that many fits encode each text once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray
from coldstart._component import Component
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.pipeline.parts import checked_encoder, named_part
from coldstart.recommender import Recommender


class MemoizedEncoder(Component):
    """An encoder that keeps the vector of every value in memory and encodes each once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.vectors: dict[Any, FloatArray] = {}

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Encode values, those without a hash anew each time."""
        if not all(isinstance(value, Hashable) for value in values):
            return self.encoder.encode(values)
        new = [value for value in dict.fromkeys(values) if value not in self.vectors]
        encoded = self.encoder.encode(new)
        self.vectors.update(zip(new, encoded, strict=True))
        return np.stack([self.vectors[value] for value in values]) if len(values) else encoded

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Encode queries as the encoder does; they are not kept."""
        return with_defaults(self.encoder, BaseEncoder).encode_query(values)


def with_memoized_encoders(recommender: Recommender, memoized: dict[int, MemoizedEncoder]) -> Recommender:
    """Return an unfitted copy of a recommender with memoized encoders.

    Encoders with a ``fit`` method stay as they are: the vectors of one that learns depend on what it was fitted on.

    Parameters
    ----------
    recommender : Recommender
    memoized : dict of int to MemoizedEncoder
        By id of the encoder; copies made with the same dict share their vectors.
    """

    def wrap(encoder: Any) -> Any:
        if isinstance(encoder, MemoizedEncoder) or with_defaults(encoder, BaseEncoder).learns:
            return encoder
        # The memoized encoder keeps the encoder alive, so that its id is not given to another object.
        return memoized.setdefault(id(encoder), MemoizedEncoder(encoder))

    encoder: Any = checked_encoder(recommender.encoder)
    by_field = isinstance(encoder, Mapping)
    wrapped = {name: wrap(one) for name, one in encoder.items()} if by_field else wrap(encoder)
    copy: Recommender = with_params(recommender, {"encoder": wrapped})
    return copy


def with_params(owner: Any, setting: Mapping[str, Any]) -> Any:
    """Return an unfitted copy of a recommender or part with other parameters.

    Parameters
    ----------
    owner : Component
    setting : mapping of str to object
        Values by name; a dotted name such as ``"ranker.l2"`` is a parameter of a part.
    """
    params = owner.get_params()
    for path, value in setting.items():
        name, _, rest = path.partition(".")
        params[name] = with_params(named_part(name, params[name]), {rest: value}) if rest else value
    return type(owner)(**params)
