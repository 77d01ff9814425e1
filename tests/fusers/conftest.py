"""Small worlds for fusers."""

import pytest

from coldstart.fusers import _fields


@pytest.fixture(autouse=True)
def _few_clicks_count_fully(request, monkeypatch):
    """A test has tens of clicks, not thousands: leave out the prior, except where it is what is tested."""
    if "keep_prior" not in request.keywords:
        monkeypatch.setattr(_fields, "PRIOR_PAIRS", 0)
