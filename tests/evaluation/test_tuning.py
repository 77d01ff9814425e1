import numpy as np
import pytest
from scipy.stats import randint, uniform

import coldstart as cs
from coldstart._component import Component
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.evaluation.tuning import Trial, Trials, tune
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

IDS = "abcdefgh"


def clicks(items_of):
    rows = [{"user": user, "item": item} for user, items in items_of.items() for item in items]
    return cs.Interactions.from_frame(rows, user="user", item="item")


def catalog_of(ids=IDS):
    return cs.Catalog.from_frame({"id": list(ids), "title": [f"item {at}" for at in ids]}, id="id", fields=["title"])


TRAIN, VALIDATION, TEST = {"u": "ah", "v": "b", "x": "cdefg"}, {"u": "c", "v": "c"}, {"u": "d", "v": "d"}
SPLIT = Split("mine", catalog_of(), clicks(TRAIN), clicks(TEST), clicks(VALIDATION))


class Favourite(Component):
    """Ranks one item first, and fails on demand."""

    def __init__(self, item=7, weight=1.0, fails=False, inner=None):
        self.item = item
        self.weight = weight
        self.fails = fails
        self.inner = inner

    def fit(self, features, clicks=None):
        if self.fails:
            raise InvalidInputError(f"item {self.item} cannot be fitted")
        self.n_items_ = len(features)
        return self

    def score(self, users, features):
        return np.tile(np.eye(self.n_items_, dtype=np.float32)[self.item], (len(users), 1))


class CountingEncoder(HashEncoder):
    def __init__(self, dim=8):
        super().__init__(dim)
        self.encoded = []

    def encode(self, values, /):
        self.encoded += values
        return super().encode(values)


def favourite(**params):
    return cs.Recommender(encoder=HashEncoder(8), ranker=Favourite(**params))


def search(space, rec=None, split=SPLIT, **options):
    options = {"k": 1, "progress": False} | options
    return tune(favourite() if rec is None else rec, split, space, **options)


def params_of(tuned):
    return [trial.params for trial in tuned.trials]


class TestChoice:
    def test_the_setting_that_is_best_on_validation_wins_though_another_is_best_on_test(self):
        tuned = search({"ranker.item": [2, 3]})
        assert tuned.recommender.ranker.item == 2
        assert tuned.recommender.recommend(user="u", k=1).item_ids == [["c"]]
        by_item = {trial.params["ranker.item"]: trial.value for trial in tuned.trials}
        assert by_item == {2: 1.0, 3: 0.0, 7: 0.0}
        report = cs.evaluate(tuned.recommender, SPLIT, 1, progress=False)
        assert report.value() == 0.0

    def test_other_test_clicks_change_nothing(self):
        space = {"ranker.item": range(8)}
        other = Split("mine", catalog_of(), clicks(TRAIN), clicks({"u": "e", "v": "fg"}), clicks(VALIDATION))
        one, two = (search(space, split=split).trials for split in (SPLIT, other))
        assert [(trial.params, trial.value) for trial in one] == [(trial.params, trial.value) for trial in two]

    def test_trials_are_best_first(self):
        values = [trial.value for trial in search({"ranker.item": list(range(8))}).trials]
        assert values == sorted(values, reverse=True)

    def test_select_names_the_group_to_choose_by(self):
        validation, test = clicks({"u": "ch", "v": "ch", "w": "cg"}), clicks({"u": "df"})
        split = Split(
            "cold", catalog_of(), clicks({"u": "a", "v": "b", "w": "d", "x": "c"}), test, validation, cold_items="fgh"
        )
        for group, item in (("cold", 7), ("warm", 2)):
            tuned = search({"ranker.item": [2, 3, 5, 7]}, favourite(item=0), split, select=group)
            assert tuned.recommender.ranker.item == item

    def test_metric_and_k_are_those_to_choose_by(self):
        class Ladder(Favourite):
            """Ranks item 2 just above the item of the parameter."""

            def score(self, users, features):
                scores = np.arange(self.n_items_, 0, -1, dtype=np.float32)
                scores[2] = scores[self.item] + 0.5
                return np.tile(scores, (len(users), 1))

        rec = cs.Recommender(encoder=HashEncoder(8), ranker=Ladder())
        values = {
            (metric, k): search({"ranker.item": [4]}, rec, metric=metric, k=k).trials[0].value
            for metric, k in [("recall", 1), ("recall", 4), ("mrr", 4)]
        }
        assert values["recall", 1] == 0.0
        assert values["recall", 4] == 1.0
        assert 0.0 < values["mrr", 4] < 1.0

    def test_several_splits_count_together_and_the_last_is_fitted(self):
        other = Split(
            "other", catalog_of("hgfedcba"), clicks({"x": "a", "y": "bh"}), clicks({"x": "h"}), clicks({"x": "b"})
        )
        tuned = search({"ranker.item": [2, 6]}, split=[SPLIT, other])
        assert {trial.params["ranker.item"]: trial.value for trial in tuned.trials} == {
            2: pytest.approx(2 / 3),
            6: pytest.approx(1 / 3),
            7: 0.0,
        }
        assert tuned.recommender.fitted.users == ("x", "y")

    @pytest.mark.parametrize("name", list(cs.baselines.SPACES))
    def test_every_baseline_with_a_space_can_be_tuned(self, name):
        split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.25, test=0.1)
        tuned = search(cs.baselines.SPACES[name], getattr(cs.baselines, name)(), split, budget=2, k=3)
        assert [set(params) for params in params_of(tuned)] == [set(cs.baselines.SPACES[name])] * 2
        assert len(tuned.recommender.recommend(user="u0", k=1).item_ids[0]) == 1


