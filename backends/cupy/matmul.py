"""Products of matrices by cuBLAS, which reads operands where they lie (gemm.py).

CuPy's own ``matmul`` copies operands that are not contiguous, such as Kᵀ, and has no TF32 for
batches.
"""

from typing import Any

import cupy
import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common.halves import products_in_float32
from tinyxp.backends.common.precision import get_float32_matmul_precision
from tinyxp.backends.cupy import cublas_bias
from tinyxp.backends.cupy.cublas import call, handle
from tinyxp.backends.cupy.gemm import Product, plan

ZERO_ONE = {name: np.asarray([0, 1], dtype=name) for name in ("float32", "float64")}
ZERO_ONE |= dict.fromkeys(("float16", "bfloat16"), ZERO_ONE["float32"])  # the dtype of their sums
MANY = 1024  # columns of a result from which on aligned rows pay
HALF_KINDS = {"float16": 2, "bfloat16": 14}  # CUDA_R_16F, CUDA_R_16BF in library_types.h


def matmul(a: Array, b: Array) -> Array:
    """``a @ b``, leading axes broadcast: floating numbers by one call of cuBLAS or a few, with sums
    of 16 bits in float32; other dtypes by CuPy."""
    expect_one_device(a, b)
    with a.device:
        return _matmul(a, b)


def _matmul(a: Array, b: Array) -> Array:
    dtype = a.dtype
    if dtype != b.dtype or dtype.name not in ZERO_ONE or not a.ndim or not b.ndim:
        return cupy.matmul(a, b)
    x = a[None, :] if a.ndim == 1 else a
    w = b[:, None] if b.ndim == 1 else b
    shape = (*np.broadcast_shapes(x.shape[:-2], w.shape[:-2]), x.shape[-2], w.shape[-1])
    if 0 in shape or x.shape[-1] == 0:
        y = cupy.zeros(shape, dtype=dtype)
    else:
        found = plan(x.shape, elements(x), w.shape, elements(w))
        if found is None:
            x, w = cupy.ascontiguousarray(x), cupy.ascontiguousarray(w)
            found = plan(x.shape, elements(x), w.shape, elements(w))
        if found is None:
            return products_in_float32(cupy.matmul)(a, b)
        y = cupy.empty(shape, dtype=dtype)
        multiply(found, x, w, y)
    if a.ndim == 1:
        y = y[..., 0, :]
    return y[..., 0] if b.ndim == 1 else y


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """``x @ weight.T`` of matrices, + bias, in the same launch if cuBLASLt supports it."""
    expect_one_device(x, weight)
    with x.device:
        w = weight.T
        found = plan(x.shape, elements(x), w.shape, elements(w))
        if bias is None:
            if found is None or 0 in (*x.shape, *w.shape) or w.shape[1] < MANY:
                return _matmul(x, w)
            y = empty_aligned(found.m, found.n, x.dtype)
            multiply(found, x, w, y)
            return y
        # cuBLASLt refuses a weight of one row or column: PyTorch, pull request 72148
        if found is not None and len(x) and min(w.shape) > 1 and x.dtype.name != "float64":
            y = cupy.empty((found.m, found.n), dtype=x.dtype)
            kind, compute = kinds(x.dtype.name, get_float32_matmul_precision())
            if cublas_bias.multiply(found, x, w, bias, y, kind, compute):
                return y
        y = _matmul(x, w)
        y += bias
        return y


def expect_one_device(a: Array, b: Array) -> None:
    """Raise ValueError unless both are on one device: cuBLAS does not check."""
    if a.device != b.device:
        raise ValueError(f"one lies on cuda:{a.device.id}, the other on cuda:{b.device.id}")


def empty_aligned(m: int, n: int, dtype: Any) -> Array:
    """An empty matrix whose rows begin at multiples of 16 bytes, where cuBLAS is fastest."""
    some = 16 // dtype.itemsize
    return cupy.empty((m, -(-n // some) * some), dtype=dtype)[:, :n]


def elements(x: Array) -> tuple[int, ...]:
    """The strides of x, in elements."""
    return tuple(stride // x.dtype.itemsize for stride in x.strides)


def multiply(found: Product, a: Array, b: Array, c: Array) -> None:
    """c = a @ b. cuBLAS stores by columns, so it computes cᵀ = bᵀ aᵀ."""
    from cupy_backends.cuda.libs import cublas

    kind, compute = kinds(a.dtype.name, get_float32_matmul_precision())
    factors, size = ZERO_ONE[a.dtype.name], a.dtype.itemsize
    zero = factors.ctypes.data
    one = zero + factors.itemsize
    flips = [cublas.CUBLAS_OP_T if x.transposed else cublas.CUBLAS_OP_N for x in found[3:5]]
    for offsets in found.offsets:
        at = [x.data.ptr + i * size for x, i in zip((a, b, c), offsets, strict=True)]
        call(
            "cublasGemmStridedBatchedEx",
            *(handle().pointer, flips[1], flips[0], found.n, found.m, found.k, one),
            *(at[1], kind, found.b.step, found.strides[1]),
            *(at[0], kind, found.a.step, found.strides[0], zero),
            *(at[2], kind, c.strides[-2] // size, found.strides[2]),
            *(found.batch, compute, cublas.CUBLAS_GEMM_DEFAULT),
        )


def kinds(dtype: str, precision: str) -> tuple[Any, Any]:
    """cuBLAS's constants for a dtype and for the precision of its products."""
    from cupy_backends.cuda.libs import cublas

    if dtype == "float64":
        return cupy.cuda.runtime.CUDA_R_64F, cublas.CUBLAS_COMPUTE_64F
    if dtype in ("float16", "bfloat16"):
        return HALF_KINDS[dtype], cublas.CUBLAS_COMPUTE_32F
    compute = {
        "highest": cublas.CUBLAS_COMPUTE_32F,
        "high": cublas.CUBLAS_COMPUTE_32F_FAST_TF32,
        "medium": cublas.CUBLAS_COMPUTE_32F_FAST_16BF,
    }
    return cupy.cuda.runtime.CUDA_R_32F, compute[precision]
