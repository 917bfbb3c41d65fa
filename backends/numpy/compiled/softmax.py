"""Softmax over the last axis in one pass, compiled by numba."""

from typing import Any

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.common.operands import is_last_axis
from tinyxp.backends.numpy.compiled.functions import compiled, exp, expect, f4, fits, readable
from tinyxp.backends.numpy.kernels.dense import Array
from tinyxp.backends.numpy.memory import empty


@compiled
def softmax_rows(x, scale, causal):  # type: ignore[no-untyped-def]
    """Replace each row of x (batch, queries, keys) by softmax(scale · x), if ``causal`` over keys
    up to the row's own."""
    batch, queries, keys = x.shape
    expect(keys > 0)
    for b in range(batch):
        for i in range(queries):
            n = min(i + 1, keys) if causal else keys
            row = x[b, i]
            largest = row[0]
            for j in range(1, n):
                largest = row[j] if row[j] > largest else largest
            total = f4(0)
            for j in range(n):
                e = exp(f4(scale) * (row[j] - largest))
                row[j] = e
                total += e
            for j in range(n):  # a product with 1 / total would round all in the same direction
                row[j] /= total
            nothing = f4(0) / total  # 0, or NaN if the row is NaN
            for j in range(n, keys):
                row[j] = nothing


@compiled
def softmax_rows_vjp(g, y, scale, causal):  # type: ignore[no-untyped-def]
    """Replace g by scale · y (g - Σ g y), row by row."""
    batch, queries, keys = y.shape
    expect(g.shape == y.shape)
    for b in range(batch):
        for i in range(queries):
            n = min(i + 1, keys) if causal else keys
            # relative to the g of a y near 1, if there is one, as rounding loses 1 - y
            origin, along = f4(0), f4(0)
            for j in range(n):
                origin += g[b, i, j] if y[b, i, j] > f4(0.5) else f4(0)
            for j in range(n):
                g[b, i, j] -= origin
                along += g[b, i, j] * y[b, i, j]
            for j in range(n, keys):  # y is 0 there, but NaN and infinity must show
                along += g[b, i, j] * f4(0)
            for j in range(n):
                g[b, i, j] = f4(scale) * y[b, i, j] * (g[b, i, j] - along)
            for j in range(n, keys):
                g[b, i, j] = f4(0)


def softmax(x: Array, dim: int) -> Any:
    if not fits(x) or not is_last_axis(x, dim):
        return NotImplemented
    y = empty(x.shape, x.dtype)
    y[...] = x
    softmax_rows(y.reshape(1, -1, y.shape[-1]), 1.0, False)
    return y, y


def softmax_vjp(g: Array, y: Array, needs: Needs) -> Gradients:
    gx = empty(y.shape, y.dtype)
    gx[...] = g
    flat = (1, -1, y.shape[-1])
    softmax_rows_vjp(gx.reshape(flat), readable(y).reshape(flat), 1.0, False)
    return (gx,)


KERNELS = {"softmax": Kernel(softmax, softmax_vjp)}
