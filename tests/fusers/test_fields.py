import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.fusers import _fields
from coldstart.fusers._fields import (
    _margins,
    check_fields,
    check_one_space,
    item_weights,
    learn_weights,
    normalised_weights,
    sum_weighted,
)
from coldstart.fusers.attention import AttentionFuser
from coldstart.fusers.concat import ConcatFuser
from coldstart.fusers.weighted import WeightedFuser
from coldstart.testing import check_fuser

every_fuser = pytest.mark.parametrize("fuser_class", [ConcatFuser, WeightedFuser, AttentionFuser])
EYE = np.eye(2, dtype=np.float32)


@st.composite
def catalogues(draw):
    """Random fields of 1 to 8 items, some cells missing."""
    n, n_fields = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    fields = {f"field {at}": rng.standard_normal((n, 5)).astype(np.float32) for at in range(n_fields)}
    return fields, rng.random((n, n_fields)) < 0.4, rng


def checkerboard(signal_noise=0.3, seed=0):
    """Two groups of ten items; one field tells the groups apart, the other is noise; users stay in a group."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1], 10)
    signal = np.eye(6)[group] + signal_noise * rng.standard_normal((20, 6))
    noise = rng.standard_normal((20, 6))
    clicks = np.kron(np.eye(2), np.ones((15, 10))) * (rng.random((30, 20)) < 0.6)
    fields = {"noise": noise.astype(np.float32), "signal": signal.astype(np.float32)}
    return fields, np.zeros((20, 2), dtype=bool), csr_array(clicks.astype(np.float32))


@every_fuser
def test_the_contract_of_a_fuser_holds(fuser_class):
    check_fuser(fuser_class())


@every_fuser
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_an_items_row_does_not_depend_on_the_other_items(fuser_class, catalogue):
    fields, missing, rng = catalogue
    fuser = fuser_class().fit(fields, missing)
    order = rng.permutation(len(missing))[: rng.integers(1, len(missing) + 1)]
    part = fuser.fuse({name: vectors[order] for name, vectors in fields.items()}, missing[order])
    assert np.allclose(part, fuser.fuse(fields, missing)[order], atol=1e-6)


@every_fuser
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_the_vector_of_a_missing_cell_has_no_effect(fuser_class, catalogue):
    fields, missing, rng = catalogue
    fuser = fuser_class().fit(fields, missing)
    other = {n: v.copy() for n, v in fields.items()}
    for at, vectors in enumerate(other.values()):
        vectors[missing[:, at]] = rng.standard_normal(5)
    again = fuser_class().fit(other, missing)
    assert np.allclose(again.fuse(other, missing), fuser.fuse(fields, missing), atol=1e-6)
    assert again.weights_ == pytest.approx(fuser.weights_)


@every_fuser
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_the_weights_name_the_fields_and_sum_to_1(fuser_class, catalogue):
    fields, missing, _ = catalogue
    missing[0] = False
    fuser = fuser_class().fit(fields, missing)
    assert list(fuser.weights_) == list(fields)
    assert sum(fuser.weights_.values()) == pytest.approx(1.0, abs=1e-5)
    assert min(fuser.weights_.values()) >= 0


@every_fuser
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_the_length_of_a_field_vector_does_not_matter(fuser_class, catalogue):
    fields, missing, rng = catalogue
    longer = {n: (v * rng.uniform(0.5, 20, (len(v), 1))).astype(np.float32) for n, v in fields.items()}
    fuser = fuser_class().fit(fields, missing)
    assert np.allclose(fuser.fuse(longer, missing), fuser.fuse(fields, missing), atol=1e-5)


@every_fuser
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_rows_are_zero_only_when_every_field_is_missing(fuser_class, catalogue):
    fields, missing, _ = catalogue
    fused = fuser_class().fit(fields, missing).fuse(fields, missing)
    assert fused.dtype == np.float32
    assert np.array_equal(~fused.any(axis=1), missing.all(axis=1))


@pytest.mark.parametrize(("fuser_class", "shortest"), [(ConcatFuser, 1 - 1e-5), (WeightedFuser, 0)])
@settings(deadline=None, max_examples=50)
@given(catalogue=catalogues())
def test_a_fused_row_is_as_long_as_one_field_at_most(fuser_class, shortest, catalogue):
    fields, missing, _ = catalogue
    fused = fuser_class().fit(fields, missing).fuse(fields, missing)
    lengths = np.linalg.norm(fused, axis=1)[~missing.all(axis=1)]
    assert np.all((shortest <= lengths) & (lengths <= 1 + 1e-5))


@every_fuser
def test_the_callers_arrays_are_left_as_they_were(fuser_class):
    fields, missing, clicks = checkerboard()
    before = {name: vectors.copy() for name, vectors in fields.items()}, missing.copy(), clicks.copy()
    fuser_class().fit(fields, missing, clicks).fuse(fields, missing)
    assert all(np.array_equal(fields[name], before[0][name]) for name in fields)
    assert np.array_equal(missing, before[1])
    assert np.array_equal(clicks.toarray(), before[2].toarray())


@every_fuser
def test_one_field_of_one_item_points_where_that_field_does(fuser_class):
    fields, missing = {"title": np.array([[3.0, 4.0]], dtype=np.float32)}, np.array([[False]])
    fused = fuser_class().fit(fields, missing).fuse(fields, missing)
    assert np.allclose(fused / np.linalg.norm(fused), [[0.6, 0.8]])


@every_fuser
def test_no_items_are_fused_to_no_rows(fuser_class):
    fuser = fuser_class().fit({"title": EYE}, np.zeros((2, 1), dtype=bool))
    assert len(fuser.fuse({"title": EYE[:0]}, np.zeros((0, 1), dtype=bool))) == 0


@every_fuser
def test_fusing_before_fit_says_what_to_call(fuser_class):
    name = fuser_class.__name__
    with pytest.raises(NotFittedError, match=f"{name} must be fitted before it is used; call {name}.fit first"):
        fuser_class().fuse({"title": EYE}, np.zeros((2, 1), dtype=bool))


@every_fuser
def test_no_fields_are_refused(fuser_class):
    with pytest.raises(InvalidInputError, match="`fields` must hold at least 1 field; got none"):
        fuser_class().fit({}, np.zeros((2, 0), dtype=bool))


@every_fuser
@pytest.mark.parametrize("shape", [(2, 2), (2,), (2, 0)])
def test_a_mask_of_another_shape_is_refused(fuser_class, shape):
    with pytest.raises(InvalidInputError, match=r"`missing` must have one column per field, shape \(2, 1\); got \(2,"):
        fuser_class().fit({"title": EYE}, np.zeros(shape, dtype=bool))


@every_fuser
def test_a_mask_of_another_number_of_items_is_refused(fuser_class):
    with pytest.raises(InvalidInputError, match=r"`fields\['title'\]` must have 3 rows; got 2"):
        fuser_class().fit({"title": EYE}, np.zeros((3, 1), dtype=bool))


@every_fuser
def test_other_fields_than_those_of_fit_are_refused(fuser_class):
    missing = np.zeros((2, 2), dtype=bool)
    fuser = fuser_class().fit({"a": EYE, "b": EYE}, missing)
    for names in ("ac", "ba"):
        with pytest.raises(InvalidInputError, match=r"`fields` must be those of fit, \['a', 'b'\]; got \['[ab]"):
            fuser.fuse(dict.fromkeys(names, EYE), missing)


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [(EYE[0], r"must have shape \(n, dim\)"), (EYE * np.nan, "must be finite; got NaN or infinity in 2 of 2 rows")],
)
def test_field_vectors_must_be_finite_rows(vectors, problem):
    with pytest.raises(InvalidInputError, match=rf"`fields\['plot'\]` {problem}"):
        check_fields({"title": EYE, "plot": vectors}, np.zeros((2, 2), dtype=bool))


def test_fields_of_different_width_cannot_be_averaged():
    check_one_space({"a": EYE, "b": EYE}, "WeightedFuser")
    with pytest.raises(InvalidInputError, match=r"WeightedFuser averages .* got \{'a': 2, 'b': 1\}\..*ConcatFuser"):
        check_one_space({"a": EYE, "b": EYE[:, :1]}, "WeightedFuser")


def test_given_weights_are_scaled_to_1_in_the_order_of_the_fields():
    weights = normalised_weights({"plot": 1, "title": 3}, ("title", "plot"))
    assert weights == {"title": 0.75, "plot": 0.25}
    assert list(weights) == ["title", "plot"]
    assert normalised_weights(None, ("a", "b", "c", "d")) == dict.fromkeys("abcd", 0.25)
    assert normalised_weights({"a": 0, "b": 2}, ("a", "b")) == {"a": 0.0, "b": 1.0}
    assert normalised_weights({"a": 0.2, "b": 0.3}, ("a", "b")) == pytest.approx({"a": 0.4, "b": 0.6})


@pytest.mark.parametrize("names", [["title"], ["title", "plot", "cast"], ["title", "Plot"], []], ids=repr)
def test_weights_of_other_fields_are_refused(names):
    with pytest.raises(InvalidInputError, match=r"`weights` must name the fields \['title', 'plot'\]; got \["):
        normalised_weights(dict.fromkeys(names, 1), ("title", "plot"))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 0.0])
def test_weights_below_0_not_finite_or_all_0_are_refused(value):
    with pytest.raises(InvalidInputError, match=r"`weights` must be finite, at least 0 and not all 0; got \{'title': "):
        normalised_weights({"title": value, "plot": 0.0}, ("title", "plot"))


def test_shares_are_split_among_the_fields_an_item_has():
    missing = np.array([[False, False, False], [True, False, False], [True, True, True], [False, True, True]])
    actual = item_weights({"a": 0.5, "b": 0.25, "c": 0.25}, missing)
    assert actual.tolist() == [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_field_vectors_are_summed_by_the_weights_of_each_item():
    weights = np.array([[0.75, 0.25], [0.0, 1.0]], dtype=np.float32)
    vectors = [EYE, EYE[::-1]]
    total = sum_weighted(vectors, weights)
    assert total.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert total.dtype == np.float32
    assert np.array_equal(vectors[0], np.eye(2))


@pytest.mark.parametrize("seed", range(3))
def test_a_field_that_explains_the_clicks_gets_more_weight_than_noise(seed):
    weights = learn_weights(*checkerboard(seed=seed))
    assert weights["signal"] > 0.8
    assert sum(weights.values()) == pytest.approx(1.0)
    assert min(weights.values()) >= 0


def test_a_field_whose_cosines_are_reversed_gets_no_weight():
    fields, missing, clicks = checkerboard(signal_noise=0.0)
    mixed = np.tile(np.eye(6, dtype=np.float32)[[0, 1]], (10, 1))
    weights = learn_weights({"signal": fields["signal"], "mixed": mixed}, missing, clicks)
    assert weights["signal"] > 5 * weights["mixed"]


def test_learning_is_the_same_every_time():
    assert learn_weights(*checkerboard()) == learn_weights(*checkerboard())


def test_nothing_is_learned_from_a_missing_cell():
    fields, missing, clicks = checkerboard()
    missing[::3, 0] = True
    other = fields | {"noise": np.where(missing[:, :1], 7.0, fields["noise"]).astype(np.float32)}
    assert learn_weights(other, missing, clicks) == pytest.approx(learn_weights(fields, missing, clicks))


def test_a_field_that_no_item_has_leaves_the_weight_to_the_others():
    fields, missing, clicks = checkerboard()
    missing[:, 0] = True
    assert learn_weights(fields, missing, clicks)["signal"] > 0.9


def test_the_strength_of_a_click_does_not_matter():
    fields, missing, clicks = checkerboard()
    assert learn_weights(fields, missing, clicks * 3.0) == pytest.approx(learn_weights(fields, missing, clicks))


def three_groups():
    """Groups a, b and c of three items each, every user likes one whole group; their centred cosines are -1/2."""
    one_hot = np.repeat(np.eye(3, dtype=np.float32), 3, axis=0)
    return one_hot, np.zeros((9, 1), dtype=bool), csr_array(np.kron(np.eye(3), np.ones((2, 3))).astype(np.float32))


@pytest.mark.parametrize("offset", [0.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_margin_is_the_cosine_of_the_clicked_item_above_that_of_another(offset, scale):
    vectors, missing, clicks = three_groups()
    margins = _margins({"field": (vectors + offset) * scale}, missing, clicks)
    assert margins.shape == (18, 1)
    same, other = np.isclose(margins, 0.0, atol=1e-4), np.isclose(margins, 1.5, atol=1e-4)
    assert np.all(same | other)
    assert 0 < same.sum() < other.sum()


def test_a_margin_does_not_count_what_is_missing():
    vectors, missing, clicks = three_groups()
    assert not _margins({"field": vectors}, ~missing, clicks).any()


def test_weights_are_learned_from_a_sample_of_many_clicks():
    vectors, missing, clicks = three_groups()
    with mock.patch.object(_fields, "MAX_PAIRS", 5):
        assert _margins({"field": vectors}, missing, clicks).shape == (5, 1)


def test_two_clicks_of_a_user_are_enough_to_learn_from():
    fields, missing, _ = checkerboard()
    clicks = np.zeros((20, 20))
    for user in range(20):
        clicks[user, [user, (user + 1) % 10 + user // 10 * 10]] = 1
    assert learn_weights(fields, missing, csr_array(clicks))["signal"] > 0.8


@pytest.mark.parametrize(
    "clicks", [np.zeros((0, 20)), np.zeros((3, 20)), np.eye(20)], ids=["no users", "no clicks", "one click each"]
)
def test_nothing_to_learn_from_means_equal_weights(clicks):
    fields, missing, _ = checkerboard()
    assert learn_weights(fields, missing, csr_array(clicks)) == {"noise": 0.5, "signal": 0.5}


@pytest.mark.parametrize("fuser_class", [ConcatFuser, WeightedFuser])
def test_equal_weights_stay_equal_whatever_the_clicks(fuser_class):
    fields, missing, clicks = checkerboard()
    assert fuser_class().fit(fields, missing, clicks).weights_["signal"] > 0.8
    assert fuser_class("equal").fit(fields, missing, clicks).weights_ == {"noise": 0.5, "signal": 0.5}


@pytest.mark.parametrize("weights", ["even", "", 3, [0.5, 0.5]])
def test_weights_are_a_mapping_or_the_word_equal(weights):
    expected = re.escape(f'`weights` must be a mapping of field to number, "equal" or None; got {weights!r}.')
    with pytest.raises(InvalidInputError, match=expected):
        normalised_weights(weights, ("title", "plot"))


def test_users_with_one_click_beside_others_do_no_harm():
    fields, missing, clicks = checkerboard()
    more = csr_array(np.vstack([clicks.toarray(), np.eye(20)]).astype(np.float32))
    assert learn_weights(fields, missing, more)["signal"] > 0.8


@pytest.mark.parametrize("fuser_class", [ConcatFuser, WeightedFuser])
def test_a_mask_that_is_not_bool_is_refused(fuser_class):
    missing = np.zeros((2, 1), dtype=np.int64)
    with pytest.raises(InvalidInputError, match="`missing` must"):
        fuser_class().fit({"title": EYE}, missing).fuse({"title": EYE}, missing)
