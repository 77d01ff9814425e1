"""The contracts of the four parts: encoder, fuser, ranker and index.

Parts get arrays and positions, never ids. A protocol (``Encoder``, ``Fuser``, ``Ranker``, ``VectorRanker``, ``Index``)
has the methods that a part must have; a plain class with these works in a ``Recommender``. The class ``Base...`` of a
part has beside them every optional method, each with its default. ``coldstart.testing`` checks a part.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray
from coldstart._component import Component


@dataclass(frozen=True, slots=True)
class Features:
    """Items, or texts in the space of the items, as arrays of one row each.

    Attributes
    ----------
    dense : ndarray of shape (n, dim), float32
        Fused vectors; a row of zeros where nothing is known.
    sparse : csr_array of shape (n, n_terms) or None
        Weights of exact words.
    missing : ndarray of shape (n, n_fields), bool, or None
        True where a field had no value.
    read : ndarray of shape (n, dim) or None
        For comparing texts with items: the product of a text's row and an item's row is their similarity, in standard
        deviations. Rows of texts are their vectors, of length one or zero.
    exposure : ndarray of shape (n,), float32, or None
        Share of the clicks so far that came while the item was in the catalogue, from 0 (new item) to 1 (old stock):
        tells whether an item without clicks is new, or one that nobody chose. None when all are old stock.
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
    """The requests of a batch of users as arrays, with positions in place of ids.

    Attributes
    ----------
    history, disliked : csr_array of shape (m, n_items)
        Weights of liked and of disliked items.
    query, profile : Features of m rows
        Their texts in the space of the items; rows of zeros where a request has none.
    avoided : Features of m rows, or None
        Texts to avoid; None when no request has one.
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
    """Positions and scores of the top k, best first: arrays (m, k) when every row is full, else lists of m arrays."""

    positions: IntArray | list[IntArray]
    scores: FloatArray | list[FloatArray]


class Contributions(NamedTuple):
    """The share of each source in the score of each item.

    Attributes
    ----------
    sources : tuple of str
        Names such as "content" and "popularity".
    shares : ndarray of shape (n_sources, m, n)
        They sum to 1 over the sources.
    """

    sources: tuple[str, ...]
    shares: FloatArray


class Encoder(Protocol):
    """Turns values of one field into vectors; ``BaseEncoder`` has the optional methods."""

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row of shape (dim,) per value, float32; the same value always gives the same row."""
        ...


class Fuser(Protocol):
    """Turns the vectors of an item's fields into one; ``BaseFuser`` has the optional methods."""

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn from the field vectors {name: (n, d)}, which are missing (n, n_fields), and clicks (m, n) if any."""
        ...

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim); missing fields are left out and the others re-weighted."""
        ...


class Ranker(Protocol):
    """Scores items for users; ``BaseRanker`` has the optional methods."""

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n)."""
        ...

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return (m, n) scores; higher is better."""
        ...


@runtime_checkable
class VectorRanker(Protocol):
    """A ranker whose score is a dot product, so that an ``Index`` can search for it.

    A ranker without ``refreshed`` (see ``BaseRanker``) promises two things. The vector of an item depends on that item
    and on ``fit`` only, not on other items, nor on its exposure, which changes with every click: so vectors of new
    items are computed alone. And ``user_vectors`` reads vectors of liked and disliked items only: so it may get just
    these, and the columns of ``history`` and ``disliked`` are then these items.
    """

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n)."""
        ...

    def item_vectors(self, features: Features, /) -> FloatArray:
        """Return (n, dim) vectors, computed once per change of the catalogue."""
        ...

    def user_vectors(self, users: Users, items: FloatArray, /) -> FloatArray:
        """Return (m, dim) vectors, given the item vectors."""
        ...


class Index(Protocol):
    """Searches item vectors; ``BaseIndex`` has the optional methods."""

    def build(self, vectors: FloatArray, /) -> Self:
        """Index the (n, dim) vectors to search."""
        ...

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return the ``k`` largest dot products of each query.

        ``allow`` has the only positions to return, for all queries; ``exclude`` an array of positions per query.
        """
        ...


