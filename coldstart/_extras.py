"""Import optional packages, with one message where they are not installed."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from coldstart.errors import MissingExtraError


def require(module: str, *, extra: str, by: str) -> ModuleType:
    """Import an optional package, or raise an error that says how to install it.

    Parameters
    ----------
    module : str
        Import name, for example ``"pyarrow.parquet"``.
    extra : str
        The extra of this distribution that installs it.
    by : str
        What needs it, for the message.

    Raises
    ------
    MissingExtraError
        When the package is not installed.

    Examples
    --------
    >>> require("json", extra="none", by="this example").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{by} needs the package `{package}`, which is not installed. Run: pip install 'coldstart-rec[{extra}]', "
            f"or '.[{extra}]' in a clone of the repository."
        ) from error


def as_frame(columns: Mapping[str, list[Any]]) -> Any:
    """Return columns as a pandas frame, or as a dict where pandas is not installed."""
    if find_spec("pandas") is None:
        return dict(columns)
    return require("pandas", extra="pandas", by="to_frame").DataFrame(columns)
