"""What clicks teach of attention."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.fusers._attention import MIN_PAIRS, learn_attention
from coldstart.fusers.attention import AttentionFuser

N_ITEMS = 60
KIND = np.arange(N_ITEMS) % 3


def world(seed=0, n_users=120):
    """Users click items of one kind; the signal says which kind an item is of, the noise says nothing."""
    rng = np.random.default_rng(seed)
    signal = np.eye(3, 8)[KIND] + 0.3 * rng.standard_normal((N_ITEMS, 8))
    fields = {"noise": rng.standard_normal((N_ITEMS, 8)), "signal": signal}
    clicks = (KIND[None] == (np.arange(n_users) % 3)[:, None]) & (rng.random((n_users, N_ITEMS)) < 0.6)
    return {name: rows.astype(np.float32) for name, rows in fields.items()}, csr_array(clicks.astype(np.float32))


def nothing_missing():
    return np.zeros((N_ITEMS, 2), dtype=bool)


def test_users_attend_to_the_field_that_explains_their_clicks():
    fields, clicks = world()
    fuser = AttentionFuser().fit(fields, nothing_missing(), clicks)
    assert fuser.biases_["signal"] > fuser.biases_["noise"] + 1.0
    assert fuser.weights_["signal"] > 0.7
    assert sum(fuser.weights_.values()) == pytest.approx(1.0, abs=1e-5)


def test_the_order_of_fields_does_not_matter():
    fields, clicks = world()
    one = AttentionFuser().fit(fields, nothing_missing(), clicks)
    other = AttentionFuser().fit(dict(reversed(fields.items())), nothing_missing(), clicks)
    assert other.biases_ == pytest.approx(one.biases_, abs=0.3)  # other fields are left out at random


def test_from_few_clicks_nothing_is_learned():
    fields, clicks = world(n_users=30)
    assert clicks.nnz < MIN_PAIRS
    assert learn_attention(fields, nothing_missing(), clicks) is None
    assert AttentionFuser().fit(fields, nothing_missing(), clicks).biases_ == {}


def test_attention_to_queries_is_as_without_clicks():
    fields, clicks = world()
    query = fields["noise"][0]
    without_clicks = AttentionFuser().fit(fields, nothing_missing()).attention(fields, nothing_missing(), query)
    with_clicks = AttentionFuser().fit(fields, nothing_missing(), clicks).attention(fields, nothing_missing(), query)
    assert np.array_equal(with_clicks, without_clicks)


def test_a_missing_field_has_no_attention_and_the_other_all():
    fields, clicks = world()
    missing = nothing_missing()
    missing[:5, 1] = True
    missing[7] = True
    weights = AttentionFuser().fit(fields, missing, clicks).attention_of(fields["signal"][0], fields, missing)
    assert np.allclose(weights[:5], [[1.0, 0.0]] * 5)
    assert not weights[7].any()
    assert np.allclose(np.delete(weights, 7, axis=0).sum(axis=1), 1.0, atol=1e-6)


def test_learning_is_the_same_every_time():
    one, other = (learn_attention(world()[0], nothing_missing(), world()[1]) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1] == other[1]
