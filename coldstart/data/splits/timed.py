"""Splits along time."""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from coldstart._arrays import AnyArray, generator
from coldstart._messages import shown
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.data.splits._draw import (
    TEST,
    TRAIN,
    VALIDATION,
    assemble,
    first_of_each_pair,
    rank_within,
    shares,
    without_new_users,
)
from coldstart.data.tables import pick
from coldstart.data.times import as_seconds
from coldstart.errors import ColdstartWarning, InvalidInputError


def by_time(
    catalog: Catalog,
    clicks: Interactions,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    cuts: tuple[Any, Any] | None = None,
    since: str | None = None,
    new_users: bool = False,
) -> Split:
    """Train on the clicks before a date, test on those after it: the only split without a glimpse of the future.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
        With times.
    validation, test : float
        Shares of the clicks, the last ones in time, from 0 to 1, together below 1.
    cuts : pair of numbers (seconds since 1970) or dates, optional
        Begin of the validation part and of the test part, instead of shares. Equal ones: no validation part.
    since : str, optional
        Column of the catalogue with the time an item was added; an earlier click counts as that time. By default its
        first click; an item that nobody ever clicked counts as old.
    new_users : bool
        Whether users without a training click are evaluation users too; their requests are empty.

    Raises
    ------
    InvalidInputError
        When clicks have no time, an argument is out of range, or a part would be empty.

    Notes
    -----
    Items added after the first cut are ``arrivals``, so that means and vocabularies are learned from the past alone.
    Of repeated clicks of a user on an item, the first counts.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> by_time(tiny_catalog(), tiny_clicks(), cuts=(3, 3), new_users=True)
    Split(by_time(): clicks 18 train, 6 test; 8 items, 2 cold users)
    """
    if clicks.time is None:
        raise InvalidInputError("`clicks` must have times for by_time. Make them with from_frame(..., time='column').")
    # A pair with clicks on both sides of the cut would be learned and then tested.
    clicks = clicks.take(first_of_each_pair(clicks))
    times: AnyArray = np.asarray(clicks.time)
    first, second = _cuts_of_shares(times, validation, test) if cuts is None else _checked_cuts(cuts)
    parts = np.where(times < first, TRAIN, np.where(times < second, VALIDATION, TEST))
    added = _first_clicks(clicks, times)
    if since is not None:
        column = pick(catalog.columns, since, "Catalog")
        stated = zip(catalog.ids, as_seconds(column, since), strict=True)
        added = {item: min(seconds, added.get(item, np.inf)) for item, seconds in stated}
    is_arrival = np.array([added.get(item, -np.inf) >= first for item in catalog.ids], dtype=bool)
    if is_arrival.all():
        raise InvalidInputError(
            f"by_time() leaves no train clicks: all items came after the first cut, {first:,.0f}. "
            "Give it more clicks or other shares."
        )
    train = clicks.take(parts == TRAIN)
    untrained = frozenset(clicks.users).difference(train.users)
    return assemble(
        "by_time()",
        catalog.take(np.flatnonzero(~is_arrival)),
        clicks,
        parts if new_users else without_new_users(clicks, parts),
        cold_items=frozenset(clicks.items).difference(train.items),
        cold_users=untrained if new_users else frozenset(),
        arrivals=catalog.take(np.flatnonzero(is_arrival)) if is_arrival.any() else None,
        cut=float(first),
        since=added,
    )


def leave_last_out(catalog: Catalog, clicks: Interactions) -> Split:
    """Hold out each user's last click for the test and the one before for validation; warns that this leaks.

    Clicks of other users after a user's last click are training clicks: a glimpse of the future (Ji et al. 2023, "A
    critical study on data leakage in recommender system offline evaluation"). ``by_time`` has none.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
        Without times the rows of a user are taken to be in order. Of repeated clicks of a user on an item, the first
        counts. All clicks of users with fewer than 3 items are training clicks.

    Raises
    ------
    InvalidInputError
        When a click is on an unknown item, or a part would be empty.

    Warns
    -----
    ColdstartWarning
        Always.

    Examples
    --------
    >>> import warnings
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     leave_last_out(tiny_catalog(), tiny_clicks())
    Split(leave_last_out(): clicks 8 train, 8 validation, 8 test; 8 items)
    """
    warnings.warn(
        "leave_last_out leaks: a user's held-out click is earlier than clicks of others that are learned from. "
        "Use splits.by_time for numbers to rely on.",
        ColdstartWarning,
        stacklevel=2,
    )
    clicks = clicks.take(first_of_each_pair(clicks))
    times = np.arange(len(clicks)) if clicks.time is None else np.asarray(clicks.time)
    # Rows by time, at equal times by row; argsort of an order is the rank of each row in it.
    rank = np.lexsort((np.arange(len(clicks)), times)).argsort()
    from_last = rank_within(clicks.user_index, -rank)
    counts = np.bincount(clicks.user_index)[clicks.user_index]
    parts = np.where(from_last == 0, TEST, np.where(from_last == 1, VALIDATION, TRAIN))
    return assemble("leave_last_out()", catalog, clicks, np.where(counts < 3, TRAIN, parts))


def _cuts_of_shares(times: AnyArray, validation: float, test: float) -> tuple[float, float]:
    """Return the two times after which these shares of the clicks are; clicks of one time stay together."""
    parts = shares(len(times), validation, test, generator(0))  # for the checks and the rounding; only counts matter
    later = np.append(np.sort(times), np.inf)
    n_test, n_held_out = int((parts == TEST).sum()), int((parts != TRAIN).sum())
    return float(later[len(times) - n_held_out]), float(later[len(times) - n_test])


def _checked_cuts(cuts: Any) -> tuple[float, float]:
    """Return two times, in order, as seconds since 1970."""
    if isinstance(cuts, str) or not isinstance(cuts, Sequence | np.ndarray) or len(cuts) != 2:
        raise InvalidInputError(f"`cuts` must be two times, the begin of validation and of test; got {shown(cuts)}.")
    first, second = as_seconds(list(cuts), "cuts")
    if first > second:
        raise InvalidInputError(f"`cuts` must be in order; got {shown(cuts)}.")
    return float(first), float(second)


def _first_clicks(clicks: Interactions, times: AnyArray) -> dict[Hashable, float]:
    """Return the time of the first click on each item."""
    first = np.full(len(clicks.items), np.inf)
    np.minimum.at(first, clicks.item_index, times)
    return dict(zip(clicks.items, first.tolist(), strict=True))
