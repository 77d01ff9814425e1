"""A fitted state never changes: every change is a new one."""

import threading

import numpy as np
import pytest

import coldstart as cs
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
def test_a_change_leaves_the_old_state_whole(rec, change):
    old = rec.fitted
    ids, clicks, dense = old.catalog.ids, old.clicks.toarray(), old.features.dense.copy()
    new = change(old)
    assert new is not old
    assert old.catalog.ids == ids
    np.testing.assert_array_equal(old.clicks.toarray(), clicks)
    np.testing.assert_array_equal(old.features.dense, dense)


@pytest.mark.parametrize("change", CHANGES)
def test_so_do_its_words(catalog, clicks, change):
    old = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(catalog, clicks).fitted
    sparse, joined = old.texts.sparse.toarray(), old.texts.joined.copy()
    new = change(old)
    np.testing.assert_array_equal(old.texts.sparse.toarray(), sparse)
    np.testing.assert_array_equal(old.texts.joined, joined)
    assert len(new.features) == new.features.sparse.shape[0] == len(new.features.joined) == len(new.catalog)


def test_words_are_made_for_rankers_that_read_them_only(catalog):
    made = {name: cs.Recommender(encoder=HashEncoder(), ranker=ranker).fit(catalog).fitted for name, ranker in RANKERS}
    assert made["cosine"].texts is None
    assert (made["cosine"].features.sparse, made["cosine"].features.joined) == (None, None)
    assert made["hybrid"].features.sparse is made["hybrid"].texts.sparse
    assert made["hybrid"].features.joined is made["hybrid"].texts.joined


def test_rows_positions_and_clicks_stay_together(rec):
    new = rec.fitted.with_items(NEW).without_items(["s1"])
    assert new.clicks.shape == (8, 8)
    assert new.features.dense.shape[0] == len(new.catalog) == 8
    column = new.catalog.positions(["g0"])[0]
    assert new.clicks[:, [column]].sum() == 3


def test_readers_in_other_threads_never_see_a_mixture(catalog):
    rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
    problems, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                found = rec.recommend(query="garden gnome", k=3).item_ids[0]
                if len(found) != 3:
                    problems.append(found)
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
