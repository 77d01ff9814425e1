"""The WordPiece tokenizer of BERT, without importing transformers.

transformers builds its tokenizer from five files, which may contradict each other. ``has_word_pieces`` accepts a folder
only where all of them describe the plain tokenizer; every other one is left to transformers, so that no token changes.
"""

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
DEFAULTS = {"truncation_side": "right", "split_special_tokens": False}
"""Settings that ``tokenizer_config.json`` may leave out, and may not contradict."""

MODEL = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
FIRST, TEXT, LAST = {"id": "[CLS]", "type_id": 0}, {"id": "A", "type_id": 0}, {"id": "[SEP]", "type_id": 0}
TEMPLATE = [{"SpecialToken": FIRST}, {"Sequence": TEXT}, {"SpecialToken": LAST}]
"""The model in ``tokenizer.json``, and its template of a single text: ``[CLS] text [SEP]``."""


class WordPieces:
    """The WordPiece tokenizer of a folder, called as one of transformers is.

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
        # Batches are packed or padded later. Truncation is set once, since the tokenizer is shared by threads.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str], **options: Any) -> dict[str, list[list[int]]]:
        """Return the token ids of each text; ``options`` are ignored, since truncation was set up once."""
        return {"input_ids": [line.ids for line in self._tokenizer.encode_batch(texts)]}


def has_word_pieces(folder: Path) -> bool:
    """Return whether ``tokenizer.json`` is what transformers would build from the other files of a folder."""
    file, config = read_json(folder / "tokenizer.json"), read_json(folder / "tokenizer_config.json")
    special, added = read_json(folder / "special_tokens_map.json"), read_json(folder / "added_tokens.json")
    others = [
        config.get(name) for name in ("added_tokens_decoder", "additional_special_tokens", "extra_special_tokens")
    ]
    model, template = file.get("model") or {}, file.get("post_processor") or {}
    return (
        config.get("tokenizer_class") in CLASSES
        and all(config.get(name, usual) == usual for name, usual in DEFAULTS.items())
        and all(
            _token_names(source.get(name, token)) == {token}
            for source in (config, special)
            for name, token in TOKENS.items()
        )
        and file.get("normalizer") == _normalizer(config)
        and file.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
        and all(model.get(name) == value for name, value in MODEL.items())
        and template.get("single") == TEMPLATE
        and (file.get("truncation") or {}).get("direction", "Right") == "Right"
        and _token_names([others, special, list(added)])
        <= {token["content"] for token in file.get("added_tokens") or []}
    )


def _normalizer(config: dict[str, Any]) -> dict[str, Any]:
    """Return the normalizer of ``tokenizer.json`` that ``tokenizer_config.json`` describes."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }


def _token_names(value: Any) -> set[str]:
    """Return all tokens that a JSON value names: a token, one with its settings, or several of them."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return {value["content"]} if "content" in value else _token_names(list(value.values()))
    return set().union(*map(_token_names, value)) if value else set()
