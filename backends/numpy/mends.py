"""Functions of NumPy, mended where they deviate from the Array API, lose digits or are slow."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common import special
from tinyxp.backends.common.halves import half, products_in_float32, single, totals_in_float32
from tinyxp.backends.numpy.replay.wrappers import (
    constant,
    new_empty,
    new_filled,
    one_call,
    repeat_call,
)

erf, erfc = one_call(special.erf), one_call(special.erfc)


@one_call
def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included."""
    if half(x.dtype):
        return index_add(single(x), indices, single(values)).astype(x.dtype)
    out = x.copy()
    if values.ndim == 1 or indices.size == 0:
        np.add.at(out, indices, values)
        return out
    # np.add.at is slow on rows: a stable sort groups equal indices, and reduceat sums each group
    order = np.argsort(indices, kind="stable")
    rows = indices[order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    out[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)
    return out


def matmul(a: Array, b: Array) -> Array:
    """``a @ b``; BLAS gets a stack of matrices times one matrix as one product."""
    if a.itemsize == 2:
        return half_matmul(a, b)
    if b.ndim == 2 and a.ndim > 2:
        rows = math.prod(a.shape[:-1])  # -1 would be ambiguous for an empty array
        return np.matmul(a.reshape(rows, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


half_matmul = products_in_float32(np.matmul)


def integral(x1: Array, x2: Array) -> bool:
    """Whether these are integers. Raises ZeroDivisionError for a 0; NumPy only warns."""
    if (x1 if hasattr(x1, "dtype") else x2).dtype.kind not in "iu":
        return False
    if not np.all(x2):
        raise ZeroDivisionError("integers cannot be divided by zero")
    return True


@one_call
def remainder(x1: Array, x2: Array) -> Array:
    """x1 - ⌊x1 / x2⌋ · x2."""
    integral(x1, x2)
    return np.remainder(x1, x2)


@one_call
def floor_divide(x1: Array, x2: Array) -> Array:
    """⌊x1 / x2⌋. NumPy follows Python for infinite operands (inf // 2 is NaN, 1 // -inf is -1); the
    standard asks for the floor of the quotient (inf and -0)."""
    if integral(x1, x2):
        return np.floor_divide(x1, x2)
    infinite = np.isinf(x1) | np.isinf(x2)
    if not np.count_nonzero(infinite):  # faster than any()
        return np.floor_divide(x1, x2)
    with np.errstate(invalid="ignore"):
        return np.where(infinite, np.floor(np.divide(x1, x2)), np.floor_divide(x1, x2))


@one_call
def expm1(x: Array) -> Array:
    """eˣ - 1. NumPy's complex result is NaN where a part of x is infinite or NaN, even if a part of
    the result is known, and -0 at -0 + 0j, where the standard asks for 0."""
    if x.dtype.kind != "c":
        return np.expm1(x)
    with np.errstate(invalid="ignore"):
        y = np.expm1(x)
        wrong = ~np.isfinite(y) | (y == 0)
        if wrong.any():
            y = np.where(wrong, np.exp(np.where(wrong, x, 0)) - 1, y)
    return y


@one_call
def log1p(x: Array) -> Array:
    """ln(1 + x). NumPy's complex result loses the real part where x is small."""
    y = np.log1p(x)
    if y.dtype.kind == "c" and (known := np.isfinite(x)).any():
        y = np.array(y)
        y.real[known] = special.log_length(np, x.real[known], x.imag[known])
    return y


def tanh(x: Array) -> Array:
    """tanh x. Where x = a + ib with infinite a, NumPy gives the imaginary part, a zero, the sign of
    sin 2b, as C does; the standard asks for the sign of b."""
    y = np.tanh(x)
    if y.dtype.kind == "c" and (infinite := np.isinf(x.real)).any():
        y = np.array(y)
        y.imag = np.where(infinite, np.copysign(0, x.imag), y.imag)
    return y


def reduction(ufunc: np.ufunc) -> Callable[..., Array]:
    """The reduction of a ufunc without NumPy's wrapper, which takes longer than a small array."""
    reduce = ufunc.reduce

    def reduced(x: Array, /, *, axis: Any = None, **options: Any) -> Array:
        return reduce(x, axis=axis, **options)

    return reduced


LONG = 4096


def sum_in_parts(x: Array, axis: Any) -> Array:
    """x, whose long axes among those to be summed are summed in parts. NumPy adds numbers that are
    not adjacent in memory one after another, which leaves a float32 sum of a million 2 digits."""
    for i in axis if isinstance(axis, tuple) else (axis,):
        n, before = x.shape[i], (slice(None),) * (i % x.ndim)
        if n >= LONG and x.strides[i] != x.itemsize:
            k = math.isqrt(n)
            whole = n - n % k
            shape = (*x.shape[: len(before)], whole // k, k, *x.shape[len(before) + 1 :])
            head = x[(*before, slice(whole))].reshape(shape)
            parts = [np.add.reduce(head, axis=len(before) + 1)]
            if whole < n:
                rest = x[(*before, slice(whole, n))]
                parts.append(np.add.reduce(rest, axis=len(before), keepdims=True))
            x = np.concatenate(parts, axis=len(before)) if len(parts) > 1 else parts[0]
    return x


def total(ufunc: np.ufunc) -> Callable[..., Array]:
    """The reduction of np.add or np.multiply, with sums of 16 bits in float32."""
    reduce, adds = ufunc.reduce, ufunc is np.add
    of_halves = totals_in_float32(reduce)

    def reduced(x: Array, /, *, axis: Any = None, **options: Any) -> Array:
        if x.itemsize == 2:
            return of_halves(x, axis=axis, **options)
        if adds and x.size >= LONG and axis is not None and x.dtype.kind in "fc":
            x = x if options.get("dtype") else sum_in_parts(x, axis)
        return reduce(x, axis=axis, **options)

    return reduced


def cumulative(f: Callable[..., Array]) -> Callable[..., Array]:
    """``f``, a cumulative sum or product, computed in float64 for float32."""
    of_halves = totals_in_float32(f)

    @one_call
    def running(x: Array, /, *, dtype: Any = None, **options: Any) -> Array:
        if dtype is not None or x.dtype.char not in "fF":
            return of_halves(x, dtype=dtype, **options)
        return f(x, dtype={"f": "d", "F": "D"}[x.dtype.char], **options).astype(x.dtype)

    return running


# array_api_compat's wrappers cost a microsecond each, so NumPy's functions are used where they are
# right; while a step is recorded, what array_api_compat does in Python is one call
AS_IN_NUMPY = (
    "ceil empty_like fft floor full_like matrix_transpose ones_like permute_dims sign std "
    "tensordot trunc var zeros_like"
)
IN_PYTHON = "argsort asarray astype clip sort take take_along_axis"
LINALG = {name: f for name, f in vars(compat.linalg).items() if not name.startswith("_")}
OWN = erf, erfc, expm1, floor_divide, index_add, log1p, matmul, remainder, tanh
MENDS: dict[str, Any] = {
    **{name: getattr(np, name) for name in AS_IN_NUMPY.split()},
    **{name: constant(getattr(np, name)) for name in ("arange", "eye", "linspace")},
    **{name: new_filled(getattr(np, name)) for name in ("full", "ones", "zeros")},
    **{name: one_call(getattr(compat, name)) for name in IN_PYTHON.split()},
    **{f.__name__: f for f in OWN},
    "all": reduction(np.logical_and),
    "any": reduction(np.logical_or),
    "cumulative_prod": cumulative(np.cumulative_prod),
    "cumulative_sum": cumulative(np.cumulative_sum),
    "empty": new_empty(np.empty),
    "linalg": SimpleNamespace(**{k: one_call(f) if callable(f) else f for k, f in LINALG.items()}),
    "max": reduction(np.maximum),
    "min": reduction(np.minimum),
    "prod": total(np.multiply),
    "repeat": repeat_call(compat.repeat),
    "sum": total(np.add),
    "vecdot": products_in_float32(compat.vecdot),
}
