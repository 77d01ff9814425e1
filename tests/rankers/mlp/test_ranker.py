import copy

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import coldstart as cs
from coldstart._device import best_device
from coldstart.base import Features, Users
from coldstart.data.holdout import mean_ndcg
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.mlp.pairs import CandidateLists, PairNetwork
from coldstart.rankers.mlp.ranker import SCALE, MLPRanker
from coldstart.rankers.mlp.scoring import click_features
from coldstart.testing import HashEncoder, check_ranker

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
    requests = nothing if query is None else Features(query)
    return Users(history, csr_array(history.shape, dtype=np.float32), requests, nothing)


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
    requests, unseen = new_users(features.dense.shape[1])
    lines = ranker.score(requests, features)[:, unseen]
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
def test_clicks_train_preferences_that_vectors_do_not_show(loss):
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
    features, requests = random_features(), users(2 * np.eye(N_ITEMS)[:3] + np.eye(N_ITEMS)[3:6], dim=8)
    ranker = MLPRanker(**QUICK).fit(features, None if clicks is None else csr_array(clicks.astype(np.float32)))
    cosine = CosineRanker().fit(features).score(requests, features)
    scores = ranker.score(requests, features)
    assert ranker.losses_ == []
    assert np.allclose(scores, SCALE * cosine, atol=1e-4)
    assert np.array_equal(np.argsort(-scores, axis=1), np.argsort(-cosine, axis=1))


def test_queries_count_like_histories():
    features = random_features()
    ranker = MLPRanker(**QUICK).fit(features)
    requests = users(np.zeros((1, N_ITEMS)), dim=8, query=features.dense[[4]])
    assert ranker.score(requests, features).argmax() == 4


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


# The second stage, and items without clicks


MANY = {"hidden": 16, "epochs": 3, "batch_size": 256, "learning_rate": 0.01, "device": "cpu", "progress": False}
N_MANY, COLD = 60, np.arange(50, 60)


def many_features():
    """Vectors that tell the group of an item only faintly, beside a style that nobody cares for."""
    rng = np.random.default_rng(0)
    dense = np.eye(12)[2 + rng.integers(10, size=N_MANY)] + 0.02 * rng.standard_normal((N_MANY, 12))
    return Features((dense + 0.3 * np.eye(12)[np.arange(N_MANY) % 2]).astype(np.float32))


def many_clicks(n_users=160, seed=0):
    """Users like items of one group, some items far more often than others, and the last ten items never."""
    rng = np.random.default_rng(seed)
    chance = np.where(np.arange(N_MANY) % 2 == (np.arange(n_users) % 2)[:, None], 1.0, 0.03)
    chance = chance * np.linspace(0.9, 0.1, N_MANY)[rng.permutation(N_MANY)]
    chance[:, COLD] = 0
    return csr_array((rng.random(chance.shape) < chance).astype(np.float32))


@pytest.fixture(scope="module")
def two_stages():
    ranker = MLPRanker(**MANY).fit(many_features(), many_clicks())
    assert "out" in ranker.weights_
    return ranker


def some_users(count=6):
    """New users, each with some likes of one group, some of them also of new items."""
    return users(many_clicks(count, seed=1).toarray(), dim=12)


def first_stage(ranker, requests, features):
    """What the ranker says without its second stage."""
    alone = copy.copy(ranker)
    alone.weights_ = {name: ranker.weights_[name] for name in ("map", "own", "scale")}
    return alone.score(requests, features)


def with_candidates(ranker, count):
    changed = copy.copy(ranker)
    changed.candidates = count
    return changed


def test_many_clicks_train_two_stages_and_each_epoch_is_measured(two_stages):
    assert set(two_stages.report_) == {"first stage", "second stage"}
    for measured in two_stages.report_.values():
        assert list(measured) == list(range(len(measured)))
        assert len(measured) > 1
        assert all(0 <= value <= 1 for value in measured.values())
    assert max(two_stages.report_["second stage"].values()) > two_stages.report_["second stage"][0]
    assert len(two_stages.report_["first stage"]) <= MANY["epochs"] + 1


