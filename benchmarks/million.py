"""From ten thousand to a million clicks: HybridRanker on synthetic data, each fit in a process of its own.

python benchmarks/million.py [--write] [--clicks N ...]

With --write the table goes into docs/benchmarks.md. No real data are needed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import ROOT, circumstances, table, write_section
from scipy.sparse import csr_array

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, blocks
from coldstart.base import Features, Users
from coldstart.index.topk import top_k
from coldstart.metrics import ndcg
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.popularity import PopularityRanker

CLICKS = (10_000, 100_000, 1_000_000)
PER_USER, USERS_PER_ITEM = 10, 2
"""Ten clicks per user, two users per item: 100,000 users and 50,000 items at a million clicks."""

TRUE_DIM, TEXT_DIM = 32, 384
TASTE, SKEW, NOISE = 3.0, 1.2, 1.0
"""Spreads: of a user's log-odds over items, of the log-popularity of items, of the noise in texts beside their truth."""

LOOKED_AT = 1_000
"""Items, drawn by popularity, that a user chooses from."""

HELD = 0.1
ASKED, K = 1_000, 20
NONE = np.empty(0, dtype=np.int64)
RANKERS = {"HybridRanker": HybridRanker, "PopularityRanker": PopularityRanker, "CosineRanker": CosineRanker}


@dataclass(frozen=True)
class World:
    """Clicks to learn from and clicks held out, both (m, n), what is known of the items, and the truth.

    The log-odds that a user picks an item are ``users @ items.T``: taste, and the popularity of the item.
    """

    train: Csr
    held: Csr
    features: Features
    users: FloatArray
    items: FloatArray


def world(n_clicks: int, rng: np.random.Generator) -> World:
    """Return about ``n_clicks`` clicks by a low-rank taste and popularity, and texts that tell of the taste."""
    n_users = n_clicks // PER_USER
    n_items = n_users // USERS_PER_ITEM
    users = TASTE * rng.standard_normal((n_users, TRUE_DIM), dtype=np.float32) / np.float32(np.sqrt(TRUE_DIM))
    items = rng.standard_normal((n_items, TRUE_DIM), dtype=np.float32)
    popular = SKEW * rng.standard_normal((n_items, 1), dtype=np.float32)
    clicks = chosen(users, items, popular[:, 0], rng).tocoo()
    held = rng.random(clicks.nnz) < HELD
    texts = items @ rng.standard_normal((TRUE_DIM, TEXT_DIM), dtype=np.float32) / np.float32(np.sqrt(TRUE_DIM))
    texts += NOISE * rng.standard_normal(texts.shape, dtype=np.float32)
    truth = np.hstack([users, np.ones_like(users[:, :1])]), np.hstack([items, popular])
    return World(_some(clicks, ~held), _some(clicks, held), Features(texts), *truth)


def chosen(users: FloatArray, items: FloatArray, popular: FloatArray, rng: np.random.Generator) -> Csr:
    """Return the clicks (m, n): of the items that each user looks at, those with the largest noisy taste."""
    ends = np.cumsum(np.exp(popular.astype(np.float64)))
    counts = np.minimum(rng.geometric(1 / PER_USER, len(users)), LOOKED_AT // 2)
    rows, columns = [], []
    for block in blocks(len(users), 200):
        drawn = np.sort(rng.random((len(users[block]), LOOKED_AT)), axis=1)
        shown = np.searchsorted(ends, ends[-1] * drawn)
        wish = np.matmul(items[shown], users[block, :, None])[:, :, 0] + rng.gumbel(size=shown.shape)
        wish[:, 1:][shown[:, 1:] == shown[:, :-1]] = -np.inf  # the same item again
        order = np.take_along_axis(shown, np.argsort(-wish, axis=1), axis=1)
        taken = np.arange(LOOKED_AT) < counts[block, None]
        rows.append(block.start + np.nonzero(taken)[0])
        columns.append(order[taken])
    pairs = np.concatenate(rows), np.concatenate(columns)
    clicks = csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=(len(users), len(items)))
    clicks.data[:] = 1.0
    return clicks


def _some(clicks: Any, part: BoolArray) -> Csr:
    return csr_array((clicks.data[part], (clicks.row[part], clicks.col[part])), shape=clicks.shape)