class TestSettings:
    def test_the_setting_that_the_recommender_has_is_tried_first(self):
        assert params_of(search({"ranker.item": [1, 2], "ranker.weight": uniform(2, 3)}, budget=1)) == [
            {"ranker.item": 7, "ranker.weight": 1.0}
        ]

    def test_all_settings_of_a_small_space_are_tried(self):
        tuned = search({"ranker.item": [1, 2, 3], "ranker.weight": [0.5, 1.5]}, budget=7)
        tried = {tuple(params.values()) for params in params_of(tuned)}
        assert tried == {(7, 1.0)} | {(item, weight) for item in (1, 2, 3) for weight in (0.5, 1.5)}

    def test_all_settings_are_tried_when_there_are_as_many_as_the_budget(self):
        """The docstring: when the space has at most ``budget`` settings, all are tried."""
        tried = [params["ranker.item"] for params in params_of(search({"ranker.item": [1, 2, 3]}, budget=3))]
        assert {1, 2, 3} <= set(tried)

    def test_a_setting_is_tried_once(self):
        assert len(params_of(search({"ranker.item": [7, 2, 2, 7]}))) == 2

    def test_of_a_large_space_as_many_distinct_settings_as_the_budget_are_drawn(self):
        tried = [
            tuple(params.values())
            for params in params_of(search({"ranker.item": range(8), "ranker.weight": range(50)}, budget=15))
        ]
        assert len(tried) == len(set(tried)) == 15
        assert len({item for item, _ in tried}) > 3

    def test_values_are_drawn_from_distributions(self):
        tuned = search({"ranker.weight": uniform(2, 3), "ranker.item": randint(1, 4)}, budget=12)
        drawn = [params for params in params_of(tuned) if params["ranker.weight"] != 1.0]
        assert len(drawn) == 11
        assert all(2 <= params["ranker.weight"] <= 5 for params in drawn)
        assert {params["ranker.item"] for params in drawn} == {1, 2, 3}
        assert {type(value) for params in drawn for value in params.values()} == {float, int}

    @pytest.mark.parametrize("again", [0, 1])
    def test_the_same_seed_tries_the_same_settings(self, again):
        space = {"ranker.weight": uniform(0, 1), "ranker.item": range(8)}
        one, other = (sorted(map(str, params_of(search(space, budget=6, rng=rng)))) for rng in (0, again))
        assert (one == other) == (again == 0)

    def test_rng_may_be_a_generator(self):
        assert len(params_of(search({"ranker.weight": uniform()}, budget=3, rng=np.random.default_rng(5)))) == 3

    def test_paths_reach_into_parts_of_parts(self):
        rec = favourite(item=2, inner=Favourite(item=1, inner=Favourite(item=5)))
        tuned = search({"ranker.inner.inner.item": [3]}, rec, budget=2)
        assert [params["ranker.inner.inner.item"] for params in params_of(tuned)] == [5, 3]
        assert tuned.recommender.ranker.inner.item == 1
        assert rec.ranker.inner.inner.item == 5

    def test_parts_themselves_can_be_tried(self):
        fusers = [cs.ConcatFuser("equal"), cs.WeightedFuser()]
        tuned = search({"fuser": fusers}, budget=5)
        assert [type(params["fuser"]).__name__ for params in params_of(tuned)] == [
            "NoneType",
            "ConcatFuser",
            "WeightedFuser",
        ]

    def test_without_an_encoder_the_default_one_is_used(self, monkeypatch):
        monkeypatch.setattr("coldstart.pipeline.parts.TextEncoder", lambda: HashEncoder(8))
        tuned = search({"ranker.item": [2]}, cs.Recommender(ranker=Favourite()))
        assert isinstance(tuned.recommender.encoder, HashEncoder)


