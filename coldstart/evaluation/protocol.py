"""Fit on the training part, ask for lists, compare them with what was hidden."""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from coldstart._arrays import FloatArray, blocks, check_between
from coldstart._progress import progress_bar
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.requests import Recommendations, Request
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError
from coldstart.evaluation.background import Background
from coldstart.evaluation.groups import Group, ItemSet, PartName, groups_of, truth_of
from coldstart.evaluation.measured import Part
from coldstart.evaluation.remembering import remembering, with_params
from coldstart.evaluation.report import Report
from coldstart.metrics.accuracy import average_precision, hit_rate, ndcg, precision, recall, reciprocal_rank
from coldstart.recommender import Recommender

BLOCK = 1_024
"""Requests answered at a time."""

ACCURACY = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


class Evaluable(Protocol):
    """What ``evaluate`` needs of a recommender, so that any can be wrapped."""

    def fit(self, catalog: Catalog, interactions: Interactions, /) -> Any:
        """Learn from the items and the training clicks."""
        ...

    def recommend_many(
        self, requests: Sequence[Request], /, *, k: int, candidates: Sequence[Hashable]
    ) -> Recommendations:
        """Return the ``k`` best candidates of each request; what its user or history clicked is left out."""
        ...


def evaluate(
    recommender: Evaluable | Callable[[], Evaluable],
    split: Split | Sequence[Split],
    k: int | Sequence[int] = (10, 20),
    groups: Sequence[str] | None = None,
    *,
    part: PartName = "test",
    vectors: FloatArray | None = None,
    name: str | None = None,
    progress: bool = True,
) -> Report:
    """Fit on the training clicks, rank all candidates for every user, and measure.

    Parameters
    ----------
    recommender : Recommender, factory, or any object with ``fit`` and ``recommend_many``
        A ``Recommender`` is not changed: a copy with the same parts is fitted, anew for each split, and what it encodes
        is remembered from one to the next. It is told which items are new, see ``Split``. A factory makes a fresh one
        for each split. Any other object is fitted itself. One without ``add_items`` never answers with the arrivals of
        a split by time, and misses them.
    split : Split or sequence of Split
        With several, the values are pooled, and intervals draw users, not values.
    k : int or sequence of int
        Lengths of list to measure, at least 1; lists are cut to the candidates there are.
    groups : sequence of str, optional
        Out of "overall", "cold", "warm" and "overall-clean"; by default those that the split has.
        See ``coldstart.evaluation.groups.groups_of`` for who is asked what.
    part : {"test", "validation"}
        Make choices on "validation"; read "test" once.
    vectors : ndarray of shape (n_items, dim), optional
        One row per item of ``split.everything``, to measure the diversity within lists.
    name : str, optional
        For the report; by default what the recommender prints as.
    progress : bool
        Show a bar when it takes more than a second.

    Returns
    -------
    Report

    Raises
    ------
    InvalidInputError
        When an argument is out of range, the split has no such part or group, or a list holds an item twice, one that
        is no candidate, or one that the user is known to have clicked.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
    >>> split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.0, test=0.25)
    >>> report = cs.evaluate(cs.Recommender(encoder=HashEncoder()), split, k=3)
    >>> round(report.value("recall", 3), 2)
    1.0
    """
    splits = checked_splits(split)
    lengths = tuple(sorted(set(k) if isinstance(k, Iterable) else {k}))
    check_lengths(lengths, splits)
    for one in splits:
        if vectors is not None and len(vectors) != len(one.everything):
            raise InvalidInputError(
                f"`vectors` must have {len(one.everything):,} rows, one per item of the split; got {len(vectors):,}."
            )
    again = remembering(recommender, {}) if isinstance(recommender, Recommender) else recommender
    parts: list[Part] = []
    for one in splits:
        asked = groups_of(one, groups, part)
        fitted, seconds = _fitted(again, one)
        parts += [_measure(fitted, one, group, lengths, vectors, seconds, progress) for group in asked]
    return Report(name or _name(recommender), tuple(parts))


def checked_splits(split: Split | Sequence[Split]) -> list[Split]:
    """Return one split, or several, as a list.

    Raises
    ------
    InvalidInputError
        When something is no split.
    """
    splits = [split] if isinstance(split, Split) or not isinstance(split, Iterable) else list(split)
    for one in splits:
        if not isinstance(one, Split):
            raise InvalidInputError(
                f"`split` must be a Split, or several; got {type(one).__name__}. "
                "Make one: cs.splits.item_cold(catalog, clicks), and pass it as evaluate(recommender, split)."
            )
    return splits


def check_lengths(lengths: Sequence[int], splits: Sequence[Split]) -> None:
    """Raise unless there are lengths of lists, and splits.

    Raises
    ------
    InvalidInputError
        Naming what is missing or out of range.
    """
    for length in lengths:
        check_between("k", length, 1, 10**9)
    for name, what, values in (("k", "length", lengths), ("split", "split", splits)):
        if not len(values):
            raise InvalidInputError(f"`{name}` must hold at least 1 {what}; got none.")


