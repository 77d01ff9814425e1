"""Learn the attention of users to fields from clicks."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray
from coldstart.fusers._fields import centred_fields, sample_pairs

FIELD_DROPOUT = 0.2
"""Probability that a field is dropped in learning, so that no field is relied upon alone."""

MIN_PAIRS = 1_000
"""Pairs of a liked and another item below which nothing is learned."""


def learn_attention(
    fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr
) -> tuple[FloatArray, float] | None:
    """Return a bias for each field, (n_fields,), and a temperature of users' attention; None below 1,000 clicks.

    With cosines c_f of a user's other items to field f of an item, attention is a = softmax(b + t c) over the fields
    it has, and its score is the sum of a_f c_f. For a click (u, i) and an item j drawn uniformly from the clicked
    ones, i should score higher: the loss is that of Bayesian personalised ranking (Rendle et al. 2009), minimised over
    biases b, temperature t and the scale of the scores, with fields dropped at random.
    """
    n_fields = len(fields)
    liked, other, absent = _cosines(fields, missing, clicks)
    if len(liked) < MIN_PAIRS or n_fields == 1:
        return None
    # A fixed seed: the same clicks give the same attention.
    dropped = np.random.default_rng(0).random(liked.shape) < FIELD_DROPOUT
    # Both items of a pair lose the same fields, but never the last one that an item has.
    masks = [mask | (dropped & ~(mask | dropped).all(axis=1, keepdims=True)) for mask in absent]

    def loss(parameters: AnyArray) -> tuple[float, AnyArray]:
        parts = [
            _scores_and_slopes(parameters, cosines, mask) for cosines, mask in zip((liked, other), masks, strict=True)
        ]
        scale = np.exp(parameters[-1])  # its logarithm is learned, so that it stays positive
        margin = scale * (parts[0][0] - parts[1][0])
        slope = -0.5 * (1.0 - np.tanh(margin / 2.0))  # -1 / (1 + exp(margin)), without overflow
        gradient = np.append(scale * (parts[0][1] - parts[1][1]), margin[:, None], axis=1)
        # A weak ridge determines what clicks do not; the scale is free, since it is no part of the attention.
        penalty = np.append(1e-3 * parameters[:-1], 0.0)
        return np.logaddexp(0.0, -margin).mean() + 0.5 * penalty @ parameters, slope @ gradient / len(margin) + penalty

    start = np.append(np.zeros(n_fields + 1), np.log(5.0))
    # Bounds of biases keep a field from a weight of 0 for all users; a negative temperature would prefer bad matches.
    bounds = [(-5.0, 5.0)] * n_fields + [(0.0, 50.0), (-2.0, 5.0)]
    learned = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    biases = learned[:n_fields] - learned[:n_fields].mean()  # a softmax does not change when all biases do
    return biases.astype(np.float32), float(learned[n_fields])


def _scores_and_slopes(parameters: AnyArray, cosines: AnyArray, absent: BoolArray) -> tuple[AnyArray, AnyArray]:
    """Return scores (p,), and their derivatives by biases and temperature, (p, n_fields + 1)."""
    logits = np.where(absent, -np.inf, parameters[:-2] + parameters[-2] * cosines)
    logits[absent.all(axis=1)] = 0.0
    weights = np.where(absent, 0.0, softmax(logits, axis=1))
    scores = (weights * cosines).sum(axis=1)
    by_field = weights * (cosines - scores[:, None])
    return scores, np.append(by_field, (by_field * cosines).sum(axis=1)[:, None], axis=1)


def _cosines(
    fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr
) -> tuple[AnyArray, AnyArray, Sequence[BoolArray]]:
    """Return cosines of users to each field of a liked and of another item, (p, n_fields) each, and what is missing.

    A user is the mean of their items without the liked one, whose own vector would favour it whatever the field says.
    """
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
