"""What the methods of a recommender were given, checked before anything is done."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from coldstart._arrays import check_between
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions, OnUnknown
from coldstart.data.requests import Request
from coldstart.data.tables import id_tuple
from coldstart.errors import InvalidInputError


def checked_catalog(catalog: Catalog) -> Catalog:
    """Return the catalogue.

    Raises
    ------
    InvalidInputError
        When it is something else.
    """
    if not isinstance(catalog, Catalog):
        raise InvalidInputError(
            f"`catalog` must be a Catalog; got {type(catalog).__name__}. "
            "Make one: Catalog.from_frame(table, id='id column', fields=['title', ...])."
        )
    return catalog


def encoder_per_field(encoder: Encoder | Mapping[str, Encoder], catalog: Catalog) -> dict[str, Encoder]:
    """Return the encoder of each field.

    Raises
    ------
    InvalidInputError
        When other fields are named than the catalogue has, or one is no encoder.
    """
    encoders = dict(encoder) if isinstance(encoder, Mapping) else dict.fromkeys(catalog.fields, encoder)
    if set(encoders) != set(catalog.fields):
        raise InvalidInputError(
            f"`encoder` must name the fields of the catalogue, {list(catalog.fields)}; got {list(encoders)}."
        )
    for one in encoders.values():
        if isinstance(one, str | type) or not hasattr(one, "encode"):
            raise InvalidInputError(f"`encoder` must have a method encode; got {one!r}. Pass TextEncoder().")
    return {name: encoders[name] for name in catalog.fields}


def checked_clicks(interactions: Interactions, catalog: Catalog, on_unknown: OnUnknown) -> Interactions:
    """Return the clicks on items of the catalogue.

    Raises
    ------
    InvalidInputError
        When it is something else, or clicks are on unknown items and ``on_unknown`` is "error".
    """
    if not isinstance(interactions, Interactions):
        raise InvalidInputError(
            f"`interactions` must be Interactions; got {type(interactions).__name__}. "
            "Make them: Interactions.from_frame(table, user='user column', item='item column')."
        )
    return interactions.within(catalog, on_unknown)


def checked_batch(requests: Iterable[Request] | None, users: Iterable[Hashable] | None) -> list[Request]:
    """Return requests, or one for each known user.

    Raises
    ------
    InvalidInputError
        When both or none are given, or something is no request.
    """
    _check_either(requests, users, "recommend_many")
    batch = [Request(user=user) for user in id_tuple(users, "users")] if requests is None else list(requests)
    for request in batch:
        if not isinstance(request, Request):
            raise InvalidInputError(f"`requests` must hold Request objects; got {request!r}. Pass Request(user=...).")
    return batch


def checked_batches(
    requests: Iterable[Request] | None, users: Iterable[Hashable] | None, size: int
) -> Iterator[list[Request]]:
    """Return batches of requests, or of one for each known user, made when they are asked for.

    Raises
    ------
    InvalidInputError
        At once when both or none are given, they are no iterable, or ``size`` is out of range; with its batch when
        something is no request.
    """
    _check_either(requests, users, "recommend_stream")
    check_between("batch_size", size, 1, 1_000_000)
    name, given = ("requests", requests) if users is None else ("users", users)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidInputError(f"`{name}` must be an iterable; got {given!r}. Pass [{given!r}].")
    cut = _cut(iter(given), size)
    return (checked_batch(None, batch) if requests is None else checked_batch(batch, None) for batch in cut)


def _cut(rest: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(rest, size)):
        yield batch


def _check_either(requests: object, users: object, method: str) -> None:
    if (requests is None) == (users is None):
        got = f"{type(requests).__name__} and users={type(users).__name__}"
        raise InvalidInputError(f"{method} takes either requests or users=; got {got}.")
