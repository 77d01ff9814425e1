"""What every reader of texts does first: check them, fold letters, cut words."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from coldstart.errors import InvalidInputError

_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
"""Marks that belong to the letter before them, which ``\\w`` leaves out, and the scripts of India, full of them."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

WORD = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[\w{_MARKS}])+")
"""A word, or a run of letters of a script that has no spaces."""

_RUN = re.compile(rf"[{_UNSPACED}]")
_LATIN_MARKS = re.compile("[\u0300-\u036f]")
_WIDE = re.compile("[\uff00-\uffef]+")


def checked_texts(values: Sequence[str], owner: str) -> list[str]:
    """Return the values as a list, or say which one is not text.

    Half of a surrogate pair, which is in no text but comes from broken files, becomes a replacement character.

    Raises
    ------
    InvalidInputError
        Naming the value and its row.
    """
    if isinstance(values, str):
        raise InvalidInputError(f"`values` of {owner} must be a list of texts; got {values!r}. Pass [{values!r}].")
    texts = list(values)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"`values` of {owner} must be texts; got {text!r} in row {row}.")
    return [text if text.isascii() else whole(text) for text in texts]


def whole(text: str) -> str:
    """Return a text that every encoding can hold: a lone surrogate becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """Return a text in lower case, in letters of usual width, without the accents of Latin, Greek and Cyrillic ones.

    Examples
    --------
    >>> folded("Amélie"), folded("ＡＢ")
    ('amelie', 'ab')
    """
    if text.isascii():
        return text.lower()
    narrow = _WIDE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    return unicodedata.normalize("NFC", _LATIN_MARKS.sub("", unicodedata.normalize("NFD", narrow.lower())))


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded; of a script without spaces each two neighbouring letters (bigrams).

    Examples
    --------
    >>> words_of("Éclair au café, AB-12"), words_of("恐怖电影")
    (['eclair', 'au', 'cafe', 'ab', '12'], ['恐怖', '怖电', '电影'])
    """
    return [word for found in WORD.findall(folded(text)) for word in _bigrams(found)]


def _bigrams(word: str) -> Iterator[str]:
    if len(word) <= 2 or not _RUN.match(word):
        yield word
    else:
        yield from (word[at : at + 2] for at in range(len(word) - 1))
