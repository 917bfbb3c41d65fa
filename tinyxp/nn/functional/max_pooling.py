"""Max pooling, and its partial inverse.

The positions of the maxima are found first, without a gradient, and the input is then read there,
so the first of equal numbers gets the gradient.
"""

import functools
import math

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.axes import over_axes
from tinyxp.nn.functional.checks import expect_indices, numbers
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal
from tinyxp.ops.gathering import _take_along
from tinyxp.ops.shaping import reshape

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


@primitive(real=True, no_gradient="it returns positions")
def _max_places(xp, x, /, columns):
    """The position of the maximum of each window, in row-major order over all spatial axes;
    ``columns[axis][k]`` is the k-th position of every window along an axis."""
    # axis by axis: the first of equal numbers is the first of its row, in the first row
    n = len(columns)
    spatial = tuple(x.shape[-n:])
    places = xp.reshape(xp.arange(math.prod(spatial), device=x.device), spatial)
    places = xp.broadcast_to(places, x.shape)
    for axis in range(-1, -n - 1, -1):
        x, places = first_max(
            xp, ([_read(xp, y, column, axis) for y in (x, places)] for column in columns[axis])
        )
    return places


def _read(xp, x, column, axis):
    """x at the positions ``column`` of one axis: a slice, if they are evenly spaced."""
    step = column[1] - column[0] if len(column) > 1 else 1
    even = range(column[0], column[-1] + 1, step) if column and step > 0 else range(0)
    if column == tuple(even):
        rest = [slice(None)] * (-axis - 1)
        return x[(..., slice(even.start, even.stop, even.step), *rest)]
    return xp.take(x, xp.asarray(column, device=x.device), axis=axis)


def first_max(xp, parts):
    """The elementwise maximum of arrays, and its position; NaN is larger than all."""
    parts = iter(parts)
    best, places = next(parts)
    for x, there in parts:
        better = (x > best) | (x != x)
        best, places = xp.where(better, x, best), xp.where(better, there, places)
    return best, places


def at_places(x, places, n):
    """x (..., *spatial) at positions (..., *out), counted over n spatial axes."""
    lead = x.shape[:-n]
    flat = reshape(x, (*lead, math.prod(x.shape[-n:])))
    y = _take_along(flat, reshape(places, (*lead, math.prod(places.shape[-n:]))), dim=len(lead))
    return reshape(y, places.shape)


@composite(real=True)
def _max_pool(x, /, columns):
    return at_places(x, _max_places(x, columns=columns), len(columns))


_max_pool.example(normal((2, 3, 4), columns=(((0, 1), (1, 2)), ((0, 2), (1, 3)))))
_max_pool.example(normal((2, 5), columns=(((0, 2, 4), (1, 3, 4)),)))


