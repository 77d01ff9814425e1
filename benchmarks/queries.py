"""Requests in words, from a tag to a sentence: which items they find, beside the few lines one would write by hand.

python benchmarks/queries.py [--write]
"""

import argparse
import csv
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import (
    by_key,
    circumstances,
    data_folder,
    encoder,
    read_catalog,
    read_clicks,
    read_rows,
    table,
    write_section,
)
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.encoders._texts import words_of
from coldstart.metrics import bootstrap, ndcg, precision

K = 20
FILMS, SHOP = "ml-latest-small", "amazon-office-2014"
FRAMES = (
    "a {} film",
    "something {}",
    "I am in the mood for a movie about {}",
    "can you recommend me something {} for tonight?",
    "a good film with {} that is not too long",
)
SYNONYMS = dict(
    pair.split("/")
    for pair in [
        "pen/ballpoint",
        "notebook/notepad",
        "folder/binder",
        "envelope/mailer",
        "marker/felt-tip",
        "tape/adhesive",
        "phone/telephone",
        "printer/printing",
        "scissors/shears",
        "label/sticker",
        "paper/sheets",
        "desk/table",
        "chair/seat",
        "calculator/adding",
        "bag/pouch",
        "box/carton",
        "holder/stand",
        "organizer/sorter",
        "stapler/stapling",
        "pencil/crayon",
        "pack/set",
        "black/dark",
        "large/big",
        "small/little",
        "color/colour",
        "wireless/cordless",
        "cartridge/refill",
        "laptop/computer",
        "calendar/planner",
        "clip/fastener",
        "eraser/rubber",
        "board/panel",
        "document/file",
        "storage/keeping",
        "business/office",
        "photo/picture",
        "magnetic/magnet",
        "cover/sleeve",
        "portable/mobile",
    ]
)
"""Words of titles of the shop, and others for them; written for this benchmark."""


@dataclass(frozen=True)
class Track:
    """Requests and what answers them; ``measure`` gives a number for each list.

    ``likes`` are items that the request names; ``clicks`` says that those of others are known.
    """

    catalog: cs.Catalog
    queries: Sequence[str]
    relevant: Sequence[set]
    measure: Callable[[list, Sequence[set]], np.ndarray]
    depth: int = K
    likes: Sequence[Sequence] = field(default=())
    clicks: cs.Interactions | None = None


def reporting_half(keys: Iterable[str]) -> list[str]:
    """Return the keys that nothing is chosen on."""
    return [key for key in sorted(keys) if int(hashlib.md5(key.encode()).hexdigest(), 16) % 2]


def typed_tags() -> dict[str, set[str]]:
    """Return the films of each tag that MovieLens users typed."""
    rows = read_rows(data_folder() / FILMS / "tags.tsv.gz")
    pairs = ((row["tag"].lower().strip(), row["item_id"]) for row in rows)
    return dict(by_key(pair for pair in pairs if not pair[0].startswith("in netflix")))


def tracks() -> dict[str, Track]:
    """Return all tracks, on their reporting halves."""
    films, clicks, tags = read_catalog(FILMS, ["title", "categories", "text"]), read_clicks(FILMS), typed_tags()
    told = reporting_half(tags)
    framed = [frame.format(tag) for tag in told for frame in FRAMES]
    in_frames = [tags[tag] for tag in told for _ in FRAMES]
    rows = {row["query"]: row for row in read_rows(data_folder() / "redial-films" / "queries.tsv.gz")}
    asked = [rows[query] for query in reporting_half(rows)]
    wanted = [set(row["relevant"].split("|")) for row in asked]
    named = [[item for item in row["likes"].split("|") if item] for row in asked]
    sentences = [row["query"] for row in asked]
    found = {
        "films by genre": _by_genre(),
        "tags": Track(films, told, [tags[tag] for tag in told], _ndcg),
        "tags in sentences": Track(films, framed, in_frames, _ndcg),
        "ReDial": Track(films, sentences, wanted, _ndcg),
        "ReDial, likes": Track(films, sentences, wanted, _ndcg, likes=named),
        "tags, clicks": Track(films, told, [tags[tag] for tag in told], _ndcg, clicks=clicks),
        "tags in sentences, clicks": Track(films, framed, in_frames, _ndcg, clicks=clicks),
        "ReDial, clicks": Track(films, sentences, wanted, _ndcg, clicks=clicks),
        "ReDial, likes and clicks": Track(films, sentences, wanted, _ndcg, likes=named, clicks=clicks),
    }
    return found | {"films without a genre": _without_a_genre()} | _by_title() | _in_the_shop()


