"""What each part of HybridRanker is worth, and what its dials do: ablations, new users, new items, updates.

COLDSTART_DATA=/path/to/data python benchmarks/hybrid.py [--write] [--only ablation users ...] [--sets ...]

Every section is kept in .cache/hybrid, so that the page can be made again (--tables).
"""

import argparse
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from common import CACHE, circumstances, table, write_section
from methods import ours
from queries import K
from tracks import SEEDS, clicked, item_cold, published
from variants import VARIANTS, ContentAlone

import coldstart as cs
from coldstart import baselines
from coldstart.evaluation.protocol import fit_options

PLACE = CACHE / "hybrid"
SETS = ("ml-latest-small", "amazon-office-2014", "citeulike-a")
LARGE = "citeulike-a"
"""The published split, and one seed elsewhere: each fit takes a minute and a half."""

EASE_L2 = {"citeulike-a": 20.0, "ml-latest-small": 100.0, "amazon-office-2014": 200.0}
"""As ``cs.tune`` found them in the benchmark of record."""

NOVELTIES = (-1.5, -1.0, math.log(0.5), -0.35, 0.0, 0.35, 0.7, 1.0)
POPULARITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def splits_of(name: str) -> list[cs.splits.Split]:
    """Return the item-cold splits of a data set."""
    return published("clean") if name == LARGE else item_cold(name)


def chosen() -> Sequence[str]:
    """Return the data sets that are asked for."""
    return arguments().sets


def seeds_of(name: str) -> Sequence[int]:
    """Return the seeds of splits of our own."""
    return SEEDS[:1] if name == LARGE else SEEDS


class Kept:
    """Recommenders that are fitted already, one for each training part, asked with their dials set anew."""

    def __init__(self, fitted: Mapping[str, cs.Recommender], **dials: float) -> None:
        self.fitted, self.dials = fitted, dials

    def fit(self, catalog: cs.Catalog, interactions: cs.Interactions) -> "Kept":
        """Take what was fitted."""
        self.recommender = self.fitted[_key(interactions)]
        for name, value in self.dials.items():
            setattr(self.recommender.ranker_, name, value)
        return self

    def recommend_many(self, requests: Sequence[cs.Request], **options: Any) -> cs.Recommendations:
        """Ask."""
        return self.recommender.recommend_many(requests, **options)


def _fit_all(
    make: Callable[[], cs.Recommender], splits: Sequence[cs.splits.Split], fitted: dict[str, cs.Recommender]
) -> dict[str, cs.Recommender]:
    """Fit on the training parts that are not there yet, told which items are new."""
    for split in splits:
        if _key(split.train) not in fitted:
            fitted[_key(split.train)] = make().fit(split.catalog, split.train, **fit_options(split))
    return fitted


def _key(clicks: cs.Interactions) -> str:
    return hashlib.md5(clicks.item_index.tobytes() + clicks.user_index.tobytes()).hexdigest()


def ablation() -> str:
    """Return the table of parts left out."""
    sections = []
    for name in chosen():
        splits, rows = splits_of(name), []
        full = None
        for variant, (make, change) in VARIANTS.items():
            report = cs.evaluate(make, [change(split) for split in splits], K, name=variant, progress=False)
            full = report if full is None else full
            rows.append([variant, *(_cell(report, group) for group in report.groups), *_minus(report, full)])
            print(name, rows[-1], flush=True)
        groups = full.groups
        head = ["variant", *groups, *(f"{group}: difference" for group in groups)]
        sections.append(f"**{name}**, {len(splits)} split{'s' * (len(splits) > 1)}\n\n{table(head, rows)}")
    lead = (
        f"N@{K}, item-cold, clean candidates; the differences are to the first row (paired user bootstrap; * where p < .05 "
        "after Holm's correction)."
    )
    return "\n\n".join(["### What each part is worth", lead, *sections])


def dials() -> str:
    """Return the curves of ``novelty`` and of ``popularity``."""
    curves: dict[str, list[list[str]]] = {"novelty": [], "popularity": []}
    for name in chosen():
        splits = splits_of(name)
        fitted = _fit_all(_hybrid, splits, {})
        for dial, values in (("novelty", NOVELTIES), ("popularity", POPULARITIES)):
            reports = [
                _evaluated(Kept(fitted, **{"novelty": 0.0, "popularity": 1.0, dial: v}), splits, "overall")
                for v in values
            ]
            curves[dial].append(
                [name, *(f"{r.value('ndcg', K):.4f} ({r.value('cold_exposure', K):.2f})" for r in reports)]
            )
            print(curves[dial][-1], flush=True)
    parts = [
        table(["set", *(f"{v:+.2f}" for v in values)], curves[dial])
        for dial, values in (("novelty", NOVELTIES), ("popularity", POPULARITIES))
    ]
    return "\n\n".join(
        [
            "### What the dials do",
            f"Overall N@{K} with clean candidates by `novelty`, and in brackets the share of new items in the lists:",
            parts[0],
            "The same by `popularity`:",
            parts[1],
        ]
    )


def _evaluated(method: Any, splits: Sequence[cs.splits.Split], group: str) -> cs.Report:
    return cs.evaluate(method, splits, K, [group], name="", progress=False)


