import json
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart._arrays import unit_rows
from coldstart.errors import SavedFolderError
from coldstart.packing import pack, unpack
from coldstart.rankers._ease import PriorEASE, Ridge, TextPrior
from coldstart.rankers._prior_als import PriorALS
from coldstart.rankers.hybrid import experts as module
from coldstart.rankers.hybrid import scorers as scorers_module
from coldstart.rankers.hybrid.config import HybridConfig
from coldstart.rankers.hybrid.experts import Collaborative, Experts, FactorFoldIn, FittedExperts, ItemFoldIn
from coldstart.rankers.hybrid.kernel import density, nearest, neighbour_weights
from coldstart.rankers.hybrid.scorers import BlockScorer, FactorScorer

CONFIG = HybridConfig()
METHODS = ("exact", "als")
EXACT, NEAREST = CONFIG, replace(CONFIG, most_kernel=3)
AVERAGED_LATER = replace(CONFIG, most_placed=3)
CLASSES = {
    cls.__name__: cls for cls in (Experts, BlockScorer, FactorScorer, FactorFoldIn, ItemFoldIn, PriorALS, HybridConfig)
}
both = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def world(make_world):
    return make_world(n_cold=10, per_kind=30)


def fitted(world, method="exact", config=CONFIG, by_text=None, clicks=None):
    by_text = np.flatnonzero(world.cold) if by_text is None else np.asarray(by_text)
    clicks = world.clicks if clicks is None else csr_array(clicks)
    return FittedExperts.fit(clicks, world.texts, by_text, Collaborative(method), config)


def averaging(vectors, others):
    return neighbour_weights(*nearest(vectors, others), len(vectors))


def compiled(*args, **kwargs):
    return fitted(*args, **kwargs).compiled()


def spread_out(experts, scores, n_items):
    """Scores by clicks and by text where the items are, nan where an item has none; of two columns the later one."""
    found = np.full((2, len(scores[0]), n_items), np.nan, dtype=np.float32)
    for at, (items, values) in enumerate(zip((experts.by_clicks, experts.by_text), scores, strict=True)):
        assert len(items) == values.shape[1]
        assert len(np.unique(items[items >= 0])) == (items >= 0).sum()
        found[at][:, items[items >= 0]] = values[:, items >= 0]
    return found


def placed(experts, history, n_items):
    return spread_out(experts, experts.scores(csr_array(history)), n_items)


def assert_same(found, expected, atol=1e-4):
    np.testing.assert_allclose(found, expected, atol=atol)


def by_kind(world, scores, items):
    """The kind of which items have the best mean score, for each user."""
    kinds = range(world.kinds.max() + 1)
    return np.stack([scores[:, world.kinds[items] == kind].mean(axis=1) for kind in kinds], axis=1).argmax(axis=1)


class TestLoaded:
    """What a folder holds may be of another catalogue, or damaged."""

    @both
    def test_experts_of_this_catalogue_pass(self, world, method):
        compiled(world, method).check_loaded(len(world.kinds))

    @pytest.mark.parametrize("name", ["warm", "by_text"])
    @pytest.mark.parametrize(
        "change",
        [lambda at: at[:-1], lambda at: at + 10_000, lambda at: at - 2 - at.max(), lambda at: at.astype(np.float64)],
    )
    def test_positions_that_are_none_are_named(self, world, name, change):
        experts = compiled(world)
        with pytest.raises(SavedFolderError, match=f"`{name}` of the saved experts must be .* positions below"):
            replace(experts, **{name: change(getattr(experts, name))}).check_loaded(len(world.kinds))


