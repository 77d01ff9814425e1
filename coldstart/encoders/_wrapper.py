"""Encoders that wrap another one: a shared base class, which saves and opens the wrapped encoder."""

from pathlib import Path

from typing_extensions import Self

from coldstart.base import BaseEncoder, Encoder, with_defaults


class EncoderWrapper(BaseEncoder):
    """An encoder whose constructor takes another one as ``encoder``."""

    encoder: Encoder

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a saved folder refers to it."""
        return self.with_encoder(with_defaults(self.encoder, BaseEncoder).saved(inside))

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved folder that now lies at ``folder``."""
        inner = with_defaults(self.encoder, BaseEncoder).opened(folder)
        return self if inner is self.encoder else self.with_encoder(inner)

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights of the wrapped encoder."""
        with_defaults(self.encoder, BaseEncoder).copy_weights(folder)

    def with_encoder(self, encoder: Encoder) -> Self:
        """Return a copy that wraps another encoder and keeps what this one has learned."""
        return type(self)(**{**self.get_params(), "encoder": encoder}).set_state(self.get_state())


def innermost(encoder: Encoder) -> Encoder:
    """Return the encoder that others wrap."""
    while isinstance(encoder, EncoderWrapper):
        encoder = encoder.encoder
    return encoder
