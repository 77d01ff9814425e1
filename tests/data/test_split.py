import re
from dataclasses import FrozenInstanceError, replace
from itertools import combinations

import pytest

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError

TRAIN = [("u", "a", 1), ("v", "b", 2)]
REVEALED = [("w", "a", 5)]
VALIDATION = [("u", "c", 6)]
TEST = [("u", "d", 9), ("w", "b", 8)]


def clicks(rows, times=True):
    table = (
        dict(zip(("user", "item", "time"), zip(*rows, strict=True), strict=False)) if rows else {"user": [], "item": []}
    )
    return Interactions.from_frame(table, user="user", item="item", time="time" if rows and times else None)


def catalog(ids="abcd"):
    return Catalog.from_frame({"id": list(ids), "title": [f"item {at}" for at in ids]}, id="id", fields=["title"])


def split(**changed):
    parts = {"train": clicks(TRAIN), "test": clicks(TEST)}
    return Split("mine", changed.pop("catalog", catalog()), **parts | changed)


def full(**changed):
    facts = {"cold_users": {"w"}, "revealed": clicks(REVEALED), "validation": clicks(VALIDATION), "cut": 5, "since": {}}
    return split(**facts | changed)


def test_parts_that_are_apart_make_a_split():
    made = full(cold_items=["d"])
    assert made.train.pairs() == [("u", "a"), ("v", "b")]
    assert made.revealed.pairs() == [("w", "a")]
    assert made.validation.pairs() == [("u", "c")]
    assert made.test.pairs() == [("u", "d"), ("w", "b")]
    assert (made.cold_items, made.cold_users, made.cold_clicks) == (frozenset("d"), frozenset("w"), 0)


def test_a_split_needs_no_more_than_train_and_test():
    made = split()
    assert (made.validation, made.revealed, made.arrivals, made.cut, made.since) == (None,) * 5
    assert (made.cold_items, made.cold_users, made.protocol) == (frozenset(), frozenset(), "clean")


def test_new_items_are_the_cold_ones_of_the_catalogue_in_its_order():
    made = split(cold_items="dcx", arrivals=catalog("xyz"))
    assert (made.new_items_known, made.new) == (True, ("c", "d"))
    assert split(cold_items="dc", new_items_known=False).new == ()
    assert split().new == ()


def test_told_is_the_former_name_of_new_items_known():
    with pytest.warns(DeprecationWarning, match="`told` of Split is now called `new_items_known`"):
        made = split(cold_items="dc", told=False)
    assert not made.new_items_known
    with pytest.warns(DeprecationWarning, match="new_items_known"):
        assert replace(split(cold_items="dc"), told=False).new == ()
    with pytest.warns(DeprecationWarning, match="new_items_known"):
        assert made.told is False


def test_a_split_by_time_names_no_new_items():
    assert full(cold_items=["d"]).new == ()


def test_the_repr_counts_clicks_items_and_users():
    assert repr(split()) == "Split(mine: clicks 2 train, 2 test; 4 items)"
    assert repr(full(cold_items="d", arrivals=catalog("xyz"))) == (
        "Split(mine: clicks 2 train, 1 validation, 2 test, 1 revealed; 4 items, 3 arrivals, 1 cold items, 1 cold users)"
    )


def test_a_split_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        split().cut = 3


def test_everything_is_the_catalogue_followed_by_the_arrivals():
    first = catalog("ab")
    assert split(catalog=catalog()).everything.ids == tuple("abcd")
    assert split(catalog=first, arrivals=catalog("cd")).everything.ids == tuple("abcd")
    assert first.ids == tuple("ab")


@pytest.mark.parametrize("protocol", ["clean", "coldrec", "aldi"])
def test_there_are_three_protocols(protocol):
    assert split(protocol=protocol).protocol == protocol