class TestFittedExperts:
    @both
    def test_items_of_the_kind_that_a_user_likes_score_best(self, world, method):
        experts = fitted(world, method)
        by_clicks, by_text = experts.scores(world.clicks)
        assert np.mean(by_kind(world, by_clicks, experts.warm) == world.likes) > 0.97
        assert np.mean(by_kind(world, by_text, experts.by_text) == world.likes) > 0.97
        assert {by_clicks.dtype, by_text.dtype} == {np.dtype(np.float32)}

    def test_scores_by_text_are_kernel_ridge_on_clicks_and_weighted_ease_scores(self, world):
        experts = fitted(world)
        liked, plain = (
            world.clicks[:, experts.warm],
            PriorEASE.of(
                Ridge.of(csr_array(world.clicks[:, experts.warm]), 100.0), TextPrior.of(experts.vectors, 10.0), 0.0
            ),
        )
        targets = liked.toarray() + 5.0 * plain.scores(csr_array(liked))
        ones, others = world.texts[experts.warm].astype(float), world.texts[world.cold].astype(float)
        kernel = np.exp(-2.0 * (1 - ones @ ones.T)) + 3.0 * np.eye(len(ones))
        expected = targets @ np.linalg.solve(kernel, np.exp(-2.0 * (1 - ones @ others.T)))
        assert_same(experts.scores(world.clicks)[1], expected, 1e-3)

    def test_scores_by_clicks_are_those_of_ease_with_a_text_prior(self, world):
        experts = fitted(world)
        np.testing.assert_array_equal(experts.warm, np.flatnonzero(world.clicks.sum(axis=0)))
        clicks, texts = csr_array(world.clicks[:, experts.warm]), world.texts[experts.warm]
        expected = PriorEASE.of(Ridge.of(clicks, 100.0), TextPrior.of(texts, CONFIG.text_prior_l2), 1.0)
        assert_same(experts.scores(world.clicks)[0], expected.scores(clicks), 1e-5)

    def test_compiling_takes_little_more_memory_than_the_weights_that_it_makes(self):
        """A shop of 20,000 items of which 300 have clicks: all the others have a column of weights."""
        rng = np.random.default_rng(0)
        vectors = unit_rows(rng.standard_normal((20_000, 16)).astype(np.float32))
        clicks = csr_array(((rng.random((100, 20_000)) < 0.2) & (np.arange(20_000) < 300)).astype(np.float32))
        experts = FittedExperts.fit(clicks, vectors, np.arange(300, 20_000), Collaborative("exact"), CONFIG)
        tracemalloc.start()
        columns = experts.compiled().content.blocks[0]
        assert tracemalloc.get_traced_memory()[1] < 1.6 * columns.nbytes
        tracemalloc.stop()

    @pytest.mark.parametrize("block", [1, 3, 1_000])
    def test_scores_do_not_depend_on_the_size_of_a_block(self, world, monkeypatch, block):
        whole = fitted(world).scores(world.clicks)[1]
        monkeypatch.setattr(module, "TEXT_BLOCK", block)
        assert_same(fitted(world).scores(world.clicks)[1], whole, 1e-5)
        assert_same(compiled(world).scores(world.clicks)[1], whole, 1e-3)

    @pytest.mark.parametrize(("method", "config"), [("exact", EXACT), ("exact", NEAREST), ("als", CONFIG)])
    def test_weights_of_a_clicked_item_leave_out_its_own_clicks(self, world, method, config):
        """Its weights are those of a fit that has all other items to learn from."""
        item = 2
        experts = fitted(world, method, config, by_text=[item])
        ((_, weights),) = experts._text_weights()
        weights = weights[:, 0]
        at = np.searchsorted(experts.warm, item)
        assert weights[at] == 0.0
        others = np.delete(np.arange(len(weights)), at)
        ones, one = experts.vectors[others].astype(float), experts.vectors[at].astype(float)
        if config is EXACT and method == "exact":
            expected = np.linalg.solve(
                np.exp(-2 * (1 - ones @ ones.T)) + 3 * np.eye(len(ones)), np.exp(2 * (ones @ one - 1))
            )
            np.testing.assert_allclose(weights[others], expected, atol=1e-4)
        assert weights[others].max() > 0.0

    def test_above_most_kernel_the_nearest_items_are_averaged(self, world):
        experts = fitted(world, config=NEAREST)
        assert experts.regression is None
        expected = averaging(experts.vectors, world.texts[world.cold])
        assert_same(experts.neighbours.toarray(), expected.toarray(), 1e-6)
        by_text = experts.scores(world.clicks)[1]
        assert np.mean(by_kind(world, by_text, experts.by_text) == world.likes) > 0.95

    @pytest.mark.parametrize(("method", "config"), [("exact", EXACT), ("exact", NEAREST), ("als", CONFIG)])
    def test_density_is_the_mean_cosine_to_the_nearest_warm_items(self, world, method, config):
        """Of items without clicks and with clicks, which are then among their nearest."""
        by_text = [0, 2, *np.flatnonzero(world.cold)]
        experts = fitted(world, method, config, by_text=by_text)
        cosines = np.sort(world.texts[by_text] @ world.texts[experts.warm].T, axis=1)[:, ::-1][:, :50]
        assert_same(experts.density, np.maximum(cosines, 0.0).mean(axis=1), 1e-6)
        assert experts.compiled().density is experts.density

    def test_a_fitted_collaborative_expert_is_used(self, world):
        clicks, warm = world.clicks, np.flatnonzero(world.clicks.sum(axis=0))
        model = Collaborative().fit(csr_array(clicks[:, warm]), world.texts[warm], CONFIG)
        by_text = np.flatnonzero(world.cold)
        found = FittedExperts.fit(clicks, world.texts, by_text, Collaborative(), CONFIG, model)
        assert found.model is model
        assert_same(found.scores(clicks)[1], fitted(world).scores(clicks)[1])

    @both
    def test_there_may_be_no_items_to_score_by_text(self, world, method):
        experts = fitted(world, method, by_text=np.zeros(0, dtype=np.int64))
        assert experts.scores(world.clicks)[1].shape == (90, 0)
        assert experts.compiled().scores(world.clicks)[1].shape == (90, 0)