class TestEncoding:
    def test_each_text_is_encoded_once_for_all_trials(self):
        encoder = CountingEncoder()
        rec = cs.Recommender(encoder=encoder, ranker=cs.CosineRanker())
        search({"ranker.center": [True, False], "fuser": [cs.ConcatFuser(), cs.WeightedFuser()]}, rec, k=3)
        assert sorted(encoder.encoded) == [f"item {at}" for at in IDS]

    def test_each_text_is_encoded_once_with_one_encoder_per_field(self):
        titles, plots = CountingEncoder(), CountingEncoder(16)
        split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.25, test=0.1)
        rec = cs.Recommender(encoder={"title": titles, "plot": plots}, ranker=cs.CosineRanker())
        search({"ranker.center": [True, False]}, rec, split)
        assert (len(titles.encoded), len(plots.encoded)) == (8, 7)

    def test_the_values_are_those_of_the_encoder_itself(self):
        split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.25, test=0.1)
        rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.CosineRanker())
        for trial in search({"ranker.center": [True, False]}, rec, split, k=3).trials:
            alone = cs.Recommender(encoder=HashEncoder(), ranker=cs.CosineRanker(center=trial.params["ranker.center"]))
            report = cs.evaluate(alone, split, 3, part="validation", progress=False)
            assert trial.value == report.value()

    def test_an_encoder_that_learns_is_fitted_for_every_split(self):
        split = cs.splits.random(tiny_catalog(), tiny_clicks(), validation=0.25, test=0.1)
        rec = cs.Recommender(encoder=cs.TfidfEncoder(dim=4), ranker=cs.CosineRanker())
        tuned = search({"encoder.dim": [2, 6]}, rec, split, k=3)
        assert {params["encoder.dim"] for params in params_of(tuned)} == {2, 4, 6}
        assert tuned.recommender.encoders_["title"].dim == tuned.trials[0].params["encoder.dim"]

    def test_the_tuned_recommender_has_its_own_encoder_and_no_memoized_one(self):
        encoder = CountingEncoder()
        tuned = search({"ranker.item": [2]}, cs.Recommender(encoder=encoder, ranker=Favourite()))
        assert tuned.recommender.encoder is encoder
        assert tuned.recommender.encoders_["title"] is encoder
        tuned.recommender.add_items([{"id": "new", "title": "item new"}])
        assert encoder.encoded[-1] == "item new"

    def test_queries_are_encoded_by_the_encoder_itself(self):
        class Asking(CountingEncoder):
            def encode_query(self, values, /):
                return -self.encode(values)

        rec = cs.Recommender(encoder=Asking(), ranker=cs.CosineRanker(center=False))
        tuned = search({"ranker.query_weight": [1.0]}, rec)
        assert tuned.recommender.recommend(query="item c", k=1).item_ids != [["c"]]


