"""A product plus a bias in one launch by cuBLASLt, which saves reading and writing the product.

Source: NVIDIA, cuBLAS, "cublasLtMatmul" and CUBLASLT_EPILOGUE_BIAS. It uses cuBLAS's handles, with
their workspaces and streams.
"""

import ctypes
from typing import Any, NamedTuple

from tinyxp.backends import Array
from tinyxp.backends.cupy.cublas import WORKSPACE, call, check, handle, library
from tinyxp.backends.cupy.gemm import Matrix, Product

# constants of cublasLt.h
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8  # CUBLASLT_MATMUL_DESC_…
BIAS = 4  # CUBLASLT_EPILOGUE_BIAS
# CUBLASLT_MATMUL_PREF_…: bytes; how parts of a sum are added; alignments of A, B, C and D
MAX_WORKSPACE, REDUCTIONS, ALIGNMENTS = 1, 3, (5, 6, 7, 8)
AS_COMPUTED = 2  # CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: sums of 16 bits in float32
REAL_32F = 0  # CUDA_R_32F, the type of α and β
NOT_SUPPORTED = 15  # CUBLAS_STATUS_NOT_SUPPORTED
ONE_ZERO = (ctypes.c_float * 2)(1, 0)


class Found(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = [
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


class Plan(NamedTuple):
    """How cuBLASLt is called for products of one kind."""

    product: Any
    layouts: tuple[Any, Any, Any]
    found: Found


def multiply(
    found: Product, a: Array, b: Array, bias: Array, c: Array, kind: int, compute: int
) -> bool:
    """c = a @ b + bias; False if cuBLASLt has no such product. See ``matmul.kinds``."""
    own = handle()
    # cuBLAS stores by columns, so it computes cᵀ = bᵀ aᵀ
    at = [x.data.ptr for x in (b, a, c, bias)]
    key = (found[:5], kind, compute, *map(alignment, at))
    if key not in own.plans:
        own.plans[key] = plan(own.pointer, found, kind, compute, at)
    known: Plan | None = own.plans[key]
    if known is None:
        return False
    set_attribute("MatmulDesc", known.product, BIAS_POINTER, ctypes.c_void_p(at[3]))
    one = ctypes.addressof(ONE_ZERO)
    layout_b, layout_a, layout_c = known.layouts
    call(
        "cublasLtMatmul",
        *(own.pointer, known.product, one, at[0], layout_b, at[1], layout_a),
        *(one + 4, at[2], layout_c, at[2], layout_c),
        *(ctypes.addressof(known.found.algorithm), own.workspace.ptr, WORKSPACE, own.stream),
    )
    return True


def plan(pointer: Any, found: Product, kind: int, compute: int, at: list[int]) -> Plan | None:
    """The plan that cuBLASLt expects to be the fastest, if it has one."""
    product = create("MatmulDesc", compute, REAL_32F)
    set_attribute("MatmulDesc", product, TRANSA, ctypes.c_int(found.b.transposed))
    set_attribute("MatmulDesc", product, TRANSB, ctypes.c_int(found.a.transposed))
    set_attribute("MatmulDesc", product, EPILOGUE, ctypes.c_int(BIAS))
    set_attribute("MatmulDesc", product, BIAS_POINTER, ctypes.c_void_p(at[3]))
    m, n, k, a, b = found[:5]
    layouts = layout(b, kind, n, k), layout(a, kind, k, m), layout(Matrix(False, n), kind, n, m)
    wishes = create("MatmulPreference")
    set_attribute("MatmulPreference", wishes, MAX_WORKSPACE, ctypes.c_uint64(WORKSPACE))
    set_attribute("MatmulPreference", wishes, REDUCTIONS, ctypes.c_uint32(AS_COMPUTED))
    for number, place in zip(ALIGNMENTS, (*at[:3], at[2]), strict=True):
        set_attribute("MatmulPreference", wishes, number, ctypes.c_uint32(alignment(place)))
    best, count, name = Found(), ctypes.c_int(), "cublasLtMatmulAlgoGetHeuristic"
    operands = pointer, product, *layouts, layouts[2], wishes
    status = library().cublasLtMatmulAlgoGetHeuristic(
        *operands, 1, ctypes.addressof(best), ctypes.addressof(count)
    )
    if status == NOT_SUPPORTED:
        return None
    check(name, status)
    return Plan(product, layouts, best) if count.value and best.state == 0 else None


def layout(matrix: Matrix, kind: int, rows: int, columns: int) -> Any:
    """The layout of a matrix (rows, columns), or of its transpose, in cuBLAS's order."""
    if matrix.transposed:
        rows, columns = columns, rows
    return create("MatrixLayout", kind, rows, columns, matrix.step)


def create(what: str, *args: Any) -> Any:
    pointer = ctypes.c_void_p()
    call(f"cublasLt{what}Create", ctypes.byref(pointer), *args)
    return pointer


def set_attribute(what: str, of: Any, number: int, value: Any) -> None:
    size = ctypes.sizeof(value)
    call(f"cublasLt{what}SetAttribute", of, number, ctypes.addressof(value), size)


def alignment(place: int) -> int:
    """The largest power of 2 that divides an address, 256 at most.

    >>> alignment(512), alignment(24)
    (256, 8)
    """
    return min(256, place & -place)
