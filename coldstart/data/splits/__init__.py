"""Splits for evaluation: drawn at random, cut in time, or published by others.

Each takes a catalogue and clicks, and returns a ``Split``, which checks itself for leaks. Repeated clicks of a user on
an item always go to the same part. Shares are rounded to whole items, users or pairs.
"""

from coldstart.data.split import Split
from coldstart.data.splits.drawn import item_cold, k_click, random, user_cold, warm_up
from coldstart.data.splits.published import from_labels
from coldstart.data.splits.timed import by_time, leave_last_out

__all__ = [
    "Split",
    "by_time",
    "from_labels",
    "item_cold",
    "k_click",
    "leave_last_out",
    "random",
    "user_cold",
    "warm_up",
]
