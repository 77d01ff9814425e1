import numpy as np
import pytest

from coldstart.errors import InvalidInputError
from coldstart.evaluation.comparison import Difference
from coldstart.evaluation.measured import Part
from coldstart.evaluation.report import Report
from coldstart.metrics.significance import holm, paired_bootstrap

USERS = 60
LEVEL = np.random.default_rng(0).random(USERS)
NOISE = np.random.default_rng(1).normal(0.0, 0.3, USERS)


def part(values, group="overall", split="mine", first=0):
    """A metric "ndcg" as given, and others beside it."""
    values = np.asarray(values, dtype=np.float64)
    by_metric = {
        ("ndcg", 5): values / 2,
        ("ndcg", 10): values,
        ("recall", 10): LEVEL[: len(values)],
        ("mrr", 10): values,
    }
    users = tuple(range(first, first + len(values)))
    nothing = np.zeros(10)
    return Part(split, 0, group, users, nothing, by_metric, {("coverage", 10): 0.5}, {}, nothing, 0.0, 0.0)


def report(*values, name="ours", **facts):
    groups = ("overall", "cold", "warm")
    return Report(name, tuple(part(one, group, **facts) for one, group in zip(values, groups, strict=False)))


def row_of(comparison, metric="ndcg", group="overall"):
    return next(row for row in comparison.rows if (row.metric, row.group) == (metric, group))


def test_a_report_does_not_differ_from_itself():
    same = report(LEVEL, LEVEL)
    for row in same.compare(same).rows:
        assert (row.difference, row.low, row.high, row.p) == (0.0, 0.0, 0.0, 1.0)
        assert row.value == row.other


def test_a_difference_for_every_user_is_significant():
    row = row_of(report(LEVEL + 0.2).compare(report(LEVEL)))
    assert row.difference == pytest.approx(0.2)
    assert row.low == pytest.approx(0.2)
    assert row.p < 0.01


def test_the_users_are_paired():
    """Users differ by far more than the two reports do, and the difference is sure all the same."""
    better = report(LEVEL + 0.02 + 0.01 * NOISE)
    assert row_of(better.compare(report(LEVEL))).low > 0.01
    assert better.row("ndcg").low < report(LEVEL).row("ndcg").high


def test_a_difference_within_the_noise_is_not_significant():
    row = row_of(report(LEVEL + NOISE - NOISE.mean() + 0.001).compare(report(LEVEL)))
    assert row.low < 0 < row.high
    assert row.p > 0.5


def test_exchanging_the_reports_changes_the_sign():
    one, other = report(LEVEL + NOISE), report(LEVEL)
    there, back = row_of(one.compare(other)), row_of(other.compare(one))
    assert there.difference == pytest.approx(-back.difference)
    assert (there.value, there.other) == (back.other, back.value)
    assert there.low == pytest.approx(-back.high, abs=0.03)


def test_numbers_are_those_of_the_paired_bootstrap_over_all_users():
    one, other = LEVEL + NOISE, LEVEL
    row = row_of(report(one).compare(report(other), metrics=["ndcg"]))
    actual = paired_bootstrap(one, other, draws=2_000)
    expected = (one.mean(), other.mean(), actual.mean, actual.low, actual.high, actual.p)
    assert row[3:] == pytest.approx(expected)


def test_p_values_are_corrected_over_all_rows():
    one, other = report(LEVEL + NOISE / 9 + 0.01, LEVEL + NOISE / 2), report(LEVEL, LEVEL)
    alone = [
        row_of(Report("r", (side.of(group)[0],)).compare(Report("s", (base.of(group)[0],)), [metric]), metric, group).p
        for side, base in [(one, other)]
        for group in ("overall", "cold")
        for metric in ("ndcg", "recall", "mrr")
    ]
    together = [row.p for row in one.compare(other).rows]
    np.testing.assert_allclose(together, holm(alone))
    assert max(np.array(together) - alone) > 0.01
    assert (np.array(together) >= alone).all()


def test_there_is_a_row_per_group_and_metric_at_the_largest_k():
    actual = report(LEVEL, LEVEL).compare(report(LEVEL, LEVEL, LEVEL))
    expected = [(group, metric, 10) for group in ("overall", "cold") for metric in ("ndcg", "recall", "mrr")]
    assert [row[:3] for row in actual.rows] == expected


