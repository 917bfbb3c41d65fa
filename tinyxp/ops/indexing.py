"""Indexing: ``x[key]`` and ``x[key] = value``, by NumPy's rules on every backend.

A key mixes integers, slices with any step, ``None``, ``...``, boolean masks and integer tensors.
Integers and slices go to the backend's library; index tensors become a ``take`` of rows, whose
gradient sums where indices repeat.
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
from tinyxp.ops.creation import asarray, astype, move
from tinyxp.ops.gathering import _take, normalize_indices, take
from tinyxp.ops.parts import PART, _replace, part, row
from tinyxp.ops.regular import arange
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


def getitem(x, key):
    """x[key], by NumPy's rules on every backend; integer keys may repeat.

    >>> x = tx.asarray([[1, 2, 3], [4, 5, 6]])
    >>> x[:, ::-1][0], x[x > 4], x[[1, 0], [0, 2]]
    (tensor([3, 2, 1]), tensor([5, 6]), tensor([4, 3]))
    """
    if type(key) is int and (shape := x.array.shape) and -shape[0] <= key < shape[0]:
        return row(x, key % shape[0])  # the common case
    basic, new, flips, advanced, together = _parse(x, key)
    x = part(x, (basic, new, flips))
    if not advanced:
        return x
    axes = tuple(advanced)
    places = broadcast_arrays(*advanced.values())
    flat = None
    for axis, place in zip(axes, places, strict=True):
        index = normalize_indices(place, x.shape[axis], axis)
        flat = index if flat is None else flat * x.shape[axis] + index
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*axes, *rest)
    moved = x if order == tuple(range(x.ndim)) else permute_dims(x, order)
    rows = reshape(moved, (math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in rest)))
    taken = _take(rows, reshape(flat, (-1,)), dim=0)
    taken = reshape(taken, (*flat.shape, *(x.shape[i] for i in rest)))
    if together and axes[0] > 0:  # adjacent index tensors keep their place, others go first
        source = tuple(range(flat.ndim))
        taken = moveaxis(taken, source, tuple(axes[0] + i for i in source))
    return own(taken, ())


def _range(n, x):
    return move(arange(n), x.backend, x.device)


def _parse(x, key):
    """Split a key into integers and slices (None for all of x), new axes, axes to flip, a dict
    {axis: index tensor}, and whether the index tensors are adjacent."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_index_tensor(item, x) for item in items]
    used = sum(_axes_of(item) for item in items)
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if used > x.ndim or len(dots) > 1:
        raise IndexingError(f"too many indices or ellipses in {key!r} for shape {x.shape}")
    at = dots[0] if dots else len(items)
    items[at + len(dots) : at + len(dots)] = [slice(None)] * (x.ndim - used)
    basic, new, flips, advanced = [], [], [], {}
    axis = out = 0  # in x, and in the result before index tensors
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
                advanced[out] = _range(int(item.item()), x)
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
            basic.append(item % n)  # applied before index tensors, as in PyTorch
            axis += 1
    whole = all(isinstance(item, slice) and item == slice(None) for item in basic)
    together = len(advanced) == max(advanced, default=0) - min(advanced, default=0) + 1
    return None if whole else tuple(basic), tuple(new), tuple(flips), advanced, together


def _index_tensor(item, x):
    """One item of a key as None, Ellipsis, a slice, an int, or a Tensor on x's backend."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, Tensor):
        whole = item.ndim == 0 and item.dtype.kind != "bool"
        return operator.index(item) if whole else item
    if isinstance(item, (list, bool)) or backends.of(item) is not None:
        index = asarray(item)
        if index.ndim == 0 and index.dtype.kind != "bool":
            return operator.index(index)
        if isinstance(item, list) and index.size == 0:
            index = astype(index, dtypes.int64)  # an empty list holds no floats
        return move(index, x.backend, x.device)
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
    """The index tensors of a tensor in a key: a mask gives one for each of its axes."""
    if item.dtype.kind != "bool":
        return (item,)
    if any(m not in (0, n) for m, n in zip(item.shape, shape[axis:], strict=False)):
        raise IndexingError(f"a mask of shape {item.shape} does not fit axis {axis} of {shape}")
    return nonzero(item)


def _forward(item, length):
    """A slice of the same elements that every library accepts: with a positive step."""
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
    """A copy of x with x[key] replaced by ``value``, broadcast to the shape of x[key].

    If a key names an element twice, the last value stays. Differentiable in x and ``value``.
    Raises IndexingError, ShapeError, and DTypeError for a value of a higher kind of dtype.

    >>> tx.setitem(tx.zeros(4), slice(1, 3), 1.0)
    tensor([0., 1., 1., 0.])
    """
    expect_tensors("setitem", x)
    value = value if isinstance(value, Tensor) else _as_value(value, x)
    if dtypes.RANK[value.dtype.kind] > dtypes.RANK[x.dtype.kind]:
        raise DTypeError(f"cannot put {value.dtype!r} into a tensor of {x.dtype!r}; cast it first")
    value = astype(value, x.dtype, copy=False)
    basic, new, flips, advanced, _ = _parse(x, key)
    if not advanced:
        if not value.ndim:  # a number fits everywhere
            return _replace(x, value, key=(...,) if basic is None else basic)
        value = _fit(value, part(x, (basic, new, flips)).shape)
        return PART.put(x, value, ((...,) if basic is None else basic, new, flips))
    places = reshape(_range(x.size, x), x.shape)[key]
    values = reshape(_fit(value, places.shape), (-1,))
    places, rows = reshape(places, (-1,)), _range(x.size, x)
    if places.size == 0:  # nothing changes, but gradients flow
        return reshape(_replace(reshape(x, (-1,)), values, key=(slice(0, 0),)), x.shape)
    # the last of equal places, found by a search in their stable order, without a scatter
    order = argsort(places, stable=True)
    ranked = take(places, order)
    last = searchsorted(ranked, rows, side="right") - 1
    last = where(last < 0, 0, last)
    hit = take(ranked, last) == rows
    put = where(hit, take(values, take(order, last)), reshape(x, (-1,)))
    return reshape(put, x.shape)


def assign(x, key, value):
    """x[key] = value in place, for x and its views; nothing to do if value is that view of x."""
    if shows(x, value, lambda: getitem(x, key)):  # x[key] += 1 has written it already
        return
    rebind(x, setitem(x, key, value), "item assignment")


def _as_value(value, x):
    """Numbers or an array as a Tensor on x's device; numbers in x's dtype, to lose no digits."""
    value = value.item() if isinstance(value, np.generic) else value
    y = asarray(value)
    if backends.of(value) is None and dtypes.RANK[y.dtype.kind] <= dtypes.RANK[x.dtype.kind]:
        y = asarray(value, dtype=x.dtype)
    return move(y, x.backend, x.device)


def _fit(value, shape):
    """``value`` broadcast to ``shape``. Raises ShapeError if it is larger."""
    extra = value.ndim - len(shape)
    if extra > 0 and value.shape[:extra] == (1,) * extra:
        value = reshape(value, value.shape[extra:])
    if broadcast_shapes(value.shape, shape) != shape:
        raise ShapeError(f"a value of shape {value.shape} does not fit into a place of {shape}")
    return broadcast_to(value, shape)
