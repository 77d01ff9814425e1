"""Words, meaning and clicks in one score, from no click to many."""

import copy
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart.base import BaseRanker, Contributions, Features, Users
from coldstart.data.holdout import cut
from coldstart.errors import ColdstartWarning, InvalidInputError
from coldstart.rankers.hybrid.blend import Blend, text_weights
from coldstart.rankers.hybrid.config import PRIOR_ALONE, HybridConfig
from coldstart.rankers.hybrid.evidence import SOURCES, Evidence, base_rate
from coldstart.rankers.hybrid.experts import Collaborative, FittedExperts
from coldstart.rankers.hybrid.item_space import ItemSpace
from coldstart.rankers.hybrid.items import Items, Placed
from coldstart.rankers.hybrid.prior import TastePrior, mean_clicks
from coldstart.rankers.hybrid.reader import says_something
from coldstart.rankers.hybrid.tuning import Report, auto_cold_share, cold_offset, tune

log = logging.getLogger("coldstart")

MATTERS = 0.05
"""Share of the first 20 places that old stock without clicks loses, from which on ``fit`` warns."""


class HybridRanker(BaseRanker, saved=True):
    """Answer with text where there is only text, and with clicks where there are clicks.

    Who is known by likes gets a sum of odds (``Blend``). A *prior* says how near an item's text is to the user's taste
    and how often it is clicked at all. A *collaborative* expert, EASE whose item-item weights start from what texts say
    (``PriorEASE``), scores items with clicks. A *content* expert, kernel ridge regression on text, scores new items: it
    gives them the clicks and EASE scores of items whose text is like theirs. A conditional logit puts both on one
    scale. Without clicks of others the prior is all there is; five clicks do not change it; many make it small.

    Who is known by a text alone gets what answers it, in meaning and in exact words, what is liked along with the best
    answers, and what is popular.

    New items are told from old stock by ``Features.exposure``: an item that has just arrived gets the clicks that its
    text promises, one that was there from the start without a click gets few. Nothing said, items without clicks are
    taken for old stock.

    Parameters
    ----------
    novelty : float
        Log-odds added to items without clicks, from -20 to 20: above 0 new items are shown more.
    popularity : float
        From 0, none, to 1, as much as helps most: how much popular items are favoured where little is known of the
        user. Below 1 lists are less alike.
    cold_share : "auto", float or None
        Most of the first 20 places, from 0 to 1 and in the mean over known users, to which the content expert may bring
        old stock without clicks. By default its share of the catalogue, and at most one in five or, where clicks are
        few, the share of next clicks that go to such items by Good and Turing. None sets no bound; while the prior
        ranks alone there is none, either.
    method : {"auto", "exact", "als"}
        The collaborative expert: ``PriorEASE``, exact in closed form, or ``PriorALS``, factors for any size. By default
        exact while the smaller of users and items with clicks is at most 20,000, and weights between items fit in
        2.4 GB.
    config : HybridConfig, optional
        Every number of the method.
    rng : int, SeedSequence, Generator or None
        Which items, clicks and users are hidden while the settings are chosen.

    Attributes
    ----------
    blend_ : Blend
        What was learned.
    report_ : dict
        NDCG@20 of each value that was tried, on hidden clicks; how many items have no clicks, and what was assumed of
        them; seconds of each stage.
    space_ : ItemSpace
        Places the items.

    See Also
    --------
    EASERanker, ALSRanker : The collaborative experts alone, without text.

    Notes
    -----
    EASE: Steck (2019). The exact form takes an inverse of the smaller of users and items with clicks, a Cholesky factor
    of the kernel of the items with clicks, and holds the weights between items with clicks and all others. With
    ``PriorALS``, or more than 20,000 items with clicks, the nearest 50 items are averaged in place of the kernel.

    ``fit`` hides some items, clicks and users from the experts and compares: where they do not say more than the prior,
    the prior is kept alone. Clicks that come later (``refreshed``) count for users at once, and for items that had
    none; what was learned of the others stays until the next fit.

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
    retired = frozenset({"few", "rate", "l2", "prior", "kernel_width", "kernel_l2", "boost", "words"})

    blend_: Blend
    report_: Report
    space_: ItemSpace
    _items: Items | None = None

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
        """Learn from the items' features and, when there are any, clicks (m, n); a weight above 1 counts as 1.

        Raises
        ------
        InvalidInputError
            When a parameter is out of range, or users and items are too many for ``method="exact"``.
        """
        self._check_params()
        config = self.config or HybridConfig()
        self.space_, self.report_, self._items = ItemSpace(config.lexical_weight[-1]).fit(features), {}, None
        liked = csr_array((0, len(features)), dtype=np.float32) if clicks is None else _liked(clicks)
        if liked.nnz >= config.fewest_clicks:
            self.blend_ = self._learn(features, liked, config)
        else:
            prior = TastePrior(config.taste, config.taste_half)
            if liked.nnz:
                tastes = self.space_.tastes(features)
                prior = TastePrior.learn(liked, tastes, features.exposure, config, generator(self.rng))
            self.blend_ = Blend(prior, _counts(liked), features.exposure, config=config)
        self._items = Items(self.space_, features)
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return log-odds of a click, up to a number that all items of a user share, shape (m, n).

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        placed, asks = self._place(features), says_something(users)
        if not asks.any():
            return self._by_history(users, placed)
        scores = np.empty((len(users), len(features)), dtype=np.float32)
        scores[asks] = self._by_text(users[asks], placed).total
        scores[~asks] = self._by_history(users[~asks], placed)
        return scores

    def contributions(self, users: Users, features: Features) -> Contributions:
        """Return how much words, meaning, clicks and popularity have each brought to the scores."""
        placed, asks = self._place(features), says_something(users)
        shares = np.zeros((len(SOURCES), len(users), len(features)), dtype=np.float32)
        shares[1:] = self.blend_.shares(_liked(users.history), placed.tastes, self.popularity)
        if asks.any():
            shares[:, asks] = self._by_text(users[asks], placed).shares()
        return Contributions(SOURCES, shares)

    def answers(self, users: Users, features: Features) -> BoolArray:
        """Mark the users whose text some item answers, or who have none, shape (m,)."""
        return self._place(features).reader.answers(users)

    def by_likeness(self) -> Self:
        """Return a copy that leaves popularity out: for what is like an item, not what is liked in any case."""
        like = copy.copy(self)
        like.popularity = 0.0
        return like

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        New items are placed among those with clicks by their text. Clicks that came after ``fit`` count for users, and
        for the items that had none.
        """
        self.check_fitted("blend_")
        fresh = copy.copy(self)
        if self._items is None:
            fresh._items, edited = Items(self.space_, features), np.arange(len(features))
        else:
            fresh._items, edited = self._items.moved(features, origin)

        def place(rows: IntArray) -> FloatArray:
            return self.space_.item_vectors(features[rows])

        fresh.blend_ = self.blend_.refreshed(features.exposure, clicks, origin, place, edited)
        return fresh

    def compacted(self) -> Self:
        """Return a copy without the weights of the experts, which ``restored`` fits again with the same settings."""
        small = copy.copy(self)
        small.blend_ = replace(self.blend_, experts=None)
        return small

    def restored(self, features: Features, clicks: Csr) -> Self:
        """Return a copy of what was loaded; what ``compacted`` left out is fitted on all clicks there are now."""
        whole, blend = copy.copy(self), self.blend_
        whole._items = Items(self.space_, features)
        if blend.collaborative is None or blend.experts is not None:
            return whole
        liked = _liked(clicks)
        blend = replace(blend, counts=_counts(liked), exposure=features.exposure)
        with _stage("experts", liked, {}):
            whole.blend_ = _with_experts(blend, liked, self.space_.item_vectors(features))
        return whole

    def _learn(self, features: Features, liked: Csr, config: HybridConfig) -> Blend:
        """Choose the settings on a fold, then fit the experts on all clicks."""
        start, seconds = self._start(liked, config), self.report_.setdefault("seconds", {})
        fold, tastes, exposure = cut(liked, generator(self.rng)), self.space_.tastes(features), features.exposure
        weights = config.lexical_weight if self.space_.reads_words else config.lexical_weight[-1:]
        spaces = {weight: self.space_.with_words(weight) for weight in weights}
        placed = {weight: space.item_vectors(features) for weight, space in spaces.items()}
        with _stage("tuning", liked, seconds):
            tuned, report = tune(fold, placed, tastes, exposure, start, config, generator(self.rng))
        self.space_, vectors, counts = spaces[tuned.lexical_weight], placed[tuned.lexical_weight], _counts(liked)
        self.report_ |= report
        maybe_new = config.maybe_new if exposure is None else 0.0  # who says what is new says what is not
        blend = Blend(tuned.prior, counts, exposure, None, None, tuned.calibration, maybe_new, config=config)
        if tuned.prior.strength < PRIOR_ALONE:
            with _stage("experts", liked, seconds):
                mean = mean_clicks(counts, exposure)
                blend = replace(blend, collaborative=tuned.collaborative, mean_clicks=mean)
                blend = _with_experts(blend, liked, vectors)
            with _stage("old stock", liked, seconds):
                blend = self._bounded(blend, liked, tastes)
        return blend

    def _bounded(self, blend: Blend, liked: Csr, tastes: FloatArray) -> Blend:
        """Bound the share of old stock without clicks, and say what was assumed of it."""
        old = (blend.counts == 0) & ~blend.is_new
        if not old.any():
            return blend
        share = self.cold_share
        if share == "auto":
            share = auto_cold_share(blend.counts, old, blend.config.cold_share)
        offset, before, after = cold_offset(blend, liked, tastes, 1.0 if share is None else share)
        line = f"{int(old.sum()):,} of {len(old):,} items have no clicks, and nothing says that they are new"
        self.report_["old stock"] = (
            f"{line}: they were taken for old stock, which takes {after:.0%} of the first 20 places of known users."
        )
        if before - after >= MATTERS:
            warnings.warn(
                f"{line}; by their texts they would take {before:.0%} of the first 20 places of known users, and take "
                f"{after:.0%}. Say which items are new: Recommender.fit(..., new=ids), Catalog.from_frame(..., "
                "added=column), or add_items; or pass HybridRanker(cold_share=...).",
                ColdstartWarning,
                stacklevel=2,
            )
        return replace(blend, cold_offset=offset)

    def _start(self, liked: Csr, config: HybridConfig) -> Collaborative:
        """The collaborative expert to start from, by the size of the data.

        Raises
        ------
        InvalidInputError
            When the exact form is asked for and would not fit.
        """
        n_warm = len(np.unique(liked.indices))
        side, n_weights = min(liked.shape[0], n_warm), n_warm * liked.shape[1]
        fits = side <= config.most_side and n_weights <= config.most_weights
        if self.method == "exact" and not fits:
            raise InvalidInputError(
                f'`method` "exact" would hold {4e-9 * (side**2 + n_weights):.1f} GB of weights, and inverts '
                f'{side:,} x {side:,} numbers of at most {config.most_side:,}. Use "als" or "auto".'
            )
        return Collaborative("exact" if self.method == "exact" or (fits and self.method == "auto") else "als")

    def _place(self, features: Features) -> Placed:
        """The items as users and texts meet them, made once for each catalogue.

        Raises
        ------
        InvalidInputError
            When the items are not those that were fitted.
        """
        self.check_fitted("blend_")
        if len(features) != len(self.blend_.counts):
            raise InvalidInputError(
                f"`features` must be of the {len(self.blend_.counts):,} items that were fitted; "
                f"got {len(features):,}. Call refreshed."
            )
        items = self._items
        if items is None or items.features is not features:
            self._items = items = Items(self.space_, features)
        return items.placed

    def _by_history(self, users: Users, placed: Placed) -> FloatArray:
        """Log-odds for users of whom no text is known."""
        odds = self.blend_.log_odds(_liked(users.history), placed.tastes, self.popularity, self.novelty)
        return odds - placed.reader.disliked(users.disliked) if users.disliked.nnz else odds

    def _by_text(self, users: Users, placed: Placed) -> Evidence:
        """All that is known of users who say something: texts, likes, dislikes, and what others clicked."""
        reader, blend = placed.reader, self.blend_
        read = reader.read_texts(users)
        answers = read.words + read.meaning
        collaborative, popularity = np.zeros((2, *answers.shape), dtype=np.float32)
        if blend.counts.any():
            unclicked = blend.counts == 0
            mean = float(blend.counts[~unclicked].mean())
            rates = base_rate(blend.counts, mean, unclicked & blend.is_new)
            popularity += np.float32(self.popularity) * rates + np.float32(self.novelty) * unclicked
            liked = _liked(users.history)
            known = np.diff(liked.indptr) > 0
            if known.any():
                history = csr_array(liked[known])
                collaborative[known] = blend.log_odds(history, placed.tastes, self.popularity)
        against = read.avoided + (reader.disliked(users.disliked) if users.disliked.nnz else np.float32(0.0))
        likeness = reader.feedback(answers, answers + collaborative + popularity - against)
        return Evidence(read.words, read.meaning + likeness, collaborative, popularity, against)

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


@contextmanager
def _stage(name: str, clicks: Csr, seconds: dict[str, float]) -> Iterator[None]:
    """Note how long a stage of the fit takes."""
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started
    log.info(
        "HybridRanker.fit: %s, %d users, %d items, %d clicks: %.1f s", name, *clicks.shape, clicks.nnz, seconds[name]
    )


def _with_experts(blend: Blend, liked: Csr, vectors: FloatArray) -> Blend:
    """Fit the experts with the settings of a blend, on clicks (m, n) and vectors (n, dim) where items meet items."""
    config = blend.config
    by_text = np.flatnonzero(text_weights(blend.counts, blend.exposure, config.text_clicks))
    collaborative = blend.collaborative or Collaborative()
    return replace(blend, experts=FittedExperts.of(liked, vectors, by_text, collaborative, config).compiled())


def _liked(clicks: Csr) -> Csr:
    """Clicks with weights up to 1."""
    liked = csr_array(clicks.minimum(1.0).astype(np.float32))
    liked.eliminate_zeros()
    return liked


def _counts(liked: Csr) -> FloatArray:
    return np.asarray(liked.sum(axis=0), dtype=np.float32)
