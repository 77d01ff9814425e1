import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError
from coldstart.metrics import bootstrap, holm, paired_bootstrap

RNG = np.random.default_rng(7)
VALUES = RNG.random(60)


def width(interval):
    return interval.high - interval.low


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.90, 0.985), (0.6, 0.5, 0.7)])
def test_the_interval_covers_the_known_mean_as_often_as_its_level_says(level, least, most):
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.exponential(2.0, 60), level=level, draws=300, rng=rng) for _ in range(200)]
    assert least < np.mean([low < 2.0 < high for _, low, high, _ in intervals]) < most


def test_without_a_difference_p_is_below_5_percent_about_one_time_in_twenty():
    rng = np.random.default_rng(0)
    p = np.array([bootstrap(rng.standard_normal(60), draws=300, rng=rng).p for _ in range(300)])
    assert 0.02 < np.mean(p < 0.05) < 0.1
    assert 0.4 < np.mean(p < 0.5) < 0.6


def test_the_width_of_the_interval_is_that_of_the_normal_theory():
    interval = bootstrap(RNG.standard_normal(400), draws=4000)
    assert width(interval) == pytest.approx(2 * 1.96 / 20, rel=0.12)
    assert interval.low < interval.mean < interval.high


def test_the_mean_is_the_mean_of_the_values():
    assert bootstrap(VALUES).mean == pytest.approx(VALUES.mean())


def test_a_higher_level_is_a_wider_interval_around_the_same_mean():
    narrow, wide = (bootstrap(VALUES, level=level) for level in (0.5, 0.999))
    assert narrow.mean == wide.mean
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("rng", [3, np.random.SeedSequence(3)], ids=["int", "SeedSequence"])
def test_the_same_rng_draws_the_same_interval(rng):
    assert bootstrap(VALUES, rng=rng) == bootstrap(VALUES, rng=rng)
    assert bootstrap(VALUES, rng=rng) == bootstrap(VALUES, rng=np.random.default_rng(3))
    assert bootstrap(VALUES, rng=rng) != bootstrap(VALUES, rng=4)


def test_by_default_two_calls_agree():
    assert bootstrap(VALUES) == bootstrap(VALUES, rng=0, draws=2000, level=0.95)


def test_values_of_one_user_are_drawn_together():
    users = list(range(60))
    once = bootstrap(VALUES, users)
    assert bootstrap(np.repeat(VALUES, 2), np.repeat(users, 2).tolist()) == pytest.approx(once)
    assert bootstrap(np.tile(VALUES, 3), users * 3) == pytest.approx(once)
    assert width(bootstrap(np.repeat(VALUES, 4))) < 0.6 * width(once)


def test_users_with_one_value_each_are_the_default():
    assert bootstrap(VALUES, [f"u{at}" for at in range(60)]) == bootstrap(VALUES)


def test_the_interval_of_one_user_has_no_width():
    assert bootstrap(np.array([0.2, 0.4]), ["u", "u"])[:3] == pytest.approx((0.3, 0.3, 0.3))


def test_users_are_weighted_by_their_number_of_values():
    interval = bootstrap(np.array([0.0, 0.0, 0.0, 1.0]), ["u", "u", "u", "v"])
    assert interval[:3] == (0.25, 0.0, 1.0)


def test_nan_are_left_out():
    holes = np.insert(VALUES, [0, 7, 60], np.nan)
    users = [f"u{at}" for at in range(63)]
    assert bootstrap(holes) == bootstrap(VALUES)
    assert bootstrap(holes, users) == bootstrap(VALUES)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
@pytest.mark.parametrize("named", [True, False])
def test_without_values_all_is_nan(values, named):
    interval = bootstrap(np.array(values), ["u"] * len(values) if named else None)
    assert np.isnan(interval).tolist() == [True] * 4


