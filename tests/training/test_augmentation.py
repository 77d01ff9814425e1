import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.errors import InvalidInputError
from coldstart.training.augmentation import drop_words, replace_words, translate_back

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"a the space garden film of and moon star rose red".split()]
TEXTS = ["a red rose", "the moon and the star", "film"]
ANY_TEXTS = st.lists(st.text(max_size=30), max_size=5)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def is_within(words, text):
    """Whether the words stand in the text in that order."""
    left = iter(text)
    return all(word in left for word in words)


@settings(deadline=None, max_examples=100)
@given(ANY_TEXTS, st.floats(0, 1), st.integers(0, 2**31))
def test_remaining_words_keep_their_order_and_at_least_one_remains(texts, share, seed):
    actual = drop_words(texts, share, np.random.default_rng(seed))
    assert len(actual) == len(texts)
    for new, old in zip(actual, texts, strict=True):
        assert is_within(new.split(), old.split())
        assert bool(new.split()) == bool(old.split())


@settings(deadline=None)
@given(ANY_TEXTS)
def test_at_a_share_of_0_all_words_remain(texts):
    actual = drop_words(texts, 0.0, np.random.default_rng(0))
    assert [text.split() for text in actual] == [text.split() for text in texts]


@settings(deadline=None)
@given(ANY_TEXTS, st.integers(0, 2**31))
def test_at_a_share_of_1_one_word_of_each_text_remains(texts, seed):
    actual = drop_words(texts, 1.0, np.random.default_rng(seed))
    assert [len(text.split()) for text in actual] == [min(1, len(text.split())) for text in texts]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_text_without_words_stays_as_it_is(text):
    assert drop_words([text], 0.5, np.random.default_rng(0)) == [text]


def test_of_many_words_the_given_share_is_dropped():
    words = [str(at) for at in range(10_000)]
    assert len(drop_words([" ".join(words)], 0.3, np.random.default_rng(0))[0].split()) == pytest.approx(7_000, abs=200)


def test_the_same_seed_drops_the_same_words():
    one, same, other = (drop_words(TEXTS * 9, 0.5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(share, masked):
    for change in (drop_words, lambda *args: replace_words(*args, *masked)):
        with pytest.raises(InvalidInputError, match="`share` must be between 0 and 1"):
            change(TEXTS, share, np.random.default_rng(0))


@pytest.fixture(scope="module")
def masked():
    """A random masked language model of whole words, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **names)
    torch.manual_seed(0)
    size = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**size, intermediate_size=32, max_position_embeddings=32, initializer_range=1.0)
    return transformers.BertForMaskedLM(config).eval(), tokenizer


def test_no_texts_are_no_texts(masked):
    assert replace_words([], 0.5, np.random.default_rng(0), *masked) == []


@pytest.mark.parametrize("top", [0, 1001, 2.5])
def test_top_is_at_least_1(masked, top):
    with pytest.raises(InvalidInputError, match="`top` must be"):
        replace_words(TEXTS, 0.5, np.random.default_rng(0), *masked, top=top)


class Words(dict):
    """What a tokenizer returns: it can be moved to a device."""

    def to(self, device):
        assert device == "here"
        return self


class Translator:
    """Model and tokenizer in one: turns the letters of each text around and notes the options."""

    device = "here"

    def __init__(self, mark):
        self.mark, self.options = mark, []

    def __call__(self, texts, **settings):
        assert settings == {"padding": True, "truncation": True, "return_tensors": "pt"}
        return Words(input_ids=texts)

    def generate(self, input_ids, **options):
        self.options.append(options)
        return [text[::-1] + self.mark for text in input_ids]

    def batch_decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return ids


def test_texts_are_translated_and_translated_back():
    there, back = Translator("!"), Translator("?")
    actual = translate_back(("abc", ""), (there, there), (back, back), num_beams=4, do_sample=True)
    assert actual == ["!abc?", "!?"]
    assert there.options == back.options == [{"num_beams": 4, "do_sample": True}]


def test_no_texts_are_translated_to_no_texts():
    there = Translator("!")
    assert translate_back([], (there, there), (there, there)) == []
    assert there.options == []


def test_a_model_of_transformers_translates(masked):
    """A random Marian model says nothing of sense, but one text for each."""
    transformers = pytest.importorskip("transformers")
    _, tokenizer = masked
    torch.manual_seed(0)
    config = transformers.MarianConfig(
        vocab_size=len(WORDS), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=32, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=0, forced_eos_token_id=3, init_std=1.0,
    )  # fmt: skip
    model = transformers.MarianMTModel(config).eval()
    options = {"max_new_tokens": 6, "num_beams": 1, "do_sample": False}
    one, again = (translate_back(TEXTS, (model, tokenizer), (model, tokenizer), **options) for _ in range(2))
    assert len(one) == len(TEXTS)
    assert one == again
    assert set(" ".join(one).split()) <= set(WORDS[5:])


def test_at_a_share_of_0_no_word_is_replaced(masked):
    texts = [*TEXTS, "", "A  text, as it was"]
    assert replace_words(texts, 0.0, np.random.default_rng(0), *masked) == texts


def test_a_text_without_a_masked_word_is_returned_unchanged(masked):
    texts = ["a  red   rose", "unheard of?"] * 20
    actual = replace_words(texts, 0.1, np.random.default_rng(0), *masked)
    touched = [new != old for new, old in zip(actual, texts, strict=True)]
    assert 0 < sum(touched) < len(texts)
    for new, old in zip(actual, texts, strict=True):
        assert new == old or "  " not in new


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 10]))
def test_each_masked_word_becomes_another_word_of_the_vocabulary(masked, seed, top):
    actual = replace_words(TEXTS, 1.0, np.random.default_rng(seed), *masked, top=top)
    for new, old in zip(actual, TEXTS, strict=True):
        assert len(new.split()) == len(old.split())  # where texts begin and end is never masked
        assert all(a != b for a, b in zip(new.split(), old.split(), strict=True))
        assert set(new.split()) <= set(WORDS[5:])  # and never put in


def best_instead(masked, text, at):
    """What the model itself would say in place of one word, straight from it."""
    model, tokenizer = masked
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    was = ids[0, at + 1].item()
    ids[0, at + 1] = tokenizer.mask_token_id
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, at + 1]
    logits[[was, 0, 1, 2, 3, 4]] = -torch.inf
    return WORDS[int(logits.argmax())]


def test_at_a_top_of_1_the_most_likely_other_word_is_taken(masked):
    assert replace_words(["film"], 1.0, np.random.default_rng(0), *masked, top=1) == [best_instead(masked, "film", 0)]
    text = "the moon and the star"
    seen = 0
    for seed in range(40):
        new = replace_words([text], 0.2, np.random.default_rng(seed), *masked, top=1)[0].split()
        changed = [at for at, word in enumerate(text.split()) if new[at] != word]
        if len(changed) == 1:
            seen += 1
            assert new[changed[0]] == best_instead(masked, text, changed[0])
    assert seen > 5


def test_a_text_gets_the_same_word_beside_longer_ones(masked):
    """Padding is neither read nor masked."""
    beside = replace_words(["film", "the moon and the star"], 1.0, np.random.default_rng(0), *masked, top=1)
    assert beside[0] == best_instead(masked, "film", 0)


def test_the_same_seed_replaces_the_same_words(masked):
    one, same, other = (replace_words(TEXTS * 5, 0.5, np.random.default_rng(seed), *masked) for seed in (0, 0, 1))
    assert one == same != other