class BaseEncoder(Component):
    """Every method of an encoder; all but ``encode`` have a default."""

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per value, see ``Encoder``."""
        raise NotImplementedError

    def fit(self, values: Sequence[Any], /) -> Self:
        """Learn from the catalogue's values; by default there is nothing to learn."""
        return self

    @property
    def learns(self) -> bool:
        """Whether ``fit`` is overridden; then each recommender fits a copy of its own."""
        return type(self).fit is not BaseEncoder.fit

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query; by default queries are encoded like items."""
        return self.encode(values)

    identity: Any = None
    """A method that returns all that a vector depends on beside its value, the key of a cache; None: not cached."""

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a folder holds it; ``inside`` names the weights copied into it, if any."""
        return self

    def opened(self, folder: Path) -> Self:
        """Return the encoder for use, after loading; ``folder`` is where the folder is now."""
        return self

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights into a saved folder; by default there are none."""

    @property
    def has_weights(self) -> bool:
        """Whether ``copy_weights`` is overridden; then a saved folder refers to the weights or holds them."""
        return type(self).copy_weights is not BaseEncoder.copy_weights


class BaseFuser(Component):
    """Every method of a fuser; all but ``fit`` and ``fuse`` have a default."""

    query_weights_: Mapping[str, float] | None = None
    """Importance of each field for a text; None: all alike."""

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn, see ``Fuser``."""
        raise NotImplementedError

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors, see ``Fuser``."""
        raise NotImplementedError

    def fuse_query(self, fields: Mapping[str, FloatArray]) -> FloatArray:
        """Return vectors (m, dim) of texts; by default a text is fused like an item whose every field is that text."""
        n_texts = len(next(iter(fields.values())))
        return self.fuse(fields, np.zeros((n_texts, len(fields)), dtype=bool))

    def attend(self, query: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return the item vectors (n, dim) for one query (dim,); by default the same for all queries."""
        return self.fuse(fields, missing)

    @property
    def attends(self) -> bool:
        """Whether ``attend`` is overridden; then every query is ranked alone, by its own item vectors."""
        return type(self).attend is not BaseFuser.attend


