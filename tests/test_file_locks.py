"""One process at a time, and none that was killed."""

import subprocess
import sys
import textwrap
import threading
import time

from coldstart._file_locks import file_lock


def test_the_file_is_there_only_while_it_is_held(tmp_path):
    with file_lock(tmp_path / "x.lock") as held:
        assert held
        assert (tmp_path / "x.lock").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_threads_wait_for_each_other(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(50):
            with file_lock(tmp_path / "x.lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 200


def test_a_killed_holder_holds_no_more(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from coldstart._file_locks import file_lock
        with file_lock(Path(sys.argv[1])):
            print("ready", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "ready\n"
    holder.kill()
    holder.communicate()
    assert (tmp_path / "x.lock").exists()
    with file_lock(tmp_path / "x.lock") as held:
        assert held
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("coldstart._file_locks._acquire", refuse)
    with file_lock(tmp_path / "x.lock") as held:
        assert not held
