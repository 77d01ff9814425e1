"""A split for evaluation that checks itself for leaks from the test part into the training part."""

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from coldstart._messages import shown
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.tables import some
from coldstart.errors import InvalidInputError

Protocol: TypeAlias = Literal["clean", "coldrec", "aldi"]

_Class = TypeVar("_Class", bound=type)

_RENAMED = "`told` of Split is now called `new_items_known`."


def _accepts_told(cls: _Class) -> _Class:
    """Let a class take ``told=``, the former name of ``new_items_known``, with a DeprecationWarning."""
    made: Any = cls
    init: Callable[..., None] = made.__init__

    @functools.wraps(init)
    def accepting(self: Any, *args: Any, **kwargs: Any) -> None:
        if "told" in kwargs:
            warnings.warn(_RENAMED, DeprecationWarning, stacklevel=2)
            # Under `dataclasses.replace` both names are there: the field with its old value, and `told` with the new.
            kwargs["new_items_known"] = kwargs.pop("told")
        init(self, *args, **kwargs)

    made.__init__ = accepting
    return cls


@_accepts_told
@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Training, validation and test clicks of one catalogue; a leak between them is an error.

    The functions of ``coldstart.splits`` make them.

    Attributes
    ----------
    name : str
        How it was made.
    catalog : Catalog
        The items that are visible when ``fit`` runs.
    train, test : Interactions
    validation : Interactions or None
        Held-out clicks to choose settings by; None when there is no such part.
    cold_items : frozenset of item ids
        Items that ``fit`` sees without clicks (or with at most ``cold_clicks``).
    cold_clicks : int
        Training clicks that a cold item may have: 0, except in a warm-up.
    cold_users : frozenset of user ids
        Users without a training click.
    revealed : Interactions or None
        Clicks of cold users that are given as the history of their requests.
    arrivals : Catalog or None
        Items that come after the cut: added after ``fit``, before the first request.
    cut : float or None
        Seconds since 1970; training clicks are before it, all others at it or later.
    since : mapping of item id to float, or None
        When each item was added, in seconds since 1970, where that is known; needed with ``cut``.
    protocol : {"clean", "coldrec", "aldi"}
        Which candidates and masks ``evaluate`` uses; see there.
    new_items_known : bool
        Whether ``evaluate`` fits a ``Recommender`` with ``fit(new=cold_items)``, as one knows in use which items have
        just arrived. False: ``fit`` sees the cold items as old stock that nobody clicked.

    Raises
    ------
    InvalidInputError
        When something leaks: a pair in two parts, too many training clicks on a cold item, any of a cold user, a
        training click at the cut or later, a catalogue row from after it, or a cut without ``since``. Also when a
        click is on an unknown item.
    """

    name: str
    catalog: Catalog
    train: Interactions
    test: Interactions
    validation: Interactions | None = None
    cold_items: frozenset[Hashable] = frozenset()
    cold_clicks: int = 0
    cold_users: frozenset[Hashable] = frozenset()
    revealed: Interactions | None = None
    arrivals: Catalog | None = None
    cut: float | None = None
    since: Mapping[Hashable, float] | None = None
    protocol: Protocol = "clean"
    new_items_known: bool = True

    def __post_init__(self) -> None:
        if self.protocol not in get_args(Protocol):
            raise InvalidInputError(f"`protocol` must be one of {get_args(Protocol)}; got {shown(self.protocol)}.")
        for part in ("train", "test"):
            if not len(getattr(self, part)):
                raise InvalidInputError(f"{self.name} leaves no {part} clicks. Give it more clicks or other shares.")
        object.__setattr__(self, "cold_items", frozenset(self.cold_items))
        object.__setattr__(self, "cold_users", frozenset(self.cold_users))
        _check_items(self)
        _check_parts_are_apart(self)
        _check_cold_items(self)
        _check_cold_users(self)
        if self.cut is not None:
            _check_times(self, self.cut)

    def __repr__(self) -> str:
        parts = {name: getattr(self, name) for name in ("train", "validation", "test", "revealed")}
        counts = [f"{len(clicks):,} {name}" for name, clicks in parts.items() if clicks is not None]
        items = [f"{len(self.catalog):,} items"]
        items += [f"{len(self.arrivals):,} arrivals"] if self.arrivals is not None else []
        items += [f"{len(self.cold_items):,} cold items"] if self.cold_items else []
        items += [f"{len(self.cold_users):,} cold users"] if self.cold_users else []
        return f"Split({self.name}: clicks {', '.join(counts)}; {', '.join(items)})"

    @property
    def told(self) -> bool:
        """The former name of ``new_items_known``."""
        warnings.warn(_RENAMED, DeprecationWarning, stacklevel=2)
        return self.new_items_known

    @property
    def new(self) -> tuple[Hashable, ...]:
        """The new items to pass to ``fit(new=...)``: the cold ones, in the order of the catalogue.

        Empty for a split by time. There new items come as ``arrivals``, and to call items of the catalogue new would
        leak: only the future knows which items without clicks will be clicked.
        """
        if not self.new_items_known or self.cut is not None:
            return ()
        return tuple(item for item in self.catalog.ids if item in self.cold_items)

    @property
    def everything(self) -> Catalog:
        """The catalogue followed by the arrivals: all items that may be recommended."""
        return self.catalog if self.arrivals is None else self.catalog.joined(self.arrivals)


def _check_items(split: Split) -> None:
    """Check that every click is on an item of the catalogue or, outside ``train``, on an arrival."""
    after = split.everything
    for name, catalog in (("train", split.catalog), ("validation", after), ("test", after), ("revealed", after)):
        clicks: Interactions | None = getattr(split, name)
        unknown = [item for item in clicks.items if item not in catalog] if clicks is not None else []
        if unknown:
            raise InvalidInputError(
                f"Clicks of `{name}` must be on items of the catalogue; got {some(unknown)}. "
                "Add the items or drop the clicks: interactions.within(catalog.ids, 'drop')."
            )
    unknown = [item for item in split.cold_items if item not in after]
    if unknown:
        raise InvalidInputError(f"`cold_items` must be in the catalogue; got {some(unknown)}.")


def _check_parts_are_apart(split: Split) -> None:
    """Check that no pair of user and item is in two parts: it would be learned and then tested."""
    parts = {name: getattr(split, name) for name in ("train", "revealed", "validation", "test")}
    pairs = {name: set(clicks.pairs()) for name, clicks in parts.items() if clicks is not None}
    for (name, ones), (other, others) in combinations(pairs.items(), 2):
        shared = ones & others
        if shared:
            raise InvalidInputError(
                f"Leak: {len(shared):,} pairs of user and item are both in `{name}` and in `{other}`, "
                f"such as {shown(min(shared, key=repr))}. A pair belongs to one part."
            )


def _check_cold_items(split: Split) -> None:
    # A set: repeated clicks of one user on an item count once, as they do when splits draw them.
    counts = Counter(item for _, item in set(split.train.pairs()) if item in split.cold_items)
    too_many = {item: count for item, count in counts.items() if count > split.cold_clicks}
    if too_many:
        item, count = next(iter(too_many.items()))
        raise InvalidInputError(
            f"Leak: a cold item must have at most {split.cold_clicks} training clicks; {len(too_many):,} have more, "
            f"such as {shown(item)} with {count}."
        )


def _check_cold_users(split: Split) -> None:
    trained = split.cold_users.intersection(split.train.users)
    if trained:
        raise InvalidInputError(
            f"Leak: a cold user must have no training click; got some of {some(sorted(trained, key=repr))}."
        )
    revealed = () if split.revealed is None else split.revealed.users
    others = [user for user in revealed if user not in split.cold_users]
    if others:
        raise InvalidInputError(f"`revealed` must hold clicks of cold users; got some of {some(others)}.")


def _check_times(split: Split, cut: float) -> None:
    """Check that training clicks and catalogue are from before the cut, and held-out clicks from after it."""
    late = split.train.time is None or bool((split.train.time >= cut).any())
    if late:
        raise InvalidInputError(f"Leak: every training click must have a time before the cut, {cut:,.0f}.")
    for name in ("validation", "test", "revealed"):
        clicks = getattr(split, name)
        if clicks is not None and (clicks.time is None or (clicks.time < cut).any()):
            raise InvalidInputError(f"Every click of `{name}` must have a time at the cut, {cut:,.0f}, or after it.")
    if split.since is None:
        raise InvalidInputError("A split with a `cut` must know `since` when items are there; got None.")
    # Vocabularies and means are learned from the catalogue: texts of later items would be a glimpse of the future.
    future = [item for item in split.catalog.ids if split.since.get(item, -np.inf) >= cut]
    if future:
        raise InvalidInputError(
            f"Leak: {len(future):,} items of the catalogue come from after the cut: {some(future)}. "
            "Give them as `arrivals`."
        )
