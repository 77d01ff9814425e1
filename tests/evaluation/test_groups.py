"""Eight items: a, b, c and d are trained on, e is not and is not cold; p, q and r are cold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError
from coldstart.evaluation import groups
from coldstart.evaluation.groups import groups_of, truth_of

TRAIN = {"u1": "ab", "u2": "bc", "u3": "c", "u4": "da", "u5": "a"}
VALIDATION = {"u1": "cp", "u2": "r", "u3": "a"}
TEST = {"u1": "dq", "u2": "a", "u3": "q", "u4": "rb", "u5": "e", "u6": "b"}


def clicks(items_of):
    rows = [{"user": user, "item": item} for user, items in items_of.items() for item in items]
    return Interactions.from_frame(rows, user="user", item="item")


def make(protocol="clean", cold_items="pqr", validation=VALIDATION, test=TEST, ids="abcdepqr"):
    catalog = Catalog.from_frame({"id": list(ids), "title": list(ids)}, id="id", fields=["title"])
    held = None if validation is None else clicks(validation)
    return Split("mine", catalog, clicks(TRAIN), clicks(test), held, frozenset(cold_items), protocol=protocol)


def as_text(group):
    """Candidates, what is relevant to whom and what is hidden from whom, items as sorted letters."""
    relevant, hidden = ({u: "".join(sorted(i)) for u, i in of.items()} for of in (group.relevant, group.hidden))
    return "".join(group.candidates), relevant, hidden


EXPECTED = {
    ("clean", "test"): {
        "overall": ("abcdqr", {"u1": "dq", "u2": "a", "u3": "q", "u4": "br", "u6": "b"}, {}),
        "cold": ("qr", {"u1": "q", "u3": "q", "u4": "r"}, {}),
        "warm": ("abcd", {"u1": "d", "u2": "a", "u4": "b", "u6": "b"}, {}),
    },
    ("clean", "validation"): {
        "overall": ("abcdpr", {"u1": "cp", "u2": "r", "u3": "a"}, {}),
        "cold": ("pr", {"u1": "p", "u2": "r"}, {}),
        "warm": ("abcd", {"u1": "c", "u3": "a"}, {}),
    },
    ("coldrec", "test"): {
        "overall": ("abcdepqr", {"u1": "dq", "u4": "br"}, {}),
        "cold": ("pqr", {"u1": "q", "u3": "q", "u4": "r"}, {}),
        "warm": ("abcd", {"u1": "d", "u2": "a", "u4": "b", "u6": "b"}, {}),
        "overall-clean": ("abcdqr", {"u1": "dq", "u2": "a", "u3": "q", "u4": "br", "u6": "b"}, {}),
    },
    ("coldrec", "validation"): {
        "overall": ("abcdepqr", {"u1": "cp"}, {}),
        "cold": ("pqr", {"u1": "p", "u2": "r"}, {}),
        "warm": ("abcd", {"u1": "c", "u3": "a"}, {}),
        "overall-clean": ("abcdpr", {"u1": "cp", "u2": "r", "u3": "a"}, {}),
    },
    ("aldi", "test"): {
        "overall": ("abcdepqr", {"u1": "dq", "u4": "br"}, {"u1": "cp", "u4": ""}),
        "cold": ("pqr", {"u1": "q", "u3": "q", "u4": "r"}, {"u1": "cdp", "u3": "a", "u4": "b"}),
        "warm": (
            "abcd",
            {"u1": "d", "u2": "a", "u4": "b", "u6": "b"},
            {"u1": "cpq", "u2": "r", "u4": "r", "u6": ""},
        ),
    },
    ("aldi", "validation"): {
        "overall": ("abcdepqr", {"u1": "cp"}, {"u1": "dq"}),
        "cold": ("pqr", {"u1": "p", "u2": "r"}, {"u1": "cdq", "u2": "a"}),
        "warm": ("abcd", {"u1": "c", "u3": "a"}, {"u1": "dpq", "u3": "q"}),
    },
}


@pytest.mark.parametrize(("protocol", "part"), EXPECTED)
def test_users_candidates_and_hidden_items_of_each_protocol(protocol, part):
    actual = groups_of(make(protocol), part=part)
    assert {group.name: as_text(group) for group in actual} == EXPECTED[protocol, part]
    assert [group.name for group in actual] == list(EXPECTED[protocol, part])


@pytest.mark.parametrize("part", ["test", "validation"])
def test_overall_clean_is_available_under_any_protocol(part):
    overall = EXPECTED["clean", part]["overall"]
    for protocol in ("clean", "coldrec"):
        assert as_text(groups_of(make(protocol), ["overall-clean"], part)[0]) == overall
    candidates, relevant, hidden = as_text(groups_of(make("aldi"), ["overall-clean"], part)[0])
    assert (candidates, relevant) == overall[:2]
    assert set(hidden) == set(relevant)


def test_groups_are_in_the_order_of_their_names():
    assert [group.name for group in groups_of(make(), ["warm", "overall"])] == ["warm", "overall"]


@pytest.mark.parametrize("protocol", ["clean", "coldrec", "aldi"])
def test_candidates_are_in_the_order_of_the_catalogue(protocol):
    for group in groups_of(make(protocol, ids="rqpedcba")):
        assert group.candidates == sorted(group.candidates, reverse=True)


def test_without_cold_items_there_is_one_group_of_the_items_with_training_clicks():
    actual = groups_of(make(cold_items=""))
    assert [as_text(group) for group in actual] == [("abcd", {"u1": "d", "u2": "a", "u4": "b", "u6": "b"}, {})]
    assert actual[0].name == "overall"


@pytest.mark.parametrize(("cold_items", "competes"), [("pqr", False), ("epqr", True)])
def test_an_item_without_training_clicks_is_a_candidate_if_it_is_a_cold_item(cold_items, competes):
    overall = groups_of(make(cold_items=cold_items), ["overall"])[0]
    assert ("e" in overall.candidates) == competes
    assert overall.relevant.get("u5") == (frozenset("e") if competes else None)


def test_test_clicks_on_no_candidate_leave_no_evaluation_users():
    with pytest.raises(InvalidInputError, match="no evaluation users in .*: no test click is relevant there"):
        groups_of(make(test={"u5": "e", "u6": "e"}))


def test_without_a_validation_part_all_cold_items_are_candidates():
    assert groups_of(make(validation=None), ["cold"])[0].candidates == list("pqr")
    assert as_text(groups_of(make("aldi", validation=None), ["cold"])[0])[2] == {"u1": "d", "u3": "", "u4": "b"}


def test_a_group_without_evaluation_users_is_left_out():
    actual = groups_of(make(test={"u1": "d", "u6": "b"}))
    assert [group.name for group in actual] == ["overall", "warm"]


def test_a_warm_up_item_with_training_clicks_is_cold_and_not_warm():
    catalog = Catalog.from_frame({"id": list("ab"), "title": list("ab")}, id="id", fields=["title"])
    train, test = clicks({"u1": "ab", "u2": "a"}), clicks({"u2": "b", "u3": "a"})
    warming = Split("warm-up", catalog, train, test, cold_items=frozenset("b"), cold_clicks=1)
    actual = {group.name: as_text(group) for group in groups_of(warming)}
    assert actual["cold"] == ("b", {"u2": "b"}, {})
    assert actual["warm"] == ("a", {"u3": "a"}, {})


def test_arrivals_are_candidates():
    catalog, arrivals = (Catalog.from_frame({"id": [i], "title": [i]}, id="id", fields=["title"]) for i in "ab")
    later = Split("later", catalog, clicks({"u1": "a"}), clicks({"u1": "b"}), cold_items="b", arrivals=arrivals)
    assert [as_text(group)[0] for group in groups_of(later)] == ["ab", "b"]


def test_the_aldi_protocol_takes_the_first_users_by_number(monkeypatch):
    monkeypatch.setattr(groups, "ALDI_USERS", 2)
    ids = [10, 9, 2, 30]
    catalog = Catalog.from_frame({"id": list("ab"), "title": list("ab")}, id="id", fields=["title"])
    train, test = clicks(dict.fromkeys(ids, "a")), clicks(dict.fromkeys(ids, "b"))
    aldi = Split("aldi", catalog, train, test, cold_items=frozenset("b"), protocol="aldi")
    assert list(groups_of(aldi, ["cold"])[0].relevant) == [2, 9]


def test_the_aldi_protocol_takes_2000_users():
    assert groups.ALDI_USERS == 2_000


def test_an_unknown_group_is_named_beside_those_there_are():
    expected = r"`groups` must be out of \['overall', 'cold', 'warm', 'overall-clean'\]; got \['hot', 'tepid'\]"
    with pytest.raises(InvalidInputError, match=expected):
        groups_of(make(), ["hot", "cold", "tepid"])


def test_a_split_without_a_validation_part_is_refused_for_validation():
    with pytest.raises(InvalidInputError, match="mine has no validation part. Make the split with one"):
        groups_of(make(validation=None), part="validation")


@pytest.mark.parametrize("names", [["cold"], []])
def test_no_evaluation_users_are_an_error(names):
    expected = rf"mine has no evaluation users in \[{str(names)[1:-1]}\]: no test click is relevant there"
    with pytest.raises(InvalidInputError, match=expected):
        groups_of(make(test={"u1": "d"}), names)


def test_overall_of_the_coldrec_protocol_has_only_users_of_both_groups():
    with pytest.raises(InvalidInputError, match="no evaluation users in \\['overall'\\]"):
        groups_of(make("coldrec", test={"u1": "d", "u3": "q"}), ["overall"])


def test_repeated_clicks_make_one_relevant_item():
    assert truth_of(clicks({"u": "aab"})) == {"u": frozenset("ab")}


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["clean", "coldrec", "aldi"]), st.sampled_from(["test", "validation"])
)
def test_relevant_items_are_held_out_candidates_and_never_hidden(seed, protocol, part):
    rng = np.random.default_rng(seed)
    cold = frozenset(rng.choice(list("abcdefgh"), 3, replace=False).tolist())
    warm = next(item for item in "abcdefgh" if item not in cold)
    parts = [{"always train": [warm]}, {"always validation": [warm]}, {"always test": [warm]}]
    for user in "uvwxyz":
        for item in "abcdefgh":
            at = rng.integers(1 if item in cold else 0, 3)
            if rng.random() < 0.6:
                parts[at].setdefault(user, []).append(item)
    train, validation, test = (clicks(one) for one in parts)
    catalog = Catalog.from_frame({"id": list("abcdefgh"), "title": list("abcdefgh")}, id="id", fields=["title"])
    split = Split("drawn", catalog, train, test, validation, cold, protocol=protocol)
    held = truth_of(getattr(split, part))
    for group in groups_of(split, part=part):
        assert set(group.relevant) <= set(held)
        for user, items in group.relevant.items():
            assert items
            assert items <= held[user] & set(group.candidates)
            assert not items & group.hidden.get(user, frozenset())
