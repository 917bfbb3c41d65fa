"""Arithmetic of two operands, elementwise with broadcasting: (...), (...) -> (...)."""

from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import is_complex
from tinyxp.ops.examples import normal
from tinyxp.ops.exponential import _sigmoid

__all__ = [
    "add", "atan2", "copysign", "divide", "floor_divide", "hypot", "logaddexp", "multiply", "pow",
    "remainder", "subtract", "where",
]  # fmt: skip


@primitive
def add(xp, x1, x2, /):
    """y = x₁ + x₂.

    >>> tx.add(tx.asarray([1.0, 2.0]), 1)
    tensor([2., 3.])
    """
    return x1 + x2


add.vjp(0, 1)(lambda xp, g: g)
add.example(normal((3, 4), (4,)))


@primitive
def subtract(xp, x1, x2, /):
    """y = x₁ - x₂.

    >>> tx.subtract(tx.asarray([1.0, 2.0]), 1)
    tensor([0., 1.])
    """
    return x1 - x2


subtract.vjp(0)(lambda xp, g: g)
subtract.vjp(1)(lambda xp, g: -g)
subtract.example(normal((4,), (3, 4)))


@primitive
def multiply(xp, x1, x2, /):
    """y = x₁ · x₂.

    >>> tx.multiply(tx.asarray([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return x1 * x2


multiply.vjp(0, 1)(lambda xp, g, other: g * other)
multiply.example(normal((3, 1), (2, 1, 4)))


@primitive(floating=True)
def divide(xp, x1, x2, /):
    """y = x₁ / x₂; integers become float32 first.

    >>> tx.divide(tx.asarray([1.0, 2.0]), 4)
    tensor([0.25, 0.5 ])
    """
    return x1 / x2


divide.vjp(0)(lambda xp, g, x2: g / x2)
divide.vjp(1)(lambda xp, g, x2, y: -g * y / x2)
divide.example(lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.5, 2, size=(3, 1))))


@primitive(real=True)
def floor_divide(xp, x1, x2, /):
    """y = ⌊x₁ / x₂⌋. Its gradient is 0.

    >>> tx.floor_divide(tx.asarray([7, -7]), 2)
    tensor([ 3, -4])
    """
    return xp.floor_divide(x1, x2)


floor_divide.vjp(0, 1)(lambda xp, g: xp.zeros_like(g))


@primitive(real=True)
def remainder(xp, x1, x2, /):
    """y = x₁ - ⌊x₁ / x₂⌋ · x₂, with the sign of x₂.

    >>> tx.remainder(tx.asarray([7, -7]), 3)
    tensor([1, 2])
    """
    return xp.remainder(x1, x2)


remainder.vjp(0)(lambda xp, g: g)
# the floor of the exact quotient, as in the value
remainder.vjp(1)(lambda xp, g, x1, x2: -g * xp.floor_divide(x1, x2))


for _op in (floor_divide, remainder):
    _op.example(
        lambda rng: (rng.integers(-4, 4, size=(3, 4)) + 0.3, rng.integers(1, 4, size=(4,)) + 0.05)
    )


@primitive(autocast="float32")
def pow(xp, x1, x2, /):
    """y = x₁ ^ x₂.

    The gradient of the base is 0 where the exponent is 0. The gradient of the exponent, y ln x₁,
    is 0 where the base is 0 and the exponent is not negative: its limit, as in PyTorch.

    >>> tx.pow(tx.asarray([1.0, 2.0]), 3)
    tensor([1., 8.])
    """
    return x1**x2


@pow.vjp(0)
def _(xp, g, x1, x2):
    if isinstance(x2, (int, float, complex)):  # libraries have fast paths for the powers 1 and 2
        return g * (x2 * x1 ** (x2 - 1)) if x2 != 0 else xp.zeros_like(g)
    constant = x2 == 0
    return xp.where(constant, 0.0, g * x2 * x1 ** xp.where(constant, 1.0, x2 - 1))


@pow.vjp(1)
def _(xp, g, x1, x2, y):
    base = xp.asarray(x1, dtype=y.dtype)
    constant = (base == 0) & ((xp.real(x2) if is_complex(x2) else x2) >= 0)
    return xp.where(constant, 0.0, g * y * xp.log(xp.where(constant, 1.0, base)))


pow.example(lambda rng: (rng.uniform(0.5, 2, size=(3, 4)), rng.normal(size=(4,))))
pow.example(lambda rng: (rng.normal(size=(3, 4)), 3))
pow.example(lambda rng: (2.5, rng.normal(size=(3, 4))))


@primitive(floating=True, real=True)
def atan2(xp, x1, x2, /):
    """y = the angle of the point (x₂, x₁) in radians, from -π to π; its gradient at (0, 0) is 0.

    >>> tx.atan2(tx.asarray([0.0]), tx.asarray([-1.0]))
    tensor([3.1415927])
    """
    return xp.atan2(x1, x2)


atan2.vjp(0)(lambda xp, g, x1, x2: g * _over_square(xp, x2, x1))
atan2.vjp(1)(lambda xp, g, x1, x2: -g * _over_square(xp, x1, x2))


def _over_square(xp, x, other):
    """x / (x² + other²), and 0 at the origin, without squares, which could overflow."""
    length = xp.hypot(x, other)
    length = xp.where(length == 0, 1.0, length)
    return x / length / length


atan2.example(lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.5, 2, size=(4,))))


@primitive(floating=True, real=True)
def hypot(xp, x1, x2, /):
    """y = √(x₁² + x₂²), without overflow; its gradient at the origin is 0.

    >>> tx.hypot(tx.asarray([3.0]), 4.0)
    tensor([5.])
    """
    return xp.hypot(x1, x2)


hypot.vjp(0, 1)(lambda xp, g, this, y: g * this / xp.where(y == 0, 1.0, y))
hypot.example(lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.5, 2, size=(4,))))


@primitive(floating=True, real=True)
def logaddexp(xp, x1, x2, /):
    """y = ln(exp x₁ + exp x₂), without overflow.

    >>> tx.logaddexp(tx.asarray([0.0]), 0.0)
    tensor([0.6931472])
    """
    return xp.logaddexp(x1, x2)


# not exp(x - y): y is rounded
logaddexp.vjp(0, 1)(lambda xp, g, this, other: g * _sigmoid.on(xp, _difference(xp, this, other)))


def _difference(xp, x1, x2):
    """x₁ - x₂, and 0 where both are the same infinity, which would give NaN."""
    if isinstance(x1, (int, float)):
        x1 = xp.full_like(x2, x1)
    elif isinstance(x2, (int, float)):
        x2 = xp.full_like(x1, x2)
    same = (x1 == x2) & ~xp.isfinite(x1)
    return xp.where(same, 0.0, x1) - xp.where(same, 0.0, x2)


logaddexp.example(normal((3, 4), (4,)))


@primitive(floating=True, real=True)
def copysign(xp, x1, x2, /):
    """y = |x₁| with the sign of x₂; its gradient at x₁ = 0 is 0, like that of |x₁|.

    >>> tx.copysign(tx.asarray([1.0, -2.0]), -1.0)
    tensor([-1., -2.])
    """
    return xp.copysign(x1, x2)


@copysign.vjp(0)
def _(xp, g, x1, y):
    return xp.where(x1 == 0, 0.0, xp.where(xp.signbit(x1) == xp.signbit(y), g, -g))


copysign.vjp(1)(lambda xp, g: xp.zeros_like(g))
copysign.example(lambda rng: (rng.uniform(0.5, 2, size=(3, 4)), rng.choice([-1.0, 1.0], size=(4,))))


@primitive(promote=1)
def where(xp, condition, x1, x2, /):
    """y = x₁ where ``condition`` is True, else x₂; all three are broadcast together.

    >>> tx.where(tx.asarray([True, False]), tx.asarray([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    return xp.where(condition, x1, x2)


where.vjp(1)(lambda xp, g, condition: xp.where(condition, g, 0.0))
where.vjp(2)(lambda xp, g, condition: xp.where(condition, 0.0, g))
where.example(
    lambda rng: (
        rng.integers(0, 2, size=(3, 4)) == 1,
        rng.normal(size=(3, 4)),
        rng.normal(size=(4,)),
    )
)
