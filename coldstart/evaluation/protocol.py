"""Evaluate a recommender: fit it on the training part, ask for lists, and compare them with the held-out clicks."""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from coldstart._arrays import FloatArray, blocks, check_between
from coldstart._messages import shown
from coldstart._progress import progress_bar
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.requests import Recommendations, Request
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError
from coldstart.evaluation.background import Background
from coldstart.evaluation.groups import Group, ItemSet, PartName, groups_of, truth_of
from coldstart.evaluation.measured import Part
from coldstart.evaluation.memoizing import with_memoized_encoders, with_params
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
    """The methods that ``evaluate`` calls; implement them to evaluate a recommender of another library."""

    def fit(self, catalog: Catalog, interactions: Interactions, /) -> Any:
        """Learn from the items and the training clicks."""
        ...

    def recommend_many(
        self, requests: Sequence[Request], /, *, k: int, candidates: Sequence[Hashable]
    ) -> Recommendations:
        """Return the ``k`` best candidates of each request, without items of its user's clicks and history."""
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
    """Fit on the training clicks, rank all candidates for every evaluation user, and measure the lists.

    Parameters
    ----------
    recommender : Recommender, factory, or any object with ``fit`` and ``recommend_many``
        A ``Recommender`` is not changed: for each split a copy with the same parts is fitted, and each text is encoded
        once for all splits. It is fitted with the new items of the split, see ``Split.new``. A factory is called for
        each split. Any other object is fitted itself. One without ``add_items`` cannot recommend the arrivals of a
        split by time, which count as misses.
    split : Split or sequence of Split
        With several, the values are pooled, and intervals draw users, not values.
    k : int or sequence of int
        Lengths of lists to measure, at least 1; at most as many items are asked for as there are candidates.
    groups : sequence of str, optional
        Out of "overall", "cold", "warm" and "overall-clean"; by default those that the split has.
        See ``coldstart.evaluation.groups.groups_of`` for their users, candidates and relevant items.
    part : {"test", "validation"}
        Choose settings by "validation"; read "test" once.
    vectors : ndarray of shape (n_items, dim), optional
        One row per item of ``split.everything``, to measure the diversity within lists.
    name : str, optional
        Name in the report; by default the ``repr`` of the recommender.
    progress : bool
        Show a bar when it takes more than a second.

    Returns
    -------
    Report

    Raises
    ------
    InvalidInputError
        When an argument is out of range, the split has no such part or group, or a list holds an item twice, an item
        that is no candidate, or an item of the user's known clicks.

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
    unfitted = with_memoized_encoders(recommender, {}) if isinstance(recommender, Recommender) else recommender
    parts: list[Part] = []
    for one in splits:
        selected = groups_of(one, groups, part)  # before the fit, which takes longer, as it may raise
        fitted, seconds = _fitted(unfitted, one)
        parts += [_measure(fitted, one, group, lengths, vectors, seconds, progress) for group in selected]
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
    """Raise unless there is at least one length of lists, all are in range, and there is at least one split.

    Raises
    ------
    InvalidInputError
        Naming the argument.
    """
    for length in lengths:
        check_between("k", length, 1, 10**9)
    for name, what, values in (("k", "length", lengths), ("split", "split", splits)):
        if not len(values):
            raise InvalidInputError(f"`{name}` must hold at least 1 {what}; got none.")


def fit_options(split: Split) -> dict[str, Any]:
    """Return the arguments of ``Recommender.fit`` beside catalogue and clicks: the new items, and no baseline check.

    The check would hold out some of the training clicks again, to compare the ranker with simple ones.
    """
    return {"check": False, "new": split.new} if split.new else {"check": False}


def _fitted(recommender: Any, split: Split) -> tuple[Evaluable, float]:
    """Return a recommender fitted on the training part, with the arrivals added, and the seconds that this took."""
    fitted: Any = recommender() if _is_factory(recommender) else recommender
    if isinstance(fitted, Recommender):
        fitted = with_params(fitted, {})  # a copy: neither the caller's nor the factory's object is changed
    options = fit_options(split) if isinstance(fitted, Recommender) else {}
    started = time.perf_counter()
    fitted.fit(split.catalog, split.train, **options)
    if split.arrivals is not None and hasattr(fitted, "add_items"):
        fitted.add_items(split.arrivals)
    return fitted, time.perf_counter() - started


def _is_factory(recommender: Any) -> bool:
    """Whether it is a class, or a callable that cannot be fitted itself."""
    return isinstance(recommender, type) or not hasattr(recommender, "fit")


def _name(recommender: Any) -> str:
    """Return the default name of a report."""
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
    """Return all results of one group."""
    started = time.perf_counter()
    ranked = list(_lists(recommender, split, group, max(lengths), progress))
    seconds = time.perf_counter() - started
    relevant = list(group.relevant.values())
    values = {(name, k): measure(ranked, relevant, k) for name, measure in ACCURACY.items() for k in lengths}
    background = Background(split)
    return Part(
        split=split.name,
        clicks=_revealed_clicks(split),
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


def _lists(recommender: Evaluable, split: Split, group: Group, k: int, progress: bool) -> Iterator[list[Hashable]]:
    """Yield the checked list of each user of the group; requests are made in blocks."""
    requests = _requests(split, group)
    candidates = group.candidates
    if split.arrivals is not None and not hasattr(recommender, "add_items"):
        candidates = [item for item in candidates if item in split.catalog]  # it knows no others
    allowed, k = frozenset(candidates), min(k, len(candidates))
    trained = truth_of(split.train)
    with progress_bar(total=len(requests), what=group.name, unit="user", shown=progress) as bar:
        for block in blocks(len(requests), BLOCK):
            batch = requests[block]
            lists = recommender.recommend_many(batch, k=k, candidates=candidates).item_ids if k else [[]] * len(batch)
            if len(lists) != len(batch):
                raise InvalidInputError(
                    f"recommend_many must answer with one list per request, {len(batch)}; got {len(lists)}."
                )
            for request, row in zip(batch, lists, strict=True):
                _check_list(row, allowed, trained.get(request.user, frozenset()).union(request.history), request)
                yield row
            bar.update(len(batch))


def _requests(split: Split, group: Group) -> list[Request]:
    """Return the request of each user of the group: their id if it has training clicks, and their revealed clicks."""
    trained = frozenset(split.train.users)
    revealed = {} if split.revealed is None else truth_of(split.revealed)
    return [
        Request(
            user=user if user in trained else None,
            history=sorted(revealed.get(user, ()), key=repr),  # sets have no order that is the same in every run
            exclude=sorted(group.hidden.get(user, ()), key=repr),
        )
        for user in group.relevant
    ]


def _check_list(row: Sequence[Hashable], allowed: ItemSet, seen: ItemSet, request: Request) -> None:
    """Raise where a list holds an item that must not be recommended: a wrong list would only look like a bad one."""
    wrong = [item for item in row if item not in allowed or item in seen or item in request.exclude]
    if wrong:
        raise InvalidInputError(
            f"recommend_many must answer with candidates the user has not clicked; got {shown(wrong[0])} for "
            f"{shown(request)}. "
            "Leave out what is not in `candidates`, is in `exclude` of the request, or was clicked in training."
        )


def _revealed_clicks(split: Split) -> int:
    """Return the number of clicks of each cold item or user that the recommender knows."""
    return split.cold_clicks if split.revealed is None else int(np.bincount(split.revealed.user_index).max())
