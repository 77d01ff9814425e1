import numpy as np
import pytest
import torch
import tqdm.auto
from scipy.sparse import csr_array

from coldstart._device import best_device
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.mlp import MLPRanker, _unclicked
from coldstart.testing import check_ranker

N_ITEMS = 24
GROUP = np.arange(N_ITEMS) % 2
ALIKE = Features(np.eye(N_ITEMS, dtype=np.float32))  # no two items have anything in common
QUICK = {"hidden": 16, "epochs": 2, "batch_size": 64, "device": "cpu"}
PATIENT = {"hidden": 32, "epochs": 30, "batch_size": 64, "learning_rate": 0.01, "device": "cpu"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other on a busy machine make tiny networks thirty times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def users(history, dim=N_ITEMS, query=None):
    history = csr_array(np.atleast_2d(history).astype(np.float32))
    m = history.shape[0]
    nothing = Features(np.zeros((m, dim), dtype=np.float32))
    said = nothing if query is None else Features(query)
    return Users(history, csr_array(history.shape, dtype=np.float32), said, nothing)


def checkerboard(n_users=40, share=0.5, seed=0):
    """Each user clicks about half of the items of one group."""
    of_group = GROUP[None] == (np.arange(n_users) % 2)[:, None]
    return csr_array((of_group & (np.random.default_rng(seed).random(of_group.shape) < share)).astype(np.float32))


def new_users(dim=N_ITEMS):
    """One user per group who liked its first three items; and the items they have not seen."""
    history = np.zeros((2, N_ITEMS))
    history[0, [0, 2, 4]] = history[1, [1, 3, 5]] = 1
    return users(history, dim), ~history.any(axis=0)


def share_in_order(ranker, features=ALIKE):
    """How often an unseen item of the own group is above one of the other: 1 is perfect, 0.5 a coin (AUC)."""
    said, unseen = new_users(features.dense.shape[1])
    lines = ranker.score(said, features)[:, unseen]
    own = [line[GROUP[unseen] == at] for at, line in enumerate(lines)]
    other = [line[GROUP[unseen] != at] for at, line in enumerate(lines)]
    return np.mean([(o[:, None] > x) + 0.5 * (o[:, None] == x) for o, x in zip(own, other, strict=True)])


def random_features(n=N_ITEMS, dim=8, seed=0):
    return Features(np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32))


def weights_as_bytes(ranker):
    return {name: value.tobytes() for name, value in ranker.weights_.items()}


def test_the_contract_of_a_ranker_holds():
    check_ranker(MLPRanker(**QUICK))


@pytest.mark.parametrize("loss", ["bpr", "bce"])
def test_clicks_teach_what_vectors_do_not_tell(loss):
    ranker = MLPRanker(loss=loss, **PATIENT).fit(ALIKE, checkerboard())
    assert share_in_order(CosineRanker().fit(ALIKE)) < 0.6
    assert share_in_order(ranker) > 0.95


def test_clicks_make_weak_vectors_better():
    weak = Features(random_features().dense + 0.5 * np.eye(8, dtype=np.float32)[GROUP])
    ranker = MLPRanker(**PATIENT).fit(weak, checkerboard())
    assert share_in_order(ranker, weak) > share_in_order(CosineRanker().fit(weak), weak) + 0.1


def test_the_loss_of_each_epoch_is_kept_and_falls():
    ranker = MLPRanker(**PATIENT).fit(ALIKE, checkerboard())
    assert len(ranker.losses_) == 30
    assert ranker.losses_[-1] < 0.5 * ranker.losses_[0]


@pytest.mark.parametrize(
    "clicks",
    [None, np.zeros((0, N_ITEMS)), np.zeros((3, N_ITEMS)), np.eye(N_ITEMS)],
    ids=["None", "no users", "no clicks", "one click each"],
)
def test_without_clicks_to_learn_from_the_ranking_is_the_cosine(clicks):
    features, said = random_features(), users(2 * np.eye(N_ITEMS)[:3] + np.eye(N_ITEMS)[3:6], dim=8)
    ranker = MLPRanker(**QUICK).fit(features, None if clicks is None else csr_array(clicks.astype(np.float32)))
    cosine = CosineRanker().fit(features).score(said, features)
    scores = ranker.score(said, features)
    assert ranker.losses_ == []
    assert np.allclose(scores, 5 * cosine, atol=1e-5)
    assert np.array_equal(np.argsort(-scores, axis=1), np.argsort(-cosine, axis=1))


def test_queries_count_like_histories():
    features = random_features()
    ranker = MLPRanker(**QUICK).fit(features)
    said = users(np.zeros((1, N_ITEMS)), dim=8, query=features.dense[[4]])
    assert ranker.score(said, features).argmax() == 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    one, other, third = (MLPRanker(rng=rng, **QUICK).fit(ALIKE, checkerboard()) for rng in (3, 3, 4))
    assert weights_as_bytes(one) == weights_as_bytes(other)
    assert one.losses_ == other.losses_
    assert one.score(new_users()[0], ALIKE).tobytes() == other.score(new_users()[0], ALIKE).tobytes()
    assert weights_as_bytes(one) != weights_as_bytes(third)


