"""Functions of PyTorch and its wrapper, mended where they deviate from the Array API."""

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.torch as compat
import numpy as np
import torch

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.errors import ArgumentError

# -- unsigned integers: for 16 bits and more PyTorch has hardly any operation -------------------

UNSIGNED = frozenset((torch.uint8, torch.uint16, torch.uint32, torch.uint64))
HALVES = frozenset((torch.float16, torch.bfloat16))
STORED_ONLY = UNSIGNED - {torch.uint8}


def by_numpy(fn: Callable[..., Any], arrays: Sequence[Any], static: dict[str, Any]) -> Any:
    """``fn(xp, *arrays, **static)`` by NumPy, if it involves a dtype of STORED_ONLY."""
    parts = (*arrays, *static.values())
    kinds = {x.dtype for x in parts if isinstance(x, torch.Tensor)}
    if STORED_ONLY.isdisjoint(kinds | {x for x in parts if isinstance(x, torch.dtype)}):
        return NotImplemented
    device = next(x.device for x in arrays if isinstance(x, torch.Tensor))
    numpy = backends.get("numpy")
    with np.errstate(all="ignore"):
        try:
            y = fn(
                numpy.xp,
                *map(to_numpy, arrays),
                **{name: to_numpy(value) for name, value in static.items()},
            )
        except ArithmeticError as error:
            raise ArgumentError(str(error)) from error
        except Exception:  # wrong for NumPy, too: PyTorch's error is the one to show
            return NotImplemented
    return from_numpy(y, device)


def to_numpy(part: Any) -> Any:
    """An operand or a static parameter for NumPy: arrays and dtypes are converted."""
    if isinstance(part, torch.Tensor):
        return part.cpu().resolve_conj().numpy()
    if isinstance(part, torch.dtype):
        return torch.empty(0, dtype=part).numpy().dtype
    return part


def from_numpy(y: Any, device: torch.device) -> Any:
    if isinstance(y, (tuple, list)):
        return tuple(from_numpy(part, device) for part in y)
    return torch.asarray(np.array(y), device=device)


def totals(name: str) -> Callable[..., Array]:
    """The sum or product ``name``: of unsigned integers as uint64, where PyTorch returns the same
    bits as int64; of 16 bits in float32, where PyTorch's product rounds at each step."""
    library = getattr(compat, name)

    def total(x: Array, /, *, dtype: Any = None, **options: Any) -> Array:
        if dtype is None and x.dtype in HALVES:
            return library(x, dtype=torch.float32, **options).to(x.dtype)
        y = library(x, dtype=dtype, **options)
        return y.to(torch.uint64) if dtype is None and x.dtype in UNSIGNED else y

    return total


