"""Faults of a CUDA set-up, one line each, with the command that repairs it."""

import ctypes
import os
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from tinyxp.backends.common.extras import install
from tinyxp.errors import BackendError

CUPY = re.compile(r"cupy(-cuda(\d+)x|-rocm.*)?")
HEADERS = {13: ("nvidia-cuda-runtime",), 12: ("nvidia-cuda-runtime-cu12",)}


@dataclass(frozen=True)
class Setup:
    """A set-up: the newest CUDA that the driver supports, as (12, 4); the distributions of CuPy
    with their versions; whether CUDA's headers are there."""

    driver: tuple[int, int] | None
    cupys: tuple[tuple[str, str], ...]
    headers: bool

    @property
    def extra(self) -> str:
        """The extra of tinyxp that fits the driver."""
        return "cuda12" if self.driver and self.driver[0] < 13 else "cuda13"


def look() -> Setup:
    """The set-up of this machine; needs neither CuPy nor a GPU."""
    named = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    cupys = tuple(sorted((k, v) for k, v in named.items() if CUPY.fullmatch(k)))
    majors = [int(found[2]) for k, _ in cupys if (found := CUPY.fullmatch(k)) and found[2]]
    wheels = [wheel for major in majors for wheel in HEADERS.get(major, ())]
    folders = [os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    here = [Path(folder, "include", "cuda_fp16.h") for folder in folders if folder]
    headers = any(wheel in named for wheel in wheels) or any(path.exists() for path in here)
    return Setup(_driver(), cupys, headers)


def _driver() -> tuple[int, int] | None:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return version.value // 1000, version.value % 1000 // 10


def advice(setup: Setup) -> list[str]:
    """What to do, the most important first; nothing if there is no fault.

    >>> advice(Setup((13, 0), (("cupy-cuda13x", "14.2.0"),), headers=True))
    []
    >>> advice(Setup((12, 4), (), headers=False))
    ["CuPy is not installed: pip install 'cupy-cuda12x[ctk]'"]
    """
    command, names = install(setup.extra), [name for name, _ in setup.cupys]
    found = []
    if setup.driver is None:
        found.append(
            "no NVIDIA driver is found (libcuda): with an NVIDIA GPU, install its driver until "
            "nvidia-smi shows it; in a container, start it with --gpus all"
        )
    if not setup.cupys:
        return found if found else [f"CuPy is not installed: {command}"]
    shown = ", ".join(f"{name} {version}" for name, version in setup.cupys)
    if len(setup.cupys) > 1:
        found.append(
            f"{len(setup.cupys)} CuPys are installed ({shown}), each over the files of the other: "
            f"pip uninstall -y {' '.join(names)} && {command}"
        )
        return found
    wheel = CUPY.fullmatch(names[0])
    major = int(wheel[2]) if wheel and wheel[2] else None
    if setup.driver and major and setup.driver[0] < major:
        known = ".".join(map(str, setup.driver))
        found.append(
            f"{shown} is for CUDA {major}, and the driver knows CUDA {known}: "
            f"pip uninstall -y {names[0]} && {command}, or install a newer driver"
        )
    elif not setup.headers:
        fitting = install(f"cuda{major}") if major in HEADERS else "pip install 'cupy[ctk]'"
        found.append(f"CUDA's headers are missing, so kernels cannot compile: {fitting}")
    return found


def with_advice(error: BackendError) -> BackendError:
    """The error of a backend that cannot be loaded, with notes that say what to do."""
    for line in advice(look()):
        error.add_note(f"CUDA: {line}")
    return error
