"""Words, meaning and clicks in one score, from no click to many."""

import copy

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import Csr, FloatArray, IntArray, Rng, check_between, generator
from coldstart._component import Component
from coldstart.base import Features, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid.calibration import level
from coldstart.rankers.hybrid.choosing import Report, choose
from coldstart.rankers.hybrid.experts import Content, Experts, Settings
from coldstart.rankers.hybrid.folds import cut

MAX_SIDE = 20_000
"""Users or items with clicks, whichever are fewer: the inverse takes 1.6 GB there."""

ENOUGH_CLICKS = 1_000
"""With fewer, nothing is searched: the settings are the usual ones."""

NEIGHBOURS = 10
"""Items that stand for a text: its nearest."""

TEXT_CLICKS = 0.5
"""How many clicks the neighbours of a text are worth together."""

TEXT_SHARE = 0.3
"""Weight of a text's own cosines beside the clicks, when there are any."""

DISLIKED = 2.0
"""Log-odds that an item loses whose text is that of a disliked one."""


class HybridRanker(Component):
    """Answer with text where there is only text, and with clicks where there are clicks.

    Without clicks it is ``CosineRanker``. With clicks, two experts score the items. The *collaborative* one is EASE
    whose item-item weights start from what the texts say (``PriorEASE``), for items with clicks. The *content* one is a
    kernel ridge regression on text, for items without: they get the clicks and the collaborative scores of items whose
    text is like theirs. Each expert's scores become log-odds of a click by a logistic regression, so that new and known
    items stand in one list. A user is folded in exactly from any history; where it is short, popularity is added.

    The ridge, the weight of the text prior, the weights of popularity and the calibration are learned by ``fit`` on
    clicks that it hides from itself: some items lose all clicks, some users are taken away.

    Parameters
    ----------
    novelty : float
        Log-odds added to items without clicks, from -20 to 20: above 0 new items are shown more.
    few : float
        Clicks at which an item's own clicks count as much as its text, for items with at most 10; 0 to 1,000. By
        default 0: any click decides. Set it (3 to 30) where items with few clicks are new rather than unpopular:
        clicks alone cannot tell these apart.
    kernel_width, kernel_l2 : float
        Of the content expert: K = exp(-width (1 - cosine)), and its ridge, from 0.1.
    boost : float
        How much the collaborative scores count beside the clicks as targets of the content expert, at least 0.
    rng : int, SeedSequence, Generator or None
        Which items, clicks and users are hidden while the settings are learned.

    Attributes
    ----------
    settings_ : Settings
        What was learned; None without clicks.
    report_ : dict
        NDCG@20 of each value that was tried, on the hidden clicks; empty below 1,000 clicks.
    experts_ : Experts
        None without clicks.
    space_ : CosineRanker
        Places texts and items.

    Notes
    -----
    EASE: Steck (2019). The exact form takes an inverse of the smaller of users and items with clicks (at most 20,000),
    and an inverse of the items with clicks for the kernel; above 20,000 of those, the nearest 50 items are averaged
    instead. An item that nobody clicked counts as new, however long it has been there: the calibration is learned on
    items that lost all their clicks, so it expects as many of a new item as of others. Where most items without clicks
    are dead stock, give a ``novelty`` below 0.

    Examples
    --------
    >>> import coldstart as cs
    >>> from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks
    >>> rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(tiny_catalog(), tiny_clicks())
    >>> rec.recommend(user="u0", k=1).item_ids
    [['s0']]
    """

    settings_: Settings | None
    report_: Report
    experts_: Experts | None
    space_: CosineRanker

    def __init__(
        self,
        novelty: float = 0.0,
        few: float = 0.0,
        kernel_width: float = 3.0,
        kernel_l2: float = 3.0,
        boost: float = 3.0,
        rng: Rng = 0,
    ) -> None:
        self.novelty = novelty
        self.few = few
        self.kernel_width = kernel_width
        self.kernel_l2 = kernel_l2
        self.boost = boost
        self.rng = rng

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n); weights of clicks are not read.

        Raises
        ------
        InvalidInputError
            When a parameter is out of range, or users and items are too many for the exact form.
        """
        self._check_params()
        self.space_ = CosineRanker().fit(features)
        self.settings_, self.report_, self.experts_ = None, {}, None
        if clicks is not None and clicks.nnz:
            self._learn(self.space_.item_vectors(features), _liked(clicks))
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return log-odds of a click (cosines without clicks), shape (m, n).

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        self.check_fitted("space_")
        if self.experts_ is None:
            return self.space_.score(users, features)
        if len(features) != len(self.experts_.counts):
            raise InvalidInputError(
                f"`features` must be of the {len(self.experts_.counts):,} items that were fitted; "
                f"got {len(features):,}. Call refreshed."
            )
        items = self.space_.item_vectors(features)
        odds = self._by_clicks(users, items)
        odds[:, self.experts_.counts == 0] += np.float32(self.novelty)
        odds = _with_texts(odds, users, self._text_cosines(users, items))
        if users.disliked.nnz:
            odds -= np.float32(DISLIKED) * np.maximum((users.disliked @ items) @ items.T, 0.0)
        return odds

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        New items are placed among those with clicks by their text. Clicks that came after ``fit`` count for users.
        """
        self.check_fitted("space_")
        fresh = copy.copy(self)
        if self.experts_ is not None:
            fresh.experts_ = self.experts_.moved(self.space_.item_vectors(features), origin)
        return fresh

    def _learn(self, vectors: FloatArray, liked: Csr) -> None:
        side = min(liked.shape[0], len(np.unique(liked.indices)))
        if side > MAX_SIDE:
            raise InvalidInputError(
                f"HybridRanker needs an inverse of {side:,} x {side:,} numbers ({4e-9 * side**2:.1f} GB), and allows "
                f"{MAX_SIDE:,}. Use ALSRanker, or fit on fewer users."
            )
        content = Content(self.kernel_width, self.kernel_l2, self.boost, self.few)
        self.settings_ = Settings()
        if liked.nnz >= ENOUGH_CLICKS:
            self.settings_, self.report_ = choose(cut(liked, generator(self.rng)), vectors, content)
        self.experts_ = Experts.of(liked, vectors, self.settings_, content)

    def _by_clicks(self, users: Users, items: FloatArray) -> FloatArray:
        """Log-odds from the histories; the neighbours of a text stand for one where there is none."""
        assert self.experts_ is not None  # noqa: S101
        history = _liked(users.history)
        empty = np.diff(history.indptr) == 0
        texts = users.query.dense + np.float32(0.5) * users.profile.dense
        if empty.any() and texts[empty].any():
            near = _neighbours(texts @ items.T) * empty[:, None]
            history = csr_array(history + csr_array(np.float32(TEXT_CLICKS) * near))
        return self.experts_.log_odds(history)

    def _text_cosines(self, users: Users, items: FloatArray) -> FloatArray | None:
        """Cosines of the requests' texts to the items; None when there are no texts."""
        texts = np.float32(self.space_.query_weight) * users.query.dense
        texts = texts + np.float32(self.space_.profile_weight) * users.profile.dense
        return np.asarray(texts @ items.T, dtype=np.float32) if texts.any() else None

    def _check_params(self) -> None:
        check_between("novelty", self.novelty, -20.0, 20.0)
        check_between("few", self.few, 0.0, 1000.0)
        check_between("kernel_width", self.kernel_width, 1e-3, 1e3)
        check_between("kernel_l2", self.kernel_l2, 0.1, 1e3)
        check_between("boost", self.boost, 0.0, 1e3)


