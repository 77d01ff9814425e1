"""Items as what texts meet: their words, and their fields as one row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import coldstart as cs
from coldstart._arrays import spread, unit_rows
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.pipeline.encoding import encode_fields, encode_queries
from coldstart.pipeline.texts import FieldPooling, Texts
from coldstart.testing import HashEncoder, tiny_catalog, tiny_clicks

ROWS = {
    "id": ["a", "b", "c", "d"],
    "title": ["space war", "the garden party of roses", None, "moon"],
    "plot": ["a war in space and more war", None, None, "one two three four"],
}
LETTERS = [[9, 25, 0, 4], [27, 0, 0, 18]]
NEW = [
    {"id": "n1", "title": "garden gnome", "plot": None, "price": 1},
    {"id": "n2", "title": "space moon", "plot": "a story of moon and space", "price": 2},
]


class Squeezed(HashEncoder):
    """An encoder whose every text points the same way for the most part, as those of language models do."""

    def encode(self, values, /):
        rows = np.hstack([super().encode(values), np.full((len(values), 1), 2.0)])
        return unit_rows(rows.astype(np.float32))


class Picture:
    pass


class Seen:
    def encode(self, values, /):
        return np.ones((len(values), 2), dtype=np.float32)


def catalog_of(rows=ROWS, fields=("title", "plot")):
    return cs.Catalog.from_frame(rows, id="id", fields=list(fields))


def read(catalog, encoders=None, lexical=None, weights=None):
    """Texts, and the encoded fields that they are of."""
    encoders = encoders or dict.fromkeys(catalog.fields, HashEncoder())
    vectors = encode_fields(catalog, encoders)
    return Texts.of(catalog, vectors, encoders, lexical or LexicalEncoder(), weights), vectors


def fitted(catalog=None, **params):
    rec = cs.Recommender(encoder=HashEncoder(), ranker=cs.HybridRanker(), **params)
    return rec.fit(tiny_catalog() if catalog is None else catalog, tiny_clicks() if catalog is None else None)


def random_texts(count, seed=0):
    """Titles of three and plots of nine words out of sixty."""
    rng = np.random.default_rng(seed)
    made = [[" ".join(f"w{word}" for word in rng.integers(0, 60, size)) for _ in range(count)] for size in (3, 9)]
    return catalog_of({"id": list(range(count)), "title": made[0], "plot": made[1]})


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def apart_by_hand(fields, weights):
    """One item at a time: the centred fields that it has, added up by their weights, of one expected length."""
    centers = [rows[rows.any(axis=1)].mean(axis=0) if rows.any() else rows[0] for rows in fields]
    found = []
    for item in zip(*fields, strict=True):
        present = [(w, unit(v - c)) for v, c, w in zip(item, centers, weights, strict=True) if v.any() and w]
        length = np.sqrt(sum(w**2 for w, _ in present)) or 1.0
        found.append(sum((w * v for w, v in present), np.zeros(len(item[0]))) / length)
    return np.array(found, dtype=np.float32)


def joined_by_hand(fields, lengths):
    pairs = zip(zip(*fields, strict=True), zip(*lengths, strict=True), strict=True)
    sums = [sum(np.sqrt(n) * v for v, n in zip(item, counts, strict=True)) for item, counts in pairs]
    return np.array([unit(row) for row in sums], dtype=np.float32)


def rows_by_hand(fields, lengths, weights):
    apart, joined = apart_by_hand(fields, weights), joined_by_hand(fields, lengths)
    known = joined.any(axis=1, keepdims=True)
    center = joined[known[:, 0]].mean(axis=0)
    return apart / spread(joined, apart) / 2 + known * (joined - center) / spread(joined) / 2


def columns(lengths):
    return [np.array(one, dtype=np.float32)[:, None] for one in lengths]


class TestFieldPooling:
    @pytest.mark.parametrize("weights", [(1, 1), (0.2, 0.8), (3, 1), (1, 0), (0, 1)], ids=str)
    def test_a_row_is_the_mean_of_both_views_each_by_its_spread(self, weights):
        _, vectors = read(catalog_of())
        fields = list(vectors.values())
        reading = FieldPooling.of(fields, columns(LETTERS), weights)
        found = reading.rows(fields, columns(LETTERS))
        assert found.dtype == np.float32
        assert_allclose(found, rows_by_hand(fields, LETTERS, weights), atol=1e-4)

    def test_it_learns_centers_and_spreads(self):
        _, vectors = read(catalog_of())
        fields = list(vectors.values())
        reading = FieldPooling.of(fields, columns(LETTERS), (1, 1))
        assert_allclose(reading.centers[0], vectors["title"][[0, 1, 3]].mean(axis=0), atol=1e-6)
        assert_allclose(reading.centers[1], vectors["plot"][[0, 3]].mean(axis=0), atol=1e-6)
        joined, apart = joined_by_hand(fields, LETTERS), apart_by_hand(fields, (1, 1))
        assert_allclose(reading.joined_center, joined[[0, 1, 3]].mean(axis=0), atol=1e-6)
        assert_allclose(reading.spreads, [spread(joined, apart), spread(joined)], rtol=1e-5)

    def test_items_without_text_do_not_move_the_centers(self):
        _, vectors = read(catalog_of())
        fields = list(vectors.values())
        more = [np.vstack([rows, np.zeros((6, rows.shape[1]), dtype=np.float32)]) for rows in fields]
        one = FieldPooling.of(fields, columns(LETTERS), (1, 1))
        other = FieldPooling.of(more, columns([[*lengths, *[0] * 6] for lengths in LETTERS]), (1, 1))
        assert_allclose(other.centers, one.centers, atol=1e-6)
        assert_allclose(other.joined_center, one.joined_center, atol=1e-6)

    def test_its_weights_are_the_given_ones(self):
        _, vectors = read(catalog_of())
        reading = FieldPooling.of(list(vectors.values()), columns(LETTERS), (3, 1))
        assert_array_equal(reading.weights, [3, 1])

    def test_only_the_proportion_of_the_weights_counts(self):
        _, vectors = read(catalog_of())
        fields = list(vectors.values())
        one, other = (FieldPooling.of(fields, columns(LETTERS), weights) for weights in [(1, 3), (0.25, 0.75)])
        assert_allclose(one.rows(fields, columns(LETTERS)), other.rows(fields, columns(LETTERS)), atol=1e-5)

    def test_other_items_are_pooled_with_the_learned_centers_and_spreads(self):
        _, vectors = read(random_texts(50))
        fields, lengths = list(vectors.values()), columns([[3] * 50, [9] * 50])
        reading = FieldPooling.of([rows[:40] for rows in fields], [rows[:40] for rows in lengths], (1, 1))
        whole = reading.rows(fields, lengths)
        alone = reading.rows([rows[45:46] for rows in fields], [rows[45:46] for rows in lengths])
        assert_allclose(alone[0], whole[45], atol=1e-5)

    def test_items_without_text_are_rows_of_zeros(self):
        blank = [np.zeros((3, 4), dtype=np.float32)] * 2
        reading = FieldPooling.of(blank, columns([[0] * 3] * 2), (1, 1))
        assert not reading.rows(blank, columns([[0] * 3] * 2)).any()

    def test_its_input_is_not_changed(self):
        _, vectors = read(catalog_of())
        before = {name: rows.copy() for name, rows in vectors.items()}
        fields = list(vectors.values())
        FieldPooling.of(fields, columns(LETTERS), (1, 2)).rows(fields, columns(LETTERS))
        assert all(np.array_equal(vectors[name], before[name]) for name in before)

    def test_a_short_field_counts_beside_a_long_one(self):
        """The genre stands in the title alone: items of one genre are nearer than they are in one text."""
        rng = np.random.default_rng(0)
        plots = [" ".join(f"w{word}" for word in rng.integers(0, 60, 40)) for _ in range(200)]
        genres = ["horror" if at % 2 else "comedy" for at in range(200)]
        catalog = catalog_of({"id": list(range(200)), "title": genres, "plot": plots})
        texts, _ = read(catalog)
        query = HashEncoder().encode(["horror"])[0]
        products = texts.read @ query
        assert products[1::2].min() > products[::2].max()

    @pytest.mark.parametrize("weights", [(1, 1), (1, 0)], ids=str)
    def test_a_product_with_a_text_is_in_standard_deviations_of_the_items(self, weights):
        _, vectors = read(random_texts(400))
        fields, lengths = list(vectors.values()), columns([[3] * 400, [9] * 400])
        queries = joined_by_hand(fields, [[3] * 400, [9] * 400])
        products = queries @ FieldPooling.of(fields, lengths, weights).rows(fields, lengths).T
        assert 0.75 < products[~np.eye(400, dtype=bool)].std() < 1.1

    def test_products_do_not_depend_on_the_scale_of_an_encoders_cosines(self):
        catalog, queries = random_texts(500), ["w1 w2", "w7", "w20 w21 w22 w23"]
        found = []
        for encoder in (HashEncoder(), Squeezed()):
            texts, vectors = read(catalog, dict.fromkeys(catalog.fields, encoder))
            cosines = vectors["title"] @ vectors["title"].T
            found.append((cosines[~np.eye(500, dtype=bool)].std(), encoder.encode(queries) @ texts.read.T))
        (plain_spread, plain), (squeezed_spread, squeezed) = found
        assert squeezed_spread < plain_spread / 4
        for one, other in zip(plain, squeezed, strict=True):
            assert np.corrcoef(one, other)[0, 1] > 0.99
            assert 0.5 < other.std() / one.std() < 2.0


class TestOf:
    def test_exact_words_are_those_of_all_fields(self):
        texts, _ = read(catalog_of())
        whole = ["space war. a war in space and more war", "the garden party of roses", "", "moon. one two three four"]
        expected = LexicalEncoder().fit(whole)
        assert texts.lexical.words_ == expected.words_
        assert_allclose(texts.sparse.toarray(), expected.encode(whole).toarray(), atol=1e-6)

    def test_rows_are_pooled_from_the_fields_and_their_lengths(self):
        texts, vectors = read(catalog_of())
        assert texts.read.dtype == np.float32
        assert_allclose(texts.read, rows_by_hand(list(vectors.values()), LETTERS, (1, 1)), atol=1e-4)

    def test_an_item_without_text_is_zero(self):
        texts, _ = read(catalog_of())
        assert texts.read.any(axis=1).tolist() == [True, True, False, True]
        assert texts.sparse[[2]].nnz == 0

    def test_a_single_field_is_enough(self):
        texts, vectors = read(catalog_of(fields=["title"]))
        assert_allclose(texts.read, rows_by_hand([vectors["title"]], [LETTERS[0]], (1,)), atol=1e-4)
        assert texts.sparse.shape[0] == 4

    def test_an_item_is_most_similar_to_its_own_text(self):
        catalog = random_texts(40)
        texts, _ = read(catalog)
        whole = [
            f"{title} {plot}" for title, plot in zip(catalog.columns["title"], catalog.columns["plot"], strict=True)
        ]
        assert (HashEncoder().encode(whole) @ texts.read.T).argmax(axis=1).tolist() == list(range(40))

    def test_fields_of_different_encoders_are_not_pooled(self):
        texts, _ = read(catalog_of(), {"title": HashEncoder(8), "plot": HashEncoder(8)})
        assert (texts.reading, texts.read) == (None, None)
        assert texts.fields == ("title", "plot")
        assert texts.sparse.shape[0] == 4

    def test_fields_that_are_not_text_are_left_out(self):
        catalog = catalog_of({**ROWS, "picture": [Picture(), None, Picture(), None]}, ["title", "picture"])
        texts, vectors = read(catalog, {"title": HashEncoder(), "picture": Seen()})
        assert texts.fields == ("title",)
        assert_allclose(texts.read, rows_by_hand([vectors["title"]], [LETTERS[0]], (1,)), atol=1e-4)
        assert texts.lexical.words_ == LexicalEncoder().fit(["space war", "the garden party of roses", "moon"]).words_

    def test_without_a_text_field_there_are_no_rows(self):
        catalog = catalog_of({"id": [1, 2], "picture": [Picture(), None]}, ["picture"])
        texts, _ = read(catalog, {"picture": Seen()})
        assert (texts.fields, texts.lexical, texts.reading, texts.sparse, texts.read) == ((), None, None, None, None)

    @pytest.mark.parametrize("title", [["?!", "...", "--"], [None, None, None]], ids=["signs", "nothing"])
    def test_without_words_there_is_no_lexical_encoder(self, title):
        assert fitted(catalog_of({"id": [1, 2, 3], "title": title}, ["title"])).fitted.features.sparse is None

    def test_the_given_lexical_encoder_is_not_fitted(self):
        lexical = LexicalEncoder()
        texts, _ = read(catalog_of(), lexical=lexical)
        assert not hasattr(lexical, "words_")
        assert texts.lexical is not lexical

    def test_without_exact_words_meaning_still_counts(self):
        catalog = catalog_of()
        encoders = dict.fromkeys(catalog.fields, HashEncoder())
        texts = Texts.of(catalog, encode_fields(catalog, encoders), encoders, None)
        assert (texts.lexical, texts.sparse) == (None, None)
        assert texts.read.shape == (4, 64)


class TestWeights:
    def test_fields_count_by_their_weights(self):
        texts, vectors = read(catalog_of(), weights={"plot": 0.75, "title": 0.25})
        assert_allclose(texts.reading.weights, [0.25, 0.75])
        assert_allclose(texts.read, rows_by_hand(list(vectors.values()), LETTERS, (0.25, 0.75)), atol=1e-4)

    def test_text_fields_of_weight_zero_count_alike(self):
        nothing, _ = read(catalog_of(), weights={"title": 0.0, "plot": 0.0})
        alike, _ = read(catalog_of())
        assert_array_equal(nothing.read, alike.read)

    @pytest.mark.parametrize("fuser", [cs.WeightedFuser, cs.ConcatFuser])
    @pytest.mark.parametrize(
        ("weights", "expected"),
        [({"title": 1, "plot": 0}, [1, 0]), ({"title": 1, "plot": 3}, [1, 3]), (None, [1, 1]), ("equal", [1, 1])],
        ids=str,
    )
    def test_the_weights_of_the_fuser_are_used(self, fuser, weights, expected):
        rec = fitted(fuser=fuser(weights))
        found = rec.fitted.texts.reading.weights
        assert_allclose(found / found.sum(), np.array(expected) / np.sum(expected), atol=1e-6)

    def test_clicks_do_not_change_the_weights_of_fields_for_a_text(self):
        rec = fitted(fuser=cs.WeightedFuser())
        assert len(set(rec.fitted.texts.reading.weights.tolist())) == 1

    def test_without_weights_of_the_fuser_fields_count_alike(self):
        class Plain(cs.WeightedFuser):
            def fit(self, fields, missing, clicks=None):
                super().fit(fields, missing, clicks)
                del self.query_weights_
                return self

        rec = fitted(fuser=Plain({"title": 1, "plot": 0}))
        assert len(set(rec.fitted.texts.reading.weights.tolist())) == 1


class TestForQueries:
    def test_a_query_has_the_rows_of_the_lexical_encoder_and_the_vectors_of_the_encoder(self):
        texts, _ = read(catalog_of())
        encoder = HashEncoder()
        encoded = encode_queries(["space moon", "rose"], {"title": encoder, "plot": encoder})
        sparse, meaning = texts.for_queries(["space moon", "rose"], encoded)
        assert_array_equal(sparse.toarray(), texts.lexical.encode_query(["space moon", "rose"]).toarray())
        assert_allclose(meaning, encoder.encode(["space moon", "rose"]), atol=1e-6)
        assert sparse.shape[1] == texts.sparse.shape[1]

    def test_query_vectors_have_length_one_or_zero(self):
        texts, _ = read(catalog_of())
        encoded = {"title": 5 * HashEncoder().encode(["space", ""]), "plot": None}
        _, meaning = texts.for_queries(["space", ""], encoded)
        assert_allclose(np.linalg.norm(meaning, axis=1), [1, 0], atol=1e-6)

    def test_a_query_has_no_rows_that_the_items_lack(self):
        encoders = {"title": HashEncoder(8), "plot": HashEncoder(8)}
        catalog = catalog_of()
        texts = Texts.of(catalog, encode_fields(catalog, encoders), encoders, None)
        assert texts.for_queries(["moon"], encode_queries(["moon"], encoders)) == (None, None)


class TestChanged:
    def same(self, texts, catalog):
        """Whether rows are those of a catalogue read at once by what was learned."""
        vectors = encode_fields(catalog, dict.fromkeys(catalog.fields, HashEncoder()))
        cells = [catalog.columns[name] for name in catalog.fields]
        whole = [". ".join(cell for cell in row if cell is not None) for row in zip(*cells, strict=True)]
        letters = columns([[len(cell or "") for cell in column] for column in cells])
        assert_allclose(texts.sparse.toarray(), texts.lexical.encode(whole).toarray(), atol=1e-6)
        assert_allclose(texts.read, texts.reading.rows(list(vectors.values()), letters), atol=1e-5)

    def test_extended_appends_rows_and_taken_selects_them(self):
        texts, _ = read(catalog_of())
        later = catalog_of({"id": ["e"], "title": ["war moon"], "plot": ["space"]})
        grown = texts.extended(later, encode_fields(later, dict.fromkeys(later.fields, HashEncoder())))
        assert (grown.lexical, grown.reading) == (texts.lexical, texts.reading)
        assert_array_equal(grown.sparse.toarray()[:4], texts.sparse.toarray())
        assert_array_equal(grown.read[:4], texts.read)
        assert len(texts.read) == texts.sparse.shape[0] == 4
        picked = grown.taken(np.array([4, 0]))
        assert_array_equal(picked.sparse.toarray(), grown.sparse.toarray()[[4, 0]])
        assert_array_equal(picked.read, grown.read[[4, 0]])
        self.same(grown.taken(np.array([4])), later)

    def test_replaced_changes_the_given_rows_only(self):
        texts, _ = read(catalog_of())
        sparse, meaning = texts.sparse.toarray(), texts.read.copy()
        later = catalog_of({"id": ["e", "f"], "title": ["war moon", None], "plot": ["space", "rose"]})
        rows = np.array([3, 1])
        changed = texts.replaced(rows, later, encode_fields(later, dict.fromkeys(later.fields, HashEncoder())))
        self.same(changed.taken(rows), later)
        assert_array_equal(changed.sparse.toarray()[[0, 2]], sparse[[0, 2]])
        assert_array_equal(changed.read[[0, 2]], meaning[[0, 2]])
        assert_array_equal(texts.sparse.toarray(), sparse)
        assert_array_equal(texts.read, meaning)

    def test_absent_rows_stay_absent(self):
        catalog = catalog_of()
        encoders = {"title": HashEncoder(8), "plot": HashEncoder(8)}
        vectors = encode_fields(catalog, encoders)
        texts = Texts.of(catalog, vectors, encoders, None)
        every = np.arange(len(catalog))
        for changed in (
            texts.extended(catalog, vectors),
            texts.taken(np.array([1])),
            texts.replaced(every, catalog, vectors),
        ):
            assert (changed.sparse, changed.read) == (None, None)

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
    def test_after_a_change_rows_are_those_of_the_present_items(self, change):
        rec = fitted()
        change(rec)
        self.same(rec.fitted.texts, rec.catalog)

    def test_words_of_added_items_that_were_unknown_at_fit_count_by_meaning_only(self):
        rec = fitted()
        rec.add_items([{"id": "new", "title": "zebra", "plot": "savanna", "price": 1}])
        assert rec.fitted.texts.sparse[[8]].nnz == 0
        assert rec.fitted.texts.read[8].any()
        assert rec.recommend(query="zebra", k=1).item_ids[0][0] == "new"

    def test_a_catalogue_fitted_without_words_has_none_after_additions(self):
        rec = fitted(catalog_of({"id": [1, 2], "title": [None, None]}, ["title"]))
        rec.add_items([{"id": 3, "title": "moon"}]).update_items([{"id": 1, "title": "rose"}]).remove_items([2])
        assert rec.fitted.features.sparse is None
        assert len(rec.recommend(query="moon", k=2).item_ids[0]) == 2
