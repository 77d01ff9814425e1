"""One training loop: AdamW, a measurement after each epoch, early stopping, checkpoints to resume from."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from coldstart._arrays import check_between
from coldstart._component import Component
from coldstart._file_locks import file_lock
from coldstart._messages import shown
from coldstart._progress import progress_bar
from coldstart.errors import InvalidInputError, SavedFolderError, TrainingError
from coldstart.training.tracking import Tracker, tracking

Losses: TypeAlias = Tensor | Mapping[str, Tensor]
Batches: TypeAlias = Callable[[np.random.Generator], Iterable[Any]]


@dataclass(frozen=True)
class Loop(Component):
    """Settings of training; the network, its data and its loss are arguments of ``run``.

    Attributes
    ----------
    epochs : int
        Passes over the batches, 0 or more.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019).
    warmup : int
        Steps in which the learning rate rises linearly from 0; then it falls linearly to 0 at the last step.
    clip : float
        Largest norm of the gradient of all weights; 0 for no limit.
    patience : int, optional
        Epochs without a better measurement after which training stops early; None: never.
    accumulate : int
        Batches whose gradients are averaged before a step.
    adversarial : float
        Norm of the step on the perturbed weights that makes the loss larger; the gradient there is added (FGM, Miyato
        et al. 2017). 0 for none.
    shares : mapping of str to float
        Weights of losses that are returned by name; a name without a weight has 1.
    precision : {"auto", "float32", "bfloat16"}
        Of the products in the network; the weights stay float32. "auto" is bfloat16 on CUDA, float32 elsewhere.
    seed : int
        Same seed, same machine: same weights.
    progress : bool
        Show a bar with loss and measurement when training takes more than a second.
    """

    epochs: int = 6
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 20
    clip: float = 1.0
    patience: int | None = None
    accumulate: int = 1
    adversarial: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    progress: bool = True

    def check(self) -> None:
        """Raise when a setting is out of range.

        Raises
        ------
        InvalidInputError
            Naming it.
        """
        for name, low in (("epochs", 0), ("warmup", 0), ("accumulate", 1), ("seed", 0)):
            check_between(name, getattr(self, name), low, 2**31)
        for name in ("learning_rate", "weight_decay", "clip", "adversarial"):
            check_between(name, getattr(self, name), 0.0, 1e6)
        if self.patience is not None:
            check_between("patience", self.patience, 1, 10**9)
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise InvalidInputError(
                f'`precision` must be "auto", "float32" or "bfloat16"; got {shown(self.precision)}.'
            )


@dataclass(frozen=True)
class Epoch:
    """Loss and measurement of an epoch: ``number`` counts from 1, and 0 is before training."""

    number: int
    loss: float
    measured: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """Losses and measurements of all epochs.

    Attributes
    ----------
    epochs : tuple of Epoch
    best : int
        Number of the epoch whose weights were kept; 0: training did not improve the measurement.
    """

    epochs: tuple[Epoch, ...] = ()
    best: int = 0

    @property
    def losses(self) -> list[float]:
        """Mean loss of each epoch."""
        return [epoch.loss for epoch in self.epochs if epoch.number]


def run(
    network: nn.Module,
    batches: Batches,
    loss: Callable[[Any], Losses],
    loop: Loop,
    *,
    steps: int,
    measure: Callable[[], float] | None = None,
    perturbed: Sequence[nn.Parameter] = (),
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    tracker: Tracker = None,
    checkpoint: str | Path | None = None,
    name: str = "Training",
) -> History:
    """Train a network in place.

    Parameters
    ----------
    network : Module
        Only weights that require a gradient are trained.
    batches : callable
        Function of a generator of random numbers, one for each epoch, that returns the batches of the epoch.
    loss : callable
        Function of a batch that returns its loss, or several by name, whose weighted sum is minimised.
    loop : Loop
    steps : int
        Batches in an epoch.
    measure : callable, optional
        Function that returns a number, larger is better; called before the first epoch and after each one. The weights
        of the best one are kept, and may be those before training. Without it the last weights are kept.
    perturbed : sequence of Parameter
        Weights that ``loop.adversarial`` perturbs: the embeddings.
    callbacks : sequence of callable
        Functions that are called with each ``Epoch``.
    tracker : {"tensorboard", "wandb"} or callable, optional
        Receives the numbers of each epoch; see ``tracking``.
    checkpoint : path, optional
        A file written after each epoch. When it exists and is of the same training, training resumes from it, and ends
        with the same weights as if never interrupted.
    name : str
        Title of the bar.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        When the loss is not a number; the network is restored.
    SavedFolderError
        When the checkpoint is damaged or of another training.
    """
    loop.check()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not weights:
        raise InvalidInputError("`network` must have a weight that requires a gradient; all of them are frozen.")
    optimizer = torch.optim.AdamW(weights, lr=loop.learning_rate, weight_decay=loop.weight_decay)
    total = max(1, loop.epochs * math.ceil(steps / loop.accumulate))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_factor(step, total, loop.warmup))
    # A checkpoint resumes only a training with the same settings: with others the result would be of neither.
    fingerprint = _settings(loop) | {"steps": steps, "measured": measure is not None}
    state = _TrainingState(
        network, optimizer, schedule, loop.patience, fingerprint, None if checkpoint is None else Path(checkpoint)
    )
    original, was_training = _copy_weights(network), network.training
    try:
        if not state.resume() and measure is not None:
            state.record(Epoch(0, math.nan, _measure(network, measure)))
        with (
            tracking(tracker, name) as track,
            progress_bar(total=loop.epochs * steps, what=name, unit="step", shown=loop.progress) as bar,
        ):
            bar.update(state.done * steps)
            while state.done < loop.epochs and not state.out_of_patience():
                number = state.done + 1
                # Random numbers of an epoch depend on the seed and its number alone: a resumed training draws the same
                # batches and the same dropout as one that was never interrupted.
                with _seeded(loop.seed, number):
                    rng = np.random.default_rng([loop.seed, number])
                    parts = _run_epoch(network, batches(rng), loss, loop, optimizer, schedule, perturbed, bar)
                epoch = Epoch(number, parts["loss"], None if measure is None else _measure(network, measure), parts)
                state.record(epoch)
                numbers = parts if epoch.measured is None else {**parts, "measured": epoch.measured}
                bar.set_postfix(numbers, refresh=False)
                track(numbers, number)
                for callback in callbacks:
                    callback(epoch)
    except BaseException:
        network.load_state_dict(original)
        raise
    finally:
        network.train(was_training)
    network.load_state_dict(state.best)
    return state.history


def _run_epoch(
    network: nn.Module,
    batches: Iterable[Any],
    loss: Callable[[Any], Losses],
    loop: Loop,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    perturbed: Sequence[nn.Parameter],
    bar: Any,
) -> dict[str, float]:
    """Train for one epoch; return the mean of each loss."""
    network.train()
    sums: dict[str, float] = {}
    n_batches = 0
    optimizer.zero_grad()
    for n_batches, batch in enumerate(batches, start=1):
        # Gradients of earlier batches of this step: the adversarial direction must be that of this batch alone.
        accumulated = [None if weight.grad is None else weight.grad.clone() for weight in perturbed]
        parts = _backward(network, batch, loss, loop)
        if loop.adversarial and perturbed:
            with _perturbed(perturbed, accumulated, loop.adversarial):
                _backward(network, batch, loss, loop)
        for part, value in parts.items():
            sums[part] = sums.get(part, 0.0) + value
        if n_batches % loop.accumulate == 0:
            _optimizer_step(network, loop, optimizer, schedule)
        bar.update()
    if n_batches % loop.accumulate:  # the last step has fewer batches
        _optimizer_step(network, loop, optimizer, schedule)
    return {part: value / max(n_batches, 1) for part, value in sums.items()} or {"loss": 0.0}


def _backward(network: nn.Module, batch: Any, loss: Callable[[Any], Losses], loop: Loop) -> dict[str, float]:
    """Add the gradients of a batch to those of the weights; return its losses."""
    device = next(network.parameters()).device.type
    use_bfloat16 = loop.precision == "bfloat16" or (loop.precision == "auto" and device == "cuda")
    with torch.autocast(device, dtype=torch.bfloat16, enabled=use_bfloat16):
        losses = loss(batch)
    parts = {"loss": losses} if isinstance(losses, Tensor) else dict(losses)
    # Summed in float32, outside of autocast: a sum in bfloat16 would lose the small losses beside a large one.
    total = torch.stack([part.float() * loop.shares.get(name, 1.0) for name, part in parts.items()]).sum()
    if not torch.isfinite(total):
        raise TrainingError(
            f"The loss must be a number; got {total.item()}. Take a smaller `learning_rate` than "
            f"{loop.learning_rate:g}, or look for numbers that are not finite in the data."
        )
    # Divided here, accumulated gradients are those of one batch of ``accumulate`` times the size.
    (total / loop.accumulate).backward()  # type: ignore[no-untyped-call]
    return {name: part.item() for name, part in parts.items()} | {"loss": total.item()}


def _optimizer_step(
    network: nn.Module, loop: Loop, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR
) -> None:
    if loop.clip:
        nn.utils.clip_grad_norm_([w for w in network.parameters() if w.requires_grad], loop.clip)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


@contextmanager
def _perturbed(weights: Sequence[nn.Parameter], accumulated: Sequence[Tensor | None], norm: float) -> Iterator[None]:
    """Perturb weights along the gradient of one batch, by a step of this norm, and restore them at the end."""
    originals = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, grad in zip(weights, accumulated, strict=True):
            if weight.grad is not None:
                of_batch = weight.grad if grad is None else weight.grad - grad
                weight.add_(of_batch, alpha=norm / max(float(of_batch.norm()), 1e-12))
    yield
    with torch.no_grad():
        for weight, original in zip(weights, originals, strict=True):
            weight.copy_(original)


class _TrainingState:
    """Progress of training: history, best weights and checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        patience: int | None,
        fingerprint: dict[str, Any],
        path: Path | None,
    ) -> None:
        self.network, self.optimizer, self.schedule, self.patience = network, optimizer, schedule, patience
        shapes = {name: list(weight.shape) for name, weight in network.state_dict().items()}
        self.path, self.fingerprint = path, fingerprint | {"weights": shapes}
        self.history, self.best = History(), _copy_weights(network)

    @property
    def done(self) -> int:
        """Number of epochs trained."""
        return self.history.epochs[-1].number if self.history.epochs else 0

    def out_of_patience(self) -> bool:
        """Return whether the measurement has not improved for ``patience`` epochs."""
        return self.patience is not None and self.done - self.history.best >= self.patience

    def record(self, epoch: Epoch) -> None:
        """Add an epoch to the history, keep its weights when they are the best, and write the checkpoint."""
        best = next((past for past in self.history.epochs if past.number == self.history.best), None)
        # "not <=" in place of ">": where a measurement is NaN the later weights are kept, as without a measurement.
        better = best is None or epoch.measured is None or not epoch.measured <= (best.measured or 0.0)
        self.history = replace(
            self.history,
            epochs=(*self.history.epochs, epoch),
            best=epoch.number if better else self.history.best,
        )
        if better:
            self.best = _copy_weights(self.network)
        if self.path is not None:
            self._write(self.path)

    def resume(self) -> bool:
        """Load the checkpoint; return whether there is one."""
        if self.path is None or not self.path.exists():
            return False
        try:
            # weights_only: a checkpoint is data, and no code in it is run.
            saved = torch.load(self.path, weights_only=True, map_location="cpu")
            matches = saved["training"] == self.fingerprint
        except Exception as error:
            raise SavedFolderError(
                f"`checkpoint` {shown(str(self.path))} must be a file that a training wrote; it cannot be read: "
                f"{error}. Name another one to start anew."
            ) from error
        if not matches:
            raise SavedFolderError(
                f"`checkpoint` {shown(str(self.path))} must be of this training, {self.fingerprint}; got "
                f"{shown(saved['training'])}. Delete it to start anew, or name another file."
            )
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.best = saved["best"]
        self.history = History(tuple(Epoch(**epoch) for epoch in saved["epochs"]), saved["best_epoch"])
        return True

    def _write(self, path: Path) -> None:
        """Write a temporary file and rename it, so that a killed process leaves the previous checkpoint whole."""
        content = {
            "training": self.fingerprint,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best,
            "best_epoch": self.history.best,
            "epochs": [{**asdict(epoch), "parts": dict(epoch.parts)} for epoch in self.history.epochs],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        # One name: what a killed process leaves is overwritten by the next checkpoint.
        temporary = path.with_name(f".{path.name}.new")
        with file_lock(path.with_name(f".{path.name}.lock")):
            try:
                temporary.touch(mode=0o600)
                torch.save(content, temporary)
                temporary.replace(path)
            except (OSError, RuntimeError) as error:  # torch's own words for a full disk name a position in a file
                raise SavedFolderError(
                    f"`checkpoint` {shown(str(path))} cannot be written: {error}. Is the disk full? "
                    "The one before is as it was."
                ) from error
            finally:
                temporary.unlink(missing_ok=True)


def _settings(loop: Loop) -> dict[str, Any]:
    """Return the settings that a checkpoint must share with this training, as plain numbers that torch saves."""
    settings = {**loop.get_params(), "shares": {name: float(share) for name, share in loop.shares.items()}}
    settings.pop("progress")
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights."""
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def _measure(network: nn.Module, measure: Callable[[], float]) -> float:
    """Return a measurement of the network in evaluation mode, without gradients."""
    network.eval()
    with torch.no_grad():
        return float(measure())


def _rate_factor(step: int, total: int, warmup: int) -> float:
    """Return the factor of the learning rate at a step: linear warm-up, then linear decay.

    AdamW knows the scale of gradients only after some steps; the warm-up keeps the first ones small.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))


@contextmanager
def _seeded(seed: int, epoch: int) -> Iterator[None]:
    """Seed torch for one epoch, and restore its global state at the end."""
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
        yield
