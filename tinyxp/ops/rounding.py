"""Sign and rounding: elementwise, (...) -> (...)."""

from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import is_complex
from tinyxp.ops.complexes import conj
from tinyxp.ops.examples import normal

__all__ = ["abs", "ceil", "floor", "negative", "positive", "round", "sign", "trunc"]


@primitive
def abs(xp, x, /):
    """y = |x|, real, with gradient 0 at 0.

    >>> tx.abs(tx.asarray([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    return xp.abs(x)


abs.vjp(lambda xp, g, x: g * conj.on(xp, xp.sign(x)))
abs.example(lambda rng: (rng.choice([-1.0, 1.0], size=(3, 4)) * rng.uniform(0.5, 2, size=(3, 4)),))


@primitive
def negative(xp, x, /):
    """y = -x.

    >>> tx.negative(tx.asarray([-1.5, 2.0]))
    tensor([ 1.5, -2. ])
    """
    return -x


negative.vjp(lambda xp, g: -g)
negative.example(normal((3, 4)))


@primitive
def positive(xp, x, /):
    """y = x.

    >>> tx.positive(tx.asarray([-1.5, 2.0]))
    tensor([-1.5,  2. ])
    """
    return xp.positive(x)


positive.vjp(lambda xp, g: g)
positive.example(normal((3, 4)))


@primitive
def sign(xp, x, /):
    """y = x / |x|, and 0 at 0. For a real x it is -1, 0 or 1, and its derivative is 0.

    >>> tx.sign(tx.asarray([-1.7, 1.7]))
    tensor([-1.,  1.])
    """
    return xp.sign(x)


@sign.vjp
def _(xp, g, x, y):
    if not is_complex(y):
        return xp.zeros_like(g)
    size = xp.abs(x)  # y stays on the unit circle
    turn = (g - xp.real(g * y) * xp.conj(y)) / xp.where(size == 0, 1.0, size)
    return xp.where(y == 0, 0.0, turn)


@primitive(real=True)
def ceil(xp, x, /):
    """y = ⌈x⌉. Its gradient is 0.

    >>> tx.ceil(tx.asarray([-1.7, 1.7]))
    tensor([-1.,  2.])
    """
    return xp.ceil(x)


@primitive(real=True)
def floor(xp, x, /):
    """y = ⌊x⌋. Its gradient is 0.

    >>> tx.floor(tx.asarray([-1.7, 1.7]))
    tensor([-2.,  1.])
    """
    return xp.floor(x)


@primitive
def round(xp, x, /):
    """y = x rounded to the nearest integer, halves to even. Its gradient is 0.

    >>> tx.round(tx.asarray([-1.7, 1.7]))
    tensor([-2.,  2.])
    """
    return xp.round(x)


@primitive(real=True)
def trunc(xp, x, /):
    """y = x rounded towards 0. Its gradient is 0.

    >>> tx.trunc(tx.asarray([-1.7, 1.7]))
    tensor([-1.,  1.])
    """
    return xp.trunc(x)


for _op in (ceil, floor, round, trunc):
    _op.vjp(lambda xp, g: xp.zeros_like(g))
for _op in (ceil, floor, round, sign, trunc):
    _op.example(lambda rng: (rng.integers(-3, 3, size=(3, 4)) + 0.3,))
