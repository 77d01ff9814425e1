"""Fields weighed item by item, by how well they answer."""

from collections.abc import Mapping

import numpy as np
from scipy.special import softmax
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, check_between, unit_rows
from coldstart._component import Component
from coldstart.fusers._fields import check_fields, check_one_space, shares


class AttentionFuser(Component):
    """Average the fields of an item by attention: those nearest to the query count most.

    Without a query the fields attend to the item's own centre (the mean of its fields), which
    quiets a field that has nothing to do with the others. There is nothing to train:
    the weights are ``softmax(temperature * cosine(field, query))`` over the fields the item has
    (scaled dot-product attention, Vaswani et al. 2017, with the identity for its maps).

    Parameters
    ----------
    temperature : float
        At least 0: 0 is the plain mean, large values pick the best field.

    Attributes
    ----------
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

    weights_: dict[str, float]

    def __init__(self, temperature: float = 10.0) -> None:
        self.temperature = temperature

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Note the mean attention of each field; clicks are not used.

        Raises
        ------
        InvalidInputError
            When shapes do not fit, or the fields differ in dim.
        """
        check_fields(fields, missing)
        check_one_space(fields, "AttentionFuser")
        check_between("temperature", self.temperature, 0, 1e6)
        weights = self.attention(fields, missing)
        told = weights[weights.any(axis=1)]
        mean = told.mean(axis=0) if len(told) else np.zeros(len(fields))
        self.weights_ = dict(zip(fields, mean.tolist(), strict=True))
        return self

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim), the fields attending to the item's own centre."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return _combine(fields, self.attention(fields, missing))

    def attend(self, query: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim) as seen from one query of shape (dim,)."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return _combine(fields, self.attention(fields, missing, query))

    def attention(
        self, fields: Mapping[str, FloatArray], missing: BoolArray, query: FloatArray | None = None
    ) -> FloatArray:
        """Return the weight of each field of each item, shape (n, n_fields), rows summing to 1.

        Read it to see what matched: ``query`` has shape (dim,); without it the item's own centre is attended to.
        """
        stacked = np.stack([unit_rows(vectors) for vectors in fields.values()], axis=1)
        if query is None:
            equal = shares(dict.fromkeys(fields, 1.0), missing)
            focus = unit_rows(np.einsum("nfd,nf->nd", stacked, equal))
            cosines = np.einsum("nfd,nd->nf", stacked, focus)
        else:
            cosines = stacked @ unit_rows(query.reshape(1, -1))[0]
        logits = np.where(missing, -np.inf, self.temperature * cosines)
        logits[missing.all(axis=1)] = 0.0
        weights: FloatArray = np.where(missing, 0.0, softmax(logits, axis=1)).astype(np.float32)
        return weights


def _combine(fields: Mapping[str, FloatArray], weights: FloatArray) -> FloatArray:
    stacked = np.stack([unit_rows(vectors) for vectors in fields.values()], axis=1)
    combined: FloatArray = np.einsum("nfd,nf->nd", stacked, weights)
    return combined
