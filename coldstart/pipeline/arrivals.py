"""When each item came, counted in clicks: what tells an item that is new from one that nobody wanted."""

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
    """Return the number of clicks made before each item came, shape (n,); 0 is from the start.

    ``new`` items come after all clicks; else a date says it, else what was fitted ``before``.

    Raises
    ------
    InvalidInputError, UnknownIdError
        When ``new`` is no list of ids, or has one that is not in the catalogue.
    """
    clock = 0 if clicks is None else len(clicks)
    rows = catalog.positions(id_tuple(new, "new"), "new")
    arrived = _known_before(catalog, before)
    dated, counts = _by_date(catalog, clicks)
    arrived[dated] = counts
    arrived[rows] = clock
    return np.minimum(arrived, clock)


def _known_before(catalog: Catalog, before: Fitted | None) -> npt.NDArray[np.float64]:
    """When items came by an earlier state; what it did not have came after its last click."""
    nothing = np.zeros(len(catalog))
    if before is None or not before.clock:
        return nothing
    rows = [before.catalog.item_ids.find(item_id) for item_id in catalog.ids]
    if all(row is None for row in rows):
        return nothing  # another catalogue altogether: it is no news of the old one
    arrived = before.arrived.tolist()
    return np.array([before.clock if row is None else arrived[row] for row in rows])


def _by_date(catalog: Catalog, clicks: Interactions | None) -> tuple[IntArray, IntArray]:
    """Rows of items with a date, and how many clicks were before it; none where clicks have no times."""
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
