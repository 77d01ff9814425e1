import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.kernel import NEAREST, KernelRidge, density, kernel, nearest, neighbour_weights

WIDTH, L2 = 3.0, 0.5


def texts(n, seed=0, dim=4):
    rows = np.random.default_rng(seed).standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def naive(vectors, others, width=WIDTH, l2=L2):
    ones, far = vectors.astype(float), others.astype(float)
    gram = np.exp(-width * (1 - ones @ ones.T)) + l2 * np.eye(len(ones))
    return np.linalg.solve(gram, np.exp(-width * (1 - ones @ far.T)))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sampled_from([0.1, 3.0, 20.0]), st.sampled_from([0.1, 3.0]))
def test_the_weights_solve_the_kernel_ridge(seed, n, width, l2):
    vectors, others = texts(n, seed), texts(5, seed + 1)
    found = KernelRidge.of(vectors, width, l2).weights(others)
    assert found.shape == (n, 5)
    np.testing.assert_allclose(found, naive(vectors, others, width, l2), atol=1e-3)


def test_the_kernel_is_1_for_the_same_text_and_falls_with_the_angle():
    east, north, west = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    found = kernel(east[None], np.stack([east, north, west]), 2.0)[0]
    np.testing.assert_allclose(found, np.exp([0.0, -2.0, -4.0]), rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 15))
def test_leave_one_out_weights_are_those_of_a_fit_without_the_item(seed, n):
    vectors, at = texts(n, seed), np.arange(n)[::2]
    found = KernelRidge.of(vectors, WIDTH, L2).leave_one_out(at)
    assert found.shape == (n, len(at))
    for column, item in enumerate(at):
        others = np.delete(np.arange(n), item)
        assert found[item, column] == 0.0
        np.testing.assert_allclose(found[others, column], naive(vectors[others], vectors[[item]])[:, 0], atol=1e-4)


def test_leave_one_out_of_no_items_is_empty():
    assert KernelRidge.of(texts(3), WIDTH, L2).leave_one_out(np.array([], dtype=np.int64)).shape == (3, 0)


def test_the_nearest_text_counts_most():
    vectors = texts(30)
    assert KernelRidge.of(vectors, WIDTH, L2).weights(vectors[[7]])[:, 0].argmax() == 7


@pytest.mark.parametrize("copies", [2, 400])
@pytest.mark.parametrize("l2", [0.1, 3.0])
def test_duplicate_texts_share_their_weight(copies, l2):
    vectors = np.repeat(texts(2), copies, axis=0)  # the kernel alone is singular
    found = KernelRidge.of(vectors, WIDTH, l2).weights(texts(2))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:copies], found[0][None].repeat(copies, axis=0), atol=0.05 / copies)
    alone = naive(texts(2), texts(2), l2=l2 / copies)
    np.testing.assert_allclose(found[:copies].sum(axis=0), alone[0], atol=5e-3)


def test_a_thousand_duplicates_stay_stable_with_a_small_ridge():
    vectors = np.repeat(texts(2), 500, axis=0)
    found = KernelRidge.of(vectors, WIDTH, 0.1).weights(texts(2))
    np.testing.assert_allclose(found[:500].sum(axis=0), [1.0, 0.0], atol=0.05)


def test_items_without_text_have_the_kernel_of_cosine_0():
    vectors = np.vstack([texts(3), np.zeros((2, 4), dtype=np.float32)])
    regression = KernelRidge.of(vectors, WIDTH, L2)
    np.testing.assert_allclose(kernel(vectors[:4], vectors[4:], WIDTH), np.exp(-WIDTH), rtol=1e-6)
    assert np.isfinite(regression.weights(vectors)).all()
    assert np.isfinite(regression.leave_one_out(np.arange(5))).all()


def averaging(vectors, others, count=NEAREST):
    return neighbour_weights(*nearest(vectors, others, count), len(vectors))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 40))
def test_nearest_rows_have_the_largest_cosines_and_ascend(seed, n, count):
    vectors, others = texts(n, seed), texts(6, seed + 1)
    rows, cosines = nearest(vectors, others, count)
    every = others @ vectors.T
    assert rows.shape == cosines.shape == (6, min(n, count))
    assert (rows.dtype, cosines.dtype) == (np.int64, np.float32)
    assert (np.diff(rows, axis=1) > 0).all()
    np.testing.assert_allclose(cosines, np.maximum(np.take_along_axis(every, rows, axis=1), 0.0), atol=1e-6)
    largest = np.sort(np.maximum(every, 0.0), axis=1)[:, ::-1][:, :count]
    np.testing.assert_allclose(np.sort(cosines, axis=1)[:, ::-1], largest, atol=1e-6)


def test_negative_cosines_count_as_0():
    vectors = np.array([[0.6, 0.8], [-1, 0]], dtype=np.float32)
    rows, cosines = nearest(vectors, np.array([[1, 0], [0, 0]], dtype=np.float32))
    assert rows.tolist() == [[0, 1], [0, 1]]
    np.testing.assert_allclose(cosines, [[0.6, 0.0], [0.0, 0.0]], rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 40))
