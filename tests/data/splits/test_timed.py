import warnings
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coldstart.data import splits
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.errors import ColdstartWarning, InvalidInputError

several = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.filter_too_much])
small = st.integers(0, 5)
tables = st.lists(st.tuples(small, small, st.integers(-3, 9)), min_size=3, max_size=40)
DAY = 86_400
ONE_A_DAY = [(user, f"i{at}", at) for at in range(20) for user in [at % 3]]


def catalog(ids, **columns):
    ids = list(dict.fromkeys(ids))
    return Catalog.from_frame({"id": ids, "title": ["x"] * len(ids)} | columns, id="id", fields=["title"])


def clicks(table, times=True):
    """Each row has its own weight, by which it is found again."""
    users, items, when = zip(*table, strict=True)
    columns = {"u": users, "i": items, "t": when, "row": range(1, len(table) + 1)}
    return Interactions.from_frame(columns, user="u", item="i", weight="row", time="t" if times else None)


def items_of(table):
    return [item for _, item, _ in table]


def attempt(table, items=None, **how):
    """A split, or no example where a part would be empty."""
    try:
        return splits.by_time(catalog(items_of(table)) if items is None else items, clicks(table), **how)
    except InvalidInputError as error:
        assume("Give it more clicks or other shares" not in str(error) and "at least 1 item" not in str(error))
        raise


def last_out(table, times=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColdstartWarning)
        return splits.leave_last_out(catalog(items_of(table)), clicks(table, times))


def rows(part):
    return set() if part is None else {int(row) - 1 for row in part.weight}


def first_rows(table, times=True):
    """Row of each pair's first click, in order of time, then of row."""
    order = sorted(range(len(table)), key=lambda at: (table[at][2] if times else 0, at))
    first = {}
    for at in order:
        first.setdefault(table[at][:2], at)
    return list(first.values())


@several
@given(tables, st.booleans(), st.sampled_from([(0.1, 0.2), (0.0, 0.3), (0.3, 0.3)]))
def test_training_clicks_are_before_the_cut_and_held_out_clicks_after_it_in_order(table, new_users, shares):
    split = attempt(table, validation=shares[0], test=shares[1], new_users=new_users)
    last_of_validation = split.cut
    assert split.train.time.max() < split.cut
    if split.validation is not None:
        assert split.cut <= split.validation.time.min()
        last_of_validation = split.validation.time.max()
    assert split.test.time.min() >= split.cut
    assert split.test.time.min() > last_of_validation or split.validation is None
    assert not (shares[0] == 0 and split.validation)


@several
@given(tables, small, st.integers(0, 3), st.booleans())
def test_a_click_is_in_the_part_of_its_time_unless_it_is_repeated_or_of_a_new_user(table, first, more, new_users):
    second = first + more
    split = attempt(table, cuts=(first, second), new_users=new_users)
    kept = first_rows(table)
    trained = {table[at][0] for at in kept if table[at][2] < first}
    measured = [at for at in kept if new_users or table[at][0] in trained]
    assert rows(split.train) == {at for at in kept if table[at][2] < first}
    assert rows(split.validation) == {at for at in measured if first <= table[at][2] < second}
    assert rows(split.test) == {at for at in measured if table[at][2] >= second}
    for part in (split.train, split.validation, split.test):
        if part is not None:
            assert [table[int(row) - 1] for row in part.weight] == [
                (*p, t) for p, t in zip(part.pairs(), part.time, strict=True)
            ]
    assert split.cold_users == ({user for user, _, _ in table} - trained if new_users else set())
    assert split.revealed is None


@several
@given(tables, small)
def test_items_arrive_at_their_first_click_and_unclicked_items_are_old(table, cut):
    items = catalog([*items_of(table), "never clicked"])
    split = attempt(table, items, cuts=(cut, cut), new_users=True)
    born = {item: min(t for _, i, t in table if i == item) for item in items_of(table)}
    late = {item for item, time in born.items() if time >= cut}
    assert set(split.arrivals.ids if split.arrivals else ()) == late
    assert set(split.catalog.ids) == {*born, "never clicked"} - late
    assert split.cold_items == late
    assert sorted(map(str, split.everything.ids)) == sorted(map(str, items.ids))
    assert split.since == born
    assert split.cut == cut


