"""Prepacked linear maps map as the plain ones do."""

import pytest

torch = pytest.importorskip("torch")
from coldstart.encoders.transformer import prepacked  # noqa: E402


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 8, bias=False)]
    return torch.nn.Sequential(*layers).to(torch.bfloat16)


@pytest.mark.skipif(not prepacked.can_prepack(), reason="this PyTorch or processor cannot")
def test_all_linear_maps_are_replaced_and_map_the_same(network):
    values = torch.randn(2, 5, 16).to(torch.bfloat16)
    with torch.inference_mode():
        plain = network(values)
        prepacked.prepack(network)
        assert not any(type(module) is torch.nn.Linear for module in network.modules())
        torch.testing.assert_close(network(values), plain, atol=0.01, rtol=0.02)


def test_without_the_functions_the_plain_maps_stay(monkeypatch):
    def absent(linear):
        raise AttributeError("no such function")

    monkeypatch.setattr(prepacked, "PrepackedLinear", absent)
    assert not prepacked.can_prepack.__wrapped__()
