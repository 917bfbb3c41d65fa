"""Normalization to mean 0 and variance 1, followed by a scale and a shift.

The axes of mean and variance, for an input (N, C, ...):

===============  =====================================================================
batch_norm       the batch and the positions, for each channel
instance_norm    the positions, for each channel of each sample
group_norm       the positions and the channels of one group, for each sample
layer_norm       the trailing axes, for each sample and position
===============  =====================================================================
"""

import functools
import math

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors, is_half
from tinyxp.core.tape import no_grad
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.checks import expect_numbers, numbers
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal, uniform
from tinyxp.ops.exponential import sqrt
from tinyxp.ops.padding import pad
from tinyxp.ops.reductions import mean
from tinyxp.ops.shaping import reshape

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm",
    "rms_norm",
]  # fmt: skip


def _affine(x, weight, bias):
    y = x if weight is None else x * weight
    return y if bias is None else y + bias


# -- over trailing axes -----------------------------------------------------------------------


@composite(real=True, floating=("x", "weight", "bias"), autocast="float32")
def _layer_norm(x, weight=None, bias=None, /, axes=1, eps=1e-5):
    if x.size:  # an empty input has no mean
        last = tuple(range(-axes, 0))
        centred = x - mean(x, axis=last, keepdims=True)
        variance = mean(centred * centred, axis=last, keepdims=True)
        x = centred / sqrt(variance + eps)
    return _affine(x, weight, bias)


_layer_norm.example(normal((2, 3, 4), (4,), (4,)))
_layer_norm.example(normal((2, 3, 4), (3, 4), None, axes=2, eps=0.1))
_layer_norm.example(normal((3, 4), None, None))


def shape_of(name, normalized_shape):
    """The lengths of the trailing axes as a tuple. Raises DTypeError, ArgumentError."""
    several = isinstance(normalized_shape, (tuple, list))
    n = len(normalized_shape) if several else 1
    return numbers(name, "normalized_shape", normalized_shape, n, 0) if n else ()


