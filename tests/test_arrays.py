import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from coldstart._arrays import (
    GROUPS,
    PRIOR_ROWS,
    SAMPLE,
    USUAL_SPREAD,
    as_matrix,
    blocks,
    check_between,
    generator,
    in_blocks,
    largest,
    spread,
    unit_rows,
)
from coldstart.errors import InvalidInputError


@pytest.mark.parametrize("make", [list, np.array, np.asfortranarray, lambda rows: np.array(rows, np.float32)])
def test_a_matrix_is_float32_rows_in_memory_order(make):
    matrix = as_matrix(make([[1, 2], [3, 4]]), "x")
    assert matrix.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (matrix.dtype, matrix.flags.c_contiguous) == (np.float32, True)


def test_no_rows_are_a_matrix():
    assert as_matrix(np.zeros((0, 3)), "x").shape == (0, 3)


@pytest.mark.parametrize(("values", "shape"), [([1.0], r"\(1,\)"), (5.0, r"\(1,\)"), ([[[1.0]]], r"\(1, 1, 1\)")])
def test_anything_but_rows_is_refused(values, shape):
    with pytest.raises(InvalidInputError, match=rf"`vectors` must have shape \(n, dim\); got shape {shape}"):
        as_matrix(values, "vectors")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_counted_and_the_first_is_named(bad):
    with pytest.raises(InvalidInputError, match="`x` must be finite; .* in 2 of 4 rows, the first is row 1"):
        as_matrix([[0.0, 0.0], [bad, 0.0], [0.0, 0.0], [0.0, bad]], "x")


@pytest.mark.parametrize("value", [1, 5, 10, np.int64(3)])
def test_both_ends_of_a_range_are_within(value):
    check_between("k", value, 1, 10)


@pytest.mark.parametrize("value", [0, 11, -5, True, False, "5", None, np.int64(11)], ids=repr)
def test_out_of_range_is_refused(value):
    with pytest.raises(InvalidInputError, match=f"`k` must be between 1 and 10; got {re.escape(repr(value))}"):
        check_between("k", value, 1, 10)


@pytest.mark.parametrize("value", [2.5, 1.0, float("nan"), float("inf")])
def test_a_range_of_whole_numbers_holds_no_others(value):
    with pytest.raises(InvalidInputError, match=f"`k` must be a whole number between 1 and 10; got {value}"):
        check_between("k", value, 1, 10)


@pytest.mark.parametrize("value", [0, 1, 0.5, 0.0, np.float32(0.25)])
def test_a_range_that_starts_with_a_float_holds_any_number(value):
    check_between("dropout", value, 0.0, 1.0)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "0.5", None], ids=repr)
def test_what_is_outside_such_a_range_is_refused(value):
    with pytest.raises(InvalidInputError, match=f"`dropout` must be between 0 and 0.99; got {value!r}"):
        check_between("dropout", value, 0.0, 0.99)


def test_the_message_groups_digits_and_ends_with_the_hint():
    expected = r"^`k` must be between 1 and 1,204; got 5000\. Pass k <= 1204\.$"
    with pytest.raises(InvalidInputError, match=expected):
        check_between("k", 5000, 1, 1204, "Pass k <= 1204.")
    with pytest.raises(InvalidInputError, match=r"got 0\.$"):
        check_between("k", 0, 1, 2)


matrices = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
    elements=st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3),
)


@settings(deadline=None, max_examples=100)
@given(matrices)
def test_unit_rows_have_length_1_or_stay_0_and_keep_their_direction(matrix):
    before = matrix.copy()
    unit = unit_rows(matrix)
    norms = np.linalg.norm(matrix, axis=1)
    assert unit.dtype == np.float32
    assert np.allclose(np.linalg.norm(unit, axis=1), norms > 0, atol=1e-5)
    assert np.allclose(unit * norms[:, None], matrix, atol=1e-4, rtol=1e-4)
    assert np.array_equal(matrix, before)


