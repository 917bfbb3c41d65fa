"""The machine: its name, library versions, and measured peak rates."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import tinyxp as tx

LIBRARIES = ("numpy", "numba", "torch", "jax", "autograd", "mygrad", "tinygrad", "cupy")


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def threads() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """The versions of the installed libraries."""
    found = {"python": platform.python_version(), "tinyxp": tx.__version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _best(f: Callable[[], Any], rounds: int = 7) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def limits(threads: int) -> dict[str, float]:
    """The rates of float32 matrix products in GFLOP/s and of copying in GB/s, read and written."""
    with tx.backend("numpy"):
        tx.set_num_threads(threads)
    n = 1024
    a = np.ones((n, n), "float32")
    b = np.empty_like(a)
    big = np.ones(1 << 25, "float32")  # 128 MiB, more than any cache
    copy = np.empty_like(big)
    return {
        "gflops": 2e-9 * n**3 / _best(lambda: np.matmul(a, a, out=b)),
        "gb_per_s": 2e-9 * big.nbytes / _best(lambda: np.copyto(copy, big)),
    }


def describe(threads: int) -> dict[str, Any]:
    """The description of the machine in a report."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "threads": threads,
        "versions": versions(),
        "limits": limits(threads),
    }
