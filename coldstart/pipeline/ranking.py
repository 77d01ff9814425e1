"""Rank items for requests: ids become positions, texts become vectors, and positions become ids again."""

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, IntArray, check_between, check_flag
from coldstart.base import BaseFuser, BaseRanker, Features, Hits, Ranker, Users, VectorRanker, scores_of, with_defaults
from coldstart.data.requests import Recommendations, Request, Shares
from coldstart.data.tables import id_tuple, some
from coldstart.data.where import Where, matching
from coldstart.errors import UnknownIdError
from coldstart.index.topk import top_k
from coldstart.pipeline.encoding import checked_widths, encode_queries
from coldstart.pipeline.sentences import ParsedQuery, has_cues, parse_query
from coldstart.pipeline.state import Fitted
from coldstart.reranking import diverse_cover

DEFAULT_K = 10
"""Items returned when no ``k`` is given."""


@dataclass(frozen=True)
class Filters:
    """Which items may be returned; the arguments of ``Recommender.recommend``."""

    candidates: Iterable[Hashable] | None = None
    exclude: Iterable[Hashable] = ()
    exclude_seen: bool = True
    where: Where | None = None


def rank(fitted: Fitted, requests: Sequence[Request], k: int | None, filters: Filters) -> Recommendations:
    """Return the best ``k`` items for each request.

    Raises
    ------
    InvalidInputError
        When ``k`` is out of range, or a filter does not fit the catalogue.
    UnknownIdError
        Naming every unknown user or item of the batch.
    """
    return next(rank_batches(fitted, iter([requests]), k, filters))


def rank_batches(
    fitted: Fitted, batches: Iterator[Sequence[Request]], k: int | None, filters: Filters
) -> Iterator[Recommendations]:
    """Yield the recommendations for one batch of requests after the other.

    A batch is read and ranked only when the iterator reaches it; ``k`` and the filters are checked at the call. Raises
    as ``rank``.
    """
    n_items = len(fitted.catalog)
    k = min(DEFAULT_K, n_items) if k is None else k
    check_between("k", k, 1, n_items, f"The catalogue has {n_items:,} items; pass k <= {n_items}.")
    check_flag("exclude_seen", filters.exclude_seen)
    allow = _allowed(fitted, filters)
    # A generator expression, not `yield`: the body of a generator function, checks included, would run only later.
    return (_rank_batch(fitted, batch, k, allow, filters.exclude_seen) for batch in batches)


def _rank_batch(
    fitted: Fitted, requests: Sequence[Request], k: int, allow: IntArray | None, exclude_seen: bool
) -> Recommendations:
    users = read_users(fitted, requests)
    rows = _top_k(fitted, requests, users, k, allow, _excluded(fitted, requests, users, exclude_seen))
    catalog, ranked = fitted.catalog, [positions for positions, _ in rows]
    # Ids and titles may lie packed in a mapped file: read those of the returned items only, each once.
    returned = np.unique(np.concatenate([*ranked, np.zeros(0, dtype=np.int64)])).astype(np.int64)
    ids = dict(zip(returned.tolist(), catalog.ids_at(returned), strict=True))
    titles = zip(ids.values(), catalog.cells_at(catalog.fields[0], returned), strict=True)
    return Recommendations(
        [[ids[at] for at in positions.tolist()] for positions in ranked],
        [scores.tolist() for _, scores in rows],
        {item_id: str(title) for item_id, title in titles if title is not None},
        # Both take time, and most callers never look at them. They hold `fitted`, so that they tell of the state that
        # ranked, however the recommender has changed since; and they read the requests again when they are used, since
        # keeping `users` would keep the text vectors of every answer in memory.
        cache(partial(_contributions, fitted, requests, ranked)),
        cache(partial(_fits, fitted, requests)),
    )


def _fits(fitted: Fitted, requests: Sequence[Request]) -> list[bool]:
    """Return whether some item matches the texts of each request."""
    ranker = with_defaults(fitted.parts.ranker, BaseRanker)
    if not ranker.judges_answers:
        return [True] * len(requests)
    matched: list[bool] = ranker.answers(read_users(fitted, requests), fitted.features).tolist()
    return matched


