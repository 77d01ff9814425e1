import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.evidence import SOURCES, Evidence, base_rate


def evidence(seed=0, m=2, n=6, **given):
    rng = np.random.default_rng(seed)
    terms = {name: rng.standard_normal((m, n)).astype(np.float32) for name in SOURCES}
    return Evidence(**{**terms, "against": rng.random((m, n)).astype(np.float32), **given})


def test_evidence_adds_up_and_what_is_not_wanted_is_taken_off():
    found = evidence()
    expected = found.lexical + found.content + found.collaborative + found.popularity - found.against
    np.testing.assert_allclose(found.total, expected, atol=1e-6)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_says_nothing_adds_nothing_and_has_no_share(name):
    silent = evidence(**{name: np.zeros((2, 6), dtype=np.float32)})
    at = SOURCES.index(name)
    others = [getattr(silent, other) for other in SOURCES if other != name]
    np.testing.assert_allclose(silent.total, sum(others) - silent.against, atol=1e-6)
    below = np.all([term <= term.mean(axis=1, keepdims=True) for term in others], axis=0)
    assert not silent.shares()[at][~below].any()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_shares_are_of_each_item_from_0_to_1_and_sum_to_1(seed, n):
    shares = evidence(seed, n=n).shares()
    assert shares.shape == (4, 2, n)
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-5)


def test_a_share_is_what_a_source_raises_an_item_by_above_the_mean():
    zero = np.zeros((1, 2), dtype=np.float32)
    words, clicks = np.array([[3.0, 1.0]], dtype=np.float32), np.array([[4.0, 0.0]], dtype=np.float32)
    found = Evidence(words, zero, clicks, zero, zero).shares()
    np.testing.assert_allclose(found[:, 0, 0], [1 / 3, 0.0, 2 / 3, 0.0], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], [0.0, 1.0, 0.0, 0.0])


def test_the_base_rate_is_the_logarithm_of_the_clicks_and_that_of_arrivals_is_the_usual_one():
    counts, arrived = np.array([0.0, 9.5, 0.0], dtype=np.float32), np.array([False, False, True])
    np.testing.assert_allclose(base_rate(counts, 4.5, arrived), np.log([0.5, 10.0, 5.0]), rtol=1e-6)
