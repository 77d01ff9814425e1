"""From no click to many: strangers, known users and old stock, HybridRanker beside its own parts and simple rivals.

COLDSTART_DATA=/path/to/data python benchmarks/first_clicks.py [--write] [--only SECTION ...] [--sets SET ...]
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from common import FIELDS, circumstances, encoder, read_catalog, read_clicks, table, write_section
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.metrics import ndcg
from coldstart.rankers.als import ALSRanker
from coldstart.rankers.ease import EASERanker

K = 20
SETS = ("ml-latest-small", "amazon-office-2014", "citeulike-a")
DRAWS = 5
STRANGERS, LIKES = 150, 3
COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 3_000, 10_000)
SAMPLES = (100, 300, 1_000, 3_000, 10_000, 30_000)
ASKED = 500


class Data(NamedTuple):
    """Items and clicks as arrays."""

    features: cs.Features
    tastes: np.ndarray
    clicks: csr_array


def read(name: str) -> Data:
    """Read a set: all its items, and clicks of ones."""
    catalog, table_ = read_catalog(name, ["title"] if name == "citeulike-a" else FIELDS), read_clicks(name)
    fitted = cs.Recommender(encoder=encoder(), ranker=cs.HybridRanker()).fit(catalog).fitted
    columns = catalog.positions(table_.items)
    pairs = (np.ones(len(table_), np.float32), (table_.user_index, columns[table_.item_index]))
    clicks = csr_array(pairs, shape=(len(table_.users), len(catalog)))
    clicks.data[:] = 1.0
    tastes = cs.CosineRanker().fit(fitted.features).item_vectors(fitted.features)
    return Data(fitted.features, _unit(tastes), clicks)


def as_users(history: csr_array, features: cs.Features) -> cs.Users:
    """Return users of whom a history is known, and nothing else."""
    nothing = cs.Features(np.zeros((history.shape[0], features.dense.shape[1]), np.float32))
    nobody = csr_array(history.shape, dtype=np.float32)
    return cs.Users(history, nobody, nothing, nothing)


def ours(data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    """Return the scores of the default."""
    ranker = cs.HybridRanker().fit(data.features, train if train.nnz else None)
    return ranker.score(as_users(history, data.features), data.features)


def two_lines(data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    """Return 5 cos(item, mean of the likes) + log((clicks + 1) / (mean clicks + 1))."""
    counts = np.asarray(train.sum(axis=0))
    return cosine(data, train, history) * 5 + np.log((counts + 1) / (counts.mean() + 1))


def cosine(data: Data, _: csr_array, history: csr_array) -> np.ndarray:
    """Return the cosine of each item to the mean of the likes."""
    return _unit(history @ data.tastes) @ data.tastes.T


def popularity(data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    """Return the clicks of each item; of equal ones the more like the likes."""
    return np.asarray(train.sum(axis=0))[None] + 1e-3 * cosine(data, train, history)


def ease(data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    """Return the scores of EASE."""
    return _alone(EASERanker(100.0), data, train, history)


def ials(data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    """Return the scores of iALS."""
    return _alone(ALSRanker(), data, train, history)


def _alone(ranker: Any, data: Data, train: csr_array, history: csr_array) -> np.ndarray:
    if not train.nnz:
        return np.zeros(history.shape, np.float32)
    return ranker.fit(data.features, train).score(as_users(history, data.features), data.features)


def strangers(name: str) -> list[list[str]]:
    """Return the curve of people with three likes by the clicks of others."""
    data, methods = read(name), {"HybridRanker": ours, "two lines": two_lines, "popularity": popularity}
    values: dict[tuple[str, int], list[float]] = {}
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        users = rng.permutation(np.flatnonzero(np.diff(data.clicks.indptr) >= LIKES + 3))
        asked, others = users[:STRANGERS], csr_array(data.clicks[users[STRANGERS:]])
        history, relevant = _given(csr_array(data.clicks[asked]), rng)
        order = rng.permutation(others.nnz)
        for count in COUNTS:
            train = _some(others, order[:count])
            for method, scores in methods.items():
                found = _mean(scores(data, train, history), history, relevant)
                values.setdefault((method, count), []).append(found)
    return _rows(values, methods, COUNTS)


def samples(name: str) -> list[list[str]]:
    """Return what known users get after so many clicks drawn at random, all others relevant."""
    data = read(name)
    methods = {"HybridRanker": ours, "popularity": popularity, "EASE": ease, "iALS": ials, "cosine": cosine}
    values: dict[tuple[str, int], list[float]] = {}
    counts = [count for count in SAMPLES if count < 0.7 * data.clicks.nnz]
    for draw in range(DRAWS if name != "citeulike-a" else 2):
        rng = np.random.default_rng(draw)
        order = rng.permutation(data.clicks.nnz)
        for count in counts:
            train, rest = _some(data.clicks, order[:count]), _some(data.clicks, order[count:])
            users = rng.permutation(np.flatnonzero(np.diff(train.indptr) * np.diff(rest.indptr)))[:ASKED]
            candidates = np.unique(train.indices)
            history, relevant = csr_array(train[users]), csr_array(rest[users])
            for method, scores in methods.items():
                found = _mean(scores(data, train, history), history, relevant, candidates)
                values.setdefault((method, count), []).append(found)
    return _rows(values, methods, counts)


def old_stock(name: str) -> list[list[str]]:
    """Return N@20 of items with clicks, every item a candidate, nothing told; and overall with new items told."""
    data, rows = read(name), {}
    for draw in range(3):
        train, warm, cold, new = _item_cold(data.clicks, draw)
        history = csr_array(train)
        told = data._replace(features=replace(data.features, exposure=np.where(new, 0, 1).astype(np.float32)))
        for label, world, scores in (
            ("HybridRanker, told nothing", data, ours),
            ("HybridRanker, new items told", told, ours),
            ("EASE", data, ease),
            ("cosine", data, cosine),
        ):
            found = scores(world, train, history)
            both = csr_array(warm + cold)
            values = [_mean(found, history, part) for part in (warm, both)]
            values += [
                _mean(found, history, cold, np.flatnonzero(new)),
                _mean(found, history, warm, np.flatnonzero(~new)),
            ]
            rows.setdefault(label, []).append(values)
    return [[label, *(f"{v:.4f}" for v in np.mean(values, axis=0))] for label, values in rows.items()]


def _item_cold(clicks: csr_array, seed: int) -> tuple[csr_array, csr_array, csr_array, np.ndarray]:
    """A fifth of the clicked items lose all clicks, and the others a tenth; users with five clicks or more."""
    rng = np.random.default_rng(seed)
    clicks = csr_array(clicks[np.flatnonzero(np.diff(clicks.indptr) >= 5)])
    clicked = np.unique(clicks.indices)
    new = np.zeros(clicks.shape[1], bool)
    new[rng.choice(clicked, len(clicked) // 5, replace=False)] = True
    of_new = new[clicks.indices]
    hidden = ~of_new & (rng.random(clicks.nnz) < 0.1)
    parts = (np.flatnonzero(part) for part in (~of_new & ~hidden, hidden, of_new))
    return *(_some(clicks, part) for part in parts), new


def _given(clicks: csr_array, rng: np.random.Generator) -> tuple[csr_array, csr_array]:
    """Some likes of each user, and the others."""
    at = np.concatenate(
        [
            start + rng.permutation(end - start)[:LIKES]
            for start, end in zip(clicks.indptr, clicks.indptr[1:], strict=False)
        ]
    )
    return _some(clicks, at), _some(clicks, np.setdiff1d(np.arange(clicks.nnz), at))


def _some(clicks: csr_array, at: np.ndarray) -> csr_array:
    pairs = clicks.tocoo()
    return csr_array((pairs.data[at], (pairs.row[at], pairs.col[at])), shape=clicks.shape)


def _mean(scores: np.ndarray, history: csr_array, relevant: csr_array, candidates: np.ndarray | None = None) -> float:
    """NDCG@20 of those for whom something is relevant among the candidates."""
    scores = np.where(history.toarray() > 0, -np.inf, scores)
    if candidates is not None:
        away = np.setdiff1d(np.arange(scores.shape[1]), candidates)
        scores[:, away], relevant = -np.inf, csr_array(relevant[:, candidates] @ _columns(candidates, scores.shape[1]))
    rows = np.flatnonzero(np.diff(relevant.indptr) * np.diff(history.indptr))
    top = np.argpartition(-scores[rows], K - 1, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores[rows], top, axis=1), axis=1, kind="stable")
    wanted = [set(relevant.indices[relevant.indptr[r] : relevant.indptr[r + 1]].tolist()) for r in rows]
    return float(np.nanmean(ndcg(list(np.take_along_axis(top, order, axis=1)), wanted, K)))


def _columns(candidates: np.ndarray, n_items: int) -> csr_array:
    ones = np.ones(len(candidates), np.float32)
    return csr_array((ones, (np.arange(len(candidates)), candidates)), shape=(len(candidates), n_items))


def _rows(values: dict[tuple[str, int], list[float]], methods: Any, counts: Sequence[int]) -> list[list[str]]:
    return [[method, *(_with_error(values[method, count]) for count in counts)] for method in methods]


def _with_error(values: Sequence[float]) -> str:
    """The mean and its interval over the draws."""
    return f"{np.mean(values):.4f} ± {1.96 * np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


SECTIONS = {
    "strangers": (
        strangers,
        COUNTS,
        f"N@{K} of new users who give {LIKES} likes and nothing else, by the number of clicks of other users; {DRAWS} draws "
        f'of {STRANGERS} users; all items are candidates. "Two lines" is 5 cos + log((clicks + 1) / (mean + 1)).',
    ),
    "samples": (
        samples,
        SAMPLES,
        f"N@{K} of known users after training on so many randomly drawn clicks, with their other clicks relevant, among "
        f"items with clicks; {DRAWS} draws (citeulike-a 2) of {ASKED} users.",
    ),
    "old stock": (
        old_stock,
        ("warm, every item a candidate", "overall, every item a candidate", "cold", "warm"),
        f"N@{K} where a fifth of the items have lost all clicks, beside old stock that never had any; 3 splits.",
    ),
}


TITLES = {"strangers": "new users", "samples": "known users", "old stock": "old stock"}


def sections(only: Sequence[str], sets: Sequence[str]) -> Iterator[str]:
    """Return the tables."""
    for section in only:
        measure, head, lead = SECTIONS[section]
        yield f"### First clicks: {TITLES[section]}\n\n{lead}"
        for name in sets:
            rows = measure(name)
            print(name, *rows, sep="\n", flush=True)
            yield f"**{name}**\n\n{table(['method', *map(str, head[: len(rows[0]) - 1])], rows)}"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    given = parser.parse_args()
    parts = ["## First clicks", circumstances(given.sets), *sections(given.only, given.sets)]
    if given.write:
        write_section("first clicks", "\n\n".join(parts))


if __name__ == "__main__":
    main()
