"""BERT written with the layers of torch, for packed texts (laid end to end, without padding).

transformers loads BERT as well. But most small encoders are BERTs, and importing transformers takes longer than all
other work before the first answer. Every folder that is not plainly a BERT is left to transformers.
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
    choose_max_length,
    read_json,
    saved_pooling,
    saved_prompts,
)
from coldstart.encoders.transformer.packed import Block, packed_attention
from coldstart.encoders.transformer.wordpiece import WordPieces, has_word_pieces

REQUIRED = {"model_type": "bert", "hidden_act": "gelu"}
"""Values that a configuration must have."""

SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "layer_norm_eps"),
)
"""Keys that a configuration must have, with numbers."""

DEFAULTS = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
DEFAULTS |= {"quantization_config": None, "auto_map": None}
"""Values that a configuration may leave out, and may not contradict."""

LAYER_NAMES = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "last_norm",
}
"""Names of the modules of a layer: in saved weights, and in ``Layer``."""


class Bert(nn.Module):
    """The BERT encoder without pooling, called as a network of transformers is.

    Parameters
    ----------
    config : dict
        The content of ``config.json``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, eps = config["hidden_size"], config["layer_norm_eps"]
        self.config = Config(dim)
        self.words = nn.Parameter(torch.empty(config["vocab_size"], dim))
        self.positions = nn.Parameter(torch.empty(config["max_position_embeddings"], dim))
        self.norm = nn.LayerNorm(dim, eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, input_ids: Tensor, position_ids: Tensor, packed_blocks: Sequence[Block]) -> "Output":
        """Return the last hidden states of packed tokens, ids and positions of shape (1, tokens)."""
        hidden = self.norm(embedding(input_ids[0], self.words) + embedding(position_ids[0], self.positions))
        for layer in self.layers:
            hidden = layer(hidden, packed_blocks)
        return Output(hidden[None])

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights, as of a network of transformers."""
        return self.words.dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights, as of a network of transformers."""
        return self.words.device


class Config(NamedTuple):
    """The one setting that ``LanguageModel`` reads of a network's configuration."""

    hidden_size: int


class Output(NamedTuple):
    """The last hidden states, (1, tokens, dim), under the name that transformers gives them."""

    last_hidden_state: Tensor


class Layer(nn.Module):
    """One transformer layer: attention, then a feed-forward network, each with a residual connection and a norm."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        # One matrix product in place of three: fewer and larger products are faster.
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim, eps)
        self.up, self.down, self.last_norm = nn.Linear(dim, inner), nn.Linear(inner, dim), nn.LayerNorm(dim, eps)

    def forward(self, hidden: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Return the hidden states of the next layer, (tokens, dim)."""
        query, key, value = self.query_key_value(hidden).view(len(hidden), 3, self.heads, -1).permute(1, 2, 0, 3)
        hidden = self.norm(hidden + self.out(packed_attention(query, key, value, blocks).flatten(1)))
        output: Tensor = self.last_norm(hidden + self.down(gelu(self.up(hidden))))
        return output


def load_bert(folder: Path, *, pooling: str, max_length: int | None) -> LanguageModel | None:
    """Load a model folder in float32, on the CPU; return None where it is no plain BERT, or broken.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, or the folder names a pooling that is not supported.
    """
    try:
        config, tokenizer_config = read_json(folder / "config.json"), read_json(folder / "tokenizer_config.json")
        supported = _is_supported(config) and has_word_pieces(folder)
    except ValueError:  # no JSON: transformers says which file
        return None
    weights = _weights(folder / "model.safetensors", config["num_hidden_layers"]) if supported else None
    if weights is None:
        return None
    # On "meta" nothing is allocated, nor are random numbers drawn for weights that the file replaces anyway.
    with torch.device("meta"):
        network = Bert(config)
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError:  # a weight has another shape
        return None
    limit = min(config["max_position_embeddings"], tokenizer_config.get("model_max_length") or 10**9)
    length = choose_max_length(folder, limit, max_length)
    tokenizer = WordPieces(folder, length, config.get("pad_token_id") or 0)
    pooling = (saved_pooling(folder) or "mean") if pooling == "auto" else pooling
    return LanguageModel(tokenizer, network.eval(), pooling, length, saved_prompts(folder), first_position=0)


def _is_supported(config: dict[str, Any]) -> bool:
    """Return whether a configuration describes the network above."""
    if any(config.get(name) != value for name, value in REQUIRED.items()):
        return False
    if any(config.get(name, value) != value for name, value in DEFAULTS.items()):
        return False
    if not all(isinstance(config.get(name), int | float) for name in SIZES):
        return False
    return bool(config["hidden_size"] % config["num_attention_heads"] == 0)


def _weights(path: Path, n_layers: int) -> dict[str, Tensor] | None:
    """Return the weights of a file by their names in ``Bert``; None where a weight of BERT is missing."""
    if not path.is_file():
        return None
    # Integers are quantised weights, float64 is more exact than is computed here: leave both to transformers.
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    read = ((name.removeprefix("bert."), weight) for name, weight in load_file(path).items() if weight.dtype in dtypes)
    try:
        return _renamed_weights({name: weight.float() for name, weight in read}, n_layers)
    except KeyError:  # a weight is missing
        return None


def _renamed_weights(saved: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """Return saved weights by their names in ``Bert``."""
    # Single texts are segment 0 of the two that BERT tells apart: its vector can be added to the positions once, here.
    segment = saved["embeddings.token_type_embeddings.weight"][0]
    named = {
        "words": saved["embeddings.word_embeddings.weight"],
        "positions": saved["embeddings.position_embeddings.weight"] + segment,
    }
    modules = {"norm": "embeddings.LayerNorm"}
    for at in range(n_layers):
        layer = f"encoder.layer.{at}"
        modules |= {f"layers.{at}.{own}": f"{layer}.{original}" for original, own in LAYER_NAMES.items()}
        for part in ("weight", "bias"):
            three = [saved[f"{layer}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            named[f"layers.{at}.query_key_value.{part}"] = torch.cat(three)
    named |= {
        f"{own}.{part}": saved[f"{original}.{part}"] for own, original in modules.items() for part in ("weight", "bias")
    }
    return named
