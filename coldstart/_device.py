"""Where tensors go when nobody says, and arrays as tensors."""

import warnings
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from coldstart.errors import InvalidInputError

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


def checked_device(device: str | None) -> str:
    """Return the device, or the best there is when none is named.

    Raises
    ------
    InvalidInputError
        When there is no such device on this machine.
    """
    import torch

    if device is None:
        return best_device()
    try:
        torch.zeros(1, device=device)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(
            f"`device` must be one that this machine has; got {device!r} ({reason}). "
            f"Pass device=None, which takes the best there is, here {best_device()!r}."
        ) from error
    return device


def best_device() -> str:
    """Return "cuda" when there is one, else "mps", else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
