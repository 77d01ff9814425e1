"""Items as whole texts: their words, and their fields read as one."""

import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.pipeline.encoding import encode_fields, encode_queries
from coldstart.pipeline.texts import Texts
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

ROWS = {
    "id": ["a", "b", "c", "d"],
    "title": ["space war", "the garden party of roses", None, "moon"],
    "plot": ["a war in space and more war", None, None, "one two three four"],
}
NEW = [
    {"id": "n1", "title": "garden gnome", "plot": None, "price": 1},
    {"id": "n2", "title": "space moon", "plot": "a story of moon and space", "price": 2},
]


def catalog_of(rows=ROWS, fields=("title", "plot")):
    return cs.Catalog.from_frame(rows, id="id", fields=list(fields))


def read(catalog, encoders=None, lexical=None):
    """Texts, and the encoded fields that they are of."""
    encoder = HashEncoder()
    encoders = encoders or dict.fromkeys(catalog.fields, encoder)
    vectors = encode_fields(catalog, encoders)
    return Texts.of(catalog, vectors, encoders, lexical or LexicalEncoder()), vectors


def fitted(catalog=None, **params):
    rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker(), **params)
    return rec.fit(tiny_catalog() if catalog is None else catalog, tiny_clicks() if catalog is None else None)


class TestOf:
    def test_joined_is_the_mean_of_the_fields_by_the_square_root_of_their_words(self):
        texts, vectors = read(catalog_of())
        expected = np.sqrt(2) * vectors["title"][0] + np.sqrt(7) * vectors["plot"][0]
        np.testing.assert_allclose(texts.joined[0], expected / np.linalg.norm(expected), atol=1e-6)
        assert texts.joined.dtype == np.float32

    def test_a_missing_field_is_left_out_and_an_item_without_any_is_zero(self):
        texts, vectors = read(catalog_of())
        np.testing.assert_allclose(texts.joined[1], vectors["title"][1], atol=1e-6)
        assert not texts.joined[2].any()
        assert texts.sparse[[2]].nnz == 0

    def test_the_words_are_those_of_all_fields(self):
        texts, _ = read(catalog_of())
        whole = ["space war. a war in space and more war", "the garden party of roses", "", "moon. one two three four"]
        expected = LexicalEncoder().fit(whole)
        assert texts.lexical.words_ == expected.words_
        np.testing.assert_allclose(texts.sparse.toarray(), expected.encode(whole).toarray(), atol=1e-6)

    def test_with_one_field_it_is_not_joined(self):
        texts, _ = read(catalog_of(fields=["title"]))
        assert texts.joined is None
        assert texts.sparse.shape[0] == 4

    def test_nor_with_fields_of_different_encoders(self):
        texts, _ = read(catalog_of(), {"title": HashEncoder(8), "plot": HashEncoder(8)})
        assert texts.joined is None
        assert texts.fields == ("title", "plot")

    def test_fields_of_something_else_than_text_are_left_out(self):
        class Picture:
            pass

        class Seen:
            def encode(self, values, /):
                return np.ones((len(values), 2), dtype=np.float32)

        catalog = catalog_of({**ROWS, "picture": [Picture(), None, Picture(), None]}, ["title", "picture"])
        texts, _ = read(catalog, {"title": HashEncoder(), "picture": Seen()})
        assert texts.fields == ("title",)
        assert texts.joined is None
        assert texts.lexical.words_ == LexicalEncoder().fit(["space war", "the garden party of roses", "moon"]).words_

    @pytest.mark.parametrize(
        "title",
        [
            ["?!", "...", "--"],
            [None, None, None],
        ],
        ids=["signs", "nothing"],
    )
    def test_without_a_word_there_are_no_words(self, title):
        rows = {"id": [1, 2, 3], "title": title}
        assert fitted(catalog_of(rows, ["title"])).fitted.features.sparse is None

    def test_the_encoder_given_is_not_fitted(self):
        lexical = LexicalEncoder()
        texts, _ = read(catalog_of(), lexical=lexical)
        assert not hasattr(lexical, "words_")
        assert texts.lexical is not lexical

    def test_when_words_are_not_asked_for_fields_are_still_read_as_one(self):
        catalog, encoder = catalog_of(), HashEncoder()
        encoders = {"title": encoder, "plot": encoder}
        texts = Texts.of(catalog, encode_fields(catalog, encoders), encoders, None)
        assert (texts.lexical, texts.sparse) == (None, None)
        assert texts.joined.shape == (4, 64)


