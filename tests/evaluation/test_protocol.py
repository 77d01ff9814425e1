import functools
from math import log2

import numpy as np
import pytest

import coldstart as cs
from coldstart.data.split import Split
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.evaluation import protocol
from coldstart.evaluation.protocol import evaluate
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

quiet = functools.partial(evaluate, progress=False)


def catalog_of(ids):
    return cs.Catalog.from_frame({"id": list(ids), "title": [f"item {at}" for at in ids]}, id="id", fields=["title"])


def clicks(items_of):
    rows = [{"user": user, "item": item} for user, items in items_of.items() for item in items]
    return cs.Interactions.from_frame(rows, user="user", item="item")


def items_of(interactions):
    actual = {}
    for user, item in interactions.pairs() if interactions is not None else ():
        actual.setdefault(user, set()).add(item)
    return actual


class Listing:
    """Recommends the same items in the same order to everyone, and records its data and requests."""

    def __init__(self, order):
        self.order = list(order)
        self.data = []
        self.requested = []
        self.calls = []

    def fit(self, catalog, interactions, /):
        self.data.append(("fit", catalog.ids, interactions.pairs()))
        self.seen = items_of(interactions)

    def recommend_many(self, requests, /, *, k, candidates):
        self.requested += requests
        self.calls.append((len(requests), k, list(candidates)))
        return cs.Recommendations([self.answer(request, k, candidates) for request in requests], [], {})

    def answer(self, request, k, candidates):
        hidden = self.seen.get(request.user, set()) | {*request.history, *request.exclude}
        return [item for item in self.order_for(request) if item in candidates and item not in hidden][:k]

    def order_for(self, request):
        return self.order

    def __repr__(self):
        return f"Listing({''.join(map(str, self.order))})"


class Growing(Listing):
    def add_items(self, items, /):
        self.data.append(("add_items", items.ids))


def split_of(train, test, ids="abcdefgh", **facts):
    return Split("mine", catalog_of(ids), clicks(train), clicks(test), **facts)


SPLIT = split_of({"u": "ab", "v": "c", "x": "defgh"}, {"u": "cd", "v": "a", "w": "h"})


class TestAgainstBruteForce:
    K = (2, 5)

    def naive(self, name, row, relevant, k):
        actual = [item in relevant for item in row[:k]]
        ranks = [rank for rank, hit in enumerate(actual, 1) if hit]
        ideal = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
        return {
            "ndcg": sum(1 / log2(rank + 1) for rank in ranks) / ideal,
            "recall": len(ranks) / len(relevant),
            "precision": len(ranks) / k,
            "hit_rate": float(bool(ranks)),
            "mrr": 1 / ranks[0] if ranks else 0.0,
            "map": sum(hits / rank for hits, rank in enumerate(ranks, 1)) / len(relevant),
        }[name]

    class Shuffling(Listing):
        def order_for(self, request):
            return np.random.default_rng(len(str(request))).permutation(self.order).tolist()

    @pytest.mark.parametrize("seed", range(4))
    def test_every_number_is_that_of_a_plain_loop_over_the_users(self, seed):
        rng = np.random.default_rng(seed)
        ids = [f"i{at}" for at in range(14)]
        likes = {f"u{at}": rng.choice(ids, rng.integers(2, 8), replace=False).tolist() for at in range(25)}
        catalog = catalog_of(ids)
        split = cs.splits.item_cold(catalog, clicks(likes), validation=0.2, test=0.25, rng=seed)
        report = quiet(self.Shuffling(ids), split, self.K)

        seen, relevant = items_of(split.train), items_of(split.test)
        elsewhere = set(split.validation.items) - set(split.test.items)
        competing = {
            "overall": set(split.train.items) | (split.cold_items - elsewhere),
            "cold": split.cold_items - elsewhere,
            "warm": set(split.train.items) - split.cold_items,
        }
        assert report.groups == list(competing)
        double = self.Shuffling(ids)
        for group, allowed in competing.items():
            rows, truths = [], []
            for user, items in relevant.items():
                if items & allowed:
                    request = cs.Request(user=user if user in seen else None)
                    order = [item for item in double.order_for(request) if item in allowed - seen.get(user, set())]
                    rows.append(order[: max(self.K)])
                    truths.append(items & allowed)
            for name in ("ndcg", "recall", "precision", "hit_rate", "mrr", "map"):
                for k in self.K:
                    values = [self.naive(name, row, truth, k) for row, truth in zip(rows, truths, strict=True)]
                    np.testing.assert_allclose(report.of(group)[0].values[name, k], values, atol=1e-12)
                    assert report.value(name, k, group) == pytest.approx(np.mean(values))
            shown = {item for row in rows for item in row}
            assert report.value("coverage", 5, group) == pytest.approx(len(shown) / len(allowed))
            cold = [np.mean([item in split.cold_items for item in row]) for row in rows]
            assert report.value("cold_exposure", 5, group) == pytest.approx(np.mean(cold))

    def test_a_recommender_is_measured_by_its_lists(self, catalog, clicks):
        split = cs.splits.random(catalog, clicks, validation=0.0, test=0.25)
        rec = cs.Recommender(encoder=HashEncoder()).fit(split.catalog, split.train)
        report = quiet(rec, split, 3)
        relevant = items_of(split.test)
        lists = rec.recommend_many(users=list(relevant), k=3).item_ids
        actual = [len(set(row) & items) / len(items) for row, items in zip(lists, relevant.values(), strict=True)]
        np.testing.assert_allclose(report.of("overall")[0].values["recall", 3], actual)
        assert not any(set(row) & items_of(split.train)[user] for user, row in zip(relevant, lists, strict=True))