def _trailing(name, input, normalized_shape, **parts):
    """The number of axes of ``normalized_shape``, after all checks."""
    expect_tensors(name, input, *(given for given in parts.values() if given is not None))
    shape = shape_of(name, normalized_shape)
    n = len(shape)
    if not n or input.shape[-n:] != shape:
        raise ShapeError(f"{name} over {shape} expects input (..., *{shape}), got {input.shape}")
    for part, given in parts.items():
        if given is not None and given.shape != shape:
            raise ShapeError(f"{name} expects {part} {shape}, got {given.shape}")
    return n


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / √(var + eps) · weight + bias, mean and var over the trailing axes.

    Shapes: input (..., *normalized_shape), weight and bias (*normalized_shape). Raises ShapeError.
    Source: Ba et al. 2016, eq. 4; var is the biased one (1/n).

    >>> tx.nn.functional.layer_norm(tx.asarray([[1.0, 2.0, 3.0]]), (3,))
    tensor([[-1.2247356,  0.       ,  1.2247356]])
    """
    n = _trailing("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return _layer_norm(input, weight, bias, axes=n, eps=eps)


@composite(real=True, autocast="float32")
def _rms_norm(x, weight=None, /, *, axes, eps):
    if x.size:
        x = x / sqrt(mean(x * x, axis=tuple(range(-axes, 0)), keepdims=True) + eps)
    return _affine(x, weight, None)


_rms_norm.example(normal((2, 3, 4), (3, 4), axes=2, eps=0.1))
_rms_norm.example(normal((3, 4), None, axes=1, eps=1e-5))


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """y = x / √(mean of x² + eps) · weight, the mean over the trailing axes.

    Shapes: input (..., *normalized_shape), weight (*normalized_shape). ``eps``: by default
    the distance from 1 to the next number of the input's dtype. Raises ShapeError.
    Source: Zhang & Sennrich 2019, eq. 4.

    >>> tx.nn.functional.rms_norm(tx.asarray([[1.0, 7.0]]), (2,))
    tensor([[0.2, 1.4]])
    """
    n = _trailing("rms_norm", input, normalized_shape, weight=weight)
    return _rms_norm(
        input, weight, axes=n, eps=dtypes.finfo(input.dtype).eps if eps is None else eps
    )


# -- for each channel -------------------------------------------------------------------------


@composite(real=True)
def _batch_norm(centred, variance, weight=None, bias=None, /, *, eps):
    scale = 1 / sqrt(variance + eps)  # for each channel, so that the data is read only twice
    return _affine(centred, scale if weight is None else scale * weight, bias)


_batch_norm.example(uniform(0.5, 2, (2, 3, 4), (3, 1), (3, 1), (3, 1), eps=0.1))
_batch_norm.example(uniform(0.5, 2, (4, 3), (3,), eps=0.1))


def _per_channel(name, input, **parts):
    """Reshape tensors (C) to broadcast with the input (N, C, ...), after all checks."""
    expect_tensors(name, input, *(given for given in parts.values() if given is not None))
    if input.ndim < 2:
        raise ShapeError(f"{name} expects input (N, C, ...), got {input.shape}")
    channels = input.shape[1]
    for part, given in parts.items():
        if given is not None and given.shape != (channels,):
            raise ShapeError(
                f"{name} of input {input.shape} expects {part} ({channels},), got {given.shape}"
            )
    shape = (channels, *(1,) * (input.ndim - 2))
    return [None if given is None else reshape(given, shape) for given in parts.values()]


def _by_statistics(name, input, axes, running_mean, running_var, weight, bias, momentum, eps):
    """Normalize by the mean and variance over ``axes``, and update the running ones."""
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(f"{name} expects both or none of running_mean and running_var")
    centre = mean(input, axis=axes, keepdims=True)
    centred = input - centre
    variance = mean(centred * centred, axis=axes, keepdims=True)
    if running_mean is not None:
        n = math.prod(input.shape[i] for i in axes)
        with no_grad():
            unbiased = variance * (n / (n - 1))
            for running, found in ((running_mean, centre), (running_var, unbiased)):
                others = tuple(i for i in range(input.ndim) if i != 1)
                new = (1 - momentum) * running + momentum * mean(found, axis=others)
                running.array = astype(new, running.dtype, copy=False).array
    return _batch_norm(centred, variance, weight, bias, eps=eps)


def _round_once(norm):
    """Compute a norm of 16-bit inputs in float32, and round the result once to 16 bits."""

    @functools.wraps(norm)
    def call(input, *args, **options):
        if not is_half(input):
            return norm(input, *args, **options)
        y = norm(astype(input, dtypes.float32), *args, **options)
        return astype(y, input.dtype)

    return call


@typed
@_round_once
def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """y = (x - mean) / √(var + eps) · weight + bias, for each channel.

    With ``training``, mean and var (1/n) are those of the input over all axes but the channels, and
    running ones, if any, become (1 - momentum) · running + momentum · new, with the unbiased var
    (1/(n - 1)). Otherwise the running ones are used.
    Shapes: input (N, C, ...), all others (C) or None. Raises ShapeError, also when training with
    one value per channel; ArgumentError for eps below 0 (in training: 0), or without running
    statistics where they are needed. Source: Ioffe & Szegedy 2015, algorithms 1 and 2.

    >>> mean, var = tx.zeros(1), tx.ones(1)
    >>> x = tx.asarray([[1.0], [3.0]])
    >>> tx.nn.functional.batch_norm(x, mean, var, training=True, momentum=0.5).flatten(), mean
    (tensor([-0.999995,  0.999995]), tensor([1.]))
    """
    expect_tensors("batch_norm", input)
    expect_numbers("batch_norm", momentum=momentum, eps=eps)
    if eps < 0 or (training and eps == 0):
        raise ArgumentError(f"batch_norm expects eps above 0 (0 only in evaluation), got {eps}")
    if input.size == 0 and input.ndim < 2:
        return input
    running = {"running_mean": running_mean, "running_var": running_var}
    parts = _per_channel("batch_norm", input, **running, weight=weight, bias=bias)
    centre, variance, weight, bias = parts
    if input.size == 0:
        return _affine(input, weight, bias)
    if training:
        if input.size == input.shape[1]:
            raise ShapeError(
                f"batch_norm in training expects more than one value per channel, "
                f"got input {input.shape}"
            )
        axes = (0, *range(2, input.ndim))
        return _by_statistics(
            "batch_norm", input, axes, running_mean, running_var, weight, bias, momentum, eps
        )
    if centre is None or variance is None:
        raise ArgumentError("batch_norm expects running_mean and running_var unless training")
    return _batch_norm(input - centre, variance, weight, bias, eps=eps)


@typed
@_round_once
def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """y = (x - mean) / √(var + eps) · weight + bias, for each channel of each sample.

    With ``use_input_stats`` mean and var are over the trailing axes, and running ones, if any, are
    updated by their means over the batch as in ``batch_norm``; else the running ones are used.
    Shapes: input (N, C, ...), all others (C) or None. Raises ShapeError, also for one value per
    channel; ArgumentError. Source: Ulyanov et al. 2016, eq. 2.

    >>> tx.nn.functional.instance_norm(tx.asarray([[[1.0, 3.0], [5.0, 5.0]]]))
    tensor([[[-0.999995,  0.999995],
             [ 0.      ,  0.      ]]])
    """
    running = {"running_mean": running_mean, "running_var": running_var}
    parts = _per_channel("instance_norm", input, **running, weight=weight, bias=bias)
    centre, variance, weight, bias = parts
    if use_input_stats:
        if math.prod(input.shape[2:]) == 1:
            raise ShapeError(
                f"instance_norm expects more than one value per channel, got input {input.shape}"
            )
        if input.size == 0:
            return _affine(input, weight, bias)
        axes = tuple(range(2, input.ndim))
        return _by_statistics(
            "instance_norm", input, axes, running_mean, running_var, weight, bias, momentum, eps
        )
    if centre is None or variance is None:
        raise ArgumentError(
            "instance_norm expects running_mean and running_var unless use_input_stats"
        )
    return _batch_norm(input - centre, variance, weight, bias, eps=eps)


@composite(real=True, floating=("x", "weight", "bias"), autocast="float32")
def _group_norm(x, weight=None, bias=None, /, *, groups, eps):
    n, channels, *rest = x.shape
    together = reshape(x, (n, groups, math.prod((channels // groups, *rest))))
    y = reshape(_layer_norm(together, None, None, axes=1, eps=eps), x.shape)
    return _affine(y, weight, bias)


_group_norm.example(normal((2, 4, 3), (4, 1), (4, 1), groups=2, eps=0.1))


@typed
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / √(var + eps) · weight + bias, over each group of channels of each sample.

    Shapes: input (N, C, ...), weight and bias (C). Raises ShapeError unless C is a multiple of
    ``num_groups`` and a group has more than one value. Source: Wu & He 2018, eq. 1-7.

    >>> tx.nn.functional.group_norm(tx.asarray([[1.0, 3.0, 5.0, 5.0]]), 2)
    tensor([[-0.999995,  0.999995,  0.      ,  0.      ]])
    """
    weight, bias = _per_channel("group_norm", input, weight=weight, bias=bias)
    if num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm expects channels in {num_groups} equal groups, got input {input.shape}"
        )
    if input.size == num_groups:
        raise ShapeError(
            f"group_norm expects more than one value per group, got input {input.shape} "
            f"in {num_groups} groups"
        )
    return _group_norm(input, weight, bias, groups=num_groups, eps=eps)