class TestAsked:
    def test_a_query_has_the_rows_of_the_lexical_encoder_and_the_vectors_of_the_field(self):
        texts, _ = read(catalog_of())
        encoder = HashEncoder()
        encoded = encode_queries(["space moon", "rose"], {"title": encoder, "plot": encoder})
        sparse, joined = texts.asked(["space moon", "rose"], encoded)
        np.testing.assert_array_equal(sparse.toarray(), texts.lexical.encode_query(["space moon", "rose"]).toarray())
        np.testing.assert_array_equal(joined, encoder.encode(["space moon", "rose"]))
        assert sparse.shape[1] == texts.sparse.shape[1]

    def test_what_the_items_do_not_have_a_query_does_not(self):
        catalog, encoder = catalog_of(fields=["title"]), HashEncoder()
        encoders = {"title": encoder}
        texts = Texts.of(catalog, encode_fields(catalog, encoders), encoders, None)
        assert texts.asked(["moon"], encode_queries(["moon"], encoders)) == (None, None)


class TestChanged:
    def same(self, texts, catalog, encoder=None):
        """Whether rows are those of a catalogue read at once with the same words."""
        encoder = encoder or HashEncoder()
        vectors = encode_fields(catalog, dict.fromkeys(catalog.fields, encoder))
        anew = Texts(texts.fields, texts.lexical, None, texts.joined[:0])._read(catalog, vectors)
        np.testing.assert_allclose(texts.sparse.toarray(), anew[0].toarray(), atol=1e-6)
        np.testing.assert_allclose(texts.joined, anew[1], atol=1e-6)

    def test_extended_and_taken_are_rows_after_and_rows_picked(self):
        texts, _ = read(catalog_of())
        later = catalog_of({"id": ["e"], "title": ["war moon"], "plot": ["space"]})
        vectors = encode_fields(later, dict.fromkeys(later.fields, HashEncoder()))
        grown = texts.extended(later, vectors)
        assert grown.lexical is texts.lexical
        np.testing.assert_array_equal(grown.sparse.toarray()[:4], texts.sparse.toarray())
        np.testing.assert_array_equal(grown.joined[:4], texts.joined)
        picked = grown.taken(np.array([4, 0]))
        np.testing.assert_array_equal(picked.sparse.toarray(), grown.sparse.toarray()[[4, 0]])
        np.testing.assert_array_equal(picked.joined, grown.joined[[4, 0]])
        self.same(grown.taken(np.array([4])), later)

    @pytest.mark.parametrize(
        "change",
        [
            lambda rec: rec.add_items(NEW),
            lambda rec: rec.update_items([{"id": "s2", "title": "rose moon"}, {"id": "g0", "plot": "all of space"}]),
            lambda rec: rec.update_items([{"id": "s1", "plot": "now told of the moon"}]),
            lambda rec: rec.remove_items(["s0", "g3"]),
            lambda rec: rec.add_items(NEW).remove_items(["g1"]).update_items([{"id": "n1", "plot": "a rose"}]),
            lambda rec: rec.update_items([{"id": "s0", "price": 99}]),
        ],
        ids=["added", "changed", "told", "removed", "all", "price"],
    )
    def test_rows_are_those_of_the_items_as_they_are(self, change):
        rec = fitted()
        change(rec)
        self.same(rec.fitted.texts, rec.catalog)

    def test_words_that_came_later_are_found_by_their_pieces(self):
        rec = fitted()
        rec.add_items([{"id": "new", "title": "roses", "plot": "gardening", "price": 1}])
        row = rec.fitted.texts.sparse[[8]]
        n_words = len(rec.fitted.texts.lexical.words_)
        assert row[:, :n_words].nnz == 0
        assert row[:, n_words:].nnz > 0

    def test_a_catalogue_that_had_no_words_has_none_later(self):
        rec = fitted(catalog_of({"id": [1, 2], "title": [None, None]}, ["title"]))
        rec.add_items([{"id": 3, "title": "moon"}]).update_items([{"id": 1, "title": "rose"}]).remove_items([2])
        assert rec.fitted.features.sparse is None
        assert len(rec.recommend(query="moon", k=2).item_ids[0]) == 2
