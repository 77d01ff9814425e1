"""Saved folders of JSON and safetensors, with hashes: written whole or not at all, read whole or not at all.

A folder is written beside its place and then renamed, so that a crash leaves the old or the new one. Who reads while
another process writes gets all of the one or all of the other. Nothing here knows what a recommender is.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, TypeVar

from coldstart._json import Json, read_json, write_json
from coldstart._messages import shortened, shown
from coldstart._paths import inside
from coldstart._replacing import previous_of, real_place, replace_folder
from coldstart.errors import MALFORMED, ColdstartError, ColdstartWarning, InvalidInputError, SavedFolderError

FORMAT = 2
"""Version of the folder's layout; a reader refuses folders of later versions, and reads all earlier ones."""

HASHED = 64 * 2**20
"""Bytes up to which a file is compared with its hash on every read; hashing gigabytes would take seconds."""

ATTEMPTS = 100
"""Times that a reader starts over because the folder was replaced meanwhile."""

PATIENCE = 0.5
"""Seconds that a reader waits for a save that is between its two renames, which takes far less than that."""

MODEL = "model"
"""The kind of a folder whose config names none."""

Verify: TypeAlias = bool | Literal["auto"]
T = TypeVar("T")


def write_folder(folder: Path, files: Mapping[str, Callable[[Path], None]], config: Mapping[str, Json]) -> None:
    """Write a folder beside the old one and swap them, so that at any time one of them is there whole.

    Another process that saves to the same place waits. What the owner put into the old folder is kept. Only the owner
    of the process may read the new one, or who may read the old one.

    Parameters
    ----------
    folder : Path
        Where to write; only a folder of the same kind that ``write_folder`` wrote is overwritten. Of a link, the
        folder that it points to.
    files : mapping of str to callable
        By name, functions that write the file (or folder) at the path they are given.
    config : mapping
        Content of ``config.json``, beside the format version and the size and SHA-256 of every file.

    Raises
    ------
    InvalidInputError
        When ``folder`` holds something else, or cannot be replaced, as a mounted volume cannot.
    """
    kind = config.get("kind", MODEL)

    def files_of(old: Path) -> set[str]:
        """Return the names of the files that were written into the old folder; none where it is new or empty."""
        if _is_free(old):
            return set()
        if _kind_of(old) != kind:
            raise InvalidInputError(
                f"`folder` must be new, empty, or a saved {kind}; {shown(str(folder))} holds something else."
            )
        return {"config.json", *read_json(old / "config.json")["files"]}

    replace_folder(real_place(folder), lambda fresh: _write_files(fresh, files, config), files_of)


def read_folder(
    folder: Path, read: Callable[[Path, dict[str, Json]], T], kind: str = MODEL, verify: Verify = "auto"
) -> T:
    """Read a saved folder whole: again from the start where another process replaced it meanwhile.

    Parameters
    ----------
    folder : Path
    read : callable
        Reads everything, from the path and the config that it is given.
    kind, verify
        As for ``read_config``.

    Raises
    ------
    SavedFolderError
        When ``read`` cannot make sense of the folder, or in the cases of ``read_config``.
    """
    for _ in range(ATTEMPTS):
        place = _find(folder)
        with suppress(FileNotFoundError), _opened_config(folder, place) as file:
            try:
                with _clear_errors(folder):
                    content = read(place, _checked_config(folder, place, kind, verify))
            except ColdstartError:
                if _is_still(file, place / "config.json"):
                    raise
            else:
                if _is_still(file, place / "config.json"):
                    return content
    raise SavedFolderError(f"{shown(str(folder))} was replaced {ATTEMPTS} times while it was read. Load it again.")


def read_config(folder: Path, kind: str = MODEL, verify: Verify = "auto") -> tuple[Path, dict[str, Json]]:
    """Check a saved folder, and return its path and its config.

    Parameters
    ----------
    folder : Path
    kind : str
        What the folder must hold.
    verify : bool or "auto"
        Whether to compare every file with its hash; "auto" compares files up to 64 MB. Sizes are always compared.

    Returns
    -------
    tuple of Path and dict
        The path is that of the previous save, where the last one was interrupted between its two renames.

    Raises
    ------
    InvalidInputError
        When ``verify`` is something else.
    SavedFolderError
        When there is no such folder, or it is of another kind, of a newer format, incomplete or altered.
    """
    return read_folder(folder, lambda place, config: (place, config), kind, verify)


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _kind_of(folder: Path) -> str | None:
    """Return the kind of a folder that ``write_folder`` wrote, None for any other.

    By the keys of its config: model folders of other libraries hold a config.json, too, and must not be overwritten.
    """
    path = folder / "config.json"
    try:
        config = read_json(path) if path.is_file() else {}
        return str(config.get("kind", MODEL)) if {"format", "files", "sha256"} <= set(config) else None
    except (SavedFolderError, TypeError, AttributeError):
        return None


