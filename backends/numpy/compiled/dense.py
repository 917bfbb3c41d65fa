"""gelu, relu and layer_norm in one pass over memory, where NumPy's ufuncs take several."""

from typing import Any

import numpy as np

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.numpy.compiled.functions import (
    CUBIC,
    DENSITY,
    HALF_ROOT,
    TANH_SCALE,
    compiled,
    erfc,
    exp,
    expect,
    f4,
    fits,
    readable,
    tanh_rest,
)
from tinyxp.backends.numpy.kernels.dense import Array, in_order
from tinyxp.backends.numpy.memory import empty, empty_like

# -- gelu: y = x Φ(x) -------------------------------------------------------------------------


@compiled
def _gelu_tanh(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        m = tanh_rest(x[i])
        y[i] = x[i] * (f4(1) - m if x[i] > f4(0) else m)


@compiled
def _gelu_tanh_vjp(g, x, out):  # type: ignore[no-untyped-def]
    expect(g.size == x.size == out.size)
    for i in range(x.size):
        v, m = x[i], tanh_rest(x[i])
        inner = TANH_SCALE * (f4(1) + f4(3) * CUBIC * v * v)
        out[i] = g[i] * ((f4(1) - m if v > f4(0) else m) + v * m * (f4(1) - m) * inner)


@compiled
def _gelu_erf(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        y[i] = f4(0.5) * x[i] * erfc(-x[i] * HALF_ROOT)


@compiled
def _gelu_erf_vjp(g, x, out):  # type: ignore[no-untyped-def]
    expect(g.size == x.size == out.size)
    for i in range(x.size):
        v = x[i]
        cdf = f4(0.5) * erfc(-v * HALF_ROOT)
        out[i] = g[i] * (cdf + v * DENSITY * exp(f4(-0.5) * v * v))


def gelu(x: Array, approximate: str) -> Any:
    if not fits(x):
        return NotImplemented
    y = empty(x.shape, x.dtype)
    (_gelu_tanh if approximate == "tanh" else _gelu_erf)(x.reshape(-1), y.reshape(-1))
    return y, (x, approximate == "tanh")


def gelu_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    x, by_tanh = residuals
    out = empty(x.shape, x.dtype)
    g = readable(g).reshape(-1)
    vjp = _gelu_tanh_vjp if by_tanh else _gelu_erf_vjp
    vjp(g, readable(x).reshape(-1), out.reshape(-1))
    return (out,)


# -- relu -------------------------------------------------------------------------------------


@compiled
def _relu(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        y[i] = f4(0) if x[i] <= f4(0) else x[i]


@compiled
def _relu_vjp(g, y, out):  # type: ignore[no-untyped-def]
    expect(g.size == y.size == out.size)
    for i in range(y.size):
        out[i] = f4(0) if y[i] <= f4(0) else g[i]


def relu(x: Array) -> Any:
    numbers = in_order(x) if isinstance(x, np.ndarray) and x.dtype.char == "f" else None
    if numbers is None or not numbers.flags.carray:
        return NotImplemented
    y = empty_like(x)
    _relu(numbers, in_order(y))
    return y, y


def relu_vjp(g: Array, y: Array, needs: Needs) -> Gradients:
    out = empty_like(y)
    if y.strides != out.strides or not y.flags.behaved:
        out[...] = y
        y = out.copy("K")
    if g.strides != out.strides or not g.flags.behaved:
        out[...] = g
        g = out
    _relu_vjp(in_order(g), in_order(y), in_order(out))
    return (out,)


# -- layer_norm over the last axis --------------------------------------------------------------


@compiled
def _layer_norm(x, weight, bias, eps, y, mean, scale):  # type: ignore[no-untyped-def]
    rows, n = x.shape
    expect(y.shape == x.shape and n == weight.size == bias.size and rows == mean.size == scale.size)
    for i in range(rows):
        total = f4(0)
        for j in range(n):
            total += x[i, j]
        m = total / f4(n)
        square = f4(0)
        for j in range(n):
            d = x[i, j] - m
            square += d * d
        s = f4(1) / np.sqrt(square / f4(n) + f4(eps))
        mean[i], scale[i] = m, s
        for j in range(n):
            y[i, j] = (x[i, j] - m) * s * weight[j] + bias[j]


@compiled
def _layer_norm_vjp(g, x, weight, mean, scale, gx, gw, gb):  # type: ignore[no-untyped-def]
    rows, n = x.shape
    expect(g.shape == x.shape == gx.shape and n == weight.size == gw.size == gb.size)
    expect(rows == mean.size == scale.size)
    for i in range(rows):
        m, s = mean[i], scale[i]
        along, total = f4(0), f4(0)
        for j in range(n):
            h = g[i, j] * weight[j]
            along += h * (x[i, j] - m)
            total += h
        a, b = along * s * s / f4(n), total / f4(n)
        for j in range(n):
            d = x[i, j] - m
            gx[i, j] = s * (g[i, j] * weight[j] - b - d * a)
            gw[j] += g[i, j] * d * s
            gb[j] += g[i, j]


def layer_norm(x: Array, weight: Any = None, bias: Any = None, *, axes: int, eps: float) -> Any:
    n = x.shape[-1] if x.ndim else 0
    known = all(part is None or part.shape == (n,) for part in (weight, bias))
    if axes != 1 or not known or not fits(x, weight, bias) or x.size == 0:
        return NotImplemented
    y, rows = empty(x.shape, x.dtype), x.reshape(-1, n)
    mean, scale = empty((2, len(rows)), x.dtype)
    w = np.ones(n, x.dtype) if weight is None else weight
    b = np.zeros(n, x.dtype) if bias is None else bias
    _layer_norm(rows, w, b, eps, y.reshape(-1, n), mean, scale)
    return y, (rows, w, mean, scale, x.shape)


def layer_norm_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    rows, weight, mean, scale, shape = residuals
    gx = empty(shape, rows.dtype)
    gw, gb = sums = empty((2, len(weight)), rows.dtype)
    sums[...] = 0
    given = map(readable, (g.reshape(rows.shape), rows, weight, mean, scale))
    _layer_norm_vjp(*given, gx.reshape(rows.shape), gw, gb)
    return gx, gw if needs[1] else None, gb if needs[2] else None


KERNELS = {
    "gelu": Kernel(gelu, gelu_vjp),
    "layer_norm": Kernel(layer_norm, layer_norm_vjp),
    "relu": Kernel(relu, relu_vjp),
}
