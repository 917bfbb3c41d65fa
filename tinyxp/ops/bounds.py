"""The larger and the smaller of two operands, and limits: elementwise, (...), (...) -> (...).

Operands are broadcast. A NaN in an operand gives a NaN in the result.
"""

from tinyxp.core.composite import composite
from tinyxp.core.primitive import primitive

__all__ = ["clip", "maximum", "minimum"]


@primitive(real=True)
def maximum(xp, x1, x2, /):
    """y = the larger of x₁ and x₂; where they are equal, each gets half of the gradient.

    >>> tx.maximum(tx.asarray([1.0, 3.0]), 2)
    tensor([2., 3.])
    """
    return xp.maximum(x1, x2)


@primitive(real=True)
def minimum(xp, x1, x2, /):
    """y = the smaller of x₁ and x₂; where they are equal, each gets half of the gradient.

    >>> tx.minimum(tx.asarray([1.0, 3.0]), 2)
    tensor([1., 2.])
    """
    return xp.minimum(x1, x2)


maximum.vjp(0, 1)(
    lambda xp, g, this, other: xp.where(this == other, g / 2, xp.where(this < other, 0.0, g))
)
minimum.vjp(0, 1)(
    lambda xp, g, this, other: xp.where(this == other, g / 2, xp.where(this > other, 0.0, g))
)


@primitive(real=True)
def _at_least(xp, x, bound, /):
    return xp.maximum(x, bound)


_at_least.vjp(0)(lambda xp, g, x, bound: xp.where(x < bound, 0.0, g))
_at_least.vjp(1)(lambda xp, g, x, bound: xp.where(x < bound, g, 0.0))


@primitive(real=True)
def _at_most(xp, x, bound, /):
    return xp.minimum(x, bound)


_at_most.vjp(0)(lambda xp, g, x, bound: xp.where(x > bound, 0.0, g))
_at_most.vjp(1)(lambda xp, g, x, bound: xp.where(x > bound, g, 0.0))


for _op in (maximum, minimum, _at_least, _at_most):
    _op.example(lambda rng: (rng.permutation(12).reshape(3, 4) * 1.0, rng.permutation(4) + 3.5))


@composite(real=True)
def clip(x, /, min=None, max=None):
    """y = x limited to [min, max], numbers or tensors; None means no limit on that side.

    The gradient goes to x inside the bounds and on them, and to the bound beyond it.

    >>> tx.clip(tx.asarray([-1.0, 0.5, 2.0]), 0.0, 1.0)
    tensor([0. , 0.5, 1. ])
    """
    y = x if min is None else _at_least(x, min)
    return y if max is None else _at_most(y, max)


clip.example(lambda rng: (rng.permutation(12).reshape(3, 4) * 1.0, {"min": 2.5, "max": 7.5}))
