"""Threads on the CPU: how many a computation may use."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, BackendError


def get_num_threads() -> int:
    """How many threads the backend in use multiplies matrices with; 1 where it does not say.

    >>> tx.get_num_threads() >= 1
    True
    """
    return backends.current().get_threads() or 1


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
    if not backends.current().set_threads(n):
        raise BackendError(
            f"the threads of the backend {backends.current().name!r} cannot be set here; set "
            "OPENBLAS_NUM_THREADS, MKL_NUM_THREADS or OMP_NUM_THREADS before Python starts"
        )


@contextmanager
def limited(n: int) -> Iterator[None]:
    """At most n threads inside a ``with`` block, where that can be set."""
    backend = backends.current()
    before = backend.get_threads()
    if before is None or before <= n:
        yield
        return
    backend.set_threads(n)
    try:
        yield
    finally:
        backend.set_threads(before)
