"""What makes a model fast is left again where the vectors change."""

import copy
import pickle

import numpy as np
import pytest

import coldstart as cs

pytest.importorskip("torch")
from coldstart.encoders.transformer import fast_loading, packed  # noqa: E402

TEXTS = ["a quiet film", "the red rose of the garden", "moon", "", "moon " * 100]


def test_texts_are_padded_where_packing_changes_the_vectors(make_model, monkeypatch):
    folder = make_model("bert")
    attend = packed._attend_block

    def wrong(block, query, key, value, out):
        attend(block, query, key, value * 1.5, out)

    monkeypatch.setattr(packed, "_attend_block", wrong)
    encoder = cs.TextEncoder(folder, dtype="float32", device="cpu")
    assert encoder._load().first_position is None
    monkeypatch.undo()
    np.testing.assert_allclose(
        encoder.encode(TEXTS), cs.TextEncoder(folder, dtype="float32", device="cpu").encode(TEXTS), atol=1e-5
    )


def test_a_failing_probe_leaves_the_attention_of_the_model(make_model, monkeypatch):
    monkeypatch.setattr(fast_loading, "MAX_DIFFERENCE", -1.0)
    model = cs.TextEncoder(make_model("bert"), dtype="float32", device="cpu")._load()
    assert model.network.config._attn_implementation != packed.ATTENTION_NAME


def test_the_identity_names_packing_in_bfloat16(make_model, monkeypatch):
    folder = make_model("bert")
    assert "bfloat16 packed" in cs.TextEncoder(folder, dtype="bfloat16", device="cpu").identity()
    monkeypatch.setattr(fast_loading, "MAX_DIFFERENCE", -1.0)
    assert "packed" not in cs.TextEncoder(folder, dtype="bfloat16", device="cpu").identity()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"])
def test_copies_of_an_encoder_in_use_give_the_same_vectors(make_model, copied):
    encoder = cs.TextEncoder(make_model("bert"), dtype="bfloat16", device="cpu")
    vectors = encoder.encode(TEXTS)
    np.testing.assert_array_equal(copied(encoder).encode(TEXTS), vectors)