class TestCollaborative:
    def test_the_inverse_and_the_text_prior_of_a_fit_before_are_used_again(self, world):
        warm = np.flatnonzero(world.clicks.sum(axis=0))
        clicks, texts = csr_array(world.clicks[:, warm]), world.texts[warm]
        first = Collaborative(l2=10.0).fit(clicks, texts, CONFIG)
        same, other = (Collaborative(l2=l2, text_prior=2.0).fit(clicks, texts, CONFIG, first) for l2 in (10.0, 30.0))
        assert same.ridge is first.ridge
        assert (other.ridge is first.ridge, other.ridge.l2) == (False, 30.0)
        assert same.text is other.text is first.text
        assert same.prior == other.prior == 2.0
        for found, l2 in ((same, 10.0), (other, 30.0)):
            alone = Collaborative(l2=l2, text_prior=2.0).fit(clicks, texts, CONFIG)
            assert_same(found.scores(clicks), alone.scores(clicks), 1e-6)

    def test_unobserved_is_a_multiple_of_the_weight_of_the_clicks(self, world):
        clicks = csr_array(world.clicks[:, ~world.cold])
        found = Collaborative("als", unobserved=20.0).fit(clicks, world.texts[~world.cold], CONFIG)
        assert found.unobserved * clicks.shape[0] * clicks.shape[1] == pytest.approx(20.0 * clicks.nnz)


