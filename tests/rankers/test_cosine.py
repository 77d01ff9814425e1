import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import PRIOR_ROWS, CosineRanker
from coldstart.testing import check_ranker

EYE = Features(np.eye(4, dtype=np.float32))


def sparse(rows, n_items):
    return csr_array(np.array(rows, dtype=np.float32).reshape(-1, n_items))


def users(query=None, profile=None, history=None, disliked=None, dim=4, n_items=4):
    """One user; what is not said is zero."""
    texts = [np.zeros(dim) if said is None else said for said in (query, profile)]
    lists = [np.zeros(n_items) if said is None else said for said in (history, disliked)]
    query_row, profile_row = (Features(np.array([text], dtype=np.float32)) for text in texts)
    return Users(*(sparse([row], n_items) for row in lists), query_row, profile_row)


def plain(**weights):
    return CosineRanker(center=False, **weights).fit(EYE)


def score(ranker, **said):
    return ranker.score(users(**said), EYE)[0]


def axis(at):
    return np.eye(4)[at]


def test_the_contract_of_a_ranker_holds():
    check_ranker(CosineRanker())


def test_the_four_parts_of_a_user_combine_by_their_weights():
    ranker = plain(query_weight=4, profile_weight=2, history_weight=3, disliked_weight=1)
    said = users(query=axis(0), profile=axis(1), history=axis(2), disliked=axis(3))
    vector = ranker.user_vectors(said, EYE.dense)[0]
    assert np.allclose(vector, np.array([4, 2, 3, -1]) / np.sqrt(30), atol=1e-6)


def test_by_default_a_profile_and_a_dislike_count_half():
    said = users(query=axis(0), profile=axis(1), history=axis(2), disliked=axis(3))
    vector = plain().user_vectors(said, EYE.dense)[0]
    assert np.allclose(vector / vector[0], [1, 0.5, 1, -0.5], atol=1e-6)


def test_a_part_that_a_request_lacks_is_left_out():
    assert np.allclose(score(plain(), query=axis(1)), axis(1))
    assert np.allclose(score(plain(), history=axis(2)), axis(2))


def test_the_length_of_a_history_does_not_matter():
    one, other = (score(plain(), query=axis(0), history=axis(1) * length) for length in (1, 9))
    assert np.allclose(one, other)
    assert one[0] == pytest.approx(one[1])


def test_a_text_counts_by_the_length_the_fuser_gave_it():
    scores = score(plain(), query=axis(0) * 3, history=axis(1))
    assert scores[0] == pytest.approx(3 * scores[1])


def test_an_item_liked_more_counts_more_within_a_history():
    scores = score(plain(), history=[3, 1, 0, 0])
    assert scores[0] == pytest.approx(3 * scores[1])


def test_the_number_of_dislikes_does_not_matter():
    one, other = (score(plain(), query=axis(0), disliked=axis(1) * length) for length in (1, 9))
    assert np.allclose(one, other)


def test_a_dislike_pushes_the_item_and_its_like_down():
    items = Features(np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float32))
    ranker = CosineRanker(center=False).fit(items)
    without, scores = (ranker.score(users(query=[1, 0, 1, 0], disliked=d), items)[0] for d in (None, axis(0)))
    assert np.all(scores[:2] < without[:2])
    assert scores[2] > scores[0]
    assert score(plain(), disliked=axis(0)).tolist() == [-1, 0, 0, 0]


def test_an_empty_request_scores_0_everywhere():
    assert not score(plain()).any()
    assert not score(CosineRanker().fit(EYE)).any()


def test_no_users_have_no_scores():
    nothing, lists = Features(np.zeros((0, 4), dtype=np.float32)), csr_array((0, 4), dtype=np.float32)
    assert plain().score(Users(lists, lists, nothing, nothing), EYE).shape == (0, 4)


def test_centring_removes_what_all_items_share():
    tell_apart = np.tile(np.eye(3, dtype=np.float32), (200, 1))
    items = CosineRanker().fit(features := Features(tell_apart + 100.0)).item_vectors(features)
    likeness = items @ items.T
    assert likeness[0, 3] == pytest.approx(1.0, abs=1e-3)
    assert likeness[0, 1] < 0.0
    uncentred = CosineRanker(center=False).fit(features).item_vectors(features)
    assert (uncentred @ uncentred.T).min() > 0.999


def test_items_with_the_same_missing_fields_are_centred_on_their_own_mean():
    signal = np.tile(np.eye(6, dtype=np.float32)[:2], (1000, 1))
    missing = np.repeat([[False, False], [False, True]], 1000, axis=0)
    offset = np.where(missing[:, 1:], np.eye(6)[3], np.eye(6)[4]) * 5
    features = Features((signal + offset).astype(np.float32), None, missing)
    ranker = CosineRanker().fit(features)
    items = ranker.item_vectors(features)
    assert ranker.patterns_.tolist() == [[False, False], [False, True]]
    assert items[0] @ items[1000] > 0.95  # the same signal, other fields
    assert items[0] @ items[1] < -0.9  # another signal, the same fields


