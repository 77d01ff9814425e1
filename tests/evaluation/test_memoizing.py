import numpy as np

import coldstart as cs
from coldstart.evaluation.memoizing import MemoizedEncoder, with_memoized_encoders, with_params
from coldstart.testing import HashEncoder, check_encoder


class Counting(HashEncoder):
    def __init__(self, dim=8):
        super().__init__(dim)
        self.encoded = []

    def encode(self, values, /):
        self.encoded += values
        return super().encode(values)


def test_the_contract_of_an_encoder_holds():
    check_encoder(MemoizedEncoder(HashEncoder()))


def test_a_value_is_encoded_once():
    encoder = Counting()
    memoized = MemoizedEncoder(encoder)
    first = memoized.encode(["a", "b", "a"])
    again = memoized.encode(["c", "b"])
    assert encoder.encoded == ["a", "b", "c"]
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(again, HashEncoder(8).encode(["c", "b"]))


def test_queries_are_encoded_by_encode_query_of_the_encoder():
    class WithQueries(HashEncoder):
        def encode_query(self, values, /):
            return -self.encode(values)

    np.testing.assert_array_equal(MemoizedEncoder(HashEncoder()).encode_query(["a"]), HashEncoder().encode(["a"]))
    np.testing.assert_array_equal(MemoizedEncoder(WithQueries()).encode_query(["a"]), -HashEncoder().encode(["a"]))


def test_values_without_a_hash_are_encoded():
    class Picture:
        __hash__ = None

    class OfPictures(HashEncoder):
        def encode(self, values, /):
            return np.ones((len(values), 3), dtype=np.float32)

    assert MemoizedEncoder(OfPictures()).encode([Picture(), Picture()]).shape == (2, 3)


def test_copies_made_with_the_same_dict_share_their_encoders():
    encoder, memoized = Counting(), {}
    rec = cs.Recommender(encoder={"title": encoder, "plot": encoder})
    one, other = (with_memoized_encoders(rec, memoized).encoder for _ in range(2))
    assert one["title"] is one["plot"] is other["title"]
    assert one["title"].encoder is encoder
    assert rec.encoder["title"] is encoder


def test_an_encoder_with_fit_or_a_memoized_one_is_not_wrapped():
    for encoder in (cs.TfidfEncoder(), MemoizedEncoder(HashEncoder())):
        assert with_memoized_encoders(cs.Recommender(encoder=encoder), {}).encoder is encoder


def test_without_an_encoder_the_default_one_is_wrapped(monkeypatch):
    monkeypatch.setattr("coldstart.pipeline.parts.TextEncoder", HashEncoder)
    assert isinstance(with_memoized_encoders(cs.Recommender(), {}).encoder.encoder, HashEncoder)


def test_a_copy_with_other_parameters_keeps_the_class_and_the_other_parameters():
    class Mine(cs.Recommender):
        pass

    rec = Mine(encoder=HashEncoder(8), ranker=cs.CosineRanker(query_weight=2.0))
    copy = with_params(rec, {"ranker.center": False, "encoder.dim": 16, "fuser": cs.WeightedFuser()})
    assert type(copy) is Mine
    assert repr(copy.ranker) == "CosineRanker(query_weight=2.0, center=False)"
    assert copy.encoder.dim == 16
    assert isinstance(copy.fuser, cs.WeightedFuser)
    assert (rec.ranker.center, rec.encoder.dim, rec.fuser) == (True, 8, None)