class TestCompiled:
    @pytest.mark.parametrize("config", [EXACT, NEAREST], ids=["kernel", "neighbours"])
    @both
    def test_scores_equal_those_of_the_regressions(self, world, method, config):
        experts = fitted(world, method, config)
        for found, expected in zip(experts.compiled().scores(world.clicks), experts.scores(world.clicks), strict=True):
            assert found.dtype == np.float32
            assert_same(found, expected, 2e-4)

    def test_float16_scores_equal_those_of_the_regressions_to_three_digits(self, monkeypatch, world):
        monkeypatch.setattr(scorers_module, "MOST_FLOAT32", 3)
        experts = fitted(world)
        lighter = experts.compiled()
        parts = (lighter.collaborative, lighter.content, lighter.placing)
        assert {part.blocks[0].dtype for part in parts} == {np.dtype(np.float16)}
        for found, expected in zip(lighter.scores(world.clicks), experts.scores(world.clicks), strict=True):
            np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)

    def test_scores_do_not_depend_on_the_batch(self, world):
        experts = compiled(world)
        together = experts.scores(world.clicks)
        for user in (0, 7):
            for one, all_of_them in zip(experts.scores(csr_array(world.clicks[[user]])), together, strict=True):
                assert_same(one[0], all_of_them[user])

    @both
    def test_histories_of_items_without_clicks_at_the_fit_change_no_score(self, world, method):
        experts, more = compiled(world, method), world.clicks.toarray()
        more[:, np.flatnonzero(world.cold)[::2]] = 1.0
        for found, expected in zip(experts.scores(csr_array(more)), experts.scores(world.clicks), strict=True):
            assert_same(found, expected)

    @pytest.mark.parametrize(("shape", "clicked"), [((1, 1), 1), ((1, 2), 1), ((2, 1), 1), ((1, 3), 3), ((4, 3), 3)])
    @both
    def test_scores_of_the_smallest_data_are_finite(self, shape, clicked, method):
        clicks = np.zeros(shape, dtype=np.float32)
        clicks[:, :clicked] = 1.0
        vectors = np.eye(*[max(shape)] * 2, dtype=np.float32)[: shape[1]]
        vectors[-1] = 0.0  # without text
        rows = csr_array(clicks)
        experts = FittedExperts.fit(rows, vectors, np.arange(clicked, shape[1]), Collaborative(method), CONFIG)
        for found, expected in zip(experts.compiled().scores(rows), experts.scores(rows), strict=True):
            assert np.isfinite(found).all()
            assert_same(found, expected)


def drawn(seed, n_users, n_items=13, dim=5):
    """Clicks, some on every item, and texts of which one is empty."""
    rng = np.random.default_rng(seed)
    clicks = (rng.random((n_users, n_items)) < 0.3).astype(np.float32)
    clicks[rng.integers(0, n_users, n_items), np.arange(n_items)] = 1.0
    vectors = rng.standard_normal((n_items, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0.0
    return clicks, vectors.astype(np.float32)


class TestItemFoldIn:
    def model(self, clicks, vectors, l2=10.0, prior=1.0):
        return PriorEASE.of(Ridge.of(csr_array(clicks), l2), TextPrior.of(vectors, 2.0), prior)

    def weights(self, model):
        found = np.empty((len(model.diagonal),) * 2, dtype=np.float32)
        model.fill(found)
        return found

    def columns(self, model, clicks, new, vectors):
        scorer = BlockScorer((self.weights(model),))
        found = ItemFoldIn.of(model).columns(scorer, csr_array(clicks), csr_array(new), vectors)
        return found.blocks[0]

    @settings(deadline=None, max_examples=60)
    @given(
        st.integers(0, 2**32 - 1),
        st.sampled_from([40, 13, 6]),
        st.sampled_from([3.0, 10.0, 300.0]),
        st.sampled_from([0.0, 0.5, 1.0, 4.0]),
    )
    def test_a_column_equals_that_of_a_fit_with_the_item(self, seed, n_users, l2, prior):
        clicks, vectors = drawn(seed, n_users)
        model = self.model(clicks[:, :-1], vectors[:-1], l2, prior)
        found = self.columns(model, clicks[:, :-1], clicks[:, -1:], vectors[-1:])
        expected = self.weights(self.model(clicks, vectors, l2, prior))[:-1, -1:]
        np.testing.assert_allclose(found, expected, atol=1e-3)

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 2**32 - 1), st.sampled_from([40, 6]), st.sampled_from([0.0, 1.0, 4.0]))
    def test_columns_solve_the_equations_for_new_users(self, seed, n_users, prior):
        """b = P (X'x + r l2 C_new), with x the clicks of users of whom some were not there at the fit."""
        clicks, vectors = drawn(seed, n_users)
        later, texts = drawn(seed + 1, 9, 13 + 3)
        found = self.columns(self.model(clicks, vectors, 10.0, prior), later[:, :13], later[:, 13:], texts[:3])
        gram = vectors.T.astype(float) @ vectors + 2.0 * np.eye(5)
        c_new = vectors @ np.linalg.solve(gram, texts[:3].T.astype(float))
        left = clicks.T.astype(float) @ clicks + 10.0 * np.eye(13)
        expected = np.linalg.solve(left, later[:, :13].T @ later[:, 13:] + prior * 10.0 * c_new)
        np.testing.assert_allclose(found, expected, atol=1e-3)

    def test_without_common_clicks_a_column_is_that_of_the_text_prior(self):
        clicks, vectors = drawn(0, 40)
        model, alone = self.model(clicks, vectors), np.zeros((2, 13), dtype=np.float32)
        found = self.columns(model, alone, np.ones((2, 1), dtype=np.float32), vectors[:1])
        np.testing.assert_allclose(found[:, 0], 10.0 * model.reached @ vectors[0], atol=1e-5)

    def test_columns_have_the_dtype_of_the_weights(self):
        clicks, vectors = drawn(0, 40)
        model = self.model(clicks, vectors)
        half = BlockScorer((self.weights(model).astype(np.float16),))
        found = ItemFoldIn.of(model).columns(half, csr_array(clicks), csr_array(clicks[:, :2]), vectors[:2]).blocks[0]
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, self.columns(model, clicks, clicks[:, :2], vectors[:2]), atol=5e-3)