def _contributions(fitted: Fitted, requests: Sequence[Request], ranked: Sequence[IntArray]) -> Shares:
    """Return the share of each source in the scores of the ranked items; the shares of an item sum to 1."""
    ranker, users = with_defaults(fitted.parts.ranker, BaseRanker), read_users(fitted, requests)
    shares: Shares = []
    for row, positions in enumerate(ranked):
        if not (ranker.answers_nobody or _has_evidence(users, row)):
            shares.append([{"popularity" if fitted.clicks.nnz else "content": 1.0} for _ in positions])
            continue
        # One user at a time: a ranker returns the shares of all items, (n_sources, 1, n), of which k are kept.
        contributions = ranker.contributions(users[[row]], fitted.features) if ranker.explains else None
        if contributions is None:
            shares.append([{} for _ in positions])
        else:
            by_item = contributions.shares[:, 0, positions].T.tolist()
            shares.append([dict(zip(contributions.sources, of_item, strict=True)) for of_item in by_item])
    return shares


def read_users(fitted: Fitted, requests: Sequence[Request]) -> Users:
    """Turn requests into arrays: ids into positions, texts into vectors, titles in queries into likes and dislikes.

    Raises
    ------
    UnknownIdError
        Naming every unknown user or item of the batch.
    """
    queries = [_parsed(fitted, request.query) for request in requests]
    avoided = [query.avoided for query in queries]
    liked = _indicators(fitted, [query.liked for query in queries])
    disliked = _indicators(fitted, [query.disliked for query in queries])
    # The maximum, not the sum: an item that is given as an id and named in the query counts once.
    history = _indicators_of_ids(fitted, [r.history for r in requests], "history").maximum(liked)
    return Users(
        history=csr_array(_clicks_of_users(fitted, requests) + history),
        disliked=csr_array(_indicators_of_ids(fitted, [r.disliked for r in requests], "disliked").maximum(disliked)),
        query=_encode_texts(fitted, [query.text for query in queries]),
        profile=_encode_texts(fitted, [cast("str | None", r.profile) for r in requests]),
        avoided=_encode_texts(fitted, avoided) if any(avoided) else None,
    )


def _parsed(fitted: Fitted, query: str | None) -> ParsedQuery:
    """Parse a query, unless ``sentences`` is off."""
    # Cues first: they need no titles, and the table of all titles is built at its first use.
    if query is None or not fitted.parts.sentences or not has_cues(query):
        return ParsedQuery(query)
    return parse_query(query, fitted.titles)


def _clicks_of_users(fitted: Fitted, requests: Sequence[Request]) -> Csr:
    """Return one row of clicks per request, empty where no user is named."""
    user_ids = fitted.user_ids
    named = [(row, request.user) for row, request in enumerate(requests) if request.user is not None]
    unknown = list(dict.fromkeys(user for _, user in named if user not in user_ids))
    if unknown:
        raise UnknownIdError(
            f"`user` must be one of the {len(user_ids):,} users of the interactions; got {some(unknown)}. "
            "For someone new pass history=[item ids] or query='what they want', or call update with their clicks."
        )
    # Rows of named users are gathered, and empty rows put between them by their end positions alone.
    theirs = fitted.clicks[np.array([user_ids.find(user) for _, user in named], dtype=np.int64)]
    counts = np.zeros(len(requests), dtype=np.int64)
    counts[[row for row, _ in named]] = np.diff(theirs.indptr)
    ends = np.append(0, np.cumsum(counts))
    return csr_array((theirs.data, theirs.indices, ends), shape=(len(requests), theirs.shape[1]))


def _indicators_of_ids(fitted: Fitted, lists: Sequence[Sequence[Hashable]], argument: str) -> Csr:
    """Return a row of 0 and 1 per list of item ids, shape (m, n)."""
    # All lists are looked up at once, so that an error names the unknown ids of the whole batch.
    unique = [list(dict.fromkeys(ids)) for ids in lists]
    at = iter(fitted.catalog.positions([item_id for ids in unique for item_id in ids], argument).tolist())
    return _indicators(fitted, [list(islice(at, len(ids))) for ids in unique])


def _indicators(fitted: Fitted, lists: Sequence[Sequence[int]]) -> Csr:
    """Return a row of 0 and 1 per list of positions, shape (m, n)."""
    columns = np.array([at for positions in lists for at in positions], dtype=np.int64)
    rows = np.repeat(np.arange(len(lists)), [len(positions) for positions in lists])
    return csr_array((np.ones(len(columns), np.float32), (rows, columns)), shape=(len(lists), len(fitted.catalog)))


