import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.rankers.hybrid.calibration import TOP, level
from coldstart.rankers.hybrid.reading import WORDS, Asked, Reading
from coldstart.rankers.hybrid.space import Space

TEXTS = [f"{kind} {word}" for kind in ("space", "garden") for word in "moon star rose lily war peace".split()] * 3
ENCODER = LexicalEncoder().fit(TEXTS)
WEIGHTS = (1.0, 0.5)


def items(sparse=True, joined=True, seed=0):
    rng = np.random.default_rng(seed)
    dense, whole = rng.standard_normal((2, len(TEXTS), 6)).astype(np.float32)
    return Features(dense, ENCODER.encode(TEXTS) if sparse else None, None, whole if joined else None)


def said(*texts, seed=9, sparse=True, joined=True):
    """Texts, one per user; None says nothing."""
    told = np.array([[text is not None] for text in texts])
    dense, whole = (np.random.default_rng(seed).standard_normal((2, len(texts), 6)) * told).astype(np.float32)
    return Features(
        dense, ENCODER.encode_query([text or "" for text in texts]) if sparse else None, None, whole if joined else None
    )


def asked(features, query, profile=None):
    profile = said(*[None] * len(query)) if profile is None else profile
    nobody = csr_array((len(query), len(features)), dtype=np.float32)
    return Reading.of(features, Space().fit(features)).asked(Users(nobody, nobody, query, profile), WEIGHTS)


def shares(scores):
    scores = np.maximum(scores, 0.0)
    return scores / level(scores.astype(np.float32))


def test_meaning_and_words_are_shares_of_the_level_of_each_row():
    features, query = items(), said("moon of space", "lily")
    found = asked(features, query)
    np.testing.assert_allclose(found.meaning, shares(query.joined @ features.joined.T), atol=1e-5)
    np.testing.assert_allclose(found.words, WORDS * shares((query.sparse @ features.sparse.T).toarray()), atol=1e-5)
    np.testing.assert_allclose(found.total, found.meaning + found.words, atol=1e-6)
    assert {found.meaning.dtype, found.words.dtype, found.total.dtype} == {np.dtype(np.float32)}


def test_where_fields_are_not_read_as_one_the_meaning_is_the_cosine_to_the_fused_items():
    features, query = items(joined=False), said("moon")
    vectors = Space().fit(features).cosine_.item_vectors(features)
    np.testing.assert_allclose(asked(features, query).meaning, shares(query.dense @ vectors.T), atol=1e-5)


def test_a_query_and_a_profile_count_by_their_weights():
    features, query, profile = items(), said("moon", "lily"), said("war", None, seed=3)
    found = asked(features, query, profile)
    both = query.joined[0] + 0.5 * profile.joined[0]
    np.testing.assert_allclose(found.meaning[0], shares(both[None] @ features.joined.T)[0], atol=1e-5)
    words = query.sparse[[0]] + 0.5 * profile.sparse[[0]]
    np.testing.assert_allclose(found.words[0], WORDS * shares((words @ features.sparse.T).toarray())[0], atol=1e-5)
    alone = asked(features, query)
    np.testing.assert_allclose(found.total[1], alone.total[1], atol=1e-5)


def test_a_profile_alone_is_like_a_query_alone():
    features, text = items(), said("moon", "war")
    one, other = asked(features, text), asked(features, said(None, None), text)
    np.testing.assert_allclose(one.total, other.total, atol=1e-5)


def test_when_nobody_says_anything_there_is_nothing():
    assert asked(items(), said(None, None)) is None


def test_who_says_nothing_has_zeros_beside_those_who_do():
    found = asked(items(), said("moon", None))
    assert found.total[0].any()
    assert not found.total[1].any()


@pytest.mark.parametrize(("of_items", "of_texts"), [(False, True), (True, False), (False, False)])
def test_without_rows_of_words_on_either_side_words_say_nothing(of_items, of_texts):
    found = asked(items(sparse=of_items), said("moon", sparse=of_texts))
    assert found.meaning.any()
    assert not found.words.any()


