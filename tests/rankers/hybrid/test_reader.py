import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart._arrays import spread
from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.rankers.hybrid import reader as module
from coldstart.rankers.hybrid.item_space import ItemSpace
from coldstart.rankers.hybrid.reader import FEEDBACK, MEANING, TextReader, says_something

TEXTS = [f"{kind} {word}" for kind in ("space", "garden") for word in "moon star rose lily war peace".split()] * 3
ENCODER = LexicalEncoder().fit(TEXTS)


def items(sparse=True, read=True, seed=0):
    rng = np.random.default_rng(seed)
    dense, rows = rng.standard_normal((2, len(TEXTS), 6)).astype(np.float32)
    return Features(dense, ENCODER.encode(TEXTS) if sparse else None, None, rows if read else None)


def said(*texts, seed=9, sparse=True, read=True):
    """Texts, one per user; None says nothing."""
    present = np.array([[text is not None] for text in texts])
    dense, rows = (np.random.default_rng(seed).standard_normal((2, len(texts), 6)) * present).astype(np.float32)
    words = ENCODER.encode_query([text or "" for text in texts]) if sparse else None
    return Features(dense, words, None, rows if read else None)


def reader_of(features):
    space = ItemSpace().fit(features)
    return TextReader.of(features, space, space.item_vectors(features))


def users(query, profile=None, history=(), avoided=None):
    liked = np.zeros((len(query), len(TEXTS)), dtype=np.float32)
    liked[:, list(history)] = 1.0
    nothing = Features(np.zeros((len(query), 6), dtype=np.float32))
    nobody = csr_array((len(query), len(TEXTS)), dtype=np.float32)
    return Users(csr_array(liked), nobody, query, nothing if profile is None else profile, avoided)


class TestReadTexts:
    def test_words_are_those_of_the_encoder_and_meaning_is_in_deviations(self):
        features, query = items(), said("moon of space", "lily")
        found = reader_of(features).read_texts(users(query))
        np.testing.assert_allclose(found.meaning, MEANING * query.read @ features.read.T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            found.words, module.WORDS * (query.sparse @ features.sparse.T).toarray() ** 2, atol=1e-5
        )
        assert not found.avoided.any()
        assert {found.words.dtype, found.meaning.dtype, found.avoided.dtype} == {np.dtype(np.float32)}

    def test_where_items_have_no_rows_for_texts_fused_vectors_are_compared(self):
        features, query = items(read=False), said("moon", read=False)
        vectors = ItemSpace().fit(features).cosine_.item_vectors(features)
        expected = MEANING / spread(vectors) * query.dense @ vectors.T
        np.testing.assert_allclose(reader_of(features).read_texts(users(query)).meaning, expected, rtol=1e-4)

    def test_a_profile_counts_half(self):
        features, query, profile = items(), said("moon", "lily"), said("war", None, seed=3)
        reader = reader_of(features)
        found, alone = reader.read_texts(users(query, profile)), reader.read_texts(users(query))
        of_profile = reader.read_texts(users(profile))
        np.testing.assert_allclose(found.words, alone.words + 0.5 * of_profile.words, atol=1e-5)
        np.testing.assert_allclose(found.meaning, alone.meaning + 0.5 * of_profile.meaning, atol=1e-4)

    def test_a_liked_item_is_read_as_a_text(self):
        features, query = items(), said("moon")
        reader = reader_of(features)
        found = reader.read_texts(users(query, history=[4])).meaning - reader.read_texts(users(query)).meaning
        text = features.read[[4]] / np.linalg.norm(features.read[4])
        np.testing.assert_allclose(found, 0.5 * MEANING * text @ features.read.T, atol=1e-4)

    @pytest.mark.parametrize(("of_items", "of_texts"), [(False, True), (True, False), (False, False)])
    def test_without_rows_of_words_on_either_side_words_say_nothing(self, of_items, of_texts):
        found = reader_of(items(sparse=of_items)).read_texts(users(said("moon", sparse=of_texts)))
        assert found.meaning.any()
        assert not found.words.any()

    def test_what_is_not_wanted_counts_where_an_item_is_like_it_and_nowhere_raises_one(self):
        features, avoided = items(), said("rose")
        silent = Features(np.zeros((1, 6), dtype=np.float32))
        found = reader_of(features).read_texts(users(silent, avoided=avoided))
        assert (found.avoided >= 0).all()
        holding = np.array(["rose" in text for text in TEXTS])
        assert found.avoided[0][holding].mean() > found.avoided[0][~holding].mean() + 1
        assert not found.words.any()
        assert not found.meaning.any()

    def test_a_text_is_read_alone_as_among_others(self):
        features, query = items(), said("moon", "lily", None, "war")
        reader = reader_of(features)
        together = reader.read_texts(users(query))
        for at in range(4):
            alone = reader.read_texts(users(query[[at]]))
            np.testing.assert_allclose(alone.meaning[0], together.meaning[at], atol=1e-5)
            np.testing.assert_allclose(alone.words[0], together.words[at], atol=1e-5)


class TestFeedback:
    def test_it_is_the_likeness_to_the_best_answers_by_the_exponential_of_their_scores(self, monkeypatch):
        monkeypatch.setattr(module, "ANSWERS", 2)
        reader = reader_of(items())
        answers = np.zeros((1, len(TEXTS)), dtype=np.float32)
        answers[0, [3, 8]] = 2.0, 1.0
        shares = np.exp([0.0, -1.0]) / (1 + np.exp(-1.0))
        expected = FEEDBACK / reader.spread * reader.vectors @ (shares @ reader.vectors[[3, 8]])
        np.testing.assert_allclose(reader.feedback(answers, answers)[0], expected, rtol=1e-4, atol=1e-4)

    def test_items_beyond_the_candidates_get_the_least_so_that_none_passes_one(self, monkeypatch):
        monkeypatch.setattr(module, "CANDIDATES", 5)
        reader = reader_of(items())
        scores = np.random.default_rng(1).standard_normal((3, len(TEXTS))).astype(np.float32)
        found = reader.feedback(scores, scores)
        for row, score in zip(found, scores, strict=True):
            best = np.argsort(-score)[:5]
            others = np.delete(row, best)
            assert np.ptp(others) == 0
            assert others[0] == row[best].min()
            assert set(np.argsort(-(score + row))[:5]) == set(best)

    def test_of_one_number_for_all_nothing_follows(self):
        reader = reader_of(items())
        silent = np.zeros((2, len(TEXTS)), dtype=np.float32)
        assert not reader.feedback(silent, silent).any()

    def test_of_equal_answers_the_first_are_asked(self, monkeypatch):
        monkeypatch.setattr(module, "ANSWERS", 2)
        reader = reader_of(items())
        answers = np.zeros((1, len(TEXTS)), dtype=np.float32)
        answers[0, 5:] = 1.0
        expected = FEEDBACK / reader.spread * reader.vectors @ reader.vectors[[5, 6]].mean(axis=0)
        np.testing.assert_allclose(reader.feedback(answers, answers)[0], expected, rtol=1e-4, atol=1e-4)


def test_who_says_something_has_a_query_a_profile_or_something_that_is_not_wanted():
    query, profile, avoided = (
        said("moon", None, None, None),
        said(None, "war", None, None),
        said(None, None, "sad", None),
    )
    assert says_something(users(query, profile, avoided=avoided)).tolist() == [True, True, True, False]
    assert says_something(users(query)).tolist() == [True, False, False, False]


def test_words_alone_are_something_though_they_have_no_meaning():
    query = said("moon", None)
    query.dense[:] = query.read[:] = 0.0
    assert says_something(users(query)).tolist() == [True, False]
