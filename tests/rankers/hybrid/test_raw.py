import numpy as np
import pytest
from scipy.sparse import csr_array

from coldstart.rankers.hybrid import raw as module
from coldstart.rankers.hybrid.als import PriorALS
from coldstart.rankers.hybrid.content import KernelRidge, nearest, neighbours
from coldstart.rankers.hybrid.counts import YOUNG
from coldstart.rankers.hybrid.ease import PriorEASE, Ridge, TextPrior, evened
from coldstart.rankers.hybrid.raw import Collaborative, Content, Raw

METHODS = ("exact", "als")


@pytest.fixture(scope="module")
def world(make_world):
    return make_world(n_users=60, inside=0.3)


def fitted(world, clicks=None, collaborative=None, most=YOUNG, **content):
    clicks = world.clicks if clicks is None else csr_array(clicks)
    return Raw.of(clicks, world.texts, collaborative or Collaborative(), Content(**content), most)


def of_warm(world, raw, rows):
    return csr_array(csr_array(world.clicks[rows])[:, raw.warm])


class TestCollaborative:
    def test_the_exact_form_is_prior_ease_with_its_ridge_and_prior(self, world):
        warm = np.flatnonzero(world.clicks.sum(axis=0))
        clicks, vectors = csr_array(world.clicks[:, warm]), world.texts[warm]
        found = Collaborative("exact", l2=20.0, prior=2.0).fitted(clicks, vectors)
        expected = PriorEASE.of(Ridge.of(evened(clicks), 20.0), TextPrior.of(vectors, module.TEXT_L2), 2.0)
        np.testing.assert_allclose(found.scores(clicks), expected.scores(clicks), atol=1e-6)

    def test_als_weighs_all_pairs_as_a_multiple_of_the_clicks(self, world):
        warm = np.flatnonzero(world.clicks.sum(axis=0))
        clicks, vectors = csr_array(world.clicks[:, warm]), world.texts[warm]
        found = Collaborative("als", unobserved=10.0, sweeps=3).fitted(clicks, vectors)
        assert isinstance(found, PriorALS)
        assert found.unobserved == pytest.approx(10.0 * clicks.nnz / (clicks.shape[0] * clicks.shape[1]))
        expected = PriorALS.of(clicks, vectors, unobserved=found.unobserved, sweeps=3)
        np.testing.assert_array_equal(found.items, expected.items)

    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_taken_from_a_fit_before_changes_nothing(self, world, method):
        warm = np.flatnonzero(world.clicks.sum(axis=0))
        clicks, vectors = csr_array(world.clicks[:, warm]), world.texts[warm]
        alone = Collaborative(method, l2=30.0, prior=3.0).fitted(clicks, vectors).scores(clicks)
        befores = (Collaborative("exact", l2=30.0), Collaborative("exact", l2=5.0), Collaborative("als", sweeps=1))
        for before in befores[-3 if method == "exact" else -1 :]:
            model = before.fitted(clicks, vectors)
            again = Collaborative(method, l2=30.0, prior=3.0).fitted(clicks, vectors, model)
            np.testing.assert_array_equal(again.scores(clicks), alone)

    def test_the_same_ridge_is_not_inverted_twice(self, world):
        warm = np.flatnonzero(world.clicks.sum(axis=0))
        clicks, vectors = csr_array(world.clicks[:, warm]), world.texts[warm]
        first = Collaborative(l2=30.0).fitted(clicks, vectors)
        same, other = (Collaborative(l2=l2, prior=0.0).fitted(clicks, vectors, first) for l2 in (30.0, 31.0))
        assert same.ridge is first.ridge is not other.ridge
        assert same.text is first.text is other.text


class TestOf:
    def test_warm_items_have_clicks_and_young_ones_none_or_few(self, world):
        counts = world.clicks.sum(axis=0)
        assert 0 < (counts[~world.cold] <= YOUNG).sum() < (~world.cold).sum()
        for most in (0, YOUNG, np.inf):
            raw = fitted(world, most=most)
            assert np.array_equal(raw.warm, np.flatnonzero(counts))
            assert np.array_equal(raw.young, np.flatnonzero(counts <= most))

    def test_items_without_clicks_are_regressed_on_the_texts_of_the_others(self, world):
        raw, vectors = fitted(world, most=0, width=2.0, l2=0.7), world.texts
        expected = KernelRidge.of(vectors[raw.warm], 2.0, 0.7).weights(vectors[raw.young])
        np.testing.assert_allclose(raw.weights, expected, atol=1e-6)

    def test_an_item_with_few_clicks_is_regressed_as_if_it_had_none(self, world):
        raw, vectors = fitted(world, width=3.0, l2=0.7), world.texts
        at = np.flatnonzero(np.isin(raw.young, raw.warm))[0]
        others = raw.warm != raw.young[at]
        expected = KernelRidge.of(vectors[raw.warm[others]], 3.0, 0.7).weights(vectors[raw.young[[at]]])
        np.testing.assert_allclose(raw.weights[others, at], expected[:, 0], atol=1e-5)

    @pytest.mark.parametrize(("method", "most_exact"), [("exact", 3), ("als", 20_000)])
    def test_with_many_items_and_with_als_the_nearest_are_averaged(self, monkeypatch, world, method, most_exact):
        monkeypatch.setattr(module, "MOST_EXACT", most_exact)
        raw, vectors = fitted(world, collaborative=Collaborative(method), most=0), world.texts
        expected = neighbours(nearest(vectors[raw.warm], vectors[raw.young])).toarray()
        np.testing.assert_allclose(raw.weights.toarray(), expected, atol=1e-6)
        np.testing.assert_allclose(raw.weights.sum(axis=0), 1.0, atol=1e-5)

    @pytest.mark.parametrize(("method", "most_exact"), [("exact", 20_000), ("exact", 3), ("als", 20_000)])
    def test_an_items_own_clicks_are_not_what_its_text_says(self, monkeypatch, world, method, most_exact):
        monkeypatch.setattr(module, "MOST_EXACT", most_exact)
        raw = fitted(world, collaborative=Collaborative(method))
        known = np.flatnonzero(np.isin(raw.young, raw.warm))
        assert len(known) > 5
        own = csr_array(raw.weights).toarray()[np.searchsorted(raw.warm, raw.young[known]), known]
        assert not own.any()

    def test_a_model_that_is_there_already_is_not_fitted_again(self, world):
        first = fitted(world)
        again = Raw.of(world.clicks, world.texts, Collaborative(l2=1.0), Content(), 0, first.model)
        assert again.model is first.model


