"""Max-pooling, compiled by numba; see ``numpy_conv_kernels``."""

from typing import Any

import numpy as np

from tinyxp.backends import Kernel
from tinyxp.backends.numba_kernels import compiled, f4
from tinyxp.backends.numpy_conv_kernels import batch_first, by_rows
from tinyxp.backends.numpy_conv_kernels import max_pool as numpy_max_pool
from tinyxp.backends.numpy_conv_kernels import max_pool_vjp as numpy_max_pool_vjp
from tinyxp.backends.numpy_kernels import Array, Needs
from tinyxp.backends.numpy_memory import empty

# Over two axes, where each number is in one window, of images that lie in memory as convolution
# leaves them: (height, channels, width, batch).


@compiled
def _max_pool(x, y, where, height, width):  # type: ignore[no-untyped-def]
    """``where`` gets the place of each maximum in its window, counted row by row."""
    rows, channels, columns, batch = y.shape
    for i in range(rows):
        for c in range(channels):
            for j in range(columns):
                for n in range(batch):
                    y[i, c, j, n] = x[height * i, c, width * j, n]
                    where[i, c, j, n] = 0
                for k in range(1, height * width):
                    up, across = height * i + k // width, width * j + k % width
                    for n in range(batch):
                        new, old = x[up, c, across, n], y[i, c, j, n]
                        better = (new > old) | (new != new)
                        y[i, c, j, n] = new if better else old
                        where[i, c, j, n] = k if better else where[i, c, j, n]


@compiled
def _max_pool_vjp(g, where, out, height, width):  # type: ignore[no-untyped-def]
    rows, channels, columns, batch = g.shape
    for i in range(rows):
        for c in range(channels):
            for j in range(columns):
                for k in range(height * width):
                    up, across = height * i + k // width, width * j + k % width
                    for n in range(batch):
                        here = where[i, c, j, n] == k
                        out[up, c, across, n] = g[i, c, j, n] if here else f4(0)


def max_pool(x: Array, *, columns: Any) -> Any:
    plain = type(x) is np.ndarray and x.dtype.char == "f" and x.ndim == 4 and x.size > 0
    if plain and len(columns) == 2:
        lying = by_rows(x)
        height, width = map(len, columns)
        tiled = all(
            along == tuple(tuple(range(k, n, len(along))) for k in range(len(along)))
            and n % len(along) == 0
            for along, n in zip(columns, x.shape[2:], strict=True)
        )
        if tiled and lying.flags.c_contiguous and height * width < 128:
            h, c, w, n = lying.shape
            y = empty((h // height, c, w // width, n), x.dtype)
            where = empty(y.shape, np.dtype("int8"))
            _max_pool(lying, y, where, height, width)
            return batch_first(y), (where, lying.shape, height, width, x.dtype)
    return numpy_max_pool(x, columns=columns)


def max_pool_vjp(g: Array, residuals: Any, needs: Needs) -> tuple[Array | None, ...]:
    if len(residuals) == 4:
        return numpy_max_pool_vjp(g, residuals, needs)
    where, shape, height, width, dtype = residuals
    out = empty(shape, dtype)
    g = np.ascontiguousarray(by_rows(g))
    _max_pool_vjp(g, where, out, height, width)
    return (batch_first(out),)


KERNELS: dict[str, Any] = {"max_pool": Kernel(max_pool, max_pool_vjp)}
