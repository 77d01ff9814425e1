"""Cells of one kind packed into arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.data.cells import LARGEST, Cells

KINDS = {
    "text": st.text(),
    "whole": st.integers(-LARGEST, LARGEST),
    "float": st.floats(),
    "truth": st.booleans(),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_cells_of_one_type_come_back_unchanged(kind, data):
    cells = data.draw(st.lists(st.none() | KINDS[kind], min_size=1).filter(any))
    packed = Cells.of(cells)
    assert list(map(repr, packed)) == list(map(repr, cells))  # repr tells 1 from True, 0.0 from -0.0 and knows NaN
    assert [repr(packed[at]) for at in range(len(cells))] == list(map(repr, cells))
    assert packed.missing.tolist() == [cell is None for cell in cells]


@pytest.mark.parametrize(
    "cells",
    [[1, "1"], [1, 1.5], [True, 1], [None, None], [], [("a", 1)], [["a"]], [2**63], [-(2**63)], [np.float64(1)]],
    ids=repr,
)
def test_cells_of_several_types_are_not_packed(cells):
    assert Cells.of(cells) is None


def test_lone_surrogates_and_empty_texts_come_back():
    assert list(Cells.of(["\ud800", "", "日本"])) == ["\ud800", "", "日本"]


def test_cells_read_like_a_tuple():
    cells = Cells.of(["a", "bc", None, "d"])
    assert (cells[-1], cells[-4], cells[1:3], len(cells), "bc" in cells) == ("d", "a", ("bc", None), 4, True)
    for row in (4, -5):
        with pytest.raises(IndexError):
            cells[row]


def test_packed_cells_are_returned_as_they_are():
    cells = Cells.of([1, 2])
    assert Cells.of(cells) is cells
