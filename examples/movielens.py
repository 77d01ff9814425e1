"""Real MovieLens: lists to read, and how good they are for new films and for known ones.

python examples/movielens.py --data DIR

DIR holds the official files (movies.csv, ratings.csv) or items.tsv.gz and interactions.tsv.gz with columns
item_id, title, text, categories and user_id, item_id, rating, timestamp.
"""

import argparse
from pathlib import Path

import numpy as np

import coldstart as cs
from coldstart.data.tables import read_columns

K = 10


def read(folder: Path) -> tuple[cs.Catalog, cs.Interactions]:
    """Return the films and the ratings of at least 4."""
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
    columns = {name: np.array(ratings[name])[liked] for name in names}
    user, item, time = names
    columns[time] = columns[time].astype(float)  # a CSV holds text; these are seconds since 1970
    return catalog, cs.Interactions.from_frame(columns, user=user, item=item, time=time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of MovieLens files")
    catalog, likes = read(parser.parse_args().data)
    split = cs.splits.item_cold(catalog, likes, validation=0.0, test=0.2)
    print(f"{catalog}\n{split}\n")

    encoder = cs.TextEncoder()
    rec = cs.Recommender(encoder).fit(split.catalog, split.train, check=False)
    print(f"What each field counts, learned from the clicks: {rec.fuser_.weights_}\n")
    print(f"For the query 'heist gone wrong':\n{rec.recommend(query='heist gone wrong', k=5)}\n")
    user = split.train.users[0]
    print(f"For user {user}:\n{rec.recommend(user=user, k=5)}\n")
    print(f"Like {catalog.columns['title'][0]}:\n{rec.similar_items(catalog.ids[0], k=5)}\n")

    print("New films (cold), known ones (warm), and all in one list (overall):")
    for name, made in {
        "text": cs.Recommender(encoder, ranker=cs.CosineRanker()),
        "text and clicks": cs.Recommender(encoder),
        "EASE, clicks alone": cs.baselines.ease(),
        "popularity": cs.baselines.popularity(),
    }.items():
        print(f"\n{cs.evaluate(made, split, k=K, name=name, progress=False)}")


if __name__ == "__main__":
    main()
