"""Trackers for the numbers of training: TensorBoard, Weights & Biases, or a function of your own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from coldstart._extras import require
from coldstart._messages import shown
from coldstart.errors import InvalidInputError

Track: TypeAlias = Callable[[Mapping[str, float], int], None]
Tracker: TypeAlias = Literal["tensorboard", "wandb"] | Track | None


@contextmanager
def tracking(tracker: Tracker, name: str) -> Iterator[Track]:
    """Yield a function of numbers by name and the epoch, and close the tracker at the end.

    Parameters
    ----------
    tracker : {"tensorboard", "wandb"} or callable, optional
        "tensorboard" writes to ``runs/``; "wandb" starts a run by its own settings; a callable is called itself. None:
        nothing is tracked.
    name : str
        Name of the run.

    Raises
    ------
    InvalidInputError
        When it is something else.
    MissingExtraError
        Without the extra ``[track]``.
    """
    if tracker is None:
        yield _ignore
    elif callable(tracker):
        yield tracker
    elif tracker == "tensorboard":
        require("tensorboard", extra="track", by='tracker="tensorboard"')
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(comment=name) as writer:
            yield lambda numbers, epoch: _to_tensorboard(writer, numbers, epoch)
    elif tracker == "wandb":
        with require("wandb", extra="track", by='tracker="wandb"').init(name=name) as started:
            yield lambda numbers, epoch: started.log(dict(numbers), step=epoch)
    else:
        raise InvalidInputError(f'`tracker` must be "tensorboard", "wandb" or a function; got {shown(tracker)}.')


def _ignore(numbers: Mapping[str, float], epoch: int) -> None:
    """Track nothing."""


def _to_tensorboard(writer: Any, numbers: Mapping[str, float], epoch: int) -> None:
    """Write each number as a scalar."""
    for name, value in numbers.items():
        writer.add_scalar(name, value, epoch)
