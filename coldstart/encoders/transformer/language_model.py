"""A language model in memory: token ids in, pooled vectors out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coldstart._arrays import FloatArray, check_between
from coldstart._device import checked_device
from coldstart.errors import MALFORMED, ColdstartError, InvalidInputError, SavedFolderError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LanguageModel:
    """Tokenizer, network, and how token vectors become one vector of a text.

    Attributes
    ----------
    pooling : {"mean", "cls", "last"}
    max_length : int
        Tokens per text; longer texts are cut.
    prompts : dict of str to str
        Prefixes for ``"query"`` and ``"item"``, as the model's folder names them.
    first_position : int, optional
        Position of the first token of a text where texts are packed (laid end to end); None means padded batches.
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
        only_ids = {"return_attention_mask": False, "return_token_type_ids": False}
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length, **only_ids)["input_ids"]
        # Tokenizers without special tokens give none for an empty text, and a text without tokens has no mean.
        return [row or [self.tokenizer.pad_token_id] for row in ids]

    def embed(self, ids: Sequence[Sequence[int]]) -> FloatArray:
        """Return one pooled vector per row of token ids, shape (n, dim)."""
        import torch

        with torch.inference_mode():
            pooled = self.embed_padded(ids) if self.first_position is None else self._embed_packed(ids)
            vectors: FloatArray = pooled.cpu().numpy()
        return vectors

    def _embed_packed(self, ids: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return pooled vectors (n, dim) of texts laid end to end."""
        import torch

        from coldstart.encoders.transformer.packed import hidden_states

        pool = {"cls": lambda run: run[:, 0], "last": lambda run: run[:, -1], "mean": lambda run: run.mean(dim=1)}
        runs = hidden_states(self.network, ids, self.first_position or 0)
        # A run is texts of one length, so that no mask is needed. Pooled in float32: a mean in bfloat16 loses digits.
        return torch.cat([pool[self.pooling](run.float()) for run in runs])

    def embed_padded(self, ids: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return the vectors of ``embed`` as a tensor, from one padded batch, with a gradient where one is recorded."""
        import torch

        shape = (len(ids), max(map(len, ids)))
        padded, mask = torch.full(shape, self.tokenizer.pad_token_id), torch.zeros(shape, dtype=torch.long)
        for row, line in enumerate(ids):
            padded[row, : len(line)] = torch.tensor(line)
            mask[row, : len(line)] = 1
        padded, mask = padded.to(self.network.device), mask.to(self.network.device)
        hidden = self.network(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        return _pool(hidden, mask, self.pooling)


def load_language_model(
    folder: Path, *, pooling: str, max_length: int | None, dtype: str, device: str | None
) -> LanguageModel:
    """Load a model folder through transformers; the settings are those of ``TextEncoder``, without ``dtype="auto"``.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, or the folder names a pooling that is not supported.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    # Padding on the right, so that pooling finds the first token at 0 and the last one by the length.
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right", trust_remote_code=False)
    if tokenizer.pad_token_id is None:  # GPT and its kin have none; the mask hides padding, so that any token will do
        tokenizer.pad_token = tokenizer.eos_token
    # Weights in pickle form could run code and are not read. float32 first: how tokens attend is tried to 1e-5 below.
    with quiet():
        network = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
    if network.config.is_encoder_decoder:
        network = network.get_encoder()  # of a T5: its decoder makes texts, not vectors
    network = network.eval().to(checked_device(device))
    limit = min(getattr(network.config, "max_position_embeddings", None) or 10**9, tokenizer.model_max_length)
    length = choose_max_length(folder, limit, max_length)
    model = LanguageModel(tokenizer, network, pooling, length, saved_prompts(folder))
    if pooling == "auto":
        model = replace(model, pooling=saved_pooling(folder) or ("last" if _is_causal(model) else "mean"))
    return replace(model, network=network.to(getattr(torch, dtype)))


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Say clearly that a model cannot be loaded; one that needs Python code of its own never is.

    Raises
    ------
    SavedFolderError
        In place of what Python and transformers raise for a folder that is malformed.
    """
    try:
        yield
    except ColdstartError:
        raise
    except (OSError, *MALFORMED) as error:
        first_line = str(error).partition("\n")[0][:300]
        raise SavedFolderError(
            f"The model in {str(folder)!r} cannot be loaded: {first_line} "
            "Code that comes with a model is never run: use a model of the transformers library itself."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bar that transformers shows for a fraction of a second when it reads or writes weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _pool(hidden: "torch.Tensor", mask: "torch.Tensor", pooling: str) -> "torch.Tensor":
    """Return one vector per text, (n, dim), of token vectors (n, length, dim) padded on the right."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[range(len(hidden)), mask.sum(dim=1) - 1]
    return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def has_bfloat16(device: str) -> bool:
    """Return whether a kind of device multiplies bfloat16 natively; elsewhere it is slower than float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _is_causal(model: LanguageModel) -> bool:
    """Return whether a token's vector ignores the tokens after it: then only the last one has read the whole text."""
    # Tried rather than looked up: names of causal models are many, and new ones come. Two texts that differ in their
    # second token only have the same first vector exactly when attention is causal.
    one, other = model.network.config.vocab_size // 2, model.network.config.vocab_size // 3
    first = replace(model, pooling="cls")
    return bool(np.allclose(first.embed([[one, one]]), first.embed([[one, other]]), atol=1e-5))


def choose_max_length(folder: Path, limit: int, requested: int | None) -> int:
    """Return tokens per text: as requested, else as the folder names it, else the model's limit, at most 512.

    Raises
    ------
    InvalidInputError
        When more is requested than the model reads.
    """
    if requested is None:
        named = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        return int(named or min(limit, 512))
    check_between("max_length", requested, 1, limit, "The model reads no more tokens than that.")
    return requested


def saved_pooling(folder: Path) -> str | None:
    """Return the pooling that a sentence-transformers folder names; None where it names none.

    Older versions write one flag for each pooling (``pooling_mode_mean_tokens``), newer ones a name.

    Raises
    ------
    InvalidInputError
        When ``TextEncoder`` does not have it.
    """
    config = read_json(folder / "1_Pooling" / "config.json")
    flags = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    named = config.get("pooling_mode") or " and ".join(name.removeprefix("pooling_mode_") for name in flags)
    names = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "last", "mean": "mean", "cls": "cls", "": None}
    if named not in names:
        raise InvalidInputError(
            f"`pooling` of TextEncoder has no {named!r}, which the folder {str(folder)!r} asks for. "
            'Pass "mean", "cls" or "last": the vectors are others then.'
        )
    return names[named]


def saved_prompts(folder: Path) -> dict[str, str]:
    """Return the prefixes that a sentence-transformers folder names for queries and documents, "" for none."""
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    item = next((prompts[name] for name in ("document", "passage") if prompts.get(name)), "")
    return {"query": prompts.get("query") or "", "item": item}


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, an empty dict where there is no file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
