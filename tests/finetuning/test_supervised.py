"""cs.finetune: on planted items whose vectors tell their group only faintly, and on small random language models."""

import numpy as np
import pytest
import torch

import coldstart as cs
from coldstart._component import Component
from coldstart.encoders.adapted import AdaptedEncoder
from coldstart.errors import InvalidInputError, TrainingError, UnknownIdError
from coldstart.finetuning import objectives
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
from coldstart.training import loop

N_ITEMS, N_USERS, GROUPS, STYLES, DIM = 240, 80, 4, 16, 24
TITLES = [f"item {at}" for at in range(N_ITEMS)]
GROUP = np.arange(N_ITEMS) % GROUPS
ADAPTER = {"learning_rate": 1e-2, "batch_size": 128, "progress": False}
TUNE = {"epochs": 1, "progress": False}
WORDS = "space garden film moon star rose tulip red green very quiet".split()


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TableEncoder(Component):
    """Vectors of known titles: a style that nobody cares for, and beside it a little of the group; queries name one."""

    def __init__(self, signal=0.2, dim=DIM):
        self.signal = signal
        self.dim = dim

    def encode(self, values):
        rng = np.random.default_rng(0)
        table = np.eye(self.dim)[GROUPS + rng.integers(STYLES, size=N_ITEMS)]
        table += self.signal * np.eye(GROUPS, self.dim)[GROUP] + 0.02 * rng.standard_normal((N_ITEMS, self.dim))
        rows = dict(zip(TITLES, table, strict=True))
        rows |= {f"group {at}": row for at, row in enumerate(np.eye(GROUPS, self.dim))}
        return np.array([rows.get(value, np.zeros(self.dim)) for value in values], dtype=np.float32).reshape(
            -1, self.dim
        )

    def identity(self):
        return f"TableEncoder {self.signal} {self.dim}"


def catalog_of(**columns):
    rows = {"id": list(range(N_ITEMS)), "title": TITLES, "group": [f"g{at}" for at in GROUP], **columns}
    return cs.Catalog.from_frame(rows, id="id", fields=["title"])


def clicks_of(n_users=N_USERS, each=20, seed=0):
    """Each user likes some items of one group."""
    rng = np.random.default_rng(seed)
    rows = [
        {"user": who, "item": int(item)}
        for who in range(n_users)
        for item in rng.choice(np.flatnonzero(who % GROUPS == GROUP), each, replace=False)
    ]
    return cs.Interactions.from_frame(rows, user="user", item="item")


def purity(encoder, near=slice(None), of=slice(None)):
    """Share of the items ``near`` the items ``of``, twenty for each, that are of their group."""
    vectors = encoder.encode(TITLES)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    top = np.argsort(-(vectors[of] @ vectors[near].T), axis=1)[:, :20]
    return np.mean(GROUP[near][top] == GROUP[of, None])


def best(encoder, method="adapter"):
    """How much better than before training the hidden items were found in the best epoch, and before."""
    measured = encoder.report_[method]
    return max(measured.values()), measured[0]


@pytest.mark.parametrize("kind", ["linear", "low-rank", "mlp"])
def test_the_adapter_ranks_held_out_items_higher(kind):
    tuned = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), kind=kind, **ADAPTER)
    after, before = best(tuned)
    assert after > before + 0.1
    assert purity(tuned) > purity(TableEncoder())


def test_users_with_a_history_are_recommended_more_new_items_of_their_group():
    """Clicks are on the first two thirds; the rest is new."""
    old, rng = 160, np.random.default_rng(0)
    liked = [rng.choice(np.flatnonzero(GROUP[:old] == who % GROUPS), 20, replace=False) for who in range(N_USERS)]
    rows = [{"user": who, "item": int(item)} for who, items in enumerate(liked) for item in items]
    clicks = cs.Interactions.from_frame(rows, user="user", item="item")
    tuned = cs.finetune(TableEncoder(), catalog_of(), clicks, **ADAPTER)

    def share_of_group(encoder):
        vectors = encoder.encode(TITLES)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        users = np.stack([vectors[items].sum(axis=0) for items in liked])
        top = np.argsort(-(users @ vectors[old:].T), axis=1)[:, :20]
        return np.mean(GROUP[old:][top] == (np.arange(N_USERS) % GROUPS)[:, None])

    assert share_of_group(tuned) > share_of_group(TableEncoder()) + 0.2


