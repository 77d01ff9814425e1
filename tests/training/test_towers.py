import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.training.adapters import ResidualMap
from coldstart.training.towers import SCALE, Batch, Towers, batches, training_clicks

N_USERS, N_ITEMS, DIM = 6, 9, 4
EVERYONE = np.arange(N_USERS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unit(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def drawn_texts(seed=0, n=N_ITEMS):
    return unit(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32))


def drawn_clicks(seed=0, shape=(N_USERS, N_ITEMS)):
    """Every user likes at least two items."""
    rng = np.random.default_rng(seed)
    liked = rng.random(shape) < 0.3
    for row in liked:
        row[rng.permutation(shape[1])[:2]] = True
    return csr_array(liked.astype(np.float32))


def likes(rows):
    return csr_array(np.array(rows, dtype=np.float32))


def towers_of(kind="linear", content_dropout=0.5, moved=True, seed=0, **more):
    """Towers whose map and whose items' own vectors are not where they start."""
    towers = Towers(
        drawn_texts(seed),
        drawn_clicks(seed),
        ResidualMap(DIM, kind, 3, np.random.default_rng(seed)),
        content_dropout,
        **more,
    )
    if moved:
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in towers.map.parameters():
                weight += 0.5 * torch.randn(weight.shape, generator=noise)
            if towers.own.requires_grad:
                towers.own += 0.5 * torch.randn(towers.own.shape, generator=noise)
    return towers.eval()


def array(tensor):
    return tensor.detach().numpy()


def one_liked(towers):
    """Of each user the first item that they liked."""
    return towers.liked.indices[towers.liked.indptr[:-1]].astype(np.int64)


@pytest.mark.parametrize("kind", ["linear", "low-rank", "mlp"])
@pytest.mark.parametrize("content_dropout", [0.0, 0.5, 1.0])
def test_untrained_towers_are_the_cosine(kind, content_dropout):
    towers = towers_of(kind, content_dropout, moved=False)
    texts, liked = drawn_texts(), drawn_clicks().toarray()
    users, items = towers.vectors()
    np.testing.assert_allclose(items, texts, atol=1e-6)
    np.testing.assert_allclose(users, unit(liked @ texts), atol=1e-6)
    np.testing.assert_allclose(array(towers.items(torch.arange(N_ITEMS))), texts, atol=1e-6)
    assert towers.log_scale.exp().item() == pytest.approx(SCALE)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(["linear", "low-rank", "mlp"]), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_user_is_the_sum_of_what_they_liked_without_one_item(seed, kind, content_dropout):
    towers = towers_of(kind, content_dropout, seed=seed)
    without = one_liked(towers)
    at = np.random.default_rng(seed).permutation(N_USERS)[:4]
    liked = towers.liked.toarray()
    liked[EVERYONE, without] = 0
    items = array(towers.map(towers.texts) + towers.own)
    np.testing.assert_allclose(array(towers.users(at, without[at])), unit(liked @ items)[at], atol=1e-5)


def test_a_user_without_the_only_item_they_liked_is_zero():
    towers = Towers(drawn_texts(), likes(np.eye(3, N_ITEMS)), ResidualMap(DIM, "linear", 0, np.random.default_rng(0)))
    np.testing.assert_allclose(array(towers.users(np.arange(3), np.arange(3))), 0, atol=1e-5)


def test_a_user_may_occur_twice_in_a_batch():
    towers = towers_of()
    without = one_liked(towers)
    twice = array(towers.users(np.array([2, 2]), without[[2, 2]]))
    np.testing.assert_array_equal(twice[0], twice[1])


def test_own_vectors_are_not_learned_at_a_content_dropout_of_1():
    towers = towers_of(content_dropout=1.0)
    assert not towers.own.requires_grad
    np.testing.assert_allclose(np.linalg.norm(array(towers.items(torch.arange(N_ITEMS))), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75])
def test_own_vectors_are_dropped_in_training_at_the_given_rate(share):
    towers = towers_of(content_dropout=share).train()
    at, generic = torch.zeros(20_000, dtype=torch.long), array(towers.map(towers.texts[:1]))
    torch.manual_seed(0)
    with torch.random.fork_rng():
        actual = array(towers.items(at))
    left_out = np.isclose(actual, generic, atol=1e-6).all(axis=1)
    whole = np.isclose(actual, generic + array(towers.own[:1]), atol=1e-6).all(axis=1)
    assert (left_out ^ whole).all()
    assert left_out.mean() == pytest.approx(share, abs=0.02)


def test_own_vectors_are_not_dropped_outside_of_training():
    towers, at = towers_of(content_dropout=0.9), torch.arange(N_ITEMS)
    np.testing.assert_allclose(array(towers.items(at)), array(towers.map(towers.texts) + towers.own), atol=1e-6)


def test_user_vectors_keep_own_vectors_of_items_in_training():
    towers = towers_of(content_dropout=0.9)
    before = array(towers.users(EVERYONE, one_liked(towers)))
    np.testing.assert_array_equal(array(towers.train().users(EVERYONE, one_liked(towers))), before)


@pytest.mark.parametrize("kind", ["softmax", "bpr", "bce"])
def test_the_loss_is_small_when_the_liked_item_is_nearest_and_large_when_another_is(kind):
    """Two users, each with two items of one direction; negatives are those of the other."""
    texts, liked = np.eye(2, DIM, dtype=np.float32)[[0, 0, 1, 1]], likes([[1, 1, 0, 0], [0, 0, 1, 1]])
    batch = Batch(np.array([0, 1]), np.array([0, 2]), np.array([1, 3]))

    def loss(texts):
        towers = Towers(texts, liked, ResidualMap(DIM, "linear", 0, np.random.default_rng(0)), 0.5)
        return towers.eval().loss(batch, kind).item()

    signs = np.array([[1], [-1], [1], [-1]], dtype=np.float32)
    near, even, far = loss(texts), loss(np.ones_like(texts) / 2), loss(texts * signs)
    assert near < 0.5 * even
    assert near < far


@pytest.mark.parametrize("kind", ["softmax", "bpr", "bce"])
def test_steps_along_the_gradient_make_the_loss_smaller(kind):
    towers = towers_of(content_dropout=0.0, moved=False)
    batch = Batch(EVERYONE, one_liked(towers), np.arange(N_ITEMS))
    steps = torch.optim.SGD(towers.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        losses.append(towers.loss(batch, kind))
        steps.zero_grad()
        losses[-1].backward()
        steps.step()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("kind", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("known", [True, False])
def test_known_items_are_no_negatives_wherever_they_lie(kind, known):
    """Item 2 is in nobody's history; the one user knows it, or does not."""
    liked, knows = likes([[1, 1, 0, 0]]), likes([[1, 1, known, 0]])

    def loss(where):
        texts = np.eye(4, dtype=np.float32)
        texts[2] = where
        towers = Towers(texts, liked, ResidualMap(4, "linear", 0, np.random.default_rng(0)), known=knows)
        return towers.loss(Batch(np.array([0]), np.array([0]), np.array([2, 3])), kind).item()

    assert (loss([1, 0, 0, 0]) == loss([0, -1, 0, 0])) == known


@pytest.mark.parametrize("kind", ["softmax", "bpr", "bce"])
def test_loss_and_gradient_are_numbers_when_all_negatives_are_known(kind):
    residual = ResidualMap(DIM, "linear", 0, np.random.default_rng(0))
    towers = Towers(drawn_texts(n=2), likes([[1, 1]]), residual, 0.5)
    loss = towers.eval().loss(Batch(np.array([0]), np.array([0]), np.array([1, 0])), kind)
    loss.backward()
    assert np.isfinite(loss.item())
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in towers.parameters() if weight.grad is not None)


def test_in_batch_loss_is_the_softmax_without_further_negatives():
    towers = towers_of(content_dropout=1.0)
    batch = Batch(EVERYONE, one_liked(towers), np.arange(4))
    users, items = towers.users(batch.users, batch.items), towers.items(torch.from_numpy(batch.items))
    alone = towers.loss(batch._replace(negatives=np.zeros(0, dtype=np.int64)), "softmax")
    torch.testing.assert_close(towers.in_batch_loss(users, items, batch), alone)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 40))
