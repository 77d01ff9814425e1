"""Text to vectors with a pretrained language model of transformers."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from coldstart._arrays import FloatArray, IntArray, check_between, unit_rows
from coldstart._messages import shown
from coldstart._paths import SavedName, inside
from coldstart._progress import progress_bar
from coldstart.base import BaseEncoder
from coldstart.encoders._recent import RecentVectors
from coldstart.encoders._texts import checked_texts
from coldstart.encoders.transformer.language_model import LanguageModel, loading
from coldstart.encoders.transformer.weights import copy_weights, find_weights, weights_sha256
from coldstart.errors import InvalidInputError, SavedFolderError

Pooling: TypeAlias = Literal["auto", "mean", "cls", "last"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

_INSIDE_SAVED_FOLDER = "saved:"
"""Prefix of a model that lies inside the folder of a saved recommender."""

CHUNK = 2048
"""Texts that are tokenized at once, while the network reads the chunk before them."""

RECENT_QUERIES = 1024
"""Queries whose vectors stay in memory."""


class TextEncoder(BaseEncoder, saved=True):
    """Encode text with a pretrained language model: BERT-like, decoder-only (GPT, Qwen) or the encoder of a T5.

    The model is loaded at the first use. Repeated texts are encoded once; texts of similar length share a batch. On
    the CPU, texts of models with plain attention (BERT and its kin) are packed: laid end to end, without padding. The
    vectors of the last 1,024 queries stay in memory.

    Parameters
    ----------
    model : str, optional
        A folder, or a hub id, which is downloaded when it is not on this machine; the names of sentence-transformers,
        such as "all-mpnet-base-v2", are understood without their "sentence-transformers/". By default all-MiniLM-L6-v2
        from the ``[demo]`` extra or the local hub cache; nothing is downloaded without being named.
    pooling : {"auto", "mean", "cls", "last"}
        How token vectors become one: their mean, the first, or the last. "auto" reads the setting of a
        sentence-transformers folder; without one it takes the last token of causal models, else the mean.
    query_prefix, item_prefix : str, optional
        Put before queries and items, as asymmetric models (E5, BGE) ask for. None takes the prompts that the
        folder names, if any.
    max_length : int, optional
        Tokens per text, from 1 to what the model reads. None takes the folder's setting, at most 512 otherwise.
    normalize : bool
        Scale vectors to length one.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Number format of the network. "auto" is the fastest that keeps cosines of at least 0.999 to float32 here.
    device : str, optional
        None means CUDA, then MPS, then CPU.
    batch_tokens : int, optional
        Tokens per batch, padding included. None means 2,048 on the CPU, which fits its caches, else 8,192.
    sha256 : str, optional
        What the ``*.safetensors`` files must hash to; saved models use it to pin their encoder.
    progress : bool
        Show a bar in a terminal or a notebook when encoding several texts takes more than a second.

    Examples
    --------
    >>> encoder = TextEncoder()                                            # doctest: +SKIP
    >>> encoder.encode(["a film about space", "a film about bees"]).shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        pooling: Pooling = "auto",
        query_prefix: str | None = None,
        item_prefix: str | None = None,
        max_length: int | None = None,
        normalize: bool = True,
        dtype: Dtype = "auto",
        device: str | None = None,
        batch_tokens: int | None = None,
        sha256: str | None = None,
        progress: bool = True,
    ) -> None:
        self.model = model if model is None or isinstance(model, str) else str(model)
        self.pooling = pooling
        self.query_prefix = query_prefix
        self.item_prefix = item_prefix
        self.max_length = max_length
        self.normalize = normalize
        self.dtype = dtype
        self.device = device
        self.batch_tokens = batch_tokens
        self.sha256 = sha256
        self.progress = progress

    def encode(self, values: Sequence[str], /) -> FloatArray:
        """Return one row per text, shape (n, dim), float32.

        Raises
        ------
        InvalidInputError
            When a value is not text, a setting is out of range, or there is no such device.
        WeightsNotFoundError
            When the weights are nowhere to be found.
        """
        return self._encode(values, "item", self.item_prefix)

    def encode_query(self, values: Sequence[str], /) -> FloatArray:
        """Return one row per query, shape (n, dim), float32: as ``encode``, with the prefix for queries.

        Vectors of recent queries come from memory.
        """
        texts = self._read(values, "TextEncoder.encode_query")
        # Attributes may be set between two calls: what a vector depends on, beside the model, is part of its key. A
        # text is so by its hash: a thousand long queries would take a gigabyte.
        settings = (self.query_prefix, self.normalize)
        keys = [(blake2b(text.encode(), digest_size=16).digest(), settings) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        recent: RecentVectors = vars(self).setdefault("_recent", RecentVectors(RECENT_QUERIES))
        return recent.rows(
            keys, lambda missing: self._encode([text_of[key] for key in missing], "query", self.query_prefix)
        )

    def identity(self) -> str:
        """Return a text that names everything a vector depends on; equal identities give equal vectors."""
        model = self._load()
        prefixes = [model.prompts["item"] if self.item_prefix is None else self.item_prefix]
        # In float32 packing changes no more than rounding does; in fewer bits vectors differ visibly.
        packed = model.dtype != "float32" and model.first_position is not None
        dtype = f"{model.dtype} packed" if packed else model.dtype
        settings = [model.pooling, model.max_length, self.normalize, dtype, *prefixes]
        return f"TextEncoder {self._weights_sha256()} {settings}"

    def saved(self, name: str | None) -> "TextEncoder":
        """Return the encoder as a saved folder names it: weights pinned by hash, or copied into it as ``name``."""
        if name is not None:
            return self._with(model=_INSIDE_SAVED_FOLDER + name, sha256=self._weights_sha256())
        # Weights that a folder named and that were never needed here may not be on this machine.
        known = self.sha256 if isinstance(self.model, SavedName) else None
        return self._with(sha256=known or self._weights_sha256())

    def opened(self, folder: Path) -> "TextEncoder":
        """Return the encoder of a saved recommender whose folder is now ``folder``."""
        if self.model is None:
            return self
        if self.model.startswith(_INSIDE_SAVED_FOLDER):
            return self._with(model=inside(folder, self.model.removeprefix(_INSIDE_SAVED_FOLDER)))
        return self._with(model=SavedName(self.model))

    def with_weights_of(self, given: "TextEncoder") -> "TextEncoder":
        """Return the caller's encoder in the place of this one, which a folder names: its weights must be the same.

        Raises
        ------
        InvalidInputError
            When a setting that its vectors depend on is another.
        """
        for name in ("pooling", "query_prefix", "item_prefix", "max_length", "normalize"):
            was, now = getattr(self, name), getattr(given, name)
            if was != now:
                raise InvalidInputError(f"`{name}` of the given TextEncoder must be {was!r}, as at fit; got {now!r}.")
        return given._with(sha256=self.sha256 or given.sha256)

    def _with(self, **params: Any) -> "TextEncoder":
        return TextEncoder(**{**self.get_params(), **params})

    def copy_weights(self, folder: Path) -> None:
        """Copy what is needed to load the model into a new folder."""
        copy_weights(find_weights(self.model), folder)

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the model and recent vectors: copies load the model again."""
        return {name: value for name, value in vars(self).items() if name not in ("_language_model", "_recent")}

    def _encode(self, values: Sequence[str], kind: str, prefix: str | None) -> FloatArray:
        """Return one row per text, each distinct text encoded once."""
        texts, model = self._read(values, "TextEncoder.encode"), self._load()
        prefix = model.prompts[kind] if prefix is None else prefix
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        vectors = np.zeros((len(distinct), model.dim), dtype=np.float32)
        for rows, ids in self._batches([prefix + text for text in distinct], model):
            vectors[rows] = model.embed(ids)
        # Batches write into the rows of distinct texts; here each text gets its row in the order of the caller.
        encoded = vectors[[distinct[text] for text in texts]]
        return unit_rows(encoded) if self.normalize else encoded

    def _read(self, values: Sequence[str], owner: str) -> list[str]:
        """Return the texts, cut to what the model can read of them."""
        return checked_texts(values, owner, self._load().max_length)

    def _batches(self, texts: Sequence[str], model: LanguageModel) -> Iterator[tuple[IntArray, list[list[int]]]]:
        """Yield rows of similar length with their token ids, longest first, each batch within the token budget.

        Longest first, so that a model that does not fit the memory fails at the start and not after an hour.
        """
        max_tokens = self.batch_tokens or (2048 if model.network.device.type == "cpu" else 8192)
        with progress_bar(total=len(texts), what="Encoding", unit="text", shown=self.progress) as bar:
            for rows, ids in _tokenized_chunks(texts, model):
                lengths = np.array([len(line) for line in ids], dtype=np.int64)
                order = np.argsort(-lengths, kind="stable")
                for start, stop in _token_batches(lengths[order], max_tokens):
                    batch = order[start:stop]
                    yield rows[batch], [ids[row] for row in batch]
                    bar.update(stop - start)

    def _load(self) -> LanguageModel:
        """Return the language model, loaded at the first call."""
        if "_language_model" not in vars(self):
            self._check_params()
            folder = find_weights(self.model)
            if self.sha256 is not None and self._weights_sha256() != self.sha256:
                raise SavedFolderError(
                    f"The encoder's weights must have SHA-256 {self.sha256}; those in {shown(str(folder))} have "
                    f"{self._weights_sha256()}. Other weights give other vectors: get the ones it was fitted with."
                )
            from coldstart.encoders.transformer.fast_loading import load_fast

            with loading(folder):
                self._language_model = load_fast(
                    folder, pooling=self.pooling, max_length=self.max_length, dtype=self.dtype, device=self.device
                )
        return self._language_model

    def _weights_sha256(self) -> str:
        if "_sha256" not in vars(self):
            self._sha256 = weights_sha256(find_weights(self.model))
        return self._sha256

    def _check_params(self) -> None:
        choices = {"pooling": ("auto", "mean", "cls", "last"), "dtype": ("auto", "float32", "bfloat16", "float16")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidInputError(
                    f"`{name}` of TextEncoder must be one of {allowed}; got {shown(getattr(self, name))}."
                )
        if self.batch_tokens is not None:
            check_between("batch_tokens", self.batch_tokens, 1, 10**9)


def _tokenized_chunks(texts: Sequence[str], model: LanguageModel) -> Iterator[tuple[IntArray, list[list[int]]]]:
    """Yield chunks of rows with their token ids, long texts first.

    A thread tokenizes the next chunk while the network reads this one: the tokenizer is written in Rust and leaves the
    interpreter free. Characters stand for tokens in the order, since tokens are not known yet.
    """
    order = np.argsort([-len(text) for text in texts], kind="stable")
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    with ThreadPoolExecutor(max_workers=1) as executor:
        pending = [executor.submit(model.tokenize, [texts[row] for row in chunk]) for chunk in chunks[:1]]
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=False):
            ids = pending.pop().result()
            if following is not None:
                pending.append(executor.submit(model.tokenize, [texts[row] for row in following]))
            yield chunk, ids


def _token_batches(lengths: IntArray, max_tokens: int) -> Iterator[tuple[int, int]]:
    """Split descending lengths so that each part, padded to its first, has at most ``max_tokens``, or one text."""
    start = 0
    while start < len(lengths):
        stop = min(len(lengths), start + max(1, max_tokens // int(lengths[start])))
        yield start, stop
        start = stop
