"""Indexing: reading and replacing parts of a tensor, gathering and scattering rows.

NumPy's rules on every backend: integers, slices with any step, ``None``, ``...``, boolean masks and
integer tensors, in any mixture. Basic keys are the library's own; an integer key becomes a ``take``
of rows, whose gradient adds up where indices repeat.
"""

import math
import operator

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.core.views import own, rebind, shows
from tinyxp.errors import DTypeError, IndexingError, ShapeError
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import arange, asarray, astype, move
from tinyxp.ops.gathering import _take, checked, take
from tinyxp.ops.parts import PART, _replace, part, row
from tinyxp.ops.searching import argsort, nonzero, searchsorted
from tinyxp.ops.shaping import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    moveaxis,
    permute_dims,
    reshape,
)

__all__ = ["setitem"]


def _like_index(index, x):
    return move(index, x.backend, x.device)


def getitem(x, key):
    """x[key], by NumPy's rules on every backend; integer keys may repeat.

    >>> x = tx.asarray([[1, 2, 3], [4, 5, 6]])
    >>> x[:, ::-1][0], x[x > 4], x[[1, 0], [0, 2]]
    (tensor([3, 2, 1]), tensor([5, 6]), tensor([4, 3]))
    """
    if type(key) is int and (shape := x.array.shape) and -shape[0] <= key < shape[0]:
        return row(x, key % shape[0])  # the short way
    basic, new, flips, advanced, together = _parse(x, key)
    x = part(x, (basic, new, flips))
    if not advanced:
        return x
    axes = tuple(advanced)
    places = broadcast_arrays(*advanced.values())
    flat = None
    for axis, place in zip(axes, places, strict=True):
        index = checked(place, x.shape[axis], axis)
        flat = index if flat is None else flat * x.shape[axis] + index
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*axes, *rest)
    moved = x if order == tuple(range(x.ndim)) else permute_dims(x, order)
    rows = reshape(moved, (math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in rest)))
    taken = _take(rows, reshape(flat, (-1,)), dim=0)
    taken = reshape(taken, (*flat.shape, *(x.shape[i] for i in rest)))
    if together and axes[0] > 0:  # neighbours keep their place; parted ones go first
        source = tuple(range(flat.ndim))
        taken = moveaxis(taken, source, tuple(axes[0] + i for i in source))
    return own(taken, ())


def _parse(x, key):
    """A key as: a key of integers and slices (None for all of x), new axes, axes to flip, a dict
    {axis: index tensor}, and whether the index tensors stood side by side."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_index_tensor(item, x) for item in items]
    used = sum(_axes_of(item) for item in items)
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if used > x.ndim or len(dots) > 1:
        raise IndexingError(f"too many indices or ellipses in {key!r} for shape {x.shape}")
    at = dots[0] if dots else len(items)
    items[at + len(dots) : at + len(dots)] = [slice(None)] * (x.ndim - used)
    basic, new, flips, advanced = [], [], [], {}
    axis = out = 0  # in x, and in the result before index tensors are applied
    for item in items:
        if item is Ellipsis:
            continue
        if item is None:
            new.append(out)
            out += 1
        elif isinstance(item, slice):
            basic.append(_forward(item, x.shape[axis]))
            if item.step is not None and operator.index(item.step) < 0:
                flips.append(out)
            axis, out = axis + 1, out + 1
        elif isinstance(item, Tensor):
            if item.ndim == 0:  # a truth value: a new axis with one element, or with none
                new.append(out)
                advanced[out] = _like_index(arange(int(item.item())), x)
                out += 1
                continue
            for index in _from_mask(item, x.shape, axis):
                basic.append(slice(None))
                advanced[out] = index
                axis, out = axis + 1, out + 1
        else:
            n = x.shape[axis]
            if not -n <= item < n:
                raise IndexingError(f"index {item} is out of bounds for axis {axis} of length {n}")
            basic.append(item % n)  # taken first, as in PyTorch, beside index tensors too
            axis += 1
    whole = all(isinstance(item, slice) and item == slice(None) for item in basic)
    together = len(advanced) == max(advanced, default=0) - min(advanced, default=0) + 1
    return None if whole else tuple(basic), tuple(new), tuple(flips), advanced, together


def _index_tensor(item, x):
    """One part of a key: None, Ellipsis, a slice, an int, or a Tensor on x's backend."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, Tensor):
        whole = item.ndim == 0 and item.dtype.kind != "bool"
        return operator.index(item) if whole else item
    if isinstance(item, (list, bool)) or backends.of(item) is not None:
        found = asarray(item)
        if found.ndim == 0 and found.dtype.kind != "bool":
            return operator.index(found)
        if isinstance(item, list) and found.size == 0:
            found = astype(found, dtypes.int64)  # an empty list holds no floats
        return _like_index(found, x)
    try:
        return operator.index(item)
    except TypeError:
        raise DTypeError(
            f"a key is made of integers, slices, None, ..., masks and integer tensors, "
            f"got {type(item).__name__}"
        ) from None


