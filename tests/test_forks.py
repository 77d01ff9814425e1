"""A process that is forked from one that has answered answers as well."""

import multiprocessing
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")


FORKED = """
import multiprocessing
import sys
import threading

import numpy as np
import torch
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.index.int8_search import is_exact
from coldstart.rankers.hybrid.scorers import dense_scorer


def text():
    encoder = cs.TextEncoder(sys.argv[2])
    return lambda: encoder.encode(["a long walk in the garden " * 20] * 64)


def half():
    weights = np.ones((5_000, 2_000), dtype=np.float32)
    history = csr_array(np.ones((50, 5_000), dtype=np.float32))
    scorer = dense_scorer(weights)
    return lambda: scorer.scores(history)


def int8():
    vectors = np.random.default_rng(0).standard_normal((60_000, 64)).astype(np.float32)
    index = cs.ExactIndex("int8" if is_exact(64) else "float32").build(vectors)
    return lambda: index.search(vectors[:64], k=10)


def faiss():
    vectors = np.random.default_rng(0).standard_normal((5_000, 16)).astype(np.float32)
    index = cs.FaissIndex("hnsw").build(vectors)
    return lambda: index.search(vectors[:500], k=10)


torch.set_num_threads(4)
answer = {"text": text, "half": half, "int8": int8, "faiss": faiss}[sys.argv[1]]()
answer()


def child():
    answer()
    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()


process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(30)
code = process.exitcode
process.kill()
assert code == 0, f"the child ended with {code}"
assert torch.get_num_threads() == 4
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.skipif(sys.platform == "darwin", reason="system libraries of macOS do not survive a fork")
@pytest.mark.parametrize("what", ["text", "half", "int8", "faiss"])
def test_a_child_forked_after_an_answer_answers(what, make_model):
    """As with gunicorn --preload: the parent answered before it forked, and its threads do not exist in the child."""
    pytest.importorskip("faiss" if what == "faiss" else "torch")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", FORKED, what, str(make_model("bert"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
