"""The default ranker: one score from words, meaning and clicks, for any number of clicks from none on.

Where to read on, in the order of the method:

==================  ==================================================================================================
``prior``           what is believed before clicks say which items go together: taste and base rate
``experts``         the collaborative expert and the content expert; ``kernel`` and ``scorers`` are their tools
``calibration``     puts scores by text and by clicks on one scale
``blend``           adds up prior and experts: the log-odds of a click, for users with a history
``reader``          scores items for requests with a query or a profile, where the log-odds of the blend are one term
``tuning``          chooses the settings on a fold; ``config`` holds every number
``item_space``      item vectors
==================  ==================================================================================================
"""

import copy
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart._progress import progress_bar
from coldstart.base import BaseRanker, Contributions, Features, Users
from coldstart.data.holdout import cut
from coldstart.errors import ColdstartWarning, InvalidInputError
from coldstart.rankers.hybrid.blend import Blend, text_weights
from coldstart.rankers.hybrid.config import PRIOR_ALONE, HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts
from coldstart.rankers.hybrid.item_space import CatalogItems, ItemSpace, Placed
from coldstart.rankers.hybrid.prior import TastePrior, mean_clicks
from coldstart.rankers.hybrid.reader import SOURCES, ScoreTerms, has_text, log_popularity
from coldstart.rankers.hybrid.scorers import weight_type
from coldstart.rankers.hybrid.tuning import Report, auto_cold_share, cold_offset, tune

log = logging.getLogger("coldstart")

WARN_LOSS = 0.05
"""Share of the first 20 places that a bound takes from old stock without clicks, from which on ``fit`` warns."""


