"""JSON files of any text, bounded."""

import pytest

from coldstart import _json
from coldstart._json import read_json, write_json
from coldstart.errors import InvalidInputError, SavedFolderError


def test_json_keeps_any_text(tmp_path):
    text = "日本 \ud800 \u2028"
    write_json([text], tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == [text]


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    for size, message in ((3 * 2**30, "must have at most 1,073,741,824 bytes; it has"), (2**29, "has bytes of zero")):
        with (tmp_path / "x.json").open("wb") as file:
            file.truncate(size)  # it has a size, and takes no room on the disk
        with pytest.raises(SavedFolderError, match=f"'x.json' {message}|'x.json' is not whole: it {message}"):
            read_json(tmp_path / "x.json")


def test_nothing_is_written_that_could_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_json, "MAX_JSON", 10)
    with pytest.raises(InvalidInputError, match="'x.json' must have at most 10 bytes; got"):
        write_json(["long enough"], tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff{}", b'{"a": 1', b"", b"9" * 10_000])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(SavedFolderError, match="'x.json' is not whole: "):
        read_json(tmp_path / "x.json")
