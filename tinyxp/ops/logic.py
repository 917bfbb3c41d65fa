"""Comparisons, tests and bit operations, elementwise with broadcasting: (...), (...) -> (...).

The results are booleans and integers, which have no derivative.
"""

from tinyxp.core.primitive import primitive

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less",
    "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "nextafter",
    "not_equal", "signbit",
]  # fmt: skip

_STEP = "its result is a boolean, which is piecewise constant"
_BITS = "it works on the bits of integers"


@primitive(no_gradient=_STEP)
def equal(xp, x1, x2, /):
    """y = (x₁ == x₂).

    >>> tx.equal(tx.asarray([1, 2]), 2)
    tensor([False,  True])
    """
    return x1 == x2


@primitive(no_gradient=_STEP)
def not_equal(xp, x1, x2, /):
    """y = (x₁ != x₂).

    >>> tx.not_equal(tx.asarray([1, 2]), 2)
    tensor([ True, False])
    """
    return x1 != x2


@primitive(real=True, no_gradient=_STEP)
def less(xp, x1, x2, /):
    """y = (x₁ < x₂).

    >>> tx.less(tx.asarray([1, 2]), 2)
    tensor([ True, False])
    """
    return x1 < x2


@primitive(real=True, no_gradient=_STEP)
def less_equal(xp, x1, x2, /):
    """y = (x₁ <= x₂).

    >>> tx.less_equal(tx.asarray([1, 3]), 2)
    tensor([ True, False])
    """
    return x1 <= x2


@primitive(real=True, no_gradient=_STEP)
def greater(xp, x1, x2, /):
    """y = (x₁ > x₂).

    >>> tx.greater(tx.asarray([1, 3]), 2)
    tensor([False,  True])
    """
    return x1 > x2


@primitive(real=True, no_gradient=_STEP)
def greater_equal(xp, x1, x2, /):
    """y = (x₁ >= x₂).

    >>> tx.greater_equal(tx.asarray([1, 2]), 2)
    tensor([False,  True])
    """
    return x1 >= x2


@primitive(no_gradient=_STEP)
def logical_and(xp, x1, x2, /):
    """y = x₁ and x₂ (bool).

    >>> tx.logical_and(tx.asarray([True, True]), tx.asarray([True, False]))
    tensor([ True, False])
    """
    return xp.logical_and(x1, x2)


@primitive(no_gradient=_STEP)
def logical_or(xp, x1, x2, /):
    """y = x₁ or x₂ (bool).

    >>> tx.logical_or(tx.asarray([True, False]), tx.asarray([False, False]))
    tensor([ True, False])
    """
    return xp.logical_or(x1, x2)


@primitive(no_gradient=_STEP)
def logical_xor(xp, x1, x2, /):
    """y = x₁ or x₂, but not both (bool).

    >>> tx.logical_xor(tx.asarray([True, False]), tx.asarray([True, True]))
    tensor([False,  True])
    """
    return xp.logical_xor(x1, x2)


@primitive(no_gradient=_STEP)
def logical_not(xp, x, /):
    """y = not x (bool).

    >>> tx.logical_not(tx.asarray([True, False]))
    tensor([False,  True])
    """
    return xp.logical_not(x)


@primitive(no_gradient=_STEP)
def isfinite(xp, x, /):
    """Whether x is neither infinite nor NaN.

    >>> tx.isfinite(tx.asarray([1.0, float("inf")]))
    tensor([ True, False])
    """
    return xp.isfinite(x)


@primitive(no_gradient=_STEP)
def isinf(xp, x, /):
    """Whether x is infinite.

    >>> tx.isinf(tx.asarray([1.0, float("inf")]))
    tensor([False,  True])
    """
    return xp.isinf(x)


@primitive(no_gradient=_STEP)
def isnan(xp, x, /):
    """Whether x is NaN.

    >>> tx.isnan(tx.asarray([1.0, float("nan")]))
    tensor([False,  True])
    """
    return xp.isnan(x)


@primitive(floating=True, real=True, no_gradient=_STEP)
def signbit(xp, x, /):
    """Whether the sign bit of x is set, as it is for -0.0.

    >>> tx.signbit(tx.asarray([1.0, -0.0]))
    tensor([False,  True])
    """
    return xp.signbit(x)


@primitive(
    floating=True,
    real=True,
    no_gradient="its result is the next floating-point number",
    narrow=True,
)
def nextafter(xp, x1, x2, /):
    """The next floating-point number after x₁ in the direction of x₂.

    >>> tx.nextafter(tx.asarray([1.0]), 2.0) > 1
    tensor([ True])
    """
    return xp.nextafter(x1, x2)


@primitive(no_gradient=_BITS)
def bitwise_and(xp, x1, x2, /):
    """y = x₁ & x₂ (bool or integers).

    >>> tx.bitwise_and(tx.asarray([5, 6]), 3)
    tensor([1, 2])
    """
    return x1 & x2


@primitive(no_gradient=_BITS)
def bitwise_or(xp, x1, x2, /):
    """y = x₁ | x₂ (bool or integers).

    >>> tx.bitwise_or(tx.asarray([5, 6]), 3)
    tensor([7, 7])
    """
    return x1 | x2


@primitive(no_gradient=_BITS)
def bitwise_xor(xp, x1, x2, /):
    """y = x₁ ^ x₂ (bool or integers).

    >>> tx.bitwise_xor(tx.asarray([5, 6]), 3)
    tensor([6, 5])
    """
    return x1 ^ x2


@primitive(no_gradient=_BITS)
def bitwise_invert(xp, x, /):
    """y = ~x (bool or integers).

    >>> tx.bitwise_invert(tx.asarray([0, 1]))
    tensor([-1, -2])
    """
    return ~x


@primitive(no_gradient=_BITS)
def bitwise_left_shift(xp, x1, x2, /):
    """y = x₁ · 2^x₂ (integers).

    >>> tx.bitwise_left_shift(tx.asarray([1, 3]), 2)
    tensor([ 4, 12])
    """
    return x1 << x2


@primitive(no_gradient=_BITS)
def bitwise_right_shift(xp, x1, x2, /):
    """y = ⌊x₁ / 2^x₂⌋ (integers).

    >>> tx.bitwise_right_shift(tx.asarray([4, 13]), 2)
    tensor([1, 3])
    """
    return x1 >> x2