def test_items_arrive_at_the_time_in_the_since_column():
    table = [("u", "a", 1), ("u", "b", 7), ("u", "c", 8)]
    born = [datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 0, 2), datetime(1970, 1, 1, 0, 0, 5), datetime(1970, 1, 2)]
    items = catalog("abcd", born=born)
    split = splits.by_time(items, clicks(table), cuts=(5, 5), since="born")
    assert split.catalog.ids == ("a", "b")
    assert split.arrivals.ids == ("c", "d")
    assert split.cold_items == {"b", "c"}
    assert split.since == {"a": 0.0, "b": 2.0, "c": 5.0, "d": DAY}
    assert splits.by_time(items, clicks(table), cuts=(5, 5)).arrivals.ids == ("b", "c")


def test_a_split_without_new_items_has_no_arrivals():
    table = [("u", "a", 1), ("v", "b", 1), ("u", "b", 7)]
    split = splits.by_time(catalog("ab"), clicks(table), cuts=(5, 5))
    assert split.arrivals is None
    assert split.everything is split.catalog
    assert split.cold_items == frozenset()


def test_clicks_at_the_time_of_a_cut_are_after_it():
    table = [("u", item, time) for time, item in enumerate("abcdef")]
    split = splits.by_time(catalog("abcdef"), clicks(table), cuts=(2, 4))
    actual = [part.time.tolist() for part in (split.train, split.validation, split.test)]
    assert actual == [[0, 1], [2, 3], [4, 5]]


def test_repeated_clicks_count_once_at_the_first_time():
    table = [("u", "a", 9), ("u", "b", 1), ("u", "c", 8), ("u", "a", 2), ("u", "b", 7)]
    split = splits.by_time(catalog("abc"), clicks(table), cuts=(5, 5))
    assert (rows(split.train), rows(split.test)) == ({1, 3}, {2})


@pytest.mark.parametrize("new_users", [True, False])
def test_users_without_a_training_click_are_evaluated_with_new_users_only(new_users):
    table = [("u", "a", 1), ("u", "b", 6), ("new", "a", 6), ("newer", "b", 8)]
    split = splits.by_time(catalog("ab"), clicks(table), cuts=(5, 7) if new_users else (5, 5), new_users=new_users)
    assert split.cold_users == ({"new", "newer"} if new_users else set())
    assert split.test.users == (("newer",) if new_users else ("u",))


@pytest.mark.parametrize(
    ("validation", "test", "sizes"), [(0.1, 0.1, (16, 2, 2)), (0.25, 0.5, (5, 5, 10)), (0.0, 0.3, (14, 0, 6))]
)
def test_shares_are_of_the_last_clicks_in_time(validation, test, sizes):
    table = ONE_A_DAY[::-1]
    split = attempt(table, validation=validation, test=test)
    assert tuple(len(rows(part)) for part in (split.train, split.validation, split.test)) == sizes
    assert rows(split.test) == set(range(sizes[2]))


def test_by_default_a_tenth_each_is_held_out():
    split = attempt(ONE_A_DAY)
    assert (rows(split.validation), rows(split.test)) == ({16, 17}, {18, 19})


@pytest.mark.parametrize(("n", "validation", "test", "sizes"), [(11, 0.0, 0.1, (10, 0, 1)), (21, 0.1, 0.1, (17, 2, 2))])
def test_shares_are_rounded_to_whole_clicks(n, validation, test, sizes):
    table = [("u", at, at) for at in range(n)]
    split = splits.by_time(catalog(range(n)), clicks(table), validation=validation, test=test)
    assert tuple(len(rows(part)) for part in (split.train, split.validation, split.test)) == sizes


def test_a_test_share_of_0_is_refused():
    with pytest.raises(InvalidInputError, match=r"by_time\(\) leaves no test clicks"):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY), test=0.0)