def test_an_item_that_holds_the_words_is_told_apart_from_those_that_do_not():
    found = asked(items(), said("rose"))
    holding = np.array(["rose" in text for text in TEXTS])
    assert found.words[0][holding].min() > found.words[0][~holding].max()


def test_words_that_are_nowhere_say_nothing():
    assert not asked(items(), said("zzz")).words.any()


def test_a_text_is_read_alone_as_among_others():
    features, query = items(), said("moon", "lily", None, "war")
    together = asked(features, query)
    for at in (0, 1, 3):
        np.testing.assert_allclose(asked(features, query[[at]]).total[0], together.total[at], atol=1e-5)


def test_so_is_one_whose_words_are_known_though_it_has_no_meaning():
    features, query = items(), said("moon", "lily")
    query.dense[0] = query.joined[0] = 0.0
    together = asked(features, query)
    assert together.words[0].any()
    np.testing.assert_allclose(asked(features, query[[0]]).total[0], together.total[0], atol=1e-5)


def test_where_items_meet_items_it_is_the_space():
    features = items()
    space = Space(0.3).fit(features)
    np.testing.assert_array_equal(Reading.of(features, space).vectors, space.item_vectors(features))


class TestBest:
    def best(self, total):
        """Of what is said by meaning and words in some parts."""
        total = np.asarray(total, dtype=np.float32)
        return Asked(np.float32(0.75) * total, np.float32(0.25) * total).best

    def test_it_is_one_like_dealt_out_by_the_third_power(self):
        found = self.best([[2.0, 0.0, 1.0]])
        assert (found.shape, found.dtype) == ((1, 3), np.float32)
        np.testing.assert_allclose(found.toarray(), [[8 / 9, 0.0, 1 / 9]], rtol=1e-5)

    def test_meaning_and_words_count_together(self):
        said = Asked(np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.0, 2.0]], dtype=np.float32))
        np.testing.assert_allclose(said.best.toarray(), [[1 / 9, 8 / 9]], rtol=1e-5)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 5))
    def test_the_20_best_have_it_all(self, seed, n_items, n_rows):
        total = np.random.default_rng(seed).random((n_rows, n_items)).astype(np.float32) + np.float32(0.01)
        found = self.best(total)
        assert found.has_canonical_format
        assert np.diff(found.indptr).tolist() == [min(TOP, n_items)] * n_rows
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
        least = np.sort(total, axis=1)[:, -min(TOP, n_items)]
        cubes = np.where(total >= least[:, None], total.astype(np.float64) ** 3, 0.0)
        np.testing.assert_allclose(found.toarray(), cubes / cubes.sum(axis=1, keepdims=True), rtol=1e-4)

    def test_of_equal_answers_no_more_than_20_are_taken(self):
        found = self.best(np.ones((2, 40)))
        assert (found.toarray() > 0).sum(axis=1).tolist() == [TOP] * 2
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)

    def test_who_says_nothing_likes_nothing(self):
        found = self.best([[0.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
        assert not found.toarray()[0].any()
        np.testing.assert_allclose(found.sum(axis=1), [0.0, 1.0], rtol=1e-5)

    def test_what_was_said_stays_as_it_was(self):
        total = np.array([[2.0, 0.0, 1.0]], dtype=np.float32)
        said = Asked(total.copy(), total.copy())
        _ = said.best
        np.testing.assert_array_equal(said.meaning, total)
        np.testing.assert_array_equal(said.words, total)

    def test_of_texts_it_is_of_those_that_answer(self):
        found = asked(items(), said("rose", None)).best
        assert found.shape == (2, len(TEXTS))
        holding = np.array(["rose" in text for text in TEXTS])
        one, nobody = found.toarray()
        assert one[holding].mean() > one[~holding].mean()
        assert not nobody.any()
