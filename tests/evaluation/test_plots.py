"""What is drawn are the numbers of the report."""

import sys

import numpy as np
import pytest

from coldstart.errors import InvalidInputError, MissingExtraError
from coldstart.evaluation.measured import Part
from coldstart.evaluation.report import Report

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

LABELS = ("0", "1-5", "6-20", "21-100", "over 100")
KINDS = ("groups", "counts", "users", "deciles", "warm_up")


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    plt.close("all")


def part(group="overall", ndcg=(0.0, 0.5, 1.0), **changed):
    facts = {
        "split": "mine",
        "clicks": 0,
        "users": tuple(range(len(ndcg))),
        "known": np.zeros(len(ndcg), dtype=np.int64),
        "values": {("ndcg", 5): np.array(ndcg) / 2, ("ndcg", 10): np.array(ndcg), ("recall", 5): np.ones(len(ndcg))},
        "totals": {("coverage", 10): 0.5},
        "by_count": dict(zip(LABELS, [(4, 1), (2, 2), (0, 0), (10, 5), (1, 0)], strict=True)),
        "deciles": np.linspace(0.19, 0.01, 10),
        "fit_seconds": 0.0,
        "answer_seconds": 0.0,
    }
    return Part(group=group, **facts | changed)


def report(*parts, name="ours"):
    return Report(name, parts or (part("cold", (0.1, 0.2, 0.6)), part()))


def lines(axes):
    return [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.get_lines()]


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_labelled_and_names_each_report(kind):
    axes = report().plot(kind, others=[report(name="theirs"), report(name="another")])
    assert labels(axes) == ["ours", "theirs", "another"]
    assert axes.get_ylabel()
    assert kind == "groups" or axes.get_xlabel()


@pytest.mark.parametrize("kind", KINDS)
def test_each_plot_is_a_new_figure(kind):
    first, second = report().plot(kind), report().plot(kind)
    assert first.figure is not second.figure


def test_groups_are_bars_of_the_metric_with_its_interval():
    one = report()
    axes = one.plot()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["cold", "overall"]
    assert axes.get_ylabel() == "ndcg@10"
    rows = [one.row("ndcg", 10, group) for group in ("cold", "overall")]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([row.value for row in rows])
    stems = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert stems == [pytest.approx([row.low, row.high]) for row in rows]


def test_bars_of_several_reports_stand_beside_each_other_around_the_tick():
    axes = report().plot(others=[report(name="theirs")])
    left = [bar.get_x() for bar in axes.patches]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.4] * 4)
    assert left == pytest.approx([-0.4, 0.6, 0.0, 1.0])


def test_bars_can_be_of_another_metric():
    axes = report().plot(metric="recall")
    assert axes.get_ylabel() == "recall@5"
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([1.0, 1.0])


def test_users_who_all_have_the_same_value_can_be_drawn():
    for users in (17, 19, 23, 29, 50, 100):
        axes = report(part(ndcg=[0.1] * users)).plot()
        assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.1])


def test_counts_are_recall_by_class_of_training_clicks():
    axes = report(part(), part(split="other", by_count=dict.fromkeys(LABELS, (4, 3)))).plot("counts")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(LABELS)
    assert lines(axes)[0] == pytest.approx([4 / 8, 5 / 6, 3 / 4, 8 / 14, 3 / 5])


def test_a_class_without_relevant_items_is_a_gap():
    assert np.isnan(lines(report(part()).plot("counts"))[0]).tolist() == [False, False, True, False, False]


def test_users_are_averaged_by_the_clicks_known_of_them():
    known = np.array([0, 1, 5, 6, 20, 21, 101, 5000])
    values = [0.1, 0.2, 0.4, 0.5, 0.7, np.nan, 0.8, 1.0]
    axes = report(part(ndcg=values, known=known)).plot("users")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(LABELS)
    np.testing.assert_allclose(lines(axes)[0], [0.1, 0.3, 0.6, np.nan, 0.9])
    assert axes.get_ylabel() == "ndcg"


