"""Fields to vectors."""

import numpy as np
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError
from coldstart.pipeline.encoding import checked_vectors, encode_fields, encode_queries, fit_encoders
from coldstart.testing import HashEncoder, tiny_catalog


class Counting(HashEncoder):
    """Records the values of each call of ``encode``."""

    def __init__(self, dim=64):
        super().__init__(dim)
        self.calls = []

    def encode(self, values, /):
        self.calls.append(list(values))
        return super().encode(values)


def test_an_encoder_of_several_fields_is_called_once():
    encoder = Counting()
    fields = encode_fields(tiny_catalog(), {"title": encoder, "plot": encoder})
    assert len(encoder.calls) == 1
    np.testing.assert_array_equal(fields["title"][2], encoder.encode(["space comet"])[0])
    assert not fields["plot"][1].any()


def test_each_encoder_encodes_its_own_fields():
    title, plot = Counting(8), Counting(16)
    fields = encode_fields(tiny_catalog(), {"title": title, "plot": plot})
    assert {name: vectors.shape for name, vectors in fields.items()} == {"title": (8, 8), "plot": (8, 16)}
    assert all("story" not in text for text in title.calls[0])
    assert len(plot.calls[0]) == 7


def test_encoders_that_learn_are_copied_and_learn_once_from_all_their_fields():
    given = cs.TfidfEncoder(dim=4)
    fitted = fit_encoders(tiny_catalog(), {"title": given, "plot": given})
    assert fitted["title"] is fitted["plot"] is not given
    assert not hasattr(given, "directions_")
    assert fitted["title"].encode(["story"]).any()
    apart = fit_encoders(tiny_catalog(), {"title": cs.TfidfEncoder(dim=4), "plot": cs.TfidfEncoder(dim=4)})
    assert not apart["title"].encode(["story"]).any()


def test_encoders_that_do_not_learn_are_used_as_they_are():
    encoder = HashEncoder()
    assert fit_encoders(tiny_catalog(), {"title": encoder})["title"] is encoder


def test_queries_are_encoded_by_encode_query_where_there_is_one():
    class Two(HashEncoder):
        def encode_query(self, values, /):
            return -self.encode(values)

    two, one = Two(), HashEncoder()
    fields = encode_queries(["moon", "rose"], {"title": two, "plot": one})
    np.testing.assert_array_equal(fields["title"], -one.encode(["moon", "rose"]))
    np.testing.assert_array_equal(fields["plot"], one.encode(["moon", "rose"]))
    counting = Counting()
    encode_queries(["moon"], {"title": counting, "plot": counting})
    assert counting.calls == [["moon"]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((3, 2)), r"HashEncoder\.encode must return 2 rows; got 3"),
        (np.full((2, 2), np.nan), "vectors of HashEncoder.*finite"),
        (np.ones(2), r"vectors of HashEncoder.*shape"),
    ],
)
def test_vectors_that_break_the_contract_name_the_encoder(vectors, message):
    with pytest.raises(InvalidInputError, match=message):
        checked_vectors(vectors, 2, HashEncoder())


class Scaled(HashEncoder):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def encode(self, values, /):
        return super().encode(values) * np.float32(self.scale)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_vectors_whose_length_float32_cannot_compute_are_refused(scale):
    with pytest.raises(InvalidInputError, match=r"vectors of Scaled must have numbers from 1e-17 to 1e\+17, .* row 0"):
        cs.Recommender(encoder=Scaled(scale), ranker="cosine").fit(tiny_catalog())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_vectors_of_unusual_length_rank_as_those_of_length_one(scale):
    lists = [
        cs.Recommender(encoder=Scaled(one), ranker="cosine").fit(tiny_catalog()).recommend("space comet", k=4).item_ids
        for one in (scale, 1.0)
    ]
    assert lists[0] == lists[1]
