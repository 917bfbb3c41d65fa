"""Reductions over one axis, several, or all (``axis=None``): (...) -> (... without the axes).

A NaN among the elements gives a NaN. An axis that x does not have raises AxisError. The public max,
min, std and var, which know PyTorch's calls too, are in ``interop.overloads``.
"""

import builtins
import math

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.primitive import primitive
from tinyxp.ops.arithmetic import where
from tinyxp.ops.complexes import conj, real
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal, uniform
from tinyxp.ops.exponential import exp, log, sqrt
from tinyxp.ops.logic import isfinite
from tinyxp.ops.shaping import expect_axes, normalize_axes, reshape

__all__ = ["all", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "mean", "prod", "sum"]

_INDEX = "its result is a count or an index, which is piecewise constant"


def _with_axes(xp, a, x_shape, axis):
    """A reduced array with the reduced axes as axes of length 1."""
    axes = normalize_axes(axis, len(x_shape))
    return xp.reshape(a, tuple(1 if i in axes else n for i, n in enumerate(x_shape)))


@primitive(autocast="float32")
def sum(xp, x, /, axis=None, keepdims=False, *, dtype=None):
    """y = Σ x over ``axis``.

    >>> tx.sum(tx.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    expect_axes(x, axis)
    return xp.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


sum.vjp(lambda xp, g, x_shape, axis: xp.broadcast_to(_with_axes(xp, g, x_shape, axis), x_shape))
sum.example(normal((3, 4)))
sum.example(normal((2, 3, 4), axis=(0, -1), keepdims=True))


@primitive(autocast="float32")
def prod(xp, x, /, axis=None, keepdims=False, *, dtype=None):
    """y = Π x over ``axis``. The gradient is the product of all others, also where x has zeros.

    >>> tx.prod(tx.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([ 2., 12.])
    """
    expect_axes(x, axis)
    return xp.prod(x, axis=axis, dtype=dtype, keepdims=keepdims)


@prod.vjp
def _(xp, g, x, x_shape, axis):
    reduced = normalize_axes(axis, len(x_shape))
    order = (*(i for i in range(len(x_shape)) if i not in reduced), *reduced)
    moved = xp.permute_dims(x, order)
    count = math.prod(x_shape[i] for i in reduced)
    flat = xp.reshape(moved, (*moved.shape[: len(order) - len(reduced)], count))
    others = products_before(xp, flat) * products_after(xp, flat)
    back = tuple(order.index(i) for i in range(len(order)))
    return _with_axes(xp, g, x_shape, axis) * xp.permute_dims(xp.reshape(others, moved.shape), back)


def products_before(xp, x):
    """y[..., i] = Π x[..., :i] along the last axis."""
    if x.shape[-1] == 0:
        return x
    shifted = xp.concat([xp.ones_like(x[..., :1]), x[..., :-1]], axis=-1)
    return xp.cumulative_prod(shifted, axis=-1)


def products_after(xp, x):
    """y[..., i] = Π x[..., i+1:] along the last axis."""
    return xp.flip(products_before(xp, xp.flip(x, axis=-1)), axis=-1)


@prod.example
def _(rng):
    x = rng.normal(size=(3, 4))
    x[0, 1] = x[2, 0] = x[2, 3] = 0  # rows with one zero and with two
    return x, {"axis": 1}


prod.example(uniform(0.5, 1.5, (2, 3, 2), axis=(0, 2), keepdims=True))


@primitive(real=True)
def max(xp, x, /, axis=None, *, keepdims=False):
    """y = the largest of x over ``axis``; equal elements share the gradient.

    >>> tx.max(tx.asarray([[1.0, 4.0], [3.0, 2.0]]), axis=0)
    tensor([3., 4.])
    """
    expect_axes(x, axis)
    return xp.max(x, axis=axis, keepdims=keepdims)


@primitive(real=True)
def min(xp, x, /, axis=None, *, keepdims=False):
    """y = the smallest of x over ``axis``; equal elements share the gradient.

    >>> tx.min(tx.asarray([[1.0, 4.0], [3.0, 2.0]]), axis=0)
    tensor([1., 2.])
    """
    expect_axes(x, axis)
    return xp.min(x, axis=axis, keepdims=keepdims)


@max.vjp
@min.vjp
def _(xp, g, x, y, x_shape, axis):
    chosen = xp.astype(x == _with_axes(xp, y, x_shape, axis), g.dtype)
    ties = xp.sum(chosen, axis=axis, keepdims=True)
    return _with_axes(xp, g, x_shape, axis) * chosen / _with_axes(xp, ties, x_shape, axis)


for _op in (max, min):
    _op.example(lambda rng: (rng.permutation(24).reshape(2, 3, 4) * 1.0, {"axis": (0, 2)}))
    _op.example(
        lambda rng: (rng.permutation(12).reshape(3, 4) * 1.0, {"axis": -1, "keepdims": True})
    )


@primitive(no_gradient=_INDEX)
def all(xp, x, /, axis=None, keepdims=False):
    """Whether all elements over ``axis`` are true.

    >>> tx.all(tx.asarray([True, False]))
    tensor(False)
    """
    expect_axes(x, axis)
    return xp.all(x, axis=axis, keepdims=keepdims)


@primitive(no_gradient=_INDEX)
def any(xp, x, /, axis=None, keepdims=False):
    """Whether any element over ``axis`` is true.

    >>> tx.any(tx.asarray([True, False]))
    tensor(True)
    """
    expect_axes(x, axis)
    return xp.any(x, axis=axis, keepdims=keepdims)


@primitive(real=True, no_gradient=_INDEX)
def argmax(xp, x, /, axis=None, keepdims=False):
    """The index of the first largest element over ``axis``.

    >>> tx.argmax(tx.asarray([1.0, 3.0, 2.0]))
    tensor(1)
    """
    expect_axes(x, axis)
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive(real=True, no_gradient=_INDEX)
def argmin(xp, x, /, axis=None, keepdims=False):
    """The index of the first smallest element over ``axis``.

    >>> tx.argmin(tx.asarray([1.0, 3.0, 0.0]))
    tensor(2)
    """
    expect_axes(x, axis)
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@primitive(no_gradient=_INDEX)
def count_nonzero(xp, x, /, axis=None, keepdims=False):
    """The number of elements over ``axis`` that are not zero.

    >>> tx.count_nonzero(tx.asarray([0.0, 3.0, 2.0]))
    tensor(2)
    """
    expect_axes(x, axis)
    return xp.count_nonzero(x, axis=axis, keepdims=keepdims)


def _count(x, axis):
    return math.prod(map(x.shape.__getitem__, normalize_axes(axis, x.ndim)))


@composite(autocast="float32")
def mean(x, /, axis=None, keepdims=False):
    """y = 1/n Σ x over ``axis``; integers become float32 first.

    >>> tx.mean(tx.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([2., 3.])
    """
    if not x.dtype.kind.endswith("floating"):
        x = astype(x, dtypes.DEFAULT_FLOAT)
    return sum(x, axis=axis, keepdims=keepdims) / _count(x, axis)


mean.example(normal((2, 3, 4), axis=(0, 2)))


@composite
def var(x, /, axis=None, *, correction=0.0, keepdims=False):
    """y = Σ |x - mean|² / max(n - correction, 0) over ``axis``, real.

    >>> tx.var(tx.asarray([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """
    centred = x - mean(x, axis=axis, keepdims=True)
    complex_ = x.dtype.kind == "complex floating"
    squares = real(centred * conj(centred)) if complex_ else centred * centred
    freedom = builtins.max(_count(x, axis) - correction, 0)  # 0 gives Inf or NaN
    return sum(squares, axis=axis, keepdims=keepdims) / freedom


var.example(normal((2, 3, 4), axis=(0, 2), correction=1, keepdims=True))


@composite
def std(x, /, axis=None, *, correction=0.0, keepdims=False):
    """y = √var(x) over ``axis``; its gradient is 0 where all elements are equal.

    >>> tx.std(tx.asarray([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """
    v = var(x, axis=axis, correction=correction, keepdims=keepdims)
    flat = v == 0
    return where(flat, 0.0, sqrt(where(flat, 1.0, v)))


std.example(normal((3, 4), axis=1))


@composite(real=True, autocast="float32")
def logsumexp(x, /, axis=None, keepdims=False):
    """y = ln Σ exp x over ``axis``, without overflow.

    >>> tx.logsumexp(tx.asarray([1000.0, 1000.0]))
    tensor(1000.6932)
    """
    top = max(x, axis=axis, keepdims=True).detach()
    top = where(isfinite(top), top, 0.0)  # a row of -inf gives ln 0, not NaN
    y = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    if keepdims:
        return y
    axes = normalize_axes(axis, x.ndim)
    return reshape(y, tuple(n for i, n in enumerate(x.shape) if i not in axes))


logsumexp.example(normal((2, 3, 4), axis=(0, 2)))
