"""Running sums and products along an axis, and differences."""

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.ops.examples import normal, uniform
from tinyxp.ops.reductions import products_before
from tinyxp.ops.shaping import concat, normalize_axes, normalize_axis

__all__ = ["cumulative_prod", "cumulative_sum", "diff"]


def _one_axis(axis, ndim):
    if axis is None and ndim != 1:
        raise ShapeError(f"a tensor of {ndim} axes needs axis=")
    return normalize_axes(0 if axis is None else axis, ndim)[0]


@primitive(autocast="float32")
def cumulative_sum(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """yᵢ = x₀ + … + xᵢ along ``axis``; with ``include_initial`` a 0 comes first.

    >>> tx.cumulative_sum(tx.asarray([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    axis = _one_axis(axis, len(x.shape))
    return xp.cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)


@cumulative_sum.vjp
def _(xp, g, x_shape, axis, include_initial):
    axis = _one_axis(axis, len(x_shape))
    if include_initial:
        g = g[(*(slice(None),) * axis, slice(1, None), ...)]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


cumulative_sum.example(normal((3, 4), axis=0, include_initial=True))
cumulative_sum.example(normal((5,)))


@primitive(autocast="float32")
def cumulative_prod(xp, x, /, *, axis=None, dtype=None, include_initial=False):
    """yᵢ = x₀ · … · xᵢ along ``axis``; with ``include_initial`` a 1 comes first.

    The gradient needs no division, so it is right where x has zeros.

    >>> tx.cumulative_prod(tx.asarray([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """
    axis = _one_axis(axis, len(x.shape))
    return xp.cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)


@cumulative_prod.vjp
def _(xp, g, x, x_shape, axis, include_initial):
    axis = _one_axis(axis, len(x_shape))
    if include_initial:
        g = g[(*(slice(None),) * axis, slice(1, None), ...)]
    g, x = xp.moveaxis(g, axis, -1), xp.moveaxis(x, axis, -1)
    n = x.shape[-1]
    # dL/dxᵢ = x₀…xᵢ₋₁ · rᵢ with rᵢ = gᵢ + xᵢ₊₁ rᵢ₊₁, a recurrence solved by doubling; factor is the
    # product of the next `by` numbers
    r, factor, by = g, x[..., 1:], 1
    while by < n:
        r = xp.concat([r[..., : n - by] + factor * r[..., by:], r[..., n - by :]], axis=-1)
        if 2 * by < n:  # else factor would be empty, by a slice that the standard does not have
            factor = factor[..., :-by] * factor[..., by:]
        by *= 2
    return xp.moveaxis(products_before(xp, x) * r, -1, axis)


@cumulative_prod.example
def _(rng):
    x = rng.uniform(0.5, 1.5, size=(3, 5))
    x[0, 1] = x[2, 0] = x[2, 3] = 0
    return x, {"axis": 1}


cumulative_prod.example(uniform(0.5, 1.5, (4, 2), axis=0, include_initial=True))


@primitive(promote=None)
def _diff(xp, x, /, axis, n):
    return xp.diff(x, axis=axis, n=n)


@_diff.vjp
def _(xp, g, x_shape, axis, n):
    """The adjoint: the differences of g between zeros, with sign (-1)ⁿ."""
    before, middle, after = x_shape[:axis], x_shape[axis], x_shape[axis + 1 :]
    zeros = [(*before, k, *after) for k in (n, middle - g.shape[axis])]
    first, last = (xp.zeros(shape, dtype=g.dtype, device=g.device) for shape in zeros)
    gx = xp.diff(xp.concat([first, g, last], axis=axis), axis=axis, n=n)
    return -gx if n % 2 else gx


_diff.example(normal((3, 5), axis=1, n=2))
_diff.example(normal((2, 3), axis=0, n=3))


@typed
def diff(x, /, n=1, axis=-1, prepend=None, append=None):
    """yᵢ = xᵢ₊₁ - xᵢ along ``axis``, n times; ``prepend`` and ``append`` are joined to x before.

    >>> tx.diff(tx.asarray([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    >>> tx.diff(tx.asarray([1.0, 4.0, 9.0]), prepend=tx.asarray([0.0]))
    tensor([1., 3., 5.])
    """
    expect_tensors("diff", x)
    axis = normalize_axis("diff", axis, x.ndim)
    if n < 0:
        raise ArgumentError(f"diff expects n of 0 or more, got {n}")
    parts = [part for part in (prepend, x, append) if part is not None]
    whole = concat(parts, axis=axis) if len(parts) > 1 else x
    n = min(n, whole.shape[axis])  # after so many differences nothing is left
    return _diff(whole, axis=axis, n=n)
