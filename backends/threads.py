"""Threads on the CPU: how many a computation may use.

A library has one number of threads for the whole process. So limits are counted: while several
hold, as of two Trainers in two threads, the least one counts, and the last to end brings back what
was before.
"""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tinyxp import backends
from tinyxp.backends.common.context import block
from tinyxp.errors import ArgumentError, BackendError


@dataclass
class _Limits:
    before: int  # threads without any limit
    held: list[int] = field(default_factory=list)


_limits: dict[Any, _Limits] = {}  # by the function that counts a library's threads
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # the child of a fork could find it locked for ever
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def get_num_threads() -> int:
    """How many threads the backend in use multiplies matrices with, where no ``Trainer`` limits
    them; 1 where it does not say.

    >>> tx.get_num_threads() >= 1
    True
    """
    backend = backends.current()
    with _lock:
        limits = _limits.get(backend.get_threads)
        return limits.before if limits is not None else backend.get_threads() or 1


def set_num_threads(n: int) -> None:
    """Let the backend in use multiply matrices with n threads, in the whole process.

    On numpy these are the threads of OpenBLAS. They help with large matrices; for small ones one
    thread is faster, and a ``Trainer`` that splits its batches uses one for each part (see
    ``Trainer.threads``). The sums of a product are taken in another order then, so that results
    differ in the last digits. Raises ArgumentError unless n is a whole number from 1 up,
    BackendError where threads cannot be set, as under a NumPy that was built with another BLAS.

    >>> tx.set_num_threads(tx.get_num_threads())
    """
    if type(n) is not int or n < 1:
        raise ArgumentError(f"set_num_threads expects a whole number from 1 up, got {n!r}")
    backend = backends.current()
    with _lock:
        limits = _limits.get(backend.get_threads)
        if limits is not None:
            limits.before = n
        done = backend.set_threads(n if limits is None else min(n, *limits.held))
    if not done:
        raise BackendError(
            f"the threads of the backend {backend.name!r} cannot be set here; set "
            "OPENBLAS_NUM_THREADS, MKL_NUM_THREADS or OMP_NUM_THREADS before Python starts"
        )


@block
def limited(n: int) -> Iterator[None]:
    """At most n threads inside a ``with`` block, where that can be set."""
    backend = backends.current()
    with _lock:
        found = backend.get_threads()
        limits = None if found is None else _limits.setdefault(backend.get_threads, _Limits(found))
        if limits is not None:
            limits.held.append(n)
            backend.set_threads(min(limits.before, *limits.held))
    try:
        yield
    finally:
        if limits is not None:
            with _lock:
                limits.held.remove(n)
                backend.set_threads(min([limits.before, *limits.held]))
                if not limits.held:
                    del _limits[backend.get_threads]
