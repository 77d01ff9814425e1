import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from coldstart.base import Features, Users
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.errors import NotFittedError
from coldstart.packing import pack, unpack
from coldstart.rankers.cosine import PRIOR_ROWS, CosineRanker
from coldstart.rankers.hybrid.item_space import DIM, CatalogItems, ItemSpace

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
def test_dot_products_are_weighted_means_of_the_cosines_of_meaning_and_words(seed, words):
    given = features(seed=seed)
    found = ItemSpace(words).fit(given).item_vectors(given)
    dense, lexical = CosineRanker().fit(given).item_vectors(given), words_of(given)
    both = np.flatnonzero(lexical.any(axis=1))
    expected = (1 - words) * dense @ dense.T + words * lexical @ lexical.T
    np.testing.assert_allclose((found @ found.T)[np.ix_(both, both)], expected[np.ix_(both, both)], atol=1e-5)


@pytest.mark.parametrize("words", [0.0, 0.3, 0.7, 1.0])
def test_vectors_have_length_one_or_zero_without_text(words):
    given = features()
    given.dense[[2, 4]] = 0.0
    found = ItemSpace(words).fit(given).item_vectors(given)
    assert found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=1)
    empty = {0.0: [2, 4], 1.0: [4, 5]}.get(words, [4])  # the words of the sixth are its own
    expected = np.where(np.isin(np.arange(7), empty), 0.0, 1.0)
    np.testing.assert_allclose(lengths, expected, atol=1e-6)


def test_items_without_words_are_placed_by_meaning_and_items_without_meaning_by_words():
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
def test_without_words_vectors_are_those_of_the_cosine_ranker(words, given):
    space = ItemSpace(words).fit(given)
    np.testing.assert_array_equal(space.item_vectors(given), CosineRanker().fit(given).item_vectors(given))
    assert space.reads_words == (words == 0.0)


def test_words_of_a_single_text_do_not_count():
    one = features()
    other = features([text.replace("unheard", "") for text in TEXTS])
    found, expected = (ItemSpace(0.5).fit(given).item_vectors(given) for given in (one, other))
    alike = np.delete(np.arange(7), [4, 5])
    # the weights of words go by the number of texts, which is the same
    np.testing.assert_allclose(*((rows @ rows.T)[np.ix_(alike, alike)] for rows in (found, expected)), atol=0.05)


def test_many_words_are_reduced_to_orthonormal_directions():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{at}" for at in range(300)])
    texts = [" ".join(rng.choice(vocabulary, 12)) for _ in range(200)]
    given = features(texts)
    space = ItemSpace(1.0).fit(given)
    assert space.directions_.shape == (len(space.terms_), DIM)
    np.testing.assert_allclose(space.directions_.T @ space.directions_, np.eye(DIM), atol=1e-4)
    assert np.array_equal(space.item_vectors(given), ItemSpace(1.0).fit(given).item_vectors(given))


def test_vectors_of_some_items_equal_those_of_all():
    given = features()
    space = ItemSpace(0.4).fit(given)
    np.testing.assert_allclose(space.item_vectors(given[[6, 1]]), space.item_vectors(given)[[6, 1]], atol=1e-6)


def test_with_words_returns_a_copy():
    given = features()
    space = ItemSpace(0.3).fit(given)
    before, other = space.item_vectors(given), space.with_words(0.9)
    assert (space.words, other.words) == (0.3, 0.9)
    np.testing.assert_array_equal(space.item_vectors(given), before)
    np.testing.assert_array_equal(other.item_vectors(given), ItemSpace(0.9).fit(given).item_vectors(given))


@pytest.mark.parametrize("given", [features(), Features(features().dense)], ids=["words", "none"])
def test_a_saved_space_gives_the_same_bytes(given):
    tensors, space = {}, ItemSpace(0.3).fit(given)
    packed = json.loads(json.dumps(pack(space, tensors, "space")))
    again = unpack(packed, tensors, {"ItemSpace": ItemSpace, "CosineRanker": CosineRanker})
    assert again.item_vectors(given).tobytes() == space.item_vectors(given).tobytes()


def test_vectors_of_one_item_and_of_equal_items_are_finite():
    for few in (features(["moon"]), features(["moon moon"] * 3)):
        found = ItemSpace(0.3).fit(few).item_vectors(few)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["item_vectors", "tastes"])
def test_vectors_need_a_fit(method):
    with pytest.raises(NotFittedError, match="ItemSpace must be fitted"):
        getattr(ItemSpace(), method)(features())


