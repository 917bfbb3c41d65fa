"""Sliding windows as columns, and the sum of columns at overlapping windows."""

import math

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ShapeError
from tinyxp.nn.functional.checks import numbers
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal
from tinyxp.ops.padding import pad
from tinyxp.ops.shaping import expand_dims, moveaxis, reshape, squeeze
from tinyxp.ops.windows import _overlap_add, _windows

__all__ = ["fold", "unfold"]


@composite
def _unfold(x, /, size, dilation, padding, stride):
    margins = ((0, 0), (0, 0), *((p, p) for p in padding))
    x = pad(x, margins) if any(padding) else x
    y = moveaxis(_windows(x, size=size, stride=stride, dilation=dilation), (0, 1), (2, 3))
    batch, channels, *_ = x.shape
    return reshape(y, (batch, channels * math.prod(size), math.prod(y.shape[4:])))


@composite
def _fold(x, /, output_size, size, dilation, padding, stride):
    out = _counts(output_size, size, dilation, padding, stride)
    channels = x.shape[1] // math.prod(size)
    x = moveaxis(reshape(x, (x.shape[0], channels, *size, *out)), (2, 3), (0, 1))
    spatial = tuple(m + 2 * p for m, p in zip(output_size, padding, strict=True))
    y = _overlap_add(x, spatial=spatial, stride=stride, dilation=dilation)
    inside = (slice(p, p + m) for m, p in zip(output_size, padding, strict=True))
    return y[(..., *inside)] if any(padding) else y


def _counts(spatial, size, dilation, padding, stride):
    """The number of windows along each axis."""
    axes = zip(spatial, size, dilation, padding, stride, strict=True)
    return tuple((m + 2 * p - d * (k - 1) - 1) // s + 1 for m, k, d, p, s in axes)


_WINDOWS = {"size": (2, 3), "dilation": (1, 1), "padding": (0, 1), "stride": (2, 1)}
_unfold.example(normal((1, 2, 3, 4), **_WINDOWS))
_fold.example(normal((1, 6, 4), output_size=(3, 4), **_WINDOWS))


def _geometry(name, kernel_size, dilation, padding, stride):
    return {
        "size": numbers(name, "kernel_size", kernel_size, 2, 1),
        "dilation": numbers(name, "dilation", dilation, 2, 1),
        "padding": numbers(name, "padding", padding, 2, 0),
        "stride": numbers(name, "stride", stride, 2, 1),
    }


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of images as columns.

    y[n, (c, k), i] = x[n, c, stride · i + dilation · k - padding], for windows i and positions k in
    them; x is 0 outside. A convolution is the product of its weight (O, C · K₁ · K₂) with these
    columns.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C · K₁ · K₂, L), for L windows in row-major
    order. Raises ShapeError, ArgumentError.

    >>> tx.nn.functional.unfold(tx.reshape(tx.arange(6.0), (1, 2, 3)), (2, 1))
    tensor([[0., 1., 2.],
            [3., 4., 5.]])
    """
    expect_tensors("unfold", input)
    static = _geometry("unfold", kernel_size, dilation, padding, stride)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise ShapeError(
            "unfold expects input (batch, channels, height, width) or (channels, height, width), "
            f"none empty but the batch, got {input.shape}"
        )
    if min(_counts(input.shape[-2:], **static)) < 1:
        raise ShapeError(
            f"unfold: a window {static['size']} with dilation={dilation} does not fit into the "
            f"input {input.shape} with padding={padding}"
        )
    if input.ndim == 4:
        return _unfold(input, **static)
    return squeeze(_unfold(expand_dims(input, axis=0), **static), axis=0)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The adjoint of ``unfold``: the sum of columns at the positions of their windows in an image.

    y[n, c, j] = Σ x[n, (c, k), i] over all windows i and positions k with
    stride · i + dilation · k - padding = j.

    Shapes: input (N, C · K₁ · K₂, L) or (C · K₁ · K₂, L), with L the number of windows that
    ``unfold`` finds in an image of ``output_size`` -> (N, C, *output_size). Integers are summed in
    64 bits, as in ``sum``. Raises ShapeError, ArgumentError.

    >>> tx.nn.functional.fold(tx.ones((2, 2)), (1, 3), (1, 2))
    tensor([[[1., 2., 1.]]])
    """
    expect_tensors("fold", input)
    static = _geometry("fold", kernel_size, dilation, padding, stride)
    output_size = numbers("fold", "output_size", output_size, 2, 1)
    out = _counts(output_size, **static)
    places = math.prod(static["size"])
    if input.ndim not in (2, 3) or 0 in input.shape[-2:] or input.shape[-2] % places:
        raise ShapeError(
            f"fold expects input (batch, channels · {places}, windows), or without the batch, for "
            f"kernel_size={kernel_size}, got {input.shape}"
        )
    if min(out) < 1 or input.shape[-1] != math.prod(out):
        raise ShapeError(
            f"fold to output_size={output_size} expects {out[0]} x {out[1]} windows, "
            f"got {input.shape[-1]}: input {input.shape}"
        )
    if dtypes.RANK[input.dtype.kind] < 2:  # as in sum: a small dtype would overflow
        unsigned = input.dtype.kind == "unsigned integer"
        input = astype(input, dtypes.uint64 if unsigned else dtypes.int64, copy=False)
    if input.ndim == 3:
        return _fold(input, output_size=output_size, **static)
    return squeeze(_fold(expand_dims(input, axis=0), output_size=output_size, **static), axis=0)
