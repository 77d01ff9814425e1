"""Splits drawn at random: held-out pairs, cold items, cold users, and items and users with their first clicks."""

import numpy as np

from coldstart._arrays import Rng, check_between, generator
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.data.splits._draw import (
    DROPPED,
    REVEALED,
    TRAIN,
    assemble,
    by_pair,
    chosen_ids,
    pair_of,
    random_rank_within,
    shares,
    without_new_users,
)


def random(
    catalog: Catalog, clicks: Interactions, *, validation: float = 0.1, test: float = 0.1, rng: Rng = 0
) -> Split:
    """Hold out pairs of user and item at random: the easiest task, in which nothing is cold.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    validation, test : float
        Shares of the pairs, from 0 to 1, together below 1.
    rng : int, SeedSequence or Generator

    Raises
    ------
    InvalidInputError
        When a share is out of range, a click is on an unknown item, or a part would be empty.

    Notes
    -----
    Held-out clicks of users without a training click are dropped: ``user_cold`` is about those.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> random(tiny_catalog(), tiny_clicks(), test=0.25)
    Split(random(rng=0): clicks 16 train, 2 validation, 6 test; 8 items)
    """
    parts = without_new_users(clicks, by_pair(clicks, validation, test, generator(rng)))
    return assemble(f"random(rng={rng!r})", catalog, clicks, parts)


def item_cold(
    catalog: Catalog, clicks: Interactions, *, validation: float = 0.1, test: float = 0.1, rng: Rng = 0
) -> Split:
    """Hold out all clicks on some items, and as large a share of the clicks on the others.

    The task of a shop with new items: how good are its lists among cold, warm and all items?

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    validation, test : float
        Shares of the clicked items that go cold, and of the pairs on the other items, from 0 to 1, together below 1.
    rng : int, SeedSequence or Generator

    Raises
    ------
    InvalidInputError
        When a share is out of range, a click is on an unknown item, or a part would be empty.

    Notes
    -----
    Only items that somebody clicked can go cold. The text of a cold item is visible to ``fit``, its clicks are not.
    Held-out clicks of users without a training click are dropped.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> split = item_cold(tiny_catalog(), tiny_clicks(), test=0.25)
    >>> len(split.cold_items)
    3
    """
    random = generator(rng)
    of_item = shares(len(clicks.items), validation, test, random)
    cold = of_item != TRAIN
    parts = of_item[clicks.item_index]
    warm = np.flatnonzero(parts == TRAIN)
    parts[warm] = by_pair(clicks.take(warm), validation, test, random)
    parts = without_new_users(clicks, parts)
    return assemble(f"item_cold(rng={rng!r})", catalog, clicks, parts, cold_items=chosen_ids(clicks.items, cold))


def user_cold(
    catalog: Catalog, clicks: Interactions, *, validation: float = 0.1, test: float = 0.1, rng: Rng = 0
) -> Split:
    """Hold out all clicks of some users, whose requests are empty: the first visit.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    validation, test : float
        Shares of the users, from 0 to 1, together below 1.
    rng : int, SeedSequence or Generator

    Raises
    ------
    InvalidInputError
        When a share is out of range, a click is on an unknown item, or a part would be empty.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> user_cold(tiny_catalog(), tiny_clicks(), validation=0.0, test=0.25)
    Split(user_cold(rng=0): clicks 18 train, 6 test; 8 items, 2 cold users)
    """
    of_user = shares(len(clicks.users), validation, test, generator(rng))
    cold_users = chosen_ids(clicks.users, of_user != TRAIN)
    return assemble(f"user_cold(rng={rng!r})", catalog, clicks, of_user[clicks.user_index], cold_users=cold_users)