class TestRequests:
    def test_fit_gets_the_training_clicks_only_and_requests_the_candidates(self):
        double = Listing("abcdefgh")
        quiet(double, SPLIT, 3)
        assert double.data == [("fit", tuple("abcdefgh"), SPLIT.train.pairs())]
        assert double.calls == [(3, 3, list("abcdefgh"))]

    def test_users_with_training_clicks_have_their_id_in_the_request_and_others_nothing(self):
        double = Listing("abcdefgh")
        quiet(double, SPLIT)
        assert double.requested == [cs.Request(user="u"), cs.Request(user="v"), cs.Request()]

    def test_revealed_clicks_are_the_history_of_the_request(self):
        split = split_of({"u": "ab", "x": "cd"}, {"w": "c", "u": "d"}, cold_users={"w"}, revealed=clicks({"w": "ba"}))
        double = Listing("abcdefgh")
        report = quiet(double, split)
        assert double.requested == [cs.Request(history=["a", "b"]), cs.Request(user="u")]
        assert report.parts[0].known.tolist() == [2, 2]

    def test_revealed_clicks_change_the_lists(self, catalog, clicks):
        split = cs.splits.k_click(catalog, clicks, k=1, most=2, validation=0.0, test=0.25)
        assert quiet(cs.Recommender(encoder=HashEncoder()), split, 3).value("recall") == 1.0

    def test_masked_items_are_excluded_by_the_request(self):
        held = clicks({"u": "d"})
        split = split_of({"u": "a", "v": "b"}, {"u": "cg", "v": "c"}, cold_items="g", protocol="aldi", validation=held)
        double = Listing("abcdefgh")
        quiet(double, split, groups=["cold"])
        assert double.requested == [cs.Request(user="u", exclude=["c", "d"])]

    def test_arrivals_are_added_after_fit_and_before_the_first_request(self):
        later = {"ids": "ab", "arrivals": catalog_of("cd"), "cold_items": "cd"}
        split = split_of({"u": "a", "v": "b"}, {"u": "bc"}, **later)
        double = Growing("cabd")
        report = quiet(double, split, 1)
        assert double.data == [("fit", ("a", "b"), [("u", "a"), ("v", "b")]), ("add_items", ("c", "d"))]
        assert double.calls[0][2] == list("abcd")
        assert report.value("recall", 1, "cold") == 1.0

    def test_arrivals_are_misses_for_a_recommender_that_cannot_add_items(self):
        split = split_of({"u": "a", "x": "b"}, {"u": "bc"}, ids="ab", arrivals=catalog_of("cd"), cold_items="cd")
        double = Listing("ab")
        report = quiet(double, split, 3, ["overall", "cold"])
        assert report.value("recall") == 0.5
        assert report.value("recall", group="cold") == 0.0
        assert double.calls == [(1, 2, ["a", "b"])]
        assert report.value("coverage") == pytest.approx(1 / 4)

    def test_a_recommender_can_recommend_the_arrivals(self):
        split = split_of({"u": "a", "v": "b"}, {"u": "c"}, ids="ab", arrivals=catalog_of("cd"), cold_items="cd")
        assert quiet(cs.Recommender(encoder=HashEncoder()), split, 4).value("recall") == 1.0

    def test_the_validation_part_can_be_measured(self):
        split = split_of({"u": "a", "x": "bc"}, {"u": "b"}, validation=clicks({"u": "c"}))
        answers_c = Listing("cb")
        assert quiet(answers_c, split, 1, part="validation").value() == 1.0
        assert quiet(answers_c, split, 1).value() == 0.0

    def test_only_the_groups_named_are_measured(self):
        split = split_of({"u": "a", "v": "b"}, {"u": "bh"}, cold_items="h")
        double = Listing("bh")
        assert quiet(double, split, groups=["warm"]).groups == ["warm"]
        assert double.calls == [(1, 2, ["a", "b"])]