def test_few_clicks_are_not_measured_and_train_one_stage():
    ranker = MLPRanker(**QUICK).fit(ALIKE, checkerboard())
    assert ranker.report_ == {}
    assert set(ranker.weights_) == {"map", "own", "scale"}


def test_few_users_with_many_clicks_train_one_stage():
    clicks = csr_array((np.random.default_rng(0).random((40, N_MANY)) < 0.6).astype(np.float32))
    assert clicks.nnz > 1_000
    ranker = MLPRanker(**MANY).fit(many_features(), clicks)
    assert set(ranker.report_) == {"first stage"}
    assert "out" not in ranker.weights_


def test_without_candidates_there_is_no_second_stage(two_stages):
    ranker = MLPRanker(candidates=0, **MANY).fit(many_features(), many_clicks())
    assert set(ranker.report_) == {"first stage"}
    assert set(ranker.weights_) == {"map", "own", "scale"}
    expected = first_stage(two_stages, some_users(), many_features())
    np.testing.assert_array_equal(ranker.score(some_users(), many_features()), expected)


def test_training_that_does_not_improve_ndcg_stops_early_and_leaves_the_cosine():
    ranker = MLPRanker(**MANY | {"learning_rate": 0.0, "epochs": 9}).fit(many_features(), many_clicks())
    assert list(ranker.report_["first stage"]) == list(ranker.report_["second stage"]) == [0, 1, 2]
    cosine = CosineRanker().fit(many_features()).score(some_users(), many_features())
    np.testing.assert_allclose(ranker.score(some_users(), many_features()), SCALE * cosine, atol=1e-4)


@pytest.mark.parametrize("count", [5, 1_000])
def test_numpy_scores_of_candidates_agree_with_the_torch_network(two_stages, count):
    requests, features = some_users(), many_features()
    ranker = with_candidates(two_stages, count)
    items = ranker._items(features)
    scale = ranker.weights_["scale"]
    network = PairNetwork(items, 16, 0.0, np.random.default_rng(0)).eval()
    network.load_state_dict(
        {n: torch.from_numpy(np.asarray(ranker.weights_[n])) for n, _ in network.named_parameters()}
    )
    found = ranker.score(requests, features)
    for row in range(len(requests)):
        user = scale * ranker.space_.user_vectors(requests, items)[[row]]
        history = csr_array(requests.history[[row]])
        count_now = min(count, N_MANY - history.nnz)
        lists = CandidateLists.of(user, items, history, csr_array(history.shape), ranker.counts_, count_now)
        clicks = click_features(ranker.counts_[lists.items], np.array([history.nnz]))
        with torch.no_grad():
            expected = network(lists._replace(clicks=clicks)).numpy()
        np.testing.assert_allclose(found[row, lists.items[0]], expected[0], atol=1e-3)


def test_items_beyond_the_candidates_keep_their_order_below_them(two_stages):
    requests, features = some_users(), many_features()
    before, after = (
        first_stage(two_stages, requests, features),
        with_candidates(two_stages, 7).score(requests, features),
    )
    for row, seen in enumerate(requests.history.toarray() > 0):
        order = [at for at in np.argsort(-before[row], kind="stable") if not seen[at]]
        best, rest = order[:7], order[7:]
        assert after[row, rest].max() <= after[row, best].min()
        assert [at for at in np.argsort(-after[row], kind="stable") if at in rest] == rest
    assert not np.allclose(after, before, atol=0.1)


def test_seen_items_are_no_candidates(two_stages):
    """With one candidate it is the best item that is not in the history; all keep their order."""
    requests, features = some_users(), many_features()
    before, after = (
        first_stage(two_stages, requests, features),
        with_candidates(two_stages, 1).score(requests, features),
    )
    for row in range(len(requests)):
        assert np.array_equal(np.argsort(-after[row], kind="stable"), np.argsort(-before[row], kind="stable"))
    seen = requests.history.toarray() > 0
    assert any(before[row].argmax() in np.flatnonzero(seen[row]) for row in range(len(requests)))


