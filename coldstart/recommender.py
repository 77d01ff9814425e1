"""The recommender: a catalogue in, recommendations out, with or without clicks.

Methods here check their arguments and say what happens; ``coldstart.pipeline`` does it.
"""

import html
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arguments import explain_arguments
from coldstart._arrays import check_flag
from coldstart._component import Component
from coldstart._locks import WriteLock
from coldstart.base import Encoder, Fuser, Index, Ranker, VectorRanker
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import LARGEST_WEIGHT, Interactions, OnUnknown
from coldstart.data.requests import Recommendations, Request
from coldstart.data.tables import ColumnName, Table
from coldstart.data.where import Where
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.encoders.reduced import Method, reduced
from coldstart.errors import NotFittedError
from coldstart.pipeline.arrivals import arrivals_of
from coldstart.pipeline.baseline_check import BaselineCheck, check_against_baselines
from coldstart.pipeline.checks import (
    RequestLike,
    as_catalog,
    as_interactions,
    as_request_batches,
    as_requests,
    checked_clicks,
    encoder_per_field,
)
from coldstart.pipeline.parts import (
    FuserName,
    RankerName,
    checked_encoder,
    checked_fuser,
    checked_index,
    checked_lexical,
    checked_ranker,
)
from coldstart.pipeline.persistence import load_fitted, save_fitted
from coldstart.pipeline.ranking import Filters, rank, rank_batches
from coldstart.pipeline.state import Fitted, Parts, fit_parts
from coldstart.pipeline.summary import as_line, as_table


