"""What a recommender costs from ten thousand to a million items and clicks: CosineRanker on given vectors.

python benchmarks/scale.py [--write] [--items N ...]

Each size is measured in a process of its own. With --write the table and the plot go into docs/. No real data are needed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import DOCS, ROOT, circumstances, table, write_section

import coldstart as cs

ITEMS = (10_000, 100_000, 1_000_000)
DIM, CHANGED, ASKED, CLICKS_OF_A_USER = 384, 1_000, 100, 10
STEPS = {
    "fit": "`fit`",
    "recommend": "`recommend` one, a query",
    "user": "`recommend` one, a known user",
    "recommend_many": f"`recommend_many`, {ASKED} users",
    "add, first": f"`add_items`, {CHANGED:,} rows, the first time",
    "add": f"`add_items`, {CHANGED:,} rows, again",
    "add one": f"`add_items`, 1 row {CHANGED:,} times",
    "update prices": f"`update_items`, a number of {CHANGED:,} rows",
    "update texts": f"`update_items`, the text of {CHANGED:,} rows",
    "remove": f"`remove_items`, {CHANGED:,} rows",
    "clicks": f"`update`, {CHANGED:,} clicks",
    "save": "`save`",
    "load": "`load`",
    "first answer": "the first `recommend` after it, a query",
    "add, loaded": f"the first `add_items` after it, {CHANGED:,} rows",
}
DRAWN = {"fit": "fit", "add": "add 1,000", "recommend": "recommend one", "save": "save", "load": "load"}
"""What the plot shows."""


class GivenVectors:
    """Makes the vector of an item from its number, the text: the sum of two rows of a small table."""

    def __init__(self) -> None:
        self.rows = np.random.default_rng(0).standard_normal((2, 1024, DIM), dtype=np.float32)

    def encode(self, values: Sequence[str], /) -> np.ndarray:
        """Return one row per text."""
        numbers = np.array([int(value.split()[-1]) for value in values], dtype=np.int64)
        vectors = self.rows[0][numbers % 1024]
        vectors += self.rows[1][numbers // 1024 % 1024]
        return vectors


def rows(first: int, last: int) -> dict[str, list[Any]]:
    """Return items: an id, a short title, a price."""
    numbers = range(first, last)
    return {
        "id": [f"i{n}" for n in numbers],
        "title": [f"item {n}" for n in numbers],
        "price": [n % 90 for n in numbers],
    }


def clicks(n_clicks: int, n_items: int) -> cs.Interactions:
    """Return clicks, ten of each user."""
    items = np.random.default_rng(0).integers(n_items, size=n_clicks).tolist()
    users = [f"u{at // CLICKS_OF_A_USER}" for at in range(n_clicks)]
    return cs.Interactions.from_frame({"u": users, "i": [f"i{item}" for item in items]}, user="u", item="i")


def seconds(action: Callable[[], Any], times: int = 1) -> float:
    """Return the median of the seconds an action takes."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def measure(n_items: int, folder: str) -> dict[str, float]:
    """Return seconds of each step, and the peak memory of fitting and using a recommender."""
    catalog = cs.Catalog.from_frame(rows(0, n_items), id="id", fields=["title"])
    liked = clicks(n_items, n_items)
    rec = cs.Recommender(encoder=GivenVectors(), ranker=cs.CosineRanker(), lexical=None)
    found = {"fit": seconds(lambda: rec.fit(catalog, liked, check=False))}
    rec.recommend(query="item 7")
    found["recommend"] = seconds(lambda: rec.recommend(query="item 7"), 5)
    found["user"] = seconds(lambda: rec.recommend(user="u7"), 5)
    found["recommend_many"] = seconds(lambda: rec.recommend_many(users=[f"u{at}" for at in range(ASKED)]))
    found["save"] = seconds(lambda: rec.save(folder))
    new = [rows(n_items + at * CHANGED, n_items + (at + 1) * CHANGED) for at in range(6)]
    found["add, first"] = seconds(lambda: rec.add_items(new[0]))
    found["add"] = seconds(lambda: rec.add_items(new.pop()), 4)
    first = n_items + 10 * CHANGED
    found["add one"] = seconds(lambda: [rec.add_items(rows(first + at, first + at + 1)) for at in range(CHANGED)])
    some = [f"i{at}" for at in range(CHANGED)]
    found["update prices"] = seconds(lambda: rec.update_items({"id": some, "price": [0] * CHANGED}))
    found["update texts"] = seconds(lambda: rec.update_items({"id": some, "title": ["item 3"] * CHANGED}))
    found["remove"] = seconds(lambda: rec.remove_items(some))
    fresh = clicks_on(rec, CHANGED)
    found["clicks"] = seconds(lambda: rec.update(fresh))
    return found | {"peak": peak()}


