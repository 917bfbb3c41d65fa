"""NumPy kernels for convolution and pooling, over one or two axes.

Inside, the batch is the last axis: (channels, height, width, batch). Then what a window sees at one
of its places is a slice whose rows are long, where with the width last they would have a handful of
numbers. Results are handed on as views in the usual order, (batch, channels, height, width); NumPy
keeps the order in memory through elementwise operations, so that the next layer finds it as it was.
"""

import functools
import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinyxp.backends import Kernel
from tinyxp.backends.numpy_kernels import Array, Needs, alike
from tinyxp.backends.numpy_memory import empty, empty_like

CACHED = 1 << 17  # elements: 512 KiB of float32, the columns of a few rows of outputs


class Geometry(NamedTuple):
    """Lengths along the height and the width."""

    size: tuple[int, int]  # of the window
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    out: tuple[int, int]

    def places(self, first: int, rows: int) -> Iterator[tuple[slice, slice]]:
        """Where each place of the window lies in the padded input, for some rows of y."""
        (sh, sw), (dh, dw), width = self.stride, self.dilation, self.out[1]
        for i, j in product(range(self.size[0]), range(self.size[1])):
            top = first * sh + i * dh
            yield (
                slice(top, top + (rows - 1) * sh + 1, sh),
                slice(j * dw, j * dw + (width - 1) * sw + 1, sw),
            )


def batch_last(x: Array) -> Array:
    """(batch, channels, height, width) -> (channels, height, width, batch)."""
    return x.transpose(1, 2, 3, 0)


def batch_first(x: Array) -> Array:
    """(channels, height, width, batch) -> (batch, channels, height, width)."""
    return x.transpose(3, 0, 1, 2)


def padded(x: Array, padding: Any) -> Array:
    """x, batch last, with zeros around its height and width."""
    (top, bottom), (left, right) = padding
    c, h, w, n = x.shape
    y = empty((c, top + h + bottom, left + w + right, n), x.dtype)
    y[:, :top], y[:, top + h :], y[:, :, :left], y[:, :, left + w :] = 0, 0, 0, 0
    y[:, top : top + h, left : left + w] = x
    return y


# -- convolution: y = b + W · (windows of x), a product of matrices for some rows at a time -----


def copy_windows(columns: Array, source: Array, geometry: Geometry, first: int) -> None:
    """Copy what the windows of some rows see: from (groups, in, height, width, batch) to
    (groups, places, in, rows, width, batch)."""
    for k, (down, across) in enumerate(geometry.places(first, columns.shape[3])):
        columns[:, k] = source[:, :, down, across]


