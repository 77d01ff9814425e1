import numpy as np
import pytest

from coldstart.rankers.hybrid.counts import YOUNG
from coldstart.rankers.hybrid.settings import Settings


@pytest.mark.parametrize(
    ("settings", "most"),
    [(Settings(), YOUNG), (Settings(few=0.0), 0), (Settings(rate=0.5), np.inf), (Settings(few=0.0, rate=2.0), np.inf)],
    ids=["few clicks", "none", "at a start", "at a start, whatever few is"],
)
def test_texts_are_asked_of_items_with_few_clicks_and_at_a_start_of_all(settings, most):
    assert settings.most_young == most
