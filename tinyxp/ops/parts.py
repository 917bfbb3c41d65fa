"""Parts of a tensor, selected by integers and slices, as views; and replacing them."""

import itertools

import numpy as np

from tinyxp.core.foreign_errors import typed
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor
from tinyxp.core.views import Lens, link_view
from tinyxp.ops.examples import normal
from tinyxp.ops.orders import flip
from tinyxp.ops.shaping import expand_dims, normalize_axes, squeeze

__all__ = ["unstack"]


@primitive(promote=None)
def _slice(xp, x, /, key):
    return x[key]


_slice.vjp(lambda xp, g, x_shape, key: _unslice.on(xp, g, shape=x_shape, key=key))


@primitive(promote=None)
def _unslice(xp, g, /, shape, key):
    x = xp.zeros(shape, dtype=g.dtype, device=g.device)
    x[key] = g
    return x


_unslice.vjp(lambda xp, g, key: _slice.on(xp, g, key=key))
_slice.example(normal((3, 4), key=(slice(1, 3), slice(0, 4, 2))))
_unslice.example(normal((2, 2), shape=(3, 4), key=(slice(1, 3), slice(0, 4, 2))))


@primitive
def _replace(xp, x, values, /, key):
    y = xp.asarray(x, copy=True)
    y[key] = values
    return y


_replace.vjp(0)(lambda xp, g, key: _replace.on(xp, g, xp.zeros_like(g[key]), key=key))
_replace.vjp(1)(lambda xp, g, key: g[key])
_replace.example(normal((3, 4), (2, 4), key=(slice(1, 3), slice(None))))


# -- views: a key is (integers and forward slices or None, new axes, axes to flip) ----------------


def _get(x, key):
    basic, new, flips = key
    if basic is not None:
        x = _slice(x, key=basic)
    if new:
        x = expand_dims(x, axis=new)
    return flip(x, axis=flips) if flips else x


def _put(x, v, key):
    basic, new, flips = key
    if flips:
        v = flip(v, axis=flips)
    if new:
        v = squeeze(v, axis=new)
    return v if basic is None else _replace(x, v, key=basic)


def _layout(a, key):
    basic, new, flips = key
    return np.flip(np.expand_dims(a if basic is None else a[basic], new), flips)


def _dense(key):
    """Whether the part is contiguous in a contiguous tensor: integers, then at most one slice."""
    basic, _, flips = key
    if basic is not None and len(basic) == 2 and basic[1] is ... and type(basic[0]) is int:
        return True  # a row, the common case
    rest = [i for i in basic or () if not isinstance(i, int) and i not in (..., slice(None))]
    later = itertools.dropwhile(lambda i: isinstance(i, int), basic or ())
    return not flips and (not rest or (rest == [next(later)] and rest[0].step in (None, 1)))


PART = Lens(_get, _layout)
PART.put, PART.dense = _put, _dense


def part(x, key):
    """The view of x that a key selects."""
    y = _get(x, key)
    return y if y is x else link_view(y, x, PART, key)


def row(x, i):
    """The view x[i]: ``part`` without its checks."""
    basic = (i, ...)
    return link_view(_slice(x, key=basic), x, PART, (basic, (), ()))


def _link_all(parts, x, axis, picks):
    if not isinstance(x, Tensor):
        return parts
    before = (slice(None),) * (axis % x.ndim)
    return tuple(
        [
            link_view(y, x, PART, ((*before, i, ...), (), ()))
            for y, i in zip(parts, picks, strict=True)
        ]
    )


# -- several at once -------------------------------------------------------------------------------


@primitive(promote=None)
def _unstack(xp, x, /, *, axis=0):
    (axis,) = normalize_axes(axis, len(x.shape))
    return tuple(x[(*(slice(None),) * axis, i, ...)] for i in range(x.shape[axis]))


_unstack.vjp(lambda xp, g, axis: xp.stack(g, axis=axis))
_unstack.example(normal((2, 3), axis=1))


@typed
def unstack(x, /, *, axis=0):
    """The slices of x along ``axis``, as a tuple: the inverse of ``stack``.

    >>> tx.unstack(tx.asarray([[1, 2], [3, 4]]), axis=1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    parts = _unstack(x, axis=axis)
    return _link_all(parts, x, axis, range(len(parts)))


@primitive(promote=None)
def _split(xp, x, /, sizes, *, axis=0):
    ends, before = itertools.accumulate(sizes), (slice(None),) * axis
    return tuple(x[(*before, slice(end - n, end), ...)] for n, end in zip(sizes, ends, strict=True))


# one by one, each part would need zeros for the rest
_split.vjp(lambda xp, g, axis: xp.concat(g, axis=axis))
_split.example(normal((4, 2), sizes=(1, 3)))
_split.example(normal((2, 4), sizes=(1, 0, 3), axis=1))


def split_at(x, sizes, axis=0):
    """The consecutive parts of x with the lengths ``sizes`` along ``axis``, as views."""
    ends = itertools.accumulate(sizes)
    picks = [slice(end - n, end) for n, end in zip(sizes, ends, strict=True)]
    return _link_all(_split(x, sizes=tuple(sizes), axis=axis), x, axis, picks)
