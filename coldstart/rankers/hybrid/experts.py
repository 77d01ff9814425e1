"""The two experts on clicks: one for items with clicks, one that reads the text of items without.

The *collaborative* expert is a linear item-item model, EASE with a text prior (``PriorEASE``): its weights start from
what the texts of two items say. Where item-item weights would not fit in memory it is ALS with a text prior
(``PriorALS``). The *content* expert is kernel ridge regression on text. It predicts for item j, from its text, what the
items with clicks got from the user, the *targets*: 1 for a click, plus t times the score of EASE.

    content(u, j) = (x_u + t * EASE(x_u)) M k_j          M = (K + l2 I)^-1

=========  ===========================================================================================================
x_u        history of user u on the n_warm items with clicks, zeros and ones
EASE(x_u)  scores of plain EASE, without a text prior: they say which other items u would click, so that a new item is
           compared with more than the few items that u has clicked
t          ``cf_target_weight``, 5
K, k_j     kernel of the texts of items with clicks, (n_warm, n_warm), and between these and item j, (n_warm,)
=========  ===========================================================================================================

Both scores are linear in x_u. ``FittedExperts`` is the result of the regressions, exact and good for many users at a
time while ``fit`` compares settings. ``Experts`` is compiled from it: one matrix of weights for each expert, which
answers a request with one product and takes new items and clicks without fitting again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, IntArray, blocks
from coldstart._component import Component
from coldstart.errors import SavedFolderError
from coldstart.rankers._ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers._prior_als import PriorALS
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.kernel import KernelRidge, density, kernel, nearest, neighbour_weights
from coldstart.rankers.hybrid.scorers import BlockScorer, FactorScorer, LinearScorer, dense_scorer, weight_type

Model: TypeAlias = PriorEASE | PriorALS

TEXT_BLOCK = 2_048
"""Items whose weights by text are computed at once."""


@dataclass(frozen=True, repr=False)
class Collaborative(Component, saved=True):
    """The class of the collaborative expert and its settings; see ``HybridConfig``.

    Attributes
    ----------
    method : {"exact", "als"}
        ``PriorEASE`` or ``PriorALS``.
    l2, text_prior : float
        Ridge and weight of the text prior of ``PriorEASE``.
    unobserved : float
        Weight of unobserved pairs of ``PriorALS``.
    """

    method: Literal["exact", "als"] = "exact"
    l2: float = 100.0
    text_prior: float = 1.0
    unobserved: float = 20.0

    def fit(self, clicks: Csr, vectors: FloatArray, config: HybridConfig, before: Model | None = None) -> Model:
        """Fit on clicks (m, n), at least one on every item, and item vectors (n, dim).

        ``before`` is a fit on the same data with other settings: its inverse and its text prior are used again where
        they are the same, as they take nearly all of the time.
        """
        if self.method == "exact":
            same = before.ridge if isinstance(before, PriorEASE) and before.ridge.l2 == self.l2 else None
            text = before.text if isinstance(before, PriorEASE) else TextPrior.of(vectors, config.text_prior_l2)
            return PriorEASE.of(same or Ridge.of(clicks, self.l2), text, self.text_prior)
        unobserved = self.unobserved * clicks.nnz / (clicks.shape[0] * clicks.shape[1])
        return PriorALS.of(clicks, vectors, unobserved=unobserved, sweeps=config.sweeps)


@dataclass(frozen=True, eq=False)
class FittedExperts:
    """Both experts as their regressions leave them: exact scores, at a cost that many users must share.

    Attributes
    ----------
    warm, by_text : ndarray of shape (n_warm,) and (n_text,)
        Positions of the items with clicks, and of those that the content expert scores.
    model : PriorEASE or PriorALS
        The collaborative expert on the warm items.
    vectors, text_vectors : ndarray of shape (n_warm, dim) and (n_text, dim)
        Item vectors of the warm items, and of those that the content expert scores.
    density : ndarray of shape (n_text,)
        Mean cosine of each such item to its nearest warm items.
    neighbours : csr_array of shape (n_warm, n_text) or None
        Weights of the nearest warm items of each such item, where these are averaged.
    regression : KernelRidge or None
        The regression otherwise.
    config : HybridConfig
    """

    warm: IntArray
    by_text: IntArray
    model: Model
    vectors: FloatArray
    text_vectors: FloatArray
    density: FloatArray
    neighbours: Csr | None
    regression: KernelRidge | None
    config: HybridConfig

    @classmethod
    def fit(
        cls,
        clicks: Csr,
        vectors: FloatArray,
        by_text: IntArray,
        collaborative: Collaborative,
        config: HybridConfig,
        model: Model | None = None,
    ) -> "FittedExperts":
        """Fit on clicks (m, n) of zeros and ones, and item vectors (n, dim), rows of length one or zero.

        ``model`` is the collaborative expert, if it has been fitted already.
        """
        warm = np.unique(clicks.indices).astype(np.int64)
        warm_vectors = vectors[warm]
        model = model or collaborative.fit(csr_array(clicks[:, warm]), warm_vectors, config)
        text_vectors = vectors[by_text]
        near = nearest(warm_vectors, text_vectors)
        neighbours, regression = None, None
        if collaborative.method == "als" or len(warm) > config.most_kernel:
            averaged = neighbour_weights(*near, len(warm)).tolil()
            clicked = np.isin(by_text, warm)
            averaged[np.searchsorted(warm, by_text[clicked]), np.flatnonzero(clicked)] = 0.0  # not its own neighbour
            neighbours = csr_array(averaged, dtype=np.float32)
        else:
            regression = KernelRidge.of(warm_vectors, config.kernel_width, config.kernel_l2)
        return cls(warm, by_text, model, warm_vectors, text_vectors, density(near[1]), neighbours, regression, config)

    def scores(self, history: Csr) -> tuple[FloatArray, FloatArray]:
        """Return exact scores by clicks (m, n_warm) and by text (m, n_text) of histories (m, n)."""
        clicks = csr_array(history[:, self.warm])
        collaborative = self.model.scores(clicks)
        # EASE without the text prior costs nothing more. ALS without it would be another fit, so the prior stays.
        plain = self.model.plain.scores(clicks) if isinstance(self.model, PriorEASE) else collaborative
        targets = plain * np.float32(self.config.cf_target_weight)
        targets += clicks.toarray()
        by_text = np.empty((history.shape[0], len(self.by_text)), dtype=np.float32)
        for block, weights in self._text_weights():
            by_text[:, block] = targets @ weights
        return collaborative, by_text

    def compiled(self) -> "Experts":
        """Return both experts as linear scorers: one matrix of weights, or factors, for each."""
        n_warm, n_text = len(self.warm), len(self.by_text)
        if isinstance(self.model, PriorALS):
            # Targets x + t z F, with z the user factors of x, times sparse weights S: factors t F S beside weights S.
            factors, weight = self.model.items.T, np.float32(self.config.cf_target_weight)
            of_text, none = csr_array(self.neighbours), csr_array((n_warm, n_warm), dtype=np.float32)
            return self._experts(
                FactorScorer(self.model, np.ascontiguousarray(factors), none),
                FactorScorer(self.model, weight * (factors @ of_text), of_text),
                None,
                FactorFoldIn(),
            )
        columns = np.empty((n_warm, n_text), dtype=weight_type(n_warm, n_text))
        for block, weights in self._text_weights():
            columns[:, block] = self._history_weights(self.model, weights)
        item_weights = np.empty((n_warm, n_warm), dtype=np.float32)
        self.model.fill(item_weights)
        placing = None
        # To place later items takes a matrix (n_warm, n_warm), which is not worth its memory for large catalogues.
        if self.regression is not None and n_warm <= self.config.most_placed:
            placing = dense_scorer(self._history_weights(self.model, self.regression.inverse).T)
        return self._experts(dense_scorer(item_weights), BlockScorer((columns,)), placing, ItemFoldIn.of(self.model))

    def _text_weights(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the weights of the targets for the content expert, (n_warm, q), for each block of q items.

        Of all items at once they would be as large as what is made of them: gigabytes where few of many items have
        clicks.
        """
        for block in blocks(len(self.by_text), TEXT_BLOCK):
            if self.regression is None:
                yield block, cast(Csr, self.neighbours)[:, block].toarray()
                continue
            # A few-click item is both learned from and scored by its text. It is left out of its own prediction, or the
            # content expert would read the item's clicks and call it text.
            items, vectors = self.by_text[block], self.text_vectors[block]
            clicked = np.isin(items, self.warm)
            weights = np.empty((len(self.warm), len(items)), dtype=np.float32, order="F")
            weights[:, clicked] = self.regression.leave_one_out(np.searchsorted(self.warm, items[clicked]))
            weights[:, ~clicked] = self.regression.weights(vectors[~clicked])
            yield block, weights

    def _experts(
        self,
        collaborative: LinearScorer,
        content: LinearScorer,
        placing: BlockScorer | None,
        fold_in: "ItemFoldIn | FactorFoldIn",
    ) -> "Experts":
        scorers = (collaborative, content, self.density, placing, fold_in)
        return Experts(self.warm, self.by_text, *scorers, self.vectors, self.config)

    def _history_weights(self, model: PriorEASE, target_weights: FloatArray) -> FloatArray:
        """Return the weights of a history, (I + t B) W, from the weights W (n_warm, q) of the targets x + t x B.

        B are the item-item weights of plain EASE.
        """
        weights: FloatArray = np.float32(self.config.cf_target_weight) * model.plain_times(target_weights)
        weights += target_weights
        return weights


