"""The track of free-text queries: tags that users typed, with the films they gave them to."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from common import by_key, data_folder, encoder, read_catalog, read_clicks, read_rows, table

import coldstart as cs
from coldstart.metrics import bootstrap, ndcg

K = 20
DATA = "ml-latest-small"


def query_section() -> str:
    """Return the table of queries."""
    relevant = typed_tags()
    tags = reporting_half(relevant)
    films = [relevant[tag] for tag in tags]
    rows = [[name, _cell(_lists(rec, tags), films)] for name, rec in recommenders().items()]
    return "\n\n".join(
        [
            "### Queries: tags that MovieLens users typed, all 9,742 films ranked",
            f"No clicks are used but where it says so. Popular films get more tags, so popularity is no small baseline. Of the "
            f"{len(relevant):,} tags the half whose MD5 is odd, {len(tags):,}; it was looked at as well while the attention "
            "temperature and the place of centring were chosen on the other half.",
            table(["method", f"N@{K}"], rows),
        ]
    )


def reporting_half(relevant: Iterable[str]) -> list[str]:
    """Return the tags that nothing is chosen on."""
    return [tag for tag in sorted(relevant) if int(hashlib.md5(tag.encode()).hexdigest(), 16) % 2]


def typed_tags() -> dict[str, set[str]]:
    """Return the films of each tag."""
    rows = read_rows(data_folder() / DATA / "tags.tsv.gz")
    pairs = ((row["tag"].lower(), row["item_id"]) for row in rows)
    return dict(by_key(pair for pair in pairs if not pair[0].startswith("in netflix")))


def recommenders() -> dict[str, cs.Recommender]:
    """Return what is compared, fitted."""
    films, one_text = read_catalog(DATA), read_catalog(DATA, ["joined"])
    plain = cs.CosineRanker(center=False)
    made = {
        "TF-IDF, one text": cs.Recommender(cs.TfidfEncoder(), ranker=plain, lexical=None).fit(one_text),
        "one text, not centred (sentence-transformers + numpy)": cs.Recommender(
            encoder(), ranker=plain, lexical=None
        ).fit(one_text),
        "one text": cs.Recommender(encoder(), ranker=cs.CosineRanker()).fit(one_text),
        "ConcatFuser": cs.Recommender(encoder(), ranker=cs.CosineRanker()).fit(films),
        "WeightedFuser": cs.Recommender(encoder(), cs.WeightedFuser(), cs.CosineRanker()).fit(films),
        "AttentionFuser": cs.Recommender(encoder(), cs.AttentionFuser(), cs.CosineRanker()).fit(films),
        "`Recommender()`": cs.Recommender(encoder()).fit(films),
        "`Recommender()`, no exact words": cs.Recommender(encoder(), lexical=None).fit(films),
        "`Recommender()` with clicks of others": cs.Recommender(encoder()).fit(films, read_clicks(DATA), check=False),
        "`Recommender()` with clicks of others, popularity 0": cs.Recommender(
            encoder(), ranker=cs.HybridRanker(popularity=0.0)
        ).fit(films, read_clicks(DATA), check=False),
    }
    popular = cs.baselines.popularity().fit(films, read_clicks(DATA), check=False)
    return {"popularity": popular, **made}


def _lists(rec: cs.Recommender, tags: Sequence[str]) -> list[list]:
    return rec.recommend_many([cs.Request(query=tag) for tag in tags], k=K, exclude_seen=False).item_ids


def _cell(lists: list[list], relevant: Sequence[set[str]]) -> str:
    found = bootstrap(np.asarray(ndcg(lists, relevant, K)))
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"
