import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.training.losses import bce, bpr, info_nce, sampled_softmax

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
quickly = settings(deadline=None, max_examples=50)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(seed, *shapes, scale=3.0):
    """Float64, so that what is left of a difference is an error and no rounding."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(scale * rng.standard_normal(shape)) for shape in shapes]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def naive_softmax_loss(scores, target, log_q=None, masked=None):
    lines = []
    for row, at in enumerate(target):
        chances = {}
        for column, score in enumerate(scores[row]):
            if column == at or masked is None or not masked[row, column]:
                chances[column] = np.exp(score - (0 if log_q is None else log_q[column]))
        lines.append(-np.log(chances[at] / sum(chances.values())))
    return np.mean(lines)


def naive_cosine(one, other):
    return sum(one * other) / np.sqrt(sum(one * one) * sum(other * other))


@quickly
@given(seeds, sizes)
def test_bce_is_the_mean_negative_log_likelihood_of_the_labels(seed, n):
    (scores,) = drawn(seed, n)
    labels = np.random.default_rng(seed).integers(0, 2, n)
    chances = [sigmoid(x) if y else 1 - sigmoid(x) for x, y in zip(scores.numpy(), labels, strict=True)]
    assert bce(scores, torch.from_numpy(labels).double()).item() == pytest.approx(-np.mean(np.log(chances)))


@quickly
@given(seeds, sizes, sizes)
def test_bpr_is_the_mean_negative_log_likelihood_of_the_pairs(seed, b, k):
    positive, negative = drawn(seed, b, (b, k))
    pairs = [np.log(sigmoid(positive[i].item() - negative[i, j].item())) for i in range(b) for j in range(k)]
    assert bpr(positive, negative).item() == pytest.approx(-np.mean(pairs))


@quickly
@given(seeds, sizes, sizes, st.booleans(), st.booleans())
def test_sampled_softmax_is_the_mean_negative_log_likelihood_of_the_targets(seed, b, c, corrected, masks):
    scores, log_q = drawn(seed, (b, c), c)
    rng = np.random.default_rng(seed)
    target, masked = rng.integers(0, c, b), rng.random((b, c)) < 0.5
    mine = sampled_softmax(
        scores, torch.from_numpy(target), log_q if corrected else None, torch.from_numpy(masked) if masks else None
    )
    naive = naive_softmax_loss(scores.numpy(), target, log_q.numpy() if corrected else None, masked if masks else None)
    assert mine.item() == pytest.approx(naive)


@quickly
@given(seeds, sizes, st.integers(0, 3), st.booleans(), st.booleans())
def test_info_nce_is_the_softmax_loss_of_cosines(seed, b, extra, corrected, masks):
    queries, keys, log_q = drawn(seed, (b, 4), (b + extra, 4), b + extra)
    masked = np.random.default_rng(seed).random((b, b + extra)) < 0.5
    cosines = np.array([[naive_cosine(q, k) for k in keys.numpy()] for q in queries.numpy()])
    mine = info_nce(queries, keys, 0.2, log_q if corrected else None, torch.from_numpy(masked) if masks else None)
    naive = naive_softmax_loss(cosines / 0.2, range(b), log_q.numpy() if corrected else None, masked if masks else None)
    assert mine.item() == pytest.approx(naive)


def test_equal_scores_have_a_loss_of_the_logarithm_of_the_number_of_candidates():
    target = torch.tensor([0, 6])
    assert sampled_softmax(torch.zeros(2, 7), target).item() == pytest.approx(np.log(7))
    assert bpr(torch.zeros(3), torch.zeros(3, 5)).item() == pytest.approx(np.log(2))
    assert info_nce(torch.ones(5, 3), torch.ones(5, 3)).item() == pytest.approx(np.log(5))


@pytest.mark.parametrize("score", [300.0, -300.0])
def test_large_scores_do_not_overflow(score):
    assert bpr(torch.tensor([score]), torch.tensor([[0.0]])).item() == max(0.0, -score)
    assert bce(torch.tensor([score]), torch.tensor([1.0])).item() == max(0.0, -score)
    assert sampled_softmax(torch.tensor([[score, 0.0]]), torch.tensor([0])).item() == max(0.0, -score)


@quickly
@given(seeds, st.floats(-50, 50))
def test_a_constant_in_log_q_changes_nothing(seed, constant):
    scores, log_q = drawn(seed, (4, 5), 5)
    target = torch.tensor([0, 4, 2, 2])
    mine, shifted = (sampled_softmax(scores, target, added).item() for added in (log_q, log_q + constant))
    assert shifted == pytest.approx(mine)
    assert sampled_softmax(scores, target, torch.full((5,), constant)).item() == pytest.approx(
        sampled_softmax(scores, target).item()
    )


@quickly
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_negative_drawn_several_times_counts_once_with_the_logarithm_of_the_draws(seed, times):
    (scores,) = drawn(seed, (3, 1 + len(times)))
    target = torch.zeros(3, dtype=torch.int64)
    draws = torch.tensor([1, *times])
    drawn_often = scores.repeat_interleave(draws, dim=1)
    log_q = draws.double().log().repeat_interleave(draws)
    assert sampled_softmax(drawn_often, target, log_q).item() == pytest.approx(sampled_softmax(scores, target).item())


def test_a_sample_by_popularity_estimates_the_loss_over_all_items():
    rng = np.random.default_rng(0)
    (scores,) = drawn(1, 50, scale=1.0)
    chance = rng.dirichlet(np.ones(49))
    full = sampled_softmax(scores[None], torch.tensor([0])).item()

    def estimated(corrected):
        losses = []
        for _ in range(200):
            sampled = 1 + rng.choice(49, 200, p=chance)
            log_q = torch.from_numpy(np.log([1.0, *(200 * chance[sampled - 1])])) if corrected else None
            losses.append(sampled_softmax(scores[[0, *sampled]][None], torch.tensor([0]), log_q).item())
        return np.mean(losses)

    assert estimated(True) == pytest.approx(full, abs=0.1)
    assert abs(estimated(False) - full) > 0.5


@quickly
@given(seeds)
def test_masked_negatives_do_not_change_the_loss(seed):
    scores, log_q = drawn(seed, (3, 6), 6)
    target = torch.tensor([1, 0, 1])
    masked = torch.zeros(3, 6, dtype=torch.bool)
    masked[:, [2, 5]] = True
    left = [0, 1, 3, 4]
    assert sampled_softmax(scores, target, log_q, masked).item() == pytest.approx(
        sampled_softmax(scores[:, left], target, log_q[left]).item()
    )


def test_the_target_is_never_masked():
    (scores,) = drawn(0, (3, 6))
    target = torch.tensor([1, 0, 5])
    everything = torch.ones(3, 6, dtype=torch.bool)
    assert sampled_softmax(scores, target, None, everything).item() == 0.0
    (keys,) = drawn(0, (4, 3))
    assert info_nce(keys, keys, masked=torch.eye(4, dtype=torch.bool)).item() == info_nce(keys, keys).item()


def test_scores_log_q_and_mask_are_left_as_they_were():
    scores, log_q = drawn(0, (3, 6), 6)
    masked = torch.ones(3, 6, dtype=torch.bool)
    sampled_softmax(scores, torch.tensor([1, 0, 5]), log_q, masked)
    assert [torch.equal(*pair) for pair in zip((scores, log_q), drawn(0, (3, 6), 6), strict=True)] == [True, True]
    assert masked.all()


@quickly
@given(seeds, st.floats(0.01, 100), st.floats(0.01, 100))
def test_info_nce_does_not_depend_on_the_length_of_vectors(seed, of_queries, of_keys):
    queries, keys = drawn(seed, (4, 3), (6, 3))
    assert info_nce(of_queries * queries, of_keys * keys).item() == pytest.approx(info_nce(queries, keys).item())


@quickly
@given(seeds)
def test_more_shared_negatives_make_the_loss_larger(seed):
    queries, keys, shared = drawn(seed, (4, 3), (4, 3), (5, 3))
    losses = [info_nce(queries, torch.cat([keys, shared[:more]]), 0.5).item() for more in range(6)]
    assert all(more > fewer for fewer, more in zip(losses, losses[1:], strict=False))


def test_the_default_temperature_is_a_twentieth():
    queries, keys = drawn(0, (4, 3), (6, 3))
    assert info_nce(queries, keys).item() == info_nce(queries, keys, 0.05).item()


def test_a_lower_temperature_makes_the_softmax_sharper():
    queries = torch.eye(4)
    losses = [info_nce(queries, queries, temperature).item() for temperature in (1.0, 0.5, 0.1)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(np.log(np.e + 3) - 1, abs=1e-6)


def test_the_gradient_raises_scores_of_liked_items_and_lowers_those_of_negatives():
    positive, negative = torch.zeros(2, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    bpr(positive, negative).backward()
    assert (positive.grad < 0).all()
    assert (negative.grad > 0).all()

    scores = torch.zeros(4, requires_grad=True)
    bce(scores, torch.tensor([1.0, 0.0, 1.0, 0.0])).backward()
    assert scores.grad.sign().tolist() == [-1, 1, -1, 1]

    scores = torch.zeros(1, 4, requires_grad=True)
    masked = torch.tensor([[True, False, True, False]])
    sampled_softmax(scores, torch.tensor([0]), None, masked).backward()
    assert scores.grad.sign().tolist() == [[-1, 1, 0, 1]]


def test_gradients_of_info_nce_reach_queries_and_keys():
    queries, keys = (vectors.requires_grad_() for vectors in drawn(0, (4, 3), (6, 3)))
    before = info_nce(queries, keys, 0.5)
    before.backward()
    after = info_nce(queries - 0.1 * queries.grad, keys - 0.1 * keys.grad, 0.5)
    assert queries.grad.abs().sum(dim=1).min() > 0
    assert keys.grad.abs().sum(dim=1).min() > 0
    assert after < before
