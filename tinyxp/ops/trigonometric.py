"""Trigonometric and hyperbolic functions: elementwise, (...) -> (...); integers become float32.

Gradients use factors such as (1 - x) (1 + x), which stay accurate at the borders of the domain,
where 1 - x² would cancel.
"""

from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import is_complex
from tinyxp.ops.examples import uniform

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh",
]  # fmt: skip


@primitive(floating=True)
def sin(xp, x, /):
    """y = sin x (radians).

    >>> tx.sin(tx.asarray([0.5]))
    tensor([0.47942555])
    """
    return xp.sin(x)


sin.vjp(lambda xp, g, x: g * xp.cos(x))
sin.example(uniform(-3, 3, (3, 4)))


@primitive(floating=True)
def cos(xp, x, /):
    """y = cos x (radians).

    >>> tx.cos(tx.asarray([0.5]))
    tensor([0.87758255])
    """
    return xp.cos(x)


cos.vjp(lambda xp, g, x: -g * xp.sin(x))
cos.example(uniform(-3, 3, (3, 4)))


@primitive(floating=True, autocast="float32")
def tan(xp, x, /):
    """y = tan x (radians).

    >>> tx.tan(tx.asarray([0.5]))
    tensor([0.5463025])
    """
    return xp.tan(x)


@tan.vjp
def _(xp, g, x, y):
    if is_complex(y):  # far from the real axis y is near ±i, and 1 + y² cancels
        return g * _sech2.on(xp, x * 1j)
    return g * (1 + y * y)


tan.example(uniform(-1, 1, (3, 4)))


@primitive(floating=True, autocast="float32")
def asin(xp, x, /):
    """y = arcsin x.

    >>> tx.asin(tx.asarray([0.5]))
    tensor([0.5235988])
    """
    return xp.asin(x)


asin.vjp(lambda xp, g, x: g / (xp.sqrt(1 - x) * xp.sqrt(1 + x)))
asin.example(uniform(-0.9, 0.9, (3, 4)))


@primitive(floating=True, autocast="float32")
def acos(xp, x, /):
    """y = arccos x.

    >>> tx.acos(tx.asarray([0.5]))
    tensor([1.0471976])
    """
    return xp.acos(x)


acos.vjp(lambda xp, g, x: -g / (xp.sqrt(1 - x) * xp.sqrt(1 + x)))
acos.example(uniform(-0.9, 0.9, (3, 4)))


@primitive(floating=True)
def atan(xp, x, /):
    """y = arctan x.

    >>> tx.atan(tx.asarray([0.5]))
    tensor([0.4636476])
    """
    return xp.atan(x)


@atan.vjp
def _(xp, g, x):
    if is_complex(x):
        return g / ((1 - x * 1j) * (1 + x * 1j))
    return g / (1 + x * x)


atan.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True, autocast="float32")
def sinh(xp, x, /):
    """y = sinh x.

    >>> tx.sinh(tx.asarray([0.5]))
    tensor([0.5210953])
    """
    return xp.sinh(x)


sinh.vjp(lambda xp, g, x: g * xp.cosh(x))
sinh.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True, autocast="float32")
def cosh(xp, x, /):
    """y = cosh x.

    >>> tx.cosh(tx.asarray([0.5]))
    tensor([1.1276261])
    """
    return xp.cosh(x)


cosh.vjp(lambda xp, g, x: g * xp.sinh(x))
cosh.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True)
def tanh(xp, x, /):
    """y = tanh x.

    >>> tx.tanh(tx.asarray([0.5]))
    tensor([0.4621172])
    """
    return xp.tanh(x)


tanh.vjp(lambda xp, g, x: g * _sech2.on(xp, x))
tanh.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True)
def _sech2(xp, x, /):
    """y = 1 / cosh² x = 4 e / (1 + e)² with e = exp(-2 |x|), which cannot overflow.

    It is the derivative of tanh; 1 - tanh² x would cancel where tanh x is near 1.
    """
    e = xp.exp((xp.where(xp.real(x) < 0, -x, x) if is_complex(x) else xp.abs(x)) * -2)
    root = 1 + e
    return 4 * e / (root * root)


_sech2.vjp(lambda xp, g, x, y: -2 * g * y * xp.tanh(x))
_sech2.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True)
def asinh(xp, x, /):
    """y = arsinh x.

    >>> tx.asinh(tx.asarray([0.5]))
    tensor([0.4812118])
    """
    return xp.asinh(x)


@asinh.vjp
def _(xp, g, x):
    if is_complex(x):
        return g / (xp.sqrt(1 - x * 1j) * xp.sqrt(1 + x * 1j))
    return g / xp.hypot(x, 1.0)


asinh.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True)
def acosh(xp, x, /):
    """y = arcosh x, for x >= 1.

    >>> tx.acosh(tx.asarray([2.0]))
    tensor([1.316958])
    """
    return xp.acosh(x)


# √(x² - 1) has another branch for Re x < 0
acosh.vjp(lambda xp, g, x: g / (xp.sqrt(x - 1) * xp.sqrt(x + 1)))
acosh.example(uniform(1.2, 3, (3, 4)))


@primitive(floating=True)
def atanh(xp, x, /):
    """y = artanh x, for |x| < 1.

    >>> tx.atanh(tx.asarray([0.5]))
    tensor([0.54930615])
    """
    return xp.atanh(x)


atanh.vjp(lambda xp, g, x: g / ((1 - x) * (1 + x)))
atanh.example(uniform(-0.9, 0.9, (3, 4)))
