import subprocess
import sys

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.mlp.scoring import click_features, pair_scores

DIM, HIDDEN = 4, 6


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights_of(seed):
    shapes = dict.fromkeys(("user", "item", "product", "distance"), (DIM, HIDDEN))
    shapes |= {"known": (3, HIDDEN), "bias": (HIDDEN,), "out": (HIDDEN,), "skip": ()}
    return {name: np.asarray(drawn(seed + at, *shape)) for at, (name, shape) in enumerate(shapes.items())}


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**20), st.integers(1, 9))
def test_numpy_and_torch_give_the_same_scores(seed, count):
    weights = weights_of(seed)
    arrays = [drawn(seed + 10 + at, *shape) for at, shape in enumerate([(DIM,), (count, DIM), (count, 3), (count,)])]
    tensors = [torch.from_numpy(array) for array in arrays]
    by_torch = pair_scores({n: torch.from_numpy(w) for n, w in weights.items()}, *tensors, torch.relu)
    by_numpy = pair_scores(weights, *arrays, lambda hidden: np.maximum(hidden, 0.0))
    np.testing.assert_allclose(by_numpy, by_torch.numpy(), rtol=1e-4, atol=1e-4)
    assert by_numpy.shape == (count,)


def test_scoring_needs_no_torch():
    code = "import sys, coldstart.rankers.mlp.scoring; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_click_features_mark_items_without_clicks():
    known = click_features(np.array([[0.0, 1.0, 147.0]]), np.array([0.0]))
    assert known.dtype == np.float32
    np.testing.assert_allclose(known[0], [[0, 1, 0], [np.log(2) / 5, 0, 0], [np.log(148) / 5, 0, 0]], atol=1e-6)
