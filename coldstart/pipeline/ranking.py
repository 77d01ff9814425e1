"""From requests to ranked items: here ids become positions, and positions ids."""

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, check_between
from coldstart.base import BaseFuser, BaseRanker, Features, Hits, Ranker, Users, VectorRanker, scores_of, with_defaults
from coldstart.data.requests import Recommendations, Request, Shares
from coldstart.data.tables import id_tuple, some
from coldstart.data.where import Where, matching
from coldstart.errors import UnknownIdError
from coldstart.index.topk import top_k
from coldstart.pipeline.encoding import encode_queries
from coldstart.pipeline.sentences import Said, has_cues, understand
from coldstart.pipeline.state import Fitted
from coldstart.reranking import diverse_cover

DEFAULT_K = 10


@dataclass(frozen=True)
class Filters:
    """Which items may be returned; the arguments of ``Recommender.recommend``."""

    candidates: Iterable[Hashable] | None = None
    exclude: Iterable[Hashable] = ()
    exclude_seen: bool = True
    where: Where | None = None


def answer(fitted: Fitted, requests: Sequence[Request], k: int | None, filters: Filters) -> Recommendations:
    """Rank the catalogue for each request.

    Raises
    ------
    InvalidInputError
        When ``k`` is out of range, or a filter does not fit the catalogue.
    UnknownIdError
        Naming every unknown user or item of the batch.
    """
    return next(answers(fitted, iter([requests]), k, filters))


def answers(
    fitted: Fitted, batches: Iterator[Sequence[Request]], k: int | None, filters: Filters
) -> Iterator[Recommendations]:
    """Rank for one batch after the other, when it is asked for; ``k`` and the filters are checked at once, as above."""
    n_items = len(fitted.catalog)
    k = min(DEFAULT_K, n_items) if k is None else k
    check_between("k", k, 1, n_items, f"The catalogue has {n_items:,} items; pass k <= {n_items}.")
    allow = _allowed(fitted, filters)
    return (_answer(fitted, batch, k, allow, filters.exclude_seen) for batch in batches)


def _answer(
    fitted: Fitted, requests: Sequence[Request], k: int, allow: IntArray | None, exclude_seen: bool
) -> Recommendations:
    users = read_users(fitted, requests)
    rows = _rank(fitted, requests, users, k, allow, _excluded(fitted, requests, users, exclude_seen))
    catalog, found = fitted.catalog, [positions for positions, _ in rows]
    shown = np.unique(np.concatenate([*found, np.zeros(0, dtype=np.int64)])).astype(np.int64)
    ids = dict(zip(shown.tolist(), catalog.ids_at(shown), strict=True))
    titles = zip(ids.values(), catalog.cells_at(catalog.fields[0], shown), strict=True)
    return Recommendations(
        [[ids[at] for at in positions.tolist()] for positions in found],
        [scores.tolist() for _, scores in rows],
        {item_id: str(title) for item_id, title in titles if title is not None},
        cache(partial(_contributions, fitted, requests, found)),
        cache(partial(_fits, fitted, requests)),
    )


def _fits(fitted: Fitted, requests: Sequence[Request]) -> list[bool]:
    """Whether some item answers the texts of each request; users are read again, as below."""
    ranker = with_defaults(fitted.parts.ranker, BaseRanker)
    answered: list[bool] = ranker.answers(read_users(fitted, requests), fitted.features).tolist()
    return answered


def _contributions(fitted: Fitted, requests: Sequence[Request], rows: Sequence[IntArray]) -> Shares:
    """What ``shares_of`` says; users are read again, which an answer need not keep until then."""
    return shares_of(fitted, read_users(fitted, requests), rows)


def shares_of(fitted: Fitted, users: Users, rows: Sequence[IntArray]) -> Shares:
    """Return how much each source brought to the scores of the items of each row, shares that sum to 1."""
    ranker = with_defaults(fitted.parts.ranker, BaseRanker)
    shares: Shares = []
    for row, positions in enumerate(rows):
        if not (ranker.answers_nobody or _is_known(users, row)):
            shares.append([{"popularity" if fitted.clicks.nnz else "content": 1.0} for _ in positions])
            continue
        brought = ranker.contributions(users[[row]], fitted.features)  # one user at a time: all items have shares
        if brought is None:
            shares.append([{} for _ in positions])
        else:
            by_item = brought.shares[:, 0, positions].T.tolist()
            shares.append([dict(zip(brought.sources, of_item, strict=True)) for of_item in by_item])
    return shares


