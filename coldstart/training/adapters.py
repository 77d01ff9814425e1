"""Maps that move vectors a little: where they start, every vector stays where it is."""

from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from coldstart._arrays import FloatArray

Kind: TypeAlias = Literal["linear", "low-rank", "mlp"]


class ResidualMap(nn.Module):
    """Add to each vector what a small network makes of it: ``x A``, ``x A B`` or ``relu(x A + b) B``.

    The last matrix starts at zero, so that an untrained map leaves everything in place.

    Parameters
    ----------
    dim : int
    kind : {"linear", "low-rank", "mlp"}
    rank : int
        Width in the middle of the other two.
    rng : Generator

    Examples
    --------
    >>> vectors = torch.ones(2, 4)
    >>> torch.equal(ResidualMap(4, "mlp", 8, np.random.default_rng(0))(vectors), vectors)
    True
    """

    def __init__(self, dim: int, kind: Kind, rank: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.kind = kind
        inner = dim if kind == "linear" else rank
        self.up = nn.Parameter(torch.zeros(inner, dim))
        if kind != "linear":
            bound = dim**-0.5
            start = rng.uniform(-bound, bound, (dim, rank)).astype(np.float32)
            self.down = nn.Parameter(torch.from_numpy(start))
        if kind == "mlp":
            self.bias = nn.Parameter(torch.zeros(rank))

    @property
    def is_linear(self) -> bool:
        """Whether a sum of moved vectors is the moved sum."""
        return self.kind != "mlp"

    def forward(self, vectors: Tensor) -> Tensor:
        """Return moved vectors (b, dim)."""
        inner = vectors if self.kind == "linear" else vectors @ self.down
        if self.kind == "mlp":
            inner = (inner + self.bias).relu()
        return torch.addmm(vectors, inner, self.up)

    def arrays(self) -> dict[str, FloatArray]:
        """Return the weights by name, as ``AdaptedEncoder`` takes them."""
        return {name: weight.detach().cpu().numpy().copy() for name, weight in self.named_parameters()}
