"""The functions of PyTorch that convolutions, pooling and folding are compared with, by name."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional


def windows(x, size, stride, dilation):
    for i, (k, s, d) in enumerate(zip(size, stride, dilation, strict=True)):
        x = x.unfold(i - len(size), d * (k - 1) + 1, s)[..., ::d].movedim(-1, i)
    return x


def overlap_add(x, spatial, stride, dilation):
    n = len(spatial)
    y = torch.zeros(*x.shape[n:-n], *spatial, dtype=x.dtype)
    for place in itertools.product(*map(range, x.shape[:n])):
        axes = zip(place, stride, dilation, x.shape[-n:], strict=True)
        key = tuple(slice(k * d, k * d + (m - 1) * s + 1, s) for k, s, d, m in axes)
        y[(..., *key)] += x[place]
    return y


def conv(x, weight, bias=None, *, stride, padding, dilation, groups):
    margins = [p for pair in reversed(padding) for p in pair]
    f = (F.conv1d, F.conv2d, F.conv3d)[len(stride) - 1]
    return f(F.pad(x, margins), weight, bias, stride, 0, dilation, groups)


def conv_transpose(x, weight, bias=None, **static):
    f = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(static["stride"]) - 1]
    return f(x, weight, bias, **static)


def pooled(name, axes):
    return getattr(F, f"{name}{axes}d")


def avg_pool(x, size, stride, padding, divisors):
    x, n = F.pad(x, [p for pair in reversed(padding) for p in pair]), len(size)
    total = pooled("avg_pool", n)(x, size, stride) * math.prod(size)
    shapes = ((-1, *[1] * axis) for axis in range(n - 1, -1, -1))
    for divisor, shape in zip(divisors, shapes, strict=True):
        total = total / torch.tensor(divisor).reshape(shape)
    return total


def max_pool(x, columns):
    """The maxima of windows; the columns are their places along each axis."""
    for axis, places in zip(range(-len(columns), 0), columns, strict=True):
        parts = [x.index_select(axis, torch.tensor(column)) for column in places]
        x = torch.stack(parts).amax(0)
    return x


def max_places(x, columns):
    """The places of windows without padding, with the stride and dilation of the columns."""
    size = [len(column) for column in columns]
    stride = [column[0][1] - column[0][0] for column in columns]
    dilation = [column[1][0] - column[0][0] for column in columns]
    f = pooled("max_pool", len(size))
    return f(x, size, stride, 0, dilation, return_indices=True)[1]


def fractional_places(x, samples, size, out):
    f = pooled("fractional_max_pool", len(size))
    samples = samples.flip(-1) if len(size) == 2 else samples
    return f(x, size, out, _random_samples=samples, return_indices=True)[1]


def max_unpool(x, places, n):
    return torch.zeros(len(x), n, dtype=x.dtype).scatter(1, places, x)


REFERENCE = {
    "adaptive_avg_pool": lambda x, size: pooled("adaptive_avg_pool", len(size))(x, size),
    "avg_pool": avg_pool,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "fold": lambda x, size, **static: F.fold(x, kernel_size=size, **static),
    "fractional_places": fractional_places,
    "max_places": max_places,
    "max_pool": max_pool,
    "max_unpool": max_unpool,
    "overlap_add": overlap_add,
    "unfold": lambda x, size, **static: F.unfold(x, size, **static),
    "windows": windows,
}

RNG = np.random.default_rng(0)
# the windows of lengths 6 and 7: of 3 with stride 2, and of 2 with stride 1 and dilation 3
COLUMNS = ((0, 2), (1, 3), (2, 4)), ((0, 1, 2, 3), (3, 4, 5, 6))

INPUTS = {
    "fractional_places": [
        ((RNG.normal(size=(2, 2, 6, 9)), RNG.random((2, 2, 2))), {"size": (2, 3), "out": (3, 4)}),
        (
            (RNG.normal(size=(1, 2, 5, 6, 7)), RNG.random((1, 2, 3))),
            {"size": (2, 1, 3), "out": (1, 4, 3)},
        ),
    ],
    "max_places": [
        ((RNG.normal(size=(2, 6)),), {"columns": COLUMNS[:1]}),
        ((RNG.integers(0, 2, size=(2, 3, 6, 7)) * 1.0,), {"columns": COLUMNS}),  # with equal ones
    ],
}
