"""The contract: what an encoder, a fuser, a ranker and an index are.

Parts know arrays and positions, never ids. The protocols have the methods that a part must have; a plain class with
these works in a ``Recommender``. The ``Base`` classes add all that the library may ask for beside them, each with a
default: inherit one to see it all in one place. ``coldstart.testing`` checks a part.
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


class Contributions(NamedTuple):
    """How much each source has brought to the score of each item.

    Attributes
    ----------
    sources : tuple of str
        Their names, such as "content" and "popularity".
    shares : ndarray of shape (n_sources, m, n)
        Sums of 1 over the sources.
    """

    sources: tuple[str, ...]
    shares: FloatArray


class Encoder(Protocol):
    """Values of one field to vectors; what else it may have is in ``BaseEncoder``."""

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row of shape (dim,) per value, float32; the same value always gives the same row."""
        ...


class Fuser(Protocol):
    """Field vectors to one vector per item; what else it may have is in ``BaseFuser``."""

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn from the catalogue's field vectors {name: (n, d)}, (n, n_fields) and clicks (m, n)."""
        ...

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim); a missing field is left out and the rest re-weighted."""
        ...


class Ranker(Protocol):
    """Features and clicks to scores of (user, item); what else it may have is in ``BaseRanker``."""

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n)."""
        ...

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return (m, n) scores; higher is better."""
        ...


@runtime_checkable
class VectorRanker(Protocol):
    """A ranker whose score is a dot product, so that an ``Index`` can search for it.

    Without ``refreshed`` (see ``BaseRanker``), the vector of an item depends on that item and on ``fit`` only, and not
    on its exposure, which changes with every click, so that those of new items are made alone; and ``user_vectors`` may
    get just the items that occur in ``history`` and ``disliked``, whose columns are then those items.
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
    """Item vectors to top-k; what else it may have is in ``BaseIndex``."""

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


