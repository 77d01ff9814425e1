"""Top-10 search: FAISS, numpy, torch and ours in one run; a million vectors; approximate search; shorter vectors.

python benchmarks/search.py [--write] [--only PART ...]

Each part keeps its rows in .cache/search.json; --write puts the section of all kept parts into docs/benchmarks.md.
"""

import argparse
import ctypes
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from common import CACHE, circumstances, table, write_section
from methods import ours
from tracks import item_cold, published

import coldstart as cs

KEPT = CACHE / "search.json"
N, DIM, K = 200_000, 384, 10
BATCHES = {1: 15, 32: 7, 512: 3}
"""Queries in a batch, and how often it is timed."""

Search = Callable[[Any], Any]


def unit(rows: Any) -> Any:
    """Return rows at length one."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_vectors(n: int, rng: np.random.Generator) -> Any:
    """Return directions without structure."""
    return unit(rng.standard_normal((n, DIM), dtype=np.float32))


def clustered_vectors(n: int, rng: np.random.Generator) -> Any:
    """Return 2,000 clusters: a centre and noise of 0.8 times its length, cosines inside about 0.6."""
    centres = random_vectors(2_000, np.random.default_rng(7))
    noise = rng.standard_normal((n, DIM), dtype=np.float32) * np.float32(0.8 / DIM**0.5)
    return unit(centres[rng.integers(0, 2_000, n)] + noise)


VECTORS = {"random": random_vectors, "clustered": clustered_vectors}


def numpy_search(vectors: Any) -> Search:
    """Return what most people write."""

    def search(queries: Any) -> Any:
        found = []
        for start in range(0, len(queries), 32):
            scores = queries[start : start + 32] @ vectors.T
            best = np.argpartition(-scores, K, axis=1)[:, :K] if len(scores) > 1 else _best_of_one(scores)
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            found.append(np.take_along_axis(best, order, 1))
        return np.concatenate(found)

    return search


def _best_of_one(scores: Any) -> Any:
    return np.argpartition(scores, scores.shape[1] - K, axis=1)[:, -K:]


def bf16_search(vectors: Any) -> Search:
    """Return the same in bfloat16 by torch, not exact."""
    stored = torch.from_numpy(vectors).bfloat16()

    def search(queries: Any) -> Any:
        asked = torch.from_numpy(queries).bfloat16()
        return torch.cat([(part @ stored.T).topk(K).indices for part in asked.split(32)]).numpy()

    return search


def ways(vectors: Any) -> dict[str, Search]:
    """Return each way to search, ready."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    plain, codes = cs.ExactIndex("float32").build(vectors), cs.ExactIndex("int8").build(vectors)
    return {
        "FAISS IndexFlatIP": lambda queries: flat.search(queries, K)[1],
        "numpy float32": numpy_search(vectors),
        "torch bfloat16 (not exact)": bf16_search(vectors),
        "ExactIndex float32": lambda queries: plain.search(queries, K).positions,
        "ExactIndex int8": lambda queries: codes.search(queries, K).positions,
    }


def timed(search: Search, queries: Any, repeats: int) -> float:
    """Return the median milliseconds of a search."""
    search(queries)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        search(queries)
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def memory(field: str) -> float:
    """Return a line of this process's status in MB: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def extra_memory(search: Search, queries: Any) -> float:
    """Return by how many MB a search raises the memory in use."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier searches have left
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = memory("VmRSS")
    search(queries)
    return memory("VmHWM") - before


def speed(kind: str, sizes: dict[int, int] = BATCHES) -> list[list[str]]:
    """Time each way on each batch, and compare its ids with the definition."""
    rng = np.random.default_rng(0)
    vectors = VECTORS[kind](N, rng)
    searches, rows = ways(vectors), []
    for m, repeats in sizes.items():
        queries = VECTORS[kind](m, rng)
        times = {name: timed(search, queries, repeats) for name, search in searches.items()}
        true = searches["ExactIndex float32"](queries)
        for name, search in searches.items():
            same = int((search(queries) == true).all(axis=1).sum())
            times_faster = times["FAISS IndexFlatIP"] / times[name]
            cells = [kind, str(m), name, f"{times[name]:.1f}", f"{times_faster:.1f}"]
            rows.append([*cells, f"{extra_memory(search, queries):.0f}", f"{same} of {m}"])
            print(rows[-1], flush=True)
    return rows


def million() -> list[list[str]]:
    """Build on a million vectors and ask one query."""
    rng = np.random.default_rng(0)
    vectors = np.concatenate([random_vectors(100_000, rng) for _ in range(10)])
    start = time.perf_counter()
    index = cs.ExactIndex("int8").build(vectors)
    built = time.perf_counter() - start
    more = random_vectors(1_000, rng)
    start = time.perf_counter()
    index.extended(more)
    grown = time.perf_counter() - start
    queries = random_vectors(1, rng)
    one = timed(lambda asked: index.search(asked, K), queries, 15)
    numpy_one = timed(numpy_search(vectors), queries, 7)
    size = sum(chunk.nbytes for chunk in index.chunks_) / 1e6
    return [[f"{size:.0f}", f"{built:.1f}", f"{1e3 * grown:.0f}", f"{one:.1f}", f"{numpy_one:.1f}"]]