@pytest.mark.parametrize(
    ("values", "p"), [([1.0, 2.0, 3.0], 2 / 501), ([-1.0, -2.0, -3.0], 2 / 501), ([0.0, 0.0], 1.0), ([0.0], 1.0)]
)
def test_p_is_smallest_on_one_side_of_zero_and_1_at_zero(values, p):
    assert bootstrap(np.array(values), draws=500).p == pytest.approx(p)


def test_p_is_twice_the_share_of_means_beyond_zero():
    values = np.array([-1.0, 3.0])
    beyond = bootstrap(values, draws=10_000, rng=1)
    assert beyond.p == pytest.approx(2 * 0.25, abs=0.03)


def test_negated_values_have_the_negated_interval_and_the_same_p():
    values = VALUES - 0.45
    one, other = bootstrap(values), bootstrap(-values)
    assert other[:3] == pytest.approx((-one.mean, -one.high, -one.low))
    assert 0.01 < one.p == other.p < 1


@pytest.mark.parametrize("draws", [100, 199, 200, 201, 450])
def test_any_number_of_draws_is_drawn_in_full(draws):
    assert bootstrap(np.array([1.0, 2.0]), draws=draws).p == pytest.approx(2 / (draws + 1))


def test_an_interval_consists_of_python_floats():
    assert [type(part) for part in bootstrap(VALUES)] == [float] * 4


@pytest.mark.parametrize("named", [True, False])
def test_every_column_gets_the_interval_it_would_get_alone(named):
    columns = np.column_stack([VALUES, VALUES[::-1] ** 2, VALUES - 0.45])
    users = [at % 20 for at in range(60)] if named else None
    together = bootstrap(columns, users)
    assert [part.shape for part in together] == [(3,)] * 4
    for at in range(3):
        assert [part[at] for part in together] == pytest.approx(bootstrap(columns[:, at], users))


def test_columns_are_resampled_together():
    low, high = bootstrap(np.column_stack([VALUES, VALUES + 1, -VALUES]))[1:3]
    assert low[1] == pytest.approx(low[0] + 1)
    assert low[2] == pytest.approx(-high[0])


@pytest.mark.parametrize("named", [True, False])
def test_nan_are_left_out_of_their_own_column_only(named):
    columns = np.column_stack([VALUES, np.where(np.arange(60) < 30, VALUES, np.nan), np.full(60, np.nan)])
    mean, low, high, p = bootstrap(columns, list("ab" * 30) if named else None)
    assert mean[:2] == pytest.approx([VALUES.mean(), VALUES[:30].mean()])
    assert (low[:2] <= mean[:2]).all()
    assert (mean[:2] <= high[:2]).all()
    assert np.isnan([mean[2], low[2], high[2], p[2]]).all()


def test_a_column_with_nan_has_about_the_interval_of_its_values():
    values = np.random.default_rng(0).random(300)
    actual = bootstrap(np.column_stack([np.ones(600), np.concatenate([values, np.full(300, np.nan)])]))
    alone = bootstrap(values)
    assert [part[1] for part in actual] == pytest.approx(alone, abs=0.005)


def test_pairs_may_be_in_columns():
    one, other = np.column_stack([VALUES, VALUES]), np.column_stack([VALUES - 0.1, VALUES + 0.1])
    actual = paired_bootstrap(one, other)
    assert actual.mean.tolist() == pytest.approx([0.1, -0.1])
    assert actual.p.tolist() == pytest.approx([2 / 2001] * 2)


def test_resamples_without_a_value_do_not_count_for_p():
    values = np.full((40, 2), np.nan)
    values[:, 0], values[:2, 1] = 1.0, [-1.0, 1.01]
    drawn = np.random.default_rng(1).integers(0, 40, (20_000, 40))
    minus, plus = ((drawn == at).sum(axis=1) for at in (0, 1))
    expected = 2 * (minus > plus).sum() / (minus + plus > 0).sum()
    assert bootstrap(values, draws=20_000).p[1] == pytest.approx(expected, abs=0.03)


