"""Replace a folder by a new one: at any time the old or the new one is there whole, and nothing else is lost."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coldstart._file_locks import file_lock
from coldstart.errors import InvalidInputError


def replace_folder(folder: Path, write: Callable[[Path], None], ours: Callable[[Path], Collection[str]]) -> None:
    """Write a folder beside its place, and rename it to there.

    Another process that replaces the same folder waits. Files that the owner put into the old folder are kept. Only the
    owner of the process may read the new folder, or whoever may read the old one.

    Parameters
    ----------
    folder : Path
        As ``real_place`` returns it.
    write : callable
        Fills the new, empty folder.
    ours : callable
        Returns the names of the files of the old folder that go with it, none where there is no old one; raises where
        it is not to be replaced.

    Raises
    ------
    InvalidInputError
        When the folder cannot be renamed, as a mounted volume cannot, or a file of the owner is in the way.
    """
    if os.path.ismount(folder):
        raise InvalidInputError(_cannot_rename(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_name(f".{folder.name}.lock")) as alone:
        if alone:
            _remove_leftovers(folder)
        fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.new")
        try:
            old = folder if folder.exists() else previous_of(folder)
            names = ours(old)
            fresh.mkdir(mode=0o700)
            write(fresh)
            _set_permissions(fresh, old if names else None)
            _sync(fresh)
            if names:
                _keep_foreign(old, names, fresh)
            _swap(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def previous_of(folder: Path) -> Path:
    """Return where the old folder is between the two renames, or after a kill there."""
    return folder.with_name(f".{folder.name}.previous")


def real_place(folder: Path) -> Path:
    """Return the real place of a folder, links followed: the link stays, and what it points to is replaced.

    Raises
    ------
    InvalidInputError
        When there is none: a loop of links, or a relative path and no working directory.
    """
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise InvalidInputError(
            f"`folder` must be a place; {str(folder)!r} cannot be followed: {error}. "
            "If the working directory was replaced, change to it again."
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed saves to this place left beside it; the caller holds the lock, so no other save is alive."""
    name = re.compile(re.escape(f".{folder.name}.") + "[0-9a-f]{8}" + re.escape(".new"))
    for path in folder.parent.iterdir():
        if name.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _set_permissions(fresh: Path, old: Path | None) -> None:
    """Let only the owner read the new folder, or those who may read the old one: a service of another user, say."""
    of_folders, of_files = 0o700, 0o600
    if old is not None:
        of_folders = 0o700 | old.stat().st_mode & 0o777
        of_files = of_folders & 0o666
    fresh.chmod(of_folders)
    for path in fresh.rglob("*"):
        path.chmod(of_folders if path.is_dir() else of_files)


def _keep_foreign(old: Path, ours: Collection[str], fresh: Path) -> None:
    """Bring what the owner put into the old folder into the new one.

    By links where the disk has them, so that nothing is there twice or lost, whenever the process is killed.

    Raises
    ------
    InvalidInputError
        When a new file has the name of one of the owner's.
    """
    ours = {*ours, *(parent.as_posix() for name in ours for parent in Path(name).parents)}
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        if name.as_posix() in ours:
            continue
        if os.path.lexists(fresh / name) and not path.is_dir():
            raise InvalidInputError(
                f"`folder` holds {name.as_posix()!r}, which no save wrote, and this one needs the name. Move it away."
            )
        if path.is_dir() and not path.is_symlink():
            (fresh / name).mkdir(exist_ok=True)
            shutil.copystat(path, fresh / name)
        else:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            _link(path, fresh / name)


def _link(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a disk without links, or a file of somebody else
        shutil.copy2(path, copy, follow_symlinks=False)


def _swap(fresh: Path, folder: Path) -> None:
    """Rename ``fresh`` to ``folder``; between two renames the old one is at ``previous_of``, where a load finds it.

    Raises
    ------
    InvalidInputError
        When the old one cannot be renamed.
    """
    previous = previous_of(folder)
    with _same_working_directory():
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            try:
                folder.rename(previous)
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.EXDEV):
                    raise InvalidInputError(_cannot_rename(folder)) from error
                raise
        try:
            fresh.rename(folder)
        except OSError:
            if previous.exists():
                previous.rename(folder)
            raise
    _sync_names(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def _same_working_directory() -> Iterator[None]:
    """Stay at the same path, if it is that of a folder which is replaced: ``save(".")`` twice, for example."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            if Path.cwd() != here:
                os.chdir(here)


def _cannot_rename(folder: Path) -> str:
    return (
        f"`folder` must be one that can be renamed; {str(folder)!r} is a mounted volume or a part of one. "
        f"Name a folder inside it: {str(folder / 'model')!r}."
    )


def _sync(folder: Path) -> None:
    """Flush every file to disk: after a power cut, the renames might be there and the contents not."""
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync_names(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_names(folder)


def _sync_names(folder: Path) -> None:
    """Flush the names in a folder to disk, where the system can."""
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
