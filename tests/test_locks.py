"""One writer at a time, and a fresh lock for every copy and every child process."""

import copy
import os
import pickle
import signal
import threading

import pytest

import coldstart as cs
from coldstart._locks import WriteLock
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks


def free(lock):
    """Whether another thread can have it."""
    got = []
    thread = threading.Thread(target=lambda: got.append(lock._lock.acquire(timeout=0.2)))
    thread.start()
    thread.join()
    return got == [True]


def test_one_thread_holds_it_at_a_time_and_may_acquire_it_again():
    lock = WriteLock()
    with lock.held(), lock.held():
        assert not free(lock)
    assert free(lock)


def test_an_error_releases_it():
    lock = WriteLock()
    with pytest.raises(ValueError), lock.held():
        raise ValueError
    assert free(lock)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda lock: pickle.loads(pickle.dumps(lock))])
def test_a_copy_is_not_held(copied):
    lock = WriteLock()
    with lock.held():
        assert free(copied(lock))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_can_acquire_it_while_a_thread_of_the_parent_holds_it():
    rec = cs.Recommender(encoder=HashEncoder(4), ranker=cs.CosineRanker()).fit(tiny_catalog(), tiny_clicks())
    taken, done = threading.Event(), threading.Event()

    def write():
        with rec._writing.held():
            taken.set()
            done.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    taken.wait(20)
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it where it waits for a thread that is not there
        rec.remove_items(["s0"])
        os._exit("s0" in rec.catalog)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert "s0" in rec.catalog