def k_click(
    catalog: Catalog,
    clicks: Interactions,
    *,
    k: int,
    most: int = 10,
    validation: float = 0.1,
    test: float = 0.1,
    rng: Rng = 0,
) -> Split:
    """Hold out all clicks of some users but ``k``, which are the history of their requests: how fast lists improve.

    For one ``rng`` and ``most``, all ``k`` have the same users and the same test clicks.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    k : int
        Clicks of each such user in the request, from 0 to ``most``.
    most : int
        The largest ``k`` to compare with: that many clicks of each such user, drawn at random, are not test clicks for
        any ``k``. Users with fewer than ``most + 1`` items are not drawn.
    validation, test : float
        Shares of the users, from 0 to 1, together below 1.
    rng : int, SeedSequence or Generator

    Raises
    ------
    InvalidInputError
        When an argument is out of range, a click is on an unknown item, or a part would be empty.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> k_click(tiny_catalog(), tiny_clicks(), k=1, most=2, validation=0.0, test=0.25)
    Split(k_click(k=1, rng=0): clicks 18 train, 2 test, 2 revealed; 8 items, 2 cold users)
    """
    check_between("most", most, 0, 10**9)
    check_between("k", k, 0, most)
    random = generator(rng)
    rank = random_rank_within(clicks.user_index, pair_of(clicks), random)
    # A user with a click of rank `most` has at least most + 1 items, so one is left to test.
    enough = np.flatnonzero(np.bincount(clicks.user_index[rank == most], minlength=len(clicks.users)))
    of_user = np.full(len(clicks.users), TRAIN, dtype=np.int64)
    of_user[enough] = shares(len(enough), validation, test, random, out_of=len(clicks.users))
    parts = of_user[clicks.user_index]
    pool = (parts != TRAIN) & (rank < most)
    parts[pool] = np.where(rank[pool] < k, REVEALED, DROPPED)
    return assemble(
        f"k_click(k={k}, rng={rng!r})", catalog, clicks, parts, cold_users=chosen_ids(clicks.users, of_user != TRAIN)
    )


def warm_up(
    catalog: Catalog,
    clicks: Interactions,
    *,
    k: int,
    most: int = 10,
    at_least: int | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    rng: Rng = 0,
) -> Split:
    """Hold out all clicks on some items but ``k``, which are training clicks: how a new item fares as it warms up.

    For one ``rng`` and ``most``, all ``k`` have the same items and the same test clicks.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    k : int
        Training clicks on each such item, from 0 to ``most``.
    most : int
        The largest ``k`` to compare with: that many clicks on each such item, drawn at random, are not test clicks for
        any ``k``.
    at_least : int, optional
        Users who must have clicked an item for it to be drawn, by default ``most + 5``.
    validation, test : float
        Shares of those items, from 0 to 1, together below 1.
    rng : int, SeedSequence or Generator

    Raises
    ------
    InvalidInputError
        When an argument is out of range, a click is on an unknown item, or a part would be empty.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> warm_up(tiny_catalog(), tiny_clicks(), k=1, most=1, at_least=3, validation=0.0, test=0.25)
    Split(warm_up(k=1, rng=0): clicks 20 train, 4 test; 8 items, 2 cold items)
    """
    check_between("most", most, 0, 10**9)
    check_between("k", k, 0, most)
    at_least = most + 5 if at_least is None else at_least
    check_between("at_least", at_least, most + 1, 10**9)
    random = generator(rng)
    rank = random_rank_within(clicks.item_index, pair_of(clicks), random)
    enough = np.flatnonzero(np.bincount(clicks.item_index[rank == at_least - 1], minlength=len(clicks.items)))
    of_item = np.full(len(clicks.items), TRAIN, dtype=np.int64)
    of_item[enough] = shares(len(enough), validation, test, random)
    # Before the k clicks become training clicks: who is an evaluation user must not depend on k.
    parts = without_new_users(clicks, of_item[clicks.item_index])
    pool = (parts != TRAIN) & (rank < most)
    parts[pool] = np.where(rank[pool] < k, TRAIN, DROPPED)
    cold = chosen_ids(clicks.items, of_item != TRAIN)
    return assemble(f"warm_up(k={k}, rng={rng!r})", catalog, clicks, parts, cold_items=cold, cold_clicks=k)