def test_factors_of_a_later_item_equal_those_of_als(world):
    experts = compiled(world, "als")
    als, rows = experts.collaborative.als, csr_array(world.clicks[:, experts.warm])
    new, texts = csr_array(world.clicks[:, [0, 4]]), world.texts[[0, 4]]
    found = experts.fold_in.columns(experts.collaborative, rows, new, texts)
    expected = als.fold_in(rows) @ als.fold_in_items(csr_array(new.T), als.fold_in(rows), texts).T
    assert_same(found.scores(rows), expected, 1e-5)


@pytest.mark.parametrize("most_float32", [4_096, 3], ids=["four bytes", "two bytes"])
def test_placing_maps_kernels_to_columns_of_the_content_expert(monkeypatch, world, most_float32):
    """``placing`` (n_warm, n_warm): the weights of likes for each unit of kernel, as rows."""
    monkeypatch.setattr(scorers_module, "MOST_FLOAT32", most_float32)
    raw = fitted(world)
    found, (block,) = raw.compiled(), raw.compiled().placing.blocks
    kernels = np.exp(-2.0 * (1 - world.texts[world.cold].astype(float) @ world.texts[raw.warm].T))
    expected = found.placing.dense_scores(kernels.astype(np.float32)).T
    tolerance = {"atol": 1e-4} if most_float32 > 3 else {"rtol": 1e-2, "atol": 1e-2}
    np.testing.assert_allclose(raw.compiled().content.blocks[0], expected, **tolerance)
    assert block.flags.c_contiguous
    assert np.abs(block.astype(float) - block.T).max() > 1e-3  # which way round it lies matters


