"""Encoders that wrap another one: a shared base class, which saves and opens the wrapped encoder."""

from pathlib import Path
from typing import Any, cast

from typing_extensions import Self

from coldstart._component import Component
from coldstart.base import Encoder


class EncoderWrapper(Component):
    """An encoder whose constructor takes another one as ``encoder``."""

    encoder: Encoder

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a saved folder refers to it."""
        return self.with_encoder(cast(Any, self.encoder).saved(inside))

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved folder that now lies at ``folder``."""
        opened = getattr(self.encoder, "opened", None)
        return self if opened is None else self.with_encoder(opened(folder))

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights of the wrapped encoder."""
        cast(Any, self.encoder).copy_weights(folder)

    def with_encoder(self, encoder: Encoder) -> Self:
        """Return a copy that wraps another encoder and keeps what this one has learned."""
        return type(self)(**{**self.get_params(), "encoder": encoder}).set_state(self.get_state())
