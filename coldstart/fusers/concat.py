"""Concatenation: the fields of an item side by side."""

from collections.abc import Mapping

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, unit_rows
from coldstart.base import BaseFuser
from coldstart.fusers._fields import Weights, check_fields, choose_weights, item_weights


class ConcatFuser(BaseFuser, saved=True):
    """Concatenate the field vectors, so that a dot product of items is a weighted mean of field cosines.

    Field f of item i is scaled by the square root of its share ``w_f / sum of w over the fields i has``:
    the square root, because a dot product multiplies the scales of two items. The fused row has length one; a
    missing field leaves its block zero and its weight to the others.
    Fields may have different dims.

    Parameters
    ----------
    weights : mapping of str to float, or "equal", optional
        Importance of each field, at least 0. By default equal, and learned when ``fit`` gets clicks.

    Attributes
    ----------
    weights_ : dict of str to float
        Importance of each field among items, summing to 1.
    query_weights_ : dict of str to float
        Importance of each field for a query: as given, else equal. Clicks tell which fields make items alike,
        not which fields people talk about.

    Examples
    --------
    >>> fields = {"title": np.eye(2, dtype=np.float32), "plot": np.ones((2, 1), dtype=np.float32)}
    >>> missing = np.array([[False, False], [False, True]])
    >>> ConcatFuser({"title": 1, "plot": 3}).fit(fields, missing).fuse(fields, missing).round(2).tolist()
    [[0.5, 0.0, 0.8700000047683716], [0.0, 1.0, 0.0]]
    """

    weights_: dict[str, float]
    query_weights_: dict[str, float]

    def __init__(self, weights: Weights = None) -> None:
        self.weights = weights

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Choose the weights: as given, else learned from clicks, else equal.

        Raises
        ------
        InvalidInputError
            When shapes or weights do not fit the fields.
        """
        check_fields(fields, missing)
        self.weights_ = choose_weights(self.weights, fields, missing, clicks)
        self.query_weights_ = choose_weights(self.weights, fields, missing)
        return self

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors of shape (n, sum of dims), rows of length one (zero when every field is missing)."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        scales = np.sqrt(item_weights(self.weights_, missing))
        return np.hstack([unit_rows(v) * scales[:, [at]] for at, v in enumerate(fields.values())])

    def fuse_query(self, fields: Mapping[str, FloatArray]) -> FloatArray:
        """Return vectors of texts whose scores are the means of field cosines by ``query_weights_``."""
        self.check_fitted("weights_")
        # Items carry sqrt(w) already, so that q / sqrt(w) gives the product q. Near 0 it would grow without bound.
        scales = {f: self.query_weights_[f] / np.sqrt(max(w, 1e-3)) for f, w in self.weights_.items()}
        return np.hstack([unit_rows(v) * np.float32(scales[f]) for f, v in fields.items()])
