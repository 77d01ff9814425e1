"""Objectives of finetuning: train a map on fixed vectors, or the language model below the map."""

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
    """Two towers with a residual map, and a linear layer that predicts a column, if there is one to predict."""

    def __init__(self, task: FinetuneTask, residual: ResidualMap) -> None:
        super().__init__()
        self.task, self.towers = task, task.towers(residual)
        labels = task.items.labels
        self.labels = None if labels is None else _zero_layer(residual.up.shape[1], int(labels.max()) + 1)

    def predict_loss(self, items: IntArray, vectors: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy of the column by the name "predict"; nothing where no column is predicted."""
        if self.labels is None or self.task.items.labels is None:
            return {}
        labels = torch.from_numpy(self.task.items.labels[items]).to(vectors.device)
        # The mean over labelled items by hand: that of cross_entropy is NaN for a batch without a label.
        total = cross_entropy(self.labels(vectors), labels, ignore_index=-1, reduction="sum")
        return {"predict": total / (labels >= 0).sum().clamp(min=1)}


def _zero_layer(dim: int, count: int) -> nn.Linear:
    """Return a linear layer of zeros.

    Made without drawing random numbers, so that a column to predict does not change the rest of the training.
    """
    layer: nn.Linear = skip_init(nn.Linear, dim, count)  # type: ignore[no-untyped-call]
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def train_map(
    task: FinetuneTask, kind: Kind, rank: int, loop: Loop, extras: Mapping[str, Any]
) -> tuple[ResidualMap, History]:
    """Train a residual map on fixed vectors."""
    residual = ResidualMap(task.items.vectors.shape[1], kind, rank, np.random.default_rng(loop.seed))
    head = Head(task, residual)

    def loss(batch: Batch) -> dict[str, Tensor]:
        items = head.towers.items(torch.from_numpy(batch.items))
        return {"clicks": head.towers.loss(batch, "softmax"), **head.predict_loss(batch.items, items)}

    def measure() -> float:
        mapped = residual(head.towers.texts).numpy()
        return task.mean_ndcg(unit_rows(task.pairs.given @ mapped), unit_rows(mapped[task.pairs.cold]))

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
    """Train the language model below a fixed map.

    Only the items to predict are encoded again. Histories and queries keep their vectors from before training: encoding
    whole histories in each step would cost tens of times more.
    """
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

    def mapped(vectors: Tensor) -> Tensor:
        return normalize(residual(normalize(vectors - mean.to(vectors.device), dim=1)), dim=1)

    def loss(batch: Batch) -> dict[str, Tensor]:
        items = np.unique(batch.items)  # an item that several users of the batch liked is encoded once
        vectors = encoded(items)
        initial = torch.from_numpy(task.items.vectors[items]).to(vectors.device)
        # The distance to the first vectors holds items that are in no batch, cold ones above all, near where they were.
        parts = {"anchor": (vectors - initial).square().sum(dim=1).mean()}
        if objective == "classification":
            # Seeded by torch, which the loop seeds for each epoch: a resumed training draws the same pairs.
            rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
            return parts | {"clicks": _classification_loss(network["pair"], model, task, batch, rng)}
        with torch.no_grad():
            users = towers.users(batch.users, batch.items)
        rows = np.searchsorted(items, batch.items)
        in_space = mapped(vectors)
        return {
            "clicks": towers.in_batch_loss(users, in_space[rows], batch),
            **parts,
            **head.predict_loss(items, in_space),
        }

    def measure() -> float:
        vectors = residual(towers.texts).numpy()
        cold = mapped(encoded(task.pairs.cold)).float().numpy()
        return task.mean_ndcg(unit_rows(task.pairs.given @ vectors), cold)

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
    """Return the logistic loss of pairs of texts: two items of one user (1), or one of theirs and a random one (0)."""
    n_items = len(task.items.texts)
    histories = csr_array(task.pairs.liked[batch.users][:, :n_items])
    first = np.array(
        [
            next((other for other in history if other != item), item)
            for history, item in zip(np.split(histories.indices, histories.indptr[1:-1]), batch.items, strict=True)
        ]
    )
    negatives = uniform(csr_array(task.pairs.known[:, :n_items]), batch.users, 1, rng)[:, 0]
    texts, separator = task.items.texts, model.model.tokenizer.sep_token or "\n"
    both = [
        f"{'. '.join(texts[a])} {separator} {'. '.join(texts[b])}"
        for second in (batch.items, negatives)
        for a, b in zip(first, second, strict=True)
    ]
    # The first half are pairs of one user (1), the second half pairs with a drawn item (0).
    labels = torch.arange(2).flip(0).repeat_interleave(len(batch.items)).float()
    scores = layer(model(both))[:, 0]
    return bce(scores, labels.to(scores.device))
