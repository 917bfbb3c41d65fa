"""The gradient of max-pooling in one pass, compiled by numba, for images (height, channels, width,
batch). All else in convolution and pooling is products by BLAS and NumPy's maxima."""

from typing import Any

import numpy as np

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.numpy.compiled.functions import compiled, expect, f4, readable
from tinyxp.backends.numpy.kernels import convolution
from tinyxp.backends.numpy.kernels.convolution import batch_first, by_rows, slices
from tinyxp.backends.numpy.kernels.dense import Array
from tinyxp.backends.numpy.memory import empty


@compiled
def _max_pool_vjp(g, x, y, places, left, gx):  # type: ignore[no-untyped-def]
    """Fill gx, (height, channels, width · n) as x: g where the first maximum of a window lies, else
    0. Each number is at one of the ``places`` (row, step down, column, step right) of a window."""
    n, (lines, channels, length) = left.size, y.shape
    expect(n > 0 and g.shape == y.shape and x.shape == gx.shape and x.shape[1] == channels)
    for row, down, column, right in places:
        expect(row >= 0 and column >= 0 and down >= 0 and right >= 0)
        expect(row + (lines - 1) * down < x.shape[0])
        expect((column + (length // n - 1) * right + 1) * n <= x.shape[2])
    for i in range(lines):
        for c in range(channels):
            for j in range(length // n):
                best = y[i, c, j * n : (j + 1) * n]
                for k in range(n):
                    left[k] = g[i, c, j * n + k]
                for row, down, column, right in places:
                    h, begin = row + i * down, (column + j * right) * n
                    seen, out = x[h, c, begin : begin + n], gx[h, c, begin : begin + n]
                    for k in range(n):
                        rest = left[k]
                        hit = seen[k] == best[k]
                        out[k] = rest if hit else f4(0)
                        left[k] = f4(0) if hit else rest


def max_pool(x: Array, *, columns: Any) -> Any:
    if x.dtype.char != "f" or x.ndim != 4 or len(columns) != 2 or not by_rows(x).flags.c_contiguous:
        return NotImplemented
    places = slices(columns, x.shape[2:])
    if len(x) < 4 or places is None or not places[1]:  # NumPy is faster than short loops
        return NotImplemented
    return convolution.max_pool(x, columns=columns)


def max_pool_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    x, y, places, _ = residuals
    g, x, y = (readable(by_rows(a)) for a in (g, x, y))
    gx, left = empty(x.shape, g.dtype), empty(x.shape[-1:], g.dtype)
    flat = [a.reshape(*a.shape[:2], -1) for a in (g, x, y)]
    starts = np.array([(a.start, a.step, b.start, b.step) for a, b in places])
    _max_pool_vjp(*flat, starts, left, gx.reshape(flat[1].shape))
    return (batch_first(gx),)


KERNELS = {"max_pool": Kernel(max_pool, max_pool_vjp)}
