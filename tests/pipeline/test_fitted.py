"""A fitted state never changes: every change is a new one."""

import threading

import numpy as np
import pytest

import coldstart as cs
from coldstart.pipeline.fitted import encode_fields
from coldstart.testing import HashEncoder, tiny_catalog

NEW = [{"id": "n1", "title": "garden gnome", "plot": None}]


@pytest.mark.parametrize(
    "change",
    [
        lambda fitted: fitted.with_items(NEW),
        lambda fitted: fitted.with_updates([{"id": "s0", "title": "submarine"}]),
        lambda fitted: fitted.without_items(["s0"]),
        lambda fitted: fitted.with_clicks(cs.Interactions.from_frame({"u": ["w"], "i": ["g0"]}, user="u", item="i")),
    ],
)
def test_a_change_leaves_the_old_state_whole(rec, change):
    old = rec.fitted
    ids, clicks, dense = old.catalog.ids, old.clicks.toarray(), old.features.dense.copy()
    new = change(old)
    assert new is not old
    assert old.catalog.ids == ids
    np.testing.assert_array_equal(old.clicks.toarray(), clicks)
    np.testing.assert_array_equal(old.features.dense, dense)


def test_rows_positions_and_clicks_stay_together(rec):
    new = rec.fitted.with_items(NEW).without_items(["s1"])
    assert new.clicks.shape == (8, 8)
    assert new.features.dense.shape[0] == len(new.catalog) == 8
    column = new.catalog.positions(["g0"])[0]
    assert new.clicks[:, [column]].sum() == 3


def test_one_encoder_reads_all_its_fields_in_one_call():
    calls = []

    class Once(HashEncoder):
        def encode(self, values, /):
            calls.append(list(values))
            return super().encode(values)

    encoder = Once()
    fields = encode_fields(tiny_catalog(), {"title": encoder, "plot": encoder})
    assert len(calls) == 1
    np.testing.assert_array_equal(fields["title"][2], encoder.encode(["space comet"])[0])
    assert not fields["plot"][1].any()


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
