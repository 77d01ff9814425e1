"""Reports made by hand: the values of each user are known, and so is what they come to."""

import json
from dataclasses import FrozenInstanceError, fields, replace
from datetime import date

import numpy as np
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError, SavedFolderError
from coldstart.evaluation.measured import Measured, Part, Row
from coldstart.evaluation.report import Report
from coldstart.testing import HashEncoder

COUNTS = {"0": (2, 1), "1-5": (0, 0), "6-20": (0, 0), "21-100": (0, 0), "over 100": (0, 0)}


def part(group="overall", ndcg=(0.0, 0.5, 1.0), users=None, split="mine", **changed):
    values = {(name, k): np.array(ndcg) * k / 5 for name in ("ndcg", "recall", "hit_rate", "mrr") for k in (1, 5)}
    facts = {
        "clicks": 0,
        "known": np.arange(len(ndcg)),
        "values": values,
        "totals": {("coverage", 5): 0.25, ("gini", 5): 0.75},
        "by_count": COUNTS,
        "deciles": np.linspace(0.19, 0.01, 10),
        "fit_seconds": 1.5,
        "answer_seconds": 0.25,
    }
    names = tuple(f"u{at}" for at in range(len(ndcg))) if users is None else users
    return Part(split=split, group=group, users=names, **facts | changed)


@pytest.fixture
def report():
    return Report("ours", (part(), part("cold", (0.1, 0.3), split="mine")))


@pytest.fixture
def measured(catalog, clicks):
    """A report as evaluate makes it, of two groups of two splits, users of many types."""
    ids = {"u0": 1, "u1": "1", "u2": ("t", 2.5), "u3": date(2024, 2, 29), "v0": "日本", "v1": -7, "v2": 2.5}
    rows = [{"u": ids.get(user, user), "i": item} for user, item in clicks.pairs()]
    mixed = cs.Interactions.from_frame(rows, user="u", item="i")
    splits = [cs.splits.item_cold(catalog, mixed, validation=0.0, test=0.25, rng=rng) for rng in (0, 1)]
    return cs.evaluate(cs.Recommender(encoder=HashEncoder()), splits, (1, 3), ["overall", "cold"], progress=False)


class TestNumbers:
    def test_a_value_is_the_mean_over_the_users(self, report):
        assert report.value("ndcg", 5) == pytest.approx(0.5)
        assert report.value("ndcg", 5, "cold") == pytest.approx(0.2)

    def test_the_largest_k_is_the_default(self, report):
        assert report.value("ndcg") == report.value("ndcg", 5) > report.value("ndcg", 1)

    def test_ndcg_overall_is_the_default(self, report):
        assert report.value() == report.value("ndcg", 5, "overall")

    def test_a_row_has_the_interval_around_the_value(self, report):
        row = report.row("ndcg", 5)
        assert row[:3] == ("overall", "ndcg", 5)
        assert 0.0 <= row.low < row.value < row.high <= 1.0

    def test_more_users_have_a_narrower_interval(self):
        few, many = (Report("r", (part(ndcg=[0.0, 1.0] * n),)).row() for n in (20, 2_000))
        assert many.value == few.value == 0.5
        assert many.high - many.low < (few.high - few.low) / 5

    def test_metrics_of_all_lists_together_have_no_interval(self, report):
        row = report.row("coverage")
        assert row.value == 0.25
        assert np.isnan([row.low, row.high]).all()

    def test_users_without_a_value_are_left_out(self):
        assert Report("r", (part(ndcg=(np.nan, 0.5, 1.0)),)).value() == pytest.approx(0.75)

    def test_splits_are_pooled_by_user_and_totals_are_averaged(self):
        parts = (part(ndcg=(1.0,), totals={("coverage", 5): 0.5}), part(ndcg=(0.0, 0.0, 0.0), split="other"))
        report = Report("r", (parts[0], replace(parts[1], totals={("coverage", 5): 1.0})))
        assert report.groups == ["overall"]
        assert report.of("overall") == list(parts[:1]) + [report.parts[1]]
        assert report.value() == pytest.approx(0.25)
        assert report.value("coverage") == pytest.approx(0.75)

    def test_rows_are_in_the_order_of_groups_and_metrics(self, report):
        rows = [(row.group, row.metric, row.k) for row in report.rows]
        metrics = [(m, k) for m in ("ndcg", "recall", "hit_rate", "mrr") for k in (1, 5)]
        assert rows == [(g, *key) for g in ("overall", "cold") for key in [*metrics, ("coverage", 5), ("gini", 5)]]

    def test_the_same_values_give_the_same_intervals(self, report):
        np.testing.assert_array_equal(
            [row[3:] for row in Report("other", report.parts).rows], [row[3:] for row in report.rows]
        )

    @pytest.mark.parametrize("ask", ["of", "value", "row"])
    def test_a_group_that_was_not_measured_is_named(self, report, ask):
        arguments = {"group": "warm"}
        with pytest.raises(InvalidInputError, match=r"`group` must be one of \['overall', 'cold'\]; got 'warm'"):
            getattr(report, ask)(**arguments)

    @pytest.mark.parametrize(
        ("metric", "k", "got"), [("auc", None, "'auc' with k=None"), ("ndcg", 10, "'ndcg' with k=10")]
    )
    def test_a_metric_or_length_that_was_not_measured_is_named(self, report, metric, k, got):
        expected = rf"`metric` must be one of \['ndcg@1', 'ndcg@5', 'recall@1', .*'coverage@5', 'gini@5'\]; got {got}\."
        with pytest.raises(InvalidInputError, match=expected):
            report.value(metric, k)

    def test_a_report_cannot_be_changed(self, report):
        with pytest.raises(FrozenInstanceError):
            report.name = "better"


