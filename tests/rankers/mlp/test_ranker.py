import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from coldstart._device import best_device
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.mlp.ranker import SCALE, MLPRanker
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


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
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
    assert np.allclose(scores, SCALE * cosine, atol=1e-4)
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


def test_two_clicks_of_a_user_are_enough_to_learn_from():
    assert len(MLPRanker(**QUICK).fit(ALIKE, csr_array(np.eye(4, N_ITEMS) + np.eye(4, N_ITEMS, 4))).losses_) == 2


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_best_device_there_is_is_used_unless_one_is_named(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == best
    assert MLPRanker(**QUICK).fit(ALIKE, checkerboard()).losses_  # device="cpu"


def test_a_user_of_whom_nothing_is_known_scores_0_everywhere():
    ranker = MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    assert not ranker.score(users(np.zeros((1, N_ITEMS))), ALIKE).any()


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
    with pytest.raises(InvalidInputError, match='`loss` of MLPRanker must be "softmax", "bpr" or "bce"; got \'mse\''):
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
