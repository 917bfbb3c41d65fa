"""Memory: that of a device, in numbers and in words, and that of this process."""

import ctypes
from typing import NamedTuple

from tinyxp.errors import BackendError

GIB = 1 << 30


class Memory(NamedTuple):
    """Bytes of the device: held by arrays, reserved now and at most, free, and in all."""

    used: int
    reserved: int
    most_reserved: int
    free: int
    total: int


def in_words(count: float) -> str:
    """A number of bytes in words.

    >>> in_words(512), in_words(3 << 20), in_words(5 << 29)
    ('512 B', '3.0 MiB', '2.5 GiB')
    """
    for unit, name in ((GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{int(count)} B"


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_memory() -> None:
    """Keep memory that this process frees, for its next arrays: on Linux, with glibc.

    tinyxp's kernels reuse their memory anyway; this is for NumPy's own temporary arrays and other
    libraries. Steps of small models get up to a third faster (bench/results), and the process does
    not shrink after its largest step. Raises BackendError where there is no glibc.

    >>> tx.keep_memory()  # doctest: +SKIP
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError) as error:
        raise BackendError(
            "keep_memory sets glibc's malloc, which this system does not have; leave it out"
        ) from error
    largest = 1 << 30
    mallopt(M_MMAP_THRESHOLD, largest)
    mallopt(M_TRIM_THRESHOLD, largest)
