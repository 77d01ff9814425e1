"""Load a language model in the fastest form that gives the same vectors on this machine.

Each speed-up (packing, bfloat16) is tried on a few texts when the model is loaded, and dropped where vectors change.
Models and processors differ too much to know beforehand which speed-up is safe; a probe of five texts costs little.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from coldstart._arrays import FloatArray, unit_rows
from coldstart._device import checked_device
from coldstart.encoders.transformer.bert import load_bert
from coldstart.encoders.transformer.language_model import LanguageModel, has_bfloat16, load_language_model
from coldstart.encoders.transformer.packed import ATTENTION_NAME, register
from coldstart.encoders.transformer.prepacked import can_prepack, prepack

MIN_COSINE = 0.999
"""Smallest cosine to float32 that ``dtype="auto"`` accepts."""

MAX_DIFFERENCE = 1e-5
"""Largest difference between packed and padded vectors in float32 that counts as the same, in lengths of a vector.

Rounding of sums in another order stays below it; a wrong mask or a wrong position is far above.
"""

# Of different lengths, in runs of equal and of unequal length, and in several scripts: what packing could get wrong.
_PROBE = (
    "A quiet film about a lighthouse keeper and the sea.",
    "wireless mouse",
    "Graph neural networks for predicting protein function from sequence.",
    "wireless keyboard",
    "Größe 42, 防水登山鞋, très léger",
)


def load_fast(folder: Path, *, pooling: str, max_length: int | None, dtype: str, device: str | None) -> LanguageModel:
    """Load a model folder in its fastest form; the settings are those of ``TextEncoder``.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, the folder names a pooling that is not supported, or there is
        no such device.
    """
    model = _load_float32(folder, pooling, max_length, checked_device(device))
    probe = model.tokenize(_PROBE)
    exact = model.embed(probe)  # the reference of every speed-up below
    if model.first_position is None and model.network.device.type == "cpu":
        model = _packed_if_same(model, probe, exact)
    if dtype == "auto":
        return _bfloat16_if_same(model, probe, exact) if has_bfloat16(model.network.device.type) else model
    return _convert(model, dtype) if dtype != "float32" else model


def _load_float32(folder: Path, pooling: str, max_length: int | None, device: str) -> LanguageModel:
    """Load the model in float32: on the CPU as our own BERT where it is one, else through transformers."""
    bert = load_bert(folder, pooling=pooling, max_length=max_length) if device == "cpu" else None
    return bert or load_language_model(folder, pooling=pooling, max_length=max_length, dtype="float32", device=device)


def _packed_if_same(model: LanguageModel, probe: Sequence[Sequence[int]], exact: FloatArray) -> LanguageModel:
    """Return the model for packed texts where that gives the same vectors, else as it was."""
    config = model.network.config
    original = config._attn_implementation
    # BERT counts positions from 0, RoBERTa and its kin from after the id of the padding; no setting says which.
    for first in (0, model.tokenizer.pad_token_id + 1):
        try:
            register()
            config._attn_implementation = ATTENTION_NAME
            packed = replace(model, first_position=first)
            difference = np.abs(packed.embed(probe) - exact).max()
        except Exception:  # a model may fail in any way on arguments that it does not know
            difference = np.inf
        if difference <= MAX_DIFFERENCE * np.linalg.norm(exact, axis=1).min():
            return packed
        config._attn_implementation = original
    return model


def _bfloat16_if_same(model: LanguageModel, probe: Sequence[Sequence[int]], exact: FloatArray) -> LanguageModel:
    """Return the model in bfloat16 where its vectors keep a cosine of ``MIN_COSINE``, else as it was."""
    # A copy: converting back would not restore the bits that bfloat16 drops.
    half = _convert(replace(model, network=copy.deepcopy(model.network)), "bfloat16")
    cosines = (unit_rows(half.embed(probe)) * unit_rows(exact)).sum(axis=1)
    return half if cosines.min() >= MIN_COSINE else model


def _convert(model: LanguageModel, dtype: str) -> LanguageModel:
    """Return the model in another number format; its network is converted in place."""
    network: nn.Module = model.network.to(getattr(torch, dtype))
    if dtype == "bfloat16" and has_bfloat16("cpu") and model.network.device.type == "cpu" and can_prepack():
        prepack(network)
    return replace(model, network=network)
