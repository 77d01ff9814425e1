"""Exposures of items, as a ranker gets them through every change of a recommender."""

import copy
import pickle
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart._component import Component
from coldstart.errors import ColdstartWarning, InvalidInputError, UnknownIdError
from coldstart.testing import HashEncoder


class Probe(Component):
    """Keeps the exposures that it was fitted, refreshed and last scored with."""

    answers_nobody = True

    def fit(self, features, clicks=None):
        self.fitted_ = features.exposure
        return self

    def refreshed(self, features, clicks, origin):
        fresh = copy.copy(self)
        fresh.refreshed_ = features.exposure
        return fresh

    def score(self, users, features):
        self.scored_ = features.exposure
        return np.zeros((len(users), len(features)), dtype=np.float32)


class Plain(Probe):
    """The same ranker without ``refreshed``."""

    refreshed = property()  # which hasattr does not find


def items(ids="abcd", **columns):
    return {"id": list(ids), "title": [f"item {one}" for one in ids], **columns}


def made(ids="abcd", added=None, **columns):
    return cs.Catalog.from_frame(items(ids, **columns), id="id", fields=["title"], added=added)


def clicks(on="aabb", time=None):
    table = {"u": [f"u{at}" for at in range(len(on))], "i": list(on), "t": time or [0] * len(on)}
    return cs.Interactions.from_frame(table, user="u", item="i", time=time and "t")


def recommender(ranker=None):
    return cs.Recommender(encoder=HashEncoder(4), ranker=ranker or Probe())


def exposures(rec):
    """The exposure of each item by id, as the ranker gets it at the next request."""
    rec.recommend(k=1)
    exposure = rec.ranker_.scored_
    return None if exposure is None else dict(zip(rec.catalog.ids, exposure.tolist(), strict=True))


def approx(**expected):
    return pytest.approx(expected, abs=1e-6)


class TestFit:
    def test_by_default_all_items_are_old_stock(self):
        rec = recommender().fit(made(), clicks())
        assert rec.ranker_.fitted_ is exposures(rec) is None

    def test_new_items_have_exposure_zero(self):
        rec = recommender().fit(made(), clicks(), new=["c", "b"])
        assert rec.ranker_.fitted_.tolist() == [1.0, 0.0, 0.0, 1.0]
        assert rec.ranker_.fitted_.dtype == np.float32
        assert exposures(rec) == approx(a=1.0, b=0.0, c=0.0, d=1.0)

    def test_a_date_counts_the_clicks_before_it(self):
        catalog = made(added="came", came=[None, date(1970, 1, 2), 3, 10**9])
        rec = recommender().fit(catalog, clicks(time=[1, 2, 3, 4 * 86_400]))
        assert rec.ranker_.fitted_.tolist() == [1.0, 0.25, 0.5, 0.0]

    def test_new_overrides_a_date(self):
        catalog = made(added="came", came=[None, None, 3, 3])
        rec = recommender().fit(catalog, clicks(time=[1, 2, 3, 4]), new=["a", "c"])
        assert exposures(rec) == approx(a=0.0, b=1.0, c=0.0, d=0.5)

    def test_a_table_may_have_a_column_of_dates(self):
        table, likes = items(came=[None, None, None, 3]), {"u": [1, 1, 2, 2], "i": list("abab"), "t": [1, 2, 3, 4]}
        rec = recommender().fit(table, likes, id="id", fields=["title"], added="came", user="u", item="i", time="t")
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=0.5)
        assert rec.catalog.added == "came"

    def test_dates_without_times_of_clicks_are_not_used_and_warned_about(self):
        with pytest.warns(
            ColdstartWarning, match="dates in 'came'.* are not used: the clicks have no times.*new="
        ) as got:
            rec = recommender().fit(made(added="came", came=[None, 1, 2, 3]), clicks())
        assert got[0].filename == __file__
        assert exposures(rec) is None

    def test_an_empty_column_of_dates_does_not_warn(self):
        assert exposures(recommender().fit(made(added="came", came=[None] * 4), clicks())) is None

    def test_without_clicks_there_are_no_exposures(self):
        assert exposures(recommender().fit(made(added="came", came=[1, 2, 3, 4]), new=["a"])) is None

    @pytest.mark.parametrize(
        ("wrong", "kind", "match"),
        [
            (
                {"new": ["a", "x", "y"]},
                UnknownIdError,
                "`new` must hold ids of the 4 items of the catalogue; got 'x', 'y'",
            ),
            ({"new": "abc"}, InvalidInputError, "`new` must be a list of ids; got 'abc'"),
            ({"added": "came"}, InvalidInputError, "added= of Recommender.fit names columns of a table; got a Catalog"),
        ],
    )
    def test_wrong_arguments_raise_and_leave_the_recommender_as_it_was(self, wrong, kind, match):
        rec = recommender().fit(made(), clicks(), new=["a"])
        before = rec.fitted
        with pytest.raises(kind, match=match):
            rec.fit(made(), clicks(), **wrong)
        assert rec.fitted is before

    def test_an_unknown_column_of_dates_is_named(self):
        with pytest.raises(InvalidInputError, match="Catalog has no column 'came'"):
            recommender().fit(items(), id="id", fields=["title"], added="came")