def fit_options(split: Split) -> dict[str, Any]:
    """Return what ``Recommender.fit`` is told beside catalogue and clicks: no check, and which items are new."""
    return {"check": False, "new": split.new} if split.new else {"check": False}


def _fitted(recommender: Any, split: Split) -> tuple[Evaluable, float]:
    """A recommender that knows the training part, and the seconds that took."""
    fresh: Any = recommender() if _is_factory(recommender) else recommender
    if isinstance(fresh, Recommender):
        fresh = with_params(fresh, {})
    options = fit_options(split) if isinstance(fresh, Recommender) else {}
    started = time.perf_counter()
    fresh.fit(split.catalog, split.train, **options)
    if split.arrivals is not None and hasattr(fresh, "add_items"):
        fresh.add_items(split.arrivals)
    return fresh, time.perf_counter() - started


def _is_factory(recommender: Any) -> bool:
    return isinstance(recommender, type) or not hasattr(recommender, "fit")


def _name(recommender: Any) -> str:
    if _is_factory(recommender):
        return str(getattr(recommender, "__name__", type(recommender).__name__))
    unfitted = with_params(recommender, {}) if isinstance(recommender, Recommender) else recommender
    return repr(unfitted)


def _measure(
    recommender: Evaluable,
    split: Split,
    group: Group,
    lengths: tuple[int, ...],
    vectors: FloatArray | None,
    fit_seconds: float,
    progress: bool,
) -> Part:
    started = time.perf_counter()
    ranked = list(_answers(recommender, split, group, max(lengths), progress))
    seconds = time.perf_counter() - started
    relevant = list(group.relevant.values())
    values = {(name, k): measure(ranked, relevant, k) for name, measure in ACCURACY.items() for k in lengths}
    background = Background(split)
    return Part(
        split=split.name,
        clicks=_revealed(split),
        group=group.name,
        users=tuple(group.relevant),
        known=background.clicks_of(group.relevant),
        values=values | background.per_user(ranked, group, max(lengths), vectors),
        totals=background.totals(ranked, group, max(lengths)),
        by_count=background.by_count(ranked, relevant, max(lengths)),
        deciles=background.deciles(ranked, max(lengths)),
        fit_seconds=fit_seconds,
        answer_seconds=seconds,
    )


def _answers(recommender: Evaluable, split: Split, group: Group, k: int, progress: bool) -> Iterator[list[Hashable]]:
    """The list of each user of the group, asked in blocks."""
    requests = _requests(split, group)
    candidates = _answerable(recommender, split, group)
    allowed, k = frozenset(candidates), min(k, len(candidates))
    seen = truth_of(split.train)
    with progress_bar(total=len(requests), what=group.name, unit="user", shown=progress) as bar:
        for block in blocks(len(requests), BLOCK):
            asked = requests[block]
            lists = recommender.recommend_many(asked, k=k, candidates=candidates).item_ids if k else [[]] * len(asked)
            if len(lists) != len(asked):
                raise InvalidInputError(
                    f"recommend_many must answer with one list per request, {len(asked)}; got {len(lists)}."
                )
            for request, row in zip(asked, lists, strict=True):
                _check_list(row, allowed, seen.get(request.user, frozenset()).union(request.history), request)
                yield row
            bar.update(len(asked))


def _answerable(recommender: Evaluable, split: Split, group: Group) -> list[Hashable]:
    """The candidates that a recommender can know of."""
    if split.arrivals is None or hasattr(recommender, "add_items"):
        return group.candidates
    return [item for item in group.candidates if item in split.catalog]


def _requests(split: Split, group: Group) -> list[Request]:
    """What each user says: who they are when they are known, and the clicks that are told of them."""
    known = frozenset(split.train.users)
    told = {} if split.revealed is None else truth_of(split.revealed)
    return [
        Request(
            user=user if user in known else None,
            history=sorted(told.get(user, ()), key=repr),
            exclude=sorted(group.hidden.get(user, ()), key=repr),
        )
        for user in group.relevant
    ]


def _check_list(row: Sequence[Hashable], allowed: ItemSet, seen: ItemSet, request: Request) -> None:
    wrong = [item for item in row if item not in allowed or item in seen or item in request.exclude]
    if wrong:
        raise InvalidInputError(
            f"recommend_many must answer with candidates the user has not clicked; got {wrong[0]!r} for {request!r}. "
            "Leave out what is not in `candidates`, is in `exclude` of the request, or was clicked in training."
        )


def _revealed(split: Split) -> int:
    """How many clicks of each cold item or user are known."""
    return split.cold_clicks if split.revealed is None else int(np.bincount(split.revealed.user_index).max())