def test_users_of_several_splits_are_pooled():
    axes = report(part(ndcg=(1.0,), known=np.array([0])), part(ndcg=(0.0, 0.5), known=np.array([0, 3]))).plot("users")
    np.testing.assert_allclose(lines(axes)[0], [0.5, 0.5, np.nan, np.nan, np.nan])


def test_deciles_are_the_mean_share_of_exposure():
    axes = report(part(), part(deciles=np.full(10, 0.1))).plot("deciles")
    assert lines(axes)[0] == pytest.approx(((np.linspace(0.19, 0.01, 10) + 0.1) / 2).tolist())
    assert axes.get_lines()[0].get_xdata().tolist() == list(range(1, 11))


@pytest.mark.parametrize("kind", ["counts", "users", "deciles"])
def test_plots_that_are_not_by_group_are_of_overall(kind):
    overall, cold = part(known=np.array([0, 0, 0])), part("cold", (0.9, 0.9, 0.9), deciles=np.full(10, 0.1))
    cold = Part(**{**vars(cold), "by_count": dict.fromkeys(LABELS, (9, 9))})
    expected = lines(report(overall).plot(kind))[0]
    np.testing.assert_array_equal(lines(report(cold, overall).plot(kind))[0], expected)
    assert not np.array_equal(lines(report(cold).plot(kind))[0], expected, equal_nan=True)


def test_warm_up_is_the_metric_of_the_cold_items_by_the_clicks_revealed():
    parts = [part("overall", clicks=k) for k in (0, 2, 5)]
    parts += [part("cold", (0.1 * k, 0.1 * k + 0.2), clicks=k) for k in (5, 0, 2)]
    axes = report(*parts).plot("warm_up")
    curve = axes.containers[0].lines[0]
    assert curve.get_xdata().tolist() == [0, 2, 5]
    assert curve.get_ydata().tolist() == pytest.approx([0.1, 0.3, 0.6])
    stems = axes.containers[0].lines[2][0].get_segments()
    assert stems[0][:, 1].tolist() == pytest.approx([0.0, 0.2])


def test_warm_up_without_cold_items_is_that_of_the_first_group():
    axes = report(part(clicks=1), part(clicks=3, ndcg=(1.0, 1.0, 1.0))).plot("warm_up")
    assert axes.containers[0].lines[0].get_ydata().tolist() == pytest.approx([0.5, 1.0])


def test_splits_with_equally_many_revealed_clicks_are_one_point():
    axes = report(part(ndcg=(0.0,)), part(ndcg=(1.0,), split="other")).plot("warm_up")
    assert axes.containers[0].lines[0].get_ydata().tolist() == pytest.approx([0.5])


@pytest.mark.parametrize("kind", ["pie", "", None])
def test_an_unknown_kind_is_named_beside_those_there_are(kind):
    expected = rf"`kind` must be one of \['groups', 'counts', 'users', 'deciles', 'warm_up'\]; got {kind!r}"
    with pytest.raises(InvalidInputError, match=expected):
        report().plot(kind)


@pytest.mark.parametrize("kind", ["groups", "users", "warm_up"])
def test_an_unknown_metric_is_named(kind):
    with pytest.raises(InvalidInputError, match="`metric` must be one of .*; got 'auc'"):
        report().plot(kind, metric="auc")


@pytest.mark.parametrize("kind", ["users", "warm_up"])
def test_a_metric_without_values_per_user_cannot_be_plotted_by_user(kind):
    with pytest.raises(InvalidInputError, match="coverage"):
        report().plot(kind, metric="coverage")


def test_a_refused_plot_leaves_no_figure_open():
    with pytest.raises(InvalidInputError):
        report().plot(metric="auc")
    assert plt.get_fignums() == []


def test_a_group_that_another_report_lacks_is_named():
    with pytest.raises(InvalidInputError, match=r"`group` must be one of \['overall'\]; got 'cold'"):
        report().plot(others=[report(part())])


def test_a_name_may_begin_with_an_underscore():
    assert labels(report(name="_mine").plot()) == [" _mine"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r"Report.plot needs the package `matplotlib`.*coldstart-rec\[plot\]"):
        report().plot()