class HybridRanker(BaseRanker, saved=True):
    """Rank by text where there is only text, and by clicks where there are clicks.

    A user with a history gets log-odds of a click, the logarithm of a sum of odds (``Blend``):

    * The *prior* says how like the user's taste an item is, and how often it is clicked by anybody (``TastePrior``).
    * The *collaborative* expert, EASE whose item-item weights start from what texts say (``PriorEASE``), scores items
      with clicks.
    * The *content* expert, kernel ridge regression on text, scores new items: they get the clicks and the EASE scores
      of items with a similar text. A conditional logit puts its scores on the scale of the others.

    Below 1,000 clicks of other users the prior ranks alone; with more of them the experts count for more.

    A request with a query or a profile gets a sum of evidence: how well an item matches its meaning and its words, how
    like the best answers it is, the log-odds given the history if there is one, and popularity (``ScoreTerms``).

    ``Features.exposure`` tells new items from old stock. An item that has just arrived is expected to get the clicks
    that its text promises; one that was there from the start and has no clicks is expected to get few. Without it,
    items without clicks count as old stock.

    Parameters
    ----------
    novelty : float
        Log-odds added to items without clicks, from -20 to 20: above 0 new items are shown more.
    popularity : float
        How much popular items are favoured where little is known of the user, from 0, not at all, to 1, which does best
        by NDCG. Below 1 the lists of different users are less alike.
    cold_share : "auto", float or None
        Bound, from 0 to 1, on the share of the first 20 places that the content expert may fill with old stock without
        clicks, in the mean over known users. By default min(share of such items in the catalogue, max(0.2, their share
        of the next clicks as Good and Turing estimate it)). None sets no bound. There is none either while the prior
        ranks alone.
    method : {"auto", "exact", "als"}
        The collaborative expert: ``PriorEASE``, solved exactly, or ``PriorALS``, for any size. By default exact if
        users or items with clicks are at most 20,000, and the weights of the experts fit in 1.2 GB.
    config : HybridConfig, optional
        Every other number of the method.
    rng : int, SeedSequence, Generator or None
        Draws the items, clicks and users that are hidden while the settings are chosen.

    Attributes
    ----------
    blend_ : Blend
        What was learned: prior, experts and calibration.
    report_ : dict
        NDCG@20 of each value that was tried, on held-out clicks; how many items have no clicks, and what was assumed of
        them; seconds of each stage.
    space_ : ItemSpace
        Turns features into item vectors.

    See Also
    --------
    EASERanker, ALSRanker : The collaborative experts alone, without text.

    Notes
    -----
    EASE: Steck (2019). The exact form inverts a matrix with a row for each user or each item with clicks, whichever are
    fewer, factors the kernel of the items with clicks, and keeps a weight from each of these to every item. With
    ``PriorALS``, or above 20,000 items with clicks, the content expert averages the 50 nearest items instead.

    ``fit`` hides some items, clicks and users from the experts, and compares. Where the experts are no better than the
    prior, the prior is kept alone. Clicks that come later (``refreshed``) count at once for their users, and for items
    that had none; what was learned of other items stays until the next fit.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
    >>> rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(tiny_catalog(), tiny_clicks())
    >>> rec.recommend(user="u0", k=1).item_ids
    [['s0']]
    """

    reads_words = True
    scores_in_threads = True
    draws = True
    retired = frozenset({"few", "rate", "l2", "prior", "kernel_width", "kernel_l2", "boost", "words"})

    blend_: Blend
    report_: Report
    space_: ItemSpace
    _items: CatalogItems | None = None

    def __init__(
        self,
        novelty: float = 0.0,
        popularity: float = 1.0,
        cold_share: float | Literal["auto"] | None = "auto",
        method: Literal["auto", "exact", "als"] = "auto",
        config: HybridConfig | None = None,
        rng: Rng = 0,
    ) -> None:
        self.novelty = novelty
        self.popularity = popularity
        self.cold_share = cold_share
        self.method = method
        self.config = config
        self.rng = rng

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features (n) and, if there are any, clicks (m, n); a weight above 1 counts as 1.

        In a terminal or a notebook a bar shows the stages; ``TQDM_DISABLE=1`` in the environment hides it.

        Raises
        ------
        InvalidInputError
            When a parameter is out of range, or users and items are too many for ``method="exact"``.
        """
        self._check_params()
        config = self.config or HybridConfig()
        clicks = csr_array((0, len(features)), dtype=np.float32) if clicks is None else _capped(clicks)
        # Tuning replaces the weight of the words; with too few clicks to choose by, it is the last one of the grid.
        self.space_, self.report_ = ItemSpace(config.lexical_weight[-1]).fit(features), {}
        self._items = CatalogItems(self.space_, features)
        if clicks.nnz >= config.fewest_clicks:
            with progress_bar(total=3, what="HybridRanker", unit="stage") as bar:
                self.blend_ = self._fit_blend(features, clicks, config, bar)
            return self
        # With fewer clicks a fold is too small to tell values apart, so the prior ranks alone.
        prior = TastePrior(config.taste, config.taste_half)
        if clicks.nnz:
            tastes = self._items.placed.tastes
            prior = TastePrior.learn(clicks, tastes, features.exposure, config, generator(self.rng))
        self.blend_ = Blend(prior, _counts(clicks), features.exposure, config=config)
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return log-odds of a click, up to a number that all items of a user share, shape (m, n).

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        items, users, with_text = self._items_of(features), _with_capped_history(users), has_text(users)
        if not with_text.any():
            return self._score_history(users, items)
        scores = np.empty((len(users), len(features)), dtype=np.float32)
        scores[with_text] = self._score_text(users[with_text], items).total
        scores[~with_text] = self._score_history(users[~with_text], items)
        return scores

    def contributions(self, users: Users, features: Features) -> Contributions:
        """Return the shares of words, meaning, clicks and popularity in the scores, (4, m, n)."""
        items, users, with_text = self._items_of(features), _with_capped_history(users), has_text(users)
        shares = np.zeros((len(SOURCES), len(users), len(features)), dtype=np.float32)
        shares[1:] = self.blend_.shares(users.history, items.placed.tastes, self.popularity)
        if with_text.any():
            shares[:, with_text] = self._score_text(users[with_text], items).shares()
        return Contributions(SOURCES, shares)

    def answers(self, users: Users, features: Features) -> BoolArray:
        """Mark the users whose text some item answers, or who have none, shape (m,)."""
        return self._items_of(features).query_scorer.answerable(users)

    def by_likeness(self) -> Self:
        """Return a copy that ignores popularity: ranks what is like an item, not what most people like anyway."""
        copied = copy.copy(self)
        copied.popularity = 0.0
        return copied

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        New items are scored by their text. Clicks that came after ``fit`` count for their users, and for the items that
        had none.
        """
        self.check_fitted("blend_")
        fresh = copy.copy(self)
        if self._items is None:  # loaded, but not ``restored``: any text may have changed
            fresh._items, edited = CatalogItems(self.space_, features), np.arange(len(features))
        else:
            fresh._items, edited = self._items.refreshed(features, origin)

        # The experts need vectors of new items now; those for requests are computed when a request comes.
        def place(rows: IntArray) -> FloatArray:
            return self.space_.item_vectors(features[rows])

        fresh.blend_ = self.blend_.refreshed(features.exposure, clicks, origin, place, edited)
        return fresh

    def check_loaded(self, n_items: int) -> None:
        """Compare the number of items, and the positions that the experts keep.

        Raises
        ------
        SavedFolderError
            When they are not of this catalogue.
        """
        if "blend_" in vars(self):  # not where it is fitted anew: the folder of an earlier version
            self.blend_.check_loaded(n_items)

    def compacted(self) -> Self:
        """Return a copy without the weights of the experts, which ``restored`` fits again with the same settings."""
        small = copy.copy(self)
        small.blend_ = replace(self.blend_, experts=None)
        return small

    def restored(self, features: Features, clicks: Csr) -> Self:
        """Return a copy of a loaded ranker, with experts fitted on all clicks (m, n) if ``compacted`` left them out."""
        whole, blend = copy.copy(self), self.blend_
        whole._items = CatalogItems(self.space_, features)
        if blend.collaborative is None or blend.experts is not None:
            return whole
        clicks = _capped(clicks)
        blend = replace(blend, counts=_counts(clicks), exposure=features.exposure)
        with _stage("experts", clicks, {}):
            whole.blend_ = _with_experts(blend, clicks, whole._items.placed.vectors)
        return whole

    def _fit_blend(self, features: Features, clicks: Csr, config: HybridConfig, bar: Any) -> Blend:
        """Choose the settings on a fold, then fit the experts on all clicks (m, n)."""
        start, seconds = self._first_collaborative(clicks, config), self.report_.setdefault("seconds", {})
        fold, tastes, exposure = cut(clicks, generator(self.rng)), self.space_.tastes(features), features.exposure
        weights = config.lexical_weight if self.space_.reads_words else config.lexical_weight[-1:]
        vectors = {weight: self.space_.with_words(weight).item_vectors(features) for weight in weights}
        with _stage("tuning", clicks, seconds, bar):
            tuned, report = tune(fold, vectors, tastes, exposure, start, config, generator(self.rng))
        self.report_ |= report
        self.space_ = self.space_.with_words(tuned.lexical_weight)
        self._items = CatalogItems(self.space_, features)
        self._items.placed = Placed(vectors[tuned.lexical_weight], tastes)  # not to be computed again by a request
        counts = _counts(clicks)
        # With exposures known, nothing is maybe new.
        maybe_new = config.maybe_new if exposure is None else 0.0
        blend = Blend(tuned.prior, counts, exposure, None, None, tuned.calibration, maybe_new, config=config)
        if tuned.prior.strength < PRIOR_ALONE:
            with _stage("experts", clicks, seconds, bar):
                blend = replace(blend, collaborative=tuned.collaborative, mean_clicks=mean_clicks(counts, exposure))
                blend = _with_experts(blend, clicks, self._items.placed.vectors)
            with _stage("old stock", clicks, seconds, bar):
                blend = self._with_cold_offset(blend, clicks, tastes)
        return blend

    def _with_cold_offset(self, blend: Blend, clicks: Csr, tastes: FloatArray) -> Blend:
        """Bound the share of old stock without clicks in lists, and report what was assumed of it.

        The regression on text is learned from items that people clicked. It knows nothing of the reasons for which
        nobody clicked the others, so it promises them too much.
        """
        old = blend.is_old_stock
        if not old.any():
            return blend
        share = self.cold_share
        if share == "auto":
            share = auto_cold_share(blend.counts, old, blend.config.cold_share)
        offset, before, after = cold_offset(blend, clicks, tastes, 1.0 if share is None else share)
        line = f"{int(old.sum()):,} of {len(old):,} items have no clicks, and nothing says that they are new"
        self.report_["old stock"] = (
            f"{line}: they were taken for old stock, which takes {after:.0%} of the first 20 places of known users."
        )
        if before - after >= WARN_LOSS:
            warnings.warn(
                f"{line}; by their texts they would take {before:.0%} of the first 20 places of known users, and take "
                f"{after:.0%}. Say which items are new: Recommender.fit(..., new=ids), Catalog.from_frame(..., "
                "added=column), or add_items; or pass HybridRanker(cold_share=...).",
                ColdstartWarning,
                stacklevel=2,
            )
        return replace(blend, cold_offset=offset)

    def _first_collaborative(self, clicks: Csr, config: HybridConfig) -> Collaborative:
        """Return the collaborative expert that the size of the data allows, with the settings that tuning starts from.

        Raises
        ------
        InvalidInputError
            When ``method="exact"`` would not fit in memory.
        """
        n_warm = len(np.unique(clicks.indices))
        side, n_weights = min(clicks.shape[0], n_warm), n_warm * clicks.shape[1]
        # EASE inverts the smaller one of two matrices, users by users or items by items.
        fits = side <= config.most_side and n_weights <= config.most_weights
        if self.method == "exact" and not fits:
            peak = _peak_gigabytes(side, n_warm, clicks.shape[1])
            raise InvalidInputError(
                f'`method` "exact" would take about {peak:.1f} GB of memory, and inverts '
                f'{side:,} x {side:,} numbers of at most {config.most_side:,}. Use "als" or "auto".'
            )
        return Collaborative("exact" if self.method == "exact" or (fits and self.method == "auto") else "als")

    def _items_of(self, features: Features) -> CatalogItems:
        """Return the items with their vectors, which are computed once for each catalogue.

        Raises
        ------
        InvalidInputError
            When these are not as many items as were fitted.
        """
        self.check_fitted("blend_")
        if len(features) != len(self.blend_.counts):
            raise InvalidInputError(
                f"`features` must be of the {len(self.blend_.counts):,} items that were fitted; "
                f"got {len(features):,}. Call refreshed."
            )
        items = self._items
        if items is None or items.features is not features:
            self._items = items = CatalogItems(self.space_, features)
        return items

    def _score_history(self, users: Users, items: CatalogItems) -> FloatArray:
        """Return the log-odds of users without a text, less what they lose by dislikes, (m, n)."""
        odds = self.blend_.log_odds(users.history, items.placed.tastes, self.popularity, self.novelty)
        return odds - items.query_scorer.penalty(users.disliked) if users.disliked.nnz else odds

    def _score_text(self, users: Users, items: CatalogItems) -> ScoreTerms:
        """Return the evidence of users with a text: texts, likes, dislikes, and the clicks of others, (m, n) each."""
        scorer, blend = items.query_scorer, self.blend_
        texts = scorer.score(users)
        answers = texts.words + texts.meaning
        collaborative, popularity = np.zeros((2, *answers.shape), dtype=np.float32)
        if blend.counts.any():
            unclicked = blend.counts == 0
            log_clicks = log_popularity(blend.counts, float(blend.counts[~unclicked].mean()), blend.exposure)
            popularity += np.float32(self.popularity) * log_clicks + np.float32(self.novelty) * unclicked
            # Without the novelty, which is in the popularity already and must not count twice.
            has_history = np.diff(users.history.indptr) > 0
            if has_history.any():
                history = csr_array(users.history[has_history])
                collaborative[has_history] = blend.log_odds(history, items.placed.tastes, self.popularity)
        against = texts.avoided + (scorer.penalty(users.disliked) if users.disliked.nnz else np.float32(0.0))
        # Candidates for feedback are chosen by everything that is known; what they are compared with by the text alone,
        # or popular items would pull the list towards themselves.
        feedback = scorer.feedback(answers, answers + collaborative + popularity - against)
        return ScoreTerms(texts.words, texts.meaning + feedback, collaborative, popularity, against)

    def _check_params(self) -> None:
        check_between("novelty", self.novelty, -20.0, 20.0)
        check_between("popularity", self.popularity, 0.0, 1.0)
        if isinstance(self.cold_share, str) and self.cold_share != "auto":
            raise InvalidInputError(
                f'`cold_share` must be "auto", a number from 0 to 1, or None; got {self.cold_share!r}.'
            )
        if self.cold_share is not None and self.cold_share != "auto":
            check_between("cold_share", self.cold_share, 0.0, 1.0)
        if self.method not in ("auto", "exact", "als"):
            raise InvalidInputError(f'`method` must be "auto", "exact" or "als"; got {self.method!r}.')
        if self.config is not None and not isinstance(self.config, HybridConfig):
            raise InvalidInputError(f"`config` must be a HybridConfig or None; got {self.config!r}.")
        (self.config or HybridConfig()).check()