def clicks_on(rec: cs.Recommender, count: int) -> cs.Interactions:
    """Return clicks of new users on the last items."""
    items = rec.catalog.ids[-count:]
    users = [f"new {at // CLICKS_OF_A_USER}" for at in range(count)]
    return cs.Interactions.from_frame({"u": users, "i": list(items)}, user="u", item="i")


def measure_loading(n_items: int, folder: str) -> dict[str, float]:
    """Return seconds of loading and the private memory that it takes; the modules are imported before."""
    cs.load  # noqa: B018
    before, encoder = private(), GivenVectors()
    started = time.perf_counter()
    rec = cs.load(folder, encoder=encoder)
    found = {"load": time.perf_counter() - started, "private": private() - before}
    found["first answer"] = seconds(lambda: rec.recommend(query="item 7"))
    found["add, loaded"] = seconds(lambda: rec.add_items(rows(n_items, n_items + CHANGED)))
    return found | {"private later": private() - before}


def private() -> float:
    """Return the memory of this process that no other can share, MB."""
    lines = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(lines["Private_Dirty"].split()[0]) / 1024


def peak() -> float:
    """Return the most memory that was in use, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_processes(n_items: int) -> dict[str, float]:
    """Return what is measured in two fresh processes: one fits and saves, the other loads."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as folder:
        for step in ("fit", "load"):
            command = [sys.executable, __file__, "--one", step, str(n_items), f"{folder}/model"]
            done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            found |= json.loads(done.stdout.splitlines()[-1])
    print(f"{n_items:,} items: {found}", file=sys.stderr, flush=True)
    return found


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the slope of log time on log size: 1 is in proportion, 0 does not depend on it."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def shown(value: float) -> str:
    """Return seconds as text."""
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def section(sizes: Sequence[int], found: Sequence[dict[str, float]]) -> str:
    """Return the table with its circumstances."""
    lines = []
    for step, name in STEPS.items():
        values = [one[step] for one in found]
        lines.append([name, *map(shown, values), f"{slope(sizes, values):.2f}"])
    memory = {
        "peak": "peak memory of all but loading",
        "private": "private memory that `load` takes",
        "private later": "the same after a query and `add_items`",
    }
    for step, name in memory.items():
        lines.append([name, *(f"{max(one[step], 0):,.0f} MB" for one in found), ""])
    vectors = ", ".join(f"{4 * n * DIM / 2**20:,.0f}" for n in sizes)
    return "\n\n".join(
        [
            "## Cost by size",
            f"`CosineRanker` with one field, vectors of {DIM} numbers that are looked up instead of encoded, and as many "
            "clicks as items. Each size runs in two processes: one fits, answers, changes and saves; the other loads (with "
            "the modules imported and the files in the page cache). The last column is the slope of log time on log size: 1 "
            f"means proportional to the catalogue, 0 independent of it. One matrix of vectors takes {vectors} MB; a fitted "
            "recommender holds two, the fields and the centred items. When one row in 64 has been removed or replaced, the "
            "next change copies the others into one piece: `remove_items` does so at 100,000 items, and would at a million "
            "after more changes. `HybridRanker` with up to a million clicks has a section of its own. Written by "
            "`python benchmarks/scale.py --write`.",
            circumstances([]).strip(),
            table(["", *(f"{n:,} items" for n in sizes), "slope"], lines),
            "![Seconds by items](scale.svg)",
        ]
    )


def draw(sizes: Sequence[int], found: Sequence[dict[str, float]]) -> None:
    """Draw the curves; needs the extra [plot]."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for step, name in DRAWN.items():
        axes.plot(sizes, [one[step] for one in found], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="items", ylabel="seconds")
    axes.legend()
    figure.savefig(DOCS.parent / "scale.svg", bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("STEP", "ITEMS", "FOLDER"))
    parser.add_argument("--items", nargs="*", type=int, default=list(ITEMS))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        step, n_items, folder = arguments.one
        return print(json.dumps((measure if step == "fit" else measure_loading)(int(n_items), folder)))
    found = [in_own_processes(n_items) for n_items in arguments.items]
    text = section(arguments.items, found)
    print(text)
    if arguments.write:
        write_section("scale", text)
        draw(arguments.items, found)
    return None


if __name__ == "__main__":
    main()