class TestResult:
    def test_the_recommender_is_fitted_on_the_training_part(self):
        fitted = search({"ranker.item": [2]}).recommender.fitted
        assert fitted.users == ("u", "v", "x")
        assert fitted.clicks.sum() == 8

    def test_the_recommender_given_is_not_changed(self):
        ranker = Favourite()
        rec = cs.Recommender(encoder=HashEncoder(8), ranker=ranker)
        tuned = search({"ranker.item": [2, 3]}, rec)
        assert tuned.recommender is not rec
        assert rec.ranker is ranker
        assert (ranker.item, ranker.get_state()) == (7, {})
        with pytest.raises(NotFittedError):
            rec.recommend(k=1)

    def test_a_fitted_recommender_is_not_changed(self):
        rec = favourite().fit(catalog_of(), clicks(TRAIN))
        before = rec.recommend(user="u", k=6)
        search({"ranker.item": [2, 3]}, rec)
        assert rec.recommend(user="u", k=6) == before

    def test_what_is_not_in_the_space_stays_as_it_was(self):
        tuned = search({"ranker.item": [2]}, favourite(weight=3.5))
        assert tuned.recommender.ranker.weight == 3.5

    def test_a_trial_has_its_time_and_no_error(self):
        for trial in search({"ranker.item": [2]}).trials:
            assert trial.seconds > 0
            assert trial.error == ""

    def test_a_frame_has_a_column_per_parameter(self, monkeypatch):
        trials = search({"ranker.item": [2], "ranker.weight": [0.5]}).trials
        frame = trials.to_frame()
        assert list(frame.columns) == ["ranker.item", "ranker.weight", "value", "seconds", "error"]
        assert frame.value.tolist() == [1.0, 0.0]
        monkeypatch.setattr("coldstart._extras.find_spec", lambda _: None)
        assert trials.to_frame()["ranker.item"] == [2, 7]

    def test_trials_are_shown_as_a_table(self):
        trials = Trials([Trial({"a": 0.123456, "b": "<x>"}, 0.5, 1.25), Trial({"a": 1, "b": None}, np.nan, 0.0, "no")])
        assert [line.split() for line in repr(trials).splitlines()] == [
            ["a", "b", "value", "seconds", "error"],
            ["0.1235", "'<x>'", "0.5000", "1.2"],
            ["1", "None", "nan", "0.0", "no"],
        ]
        assert trials._repr_html_().startswith("<p>2 trials</p><table><tr><th>a</th>")
        assert "<td>&#x27;&lt;x&gt;&#x27;</td>" in trials._repr_html_()


