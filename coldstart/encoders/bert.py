"""BERT out of the parts of torch, for texts laid end to end.

transformers reads it too, and everything else. But most small encoders are of this form, and to import transformers
takes longer than all else before the first answer. Folders of any other form are left to it.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import gelu

from coldstart.encoders.language_model import LanguageModel, read_json, reads_up_to, saved_pooling, saved_prompts
from coldstart.encoders.packed import Block, attended

PLAIN = {"model_type": "bert", "hidden_act": "gelu"}
USUAL = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
"""What a configuration must say, and what it must not contradict."""

NORMALIZING = {"do_lower_case": "lowercase", "strip_accents": "strip_accents"}
NORMALIZING |= {"tokenize_chinese_chars": "handle_chinese_chars"}
"""Settings of a tokenizer that are told twice, and under which name by its own library."""

IN_LAYER = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "last_norm",
}
"""The parts of a layer as they are saved, and here."""


class WordPieces:
    """A tokenizer of the tokenizers library, called as one of transformers is."""

    def __init__(self, path: Path, max_length: int, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str], **told: Any) -> dict[str, list[list[int]]]:
        """Return the token ids of each text, cut to the length that was set at the start."""
        return {"input_ids": [line.ids for line in self._tokenizer.encode_batch_fast(texts)]}


class Bert(nn.Module):
    """The network, called as transformers calls one.

    Parameters
    ----------
    config : dict
        As ``config.json`` has it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, eps = config["hidden_size"], config["layer_norm_eps"]
        self.config = SimpleNamespace(**config)
        self.words = nn.Embedding(config["vocab_size"], dim)
        self.positions = nn.Embedding(config["max_position_embeddings"], dim)
        self.norm = nn.LayerNorm(dim, eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, input_ids: Tensor, position_ids: Tensor, packed_blocks: Sequence[Block]) -> "Output":
        """Return the last layer of tokens (1, tokens) that lie in blocks."""
        hidden = self.norm(self.words(input_ids[0]) + self.positions(position_ids[0]))
        for layer in self.layers:
            hidden = layer(hidden, packed_blocks)
        return Output(hidden[None])

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.words.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.weight.device


class Output(NamedTuple):
    """What a network returns; (1, tokens, dim)."""

    last_hidden_state: Tensor


class Layer(nn.Module):
    """Attention, then two linear maps; what comes in is added to both."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim, eps)
        self.up, self.down, self.last_norm = nn.Linear(dim, inner), nn.Linear(inner, dim), nn.LayerNorm(dim, eps)

    def forward(self, hidden: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Return the next layer of tokens (tokens, dim)."""
        query, key, value = self.query_key_value(hidden).view(len(hidden), 3, self.heads, -1).permute(1, 2, 0, 3)
        hidden = self.norm(hidden + self.out(attended(query, key, value, blocks).flatten(1)))
        mapped: Tensor = self.last_norm(hidden + self.down(gelu(self.up(hidden))))
        return mapped


def load_bert(folder: Path, *, pooling: str, max_length: int | None) -> LanguageModel | None:
    """Load a model folder in float32, on the CPU; None where it is of another form.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads.
    """
    config, told = read_json(folder / "config.json"), read_json(folder / "tokenizer_config.json")
    if not _is_plain(config) or not _are_word_pieces(told, read_json(folder / "tokenizer.json")):
        return None
    network = _with_weights(Bert(config), folder / "model.safetensors")
    if network is None:
        return None
    most = min(config["max_position_embeddings"], told.get("model_max_length") or 10**9)
    length = reads_up_to(folder, most, max_length)
    tokenizer = WordPieces(folder / "tokenizer.json", length, config.get("pad_token_id") or 0)
    pooling = (saved_pooling(folder) or "mean") if pooling == "auto" else pooling
    return LanguageModel(tokenizer, network.eval(), pooling, length, saved_prompts(folder), first_position=0)


def _is_plain(config: dict[str, Any]) -> bool:
    """Whether a configuration is of the network above."""
    contradicts = any(config.get(name, value) != value for name, value in USUAL.items())
    return not contradicts and all(config.get(name) == value for name, value in PLAIN.items())


def _are_word_pieces(told: dict[str, Any], file: dict[str, Any]) -> bool:
    """Whether a tokenizer is that of BERT, and both its files say the same of it."""
    parts = [(file.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    if parts != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return False
    agree = all(
        told.get(name, file["normalizer"][here]) == file["normalizer"][here] for name, here in NORMALIZING.items()
    )
    return agree and str(told.get("tokenizer_class")) in ("BertTokenizer", "BertTokenizerFast")


def _with_weights(network: Bert, path: Path) -> Bert | None:
    """Return the network with the weights of a file; None where they are not just those of BERT."""
    if not path.is_file():
        return None
    saved = {name.removeprefix("bert."): weight.float() for name, weight in load_file(path).items()}
    try:
        network.load_state_dict(_renamed(saved, len(network.layers)))
    except (KeyError, RuntimeError):  # a part is missing, or of another shape
        return None
    return network


def _renamed(saved: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """The weights by their names here; all tokens are of the first of the two kinds that BERT tells apart."""
    kind = saved["embeddings.token_type_embeddings.weight"][0]
    named = {
        "words.weight": saved["embeddings.word_embeddings.weight"],
        "positions.weight": saved["embeddings.position_embeddings.weight"] + kind,
    }
    parts = {"norm": "embeddings.LayerNorm"}
    for at in range(n_layers):
        layer = f"encoder.layer.{at}"
        parts |= {f"layers.{at}.{here}": f"{layer}.{there}" for there, here in IN_LAYER.items()}
        for part in ("weight", "bias"):
            three = [saved[f"{layer}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            named[f"layers.{at}.query_key_value.{part}"] = torch.cat(three)
    named |= {
        f"{here}.{part}": saved[f"{there}.{part}"] for here, there in parts.items() for part in ("weight", "bias")
    }
    return named
