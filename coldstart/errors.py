"""Every error and warning the library raises on purpose.

Messages have one form: the name of the thing, the bound it broke, what was got, and what to do.
Each error is also an instance of the built-in error that older handlers would catch.
"""


class ColdstartError(Exception):
    """Base class: ``except ColdstartError`` catches all errors of this library."""


class InvalidInputError(ColdstartError, ValueError):
    """An argument or a piece of data that breaks a stated bound."""


class ArgumentError(InvalidInputError, TypeError):
    """A call with an argument that the function does not have, or without one that it needs."""


class UnknownIdError(ColdstartError, KeyError):
    """A user or item id that the recommender has never been told about."""

    def __str__(self) -> str:
        """Return the message itself; ``KeyError`` would show its ``repr``."""
        return str(self.args[0]) if self.args else ""


class NotFittedError(ColdstartError, ValueError, AttributeError):
    """A part was used before its ``fit``."""


class MissingExtraError(ColdstartError, ImportError):
    """An optional package is needed and not installed."""


class WeightsNotFoundError(ColdstartError, OSError):
    """Encoder weights are neither on this machine nor obtainable."""


class SavedFolderError(ColdstartError, ValueError):
    """A saved folder (or cache) is incomplete, altered, or of an unknown format."""


class TrainingError(ColdstartError, ArithmeticError):
    """Training went astray: a loss that is not a number."""


class ColdstartWarning(UserWarning):
    """Something was handled, and the caller should know: dropped clicks, for example."""


MALFORMED = (
    *(KeyError, IndexError, AttributeError, TypeError, ValueError, ArithmeticError),
    *(RecursionError, MemoryError, NotImplementedError),
)
"""What Python and numpy raise when data are not what a reader takes them for; readers turn it into one clear error."""