class BaseRanker(Component):
    """Every method of a ranker; all but ``fit`` and ``score`` have a default."""

    answers_nobody: bool = False
    """Whether it ranks for requests that say nothing; for other rankers these get popular items."""

    reads_words: bool = False
    """Whether it reads ``Features.sparse`` and ``Features.read``, which are None for other rankers."""

    scores_in_threads: bool = False
    """Whether ``score`` may be called from several threads at once."""

    draws: bool = False
    """Whether ``fit`` draws items or clicks at random. It then gets the items in the order of their ids, and
    ``refreshed`` moves them to that of the catalogue: which are drawn must not depend on the order of a table's rows.
    """

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn, see ``Ranker``."""
        raise NotImplementedError

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return scores, see ``Ranker``."""
        raise NotImplementedError

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for the catalogue and clicks as they are now, without training.

        Item j was item ``origin[j]`` before, or is new where that is -1. To be overridden by a ranker that keeps
        anything per item; requests in other threads may still use the old ranker, which must stay as it is.
        """
        return self

    @property
    def knows_positions(self) -> bool:
        """Whether ``refreshed`` is overridden; then it is called after every change of items or clicks."""
        return type(self).refreshed is not BaseRanker.refreshed

    def best(
        self, users: Users, features: Features, k: int, allow: IntArray | None, exclude: list[IntArray]
    ) -> Hits | None:
        """Return the top k without scoring every item; None, the default, to rank by ``score`` instead."""
        return None

    def contributions(self, users: Users, features: Features) -> Contributions | None:
        """Return the share of each source in the scores; None, the default, when they are unknown."""
        return None

    @property
    def explains(self) -> bool:
        """Whether ``contributions`` is overridden; else items are not fused only to learn that it has none."""
        return type(self).contributions is not BaseRanker.contributions

    def answers(self, users: Users, features: Features) -> BoolArray:
        """Mark the users whose text matches some item well, shape (m,); by default all."""
        return np.ones(len(users), dtype=bool)

    @property
    def judges_answers(self) -> bool:
        """Whether ``answers`` is overridden; else items are not fused, nor requests read, for a mark of all."""
        return type(self).answers is not BaseRanker.answers

    def by_likeness(self) -> Self:
        """Return a ranker by similarity alone, without popularity, for ``similar_items``; by default itself."""
        return self

    def check_loaded(self, n_items: int) -> None:
        """Raise ``SavedFolderError`` where what was loaded is not of so many items; by default nothing is checked."""

    def compacted(self) -> Self:
        """Return a copy without what ``restored`` can compute again, for a smaller folder; by default itself."""
        return self

    def restored(self, features: Features, clicks: Csr) -> Self:
        """Return the loaded ranker with all that ``compacted`` left out; by default itself."""
        return self

    @property
    def restores(self) -> bool:
        """Whether ``restored`` is overridden; then items are fused at load, which others do without."""
        return type(self).restored is not BaseRanker.restored


class BaseIndex(Component):
    """Every method of an index; all but ``build`` and ``search`` have a default."""

    def build(self, vectors: FloatArray, /) -> Self:
        """Index the vectors to search, see ``Index``."""
        raise NotImplementedError

    def search(
        self,
        queries: FloatArray,
        k: int,
        allow: IntArray | None = None,
        exclude: Sequence[IntArray] | None = None,
    ) -> Hits:
        """Return the largest dot products, see ``Index``."""
        raise NotImplementedError

    def extended(self, vectors: FloatArray, /) -> "Index | None":
        """Return another index with these vectors after its own, and leave this one as it is.

        None, the default, where it cannot: then a new one is built for every change of the catalogue.
        """
        return None

    def restored(self, vectors: FloatArray, /) -> "Index":
        """Return an index over loaded vectors, whose codes ``set_state`` has set; by default it is built anew."""
        return copy.deepcopy(self).build(vectors)


T = TypeVar("T", BaseEncoder, BaseFuser, BaseRanker, BaseIndex)

_IMPLIED = {
    "learns": "fit",
    "has_weights": "copy_weights",
    "attends": "attend",
    "knows_positions": "refreshed",
    "restores": "restored",
    "explains": "contributions",
    "judges_answers": "answers",
}
"""Properties that follow from an overridden method; for a plain class, from one that it has."""


def with_defaults(part: Any, contract: type[T]) -> T:
    """Return a part with every method of its contract: the part itself where it inherits, else a view of it.

    The library asks for optional methods through this function only, never by ``hasattr``.

    Examples
    --------
    >>> class Plain:
    ...     def encode(self, values):
    ...         return np.ones((len(values), 2), dtype=np.float32)
    >>> encoder = with_defaults(Plain(), BaseEncoder)
    >>> encoder.learns, encoder.encode_query(["tea"]).tolist()
    (False, [[1.0, 1.0]])
    """
    return part if isinstance(part, contract) else cast(T, _WithDefaults(part, contract))


class _WithDefaults:
    """A view of a part that inherits nothing: its own attributes first, then the defaults of a contract."""

    def __init__(self, part: Any, contract: type[Component]) -> None:
        self._part, self._contract = part, contract

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling look for special methods before `_part` is set, which would look itself up for ever.
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _IMPLIED:
            return hasattr(self._part, _IMPLIED[name])
        if hasattr(self._part, name):
            return getattr(self._part, name)
        # The default calls other methods on the view, so it finds those that the part has.
        default = getattr(self._contract, name)
        return partial(self._by_default, default) if callable(default) else default

    def _by_default(self, method: Callable[..., Any], *values: Any) -> Any:
        """Call a default method; where it returns the view, return the part."""
        result = method(self, *values)
        return self._part if result is self else result


def scores_of(ranker: Ranker | VectorRanker, users: Users, features: Features) -> FloatArray:
    """Return the scores of a ranker, (m, n): dot products of a ``VectorRanker``, else those of ``score``."""
    if not isinstance(ranker, VectorRanker):
        return ranker.score(users, features)
    items = ranker.item_vectors(features)
    scores: FloatArray = ranker.user_vectors(users, items) @ items.T
    return scores
