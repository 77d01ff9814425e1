"""An encoder that reads nothing, for rankers that use clicks alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray
from coldstart.base import BaseEncoder


class NoEncoder(BaseEncoder, saved=True):
    """Return for every value the row of zeros that says "nothing known".

    It saves a collaborative filter the time to encode texts that it does not read.

    Examples
    --------
    >>> NoEncoder().encode(["a text", "another"]).tolist()
    [[0.0], [0.0]]
    """

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return zeros of shape (n, 1)."""
        return np.zeros((len(values), 1), dtype=np.float32)
