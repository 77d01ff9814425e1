"""The pipeline as its users see it."""

import copy
import pickle
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import InvalidInputError, NotFittedError, UnknownIdError
from coldstart.pipeline import ranking
from coldstart.rankers.itemknn import ItemKNNRanker
from coldstart.reranking import diverse_cover as cover
from coldstart.testing import HashEncoder, check_recommender, tiny_catalog, tiny_clicks

FUSERS = {"concat": cs.ConcatFuser, "weighted": cs.WeightedFuser, "attention": cs.AttentionFuser}
RANKERS = {"cosine": cs.CosineRanker, "mlp": cs.MLPRanker, "hybrid": cs.HybridRanker}
ENCODERS = {"hash": HashEncoder, "tfidf": cs.TfidfEncoder}


def ids_of(recommendations):
    return recommendations.item_ids[0]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("fuser", FUSERS)
@pytest.mark.parametrize("ranker", RANKERS)
def test_every_combination_of_parts_keeps_the_contract(encoder, fuser, ranker):
    check_recommender(
        lambda: cs.Recommender(encoder=ENCODERS[encoder](), fuser=FUSERS[fuser](), ranker=RANKERS[ranker]())
    )


class CountingEncoder(HashEncoder):
    """Records the values that it encodes."""

    def __init__(self, dim=64):
        super().__init__(dim)
        self.encoded = []

    def encode(self, values, /):
        self.encoded += values
        return super().encode(values)


