"""The two experts on clicks: one for items that have some, one that reads the texts of items that have none.

The *collaborative* expert is EASE whose item-item weights start from what texts say (``PriorEASE``), or factors of
alternating least squares where items are too many for a matrix. The *content* expert is kernel ridge regression: an
item without clicks gets the clicks, and the scores of plain EASE, of the items whose texts are like its own.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import AnyArray, Csr, FloatArray, IntArray, blocks
from coldstart._component import Component
from coldstart.rankers._ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers._prior_als import PriorALS
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.kernel import KernelRidge, density, kernel, nearest, neighbour_weights
from coldstart.rankers.hybrid.scorers import BlockScorer, FactorScorer, LinearScorer, dense_scorer

Model: TypeAlias = PriorEASE | PriorALS


@dataclass(frozen=True, repr=False)
class Collaborative(Component, saved=True):
    """Which collaborative expert, and its settings; see ``HybridConfig``.

    Attributes
    ----------
    method : {"exact", "als"}
    l2, text_prior : float
        Of ``PriorEASE``.
    unobserved : float
        Of ``PriorALS``.
    """

    method: Literal["exact", "als"] = "exact"
    l2: float = 100.0
    text_prior: float = 1.0
    unobserved: float = 20.0

    def fit(self, clicks: Csr, vectors: FloatArray, config: HybridConfig, before: Model | None = None) -> Model:
        """Fit on clicks (m, n), some on every item, and vectors (n, dim).

        ``before`` is another fit on the same data: what both have in common is taken from it.
        """
        if self.method == "exact":
            same = before.ridge if isinstance(before, PriorEASE) and before.ridge.l2 == self.l2 else None
            text = before.text if isinstance(before, PriorEASE) else TextPrior.of(vectors, config.text_prior_l2)
            return PriorEASE.of(same or Ridge.of(clicks, self.l2), text, self.text_prior)
        unobserved = self.unobserved * clicks.nnz / (clicks.shape[0] * clicks.shape[1])
        return PriorALS.of(clicks, vectors, unobserved=unobserved, sweeps=config.sweeps)


@dataclass(frozen=True, eq=False)
class FittedExperts:
    """Both experts as their regressions leave them: right for a thousand histories, slow for one.

    Attributes
    ----------
    warm, by_text : ndarray of shape (n_warm,) and (n_text,)
        Positions of the items with clicks, and of those that the content expert scores.
    model : PriorEASE or PriorALS
        Of the warm items.
    vectors : ndarray of shape (n_warm, dim)
        Of the warm items.
    weights : ndarray or csr_array of shape (n_warm, n_text)
        How much the targets of each warm item count for one that is scored by its text.
    density : ndarray of shape (n_text,)
        How near the warm items are that are nearest to one that is scored by its text.
    regression : KernelRidge or None
        Where the weights come from; None where neighbours are averaged, or later items will be.
    config : HybridConfig
    """

    warm: IntArray
    by_text: IntArray
    model: Model
    vectors: FloatArray
    weights: AnyArray | Csr
    density: FloatArray
    regression: KernelRidge | None
    config: HybridConfig

    @classmethod
    def of(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        by_text: IntArray,
        collaborative: Collaborative,
        config: HybridConfig,
        model: Model | None = None,
    ) -> "FittedExperts":
        """Fit on clicks (m, n) of zeros and ones, and vectors (n, dim), rows of length one or zero.

        ``model`` is the collaborative expert where it is there already.
        """
        warm = np.unique(clicks.indices).astype(np.int64)
        model = model or collaborative.fit(csr_array(clicks[:, warm]), vectors[warm], config)
        clicked = np.isin(by_text, warm)
        own, of_warm = np.searchsorted(warm, by_text[clicked]), vectors[warm]
        near = nearest(of_warm, vectors[by_text])
        crowd = density(near[1])
        if collaborative.method == "als" or len(warm) > config.most_kernel:
            averaged = neighbour_weights(*near, len(warm)).tolil()
            averaged[own, np.flatnonzero(clicked)] = 0.0  # its own clicks are not its text
            return cls(warm, by_text, model, of_warm, csr_array(averaged), crowd, None, config)
        regression = KernelRidge.of(of_warm, config.kernel_width, config.kernel_l2)
        weights = np.empty((len(warm), len(by_text)), dtype=np.float32, order="F")
        weights[:, clicked] = regression.leave_one_out(own)
        weights[:, ~clicked] = regression.weights(vectors[by_text[~clicked]])
        kept = regression if len(warm) <= config.most_placed else None  # as large as the weights to come
        return cls(warm, by_text, model, of_warm, weights, crowd, kept, config)

    def scores(self, history: Csr) -> tuple[FloatArray, FloatArray]:
        """Return exact scores (m, n_warm) and (m, n_text) of histories (m, n)."""
        liked = csr_array(history[:, self.warm])
        collaborative = self.model.scores(liked)
        plain = self.model.plain.scores(liked) if isinstance(self.model, PriorEASE) else collaborative
        targets = plain * np.float32(self.config.cf_target_weight)
        targets += liked.toarray()
        return collaborative, np.asarray(targets @ self.weights, dtype=np.float32)

    def compiled(self) -> "Experts":
        """Return both as linear maps from a history to scores."""
        n_warm, n_text = self.weights.shape
        if isinstance(self.model, PriorALS):
            items, boost = self.model.items.T, np.float32(self.config.cf_target_weight)
            likes = csr_array((n_warm, n_warm), dtype=np.float32)
            of_text = csr_array(self.weights, dtype=np.float32)
            content: LinearScorer = FactorScorer(self.model, boost * (items @ of_text), of_text)
            collaborative: LinearScorer = FactorScorer(self.model, np.ascontiguousarray(items), likes)
            return self._with(collaborative, content, None, FactorFoldIn())
        weights = np.empty((n_warm, n_warm), dtype=np.float32)
        self.model.fill(weights)
        columns = np.empty((n_warm, n_text), dtype=np.float32)
        own = self.weights if isinstance(self.weights, np.ndarray) else self.weights.toarray()
        for block in blocks(n_text, 2048):
            columns[:, block] = self._boosted(self.model, own[:, block])
        collaborative = dense_scorer(weights)
        placing = None
        if self.regression is not None:
            placing = dense_scorer(self._boosted(self.model, self.regression.inverse).T)
        fold_in = ItemFoldIn.of(self.model)
        content = dense_scorer(columns)
        return self._with(collaborative, content, placing, fold_in)

    def _with(
        self,
        collaborative: LinearScorer,
        content: LinearScorer,
        placing: BlockScorer | None,
        fold_in: "ItemFoldIn | FactorFoldIn",
    ) -> "Experts":
        items = (self.warm, self.by_text, collaborative, content, self.density)
        return Experts(*items, placing, fold_in, self.vectors, self.config)

    def _boosted(self, model: PriorEASE, weights: FloatArray) -> FloatArray:
        """The weights of likes (n_warm, q), from those of likes and of the scores of plain EASE."""
        boosted: FloatArray = np.float32(self.config.cf_target_weight) * model.plain_times(weights)
        boosted += weights
        return boosted


@dataclass(frozen=True, eq=False, repr=False)
class ItemFoldIn(Component, saved=True):
    """The column that ``PriorEASE`` would have for an item whose first clicks came after the fit.

    b = P (X'x + r l2 C_new), P = (X'X + l2 I)^-1. P is not kept: B = I + r l2 P C - P diag(d) is, and gives each column
    of P back, P_j = (e_j + r l2 (PC)_j - B_j) / d_j, where PC has the rank of the texts.

    Attributes
    ----------
    reached : ndarray of shape (n, dim)
        P F A^-1, F the texts and A their regularised Gram matrix.
    prior : ndarray of shape (n, dim)
        Rows of the prior's right factor, so that r l2 (PC)_j = reached @ prior_j but for the diagonal of C.
    divisor : ndarray of shape (n,)
        d with that diagonal in it.
    weight : float
        r l2.
    """

    reached: FloatArray
    prior: FloatArray
    divisor: FloatArray
    weight: float

    @classmethod
    def of(cls, model: PriorEASE) -> "ItemFoldIn":
        """Take the factors from the fit."""
        weight, text = model.prior * model.ridge.l2, model.text
        amplified = np.float32(weight) * text.scale
        return cls(
            model.reached, text.vectors * amplified[:, None], model.scale + amplified * text.leverage, float(weight)
        )

    def columns(self, scorer: Any, clicks: Csr, new: Csr, vectors: FloatArray) -> BlockScorer:
        """Return columns of q items from their clicks.

        Parameters
        ----------
        scorer : BlockScorer
            B, of n columns.
        clicks, new : csr_array of shape (m, n) and (m, q)
            Of the users who clicked one of the items: on the items of the fit, and on these.
        vectors : ndarray of shape (q, dim)
        """
        right = csr_array((clicks.T @ new).T, dtype=np.float32)
        # P is symmetric: its product with X'x is read from the rows of B that the clicks are on, not from columns.
        solved = right.toarray() + (right @ self.reached) @ self.prior.T
        solved -= scorer.scores(right)
        solved /= self.divisor
        solved += np.float32(self.weight) * (vectors @ self.reached.T)
        return BlockScorer((np.ascontiguousarray(solved.T, dtype=scorer.blocks[0].dtype),))


class FactorFoldIn(Component, saved=True):
    """The factors that ``PriorALS`` would have for an item whose first clicks came after the fit."""

    def columns(self, scorer: Any, clicks: Csr, new: Csr, vectors: FloatArray) -> FactorScorer:
        """Return columns of q items from their clicks; arguments as of ``ItemFoldIn``, the scorer of factors."""
        factors = scorer.als.fold_in_items(csr_array(new.T), scorer.als.fold_in(clicks), vectors).T
        return FactorScorer(scorer.als, factors, csr_array((clicks.shape[1], new.shape[1]), dtype=np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Experts(Component, saved=True):
    """Both experts as linear maps of a history, for a catalogue that changes.

    Attributes
    ----------
    warm : ndarray of shape (n_warm,)
        Positions of the items with clicks at the fit; -1 for one that was taken out of the catalogue since.
    by_text : ndarray of shape (n_text,)
        Positions of the items that the content expert scores; -1 likewise.
    collaborative, content : LinearScorer
        From histories (m, n_warm) to the scores of the warm items and of the others.
    density : ndarray of shape (n_text,)
        How near the warm items are that are nearest to one that is scored by its text.
    placing : BlockScorer or None
        From the kernels (q, n_warm) of later items with the warm ones to their columns of ``content``; where there are
        too many, the columns of their nearest neighbours are averaged.
    fold_in : ItemFoldIn or FactorFoldIn
        Makes columns of ``later``.
    vectors : ndarray of shape (n_warm, dim)
        Of the warm items.
    config : HybridConfig
    clicked : ndarray of shape (n_clicked,)
        Positions of the items whose first clicks came after the fit; -1 likewise.
    later : LinearScorer or None
        Of those, from their clicks; None while there are none.
    """

    warm: IntArray
    by_text: IntArray
    collaborative: LinearScorer
    content: LinearScorer
    density: FloatArray
    placing: BlockScorer | None
    fold_in: ItemFoldIn | FactorFoldIn
    vectors: FloatArray
    config: HybridConfig
    clicked: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    later: LinearScorer | None = None

    @property
    def with_clicks(self) -> IntArray:
        """Positions of the items that ``scores`` gives a score by clicks."""
        return np.append(self.warm, self.clicked)

    def scores(self, history: Csr) -> tuple[FloatArray, FloatArray]:
        """Return scores by clicks (m, n_warm + n_clicked) and by text (m, n_text) of histories (m, n)."""
        liked = self._liked(history)
        by_clicks = self.collaborative.scores(liked)
        if self.later is not None:
            by_clicks = np.hstack([by_clicks, self.later.scores(liked)])
        return by_clicks, self.content.scores(liked)

    def moved(self, place: IntArray, new: IntArray, vectors: FloatArray) -> Self:
        """Return the experts of a changed catalogue.

        Parameters
        ----------
        place : ndarray of int64
            Where each item is now, -1 where it is gone.
        new : ndarray of shape (q,)
            Positions of the items to be placed by their text: those that are new, and those whose text was changed.
        vectors : ndarray of shape (q, dim)
            Of these.
        """
        warm, by_text, clicked = (
            np.where(items >= 0, place[items], -1) for items in (self.warm, self.by_text, self.clicked)
        )
        moved = replace(self, warm=warm, by_text=by_text, clicked=clicked)
        if not len(new):
            return moved
        by_text = np.where(np.isin(by_text, new), -1, by_text)
        near = nearest(self.vectors, vectors)
        content = self.content.with_columns(self._placed(vectors, near))
        crowd = np.append(self.density, density(near[1]))
        return replace(moved, by_text=np.append(by_text, new), content=content, density=crowd)

    def folding_in(self, items: IntArray, clicks: Csr, vectors: FloatArray) -> Self:
        """Return the experts with the clicks on items that had none at the fit.

        Parameters
        ----------
        items : ndarray of shape (q,)
            Positions of those whose clicks have changed.
        clicks : csr_array of shape (m, n)
            All there are.
        vectors : ndarray of shape (q, dim)
        """
        rows = np.unique(clicks[:, items].nonzero()[0])
        theirs = csr_array(clicks[rows].minimum(1.0))
        liked, new = self._liked(theirs), csr_array(theirs[:, items])
        columns: LinearScorer = self.fold_in.columns(self.collaborative, liked, new, vectors)
        clicked = np.append(np.where(np.isin(self.clicked, items), -1, self.clicked), items)
        later = columns if self.later is None else self.later.with_columns(columns)
        return replace(self, clicked=clicked, later=later)

    def _liked(self, history: Csr) -> Csr:
        """The columns of the warm items, of zeros where one was taken out."""
        liked = history[:, np.maximum(self.warm, 0)]
        gone = self.warm < 0
        return csr_array(liked.multiply(~gone) if gone.any() else liked, dtype=np.float32)

    def _placed(self, vectors: FloatArray, near: tuple[IntArray, FloatArray]) -> LinearScorer:
        """The columns of later items: from the kernel, or the mean of their neighbours' likes and boosted scores."""
        if self.placing is not None:
            return dense_scorer(self.placing.times(kernel(vectors, self.vectors, self.config.kernel_width)).T)
        return self.collaborative.averaged(neighbour_weights(*near, len(self.vectors)), self.config.cf_target_weight)