def test_a_paired_interval_is_narrower_where_users_are_hard_or_easy_for_both():
    hard = RNG.random(80)
    one, other = hard + 0.05 * RNG.random(80), hard + 0.05 * RNG.random(80)
    paired = width(paired_bootstrap(one, other))
    assert paired < 0.2 * min(width(bootstrap(one)), width(bootstrap(other)))


@pytest.mark.parametrize("named", [True, False])
def test_a_paired_bootstrap_is_a_bootstrap_of_the_differences(named):
    others = RNG.random(60)
    users = [at % 20 for at in range(60)] if named else None
    how = {"level": 0.8, "draws": 300, "rng": 5}
    assert paired_bootstrap(VALUES, others, users, **how) == bootstrap(VALUES - others, users, **how)


def test_a_user_without_one_of_the_two_values_is_left_out():
    one, other = np.array([np.nan, 1.0, 2.0, 4.0]), np.array([5.0, np.nan, 1.0, 1.0])
    assert paired_bootstrap(one, other) == bootstrap(np.array([1.0, 3.0]))


def test_values_may_be_lists_and_are_not_changed():
    one, other = [0.5, float("nan"), 0.7], np.array([0.1, 0.2, 0.3])
    assert paired_bootstrap(one, other).mean == pytest.approx(0.4)
    assert [one[0], one[2], *other] == [0.5, 0.7, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("level", [0.4, 1.0, 95, float("nan"), "0.95"])
def test_the_level_must_be_a_share(level):
    for interval in (bootstrap, lambda values, **how: paired_bootstrap(values, values, **how)):
        with pytest.raises(InvalidInputError, match="`level` must be between 0.5 and 0.999; got"):
            interval(VALUES, level=level)


@pytest.mark.parametrize("draws", [99, 0, 10**7 + 1, 200.0])
def test_there_must_be_draws_enough(draws):
    with pytest.raises(InvalidInputError, match="`draws` must be .*between 100 and 10,000,000; got"):
        bootstrap(VALUES, draws=draws)


@pytest.mark.parametrize("n", [0, 59, 61])
def test_there_must_be_one_user_per_value(n):
    with pytest.raises(InvalidInputError, match=f"`users` must name one user per value, 60; got {n}"):
        bootstrap(VALUES, ["u"] * n)


def test_paired_values_must_be_of_the_same_users():
    with pytest.raises(
        InvalidInputError, match=r"`values` and `others` must be of the same users; got \(60,\) and \(1,\)"
    ):
        paired_bootstrap(VALUES, VALUES[:1])


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.01, 0.03, 0.02], [0.06, 0.04, 0.06, 0.06]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.2, 0.001, 0.6], [0.4, 0.003, 0.6]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_values_of_holm(p, corrected):
    actual = holm(p)
    assert actual.dtype == np.float64
    assert actual.tolist() == pytest.approx(corrected)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_keeps_their_order_and_stays_below_1(p):
    corrected = holm(p)
    before = list(p)
    assert p == before
    assert all(one <= after <= 1 for one, after in zip(p, corrected, strict=True))
    pairs = itertools.combinations(zip(p, corrected, strict=True), 2)
    assert all((p1 < p2) <= (c1 <= c2) and (p1 > p2) <= (c1 >= c2) for (p1, c1), (p2, c2) in pairs)
    assert holm(p[::-1]).tolist() == corrected[::-1].tolist()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=6), st.sampled_from([0.01, 0.05, 0.1]))
def test_holm_rejects_what_stepping_down_by_hand_rejects(p, alpha):
    rejected, left = set(), sorted(range(len(p)), key=lambda at: p[at])
    while left and p[left[0]] * len(left) <= alpha:
        rejected.add(left.pop(0))
    assert {at for at, value in enumerate(holm(p)) if value <= alpha} == rejected
