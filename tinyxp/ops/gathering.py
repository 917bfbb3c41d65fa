"""Gathering and scattering: slices of a tensor are read, or added to, by an index tensor.

Reading is linear, and its gradient is an ``index_add``, which sums where indices repeat.
"""

import math

from tinyxp.core import dtypes
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.errors import DTypeError, IndexingError, ShapeError
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype
from tinyxp.ops.shaping import broadcast_shapes, broadcast_to, normalize_axis, reshape

__all__ = ["index_add", "take", "take_along_axis"]


@primitive(promote=None)
def _take(xp, x, indices, /, dim):
    return xp.take(x, indices, axis=dim)


@_take.vjp(0)
def _(xp, g, indices, x_shape, dim):
    n, rest = x_shape[dim], x_shape[:dim] + x_shape[dim + 1 :]
    zeros = xp.zeros((n, *rest), dtype=g.dtype, device=g.device)
    rows = xp.moveaxis(g, dim, 0) if dim else g
    y = _index_add.on(xp, zeros, _from_zero(xp, indices, n), rows)
    return xp.moveaxis(y, 0, dim) if dim else y


_take.example(lambda rng: (rng.normal(size=(3, 2)), rng.integers(-3, 3, size=(5,)), {"dim": 0}))
_take.example(lambda rng: (rng.normal(size=(2, 3, 2)), rng.integers(-3, 3, size=(5,)), {"dim": 1}))


@primitive(promote=None)
def _take_along(xp, x, indices, /, dim):
    return xp.take_along_axis(x, indices, axis=dim)


@_take_along.vjp(0)
def _(xp, g, indices, x_shape, dim):
    n = x_shape[dim]
    moved, places = xp.moveaxis(g, dim, -1), xp.moveaxis(indices, dim, -1)
    rows, k = math.prod(moved.shape[:-1]), moved.shape[-1]
    firsts = xp.reshape(xp.arange(rows, device=indices.device) * n, (rows, 1))
    places = xp.reshape(xp.reshape(_from_zero(xp, places, n), (rows, k)) + firsts, (rows * k,))
    zeros = xp.zeros((rows * n,), dtype=g.dtype, device=g.device)
    y = _index_add.on(xp, zeros, places, xp.reshape(moved, (rows * k,)))
    return xp.moveaxis(xp.reshape(y, (*moved.shape[:-1], n)), -1, dim)


_take_along.example(
    lambda rng: (rng.normal(size=(2, 3, 2)), rng.integers(-3, 3, size=(2, 5, 2)), {"dim": 1})
)


def _from_zero(xp, indices, n):
    """Indices from 0; negative ones count from the end."""
    return xp.where(indices < 0, indices + n, indices)


@primitive(promote=None)
def _index_add(xp, x, indices, values, /):
    return xp.index_add(x, indices, values)


_index_add.vjp(0)(lambda xp, g: g)
_index_add.vjp(2)(lambda xp, g, indices: xp.take(g, indices, axis=0))
_index_add.example(
    lambda rng: (rng.normal(size=(3, 2)), rng.integers(0, 3, size=(5,)), rng.normal(size=(5, 2)))
)


def normalize_indices(indices, length, axis):
    """Indices from 0, as int64; negative ones count from the end. Raises IndexingError."""
    indices = _as_int64(indices)
    if indices.size == 0:
        return indices
    xp = indices.backend.xp
    low, high = int(xp.min(indices.array)), int(xp.max(indices.array))
    if low < -length or high >= length:
        wrong = low if low < -length else high
        raise IndexingError(f"index {wrong} is out of bounds for axis {axis} of length {length}")
    return where(indices < 0, indices + length, indices) if low < 0 else indices


def _as_int64(indices):
    if indices.dtype is dtypes.int64:
        return indices
    if not dtypes.isdtype(indices.dtype, "integral"):
        raise DTypeError(f"indices must be integers or a boolean mask, got {indices.dtype!r}")
    return astype(indices, dtypes.int64, copy=False)


def index_add(x, indices, values, /):
    """A copy of x with ``values[i]`` added to row ``indices[i]``; indices may repeat.

    Shapes: x (n, ...), indices (k), values (k, ...). Raises IndexingError for an index out of
    bounds, ShapeError where the shapes do not fit.

    >>> tx.index_add(tx.zeros(3), tx.asarray([0, 2, 2]), tx.ones(3))
    tensor([1., 0., 2.])
    """
    expect_tensors("index_add", x, indices, values)
    if indices.ndim != 1 or x.ndim == 0 or values.shape != (*indices.shape, *x.shape[1:]):
        raise ShapeError(
            f"index_add expects x (n, ...), indices (k), values (k, ...), "
            f"got {x.shape}, {indices.shape}, {values.shape}"
        )
    return _index_add(
        x, normalize_indices(indices, x.shape[0], 0), astype(values, x.dtype, copy=False)
    )


@typed
def take(x, indices, /, *, axis=None):
    """The slices of x at ``indices`` along ``axis``, which is replaced by the axes of ``indices``.

    Raises IndexingError for an index out of bounds.

    >>> tx.take(tx.asarray([10.0, 20.0, 30.0]), tx.asarray([2, 0, 2]))
    tensor([30., 10., 30.])
    """
    expect_tensors("take", x, indices)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take needs an axis for a tensor with {x.ndim} axes")
    axis = 0 if axis is None else normalize_axis("take", axis, x.ndim)
    indices = _as_int64(indices)
    if indices.ndim == 1:
        return _take(x, indices, dim=axis)
    rows = _take(x, reshape(indices, (-1,)), dim=axis)
    return reshape(rows, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@typed
def take_along_axis(x, indices, /, *, axis=-1):
    """y[..., i, ...] = x[..., indices[..., i, ...], ...]; the other axes are broadcast together.

    >>> tx.take_along_axis(tx.asarray([[1.0, 2.0], [3.0, 4.0]]), tx.asarray([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    expect_tensors("take_along_axis", x, indices)
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis expects {x.ndim} axes in indices, got {indices.ndim}")
    indices, rest = _as_int64(indices), x.shape[:axis] + x.shape[axis + 1 :]
    if rest != indices.shape[:axis] + indices.shape[axis + 1 :]:
        rest = broadcast_shapes(rest, indices.shape[:axis] + indices.shape[axis + 1 :])
        x = broadcast_to(x, (*rest[:axis], x.shape[axis], *rest[axis:]))
        indices = broadcast_to(indices, (*rest[:axis], indices.shape[axis], *rest[axis:]))
    return _take_along(x, indices, dim=axis)
