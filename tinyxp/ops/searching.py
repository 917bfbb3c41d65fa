"""Searching: the indices of elements in order, of places to insert, and of nonzero elements."""

from tinyxp.core.primitive import primitive
from tinyxp.ops.shaping import expect_axes

__all__ = ["argsort", "searchsorted"]

_INDEX = "its result is made of indices, which are piecewise constant"


@primitive(real=True, no_gradient=_INDEX)
def argsort(xp, x, /, axis=-1, descending=False, *, stable=True):
    """The indices that sort x along ``axis``.

    >>> tx.argsort(tx.asarray([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    expect_axes(x, axis)
    return xp.argsort(x, axis=axis, descending=descending, stable=stable)


@primitive(real=True, promote=0, no_gradient=_INDEX)
def searchsorted(xp, x1, x2, /, *, side="left", sorter=None):
    """The index at which each of x₂ goes into the sorted x₁: before equal ones, or after them.

    >>> tx.searchsorted(tx.asarray([1.0, 2.0, 4.0]), tx.asarray([2.0, 3.0]))
    tensor([1, 2])
    """
    return xp.searchsorted(x1, x2, side=side, sorter=None if sorter is None else sorter.array)


@primitive(promote=None, no_gradient=_INDEX)
def nonzero(xp, x, /):
    """The indices of the elements that are not zero, as a tensor for each axis.

    >>> tx.nonzero(tx.asarray([0, 3, 0, 5]))
    (tensor([1, 3]),)
    """
    return xp.nonzero(x)
