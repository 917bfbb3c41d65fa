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


def shortage(device: str, wanted: int, memory: Memory) -> str:
    """Why ``wanted`` bytes cannot be allocated, and what to try.

    >>> memory = Memory(70 << 30, 71 << 30, 71 << 30, 1 << 30, 80 << 30)
    >>> shortage("cuda:0", 2 << 30, memory).partition(", ")[0]
    'out of memory on cuda:0: asked for 2.0 GiB; of 80.0 GiB'
    """
    used, reserved, _, free, total = memory
    kept, others = reserved - used, total - free - reserved
    tries = [
        "a smaller batch",
        "tx.recompute for the blocks of the model",
        "tx.no_grad() where no gradient is needed",
        "del of losses and results that are done with, as each holds its whole graph",
    ]
    if kept + free >= wanted:
        tries.insert(0, "tx.cuda.empty_cache(): enough is free, but in too small pieces")
    if 2 * others > total:
        tries.insert(0, "to end the other programs on this GPU (nvidia-smi names them)")
    return (
        f"out of memory on {device}: asked for {in_words(wanted)}; of {in_words(total)}, arrays "
        f"hold {in_words(used)}, {in_words(kept)} are kept for later ones, {in_words(others)} are "
        f"held by others, {in_words(free)} are free. Try {'; '.join(tries)}. "
        "tx.cuda.memory_summary() lists the tensors"
    )


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
