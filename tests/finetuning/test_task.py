import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import coldstart as cs
from coldstart.data.holdout import cut
from coldstart.errors import InvalidInputError
from coldstart.finetuning.task import MAX_STEPS, MIN_USERS, FinetuneTask, Items, means
from coldstart.testing import HashEncoder

ROWS = {
    "id": ["a", "b", "c", "d"],
    "title": ["red rose", None, "été 日本 🌹", None],
    "plot": ["a rose in spring", "the moon", None, None],
    "kind": ["flower", None, "other", "flower"],
    "same": ["x", "x", None, "x"],
}


def catalog_of(rows=ROWS):
    return cs.Catalog.from_frame(rows, id="id", fields=[name for name in ("title", "plot") if name in rows])


def fold_of(clicks, cold=0.0, seed=0):
    return cut(csr_array(np.array(clicks, dtype=np.float32)), np.random.default_rng(seed), cold, 0.0, 0.0)


def items_of(n, predict=None):
    rows = {"id": list(range(n)), "title": [f"word{at} other{at % 3}" for at in range(n)]}
    return Items.of(catalog_of(rows), HashEncoder(dim=8), predict)


def task_of(clicks, positives="history", queries=None, batch_size=None, cold=0.0):
    fold = fold_of(clicks, cold)
    return FinetuneTask.of(
        items_of(fold.train.shape[1]), fold, positives, queries, batch_size, np.random.default_rng(0)
    )


def test_an_item_is_the_mean_of_its_texts():
    encoder, items = HashEncoder(dim=8), Items.of(catalog_of(), HashEncoder(dim=8), None)
    assert items.texts == (("red rose", "a rose in spring"), ("the moon",), ("été 日本 🌹",), ())
    for vector, texts in zip(items.vectors[:3], items.texts, strict=False):
        np.testing.assert_allclose(vector, encoder.encode(texts).mean(axis=0), atol=1e-6)
    all_texts = [text for texts in items.texts for text in texts]
    np.testing.assert_allclose(items.mean, encoder.encode(all_texts).mean(axis=0), atol=1e-6)
    assert items.labels is None


def test_an_item_without_text_is_zero_and_stays_zero_when_centred():
    items = Items.of(catalog_of(), HashEncoder(dim=8), None)
    assert not items.vectors[3].any()
    assert not items.centred[3].any()
    np.testing.assert_allclose(np.linalg.norm(items.centred[:3], axis=1), 1, atol=1e-6)


def test_centred_vectors_have_the_mean_subtracted_and_length_one():
    items = items_of(9)
    centred = items.vectors - items.mean
    np.testing.assert_allclose(items.centred, centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-6)


def test_the_length_of_the_vectors_of_an_encoder_does_not_matter():
    class Long(HashEncoder):
        def encode(self, values):
            return 7 * super().encode(values)

    one, other = (Items.of(catalog_of(), encoder, None) for encoder in (HashEncoder(8), Long(8)))
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)


def test_labels_count_from_0_and_are_minus_1_where_there_is_none():
    assert Items.of(catalog_of(), HashEncoder(8), "kind").labels.tolist() == [0, -1, 1, 0]


def test_a_column_to_predict_must_be_there():
    with pytest.raises(
        InvalidInputError, match=r"`predict` must be a column of the catalogue, .*'kind'.*; got 'genre'"
    ):
        Items.of(catalog_of(), HashEncoder(8), "genre")


def test_a_column_to_predict_must_have_two_values():
    with pytest.raises(InvalidInputError, match="`predict` must be a column of at least 2 values; 'same' has 1"):
        Items.of(catalog_of(), HashEncoder(8), "same")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=20), st.integers(6, 8))
def test_means_are_of_the_rows_of_each_owner_and_zero_without_rows(owners, count):
    vectors = np.random.default_rng(0).standard_normal((len(owners), 3)).astype(np.float32)
    actual = means(torch.from_numpy(vectors), np.array(owners, dtype=np.int64), count).numpy()
    assert actual.shape == (count, 3)
    for owner, mean in enumerate(actual):
        rows = vectors[np.array(owners, dtype=np.int64) == owner]
        np.testing.assert_allclose(mean, rows.mean(axis=0) if len(rows) else 0, atol=1e-6)


