"""Libraries that compute in threads of OpenMP, in forked processes."""

import os
from collections.abc import Callable
from functools import cache


@cache
def survive_forks(set_threads: Callable[[int], None]) -> None:
    """Have a library compute in one thread in processes that this one forks; called before it first computes here.

    The threads that it has started exist in the parent only. The OpenMP of GCC does not notice, and would wait for them
    in the child for ever. A single thread waits for nobody.

    Parameters
    ----------
    set_threads : callable
        Function of the library that sets how many threads it computes in, such as ``torch.set_num_threads``.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: set_threads(1))