class BaseEncoder(Component):
    """All that an encoder may be asked for, with the defaults of one that has only ``encode``."""

    def encode(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per value, see ``Encoder``."""
        raise NotImplementedError

    def fit(self, values: Sequence[Any], /) -> Self:
        """Learn from the catalogue's values; by default there is nothing to learn."""
        return self

    @property
    def learns(self) -> bool:
        """Whether ``fit`` learns, so that each recommender needs a copy of its own: whether it is overridden."""
        return type(self).fit is not BaseEncoder.fit

    def encode_query(self, values: Sequence[Any], /) -> FloatArray:
        """Return one row per query; by default queries are read as items are."""
        return self.encode(values)

    identity: Any = None
    """A method that names everything a vector depends on, so that vectors can be cached; None: they cannot."""

    def saved(self, inside: str | None) -> Self:
        """Return the encoder as a saved folder refers to it; ``inside`` names the weights that are copied there."""
        return self

    def opened(self, folder: Path) -> Self:
        """Return the encoder of a saved folder that now lies at ``folder``."""
        return self

    def copy_weights(self, folder: Path) -> None:
        """Copy the weights into a folder; by default there are none."""

    @property
    def has_weights(self) -> bool:
        """Whether it has weights that a saved folder refers to or holds: whether ``copy_weights`` is overridden."""
        return type(self).copy_weights is not BaseEncoder.copy_weights


class BaseFuser(Component):
    """All that a fuser may be asked for, with the defaults of one that has only ``fit`` and ``fuse``."""

    query_weights_: Mapping[str, float] | None = None
    """What each field counts for a text; None: all alike."""

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn, see ``Fuser``."""
        raise NotImplementedError

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors, see ``Fuser``."""
        raise NotImplementedError

    def fuse_query(self, fields: Mapping[str, FloatArray]) -> FloatArray:
        """Place texts among the items, (m, dim); by default as items whose every field says the text."""
        n_texts = len(next(iter(fields.values())))
        return self.fuse(fields, np.zeros((n_texts, len(fields)), dtype=bool))

    def attend(self, query: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return the item vectors as one query (dim,) sees them; by default every query sees the same."""
        return self.fuse(fields, missing)

    @property
    def attends(self) -> bool:
        """Whether items differ from query to query: whether ``attend`` is overridden."""
        return type(self).attend is not BaseFuser.attend


class BaseRanker(Component):
    """All that a ranker may be asked for, with the defaults of one that has only ``fit`` and ``score``."""

    answers_nobody: bool = False
    """Whether it ranks for someone of whom nothing is known; others get what is popular."""

    reads_words: bool = False
    """Whether it wants ``Features.sparse`` and ``Features.read``, which are made for it alone."""

    scores_in_threads: bool = False
    """Whether ``score`` may be called from several threads at once."""

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn, see ``Ranker``."""
        raise NotImplementedError

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return scores, see ``Ranker``."""
        raise NotImplementedError

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for the catalogue and clicks as they are now, without training.

        Item j was item ``origin[j]`` before, or is new where that is -1. For rankers that know items by position; by
        default nothing is known of any.
        """
        return self

    @property
    def knows_positions(self) -> bool:
        """Whether it must be told of every change of items and clicks: whether ``refreshed`` is overridden."""
        return type(self).refreshed is not BaseRanker.refreshed

    def best(
        self, users: Users, features: Features, k: int, allow: IntArray | None, exclude: list[IntArray]
    ) -> Hits | None:
        """Return the best items without a score of every item; None, the default, where it cannot."""
        return None

    def contributions(self, users: Users, features: Features) -> Contributions | None:
        """Return what each source brought to the scores; None, the default, where it cannot tell."""
        return None

    def answers(self, users: Users, features: Features) -> BoolArray:
        """Mark the users whose text some item answers, shape (m,); by default all."""
        return np.ones(len(users), dtype=bool)

    def by_likeness(self) -> Self:
        """Return the ranker for what is like an item, not what is liked in any case; by default itself."""
        return self

    def compacted(self) -> Self:
        """Return a copy without what ``restored`` can compute again, to be saved in a smaller folder."""
        return self

    def restored(self, features: Features, clicks: Csr) -> Self:
        """Return the ranker as it was before it was saved, from the features and clicks of the folder."""
        return self

    @property
    def restores(self) -> bool:
        """Whether what was loaded wants its features again, which must be fused for it: ``restored`` is overridden."""
        return type(self).restored is not BaseRanker.restored


class BaseIndex(Component):
    """All that an index may be asked for, with the defaults of one that has only ``build`` and ``search``."""

    def build(self, vectors: FloatArray, /) -> Self:
        """Take the vectors to search in, see ``Index``."""
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
        """Return another index over these vectors after those there are, which stays as it was.

        By default None: an index is built anew for every change of the catalogue.
        """
        return None

    def restored(self, vectors: FloatArray, /) -> "Index":
        """Return an index of vectors that this one was given the codes of, by ``set_state``; by default it is built."""
        return copy.deepcopy(self).build(vectors)


T = TypeVar("T", BaseEncoder, BaseFuser, BaseRanker, BaseIndex)

_IMPLIED = {
    "learns": "fit",
    "has_weights": "copy_weights",
    "attends": "attend",
    "knows_positions": "refreshed",
    "restores": "restored",
}
"""Properties that say whether a method is overridden: of a plain class, whether it is there."""


def with_defaults(part: Any, contract: type[T]) -> T:
    """Return a part with every optional method of its contract: itself, or a view that has the defaults for the rest.

    The one place where a part is asked what it has.

    Examples
    --------
    >>> class Plain:
    ...     def encode(self, values):
    ...         return np.ones((len(values), 2), dtype=np.float32)
    >>> encoder = with_defaults(Plain(), BaseEncoder)
    >>> encoder.learns, encoder.encode_query(["tea"]).tolist()
    (False, [[1.0, 1.0]])
    """
    return part if isinstance(part, contract) else cast(T, _Plain(part, contract))


class _Plain:
    """A part that inherits nothing, with the defaults of a contract where it has no such attribute."""

    def __init__(self, part: Any, contract: type[Component]) -> None:
        self._part, self._contract = part, contract

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is copied, there is not even a part
            raise AttributeError(name)
        if name in _IMPLIED:
            return hasattr(self._part, _IMPLIED[name])
        if hasattr(self._part, name):
            return getattr(self._part, name)
        default = getattr(self._contract, name)
        return partial(self._by_default, default) if callable(default) else default

    def _by_default(self, method: Callable[..., Any], *values: Any) -> Any:
        """Call a default method; where it returns itself, the part is meant."""
        result = method(self, *values)
        return self._part if result is self else result


def scores_of(ranker: Ranker | VectorRanker, users: Users, features: Features) -> FloatArray:
    """Return the scores of a ranker, (m, n): dot products where it has vectors, else what ``score`` says."""
    if not isinstance(ranker, VectorRanker):
        return ranker.score(users, features)
    items = ranker.item_vectors(features)
    scores: FloatArray = ranker.user_vectors(users, items) @ items.T
    return scores