@functools.lru_cache(maxsize=256)
def _columns(length, size, out, stride, padding, dilation):
    """For each offset in the window, its position in the input for every window along one axis.

    The nearest position of the window in the input replaces positions in the padding: this does not
    change the maximum, and needs no smallest number. None if a window lies outside of the input.
    """
    starts = [i * stride - padding for i in range(out)]
    firsts = [max(start, start % dilation) for start in starts]
    lasts = [start + (length - 1 - start) // dilation * dilation for start in starts]
    bounds = list(zip(starts, firsts, lasts, strict=True))
    columns = tuple(
        tuple(min(max(start + k * dilation, first), last) for start, first, last in bounds)
        for k in range(size)
    )
    return columns if all(0 <= i < length for column in columns for i in column) else None


def max_pool_nd(
    name,
    n,
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """The maxima of windows over n axes, after all checks."""
    spatial = spatial_of(name, input, n)
    dilation = numbers(name, "dilation", dilation, n, 1)
    geometry = geometry_of(name, spatial, kernel_size, stride, padding, dilation, ceil_mode)
    columns = tuple(map(_columns, spatial, *geometry, dilation))
    if None in columns:
        raise ArgumentError(
            f"{name}: with dilation={dilation} and padding={padding} a window contains no element "
            f"of the input {input.shape}; pad or dilate less"
        )
    if not return_indices:
        return _max_pool(input, columns=columns)
    places = _max_places(input, columns=columns)
    return at_places(input, places, n), places


def spatial_of(name, input, n):
    """The lengths of the last n axes, after the checks that all pooling functions share."""
    expect_tensors(name, input)
    if input.ndim not in (n + 1, n + 2) or 0 in input.shape[-n - 1 :]:
        raise ShapeError(
            f"{name} expects input (batch, channels, ...) or (channels, ...) with {n} more axes, "
            f"none empty but the batch, got {input.shape}"
        )
    return input.shape[-n:]


def _strides(name, stride, size):
    """The stride along each axis, by default the size of the window."""
    absent = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    return size if absent else numbers(name, "stride", stride, len(size), 1)


def geometry_of(name, spatial, kernel_size, stride, padding, dilation, ceil_mode):
    """The size of the windows, their number, strides and padding, each for every axis."""
    n = len(spatial)
    size = numbers(name, "kernel_size", kernel_size, n, 1)
    stride = _strides(name, stride, size)
    padding = numbers(name, "padding", padding, n, 0)
    out = []
    for m, k, s, p, d in zip(spatial, size, stride, padding, dilation, strict=True):
        width = d * (k - 1) + 1
        if p > width // 2:
            raise ArgumentError(
                f"{name}: padding is at most half of the window, got padding={padding} for "
                f"kernel_size={size} with dilation={dilation}"
            )
        room = m + 2 * p - width
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= m + p:  # the last window would start after the input
            count -= 1
        if count < 1 or m + 2 * p < 1:
            raise ShapeError(
                f"{name}: a window {size} with dilation={dilation} does not fit into the input "
                f"{spatial} with padding={padding}"
            )
        out.append(count)
    return size, tuple(out), stride, padding


@over_axes(max_pool_nd, 1)
def max_pool1d():
    """The maxima of windows over one axis, (N, C, L) -> (N, C, L'); see ``max_pool2d``.

    >>> tx.nn.functional.max_pool1d(tx.asarray([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """


@over_axes(max_pool_nd, 2)
def max_pool2d():
    """y[n, c, i] = max over k in the window of x[n, c, stride · i + dilation · k - padding].

    Windows move by ``stride`` (``kernel_size`` if None); the padding never is a maximum. With
    ``ceil_mode`` a last window may extend beyond the end. ``return_indices`` also returns the
    positions of the maxima in each image, in row-major order. The first of equal numbers is the
    maximum, and has the gradient; NaN is larger than all.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, H', W') with
    H' = ⌊(H + 2 · padding - dilation · (K - 1) - 1) / stride⌋ + 1, or ⌈…⌉. Raises ShapeError,
    ArgumentError for a padding of more than half a window.

    >>> x = tx.reshape(tx.arange(8.0), (1, 2, 4))
    >>> tx.nn.functional.max_pool2d(x, 2, return_indices=True)
    (tensor([[[5., 7.]]]), tensor([[[5, 7]]]))
    """


@over_axes(max_pool_nd, 3)
def max_pool3d():
    """The maxima of windows over three axes, (N, C, D, H, W) -> (N, C, D', H', W'); see
    ``max_pool2d``.

    >>> tx.nn.functional.max_pool3d(tx.reshape(tx.arange(8.0), (1, 2, 2, 2)), 2)
    tensor([[[[7.]]]])
    """


# -- the partial inverse ----------------------------------------------------------------------


@primitive(promote=None)
def _max_unpool(xp, x, places, /, n):
    """y[r, places[r, i]] = x[r, i] for rows of n, 0 elsewhere; of several, the last one counts."""
    rows, k = x.shape
    firsts = xp.reshape(xp.arange(rows, device=x.device) * n, (rows, 1))
    cells = xp.reshape(places + firsts, (rows * k,))
    order = xp.argsort(cells, stable=True)
    ranked, every = xp.take(cells, order, axis=0), xp.arange(rows * n, device=x.device)
    last = xp.searchsorted(ranked, every, side="right") - 1
    last = xp.where(last < 0, 0, last)
    values = xp.take(xp.reshape(x, (rows * k,)), xp.take(order, last, axis=0), axis=0)
    hit = xp.take(ranked, last, axis=0) == every
    return xp.reshape(xp.where(hit, values, 0), (rows, n))


_max_unpool.vjp(0)(  # each of several, as in PyTorch
    lambda xp, g, places: _take_along.on(xp, g, places, dim=1)
)
_max_unpool.example(
    lambda rng: (rng.normal(size=(2, 3)), np.asarray([[4, 0, 3], [1, 2, 5]]), {"n": 6})
)


def _max_unpool_nd(name, n, input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Max unpooling over n axes, after all checks."""
    spatial = spatial_of(name, input, n)
    size = numbers(name, "kernel_size", kernel_size, n, 1)
    stride = _strides(name, stride, size)
    padding = numbers(name, "padding", padding, n, 0)
    axes = zip(spatial, size, stride, padding, strict=True)
    default = tuple((m - 1) * s + k - 2 * p for m, k, s, p in axes)
    out = default
    if output_size is not None:
        whole = isinstance(output_size, (tuple, list)) and len(output_size) == n + 2
        out = numbers(name, "output_size", output_size[2:] if whole else output_size, n, 0)
    if any(abs(m - usual) >= s for m, usual, s in zip(out, default, stride, strict=True)):
        raise ShapeError(
            f"{name}: output_size is within a stride {stride} of {default}, got {output_size}"
        )
    expect_indices(name, indices, math.prod(out), "places")
    if indices.shape != input.shape:
        raise ShapeError(
            f"{name} expects input and indices of one shape, got {input.shape} and {indices.shape}"
        )
    lead, k = input.shape[:-n], math.prod(spatial)
    places = reshape(astype(indices, dtypes.int64, copy=False), (math.prod(lead), k))
    rows = reshape(input, (math.prod(lead), k))
    return reshape(_max_unpool(rows, places, n=math.prod(out)), (*lead, *out))


@over_axes(_max_unpool_nd, 1)
def max_unpool1d():
    """Maxima at their original positions on one axis; see ``max_unpool2d``.

    >>> F = tx.nn.functional
    >>> F.max_unpool1d(*F.max_pool1d(tx.asarray([[1.0, 3.0, 2.0, 0.0]]), 2, return_indices=True), 2)
    tensor([[0., 3., 2., 0.]])
    """


@over_axes(_max_unpool_nd, 2)
def max_unpool2d():
    """y[n, c, indices[n, c, i]] = x[n, c, i], and 0 elsewhere: a partial inverse of ``max_pool2d``.

    ``indices`` are those of ``max_pool2d``; the last of equal ones counts (and each has the
    gradient, as in PyTorch). The output has ``output_size``, with or without (N, C), by default
    stride · (H - 1) + K - 2 · padding; sizes that differ by less than a stride are pooled to the
    same size. Raises ShapeError, DTypeError, IndexingError for an index outside.

    >>> x, places = tx.asarray([[[5.0, 7.0]]]), tx.asarray([[[5, 2]]])
    >>> tx.nn.functional.max_unpool2d(x, places, 2)
    tensor([[[0., 0., 7., 0.],
             [0., 5., 0., 0.]]])
    """


@over_axes(_max_unpool_nd, 3)
def max_unpool3d():
    """Maxima at their original positions on three axes; see ``max_unpool2d``.

    >>> x, places = tx.asarray([[[[7.0]]]]), tx.asarray([[[[1]]]])
    >>> tx.nn.functional.max_unpool3d(x, places, (1, 1, 2))
    tensor([[[[0., 7.]]]])
    """
