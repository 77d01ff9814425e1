"""The network on pairs of a user and an item, written once for torch and for numpy.

Training runs it on tensors, a fitted ranker on arrays: answering a request then needs no torch, whose import takes
seconds, and no copies between the two. Only operators that both know are used, hence a file without either.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray

LOG_CLICKS_SCALE = 5.0
"""Divisor of logarithms of clicks, which brings them to the size of the other inputs."""


def pair_scores(
    weights: Mapping[str, Any],
    users: Any,
    items: Any,
    clicks: Any,
    first_scores: Any,
    activation: Callable[[Any], Any],
) -> Any:
    """Return ``skip * first score + activation([u, i, u*i, |u-i|, clicks] W + b) out`` of pairs.

    Parameters
    ----------
    weights : mapping of str to tensor or ndarray
        Those of ``PairNetwork``.
    users, items : tensor or ndarray of shape (..., dim)
        Vectors of both sides of each pair, or of shapes that broadcast.
    clicks : tensor or ndarray of shape (..., 3)
        Of ``click_features``.
    first_scores : tensor or ndarray of shape (...)
        Scores of the first stage.
    activation : callable
        ReLU, with dropout in training.
    """
    # W is kept in blocks, one for each part of the input: the user's product is computed once for all of their
    # candidates, and the concatenation [u, i, u*i, |u-i|] is never built.
    hidden = users @ weights["user"] + items @ weights["item"] + (users * items) @ weights["product"]
    hidden = hidden + abs(users - items) @ weights["distance"]
    hidden = hidden + clicks @ weights["known"] + weights["bias"]
    return activation(hidden) @ weights["out"] + weights["skip"] * first_scores


def click_features(item_clicks: FloatArray, user_clicks: FloatArray) -> FloatArray:
    """Return the inputs of the network that count clicks, of items (q, c) and users (q,), shape (q, c, 3).

    They are the logarithm of the item's clicks, whether it has none, and the logarithm of the user's clicks.
    """
    users = np.broadcast_to(np.log1p(user_clicks)[:, None], item_clicks.shape)
    features = [np.log1p(item_clicks) / LOG_CLICKS_SCALE, item_clicks == 0, users / LOG_CLICKS_SCALE]
    return np.stack(features, axis=-1).astype(np.float32)