class TestFit:
    def test_works_without_clicks(self, catalog):
        rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
        assert ids_of(rec.recommend(query="tulip", k=1)) == ["g1"]

    def test_users_of_the_interactions_are_known_by_id(self, rec):
        assert ids_of(rec.recommend(user="u2", k=1)) == ["s2"]

    def test_returns_the_recommender_and_leaves_the_parts_given_alone(self, catalog, clicks):
        fuser, ranker = cs.WeightedFuser(), cs.CosineRanker()
        rec = cs.Recommender(encoder=HashEncoder(), fuser=fuser, ranker=ranker)
        assert rec.fit(catalog, clicks) is rec
        assert not hasattr(fuser, "weights_")
        assert not hasattr(ranker, "centers_")
        assert set(rec.fuser_.weights_) == {"title", "plot"}

    def test_missing_text_is_not_encoded(self, catalog):
        encoder = CountingEncoder()
        cs.Recommender(encoder=encoder).fit(catalog)
        assert len(encoder.encoded) == 2 * len(catalog) - 1
        assert not {"", "nan", "None", None} & set(encoder.encoded)

    def test_starts_anew(self, rec, catalog):
        rec.fit(catalog)
        with pytest.raises(UnknownIdError):
            rec.recommend(user="u0")

    def test_one_encoder_per_field(self, catalog):
        encoders = {"title": HashEncoder(dim=32), "plot": cs.TfidfEncoder(dim=4)}
        rec = cs.Recommender(encoder=encoders).fit(catalog)
        assert rec.encoders_["title"].dim == 32
        assert ids_of(rec.recommend(query="comet", k=1)) == ["s2"]

    def test_averaging_fields_of_different_encoders_is_refused(self, catalog):
        encoders = {"title": HashEncoder(dim=32), "plot": HashEncoder(dim=16)}
        with pytest.raises(InvalidInputError, match=r"same dim; got \{'title': 32, 'plot': 16\}.*ConcatFuser"):
            cs.Recommender(encoder=encoders, fuser=cs.WeightedFuser()).fit(catalog)

    def test_encoders_must_name_the_fields(self, catalog):
        with pytest.raises(InvalidInputError, match=r"\['title', 'plot'\]; got \['name'\]"):
            cs.Recommender(encoder={"name": HashEncoder()}).fit(catalog)

    def test_a_frame_in_place_of_a_catalog_is_explained(self):
        with pytest.raises(InvalidInputError, match="must be a Catalog, or a table with id=.*; got dict.*from_frame"):
            cs.Recommender(encoder=HashEncoder()).fit({"id": [1]})

    def test_a_frame_in_place_of_interactions_is_explained(self, catalog):
        with pytest.raises(
            InvalidInputError, match="must be Interactions, or a table with user=.*; got list.*from_frame"
        ):
            cs.Recommender(encoder=HashEncoder()).fit(catalog, [("u", "s0")])

    def test_a_failed_fit_leaves_the_recommender_as_it_was(self, rec, catalog):
        before = rec.recommend(user="u0", k=3)
        strangers = cs.Interactions.from_frame({"u": ["x"], "i": ["unknown"]}, user="u", item="i")
        with pytest.raises(InvalidInputError, match="1 of 1 clicks are on 1 items that are not in the catalogue"):
            rec.fit(catalog, strangers)
        assert rec.recommend(user="u0", k=3) == before

    def test_a_warning_points_to_the_line_of_the_caller(self, rec, catalog):
        clicks = cs.Interactions.from_frame({"u": ["x", "x"], "i": ["s0", "gone"]}, user="u", item="i")
        for warn in (rec.update, lambda *args, **options: rec.fit(catalog, *args, **options)):
            with pytest.warns(cs.ColdstartWarning, match="Dropped") as caught:
                warn(clicks, on_unknown="drop")
            assert caught[0].filename == __file__

    def test_clicks_on_unknown_items_can_be_dropped(self, catalog):
        rows = {"u": ["x", "x"], "i": ["s0", "unknown"]}
        clicks = cs.Interactions.from_frame(rows, user="u", item="i")
        with pytest.warns(cs.ColdstartWarning, match="Dropped: 1 of 2 clicks"):
            rec = cs.Recommender(encoder=HashEncoder()).fit(catalog, clicks, on_unknown="drop")
        assert ids_of(rec.recommend(user="x", k=1))[0].startswith("s")

    def test_an_encoder_that_returns_the_wrong_number_of_rows_is_named(self, catalog):
        class Short(HashEncoder):
            def encode(self, values, /):
                return super().encode(values)[1:]

        with pytest.raises(InvalidInputError, match=r"Short.encode must return 15 rows; got 14"):
            cs.Recommender(encoder=Short()).fit(catalog)

    def test_an_encoder_that_returns_nan_is_named(self, catalog):
        class Broken(HashEncoder):
            def encode(self, values, /):
                return super().encode(values) * np.nan

        with pytest.raises(InvalidInputError, match="vectors of Broken.*finite"):
            cs.Recommender(encoder=Broken()).fit(catalog)

    @pytest.mark.parametrize("ranker", RANKERS)
    def test_one_item_is_a_catalogue(self, ranker):
        catalog = cs.Catalog.from_frame({"id": [7], "title": ["alone"]}, id="id", fields=["title"])
        clicks = cs.Interactions.from_frame({"u": ["x"], "i": [7]}, user="u", item="i")
        rec = cs.Recommender(encoder=HashEncoder(), ranker=RANKERS[ranker]()).fit(catalog, clicks)
        assert ids_of(rec.recommend(query="alone")) == [7]
        assert ids_of(rec.recommend(user="x")) == []

    def test_items_without_any_text_still_have_their_place(self):
        rows = {"id": [1, 2, 3], "title": [None, "space war", "garden"]}
        rec = cs.Recommender(encoder=HashEncoder()).fit(cs.Catalog.from_frame(rows, id="id", fields=["title"]))
        assert ids_of(rec.recommend(query="space"))[0] == 2
        assert rec.recommend(history=[1], k=2).item_ids == [[2, 3]]

    def test_a_field_that_is_missing_everywhere_has_no_effect(self):
        rows = {"id": [1, 2], "title": ["space", "garden"], "plot": [None, None]}
        rec = cs.Recommender(encoder=HashEncoder()).fit(cs.Catalog.from_frame(rows, id="id", fields=["title", "plot"]))
        assert ids_of(rec.recommend(query="garden"))[0] == 2

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"encoder": "some/hub-id"}, r"`encoder` must have the method encode; .*Pass TextEncoder\('some/hub-id'\)"),
            ({"encoder": {"title": HashEncoder(), "plot": None}}, "`encoder` must have the method encode; got None"),
            ({"encoder": HashEncoder}, r"`encoder` must be an object; got the class HashEncoder. Pass HashEncoder\(\)"),
            ({"ranker": "cosin"}, "`ranker` must be 'hybrid', 'cosine' or 'mlp'.*; got 'cosin'; did you mean `cosine`"),
            ({"ranker": cs.HybridRanker}, r"`ranker` must be an object; .* Pass HybridRanker\(\)"),
            ({"fuser": 3}, r"`fuser` must have the methods fit and fuse; got 3. Pass ConcatFuser\(\)"),
            ({"fuser": "lstm"}, "`fuser` must be 'concat', 'weighted' or 'attention'.*; got 'lstm'"),
            ({"index": object}, "`index` must be an object; got the class object"),
            ({"lexical": "yes"}, r"`lexical` must have the methods fit .*; got 'yes'. Pass LexicalEncoder\(\)"),
        ],
    )
    def test_a_wrong_part_is_explained_before_anything_is_encoded(self, catalog, parts, message):
        encoder = CountingEncoder()
        with pytest.raises(InvalidInputError, match=message):
            cs.Recommender(**{"encoder": encoder, **parts}).fit(catalog)
        assert encoder.encoded == []

    @pytest.mark.parametrize("name", [*RANKERS, "Cosine", "MLP"])
    def test_a_ranker_may_be_named(self, catalog, name):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=name).fit(catalog)
        assert type(rec.ranker_) is RANKERS[name.lower()]
        assert rec.get_params()["ranker"] == name

    @pytest.mark.parametrize("name", [*FUSERS, "Concat"])
    def test_a_fuser_may_be_named(self, catalog, name):
        rec = cs.Recommender(encoder=HashEncoder(), fuser=name).fit(catalog)
        assert type(rec.fuser_) is FUSERS[name.lower()]

    def test_a_recommender_of_named_parts_is_saved_and_loaded(self, catalog, clicks, tmp_path):
        rec = cs.Recommender(encoder=cs.TfidfEncoder(), ranker="cosine", fuser="weighted", lexical=False)
        rec.fit(catalog, clicks).save(tmp_path / "model")
        loaded = cs.load(tmp_path / "model")
        assert loaded.recommend(user="u0").item_ids == rec.recommend(user="u0").item_ids

    def test_tables_may_be_given_with_the_names_of_their_columns(self):
        films = pd.DataFrame({"key": [1, 2, 3], "name": ["space war", "space opera", "garden party"]})
        likes = pd.DataFrame({"who": ["ada", "ada"], "film": [1, 3], "stars": [5.0, 4.0]})
        rec = cs.Recommender(encoder=HashEncoder())
        rec.fit(films, likes, id="key", fields=["name"], user="who", item="film", weight="stars")
        assert rec.recommend(user="ada").item_ids == [[2]]
        assert rec.interactions.weight.tolist() == [5.0, 4.0]
        with pytest.raises(InvalidInputError, match="id=, fields= of Recommender.fit .*; got a Catalog"):
            rec.fit(rec.catalog, id="key", fields=["name"])

    def test_scikit_learn_clones_it_unfitted(self, rec):
        clone = pytest.importorskip("sklearn.base").clone
        copied = clone(rec)
        assert type(copied.encoder) is HashEncoder
        assert copied.encoder is not rec.encoder
        with pytest.raises(NotFittedError):
            copied.recommend("moon")

    def test_before_fit_everything_says_so(self):
        with pytest.raises(NotFittedError, match=r"call Recommender.fit\(catalog\) first"):
            cs.Recommender().recommend(query="x")
        assert not hasattr(cs.Recommender(), "catalog")

    def test_the_repr_shows_what_was_chosen(self):
        assert repr(cs.Recommender(ranker=cs.CosineRanker(center=False))) == (
            "Recommender(ranker=CosineRanker(center=False))"
        )

    def test_once_fitted_the_repr_is_one_short_line(self, rec, tmp_path, make_model):
        assert repr(rec) == "Recommender(HybridRanker, 8 items, 24 clicks of 8 users, fields: title, plot)"
        columns = {"id": ["a"]} | {f"a_field_with_a_long_name_{at}": ["space garden"] for at in range(9)}
        many = cs.Recommender(cs.TextEncoder(make_model("bert"), device="cpu"))
        many.fit(columns, id="id", fields=[name for name in columns if name != "id"]).save(tmp_path / "model")
        shown = repr(cs.load(tmp_path / "model"))
        assert shown.startswith("Recommender(HybridRanker, 1 items, no clicks, fields: a_field_with_a_long_name_0, ")
        assert len(shown) < 200
        assert "\n" not in shown

    def test_a_notebook_shows_what_it_is_made_of(self, rec, catalog):
        shown = rec._repr_html_()
        for cell in ("8 items", "24 clicks of 8 users", "title, plot", "HashEncoder", "ConcatFuser", "HybridRanker"):
            assert f"<td>{cell}</td>" in shown
        assert cs.Recommender(ranker="cosine")._repr_html_() == "<p>Recommender(ranker=&#x27;cosine&#x27;)</p>"
        named = cs.Catalog.from_frame({"id": [1], "<b>": ["x"]}, id="id", fields=["<b>"])
        assert "<b>" not in cs.Recommender(encoder=HashEncoder()).fit(named)._repr_html_()


