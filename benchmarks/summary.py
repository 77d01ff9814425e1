"""The table and the picture that open docs/benchmarks.md: Recommender() beside the best peer on every track.

python benchmarks/summary.py [--write]

Nothing is measured: all numbers are read from the tables of the page, so run it after the other chapters.
"""

import argparse
import re
from collections.abc import Sequence
from typing import NamedTuple

from common import DOCS, table, write_section

OURS = ("HybridRanker", "MLPRanker", "CosineRanker", "`CosineRanker`", "WeightedFuser", "AttentionFuser")
NO_PEERS = (*OURS, "content alone", "coldstart", "ExactIndex", "torch bfloat16 (not exact)", "truth")
"""How the names of methods begin that are parts of this library, or no methods."""

SHORT = {
    "text k-NN (sentence-transformers + numpy)": "text k-NN",
    "irspack feature-aware iALS": "irspack",
    "four lines of sentence-transformers": "sentence-transformers",
    "reciprocal rank fusion of both": "rank fusion",
    "numpy: cosine + log clicks": "cosine + log clicks",
    "numpy: cosine + log clicks + EASE": "cosine + log clicks + EASE",
    "FAISS IndexFlatIP": "FAISS",
    "PopularityRanker": "popularity",
    "text": "text cosine",
}
Rows = dict[str, dict[str, str]]
"""Cells by method and column."""


class Track(NamedTuple):
    """A line of the table.

    Attributes
    ----------
    title : str
    place : str
        Heading of the table, and the data set where a heading has several.
    columns : tuple of str
        What is compared; one number each.
    unit : str
        Of a speed, whose ratio is shown; empty for qualities.
    ours : str
        The name of our method.
    """

    title: str
    place: str
    columns: tuple[str, ...]
    unit: str = ""
    ours: str = "HybridRanker"


class Pair(NamedTuple):
    """Ours and the best peer on one question; ``clear`` unless the difference may be chance."""

    ours: str
    name: str
    peer: str
    ratio: float
    clear: bool

    @property
    def verdict(self) -> str:
        """Return whether ours is ahead."""
        word = "even" if self.ratio == 1 else "ahead" if self.ratio > 1 else "behind"
        return word if self.clear or word == "even" else f"{word} ≈"


GROUPS = ("overall N@20", "cold N@20", "warm N@20")
FEW = ("1 click", "3 clicks", "10 clicks")
EARLY = ("0 clicks", "1 click", "10 clicks")
OTHERS = ("0", "10", "100", "1000", "10000")
REQUESTS = "**`Recommender()`**"
TRACKS = (
    Track("Item-cold, citeulike-a: all / new / known items", "citeulike-a, titles only", GROUPS),
    Track("Item-cold, amazon-office-2014: the same", "amazon-office-2014, item-cold", GROUPS),
    Track("Item-cold, ml-latest-small: the same", "ml-latest-small (ratings of at least 4), item-cold", GROUPS),
    Track("By time, ml-latest-small", "ml-latest-small, by time", GROUPS[:1]),
    Track("By time, amazon-office-2018-late", "amazon-office-2018-late", GROUPS[:1]),
    Track(
        "Known users, ml-latest-small, after 100 / 1,000 / 10,000 / 30,000 clicks in all",
        "First clicks: known users: ml-latest-small",
        ("100", "1000", "10000", "30000"),
    ),
    Track("New users with 1 / 3 / 10 clicks, ml-latest-small", "New users: ml-latest-small", FEW),
    Track("The same, amazon-office-2014", "New users: amazon-office-2014", FEW),
    Track("The same, citeulike-a", "New users: citeulike-a", FEW),
    Track("New items with 0 / 1 / 10 clicks, amazon-office-2014", "amazon-office-2014, new items", EARLY),
    Track("The same, ml-latest-small", "New items with their first clicks: ml-latest-small", EARLY),
    Track("The same, citeulike-a", "New items with their first clicks: citeulike-a", EARLY),
    Track(
        "New users with 3 likes, after 0 / 10 / 100 / 1,000 / 10,000 clicks of others, ml-latest-small",
        "First clicks: new users: ml-latest-small",
        OTHERS,
    ),
    Track("The same, amazon-office-2014", "First clicks: new users: amazon-office-2014", OTHERS),
    Track(
        "Requests: films of a genre / of one genre and not another",
        "Requests in words, no clicks",
        ("films by genre", "films without a genre"),
        ours=REQUESTS,
    ),
    Track(
        "Requests: tags / tags in sentences / ReDial",
        "Requests in words, no clicks",
        ("tags", "tags in sentences", "ReDial"),
        ours=REQUESTS,
    ),
    Track(
        "Requests: the same three with clicks of others",
        "Requests in words, with clicks",
        ("tags, clicks", "tags in sentences, clicks", "ReDial, clicks"),
        ours=REQUESTS,
    ),
    Track(
        "Requests: two words of a title / one letter wrong / a title in a sentence",
        "Finding a film by its title",
        ("two words of a title", "one letter wrong", '"the movie called .."'),
        ours=REQUESTS,
    ),
    Track(
        "Requests: products by other words / letters wrong / other order / whole titles / codes",
        "Finding a product by its title or code",
        (
            "shop: other words",
            "shop: 1 of 8 letters wrong",
            "shop: other order",
            "shop: whole titles",
            "shop: codes",
        ),
        ours=REQUESTS,
    ),
    Track(
        "Encoding overviews of films",
        "2,000 overviews of films",
        ("texts a second",),
        "texts/s",
        'coldstart dtype="auto"',
    ),
    Track(
        "Encoding titles of papers", "2,000 titles of papers", ("texts a second",), "texts/s", 'coldstart dtype="auto"'
    ),
    Track(
        "Exact search among 200,000 vectors: 1 / 32 / 512 queries",
        "Search",
        ("1", "32", "512"),
        "ms",
        "ExactIndex int8",
    ),
    Track(
        "Scale: a million synthetic clicks, all items / items with clicks",
        "A million clicks",
        ("all items", "items with clicks"),
    ),
)


