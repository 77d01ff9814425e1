"""Preparation that encoders of texts share: check the values, fold case and accents, split into words."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from coldstart._messages import shown
from coldstart.errors import InvalidInputError

_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
"""Combining marks, which ``\\w`` does not match, and the scripts of India, whose vowels are such marks."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that write no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

WORD = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[\w{_MARKS}])+")
"""A word, or a run of letters of a script without spaces."""

_UNSPACED_LETTER = re.compile(rf"[{_UNSPACED}]")
_LATIN_MARKS = re.compile("[\u0300-\u036f]")
_WIDE = re.compile("[\uff00-\uffef]+")


LETTERS_PER_TOKEN = 100
"""Letters that a text may have for each token that is read of it: a word has five, the longest names about fifty."""

COUNTED_TOKENS = 2_000
"""Tokens that encoders without a limit of their own read: what counts words reads 200,000 letters, a short novel."""


def checked_texts(values: Sequence[str], owner: str, tokens: int = COUNTED_TOKENS) -> list[str]:
    """Return texts that cost no more than they should, or say which value is not text.

    A text is cut to the letters of so many tokens, before anything is computed: a tokenizer would read all of ten
    million letters to keep 256 tokens. A lone surrogate, which no valid text has but broken files may yield, becomes
    "?".

    Raises
    ------
    InvalidInputError
        Naming the value and its row.
    """
    if isinstance(values, str):
        raise InvalidInputError(
            f"`values` of {owner} must be a list of texts; got {shown(values)}. Pass [{shown(values)}]."
        )
    try:
        texts = list(values)
    except TypeError:
        raise InvalidInputError(f"`values` of {owner} must be a list of texts; got {shown(values)}.") from None
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"`values` of {owner} must be texts; got {shown(text)} in row {row}.")
    longest = LETTERS_PER_TOKEN * tokens
    return [text if text.isascii() else without_lone_surrogates(text) for text in (text[:longest] for text in texts)]


def without_lone_surrogates(text: str) -> str:
    """Return a text that can be encoded: each lone surrogate becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """Return a text in lower case, full-width letters as usual ones, without Latin, Greek and Cyrillic accents.

    Examples
    --------
    >>> folded("Amélie"), folded("ＡＢ")
    ('amelie', 'ab')
    """
    if text.isascii():
        return text.lower()
    # NFKC only for letters of full width: elsewhere it would change signs that a name may consist of, such as "TM".
    # Accents are dropped in NFD, where they stand apart from their letter; NFC puts together what remains (Hangul).
    narrow = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return unicodedata.normalize("NFC", _LATIN_MARKS.sub("", unicodedata.normalize("NFD", narrow.lower())))


def words_of(text: str) -> list[str]:
    """Return the folded words of a text; of scripts without spaces, the bigrams of neighbouring letters.

    Bigrams are what search engines use where no dictionary splits a sentence: most words there have two letters.

    Examples
    --------
    >>> words_of("Éclair au café, AB-12"), words_of("恐怖电影")
    (['eclair', 'au', 'cafe', 'ab', '12'], ['恐怖', '怖电', '电影'])
    """
    return [word for run in WORD.findall(folded(text)) for word in _bigrams(run)]


def _bigrams(word: str) -> Iterator[str]:
    """Yield the bigrams of a run of a script without spaces; any other word as it is."""
    if len(word) <= 2 or not _UNSPACED_LETTER.match(word):
        yield word
    else:
        yield from (word[at : at + 2] for at in range(len(word) - 1))
