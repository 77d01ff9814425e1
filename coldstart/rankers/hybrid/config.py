"""Settings of ``HybridRanker``: every number of the method, with its meaning, its unit and the evidence for it."""

from dataclasses import dataclass

from coldstart._component import Component
from coldstart.errors import InvalidInputError

PRIOR_ALONE = 1e6
"""Prior strength, in clicks, beside which clicks of others do not count: the experts are not even fitted."""

MIN_GRID_VALUES = {
    "taste_share": 0.0,
    "prior_strength": 1e-6,  # with 0, items that no expert scores would have no odds at all
    "l2": 0.1,
    "text_prior": 0.0,
    "unobserved": 1e-3,
    "lexical_weight": 0.0,
}
"""The least value that a grid may hold."""


@dataclass(frozen=True, repr=False)
class HybridConfig(Component, saved=True):
    """Settings of ``HybridRanker``. A tuple is a grid: ``fit`` chooses from it by NDCG@20 on a fold.

    Evidence is the relative change of NDCG@20 on three data sets: films (ml-latest-small), office
    (amazon-office-2014) and citeulike (citeulike-a).

    Attributes
    ----------
    taste : float
        Nats per unit of cosine between an item and a user's taste, for a user with many likes: the concentration of a
        von Mises-Fisher distribution. Three likes bring 5 nats; with 7 films lose and citeulike gains, so that ``fit``
        learns it.
    taste_half : float
        Likes at which a taste has half its weight, k / (k + taste_half): one like says less than ten.
    taste_share : tuple of float
        Grid: factor on the learned taste. Users with a single like do best at 1 to 2 nats a unit on films and office,
        once there are many clicks of others.
    taste_deviation, popularity_deviation : float
        Standard deviations of the Gaussian priors on ``taste`` and on the weight of the log base rate (mean 1), when
        ``fit`` learns both. With 0.3 for the latter, new users of office lose 4 % after 1,000 clicks.
    prior_clicks : float
        Shape of the Gamma prior on base rates: clicks of a mean item that every item is credited with. With 1 the
        first clicks of others cost new users nothing on films and office, and up to 2 % on citeulike.
    prior_strength : tuple of float
        Grid: clicks that the prior (taste and base rate) counts for beside a user's own; ``PRIOR_ALONE``: no experts.
    l2, text_prior : tuple of float
        Grids of ``PriorEASE``: its ridge, in clicks, and r, the multiple of its text prior that weights are pulled to.
    text_prior_l2 : float
        Ridge of the leave-one-out regression behind the text prior, in items. Flat from 3 to 30.
    unobserved : tuple of float
        Grid of ``PriorALS``: weight of all user-item pairs together, as a multiple of that of all clicks.
    sweeps : int
        Passes of ``PriorALS`` over users and items.
    kernel_width, kernel_l2 : float
        Of the content expert: K = exp(-width (1 - cosine)), narrower where it is larger, and the ridge on its diagonal.
    cf_target_weight : float
        Weight of the scores of plain EASE beside the clicks (1) in the targets of the content expert. Without them
        item-cold lists lose 4 to 9 %.
    lexical_weight : tuple of float
        Grid: weight of words in the cosine of two items, chosen on pseudo-cold items. Office gains 3 % with 0.3, films
        and citeulike do best with 0.
    text_clicks : float
        Clicks at which the text of a new item has half its weight. After ten clicks films do 3 to 4 % better with 0.3
        of the weight than with all of it; after one or two it hardly matters, on films and office.
    maybe_new : float
        Probability that an item without clicks is new, where exposures are unknown. At 0.2 such items take 15 % of the
        first 20 places on office and 2 % on films; items with clicks lose 6 % and 1 %.
    cold_share : float
        Largest share of the first 20 places for old stock without clicks.
    fewest_clicks : int
        Clicks below which the prior ranks alone, and only it is learned.
    most_side : int
        Largest matrix that EASE inverts: users or items with clicks, whichever are fewer. 1.6 GB at the limit.
    most_weights : int
        Most weights of the experts, (items with clicks) x (items). 1.2 GB at the limit, as float16.
    most_kernel : int
        Items with clicks up to which the kernel is factored, 1.6 GB; above, the 50 nearest items are averaged.
    most_placed : int
        Items with clicks up to which the inverse kernel is kept to place items that come later, 200 MB.
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
        """Raise unless every grid has a value, and all of them are in range.

        Raises
        ------
        InvalidInputError
            Naming the grid, its range and what was got.
        """
        for name, least in MIN_GRID_VALUES.items():
            values = getattr(self, name)
            if not values or min(values) < least:
                raise InvalidInputError(
                    f"`{name}` of HybridConfig must hold at least 1 number, each at least {least:g}; got {values!r}."
                )
