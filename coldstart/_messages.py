"""Values as error messages quote them: never more than a line or two, whatever a caller passes."""

import reprlib
from typing import Any

LONGEST = 200
"""Letters of a value that a message quotes at most."""


class _Quoting(reprlib.Repr):
    """Build the repr of a few parts only: that of five million letters would take as much memory as they do."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxset = self.maxfrozenset = self.maxdict = 20
        self.maxstring = self.maxother = LONGEST

    def repr_int(self, x: int, level: int) -> str:
        """Return an int in digits, unless there are so many that Python may refuse to write them."""
        return repr(x) if x.bit_length() < 2 * LONGEST else f"<int of {x.bit_length():,} bits>"

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Return the begin of some bytes."""
        return repr(x[:LONGEST])


_QUOTING = _Quoting()


def shown(value: Any) -> str:
    """Return the repr of a value as messages quote it: its middle is left out where it is longer than 200 letters.

    Examples
    --------
    >>> shown(["sku", 7]), len(shown("x" * 5_000_000)) <= LONGEST
    ("['sku', 7]", True)
    """
    return shortened(_QUOTING.repr(value))


def shortened(text: object) -> str:
    """Return a text, such as that of an error of another library, with its end left out after 200 letters."""
    text = str(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
