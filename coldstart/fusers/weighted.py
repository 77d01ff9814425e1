"""Weighted mean: the fields of an item averaged."""

from collections.abc import Mapping

from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, unit_rows
from coldstart.base import BaseFuser
from coldstart.fusers._fields import Weights, check_fields, check_one_space, choose_weights, item_weights, sum_weighted


class WeightedFuser(BaseFuser, saved=True):
    """Average the field vectors of an item, each of length one, over the fields it has.

    All fields must come from one space (the same encoder). The result is as wide as one field.

    Parameters
    ----------
    weights : mapping of str to float, or "equal", optional
        Importance of each field, at least 0. By default equal, and learned when ``fit`` gets clicks.

    Attributes
    ----------
    weights_ : dict of str to float
        Importance of each field, summing to 1.
    query_weights_ : dict of str to float
        Importance of each field for a query: as given, else equal.

    Examples
    --------
    >>> import numpy as np
    >>> fields = {"title": np.eye(2, dtype=np.float32), "plot": np.eye(2, dtype=np.float32)[::-1]}
    >>> missing = np.array([[False, False], [False, True]])
    >>> fuser = WeightedFuser({"title": 3, "plot": 1}).fit(fields, missing)
    >>> fuser.weights_, fuser.fuse(fields, missing).tolist()
    ({'title': 0.75, 'plot': 0.25}, [[0.75, 0.25], [0.0, 1.0]])
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
            When shapes or weights do not fit the fields, or the fields differ in dim.
        """
        check_fields(fields, missing)
        check_one_space(fields, "WeightedFuser")
        self.weights_ = choose_weights(self.weights, fields, missing, clicks)
        self.query_weights_ = choose_weights(self.weights, fields, missing)
        return self

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors of shape (n, dim), length at most one (zero when every field is missing)."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return sum_weighted([unit_rows(vectors) for vectors in fields.values()], item_weights(self.weights_, missing))
