"""The same elements in another shape, and the rules for axes."""

import math
import operator

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor
from tinyxp.core.views import link_view
from tinyxp.errors import ArgumentError, AxisError, DTypeError, ShapeError
from tinyxp.ops.examples import normal

__all__ = [
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "concat", "expand_dims", "flatten",
    "matrix_transpose", "moveaxis", "permute_dims", "reshape", "squeeze", "stack",
]  # fmt: skip


def normalize_axes(axis, ndim):
    """Axes as a tuple of numbers from 0; ``axis`` is one axis, several, or None for all.

    Raises DTypeError, AxisError for an axis that does not exist, ShapeError for one given twice.
    """
    if type(axis) is int and -ndim <= axis < ndim:  # the common case
        return (axis % ndim,)
    chosen = range(ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    try:
        axes = [operator.index(i) for i in chosen]
    except TypeError as error:
        raise DTypeError(f"an axis is an integer, got {axis!r}") from error
    for i in axes:
        if not -ndim <= i < ndim:
            raise AxisError(f"axis {i} does not exist in a tensor with {ndim} axes")
    positive = tuple(i % ndim for i in axes)
    if len(set(positive)) != len(positive):
        raise ShapeError(f"axes must differ, got {tuple(axes)}")
    return positive


def expect_axes(x, axis):
    """Raise AxisError for an axis of a tensor without axes, where libraries accept 0 and -1."""
    if axis is not None and not x.ndim:
        normalize_axes(axis, 0)


def normalize_axis(name, axis, ndim):
    """One axis as a number from 0. Raises DTypeError unless it is one integer, and AxisError."""
    if axis is None or isinstance(axis, (tuple, list)):
        raise DTypeError(f"{name} expects one axis, an integer, got {axis!r}")
    return normalize_axes(axis, ndim)[0]


@primitive(promote=None, view=True)
def reshape(xp, x, /, shape, *, copy=None):
    """The elements of x, in row-major order, in another shape; one length may be -1.

    Raises ShapeError if the number of elements changes.

    >>> tx.reshape(tx.asarray([1, 2, 3, 4]), (2, -1))
    tensor([[1, 2],
            [3, 4]])
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in shape:
        if n < -1:  # NumPy takes any negative length for -1
            raise ShapeError(f"reshape expects lengths from 0 up, or one of -1, got {shape}")
    return xp.reshape(x, shape) if copy is None else xp.reshape(x, shape, copy=copy)


reshape.vjp(lambda xp, g, x_shape: xp.reshape(g, x_shape))
reshape.op.lens.may_copy = True
reshape.op.lens.layout = lambda a, key: a.reshape(key["shape"], copy=False)
reshape.example(normal((3, 4), shape=(2, -1)))


@typed
def flatten(input, start_dim=0, end_dim=-1):
    """The axes from ``start_dim`` to ``end_dim`` as one axis; x itself if they are one already.

    >>> tx.flatten(tx.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    expect_tensors("flatten", input)
    ndim = max(input.ndim, 1)  # a tensor without axes becomes one of length 1
    first, last = (normalize_axis("flatten", dim, ndim) for dim in (start_dim, end_dim))
    if first > last:
        raise ArgumentError(f"flatten expects start_dim <= end_dim, got {start_dim}, {end_dim}")
    if first == last and input.ndim:
        return input
    middle = math.prod(input.shape[first : last + 1])
    return reshape(input, (*input.shape[:first], middle, *input.shape[last + 1 :]))


@primitive(promote=None, view=True)
def permute_dims(xp, x, /, axes):
    """The axes of x in the order ``axes``: (n₀, n₁, …) -> (n[axes[0]], n[axes[1]], …).

    >>> tx.permute_dims(tx.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return xp.permute_dims(x, tuple(axes))


@permute_dims.vjp
def _(xp, g, axes):
    axes = normalize_axes(axes, len(axes))
    return xp.permute_dims(g, tuple(axes.index(i) for i in range(len(axes))))


@permute_dims.put
def _(x, v, axes):
    axes = normalize_axes(axes, len(axes))
    return permute_dims(v, tuple(axes.index(i) for i in range(len(axes))))


permute_dims.example(normal((2, 3, 4), axes=(-1, 0, 1)))


@primitive(promote=None, view=True)
def matrix_transpose(xp, x, /):
    """The last two axes exchanged: (..., m, n) -> (..., n, m).

    >>> tx.matrix_transpose(tx.asarray([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    if len(x.shape) < 2:
        raise ShapeError(f"matrix_transpose expects two axes or more, got shape {tuple(x.shape)}")
    return xp.matrix_transpose(x)


matrix_transpose.vjp(lambda xp, g: xp.matrix_transpose(g))
matrix_transpose.put(lambda x, v: matrix_transpose(v))
matrix_transpose.example(normal((2, 3, 4)))


@primitive(promote=None, view=True)
def broadcast_to(xp, x, /, shape):
    """x repeated to ``shape``, along new axes and axes of length 1. Raises ShapeError.

    >>> tx.broadcast_to(tx.asarray([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return xp.broadcast_to(x, tuple(shape))


broadcast_to.vjp(lambda xp, g: g)  # the engine undoes broadcasting


@broadcast_to.put
def _(x, v, shape):
    if v.shape != x.shape:
        raise ArgumentError(
            f"a write in place to x{x.shape}, broadcast to {v.shape}, would give one element "
            "several values; take a copy of it first: y = tx.clone(y)"
        )
    return v


broadcast_to.example(normal((3, 1), shape=(2, 3, 4)))


@typed
def broadcast_shapes(*shapes):
    """The shape that all shapes broadcast to. Raises ShapeError if there is none.

    >>> tx.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    result = []
    for axis in range(max(map(len, shapes), default=0), 0, -1):
        lengths = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(lengths) > 1:
            raise ShapeError(
                f"shapes {', '.join(map(str, shapes))} do not broadcast: "
                f"axis -{axis} has the lengths {sorted(lengths)}"
            )
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


@primitive(promote=None)
def _broadcast_arrays(xp, *arrays):
    return tuple(xp.broadcast_arrays(*arrays))


_broadcast_arrays.vjp(lambda xp, g: g)  # the engine undoes broadcasting
_broadcast_arrays.op.broadcasts = True  # so an error says which axis does not fit
_broadcast_arrays.example(normal((3, 1), (2, 1, 4), (4,)))


def broadcast_arrays(*arrays):
    """All tensors broadcast to one shape, as a tuple. Raises ShapeError.

    >>> [a.shape for a in tx.broadcast_arrays(tx.zeros((3, 1)), tx.zeros(4))]
    [(3, 4), (3, 4)]
    """
    lens = broadcast_to.op.lens
    return tuple(
        link_view(y, x, lens, {"shape": y.shape}) if isinstance(x, Tensor) else y
        for x, y in zip(arrays, _broadcast_arrays(*arrays), strict=True)
    )


@primitive(promote=None, view=True)
def expand_dims(xp, x, /, axis=0):
    """x with new axes of length 1 at ``axis``, one or several axes of the result.

    >>> tx.expand_dims(tx.zeros((2, 3)), axis=1).shape
    (2, 1, 3)
    """
    new = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = len(x.shape) + len(new)
    new, lengths = normalize_axes(new, ndim), iter(x.shape)
    return xp.reshape(x, tuple(1 if i in new else next(lengths) for i in range(ndim)))


expand_dims.example(normal((3, 4), axis=(0, -1)))


@primitive(promote=None, view=True)
def squeeze(xp, x, /, axis):
    """x without the axes ``axis``, which must have length 1.

    >>> tx.squeeze(tx.zeros((2, 1, 3)), axis=1).shape
    (2, 3)
    """
    expect_axes(x, axis)
    return xp.squeeze(x, axis=axis)


for _op in (expand_dims, squeeze):
    _op.vjp(lambda xp, g, x_shape: xp.reshape(g, x_shape))
for _op in (reshape, expand_dims, squeeze):
    _op.put(lambda x, v, **key: reshape(v, x.shape))
    _op.op.lens.dense = lambda key: True  # a contiguous tensor stays contiguous
squeeze.example(normal((3, 1, 4, 1), axis=(1, -1)))


@primitive(promote=None, view=True)
def moveaxis(xp, x, /, source, destination):
    """The axes ``source`` moved to the places ``destination``; the others keep their order.

    >>> tx.moveaxis(tx.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    source, destination = (
        tuple(i) if isinstance(i, (tuple, list)) else (i,) for i in (source, destination)
    )
    return xp.moveaxis(x, source, destination)


moveaxis.vjp(lambda xp, g, source, destination: xp.moveaxis(g, destination, source))
moveaxis.put(lambda x, v, source, destination: moveaxis(v, destination, source))
moveaxis.example(normal((2, 3, 4), source=(0, 2), destination=(-1, 0)))


@primitive
def _concat(xp, *arrays, axis=0):
    return xp.concat(arrays, axis=axis)


@_concat.vjp
def _(xp, g, shapes, axis):
    (axis,) = normalize_axes(axis, len(shapes[0]))
    parts, start = [], 0
    for shape in shapes:
        parts.append(g[(*(slice(None),) * axis, slice(start, start + shape[axis]), ...)])
        start += shape[axis]
    return parts


_concat.example(normal((2, 3), (2, 1), axis=-1))


@typed
def concat(arrays, /, axis=0):
    """Tensors joined along an existing axis; ``axis=None`` flattens them first. Raises ShapeError.

    >>> tx.concat([tx.asarray([1, 2]), tx.asarray([3])])
    tensor([1, 2, 3])
    """
    if not isinstance(arrays, (tuple, list)) or not arrays:
        raise ArgumentError(f"concat expects a list of tensors, got {arrays!r}")
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return _concat(*arrays, axis=axis)


@primitive
def _stack(xp, *arrays, axis):
    if len({tuple(x.shape) for x in arrays}) != 1:
        shapes = ", ".join(str(tuple(x.shape)) for x in arrays)
        raise ShapeError(f"stack expects tensors of one shape, got {shapes or 'none'}")
    return xp.stack(arrays, axis=axis)


_stack.vjp(lambda xp, g, axis: xp.unstack(g, axis=axis))
_stack.example(normal((2, 3), (2, 3), axis=-1))


@typed
def stack(arrays, /, axis=0):
    """Tensors of one shape joined along a new axis. Raises ShapeError.

    >>> tx.stack([tx.asarray([1, 2]), tx.asarray([3, 4])], axis=1)
    tensor([[1, 3],
            [2, 4]])
    """
    return _stack(*arrays, axis=axis)
