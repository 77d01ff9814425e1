"""A device that is not there is named before anything is moved to it."""

import pytest

import coldstart as cs
from coldstart._device import best_device, checked_device
from coldstart.errors import InvalidInputError

torch = pytest.importorskip("torch")


def test_without_a_name_it_is_the_best_there_is():
    assert checked_device(None) == best_device()
    assert checked_device("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_on_a_machine_without_it_is_explained(make_model):
    with pytest.raises(InvalidInputError, match=r"`device` must be one that this machine has; got 'cuda' \(.*'cpu'"):
        cs.TextEncoder(make_model("bert"), device="cuda").encode(["space"])


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_what_is_no_device_is_named(device):
    with pytest.raises(InvalidInputError, match=f"must be one that this machine has; got {device!r}"):
        checked_device(device)
