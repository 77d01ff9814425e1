"""Error messages for wrong arguments that name the argument that the caller probably meant."""

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from coldstart.errors import ArgumentError

_T = TypeVar("_T", bound=Callable[..., Any])

SYNONYMS = {
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
"""Names that other libraries use, and the arguments here that mean the same: the first that a function has is named."""


def explain_arguments(hint: str = "") -> Callable[[_T], _T]:
    """Decorate a function, an ``__init__`` or a class, so that a wrong call raises an error that says what to do.

    The signature stays as it is, for type checkers and for ``help``.

    Parameters
    ----------
    hint : str
        End of the message, which says what to do.

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
        # Of a class the constructor is replaced, not the class: `isinstance`, pickling and subclasses stay as they are.
        cls: Any = decorated
        cls.__init__ = _explained(cls.__init__, decorated.__name__, hint)
        return decorated

    return decorate


def _explained(function: Any, name: str, hint: str) -> Any:
    """Return a function that checks a call against its signature first."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        # Bound beforehand rather than caught from the call, whose own TypeErrors have other reasons.
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            message = _message(signature, args, kwargs) or f": {error}."
            raise ArgumentError(f"{name}{message} {hint}".strip()) from None
        return function(*args, **kwargs)

    return explained


def _message(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return what is wrong: an unknown argument, or one that must be named; empty for any other error."""
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
    """Return the message for an unknown argument."""
    meant = did_you_mean(word, known, (one for one in SYNONYMS.get(word.lower(), ()) if one in known))
    return f" has no argument `{word}`" + (meant or f"; its arguments are {', '.join(known)}.")


def did_you_mean(word: str, known: Iterable[str], better: Iterable[str] = ()) -> str:
    """Return the end of a message that names what a word was probably meant to be; empty when nothing is close.

    Words of ``better`` come before those of ``known`` that are spelled alike.

    Examples
    --------
    >>> did_you_mean("hybird", ["cosine", "hybrid"])
    '; did you mean `hybrid`?'
    """
    candidates = [*better, *get_close_matches(word.lower(), list(known), n=1)]
    return f"; did you mean `{candidates[0]}`?" if candidates else ""
