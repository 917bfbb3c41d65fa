"""``tx.cuda``: what there is to ask of NVIDIA GPUs, under PyTorch's names.

Without a GPU ``is_available()`` is False, and what needs one raises BackendError.
"""

import gc
from collections import Counter
from typing import Any

from tinyxp import backends
from tinyxp.backends.common.later import checks_later
from tinyxp.backends.cupy.memory import sized
from tinyxp.core.tensor import Tensor
from tinyxp.errors import BackendError

__all__ = [
    "checks_later",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "synchronize",
]


def is_available() -> bool:
    """Whether the backend cupy is to be had here; ``tinyxp info`` says why not.

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


def _device() -> Any:
    backends.get("cupy")  # raises BackendError, which says what is missing
    from tinyxp.backends.cupy import device as cupy_device

    return cupy_device


def get_device_name(device: int = 0) -> str:
    """The name of a GPU. Raises BackendError without one."""
    return str(_device().name(device))


def synchronize() -> None:
    """Wait until the GPU in use has done everything. Raises BackendError without one."""
    _device().synchronize()


def empty_cache() -> None:
    """Give memory that is kept for later arrays back. Raises BackendError without a GPU."""
    _device().empty_cache()


def memory_allocated() -> int:
    """Bytes that arrays hold on the GPU in use. Raises BackendError without one."""
    return int(_device().memory().used)


def memory_reserved() -> int:
    """Bytes that this process holds on the GPU in use. Raises BackendError without one."""
    return int(_device().memory().reserved)


def max_memory_reserved() -> int:
    """The most bytes that this process has held. Raises BackendError without a GPU."""
    return int(_device().most_reserved())


def memory_summary(rows: int = 10) -> str:
    """Who holds the memory of the GPU in use: a table, with the largest kinds of tensors.

    What a graph has saved for its backward pass is in arrays, and in no tensor. Raises
    BackendError without a GPU.
    """
    used, reserved, free, total = _device().memory()
    kinds, bytes_of = _tensors("cupy")
    largest = sorted(kinds, key=lambda kind: -kinds[kind] * bytes_of[kind])[:rows]
    in_tensors = sum(kinds[kind] * bytes_of[kind] for kind in kinds)
    lines = [
        f"{sized(total)} in all: {sized(used)} in arrays, {sized(reserved - used)} kept for later "
        f"ones, {sized(max(0, total - free - reserved))} held by others, {sized(free)} free",
        f"{sized(in_tensors)} of it in tensors:" if largest else "no tensors are alive",
    ]
    for kind in largest:
        shape, dtype = kind
        lines.append(f"{sized(kinds[kind] * bytes_of[kind]):>10}  {kinds[kind]} x {shape} {dtype}")
    return "\n".join(lines)


def _tensors(backend: str) -> tuple[Counter[tuple[Any, str]], dict[tuple[Any, str], int]]:
    """How many tensors of each shape and dtype live on a backend, no array counted twice."""
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
