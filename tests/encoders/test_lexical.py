import json

import numpy as np
import pytest

import coldstart as cs
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.storage import pack, unpack

TEXTS = ["a war in space", "a space opera, an opera of war and war", "the garden party", "Éclair au café"]


@pytest.fixture
def encoder():
    return LexicalEncoder().fit(TEXTS)


def words(encoder, texts, queries):
    """BM25 shares: products of the words' blocks."""
    n_words = len(encoder.words_)
    items, asked = encoder.encode(texts)[:, :n_words], encoder.encode_query(queries)[:, :n_words]
    return (asked @ items.T).toarray()


def pieces(encoder, texts, queries):
    n_words = len(encoder.words_)
    return (encoder.encode_query(queries)[:, n_words:] @ encoder.encode(texts)[:, n_words:].T).toarray()


def bm25(query, text, k1=1.2, b=0.75):
    """By the book, one word at a time."""
    corpus = [one.lower().replace(",", "").split() for one in TEXTS]
    told, mean = text.lower().replace(",", "").split(), np.mean([len(one) for one in corpus])
    total = most = 0.0
    for word in query.lower().split():
        holding = sum(word in one for one in corpus)
        if not holding:
            continue
        idf = np.log(1 + (len(corpus) - holding + 0.5) / (holding + 0.5))
        tf = told.count(word)
        total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(told) / mean))
        most += idf * (k1 + 1)
    return total / most if most else 0.0


@pytest.mark.parametrize("query", ["war", "space war", "opera opera war", "garden café", "nothing known"])
def test_words_score_as_bm25_divided_by_the_most_it_could_be(encoder, query):
    expected = [bm25(query, text) for text in TEXTS]
    np.testing.assert_allclose(words(encoder, TEXTS, [query])[0], expected, atol=1e-6)


def test_pieces_score_as_twice_the_cosine_of_tf_idf(encoder):
    sklearn = pytest.importorskip("sklearn.feature_extraction.text")
    vectors = sklearn.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), token_pattern=None).fit(
        [" ".join(text.lower().replace(",", "").split()) for text in TEXTS]
    )
    plain = [" ".join(text.lower().replace(",", "").split()) for text in TEXTS]
    expected = (vectors.transform(["space wars"]) @ vectors.transform(plain).T).toarray()[0]
    found = pieces(LexicalEncoder(pieces=1.0).fit(TEXTS), TEXTS, ["space wars"])[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(pieces(encoder, TEXTS, ["space wars"])[0], 2.0 * expected, atol=1e-6)


def test_a_word_that_nobody_used_is_found_by_its_pieces(encoder):
    assert not words(encoder, TEXTS, ["gardening"]).any()
    assert pieces(encoder, TEXTS, ["gardening"])[0].argmax() == 2


def test_letters_of_any_alphabet_count_whatever_their_case():
    encoder = LexicalEncoder().fit(["Война и мир", "ÉCLAIR", "東京 物語"])
    assert words(encoder, ["Война и мир", "ÉCLAIR", "東京 物語"], ["МИР", "éclair", "東京"]).argmax(
        axis=1
    ).tolist() == [0, 1, 2]


def test_an_empty_text_is_an_empty_row_and_no_text_no_row(encoder):
    assert encoder.encode(["", "war"]).count_nonzero(axis=1).tolist()[0] == 0
    assert encoder.encode([]).shape == (0, len(encoder.words_) + len(encoder.pieces_))
    assert encoder.encode_query([]).shape == encoder.encode([]).shape
    assert np.isfinite(encoder.encode_query(["", "?"]).data).all()


def test_the_same_text_gives_the_same_row_alone_and_in_company(encoder):
    alone, together = encoder.encode([TEXTS[1]]), encoder.encode(TEXTS)
    assert (alone != together[[1]]).nnz == 0


def test_without_pieces_only_words_are_left():
    encoder = LexicalEncoder(pieces=0.0).fit(TEXTS)
    assert not pieces(encoder, TEXTS, ["war"]).any()


def test_fit_starts_anew(encoder):
    encoder.fit(["one", "two"])
    assert encoder.words_ == ["one", "two"]
    assert words(encoder, ["one", "two"], ["two"]).argmax() == 1


def test_what_it_learned_can_be_saved(encoder):
    tensors = {}
    packed = json.loads(json.dumps(pack(encoder, tensors, "lexical")))
    again = unpack(packed, tensors, {"LexicalEncoder": LexicalEncoder})
    assert (again.encode(TEXTS) != encoder.encode(TEXTS)).nnz == 0


@pytest.mark.parametrize(
    ("params", "texts", "message"),
    [
        ({"k1": -1.0}, TEXTS, "`k1` must be between 0 and 10"),
        ({"b": 1.5}, TEXTS, "`b` must be between 0 and 1"),
        ({"pieces": -1.0}, TEXTS, "`pieces` must be between 0"),
        ({}, ["", "?!"], "at least one word"),
        ({}, [], "at least one word"),
        ({}, ["a", None], "None in row 1"),
        ({}, "text", "must be a list of texts"),
    ],
)
def test_bad_input_is_named(params, texts, message):
    with pytest.raises(cs.ColdstartError, match=message):
        LexicalEncoder(**params).fit(texts)


def test_it_must_be_fitted_first():
    with pytest.raises(cs.ColdstartError, match="must be fitted"):
        LexicalEncoder().encode(["a"])
