"""Packing values, and a folder that is whole or not there."""

import json
from datetime import date, datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import coldstart as cs
from coldstart._json import read_json, write_json
from coldstart._tensors import read_tensors
from coldstart.errors import InvalidInputError, SavedFolderError
from coldstart.packing import pack, unpack
from coldstart.storage import read_config, write_folder

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


def write(folder, text="hello", **config):
    write_folder(Path(folder), {"note.txt": lambda path: path.write_text(text)}, config)


def test_a_written_folder_reads_back(tmp_path):
    write(tmp_path / "model", answer=42)
    place, config = read_config(tmp_path / "model")
    assert (place / "note.txt").read_text() == "hello"
    assert config["answer"] == 42
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_writing_again_replaces_all(tmp_path):
    write(tmp_path / "model")
    (tmp_path / "model" / "old.txt").write_text("left over")
    write(tmp_path / "model", "new")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "note.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_empty_folder_is_filled_and_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    write(tmp_path / "a" / "b")
    assert read_config(tmp_path / "a" / "b")


def test_a_model_folder_of_another_library_is_never_overwritten(tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InvalidInputError, match="holds something else"):
        write(tmp_path / "bert")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_of_other_files_is_never_overwritten(tmp_path, kind):
    place = tmp_path / "thesis"
    if kind == "folder":
        place.mkdir()
        (place / "chapter1.txt").write_text("years of work")
    else:
        place.write_text("years of work")
    with pytest.raises(
        InvalidInputError, match="must be new, empty, or a saved model; .*thesis.* holds something else"
    ):
        write(place)
    assert "years of work" in (place / "chapter1.txt" if kind == "folder" else place).read_text()


def test_a_failure_while_writing_leaves_the_old_folder(tmp_path):
    write(tmp_path / "model")

    def fail(path):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(tmp_path / "model", {"note.txt": fail}, {})
    assert (read_config(tmp_path / "model")[0] / "note.txt").read_text() == "hello"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_between_the_two_renames_the_old_folder_is_still_found(tmp_path):
    write(tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / ".model.previous")
    assert (read_config(tmp_path / "model")[0] / "note.txt").read_text() == "hello"
    write(tmp_path / "model", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(SavedFolderError, match="must be a folder written by save; it has no config.json"):
        read_config(tmp_path / "nothing")


def test_a_newer_format_is_refused(tmp_path):
    write(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    write_json({**config, "format": 99}, tmp_path / "model" / "config.json")
    with pytest.raises(SavedFolderError, match="has format 99; this version reads up to 2. Update coldstart-rec"):
        read_config(tmp_path / "model")


def test_a_changed_config_is_detected(tmp_path):
    write(tmp_path / "model", answer=42)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    write_json({**config, "answer": 43}, tmp_path / "model" / "config.json")
    with pytest.raises(SavedFolderError, match="config.json in .* was altered"):
        read_config(tmp_path / "model")


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "new"}'])
def test_a_config_of_another_program_is_refused(tmp_path, content):
    write(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(content)
    with pytest.raises(SavedFolderError, match="is not one that save wrote"):
        read_config(tmp_path / "model")


def test_a_truncated_config_is_detected(tmp_path):
    write(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SavedFolderError, match=r"'config.json' is not whole: "):
        read_config(tmp_path / "model")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_every_file_is_checked_against_its_hash(tmp_path, damage):
    write(tmp_path / "model")
    path = tmp_path / "model" / "note.txt"
    {
        "truncate": lambda: path.write_text("hell"),
        "flip": lambda: path.write_text("hellO"),
        "remove": path.unlink,
    }[damage]()
    with pytest.raises(SavedFolderError, match=r"note.txt in .* is missing or not what was saved"):
        read_config(tmp_path / "model")


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x00" * 7)
    with pytest.raises(SavedFolderError, match=r"'w.safetensors' is not a whole safetensors file"):
        read_tensors(tmp_path / "w.safetensors")


def test_json_keeps_any_text(tmp_path):
    text = "日本 \ud800 \u2028"
    write_json([text], tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == [text]
