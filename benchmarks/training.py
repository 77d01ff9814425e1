"""What training buys: MLPRanker, field weights, tuned encoders, pretraining, regularisation, a learning curve.

COLDSTART_DATA=/path/to/data python benchmarks/training.py [--write] [--only mlp fusers ...] [--tables]

Every section is kept in .cache/training, so that the page can be made again (--tables).
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import CACHE, DOCS, by_key, circumstances, encoder, read_catalog, read_clicks, table, write_section
from methods import ours
from queries import K, reporting_half, typed_tags
from tracks import SEEDS, clicked, item_cold, published

import coldstart as cs
from coldstart.metrics import ndcg
from coldstart.rankers.mlp.ranker import MLPRanker

PLACE = CACHE / "training"
GROUPS = ("overall", "cold", "warm")
OFFICE, FILMS = "amazon-office-2014", "ml-latest-small"


class Timed:
    """A recommender that is fitted without the honesty check, and how long that took."""

    def __init__(self, recommender: cs.Recommender) -> None:
        self.recommender, self.seconds = recommender, 0.0

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> "Timed":
        """Fit."""
        started = time.perf_counter()
        self.recommender.fit(catalog, interactions, check=False)
        self.seconds += time.perf_counter() - started
        return self

    def recommend_many(self, requests: Sequence[cs.Request], **options: Any) -> cs.Recommendations:
        """Ask."""
        return self.recommender.recommend_many(requests, **options)


def compared(
    methods: dict[str, Callable[[], cs.Recommender]], splits: Sequence[cs.splits.Split], to: str
) -> tuple[list[str], list[list[str]]]:
    """Return a table of N@20 by group, the differences to one method among them with intervals, and seconds to fit."""
    reports, seconds = {}, {}
    for name, make in methods.items():
        timed = Timed(make())
        reports[name] = cs.evaluate(timed, splits, K, GROUPS, name=name, progress=False)
        seconds[name] = timed.seconds / len(splits)
        print(name, [round(reports[name].value("ndcg", K, group), 4) for group in GROUPS], flush=True)
    rows = []
    for name, report in reports.items():
        values = [f"{report.value('ndcg', K, group):.4f}" for group in GROUPS]
        found = [] if name == to else report.compare(reports[to], ["ndcg"], K).rows
        differences = [f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]" for row in found] or [""] * 3
        rows.append([name, *values, *differences, f"{seconds[name]:.0f}"])
    return ["method", *GROUPS, *(f"{group} against {to}" for group in GROUPS), "s"], rows


def mlp() -> str:
    """Return MLPRanker beside the cosine with the same field weights, on three seeds or splits."""
    parts = []
    anchor = "citeulike-a, published split"
    for name, splits, seeds in (
        (anchor, published("coldrec"), SEEDS),
        (f"{FILMS}, 3 splits", item_cold(FILMS), SEEDS[:1]),
    ):
        methods = {"CosineRanker": lambda: ours(ranker=cs.CosineRanker(), fuser=cs.WeightedFuser())}
        for seed in seeds:
            methods[f"MLPRanker, rng={seed}"] = lambda seed=seed: ours(
                ranker=cs.MLPRanker(rng=seed, progress=False), fuser=cs.WeightedFuser()
            )
        parts.append(f"**{name}**\n\n{table(*compared(methods, splits, 'CosineRanker'))}")
    lead = f"N@{K}; both with learned field weights. Differences with paired 95 % intervals; s: seconds to fit a split."
    return "\n\n".join(["### MLPRanker", lead, *parts])


def fusers() -> str:
    """Return field weights given, learned, and attention, on clicks and on queries."""
    kinds = {
        "equal weights": lambda: cs.WeightedFuser("equal"),
        "WeightedFuser, learned": cs.WeightedFuser,
        "AttentionFuser, learned": cs.AttentionFuser,
        "ConcatFuser, learned": cs.ConcatFuser,
    }
    parts = []
    for name in (FILMS, OFFICE):
        methods = {k: lambda f=f: ours(ranker=cs.CosineRanker(), fuser=f()) for k, f in kinds.items()}
        parts.append(f"**{name}**, 3 splits\n\n{table(*compared(methods, item_cold(name), 'equal weights'))}")
    films, clicks, relevant = read_catalog(FILMS), read_clicks(FILMS), typed_tags()
    tags, rows = reporting_half(relevant), []
    for kind, fuser in kinds.items():
        rec = ours(ranker=cs.CosineRanker(), fuser=fuser()).fit(films, clicks, check=False)
        lists = rec.recommend_many([cs.Request(query=tag) for tag in tags], k=K, exclude_seen=False).item_ids
        rows.append([kind, f"{np.mean(ndcg(lists, [relevant[tag] for tag in tags], K)):.4f}"])
    parts.append(f"**queries, {FILMS}**\n\n{table(['method', f'N@{K}'], rows)}")
    return "\n\n".join(["### Field weights", f"N@{K} of the cosine.", *parts])


def titles(split: cs.splits.Split) -> cs.splits.Split:
    """Return a split whose items have a title only."""
    catalog = split.catalog
    return replace(split, catalog=cs.Catalog(catalog.ids, ("title",), catalog.columns, catalog.id_name))


def tuned(split: cs.splits.Split, folder: Path, **options: Any) -> tuple[cs.testing.Encoder, float]:
    """Return a tuned encoder and the seconds it took."""
    started = time.perf_counter()
    where = {} if options.get("method", "adapter") == "adapter" else {"folder": folder}
    found = cs.finetune(encoder(), split.catalog, split.train, progress=False, **where, **options)
    return found, time.perf_counter() - started


TUNINGS = {
    "adapter": {},
    "adapter, rng=1": {"rng": 1},
    "adapter, rng=2": {"rng": 2},
    "adapter, mlp of 256": {"kind": "mlp", "rank": 256},
    "last two layers below it, anchored": {"method": "last-layers"},
    "the same, no anchor": {"method": "last-layers", "anchor": 0.0},
    "LoRA of rank 16 below it, anchored": {"method": "lora"},
}


def finetune() -> str:
    """Return tuned encoders beside the untuned one, by the cosine of titles, and below HybridRanker."""
    parts = []
    for name, split in (("citeulike-a", published("coldrec")[0]), (OFFICE, titles(item_cold(OFFICE)[0]))):
        reports, rows = {}, []

        def measured(label: str, found: Any, seconds: float, split: Any = split, **options: Any) -> None:
            rec = Timed(cs.Recommender(found, ranker=cs.CosineRanker(**options)))
            reports[label] = cs.evaluate(rec, split, K, GROUPS, name=label, progress=False)  # noqa: B023
            rows.append([label, f"{seconds:.0f}"])  # noqa: B023
            print(label, [round(reports[label].value("ndcg", K, g), 4) for g in GROUPS], round(seconds), flush=True)  # noqa: B023

        measured("untuned", encoder(), 0.0, center=False)
        measured("untuned, centred", encoder(), 0.0)
        folders = Path(tempfile.mkdtemp())
        hybrid = {"untuned": encoder()}
        for at, (label, options) in enumerate(TUNINGS.items()):
            found, seconds = tuned(split, folders / str(at), **options)
            measured(label, found, seconds, center=False)
            if label in ("adapter", "last two layers below it, anchored"):
                hybrid[label] = found
        lines = []
        for label, seconds in rows:
            report = reports[label]
            found = [] if label == "untuned, centred" else report.compare(reports["untuned, centred"], ["ndcg"], K).rows
            cold = next((row for row in found if row.group == "cold"), None)
            against = "" if cold is None else f"{cold.difference:+.4f} [{cold.low:+.4f}, {cold.high:+.4f}]"
            lines.append([label, *(f"{report.value('ndcg', K, g):.4f}" for g in GROUPS), against, seconds])
        head = ["vectors", *GROUPS, "cold against untuned, centred", "s"]
        parts.append(f"**{name}**, titles, cosine\n\n{table(head, lines)}")
        lines = []
        for label, found in hybrid.items():
            rec = Timed(cs.Recommender(found))
            report = cs.evaluate(rec, split, K, GROUPS, progress=False)
            lines.append([label, *(f"{report.value('ndcg', K, g):.4f}" for g in GROUPS)])
            print("HybridRanker", lines[-1], flush=True)
        parts.append(f"The same vectors below `HybridRanker`:\n\n{table(['vectors', *GROUPS], lines)}")
        shutil.rmtree(folders)
    lead = f"N@{K}. Items of the cold test are unseen in training. s: seconds of tuning, the map included."
    return "\n\n".join(["### Tuning the encoder on clicks", lead, *parts])


def pretrain() -> str:
    """Return what training without clicks does to recommendations without clicks."""
    split = item_cold(OFFICE)[0]
    catalog = split.catalog
    split = replace(split, catalog=cs.Catalog(catalog.ids, ("title", "text"), catalog.columns, catalog.id_name))
    folder = Path(tempfile.mkdtemp())
    methods = {"untuned": lambda: cs.Recommender(encoder(), ranker=cs.CosineRanker())}
    seconds = {}
    for positives in ("fields", "dropout"):
        started = time.perf_counter()
        found = cs.pretrain(
            cs.TextEncoder(max_length=128), split.catalog, folder / positives, positives=positives, progress=False
        )
        seconds[positives] = time.perf_counter() - started
        methods[f'positives="{positives}"'] = lambda found=found: cs.Recommender(found, ranker=cs.CosineRanker())
    head, rows = compared(methods, [split], "untuned")
    shutil.rmtree(folder)
    lead = f"N@{K} of the cosine of title and description on {OFFICE}, one split; one pass over the items took "
    lead += ", ".join(f"{value:.0f} s ({name})" for name, value in seconds.items()) + "."
    return "\n\n".join(["### Pretraining without clicks", lead, table(head[:-1], [row[:-1] for row in rows])])


REGULAR = {
    "MLPRanker": {},
    "no weight decay": {"weight_decay": 0.0},
    "no dropout": {"dropout": 0.0},
    "no content dropout": {"content_dropout": 0.0},
    "no second stage": {"candidates": 0},
    "BPR": {"loss": "bpr"},
    "BCE": {"loss": "bce"},
}


def regularisation() -> str:
    """Return what each safeguard of MLPRanker buys."""
    methods = {
        name: lambda o=options: ours(ranker=cs.MLPRanker(progress=False, **o), fuser=cs.WeightedFuser())
        for name, options in REGULAR.items()
    }
    methods["no early stopping, 20 epochs"] = lambda: ours(
        ranker=_Unmeasured(epochs=20, progress=False), fuser=cs.WeightedFuser()
    )
    return "\n\n".join(
        [
            "### What keeps MLPRanker from learning by heart",
            f"N@{K} on {FILMS}, one split.",
            table(*compared(methods, item_cold(FILMS)[:1], "MLPRanker")),
        ]
    )


class _Unmeasured(MLPRanker):
    """All epochs are run, and there is no second stage."""

    def _learn(self, texts: Any, liked: Any, rng: Any) -> None:
        towers, _ = self._towers(texts, liked, self.epochs, 0)
        first = {"map": towers.map.up, "own": towers.own, "scale": towers.log_scale.exp()}
        self.weights_ = {name: weight.detach().numpy() for name, weight in first.items()}


COUNTS = (100, 300, 1_000, 3_000, 10_000, 30_000)
ASKED = 300


def curve() -> str:
    """Return how rankers get better with clicks, as a table and a plot."""
    catalog, clicks = clicked(FILMS)
    methods = {
        "popularity": cs.baselines.popularity,
        "EASE": lambda: cs.baselines.ease(100.0),
        "CosineRanker": lambda: ours(ranker=cs.CosineRanker(), fuser=cs.WeightedFuser()),
        "MLPRanker": lambda: ours(ranker=cs.MLPRanker(progress=False), fuser=cs.WeightedFuser()),
        "HybridRanker": ours,
    }
    lines: dict[str, list[float]] = {name: [] for name in methods}
    for count in COUNTS:
        parts = [_told(clicks, count, seed) for seed in SEEDS]
        for name, make in methods.items():
            lines[name].append(float(np.mean([_found(make(), catalog, *part) for part in parts])))
        print(count, {name: round(values[-1], 4) for name, values in lines.items()}, flush=True)
    plot(COUNTS, lines)
    rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in lines.items()]
    lead = (
        f"N@{K} on {FILMS} with so many clicks drawn at random, all others wanted; {ASKED} users, {len(SEEDS)} draws."
    )
    head = ["clicks", *(f"{count:,}" for count in COUNTS)]
    return "\n\n".join(["### A learning curve", lead, table(head, rows), "![N@20 by clicks](learning_curve.svg)"])


def _told(clicks: cs.Interactions, count: int, seed: int) -> tuple[cs.Interactions, dict[str, set[str]]]:
    """Some clicks, and what else the users with one of them clicked."""
    order = np.random.default_rng(seed).permutation(len(clicks))
    told = clicks.take(np.sort(order[:count]))
    others = by_key(clicks.take(np.sort(order[count:])).pairs())
    users = sorted(set(told.users) & set(others))[:ASKED]
    return told, {user: others[user] for user in users}


def _found(rec: cs.Recommender, catalog: cs.Catalog, told: cs.Interactions, wanted: dict[str, set[str]]) -> float:
    rec.fit(catalog, told, check=False)
    lists = rec.recommend_many(users=list(wanted), k=K).item_ids
    return float(np.nanmean(ndcg(lists, list(wanted.values()), K)))


def plot(counts: Sequence[int], lines: dict[str, list[float]]) -> None:
    """Draw the curve into the docs."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in lines.items():
        axes.plot(counts, values, marker="o", label=name)
    axes.set(xscale="log", xlabel="clicks to learn from", ylabel=f"N@{K}")
    axes.legend()
    figure.savefig(DOCS.parent / "learning_curve.svg", bbox_inches="tight", metadata={"Date": None})


SECTIONS = {
    "mlp": mlp,
    "fusers": fusers,
    "finetune": finetune,
    "pretrain": pretrain,
    "regularisation": regularisation,
    "curve": curve,
}


def main() -> None:
    """Measure, keep, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    if not arguments.tables:
        for name in arguments.only:
            (PLACE / f"{name}.md").write_text(SECTIONS[name](), encoding="utf-8")
    kept = [path for name in SECTIONS if (path := PLACE / f"{name}.md").exists()]
    parts = [path.read_text(encoding="utf-8") for path in kept]
    text = "\n\n".join(["## What training buys", circumstances(["citeulike-a", FILMS, OFFICE]), *parts])
    print(text)
    if arguments.write:
        write_section("training", text)


if __name__ == "__main__":
    main()