def sum(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """As ``totals``, without the cost of another call."""
    if axis == ():  # PyTorch would sum over all axes
        axis, keepdims, x = 0, False, x[None]
    y = torch.sum(x, axis, keepdims, dtype=dtype)
    return y if dtype is not None or x.dtype not in UNSIGNED else y.to(torch.uint64)


# -- zeros, infinities and NaN ----------------------------------------------------------------


def divide(f: Callable[..., Array], x1: Array, x2: Array) -> Array:
    """f(x1, x2), a quotient or remainder. Raises ZeroDivisionError for integers."""
    try:
        return f(x1, x2)
    except RuntimeError as error:
        if "ZeroDivision" in str(error):
            raise ZeroDivisionError("integers cannot be divided by zero") from error
        raise


def floor_divide(x1: Array, x2: Array) -> Array:
    """⌊x1 / x2⌋. PyTorch follows Python for infinite operands (inf // 2 is NaN, 1 // -inf is -1);
    the standard asks for the floor of the quotient (inf and -0)."""
    y = divide(torch.floor_divide, x1, x2)
    if not y.is_floating_point():
        return y
    quotient = torch.floor(x1 / x2)
    infinite = ~torch.isfinite(torch.as_tensor(x1)) | torch.isinf(torch.as_tensor(x2))
    return torch.where(infinite, quotient, y)


def remainder(x1: Array, x2: Array) -> Array:
    """x1 - ⌊x1 / x2⌋ · x2. A zero gets the sign of x2; PyTorch's has the sign of x1."""
    y = divide(torch.remainder, x1, x2)
    return torch.where(y == 0, torch.copysign(y, x2), y) if y.is_floating_point() else y


def acos(x: Array) -> Array:
    """arccos x. PyTorch's complex result loses the sign of an imaginary zero."""
    y = torch.acos(x)
    return torch.complex(y.real, torch.copysign(y.imag, -x.imag)) if y.is_complex() else y


def log1p(x: Array) -> Array:
    """ln(1 + x). As for ``acos``; and PyTorch's complex result is NaN where a part of x is infinite
    or NaN, even if a part of the result is known."""
    y = torch.log1p(x)
    if not y.is_complex():
        return y
    y = torch.where(torch.isfinite(y), y, torch.log(x + 1))
    return torch.complex(y.real, torch.copysign(y.imag, x.imag))


def expm1(x: Array) -> Array:
    """eˣ - 1. As for ``log1p``; and PyTorch returns -0 at -0 + 0j; the standard asks for 0."""
    y = torch.expm1(x)
    if not y.is_complex():
        return y
    full = torch.exp(x)
    known = torch.isfinite(y) & (y != 0)
    return torch.complex(torch.where(known, y.real, full.real - 1), full.imag)


def round(x: Array) -> Array:
    """x rounded, halves to even; for complex x the wrapper turns infinities into NaN."""
    if x.is_complex():
        return torch.complex(torch.round(x.real), torch.round(x.imag))
    return torch.round(x)


def tanh(x: Array) -> Array:
    """tanh x, x = a + ib. For infinite a, PyTorch gives the imaginary part, a zero, the sign of
    sin 2b, as C does; the standard asks for the sign of b."""
    y = torch.tanh(x)
    if not y.is_complex():
        return y
    zero = torch.copysign(torch.zeros_like(x.imag), x.imag)
    return torch.complex(y.real, torch.where(torch.isinf(x.real), zero, y.imag))


def concat(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Arrays, one after another. PyTorch skips an empty vector, whatever the other shapes are."""
    if len({x.ndim for x in arrays}) > 1:
        raise ValueError("all arrays must have equally many axes")
    return compat.concat(arrays, axis=axis)


# -- indices -------------------------------------------------------------------------------------


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included."""
    if x.dtype in HALVES:  # PyTorch would round after each addition
        return x.float().index_add(0, as_int64(indices), values.float()).to(x.dtype)
    return x.index_add(0, as_int64(indices), values)


def as_int64(indices: Array) -> Array:
    """Indices as int64, the only dtype that all of PyTorch's functions take."""
    return indices if indices.dtype == torch.int64 else indices.to(torch.int64)


def gather(select: Any, x: Array, indices: Array, axis: int) -> Array:
    """``select(x, axis, indices)``, which takes no negative indices. Raises IndexError."""
    n, indices = x.shape[axis], as_int64(indices)
    try:
        return select(x, axis, torch.where(indices < 0, indices + n, indices))
    except (IndexError, RuntimeError) as error:
        raise IndexError(f"an index is out of bounds for axis {axis} of length {n}") from error


def take(x: Array, indices: Array, *, axis: int | None = None) -> Array:
    return gather(torch.index_select, x, indices, axis or 0)


def take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Array:
    return gather(torch.gather, x, indices, axis)


OWN = acos, concat, expm1, floor_divide, log1p, remainder, round, sum, tanh
INDEXING = index_add, take, take_along_axis
MENDS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (*OWN, *INDEXING)}
MENDS |= {name: totals(name) for name in ("prod", "cumulative_sum", "cumulative_prod")}
