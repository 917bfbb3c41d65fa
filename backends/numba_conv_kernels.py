"""Parts of convolution, and max-pooling, that numba compiles; see ``numpy_conv_kernels``."""

from functools import partial
from typing import Any

import numpy as np

from tinyxp.backends import Kernel, numpy_conv_kernels
from tinyxp.backends.numba_kernels import compiled, f4
from tinyxp.backends.numpy_conv_kernels import Geometry
from tinyxp.backends.numpy_kernels import Array, Needs
from tinyxp.backends.numpy_memory import empty

# -- convolution: what windows see, copied, and its adjoint -------------------------------------


@compiled
def _copy_windows(columns, source, first, width, stride, dilation):  # type: ignore[no-untyped-def]
    groups, places, channels, rows, across, batch = columns.shape
    for o in range(groups):
        for k in range(places):
            down, right = k // width * dilation[0], k % width * dilation[1]
            for c in range(channels):
                for i in range(rows):
                    row = (first + i) * stride[0] + down
                    for j in range(across):
                        for n in range(batch):
                            columns[o, k, c, i, j, n] = source[o, c, row, j * stride[1] + right, n]


@compiled
def _add_windows(columns, target, first, width, stride, dilation):  # type: ignore[no-untyped-def]
    groups, places, channels, rows, across, batch = columns.shape
    for o in range(groups):
        for k in range(places):
            down, right = k // width * dilation[0], k % width * dilation[1]
            for c in range(channels):
                for i in range(rows):
                    row = (first + i) * stride[0] + down
                    for j in range(across):
                        for n in range(batch):
                            target[o, c, row, j * stride[1] + right, n] += columns[o, k, c, i, j, n]


def copy_windows(columns: Array, source: Array, geometry: Geometry, first: int) -> None:
    _copy_windows(columns, source, first, geometry.size[1], geometry.stride, geometry.dilation)


def add_windows(columns: Array, target: Array, geometry: Geometry, first: int) -> None:
    _add_windows(columns, target, first, geometry.size[1], geometry.stride, geometry.dilation)


# -- max_pool over two axes, where each number is in one window and the batch lies last ---------


@compiled
def _max_pool(x, y, where, height, width):  # type: ignore[no-untyped-def]
    """``where`` gets the place of each maximum in its window, counted row by row."""
    channels, rows, columns, batch = y.shape
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                for n in range(batch):
                    y[c, i, j, n] = x[c, height * i, width * j, n]
                    where[c, i, j, n] = 0
                for k in range(1, height * width):
                    up, across = height * i + k // width, width * j + k % width
                    for n in range(batch):
                        new, old = x[c, up, across, n], y[c, i, j, n]
                        better = (new > old) | (new != new)
                        y[c, i, j, n] = new if better else old
                        where[c, i, j, n] = k if better else where[c, i, j, n]


@compiled
def _max_pool_vjp(g, where, out, height, width):  # type: ignore[no-untyped-def]
    channels, rows, columns, batch = g.shape
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                for k in range(height * width):
                    up, across = height * i + k // width, width * j + k % width
                    for n in range(batch):
                        here = where[c, i, j, n] == k
                        out[c, up, across, n] = g[c, i, j, n] if here else f4(0)


def max_pool(x: Array, *, columns: Any) -> Any:
    plain = type(x) is np.ndarray and x.dtype.char == "f" and x.ndim == 4 and x.size > 0
    if plain and len(columns) == 2:
        lying = numpy_conv_kernels.batch_last(x)
        height, width = map(len, columns)
        tiled = all(
            along == tuple(tuple(range(k, n, len(along))) for k in range(len(along)))
            and n % len(along) == 0
            for along, n in zip(columns, x.shape[2:], strict=True)
        )
        if tiled and lying.flags.c_contiguous and height * width < 128:
            c, h, w, n = lying.shape
            y = empty((c, h // height, w // width, n), x.dtype)
            where = empty(y.shape, np.dtype("int8"))
            _max_pool(lying, y, where, height, width)
            return numpy_conv_kernels.batch_first(y), (where, lying.shape, height, width, x.dtype)
    return numpy_conv_kernels.max_pool(x, columns=columns)


def max_pool_vjp(g: Array, residuals: Any, needs: Needs) -> tuple[Array | None, ...]:
    if len(residuals) == 4:
        return numpy_conv_kernels.max_pool_vjp(g, residuals, needs)
    where, shape, height, width, dtype = residuals
    out = empty(shape, dtype)
    g = np.ascontiguousarray(numpy_conv_kernels.batch_last(g))
    _max_pool_vjp(g, where, out, height, width)
    return (numpy_conv_kernels.batch_first(out),)


KERNELS: dict[str, Any] = {
    "conv": Kernel(
        partial(numpy_conv_kernels.conv, copy=copy_windows),
        partial(numpy_conv_kernels.conv_vjp, copy=copy_windows, add=add_windows),
    ),
    "max_pool": Kernel(max_pool, max_pool_vjp),
}