CUTS = {
    "seconds": (2 * DAY, 3 * DAY),
    "an array of seconds": np.array([2.0, 3.0]) * DAY,
    "datetimes": [datetime(1970, 1, 3), datetime(1970, 1, 4)],
    "dates": (date(1970, 1, 3), date(1970, 1, 4)),
    "aware datetimes": tuple(datetime(1970, 1, day, 2, tzinfo=timezone(timedelta(hours=2))) for day in (3, 4)),
    "numpy dates": (np.datetime64("1970-01-03"), np.datetime64("1970-01-04", "ns")),
    "an array of numpy dates": np.array(["1970-01-03", "1970-01-04"], dtype="datetime64[s]"),
    "timestamps of pandas": tuple(pd.to_datetime(["1970-01-03", "1970-01-04"])),
    "a date and a number": (date(1970, 1, 3), 3 * DAY),
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_cuts_are_seconds_or_dates_of_any_kind(cuts):
    table = [("u", "a", DAY), ("u", "b", 2 * DAY), ("u", "c", 3 * DAY), ("u", "d", 4 * DAY)]
    split = splits.by_time(catalog("abcd"), clicks(table), cuts=cuts)
    assert [rows(part) for part in (split.train, split.validation, split.test)] == [{0}, {1}, {2, 3}]
    assert (split.cut, type(split.cut)) == (2.0 * DAY, float)


@pytest.mark.parametrize("cuts", [(5, 4), (date(1970, 1, 3), date(1970, 1, 2))])
def test_cuts_must_be_in_order(cuts):
    with pytest.raises(InvalidInputError, match=r"`cuts` must be in order; got \("):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY), cuts=cuts)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ((5, None), "`cuts` must be a time in every row; got None in row 1"),
        ((float("nan"), 5), "`cuts` must be a time in every row; got nan in row 0"),
        ((np.datetime64("NaT"), 5), "`cuts` must be a time in every row; got .*NaT.* in row 0"),
        ((5, float("inf")), "`cuts` must be a time in every row; got inf in row 1"),
        (("monday", 5), "`cuts` must be a time in every row; got 'monday' in row 0"),
    ],
)
def test_a_cut_that_is_no_time_is_refused(cuts, message):
    with pytest.raises(InvalidInputError, match=message):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY), cuts=cuts)


@pytest.mark.parametrize("cuts", [5, (5,), (5, 6, 7), ()], ids=repr)
def test_there_must_be_two_cuts(cuts):
    with pytest.raises(InvalidInputError, match="`cuts` must"):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY), cuts=cuts)


def test_clicks_without_times_cannot_be_cut_in_time():
    expected = r"`clicks` must have times for by_time\. Make them with from_frame\(\.\.\., time='column'\)"
    with pytest.raises(InvalidInputError, match=expected):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY, times=False))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"validation": -0.1}, "`validation` must be between 0 and 1; got -0.1"),
        ({"test": 1.1}, "`test` must be between 0 and 1; got 1.1"),
        ({"validation": 0.5, "test": 0.5}, "`validation` and `test` must be below 1 together; got 0.5 and 0.5"),
        ({"since": "year"}, r"Catalog has no column 'year'; its columns are \['title'\]"),
        ({"cuts": (1, 99)}, r"by_time\(\) leaves no test clicks"),
        ({"cuts": (4, 5), "since": "title"}, "`title` must be a time in every row; got 'x' in row 0"),
    ],
)
def test_an_argument_out_of_range_is_named(how, message):
    with pytest.raises(InvalidInputError, match=message):
        splits.by_time(catalog(items_of(ONE_A_DAY)), clicks(ONE_A_DAY), **how)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")], ids=repr)
def test_an_item_without_a_time_in_the_column_is_named_by_row(value):
    items = catalog("ab", born=[1, value])
    with pytest.raises(InvalidInputError, match=f"`born` must be a time in every row; got {value} in row 1"):
        splits.by_time(items, clicks([("u", "a", 1), ("u", "b", 9)]), cuts=(5, 5), since="born")


def test_an_item_clicked_before_its_date_arrives_at_the_click():
    items = catalog("abc", born=[1, 8, 8])
    made = splits.by_time(items, clicks([("u", "a", 1), ("u", "b", 2), ("u", "c", 9)]), cuts=(5, 5), since="born")
    assert (made.catalog.ids, made.arrivals.ids) == (("a", "b"), ("c",))


@pytest.mark.parametrize(("item", "part"), [("i0", "train"), ("i19", "test"), ("i17", "validation")])
def test_a_click_on_an_item_that_is_not_in_the_catalogue_is_refused(item, part):
    items = catalog([at for at in items_of(ONE_A_DAY) if at != item])
    with pytest.raises(InvalidInputError, match=f"Clicks of `{part}` must be on items of the catalogue; got '{item}'"):
        splits.by_time(items, clicks(ONE_A_DAY))


