"""``tx.cuda``: NVIDIA GPUs and their memory, under PyTorch's names.

Without a GPU ``is_available()`` is False, and functions that need one raise BackendError.
"""

import gc
from collections import Counter
from typing import Any

from tinyxp import backends
from tinyxp.backends import Backend
from tinyxp.backends.common.later import checks_later
from tinyxp.backends.common.memory import Memory, in_words
from tinyxp.core.tensor import Tensor
from tinyxp.errors import BackendError

__all__ = [
    "checks_later", "device_count", "empty_cache", "get_device_name", "is_available",
    "max_memory_reserved", "memory_allocated", "memory_reserved", "memory_summary", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether the backend cupy can be used; ``tinyxp info`` says why not.

    >>> tx.cuda.is_available() == (tx.cuda.device_count() > 0)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """How many GPUs the backend cupy has."""
    try:
        return len(backends.get("cupy").devices())
    except BackendError:
        return 0


def _cupy() -> Backend:
    return backends.get("cupy")  # raises BackendError, which says what is missing


def _memory() -> Memory:
    memory = _cupy().memory()
    assert memory is not None
    return memory


def get_device_name(device: int = 0) -> str:
    """The name of a GPU. Raises BackendError without one."""
    return _cupy().device_name(device)


def synchronize() -> None:
    """Wait until the GPU in use has done everything. Raises BackendError without one."""
    _cupy().synchronize()


def empty_cache() -> None:
    """Free memory that is kept for later arrays. Raises BackendError without a GPU."""
    _cupy().empty_cache()


def memory_allocated() -> int:
    """Bytes that arrays hold on the GPU in use. Raises BackendError without one."""
    return _memory().used


def memory_reserved() -> int:
    """Bytes that this process holds on the GPU in use. Raises BackendError without one."""
    return _memory().reserved


def max_memory_reserved() -> int:
    """The most bytes that this process has held. Raises BackendError without a GPU."""
    return _memory().most_reserved


def memory_summary(rows: int = 10) -> str:
    """A table of what holds the memory of the GPU in use, with the largest kinds of tensors.

    Arrays that a graph has saved for its backward pass are in no tensor. Raises BackendError
    without a GPU.
    """
    used, reserved, _, free, total = _memory()
    kinds, bytes_of = _tensors("cupy")
    largest = sorted(kinds, key=lambda kind: -kinds[kind] * bytes_of[kind])[:rows]
    in_tensors = sum(kinds[kind] * bytes_of[kind] for kind in kinds)
    lines = [
        f"{in_words(total)} in all: {in_words(used)} in arrays, {in_words(reserved - used)} kept "
        f"for later ones, {in_words(max(0, total - free - reserved))} held by others, "
        f"{in_words(free)} free",
        f"{in_words(in_tensors)} of it in tensors:" if largest else "no tensors are alive",
    ]
    for kind in largest:
        (shape, dtype), size = kind, in_words(kinds[kind] * bytes_of[kind])
        lines.append(f"{size:>10}  {kinds[kind]} x {shape} {dtype}")
    return "\n".join(lines)


def _tensors(backend: str) -> tuple[Counter[tuple[Any, str]], dict[tuple[Any, str], int]]:
    """The number of tensors of each shape and dtype on a backend, no array counted twice, and
    the bytes of one."""
    kinds: Counter[tuple[Any, str]] = Counter()
    bytes_of: dict[tuple[Any, str], int] = {}
    seen = set()
    for x in gc.get_objects():
        # not isinstance: it asks objects of other libraries for their class, and some complain
        if issubclass(type(x), Tensor) and x.backend.name == backend and id(x.array) not in seen:
            seen.add(id(x.array))
            kind = (x.shape, x.dtype.name)
            kinds[kind] += 1
            bytes_of[kind] = x.size * x.dtype.itemsize
    return kinds, bytes_of
