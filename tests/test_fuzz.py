"""Thousands of calls with odd arguments: only errors of the library come out, and a failed change changes nothing.

``benchmarks/edges_calls.py`` makes more of them and prints a table.
"""

import math
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.data.where import matching
from coldstart.errors import ColdstartError
from coldstart.rankers.cosine import CosineRanker
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

LONGEST_MESSAGE = 2_500
"""Letters of the longest message: five quotations of 200 letters, a column name of 1,000, and its own words."""


class CallersError(Exception):
    """What an odd object of the caller raises by itself: the library may let it pass."""


class Hostile:
    """Raises whatever is done with it."""

    def __eq__(self, other: object) -> bool:
        raise CallersError

    def __hash__(self) -> int:
        raise CallersError

    def __bool__(self) -> bool:
        raise CallersError

    def __repr__(self) -> str:
        raise CallersError

    def __iter__(self) -> Iterator[Any]:
        raise CallersError


class Uncopied:
    """An object that cannot be copied."""

    def __reduce__(self) -> Any:
        raise TypeError("no copies")


def recursive() -> list[Any]:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


ODD: list[Callable[[], Any]] = [
    *(
        (lambda value=value: value)
        for value in (
            *(None, True, False, 0, 1, -1, 2, 8, 9, 3.5, -0.0, 1e300, 5e-324, 10**400, -(10**400), 2**63, ...),
            *(float("nan"), float("inf"), float("-inf"), 1j, Fraction(1, 3), Fraction(10**400), Decimal("1.10")),
            *(Decimal("sNaN"), Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 400),
            *("", " ", "a", "s0", "u0", "1", "2020", "nan", "id", "title", "garden", "\0", "\ud83d", "pizza \ud83d"),
            *("é😀恐怖", "a" * 300, "b/" * 200, "x" * 100_000, "not a garden, like space star", "<=", "in"),
            *(
                b"",
                b"s0",
                b"x" * 50_000,
                (),
                ("s0",),
                ("<", 20),
                ("in", "s0"),
                ("contains", 1),
                ("==", None),
                (1, 2, 3),
            ),
            *(
                range(3),
                frozenset(["s0"]),
                date(2024, 1, 1),
                datetime(2024, 1, 1),
                timedelta(1),
                Path("no/such/file.csv"),
            ),
            *(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), datetime.max, Uncopied()),
            *(np.int64(1), np.uint64(2**63), np.float32("nan"), np.bool_(True), np.str_("s0"), np.complex64(1j)),
            *(np.datetime64("NaT"), np.datetime64("300000-01-01"), np.datetime64("2024-01-01T00:00:00.000000001")),
            *(np.timedelta64(1, "ns"), np.datetime64(10**15, "Y"), pd.NA, pd.NaT, pd.Timestamp("2024-01-01", tz="UTC")),
            *(pd.Timestamp(1), pd.Timedelta(1), pd.Interval(0, 1), pd.Categorical(["s0"]), Hostile()),
        )
    ),
    *(
        list,
        dict,
        set,
        bytearray,
        recursive,
        lambda: [None],
        lambda: ["s0"],
        lambda: ["s0", "s0"],
        lambda: [["s0"], [1, 2]],
    ),
    *(
        lambda: [[1.0], [2.0]],
        lambda: {"id": 1},
        lambda: {"id": ["n1"]},
        lambda: {"price": 5},
        lambda: [{}],
        lambda: [5],
    ),
    *(
        lambda: {"u0", 1},
        lambda: iter(["s0"]),
        lambda: (one for one in ("u0", None)),
        lambda: bytearray(b"x"),
        lambda: [Hostile()],
    ),
    *(
        lambda: np.array(5),
        lambda: np.zeros(0),
        lambda: np.zeros((2, 2)),
        lambda: np.array(["s0"]),
        lambda: np.array([1.5, np.nan]),
    ),
    *(
        lambda: np.array([[1], None], dtype=object),
        lambda: np.ones(8, bool),
        lambda: np.ones(3, bool),
        lambda: np.arange(3),
    ),
    *(
        lambda: np.array(["2024-01-01"], "M8[ns]"),
        lambda: np.zeros(2, "i4,f4"),
        lambda: csr_array((3, 3)),
        lambda: csr_array((4, 8)),
    ),
    *(
        pd.DataFrame,
        lambda: pd.DataFrame({"id": ["n1"], "title": ["x"]}),
        lambda: pd.DataFrame([[1, "x"]]),
        lambda: pd.Series(["s0"]),
    ),
    *(
        lambda: pd.DataFrame([[1, 2]], columns=["id", "id"]),
        lambda: pl.DataFrame({"id": ["n1"]}),
        lambda: pl.LazyFrame({"id": [1]}),
    ),
    *(
        lambda: pa.table({"id": ["n1"]}),
        lambda: pd.Series([True] * 8),
        lambda: memoryview(b"ab"),
        cs.Request,
        tiny_catalog,
        tiny_clicks,
    ),
    *(
        HashEncoder,
        CosineRanker,
        lambda: {"title": HashEncoder()},
        lambda: {1: 2},
        lambda: {"query": "x", "k": 1},
        lambda: {5: 6},
    ),
    *(lambda: lambda columns: columns["price"] > 5, lambda: lambda columns: 5, lambda: lambda columns: [[1], [2, 3]]),
    *(lambda: lambda columns: [Hostile()] * 8, lambda: lambda columns: [pd.NA] * 8, lambda: [("a", [1])] * 2),
]
"""Makers of odd values: fresh ones each time, as iterators are used up and a call may change what it is given."""


