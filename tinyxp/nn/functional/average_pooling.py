"""Average pooling and power-average (Lp) pooling over the trailing axes."""

import functools
import math

import numpy as np

from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.nn.functional.axes import over_axes
from tinyxp.nn.functional.checks import expect_numbers, numbers
from tinyxp.nn.functional.max_pooling import geometry_of, max_pool_nd, spatial_of
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import asarray
from tinyxp.ops.examples import normal
from tinyxp.ops.padding import pad
from tinyxp.ops.reductions import sum
from tinyxp.ops.rounding import abs
from tinyxp.ops.windows import _windows

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


@composite(real=True)
def _avg_pool(x, /, size, stride, padding, divisors):
    lead = ((0, 0),) * (x.ndim - len(size))
    x = pad(x, (*lead, *padding)) if any(map(any, padding)) else x
    n = len(size)
    total = sum(_windows(x, size=size, stride=stride, dilation=(1,) * n), axis=tuple(range(n)))
    divisor = functools.reduce(np.multiply.outer, map(np.asarray, divisors))
    if np.all(divisor == divisor.flat[0]):
        return total / float(divisor.flat[0])
    return total / asarray(divisor, dtype=x.dtype, device=x.device)


_avg_pool.example(normal((2, 3), size=(2,), stride=(2,), padding=((1, 0),), divisors=((1, 2),)))
_avg_pool.example(
    normal((2, 3, 5), size=(2, 3), stride=(1, 2), padding=((0, 0),) * 2, divisors=((2, 2), (3, 3)))
)


def expect_floating(name, input):
    """Raise DTypeError unless the input is of a real floating dtype."""
    if input.dtype.kind != "real floating":
        raise DTypeError(
            f"{name} expects a real floating dtype, got {input.dtype!r}; "
            "cast the input: tx.astype(x, tx.float32)"
        )


def _avg_pool_nd(
    name,
    n,
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The means of windows over n axes, after all checks."""
    spatial = spatial_of(name, input, n)
    expect_floating(name, input)
    if divisor_override == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    geometry = geometry_of(name, spatial, kernel_size, stride, padding, (1,) * n, ceil_mode)
    margins, divisors = [], []
    for m, k, count, s, p in zip(spatial, *geometry, strict=True):
        starts = range(-p, count * s - p, s)
        margins.append((p, max(0, starts[-1] + k - m)))
        low, high = (-p, m + p) if count_include_pad else (0, m)
        divisors.append(tuple(min(i + k, high) - max(i, low) for i in starts))
    if divisor_override is not None:
        divisors = [(divisor_override,), *[(1,)] * (n - 1)]
    size, _, stride, _ = geometry
    return _avg_pool(
        input, size=size, stride=stride, padding=tuple(margins), divisors=tuple(divisors)
    )


@typed
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The means of windows over one axis, (N, C, L) -> (N, C, L'); see ``avg_pool2d``.

    >>> tx.nn.functional.avg_pool1d(tx.asarray([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool_nd(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad
    )


@over_axes(_avg_pool_nd, 2)
def avg_pool2d():
    """y[n, c, i] = the mean over positions k in the window of x[n, c, stride · i + k - padding].

    Windows move by ``stride`` (``kernel_size`` if None). The sum is divided by the number of
    elements in the window, including the padding if ``count_include_pad``, or by
    ``divisor_override``. With ``ceil_mode`` a last window may extend beyond the padding; elements
    there are not counted.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, H', W') with
    H' = ⌊(H + 2 · padding - K) / stride⌋ + 1, or ⌈…⌉. Raises ShapeError, DTypeError, ArgumentError
    for a padding of more than half a window.

    >>> tx.nn.functional.avg_pool2d(tx.reshape(tx.arange(8.0), (1, 2, 4)), 2)
    tensor([[[2.5, 4.5]]])
    """


@over_axes(_avg_pool_nd, 3)
def avg_pool3d():
    """The means of windows over three axes, (N, C, D, H, W) -> (N, C, D', H', W'); see
    ``avg_pool2d``.

    >>> tx.nn.functional.avg_pool3d(tx.reshape(tx.arange(8.0), (1, 2, 2, 2)), 2)
    tensor([[[[3.5]]]])
    """


def _lp_pool_nd(name, n, input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The norms of windows over n axes."""
    expect_tensors(name, input)
    expect_numbers(name, norm_type=norm_type)
    if norm_type == 0:
        raise ArgumentError(f"{name}: norm_type must not be 0")
    if math.isinf(norm_type):
        side = 1.0 if norm_type > 0 else -1.0
        return side * max_pool_nd(name, n, side * abs(input), kernel_size, stride, 0, 1, ceil_mode)
    powers = input**norm_type
    y = _avg_pool_nd(name, n, powers, kernel_size, stride, 0, ceil_mode, True)
    places = math.prod(numbers(name, "kernel_size", kernel_size, n, 1))
    zero = y == 0  # the gradient of a window of zeros is 0, not NaN
    return where(zero, 0.0, (places * where(zero, 1.0, y)) ** (1.0 / norm_type))


@over_axes(_lp_pool_nd, 1)
def lp_pool1d():
    """The p-norms of windows over one axis, (N, C, L) -> (N, C, L'); see ``lp_pool2d``.

    >>> tx.nn.functional.lp_pool1d(tx.asarray([[3.0, 4.0, 0.0, 2.0]]), 2, 2)
    tensor([[5., 2.]])
    """


@over_axes(_lp_pool_nd, 2)
def lp_pool2d():
    """y[n, c, i] = (Σ x[n, c, stride · i + k]ᵖ)^(1/p) over k in the window, p = norm_type.

    p = ∞ gives the maximum of |x|. Otherwise no absolute value is taken, as in PyTorch: an odd p
    needs x ≥ 0. The gradient of a sum of 0 is 0. Shapes as in ``avg_pool2d``; with ``ceil_mode`` a
    window beyond the end is scaled to a full one. Raises as ``avg_pool2d`` does.
    Source: Sermanet et al. 2012, eq. 1.

    >>> tx.nn.functional.lp_pool2d(tx.asarray([[[3.0, 0.0], [0.0, 4.0]]]), 2, 2)
    tensor([[[5.]]])
    """


@over_axes(_lp_pool_nd, 3)
def lp_pool3d():
    """The p-norms of windows over three axes, (N, C, D, H, W) -> (N, C, D', H', W'); see
    ``lp_pool2d``.

    >>> tx.nn.functional.lp_pool3d(tx.ones((1, 1, 2, 2)), 2, (1, 2, 2))
    tensor([[[[2.]]]])
    """
