"""Memory for NumPy's arrays that is used again from step to step.

New memory is slow: the system hands it out page by page, each zeroed when it is first touched, so
that filling a new array of 4 MB takes three times as long as filling an old one. A training step
asks for the same sizes again and again.
"""

import functools
import math
import os
import threading
from sys import getrefcount
from typing import Any

import numpy as np

from tinyxp.backends.numpy.replay.trace import tracing
from tinyxp.backends.numpy.views import address, owner

LEAST = 1 << 16  # bytes; NumPy and malloc are good at smaller ones
PATIENCE = 4096  # requests after which an idle buffer goes back to the system


class Pool:
    """Buffers. A buffer is free when the pool alone holds it.

    NumPy's views hold the array that owns their memory. So a buffer's reference count says whether
    any array in it is alive, however it was sliced, reshaped or passed on.
    """

    def __init__(self) -> None:
        self.buffers: dict[int, list[Any]] = {}  # by size in bytes
        self.last: dict[int, int] = {}  # the request that last got a buffer, by its id
        self.requests = 0
        self.lock = threading.Lock()
        self.idle = 0  # how many references to a buffer are counted when it is free
        for buffer in [np.empty(1, np.uint8)]:
            self.idle = getrefcount(buffer)

    def _free(self, size: int) -> Any:
        """A free buffer of that size, or None."""
        for buffer in self.buffers.get(size, ()):
            if getrefcount(buffer) == self.idle:
                return buffer
        return None

    def empty(self, shape: tuple[int, ...], dtype: Any, *, lasting: bool = False) -> Any:
        """As np.empty. A ``lasting`` array, as of a parameter, gets a buffer of its own size."""
        size = math.prod(shape) * dtype.itemsize
        if size < LEAST:
            return np.empty(shape, dtype)
        step = 1 << (size.bit_length() - 4)  # sizes in steps of an eighth, so that there are few
        whole = -(-size // step) * step
        with self.lock:
            self.requests += 1
            buffer = self._free(whole)
            if buffer is None and not lasting:
                buffer = self._larger(whole)
            if buffer is None:
                self.give_back()
                buffer = np.empty(whole, np.uint8)
                self.buffers.setdefault(whole, []).append(buffer)
            self.last[id(buffer)] = self.requests
            return np.ndarray(shape, dtype, buffer)

    def _larger(self, size: int) -> Any:
        """The smallest free buffer of up to four times the size."""
        for other in sorted([n for n in self.buffers if size < n <= 4 * size]):
            buffer = self._free(other)
            if buffer is not None:
                return buffer
        return None

    def give_back(self, patience: int = PATIENCE) -> None:
        """Return idle buffers to the system that were not used in the last requests."""
        for size, buffers in list(self.buffers.items()):
            kept = []
            for buffer in buffers:
                idle = getrefcount(buffer) == self.idle
                if idle and self.requests - self.last[id(buffer)] >= patience:
                    del self.last[id(buffer)]
                else:
                    kept.append(buffer)
            self.buffers[size] = kept
            if not kept:
                del self.buffers[size]


pool = Pool()
if hasattr(os, "register_at_fork"):  # else a child may find it locked forever
    os.register_at_fork(after_in_child=lambda: setattr(pool, "lock", threading.Lock()))


def empty(shape: tuple[int, ...], dtype: Any, *, lasting: bool = False) -> Any:
    """``Pool.empty`` of the shared pool; while a step is recorded, new memory."""
    program = tracing()
    if program is not None:
        return program.new(np.empty(shape, dtype))
    return pool.empty(shape, dtype, lasting=lasting)


def empty_like(x: Any) -> Any:
    """As np.empty_like: in the shape, dtype and order in memory of x."""
    if x.flags.c_contiguous:
        return empty(x.shape, x.dtype)
    order, inverse = orders(x.strides)
    shape = x.shape
    return empty(tuple([shape[axis] for axis in order]), x.dtype).transpose(inverse)


def contiguous(x: Any) -> Any:
    """x if it is C-contiguous, else a copy that is."""
    return x if x.flags.c_contiguous else x.copy()


def flat_view(arrays: list[Any]) -> Any:
    """One flat array of the memory in which arrays lie one after another; None if they do not."""
    first = arrays[0]
    if not isinstance(first, np.ndarray) or not all(x.flags.c_contiguous for x in arrays):
        return None
    whole, end = owner(first), address(first)
    for x in arrays:
        if owner(x) is not whole or x.dtype != first.dtype or address(x) != end:
            return None
        end += x.nbytes
    size, begin = (end - address(first)) // first.itemsize, address(first) - address(whole)
    return type(first)((size,), first.dtype, whole, begin)


@functools.lru_cache(maxsize=256)
def orders(strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The axes as they lie in memory, and the inverse of that permutation."""
    order = sorted(range(len(strides)), key=strides.__getitem__, reverse=True)
    return order, sorted(range(len(strides)), key=order.__getitem__)
