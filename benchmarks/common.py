"""What the benchmark scripts share: real data, circumstances, tables, and a place in the docs."""

import csv
import gzip
import hashlib
import os
import platform
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import coldstart as cs

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs" / "benchmarks.md"
CACHE = ROOT / ".cache"
PACKAGES = (
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "implicit",
    "lightfm-next",
    "irspack",
    "sentence-transformers",
    "onnxruntime",
)
FIELDS = ("title", "text", "categories")


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


def read_catalog(name: str, fields: Sequence[str] = FIELDS, among: Collection[Hashable] | None = None) -> cs.Catalog:
    """Read the items of a data set, or some of them; "joined" is one text of all fields."""
    rows = read_rows(data_folder() / name / "items.tsv.gz")
    rows = [row for row in rows if among is None or row["item_id"] in among]
    columns = {key: [row[key] for row in rows] for key in ("item_id", "title", "text")}
    columns["categories"] = [row["categories"].replace("|", ", ") for row in rows]
    parts = (columns["title"], columns["categories"], columns["text"])
    columns["joined"] = [". ".join(part for part in cells if part) for cells in zip(*parts, strict=True)]
    return cs.Catalog.from_frame(columns, id="item_id", fields=list(fields))


def read_clicks(name: str) -> cs.Interactions:
    """Read the clicks of a data set, of ratings those of at least 4, with times when there are any."""
    rows = [
        r for r in read_rows(data_folder() / name / "interactions.tsv.gz") if not r["rating"] or float(r["rating"]) >= 4
    ]
    columns = {key: [row[key] for row in rows] for key in ("user_id", "item_id")}
    timed = bool(rows[0]["timestamp"])
    if timed:
        columns["time"] = [float(row["timestamp"]) for row in rows]
    return cs.Interactions.from_frame(columns, user="user_id", item="item_id", time="time" if timed else None)


def encoder() -> cs.CachedEncoder:
    """Return the default language model, its vectors kept between runs."""
    return cs.CachedEncoder(cs.TextEncoder(dtype="float32"), CACHE / "vectors")


def sha256(name: str) -> str:
    """Return the hash of a data set's files, in order of their names."""
    files = sorted((data_folder() / name).glob("*.gz"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def circumstances(names: Iterable[str]) -> str:
    """Return date, hardware, versions and data hashes as Markdown."""
    listed = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    data = "\n".join(f"* {name}: SHA-256 of its files `{sha256(name)}`" for name in names)
    return f"Measured {date.today()} on {machine}; coldstart {cs.__version__}, {listed}.\n\n{data}"


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


def by_key(pairs: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    """Collect the items of each key."""
    found: dict[str, set[str]] = {}
    for key, item in pairs:
        found.setdefault(key, set()).add(item)
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(absent)"
