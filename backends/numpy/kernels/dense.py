"""NumPy kernels of linear, gelu, layer_norm and relu, and what all NumPy kernels share.

On a CPU the time goes into temporary arrays that leave the cache, and into reductions. So
elementwise chains work in place on blocks of rows that stay in the L2 cache, and sums over the last
axis are products with a vector of ones, which BLAS computes twice as fast.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.common.operands import linear_fits
from tinyxp.backends.numpy.memory import empty, empty_like
from tinyxp.backends.numpy.mends import erfc

Array = NDArray[Any]
BLOCK = 1 << 16  # elements: 256 KiB of float32, so that a few temporaries fit into L2


def alike(*arrays: Any) -> bool:
    """Whether all arrays (None aside) are float32, or all float64, and none is a NumPy scalar."""
    dtype = arrays[0].dtype
    for x in arrays:
        if x is not None and (x.dtype is not dtype or not isinstance(x, np.ndarray)):
            return False
    return dtype.char in "fd"


def blocks(*arrays: Array) -> Iterator[Sequence[Array]]:
    """Views of the same rows of all arrays, one block that fits into the cache after another."""
    n, width = len(arrays[0]), max(1, math.prod(arrays[0].shape[1:]))
    rows = max(1, BLOCK // width)
    if n <= rows:
        yield arrays
        return
    for start in range(0, n, rows):
        yield [x[start : start + rows] for x in arrays]


def in_order(x: Array) -> Any:
    """A flat view of x in the order of its memory; None if there are gaps."""
    if not x.flags.c_contiguous:
        x = x.transpose(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
    return x.reshape(-1) if x.flags.c_contiguous else None


def row_sums(x: Array) -> Array:
    """Σ over the last axis, kept as length 1: (..., n) -> (..., 1)."""
    return x @ np.ones((x.shape[-1], 1), dtype=x.dtype)


def column_sums(x: Array) -> Array:
    """Σ over the first axis of a matrix: (m, n) -> (n)."""
    return np.ones(len(x), dtype=x.dtype) @ x


# -- linear: y = x Wᵀ + b ---------------------------------------------------------------------


def linear(x: Array, weight: Array, bias: Array | None = None) -> Any:
    if not alike(x, weight, bias) or not linear_fits(x, weight, bias):
        return NotImplemented
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = np.matmul(rows, weight.T, out=empty((len(rows), len(weight)), x.dtype))
    if bias is not None:
        y += bias
    return y if rows is x else y.reshape(*x.shape[:-1], len(weight)), (rows, weight, x.shape)


def linear_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    rows, weight, shape = residuals
    g = g if g.ndim == 2 else g.reshape(len(rows), len(weight))
    gx = np.matmul(g, weight, out=empty(rows.shape, g.dtype)) if needs[0] else None
    return (
        gx if gx is None or len(shape) == 2 else gx.reshape(shape),
        np.matmul(g.T, rows, out=empty(weight.shape, g.dtype)) if needs[1] else None,
        column_sums(g) if needs[2] else None,
    )


# -- gelu: y = x Φ(x), exactly or by tanh -----------------------------------------------------

_C = math.sqrt(2 / math.pi)


def _over_phi(x: Array, out: Array) -> None:
    """out ← 1 / Φ = 1 + exp(-2u), u = √(2/π) (x + 0.044715 x³), where Φ = (1 + tanh u) / 2; for
    x < 0 the sum 1 + tanh u would lose digits."""
    np.multiply(x, x, out=out)
    out *= -2 * 0.044715 * _C
    out -= 2 * _C
    out *= x
    with np.errstate(over="ignore"):  # 1 / ∞ is 0
        np.exp(out, out=out)
    out += 1


def gelu(x: Array, approximate: str) -> Any:
    if not alike(x) or x.ndim == 0:
        return NotImplemented
    y = empty(x.shape, x.dtype)
    if approximate == "tanh":  # the vjp computes 1 / Φ again, which is cheaper than keeping it
        for xb, yb in blocks(x, y):
            _over_phi(xb, yb)
            np.divide(xb, yb, out=yb)
        return y, (x, None)
    curve = empty(x.shape, x.dtype)
    for xb, yb, cb in blocks(x, y, curve):
        np.multiply(erfc(xb * -math.sqrt(0.5)), 0.5, out=cb)
        np.multiply(xb, cb, out=yb)
    return y, (x, curve)


def gelu_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    x, curve = residuals
    gx = empty(x.shape, x.dtype)
    for gb, xb, cb, out in blocks(g, x, x if curve is None else curve, gx):
        square = xb * xb
        if curve is None:  # y' = Φ + x Φ (1 - Φ) 2 √(2/π) (1 + 3 · 0.044715 x²)
            cb = np.empty_like(out)
            _over_phi(xb, cb)
            np.divide(1, cb, out=cb)
            square *= 6 * 0.044715 * _C
            square += 2 * _C
            np.subtract(1, cb, out=out)
            out *= cb
            out *= square
        else:  # y' = Φ + x exp(-x²/2) / √(2π)
            square *= -0.5
            np.exp(square, out=out)
            out *= 1 / math.sqrt(2 * math.pi)
        out *= xb
        out += cb
        out *= gb
    return (gx,)


# -- layer_norm: y = (x - mean) / √(var + eps) · w + b, over the last axis --------------------


def layer_norm(x: Array, weight: Any = None, bias: Any = None, *, axes: int, eps: float) -> Any:
    if axes != 1 or not alike(x, weight, bias) or x.ndim == 0 or x.size == 0:
        return NotImplemented
    if not all(part is None or part.shape == x.shape[-1:] for part in (weight, bias)):
        return NotImplemented
    rows = x.reshape(-1, x.shape[-1])
    n = rows.shape[1]
    y = empty(rows.shape, x.dtype)
    mean, scale = empty((2, len(rows), 1), x.dtype)
    for xb, mb, sb, yb in blocks(rows, mean, scale, y):
        np.divide(row_sums(xb), n, out=mb)
        centred = xb - mb
        np.multiply(centred, centred, out=yb)
        np.divide(row_sums(yb), n, out=sb)
        sb += eps
        np.divide(1, np.sqrt(sb, out=sb), out=sb)
        np.multiply(centred, sb, out=yb)
        if weight is not None:
            yb *= weight
        if bias is not None:
            yb += bias
    return y.reshape(x.shape), (rows, mean, scale, weight, x.shape)


def layer_norm_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    rows, mean, scale, weight, shape = residuals
    g, n = g.reshape(rows.shape), rows.shape[1]
    gx = empty(rows.shape, rows.dtype)
    gw = None
    for gb, xb, mb, sb, out in blocks(g, rows, mean, scale, gx):
        normal = xb - mb
        normal *= sb
        if needs[1]:
            part = column_sums(np.multiply(gb, normal, out=out))
            gw = part if gw is None else gw + part
        h = gb if weight is None else gb * weight
        np.multiply(h, normal, out=out)
        along = row_sums(out) / n
        np.multiply(normal, along, out=out)
        out += row_sums(h) / n
        np.subtract(h, out, out=out)
        out *= sb
    return gx.reshape(shape), gw, column_sums(g) if needs[2] else None


# -- relu: y = max(x, 0) ----------------------------------------------------------------------


def relu(x: Array) -> Any:
    if not alike(x):
        return NotImplemented
    y, numbers = empty_like(x), in_order(x)
    width = 1 if numbers is None else math.gcd(numbers.size, 1 << 13)
    if width < 64:
        np.maximum(x, 0, out=y)
    else:  # against a row of zeros: a single zero would take four times as long
        zeros = np.zeros(width, x.dtype)
        np.maximum(numbers.reshape(-1, width), zeros, out=in_order(y).reshape(-1, width))
    return y, y


def relu_vjp(g: Array, y: Array, needs: Needs) -> Gradients:
    # g's bits as integers, times 1 or 0: np.where takes twice as long, and ∞ · 0 is NaN
    gx = empty_like(y)
    bits = gx.view(f"i{g.dtype.itemsize}")
    bits[...] = y != 0
    bits *= g.view(bits.dtype)
    return (gx,)


KERNELS = {
    "gelu": Kernel(gelu, gelu_vjp),
    "layer_norm": Kernel(layer_norm, layer_norm_vjp),
    "linear": Kernel(linear, linear_vjp),
    "relu": Kernel(relu, relu_vjp),
}
