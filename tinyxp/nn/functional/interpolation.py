"""Interpolation: tensors resampled to another size.

Each axis is resampled by a matrix: y = M x, a row of M has the weights of one new position.
"""

import functools
import math
import numbers
import operator

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.adaptive_pooling import _adaptive_avg_pool
from tinyxp.ops.creation import asarray
from tinyxp.ops.examples import normal
from tinyxp.ops.gathering import take
from tinyxp.ops.linear import matmul
from tinyxp.ops.shaping import matrix_transpose, moveaxis

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# -- weights ----------------------------------------------------------------------------------


def _triangle(d):
    return np.maximum(1 - abs(d), 0)


def _cubic(d, a=-0.75):
    """Keys' kernel: 1 at 0 and 0 at all other integers, with slope ``a`` at 1."""
    d = abs(d)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


# mode: a kernel and its radius; _SMOOTH with ``antialias``
_KERNELS = {"linear": (_triangle, 1), "cubic": (_cubic, 2)}
_soft_cubic = functools.partial(_cubic, a=-0.5)
_SMOOTH = {
    "linear": (_triangle, 1),
    "cubic": (_soft_cubic, 2),
    "lanczos": (lambda d: np.where(abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0.0), 3),
}


def _step(n, m, scale, align_corners):
    """The distance of new positions, in elements."""
    if align_corners:
        return (n - 1) / (m - 1) if m > 1 else 0.0
    return n / m if scale is None else 1 / scale


@functools.lru_cache(maxsize=128)
def _weights(n, m, mode, scale, align_corners, antialias):
    """The matrix (m, n) that resamples an axis of length n to m."""
    if n == m and (mode == "linear" or antialias):
        return np.eye(n)  # as in PyTorch, also where a scale such as 1.2 keeps the length
    new, old = np.arange(m)[:, None], np.arange(n)
    step = _step(n, m, scale, align_corners)
    if antialias:
        kernel, reach = _SMOOTH[mode]
        wide = max(step, 1)  # the kernel covers the distance of two new positions
        centre = step * (new + 0.5)
        first, end = (np.trunc(centre + side * reach * wide + 0.5) for side in (-1, 1))
        weights = kernel((old + 0.5 - centre) / wide) * ((old >= first) & (old < end))
        return weights / weights.sum(axis=1, keepdims=True)
    kernel, reach = _KERNELS[mode]
    places = step * new if align_corners else step * (new + 0.5) - 0.5
    taps = np.floor(places) + np.arange(1 - reach, 1 + reach)
    weights = np.zeros((m, n))
    # the last elements are repeated beyond the ends
    np.add.at(weights, (new, np.clip(taps, 0, n - 1).astype(int)), kernel(places - taps))
    return weights


def _nearest(n, m, scale, shift, kind):
    """The element of each new position, computed in the precision of ``kind``, as in PyTorch."""
    step = kind(n) / kind(m) if scale is None else kind(1 / scale)
    places = (np.arange(m, dtype=kind) + kind(shift)) * step
    return np.minimum(np.floor(places).astype(np.int64), n - 1)


# -- functions --------------------------------------------------------------------------------


@composite(real=True)
def _resample(x, /, *, size, mode, scale=None, align_corners=False, antialias=False):
    first = x.ndim - len(size)
    for i, (m, s) in enumerate(zip(size, scale or [None] * len(size), strict=True)):
        rows = _weights(x.shape[first + i], m, mode, s, align_corners, antialias)
        rows = asarray(rows, dtype=x.dtype, device=x.device)
        x = moveaxis(matmul(moveaxis(x, first + i, -1), matrix_transpose(rows)), -1, first + i)
    return x


_resample.example(normal((1, 2, 3, 4), size=(5, 2), mode="linear"))
_resample.example(normal((2, 1, 5), size=(7,), mode="linear", scale=(1.5,), align_corners=True))
_resample.example(normal((1, 1, 3, 4), size=(4, 7), mode="cubic", scale=(1.5, 1.9)))
_resample.example(normal((1, 1, 5, 4), size=(2, 6), mode="cubic", antialias=True))


_NEAREST = {"nearest": 0.0, "nearest-exact": 0.5}
_MODES = {  # name: the mode of each axis, and for how many axes
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
    "lanczos": ("lanczos", (2,)),
    "area": ("area", (1, 2, 3)),
} | dict.fromkeys(_NEAREST, ("nearest", (1, 2, 3)))


