"""TrainedModel on small random models of every kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart.encoders._texts import LETTERS_PER_TOKEN
from coldstart.encoders.transformer.weights import find_weights
from coldstart.errors import InvalidInputError
from coldstart.finetuning import trained_model
from coldstart.finetuning.trained_model import LowRank, TrainedModel, text_encoder
from coldstart.testing import HashEncoder

TEXTS = ["a quiet film", "the red rose of the garden", "moon", "a quiet film", "very very very green tulip", ""]
WORDS = ["a", "the", "space", "garden", "film", "moon", "star", "rose"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def encoder_of(make_model, kind="bert", **settings):
    return cs.TextEncoder(make_model(kind), **{"dtype": "float32", "device": "cpu", **settings})


def vectors_of(model, texts=TEXTS):
    with torch.no_grad():
        return model.eval()(texts).numpy()


def shaken(model, size=0.1):
    """Change every weight that is trained, as training would."""
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += size * torch.randn(weight.shape, generator=noise)
    return model


def trained_names(model):
    return {name for name, weight in model.network.named_parameters() if weight.requires_grad}


MOVING = [(kind, moving) for kind in ("bert", "gpt2", "qwen2") for moving in ("last-layers", "lora", "full")]
MOVING.remove(("gpt2", "lora"))


@pytest.mark.parametrize(("kind", "moving"), MOVING)
def test_before_training_vectors_are_those_of_the_encoder(make_model, kind, moving):
    encoder = encoder_of(make_model, kind)
    np.testing.assert_allclose(vectors_of(TrainedModel(encoder, moving, 1, 2)), encoder.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"pooling": "cls"}, {"pooling": "last"}, {"max_length": 4}, {"item_prefix": "very "}, {"normalize": False}],
    ids=str,
)
def test_the_settings_of_the_encoder_are_kept(make_model, settings):
    encoder = encoder_of(make_model, **settings)
    expected = encoder.encode(TEXTS)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors_of(TrainedModel(encoder, "full")), expected, atol=1e-5)


def test_the_prompt_of_the_folder_is_put_before_texts(make_model):
    folder = make_model("bert", config_sentence_transformers={"prompts": {"query": "quiet ", "document": "red "}})
    encoder = cs.TextEncoder(folder, dtype="float32", device="cpu")
    np.testing.assert_allclose(vectors_of(TrainedModel(encoder, "full")), encoder.encode(TEXTS), atol=1e-5)


def test_texts_are_prepared_as_the_encoder_prepares_them(make_model):
    """Half an emoji, and ten million letters, of which the tokenizer would read all to keep 32 tokens."""
    encoder, seen = encoder_of(make_model), []
    model = TrainedModel(encoder, "full")
    tokenizer = model.model.tokenizer

    def recording(texts, **settings):
        seen.extend(texts)
        return tokenizer(texts, **settings)

    model.model = replace(model.model, tokenizer=recording)
    recording.pad_token_id = tokenizer.pad_token_id
    texts = ["moon \ud83d", "moon " * 2_000_000]
    with torch.no_grad():
        np.testing.assert_allclose(model(texts).numpy(), encoder.encode(texts), atol=1e-5)
    assert max(map(len, seen)) <= LETTERS_PER_TOKEN * model.model.max_length


def test_a_model_that_is_read_in_half_precision_is_trained_in_full(make_model):
    model = TrainedModel(encoder_of(make_model, dtype="bfloat16"), "full")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.fixture(scope="module")
def tiny_bert(make_model):
    return TrainedModel(encoder_of(make_model), "full").eval()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), min_size=1, max_size=9), st.integers(1, 60))
def test_each_row_is_of_its_text_whatever_the_lengths_and_the_chunks(tiny_bert, texts, tokens):
    before, trained_model.CHUNK_TOKENS = trained_model.CHUNK_TOKENS, tokens
    try:
        actual = vectors_of(tiny_bert, texts)
    finally:
        trained_model.CHUNK_TOKENS = before
    alone = np.vstack([vectors_of(tiny_bert, [text]) for text in texts])
    np.testing.assert_allclose(actual, alone, atol=1e-5)


def test_last_layers_trains_them_and_nothing_else(make_model):
    names = trained_names(TrainedModel(encoder_of(make_model), "last-layers", layers=1))
    assert names
    assert all("layer.1." in name for name in names)


def test_more_layers_than_there_are_train_all_of_them(make_model):
    names = trained_names(TrainedModel(encoder_of(make_model), "last-layers", layers=9))
    assert any("layer.0." in name for name in names)
    assert not any("embeddings" in name for name in names)


def test_full_trains_everything(make_model):
    model = TrainedModel(encoder_of(make_model), "full")
    assert trained_names(model) == {name for name, _ in model.network.named_parameters()}
    assert model.embeddings().requires_grad


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_lora_trains_a_map_beside_queries_and_values_of_each_layer(make_model, kind):
    model = TrainedModel(encoder_of(make_model, kind), "lora", rank=3)
    names = trained_names(model)
    assert len(names) == 2 * 2 * 2  # up and down, of queries and values, in two layers
    assert all(name.endswith((".up", ".down")) for name in names)
    added = [module for module in model.network.modules() if isinstance(module, LowRank)]
    assert all(module.down.shape[1] == module.up.shape[0] == 3 for module in added)
    assert not model.embeddings().requires_grad


def test_a_low_rank_map_starts_as_the_plain_layer_and_merges_into_one():
    torch.manual_seed(0)
    with torch.random.fork_rng():
        linear, values = torch.nn.Linear(6, 4), torch.randn(5, 6)
    before = linear(values)
    beside = LowRank(linear, 2)
    torch.testing.assert_close(beside(values), before)
    with torch.no_grad():
        beside.up += 1.0
    after = beside(values)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(beside.merged()(values), after)


@pytest.mark.parametrize(("kind", "moving"), MOVING)
def test_a_saved_folder_gives_the_trained_vectors(make_model, tmp_path, kind, moving):
    encoder = encoder_of(make_model, kind)
    model = shaken(TrainedModel(encoder, moving, 1, 2))
    trained = vectors_of(model)
    written = model.save(tmp_path / "a" / "b")
    assert np.abs(trained - encoder.encode(TEXTS)).max() > 0.01
    np.testing.assert_allclose(written.encode(TEXTS), trained, atol=1e-5)
    again = cs.TextEncoder(tmp_path / "a" / "b", dtype="float32", device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), trained, atol=1e-5)


def test_a_saved_model_keeps_settings_and_files(make_model, tmp_path):
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    prompts = {"prompts": {"query": "quiet ", "document": "red "}}
    folder = make_model("bert", **{"1_Pooling__config": pooling, "config_sentence_transformers": prompts})
    encoder = cs.TextEncoder(folder, dtype="float32", device="cpu", max_length=5)
    encoder = cs.TextEncoder(**{**encoder.get_params(), "sha256": encoder._weights_sha256()})
    model = shaken(TrainedModel(encoder, "full"))
    written = model.save(tmp_path / "new")
    np.testing.assert_allclose(written.encode(TEXTS), vectors_of(model), atol=1e-5)
    assert written.max_length == 5
    assert written.sha256 is None
    np.testing.assert_allclose(written.encode_query(["moon"]), cs.TextEncoder(
        tmp_path / "new", dtype="float32", device="cpu", item_prefix="quiet ").encode(["moon"]), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("moving", ["last-layers", "lora", "full"])
def test_the_encoder_given_and_its_folder_stay_as_they_are(make_model, tmp_path, moving):
    encoder = encoder_of(make_model)
    before, folder = encoder.encode(TEXTS), sorted(path.name for path in make_model("bert").iterdir())
    shaken(TrainedModel(encoder, moving), 1.0).save(tmp_path / "new")
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)
    np.testing.assert_array_equal(cs.TextEncoder(**encoder.get_params()).encode(TEXTS), before)
    assert sorted(path.name for path in find_weights(encoder.model).iterdir()) == folder


@pytest.mark.parametrize("moving", ["last-layers", "lora", "full"])
def test_gradients_of_many_chunks_are_those_of_one(make_model, monkeypatch, moving):
    encoder = encoder_of(make_model)

    def gradients(tokens):
        monkeypatch.setattr(trained_model, "CHUNK_TOKENS", tokens)
        model = shaken(TrainedModel(encoder, moving)).eval()
        toward = torch.randn(len(TEXTS), 16, generator=torch.Generator().manual_seed(1))
        (model(TEXTS) * toward).sum().backward()
        return [weight.grad for weight in model.parameters() if weight.requires_grad and weight.grad is not None]

    one, many = gradients(10_000), gradients(9)
    assert any(bool(gradient.abs().max() > 1e-3) for gradient in one)
    torch.testing.assert_close(many, one, atol=1e-5, rtol=1e-4)


def test_chunks_stay_within_the_budget_of_tokens(make_model, monkeypatch):
    monkeypatch.setattr(trained_model, "CHUNK_TOKENS", 20)
    model, sizes = TrainedModel(encoder_of(make_model), "full"), []
    through = TrainedModel._embed

    def watched(self, ids):
        sizes.append(len(ids) * max(map(len, ids)))
        return through(self, ids)

    monkeypatch.setattr(TrainedModel, "_embed", watched)
    vectors_of(model, [" ".join(["moon"] * n) for n in range(1, 12)])
    assert len(sizes) > 1
    assert max(sizes) <= 20


def test_a_text_longer_than_the_budget_is_a_chunk_of_its_own(make_model, monkeypatch):
    encoder = encoder_of(make_model)
    expected = encoder.encode(TEXTS)
    monkeypatch.setattr(trained_model, "CHUNK_TOKENS", 1)
    np.testing.assert_allclose(vectors_of(TrainedModel(encoder, "full")), expected, atol=1e-5)


def test_a_cached_encoder_is_trained_as_the_one_inside(make_model, tmp_path):
    encoder = encoder_of(make_model)
    cached = cs.CachedEncoder(encoder, tmp_path)
    assert text_encoder(cached) is text_encoder(encoder) is encoder
    np.testing.assert_allclose(vectors_of(TrainedModel(cached, "full")), encoder.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("encoder", [HashEncoder(), cs.TfidfEncoder(), cs.CachedEncoder(HashEncoder(), "nowhere")])
def test_an_encoder_that_is_no_language_model_cannot_be_trained(encoder):
    with pytest.raises(InvalidInputError, match=r'`encoder` must be a TextEncoder .*Use method="adapter"'):
        TrainedModel(encoder, "full")


@pytest.mark.parametrize("moving", ["last-layers", "lora", "full"])
def test_the_encoder_of_a_translation_model_cannot_be_trained(make_model, moving):
    with pytest.raises(InvalidInputError, match='`encoder` must be a model that only encodes; .*Use method="adapter"'):
        TrainedModel(encoder_of(make_model, "t5"), moving)


def test_lora_needs_maps_whose_names_are_known(make_model):
    with pytest.raises(InvalidInputError, match=r'method="lora" must find linear maps named query, .* in GPT2Model'):
        TrainedModel(encoder_of(make_model, "gpt2"), "lora")


def test_last_layers_needs_a_list_of_layers(make_model, monkeypatch):
    monkeypatch.setattr(torch.nn.ModuleList, "__len__", lambda self: 7)
    with pytest.raises(InvalidInputError, match=r'method="last-layers" must find a list of 2 layers in BertModel'):
        TrainedModel(encoder_of(make_model), "last-layers")
