import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.splits import from_labels
from coldstart.errors import InvalidInputError

PAIRS = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("u", "d"), ("v", "d"), ("u", "c")]
WARM_COLD = ["warm_train", "warm_train", "warm_train", "warm_val", "cold_val", "cold_test", "warm_test"]


def catalog(ids="abcd"):
    return Catalog.from_frame({"id": list(ids), "title": ["x"] * len(ids)}, id="id", fields=["title"])


def clicks(pairs=PAIRS):
    """Each row has its own weight, by which it is found again."""
    table = {"u": [user for user, _ in pairs], "i": [item for _, item in pairs], "row": range(1, len(pairs) + 1)}
    return Interactions.from_frame(table, user="u", item="i", weight="row")


def rows(part):
    return [] if part is None else [int(row) - 1 for row in part.weight]


def parts(split):
    return [rows(part) for part in (split.train, split.validation, split.test)]


def test_clicks_are_in_the_parts_of_their_labels():
    split = from_labels(catalog(), clicks(), WARM_COLD)
    assert parts(split) == [[0, 1, 2], [3, 4], [5, 6]]
    assert split.test.pairs() == [PAIRS[5], PAIRS[6]]
    assert (split.protocol, split.name, split.revealed, split.cold_users) == (
        "coldrec",
        "from_labels()",
        None,
        frozenset(),
    )


@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, lambda labels: np.array(labels, dtype=object)])
def test_labels_may_be_any_sequence(make):
    assert parts(from_labels(catalog(), clicks(), make(WARM_COLD))) == [[0, 1, 2], [3, 4], [5, 6]]


def test_cold_items_are_those_with_a_cold_label():
    assert from_labels(catalog(), clicks(), WARM_COLD).cold_items == {"d"}
    assert from_labels(catalog(), clicks(), [*WARM_COLD[:-1], "cold_test"][:3] + WARM_COLD[3:]).cold_items == {"d"}


def test_without_cold_labels_items_without_a_training_click_are_cold():
    labels = ["train", "train", "train", "validation", "test", "test", "validation"]
    split = from_labels(catalog(), clicks(), labels)
    assert parts(split) == [[0, 1, 2], [3, 6], [4, 5]]
    assert split.cold_items == {"c", "d"}


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), unique=True, max_size=20), st.data())
def test_clicks_keep_their_labels_and_cold_items_have_no_training_click(pairs, data):
    pairs = [*pairs, *((user, "known") for user in range(4))]
    labels = data.draw(
        st.lists(st.sampled_from(["train", "validation", "test"]), min_size=len(pairs) - 4, max_size=len(pairs) - 4)
    )
    assume("test" in labels)
    labels += ["train"] * 4
    split = from_labels(catalog([0, 1, 2, 3, 4, 5, "known"]), clicks(pairs), labels)
    expected = [[at for at, label in enumerate(labels) if label == part] for part in ("train", "validation", "test")]
    assert parts(split) == expected
    assert not split.cold_items.intersection(split.train.items)
    assert split.cold_items == {item for _, item in pairs} - set(split.train.items)


def test_clicks_of_users_without_a_training_click_keep_their_labels():
    pairs = [*PAIRS, ("stranger", "d")]
    assert rows(from_labels(catalog(), clicks(pairs), [*WARM_COLD, "cold_test"]).test) == [5, 6, 7]


@pytest.mark.parametrize("protocol", ["coldrec", "clean", "aldi"])
def test_protocol_and_name_are_those_given(protocol):
    split = from_labels(catalog(), clicks(), WARM_COLD, protocol=protocol, name="CiteULike")
    assert (split.protocol, split.name) == (protocol, "CiteULike")
    assert repr(split).startswith("Split(CiteULike: clicks 3 train, 2 validation, 2 test; ")


def test_another_protocol_is_refused():
    with pytest.raises(InvalidInputError, match="`protocol` must be one of .*; got 'fair'"):
        from_labels(catalog(), clicks(), WARM_COLD, protocol="fair")


@pytest.mark.parametrize("labels", [WARM_COLD[:-1], [*WARM_COLD, "train"], [], "trainer", "train"], ids=repr)
def test_there_must_be_one_label_per_click(labels):
    with pytest.raises(InvalidInputError, match=f"`labels` must hold one label per click, 7; got {len(labels)}"):
        from_labels(catalog(), clicks(), labels)


@pytest.mark.parametrize(
    ("label", "named"), [("valid", "'valid'"), ("Train", "'Train'"), (None, "None"), (1, "1"), ("", "''")]
)
def test_an_unknown_label_is_named_with_those_there_are(label, named):
    known = "['train', 'validation', 'test', 'warm_train', 'warm_val', 'warm_test', 'cold_val', 'cold_test']"
    with pytest.raises(InvalidInputError, match=re.escape(f"`labels` must be out of {known}; got {named}.")):
        from_labels(catalog(), clicks(), [*WARM_COLD[:-1], label])


@pytest.mark.parametrize(("label", "part"), [("test", "train"), ("train", "test"), ("validation", "train")])
def test_an_empty_part_is_refused(label, part):
    with pytest.raises(InvalidInputError, match=f"mine leaves no {part} clicks"):
        from_labels(catalog(), clicks(), [label] * 7, name="mine")


def test_an_item_with_cold_and_training_labels_is_a_leak():
    labels = ["warm_train", "warm_train", "cold_test", *WARM_COLD[3:]]
    with pytest.raises(InvalidInputError, match="Leak: a cold item must have at most 0 training clicks; .* 'a' with 1"):
        from_labels(catalog(), clicks(), labels)


def test_a_pair_with_two_labels_is_a_leak():
    with pytest.raises(
        InvalidInputError, match=r"Leak: 1 pairs .* both in `train` and in `test`, such as \('u', 'a'\)"
    ):
        from_labels(catalog(), clicks([*PAIRS, ("u", "a")]), [*WARM_COLD, "warm_test"])


def test_repeated_clicks_with_one_label_are_accepted():
    assert parts(from_labels(catalog(), clicks([*PAIRS, ("u", "a")]), [*WARM_COLD, "train"]))[0] == [0, 1, 2, 7]


def test_a_click_on_an_item_that_is_not_in_the_catalogue_is_refused():
    with pytest.raises(InvalidInputError, match="Clicks of `validation` must be on items of the catalogue; got 'd'"):
        from_labels(catalog("abc"), clicks(), WARM_COLD)


def test_labels_and_clicks_are_not_changed():
    labels, whole = list(WARM_COLD), clicks()
    from_labels(catalog(), whole, labels)
    assert labels == WARM_COLD
    assert (whole.pairs(), whole.users, whole.items) == (PAIRS, clicks().users, clicks().items)


@pytest.mark.parametrize("names", [[1, "1", ("t", 2), 2.5], list("日é🙂а")], ids=["mixed types", "unicode"])
def test_ids_of_any_type_are_kept(names):
    pairs = [(names[0], item) for item in names]
    split = from_labels(catalog(names), clicks(pairs), ["warm_train", "warm_train", "warm_val", "cold_test"])
    assert split.test.pairs() == [(names[0], names[3])]
    assert split.cold_items == {names[3]}
