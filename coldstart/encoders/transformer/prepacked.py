"""Linear maps whose weights lie as the processor's kernels read them.

PyTorch brings every weight into that order again at each call; here it is done once. The functions are those that
``torch.compile`` puts in place of ``nn.Linear`` on processors. They are not documented, so ``can_prepack`` tries them.
"""

from functools import cache

import torch
from torch import Tensor, nn

TOKENS = 2048
"""Rows that the order of the weights is chosen for."""


class PrepackedLinear(nn.Module):
    """A linear map for inference on a processor; its weight cannot be read back, copied or trained.

    Parameters
    ----------
    linear : nn.Linear
        In bfloat16, on the CPU.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TOKENS)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, values: Tensor) -> Tensor:
        """Return mapped values."""
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")
        return mapped


@cache
def can_prepack() -> bool:
    """Whether this PyTorch has the functions and they map as ``nn.Linear`` does."""
    linear = nn.Linear(32, 32).to(torch.bfloat16)
    values = torch.linspace(-1, 1, 64).view(2, 32).to(torch.bfloat16)
    try:
        with torch.inference_mode():
            return bool(torch.allclose(PrepackedLinear(linear)(values), linear(values), atol=0.02))
    except (AttributeError, RuntimeError):
        return False


def prepack(network: nn.Module) -> None:
    """Put prepacked maps in the place of all linear ones."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, PrepackedLinear(child))