@pytest.mark.parametrize("table", [[("u", "a", 1), ("v", "a", 9)], [("u", "a", 1)]], ids=["one item", "one click"])
def test_one_item_is_refused_without_new_users(table):
    with pytest.raises(InvalidInputError, match=r"by_time\(\) leaves no test clicks"):
        splits.by_time(catalog("a"), clicks(table), cuts=(5, 5))


def test_one_user_with_two_items_is_enough_and_one_item_with_new_users():
    one_user = splits.by_time(catalog("ab"), clicks([("u", "a", 1), ("u", "b", 9)]), cuts=(5, 5))
    one_item = splits.by_time(catalog("a"), clicks([("u", "a", 1), ("v", "a", 9)]), cuts=(5, 5), new_users=True)
    assert (one_user.test.pairs(), one_item.test.pairs()) == ([("u", "b")], [("v", "a")])


@pytest.mark.parametrize("names", [[1, "1", ("t", 2), 2.5], list("日é🙂а")], ids=["mixed types", "unicode"])
def test_ids_of_any_type_are_kept(names):
    table = [(user, item, time) for user in names for time, item in enumerate(names)]
    for split in (splits.by_time(catalog(names), clicks(table), cuts=(2, 3)), last_out(table)):
        assert split.test.pairs() == [(user, names[3]) for user in names]
        assert split.validation.pairs() == [(user, names[2]) for user in names]


@pytest.mark.parametrize("make", ["by_time", "leave_last_out"])
def test_catalogue_and_clicks_are_not_changed_and_two_calls_agree(make):
    table = [(user, item, (user * 7 + item * 3) % 10) for user in range(4) for item in range(5)]
    items, whole, fresh = catalog(range(5)), clicks(table), clicks(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColdstartWarning)
        one, other = (getattr(splits, make)(items, whole) for _ in range(2))
    assert (rows(one.train), rows(one.validation), rows(one.test)) == (
        rows(other.train),
        rows(other.validation),
        rows(other.test),
    )
    assert (items.ids, whole.users, whole.items) == (tuple(range(5)), fresh.users, fresh.items)
    for name in ("user_index", "item_index", "weight", "time"):
        assert np.array_equal(getattr(whole, name), getattr(fresh, name))


def test_leaving_the_last_out_always_warns_that_it_leaks():
    table = [("u", item, time) for time, item in enumerate("abc")]
    expected = "leave_last_out leaks: a user's held-out click is earlier than clicks of others.*Use splits.by_time"
    with pytest.warns(ColdstartWarning, match=expected) as caught:
        splits.leave_last_out(catalog("abc"), clicks(table))
    assert [warning.filename for warning in caught] == [__file__]


@several
@given(tables, st.booleans())
def test_the_last_item_of_each_user_is_tested_and_the_one_before_validated(table, times):
    expected = {"train": set(), "validation": set(), "test": set()}
    for user in range(6):
        own = [at for at in first_rows(table, times) if table[at][0] == user]
        cut = len(own) - 2 if len(own) >= 3 else len(own)
        expected["train"].update(own[:cut])
        expected["validation"].update(own[cut : cut + 1])
        expected["test"].update(own[cut + 1 :])
    assume(expected["test"])
    split = last_out(table, times)
    assert {name: rows(getattr(split, name)) for name in expected} == expected
    assert (split.cold_items, split.cold_users, split.cut, split.revealed) == (frozenset(), frozenset(), None, None)


def test_users_with_fewer_than_three_items_have_training_clicks_only():
    table = [("few", "a", 1), ("few", "b", 2), ("few", "a", 3), *(("u", item, 5) for item in "abc")]
    split = last_out(table)
    assert (rows(split.train), rows(split.validation), rows(split.test)) == ({0, 1, 3}, {4}, {5})
    with pytest.raises(InvalidInputError, match=r"leave_last_out\(\) leaves no test clicks"):
        last_out(table[:3])


def test_leave_last_out_refuses_a_click_on_an_unknown_item():
    with (
        pytest.warns(ColdstartWarning, match="leave_last_out leaks"),
        pytest.raises(InvalidInputError, match="Clicks of `test` must be on items of the catalogue; got 'c'"),
    ):
        splits.leave_last_out(catalog("ab"), clicks([("u", item, at) for at, item in enumerate("abc")]))
