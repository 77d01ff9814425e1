"""Shared by all tests: no network, the tiny catalogue, and language models small enough to be made on the spot."""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub client

import pytest

import coldstart as cs
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "the",
    "space",
    "garden",
    "film",
    "of",
    "and",
    "moon",
    "star",
    "rose",
    "tulip",
    "red",
    "green",
    "very",
    "quiet",
]


@pytest.fixture(scope="session")
def catalog():
    return tiny_catalog()


@pytest.fixture(scope="session")
def clicks():
    return tiny_clicks()


@pytest.fixture
def rec(catalog, clicks):
    """A recommender fitted on the tiny catalogue with clicks."""
    return cs.Recommender(encoder=HashEncoder()).fit(catalog, clicks)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Return a function that saves a random language model of a kind and returns its folder."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(kind, **extra_files):
        folder = tmp_path_factory.mktemp(kind)
        tokenizer(transformers, kind).save_pretrained(folder)
        torch.manual_seed(0)
        network(transformers, kind).save_pretrained(folder)
        for name, content in extra_files.items():
            path = folder / name.replace("__", "/")
            path = path.with_suffix(".json")
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        return folder

    return make


def tokenizer(transformers, kind):
    """Whole words with [CLS] and [SEP] around them, or none around for GPT; byte pairs for Qwen."""
    from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers, processors

    if kind == "qwen2":
        pairs = ByteLevelBPETokenizer()
        pairs.train_from_iterator([" ".join(WORDS)] * 9, vocab_size=300, show_progress=False)
        vocab = pairs.get_vocab()
        merges = [tuple(pair) for pair in json.loads(pairs.to_str())["model"]["merges"]]
        return transformers.Qwen2Tokenizer(vocab=vocab, merges=merges)

    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "gpt2":
        return transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="[SEP]", unk_token="[UNK]")
    words.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **names)


def network(transformers, kind):
    size = {"vocab_size": 320, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    if kind == "bert":
        return transformers.BertModel(transformers.BertConfig(**size, intermediate_size=32, max_position_embeddings=32))
    if kind == "gpt2":
        return transformers.GPT2Model(
            transformers.GPT2Config(vocab_size=320, n_embd=16, n_layer=2, n_head=2, n_positions=32)
        )
    if kind == "qwen2":
        return transformers.Qwen2Model(
            transformers.Qwen2Config(**size, intermediate_size=32, num_key_value_heads=1, max_position_embeddings=32)
        )
    return transformers.T5Model(
        transformers.T5Config(vocab_size=320, d_model=16, d_ff=32, d_kv=8, num_layers=2, num_heads=2)
    )
