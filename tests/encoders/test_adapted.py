"""Vectors of another encoder, centred and moved; the map goes where the encoder goes."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coldstart as cs
from coldstart.encoders._given import with_given
from coldstart.encoders.adapted import AdaptedEncoder
from coldstart.errors import SavedFolderError
from coldstart.testing import HashEncoder, check_encoder, check_recommender, tiny_catalog, tiny_clicks

TEXTS = ["a red apple", "a green apple", "été 日本", "", "moon"]
KINDS = ["linear", "low-rank", "mlp"]
REQUESTS = [cs.Request(query="moon"), cs.Request(user="u0"), cs.Request(history=["g0"], disliked=["g1"]), cs.Request()]
of_each_kind = pytest.mark.parametrize("kind", KINDS)


class Asymmetric(HashEncoder):
    """Queries are something else than items."""

    def encode_query(self, values, /):
        return self.encode([f"query {value}" for value in values])


class Counting(HashEncoder):
    """Remembers what it encoded."""

    def __init__(self, dim=8):
        super().__init__(dim)
        self.encoded = []

    def encode(self, values, /):
        self.encoded += values
        return super().encode(values)


class Scaled(HashEncoder):
    """Rows that are not of length one."""

    def encode(self, values, /):
        return 5 * super().encode(values)


def learned(kind="mlp", dim=8, seed=0, scale=0.3):
    """What training leaves: a mean and a map."""
    rng = np.random.default_rng(seed)
    rank = dim if kind == "linear" else 3
    shapes = {"up": (rank, dim)}
    if kind != "linear":
        shapes["down"] = (dim, rank)
    if kind == "mlp":
        shapes["bias"] = (rank,)
    weights = {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    mean = (0.2 * rng.standard_normal(dim)).astype(np.float32)
    return {"mean_": mean, "map_": weights, "report_": {"items": {0: 0.1, 3: 0.25}}}


def adapted(inner=None, kind="mlp", seed=0):
    inner = inner or HashEncoder(8)
    return AdaptedEncoder(inner).set_state(learned(kind, inner.encode(["a"]).shape[1], seed))


def naive(vector, state):
    """One vector, moved by the formula of the docstring."""
    length = np.sqrt((vector**2).sum())
    y = (vector / length if length else vector) - state["mean_"]
    y = y / np.sqrt((y**2).sum())
    weights = state["map_"]
    if "bias" in weights:
        added = np.maximum(y @ weights["down"] + weights["bias"], 0) @ weights["up"]
    elif "down" in weights:
        added = y @ weights["down"] @ weights["up"]
    else:
        added = y @ weights["up"]
    return (y + added) / np.sqrt(((y + added) ** 2).sum())


def same_state(one, other):
    one, other = one.get_state(), other.get_state()
    assert sorted(one) == sorted(other) == ["map_", "mean_", "report_"]
    assert one["report_"] == other["report_"]
    assert list(one["map_"]) == list(other["map_"])
    arrays = [(one["mean_"], other["mean_"]), *((one["map_"][name], other["map_"][name]) for name in one["map_"])]
    return all(a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in arrays)


@of_each_kind
def test_keeps_the_contract(kind):
    check_encoder(adapted(kind=kind))
    check_encoder(AdaptedEncoder(HashEncoder(8)))


def test_without_a_map_vectors_come_back_as_they_are():
    encoder = AdaptedEncoder(Scaled(8))
    np.testing.assert_array_equal(encoder.encode(TEXTS), Scaled(8).encode(TEXTS))
    np.testing.assert_array_equal(AdaptedEncoder(Asymmetric(8)).encode_query(TEXTS), Asymmetric(8).encode_query(TEXTS))


@of_each_kind
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_vectors_are_centred_and_mapped_by_the_formula(kind, seed):
    encoder = adapted(kind=kind, seed=seed)
    expected = [naive(vector, encoder.get_state()) for vector in HashEncoder(8).encode(TEXTS)]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, rtol=1e-3, atol=1e-4)


@of_each_kind
def test_rows_have_length_one(kind):
    vectors = adapted(kind=kind).encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_length_of_the_other_encoders_vectors_does_not_matter():
    np.testing.assert_allclose(adapted(Scaled(8)).encode(TEXTS), adapted(HashEncoder(8)).encode(TEXTS), atol=1e-5)


def test_a_map_of_zeros_only_centres():
    state = learned(scale=0.0)
    centred = HashEncoder(8).encode(["moon", "star"]) - state["mean_"]
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    encoder = AdaptedEncoder(HashEncoder(8)).set_state(state)
    np.testing.assert_allclose(encoder.encode(["moon", "star"]), centred, atol=1e-6)


def test_the_same_value_has_the_same_row():
    vectors = adapted().encode(["moon", "star", "moon"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(adapted().encode(["moon"])[0], vectors[0], atol=1e-6)


def test_queries_are_encoded_as_queries_and_mapped():
    encoder = adapted(Asymmetric(8))
    expected = [naive(vector, encoder.get_state()) for vector in Asymmetric(8).encode_query(TEXTS)]
    np.testing.assert_allclose(encoder.encode_query(TEXTS), expected, atol=1e-4)
    assert not np.allclose(encoder.encode_query(TEXTS), encoder.encode(TEXTS), atol=0.1)


def test_queries_are_mapped_as_items_where_the_other_encoder_has_no_encode_query():
    np.testing.assert_array_equal(adapted().encode_query(TEXTS), adapted().encode(TEXTS))


def test_the_other_encoder_and_what_was_learned_stay_as_they_are():
    inner = HashEncoder(8)
    encoder = adapted(inner)
    encoder.encode(TEXTS)
    encoder.encode_query(TEXTS)
    np.testing.assert_array_equal(inner.encode(TEXTS), HashEncoder(8).encode(TEXTS))
    assert same_state(encoder, adapted())


def test_equal_encoders_have_equal_identities():
    assert adapted().identity() == adapted().identity()
    assert AdaptedEncoder(HashEncoder(8)).identity() == AdaptedEncoder(HashEncoder(8)).identity()


def test_the_identity_changes_with_each_weight_the_mean_and_the_other_encoder():
    identities = {adapted().identity(), AdaptedEncoder(HashEncoder(8)).identity()}
    for name in ("up", "down", "bias"):
        other = adapted()
        other.map_[name].flat[-1] += 1e-3
        identities.add(other.identity())
    other = adapted()
    other.mean_[0] += 1e-3
    identities.add(other.identity())
    identities |= {adapted(kind=kind).identity() for kind in ("linear", "low-rank")}
    state = adapted().get_state()
    identities.add(AdaptedEncoder(HashEncoder(9)).set_state(state).identity())
    assert len(identities) == 9


def test_the_report_is_no_part_of_the_identity():
    other = adapted()
    other.report_ = {}
    assert other.identity() == adapted().identity()


def test_only_new_values_are_encoded_below_a_cache(tmp_path):
    inner = Counting()
    encoder = cs.CachedEncoder(AdaptedEncoder(inner).set_state(learned()), tmp_path)
    first = encoder.encode(["a", "b"])
    assert inner.encoded == ["a", "b"]
    again = encoder.encode(["b", "c", "a"])
    assert inner.encoded == ["a", "b", "c"]
    np.testing.assert_array_equal(again[[2, 0]], first)
    np.testing.assert_allclose(again, adapted().encode(["b", "c", "a"]), atol=1e-6)
    np.testing.assert_array_equal(encoder.encode_query(["a"]), adapted().encode_query(["a"]))


def test_the_cache_keeps_vectors_of_two_maps_apart(tmp_path):
    for seed in (0, 1):
        encoder = adapted(seed=seed)
        np.testing.assert_array_equal(cs.CachedEncoder(encoder, tmp_path).encode(["a"]), encoder.encode(["a"]))
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_saved_and_opened_keep_what_was_learned(tmp_path, make_model):
    encoder = adapted(cs.TextEncoder(make_model("bert"), device="cpu"))
    for other in (encoder.saved(None), with_given(encoder.saved(None).opened(tmp_path), encoder)):
        assert same_state(other, encoder)
        assert other.identity() == encoder.identity()
        np.testing.assert_array_equal(other.encode(["red rose"]), encoder.encode(["red rose"]))


def test_copied_weights_are_opened_with_what_was_learned(tmp_path, make_model):
    source = shutil.copytree(make_model("bert"), tmp_path / "bert")
    encoder = adapted(cs.TextEncoder(source, device="cpu"))
    expected = encoder.encode(["red rose"])
    encoder.copy_weights(tmp_path / "model" / "inside")
    saved = encoder.saved("inside")
    shutil.rmtree(source)
    opened = saved.opened(tmp_path / "model")
    assert same_state(opened, encoder)
    np.testing.assert_array_equal(opened.encode(["red rose"]), expected)


def test_an_encoder_without_a_folder_is_opened_as_it_is(tmp_path):
    encoder = adapted()
    assert encoder.opened(tmp_path) is encoder


def words_learned():
    catalog = tiny_catalog()
    texts = [text for name in ("title", "plot") for text in catalog.columns[name] if text]
    return cs.TfidfEncoder(dim=6).fit(texts)


def fitted(encoder):
    return cs.Recommender(encoder=encoder).fit(tiny_catalog(), tiny_clicks())


@of_each_kind
def test_a_recommender_keeps_its_map_when_saved(tmp_path, kind):
    rec = fitted(adapted(words_learned(), kind))
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    one, other = rec.encoders_["title"], again.encoders_["title"]
    assert same_state(one, other)
    np.testing.assert_array_equal(one.encode(["space moon"]), other.encode(["space moon"]))
    new = [{"id": "n1", "title": "garden moon", "plot": "rose", "price": 1}]
    assert again.add_items(new).recommend_many(REQUESTS, k=8) == rec.add_items(new).recommend_many(REQUESTS, k=8)


def test_the_same_lists_and_scores_bit_for_bit_in_a_new_process(tmp_path):
    rec = fitted(adapted(words_learned()))
    rec.save(tmp_path / "model")
    code = """
        import sys, coldstart as cs
        found = cs.load(sys.argv[1]).recommend_many([cs.Request(query="moon"), cs.Request(user="u0")], k=5)
        print(repr((found.item_ids, found.scores)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "model")]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    here = rec.recommend_many(REQUESTS[:2], k=5)
    assert there == repr((here.item_ids, here.scores))


