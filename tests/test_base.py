"""The contract: what a plain class gets for what it does not have."""

import copy

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.base import (
    BaseEncoder,
    BaseFuser,
    BaseIndex,
    BaseRanker,
    Features,
    Users,
    scores_of,
    with_defaults,
)
from coldstart.encoders.tfidf import TfidfEncoder
from coldstart.fusers.attention import AttentionFuser
from coldstart.fusers.concat import ConcatFuser
from coldstart.index.exact import ExactIndex
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.ease import EASERanker
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.testing import HashEncoder

FEATURES = Features(np.eye(3, dtype=np.float32))
CLICKS = csr_array(np.eye(3, dtype=np.float32))


class PlainRanker:
    def fit(self, features, clicks=None):
        return self

    def score(self, users, features):
        return np.ones((len(users), len(features)), dtype=np.float32)


def users(n=2):
    nothing = Features(np.zeros((n, 3), np.float32))
    return Users(csr_array((n, 3), dtype=np.float32), csr_array((n, 3), dtype=np.float32), nothing, nothing)


class TestPlainRanker:
    @pytest.fixture
    def plain(self):
        return PlainRanker()

    @pytest.fixture
    def seen(self, plain):
        return with_defaults(plain, BaseRanker)

    def test_what_it_lacks_has_the_defaults(self, seen):
        assert not any([seen.answers_nobody, seen.reads_words, seen.scores_in_threads, seen.knows_positions])
        assert seen.best(users(), FEATURES, 1, None, []) is None
        assert seen.contributions(users(), FEATURES) is None
        assert seen.answers(users(), FEATURES).tolist() == [True, True]

    def test_a_default_that_returns_the_ranker_returns_the_plain_one(self, plain, seen):
        for back in (
            seen.refreshed(FEATURES, CLICKS, np.arange(3)),
            seen.by_likeness(),
            seen.compacted(),
            seen.restored(FEATURES, CLICKS),
        ):
            assert back is plain

    def test_its_own_methods_override_the_defaults(self, plain):
        plain.answers_nobody = True
        plain.refreshed = lambda features, clicks, origin: "fresh"
        seen = with_defaults(plain, BaseRanker)
        assert seen.answers_nobody
        assert seen.knows_positions
        assert seen.refreshed(FEATURES, CLICKS, np.arange(3)) == "fresh"

    def test_an_attribute_outside_the_contract_is_an_error(self, seen):
        with pytest.raises(AttributeError):
            seen.anything_else  # noqa: B018

    def test_it_is_copied_whole(self, seen):
        assert copy.deepcopy(seen).score(users(1), FEATURES).shape == (1, 3)


def test_a_part_that_inherits_is_returned_as_it_is():
    for part, contract in ((CosineRanker(), BaseRanker), (HashEncoder(), BaseEncoder), (ExactIndex(), BaseIndex)):
        assert with_defaults(part, contract) is part


def test_capabilities_follow_from_overridden_methods():
    assert (TfidfEncoder().learns, HashEncoder().learns) == (True, False)
    assert (AttentionFuser().attends, ConcatFuser().attends) == (True, False)
    assert (EASERanker().knows_positions, CosineRanker().knows_positions) == (True, False)
    assert (HybridRanker().explains, CosineRanker().explains) == (True, False)
    assert (HybridRanker().judges_answers, CosineRanker().judges_answers) == (True, False)


def test_a_plain_fuser_fuses_a_text_like_an_item_whose_every_field_is_that_text():
    class First:
        def fuse(self, fields, missing):
            assert missing.shape == (2, 2)
            assert not missing.any()
            return fields["a"]

    fields = {"a": np.ones((2, 3), np.float32), "b": np.zeros((2, 3), np.float32)}
    assert np.array_equal(with_defaults(First(), BaseFuser).fuse_query(fields), fields["a"])


def test_a_plain_index_is_not_extended_and_is_built_after_loading():
    class Plain:
        def build(self, vectors):
            self.vectors = vectors
            return self

    index = Plain()
    assert with_defaults(index, BaseIndex).extended(np.ones((1, 2))) is None
    again = with_defaults(index, BaseIndex).restored(np.ones((4, 2)))
    assert type(again) is Plain
    assert again is not index
    assert again.vectors.shape == (4, 2)


def test_scores_of_a_ranker_with_vectors_are_dot_products():
    ranker = CosineRanker(center=False).fit(FEATURES)
    liking = Users(csr_array(np.eye(3, dtype=np.float32)[:1]), csr_array((1, 3)), *(Features(np.zeros((1, 3))),) * 2)
    assert scores_of(ranker, liking, FEATURES).tolist() == [[1.0, 0.0, 0.0]]
