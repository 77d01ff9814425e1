"""Steps that all fusers share: check fields, weigh those that an item has, learn weights from clicks."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import minimize

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, as_matrix, unit_rows
from coldstart._messages import shown
from coldstart.errors import InvalidInputError

Weights: TypeAlias = Mapping[str, float] | Literal["equal"] | None
"""Importance of each field; None means learned from clicks, equal without them."""

MAX_PAIRS = 20_000
"""Clicks used to learn field weights; three numbers need no more."""

PRIOR_PAIRS = 1_000
"""Prior strength of equal weights, in clicks: a handful of clicks must not silence a field."""


def check_fields(fields: Mapping[str, FloatArray], missing: BoolArray, names: tuple[str, ...] | None = None) -> None:
    """Raise unless all fields have the same rows as ``missing`` and, when given, the fitted names.

    Raises
    ------
    InvalidInputError
        No fields, other fields than fitted, or a shape that does not fit.
    """
    if not fields:
        raise InvalidInputError("`fields` must hold at least 1 field; got none.")
    if names is not None and tuple(fields) != names:
        raise InvalidInputError(f"`fields` must be those of fit, {list(names)}; got {list(fields)}.")
    shape = (len(missing), len(fields))
    if missing.shape != shape:
        raise InvalidInputError(f"`missing` must have one column per field, shape {shape}; got {missing.shape}.")
    if missing.dtype != bool:
        raise InvalidInputError(f"`missing` must be a mask of bool; got {missing.dtype}. Pass missing.astype(bool).")
    for name, vectors in fields.items():
        if len(as_matrix(vectors, f"fields[{shown(name)}]")) != len(missing):
            raise InvalidInputError(f"`fields[{shown(name)}]` must have {len(missing)} rows; got {len(vectors)}.")


def check_one_space(fields: Mapping[str, FloatArray], owner: str) -> None:
    """Raise unless all fields have the same width, so that they can be averaged.

    Raises
    ------
    InvalidInputError
        Naming the widths.
    """
    widths = {name: vectors.shape[1] for name, vectors in fields.items()}
    if len(set(widths.values())) > 1:
        raise InvalidInputError(
            f"{owner} averages fields, so they must have the same dim; got {widths}. "
            "Use one encoder for all fields, or ConcatFuser."
        )


def normalised_weights(weights: Weights, names: tuple[str, ...]) -> dict[str, float]:
    """Return weights that sum to 1 over ``names``, equal when none are given.

    Raises
    ------
    InvalidInputError
        Unknown or missing field names, weights below 0 or all 0, or something else than a mapping.
    """
    if weights is None or weights == "equal":
        return {name: 1.0 / len(names) for name in names}
    if not isinstance(weights, Mapping):
        raise InvalidInputError(
            f'`weights` must be a mapping of field to number, "equal" or None; got {shown(weights)}.'
        )
    if set(weights) != set(names):
        raise InvalidInputError(f"`weights` must name the fields {list(names)}; got {list(weights)}.")
    values = np.array([weights[name] for name in names], dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise InvalidInputError(f"`weights` must be finite, at least 0 and not all 0; got {dict(weights)}.")
    return dict(zip(names, (values / values.sum()).tolist(), strict=True))


def choose_weights(
    weights: Weights, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None
) -> dict[str, float]:
    """Return the given weights; without any, those learned from clicks; without clicks, equal ones."""
    if weights is None and clicks is not None:
        return learn_weights(fields, missing, clicks)
    return normalised_weights(weights, tuple(fields))


def item_weights(weights: Mapping[str, float], missing: BoolArray) -> FloatArray:
    """Return each item's weights over the fields it has, shape (n, n_fields), rows summing to 1 (or 0)."""
    present = np.array(list(weights.values()), dtype=np.float32) * ~missing
    total = present.sum(axis=1, keepdims=True)
    share: FloatArray = np.divide(present, total, out=np.zeros_like(present), where=total > 0)
    return share


