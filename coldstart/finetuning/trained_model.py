"""A language model in training: which of its weights are trained, its forward pass, and how it is saved."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from coldstart._messages import shown
from coldstart.encoders._texts import checked_texts
from coldstart.encoders.cached import CachedEncoder
from coldstart.encoders.text import TextEncoder
from coldstart.encoders.transformer.language_model import LanguageModel, load_language_model, loading, quiet
from coldstart.encoders.transformer.weights import copy_weights, find_weights
from coldstart.errors import InvalidInputError

Moving: TypeAlias = Literal["last-layers", "lora", "full"]

ATTENTION = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v")
"""Names of the attention maps that ``lora`` adapts, in different models (Hu et al. 2022: queries and values)."""

CHUNK_TOKENS = 8192
"""Tokens that go through the model at once while a gradient is recorded: a bound of its memory."""


class TrainedModel(nn.Module):
    """A copy of the language model of an encoder, in float32, some of whose weights are trained.

    Parameters
    ----------
    encoder : TextEncoder, or CachedEncoder of one
        The encoder to copy; it is not changed.
    moving : {"last-layers", "lora", "full"}
    layers : int
        Number of layers that "last-layers" trains.
    rank : int
        Rank of the maps that "lora" adds.

    Raises
    ------
    InvalidInputError
        When the encoder is no ``TextEncoder``, the model is the encoder of a translation model, or its layers or
        attention maps are not found.
    """

    def __init__(self, encoder: Any, moving: Moving, layers: int = 2, rank: int = 16) -> None:
        super().__init__()
        self.encoder = text_encoder(encoder)
        params = self.encoder.get_params()
        self.source = find_weights(params["model"])
        with loading(self.source):
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
        # Recomputing costs a second forward pass. Where only the last layers are trained, the others keep no
        # activations, and there is little memory to save.
        self.recomputes = moving != "last-layers"
        for weight in self.network.parameters():
            weight.requires_grad_(moving == "full")
        if moving == "last-layers":
            for weight in _layers(self.network, self.model)[-layers:].parameters():
                weight.requires_grad_(True)
        if moving == "lora":
            _add_low_rank(self.network, rank)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return vectors of length one, (n, dim).

        Where more than the last layers are trained, activations are not kept for the backward pass but computed again,
        chunk by chunk: the loss of in-batch negatives needs large batches, whose activations do not fit the memory
        (gradient caching, Gao et al. 2021).
        """
        if not texts:
            return torch.zeros(0, self.model.dim, device=self.model.network.device)
        read = checked_texts(texts, "TrainedModel", self.model.max_length)
        ids = self.model.tokenize([self.prefix + text for text in read])
        # Texts of similar length share a chunk, so that little of it is padding.
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        chunks = [[ids[row] for row in chunk] for chunk in _chunks(order, [len(line) for line in ids])]
        parts = [self._embed(chunk) for chunk in chunks]
        original_order = torch.empty(len(order), dtype=torch.long)
        original_order[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        return normalize(torch.cat(parts), dim=1)[original_order.to(parts[0].device)]

    def _embed(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Return pooled vectors of one chunk, by gradient checkpointing where that is worth it."""
        if not (self.recomputes and torch.is_grad_enabled()):
            return self.model.embed_padded(ids)
        vectors: Tensor = checkpoint(self.model.embed_padded, ids, use_reentrant=False)
        return vectors

    def embeddings(self) -> nn.Parameter:
        """Return the word embeddings, for adversarial steps."""
        weight: nn.Parameter = self.model.network.get_input_embeddings().weight
        return weight

    def save(self, folder: Path) -> TextEncoder:
        """Write the model to a folder that does not exist yet, and return an encoder that reads it."""
        for module in list(self.network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, LowRank):
                    setattr(module, name, child.merged())
        folder.mkdir(parents=True)
        copy_weights(self.source, folder)  # for tokenizer and settings; its weights are replaced
        for old in folder.glob("*.safetensors"):
            old.unlink()
        with quiet():
            self.model.network.save_pretrained(folder)
        return TextEncoder(**{**self.encoder.get_params(), "model": folder, "sha256": None})


class LowRank(nn.Module):
    """A linear layer with a low-rank map beside it that starts at zero: ``x W + x A B`` (LoRA, Hu et al. 2022).

    Ours in place of a dependency on `peft`: these lines are all that is needed, and ``A B`` is added to ``W`` in the
    end, so that a trained model is saved and read as any other.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        # A generator of its own: the global one is neither read nor set. Only B starts at zero, see ``ResidualMap``.
        noise = torch.Generator().manual_seed(0)
        initial = torch.randn(linear.in_features, rank, generator=noise) * linear.in_features**-0.5
        self.down = nn.Parameter(initial.to(linear.weight.device))
        self.up = nn.Parameter(torch.zeros(rank, linear.out_features, device=linear.weight.device))

    def forward(self, values: Tensor) -> Tensor:
        """Return ``x W + x A B``."""
        output: Tensor = self.linear(values)
        return output + values @ self.down @ self.up

    def merged(self) -> nn.Linear:
        """Return one linear layer that computes the same."""
        with torch.no_grad():
            self.linear.weight += (self.down @ self.up).T
        return self.linear


def text_encoder(encoder: Any) -> TextEncoder:
    """Return the ``TextEncoder`` that an encoder is, or caches the vectors of.

    Raises
    ------
    InvalidInputError
        When it is another encoder.
    """
    inner = encoder.encoder if isinstance(encoder, CachedEncoder) else encoder
    if not isinstance(inner, TextEncoder):
        raise InvalidInputError(
            f"`encoder` must be a TextEncoder where a language model is trained; got {shown(encoder)}. "
            'Use method="adapter".'
        )
    return inner


def _layers(network: nn.Module, model: LanguageModel) -> nn.ModuleList:
    """Return the layers of a network: the list of modules that is as long as the configuration says."""
    count = getattr(model.network.config, "num_hidden_layers", None)
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InvalidInputError(
        f'method="last-layers" must find a list of {count} layers in {type(network).__name__}; got none. Use "full".'
    )


def _add_low_rank(network: nn.Module, rank: int) -> None:
    """Put ``LowRank`` in the place of the attention maps named in ``ATTENTION``."""
    targets = [
        (module, name, child)
        for module in network.modules()
        for name, child in module.named_children()
        if name in ATTENTION and isinstance(child, nn.Linear)
    ]
    if not targets:
        raise InvalidInputError(
            f'method="lora" must find linear maps named {", ".join(ATTENTION)} in {type(network).__name__}; got none. '
            'Use "last-layers".'
        )
    for module, name, child in targets:
        setattr(module, name, LowRank(child, rank))


def _chunks(order: Sequence[int], lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split rows, longest first, so that each chunk has at most ``CHUNK_TOKENS``, or one text."""
    start = 0
    while start < len(order):
        size = max(1, CHUNK_TOKENS // lengths[order[start]])
        yield order[start : start + size]
        start += size