class TestWithItems:
    @both
    def test_a_permutation_of_the_items_permutes_the_scores(self, world, method):
        experts, order = compiled(world, method), np.random.default_rng(0).permutation(world.n_items)
        moved = experts.with_items(np.argsort(order), np.zeros(0, np.int64), world.texts[:0])
        found = placed(moved, world.clicks[:, order], world.n_items)
        assert_same(found, placed(experts, world.clicks, world.n_items)[:, :, order])

    @both
    def test_clicks_on_removed_items_count_0_and_those_on_the_first_item_do_not(self, world, method):
        """Removed items look up column 0, which is the first item's."""
        experts, gone = compiled(world, method), [2, 5, int(np.flatnonzero(world.cold)[0])]
        stay = np.delete(np.arange(world.n_items), gone)
        place = np.full(world.n_items, -1)
        place[stay] = np.arange(len(stay))
        moved = experts.with_items(place, np.zeros(0, np.int64), world.texts[:0])
        history = np.stack([world.only(0, 2, 3), world.only(3, 5), world.only(2)])
        without = history.copy()
        without[:, gone] = 0.0
        found = placed(moved, history[:, stay], len(stay))
        assert_same(found, placed(experts, without, world.n_items)[:, :, stay])
        assert (moved.warm < 0).sum() == 2
        assert (moved.by_text < 0).sum() == 1

    def test_a_removed_item_stays_removed_through_later_changes(self, world):
        experts, place = compiled(world), np.arange(world.n_items) - 1
        once = experts.with_items(place, np.zeros(0, np.int64), world.texts[:0])
        again = once.with_items(np.arange(world.n_items - 1), np.zeros(0, np.int64), world.texts[:0])
        np.testing.assert_array_equal(again.warm, once.warm)
        assert once.warm[0] == -1

    @pytest.mark.parametrize(
        ("method", "config"),
        [("exact", EXACT), ("exact", AVERAGED_LATER), ("exact", NEAREST), ("als", CONFIG)],
        ids=["kernel", "too many to place by the kernel", "neighbours", "factors"],
    )
    def test_a_new_item_has_the_scores_of_a_fit_with_it(self, world, method, config):
        late = np.flatnonzero(world.cold)[[0, 12]]
        early = np.setdiff1d(np.flatnonzero(world.cold), late)
        experts = compiled(world, method, config, by_text=early)
        grown = experts.with_items(np.arange(world.n_items), late, world.texts[late])
        found = placed(grown, world.clicks, world.n_items)
        if config is AVERAGED_LATER:
            config = NEAREST
            liked = world.clicks[:, experts.warm].toarray()
            targets = liked + 5.0 * experts.scores(world.clicks)[0]
            expected = targets @ averaging(experts.vectors, world.texts[late]).toarray()
            assert_same(found[1][:, late], expected, 2e-4)
        elif config is NEAREST:
            assert (
                np.corrcoef(
                    found[1][:, late].ravel(),
                    placed(compiled(world, method, config), world.clicks, world.n_items)[1][:, late].ravel(),
                )[0, 1]
                > 0.95
            )
        else:
            fresh = placed(compiled(world, method, config), world.clicks, world.n_items)
            assert_same(found[1][:, late], fresh[1][:, late], 5e-4)
        assert_same(found[1][:, early], placed(experts, world.clicks, world.n_items)[1][:, early], 1e-5)

    def test_float16_scores_of_new_items_are_right_to_two_digits(self, monkeypatch, world):
        late = np.flatnonzero(world.cold)
        early, expected = late[:1], compiled(world)
        expected = placed(expected, world.clicks, world.n_items)[1][:, late[1:]]
        monkeypatch.setattr(scorers_module, "MOST_FLOAT32", 3)
        experts = compiled(world, by_text=early)
        for some in (late[1:], late[1:2]):  # more and less than are widened
            grown = experts.with_items(np.arange(world.n_items), some, world.texts[some])
            assert {block.dtype for block in grown.content.blocks} == {np.dtype(np.float16)}
            found = placed(grown, world.clicks, world.n_items)[1][:, some]
            np.testing.assert_allclose(found, expected[:, : len(some)], rtol=1e-2, atol=1e-2)

    @both
    def test_densities_belong_to_their_columns(self, world, method):
        experts, late = compiled(world, method), np.flatnonzero(world.cold)[[0, 12]]
        grown = experts.with_items(np.arange(world.n_items), late, world.texts[[0, 1]])
        assert len(grown.density) == len(grown.by_text) == grown.content.n_columns
        np.testing.assert_array_equal(grown.density[: len(experts.density)], experts.density)
        expected = density(nearest(experts.vectors, world.texts[[0, 1]])[1])
        assert_same(grown.density[len(experts.density) :], expected, 1e-6)
        gone = grown.with_items(np.arange(world.n_items) - 1, late[:0], world.texts[:0])
        assert gone.density is grown.density

    @both
    def test_an_edited_item_is_scored_by_its_new_text(self, world, method):
        experts = compiled(world, method)
        item, other = (np.flatnonzero(world.cold & (world.kinds == kind))[0] for kind in (2, 0))
        moved = experts.with_items(np.arange(world.n_items), np.array([item]), world.texts[[other]])
        found = placed(moved, world.clicks, world.n_items)[1]
        assert (moved.by_text == item).sum() == 1
        assert_same(found[:, item], found[:, other], 1e-3)

    @both
    def test_one_change_equals_two_in_a_row(self, world, method):
        experts, rng = compiled(world, method), np.random.default_rng(0)
        n, text = world.n_items, world.texts[:1] + 0
        first = rng.permutation(n)  # where each item goes; the new one comes last
        second = rng.permutation(n + 1)
        second[[3, 4]] = -1
        once = experts.with_items(second[first], second[[n]], text)
        twice = experts.with_items(first, np.array([n]), text).with_items(second, np.zeros(0, np.int64), text[:0])
        history = (rng.random((5, n + 1)) < 0.1).astype(np.float32)
        assert_same(placed(once, history, n + 1), placed(twice, history, n + 1))

    @both
    def test_changes_leave_the_experts_as_they_were(self, world, method):
        experts = compiled(world, method)
        before = pickle.dumps(experts)
        grown = experts.with_items(np.arange(world.n_items) - 1, np.array([world.n_items - 1]), world.texts[:1])
        grown.with_first_clicks(np.array([world.n_items - 1]), world.clicks, world.texts[:1])
        assert pickle.dumps(experts) == before