class Recommender(Component):
    """Encode the fields of items, fuse them, and rank items for users: by text without clicks, by both with them.

    Parameters
    ----------
    encoder : Encoder or mapping of str to Encoder, optional
        One for all fields, or one per field. By default ``TextEncoder`` with the packaged MiniLM.
    fuser : Fuser or {"concat", "weighted", "attention"}, optional
        By default ``ConcatFuser``.
    ranker : Ranker or {"hybrid", "cosine", "mlp"}, optional
        By default ``HybridRanker``: text where there is only text, clicks where there are clicks.
    lexical : LexicalEncoder, bool or None
        Count exact words beside meaning, with rankers that read them; False or None switches it off.
    sentences : bool
        Parse queries: in "like Inception" that title is liked, and left out of the answer as any liked item, and "not a
        war film" is a text to avoid. English only; queries in other languages are searched for as they are.
    index : Index, optional
        By default ``ExactIndex``.
    dim, reduction : int or None, {"pca", "truncate"}
        Reduce the vectors of each field to ``dim`` numbers, see ``ReducedEncoder``.

    Attributes
    ----------
    check_ : BaselineCheck or None
        NDCG of the ranker beside the simplest ones, see ``check`` of ``fit``; None where it was not measured.

    Notes
    -----
    The parts given are never changed: ``fit`` works on copies, which are ``encoders_``, ``fuser_`` and ``ranker_``.
    A call that raises leaves the recommender as it was. Changes from several threads are made one after the other, and
    none is lost; requests never wait for them.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder
    >>> films = {"id": ["a", "b", "c"], "title": ["space war", "space opera", "garden party"]}
    >>> rec = cs.Recommender(encoder=HashEncoder()).fit(cs.Catalog.from_frame(films, id="id", fields=["title"]))
    >>> rec.recommend(query="a quiet garden", k=1).item_ids
    [['c']]
    >>> rec.recommend(history=["a"], k=1).item_ids
    [['b']]
    """

    check_: BaselineCheck | None = None

    @explain_arguments()
    def __init__(
        self,
        encoder: Encoder | Mapping[str, Encoder] | None = None,
        fuser: Fuser | FuserName | None = None,
        ranker: Ranker | VectorRanker | RankerName | None = None,
        lexical: LexicalEncoder | bool | None = True,
        sentences: bool = True,
        index: Index | None = None,
        dim: int | None = None,
        reduction: Method = "pca",
    ) -> None:
        self.encoder = encoder
        self.fuser = fuser
        self.ranker = ranker
        self.lexical = lexical
        self.sentences = sentences
        self.index = index
        self.dim, self.reduction = dim, reduction
        self._writing = WriteLock()

    @explain_arguments()
    def fit(
        self,
        catalog: Catalog | Table,
        interactions: Interactions | Table | None = None,
        *,
        id: ColumnName | None = None,
        fields: Sequence[ColumnName] | None = None,
        added: ColumnName | None = None,
        new: Iterable[Hashable] = (),
        user: ColumnName | None = None,
        item: ColumnName | None = None,
        weight: ColumnName | None = None,
        time: ColumnName | None = None,
        on_unknown: OnUnknown = "error",
        check: bool = True,
    ) -> Self:
        """Learn from items, and from clicks when there are any.

        Each call starts anew, with one exception: when items were added is remembered. An item that came by
        ``add_items``, or that the catalogue of the last ``fit`` lacked, still counts as added after the clicks of then.

        Parameters
        ----------
        catalog : Catalog, or a table as in ``Catalog.from_frame``
        interactions : Interactions, or a table as in ``Interactions.from_frame``, optional
        id, fields, added : str or int, sequence of them, str or int
            Columns of a table of items: its ids, those to encode and, optional, when items were added.
        new : iterable of item ids
            Items that have just arrived: that nobody clicked them says nothing against them. Overrides ``added``,
            which needs the times of clicks, and what is remembered.
        user, item, weight, time : str or int
            Columns of a table of clicks; the last two are optional.
        on_unknown : {"error", "drop"}
            What to do with clicks on items that are not in the catalogue; dropping warns with the counts.
        check : bool
            With 1,000 clicks or more: hold out some items and clicks, fit copies on the rest, and warn when the ranker
            predicts them significantly worse than plain text cosine or popularity. The numbers are in ``check_``.

        Raises
        ------
        InvalidInputError, UnknownIdError
            When ``catalog`` is no catalogue, a part lacks methods of its role, encoders and fields differ, clicks are
            on unknown items, ``new`` items are unknown, or a part refuses the data. All but the last are raised before
            anything is encoded.
        WeightsNotFoundError
            When the encoder's weights are not on this machine.

        Examples
        --------
        >>> import coldstart as cs
        >>> from coldstart.testing import HashEncoder
        >>> films, likes = {"key": ["a", "b"], "title": ["space war", "garden"]}, {"who": ["ada"], "what": ["a"]}
        >>> rec = cs.Recommender(encoder=HashEncoder())
        >>> rec.fit(films, likes, id="key", fields=["title"], user="who", item="what")
        Recommender(HybridRanker, 2 items, 1 clicks of 1 users, fields: title)
        """
        for name, flag in (("sentences", self.sentences), ("check", check)):
            check_flag(name, flag)
        catalog = as_catalog(catalog, id, fields, added)
        clicks = as_interactions(interactions, user, item, weight, time)
        known_clicks = None if clicks is None else checked_clicks(clicks, catalog, on_unknown)
        arrived = arrivals_of(catalog, known_clicks, new, vars(self).get("_fitted"))
        encoders = encoder_per_field(checked_encoder(self.encoder), catalog)
        parts = Parts(
            encoders=reduced(encoders, self.dim, self.reduction),
            fuser=checked_fuser(self.fuser),
            ranker=checked_ranker(self.ranker),
            index=checked_index(self.index),
            lexical=checked_lexical(self.lexical),
            sentences=self.sentences,
        )
        fitted = fit_parts(parts, catalog, known_clicks, arrived)
        baseline_check = check_against_baselines(parts, fitted) if check and known_clicks is not None else None
        # Everything that can fail has been done: the lock is held for two assignments only. Readers never take it, as
        # they read `_fitted` once and work on that value.
        with self._writing.held():
            self.check_, self._fitted = baseline_check, fitted
        return self

    @explain_arguments()
    def recommend(
        self,
        query: str | None = None,
        *,
        user: Hashable | None = None,
        history: Sequence[Hashable] = (),
        disliked: Sequence[Hashable] = (),
        profile: str | Mapping[str, str] | None = None,
        k: int | None = None,
        candidates: Iterable[Hashable] | None = None,
        exclude: Iterable[Hashable] = (),
        exclude_seen: bool = True,
        where: Where | None = None,
    ) -> Recommendations:
        """Recommend to one user, by any mixture of query, clicks, history, dislikes and profile.

        Without any of them the answer is popular items or, without clicks, a diverse cover of the catalogue.

        Parameters
        ----------
        query : str, optional
            What they want now, in words.
        user : hashable, optional
            The id of a user of the interactions.
        history, disliked : sequence of item ids
            Items they like, and items they dislike.
        profile : str, or mapping of str to str, optional
            Who they are, in words. All of these combine, see ``Request``.
        k : int, optional
            Items to return, from 1 to the size of the catalogue, by default 10 or all of them; fewer come back
            when filters leave fewer.
        candidates : iterable of item ids, optional
            Return only these.
        exclude : iterable of item ids
            Never return these.
        exclude_seen : bool
            Leave out the user's clicks and ``history``. ``disliked`` items are never returned.
        where : mapping or callable, optional
            A predicate on item columns: ``{"in_stock": True, "price": ("<", 20), "brand": ["Bosch", "Makita"]}``.

        Returns
        -------
        Recommendations
            One row.

        Raises
        ------
        NotFittedError, UnknownIdError, InvalidInputError
            Before ``fit``; for unknown ids; for arguments out of range.
        """
        request = Request(user, history, disliked, query, profile)
        return rank(self.fitted, [request], k, Filters(candidates, exclude, exclude_seen, where))

    @explain_arguments()
    def recommend_many(
        self,
        requests: Iterable[RequestLike] | None = None,
        *,
        users: Iterable[Hashable] | None = None,
        k: int | None = None,
        candidates: Iterable[Hashable] | None = None,
        exclude: Iterable[Hashable] = (),
        exclude_seen: bool = True,
        where: Where | None = None,
    ) -> Recommendations:
        """Recommend to a batch of requests, or of known users; one row each, arguments as in ``recommend``.

        A request is a ``Request``, a query, or a dict of the arguments of ``Request``. An error names all unknown ids
        of the batch.
        """
        batch = as_requests(requests, users)
        return rank(self.fitted, batch, k, Filters(candidates, exclude, exclude_seen, where))

    @explain_arguments()
    def recommend_stream(
        self,
        requests: Iterable[RequestLike] | None = None,
        *,
        users: Iterable[Hashable] | None = None,
        batch_size: int = 1024,
        k: int | None = None,
        candidates: Iterable[Hashable] | None = None,
        exclude: Iterable[Hashable] = (),
        exclude_seen: bool = True,
        where: Where | None = None,
    ) -> Iterator[Recommendations]:
        """Recommend to any number of users in the memory of one batch; arguments as in ``recommend_many``.

        All answers come from the recommender as it is at the call, whatever is added or removed meanwhile.

        Parameters
        ----------
        batch_size : int
            Requests answered at a time, from 1 to 1,000,000.

        Yields
        ------
        Recommendations
            One row per request of a batch. A batch is read and ranked when it is asked for. Arguments are checked at
            the call; an unknown user raises with its batch, and ends the stream.

        Examples
        --------
        >>> import coldstart as cs
        >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
        >>> rec = cs.Recommender(encoder=HashEncoder()).fit(tiny_catalog(), tiny_clicks())
        >>> [batch.item_ids for batch in rec.recommend_stream(users=["u0", "u1", "v2"], k=1, batch_size=2)]
        [[['s0'], ['s1']], [['g2']]]
        """
        batches = as_request_batches(requests, users, batch_size)
        return rank_batches(self.fitted, batches, k, Filters(candidates, exclude, exclude_seen, where))

    @explain_arguments()
    def similar_items(
        self,
        item_id: Hashable,
        k: int | None = None,
        *,
        candidates: Iterable[Hashable] | None = None,
        exclude: Iterable[Hashable] = (),
        where: Where | None = None,
    ) -> Recommendations:
        """Return the items most similar to an item, by text and by who clicked both, whatever their popularity.

        Raises
        ------
        NotFittedError, UnknownIdError, InvalidInputError
            Before ``fit``; for unknown ids; for arguments out of range.
        """
        filters = Filters(candidates, exclude, True, where)
        return rank(self.fitted.by_likeness, [Request(history=[item_id])], k, filters)

    def add_items(self, items: Table) -> Self:
        """Add items, recommendable at once; only they are encoded and nothing is trained.

        Parameters
        ----------
        items : Catalog, or a table as in ``Catalog.from_frame`` with the same id and field columns, or one row of it
            A table without rows, as a feed without news, changes nothing.

        Raises
        ------
        InvalidInputError
            When a column is absent, or an id is in the catalogue already.
        """
        # The lock orders changes: two that start from the same state would lose one. Readers take none.
        with self._writing.held():
            self._fitted = self.fitted.with_items(items)
        return self

    def update_items(self, items: Table) -> Self:
        """Replace cells of items, in the columns given; only text that changed is encoded.

        Raises
        ------
        UnknownIdError, InvalidInputError
            When an id is not in the catalogue, or is given twice.
        """
        with self._writing.held():
            self._fitted = self.fitted.with_updates(items)
        return self

    def remove_items(self, item_ids: Iterable[Hashable]) -> Self:
        """Remove items and the clicks on them.

        Raises
        ------
        UnknownIdError, InvalidInputError
            When an id is not in the catalogue, or no item would be left.
        """
        with self._writing.held():
            self._fitted = self.fitted.without_items(item_ids)
        return self

    @explain_arguments()
    def update(self, interactions: Interactions, *, on_unknown: OnUnknown = "error") -> Self:
        """Add clicks of known and new users, without training: they count from the next request on.

        Raises
        ------
        InvalidInputError
            When clicks are on unknown items and ``on_unknown`` is "error".
        """
        with self._writing.held():
            fitted = self.fitted
            self._fitted = fitted.with_clicks(checked_clicks(interactions, fitted.catalog, on_unknown))
        return self

    def save(self, folder: str | Path, *, include_encoder: bool = False, compact: bool = False) -> None:
        """Write a folder of JSON and safetensors, whole or not at all; a saved one there is replaced.

        Files of yours in that folder are kept. Another process that saves to the same place waits. Only the owner of
        this process may read the folder, or whoever may read the one that is replaced.

        Parameters
        ----------
        include_encoder : bool
            Copy the language model's weights into the folder. By default it refers to them by name and hash; where they
            are a folder of yours, ``load`` needs them as ``encoder=``.
        compact : bool
            Leave out the item-item weights of ``HybridRanker``, most of a folder. ``load`` fits them again from the
            clicks and settings in the folder, those of ``update`` included, in a part of the time of ``fit``.

        Raises
        ------
        NotFittedError, InvalidInputError
            Before ``fit``; when something else is at ``folder``, it is a mounted volume, or an id or a column cannot
            be written.
        """
        save_fitted(self.fitted, Path(folder), include_encoder=include_encoder, compact=compact)

    def with_fitted(self, fitted: Fitted) -> Self:
        """Return a recommender with the parameters of this one and another fitted state."""
        copy = type(self)(**self.get_params())
        copy._fitted = fitted
        return copy

    @property
    def fitted(self) -> Fitted:
        """Everything that was fitted, as one immutable value.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        if "_fitted" not in vars(self):
            raise NotFittedError("Recommender must be fitted before it is used; call Recommender.fit(catalog) first.")
        return self._fitted

    @property
    def catalog(self) -> Catalog:
        """The items as they are now."""
        return self.fitted.catalog

    @property
    def interactions(self) -> Interactions:
        """The clicks as they are now, one row per user and item with the sum of the weights; times are not kept."""
        clicks = self.fitted.clicks
        # Sums may exceed what a single weight may be.
        weights = np.minimum(clicks.data, np.float32(LARGEST_WEIGHT))
        clicks = csr_array((weights, clicks.indices, clicks.indptr), shape=clicks.shape)
        return Interactions.from_csr(clicks, self.fitted.users, self.fitted.catalog.ids)

    @property
    def encoders_(self) -> Mapping[str, Encoder]:
        """The fitted encoder of each field."""
        return self.fitted.parts.encoders

    @property
    def fuser_(self) -> Fuser:
        """The fitted fuser; its ``weights_`` are the importance of each field."""
        return self.fitted.parts.fuser

    @property
    def ranker_(self) -> Ranker | VectorRanker:
        """The fitted ranker."""
        return self.fitted.parts.ranker

    def __repr__(self) -> str:
        return as_line(self._fitted) if "_fitted" in vars(self) else super().__repr__()

    def _repr_html_(self) -> str:
        return as_table(self._fitted) if "_fitted" in vars(self) else f"<p>{html.escape(repr(self))}</p>"


def load(
    folder: str | Path,
    *,
    encoder: Encoder | Mapping[str, Encoder] | None = None,
    fuser: Fuser | None = None,
    ranker: Ranker | VectorRanker | None = None,
    index: Index | None = None,
    verify: bool | Literal["auto"] = "auto",
) -> Recommender:
    """Load what ``Recommender.save`` wrote, without training data, and without network where the weights are local.

    Arrays are mapped into memory: a page is read when it is used, and shared by all processes that load the folder.

    Parameters
    ----------
    folder : str or Path
    encoder, fuser, ranker, index
        Fitted parts of classes that are not of this library, which the folder only names. Encoders of several classes
        are given per field. Also a ``TextEncoder`` whose weights are in a folder of yours or must be downloaded, and a
        ``CachedEncoder``: nothing outside of ``folder`` is read, written or downloaded because the folder says so.
    verify : bool or "auto"
        Compare every file with its SHA-256, which reads it whole. "auto" does so up to 64 MB, and compares size and
        layout of larger files.

    Raises
    ------
    SavedFolderError
        When the folder is incomplete, altered, malformed or of a newer format, or a part of yours is not given.

    Examples
    --------
    >>> import coldstart as cs
    >>> cs.load("no/such/folder")
    Traceback (most recent call last):
    coldstart.errors.SavedFolderError: 'no/such/folder' must be a folder written by save; it has no config.json.
    """
    given = {"encoder": encoder, "fuser": fuser, "ranker": ranker, "index": index}
    fitted = load_fitted(Path(folder), given, verify)
    parts = fitted.parts
    roles = (dict(parts.encoders), parts.fuser, parts.ranker, parts.lexical, parts.sentences, parts.index)
    return Recommender(*roles).with_fitted(fitted)
