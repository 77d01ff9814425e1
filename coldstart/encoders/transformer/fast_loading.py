"""The fastest way through a language model that gives the same vectors on this machine.

What is tried is measured on a few texts when the model is loaded, and left again where the vectors change.
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
from coldstart.encoders.transformer.packed import NAME, register
from coldstart.encoders.transformer.prepacked import can_prepack, prepack

FIDELITY = 0.999
"""Smallest cosine to float32 that ``dtype="auto"`` accepts."""

SAME = 1e-5
"""Largest difference, in lengths of a vector, between texts end to end and padded ones in float32."""

_PROBE = (
    "A quiet film about a lighthouse keeper and the sea.",
    "wireless mouse",
    "Graph neural networks for predicting protein function from sequence.",
    "wireless keyboard",
    "Größe 42, 防水登山鞋, très léger",
)


def load_fast(folder: Path, *, pooling: str, max_length: int | None, dtype: str, device: str | None) -> LanguageModel:
    """Load a model folder and make it fast; the settings are those of ``TextEncoder``.

    Raises
    ------
    InvalidInputError
        When ``max_length`` exceeds what the model reads, the folder asks for a pooling that there is not, or there is
        no such device.
    """
    model = _loaded(folder, pooling, max_length, checked_device(device))
    probe = model.tokenize(_PROBE)
    exact = model.embed(probe)
    if model.first_position is None and model.network.device.type == "cpu":
        model = _packed(model, probe, exact)
    if dtype == "auto":
        return _half(model, probe, exact) if has_bfloat16(model.network.device.type) else model
    return _converted(model, dtype) if dtype != "float32" else model


def _loaded(folder: Path, pooling: str, max_length: int | None, device: str) -> LanguageModel:
    """The model in float32; on processors that of our own where it is one of those."""
    bert = load_bert(folder, pooling=pooling, max_length=max_length) if device == "cpu" else None
    return bert or load_language_model(folder, pooling=pooling, max_length=max_length, dtype="float32", device=device)


def _packed(model: LanguageModel, probe: Sequence[Sequence[int]], exact: FloatArray) -> LanguageModel:
    """Lay texts end to end where that gives the same vectors; positions count from 0 or from after the padding."""
    config = model.network.config
    before = config._attn_implementation
    for first in (0, model.tokenizer.pad_token_id + 1):
        try:
            register()
            config._attn_implementation = NAME
            tried = replace(model, first_position=first)
            difference = np.abs(tried.embed(probe) - exact).max()
        except Exception:  # whatever a model makes of arguments that it does not know
            difference = np.inf
        if difference <= SAME * np.linalg.norm(exact, axis=1).min():
            return tried
        config._attn_implementation = before
    return model


def _half(model: LanguageModel, probe: Sequence[Sequence[int]], exact: FloatArray) -> LanguageModel:
    """Use bfloat16 where the vectors stay the same."""
    half = _converted(replace(model, network=copy.deepcopy(model.network)), "bfloat16")
    cosines = (unit_rows(half.embed(probe)) * unit_rows(exact)).sum(axis=1)
    return half if cosines.min() >= FIDELITY else model


def _converted(model: LanguageModel, dtype: str) -> LanguageModel:
    """Return the model in another number format; its network is changed."""
    network: nn.Module = model.network.to(getattr(torch, dtype))
    if dtype == "bfloat16" and has_bfloat16("cpu") and model.network.device.type == "cpu" and can_prepack():
        prepack(network)
    return replace(model, network=network)
