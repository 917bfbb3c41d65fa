"""Convolution and pooling over one or two axes (windows.cu); three are left to the formulas.

A convolution is the product of the weight and a matrix whose columns are the windows of the input.
The columns are copied for as many samples at a time as a memory bound allows, and are not kept.
A transposed convolution adds such columns where the windows lie; each is the gradient of the other.
Filters that see one channel have little to multiply, and kernels apply them without columns.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyxp.backends import Array, Gradients, Kernel, Needs
from tinyxp.backends.common.operands import conv_fits
from tinyxp.backends.cupy.launch import Library, sum_dtype

Pair = tuple[int, int]
MOST = 1 << 26  # numbers in columns at a time: 256 MiB of float32
INDICES = 1 << 31  # that kernels count up to
TILE = 1024  # numbers of a line of columns for each block, as in windows.cu


class Geometry(NamedTuple):
    """Lengths along height and width, the channels of the image and the groups that split them."""

    image: Pair
    size: Pair  # of the window
    stride: Pair
    before: Pair  # of the padding
    dilation: Pair
    out: Pair
    channels: int = 1
    groups: int = 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """As GEOMETRY in windows.cu."""
        return tuple(n for pair in self[:6] for n in pair)

    @property
    def pointwise(self) -> bool:
        """Whether the windows are the places of the image, in their order."""
        return self.groups == 1 and self.image == self.out and self.size == self.stride == (1, 1)

    @property
    def depthwise(self) -> bool:
        """Whether each filter sees one channel of several."""
        return self.groups == self.channels > 1

    @property
    def sample(self) -> int:
        """The numbers of one sample, as columns or as an image."""
        seen = math.prod(self.size) * math.prod(self.out)
        return self.channels * max(seen, math.prod(self.image))

    def parts(self, n: int) -> Iterator[slice]:
        """Slices of n samples that stay below the memory bound."""
        step = max(1, MOST // self.sample)
        for first in range(0, n, step):
            yield slice(first, first + step)


def plan_windows(*lengths: tuple[int, ...], channels: int = 1, groups: int = 1) -> Geometry | None:
    """A geometry from the lengths along one axis or two, where one axis is an image of height 1.
    None for three axes, and for images with more numbers than kernels can count.

    >>> plan_windows((5,), (3,), (1,), (0,), (1,), (3,))[:4]
    ((1, 5), (1, 3), (1, 1), (0, 0))
    """
    if len(lengths[0]) not in (1, 2):
        return None
    rows = (1, 1, 1, 0, 1, 1)
    pairs = [(row, *given)[-2:] for row, given in zip(rows, lengths, strict=True)]
    geometry = Geometry._make([*pairs, channels, groups])
    return geometry if geometry.sample < INDICES else None


def countable(x: Array, image: tuple[int, ...], out: tuple[int, ...]) -> bool:
    """Whether x has images, and kernels can count their numbers before and after pooling."""
    numbers = math.prod(image)
    return x.size > 0 and x.size // numbers * max(numbers, math.prod(out)) < INDICES


def images(x: Array) -> Array:
    """(batch, channels, length) as (batch, channels, 1, length); images themselves."""
    return x if x.ndim == 4 else x[:, :, None]


class Windows:
    """The kernels of convolutions and pooling of one array library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.xp, self.packed = library.xp, library.packed
        self.tables: dict[Any, list[Array]] = {}

    def table(self) -> dict[str, Kernel]:
        """By the names of the composites."""
        return {
            "avg_pool": Kernel(self.avg_pool, self.avg_pool_vjp),
            "conv": Kernel(self.conv, self.conv_vjp),
            "conv_transpose": Kernel(self.conv_transpose, self.conv_vjp),
            "max_pool": Kernel(self.max_pool, self.max_pool_vjp),
        }

    # -- convolutions -------------------------------------------------------------------------

    def conv(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: tuple[int, ...],
        padding: Any,
        dilation: tuple[int, ...],
        groups: int,
    ) -> Any:
        if not self._fits(x, weight, bias, groups):
            return NotImplemented
        size = weight.shape[2:]
        axes = zip(x.shape[2:], size, stride, padding, dilation, strict=True)
        out = tuple((m + sum(p) - d * (k - 1) - 1) // s + 1 for m, k, s, p, d in axes)
        before = tuple(pair[0] for pair in padding)
        lengths = (x.shape[2:], size, stride, before, dilation, out)
        geometry = plan_windows(*lengths, channels=x.shape[1], groups=groups)
        if geometry is None or min(out) < 1:
            return NotImplemented
        return self._convolve(x, weight, bias, geometry, out, transposed=False)

    def conv_transpose(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        output_padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> Any:
        if not self._fits(x, weight, bias, groups, transposed=True):
            return NotImplemented
        size = weight.shape[2:]
        axes = zip(x.shape[2:], size, stride, padding, output_padding, dilation, strict=True)
        out = tuple(s * (m - 1) + d * (k - 1) + 1 + more - 2 * p for m, k, s, p, more, d in axes)
        lengths = (out, size, stride, padding, dilation, x.shape[2:])
        geometry = plan_windows(*lengths, channels=weight.shape[1] * groups, groups=groups)
        if geometry is None:
            return NotImplemented
        return self._convolve(x, weight, bias, geometry, out, transposed=True)

    def _fits(self, x: Array, weight: Array, bias: Any, groups: int, **options: bool) -> bool:
        known = self.library.kind(x, weight, bias) is not None
        return known and conv_fits(x, weight, bias, groups, **options)

    def _convolve(
        self, x: Array, weight: Array, bias: Any, geometry: Geometry, out: Any, transposed: bool
    ) -> Any:
        # (A, B, *size) -> (groups, A / groups, B · window)
        groups, a = geometry.groups, weight.shape[0]
        rows = self.packed(weight).reshape(groups, a // groups, weight.size // a)
        image = images(x)
        y = (self._up if transposed else self._down)(image, rows, bias, geometry)
        residuals = image, rows, geometry, x.shape, weight.shape, transposed
        return y.reshape(*y.shape[:2], *out), residuals

    def conv_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        """For both: the gradient by x of a convolution is a transposed one of g, and vice versa."""
        image, rows, geometry, x_shape, weight_shape, transposed = residuals
        g, gx, gw, gb = images(g), None, None, None
        if needs[0]:
            back = self._down if transposed else self._up
            gx = back(g, rows, None, geometry).reshape(x_shape)
        if needs[1]:
            y, image = (image, g) if transposed else (g, image)
            gw = self._across(y, image, geometry).reshape(weight_shape)
        if needs[2]:
            gb = self.xp.sum(g, axis=(0, 2, 3), dtype=sum_dtype(g.dtype)).astype(
                g.dtype, copy=False
            )
        return gx, gw, gb

    # For an image (batch, B, h, w), rows (groups, A / groups, B / groups · window) and y (batch, A,
    # out_h, out_w): y = rows · windows of the image, and the gradients of image and rows.

    def _down(self, image: Array, rows: Array, bias: Any, geometry: Geometry) -> Array:
        """y = rows · windows of the image + bias."""
        n, a = len(image), rows.shape[0] * rows.shape[1]
        if geometry.pointwise:
            y = self.library.matmul(rows[0], self.packed(image).reshape(n, rows.shape[2], -1))
            y = y.reshape(n, a, *geometry.out)
            if bias is not None:
                y += bias[:, None, None]
            return y
        y = self.xp.empty((n, a, *geometry.out), dtype=image.dtype)
        if geometry.depthwise:
            return self._by_channels("depthwise", image, rows, bias, y, geometry)
        for some in geometry.parts(n):
            part = self.library.matmul(rows, self._windows(image[some], geometry))
            part = part.reshape(a, -1, *geometry.out).swapaxes(0, 1)
            if bias is None:
                y[some] = part
            else:  # in the pass that moves the batch to the front
                self.xp.add(part, bias[:, None, None], out=y[some])
        return y

    def _up(self, y: Array, rows: Array, bias: Any, geometry: Geometry) -> Array:
        """rowsᵀ · y, added where the windows lie, + bias."""
        n, b, turned = len(y), geometry.channels, rows.swapaxes(1, 2)
        if geometry.pointwise and bias is None:
            image = self.library.matmul(turned[0], self.packed(y).reshape(n, rows.shape[1], -1))
            return image.reshape(n, b, *geometry.image)
        image = self.xp.empty((n, b, *geometry.image), dtype=y.dtype)
        if geometry.depthwise:
            return self._by_channels("depthwise_up", y, rows, bias, image, geometry)
        bias = None if bias is None else self.packed(bias)
        for some in geometry.parts(n):
            columns, to = self.library.matmul(turned, self._lines(y[some], geometry)), image[some]
            args = (columns, bias, to, to.size, len(to), b, *geometry.numbers)
            self.library.elementwise("overlap_add", to.size, args, y.dtype.name)
        return image

    def _across(self, y: Array, image: Array, geometry: Geometry) -> Array:
        """Σ y · windowsᵀ, the gradient of the rows."""
        if geometry.depthwise:
            filters = y.shape[1]
            rows = self.xp.empty((filters, math.prod(geometry.size)), dtype=y.dtype)
            counts = len(y), filters, filters // geometry.groups
            args = (self.packed(y), self.packed(image), rows, *counts, *geometry.numbers)
            self.library.launch("depthwise_across", (rows.size,), (256,), args, y.dtype.name)
            return rows
        rows = None
        for some in geometry.parts(len(y)):
            seen = self._windows(image[some], geometry).swapaxes(1, 2)
            part = self.library.matmul(self._lines(y[some], geometry), seen)
            rows = part if rows is None else rows + part
        return rows

    def _by_channels(
        self, name: str, x: Array, rows: Array, bias: Any, to: Array, geometry: Geometry
    ) -> Array:
        """Fill ``to`` with filters that see one channel each, without columns; returns it."""
        x, bias = self.packed(x), None if bias is None else self.packed(bias)
        step = (INDICES - 1) // max(x[0].size, to[0].size)
        for first in range(0, len(x), step):
            some = slice(first, first + step)
            counts = to[some].size, to.shape[1], rows.shape[1]
            args = (x[some], self.packed(rows), bias, to[some], *counts, *geometry.numbers)
            self.library.elementwise(name, counts[0], args, to.dtype.name)
        return to

    def _lines(self, y: Array, geometry: Geometry) -> Array:
        """(batch, A, out_h, out_w) -> (groups, A / groups, batch · out_h · out_w)."""
        lines = self.xp.ascontiguousarray(y.swapaxes(0, 1))
        return lines.reshape(geometry.groups, len(lines) // geometry.groups, -1)

    def _windows(self, image: Array, geometry: Geometry) -> Array:
        """(batch, B, h, w) -> (groups, B / groups · window, batch · out_h · out_w)."""
        places = geometry.channels * math.prod(geometry.size)
        line = len(image) * math.prod(geometry.out)
        shape = (geometry.groups, places // geometry.groups, line)
        columns = self.xp.empty(shape, dtype=image.dtype)
        strides = [step // image.dtype.itemsize for step in image.strides]
        args = (image, columns, len(image), *geometry.numbers, *strides)
        grid = (places * -(-line // TILE),)
        self.library.launch("windows", grid, (256,), args, image.dtype.name)
        return columns

    # -- max_pool: keeps the place of each maximum, for the gradient -------------------------------

    def max_pool(self, x: Array, *, columns: Any) -> Any:
        n, kind = len(columns), self.library.kind(x)
        if not kind or n not in (1, 2):
            return NotImplemented
        columns = (((0,),), *columns)[-2:]
        image, out = (1, *x.shape[-n:])[-2:], tuple(len(along[0]) for along in columns)
        if not countable(x, image, out):
            return NotImplemented
        if any(max(map(max, seen)) >= length for seen, length in zip(columns, image, strict=True)):
            return NotImplemented
        tables = self._tables(x, (columns, image), lambda: window_ranges(columns, image))
        y = self.xp.empty((*x.shape[:-n], *out[-n:]), dtype=x.dtype)
        places = self.xp.empty(y.shape, dtype=self.xp.int32)
        (rows, seen_rows, across, seen_across), (kh, kw) = tables, map(len, columns)
        args = (self.packed(x), y, places, y.size, *image, *out, rows, kh, across, kw)
        self.library.elementwise("max_pool", y.size, args, kind)
        return y, (places, x.shape, (*image, *out, seen_rows, seen_across))

    def max_pool_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        places, shape, options = residuals
        arrays = self.packed(g), places
        return (self.library.apply("max_pool_vjp", shape, arrays, options),)

    # -- avg_pool -----------------------------------------------------------------------------

    def avg_pool(self, x: Array, size: Any, stride: Any, padding: Any, divisors: Any) -> Any:
        n, known = len(size), self.library.kind(x) is not None
        image = x.shape[-n:]
        axes = zip(image, size, stride, padding, strict=True)
        out = tuple((m + sum(p) - k) // s + 1 for m, k, s, p in axes)
        before = tuple(pair[0] for pair in padding)
        geometry = plan_windows(image, size, stride, before, (1,) * n, out)
        if not known or geometry is None or not countable(x, image, out):
            return NotImplemented
        each = [np.broadcast_to(d, m) * 1.0 for d, m in zip(divisors, out, strict=True)]
        tables = self._tables(x, (divisors, out), lambda: [np.ones(1), *each][-2:])
        options, shape = (*geometry.numbers, *tables), x.shape
        arrays = (self.packed(x),)
        y = self.library.apply("avg_pool", (*shape[:-n], *out), arrays, options)
        return y, (shape, options)

    def avg_pool_vjp(self, g: Array, residuals: Any, needs: Needs) -> Gradients:
        shape, options = residuals
        return (self.library.apply("avg_pool_vjp", shape, (self.packed(g),), options),)

    def _tables(self, like: Array, key: Any, make: Callable[[], Any]) -> list[Array]:
        """Small arrays that depend on shapes only, copied once to the device of ``like``."""
        key = (*key, self.library.place(like))
        if key not in self.tables:
            self.tables[key] = [self.xp.asarray(np.ascontiguousarray(x)) for x in make()]
        return self.tables[key]


def window_ranges(columns: Any, image: Pair) -> list[Any]:
    """For each axis: ``columns`` (window, out), the places that windows see; and for each place the
    first window that sees it and the one after the last, (length, 2).

    >>> window_ranges((((0, 1), (1, 2)),), (3,))[1].tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    tables: list[Any] = []
    for along, length in zip(columns, image, strict=True):
        places = np.asarray(along, dtype=np.int64)
        firsts = np.searchsorted(places.max(axis=0), np.arange(length))  # they come in order
        ends = np.searchsorted(places.min(axis=0), np.arange(length), side="right")
        tables += [places, np.stack([firsts, ends], axis=1)]
    return tables
