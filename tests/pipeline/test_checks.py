import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError
from coldstart.pipeline.checks import checked_batch, checked_catalog, checked_clicks, encoder_per_field
from coldstart.testing import HashEncoder


def test_a_catalogue_and_clicks_on_its_items_are_taken_as_they_are(catalog, clicks):
    assert checked_catalog(catalog) is catalog
    assert checked_clicks(clicks, catalog, "error") is clicks


def test_one_encoder_is_that_of_every_field(catalog):
    encoder = HashEncoder()
    assert encoder_per_field(encoder, catalog) == {"title": encoder, "plot": encoder}


def test_encoders_are_put_in_the_order_of_the_fields(catalog):
    title, plot = HashEncoder(4), HashEncoder(8)
    found = encoder_per_field({"plot": plot, "title": title}, catalog)
    assert list(found.items()) == [("title", title), ("plot", plot)]


@pytest.mark.parametrize("names", [[], ["title"], ["title", "plot", "price"]], ids=["none", "fewer", "more"])
def test_there_is_one_encoder_per_field_and_no_other(catalog, names):
    with pytest.raises(InvalidInputError, match=r"must name the fields of the catalogue, \['title', 'plot'\]; got \["):
        encoder_per_field(dict.fromkeys(names, HashEncoder()), catalog)


@pytest.mark.parametrize("other", [None, "some/hub-id", HashEncoder])
def test_one_of_several_that_is_no_encoder_is_named(catalog, other):
    with pytest.raises(InvalidInputError, match="`encoder` must have a method encode; got .*TextEncoder"):
        encoder_per_field({"title": HashEncoder(), "plot": other}, catalog)


def test_clicks_on_unknown_items_are_dropped_only_when_asked_for(catalog):
    clicks = cs.Interactions.from_frame({"u": ["x", "x"], "i": ["s0", "gone"]}, user="u", item="i")
    with pytest.raises(InvalidInputError, match="1 of 2 clicks are on 1 items that are not in the catalogue"):
        checked_clicks(clicks, catalog, "error")
    with pytest.warns(cs.ColdstartWarning, match="Dropped: 1 of 2 clicks"):
        assert checked_clicks(clicks, catalog, "drop").pairs() == [("x", "s0")]
    with pytest.raises(InvalidInputError, match='`on_unknown` must be "error" or "drop"; got \'ignore\''):
        checked_clicks(clicks, catalog, "ignore")


def test_requests_and_users_may_be_any_iterable():
    request = cs.Request(query="x")
    assert checked_batch(iter([request]), None) == [request]
    assert checked_batch(None, iter(["a", 3])) == [cs.Request(user="a"), cs.Request(user=3)]


def test_the_first_thing_that_is_no_request_is_named():
    with pytest.raises(InvalidInputError, match=r"`requests` must hold Request objects; got \{'query': 'x'\}"):
        checked_batch([cs.Request(), {"query": "x"}], None)