@pytest.mark.parametrize("protocol", ["fair", "", None, "Clean"])
def test_another_protocol_is_refused(protocol):
    expected = re.escape(f"`protocol` must be one of ('clean', 'coldrec', 'aldi'); got {protocol!r}.")
    with pytest.raises(InvalidInputError, match=expected):
        split(protocol=protocol)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_split_without_training_or_test_clicks_is_refused(part):
    with pytest.raises(InvalidInputError, match=f"mine leaves no {part} clicks. Give it more clicks or other shares"):
        split(**{part: clicks([])})


@pytest.mark.parametrize(("one", "other"), combinations(["train", "revealed", "validation", "test"], 2))
def test_a_pair_in_two_parts_is_a_leak(one, other):
    parts = {"train": TRAIN, "revealed": REVEALED, "validation": VALIDATION, "test": TEST}
    twice = {name: clicks([*parts[name], ("w", "d", 7)]) for name in (one, other)}
    expected = rf"Leak: 1 pairs of user and item are both in `{one}` and in `{other}`, such as \('w', 'd'\)"
    with pytest.raises(InvalidInputError, match=expected):
        full(**twice)


def test_pairs_in_two_parts_are_counted_once_each():
    assert split(test=clicks([("u", "b", 9), ("v", "a", 9)]))
    with pytest.raises(InvalidInputError, match="Leak: 2 pairs of user and item are both in `train` and in `test`"):
        split(test=clicks([*TRAIN, *TRAIN, ("u", "d", 9)]))


def test_a_pair_may_repeat_within_a_part():
    assert len(split(train=clicks([*TRAIN, *TRAIN])).train) == 4


@pytest.mark.parametrize(
    ("allowed", "users"), [(0, "u"), (0, "uv"), (1, "uv"), (2, "uvx")], ids=lambda value: str(value) or "none"
)
def test_a_cold_item_with_more_training_clicks_than_allowed_is_a_leak(allowed, users):
    train = clicks([("v", "b", 1), *((user, "a", 1) for user in users)])
    expected = (
        f"Leak: a cold item must have at most {allowed} training clicks; 1 have more, such as 'a' with {len(users)}"
    )
    with pytest.raises(InvalidInputError, match=expected):
        split(train=train, cold_items={"a", "d"}, cold_clicks=allowed)
    assert split(train=train, cold_items={"a", "d"}, cold_clicks=len(users)).cold_clicks == len(users)


def test_items_that_are_not_cold_may_have_any_number_of_training_clicks():
    assert split(train=clicks([(user, "a", 1) for user in "uvxyz"]), cold_items="d")


def test_a_cold_user_with_a_training_click_is_a_leak():
    with pytest.raises(InvalidInputError, match="Leak: a cold user must have no training click; got some of 'u', 'v'"):
        split(cold_users={"v", "u", "w"})


@pytest.mark.parametrize("cold_users", [frozenset(), {"nobody"}], ids=["none are cold", "another is cold"])
def test_clicks_are_revealed_of_cold_users_only(cold_users):
    with pytest.raises(InvalidInputError, match="`revealed` must hold clicks of cold users; got some of 'w'"):
        full(cold_users=cold_users)


@pytest.mark.parametrize("part", ["train", "validation", "test", "revealed"])
def test_a_click_on_an_unknown_item_is_refused(part):
    parts = {"train": TRAIN, "revealed": REVEALED, "validation": VALIDATION, "test": TEST}
    strange = clicks([*parts[part], ("w", "nope", 7)])
    expected = rf"Clicks of `{part}` must be on items of the catalogue; got 'nope'\. .*within\(catalog\.ids, 'drop'\)"
    with pytest.raises(InvalidInputError, match=expected):
        full(**{part: strange})


def test_arrivals_may_have_test_and_revealed_clicks_but_no_training_clicks():
    later = {"catalog": catalog("ab"), "arrivals": catalog("cd")}
    assert full(**later, cold_items="cd").arrivals.ids == ("c", "d")
    with pytest.raises(InvalidInputError, match="Clicks of `train` must be on items of the catalogue; got 'c'"):
        full(**later, train=clicks([*TRAIN, ("x", "c", 1)]))


