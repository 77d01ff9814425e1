"""Arrays in a safetensors file, mapped into memory."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from coldstart._tensors import KINDS, read_tensors, write_tensors
from coldstart.errors import InvalidInputError, SavedFolderError

TENSORS = {name: np.arange(6).reshape(2, 3).astype(kind) for name, kind in KINDS.items()}
TENSORS |= {"empty": np.zeros((0, 4), np.float32), "number": np.array(2.5), "日本 \ud800": np.arange(3)}


def same(actual, expected):
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        assert actual[name].shape == array.shape
        np.testing.assert_array_equal(actual[name], array)


def test_every_number_format_comes_back(tmp_path):
    write_tensors(TENSORS, tmp_path / "t.safetensors")
    same(read_tensors(tmp_path / "t.safetensors"), TENSORS)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.sampled_from([np.float32, np.int8, np.float16]).flatmap(
            lambda kind: arrays(
                kind, array_shapes(min_side=0), elements={"allow_nan": False} if kind != np.int8 else None
            )
        ),
    )
)
def test_any_arrays_come_back(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("t") / "t.safetensors"
    write_tensors(tensors, path)
    same(read_tensors(path), tensors)


def test_files_are_compatible_with_the_safetensors_package_both_ways(tmp_path):
    plain = {name: array for name, array in TENSORS.items() if name.isascii()}
    write_tensors(plain, tmp_path / "ours.safetensors")
    same(safetensors.numpy.load_file(tmp_path / "ours.safetensors"), plain)
    safetensors.numpy.save_file(plain, tmp_path / "theirs.safetensors", metadata={"made by": "others"})
    same(read_tensors(tmp_path / "theirs.safetensors"), plain)


def test_arrays_are_mapped_aligned_and_not_to_be_written(tmp_path):
    write_tensors(TENSORS, tmp_path / "t.safetensors")
    for array in read_tensors(tmp_path / "t.safetensors").values():
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)
        assert array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_arrays_outlive_their_file(tmp_path):
    write_tensors(TENSORS, tmp_path / "t.safetensors")
    actual = read_tensors(tmp_path / "t.safetensors")
    (tmp_path / "t.safetensors").unlink()
    same(actual, TENSORS)


def test_slices_are_written_whole(tmp_path):
    write_tensors({"columns": np.arange(12).reshape(3, 4)[:, ::2]}, tmp_path / "t.safetensors")
    assert read_tensors(tmp_path / "t.safetensors")["columns"].tolist() == [[0, 2], [4, 6], [8, 10]]


def test_a_number_format_that_safetensors_lacks_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="`x` cannot be saved: its numbers are complex128; use F64, F32"):
        write_tensors({"x": np.zeros(2, complex)}, tmp_path / "t.safetensors")


DAMAGES = {
    "nothing": lambda data: b"",
    "cut in the header": lambda data: data[:20],
    "cut at the end": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "a header without end": lambda data: b"\xff" * 8 + data[8:],
    "no JSON": lambda data: data.replace(b"{", b"[", 1),
    "a number format unknown": lambda data: data.replace(b'"F32"', b'"F31"'),
    "another shape": lambda data: data.replace(b"[2, 3]", b"[3, 3]", 1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_not_whole_is_named(tmp_path, damage):
    path = tmp_path / "t.safetensors"
    write_tensors(TENSORS, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SavedFolderError, match="'t.safetensors' is not a whole safetensors file"):
        read_tensors(path)


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x00" * 7)
    with pytest.raises(SavedFolderError, match=r"'w.safetensors' is not a whole safetensors file"):
        read_tensors(tmp_path / "w.safetensors")


def header(path, text, content=b""):
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def test_a_header_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "t.safetensors").open("wb") as file:
        file.write((3 * 2**30).to_bytes(8, "little"))
        file.truncate(8 + 3 * 2**30)
    with pytest.raises(
        SavedFolderError, match="not a whole safetensors file: .* its header would end at 3,221,225,480"
    ):
        read_tensors(tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"[]", b'{"a": 1}', b'{"a": {"dtype": "I8", "shape": [-1, -1], "data_offsets": [0, 1]}}']
)
def test_a_header_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(SavedFolderError, match="not a whole safetensors file"):
        read_tensors(header(tmp_path / "t.safetensors", text, b"\0"))


def test_truth_values_are_zero_or_one(tmp_path):
    text = b'{"a": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}'
    assert read_tensors(header(tmp_path / "t.safetensors", text, b"\0\1\0"))["a"].tolist() == [False, True, False]
    with pytest.raises(SavedFolderError, match="a truth value is neither 0 nor 1"):
        read_tensors(header(tmp_path / "t.safetensors", text, b"\0\2\0"))


def test_arrays_that_are_not_aligned_are_copied(tmp_path):
    text = b'{"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}'
    text += b" " * ((-len(text)) % 8 + 1)
    array = read_tensors(header(tmp_path / "t.safetensors", text, np.array([2.5]).tobytes()))["a"]
    assert array.flags.aligned
    assert array.tolist() == [2.5]
