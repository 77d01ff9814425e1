"""Vectors of what was asked lately."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray


class RecentVectors:
    """The vectors of the last keys that were asked for; the one that was used longest ago goes first.

    Threads may share it.

    Parameters
    ----------
    size : int
        Vectors kept.

    Examples
    --------
    >>> recent = RecentVectors(size=2)
    >>> recent.rows(["a", "b", "a"], lambda keys: np.arange(len(keys))[:, None])
    array([[0],
           [1],
           [0]])
    >>> recent.rows(["b"], lambda keys: np.zeros((len(keys), 1)))
    array([[1]])
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = Lock()
        self._vectors: OrderedDict[Hashable, FloatArray] = OrderedDict()

    def rows(self, keys: Sequence[Any], encode: Callable[[list[Any]], FloatArray]) -> FloatArray:
        """Return one vector per key; ``encode`` is asked for those that are not known, each once."""
        with self._lock:
            known = {key: self._vectors[key] for key in keys if key in self._vectors}
        absent = [key for key in dict.fromkeys(keys) if key not in known]
        if absent or not keys:
            fresh = encode(absent)
            if not keys:
                return fresh
            known.update({key: row.copy() for key, row in zip(absent, fresh, strict=True)})
        self._keep({key: known[key] for key in keys})
        return np.stack([known[key] for key in keys])

    def _keep(self, used: dict[Any, FloatArray]) -> None:
        with self._lock:
            for key, vector in used.items():
                self._vectors[key] = self._vectors.pop(key, vector)
            while len(self._vectors) > self.size:
                self._vectors.popitem(last=False)
