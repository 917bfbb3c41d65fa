"""NumPy kernels for convolution and max-pooling, over one or two axes.

In memory, images are (height, channels, width, batch). With the batch last, rows are long; and with
height first, the contents of windows are a matrix of which only the horizontal steps are copies:
vertical steps are a view. Results are returned as views in the usual order, (batch, channels,
height, width). NumPy keeps the memory order through elementwise operations, so that the next layer
gets images in this order, too.
"""

import functools
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.common.operands import conv_fits
from tinyxp.backends.numpy.kernels.dense import Array, alike
from tinyxp.backends.numpy.memory import contiguous, empty, empty_like

CACHED = 1 << 17  # elements: 512 KiB of float32, the gradients of a few rows of windows


class Geometry(NamedTuple):
    """Lengths along height and width."""

    size: tuple[int, int]  # of the window
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    out: tuple[int, int]


@functools.lru_cache(maxsize=256)
def column_slices(geometry: Geometry, width: int) -> list[tuple[slice, slice]]:
    """By horizontal step: the outputs for which it lies inside the input, and its columns."""
    pairs = []
    for j in range(geometry.size[1]):
        start, step = j * geometry.dilation[1] - geometry.padding[1][0], geometry.stride[1]
        first = max(0, -(start // step))
        last = max(first, min(geometry.out[1], (width - 1 - start) // step + 1))
        begin = start + first * step
        pairs.append((slice(first, last), slice(begin, begin + (last - first) * step, step)))
    return pairs


def by_rows(x: Array) -> Array:
    """(batch, channels, height, width) -> (height, channels, width, batch)."""
    return x.transpose(2, 1, 3, 0)


def batch_first(x: Array) -> Array:
    """(height, channels, width, batch) -> (batch, channels, height, width)."""
    return x.transpose(3, 1, 0, 2)


# -- convolution: y = b + W · (windows of x), a product of matrices for each row of y -----------


def split_groups(x: Array, groups: int) -> Array:
    """(height, channels, width, batch) -> (groups, height, channels / groups, width, batch)."""
    h, c, w, n = x.shape
    return x.reshape(h, groups, c // groups, w, n).transpose(1, 0, 2, 3, 4)


def join_groups(x: Array) -> Array:
    """The inverse of split_groups."""
    groups, h, c, w, n = x.shape
    return x.transpose(1, 0, 2, 3, 4).reshape(h, groups * c, w, n)


def unfold_width(x: Array, geometry: Geometry) -> Array:
    """x, split into groups and padded, copied once for each horizontal step within a window:
    (groups, padded height, steps, channels, out width, batch)."""
    (_, kw), _, ((top, bottom), _), _, _, (_, width) = geometry
    groups, h, c, w, n = x.shape
    y = empty((groups, top + h + bottom, kw, c, width, n), x.dtype)
    y[:, :top], y[:, top + h :] = 0, 0
    for j, (to, places) in enumerate(column_slices(geometry, w)):
        part = y[:, top : top + h, j]
        part[..., : to.start, :], part[..., to.stop :, :] = 0, 0
        part[..., to, :] = x[..., places, :]
    return y


def windows(x: Array, geometry: Geometry) -> Array:
    """The contents of windows on x, split into groups: (groups, out height, places · channels, out
    width · batch); a view of ``unfold_width`` unless the rows of a window are not adjacent."""
    source = unfold_width(x, geometry)
    (kh, _), (sh, _), _, (dh, _), _, (height, _) = geometry
    groups, _, kw, c, width, n = source.shape
    group, row, _, channel, _, one = source.strides
    shape = (groups, height, kh, kw * c, width * n)
    strides = (group, row * sh, row * dh, channel, one)
    seen: Array = type(source)(shape, source.dtype, source, strides=strides)
    return seen.reshape(groups, height, kh * kw * c, width * n)


def matrix(filters: Array, groups: int) -> Array:
    """(out, in, *size) -> (groups, out / groups, places · in), in the order of the windows."""
    o, c, kh, kw = filters.shape
    return filters.transpose(0, 2, 3, 1).reshape(groups, o // groups, kh * kw * c)


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    groups: int,
) -> Any:
    if not alike(x, weight, bias) or x.ndim not in (3, 4) or not conv_fits(x, weight, bias, groups):
        return NotImplemented
    image, filters = x, weight
    if x.ndim == 3:  # one row
        stride, padding, dilation = (1, *stride), ((0, 0), *padding), (1, *dilation)
        image, filters = x[:, :, None], weight[:, :, None]
    axes = zip(image.shape[2:], filters.shape[2:], stride, padding, dilation, strict=True)
    out = [(m + sum(p) - d * (k - 1) - 1) // s + 1 for m, k, s, p, d in axes]
    if min(out) < 1:
        return NotImplemented
    lengths: tuple[Any, Any, Any, Any] = filters.shape[2:], stride, padding, dilation
    geometry = Geometry(*lengths, groups, (out[0], out[1]))
    rows, n = matrix(filters, groups), len(x)
    seen = windows(split_groups(by_rows(image), groups), geometry)
    y = empty((groups, out[0], rows.shape[1], out[1] * n), x.dtype)
    np.matmul(rows[:, None], seen, out=y)
    if bias is not None:
        y += bias.reshape(groups, 1, -1, 1)
    y = batch_first(join_groups(y.reshape(*y.shape[:3], out[1], n)))
    return y[:, :, 0] if x.ndim == 3 else y, (image, filters, geometry, x.shape, weight.shape)


def conv_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    image, filters, geometry, x_shape, weight_shape = residuals
    g = by_rows(g if g.ndim == 4 else g[:, :, None])
    g = contiguous(split_groups(contiguous(g), geometry.groups))
    flat = g.reshape(*g.shape[:3], -1)
    gx = gw = gb = None
    # the cost of windows on g grows with g's channels, that of windows on the image with its own
    fewer = filters.shape[0] <= 2 * image.shape[1]
    if needs[0] and fewer and (back := gradient_geometry(geometry, image.shape)):
        gx, gw = _by_mirrored_filters(g, image, filters, back, needs[1])
    else:
        if needs[0]:
            gx = _by_places(flat, filters, image.shape, geometry)
        if needs[1]:
            seen = windows(split_groups(by_rows(image), geometry.groups), geometry)
            gw = np.matmul(flat, seen.transpose(0, 1, 3, 2)).sum(axis=1)  # over the rows of y
            o, c, kh, kw = filters.shape
            gw = gw.reshape(o, kh, kw, c).transpose(0, 3, 1, 2)
    if needs[2]:
        gb = np.matmul(flat, np.ones(flat.shape[-1], g.dtype)).sum(axis=1).reshape(-1)
    return (
        None if gx is None else batch_first(join_groups(gx)).reshape(x_shape),
        None if gw is None else gw.reshape(weight_shape),
        gb,
    )


@functools.lru_cache(maxsize=256)
def gradient_geometry(geometry: Geometry, shape: tuple[int, ...]) -> Geometry | None:
    """The geometry of the convolution of y's gradient, fully padded, that is the gradient of the
    image; None for other strides than 1, and where windows lie outside of the image."""
    whole = [d * (k - 1) for d, k in zip(geometry.dilation, geometry.size, strict=True)]
    (top, bottom), (left, right) = geometry.padding
    padding = (whole[0] - top, whole[0] - bottom), (whole[1] - left, whole[1] - right)
    if geometry.stride != (1, 1) or min(*padding[0], *padding[1]) < 0:
        return None
    return geometry._replace(padding=padding, out=(shape[2], shape[3]))


def _by_mirrored_filters(
    g: Array, image: Array, filters: Array, back: Geometry, both: bool
) -> tuple[Array, Array | None]:
    """The gradients of the image, split into groups, and of the filters, from windows on g."""
    (o, c, kh, kw), groups, (h, w), n = filters.shape, back.groups, back.out, len(image)
    seen = windows(g, back)
    mirrored = filters.reshape(groups, o // groups, c, kh, kw)[..., ::-1, ::-1]
    rows = mirrored.transpose(0, 2, 3, 4, 1).reshape(groups, 1, c, -1)
    gx = np.matmul(rows, seen, out=empty((groups, h, c, w * n), g.dtype))
    gw = None
    if both:
        x = split_groups(by_rows(image), groups).reshape(groups, h, c, w * n)
        gw = np.matmul(x, seen.transpose(0, 1, 3, 2)).sum(axis=1)
        gw = gw.reshape(groups, c, kh, kw, o // groups)[:, :, ::-1, ::-1].transpose(0, 4, 1, 2, 3)
    return gx.reshape(groups, h, c, w, n), gw


def _by_places(g: Array, filters: Array, shape: tuple[int, ...], geometry: Geometry) -> Array:
    """The gradient of the image, split into groups, for any stride: the gradient of the windows'
    contents is added where the windows lie, for as many rows of y at a time as fit into the
    cache."""
    (kh, kw), (sh, _), ((top, bottom), _), (dh, _), groups, (height, width) = geometry
    (n, _, h, w), c_in = shape, filters.shape[1]
    columns = matrix(filters, groups).transpose(0, 2, 1)[:, None]  # (groups, 1, places, out)
    source = empty((groups, top + h + bottom, kw, c_in, width, n), g.dtype)
    source[...] = 0
    rows = min(height, max(1, CACHED // (groups * columns.shape[2] * width * n)))
    memory = empty((groups, rows, columns.shape[2], width * n), g.dtype)
    for first in range(0, height, rows):
        some = g[:, first : first + rows]
        part = np.matmul(columns, some, out=memory[:, : some.shape[1]])
        steps = part.reshape(groups, -1, kh, kw, c_in, width, n)
        for i in range(kh):
            down = first * sh + i * dh
            source[:, down : down + some.shape[1] * sh : sh] += steps[:, :, i]
    gx = empty((groups, h, c_in, w, n), g.dtype)
    gx[...] = 0
    for j, (to, places) in enumerate(column_slices(geometry, w)):
        gx[..., places, :] += source[:, top : top + h, j, :, to]
    return gx


# -- max_pool: the largest number of each window; the first of equal ones has the gradient -------


@functools.lru_cache(maxsize=256)
def slices(columns: Any, lengths: tuple[int, ...]) -> tuple[list[tuple[slice, ...]], bool] | None:
    """The numbers that windows see at each of their places, as slices, from the columns along each
    axis; and whether each number is in exactly one window. None if places are uneven or outside."""
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
    if any(found and found[-1] >= n for found, n in zip(seen, lengths, strict=True)):
        return None
    apart = all(found == list(range(n)) for found, n in zip(seen, lengths, strict=True))
    return list(product(*axes)), apart


def max_pool(x: Array, *, columns: Any) -> Any:
    if x.ndim < len(columns):
        return NotImplemented
    found = slices(columns, x.shape[x.ndim - len(columns) :])
    if found is None or not alike(x) or x.size == 0:
        return NotImplemented
    parts: list[Array] = [x[(Ellipsis, *place)] for place in found[0]]  # type: ignore[arg-type]
    y = empty_like(parts[0])
    np.maximum(parts[0], parts[-1], out=y)
    for part in parts[1:-1]:
        np.maximum(y, part, out=y)
    if np.isnan(np.maximum.reduce(y, axis=None)):
        return NotImplemented  # NaN equals nothing, so the vjp would not find its place
    return y, (x, y, *found)


def max_pool_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    x, y, places, apart = residuals
    gx = empty_like(x)
    if not apart:
        gx[...] = 0
    # g's bits as integers, times 1 where a place holds the maximum: the first place takes them
    bits = np.dtype(f"i{g.dtype.itemsize}")
    left, out = empty_like(y), gx.view(bits)
    left[...] = g
    left = left.view(bits)
    for k, place in enumerate(places):
        at = (..., *place)
        if k == len(places) - 1:
            here = left  # no place before held the maximum
        else:
            here = (x[at] == y).astype(bits)
            here *= left
            left -= here
        if apart:
            out[at] = here
        else:
            gx[at] += here.view(gx.dtype)
    return (gx,)


KERNELS = {"conv": Kernel(conv, conv_vjp), "max_pool": Kernel(max_pool, max_pool_vjp)}
