"""Check and convert the arguments of a recommender's methods, before anything is computed or changed."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, cast

from coldstart._arrays import check_between
from coldstart._messages import shown
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions, OnUnknown
from coldstart.data.requests import Request
from coldstart.data.tables import ColumnName, Table, id_tuple
from coldstart.errors import InvalidInputError

RequestLike: TypeAlias = Request | str | Mapping[str, Any]
"""A ``Request``, a query, or a mapping of the arguments of a ``Request``."""


def as_catalog(
    catalog: Catalog | Table,
    id: ColumnName | None = None,
    fields: Sequence[ColumnName] | None = None,
    added: ColumnName | None = None,
) -> Catalog:
    """Return the catalogue, or make one of a table and the names of its columns, see ``Catalog.from_frame``.

    Raises
    ------
    InvalidInputError
        When a table is given without ``id`` or ``fields``, or a catalogue with names of columns.
    """
    columns = {"id": id, "fields": fields, "added": added}
    if isinstance(catalog, Catalog):
        _check_no_columns(columns, "a Catalog, which has its own")
        return catalog
    if id is None or fields is None:
        raise InvalidInputError(
            f"`catalog` must be a Catalog, or a table with id= and fields=; got {_described(catalog, columns)}. "
            "Make one: Catalog.from_frame(table, id='id column', fields=['title', ...]), "
            "or pass the same id= and fields= along with the table."
        )
    return Catalog.from_frame(catalog, id=id, fields=fields, added=added)


def encoder_per_field(encoder: Encoder | Mapping[str, Encoder], catalog: Catalog) -> dict[str, Encoder]:
    """Return the encoder of each field.

    Raises
    ------
    InvalidInputError
        When not exactly the fields of the catalogue are named.
    """
    encoders = dict(encoder) if isinstance(encoder, Mapping) else dict.fromkeys(catalog.fields, encoder)
    if set(encoders) != set(catalog.fields):
        raise InvalidInputError(
            f"`encoder` must name the fields of the catalogue, {list(catalog.fields)}; got {list(encoders)}."
        )
    return {name: encoders[name] for name in catalog.fields}


def as_interactions(
    interactions: Interactions | Table | None,
    user: ColumnName | None = None,
    item: ColumnName | None = None,
    weight: ColumnName | None = None,
    time: ColumnName | None = None,
) -> Interactions | None:
    """Return the interactions, or make them of a table and the names of its columns; None stays None.

    Raises
    ------
    InvalidInputError
        When a table is given without ``user`` or ``item``, or anything else with names of columns.
    """
    columns = {"user": user, "item": item, "weight": weight, "time": time}
    if interactions is None:
        _check_no_columns(columns, "no interactions")
        return None
    if isinstance(interactions, Interactions):
        _check_no_columns(columns, "Interactions, which have their own")
        return interactions
    if user is None or item is None:
        got = _described(interactions, columns)
        raise InvalidInputError(
            f"`interactions` must be Interactions, or a table with user= and item=; got {got}. "
            "Make them: Interactions.from_frame(table, user='user column', item='item column'), "
            "or pass the same user= and item= along with the table."
        )
    return Interactions.from_frame(interactions, user=user, item=item, weight=weight, time=time)


def checked_clicks(interactions: Interactions, catalog: Catalog, on_unknown: OnUnknown) -> Interactions:
    """Return the clicks on items of the catalogue.

    Raises
    ------
    InvalidInputError
        When they are no ``Interactions``, or clicks are on unknown items and ``on_unknown`` is "error".
    """
    if not isinstance(interactions, Interactions):
        raise InvalidInputError(
            f"`interactions` must be Interactions; got {type(interactions).__name__}. "
            "Make them: Interactions.from_frame(table, user='user column', item='item column')."
        )
    return interactions.within(catalog, on_unknown)


def as_requests(requests: Iterable[RequestLike] | None, users: Iterable[Hashable] | None) -> list[Request]:
    """Return a list of requests, or of one for each of some known users.

    Raises
    ------
    InvalidInputError
        When both or none are given, or one of them is no request.
    """
    _check_either(requests, users, "recommend_many")
    if requests is None:
        return [Request(user=user) for user in id_tuple(users, "users")]
    _check_iterable("requests", requests)
    return [_as_request(one) for one in requests]


def as_request_batches(
    requests: Iterable[RequestLike] | None, users: Iterable[Hashable] | None, size: int
) -> Iterator[list[Request]]:
    """Return batches of requests, or of one for each of some known users; each is read when it is asked for.

    Raises
    ------
    InvalidInputError
        At the call when both or none are given, they are no iterable, or ``size`` is out of range; with its batch when
        one of them is no request.
    """
    _check_either(requests, users, "recommend_stream")
    check_between("batch_size", size, 1, 1_000_000)
    name, given = ("requests", requests) if users is None else ("users", users)
    _check_iterable(name, given)
    batches = _in_batches(iter(cast("Iterable[Any]", given)), size)
    return (as_requests(None, batch) if requests is None else as_requests(batch, None) for batch in batches)


def _as_request(one: Any) -> Request:
    """Return a request, made of a query or of a mapping where it is one."""
    if isinstance(one, Request):
        return one
    if isinstance(one, str):
        return Request(query=one)
    if isinstance(one, Mapping):
        return Request(**{str(name): value for name, value in one.items()})
    raise InvalidInputError(
        f"`requests` must hold Request objects, queries or dicts; got {shown(one)}. "
        "Pass users=[...] for known users, Request(history=[...]) for people who like some items."
    )


def _check_iterable(name: str, given: Any) -> None:
    """Raise unless it is an iterable of several things: a text would be read letter by letter, a mapping by keys."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise InvalidInputError(f"`{name}` must be an iterable; got {shown(given)}. Pass [{shown(given)}].")


def _check_no_columns(columns: Mapping[str, Any], got: str) -> None:
    """Raise when names of columns are given beside something that is no table."""
    named = [name for name, column in columns.items() if column is not None]
    if named:
        listed = ", ".join(f"{name}=" for name in named)
        raise InvalidInputError(f"{listed} of Recommender.fit names columns of a table; got {got}. Leave it out.")


def _described(given: Any, columns: Mapping[str, Any]) -> str:
    """Return the type of an argument and the columns named with it, for a message."""
    named = [f"{name}={shown(column)}" for name, column in columns.items() if column is not None]
    return " with ".join([type(given).__name__, *([", ".join(named)] if named else [])])


def _in_batches(rest: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of the next ``size`` values; only one is in memory."""
    while batch := list(islice(rest, size)):
        yield batch


def _check_either(requests: object, users: object, method: str) -> None:
    """Raise unless exactly one of them is given."""
    if (requests is None) == (users is None):
        got = f"{type(requests).__name__} and users={type(users).__name__}"
        raise InvalidInputError(f"{method} takes either requests or users=; got {got}.")
