"""Data with a known answer: items of a few kinds, which their texts show, and users who each like one kind."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.rankers.cosine import CosineRanker


@dataclass
class World:
    """User u likes items of kind ``likes[u]``; the last items of every kind are cold."""

    features: Features
    clicks: csr_array
    kinds: np.ndarray
    likes: np.ndarray
    cold: np.ndarray

    @property
    def n_items(self):
        return len(self.kinds)

    @property
    def texts(self):
        """Item vectors, centred and of length one."""
        return CosineRanker().fit(self.features).item_vectors(self.features)

    def users(self, history=None, disliked=None, query=None, words=None):
        """Users with these rows, zeros for those that are not given; ``words`` are lexical rows of the queries."""
        given = [np.atleast_2d(rows) for rows in (history, disliked, query) if rows is not None]
        m, dim = len(given[0]), self.features.dense.shape[1]
        lists = (np.zeros((m, self.n_items)) if rows is None else np.atleast_2d(rows) for rows in (history, disliked))
        text = np.zeros((m, dim)) if query is None else np.atleast_2d(query)
        empty = np.zeros((m, dim), dtype=np.float32)
        queries = Features(text.astype(np.float32), words)
        return Users(*(csr_array(rows.astype(np.float32)) for rows in lists), queries, Features(empty))

    def only(self, *items):
        """A history of these items."""
        return np.isin(np.arange(self.n_items), items).astype(np.float32)

    def text_of(self, kind):
        return np.eye(self.features.dense.shape[1])[kind]


@pytest.fixture(scope="session")
def make_world():
    def make(n_kinds=3, per_kind=40, n_cold=6, n_users=90, inside=0.4, outside=0.03, noise=0.5, seed=0):
        rng = np.random.default_rng(seed)
        kinds, likes = np.repeat(np.arange(n_kinds), per_kind), np.arange(n_users) % n_kinds
        dense = np.eye(8)[kinds] + noise / np.sqrt(8) * rng.standard_normal((len(kinds), 8))
        cold = np.arange(len(kinds)) % per_kind >= per_kind - n_cold
        clicked = rng.random((n_users, len(kinds))) < np.where(likes[:, None] == kinds, inside, outside)
        clicks = csr_array((clicked & ~cold).astype(np.float32))
        return World(Features(dense.astype(np.float32)), clicks, kinds, likes, cold)

    return make


@pytest.fixture(scope="session")
def make_halves():
    """Every kind has two halves with the same texts, and users like one half of one kind: clicks say more."""

    def make(n_users=120, n_kinds=4, per_kind=30, n_cold=10, noise=0.4, seed=1):
        rng = np.random.default_rng(seed)
        kinds, likes = np.repeat(np.arange(n_kinds), per_kind), np.arange(n_users) % n_kinds
        mine = np.equal.outer(np.arange(n_users) // n_kinds % 2, np.arange(len(kinds)) % 2)
        dense = np.eye(8)[kinds] + noise / np.sqrt(8) * rng.standard_normal((len(kinds), 8))
        cold = np.arange(len(kinds)) % per_kind >= per_kind - n_cold
        chance = np.where(likes[:, None] == kinds, np.where(mine, 0.7, 0.1), 0.02)
        clicked = (rng.random(chance.shape) < chance) & ~cold
        return World(Features(dense.astype(np.float32)), csr_array(clicked.astype(np.float32)), kinds, likes, cold)

    return make
