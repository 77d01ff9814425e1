import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.errors import InvalidInputError
from coldstart.packing import pack, unpack
from coldstart.rankers._prior_als import PriorALS
from coldstart.rankers.hybrid import scorers as module
from coldstart.rankers.hybrid.kernel import nearest, neighbour_weights
from coldstart.rankers.hybrid.scorers import FEW_ROWS, BlockScorer, FactorScorer, dense_scorer, weight_type

N = 30
CLASSES = {"BlockScorer": BlockScorer, "FactorScorer": FactorScorer, "PriorALS": PriorALS}
FORMS = ("float32", "float16", "factors")


def drawn(shape=(N, 12), seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def histories(n_items=N, n_users=6, seed=1):
    return csr_array((np.random.default_rng(seed).random((n_users, n_items)) < 0.3).astype(np.float32))


def scorer(form, n_columns=N, seed=0):
    """A scorer of either form."""
    if form != "factors":
        return BlockScorer((drawn((N, n_columns), seed).astype(form),))
    als = PriorALS.of(histories(n_users=40), drawn((N, 5)), factors=4)
    likes = csr_array(drawn((N, n_columns), seed) * (drawn((N, n_columns), seed + 1) > 1.0))
    return FactorScorer(als, drawn((4, n_columns), seed), likes)


def averaging(vectors, others):
    """Weights of the five nearest."""
    return neighbour_weights(*nearest(vectors, others, 5), len(vectors))


def saved(scorer):
    """Packed, through JSON, and unpacked; and what was written of the numbers."""
    tensors = {}
    packed = json.loads(json.dumps(pack(scorer, tensors, "scorer")))
    return unpack(packed, tensors, CLASSES), tensors


class TestBlockScorer:
    def test_scores_are_the_product_of_history_and_weights(self):
        found = BlockScorer((drawn(),)).scores(histories())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, histories().toarray() @ drawn(), atol=1e-5)

    @pytest.mark.parametrize(("most", "kind"), [(N, np.float32), (N - 1, np.float16)])
    def test_weights_with_many_rows_are_float16(self, monkeypatch, most, kind):
        monkeypatch.setattr(module, "MOST_FLOAT32", most)
        (block,) = dense_scorer(drawn()).blocks
        assert block.dtype == kind
        np.testing.assert_array_equal(block, drawn().astype(kind))

    def test_float16_scores_are_right_to_two_digits(self):
        found = BlockScorer((drawn().astype(np.float16),)).scores(histories())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, histories().toarray() @ drawn(), rtol=2e-3, atol=2e-2)

    def test_float16_weights_of_other_items_are_refused(self):
        with pytest.raises(InvalidInputError, match=f"`history` must have {N - 1} columns; got {N}"):
            BlockScorer((drawn()[:-1].astype(np.float16),)).scores(histories())

    def test_float16_weights_are_summed_in_float32(self):
        """A thousand likes of 1 and one of 2,048, beside which two bytes do not know a 1."""
        weights = np.ones((1_001, 2), dtype=np.float16)
        weights[0] = 2_048
        found = BlockScorer((weights,)).scores(csr_array(np.ones((1, 1_001), dtype=np.float32)))
        np.testing.assert_allclose(found, 3_048, atol=2)

    def test_read_only_weights_are_not_copied(self):
        weights = drawn().astype(np.float16)
        expected = BlockScorer((weights.copy(),)).scores(histories())
        weights.flags.writeable = False
        found = BlockScorer((weights,))
        assert found.scores(histories()).tobytes() == expected.tobytes()
        assert np.shares_memory(found._tensors[0].numpy(), weights)

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    def test_an_empty_history_has_scores_of_0(self, kind):
        history = csr_array(np.eye(3, N, dtype=np.float32) * [[1], [0], [0]])
        history.eliminate_zeros()
        found = BlockScorer((drawn().astype(kind),)).scores(history)
        np.testing.assert_allclose(found[0], drawn()[0], atol=2e-3)
        assert not found[1:].any()

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.integers(0, 6), min_size=1, max_size=25), st.booleans())
    def test_each_block_is_at_least_twice_as_wide_as_the_next_and_columns_keep_their_order(self, widths, half):
        parts = [np.full((3, width), at, dtype=np.float32) for at, width in enumerate(widths)]
        grown = BlockScorer((parts[0].astype(np.float16 if half else np.float32),))
        for part in parts[1:]:
            grown = grown.with_columns(BlockScorer((part,)))
        of_blocks = [block.shape[1] for block in grown.blocks]
        assert all(left >= 2 * right for left, right in zip(of_blocks, of_blocks[1:], strict=False))
        assert grown.n_columns == sum(widths)
        np.testing.assert_array_equal(np.hstack(grown.blocks), np.hstack(parts))
        assert {block.dtype for block in grown.blocks} == {np.dtype(np.float16 if half else np.float32)}

    def test_the_first_block_is_not_copied_for_a_few_columns(self):
        first = drawn((3, 1_000))
        grown = BlockScorer((first,))
        for _ in range(300):
            grown = grown.with_columns(BlockScorer((drawn((3, 1)),)))
            assert grown.blocks[0] is first
            assert len(grown.blocks) < 12

    def test_a_column_is_copied_a_logarithmic_number_of_times(self, monkeypatch):
        copied = []

        def counted(parts):
            copied.append(sum(part.shape[1] for part in parts))
            return np.concatenate(parts, axis=1)

        monkeypatch.setattr(module.np, "hstack", counted)
        grown = BlockScorer((drawn((1, 1)),))
        for _ in range(1_023):
            grown = grown.with_columns(BlockScorer((drawn((1, 1)),)))
        assert sum(copied) <= 1_024 * 2 * np.log2(1_024)

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    @pytest.mark.parametrize("n_rows", [0, 1, N // FEW_ROWS, N // FEW_ROWS + 1, N])
    def test_times_is_the_product_with_the_first_block_for_few_and_many_rows(self, kind, n_rows):
        some = np.isin(np.arange(N), np.random.default_rng(0).permutation(N)[:n_rows])
        columns = csr_array(drawn((N, 4)) * some[:, None])
        weights = drawn((N, N)).astype(kind)
        found = BlockScorer((weights, drawn((N, 2)).astype(kind))).times(columns)
        assert (found.shape, found.dtype) == ((N, 4), np.float32)
        np.testing.assert_allclose(found, weights.astype(float) @ columns.toarray(), atol=1e-5)

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    @pytest.mark.parametrize("n_rows", [3, 300])
    def test_times_is_the_product_for_more_rows_than_one_block(self, kind, n_rows):
        n = 300
        columns = csr_array(drawn((n, 2)) * (np.arange(n)[:, None] >= n - n_rows))
        weights = drawn((n, n)).astype(kind)
        found = BlockScorer((weights,)).times(columns)
        np.testing.assert_allclose(found, weights.astype(float) @ columns.toarray(), atol=1e-4)

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    @pytest.mark.parametrize("n_rows", [0, 1, FEW_ROWS, FEW_ROWS + 1, 40])
    @pytest.mark.parametrize("n", [N, 1_100])  # one part of the weights, and more than one
    def test_dense_scores_are_the_product_with_the_first_block(self, kind, n_rows, n):
        weights, rows = drawn((n, 5)).astype(kind), drawn((n_rows, n), 1) / np.float32(np.sqrt(n))
        before = rows.copy()
        found = BlockScorer((weights, drawn((n, 2)).astype(kind))).dense_scores(rows)
        assert (found.shape, found.dtype) == ((n_rows, 5), np.float32)
        few_of_two_bytes = kind is np.float16 and n_rows <= FEW_ROWS  # the rows are rounded to two bytes, too
        atol = 4e-3 if few_of_two_bytes else 1e-5
        np.testing.assert_allclose(found, rows.astype(float) @ weights.astype(float), atol=atol)
        np.testing.assert_array_equal(rows, before)

    def test_few_dense_rows_do_not_convert_float16_weights(self, monkeypatch):
        """Each is read as a history is; above, the weights are widened once for all."""
        asked = []
        bags = module._half_product
        monkeypatch.setattr(
            module, "_half_product", lambda rows, table: asked.append(rows.shape[0]) or bags(rows, table)
        )
        for kind in (np.float32, np.float16):
            for n_rows in (FEW_ROWS, FEW_ROWS + 1):
                BlockScorer((drawn().astype(kind),)).dense_scores(drawn((n_rows, N)))
        assert asked == [FEW_ROWS]

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    def test_saved_weights_keep_their_dtype(self, kind):
        grown = BlockScorer((drawn().astype(kind),)).with_columns(BlockScorer((drawn((N, 2)),)))
        again, tensors = saved(grown)
        assert {part.dtype for part in tensors.values()} == {np.dtype(kind)}
        assert again.scores(histories()).tobytes() == grown.scores(histories()).tobytes()


class TestFactorScorer:
    def test_scores_are_the_sum_of_both_products(self):
        found, rows = scorer("factors", 12), histories()
        expected = found.als.fold_in(rows) @ found.factors + rows.toarray() @ found.weights.toarray()
        np.testing.assert_allclose(found.scores(rows), expected, atol=1e-5)

    def test_without_sparse_weights_scores_are_those_of_als(self):
        als = scorer("factors").als
        found = FactorScorer(als, als.items.T, csr_array((N, N), dtype=np.float32)).scores(histories())
        np.testing.assert_allclose(found, als.scores(histories()), atol=1e-6)
        assert found.dtype == np.float32

    def test_a_saved_scorer_gives_the_same_bytes(self):
        found = scorer("factors", 12)
        assert saved(found)[0].scores(histories()).tobytes() == found.scores(histories()).tobytes()


@pytest.mark.parametrize("form", FORMS)
class TestEitherForm:
    WEIGHT = 2.0

    def test_new_columns_come_last(self, form):
        one, other, rows = scorer(form), scorer(form, 3, seed=5), histories()
        grown = one.with_columns(other)
        assert grown.n_columns == N + 3
        np.testing.assert_allclose(grown.scores(rows), np.hstack([one.scores(rows), other.scores(rows)]), atol=1e-5)

    def test_no_new_columns_change_nothing(self, form):
        one, rows = scorer(form), histories()
        np.testing.assert_allclose(one.with_columns(scorer(form, 0)).scores(rows), one.scores(rows), atol=1e-6)

    def test_with_columns_leaves_the_scorer_as_it_was(self, form):
        one, rows = scorer(form), histories()
        before = one.scores(rows)
        one.with_columns(scorer(form, 40, seed=5))
        assert one.n_columns == N
        np.testing.assert_array_equal(one.scores(rows), before)

    def test_averaged_columns_are_mean_clicks_and_weighted_mean_scores(self, form):
        one, rows = scorer(form), histories()
        texts = drawn((N, 5))
        near = averaging(texts, texts[:3] + 0.1)
        found = one.averaged(near, self.WEIGHT)
        assert found.n_columns == 3
        targets = rows.toarray() + self.WEIGHT * (
            one.scores(rows) - (rows @ one.weights).toarray() if form == "factors" else one.scores(rows)
        )
        atol = 0.02 if form == "float16" else 1e-4
        np.testing.assert_allclose(found.scores(rows), targets @ near.toarray(), atol=atol, rtol=2e-3)
        assert found.scores(rows).dtype == np.float32

    def test_averaged_columns_can_be_added_and_saved(self, form):
        one, rows, texts = scorer(form), histories(), drawn((N, 5))
        near = one.averaged(averaging(texts, texts[:3]), self.WEIGHT)
        grown = one.with_columns(near).with_columns(near)
        np.testing.assert_allclose(grown.scores(rows)[:, N:], np.tile(near.scores(rows), 2), atol=1e-5)
        assert saved(grown)[0].scores(rows).tobytes() == grown.scores(rows).tobytes()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4_096, 10), np.float32), ((4_097, 10), np.float16), ((10, 10**7), np.float32), ((11, 10**7), np.float16)],
)
def test_large_weights_are_float16(shape, expected):
    assert weight_type(*shape) == expected
