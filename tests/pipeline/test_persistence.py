"""Save, a new process, load: the same lists; and errors that say what is wrong with a folder."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

import coldstart as cs
from coldstart import storage
from coldstart._json import write_json
from coldstart._tensors import read_tensors, write_tensors
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import ColdstartWarning, InvalidInputError, SavedFolderError, WeightsNotFoundError
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

REQUESTS = [cs.Request(query="moon"), cs.Request(user="u0"), cs.Request(history=["g0"], disliked=["g1"]), cs.Request()]


def fitted(fuser=None, ranker=None, encoder=None):
    encoder = encoder or cs.TfidfEncoder(dim=6)
    return cs.Recommender(encoder=encoder, fuser=fuser, ranker=ranker).fit(tiny_catalog(), tiny_clicks())


@pytest.mark.parametrize("fuser", [cs.ConcatFuser, cs.WeightedFuser, cs.AttentionFuser])
@pytest.mark.parametrize("ranker", [cs.CosineRanker, cs.MLPRanker, cs.HybridRanker])
def test_a_new_process_gives_the_same_scores_bit_for_bit(tmp_path, fuser, ranker):
    rec = fitted(fuser(), ranker())
    rec.add_items([{"id": "n1", "title": "garden moon", "plot": None, "price": 1}])
    rec.save(tmp_path / "model")
    code = """
        import sys, coldstart as cs
        rec = cs.load(sys.argv[1])
        requests = [cs.Request(query="moon"), cs.Request(user="u0"), cs.Request(history=["g0"], disliked=["g1"]), cs.Request()]
        actual = rec.recommend_many(requests, k=5)
        print(repr((actual.item_ids, actual.scores)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "model")]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    here = rec.recommend_many(REQUESTS, k=5)
    assert elsewhere == repr((here.item_ids, here.scores))


WORDED = [
    cs.Request(query="tullip"),
    cs.Request(query="rose garden", profile="orbit"),
    cs.Request(user="u0", query="lily"),
    cs.Request(user="v1"),
]


@pytest.mark.parametrize("lexical", [{}, {"lexical": LexicalEncoder(k1=0.5, fuzzy=False)}, {"lexical": None}], ids=str)
@pytest.mark.parametrize("clicks", [tiny_clicks(), None], ids=["clicks", "none"])
def test_exact_words_are_saved_too(tmp_path, lexical, clicks):
    rec = cs.Recommender(encoder=cs.TfidfEncoder(dim=6), ranker=cs.HybridRanker(), **lexical)
    rec.fit(tiny_catalog(), clicks)
    rec.add_items([{"id": "n1", "title": "garden moon", "plot": None, "price": 1}])
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    requests = WORDED if clicks else WORDED[:2]
    assert again.recommend_many(requests, k=8) == rec.recommend_many(requests, k=8)
    assert again.recommend_many(requests, k=8).contributions == rec.recommend_many(requests, k=8).contributions
    later = [{"id": "n2", "title": "tulip tulips", "plot": "a story of lily", "price": 1}]
    assert again.add_items(later).recommend_many(requests, k=8) == rec.add_items(later).recommend_many(requests, k=8)
    assert repr(again.fitted.parts.lexical) == repr(rec.fitted.parts.lexical)
    again.fit(tiny_catalog(), clicks)
    assert again.recommend_many(requests, k=8) == rec.fit(tiny_catalog(), clicks).recommend_many(requests, k=8)


def test_everything_works_after_loading(tmp_path):
    rec = fitted()
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    again.add_items([{"id": "n1", "title": "garden rose rose", "plot": "rose"}])
    assert "n1" in again.recommend(query="rose", k=2).item_ids[0]
    again.update(cs.Interactions.from_frame({"u": ["w"], "i": ["g0"]}, user="u", item="i"))
    assert again.recommend(user="w", where={"price": (">", 0)}, k=1).item_ids[0][0].startswith("g")
    again.remove_items(["n1"]).fit(tiny_catalog())
    assert again.recommend(query="moon", k=1).item_ids == [["s1"]]
    assert repr(again.ranker_) == repr(rec.ranker_)


