"""Learn from clicks how users attend to fields."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray
from coldstart.fusers._fields import centred_fields, sample_pairs

FIELD_DROPOUT = 0.2
"""How often a field is left out while it is learned, so that none is relied upon alone."""

MIN_PAIRS = 1_000
"""Pairs below which nothing is learned."""


def learn_attention(
    fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr
) -> tuple[FloatArray, float] | None:
    """Return a number for each field, (n_fields,), and a temperature, by which users attend to the fields of an item.

    With cosines c_f of a user's other items to field f of an item, the weights are a = softmax(b + t c) over the fields
    it has, and its score is the sum of a_f c_f. For a click (u, i) and an item j drawn evenly from the clicked ones, i
    should score higher: the loss is that of Bayesian personalised ranking (Rendle et al. 2009), minimised over b, t and
    the scale of the scores, with fields left out at random. None below 1,000 clicks.
    """
    n_fields = len(fields)
    liked, other, absent = _cosines(fields, missing, clicks)
    if len(liked) < MIN_PAIRS or n_fields == 1:
        return None
    dropped = np.random.default_rng(0).random(liked.shape) < FIELD_DROPOUT
    masks = [mask | (dropped & ~(mask | dropped).all(axis=1, keepdims=True)) for mask in absent]

    def loss(numbers: AnyArray) -> tuple[float, AnyArray]:
        parts = [
            _scores_and_slopes(numbers, cosines, mask) for cosines, mask in zip((liked, other), masks, strict=True)
        ]
        scale = np.exp(numbers[-1])
        margin = scale * (parts[0][0] - parts[1][0])
        slope = -0.5 * (1.0 - np.tanh(margin / 2.0))
        gradient = np.append(scale * (parts[0][1] - parts[1][1]), margin[:, None], axis=1)
        penalty = np.append(1e-3 * numbers[:-1], 0.0)
        return np.logaddexp(0.0, -margin).mean() + 0.5 * penalty @ numbers, slope @ gradient / len(margin) + penalty

    start = np.append(np.zeros(n_fields + 1), np.log(5.0))
    bounds = [(-5.0, 5.0)] * n_fields + [(0.0, 50.0), (-2.0, 5.0)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return (found[:n_fields] - found[:n_fields].mean()).astype(np.float32), float(found[n_fields])


def _scores_and_slopes(numbers: AnyArray, cosines: AnyArray, absent: BoolArray) -> tuple[AnyArray, AnyArray]:
    """Scores (p,), and their slope by each number but the scale, (p, n_fields + 1)."""
    logits = np.where(absent, -np.inf, numbers[:-2] + numbers[-2] * cosines)
    logits[absent.all(axis=1)] = 0.0
    weights = np.where(absent, 0.0, softmax(logits, axis=1))
    scores = (weights * cosines).sum(axis=1)
    by_field = weights * (cosines - scores[:, None])
    return scores, np.append(by_field, (by_field * cosines).sum(axis=1)[:, None], axis=1)


def _cosines(
    fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr
) -> tuple[AnyArray, AnyArray, Sequence[BoolArray]]:
    """Cosines of users' other items to each field of a liked and of another item, (p, n_fields); what is missing."""
    user, item, other = sample_pairs(clicks)
    units = centred_fields(fields, missing)
    present = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    mean = np.asarray(sum(units) / present, dtype=np.float32)
    binary = clicks.astype(bool).astype(np.float32)
    taste = (binary @ mean)[user] - mean[item]
    taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
    liked, others = (
        np.stack([(taste * unit[at]).sum(axis=1) for unit in units], axis=1).astype(np.float64) for at in (item, other)
    )
    return liked, others, (missing[item], missing[other])