class TestRecommend:
    def test_a_query_and_likes_combine(self, rec):
        alone, both = (ids_of(rec.recommend(query="rose", k=8, **request)) for request in ({}, {"history": ["s0"]}))
        assert both[0] == "g0"
        alone.remove("s0")
        of_space = [item for item in both if item[0] == "s"]
        assert sum(map(both.index, of_space)) < sum(map(alone.index, of_space))

    def test_a_known_user_and_a_query_combine(self, rec):
        assert ids_of(rec.recommend(user="u0", query="comet", k=2))[0] == "s0"
        assert ids_of(rec.recommend(user="u0", query="comet", k=1, exclude_seen=False)) == ["s2"]

    def test_a_profile_counts_like_a_query_of_less_weight(self, rec):
        assert ids_of(rec.recommend(profile={"hobby": "garden"}, k=1))[0].startswith("g")
        assert ids_of(rec.recommend(profile="garden", query="space", k=1))[0].startswith("s")

    def test_disliked_items_lower_similar_ones_and_are_never_returned(self, rec):
        plain = rec.recommend(query="space", k=8)
        disliking = rec.recommend(query="space", disliked=["s3"], k=8, exclude_seen=False)
        assert "s3" not in ids_of(disliking)
        assert len(ids_of(disliking)) == len(ids_of(plain)) - 1

    def test_a_dislike_alone_prefers_the_other_kind(self, rec):
        assert all(item.startswith("g") for item in ids_of(rec.recommend(disliked=["s0", "s1"], k=4)))

    def test_history_is_left_out_unless_asked_for(self, rec):
        assert "s0" not in ids_of(rec.recommend(history=["s0"], k=8))
        assert "s0" in ids_of(rec.recommend(history=["s0"], k=8, exclude_seen=False))

    def test_scores_descend(self, rec):
        scores = rec.recommend(query="space moon", k=8).scores[0]
        assert scores == sorted(scores, reverse=True)

    def test_k_is_ten_or_the_size_of_the_catalogue(self, rec):
        assert len(ids_of(rec.recommend(query="space"))) == 8

    @pytest.mark.parametrize("k", [2.5, 3.0])
    def test_k_is_a_whole_number(self, rec, k):
        with pytest.raises(InvalidInputError, match=f"`k` must be a whole number between 1 and 8; got {k}"):
            rec.recommend(query="space", k=k)

    @pytest.mark.parametrize("k", [0, -1, 9, True, "2"])
    def test_k_out_of_range_names_the_range(self, rec, k):
        with pytest.raises(InvalidInputError, match=rf"`k` must be between 1 and 8; got {k!r}"):
            rec.recommend(query="space", k=k)

    def test_unknown_users_are_named_with_what_to_do(self, rec):
        with pytest.raises(UnknownIdError, match=r"8 users.*got 'nobody'.*history=.*query="):
            rec.recommend(user="nobody")

    def test_unknown_items_are_named(self, rec):
        with pytest.raises(UnknownIdError, match=r"`history`.*got 'x1', 'x2'"):
            rec.recommend(history=["s0", "x1", "x2"])

    def test_an_empty_query_is_like_none(self, rec):
        assert rec.recommend(query="  ", k=3) == rec.recommend(k=3)

    def test_an_empty_request_gets_popular_items(self, catalog):
        rows = {"u": ["a", "b", "c"], "i": ["g2", "g2", "s1"]}
        clicks = cs.Interactions.from_frame(rows, user="u", item="i")
        rec = cs.Recommender(encoder=HashEncoder()).fit(catalog, clicks)
        assert ids_of(rec.recommend(k=2)) == ["g2", "s1"]

    def test_an_empty_request_without_clicks_gets_both_kinds(self, catalog):
        rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
        assert {item[0] for item in ids_of(rec.recommend(k=2))} == {"s", "g"}

    def test_the_cover_of_the_catalogue_is_computed_once(self, catalog, monkeypatch):
        rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
        made = []
        monkeypatch.setattr(
            "coldstart.pipeline.state.diverse_cover", lambda *args: made.append(args[1]) or cover(*args)
        )
        few, many = rec.recommend(k=2), rec.recommend(k=8)
        assert made == [10]
        assert ids_of(many)[:2] == ids_of(few)
        assert many.scores[0][:2] == few.scores[0]
        whole = cover(lambda rows: rec.fitted.features_at(rows).dense, 8, np.arange(8))
        assert ids_of(many) == [catalog.ids[at] for at in whole.positions[0]]
        rec.add_items([{"id": "n1", "title": "garden gnome", "plot": None}])
        assert len(ids_of(rec.recommend(k=9))) == 9
        assert made == [10, 10]

    def test_a_longer_cover_replaces_a_shorter_one(self, monkeypatch):
        films = {"id": range(30), "title": [f"word{at} film" for at in range(30)]}
        rec = cs.Recommender(encoder=HashEncoder()).fit(films, id="id", fields=["title"])
        ten, twenty = rec.recommend(k=10), rec.recommend(k=20)
        assert ids_of(twenty)[:10] == ids_of(ten)
        monkeypatch.setattr("coldstart.pipeline.state.diverse_cover", None)
        assert ids_of(rec.recommend(k=15)) == ids_of(twenty)[:15]

    def test_filters_have_a_cover_of_their_own(self, catalog):
        rec = cs.Recommender(encoder=HashEncoder()).fit(catalog)
        rec.recommend(k=8)
        assert ids_of(rec.recommend(k=8, candidates=["s0", "s1"])) == ["s0", "s1"]
        (without,) = rec.recommend_many([cs.Request(exclude=["s0"])], k=8).item_ids
        assert sorted(without) == sorted(set(catalog.ids) - {"s0"})

    def test_a_query_may_stand_without_its_name(self, rec):
        assert rec.recommend("moon", k=3) == rec.recommend(query="moon", k=3)
        with pytest.raises(InvalidInputError, match="^recommend: pass all but `query` by name.$"):
            rec.recommend("moon", 3)
        with pytest.raises(InvalidInputError, match="`query` must be text; got 3"):
            rec.recommend(3)

    def test_one_id_in_place_of_a_history_is_explained(self, rec):
        with pytest.raises(InvalidInputError, match=r"`history` must be a list of ids; got 's0'. Pass \['s0'\]"):
            rec.recommend(history="s0")

    def test_a_user_whose_clicked_items_are_removed_is_like_a_new_user(self, rec):
        rec.remove_items(["s1", "s2", "s3"])
        assert rec.recommend(user="u0", k=2).item_ids == rec.recommend(k=2).item_ids


class TestFilters:
    def test_candidates_are_the_only_items(self, rec):
        assert set(ids_of(rec.recommend(query="space", candidates=["g0", "s1"]))) == {"g0", "s1"}

    def test_excluded_items_never_come(self, rec):
        assert "s0" not in ids_of(rec.recommend(query="space star", exclude=["s0"], k=8))

    def test_where_reads_columns(self, rec):
        assert set(ids_of(rec.recommend(query="space", where={"price": ("<", 20)}))) == {"s0", "s1", "g0", "g1"}

    def test_filters_combine(self, rec):
        found = rec.recommend(query="x", where={"price": 0}, candidates=["s0", "g0", "s1"], exclude=["g0"])
        assert ids_of(found) == ["s0"]

    def test_rows_are_short_when_filters_leave_fewer(self, rec):
        assert len(ids_of(rec.recommend(query="space", candidates=["s0", "s1"], k=5))) == 2

    @pytest.mark.parametrize("request_", [{"query": "space"}, {"history": ["s0"]}, {}, {"user": "u0"}])
    def test_a_row_is_empty_when_filters_leave_nothing(self, rec, request_):
        assert rec.recommend(**request_, where={"price": -1}).item_ids == [[]]

    def test_a_request_can_exclude_for_itself(self, rec):
        rows = rec.recommend_many([cs.Request(query="space star", exclude=["s0"]), cs.Request(query="space star")], k=1)
        assert rows.item_ids[0] != ["s0"] == rows.item_ids[1]

    def test_excluding_an_unknown_item_is_no_error(self, rec):
        assert len(ids_of(rec.recommend(query="space", exclude=["gone"]))) == 8
        assert rec.recommend_many([cs.Request(query="space", exclude=["gone"])]).item_ids[0]

    @pytest.mark.parametrize("name", ["candidates", "exclude"])
    @pytest.mark.parametrize("ids", ["s0", 3])
    def test_one_id_in_place_of_a_list_is_explained(self, rec, name, ids):
        with pytest.raises(InvalidInputError, match=rf"`{name}` must be a list of ids; got {ids!r}. Pass \[{ids!r}\]"):
            rec.recommend(query="space", **{name: ids})

    def test_unknown_candidates_are_named(self, rec):
        with pytest.raises(UnknownIdError, match="`candidates`.*got 'zz'"):
            rec.recommend(query="space", candidates=["zz"])


