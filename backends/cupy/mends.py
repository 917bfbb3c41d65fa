"""Functions of CuPy and its wrapper, mended where they deviate from the Array API.

The deviations were found by reading CuPy's sources. The library is a parameter, so that tests can
use NumPy instead where there is no GPU.
"""

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common import special
from tinyxp.backends.common.halves import totals_in_float32

TOTALS = "sum", "prod", "cumulative_sum", "cumulative_prod"
KEEPING = "round", "tril", "triu"  # bfloat16, which would become float32
# cuSOLVER returns a status for these, which CuPy checks only if it is told to
CHECKED = "cholesky", "eigh", "eigvalsh", "inv", "qr", "svd", "svdvals"


def mends(
    compat: Any, xp: Any, raising: Callable[[], AbstractContextManager[Any]]
) -> dict[str, Any]:
    """The functions by name. ``xp``'s linear algebra raises LinAlgError within ``raising()``."""
    linalg = {name: f for name, f in vars(compat.linalg).items() if not name.startswith("_")}
    linalg |= {name: with_errors(linalg[name], raising) for name in CHECKED}
    linalg["solve"] = with_errors(functools.partial(solve, xp, linalg["solve"]), raising)
    linalg["eig"] = functools.partial(eig, xp, linalg["eig"])
    own = acosh, floor_divide, log, log1p, remainder, tanh, where
    return {f.__name__: functools.partial(f, xp) for f in own} | {
        "clip": functools.partial(clip, xp, compat.clip),
        "linalg": SimpleNamespace(**linalg),
        "sign": xp.sign,  # compat's uses a boolean mask, which waits for the device
        **{name: keep_dtype(getattr(compat, name)) for name in KEEPING},
        **{name: totals_in_float32(getattr(compat, name)) for name in TOTALS},
    }


def from_host(xp: Any, array: Array) -> Array:
    """A NumPy array on the device; CuPy would lose the sign of -0.0 without axes."""
    lost = array.ndim == 0 and not array and any(array.tobytes())
    return xp.full((), array[()], dtype=array.dtype) if lost else xp.asarray(array)


def keep_dtype(f: Callable[..., Array]) -> Callable[..., Array]:
    """``f`` with a result of the dtype of its first array."""
    return lambda x, *args, **options: f(x, *args, **options).astype(x.dtype, copy=False)


def with_errors(
    f: Callable[..., Any], raising: Callable[[], AbstractContextManager[Any]]
) -> Callable[..., Any]:
    """``f``, which raises LinAlgError."""

    @functools.wraps(f)
    def call(*args: Any, **options: Any) -> Any:
        with raising():
            return f(*args, **options)

    return call


def solve(xp: Any, own: Callable[..., Array], a: Array, b: Array) -> Array:
    """a⁻¹ b, of a vector or matrices; CuPy does not broadcast stacks."""
    if b.ndim == 1:
        return solve(xp, own, a, b[:, None])[..., 0]
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    stacks = [xp.ascontiguousarray(xp.broadcast_to(x, front + x.shape[-2:])) for x in (a, b)]
    return own(*stacks)


def eig(xp: Any, own: Callable[..., Any], x: Array) -> Any:
    """Complex eigenvalues and vectors; CuPy's are real for empty matrices."""
    dtype = xp.result_type(x.dtype, xp.complex64)
    return tuple(part.astype(dtype, copy=False) for part in own(x))


def where(xp: Any, condition: Array, x1: Any, x2: Any) -> Array:
    """x1 where the condition holds, else x2; CuPy returns float32 for bfloat16."""
    y = xp.where(condition, x1, x2)
    dtypes = [x.dtype for x in (x1, x2) if hasattr(x, "dtype")]
    return y.astype(dtypes[0], copy=False) if {x.name for x in dtypes} == {"bfloat16"} else y


def clip(xp: Any, own: Any, x: Array, /, min: Any = None, max: Any = None) -> Array:
    """Each element between min and max, without waiting for the device if x is floating."""
    if x.dtype.kind != "f":
        return own(x, min, max)
    y = x if min is None else xp.maximum(x, min)
    y = y if max is None else xp.minimum(y, max)
    return y.astype(x.dtype, copy=False)


