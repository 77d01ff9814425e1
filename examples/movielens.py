"""Real MovieLens: lists to read, and precision, recall and NDCG on clicks that were held out.

python examples/movielens.py --data DIR

DIR holds the official files (movies.csv, ratings.csv) or items.tsv.gz and interactions.tsv.gz with columns
item_id, title, text, categories and user_id, item_id, rating, timestamp.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import coldstart as cs
from coldstart.data.tables import read_columns

K = 10


def read(folder: Path) -> tuple[cs.Catalog, dict[str, Any]]:
    """Return the films and the ratings of at least 4, as columns user, item, time."""
    if (folder / "movies.csv").is_file():
        films = read_columns(folder / "movies.csv", "movies")
        films["genres"] = [text.replace("|", ", ") for text in films["genres"]]
        catalog = cs.Catalog.from_frame(films, id="movieId", fields=["title", "genres"])
        names, ratings = ("userId", "movieId", "timestamp"), read_columns(folder / "ratings.csv", "ratings")
    else:
        films = read_columns(folder / "items.tsv.gz", "items")
        films["categories"] = [text.replace("|", ", ") for text in films["categories"]]
        catalog = cs.Catalog.from_frame(films, id="item_id", fields=["title", "text", "categories"])
        names, ratings = ("user_id", "item_id", "timestamp"), read_columns(folder / "interactions.tsv.gz", "ratings")
    liked = np.array(ratings["rating"], dtype=float) >= 4
    return catalog, {
        short: np.array(ratings[n])[liked] for short, n in zip(("user", "item", "time"), names, strict=True)
    }


def clicks_of(likes: dict[str, Any], rows: np.ndarray) -> cs.Interactions:
    """Return some of the likes as interactions."""
    return cs.Interactions.from_frame({n: v[rows] for n, v in likes.items()}, user="user", item="item", time="time")


def measure(lists: list[list[str]], held_out: list[set[str]]) -> dict[str, float]:
    """Return precision, recall and NDCG at K, averaged over users."""
    gains = 1 / np.log2(np.arange(2, K + 2))
    hits = [np.array([item in wanted for item in row]) for row, wanted in zip(lists, held_out, strict=True)]
    ideal = [gains[: min(K, len(wanted))].sum() for wanted in held_out]
    return {
        f"precision@{K}": float(np.mean([h.sum() / K for h in hits])),
        f"recall@{K}": float(np.mean([h.sum() / len(w) for h, w in zip(hits, held_out, strict=True)])),
        f"NDCG@{K}": float(np.mean([gains[: len(h)][h].sum() / i for h, i in zip(hits, ideal, strict=True)])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of MovieLens files")
    catalog, likes = read(parser.parse_args().data)
    held = np.random.default_rng(0).random(len(likes["user"])) < 0.2
    train = clicks_of(likes, ~held)
    print(f"{catalog}\n{train} to learn from, {held.sum():,} held out\n")

    rec = cs.Recommender().fit(catalog, train)
    print(f"What each field counts, learned from the clicks: {rec.fuser_.weights_}\n")
    print(f"For the query 'heist gone wrong':\n{rec.recommend(query='heist gone wrong', k=5)}\n")
    user = train.users[0]
    print(f"For user {user}:\n{rec.recommend(user=user, k=5)}\n")
    print(f"Like {catalog.columns['title'][0]}:\n{rec.similar_items(catalog.ids[0], k=5)}\n")

    known = set(train.users)
    wanted: dict[str, set[str]] = {}
    for who, what in zip(likes["user"][held], likes["item"][held], strict=True):
        if who in known:
            wanted.setdefault(who, set()).add(what)
    print(f"Held-out likes of {len(wanted):,} users among all {len(catalog):,} films:")
    for name, model in {"cosine on text": rec, "MLP trained on clicks": trained(catalog, train)}.items():
        lists = model.recommend_many(users=wanted, k=K).item_ids
        print(f"  {name:22}", measure(lists, list(wanted.values())))
    popular = rec.recommend(k=len(catalog)).item_ids[0]
    lists = [[i for i in popular if i not in seen][:K] for seen in seen_by(train, wanted)]
    print(f"  {'popularity':22}", measure(lists, list(wanted.values())))


def trained(catalog: cs.Catalog, clicks: cs.Interactions) -> cs.Recommender:
    """Return the same pipeline with a ranker that learns from the clicks."""
    return cs.Recommender(fuser=cs.WeightedFuser(), ranker=cs.MLPRanker()).fit(catalog, clicks)


def seen_by(clicks: cs.Interactions, users: dict[str, set[str]]) -> list[set[str]]:
    """Return the training items of each user."""
    seen: dict[str, set[str]] = {}
    for user, item in zip(clicks.user_index, clicks.item_index, strict=True):
        seen.setdefault(clicks.users[user], set()).add(clicks.items[item])
    return [seen[user] for user in users]


if __name__ == "__main__":
    main()
