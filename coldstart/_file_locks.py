"""A lock between processes: a file that the system unlocks when its holder ends, however it ends."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of disks without locks, such as some network ones."""

if sys.platform == "win32":
    import msvcrt

    def _acquire(file: int) -> None:
        while True:
            try:
                return msvcrt.locking(file, msvcrt.LK_LOCK, 1)
            except OSError as error:  # noqa: PERF203 - it gives up after ten seconds
                if error.errno != errno.EDEADLK:
                    raise

    def _release(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _release(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open, too


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a path, waiting for other threads and processes; the file is there only while it is held.

    Yields
    ------
    bool
        False where the disk has no locks: then nothing is locked.
    """
    file, held = _locked(path)
    try:
        yield held
    finally:
        # Removed while it is held: whoever waits for it sees that its file is not the one at the path, and tries again.
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):
            _release(file)
        os.close(file)


def _locked(path: Path) -> tuple[int, bool]:
    """Return the open file at a path, and whether it is locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(file)
            if os.path.samestat(os.fstat(file), path.stat()):
                return file, True
        except FileNotFoundError:  # its holder has removed it
            pass
        except OSError as error:
            if error.errno in NO_LOCKS:
                return file, False
            os.close(file)
            raise
        os.close(file)
