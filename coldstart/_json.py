"""JSON files: any text, and a bound on what is read."""

import json
from pathlib import Path
from typing import Any, TypeAlias

from coldstart.errors import InvalidInputError, SavedFolderError

MAX_JSON = 2**30
"""Bytes of a file, at most: its content takes several times as much memory."""

Json: TypeAlias = Any


def write_json(value: Json, path: Path) -> None:
    """Write indented JSON in UTF-8, lone surrogates included: ids may hold any text.

    Raises
    ------
    InvalidInputError
        When it is larger than ``read_json`` reads.
    """
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8", errors="surrogatepass")
    if path.stat().st_size > MAX_JSON:
        raise InvalidInputError(
            f"{path.name!r} must have at most {MAX_JSON:,} bytes; got {path.stat().st_size:,}. Ids and columns that "
            "are all texts, or all numbers of one kind, are not stored there."
        )


def read_json(path: Path) -> Json:
    """Read JSON.

    Raises
    ------
    SavedFolderError
        When the file is cut, larger than ``write_json`` writes, or no JSON.
    """
    size, content = path.stat().st_size, bytearray()
    if size > MAX_JSON:
        raise SavedFolderError(f"{path.name!r} must have at most {MAX_JSON:,} bytes; it has {size:,}.")
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            # A file that has a size and no content is all zeros, and takes no room on disk but all memory when read.
            if b"\0" in chunk:
                raise SavedFolderError(f"{path.name!r} is not whole: it has bytes of zero.")
            content += chunk
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise SavedFolderError(f"{path.name!r} is not whole: {error}.") from error
