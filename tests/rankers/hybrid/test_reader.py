import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart._arrays import spread
from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.rankers.hybrid import reader as module
from coldstart.rankers.hybrid.item_space import ItemSpace
from coldstart.rankers.hybrid.reader import (
    FEEDBACK,
    MEANING,
    SOURCES,
    QueryScorer,
    ScoreTerms,
    has_text,
    log_popularity,
)

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


def scorer_of(features):
    space = ItemSpace().fit(features)
    return QueryScorer.of(features, space.item_vectors(features), space.tastes(features))


def users(query, profile=None, history=(), avoided=None):
    liked = np.zeros((len(query), len(TEXTS)), dtype=np.float32)
    liked[:, list(history)] = 1.0
    nothing = Features(np.zeros((len(query), 6), dtype=np.float32))
    nobody = csr_array((len(query), len(TEXTS)), dtype=np.float32)
    return Users(csr_array(liked), nobody, query, nothing if profile is None else profile, avoided)


class TestQueryScores:
    def test_words_and_meaning_are_weighted_products_with_the_rows_of_the_query(self):
        features, query = items(), said("moon of space", "lily")
        found = scorer_of(features).score(users(query))
        np.testing.assert_allclose(found.meaning, MEANING * query.read @ features.read.T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            found.words, module.WORD_WEIGHT * (query.sparse @ features.sparse.T).toarray() ** 2, atol=1e-5
        )
        assert not found.avoided.any()
        assert {found.words.dtype, found.meaning.dtype, found.avoided.dtype} == {np.dtype(np.float32)}

    def test_without_text_vectors_meaning_is_the_product_of_fused_vectors(self):
        features, query = items(read=False), said("moon", read=False)
        vectors = ItemSpace().fit(features).cosine_.item_vectors(features)
        expected = MEANING / spread(vectors) * query.dense @ vectors.T
        np.testing.assert_allclose(scorer_of(features).score(users(query)).meaning, expected, rtol=1e-4)

    def test_a_profile_counts_half(self):
        features, query, profile = items(), said("moon", "lily"), said("war", None, seed=3)
        scorer = scorer_of(features)
        found, alone = scorer.score(users(query, profile)), scorer.score(users(query))
        of_profile = scorer.score(users(profile))
        np.testing.assert_allclose(found.words, alone.words + 0.5 * of_profile.words, atol=1e-5)
        np.testing.assert_allclose(found.meaning, alone.meaning + 0.5 * of_profile.meaning, atol=1e-4)

    def test_a_liked_item_adds_half_the_meaning_of_its_text(self):
        features, query = items(), said("moon")
        scorer = scorer_of(features)
        found = scorer.score(users(query, history=[4])).meaning - scorer.score(users(query)).meaning
        text = features.read[[4]] / np.linalg.norm(features.read[4])
        np.testing.assert_allclose(found, 0.5 * MEANING * text @ features.read.T, atol=1e-4)

    @pytest.mark.parametrize(("of_items", "of_texts"), [(False, True), (True, False), (False, False)])
    def test_words_are_0_without_lexical_rows_of_items_or_query(self, of_items, of_texts):
        found = scorer_of(items(sparse=of_items)).score(users(said("moon", sparse=of_texts)))
        assert found.meaning.any()
        assert not found.words.any()

    def test_an_unwanted_text_lowers_similar_items_and_raises_none(self):
        features, avoided = items(), said("rose")
        silent = Features(np.zeros((1, 6), dtype=np.float32))
        found = scorer_of(features).score(users(silent, avoided=avoided))
        assert (found.avoided >= 0).all()
        holding = np.array(["rose" in text for text in TEXTS])
        assert found.avoided[0][holding].mean() > found.avoided[0][~holding].mean() + 1
        assert not found.words.any()
        assert not found.meaning.any()

    def test_scores_of_a_query_do_not_depend_on_its_batch(self):
        features, query = items(), said("moon", "lily", None, "war")
        scorer = scorer_of(features)
        together = scorer.score(users(query))
        for at in range(4):
            alone = scorer.score(users(query[[at]]))
            np.testing.assert_allclose(alone.meaning[0], together.meaning[at], atol=1e-5)
            np.testing.assert_allclose(alone.words[0], together.words[at], atol=1e-5)


