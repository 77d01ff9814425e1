"""A folder that is whole or not there, for those who write it and for those who read it meanwhile."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from coldstart import storage
from coldstart._json import write_json
from coldstart.errors import ColdstartWarning, InvalidInputError, SavedFolderError
from coldstart.storage import read_config, read_folder, write_folder


def write(folder, text="hello", **config):
    write_folder(Path(folder), {"note.txt": lambda path: path.write_text(text)}, config)


def test_a_written_folder_reads_back(tmp_path):
    write(tmp_path / "model", answer=42)
    place, config = read_config(tmp_path / "model")
    assert (place / "note.txt").read_text() == "hello"
    assert config["answer"] == 42
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_writing_again_replaces_all_that_was_written(tmp_path):
    write_folder(tmp_path / "model", {name: lambda path: path.touch() for name in ("note.txt", "old.txt")}, {})
    write(tmp_path / "model", "new")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "note.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_the_owner_put_into_a_folder_is_kept(tmp_path):
    write(tmp_path / "model")
    (tmp_path / "model" / ".git" / "refs").mkdir(parents=True)
    (tmp_path / "model" / ".git" / "HEAD").write_text("main")
    (tmp_path / "model" / "my notes.md").write_text("precious")
    (tmp_path / "model" / "latest").symlink_to("note.txt")
    for text in ("new", "newer"):
        write(tmp_path / "model", text)
    assert (tmp_path / "model" / ".git" / "HEAD").read_text() == "main"
    assert (tmp_path / "model" / ".git" / "refs").is_dir()
    assert (tmp_path / "model" / "my notes.md").read_text() == "precious"
    assert (tmp_path / "model" / "latest").readlink() == Path("note.txt")
    assert (read_config(tmp_path / "model")[0] / "note.txt").read_text() == "newer"
    assert list(read_config(tmp_path / "model")[1]["files"]) == ["note.txt"]


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
    (tmp_path / "model" / "my notes.md").write_text("precious")
    (tmp_path / "model").rename(tmp_path / ".model.previous")
    with pytest.warns(
        ColdstartWarning, match="model' is not there. Read in its place is what an interrupted save left"
    ):
        place, _ = read_config(tmp_path / "model")
    assert (place / "note.txt").read_text() == "hello"
    write(tmp_path / "model", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "my notes.md").read_text() == "precious"


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


def reseal(folder, **changes):
    """Change the config as somebody would who wants it to pass for whole."""
    content = json.loads((folder / "config.json").read_text()) | changes
    content.pop("sha256")
    write_json({**content, "sha256": storage._digest(content)}, folder / "config.json")


@pytest.mark.parametrize("name", ["../secret.txt", "{tmp}/secret.txt", "note.txt/../../secret.txt", "link.txt"])
def test_files_outside_of_the_folder_are_neither_read_nor_hashed(tmp_path, name):
    write(tmp_path / "model")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "model" / "link.txt").symlink_to(tmp_path / "secret.txt")
    reseal(tmp_path / "model", files={name.format(tmp=tmp_path): "00"})
    with pytest.raises(
        SavedFolderError, match="may name only files inside it; .*secret.txt.* leads outside|'link.txt'"
    ):
        read_config(tmp_path / "model")


@pytest.mark.parametrize("changes", [{"files": 5}, {"files": {"a\0b": "00"}}, {"files": [1]}, {"sizes": 5}])
def test_a_malformed_config_is_one_clear_error(tmp_path, changes):
    write(tmp_path / "model")
    reseal(tmp_path / "model", **changes)
    with pytest.raises(SavedFolderError, match="model' is incomplete or malformed: (Attribute|Value|Type)Error"):
        read_config(tmp_path / "model")


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), IndexError(), AttributeError(), OverflowError(), RecursionError(), MemoryError(), OSError()],
)
def test_whatever_reading_raises_is_one_clear_error(tmp_path, error):
    def read(place, config):
        raise error

    write(tmp_path / "model")
    with pytest.raises(SavedFolderError, match=f"model' is incomplete or malformed: {type(error).__name__}"):
        read_folder(tmp_path / "model", read)


class TestReadingBesideASave:
    def test_a_reader_starts_over_when_the_folder_was_replaced(self, tmp_path):
        write(tmp_path / "model", tag="old")
        texts = iter(["first", "second"])

        def read(place, config):
            for text in texts:
                write(tmp_path / "model", text, tag=text)  # another process saves, just now
                if text == "first":
                    break
            return config["tag"], (place / "note.txt").read_text()

        assert read_folder(tmp_path / "model", read) == ("second", "second")

    def test_nor_is_an_error_of_the_old_folder_its_own(self, tmp_path):
        write(tmp_path / "model", tag="old")

        def read(place, config):
            if config["tag"] == "old":
                write(tmp_path / "model", "new", tag="new")
                raise KeyError("half of it is gone")
            return config["tag"]

        assert read_folder(tmp_path / "model", read) == "new"

    def test_a_link_that_is_turned_meanwhile_is_followed_once(self, tmp_path):
        for name in ("v1", "v2"):
            write(tmp_path / name, name)
        (tmp_path / "latest").symlink_to("v1")

        def read(place, config):
            (tmp_path / "latest").unlink()
            (tmp_path / "latest").symlink_to("v2")
            return (place / "note.txt").read_text()

        assert read_folder(tmp_path / "latest", read) == "v1"

    def test_it_gives_up_when_it_is_never_left_in_peace(self, tmp_path, monkeypatch):
        monkeypatch.setattr(storage, "ATTEMPTS", 3)
        write(tmp_path / "model")
        with pytest.raises(SavedFolderError, match="was replaced 3 times while it was read. Load it again"):
            read_folder(tmp_path / "model", lambda place, config: write(tmp_path / "model"))


SAVER = """
    import sys
    from pathlib import Path
    from coldstart.storage import write_folder

    print("ready", flush=True)
    at = 0
    while True:
        at += 1
        tag = f"{sys.argv[2]}{at}"
        write = lambda path: path.write_text(tag)
        write_folder(Path(sys.argv[1]), {"a.txt": write, "b.txt": write}, {"tag": tag})
"""


def test_readers_and_several_savers_never_see_a_mixture_or_a_false_error(tmp_path):
    write_folder(tmp_path / "model", {n: lambda path: path.write_text("0") for n in ("a.txt", "b.txt")}, {"tag": "0"})
    code = [sys.executable, "-c", textwrap.dedent(SAVER), str(tmp_path / "model")]
    savers = [subprocess.Popen([*code, name], stdout=subprocess.PIPE, text=True) for name in "xy"]
    try:
        for saver in savers:
            assert saver.stdout.readline() == "ready\n"
        seen, end = set(), time.monotonic() + 3
        while time.monotonic() < end:
            read = read_folder(
                tmp_path / "model",
                lambda place, config: (config["tag"], *((place / n).read_text() for n in ("a.txt", "b.txt"))),
                verify=False,
            )
            assert len(set(read)) == 1
            seen.add(read[0])
        assert [saver.poll() for saver in savers] == [None, None]
    finally:
        for saver in savers:
            saver.kill()
            saver.communicate()
    assert {tag[0] for tag in seen} >= {"x", "y"}
