"""The top of the package: lazy, complete, and the same for type checkers."""

import ast
from pathlib import Path

import pytest

import coldstart as cs


@pytest.mark.parametrize("name", cs.__all__)
def test_every_public_name_exists(name):
    assert getattr(cs, name) is not None
    assert name in dir(cs)


def test_type_checkers_see_the_names_that_exist_at_run_time():
    tree = ast.parse(Path(cs.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    static = {alias.asname: node.module for node in block.body for alias in node.names}
    lazy = {name: home.removesuffix(f".{name}") for name, home in cs._HOME.items()}
    assert static == lazy


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cs.nothing  # noqa: B018


def test_the_top_has_few_names():
    assert len(cs.__all__) <= 38