@given(st.integers(0, 60), st.integers(1, 70))
def test_blocks_cover_everything_once_in_order(total, size):
    parts = list(blocks(total, size))
    assert [at for part in parts for at in range(total)[part]] == list(range(total))
    assert all(0 < part.stop - part.start <= size for part in parts)


def test_the_same_seed_draws_the_same_numbers():
    first = generator(7).random(3)
    assert np.array_equal(first, generator(7).random(3))
    assert np.array_equal(first, generator(np.random.SeedSequence(7)).random(3))
    assert not np.array_equal(first, generator(8).random(3))


def test_a_generator_is_used_as_it_is():
    rng = np.random.default_rng(0)
    assert generator(rng) is rng


def test_no_seed_draws_new_numbers_each_time():
    assert generator(None).random() != generator(None).random()


@pytest.mark.parametrize("values", [[["a"]], [[1.0], [1.0, 2.0]], [[1e300]]], ids=["text", "ragged", "too large"])
def test_values_that_are_no_float32_rows_are_refused(values):
    with pytest.raises(InvalidInputError, match="`x` must "):
        as_matrix(values, "x")


def assert_largest(scores, count):
    before = scores.copy()
    actual = largest(scores, count)
    assert (actual.shape, actual.dtype) == ((len(scores), count), scores.dtype)
    np.testing.assert_array_equal(np.sort(actual, axis=1), np.sort(before, axis=1)[:, before.shape[1] - count :])
    np.testing.assert_array_equal(scores, before)


scores_of_any = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-100, 100, width=32) | st.just(-np.inf),
)


class TestLargest:
    @settings(deadline=None, max_examples=100)
    @given(scores_of_any, st.data())
    def test_of_short_rows(self, scores, data):
        assert_largest(scores, data.draw(st.integers(1, scores.shape[1])))

    @settings(deadline=None, max_examples=40)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n_rows=st.integers(1, 3),
        over=st.integers(-3, 3 * GROUPS),
        count=st.integers(1, GROUPS // 4 + 2),
        levels=st.sampled_from([2, 30, 10**6]),
    )
    def test_of_long_rows_with_and_without_ties(self, seed, n_rows, over, count, levels):
        drawn = np.random.default_rng(seed).integers(0, levels, (n_rows, 8 * GROUPS + over)).astype(np.float32)
        assert_largest(np.where(drawn == 0, np.float32(-np.inf), drawn), count)

    @pytest.mark.parametrize("at", [[0, GROUPS, 2 * GROUPS, 7 * GROUPS], [5, 6, 7, 8], [-1, -2, -3, -4]], ids=str)
    def test_at_any_place_of_a_long_row(self, at):
        """All in one group, one in each of four groups, and in the rest of the row that belongs to no group."""
        scores = np.random.default_rng(0).random((2, 8 * GROUPS + 50)).astype(np.float32)
        scores[0, at] += np.float32(10.0)
        assert_largest(scores, 4)
        assert largest(scores, 4)[0].min() > 9.0

    @pytest.mark.parametrize("length", [1, 20, 8 * GROUPS, 8 * GROUPS + 1])
    def test_as_many_as_the_row_is_long(self, length):
        assert_largest(np.random.default_rng(1).random((2, length)).astype(np.float32), length)

    @pytest.mark.parametrize("value", [0.0, -np.inf])
    def test_of_equal_numbers(self, value):
        assert_largest(np.full((2, 9 * GROUPS), value, dtype=np.float32), 20)

    def test_of_groups_of_many_numbers(self):
        assert_largest(np.random.default_rng(2).permutation(200 * GROUPS).astype(np.float32)[None], GROUPS // 4)

    def test_of_a_matrix_that_is_not_contiguous(self):
        scores = np.asfortranarray(np.random.default_rng(3).random((3, 9 * GROUPS)).astype(np.float32))
        assert_largest(scores, 20)
        assert_largest(scores[:, ::2], 20)

    @pytest.mark.parametrize(
        "length",
        [
            20,
            8 * GROUPS - 1,
            8 * GROUPS,
        ],
    )
    def test_of_no_rows(self, length):
        assert largest(np.zeros((0, length), dtype=np.float32), 20).shape == (0, 20)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("total", [0, 1, 5])
def test_in_blocks_equals_one_call_and_asks_for_size_rows_at_most(total, size):
    everything, seen = np.arange(3 * total, dtype=np.float32).reshape(total, 3), []

    def make(block):
        seen.append(len(everything[block]))
        return everything[block] * 2

    actual = in_blocks(make, total, size)
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, everything * 2)
    assert max(seen) <= size
    assert sum(seen) == total


