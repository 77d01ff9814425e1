"""Teach an encoder the language of a catalogue, without a click."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from coldstart._arrays import Rng, blocks, check_between, generator
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.encoders.text import TextEncoder
from coldstart.encoders.transformer.language_model import has_bfloat16
from coldstart.errors import InvalidInputError
from coldstart.finetuning.augmentation import Augment
from coldstart.training.tracking import Tracker

if TYPE_CHECKING:
    from torch import Tensor

    from coldstart.finetuning.trained_model import Moving


def pretrain(
    encoder: Encoder,
    catalog: Catalog,
    folder: str | Path,
    *,
    positives: Literal["fields", "dropout"] = "fields",
    augment: Augment | None = None,
    method: "Moving" = "last-layers",
    layers: int = 2,
    rank: int = 16,
    anchor: float = 5.0,
    adversarial: float = 0.0,
    epochs: int = 1,
    batch_size: int | None = None,
    learning_rate: float = 3e-5,
    temperature: float = 0.05,
    rng: Rng = 0,
    tracker: Tracker = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> TextEncoder:
    """Return a new encoder to which two views of an item are alike and other items are not; no clicks are needed.

    Nothing can be measured without clicks: what it does to recommendations is not known until there are some. The
    benchmarks page says what it did on real catalogues.

    Parameters
    ----------
    encoder : TextEncoder, or CachedEncoder of one
        Stays as it is.
    catalog : Catalog
        Its fields are read.
    folder : path
        Where the language model is written; must not exist.
    positives : {"fields", "dropout"}
        What is a view: two fields of the item, drawn anew each time, where it has two; else, and with "dropout", one
        text read twice under other dropout (SimCSE, Gao et al. 2021).
    augment : callable, optional
        From texts and a generator to other words for them, see ``coldstart.finetuning.augmentation``; the second view
        goes through it.
    method, layers, rank
        What moves, as in ``finetune``.
    anchor : float
        Weight of the squared distance to the vectors from before.
    adversarial : float
        With "full": length of a step on the vectors of the words against which the model is trained, too (FGM).
    epochs, batch_size : int
        Passes over the items, and items in a step, at most as many as there are; by default 128, or all.
    learning_rate, temperature : float
    rng, tracker, checkpoint, progress
        As in ``finetune``.

    Raises
    ------
    InvalidInputError
        Fewer than two items with text, a batch larger than they are, or a folder that exists.
    TrainingError
        When the loss is not a number.
    """
    from coldstart.finetuning.trained_model import TrainedModel
    from coldstart.training.loop import Loop, run
    from coldstart.training.losses import info_nce

    items = [[cell for cell in cells if cell is not None] for cells in zip(*_columns(catalog), strict=True)]
    told = np.flatnonzero([bool(cells) for cells in items])
    if len(told) < 2:
        raise InvalidInputError(f"`catalog` of pretrain must hold at least 2 items with text; got {len(told)}.")
    size = min(128, len(told)) if batch_size is None else batch_size
    check_between("batch_size", size, 2, len(told), "There are no more items with text.")
    check_between("anchor", anchor, 0.0, 1e6)
    check_between("temperature", temperature, 1e-3, 1e3)
    if positives not in ("fields", "dropout"):
        raise InvalidInputError(f'`positives` of pretrain must be "fields" or "dropout"; got {positives!r}.')
    if Path(folder).exists():
        raise InvalidInputError(f"`folder` must not exist yet; got {str(folder)!r}. Name another one.")
    model = TrainedModel(encoder, method, layers, rank)
    start = TrainedModel(encoder, method, layers, rank).requires_grad_(False) if anchor else None
    seed = int(generator(rng).integers(2**31))

    def batches(rng: np.random.Generator) -> Iterator[tuple[list[str], list[str]]]:
        order = rng.permutation(told)
        for block in blocks(len(order), size):
            views = [_views(items[item], positives, rng) for item in order[block]]
            one, other = [first for first, _ in views], [second for _, second in views]
            yield one, other if augment is None else augment(other, rng)

    def loss(views: tuple[list[str], list[str]]) -> dict[str, "Tensor"]:
        one, other = (model(view) for view in views)
        parts = {"views": info_nce(one, other, temperature)}
        if start is not None:
            parts["anchor"] = (one - start.eval()(views[0])).square().sum(dim=1).mean()
        return parts

    loop = Loop(
        epochs=epochs,
        learning_rate=learning_rate,
        shares={"anchor": anchor},
        adversarial=adversarial,
        precision="bfloat16" if has_bfloat16(next(model.parameters()).device.type) else "float32",
        seed=seed,
        progress=progress,
    )
    run(
        model,
        batches,
        loss,
        loop,
        steps=ceil(len(told) / size),
        perturbed=[model.embeddings()] if model.embeddings().requires_grad else [],
        tracker=tracker,
        checkpoint=checkpoint,
        name="Pretraining",
    )
    return model.written(Path(folder))


def _columns(catalog: Catalog) -> list[tuple[str | None, ...]]:
    return [catalog.columns[name] for name in catalog.fields]


def _views(texts: list[str], positives: str, rng: np.random.Generator) -> tuple[str, str]:
    """Two fields of an item, or one of them twice."""
    if positives == "fields" and len(texts) > 1:
        one, other = rng.choice(len(texts), 2, replace=False)
        return texts[one], texts[other]
    text = texts[int(rng.integers(len(texts)))]
    return text, text