class TestWithFirstClicks:
    @pytest.fixture
    def later(self, world):
        """Clicks that came after the fit, on two items without clicks, one of kind 0 and one of kind 1."""
        clicks = world.clicks.toarray()
        items = np.array([np.flatnonzero(world.cold & (world.kinds == kind))[0] for kind in (0, 1)])
        for kind, item in enumerate(items):
            clicks[world.likes == kind, item] = np.arange((world.likes == kind).sum()) % 2
        return items, clicks

    @both
    def test_an_item_gets_a_score_by_clicks_beside_that_by_text(self, world, method, later):
        items, clicks = later
        experts = compiled(world, method)
        folded = experts.with_first_clicks(items, csr_array(clicks), world.texts[items])
        found, before = (placed(one, world.clicks, world.n_items) for one in (folded, experts))
        np.testing.assert_array_equal(folded.by_clicks, np.append(experts.warm, items))
        for kind, item in enumerate(items):
            scores, likes = found[0][:, item], world.likes == kind
            assert scores[likes].mean() > 2 * scores[~likes].mean()
        found[0][:, items] = np.nan
        assert_same(found, before, 1e-6)

    def test_the_score_equals_that_of_a_fit_with_the_clicks(self, world, later):
        items, clicks = later
        folded = compiled(world).with_first_clicks(items[:1], csr_array(clicks), world.texts[items[:1]])
        clicks[:, items[1]] = 0.0
        fresh = compiled(world, clicks=clicks)
        expected = placed(fresh, world.clicks, world.n_items)[0][:, items[0]]
        assert_same(placed(folded, world.clicks, world.n_items)[0][:, items[0]], expected, 2e-4)

    @both
    def test_more_clicks_replace_the_column_of_fewer(self, world, method, later):
        items, clicks = later
        few = clicks.copy()
        few[np.flatnonzero(few[:, items[0]])[2:], items[0]] = 0.0
        experts, texts = compiled(world, method), world.texts[items]
        once = experts.with_first_clicks(items, csr_array(clicks), texts)
        twice = experts.with_first_clicks(items, csr_array(few), texts).with_first_clicks(
            items[:1], csr_array(clicks), texts[:1]
        )
        assert (twice.clicked == items[0]).sum() == 1
        assert_same(placed(twice, world.clicks, world.n_items), placed(once, world.clicks, world.n_items))

    @both
    def test_click_weights_above_1_count_as_1(self, world, method, later):
        items, clicks = later
        experts, texts = compiled(world, method), world.texts[items]
        once, often = (experts.with_first_clicks(items, csr_array(times * clicks), texts) for times in (1.0, 3.0))
        assert_same(placed(often, world.clicks, world.n_items), placed(once, world.clicks, world.n_items), 1e-6)

    @both
    def test_users_without_clicks_on_the_items_change_nothing(self, world, method, later):
        items, clicks = later
        experts, texts = compiled(world, method), world.texts[items]
        theirs = clicks[clicks[:, items].any(axis=1)]
        alone, beside = (experts.with_first_clicks(items, csr_array(rows), texts) for rows in (theirs, clicks))
        assert_same(placed(alone, world.clicks, world.n_items), placed(beside, world.clicks, world.n_items), 1e-5)

    @both
    def test_no_items_change_nothing(self, world, method):
        experts = compiled(world, method)
        none = experts.with_first_clicks(np.zeros(0, np.int64), world.clicks, world.texts[:0])
        assert_same(placed(none, world.clicks, world.n_items), placed(experts, world.clicks, world.n_items), 0)

    @both
    def test_columns_by_clicks_move_with_their_items(self, world, method, later):
        items, clicks = later
        folded = compiled(world, method).with_first_clicks(items, csr_array(clicks), world.texts[items])
        stay = np.delete(np.arange(world.n_items), [2, items[1]])
        place = np.full(world.n_items, -1)
        place[stay] = np.arange(len(stay))
        moved = folded.with_items(place, np.zeros(0, np.int64), world.texts[:0])
        assert moved.clicked.tolist() == [place[items[0]], -1]
        history = world.only(0, 3, 4)[None]
        expected = placed(folded, history, world.n_items)[:, :, stay]
        assert_same(placed(moved, history[:, stay], len(stay)), expected)
        again = moved.with_first_clicks(place[items[:1]], csr_array(clicks[:, stay]), world.texts[items[:1]])
        assert (again.clicked >= 0).sum() == 1