def test_a_user_who_has_seen_all_items_gets_the_first_stage(two_stages):
    requests, features = users(np.ones((1, N_MANY)), dim=12), many_features()
    np.testing.assert_array_equal(two_stages.score(requests, features), first_stage(two_stages, requests, features))


def test_a_query_without_a_history_gets_the_first_stage(two_stages):
    features = many_features()
    requests = users(np.zeros((1, N_MANY)), dim=12, query=features.dense[[4]])
    np.testing.assert_array_equal(two_stages.score(requests, features), first_stage(two_stages, requests, features))


def test_scores_of_two_stages_do_not_depend_on_the_other_users(two_stages):
    requests, features = some_users(), many_features()
    together = two_stages.score(requests, features)
    for row in range(len(requests)):
        alone = users(requests.history.toarray()[row], dim=12)
        np.testing.assert_allclose(two_stages.score(alone, features)[0], together[row], atol=1e-3)


def test_two_stages_have_a_higher_ndcg_than_the_cosine(two_stages):
    """Of the likes of new users, half are given."""
    whole = many_clicks(100, seed=2).toarray()
    given = whole * (np.random.default_rng(0).random(whole.shape) < 0.5)
    requests, relevant, features = users(given, dim=12), csr_array(whole - given), many_features()
    measured = [
        mean_ndcg(ranker.score(requests, features), requests.history, relevant)
        for ranker in (CosineRanker().fit(features), two_stages)
    ]
    assert measured[1] > measured[0] + 0.1


def share_of_cold_in_order(ranker, features):
    """How often, among items that nobody clicked, one of the own group is above one of the other (AUC)."""
    scores = ranker.score(some_users(40), features)[:, COLD]
    own = (np.arange(40) % 2)[:, None] == COLD % 2
    pairs = [line[mine][:, None] > line[~mine] for line, mine in zip(scores, own, strict=True)]
    return np.mean(pairs)


def test_items_without_clicks_are_ranked_by_the_learned_map_of_texts(two_stages):
    assert share_of_cold_in_order(two_stages, many_features()) > 0.85
    assert not two_stages.weights_["own"][COLD].any()
    assert not two_stages.counts_[COLD].any()


def test_clicks_of_each_item_are_counted_once_for_each_user(two_stages):
    np.testing.assert_array_equal(two_stages.counts_, (many_clicks().toarray() > 0).sum(axis=0))


def test_two_stages_have_the_same_bytes_under_the_same_seed(two_stages):
    same = MLPRanker(**MANY).fit(many_features(), many_clicks())
    assert weights_as_bytes(same) == weights_as_bytes(two_stages)
    assert same.report_ == two_stages.report_
    other = MLPRanker(rng=1, **MANY).fit(many_features(), many_clicks())
    assert weights_as_bytes(other) != weights_as_bytes(two_stages)


def changed(origin):
    """The catalogue after a change: each item as it was, or new (-1) with the text of the first cold item."""
    return Features(many_features().dense[np.where(origin < 0, COLD[0], origin)])


@pytest.mark.parametrize(
    "origin",
    [
        np.arange(N_MANY),
        np.arange(N_MANY)[::-1],
        np.random.default_rng(0).permutation(N_MANY),
        np.append(np.arange(N_MANY), [-1, -1]),
        np.r_[-1, np.arange(20, N_MANY), -1, np.arange(5)],
    ],
    ids=["same", "turned round", "shuffled", "added", "added and removed"],
)
def test_items_keep_their_scores_when_the_catalogue_changes(two_stages, origin):
    """By a history that is still there; where all that is new is a candidate."""
    history = np.zeros((1, N_MANY))
    history[0, [20, 22, 24, 30]] = 1
    before = two_stages.score(users(history, dim=12), many_features())[0]
    now = np.where(origin >= 0, history[0][origin], 0)
    features = changed(origin)
    fresh = two_stages.refreshed(features, csr_array((1, len(origin)), dtype=np.float32), origin)
    after = fresh.score(users(now, dim=12), features)[0]
    old = (origin >= 0) & (now == 0)
    np.testing.assert_allclose(after[old], before[origin[old]], atol=1e-3)
    np.testing.assert_allclose(after[origin < 0], before[COLD[0]], atol=1e-3)  # as an item of that text without clicks


