import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.rankers.mlp.pairs import CandidateLists, PairNetwork, train
from coldstart.rankers.mlp.scoring import LOG_CLICKS_SCALE
from coldstart.training.loop import Loop

N_USERS, N_ITEMS, DIM = 12, 15, 4


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(seed=0, n_users=N_USERS, n_items=N_ITEMS, share=0.2):
    """Vectors of users and items, given clicks of the users and held-out ones."""
    rng = np.random.default_rng(seed)
    users, items = (rng.standard_normal((n, DIM)).astype(np.float32) for n in (n_users, n_items))
    liked, more = (rng.random((2, n_users, n_items)) < share).astype(np.float32)
    return users, items, csr_array(liked), csr_array(more * (1 - liked))


def lists_of(count=6, **more):
    users, items, liked, held = drawn(**more)
    return CandidateLists.of(users, items, liked, held, clicks_of(liked), count)


def clicks_of(liked):
    return np.asarray(liked.sum(axis=0))


def network_of(items, dropout=0.1, trained=False, hidden=8):
    network = PairNetwork(items, hidden, dropout, np.random.default_rng(0)).eval()
    if trained:
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in network.parameters():
                weight += 0.5 * torch.randn(weight.shape, generator=noise)
    return network


def array(tensor):
    return tensor.detach().numpy()


def test_an_untrained_network_leaves_the_first_stage_as_it_is():
    lists = lists_of()
    network = network_of(drawn()[1])
    np.testing.assert_array_equal(array(network(lists)), lists.scores)
    np.testing.assert_array_equal(array(network.train()(lists)), lists.scores)


def test_the_score_is_that_of_an_mlp_on_the_pair():
    lists, items = lists_of(), drawn()[1]
    network = network_of(items, trained=True)
    weights = {name: array(weight) for name, weight in network.named_parameters()}
    layer = np.vstack([weights[name] for name in ("user", "item", "product", "distance", "known")])
    actual = array(network(lists))
    for row, user in enumerate(lists.users):
        for column, at in enumerate(lists.items[row]):
            item = items[at]
            pair = np.concatenate([user, item, user * item, np.abs(user - item), lists.clicks[row, column]])
            hidden = np.maximum(pair @ layer + weights["bias"], 0)
            expected = hidden @ weights["out"] + weights["skip"] * lists.scores[row, column]
            assert actual[row, column] == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 20))
def test_candidates_are_the_best_unseen_items(seed, count):
    users, items, liked, held = drawn(seed)
    lists = CandidateLists.of(users, items, liked, held, clicks_of(liked), count)
    assert lists.items.shape == (N_USERS, min(count, N_ITEMS))
    scores, known, is_held_out = users @ items.T, liked.toarray() > 0, held.toarray() > 0
    for row in range(N_USERS):
        unseen = [at for at in np.argsort(-scores[row], kind="stable") if not known[row, at]]
        there = min(len(unseen), count)
        assert lists.items[row, :there].tolist() == unseen[:there]
        np.testing.assert_allclose(lists.scores[row, :there], scores[row, unseen[:there]], rtol=1e-5, atol=1e-5)
        assert known[row, lists.items[row, there:]].all()  # what is known already comes last, far below
        assert (lists.scores[row, there:] < -1e30).all()
        assert lists.relevant[row].tolist() == is_held_out[row, lists.items[row]].tolist()
    assert np.isfinite(lists.scores).all()


def test_click_features_count_clicks_of_items_and_users():
    users, items, liked, held = drawn()
    lists = CandidateLists.of(users, items, liked, held, clicks_of(liked), 6)
    clicks, n_given = liked.toarray().sum(axis=0), liked.toarray().sum(axis=1)
    for row in range(N_USERS):
        np.testing.assert_allclose(
            lists.clicks[row, :, 0], np.log1p(clicks[lists.items[row]]) / LOG_CLICKS_SCALE, rtol=1e-6
        )
        assert lists.clicks[row, :, 1].tolist() == (clicks[lists.items[row]] == 0).tolist()
        np.testing.assert_allclose(lists.clicks[row, :, 2], np.log1p(n_given[row]) / LOG_CLICKS_SCALE, rtol=1e-6)


def test_lists_do_not_depend_on_how_many_users_there_are():
    """Users are processed in blocks of 256."""
    users, items, liked, held = drawn(n_users=300)
    whole = CandidateLists.of(users, items, liked, held, clicks_of(liked), 5)
    last = CandidateLists.of(users[290:], items, csr_array(liked[290:]), csr_array(held[290:]), clicks_of(liked), 5)
    np.testing.assert_array_equal(whole.items[290:], last.items)
    np.testing.assert_allclose(whole.scores[290:], last.scores, atol=1e-5)
    assert whole.items.shape == (300, 5)


def test_selected_lists_are_those_of_the_same_users():
    lists, at = lists_of(), np.array([4, 1])
    some = lists.select(at)
    for part, whole in zip(some, lists, strict=True):
        np.testing.assert_array_equal(part, whole[at])


def test_the_loss_is_the_softmax_of_each_held_out_click_against_items_without_a_click():
    lists = lists_of(count=8)
    network = network_of(drawn()[1])
    expected = []
    for row, column in zip(*np.nonzero(lists.relevant), strict=True):
        left = [at for at in range(8) if at == column or not lists.relevant[row, at]]
        scores = lists.scores[row, left].astype(np.float64)
        expected.append(np.log(np.exp(scores).sum()) - lists.scores[row, column])
    assert len(expected) > 5
    assert network.loss(lists).item() == pytest.approx(np.mean(expected), rel=1e-4)


def popular(n_users=160, seed=0):
    """What is held out are the items with most clicks, of which vectors tell nothing."""
    rng = np.random.default_rng(seed)
    users, items = (rng.standard_normal((n, DIM)).astype(np.float32) for n in (n_users, N_ITEMS))
    liked = (rng.random((n_users, N_ITEMS)) < np.linspace(0.9, 0.02, N_ITEMS)).astype(np.float32)
    held = liked * (rng.random(liked.shape) < 0.4)
    return users, items, csr_array(liked - held), csr_array(held)


def trained(data, rng=0, **more):
    users, items, liked, held = data
    lists = CandidateLists.of(users, items, liked, held, clicks_of(liked), N_ITEMS)
    network = PairNetwork(items, 8, 0.0, np.random.default_rng(rng))
    loop = Loop(**{"epochs": 8, "learning_rate": 0.05, "warmup": 0, "seed": rng, "progress": False, **more})
    return network, train(network, lists, liked, held, loop)


def test_a_network_learns_from_numbers_of_clicks():
    _, history = trained(popular())
    measured = [epoch.measured for epoch in history.epochs]
    assert max(measured) > measured[0] + 0.1
    assert history.best > 0


def test_a_network_that_does_not_improve_ndcg_stays_as_it_was():
    network, history = trained(popular(), learning_rate=0.0, weight_decay=0.0)
    assert history.best == 0
    assert not array(network.out).any()
    assert network.skip.item() == 1.0


def test_the_same_seed_trains_the_same_network():
    one, same, other = (trained(popular(), rng=rng, epochs=2)[0] for rng in (0, 0, 1))
    weights = [[array(weight).tobytes() for weight in network.parameters()] for network in (one, same, other)]
    assert weights[0] == weights[1] != weights[2]


def test_vectors_of_items_are_not_trained():
    data = popular()
    network, _ = trained(data)
    np.testing.assert_array_equal(network.items.numpy(), popular()[1])
    assert "items" not in dict(network.named_parameters())