def measure(n_clicks: int, name: str) -> dict[str, Any]:
    """Fit a ranker, ask it for the top of some users, and return what it cost and found."""
    data = world(n_clicks, np.random.default_rng(0))
    ranker, before = RANKERS[name](), _peak()
    started = time.perf_counter()
    ranker.fit(data.features, data.train)
    fitted = time.perf_counter()
    known = np.flatnonzero(np.diff(data.train.indptr) * np.diff(data.held.indptr))
    asked = np.sort(np.random.default_rng(0).permutation(known)[:ASKED])
    history, held = csr_array(data.train[asked]), csr_array(data.held[asked])
    answers, asking = answered(ranker, data.features, history), time.perf_counter() - fitted
    peak, clicked = _peak(), np.asarray(data.train.sum(axis=0)) > 0
    among = answered(ranker, data.features, history, np.flatnonzero(~clicked))
    users = data.users[asked]
    best = top_k(lambda block: users[block] @ data.items.T, *history.shape, K, exclude=_rows(history))
    return {
        "clicks": data.train.nnz + data.held.nnz,
        "users": data.train.shape[0],
        "items": data.train.shape[1],
        "rung": rung(ranker),
        "fit": fitted - started,
        "answers": len(asked) / asking,
        "before": before,
        "peak": peak,
        "ndcg": _ndcg(answers, held),
        "ndcg_known": _ndcg(among, csr_array(held.multiply(clicked))),
        "ndcg_truth": _ndcg(list(best.positions), held),
    }


def answered(ranker: Any, features: Features, history: Csr, without: IntArray = NONE) -> list[IntArray]:
    """Return the positions of the best unseen items for each history, some items left out."""
    nothing = np.zeros((history.shape[0], features.dense.shape[1]), dtype=np.float32)

    def scores_of(block: slice) -> FloatArray:
        texts, told = Features(nothing[block]), csr_array(history[block])
        scores: FloatArray = ranker.score(Users(told, csr_array(told.shape, dtype=np.float32), texts, texts), features)
        return scores

    exclude = [np.append(row, without) for row in _rows(history)]
    return list(top_k(scores_of, *history.shape, K, exclude=exclude).positions)


def rung(ranker: Any) -> str:
    """Return how the collaborative part was learned."""
    if not isinstance(ranker, HybridRanker):
        return ""
    collaborative = ranker.blend_.collaborative
    return "prior alone" if collaborative is None else str(collaborative.method)


def _ndcg(answers: list[IntArray], wanted: Csr) -> float:
    return float(np.nanmean(ndcg(answers, _rows(wanted), K)))


def _rows(clicks: Csr) -> list[IntArray]:
    return np.split(clicks.indices, clicks.indptr[1:-1])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def section(sizes: list[int]) -> str:
    """Return the table with its circumstances."""
    head = ["clicks", "users", "items", "model", "fit s", "answers/s", "peak MB", "MB before fit"]
    rows = []
    for n_clicks in sizes:
        found = {name: in_own_process(n_clicks, name) for name in RANKERS}
        ours = found["HybridRanker"]
        rows.append(
            [f"{ours[key]:,}" for key in ("clicks", "users", "items")]
            + [ours["rung"], f"{ours['fit']:.1f}"]
            + [f"{ours[key]:,.0f}" for key in ("answers", "peak", "before")]
            + [f"{one['ndcg']:.4f} / {one['ndcg_known']:.4f}" for one in found.values()]
            + [f"{ours['ndcg_truth']:.4f}"]
        )
    return "\n\n".join(
        [
            "## A million clicks",
            f"Synthetic data: tastes of {TRUE_DIM} dimensions, log-normal popularity, and text vectors of {TEXT_DIM} numbers that "
            f"are a random map of the taste plus as much noise. {HELD:.0%} of the clicks are held out. N@{K} of up to {ASKED:,} "
            'users, ranking all items / only items with training clicks; "truth" ranks by the log-odds from which the clicks '
            "were drawn. Written by `python benchmarks/million.py --write`.",
            circumstances([]).strip(),
            table([*head, *(f"{name} N@{K}" for name in RANKERS), f"truth N@{K}"], rows),
        ]
    )


def in_own_process(n_clicks: int, name: str) -> dict[str, Any]:
    """Return what ``measure`` finds in a fresh process, whose peak memory is its own."""
    command = [sys.executable, __file__, "--one", str(n_clicks), name]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{n_clicks:,} clicks, {name}: {found}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("CLICKS", "RANKER"))
    parser.add_argument("--clicks", nargs="*", type=int, default=list(CLICKS))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        return print(json.dumps(measure(int(arguments.one[0]), arguments.one[1])))
    text = section(arguments.clicks)
    print(text)
    return write_section("million", text) if arguments.write else None


if __name__ == "__main__":
    main()
