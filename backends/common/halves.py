"""NumPy's 16-bit floating-point numbers, whose dtypes CuPy shares; bfloat16 is from ml_dtypes.

NumPy adds them in 16 bits, so that a sum of ones stops growing at 2,048 (float16) or 256. Here
sums and products are computed in float32 and rounded once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends import Array, missing


def bfloat16() -> Any:
    """The dtype. Raises BackendError if ml_dtypes is not installed."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise missing("ml_dtypes, from which NumPy has bfloat16,", "bfloat16") from error
    return np.dtype(ml_dtypes.bfloat16)


def half(dtype: Any) -> bool:
    """Whether a dtype is float16 or bfloat16."""
    return dtype.char == "e" or dtype.name == "bfloat16"


def single(x: Array) -> Array:
    """x as float32 if it has 16 bits, else x itself."""
    return x.astype(np.float32) if half(x.dtype) else x


def totals_in_float32(f: Callable[..., Array]) -> Callable[..., Array]:
    """``f(x, dtype=...)``, a sum or product of numbers, which adds 16 bits in float32."""

    def total(x: Array, /, *, dtype: Any = None, **options: Any) -> Array:
        kind = x.dtype if dtype is None else np.dtype(dtype)
        if kind.itemsize != 2 or not half(kind):
            return f(x, dtype=dtype, **options)
        return f(x, dtype=np.float32, **options).astype(kind)

    return total


def products_in_float32(f: Callable[..., Array]) -> Callable[..., Array]:
    """``f(a, b)``, a product of arrays, which multiplies 16 bits in float32."""

    def product(a: Array, b: Array, /, **options: Any) -> Array:
        if a.itemsize != 2 or a.dtype != b.dtype or not half(a.dtype):
            return f(a, b, **options)
        return f(single(a), single(b), **options).astype(a.dtype)

    return product
