"""A cache of vectors on disk, so that only new and changed values are encoded."""

import hashlib
import sqlite3
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from coldstart._arrays import FloatArray, as_matrix, blocks
from coldstart._messages import shown
from coldstart._paths import SavedName
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.encoders._wrapper import EncoderWrapper
from coldstart.errors import ColdstartWarning, InvalidInputError, SavedFolderError

BLOCK = 2048
"""Values encoded between two commits: the most that is lost when the process is killed."""


class CachedEncoder(EncoderWrapper, saved=True):
    """Cache the vectors of another encoder in a folder, by the content of the values.

    The key of a vector is the identity of the encoder (its weights and settings) and the hash of the value, so that a
    changed text, model or setting is encoded anew and nothing else is. Vectors are stored in SQLite: several processes
    may share a folder, and a killed process loses at most the block being encoded. A damaged vector
    is encoded again. Folder and files are made for the eyes of their owner only. Queries are not cached.

    A loaded recommender does not use the cache that its folder names, since a folder may come from anybody: pass the
    encoder to ``coldstart.load`` again.

    Parameters
    ----------
    encoder : Encoder
        One that does not learn from the catalogue.
    folder : str or Path
        Created when it does not exist.
    identity : str, optional
        Name of everything a vector depends on, for encoders without an ``identity()`` of their own.

    Examples
    --------
    >>> import tempfile
    >>> from coldstart.testing import HashEncoder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     CachedEncoder(HashEncoder(dim=4), folder).encode(["a", "b", "a"]).shape
    (3, 4)
    """

    def __init__(self, encoder: Encoder, folder: str | Path, identity: str | None = None) -> None:
        self.encoder = encoder
        self.folder = folder if isinstance(folder, str) else str(folder)
        self.identity = identity

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per value, shape (n, dim), float32; only values that are not cached are encoded.

        Raises
        ------
        InvalidInputError
            When a value is neither text nor bytes, the encoder has no identity, or the cached vectors are of another
            length than new ones.
        SavedFolderError
            When the cache file is damaged.
        """
        if isinstance(self.folder, SavedName):
            warnings.warn(
                f"The cache {shown(str(self.folder))} is not used: only a saved folder names it. "
                "Pass it to load: coldstart.load(folder, encoder=CachedEncoder(...)).",
                ColdstartWarning,
                stacklevel=2,
            )
            return self.encoder.encode(values)
        keys = [_key(value, row) for row, value in enumerate(values)]
        value_of = dict(zip(keys, values, strict=True))  # a repeated value is encoded once
        with self._database() as database:
            cached = dict(_cached_vectors(database, list(value_of)))
            missing = [key for key in value_of if key not in cached]
            for block in blocks(len(missing), BLOCK):
                vectors = as_matrix(self.encoder.encode([value_of[key] for key in missing[block]]), "vectors")
                rows = dict(zip(missing[block], vectors, strict=True))
                self._check_width(vectors, cached)
                with database:
                    # REPLACE: the stored one may be damaged, or the same vector of another process.
                    database.executemany(
                        "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                        [(key, row.tobytes(), _checksum(key, row.tobytes())) for key, row in rows.items()],
                    )
                cached.update(rows)
        return np.stack([cached[key] for key in keys]) if keys else self.encoder.encode([])

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved recommender; a cache elsewhere than in its folder is left alone."""
        opened = super().opened(folder)
        if Path(self.folder).resolve().is_relative_to(folder.resolve()):
            return opened
        return type(self)(opened.encoder, SavedName(self.folder), self.identity)

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query, encoded without the cache, since most queries come once."""
        return with_defaults(self.encoder, BaseEncoder).encode_query(values)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the file of this encoder, one for each identity."""
        path = Path(self.folder) / f"{hashlib.sha256(self._identity().encode()).hexdigest()[:16]}.sqlite"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path, timeout=60.0)) as database:
                database.text_factory = bytes  # a damaged vector may read as text
                _make_table(database)
                yield database
        except (sqlite3.DatabaseError, OSError) as error:
            raise SavedFolderError(
                f"The cache {shown(str(path))} cannot be used: {error}. "
                "If it is damaged, delete it: its vectors are encoded anew."
            ) from error

    def _check_width(self, vectors: FloatArray, cached: Mapping[bytes, FloatArray]) -> None:
        """Raise unless new vectors are as long as the cached ones."""
        width = next((len(row) for row in cached.values() if len(row) != vectors.shape[1]), None)
        if width is not None:
            raise InvalidInputError(
                f"`identity` {shown(self._identity())} of CachedEncoder must name one kind of vectors; cached are some "
                f"of {width} numbers, new ones have {vectors.shape[1]}. Pass another identity, or another folder."
            )

    def _identity(self) -> str:
        """Return the identity given, else that of the encoder."""
        encoder = with_defaults(self.encoder, BaseEncoder)
        if encoder.learns:
            raise InvalidInputError(
                f"`encoder` of CachedEncoder must not learn from the catalogue; got {shown(self.encoder)}, which has a "
                "fit. Use it without a cache."
            )
        if self.identity is not None:
            return str(self.identity)
        if encoder.identity is None:
            raise InvalidInputError(
                f"`encoder` of CachedEncoder must have an identity() method; got {shown(self.encoder)}. "
                "Pass identity='a name that changes when the vectors do'."
            )
        return str(encoder.identity())


def _key(value: Any, row: int) -> bytes:
    """Return the SHA-256 of a value, text and bytes told apart."""
    if not isinstance(value, str | bytes):
        raise InvalidInputError(
            f"`values` of CachedEncoder.encode must be text or bytes; got {shown(value)} in row {row}."
        )
    content = b"text " + value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b"bytes " + value
    return hashlib.sha256(content).digest()


def _checksum(key: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(key))


def _make_table(database: sqlite3.Connection) -> None:
    """Make the table of vectors; that of an earlier version gets the column that it lacks, empty for its rows."""
    database.execute(
        "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB, checksum INTEGER) WITHOUT ROWID"
    )
    if len(database.execute("PRAGMA table_info(vectors)").fetchall()) == 2:
        with suppress(sqlite3.OperationalError):  # another process was faster
            database.execute("ALTER TABLE vectors ADD COLUMN checksum INTEGER")


def _cached_vectors(database: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, FloatArray]]:
    """Yield the keys that are cached, with their vectors, but for those that are damaged."""
    for block in blocks(len(keys), 500):  # SQLite before 3.32 takes at most 999 parameters
        marks = ",".join("?" * len(keys[block]))
        rows = database.execute(f"SELECT * FROM vectors WHERE key IN ({marks})", keys[block])  # noqa: S608
        for key, vector, checksum in rows:
            whole = isinstance(vector, bytes) and checksum in (None, _checksum(key, vector))
            if whole and len(vector) % 4 == 0:
                yield key, np.frombuffer(vector, dtype=np.float32)
