"""Exponentials, logarithms, roots: elementwise, (...) -> (...). Integers become float32 first.

Where a derivative is infinite and the incoming gradient is 0 (log at 0 behind a ``where``), the
gradient is 0 and not NaN.
"""

import math

from tinyxp.core.primitive import primitive
from tinyxp.ops.examples import normal, uniform

__all__ = ["erf", "exp", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "sqrt", "square"]


def _safe_divisor(xp, g, d):
    """The divisor ``d``, but 1 where it is 0 or NaN and ``g`` is 0, so that g / d is 0."""
    return xp.where((g == 0) & ~(xp.abs(d) > 0), 1.0, d)


@primitive(floating=True, autocast="float32")
def exp(xp, x, /):
    """y = eˣ.

    >>> tx.exp(tx.asarray([0.5]))
    tensor([1.6487212])
    """
    return xp.exp(x)


exp.vjp(lambda xp, g, y: g * y)
exp.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True, autocast="float32")
def expm1(xp, x, /):
    """y = eˣ - 1, accurate near 0.

    >>> tx.expm1(tx.asarray([0.5]))
    tensor([0.6487213])
    """
    return xp.expm1(x)


expm1.vjp(lambda xp, g, x: g * xp.exp(x))  # not y + 1, which cancels where y is near -1
expm1.example(uniform(-2, 2, (3, 4)))


@primitive(floating=True, autocast="float32")
def log(xp, x, /):
    """y = ln x.

    >>> tx.log(tx.asarray([0.5]))
    tensor([-0.6931472])
    """
    return xp.log(x)


log.vjp(lambda xp, g, x: g / _safe_divisor(xp, g, x))
log.example(uniform(0.2, 3, (3, 4)))


@primitive(floating=True, autocast="float32")
def log10(xp, x, /):
    """y = log₁₀ x.

    >>> tx.log10(tx.asarray([10.0]))
    tensor([1.])
    """
    return xp.log10(x)


log10.vjp(lambda xp, g, x: g / (_safe_divisor(xp, g, x) * math.log(10)))
log10.example(uniform(0.2, 3, (3, 4)))


@primitive(floating=True, autocast="float32")
def log1p(xp, x, /):
    """y = ln(1 + x), accurate near 0.

    >>> tx.log1p(tx.asarray([0.5]))
    tensor([0.40546513])
    """
    return xp.log1p(x)


log1p.vjp(lambda xp, g, x: g / _safe_divisor(xp, g, 1 + x))
log1p.example(uniform(-0.8, 2, (3, 4)))


@primitive(floating=True, autocast="float32")
def log2(xp, x, /):
    """y = log₂ x.

    >>> tx.log2(tx.asarray([2.0]))
    tensor([1.])
    """
    return xp.log2(x)


log2.vjp(lambda xp, g, x: g / (_safe_divisor(xp, g, x) * math.log(2)))
log2.example(uniform(0.2, 3, (3, 4)))


@primitive(floating=True)
def sqrt(xp, x, /):
    """y = √x.

    >>> tx.sqrt(tx.asarray([2.0]))
    tensor([1.4142135])
    """
    return xp.sqrt(x)


sqrt.vjp(lambda xp, g, y: g / (2 * _safe_divisor(xp, g, y)))
sqrt.example(uniform(0.2, 3, (3, 4)))


@primitive
def square(xp, x, /):
    """y = x².

    >>> tx.square(tx.asarray([-1.5, 2.0]))
    tensor([2.25, 4.  ])
    """
    return x * x


square.vjp(lambda xp, g, x: 2 * g * x)
square.example(normal((3, 4)))


@primitive(floating=True, autocast="float32")
def reciprocal(xp, x, /):
    """y = 1/x.

    >>> tx.reciprocal(tx.asarray([2.0]))
    tensor([0.5])
    """
    return xp.reciprocal(x)


reciprocal.vjp(lambda xp, g, y: -g * y * y)
reciprocal.example(uniform(0.5, 2, (3, 4)))


@primitive(floating=True, real=True)
def _sigmoid(xp, x, /):
    """1 / (1 + e⁻ˣ), for tx.nn.functional.sigmoid and the gradient of logaddexp."""
    return xp.exp(xp.minimum(x, 0.0)) / (1 + xp.exp(-xp.abs(x)))  # neither can overflow


# y (1 - y), accurate where y is near 1
_sigmoid.vjp(lambda xp, g, x, y: g * y * _sigmoid.on(xp, -x))
_sigmoid.example(normal((3, 4)))
_sigmoid.example(lambda rng: (rng.integers(-1, 2, size=(6,)) * 1.0,))  # with zeros


@primitive(floating=True, real=True)
def erf(xp, x, /):
    """y = 2/√π ∫₀ˣ exp(-t²) dt.

    >>> tx.erf(tx.asarray([0.5]))
    tensor([0.52049994])
    """
    return xp.erf(x)


erf.vjp(lambda xp, g, x: g * xp.exp(-x * x) * (2 / math.sqrt(math.pi)))


@primitive(floating=True, real=True)
def _erfc(xp, x, /):
    """1 - erf x, accurate where erf x is near 1."""
    own = getattr(xp, "erfc", None)
    return 1 - xp.erf(x) if own is None else own(x)


_erfc.vjp(lambda xp, g, x: g * xp.exp(-x * x) * (-2 / math.sqrt(math.pi)))


for _op in (erf, _erfc):
    _op.example(uniform(-2, 2, (3, 4)))