class TestChanges:
    @pytest.mark.parametrize("ranker", [Probe(), Plain()], ids=["refreshed", "plain"])
    def test_the_exposure_of_an_item_grows_with_every_click(self, ranker):
        rec = recommender(ranker).fit(made(), clicks())
        rec.add_items(items("e"))
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.0)
        rec.update(clicks("aaaa"))
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.5)
        rec.add_items(items("f")).remove_items(["a"])
        assert exposures(rec) == approx(b=1.0, c=1.0, d=1.0, e=0.5, f=0.0)
        rec.update(clicks("ee")).update_items({"id": "e", "title": "another"})
        assert exposures(rec) == approx(b=1.0, c=1.0, d=1.0, e=0.6, f=0.2)

    def test_a_ranker_is_refreshed_with_exposures(self):
        rec = recommender().fit(made(), clicks()).add_items(items("e"))
        assert rec.ranker_.refreshed_.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
        assert rec.update(clicks("aaaa")).ranker_.refreshed_.tolist() == [1.0, 1.0, 1.0, 1.0, 0.5]

    def test_an_older_state_keeps_its_exposures(self):
        rec = recommender().fit(made(), clicks(), new=["d"])
        old = rec.fitted
        rec.update(clicks("aaaa"))
        assert old.features.exposure.tolist() == [1.0, 1.0, 1.0, 0.0]
        assert rec.fitted.features.exposure.tolist() == [1.0, 1.0, 1.0, 0.5]
        assert rec.fitted.features_at(np.array([3, 0])).exposure.tolist() == [0.5, 1.0]

    def test_some_features_have_their_exposures_with_a_vector_ranker_too(self):
        rec = recommender(cs.CosineRanker()).fit(made(), clicks()).add_items(items("e")).update(clicks("aaaa"))
        assert rec.fitted.features_at(np.array([4, 0])).exposure.tolist() == [0.5, 1.0]
        assert rec.fitted.features.exposure.tolist() == [1.0, 1.0, 1.0, 1.0, 0.5]

    def test_items_added_before_the_first_click_are_old_stock(self):
        rec = recommender().fit(made()).add_items(items("e")).update(clicks("aaaa"))
        assert exposures(rec) is None


