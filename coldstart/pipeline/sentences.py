"""Parse a query: titles that the user likes or dislikes, and what they want to avoid.

"something like Inception but lighter, no horror" has a liked title, *Inception*, a text to avoid, "horror", and a text
to search for, "something like Inception but lighter". The liked title stays in the text: it tells a language model much
about the topic. The rules are patterns of English; a text in another language matches none of them and stays whole.

Patterns are narrow on purpose. A query that is parsed wrongly costs more than one that is searched for as it stands, so
what is not plainly a like or a negation is left alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coldstart.encoders._texts import WORD, folded
from coldstart.encoders.lexical import KINDS, STOP_WORDS

LONGEST_REQUEST = 2_000
"""Characters of the longest text that is parsed: a longer one is a document, not a request, and stays whole."""

LONGEST_TITLE, LONGEST_NEGATION = 12, 4
"""Words of the longest title, and of the longest text to avoid."""

LIKED = (
    r"(?:something|anything|stuff|more|films?|movies?|books?|songs?|games?|shows?|series|just|much|is|feels?|looks?"
    r"|sounds?) like|^like|similar to|akin to|reminiscent of|such as|along the lines of|as good as"
    r"|in the (?:style|vein|spirit|manner) of|reminds? me of|fans? of|likes?|liked|loves?|loved|enjoy(?:s|ed)?|adored?"
)
"""Cues before a title that the user likes."""

USED = r"watched|saw|seen|read|played|heard|finished|bought"
"""Cues before a title that the user knows. It counts as liked; denied ("not seen"), it says nothing."""

DISLIKED = r"hate[sd]?|dislike[sd]?|unlike|(?:can(?:no|')t|couldn't) stand"
"""Cues before a title that the user dislikes; a denied ``LIKED`` is another."""

NEGATION = (
    r"without|w/o|no|nothing|not|isn't|aren't|except(?: for)?|excluding|anything but|other than|instead of|rather than"
    r"|minus the|avoid(?:ing)?|(?:do|does)(?:n't| not) (?:really )?(?:want|like|enjoy|need|feel like)"
    r"|does(?:n't| not) (?:have|contain|include)|(?:i|we) (?:really )?(?:hate|dislike|(?:can(?:no|')t|couldn't) stand)"
)
"""Cues before words to avoid."""

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
"""Words after a cue of ``NEGATION`` that make it a phrase with another meaning: "not only", "no problem"."""

AUXILIARY = r"(?:have|has|had|did|do|does|could|would|can|can't|may|might|should|will|why|whether|or|try|what|rather)"
"""Words before "not" that tie it to their verb: "could not"."""

CLAUSE_END = (
    r"[.,;:!?()]|\b(?:but|please|i|we|that|which|who|because|though|just|only|with|for|from|about|tonight"
    r"|(?:and|or) (?:i|something|anything|a|an|has|is|it|not|without|no|with|for|from))\b"
)
"""Where the words that a negation refers to end, at the latest."""

FOREIGN = frozenset(
    (  # noqa: SIM905
        "un una um uma el los las del que o os il gli les des une est der das und ist ein eine kein mit"
    ).split()
)
"""Function words of other languages that are not English words: a text with one of them has no English negation."""

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
_UNINFORMATIVE = STOP_WORDS | KINDS
_CONJUNCTIONS = frozenset(["and", "or", "also"])


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query, parsed.

    Attributes
    ----------
    text : str or None
        What to search for: the query without what is to be avoided; None when only stop words are left.
    avoided : str or None
        What is to be avoided, in words.
    liked, disliked : tuple of int
        Rows of the items whose titles it contains.
    """

    text: str | None
    avoided: str | None = None
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()