def test_co_liked_items_train_as_well_as_histories():
    tuned = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), positives="co-liked", **ADAPTER)
    after, before = best(tuned)
    assert after > before + 0.1


def test_queries_get_near_to_the_items_found_with_them():
    """Queries of which the encoder knows nothing to do with the groups that they find."""

    class Turned(TableEncoder):
        def encode_query(self, values):
            return np.roll(self.encode(values), 1, axis=1)

    rng = np.random.default_rng(0)
    pairs = [(f"group {at % GROUPS}", int(item)) for at in range(300) for item in rng.integers(0, N_ITEMS, 1)]
    pairs = [(query, item) for query, item in pairs if f"group {GROUP[item]}" == query]
    tuned = cs.finetune(Turned(), catalog_of(), pairs=pairs, epochs=40, learning_rate=1e-2, progress=False)

    def share_found(encoder):
        vectors = encoder.encode_query([f"group {at}" for at in range(GROUPS)])
        top = np.argsort(-(vectors @ encoder.encode(TITLES).T), axis=1)[:, :10]
        return np.mean(GROUP[top] == np.arange(GROUPS)[:, None])

    assert isinstance(tuned, AdaptedEncoder)
    assert share_found(tuned) > share_found(Turned()) + 0.2


def test_many_queries_are_measured():
    rng = np.random.default_rng(0)
    pairs = [
        (f"item {at}", int(item))
        for at in range(N_ITEMS)
        for item in rng.choice(np.flatnonzero(GROUP[at] == GROUP), 20, replace=False)
    ]
    after, before = best(cs.finetune(TableEncoder(), catalog_of(), pairs=pairs, **ADAPTER))
    assert after > before + 0.1


def test_the_encoder_given_is_unchanged():
    encoder = TableEncoder()
    before = encoder.encode(TITLES)
    tuned = cs.finetune(encoder, catalog_of(), clicks_of(), **ADAPTER)
    assert vars(encoder) == {"signal": 0.2, "dim": DIM}
    np.testing.assert_array_equal(encoder.encode(TITLES), before)
    assert tuned.encoder is encoder
    assert tuned.identity() != AdaptedEncoder(encoder).identity()


def test_the_same_seed_gives_the_same_map_and_another_seed_another():
    rngs = (3, 3, np.random.default_rng(3), np.random.SeedSequence(3), 4)
    tuned = [cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=2, rng=rng, **ADAPTER) for rng in rngs]
    one, *same, other = (encoder.encode(TITLES) for encoder in tuned)
    for vectors in same:
        np.testing.assert_array_equal(vectors, one)
    assert not np.array_equal(one, other)
    assert tuned[0].report_ == tuned[1].report_


def test_global_seeds_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=2, **ADAPTER)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_without_epochs_vectors_are_only_centred():
    tuned = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=0, **ADAPTER)
    vectors = TableEncoder().encode(TITLES)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = vectors - vectors.mean(axis=0)
    np.testing.assert_allclose(
        tuned.encode(TITLES), centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-5
    )
    assert list(tuned.report_["adapter"]) == [0]


def test_where_training_does_not_improve_ndcg_vectors_are_only_centred():
    rng = np.random.default_rng(0)
    rows = [{"user": who, "item": int(item)} for who in range(60) for item in rng.choice(N_ITEMS, 6, replace=False)]
    clicks = cs.Interactions.from_frame(rows, user="user", item="item")
    tuned = cs.finetune(TableEncoder(), catalog_of(), clicks, **ADAPTER | {"learning_rate": 0.0})
    assert not tuned.map_["up"].any()


def test_training_stops_early_when_ndcg_does_not_improve():
    stuck = ADAPTER | {"learning_rate": 0.0}
    tired = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), patience=2, epochs=9, **stuck)
    assert list(tired.report_["adapter"]) == [0, 1, 2]
    never = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), patience=None, epochs=9, **stuck)
    assert list(never.report_["adapter"]) == list(range(10))


def test_too_few_clicks_to_measure_are_still_trained_on():
    tuned = cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), progress=False)
    assert tuned.report_ == {"adapter": {}}
    assert tuned.map_["up"].any()
    one, other, far = tuned.encode(["space", "star", "garden"])
    before = AdaptedEncoder(HashEncoder()).encode(["space", "star", "garden"])
    assert (one - far) @ other > (before[0] - before[2]) @ before[1]