class TestMany:
    def test_a_batch_gives_what_single_requests_give(self, rec):
        requests = [
            cs.Request(user="u1"),
            cs.Request(query="garden"),
            cs.Request(),
            cs.Request(history=["g1"], disliked=["g2"]),
        ]
        many = rec.recommend_many(requests, k=3)
        singles = [
            rec.recommend(user="u1", k=3),
            rec.recommend(query="garden", k=3),
            rec.recommend(k=3),
            rec.recommend(history=["g1"], disliked=["g2"], k=3),
        ]
        assert many.item_ids == [ids_of(single) for single in singles]
        for row, single in zip(many.scores, singles, strict=True):
            np.testing.assert_allclose(row, single.scores[0], atol=1e-6)

    def test_users_are_short_for_requests_of_known_users(self, rec):
        by_users = rec.recommend_many(users=["u0", "v3"], k=1)
        assert by_users.item_ids == [["s0"], ["g3"]]

    def test_all_unknown_users_are_named_at_once(self, rec):
        with pytest.raises(UnknownIdError, match="got 'a', 'b'"):
            rec.recommend_many(users=["a", "u0", "b", "a"])

    def test_no_requests_give_no_rows(self, rec):
        assert len(rec.recommend_many([])) == 0

    @pytest.mark.parametrize("arguments", [{}, {"requests": [], "users": []}])
    def test_either_requests_or_users_are_given(self, rec, arguments):
        with pytest.raises(InvalidInputError, match="either requests or users="):
            rec.recommend_many(**arguments)

    def test_queries_and_dicts_are_requests(self, rec):
        requests = [cs.Request(query="moon"), cs.Request(history=["g0"], query="tulip")]
        batch = rec.recommend_many(["moon", {"history": ["g0"], "query": "tulip"}], k=3)
        assert batch == rec.recommend_many(requests, k=3)
        (streamed,) = rec.recommend_stream(iter(["moon", {"history": ["g0"], "query": "tulip"}]), k=3)
        assert streamed == batch

    def test_an_id_in_place_of_a_request_is_explained(self, rec):
        with pytest.raises(InvalidInputError, match=r"got 7. Pass users=\[...\] for known users"):
            rec.recommend_many([7])

    @pytest.mark.parametrize("fuser", FUSERS)
    def test_queries_in_a_batch_do_not_disturb_each_other(self, catalog, fuser):
        rec = cs.Recommender(encoder=HashEncoder(), fuser=FUSERS[fuser]()).fit(catalog)
        words = ["moon", "tulip", "lily"]
        many = rec.recommend_many([cs.Request(query=word) for word in words], k=2)
        assert many.item_ids == [ids_of(rec.recommend(query=word, k=2)) for word in words]


class TestSimilar:
    def test_the_item_itself_is_left_out(self, rec):
        assert all(item.startswith("g") and item != "g0" for item in ids_of(rec.similar_items("g0", k=3)))

    def test_an_unknown_item_is_named(self, rec):
        with pytest.raises(UnknownIdError, match="got 'zz'"):
            rec.similar_items("zz")

    def test_the_number_of_items_may_stand_without_its_name(self, rec):
        assert rec.similar_items("g0", 3) == rec.similar_items("g0", k=3)


class TestContributions:
    """The share of each source in the score of a recommended item."""

    REQUESTS = (
        {"user": "u0"},
        {"query": "rose garden"},
        {"history": ["s0"], "query": "tulip"},
        {"profile": "garden"},
        {"history": ["s0"], "disliked": ["g1"]},
        {"disliked": ["g1"]},
        {},
    )

    @pytest.fixture(scope="class")
    def hybrid(self, catalog, clicks):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(catalog, clicks)
        return rec.add_items([{"id": "new", "title": "garden moon", "plot": "a story of both", "price": 1}])

    @pytest.mark.parametrize("arguments", REQUESTS, ids=str)
    def test_shares_of_each_item_sum_to_1(self, hybrid, arguments):
        found = hybrid.recommend(**arguments, k=6)
        assert [len(row) for row in found.contributions] == [len(row) for row in found.item_ids]
        for shares in found.contributions[0]:
            assert set(shares) <= {"lexical", "content", "collaborative", "popularity"}
            assert all(type(share) is float and 0.0 <= share <= 1.0 + 1e-6 for share in shares.values())
            assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)

    def test_shares_of_a_batch_are_those_of_single_requests(self, hybrid):
        requests = [cs.Request(**request) for request in self.REQUESTS]
        many = hybrid.recommend_many(requests, k=4).contributions
        for row, request in zip(many, self.REQUESTS, strict=True):
            for one, other in zip(row, hybrid.recommend(**request, k=4).contributions[0], strict=True):
                assert one == pytest.approx(other, abs=1e-4)

    def test_a_new_item_is_recommended_by_its_content(self, hybrid):
        found = hybrid.recommend(user="v0", candidates=["new"])
        assert found.contributions == [[{"lexical": 0.0, "content": 1.0, "collaborative": 0.0, "popularity": 0.0}]]

    def test_words_of_a_query_have_a_share_where_they_match(self, hybrid):
        found = hybrid.recommend(query="tulip", k=9)
        lexical = {
            item: shares["lexical"] for item, shares in zip(found.item_ids[0], found.contributions[0], strict=True)
        }
        assert lexical["g1"] > 0.1
        assert max(lexical, key=lexical.get) == "g1"

    def test_an_empty_request_has_popularity_alone_and_without_clicks_content(self, hybrid, rec, catalog):
        for made in (hybrid, rec):
            assert made.recommend(k=2).contributions == [[{"popularity": 1.0}, {"popularity": 1.0}]]
        alone = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker()).fit(catalog)
        assert alone.recommend(k=2).contributions == [[{"content": 1.0}, {"content": 1.0}]]

    @pytest.mark.parametrize("ranker", [cs.CosineRanker, cs.MLPRanker])
    def test_rankers_without_contributions_have_none(self, catalog, clicks, ranker):
        rec = cs.Recommender(encoder=HashEncoder(), ranker=ranker()).fit(catalog, clicks)
        assert rec.recommend(query="rose", k=3).contributions == [[{}, {}, {}]]

    def test_they_are_of_the_state_that_ranked(self, hybrid):
        rec = copy.copy(hybrid)
        found = rec.recommend(user="u0", k=3)
        before = copy.deepcopy(hybrid.recommend(user="u0", k=3).contributions)
        rec.remove_items(found.item_ids[0])
        assert found.contributions == before

    def test_a_pickled_answer_leaves_the_model_behind(self, hybrid):
        found = hybrid.recommend(user="u0", k=3)
        assert found.contributions != [[{}, {}, {}]]
        again = pickle.loads(pickle.dumps(found))
        assert again == found
        assert again.contributions == [[{}, {}, {}]]
        assert len(pickle.dumps(found)) < 2_000

    @pytest.mark.parametrize("fuser", FUSERS)
    def test_they_work_with_any_fuser(self, catalog, clicks, fuser):
        rec = cs.Recommender(encoder=HashEncoder(), fuser=FUSERS[fuser](), ranker=cs.HybridRanker()).fit(
            catalog, clicks
        )
        for shares in rec.recommend(query="rose", user="u0", k=5).contributions[0]:
            assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)


