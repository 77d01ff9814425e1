"""Bars for work that takes long."""

import sys
from collections.abc import Iterable
from typing import Any


def progress_bar(values: Iterable[Any] | None = None, *, total: int, what: str, unit: str, shown: bool = True) -> Any:
    """Return a ``tqdm`` bar, drawn when the work takes more than a second and someone is looking.

    Someone looks at a terminal or a notebook, not at the log of a service; and nobody waits for one step of many.

    Parameters
    ----------
    values : iterable, optional
        What to go through; without them call ``update``.
    total : int
        Number of steps; one step has no bar.
    what, unit : str
        Of what the bar is, and what it counts.
    shown : bool
        False draws nothing.
    """
    from tqdm.auto import tqdm

    draws = shown and total > 1 and _is_watched()
    return tqdm(values, total=total, desc=what, unit=unit, delay=1.0, disable=not draws)


def _is_watched() -> bool:
    """Whether what is drawn goes to a terminal or a notebook."""
    stream = sys.stderr
    return "ipykernel" in sys.modules or (stream is not None and stream.isatty())