def drawn_rows(count, dim=16, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def with_prior(variance, count):
    return np.sqrt((count * variance + PRIOR_ROWS * USUAL_SPREAD**2) / (count + PRIOR_ROWS))


class TestSpread:
    @pytest.mark.parametrize("count", [0, 1])
    def test_of_no_row_or_one_it_is_that_of_the_prior(self, count):
        actual = spread(drawn_rows(count))
        assert type(actual) is float
        assert actual == pytest.approx(with_prior(0.0, count))
        assert 0.09 < actual <= USUAL_SPREAD

    @pytest.mark.parametrize("count", [2, 100, SAMPLE])
    def test_a_row_is_not_compared_with_itself(self, count):
        """Rows at right angles: every product is 0, only those of a row with itself are 1."""
        assert spread(np.eye(count, dtype=np.float32)) == pytest.approx(with_prior(0.0, count))

    def test_of_two_opposite_kinds_of_rows(self):
        """Products are 1 within a kind and -1 across: 49 and 50 of 99."""
        rows = np.ones((100, 1), dtype=np.float32)
        rows[::2] = -1.0
        expected = with_prior(1 - (1 / 99) ** 2, 100)
        assert spread(rows) == pytest.approx(expected, rel=1e-5)
        assert expected > 0.9

    def test_it_is_the_standard_deviation_of_the_products_shrunk_towards_the_prior(self):
        rows, others = drawn_rows(60), drawn_rows(60, seed=1)
        products = [float(rows[i] @ others[j]) for i in range(60) for j in range(60) if i != j]
        assert spread(rows, others) == pytest.approx(with_prior(np.var(products), 60), rel=1e-4)
        assert spread(rows) == spread(rows, rows)

    def test_of_many_rows_the_prior_hardly_counts(self):
        assert spread(drawn_rows(5000, dim=16)) == pytest.approx(0.25, rel=0.05)
        assert spread(drawn_rows(5000, dim=100) * np.float32(3.0)) == pytest.approx(0.9, rel=0.05)

    def test_a_sample_is_taken_from_the_whole_length(self):
        """The kinds stand one after the other; the first rows alone are of one kind."""
        rows = np.repeat(np.eye(4, dtype=np.float32), 1000, axis=0)
        assert spread(rows) == pytest.approx(np.sqrt(3) / 4, rel=0.05)
        assert spread(rows[:1000]) == pytest.approx(with_prior(0.0, SAMPLE))

    def test_a_constant_added_to_all_products_does_not_change_it(self):
        rows = drawn_rows(200)
        shifted = np.hstack([rows, np.full((200, 1), 2.0, dtype=np.float32)])
        assert spread(shifted) == pytest.approx(spread(rows), rel=1e-4)

    def test_the_rows_are_not_changed(self):
        rows = drawn_rows(30)
        before = rows.copy()
        spread(rows, rows)
        np.testing.assert_array_equal(rows, before)

    @settings(deadline=None, max_examples=60)
    @given(matrices)
    def test_it_is_positive_and_finite(self, matrix):
        assert 0 < spread(matrix) < np.inf
