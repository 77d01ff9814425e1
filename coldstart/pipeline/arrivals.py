"""When each item was added, counted in clicks: what tells a new item from old stock that nobody clicked.

The unit is clicks, not days: an item that was there for half of the clicks had half of the chances to get one, however
fast they came.
"""

import warnings
from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt

from coldstart._arrays import IntArray
from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.tables import id_tuple
from coldstart.errors import ColdstartWarning
from coldstart.pipeline.state import Fitted


def arrivals_of(
    catalog: Catalog, clicks: Interactions | None, new: Iterable[Hashable], before: Fitted | None
) -> npt.NDArray[np.float64]:
    """Return the number of clicks made before each item was added, shape (n,); 0 for old stock.

    Parameters
    ----------
    catalog : Catalog
        With the dates at which items were added, perhaps.
    clicks : Interactions or None
        On items of the catalogue.
    new : iterable of item ids
        Items that have just been added, after all clicks, whatever their dates say.
    before : Fitted or None
        The state of the last ``fit``, which tells of items without a date.

    Raises
    ------
    InvalidInputError, UnknownIdError
        When ``new`` is no list of ids, or has one that is not in the catalogue.
    """
    clock = 0 if clicks is None else len(clicks)
    rows = catalog.positions(id_tuple(new, "new"), "new")
    # Each source overwrites the ones before it: the last state, then dates, then what the caller says.
    arrived = _by_last_state(catalog, before)
    dated, counts = _by_date(catalog, clicks)
    arrived[dated] = counts
    arrived[rows] = clock
    # The last state may have had more clicks than there are now.
    return np.minimum(arrived, clock)


def _by_last_state(catalog: Catalog, before: Fitted | None) -> npt.NDArray[np.float64]:
    """Return arrivals as of an earlier state; items that it lacked were added after its last click."""
    old_stock = np.zeros(len(catalog))
    if before is None or not before.clock:
        return old_stock
    rows = [before.catalog.item_ids.find(item_id) for item_id in catalog.ids]
    # No item in common: another catalogue altogether, not a thousand new items of the old one.
    if all(row is None for row in rows):
        return old_stock
    arrived = before.arrived.tolist()
    return np.array([before.clock if row is None else arrived[row] for row in rows])


def _by_date(catalog: Catalog, clicks: Interactions | None) -> tuple[IntArray, IntArray]:
    """Return the rows of items with a date, and the number of clicks before it; none where clicks have no times."""
    none = np.zeros(0, dtype=np.int64)
    if catalog.since is None or clicks is None or not np.isfinite(catalog.since).any():
        return none, none
    if clicks.time is None:
        warnings.warn(
            f"The dates in {catalog.added!r}, which say when items were added, are not used: the clicks have no times "
            "to compare them with. Pass time= with the clicks, or fit(..., new=[ids of items that just arrived]).",
            ColdstartWarning,
            stacklevel=5,
        )
        return none, none
    dated = np.flatnonzero(np.isfinite(catalog.since))
    return dated, np.searchsorted(np.sort(clicks.time), catalog.since[dated])