def test_a_column_that_is_predicted_adds_a_loss():
    noted = []
    settings = {"predict": "group", "tracker": lambda numbers, _: noted.append(numbers), **ADAPTER}
    cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=8, patience=None, **settings)
    assert len(noted) == 8  # what is run again on all clicks is not tracked
    assert set(noted[0]) == {"clicks", "predict", "loss", "measured"}
    assert noted[0]["predict"] == pytest.approx(np.log(GROUPS), abs=0.3)
    assert noted[-1]["predict"] < noted[0]["predict"]
    for numbers in noted:
        assert numbers["loss"] == pytest.approx(numbers["clicks"] + 0.1 * numbers["predict"], rel=1e-3)


def test_shares_are_the_weights_of_the_losses():
    noted = []
    settings = {"predict": "group", "shares": {"predict": 2.0, "clicks": 0.0}, **ADAPTER}
    cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=1, tracker=lambda n, _: noted.append(n), **settings)
    assert noted[0]["loss"] == pytest.approx(2 * noted[0]["predict"], rel=1e-3)


def test_a_column_with_gaps_can_be_predicted():
    some = [f"g{at}" if row % 3 else None for row, at in enumerate(GROUP)]
    assert cs.finetune(TableEncoder(), catalog_of(some=some), clicks_of(), predict="some", epochs=2, **ADAPTER).map_


@pytest.mark.parametrize("predict", ["nothing", "same"])
def test_a_column_to_predict_is_there_and_has_two_values(predict):
    with pytest.raises(InvalidInputError, match="`predict` must be a column of"):
        cs.finetune(TableEncoder(), catalog_of(same=["x"] * N_ITEMS), clicks_of(), predict=predict)


def test_clicks_or_pairs_not_both_and_not_neither():
    for given in ({}, {"interactions": tiny_clicks(), "pairs": [("moon", "s1")]}):
        with pytest.raises(InvalidInputError, match="learns from `interactions` or from `pairs`: pass one of the two"):
            cs.finetune(HashEncoder(), tiny_catalog(), **given)


def test_no_clicks_and_no_pairs_are_refused():
    nobody = cs.Interactions.from_frame({"u": [], "i": []}, user="u", item="i")
    for given in ({"interactions": nobody}, {"pairs": []}):
        with pytest.raises(InvalidInputError, match=f"`{next(iter(given))}` of finetune must not be empty"):
            cs.finetune(HashEncoder(), tiny_catalog(), **given)


def test_items_must_be_of_the_catalogue():
    clicks = cs.Interactions.from_frame({"u": [1, 1], "i": ["s0", "x9"]}, user="u", item="i")
    with pytest.raises(UnknownIdError, match="`items of interactions` must hold ids .*; got 'x9'"):
        cs.finetune(HashEncoder(), tiny_catalog(), clicks)
    with pytest.raises(UnknownIdError, match="`items of pairs` must hold ids .*; got 'x9'"):
        cs.finetune(HashEncoder(), tiny_catalog(), pairs=[("moon", "s1"), ("moon", "x9")])


def test_a_batch_larger_than_the_clicks_is_refused():
    with pytest.raises(InvalidInputError, match=r"`batch_size` must be between 1 and .*; got 1000"):
        cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), batch_size=1000)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("method", "all"),
        ("objective", "mse"),
        ("positives", "random"),
        ("anchor", -1.0),
        ("layers", 0),
        ("rank", 0),
        ("epochs", -1),
        ("learning_rate", -1.0),
        ("weight_decay", -1.0),
        ("patience", 0),
        ("adversarial", -1.0),
    ],
)
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(InvalidInputError, match=f"`{setting}`"):
        cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), **{setting: value})


def test_an_adapter_cannot_classify_pairs_of_texts():
    with pytest.raises(InvalidInputError, match='objective="classification" reads two texts as one'):
        cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), objective="classification")


def test_a_resumed_training_ends_with_the_same_vectors(tmp_path, monkeypatch):
    whole = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), epochs=4, **ADAPTER)
    settings = {"epochs": 4, "checkpoint": tmp_path / "kept.pt", **ADAPTER}

    def stop(numbers, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cs.finetune(TableEncoder(), catalog_of(), clicks_of(), tracker=stop, **settings)
    again = cs.finetune(TableEncoder(), catalog_of(), clicks_of(), **settings)
    np.testing.assert_array_equal(again.encode(TITLES), whole.encode(TITLES))


def test_a_recommender_with_the_tuned_encoder_fits_saves_and_loads(tmp_path):
    tuned = cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), progress=False)
    rec = cs.Recommender(encoder=tuned).fit(tiny_catalog(), tiny_clicks())
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=tuned)
    requests = [cs.Request(query="moon"), cs.Request(user="u0"), cs.Request(history=["g0"])]
    assert again.recommend_many(requests, k=5) == rec.recommend_many(requests, k=5)
    assert rec.recommend(query="moon", k=1).item_ids == [["s1"]]