def read_users(fitted: Fitted, requests: Sequence[Request]) -> Users:
    """Turn requests into arrays: ids into positions, texts into vectors, sentences into what they say.

    Raises
    ------
    UnknownIdError
        Naming every unknown user or item of the batch.
    """
    said = [_understood(fitted, request.query) for request in requests]
    avoided = [one.avoided for one in said]
    liked, disliked = (_marked(fitted, [getattr(one, name) for one in said]) for name in ("liked", "disliked"))
    history = _membership(fitted, [r.history for r in requests], "history").maximum(liked)
    return Users(
        history=csr_array(_known_history(fitted, requests) + history),
        disliked=csr_array(_membership(fitted, [r.disliked for r in requests], "disliked").maximum(disliked)),
        query=_place_texts(fitted, [one.wanted for one in said]),
        profile=_place_texts(fitted, [cast("str | None", r.profile) for r in requests]),
        avoided=_place_texts(fitted, avoided) if any(avoided) else None,
    )


def _understood(fitted: Fitted, query: str | None) -> Said:
    """What a query says; titles are looked up only where a word is before one."""
    if query is None or not fitted.parts.sentences or not has_cues(query):
        return Said(query)
    return understand(query, fitted.titles)


def _known_history(fitted: Fitted, requests: Sequence[Request]) -> Csr:
    people = fitted.people
    asked = [(row, request.user) for row, request in enumerate(requests) if request.user is not None]
    unknown = list(dict.fromkeys(user for _, user in asked if user not in people))
    if unknown:
        raise UnknownIdError(
            f"`user` must be one of the {len(people):,} users of the interactions; got {some(unknown)}. "
            "For someone new pass history=[item ids] or query='what they want', or call update with their clicks."
        )
    theirs = fitted.clicks[np.array([people.find(user) for _, user in asked], dtype=np.int64)]
    counts = np.zeros(len(requests), dtype=np.int64)
    counts[[row for row, _ in asked]] = np.diff(theirs.indptr)
    ends = np.append(0, np.cumsum(counts))
    return csr_array((theirs.data, theirs.indices, ends), shape=(len(requests), theirs.shape[1]))


def _membership(fitted: Fitted, lists: Sequence[Sequence[Hashable]], what: str) -> Csr:
    """One row per list of ids, 1 where an item is in it."""
    at = iter(fitted.catalog.positions([item_id for items in lists for item_id in dict.fromkeys(items)], what).tolist())
    return _marked(fitted, [list(islice(at, len(dict.fromkeys(items)))) for items in lists])


def _marked(fitted: Fitted, lists: Sequence[Sequence[int]]) -> Csr:
    """One row per list of positions, 1 where an item is in it."""
    columns = np.array([at for positions in lists for at in positions], dtype=np.int64)
    rows = np.repeat(np.arange(len(lists)), [len(positions) for positions in lists])
    return csr_array((np.ones(len(columns), np.float32), (rows, columns)), shape=(len(lists), len(fitted.catalog)))


def _place_texts(fitted: Fitted, texts: Sequence[str | None]) -> Features:
    """Put texts among the items: an item whose every field says so; zero rows for None."""
    told = [row for row, text in enumerate(texts) if text is not None]
    if not told:
        return Features(np.broadcast_to(np.float32(0.0), (len(texts), fitted.dim)))
    said = [cast(str, texts[row]) for row in told]
    fields = encode_queries(said, fitted.parts.encoders)
    dense = with_defaults(fitted.parts.fuser, BaseFuser).fuse_query(fields)
    sparse, read = (None, None) if fitted.texts is None else fitted.texts.asked(said, fields)
    if len(told) == len(texts):
        return Features(dense, sparse, None, read)
    spread = csr_array((np.ones(len(told), np.float32), (told, np.arange(len(told)))), shape=(len(texts), len(told)))
    return Features(spread @ dense, *(None if part is None else spread @ part for part in (sparse, None, read)))


def _allowed(fitted: Fitted, filters: Filters) -> IntArray | None:
    """Positions that may be returned to anyone, ascending; None when all may."""
    excluded = _known(fitted, id_tuple(filters.exclude, "exclude"))
    if filters.candidates is None and filters.where is None and not excluded:
        return None
    keep = np.full(len(fitted.catalog), filters.candidates is None)
    if filters.candidates is not None:
        keep[fitted.catalog.positions(id_tuple(filters.candidates, "candidates"), "candidates")] = True
    if filters.where is not None:
        keep &= matching(fitted.catalog, filters.where)
    keep[fitted.catalog.positions(excluded, "exclude")] = False
    return None if keep.all() else np.flatnonzero(keep)


def _known(fitted: Fitted, item_ids: Iterable[Hashable]) -> list[Hashable]:
    """Those of the ids that are in the catalogue: what is not there cannot come back anyway."""
    return [item_id for item_id in item_ids if item_id in fitted.catalog]


