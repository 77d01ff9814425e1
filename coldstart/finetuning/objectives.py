"""Train a map on vectors, or the language model below it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils import skip_init

from coldstart._arrays import IntArray, unit_rows
from coldstart.finetuning.task import FinetuneTask, means
from coldstart.finetuning.trained_model import TrainedModel
from coldstart.training.adapters import Kind, ResidualMap
from coldstart.training.loop import History, Loop, run
from coldstart.training.losses import bce
from coldstart.training.negatives import uniform
from coldstart.training.towers import Batch


class Head(nn.Module):
    """A map, and beside it a layer that predicts a column."""

    def __init__(self, task: FinetuneTask, residual: ResidualMap) -> None:
        super().__init__()
        self.task, self.towers = task, task.towers(residual)
        labels = task.items.labels
        self.labels = None if labels is None else _zero_layer(residual.up.shape[1], int(labels.max()) + 1)

    def predicted(self, items: IntArray, vectors: Tensor) -> dict[str, Tensor]:
        """Return the loss of the column, if any."""
        if self.labels is None or self.task.items.labels is None:
            return {}
        labels = torch.from_numpy(self.task.items.labels[items]).to(vectors.device)
        total = cross_entropy(self.labels(vectors), labels, ignore_index=-1, reduction="sum")
        return {"predict": total / (labels >= 0).sum().clamp(min=1)}


def _zero_layer(dim: int, count: int) -> nn.Linear:
    """A linear layer that says the same of all, and draws no random number."""
    layer: nn.Linear = skip_init(nn.Linear, dim, count)  # type: ignore[no-untyped-call]
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def train_map(
    task: FinetuneTask, kind: Kind, rank: int, loop: Loop, extras: Mapping[str, Any]
) -> tuple[ResidualMap, History]:
    """Train a map on vectors that stay."""
    residual = ResidualMap(task.items.vectors.shape[1], kind, rank, np.random.default_rng(loop.seed))
    head = Head(task, residual)

    def loss(batch: Batch) -> dict[str, Tensor]:
        items = head.towers.items(torch.from_numpy(batch.items))
        return {"clicks": head.towers.loss(batch, "softmax"), **head.predicted(batch.items, items)}

    def measure() -> float:
        moved = residual(head.towers.texts).numpy()
        return task.found(unit_rows(task.positives.told @ moved), unit_rows(moved[task.positives.cold]))

    history = run(
        head,
        task.batches,
        loss,
        loop,
        steps=task.steps,
        measure=measure if task.is_measured else None,
        name="Adapter",
        **extras,
    )
    return residual, history


def train_language_model(
    model: TrainedModel,
    task: FinetuneTask,
    residual: ResidualMap,
    objective: str,
    loop: Loop,
    extras: Mapping[str, Any],
) -> History:
    """Train the language model below a map that stays; what is told keeps the vectors from before."""
    for weight in residual.parameters():
        weight.requires_grad_(False)
    head = Head(task, residual)
    network = nn.ModuleDict({"model": model, "head": head})
    if objective == "classification":
        network["pair"] = _zero_layer(task.items.vectors.shape[1], 1)
    towers, mean = head.towers, torch.from_numpy(task.items.mean)

    def encoded(items: IntArray) -> Tensor:
        texts = [text for item in items for text in task.items.texts[item]]
        owners = np.repeat(np.arange(len(items)), [len(task.items.texts[item]) for item in items])
        return means(model(texts), owners, len(items))

    def placed(vectors: Tensor) -> Tensor:
        return normalize(residual(normalize(vectors - mean.to(vectors.device), dim=1)), dim=1)

    def loss(batch: Batch) -> dict[str, Tensor]:
        items = np.unique(batch.items)
        vectors = encoded(items)
        start = torch.from_numpy(task.items.vectors[items]).to(vectors.device)
        parts = {"anchor": (vectors - start).square().sum(dim=1).mean()}
        if objective == "classification":
            rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
            return parts | {"clicks": _classification_loss(network["pair"], model, task, batch, rng)}
        with torch.no_grad():
            told = towers.users(batch.users, batch.items)
        own = np.searchsorted(items, batch.items)
        at = placed(vectors)
        return {"clicks": towers.in_batch_loss(told, at[own], batch), **parts, **head.predicted(items, at)}

    def measure() -> float:
        cold = task.positives.cold
        moved = residual(towers.texts).numpy()
        return task.found(unit_rows(task.positives.told @ moved), placed(encoded(cold)).float().numpy())

    return run(
        network,
        task.batches,
        loss,
        loop,
        steps=task.steps,
        measure=measure if task.is_measured else None,
        perturbed=[model.embeddings()] if model.embeddings().requires_grad else [],
        name="Language model",
        **extras,
    )


def _classification_loss(
    layer: nn.Module, model: TrainedModel, task: FinetuneTask, batch: Batch, rng: np.random.Generator
) -> Tensor:
    """The loss of telling pairs of texts that one user liked from pairs with an item drawn at random."""
    n_items = len(task.items.texts)
    told = csr_array(task.positives.liked[batch.users][:, :n_items])
    first = np.array(
        [
            next((i for i in row if i != own), own)
            for row, own in zip(np.split(told.indices, told.indptr[1:-1]), batch.items, strict=True)
        ]
    )
    others = uniform(csr_array(task.positives.known[:, :n_items]), batch.users, 1, rng)[:, 0]
    texts, between = task.items.texts, model.model.tokenizer.sep_token or "\n"
    both = [
        f"{'. '.join(texts[a])} {between} {'. '.join(texts[b])}"
        for second in (batch.items, others)
        for a, b in zip(first, second, strict=True)
    ]
    labels = torch.arange(2).flip(0).repeat_interleave(len(batch.items)).float()
    scores = layer(model(both))[:, 0]
    return bce(scores, labels.to(scores.device))
