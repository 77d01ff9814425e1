import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.fusers.concat import ConcatFuser

TITLE, PLOT = np.eye(3, dtype=np.float32), np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
FIELDS = {"title": TITLE, "plot": PLOT}
NOTHING_MISSING = np.zeros((3, 2), dtype=bool)


def test_fields_of_different_width_stand_side_by_side():
    fused = ConcatFuser().fit(FIELDS, NOTHING_MISSING).fuse(FIELDS, NOTHING_MISSING)
    assert np.allclose(fused, np.hstack([TITLE, PLOT]) * np.sqrt(0.5))
    assert fused.dtype == np.float32


def test_a_dot_product_of_items_is_the_weighted_mean_of_field_cosines():
    rng = np.random.default_rng(0)
    fields = {"title": rng.standard_normal((3, 4)), "plot": rng.standard_normal((3, 7))}
    fields = {name: vectors.astype(np.float32) for name, vectors in fields.items()}
    unit = {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in fields.items()}
    fused = ConcatFuser({"title": 3, "plot": 1}).fit(fields, NOTHING_MISSING).fuse(fields, NOTHING_MISSING)
    expected = 0.75 * unit["title"] @ unit["title"].T + 0.25 * unit["plot"] @ unit["plot"].T
    assert np.allclose(fused @ fused.T, expected, atol=1e-6)


def test_a_missing_field_leaves_its_block_empty_and_its_weight_to_the_others():
    missing = np.array([[False, True], [True, False], [True, True]])
    fused = ConcatFuser({"title": 9, "plot": 1}).fit(FIELDS, missing).fuse(FIELDS, missing)
    assert fused.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]


def test_a_query_scores_by_the_mean_of_field_cosines_whatever_was_learned_from_clicks():
    fuser = ConcatFuser().fit(FIELDS, NOTHING_MISSING)
    fuser.weights_ = {"title": 0.9, "plot": 0.1}
    query = fuser.fuse_query({"title": TITLE[:1], "plot": PLOT[:1]})
    scores = query @ fuser.fuse(FIELDS, NOTHING_MISSING).T
    assert np.allclose(scores, [[1.0, 0.5, 0.0]], atol=1e-6)
    longer = fuser.fuse_query({"title": TITLE[:1] * 7, "plot": PLOT[:1] * 3})
    assert np.allclose(longer, query)


def test_given_weights_hold_for_items_and_queries_and_nothing_is_learned():
    clicks = csr_array(np.ones((4, 3), dtype=np.float32))
    fuser = ConcatFuser({"plot": 1, "title": 3}).fit(FIELDS, NOTHING_MISSING, clicks)
    assert fuser.weights_ == fuser.query_weights_ == {"title": 0.75, "plot": 0.25}


def test_weights_are_learned_from_clicks_but_queries_keep_equal_ones():
    fields = {"same": np.ones((4, 2), dtype=np.float32), "group": np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]}
    clicks = csr_array(np.kron(np.eye(2), np.ones((3, 2))).astype(np.float32))
    fuser = ConcatFuser().fit(fields, np.zeros((4, 2), dtype=bool), clicks)
    assert fuser.weights_["group"] > 0.9
    assert fuser.query_weights_ == {"same": 0.5, "group": 0.5}


def test_fitting_again_starts_anew():
    fuser = ConcatFuser().fit(FIELDS, NOTHING_MISSING)
    assert fuser.fit({"cast": TITLE}, np.zeros((3, 1), dtype=bool)).weights_ == {"cast": 1.0}


def test_a_text_with_a_field_of_weight_0_stays_finite():
    fuser = ConcatFuser().fit(FIELDS, NOTHING_MISSING)
    fuser.weights_ = {"title": 1.0, "plot": 0.0}
    assert np.isfinite(fuser.fuse_query(FIELDS)).all()


def test_placing_a_text_before_fit_says_what_to_call():
    with pytest.raises(NotFittedError, match="call ConcatFuser.fit first"):
        ConcatFuser().fuse_query(FIELDS)


def test_weights_of_other_fields_are_refused():
    with pytest.raises(InvalidInputError, match=r"`weights` must name the fields \['title', 'plot'\]; got \['cast'\]"):
        ConcatFuser({"cast": 1}).fit(FIELDS, NOTHING_MISSING)


def test_the_callers_weights_are_stored_and_shown():
    assert ConcatFuser({"title": 2}).get_params() == {"weights": {"title": 2}}
    assert repr(ConcatFuser()) == "ConcatFuser()"
