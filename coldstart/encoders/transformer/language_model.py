"""A text model in memory: token ids in, pooled vectors out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart._arrays import FloatArray, check_between
from coldstart._device import checked_device
from coldstart.errors import InvalidInputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LanguageModel:
    """Tokenizer, network and how to read them.

    Attributes
    ----------
    pooling : {"mean", "cls", "last"}
    max_length : int
        Tokens per text; longer texts are cut.
    prompts : dict of str to str
        Prefixes that the model's folder names for ``"query"`` and ``"item"``.
    first_position : int, optional
        Of the first token of a text, where texts are laid end to end without padding; None means padded batches.
    """

    tokenizer: Any
    network: Any
    pooling: str
    max_length: int
    prompts: dict[str, str]
    first_position: int | None = None

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.network.config.hidden_size)

    @property
    def dtype(self) -> str:
        """Number format of the weights, for example "float32"."""
        return str(self.network.dtype).removeprefix("torch.")

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids, cut to ``max_length``; never empty."""
        told = {"return_attention_mask": False, "return_token_type_ids": False}
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length, **told)["input_ids"]
        return [row or [self.tokenizer.pad_token_id] for row in ids]

    def embed(self, ids: Sequence[Sequence[int]]) -> FloatArray:
        """Return one pooled vector per row of token ids, shape (n, dim)."""
        import torch

        with torch.inference_mode():
            pooled = self.pooled(ids) if self.first_position is None else self._packed(ids, self.first_position)
            vectors: FloatArray = pooled.cpu().numpy()
        return vectors

    def _packed(self, ids: Sequence[Sequence[int]], first_position: int) -> "torch.Tensor":
        import torch

        from coldstart.encoders.transformer.packed import hidden_states

        pool = {"cls": lambda run: run[:, 0], "last": lambda run: run[:, -1], "mean": lambda run: run.mean(dim=1)}
        runs = hidden_states(self.network, ids, first_position)
        return torch.cat([pool[self.pooling](run.float()) for run in runs])

    def pooled(self, ids: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return what ``embed`` returns as a tensor, from padded batches, with a gradient where one is recorded."""
        import torch

        longest = max(map(len, ids))
        padded = torch.full((len(ids), longest), self.tokenizer.pad_token_id)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, line in enumerate(ids):
            padded[row, : len(line)] = torch.tensor(line)
            mask[row, : len(line)] = 1
        padded, mask = padded.to(self.network.device), mask.to(self.network.device)
        hidden = self.network(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        return _pool(hidden, mask, self.pooling)


def load_language_model(
    folder: Path, *, pooling: str, max_length: int | None, dtype: str, device: str | None
) -> LanguageModel:
    """Load a model folder as it is; the settings are those of ``TextEncoder``, but for ``dtype="auto"``.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, or the folder asks for a pooling that there is not.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with quiet():
        network = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    network = network.eval().to(checked_device(device))
    most = min(getattr(network.config, "max_position_embeddings", None) or 10**9, tokenizer.model_max_length)
    length = reads_up_to(folder, most, max_length)
    model = LanguageModel(tokenizer, network, pooling, length, saved_prompts(folder))
    if pooling == "auto":
        model = replace(model, pooling=saved_pooling(folder) or ("last" if _is_causal(model) else "mean"))
    return replace(model, network=network.to(getattr(torch, dtype)))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library that reads and writes weights from drawing a bar of its own for a fraction of a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _pool(hidden: "torch.Tensor", mask: "torch.Tensor", pooling: str) -> "torch.Tensor":
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[range(len(hidden)), mask.sum(dim=1) - 1]
    return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def has_bfloat16(device: str) -> bool:
    """Whether a kind of device multiplies bfloat16 natively."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _is_causal(model: LanguageModel) -> bool:
    """Whether a token's vector ignores what comes after it: then only the last one has read the whole text."""
    one, other = model.network.config.vocab_size // 2, model.network.config.vocab_size // 3
    first = replace(model, pooling="cls")
    short, long = first.embed([[one, one]]), first.embed([[one, other]])
    return bool(np.allclose(short, long, atol=1e-5))


def reads_up_to(folder: Path, most: int, wanted: int | None) -> int:
    """Return the caller's length, else the one the folder names, else the ``most`` that the model reads, at most 512.

    Raises
    ------
    InvalidInputError
        When the caller's is more than the model reads.
    """
    if wanted is None:
        named = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        return int(named or min(most, 512))
    check_between("max_length", wanted, 1, most, "The model reads no more tokens than that.")
    return wanted


def saved_pooling(folder: Path) -> str | None:
    """Return the pooling that a sentence-transformers folder names, in the form of any of its versions.

    Raises
    ------
    InvalidInputError
        When it is one that ``TextEncoder`` does not have.
    """
    config = read_json(folder / "1_Pooling" / "config.json")
    modes = [name for name, told in config.items() if name.startswith("pooling_mode_") and told is True]
    named = config.get("pooling_mode") or " and ".join(name.removeprefix("pooling_mode_") for name in modes)
    names = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "last", "mean": "mean", "cls": "cls", "": None}
    if named not in names:
        raise InvalidInputError(
            f"`pooling` of TextEncoder has no {named!r}, which the folder {str(folder)!r} asks for. "
            'Pass "mean", "cls" or "last": the vectors are others then.'
        )
    return names[named]


def saved_prompts(folder: Path) -> dict[str, str]:
    """Return the prefixes that a sentence-transformers folder names for queries and documents."""
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    item = next((prompts[name] for name in ("document", "passage") if prompts.get(name)), "")
    return {"query": prompts.get("query") or "", "item": item}


def read_json(path: Path) -> dict[str, Any]:
    """Return what a file says, nothing where there is none."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