@pytest.mark.parametrize("positives", ["history", "co-liked"])
@pytest.mark.parametrize("clicks", [np.eye(4), np.zeros((3, 4)), np.zeros((0, 4))], ids=["one each", "none", "nobody"])
def test_a_user_with_two_clicks_is_required(positives, clicks):
    with pytest.raises(InvalidInputError, match=r"`interactions` of finetune must hold a user with at least 2 liked"):
        task_of(clicks, positives)


@pytest.mark.parametrize("positives", ["history", "co-liked"])
def test_a_batch_larger_than_the_pairs_is_refused(positives):
    clicks = [[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]]  # the last user has no other item to predict from
    assert task_of(clicks, positives, batch_size=5).batch_size == 5
    with pytest.raises(InvalidInputError, match="`batch_size` must be between 1 and 5; got 6. There are no more pairs"):
        task_of(clicks, positives, batch_size=6)


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_batch_of_no_pairs_is_refused(value):
    with pytest.raises(InvalidInputError, match="`batch_size` must be"):
        task_of(np.ones((2, 3)), batch_size=value)


def test_by_default_a_batch_is_1024_pairs_or_all():
    assert task_of(np.ones((2, 3))).batch_size == 6
    assert task_of(np.ones((200, 10))).batch_size == 1024


def test_an_epoch_passes_each_pair_once_or_has_the_maximum_of_steps():
    assert task_of(np.ones((4, 5)), batch_size=7).steps == 3
    long = task_of(np.ones((40, 5)), batch_size=2)
    assert long.steps == MAX_STEPS < 100
    assert len(list(long.batches(np.random.default_rng(0)))) == MAX_STEPS


def test_batches_are_of_the_pairs():
    task = task_of([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], batch_size=2)
    passed = list(task.batches(np.random.default_rng(0)))
    pairs = [pair for batch in passed for pair in zip(batch.users.tolist(), batch.items.tolist(), strict=True)]
    assert sorted(pairs) == [(0, 0), (0, 1), (1, 1), (1, 2), (1, 3)]
    assert len(passed) == task.steps == 3


def test_one_pair_of_a_query_is_enough():
    task = task_of([[0, 1, 0, 0]], queries=np.ones((1, 8), dtype=np.float32))
    assert task.pairs.items.tolist() == [1]


def test_held_out_items_that_are_ranked_first_give_an_ndcg_of_1():
    task = task_of(np.ones((30, 10)), cold=0.3)
    cold = task.pairs.cold
    assert len(cold) == 3
    assert task.pairs.relevant.shape == (30, 10)
    vectors = np.eye(3, dtype=np.float32)
    assert task.mean_ndcg(np.ones((30, 3), dtype=np.float32), vectors) == pytest.approx(1.0)  # all three are relevant


def test_mean_ndcg_is_that_of_the_one_relevant_item_of_each_user():
    """Each of 40 users liked one of two held-out items: the right order gives 1, the other 1 / log2(3)."""
    clicks = np.zeros((40, 4))
    clicks[:, 2:] = 1
    clicks[np.arange(40), np.arange(40) % 2] = 1
    fold = fold_of(clicks)
    held, train = clicks.copy(), clicks.copy()
    held[:, 2:] = train[:, :2] = 0
    fold_held_out = type(fold)(csr_array(train), csr_array(held), np.array([True, True, False, False]), fold.new_users)
    task = FinetuneTask.of(items_of(4), fold_held_out, "history", None, None, np.random.default_rng(0))
    users = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    assert task.mean_ndcg(users, np.eye(2, dtype=np.float32)) == pytest.approx(1.0)
    assert task.mean_ndcg(users, np.eye(2, dtype=np.float32)[::-1]) == pytest.approx(1 / np.log2(3))


@pytest.mark.parametrize("n_users", [MIN_USERS - 1, MIN_USERS])
def test_fewer_evaluation_users_than_the_minimum_are_not_measured(n_users):
    assert task_of(np.ones((n_users, 10)), cold=0.2).is_measured == (n_users >= MIN_USERS)
