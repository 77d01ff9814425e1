"""A tokenizer is taken as BERT's only where every file of a folder says so; then its tokens are those of transformers."""

import json
import shutil

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from coldstart.encoders.transformer.wordpiece import WordPieces, has_word_pieces  # noqa: E402

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "moon", "##light", "star", "a", "naive", "na", "防"]
TEXTS = ["a film", "", "moonlight " * 9, "A STAR", "naïve", "a防film", "na\x00ive", "[MASK] [SEP]", "<extra> film"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    vocab = {piece: at for at, piece in enumerate(PIECES)}
    transformers.BertTokenizer(vocab=vocab, model_max_length=20).save_pretrained(folder)
    changed(folder, "tokenizer_config", lambda settings: settings.update(tokenizer_class="BertTokenizer"))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def changed(folder, name, change):
    path = folder / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def agrees(folder):
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ids = theirs(TEXTS, truncation=True, max_length=12)["input_ids"]
    return WordPieces(folder, 12, 0)(TEXTS)["input_ids"] == ids


def test_the_folder_of_a_plain_bert_is_accepted(folder):
    assert has_word_pieces(folder)
    assert agrees(folder)


SAID = [
    ("tokenizer_config", lambda settings: settings.update(tokenizer_class="BertTokenizerFast")),
    ("tokenizer_config", lambda settings: settings.update(model_max_length=10**30)),
    ("tokenizer_config", lambda settings: [settings.pop(name, None) for name in ("do_lower_case", "strip_accents")]),
    (
        "tokenizer",
        lambda file: file.update(
            truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        ),
    ),
    (
        "tokenizer",
        lambda file: file.update(
            padding={
                "strategy": {"Fixed": 9},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            }
        ),
    ),
    ("special_tokens_map", lambda special: special.update(cls_token={"content": "[CLS]", "lstrip": False})),
]


@pytest.mark.parametrize(("name", "change"), SAID)
def test_settings_that_change_no_token_are_accepted(folder, name, change):
    changed(folder, name, change)
    assert has_word_pieces(folder)
    assert agrees(folder)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("strip", [True, False, None])
@pytest.mark.parametrize("split", [True, False])
def test_settings_that_agree_in_two_files_are_accepted(folder, lower, strip, split):
    settings = {"do_lower_case": lower, "strip_accents": strip, "tokenize_chinese_chars": split}
    normalizer = {"lowercase": lower, "strip_accents": strip, "handle_chinese_chars": split}
    changed(folder, "tokenizer_config", lambda config: config.update(settings))
    changed(folder, "tokenizer", lambda file: file["normalizer"].update(normalizer))
    assert has_word_pieces(folder)
    assert agrees(folder)


OTHER = [
    ("tokenizer_config", lambda settings: settings.update(tokenizer_class="MPNetTokenizer")),
    ("tokenizer_config", lambda settings: settings.pop("tokenizer_class")),
    ("tokenizer_config", lambda settings: settings.update(do_lower_case=False)),
    ("tokenizer_config", lambda settings: settings.update(strip_accents=False)),
    ("tokenizer_config", lambda settings: settings.update(tokenize_chinese_chars=False)),
    ("tokenizer_config", lambda settings: settings.update(truncation_side="left")),
    ("tokenizer_config", lambda settings: settings.update(split_special_tokens=True)),
    ("tokenizer_config", lambda settings: settings.update(cls_token="film")),
    ("tokenizer_config", lambda settings: settings.update(additional_special_tokens=["<extra>"])),
    ("tokenizer_config", lambda settings: settings.update(added_tokens_decoder={"13": {"content": "<extra>"}})),
    ("tokenizer", lambda file: file.update(normalizer=None)),
    ("tokenizer", lambda file: file["normalizer"].update(clean_text=False)),
    ("tokenizer", lambda file: file["normalizer"].update(lowercase=False)),
    ("tokenizer", lambda file: file.update(pre_tokenizer={"type": "Whitespace"})),
    ("tokenizer", lambda file: file.update(post_processor=None)),
    ("tokenizer", lambda file: file["model"].update(max_input_chars_per_word=5)),
    ("tokenizer", lambda file: file["model"].update(continuing_subword_prefix="@@")),
    (
        "tokenizer",
        lambda file: file.update(
            truncation={"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        ),
    ),
    ("special_tokens_map", lambda special: special.update(sep_token="film")),
    ("special_tokens_map", lambda special: special.update(additional_special_tokens=["<extra>"])),
    ("added_tokens", lambda added: added.update({"<extra>": 13})),
]


@pytest.mark.parametrize(("name", "change"), OTHER)
def test_settings_that_may_change_a_token_are_left_to_transformers(folder, name, change):
    changed(folder, name, change)
    assert not has_word_pieces(folder)
