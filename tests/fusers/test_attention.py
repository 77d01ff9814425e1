import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.fusers.attention import PRIOR_ROWS, AttentionFuser

TITLE, PLOT = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
FIELDS = {"title": TITLE, "plot": PLOT}
NOTHING_MISSING = np.zeros((2, 2), dtype=bool)
MEAN = 1 / (2 + PRIOR_ROWS)
QUERY = np.array([1.0, 0.0], dtype=np.float32)


def fitted(temperature=10.0):
    return AttentionFuser(temperature).fit(FIELDS, NOTHING_MISSING)


def test_attention_is_the_softmax_of_the_cosines_to_the_query():
    weights = fitted(2.0).attention(FIELDS, NOTHING_MISSING, QUERY * 7)
    high, low = np.exp(2.0) / (np.exp(2.0) + 1), 1 / (np.exp(2.0) + 1)
    assert np.allclose(weights, [[high, low], [low, high]])
    assert weights.dtype == np.float32


def test_without_a_query_attention_is_to_the_centre_of_the_item():
    same, other = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.0, 3.0]], dtype=np.float32)
    weights = AttentionFuser(2.0).attention({"a": same, "b": same, "c": other}, np.zeros((1, 3), dtype=bool))
    likeness = np.exp(2.0 * np.array([2, 2, 1]) / np.sqrt(5))
    assert np.allclose(weights, likeness / likeness.sum())


def test_items_by_attention_to_a_query_are_the_fields_that_match_it():
    seen = fitted(100.0).attend(QUERY, FIELDS, NOTHING_MISSING)
    assert np.allclose(seen, np.array([[1.0, 0.0], [1.0, 0.0]]) - MEAN)


def test_each_field_is_centred_on_its_mean_over_the_items_that_have_it():
    fields = {"title": np.array([[2, 0], [0, 5], [3, 3]], dtype=np.float32)}
    missing = np.array([[False], [False], [True]])
    fuser = AttentionFuser().fit(fields, missing)
    mean = np.array([1.0, 1.0]) / (2 + PRIOR_ROWS)
    assert np.allclose(fuser.means_["title"], mean)
    assert np.allclose(fuser.fuse(fields, missing), [[1, 0] - mean, [0, 1] - mean, [0, 0]])


def test_the_vector_of_a_query_is_unchanged():
    placed = fitted().fuse_query({"title": TITLE * 4, "plot": TITLE * 4})
    assert placed.tolist() == TITLE.tolist()


def test_a_temperature_of_0_is_the_plain_mean():
    assert fitted(0.0).attention(FIELDS, NOTHING_MISSING, QUERY).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert np.allclose(fitted(0.0).fuse(FIELDS, NOTHING_MISSING), 0.5 - MEAN)


def test_a_field_that_has_nothing_to_do_with_the_others_gets_little_attention():
    same = np.array([[1.0, 0.0]], dtype=np.float32)
    fields = {"title": same, "plot": same, "boilerplate": np.array([[0.0, 1.0]], dtype=np.float32)}
    fuser = AttentionFuser().fit(fields, np.zeros((1, 3), dtype=bool))
    assert fuser.weights_["title"] == pytest.approx(fuser.weights_["plot"])
    assert fuser.weights_["boilerplate"] < 0.05


def test_a_missing_field_gets_no_attention_however_well_it_matches():
    missing = np.array([[True, False], [False, True]])
    assert fitted().attention(FIELDS, missing, QUERY).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert np.allclose(fitted().attend(QUERY, FIELDS, missing), np.array([[0.0, 1.0], [0.0, 1.0]]) - MEAN)


def test_an_item_without_fields_gets_no_attention_and_does_not_count_in_the_mean():
    missing = np.array([[False, True], [True, True]])
    fuser = AttentionFuser().fit(FIELDS, missing)
    assert fuser.attention(FIELDS, missing).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert fuser.weights_ == {"title": 1.0, "plot": 0.0}


def test_a_catalogue_without_any_field_has_weights_of_0():
    assert AttentionFuser().fit(FIELDS, ~NOTHING_MISSING).weights_ == {"title": 0.0, "plot": 0.0}


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1e4), st.booleans())
def test_attention_of_each_item_sums_to_1_over_the_fields_it_has(seed, temperature, with_query):
    rng = np.random.default_rng(seed)
    fields = {name: rng.standard_normal((6, 4)).astype(np.float32) for name in "abc"}
    missing = rng.random((6, 3)) < 0.5
    query = rng.standard_normal(4).astype(np.float32) if with_query else None
    weights = AttentionFuser(temperature).attention(fields, missing, query)
    assert np.allclose(weights.sum(axis=1), ~missing.all(axis=1), atol=1e-5)
    assert weights.min() >= 0
    assert not weights[missing].any()


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), 1e7, True])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(InvalidInputError, match=r"`temperature` must be between 0 and 1,000,000; got "):
        fitted(temperature)


def test_fields_of_different_width_are_refused():
    with pytest.raises(InvalidInputError, match=r"AttentionFuser averages fields, .* got \{'title': 2, 'plot': 1\}"):
        AttentionFuser().fit({"title": TITLE, "plot": PLOT[:, :1]}, NOTHING_MISSING)


def test_attending_before_fit_says_what_to_call():
    with pytest.raises(NotFittedError, match="call AttentionFuser.fit first"):
        AttentionFuser().attend(QUERY, FIELDS, NOTHING_MISSING)


def test_attending_with_other_fields_or_another_mask_is_refused():
    with pytest.raises(InvalidInputError, match=r"`fields` must be those of fit, .*; got \['title'\]"):
        fitted().attend(QUERY, {"title": TITLE}, NOTHING_MISSING[:, :1])
    with pytest.raises(InvalidInputError, match=r"`missing` must have .*, shape \(2, 2\); got \(2, 1\)"):
        fitted().attend(QUERY, FIELDS, NOTHING_MISSING[:, :1])
