"""Fields weighed item by item, by how well they answer."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, check_between, unit_rows
from coldstart._component import Component
from coldstart.fusers._fields import check_fields, check_one_space, shares, sum_weighted

PRIOR_ROWS = 10
"""Rows of zeros that a mean is blended with: matters for small catalogues only."""


class AttentionFuser(Component):
    """Average the fields of an item by attention: those nearest to the query count most.

    Without a query the fields attend to the item's own centre (the mean of its fields), which
    quiets a field that has nothing to do with the others. There is nothing to train: the weights are
    ``softmax(temperature * cosine(field, query))`` over the fields the item has (scaled dot-product
    attention, Vaswani et al. 2017, with the identity for its maps). Each field is centred on its mean over the
    catalogue before it is averaged, so that the mean does not depend on where attention goes.

    Parameters
    ----------
    temperature : float
        From 0, the plain mean, to 1,000,000, the best field alone.

    Attributes
    ----------
    means_ : dict of str to ndarray of shape (dim,)
        Mean of each field over the items that have it.
    weights_ : dict of str to float
        Mean attention of each field over the catalogue, without a query.

    Examples
    --------
    >>> fields = {"title": np.eye(2, dtype=np.float32), "plot": np.eye(2, dtype=np.float32)[::-1]}
    >>> missing = np.zeros((2, 2), dtype=bool)
    >>> fuser = AttentionFuser().fit(fields, missing)
    >>> fuser.attention(fields, missing, np.array([1.0, 0.0], dtype=np.float32)).round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    means_: dict[str, FloatArray]
    weights_: dict[str, float]

    def __init__(self, temperature: float = 10.0) -> None:
        self.temperature = temperature

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn the mean of each field and note its mean attention; clicks are not used.

        Raises
        ------
        InvalidInputError
            When shapes do not fit, the fields differ in dim, or the temperature is out of range.
        """
        check_fields(fields, missing)
        check_one_space(fields, "AttentionFuser")
        check_between("temperature", self.temperature, 0.0, 1e6)
        self.means_ = {
            name: unit_rows(vectors)[~missing[:, at]].sum(axis=0) / np.float32(np.sum(~missing[:, at]) + PRIOR_ROWS)
            for at, (name, vectors) in enumerate(fields.items())
        }
        weights = self.attention(fields, missing)
        told = weights[weights.any(axis=1)]
        mean = told.mean(axis=0) if len(told) else np.zeros(len(fields))
        self.weights_ = dict(zip(fields, mean.tolist(), strict=True))
        return self

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim), the fields attending to the item's own centre."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return self._average(fields, missing)

    def fuse_query(self, fields: Mapping[str, FloatArray]) -> FloatArray:
        """Place texts (m, dim) among the items: as they are, since every field says the same."""
        return unit_rows(next(iter(fields.values())))

    def attend(self, query: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim) as seen from one query of shape (dim,)."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return self._average(fields, missing, query)

    def attention(
        self, fields: Mapping[str, FloatArray], missing: BoolArray, query: FloatArray | None = None
    ) -> FloatArray:
        """Return the weight of each field of each item, shape (n, n_fields), rows summing to 1.

        Read it to see what matched: ``query`` has shape (dim,); without it the item's own centre is attended to.
        """
        return self._attention([unit_rows(vectors) for vectors in fields.values()], missing, query)

    def _attention(self, units: Sequence[FloatArray], missing: BoolArray, query: FloatArray | None) -> FloatArray:
        if query is None:
            equal = shares(dict.fromkeys(map(str, range(len(units))), 1.0), missing)
            focus = unit_rows(sum_weighted(units, equal))
            cosines = np.stack([(unit * focus).sum(axis=1) for unit in units], axis=1)
        else:
            cosines = np.stack([unit @ unit_rows(query.reshape(1, -1))[0] for unit in units], axis=1)
        logits = np.where(missing, -np.inf, self.temperature * cosines)
        logits[missing.all(axis=1)] = 0.0
        weights: FloatArray = np.where(missing, 0.0, softmax(logits, axis=1)).astype(np.float32)
        return weights

    def _average(
        self, fields: Mapping[str, FloatArray], missing: BoolArray, query: FloatArray | None = None
    ) -> FloatArray:
        """The centred fields by their attention; subtracting the means after the sum spares a copy of each field."""
        units = [unit_rows(vectors) for vectors in fields.values()]
        weights = self._attention(units, missing, query)
        return sum_weighted(units, weights) - weights @ np.stack(list(self.means_.values()))
