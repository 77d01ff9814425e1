"""The parts of a recommender, by default, by name or as given, checked before anything is encoded."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from coldstart._arguments import did_you_mean
from coldstart._messages import shown
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
"""Methods that a part of each role must have: all of one of these groups."""


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
            f"got {shown(given)}{meant or '.'}"
        )
    return names[given.lower()]()


def checked_fuser(given: Fuser | str | None) -> Fuser:
    """Return a fuser: the given or named one, or the default.

    Raises
    ------
    InvalidInputError
        When it is no fuser.
    """
    fuser: Fuser = _checked("fuser", given)
    return fuser


def checked_ranker(given: Ranker | VectorRanker | str | None) -> Ranker | VectorRanker:
    """Return a ranker: the given or named one, or the default; raises as ``checked_fuser``."""
    ranker: Ranker | VectorRanker = _checked("ranker", given)
    return ranker


def checked_index(given: Index | str | None) -> Index:
    """Return an index: the given or named one, or the default; raises as ``checked_fuser``."""
    index: Index = _checked("index", given)
    return index


def checked_lexical(given: LexicalEncoder | bool | None) -> LexicalEncoder | None:
    """Return a lexical encoder: the given one, the default for True, None for False and None.

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
    """Return the given encoder, or those of several fields, or the default.

    Raises
    ------
    InvalidInputError
        When one of them is no encoder.
    """
    if given is None:
        return TextEncoder()
    for one in given.values() if isinstance(given, Mapping) else [given]:
        _check_part("encoder", one)
    return given


def _checked(role: str, given: Any) -> Any:
    """Return the part of a role: the given or named one, or the default."""
    part = next(iter(NAMED[role].values()))() if given is None else named_part(role, given)
    _check_part(role, part)
    return part


def _check_part(role: str, part: Any) -> None:
    """Raise unless a part is an object with the methods of its role."""
    if isinstance(part, type):
        raise InvalidInputError(f"`{role}` must be an object; got the class {part.__name__}. Pass {part.__name__}().")
    groups = _METHODS[role]
    has_methods = any(all(callable(getattr(part, name, None)) for name in group) for group in groups)
    if isinstance(part, str) or not has_methods:  # str.encode makes any text look like an encoder
        needed = _or([" and ".join(group) for group in groups])
        hint = f"TextEncoder({shown(part)})" if role == "encoder" and isinstance(part, str) else _example(role)
        word = "method" if sum(map(len, groups)) == 1 else "methods"
        raise InvalidInputError(f"`{role}` must have the {word} {needed}; got {shown(part)}. Pass {hint}.")


def _example(role: str) -> str:
    """Return code that makes a part of a role, for a message."""
    if role in NAMED:
        default: Any = next(iter(NAMED[role].values()))
        return f"{default.__name__}()"
    return "TextEncoder()" if role == "encoder" else "LexicalEncoder()"


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