class TestTables:
    def test_a_table_has_a_row_per_group_and_a_column_per_metric(self, report):
        lines = report.table(["recall", "coverage"]).splitlines()
        row = report.row("recall", 5)
        assert lines[0].split() == ["group", "users", "recall@5", "coverage@5"]
        assert lines[1].split() == ["overall", "3", "0.500", f"[{row.low:.3f},", f"{row.high:.3f}]", "0.250"]
        assert [line.split()[0] for line in lines[1:]] == ["overall", "cold"]

    def test_a_table_can_be_of_another_length(self, report):
        assert "ndcg@1 " in report.table(k=1)
        assert "overall  3      0.100" in report.table(k=1)

    def test_the_users_of_several_splits_are_counted_once(self):
        report = Report("r", (part(), part(ndcg=(0.5,), users=("u0",), split="other"), part(users=("x", "y", "z"))))
        assert report.table().splitlines()[1].split()[1] == "6"

    def test_numbers_of_users_have_thousands_separators(self):
        assert " 1,234 " in Report("r", (part(ndcg=[0.5] * 1234),)).table()

    def test_a_table_of_what_was_not_measured_is_refused(self, report):
        with pytest.raises(InvalidInputError, match="`metric` must be one of .*; got 'auc'"):
            report.table(["auc"])

    def test_the_repr_names_the_recommender_and_each_split_once(self):
        report = Report("<ours>", (part(split="a"), part(split="b"), part("cold", split="a")))
        assert repr(report) == f"<ours> on a, b\n{report.table()}"

    def test_names_are_escaped_in_html(self, report):
        shown = Report("<lambda> & co", (replace(report.parts[0], group="<b>"),))._repr_html_()
        assert shown.startswith("<p>&lt;lambda&gt; &amp; co</p><table><tr><th>group</th><th>users</th><th>ndcg@5</th>")
        assert "<td>&lt;b&gt;</td><td>3</td><td>0.500 [" in shown
        assert shown.count("<tr>") == 2

    def test_a_frame_has_a_row_per_number(self, report):
        frame = report.to_frame()
        assert list(frame.columns) == ["group", "metric", "k", "value", "low", "high"]
        assert len(frame) == len(report.rows) == 20
        actual = frame[(frame.group == "cold") & (frame.metric == "ndcg") & (frame.k == 5)]
        assert tuple(actual.iloc[0]) == report.row("ndcg", 5, "cold")

    def test_without_pandas_a_frame_is_a_dict_of_columns(self, report, monkeypatch):
        monkeypatch.setattr("coldstart._extras.find_spec", lambda _: None)
        frame = report.to_frame()
        assert type(frame) is dict
        assert list(frame) == list(Row._fields)
        assert frame["value"] == [row.value for row in report.rows]


