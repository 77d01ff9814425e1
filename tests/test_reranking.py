from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart import reranking
from coldstart.reranking import diverse_cover


def groups(*sizes):
    """Items in groups that have nothing in common, one axis each."""
    return np.repeat(np.eye(len(sizes), dtype=np.float32), sizes, axis=0)


def cover(vectors, k, allow=None):
    positions, scores = diverse_cover(
        vectors.__getitem__, k, np.arange(len(vectors)) if allow is None else np.array(allow)
    )
    return positions[0].tolist(), scores[0].tolist()


def test_one_item_of_each_group_comes_first_the_largest_group_leading():
    positions, scores = cover(groups(1, 3, 2), 3)
    assert positions == [1, 4, 0]
    assert scores == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_more_items_than_groups_repeat_groups_with_a_score_of_0():
    positions, scores = cover(groups(2, 1), 3)
    assert positions == [0, 2, 1]
    assert scores == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_the_length_of_a_vector_does_not_matter():
    scaled = groups(1, 3, 2) * np.array([[100, 1, 2, 3, 0.1, 50]], dtype=np.float32).T
    assert cover(scaled, 3)[0] == [1, 4, 0]


def test_only_allowed_items_are_chosen_and_covered():
    assert cover(groups(3, 1, 2), 2, allow=[1, 4, 5])[0] == [4, 1]


def test_an_item_of_the_middle_stands_for_all():
    middle_last = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    assert cover(middle_last, 1)[0] == [2]


def test_opposite_items_do_not_cover_each_other():
    positions, scores = cover(np.array([[1], [-1]], dtype=np.float32), 2)
    assert positions == [0, 1]
    assert scores == pytest.approx([0.5, 0.5])


def test_nothing_allowed_gives_nothing():
    assert cover(groups(2), 1, allow=np.array([], dtype=np.int64)) == ([], [])


def test_fewer_items_than_k_give_all_of_them():
    assert sorted(cover(groups(1, 1), 2, allow=[1])[0]) == [1]


def test_items_without_a_vector_come_last():
    vectors = np.zeros((3, 2), dtype=np.float32)
    vectors[2, 0] = 1.0
    assert cover(vectors, 3)[0] == [2, 0, 1]


def test_a_large_catalogue_is_represented_by_evenly_spaced_items_and_still_gives_k():
    with mock.patch.object(reranking, "MAX_CANDIDATES", 3):
        positions, scores = cover(groups(5, 5, 5), 6)
    assert sorted(positions[:3]) == [0, 7, 14]
    assert positions[3:] == [1, 2, 3]
    assert scores[3:] == [0.0, 0.0, 0.0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 20))
def test_choices_are_distinct_and_gains_never_rise(seed, n, k):
    vectors = np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)
    before = vectors.copy()
    positions, scores = cover(vectors, k)
    assert len(set(positions)) == len(positions) == min(n, k)
    assert np.all(np.diff(scores) <= 1e-6)
    assert np.array_equal(vectors, before)