class TestWords:
    """Exact words beside meaning, for rankers that read them."""

    def hybrid(self, catalog, clicks=None, **params):
        return cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker(), **params).fit(catalog, clicks)

    def shares(self, rec, **request):
        return [shares["lexical"] for shares in rec.recommend(**request, k=8).contributions[0]]

    def test_an_item_without_text_has_no_share_of_words(self, catalog):
        """Without clicks, and with the words of other items or none at all."""
        for params in ({}, {"lexical": None}):
            rec = self.hybrid(catalog, **params)
            assert self.shares(rec, query="tulip")[-1] == pytest.approx(0.0, abs=1e-5)

    @pytest.mark.parametrize("with_clicks", [True, False])
    def test_none_switches_them_off(self, catalog, clicks, with_clicks):
        clicks = clicks if with_clicks else None
        on, off = (self.hybrid(catalog, clicks, **params) for params in ({}, {"lexical": None}))
        assert on.fitted.features.sparse is not None
        assert off.fitted.features.sparse is None
        assert self.shares(on, query="tulip")[0] > 0.1
        assert self.shares(off, query="tulip")[0] == pytest.approx(0.0, abs=1e-5)
        assert ids_of(off.recommend(query="tulip", k=1)) == ["g1"]
        off.add_items([{"id": "n", "title": "tulip", "plot": None}]).update_items([{"id": "g0", "title": "tulip"}])
        assert set(ids_of(off.remove_items(["g1"]).recommend(query="tulip", k=2))) == {"n", "g0"}

    def test_a_misspelled_word_matches(self, catalog):
        found = self.hybrid(catalog).recommend(query="garden tullip", k=4)
        lexical = {item: shares["lexical"] for item, shares in zip(ids_of(found), found.contributions[0], strict=True)}
        assert all(item[0] == "g" for item in lexical)
        assert max(lexical, key=lexical.get) == "g1"

    def test_a_misspelled_word_matches_where_the_encoder_knows_no_word(self, catalog):
        rec = cs.Recommender(encoder=cs.TfidfEncoder(dim=6), ranker=cs.HybridRanker()).fit(catalog)
        query = rec.fitted.texts.lexical.encode_query(["tullip"])
        assert (rec.fitted.features.sparse @ query.T).toarray().argmax() == rec.catalog.positions(["g1"])[0]
        assert ids_of(rec.recommend(query="tullip", k=1)) == ["g1"]

    def test_a_given_lexical_encoder_is_copied(self, catalog):
        lexical = LexicalEncoder(fuzzy=False)
        rec = self.hybrid(catalog, lexical=lexical)
        assert not hasattr(lexical, "words_")
        assert rec.fitted.texts.lexical.fuzzy is False

    def test_the_default_lexical_encoder_is_shared_and_never_fitted(self, catalog):
        rec = self.hybrid(catalog)
        assert rec.lexical is cs.Recommender().lexical
        assert not hasattr(rec.lexical, "words_")


class TestSentences:
    """What a query says beside its topic."""

    FILMS = {
        "id": ["alien", "aliens", "moon", "shark", "waltz", "tango", "crow"],
        "title": ["Alien (1979)", "Aliens", "Moon", "The Shark", "Waltz", "Tango", "The Crow"],
        "plot": [
            "a crew meets a monster in space",
            "marines meet monsters in space",
            "a man alone in space",
            "a monster in the sea",
            "a dance in vienna",
            "a dance in argentina",
            "a dead man in the rain",
        ],
    }

    def films(self, ranker="hybrid", **params):
        catalog = cs.Catalog.from_frame(self.FILMS, id="id", fields=["title", "plot"])
        return cs.Recommender(encoder=HashEncoder(), ranker=ranker, **params).fit(catalog)

    @pytest.mark.parametrize(
        "query", ["something like Alien", "I loved Alien (1979)", "films similar to alien, please"]
    )
    def test_a_title_in_a_query_is_liked_and_left_out(self, query):
        rec = self.films()
        found = ids_of(rec.recommend(query, k=6))
        assert found.index("aliens") < min(found.index("waltz"), found.index("crow"))
        assert "alien" not in found
        assert "alien" in ids_of(rec.recommend(query, k=7, exclude_seen=False))

    def test_a_query_for_a_title_returns_it_first(self):
        assert ids_of(self.films().recommend("alien", k=1)) == ["alien"]

    def test_a_disliked_title_is_never_returned(self):
        found = ids_of(self.films().recommend("a monster, but I hated The Shark", k=6))
        assert "shark" not in found
        assert found[0] in ("alien", "aliens")

    @pytest.mark.parametrize("ranker", ["hybrid", "cosine"])
    def test_items_that_match_words_to_avoid_go_down(self, ranker):
        rec = self.films(ranker)
        plain, without = (ids_of(rec.recommend(query, k=7)) for query in ("a monster", "a monster, not in space"))
        assert without.index("shark") < plain.index("shark") or without[0] == "shark"
        assert {"alien", "aliens"} != set(without[:2])

    def test_a_query_may_have_words_to_avoid_only(self):
        assert not {"waltz", "tango"} & set(ids_of(self.films().recommend("no dance please", k=4)))

    def test_switched_off_a_query_is_searched_for_as_it_stands(self, tmp_path):
        rec = self.films(sentences=False)
        assert ids_of(rec.recommend("something like Alien", k=1)) == ["alien"]
        rec.save(tmp_path / "model")
        again = cs.load(tmp_path / "model", encoder=HashEncoder())
        assert again.sentences is False
        assert ids_of(again.recommend("something like Alien", k=1)) == ["alien"]

    def test_titles_are_those_of_the_present_items(self):
        rec = self.films().add_items([{"id": "new", "title": "Polka", "plot": "a dance in bohemia"}])
        assert "new" not in ids_of(rec.recommend("something like Polka", k=7))
        rec.remove_items(["new"])
        assert len(ids_of(rec.recommend("something like Polka", k=7))) == 7


class TestFits:
    @pytest.fixture(scope="class")
    def rec(self):
        return cs.Recommender(encoder=HashEncoder(), ranker="hybrid").fit(tiny_catalog())

    def test_a_query_that_no_item_matches_is_marked(self, rec):
        found = rec.recommend_many(["space", "qwertz asdf", "rose garden"], k=2)
        assert found.fits == [True, False, True]
        assert repr(found).count("nothing fits these words well") == 1
        assert "words of request 1" in found._repr_html_()

    def test_without_a_text_everything_fits(self, rec):
        assert rec.recommend(history=["s0"], k=2).fits == [True]
        assert rec.recommend(k=2).fits == [True]

    def test_with_a_ranker_that_cannot_tell_everything_fits(self):
        rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(tiny_catalog())
        assert rec.recommend("qwertz asdf", k=2).fits == [True]


@pytest.mark.parametrize("with_clicks", [False, True])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "\N{PARTY POPPER}",
        "word " * 10_000,
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "\ud800 moon",
        "what is it",
        "\x00",
        "not",
        "like",
    ],
    ids=[
        "empty",
        "blanks",
        "emoji",
        "10,000 words",
        "right to left",
        "lone surrogate",
        "function words",
        "null",
        "not",
        "like",
    ],
)
def test_any_text_gets_an_answer(catalog, clicks, query, with_clicks):
    rec = cs.Recommender(encoder=HashEncoder(), ranker="hybrid").fit(catalog, clicks if with_clicks else None)
    found = rec.recommend(query, k=4)
    assert len(ids_of(found)) == 4
    assert np.isfinite(found.scores[0]).all()