def test_a_pass_has_every_click_once_and_negatives_only_of_clicked_items(seed, batch_size, n_negatives):
    users, items = training_clicks(drawn_clicks(seed))
    passed = list(batches((users, items), np.random.default_rng(seed), batch_size, n_negatives))
    pairs = [pair for batch in passed for pair in zip(batch.users, batch.items, strict=True)]
    assert sorted(pairs) == sorted(zip(users, items, strict=True))
    assert all(len(batch.users) == batch_size for batch in passed[:-1])
    for batch in passed:
        assert set(batch.negatives) <= set(items)
        assert len(batch.negatives) == min(n_negatives, len(set(items)))


def test_passes_are_in_random_order_and_the_same_under_the_same_seed():
    clicks = training_clicks(drawn_clicks())
    one, same, other = (next(batches(clicks, np.random.default_rng(seed), 100, 5)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.users, other.users)
    assert not np.array_equal(one.users, np.sort(one.users))


def test_users_with_one_click_are_not_learned_from():
    liked = likes([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]])
    users, items = training_clicks(liked)
    assert sorted(zip(users.tolist(), items.tolist(), strict=True)) == [(0, 0), (0, 1), (3, 0), (3, 1), (3, 2)]
    assert users.dtype == items.dtype == np.int64


def test_without_a_user_of_two_clicks_there_are_no_training_clicks():
    users, items = training_clicks(likes(np.eye(3)))
    assert len(users) == len(items) == 0
    assert list(batches((users, items), np.random.default_rng(0), 4, 4)) == []


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_vectors_of_items_include_own_vectors_and_users_are_their_sums(kind):
    towers = towers_of(kind).train()  # nothing is left out of them in training either
    users, items = towers.vectors()
    np.testing.assert_allclose(items, array(towers.map(towers.texts) + towers.own), atol=1e-6)
    np.testing.assert_allclose(users, unit(towers.liked.toarray() @ items), atol=1e-6)
    assert users.shape == (N_USERS, DIM)
    assert users.dtype == items.dtype == np.float32


def test_item_vectors_have_length_one_where_own_vectors_are_not_learned():
    _, items = towers_of(content_dropout=1.0).vectors()
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, atol=1e-6)
