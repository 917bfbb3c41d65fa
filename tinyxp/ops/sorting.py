"""Sorting; the gradients go back to where the elements were."""

from typing import NamedTuple

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops.gathering import take_along_axis
from tinyxp.ops.searching import argsort
from tinyxp.ops.shaping import expect_axes, normalize_axis

__all__ = ["topk"]


@primitive(real=True)
def sort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """x in ascending order along ``axis``.

    >>> tx.sort(tx.asarray([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    expect_axes(x, axis)
    return xp.sort(x, axis=axis, descending=descending, stable=stable)


@sort.vjp
def _(xp, g, x, axis, descending):
    order = xp.argsort(x, axis=axis, descending=descending)
    return xp.take_along_axis(g, xp.argsort(order, axis=axis), axis=axis)


sort.example(lambda rng: (rng.permutation(12).reshape(3, 4) * 1.0, {"axis": 0, "descending": True}))


class ValuesAndIndices(NamedTuple):
    """What PyTorch returns for an axis: the values, and their indices along it."""

    values: Tensor
    indices: Tensor


@typed
def topk(x, /, k, axis=-1, largest=True, sorted=True):
    """The ``k`` largest elements along ``axis``, largest first, and their indices.

    With ``largest=False`` the smallest. Raises ArgumentError unless 0 <= k <= the axis's length.

    >>> values, indices = tx.topk(tx.asarray([3.0, 1.0, 2.0]), 2)
    >>> values, indices
    (tensor([3., 2.]), tensor([0, 2]))
    """
    expect_tensors("topk", x)
    axis = normalize_axis("topk", axis, x.ndim)
    if not isinstance(k, int) or not 0 <= k <= x.shape[axis]:
        raise ArgumentError(f"topk expects k from 0 to {x.shape[axis]}, got {k!r}")
    if not (isinstance(largest, bool) and isinstance(sorted, bool)):
        raise DTypeError(f"topk: largest and sorted are True or False, got {largest!r}, {sorted!r}")
    order = argsort(x, axis=axis, descending=largest)[(slice(None),) * axis + (slice(k),)]
    return ValuesAndIndices(take_along_axis(x, order, axis=axis), order)