def test_ids_and_columns_of_many_types_come_back(tmp_path):
    rows = {
        "id": [1, "1", ("a", 2), 2.5],
        "title": ["space", "garden", None, "日本"],
        "released": [date(2020, 1, 1), None, date(2021, 1, 1), date(2022, 1, 1)],
        "tags": [["a"], [], None, ["b", "c"]],
    }
    catalog = cs.Catalog.from_frame(rows, id="id", fields=["title"])
    clicks = cs.Interactions.from_frame({"u": [(1, 2), "x"], "i": [1, ("a", 2)]}, user="u", item="i")
    cs.Recommender(encoder=HashEncoder()).fit(catalog, clicks).save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert again.catalog.ids == catalog.ids
    assert dict(again.catalog.columns) == dict(catalog.columns)
    assert [type(item) for item in again.catalog.ids] == [int, str, tuple, float]


def test_a_column_that_cannot_be_saved_is_named_and_nothing_is_written(tmp_path):
    rows = {"id": [1], "title": ["x"], "thing": [object()]}
    rec = cs.Recommender(encoder=HashEncoder()).fit(cs.Catalog.from_frame(rows, id="id", fields=["title"]))
    with pytest.raises(InvalidInputError, match=r"`columns.thing.0` cannot be saved: .* is a object"):
        rec.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_parts_of_other_classes_are_passed_to_load(tmp_path):
    rec = fitted(encoder=HashEncoder())
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    with pytest.raises(
        SavedFolderError, match=r"saved encoder is a HashEncoder.*got None.*load\(folder, encoder=...\)"
    ):
        cs.load(tmp_path / "model")
    with pytest.raises(SavedFolderError, match=r"got TfidfEncoder\(\)"):
        cs.load(tmp_path / "model", encoder=cs.TfidfEncoder())


def test_weights_are_referred_to_by_hash(tmp_path, make_model):
    source = shutil.copytree(make_model("bert"), tmp_path / "bert")
    rec = fitted(encoder=cs.TextEncoder(source))
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=cs.TextEncoder(source))
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    other = make_model("gpt2") / "model.safetensors"
    shutil.copy(other, source / "model.safetensors")
    replaced = cs.load(tmp_path / "model", encoder=cs.TextEncoder(source))
    assert replaced.recommend(user="u0", k=3) == rec.recommend(user="u0", k=3)
    with pytest.raises(SavedFolderError, match="The encoder's weights must have SHA-256"):
        replaced.recommend(query="moon", k=3)


@pytest.mark.parametrize("wrap", [False, True])
def test_embedded_weights_travel_with_the_folder(tmp_path, make_model, wrap):
    source = shutil.copytree(make_model("bert"), tmp_path / "bert")
    encoder = cs.TextEncoder(source)
    rec = fitted(encoder=cs.CachedEncoder(encoder, tmp_path / "cache") if wrap else encoder)
    rec.save(tmp_path / "model", include_encoder=True)
    shutil.rmtree(source)
    (tmp_path / "model").rename(tmp_path / "moved")
    again = cs.load(tmp_path / "moved")
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    again.save(tmp_path / "second", include_encoder=True)
    shutil.rmtree(tmp_path / "moved")
    assert cs.load(tmp_path / "second").recommend(query="moon", k=3) == rec.recommend(query="moon", k=3)


def test_embedded_weights_survive_saving_over_the_folder_they_were_loaded_from(tmp_path, make_model):
    source = shutil.copytree(make_model("bert"), tmp_path / "bert")
    rec = fitted(encoder=cs.TextEncoder(source))
    rec.save(tmp_path / "model", include_encoder=True)
    shutil.rmtree(source)
    for _ in range(2):
        cs.load(tmp_path / "model").save(tmp_path / "model")
    assert cs.load(tmp_path / "model").recommend(query="moon", k=3) == rec.recommend(query="moon", k=3)


def test_weights_elsewhere_are_not_read_because_a_folder_says_so(tmp_path, make_model):
    rec = fitted(encoder=cs.TextEncoder(make_model("bert")))
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.recommend(user="u0", k=3) == rec.recommend(user="u0", k=3)
    message = (
        r"only names the encoder's weights, '.*bert.*Pass them as they were at fit: coldstart.load\(folder, encoder="
    )
    with pytest.raises(WeightsNotFoundError, match=message):
        again.recommend(query="moon", k=3)
    again.save(tmp_path / "again")
    third = cs.load(tmp_path / "again", encoder=rec.encoders_["title"])
    assert third.recommend(query="moon", k=3) == rec.recommend(query="moon", k=3)


