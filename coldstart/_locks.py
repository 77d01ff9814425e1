"""A lock that goes where its object goes: into copies, pickles and child processes, each time as a fresh one."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ALL: "weakref.WeakSet[WriteLock]" = weakref.WeakSet()


class WriteLock:
    """Lets one thread at a time change an object; the thread that has it may ask for it again.

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
        """Wait until no other thread has it."""
        with self._lock:
            yield

    def __reduce__(self) -> tuple[Any, ...]:
        return WriteLock, ()


def _renew() -> None:
    """Free all locks in a child process: the threads that had them stayed with its parent."""
    for lock in _ALL:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