class TestFit:
    def test_an_unfitted_recommender_stays_unfitted(self):
        rec = cs.Recommender(encoder=HashEncoder())
        quiet(rec, SPLIT)
        with pytest.raises(NotFittedError):
            rec.recommend(k=1)

    def test_a_fitted_recommender_is_not_changed(self, rec):
        before = rec.recommend_many(users=["u0", "v0"], k=8)
        quiet(rec, SPLIT)
        assert rec.recommend_many(users=["u0", "v0"], k=8) == before

    def test_any_other_object_is_fitted_itself(self):
        double = Listing("ab")
        quiet(double, [SPLIT, SPLIT])
        assert len(double.data) == 2

    def test_a_factory_is_called_once_per_split(self):
        made = []

        def factory():
            made.append(Listing("abcdefgh"))
            return made[-1]

        report = quiet(factory, [SPLIT, SPLIT])
        assert [len(double.data) for double in made] == [1, 1]
        assert report.name == "factory"

    def test_a_class_is_a_factory(self):
        class Ready(Listing):
            def __init__(self):
                super().__init__("abcdefgh")

        assert quiet(Ready, SPLIT).name == "Ready"

    def test_a_recommender_from_a_factory_is_not_changed_either(self):
        rec = cs.Recommender(encoder=HashEncoder())
        quiet(lambda: rec, SPLIT)
        assert not hasattr(rec, "catalog")

    def test_a_copy_of_the_same_class_is_fitted(self):
        class Mine(cs.Recommender):
            fits = []

            def fit(self, *data, **options):
                Mine.fits.append((self, options))
                return super().fit(*data, **options)

        rec = Mine(encoder=HashEncoder(8))
        quiet(rec, [SPLIT, SPLIT])
        assert [options for _, options in Mine.fits] == [{"check": False}] * 2
        assert len({id(one) for one, _ in Mine.fits} | {id(rec)}) == 3

    def test_fit_of_a_recommender_gets_the_new_items_and_that_of_others_does_not(self):
        exposures = []

        class Probe(cs.CosineRanker):
            def fit(self, features, clicks=None):
                exposures.append(None if features.exposure is None else features.exposure.tolist())
                return super().fit(features, clicks)

        rec = cs.Recommender(encoder=HashEncoder(8), ranker=Probe())
        cold = {"train": {"u": "ab", "x": "ade"}, "test": {"u": "c", "x": "f"}, "ids": "abcdef"}
        for facts in (
            {"cold_items": "fc"},
            {"cold_items": "ec", "cold_clicks": 1},
            {"cold_items": "fc", "new_items_known": False},
        ):
            quiet(rec, split_of(**cold, **facts))
        assert exposures == [[1, 1, 0, 1, 1, 0], [1, 1, 0, 1, 0, 1], None]
        quiet(Listing("abcdef"), split_of(**cold, cold_items="fc"))

    def test_each_text_is_encoded_once_for_all_splits(self):
        class Counting(HashEncoder):
            encoded = []

            def encode(self, values, /):
                Counting.encoded += values
                return super().encode(values)

        quiet(cs.Recommender(encoder=Counting()), [SPLIT, SPLIT])
        assert sorted(Counting.encoded) == [f"item {at}" for at in "abcdefgh"]

    def test_the_baseline_check_of_fit_is_left_out(self, monkeypatch):
        def fail(*_):
            raise AssertionError("checked")

        monkeypatch.setattr("coldstart.recommender.check_against_baselines", fail)
        quiet(cs.Recommender(encoder=HashEncoder()), SPLIT)

    @pytest.mark.parametrize(
        ("recommender", "name"),
        [
            (Listing("ab"), "Listing(ab)"),
            (functools.partial(Listing, "ab"), "partial"),
            (lambda: Listing("ab"), "<lambda>"),
            (cs.baselines.popularity, "popularity"),
        ],
    )
    def test_the_report_is_named_after_the_recommender(self, recommender, name):
        assert quiet(recommender, SPLIT).name == name

    def test_the_report_can_be_given_a_name(self):
        assert quiet(Listing("ab"), SPLIT, name="mine").name == "mine"

    def test_the_times_of_fit_and_of_recommending_are_reported(self):
        part = quiet(Listing("ab"), SPLIT).parts[0]
        assert part.fit_seconds >= 0
        assert part.answer_seconds >= 0


