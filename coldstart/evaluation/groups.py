"""The groups of an evaluation: overall, cold and warm, each with its users, candidates and relevant items."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from coldstart._messages import shown
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError

PartName: TypeAlias = Literal["test", "validation"]
ItemSet: TypeAlias = frozenset[Hashable]

ALDI_USERS = 2_000
"""Users of each group in the evaluation published with GAR and ALDI."""


@dataclass(frozen=True)
class Group:
    """One ranking task: the same candidates for all its users.

    Attributes
    ----------
    name : str
    candidates : list of item ids
        In the order of the catalogue. Training items of a user are never recommended to them besides.
    relevant : dict of user id to frozenset of item ids
        Held-out items among the candidates, by evaluation user; never empty.
    hidden : dict of user id to frozenset of item ids
        Further items that must not be recommended to a user.
    """

    name: str
    candidates: list[Hashable]
    relevant: dict[Hashable, ItemSet]
    hidden: dict[Hashable, ItemSet]


def groups_of(split: Split, names: Sequence[str] | None = None, part: PartName = "test") -> list[Group]:
    """Return the groups of a split that have evaluation users.

    * "warm": candidates are the items with training clicks that are not among the cold items.
    * "cold": candidates are the cold items.
    * "overall": both. Items without training clicks that are not among the cold items are never candidates: a split
      about new users or held-out clicks should not measure cold items by accident.

    Evaluation users of a group are those with held-out clicks on its candidates, which are the relevant items. Training
    items of a user are never recommended to them. The protocol of the split changes this:

    * protocol "clean": cold items of the other held-out part (validation, when the test part is measured) are no
      candidates. Their clicks are in no list of relevant items, so each would count as a miss, and recommenders would
      gain by hiding new items.
    * protocol "coldrec" (as item-cold splits are evaluated in publications): all cold items are candidates; "overall"
      has the whole catalogue as candidates, and the users who are in both other groups. "overall-clean" is "overall" by
      the clean rule.
    * protocol "aldi": as coldrec, with the first 2,000 users of each group, and all other held-out items of a user
      hidden.

    Raises
    ------
    InvalidInputError
        When a name or part is unknown, the split has no such part, or no group has evaluation users.
    """
    if part not in get_args(PartName):
        raise InvalidInputError(f"`part` must be one of {get_args(PartName)}; got {shown(part)}.")
    clicks: Interactions | None = getattr(split, part)
    if clicks is None:
        raise InvalidInputError(f"{split.name} has no {part} part. Make the split with one.")
    if names is None:
        names = ["overall", "cold", "warm"] if split.cold_items else ["overall"]
        names += ["overall-clean"] if split.protocol == "coldrec" and split.cold_items else []
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    candidates = _candidates(split, part)
    unknown = [name for name in names if name not in candidates]
    if unknown:
        raise InvalidInputError(f"`groups` must be out of {list(candidates)}; got {unknown}.")
    truth = truth_of(clicks)
    groups = {name: _group(name, split, truth, items) for name, items in candidates.items()}
    if split.protocol != "clean":
        # Overall has the users who are in both other groups.
        both = groups["warm"].relevant.keys() & groups["cold"].relevant.keys()
        relevant = {user: items for user, items in groups["overall"].relevant.items() if user in both}
        groups["overall"] = replace(groups["overall"], relevant=relevant)
    if split.protocol == "aldi":
        groups = {name: _as_aldi(split, group) for name, group in groups.items()}
    selected = [groups[name] for name in names if groups[name].relevant]
    if not selected:
        raise InvalidInputError(
            f"{split.name} has no evaluation users in {list(names)}: no {part} click is relevant there."
        )
    return selected


def truth_of(clicks: Interactions) -> dict[Hashable, ItemSet]:
    """Return the items that each user clicked, users in order of their first click."""
    truth: dict[Hashable, set[Hashable]] = {}
    for user, item in clicks.pairs():
        truth.setdefault(user, set()).add(item)
    return {user: frozenset(items) for user, items in truth.items()}


def _candidates(split: Split, part: PartName) -> dict[str, ItemSet]:
    """Return the candidates of each group."""
    warm, cold = frozenset(split.train.items) - split.cold_items, split.cold_items
    clean_cold = cold - _cold_of_other_part(split, part)
    clean = {"overall": warm | clean_cold, "cold": clean_cold, "warm": warm, "overall-clean": warm | clean_cold}
    if split.protocol == "clean":
        return clean
    return clean | {"overall": frozenset(split.everything.ids), "cold": cold}


def _cold_of_other_part(split: Split, part: PartName) -> ItemSet:
    """Return the cold items whose clicks are in the other held-out part only."""
    other = split.validation if part == "test" else split.test
    measured: Interactions = getattr(split, part)
    return split.cold_items.intersection(() if other is None else other.items).difference(measured.items)


def _group(name: str, split: Split, truth: dict[Hashable, ItemSet], items: ItemSet) -> Group:
    """Return the group of the users with held-out clicks on some candidates."""
    relevant = {user: held_out & items for user, held_out in truth.items() if held_out & items}
    return Group(name, [item for item in split.everything.ids if item in items], relevant, {})


def _as_aldi(split: Split, group: Group) -> Group:
    """Return the first users of a group, with all held-out items that are not relevant in it hidden."""
    # By number where ids are numbers, of any type: shorter ids are smaller.
    users = sorted(group.relevant, key=lambda user: (len(str(user)), str(user)))[:ALDI_USERS]
    parts = [truth_of(clicks) for clicks in (split.validation, split.test) if clicks is not None]
    held_out = {user: frozenset().union(*(part.get(user, frozenset()) for part in parts)) for user in users}
    return replace(
        group,
        relevant={user: group.relevant[user] for user in users},
        hidden={user: held_out[user] - group.relevant[user] for user in users},
    )