def _peak_gigabytes(side: int, n_warm: int, n_items: int) -> float:
    """Estimate the peak memory of an exact fit.

    EASE holds its inverse, (side, side), and half a copy while it inverts. Beside it are the factor of the kernel and
    the item-item weights, (n_warm, n_warm), with half a copy of the products, and the weights by text of all items.
    """
    by_text = n_warm * n_items * np.dtype(weight_type(n_warm, n_items)).itemsize
    return 1e-9 * (4 * (1.5 * side**2 + 2.5 * n_warm**2) + by_text)


@contextmanager
def _stage(name: str, clicks: Csr, seconds: dict[str, float], bar: Any = None) -> Iterator[None]:
    """Note in ``seconds`` how long a stage of the fit takes on clicks (m, n), log it, and move a progress bar on."""
    started = time.perf_counter()
    if bar is not None:
        bar.set_postfix_str(name)
    yield
    if bar is not None:
        bar.update()
    seconds[name] = time.perf_counter() - started
    log.info(
        "HybridRanker.fit: %s, %d users, %d items, %d clicks: %.1f s", name, *clicks.shape, clicks.nnz, seconds[name]
    )


def _with_experts(blend: Blend, clicks: Csr, vectors: FloatArray) -> Blend:
    """Return a blend with experts, fitted with its settings on clicks (m, n) and item vectors (n, dim)."""
    config = blend.config
    by_text = np.flatnonzero(text_weights(blend.counts, blend.exposure, config.text_clicks))
    collaborative = blend.collaborative or Collaborative()
    return replace(blend, experts=FittedExperts.fit(clicks, vectors, by_text, collaborative, config).compiled())


def _capped(clicks: Csr) -> Csr:
    """Return clicks as float32 with weights of at most 1, and none stored that are 0."""
    capped = csr_array(clicks.minimum(1.0).astype(np.float32))
    capped.eliminate_zeros()
    return capped


def _with_capped_history(users: Users) -> Users:
    return replace(users, history=_capped(users.history))


def _counts(clicks: Csr) -> FloatArray:
    return np.asarray(clicks.sum(axis=0), dtype=np.float32)
