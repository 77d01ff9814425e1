"""Linear layers whose weights are stored in the memory order that the kernels of the processor read.

PyTorch reorders every bfloat16 weight at each call; here it is done once. The functions are those that
``torch.compile`` puts in place of ``nn.Linear`` on processors. They are not documented, so ``can_prepack`` tries them.
Compiling the network itself is slow at the first call and needs a C++ compiler on the machine.
"""

from functools import cache

import torch
from torch import Tensor, nn

TOKENS = 2048
"""Rows of input for which the best order is chosen: those of a full batch of ``TextEncoder``. Others work, too."""


class PrepackedLinear(nn.Module):
    """A linear layer for inference on the CPU; its weight cannot be read back, copied or trained.

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
        """Return ``values W + b``."""
        output: Tensor = torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")
        return output


@cache
def can_prepack() -> bool:
    """Return whether this PyTorch has the functions and they compute what ``nn.Linear`` does."""
    linear = nn.Linear(32, 32).to(torch.bfloat16)
    # Results are of size 1, and bfloat16 has 8 bits: differences by the order of sums stay below 0.02.
    values = torch.linspace(-1, 1, 64).view(2, 32).to(torch.bfloat16)
    try:
        with torch.inference_mode():
            return bool(torch.allclose(PrepackedLinear(linear)(values), linear(values), atol=0.02))
    except (AttributeError, RuntimeError):  # other versions, or PyTorch built without oneDNN
        return False


def prepack(network: nn.Module) -> None:
    """Replace all linear layers by prepacked ones, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:  # subclasses may compute something else
                setattr(module, name, PrepackedLinear(child))
