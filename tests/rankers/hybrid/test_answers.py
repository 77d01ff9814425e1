import json

import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid import answers as module
from coldstart.rankers.hybrid.als import PriorALS
from coldstart.rankers.hybrid.answers import Answers
from coldstart.rankers.hybrid.content import nearest, neighbours
from coldstart.rankers.hybrid.counts import YOUNG
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw
from coldstart.storage import pack, unpack

METHODS = ("exact", "als")
CLASSES = {"Answers": Answers, "PriorALS": PriorALS}


def drawn(shape=(30, 12), seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def liked(n_items, n_users=6, seed=1):
    return csr_array((np.random.default_rng(seed).random((n_users, n_items)) < 0.3).astype(np.float32))


@pytest.fixture(scope="module")
def made(make_world):
    """Raw scores of either method, and the texts of their items."""
    world = make_world(per_kind=20, n_cold=4, n_users=40)
    vectors = CosineRanker().fit(world.features).item_vectors(world.features)
    return {name: Raw.of(world.clicks, vectors, Collaborative(name), Content(), YOUNG) for name in METHODS}, vectors


def saved(answers):
    """Packed, through JSON, and unpacked; and what was written of the numbers."""
    tensors = {}
    packed = json.loads(json.dumps(pack(answers, tensors, "answers")))
    return unpack(packed, tensors, CLASSES), tensors


class TestWhole:
    def test_scores_are_the_sum_of_what_each_like_counts(self):
        weights, rows = drawn(), liked(30)
        found = Answers(weights).scores(rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rows.toarray() @ weights, atol=1e-5)

    def test_small_ones_are_kept_and_saved_in_four_bytes(self):
        answers = Answers(drawn())
        np.testing.assert_array_equal(answers.weights, drawn())
        again, tensors = saved(answers)
        assert {part.dtype for part in tensors.values()} == {np.dtype(np.float32)}
        np.testing.assert_array_equal(again.weights, answers.weights)

    def test_large_ones_are_kept_and_saved_in_two_bytes_and_score_the_very_same(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WHOLE", 29)
        answers = Answers(drawn())
        assert answers.weights.dtype == np.float16
        found = answers.scores(liked(30))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, liked(30).toarray() @ drawn(), rtol=2e-3, atol=2e-2)
        again, tensors = saved(answers)
        assert {part.dtype for part in tensors.values()} == {np.dtype(np.float16)}
        assert again.scores(liked(30)).tobytes() == found.tobytes()

    def test_large_ones_grow_and_take_in_columns(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WHOLE", 29)
        answers, more = Answers(drawn()), Answers(drawn((30, 2), seed=5))
        grown = answers.grown(np.array([3, 0]), more)
        np.testing.assert_array_equal(
            grown.weights[:, [1, 2]], np.stack([answers.weights[:, 0], more.weights[:, 0]], 1)
        )
        taken = answers.taking_in(4, drawn((30, 2), seed=5))
        np.testing.assert_array_equal(taken.weights[:, 4:6], more.weights)
        assert grown.weights.dtype == taken.weights.dtype == np.float16

    def test_weights_of_a_file_that_cannot_be_written_to_are_used_as_they_lie(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WHOLE", 29)
        weights = drawn().astype(np.float16)
        weights.flags.writeable = False
        answers = Answers(weights)
        assert np.shares_memory(answers._table.numpy(), weights)
        assert answers.scores(liked(30)).tobytes() == Answers(drawn()).scores(liked(30)).tobytes()

    def test_the_most_that_is_whole_is_whole(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WHOLE", 30)
        np.testing.assert_array_equal(Answers(drawn()).weights, drawn())

    def test_saving_leaves_what_is_saved_as_it_is(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WHOLE", 3)
        answers = Answers(drawn())
        before = answers.weights.copy()
        saved(answers)
        np.testing.assert_array_equal(answers.weights, before)


class TestByFactors:
    def test_scores_are_those_of_the_code_and_of_what_the_likes_count(self, made):
        raw = made[0]["als"]
        answers, rows = raw.answers(), liked(len(raw.warm))
        expected = answers.als.code(rows) @ answers.factors + rows.toarray() @ answers.weights.toarray()
        np.testing.assert_allclose(answers.scores(rows), expected, atol=1e-5)

    def test_items_with_clicks_are_scored_by_their_factors_alone(self, made):
        raw = made[0]["als"]
        answers, n_warm = raw.answers(), len(raw.warm)
        assert not answers.weights[:, :n_warm].toarray().any()
        np.testing.assert_array_equal(answers.factors[:, :n_warm], raw.model.items.T)

    @pytest.mark.parametrize("most_whole", [4_096, 3])
    def test_they_are_saved_and_score_the_very_same(self, monkeypatch, made, most_whole):
        monkeypatch.setattr(module, "MOST_WHOLE", most_whole)
        raw = made[0]["als"]
        answers, rows = raw.answers(), liked(len(raw.warm))
        assert saved(answers)[0].scores(rows).tobytes() == answers.scores(rows).tobytes()


@pytest.mark.parametrize("method", METHODS)
class TestGrown:
    BOOST = 2.0

    def grown(self, made, method, kept=None, count=3):
        """The answers, and those with three more items, placed like the first ones with clicks."""
        raws, vectors = made
        raw = raws[method]
        answers = raw.answers()
        near = neighbours(nearest(vectors[raw.warm], vectors[raw.warm[:count]], 5))
        columns = sum(raw.weights.shape)
        new = answers.smoothed(near, self.BOOST)
        return answers, answers.grown(np.arange(columns) if kept is None else kept, new), near

    def test_what_is_kept_scores_as_it_did_in_the_order_that_is_told(self, made, method):
        kept = np.array([5, 0, 7, 9])
        answers, grown, near = self.grown(made, method, kept)
        rows = liked(near.shape[0])
        np.testing.assert_allclose(grown.scores(rows)[:, :4], answers.scores(rows)[:, kept], atol=1e-5)

    def test_a_new_item_gets_the_likes_and_the_boosted_scores_of_its_neighbours(self, made, method):
        answers, grown, near = self.grown(made, method)
        rows, n_warm = liked(near.shape[0]), near.shape[0]
        targets = rows.toarray() + self.BOOST * answers.scores(rows)[:, :n_warm]
        found = grown.scores(rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, -3:], targets @ near.toarray(), atol=1e-4)

    def test_again_and_again(self, made, method):
        _, once, near = self.grown(made, method)
        n_columns = once.scores(liked(near.shape[0])).shape[1]
        twice = once.grown(np.arange(n_columns), once.smoothed(near, self.BOOST))
        rows = liked(near.shape[0])
        np.testing.assert_allclose(twice.scores(rows)[:, -6:-3], twice.scores(rows)[:, -3:], atol=1e-5)
        np.testing.assert_allclose(twice.scores(rows)[:, :-3], once.scores(rows), atol=1e-5)

    def test_by_nothing_is_the_same(self, made, method):
        answers, grown, near = self.grown(made, method, count=0)
        rows = liked(near.shape[0])
        np.testing.assert_allclose(grown.scores(rows), answers.scores(rows), atol=1e-6)

    def test_the_answers_before_stay_as_they_were(self, made, method):
        answers, _, near = self.grown(made, method)
        rows = liked(near.shape[0])
        np.testing.assert_array_equal(answers.scores(rows), made[0][method].answers().scores(rows))


@pytest.mark.parametrize("method", METHODS)
def test_those_that_have_grown_score_the_very_same_when_saved(made, method):
    _, grown, near = TestGrown().grown(made, method)
    rows = liked(near.shape[0])
    assert saved(grown)[0].scores(rows).tobytes() == grown.scores(rows).tobytes()


def test_large_ones_that_have_grown_score_the_very_same_when_saved(monkeypatch, made):
    monkeypatch.setattr(module, "MOST_WHOLE", 3)
    _, grown, near = TestGrown().grown(made, "exact")
    rows = liked(near.shape[0])
    assert saved(grown)[0].scores(rows).tobytes() == grown.scores(rows).tobytes()
