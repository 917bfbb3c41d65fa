"""Sets: which elements occur, where first, and how often.

Elements are the same if they are equal, so each NaN differs from every other and -0 is 0. A stable
sort brings equal elements together with the first occurrence in front, the same on every backend.
"""

from typing import NamedTuple

from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor, is_complex
from tinyxp.ops.gathering import take
from tinyxp.ops.shaping import reshape

__all__ = ["isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"]

_INDEX = "its result is a count or an index, which is piecewise constant"


def _sortable(xp, x):
    return xp.astype(x, xp.uint8) if x.dtype == xp.bool else x


def _order(xp, x):
    """The stable order of x (n); complex numbers by their real, then their imaginary parts."""
    if not is_complex(x):
        return xp.argsort(_sortable(xp, x), stable=True)
    order = xp.argsort(xp.imag(x), stable=True)
    return xp.take(order, xp.argsort(xp.real(xp.take(x, order)), stable=True))


def _sorted_runs(xp, x):
    """The order of x, where a new element begins in it, and the results of ``_runs``."""
    order = _order(xp, x)
    ranked = xp.take(x, order)
    head = xp.ones_like(ranked, dtype=xp.bool)
    head[1:] = ranked[1:] != ranked[:-1]
    (starts,) = xp.nonzero(head)
    ends = xp.concat([starts[1:], xp.full_like(starts[:1], x.shape[0])])
    return order, head, xp.take(order, starts), ends - starts


@primitive(promote=None, no_gradient=_INDEX)
def _runs(xp, x, /):
    """The first indices (m) and the counts (m) of the m different elements of x (n), in order."""
    if x.shape[0] == 0:
        return (xp.zeros_like(x, dtype=xp.int64),) * 2
    _, _, first, counts = _sorted_runs(xp, x)
    return first, counts


@primitive(promote=None, no_gradient=_INDEX)
def _groups(xp, x, /):
    """The results of ``_runs``, and for each element of x the number of its group (n)."""
    if x.shape[0] == 0:
        return (xp.zeros_like(x, dtype=xp.int64),) * 3
    order, head, first, counts = _sorted_runs(xp, x)
    group = xp.cumulative_sum(xp.astype(head, xp.int64)) - 1
    return first, counts, xp.take(group, xp.argsort(order))


class UniqueAllResult(NamedTuple):
    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCountsResult(NamedTuple):
    values: Tensor
    counts: Tensor


class UniqueInverseResult(NamedTuple):
    values: Tensor
    inverse_indices: Tensor


def unique_all(x, /):
    """The different elements of x in ascending order, their first indices, inverse and counts.

    ``values[i]`` occurs ``counts[i]`` times in the flattened x, first at ``indices[i]``, and
    ``values[inverse_indices]`` is x. The gradient of a value goes to its first occurrence.

    >>> tx.unique_all(tx.asarray([3, 1, 3])).indices
    tensor([1, 0])
    """
    expect_tensors("unique_all", x)
    flat = reshape(x, (x.size,))
    indices, counts, inverse = _groups(flat.detach())
    return UniqueAllResult(take(flat, indices), indices, reshape(inverse, x.shape), counts)


def unique_counts(x, /):
    """The different elements of x in ascending order, and how often each occurs: (values, counts).

    >>> tx.unique_counts(tx.asarray([3, 1, 3])).counts
    tensor([1, 2])
    """
    expect_tensors("unique_counts", x)
    flat = reshape(x, (x.size,))
    indices, counts = _runs(flat.detach())
    return UniqueCountsResult(take(flat, indices), counts)


def unique_inverse(x, /):
    """The different elements of x in ascending order, and their indices that give x back.

    >>> tx.unique_inverse(tx.asarray([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    expect_tensors("unique_inverse", x)
    values, _, inverse, _ = unique_all(x)
    return UniqueInverseResult(values, inverse)


def unique_values(x, /):
    """The different elements of x in ascending order. Their gradients go to the first occurrences.

    >>> tx.unique_values(tx.asarray([3, 1, 3]))
    tensor([1, 3])
    """
    expect_tensors("unique_values", x)
    return unique_counts(x).values


@primitive(no_gradient=_INDEX)
def isin(xp, x1, x2, /, *, invert=False):
    """Whether each element of x₁ occurs in x₂, or with ``invert`` whether it does not.

    >>> tx.isin(tx.asarray([1, 2, 3]), tx.asarray([3, 1]))
    tensor([ True, False,  True])
    """
    like = x2 if isinstance(x1, (bool, int, float, complex)) else x1
    x1, x2 = (xp.asarray(x, dtype=like.dtype, device=like.device) for x in (x1, x2))
    elements, wanted = xp.reshape(x2, (-1,)), xp.reshape(x1, (-1,))
    n = elements.shape[0]
    if n == 0:
        present = xp.zeros_like(wanted, dtype=xp.bool)
    elif is_complex(elements):  # no library searches for complex numbers
        first, _, group = _groups.on(xp, xp.concat([elements, wanted]))
        present = xp.take(first, group[n:]) < n  # its first occurrence is in x₂
    else:
        elements, wanted = xp.sort(_sortable(xp, elements)), _sortable(xp, wanted)
        place = xp.searchsorted(elements, wanted)
        present = xp.take(elements, xp.where(place < n, place, n - 1)) == wanted
    present = xp.reshape(present, x1.shape)
    return xp.logical_not(present) if invert else present