class TestMeasuring:
    @pytest.mark.parametrize("k", [3, (3,), [3, 3], np.int64(3), range(3, 4)])
    def test_k_is_a_number_or_several(self, k):
        report = quiet(Listing("abcdefgh"), SPLIT, k)
        assert {length for _, length in report.parts[0].values} == {3}

    def test_several_lengths_are_measured_on_the_longest_lists(self):
        double = Listing("abcdefgh")
        report = quiet(double, SPLIT, (5, 1))
        assert [row.k for row in report.rows if row.metric == "ndcg"] == [1, 5]
        assert double.calls[0][1] == 5
        assert report.value("hit_rate", 1) == pytest.approx(2 / 3)

    def test_lists_are_at_most_as_long_as_there_are_candidates(self):
        double = Listing("abcdefgh")
        report = quiet(double, SPLIT, 100)
        assert double.calls[0][1] == 8
        assert report.value("recall", 100) == 1.0
        assert report.value("precision", 100) == pytest.approx(4 / 300)

    def test_a_short_list_counts_as_filled_up_with_misses(self):
        assert quiet(Listing("c"), SPLIT, 2).of("overall")[0].values["precision", 2].tolist() == [0.5, 0.0, 0.0]

    def test_items_after_the_first_k_do_not_count(self):
        double = Listing("abcdefgh")
        double.answer = lambda request, k, candidates: [*"efgh", "c" if request.user == "u" else "a"]
        assert quiet(double, SPLIT, 4).of("overall")[0].values["recall", 4].tolist() == [0.0, 0.0, 1.0]

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_the_size_of_a_block_does_not_matter(self, monkeypatch, size):
        expected = quiet(Listing("hgfedcba"), SPLIT, 4).rows
        monkeypatch.setattr(protocol, "BLOCK", size)
        double = Listing("hgfedcba")
        actual = quiet(double, SPLIT, 4).rows
        np.testing.assert_array_equal([row[3:] for row in actual], [row[3:] for row in expected])
        assert max(n_requests for n_requests, _, _ in double.calls) == min(size, 3)

    def test_several_splits_are_pooled(self):
        other = split_of({"u": "a", "x": "bc"}, {"u": "b"})
        report = quiet(Listing("cdab"), [SPLIT, other], 1)
        assert [len(part.users) for part in report.of("overall")] == [3, 1]
        assert report.value("recall", 1) == pytest.approx((0.5 + 0.0 + 0.0 + 0.0) / 4)
        assert report.value("recall", 1) == np.mean(
            [value for part in report.parts for value in part.values["recall", 1]]
        )

    def test_the_values_of_one_user_in_several_splits_are_drawn_together(self):
        users = [f"u{at}" for at in range(30)]
        finds = split_of(dict.fromkeys(users, "a") | {"x": "bc"}, {user: "bc"[at % 2] for at, user in enumerate(users)})
        once, often = (quiet(Listing("b"), splits, 1).row("recall", 1) for splits in (finds, [finds] * 9))
        assert often.value == once.value == 0.5
        assert often[4:] == pytest.approx(once[4:])

    def test_vectors_give_the_diversity_of_the_lists(self):
        vectors = np.eye(8, dtype=np.float32)
        assert quiet(Listing("abcdefgh"), SPLIT, 3, vectors=vectors).value("diversity") == pytest.approx(1.0)
        same = np.ones((8, 2), dtype=np.float32)
        assert quiet(Listing("abcdefgh"), SPLIT, 3, vectors=same).value("diversity") == pytest.approx(0.0, abs=1e-6)
        with pytest.raises(InvalidInputError, match="`metric` must be one of"):
            quiet(Listing("abcdefgh"), SPLIT, 3).value("diversity")

    @pytest.mark.parametrize("rows", [7, 9])
    def test_vectors_of_another_number_of_items_are_refused(self, rows):
        with pytest.raises(InvalidInputError, match="`vectors` must have 8 rows"):
            quiet(Listing("abcd"), SPLIT, 3, vectors=np.ones((rows, 2), dtype=np.float32))

    def test_the_number_of_revealed_clicks_is_reported(self, catalog, clicks):
        of_users = [cs.splits.k_click(catalog, clicks, k=k, most=2, validation=0, test=0.25) for k in (0, 2)]
        of_items = [
            cs.splits.warm_up(catalog, clicks, k=k, most=1, at_least=3, validation=0, test=0.25) for k in (0, 1)
        ]
        report = quiet(cs.Recommender(encoder=HashEncoder()), [*of_users, *of_items], 3, ["overall"])
        assert [part.clicks for part in report.parts] == [0, 2, 0, 1]

    @pytest.mark.parametrize("progress", [True, False])
    def test_a_fast_run_shows_no_bar(self, progress, capsys):
        evaluate(Listing("ab"), SPLIT, progress=progress)
        assert capsys.readouterr() == ("", "")


