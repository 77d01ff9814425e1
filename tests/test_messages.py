"""What error messages quote of the values they got."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import coldstart as cs
from coldstart._messages import LONGEST, shortened, shown
from coldstart.errors import ColdstartError
from coldstart.testing import HashEncoder, tiny_catalog


def nested(levels):
    value = ["x" * 1000] * 1000
    for _ in range(levels):
        value = [value] * 1000
    return value


class Broken:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("value", [5, "sku", None, ["a", 1], {"price": ("<", 20)}, b"x", (1.5,), {"a"}], ids=repr)
def test_a_short_value_is_quoted_as_it_is(value):
    assert shown(value) == repr(value)


LONG = {
    "text": "x" * 1_000_000,
    "bytes": b"x" * 1_000_000,
    "list": list(range(100_000)),
    "nested": nested(levels=8),
    "dict": {str(at): "x" * 1000 for at in range(1000)},
    "number": 10**400,
    "huge number": 10**100_000,
    "array": np.zeros((1000, 1000)),
    "frame": pd.DataFrame(np.zeros((1000, 100))),
    "one without a repr": Broken(),
}


@pytest.mark.parametrize("value", LONG.values(), ids=LONG)
def test_a_long_value_is_quoted_in_200_letters(value):
    assert 0 < len(shown(value)) <= LONGEST


def test_the_text_of_another_error_is_cut():
    assert shortened(ValueError("short")) == "short"
    assert len(shortened(ValueError("x" * 1000))) <= LONGEST


@pytest.mark.parametrize("argument", ["history", "disliked", "candidates", "exclude", "user", "where", "k"])
def test_a_message_is_short_and_takes_no_memory_whatever_is_passed(argument):
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(tiny_catalog())
    letters = "x" * 5_000_000
    tracemalloc.start()
    with pytest.raises(ColdstartError) as raised:
        rec.recommend(**{argument: letters})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(raised.value)) < 1_000
    assert peak < 1_000_000


HUGE = "x" * 5_000_000

CALLS = {
    "load, verify": lambda folder: cs.load(folder, verify=HUGE),
    "load, encoder": lambda folder: cs.load(folder, ranker=[HUGE]),
    "cache": lambda folder: cs.CachedEncoder(HashEncoder(), folder / "cache").encode([[HUGE]]),
    "cell": lambda folder: with_cell({HUGE}).save(folder),
}


def with_cell(cell):
    catalog = cs.Catalog.from_frame({"id": ["a"], "title": ["red"], "cell": [cell]}, id="id", fields=["title"])
    return cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(catalog)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_messages_about_folders_are_short(tmp_path, call):
    with_cell(1).save(tmp_path / "model")
    with pytest.raises(ColdstartError) as raised:
        call(tmp_path / "model")
    assert len(str(raised.value)) < 1_000
