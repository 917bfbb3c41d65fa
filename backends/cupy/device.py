"""The memory of a GPU, its name, and waiting for it."""

from collections.abc import Callable
from typing import Any

import cupy

from tinyxp.backends.common.memory import GIB, Memory, shortage
from tinyxp.errors import OutOfMemoryError

private_pools: dict[int, Any] = {}  # of CUDA graphs and cuBLAS, by the id of who holds them
peaks: dict[int, int] = {}  # the most bytes that were reserved, by device


def memory() -> Memory:
    """The memory of the device in use."""
    pools = [cupy.get_default_memory_pool(), *private_pools.values()]
    used = sum(int(pool.used_bytes()) for pool in pools)
    reserved = sum(int(pool.total_bytes()) for pool in pools)
    device = cupy.cuda.runtime.getDevice()
    peaks[device] = max(peaks.get(device, 0), reserved)
    return Memory(used, reserved, peaks[device], *cupy.cuda.runtime.memGetInfo())


def explain_shortages() -> None:
    """Make CuPy's allocator raise our OutOfMemoryError."""
    cupy.cuda.set_allocator(with_explanation(cupy.cuda.get_allocator()))


def with_explanation(
    allocate: Callable[[int], Any], memory: Callable[[], Memory] = memory
) -> Callable[[int], Any]:
    """An allocator whose error says what holds the memory."""
    if getattr(allocate, "explains", False):
        return allocate

    def malloc(size: int) -> Any:
        try:
            return allocate(size)
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise OutOfMemoryError(shortage("the GPU in use", size, memory())) from error

    malloc.explains = True  # type: ignore[attr-defined]
    return malloc


def empty_cache() -> None:
    """Free memory that is kept for later arrays, on the device and the host."""
    memory()  # notes the most that was reserved, which only this gives back
    cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()


def synchronize() -> None:
    """Wait until the device in use has done everything."""
    cupy.cuda.runtime.deviceSynchronize()


def name(device: int = 0) -> str:
    """The name of a device."""
    return str(cupy.cuda.runtime.getDeviceProperties(device)["name"].decode())


def about() -> str:
    """Versions and the device, for ``tinyxp info``."""
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    versions = {
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "runtime": cupy.cuda.runtime.runtimeGetVersion(),
    }
    shown = ", ".join(f"{k} for CUDA {v // 1000}.{v % 1000 // 10}" for k, v in versions.items())
    return (
        f"; CuPy {cupy.__version__}, {shown}; {name()}, compute capability "
        f"{properties['major']}.{properties['minor']}, {memory().total / GIB:.0f} GiB"
    )