# Language models


@pytest.fixture
def encoder(make_model):
    return cs.TextEncoder(make_model("bert"), dtype="float32", device="cpu")


def worded():
    """Items of two kinds by their words, and users who like one kind."""
    kinds = [WORDS[:5], WORDS[5:]]
    titles = [f"{one} {other}" for words in kinds for one in words for other in words]
    rows = {"id": list(range(len(titles))), "title": titles, "half": [at < 25 for at in range(len(titles))]}
    catalog = cs.Catalog.from_frame(rows, id="id", fields=["title"])
    rng = np.random.default_rng(0)
    clicks = [
        {"user": who, "item": int(item)}
        for who in range(40)
        for item in rng.choice(25, 12, replace=False) + 25 * (who % 2)
    ]
    return catalog, cs.Interactions.from_frame(clicks, user="user", item="item")


@pytest.mark.parametrize("method", ["last-layers", "lora", "full"])
def test_a_language_model_is_trained_and_written(encoder, tmp_path, method):
    before = encoder.encode(WORDS)
    tuned = cs.finetune(encoder, *worded(), method, folder=tmp_path / "a" / "new", learning_rate=1e-2, **TUNE)
    assert isinstance(tuned, AdaptedEncoder)
    assert isinstance(tuned.encoder, cs.TextEncoder)
    again = cs.TextEncoder(tmp_path / "a" / "new", dtype="float32", device="cpu")
    np.testing.assert_array_equal(tuned.encoder.encode(WORDS), again.encode(WORDS))
    assert set(tuned.report_) == {"adapter", method}
    assert list(tuned.report_[method]) == [0, 1]
    assert tuned.encode(WORDS).shape == before.shape
    np.testing.assert_array_equal(encoder.encode(WORDS), before)
    np.testing.assert_array_equal(cs.TextEncoder(**encoder.get_params()).encode(WORDS), before)


def test_the_language_model_starts_where_the_adapter_ended(encoder, tmp_path):
    tuned = cs.finetune(encoder, *worded(), "full", folder=tmp_path / "new", **TUNE)
    assert tuned.report_["full"][0] == pytest.approx(best(tuned)[0], abs=1e-3)


def test_a_model_whose_ndcg_does_not_improve_is_saved_as_it_was(encoder, tmp_path):
    tuned = cs.finetune(encoder, *worded(), "full", folder=tmp_path / "new", **TUNE | {"epochs": 0})
    np.testing.assert_allclose(tuned.encoder.encode(WORDS), encoder.encode(WORDS), atol=1e-6)


def moved_by(encoder, folder, **settings):
    """How far the vectors of the language model went, training on clicks too few to be measured."""
    tuned = cs.finetune(
        encoder, tiny_catalog(), tiny_clicks(), "full", folder=folder, learning_rate=1e-3, progress=False, **settings
    )
    texts = ["a story of space", "garden rose", "star"]
    return tuned, np.square(tuned.encoder.encode(texts) - encoder.encode(texts)).sum()


def test_a_large_anchor_keeps_vectors_near_those_from_before(encoder, tmp_path):
    _, free = moved_by(encoder, tmp_path / "a", anchor=0.0, epochs=10)
    _, held = moved_by(encoder, tmp_path / "b", anchor=1e4, epochs=10)
    assert held < 0.5 * free


