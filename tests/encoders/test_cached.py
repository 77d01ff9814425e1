"""The cache on disk: what changed is encoded, what is there survives kills and company."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders import cached
from coldstart.errors import InvalidInputError, SavedFolderError
from coldstart.testing import HashEncoder, check_encoder


class Counting(HashEncoder):
    """Remembers what it encoded."""

    def __init__(self, dim=8):
        super().__init__(dim)
        self.encoded = []

    def encode(self, values, /):
        self.encoded += values
        return super().encode(values)


def test_keeps_the_contract(tmp_path):
    check_encoder(cs.CachedEncoder(HashEncoder(), tmp_path))


def test_only_new_values_are_encoded(tmp_path):
    inner = Counting()
    encoder = cs.CachedEncoder(inner, tmp_path)
    encoder.encode(["a", "b", "a"])
    assert inner.encoded == ["a", "b"]
    again = cs.CachedEncoder(inner, tmp_path).encode(["b", "c", "a"])
    assert inner.encoded == ["a", "b", "c"]
    np.testing.assert_array_equal(again, HashEncoder(8).encode(["b", "c", "a"]))


def test_two_encoders_do_not_share_cached_vectors(tmp_path):
    cs.CachedEncoder(HashEncoder(8), tmp_path).encode(["a"])
    assert cs.CachedEncoder(HashEncoder(16), tmp_path).encode(["a"]).shape == (1, 16)
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_refitting_a_recommender_encodes_only_changed_rows(tmp_path, catalog):
    inner = Counting()
    rec = cs.Recommender(encoder=cs.CachedEncoder(inner, tmp_path)).fit(catalog)
    inner.encoded.clear()
    rec.fit(catalog.updated({"id": ["s0"], "title": ["space whale"]}))
    assert inner.encoded == ["space whale"]


def test_text_and_bytes_are_not_confused(tmp_path):
    class Length:
        def encode(self, values, /):
            return np.array([[len(v), isinstance(v, bytes)] for v in values], dtype=np.float32)

    encoder = cs.CachedEncoder(Length(), tmp_path, identity="length")
    np.testing.assert_array_equal(encoder.encode(["ab", b"ab"]), [[2, 0], [2, 1]])


def test_queries_are_encoded_by_the_encoder_itself(tmp_path):
    class Asymmetric(HashEncoder):
        def encode_query(self, values, /):
            return -self.encode(values)

    encoder = cs.CachedEncoder(Asymmetric(), tmp_path)
    np.testing.assert_array_equal(encoder.encode_query(["a"]), -encoder.encode(["a"]))


def test_an_encoder_with_a_fit_cannot_be_cached(tmp_path):
    with pytest.raises(InvalidInputError, match=r"must not learn from the catalogue; got TfidfEncoder\(\)"):
        cs.CachedEncoder(cs.TfidfEncoder(), tmp_path).encode(["a"])


def test_an_encoder_without_identity_must_be_named(tmp_path):
    class Nameless:
        def encode(self, values, /):
            return np.ones((len(values), 2), dtype=np.float32)

    with pytest.raises(InvalidInputError, match="must have an identity.*identity='a name"):
        cs.CachedEncoder(Nameless(), tmp_path).encode(["a"])
    assert cs.CachedEncoder(Nameless(), tmp_path, identity="ones").encode(["a"]).shape == (1, 2)


def test_values_that_cannot_be_hashed_by_content_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match="text or bytes; got 1.5 in row 1"):
        cs.CachedEncoder(HashEncoder(), tmp_path).encode(["a", 1.5])


def test_a_damaged_file_is_named_with_the_way_out(tmp_path):
    encoder = cs.CachedEncoder(HashEncoder(), tmp_path)
    encoder.encode(["a"])
    (file,) = tmp_path.glob("*.sqlite")
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(SavedFolderError, match=r"cannot be used: file is not a database.*delete it"):
        encoder.encode(["a"])


WRITER = """
    import sys, time
    from coldstart.encoders import cached
    from coldstart.testing import HashEncoder

    cached.BLOCK = 10

    class Slow(HashEncoder):
        def encode(self, values, /):
            time.sleep({pause})
            return super().encode(values)

    print("ready", flush=True)
    texts = [f"text {{at}}" for at in range({count})]
    cached.CachedEncoder(Slow(dim=8), sys.argv[1]).encode(texts)
