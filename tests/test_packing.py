"""Values become JSON and tensors, and come back; what could end the process is refused."""

import json
from datetime import date, datetime, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.errors import InvalidInputError, SavedFolderError
from coldstart.packing import pack, unpack

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
)


@given(values)
def test_plain_values_come_back_unchanged(value):
    packed = json.loads(json.dumps(pack(value, {}, "x")))
    assert unpack(packed, {}, {}) == value


@given(st.dictionaries(st.integers() | st.tuples(st.integers(), st.text()), st.integers()))
def test_keys_of_any_kind_come_back(value):
    assert unpack(json.loads(json.dumps(pack(value, {}, "x"))), {}, {}) == value


@pytest.mark.parametrize(
    "value", [date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone.utc), datetime(1999, 1, 1)]
)
def test_dates_come_back(value):
    assert unpack(pack(value, {}, "x"), {}, {}) == value


def test_numpy_scalars_become_python_values():
    assert pack(np.int64(3), {}, "x") == 3
    assert pack(np.str_("a"), {}, "x") == "a"


def test_arrays_and_sparse_rows_come_back():
    tensors = {}
    matrix = csr_array(np.array([[0, 1.5], [2.5, 0]], dtype=np.float32))
    packed = pack({"dense": np.arange(3), "rows": matrix}, tensors, "x")
    value = unpack(packed, tensors, {})
    np.testing.assert_array_equal(value["dense"], np.arange(3))
    np.testing.assert_array_equal(value["rows"].toarray(), matrix.toarray())


def test_parts_come_back_with_what_they_learned():
    tensors = {}
    fuser = cs.WeightedFuser({"a": 1.0}).fit({"a": np.eye(2, dtype=np.float32)}, np.zeros((2, 1), dtype=bool))
    again = unpack(pack(fuser, tensors, "fuser"), tensors, {"WeightedFuser": cs.WeightedFuser})
    assert repr(again) == repr(fuser)
    assert again.weights_ == fuser.weights_


def test_a_random_generator_is_not_saved():
    assert pack(np.random.default_rng(0), {}, "rng") is None


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_what_cannot_be_saved_is_named(value):
    with pytest.raises(InvalidInputError, match=f"`column.0` cannot be saved: .* is a {type(value).__name__}"):
        pack([value], {}, "column")


@pytest.mark.parametrize(
    "packed",
    [
        {
            "is": "part",
            "class": "os.system",
            "params": {"is": "dict", "items": []},
            "state": {"is": "dict", "items": []},
        },
        {"is": "eval", "code": "1"},
        {"is": "tensor", "name": "absent"},
        {"no": "tag"},
        {"is": "date", "iso": "never"},
    ],
)
def test_only_classes_of_the_registry_are_built(packed):
    with pytest.raises(SavedFolderError, match="names the class 'os.system'|cannot be read"):
        unpack(packed, {}, {"WeightedFuser": cs.WeightedFuser})


class TestSparseMatrices:
    """Compiled code takes their numbers for addresses."""

    @pytest.fixture
    def packed(self):
        tensors = {}
        matrix = csr_array(np.array([[0, 1.5, 1.0], [2.5, 0, 0]], dtype=np.float32))
        return pack(matrix, tensors, "x"), {name: array.copy() for name, array in tensors.items()}

    @pytest.mark.parametrize(
        ("part", "at", "value"),
        [
            ("indices", 0, 3),
            ("indices", 2, 2**30),
            ("indices", 1, -1),
            ("indptr", 1, 9),
            ("indptr", 1, -1),
            ("indptr", 2, 2**30),
        ],
    )
    def test_a_number_that_leads_outside_is_refused(self, packed, part, at, value):
        packed, tensors = packed
        tensors[f"x.{part}"][at] = value
        with pytest.raises(SavedFolderError, match="cannot be read: ValueError"):
            unpack(packed, tensors, {})

    @pytest.mark.parametrize(
        ("part", "change"),
        [
            ("indices", lambda array: array.view(np.float32)),
            ("indptr", lambda array: array.astype(np.int8)),
            ("data", lambda array: array.astype(np.float16)),
            ("data", lambda array: array[:, None]),
        ],
    )
    def test_numbers_of_another_format_are_refused(self, packed, part, change):
        packed, tensors = packed
        tensors[f"x.{part}"] = change(tensors[f"x.{part}"])
        with pytest.raises(SavedFolderError, match=f"`{part}` of a saved sparse matrix must be a row of .*; got "):
            unpack(packed, tensors, {})

    @pytest.mark.parametrize("shape", [[2, 2], [1, 3], [3, 3], [-2, 3], ["2", 3], [2]])
    def test_a_shape_that_does_not_fit_is_refused(self, packed, shape):
        packed, tensors = packed
        with pytest.raises(SavedFolderError, match="cannot be read"):
            unpack({**packed, "shape": shape}, tensors, {})


def test_cells_whose_arrays_do_not_fit_together_are_refused():
    tensors = {}
    packed = pack(cs.data.cells.Cells.of(["a", None, "bc"]), tensors, "x")
    tensors["x.ends"] = np.array([1, 0, 3])
    with pytest.raises(SavedFolderError, match="arrays of 3 saved cells do not fit together"):
        unpack(packed, tensors, {})


def test_what_a_part_learned_under_a_wrong_name_is_missed_at_once():
    fuser = cs.WeightedFuser({"a": 1.0}).fit({"a": np.eye(2, dtype=np.float32)}, np.zeros((2, 1), dtype=bool))
    packed = pack(fuser, {}, "x")
    packed["state"]["items"][0][0] = "weighty_"
    with pytest.raises(
        SavedFolderError, match=r"The saved WeightedFuser lacks \['weights_'\]; it has \['query_weights_', 'weighty_"
    ):
        unpack(packed, {}, {"WeightedFuser": cs.WeightedFuser})


@pytest.mark.parametrize("name", ["fit", "get_params_", "_faiss", "blend"])
def test_what_a_part_learned_cannot_replace_its_methods(name, monkeypatch):
    packed = pack(cs.WeightedFuser(), {}, "x")
    packed["state"] = pack({name: 1}, {}, "x")
    monkeypatch.setattr(cs.WeightedFuser, "get_params_", lambda self: 0, raising=False)
    with pytest.raises(SavedFolderError, match=f"names '{name}' as what a WeightedFuser learned"):
        unpack(packed, {}, {"WeightedFuser": cs.WeightedFuser})