def test_a_seed_sequence_and_a_generator_are_seeds_too():
    rngs = 3, np.random.SeedSequence(3), np.random.default_rng(3)
    first, *others = (MLPRanker(rng=rng, **QUICK).fit(ALIKE, checkerboard()) for rng in rngs)
    assert all(weights_as_bytes(other) == weights_as_bytes(first) for other in others)


def test_fitting_again_starts_anew():
    ranker = MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    first = weights_as_bytes(ranker)
    assert weights_as_bytes(ranker.fit(ALIKE, checkerboard())) == first
    assert ranker.fit(ALIKE).losses_ == []


def test_global_seeds_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_global_seed_changes_nothing():
    torch.manual_seed(1)
    one = MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    torch.manual_seed(2)
    assert weights_as_bytes(MLPRanker(**QUICK).fit(ALIKE, checkerboard())) == weights_as_bytes(one)


def test_users_with_one_click_or_with_all_items_do_no_harm():
    odd = np.vstack([np.eye(N_ITEMS)[:4], np.ones((2, N_ITEMS)), np.zeros((1, N_ITEMS))])
    clicks = csr_array(np.vstack([checkerboard().toarray(), odd]).astype(np.float32))
    assert share_in_order(MLPRanker(**PATIENT).fit(ALIKE, clicks)) > 0.9


def test_the_strength_of_a_click_does_not_matter_in_training():
    clicks = checkerboard()
    one, other = MLPRanker(**QUICK).fit(ALIKE, clicks), MLPRanker(**QUICK).fit(ALIKE, csr_array(clicks * 5.0))
    assert weights_as_bytes(one) == weights_as_bytes(other)


def test_items_nobody_clicked_are_no_negatives():
    features = Features(np.eye(N_ITEMS, dtype=np.float32))
    clicks = checkerboard().toarray()
    clicks[:, -6:] = 0
    ranker = MLPRanker(center=False, weight_decay=0.0, **PATIENT).fit(features, csr_array(clicks))
    start = MLPRanker(center=False, **PATIENT).fit(features)
    assert np.array_equal(ranker.weights_["item"][-6:], start.weights_["item"][-6:])
    assert not np.array_equal(ranker.weights_["item"][:-6], start.weights_["item"][:-6])


def test_two_clicks_of_a_user_are_enough_to_learn_from():
    assert len(MLPRanker(**QUICK).fit(ALIKE, csr_array(np.eye(4, N_ITEMS) + np.eye(4, N_ITEMS, 4))).losses_) == 2


def test_negatives_are_drawn_evenly_among_clicked_items_that_the_user_did_not_click():
    clicks = np.zeros((100, N_ITEMS), dtype=np.float32)
    clicks[:, 0] = 1  # everybody's favourite
    clicks[np.arange(20), np.arange(20)] = 1  # the last four items stay unclicked
    clicks[99] = 0
    clicks[99, [1, 2, 3, 4, 5]] = 1
    drawn = _unclicked(csr_array(clicks), np.full(500, 99), 4, np.random.default_rng(0))
    items, counts = np.unique(drawn, return_counts=True)
    assert drawn.shape == (500, 4)
    assert items.tolist() == [0, *range(6, 20)]
    assert counts.max() < 2 * counts.min()


def test_an_untrained_network_starts_small_and_silent():
    weights = MLPRanker(hidden=200).fit(random_features()).weights_
    first = np.stack([weights[name] for name in ("user", "item", "product", "distance")])
    assert first.shape == (4, 8, 200)
    assert first.min() == pytest.approx(-(32**-0.5), rel=0.01)
    assert first.max() == pytest.approx(32**-0.5, rel=0.01)
    assert abs(first.mean()) < 0.01
    assert not weights["out"].any()
    assert not weights["bias"].any()


def test_dropout_keeps_the_mean_of_what_it_drops():
    ones = torch.ones(100, 100)
    dropped = MLPRanker(dropout=0.75)._drop(ones, torch.Generator().manual_seed(0))
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)
    assert MLPRanker(dropout=0.0)._drop(ones, torch.Generator()) is ones


