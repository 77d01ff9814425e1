import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.rankers.hybrid.counts import foretold, popularity_weight, rated, text_share, unseen_odds


def test_the_weight_of_popularity_goes_by_the_logarithm_of_the_clicks_and_stays_flat_outside():
    users = np.array([[1.0], [2.0], [4.0], [8.0], [100.0]])
    found = popularity_weight(((2.0, 1.0), (8.0, 0.0)), users)
    np.testing.assert_allclose(found, [[1.0], [1.0], [0.5], [0.0], [0.0]], atol=1e-6)


def drawn(rates, n_clicks, seed=0):
    """Clicks of items that are drawn by their rates."""
    clicks = np.random.default_rng(seed).choice(len(rates), n_clicks, p=rates / rates.sum())
    return np.bincount(clicks, minlength=len(rates))


class TestUnseen:
    @pytest.mark.parametrize("n_clicks", [300, 3000])
    def test_where_few_items_get_most_clicks_those_without_any_are_expected_to_get_hardly_any(self, n_clicks):
        assert unseen_odds(drawn(1.0 / np.arange(1, 5001) ** 1.2, n_clicks)) < -3.0

    @pytest.mark.parametrize("n_clicks", [300, 3000])
    def test_where_all_items_are_alike_those_without_clicks_are_expected_to_get_about_as_many(self, n_clicks):
        assert -1.5 < unseen_odds(drawn(np.ones(5000), n_clicks)) <= 0.0

    def test_where_all_others_have_many_clicks_those_without_any_are_new(self):
        assert unseen_odds(np.append(np.full(100, 7), np.zeros(40, dtype=int))) == 0.0

    def test_one_item_with_one_click_says_little(self):
        assert unseen_odds(np.append(np.full(100, 7), [1] + [0] * 40)) == 0.0

    @pytest.mark.parametrize("counts", [[], [0, 0], [1, 1, 0], [1], [3, 2, 1], [5, 0]], ids=str)
    def test_of_hardly_anything_nothing_is_concluded(self, counts):
        assert unseen_odds(np.array(counts, dtype=int)) == 0.0

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.integers(0, 10**6), max_size=40))
    def test_it_is_a_finite_number_and_never_above_0(self, counts):
        found = unseen_odds(np.array(counts, dtype=int))
        assert np.isfinite(found)
        assert found <= 0.0


class TestForetold:
    def test_much_of_what_a_text_foretells_counts_beside_one_click_less_beside_more_and_nothing_beside_many(self):
        counts = np.array([0.1, 1.0, 4.0, 10.0, 11.0, 500.0], dtype=np.float32)
        np.testing.assert_allclose(foretold(counts), [0.8, 0.8, 0.4, 0.8 / np.sqrt(10.0), 0.0, 0.0], rtol=1e-6)


def test_text_has_half_a_say_at_few_clicks_nearly_all_before_and_hardly_any_after():
    np.testing.assert_allclose(text_share(np.array([1.0, 3.0, 9.0]), 3.0), [81 / 82, 0.5, 1 / 82], rtol=1e-6)
    assert text_share(np.array([0.5, 1e6]), 0.0).tolist() == [0.0, 0.0]


def test_odds_by_clicks_are_those_beside_an_item_with_the_mean():
    found = rated(np.array([0.0, 4.0, 9.0], dtype=np.float32), 4.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found), [0.5 / 4.5, 1.0, 9.5 / 4.5], rtol=1e-6)
