"""A fitted state never changes: every change is a new one."""

import threading

import numpy as np
import pytest

import coldstart as cs
from coldstart.rankers.als import ALSRanker
from coldstart.testing import HashEncoder

NEW = [{"id": "n1", "title": "garden gnome", "plot": None}]


CHANGES = [
    lambda fitted: fitted.with_items(NEW),
    lambda fitted: fitted.with_updates([{"id": "s0", "title": "submarine"}]),
    lambda fitted: fitted.without_items(["s0"]),
    lambda fitted: fitted.with_clicks(cs.Interactions.from_frame({"u": ["w"], "i": ["g0"]}, user="u", item="i")),
]
RANKERS = [("cosine", cs.CosineRanker()), ("hybrid", cs.HybridRanker())]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_leaves_the_old_state_as_it_was(rec, change):
    old = rec.fitted
    ids, clicks, dense = old.catalog.ids, old.clicks.toarray(), old.features.dense.copy()
    new = change(old)
    assert new is not old
    assert old.catalog.ids == ids
    np.testing.assert_array_equal(old.clicks.toarray(), clicks)
    np.testing.assert_array_equal(old.features.dense, dense)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_leaves_the_text_rows_of_the_old_state_as_they_were(catalog, clicks, change):
    old = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(catalog, clicks).fitted
    sparse, read = old.texts.sparse.toarray(), old.texts.read.copy()
    new = change(old)
    np.testing.assert_array_equal(old.texts.sparse.toarray(), sparse)
    np.testing.assert_array_equal(old.texts.read, read)
    assert len(new.features) == new.features.sparse.shape[0] == len(new.features.read) == len(new.catalog)


def test_text_rows_are_computed_only_for_rankers_that_read_them(catalog):
    made = {name: cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(catalog).fitted for name, ranker in RANKERS}
    assert made["cosine"].texts is None
    assert (made["cosine"].features.sparse, made["cosine"].features.read) == (None, None)
    assert made["hybrid"].features.sparse is made["hybrid"].texts.sparse
    assert made["hybrid"].features.read is made["hybrid"].texts.read


def test_rows_positions_and_clicks_stay_together(rec):
    new = rec.fitted.with_items(NEW).without_items(["s1"])
    assert new.clicks.shape == (8, 8)
    assert new.features.dense.shape[0] == len(new.catalog) == 8
    column = new.catalog.positions(["g0"])[0]
    assert new.clicks[:, [column]].sum() == 3


class Lookup(HashEncoder):
    """Reads a vector off the number that a text is, and counts what it reads."""

    read = 0

    def encode(self, values, /):
        self.read += len(values)
        angles = np.array([float(value) for value in values], dtype=np.float32).reshape(-1, 1) / 1000
        return np.hstack([np.cos(angles), np.sin(angles)])


class CountingFuser(cs.ConcatFuser):
    """Counts the rows that it fuses."""

    fused = 0

    def fuse(self, fields, missing):
        self.fused += len(missing)
        return super().fuse(fields, missing)


def numbered(numbers, **columns):
    return {"id": list(numbers), "title": list(map(str, numbers)), **columns}


@pytest.fixture
def many():
    """3,000 items on a circle, in the order of their numbers."""
    catalog = cs.Catalog.from_frame(numbered(range(3000), price=[1] * 3000), id="id", fields=["title"])
    ranker = cs.CosineRanker(center=False)
    return cs.Recommender(encoder=Lookup(), ranker=ranker, fuser=CountingFuser(), lexical=None).fit(catalog)


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (lambda rec: rec.add_items(numbered([5000, 5001])), 2),
        (lambda rec: rec.update_items({"id": [7], "title": ["5002"]}), 1),
        (lambda rec: rec.update_items({"id": [7], "title": ["7"], "price": [2]}), 0),
        (lambda rec: rec.update_items({"id": [7, 8], "price": [2, 3]}), 0),
        (lambda rec: rec.remove_items([5, 6]), 0),
    ],
    ids=["add", "edit", "edit to the same", "edit a price", "remove"],
)
def test_a_change_encodes_and_fuses_only_new_rows_and_shares_the_others(many, change, rows):
    before = many.fitted
    encoder, fuser = before.parts.encoders["title"], before.parts.fuser
    read, fused = encoder.read, fuser.fused
    change(many)
    after = many.fitted
    assert (encoder.read - read, fuser.fused - fused) == (rows, rows)
    assert after.fields["title"].blocks[0] is before.fields["title"].blocks[0]
    assert after.vectors.rows.blocks[0] is before.vectors.rows.blocks[0]


