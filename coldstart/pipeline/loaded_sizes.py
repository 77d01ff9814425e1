"""Check that the parts of a loaded folder are of one catalogue.

Each array may be whole and the folder still be wrong: three vectors for eight items fail long after, in a request, and
nobody would think of the folder.
"""

from collections.abc import Iterator

import numpy as np

from coldstart._rows import Rows
from coldstart.base import BaseFuser, BaseRanker, with_defaults
from coldstart.errors import MALFORMED, InvalidInputError, SavedFolderError
from coldstart.pipeline.state import Fitted


def check_sizes(fitted: Fitted) -> None:
    """Compare every size with the catalogue, and try the fuser; no array is read whole.

    Raises
    ------
    SavedFolderError
        Naming what is of another size.
    """
    catalog, n = fitted.catalog, len(fitted.catalog)
    names, vectors = set(catalog.fields), set(fitted.fields)
    if (
        not n
        or not names
        or names != vectors
        or names != set(fitted.parts.encoders)
        or not names <= set(catalog.columns)
    ):
        raise SavedFolderError(
            f"The saved fields must be the same everywhere; got {sorted(map(str, names))} of {n:,} items, and vectors "
            f"of {sorted(map(str, vectors))}."
        )
    if catalog.added is not None and catalog.added not in catalog.columns:
        raise SavedFolderError(f"The saved column of when items were added, {catalog.added!r}, is not there.")
    for name, found, expected in _sizes(fitted):
        if found != expected:
            raise SavedFolderError(
                f"The saved {name} must be of {expected:,} rows, as the catalogue; got {found:,}. "
                "Copy the folder again, or save the model again."
            )
    with_defaults(fitted.parts.ranker, BaseRanker).check_loaded(n)
    _try_fuser(fitted)


def _try_fuser(fitted: Fitted) -> None:
    """Fuse one row of vectors: a fuser that does not know these fields fails here, and not in a request."""
    row = np.zeros(1, dtype=np.int64)
    try:
        fitted.features_at(row)
        fuser = with_defaults(fitted.parts.fuser, BaseFuser)
        fuser.fuse_query({name: vectors.take(row) for name, vectors in fitted.fields.items()})
    except (InvalidInputError, *MALFORMED) as error:
        raise SavedFolderError(f"The saved fuser does not fit the saved fields: {error!r}.") from error


def _sizes(fitted: Fitted) -> Iterator[tuple[str, int, int]]:
    """Yield names of saved tables, how many rows they have, and how many they must have."""
    catalog, n = fitted.catalog, len(fitted.catalog)
    yield from ((f"column {name!r}", len(catalog.cells(name)), n) for name in catalog.columns)
    yield from ((f"vectors of {name!r}", _n_vectors(rows), n) for name, rows in fitted.fields.items())
    yield "users of the clicks", fitted.clicks.shape[0], len(fitted.user_ids)
    yield "items of the clicks", fitted.clicks.shape[1], n
    if fitted.vectors is not None:
        yield "item vectors", _n_vectors(fitted.vectors.rows), n
    if fitted.texts is not None and fitted.texts.sparse is not None:
        yield "words of the items", fitted.texts.sparse.shape[0], n
    if fitted.texts is not None and fitted.texts.read is not None:
        yield "texts of the items", len(fitted.texts.read), n


def _n_vectors(rows: Rows) -> int:
    """Return the number of vectors; raise where these are no rows of numbers."""
    block = rows.blocks[0]
    if block.ndim != 2 or block.dtype.kind != "f":
        raise SavedFolderError(f"Saved vectors must be rows of floats; got {block.dtype} of shape {block.shape}.")
    return len(block)
