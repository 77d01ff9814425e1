"""A folder is replaced where people keep it: behind links, in volumes, beside leftovers, under their feet."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from coldstart._replacing import real_place, replace_folder
from coldstart.errors import InvalidInputError


def replace(folder, text="new", ours=("a.txt",)):
    replace_folder(
        real_place(folder), lambda fresh: (fresh / "a.txt").write_text(text) and None, lambda old: ours * old.exists()
    )


def modes(folder):
    return [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "a.txt")]


def test_only_the_owner_may_read_a_new_folder(tmp_path):
    replace(tmp_path / "model", ours=())
    assert modes(tmp_path / "model") == ["0o700", "0o600"]


def test_who_may_read_the_old_folder_may_read_the_new_one(tmp_path):
    replace(tmp_path / "model", ours=())
    (tmp_path / "model").chmod(0o750)
    replace(tmp_path / "model")
    assert modes(tmp_path / "model") == ["0o750", "0o640"]


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "latest").symlink_to("v1")
    for text in ("one", "two", "three"):
        replace(tmp_path / "latest", text)
        assert (tmp_path / "latest").readlink() == Path("v1")
        assert (tmp_path / "v1" / "a.txt").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "v1"]


def test_a_loop_of_links_is_named(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InvalidInputError, match="'.*/a' cannot be followed"):
        replace(tmp_path / "a")


@pytest.mark.parametrize("reason", [errno.EBUSY, errno.EXDEV])
def test_a_mounted_volume_is_named_with_the_way_out(tmp_path, monkeypatch, reason):
    replace(tmp_path / "model", "old")

    def rename(path, target):
        raise OSError(reason, "busy")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(
        InvalidInputError, match=r"mounted volume or a part of one. Name a folder inside it: '.*/model/model'"
    ):
        replace(tmp_path / "model")
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_mount_point_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "volume")
    with pytest.raises(
        InvalidInputError, match="`folder` must be one that can be renamed; .*volume' is a mounted volume"
    ):
        replace_folder(tmp_path / "volume", lambda fresh: 1 / 0, lambda old: ())


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    replace(tmp_path / "model", "old")
    rename = Path.rename

    def fail(path, target):
        if path.name.endswith(".new"):
            raise OSError(errno.EIO, "broken disk")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="broken disk"):
        replace(tmp_path / "model")
    assert (tmp_path / "model" / "a.txt").read_text() == "old"


def test_a_file_of_the_owner_is_not_overwritten(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.txt").write_text("precious")
    with pytest.raises(
        InvalidInputError, match="`folder` holds 'a.txt', which no save wrote, and this one needs the name"
    ):
        replace(tmp_path / "model", ours=("b.txt",))
    assert (tmp_path / "model" / "a.txt").read_text() == "precious"


def test_files_of_the_owner_are_kept_where_a_disk_has_no_links(tmp_path, monkeypatch):
    replace(tmp_path / "model")
    (tmp_path / "model" / "notes").write_text("precious")

    def refuse(*args, **options):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    replace(tmp_path / "model", "newer")
    assert (tmp_path / "model" / "notes").read_text() == "precious"


def test_leftovers_of_killed_saves_are_removed_and_those_of_other_names_are_not(tmp_path):
    for name in (".m.0123abcd.new", ".m.previous", ".m.x.0123abcd.new", ".n.0123abcd.new", ".m.notes.new"):
        (tmp_path / name).mkdir()
    replace(tmp_path / "m")
    left = [".m.notes.new", ".m.x.0123abcd.new", ".n.0123abcd.new", "m"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_the_working_directory_can_be_replaced_again_and_again(tmp_path):
    code = """
        from pathlib import Path
        from coldstart._replacing import real_place, replace_folder
        for text in "abc":
            replace_folder(real_place(Path(".")), lambda fresh: (fresh / "a.txt").write_text(text), lambda old: ("a.txt",))
            assert Path("a.txt").read_text() == text
        print(Path.cwd())
    """
    (tmp_path / "model").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "model",
    )
    assert ran.stdout.strip() == str(tmp_path / "model")


def test_a_working_directory_that_is_gone_is_named(tmp_path):
    code = """
        import os
        from pathlib import Path
        from coldstart._replacing import real_place
        from coldstart.errors import InvalidInputError
        os.rmdir(os.getcwd())
        try:
            real_place(Path("."))
        except InvalidInputError as error:
            print(error)
    """
    (tmp_path / "model").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "model",
    )
    assert "If the working directory was replaced, change to it again." in ran.stdout
