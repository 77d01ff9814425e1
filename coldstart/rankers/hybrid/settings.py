"""What is learned before the experts are fitted."""

from dataclasses import dataclass, field

import numpy as np

from coldstart._component import Component
from coldstart.rankers.hybrid.calibration import Calibration
from coldstart.rankers.hybrid.counts import YOUNG
from coldstart.rankers.hybrid.raw import Collaborative


@dataclass(frozen=True)
class Settings(Component):
    """What is learned on clicks that are hidden from the experts.

    Attributes
    ----------
    collaborative : Collaborative
        The expert on clicks.
    popularity, popularity_told : tuple of (float, float)
        Pairs of a user's clicks and what the most popular items get added to their relative scores then; of known
        users, and of strangers, of whom only a request tells.
    calibration : Calibration
        From scores to log-odds.
    unseen : float
        Log-odds added to the items without clicks that are there at the fit.
    level : float
        A user's level by text as a multiple of that by clicks, where fewer than 20 items have no clicks to tell.
    few : float
        Clicks at which an item's own clicks count as much as its text, of items with at most ``YOUNG``.
    rate : float
        Where it is above 0, the odds of an item are those by its text times this power of its clicks: there are too
        few for the collaborative expert.
    """

    collaborative: Collaborative = field(default_factory=Collaborative)
    popularity: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    popularity_told: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    calibration: Calibration = field(default_factory=Calibration)
    unseen: float = 0.0
    level: float = 1.0
    few: float = 8.0
    rate: float = 0.0

    @property
    def most_young(self) -> float:
        """Clicks of an item up to which its text is asked."""
        return np.inf if self.rate else YOUNG if self.few else 0.0
