"""What encoders have in common that stand around another: they are saved and opened as it is."""

from pathlib import Path
from typing import Any, cast

from typing_extensions import Self

from coldstart._component import Component
from coldstart.base import Encoder


class Around(Component):
    """An encoder whose constructor takes another one, ``encoder``."""

    encoder: Encoder

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a saved folder refers to it."""
        return self.around(cast(Any, self.encoder).saved(inside))

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved folder that now lies at ``folder``."""
        opened = getattr(self.encoder, "opened", None)
        return self if opened is None else self.around(opened(folder))

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights of the other encoder."""
        cast(Any, self.encoder).copy_weights(folder)

    def around(self, encoder: Encoder) -> Self:
        """Return the same around another encoder, with what it has learned."""
        return type(self)(**{**self.get_params(), "encoder": encoder}).set_state(self.get_state())
