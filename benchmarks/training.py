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


def kept(key: str, measure: Callable[[], tuple[cs.Report, float]]) -> tuple[cs.Report, float]:
    """Return a report and seconds of training, measured once: delete .cache/training to measure anew."""
    place = PLACE / "".join(c if c.isalnum() else "-" for c in key)
    if not place.with_suffix(".seconds").exists():
        report, seconds = measure()
        report.save(place)
        place.with_suffix(".seconds").write_text(str(seconds))
    report, seconds = cs.Report.load(place), float(place.with_suffix(".seconds").read_text())
    print(key, [round(report.value("ndcg", K, group), 4) for group in GROUPS], round(seconds), flush=True)
    return report, seconds


def asked(recommender: cs.Recommender, splits: Sequence[cs.splits.Split]) -> tuple[cs.Report, float]:
    """Return the report of a recommender and the seconds it took to fit it to one split."""
    timed = Timed(recommender)
    report = cs.evaluate(timed, splits, K, GROUPS, progress=False)
    return report, timed.seconds / len(splits)


def compared(
    methods: dict[str, Callable[[], cs.Recommender]], splits: Sequence[cs.splits.Split], to: str, where: str
) -> tuple[list[str], list[list[str]]]:
    """Return a table of N@20 by group, the differences to one method among them with intervals, and seconds to fit."""
    found = {name: kept(f"{where} {name}", lambda m=make: asked(m(), splits)) for name, make in methods.items()}
    base, rows = found[to][0], []
    for name, (report, seconds) in found.items():
        values = [f"{report.value('ndcg', K, group):.4f}" for group in GROUPS]
        rows.append([name, *values, *_against(report, base), f"{seconds:.0f}"])
    return ["method", *GROUPS, *(f"{group} against {to}" for group in GROUPS), "s"], rows


def _against(report: cs.Report, base: cs.Report) -> list[str]:
    if report is base:
        return [""] * len(GROUPS)
    rows = {row.group: row for row in report.compare(base, ["ndcg"], K).rows}
    return [f"{rows[g].difference:+.4f} [{rows[g].low:+.4f}, {rows[g].high:+.4f}]" for g in GROUPS]


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
        parts.append(f"**{name}**\n\n{table(*compared(methods, splits, 'CosineRanker', f'mlp {name}'))}")
    lead = (
        f"N@{K}; both with learned field weights. Differences with paired 95 % intervals; s: seconds to fit one split."
    )
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
        parts.append(
            f"**{name}**, 3 splits\n\n{table(*compared(methods, item_cold(name), 'equal weights', f'fusers {name}'))}"
        )
    films, clicks, relevant = read_catalog(FILMS), read_clicks(FILMS), typed_tags()
    tags, rows = reporting_half(relevant), []
    for kind, fuser in kinds.items():
        rec = ours(ranker=cs.CosineRanker(), fuser=fuser()).fit(films, clicks, check=False)
        lists = rec.recommend_many([cs.Request(query=tag) for tag in tags], k=K, exclude_seen=False).item_ids
        rows.append([kind, f"{np.mean(ndcg(lists, [relevant[tag] for tag in tags], K)):.4f}"])
    parts.append(f"**queries, {FILMS}**\n\n{table(['method', f'N@{K}'], rows)}")
    return "\n\n".join(["### Field weights", f"N@{K} of `CosineRanker`.", *parts])


def titles(split: cs.splits.Split) -> cs.splits.Split:
    """Return a split whose items have a title only."""
    catalog = split.catalog
    return replace(split, catalog=cs.Catalog(catalog.ids, ("title",), catalog.columns, catalog.id_name))


TUNINGS = {
    "adapter": {},
    "adapter, rng=1": {"rng": 1},
    "adapter, rng=2": {"rng": 2},
    "last two layers below it, anchored": {"method": "last-layers"},
    "the same, rng=1": {"method": "last-layers", "rng": 1},
    "the same, rng=2": {"method": "last-layers", "rng": 2},
    "the same, no anchor": {"method": "last-layers", "anchor": 0.0},
    "LoRA of rank 16 below it, anchored": {"method": "lora"},
}
BELOW = {
    OFFICE: ("adapter", "last two layers below it, anchored"),
    "citeulike-a": ("adapter", "last two layers below it, anchored"),
}
"""What is measured below HybridRanker, too."""

TRIED = {
    OFFICE: [label for label in TUNINGS if label in BELOW[OFFICE] or "adapter" in label],
    "citeulike-a": list(TUNINGS),
}
"""Trained language models take a quarter of an hour each on one core."""