INFORMED = {
    "ReDial": ("ReDial, likes", "ReDial, clicks"),
    "ReDial, likes": ("ReDial, likes and clicks",),
    "ReDial, clicks": ("ReDial, likes and clicks",),
    "tags": ("tags, clicks",),
    "tags in sentences": ("tags in sentences, clicks",),
}
"""Tracks, and those that say something true beside: they must not be worse."""


def _by_genre() -> Track:
    films = cs.datasets.films()
    with (Path(__file__).parent / "film_requests.csv").open(encoding="utf-8", newline="") as file:
        genres = {row["request"]: set(row["genres"].split("|")) for row in csv.DictReader(file)}
    of_film = dict(zip(films.ids, (set(cell.split(", ")) for cell in films.columns["genres"]), strict=True))
    asked = reporting_half(genres)
    relevant = [{film for film, own in of_film.items() if own & genres[request]} for request in asked]
    return Track(films, asked, relevant, lambda lists, wanted: np.asarray(precision(lists, wanted, 5)), 5)


def _without_a_genre() -> Track:
    """Bundled films of one genre and not of another."""
    films = cs.datasets.films()
    of_film = dict(zip(films.ids, (set(cell.split(", ")) for cell in films.columns["genres"]), strict=True))
    wanted = {
        "comedy": "a funny film",
        "romance": "a love story",
        "crime": "a gangster film",
        "drama": "a moving drama",
        "adventure": "an epic journey",
        "horror": "a scary movie",
    }
    denied = {
        "comedy": "comedy",
        "romance": "romance",
        "war": "war",
        "horror": "horror",
        "music": "musicals",
        "animation": "cartoons",
        "crime": "crime",
        "western": "westerns",
    }
    asked = {}
    for genre, text in wanted.items():
        for other, word in denied.items():
            both = sum(genre in own and other in own for own in of_film.values())
            answers = {film for film, own in of_film.items() if genre in own and other not in own}
            if other != genre and both >= 3:
                asked |= {
                    frame.format(text, word): answers for frame in ("{}, no {}", "{} but not {}", "{} without {}")
                }
    queries = reporting_half(asked)
    return Track(
        films,
        queries,
        [asked[query] for query in queries],
        lambda lists, want: np.asarray(precision(lists, want, 5)),
        5,
    )


def _by_title() -> dict[str, Track]:
    """Bundled films by parts of their titles."""
    films, rng = cs.datasets.films(), np.random.default_rng(0)
    parts = [_some_words(title, 2, rng) for title in films.columns["title"]]
    asked = {
        "two words of a title": parts,
        "one letter wrong": [_misspelled(text, rng, 1) for text in parts],
        '"the movie called .."': [f"the movie called {title}" for title in films.columns["title"]],
    }
    return {name: Track(films, queries, [{i} for i in films.ids], _mrr, 100) for name, queries in asked.items()}


