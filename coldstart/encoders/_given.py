"""Encoders of a saved folder with weights or a cache that the caller names, not the folder."""

from coldstart.base import Encoder
from coldstart.encoders._wrapper import EncoderWrapper
from coldstart.encoders.cached import CachedEncoder
from coldstart.encoders.text import TextEncoder
from coldstart.errors import InvalidInputError


def with_given(saved: Encoder, given: Encoder) -> Encoder:
    """Put the caller's encoder in the place of a saved one, and keep what the folder holds around it.

    Parameters
    ----------
    saved : Encoder
        A ``TextEncoder``, perhaps in a cache and in other encoders, which have learned something.
    given : Encoder
        As it was given to ``fit``, or only the ``TextEncoder``, or that in another cache.

    Raises
    ------
    InvalidInputError
        When the folder holds all of the encoder, or a setting is another than that of ``fit``.
    """
    if isinstance(saved, TextEncoder) and isinstance(given, TextEncoder):
        return saved.with_weights_of(given)
    if isinstance(saved, TextEncoder | CachedEncoder) and isinstance(given, CachedEncoder):
        inner = saved.encoder if isinstance(saved, CachedEncoder) else saved
        return given.with_encoder(with_given(inner, given.encoder))
    if isinstance(saved, EncoderWrapper):
        inner = given.encoder if isinstance(given, EncoderWrapper) and type(given) is type(saved) else given
        return saved.with_encoder(with_given(saved.encoder, inner))
    raise InvalidInputError(
        f"`encoder` of load must be None: the folder holds the encoder, {type(saved).__name__}; got {given!r}."
    )