class Titles:
    """Look up items by title.

    A title matches with or without its year, and with a trailing article ("Matrix, The") also put first. Case, accents
    and punctuation do not matter.

    Examples
    --------
    >>> titles = Titles(["The Matrix (1999)", "Alien", "Alien", "Heat"])
    >>> titles.rows(["the", "matrix"]), titles.rows(["alien"])
    ((0,), (1, 2))
    """

    def __init__(self, titles: Sequence[object]) -> None:
        self._rows: dict[tuple[str, ...], list[int]] = {}
        for row, title in enumerate(titles):
            if isinstance(title, str) and len(title) <= LONGEST_REQUEST:  # no longer text is parsed for titles
                for words in _spellings(title):
                    self._rows.setdefault(words, []).append(row)

    def rows(self, words: Sequence[str]) -> tuple[int, ...]:
        """Return the rows of all items with this title, given as its folded words."""
        return tuple(self._rows.get(tuple(words), ()))


def has_cues(text: str) -> bool:
    """Whether a text has a cue of a like, a dislike or a negation, so that it is worth parsing."""
    text = _straighten(text)
    return len(text) <= LONGEST_REQUEST and bool(_LIKES.search(text) or _NEGATED.search(text))


def parse_query(text: str, titles: Titles) -> ParsedQuery:
    """Parse a query into a text to search for, a text to avoid, and liked and disliked titles.

    A title counts when a cue such as "like" or "loved" stands before it; in a denial, or after "hated", it is a
    dislike. The longest title wins. A title of a single common word must be written with a capital letter after a verb
    ("I like Heat"), since "I like music" names no film.

    Examples
    --------
    >>> parse_query("something like the matrix but lighter, no horror please", Titles(["The Matrix", "Heat"]))
    ParsedQuery(text='something like the matrix but lighter, please', avoided='horror', liked=(0,), disliked=())
    """
    if not has_cues(text):
        return ParsedQuery(text)
    # One apostrophe replaces another, so positions in `plain` are positions in `text`, of which the results are cut.
    plain = _straighten(text)
    liked: list[int] = []
    disliked: list[int] = []
    removed: list[tuple[int, int]] = []
    avoided: list[str] = []
    # Cues inside a title are none: "No Country for Old Men" denies nothing.
    title_spans = list(_title_spans(plain, titles))
    for cue in _LIKES.finditer(plain):
        denied = _DENIED.search(plain[: cue.start()])
        if _overlaps(cue.span(), title_spans) or (denied and cue["used"]):
            continue
        rows, end = _titles_after(plain, cue.end(), titles, bool(_VERB.match(cue.group())))
        if denied or cue["disliked"]:
            disliked += rows
            removed += [(denied.start() if denied else cue.start(), end)] * bool(rows)
        else:
            liked += rows
    for cue in _negations(plain):
        # What the first loop removed is a dislike already: "I hate Alien" must not also avoid the word "alien".
        if _overlaps(cue.span("cue"), [*title_spans, *removed]):
            continue
        rows, end = _titles_after(plain, cue.end("cue"), titles, is_verb=True)
        disliked += rows
        if not rows:
            end = _end_of_negated(plain, cue)
            avoided += [text[cue.end() : end]] * bool(end)
        removed += [(cue.start(), end)] * bool(end)
    if not removed:
        return ParsedQuery(text, liked=tuple(dict.fromkeys(liked)))
    rest = _remove_spans(text, sorted(removed))
    informative = any(folded(word) not in _UNINFORMATIVE for word in WORD.findall(rest))
    return ParsedQuery(
        rest if informative else None,
        ", ".join(avoided) or None,
        # A title under both cues, as in "like Heat but not Heat", is a dislike.
        tuple(dict.fromkeys(row for row in liked if row not in disliked)),
        tuple(dict.fromkeys(disliked)),
    )


