"""A language model that is trained: which of its weights move, how texts go through it, and where it is written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from coldstart.encoders.cached import CachedEncoder
from coldstart.encoders.text import TextEncoder
from coldstart.encoders.transformer.language_model import LanguageModel, load_language_model, quiet
from coldstart.encoders.transformer.weights import copy_weights, find_weights
from coldstart.errors import InvalidInputError

Moving: TypeAlias = Literal["last-layers", "lora", "full"]

ATTENTION = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v")
"""Names of the maps that ``lora`` moves, as models call them (Hu et al. 2022: those of queries and values)."""

CHUNK_TOKENS = 8192
"""Tokens that go through the model at once while a gradient is recorded."""


class TrainedModel(nn.Module):
    """A copy of the language model of an encoder, in float32, some of whose weights are trained.

    Parameters
    ----------
    encoder : TextEncoder, or CachedEncoder of one
        Stays as it is.
    moving : {"last-layers", "lora", "full"}
    layers : int
        How many of the last layers move.
    rank : int
        Of the maps that ``lora`` adds.

    Raises
    ------
    InvalidInputError
        When the encoder is no language model of ours, is the encoder part of a translation model, or has no layers or
        maps of the names that are known.
    """

    def __init__(self, encoder: Any, moving: Moving, layers: int = 2, rank: int = 16) -> None:
        super().__init__()
        self.encoder = text_encoder(encoder)
        params = self.encoder.get_params()
        self.source = find_weights(params["model"])
        self.model = load_language_model(
            self.source,
            pooling=params["pooling"],
            max_length=params["max_length"],
            dtype="float32",
            device=params["device"],
        )
        self.network: nn.Module = self.model.network
        self.prefix = self.model.prompts["item"] if params["item_prefix"] is None else params["item_prefix"]
        if self.model.network.config.is_encoder_decoder:
            raise InvalidInputError(
                f"`encoder` must be a model that only encodes; got {type(self.network).__name__}, half of one that "
                'translates. Use method="adapter".'
            )
        self.recomputed = moving != "last-layers"
        for weight in self.network.parameters():
            weight.requires_grad_(moving == "full")
        if moving == "last-layers":
            for weight in _layers(self.network, self.model)[-layers:].parameters():
                weight.requires_grad_(True)
        if moving == "lora":
            _add_low_rank(self.network, rank)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return vectors of length one, (n, dim), texts of like length together.

        Where more than the last layers move, the inside of the model is not kept for the backward pass but computed
        again, chunk by chunk, so that a batch may be large (cached gradients, Gao et al. 2021).
        """
        if not texts:
            return torch.zeros(0, self.model.dim, device=self.model.network.device)
        ids = self.model.tokenize([self.prefix + text for text in texts])
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        chunks = [[ids[row] for row in chunk] for chunk in _chunks(order, [len(line) for line in ids])]
        parts = [self._through(chunk) for chunk in chunks]
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        return normalize(torch.cat(parts), dim=1)[back.to(parts[0].device)]

    def _through(self, ids: Sequence[Sequence[int]]) -> Tensor:
        if not (self.recomputed and torch.is_grad_enabled()):
            return self.model.embed_padded(ids)
        vectors: Tensor = checkpoint(self.model.embed_padded, ids, use_reentrant=False)
        return vectors

    def embeddings(self) -> nn.Parameter:
        """Return the vectors of the words, for adversarial steps."""
        weight: nn.Parameter = self.model.network.get_input_embeddings().weight
        return weight

    def written(self, folder: Path) -> TextEncoder:
        """Write the model as it is now to a folder that may not exist, and return an encoder that reads it."""
        for module in list(self.network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, LowRank):
                    setattr(module, name, child.merged())
        folder.mkdir(parents=True)
        copy_weights(self.source, folder)
        for old in folder.glob("*.safetensors"):
            old.unlink()
        with quiet():
            self.model.network.save_pretrained(folder)
        return TextEncoder(**{**self.encoder.get_params(), "model": folder, "sha256": None})


class LowRank(nn.Module):
    """A linear map and beside it one of low rank that starts at zero: ``x W + x A B`` (Hu et al. 2022).

    Ours, not that of `peft`: these lines are all that is needed, and what is learned is added to ``W`` in the end.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        noise = torch.Generator().manual_seed(0)
        start = torch.randn(linear.in_features, rank, generator=noise) * linear.in_features**-0.5
        self.down = nn.Parameter(start.to(linear.weight.device))
        self.up = nn.Parameter(torch.zeros(rank, linear.out_features, device=linear.weight.device))

    def forward(self, values: Tensor) -> Tensor:
        """Return mapped values."""
        mapped: Tensor = self.linear(values)
        return mapped + values @ self.down @ self.up

    def merged(self) -> nn.Linear:
        """Return one linear map that does the same."""
        with torch.no_grad():
            self.linear.weight += (self.down @ self.up).T
        return self.linear


def text_encoder(encoder: Any) -> TextEncoder:
    """Return the ``TextEncoder`` that an encoder is or remembers vectors of.

    Raises
    ------
    InvalidInputError
        When it is another one.
    """
    inner = encoder.encoder if isinstance(encoder, CachedEncoder) else encoder
    if not isinstance(inner, TextEncoder):
        raise InvalidInputError(
            f'`encoder` must be a TextEncoder where a language model is trained; got {encoder!r}. Use method="adapter".'
        )
    return inner


def _layers(network: nn.Module, model: LanguageModel) -> nn.ModuleList:
    count = getattr(model.network.config, "num_hidden_layers", None)
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InvalidInputError(
        f'method="last-layers" must find a list of {count} layers in {type(network).__name__}; got none. Use "full".'
    )


def _add_low_rank(network: nn.Module, rank: int) -> None:
    places = [
        (module, name, child)
        for module in network.modules()
        for name, child in module.named_children()
        if name in ATTENTION and isinstance(child, nn.Linear)
    ]
    if not places:
        raise InvalidInputError(
            f'method="lora" must find linear maps named {", ".join(ATTENTION)} in {type(network).__name__}; got none. '
            'Use "last-layers".'
        )
    for module, name, child in places:
        setattr(module, name, LowRank(child, rank))


def _chunks(order: Sequence[int], lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut rows, longest first, so that each chunk is within the budget of tokens."""
    start = 0
    while start < len(order):
        size = max(1, CHUNK_TOKENS // lengths[order[start]])
        yield order[start : start + size]
        start += size
