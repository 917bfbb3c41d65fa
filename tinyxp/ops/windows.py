"""Sliding windows over the trailing axes, and their adjoint, the overlap-add.

Both are linear, and each is the gradient of the other, so convolution, pooling and folding, which
use them, have derivatives of every order.
"""

import itertools

from tinyxp.core.primitive import primitive
from tinyxp.ops.examples import normal


@primitive(promote=None)
def _windows(xp, x, /, size, stride, dilation):
    """y[k…, ..., i…] = x[..., stride · i + dilation · k…], with the axes of the window in front.

    Shapes: x (..., *spatial) -> (*size, ..., *out).
    """
    n = len(size)
    axes = zip(x.shape[-n:], size, stride, dilation, strict=True)
    out = tuple((length - d * (k - 1) - 1) // s + 1 for length, k, s, d in axes)
    parts = [x[(..., *key)] for _, key in _places(size, stride, dilation, out)]
    return xp.reshape(xp.stack(parts), (*size, *x.shape[:-n], *out))


@_windows.vjp
def _(xp, g, x_shape, size, stride, dilation):
    spatial = x_shape[-len(size) :]
    return _overlap_add.on(xp, g, spatial=spatial, stride=stride, dilation=dilation)


@primitive(promote=None)
def _overlap_add(xp, x, /, spatial, stride, dilation):
    """The sum of the windows x at their places: (*size, ..., *out) -> (..., *spatial)."""
    n = len(spatial)
    size, lead, out = x.shape[:n], tuple(x.shape[n:-n]), x.shape[-n:]
    y = xp.zeros((*lead, *spatial), dtype=x.dtype, device=x.device)
    for place, key in _places(size, stride, dilation, out):
        y[(..., *key)] += x[(*place, ...)]
    return y


@_overlap_add.vjp
def _(xp, g, x_shape, stride, dilation):
    n = len(stride)
    size = x_shape[:n]
    axes = zip(x_shape[-n:], size, stride, dilation, strict=True)
    covered = tuple(slice(0, s * (m - 1) + d * (k - 1) + 1) for m, k, s, d in axes)
    return _windows.on(xp, g[(..., *covered)], size=size, stride=stride, dilation=dilation)


def _places(size, stride, dilation, out):
    """Each place in the window, in row-major order, and the key of the elements there."""
    for place in itertools.product(*map(range, size)):
        axes = zip(place, stride, dilation, out, strict=True)
        yield place, tuple(slice(k * d, k * d + (n - 1) * s + 1, s) for k, s, d, n in axes)


_windows.example(normal((2, 7), size=(3,), stride=(2,), dilation=(1,)))
_windows.example(normal((2, 4, 5), size=(2, 2), stride=(1, 3), dilation=(2, 1)))
_overlap_add.example(normal((3, 2, 3), spatial=(8,), stride=(2,), dilation=(1,)))
_overlap_add.example(normal((2, 2, 1, 2, 2), spatial=(4, 5), stride=(1, 3), dilation=(2, 1)))