@pytest.mark.parametrize("words", [0.0, 0.3, 1.0])
def test_tastes_ignore_words_at_any_weight(words):
    given = features()
    space = ItemSpace(words).fit(given)
    np.testing.assert_array_equal(space.tastes(given), CosineRanker().fit(given).item_vectors(given))
    np.testing.assert_array_equal(space.with_words(0.9).tastes(given), space.tastes(given))


def test_tastes_of_some_items_equal_those_of_all():
    given = features()
    space = ItemSpace().fit(given)
    later = Features(given.dense[[3, 1]])  # whatever their words
    np.testing.assert_allclose(space.tastes(later), space.tastes(given)[[3, 1]], atol=1e-6)


WORDS = ["sun", "moon", "star", "rose", "lily", "beat", "song"]


class CountingSpace(ItemSpace):
    """Notes how many item vectors each call computes."""

    def __init__(self, words=0.3):
        super().__init__(words)
        self.vector_rows, self.taste_rows = [], []

    def item_vectors(self, features):
        self.vector_rows.append(len(features))
        return super().item_vectors(features)

    def tastes(self, features):
        self.taste_rows.append(len(features))
        return super().tastes(features)


def texts(rng, n):
    return [" ".join(rng.choice(WORDS, 3)) for _ in range(n)]


@pytest.fixture(scope="module")
def encoder():
    return LexicalEncoder().fit(texts(np.random.default_rng(0), 40))


def random_features(encoder, n, seed=0, words=True):
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((n, 5)).astype(np.float32)
    return Features(dense, encoder.encode(texts(rng, n)) if words else None)


def joined(*parts):
    return Features(
        np.vstack([part.dense for part in parts]),
        None if parts[0].sparse is None else csr_array(np.vstack([part.sparse.toarray() for part in parts])),
    )


def edited(features, at, other):
    """The same items, those at ``at`` with texts of others; the first by meaning alone, the last by words alone."""
    dense, sparse = features.dense.copy(), features.sparse
    dense[at[:-1]] = other.dense[at[:-1]]
    if sparse is not None:
        rows = sparse.toarray()
        rows[at[1:]] = other.sparse.toarray()[at[1:]]
        sparse = csr_array(rows)
    return Features(dense, sparse)


@pytest.fixture(params=[True, False], ids=["words", "no words"])
def catalog(request, encoder):
    return random_features(encoder, 20, words=request.param)


@pytest.fixture
def space(catalog):
    space = CountingSpace().fit(catalog)
    space.vector_rows.clear(), space.taste_rows.clear()
    return space


def query(dim=5):
    silent = csr_array((2, 1), dtype=np.float32)
    rows = np.random.default_rng(9).standard_normal((2, dim)).astype(np.float32)
    return Users(silent, silent, Features(rows), Features(np.zeros_like(rows)))


def check_equal(items, space, features):
    """The vectors are those of a catalogue that was never changed."""
    anew = CatalogItems(space, features)
    found, expected = items.placed, anew.placed
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
    np.testing.assert_allclose(found.tastes, expected.tastes, atol=1e-6)
    one, other = (each.query_scorer.score(query()) for each in (items, anew))
    np.testing.assert_allclose(one.meaning, other.meaning, atol=1e-5)
    np.testing.assert_allclose(one.words, other.words, atol=1e-5)


class TestCatalogItems:
    def test_vectors_are_those_of_the_space(self, space, catalog):
        placed = CatalogItems(space, catalog).placed
        np.testing.assert_array_equal(placed.vectors, space.item_vectors(catalog))
        np.testing.assert_array_equal(placed.tastes, space.tastes(catalog))

    def test_vectors_are_computed_once_and_only_when_needed(self, space, catalog):
        items = CatalogItems(space, catalog)
        assert (space.vector_rows, space.taste_rows) == ([], [])
        assert items.placed is items.placed
        assert (space.vector_rows, space.taste_rows) == ([20], [20])


