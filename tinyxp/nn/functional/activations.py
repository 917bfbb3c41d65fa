"""Smooth activations, elementwise, (...) -> (...); and softmax, along one axis."""

import math

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors, floats
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.checks import in_place
from tinyxp.ops import trigonometric
from tinyxp.ops.arithmetic import logaddexp, where
from tinyxp.ops.bounds import maximum
from tinyxp.ops.creation import astype, clone
from tinyxp.ops.examples import normal
from tinyxp.ops.exponential import _erfc, _sigmoid, exp, log, log1p
from tinyxp.ops.reductions import argmax, max, sum
from tinyxp.ops.regular import arange
from tinyxp.ops.shaping import normalize_axis, reshape
from tinyxp.random import source

__all__ = [
    "gelu", "glu", "gumbel_softmax", "log_softmax", "logsigmoid", "mish", "sigmoid", "silu",
    "softmax", "softmin", "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip

# -- elementwise ------------------------------------------------------------------------------


@composite(real=True, floating=("x",))
def _gelu(x, /, approximate="none"):
    if approximate == "tanh":  # (1 + tanh u) / 2 = sigmoid(2u), whose digits do not cancel
        return x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * (x * x * x)))
    return 0.5 * x * _erfc(x * -math.sqrt(0.5))


_gelu.example(normal((3, 4)))
_gelu.example(normal((3, 4), approximate="tanh"))


def gelu(input, approximate="none"):
    """y = x Φ(x) = x/2 · (1 + erf(x/√2)), exact in the tails, Φ the normal distribution function.

    ``approximate="tanh"``: y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). Raises ArgumentError
    for another name. Source: Hendrycks & Gimpel 2016, sec. 2.

    >>> tx.nn.functional.gelu(tx.asarray([-1.0, 2.0], dtype=tx.float64))
    tensor([-0.15865525,  1.95449974], dtype=float64)
    """
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return _gelu(input, approximate=approximate)


def sigmoid(input):
    """y = 1 / (1 + e⁻ˣ), without overflow on either side.

    >>> tx.nn.functional.sigmoid(tx.asarray([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """
    return _sigmoid(input)


@composite(real=True, floating=("x",))
def _logsigmoid(x, /):
    return -logaddexp(-x, 0.0)


def logsigmoid(input):
    """y = ln sigmoid(x) = -ln(1 + e⁻ˣ), exact for any x.

    >>> tx.nn.functional.logsigmoid(tx.asarray([-1000.0, 0.0]))
    tensor([-1.000000e+03, -6.931472e-01])
    """
    return _logsigmoid(input)


@composite(real=True, floating=("x",))
def _silu(x, /):
    return x * _sigmoid(x)


def silu(input, inplace=False):
    """y = x · sigmoid(x), also called swish. Source: Elfwing et al. 2017; Ramachandran et al. 2017.

    >>> tx.nn.functional.silu(tx.asarray([0.0, 2.0]))
    tensor([0.      , 1.761594])
    """
    y = _silu(input)
    return y if inplace is False else in_place(input, y, inplace)


@composite(real=True, floating=("x",))
def _mish(x, /):
    return x * trigonometric.tanh(logaddexp(x, 0.0))


def mish(input, inplace=False):
    """y = x · tanh(ln(1 + eˣ)). Source: Misra 2019, eq. 1.

    >>> tx.nn.functional.mish(tx.asarray([0.0, 2.0]))
    tensor([0.       , 1.9439589])
    """
    y = _mish(input)
    return y if inplace is False else in_place(input, y, inplace)


@composite(real=True, floating=("x",), autocast="float32")
def _softplus(x, /, beta=1.0, threshold=20.0):
    return where(beta * x > threshold, x, logaddexp(beta * x, 0.0) / beta)


_softplus.example(lambda rng: (rng.integers(-1, 2, size=(6,)) * 1.0,))  # at 0 too
_softplus.example(lambda rng: (rng.normal(size=(3, 4)) + 0.5, {"beta": 2.0, "threshold": 1.0}))


def softplus(input, beta=1.0, threshold=20.0):
    """y = ln(1 + e^(βx)) / β, and x where βx is above ``threshold``.

    There the two differ by less than e^-threshold / β. Source: Dugas et al. 2001, eq. 5.

    >>> tx.nn.functional.softplus(tx.asarray([0.0, 1000.0]))
    tensor([6.931472e-01, 1.000000e+03])
    """
    return _softplus(input, beta=beta, threshold=threshold)


@primitive(floating=True, real=True)
def _softsign(xp, x, /):
    return x / (1 + xp.abs(x))


@_softsign.vjp
def _(xp, g, x):
    root = 1 / (1 + xp.abs(x))
    return g * root * root  # step by step it cancels: 1 / (1 + |x|) - |x| / (1 + |x|)²


def softsign(input):
    """y = x / (1 + |x|). Source: Bergstra et al. 2009.

    >>> tx.nn.functional.softsign(tx.asarray([-1.0, 0.0, 3.0]))
    tensor([-0.5 ,  0.  ,  0.75])
    """
    return _softsign(input)


def tanh(input):
    """y = tanh x.

    >>> tx.nn.functional.tanh(tx.asarray([0.0, 1.0]))
    tensor([0.       , 0.7615942])
    """
    return trigonometric.tanh(input)


@primitive(floating=True, real=True)
def _tanhshrink(xp, x, /):
    return x - xp.tanh(x)


@_tanhshrink.vjp
def _(xp, g, x):
    t = xp.tanh(x)
    return g * t * t  # step by step it cancels near 0: 1 - (1 - tanh² x)