# -- over neighbouring channels ---------------------------------------------------------------


@composite(real=True, floating=("x",), autocast="float32")
def _local_response_norm(x, /, *, size, alpha, beta, k):
    channels = x.shape[1]
    margins = [(0, 0)] * x.ndim
    margins[1] = (size // 2, (size - 1) // 2)
    squares = pad(x * x, tuple(margins))
    total = squares[:, :channels]
    for i in range(1, size):
        total = total + squares[:, i : i + channels]
    return x / (k + alpha / size * total) ** beta


_local_response_norm.example(normal((2, 5, 3), size=4, alpha=0.5, beta=0.75, k=1.5))


@typed
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """y = x / (k + α/size · Σ x²)^β, the sum over ``size`` neighbouring channels.

    Shapes: (N, C, ...) with three axes or more. Raises ShapeError, ArgumentError.
    Source: Krizhevsky et al. 2012, sec. 3.3, which does not divide α.

    >>> tx.nn.functional.local_response_norm(tx.ones((1, 1, 2)), 1, alpha=3.0, beta=0.5)
    tensor([[[0.5, 0.5]]])
    """
    expect_tensors("local_response_norm", input)
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm expects input (N, C, ...), got {input.shape}")
    if size < 1:
        raise ArgumentError(f"local_response_norm expects a size of 1 or more, got {size}")
    return _local_response_norm(input, size=size, alpha=alpha, beta=beta, k=k)
