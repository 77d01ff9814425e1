"""A start is taken where text and the number of clicks say more than the experts, and nowhere else."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.hybrid.calibration import FLOOR, Calibration, level
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw
from coldstart.rankers.hybrid.settings import Settings
from coldstart.rankers.hybrid.starting import DEPTH, PARTS, _gains, _parts, best_rate, started

RATES = (0.0, 0.5, 1.0, 2.0, 4.0)


def clicks_by_fame(n_users, n_items, per_user, steep, seed=0):
    """Everyone clicks a few items, drawn by the power of their place: what is liked is what is famous."""
    rng = np.random.default_rng(seed)
    fame = np.arange(1, n_items + 1.0) ** -steep
    rows = [rng.choice(n_items, per_user, replace=False, p=fame / fame.sum()) for _ in range(n_users)]
    clicks = np.zeros((n_users, n_items), dtype=np.float32)
    np.put_along_axis(clicks, np.array(rows), 1.0, axis=1)
    return csr_array(clicks)


def chosen(clicks, vectors, settings=None, rates=RATES, popular=1.0):
    return best_rate(clicks, vectors, settings or Settings(), Content(), rates, popular, np.random.default_rng(0))


def drawn(n_items, dim=8, seed=1):
    vectors = np.random.default_rng(seed).standard_normal((n_items, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_settings_of_a_start_have_its_rate_and_nothing_learned_of_the_mix():
    learned = Settings(Collaborative(l2=7.0), calibration=Calibration(2.0, 3.0), unseen=-2.0)
    assert started(learned, 0.0) is learned
    assert started(learned, 2.0) == Settings(Collaborative(l2=7.0), rate=2.0)


def test_where_fame_is_all_there_is_it_counts_more_than_text():
    rate, came_to = chosen(clicks_by_fame(300, 400, 3, steep=1.2), drawn(400))
    assert rate >= 2.0
    assert came_to[rate] == max(came_to.values())
    assert came_to[rate] > 1.5 * came_to[0.0]


def test_without_popularity_fame_is_not_what_a_start_is_taken_for():
    rate, came_to = chosen(clicks_by_fame(300, 400, 3, steep=1.2), drawn(400), popular=0.0)
    assert rate == 0.0
    assert len({came_to[rate] for rate in RATES[1:]}) == 1


def test_where_text_says_all_fame_counts_little(make_world):
    world = make_world(n_kinds=8, per_kind=60, n_users=300, inside=0.03, outside=0.0, n_cold=0, noise=0.1)
    rate, came_to = chosen(world.clicks, world.texts, rates=RATES[1:])
    assert rate <= 0.5
    assert came_to[0.5] > came_to[4.0] + 0.005


def test_with_clicks_enough_the_experts_are_kept(make_world):
    """Users of a kind like the same items of it, of which no text tells."""
    world = make_world(n_kinds=8, per_kind=20, n_users=400, inside=0.5, outside=0.01, n_cold=0)
    rate, came_to = chosen(world.clicks, drawn(world.n_items))
    assert rate == 0.0
    assert came_to[0.0] > 1.2 * max(came_to[rate] for rate in RATES[1:])


@pytest.mark.parametrize("n_users", [1, 8])
def test_of_too_few_users_nothing_is_learned(n_users):
    assert chosen(clicks_by_fame(n_users, 30, 2, steep=1.0), drawn(30)) == (0.0, {})


def test_what_is_hardly_better_is_mostly_not_taken():
    """Where nothing says anything, one of the rates is the best, by chance."""
    taken = [chosen(clicks_by_fame(60, 300, 3, 0.0, seed), drawn(300, seed=seed + 50))[0] for seed in range(8)]
    assert sum(rate > 0 for rate in taken) <= 3


def test_every_click_is_hidden_once():
    clicks = clicks_by_fame(50, 30, 4, steep=1.0)
    parts = list(_parts(clicks, np.random.default_rng(0)))
    assert len(parts) == PARTS
    for train, held in parts:
        assert (train + held != clicks).nnz == 0
    assert (sum(held for _, held in parts) != clicks).nnz == 0


def test_a_gain_is_that_of_the_rank_among_what_is_not_in_the_history():
    scores = np.array([[9.0, 8.0, 7.0, 6.0, 5.0], [1.0, 1.0, 1.0, 0.0, 0.0]], dtype=np.float32)
    history = csr_array(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=np.float32))
    wanted = csr_array(np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]], dtype=np.float32))
    expected = [1.0, 0.5, 1.0 / np.log2(3.0)]
    np.testing.assert_allclose(_gains(scores, history, wanted), expected)


def test_beyond_the_depth_nothing_is_gained():
    scores, nothing = -np.arange(DEPTH + 2, dtype=np.float32)[None], csr_array((1, DEPTH + 2), dtype=np.float32)
    wanted = csr_array(np.ones((1, DEPTH + 2), dtype=np.float32))
    gains = _gains(scores, nothing, wanted)
    assert gains[DEPTH - 1] == pytest.approx(1.0 / np.log2(DEPTH + 1.0))
    assert not gains[DEPTH:].any()


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_the_odds_are_those_by_text_times_a_power_of_clicks(make_world, rate):
    world = make_world()
    counts = np.asarray(world.clicks.sum(axis=0))
    experts = Experts.of(world.clicks, world.texts, started(Settings(), rate), Content())
    raw = Raw.of(world.clicks, world.texts, Collaborative(), Content(), np.inf)
    _, by_text = raw.scores(csr_array(world.clicks[:, raw.warm]))
    said = np.log(np.maximum(by_text / level(by_text), FLOOR))
    expected = said + rate * np.log((counts + 0.5) / (counts[counts > 0].mean() + 0.5))
    found = experts.log_odds(world.clicks)
    np.testing.assert_allclose(found, expected, atol=2e-3)
