"""Texts end to end give what each gives alone, and models for which they would not are left as they are."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart.encoders.transformer.packed import Run, blocks_of, runs_of

torch = pytest.importorskip("torch")

WORDS = ["space", "garden", "film", "moon", "star", "rose", "red", "green"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), min_size=1, max_size=12)


@pytest.fixture(scope="module", params=["mean", "cls", "last"])
def both(request, make_model):
    """One network, packed and as it is."""
    from coldstart.encoders.transformer.language_model import load_language_model

    folder = make_model("bert")
    plain = load_language_model(folder, pooling=request.param, max_length=None, dtype="float32", device="cpu")
    encoder = cs.TextEncoder(folder, pooling=request.param, dtype="float32", device="cpu", normalize=False)
    assert encoder._load().first_position == 0
    return encoder, plain


@given(texts=texts)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_of_any_lengths_give_what_each_gives_alone(both, texts):
    encoder, plain = both
    alone = np.concatenate([plain.embed(plain.tokenize([text])) for text in texts])
    np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-5)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_the_order_of_lengths_does_not_matter(both, order):
    encoder, plain = both
    ids = [[2, 5, 3], [2, 5, 6, 7, 3], [2, *[8] * 20, 3], [2, 9, 3]]
    model, rows = encoder._load(), [ids[row] for row in order]
    np.testing.assert_allclose(model.embed(rows), plain.embed(rows), atol=1e-5)


def test_neighbours_of_equal_length_are_a_run_and_runs_of_equal_padded_length_a_block():
    runs = runs_of([[1] * 20, [1] * 20, [1] * 18, [1] * 3, [1] * 20])
    assert runs == [Run(0, 2, 20), Run(40, 1, 18), Run(58, 1, 3), Run(61, 1, 20)]
    assert [(block.texts, block.length) for block in blocks_of(runs)] == [(3, 32), (1, 16), (1, 32)]


@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "t5"])
def test_models_with_other_attention_are_padded(make_model, kind):
    assert cs.TextEncoder(make_model(kind), device="cpu", dtype="float32")._load().first_position is None


def test_positions_that_start_after_the_padding_are_found(make_model, tmp_path):
    transformers = pytest.importorskip("transformers")
    from coldstart.encoders.transformer.language_model import load_language_model

    folder = make_model("bert")
    size = {"vocab_size": 320, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = transformers.RobertaConfig(**size, intermediate_size=32, max_position_embeddings=34, pad_token_id=0)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    transformers.RobertaModel(config).save_pretrained(folder)
    plain = load_language_model(folder, pooling="mean", max_length=None, dtype="float32", device="cpu")
    encoder = cs.TextEncoder(folder, dtype="float32", device="cpu", normalize=False)
    assert encoder._load().first_position == 1
    lines = ["moon", "the red rose of the garden", "a film"]
    np.testing.assert_allclose(encoder.encode(lines), plain.embed(plain.tokenize(lines)), atol=1e-5)


def test_attention_with_other_arguments_than_a_scale_is_refused(both):
    model = both[0]._load()
    row, blocks = torch.tensor([[2, 5, 3]]), blocks_of([Run(0, 1, 3)])
    with pytest.raises(NotImplementedError, match=r"with \['sliding_window'\] cannot be packed"):
        model.network(input_ids=row, packed_blocks=blocks, sliding_window=4)


def test_padded_batches_of_a_packed_model_are_as_before(both):
    encoder, plain = both
    ids = plain.tokenize(["moon", "the red rose of the garden"])
    with torch.inference_mode():
        np.testing.assert_array_equal(encoder._load().embed_padded(ids), plain.embed_padded(ids))