class TestSimilarItems:
    def test_with_clicks_similar_items_come_before_popular_ones(self, catalog, clicks):
        rec = cs.Recommender(encoder=HashEncoder(), ranker="hybrid").fit(catalog, clicks)
        plain = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker(popularity=0.0)).fit(catalog, clicks)
        for item in catalog.ids:
            found = rec.similar_items(item, k=7)
            assert item not in ids_of(found)
            np.testing.assert_allclose(found.scores[0], plain.recommend(history=[item], k=7).scores[0], atol=1e-4)
        assert rec.ranker_.popularity == 1.0


class TestCatalogueLife:
    NEW = ({"id": "n1", "title": "garden gnome", "plot": "a story of garden and gnome", "price": 5},)

    def test_a_new_item_is_recommendable_at_once_and_only_it_is_encoded(self, catalog):
        encoder = CountingEncoder()
        rec = cs.Recommender(encoder=encoder).fit(catalog)
        encoder.encoded.clear()
        rec.add_items(self.NEW)
        assert sorted(encoder.encoded) == ["a story of garden and gnome", "garden gnome"]
        assert ids_of(rec.recommend(query="gnome", k=1)) == ["n1"]
        assert "n1" in ids_of(rec.similar_items("g0", k=5))

    def test_adding_a_known_id_is_refused_and_changes_nothing(self, rec):
        with pytest.raises(InvalidInputError, match="must be new; got 's0'.*update_items"):
            rec.add_items([*self.NEW, {"id": "s0", "title": "x", "plot": "y"}])
        assert len(rec.catalog) == 8
        assert "n1" not in rec.catalog

    def test_one_row_may_be_added_or_changed_without_a_list(self, rec):
        rec.add_items({"id": "n1", "title": "garden gnome", "plot": None})
        assert ids_of(rec.recommend("gnome", k=1)) == ["n1"]
        rec.update_items({"id": "n1", "title": "submarine"})
        assert rec.catalog.columns["title"][-1] == "submarine"

    def test_interactions_has_the_clicks_as_they_are_now(self, rec, clicks):
        assert sorted(rec.interactions.pairs()) == sorted(clicks.pairs())
        rec.update(cs.Interactions.from_frame({"u": ["w", "w"], "i": ["g0", "g0"]}, user="u", item="i"))
        rec.remove_items(["s0"])
        left = {pair for pair in clicks.pairs() if pair[1] != "s0"}
        assert set(rec.interactions.pairs()) == left | {("w", "g0")}
        assert rec.interactions.weight.max() == 2.0
        assert rec.interactions.time is None

    def test_new_items_must_have_the_fields(self, rec):
        with pytest.raises(InvalidInputError, match="no column 'plot'"):
            rec.add_items([{"id": "n1", "title": "x"}])

    def test_a_failing_encoder_leaves_the_catalogue_as_it_was(self, catalog):
        class Failing(HashEncoder):
            def encode(self, values, /):
                if any("gnome" in value for value in values):
                    raise RuntimeError("out of memory")
                return super().encode(values)

        rec = cs.Recommender(encoder=Failing()).fit(catalog)
        with pytest.raises(RuntimeError, match="out of memory"):
            rec.add_items(self.NEW)
        assert len(rec.catalog) == 8
        assert len(ids_of(rec.recommend(query="garden"))) == 8

    def test_changed_text_changes_the_answer_and_only_it_is_encoded(self, catalog):
        encoder = CountingEncoder()
        rec = cs.Recommender(encoder=encoder).fit(catalog)
        encoder.encoded.clear()
        rec.update_items([{"id": "s0", "title": "submarine"}])
        assert encoder.encoded == ["submarine", "a story of space and star"]
        assert ids_of(rec.recommend(query="submarine", k=1)) == ["s0"]

    def test_a_changed_price_encodes_nothing(self, catalog):
        encoder = CountingEncoder()
        rec = cs.Recommender(encoder=encoder).fit(catalog)
        encoder.encoded.clear()
        rec.update_items({"id": ["s0"], "price": [99]})
        assert encoder.encoded == []
        assert ids_of(rec.recommend(query="space", where={"price": 99})) == ["s0"]

    def test_an_update_of_an_unknown_item_is_refused(self, rec):
        with pytest.raises(UnknownIdError, match="got 'zz'.*add_items"):
            rec.update_items([{"id": "zz", "title": "x"}])

    def test_removed_items_are_never_returned(self, rec):
        rec.remove_items(["s0", "g3"])
        assert not {"s0", "g3"} & set(ids_of(rec.recommend(query="space star lily", k=6)))
        assert ids_of(rec.recommend(user="u1", k=1)) == ["s1"]
        with pytest.raises(UnknownIdError, match="got 's0'"):
            rec.similar_items("s0")

    def test_a_bare_id_in_place_of_a_list_is_refused(self, rec):
        with pytest.raises(InvalidInputError, match=r"`item_ids` must be a list of ids; got 's0'"):
            rec.remove_items("s0")
        with pytest.raises(InvalidInputError, match=r"`users` must be a list of ids; got 'u0'"):
            rec.recommend_many(users="u0")

    def test_an_unknown_column_cannot_be_updated(self, rec):
        with pytest.raises(InvalidInputError, match="no column 'titel'"):
            rec.update_items([{"id": "s0", "titel": "submarine"}])

    def test_an_update_without_clicks_is_explained(self, rec):
        with pytest.raises(InvalidInputError, match="must be Interactions; got NoneType"):
            rec.update(None)

    def test_the_last_item_cannot_be_removed(self, rec, catalog):
        with pytest.raises(InvalidInputError, match="at least 1 item; got all 8"):
            rec.remove_items(catalog.ids)

    def test_new_clicks_count_from_the_next_request_on(self, rec):
        more = cs.Interactions.from_frame({"u": ["w", "w"], "i": ["g0", "g1"]}, user="u", item="i")
        rec.update(more)
        assert sorted(ids_of(rec.recommend(user="w", k=2))) == ["g2", "g3"]
        assert ids_of(rec.recommend(user="u0", k=1)) == ["s0"]

    def test_clicks_on_a_new_item_count(self, rec):
        rec.add_items(self.NEW)
        rec.update(cs.Interactions.from_frame({"u": ["u0"], "i": ["n1"]}, user="u", item="i"))
        assert "n1" not in ids_of(rec.recommend(user="u0", k=8))

    @settings(max_examples=20, deadline=None)
    @given(st.permutations(range(3)))
    def test_the_order_of_updates_does_not_matter(self, order):
        parts = [("w", "g0"), ("w", "s1"), ("u0", "g1")]
        results = []
        for sequence in (range(3), order):
            rec = cs.Recommender(encoder=HashEncoder()).fit(tiny_catalog(), tiny_clicks())
            for at in sequence:
                user, item = parts[at]
                rec.update(cs.Interactions.from_frame({"u": [user], "i": [item]}, user="u", item="i"))
            results.append(rec.recommend_many(users=["w", "u0"], k=8))
        assert results[0] == results[1]

    def test_adding_then_removing_an_item_changes_no_answer(self, rec):
        before = rec.recommend(query="space", k=8)
        rec.add_items(self.NEW).remove_items(["n1"])
        assert rec.recommend(query="space", k=8) == before


