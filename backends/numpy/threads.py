"""The threads of the OpenBLAS in NumPy's wheels, which multiply matrices."""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np


@functools.cache  # searching for files takes a while
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The library's functions to get and set the number; None if NumPy uses another BLAS."""
    home = Path(np.__file__).parent
    for folder in (home.parent / "numpy.libs", home / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))  # which NumPy has loaded already
            for suffix in ("64_", ""):
                get = getattr(library, f"scipy_openblas_get_num_threads{suffix}", None)
                put = getattr(library, f"scipy_openblas_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    put.argtypes, put.restype = [ctypes.c_int], None
                    return get, put
    return None


def get_threads() -> int | None:
    """The number of threads in use, or None if it is unknown."""
    functions = _functions()
    return None if functions is None else int(functions[0]())


def set_threads(n: int) -> bool:
    """Use n threads from now on, in the whole process. Returns whether that succeeded."""
    functions = _functions()
    if functions is not None:
        functions[1](n)
    return functions is not None
