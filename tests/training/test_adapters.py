import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.encoders.adapted import apply_map
from coldstart.training.adapters import ResidualMap

KINDS = ["linear", "low-rank", "mlp"]
SHAPES = {
    "linear": {"up": (6, 6)},
    "low-rank": {"up": (4, 6), "down": (6, 4)},
    "mlp": {"up": (4, 6), "down": (6, 4), "bias": (4,)},
}
of_each_kind = pytest.mark.parametrize("kind", KINDS)
quickly = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fresh(kind, seed=0):
    return ResidualMap(6, kind, 4, np.random.default_rng(seed))


def learned(kind, seed=0):
    """A map with weights as training might leave them."""
    residual, rng = fresh(kind, seed), np.random.default_rng(seed)
    with torch.no_grad():
        for weight in residual.parameters():
            weight.copy_(torch.from_numpy(rng.standard_normal(weight.shape)))
    return residual


def vectors(seed=0, n=5):
    return torch.from_numpy(np.random.default_rng([seed, 1]).standard_normal((n, 6)).astype(np.float32))


def naive(kind, x, weights):
    """One vector, moved by the formula of the docstring."""
    if kind == "linear":
        return x + x @ weights["up"]
    if kind == "low-rank":
        return x + x @ weights["down"] @ weights["up"]
    return x + np.maximum(x @ weights["down"] + weights["bias"], 0) @ weights["up"]


@of_each_kind
def test_an_untrained_map_is_the_identity(kind):
    for seed in range(3):
        assert torch.equal(fresh(kind, seed)(vectors(seed)), vectors(seed))


@of_each_kind
def test_an_untrained_map_can_learn(kind):
    residual = fresh(kind)
    (residual(vectors(n=20)) - 1.0).square().sum().backward()
    assert residual.up.grad.abs().sum() > 0
    with torch.no_grad():
        residual.up -= 0.01 * residual.up.grad
    assert not torch.equal(residual(vectors()), vectors())


@of_each_kind
def test_all_weights_have_a_gradient_once_the_last_matrix_is_not_zero(kind):
    residual = learned(kind)
    residual(vectors(n=20)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in residual.parameters())


@of_each_kind
@quickly
@given(seed=seeds)
def test_vectors_are_mapped_by_the_formula(kind, seed):
    residual = learned(kind, seed)
    weights = {name: weight.astype(np.float64) for name, weight in residual.arrays().items()}
    expected = [naive(kind, x.astype(np.float64), weights) for x in vectors(seed).numpy()]
    np.testing.assert_allclose(residual(vectors(seed)).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@of_each_kind
@quickly
@given(seed=seeds)
def test_an_adapted_encoder_with_the_weights_gives_the_same_vectors(kind, seed):
    residual = learned(kind, seed)
    there = apply_map(vectors(seed).numpy(), residual.arrays())
    assert there.dtype == np.float32
    np.testing.assert_allclose(there, residual(vectors(seed)).detach().numpy(), rtol=1e-4, atol=1e-4)


@of_each_kind
def test_weights_have_the_documented_names_and_shapes(kind):
    arrays = fresh(kind).arrays()
    assert {name: value.shape for name, value in arrays.items()} == SHAPES[kind]
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float32)}


@of_each_kind
def test_only_a_linear_map_maps_a_sum_to_the_sum(kind):
    residual, one, other = learned(kind), vectors(1), vectors(2)
    assert residual.is_linear == (kind != "mlp")
    together, apart = residual(one + other), residual(one) + residual(other)
    assert torch.allclose(together, apart, atol=1e-4) == residual.is_linear


@of_each_kind
def test_the_arrays_are_copies(kind):
    residual = learned(kind)
    before = residual(vectors())
    for array in residual.arrays().values():
        array[:] = 9.0
    assert torch.equal(residual(vectors()), before)


@pytest.mark.parametrize("kind", ["low-rank", "mlp"])
def test_the_same_seed_starts_at_the_same_weights_and_another_elsewhere(kind):
    one, again, other = (fresh(kind, seed).arrays()["down"] for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_global_seeds_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fresh("mlp")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@of_each_kind
def test_no_vectors_are_mapped_to_no_vectors(kind):
    assert learned(kind)(vectors(n=0)).shape == (0, 6)
