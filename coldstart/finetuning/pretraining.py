"""Contrastive pretraining of an encoder on the texts of a catalogue, without clicks."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from coldstart._arrays import Rng, blocks, check_between, generator
from coldstart._messages import shown
from coldstart.base import Encoder
from coldstart.data.catalog import Catalog
from coldstart.encoders.text import TextEncoder
from coldstart.encoders.transformer.language_model import has_bfloat16
from coldstart.errors import InvalidInputError
from coldstart.training.augmentation import Augment
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
    """Return a new encoder, trained to give the two views of an item near vectors and other items far ones.

    Without clicks nothing can be measured, so that its effect on recommendations is unknown. The benchmarks page has
    what it was on real catalogues.

    Parameters
    ----------
    encoder : TextEncoder, or CachedEncoder of one
        The encoder to start from; it is not changed.
    catalog : Catalog
        The items whose fields are read.
    folder : path
        Folder for the new language model; must not exist.
    positives : {"fields", "dropout"}
        The two views of an item: two of its fields, drawn anew each time, where it has two; else, and with "dropout",
        one text encoded twice with different dropout (SimCSE, Gao et al. 2021).
    augment : callable, optional
        Function of texts and a generator that returns other words for them, see ``coldstart.training.augmentation``;
        applied to the second view.
    method, layers, rank
        Which weights are trained, as in ``finetune``.
    anchor : float
        Weight of the squared distance to the vectors before training.
    adversarial : float
        With "full": norm of an adversarial step on the word embeddings (FGM, Miyato et al. 2017); 0 for none.
    epochs, batch_size : int
        Passes over the items, and items per step, at most as many as there are; by default 128, or all.
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

    columns = [catalog.columns[name] for name in catalog.fields]
    items = [[cell for cell in cells if cell is not None] for cells in zip(*columns, strict=True)]
    with_text = np.flatnonzero([bool(cells) for cells in items])
    if len(with_text) < 2:
        raise InvalidInputError(f"`catalog` of pretrain must hold at least 2 items with text; got {len(with_text)}.")
    size = min(128, len(with_text)) if batch_size is None else batch_size
    check_between("batch_size", size, 2, len(with_text), "There are no more items with text.")
    check_between("anchor", anchor, 0.0, 1e6)
    check_between("temperature", temperature, 1e-3, 1e3)
    if positives not in ("fields", "dropout"):
        raise InvalidInputError(f'`positives` of pretrain must be "fields" or "dropout"; got {shown(positives)}.')
    if Path(folder).exists():
        raise InvalidInputError(f"`folder` must not exist yet; got {shown(str(folder))}. Name another one.")
    model = TrainedModel(encoder, method, layers, rank)
    initial = TrainedModel(encoder, method, layers, rank).requires_grad_(False) if anchor else None
    seed = int(generator(rng).integers(2**31))

    def batches(rng: np.random.Generator) -> Iterator[tuple[list[str], list[str]]]:
        order = rng.permutation(with_text)
        for block in blocks(len(order), size):
            views = [_views(items[item], positives, rng) for item in order[block]]
            one, other = [first for first, _ in views], [second for _, second in views]
            yield one, other if augment is None else augment(other, rng)

    def loss(views: tuple[list[str], list[str]]) -> dict[str, "Tensor"]:
        one, other = (model(view) for view in views)
        parts = {"views": info_nce(one, other, temperature)}
        if initial is not None:
            # A new module is in training mode, and dropout would move the anchor.
            parts["anchor"] = (one - initial.eval()(views[0])).square().sum(dim=1).mean()
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
        steps=ceil(len(with_text) / size),
        perturbed=[model.embeddings()] if model.embeddings().requires_grad else [],
        tracker=tracker,
        checkpoint=checkpoint,
        name="Pretraining",
    )
    return model.save(Path(folder))


def _views(texts: list[str], positives: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return two texts of an item, or one of them twice."""
    if positives == "fields" and len(texts) > 1:
        one, other = rng.choice(len(texts), 2, replace=False)
        return texts[one], texts[other]
    text = texts[int(rng.integers(len(texts)))]
    return text, text