class TestFailures:
    @pytest.mark.parametrize("first", [[True, False], [False, True]])
    def test_a_setting_that_fails_is_recorded_and_does_not_stop_the_search(self, first):
        tuned = search({"ranker.fails": first, "ranker.item": [2]})
        assert [trial.error for trial in tuned.trials] == ["", "", "item 2 cannot be fitted"]
        assert np.isnan(tuned.trials[-1].value)
        assert tuned.recommender.ranker.item == 2

    def test_a_matrix_that_cannot_be_inverted_is_a_failed_setting(self):
        class Singular(Favourite):
            def fit(self, features, clicks=None):
                if self.fails:
                    np.linalg.inv(np.zeros((2, 2)))
                return super().fit(features, clicks)

        tuned = search({"ranker.fails": [True]}, cs.Recommender(encoder=HashEncoder(8), ranker=Singular()))
        assert tuned.trials[-1].error == "Singular matrix"

    def test_when_all_fail_the_error_has_the_first_reason(self):
        with pytest.raises(
            InvalidInputError, match="must hold a setting that can be fitted; all failed: item 7 cannot"
        ):
            search({"ranker.item": [2]}, favourite(fails=True))

    def test_an_unexpected_error_of_a_part_is_raised(self):
        class Broken(Favourite):
            def fit(self, features, clicks=None):
                raise RuntimeError("a mistake")

        with pytest.raises(RuntimeError, match="a mistake"):
            search({"ranker.item": [2]}, cs.Recommender(encoder=HashEncoder(8), ranker=Broken()))

    @pytest.mark.parametrize(
        ("space", "expected"),
        [
            (
                {"rank": [1]},
                r"got 'rank', and Recommender has \['encoder', 'fuser', 'ranker', 'lexical', 'sentences', 'index', 'dim'",
            ),
            ({"ranker.colour": [1]}, r"got 'colour', and Favourite has \['item', 'weight', 'fails', 'inner'\]"),
            ({"fuser.weights": [1]}, r"got 'weights', and NoneType has \[\]\. Give the part: Recommender\(ranker="),
        ],
    )
    def test_an_unknown_parameter_is_named_beside_those_there_are(self, space, expected):
        with pytest.raises(InvalidInputError, match=f"`space` must name parameters of the recommender.*{expected}"):
            search(space)

    def test_an_empty_space_is_refused(self):
        with pytest.raises(InvalidInputError, match="`space` must name at least 1 parameter; got none"):
            search({})

    @pytest.mark.parametrize(
        "choices",
        [
            [],
            (),
            "23",
            *(pytest.param(one) for one in (2, None, (item for item in (1, 2)), {1, 2, 3})),
        ],
        ids=["empty list", "empty tuple", "text", "number", "None", "generator", "set"],
    )
    def test_choices_that_are_no_list_are_refused(self, choices):
        with pytest.raises(InvalidInputError, match=r"`space\['ranker.item'\]` must be a list of values or a distrib"):
            search({"ranker.item": choices}, budget=2)

    @pytest.mark.parametrize("budget", [0, -1, 1.5, True])
    def test_a_budget_below_1_is_refused(self, budget):
        with pytest.raises(InvalidInputError, match="`budget` must be"):
            search({"ranker.item": [2]}, budget=budget)

    def test_an_unknown_group_metric_or_length_is_named(self):
        with pytest.raises(InvalidInputError, match="`groups` must be out of"):
            search({"ranker.item": [2]}, select="hot")
        with pytest.raises(InvalidInputError, match="`metric` must be one of .*; got 'auc'"):
            search({"ranker.item": [2]}, metric="auc")
        with pytest.raises(InvalidInputError, match="`k` must be between 1 and"):
            search({"ranker.item": [2]}, k=0)

    def test_a_split_without_validation_cannot_be_tuned_on(self):
        split = Split("mine", catalog_of(), clicks(TRAIN), clicks(TEST))
        with pytest.raises(InvalidInputError, match="mine has no validation part"):
            search({"ranker.item": [2]}, split=split)


def test_a_parameter_of_a_part_that_is_named_can_be_searched():
    tuned = search({"ranker.center": [True, False]}, cs.Recommender(encoder=HashEncoder(8), ranker="cosine"))
    assert [trial.params["ranker.center"] for trial in tuned.trials] == [True, False]
    assert type(tuned.recommender.ranker) is cs.CosineRanker


def test_parts_can_be_searched_by_name():
    tuned = search({"ranker": ["hybrid", "cosine"]}, cs.Recommender(encoder=HashEncoder(8), ranker="cosine"))
    assert {trial.params["ranker"] for trial in tuned.trials} == {"cosine", "hybrid"}
    assert not any(trial.error for trial in tuned.trials)


def test_another_type_in_place_of_a_split_is_refused():
    with pytest.raises(InvalidInputError, match="`split` must be a Split, or several; got Catalog"):
        search({"ranker.item": [2]}, split=tiny_catalog())


def test_every_trial_and_the_last_fit_get_the_new_items():
    exposures = []

    class Probe(cs.CosineRanker):
        def fit(self, features, clicks=None):
            exposures.append(None if features.exposure is None else features.exposure.tolist())
            return super().fit(features, clicks)

    split = cs.splits.item_cold(tiny_catalog(), tiny_clicks(), validation=0.2, test=0.2)
    rec = cs.Recommender(encoder=HashEncoder(8), ranker=Probe())
    cs.tune(rec, split, {"ranker.center": [True, False]}, k=2, progress=False)
    assert exposures == [[0.0 if item in split.cold_items else 1.0 for item in split.catalog.ids]] * 3
