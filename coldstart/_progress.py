"""Progress bars."""

import sys
from collections.abc import Iterable
from typing import Any


def progress_bar(values: Iterable[Any] | None = None, *, total: int, what: str, unit: str, shown: bool = True) -> Any:
    """Return a ``tqdm`` bar, drawn in a terminal or a notebook when the work takes more than a second.

    Never in the log of a service, where each update would be a line.

    Parameters
    ----------
    values : iterable, optional
        To iterate over; without them, the caller calls ``update``.
    total : int
        Number of steps; with one there is no bar, which would only jump from 0 to 1.
    what, unit : str
        Label, and name of a step.
    shown : bool
        False never draws.
    """
    from tqdm.auto import tqdm  # not at the top: importing the package must load no other

    draws = shown and total > 1 and _is_watched()
    return tqdm(values, total=total, desc=what, unit=unit, delay=1.0, disable=not draws)


def _is_watched() -> bool:
    """Whether stderr is a terminal, or this is a notebook."""
    # None under pythonw and some services.
    stream = sys.stderr
    return "ipykernel" in sys.modules or (stream is not None and stream.isatty())