def _excluded(fitted: Fitted, requests: Sequence[Request], users: Users, exclude_seen: bool) -> list[IntArray]:
    """Positions never to return, per request: what it dislikes or excludes, and what was seen."""
    hidden = users.disliked + _membership(fitted, [_known(fitted, r.exclude) for r in requests], "exclude")
    hidden = csr_array(hidden + users.history) if exclude_seen else csr_array(hidden)
    return [hidden.indices[hidden.indptr[row] : hidden.indptr[row + 1]] for row in range(len(requests))]


def _rank(
    fitted: Fitted,
    requests: Sequence[Request],
    users: Users,
    k: int,
    allow: IntArray | None,
    excluded: list[IntArray],
) -> list[tuple[IntArray, FloatArray]]:
    """Positions and scores of each request, by what is known of it."""
    attends = with_defaults(fitted.parts.fuser, BaseFuser).attends
    for_nobody = with_defaults(fitted.parts.ranker, BaseRanker).answers_nobody
    rows: list[Any] = [None] * len(requests)
    together = []
    for row, request in enumerate(requests):
        if not (for_nobody or _is_known(users, row)):
            rows[row] = _for_nobody(fitted, k, allow, excluded[row])
        elif attends and request.query is not None:
            rows[row] = _attended(fitted, request.query, users[[row]], k, allow, excluded[row])
        else:
            together.append(row)
    if together:
        hits = _ranked(fitted, users[together], k, allow, [excluded[row] for row in together])
        for row, *found in zip(together, *hits, strict=True):
            rows[row] = found
    return rows


def _ranked(fitted: Fitted, users: Users, k: int, allow: IntArray | None, excluded: list[IntArray]) -> Hits:
    ranker = fitted.parts.ranker
    if fitted.vectors is not None:
        return fitted.vectors.search(cast(VectorRanker, ranker), users, k, allow, excluded)
    found = with_defaults(ranker, BaseRanker).best(users, fitted.features, k, allow, excluded)
    return found or scored(ranker, users, fitted.features, k, allow, excluded)


def scored(
    ranker: Ranker | VectorRanker,
    users: Users,
    features: Features,
    k: int,
    allow: IntArray | None,
    excluded: list[IntArray],
) -> Hits:
    """Rank by the scores of given features, one block of users at a time."""

    def of_block(block: slice) -> FloatArray:
        scores = scores_of(ranker, users[block], features)
        return np.array(scores if allow is None else scores[:, allow], dtype=np.float32)

    workers = (os.cpu_count() or 1) if with_defaults(ranker, BaseRanker).scores_in_threads else 1
    return top_k(of_block, len(users), len(features), k, allow, excluded, workers)


def _attended(
    fitted: Fitted, query: str, user: Users, k: int, allow: IntArray | None, excluded: IntArray
) -> tuple[IntArray, FloatArray]:
    """Rank for one request with the items as its query sees them."""
    encoded = encode_queries([query], fitted.parts.encoders)
    focus = next(iter(encoded.values()))[0]
    fuser, missing = with_defaults(fitted.parts.fuser, BaseFuser), fitted.catalog.missing
    dense = fuser.attend(focus, {name: rows.whole() for name, rows in fitted.fields.items()}, missing)
    features = fitted.features_of(dense, missing)
    positions, scores = scored(fitted.parts.ranker, user, features, k, allow, [excluded])
    return positions[0], scores[0]


def _for_nobody(fitted: Fitted, k: int, allow: IntArray | None, excluded: IntArray) -> tuple[IntArray, FloatArray]:
    """Rank for someone of whom nothing is known: what is popular, else a diverse cover of the catalogue."""
    n_items = len(fitted.catalog)
    if fitted.clicks.nnz:
        hits = top_k(lambda _: _popular(fitted, allow), 1, n_items, k, allow, [excluded])
    elif allow is None and not len(excluded):
        hits = fitted.cover(k)
    else:
        everything = np.arange(n_items) if allow is None else allow
        hits = diverse_cover(lambda rows: fitted.features_at(rows).dense, k, np.setdiff1d(everything, excluded))
    return hits.positions[0], hits.scores[0]


def _popular(fitted: Fitted, allow: IntArray | None) -> FloatArray:
    counts = fitted.popularity if allow is None else fitted.popularity[allow]
    return counts[None].copy()


def _is_known(users: Users, row: int) -> bool:
    """Whether a request says anything to rank by."""
    clicked = users.history.indptr[row + 1] > users.history.indptr[row]
    disliked = users.disliked.indptr[row + 1] > users.disliked.indptr[row]
    texts = (users.query, users.profile, users.avoided)
    return bool(clicked or disliked or any(_says(part, row) for part in texts if part is not None))


def _says(texts: Features, row: int) -> bool:
    words = texts.sparse is not None and texts.sparse.indptr[row + 1] > texts.sparse.indptr[row]
    return bool(words or texts.dense[row].any())