class TestRefused:
    @pytest.mark.parametrize(("k", "got"), [(0, "0"), ((10, -1), "-1"), (2.0, "2.0"), (True, "True"), ("5", "'5'")])
    def test_a_length_below_1_or_that_is_no_whole_number(self, k, got):
        with pytest.raises(InvalidInputError, match=rf"`k` must be .*; got {got}\."):
            quiet(Listing("ab"), SPLIT, k)

    def test_no_length(self):
        with pytest.raises(InvalidInputError, match="`k` must hold at least 1 length; got none"):
            quiet(Listing("ab"), SPLIT, ())

    def test_no_split(self):
        with pytest.raises(InvalidInputError, match="`split` must"):
            quiet(Listing("ab"), [])

    @pytest.mark.parametrize("part", ["train", "catalog", "val"])
    def test_another_part(self, part):
        with pytest.raises(InvalidInputError, match="`part` must be"):
            quiet(Listing("ab"), SPLIT, part=part)

    def test_an_item_twice_in_a_list(self):
        with pytest.raises(InvalidInputError, match=r"must hold an item once per row; row 0 is \['c', 'c'"):
            quiet(Listing("ccd"), SPLIT)

    def test_an_item_that_is_no_candidate(self):
        double = Listing("ab")
        double.answer = lambda request, k, candidates: ["c", "zz"]
        expected = r"must answer with candidates .*; got 'zz' for Request\(user='u'\)\. Leave out what is not in"
        with pytest.raises(InvalidInputError, match=expected):
            quiet(double, SPLIT)

    def test_an_item_that_the_request_excludes(self):
        double = Listing("ab")
        double.answer = lambda request, k, candidates: ["g", "f"]
        held = clicks({"u": "f"})
        split = split_of({"u": "a"}, {"u": "g"}, cold_items="fg", protocol="aldi", validation=held)
        expected = r"candidates .*; got 'f' for Request\(user='u', exclude=\('f',\)\).*is in `exclude` of the request"
        with pytest.raises(InvalidInputError, match=expected):
            quiet(double, split, groups=["cold"])

    @pytest.mark.parametrize("at", [0, 3])
    def test_an_item_that_the_user_clicked_in_training(self, at):
        double = Listing("ab")
        double.answer = lambda request, k, candidates: [*list("defg")[:at], "b"]
        expected = r"the user has not clicked; got 'b' for Request\(user='u'\)\. .* or was clicked in training"
        with pytest.raises(InvalidInputError, match=expected):
            quiet(double, SPLIT)

    def test_an_item_of_the_history_of_the_request(self):
        split = split_of({"u": "ab", "x": "cd"}, {"w": "c"}, cold_users={"w"}, revealed=clicks({"w": "a"}))
        double = Listing("ab")
        double.answer = lambda request, k, candidates: ["a"]
        with pytest.raises(InvalidInputError, match=r"has not clicked; got 'a' for Request\(history=\('a',\)\)"):
            quiet(double, split)

    def test_fewer_lists_than_requests(self):
        class Short(Listing):
            def recommend_many(self, requests, /, *, k, candidates):
                return super().recommend_many(requests[1:], k=k, candidates=candidates)

        with pytest.raises(InvalidInputError, match="recommend_many must answer with one list per request, 3; got 2"):
            quiet(Short("ab"), SPLIT)

    def test_a_group_or_part_that_the_split_does_not_have(self):
        with pytest.raises(InvalidInputError, match="mine has no validation part"):
            quiet(Listing("ab"), SPLIT, part="validation")
        with pytest.raises(InvalidInputError, match="no evaluation users in \\['cold'\\]"):
            quiet(Listing("ab"), SPLIT, groups=["cold"])

    def test_the_groups_are_checked_before_anything_is_fitted(self):
        double = Listing("ab")
        with pytest.raises(InvalidInputError):
            quiet(double, SPLIT, groups=["hot"])
        assert double.data == []


