"""Assign clicks, items or users to the parts of a split.

Here ``parts`` is the part of each click, and a pair is a user with an item: its clicks are never separated.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, IntArray, check_between
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError

TRAIN, VALIDATION, TEST, REVEALED, DROPPED = range(5)


def assemble(name: str, catalog: Catalog, clicks: Interactions, parts: AnyArray, **facts: Any) -> Split:
    """Return the split whose clicks ``parts`` assigns; ``facts`` are other attributes of ``Split``."""
    train, validation, test, revealed = (clicks.take(parts == part) for part in (TRAIN, VALIDATION, TEST, REVEALED))
    facts |= {"validation": validation if len(validation) else None, "revealed": revealed if len(revealed) else None}
    return Split(name, catalog, train, test, **facts)


def without_new_users(clicks: Interactions, parts: AnyArray) -> AnyArray:
    """Return the parts with the held-out clicks of users without a training click dropped."""
    trained = np.bincount(clicks.user_index[parts == TRAIN], minlength=len(clicks.users)) > 0
    held_out = (parts == VALIDATION) | (parts == TEST)
    return np.where(held_out & ~trained[clicks.user_index], DROPPED, parts)


def shares(n: int, validation: float, test: float, rng: np.random.Generator, out_of: int | None = None) -> IntArray:
    """Draw the part of each of ``n`` items, users or pairs, shape (n,).

    Exactly the rounded shares are drawn, not each with that probability: small sets keep the shares asked for.

    Parameters
    ----------
    n : int
    validation, test : float
        Shares of ``out_of``, by default of ``n``.
    rng : Generator
    out_of : int, optional
    """
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
    """Draw the part of each click by pair, so that repeated clicks stay together: one in each part would be a leak."""
    pair = pair_of(clicks)
    return shares(int(pair.max(initial=-1)) + 1, validation, test, rng)[pair]


def pair_of(clicks: Interactions) -> IntArray:
    """Return the number of each click's pair, from 0."""
    code = clicks.user_index * len(clicks.items) + clicks.item_index
    pair: IntArray = np.unique(code, return_inverse=True)[1]
    return pair


def first_of_each_pair(clicks: Interactions) -> IntArray:
    """Return the rows of the earliest click of each pair, ascending."""
    times = np.zeros(len(clicks)) if clicks.time is None else clicks.time
    order = np.argsort(times, kind="stable")
    # `unique` returns the first of equal values: in order of time the earliest.
    return np.sort(order[np.unique(pair_of(clicks)[order], return_index=True)[1]])


def random_rank_within(owner: IntArray, pair: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the rank of each click's pair in a random order of its owner's pairs, from 0.

    The first k of it are the k clicks to reveal. So those for a smaller k are among those for a larger one, and the
    clicks from rank ``most`` on are test clicks for every k: results for several k can be compared.
    """
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    rank = rank_within(owner[first], rng.permutation(len(first)))
    return rank[inverse]


def rank_within(owner: IntArray, key: AnyArray) -> IntArray:
    """Return the rank of each row among the rows of its owner (a user or item) by ascending key, from 0."""
    order = np.lexsort((key, owner))
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    rank = np.empty(len(owner), dtype=np.int64)
    # In that order the rows of an owner are consecutive, so ranks count from the first of them.
    rank[order] = np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))
    return rank


def chosen_ids(ids: Sequence[Hashable], chosen: AnyArray) -> frozenset[Hashable]:
    """Return the ids where ``chosen`` is true."""
    return frozenset(ids[at] for at in np.flatnonzero(chosen).tolist())
