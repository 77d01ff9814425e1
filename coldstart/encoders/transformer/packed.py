"""Texts laid end to end in one row, so that a network computes on tokens and never on padding.

All but attention looks at one token at a time and does not mind whose neighbour it is. Attention is done here, text by
text: those of like length together, filled up to a multiple of 16, where the kernels of processors are at their best.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

NAME = "coldstart_packed"
"""Under which transformers knows this attention."""

MULTIPLE = 16
"""To which lengths are filled up inside attention: the numbers that a vector register holds."""

_HARMLESS = ("dropout", "position_ids", "use_cache", "cache_position")
"""What models tell attention that means nothing here."""


class Run(NamedTuple):
    """Neighbours of equal length in a row of tokens."""

    start: int
    texts: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where they lie."""
        return slice(self.start, self.start + self.texts * self.length)


@dataclass(frozen=True)
class Block:
    """Runs that attention computes together, and room for them: (texts, heads, length, width) each."""

    runs: list[Run]
    texts: int
    length: int

    def parts(self) -> Iterator[tuple[slice, Run]]:
        """Yield each run with its place among the texts."""
        first = 0
        for run in self.runs:
            yield slice(first, first + run.texts), run
            first += run.texts


def runs_of(ids: Sequence[Sequence[int]]) -> list[Run]:
    """Return the runs of texts that lie end to end."""
    runs, start = [], 0
    for length, group in groupby(map(len, ids)):
        runs.append(Run(start, len(list(group)), length))
        start = runs[-1].tokens.stop
    return runs


def blocks_of(runs: Sequence[Run]) -> list[Block]:
    """Put neighbouring runs together that fill up to the same length."""
    groups = groupby(runs, key=lambda run: -(-run.length // MULTIPLE) * MULTIPLE)
    listed = [(length, list(group)) for length, group in groups]
    return [Block(group, sum(run.texts for run in group), length) for length, group in listed]


def hidden_states(network: Any, ids: Sequence[Sequence[int]], first_position: int) -> list[Tensor]:
    """Return the last layer as a tensor (texts, length, dim) per run.

    Of ``Bert``, or of a network of transformers that ``register`` made ready.
    """
    runs = runs_of(ids)
    row = torch.tensor([list(chain.from_iterable(ids))])
    position = torch.cat([torch.arange(run.length).repeat(run.texts) for run in runs])[None] + first_position
    hidden = network(input_ids=row, position_ids=position, packed_blocks=blocks_of(runs)).last_hidden_state[0]
    return [hidden[run.tokens].view(run.texts, run.length, -1) for run in runs]


def register() -> None:
    """Make the attention known to transformers; padded batches still go through its own."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


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
    """Attention of the form that transformers calls: query, key and value (1, heads, tokens, width)."""
    if packed_blocks is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return result
    _check_plain(module, query, key, attention_mask, kwargs)
    return attended(query[0], key[0], value[0], packed_blocks, scaling)[None], None


def attended(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scaling: float | None = None
) -> Tensor:
    """Return what each token of query, key and value (heads, tokens, width) attends to, (tokens, heads, width)."""
    heads, tokens, width = query.shape
    scaled = query * (width**-0.5 if scaling is None else scaling)
    out = query.new_empty(tokens, heads, width)
    for block in blocks:
        _attend(block, scaled, key, value, out)
    return out


def _check_plain(module: Any, query: Any, key: Any, mask: Any, kwargs: dict[str, Any]) -> None:
    """Refuse models whose attention is more than that of every token to every token: they go the padded way."""
    more = {name for name, told in kwargs.items() if told is not None and told is not False} - set(_HARMLESS)
    if more or mask is not None or getattr(module, "is_causal", False) or query.shape != key.shape:
        raise NotImplementedError(f"attention that is told {sorted(more)} is not packed")


def _attend(block: Block, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
    """Write what the texts of a block attend to, (tokens, heads, width), into its place in ``out``."""
    heads, _, width = query.shape
    filled = [part.new_zeros(block.texts, heads, block.length, width) for part in (query, key, value)]
    for place, run in block.parts():
        for source, target in zip((query, key, value), filled, strict=True):
            rows = source[:, run.tokens].reshape(heads, run.texts, run.length, width)
            target[place, :, : run.length] = rows.transpose(0, 1)
    queries, keys, values = (part.flatten(0, 1) for part in filled)
    scores = torch.bmm(queries, keys.transpose(1, 2)).float().view(block.texts, heads, block.length, block.length)
    for place, run in block.parts():
        scores[place, :, :, run.length :] = -torch.inf
    weights = torch.softmax(scores, dim=-1).to(value.dtype).flatten(0, 1)
    found = torch.bmm(weights, values).view(block.texts, heads, block.length, width)
    for place, run in block.parts():
        target = out[run.tokens].view(run.texts, run.length, heads, width)
        target.copy_(found[place, :, : run.length].transpose(1, 2))