def tanh(xp: Any, x: Array) -> Array:
    """tanh x, x = a + ib. For infinite a, CuPy gives the imaginary part, a zero, the sign of
    sin 2b, as C does; the standard asks for the sign of b. For a = 0 and infinite or NaN b it loses
    the 0."""
    y = xp.tanh(x)
    if y.dtype.kind == "c":
        y = xp.asarray(y)
        y.real = xp.where((x.real == 0) & ~xp.isfinite(x.imag), x.real, y.real)
        y.imag = xp.where(xp.isinf(x.real), xp.copysign(0.0, x.imag), y.imag)
    return y


def log(xp: Any, x: Array) -> Array:
    """ln x. CuPy's complex result is NaN where a part of x is, even if it is known in part."""
    y = xp.log(x)
    if y.dtype.kind != "c":
        return y
    y, lost = xp.asarray(y), ~xp.isfinite(y)
    y.real = xp.where(lost, xp.log(xp.hypot(x.real, x.imag)), y.real)
    y.imag = xp.where(lost, xp.arctan2(x.imag, x.real), y.imag)
    return y


def log1p(xp: Any, x: Array) -> Array:
    """ln(1 + x). CuPy's complex result is like its ``log``, and loses the sign of an imaginary zero
    and the real part of small numbers."""
    if x.dtype.kind != "c":
        return xp.log1p(x)
    y = log(xp, x + 1)
    y.real = xp.where(xp.isfinite(x), special.log_length(xp, x.real, x.imag), y.real)
    y.imag = xp.copysign(y.imag, x.imag)
    return y


def acosh(xp: Any, x: Array) -> Array:
    """arcosh x. For ±0 + i NaN CuPy's imaginary part is NaN, and should be π / 2."""
    y = xp.arccosh(x)
    if y.dtype.kind == "c":
        y = xp.asarray(y)
        y.imag = xp.where((x.real == 0) & xp.isnan(x.imag), math.pi / 2, y.imag)
    return y


def floats(xp: Any, x1: Any, x2: Any) -> tuple[Array, Array] | None:
    """Both as arrays of the dtype of their quotient, or None if that is not real and floating."""
    dtype = xp.result_type(x1, x2)
    if dtype.kind != "f":
        return None
    # numbers by a launch, as a captured step cannot copy them to the device
    x1, x2 = (x if hasattr(x, "dtype") else xp.full((), x, dtype=dtype) for x in (x1, x2))
    return x1.astype(dtype, copy=False), x2.astype(dtype, copy=False)


def remainder(xp: Any, x1: Any, x2: Any) -> Array:
    """x1 - ⌊x1 / x2⌋ · x2, with the sign of x2. CuPy computes that formula, so that 1 % inf is NaN
    and a rounded quotient costs digits."""
    both = floats(xp, x1, x2)
    if both is None:
        return xp.remainder(x1, x2)
    x1, x2 = both
    left = xp.fmod(x1, x2)
    other = xp.signbit(left) != xp.signbit(x2)
    return xp.where(left == 0, xp.copysign(left, x2), xp.where(other, left + x2, left))


def floor_divide(xp: Any, x1: Any, x2: Any) -> Array:
    """⌊x1 / x2⌋ of the exact quotient, rounded as by NumPy: 1 // 0.1 is 9. CuPy takes the floor of
    the rounded quotient, which is 10; for infinite operands the standard asks for that."""
    both = floats(xp, x1, x2)
    if both is None:
        return xp.floor_divide(x1, x2)
    x1, x2 = both
    quotient, left = x1 / x2, xp.fmod(x1, x2)
    exact = (x1 - left) / x2
    exact = exact - ((left != 0) & (xp.signbit(left) != xp.signbit(x2)))
    whole = xp.floor(exact)
    whole = whole + (exact - whole > 0.5)
    whole = xp.where(whole == 0, xp.copysign(whole, quotient), whole)
    return xp.where(xp.isfinite(quotient) & xp.isfinite(x2), whole, xp.floor(quotient))