class TestSaved:
    def everything(self, world, method):
        """Experts with a later item and clicks on another."""
        n, item = world.n_items, np.flatnonzero(world.cold)[:1]
        clicks = world.clicks.toarray()
        clicks[::3, item] = 1.0
        grown = compiled(world, method).with_items(np.arange(n), np.array([n]), world.texts[:1])
        wide = csr_array(np.hstack([clicks, np.zeros((90, 1), dtype=np.float32)]))
        return grown.with_first_clicks(item, wide, world.texts[item]), wide

    @pytest.mark.parametrize("most_float32", [4_096, 3])
    @both
    def test_unpacked_experts_give_the_same_bytes(self, monkeypatch, world, method, most_float32):
        monkeypatch.setattr(scorers_module, "MOST_FLOAT32", most_float32)
        experts, rows = self.everything(world, method)
        tensors = {}
        packed = json.loads(json.dumps(pack(experts, tensors, "experts")))
        again = unpack(packed, tensors, CLASSES)
        for found, expected in zip(again.scores(rows), experts.scores(rows), strict=True):
            assert found.tobytes() == expected.tobytes()
        grown = again.with_items(np.arange(world.n_items + 1), np.array([world.n_items + 1]), world.texts[:1])
        assert grown.content.n_columns == experts.content.n_columns + 1

    @both
    def test_unpickled_experts_give_the_same_bytes(self, world, method):
        experts, rows = self.everything(world, method)
        expected = experts.scores(rows)
        for found, same in zip(pickle.loads(pickle.dumps(experts)).scores(rows), expected, strict=True):
            assert found.tobytes() == same.tobytes()

    @both
    def test_saved_arrays_have_no_row_for_users(self, world, method):
        """Weights between items are saved, and no clicks of users."""
        experts, _ = self.everything(world, method)
        tensors = {}
        pack(experts, tensors, "experts")
        assert all(90 not in array.shape for array in tensors.values())