def sum_weighted(vectors: Sequence[FloatArray], weights: FloatArray) -> FloatArray:
    """Return the sum of each item's field vectors [(n, d), ...] by its weights (n, n_fields)."""
    total = np.zeros_like(vectors[0])
    for at, rows in enumerate(vectors):
        total += rows * weights[:, [at]]
    return total


def learn_weights(fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr) -> dict[str, float]:
    """Learn how much each field says about the next click.

    For a click (u, i) and an item j drawn uniformly from the clicked ones, the fields' cosines to the user's
    other items should be larger for i: minimise the Bayesian personalised ranking loss (Rendle et al. 2009) over
    non-negative weights, a convex problem of one number per field. The result is averaged with equal weights, which
    count as 1,000 clicks.

    Parameters
    ----------
    fields : mapping of str to ndarray of shape (n, d)
    missing : ndarray of shape (n, n_fields)
    clicks : csr_array of shape (m, n)

    Returns
    -------
    dict of str to float
        Sums to 1; equal weights when there is nothing to learn from.
    """
    equal = np.full(len(fields), 1.0 / len(fields))
    margins = _margins(fields, missing, clicks) if len(fields) > 1 else equal[:0]
    if not len(margins):
        return dict(zip(fields, equal.tolist(), strict=True))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = margins @ weights
        # 0.5 - 0.5 tanh(x / 2) is 1 / (1 + exp(x)), without overflow.
        slope = -margins * (0.5 - 0.5 * np.tanh(margin / 2))[:, None]
        penalty = 1e-4 * weights @ weights
        return np.logaddexp(0.0, -margin).mean() + penalty, slope.mean(axis=0) + 2e-4 * weights

    solution = minimize(loss, np.ones(len(fields)), jac=True, bounds=[(0.0, None)] * len(fields), method="L-BFGS-B").x
    # Only the proportions matter: the scale fits the loss, not the fused vectors.
    best = solution / solution.sum() if solution.sum() > 0 else equal
    learned = (len(margins) * best + PRIOR_PAIRS * equal) / (len(margins) + PRIOR_PAIRS)
    return dict(zip(fields, learned.tolist(), strict=True))


def _margins(fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr) -> np.ndarray:
    """Return the cosine to the user of the clicked item minus that of the drawn one, by field, (pairs, n_fields)."""
    user, item, other = sample_pairs(clicks)
    binary = clicks.astype(bool).astype(np.float32)
    columns = []
    for unit in centred_fields(fields, missing):
        # Without the clicked item itself: its own vector in the sum would favour it whatever the field says.
        taste = unit_rows((binary @ unit)[user] - unit[item])
        columns.append((taste * (unit[item] - unit[other])).sum(axis=1))
    return np.stack(columns, axis=1).astype(np.float64)


def sample_pairs(clicks: Csr) -> tuple[IntArray, IntArray, IntArray]:
    """Return users, an item each clicked beside others, and one drawn uniformly from the clicked ones, (p,) each."""
    rng = np.random.default_rng(0)  # the same clicks give the same weights
    pairs = clicks.tocoo()
    several = np.flatnonzero(np.diff(clicks.indptr)[pairs.row] > 1)
    chosen = rng.permutation(several)[:MAX_PAIRS]
    user, item = pairs.row[chosen], pairs.col[chosen]
    return user, item, rng.choice(np.unique(pairs.col), len(chosen)) if len(chosen) else item


def centred_fields(fields: Mapping[str, FloatArray], missing: BoolArray) -> list[FloatArray]:
    """Return the vectors of each field (n, d), centred, at length one; zero where the field is missing.

    The mean is what all items share. It tells none apart, but would make all cosines of a field alike.
    """
    units = []
    for at, vectors in enumerate(fields.values()):
        present = ~missing[:, [at]]
        centre = vectors[present[:, 0]].mean(axis=0) if present.any() else 0.0
        units.append(unit_rows((vectors - centre) * present))
    return units