def tanhshrink(input):
    """y = x - tanh x.

    >>> tx.nn.functional.tanhshrink(tx.asarray([0.0, 1.0]))
    tensor([0.        , 0.23840582])
    """
    return _tanhshrink(input)


for _op in (_logsigmoid, _silu, _mish, _softsign, _tanhshrink):
    _op.example(normal((3, 4)))


# -- along one axis ---------------------------------------------------------------------------


@composite(real=True, floating=("x",))
def _glu(x, /, *, dim):
    half = x.shape[dim] // 2
    before = (slice(None),) * dim
    return x[(*before, slice(half))] * _sigmoid(x[(*before, slice(half, None))])


_glu.example(normal((2, 4, 2), dim=1))


@typed
def glu(input, dim=-1):
    """y = a · sigmoid(b), a and b the halves of x along ``dim``: (..., 2 n, ...) -> (..., n, ...).

    Raises ShapeError unless that axis has an even length. Source: Dauphin et al. 2017, eq. 1.

    >>> tx.nn.functional.glu(tx.asarray([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ])
    """
    expect_tensors("glu", input)
    if input.ndim == 0:
        raise ShapeError("glu halves an axis, got a tensor without any")
    dim = normalize_axis("glu", dim, input.ndim)
    if input.shape[dim] % 2:
        raise ShapeError(f"glu expects an even length of axis {dim}, got shape {input.shape}")
    return _glu(input, dim=dim)


@composite(real=True, floating=("x",), autocast="float32")
def _softmax(x, /, dim):
    # the maximum keeps its gradient, though that sums to 0: computed from the other elements, it
    # replaces 1 - y, which cancels where y is near 1
    e = exp(x - max(x, axis=dim, keepdims=True))
    return e / sum(e, axis=dim, keepdims=True)


@composite(real=True, floating=("x",), autocast="float32")
def _log_softmax(x, /, dim):
    shifted = x - max(x, axis=dim, keepdims=True)  # with its gradient, as in _softmax
    return shifted - log(sum(exp(shifted), axis=dim, keepdims=True))


for _op in (_softmax, _log_softmax):
    _op.example(normal((2, 3, 4), dim=-1))
    _op.example(normal((3, 4), dim=0))


def _along(op, input, dim, dtype):
    """Apply ``op`` along an axis; a 0-d tensor counts as a vector of length 1."""
    expect_tensors(op.op.name, input)
    if dtype is not None:
        input = astype(input, dtype, copy=False)
    shape = input.shape
    if dim is None:
        dim = 0 if len(shape) in (0, 1, 3) else 1
    if type(dim) is not int or not 0 <= dim < len(shape):
        dim = normalize_axis(op.op.name, dim, len(shape) or 1)
    if 0 in shape:
        return clone(input)  # there is no maximum to subtract
    if not shape:
        return reshape(op(reshape(input, (1,)), dim=dim), ())
    return op(input, dim=dim)


@typed
def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """y = e^x / Σ e^x along the axis ``dim``, without overflow, in ``dtype``.

    Pass ``dim``: None means axis 0 for 0, 1 or 3 axes, else axis 1. Raises AxisError, DTypeError.
    Source: Bridle 1990.

    >>> tx.nn.functional.softmax(tx.asarray([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    return _along(_softmax, input, dim, dtype)


@typed
def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """y = softmax(-x), with the arguments of ``softmax``.

    >>> tx.nn.functional.softmin(tx.asarray([0.0, 0.0, 1000.0]), dim=0)
    tensor([0.5, 0.5, 0. ])
    """
    expect_tensors("softmin", input)
    (x,) = floats(input)  # unsigned integers have no negative
    return _along(_softmax, -x, dim, dtype)


@typed
def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """y = x - ln Σ e^x along the axis ``dim``, without overflow; arguments as of ``softmax``.

    >>> tx.nn.functional.log_softmax(tx.asarray([0.0, 0.0]), dim=0)
    tensor([-0.6931472, -0.6931472])
    """
    return _along(_log_softmax, input, dim, dtype)


@typed
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1, *, generator=None):
    """y = softmax((x + G) / τ), G = -ln(-ln U): a soft sample of softmax(x).

    With ``hard``, y is one-hot with the gradient of the soft sample. ``eps`` has no effect. Raises
    AxisError, ArgumentError unless τ > 0. Source: Jang et al. 2017, eq. 2; Maddison et al. 2017.

    >>> g = tx.random.Generator(0)
    >>> tx.nn.functional.gumbel_softmax(tx.asarray([0.0, 1000.0]), hard=True, generator=g)
    tensor([0., 1.])
    """
    expect_tensors("gumbel_softmax", logits)
    if not tau > 0:
        raise ArgumentError(f"gumbel_softmax expects tau > 0, got {tau}")
    with backends.using(logits.backend):
        u = source(generator).uniform(logits.shape, dtype=dtypes.float64, device=logits.device)
        noise = -log(-log1p(-maximum(u, 2.0**-54)))  # u may be 0
        soft = softmax((logits + astype(noise, logits.dtype)) / tau, dim)
        if not hard or soft.ndim == 0:
            return soft
        dim = normalize_axis("gumbel_softmax", dim, soft.ndim)
        places = arange(soft.shape[dim], device=soft.device)
        places = reshape(places, (-1, *(1,) * (soft.ndim - 1 - dim)))
        one_hot = astype(places == argmax(soft, axis=dim, keepdims=True), soft.dtype)
    return one_hot - soft.detach() + soft