def test_a_hub_id_in_a_folder_is_looked_up_on_this_machine_and_never_on_the_hub(tmp_path, make_model, monkeypatch):
    source, asked = make_model("bert"), []

    def download(name, local_files_only=False, **options):
        asked.append((name, local_files_only))
        return str(source)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    rec = fitted(encoder=cs.TextEncoder("org/model"))
    rec.save(tmp_path / "model")
    asked.clear()
    again = cs.load(tmp_path / "model")
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    assert set(asked) == {("org/model", True)}

    def missing(name, local_files_only=False, **options):
        asked.append((name, local_files_only))
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", missing)
    with pytest.raises(WeightsNotFoundError, match="only names the encoder's weights, 'org/model'"):
        cs.load(tmp_path / "model").recommend(query="moon")
    assert set(asked) == {("org/model", True)}


@pytest.mark.parametrize("model", ["saved:../bert", "saved:/etc", "/etc", "~/.cache", "C:bert", "../bert"])
def test_a_folder_that_names_weights_outside_is_refused(tmp_path, model):
    fitted().save(tmp_path / "model")
    part = {"is": "part", "class": "TextEncoder", "params": {"is": "dict", "items": [["model", model]]}}
    reseal(tmp_path / "model", lambda config: config.update(encoders=[{**part, "state": {"is": "dict", "items": []}}]))
    with pytest.raises((SavedFolderError, WeightsNotFoundError), match="only files inside it|only names the encoder's"):
        cs.load(tmp_path / "model").recommend(query="moon")


def test_a_cache_is_used_when_the_caller_names_it_and_not_when_only_the_folder_does(tmp_path, make_model):
    inner, cache = cs.TextEncoder(make_model("bert")), tmp_path / "cache"
    rec = fitted(encoder=cs.CachedEncoder(inner, cache))
    rec.save(tmp_path / "model")
    shutil.rmtree(cache)
    new = [{"id": "n1", "title": "garden moon", "plot": None}]
    again = cs.load(tmp_path / "model", encoder=inner)
    with pytest.warns(ColdstartWarning, match=f"The cache '{cache}' is not used: only a saved folder names it"):
        again.add_items(new)
    assert not cache.exists()
    again.save(tmp_path / "again")
    third = cs.load(tmp_path / "again", encoder=cs.CachedEncoder(inner, cache)).remove_items(["n1"]).add_items(new)
    assert cache.exists()
    assert third.recommend(query="moon", k=3).item_ids == again.recommend(query="moon", k=3).item_ids


def test_a_cached_encoder_of_another_class_is_passed_to_load(tmp_path):
    encoder = cs.CachedEncoder(HashEncoder(), tmp_path / "cache")
    rec = fitted(encoder=encoder)
    rec.save(tmp_path / "model")
    assert cs.load(tmp_path / "model", encoder=encoder).recommend(query="moon", k=3) == rec.recommend(query="moon", k=3)


def test_an_encoder_of_another_width_is_named_at_its_first_use(tmp_path):
    fitted(encoder=HashEncoder(8)).save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder(16))
    assert again.recommend(user="u0", k=1).item_ids
    for use in (
        lambda: again.recommend(query="moon"),
        lambda: again.add_items([{"id": "n", "title": "x", "plot": "y"}]),
    ):
        with pytest.raises(
            InvalidInputError, match="encoder of 'title' must return vectors of 8 numbers, as at fit; got 16"
        ):
            use()


class OtherEncoder(HashEncoder):
    """A second class of a stranger."""


def test_encoders_of_several_classes_are_passed_per_field(tmp_path):
    encoders = {"title": HashEncoder(8), "plot": OtherEncoder(16)}
    rec = fitted(encoder=encoders)
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=encoders)
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)


def test_a_part_that_the_folder_holds_cannot_be_passed(tmp_path):
    fitted().save(tmp_path / "model")
    with pytest.raises(
        InvalidInputError, match=r"`ranker` of load must be None: the folder holds the ranker, HybridRanker"
    ):
        cs.load(tmp_path / "model", ranker=cs.CosineRanker())


