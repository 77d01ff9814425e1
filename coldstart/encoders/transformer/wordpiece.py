"""The tokenizer of BERT, where all files of a folder say that it is no other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from coldstart.encoders.transformer.language_model import read_json

CLASSES = ("BertTokenizer", "BertTokenizerFast")

TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
USUAL = {"truncation_side": "right", "split_special_tokens": False}
"""What no file may contradict."""

MODEL = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
FIRST, TEXT, LAST = {"id": "[CLS]", "type_id": 0}, {"id": "A", "type_id": 0}, {"id": "[SEP]", "type_id": 0}
AROUND = [{"SpecialToken": FIRST}, {"Sequence": TEXT}, {"SpecialToken": LAST}]
"""Parts of ``tokenizer.json``."""


class WordPieces:
    """A tokenizer of the tokenizers library, called as one of transformers is.

    Parameters
    ----------
    folder : Path
    max_length : int
        Tokens per text; longer texts are cut.
    pad_token_id : int
    """

    def __init__(self, folder: Path, max_length: int, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str], **told: Any) -> dict[str, list[list[int]]]:
        """Return the token ids of each text; that they are cut, and where, was told at the start."""
        return {"input_ids": [line.ids for line in self._tokenizer.encode_batch(texts)]}


def has_word_pieces(folder: Path) -> bool:
    """Whether ``tokenizer.json`` is what transformers would build of what the other files tell."""
    file, told = read_json(folder / "tokenizer.json"), read_json(folder / "tokenizer_config.json")
    special, added = read_json(folder / "special_tokens_map.json"), read_json(folder / "added_tokens.json")
    others = [told.get(name) for name in ("added_tokens_decoder", "additional_special_tokens", "extra_special_tokens")]
    model, around = file.get("model") or {}, file.get("post_processor") or {}
    return (
        told.get("tokenizer_class") in CLASSES
        and all(told.get(name, usual) == usual for name, usual in USUAL.items())
        and all(
            _named(source.get(name, token)) == {token} for source in (told, special) for name, token in TOKENS.items()
        )
        and file.get("normalizer") == _normalizer(told)
        and file.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
        and all(model.get(name) == value for name, value in MODEL.items())
        and around.get("single") == AROUND
        and (file.get("truncation") or {}).get("direction", "Right") == "Right"
        and _named([others, special, list(added)]) <= {token["content"] for token in file.get("added_tokens") or []}
    )


def _normalizer(told: dict[str, Any]) -> dict[str, Any]:
    """What cleans texts, as ``tokenizer_config.json`` tells it."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": told.get("tokenize_chinese_chars", True),
        "strip_accents": told.get("strip_accents"),
        "lowercase": told.get("do_lower_case", True),
    }


def _named(value: Any) -> set[str]:
    """All tokens that a value names: a token, one with its settings, or several of them."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return {value["content"]} if "content" in value else _named(list(value.values()))
    return set().union(*map(_named, value)) if value else set()
