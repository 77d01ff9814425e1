"""Where tensors go when nobody says, and arrays as tensors."""

import warnings
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_QUIET = Lock()
"""Filters of warnings belong to all threads: one at a time may change them and put them back."""


def as_tensor(array: npt.NDArray[Any]) -> "torch.Tensor":
    """Return an array as a tensor in the same memory; that of a mapped file is not to be written to."""
    import torch

    if array.flags.writeable:
        return torch.from_numpy(array)
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of arrays that cannot be written to
        return torch.from_numpy(array)


def best_device() -> str:
    """Return "cuda" when there is one, else "mps", else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
