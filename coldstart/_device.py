"""The device that tensors are on by default and arrays as tensors without a copy."""

import warnings
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from coldstart._forks import survive_forks
from coldstart._messages import shown
from coldstart.errors import InvalidInputError

if TYPE_CHECKING:
    import torch

_QUIET = Lock()
"""Warning filters are shared by all threads: two that change and restore them at once would restore the wrong ones."""


def as_tensor(array: npt.NDArray[Any]) -> "torch.Tensor":
    """Return an array as a tensor in the same memory, which must not be written to where the array is read-only."""
    import torch

    survive_forks(torch.set_num_threads)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with _QUIET, warnings.catch_warnings():
        # torch warns of read-only arrays, such as those of a mapped file; a copy would read the file whole.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def checked_device(device: str | None) -> str:
    """Return the device, or the best of this machine for None.

    Raises
    ------
    InvalidInputError
        When there is no such device on this machine.
    """
    import torch

    survive_forks(torch.set_num_threads)
    if device is None:
        return best_device()
    # The only check that holds for every backend: put something there.
    try:
        torch.zeros(1, device=device)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(
            f"`device` must be one that this machine has; got {shown(device)} ({reason}). "
            f"Pass device=None, which takes the best there is, here {best_device()!r}."
        ) from error
    return device


def best_device() -> str:
    """Return "cuda" if available, else "mps" if available, else "cpu"."""
    import torch

    survive_forks(torch.set_num_threads)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
