"""Choose parameters by the validation part, encoding each text once for all trials."""

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from coldstart._arrays import Rng, check_between, generator
from coldstart._component import Component
from coldstart._extras import as_frame
from coldstart._messages import shown
from coldstart._progress import progress_bar
from coldstart._tables import as_html, as_text
from coldstart.data.split import Split
from coldstart.errors import ColdstartError, InvalidInputError
from coldstart.evaluation.groups import groups_of
from coldstart.evaluation.memoizing import MemoizedEncoder, with_memoized_encoders, with_params
from coldstart.evaluation.protocol import ACCURACY, check_lengths, checked_splits, evaluate, fit_options
from coldstart.pipeline.parts import checked_encoder, named_part
from coldstart.recommender import Recommender


class Trial(NamedTuple):
    """One setting and its result; where it could not be fitted, ``value`` is NaN and ``error`` says why."""

    params: dict[str, Any]
    value: float
    seconds: float
    error: str = ""


class Trials(tuple[Trial, ...]):
    """All settings that were tried, best first."""

    def to_frame(self) -> Any:
        """Return one column per parameter, and ``value``, ``seconds`` and ``error``.

        As a pandas frame; without pandas, as a dict of columns.
        """
        columns = {name: [trial.params[name] for trial in self] for name in self[0].params}
        rest = {name: [getattr(trial, name) for trial in self] for name in ("value", "seconds", "error")}
        return as_frame(columns | rest)

    def __repr__(self) -> str:
        return as_text(self._cells())

    def _repr_html_(self) -> str:
        return as_html(f"{len(self)} trials", self._cells())

    def _cells(self) -> list[list[str]]:
        names = list(self[0].params)
        rows = [[*(_shown(trial.params[name]) for name in names), *_outcome(trial)] for trial in self]
        return [[*names, "value", "seconds", "error"], *rows]


class Tuned(NamedTuple):
    """The best recommender, fitted on the training part of the (last) split, and every trial."""

    recommender: Recommender
    trials: Trials


def tune(
    recommender: Recommender,
    split: Split | Sequence[Split],
    space: Mapping[str, Any],
    budget: int = 20,
    select: str = "overall",
    *,
    metric: str = "ndcg",
    k: int = 20,
    rng: Rng = 0,
    progress: bool = True,
) -> Tuned:
    """Search parameters at random, by the validation part only (Bergstra and Bengio 2012).

    Every text is encoded once for all trials. When the space has at most ``budget`` settings, all are tried.

    Parameters
    ----------
    recommender : Recommender
        Not changed. Parameters that the space does not name keep their values, and its own setting is tried first.
    split : Split or sequence of Split
        With validation parts; test clicks are never scored.
    space : mapping of str to sequence or distribution
        Values to try for each parameter: ``{"ranker.l2": [10, 30, 100], "fuser": [ConcatFuser(), WeightedFuser()]}``.
        A name is a parameter of the recommender, or a dotted path to one of a part it was given. A distribution is
        anything with ``rvs(random_state=)``, as in ``scipy.stats``.
    budget : int
        Number of trials, at least 1.
    select : str
        Group to choose by: "overall", "cold" or "warm".
    metric : str
        Metric to choose by.
    k : int
        Length of lists, at least 1.
    rng : int, SeedSequence or Generator
    progress : bool
        Show a bar when it takes more than a second.

    Returns
    -------
    Tuned
        ``recommender`` and ``trials``.

    Raises
    ------
    InvalidInputError
        When an argument is out of range, a parameter is unknown, or no setting could be fitted.

    Notes
    -----
    Random search, and not Optuna: spaces have two to five parameters and budgets are tens of trials, where a model of
    the space finds little more and would cost a dependency.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.25, test=0.1)
    >>> tuned = cs.tune(cs.baselines.ease(), split, {"ranker.l2": [1.0, 10.0]}, k=3)
    >>> len(tuned.trials), tuned.recommender.fitted.users[0]
    (3, 'u0')
    """
    check_between("budget", budget, 1, 10**6)
    recommender = with_params(recommender, {"encoder": checked_encoder(recommender.encoder)})
    settings = _settings(recommender, space, budget, generator(rng))
    splits = checked_splits(split)
    check_lengths((k,), splits)
    if metric not in ACCURACY:
        raise InvalidInputError(f"`metric` must be one of {list(ACCURACY)}; got {shown(metric)}.")
    for one in splits:
        groups_of(one, [select], "validation")
    memoized: dict[int, MemoizedEncoder] = {}
    trials = []
    for setting in progress_bar(settings, total=len(settings), what="tune", unit="trial", shown=progress):
        started = time.perf_counter()
        candidate = with_memoized_encoders(with_params(recommender, setting), memoized)
        value, error = _evaluated(candidate, splits, select, metric, k)
        trials.append(Trial(setting, value, time.perf_counter() - started, error))
    ranked = Trials(sorted(trials, key=lambda trial: -np.nan_to_num(trial.value, nan=-np.inf)))
    if ranked[0].error:
        raise InvalidInputError(f"`space` must hold a setting that can be fitted; all failed: {ranked[0].error}")
    return Tuned(_refitted(with_params(recommender, ranked[0].params), splits[-1], memoized), ranked)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _outcome(trial: Trial) -> list[str]:
    return [f"{trial.value:.4f}", f"{trial.seconds:.1f}", trial.error]


