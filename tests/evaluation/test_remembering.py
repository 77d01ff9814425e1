import numpy as np

import coldstart as cs
from coldstart.evaluation.remembering import Remembered, remembering, with_params
from coldstart.testing import HashEncoder, check_encoder


class Counting(HashEncoder):
    def __init__(self, dim=8):
        super().__init__(dim)
        self.asked = []

    def encode(self, values, /):
        self.asked += values
        return super().encode(values)


def test_the_contract_of_an_encoder_holds():
    check_encoder(Remembered(HashEncoder()))


def test_a_value_is_encoded_once():
    encoder = Counting()
    remembered = Remembered(encoder)
    first = remembered.encode(["a", "b", "a"])
    again = remembered.encode(["c", "b"])
    assert encoder.asked == ["a", "b", "c"]
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(again, HashEncoder(8).encode(["c", "b"]))


def test_a_query_is_read_as_the_encoder_reads_queries():
    class Asking(HashEncoder):
        def encode_query(self, values, /):
            return -self.encode(values)

    np.testing.assert_array_equal(Remembered(HashEncoder()).encode_query(["a"]), HashEncoder().encode(["a"]))
    np.testing.assert_array_equal(Remembered(Asking()).encode_query(["a"]), -HashEncoder().encode(["a"]))


def test_values_need_no_hash():
    class Picture:
        __hash__ = None

    class Seeing(HashEncoder):
        def encode(self, values, /):
            return np.ones((len(values), 3), dtype=np.float32)

    assert Remembered(Seeing()).encode([Picture(), Picture()]).shape == (2, 3)


def test_encoders_share_what_they_encoded():
    encoder, known = Counting(), {}
    rec = cs.Recommender(encoder={"title": encoder, "plot": encoder})
    one, other = (remembering(rec, known).encoder for _ in range(2))
    assert one["title"] is one["plot"] is other["title"]
    assert one["title"].encoder is encoder
    assert rec.encoder["title"] is encoder


def test_an_encoder_that_learns_or_remembers_is_left_as_it_is():
    for encoder in (cs.TfidfEncoder(), Remembered(HashEncoder())):
        assert remembering(cs.Recommender(encoder=encoder), {}).encoder is encoder


def test_without_an_encoder_it_is_the_packaged_one(monkeypatch):
    monkeypatch.setattr("coldstart.pipeline.parts.TextEncoder", HashEncoder)
    assert isinstance(remembering(cs.Recommender(), {}).encoder.encoder, HashEncoder)


def test_a_copy_with_other_parameters_has_the_class_and_the_rest_of_the_first():
    class Mine(cs.Recommender):
        pass

    rec = Mine(encoder=HashEncoder(8), ranker=cs.CosineRanker(query_weight=2.0))
    copy = with_params(rec, {"ranker.center": False, "encoder.dim": 16, "fuser": cs.WeightedFuser()})
    assert type(copy) is Mine
    assert repr(copy.ranker) == "CosineRanker(query_weight=2.0, center=False)"
    assert copy.encoder.dim == 16
    assert isinstance(copy.fuser, cs.WeightedFuser)
    assert (rec.ranker.center, rec.encoder.dim, rec.fuser) == (True, 8, None)
