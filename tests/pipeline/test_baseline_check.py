"""Six groups of twelve items; each of 120 users likes ten items of one group. Only what a ranker knows tells groups."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array

import coldstart as cs
from coldstart._component import Component
from coldstart.data.holdout import cut
from coldstart.errors import ColdstartWarning, InvalidInputError
from coldstart.pipeline import baseline_check
from coldstart.pipeline.baseline_check import BaselineCheck, Finding, _sample_users
from coldstart.rankers.als import ALSRanker
from coldstart.rankers.ease import EASERanker
from coldstart.rankers.popularity import RandomRanker
from coldstart.testing import HashEncoder

GROUP = np.repeat(np.arange(6), 12)
N_CLICKS = 1_200


class Recording(Component):
    """Keeps the clicks that each copy of it was fitted on, and the histories it has ranked for."""

    fits = []
    histories = []

    def __init__(self, name="recording"):
        self.name = name

    def fit(self, features, clicks=None):
        Recording.fits.append(clicks.copy())
        self.n_items_ = len(features)
        return self


class Knowing(Recording):
    """Knows the group of each item, and so that of each user."""

    def score(self, users, features):
        Recording.histories.append(users.history)
        liked = users.history @ np.eye(6, dtype=np.float32)[GROUP]
        return liked[:, GROUP].astype(np.float32)


class Guessing(Recording):
    def score(self, users, features):
        return np.random.default_rng(0).random((len(users), self.n_items_), dtype=np.float32)


@pytest.fixture(autouse=True)
def _empty_records():
    Recording.fits, Recording.histories = [], []


def padded(at):
    """A name whose order is that of the numbers: the check goes by ids, and ``Knowing`` by positions."""
    return f"{at:03}"


def catalog_of(item_name=padded, telling=False):
    titles = [f"group{group} item{at}" if telling else f"item{at}" for at, group in enumerate(GROUP)]
    return cs.Catalog.from_frame(
        {"id": [item_name(at) for at in range(72)], "title": titles}, id="id", fields=["title"]
    )


def clicks_of(item_name=padded, user_name=padded):
    rng = np.random.default_rng(7)
    liked = [rng.choice(np.flatnonzero(user % 6 == GROUP), 10, replace=False) for user in range(120)]
    rows = [{"u": user_name(user), "i": item_name(int(item))} for user, items in enumerate(liked) for item in items]
    return cs.Interactions.from_frame(rows, user="u", item="i")


def recommender(ranker, fuser=None):
    return cs.Recommender(encoder=HashEncoder(16), ranker=ranker, fuser=fuser)


def fit_quietly(rec, *data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColdstartWarning)
        return rec.fit(*data, **options)


class TestWarning:
    def test_a_ranker_that_guesses_is_warned_about_with_numbers(self):
        expected = (
            r"^Guessing does not beat the simplest rankers on clicks that were hidden from it \(NDCG@20\): "
            r"among cold items (text cosine|popularity) has 0\.\d{3} and Guessing 0\.\d{3}; .*"
            r"Try other parts or settings \(cs\.tune\), or pass check=False\. All numbers: Recommender\.check_\.$"
        )
        with pytest.warns(ColdstartWarning, match=expected):
            cs.Recommender(encoder=HashEncoder(16), ranker=Guessing()).fit(catalog_of(telling=True), clicks_of())

    def test_the_numbers_of_the_warning_are_those_of_check_(self):
        rec = recommender(Guessing())
        with pytest.warns(ColdstartWarning) as caught:
            rec.fit(catalog_of(telling=True), clicks_of())
        behind = [finding for finding in rec.check_.findings if finding.behind]
        assert len(behind) >= 2
        for f in behind:
            line = f"among {f.group} items {f.baseline} has {f.other:.3f} and Guessing {f.ranker:.3f}"
            assert line in str(caught[0].message)

    def test_the_warning_points_at_the_line_that_called_fit(self):
        with pytest.warns(ColdstartWarning) as caught:
            recommender(Guessing()).fit(catalog_of(telling=True), clicks_of())
        assert caught[0].filename == __file__

    def test_a_ranker_that_knows_the_truth_is_not_warned_about(self):
        rec = recommender(Knowing()).fit(catalog_of(), clicks_of())
        assert all(finding.low > 0 for finding in rec.check_.findings)

    def test_plain_text_cosine_is_not_behind_itself(self):
        plain = recommender(cs.CosineRanker(center=False), cs.ConcatFuser("equal"))
        rec = plain.fit(catalog_of(telling=True), clicks_of())
        for f in rec.check_.findings[::2]:
            assert (f.baseline, f.low, f.high, f.behind) == ("text cosine", 0.0, 0.0, False)


class TestFindings:
    def test_there_is_one_for_each_group_and_baseline(self):
        check = recommender(Knowing()).fit(catalog_of(), clicks_of()).check_.findings
        expected = [(group, simple) for group in ("cold", "overall") for simple in ("text cosine", "popularity")]
        assert [finding[:2] for finding in check] == expected
        assert all(0.0 <= value <= 1.0 for finding in check for value in finding[2:4])
        assert all(finding.low <= finding.ranker - finding.other <= finding.high for finding in check)

    def test_popularity_cannot_rank_pseudo_cold_items_and_informative_text_can(self):
        plain, telling = (
            fit_quietly(recommender(Knowing()), catalog_of(telling=telling), clicks_of()).check_.findings[:2]
            for telling in (False, True)
        )
        assert telling[0].other > 0.9 > 0.8 > plain[0].other
        assert telling[1].other == plain[1].other < 0.8

    def test_given_clicks_are_left_out_of_the_lists(self):
        class Repeating(Knowing):
            def score(self, users, features):
                return super().score(users, features) + 1_000.0 * users.history.toarray()

        one, other = (
            recommender(ranker).fit(catalog_of(), clicks_of()).check_.findings for ranker in (Knowing(), Repeating())
        )
        assert one == other

    @pytest.mark.parametrize(
        ("ranker", "other", "low", "high", "behind"),
        [
            (0.3, 0.2, 0.05, 0.15, False),
            (0.2, 0.3, -0.3, 0.1, False),
            (0.2, 0.3, -0.15, -0.05, True),
            (0.2, 0.2, 0.0, 0.0, False),
        ],
    )
    def test_a_ranker_is_behind_when_the_whole_interval_is_below_zero(self, ranker, other, low, high, behind):
        assert Finding("cold", "popularity", ranker, other, low, high).behind is behind

    def test_the_repr_has_all_numbers_and_their_intervals(self):
        findings = (
            Finding("cold", "popularity", 0.3, 0.1, 0.15, 0.25),
            Finding("overall", "text cosine", 0.1, 0.2, -0.15, 0.05),
            Finding("overall", "popularity", 0.1, 0.2, -0.15, -0.05),
        )
        assert repr(BaselineCheck(findings)).splitlines() == [
            "cold: NDCG@20 0.300, popularity 0.100 (difference +0.150 to +0.250)",
            "overall: NDCG@20 0.100, text cosine 0.200 (difference -0.150 to +0.050: not surely ahead)",
            "overall: NDCG@20 0.100, popularity 0.200 (difference -0.150 to -0.050: behind)",
        ]


class TestWhen:
    def test_without_the_check_nothing_is_fitted_twice(self):
        rec = recommender(Guessing()).fit(catalog_of(telling=True), clicks_of(), check=False)
        assert rec.check_ is None
        assert len(Recording.fits) == 1

    def test_without_clicks_there_is_nothing_to_check(self):
        assert recommender(cs.CosineRanker()).fit(catalog_of()).check_ is None

    @pytest.mark.parametrize(("least", "checked"), [(N_CLICKS, True), (N_CLICKS + 1, False)])
    def test_too_few_clicks_are_not_checked(self, monkeypatch, least, checked):
        monkeypatch.setattr(baseline_check, "MIN_CLICKS", least)
        rec = recommender(Knowing()).fit(catalog_of(), clicks_of())
        assert (rec.check_ is not None) == checked

    def test_a_thousand_clicks_are_enough(self):
        assert baseline_check.MIN_CLICKS == 1_000

    def test_users_with_one_click_are_not_evaluation_users(self):
        rows = [{"u": at, "i": padded(at % 72)} for at in range(1_500)]
        many = cs.Interactions.from_frame(rows, user="u", item="i")
        assert recommender(Guessing()).fit(catalog_of(), many).check_ is None

    def test_too_few_items_for_a_pseudo_cold_one_are_not_checked(self):
        catalog = cs.Catalog.from_frame({"id": [1, 2, 3], "title": ["a", "b", "c"]}, id="id", fields=["title"])
        rows = [{"u": at // 2, "i": at % 2 + 1} for at in range(1_200)]
        clicks = cs.Interactions.from_frame(rows, user="u", item="i")
        assert recommender(cs.CosineRanker()).fit(catalog, clicks).check_ is None

    def test_without_a_relevant_pseudo_cold_item_there_is_no_check(self):
        rarely = np.random.default_rng(0).permutation(20)[:3]
        popular = np.setdiff1d(np.arange(20), rarely)
        not_asked = np.random.default_rng(0).permutation(600)[baseline_check.EVAL_USERS]
        rows = [{"u": user, "i": int(popular[(user + step) % 17])} for user in range(600) for step in (1, 2, 3)]
        rows += [{"u": int(not_asked), "i": int(item)} for item in rarely]
        catalog = cs.Catalog.from_frame(
            {"id": range(20), "title": list("abcdefghijklmnopqrst")}, id="id", fields=["title"]
        )
        clicks = cs.Interactions.from_frame(rows, user="u", item="i")
        rec = fit_quietly(recommender(cs.CosineRanker()), catalog, clicks)
        assert rec.check_ is None or not np.isnan([f[2:] for f in rec.check_.findings]).any()

    def test_it_is_measured_anew_with_each_fit(self):
        rec = recommender(Knowing()).fit(catalog_of(), clicks_of())
        assert rec.check_ is not None
        assert rec.fit(catalog_of(), clicks_of(), check=False).check_ is None

    def test_a_fit_that_fails_leaves_the_last_check(self):
        rec = recommender(Knowing()).fit(catalog_of(), clicks_of())
        check = rec.check_
        with pytest.raises(InvalidInputError):
            rec.fit(catalog_of(item_name=int), clicks_of())
        assert rec.check_ is check


class TestSideEffects:
    @pytest.mark.parametrize(
        "make",
        [
            cs.CosineRanker,
            lambda: EASERanker(10.0),
            lambda: ALSRanker(4, rng=np.random.default_rng(3)),
            lambda: RandomRanker(np.random.default_rng(3)),
        ],
        ids=["cosine", "ease", "als", "random"],
    )
    def test_the_recommender_is_the_same_with_and_without_the_check(self, make):
        answers = [
            fit_quietly(recommender(make()), catalog_of(), clicks_of(), check=check).recommend_many(
                users=["000", "001", "002"], k=20
            )
            for check in (True, False)
        ]
        assert answers[0] == answers[1]

    def test_the_parts_given_are_not_fitted(self):
        ranker = Knowing()
        recommender(ranker).fit(catalog_of(), clicks_of())
        assert ranker.get_state() == {}

    def test_it_is_deterministic(self):
        one, other = (recommender(Knowing()).fit(catalog_of(), clicks_of()).check_ for _ in range(2))
        assert one == other

    def test_it_does_not_depend_on_what_ids_are(self):
        other_names = {"item_name": lambda at: ("item", 1000 + at)}
        one = recommender(Knowing()).fit(catalog_of(), clicks_of()).check_
        other = recommender(Knowing()).fit(
            catalog_of(**other_names), clicks_of(**other_names, user_name=lambda at: 1000 + at)
        )
        assert one == other.check_

    @pytest.mark.parametrize("ranker", [cs.HybridRanker(), EASERanker()])
    def test_it_does_not_depend_on_the_order_of_rows(self, ranker):
        rng, catalog, clicks = np.random.default_rng(0), catalog_of(telling=True), clicks_of()
        shuffled = catalog.take(rng.permutation(len(catalog))), clicks.take(rng.permutation(len(clicks)))
        one, other = (fit_quietly(recommender(ranker), *data).check_ for data in ((catalog, clicks), shuffled))
        assert str(one) == str(other)

    def test_the_copy_is_fitted_on_fewer_clicks_than_the_ranker(self):
        recommender(Knowing()).fit(catalog_of(), clicks_of())
        everything, less = Recording.fits
        assert everything.nnz == N_CLICKS
        assert 0.6 * N_CLICKS < less.nnz < 0.9 * N_CLICKS
        assert (np.asarray(less.sum(axis=0)) == 0).sum() == round(0.15 * 72)
        assert not (less > everything).nnz

    def test_users_are_sampled(self, monkeypatch):
        monkeypatch.setattr(baseline_check, "MAX_USERS", 110)
        monkeypatch.setattr(baseline_check, "EVAL_USERS", 30)
        recommender(Knowing()).fit(catalog_of(), clicks_of())
        assert Recording.fits[1].shape == (110, 72)
        assert sum(history.shape[0] for history in Recording.histories) == 2 * 30


class TestSampleUsers:
    def test_users_with_one_click_are_left_out_and_the_others_stay_in_order(self):
        clicks = csr_array(np.array([[1, 1, 0], [0, 1, 0], [2, 0, 3], [0, 0, 0]], dtype=np.float32))
        assert _sample_users(clicks).toarray().tolist() == [[1, 1, 0], [2, 0, 3]]


class TestArrivals:
    """Pseudo-cold items stand for new ones, and the copies get them as such."""

    def exposures_with(self, **facts):
        exposures = []

        class Exposed(Knowing):
            def fit(self, features, clicks=None):
                exposures.append(features.exposure)
                return super().fit(features, clicks)

            def score(self, users, features):
                exposures.append(features.exposure)
                return super().score(users, features)

        fitted = fit_quietly(recommender(Exposed()), catalog_of(), clicks_of(), **facts).fitted
        cold = np.flatnonzero(cut(_sample_users(fitted.clicks), np.random.default_rng(0), new_users=0.0).cold)
        return exposures[0], exposures[1:], cold

    def test_pseudo_cold_items_are_new_and_the_others_old_stock(self):
        of_fit, exposures, cold = self.exposures_with()
        assert of_fit is None
        assert len(exposures) >= 3
        for exposure in exposures:
            assert np.flatnonzero(exposure == 0).tolist() == cold.tolist()
            assert (np.delete(exposure, cold) == 1).all()

    def test_the_exposures_of_other_items_stay(self):
        cold = self.exposures_with()[2]
        late = int(np.setdiff1d(np.arange(72), cold)[0])
        of_fit, exposures, _ = self.exposures_with(new=[padded(late)])
        assert np.flatnonzero(of_fit == 0).tolist() == [late]
        for exposure in exposures:
            assert np.flatnonzero(exposure == 0).tolist() == sorted([late, *cold])