class TestScores:
    @pytest.mark.parametrize("boost", [0.0, 2.0])
    @pytest.mark.parametrize("method", METHODS)
    def test_an_item_without_clicks_gets_the_clicks_and_the_boosted_scores_of_items_like_it(self, world, method, boost):
        """The scores of plain EASE, without its text prior, or those of ALS."""
        raw = fitted(world, collaborative=Collaborative(method, prior=2.0), boost=boost)
        rows = of_warm(world, raw, np.arange(5))
        by_clicks, by_text = raw.scores(rows)
        np.testing.assert_allclose(by_clicks, raw.model.scores(rows), atol=1e-6)
        plain = by_clicks
        if method == "exact":
            plain = PriorEASE.of(raw.model.ridge, raw.model.text, 0.0).scores(rows)
            assert not np.allclose(plain, by_clicks, atol=1e-2)
        np.testing.assert_allclose(by_text, (rows.toarray() + boost * plain) @ raw.weights, atol=1e-4)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_reach_is_what_the_weights_of_a_young_item_sum_to(self, world, method):
        raw = fitted(world, collaborative=Collaborative(method), most=0)
        expected = csr_array(raw.weights).toarray().sum(axis=0)
        assert raw.reach == pytest.approx(expected.mean(), rel=1e-4)
        nobody_young = fitted(world, np.ones(world.clicks.shape, dtype=np.float32), Collaborative(method), most=0)
        assert len(nobody_young.young) == 0
        assert nobody_young.reach == 1.0

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("n_users", [30, 200], ids=["fewer users than items", "more"])
    @pytest.mark.parametrize("most", [0, YOUNG, np.inf])
    def test_the_answers_written_out_are_the_exact_scores(self, make_world, method, n_users, most):
        world = make_world(n_users=n_users)
        raw = fitted(world, collaborative=Collaborative(method, l2=10.0), most=most)
        rng = np.random.default_rng(0)
        strangers = csr_array((rng.random((6, len(raw.warm))) < 0.1).astype(np.float32))
        for rows in (of_warm(world, raw, np.arange(10)), strangers, csr_array(0.5 * strangers)):
            found = raw.answers().scores(rows)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, np.hstack(raw.scores(rows)), atol=1e-4)

    @pytest.mark.parametrize("method", METHODS)
    def test_someone_new_with_the_history_of_a_known_user_gets_the_same_scores(self, world, method):
        raw = fitted(world, collaborative=Collaborative(method))
        answers, rows = raw.answers(), of_warm(world, raw, np.arange(60))
        alone = csr_array(rows.toarray()[[7]])
        np.testing.assert_allclose(answers.scores(alone)[0], answers.scores(rows)[7], atol=1e-5)

    @pytest.mark.parametrize("method", METHODS)
    def test_without_a_history_all_scores_are_zero(self, world, method):
        raw = fitted(world, collaborative=Collaborative(method))
        assert not raw.answers().scores(csr_array((1, len(raw.warm)), dtype=np.float32)).any()

    def test_the_exact_answers_are_linear_in_the_history(self, world):
        answers = fitted(world).answers()
        rows = np.random.default_rng(0).random((2, answers.weights.shape[0])).astype(np.float32)
        one, other, both = (answers.scores(csr_array(part)) for part in (rows[:1], rows[1:], rows.sum(axis=0)[None]))
        np.testing.assert_allclose(both, one + other, atol=1e-4)

    @pytest.mark.parametrize("method", METHODS)
    def test_clicks_of_half_a_weight_count_less(self, world, method):
        """Users who like kind 0 clicked two items of it alike, but one of them at half the weight."""
        clicks = world.clicks.toarray()
        clicks[:, :2] = 0.0
        clicks[world.likes == 0, :2] = 1.0, 0.5
        raw = fitted(world, clicks, Collaborative(method, prior=0.0))
        history = np.zeros((1, len(raw.warm)), dtype=np.float32)
        history[0, 2:8] = 1.0
        by_clicks = raw.scores(csr_array(history))[0][0]
        assert by_clicks[0] > 1.3 * by_clicks[1] > 0.0
