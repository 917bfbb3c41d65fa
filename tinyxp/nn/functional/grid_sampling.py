"""Grid sampling: images read at any positions, in coordinates from -1 to 1."""

import itertools
import math

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.autocast import casting
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.checks import numbers
from tinyxp.ops.arithmetic import remainder, where
from tinyxp.ops.bounds import clip
from tinyxp.ops.creation import asarray, astype, ones_like
from tinyxp.ops.examples import normal
from tinyxp.ops.gathering import take
from tinyxp.ops.linear import matmul
from tinyxp.ops.regular import arange
from tinyxp.ops.rounding import abs, floor, round
from tinyxp.ops.shaping import expand_dims, matrix_transpose, moveaxis, reshape

__all__ = ["affine_grid", "grid_sample"]


@composite(real=True)
def _affine_grid(theta, /, *, size, align_corners):
    axes = []
    for n in size:
        end = 0.0 if n == 1 else 1.0 if align_corners else 1 - 1 / n
        axes.append(np.linspace(-end, end, n))
    places = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size)], axis=-1)
    base = asarray(places.reshape(-1, len(size) + 1), dtype=theta.dtype, device=theta.device)
    grid = matmul(base, matrix_transpose(theta))
    return reshape(grid, (theta.shape[0], *size, len(size)))


_affine_grid.example(normal((2, 2, 3), size=(2, 3), align_corners=False))
_affine_grid.example(normal((1, 3, 4), size=(2, 2, 3), align_corners=True))


def affine_grid(theta, size, align_corners=None):
    """The positions A p + b of all pixels p, for ``grid_sample``; theta holds [A b].

    Coordinates (x, y) or (x, y, z) go from -1 to 1: from the centre of the first pixel to that of
    the last with ``align_corners``, else from edge to edge.

    Shapes: theta (N, 2, 3) and size (N, C, H, W) -> (N, H, W, 2); theta (N, 3, 4) and size
    (N, C, D, H, W) -> (N, D, H, W, 3). Raises ShapeError, DTypeError.
    Source: Jaderberg et al. 2015, eq. 1.

    >>> theta = tx.asarray([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> tx.nn.functional.affine_grid(theta, (1, 1, 1, 2))
    tensor([[[[-0.5,  0. ],
              [ 0.5,  0. ]]]])
    """
    expect_tensors("affine_grid", theta)
    if not theta.dtype.kind.endswith("floating"):
        raise DTypeError(f"affine_grid expects theta of a floating dtype, got {theta.dtype!r}")
    if not isinstance(size, (tuple, list)):
        raise DTypeError(f"affine_grid expects a size of integers, got {size!r}")
    size = numbers("affine_grid", "size", size, len(size), 0) if size else ()
    k = len(size) - 2
    if k not in (2, 3) or min(size) < 1:
        raise ShapeError(f"affine_grid expects a size (N, C, H, W) or (N, C, D, H, W), got {size}")
    if theta.shape != (size[0], k, k + 1):
        raise ShapeError(f"affine_grid expects theta {(size[0], k, k + 1)}, got {theta.shape}")
    return _affine_grid(theta, size=size[2:], align_corners=bool(align_corners))


# -- reading ----------------------------------------------------------------------------------


def _reflect(x, low, high):
    """x reflected at ``low`` and ``high`` until it is between them."""
    span = high - low
    if span == 0:
        return x * 0.0
    there = remainder(x - low, 2 * span)
    return low + span - abs(there - span)


