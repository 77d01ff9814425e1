"""A test double, tiny data, and checks of the contracts, to run on parts of your own.

>>> from coldstart.testing import HashEncoder, check_encoder
>>> check_encoder(HashEncoder())
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, check_between, unit_rows
from coldstart.base import (
    BaseEncoder,
    BaseFuser,
    BaseIndex,
    BaseRanker,
    Encoder,
    Features,
    Fuser,
    Index,
    Ranker,
    Users,
    VectorRanker,
    scores_of,
    with_defaults,
)
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.encoders._texts import checked_texts
from coldstart.errors import ColdstartError
from coldstart.recommender import Recommender


class HashEncoder(BaseEncoder):
    """Texts that share words get similar vectors: each word adds its own pseudo-random direction.

    Deterministic, offline, instant. Not for use on real items.

    Parameters
    ----------
    dim : int
        Width of the vectors.

    Examples
    --------
    >>> one, other, far = HashEncoder().encode(["red apple", "green apple", "car"])
    >>> bool(one @ other > 0.3 > one @ far)
    True
    """

    def __init__(self, dim: int = 64) -> None:
        self.dim = dim

    def encode(self, values: Sequence[str], /) -> FloatArray:
        """Return unit rows, shape (n, dim); zero for a text without words."""
        check_between("dim", self.dim, 1, 10**6)
        texts = checked_texts(values, "HashEncoder.encode")
        rows = [sum(map(self._direction, re.findall(r"\w+", text.lower())), np.zeros(self.dim)) for text in texts]
        return unit_rows(np.array(rows, dtype=np.float32).reshape(len(texts), self.dim))

    def identity(self) -> str:
        """Name everything a vector depends on."""
        return f"HashEncoder {self.dim}"

    def _direction(self, word: str) -> AnyArray:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.dim)


def tiny_catalog() -> Catalog:
    """Return eight items of two kinds, four about space and four about gardens; one lacks its plot."""
    kinds = {"space": ("star", "moon", "comet", "orbit"), "garden": ("rose", "tulip", "daisy", "lily")}
    rows = [
        {"id": f"{kind[0]}{at}", "title": f"{kind} {word}", "plot": f"a story of {kind} and {word}", "price": 10 * at}
        for kind, words in kinds.items()
        for at, word in enumerate(words)
    ]
    rows[1]["plot"] = None
    return Catalog.from_frame(rows, id="id", fields=["title", "plot"])


def tiny_clicks() -> Interactions:
    """Return a checkerboard: users u0 to u3 like space items only, v0 to v3 garden items only, each three of four."""
    rows = [
        {"user": f"{side}{who}", "item": f"{kind}{what}", "time": who}
        for side, kind in (("u", "s"), ("v", "g"))
        for who in range(4)
        for what in range(4)
        if who != what
    ]
    return Interactions.from_frame(rows, user="user", item="item", time="time")


def check_encoder(encoder: Encoder, values: Sequence[Any] = ("a red apple", "a green apple", "été 日本", "")) -> None:
    """Check an encoder: finite float32 rows, one per value, the same for the same value; none for no values.

    Raises
    ------
    AssertionError
        Naming the rule that the encoder breaks.
    """
    values = list(values)
    if with_defaults(encoder, BaseEncoder).learns:
        _expect(with_defaults(encoder, BaseEncoder).fit(values) is encoder, "fit returns the encoder itself")
    vectors = encoder.encode(values)
    _expect_matrix(vectors, len(values), "encode(values)")
    # In another order and with a repeat: rows that depend on the batch, such as centred ones, differ.
    again = encoder.encode([*values[::-1], values[0]])
    _expect(np.allclose(again[:-1][::-1], vectors, atol=1e-5), "a value's row does not depend on the other values")
    _expect(np.allclose(again[-1], vectors[0], atol=1e-5), "a repeated value gets the same row")
    _expect(encoder.encode([]).shape == (0, vectors.shape[1]), "encode([]) returns shape (0, dim)")
    queries = with_defaults(encoder, BaseEncoder).encode_query(values)
    _expect(queries.shape == vectors.shape, "encode_query returns rows of the same width")


def check_fuser(fuser: Fuser) -> None:
    """Check a fuser: shapes, missing fields, independence of rows, inputs left as they are.

    Raises
    ------
    AssertionError
        Naming the rule that the fuser breaks.
    """
    fields, missing = _fields()
    before = {name: vectors.copy() for name, vectors in fields.items()}
    _expect(fuser.fit(fields, missing, _clicks()) is fuser, "fit returns the fuser itself")
    fused = fuser.fuse(fields, missing)
    _expect_matrix(fused, len(missing), "fuse(fields, missing)")
    _expect(all(np.array_equal(fields[n], before[n]) for n in fields), "fuse leaves its inputs as they were")
    # Nines, which would show: a fuser that forgets the mask passes with zeros.
    garbage = {
        name: np.where(missing[:, [at]], 9.0, v).astype(np.float32) for at, (name, v) in enumerate(fields.items())
    }
    _expect(np.allclose(fuser.fuse(garbage, missing), fused, atol=1e-6), "what stands in a missing field has no effect")
    _expect(not fused[missing.all(axis=1)].any(), "an item without any field is a row of zeros")
    part = fuser.fuse({n: v[:3] for n, v in fields.items()}, missing[:3])
    _expect(np.allclose(part, fused[:3], atol=1e-6), "an item's row does not depend on the other items")
    if with_defaults(fuser, BaseFuser).attends:
        _expect_matrix(
            with_defaults(fuser, BaseFuser).attend(fields["a"][0], fields, missing),
            len(missing),
            "attend(query, fields, missing)",
        )


def check_ranker(ranker: Ranker | VectorRanker) -> None:
    """Check a ranker: shapes, independence of users, and that likes raise and dislikes lower scores of similar items.

    Items are ranked without exposures and with them.

    Raises
    ------
    AssertionError
        Naming the rule that the ranker breaks.
    """
    features, clicks = _features(), _clicks()
    _expect(ranker.fit(features, None) is ranker, "fit(features, None) works without clicks and returns the ranker")
    ranker.fit(features, clicks)
    likes, both, none = _users(liked=[0]), _users(liked=[0, 4]), _users(liked=[])
    scores = scores_of(ranker, likes, features)
    _expect_matrix(scores, 1, "the scores")
    _expect(scores.shape == (1, len(features)), "there is one score per user and item")
    _expect(scores[0, 1:4].min() > scores[0, 4:8].max(), "who likes an item prefers items like it to others")
    disliking = scores_of(ranker, _users(liked=[0], disliked=[1]), features)
    _expect(disliking[0, 1] < scores[0, 1], "a dislike lowers the item's score")
    together = scores_of(ranker, _join(likes, both, none), features)
    _expect(np.allclose(together[0], scores[0], atol=1e-4), "a user's scores do not depend on the other users")
    _expect(bool(np.isfinite(together).all()), "a user of whom nothing is known gets finite scores")
    if isinstance(ranker, VectorRanker) and not with_defaults(ranker, BaseRanker).knows_positions:
        part, whole = ranker.item_vectors(features[:3]), ranker.item_vectors(features)
        _expect(np.allclose(part, whole[:3], atol=1e-6), "an item's vector does not depend on the other items")
    fewer = Features(features.dense[:6], None, features.missing[:6])  # type: ignore[index]
    with_fewer: Any = ranker
    if with_defaults(ranker, BaseRanker).knows_positions:
        with_fewer = with_defaults(ranker, BaseRanker).refreshed(fewer, csr_array(clicks[:, :6]), np.arange(6))
        _expect(np.allclose(scores_of(ranker, likes, features), scores), "refreshed leaves the ranker as it was")
    shape = scores_of(with_fewer, _users(liked=[0], n_items=6), fewer).shape
    _expect(shape == (1, 6), "other items than those of fit are scored")
    exposed = replace(features, exposure=np.array([1, 1, 1, 0, 1, 1, 1, 0.5], dtype=np.float32))
    some = scores_of(ranker.fit(exposed, clicks), _users(liked=[0]), exposed)
    _expect(bool(np.isfinite(some).all()), "items that came later, as their exposure says, get finite scores")


def check_index(index: Index) -> None:
    """Check an index: results of a plain sort, filters, short rows, order of ties.

    Raises
    ------
    AssertionError
        Naming the rule that the index breaks.
    """
    rng = np.random.default_rng(0)
    vectors, queries = (rng.standard_normal((n, 8)).astype(np.float32) for n in (50, 4))
    _expect(index.build(vectors) is index, "build returns the index itself")
    positions, scores = index.search(queries, 5)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    _expect(np.array_equal(positions, expected), "search returns the largest dot products, best first")
    _expect(
        np.allclose(scores, np.take_along_axis(queries @ vectors.T, expected, 1), atol=1e-4), "scores are dot products"
    )
    allowed = index.search(queries, 5, allow=np.arange(10))
    _expect(all(max(row) < 10 for row in allowed.positions), "only allowed positions come back")
    short = index.search(queries, 5, allow=np.arange(5), exclude=[np.array([0, 1])] * 4)
    _expect(all(sorted(row) == [2, 3, 4] for row in short.positions), "rows are short when filters leave fewer than k")
    longer = with_defaults(index.build(vectors[:30]), BaseIndex).extended(vectors[30:])
    if longer is not None:
        _expect(np.array_equal(longer.search(queries, 5).positions, expected), "extended adds vectors after the others")
        _expect(max(map(max, index.search(queries, 5).positions)) < 30, "extended leaves the index as it was")
    # Six equal vectors: an unstable sort would return any three.
    twins = index.build(np.ones((6, 8), dtype=np.float32)).search(np.ones((1, 8), dtype=np.float32), 3)
    _expect(list(twins.positions[0]) == [0, 1, 2], "equal scores are in order of position")


def check_recommender(make: Callable[[], Recommender]) -> None:
    """Check a recommender on the tiny catalogue, without clicks and with them.

    Parameters
    ----------
    make : callable
        Returns a fresh, unfitted recommender.

    Raises
    ------
    AssertionError
        Naming the rule that the recommender breaks.
    """
    catalog = tiny_catalog()
    for clicks in (None, tiny_clicks()):
        rec = make().fit(catalog, clicks)
        by_word = rec.recommend(query="space", k=3).item_ids[0]
        _expect(all(str(item)[0] == "s" for item in by_word), "a query about space brings space items")
        by_likes = rec.recommend(history=["g0", "g1"], k=2).item_ids[0]
        _expect(sorted(map(str, by_likes)) == ["g2", "g3"], "who likes two garden items gets the other two")
        _expect(len(rec.recommend(k=8).item_ids[0]) == 8, "with nothing known there is an answer")
        rec.add_items([{"id": "new", "title": "star moon", "plot": "a story of star and moon"}])
        _expect("new" in rec.recommend(query="star moon", k=1).item_ids[0], "a new item is recommendable at once")
        rec.remove_items(["new"])
        _expect("new" not in rec.recommend(query="star moon", k=8).item_ids[0], "a removed item is gone")
    with_new = make().fit(catalog, tiny_clicks(), new=["g3"]).recommend(history=["g0", "g1"], k=2).item_ids[0]
    _expect(sorted(map(str, with_new)) == ["g2", "g3"], "an item that is said to be new is recommended like others")
    known = rec.recommend(user="u0", k=1).item_ids[0]
    _expect(known == ["s0"], "a known user gets the one item of their kind that they have not seen")
    try:
        rec.recommend(user="nobody")
    except ColdstartError as error:
        _expect("nobody" in str(error), "the error names the unknown user")
    else:
        _expect(False, "an unknown user is an error")


def _expect(holds: bool, what: str) -> None:
    """Raise unless a rule of a contract holds; an ``assert`` would be skipped by ``python -O``."""
    if not holds:
        raise AssertionError(f"The contract says: {what}. It does not hold here.")


def _expect_matrix(values: AnyArray, rows: int, what: str) -> None:
    """Raise unless an array is finite float32 of so many rows."""
    shape = f"{what} is a float32 array of {rows} rows"
    _expect(isinstance(values, np.ndarray) and values.ndim == 2 and len(values) == rows, shape)
    _expect(values.dtype == np.float32, f"{shape}; got {values.dtype}")
    _expect(bool(np.isfinite(values).all()), f"{what} is finite")


def _features() -> Features:
    """Return eight items, four around each of two directions."""
    centres = np.repeat(np.eye(8, dtype=np.float32)[:2], 4, axis=0)
    noise = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float32)
    return Features(centres + 0.1 * noise, None, np.zeros((8, 1), dtype=bool))


def _fields() -> tuple[dict[str, FloatArray], BoolArray]:
    """Return two fields of eight items, of which some lack one field and one lacks both."""
    rng = np.random.default_rng(2)
    fields = {name: rng.standard_normal((8, 6)).astype(np.float32) for name in ("a", "b")}
    missing = np.zeros((8, 2), dtype=bool)
    missing[1, 0] = missing[2, 1] = missing[5] = True
    return fields, missing


def _clicks() -> Csr:
    """Return the clicks of eight users, each on the four items of one direction."""
    return csr_array(np.kron(np.eye(2), np.ones((4, 4))).astype(np.float32))


def _users(liked: list[int], disliked: list[int] | None = None, n_items: int = 8) -> Users:
    """Return one user without texts."""

    def row(at: list[int]) -> Csr:
        return csr_array((np.ones(len(at), np.float32), ([0] * len(at), at)), shape=(1, n_items))

    no_text = Features(np.zeros((1, 8), dtype=np.float32))
    return Users(row(liked), row(disliked or []), no_text, no_text)


def _join(*users: Users) -> Users:
    """Return several users without texts as one batch."""
    history, disliked = (
        csr_array(np.vstack([getattr(user, name).toarray() for user in users])) for name in ("history", "disliked")
    )
    no_text = Features(np.zeros((len(users), 8), dtype=np.float32))
    return Users(history, disliked, no_text, no_text)
