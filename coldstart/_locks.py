"""A lock for objects that are copied, pickled and forked: each copy gets a free lock of its own."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ALL: "weakref.WeakSet[WriteLock]" = weakref.WeakSet()
"""All locks of this process, for ``_renew``."""


class WriteLock:
    """A re-entrant lock: one thread at a time holds it, and may acquire it again.

    Examples
    --------
    >>> lock = WriteLock()
    >>> with lock.held(), lock.held():
    ...     pass
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _ALL.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Acquire the lock, waiting for other threads, and release it at the end of the block."""
        with self._lock:
            yield

    def __reduce__(self) -> tuple[Any, ...]:
        return WriteLock, ()  # threading locks cannot be pickled


def _renew() -> None:
    """Replace all locks in a forked child: the threads that held them exist in the parent only, and never release."""
    for lock in _ALL:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
