"""A memory of recent vectors (least recently used go first), safe to share between threads."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from coldstart._arrays import FloatArray


class RecentVectors:
    """A cache of vectors by key that drops the least recently used one when it is full; threads may share it.

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
        """Return one vector per key, (n, dim); ``encode`` is called with the distinct keys that are not cached."""
        with self._lock:
            vectors = {key: self._vectors[key] for key in keys if key in self._vectors}
        missing = [key for key in dict.fromkeys(keys) if key not in vectors]
        # Encoding happens outside of the lock: other threads go on, at worst they encode the same key once more.
        if missing or not keys:
            fresh = encode(missing)
            if not keys:
                return fresh  # (0, dim): only the encoder knows the dim
            # Copied, because a row that is a view would keep the whole batch in memory.
            vectors.update({key: row.copy() for key, row in zip(missing, fresh, strict=True)})
        with self._lock:
            for key in dict.fromkeys(keys):
                self._vectors[key] = self._vectors.pop(key, vectors[key])  # taken out and put in: now the newest
            while len(self._vectors) > self.size:
                self._vectors.popitem(last=False)
        return np.stack([vectors[key] for key in keys])
