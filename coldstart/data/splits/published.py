"""Splits that others published."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coldstart.data.catalog import Catalog
from coldstart.data.interactions import Interactions
from coldstart.data.split import Protocol, Split
from coldstart.data.splits._draw import TEST, TRAIN, VALIDATION, assemble
from coldstart.data.tables import some
from coldstart.errors import InvalidInputError

# The names with "warm" and "cold" are those of the parts of published item-cold splits.
_LABELS = {
    "train": TRAIN,
    "validation": VALIDATION,
    "test": TEST,
    "warm_train": TRAIN,
    "warm_val": VALIDATION,
    "warm_test": TEST,
    "cold_val": VALIDATION,
    "cold_test": TEST,
}


def from_labels(
    catalog: Catalog,
    clicks: Interactions,
    labels: Sequence[str],
    *,
    protocol: Protocol = "coldrec",
    name: str = "from_labels()",
) -> Split:
    """Make a split from published labels, one per click.

    Parameters
    ----------
    catalog : Catalog
    clicks : Interactions
    labels : sequence of str, one per click
        ``warm_train``, ``warm_val``, ``warm_test``, ``cold_val``, ``cold_test``; or ``train``, ``validation`` and
        ``test``, where items without a training click are the cold ones.
    protocol : {"coldrec", "clean", "aldi"}
        How ``evaluate`` chooses candidates and masks; by default as item-cold splits are evaluated in publications.
    name : str

    Raises
    ------
    InvalidInputError
        When there is not one label per click, a label is unknown, a part would be empty, or something leaks.

    Notes
    -----
    Users without a training click are evaluation users too; their requests are empty. Only items whose labels begin
    with ``cold`` are known to be new (``Split.new_items_known``): that other items have no training click is known only
    after the split.

    Examples
    --------
    >>> from coldstart.testing import tiny_catalog, tiny_clicks
    >>> clicks = tiny_clicks()
    >>> labels = ["cold_test" if clicks.items[at] == "g3" else "warm_train" for at in clicks.item_index]
    >>> from_labels(tiny_catalog(), clicks, labels)
    Split(from_labels(): clicks 21 train, 3 test; 8 items, 1 cold items)
    """
    if isinstance(labels, str) or len(labels) != len(clicks):
        raise InvalidInputError(f"`labels` must hold one label per click, {len(clicks):,}; got {len(labels):,}.")
    unknown = sorted(set(labels).difference(_LABELS), key=repr)
    if unknown:
        raise InvalidInputError(f"`labels` must be out of {list(_LABELS)}; got {some(unknown)}.")
    parts = np.array([_LABELS[label] for label in labels], dtype=np.int64)
    named_cold = np.array([label.startswith("cold") for label in labels], dtype=bool)
    trained = set(clicks.take(parts == TRAIN).items)
    cold = clicks.take(named_cold).items if named_cold.any() else [i for i in clicks.items if i not in trained]
    split = assemble(name, catalog, clicks, parts, cold_items=frozenset(cold), protocol=protocol)
    return replace(split, new_items_known=bool(named_cold.any()))
