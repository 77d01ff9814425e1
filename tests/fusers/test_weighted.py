import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.errors import InvalidInputError
from coldstart.fusers.weighted import WeightedFuser

TITLE, PLOT = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
FIELDS = {"title": TITLE, "plot": PLOT}
NOTHING_MISSING = np.zeros((2, 2), dtype=bool)


def test_an_item_is_the_weighted_mean_of_its_fields():
    fused = WeightedFuser({"title": 3, "plot": 1}).fit(FIELDS, NOTHING_MISSING).fuse(FIELDS, NOTHING_MISSING)
    assert fused.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    assert fused.dtype == np.float32


def test_without_weights_and_clicks_fields_count_the_same():
    fuser = WeightedFuser().fit(FIELDS, NOTHING_MISSING)
    assert fuser.weights_ == {"title": 0.5, "plot": 0.5}


def test_a_missing_field_leaves_its_weight_to_the_others():
    missing = np.array([[False, True], [True, True]])
    assert WeightedFuser().fit(FIELDS, missing).fuse(FIELDS, missing).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_weights_are_learned_from_clicks_unless_they_were_given():
    fields = {"same": np.ones((4, 2), dtype=np.float32), "group": np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]}
    missing, clicks = np.zeros((4, 2), dtype=bool), csr_array(np.kron(np.eye(2), np.ones((3, 2))).astype(np.float32))
    assert WeightedFuser().fit(fields, missing, clicks).weights_["group"] > 0.9
    assert WeightedFuser({"same": 1, "group": 1}).fit(fields, missing, clicks).weights_ == {"same": 0.5, "group": 0.5}


def test_fields_of_different_width_are_refused():
    with pytest.raises(InvalidInputError, match=r"WeightedFuser averages fields, .* got \{'title': 2, 'plot': 1\}"):
        WeightedFuser().fit({"title": TITLE, "plot": PLOT[:, :1]}, NOTHING_MISSING)


def test_a_negative_weight_is_refused():
    with pytest.raises(InvalidInputError, match="`weights` must be finite, at least 0 and not all 0"):
        WeightedFuser({"title": -1, "plot": 2}).fit(FIELDS, NOTHING_MISSING)


@pytest.mark.keep_prior
def test_a_handful_of_clicks_hardly_moves_the_weights_and_thousands_do():
    rng = np.random.default_rng(0)
    group = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    fields = {"group": group, "noise": rng.standard_normal((40, 2)).astype(np.float32)}
    missing = np.zeros((40, 2), dtype=bool)
    for users, low, high in ((1, 0.5, 0.55), (500, 0.85, 1.0)):
        likes = csr_array(np.kron(np.eye(2), np.ones((users, 20))).astype(np.float32))
        assert low <= WeightedFuser().fit(fields, missing, likes).weights_["group"] <= high