class TestRefreshedItems:
    ALL = np.arange(20)

    @pytest.fixture(params=[True, False], ids=["computed before", "not computed"])
    def items(self, request, space, catalog):
        items = CatalogItems(space, catalog)
        if request.param:
            items.placed  # noqa: B018
        space.vector_rows.clear(), space.taste_rows.clear()
        return items

    def more(self, encoder, catalog, n, seed=1):
        return random_features(encoder, n, seed, catalog.sparse is not None)

    def test_clicks_alone_keep_all_vectors(self, items, space, catalog):
        aged = replace(catalog, exposure=np.linspace(0, 1, 20).astype(np.float32))
        moved, changed = items.refreshed(aged, self.ALL)
        assert moved.features is aged
        assert not len(changed)
        assert (space.vector_rows, space.taste_rows) == ([], [])
        if "placed" in vars(items):
            assert moved.placed is items.placed
            assert space.vector_rows == []
        check_equal(moved, space, aged)

    def test_only_added_items_are_computed(self, items, space, encoder, catalog):
        now = joined(catalog, self.more(encoder, catalog, 3))
        moved, changed = items.refreshed(now, np.append(self.ALL, [-1, -1, -1]))
        assert (space.vector_rows, space.taste_rows) == ([], [])
        moved.placed  # noqa: B018
        assert space.vector_rows == space.taste_rows == ([3] if "placed" in vars(items) else [23])
        assert not len(changed)
        check_equal(moved, space, now)

    def test_after_a_removal_no_vector_is_computed_again(self, items, space, catalog):
        stay = np.array([19, 3, 5, 4, 11])
        moved, changed = items.refreshed(catalog[stay], stay)
        moved.placed  # noqa: B018
        assert space.vector_rows == ([0] if "placed" in vars(items) else [5])
        assert not len(changed)
        check_equal(moved, space, catalog[stay])

    @pytest.mark.parametrize("at", [[4, 7, 9], [0, 19]])
    def test_edited_items_are_returned_and_computed_again(self, items, space, encoder, catalog, at):
        now = edited(catalog, at, self.more(encoder, catalog, 20))
        moved, changed = items.refreshed(now, self.ALL)
        by_text = at if catalog.sparse is not None else at[:-1]
        assert changed.tolist() == by_text
        assert (space.vector_rows, space.taste_rows) == ([], [])
        moved.placed  # noqa: B018
        assert space.vector_rows == ([len(by_text)] if "placed" in vars(items) else [20])
        check_equal(moved, space, now)

    def test_an_equal_copy_of_the_features_is_no_edit(self, items, space, catalog):
        same = Features(catalog.dense.copy(), catalog.sparse)
        moved, changed = items.refreshed(same, self.ALL)
        assert not len(changed)
        moved.placed  # noqa: B018
        assert space.vector_rows == ([0] if "placed" in vars(items) else [20])
        check_equal(moved, space, same)

    def test_the_items_before_are_unchanged(self, items, space, encoder, catalog):
        before = CatalogItems(space, catalog).placed.vectors.copy()
        moved, _ = items.refreshed(edited(catalog, [4, 7], self.more(encoder, catalog, 20)), self.ALL)
        moved.placed  # noqa: B018
        np.testing.assert_array_equal(items.placed.vectors, before)
        assert items.features is catalog

    def test_all_items_may_be_replaced(self, items, space, encoder, catalog):
        now = self.more(encoder, catalog, 4)
        moved, _ = items.refreshed(now, np.full(4, -1))
        check_equal(moved, space, now)

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["add", "remove", "edit", "clicks", "shuffle"]), st.booleans()),
            min_size=1,
            max_size=6,
        ),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2**32 - 1),
    )
    def test_several_changes_equal_a_new_catalogue(self, encoder, changes, words, placed, seed):
        """Whether or not there was a request after each."""
        rng, now = np.random.default_rng(seed), random_features(encoder, 12, words=words)
        space = CountingSpace().fit(now)
        items = CatalogItems(space, now)
        if placed:
            items.placed  # noqa: B018
        anew = 0  # rows that a request has to place
        for kind, request in changes:
            n = len(now)
            origin = np.arange(n)
            if kind == "add":
                now, origin = (
                    joined(now, random_features(encoder, 2, int(rng.integers(99)), words)),
                    np.append(origin, [-1, -1]),
                )
                anew += 2
            elif kind == "remove" and n > 2:
                origin = np.sort(rng.permutation(n)[: n - 2])
                now = now[origin]
            elif kind == "shuffle":
                origin = rng.permutation(n)
                now = now[origin]
            elif kind == "edit":
                now = edited(now, rng.permutation(n)[:3], random_features(encoder, n, int(rng.integers(99)), words))
                anew += 3
            else:
                now = replace(now, exposure=np.ones(n, dtype=np.float32))
            space.vector_rows.clear(), space.taste_rows.clear()
            items, _ = items.refreshed(now, origin)
            assert (space.vector_rows, space.taste_rows) == ([], [])
            if request:
                items.placed  # noqa: B018
                assert sum(space.vector_rows) <= (anew if placed else len(now))
                placed, anew = True, 0
        check_equal(items, space, now)
