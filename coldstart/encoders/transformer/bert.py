"""BERT out of the parts of torch, for texts laid end to end.

transformers reads it too, and everything else. But most small encoders are of this form, and to import transformers
takes longer than all else before the first answer. Folders of any other form are left to it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu

from coldstart.encoders.transformer.language_model import (
    LanguageModel,
    read_json,
    reads_up_to,
    saved_pooling,
    saved_prompts,
)
from coldstart.encoders.transformer.packed import Block, attended
from coldstart.encoders.transformer.wordpiece import WordPieces, has_word_pieces

PLAIN = {"model_type": "bert", "hidden_act": "gelu"}
SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "layer_norm_eps"),
)
"""What a configuration must say."""

USUAL = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
USUAL |= {"quantization_config": None, "auto_map": None}
"""What it must not contradict."""

IN_LAYER = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "last_norm",
}
"""The parts of a layer as they are saved, and here."""


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
        self.config = Width(dim)
        self.words = nn.Parameter(torch.empty(config["vocab_size"], dim))
        self.positions = nn.Parameter(torch.empty(config["max_position_embeddings"], dim))
        self.norm = nn.LayerNorm(dim, eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, input_ids: Tensor, position_ids: Tensor, packed_blocks: Sequence[Block]) -> "Output":
        """Return the last layer of tokens (1, tokens) that lie in blocks."""
        hidden = self.norm(embedding(input_ids[0], self.words) + embedding(position_ids[0], self.positions))
        for layer in self.layers:
            hidden = layer(hidden, packed_blocks)
        return Output(hidden[None])

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.words.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.device


class Width(NamedTuple):
    """What is asked of a configuration."""

    hidden_size: int


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
    """Load a model folder in float32, on the CPU; None where it is of another form, or broken.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, or the folder asks for a pooling that there is not.
    """
    try:
        config, told = read_json(folder / "config.json"), read_json(folder / "tokenizer_config.json")
        plain = _is_plain(config) and has_word_pieces(folder)
    except ValueError:  # no JSON: transformers says which file
        return None
    weights = _weights(folder / "model.safetensors", config["num_hidden_layers"]) if plain else None
    if weights is None:
        return None
    with torch.device("meta"):
        network = Bert(config)
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError:  # a part is of another shape
        return None
    length = reads_up_to(
        folder, min(config["max_position_embeddings"], told.get("model_max_length") or 10**9), max_length
    )
    tokenizer = WordPieces(folder, length, config.get("pad_token_id") or 0)
    pooling = (saved_pooling(folder) or "mean") if pooling == "auto" else pooling
    return LanguageModel(tokenizer, network.eval(), pooling, length, saved_prompts(folder), first_position=0)


def _is_plain(config: dict[str, Any]) -> bool:
    """Whether a configuration is of the network above."""
    if any(config.get(name) != value for name, value in PLAIN.items()):
        return False
    if any(config.get(name, value) != value for name, value in USUAL.items()):
        return False
    if not all(isinstance(config.get(name), int | float) for name in SIZES):
        return False
    return bool(config["hidden_size"] % config["num_attention_heads"] == 0)


def _weights(path: Path, n_layers: int) -> dict[str, Tensor] | None:
    """The weights of a file by their names here; None where they are not those of BERT."""
    if not path.is_file():
        return None
    numbers = (torch.float32, torch.float16, torch.bfloat16)  # others are codes, or more exact than is computed here
    read = ((name.removeprefix("bert."), weight) for name, weight in load_file(path).items() if weight.dtype in numbers)
    try:
        return _renamed({name: weight.float() for name, weight in read}, n_layers)
    except KeyError:  # a part is missing
        return None


def _renamed(saved: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """The weights by their names here; all tokens are of the first of the two kinds that BERT tells apart."""
    kind = saved["embeddings.token_type_embeddings.weight"][0]
    named = {
        "words": saved["embeddings.word_embeddings.weight"],
        "positions": saved["embeddings.position_embeddings.weight"] + kind,
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
