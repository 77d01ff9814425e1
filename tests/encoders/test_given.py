"""The caller's weights and caches in the place of those that a folder names."""

import numpy as np
import pytest

import coldstart as cs
from coldstart._paths import SavedName
from coldstart.encoders._given import with_given
from coldstart.encoders.reduced import ReducedEncoder
from coldstart.errors import InvalidInputError, SavedFolderError

TEXTS = ["a red rose", "the quiet moon", "green tulip"]


@pytest.fixture
def mine(make_model):
    return cs.TextEncoder(make_model("bert"), progress=False)


def named(encoder, folder):
    """The encoder as a saved folder names it."""
    return encoder.saved(None).opened(folder)


@pytest.mark.parametrize("whole", [True, False])
def test_what_wrappers_learned_is_kept(tmp_path, mine, whole):
    fitted = ReducedEncoder(mine, 3).fit(TEXTS)
    opened = with_given(named(fitted, tmp_path), fitted if whole else mine)
    np.testing.assert_array_equal(opened.encode(TEXTS), fitted.encode(TEXTS))


def test_a_cache_may_be_added_moved_or_left_out(tmp_path, mine):
    plain, cached = named(mine, tmp_path), named(cs.CachedEncoder(mine, "elsewhere"), tmp_path)
    for saved in (plain, cached):
        opened = with_given(saved, cs.CachedEncoder(mine, tmp_path / "cache"))
        assert (type(opened), opened.folder) == (cs.CachedEncoder, str(tmp_path / "cache"))
    opened = with_given(cached, mine)
    assert isinstance(opened.folder, SavedName)
    assert opened.encoder.model == mine.model


def test_a_cache_inside_of_the_folder_is_its_own(tmp_path, mine):
    opened = cs.CachedEncoder(mine, tmp_path / "cache").opened(tmp_path)
    assert not isinstance(opened.folder, SavedName)


def test_other_settings_are_refused(tmp_path, mine):
    saved = named(cs.TextEncoder(mine.model, pooling="cls", query_prefix="query: "), tmp_path)
    with pytest.raises(
        InvalidInputError, match="`pooling` of the given TextEncoder must be 'cls', as at fit; got 'auto'"
    ):
        with_given(saved, mine)


def test_other_weights_are_refused(tmp_path, mine, make_model):
    opened = with_given(named(mine, tmp_path), cs.TextEncoder(make_model("gpt2")))
    with pytest.raises(SavedFolderError, match="The encoder's weights must have SHA-256"):
        opened.encode(["moon"])


def test_an_encoder_that_the_folder_holds_is_refused(mine):
    saved = cs.TfidfEncoder(dim=2).fit(TEXTS)
    with pytest.raises(
        InvalidInputError, match="`encoder` of load must be None: the folder holds the encoder, TfidfEncoder"
    ):
        with_given(saved, mine)
