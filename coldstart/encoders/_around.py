"""What encoders have in common that stand around another: they are saved and opened as it is."""

from pathlib import Path

from typing_extensions import Self

from coldstart.base import BaseEncoder, Encoder, with_defaults


class Around(BaseEncoder):
    """An encoder whose constructor takes another one, ``encoder``."""

    encoder: Encoder

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a saved folder refers to it."""
        return self.around(with_defaults(self.encoder, BaseEncoder).saved(inside))

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved folder that now lies at ``folder``."""
        inner = with_defaults(self.encoder, BaseEncoder).opened(folder)
        return self if inner is self.encoder else self.around(inner)

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights of the other encoder."""
        with_defaults(self.encoder, BaseEncoder).copy_weights(folder)

    def around(self, encoder: Encoder) -> Self:
        """Return the same around another encoder, with what it has learned."""
        return type(self)(**{**self.get_params(), "encoder": encoder}).set_state(self.get_state())


def innermost(encoder: Encoder) -> Encoder:
    """Return the encoder that others stand around."""
    while isinstance(encoder, Around):
        encoder = encoder.encoder
    return encoder