def _hybrid() -> cs.Recommender:
    return ours(ranker=cs.HybridRanker())


def users() -> str:
    """Return what new users get by the clicks they tell."""
    counts, sections = (1, 3, 5, 10), []
    for name in chosen():
        catalog, clicks = clicked(name)
        kept: dict[str, dict[str, cs.Recommender]] = {}
        rows = [[method] for method in _user_methods(name)]
        for k in counts:
            splits = [
                cs.splits.k_click(catalog, clicks, k=k, test=0.2, validation=0.0, rng=seed) for seed in seeds_of(name)
            ]
            for row, (method, make) in zip(rows, _user_methods(name).items(), strict=True):
                fitted = _fit_all(make, splits, kept.setdefault(method, {}))
                report = _evaluated(Kept(fitted), splits, "overall")
                row.append(_cell(report, "overall"))
        print(name, rows, flush=True)
        sections.append(
            f"**{name}**, {len(seeds_of(name))} split{'s' * (name != LARGE)}\n\n{table(['method', *(_clicks(k) for k in counts)], rows)}"
        )
    lead = (
        f"20 % of the users are held out completely; k of their clicks are given in the request. N@{K} of their other clicks, "
        "with all items ranked."
    )
    return "\n\n".join(["### New users", lead, *sections])


def _user_methods(name: str) -> Mapping[str, Callable[[], cs.Recommender]]:
    return {
        "popularity": baselines.popularity,
        "text": partial(ours, ranker=cs.CosineRanker()),
        "EASE": partial(baselines.ease, EASE_L2[name]),
        "iALS": baselines.ials,
        "HybridRanker": _hybrid,
    }


def items() -> str:
    """Return how new items fare as they get their first clicks."""
    counts, sections = (0, 1, 2, 5, 10), []
    for name in chosen():
        catalog, clicks = clicked(name)
        methods = {"content alone": partial(ours, ranker=ContentAlone()), **_user_methods(name)}
        rows = [[method] for method in methods]
        for k in counts:
            splits = [cs.splits.warm_up(catalog, clicks, k=k, rng=seed) for seed in seeds_of(name)]
            for row, make in zip(rows, methods.values(), strict=True):
                row.append(_cell(cs.evaluate(make, splits, K, ["cold"], progress=False), "cold"))
        print(name, rows, flush=True)
        sections.append(
            f"**{name}**, {len(seeds_of(name))} split{'s' * (name != LARGE)}\n\n{table(['method', *(_clicks(k) for k in counts)], rows)}"
        )
    lead = (
        f'10 % of the items with at least 15 clicks keep only k of them. N@{K} among these items. "Content alone" is the '
        'regression on text, as if no item had clicks of its own; "text" is the cosine.'
    )
    return "\n\n".join(["### New items with their first clicks", lead, *sections])


def updates() -> str:
    """Return how much lists differ between an update and a new fit."""
    rows = []
    for name in ("ml-latest-small", "amazon-office-2014"):
        catalog, clicks = clicked(name)
        order = np.random.default_rng(0).permutation(len(clicks))
        whole = _hybrid().fit(catalog, clicks, check=False)
        users = list(whole.fitted.users)[:500]
        for share in (0.01, 0.1):
            cut = round(share * len(clicks))
            partly = _hybrid().fit(catalog, clicks.take(np.sort(order[cut:])), check=False)
            partly.update(clicks.take(np.sort(order[:cut])))
            lists = [rec.recommend_many(users=users, k=K).item_ids for rec in (partly, whole)]
            overlap = np.mean([len(set(one) & set(other)) / K for one, other in zip(*lists, strict=True)])
            rows.append([name, f"{share:.0%}", f"{overlap:.3f}"])
            print(rows[-1], flush=True)
    lead = f"Share of the {K} items that lists of an updated recommender and of one fitted again on all clicks have in common."
    return "\n\n".join(["### Updates without a fit", lead, table(["set", "new clicks", f"overlap@{K}"], rows)])


def _clicks(count: int) -> str:
    return f"{count} click{'s' * (count != 1)}"


def _cell(report: cs.Report, group: str) -> str:
    row = report.row("ndcg", K, group)
    return f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"


def _minus(report: cs.Report, full: cs.Report) -> list[str]:
    if report is full:
        return [""] * len(full.groups)
    rows = report.compare(full, ["ndcg"], K).rows
    return [f"{row.difference:+.4f}{'*' if row.p < 0.05 else ''}" for row in rows]


SECTIONS = {"ablation": ablation, "dials": dials, "users": users, "items": items, "updates": updates}


@cache
def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure, keep, print, and write when asked to."""
    PLACE.mkdir(parents=True, exist_ok=True)
    if not arguments().tables:
        for name in arguments().only:
            (PLACE / f"{name}.md").write_text(SECTIONS[name](), encoding="utf-8")
    kept = [PLACE / f"{name}.md" for name in SECTIONS]
    parts = [path.read_text(encoding="utf-8") for path in kept if path.exists()]
    text = "\n\n".join(["## HybridRanker, part by part", circumstances(SETS), *parts])
    print(text)
    if arguments().write:
        write_section("hybrid", text)


if __name__ == "__main__":
    main()
