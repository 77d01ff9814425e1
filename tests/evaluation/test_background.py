"""Four items: a clicked by three of four users, b by one, twice; c and d by none, d is cold."""

import numpy as np
import pytest

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Split
from coldstart.evaluation.background import Background
from coldstart.evaluation.groups import Group


def clicks(*pairs):
    rows = [{"user": user, "item": item} for user, item in pairs]
    return Interactions.from_frame(rows, user="user", item="item")


@pytest.fixture
def split():
    return Split(
        "mine",
        Catalog.from_frame({"id": list("abc"), "title": list("abc")}, id="id", fields=["title"]),
        train=clicks(*("ua", "va", "wa", "xb", "xb")),
        test=clicks(*("ub", "vd", "zc")),
        cold_items=frozenset("d"),
        cold_users=frozenset("z"),
        revealed=clicks("za", "zd"),
        arrivals=Catalog.from_frame({"id": ["d"], "title": ["d"]}, id="id", fields=["title"]),
    )


@pytest.fixture
def group():
    return Group("overall", list("abcd"), {"u": frozenset("b"), "v": frozenset("d"), "z": frozenset("c")}, {})


RANKED = [list("bcd"), list("db"), []]


def test_known_items_of_a_user_are_those_of_training_and_revealed_clicks(split):
    assert Background(split).clicks_of("uxzy").tolist() == [1, 1, 2, 0]


def test_counts_are_the_users_who_clicked_each_item_in_training(split):
    assert Background(split).counts.tolist() == [3, 1, 0, 0]


def test_metrics_per_user_beyond_accuracy(split, group):
    values = Background(split).per_user(RANKED, group, 2, None)
    assert list(values) == [("cold_exposure", 2), ("novelty", 2), ("serendipity", 2)]
    np.testing.assert_allclose(values["cold_exposure", 2], [0.0, 0.5, np.nan])
    np.testing.assert_allclose(values["novelty", 2], [2.0, 2.0, np.nan])


def test_a_hit_among_the_most_clicked_unseen_candidates_is_not_serendipitous(split, group):
    serendipity = Background(split).per_user(RANKED, group, 1, None)["serendipity", 1]
    assert serendipity.tolist() == [0.0, 1.0, 0.0]


def test_items_that_the_user_clicked_are_not_among_the_expected_ones(split):
    group = Group("overall", list("abcd"), {"u": frozenset("b"), "y": frozenset("b")}, {})
    serendipity = Background(split).per_user([["b"], ["b"]], group, 1, None)["serendipity", 1]
    assert serendipity.tolist() == [0.0, 1.0]


def test_the_expected_items_are_candidates(split):
    group = Group("cold", list("bcd"), {"y": frozenset("b")}, {})
    assert Background(split).per_user([["b"]], group, 1, None)["serendipity", 1].tolist() == [0.0]


def test_vectors_give_the_diversity_of_each_list(split, group):
    vectors = np.array([[1, 0], [1, 0], [0, 1], [2, 0]], dtype=np.float32)
    values = Background(split).per_user(RANKED, group, 2, vectors)["diversity", 2]
    np.testing.assert_allclose(values, [1.0, 0.0, np.nan])


def test_coverage_and_gini_are_over_the_candidates(split):
    group = Group("some", list("bcd"), {"u": frozenset("b"), "v": frozenset("d")}, {})
    totals = Background(split).totals([["b"], ["b"]], group, 1)
    assert totals["coverage", 1] == pytest.approx(1 / 3)
    assert totals["gini", 1] == pytest.approx(2 / 3)


def test_deciles_are_of_the_whole_catalogue_most_clicked_first(split):
    shares = Background(split).deciles([["d", "a"], ["b", "a"]], 2)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] == pytest.approx(0.5)
    assert np.flatnonzero(shares).tolist() == [0, 2, 7]


def test_hits_in_the_first_k_are_counted_by_training_clicks_of_the_item(split, group):
    actual = Background(split).by_count([list("ab"), list("d"), []], list(group.relevant.values()), 1)
    assert actual == {"0": (2, 1), "1-5": (1, 0), "6-20": (0, 0), "21-100": (0, 0), "over 100": (0, 0)}


@pytest.mark.parametrize(
    ("count", "label"),
    [(1, "1-5"), (5, "1-5"), (6, "6-20"), (20, "6-20"), (21, "21-100"), (100, "21-100"), (101, "over 100")],
)
def test_the_bounds_of_a_class_belong_to_it(count, label):
    catalog = Catalog.from_frame({"id": ["a"], "title": ["a"]}, id="id", fields=["title"])
    split = Split("many", catalog, clicks(*((at, "a") for at in range(count))), clicks(("new", "a")))
    actual = Background(split).by_count([["a"]], [frozenset("a")], 1)
    assert [name for name, counts in actual.items() if counts == (1, 1)] == [label]
    assert sum(n_relevant for n_relevant, _ in actual.values()) == 1
