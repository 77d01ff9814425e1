"""The memory of recent vectors, and of queries in a TextEncoder."""

from threading import Thread

import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders._recent import RecentVectors


class Counting:
    """Gives each number as its vector and notes what it was asked."""

    def __init__(self):
        self.encoded = []

    def __call__(self, keys):
        self.encoded += keys
        return np.array(keys, dtype=np.float32).reshape(-1, 1)


def test_each_key_is_encoded_once_and_rows_are_in_the_order_of_the_keys():
    recent, encode = RecentVectors(4), Counting()
    assert recent.rows([3, 1, 3], encode).ravel().tolist() == [3, 1, 3]
    assert recent.rows([1, 2], encode).ravel().tolist() == [1, 2]
    assert encode.encoded == [3, 1, 2]


def test_the_least_recently_used_vector_is_dropped_first():
    recent, encode = RecentVectors(2), Counting()
    for keys in ([1], [2], [1], [3], [1], [2]):
        recent.rows(keys, encode)
    assert encode.encoded == [1, 2, 3, 2]


def test_more_keys_than_the_size_are_all_returned():
    assert RecentVectors(2).rows(list(range(9)), Counting()).ravel().tolist() == list(range(9))


def test_no_keys_give_no_rows_of_the_width_of_the_encoder():
    assert RecentVectors(2).rows([], Counting()).shape == (0, 1)


def test_changing_a_returned_array_changes_no_later_answer():
    recent, encode = RecentVectors(2), Counting()
    for _ in range(2):
        recent.rows([5], encode)[:] = 7
    assert recent.rows([5], encode).tolist() == [[5]]


def test_threads_may_share_it():
    recent, wrong = RecentVectors(3), []

    def ask(seed):
        encoded = np.random.default_rng(seed).integers(0, 6, (300, 2)).tolist()
        wrong.extend(keys for keys in encoded if recent.rows(keys, Counting()).ravel().tolist() != keys)

    threads = [Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def encoder(make_model):
    return cs.TextEncoder(make_model("bert"), dtype="float32")


def test_a_repeated_query_goes_through_the_network_once(encoder, monkeypatch):
    kind, read = type(encoder._load()), []
    embed = kind.embed
    monkeypatch.setattr(kind, "embed", lambda self, ids: read.append(ids) or embed(self, ids))
    first, again = encoder.encode_query(["moon"]), encoder.encode_query(["moon"])
    np.testing.assert_array_equal(first, again)
    assert len(read) == 1


@pytest.mark.parametrize("setting", [{"query_prefix": "red "}, {"normalize": False}])
def test_a_changed_setting_is_not_answered_from_memory(encoder, setting):
    before = encoder.encode_query(["moon"])
    for name, value in setting.items():
        setattr(encoder, name, value)
    assert np.abs(encoder.encode_query(["moon"]) - before).max() > 1e-3


def test_a_cached_vector_keeps_no_batch_in_memory():
    recent = RecentVectors(2)
    recent.rows(list(range(50)), lambda keys: np.ones((len(keys), 4), dtype=np.float32))
    assert all(vector.base is None for vector in recent._vectors.values())