@dataclass(frozen=True, eq=False, repr=False)
class ItemFoldIn(Component, saved=True):
    """Folds an item into ``PriorEASE`` whose first clicks came after the fit: its column of item-item weights.

    The column solves the regression of the fit, with the item as one more target:

        b = P (X'x + r l2 C_new),    P = (X'X + l2 I)^-1

    =================  ================================================================================================
    x, X               clicks on the new item (m,), and of the same users on the n items of the fit (m, n)
    r, l2              weight of the text prior, and the ridge
    C_new              item-item weights that the texts suggest for the new item
    =================  ================================================================================================

    P would be another matrix (n, n) to keep. But the item-item weights are there, and are made from it,

        B = I + r l2 P C - P diag(d),    so that    P_j = (e_j + r l2 (PC)_j - B_j) / d_j

    and PC is a product of two matrices (n, dim), dim the width of the item vectors: B gives P back, column by column.

    Attributes
    ----------
    reached : ndarray of shape (n, dim)
        P F A^-1, with F the item vectors and A = F'F + l2_text I.
    prior : ndarray of shape (n, dim)
        Right factor of the prior: r l2 (PC)_j = reached @ prior_j, but for the diagonal of C, which is in the divisor.
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
        """Take the factors from a fitted model."""
        weight, text = model.prior * model.ridge.l2, model.text
        amplified = np.float32(weight) * text.scale
        return cls(
            model.reached, text.vectors * amplified[:, None], model.scale + amplified * text.leverage, float(weight)
        )

    def columns(self, scorer: Any, clicks: Csr, new: Csr, vectors: FloatArray) -> BlockScorer:
        """Return the columns of q items from their clicks.

        Parameters
        ----------
        scorer : BlockScorer
            B, with n columns.
        clicks, new : csr_array of shape (m, n) and (m, q)
            Clicks on the items of the fit, and on the q items, of the users who clicked one of these.
        vectors : ndarray of shape (q, dim)
            Item vectors of the q items.
        """
        # P is symmetric, so P X'x is computed as (X'x)' P from rows. X'x has few entries other than 0, and only the
        # rows of B that these meet are read, where columns would take all of B.
        right = csr_array((clicks.T @ new).T, dtype=np.float32)
        solved = right.toarray() + (right @ self.reached) @ self.prior.T
        solved -= scorer.scores(right)
        solved /= self.divisor
        solved += np.float32(self.weight) * (vectors @ self.reached.T)
        return BlockScorer((np.ascontiguousarray(solved.T, dtype=scorer.blocks[0].dtype),))


class FactorFoldIn(Component, saved=True):
    """Folds an item into ``PriorALS`` whose first clicks came after the fit: its factors."""

    def columns(self, scorer: Any, clicks: Csr, new: Csr, vectors: FloatArray) -> FactorScorer:
        """Return the factors of q items from their clicks; arguments as for ``ItemFoldIn``, with a ``FactorScorer``."""
        factors = scorer.als.fold_in_items(csr_array(new.T), scorer.als.fold_in(clicks), vectors).T
        return FactorScorer(scorer.als, factors, csr_array((clicks.shape[1], new.shape[1]), dtype=np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Experts(Component, saved=True):
    """Both experts as linear scorers, for a catalogue that changes.

    An item that is removed keeps its column, as cutting it out would copy all weights: its position becomes -1.

    Attributes
    ----------
    warm : ndarray of shape (n_warm,)
        Positions of the items with clicks at the fit; -1 for an item that has been removed since.
    by_text : ndarray of shape (n_text,)
        Positions of the items that the content expert scores, or -1.
    collaborative, content : LinearScorer
        From histories (m, n_warm) to the scores of the warm items, and to those by text.
    density : ndarray of shape (n_text,)
        Mean cosine of each item that is scored by its text to its nearest warm items.
    placing : BlockScorer or None
        From kernels (q, n_warm) between later items and the warm ones to their columns of ``content``; None where the
        columns of the nearest neighbours are averaged instead.
    fold_in : ItemFoldIn or FactorFoldIn
        Makes the columns of ``later``.
    vectors : ndarray of shape (n_warm, dim)
        Item vectors of the warm items.
    config : HybridConfig
    clicked : ndarray of shape (n_clicked,)
        Positions of the items whose first clicks came after the fit, or -1.
    later : LinearScorer or None
        From histories (m, n_warm) to the scores of these items by clicks; None while there are none.
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

    def check_loaded(self, n_items: int) -> None:
        """Raise ``SavedFolderError`` where positions or columns, read from a folder, do not fit so many items."""
        columns = {"warm": self.collaborative.n_columns, "by_text": self.content.n_columns}
        columns["clicked"] = 0 if self.later is None else self.later.n_columns
        for name, n_columns in columns.items():
            positions = getattr(self, name)
            inside = (
                positions.dtype.kind == "i" and positions.shape == (n_columns,) and n_items > positions.max(initial=-1)
            )
            if not inside or positions.min(initial=0) < -1:
                raise SavedFolderError(
                    f"`{name}` of the saved experts must be {n_columns:,} positions below {n_items:,}; "
                    f"got {positions.dtype} of shape {positions.shape}."
                )

    @property
    def by_clicks(self) -> IntArray:
        """Positions of the items that have a score by clicks, or -1, shape (n_warm + n_clicked,)."""
        return np.append(self.warm, self.clicked)

    def scores(self, history: Csr) -> tuple[FloatArray, FloatArray]:
        """Return scores by clicks (m, n_warm + n_clicked) and by text (m, n_text) of histories (m, n)."""
        clicks = self._warm_columns(history)
        by_clicks = self.collaborative.scores(clicks)
        if self.later is not None:
            by_clicks = np.hstack([by_clicks, self.later.scores(clicks)])
        return by_clicks, self.content.scores(clicks)

    def with_items(self, position: IntArray, new: IntArray, vectors: FloatArray) -> Self:
        """Return the experts of a changed catalogue.

        Parameters
        ----------
        position : ndarray of int64
            Where each item of the catalogue before is now, -1 for those that have been removed.
        new : ndarray of shape (q,)
            Positions of the items to score by their text: new ones, and those whose text has changed.
        vectors : ndarray of shape (q, dim)
            Their item vectors.
        """
        warm, by_text, clicked = (
            np.where(items >= 0, position[items], -1) for items in (self.warm, self.by_text, self.clicked)
        )
        moved = replace(self, warm=warm, by_text=by_text, clicked=clicked)
        if not len(new):
            return moved
        by_text = np.where(np.isin(by_text, new), -1, by_text)  # the column of the old text is given up
        near = nearest(self.vectors, vectors)
        if self.placing is not None:  # M (I + t B)', computed at the fit: a new column is one product with its kernels
            kernels = kernel(vectors, self.vectors, self.config.kernel_width)
            columns: LinearScorer = dense_scorer(self.placing.dense_scores(kernels).T)
        else:
            columns = self.collaborative.averaged(
                neighbour_weights(*near, len(self.vectors)), self.config.cf_target_weight
            )
        content, densities = self.content.with_columns(columns), np.append(self.density, density(near[1]))
        return replace(moved, by_text=np.append(by_text, new), content=content, density=densities)

    def with_first_clicks(self, items: IntArray, clicks: Csr, vectors: FloatArray) -> Self:
        """Return the experts with columns by clicks for items that had none at the fit.

        Parameters
        ----------
        items : ndarray of shape (q,)
            Positions of those whose clicks have changed.
        clicks : csr_array of shape (m, n)
            All clicks there are now; a weight above 1 counts as 1.
        vectors : ndarray of shape (q, dim)
            Their item vectors.
        """
        users = np.unique(clicks[:, items].nonzero()[0])  # all others add nothing to X'x
        theirs = csr_array(clicks[users].minimum(1.0))
        new = csr_array(theirs[:, items])
        columns: LinearScorer = self.fold_in.columns(self.collaborative, self._warm_columns(theirs), new, vectors)
        clicked = np.append(np.where(np.isin(self.clicked, items), -1, self.clicked), items)
        later = columns if self.later is None else self.later.with_columns(columns)
        return replace(self, clicked=clicked, later=later)

    def _warm_columns(self, history: Csr) -> Csr:
        """Return the columns of the warm items, (m, n_warm)."""
        columns = history[:, np.maximum(self.warm, 0)]
        # A removed item looks at column 0, which is another item's: its clicks are set to 0.
        removed = self.warm < 0
        return csr_array(columns.multiply(~removed) if removed.any() else columns, dtype=np.float32)
