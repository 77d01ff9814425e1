"""Fields weighed item by item, by how well they answer."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax
from typing_extensions import Self

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, check_between, unit_rows
from coldstart._component import Component
from coldstart.fusers._attention import learn_attention
from coldstart.fusers._fields import centred_fields, check_fields, check_one_space, item_weights, sum_weighted

PRIOR_ROWS = 10
"""Rows of zeros that a mean is blended with: matters for small catalogues only."""


class AttentionFuser(Component, saved=True):
    """Average the fields of an item by attention: those nearest to the query count most.

    Without a query the fields attend to the item's own centre (the mean of its fields), which
    quiets a field that has nothing to do with the others. The weights are
    ``softmax(temperature * cosine(field, query))`` over the fields the item has (scaled dot-product
    attention, Vaswani et al. 2017, with the identity for its maps). Each field is centred on its mean over the
    catalogue before it is averaged, so that the mean does not depend on where attention goes.
    From 1,000 clicks on, how users attend is learned: ``softmax(bias + user_temperature * cosine(field, user))``, with
    one bias for each field; without a user, ``softmax(bias)``. What people type is attended to as without clicks:
    clicks tell which fields make items alike, not which fields people talk about.

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
    biases_ : dict of str to float
        What clicks teach of each field; empty without.
    user_temperature_ : float
        How sharply a user attends; 0: all items alike.

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
    biases_: dict[str, float]
    user_temperature_: float

    def __init__(self, temperature: float = 10.0) -> None:
        self.temperature = temperature

    def fit(self, fields: Mapping[str, FloatArray], missing: BoolArray, clicks: Csr | None = None) -> Self:
        """Learn the mean of each field and, from clicks, how users attend; note the mean attention.

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
        self.biases_, self.user_temperature_ = {}, self.temperature
        if clicks is not None and min(clicks.shape):
            learned = learn_attention(fields, missing, clicks)
            if learned is not None:
                self.biases_ = dict(zip(fields, learned[0].tolist(), strict=True))
                self.user_temperature_ = learned[1]
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

        Read it to see what matched: ``query`` has shape (dim,); without it the item's own centre is attended to or,
        where clicks were learned from, each field as its bias says.
        """
        return self._attention([unit_rows(vectors) for vectors in fields.values()], missing, query)

    def attention_of(self, user: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return the weight of each field of each item as a user (dim,) attends to it, shape (n, n_fields)."""
        units = centred_fields(fields, missing)
        focus = unit_rows(user.reshape(1, -1))[0]
        cosines = np.stack([unit @ focus for unit in units], axis=1)
        return _weights(self._biases + self.user_temperature_ * cosines, missing)

    @property
    def _biases(self) -> FloatArray:
        return np.array(list(self.biases_.values()) or [0.0], dtype=np.float32)

    def _attention(self, units: Sequence[FloatArray], missing: BoolArray, query: FloatArray | None) -> FloatArray:
        if query is not None:
            cosines = np.stack([unit @ unit_rows(query.reshape(1, -1))[0] for unit in units], axis=1)
        elif getattr(self, "biases_", None):
            return _weights(np.broadcast_to(self._biases, missing.shape), missing)
        else:
            equal = item_weights(dict.fromkeys(map(str, range(len(units))), 1.0), missing)
            focus = unit_rows(sum_weighted(units, equal))
            cosines = np.stack([(unit * focus).sum(axis=1) for unit in units], axis=1)
        return _weights(self.temperature * cosines, missing)

    def _average(
        self, fields: Mapping[str, FloatArray], missing: BoolArray, query: FloatArray | None = None
    ) -> FloatArray:
        """The centred fields by their attention; subtracting the means after the sum spares a copy of each field."""
        units = [unit_rows(vectors) for vectors in fields.values()]
        weights = self._attention(units, missing, query)
        return sum_weighted(units, weights) - weights @ np.stack(list(self.means_.values()))


def _weights(logits: AnyArray, missing: BoolArray) -> FloatArray:
    """The softmax over the fields each item has, (n, n_fields); zeros where it has none."""
    there = np.where(missing, -np.inf, logits)
    there[missing.all(axis=1)] = 0.0
    return np.where(missing, 0.0, softmax(there, axis=1)).astype(np.float32)