def _encode_texts(fitted: Fitted, texts: Sequence[str | None]) -> Features:
    """Return texts as vectors in the space of the items; rows of zeros for None."""
    rows = [row for row, text in enumerate(texts) if text is not None]
    if not rows:
        # A batch of known users mostly has no text: one zero, broadcast, takes no memory.
        return Features(np.broadcast_to(np.float32(0.0), (len(texts), fitted.dim)))
    given = [cast(str, texts[row]) for row in rows]
    fields = checked_widths(encode_queries(given, fitted.parts.encoders), fitted.fields)
    dense = with_defaults(fitted.parts.fuser, BaseFuser).fuse_query(fields)
    sparse, read = (None, None) if fitted.texts is None else fitted.texts.for_queries(given, fields)
    if len(rows) == len(texts):
        return Features(dense, sparse, None, read)
    # A product with this 0-1 matrix puts each row at its request, dense and sparse alike.
    spread = csr_array((np.ones(len(rows), np.float32), (rows, np.arange(len(rows)))), shape=(len(texts), len(rows)))
    return Features(spread @ dense, *(None if part is None else spread @ part for part in (sparse, None, read)))


def _allowed(fitted: Fitted, filters: Filters) -> IntArray | None:
    """Return the positions that pass the filters, ascending; None when all do."""
    excluded = _in_catalog(fitted, id_tuple(filters.exclude, "exclude"))
    if filters.candidates is None and filters.where is None and not excluded:
        return None
    keep = np.full(len(fitted.catalog), filters.candidates is None)
    if filters.candidates is not None:
        keep[fitted.catalog.positions(id_tuple(filters.candidates, "candidates"), "candidates")] = True
    if filters.where is not None:
        keep &= matching(fitted.catalog, filters.where)
    keep[fitted.catalog.positions(excluded, "exclude")] = False
    return None if keep.all() else np.flatnonzero(keep)


def _in_catalog(fitted: Fitted, item_ids: Iterable[Hashable]) -> list[Hashable]:
    """Return the ids that are in the catalogue; to exclude one that is not there changes nothing and is no error."""
    return [item_id for item_id in item_ids if item_id in fitted.catalog]


def _excluded(fitted: Fitted, requests: Sequence[Request], users: Users, exclude_seen: bool) -> list[IntArray]:
    """Return the positions that each request leaves out: disliked, excluded and, unless allowed, seen items."""
    hidden = users.disliked + _indicators_of_ids(fitted, [_in_catalog(fitted, r.exclude) for r in requests], "exclude")
    hidden = csr_array(hidden + users.history) if exclude_seen else csr_array(hidden)
    return [hidden.indices[hidden.indptr[row] : hidden.indptr[row + 1]] for row in range(len(requests))]


def _top_k(
    fitted: Fitted,
    requests: Sequence[Request],
    users: Users,
    k: int,
    allow: IntArray | None,
    excluded: list[IntArray],
) -> list[tuple[IntArray, FloatArray]]:
    """Return positions and scores for each request.

    A request with no evidence gets popular items, and one whose query changes the item vectors is ranked alone; all
    others are ranked together, in one matrix product.
    """
    attends = with_defaults(fitted.parts.fuser, BaseFuser).attends
    ranks_without_evidence = with_defaults(fitted.parts.ranker, BaseRanker).answers_nobody
    rows: list[Any] = [None] * len(requests)
    together = []
    for row, request in enumerate(requests):
        if not (ranks_without_evidence or _has_evidence(users, row)):
            rows[row] = _rank_without_evidence(fitted, k, allow, excluded[row])
        elif attends and request.query is not None:
            rows[row] = _rank_attended(fitted, request.query, users[[row]], k, allow, excluded[row])
        else:
            together.append(row)
    if together:
        hits = _rank_together(fitted, users[together], k, allow, [excluded[row] for row in together])
        for row, positions, scores in zip(together, *hits, strict=True):
            rows[row] = positions, scores
            if len(scores) > 1 and scores[0] == scores[1] and _has_only_dislikes(users, row):
                rows[row] = _with_ties_ranked(fitted, users[[row]], k, allow, excluded[row])
    return rows


def _with_ties_ranked(
    fitted: Fitted, user: Users, k: int, allow: IntArray | None, excluded: IntArray
) -> tuple[IntArray, FloatArray]:
    """Rank for a request of dislikes; of all items that they leave equally good, as for one that says nothing.

    Without this, the first rows of the catalogue would be the answer of a ranker in which popularity does not count.
    """
    (positions,), (scores,) = _rank_together(fitted, user, len(fitted.catalog), allow, [excluded])
    tied = np.sort(positions[scores == scores[0]])
    first = _rank_without_evidence(fitted, min(k, len(tied)), tied, excluded)[0]
    return np.concatenate([first, positions[len(tied) :]])[:k], scores[:k]