class TestFitAgain:
    def test_arrivals_are_remembered_at_the_next_fit(self):
        rec = recommender().fit(made(), clicks()).add_items(items("e")).update(clicks("aaaa"))
        rec.fit(made("edcba"), clicks("aaaaaaaa" + "bb"))
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.6)

    def test_items_that_the_last_catalogue_lacked_arrived_after_its_clicks(self):
        rec = recommender().fit(made(), clicks()).fit(made("abcdef"), clicks("aaaaaaaa"))
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.5, f=0.5)

    def test_with_fewer_clicks_than_before_such_an_item_is_new(self):
        rec = recommender().fit(made(), clicks()).fit(made("abcde"), clicks("ab"))
        assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.0)

    def test_dates_and_new_override_what_is_remembered(self):
        rec = recommender().fit(made(), clicks(), new=["a", "b", "c"])
        catalog = made(added="came", came=[None, 1, None, None])
        rec.fit(catalog, clicks("aabbaabb", time=[1] * 8), new=["d"])
        assert exposures(rec) == approx(a=0.5, b=1.0, c=0.5, d=0.0)

    def test_after_another_catalogue_all_items_are_old_stock(self):
        rec = recommender().fit(made(), clicks()).fit(made("xyz"), clicks("xxyy"))
        assert exposures(rec) is None

    def test_after_a_fit_without_clicks_all_items_are_old_stock(self):
        rec = recommender().fit(made()).fit(made("abcdef"), clicks())
        assert exposures(rec) is None

    def test_fitting_the_same_data_again_changes_nothing(self):
        rec = recommender().fit(made(), clicks(), new=["c"])
        before = exposures(rec)
        assert exposures(rec.fit(made(), clicks())) == before

    def test_an_unfitted_copy_remembers_no_arrivals(self):
        rec = recommender().fit(made(), clicks(), new=["c"])
        fresh = cs.Recommender(**rec.get_params()).fit(made(), clicks())
        assert exposures(fresh) is None


def saved_and_loaded(rec, folder):
    rec.save(folder)
    return cs.load(folder, encoder=HashEncoder(4), ranker=Probe())


KEEPING = {
    "pickle": lambda rec, _: pickle.loads(pickle.dumps(rec)),
    "deepcopy": lambda rec, _: copy.deepcopy(rec),
    "save": lambda rec, folder: saved_and_loaded(rec, folder),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 30)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("update"), st.integers(1, 5)),
        st.tuples(st.just("fit"), st.integers(0, 12)),
        st.tuples(st.sampled_from(list(KEEPING)), st.just(0)),
    ),
    max_size=8,
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_exposures_are_shares_of_the_clicks_after_any_changes(tmp_path_factory, steps):
    """Beside a dict that counts by hand."""
    folder = tmp_path_factory.mktemp("arrivals")
    rec = recommender().fit(made(), clicks("aabb"), new=["d"])
    came, clock = dict.fromkeys("abc", 0) | {"d": 4}, 4
    for step, number in steps:
        name = f"n{number}"
        if step == "add" and name not in came:
            rec.add_items({"id": name, "title": name})
            came[name] = clock
        elif step == "remove" and name in came:
            rec.remove_items([name])
            del came[name]
        elif step == "update":
            rec.update(clicks("a" * number))
            clock += number
        elif step == "fit":
            rec.fit(made(list(came)), clicks("a" * number) if number else None)
            came, clock = {one: min(at, number) for one, at in came.items()}, number
        elif step in KEEPING:
            rec = KEEPING[step](rec, folder)
    expected = {one: 1 - at / clock if at else 1.0 for one, at in came.items()}
    assert exposures(rec) == (pytest.approx(expected, abs=1e-6) if any(came.values()) else None)


def test_a_loaded_recommender_keeps_counting_clicks(tmp_path):
    rec = saved_and_loaded(recommender().fit(made(), clicks()).add_items(items("e")), tmp_path / "rec")
    rec.update(clicks("aaaa")).add_items(items("f"))
    assert exposures(rec) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.5, f=0.0)
    assert exposures(rec.fit(made("abcdef"), clicks("a" * 10))) == approx(a=1.0, b=1.0, c=1.0, d=1.0, e=0.6, f=0.2)


def test_a_saved_catalogue_keeps_the_dates_of_its_items(tmp_path):
    catalog = made(added="came", came=[None, date(1970, 1, 2), None, None])
    again = saved_and_loaded(recommender().fit(catalog, clicks(time=[1, 2, 3, 4])), tmp_path / "rec").catalog
    assert (again.added, again.since.tolist()) == ("came", catalog.since.tolist())