def finetune() -> str:
    """Return tuned encoders beside the untuned one, by the cosine of titles, and below HybridRanker."""
    parts = []
    for name, split in (("citeulike-a", published("coldrec")[0]), (OFFICE, titles(item_cold(OFFICE)[0]))):
        plain = cs.CosineRanker(center=False)
        found = {
            "untuned": kept(f"{name} untuned", lambda s=split, p=plain: asked(ours(ranker=p), [s])),
            "untuned, centred": kept(f"{name} centred", lambda s=split: asked(ours(ranker=cs.CosineRanker()), [s])),
        }
        hybrid = {}
        if BELOW[name]:
            hybrid["untuned"] = kept(f"{name} hybrid untuned", lambda s=split: asked(ours(), [s]))
        for label in TRIED[name]:
            tuned = Tuned(split, TUNINGS[label])
            found[label] = kept(f"{name} {label}", lambda t=tuned: t.asked(cs.CosineRanker(center=False)))
            if label in BELOW[name]:
                hybrid[label] = kept(f"{name} hybrid {label}", lambda t=tuned: t.asked(cs.HybridRanker()))
        head = ["vectors", *GROUPS, *(f"{group} against untuned, centred" for group in GROUPS), "s"]
        parts.append(f"**{name}**, titles, cosine\n\n{table(head, _lines(found, 'untuned, centred'))}")
        if hybrid:
            head = ["vectors", *GROUPS, *(f"{group} against untuned" for group in GROUPS)]
            lines = [line[:-1] for line in _lines(hybrid, "untuned")]
            parts.append(f"The same vectors in `HybridRanker`:\n\n{table(head, lines)}")
    lead = f"N@{K}. Training never sees the items of the cold test. s: seconds of tuning, including the adapter."
    return "\n\n".join(["### Tuning the encoder on clicks", lead, *parts])


class Tuned:
    """An encoder that is tuned when it is first asked for."""

    def __init__(self, split: cs.splits.Split, options: dict[str, Any]) -> None:
        self.split, self.options, self.encoder = split, options, None

    def asked(self, ranker: Any) -> tuple[cs.Report, float]:
        """Return the report of a ranker on its vectors, and the seconds of tuning."""
        if self.encoder is None:
            folder, started = Path(tempfile.mkdtemp()), time.perf_counter()
            where = {} if self.options.get("method", "adapter") == "adapter" else {"folder": folder / "model"}
            found = cs.finetune(
                encoder(), self.split.catalog, self.split.train, progress=False, **where, **self.options
            )
            self.seconds = time.perf_counter() - started
            self.encoder = cs.CachedEncoder(found, folder / "vectors")
        return asked(cs.Recommender(self.encoder, ranker=ranker), [self.split])[0], self.seconds


def _lines(found: dict[str, tuple[cs.Report, float]], to: str) -> list[list[str]]:
    base = found[to][0]
    return [
        [label, *(f"{report.value('ndcg', K, g):.4f}" for g in GROUPS), *_against(report, base), f"{seconds:.0f}"]
        for label, (report, seconds) in found.items()
    ]


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
    head, rows = compared(methods, [split], "untuned", "pretrain")
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
            "### What keeps MLPRanker from overfitting",
            f"N@{K} on {FILMS}, one split.",
            table(*compared(methods, item_cold(FILMS)[:1], "MLPRanker", "regularisation")),
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
FEW_COUNTS = COUNTS[1:5]

STARTS: dict[str, Callable[[], cs.Recommender]] = {
    "iALS": cs.baselines.ials,
    "HybridRanker": ours,
}
"""What a start from few clicks is compared with, beside popularity and text."""


def curve() -> str:
    """Return how rankers get better with clicks, as a table and a plot."""
    methods = {
        "popularity": cs.baselines.popularity,
        "EASE": lambda: cs.baselines.ease(100.0),
        "CosineRanker": lambda: ours(ranker=cs.CosineRanker(), fuser=cs.WeightedFuser()),
        "MLPRanker": lambda: ours(ranker=cs.MLPRanker(progress=False), fuser=cs.WeightedFuser()),
        **STARTS,
    }
    values = _with_clicks(FILMS, methods, COUNTS, SEEDS)
    plot(COUNTS, values)
    lead = (
        f"N@{K} on {FILMS} after training on so many randomly drawn clicks, with all others relevant; {ASKED} users, "
        f"{len(SEEDS)} draws."
    )
    parts = ["### A learning curve", lead, _by_clicks(COUNTS, values), "![N@20 by clicks](learning_curve.svg)"]
    few = {"popularity": cs.baselines.popularity, "CosineRanker": lambda: ours(ranker=cs.CosineRanker()), **STARTS}
    for name, seeds in ((OFFICE, SEEDS), ("citeulike-a", SEEDS[:1])):
        lead = f"The same on {name}, {len(seeds)} draw{'s' * (len(seeds) > 1)}."
        parts += [lead, _by_clicks(FEW_COUNTS, _with_clicks(name, few, FEW_COUNTS, seeds))]
    return "\n\n".join(parts)


def _with_clicks(
    name: str, methods: dict[str, Callable[[], cs.Recommender]], counts: Sequence[int], seeds: Sequence[int]
) -> dict[str, list[float]]:
    """What each method comes to with so many clicks, the mean over draws."""
    catalog, clicks = clicked(name)
    values: dict[str, list[float]] = {method: [] for method in methods}
    for count in counts:
        parts = [_told(clicks, count, seed) for seed in seeds]
        for method, make in methods.items():
            values[method].append(float(np.mean([_found(make(), catalog, *part) for part in parts])))
        print(name, count, {method: round(found[-1], 4) for method, found in values.items()}, flush=True)
    return values


def _by_clicks(counts: Sequence[int], values: dict[str, list[float]]) -> str:
    rows = [[name, *(f"{value:.4f}" for value in found)] for name, found in values.items()]
    return table(["clicks", *(f"{count:,}" for count in counts)], rows)


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
