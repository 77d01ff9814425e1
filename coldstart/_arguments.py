"""Calls with the wrong arguments, answered by what the caller may have meant."""

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from coldstart.errors import ArgumentError

_T = TypeVar("_T", bound=Callable[..., Any])

MEANT = {
    "n": ("k",),
    "top_k": ("k",),
    "topk": ("k",),
    "top_n": ("k",),
    "limit": ("k",),
    "size": ("k",),
    "num_items": ("k",),
    "text": ("query",),
    "q": ("query",),
    "search": ("query",),
    "prompt": ("query",),
    "queries": ("requests",),
    "user_id": ("user",),
    "uid": ("user",),
    "user_ids": ("users",),
    "liked": ("history",),
    "likes": ("history",),
    "seen": ("history",),
    "item": ("item_id",),
    "item_id": ("item", "history"),
    "id": ("item_id", "user"),
    "item_ids": ("history", "candidates"),
    "items": ("catalog", "history"),
    "clicks": ("interactions",),
    "ratings": ("interactions",),
    "columns": ("fields",),
    "filter": ("where",),
    "filters": ("where",),
    "blacklist": ("exclude",),
}
"""What other libraries, or plain words, call arguments of ours: the first that a function has is meant."""


def explain_arguments(hint: str = "") -> Callable[[_T], _T]:
    """Decorate a function, an ``__init__`` or a class, so that a wrong call says what to do.

    The signature stays as it is, for type checkers and for ``help``.

    Parameters
    ----------
    hint : str
        What to do instead, for a call that lacks arguments or has too many.

    Examples
    --------
    >>> @explain_arguments()
    ... def recommend(query=None, *, k=10):
    ...     return k
    >>> recommend(k=3)
    3
    >>> recommend(top_k=3)
    Traceback (most recent call last):
    coldstart.errors.ArgumentError: recommend has no argument `top_k`; did you mean `k`?
    """

    def decorate(decorated: _T) -> _T:
        if not isinstance(decorated, type):
            *_, owner, name = ("", *decorated.__qualname__.split("."))
            explained: _T = _explained(decorated, owner if name == "__init__" else name, hint)
            return explained
        made: Any = decorated
        made.__init__ = _explained(made.__init__, decorated.__name__, hint)
        return decorated

    return decorate


def _explained(function: Any, name: str, hint: str) -> Any:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            said = _what_is_wrong(signature, args, kwargs) or f": {error}."
            raise ArgumentError(f"{name}{said} {hint}".strip()) from None
        return function(*args, **kwargs)

    return explained


def _what_is_wrong(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """An argument that the function does not have, or one that needs its name; nothing when it is neither."""
    known = [word for word in signature.parameters if word not in ("self", "cls")]
    unknown = [word for word in kwargs if word not in known]
    if unknown:
        return _no_argument(unknown[0], known)
    named = [word for word in known if signature.parameters[word].kind is inspect.Parameter.KEYWORD_ONLY]
    others = [word for word in known if word not in named]
    if named and len(args) > len(signature.parameters) - len(named):
        return f": pass all but {', '.join(f'`{word}`' for word in others)} by name."
    return ""


def _no_argument(word: str, known: list[str]) -> str:
    meant = did_you_mean(word, known, (one for one in MEANT.get(word.lower(), ()) if one in known))
    return f" has no argument `{word}`" + (meant or f"; its arguments are {', '.join(known)}.")


def did_you_mean(word: str, known: Iterable[str], better: Iterable[str] = ()) -> str:
    """Return the end of a message that names what is spelled almost so, nothing when nothing is.

    Examples
    --------
    >>> did_you_mean("hybird", ["cosine", "hybrid"])
    '; did you mean `hybrid`?'
    """
    found = [*better, *get_close_matches(word.lower(), list(known), n=1)]
    return f"; did you mean `{found[0]}`?" if found else ""