@pytest.mark.parametrize("include_encoder", [True, False])
def test_a_recommender_with_a_language_model_keeps_its_map(tmp_path, make_model, include_encoder):
    source = shutil.copytree(make_model("bert"), tmp_path / "bert")
    rec = fitted(adapted(cs.TextEncoder(source, device="cpu")))
    rec.save(tmp_path / "model", include_encoder=include_encoder)
    if include_encoder:
        shutil.rmtree(source)
    (tmp_path / "model").rename(tmp_path / "moved")
    again = cs.load(tmp_path / "moved", encoder=None if include_encoder else cs.TextEncoder(source))
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    assert same_state(again.encoders_["title"], rec.encoders_["title"])


def test_a_map_on_a_foreign_encoder_is_loaded_with_the_encoder_given_to_load(tmp_path):
    encoder = adapted(HashEncoder(8))
    rec = fitted(encoder)
    rec.save(tmp_path / "model")
    again = cs.load(tmp_path / "model", encoder=encoder)
    assert again.recommend_many(REQUESTS, k=5) == rec.recommend_many(REQUESTS, k=5)
    with pytest.raises(SavedFolderError, match="saved encoder is a AdaptedEncoder.*got None"):
        cs.load(tmp_path / "model")


def test_a_map_changes_what_is_recommended():
    plain, moved = fitted(words_learned()), fitted(adapted(words_learned(), seed=2))
    assert plain.recommend_many(REQUESTS, k=8).scores != moved.recommend_many(REQUESTS, k=8).scores


def test_a_recommender_with_a_small_map_keeps_the_contract():
    state = learned(dim=64, scale=0.01)
    state["mean_"] = HashEncoder().encode(tiny_catalog().columns["title"]).mean(axis=0)
    check_recommender(lambda: cs.Recommender(encoder=AdaptedEncoder(HashEncoder()).set_state(state)))
