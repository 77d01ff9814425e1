"""Columns as arrays."""

import numpy as np
import pytest

from coldstart.data.catalog import Catalog
from coldstart.data.columns import Column


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, None], "float64"),
        ([True, False], "bool"),
        ([True, None], "float64"),
        ([1, 2.5], "float64"),
        (["a", "b"], "object"),
        ([1, "b"], "object"),
        ([[1], [2]], "object"),
        ([2**60, None], "object"),
        ([None, None], "object"),
    ],
    ids=repr,
)
def test_a_column_of_numbers_is_an_array_of_numbers(cells, dtype):
    column = Column.of(cells)
    assert column.values.dtype == dtype
    assert column.values.shape == (2,)
    assert column.present.tolist() == [cell is not None for cell in cells]


def test_types_are_those_of_the_cells_that_are_not_missing():
    assert Column.of(["a", float("nan"), None]).types == {str}
    assert Column.of([1, "a", 2.5]).kind == "float and int and str"


def test_a_catalogue_has_its_columns_as_arrays():
    catalog = Catalog.from_frame({"id": [1], "title": ["Alien"], "year": [1979]}, id="id", fields=["title"])
    assert list(catalog.arrays) == ["title", "year"]
    assert len(catalog.arrays) == 2
    assert "id" not in catalog.arrays
    np.testing.assert_array_equal(catalog.arrays["year"], [1979])
