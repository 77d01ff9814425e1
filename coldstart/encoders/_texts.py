"""The check every text encoder makes first."""

from collections.abc import Sequence

from coldstart.errors import InvalidInputError


def checked_texts(values: Sequence[str], owner: str) -> list[str]:
    """Return the values as a list, or say which one is not text.

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
    return texts
