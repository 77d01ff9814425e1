"""The device that tensors are on by default, arrays as tensors without a copy, and torch in forked processes."""

import os
import warnings
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from coldstart._messages import shown
from coldstart.errors import InvalidInputError

if TYPE_CHECKING:
    import torch

_QUIET = Lock()
"""Warning filters are shared by all threads: two that change and restore them at once would restore the wrong ones."""


def as_tensor(array: npt.NDArray[Any]) -> "torch.Tensor":
    """Return an array as a tensor in the same memory, which must not be written to where the array is read-only."""
    import torch

    survive_forks()
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

    survive_forks()
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

    survive_forks()
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def survive_forks() -> None:
    """Have torch compute in one thread in processes that this one forks; called before torch first computes here.

    The threads that torch has started exist in the parent only, and the OpenMP of GCC, which does not notice, would wait
    for them in the child for ever. A single thread waits for nobody.
    """
    import torch

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