def _liked(clicks: Csr) -> Csr:
    """Clicks as 0 and 1."""
    liked = csr_array(clicks.astype(bool).astype(np.float32))
    liked.eliminate_zeros()
    return liked


def _neighbours(cosines: FloatArray) -> FloatArray:
    """The nearest items of each text, their cosines to the third power summing to 1; zeros elsewhere."""
    count = min(NEIGHBOURS, cosines.shape[1])
    least = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, [cosines.shape[1] - count]]
    near = np.where(cosines >= least, np.maximum(cosines, 0.0), 0.0) ** 3
    return np.asarray(near / np.maximum(near.sum(axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _with_texts(odds: FloatArray, users: Users, cosines: FloatArray | None) -> FloatArray:
    """Add what a text says: most of it where nothing is known of the user, a share of it beside their clicks."""
    if cosines is None:
        return odds
    known = np.diff(_liked(users.history).indptr)[:, None] > 0
    shares = np.exp(odds - np.log(level(np.exp(odds))))
    asked = np.maximum(cosines / level(np.maximum(cosines, 0.0)), 0.0)
    total = np.where(known, shares + TEXT_SHARE * asked, 0.2 * shares + asked)
    said = cosines.any(axis=1, keepdims=True)
    return np.where(said, np.log(np.maximum(total, 1e-9)), odds).astype(np.float32)
