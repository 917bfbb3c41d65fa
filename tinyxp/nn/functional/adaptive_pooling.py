"""Pooling to a given output size, with windows that are evenly spaced or random."""

import functools
import itertools
import math

from tinyxp import backends
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.average_pooling import expect_floating
from tinyxp.nn.functional.axes import over_axes
from tinyxp.nn.functional.checks import numbers
from tinyxp.nn.functional.max_pooling import _max_places, at_places, first_max, spatial_of
from tinyxp.ops.creation import clone
from tinyxp.ops.examples import normal
from tinyxp.ops.orders import flip
from tinyxp.ops.reductions import mean
from tinyxp.ops.shaping import concat, expand_dims, squeeze
from tinyxp.random import source

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "fractional_max_pool2d",
    "fractional_max_pool3d",
]  # fmt: skip


def _bounds(length, out):
    """Window i of ``out`` over an axis: from ⌊i · length / out⌋ to ⌈(i + 1) · length / out⌉."""
    return [(i * length // out, -(-(i + 1) * length // out)) for i in range(out)]


@composite(real=True)
def _adaptive_avg_pool(x, /, size):
    first = x.ndim - len(size)
    if size == x.shape[first:]:
        return clone(x)
    # window by window: in a product with a weight matrix, 0 · inf would be NaN in every window
    for axis, m in enumerate(size, first):
        if m != x.shape[axis]:
            before = (slice(None),) * axis
            windows = [x[(*before, slice(*bounds))] for bounds in _bounds(x.shape[axis], m)]
            means = [mean(window, axis=axis, keepdims=True) for window in windows]
            x = concat(means or [x[(*before, slice(0, 0))]], axis=axis)
    return x


_adaptive_avg_pool.example(normal((2, 5), size=(3,)))
_adaptive_avg_pool.example(normal((2, 4, 3), size=(2, 5)))


@functools.lru_cache(maxsize=256)
def _columns(length, out):
    """For each offset, its position in every window; shorter windows repeat their last."""
    bounds = _bounds(length, out)
    width = max((end - start for start, end in bounds), default=1)
    return tuple(tuple(min(a + k, b - 1) for a, b in bounds) for k in range(width))


def _target(name, n, input, output_size):
    """The last n lengths of the input and of the output; None keeps a length."""
    spatial = spatial_of(name, input, n)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) != n:
        raise ArgumentError(
            f"{name}: output_size is an integer, None, or {n} of them, got {output_size!r}"
        )
    kept = tuple(m if size is None else size for m, size in zip(spatial, given, strict=True))
    size = numbers(name, "output_size", kept, n, 0)
    if max(size) >= 2**31:  # the positions are listed one by one
        raise ArgumentError(f"{name}: output_size is below 2**31, got {output_size!r}")
    return spatial, size


def _adaptive_avg_pool_nd(name, n, input, output_size):
    """The means over n axes, after all checks."""
    _, size = _target(name, n, input, output_size)
    expect_floating(name, input)
    return _adaptive_avg_pool(input, size=size)


def _adaptive_max_pool_nd(name, n, input, output_size, return_indices=False):
    """The maxima over n axes, after all checks."""
    spatial, size = _target(name, n, input, output_size)
    places = _max_places(input, columns=tuple(map(_columns, spatial, size)))
    y = at_places(input, places, n)
    return (y, places) if return_indices else y


@over_axes(_adaptive_avg_pool_nd, 1)
def adaptive_avg_pool1d():
    """The means of ``output_size`` windows, (N, C, L) -> (N, C, L'); see ``adaptive_avg_pool2d``.

    >>> tx.nn.functional.adaptive_avg_pool1d(tx.asarray([[1.0, 2.0, 6.0]]), 2)
    tensor([[1.5, 4. ]])
    """


@over_axes(_adaptive_avg_pool_nd, 2)
def adaptive_avg_pool2d():
    """The means of ``output_size`` windows, for any size of the input.

    Along an axis of length n, window i of m reaches from ⌊i · n / m⌋ to ⌈(i + 1) · n / m⌉.
    ``output_size`` is a number or one for each axis; None leaves an axis as it is.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size). Raises ShapeError, DTypeError,
    ArgumentError. Source: He et al. 2014, sec. 2.2 (windows that follow from the output's size).

    >>> tx.nn.functional.adaptive_avg_pool2d(tx.reshape(tx.arange(8.0), (1, 2, 4)), 1)
    tensor([[[3.5]]])
    """


@over_axes(_adaptive_avg_pool_nd, 3)
def adaptive_avg_pool3d():
    """The means of ``output_size`` windows, (N, C, D, H, W) -> (N, C, *output_size); see
    ``adaptive_avg_pool2d``.

    >>> tx.nn.functional.adaptive_avg_pool3d(tx.reshape(tx.arange(8.0), (1, 2, 2, 2)), 1)
    tensor([[[[3.5]]]])
    """


@over_axes(_adaptive_max_pool_nd, 1)
def adaptive_max_pool1d():
    """The maxima of ``output_size`` windows, (N, C, L) -> (N, C, L'); see ``adaptive_max_pool2d``.

    >>> tx.nn.functional.adaptive_max_pool1d(tx.asarray([[1.0, 2.0, 6.0]]), 2)
    tensor([[2., 6.]])
    """


@over_axes(_adaptive_max_pool_nd, 2)
def adaptive_max_pool2d():
    """The maxima of the windows of ``adaptive_avg_pool2d``; ``return_indices`` and ties as in
    ``max_pool2d``.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size). Raises ShapeError,
    ArgumentError.

    >>> x = tx.reshape(tx.arange(8.0), (1, 2, 4))
    >>> tx.nn.functional.adaptive_max_pool2d(x, (1, None))
    tensor([[[4., 5., 6., 7.]]])
    """


@over_axes(_adaptive_max_pool_nd, 3)
def adaptive_max_pool3d():
    """The maxima of ``output_size`` windows, (N, C, D, H, W) -> (N, C, *output_size); see
    ``adaptive_max_pool2d``.

    >>> tx.nn.functional.adaptive_max_pool3d(tx.reshape(tx.arange(8.0), (1, 2, 2, 2)), 1)
    tensor([[[[7.]]]])
    """


# -- random windows ---------------------------------------------------------------------------


@primitive(real=True, no_gradient="it returns positions")
def _fractional_places(xp, x, samples, /, size, out):
    """The positions of the maxima in x (N, C, *spatial), for windows by ``samples`` (N, C, n).

    Window i of m, of size k on an axis of length l, begins at ⌊(i + u) a⌋ - ⌊u a⌋ for the sample u,
    with a = (l - k) / (m - 1); the last one at l - k.
    """
    lead, spatial, n = tuple(x.shape[:2]), tuple(x.shape[2:]), len(out)
    strides = [math.prod(spatial[i + 1 :]) for i in range(n)]
    firsts = 0
    for axis, (length, k, m) in enumerate(zip(spatial, size, out, strict=True)):
        u, a = samples[:, :, axis : axis + 1], (length - k) / max(1, m - 1)
        i = xp.astype(xp.arange(m - 1, device=x.device), u.dtype)
        starts = xp.astype((i + u) * a, xp.int64) - xp.astype(u * a, xp.int64)
        last = xp.full((*lead, 1), length - k, dtype=xp.int64, device=x.device)
        starts = xp.concat([starts, last], axis=-1) * strides[axis]
        firsts = firsts + xp.reshape(starts, (*lead, *(m if b == axis else 1 for b in range(n))))
    flat = xp.reshape(x, (*lead, math.prod(spatial)))
    firsts = xp.reshape(firsts, (*lead, math.prod(out)))
    steps = [range(0, k * stride, stride) for k, stride in zip(size, strides, strict=True)]
    windows = (firsts + sum(place) for place in itertools.product(*steps))
    parts = ((xp.take_along_axis(flat, there, axis=-1), there) for there in windows)
    return xp.reshape(first_max(xp, parts)[1], (*lead, *out))


def _fractional_max_pool_nd(
    name,
    n,
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
    *,
    generator=None,
):
    """The maxima of random windows over n axes, after all checks."""
    spatial = spatial_of(name, input, n)
    size = numbers(name, "kernel_size", kernel_size, n, 1)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(f"{name} needs output_size or output_ratio, and not both")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        if len(ratios) != n or not all(0 < ratio < 1 for ratio in ratios):
            raise ArgumentError(
                f"{name}: output_ratio is a number in (0, 1) or {n} of them, got {output_ratio!r}"
            )
        output_size = tuple(int(m * ratio) for m, ratio in zip(spatial, ratios, strict=True))
    out = numbers(name, "output_size", output_size, n, 1)
    if any(m + k - 1 > length for m, k, length in zip(out, size, spatial, strict=True)):
        raise ShapeError(
            f"{name}: output_size + kernel_size - 1 is at most the size of the input, "
            f"got {out}, {size} and {spatial}"
        )
    x = input if input.ndim == n + 2 else expand_dims(input, axis=0)
    samples = _random_samples
    if samples is None:
        draw = source(generator).uniform
        with backends.using(input.backend):
            samples = draw((*x.shape[:2], n), dtype=input.dtype, device=input.device)
    expect_tensors(name, samples)
    if samples.ndim != 3 or samples.shape[0] < x.shape[0] or samples.shape[1:] != (x.shape[1], n):
        raise ShapeError(f"{name} expects _random_samples {(*x.shape[:2], n)}, got {samples.shape}")
    samples = samples[: x.shape[0]]
    samples = flip(samples, axis=-1) if n == 2 else samples  # as in PyTorch: W first, or D, H, W
    places = _fractional_places(x, samples, size=size, out=out)
    y = at_places(x, places, n)
    if input.ndim == n + 1:
        y, places = squeeze(y, axis=0), squeeze(places, axis=0)
    return (y, places) if return_indices else y


@over_axes(_fractional_max_pool_nd, 2)
def fractional_max_pool2d():
    """The maxima of ``output_size`` windows that begin at random positions.

    The positions differ for each image and channel, with a mean distance of l / m for m windows on
    an axis of length l. ``output_ratio`` gives m / l instead, in (0, 1). They follow from
    ``_random_samples`` (N, C, 2) in [0, 1), first for W, which are drawn if None.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size). Raises ShapeError for
    output_size + kernel_size - 1 above the input's size, ArgumentError.
    Source: Graham 2014, sec. 2 (the pseudorandom sequences).

    >>> x = tx.reshape(tx.arange(9.0), (1, 3, 3))
    >>> tx.nn.functional.fractional_max_pool2d(x, 2, output_size=2)
    tensor([[[4., 5.],
             [7., 8.]]])
    """


@over_axes(_fractional_max_pool_nd, 3)
def fractional_max_pool3d():
    """The maxima of windows at random positions, (N, C, D, H, W) -> (N, C, *output_size); see
    ``fractional_max_pool2d``. ``_random_samples`` (N, C, 3): D, H, W.

    >>> x = tx.reshape(tx.arange(8.0), (1, 2, 2, 2))
    >>> tx.nn.functional.fractional_max_pool3d(x, 2, output_size=1)
    tensor([[[[7.]]]])
    """
