"""Every number of the method, in one place, with its meaning, its unit and what speaks for it."""

from dataclasses import dataclass

from coldstart._component import Component
from coldstart.errors import InvalidInputError

PRIOR_ALONE = 1e6
"""Strength of a prior beside which nothing else counts."""

LEAST = {
    "taste_share": 0.0,
    "prior_strength": 1e-6,
    "l2": 0.1,
    "text_prior": 0.0,
    "unobserved": 1e-3,
    "lexical_weight": 0.0,
}
"""Of the values that are tried: without a prior some items would have no odds at all."""


@dataclass(frozen=True, repr=False)
class HybridConfig(Component, saved=True):
    """The numbers that ``HybridRanker`` works with; those in tuples are chosen by ``fit``.

    "Films", "office" and "citeulike" are ml-latest-small, amazon-office-2014 and citeulike-a.

    Attributes
    ----------
    taste : float
        Nats that one unit of cosine to a user's taste is worth, for a user with many likes: the concentration of a von
        Mises-Fisher distribution. It comes to 5 for someone with three likes: films do worse with 7, and citeulike
        better, which ``fit`` learns.
    taste_half : float
        Likes with which a taste is worth half of that: one like says less than ten.
    taste_share : tuple of float
        Shares of the taste that was learned: tried on the fold. With many clicks of others and a single like, films and
        office do best at 1 to 2 nats a unit.
    taste_deviation, popularity_deviation : float
        Standard deviations of the Gaussian priors on ``taste`` and on the weight of the log base rate (mean 1), when
        ``fit`` learns both: with 0.3 for the latter strangers to office lose 4 % after 1,000 clicks.
    prior_clicks : float
        Clicks of a mean item that every item is credited with before its own: the shape of a Gamma prior on rates. With
        1 the lists of strangers do not fall with the first clicks of others on films and office, and by up to 2 % on
        citeulike.
    prior_strength : tuple of float
        How many clicks the prior (taste and base rate) counts for beside those of the user: tried on the fold. With
        ``PRIOR_ALONE`` the experts are not fitted.
    l2, text_prior : tuple of float
        Of ``PriorEASE``: its ridge, in clicks, and the weight of its text prior as a share of it: tried on the fold.
    text_prior_l2 : float
        Ridge of the leave-one-out regression behind that prior, in items; flat from 3 to 30.
    unobserved : tuple of float
        Of ``PriorALS``: weight of all pairs together, as a multiple of that of the clicks: tried on the fold.
    sweeps : int
        Of ``PriorALS``.
    kernel_width, kernel_l2 : float
        Of the content expert: K = exp(-width (1 - cosine)), and its ridge.
    cf_target_weight : float
        How much the scores of plain EASE count beside the clicks as targets of the content expert. Without, item-cold
        lists lose 4 to 9 %.
    lexical_weight : tuple of float
        Share of the words in the cosine of two items: tried on items that lost all clicks. Office gains 3 %, films and
        citeulike do best with none.
    text_clicks : float
        Clicks with which the text of a new item has half of its weight. After ten clicks films do best where it has 0.3
        of it, 3 to 4 % better than with all; after one or two it hardly matters, there and in office.
    maybe_new : float
        Chance that an item without clicks is new, where nothing is said of any item. At 0.2 such items take 15 % of the
        first 20 places in office and 2 % in films, for 6 % and 1 % of the NDCG@20 of items with clicks.
    cold_share : float
        Most of the first 20 places that items without clicks, of which nobody said that they are new, may take.
    fewest_clicks : int
        Clicks below which nothing is learned but ``taste``: the prior alone ranks.
    most_side : int
        Users or items with clicks, whichever are fewer, that are inverted: 1.6 GB there.
    most_weights : int
        Weights between items with clicks and all items that are held: 2.4 GB.
    most_kernel : int
        Items with clicks up to which the kernel is factored (1.6 GB); above, the 50 nearest items are averaged.
    most_placed : int
        Items with clicks up to which the content expert is kept whole for items that come later (200 MB).
    """

    taste: float = 6.7
    taste_half: float = 1.0
    taste_share: tuple[float, ...] = (0.25, 0.5, 1.0)
    taste_deviation: float = 2.5
    popularity_deviation: float = 0.1
    prior_clicks: float = 1.0
    prior_strength: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, PRIOR_ALONE)
    l2: tuple[float, ...] = (10.0, 30.0, 100.0, 200.0, 400.0)
    text_prior: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)
    text_prior_l2: float = 10.0
    unobserved: tuple[float, ...] = (10.0, 20.0)
    sweeps: int = 10
    kernel_width: float = 2.0
    kernel_l2: float = 3.0
    cf_target_weight: float = 5.0
    lexical_weight: tuple[float, ...] = (0.0, 0.3)
    text_clicks: float = 3.0
    maybe_new: float = 0.2
    cold_share: float = 0.2
    fewest_clicks: int = 1_000
    most_side: int = 20_000
    most_weights: int = 600_000_000
    most_kernel: int = 20_000
    most_placed: int = 10_000

    def check(self) -> None:
        """Raise unless the values that are tried can be.

        Raises
        ------
        InvalidInputError
            Naming the number, its range and what was got.
        """
        for name, least in LEAST.items():
            values = getattr(self, name)
            if not values or min(values) < least:
                raise InvalidInputError(
                    f"`{name}` of HybridConfig must hold at least 1 number, each at least {least:g}; got {values!r}."
                )
