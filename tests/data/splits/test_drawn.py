import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coldstart.data import splits
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.errors import InvalidInputError

several = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
seeds = st.integers(0, 2**32 - 1)
MAKE = {
    "random": splits.random,
    "item_cold": splits.item_cold,
    "user_cold": splits.user_cold,
    "k_click": lambda *args, **how: splits.k_click(*args, k=1, most=2, **how),
    "warm_up": lambda *args, **how: splits.warm_up(*args, k=1, most=2, at_least=3, **how),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
GRID = [(user, item) for user in range(10) for item in range(10)]


@st.composite
def tables(draw, repeats=True):
    """Half or more of the pairs of a few users and items, some of them again."""
    n_users, n_items = draw(st.integers(3, 6)), draw(st.integers(3, 6))
    grid = [(user, item) for user in range(n_users) for item in range(n_items)]
    without = draw(st.sets(st.sampled_from(grid), max_size=len(grid) // 2))
    pairs = [pair for pair in grid if pair not in without]
    return draw(st.permutations(pairs + (draw(st.lists(st.sampled_from(pairs), max_size=9)) if repeats else [])))


def catalog(pairs, *more):
    ids = list(dict.fromkeys([item for _, item in pairs] + list(more)))
    return Catalog.from_frame({"id": ids, "title": ["x"] * len(ids)}, id="id", fields=["title"])


def clicks(pairs):
    """Each row has its own weight, by which it is found again, and a time."""
    users, items = zip(*pairs, strict=True)
    table = {
        "user": users,
        "item": items,
        "row": range(1, len(pairs) + 1),
        "time": [7 * at % 5 for at in range(len(pairs))],
    }
    return Interactions.from_frame(table, user="user", item="item", weight="row", time="time")


def attempt(make, pairs, *more, **how):
    """A split, or no example where a part would be empty."""
    try:
        return make(catalog(pairs, *more), clicks(pairs), **how)
    except InvalidInputError as error:
        assume("clicks. Give it more clicks or other shares" not in str(error))
        raise


def rows(part):
    return set() if part is None else {int(row) - 1 for row in part.weight}


def pairs_of(part):
    return set() if part is None else set(part.pairs())


def parts_of(split):
    return {name: getattr(split, name) for name in ("train", "validation", "test", "revealed")}


def held_out(split):
    return pairs_of(split.validation) | pairs_of(split.test)


def per_owner(pairs, at):
    return Counter(pair[at] for pair in pairs)


@every
@several
@given(st.data(), seeds)
def test_every_click_is_in_one_part_with_its_pair_and_unchanged(make, data, seed):
    pairs = data.draw(tables(repeats=make is not MAKE["warm_up"]))
    split = attempt(make, pairs, validation=0.2, test=0.4, rng=seed)
    whole = clicks(pairs)
    counts = Counter()
    for part in parts_of(split).values():
        if part is not None:
            assert [pairs[int(row) - 1] for row in part.weight] == part.pairs()
            assert [whole.time[int(row) - 1] for row in part.weight] == part.time.tolist()
            counts.update(rows(part))
    assert set(counts.values()) == {1}
    assert sum(map(len, map(pairs_of, parts_of(split).values()))) == len({pairs[row] for row in counts})
    assert split.catalog.ids == catalog(pairs).ids


@pytest.mark.parametrize("name", ["random", "item_cold"])
@several
@given(tables(), seeds)
def test_clicks_are_dropped_only_of_users_without_a_training_click(name, pairs, seed):
    split = attempt(MAKE[name], pairs, validation=0.2, test=0.4, rng=seed)
    in_a_part = set.union(*map(rows, parts_of(split).values()))
    dropped = [pairs[row] for row in set(range(len(pairs))) - in_a_part]
    trained = set(split.train.users)
    assert not trained.intersection(user for user, _ in dropped)
    assert all(user in trained for user, _ in held_out(split))


@several
@given(tables(), seeds)
def test_random_has_no_cold_items_or_users(pairs, seed):
    split = attempt(splits.random, pairs, validation=0.2, test=0.4, rng=seed)
    assert (split.cold_items, split.cold_users, split.revealed, split.cut) == (frozenset(), frozenset(), None, None)


@several
@given(tables(), seeds)
def test_cold_items_have_no_training_click_and_all_their_clicks_in_one_part(pairs, seed):
    split = attempt(splits.item_cold, pairs, validation=0.2, test=0.4, rng=seed)
    n_items = len({item for _, item in pairs})
    assert len(split.cold_items) == min(round(0.4 * n_items) + round(0.2 * n_items), n_items)
    assert not split.cold_items.intersection(split.train.items)
    validation, test = (
        split.cold_items.intersection(item for _, item in pairs_of(p)) for p in (split.validation, split.test)
    )
    assert not validation & test
    relevant = {pair for pair in pairs if pair[1] in split.cold_items and pair[0] in split.train.users}
    assert relevant <= held_out(split)


@several
@given(tables(), seeds)
def test_cold_users_have_no_training_click_and_no_click_is_dropped(pairs, seed):
    split = attempt(splits.user_cold, pairs, validation=0.2, test=0.4, rng=seed)
    n_users = len({user for user, _ in pairs})
    assert sorted(row for part in parts_of(split).values() for row in rows(part)) == list(range(len(pairs)))
    assert len(split.test.users) == round(0.4 * n_users)
    assert len(set(split.validation.users if split.validation else ())) == min(
        round(0.2 * n_users), n_users - len(split.test.users)
    )
    assert split.cold_users == {user for user, _ in held_out(split)}
    assert not split.cold_users.intersection(split.train.users)
    assert split.revealed is None


@several
@given(tables(), seeds, st.integers(1, 3))
def test_all_k_have_the_same_users_and_test_clicks_and_reveal_exactly_k_of_each(pairs, seed, most):
    how = {"most": most, "validation": 0.2, "test": 0.4, "rng": seed}
    by_k = [attempt(splits.k_click, pairs, k=k, **how) for k in range(most + 1)]
    first = by_k[0]
    assert first.revealed is None
    fewer = set()
    for k, split in enumerate(by_k):
        same = [(rows(s.train), rows(s.validation), rows(s.test), s.cold_users) for s in (first, split)]
        assert same[0] == same[1]
        assert per_owner(pairs_of(split.revealed), 0) == (dict.fromkeys(split.cold_users, k) if k else {})
        assert fewer <= rows(split.revealed)
        fewer = rows(split.revealed)
        assert split.cold_users == {user for user, _ in held_out(split)}
        in_a_part = set.union(*map(rows, parts_of(split).values()))
        dropped = {pairs[row] for row in set(range(len(pairs))) - in_a_part}
        assert per_owner(dropped, 0) == (dict.fromkeys(split.cold_users, most - k) if k < most else {})


@several
@given(tables(), seeds, st.integers(0, 3))
def test_only_users_with_more_than_most_items_are_drawn(pairs, seed, most):
    split = attempt(splits.k_click, pairs, k=0, most=most, validation=0.0, test=0.4, rng=seed)
    enough = {user for user, n in per_owner(set(pairs), 0).items() if n > most}
    assert split.cold_users <= enough
    assert len(split.cold_users) == min(round(0.4 * len({user for user, _ in pairs})), len(enough))


def test_the_share_is_of_all_users_including_those_with_too_few_items():
    pairs = [(user, item) for user in range(20) for item in range(3 if user < 8 else 2)]
    split = splits.k_click(catalog(pairs), clicks(pairs), k=0, most=2, validation=0.1, test=0.2)
    assert (len(split.validation.users), len(split.test.users)) == (2, 4)
    assert max(split.cold_users) < 8


@several
@given(tables(repeats=False), seeds, st.integers(1, 3))
def test_all_k_have_the_same_test_clicks_and_each_cold_item_exactly_k_training_clicks(pairs, seed, most):
    pairs = pairs + [(user, f"only of {user}") for user in range(6)]
    how = {"most": most, "at_least": most + 1, "validation": 0.2, "test": 0.4, "rng": seed}
    by_k = [attempt(splits.warm_up, pairs, k=k, **how) for k in range(most + 1)]
    first, warmed = by_k[0], rows(by_k[0].train)
    clicked = per_owner(pairs, 1)
    for k, split in enumerate(by_k):
        same = [(rows(s.validation), rows(s.test), s.cold_items) for s in (first, split)]
        assert same[0] == same[1]
        assert split.cold_clicks == k
        assert all(per_owner(split.train.pairs(), 1)[item] == k for item in split.cold_items)
        assert all(per_owner(held_out(split), 1)[item] == clicked[item] - most for item in split.cold_items)
        assert {item for _, item in held_out(split)} == split.cold_items
        assert warmed <= rows(split.train)
        warmed = rows(split.train)
        assert split.cold_users == frozenset()


def test_repeated_clicks_count_once_in_a_warm_up():
    split = splits.warm_up(catalog(GRID), clicks(GRID * 2), k=1, most=2, at_least=3, test=0.2)
    assert all(per_owner(pairs_of(split.train), 1)[item] == 1 for item in split.cold_items)


def test_all_k_have_the_same_users_also_those_with_clicks_on_cold_items_only():
    pairs = [(user, item) for user in range(9) for item in "ab"] + [(user, f"only of {user}") for user in range(4)]
    how = {"most": 3, "at_least": 4, "validation": 0.0, "test": 0.9}
    none, three = (splits.warm_up(catalog(pairs), clicks(pairs), k=k, **how) for k in (0, 3))
    assert none.cold_items == three.cold_items == {"a", "b"}
    assert rows(none.test) == rows(three.test)


@several
@given(tables(repeats=False), seeds)
def test_only_items_with_at_least_that_many_clicks_are_warmed_up(pairs, seed):
    split = attempt(splits.warm_up, pairs, k=2, most=2, at_least=4, validation=0.0, test=0.6, rng=seed)
    enough = {item for item, n in per_owner(pairs, 1).items() if n >= 4}
    assert split.cold_items <= enough
    assert len(split.cold_items) == round(0.6 * len(enough))


def test_by_default_an_item_to_warm_up_has_most_plus_five_clicks():
    pairs = [(user, item) for item, n in {"few": 11, "enough": 12}.items() for user in range(n)]
    pairs += [(user, f"only of {user}") for user in range(12)]
    split = splits.warm_up(catalog(pairs), clicks(pairs), k=3, most=7, validation=0.0, test=0.9)
    assert split.cold_items == {"enough"}
    assert len(split.test) == 12 - 7


@pytest.mark.parametrize("table", [GRID, GRID * 2, GRID + GRID[:37]], ids=["once", "twice", "some twice"])
def test_shares_of_pairs_items_and_users_are_exact(table):
    how = {"validation": 0.1, "test": 0.3, "rng": 3}
    split = splits.random(catalog(table), clicks(table), **how)
    assert [len(pairs_of(part)) for part in (split.train, split.validation, split.test)] == [60, 10, 30]
    split = splits.user_cold(catalog(table), clicks(table), **how)
    assert [len(part.users) for part in (split.train, split.validation, split.test)] == [6, 1, 3]
    split = splits.k_click(catalog(table), clicks(table), k=2, most=4, **how)
    assert [len(part.users) for part in (split.train, split.validation, split.test)] == [6, 1, 3]
    assert [len(pairs_of(part)) for part in (split.revealed, split.validation, split.test)] == [4 * 2, 6, 3 * 6]
    split = splits.item_cold(catalog(table), clicks(table), **how)
    assert len(split.cold_items) == 4
    assert Counter(item in split.cold_items for _, item in pairs_of(split.test))[True] == 30
    split = splits.warm_up(catalog(GRID), clicks(GRID), k=2, most=2, at_least=3, **how)
    assert (len(split.cold_items), len(split.test), len(split.validation)) == (4, 3 * 8, 8)


def test_the_share_of_pairs_on_the_items_that_are_not_cold_is_exact():
    for seed in range(5):
        split = splits.item_cold(catalog(GRID), clicks(GRID), validation=0.0, test=0.2, rng=seed)
        assert sum(item not in split.cold_items for _, item in split.test.pairs()) == 16


@every
def test_a_validation_share_of_0_gives_no_validation_part(make):
    assert make(catalog(GRID), clicks(GRID), validation=0.0, test=0.2).validation is None


@every
def test_the_same_seed_gives_the_same_split_and_another_seed_another_one(make):
    def test_rows(rng):
        return rows(make(catalog(GRID), clicks(GRID), rng=rng).test)

    assert test_rows(5) == test_rows(5) == test_rows(np.random.default_rng(5)) == test_rows(np.random.SeedSequence(5))
    assert test_rows(0) == rows(make(catalog(GRID), clicks(GRID)).test)
    assert len({frozenset(test_rows(seed)) for seed in range(5)}) == 5


@every
def test_catalogue_clicks_and_the_global_rng_are_not_changed(make):
    items, whole = catalog(GRID), clicks(GRID)
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    make(items, whole)
    fresh = clicks(GRID)
    assert (items.ids, whole.users, whole.items) == (catalog(GRID).ids, fresh.users, fresh.items)
    for name in ("user_index", "item_index", "weight", "time"):
        assert np.array_equal(getattr(whole, name), getattr(fresh, name))
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


@every
@pytest.mark.parametrize(
    "names",
    [[1, "1", 2.5, ("t", 1), "x", 0, -1, b"b", frozenset("f"), "été"], list("日本éüñ🙂абвα")],
    ids=["mixed types", "unicode"],
)
def test_ids_of_any_type_are_kept(make, names):
    pairs = [(names[user], names[item]) for user, item in GRID]
    split = make(catalog(pairs), clicks(pairs), validation=0.2, test=0.3)
    for part in parts_of(split).values():
        if part is not None:
            assert [pairs[int(row) - 1] for row in part.weight] == part.pairs()
    assert split.cold_items | split.cold_users <= set(names)


@every
def test_items_that_nobody_clicked_stay_in_the_catalogue_and_are_not_drawn(make):
    split = make(catalog(GRID, "unseen"), clicks(GRID), validation=0.3, test=0.4)
    assert "unseen" in split.catalog
    assert "unseen" not in split.cold_items


@every
def test_clicks_without_times_can_be_split(make):
    table = {"u": [user for user, _ in GRID], "i": [item for _, item in GRID]}
    split = make(catalog(GRID), Interactions.from_frame(table, user="u", item="i"))
    assert split.test.time is None


@every
def test_a_click_on_an_item_that_is_not_in_the_catalogue_is_refused(make):
    items = catalog([pair for pair in GRID if pair[1] != 7])
    with pytest.raises(InvalidInputError, match=r"Clicks of `train` must be on items of the catalogue; got 7\."):
        make(items, clicks(GRID), validation=0.0, test=0.1, rng=1)


@every
@pytest.mark.parametrize("name", ["validation", "test"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(make, name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be between 0 and 1; got {value}"):
        make(catalog(GRID), clicks(GRID), **{name: value})


@every
def test_shares_must_leave_a_training_part(make):
    with pytest.raises(InvalidInputError, match="`validation` and `test` must be below 1 together; got 0.4 and 0.6"):
        make(catalog(GRID), clicks(GRID), validation=0.4, test=0.6)


@every
def test_a_test_share_of_0_is_refused_naming_the_split(make):
    with pytest.raises(
        InvalidInputError, match=r"\(.*rng=4\) leaves no test clicks\. Give it more clicks or other shares"
    ):
        make(catalog(GRID), clicks(GRID), test=0.0, rng=4)


@every
@pytest.mark.parametrize("pairs", [[("u", item) for item in range(5)], [("u", "x")]], ids=["one user", "one click"])
def test_one_user_or_one_click_is_refused_by_most_splits(make, pairs):
    if make is MAKE["random"] and len(pairs) > 1:
        assert len(make(catalog(pairs), clicks(pairs), test=0.2).test) == 1
    elif make is MAKE["item_cold"] and len(pairs) > 1:
        assert len(make(catalog(pairs), clicks(pairs), test=0.2).cold_items) == 1
    else:
        with pytest.raises(InvalidInputError, match="leaves no test clicks"):
            make(catalog(pairs), clicks(pairs), test=0.2)


@pytest.mark.parametrize("name", ["random", "user_cold"])
def test_one_item_is_enough_where_no_item_is_cold(name):
    pairs = [(user, "x") for user in range(10)]
    if name == "random":
        with pytest.raises(InvalidInputError, match="leaves no test clicks"):
            MAKE[name](catalog(pairs), clicks(pairs), test=0.2)
    else:
        assert len(MAKE[name](catalog(pairs), clicks(pairs), test=0.2).test) == 2


@every
def test_no_clicks_are_refused(make):
    nothing = Interactions.from_frame({"u": [], "i": []}, user="u", item="i")
    with pytest.raises(InvalidInputError, match="leaves no train clicks"):
        make(catalog(GRID), nothing)


@pytest.mark.parametrize("make", [splits.k_click, splits.warm_up])
@pytest.mark.parametrize("k", [-1, 4, 1.0, True, None], ids=repr)
def test_k_must_be_between_0_and_most(make, k):
    with pytest.raises(InvalidInputError, match=f"`k` must be (a whole number )?between 0 and 3; got {k!r}"):
        make(catalog(GRID), clicks(GRID), k=k, most=3)


@pytest.mark.parametrize("at_least", [3, 0, 4.0])
def test_at_least_must_be_above_most(at_least):
    expected = f"`at_least` must be (a whole number )?between 4 and 1,000,000,000; got {at_least!r}"
    with pytest.raises(InvalidInputError, match=expected):
        splits.warm_up(catalog(GRID), clicks(GRID), k=1, most=3, at_least=at_least)


@pytest.mark.parametrize("make", [splits.k_click, splits.warm_up])
@pytest.mark.parametrize("most", [-1, 2.5], ids=repr)
def test_most_must_be_a_whole_number_from_0(make, most):
    with pytest.raises(InvalidInputError, match="`most` must be"):
        make(catalog(GRID), clicks(GRID), k=0, most=most)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        ("random", "random(rng=9)"),
        ("item_cold", "item_cold(rng=9)"),
        ("user_cold", "user_cold(rng=9)"),
        ("k_click", "k_click(k=1, rng=9)"),
        ("warm_up", "warm_up(k=1, rng=9)"),
    ],
)
def test_a_split_is_named_by_how_it_was_made(make, name):
    split = MAKE[make](catalog(GRID), clicks(GRID), rng=9)
    assert split.name == name
    assert re.match(re.escape(f"Split({name}: clicks "), repr(split))