def test_group_means_are_shrunk_by_ten_rows_of_the_overall_mean():
    dense = np.array([[2.0], [4.0], [9.0]], dtype=np.float32)
    missing = np.array([[False], [False], [True]])
    overall = 15 / (3 + PRIOR_ROWS)
    expected = [(6 + PRIOR_ROWS * overall) / (2 + PRIOR_ROWS), (9 + PRIOR_ROWS * overall) / (1 + PRIOR_ROWS), overall]
    ranker = CosineRanker().fit(Features(dense, None, missing))
    assert ranker.centers_.ravel().tolist() == pytest.approx(expected)
    assert ranker.centers_.dtype == np.float32


def test_a_new_item_with_fields_missing_as_never_before_is_centred_on_the_mean_of_all():
    ranker = CosineRanker().fit(Features(np.ones((50, 2), np.float32), None, np.zeros((50, 2), bool)))
    new = Features(np.array([[1, 2]], np.float32), None, np.array([[True, False]]))
    expected = new.dense[0] - ranker.centers_[-1]
    assert np.allclose(ranker.item_vectors(new)[0], expected / np.linalg.norm(expected))


def test_an_items_vector_does_not_depend_on_the_other_items_scored():
    ranker = CosineRanker().fit(EYE)
    assert np.allclose(ranker.item_vectors(Features(EYE.dense[2:])), ranker.item_vectors(EYE)[2:])


def test_without_a_mask_nothing_is_missing():
    masked = Features(EYE.dense, None, np.zeros((4, 1), dtype=bool))
    assert np.array_equal(CosineRanker().fit(EYE).item_vectors(masked), CosineRanker().fit(masked).item_vectors(EYE))


@pytest.mark.parametrize("center", [True, False])
def test_items_without_fields_stay_zero(center):
    features = Features(np.array([[1, 2], [0, 0], [3, 1]], dtype=np.float32))
    items = CosineRanker(center=center).fit(features).item_vectors(features)
    assert items[1].tolist() == [0.0, 0.0]
    assert np.allclose(np.linalg.norm(items[[0, 2]], axis=1), 1.0)


def test_one_item_keeps_its_direction():
    one = Features(np.array([[3.0, 4.0]], dtype=np.float32))
    assert np.allclose(CosineRanker().fit(one).item_vectors(one), [[0.6, 0.8]])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_scores_are_dot_products_of_unit_vectors_between_minus_1_and_1(seed, center):
    rng = np.random.default_rng(seed)
    features = Features(rng.standard_normal((7, 4)).astype(np.float32), None, rng.random((7, 2)) < 0.5)
    said = Users(
        sparse(rng.integers(0, 3, (3, 7)), 7),
        sparse(rng.integers(0, 2, (3, 7)), 7),
        Features(rng.standard_normal((3, 4)).astype(np.float32)),
        Features(rng.standard_normal((3, 4)).astype(np.float32)),
    )
    ranker = CosineRanker(center=center).fit(features)
    items = ranker.item_vectors(features)
    vectors = ranker.user_vectors(said, items)
    scores = ranker.score(said, features)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.allclose(scores, vectors @ items.T, atol=1e-6)
    assert np.abs(scores).max() <= 1 + 1e-5
    assert scores.dtype == np.float32


def test_clicks_are_not_used_and_arguments_are_not_changed():
    dense = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    before, clicks = dense.copy(), csr_array(np.eye(4, dtype=np.float32))
    with_clicks, without = CosineRanker().fit(Features(dense), clicks), CosineRanker().fit(Features(dense))
    with_clicks.item_vectors(Features(dense))
    assert np.array_equal(with_clicks.centers_, without.centers_)
    assert np.array_equal(dense, before)


def test_fitting_again_starts_anew():
    ranker = CosineRanker().fit(Features(np.ones((9, 2), np.float32), None, np.eye(9, dtype=bool)))
    assert ranker.fit(EYE).centers_.shape == (2, 4)
    assert ranker.patterns_.tolist() == [[False]]


@pytest.mark.parametrize("center", [True, False])
def test_scoring_before_fit_says_what_to_call(center):
    with pytest.raises(NotFittedError, match="CosineRanker must be fitted before it is used; call CosineRanker.fit"):
        CosineRanker(center=center).item_vectors(EYE)


def test_vectors_must_be_finite_rows():
    with pytest.raises(InvalidInputError, match=r"`features\.dense` must be finite; .* in 1 of 2 rows, .* row 1"):
        CosineRanker().fit(Features(np.array([[1.0], [np.nan]], dtype=np.float32)))
    with pytest.raises(InvalidInputError, match=r"`features\.dense` must have shape \(n, dim\)"):
        CosineRanker().fit(Features(np.ones(3, dtype=np.float32)))


@pytest.mark.parametrize("name", ["query_weight", "profile_weight", "history_weight", "disliked_weight"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_weight_below_0_is_refused(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be"):
        CosineRanker(**{name: value}).fit(EYE)