def test_an_arrival_that_is_in_the_catalogue_is_refused():
    with pytest.raises(InvalidInputError, match="`id` of new items must be new; got 'd'"):
        split(arrivals=catalog("dx"))


def test_a_cold_item_must_be_in_the_catalogue_or_among_the_arrivals():
    assert split(cold_items={"x"}, arrivals=catalog("x")).cold_items == {"x"}
    with pytest.raises(InvalidInputError, match="`cold_items` must be in the catalogue; got 'nope'"):
        split(cold_items={"c", "nope"})


@pytest.mark.parametrize("time", [5, 5.5, 100])
def test_a_training_click_at_the_cut_or_after_it_is_a_leak(time):
    with pytest.raises(InvalidInputError, match="Leak: every training click must have a time before the cut, 5"):
        full(train=clicks([*TRAIN, ("x", "c", time)]))


def test_training_clicks_without_times_are_a_leak_when_there_is_a_cut():
    with pytest.raises(InvalidInputError, match="Leak: every training click must have a time before the cut, 5"):
        full(train=clicks(TRAIN, times=False))


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("times", [True, False], ids=["early", "no times"])
def test_a_held_out_click_before_the_cut_is_refused(part, times):
    early = clicks([("u", "c", 6), ("v", "d", 4.9)], times)
    with pytest.raises(InvalidInputError, match=f"Every click of `{part}` must have a time at the cut, 5, or after it"):
        full(**{"validation": None, part: early})


def test_held_out_clicks_may_be_at_the_cut_itself():
    assert full(test=clicks([("u", "d", 5)]), train=clicks([("u", "a", 4.999)])).cut == 5


@pytest.mark.parametrize("times", [True, False], ids=["early", "no times"])
def test_a_revealed_click_before_the_cut_is_refused(times):
    with pytest.raises(
        InvalidInputError, match="Every click of `revealed` must have a time at the cut, 5, or after it"
    ):
        full(revealed=clicks([("w", "a", 4)], times))


@pytest.mark.parametrize("time", [5, 7.0])
def test_a_catalogue_row_from_the_cut_or_after_it_is_a_leak(time):
    expected = "Leak: 1 items of the catalogue come from after the cut: 'd'. Give them as `arrivals`"
    with pytest.raises(InvalidInputError, match=expected):
        full(since={"a": 1, "d": time})
    later = {"catalog": catalog("abc"), "arrivals": catalog("d")}
    assert full(since={"a": 1, "d": time}, **later).arrivals.ids == ("d",)


def test_an_item_without_a_time_counts_as_old():
    assert full(since={"a": 1, "b": 4.9}).everything.ids == tuple("abcd")


def test_a_cut_needs_the_times_of_the_items():
    with pytest.raises(InvalidInputError, match="`since`"):
        full(since=None)


def test_without_a_cut_times_do_not_matter():
    assert split(train=clicks([("u", "a", 100)]), since={"a": 200}).cut is None


@pytest.mark.parametrize("ids", [(1, "1", 2.5, ("t", 0)), ("été", "日本", "🙂", "а")], ids=["mixed types", "unicode"])
def test_leaks_of_ids_of_any_type_are_named(ids):
    train, test = clicks([(ids[0], ids[1], 1)]), clicks([(ids[2], ids[3], 9)])
    table = Catalog.from_frame({"id": list(ids), "title": ["x"] * 4}, id="id", fields=["title"])
    assert Split("mine", table, train, test, cold_items=ids[3:], cold_users=ids[2:3]).test.pairs() == [ids[2:]]
    with pytest.raises(InvalidInputError, match=re.escape(f"such as {ids[1]!r} with 1")):
        Split("mine", table, train, test, cold_items=ids[1:])
    with pytest.raises(InvalidInputError, match=re.escape(f"got some of {ids[0]!r}")):
        Split("mine", table, train, test, cold_users=ids)
    with pytest.raises(InvalidInputError, match=re.escape(f"such as {ids[:2]!r}")):
        Split("mine", table, train, clicks([(ids[0], ids[1], 9)]))
