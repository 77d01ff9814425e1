"""A fitted recommender shown as one line and as a table.

A file of its own, though short: what is shown in a notebook changes for other reasons than what is fitted.
"""

from textwrap import shorten

from coldstart._tables import as_html
from coldstart.pipeline.state import Fitted

MAX_CHARS = 160
"""Length of the line, at most."""

MAX_FIELDS = 3
"""Fields named in the line, at most; the others are counted."""


def as_line(fitted: Fitted) -> str:
    """Return the ranker, the number of items and clicks, and the fields as one line."""
    fields = fitted.catalog.fields
    more = len(fields) - MAX_FIELDS
    named = ", ".join(fields[:MAX_FIELDS]) + (f" and {more} more" if more > 0 else "")
    ranker = type(fitted.parts.ranker).__name__
    line = f"{ranker}, {_items(fitted)}, {_clicks(fitted)}, fields: {named}"
    return f"Recommender({shorten(line, MAX_CHARS, placeholder=' ...')})"


def as_table(fitted: Fitted) -> str:
    """Return items, clicks, fields and parts as HTML."""
    catalog, parts = fitted.catalog, fitted.parts
    encoders = dict.fromkeys(type(encoder).__name__ for encoder in parts.encoders.values())
    others = [name for name in catalog.columns if name not in catalog.fields]
    lines = [
        ["items", _items(fitted)],
        ["clicks", _clicks(fitted)],
        ["fields", ", ".join(catalog.fields)],
        ["other columns", ", ".join(others) or "none"],
        ["encoder", ", ".join(encoders)],
        ["fuser", type(parts.fuser).__name__],
        ["ranker", type(parts.ranker).__name__],
        ["index", type(parts.index).__name__],
        ["exact words", "read" if fitted.texts is not None and fitted.texts.lexical is not None else "not read"],
    ]
    return as_html("Recommender", [["", ""], *lines])


def _items(fitted: Fitted) -> str:
    return f"{len(fitted.catalog):,} items"


def _clicks(fitted: Fitted) -> str:
    if not fitted.clicks.nnz:
        return "no clicks"
    return f"{fitted.clicks.nnz:,} clicks of {len(fitted.user_ids):,} users"
