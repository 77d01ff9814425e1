"""The questions of the benchmark of record: which data, which splits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from common import FIELDS, data_folder, read_catalog, read_clicks, read_rows

import coldstart as cs

SEEDS = (0, 1, 2)
LIGHTFM = ("LightFM, TF-IDF", "LightFM, TF-IDF + ids")
VARIANTS = ("WeightedFuser", "AttentionFuser")
TRAINED = ("MLPRanker",)
CONTROLS = ("random", "permuted text", "TF-IDF k-NN")
DIALS = ("HybridRanker, novelty log(1/2)",)


@dataclass(frozen=True)
class Track:
    """A question asked of many methods.

    Attributes
    ----------
    data, title, note : str
    splits : callable
        Returns the splits; all methods are measured on each.
    without : tuple of str
        Methods that cannot answer it, or take too long.
    """

    data: str
    title: str
    note: str
    splits: Callable[[], list[cs.splits.Split]]
    without: Sequence[str] = ()


def published(protocol: str) -> list[cs.splits.Split]:
    """Return the item-cold split of citeulike-a published with ALDI."""
    rows = read_rows(data_folder() / "citeulike-a" / "split_aldi.tsv.gz")
    columns = {key: [row[key] for row in rows] for key in ("user_id", "item_id")}
    clicks = cs.Interactions.from_frame(columns, user="user_id", item="item_id")
    labels = [row["split"] for row in rows]
    return [cs.splits.from_labels(read_catalog("citeulike-a", ["title"]), clicks, labels, protocol=protocol)]


def clicked(name: str) -> tuple[cs.Catalog, cs.Interactions]:
    """Return the items that somebody clicked, and the clicks: of the others nothing could be right."""
    clicks = read_clicks(name)
    fields = (
        ["title"] if name == "citeulike-a" else FIELDS
    )  # its categories are tags of users, written after the clicks
    return read_catalog(name, fields, among=set(clicks.items)), clicks


def item_cold(name: str) -> list[cs.splits.Split]:
    """Return item-cold splits of our own."""
    catalog, clicks = clicked(name)
    return [cs.splits.item_cold(catalog, clicks, rng=seed) for seed in SEEDS]


def by_time(name: str) -> list[cs.splits.Split]:
    """Return the split at the times that leave 10 % and 20 % of the clicks."""
    return [cs.splits.by_time(*clicked(name), test=0.2, new_users=True)]


def k_click(name: str, k: int) -> list[cs.splits.Split]:
    """Return splits with new users of whom ``k`` clicks are told."""
    catalog, clicks = clicked(name)
    return [cs.splits.k_click(catalog, clicks, k=k, rng=seed) for seed in SEEDS]


def warm_up(name: str, k: int) -> list[cs.splits.Split]:
    """Return splits with new items that have ``k`` clicks each."""
    catalog, clicks = clicked(name)
    return [cs.splits.warm_up(catalog, clicks, k=k, rng=seed) for seed in SEEDS]


def published_time(name: str) -> list[cs.splits.Split]:
    """Return the published split of amazon-office-2018-late: history, valid and test along time."""
    rows = read_rows(data_folder() / name / "split.tsv.gz")
    columns = {key: [row[key] for row in rows] for key in ("user_id", "item_id")}
    clicks = cs.Interactions.from_frame(columns, user="user_id", item="item_id")
    names = {"history": "train", "valid": "validation", "test": "test"}
    labels = [names[row["split"]] for row in rows]
    return [cs.splits.from_labels(read_catalog(name, FIELDS[:2]), clicks, labels, protocol="clean")]


def permuted(split: cs.splits.Split) -> cs.splits.Split:
    """Return the split with the texts of the items dealt out anew: a control that must lose."""
    catalog = split.catalog
    order = np.random.default_rng(0).permutation(len(catalog))
    columns = {name: [values[at] for at in order] for name, values in catalog.columns.items()}
    return replace(split, catalog=cs.Catalog(catalog.ids, catalog.fields, columns, catalog.id_name))


TRACKS = (
    {
        "anchor": Track(
            "citeulike-a",
            "citeulike-a, titles only, published item-cold split",
            'Evaluated as in ColdRec: in "overall" and "cold" the validation items are candidates, but clicks on them count '
            "as misses, so that only half of the cold items that a user clicked are relevant. "
            '"overall-clean" leaves the validation items out and evaluates every user.',
            partial(published, "coldrec"),
            VARIANTS,  # one field: fusers do nothing
        ),
        "aldi": Track(
            "citeulike-a",
            "The same split, evaluated as GAR and ALDI do",
            "The first 2,000 users of each group, with every other known click of theirs masked. This protocol serves only to "
            "compare with numbers published that way (N@20 overall / cold / warm): GAR .0947 / .1260 / .1113, Heater .0752 / .1326 / .1027.",
            partial(published, "aldi"),
            (*CONTROLS, "iALS", "ItemKNN", "implicit ALS", *LIGHTFM, *VARIANTS, *TRAINED, *DIALS),
        ),
        "office": Track(
            "amazon-office-2014",
            f"amazon-office-2014, item-cold, {len(SEEDS)} splits",
            "Title, description and categories. 10 % of the items are cold test items, 10 % are cold validation items; 10 % of "
            "the clicks on all others are the warm test.",
            partial(item_cold, "amazon-office-2014"),
            (LIGHTFM[0], *DIALS),
        ),
        "films": Track(
            "ml-latest-small",
            f"ml-latest-small (ratings of at least 4), item-cold, {len(SEEDS)} splits",
            "Title, overview and genres; only films that somebody liked; split as above.",
            partial(item_cold, "ml-latest-small"),
            (*LIGHTFM, *DIALS),
        ),
        "films by time": Track(
            "ml-latest-small",
            "ml-latest-small, by time",
            "Trained on the first 70 % of the clicks, tested on the last 20 %. Most of these users are new: nothing is known "
            "about them, and all our rankers answer with what is popular. Films that came later are added after the fit; the "
            "peers cannot add items and miss them.",
            partial(by_time, "ml-latest-small"),
            (*LIGHTFM, *TRAINED, *DIALS),  # LightFM knows no new users
        ),
        "office late": Track(
            "amazon-office-2018-late",
            "amazon-office-2018-late, published split by time",
            "Title and description. History, validation and test follow one another in time.",
            partial(published_time, "amazon-office-2018-late"),
            (*LIGHTFM, *DIALS),
        ),
    }
    | {
        f"films {k}-click": Track(
            "ml-latest-small",
            f"ml-latest-small, new users, {k} {'click' if k == 1 else 'clicks'} given, {len(SEEDS)} splits",
            "10 % of the users are held out completely; the clicks are given in the request, the same test clicks for every k.",
            partial(k_click, "ml-latest-small", k),
            (*CONTROLS, "ItemKNN", "implicit ALS", *LIGHTFM, *VARIANTS, *TRAINED, *DIALS),
        )
        for k in (1, 3, 10)
    }
    | {
        f"office {k}-click items": Track(
            "amazon-office-2014",
            f"amazon-office-2014, new items with {k} {'click' if k == 1 else 'clicks'}, {len(SEEDS)} splits",
            "10 % of the items with at least 15 clicks have that many left; the same test clicks for every k.",
            partial(warm_up, "amazon-office-2014", k),
            (*CONTROLS, "iALS", "ItemKNN", "implicit ALS", *LIGHTFM, *VARIANTS, *TRAINED, *DIALS),
        )
        for k in (0, 1, 10)
    }
)
"""All but the queries, which have no clicks to split."""
