"""Who is asked what: the users, candidates and truths of each group of a split."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError

PartName: TypeAlias = Literal["test", "validation"]
ItemSet: TypeAlias = frozenset[Hashable]

ALDI_USERS = 2_000
"""How many users of each group the evaluation published with GAR and ALDI looks at."""


@dataclass(frozen=True)
class Group:
    """One question.

    Attributes
    ----------
    name : str
    candidates : list of item ids
        In the order of the catalogue; the user's own training items are left out of the answer besides.
    relevant : dict of user id to frozenset of item ids
        What each user should find; never empty.
    hidden : dict of user id to frozenset of item ids
        Further items that must not be answered.
    """

    name: str
    candidates: list[Hashable]
    relevant: dict[Hashable, ItemSet]
    hidden: dict[Hashable, ItemSet]


def groups_of(split: Split, names: Sequence[str] | None = None, part: PartName = "test") -> list[Group]:
    """Return the groups of a split, without those that have nobody to ask.

    * "warm": candidates are the items with training clicks that are not called cold.
    * "cold": candidates are the cold items.
    * "overall": both. Items that nobody clicked, and that are not called cold, never compete: a split about new users
      or about held-out clicks does not ask about them by accident.

    Asked is everyone with a held-out click on a candidate; those clicks are what should be found. Training clicks of
    the user are never candidates. The protocol of the split changes this:

    * protocol "clean": cold items of the other part (validation, when the test is asked) are no candidates: their
      clicks are hidden, so they would count as misses and make it pay to hide new items.
    * protocol "coldrec" (as published item-cold splits are evaluated): all cold items are candidates, "overall" is the
      whole catalogue, asked of the users who are in both groups. "overall-clean" is "overall" by the clean rule.
    * protocol "aldi": as coldrec, but the first 2,000 users of each group, with every other known click of theirs
      masked.

    Raises
    ------
    InvalidInputError
        When a name or part is unknown, the split has no such part, or no group is left.
    """
    if part not in get_args(PartName):
        raise InvalidInputError(f"`part` must be one of {get_args(PartName)}; got {part!r}.")
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
    groups = {name: _among(name, split, truth, items) for name, items in candidates.items()}
    if split.protocol != "clean":
        groups["overall"] = _of_both(groups)
    if split.protocol == "aldi":
        groups = {name: _as_aldi(split, group) for name, group in groups.items()}
    asked = [groups[name] for name in names if groups[name].relevant]
    if not asked:
        raise InvalidInputError(f"{split.name} has nobody to ask in {list(names)}: no {part} click is relevant there.")
    return asked


def truth_of(clicks: Interactions) -> dict[Hashable, ItemSet]:
    """Collect the items of each user."""
    found: dict[Hashable, set[Hashable]] = {}
    for user, item in clicks.pairs():
        found.setdefault(user, set()).add(item)
    return {user: frozenset(items) for user, items in found.items()}


def _candidates(split: Split, part: PartName) -> dict[str, ItemSet]:
    """Who competes in each group."""
    warm, cold = frozenset(split.train.items) - split.cold_items, split.cold_items
    asked = cold - _hidden_cold(split, part)
    clean = {"overall": warm | asked, "cold": asked, "warm": warm, "overall-clean": warm | asked}
    if split.protocol == "clean":
        return clean
    return clean | {"overall": frozenset(split.everything.ids), "cold": cold}


def _hidden_cold(split: Split, part: PartName) -> ItemSet:
    """Cold items whose clicks are in the other part only."""
    other = split.validation if part == "test" else split.test
    asked: Interactions = getattr(split, part)
    return split.cold_items.intersection(() if other is None else other.items).difference(asked.items)


def _of_both(groups: dict[str, Group]) -> Group:
    """Overall, asked of those who are asked for warm and for cold items."""
    both = groups["warm"].relevant.keys() & groups["cold"].relevant.keys()
    overall = groups["overall"]
    return replace(overall, relevant={user: items for user, items in overall.relevant.items() if user in both})


def _among(name: str, split: Split, truth: dict[Hashable, ItemSet], items: ItemSet) -> Group:
    relevant = {user: wanted & items for user, wanted in truth.items() if wanted & items}
    return Group(name, [item for item in split.everything.ids if item in items], relevant, {})


def _as_aldi(split: Split, group: Group) -> Group:
    users = sorted(group.relevant, key=lambda user: (len(str(user)), str(user)))[:ALDI_USERS]
    parts = [truth_of(clicks) for clicks in (split.validation, split.test) if clicks is not None]
    known = {user: frozenset().union(*(part.get(user, frozenset()) for part in parts)) for user in users}
    return replace(
        group,
        relevant={user: group.relevant[user] for user in users},
        hidden={user: known[user] - group.relevant[user] for user in users},
    )