@dataclass
class Target:
    """A function, and what to pass: for each argument makers of usual values; those of ``needed`` are always given."""

    name: str
    call: Callable[..., Any]
    usual: dict[str, list[Callable[[], Any]]]
    needed: tuple[str, ...] = ()
    changes: bool = False


@dataclass
class Tally:
    """What came of the calls."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    long: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return promise, tried, result."""
        count = Counter()
        for outcome in self.outcomes.values():
            count += outcome
        tried = sum(count[kind] for kind in ("answer", "error", "caller", "other"))
        calls = f"{tried:,} calls of {len(self.outcomes)} functions"
        errors = f"{count['error']:,} errors, {count['caller']:,} of the caller's own objects"
        return [
            ("Bad input raises errors of the library", calls, f"{errors}; {len(self.others)} others"),
            (
                "A call that raises changes nothing",
                f"{count['failed change']:,} failed changes",
                f"{len(self.changed)} changed",
            ),
            (
                "A message quotes 200 letters at most",
                f"{count['error']:,} messages",
                f"{len(self.long)} longer than {LONGEST_MESSAGE:,}",
            ),
            ("Scores are finite", f"{count['answer']:,} answers", f"{len(self.not_finite)} not"),
        ]


def run(calls: int, seed: int) -> Tally:
    """Make calls with odd arguments and count what comes of them."""
    rng, tally = random.Random(seed), Tally()
    for rec in (recommender("cosine"), recommender("hybrid")):
        before = state_of(rec)
        for _ in range(calls // 2):
            attempt(rng, rec, tally, before)
        if state_of(rec) != before:
            tally.changed.append("the recommender that all were copies of")
    return tally


def attempt(rng: random.Random, original: cs.Recommender, tally: Tally, before: Any) -> None:
    """Make one call on a copy."""
    rec = original.with_fitted(original.fitted)
    target = rng.choice(targets(rec))
    arguments = chosen_arguments(rng, target)
    outcome = tally.outcomes.setdefault(target.name, Counter())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            answer = target.call(**arguments)
        outcome["answer"] += 1
        if isinstance(answer, cs.Recommendations) and not all(math.isfinite(s) for row in answer.scores for s in row):
            tally.not_finite.append(described(target, arguments))
        return
    except ColdstartError as error:
        outcome["error"] += 1
        if len(str(error)) > LONGEST_MESSAGE:
            tally.long.append(f"{described(target, arguments)}: {len(str(error)):,} letters")
    except CallersError:
        outcome["caller"] += 1
    except Exception as error:
        outcome["other"] += 1
        tally.others.append(f"{described(target, arguments)}: {type(error).__name__}: {str(error)[:200]}")
    if target.changes:
        outcome["failed change"] += 1
        if state_of(rec) != before:
            tally.changed.append(described(target, arguments))


def chosen_arguments(rng: random.Random, target: Target) -> dict[str, Any]:
    """Return arguments of which one or two are odd, or have something odd inside."""
    given = {name for name in target.usual if name in target.needed or rng.random() < 0.25}
    arguments = {name: rng.choice(target.usual[name])() for name in target.usual if name in given}
    for name in rng.sample(list(target.usual), k=min(len(target.usual), rng.choice([0, 1, 1, 2]))):
        arguments[name] = spoiled(rng, rng.choice(target.usual[name])())
    return arguments


def spoiled(rng: random.Random, value: Any) -> Any:
    """Return an odd value; or a table, a mapping or a list with one inside."""
    odd = rng.choice(ODD)
    if rng.random() < 0.5:
        return odd()
    try:
        if isinstance(value, dict):
            name, cells = rng.choice(list(value.items()))
            kind = rng.random()
            if kind < 0.2:
                return {**value, odd(): cells}
            if kind < 0.5 and isinstance(cells, list):
                return {**value, name: [odd(), *cells[1:]]}
            table = {**value, name: [odd() for _ in cells] if isinstance(cells, list) else odd()}
            return pd.DataFrame(table) if kind > 0.9 else table
        if isinstance(value, list | tuple):
            return [*value[1:], odd()] if rng.random() < 0.7 else [odd() for _ in value]
    except Exception:  # the odd value cannot be a key, or pandas refuses it: not what is tried here
        return odd()
    return odd()


def described(target: Target, arguments: dict[str, Any]) -> str:
    return f"{target.name}({', '.join(f'{name}={quoted(value)}' for name, value in arguments.items())})"


def quoted(value: Any) -> str:
    try:
        return repr(value)[:120]
    except Exception:
        return f"<{type(value).__name__}>"


def recommender(ranker: str) -> cs.Recommender:
    return cs.Recommender(encoder=HashEncoder(dim=16), ranker=ranker).fit(tiny_catalog(), tiny_clicks())


def state_of(rec: cs.Recommender) -> Any:
    """Return lists with their scores, and all that is known of items and clicks."""
    answers = [rec.recommend(user="u0", k=8), rec.recommend("rose garden", k=8), rec.similar_items("s1", k=7)]
    clicks = rec.interactions
    return (
        [(answer.item_ids, answer.scores) for answer in answers],
        (rec.catalog.ids, {name: repr(cells) for name, cells in rec.catalog.columns.items()}),
        (clicks.pairs(), clicks.weight.tolist()),
    )


ITEMS: list[Callable[[], Any]] = [
    lambda: {"id": ["n1", "n2"], "title": ["space ship", None], "plot": ["a story", "of roses"], "price": [1, 2.5]},
    lambda: [{"id": "n1", "title": "space ship", "plot": None}],
    lambda: {"id": "n1", "title": "space ship", "plot": "x"},
    lambda: {"id": ["s0"], "title": ["other"], "price": [3]},
]
CLICKS: list[Callable[[], Any]] = [
    lambda: {"user": ["u0", "new"], "item": ["s0", "g1"], "weight": [1, 2.0], "time": [5, date(2024, 1, 1)]},
    lambda: [{"user": "u0", "item": "s0"}],
]
IDS: list[Callable[[], Any]] = [lambda: ["s0", "g1"], lambda: ("s1",), list]
K: list[Callable[[], Any]] = [lambda: 1, lambda: 5, lambda: None]
WHERE: list[Callable[[], Any]] = [
    lambda: {"price": ("<", 20)},
    lambda: {"title": ["space star"]},
    lambda: {"title": ("contains", "rose"), "price": [0, 10]},
]
TEXT: list[Callable[[], Any]] = [lambda: "a rose garden", lambda: "like space star, no comets"]
TEXTS: list[Callable[[], Any]] = [lambda: ["red apple", "green", ""], lambda: ["red apple pie"]]
NAMES: list[Callable[[], Any]] = [lambda: "id", lambda: "title"]
FILTERS = {"candidates": IDS, "exclude": IDS, "where": WHERE, "k": K}
FLAG: list[Callable[[], Any]] = [lambda: True, lambda: False]
PERSON = {
    "user": [lambda: "u0"],
    "history": IDS,
    "disliked": IDS,
    "query": TEXT,
    "profile": [*TEXT, lambda: {"job": "nurse"}],
}
COLUMNS = {"user": [lambda: "user"], "item": [lambda: "item"], "weight": [lambda: "weight"], "time": [lambda: "time"]}
ON_UNKNOWN: list[Callable[[], Any]] = [lambda: "error", lambda: "drop"]


def targets(rec: cs.Recommender) -> list[Target]:
    """Return every public function that takes data."""
    items, clicks = rec.catalog, tiny_clicks()
    many = {
        "requests": [lambda: [cs.Request(user="u0"), "roses", {"history": ["s0"]}]],
        "users": [lambda: ["u0", "v1"]],
    }
    stream = lambda **given: list(rec.recommend_stream(**given))  # noqa: E731
    how = {"new": [list, lambda: ["s0"]], "on_unknown": [lambda: "drop"], "check": FLAG}
    table = {"id": [lambda: "id"], "fields": [lambda: ["title", "plot"]], "added": [lambda: "price"]}
    some_clicks = [tiny_clicks, lambda: cs.Interactions.from_frame(CLICKS[0](), **{name: name for name in COLUMNS})]
    made = {
        "encoder": [HashEncoder],
        "fuser": [lambda: "concat", lambda: "weighted"],
        "ranker": [lambda: "cosine"],
        "lexical": FLAG,
        "sentences": FLAG,
        "index": [lambda: None],
        "dim": [lambda: None, lambda: 4],
        "reduction": [lambda: "pca"],
    }
    csr = [lambda: clicks.to_csr()]
    lexical = {
        "k1": [lambda: 0.1],
        "b": [lambda: 0.3],
        "fuzzy": FLAG,
        "stop_words": [lambda: "english", lambda: ["red"]],
    }
    return [
        Target("recommend", rec.recommend, {**PERSON, **FILTERS, "exclude_seen": FLAG}),
        Target("recommend", rec.recommend, {**PERSON, **FILTERS, "exclude_seen": FLAG}),
        Target("recommend_many", rec.recommend_many, {**many, **FILTERS, "exclude_seen": FLAG}, ("requests",)),
        Target("recommend_stream", stream, {**many, **FILTERS, "batch_size": K}, ("users",)),
        Target("similar_items", rec.similar_items, {"item_id": [lambda: "s0"], **FILTERS}, ("item_id",)),
        Target("add_items", rec.add_items, {"items": ITEMS}, ("items",), changes=True),
        Target("update_items", rec.update_items, {"items": ITEMS}, ("items",), changes=True),
        Target("remove_items", rec.remove_items, {"item_ids": IDS}, ("item_ids",), changes=True),
        Target(
            "update",
            rec.update,
            {"interactions": some_clicks, "on_unknown": [lambda: "drop"]},
            ("interactions",),
            changes=True,
        ),
        Target(
            "fit", rec.fit, {"catalog": [tiny_catalog], "interactions": some_clicks, **how}, ("catalog",), changes=True
        ),
        Target(
            "fit of tables",
            rec.fit,
            {"catalog": ITEMS[:2], **table, "interactions": CLICKS[:1], **COLUMNS, **how},
            ("catalog", "id", "fields", "interactions", "user", "item", "on_unknown"),
            changes=True,
        ),
        Target("Recommender", lambda **given: cs.Recommender(**{"encoder": HashEncoder(), **given}).fit(items), made),
        Target("Request", cs.Request, {**PERSON, "exclude": IDS}),
        Target("where", lambda where: matching(items, where), {"where": WHERE}, ("where",)),
        Target(
            "where",
            lambda where: matching(items, {"price": where}),
            {"where": [lambda: ("<", 5), lambda: [1]]},
            ("where",),
        ),
        Target(
            "where", lambda where: matching(items, {"title": where}), {"where": [lambda: ("contains", "a")]}, ("where",)
        ),
        Target(
            "Catalog",
            cs.Catalog,
            {
                "ids": [lambda: ["a", "b"]],
                "fields": [lambda: ["t"]],
                "columns": [lambda: {"t": ["x", None], "p": [1, 2]}],
                "id_name": NAMES,
                "added": [lambda: "p"],
            },
            ("ids", "fields", "columns"),
        ),
        Target(
            "Catalog.from_frame",
            cs.Catalog.from_frame,
            {
                "frame": ITEMS[:2],
                "id": [lambda: "id"],
                "fields": [lambda: ["title", "plot"]],
                "added": [lambda: "price"],
            },
            ("frame", "id", "fields"),
        ),
        Target("Catalog.take", items.take, {"rows": [lambda: [0, 2]]}, ("rows",)),
        Target("Catalog.positions", items.positions, {"item_ids": IDS}, ("item_ids",)),
        Target("Catalog.updated", items.updated, {"table": ITEMS}, ("table",)),
        Target("Catalog.head", items.head, {"n": K[:2]}, ("n",)),
        Target(
            "Interactions",
            cs.Interactions,
            {
                "users": [lambda: ["u", "v"]],
                "items": [lambda: ["a"]],
                "user_index": [lambda: np.array([0, 1])],
                "item_index": [lambda: [0, 0]],
                "weight": [lambda: np.ones(2)],
                "time": [lambda: [1.0, 2.0]],
            },
            ("users", "items", "user_index", "item_index", "weight"),
        ),
        Target(
            "Interactions.from_frame",
            cs.Interactions.from_frame,
            {"frame": CLICKS, **COLUMNS},
            ("frame", "user", "item"),
        ),
        Target(
            "Interactions.from_csr",
            cs.Interactions.from_csr,
            {"clicks": csr, "users": [lambda: clicks.users], "items": [lambda: clicks.items]},
            ("clicks", "users", "items"),
        ),
        Target("Interactions.take", clicks.take, {"rows": [lambda: np.arange(3)]}, ("rows",)),
        Target(
            "Interactions.decayed", clicks.decayed, {"half_life": [lambda: 30], "now": [lambda: 5.0]}, ("half_life",)
        ),
        Target("Interactions.within", clicks.within, {"item_ids": IDS, "on_unknown": ON_UNKNOWN}, ("item_ids",)),
        Target(
            "HashEncoder",
            lambda values, dim=8: HashEncoder(dim).encode(values),
            {"values": TEXTS, "dim": [lambda: 4]},
            ("values",),
        ),
        Target(
            "TfidfEncoder",
            lambda values, query=("red",), dim=2: cs.TfidfEncoder(dim).fit(values).encode(query),
            {"values": TEXTS, "query": TEXTS, "dim": [lambda: 2]},
            ("values",),
        ),
        Target(
            "LexicalEncoder",
            lambda values, query=("red",), **given: cs.LexicalEncoder(**given).fit(values).encode_query(query),
            {"values": TEXTS, "query": TEXTS, **lexical},
            ("values",),
        ),
    ]


def test_only_errors_of_the_library_come_out_and_a_failed_change_changes_nothing():
    tally = run(calls=4_000, seed=0)
    assert not tally.others, "\n".join(tally.others[:20])
    assert not tally.changed, "\n".join(tally.changed[:20])
    assert not tally.long, "\n".join(tally.long[:20])
    assert not tally.not_finite, "\n".join(tally.not_finite[:20])
    tried = sum(tally.outcomes.values(), Counter())
    assert tried["error"] > 1_000
    assert tried["answer"] > 1_000
    assert tried["failed change"] > 100
    assert all(outcome["answer"] and outcome["error"] for outcome in tally.outcomes.values())
