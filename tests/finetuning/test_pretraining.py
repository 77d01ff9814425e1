"""cs.pretrain on small random models."""

import numpy as np
import pytest
import torch

import coldstart as cs
from coldstart.errors import InvalidInputError, TrainingError
from coldstart.testing import HashEncoder
from coldstart.training import loop

WORDS = "space garden film moon star rose tulip red green very quiet".split()
QUICK = {"batch_size": 8, "progress": False}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder(make_model):
    return cs.TextEncoder(make_model("bert"), dtype="float32", device="cpu")


def catalog_of(titles, plots):
    rows = {"id": list(range(len(titles))), "title": titles, "plot": plots}
    return cs.Catalog.from_frame(rows, id="id", fields=["title", "plot"])


def two_fields(n=16):
    """Title and plot of an item have no word in common: only the item says that they belong together."""
    titles = [f"{WORDS[at % 4]} {WORDS[at // 4]}" for at in range(n)]
    plots = [f"the {WORDS[4 + at % 4]} of {WORDS[7 + at // 4]}" for at in range(n)]
    return catalog_of(titles, plots)


def losses_of(encoder, catalog, folder, **settings):
    """The loss by name of each epoch."""
    noted = []
    cs.pretrain(encoder, catalog, folder, tracker=lambda numbers, _: noted.append(dict(numbers)), **QUICK | settings)
    return noted


def share_found(encoder, catalog):
    """How often the plot of an item is nearest to its title."""
    titles, plots = (encoder.encode(catalog.columns[name]) for name in ("title", "plot"))
    return np.mean((titles @ plots.T).argmax(axis=1) == np.arange(len(catalog)))


def test_fields_of_an_item_get_near_vectors(encoder, tmp_path):
    catalog, noted = two_fields(), []
    settings = {"method": "full", "epochs": 16, "learning_rate": 5e-3, "anchor": 0.0, "temperature": 0.1}
    tuned = cs.pretrain(
        encoder,
        catalog,
        tmp_path / "new",
        tracker=lambda numbers, _: noted.append(numbers["views"]),
        **QUICK | settings,
    )
    assert len(noted) == 16
    assert np.mean(noted[-5:]) < 0.7 * np.mean(noted[:5])
    assert share_found(tuned, catalog) > share_found(encoder, catalog) + 0.2


def test_two_readings_of_one_text_are_near_from_the_start(encoder, tmp_path):
    """Under other dropout it is nearer to itself than to other texts; two fields are not."""
    alike = losses_of(encoder, two_fields(), tmp_path / "a", positives="dropout")[0]["views"]
    fields = losses_of(encoder, two_fields(), tmp_path / "b", positives="fields")[0]["views"]
    assert alike < np.log(8) < fields + 0.3
    assert alike < fields - 0.3


def test_items_with_one_field_are_read_twice(encoder, tmp_path):
    whole, half = two_fields(), catalog_of(two_fields().columns["title"], [None] * 16)
    one = losses_of(encoder, half, tmp_path / "a", positives="fields")[0]["views"]
    assert one < losses_of(encoder, whole, tmp_path / "b", positives="fields")[0]["views"] - 0.3


@pytest.mark.parametrize("positives", ["fields", "dropout"])
def test_the_second_view_goes_through_augment(encoder, tmp_path, positives):
    catalog, seen = two_fields(), []

    def augment(texts, rng):
        assert isinstance(rng, np.random.Generator)
        seen.extend(texts)
        return ["moon"] * len(texts)

    cs.pretrain(encoder, catalog, tmp_path / "new", augment=augment, positives=positives, epochs=2, **QUICK)
    assert len(seen) == 2 * len(catalog)
    assert set(seen) <= {*catalog.columns["title"], *catalog.columns["plot"]}


def test_the_texts_that_augment_returns_are_encoded(encoder, tmp_path):
    """When the second views are all one text nobody can tell the items apart: the loss is that of a guess."""
    with_views = losses_of(encoder, two_fields(), tmp_path / "a", positives="dropout")[0]["views"]
    same = {"augment": lambda texts, _: ["moon"] * len(texts), "temperature": 10.0}
    lost = losses_of(encoder, two_fields(), tmp_path / "b", positives="dropout", **same)[0]["views"]
    assert with_views < lost
    assert lost == pytest.approx(np.log(8), abs=0.02)


@pytest.mark.parametrize("method", ["last-layers", "lora", "full"])
def test_each_method_writes_a_folder_that_an_encoder_reads(encoder, tmp_path, method):
    before = encoder.encode(WORDS)
    tuned = cs.pretrain(encoder, two_fields(), tmp_path / "a" / "new", method=method, learning_rate=1e-2, **QUICK)
    assert isinstance(tuned, cs.TextEncoder)
    again = cs.TextEncoder(tmp_path / "a" / "new", dtype="float32", device="cpu")
    np.testing.assert_array_equal(again.encode(WORDS), tuned.encode(WORDS))
    assert np.abs(tuned.encode(WORDS) - before).max() > 1e-5
    np.testing.assert_array_equal(encoder.encode(WORDS), before)
    np.testing.assert_array_equal(cs.TextEncoder(**encoder.get_params()).encode(WORDS), before)