class TestInheritsNothing:
    """Plain classes of a stranger work in every place."""

    class Encoder:
        def encode(self, values, /):
            return np.array([[len(v), v.count("a"), 1.0] for v in values], dtype=np.float32).reshape(-1, 3)

    class Fuser:
        def fit(self, fields, missing, clicks=None):
            return self

        def fuse(self, fields, missing):
            return np.hstack(list(fields.values()))

    class Ranker:
        def fit(self, features, clicks=None):
            return self

        def score(self, users, features):
            return users.query.dense @ features.dense.T

    def test_in_a_recommender(self, catalog):
        rec = cs.Recommender(self.Encoder(), self.Fuser(), self.Ranker()).fit(catalog)
        assert ids_of(rec.recommend(query="aaaa", k=1)) == ["g2"]


class TestStream:
    USERS = ("u0", "u1", "u2", "v0", "v1")

    @pytest.mark.parametrize("batch_size", [1, 2, 5, 1024])
    def test_batches_are_the_rows_of_recommend_many(self, rec, batch_size):
        whole = rec.recommend_many(users=self.USERS, k=2, exclude=["s1"], where={"price": (">", 0)})
        batches = list(
            rec.recommend_stream(
                users=self.USERS, k=2, exclude=["s1"], where={"price": (">", 0)}, batch_size=batch_size
            )
        )
        assert [row for batch in batches for row in batch.item_ids] == whole.item_ids
        scores = [row for batch in batches for row in batch.scores]
        np.testing.assert_allclose(scores, whole.scores, rtol=1e-5)
        assert all(len(batch) == batch_size for batch in batches[:-1])

    def test_requests_are_read_when_their_batch_is_asked_for(self, rec):
        read = []

        def endless():
            while True:
                read.append(len(read))
                yield cs.Request(query="moon")

        stream = rec.recommend_stream(endless(), k=1, batch_size=3)
        assert read == []
        assert len(next(stream)) == 3
        assert len(read) == 3

    def test_filters_given_as_iterators_hold_for_every_batch(self, rec):
        stream = rec.recommend_stream(
            users=self.USERS, k=2, candidates=iter(["s0", "g0"]), exclude_seen=False, batch_size=2
        )
        assert {item for batch in stream for row in batch.item_ids for item in row} == {"s0", "g0"}

    def test_it_answers_from_the_items_at_the_call(self, rec):
        stream = rec.recommend_stream(users=["u0", "u1"], k=1, batch_size=1)
        first = next(stream).item_ids
        rec.remove_items(["s0", "s1"])
        assert [first, next(stream).item_ids] == [[["s0"]], [["s1"]]]

    def test_no_users_give_no_batch(self, rec):
        assert list(rec.recommend_stream([])) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "recommend_stream takes either requests or users="),
            ({"requests": [], "users": []}, "recommend_stream takes either requests or users="),
            ({"users": "u0"}, r"`users` must be an iterable; got 'u0'\. Pass \['u0'\]"),
            ({"requests": 3}, "`requests` must be an iterable; got 3"),
            ({"users": [], "batch_size": 0}, "`batch_size` must be between 1 and 1,000,000; got 0"),
            ({"users": [], "k": 99}, "`k` must be between 1 and 8; got 99"),
            ({"users": [], "candidates": ["x"]}, "`candidates` must hold ids of the 8 items.*got 'x'"),
            ({"users": [], "where": {"colour": 1}}, "no column 'colour'"),
        ],
        ids=str,
    )
    def test_bad_arguments_are_named_at_the_call(self, rec, arguments, message):
        with pytest.raises(cs.ColdstartError, match=message):
            rec.recommend_stream(**arguments)

    def test_unknown_users_are_named_with_their_batch(self, rec):
        stream = rec.recommend_stream(users=["u0", "nobody"], k=1, batch_size=1)
        assert next(stream).item_ids == [["s0"]]
        with pytest.raises(UnknownIdError, match="got 'nobody'"):
            next(stream)

    def test_a_value_that_is_no_request_is_named(self, rec):
        with pytest.raises(InvalidInputError, match="`requests` must hold Request objects, queries or dicts; got 7"):
            next(rec.recommend_stream([7]))


class SlowEncoder(HashEncoder):
    """Lets other threads run in the middle of every change."""

    def encode(self, values, /):
        time.sleep(0.002)
        return super().encode(values)


class TestThreads:
    """Changes from several threads."""

    def run(self, *jobs):
        errors = []

        def guarded(job):
            try:
                job()
            except Exception as error:  # to be seen in the main thread
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors

    def adding(self, rec, name, count=10):
        return lambda: [rec.add_items({"id": f"{name}{at}", "title": "star", "plot": None}) for at in range(count)]

    def clicking(self, rec, name):
        def update():
            for at in range(10):
                rec.update(cs.Interactions.from_frame({"u": [f"{name}{at}"], "i": ["s0"]}, user="u", item="i"))

        return update

    @pytest.fixture
    def slow(self, catalog, clicks):
        return cs.Recommender(encoder=SlowEncoder(8), ranker=cs.CosineRanker()).fit(catalog, clicks)

    def test_items_added_from_two_threads_are_all_in_the_catalogue(self, slow):
        self.run(self.adding(slow, "x"), self.adding(slow, "y"))
        assert len(slow.catalog) == 8 + 20
        assert set(slow.catalog.ids) >= {f"{name}{at}" for name in "xy" for at in range(10)}

    def test_none_of_800_items_that_four_threads_add_one_by_one_is_lost(self, catalog, clicks):
        rec = cs.Recommender(encoder=HashEncoder(4), ranker=cs.CosineRanker()).fit(catalog, clicks)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # threads interrupt each other all the time
        try:
            self.run(*[self.adding(rec, name, 200) for name in "wxyz"])
        finally:
            sys.setswitchinterval(before)
        assert set(rec.catalog.ids) - set(catalog.ids) == {f"{name}{at}" for name in "wxyz" for at in range(200)}

    def test_no_change_of_any_kind_is_lost(self, slow):
        slow.add_items([{"id": f"old{at}", "title": "rose", "plot": None} for at in range(10)])

        def remove():
            for at in range(10):
                slow.remove_items([f"old{at}"])

        def rename():
            for at in range(10):
                slow.update_items({"id": "s1", "title": f"star {at}"})

        jobs = [self.adding(slow, "x"), self.adding(slow, "y"), self.clicking(slow, "p"), self.clicking(slow, "q")]
        self.run(*jobs, remove, rename)
        fitted = slow.fitted
        assert len(fitted.catalog) == 8 + 20
        assert fitted.clicks.shape == (8 + 20, 8 + 20)
        assert (fitted.clicks.nnz, fitted.clock) == (24 + 20, 24 + 20)
        assert dict(zip(fitted.catalog.ids, fitted.catalog.columns["title"], strict=True))["s1"] == "star 9"
        assert len(fitted.arrived) == 28

    def test_a_request_does_not_wait_for_a_change(self, catalog, clicks):
        encoding, go_on = threading.Event(), threading.Event()

        class Waiting(HashEncoder):
            def encode(self, values, /):
                if "wait" in values:
                    encoding.set()
                    assert go_on.wait(20)
                return super().encode(values)

        rec = cs.Recommender(encoder=Waiting(), ranker=cs.CosineRanker()).fit(catalog, clicks)
        writer = threading.Thread(target=lambda: rec.add_items({"id": "new", "title": "wait", "plot": None}))
        writer.start()
        assert encoding.wait(20)
        assert rec.recommend(user="u0", k=1).item_ids == [["s0"]]
        assert rec.similar_items("s0", k=1).item_ids[0]
        assert "new" not in rec.catalog
        go_on.set()
        writer.join()
        assert "new" in rec.catalog

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda rec: pickle.loads(pickle.dumps(rec))])
    def test_a_copy_is_changed_on_its_own(self, slow, copied):
        other = copied(slow)
        with slow._writing.held():
            self.run(self.adding(other, "x"))
        assert (len(slow.catalog), len(other.catalog)) == (8, 18)

    def test_a_change_that_fails_does_not_block_the_next(self, slow):
        for _ in range(2):
            with pytest.raises(InvalidInputError):
                slow.add_items({"id": "s0", "title": "twice", "plot": None})
        self.run(self.adding(slow, "x"))
        assert len(slow.catalog) == 18


