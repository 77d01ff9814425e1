"""The two experts on clicks, fitted together: one for items with clicks, one for items without."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array, hstack

from coldstart._arrays import Csr, FloatArray, IntArray, blocks
from coldstart._component import Component
from coldstart.rankers.hybrid.als import PriorALS
from coldstart.rankers.hybrid.answers import Answers
from coldstart.rankers.hybrid.content import KernelRidge, nearest, neighbours
from coldstart.rankers.hybrid.ease import PriorEASE, Ridge, TextPrior, evened

TEXT_L2 = 10.0
"""Ridge of the text prior; flat from 3 to 30."""

MOST_EXACT = 20_000
"""Items with clicks up to which the kernel is inverted (1.6 GB); above, the nearest neighbours are averaged."""

MOST_PLACED = 5_000
"""Items with clicks up to which the content expert is kept whole for items that come later (100 MB)."""

Model: TypeAlias = PriorEASE | PriorALS


@dataclass(frozen=True)
class Content(Component):
    """How the content expert works.

    Attributes
    ----------
    width, l2 : float
        Of the kernel, see ``KernelRidge``.
    boost : float
        How much the scores of the collaborative expert, without its text prior, count beside the clicks as targets.
    """

    width: float = 2.0
    l2: float = 3.0
    boost: float = 5.0


@dataclass(frozen=True)
class Collaborative(Component):
    """How the collaborative expert works.

    Attributes
    ----------
    method : {"exact", "als"}
        ``PriorEASE`` or ``PriorALS``.
    l2, prior : float
        Of ``PriorEASE``: its ridge, and the weight of the text prior as a share of it.
    unobserved : float
        Of ``PriorALS``: weight of all pairs together, as a multiple of that of the clicks.
    sweeps : int
        Of ``PriorALS``.
    """

    method: str = "exact"
    l2: float = 100.0
    prior: float = 1.0
    unobserved: float = 20.0
    sweeps: int = 10

    def fitted(self, clicks: Csr, vectors: FloatArray, before: "Model | None" = None) -> "Model":
        """Fit on clicks (m, n), some on every item, and vectors (n, dim).

        What another fit on the same data has in common with this one is taken from ``before``.
        """
        if self.method == "exact":
            same = before.ridge if isinstance(before, PriorEASE) and before.ridge.l2 == self.l2 else None
            text = before.text if isinstance(before, PriorEASE) else TextPrior.of(vectors, TEXT_L2)
            return PriorEASE.of(same or Ridge.of(evened(clicks), self.l2), text, self.prior)
        unobserved = self.unobserved * clicks.nnz / (clicks.shape[0] * clicks.shape[1])
        return PriorALS.of(clicks, vectors, unobserved=unobserved, sweeps=self.sweeps)


@dataclass(frozen=True, eq=False)
class Raw:
    """Scores before anything is known of their scale.

    Attributes
    ----------
    warm, young : ndarray of shape (n_warm,) and (n_young,)
        Positions of the items with clicks, and of those that the content expert scores: without, or with few.
    model : PriorEASE or PriorALS
        The collaborative expert, of the warm items.
    weights : ndarray or csr_array of shape (n_warm, n_young)
        How much it counts for a young item that a warm one is liked.
    regression : KernelRidge or None
        Where the weights come from, of at most ``MOST_PLACED`` warm items.
    boost : float
    """

    warm: IntArray
    young: IntArray
    model: Model
    weights: FloatArray | Csr
    regression: KernelRidge | None
    boost: float

    @classmethod
    def of(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        collaborative: Collaborative,
        content: Content,
        most: float,
        model: Model | None = None,
    ) -> "Raw":
        """Fit on clicks (m, n), weights up to 1, and vectors (n, dim), rows of length one or zero.

        The content expert scores items with at most ``most`` clicks. ``model`` is the collaborative expert when it is
        there already.
        """
        counts = np.asarray(clicks.sum(axis=0))
        warm, young = np.flatnonzero(counts), np.flatnonzero(counts <= most)
        model = model or collaborative.fitted(csr_array(clicks[:, warm]), vectors[warm])
        exact = collaborative.method == "exact" and len(warm) <= MOST_EXACT
        weights, regression = _weights(vectors, warm, young, content, exact)
        return cls(warm, young, model, weights, regression if len(warm) <= MOST_PLACED else None, content.boost)

    def scores(self, rows: Csr) -> tuple[FloatArray, FloatArray]:
        """Return exact scores (m, n_warm) and (m, n_young) of histories (m, n_warm)."""
        collaborative = self.model.scores(rows)
        targets = self.model.plain.scores(rows) if isinstance(self.model, PriorEASE) else collaborative
        targets = targets * np.float32(self.boost) + rows.toarray()
        return collaborative, np.asarray(targets @ self.weights, dtype=np.float32)

    @property
    def reach(self) -> float:
        """How much a warm item counts for the young ones in sum."""
        return float(np.abs(self.weights.sum(axis=0)).mean()) if self.weights.shape[1] else 1.0

    def answers(self) -> Answers:
        """Return both as one function of the history, the warm items first."""
        n_warm, n_young = self.weights.shape
        if isinstance(self.model, PriorALS):
            items = self.model.items.T
            factors = np.hstack([items, np.float32(self.boost) * (items @ self.weights)])
            nothing = csr_array((n_warm, n_warm), dtype=np.float32)
            return Answers(csr_array(hstack([nothing, self.weights], format="csr")), self.model, factors)
        weights = np.empty((n_warm, n_warm + n_young), dtype=np.float32)
        self.model.fill(weights[:, :n_warm])
        own = self.weights if isinstance(self.weights, np.ndarray) else self.weights.toarray()
        for block in blocks(n_young, 2048):
            weights[:, n_warm:][:, block] = self._boosted(own[:, block])
        return Answers(weights)

    def placing(self) -> FloatArray | None:
        """Return what kernels (n_warm, q) with items that come later are multiplied by, to be columns of answers."""
        return None if self.regression is None else self._boosted(self.regression.inverse)

    def _boosted(self, weights: FloatArray) -> FloatArray:
        """The weights of likes (n_warm, q), from those of likes and boosted scores."""
        boosted: FloatArray = np.float32(self.boost) * self.model.plain_times(weights)  # type: ignore[union-attr]
        boosted += weights
        return boosted


def _weights(
    vectors: FloatArray, warm: IntArray, young: IntArray, content: Content, exact: bool
) -> tuple[FloatArray | Csr, KernelRidge | None]:
    known = np.isin(young, warm)
    own = np.searchsorted(warm, young[known])
    if not exact:
        near = neighbours(nearest(vectors[warm], vectors[young])).tolil()
        near[own, np.flatnonzero(known)] = 0.0  # its own clicks are not its text
        return csr_array(near), None
    regression = KernelRidge.of(vectors[warm], content.width, content.l2)
    weights = np.empty((len(warm), len(young)), dtype=np.float32)
    weights[:, known] = regression.leave_one_out(own)
    weights[:, ~known] = regression.weights(vectors[young[~known]])
    return weights, regression