def _write_files(fresh: Path, files: Mapping[str, Callable[[Path], None]], config: Mapping[str, Json]) -> None:
    """Write the files, and the config that has their sizes and hashes, into a new folder."""
    for name, write in files.items():
        write(fresh / name)
    written = {path.relative_to(fresh).as_posix(): path for path in _files(fresh)}
    sizes = {name: path.stat().st_size for name, path in written.items()}
    hashes = {name: _sha256(path) for name, path in written.items()}
    content = {"format": FORMAT, **config, "files": hashes, "sizes": sizes}
    write_json({**content, "sha256": _digest(content)}, fresh / "config.json")


def _find(folder: Path) -> Path:
    """Return the real place of a saved folder: that of the previous save, where the last one was interrupted.

    Raises
    ------
    SavedFolderError
        When there is neither.
    """
    place = real_place(folder)
    previous, end = previous_of(place), time.monotonic() + PATIENCE
    while not place.exists():
        if not previous.exists() and not place.exists():
            raise SavedFolderError(_no_config(folder))
        if time.monotonic() > end:  # no save is at work: it was killed between its two renames
            warnings.warn(
                f"{shown(str(folder))} is not there. Read in its place is what an interrupted save left beside it, the "
                f"one before: {shown(str(previous))}. Save again, or delete that as well if you deleted the folder.",
                ColdstartWarning,
                stacklevel=5,
            )
            return previous
        time.sleep(0.01)
    return place


@contextmanager
def _opened_config(folder: Path, place: Path) -> Iterator[BinaryIO]:
    """Hold ``config.json`` open: no other file can be taken for it then, so a folder that has it is the same folder.

    Raises
    ------
    FileNotFoundError
        When the folder was replaced in this moment.
    SavedFolderError
        When it has no such file.
    """
    path, before = place / "config.json", place.stat()
    if not path.is_file() and os.path.samestat(before, place.stat()):
        raise SavedFolderError(_no_config(folder))
    with path.open("rb") as file:
        yield file


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Turn whatever a malformed folder makes Python raise into one error that names the folder."""
    try:
        yield
    except ColdstartError:
        raise
    except (OSError, *MALFORMED) as error:
        raise SavedFolderError(
            f"{shown(str(folder))} is incomplete or malformed: {type(error).__name__}: {shortened(error)}. "
            "Copy the folder again, or save the model again."
        ) from error


def _no_config(folder: Path) -> str:
    return f"{shown(str(folder))} must be a folder written by save; it has no config.json."


def _checked_config(folder: Path, place: Path, kind: str, verify: Verify) -> dict[str, Json]:
    """Return the config of the folder that now lies at ``place``, after the checks of ``read_config``."""
    if verify not in (True, False, "auto"):
        raise InvalidInputError(f'`verify` must be True, False or "auto"; got {shown(verify)}.')
    config = read_json(inside(place, "config.json"))
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise SavedFolderError(f"config.json in {shown(str(folder))} is not one that save wrote.")
    if config["format"] > FORMAT:
        raise SavedFolderError(
            f"{shown(str(folder))} has format {config['format']}; this version reads up to {FORMAT}. "
            "Update coldstart-rec."
        )
    if config.get("kind", MODEL) != kind:
        raise SavedFolderError(
            f"{shown(str(folder))} must hold a saved {kind}; it holds a saved {config.get('kind', MODEL)}."
        )
    content = {name: value for name, value in config.items() if name != "sha256"}
    if config.get("sha256") != _digest(content):
        raise SavedFolderError(
            f"config.json in {shown(str(folder))} was altered after it was saved. Save the model again."
        )
    for name, expected in config["files"].items():
        path, size = inside(place, name), config.get("sizes", {}).get(name)
        actual = path.stat().st_size if path.is_file() else None
        if actual is None or size not in (None, actual):  # folders of format 1 have no sizes
            raise SavedFolderError(
                f"{name} in {shown(str(folder))} is missing or not what was saved (size differs). "
                "Copy the folder again."
            )
        compare_hash = verify is True or (verify == "auto" and (size is None or size <= HASHED))
        if compare_hash and _sha256(path) != expected:
            raise SavedFolderError(
                f"{name} in {shown(str(folder))} is missing or not what was saved (SHA-256 differs). "
                "Copy the folder again."
            )
    return config


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(content: Mapping[str, Json]) -> str:
    """SHA-256 of a config's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