def _settings(
    recommender: Recommender, space: Mapping[str, Any], budget: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the settings to try, without repetitions, beginning with that of the recommender itself."""
    if not space:
        raise InvalidInputError("`space` must name at least 1 parameter; got none.")
    for name, choices in space.items():
        listed = isinstance(choices, Sequence | np.ndarray) and not isinstance(choices, str) and len(choices)
        if not (listed or hasattr(choices, "rvs")):
            raise InvalidInputError(
                f"`space[{shown(name)}]` must be a list of values or a distribution; got {shown(choices)}."
            )
    first = {name: _get(recommender, name) for name in space}
    sizes = [math.inf if hasattr(choices, "rvs") else len(choices) for choices in space.values()]
    if math.prod(sizes) <= budget:
        drawn = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
        budget = len(drawn) + 1
    else:
        # Ten times too many, as some are drawn twice.
        drawn = [{name: _draw(choices, rng) for name, choices in space.items()} for _ in range(10 * budget)]
    # By repr: parts and arrays have no hash.
    return list({repr(setting): setting for setting in [first, *drawn]}.values())[:budget]


def _draw(choices: Any, rng: np.random.Generator) -> Any:
    """Draw a value from a sequence or a distribution."""
    if not hasattr(choices, "rvs"):
        return choices[int(rng.integers(len(choices)))]
    value = choices.rvs(random_state=rng)
    return value.item() if isinstance(value, np.generic) else value


def _get(owner: Any, path: str) -> Any:
    """Return the parameter at a dotted path."""
    name, _, rest = path.partition(".")
    params = owner.get_params() if isinstance(owner, Component) else {}
    if name not in params:
        raise InvalidInputError(
            f"`space` must name parameters of the recommender or of parts given to it; got {shown(path)}, "
            f"and {type(owner).__name__} has {list(params)}. Give the part: Recommender(ranker=...)."
        )
    return _get(named_part(name, params[name]), rest) if rest else params[name]


def _evaluated(
    recommender: Recommender, splits: Sequence[Split], select: str, metric: str, k: int
) -> tuple[float, str]:
    """Return the validation value of a setting and no error, or NaN and the error by which it failed."""
    try:
        report = evaluate(recommender, splits, k, [select], part="validation", progress=False)
    except (ColdstartError, np.linalg.LinAlgError) as error:
        return float("nan"), str(error)
    return report.value(metric, k, select), ""


def _refitted(recommender: Recommender, split: Split, memoized: dict[int, MemoizedEncoder]) -> Recommender:
    """Return the recommender fitted on the training part, without encoding again, but with its own encoders."""
    fitted = with_memoized_encoders(recommender, memoized).fit(split.catalog, split.train, **fit_options(split)).fitted
    encoders = {
        name: one.encoder if isinstance(one, MemoizedEncoder) else one for name, one in fitted.parts.encoders.items()
    }
    return recommender.with_fitted(replace(fitted, parts=replace(fitted.parts, encoders=encoders)))
