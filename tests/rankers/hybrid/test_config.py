import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from coldstart.errors import InvalidInputError
from coldstart.packing import pack, unpack
from coldstart.rankers.hybrid.config import HybridConfig


def test_a_config_is_immutable():
    with pytest.raises(FrozenInstanceError, match="taste"):
        HybridConfig().taste = 5.0


def test_repr_shows_only_what_differs_from_the_default():
    assert repr(HybridConfig()) == "HybridConfig()"
    shown = repr(HybridConfig(taste=5.0, l2=(10.0,), text_clicks=3.0))
    assert shown == "HybridConfig(taste=5.0, l2=(10.0,))"


def test_configs_are_equal_when_their_numbers_are():
    assert HybridConfig(taste=5.0) == replace(HybridConfig(), taste=5.0) != HybridConfig()


def test_every_number_is_a_documented_parameter_with_a_default():
    names = {field.name for field in fields(HybridConfig)}
    assert set(HybridConfig().get_params()) == names
    described = {name.strip() for line in HybridConfig.__doc__.splitlines() for name in line.split(" : ")[0].split(",")}
    assert names <= described


@pytest.mark.parametrize(
    "config", [HybridConfig(), HybridConfig(8.5, l2=(3.0, 4.0), text_prior=(), sweeps=2)], ids=["defaults", "changed"]
)
def test_a_config_survives_saving(config):
    tensors = {}
    packed = json.loads(json.dumps(pack(config, tensors, "config")))
    again = unpack(packed, tensors, {"HybridConfig": HybridConfig})
    assert again == config
    assert not tensors
    for name, value in config.get_params().items():
        assert type(getattr(again, name)) is type(value)


@pytest.mark.parametrize("name", ["prior_strength", "l2", "text_prior", "unobserved", "lexical_weight"])
def test_grids_ascend(name):
    """The largest of them is what the ranker compares with."""
    values = getattr(HybridConfig(), name)
    assert list(values) == sorted(set(values))


@pytest.mark.parametrize(("name", "values"), [("l2", ()), ("prior_strength", (0.0,)), ("taste_share", (-1.0, 1.0))])
def test_an_empty_grid_or_a_value_out_of_range_is_refused(name, values):
    with pytest.raises(InvalidInputError, match=f"`{name}` of HybridConfig must hold"):
        HybridConfig(**{name: values}).check()
