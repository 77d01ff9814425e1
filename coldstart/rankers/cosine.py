"""Rank by the cosine of item and user: content-based, works without a single click."""

import numpy as np
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, as_matrix, check_between, unit_rows
from coldstart.base import BaseRanker, Features, Users

PRIOR_ROWS = 10
"""Rows of the overall mean that the mean of each group is averaged with, which matters to small groups only."""


class CosineRanker(BaseRanker, saved=True):
    """Score an item by its cosine to the user, the weighted sum of query, profile, history and disliked items.

    History and disliked items are scaled to length one before they are weighted; texts have the length that the fuser
    gave them, one. A part that a request lacks is left out.

    Item vectors are centred: the mean of the catalogue, which all items share and which tells none apart, is
    subtracted. Items that lack the same fields are centred on their own mean, so that a missing field makes no two
    items alike. Texts of users are not centred, as one text has no mean.

    Parameters
    ----------
    query_weight, profile_weight, history_weight, disliked_weight : float
        Weight of each part, at least 0.
    center : bool
        Centre the item vectors.

    Attributes
    ----------
    patterns_ : ndarray of shape (n_patterns, n_fields), bool
        Which fields are missing in each group of items.
    centers_ : ndarray of shape (n_patterns + 1, dim)
        The mean of each group, the mean of all items last.

    Examples
    --------
    >>> from coldstart.base import Features
    >>> ranker = CosineRanker(center=False).fit(Features(np.eye(3, dtype=np.float32)))
    >>> ranker.item_vectors(Features(np.array([[3.0, 4.0, 0.0]], dtype=np.float32))).round(2).tolist()
    [[0.6000000238418579, 0.800000011920929, 0.0]]
    """

    patterns_: BoolArray
    centers_: FloatArray

    def __init__(
        self,
        query_weight: float = 1.0,
        profile_weight: float = 0.5,
        history_weight: float = 1.0,
        disliked_weight: float = 0.5,
        center: bool = True,
    ) -> None:
        self.query_weight = query_weight
        self.profile_weight = profile_weight
        self.history_weight = history_weight
        self.disliked_weight = disliked_weight
        self.center = center

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn the means of the items' vectors; clicks are not needed.

        Raises
        ------
        InvalidInputError
            When the vectors are not finite rows.
        """
        for name in ("query_weight", "profile_weight", "history_weight", "disliked_weight"):
            check_between(name, getattr(self, name), 0.0, 1e6)
        dense, missing = as_matrix(features.dense, "features.dense"), _missing(features)
        self.patterns_, group = np.unique(missing, axis=0, return_inverse=True)
        overall = dense.sum(axis=0) / (len(dense) + PRIOR_ROWS)
        several = len(self.patterns_) > 1  # else no copy of all vectors is made
        means = [_mean(dense[group.ravel() == at] if several else dense, overall) for at in range(len(self.patterns_))]
        self.centers_ = np.stack([*means, overall]).astype(np.float32)
        return self

    def item_vectors(self, features: Features, /) -> FloatArray:
        """Return centred rows of length one, shape (n, dim); an item without fields stays zero."""
        self.check_fitted("centers_")
        if not self.center:
            return unit_rows(features.dense)
        known = features.dense.any(axis=1, keepdims=True)
        centred = features.dense - self.centers_[self._groups(_missing(features))]
        centred *= known
        return unit_rows(centred)

    def user_vectors(self, users: Users, items: FloatArray, /) -> FloatArray:
        """Return rows of length one, shape (m, dim); zero for a user without history and text."""
        avoided = 0.0 if users.avoided is None else users.avoided.dense
        return unit_rows(
            self.query_weight * users.query.dense
            + self.profile_weight * users.profile.dense
            + self.history_weight * unit_rows(users.history @ items)
            - self.disliked_weight * (unit_rows(users.disliked @ items) + avoided)
        )

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return cosines from -1 to 1, shape (m, n)."""
        items = self.item_vectors(features)
        scores: FloatArray = self.user_vectors(users, items) @ items.T
        return scores

    def _groups(self, missing: BoolArray) -> np.ndarray:
        """Row of ``centers_`` for each item (n,); the mean of all for a pattern that ``fit`` did not see."""
        same = (missing[:, None, :] == self.patterns_[None]).all(axis=2)
        return np.where(same.any(axis=1), same.argmax(axis=1), len(self.patterns_))


def _missing(features: Features) -> BoolArray:
    return np.zeros((len(features), 1), dtype=bool) if features.missing is None else features.missing


def _mean(rows: FloatArray, prior: FloatArray) -> FloatArray:
    """Mean of the rows of a group, shrunk towards the overall mean."""
    mean: FloatArray = (rows.sum(axis=0) + PRIOR_ROWS * prior) / (len(rows) + PRIOR_ROWS)
    return mean
