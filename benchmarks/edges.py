"""What breaks when files are damaged, shared, or cut short: promise, tried, result.

python benchmarks/edges.py [--only damage readers kills] [--trials N] [--loads N] [--kills N] [--models NAME ...]

Damage: bits flipped, and files cut, in every file of a saved folder; each time the folder is loaded and asked a few
questions in a child process, so that a crash is counted. "hashes rewritten" is the folder of somebody who wants it to
pass for whole; "big" is above the size up to which files are compared with their hashes. Needs fork: Linux or macOS.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import circumstances, table

import coldstart as cs
from coldstart import storage
from coldstart._json import read_json, write_json
from coldstart.errors import ColdstartError

QUESTIONS = [{}, {"history": ["i3", "i7"]}, {"user": "u3"}, {"user": "u5", "query": "w3 w8"}, {"query": "w5"}]


class Given:
    """Random vectors, which need no weights."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, values: Any) -> Any:
        """Return one row per value."""
        return np.random.default_rng(0).standard_normal((len(values), self.dim)).astype(np.float32)


def fitted(n_items: int, n_users: int, n_clicks: int, dim: int, ranker: Any, encoder: Any = None) -> cs.Recommender:
    """Return a recommender of random clicks, in which the items are of seven kinds."""
    rng = np.random.default_rng(0)
    ids = [f"i{at}" for at in range(n_items)]
    rows = {"id": ids, "title": [f"w{at % 7} w{at % 31}" for at in range(n_items)], "price": list(range(n_items))}
    catalog = cs.Catalog.from_frame(rows, id="id", fields=["title"])
    users = rng.integers(0, n_users, n_clicks)
    items = (users % 7 + 7 * rng.integers(0, n_items // 7 - 1, n_clicks)) % n_items
    clicks = cs.Interactions.from_frame(
        {"u": [f"u{at}" for at in users], "i": [f"i{at}" for at in items]}, user="u", item="i"
    )
    return cs.Recommender(encoder or Given(dim), ranker=ranker).fit(catalog, clicks, check=False)


MODELS: dict[str, Callable[[], cs.Recommender]] = {
    "cosine": lambda: fitted(300, 50, 900, 16, cs.CosineRanker(), cs.TfidfEncoder(dim=16)),
    "hybrid": lambda: fitted(300, 150, 3000, 16, cs.HybridRanker(), cs.TfidfEncoder(dim=16)),
    "als": lambda: fitted(300, 150, 3000, 16, cs.HybridRanker(method="als"), cs.TfidfEncoder(dim=16)),
    "mlp": lambda: fitted(300, 50, 900, 16, cs.MLPRanker(epochs=1, progress=False), cs.TfidfEncoder(dim=16)),
    "big": lambda: fitted(60_000, 3_000, 60_000, 300, cs.CosineRanker()),
}


def answers(folder: Path, verify: Any) -> str:
    """Load a folder and return its answers to all questions."""
    named = (
        read_json(folder / "config.json")["encoders"][0].get("yours") if (folder / "config.json").is_file() else None
    )
    rec = cs.load(folder, encoder=Given(300) if named else None, verify=verify)
    found = [rec.recommend(**question, k=10) for question in QUESTIONS if not (named and "query" in question)]
    return repr([(one.item_ids, one.scores) for one in (*found, rec.recommend(where={"price": ("<", 50)}, k=5))])


def in_child(work: Callable[[], str]) -> str:
    """Return what the work returns, or how the process ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(writing, work().encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    status = os.waitpid(child, 0)[1]
    return f"CRASH: signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def outcome(folder: Path, good: str, verify: Any) -> str:
    """Return what came of one damaged folder."""
    try:
        found = answers(folder, verify)
    except ColdstartError as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return "refused" if "load" in frames or "read_json" in frames else "clear error at a question"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"RAW {type(error).__name__} in {Path(frame.filename).name}:{frame.name}: {str(error)[:60]}"
    return "same answers" if found == good else "other answers"


def spots(path: Path, rng: random.Random) -> Iterator[int]:
    """Yield bytes to damage: any, and as often one of the header, which says where everything is."""
    size = path.stat().st_size
    header = size
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            header = 8 + int.from_bytes(file.read(8), "little")
    while True:
        yield rng.randrange(size)
        yield rng.randrange(header)


@contextlib.contextmanager
def flipped(path: Path, at: int, bit: int) -> Iterator[None]:
    """Flip a bit, and flip it back."""
    with path.open("r+b") as file:
        for _ in range(2):
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
            file.flush()
            if _ == 0:
                yield


@contextlib.contextmanager
def cut(path: Path, at: int) -> Iterator[None]:
    """Cut a file, and put its end back."""
    with path.open("r+b") as file:
        file.seek(at)
        rest = file.read()
        file.truncate(at)
        file.flush()
        yield
        file.seek(at)
        file.write(rest)


@contextlib.contextmanager
def resealed(folder: Path, whole: bytes) -> Iterator[None]:
    """Rewrite sizes and hashes so that a damaged folder passes for whole; put the config ``whole`` back at the end."""
    path = folder / "config.json"
    try:
        with contextlib.suppress(Exception):
            config = read_json(path)
            config.pop("sha256", None)
            for name in config["files"]:
                config["files"][name] = storage._sha256(folder / name)
                config["sizes"][name] = (folder / name).stat().st_size
            write_json({**config, "sha256": storage._digest(config)}, path)
        yield
    finally:
        path.write_bytes(whole)


def damage(place: Path, names: list[str], trials: int) -> list[list[Any]]:
    """Flip bits and cut files of every kind of folder."""
    rows = []
    for name in names:
        folder, rng = place / name, random.Random(0)
        MODELS[name]().save(folder)
        good, whole = answers(folder, "auto"), (folder / "config.json").read_bytes()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            places = spots(path, rng)
            for sealed in (False, True) if path.stat().st_size < storage.HASHED else (False,):
                for kind in ("flips", "cuts"):
                    counted: Counter[str] = Counter()
                    for _ in range(trials if kind == "flips" else max(trials // 10, 1)):
                        at = next(places)
                        change = flipped(path, at, rng.randrange(8)) if kind == "flips" else cut(path, at)
                        before = path.read_bytes() if path.name == "config.json" else b""
                        with change, resealed(folder, whole) if sealed else contextlib.nullcontext():
                            counted[in_child(lambda: outcome(folder, good, "auto"))] += 1  # noqa: B023
                        if before:
                            path.write_bytes(before)
                    what = f"{name}: {path.relative_to(folder)}" + ", hashes rewritten" * sealed
                    rows.append([what, f"{sum(counted.values()):,} {kind}", said(counted)])
                    print(*rows[-1], sep=" | ", flush=True)
    return rows


def said(counted: Counter[str]) -> str:
    """Return counts in words."""
    return "; ".join(f"{count:,} {what}" for what, count in counted.most_common())


SAVER = """
import sys
sys.path.insert(0, {here!r})
from edges import tagged
models = [tagged("A"), tagged("B")]
print("ready", flush=True)
at = 0
while True:
    models[at % 2].save({folder!r})
    at += 1
"""


def tagged(tag: str) -> cs.Recommender:
    """Return one of two models of one shape, told apart by their ids, their settings and their words."""
    word = {"A": "alpha", "B": "gamma"}[tag]
    rows = {"id": [f"{tag}{at}" for at in range(20)], "t": [f"word{at % 5} {word}" for at in range(20)]}
    ranker = cs.CosineRanker(query_weight=1.0 if tag == "A" else 2.0)
    return cs.Recommender(cs.TfidfEncoder(dim=4), ranker=ranker).fit(cs.Catalog.from_frame(rows, id="id", fields=["t"]))


def readers(place: Path, loads: int) -> list[list[Any]]:
    """Load again and again while one, and then two other processes save two models in turn."""
    rows = []
    for n_savers in (1, 2):
        folder = place / f"shared by {n_savers}"
        tagged("A").save(folder)
        code = SAVER.format(here=str(Path(__file__).parent), folder=str(folder))
        savers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(n_savers)]
        for saver in savers:
            assert saver.stdout is not None
            saver.stdout.readline()
        counted, slowest = Counter[str](), 0.0
        for _ in range(loads // 2):
            start = time.perf_counter()
            counted[_one_load(folder)] += 1
            slowest = max(slowest, time.perf_counter() - start)
        alive = sum(saver.poll() is None for saver in savers)
        for saver in savers:
            saver.kill()
            saver.wait()
        result = f"{said(counted)}; slowest {slowest:.2f} s; {alive} of {n_savers} savers still at work"
        rows.append([f"load beside {n_savers} that save", f"{loads // 2:,} loads", result])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def _one_load(folder: Path) -> str:
    try:
        rec = cs.load(folder)
    except Exception as error:
        return f"FALSE ERROR {type(error).__name__}: {str(error)[-90:]}"
    by_words = "A" if "alpha" in next(iter(rec.encoders_.values())).terms_ else "B"  # type: ignore[attr-defined]
    by_setting = "A" if rec.ranker_.query_weight == 1.0 else "B"  # type: ignore[union-attr]
    return f"of model {by_words}" if rec.catalog.ids[0][0] == by_words == by_setting else "MIXTURE"


def kills(place: Path, n: int) -> list[list[Any]]:
    """Kill a saver ``n`` times; after each, the folder must load; after a good save, nothing is left."""
    home = place / "killed"
    rec, rng, counted = fitted(20_000, 50, 900, 256, cs.CosineRanker()), random.Random(0), Counter[str]()
    home.mkdir()
    rec.save(home / "m")
    size = sum(path.stat().st_size for path in (home / "m").iterdir())
    for _ in range(n):
        child = os.fork()
        if child == 0:
            while True:
                rec.save(home / "m")
        time.sleep(rng.uniform(0.0, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            with warnings.catch_warnings(record=True) as caught:
                cs.load(home / "m", encoder=Given(256))
            counted["loaded, with a warning" if caught else "loaded"] += 1
        except Exception as error:
            counted[f"{type(error).__name__}: {error}"] += 1
    left = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) - size
    rec.save(home / "m")
    after = sorted(path.name for path in home.iterdir())
    result = f"{said(counted)}; beside it {left / 1e6:,.1f} MB; after one good save there are only {after}"
    row = [f"a killed save of {size / 1e6:,.0f} MB", f"{n} kills", result]
    print(*row, sep=" | ", flush=True)
    return [row]


def main() -> None:
    """Run the parts asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["damage", "readers", "kills"])
    parser.add_argument("--trials", type=int, default=2_000, help="flips of each file; a tenth as many cuts")
    parser.add_argument("--loads", type=int, default=30_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if "damage" in options.only:
            rows += damage(place, options.models, options.trials)
        if "readers" in options.only:
            rows += readers(place, options.loads)
        if "kills" in options.only:
            rows += kills(place, options.kills)
    print(circumstances([]))
    print(table(["promise", "tried", "result"], rows))


if __name__ == "__main__":
    main()