def _inside(x, n, padding_mode, align_corners):
    """Move positions beyond the ends of an axis of length n into it, unless zeros pad it."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        edge = 0.0 if align_corners else 0.5
        x = _reflect(x, -edge, n - 1 + edge)
    ends = clip(x.detach(), 0.0, n - 1.0)
    ends = where(ends == ends, ends, 0.0)  # NaN means the first pixel, as in PyTorch
    # the gradient at an end, and beyond it, is 0
    return where((x > 0) & (x < n - 1), x, ends)


def _cubic(t, a=-0.75):
    """The weights of the four neighbours of a position, ``t`` after the second one."""
    u = 1 - t
    outer = [a * t * u * u, a * u * t * t]
    inner = [((a + 2) * v - (a + 3)) * v * v + 1 for v in (t, u)]
    return outer[0], inner[0], inner[1], outer[1]


def _taps(x, mode):
    """[(element, weight)] along one axis for the positions x."""
    if mode == "nearest":
        return [(round(x.detach()), ones_like(x.detach()))]
    first = floor(x.detach())  # piecewise constant
    t = x - first
    if mode == "bilinear":
        return [(first, 1 - t), (first + 1, t)]
    return [(first + i, weight) for i, weight in enumerate(_cubic(t), start=-1)]


def _within(n, element, weight):
    """A tap as an index; beyond the axis the weight is 0, unless it is NaN."""
    inside = (element >= 0) & (element <= n - 1)
    kept = inside | (weight != weight)
    return astype(where(inside, element, 0.0), dtypes.int64), where(kept, weight, 0.0)


@composite(real=True)
def _grid_sample(x, grid, /, *, mode, padding_mode, align_corners):
    batch, channels, *lengths = x.shape
    along = []
    for i, n in enumerate(reversed(lengths)):  # a grid begins with the last axis
        scale = (n - 1) / 2 if align_corners else n / 2
        place = (grid[..., i] + 1) * scale - (0.0 if align_corners else 0.5)
        if mode != "bicubic":
            place = _inside(place, n, padding_mode, align_corners)
        taps = _taps(place, mode)
        if mode == "bicubic":  # each neighbour is moved inside by itself
            taps = [(_inside(e, n, padding_mode, align_corners), weight) for e, weight in taps]
        along.insert(0, [_within(n, element, weight) for element, weight in taps])
    rows = reshape(moveaxis(x, 1, -1), (math.prod((batch, *lengths)), channels))
    firsts = reshape(arange(batch, device=x.device), (batch, *[1] * len(lengths)))
    y = 0.0
    for taps in itertools.product(*along):
        row, product = firsts, 1.0
        for n, (element, weight) in zip(lengths, taps, strict=True):
            row, product = row * n + element, product * weight
        y = y + take(rows, row, axis=0) * expand_dims(product, axis=-1)
    return moveaxis(y, -1, 1)


def _sampling(x, grid, mode, padding_mode, align_corners, far=1.3):
    """An example with operands of these shapes; the positions lie between -``far`` and ``far``."""
    static = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return lambda rng: (rng.normal(size=x), rng.uniform(-far, far, size=grid), static)


_grid_sample.example(_sampling((2, 2, 3, 2), (2, 2, 3, 2), "bilinear", "zeros", False))
_grid_sample.example(_sampling((1, 2, 3, 4), (1, 2, 3, 2), "bilinear", "reflection", True, 2.6))
_grid_sample.example(_sampling((1, 1, 2, 3, 2), (1, 1, 2, 2, 3), "bilinear", "border", False))
_grid_sample.example(_sampling((1, 1, 4, 3), (1, 2, 2, 2), "bicubic", "zeros", True))


@typed
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """The input at the positions of ``grid``, coordinates (x, y) or (x, y, z) from -1 to 1.

    -1 and 1 are the centres of the first and last pixels with ``align_corners``, else their outer
    edges. ``mode``: "bilinear" (in three dimensions too), "nearest", or, in two dimensions,
    "bicubic" (Keys' kernel, a = -3/4). ``padding_mode`` gives the values outside: "zeros";
    "border", the last pixels; "reflection", the reflected image. A position of NaN or Inf gives
    NaN, as its weights are NaN; but "nearest" gives 0, and with "border" or "reflection" NaN means
    the first pixel, unless bicubic.

    Shapes: input (N, C, H, W), grid (N, H', W', 2) -> (N, C, H', W'); input (N, C, D, H, W), grid
    (N, D', H', W', 3) -> (N, C, D', H', W'). Raises ShapeError, DTypeError, ArgumentError.
    Source: Jaderberg et al. 2015, eq. 3 to 7.

    >>> x, grid = tx.asarray([[[[1.0, 3.0]]]]), tx.asarray([[[[-0.5, 0.0], [0.0, 0.0]]]])
    >>> tx.nn.functional.grid_sample(x, grid)
    tensor([[[[1., 2.]]]])
    """
    expect_tensors("grid_sample", input, grid)
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    if mode not in modes or padding_mode not in paddings:
        raise ArgumentError(
            f"grid_sample expects a mode of {modes} and a padding_mode of {paddings}, "
            f"got {mode!r} and {padding_mode!r}"
        )
    k = input.ndim - 2
    if k not in (2, 3) or 0 in input.shape[2:] or (mode == "bicubic" and k == 3):
        raise ShapeError(
            f"grid_sample expects input (N, C, H, W), or (N, C, D, H, W) unless bicubic, "
            f"with pixels, got {input.shape}"
        )
    if grid.ndim != k + 2 or grid.shape[0] != input.shape[0] or grid.shape[-1] != k:
        raise ShapeError(
            f"grid_sample of {input.shape} expects a grid ({input.shape[0]}, ..., {k}) "
            f"with {k + 2} axes, got {grid.shape}"
        )
    if casting() is not None:  # autocast promotes two dtypes to the wider one
        wide = dtypes.result_type(input, grid)
        input, grid = astype(input, wide, copy=False), astype(grid, wide, copy=False)
    if not input.dtype.kind.endswith("floating") or grid.dtype is not input.dtype:
        raise DTypeError(
            f"grid_sample expects one floating dtype, got {input.dtype!r} and "
            f"{grid.dtype!r}; cast one: tx.astype"
        )
    return _grid_sample(
        input, grid, mode=mode, padding_mode=padding_mode, align_corners=bool(align_corners)
    )