class TestFeedback:
    def test_it_is_the_likeness_to_the_best_answers_weighted_by_the_exponential_of_their_scores(self, monkeypatch):
        monkeypatch.setattr(module, "FEEDBACK_ITEMS", 2)
        scorer = scorer_of(items())
        answers = np.zeros((1, len(TEXTS)), dtype=np.float32)
        answers[0, [3, 8]] = 2.0, 1.0
        shares = np.exp([0.0, -1.0]) / (1 + np.exp(-1.0))
        expected = FEEDBACK / scorer.spread * scorer.vectors @ (shares @ scorer.vectors[[3, 8]])
        np.testing.assert_allclose(scorer.feedback(answers, answers)[0], expected, rtol=1e-4, atol=1e-4)

    def test_items_beyond_the_candidates_get_the_least_feedback_and_pass_no_candidate(self, monkeypatch):
        monkeypatch.setattr(module, "CANDIDATES", 5)
        scorer = scorer_of(items())
        scores = np.random.default_rng(1).standard_normal((3, len(TEXTS))).astype(np.float32)
        found = scorer.feedback(scores, scores)
        for row, score in zip(found, scores, strict=True):
            best = np.argsort(-score)[:5]
            others = np.delete(row, best)
            assert np.ptp(others) == 0
            assert others[0] == row[best].min()
            assert set(np.argsort(-(score + row))[:5]) == set(best)

    def test_equal_answers_give_no_feedback(self):
        scorer = scorer_of(items())
        silent = np.zeros((2, len(TEXTS)), dtype=np.float32)
        assert not scorer.feedback(silent, silent).any()

    def test_ties_among_the_best_answers_go_to_the_first(self, monkeypatch):
        monkeypatch.setattr(module, "FEEDBACK_ITEMS", 2)
        scorer = scorer_of(items())
        answers = np.zeros((1, len(TEXTS)), dtype=np.float32)
        answers[0, 5:] = 1.0
        expected = FEEDBACK / scorer.spread * scorer.vectors @ scorer.vectors[[5, 6]].mean(axis=0)
        np.testing.assert_allclose(scorer.feedback(answers, answers)[0], expected, rtol=1e-4, atol=1e-4)


def test_a_user_has_text_with_a_query_a_profile_or_an_unwanted_text():
    query, profile, avoided = (
        said("moon", None, None, None),
        said(None, "war", None, None),
        said(None, None, "sad", None),
    )
    assert has_text(users(query, profile, avoided=avoided)).tolist() == [True, True, True, False]
    assert has_text(users(query)).tolist() == [True, False, False, False]


def test_lexical_rows_alone_are_text():
    query = said("moon", None)
    query.dense[:] = query.read[:] = 0.0
    assert has_text(users(query)).tolist() == [True, False]


def score_terms(seed=0, m=2, n=6, **given):
    rng = np.random.default_rng(seed)
    terms = {name: rng.standard_normal((m, n)).astype(np.float32) for name in SOURCES}
    return ScoreTerms(**{**terms, "against": rng.random((m, n)).astype(np.float32), **given})


def test_the_total_is_the_sum_of_the_terms_less_what_counts_against():
    found = score_terms()
    expected = found.lexical + found.content + found.collaborative + found.popularity - found.against
    np.testing.assert_allclose(found.total, expected, atol=1e-6)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_of_zeros_has_no_share(name):
    silent = score_terms(**{name: np.zeros((2, 6), dtype=np.float32)})
    at = SOURCES.index(name)
    others = [getattr(silent, other) for other in SOURCES if other != name]
    np.testing.assert_allclose(silent.total, sum(others) - silent.against, atol=1e-6)
    below = np.all([term <= term.mean(axis=1, keepdims=True) for term in others], axis=0)
    assert not silent.shares()[at][~below].any()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_shares_of_each_item_are_from_0_to_1_and_sum_to_1(seed, n):
    shares = score_terms(seed, n=n).shares()
    assert shares.shape == (4, 2, n)
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-5)


def test_shares_are_in_proportion_to_how_far_a_source_raises_an_item_above_the_mean_item():
    zero = np.zeros((1, 2), dtype=np.float32)
    words, clicks = np.array([[3.0, 1.0]], dtype=np.float32), np.array([[4.0, 0.0]], dtype=np.float32)
    found = ScoreTerms(words, zero, clicks, zero, zero).shares()
    np.testing.assert_allclose(found[:, 0, 0], [1 / 3, 0.0, 2 / 3, 0.0], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], [0.0, 1.0, 0.0, 0.0])


def test_the_log_popularity_credits_items_with_mean_clicks_for_the_time_before_they_came():
    counts, exposure = np.array([0.0, 9.5, 0.0, 1.0, 0.0], np.float32), np.array([1, 1, 0, 0, 0.5], np.float32)
    expected = np.log([0.5, 10.0, 5.0, 6.0, 2.75])
    np.testing.assert_allclose(log_popularity(counts, 4.5, exposure), expected, rtol=1e-6)
    np.testing.assert_allclose(log_popularity(counts, 4.5, None), np.log(counts + 0.5), rtol=1e-6)
