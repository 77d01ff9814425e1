"""Words, meaning and clicks in one score, from no click to many."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from typing_extensions import Self

from coldstart._arrays import BoolArray, Csr, FloatArray, IntArray, Rng, check_between, generator, unit_rows
from coldstart._component import Component
from coldstart.base import Features, Hits, Users
from coldstart.errors import InvalidInputError
from coldstart.rankers.hybrid.choosing import ALS, EXACT, Grid, Report, choose, likeness
from coldstart.rankers.hybrid.counts import unseen_odds
from coldstart.rankers.hybrid.evidence import SOURCES, Evidence
from coldstart.rankers.hybrid.experts import Experts
from coldstart.rankers.hybrid.finding import Finder
from coldstart.rankers.hybrid.raw import Collaborative, Content
from coldstart.rankers.hybrid.reader import MEANING, TextReader, says_something
from coldstart.rankers.hybrid.settings import Settings
from coldstart.rankers.hybrid.space import Space
from coldstart.rankers.hybrid.starting import best_rate, started
from coldstart.training.folds import Fold, cut

MAX_SIDE = 20_000
"""Users or items with clicks, whichever are fewer, that the exact form inverts: 1.6 GB there."""

MAX_WEIGHTS = 600_000_000
"""Weights between items with clicks and all items that the exact form holds: 2.4 GB."""

ENOUGH_CLICKS = 1_000
"""With fewer, nothing is searched but ``rate``: the other settings are the usual ones."""

START = 0.0
"""Weight of the text prior while the ridge is chosen: with one, a small ridge would stand for it."""

WORDS = (0.0, 0.3)
"""Weights of the words in the likeness of two items that are tried; the last one is the usual one."""

FEW = (0.0, 1.5, 8.0)
"""Values of ``few`` that are tried."""

RATES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Values of ``rate`` that are tried."""

MOST_STARTING = 30_000
"""Clicks up to which they are: with more, the collaborative expert has enough to learn from."""


