"""The contracts as code: our parts keep them, and parts that do not are told what is wrong."""

import numpy as np
import pytest

import coldstart as cs
from coldstart.base import Hits
from coldstart.testing import (
    HashEncoder,
    check_encoder,
    check_fuser,
    check_index,
    check_ranker,
    check_recommender,
    tiny_catalog,
    tiny_clicks,
)


@pytest.mark.parametrize(
    "fuser", [cs.ConcatFuser(), cs.WeightedFuser(), cs.WeightedFuser({"a": 2, "b": 1}), cs.AttentionFuser()]
)
def test_our_fusers(fuser):
    check_fuser(fuser)


@pytest.mark.parametrize(
    "ranker", [cs.CosineRanker(), cs.CosineRanker(center=False), cs.MLPRanker(), cs.MLPRanker(loss="bce", dropout=0)]
)
def test_our_rankers(ranker):
    check_ranker(ranker)


def test_our_index():
    check_index(cs.ExactIndex())


def test_our_test_double():
    check_encoder(HashEncoder(dim=8))


def test_the_tiny_data_is_a_checkerboard():
    catalog, clicks = tiny_catalog(), tiny_clicks()
    assert len(catalog) == 8
    assert catalog.missing.sum() == 1
    assert {(user[0], item[0]) for user, item in _pairs(clicks)} == {("u", "s"), ("v", "g")}
    assert len(clicks) == 24


def _pairs(clicks):
    return {(clicks.users[u], clicks.items[i]) for u, i in zip(clicks.user_index, clicks.item_index, strict=True)}


class Doubles(HashEncoder):
    def encode(self, values, /):
        return super().encode(values).astype(np.float64)


class Ragged(HashEncoder):
    def encode(self, values, /):
        return super().encode(values)[:-1]


class Contextual(HashEncoder):
    def encode(self, values, /):
        rows = super().encode(values)
        return rows - rows.mean(axis=0) if len(rows) else rows


class Unset(HashEncoder):
    def encode(self, values, /):
        return super().encode(values) if values else np.zeros((0, 0), dtype=np.float32)


class NotANumber(HashEncoder):
    def encode(self, values, /):
        return super().encode(values) * np.float32(np.nan)


class FitReturnsNone(HashEncoder):
    def fit(self, values, /):
        pass


class OtherQueries(HashEncoder):
    def encode_query(self, values, /):
        return self.encode(values)[:, 1:]


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Doubles(), "float32 array of 4 rows; got float64"),
        (Ragged(), "float32 array of 4 rows"),
        (Contextual(), "does not depend on the other values"),
        (Unset(), r"encode\(\[\]\) returns shape"),
        (NotANumber(), r"encode\(values\) is finite"),
        (FitReturnsNone(), "fit returns the encoder itself"),
        (OtherQueries(), "encode_query returns rows of the same width"),
    ],
)
def test_the_broken_rule_of_an_encoder_is_named(encoder, message):
    with pytest.raises(AssertionError, match=message):
        check_encoder(encoder)


class ZeroFilling(cs.ConcatFuser):
    def fuse(self, fields, missing):
        return np.hstack(list(fields.values()))


class Writing(cs.ConcatFuser):
    def fuse(self, fields, missing):
        fields["a"][0] = 0
        return super().fuse(fields, missing)


class Standardising(cs.ConcatFuser):
    def fuse(self, fields, missing):
        fused = super().fuse(fields, missing)
        return fused - fused.mean(axis=0)


@pytest.mark.parametrize(
    ("fuser", "message"),
    [
        (ZeroFilling(), "what stands in a missing field has no effect"),
        (Writing(), "leaves its inputs as they were"),
        (Standardising(), "without any field is a row of zeros"),
    ],
)
def test_the_broken_rule_of_a_fuser_is_named(fuser, message):
    with pytest.raises(AssertionError, match=message):
        check_fuser(fuser)


class Constant:
    def fit(self, features, clicks=None):
        return self

    def score(self, users, features):
        return np.zeros((len(users), len(features)), dtype=np.float32)


class LikesDislikes(cs.CosineRanker):
    def user_vectors(self, users, items, /):
        return (users.history @ items + users.disliked @ items).astype(np.float32)


class NeedsClicks(cs.CosineRanker):
    def fit(self, features, clicks=None):
        return super().fit(features) if clicks is not None else None


@pytest.mark.parametrize(
    ("ranker", "message"),
    [
        (Constant(), "prefers items like it"),
        (LikesDislikes(), "a dislike lowers"),
        (NeedsClicks(), "works without clicks"),
    ],
)
def test_the_broken_rule_of_a_ranker_is_named(ranker, message):
    with pytest.raises(AssertionError, match=message):
        check_ranker(ranker)


class Padding(cs.ExactIndex):
    def search(self, queries, k, allow=None, exclude=None):
        found = super().search(queries, k, allow, exclude)
        full = [np.concatenate([row, [-1] * (k - len(row))]).astype(int) for row in found.positions]
        return Hits(np.array(full), found.scores)


class Unsorted(cs.ExactIndex):
    def search(self, queries, k, allow=None, exclude=None):
        found = super().search(queries, k, allow, exclude)
        return Hits(found.positions[:, ::-1], found.scores[:, ::-1])


class Deaf(cs.ExactIndex):
    def search(self, queries, k, allow=None, exclude=None):
        return super().search(queries, k)


@pytest.mark.parametrize(
    ("index", "message"),
    [(Padding(), "rows are short"), (Unsorted(), "best first"), (Deaf(), "only allowed positions")],
)
def test_the_broken_rule_of_an_index_is_named(index, message):
    with pytest.raises(AssertionError, match=message):
        check_index(index)


def test_the_broken_rule_of_a_recommender_is_named():
    with pytest.raises(AssertionError, match="who likes two garden items gets the other two"):
        check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=Constant()))
