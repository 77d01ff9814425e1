"""Packed texts: all tokens of a batch in one row, so that a network computes on tokens and never on padding.

All layers but attention look at one token at a time and do not mind whose neighbour it is. Attention is computed here,
within each text: texts of similar length together in one batched product, padded to a multiple of 16.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

ATTENTION_NAME = "coldstart_packed"
"""Name of this attention in transformers."""

MULTIPLE = 16
"""Multiple to which lengths are padded inside attention.

A vector register holds 16 numbers, and the kernels of processors are slow on a rest that does not fill one. Padding
here is cheap: attention is a small part of the work on short texts.
"""

_IGNORED_ARGUMENTS = ("dropout", "position_ids", "use_cache", "cache_position")
"""Arguments that models pass to attention and that change nothing in inference without a cache."""


class Run(NamedTuple):
    """Neighbouring texts of equal length in a row of tokens."""

    start: int
    texts: int
    length: int

    @property
    def tokens(self) -> slice:
        """Their tokens in the row."""
        return slice(self.start, self.start + self.texts * self.length)


@dataclass(frozen=True)
class Block:
    """Runs whose attention is computed together, in arrays (texts, heads, length, width); shorter ones are padded."""

    runs: list[Run]
    texts: int
    length: int

    def parts(self) -> Iterator[tuple[slice, Run]]:
        """Yield each run with the slice of its texts in the block."""
        first = 0
        for run in self.runs:
            yield slice(first, first + run.texts), run
            first += run.texts


def runs_of(ids: Sequence[Sequence[int]]) -> list[Run]:
    """Return the runs of packed texts."""
    # Only neighbours are joined. Batches come sorted by length, so that equal lengths are neighbours.
    runs, start = [], 0
    for length, group in groupby(map(len, ids)):
        runs.append(Run(start, len(list(group)), length))
        start = runs[-1].tokens.stop
    return runs


def blocks_of(runs: Sequence[Run]) -> list[Block]:
    """Join neighbouring runs whose lengths are padded to the same multiple."""
    groups = groupby(runs, key=lambda run: -(-run.length // MULTIPLE) * MULTIPLE)
    listed = [(length, list(group)) for length, group in groups]
    return [Block(group, sum(run.texts for run in group), length) for length, group in listed]


def hidden_states(network: Any, ids: Sequence[Sequence[int]], first_position: int) -> list[Tensor]:
    """Return the last hidden states of packed texts, one tensor (texts, length, dim) per run.

    The network is a ``Bert``, or one of transformers whose attention is the one that ``register`` adds.
    """
    runs = runs_of(ids)
    row = torch.tensor([list(chain.from_iterable(ids))])
    # Positions start anew in each text.
    position = torch.cat([torch.arange(run.length).repeat(run.texts) for run in runs])[None] + first_position
    hidden = network(input_ids=row, position_ids=position, packed_blocks=blocks_of(runs)).last_hidden_state[0]
    return [hidden[run.tokens].view(run.texts, run.length, -1) for run in runs]


def register() -> None:
    """Add the attention to transformers; padded batches still go through its own."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION_NAME, _attention)
    # Padded batches need the mask that transformers makes for its own attention.
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    packed_blocks: list[Block] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute attention as transformers calls it: query, key and value are (1, heads, tokens, width)."""
    if packed_blocks is None:  # a padded batch
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return result
    _check_full_attention(module, query, key, attention_mask, kwargs)
    return packed_attention(query[0], key[0], value[0], packed_blocks, scaling)[None], None


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scaling: float | None = None
) -> Tensor:
    """Return the attention output (tokens, heads, width) of query, key and value, (heads, tokens, width) each."""
    heads, tokens, width = query.shape
    # Scaling queries costs tokens x width products, scaling scores tokens x length.
    scaled = query * (width**-0.5 if scaling is None else scaling)
    out = query.new_empty(tokens, heads, width)
    for block in blocks:
        _attend_block(block, scaled, key, value, out)
    return out


def _check_full_attention(module: Any, query: Any, key: Any, mask: Any, kwargs: dict[str, Any]) -> None:
    """Refuse attention that is causal, masked, grouped or biased: such models are left to padded batches."""
    given = {name for name, value in kwargs.items() if value is not None and value is not False}
    unknown = given - set(_IGNORED_ARGUMENTS)
    if unknown or mask is not None or getattr(module, "is_causal", False) or query.shape != key.shape:
        raise NotImplementedError(f"attention with {sorted(unknown)} cannot be packed")


def _attend_block(block: Block, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
    """Write the attention output of the texts of a block into their rows of ``out`` (tokens, heads, width)."""
    heads, _, width = query.shape
    padded = [part.new_zeros(block.texts, heads, block.length, width) for part in (query, key, value)]
    for place, run in block.parts():
        for source, target in zip((query, key, value), padded, strict=True):
            rows = source[:, run.tokens].reshape(heads, run.texts, run.length, width)
            target[place, :, : run.length] = rows.transpose(0, 1)
    # Texts and heads are one batch dimension, so that one product computes a block.
    queries, keys, values = (part.flatten(0, 1) for part in padded)
    # The softmax is taken in float32: in bfloat16 its sums lose digits that reach the vectors.
    scores = torch.bmm(queries, keys.transpose(1, 2)).float().view(block.texts, heads, block.length, block.length)
    for place, run in block.parts():
        scores[place, :, :, run.length :] = -torch.inf  # no token attends to the padding of its block
    weights = torch.softmax(scores, dim=-1).to(value.dtype).flatten(0, 1)
    attended = torch.bmm(weights, values).view(block.texts, heads, block.length, width)
    for place, run in block.parts():
        target = out[run.tokens].view(run.texts, run.length, heads, width)
        target.copy_(attended[place, :, : run.length].transpose(1, 2))
