"""What a recommender is made of: parts by name, by default or as given, checked before anything is encoded."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from coldstart._arguments import did_you_mean
from coldstart.base import Encoder, Fuser, Index, Ranker, VectorRanker
from coldstart.encoders.lexical import LexicalEncoder
from coldstart.encoders.text import TextEncoder
from coldstart.errors import InvalidInputError
from coldstart.fusers.attention import AttentionFuser
from coldstart.fusers.concat import ConcatFuser
from coldstart.fusers.weighted import WeightedFuser
from coldstart.index.exact import ExactIndex
from coldstart.rankers.cosine import CosineRanker
from coldstart.rankers.hybrid.ranker import HybridRanker
from coldstart.rankers.mlp.ranker import MLPRanker

FuserName: TypeAlias = Literal["concat", "weighted", "attention"]
RankerName: TypeAlias = Literal["hybrid", "cosine", "mlp"]

NAMED: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "fuser": {"concat": ConcatFuser, "weighted": WeightedFuser, "attention": AttentionFuser},
    "ranker": {"hybrid": HybridRanker, "cosine": CosineRanker, "mlp": MLPRanker},
    "index": {"exact": ExactIndex},
}
"""Parts that have a name, by role; the first is the default."""

_METHODS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "encoder": (("encode",),),
    "fuser": (("fit", "fuse"),),
    "ranker": (("fit", "score"), ("fit", "item_vectors", "user_vectors")),
    "index": (("build", "search"),),
    "lexical": (("fit", "encode", "encode_query"),),
}
"""What a part of each role must have, in one of these ways."""


def named_part(role: str, given: Any) -> Any:
    """Return the part that a name stands for, in letters of any case; anything else as it is.

    Raises
    ------
    InvalidInputError
        When no part of the role has the name.

    Examples
    --------
    >>> named_part("ranker", "Cosine")
    CosineRanker()
    """
    names = NAMED.get(role, {})
    if not isinstance(given, str) or not names:
        return given
    if given.lower() not in names:
        meant = did_you_mean(given, names)
        raise InvalidInputError(
            f"`{role}` must be {_or([repr(name) for name in names])}, or an object such as {_example(role)}; "
            f"got {given!r}{meant or '.'}"
        )
    return names[given.lower()]()


def checked_fuser(given: Fuser | str | None) -> Fuser:
    """Return the fuser given, by name or by default.

    Raises
    ------
    InvalidInputError
        When it is none.
    """
    fuser: Fuser = _checked("fuser", given)
    return fuser


def checked_ranker(given: Ranker | VectorRanker | str | None) -> Ranker | VectorRanker:
    """Return the ranker given, by name or by default; raises as ``checked_fuser``."""
    ranker: Ranker | VectorRanker = _checked("ranker", given)
    return ranker


def checked_index(given: Index | str | None) -> Index:
    """Return the index given or the default one; raises as ``checked_fuser``."""
    index: Index = _checked("index", given)
    return index


def checked_lexical(given: LexicalEncoder | bool | None) -> LexicalEncoder | None:
    """Return the reader of exact words: the one given, the usual one for True, none for False and None.

    Raises
    ------
    InvalidInputError
        When it is something else.
    """
    if given is None or isinstance(given, bool):
        return LexicalEncoder() if given else None
    _check_part("lexical", given)
    return given


def checked_encoder(given: Encoder | Mapping[str, Encoder] | None) -> Encoder | Mapping[str, Encoder]:
    """Return the encoder, or those of several fields, or the default.

    Raises
    ------
    InvalidInputError
        When one is none.
    """
    if given is None:
        return TextEncoder()
    for one in given.values() if isinstance(given, Mapping) else [given]:
        _check_part("encoder", one)
    return given


def _checked(role: str, given: Any) -> Any:
    """The part of a role, found by its name; the default when nothing is given."""
    part = next(iter(NAMED[role].values()))() if given is None else named_part(role, given)
    _check_part(role, part)
    return part


def _check_part(role: str, part: Any) -> None:
    """Raise unless it is an object with the methods of its role."""
    if isinstance(part, type):
        raise InvalidInputError(f"`{role}` must be an object; got the class {part.__name__}. Pass {part.__name__}().")
    ways = _METHODS[role]
    fits = any(all(callable(getattr(part, name, None)) for name in way) for way in ways)
    if isinstance(part, str) or not fits:  # a text has a method encode
        needed = _or([" and ".join(way) for way in ways])
        hint = f"TextEncoder({part!r})" if role == "encoder" and isinstance(part, str) else _example(role)
        word = "method" if sum(map(len, ways)) == 1 else "methods"
        raise InvalidInputError(f"`{role}` must have the {word} {needed}; got {part!r}. Pass {hint}.")


def _example(role: str) -> str:
    """A part of the role, as one would write it."""
    if role in NAMED:
        made: Any = next(iter(NAMED[role].values()))
        return f"{made.__name__}()"
    return "TextEncoder()" if role == "encoder" else "LexicalEncoder()"


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