def test_without_epochs_the_model_stays_as_it_was(encoder, tmp_path):
    tuned = cs.pretrain(encoder, two_fields(), tmp_path / "new", epochs=0, **QUICK)
    np.testing.assert_allclose(tuned.encode(WORDS), encoder.encode(WORDS), atol=1e-6)


def test_a_large_anchor_keeps_vectors_near_those_from_before(encoder, tmp_path):
    before, settings = encoder.encode(WORDS), {"method": "full", "epochs": 5, "learning_rate": 1e-3}
    free, held = (
        cs.pretrain(encoder, two_fields(), tmp_path / str(anchor), anchor=anchor, **QUICK, **settings).encode(WORDS)
        for anchor in (0.0, 1e4)
    )
    assert np.square(held - before).sum() < 0.5 * np.square(free - before).sum()


def test_the_loss_of_the_anchor_is_reported_where_there_is_one(encoder, tmp_path):
    assert set(losses_of(encoder, two_fields(), tmp_path / "a")[0]) == {"views", "anchor", "loss"}
    assert set(losses_of(encoder, two_fields(), tmp_path / "b", anchor=0.0)[0]) == {"views", "loss"}


def test_the_same_seed_gives_the_same_vectors_and_another_seed_others(encoder, tmp_path):
    settings = {"learning_rate": 1e-2, "epochs": 2}
    one, same, other = (
        cs.pretrain(encoder, two_fields(), tmp_path / str(at), rng=rng, **QUICK, **settings).encode(WORDS)
        for at, rng in enumerate((0, 0, 1))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_global_seeds_are_left_alone(encoder, tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    cs.pretrain(encoder, two_fields(), tmp_path / "new", **QUICK)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_adversarial_steps_change_what_is_learned(encoder, tmp_path):
    plain, tried = (
        cs.pretrain(encoder, two_fields(), tmp_path / str(length), method="full", adversarial=length, **QUICK)
        for length in (0.0, 0.5)
    )
    assert not np.array_equal(plain.encode(WORDS), tried.encode(WORDS))


def test_items_without_text_are_left_out(encoder, tmp_path):
    titles = ["moon star", None, "red rose", None]
    seen = []
    cs.pretrain(
        encoder,
        catalog_of(titles, [None] * 4),
        tmp_path / "new",
        batch_size=2,
        augment=lambda texts, _: seen.extend(texts) or list(texts),
        progress=False,
    )
    assert sorted(seen) == ["moon star", "red rose"]


def test_a_cached_encoder_is_trained_as_the_one_inside(encoder, tmp_path):
    plain = cs.pretrain(encoder, two_fields(), tmp_path / "a", **QUICK)
    cached = cs.pretrain(cs.CachedEncoder(encoder, tmp_path / "cache"), two_fields(), tmp_path / "b", **QUICK)
    np.testing.assert_array_equal(cached.encode(WORDS), plain.encode(WORDS))


def test_a_folder_that_is_there_is_refused_and_stays(encoder, tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InvalidInputError, match="`folder` must not exist yet; got"):
        cs.pretrain(encoder, two_fields(), tmp_path, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    assert (tmp_path / "note").read_text() == "mine"


def test_training_that_fails_writes_no_folder(encoder, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise TrainingError("no number")

    monkeypatch.setattr(loop, "run", fails)
    with pytest.raises(TrainingError):
        cs.pretrain(encoder, two_fields(), tmp_path / "new", **QUICK)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("titles", [["moon", None], [None, None]], ids=["one", "none"])
def test_there_must_be_two_items_with_text(encoder, tmp_path, titles):
    actual = sum(title is not None for title in titles)
    with pytest.raises(InvalidInputError, match=f"must hold at least 2 items with text; got {actual}"):
        cs.pretrain(encoder, catalog_of(titles, [None, None]), tmp_path / "new", **QUICK)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("batch_size", [1, 17, 2.5])
def test_a_batch_is_two_items_to_all(encoder, tmp_path, batch_size):
    with pytest.raises(InvalidInputError, match="`batch_size` must be .*16; got .*There are no more items with text"):
        cs.pretrain(encoder, two_fields(16), tmp_path / "new", batch_size=batch_size)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("anchor", -1.0), ("temperature", 0.0), ("positives", "titles"), ("epochs", -1), ("learning_rate", -1.0)],
)
def test_a_setting_out_of_range_is_named(encoder, tmp_path, setting, value):
    with pytest.raises(InvalidInputError, match=f"`{setting}`"):
        cs.pretrain(encoder, two_fields(), tmp_path / "new", **QUICK | {setting: value})
    assert not (tmp_path / "new").exists()


def test_an_encoder_that_is_no_language_model_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="`encoder` must be a TextEncoder"):
        cs.pretrain(HashEncoder(), two_fields(), tmp_path / "new", **QUICK)
