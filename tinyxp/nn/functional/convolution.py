"""Convolutions over one, two or three axes, and their transposes.

A convolution is a matrix product of the weight with the windows of the input, a column for each
output position. The transpose, its gradient, sums such columns at the positions of the windows.
"""

import math

from tinyxp.core import hints as advice
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.axes import over_axes
from tinyxp.nn.functional.checks import numbers
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import matmul
from tinyxp.ops.padding import pad
from tinyxp.ops.shaping import (
    expand_dims,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    squeeze,
)
from tinyxp.ops.windows import _overlap_add, _windows

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


# Internally channels come first and the positions of all samples last, so that each group is one
# product of large matrices: (out, window · in) with (window · in, batch · positions).


@composite(narrow=True, autocast="lower")
def _conv(x, weight, bias=None, /, *, stride, padding, dilation, groups):
    if any(map(any, padding)):
        x = pad(x, ((0, 0), (0, 0), *padding))
    size = weight.shape[2:]
    n, channels = len(size), weight.shape[1]
    columns = _windows(moveaxis(x, 1, 0), size=size, stride=stride, dilation=dilation)
    tail = columns.shape[n + 1 :]
    columns = reshape(columns, (*size, groups, channels, math.prod(tail)))
    columns = permute_dims(columns, (n, *range(n), n + 1, n + 2))
    columns = reshape(columns, (groups, math.prod(size) * channels, math.prod(tail)))
    y = matmul(_rows(weight, groups), columns)
    if bias is not None:
        y = y + reshape(bias, (groups, weight.shape[0] // groups, 1))
    return moveaxis(reshape(y, (weight.shape[0], *tail)), 0, 1)


@composite(narrow=True, autocast="lower")
def _conv_transpose(x, weight, bias=None, /, *, stride, padding, output_padding, dilation, groups):
    size, batch, places = weight.shape[2:], x.shape[0], x.shape[2:]
    n, channels = len(size), weight.shape[1]
    x = moveaxis(x, 1, 0)
    x = reshape(x, (groups, weight.shape[0] // groups, batch * math.prod(places)))
    columns = matmul(matrix_transpose(_rows(weight, groups)), x)
    columns = reshape(columns, (groups, *size, channels, batch * math.prod(places)))
    columns = permute_dims(columns, (*range(1, n + 1), 0, n + 1, n + 2))
    columns = reshape(columns, (*size, groups * channels, batch, *places))
    spatial = transposed_size(places, size, stride, (0,) * n, output_padding, dilation)
    y = _overlap_add(columns, spatial=spatial, stride=stride, dilation=dilation)
    if any(padding):
        y = y[(..., *(slice(p, m - p) for p, m in zip(padding, spatial, strict=True)))]
    if bias is not None:
        y = y + reshape(bias, (groups * channels, *[1] * (n + 1)))
    return moveaxis(y, 0, 1)


def transposed_size(places, size, stride, padding, output_padding, dilation):
    """The output lengths of a transposed convolution."""
    axes = zip(places, size, stride, padding, output_padding, dilation, strict=True)
    return tuple(s * (m - 1) + d * (k - 1) + 1 + more - 2 * p for m, k, s, p, more, d in axes)


def _rows(weight, groups):
    """(A, B, *size) -> (groups, A / groups, window · B), in the order of the columns of windows."""
    a, b, *size = weight.shape
    rows = moveaxis(weight, 1, -1)
    return reshape(rows, (groups, a // groups, math.prod(size) * b))


_line = {"stride": (2,), "dilation": (1,), "groups": 1}
_plane = {"stride": (1, 2), "dilation": (2, 1), "groups": 2}
_conv.example(normal((2, 2, 4), (3, 2, 3), (3,), padding=((1, 1),), **_line))
_conv.example(normal((1, 2, 3, 4), (4, 1, 2, 2), None, padding=((0, 1), (0, 0)), **_plane))
_line, _plane = _line | {"output_padding": (1,)}, _plane | {"output_padding": (1, 0)}
_conv_transpose.example(normal((2, 2, 3), (2, 2, 3), (2,), padding=(1,), **_line))
_conv_transpose.example(normal((1, 2, 2, 2), (2, 1, 2, 2), None, padding=(0, 0), **_plane))


def _conv_nd(name, n, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """The convolution over n axes, after all checks."""
    channels = _check(name, n, input, weight, bias, groups, transposed=False)
    if weight.shape[1] * groups != channels:
        raise ShapeError(
            f"{name} with weight {weight.shape} and groups={groups} expects "
            f"{weight.shape[1] * groups} channels, got input {input.shape}"
            f"{advice.for_channels(input.shape, weight.shape[1] * groups, n)}"
        )
    size, spatial = weight.shape[2:], input.shape[-n:]
    stride = numbers(name, "stride", stride, n, 1)
    dilation = numbers(name, "dilation", dilation, n, 1)
    padded = margins(name, padding, size, stride, dilation)
    for m, k, d, (before, after) in zip(spatial, size, dilation, padded, strict=True):
        if d * (k - 1) + 1 > m + before + after:
            raise ShapeError(
                f"{name}: a kernel {size} with dilation={dilation} does not fit into the input "
                f"{input.shape} with padding={padding!r}"
            )
    static = {"stride": stride, "padding": padded, "dilation": dilation, "groups": groups}
    if input.ndim == n + 2:
        return _conv(input, weight, bias, **static)
    return squeeze(_conv(expand_dims(input, axis=0), weight, bias, **static), axis=0)


def _conv_transpose_nd(
    name, n, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transposed convolution over n axes, after all checks."""
    channels = _check(name, n, input, weight, bias, groups, transposed=True)
    if weight.shape[0] != channels:
        raise ShapeError(
            f"{name} with weight {weight.shape} expects {weight.shape[0]} channels, "
            f"got input {input.shape}"
        )
    size, spatial = weight.shape[2:], input.shape[-n:]
    stride = numbers(name, "stride", stride, n, 1)
    padding = numbers(name, "padding", padding, n, 0)
    dilation = numbers(name, "dilation", dilation, n, 1)
    extra = numbers(name, "output_padding", output_padding, n, 0)
    for more, s, d in zip(extra, stride, dilation, strict=True):
        if more >= max(s, d):
            raise ArgumentError(
                f"{name}: output_padding is smaller than stride or dilation, "
                f"got {output_padding!r} with stride={stride} and dilation={dilation}"
            )
    out = transposed_size(spatial, size, stride, padding, extra, dilation)
    if min(out) < 1:
        raise ShapeError(
            f"{name} of input {input.shape} would have the output size {out}; pad less"
        )
    static = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    static["output_padding"] = extra
    if input.ndim == n + 2:
        return _conv_transpose(input, weight, bias, **static)
    return squeeze(_conv_transpose(expand_dims(input, axis=0), weight, bias, **static), axis=0)


def _check(name, n, input, weight, bias, groups, transposed):
    """Check the operands; returns the number of input channels."""
    expect_tensors(name, input, weight, *(() if bias is None else (bias,)))
    places = ("length", "height, width", "depth, height, width")[n - 1]
    (groups,) = numbers(name, "groups", groups, 1, 1)
    if weight.ndim != n + 2 or input.ndim not in (n + 1, n + 2):
        wanted = weight.shape[1] * groups if weight.ndim == n + 2 else 0
        raise ShapeError(
            f"{name} expects input (batch, channels, {places}) or (channels, {places}) and weight "
            f"with {n + 2} axes, got {input.shape} and {weight.shape}"
            f"{advice.for_channels(input.shape, wanted, n) if wanted else ''}"
        )
    dtypes = {x.dtype for x in (input, weight, bias) if x is not None}
    if len(dtypes) > 1:
        raise DTypeError(
            f"{name} expects input, weight and bias of one dtype, got "
            f"{sorted(dtype.name for dtype in dtypes)}; cast them: tx.astype(x, dtype)"
        )
    if weight.shape[0] % groups or not weight.size:
        raise ShapeError(
            f"{name} with groups={groups} expects a weight that is not empty and whose first "
            f"axis is a multiple of groups, got {weight.shape}"
        )
    out = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (out,):
        raise ShapeError(f"{name} expects bias ({out},), got {bias.shape}")
    return input.shape[-n - 1]


def margins(name, padding, size, stride, dilation):
    """The padding (before, after) of each axis; 'same' adds an odd element after."""
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ArgumentError(f"{name}: padding='same' needs stride=1, got {stride}")
        totals = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if padding == "valid":
        return ((0, 0),) * len(size)
    if isinstance(padding, str):
        raise ArgumentError(f"{name}: padding is 'same', 'valid' or integers, got {padding!r}")
    return tuple((p, p) for p in numbers(name, "padding", padding, len(size), 0))


@over_axes(_conv_nd, 1)
def conv1d():
    """A convolution over one axis; see ``conv2d``.

    Shapes: input (N, C, L) or (C, L), weight (O, C / groups, K), bias (O) -> (N, O, L').

    >>> x, w = tx.asarray([[1.0, 2.0, 4.0, 8.0]]), tx.asarray([[[-1.0, 1.0]]])
    >>> tx.nn.functional.conv1d(x, w)
    tensor([[1., 2., 4.]])
    """


@over_axes(_conv_nd, 2)
def conv2d():
    """y[n, o, i] = b[o] + Σ W[o, c, k] · x[n, c, stride · i + dilation · k - padding].

    The sum is over the channels c of o's group and the positions k = (k₁, k₂) of the kernel; x is 0
    outside. ``padding`` is an integer for each axis, "valid" (0), or "same", which gives the output
    the size of the input (stride 1). ``groups`` splits the channels in and out into independent
    groups. All are integers, or one for each axis.

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C / groups, K₁, K₂), bias (O) ->
    (N, O, H', W') with H' = ⌊(H + 2 · padding - dilation · (K₁ - 1) - 1) / stride⌋ + 1.
    Raises ShapeError, DTypeError unless all have one dtype, ArgumentError.
    Source: LeCun et al. 1998, sec. II; as a product of matrices: Chellapilla et al. 2006.

    >>> x = tx.reshape(tx.arange(9.0), (1, 3, 3))
    >>> tx.nn.functional.conv2d(x, tx.ones((1, 1, 2, 2)))
    tensor([[[ 8., 12.],
             [20., 24.]]])
    """


@over_axes(_conv_nd, 3)
def conv3d():
    """A convolution over three axes; see ``conv2d``.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, K₁, K₂, K₃), bias (O) ->
    (N, O, D', H', W').

    >>> tx.nn.functional.conv3d(tx.ones((1, 2, 2, 2)), tx.ones((1, 1, 2, 2, 2)))
    tensor([[[[8.]]]])
    """


@over_axes(_conv_transpose_nd, 1)
def conv_transpose1d():
    """The transpose of a convolution over one axis; see ``conv_transpose2d``.

    Shapes: input (N, C, L) or (C, L), weight (C, O / groups, K), bias (O) -> (N, O, L').

    >>> x, w = tx.asarray([[1.0, 2.0]]), tx.asarray([[[1.0, 10.0]]])
    >>> tx.nn.functional.conv_transpose1d(x, w)
    tensor([[ 1., 12., 20.]])
    """


@over_axes(_conv_transpose_nd, 2)
def conv_transpose2d():
    """The gradient of ``conv2d`` with respect to its input, as a function: y = b + Wᵀ x.

    Each x[n, c, i] adds W[c, o, k] · x[n, c, i] to y[n, o, stride · i + dilation · k - padding],
    for every o of c's group and every position k of the kernel. ``output_padding`` makes y longer
    at the end: a convolution with a stride maps several input sizes to one.

    Shapes: input (N, C, H, W) or (C, H, W), weight (C, O / groups, K₁, K₂), bias (O) ->
    (N, O, H', W') with
    H' = stride · (H - 1) + dilation · (K₁ - 1) + 1 + output_padding - 2 · padding.
    Raises ShapeError, DTypeError unless all have one dtype, ArgumentError.
    Source: Zeiler et al. 2010, sec. 2; Dumoulin & Visin 2016, ch. 4.

    >>> x = tx.asarray([[[1.0, 2.0]]])
    >>> tx.nn.functional.conv_transpose2d(x, tx.ones((1, 1, 2, 2)))
    tensor([[[1., 3., 2.],
             [1., 3., 2.]]])
    """


@over_axes(_conv_transpose_nd, 3)
def conv_transpose3d():
    """The transpose of a convolution over three axes; see ``conv_transpose2d``.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, K₁, K₂, K₃), bias (O) ->
    (N, O, D', H', W').

    >>> tx.nn.functional.conv_transpose3d(tx.ones((1, 1, 1, 1)), tx.ones((1, 1, 1, 1, 2)))
    tensor([[[[1., 1.]]]])
    """