def test_refreshed_leaves_the_ranker_as_it_was(two_stages):
    before = weights_as_bytes(two_stages), two_stages.counts_.copy()
    origin = np.append(np.arange(5), -1)
    fresh = two_stages.refreshed(changed(origin), csr_array((1, 6), dtype=np.float32), origin)
    assert (weights_as_bytes(two_stages), len(two_stages.counts_)) == (before[0], N_MANY)
    assert fresh.weights_["own"].shape == (6, 12)
    assert fresh.counts_.tolist() == [*before[1][:5], 0]


def test_refreshing_twice_is_refreshing_once(two_stages):
    nobody = csr_array((1, 30), dtype=np.float32)
    first, second = np.arange(N_MANY)[::-2], np.arange(30)[::-1]
    twice = two_stages.refreshed(changed(first), nobody, first).refreshed(changed(first[second]), nobody, second)
    once = two_stages.refreshed(changed(first[second]), nobody, first[second])
    assert weights_as_bytes(twice) == weights_as_bytes(once)
    np.testing.assert_array_equal(twice.counts_, once.counts_)


@pytest.mark.parametrize("count", [59, 61])
def test_other_items_than_those_of_fit_need_refreshed(two_stages, count):
    features = Features(np.ones((count, 12), dtype=np.float32))
    with pytest.raises(
        InvalidInputError, match=rf"must be of the 60 items that were fitted; got {count}\. Call refresh"
    ):
        two_stages.score(users(np.zeros((1, count)), dim=12), features)


def test_refreshing_before_fit_says_what_to_call():
    with pytest.raises(NotFittedError, match=r"call MLPRanker\.fit first"):
        MLPRanker().refreshed(ALIKE, checkerboard(), np.arange(N_ITEMS))


def test_a_tracker_gets_each_epoch():
    noted = []
    ranker = MLPRanker(tracker=lambda numbers, epoch: noted.append((epoch, numbers["loss"])), **QUICK)
    ranker.fit(ALIKE, checkerboard())
    assert [epoch for epoch, _ in noted] == [1, 2]
    assert [loss for _, loss in noted] == ranker.losses_


@pytest.mark.parametrize(
    ("name", "value"), [("candidates", -1), ("candidates", 2.5), ("content_dropout", 1.1), ("content_dropout", -0.1)]
)
def test_settings_of_two_stages_out_of_range_are_refused(name, value):
    with pytest.raises(InvalidInputError, match=f"`{name}` must be"):
        MLPRanker(**{name: value}).fit(ALIKE, checkerboard())


def test_two_stages_and_their_report_are_saved_with_a_recommender(tmp_path):
    rows = {"id": list(range(N_MANY)), "title": [f"group{at % 2} style{at % 7}" for at in range(N_MANY)]}
    pairs = many_clicks().tocoo()
    clicks = cs.Interactions.from_frame({"u": pairs.row.tolist(), "i": pairs.col.tolist()}, user="u", item="i")
    rec = cs.Recommender(encoder=HashEncoder(), ranker=MLPRanker(**MANY, rng=1))
    rec.fit(cs.Catalog.from_frame(rows, id="id", fields=["title"]), clicks, check=False)
    assert "out" in rec.ranker_.weights_
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert again.ranker_.report_ == rec.ranker_.report_
    requests = [cs.Request(history=[1, 3, 5]), cs.Request(user=3), cs.Request(query="group1")]
    assert again.recommend_many(requests, k=N_MANY) == rec.recommend_many(requests, k=N_MANY)
