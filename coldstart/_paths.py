"""Paths and names that stand in a saved folder: a stranger may have written them."""

from pathlib import Path

from coldstart.errors import SavedFolderError


class SavedName(str):
    """Name of a model or a path that came with a saved folder: its writer chose it, not the caller.

    Nothing is read, written or downloaded on its word alone. It is a text, so that it stays what it is as a parameter,
    in copies and in pickles.
    """

    __slots__ = ()


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file or folder that a saved folder names.

    Raises
    ------
    SavedFolderError
        When it lies outside: by "..", as an absolute path, or through a link.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SavedFolderError(
            f"A saved folder may name only files inside it; {name!r} in {str(folder)!r} leads outside."
        )
    return path
