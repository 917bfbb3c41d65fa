"""Repeating tensors as a whole, element by element, or along new axes."""

import math

import numpy as np

from tinyxp.core.composite import composite
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.ops.examples import normal
from tinyxp.ops.shaping import _broadcast_arrays, broadcast_to, expect_axes, normalize_axes, reshape

__all__ = ["repeat", "tile"]


@composite
def tile(x, repetitions, /):
    """x repeated as a whole, ``repetitions[i]`` times along axis i.

    >>> tx.tile(tx.asarray([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    ndim = max(x.ndim, len(repetitions))
    shape = (1,) * (ndim - x.ndim) + x.shape
    times = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    pairs = [n for t, s in zip(times, shape, strict=True) for n in (t, s)]
    apart = reshape(x, tuple(n for s in shape for n in (1, s)))
    whole = tuple(t * s for t, s in zip(times, shape, strict=True))
    return reshape(broadcast_to(apart, tuple(pairs)), whole)


tile.example(lambda rng: (rng.normal(size=(2, 3)), (2, 1, 2)))


@primitive(promote=None)
def repeat(xp, x, repeats, /, *, axis=None):
    """Each element of x ``repeats`` times along ``axis``, or in the flattened x.

    ``repeats`` is an integer, or a tensor with an integer for each element or one for all (a GPU is
    waited for then). Raises DTypeError, ShapeError.

    >>> tx.repeat(tx.asarray([1, 2]), 2)
    tensor([1, 1, 2, 2])
    >>> tx.repeat(tx.asarray([1, 2]), tx.asarray([3, 1]))
    tensor([1, 1, 1, 2])
    """
    if not isinstance(repeats, int) and not xp.isdtype(repeats.dtype, "integral"):
        raise DTypeError(f"repeats are integers, got {repeats.dtype}")
    expect_axes(x, axis)
    return xp.repeat(x, repeats, axis=axis)


@repeat.vjp(0)
def _(xp, g, repeats, x_shape, axis):
    flat = (math.prod(x_shape),) if axis is None else x_shape
    (axis,) = normalize_axes(axis or 0, len(flat))
    before, n, after = flat[:axis], flat[axis], flat[axis + 1 :]
    if isinstance(repeats, int):
        gx = xp.sum(xp.reshape(g, (*before, n, repeats, *after)), axis=axis + 1)
    else:
        which = xp.repeat(xp.arange(n, device=g.device), repeats)
        zeros = xp.zeros((n, *before, *after), dtype=g.dtype, device=g.device)
        gx = xp.moveaxis(xp.index_add(zeros, which, xp.moveaxis(g, axis, 0)), 0, axis)
    return xp.reshape(gx, x_shape)


repeat.example(lambda rng: (rng.normal(size=(2, 3)), 2, {"axis": 0}))
repeat.example(lambda rng: (rng.normal(size=(2, 2)), np.asarray([2, 0, 1, 3])))
repeat.example(lambda rng: (rng.normal(size=(2, 3, 2)), np.asarray([2, 0, 1]), {"axis": 1}))


@composite
def meshgrid(*arrays, indexing="xy"):
    """Coordinates of a grid: each one-dimensional tensor is repeated along the axes of the others.

    With lengths n₀, n₁, n₂ … the results have the shape (n₀, n₁, n₂, …) for ``indexing="ij"`` and
    (n₁, n₀, n₂, …) for "xy". Raises ShapeError unless each tensor has one axis.

    >>> tx.meshgrid(tx.asarray([1, 2]), tx.asarray([3, 4]), indexing="ij")[1]
    tensor([[3, 4],
            [3, 4]])
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid expects indexing 'xy' or 'ij', got {indexing!r}")
    n, spread = len(arrays), []
    for i, x in enumerate(arrays):
        if x.ndim != 1:
            raise ShapeError(f"meshgrid expects tensors with one axis, got shape {x.shape}")
        axis = 1 - i if indexing == "xy" and n > 1 and i < 2 else i
        spread.append(reshape(x, tuple(x.shape[0] if k == axis else 1 for k in range(n))))
    # copies, not views, because NumPy's users write to them
    return _broadcast_arrays(*spread) if spread else ()


meshgrid.example(normal(2, 3, 1, indexing="xy"))
meshgrid.example(normal(2, 3, indexing="ij"))