def _axes_of(item):
    if isinstance(item, Tensor):
        return item.ndim if item.dtype.kind == "bool" else 1
    return 0 if item is None or item is Ellipsis else 1


def _from_mask(item, shape, axis):
    """The integer tensors that a key's tensor stands for: a mask gives one for each of its axes."""
    if item.dtype.kind != "bool":
        return (item,)
    if any(m not in (0, n) for m, n in zip(item.shape, shape[axis:], strict=False)):
        raise IndexingError(f"a mask of shape {item.shape} does not fit axis {axis} of {shape}")
    return nonzero(item)


def _forward(item, length):
    """A slice with the same elements, inside the axis and with a positive step, as all libraries
    take it."""
    try:
        picked = range(*item.indices(length))
    except TypeError as error:
        raise DTypeError(f"a slice is made of integers, got {item}") from error
    except ValueError as error:
        raise IndexingError(f"the step of a slice cannot be zero, got {item}") from error
    if picked == range(length):
        return slice(None)
    if not picked:
        return slice(0, 0, 1)
    picked = picked if picked.step > 0 else picked[::-1]
    return slice(picked[0], picked[-1] + 1, picked.step)


def setitem(x, key, value):
    """A new tensor: x with x[key] replaced by ``value``, broadcast to its place.

    Where an integer key repeats a place, the last value stays. Differentiable in x and ``value``.

    >>> tx.setitem(tx.zeros(4), slice(1, 3), 1.0)
    tensor([0., 1., 1., 0.])
    """
    expect_tensors("setitem", x)
    value = value if isinstance(value, Tensor) else _beside(value, x)
    if dtypes.RANK[value.dtype.kind] > dtypes.RANK[x.dtype.kind]:
        raise DTypeError(f"cannot put {value.dtype!r} into a tensor of {x.dtype!r}; cast it first")
    value = astype(value, x.dtype, copy=False)
    basic, new, flips, advanced, _ = _parse(x, key)
    if not advanced:
        if not value.ndim:  # a number goes anywhere
            return _replace(x, value, key=(...,) if basic is None else basic)
        value = _into(value, part(x, (basic, new, flips)).shape)
        return PART.put(x, value, ((...,) if basic is None else basic, new, flips))
    places = reshape(_like_index(arange(x.size), x), x.shape)[key]
    values = reshape(_into(value, places.shape), (-1,))
    places, rows = reshape(places, (-1,)), _like_index(arange(x.size), x)
    if places.size == 0:  # nothing changes, but the graph goes on
        return reshape(_replace(reshape(x, (-1,)), values, key=(slice(0, 0),)), x.shape)
    # the last of equal places is the last in a stable order: found by search, without a scatter
    order = argsort(places, stable=True)
    ranked = take(places, order)
    last = searchsorted(ranked, rows, side="right") - 1
    last = where(last < 0, 0, last)
    hit = take(ranked, last) == rows
    put = where(hit, take(values, take(order, last)), reshape(x, (-1,)))
    return reshape(put, x.shape)


def assign(x, key, value):
    """x[key] = value, in place: seen by all that shows x, and nothing where value shows it."""
    if shows(x, value, lambda: getitem(x, key)):  # x[key] += 1 has put it there already
        return
    rebind(x, setitem(x, key, value), "item assignment")


def _beside(value, x):
    """Numbers or an array as a Tensor where x lies; numbers not by way of a narrower dtype."""
    value = value.item() if isinstance(value, np.generic) else value
    found = asarray(value)
    if backends.of(value) is None and dtypes.RANK[found.dtype.kind] <= dtypes.RANK[x.dtype.kind]:
        found = asarray(value, dtype=x.dtype)
    return _like_index(found, x)


def _into(value, shape):
    """``value`` broadcast to the shape of the place it goes to; it may not be larger."""
    extra = value.ndim - len(shape)
    if extra > 0 and value.shape[:extra] == (1,) * extra:
        value = reshape(value, value.shape[extra:])
    if broadcast_shapes(value.shape, shape) != shape:
        raise ShapeError(f"a value of shape {value.shape} does not fit into a place of {shape}")
    return broadcast_to(value, shape)