def _in_the_shop() -> dict[str, Track]:
    """Goods by words of their titles, in other words and orders, and by codes that one item alone has."""
    goods, rng = read_catalog(SHOP), np.random.default_rng(0)
    titles = dict(zip(goods.ids, goods.columns["title"], strict=True))
    known = [item for item in reporting_half(titles) if len(words_of(titles[item] or "")) >= 4]
    texts = {item: _some_words(titles[item], 4, rng) for item in known}
    other = {item: " ".join(SYNONYMS.get(word, word) for word in text.split()) for item, text in texts.items()}
    changed = [item for item in known if other[item] != texts[item]]
    whole = [
        set(words_of(" ".join(cell or "" for cell in row)))
        for row in zip(*(goods.columns[f] for f in goods.fields), strict=True)
    ]
    held = by_key((word, item) for item, words in zip(goods.ids, whole, strict=True) for word in words)
    codes = [
        word for word in reporting_half(held) if len(held[word]) == 1 and len(word) > 2 and any(map(str.isdigit, word))
    ]
    asked = {
        "shop: other words": ([other[item] for item in changed], [{item} for item in changed]),
        "shop: 1 of 8 letters wrong": (
            [_misspelled(texts[i], rng, len(texts[i]) // 8) for i in known],
            [{i} for i in known],
        ),
        "shop: other order": ([" ".join(rng.permutation(texts[i].split())) for i in known], [{i} for i in known]),
        "shop: whole titles": ([titles[item] for item in known], [{item} for item in known]),
        "shop: codes": (codes[:400], [held[word] for word in codes[:400]]),
    }
    return {name: Track(goods, queries, relevant, _mrr, 100) for name, (queries, relevant) in asked.items()}


def _some_words(title: str, count: int, rng: np.random.Generator) -> str:
    words = words_of(title)
    return " ".join(words[at] for at in sorted(rng.choice(len(words), min(count, len(words)), replace=False)))


def _misspelled(text: str, rng: np.random.Generator, count: int) -> str:
    letters = list(text)
    for at in rng.choice(np.flatnonzero([letter != " " for letter in letters]), max(count, 1), replace=False):
        letters[at] = rng.choice([letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter != letters[at]])
    return "".join(letters)


def _ndcg(lists: list, relevant: Sequence[set]) -> np.ndarray:
    return np.asarray(ndcg(lists, relevant, K))


def _mrr(lists: list, relevant: Sequence[set]) -> np.ndarray:
    ranks = [
        next((1 / rank for rank, item in enumerate(row, 1) if item in want), 0.0)
        for row, want in zip(lists, relevant, strict=True)
    ]
    return np.array(ranks)


class Rivals:
    """The few lines one would write by hand, as matrices of scores (n_queries, n_items)."""

    def __init__(self, track: Track) -> None:
        self.track, catalog = track, track.catalog
        rows = zip(*(catalog.columns[name] for name in catalog.fields), strict=True)
        self.texts = [". ".join(cell for cell in row if cell) for row in rows]

    def scores(self) -> dict[str, np.ndarray]:
        """Return the scores of each rival."""
        four, words = self.four_lines(), self.bm25()
        found = {
            "four lines of sentence-transformers": four,
            "BM25": words,
            "reciprocal rank fusion of both": _fused(four, words),
        }
        if self.track.clicks is not None:
            counts = self.clicks().sum(axis=0)
            spread = four.std(axis=1, keepdims=True)
            likes = 30 * self.ease() if self.track.likes else 0.0
            found["numpy: cosine + log clicks" + (" + EASE" if self.track.likes else "")] = (
                four / spread + np.log(counts + 0.5) + likes
            )
        return found

    def four_lines(self) -> np.ndarray:
        """Return cosines of the queries with one text of all fields."""
        return encoder().encode(list(self.track.queries)) @ encoder().encode(self.texts).T

    def bm25(self, k1: float = 1.2, b: float = 0.75) -> np.ndarray:
        """Return BM25 (Robertson and Zaragoza 2009), all words counting."""
        docs, queries = ([words_of(text) for text in texts] for texts in (self.texts, self.track.queries))
        column = {word: at for at, word in enumerate(sorted({word for doc in docs for word in doc}))}
        counts, asked = (_counted(rows, column) for rows in (docs, queries))
        lengths, held = counts.sum(axis=1), np.bincount(counts.indices, minlength=len(column))
        base = k1 * (1 - b + b * lengths / lengths.mean())
        counts.data = counts.data * (k1 + 1) / (counts.data + np.repeat(base, np.diff(counts.indptr)))
        return (asked.multiply(np.log1p((len(docs) - held + 0.5) / (held + 0.5))).tocsr() @ counts.T).toarray()

    def clicks(self) -> np.ndarray:
        """Return who clicked what, (n_users, n_items)."""
        table = self.track.clicks
        item = self.track.catalog.positions(table.items)[table.item_index]
        matrix = csr_array((np.ones(len(item)), (table.user_index, item)), shape=(len(table.users), len(self.texts)))
        return matrix.minimum(1).toarray()

    def ease(self, l2: float = 300.0) -> np.ndarray:
        """Return what EASE (Steck 2019) says of the likes."""
        clicks = self.clicks()
        warm = np.flatnonzero(clicks.any(axis=0))
        inverse = np.linalg.inv(clicks[:, warm].T @ clicks[:, warm] + l2 * np.eye(len(warm)))
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        history = np.zeros((len(self.track.queries), len(self.texts)))
        for row, items in enumerate(self.track.likes):
            history[row, self.track.catalog.positions(items)] = 1.0
        found = np.zeros_like(history)
        found[:, warm] = history[:, warm] @ weights
        return found


def _counted(rows: Sequence[Sequence[str]], column: Mapping[str, int]) -> csr_array:
    pairs = [(at, column[word]) for at, row in enumerate(rows) for word in row if word in column]
    at, to = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return csr_array((np.ones(len(at)), (at, to)), shape=(len(rows), len(column)))


def _fused(*scores: np.ndarray) -> np.ndarray:
    return sum(1 / (60 + (-one).argsort(axis=1, kind="stable").argsort(axis=1)) for one in scores)


def lists_of(scores: np.ndarray, track: Track) -> list[list]:
    """Return the best items by scores, without the likes."""
    scores = np.array(scores)
    for row, items in enumerate(track.likes):
        scores[row, track.catalog.positions(items)] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, : track.depth]
    return [[track.catalog.ids[at] for at in row] for row in best]


def recommenders(track: Track) -> dict[str, cs.Recommender]:
    """Return ours, fitted."""
    made = {
        "`CosineRanker`, no words": cs.Recommender(encoder(), ranker="cosine", lexical=False),
        "**`Recommender()`**": cs.Recommender(encoder()),
    }
    if track.clicks is not None:
        made = {"popularity": cs.baselines.popularity()} | made
    return {name: rec.fit(track.catalog, track.clicks, check=False) for name, rec in made.items()}


def measured(track: Track, fitted: dict) -> dict[str, np.ndarray]:
    """Return what each method comes to on each request."""
    key = (id(track.catalog), track.clicks is not None)
    if key not in fitted:
        fitted[key] = recommenders(track)
    lists = {name: lists_of(scores, track) for name, scores in Rivals(track).scores().items()}
    likes = track.likes or [()] * len(track.queries)
    requests = [cs.Request(query=query, history=items) for query, items in zip(track.queries, likes, strict=True)]
    for name, rec in fitted[key].items():
        lists[name] = rec.recommend_many(requests, k=track.depth).item_ids
    return {name: track.measure(found, track.relevant) for name, found in lists.items()}


def latency() -> str:
    """Return the table of times of one request, in a process of one thread."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, __file__, "--latency"], capture_output=True, text=True, check=True, env=env)
    return run.stdout.strip()


def timed() -> str:
    """Time one request without the encoder's part: vectors are drawn, 384 numbers of two fields."""

    class Drawn:
        def encode(self, values, /):
            return np.stack(
                [np.random.default_rng(len(v) * 1009 + sum(map(ord, v))).standard_normal(384) for v in values]
            ).astype(np.float32)

    films, rows = read_catalog(FILMS, ["title", "text"]), []
    for n_items in (10_000, 100_000):
        at = np.arange(n_items) % len(films)
        columns = {
            "id": range(n_items),
            "title": [f"{films.columns['title'][row]} {n}" for n, row in enumerate(at)],
            "text": [films.columns["text"][row] for row in at],
        }
        rec = cs.Recommender(Drawn()).fit(columns, id="id", fields=["title", "text"])
        cells = [f"{n_items:,}"]
        for query in (
            "a funny film about space pirates",
            "a funny flim about spaace pirates",
            "something like Heat but not so dark",
        ):
            rec.recommend(query)
            times = []
            for _ in range(25):
                start = time.perf_counter()
                rec.recommend(query)
                times.append(1e3 * (time.perf_counter() - start))
            cells.append(f"{np.median(times):.1f} ({min(times):.1f} to {max(times):.1f})")
        rows.append(cells)
    return table(["items", "a sentence, ms", "with two typos", "with a title and a negation"], rows)


def section() -> str:
    """Return the chapter."""
    found, fitted = {}, {}
    for name, track in tracks().items():
        found[name] = measured(track, fitted)
        print(name, {method: round(float(values.mean()), 4) for method, values in found[name].items()}, flush=True)
    chapters = ["## Requests", INTRODUCTION, circumstances([FILMS, "redial-films", SHOP])]
    for title, names in GROUPS.items():
        methods = dict.fromkeys(method for name in names for method in found[name])
        rows = [[method, *(_cell(found[name].get(method)) for name in names)] for method in methods]
        chapters += [
            f"### {title}",
            table(["method", *(f"{name} ({len(tracks_of(found, name)):,})" for name in names)], rows),
        ]
    steps = [(less, more, *_step(found[less], found[more])) for less, others in INFORMED.items() for more in others]
    chapters += [
        "### What more information adds",
        STEPS,
        table(["known", "more", "gain"], [[less, more, text] for less, more, _, text in steps]),
    ]
    chapters += ["### Time of one request", TIMES, latency()]
    worse = [f"{more} is worse than {less}" for less, more, gain, _ in steps if gain < 0]
    if worse:
        raise SystemExit("; ".join(worse))
    return "\n\n".join(chapters)


def tracks_of(found: Mapping[str, Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    """Return the numbers of a track's requests, of any method."""
    return next(iter(found[name].values()))


def _step(less: Mapping[str, np.ndarray], more: Mapping[str, np.ndarray]) -> tuple[float, str]:
    difference = bootstrap(more["**`Recommender()`**"] - less["**`Recommender()`**"])
    return difference.mean, f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _cell(values: np.ndarray | None) -> str:
    if values is None:
        return ""
    interval = bootstrap(values)
    return f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


GROUPS = {
    "Requests in words, no clicks": (
        "films by genre",
        "films without a genre",
        "tags",
        "tags in sentences",
        "ReDial",
        "ReDial, likes",
    ),
    "Requests in words, with clicks of other users": (
        "tags, clicks",
        "tags in sentences, clicks",
        "ReDial, clicks",
        "ReDial, likes and clicks",
    ),
    "Finding a film by its title": ("two words of a title", "one letter wrong", '"the movie called .."'),
    "Finding a product by its title or code": (
        "shop: other words",
        "shop: 1 of 8 letters wrong",
        "shop: other order",
        "shop: whole titles",
        "shop: codes",
    ),
}
INTRODUCTION = (
    "Each cell is a mean with its 95 % bootstrap interval over requests; the column heads give the number of requests. "
    "*Films by genre*: plain requests to the bundled films (`benchmarks/film_requests.csv`), measured by the share of the "
    "first five films that have the requested genre; *without a genre*: requests such as "
    '"a funny film, no musicals", measured by the share that have the one genre and not the other. *Tags* (N@20): tags '
    "typed by MovieLens users, with all 9,742 films ranked; *in sentences*: the same tags inside five frames such as "
    '"I am in the mood for a movie about ..". *ReDial* (N@20): what people asked another person for, and what that person '
    "recommended; *likes*: the films they named are given as `history`. Titles and products: mean reciprocal rank of the "
    "one right item. All numbers come from the reporting halves (odd MD5); the constants of `rankers/hybrid/reader.py` were "
    "chosen on the other halves of the same tracks, by the geometric mean of their ratios to the best rival. Popular films "
    "get more tags, so popularity is a strong baseline where clicks are known. Written by "
    "`python benchmarks/queries.py --write`."
)
STEPS = "`Recommender()` given more true information; the script fails if a mean falls."
TIMES = (
    "One thread; median of 25 requests (fastest to slowest). Encoding the query is not included: the vectors, 384 numbers "
    "for each of two fields, are drawn at random."
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--latency", action="store_true")
    chosen = parser.parse_args()
    text = timed() if chosen.latency else section()
    print(text)
    if chosen.write:
        write_section("queries", text)
