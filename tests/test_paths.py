"""What a saved folder names lies inside it, or is only a name."""

import copy
import pickle

import pytest

import coldstart as cs
from coldstart._paths import SavedName, inside
from coldstart.errors import SavedFolderError


def test_files_and_folders_inside_are_found_through_a_link_to_the_folder(tmp_path):
    (tmp_path / "v1" / "encoder_0").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("v1")
    assert inside(tmp_path / "latest", "encoder_0/x.json") == tmp_path / "latest" / "encoder_0" / "x.json"


@pytest.mark.parametrize("name", ["..", "../v2", "a/../../v2", "/etc", "link", "link/x"])
def test_what_leads_outside_is_refused(tmp_path, name):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "link").symlink_to(tmp_path)
    with pytest.raises(SavedFolderError, match="may name only files inside it; .* leads outside"):
        inside(tmp_path / "v1", name)


def test_a_saved_name_stays_one_in_copies_pickles_and_parameters():
    name = SavedName("org/model")
    encoder = cs.TextEncoder(name)
    again = cs.TextEncoder(**encoder.get_params())
    for one in (copy.deepcopy(name), pickle.loads(pickle.dumps(name)), again.model, copy.deepcopy(encoder).model):
        assert type(one) is SavedName
        assert one == "org/model"
    assert repr(encoder) == "TextEncoder(model='org/model')"