def test_the_same_seed_gives_the_same_model(encoder, tmp_path):
    one, same, other = (
        moved_by(encoder, tmp_path / str(at), rng=rng, epochs=2)[0].encode(WORDS) for at, rng in enumerate((1, 1, 2))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_adversarial_steps_change_what_is_learned(encoder, tmp_path):
    plain, tried = (
        moved_by(encoder, tmp_path / str(length), adversarial=length, epochs=2)[0].encode(WORDS)
        for length in (0.0, 0.5)
    )
    assert np.isfinite(tried).all()
    assert not np.array_equal(plain, tried)


def test_the_classification_objective_learns_pairs_of_texts(encoder, tmp_path):
    noted = []
    settings = {"objective": "classification", "tracker": lambda numbers, _: noted.append(numbers), "epochs": 2}
    tuned, moved = moved_by(encoder, tmp_path / "new", **settings)
    assert moved > 0
    assert set(noted[0]) == {"anchor", "clicks", "loss"}
    assert noted[0]["clicks"] == pytest.approx(np.log(2), abs=0.5)
    assert tuned.encode(["moon"]).shape == (1, 16)


def test_a_column_can_be_predicted_by_a_language_model(encoder, tmp_path):
    noted = []
    settings = {"predict": "half", "tracker": lambda numbers, _: noted.append(numbers), **TUNE}
    cs.finetune(encoder, *worded(), "last-layers", folder=tmp_path / "new", **settings)
    assert set(noted[0]) == {"clicks", "anchor", "predict", "loss", "measured"}


@pytest.mark.parametrize("positives", ["history", "co-liked"])
def test_positives_of_both_kinds_train_a_language_model(encoder, tmp_path, positives):
    tuned = cs.finetune(encoder, *worded(), "lora", positives=positives, folder=tmp_path / "new", **TUNE)
    assert len(tuned.report_["lora"]) == 2


def test_queries_train_a_language_model(encoder, tmp_path):
    pairs = [("moon", "s1"), ("star", "s0"), ("rose", "g0"), ("tulip", "g1"), ("garden", "g2"), ("garden", "g3")]
    tuned = cs.finetune(encoder, tiny_catalog(), pairs=pairs, method="full", folder=tmp_path / "new", **TUNE)
    assert tuned.encode_query(["moon"]).shape == (1, 16)


def test_a_cached_encoder_is_trained_as_the_one_inside(encoder, tmp_path):
    plain = cs.finetune(encoder, *worded(), "last-layers", folder=tmp_path / "a", **TUNE)
    inside = cs.CachedEncoder(encoder, tmp_path / "cache")
    cached = cs.finetune(inside, *worded(), "last-layers", folder=tmp_path / "b", **TUNE)
    np.testing.assert_array_equal(cached.encode(WORDS), plain.encode(WORDS))


@pytest.mark.parametrize("method", ["last-layers", "lora", "full"])
def test_a_folder_must_be_named_for_a_language_model(encoder, method):
    with pytest.raises(InvalidInputError, match=f'method="{method}" writes a language model: name a `folder`'):
        cs.finetune(encoder, tiny_catalog(), tiny_clicks(), method)


def test_a_folder_that_is_there_is_refused_and_stays(encoder, tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InvalidInputError, match="`folder` must not exist yet; got"):
        cs.finetune(encoder, tiny_catalog(), tiny_clicks(), "full", folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    assert (tmp_path / "note").read_text() == "mine"


def test_training_that_fails_writes_no_folder(encoder, tmp_path, monkeypatch):
    def fails(*args, name="", **settings):
        if name == "Language model":
            raise TrainingError("no number")
        return loop.run(*args, name=name, **settings)

    monkeypatch.setattr(objectives, "run", fails)
    with pytest.raises(TrainingError):
        cs.finetune(encoder, tiny_catalog(), tiny_clicks(), "full", folder=tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_an_encoder_that_is_no_language_model_needs_the_adapter(tmp_path):
    with pytest.raises(InvalidInputError, match='Use method="adapter"'):
        cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), "full", folder=tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_a_recommender_with_a_trained_language_model_saves_and_loads(encoder, tmp_path):
    tuned, _ = moved_by(encoder, tmp_path / "new", epochs=1)
    rec = cs.Recommender(encoder=tuned).fit(tiny_catalog(), tiny_clicks())
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=tuned)
    requests = [cs.Request(query="moon"), cs.Request(user="u0"), cs.Request(history=["g0"])]
    assert again.recommend_many(requests, k=5) == rec.recommend_many(requests, k=5)


def test_the_report_is_saved_with_a_recommender(encoder, tmp_path):
    catalog, clicks = worded()
    tuned = cs.finetune(encoder, catalog, clicks, "last-layers", folder=tmp_path / "new", **TUNE)
    cs.Recommender(encoder=tuned).fit(catalog, clicks, check=False).save(tmp_path / "model")
    assert cs.load(tmp_path / "model").encoders_["title"].report_ == tuned.report_