@typed
def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resample one to three axes to another size: (N, C, d₁, …) -> (N, C, D₁, …).

    D is ``size``, or ⌊d · scale_factor⌋; either is a number or one for each axis. New position j is
    at (j + ½) s - ½, with s = 1 / scale_factor, or s = d/D if the size is given or
    ``recompute_scale_factor``; with ``align_corners`` at j (d - 1) / (D - 1). Modes:

    "linear", "bilinear", "trilinear"
        for 1, 2, 3 axes: the line between the two neighbours on each axis.
    "bicubic"
        for 2 axes: Keys' cubic through the four neighbours, with a = -3/4.
    "area"
        the mean of elements ⌊j d/D⌋ to ⌈(j + 1) d/D⌉: ``adaptive_avg_pool2d``.
    "nearest", "nearest-exact"
        element ⌊j s⌋; element ⌊(j + ½) s⌋.

    ``antialias``, for "bilinear" and "bicubic" (then a = -1/2), widens the kernel by s where s > 1;
    "lanczos" (three lobes) needs it. Linear and cubic modes are matrix products: an inf or NaN
    becomes NaN along its whole axes, in PyTorch only near it. Raises ArgumentError,
    ShapeError; DTypeError for integers, except by "nearest". Source: Keys 1981, eq. 4.

    >>> x = tx.asarray([[[1.0, 2.0, 4.0]]])
    >>> tx.nn.functional.interpolate(x, scale_factor=2.0, mode="linear")
    tensor([[[1.  , 1.25, 1.75, 2.5 , 3.5 , 4.  ]]])
    """
    expect_tensors("interpolate", input)
    if not isinstance(mode, str) or mode not in _MODES:
        raise ArgumentError(f"interpolate expects a mode of {list(_MODES)}, got {mode!r}")
    kind, axes = _MODES[mode]
    k = input.ndim - 2
    if k not in axes:
        raise ShapeError(
            f"interpolate with mode {mode!r} expects input (N, C, d1, ...) with "
            f"{' or '.join(map(str, axes))} axes d, got {input.shape}"
        )
    if align_corners is not None and kind in ("nearest", "area"):
        raise ArgumentError(f"interpolate with mode {mode!r} takes no align_corners")
    if (antialias and kind not in _SMOOTH) or (kind == "lanczos" and not antialias):
        raise ArgumentError(
            f"interpolate does not support mode {mode!r} with antialias={antialias}"
        )
    if antialias and k != 2:
        raise ShapeError(
            f"interpolate with antialias expects input (N, C, H, W), got {input.shape}"
        )
    if kind == "lanczos" and align_corners:
        raise ArgumentError("interpolate with mode 'lanczos' takes no align_corners")
    size, scale = _sizes(input.shape[2:], size, scale_factor, recompute_scale_factor)
    if kind == "nearest":
        precision = np.float64 if input.dtype is dtypes.float64 else np.float32
        for i, (n, m) in enumerate(zip(input.shape[2:], size, strict=True)):
            places = _nearest(n, m, scale and scale[i], _NEAREST[mode], precision)
            with backends.using(input.backend):
                places = asarray(places, device=input.device)
            input = take(input, places, axis=2 + i)
        return input
    if not input.dtype.kind.endswith("floating"):
        raise DTypeError(
            f"interpolate with mode {mode!r} expects a floating dtype, got {input.dtype!r}; "
            "cast them: tx.astype"
        )
    if kind == "area":
        return _adaptive_avg_pool(input, size=size)
    options = {"align_corners": bool(align_corners), "antialias": bool(antialias)}
    return _resample(input, size=size, mode=kind, scale=scale, **options)


def _sizes(lengths, size, scale_factor, recompute):
    """The new lengths, and the scales that give the positions, or None."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate expects either size or scale_factor")
    if recompute and size is not None:
        raise ArgumentError("recompute_scale_factor is for a scale_factor, not for a size")
    given = scale_factor if size is None else size
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(lengths)
    if len(given) != len(lengths):
        raise ShapeError(f"interpolate expects 1 or {len(lengths)} sizes or scales, got {given}")
    if size is None:
        if not all(isinstance(s, numbers.Real) and math.isfinite(s) for s in given):
            raise ArgumentError(f"interpolate expects a finite scale_factor, got {given}")
        size = tuple(math.floor(n * s) for n, s in zip(lengths, given, strict=True))
    elif all(hasattr(n, "__index__") for n in given):
        size = tuple(map(operator.index, given))
    else:
        raise DTypeError(f"interpolate expects a size of integers, got {given}")
    if min(*lengths, *size) < 1:
        raise ShapeError(f"interpolate from {tuple(lengths)} to {size}: lengths must be 1 or more")
    return size, given if scale_factor is not None and not recompute else None


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """``interpolate`` under its older name.

    >>> tx.nn.functional.upsample(tx.asarray([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """``interpolate`` with the mode "nearest".

    >>> tx.nn.functional.upsample_nearest(tx.asarray([[[1.0, 2.0]]]), 4)
    tensor([[[1., 1., 2., 2.]]])
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """``interpolate`` with the mode "bilinear" and ``align_corners``.

    >>> tx.nn.functional.upsample_bilinear(tx.asarray([[[[1.0, 2.0]]]]), (1, 3))
    tensor([[[[1. , 1.5, 2. ]]]])
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
