"""A saved recommender, back from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from coldstart.base import Encoder, Fuser, Index, Ranker, VectorRanker
from coldstart.pipeline.saving import load_fitted
from coldstart.recommender import Recommender


def load(
    folder: str | Path,
    *,
    encoder: Encoder | Mapping[str, Encoder] | None = None,
    fuser: Fuser | None = None,
    ranker: Ranker | VectorRanker | None = None,
    index: Index | None = None,
    verify: bool | Literal["auto"] = "auto",
) -> Recommender:
    """Load what ``Recommender.save`` wrote; needs no training data, and no network when the weights are local.

    Arrays are mapped into memory: read where they are touched, and shared by all processes that load the folder.

    Parameters
    ----------
    folder : str or Path
    encoder, fuser, ranker, index
        Parts of classes that are not of this library, as they were fitted; the folder only names them. Encoders of
        several classes are given per field.
    verify : bool or "auto"
        Compare every file with its SHA-256, which reads it whole; "auto": only files up to 64 MB, of larger ones the
        size and the layout.

    Raises
    ------
    SavedFolderError
        When the folder is incomplete, altered or of a newer format, or a part of yours is not given.

    Examples
    --------
    >>> import coldstart as cs
    >>> cs.load("no/such/folder")
    Traceback (most recent call last):
    coldstart.errors.SavedFolderError: 'no/such/folder' must be a folder written by save; it has no config.json.
    """
    yours = {"encoder": encoder, "fuser": fuser, "ranker": ranker, "index": index}
    fitted = load_fitted(Path(folder), yours, verify)
    parts = fitted.parts
    roles = (dict(parts.encoders), parts.fuser, parts.ranker, parts.lexical, parts.sentences, parts.index)
    return Recommender(*roles).with_fitted(fitted)