def approximate(n: int = 20_000) -> list[list[str]]:
    """Compare FAISS's approximate indexes with the exact one."""
    rng = np.random.default_rng(0)
    vectors, queries = clustered_vectors(n, rng), clustered_vectors(100, rng)
    true = cs.ExactIndex("int8").build(vectors).search(queries, K).positions
    rows = []
    for index in (cs.ExactIndex("int8"), cs.FaissIndex("hnsw"), cs.FaissIndex("ivf"), cs.FaissIndex("ivf", probes=8)):
        start = time.perf_counter()
        index.build(vectors)
        built = time.perf_counter() - start
        found = index.search(queries, K).positions
        recall = np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, true, strict=True)])
        one, many = (timed(lambda q, index=index: index.search(q, K), queries[:m], 7) for m in (1, 100))
        told = f"{index.recall_:.3f}" if hasattr(index, "recall_") else ""
        rows.append([repr(index), f"{built:.1f}", f"{recall:.3f}", told, f"{one:.2f}", f"{many:.1f}"])
        print(rows[-1], flush=True)
    return rows


def dims(data: str, ranker: type[Any], sizes: tuple[int | None, ...] = (None, 256, 128, 64)) -> list[list[str]]:
    """Measure what shorter vectors cost recommendations."""
    split = (published("coldrec") if data == "citeulike-a" else item_cold(data))[0]
    rows = []
    for how in ("pca", "truncate"):
        for dim in sizes if how == "pca" else sizes[1:]:
            rec = ours(ranker=ranker(), dim=dim, reduction=how)
            frame = cs.evaluate(rec, split, k=20, progress=False).to_frame()
            cells = [_ndcg(frame, group) for group in ("cold", "warm")]
            rows.append([data, ranker.__name__, str(dim or DIM), how if dim else "as it is", *cells])
            print(rows[-1], flush=True)
    return rows


def _ndcg(frame: Any, group: str) -> str:
    rows = frame[(frame["group"] == group) & (frame["metric"].str.lower() == "ndcg")]
    return f"{float(rows['value'].iloc[0]):.4f}" if len(rows) else ""


PARTS: dict[str, Callable[[], list[list[str]]]] = {
    "speed": lambda: speed("random"),
    "clustered": lambda: speed("clustered"),
    "million": million,
    "approximate": approximate,
    "dims cosine": lambda: dims("ml-latest-small", cs.CosineRanker),
    "dims hybrid": lambda: dims("ml-latest-small", cs.HybridRanker),
    "dims citeulike-a": lambda: dims("citeulike-a", cs.CosineRanker),
}


def section(kept: dict[str, list[list[str]]]) -> str:
    """Return the section as Markdown."""
    speeds = ["vectors", "batch", "search", "ms", "times FAISS", "extra MB", "queries with the ids of the reference"]
    ones = ["structure, MB", "build, s", "adding 1,000 rows, ms", "one query, ms", "numpy float32, ms"]
    ways_head = ["index", "build, s", "recall@10", "`recall_`", "1 query, ms", "100 queries, ms"]
    dims_head = ["data", "ranker", "dim", "by", "N@20 cold", "N@20 warm"]
    return f"""## Search

{circumstances(["ml-latest-small", "citeulike-a"])}

`python benchmarks/search.py`. Top 10 of {N:,} unit vectors of {DIM} numbers, {torch.get_num_threads()} threads, medians
of one run. The vectors are random directions, or 2,000 clusters with noise of 0.8 times the length of the centre. The
reference of the last column is the definition of exact search: dot products summed in double precision and rounded to
float32, ties in order of position. Other methods may swap two items whose scores differ in the last bit. On a shared
machine the times are longer, and the ratios for batches of 512 vary from run to run.

{table(speeds, kept.get("speed", []) + kept.get("clustered", []))}

A million random unit vectors, with int8 codes beside the float32 vectors:

{table(ones, kept.get("million", []))}

Approximate search, which is never used unless asked for by name, on 20,000 clustered vectors:

{table(ways_head, kept.get("approximate", [["(not run yet)"] * 6]))}

Shorter vectors, `Recommender(dim=..., reduction=...)`, MiniLM, one item-cold split each. The model was not
trained for truncation:

{table(dims_head, [row for name in PARTS if name.startswith("dims") for row in kept.get(name, [])])}"""


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    asked = parser.parse_args()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for name in asked.only:
        kept[name] = PARTS[name]()
        KEPT.write_text(json.dumps(kept), encoding="utf-8")
    text = section(kept)
    if asked.write:
        write_section("search", text)
    print(text)


if __name__ == "__main__":
    main()
