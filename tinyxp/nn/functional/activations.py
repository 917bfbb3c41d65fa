"""Activations: elementwise, (...) -> (...), and softmax along one axis."""

import math

from tinyxp.backends.errors import ArgumentError
from tinyxp.composite import composite
from tinyxp.ops.arithmetic import logaddexp, where
from tinyxp.ops.exponential import erf, exp, log
from tinyxp.ops.reductions import max, sum
from tinyxp.ops.trigonometric import tanh
from tinyxp.primitive import primitive

__all__ = ["gelu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh"]


@primitive(real=True)
def relu(xp, x, /):
    """y = max(x, 0); its gradient at 0 is 0.

    >>> tx.nn.functional.relu(tx.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return xp.maximum(x, 0)


@relu.vjp
def _(xp, g, y):
    return xp.where(y > 0, g, 0.0)


@relu.example
def _(rng):
    return (rng.permutation(12).reshape(3, 4) - 5.5,)


@composite(real=True)
def _gelu(x, /, approximate="none"):
    if approximate == "tanh":
        curve = tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
    else:
        curve = erf(x * math.sqrt(0.5))
    return 0.5 * x * (1 + curve)


@_gelu.example
def _(rng):
    return (rng.normal(size=(3, 4)),)


@_gelu.example
def _(rng):
    return rng.normal(size=(3, 4)), {"approximate": "tanh"}


def gelu(x, /, approximate="none"):
    """y = x Φ(x) = x/2 · (1 + erf(x/√2)), Φ the normal distribution function.

    ``approximate="tanh"``: y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). Raises ArgumentError
    for another name. Source: Hendrycks & Gimpel 2016, sec. 2.

    >>> tx.nn.functional.gelu(tx.asarray([-1.0, 2.0]))
    tensor([-0.15865526,  1.9544997 ])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return _gelu(x, approximate=approximate)


@composite(real=True)
def sigmoid(x, /):
    """y = 1 / (1 + e⁻ˣ), without overflow on either side.

    >>> tx.nn.functional.sigmoid(tx.asarray([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """
    positive = x >= 0
    z = exp(where(positive, -x, x))  # e^-|x| <= 1; abs would have no slope at 0
    return where(positive, 1.0, z) / (1 + z)


@sigmoid.example
def _(rng):
    return (rng.normal(size=(3, 4)),)


@sigmoid.example
def _(rng):
    return (rng.integers(-1, 2, size=(6,)) * 1.0,)  # at 0 too


@composite(real=True)
def silu(x, /):
    """y = x · sigmoid(x), also called swish. Source: Elfwing et al. 2017; Ramachandran et al. 2017.

    >>> tx.nn.functional.silu(tx.asarray([0.0, 2.0]))
    tensor([0.      , 1.761594])
    """
    return x * sigmoid(x)


@silu.example
def _(rng):
    return (rng.normal(size=(3, 4)),)


@composite(real=True)
def softplus(x, /, beta=1.0):
    """y = ln(1 + e^(βx)) / β, exact for large x (so it needs no threshold).

    >>> tx.nn.functional.softplus(tx.asarray([0.0, 1000.0]))
    tensor([6.931472e-01, 1.000000e+03])
    """
    return logaddexp(beta * x, 0.0) / beta


@softplus.example
def _(rng):
    return (rng.integers(-1, 2, size=(6,)) * 1.0,)  # at 0 too


@softplus.example
def _(rng):
    return rng.normal(size=(3, 4)), {"beta": 2.0}


@composite(real=True)
def softmax(x, /, dim):
    """y = e^x / Σ e^x along the axis ``dim``, without overflow.

    >>> tx.nn.functional.softmax(tx.asarray([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    e = exp(x - max(x, axis=dim, keepdims=True).detach())
    return e / sum(e, axis=dim, keepdims=True)


@softmax.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), {"dim": -1}


@softmax.example
def _(rng):
    return rng.normal(size=(3, 4)), {"dim": 0}


@composite(real=True)
def log_softmax(x, /, dim):
    """y = x - ln Σ e^x along the axis ``dim``, without overflow.

    >>> tx.nn.functional.log_softmax(tx.asarray([0.0, 0.0]), dim=0)
    tensor([-0.6931472, -0.6931472])
    """
    shifted = x - max(x, axis=dim, keepdims=True).detach()
    return shifted - log(sum(exp(shifted), axis=dim, keepdims=True))


@log_softmax.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), {"dim": 1}
