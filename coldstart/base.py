"""The contract: what an encoder, a fuser, a ranker and an index are.

Parts know arrays and positions, never ids. A plain class with these methods works in a
``Recommender``; nothing needs to be inherited. ``coldstart.testing`` checks a part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of some items (or texts), one row each.

    Attributes
    ----------
    dense : ndarray of shape (n, dim), float32
        Fused vectors; a row of zeros says "nothing known".
    sparse : csr_array of shape (n, n_terms) or None
        Lexical rows beside the dense ones.
    missing : ndarray of shape (n, n_fields), bool, or None
        True where a field had no value.
    read : ndarray of shape (n, dim) or None
        Where texts meet items: of items what the vector of a text is multiplied with, in standard deviations; of texts
        their vectors, rows of length one or zero.
    exposure : ndarray of shape (n,), float32, or None
        Share of the clicks so far that came while the item was in the catalogue, from 0 (has just arrived) to 1 (was
        there from the start): whether an item without clicks is new, or one that nobody wanted. None when all were
        there from the start.
    """

    dense: FloatArray
    sparse: Csr | None = None
    missing: BoolArray | None = None
    read: FloatArray | None = None
    exposure: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.dense)

    def __getitem__(self, rows: Any) -> "Features":
        """Return some rows: positions, a mask or a slice."""
        parts = (self.dense, self.sparse, self.missing, self.read, self.exposure)
        return Features(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Users:
    """A batch of users as arrays: everything their requests say, ids already positions.

    Attributes
    ----------
    history, disliked : csr_array of shape (m, n_items)
        Weights of liked and of disliked items.
    query, profile : Features of m rows
        The texts in the space of the items; zero rows where a request has none.
    avoided : Features of m rows, or None
        What a request does not want, in words; None when no request says so.
    """

    history: Csr
    disliked: Csr
    query: Features
    profile: Features
    avoided: Features | None = None

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, rows: Any) -> "Users":
        """Return some users: positions, a mask or a slice."""
        avoided = None if self.avoided is None else self.avoided[rows]
        return Users(self.history[rows], self.disliked[rows], self.query[rows], self.profile[rows], avoided)


class Hits(NamedTuple):
    """Top-k positions and scores; rectangular arrays when every row is full, else lists of arrays."""

    positions: IntArray | list[IntArray]
    scores: FloatArray | list[FloatArray]


class Encoder(Protocol):
    """Values of one field to vectors.

    Optional: ``fit(values) -> Self`` for encoders that learn from the catalogue, and
    ``encode_query(values)`` for those that read queries differently from items.
    """

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row of shape (dim,) per value, float32; the same value always gives the same row."""
        ...


class Fuser(Protocol):
    """Field vectors to one vector per item.

    Optional: ``query_weights_``, a mapping of field to importance, says what each field counts for a text (by default
    alike); ``fuse_query(fields) -> (m, dim)`` places texts among the items (by default they are fused as items whose
    every field says so); ``attend(query, fields, missing) -> (n, dim)`` gives item vectors seen from one query (dim,).
    """

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn from the catalogue's field vectors {name: (n, d)}, (n, n_fields) and clicks (m, n)."""
        ...

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim); a missing field is left out and the rest re-weighted."""
        ...


class Ranker(Protocol):
    """Features and clicks to scores of (user, item).

    Optional: ``refreshed(features, clicks, origin) -> Self`` for rankers that know items by their position: a copy for
    the catalogue and clicks as they are now, where item j was item ``origin[j]`` before, or is new (-1). Optional:
    ``answers_nobody = True`` for those that rank also for someone of whom nothing is known; ``reads_words = True`` for
    those that want the features' ``sparse`` and ``read`` rows, which are not made for others; ``scores_in_threads =
    True`` for those whose ``score`` may be called from several threads at once. Optional: ``best(users, features, k,
    allow, exclude) -> Hits | None`` for those that find the best items of some users without a score of every item;
    None where they cannot. Optional: ``by_likeness() -> Ranker`` for those that favour what is popular: the same
    without that, for what is like an item. Optional: ``answers(users, features) -> mask`` for those that can tell that
    no item answers a text.
    """

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n)."""
        ...

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return (m, n) scores; higher is better."""
        ...


@runtime_checkable
class VectorRanker(Protocol):
    """A ranker whose score is a dot product, so that an ``Index`` can search for it.

    Optional: what a ``Ranker`` may have. Without ``refreshed``, the vector of an item depends on that item and on
    ``fit`` only, and not on its exposure, which changes with every click, so that those of new items are made alone;
    and ``user_vectors`` may get just the items that occur in ``history`` and ``disliked``, whose columns are then those
    items.
    """

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n)."""
        ...

    def item_vectors(self, features: Features, /) -> FloatArray:
        """Return (n, dim) vectors, made once per change of the catalogue."""
        ...

    def user_vectors(self, users: Users, items: FloatArray, /) -> FloatArray:
        """Return (m, dim) vectors, given the item vectors."""
        ...


class Index(Protocol):
    """Item vectors to top-k.

    Optional: ``extended(vectors) -> Index``, another index over these vectors and more after them, that shares what it
    can with this one, which stays as it was. Without it, an index is built anew for every change of the catalogue.
    """

    def build(self, vectors: FloatArray, /) -> Self:
        """Take the (n, dim) vectors to search in."""
        ...

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return the ``k`` largest dot products of each query.

        ``allow`` are the only positions to return, for all queries; ``exclude`` has one array of positions per query.
        """
        ...