def test_a_saved_model_is_not_tied_to_the_device_it_ran_on(tmp_path, make_model):
    rec = fitted(encoder=cs.TextEncoder(make_model("bert"), device="cpu"), ranker=cs.MLPRanker(device="cpu"))
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.encoders_["title"].device is None
    assert again.ranker_.device is None


def test_only_the_owner_may_read_a_saved_folder_and_its_card_says_what_is_in_it(tmp_path, make_model):
    fitted(encoder=cs.TextEncoder(make_model("bert"))).save(tmp_path / "model", include_encoder=True)
    for path in (tmp_path / "model", *(tmp_path / "model").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    card = (tmp_path / "model" / "README.md").read_text()
    assert "the texts and columns of the items, the ids of the users, and who clicked what" in card


def test_the_folder_is_readable_and_holds_no_code(tmp_path):
    fitted().save(tmp_path / "model")
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["README.md", "columns.json", "config.json", "ids.json", "weights.safetensors"]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["format"] == 2
    assert config["data"]["items"] == 8
    assert config["data"]["clicks"] == 24
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Items: 8 with the fields title, plot" in card
    assert "TfidfEncoder(dim=6)" in card


@pytest.mark.parametrize("name", ["weights.safetensors", "ids.json", "columns.json", "config.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_folder_is_named(tmp_path, name, damage):
    fitted().save(tmp_path / "model")
    path = tmp_path / "model" / name
    path.write_bytes(path.read_bytes()[:-9]) if damage == "truncate" else path.unlink()
    with pytest.raises(SavedFolderError, match=name):
        cs.load(tmp_path / "model")


KILLED = """
    import sys
    from pathlib import Path
    import coldstart as cs
    from coldstart.testing import HashEncoder

    rows = {"id": list(range(3000)), "title": [f"new {at}" for at in range(3000)]}
    rec = cs.Recommender(encoder=HashEncoder(512)).fit(cs.Catalog.from_frame(rows, id="id", fields=["title"]))
    print("ready", flush=True)
    while True:
        rec.save(sys.argv[1])
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.11, 0.2])
def test_a_killed_save_leaves_a_folder_that_loads(tmp_path, delay):
    old = fitted(encoder=HashEncoder())
    old.save(tmp_path / "model")
    saver = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "model")], stdout=subprocess.PIPE, text=True
    )
    assert saver.stdout.readline() == "ready\n"
    time.sleep(delay)
    saver.send_signal(signal.SIGKILL)
    saver.communicate()
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert len(again.catalog) in (8, 3000)
    old.save(tmp_path / "model")
    assert len(cs.load(tmp_path / "model", encoder=HashEncoder()).catalog) == 8


def test_nothing_is_left_of_killed_saves_after_a_good_one(tmp_path):
    old = fitted(encoder=HashEncoder())
    for delay in (0.0, 0.03, 0.06):
        saver = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "model")], stdout=subprocess.PIPE, text=True
        )
        assert saver.stdout.readline() == "ready\n"
        time.sleep(delay)
        saver.kill()
        saver.communicate()
    old.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def reseal(folder, change):
    """Change the config as somebody would who wants it to pass for whole, hashes of all files included."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("sha256")
    change(config)
    for name in config["files"]:
        if (folder / name).is_file():
            config["files"][name] = storage._sha256(folder / name)
            config["sizes"][name] = (folder / name).stat().st_size
    write_json({**config, "sha256": storage._digest(config)}, folder / "config.json")


def change_tensors(folder, change):
    tensors = {name: np.array(array) for name, array in read_tensors(folder / "weights.safetensors").items()}
    change(tensors)
    (folder / "weights.safetensors").unlink()
    write_tensors(tensors, folder / "weights.safetensors")
    reseal(folder, lambda config: None)


class TestStrangers:
    """Folders that pass for whole, and are not what ``save`` writes."""

    @pytest.fixture(params=[cs.CosineRanker, cs.HybridRanker])
    def folder(self, tmp_path, request):
        fitted(ranker=request.param()).save(tmp_path / "model")
        return tmp_path / "model"

    @pytest.mark.parametrize("column", [8, 100, 2**30, -5])
    def test_clicks_on_items_that_are_not_there_are_refused(self, folder, column):
        change_tensors(folder, lambda tensors: tensors["clicks.indices"].__setitem__(slice(None), column))
        with pytest.raises(SavedFolderError, match="cannot be read: ValueError"):
            cs.load(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda config: config["clicks"]["shape"].__setitem__(1, 10**11), "items of the clicks must be of 8 rows"),
            (lambda config: config.pop("files"), "KeyError: 'files'"),
            (lambda config: config.pop("encoders"), "KeyError: 'encoders'"),
            (lambda config: config["fields"].update(plot=7), "IndexError"),
            (lambda config: config["fields"].pop("plot"), "saved fields must be the same everywhere"),
            (
                lambda config: config["fuser"]["state"]["items"][0][1]["items"][0].__setitem__(0, "titel"),
                "saved fuser does not fit the saved fields",
            ),
            (
                lambda config: config["fuser"]["state"]["items"][1][1]["items"][0].__setitem__(0, "titel"),
                "saved fuser does not fit the saved fields",
            ),
        ],
    )
    def test_a_config_that_does_not_fit_is_refused(self, folder, change, message):
        config = json.loads((folder / "config.json").read_text())
        config.pop("sha256")
        change(config)
        write_json({**config, "sha256": storage._digest(config)}, folder / "config.json")
        with pytest.raises(SavedFolderError, match=message):
            cs.load(folder)

    @pytest.mark.parametrize("name", ["vectors.title", "clicks.indptr"])
    def test_arrays_of_another_length_are_refused(self, folder, name):
        change_tensors(folder, lambda tensors: tensors.update({name: tensors[name][:3].copy()}))
        with pytest.raises(SavedFolderError, match="must be of 8 rows, as the catalogue; got 3|cannot be read"):
            cs.load(folder)

    def test_columns_nested_without_end_are_refused(self, folder):
        nested = '{"is": "tuple", "items": [' * 20_000 + "1" + "]}" * 20_000
        (folder / "columns.json").write_text(f'{{"id": "id", "fields": ["title"], "columns": {nested}}}')
        reseal(folder, lambda config: None)
        with pytest.raises(SavedFolderError, match="'columns.json' is not whole|RecursionError"):
            cs.load(folder)

    def test_ids_that_cannot_be_looked_up_are_refused(self, folder):
        items = {"is": "tuple", "items": [["a"], *range(7)]}
        users = json.loads((folder / "ids.json").read_text())["users"]
        write_json({"items": items, "users": users}, folder / "ids.json")
        reseal(folder, lambda config: None)
        with pytest.raises(SavedFolderError, match="unhashable type: 'list'"):
            cs.load(folder)

    def test_a_link_in_place_of_a_file_is_not_followed(self, folder):
        (folder / "ids.json").rename(folder.parent / "ids.json")
        (folder / "ids.json").symlink_to(folder.parent / "ids.json")
        reseal(folder, lambda config: (config["files"].pop("ids.json"), config["sizes"].pop("ids.json")))
        with pytest.raises(SavedFolderError, match="'ids.json' in .* leads outside"):
            cs.load(folder)


def test_a_failed_save_leaves_the_old_folder(tmp_path, rec, monkeypatch):
    rec.save(tmp_path / "model")
    monkeypatch.setattr("coldstart.pipeline.persistence.write_tensors", lambda tensors, path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fitted().save(tmp_path / "model")
    assert cs.load(tmp_path / "model", encoder=HashEncoder()).recommend(query="moon") == rec.recommend(query="moon")


def test_loading_needs_no_network_and_no_torch_without_a_language_model(tmp_path):
    fitted().save(tmp_path / "model")
    code = (
        "import sys, socket\n"
        "socket.socket = None\n"
        "import coldstart as cs\n"
        "cs.load(sys.argv[1]).recommend(query='moon', k=1)\n"
        "assert not {'torch', 'transformers', 'pickle5'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], check=True)


def test_a_random_state_does_not_keep_a_model_from_being_saved(tmp_path):
    rec = fitted(ranker=cs.MLPRanker(rng=np.random.default_rng(0)))
    rec.save(tmp_path / "model")
    assert cs.load(tmp_path / "model").recommend(user="u0", k=1).item_ids == [["s0"]]


SAVED = Path(__file__).parent.parent / "saved"
EARLIER_RANKER = SAVED / "format-2-hybrid"


@pytest.mark.parametrize("folder", sorted({*SAVED.iterdir()} - {EARLIER_RANKER}), ids=lambda path: path.name)
def test_every_format_ever_written_is_read(folder):
    rec = cs.load(folder)
    assert rec.catalog.ids == tiny_catalog().ids
    assert (rec.catalog.added, rec.fitted.exposure, rec.fitted.clock) == (None, None, 24)
    assert rec.recommend(user="u0", k=1).item_ids == [["s0"]]
    assert rec.recommend(query="moon", k=1).item_ids == [["s1"]]
    assert rec.recommend(query="garden", where={"price": ("<", 10)}, k=1).item_ids == [["g0"]]


def clicked_by(rec):
    """How many users clicked each item."""
    return np.bincount(rec.fitted.clicks.indices, minlength=len(rec.catalog))


class TestEarlierRanker:
    """A folder of a version whose HybridRanker was another: it has no weights that today's could use."""

    @pytest.fixture
    def loaded(self):
        with pytest.warns(ColdstartWarning, match="saved by an earlier version") as caught:
            rec = cs.load(EARLIER_RANKER)
        assert [one.filename for one in caught] == [__file__]
        return rec

    def test_it_is_fitted_anew_from_the_clicks_in_the_folder(self, loaded):
        np.testing.assert_array_equal(loaded.ranker_.blend_.counts, clicked_by(loaded))
        titles = dict(zip(loaded.catalog.ids, loaded.catalog.cells("title"), strict=True))
        kinds = [titles[item].split()[0] for item in loaded.recommend(user="u0", k=3).item_ids[0]]
        assert (len(kinds), kinds[0]) == (3, "space")  # as most of what that user clicked

    def test_parameters_that_still_exist_are_kept_and_others_have_defaults(self, loaded):
        assert loaded.ranker_.novelty == 0.5
        assert loaded.ranker_.get_params() == cs.HybridRanker(novelty=0.5).get_params()

    def test_saved_again_it_is_like_any_other(self, tmp_path, loaded):
        loaded.save(tmp_path / "model")
        again = cs.load(tmp_path / "model")  # a warning would be an error
        requests = [cs.Request(user="u0"), cs.Request(query="rocket")]
        assert again.recommend_many(requests, k=9) == loaded.recommend_many(requests, k=9)


class TestCompact:
    REQUESTS = [*(cs.Request(user=user) for user in range(9)), cs.Request(query="rocket"), cs.Request(history=[3, 4])]

    @pytest.fixture(scope="class")
    def fitted_on_many(self):
        """Items of three kinds, the last five without clicks, and users who each like half of a kind: as no text tells."""
        rng, words = np.random.default_rng(0), ("space rocket", "garden rose", "crime city")
        rows = [{"id": at, "title": f"{words[at % 3]} part {at}"} for at in range(90)]
        liked = rng.random((120, 85)) < np.where(np.arange(120)[:, None] % 6 == np.arange(85) % 6, 0.6, 0.03)
        users, items = (part.tolist() for part in np.nonzero(liked))
        clicks = cs.Interactions.from_frame({"user": users, "item": items}, user="user", item="item")
        catalog = cs.Catalog.from_frame(rows, id="id", fields=["title"])
        ranker = cs.HybridRanker(novelty=0.1, cold_share=0.2)
        return cs.Recommender(cs.TfidfEncoder(dim=6), ranker=ranker).fit(catalog, clicks, check=False).fitted

    @pytest.fixture
    def rec(self, fitted_on_many):
        rec = cs.Recommender().with_fitted(fitted_on_many)
        assert rec.ranker_.blend_.experts is not None
        return rec

    def assert_same_lists(self, actual, expected):
        actual, expected = (rec.recommend_many(self.REQUESTS, k=20) for rec in (actual, expected))
        assert actual.item_ids == expected.item_ids
        np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-4)

    def size(self, folder):
        return sum(path.stat().st_size for path in folder.iterdir())

    def test_the_folder_is_smaller_by_the_weights_and_answers_the_same(self, tmp_path, rec):
        before = rec.recommend_many(self.REQUESTS, k=20)
        rec.save(tmp_path / "whole")
        rec.save(tmp_path / "compact", compact=True)
        experts = rec.ranker_.blend_.experts
        blocks = [*experts.collaborative.blocks, *experts.content.blocks, *experts.placing.blocks]
        assert self.size(tmp_path / "whole") - self.size(tmp_path / "compact") > sum(block.nbytes for block in blocks)
        self.assert_same_lists(cs.load(tmp_path / "compact"), rec)
        assert rec.recommend_many(self.REQUESTS, k=20) == before

    def test_chosen_settings_are_not_searched_again(self, tmp_path, rec, monkeypatch):
        rec.save(tmp_path / "model", compact=True)
        monkeypatch.setattr("coldstart.rankers.hybrid.ranker.tune", lambda *args: 1 / 0)
        actual, expected = (one.ranker_.blend_ for one in (cs.load(tmp_path / "model"), rec))
        assert actual.collaborative.get_params() == expected.collaborative.get_params()
        assert actual.calibration == expected.calibration
        for name in ("maybe_new", "cold_offset", "config"):
            assert getattr(actual, name) == getattr(expected, name)
        assert actual.prior.strength == expected.prior.strength

    def test_it_is_fitted_on_the_clicks_of_update_too(self, tmp_path, rec):
        rec.add_items([{"id": "new", "title": "space rocket part 90"}])
        likes = [*(("new", user) for user in range(0, 60, 3)), ("new", "stranger"), (1, 0), (1, 3)]
        items, users = zip(*likes, strict=True)
        rec.update(cs.Interactions.from_frame({"u": users, "i": items}, user="u", item="i"))
        counts = clicked_by(rec)
        rec.save(tmp_path / "model", compact=True)
        again = cs.load(tmp_path / "model")
        np.testing.assert_array_equal(again.ranker_.blend_.counts, counts)
        assert set(again.ranker_.blend_.experts.warm) == set(np.flatnonzero(counts))
        assert rec.catalog.ids.index("new") not in rec.ranker_.blend_.experts.warm
        assert "new" in again.recommend(user=60, k=10).item_ids[0]

    def test_it_can_be_changed_like_one_that_was_saved_whole(self, tmp_path, rec):
        for name in ("whole", "compact"):
            rec.save(tmp_path / name, compact=name == "compact")
        whole, again = cs.load(tmp_path / "whole"), cs.load(tmp_path / "compact")
        for one in (whole, again):
            one.add_items([{"id": "new", "title": "garden rose part 91"}]).remove_items([2, 89])
            one.update(cs.Interactions.from_frame({"u": [1, 4], "i": ["new", 88]}, user="u", item="i"))
        self.assert_same_lists(again, whole)
        again.save(tmp_path / "whole again")
        whole.save(tmp_path / "whole")
        assert self.size(tmp_path / "whole again") == pytest.approx(self.size(tmp_path / "whole"), rel=0.02)

    @pytest.mark.parametrize("ranker", [cs.HybridRanker, cs.CosineRanker])
    def test_compact_changes_nothing_where_nothing_can_be_left_out(self, tmp_path, ranker):
        rec = fitted(ranker=ranker())
        rec.save(tmp_path / "model", compact=True)
        assert cs.load(tmp_path / "model").recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)


def numbered(encoder=None, n=3000, **parts):
    """Many items on random vectors, with parts that need no loading of words."""
    rows = {"id": list(range(n)), "title": [f"number {at}" for at in range(n)], "odd": [at % 2 == 1 for at in range(n)]}
    catalog = cs.Catalog.from_frame(rows, id="id", fields=["title"])
    return cs.Recommender(encoder or HashEncoder(), ranker=cs.CosineRanker(), lexical=None, **parts).fit(catalog)


def mapped(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array, np.memmap)


def test_loaded_arrays_are_mapped_and_read_only(tmp_path):
    numbered().save(tmp_path / "model")
    fitted = cs.load(tmp_path / "model", encoder=HashEncoder()).fitted
    vectors, fields = fitted.vectors.rows.blocks[0], fitted.fields["title"].blocks[0]
    for array in (vectors, fields, fitted.catalog.cells("title").data, fitted.catalog.cells("odd").data):
        assert mapped(array)
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    assert np.shares_memory(fitted.vectors.index.vectors_, vectors)


def test_changing_a_loaded_model_leaves_its_folder_as_it_was(tmp_path):
    rec = numbered()
    rec.save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    for one in (rec, again):
        one.add_items({"id": ["new"], "title": ["number seven"]}).remove_items([5, 8])
        one.update_items({"id": [6, 9], "title": ["number seven", "nine"], "odd": [None, True]})
        one.update(cs.Interactions.from_frame({"u": ["w"], "i": ["new"]}, user="u", item="i"))
    requests = [cs.Request(query="number seven"), cs.Request(user="w"), cs.Request(history=[7, "new"]), cs.Request()]
    assert again.recommend_many(requests, k=30) == rec.recommend_many(requests, k=30)
    assert again.recommend_many(requests, k=5, where={"odd": True}) == rec.recommend_many(
        requests, k=5, where={"odd": True}
    )
    assert dict(again.catalog.columns) == dict(rec.catalog.columns)
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_loaded_model_can_be_saved_over_its_own_folder(tmp_path):
    numbered().save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder())
    old = again.fitted
    again.add_items({"id": ["new"], "title": ["number seven"]}).remove_items([5])
    again.save(tmp_path / "model")
    third = cs.load(tmp_path / "model", encoder=HashEncoder())
    assert third.fitted.vectors.rows.order is None
    assert len(third.fitted.vectors.rows.blocks) == 1
    actual, expected = (one.recommend(query="number seven", k=9) for one in (third, again))
    assert actual.item_ids == expected.item_ids
    assert actual.scores[0] == pytest.approx(expected.scores[0], rel=1e-6)  # blocks of other sizes round otherwise
    assert third.recommend(history=["new"]).item_ids == again.recommend(history=["new"]).item_ids
    assert again.with_fitted(old).recommend(history=[5], k=1).item_ids[0][0] != "new"