def test_a_good_ranker_beats_chance_on_items_nobody_clicked():
    split = cs.splits.item_cold(tiny_catalog(), tiny_clicks(), validation=0.0, test=0.25)
    good, chance = (
        quiet(made, split, 1, ["cold"]).value("hit_rate", group="cold")
        for made in (cs.Recommender(encoder=HashEncoder()), cs.baselines.random())
    )
    assert good == 1.0 > chance


@pytest.mark.parametrize("given", [tiny_catalog(), [tiny_catalog()], 5], ids=["Catalog", "list", "int"])
def test_a_catalogue_in_place_of_a_split_is_refused_with_an_example(given):
    with pytest.raises(InvalidInputError, match=r"`split` must be a Split, or several; got .*cs.splits.item_cold\(cat"):
        quiet(cs.Recommender(encoder=HashEncoder()), given, tiny_clicks())


def test_named_parts_are_evaluated_and_a_fitted_one_is_called_by_its_parts(catalog, clicks):
    split = cs.splits.random(catalog, clicks, validation=0.0, test=0.25)
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(catalog)
    assert quiet(rec, split, 3).name == "Recommender(encoder=HashEncoder(), ranker='cosine')"
    with pytest.raises(InvalidInputError, match="`encoder` must have the method encode; got 'some/model'"):
        quiet(cs.Recommender("some/model"), split, 3)
