import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders.none import NoEncoder
from coldstart.testing import check_encoder


def test_the_contract_of_an_encoder_holds():
    check_encoder(NoEncoder())


@pytest.mark.parametrize("values", [[], ["a", "b"], [b"image", 3, None]], ids=["nothing", "texts", "anything"])
def test_every_value_is_a_row_of_zeros(values):
    vectors = NoEncoder().encode(values)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0.0]] * len(values)


def test_a_query_is_answered_by_popularity(catalog):
    clicks = cs.Interactions.from_frame({"u": ["a", "b", "c"], "i": ["g2", "g2", "s1"]}, user="u", item="i")
    rec = cs.Recommender(encoder=NoEncoder(), lexical=None).fit(catalog, clicks)
    assert rec.recommend(query="comet", k=2).item_ids == [["g2", "s1"]]
