"""cuBLAS, called through ctypes in the library that CuPy has loaded.

CuPy's wrapper refuses while a stream is captured (``cublas.setStream``: "Before we come up with a
robust strategy to test the support conditions, we disable this functionality"). cuBLAS itself does
not: its documentation, "CUDA Graphs Support", asks for a workspace of the user's, so that no memory
is allocated within a graph, and PyTorch gives it one (its pull requests 83461 and 124250). With the
same handle, workspace and call in and out of a graph, a product has the same bits in both.
"""

import ctypes
import functools
import threading
from typing import Any

from tinyxp.backends import missing
from tinyxp.backends.cupy.device import private_pools
from tinyxp.errors import BackendError

try:
    import cupy
except ImportError as error:
    raise missing("CuPy", "cuda12", "cuda13") from error

WORKSPACE = 32 << 20  # bytes: what cuBLAS takes by default on Hopper, and more than elsewhere

# CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: parts of a sum are never added up in 16 bits
ADDED_IN_FLOAT32 = 16

_int, _long, _at = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_size, _new = ctypes.c_size_t, ctypes.POINTER(_at)
# as in cublas_api.h and cublasLt.h; all return a status
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (_new,),
    "cublasSetMathMode": (_at, _int),
    "cublasSetStream_v2": (_at, _at),
    "cublasSetWorkspace_v2": (_at, _at, _size),
    "cublasGemmStridedBatchedEx": (
        *(_at, _int, _int, _int, _int, _int, _at),  # handle, flips, m, n, k, alpha
        *(_at, _int, _int, _long),  # A, its type, the distance of columns, of matrices
        *(_at, _int, _int, _long, _at),  # B, beta
        *(_at, _int, _int, _long),  # C
        *(_int, _int, _int),  # how many, how to compute, the algorithm
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
    """The functions of cuBLAS. Looked up through CuPy's own module, which is linked to it, so that
    it is the very same library whatever its name and place."""
    from cupy_backends.cuda.libs import cublas

    found = ctypes.CDLL(cublas.__file__)
    try:
        for name, types in SIGNATURES.items():
            getattr(found, name).argtypes = types
        found.cublasGetStatusString.restype = ctypes.c_char_p
    except AttributeError as error:
        raise BackendError(f"CuPy's cuBLAS lacks a function that tinyxp calls: {error}") from error
    return found


def check(name: str, status: int) -> None:
    """Raise BackendError unless cuBLAS is content."""
    if status:
        problem = library().cublasGetStatusString(status).decode()
        raise BackendError(f"cuBLAS: {name} failed with status {status}: {problem}")


class Handle:
    """A handle of cuBLAS for one thread on one device, with a workspace of its own."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p()
        call("cublasCreate_v2", ctypes.byref(self.pointer))
        call("cublasSetMathMode", self.pointer, ADDED_IN_FLOAT32)
        pool = private_pools[id(self)] = cupy.cuda.MemoryPool()  # nobody else's, and counted
        self.workspace = pool.malloc(WORKSPACE)
        self.stream = -1  # no stream has this number
        self.plans: dict[Any, Any] = {}  # of cublas_bias.py

    def use(self, stream: int) -> None:
        """Work on a stream from now on."""
        if stream != self.stream:
            call("cublasSetStream_v2", self.pointer, stream)
            # which went back to a workspace of cuBLAS's own
            call("cublasSetWorkspace_v2", self.pointer, self.workspace.ptr, WORKSPACE)
            self.stream = stream


def handle() -> Handle:
    """This thread's, on the device and stream in use."""
    device = cupy.cuda.runtime.getDevice()
    handles = vars(_own).setdefault("handles", {})
    found: Handle | None = handles.get(device)
    if found is None:
        found = handles[device] = Handle()
    found.use(cupy.cuda.get_current_stream().ptr)
    return found


def call(name: str, *args: Any) -> None:
    """A function of cuBLAS; raises BackendError for any status but success."""
    check(name, getattr(library(), name)(*args))