def test_metrics_and_k_can_be_chosen():
    actual = report(LEVEL + 0.2).compare(report(LEVEL), ["ndcg"], 5)
    assert [row[:3] for row in actual.rows] == [("overall", "ndcg", 5)]
    assert actual.rows[0].difference == pytest.approx(0.1)


def test_users_without_a_value_in_one_of_the_reports_do_not_count_in_the_difference():
    holes = LEVEL + 0.2
    holes[:10] = np.nan
    row = row_of(report(holes).compare(report(LEVEL)))
    assert row.difference == pytest.approx(0.2)
    assert row.value == pytest.approx(np.nanmean(holes))


def test_several_splits_are_pooled_and_the_values_of_a_user_are_resampled_together():
    def both(shift):
        parts = (part(LEVEL + shift), part(LEVEL[:20] + 2 * shift, split="other"))
        return Report("r", parts)

    row = row_of(both(0.1).compare(both(0.0)))
    assert row.difference == pytest.approx((60 * 0.1 + 20 * 0.2) / 80)
    once, thrice = (
        row_of(Report("r", (part(LEVEL + NOISE),) * n).compare(Report("s", (part(LEVEL),) * n))) for n in (1, 3)
    )
    assert thrice[3:] == pytest.approx(once[3:])


@pytest.mark.parametrize(
    "other",
    [
        report(LEVEL[:-1]),
        report(LEVEL, first=1),
        report(LEVEL, split="another"),
        Report("s", (part(LEVEL), part(LEVEL, split="another"))),
    ],
    ids=["fewer users", "other users", "another split", "one split more"],
)
def test_reports_on_different_splits_or_users_cannot_be_compared(other):
    expected = "`other` must be a report on the same splits and users; in 'overall' they differ.*Evaluate both on one"
    with pytest.raises(InvalidInputError, match=expected):
        report(LEVEL).compare(other)


def test_a_group_that_the_other_lacks_is_named():
    with pytest.raises(InvalidInputError, match=r"`group` must be one of \['overall'\]; got 'cold'"):
        report(LEVEL, LEVEL).compare(report(LEVEL))


def test_a_metric_or_length_that_either_lacks_is_named():
    one = report(LEVEL)
    with pytest.raises(InvalidInputError, match=r"`metric` must be one of .*; got 'auc' with k=None"):
        one.compare(one, ["auc"])
    shorter = Report("s", tuple(Part(**{**vars(p), "values": {("ndcg", 5): LEVEL}}) for p in one.parts))
    with pytest.raises(InvalidInputError, match=r"`metric` must be one of .*; got 'ndcg' with k=10"):
        one.compare(shorter, ["ndcg"])


def test_a_metric_without_values_per_user_cannot_be_compared():
    one = report(LEVEL)
    with pytest.raises(InvalidInputError, match="coverage"):
        one.compare(one, ["coverage"])


def test_no_metrics_are_refused():
    with pytest.raises(InvalidInputError, match="`metrics` must"):
        report(LEVEL).compare(report(LEVEL), [])


def test_a_metric_that_no_user_has_a_value_of_is_nan():
    nothing = report(np.full(USERS, np.nan))
    row = row_of(nothing.compare(nothing))
    assert np.isnan(row[3:]).all()


def test_a_frame_has_a_column_per_number(monkeypatch):
    actual = report(LEVEL).compare(report(LEVEL))
    frame = actual.to_frame()
    assert list(frame.columns) == list(Difference._fields)
    assert frame.p.tolist() == [1.0] * 3
    monkeypatch.setattr("coldstart._extras.find_spec", lambda _: None)
    assert actual.to_frame()["difference"] == [0.0] * 3


def test_the_table_shows_both_values_the_interval_and_the_p_value():
    actual = report(LEVEL + 0.2, name="a <b>").compare(report(LEVEL, name="c & d"), ["ndcg"])
    title, head, line = repr(actual).splitlines()
    assert title == "a <b> minus c & d"
    assert head.split() == ["group", "metric", "this", "other", "difference", "p", "(Holm)"]
    shown = [f"{LEVEL.mean() + 0.2:.4f}", f"{LEVEL.mean():.4f}", "+0.2000", "[+0.2000,", "+0.2000]", "0.0010"]
    assert line.split() == ["overall", "ndcg@10", *shown]


def test_names_are_escaped_in_html():
    shown = report(LEVEL, name="a <b>").compare(report(LEVEL, name="c & d"))._repr_html_()
    assert "<p>a &lt;b&gt; minus c &amp; d</p>" in shown
    assert "<td>overall</td><td>ndcg@10</td>" in shown
