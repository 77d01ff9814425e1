"""Finetuning of an encoder on clicks: a small map on its vectors, or the language model itself."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, Rng, as_matrix, check_between, generator, unit_rows
from coldstart._messages import shown
from coldstart.base import BaseEncoder, Encoder, with_defaults
from coldstart.data.catalog import Catalog
from coldstart.data.holdout import Fold, cut
from coldstart.data.interactions import Interactions
from coldstart.encoders.adapted import AdaptedEncoder
from coldstart.encoders.transformer.language_model import has_bfloat16
from coldstart.errors import InvalidInputError
from coldstart.training.tracking import Tracker

if TYPE_CHECKING:
    from coldstart.training.adapters import Kind, ResidualMap
    from coldstart.training.loop import History

Method = Literal["adapter", "last-layers", "lora", "full"]

COLD_SHARE = 0.1
"""Share of the items with clicks that are held out, to measure by."""

LEARNING_RATES = {"adapter": 1e-3, "last-layers": 1e-4, "lora": 5e-4, "full": 3e-5}
EPOCHS = {"adapter": 12, "last-layers": 3, "lora": 3, "full": 3}
"""Default learning rates and epochs."""


def finetune(
    encoder: Encoder,
    catalog: Catalog,
    interactions: Interactions | None = None,
    method: Method = "adapter",
    *,
    pairs: Sequence[tuple[str, Hashable]] | None = None,
    positives: Literal["history", "co-liked"] = "history",
    objective: Literal["softmax", "classification"] = "softmax",
    predict: str | None = None,
    shares: Mapping[str, float] | None = None,
    kind: "Kind" = "linear",
    layers: int = 2,
    rank: int = 16,
    folder: str | Path | None = None,
    anchor: float = 5.0,
    adversarial: float = 0.0,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float = 1e-2,
    patience: int | None = 2,
    rng: Rng = 0,
    tracker: Tracker = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> AdaptedEncoder:
    """Return a new encoder, trained so that items which users like together get near vectors.

    A tenth of the items with clicks is held out, as if they were new, and training stops early by NDCG@20 among them,
    given the history or the query. Where training does not improve it, the encoder that is returned only centres.

    Parameters
    ----------
    encoder : Encoder
        The encoder to start from; it is not changed. For all methods but "adapter" a ``TextEncoder``, or a
        ``CachedEncoder`` of one.
    catalog : Catalog
        The items whose fields are read.
    interactions : Interactions, optional
        Clicks on items of the catalogue. Not with ``pairs``.
    method : {"adapter", "last-layers", "lora", "full"}
        Train a residual map on fixed vectors, in seconds, saved in kilobytes; or first that, and then the last layers
        of the language model, low-rank maps beside its attention (LoRA), or all its weights.
    pairs : sequence of (str, item id), optional
        Queries and the items found with them, in place of clicks.
    positives : {"history", "co-liked"}
        What an item is predicted from: all other items that its user liked, or one of them.
    objective : {"softmax", "classification"}
        Which item of the batch was liked (InfoNCE with logQ correction of popular items); or, with a language model,
        whether a pair of texts, read as one, is of one user or drawn at random (BCE).
    predict : str, optional
        A column of the catalogue whose value is predicted as well, by a linear layer on the item's vector.
    shares : mapping of str to float, optional
        Weights of the losses "clicks", "anchor" and "predict"; by default 1, ``anchor`` and 0.1.
    kind : {"linear", "low-rank", "mlp"}
        Kind of the map.
    layers : int
        Number of layers that "last-layers" trains.
    rank : int
        Rank or width of "low-rank", "mlp" and "lora".
    folder : path
        Folder for the trained language model; needed for all methods but "adapter".
    anchor : float
        Weight of the squared distance of the language model's vectors to those before training. At 0 cold items suffer.
    adversarial : float
        With "full": norm of an adversarial step on the word embeddings (FGM, Miyato et al. 2017); 0 for none.
    epochs : int, optional
        Epochs of at most 30 steps; by default 12 of the map and then 3 of the language model.
    batch_size : int, optional
        Clicks per step, at most as many as there are; by default 1,024 or all.
    learning_rate, weight_decay : float
        Of AdamW; the rate by default 1e-3, "last-layers" 1e-4, "lora" 5e-4, "full" 3e-5.
    patience : int, optional
        Epochs without a better NDCG after which training stops early; None: all epochs are run.
    rng : int, SeedSequence, Generator or None
    tracker, checkpoint
        See ``coldstart.training.loop.run``; for the language model when that is trained, else for the map.
    progress : bool

    Returns
    -------
    AdaptedEncoder
        Its ``report_`` has the NDCG@20 after each epoch.

    Raises
    ------
    InvalidInputError
        No clicks to learn from, a batch larger than they are, a column with one value, no ``folder`` or one that
        exists.
    TrainingError
        When the loss is not a number.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
    >>> encoder = cs.finetune(HashEncoder(), tiny_catalog(), tiny_clicks(), epochs=2)
    >>> encoder.encode(["tea"]).shape
    (1, 64)
    """
    from coldstart.finetuning.objectives import train_language_model, train_map
    from coldstart.finetuning.task import FinetuneTask, Items
    from coldstart.finetuning.trained_model import TrainedModel
    from coldstart.training.loop import Loop

    if pairs is not None and objective == "classification":
        raise InvalidInputError('objective="classification" tells what one user liked; with `pairs` use "softmax".')
    new_folder = _check_arguments(method, objective, positives, folder, anchor, layers, rank)
    random_numbers = generator(rng)
    clicks, queries = _clicks_and_queries(catalog, interactions, pairs)
    items = Items.of(catalog, encoder, predict)
    query_vectors = None if queries is None else _centred_queries(encoder, queries, items.mean)
    seed = int(random_numbers.integers(2**31))
    loop = Loop(
        epochs=EPOCHS["adapter"] if epochs is None or method != "adapter" else epochs,
        learning_rate=LEARNING_RATES["adapter"] if learning_rate is None or method != "adapter" else learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        shares={"anchor": anchor, "predict": 0.1, **(shares or {})},
        adversarial=adversarial,
        seed=seed,
        progress=progress,
    )
    extras = {"tracker": tracker, "checkpoint": checkpoint}
    fold = cut(clicks, random_numbers, cold=COLD_SHARE, held=0.0, new_users=0.0)
    task = FinetuneTask.of(items, fold, positives, query_vectors, batch_size, np.random.default_rng(seed))
    residual, history = train_map(task, kind, rank, loop, extras if method == "adapter" else {})
    report = {"adapter": _measurements(history)}
    if method == "adapter":
        # The held-out items have shown when to stop: the final map is trained for as many epochs on all clicks.
        whole = FinetuneTask.of(
            items, _all_training(clicks), positives, query_vectors, batch_size, np.random.default_rng(seed)
        )
        residual, _ = train_map(whole, kind, rank, replace(loop, epochs=history.best, patience=None), {})
        return _adapted_encoder(encoder, items.mean, residual, report)
    model = TrainedModel(encoder, method, layers, rank)
    use_bfloat16 = has_bfloat16(next(model.parameters()).device.type)
    loop = replace(
        loop,
        epochs=EPOCHS[method] if epochs is None else epochs,
        learning_rate=LEARNING_RATES[method] if learning_rate is None else learning_rate,
        precision="bfloat16" if use_bfloat16 else "float32",
    )
    history = train_language_model(model, task, residual, objective, loop, extras)
    report[method] = _measurements(history)
    return _adapted_encoder(model.save(new_folder), items.mean, residual, report)


def _adapted_encoder(
    encoder: Encoder, mean: FloatArray, residual: "ResidualMap", report: dict[str, dict[int, float]]
) -> AdaptedEncoder:
    """Return the encoder with a learned map around it."""
    return AdaptedEncoder(encoder).set_state({"mean_": mean, "map_": residual.arrays(), "report_": report})


def _measurements(history: "History") -> dict[int, float]:
    """Return the NDCG@20 of each epoch that was measured."""
    return {epoch.number: epoch.measured for epoch in history.epochs if epoch.measured is not None}


def _all_training(clicks: Csr) -> Fold:
    """Return a fold that holds nothing out."""
    return cut(clicks, np.random.default_rng(0), cold=0.0, held=0.0, new_users=0.0)


def _centred_queries(encoder: Any, queries: Sequence[str], mean: FloatArray) -> FloatArray:
    """Return the vectors of queries (q, dim), centred as items are."""
    encoded = with_defaults(encoder, BaseEncoder).encode_query(list(queries))
    return unit_rows(unit_rows(as_matrix(encoded, "vectors of the encoder")) - mean)


def _clicks_and_queries(
    catalog: Catalog, interactions: Interactions | None, pairs: Sequence[tuple[str, Hashable]] | None
) -> tuple[Csr, list[str] | None]:
    """Return clicks of users, or of queries, on items as a matrix of ones; and the queries, if there are any."""
    if (interactions is None) == (pairs is None):
        raise InvalidInputError("finetune learns from `interactions` or from `pairs`: pass one of the two.")
    if pairs is None and interactions is not None:
        columns = catalog.positions(interactions.items, "items of interactions")[interactions.item_index]
        rows, queries, n_rows = interactions.user_index, None, len(interactions.users)
    else:
        queries = list(dict.fromkeys(query for query, _ in pairs or ()))
        row_of = {query: at for at, query in enumerate(queries)}
        rows = np.array([row_of[query] for query, _ in pairs or ()], dtype=np.int64)
        columns = catalog.positions([item for _, item in pairs or ()], "items of pairs")
        n_rows = len(queries)
    if not len(rows):
        raise InvalidInputError(f"`{'interactions' if pairs is None else 'pairs'}` of finetune must not be empty.")
    clicks = csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n_rows, len(catalog)))
    return csr_array(clicks.minimum(1.0)), queries


def _check_arguments(
    method: str, objective: str, positives: str, folder: str | Path | None, anchor: float, layers: int, rank: int
) -> Path:
    """Check the arguments that later steps do not; return the folder to write, unused by "adapter"."""
    for name, value, choices in (
        ("method", method, tuple(LEARNING_RATES)),
        ("objective", objective, ("softmax", "classification")),
        ("positives", positives, ("history", "co-liked")),
    ):
        if value not in choices:
            raise InvalidInputError(f"`{name}` of finetune must be one of {choices}; got {shown(value)}.")
    check_between("anchor", anchor, 0.0, 1e6)
    check_between("layers", layers, 1, 1000)
    check_between("rank", rank, 1, 10_000)
    if method == "adapter":
        if objective == "classification":
            raise InvalidInputError('objective="classification" reads two texts as one; it needs a language model.')
        return Path()
    if folder is None:
        raise InvalidInputError(f'method="{method}" writes a language model: name a `folder` for it.')
    if Path(folder).exists():
        raise InvalidInputError(f"`folder` must not exist yet; got {shown(str(folder))}. Name another one.")
    return Path(folder)