def test_after_many_changes_answers_are_those_of_a_fresh_fit(many):
    many.add_items(numbered(range(3000, 3100), price=[2] * 100))
    many.remove_items(range(100, 120))
    many.update_items({"id": [50, 60], "title": ["9000", "9001"], "price": [5, 6]})
    many.add_items(numbered([110], price=[7]))
    fresh = cs.Recommender(encoder=Lookup(), ranker=cs.CosineRanker(center=False), lexical=None)
    fresh.fit(cs.Catalog(many.catalog.ids, ("title",), many.catalog.columns, "id"))
    assert many.catalog.ids[-1] == 110
    requests = [
        cs.Request(query="9000.4"),
        cs.Request(history=[110, 60], disliked=[3099], exclude=[61]),
        cs.Request(history=[3050]),
        cs.Request(),
    ]
    for filters in ({}, {"where": {"price": (">", 1)}}, {"candidates": range(40, 70)}, {"exclude": [50, 110]}):
        answer, expected = (rec.recommend_many(requests, k=20, **filters) for rec in (many, fresh))
        assert answer.item_ids == expected.item_ids
        assert answer.titles == expected.titles


def test_a_removed_item_is_unknown_until_it_is_added_again(many):
    many.remove_items([5])
    for ask in (lambda: many.recommend(history=[5]), lambda: many.remove_items([5])):
        with pytest.raises(cs.ColdstartError, match="got 5"):
            ask()
    old = many.fitted
    many.add_items(numbered([5]))
    assert many.recommend(query="5", k=1).item_ids == [[5]]
    assert 5 not in old.catalog
    assert many.fitted.catalog.positions([5]).tolist() == [2999]


def test_clicks_stay_with_their_items_through_changes(many):
    clicks = cs.Interactions.from_frame({"u": ["x", "x", "y"], "i": [10, 20, 10]}, user="u", item="i")
    many.update(clicks).add_items(numbered([5000])).remove_items([15])
    many.update(cs.Interactions.from_frame({"u": ["z", "x"], "i": [5000, 20]}, user="u", item="i"))
    fitted = many.fitted
    at = dict(zip(("10", "20", "5000"), fitted.catalog.positions([10, 20, 5000]), strict=True))
    assert fitted.users == ("x", "y", "z")
    assert fitted.clicks.shape == (3, 3000)
    assert fitted.clicks[0, [at["10"], at["20"]]].toarray().tolist() == [1, 2]
    assert fitted.popularity[[at["10"], at["20"], at["5000"]]].tolist() == [2, 2, 1]


def test_every_answer_is_of_one_state_while_items_change(many):
    """The writer moves two items together, near to the query or far: who saw a mixture would find one of them."""
    problems, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                (answer,) = many.recommend(query="9000", k=4).item_ids
                if len(answer) != 4 or sum(one >= 10_000 for one in answer) not in (0, 2):
                    problems.append(answer)
            except Exception as error:
                problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        pair = [10_000 + 2 * turn, 10_001 + 2 * turn]
        many.add_items({"id": pair, "title": ["9000", "9000"]})
        many.update_items({"id": pair, "title": ["9001", "9001"]})
        many.update_items({"id": pair, "title": ["100", "100"]})
        many.remove_items(pair)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_readers_in_other_threads_never_see_a_mixture(catalog):
    rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
    problems, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                answer = rec.recommend(query="garden gnome", k=3).item_ids[0]
                if len(answer) != 3:
                    problems.append(answer)
            except Exception as error:
                problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        rec.add_items(NEW)
        rec.remove_items(["n1"])
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.mark.parametrize("shuffled", ["clicks", "catalogue", "both"])
@pytest.mark.parametrize(
    "ranker",
    [cs.HybridRanker(), cs.HybridRanker(method="als"), ALSRanker(), cs.MLPRanker(epochs=1, progress=False)],
    ids=["exact", "als", "ALSRanker", "MLPRanker"],
)
def test_the_order_of_rows_changes_no_list(ranker, shuffled):
    """An export without ORDER BY must not reshuffle the shop."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(8, size=200)
    titles = [f"kind{kind} word{rng.integers(30)} item{at}" for at, kind in enumerate(kinds)]
    catalog = cs.Catalog.from_frame({"id": range(200), "title": titles}, id="id", fields=["title"])
    likes = {"u": rng.integers(150, size=4_000), "i": rng.integers(200, size=4_000)}
    kept = (kinds[likes["i"]] == likes["u"] % 8) | (rng.random(4_000) < 0.2)
    clicks = cs.Interactions.from_frame({name: ids[kept] for name, ids in likes.items()}, user="u", item="i")
    other_catalog, other_clicks = catalog, clicks
    if shuffled != "clicks":
        other_catalog = catalog.take(rng.permutation(len(catalog)))
    if shuffled != "catalogue":
        other_clicks = clicks.take(rng.permutation(len(clicks)))
    one, other = (
        cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(*data, check=False)
        for data in ((catalog, clicks), (other_catalog, other_clicks))
    )
    users = one.fitted.users
    assert one.recommend_many(users=users, k=10).item_ids == other.recommend_many(users=users, k=10).item_ids
