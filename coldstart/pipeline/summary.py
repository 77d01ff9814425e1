"""A fitted recommender in one line and in one table."""

from textwrap import shorten

from coldstart._tables import as_html
from coldstart.pipeline.state import Fitted

MOST = 160
"""Letters of the line."""

FEW = 3
"""Fields that the line names."""


def as_line(fitted: Fitted) -> str:
    """Say how much is known and what ranks it, in one line without settings."""
    fields = fitted.catalog.fields
    named = ", ".join(fields[:FEW]) + (f" and {len(fields) - FEW} more" if len(fields) > FEW else "")
    ranker = type(fitted.parts.ranker).__name__
    line = f"{ranker}, {_items(fitted)}, {_clicks(fitted)}, fields: {named}"
    return f"Recommender({shorten(line, MOST, placeholder=' ...')})"


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
    return f"{fitted.clicks.nnz:,} clicks of {len(fitted.people):,} users"