def test_an_index_of_another_class_is_built_from_the_saved_vectors(tmp_path):
    class Other(cs.ExactIndex):
        """A class that the library does not know."""

    rec = numbered(index=Other())
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=HashEncoder(), index=Other())
    assert again.recommend(history=[7], k=5) == rec.recommend(history=[7], k=5)


class TestVerify:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """A folder whose weights count as a large file, with one number changed in the middle of them."""
        fitted(ranker=cs.CosineRanker()).save(tmp_path / "model")
        monkeypatch.setattr("coldstart.storage.HASHED", 2000)
        path = tmp_path / "model" / "weights.safetensors"
        content = bytearray(path.read_bytes())
        content[len(content) - 999] ^= 1
        path.write_bytes(content)
        return tmp_path / "model"

    @pytest.mark.parametrize("verify", ["auto", False])
    def test_only_size_and_layout_of_a_large_file_are_checked(self, folder, verify):
        cs.load(folder, verify=verify)
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(SavedFolderError, match=r"weights.safetensors in .* \(size differs\)"):
            cs.load(folder, verify=verify)

    def test_verify_true_checks_all_of_a_large_file(self, folder):
        with pytest.raises(SavedFolderError, match=r"weights.safetensors in .* \(SHA-256 differs\)"):
            cs.load(folder, verify=True)

    def test_small_files_are_checked_unless_verify_is_false(self, folder):
        path = folder / "README.md"
        path.write_text(path.read_text().replace("A coldstart", "a coldstart"))
        with pytest.raises(SavedFolderError, match=r"README.md in .* \(SHA-256 differs\)"):
            cs.load(folder)
        cs.load(folder, verify=False)

    def test_something_else_is_refused(self, folder):
        with pytest.raises(InvalidInputError, match="`verify` must be True, False or \"auto\"; got 'always'"):
            cs.load(folder, verify="always")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is counted by Linux")
def test_loading_takes_little_private_memory(tmp_path):
    numbered(HashEncoder(1024)).save(tmp_path / "model")
    code = """
        import sys
        from pathlib import Path
        import coldstart as cs
        from coldstart.testing import HashEncoder

        def private():
            lines = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
            return int(lines["Private_Dirty"].split()[0]) / 1024

        cs.load(sys.argv[2], verify=True).recommend(query="moon", k=1)  # the modules
        before = private()
        rec = cs.load(sys.argv[1], encoder=HashEncoder(1024))
        rec.recommend(query="number 7", k=1)
        rec.add_items({"id": ["new"], "title": ["number seven"]})
        print(private() - before)
    """
    small = Path(__file__).parent.parent / "saved" / "format-2"
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "model"), str(small)]
    taken = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (tmp_path / "model" / "weights.safetensors").stat().st_size > 24e6
    assert taken < 4
