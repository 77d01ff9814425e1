"""Teach an encoder from clicks: a small map on its vectors, or the language model itself."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.sparse import csr_array

from coldstart._arrays import Csr, FloatArray, Rng, as_matrix, check_between, generator, unit_rows
from coldstart.base import Encoder
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
"""Share of the items with clicks that lose them, to measure by."""

LEARNING_RATES = {"adapter": 1e-3, "last-layers": 1e-4, "lora": 5e-4, "full": 3e-5}
EPOCHS = {"adapter": 12, "last-layers": 3, "lora": 3, "full": 3}
"""What learning rate and epochs are by default."""


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
    """Return a new encoder that knows from clicks what makes items go together; the one given stays as it is.

    A tenth of the items with clicks is hidden, and training goes on for as long as they are found better: NDCG@20 of
    the hidden items, with the history or the query told. Where it does not find them better, the encoder that comes
    back only centres.

    Parameters
    ----------
    encoder : Encoder
        For all but "adapter" a ``TextEncoder``, or a ``CachedEncoder`` of one.
    catalog : Catalog
        Its fields are read.
    interactions : Interactions, optional
        Clicks on items of the catalogue. Not with ``pairs``.
    method : {"adapter", "last-layers", "lora", "full"}
        A residual map on vectors that stay as they are, in seconds, saved in kilobytes; or first that, and then the
        last layers of the language model, maps of low rank beside its attention, or all its weights.
    pairs : sequence of (str, item id), optional
        Queries and what was found with them, in place of clicks.
    positives : {"history", "co-liked"}
        What an item is found from: all else that its user liked, or one other item.
    objective : {"softmax", "classification"}
        Which of the items of the batch was it (InfoNCE with logQ, popular items corrected for being drawn more often);
        or, of a language model, is this pair of texts, read as one, liked or drawn at random (BCE).
    predict : str, optional
        A column of the catalogue whose value is predicted as well, by a linear layer on the item's vector.
    shares : mapping of str to float, optional
        Weights of the losses "clicks", "anchor" and "predict"; by default 1, ``anchor`` and 0.1.
    kind : {"linear", "low-rank", "mlp"}
        Of the map.
    layers : int
        How many layers "last-layers" moves.
    rank : int
        Of "low-rank", "mlp" and "lora".
    folder : path
        Where the language model that was trained is written; needed for all methods but "adapter".
    anchor : float
        Weight of the squared distance of the language model's vectors to those it started from. At 0 cold items suffer.
    adversarial : float
        With "full": length of a step on the vectors of the words against which the model is trained, too (FGM).
    epochs : int, optional
        Of at most 30 steps; by default 12 of the map and then 3 of the language model.
    batch_size : int, optional
        Clicks in a step, at most as many as there are; by default 1,024 or all.
    learning_rate, weight_decay : float
        Of AdamW; the rate by default 1e-3, "last-layers" 1e-4, "lora" 5e-4, "full" 3e-5.
    patience : int, optional
        Epochs without finding more after which training stops; None: all are run.
    rng : int, SeedSequence, Generator or None
    tracker, checkpoint
        See ``coldstart.training.loop.run``; of the language model when that is trained, else of the map.
    progress : bool

    Returns
    -------
    AdaptedEncoder
        Its ``report_`` says what was measured after each epoch.

    Raises
    ------
    InvalidInputError
        No clicks to learn from, a batch larger than they are, a column with one value, no ``folder`` or one that is
        there already.
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
    place = _check_arguments(method, objective, positives, folder, anchor, layers, rank)
    random = generator(rng)
    clicks, queries = _clicks_and_queries(catalog, interactions, pairs)
    items = Items.of(catalog, encoder, predict)
    asked = None if queries is None else _centred_queries(encoder, queries, items.mean)
    seed = int(random.integers(2**31))
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
    fold = cut(clicks, random, cold=COLD_SHARE, held=0.0, strangers=0.0)
    task = FinetuneTask.of(items, fold, positives, asked, batch_size, np.random.default_rng(seed))
    residual, history = train_map(task, kind, rank, loop, extras if method == "adapter" else {})
    report = {"adapter": _measurements(history)}
    if method == "adapter":
        whole = FinetuneTask.of(items, _all_training(clicks), positives, asked, batch_size, np.random.default_rng(seed))
        residual, _ = train_map(whole, kind, rank, replace(loop, epochs=history.best, patience=None), {})
        return _adapted_encoder(encoder, items.mean, residual, report)
    model = TrainedModel(encoder, method, layers, rank)
    half = has_bfloat16(next(model.parameters()).device.type)
    loop = replace(
        loop,
        epochs=EPOCHS[method] if epochs is None else epochs,
        learning_rate=LEARNING_RATES[method] if learning_rate is None else learning_rate,
        precision="bfloat16" if half else "float32",
    )
    history = train_language_model(model, task, residual, objective, loop, extras)
    report[method] = _measurements(history)
    return _adapted_encoder(model.written(place), items.mean, residual, report)


def _adapted_encoder(
    encoder: Encoder, mean: FloatArray, residual: "ResidualMap", report: dict[str, dict[int, float]]
) -> AdaptedEncoder:
    return AdaptedEncoder(encoder).set_state({"mean_": mean, "map_": residual.arrays(), "report_": report})


def _measurements(history: "History") -> dict[int, float]:
    return {epoch.number: epoch.measured for epoch in history.epochs if epoch.measured is not None}


def _all_training(clicks: Csr) -> Fold:
    return cut(clicks, np.random.default_rng(0), cold=0.0, held=0.0, strangers=0.0)


def _centred_queries(encoder: Any, queries: Sequence[str], mean: FloatArray) -> FloatArray:
    encoded = getattr(encoder, "encode_query", encoder.encode)(list(queries))
    return unit_rows(unit_rows(as_matrix(encoded, "vectors of the encoder")) - mean)


def _clicks_and_queries(
    catalog: Catalog, interactions: Interactions | None, pairs: Sequence[tuple[str, Hashable]] | None
) -> tuple[Csr, list[str] | None]:
    """Clicks of users on items, or of queries, which come with them; ones."""
    if (interactions is None) == (pairs is None):
        raise InvalidInputError("finetune learns from `interactions` or from `pairs`: pass one of the two.")
    if pairs is None and interactions is not None:
        columns = catalog.positions(interactions.items, "items of interactions")[interactions.item_index]
        rows, queries, n_rows = interactions.user_index, None, len(interactions.users)
    else:
        queries = list(dict.fromkeys(query for query, _ in pairs or ()))
        place = {query: at for at, query in enumerate(queries)}
        rows = np.array([place[query] for query, _ in pairs or ()], dtype=np.int64)
        columns = catalog.positions([item for _, item in pairs or ()], "items of pairs")
        n_rows = len(queries)
    if not len(rows):
        raise InvalidInputError(f"`{'interactions' if pairs is None else 'pairs'}` of finetune must not be empty.")
    clicks = csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n_rows, len(catalog)))
    return csr_array(clicks.minimum(1.0)), queries


def _check_arguments(
    method: str, objective: str, positives: str, folder: str | Path | None, anchor: float, layers: int, rank: int
) -> Path:
    for name, value, known in (
        ("method", method, tuple(LEARNING_RATES)),
        ("objective", objective, ("softmax", "classification")),
        ("positives", positives, ("history", "co-liked")),
    ):
        if value not in known:
            raise InvalidInputError(f"`{name}` of finetune must be one of {known}; got {value!r}.")
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
        raise InvalidInputError(f"`folder` must not exist yet; got {str(folder)!r}. Name another one.")
    return Path(folder)