def read_tables(page: str) -> dict[str, list[Rows]]:
    """Return the tables under each heading; those under a bold data set by both, as in "New users: citeulike-a"."""
    tables: dict[str, list[Rows]] = {}
    heading = name = ""
    for block in page.split("\n\n"):
        if found := re.search(r"^#+ (.+)", block, re.MULTILINE):
            heading = name = found[1]
        elif found := re.match(r"\*\*([\w-]+)\*\*", block):
            name = f"{heading}: {found[1]}"
        lines = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("|")]
        if lines:
            head = [re.sub(r" \([\d,]+\)$", "", cell.strip()) for cell in lines[0]]
            rows = {row[0]: dict(zip(head[1:], row[1:], strict=False)) for row in lines[2:]}
            tables.setdefault(name, []).append(rows)
    return tables


def read_search(page: str) -> Rows:
    """Return milliseconds by method and batch, of random vectors: there a method has a line for each."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| random | ")]
    rows: Rows = {}
    for _, batch, method, milliseconds, *_ in lines:
        rows.setdefault(method, {})[batch] = milliseconds
    return rows


def read_million(rows: Rows) -> Rows:
    """Return the two numbers of each method on the largest data: there a method has a column."""
    largest = list(rows.values())[-1]
    values = {name.removesuffix(" N@20"): cell.split(" / ") for name, cell in largest.items() if name.endswith("N@20")}
    return {name: dict(zip(("all items", "items with clicks"), cells, strict=False)) for name, cells in values.items()}


def compare(track: Track, tables: dict[str, list[Rows]]) -> list[Pair]:
    """Return ours and the best peer for each column."""
    rows, *differences = next(found for place, found in tables.items() if place.startswith(track.place))
    ours = rows[track.ours]
    sign = -1 if track.unit == "ms" else 1
    pairs = []
    for column in track.columns:
        peers = {
            name: cells[column]
            for name, cells in rows.items()
            if cells.get(column) and name != track.ours and not name.startswith(NO_PEERS)
        }
        best = max(peers, key=lambda name: sign * number(peers[name]))
        ratio = (number(ours[column]) / number(peers[best])) ** sign
        plain = re.sub(r" \((l2|factors|neighbours) .*\)", "", best)
        clear = is_clear(ours[column], peers[best])
        difference = differences[0].get(plain, {}).get(column.removesuffix(" N@20"), "") if differences else ""
        if difference.startswith(("+", "-")):  # paired, and so more certain than intervals
            clear = difference.endswith("*")
        pairs.append(Pair(ours[column], SHORT.get(plain, plain), peers[best], ratio, clear))
    return pairs


def number(cell: str) -> float:
    """Return the value of a cell, without its interval."""
    return float(cell.split(maxsplit=1)[0].replace(",", ""))


def is_clear(one: str, other: str) -> bool:
    """Return whether each value lies outside the interval of the other; where a cell has none, nothing is doubted."""
    return all(not low <= number(value) <= high for value, (low, high) in ((one, bounds(other)), (other, bounds(one))))


def bounds(cell: str) -> tuple[float, float]:
    """Return the interval of a cell, empty where it has none."""
    if found := re.search(r"\[(.+), (.+)\]", cell):
        return float(found[1]), float(found[2])
    if found := re.search(r"± (.+)", cell):
        return number(cell) - float(found[1]), number(cell) + float(found[1])
    return float("inf"), float("-inf")


def line(track: Track, pairs: Sequence[Pair]) -> list[str]:
    """Return a row of the table."""
    unit = f" {track.unit}" if track.unit else ""
    ours, peers = (
        [shown(cell, track.unit) for cell in cells] for cells in zip(*((p.ours, p.peer) for p in pairs), strict=True)
    )
    names = [pair.name for pair in pairs]
    if len(set(names)) > 1:
        peers = [f"{name} {value}" for name, value in zip(names, peers, strict=True)]
    else:
        peers[0] = f"{names[0]} {peers[0]}"
    verdicts = [pair.verdict for pair in pairs]
    verdict = verdicts[0] if len(set(verdicts)) == 1 else " / ".join(verdicts)
    if track.unit:
        verdict += f", {' / '.join(f'{pair.ratio:.2f}' for pair in pairs)} times"
    return [track.title, f"{' / '.join(ours)}{unit}", f"{' / '.join(peers)}{unit}", verdict]


def shown(cell: str, unit: str) -> str:
    """Return the value of a cell; qualities without the zero before the point."""
    value = cell.split(maxsplit=1)[0]
    return value if unit else value.removeprefix("0")


def draw(compared: dict[Track, list[Pair]]) -> None:
    """Draw one line for each track, a dot for each number; needs the extra [plot]."""
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "coldstart", "font.size": 9})
    figure, axes = pyplot.subplots(figsize=(9, 7))
    colors = {"ahead": "#1f6fb4", "behind": "#d1495b", "even": "#888888"}
    for row, pairs in enumerate(compared.values()):
        axes.axhline(row, color="#eeeeee", zorder=0)
        for pair in pairs:
            color = colors[pair.verdict.split()[0]]
            axes.scatter(pair.ratio, row, s=30, edgecolors=color, facecolors=color if pair.clear else "white", zorder=2)
    for word in ("ahead", "behind"):
        axes.scatter([], [], s=30, color=colors[word], label=word)
    axes.scatter([], [], s=30, edgecolors="#555555", facecolors="white", label="may be chance")
    axes.axvline(1, color="#555555", linewidth=1, zorder=1)
    axes.set(xscale="log", xlabel="Recommender() as a multiple of the best peer")
    axes.set_yticks(range(len(compared)), [label(track) for track in compared])
    ticks = (0.7, 1, 1.5, 2, 3, 5, 7)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.legend(loc="upper right")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(DOCS.parent / "summary.svg", bbox_inches="tight", metadata={"Date": None})


def label(track: Track) -> str:
    """Return a title that fits beside the picture."""
    title = track.title
    return title if len(title) <= 62 else title[:60].rsplit(" ", 1)[0].rstrip(",/ ") + " …"


def main() -> None:
    """Read the page, print the table, and write both when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    page = DOCS.read_text(encoding="utf-8")
    tables = read_tables(page)
    tables["Search"] = [read_search(page)]
    tables["A million clicks"] = [read_million(tables["A million clicks"][0])]
    compared = {track: compare(track, tables) for track in TRACKS}
    head = ["track", "we: `Recommender()`", "best peer", "ahead or behind"]
    text = table(head, [line(track, pairs) for track, pairs in compared.items()])
    text += "\n\n![Recommender() as a multiple of the best peer, one line per track](summary.svg)"
    print(text)
    if parser.parse_args().write:
        write_section("summary", text)
        draw(compared)


if __name__ == "__main__":
    main()