"""


def start_writer(folder, pause, count):
    code = textwrap.dedent(WRITER.format(pause=pause, count=count))
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


def test_a_killed_process_loses_only_the_block_being_encoded(tmp_path):
    writer = start_writer(tmp_path, pause=0.05, count=10_000)
    assert writer.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and sum(f.stat().st_size for f in tmp_path.glob("*.sqlite")) < 20_000:
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    inner = Counting()
    texts = [f"text {at}" for at in range(200)]
    vectors = cs.CachedEncoder(inner, tmp_path).encode(texts)
    assert len(inner.encoded) < 200, "nothing had been kept"
    np.testing.assert_array_equal(vectors, HashEncoder(8).encode(texts))


def test_two_processes_may_share_a_folder(tmp_path):
    writers = [start_writer(tmp_path, pause=0.0, count=500) for _ in range(2)]
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["ready\n", "ready\n"]
    assert [writer.returncode for writer in writers] == [0, 0]
    inner = Counting()
    texts = [f"text {at}" for at in range(500)]
    np.testing.assert_array_equal(cs.CachedEncoder(inner, tmp_path).encode(texts), HashEncoder(8).encode(texts))
    assert inner.encoded == []


def test_more_values_than_a_block_come_back_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(cached, "BLOCK", 7)
    texts = [f"text {at % 40}" for at in range(1200)]
    np.testing.assert_array_equal(
        cs.CachedEncoder(HashEncoder(8), tmp_path).encode(texts), HashEncoder(8).encode(texts)
    )


class TestStoredVectors:
    @pytest.fixture
    def encoder(self, tmp_path):
        encoder = cs.CachedEncoder(Counting(), tmp_path)
        encoder.encode(["a", "b", "c"])
        encoder.encoder.encoded.clear()
        return encoder

    def change(self, encoder, *statement):
        (path,) = Path(encoder.folder).glob("*.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(*statement)

    @pytest.mark.parametrize("damage", ["x'00'", "'text'", "NULL", "vector || x'00000000'"])
    def test_a_damaged_one_is_encoded_again_and_replaced(self, encoder, damage):
        key = cached._key("b", 0)
        self.change(encoder, f"UPDATE vectors SET vector = {damage} WHERE key = ?", (key,))
        for _ in range(2):
            np.testing.assert_array_equal(encoder.encode(["a", "b", "c"]), HashEncoder(8).encode(["a", "b", "c"]))
        assert encoder.encoder.encoded == ["b"]

    def test_one_bit_is_enough(self, encoder):
        key = cached._key("b", 0)
        flipped = bytearray(HashEncoder(8).encode(["b"])[0].tobytes())
        flipped[5] ^= 1
        self.change(encoder, "UPDATE vectors SET vector = ? WHERE key = ?", (bytes(flipped), key))
        np.testing.assert_array_equal(encoder.encode(["b"]), HashEncoder(8).encode(["b"]))

    def test_one_of_another_text_is_not_taken_for_it(self, encoder):
        other = "(SELECT vector FROM vectors WHERE key = ?), checksum = (SELECT checksum FROM vectors WHERE key = ?)"
        a, b = cached._key("a", 0), cached._key("b", 0)
        self.change(encoder, f"UPDATE vectors SET vector = {other} WHERE key = ?", (a, a, b))
        np.testing.assert_array_equal(encoder.encode(["b"]), HashEncoder(8).encode(["b"]))

    def test_a_cache_of_an_earlier_version_is_read_and_goes_on(self, encoder):
        self.change(encoder, "CREATE TABLE old (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
        self.change(encoder, "INSERT INTO old SELECT key, vector FROM vectors")
        self.change(encoder, "DROP TABLE vectors")
        self.change(encoder, "ALTER TABLE old RENAME TO vectors")
        encoder.encode(["a", "d"])
        np.testing.assert_array_equal(encoder.encode(["a", "d"]), HashEncoder(8).encode(["a", "d"]))
        assert encoder.encoder.encoded == ["d"]

    def test_only_the_owner_may_read_them(self, tmp_path):
        cs.CachedEncoder(HashEncoder(), tmp_path / "cache").encode(["a"])
        (path,) = (tmp_path / "cache").iterdir()
        assert [oct(one.stat().st_mode & 0o777) for one in (path.parent, path)] == ["0o700", "0o600"]


def test_one_identity_for_two_widths_is_named(tmp_path):
    cs.CachedEncoder(HashEncoder(8), tmp_path, identity="mine").encode(["a"])
    with pytest.raises(
        InvalidInputError, match="'mine' .* one kind of vectors; cached are some of 8 numbers, new ones have 16"
    ):
        cs.CachedEncoder(HashEncoder(16), tmp_path, identity="mine").encode(["a", "b"])


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SavedFolderError, match="The cache .* cannot be used: .*Not a directory|File exists"):
        cs.CachedEncoder(HashEncoder(), tmp_path / "file").encode(["a"])