class HybridRanker(Component):
    """Answer with text where there is only text, and with clicks where there are clicks.

    Without clicks items are compared by meaning and words. With clicks, two experts score them. The *collaborative* one
    is EASE whose item-item weights start from what the texts say (``PriorEASE``), for items with clicks. The *content*
    one is a kernel ridge regression on text, for items without or with few: they get the clicks and the scores of plain
    EASE of items whose text is like theirs. Each expert's scores become log-odds of a click by a conditional logistic
    regression, so that new and known items stand in one list. A user is folded in exactly from any history; where it is
    short, popularity is added. Who is known by a text alone gets what answers it, in meaning and in exact words, what
    is liked along with the best answers, and what is popular.

    The ridge, the weight of the text prior, the weights of popularity and the calibration are learned by ``fit`` on
    clicks that it hides from itself: some items lose all clicks, some users are taken away. Where clicks are too few
    for this to pay, an item's text and how often it was clicked score it: ``rate``.

    Parameters
    ----------
    novelty : float
        Log-odds added to items without clicks, from -20 to 20: above 0 new items are shown more.
    popularity : float
        From 0, none, to 1, as much as helps most: how much popular items are favoured where little is known of the
        user. Below 1 lists are less alike. Set it before ``fit``, which chooses ``rate`` by it.
    few : float, optional
        Clicks at which an item's own clicks count as much as its text, for items with at most 10; 0 to 1,000; at 0 the
        text of an item with clicks says nothing. By default 8, or 1.5, or 0, where more costs over 5 % of NDCG@20 on
        items as they are, and 0 where texts say nothing of new items; 8 below 1,000 clicks.
    rate : float, optional
        At 0 the experts above score the items. Above, up to 10, their texts do, and the odds are multiplied by this
        power of an item's number of clicks. By default what does better on clicks that are hidden at random, up to
        30,000 clicks; 0 with more, and where ``few``, ``method``, ``l2`` or ``prior`` is given.
    method : {"auto", "exact", "als"}
        The collaborative expert: ``PriorEASE``, exact in closed form, or ``PriorALS``, factors for any size. By default
        exact while the smaller of users and items with clicks is at most 20,000, and weights between items fit in
        2.4 GB.
    l2, prior : float, optional
        Of ``PriorEASE``: its ridge, from 0.1, and weight of its text prior, from 0 to 100 (0: plain EASE); by
        default learned.
    kernel_width, kernel_l2 : float
        Of the content expert: K = exp(-width (1 - cosine)), and its ridge, from 0.1.
    boost : float
        How much the scores of the collaborative expert, without its text prior, count beside the clicks as targets of
        the content expert, at least 0.
    words : float, optional
        Weight of the words in the likeness of two items, beside the meaning, from 0 to 1; by default 0 or 0.3, as is
        learned, and 0.3 with fewer than 1,000 clicks.
    rng : int, SeedSequence, Generator or None
        Which items, clicks and users are hidden while the settings are learned.

    Attributes
    ----------
    settings_ : Settings
        What was learned; None without clicks.
    report_ : dict
        NDCG@20 of each value that was tried, on the hidden clicks; of ``rate`` the mean gain to rank 100. Below 1,000
        clicks there is at most ``rate``.
    experts_ : Experts
        None without clicks.
    space_ : Space
        Places the items.

    Notes
    -----
    EASE: Steck (2019). The exact form takes an inverse of the smaller of users and items with clicks, one of the items
    with clicks for the kernel, and holds the weights between items with clicks and all others. With ``PriorALS``, or
    more than 20,000 items with clicks, the nearest 50 items are averaged in place of the kernel.
    The calibration is learned on items that lost all their clicks, so it expects as many of an item without clicks as
    of others. Where clicks are so few that most items have none, those that are there at the fit are expected to get
    less (``settings_.unseen``, and by ``rate``), those that are added later are not. Where many clicks have left dead
    stock, give a ``novelty`` below 0.

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
    experts = SOURCES
    """Who may have a share in a recommendation."""

    settings_: Settings | None
    report_: Report
    experts_: Experts | None
    space_: Space
    _read: tuple[Features, TextReader] | None = None
    _finder: Finder | None = None

    def __init__(
        self,
        novelty: float = 0.0,
        popularity: float = 1.0,
        few: float | None = None,
        rate: float | None = None,
        method: Literal["auto", "exact", "als"] = "auto",
        l2: float | None = None,
        prior: float | None = None,
        kernel_width: float = 2.0,
        kernel_l2: float = 3.0,
        boost: float = 5.0,
        words: float | None = None,
        rng: Rng = 0,
    ) -> None:
        self.novelty = novelty
        self.popularity = popularity
        self.few = few
        self.rate = rate
        self.method = method
        self.l2 = l2
        self.prior = prior
        self.kernel_width = kernel_width
        self.kernel_l2 = kernel_l2
        self.boost = boost
        self.words = words
        self.rng = rng

    def fit(self, features: Features, clicks: Csr | None = None) -> Self:
        """Learn from the items' features and, when there are any, clicks (m, n); a weight above 1 counts as 1.

        Raises
        ------
        InvalidInputError
            When a parameter is out of range, or users and items are too many for ``method="exact"``.
        """
        self._check_params()
        self.space_, self._read = Space(WORDS[-1] if self.words is None else self.words).fit(features), None
        self.settings_, self.report_, self.experts_ = None, {}, None
        if clicks is not None and clicks.nnz:
            self._learn(features, _liked(clicks))
        return self

    def score(self, users: Users, features: Features) -> FloatArray:
        """Return log-odds of a click, up to a number that all items of a user share, shape (m, n).

        Raises
        ------
        InvalidInputError
            When the items are not those of ``fit`` or ``refreshed``.
        """
        reader, asks = self._reader(features), says_something(users)
        if not asks.any():
            return self._by_history(users, reader)
        scores = np.empty((len(users), len(features)), dtype=np.float32)
        scores[asks] = self._by_text(users[asks], reader).total
        scores[~asks] = self._by_history(users[~asks], reader)
        return scores

    def best(
        self, users: Users, features: Features, k: int, allow: IntArray | None, exclude: Sequence[IntArray]
    ) -> Hits | None:
        """Return the ``k`` items with the best ``score`` without weighing all; None where more than histories counts.

        ``allow`` are the only items to return, and ``exclude`` has those never to return to each user.
        """
        self._reader(features)
        if self.experts_ is None or self.experts_.settings.rate:
            return None  # at a start a popular item may come from anywhere
        if users.disliked.nnz or says_something(users).any():
            return None
        finder, dials = self._finder, (self.popularity, self.novelty)
        if finder is None or finder.experts is not self.experts_ or (finder.popular, finder.novelty) != dials:
            self._finder = finder = Finder.of(self.experts_, *dials)
        return finder.best(_liked(users.history), users.strangers, k, allow, exclude)

    def voices(self, users: Users, features: Features) -> FloatArray:
        """Return how much each of ``experts`` has said of each item in ``score``, shape (4, m, n), sums of 1."""
        reader, asks = self._reader(features), says_something(users)
        voices = np.zeros((len(self.experts), len(users), len(features)), dtype=np.float32)
        voices[1] = 1.0
        if self.experts_ is not None:
            voices[1:] = self.experts_.voices(_liked(users.history), self.popularity, users.strangers)
        if asks.any():
            voices[:, asks] = self._by_text(users[asks], reader).shares()
        return voices

    def answers(self, users: Users, features: Features) -> BoolArray:
        """Mark the users whose text some item answers, or who have none, shape (m,)."""
        return self._reader(features).answers(users)

    def by_likeness(self) -> Self:
        """Return a copy that leaves popularity out: for what is like an item, not what is liked in any case."""
        like = copy.copy(self)
        like.popularity, like._finder = 0.0, None
        return like

    def refreshed(self, features: Features, clicks: Csr, origin: IntArray) -> Self:
        """Return a copy for a changed catalogue: item j was item ``origin[j]`` before, or is new where that is -1.

        New items are placed among those with clicks by their text. Clicks that came after ``fit`` count for users, and
        for the items that had none.
        """
        self.check_fitted("space_")
        fresh = copy.copy(self)
        if self.experts_ is not None:
            fresh.experts_ = self.experts_.moved(self.space_.item_vectors(features), origin).rising(_liked(clicks))
        return fresh

    def _learn(self, features: Features, liked: Csr) -> None:
        content = Content(self.kernel_width, self.kernel_l2, self.boost)
        start, grid = self._collaborative(liked)
        unseen = unseen_odds(np.bincount(liked.indices, minlength=liked.shape[1]))
        settings = Settings(start, few=FEW[-1] if self.few is None else self.few, unseen=unseen)
        few = FEW if self.few is None else [self.few]
        if liked.nnz >= ENOUGH_CLICKS:
            fold = cut(liked, generator(self.rng))
            words = self._choose_words(fold, features, content)
            settings, self.report_ = choose(fold, self.space_.item_vectors(features), settings, content, grid, few)
            self.report_ |= {"words": words} if words else {}
        vectors, rate = self.space_.item_vectors(features), self.rate or 0.0
        if liked.nnz <= MOST_STARTING and self._leaves_open():
            asked = (RATES, self.popularity, generator(self.rng))
            rate, rates = best_rate(liked, vectors, settings, content, *asked)
            self.report_ |= {"rate": rates} if rates else {}
        self.settings_ = started(settings, rate)
        self.experts_ = Experts.of(liked, vectors, self.settings_, content)

    def _leaves_open(self) -> bool:
        """Whether nothing is given that says how clicks are to count."""
        return self.method == "auto" and all(given is None for given in (self.rate, self.few, self.l2, self.prior))

    def _choose_words(self, fold: Fold, features: Features, content: Content) -> dict[float, float]:
        """Settle how much words count in the likeness of items; return what each weight came to."""
        if self.words is not None or not self.space_.reads_words:
            return {}
        spaces = {words: self.space_.with_words(words) for words in WORDS}
        came_to = likeness(fold, {words: space.item_vectors(features) for words, space in spaces.items()}, content)
        if came_to:
            self.space_ = spaces[max(came_to, key=lambda words: came_to[words])]
        return came_to

    def _collaborative(self, liked: Csr) -> tuple[Collaborative, Grid]:
        """The expert on clicks to start from, by the size of the data, and what is searched of its settings.

        Raises
        ------
        InvalidInputError
            When the exact form is asked for and would not fit.
        """
        n_items, side = liked.shape[1], min(liked.shape[0], len(np.unique(liked.indices)))
        fits = side <= MAX_SIDE and len(np.unique(liked.indices)) * n_items <= MAX_WEIGHTS
        if self.method == "exact" and not fits:
            raise InvalidInputError(
                f'`method` "exact" would hold {4e-9 * (side**2 + len(np.unique(liked.indices)) * n_items):.1f} GB of '
                f'weights, and inverts {side:,} x {side:,} numbers of at most {MAX_SIDE:,}. Use "als" or "auto".'
            )
        method = ("exact" if fits else "als") if self.method == "auto" else self.method
        usual = Collaborative(method)
        start = replace(
            usual,
            l2=usual.l2 if self.l2 is None else self.l2,
            prior=(START if liked.nnz >= ENOUGH_CLICKS else usual.prior) if self.prior is None else self.prior,
        )
        fixed = {name for name in ("l2", "prior") if getattr(self, name) is not None}
        return start, [part for part in (EXACT if method == "exact" else ALS) if part[0] not in fixed]

    def _reader(self, features: Features) -> TextReader:
        """The items as texts meet them, made once for each catalogue.

        Raises
        ------
        InvalidInputError
            When the items are not those that were fitted.
        """
        self.check_fitted("space_")
        if self.experts_ is not None and len(features) != len(self.experts_.counts):
            raise InvalidInputError(
                f"`features` must be of the {len(self.experts_.counts):,} items that were fitted; "
                f"got {len(features):,}. Call refreshed."
            )
        kept = self._read
        if kept is None or kept[0] is not features:
            self._read = kept = (features, TextReader.of(features, self.space_))
        return kept[1]

    def _by_history(self, users: Users, reader: TextReader) -> FloatArray:
        """Log-odds for users of whom no text is known."""
        if self.experts_ is None:
            taste = unit_rows(np.asarray(users.history @ reader.vectors, dtype=np.float32))
            odds = np.asarray(taste @ reader.vectors.T, dtype=np.float32) * np.float32(MEANING / reader.spread)
        else:
            odds = self.experts_.log_odds(_liked(users.history), self.popularity, users.strangers)
            odds[:, self.experts_.counts == 0] += np.float32(self.novelty)
        return odds - reader.disliked(users.disliked) if users.disliked.nnz else odds

    def _by_text(self, users: Users, reader: TextReader) -> Evidence:
        """All that is known of users who say something: texts, likes, dislikes, and what others clicked."""
        read = reader.read_texts(users)
        answers = read.words + read.meaning
        collaborative, popularity = np.zeros((2, *answers.shape), dtype=np.float32)
        if self.experts_ is not None:
            unclicked = self.experts_.counts == 0
            popularity += np.float32(self.popularity) * self.experts_.base_rate + np.float32(self.novelty) * unclicked
            liked = _liked(users.history)
            known = np.diff(liked.indptr) > 0
            if known.any():
                strangers = None if users.strangers is None else users.strangers[known]
                collaborative[known] = self.experts_.log_odds(csr_array(liked[known]), self.popularity, strangers)
        against = read.avoided + (reader.disliked(users.disliked) if users.disliked.nnz else np.float32(0.0))
        likeness = reader.feedback(answers, answers + collaborative + popularity - against)
        return Evidence(read.words, read.meaning + likeness, collaborative, popularity, against)

    def _check_params(self) -> None:
        check_between("novelty", self.novelty, -20.0, 20.0)
        check_between("popularity", self.popularity, 0.0, 1.0)
        if self.few is not None:
            check_between("few", self.few, 0.0, 1000.0)
        if self.rate is not None:
            check_between("rate", self.rate, 0.0, 10.0)
        if self.method not in ("auto", "exact", "als"):
            raise InvalidInputError(f'`method` must be "auto", "exact" or "als"; got {self.method!r}.')
        if self.l2 is not None:
            check_between("l2", self.l2, 0.1, 1e6)
        if self.prior is not None:
            check_between("prior", self.prior, 0.0, 100.0)
        if self.words is not None:
            check_between("words", self.words, 0.0, 1.0)
        check_between("kernel_width", self.kernel_width, 1e-3, 1e3)
        check_between("kernel_l2", self.kernel_l2, 0.1, 1e3)
        check_between("boost", self.boost, 0.0, 1e3)


def _liked(clicks: Csr) -> Csr:
    """Clicks with weights up to 1."""
    liked = csr_array(clicks.minimum(1.0).astype(np.float32))
    liked.eliminate_zeros()
    return liked
