"""What the benchmark scripts share: real data, NDCG with intervals, and a place in the docs."""

import csv
import gzip
import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import scipy
import torch
import transformers

import coldstart as cs

K = 20
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
CACHE = Path(__file__).parent.parent / ".cache"


@dataclass(frozen=True)
class Data:
    """A data set: its items, its clicks as (user, item) pairs, and the hash of its files."""

    name: str
    items: dict[str, list[str]]
    pairs: list[tuple[str, str]]
    sha256: str


def data_folder() -> Path:
    """Return the folder of real data, or say how to name it."""
    folder = os.environ.get("COLDSTART_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("Set COLDSTART_DATA to the folder that holds citeulike-a/, ml-latest-small/, ...")
    return Path(folder)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a gzipped TSV whose cells are never quoted."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_data(name: str) -> Data:
    """Read items and clicks; of MovieLens the ratings of at least 4."""
    folder = data_folder() / name
    rows, clicks = read_rows(folder / "items.tsv.gz"), read_rows(folder / "interactions.tsv.gz")
    items = {key: [row[key] for row in rows] for key in ("item_id", "title", "text")}
    items["categories"] = [row["categories"].replace("|", ", ") for row in rows]
    pairs = [(r["user_id"], r["item_id"]) for r in clicks if not r["rating"] or float(r["rating"]) >= 4]
    files = sorted(folder.glob("*.gz"))
    return Data(name, items, pairs, hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest())


def interactions(pairs: Iterable[tuple[str, str]]) -> cs.Interactions:
    """Turn (user, item) pairs into Interactions."""
    users, items = zip(*pairs, strict=True)
    return cs.Interactions.from_frame({"user": list(users), "item": list(items)}, user="user", item="item")


def by_key(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Collect the items of each user (or query)."""
    found: dict[str, set[str]] = {}
    for key, item in pairs:
        found.setdefault(key, set()).add(item)
    return found


def ndcg(ranked: Sequence[Sequence[str]], relevant: Sequence[set[str]], k: int = K) -> np.ndarray:
    """Return binary NDCG@k of each list: gains 1/log2(rank + 1), ideal over min(relevant, k)."""
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    values = [
        sum(gains[at] for at, item in enumerate(row[:k]) if item in wanted) / gains[: min(k, len(wanted))].sum()
        for row, wanted in zip(ranked, relevant, strict=True)
    ]
    return np.array(values)


def interval(values: np.ndarray) -> str:
    """Return the mean with its 95 % bootstrap interval over users (1,000 draws)."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(1000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def circumstances(hashes: Mapping[str, str]) -> str:
    """Return date, hardware, versions and data hashes as Markdown."""
    versions = {"coldstart": cs, "torch": torch, "transformers": transformers, "numpy": np, "scipy": scipy}
    listed = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    data = "\n".join(f"* {name}: SHA-256 of its files `{sha}`" for name, sha in hashes.items())
    return f"Measured {date.today()} on {machine}; {listed}.\n\n{data}"


def write_section(name: str, text: str) -> None:
    """Put a section between its markers in docs/benchmarks.md, or at the end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    page = DOCS.read_text(encoding="utf-8") if DOCS.exists() else "# Benchmarks\n"
    section = f"{begin}\n{text}\n{end}"
    if begin in page:
        page = page[: page.index(begin)] + section + page[page.index(end) + len(end) :]
    else:
        page = f"{page.rstrip()}\n\n{section}\n"
    DOCS.write_text(page, encoding="utf-8")
