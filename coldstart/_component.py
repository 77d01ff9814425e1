"""What encoders, fusers and rankers share: parameters, repr, learned state.

Constructors only store; what ``fit`` learns is kept in attributes that end in ``_``.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import Self

from coldstart.errors import NotFittedError

SAVED: dict[str, type["Component"]] = {}
"""Classes that a saved folder may name: those declared with ``saved=True``. No others are built from a folder."""


class Component:
    """A part whose parameters are the arguments of its constructor.

    Examples
    --------
    >>> class Scale(Component):
    ...     def __init__(self, factor=1.0):
    ...         self.factor = factor
    >>> Scale(2.0)
    Scale(factor=2.0)
    >>> Scale(2.0).get_params()
    {'factor': 2.0}
    """

    def __init_subclass__(cls, saved: bool = False, **options: Any) -> None:
        """Note a class of this library that saved folders may name."""
        super().__init_subclass__(**options)
        if saved:
            SAVED[cls.__name__] = cls

    retired: ClassVar[frozenset[str]] = frozenset()
    """Parameters that saved parts of earlier versions may have, and that mean nothing any more."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments.

        ``deep`` is there for scikit-learn, whose ``clone`` works on every part; parts inside a part are returned whole.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def get_state(self) -> dict[str, Any]:
        """Return what was learned: attributes whose name ends in ``_``."""
        return {n: v for n, v in vars(self).items() if n.endswith("_") and not n.startswith("_")}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take over what another instance learned."""
        vars(self).update(state)
        return self

    def check_fitted(self, attribute: str, by: str = "fit") -> None:
        """Raise unless ``attribute`` was learned ``by`` the method of that name.

        Raises
        ------
        NotFittedError
            Naming the part.
        """
        if not hasattr(self, attribute):
            name = type(self).__name__
            raise NotFittedError(f"{name} must be fitted before it is used; call {name}.{by} first.")

    def __repr__(self) -> str:
        defaults = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        shown = {
            n: _short(v)
            for n, v in self.get_params().items()
            if v is not defaults[n] and _short(v) != _short(defaults[n])
        }
        return f"{type(self).__name__}({', '.join(f'{n}={v}' for n, v in shown.items())})"


def _short(value: Any) -> str:
    """The repr of a value; of an array its shape."""
    if isinstance(value, tuple) and any(hasattr(part, "shape") for part in value):
        return f"({', '.join(map(_short, value))})"
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"<{type(value).__name__} of shape {shape}>"
