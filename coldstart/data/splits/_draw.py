"""Deal clicks, items or users out to the parts of a split."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, IntArray, check_between
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError

TRAIN, VALIDATION, TEST, REVEALED, NOWHERE = range(5)


def assemble(name: str, catalog: Catalog, clicks: Interactions, parts: AnyArray, **facts: Any) -> Split:
    """Put the rows where ``parts`` says."""
    train, validation, test, revealed = (clicks.take(parts == part) for part in (TRAIN, VALIDATION, TEST, REVEALED))
    facts |= {"validation": validation if len(validation) else None, "revealed": revealed if len(revealed) else None}
    return Split(name, catalog, train, test, **facts)


def asking_known(clicks: Interactions, parts: AnyArray) -> AnyArray:
    """Parts without the held-out rows of users who have no training row."""
    there = np.bincount(clicks.user_index[parts == TRAIN], minlength=len(clicks.users)) > 0
    held = (parts == VALIDATION) | (parts == TEST)
    return np.where(held & ~there[clicks.user_index], NOWHERE, parts)


def shares(n: int, validation: float, test: float, rng: np.random.Generator, out_of: int | None = None) -> IntArray:
    """Part of each of ``n`` things, so that the shares (of ``out_of`` things) hold exactly."""
    for name, share in (("validation", validation), ("test", test)):
        check_between(name, share, 0.0, 1.0)
    if validation + test >= 1.0:
        raise InvalidInputError(f"`validation` and `test` must be below 1 together; got {validation} and {test}.")
    total = n if out_of is None else out_of
    n_test, n_validation = round(test * total), round(validation * total)
    parts = np.full(n, TRAIN, dtype=np.int64)
    order = rng.permutation(n)
    parts[order[:n_test]] = TEST
    parts[order[n_test : n_test + n_validation]] = VALIDATION
    return parts


def by_pair(clicks: Interactions, validation: float, test: float, rng: np.random.Generator) -> IntArray:
    """Part of each row, drawn by (user, item) pair."""
    pair = pair_of(clicks)
    return shares(int(pair.max(initial=-1)) + 1, validation, test, rng)[pair]


def pair_of(clicks: Interactions) -> IntArray:
    """Number of each row's (user, item) pair."""
    code = clicks.user_index * len(clicks.items) + clicks.item_index
    pair: IntArray = np.unique(code, return_inverse=True)[1]
    return pair


def first_of_each_pair(clicks: Interactions) -> IntArray:
    """Rows that are the earliest of their pair, in row order."""
    times = np.zeros(len(clicks)) if clicks.time is None else clicks.time
    order = np.argsort(times, kind="stable")
    return np.sort(order[np.unique(pair_of(clicks)[order], return_index=True)[1]])


def order_within(owner: IntArray, pair: IntArray, rng: np.random.Generator) -> IntArray:
    """Place of each row's pair in a random order of its owner's pairs, from 0."""
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    place = position_within(owner[first], rng.permutation(len(first)))
    return place[inverse]


def position_within(owner: IntArray, key: AnyArray) -> IntArray:
    """Place of each row among the rows of its owner by ascending key, from 0."""
    order = np.lexsort((key, owner))
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    place = np.empty(len(owner), dtype=np.int64)
    place[order] = np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))
    return place


def chosen_ids(ids: Sequence[Hashable], chosen: AnyArray) -> frozenset[Hashable]:
    """Ids where ``chosen`` is true."""
    return frozenset(ids[at] for at in np.flatnonzero(chosen).tolist())
