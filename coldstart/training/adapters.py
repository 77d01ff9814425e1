"""Residual adapters: small maps that are added to vectors and start as the identity."""

from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from coldstart._arrays import FloatArray

Kind: TypeAlias = Literal["linear", "low-rank", "mlp"]


class ResidualMap(nn.Module):
    """Add the output of a small network to each vector: ``x A``, ``x A B`` or ``relu(x A + b) B``.

    The last matrix starts at zero, so that an untrained map is the identity: training starts from the vectors of the
    encoder and can only leave them for something that its loss prefers (Houlsby et al. 2019).

    Parameters
    ----------
    dim : int
    kind : {"linear", "low-rank", "mlp"}
    rank : int
        Width of the hidden layer of "low-rank" and "mlp".
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
            # Only one of the two matrices may be zero: with both, neither would ever get a gradient.
            bound = dim**-0.5
            initial = rng.uniform(-bound, bound, (dim, rank)).astype(np.float32)
            self.down = nn.Parameter(torch.from_numpy(initial))
        if kind == "mlp":
            self.bias = nn.Parameter(torch.zeros(rank))

    @property
    def is_linear(self) -> bool:
        """Whether the map is linear: then the map of a sum is the sum of the maps."""
        return self.kind != "mlp"

    def forward(self, vectors: Tensor) -> Tensor:
        """Return mapped vectors (b, dim)."""
        inner = vectors if self.kind == "linear" else vectors @ self.down
        if self.kind == "mlp":
            inner = (inner + self.bias).relu()
        return torch.addmm(vectors, inner, self.up)

    def arrays(self) -> dict[str, FloatArray]:
        """Return the weights by name, as ``AdaptedEncoder`` reads them."""
        return {name: weight.detach().cpu().numpy().copy() for name, weight in self.named_parameters()}