@pytest.mark.parametrize("batch_size", [7, 10_000])
def test_the_loss_of_an_epoch_is_the_mean_over_its_clicks(batch_size):
    ranker = MLPRanker(epochs=1, batch_size=batch_size, learning_rate=0.0, device="cpu").fit(ALIKE, checkerboard())
    assert ranker.losses_ == pytest.approx([np.log(2)], abs=0.1)  # nothing learned, nobody is above anybody


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_best_device_there_is_is_used_unless_one_is_named(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == best
    assert MLPRanker(**QUICK).fit(ALIKE, checkerboard()).losses_  # device="cpu"


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_appears_after_a_second_and_can_be_switched_off(monkeypatch, progress):
    asked = {}
    monkeypatch.setattr(tqdm.auto, "tqdm", lambda rounds, **options: asked.update(options) or rounds)
    MLPRanker(progress=progress, **QUICK).fit(ALIKE, checkerboard())
    assert asked == {"desc": "MLPRanker", "delay": 1.0, "disable": not progress}


def test_a_score_is_the_network_on_every_pair():
    features = random_features()
    ranker = MLPRanker(**QUICK, dropout=0.0).fit(features, checkerboard())
    said = users(checkerboard(seed=5).toarray()[:3], dim=8)
    items = ranker.space_.item_vectors(features)
    w = ranker.weights_
    expected = np.zeros((3, N_ITEMS))
    for row, u in enumerate(ranker.space_.user_vectors(said, items)):
        for at, i in enumerate(items):
            layer = u @ w["user"] + i @ w["item"] + (u * i) @ w["product"] + abs(u - i) @ w["distance"] + w["bias"]
            expected[row, at] = np.maximum(layer, 0) @ w["out"] + w["skip"] * (u @ i)
    scores = ranker.score(said, features)
    assert np.allclose(scores, expected, atol=1e-4)
    assert scores.dtype == np.float32


def test_training_and_scoring_compute_the_same_network():
    features = random_features()
    ranker = MLPRanker(**QUICK, dropout=0.0).fit(features, checkerboard())
    said = users(checkerboard(seed=5).toarray()[:3], dim=8)
    items = ranker.space_.item_vectors(features)
    vectors = torch.from_numpy(ranker.space_.user_vectors(said, items))
    weights = {name: torch.from_numpy(np.asarray(value)) for name, value in ranker.weights_.items()}
    trained = ranker._forward(weights, vectors[:, None], torch.from_numpy(items), torch.Generator())
    assert np.allclose(ranker.score(said, features), trained.numpy(), atol=1e-4)


def test_a_user_of_whom_nothing_is_known_scores_0_everywhere():
    ranker = MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    assert not ranker.score(users(np.zeros((1, N_ITEMS))), ALIKE).any()


def test_new_items_are_scored_by_what_they_are_alone():
    old, new = random_features(), random_features(n=5, seed=1)
    ranker = MLPRanker(**QUICK).fit(old, checkerboard())
    said = users(np.zeros((1, 5)), dim=8, query=old.dense[:1])
    both = Features(np.vstack([old.dense, new.dense]))
    among = ranker.score(users(np.zeros((1, N_ITEMS + 5)), dim=8, query=old.dense[:1]), both)
    assert np.allclose(ranker.score(said, new), among[:, N_ITEMS:], atol=1e-5)


def test_arguments_are_left_as_they_were():
    features, clicks = random_features(), checkerboard()
    MLPRanker(**QUICK).fit(features, clicks).score(users(np.eye(N_ITEMS)[:1], dim=8), features)
    assert np.array_equal(features.dense, random_features().dense)
    assert np.array_equal(clicks.toarray(), checkerboard().toarray())


@pytest.mark.parametrize("progress", [True, False])
def test_short_training_shows_no_bar(progress, capfd):
    MLPRanker(progress=progress, **QUICK).fit(ALIKE, checkerboard())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("hidden", 0, "between 1 and"),
        ("epochs", -1, "between 1 and"),
        ("batch_size", 0, "between 1 and"),
        ("negatives", 0, "between 1 and"),
        ("learning_rate", -0.1, "between 0 and"),
        ("weight_decay", float("nan"), "between 0 and"),
        ("dropout", 1.0, r"between 0 and 0\.99"),
        ("epochs", True, "between 1 and"),
    ],
)
def test_a_parameter_out_of_range_is_refused(name, value, bounds):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be {bounds}.*; got {value!r}"):
        MLPRanker(**{name: value}).fit(ALIKE)


def test_an_unknown_loss_is_refused():
    with pytest.raises(InvalidInputError, match='`loss` of MLPRanker must be "bpr" or "bce"; got \'mse\''):
        MLPRanker(loss="mse").fit(ALIKE)


def test_vectors_must_be_finite():
    with pytest.raises(InvalidInputError, match=r"`features\.dense` must be finite"):
        MLPRanker().fit(Features(np.full((2, 2), np.nan, dtype=np.float32)))


def test_scoring_before_fit_says_what_to_call():
    with pytest.raises(NotFittedError, match="MLPRanker must be fitted before it is used; call MLPRanker.fit first"):
        MLPRanker().score(users(np.eye(N_ITEMS)[:1]), ALIKE)


def test_no_users_have_no_scores():
    assert MLPRanker().fit(ALIKE).score(users(np.zeros((0, N_ITEMS))), ALIKE).shape == (0, N_ITEMS)


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 2.5), ("epochs", "6"), ("negatives", None), ("batch_size", 1.5)]
)
def test_a_parameter_that_is_no_whole_number_is_refused(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be"):
        MLPRanker(**{name: value}).fit(ALIKE, checkerboard())