def test_neighbour_weights_sum_to_1_over_at_most_count_rows(seed, n, count):
    vectors, others = texts(n, seed), texts(6, seed + 1)
    found = averaging(vectors, others, count).toarray()
    near = (vectors @ others.T > 1e-3).any(axis=0)
    assert found.shape == (n, 6)
    assert found.min() >= 0.0
    assert (found > 0).sum(axis=0).max(initial=0) <= count
    np.testing.assert_allclose(found[:, near].sum(axis=0), 1.0, atol=1e-5)


def test_neighbour_weights_are_cubed_cosines():
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32)
    east = np.array([[1, 0]], dtype=np.float32)
    found = averaging(vectors, east).toarray()[:, 0]
    np.testing.assert_allclose(found, np.array([1, 0.216, 0, 0]) / 1.216, atol=1e-6)
    assert averaging(vectors, east, 1).toarray()[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_neighbour_weights_stand_in_the_named_rows():
    rows, cosines = np.array([[1, 4], [0, 4]]), np.array([[0.5, 0.5], [0.8, 0.0]], dtype=np.float32)
    found = neighbour_weights(rows, cosines, 6).toarray()
    expected = np.zeros((6, 2))
    expected[[1, 4], 0], expected[0, 1] = 0.5, 1.0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_a_positive_cosine_neighbour_weights_are_0():
    others = np.array([[-1, 0], [0, 0]], dtype=np.float32)
    assert not averaging(np.array([[1, 0]], dtype=np.float32), others).toarray().any()
    assert averaging(texts(3), np.zeros((0, 4), dtype=np.float32)).shape == (3, 0)


def test_neighbours_do_not_depend_on_the_block():
    vectors, others, some = texts(40), texts(1030, 1), [0, 1023, 1024, 1029]
    rows, cosines = nearest(vectors, others, 5)
    assert neighbour_weights(rows, cosines, 40).nnz == 5 * 1030
    of_some = nearest(vectors, others[some], 5)
    np.testing.assert_array_equal(rows[some], of_some[0])
    np.testing.assert_allclose(cosines[some], of_some[1], atol=1e-6)
    found = neighbour_weights(rows, cosines, 40).toarray()[:, some]
    np.testing.assert_allclose(found, neighbour_weights(*of_some, 40).toarray(), atol=1e-6)


def test_by_default_the_nearest_50_are_averaged():
    vectors = np.full((80, 1), 1.0, dtype=np.float32)
    assert averaging(vectors, vectors[:1]).nnz == nearest(vectors, vectors[:1])[0].shape[1] == NEAREST == 50


def test_the_density_is_the_mean_cosine_of_the_nearest():
    found = density(np.array([[1.0, 0.5, 0.0], [0.25, 0.5, 0.0]], dtype=np.float32))
    assert found.tolist() == [0.5, 0.25]
    assert found.dtype == np.float32


def test_density_is_higher_among_similar_items():
    """Of the same number of items, twenty nearly alike and twenty anywhere."""
    alike = texts(20, dim=8) / 5 + np.eye(8, dtype=np.float32)[0]
    vectors = np.vstack([alike / np.linalg.norm(alike, axis=1, keepdims=True), texts(20, 1, dim=8)])
    found = density(nearest(vectors, vectors, 10)[1])
    assert found[:20].min() > found[20:].max()


@pytest.mark.parametrize(("n", "n_others"), [(3, 0), (0, 2), (0, 0)])
def test_without_items_the_density_is_0(n, n_others):
    found = density(np.empty((n_others, n), dtype=np.float32))
    assert found.tolist() == [0.0] * n_others
    assert found.dtype == np.float32


def test_the_inverse_is_right_and_leaves_the_factor_unchanged():
    vectors = texts(15)
    regression = KernelRidge.of(vectors, WIDTH, L2)
    before = regression.weights(vectors[:3])
    gram = kernel(vectors, vectors, WIDTH).astype(float) + L2 * np.eye(15)
    np.testing.assert_allclose(regression.inverse, np.linalg.inv(gram), atol=1e-5)
    np.testing.assert_array_equal(regression.weights(vectors[:3]), before)


def test_weights_for_no_items_are_empty():
    assert KernelRidge.of(texts(3), WIDTH, L2).weights(texts(0)).shape == (3, 0)


def test_arguments_are_not_changed():
    vectors, others = texts(6), texts(4, 1)
    regression = KernelRidge.of(vectors, WIDTH, L2)
    regression.weights(others)
    regression.leave_one_out(np.arange(3))
    rows, cosines = nearest(vectors, others)
    before = cosines.copy()
    neighbour_weights(rows, cosines, 6)
    density(cosines)
    np.testing.assert_array_equal(cosines, before)
    np.testing.assert_array_equal(vectors, texts(6))
    np.testing.assert_array_equal(others, texts(4, 1))


def test_a_kernel_that_is_not_positive_definite_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite; use a larger `kernel_l2`"):
        KernelRidge.of(np.ones((4, 1), dtype=np.float32), WIDTH, -0.5)
