"""The benchmark of record: every method on every track, each in a process of its own.

COLDSTART_DATA=/path/to/data python benchmarks/record.py [--write] [--only TRACK ...] [--methods METHOD ...]

With --write the tables go into docs/benchmarks.md. Reports are kept in .cache/record, so that tables can be made again
without measuring (--tables).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import CACHE, ROOT, circumstances, table, write_section
from methods import BUDGET, METHODS
from tracks import SEEDS, TRACKS, permuted

import coldstart as cs

TUNED_USERS = 1_000
"""About how many users of the validation part are asked while baselines are tuned."""

PLACE = CACHE / "record"
K = 20

EXPECTED = {
    "popularity": (0.0086, 0.0043, 0.0133),
    "text k-NN (sentence-transformers + numpy)": (0.093, 0.188, 0.088),
    "CosineRanker": (0.102, 0.206, 0.097),
    "EASE": (0.150, 0.004, 0.238),
    "implicit ALS": (0.118, 0.004, 0.190),
    "LightFM, TF-IDF": (0.069, 0.133, 0.094),
    "irspack feature-aware iALS": (0.119, 0.19, 0.19),
}
"""N@20 overall / cold / warm on the anchor as others measured it."""


def folder(track: str, method: str) -> Path:
    """Return where a report is kept."""
    return PLACE / "".join(c if c.isalnum() else "-" for c in f"{track} {method}")


def measure(track_name: str, method_name: str) -> None:
    """Tune when there is something to tune, evaluate, and keep the report with its costs."""
    track, method = TRACKS[track_name], METHODS[method_name]
    splits = [permuted(split) for split in track.splits()] if method.permute else track.splits()
    started, chosen = time.perf_counter(), {}
    make = method.make
    if method.space:
        chosen = tuned(track_name, method_name, splits[0])

        def make() -> cs.Recommender:
            return cs.Recommender(**{**method.make().get_params(), "ranker": _with(method.make().ranker, chosen)})

    tuning = time.perf_counter() - started
    started = time.perf_counter()
    report = cs.evaluate(make, splits, K, name=method_name, progress=False)
    report.save(folder(track_name, method_name))
    cost = {
        "tune": tuning,
        "evaluate": time.perf_counter() - started,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "chosen": chosen,
    }
    folder(track_name, method_name).with_suffix(".json").write_text(json.dumps(cost))


def tuned(track: str, method: str, split: cs.splits.Split) -> dict[str, object]:
    """Return the settings that do best on the validation part; those of the anchor for its other protocol."""
    if track == "aldi":
        return json.loads(folder("anchor", method).with_suffix(".json").read_text())["chosen"]
    made = METHODS[method]
    users = split.validation.user_index
    part = users % max(1, len(split.validation.users) // TUNED_USERS) == 0
    split = replace(split, validation=split.validation.take(part))
    return cs.tune(made.make(), split, made.space, BUDGET, progress=False).trials[0].params


def _with(ranker: object, chosen: dict[str, object]) -> object:
    params = {name.removeprefix("ranker."): value for name, value in chosen.items()}
    return type(ranker)(**{**ranker.get_params(), **params})


def run(tracks: Sequence[str], methods: Sequence[str]) -> None:
    """Measure the methods on the tracks, one process after the other."""
    for track in tracks:
        for method in (name for name in methods_of(track) if name in methods):
            started = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--one", track, method], check=True, cwd=ROOT)
            print(f"{track}: {method} ({time.perf_counter() - started:.0f} s)", flush=True)


def methods_of(track: str) -> list[str]:
    """Return the methods that a track is for."""
    return [method for method in METHODS if method not in TRACKS[track].without]


def minutes() -> float:
    """Return how long all methods took."""
    costs = (json.loads(folder(t, m).with_suffix(".json").read_text()) for t in TRACKS for m in methods_of(t))
    return sum(cost["tune"] + cost["evaluate"] for cost in costs) / 60


def track_section(name: str) -> str:
    """Return the tables of a track."""
    track = TRACKS[name]
    reports = {method: cs.Report.load(folder(name, method)) for method in methods_of(name)}
    costs = {method: json.loads(folder(name, method).with_suffix(".json").read_text()) for method in reports}
    groups = next(iter(reports.values())).groups
    users = ", ".join(f"{group} {len(_users(next(iter(reports.values())), group)):,}" for group in groups)
    ours = reports["HybridRanker"]
    head = ["method", *(f"{group} N@{K}" for group in groups), f"overall R@{K}", "cold share", "coverage"]
    head += ["fit s", "answers/s", "peak MB"]
    rows = []
    for method, report in reports.items():
        seconds = {part.split: part.fit_seconds for part in report.parts}
        answered = sum(len(part.users) for part in report.parts) / sum(part.answer_seconds for part in report.parts)
        rows.append(
            [
                method + _settings(costs[method]["chosen"]),
                *(_cell(report, group) for group in groups),
                f"{report.value('recall', K):.4f}",
                f"{report.value('cold_exposure', K):.2f}",
                f"{report.value('coverage', K):.2f}",
                f"{np.median(list(seconds.values())):.1f}",
                f"{answered:,.0f}",
                f"{costs[method]['peak']:,.0f}",
            ]
        )
    differences = [
        [
            method,
            *(
                f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]{_star(row.p)}"
                for row in _compared(ours, report)
            ),
        ]
        for method, report in reports.items()
        if report is not ours
    ]
    return "\n\n".join(
        [
            f"### {track.title}",
            f"{track.note} Evaluation users: {users}.",
            table(head, rows),
            f"HybridRanker minus each method, N@{K} (paired user bootstrap; * where p < .05 after Holm's correction):",
            table(["method", *groups], differences),
        ]
        + ([_reproduced(reports)] if name == "anchor" else [])
    )


def _reproduced(reports: dict[str, cs.Report]) -> str:
    rows = []
    for method, expected in EXPECTED.items():
        measured = [reports[method].value("ndcg", K, group) for group in ("overall", "cold", "warm")]
        gap = max(abs(one - other) for one, other in zip(measured, expected, strict=True))
        shown = [" / ".join(f"{value:.4f}" for value in values) for values in (measured, expected)]
        rows.append([method, *shown, f"{gap:.4f}"])
    lead = f"Compared with independent measurements (N@{K} overall / cold / warm):"
    return f"{lead}\n\n{table(['method', 'measured here', 'elsewhere', 'largest gap'], rows)}"


def curve_section(title: str, note: str, names: Sequence[str], group: str) -> str:
    """Return one table out of tracks that differ in the clicks revealed."""
    methods = methods_of(names[0])
    reports = {(name, method): cs.Report.load(folder(name, method)) for name in names for method in methods}
    counts = [name.split()[1].removesuffix("-click") for name in names]
    rows = [[method, *(_cell(reports[name, method], group) for name in names)] for method in methods]
    return "\n\n".join(
        [f"### {title}", note, table(["method", *(f"{count} click{'s' * (count != '1')}" for count in counts)], rows)]
    )


def _cell(report: cs.Report, group: str) -> str:
    row = report.row("ndcg", K, group)
    return f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"


def _compared(ours: cs.Report, report: cs.Report) -> list:
    return ours.compare(report, ["ndcg"], K).rows


def _users(report: cs.Report, group: str) -> set:
    return {user for part in report.of(group) for user in part.users}


def _settings(chosen: dict[str, object]) -> str:
    shown = (f"{name.removeprefix('ranker.')} {value:.3g}" for name, value in chosen.items())
    return f" ({', '.join(shown)})" if chosen else ""


def _star(p: float) -> str:
    return "*" if p < 0.05 else ""


def sections() -> str:
    """Return the whole chapter."""
    single = ["anchor", "aldi", "office", "films", "films by time", "office late"]
    films = [name for name in TRACKS if name.startswith("films") and name.endswith("-click")]
    items = [name for name in TRACKS if name.endswith("-click items")]
    data = sorted({track.data for track in TRACKS.values()})
    return "\n\n".join(
        [
            "## The benchmark of record",
            f"NDCG@{K} (binary; ties are broken by item order) with 95 % bootstrap intervals over users. All candidates are "
            "ranked; the user's training clicks are left out. Every method runs in a process of its own, whose peak memory is "
            "given. Baselines with settings in brackets were tuned by `cs.tune` on the validation part of the first split "
            f"({BUDGET} settings, overall N@{K} of about {TUNED_USERS:,} users). The settings of the peers are in "
            "`benchmarks/peers.py` and were chosen on the validation parts of citeulike-a. Ours run with their defaults, and "
            "`HybridRanker` is the ranker of `Recommender()`. The text vectors were computed beforehand; encoding has a "
            f"section of its own. Written by `make benchmark`; the methods took {minutes():.0f} minutes in all.",
            circumstances(data),
            *(track_section(name) for name in single),
            curve_section(
                f"ml-latest-small, new users: from one click to ten, {len(SEEDS)} splits",
                "10 % of the users are held out completely; the given clicks are part of the request. Users and test "
                "clicks are the same for every number of given clicks.",
                films,
                "overall",
            ),
            curve_section(
                f"amazon-office-2014, new items: from no click to ten, {len(SEEDS)} splits",
                "10 % of the items with at least 15 clicks keep only that many. They are ranked among each other "
                '("cold"). The test clicks are the same for every number of clicks.',
                items,
                "cold",
            ),
        ]
    )


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("TRACK", "METHOD"))
    parser.add_argument("--only", nargs="*", default=list(TRACKS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        return measure(*arguments.one)
    if not arguments.tables:
        run(arguments.only, arguments.methods)
    text = sections()
    print(text)
    if arguments.write:
        write_section("record", text)
    return None


if __name__ == "__main__":
    main()
