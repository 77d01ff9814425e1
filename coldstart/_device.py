"""Where tensors go when nobody says, and arrays as tensors."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def as_tensor(array: npt.NDArray[Any]) -> "torch.Tensor":
    """Return an array as a tensor in the same memory; that of a mapped file is not to be written to."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of arrays that cannot be written to
        return torch.from_numpy(array)


def best_device() -> str:
    """Return "cuda" when there is one, else "mps", else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
