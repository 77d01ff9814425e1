import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError
from coldstart.pipeline.checks import as_catalog, as_interactions, as_requests, checked_clicks, encoder_per_field
from coldstart.testing import HashEncoder


def test_a_catalogue_and_clicks_on_its_items_are_returned_as_they_are(catalog, clicks):
    assert as_catalog(catalog) is catalog
    assert checked_clicks(clicks, catalog, "error") is clicks


def test_one_encoder_is_used_for_every_field(catalog):
    encoder = HashEncoder()
    assert encoder_per_field(encoder, catalog) == {"title": encoder, "plot": encoder}


def test_encoders_are_put_in_the_order_of_the_fields(catalog):
    title, plot = HashEncoder(4), HashEncoder(8)
    encoders = encoder_per_field({"plot": plot, "title": title}, catalog)
    assert list(encoders.items()) == [("title", title), ("plot", plot)]


@pytest.mark.parametrize("names", [[], ["title"], ["title", "plot", "price"]], ids=["none", "fewer", "more"])
def test_there_is_one_encoder_per_field_and_no_other(catalog, names):
    with pytest.raises(InvalidInputError, match=r"must name the fields of the catalogue, \['title', 'plot'\]; got \["):
        encoder_per_field(dict.fromkeys(names, HashEncoder()), catalog)


def test_clicks_on_unknown_items_are_dropped_only_when_asked_for(catalog):
    clicks = cs.Interactions.from_frame({"u": ["x", "x"], "i": ["s0", "gone"]}, user="u", item="i")
    with pytest.raises(InvalidInputError, match="1 of 2 clicks are on 1 items that are not in the catalogue"):
        checked_clicks(clicks, catalog, "error")
    with pytest.warns(cs.ColdstartWarning, match="Dropped: 1 of 2 clicks"):
        assert checked_clicks(clicks, catalog, "drop").pairs() == [("x", "s0")]
    with pytest.raises(InvalidInputError, match="`on_unknown` must be one of 'error', 'drop'; got 'ignore'"):
        checked_clicks(clicks, catalog, "ignore")


def test_requests_and_users_may_be_any_iterable():
    request = cs.Request(query="x")
    assert as_requests(iter([request]), None) == [request]
    assert as_requests(None, iter(["a", 3])) == [cs.Request(user="a"), cs.Request(user=3)]


def test_the_first_value_that_is_no_request_is_named():
    with pytest.raises(InvalidInputError, match=r"must hold Request objects, queries or dicts; got 7. Pass users=\["):
        as_requests([cs.Request(), 7], None)


def test_a_text_is_a_query_and_a_dict_the_arguments_of_a_request():
    requests = as_requests(["drill", {"user": "u0", "query": "tape"}], None)
    assert requests == [cs.Request(query="drill"), cs.Request(user="u0", query="tape")]
    with pytest.raises(InvalidInputError, match="Request has no argument `likes`; did you mean `history`"):
        as_requests([{"likes": ["s0"]}], None)


@pytest.mark.parametrize("one", ["drill", {"query": "drill"}, cs.Request(query="drill")], ids=repr)
def test_one_request_in_place_of_several_is_refused(one):
    with pytest.raises(InvalidInputError, match=r"`requests` must be an iterable; got .*drill.*Pass \[.*drill"):
        as_requests(one, None)


ITEMS = {"key": ["a", "b"], "title": ["x", "y"]}
LIKES = {"who": ["u"], "what": ["a"], "much": [2.0], "when": [3]}


def test_a_table_with_its_columns_is_a_catalogue_and_clicks():
    assert as_catalog(ITEMS, "key", ["title"]).ids == ("a", "b")
    clicks = as_interactions(LIKES, "who", "what", "much", "when")
    assert (clicks.pairs(), clicks.weight.tolist(), clicks.time.tolist()) == ([("u", "a")], [2.0], [3.0])
    assert as_interactions(None) is None


def test_a_table_without_its_columns_says_which_are_needed(catalog):
    with pytest.raises(InvalidInputError, match=r"a table with id= and fields=; got dict. Make one: .*from_frame"):
        as_catalog(ITEMS)
    with pytest.raises(InvalidInputError, match=r"got dict with id='key'"):
        as_catalog(ITEMS, id="key")
    with pytest.raises(InvalidInputError, match=r"a table with user= and item=; got dict with item='what'. Make them"):
        as_interactions(LIKES, item="what")


def test_columns_without_a_table_are_refused(catalog, clicks):
    with pytest.raises(
        InvalidInputError, match=r"id=, fields= of Recommender.fit .*; got a Catalog, which has its own"
    ):
        as_catalog(catalog, "id", ["title"])
    with pytest.raises(InvalidInputError, match=r"user= of Recommender.fit .*; got Interactions, which have their own"):
        as_interactions(clicks, user="user")
    with pytest.raises(InvalidInputError, match=r"time= of Recommender.fit .*; got no interactions"):
        as_interactions(None, time="when")
