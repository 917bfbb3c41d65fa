"""cuBLAS, called through ctypes in the library that CuPy has loaded.

CuPy's wrapper refuses to work while a stream is captured (``cublas.setStream``), though cuBLAS can:
its documentation, "CUDA Graphs Support", asks for a workspace of the user's, so that a graph does
not allocate memory, and PyTorch gives it one (pull requests 83461 and 124250). Products use the
same handle, workspace and call in and out of a graph, so that they have the same bits in both.
"""

import ctypes
import functools
import threading
from typing import Any

import cupy

from tinyxp.backends.cupy.device import private_pools
from tinyxp.errors import BackendError

WORKSPACE = 32 << 20  # bytes: the default of cuBLAS on Hopper, and more than elsewhere
# CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: parts of a sum are never added in 16 bits
ADDED_IN_FLOAT32 = 16

_int, _long, _at = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_size, _new = ctypes.c_size_t, ctypes.POINTER(_at)
# as in cublas_api.h and cublasLt.h; all functions return a status
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (_new,),
    "cublasSetMathMode": (_at, _int),
    "cublasSetStream_v2": (_at, _at),
    "cublasSetWorkspace_v2": (_at, _at, _size),
    "cublasGemmStridedBatchedEx": (
        *(_at, _int, _int, _int, _int, _int, _at),  # handle, flips, m, n, k, alpha
        *(_at, _int, _int, _long),  # A, its type, the distances of columns and of matrices
        *(_at, _int, _int, _long, _at),  # B, beta
        *(_at, _int, _int, _long),  # C
        *(_int, _int, _int),  # the number of products, the precision, the algorithm
    ),
    "cublasLtMatmulDescCreate": (_new, _int, _int),
    "cublasLtMatmulDescSetAttribute": (_at, _int, _at, _size),
    "cublasLtMatrixLayoutCreate": (_new, _int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatmulPreferenceCreate": (_new,),
    "cublasLtMatmulPreferenceSetAttribute": (_at, _int, _at, _size),
    "cublasLtMatmulAlgoGetHeuristic": (*(_at,) * 7, _int, _at, _at),
    "cublasLtMatmul": (*(_at,) * 14, _size, _at),
}
_own = threading.local()  # a handle is one thread's


@functools.cache
def library() -> Any:
    """The functions of cuBLAS, from CuPy's module, so that both use one library."""
    from cupy_backends.cuda.libs import cublas

    functions = ctypes.CDLL(cublas.__file__)
    try:
        for name, types in SIGNATURES.items():
            getattr(functions, name).argtypes = types
        functions.cublasGetStatusString.restype = ctypes.c_char_p
    except AttributeError as error:
        raise BackendError(f"CuPy's cuBLAS lacks a function that tinyxp calls: {error}") from error
    return functions


def check(name: str, status: int) -> None:
    """Raise BackendError unless the status is success."""
    if status:
        problem = library().cublasGetStatusString(status).decode()
        raise BackendError(f"cuBLAS: {name} failed with status {status}: {problem}")


class Handle:
    """A handle of cuBLAS for one thread on one device, with a workspace of its own."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p()
        call("cublasCreate_v2", ctypes.byref(self.pointer))
        call("cublasSetMathMode", self.pointer, ADDED_IN_FLOAT32)
        pool = private_pools[id(self)] = cupy.cuda.MemoryPool()  # so that it is counted
        self.workspace = pool.malloc(WORKSPACE)
        self.stream = -1  # no stream has this number
        self.plans: dict[Any, Any] = {}  # of cublas_bias.py

    def use(self, stream: int) -> None:
        """Work on a stream from now on."""
        if stream != self.stream:
            call("cublasSetStream_v2", self.pointer, stream)
            # cublasSetStream went back to a workspace of cuBLAS's own
            call("cublasSetWorkspace_v2", self.pointer, self.workspace.ptr, WORKSPACE)
            self.stream = stream


def handle() -> Handle:
    """This thread's handle for the device and stream in use."""
    device = cupy.cuda.runtime.getDevice()
    handles: dict[int, Handle] = vars(_own).setdefault("handles", {})
    if device not in handles:
        handles[device] = Handle()
    handles[device].use(cupy.cuda.get_current_stream().ptr)
    return handles[device]


def call(name: str, *args: Any) -> None:
    """Call a function of cuBLAS. Raises BackendError for any status but success."""
    check(name, getattr(library(), name)(*args))
