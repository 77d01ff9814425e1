"""Requests to a recommender, and the recommendations it returns."""

import html
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from coldstart._arguments import explain_arguments
from coldstart._extras import as_frame
from coldstart._messages import shown
from coldstart.data.tables import checked_ids, id_tuple, is_missing
from coldstart.errors import InvalidInputError


@explain_arguments()
@dataclass(frozen=True, slots=True)
class Request:
    """Everything that one answer is computed from; all parts are optional and combine.

    Attributes
    ----------
    user : hashable, optional
        An id of the interactions, whose history is used.
    history : sequence of item ids
        Further items the user likes, of this session or from elsewhere.
    disliked : sequence of item ids
        Items the user dislikes; never returned.
    query : str, optional
        What the user wants now, in words.
    profile : str, or mapping of str to str, optional
        Who the user is, in words: ``"cyclist, lives in Oslo"`` or ``{"job": "nurse"}``.
    exclude : sequence of item ids
        Items never to return to this user.

    Examples
    --------
    >>> Request(query="slow mystery", history=["m12"])
    Request(query='slow mystery', history=('m12',))
    """

    user: Hashable | None = None
    history: Sequence[Hashable] = ()
    disliked: Sequence[Hashable] = ()
    query: str | None = None
    profile: str | Mapping[str, str] | None = None
    exclude: Sequence[Hashable] = ()

    def __post_init__(self) -> None:
        if self.user is not None:
            object.__setattr__(self, "user", checked_ids([self.user], "user")[0])
        for name in ("history", "disliked", "exclude"):
            ids = getattr(self, name)
            if not isinstance(ids, tuple) or ids:
                object.__setattr__(self, name, id_tuple(ids, name))
        if isinstance(self.profile, Mapping):
            cells = {k: v for k, v in self.profile.items() if not is_missing(v)}
            object.__setattr__(self, "profile", ". ".join(f"{k}: {v}" for k, v in cells.items()))
        for name in ("query", "profile"):
            object.__setattr__(self, name, _text(getattr(self, name), name))

    def __repr__(self) -> str:
        parts = {"user": self.user, "query": self.query, "profile": self.profile}
        lists = {"history": self.history, "disliked": self.disliked, "exclude": self.exclude}
        shown = {k: v for k, v in parts.items() if v is not None} | {k: v for k, v in lists.items() if v}
        return f"Request({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


Shares: TypeAlias = list[list[dict[str, float]]]
"""Of each item of each row: the share of each source, by its name."""


class Recommendation(NamedTuple):
    """One recommended item."""

    item_id: Hashable
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class Recommendations:
    """Ranked items, one row per request; a row is shorter than ``k`` when filters leave fewer.

    Attributes
    ----------
    item_ids : list of lists of item ids
        Best first.
    scores : list of lists of float
        Comparable within a row.
    titles : mapping of item id to str
        Text to show beside an id.
    sharing, fitting : callable or None
        Compute ``contributions`` and ``fits``. Both take time, so they are computed when they are used.

    Examples
    --------
    >>> result = Recommendations([["a", "b"]], [[0.9, 0.4]], {"a": "Alien"})
    >>> result
    1. Alien [a] 0.900
    2. b 0.400
    >>> [item_id for item_id, score in result[0]]
    ['a', 'b']
    """

    item_ids: list[list[Hashable]]
    scores: list[list[float]]
    titles: Mapping[Hashable, str]
    sharing: Callable[[], Shares] | None = field(default=None, compare=False)
    fitting: Callable[[], list[bool]] | None = field(default=None, compare=False)

    @property
    def fits(self) -> list[bool]:
        """Whether any item matches the text of each request; True where it has no text, or the ranker cannot tell.

        False where no item has a word of the query, or one that is spelled like it, and none is near it in meaning: the
        list is then no answer to the query, which a page should say.
        """
        return [True] * len(self) if self.fitting is None else self.fitting()

    @property
    def contributions(self) -> Shares:
        """How much each source brought to the score of each item: a dict of shares that sum to 1.

        "lexical": exact words of the query or profile; "content": the meaning of the query, or of the texts of liked
        items; "collaborative": who clicked what; "popularity". Empty for a ranker that cannot tell.
        """
        return [[{} for _ in row] for row in self.item_ids] if self.sharing is None else self.sharing()

    @property
    def experts(self) -> Shares:
        """The former name of ``contributions``."""
        warnings.warn("Recommendations.experts is now `contributions`.", DeprecationWarning, stacklevel=2)
        return self.contributions

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.item_ids, self.scores, self.titles)  # the callables would take the model along

    def __len__(self) -> int:
        return len(self.item_ids)

    def __getitem__(self, row: int) -> list[Recommendation]:
        return [Recommendation(*pair) for pair in zip(self.item_ids[row], self.scores[row], strict=True)]

    def __iter__(self) -> Iterator[list[Recommendation]]:
        return (self[row] for row in range(len(self)))

    def to_frame(self) -> Any:
        """Return the columns ``request``, ``rank``, ``item_id``, ``title`` and ``score``.

        As a pandas frame; without pandas, as a dict of columns.
        """
        rows = [(row, rank, hit) for row, hits in enumerate(self) for rank, hit in enumerate(hits, 1)]
        columns: dict[str, list[Any]] = {
            "request": [row for row, _, _ in rows],
            "rank": [rank for _, rank, _ in rows],
            "item_id": [hit.item_id for _, _, hit in rows],
            "title": [self.titles.get(hit.item_id) for _, _, hit in rows],
            "score": [hit.score for _, _, hit in rows],
        }
        return as_frame(columns)

    def __repr__(self) -> str:
        fits = self.fits[:5]
        shown = [
            "\n".join(
                [*(self._lines(row) or ["(no items left)"]), *([] if fit else ["(nothing fits these words well)"])]
            )
            for row, fit in enumerate(fits)
        ]
        if len(self) > 1:
            shown = [f"request {row}\n{text}" for row, text in enumerate(shown)]
        more = [f"... {len(self) - 5:,} more requests"] if len(self) > 5 else []
        return "\n".join(shown + more) or "(no requests)"

    def _repr_html_(self) -> str:
        head = "<tr><th>request</th><th>rank</th><th>item</th><th>title</th><th>score</th></tr>"
        body = [
            f"<tr><td>{row}</td><td>{rank}</td><td>{html.escape(str(hit.item_id))}</td>"
            f"<td>{html.escape(self.titles.get(hit.item_id, ''))}</td><td>{hit.score:.3f}</td></tr>"
            for row, hits in enumerate(self)
            for rank, hit in enumerate(hits, 1)
        ]
        poor = [str(row) for row, fit in enumerate(self.fits) if not fit]
        note = f"<p>Nothing fits the words of request {', '.join(poor)} well.</p>" if poor else ""
        return f"<table>{head}{''.join(body)}</table>{note}"

    def _lines(self, row: int) -> list[str]:
        names = [self._name(item_id) for item_id in self.item_ids[row]]
        ranked = zip(names, self.scores[row], strict=True)
        return [f"{rank}. {name} {score:.3f}" for rank, (name, score) in enumerate(ranked, 1)]

    def _name(self, item_id: Hashable) -> str:
        title = self.titles.get(item_id)
        return f"{title} [{item_id}]" if title else str(item_id)


def _text(text: Any, name: str) -> str | None:
    """Return a query or profile, None where it is missing; raise where it is no text."""
    if is_missing(text):
        return None
    if not isinstance(text, str):
        raise InvalidInputError(f"`{name}` must be text; got {shown(text)}.")
    return text