def _straighten(text: str) -> str:
    """Replace typographic apostrophes, which phones insert, by the straight ones of the patterns."""
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _titles_after(text: str, end: int, titles: Titles, is_verb: bool) -> tuple[list[int], int]:
    """Return the rows of the titles listed from ``end`` on, and where the list ends."""
    words = list(WORD.finditer(text, end))
    rows: list[int] = []
    at = 0
    while at < len(words) and not re.search(r"[.!?;:]", text[end : words[at].start()]):
        # One word more than the longest title: whether a single word is a title depends on the next one.
        match = _longest_title(text, words[at : at + LONGEST_TITLE + 1], titles, is_verb)
        if match:
            row, length = match
            rows.append(row)
            at += length
            end = words[at - 1].end()
            end += 1 if text[end : end + 1] == ")" else 0  # "Heat (1995)": its last word ends before the bracket
        elif folded(words[at].group()) in _FILLER or (rows and folded(words[at].group()) in _CONJUNCTIONS):
            at += 1
        else:
            break
    return rows, end


def _longest_title(text: str, words: Sequence[re.Match[str]], titles: Titles, is_verb: bool) -> tuple[int, int] | None:
    """Return the row of the longest title that the words begin with, and its length in words; None when ambiguous."""
    spelled = [folded(word.group()) for word in words]
    for length in range(min(len(words), LONGEST_TITLE), 0, -1):
        rows = titles.rows(spelled[:length])
        if not rows:
            continue
        # A number behind it makes another title, a year or a sequel that the catalogue lacks: "Alien 3".
        unique = len(rows) == 1 and not _NUMBER.match(text, words[length - 1].end())
        return (rows[0], length) if unique and (length > 1 or _is_title_word(text, words, is_verb)) else None
    return None


def _is_title_word(text: str, words: Sequence[re.Match[str]], is_verb: bool) -> bool:
    """Whether a single word is meant as a title: "I like Heat", not "I like music" nor "I love Frozen food"."""
    first = words[0]
    if first.group().islower() and (is_verb or first.group() in STOP_WORDS):
        return False
    if len(words) == 1 or not is_verb:
        return True
    apart = re.search(r"\S", text[first.end() : words[1].start()])
    return bool(apart) or folded(words[1].group()) in STOP_WORDS


def _title_spans(text: str, titles: Titles) -> Iterator[tuple[int, int]]:
    """Yield start and end of each title of two words or more."""
    words = list(WORD.finditer(text))
    spelled = [folded(word.group()) for word in words]
    for at in range(len(words)):
        ends = range(min(at + LONGEST_TITLE, len(words)), at + 1, -1)
        end = next((end for end in ends if titles.rows(spelled[at:end])), None)
        if end is not None:
            yield words[at].start(), words[end - 1].end()


def _overlaps(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def _negations(text: str) -> Iterator[re.Match[str]]:
    """Yield the cues of plain English negations."""
    if any(folded(word) in FOREIGN for word in WORD.findall(text)):
        return
    for cue in _NEGATED.finditer(text):
        if cue["cue"].lower() != "not" or not _AUXILIARY.search(text[: cue.start()]):
            yield cue


def _end_of_negated(text: str, cue: re.Match[str]) -> int:
    """Return where the words that a cue negates end; 0 when all of them are stop words."""
    stop = _CLAUSE_END.search(text, cue.end())
    words = list(WORD.finditer(text, cue.end(), stop.start() if stop else len(text)))[:LONGEST_NEGATION]
    informative = any(folded(word.group()) not in _UNINFORMATIVE for word in words)
    return words[-1].end() if informative else 0


def _remove_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Cut spans out of a text, with the punctuation and conjunctions that joined them to the rest."""
    # From the last to the first, so that the positions of the others stay valid.
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
    """Return the folded words of a title as it is, without its year, and with its trailing article in front."""
    year = _YEAR.search(title)
    name = title[: year.start()] if year else title
    last = _ARTICLE_LAST.match(name)
    names = [name] if last is None else [name, f"{last[2]} {last[1]}"]
    whole = [f"{one} {year[1]}" for one in names] if year else []
    spelled = [tuple(map(folded, WORD.findall(one))) for one in (*names, *whole)]
    return [words for words in dict.fromkeys(spelled) if 0 < len(words) <= LONGEST_TITLE]
