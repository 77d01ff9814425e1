"""TF-IDF and SVD, on texts whose likeness is known."""

import numpy as np
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError, NotFittedError
from coldstart.testing import check_encoder

TEXTS = ["red apple tree", "red apple pie", "fast blue car", "blue car race", "red apple", "blue car"]


def test_keeps_the_contract():
    check_encoder(cs.TfidfEncoder(dim=2), TEXTS)


def test_texts_about_the_same_are_near_even_without_a_common_word():
    vectors = cs.TfidfEncoder(dim=2).fit(TEXTS).encode(["tree", "pie", "race"])
    assert vectors[0] @ vectors[1] > 0.9
    assert abs(vectors[0] @ vectors[2]) < 0.1


def test_at_full_width_cosines_are_those_of_tfidf():
    encoder = cs.TfidfEncoder(dim=100).fit(TEXTS)
    count, documents = {"red": 3, "apple": 3, "tree": 1, "pie": 1}, len(TEXTS)
    idf = {word: 1 + np.log((1 + documents) / (1 + df)) for word, df in count.items()}
    first, second = ({w: idf[w] for w in text.split()} for text in TEXTS[:2])
    length = [np.sqrt(sum(v**2 for v in row.values())) for row in (first, second)]
    expected = sum(first[w] * second.get(w, 0) for w in first) / np.prod(length)
    vectors = encoder.encode(TEXTS[:2])
    assert vectors[0] @ vectors[1] == pytest.approx(expected, abs=1e-5)


def test_unknown_words_are_a_row_of_zeros():
    assert not cs.TfidfEncoder(dim=2).fit(TEXTS).encode(["zebra", ""]).any()


@pytest.mark.parametrize(("dim", "width"), [(2, 2), (1000, 6)])
def test_the_width_is_at_most_what_the_texts_give(dim, width):
    assert cs.TfidfEncoder(dim=dim).fit(TEXTS).encode(TEXTS).shape == (6, width)


def test_fitting_twice_gives_the_same_bytes():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{at}" for at in rng.integers(0, 300, 12)) for _ in range(400)]
    one, two = (cs.TfidfEncoder(dim=16).fit(texts).encode(texts) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_words_of_any_script_count():
    encoder = cs.TfidfEncoder().fit(["Größe größe", "東京 京都", "size"])
    assert {"größe", "東京", "京都"} <= set(encoder.terms_)


def test_before_fit_it_says_so():
    with pytest.raises(NotFittedError, match="call TfidfEncoder.fit first"):
        cs.TfidfEncoder().encode(["red"])


@pytest.mark.parametrize("texts", [[], ["", "?!"]])
def test_no_words_at_all_is_an_error(texts):
    with pytest.raises(InvalidInputError, match=f"at least one word to learn from; got {len(texts)} texts"):
        cs.TfidfEncoder().fit(texts)


def test_what_is_not_text_is_named():
    with pytest.raises(InvalidInputError, match="TfidfEncoder.fit must be texts; got None in row 1"):
        cs.TfidfEncoder().fit(["red", None])


def test_a_width_below_one_is_named():
    with pytest.raises(InvalidInputError, match="`dim` must be between 1 and 1,000,000; got 0"):
        cs.TfidfEncoder(dim=0).fit(TEXTS)
