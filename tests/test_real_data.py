"""Facts about real data; skipped unless COLDSTART_DATA names the folder that holds it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import coldstart as cs

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
    assert films.missing.sum(axis=0).tolist() == [0, 115, 0] or films.missing[:, 1].sum() > 0
    ratings = FOLDER / "ml-latest-small" / "interactions.tsv.gz"
    clicks = cs.Interactions.from_frame(ratings, user="user_id", item="item_id", weight="rating", time="timestamp")
    assert len(clicks) == 100_836
    assert len(clicks.users) == 610


def test_thousands_of_real_films_answer_in_words_without_a_download(films):
    rec = cs.Recommender(encoder=cs.TfidfEncoder(dim=64)).fit(films)
    found = rec.recommend(query="astronauts stranded in space", k=5)
    texts = " ".join(f"{films.columns['text'][films.ids.index(item)]}".lower() for item in found.item_ids[0])
    assert "space" in texts or "astronaut" in texts


def test_the_movielens_example_beats_popularity_nowhere_in_silence():
    script = Path(__file__).parent.parent / "examples" / "movielens.py"
    assert script.is_file()
    helped = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True)
    assert "--data" in helped.stdout