class TestSaving:
    def test_a_loaded_report_is_equal_bit_for_bit(self, measured, tmp_path):
        measured.save(tmp_path / "report")
        again = Report.load(tmp_path / "report")
        assert again.name == measured.name
        assert len(again.parts) == len(measured.parts) == 4
        for mine, theirs in zip(measured.parts, again.parts, strict=True):
            for field in fields(Part):
                one, other = (getattr(side, field.name) for side in (mine, theirs))
                if field.name == "values":
                    assert list(one) == list(other)
                    assert all(one[key].tobytes() == other[key].tobytes() for key in one)
                elif isinstance(one, np.ndarray):
                    assert (one.tobytes(), one.dtype) == (other.tobytes(), other.dtype)
                else:
                    assert (one, type(one)) == (other, type(other))
        assert [row[:3] for row in again.rows] == [row[:3] for row in measured.rows]
        np.testing.assert_array_equal([row[3:] for row in again.rows], [row[3:] for row in measured.rows])
        assert repr(again) == repr(measured)

    def test_ids_keep_their_types(self, measured, tmp_path):
        measured.save(tmp_path)
        kinds = {type(user) for part in Report.load(tmp_path).parts for user in part.users}
        assert kinds == {int, str, tuple, date, float}

    def test_a_loaded_report_can_be_compared_with_the_first(self, measured, tmp_path):
        measured.save(tmp_path)
        assert {row.difference for row in measured.compare(Report.load(tmp_path)).rows} == {0.0}

    def test_a_saved_report_is_replaced(self, report, measured, tmp_path):
        for one in (measured, report):
            one.save(tmp_path / "report")
        assert Report.load(tmp_path / "report").name == "ours"

    def test_loading_a_saved_model_as_a_report_is_refused(self, rec, tmp_path):
        rec.save(tmp_path)
        with pytest.raises(SavedFolderError, match="must hold a saved report; it holds a saved model"):
            Report.load(tmp_path)

    def test_loading_a_saved_report_as_a_model_is_refused(self, report, tmp_path):
        report.save(tmp_path)
        with pytest.raises(SavedFolderError, match="must"):
            cs.load(tmp_path, encoder=HashEncoder())

    @pytest.mark.parametrize("first", ["model", "report"])
    def test_a_report_and_a_model_do_not_overwrite_each_other(self, report, rec, tmp_path, first):
        for one in (rec, report) if first == "model" else (report, rec):
            if one is (rec if first == "model" else report):
                one.save(tmp_path / "folder")
            else:
                with pytest.raises(InvalidInputError, match="holds something else"):
                    one.save(tmp_path / "folder")

    def test_a_folder_of_other_things_is_not_overwritten(self, report, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(InvalidInputError, match="`folder` must be new, empty, or a saved report"):
            report.save(tmp_path)

    @pytest.mark.parametrize("name", ["parts.json", "values.safetensors"])
    def test_an_altered_file_is_an_error(self, report, tmp_path, name):
        report.save(tmp_path)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"mine", b"your").replace(b"\0", b"\1"))
        with pytest.raises(SavedFolderError, match=f"{name} in .* is missing or not what was saved"):
            Report.load(tmp_path)

    def test_no_folder_is_an_error(self, tmp_path):
        with pytest.raises(SavedFolderError, match=r"has no config\.json"):
            Report.load(tmp_path / "nothing")

    def test_a_user_id_that_cannot_be_written_is_named_and_nothing_is_left_behind(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"`0\.users\.1` cannot be saved: b'bytes' is a bytes"):
            Report("r", (part(users=("u", b"bytes", "v")),)).save(tmp_path / "report")
        assert not list(tmp_path.iterdir())

    def test_the_files_are_readable(self, report, tmp_path):
        report.save(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "parts.json", "values.safetensors"]
        assert json.loads((tmp_path / "config.json").read_text())["name"] == "ours"


def test_compare_and_plot_take_a_report(report):
    assert isinstance(report, Measured)
    assert report.compare(report).name == "ours"
