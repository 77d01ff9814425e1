"""Attention: the fields of each item, weighed by their cosine to the query or the user."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax
from typing_extensions import Self

from coldstart._arrays import AnyArray, BoolArray, Csr, FloatArray, check_between, unit_rows
from coldstart.base import BaseFuser
from coldstart.fusers._attention import learn_attention
from coldstart.fusers._fields import centred_fields, check_fields, check_one_space, item_weights, sum_weighted

PRIOR_ROWS = 10
"""Prior strength of a mean of zero, in rows: matters for small catalogues only."""


class AttentionFuser(BaseFuser, saved=True):
    """Average the fields of an item by attention: those nearest to the query count most.

    The weights are ``softmax(temperature * cosine(field, query))`` over the fields the item has (scaled dot-product
    attention, Vaswani et al. 2017, with the identity for its maps). Without a query the item's own centre, the mean of
    its fields, takes its place: a field that has nothing to do with the others gets little weight. Each field is
    centred on its mean over the catalogue before it is averaged, so that the mean does not depend on the attention.

    From 1,000 clicks on, the attention of users is learned: ``softmax(bias + user_temperature * cosine(field, user))``,
    with one bias for each field; without a user, ``softmax(bias)``. Queries are not affected: clicks tell which fields
    make items alike, not which fields people talk about.

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
        Learned bias of each field; empty without clicks.
    user_temperature_ : float
        Temperature of users' attention; at 0 it does not depend on the user.

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
        """Learn the mean of each field and, from clicks, the attention of users.

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
        with_fields = weights[weights.any(axis=1)]
        mean = with_fields.mean(axis=0) if len(with_fields) else np.zeros(len(fields))
        self.weights_ = dict(zip(fields, mean.tolist(), strict=True))
        return self

    def fuse(self, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim) without a query: by learned biases, else by the item's own centre."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return self._average(fields, missing)

    def fuse_query(self, fields: Mapping[str, FloatArray]) -> FloatArray:
        """Return vectors of texts (m, dim) in the space of the items: unchanged, since all their fields are equal."""
        return unit_rows(next(iter(fields.values())))

    def attend(self, query: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return item vectors (n, dim) by attention to one query of shape (dim,)."""
        self.check_fitted("weights_")
        check_fields(fields, missing, tuple(self.weights_))
        return self._average(fields, missing, query)

    def attention(
        self, fields: Mapping[str, FloatArray], missing: BoolArray, query: FloatArray | None = None
    ) -> FloatArray:
        """Return the weight of each field of each item, shape (n, n_fields), rows summing to 1.

        It shows which field matched. ``query`` has shape (dim,); without it attention goes by the learned biases or,
        without clicks, by the cosines to the item's own centre.
        """
        return self._attention([unit_rows(vectors) for vectors in fields.values()], missing, query)

    def attention_of(self, user: FloatArray, fields: Mapping[str, FloatArray], missing: BoolArray) -> FloatArray:
        """Return the attention of a user (dim,) to each field of each item, shape (n, n_fields)."""
        units = centred_fields(fields, missing)
        focus = unit_rows(user.reshape(1, -1))[0]
        cosines = np.stack([unit @ focus for unit in units], axis=1)
        return _weights(self._biases + self.user_temperature_ * cosines, missing)

    @property
    def _biases(self) -> FloatArray:
        """Return the learned biases, (n_fields,), or one zero for all fields."""
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
        """Return the mean of the centred fields by attention, (n, dim)."""
        # The weighted sum of centred fields is the weighted sum minus the weighted means: no centred copies are made.
        units = [unit_rows(vectors) for vectors in fields.values()]
        weights = self._attention(units, missing, query)
        return sum_weighted(units, weights) - weights @ np.stack(list(self.means_.values()))


def _weights(logits: AnyArray, missing: BoolArray) -> FloatArray:
    """Return the softmax over the fields each item has, (n, n_fields); zeros where it has none."""
    masked = np.where(missing, -np.inf, logits)
    masked[missing.all(axis=1)] = 0.0  # a softmax of -inf alone would be NaN
    return np.where(missing, 0.0, softmax(masked, axis=1)).astype(np.float32)
