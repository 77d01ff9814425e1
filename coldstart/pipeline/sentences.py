"""What a sentence says beyond its topic: titles that somebody likes, and what is not wanted.

"something like Inception but lighter, no horror" is a like of *Inception*, a text that is not wanted, "horror", and a
text that is, "something like Inception but lighter": a title says much to a language model, so it stays where it is.
The wording is English; a text in another language has none of these words and stays whole. What is no plain likeness or
negation is left alone: a sentence that is misread costs more than one that is read as it stands.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coldstart.encoders._texts import WORD, folded
from coldstart.encoders.lexical import KINDS, STOP_WORDS

LONGEST_REQUEST = 2_000
"""Letters up to which a text is taken for a request: longer ones are documents, and stay whole."""

LONGEST_TITLE, LONGEST_NEGATION = 12, 4
"""Words of a title, and of a text that is not wanted, that are looked at."""

LIKED = (
    r"(?:something|anything|stuff|more|films?|movies?|books?|songs?|games?|shows?|series|just|much|is|feels?|looks?"
    r"|sounds?) like|^like|similar to|akin to|reminiscent of|such as|along the lines of|as good as"
    r"|in the (?:style|vein|spirit|manner) of|reminds? me of|fans? of|likes?|liked|loves?|loved|enjoy(?:s|ed)?|adored?"
)
"""What stands before a title that somebody likes."""

USED = r"watched|saw|seen|read|played|heard|finished|bought"
"""What stands before a title that somebody knows: a like, too, unless it is denied."""

DISLIKED = r"hate[sd]?|dislike[sd]?|unlike|(?:can(?:no|')t|couldn't) stand"
"""What stands before a title that somebody does not like; so does a denied ``LIKED``."""

NEGATION = (
    r"without|w/o|no|nothing|not|isn't|aren't|except(?: for)?|excluding|anything but|other than|instead of|rather than"
    r"|minus the|avoid(?:ing)?|(?:do|does)(?:n't| not) (?:really )?(?:want|like|enjoy|need|feel like)"
    r"|does(?:n't| not) (?:have|contain|include)|(?:i|we) (?:really )?(?:hate|dislike|(?:can(?:no|')t|couldn't) stand)"
)
"""What stands before words that say what is not wanted."""

NO_NEGATION = (
    # not ..
    r"only|just|sure|seen|watched|heard|been|know|mind|yet|necessarily|even|all|much|many|really|bad|least|last|to|as|like"
    r"|covered|included|found|bad|long ago"
    # no ..
    r"|problem|matter|worries|idea|thanks?|preference|doubt|strings|rush|pressure|big deal|kidding|clue|way|longer|less"
    r"|more|later|better|news|man's|need|show|one|the one|i|we|you"
    # without .., nothing ..
    r"|a doubt|fail|question|further|beats?|special|in particular|else|but|wrong|against"
    # words of Spanish and Portuguese, where "no" means "not" before a verb and "in the"
    r"|me|te|se|lo|la|le|es|hay|tengo|quiero"
)
"""Words after a negation that make it no plain one."""

AUXILIARY = r"(?:have|has|had|did|do|does|could|would|can|can't|may|might|should|will|why|whether|or|try|what|rather)"
"""Words before "not" that make it a part of their verb."""

CLAUSE_END = (
    r"[.,;:!?()]|\b(?:but|please|i|we|that|which|who|because|though|just|only|with|for|from|about|tonight"
    r"|(?:and|or) (?:i|something|anything|a|an|has|is|it|not|without|no|with|for|from))\b"
)

FOREIGN = frozenset(
    (  # noqa: SIM905
        "un una um uma el los las del que o os il gli les des une est der das und ist ein eine kein mit"
    ).split()
)
"""Function words of other languages that are no English words."""

_LIKES = re.compile(rf"(?:\b(?P<liked>{LIKED})|\b(?P<used>{USED})|\b(?P<disliked>{DISLIKED}))\b", re.IGNORECASE)
_DENIED = re.compile(r"(?:\b(?:not|never|no|nothing|neither)|n't)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
_VERB = re.compile(r"^(?:likes?|loves?|enjoys?)$", re.IGNORECASE)
_NEGATED = re.compile(
    rf"(?<!\w)(?:(?:that|which) (?:is|are) )?(?P<cue>{NEGATION})\s+(?!(?:{NO_NEGATION})\b)"
    r"(?:(?:too|very|so|overly|any|an?|the|another|about|into|in the mood for|looking for|interested in)\s+)*",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(rf"\b{AUXILIARY}\s+$", re.IGNORECASE)
_CLAUSE_END = re.compile(CLAUSE_END, re.IGNORECASE)
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
_NUMBER = re.compile(r"\s*\(?\d")
_ARTICLE_LAST = re.compile(r"^(.*), (the|a|an|le|la|les|il|el|der|die|das)$", re.IGNORECASE)
_FILLER = KINDS | {"the", "a", "an", "both", "old", "original"}
_SILENT = STOP_WORDS | KINDS
_BETWEEN = frozenset(["and", "or", "also"])


@dataclass(frozen=True, slots=True)
class Said:
    """What a sentence says.

    Attributes
    ----------
    wanted : str or None
        The text without what is not wanted; None when nothing is left that says something.
    avoided : str or None
        What is not wanted, in words.
    liked, disliked : tuple of int
        Rows of the items that it names.
    """

    wanted: str | None
    avoided: str | None = None
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()


class Titles:
    """Find the item whose title stands in a text.

    A title is known by its words, with or without the year behind it, and with an article that stands last put first;
    one that two items share is none.

    Examples
    --------
    >>> titles = Titles(["The Matrix (1999)", "Alien", "Alien", "Heat"])
    >>> titles.rows(["the", "matrix"]), titles.rows(["alien"])
    ((0,), (1, 2))
    """

    def __init__(self, titles: Sequence[object]) -> None:
        self._rows: dict[tuple[str, ...], list[int]] = {}
        for row, title in enumerate(titles):
            if isinstance(title, str):
                for words in _spellings(title):
                    self._rows.setdefault(words, []).append(row)

    def rows(self, words: Sequence[str]) -> tuple[int, ...]:
        """Return the rows of the items with this title."""
        return tuple(self._rows.get(tuple(words), ()))


def has_cues(text: str) -> bool:
    """Whether there is a word at which a sentence may be taken apart."""
    text = _plain(text)
    return len(text) <= LONGEST_REQUEST and bool(_LIKES.search(text) or _NEGATED.search(text))


def understand(text: str, titles: Titles) -> Said:
    """Take a sentence apart.

    A title counts where words such as "like" or "loved" stand before it; in a denial, or after "hated", it is a
    dislike. The longest title wins. One of a single common word must be written with a capital letter after a verb
    ("I like Heat"), since "I like music" names no film.

    Examples
    --------
    >>> understand("something like the matrix but lighter, no horror please", Titles(["The Matrix", "Heat"]))
    Said(wanted='something like the matrix but lighter, please', avoided='horror', liked=(0,), disliked=())
    """
    if not has_cues(text):
        return Said(text)
    plain = _plain(text)
    liked: list[int] = []
    disliked: list[int] = []
    unwanted: list[tuple[int, int]] = []
    avoided: list[str] = []
    names = list(_titles_in(plain, titles))
    for cue in _LIKES.finditer(plain):
        denied = _DENIED.search(plain[: cue.start()])
        if _touches(cue.span(), names) or (denied and cue["used"]):
            continue
        named, end = _titles_after(plain, cue.end(), titles, bool(_VERB.match(cue.group())))
        if denied or cue["disliked"]:
            disliked += named
            unwanted += [(denied.start() if denied else cue.start(), end)] * bool(named)
        else:
            liked += named
    for cue in _negations(plain):
        if _touches(cue.span("cue"), [*names, *unwanted]):
            continue
        named, end = _titles_after(plain, cue.end("cue"), titles, is_verb=True)
        disliked += named
        if not named:
            end = _end_of_negation(plain, cue)
            avoided += [text[cue.end() : end]] * bool(end)
        unwanted += [(cue.start(), end)] * bool(end)
    if not unwanted:
        return Said(text, liked=tuple(dict.fromkeys(liked)))
    wanted = _without(text, sorted(unwanted))
    informative = any(folded(word) not in _SILENT for word in WORD.findall(wanted))
    return Said(
        wanted if informative else None,
        ", ".join(avoided) or None,
        tuple(dict.fromkeys(row for row in liked if row not in disliked)),
        tuple(dict.fromkeys(disliked)),
    )


def _plain(text: str) -> str:
    """The text with the straight apostrophes of a keyboard."""
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _titles_after(text: str, end: int, titles: Titles, is_verb: bool) -> tuple[list[int], int]:
    """Items whose titles are listed behind a place, and where the list ends."""
    words = list(WORD.finditer(text, end))
    named: list[int] = []
    at = 0
    while at < len(words) and not re.search(r"[.!?;:]", text[end : words[at].start()]):
        found = _longest_title(text, words[at : at + LONGEST_TITLE + 1], titles, is_verb)
        if found:
            row, length = found
            named.append(row)
            at += length
            end = words[at - 1].end()
            end += 1 if text[end : end + 1] == ")" else 0
        elif folded(words[at].group()) in _FILLER or (named and folded(words[at].group()) in _BETWEEN):
            at += 1
        else:
            break
    return named, end


def _longest_title(text: str, words: Sequence[re.Match[str]], titles: Titles, is_verb: bool) -> tuple[int, int] | None:
    """The one item with the longest title at the beginning of some words, and its number of words."""
    spelled = [folded(word.group()) for word in words]
    for length in range(min(len(words), LONGEST_TITLE), 0, -1):
        rows = titles.rows(spelled[:length])
        if not rows:
            continue
        named = len(rows) == 1 and not _NUMBER.match(text, words[length - 1].end())
        return (rows[0], length) if named and (length > 1 or _is_a_name(text, words, is_verb)) else None
    return None


def _is_a_name(text: str, words: Sequence[re.Match[str]], is_verb: bool) -> bool:
    """Whether a title of one word is meant: "I like Heat", not "I like music" nor "I love Frozen food"."""
    first = words[0]
    if first.group().islower() and (is_verb or first.group() in STOP_WORDS):
        return False
    if len(words) == 1 or not is_verb:
        return True
    apart = re.search(r"\S", text[first.end() : words[1].start()])
    return bool(apart) or folded(words[1].group()) in STOP_WORDS


def _titles_in(text: str, titles: Titles) -> Iterator[tuple[int, int]]:
    """Where titles of several words stand: "No Country for Old Men" denies nothing."""
    words = list(WORD.finditer(text))
    spelled = [folded(word.group()) for word in words]
    for at in range(len(words)):
        ends = range(min(at + LONGEST_TITLE, len(words)), at + 1, -1)
        end = next((end for end in ends if titles.rows(spelled[at:end])), None)
        if end is not None:
            yield words[at].start(), words[end - 1].end()


def _touches(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def _negations(text: str) -> Iterator[re.Match[str]]:
    """Plain negations of English sentences."""
    if any(folded(word) in FOREIGN for word in WORD.findall(text)):
        return
    for cue in _NEGATED.finditer(text):
        if cue["cue"].lower() != "not" or not _AUXILIARY.search(text[: cue.start()]):
            yield cue


def _end_of_negation(text: str, cue: re.Match[str]) -> int:
    """Where the words end that a negation denies; 0 when none of them says something."""
    stop = _CLAUSE_END.search(text, cue.end())
    words = list(WORD.finditer(text, cue.end(), stop.start() if stop else len(text)))[:LONGEST_NEGATION]
    says = any(folded(word.group()) not in _SILENT for word in words)
    return words[-1].end() if says else 0


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A text without some of its parts, and without signs and little words that joined them to the rest."""
    for start, end in reversed(spans):
        joint = re.match(r"\s*,?\s*but\b", text[end:], re.IGNORECASE)
        text = text[:start].rstrip() + " " + text[end + (joint.end() if joint else 0) :].lstrip()
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(
        r"\b(?:but|and|or|with|that|which|who|a|an|the) ?(?=[.,;:!?]|$)", "", text.strip(), flags=re.IGNORECASE
    )
    text = re.sub(r"[,;:. ]*(?=[,;:.!?])", "", text)
    return re.sub(r"\s{2,}", " ", text).strip(" ,;:.!?")


def _spellings(title: str) -> list[tuple[str, ...]]:
    """The ways a title is written: as it is, without its year, and with its article in front."""
    year = _YEAR.search(title)
    name = title[: year.start()] if year else title
    last = _ARTICLE_LAST.match(name)
    names = [name] if last is None else [name, f"{last[2]} {last[1]}"]
    whole = [f"{one} {year[1]}" for one in names] if year else []
    spelled = [tuple(map(folded, WORD.findall(one))) for one in (*names, *whole)]
    return [words for words in dict.fromkeys(spelled) if 0 < len(words) <= LONGEST_TITLE]
