"""What encoders, fusers, rankers and indexes share: parameters, repr, learned state.

Constructors only store their arguments; what ``fit`` learns is kept in attributes that end in ``_``. So parameters and
state can be told apart by name alone, and saving a part needs no code of its own.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import Self

from coldstart.errors import NotFittedError

SAVED: dict[str, type["Component"]] = {}
"""Classes that a saved folder may name, by their name there: those declared with ``saved=``. No others are built from a
folder, so that loading one never runs code that came with it."""


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

    saved_name: ClassVar[str] = "Component"
    """What saved folders call the class."""

    def __init_subclass__(cls, saved: bool | str = False, **options: Any) -> None:
        """Register a class that saved folders may name, by its own name or, when it was renamed, by an older one."""
        super().__init_subclass__(**options)
        cls.saved_name = saved if isinstance(saved, str) else cls.__name__
        if saved:
            SAVED[cls.saved_name] = cls

    retired: ClassVar[frozenset[str]] = frozenset()
    """Parameters of earlier versions, which saved parts may have and which are ignored."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments.

        ``deep`` changes nothing: scikit-learn's ``clone`` passes it, and parts inside a part are returned whole.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def get_state(self) -> dict[str, Any]:
        """Return what was learned: attributes whose name ends in ``_``."""
        return {n: v for n, v in vars(self).items() if n.endswith("_") and not n.startswith("_")}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Set what another instance learned, see ``get_state``; return the part itself."""
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
        # Reprs are compared as well: an array or a part equal to the default may be another object.
        shown = {
            n: _short(v)
            for n, v in self.get_params().items()
            if v is not defaults[n] and _short(v) != _short(defaults[n])
        }
        return f"{type(self).__name__}({', '.join(f'{n}={v}' for n, v in shown.items())})"


def _short(value: Any) -> str:
    """Return the repr of a value; of an array, only type and shape."""
    if isinstance(value, tuple) and any(hasattr(part, "shape") for part in value):
        return f"({', '.join(map(_short, value))})"
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"<{type(value).__name__} of shape {shape}>"
