import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import NotFittedError
from coldstart.rankers.cosine import PRIOR_ROWS, CosineRanker
from coldstart.rankers.hybrid.item_space import DIM, ItemSpace
from coldstart.storage import pack, unpack

TEXTS = ["space war moon", "space opera moon", "garden party rose", "rose garden", "", "unheard", "moon war party"]
PLAIN = LexicalEncoder()


def features(texts=TEXTS, seed=0, encoder=PLAIN, dim=5):
    dense = np.random.default_rng(seed).standard_normal((len(texts), dim)).astype(np.float32)
    return Features(dense, copy.deepcopy(encoder).fit(texts).encode(texts))


def unit(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def words_of(given, dim=DIM):
    """By the book: columns that two rows share, their leading right singular vectors, unit rows, centred, unit."""
    rows = given.sparse.toarray().astype(float)
    rows = rows[:, ((rows != 0).sum(axis=0) > 1)]
    _, values, right = np.linalg.svd(rows, full_matrices=False)
    read = unit(rows @ right[:dim][values[:dim] > 1e-5 * values[0]].T)
    return unit((read - read.sum(axis=0) / (len(read) + PRIOR_ROWS)) * read.any(axis=1, keepdims=True))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1, width=32))
def test_a_dot_product_is_the_weighted_mean_of_the_cosines_of_meaning_and_of_words(seed, words):
    given = features(seed=seed)
    found = ItemSpace(words).fit(given).item_vectors(given)
    dense, lexical = CosineRanker().fit(given).item_vectors(given), words_of(given)
    both = np.flatnonzero(lexical.any(axis=1))
    expected = (1 - words) * dense @ dense.T + words * lexical @ lexical.T
    np.testing.assert_allclose((found @ found.T)[np.ix_(both, both)], expected[np.ix_(both, both)], atol=1e-5)


@pytest.mark.parametrize("words", [0.0, 0.3, 0.7, 1.0])
def test_rows_have_length_one_or_zero_where_nothing_is_known(words):
    given = features()
    given.dense[[2, 4]] = 0.0
    found = ItemSpace(words).fit(given).item_vectors(given)
    assert found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=1)
    empty = {0.0: [2, 4], 1.0: [4, 5]}.get(words, [4])  # the words of the sixth are its own
    expected = np.where(np.isin(np.arange(7), empty), 0.0, 1.0)
    np.testing.assert_allclose(lengths, expected, atol=1e-6)


def test_an_item_that_has_no_words_goes_by_its_meaning_and_one_without_meaning_by_its_words():
    given = features()
    given.dense[2] = 0.0
    space = ItemSpace(0.3).fit(given)
    found = space.item_vectors(given)
    dense, lexical = space.cosine_.item_vectors(given), words_of(given)
    np.testing.assert_allclose(found[4] @ found[0], np.sqrt(0.7) * dense[4] @ dense[0], atol=1e-5)
    np.testing.assert_allclose(found[2] @ found[3], np.sqrt(0.3) * lexical[2] @ lexical[3], atol=1e-5)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (0.3, Features(features().dense)),
        (0.0, features()),
        (0.3, features(["one", "two", "three"])),
        (0.3, Features(features().dense, csr_array((7, 9), dtype=np.float32))),
    ],
    ids=["no rows of words", "no weight", "no word in two texts", "rows that are empty"],
)
def test_without_words_it_is_the_cosine_of_meaning(words, given):
    space = ItemSpace(words).fit(given)
    np.testing.assert_array_equal(space.item_vectors(given), CosineRanker().fit(given).item_vectors(given))
    assert space.reads_words == (words == 0.0)


def test_words_that_one_text_has_alone_say_nothing():
    one = features()
    other = features([text.replace("unheard", "") for text in TEXTS])
    found, expected = (ItemSpace(0.5).fit(given).item_vectors(given) for given in (one, other))
    alike = np.delete(np.arange(7), [4, 5])
    # the weights of words go by the number of texts, which is the same
    np.testing.assert_allclose(*((rows @ rows.T)[np.ix_(alike, alike)] for rows in (found, expected)), atol=0.05)


def test_of_many_words_the_leading_directions_are_read():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{at}" for at in range(300)])
    texts = [" ".join(rng.choice(vocabulary, 12)) for _ in range(200)]
    given = features(texts)
    space = ItemSpace(1.0).fit(given)
    assert space.directions_.shape == (len(space.terms_), DIM)
    np.testing.assert_allclose(space.directions_.T @ space.directions_, np.eye(DIM), atol=1e-4)
    assert np.array_equal(space.item_vectors(given), ItemSpace(1.0).fit(given).item_vectors(given))


def test_items_that_come_later_are_placed_as_they_would_have_been():
    given = features()
    space = ItemSpace(0.4).fit(given)
    np.testing.assert_allclose(space.item_vectors(given[[6, 1]]), space.item_vectors(given)[[6, 1]], atol=1e-6)


def test_another_weight_of_the_words_leaves_the_space_as_it_was():
    given = features()
    space = ItemSpace(0.3).fit(given)
    before, other = space.item_vectors(given), space.with_words(0.9)
    assert (space.words, other.words) == (0.3, 0.9)
    np.testing.assert_array_equal(space.item_vectors(given), before)
    np.testing.assert_array_equal(other.item_vectors(given), ItemSpace(0.9).fit(given).item_vectors(given))


@pytest.mark.parametrize("given", [features(), Features(features().dense)], ids=["words", "none"])
def test_what_it_learned_can_be_saved(given):
    tensors, space = {}, ItemSpace(0.3).fit(given)
    packed = json.loads(json.dumps(pack(space, tensors, "space")))
    again = unpack(packed, tensors, {"ItemSpace": ItemSpace, "CosineRanker": CosineRanker})
    assert again.item_vectors(given).tobytes() == space.item_vectors(given).tobytes()


def test_one_item_and_items_all_alike_are_placed():
    for few in (features(["moon"]), features(["moon moon"] * 3)):
        found = ItemSpace(0.3).fit(few).item_vectors(few)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_it_must_be_fitted_first():
    with pytest.raises(NotFittedError, match="ItemSpace must be fitted"):
        ItemSpace().item_vectors(features())


@pytest.mark.parametrize("words", [0.0, 0.3, 1.0])
def test_tastes_meet_items_by_meaning_alone_whatever_words_weigh(words):
    given = features()
    space = ItemSpace(words).fit(given)
    np.testing.assert_array_equal(space.tastes(given), CosineRanker().fit(given).item_vectors(given))
    np.testing.assert_array_equal(space.with_words(0.9).tastes(given), space.tastes(given))


def test_so_do_those_of_items_that_come_later():
    given = features()
    space = ItemSpace().fit(given)
    later = Features(given.dense[[3, 1]])  # whatever their words
    np.testing.assert_allclose(space.tastes(later), space.tastes(given)[[3, 1]], atol=1e-6)


def test_tastes_need_a_fit_too():
    with pytest.raises(NotFittedError, match="ItemSpace must be fitted"):
        ItemSpace().tastes(features())