def add_windows(columns: Array, target: Array, geometry: Geometry, first: int) -> None:
    """The adjoint: add windows up where they lie."""
    for k, (down, across) in enumerate(geometry.places(first, columns.shape[3])):
        target[:, :, down, across] += columns[:, k]


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    groups: int,
    copy: Any = copy_windows,
) -> Any:
    if not alike(x, weight, bias) or x.ndim not in (3, 4) or 0 in x.shape:
        return NotImplemented
    if x.ndim == 3:  # one row
        stride, padding, dilation = (1, *stride), ((0, 0), *padding), (1, *dilation)
    image, filters = (a.reshape(*a.shape[:2], -1, a.shape[-1]) for a in (x, weight))
    axes = zip(image.shape[2:], filters.shape[2:], stride, padding, dilation, strict=True)
    out = [(m + sum(p) - d * (k - 1) - 1) // s + 1 for m, k, s, p, d in axes]
    lengths: tuple[Any, Any, Any, Any] = filters.shape[2:], stride, padding, dilation
    geometry = Geometry(*lengths, groups, (out[0], out[1]))
    source, rows = by_groups(padded(batch_last(image), padding), groups), matrix(filters, groups)
    y = empty((groups, rows.shape[1], *out, len(x)), x.dtype)
    for first, last, columns in windows(source, geometry):
        copy(columns, source, geometry, first)
        np.matmul(rows, _flat(columns), out=_flat(y[:, :, first:last], 2))
    y = y.reshape(-1, *y.shape[2:])
    if bias is not None:
        y += bias[:, None, None, None]
    y = batch_first(y)
    return y[:, :, 0] if x.ndim == 3 else y, (image, filters, geometry, x.shape, weight.shape)


def conv_vjp(
    g: Array, residuals: Any, needs: Needs, copy: Any = copy_windows, add: Any = add_windows
) -> tuple[Array | None, ...]:
    image, filters, geometry, x_shape, weight_shape = residuals
    groups = geometry.groups
    g = np.ascontiguousarray(batch_last(g.reshape(*g.shape[:2], -1, g.shape[-1])))
    by_group, rows = by_groups(g, groups), matrix(filters, groups)
    source = by_groups(padded(batch_last(image), geometry.padding), groups)
    gx = None
    if needs[0]:
        gx = empty(source.shape, source.dtype)
        gx[...] = 0
    gw = np.zeros(rows.shape, rows.dtype) if needs[1] else None
    for first, last, columns in windows(source, geometry):
        part = _flat(by_group[:, :, first:last], 2)
        if gw is not None:
            copy(columns, source, geometry, first)
            gw += part @ _flat(columns).transpose(0, 2, 1)
        if gx is not None:
            np.matmul(rows.transpose(0, 2, 1), part, out=_flat(columns))
            add(columns, gx, geometry, first)
    if gx is not None:
        (top, _), (left, _) = geometry.padding
        _, _, h, w = image.shape
        gx = gx.reshape(-1, *gx.shape[2:])
        gx = batch_first(gx[:, top : top + h, left : left + w]).reshape(x_shape)
    if gw is not None:
        o, c, kh, kw = filters.shape
        gw = gw.reshape(o, kh, kw, c).transpose(0, 3, 1, 2).reshape(weight_shape)
    gb = g.reshape(len(g), -1).sum(axis=1) if len(needs) > 2 and needs[2] else None
    return (gx, gw, gb)[: len(needs)]


def matrix(filters: Array, groups: int) -> Array:
    """(out, in, *size) -> (groups, out / groups, places · in), the order of the columns."""
    o, c, kh, kw = filters.shape
    return filters.transpose(0, 2, 3, 1).reshape(groups, o // groups, kh * kw * c)


def windows(source: Array, geometry: Geometry) -> Iterator[tuple[int, int, Array]]:
    """Rows of outputs, first to last, and memory that holds their windows and stays in the cache:
    (groups, places, in / groups, rows, width, batch)."""
    (height, width), groups = geometry.out, geometry.groups
    channels, batch, places = source.shape[1], source.shape[-1], math.prod(geometry.size)
    rows = min(height, max(1, CACHED // (groups * channels * places * width * batch)))
    shape = (groups, places, channels, rows, width, batch)
    memory = empty((math.prod(shape),), source.dtype)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        some = (*shape[:3], last - first, width, batch)
        yield first, last, memory[: math.prod(some)].reshape(some)


def by_groups(x: Array, groups: int) -> Array:
    """(channels, …) -> (groups, channels / groups, …)."""
    return x.reshape(groups, -1, *x.shape[1:])


def _flat(x: Array, after: int = 3) -> Array:
    """x as matrices, one a group: (groups, …, rows, width, batch) -> (groups, a, b), a view."""
    tail = math.prod(x.shape[after:])
    y = x.view()
    y.shape = (len(x), math.prod(x.shape[1:after]), tail)  # fails where a copy would be needed
    return y


# -- max_pool: the largest in each window; the first of equal numbers has the gradient ----------


@functools.lru_cache(maxsize=256)
def slices(columns: Any, lengths: tuple[int, ...]) -> tuple[list[tuple[slice, ...]], bool] | None:
    """What windows see at each of their places, as slices, from the columns along each axis; and
    whether each number is in exactly one window. None where the places are uneven."""
    axes = []
    for places in columns:
        along = []
        for column in places:
            step = column[1] - column[0] if len(column) > 1 else 1
            if step < 1 or column != tuple(range(column[0], column[-1] + 1, step)):
                return None
            along.append(slice(column[0], column[-1] + 1, step))
        axes.append(along)
    seen = [sorted(i for column in places for i in column) for places in columns]
    apart = all(found == list(range(n)) for found, n in zip(seen, lengths, strict=True))
    return list(product(*axes)), apart


def max_pool(x: Array, *, columns: Any) -> Any:
    found = slices(columns, x.shape[x.ndim - len(columns) :])
    if found is None or not alike(x) or x.size == 0:
        return NotImplemented
    parts: list[Array] = [x[(Ellipsis, *place)] for place in found[0]]  # type: ignore[arg-type]
    y = empty_like(parts[0])
    y[...] = parts[0]
    for part in parts[1:]:
        np.maximum(y, part, out=y)
    if math.isnan(np.maximum.reduce(y, axis=None)):
        return NotImplemented  # NaN equals nothing, so that its place would not be found below
    return y, (x, y, *found)


def max_pool_vjp(g: Array, residuals: Any, needs: Needs) -> tuple[Array | None, ...]:
    x, y, places, apart = residuals
    gx = empty_like(x)
    if not apart:
        gx[...] = 0
    # the bits of g, which the first place that holds the maximum takes with it
    left = empty_like(y)
    left[...] = g
    bits = left.view(f"i{g.dtype.itemsize}")
    for place in places:
        here = np.negative((x[(..., *place)] == y).view(np.int8), dtype=bits.dtype)
        here &= bits
        bits ^= here
        if apart:
            gx[(..., *place)] = here.view(g.dtype)
        else:
            gx[(..., *place)] += here.view(g.dtype)
    return (gx,)


KERNELS: dict[str, Any] = {
    "conv": Kernel(conv, conv_vjp),
    "max_pool": Kernel(max_pool, max_pool_vjp),
}