def _rank_together(fitted: Fitted, users: Users, k: int, allow: IntArray | None, excluded: list[IntArray]) -> Hits:
    """Rank by the fastest way there is: an index, the ranker's own search, or the scores of all items."""
    ranker = fitted.parts.ranker
    if fitted.vectors is not None:
        return fitted.vectors.search(cast(VectorRanker, ranker), users, k, allow, excluded)
    hits = with_defaults(ranker, BaseRanker).best(users, fitted.features, k, allow, excluded)
    return hits or rank_by_scores(ranker, users, fitted.features, k, allow, excluded)


def rank_by_scores(
    ranker: Ranker | VectorRanker,
    users: Users,
    features: Features,
    k: int,
    allow: IntArray | None,
    excluded: list[IntArray],
) -> Hits:
    """Return the best ``k`` items of each user by the scores of all items, one block of users at a time."""

    def scores_of_block(block: slice) -> FloatArray:
        scores = scores_of(ranker, users[block], features)
        # A copy, even of float32: `top_k` writes into the scores, and these may belong to the ranker.
        return np.array(scores if allow is None else scores[:, allow], dtype=np.float32)

    workers = (os.cpu_count() or 1) if with_defaults(ranker, BaseRanker).scores_in_threads else 1
    return top_k(scores_of_block, len(users), len(features), k, allow, excluded, workers)


def _rank_attended(
    fitted: Fitted, query: str, user: Users, k: int, allow: IntArray | None, excluded: IntArray
) -> tuple[IntArray, FloatArray]:
    """Rank for one request by item vectors that depend on its query; see ``BaseFuser.attend``."""
    encoded = checked_widths(encode_queries([query], fitted.parts.encoders), fitted.fields)
    query_vector = next(iter(encoded.values()))[0]
    fuser, missing = with_defaults(fitted.parts.fuser, BaseFuser), fitted.catalog.missing
    dense = fuser.attend(query_vector, {name: rows.whole() for name, rows in fitted.fields.items()}, missing)
    features = fitted.features_of(dense, missing)
    positions, scores = rank_by_scores(fitted.parts.ranker, user, features, k, allow, [excluded])
    return positions[0], scores[0]


def _rank_without_evidence(
    fitted: Fitted, k: int, allow: IntArray | None, excluded: IntArray
) -> tuple[IntArray, FloatArray]:
    """Rank for a request that says nothing: by popularity, or without clicks by a diverse cover of the catalogue."""
    n_items = len(fitted.catalog)
    if fitted.clicks.nnz:
        counts = fitted.popularity if allow is None else fitted.popularity[allow]
        # `top_k` writes into what it is given, so every call gets a copy of the counts.
        hits = top_k(lambda _: counts[None].copy(), 1, n_items, k, allow, [excluded])
    elif allow is None and not len(excluded):
        hits = fitted.cover(k)
    else:
        everything = np.arange(n_items) if allow is None else allow
        hits = diverse_cover(lambda rows: fitted.features_at(rows).dense, k, np.setdiff1d(everything, excluded))
    return hits.positions[0], hits.scores[0]


def _has_evidence(users: Users, row: int) -> bool:
    """Whether a request has clicks, dislikes or a text to rank by."""
    clicked = users.history.indptr[row + 1] > users.history.indptr[row]
    disliked = users.disliked.indptr[row + 1] > users.disliked.indptr[row]
    texts = (users.query, users.profile, users.avoided)
    return bool(clicked or disliked or any(_has_text(part, row) for part in texts if part is not None))


def _has_only_dislikes(users: Users, row: int) -> bool:
    """Whether all that a request says is what it dislikes."""
    clicked = users.history.indptr[row + 1] > users.history.indptr[row]
    return not (clicked or _has_text(users.query, row) or _has_text(users.profile, row))


def _has_text(texts: Features, row: int) -> bool:
    """Whether a text has a word or a meaning: a text of unknown words only may have neither."""
    words = texts.sparse is not None and texts.sparse.indptr[row + 1] > texts.sparse.indptr[row]
    return bool(words or texts.dense[row].any())