def test_a_ranker_that_cannot_tell_reads_no_item_to_print_its_answers(monkeypatch):
    """A list of a million items is printed as fast as one of ten."""
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(tiny_catalog(), tiny_clicks())
    answer = rec.recommend(query="a garden", k=2)

    def fuse(*_):
        raise AssertionError("the catalogue is fused")

    monkeypatch.setattr(type(rec.fitted), "features", property(fuse))
    assert (repr(answer).count("\n"), answer.fits, answer.contributions) == (1, [True], [[{}, {}]])


class TestOnlyDislikes:
    """A user of whom only dislikes are known gets what anybody gets, without what they dislike and what is like it."""

    @pytest.fixture
    def rec(self):
        rows = [("u", item) for item in ("g3", "g3b", "g1")] + [("v", "g3")]
        catalog = tiny_catalog().joined(
            cs.Catalog.from_frame(
                {"id": ["g3b"], "title": ["garden lily"], "plot": ["other"], "price": [1]},
                id="id",
                fields=["title", "plot"],
            )
        )
        clicks = cs.Interactions.from_frame(
            {"who": [user for user, _ in rows], "what": [item for _, item in rows]}, user="who", item="what"
        )
        return cs.Recommender(encoder=HashEncoder(), ranker=ItemKNNRanker()).fit(catalog, clicks)

    def test_items_that_dislikes_leave_equally_good_are_in_the_order_for_nobody(self, rec):
        nobody = ids_of(rec.recommend(k=9))
        assert nobody[:3] == ["g3", "g1", "g3b"]
        disliking = ids_of(rec.recommend(disliked=["s0"], k=8))
        assert disliking == [item for item in nobody if item != "s0"]

    def test_a_shorter_list_is_the_beginning_of_a_longer_one(self, rec):
        longer = ids_of(rec.recommend(disliked=["s0"], k=8))
        assert all(ids_of(rec.recommend(disliked=["s0"], k=k)) == longer[:k] for k in range(2, 8))

    def test_filters_hold(self, rec):
        among = ["s1", "s2", "g1", "g3"]
        assert ids_of(rec.recommend(disliked=["s2"], candidates=among, exclude=["g3"], k=4)) == ["g1", "s1"]

    def test_what_dislikes_tell_apart_stays_last(self, rec):
        assert ids_of(rec.recommend(disliked=["g1"], k=8))[-2:] in (["g3", "g3b"], ["g3b", "g3"])

    def test_a_history_or_a_query_beside_them_ranks_as_before(self, rec, monkeypatch):
        monkeypatch.setattr(ranking, "_with_ties_ranked", lambda *_: pytest.fail("ranked as for nobody"))
        rec.recommend(disliked=["s0"], history=["s1"])
        rec.recommend(disliked=["s0"], query="roses")


class TestFeedsWithoutNews:
    EMPTY = {
        "no rows": [],
        "no columns": {},
        "empty columns": {"id": [], "title": [], "plot": []},
        "id column only": {"id": []},
        "pandas": pd.DataFrame(),
        "pandas with columns": pd.DataFrame({"id": []}),
        "iterator": iter(()),
    }

    @pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
    @pytest.mark.parametrize("method", ["add_items", "update_items"])
    def test_a_table_without_rows_changes_nothing(self, rec, method, empty):
        before = rec.recommend(user="u0"), rec.catalog.ids
        assert getattr(rec, method)(empty) is rec
        assert (rec.recommend(user="u0"), rec.catalog.ids) == before

    def test_nothing_to_remove_changes_nothing(self, rec):
        before = rec.recommend(user="u0")
        assert rec.remove_items([]).recommend(user="u0") == before

    def test_a_csv_of_its_head_only_changes_nothing(self, rec, tmp_path):
        (tmp_path / "feed.csv").write_text("id,title,plot\n")
        assert len(rec.add_items(tmp_path / "feed.csv").catalog) == 8

    def test_no_clicks_change_nothing(self, rec):
        fitted = rec.fitted
        rec.update(cs.Interactions.from_frame([], user="user", item="item"))
        assert rec.fitted is fitted

    def test_a_catalogue_still_needs_an_item(self):
        with pytest.raises(InvalidInputError, match="Catalog has no column 'id'|must have at least 1 item"):
            cs.Catalog.from_frame([], id="id", fields=["title"])


@pytest.mark.parametrize("flag", [np.ones(2), None, "no", 1], ids=repr)
def test_flags_are_true_or_false(catalog, flag):
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(catalog)
    with pytest.raises(InvalidInputError, match="`exclude_seen` must be True or False; got"):
        rec.recommend(exclude_seen=flag)
    with pytest.raises(InvalidInputError, match="`check` must be True or False; got"):
        rec.fit(catalog, check=flag)
    with pytest.raises(InvalidInputError, match="`sentences` must be True or False; got"):
        cs.Recommender(encoder=HashEncoder(), sentences=flag).fit(catalog)


def test_a_lexical_encoder_of_dense_rows_is_refused(catalog):
    with pytest.raises(InvalidInputError, match="`lexical` must return sparse rows; got ndarray"):
        cs.Recommender(encoder=HashEncoder(), lexical=HashEncoder()).fit(catalog)


def test_the_clicks_of_a_recommender_can_be_read_however_large_their_sums_are(catalog):
    clicks = cs.Interactions.from_frame(
        {"u": ["a"] * 3, "i": ["s0"] * 3, "w": [1e12] * 3}, user="u", item="i", weight="w"
    )
    rec = cs.Recommender(encoder=HashEncoder(), ranker="cosine").fit(catalog, clicks)
    assert rec.interactions.weight.tolist() == [np.float32(1e12)]


@pytest.mark.parametrize("ranker", ["cosine", "hybrid"])
def test_ten_megabytes_of_query_are_answered_in_a_moment(catalog, ranker):
    rec = cs.Recommender(encoder=cs.TfidfEncoder(dim=4), ranker=ranker).fit(catalog)
    start = time.process_time()
    for query in ("x" * 10_000_000, "a rose garden, not a comet " * 400_000, "\ud83d" * 5_000_000):
        assert len(ids_of(rec.recommend(query=query, k=3))) == 3
    assert time.process_time() - start < 10
