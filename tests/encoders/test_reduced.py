import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders.reduced import ReducedEncoder, reduced
from coldstart.encoders.tfidf import TfidfEncoder
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.testing import HashEncoder, check_encoder, check_recommender, tiny_catalog

WORDS = ["space war", "space opera", "garden party", "quiet garden", "red wine", "old wine", "rain", "sea"]


class Flat:
    """Vectors that lie in two of three directions."""

    def encode(self, values):
        return np.array([[1.0, 0.0, len(v)] if v else [0.0, 0.0, 0.0] for v in values], dtype=np.float32)


@pytest.mark.parametrize("method", ["pca", "truncate"])
def test_the_contract_of_an_encoder_holds(method):
    check_encoder(ReducedEncoder(HashEncoder(dim=32), 8, method).fit(WORDS))


def test_pca_keeps_all_dot_products_of_vectors_that_lie_in_fewer_directions():
    encoder = ReducedEncoder(Flat(), 2).fit(["a", "abc", "abcdefg"])
    unit = Flat().encode(["ab", "abcdef"])
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    vectors = encoder.encode(["ab", "abcdef"])
    assert np.allclose(vectors @ vectors.T, unit @ unit.T, atol=1e-6)
    assert encoder.kept_ == pytest.approx(1.0)


def test_pca_of_full_length_only_turns():
    encoder = ReducedEncoder(HashEncoder(dim=8), 8).fit(WORDS)
    full, turned = HashEncoder(dim=8).encode(WORDS), encoder.encode(WORDS)
    assert np.allclose(turned @ turned.T, full @ full.T, atol=1e-5)


def test_truncation_keeps_the_first_numbers_at_length_one():
    first = HashEncoder(dim=32).encode(WORDS)[:, :4]
    vectors = ReducedEncoder(HashEncoder(dim=32), 4, "truncate").fit(WORDS).encode(WORDS)
    assert np.allclose(vectors, first / np.linalg.norm(first, axis=1, keepdims=True))


def test_rows_of_zeros_stay_zero():
    assert not ReducedEncoder(Flat(), 2).fit(["a", "ab"]).encode([""]).any()


def test_the_same_catalogue_gives_the_same_axes():
    one, two = (ReducedEncoder(HashEncoder(dim=16), 4).fit(WORDS).encode(WORDS) for _ in range(2))
    assert np.array_equal(one, two)


def test_an_encoder_with_a_fit_is_fitted_on_a_copy():
    inner = TfidfEncoder(dim=6)
    encoder = ReducedEncoder(inner, 3).fit(WORDS)
    assert encoder.encode(["space garden"]).shape == (1, 3)
    assert inner.get_state() == {}


def test_fields_that_share_an_encoder_share_the_reduced_one():
    shared = HashEncoder()
    both = reduced({"a": shared, "b": shared, "c": HashEncoder()}, 4, "pca")
    assert both["a"] is both["b"] is not both["c"]
    assert reduced({"a": shared}, None, "pca") == {"a": shared}


@pytest.mark.parametrize("encoder", [HashEncoder(), TfidfEncoder(dim=16)])
def test_a_recommender_of_shorter_vectors_recommends_and_survives_saving(encoder, tmp_path):
    rec = cs.Recommender(encoder=encoder, ranker=cs.CosineRanker(), dim=6).fit(tiny_catalog())
    assert all(rows.whole().shape[1] == 6 for rows in rec.fitted.fields.values())
    rec.save(tmp_path / "model")
    given = {"encoder": rec.encoders_[tiny_catalog().fields[0]]} if isinstance(encoder, HashEncoder) else {}
    loaded = cs.load(tmp_path / "model", **given)
    assert loaded.recommend(query="space", k=4).scores == rec.recommend(query="space", k=4).scores
    assert (
        loaded.fit(tiny_catalog()).recommend(query="space", k=4).item_ids == rec.recommend(query="space", k=4).item_ids
    )


def test_the_whole_pipeline_works_on_shorter_vectors():
    check_recommender(lambda: cs.Recommender(encoder=HashEncoder(), ranker=cs.CosineRanker(), dim=32))


@pytest.mark.parametrize(("dim", "method"), [(0, "pca"), (17, "pca"), (17, "truncate"), (2.5, "pca")])
def test_a_dim_out_of_range_is_refused(dim, method):
    with pytest.raises(InvalidInputError, match="`dim` must be (a whole number )?between 1 and"):
        ReducedEncoder(HashEncoder(dim=16), dim, method).fit(WORDS)


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidInputError, match="`method` must be one of 'pca', 'truncate'; got 'svd'"):
        ReducedEncoder(HashEncoder(), 2, "svd").fit(WORDS)


def test_a_field_without_values_can_be_reduced():
    encoder = ReducedEncoder(HashEncoder(), 2).fit([])
    assert encoder.encode(WORDS).shape == (len(WORDS), 2)
    assert encoder.kept_ == 0.0


def test_a_wrapper_of_a_wrapper_is_saved(tmp_path):
    twice = ReducedEncoder(ReducedEncoder(TfidfEncoder(dim=8), 6), 4)
    rec = cs.Recommender(encoder=twice, ranker=cs.CosineRanker()).fit(tiny_catalog())
    rec.save(tmp_path / "model")
    assert cs.load(tmp_path / "model").recommend(history=["s0"], k=2) == rec.recommend(history=["s0"], k=2)


def test_encoding_before_fit_says_what_to_call():
    with pytest.raises(NotFittedError, match="call ReducedEncoder.fit first"):
        ReducedEncoder(HashEncoder(), 2).encode(["a"])
