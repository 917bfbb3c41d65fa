"""Piecewise activations, elementwise, (...) -> (...); each docstring gives the slope at the joints.

With ``inplace=True``, and in functions such as ``relu_``, ``input`` itself becomes the result,
differentiably as in ``x += y``; GradientError on a leaf that requires grad.
"""

import inspect
import math

from tinyxp import backends
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.checks import expect_numbers, in_place
from tinyxp.ops.arithmetic import where
from tinyxp.ops.exponential import expm1
from tinyxp.ops.rounding import abs, sign
from tinyxp.ops.shaping import reshape
from tinyxp.random import source

__all__ = [
    "celu", "celu_", "elu", "elu_", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "hardtanh_", "leaky_relu", "leaky_relu_", "prelu", "relu", "relu6", "relu_", "rrelu",
    "rrelu_", "selu", "selu_", "softshrink", "threshold", "threshold_",
]  # fmt: skip


def _ramp(rng):
    """Numbers of both signs, and 0: every piece, and the joints."""
    return (rng.permutation(13) - 6.0) / 2


# -- a joint at 0 -----------------------------------------------------------------------------


@composite(real=True)
def _relu(x, /):
    return where(x <= 0, 0, x)


_relu.example(lambda rng: (rng.permutation(12).reshape(3, 4) - 5.5,))


def relu(input, inplace=False):
    """y = max(x, 0); its gradient at 0 is 0.

    >>> tx.nn.functional.relu(tx.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """
    y = _relu(input)
    return y if inplace is False else in_place(input, y, inplace)


@composite(real=True, floating=("x", "slope"), autocast="lower")
def _prelu(x, slope, /):
    positive = x > 0
    below = where(positive, 0.0, x)  # inf above 0 would make the gradient of the slope NaN
    return where(positive, x, slope * below)


_prelu.example(
    lambda rng: (rng.permutation(24).reshape(2, 3, 4) - 11.5, rng.uniform(0.1, 0.5, size=(3, 1)))
)


def prelu(input, weight):
    """y = x above 0, else a x; the slope a is learned: one, or one for each channel.

    Shapes: input (N, C, ...), weight (C); or input (...), weight (1) or (). The slope at 0 is a.
    Raises ShapeError. Source: He et al. 2015, eq. 1.

    >>> tx.nn.functional.prelu(tx.asarray([[-1.0, -1.0]]), tx.asarray([0.5, 0.25]))
    tensor([[-0.5 , -0.25]])
    """
    expect_tensors("prelu", input, weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu expects weight (), (1), or ({channels}), a slope for each channel "
            f"of input {input.shape}, got {weight.shape}"
        )
    after = (1,) * (input.ndim - 2)
    return _prelu(input, reshape(weight, () if weight.size == 1 else (channels, *after)))


@composite(real=True, floating=("x",))
def _leaky_relu(x, /, *, negative_slope):
    return where(x > 0, x, negative_slope * x)


_leaky_relu.example(lambda rng: (rng.permutation(12).reshape(3, 4) - 5.5, {"negative_slope": 0.1}))


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """y = x above 0, else a x, a = ``negative_slope``, which is also the slope at 0.

    Source: Maas et al. 2013, sec. 2.

    >>> tx.nn.functional.leaky_relu(tx.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    y = _leaky_relu(input, negative_slope=negative_slope)
    return y if inplace is False else in_place(input, y, inplace)


@typed
def rrelu(input, lower=1 / 8, upper=1 / 3, training=False, inplace=False, *, generator=None):
    """y = x above 0, else a x; with ``training``, a ~ U(lower, upper) for each element.

    Otherwise a = (lower + upper) / 2. Raises ArgumentError if lower is above upper, or one is NaN.
    Source: Xu et al. 2015, sec. 2.4.

    >>> tx.nn.functional.rrelu(tx.asarray([-8.0, 2.0]), 0.25, 0.5)
    tensor([-3.,  2.])
    """
    expect_tensors("rrelu", input)
    expect_numbers("rrelu", lower=lower, upper=upper)
    if not 0 <= upper - lower < math.inf:
        raise ArgumentError(f"rrelu expects finite lower <= upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    with backends.using(input.backend):
        slopes = source(generator).uniform(
            input.shape, lower, upper, dtype=input.dtype, device=input.device
        )
    y = _prelu(input, slopes)
    return y if inplace is False else in_place(input, y, inplace)


@composite(real=True, floating=("x",))
def _elu(x, /, *, alpha, scale=1.0, input_scale=1.0):
    positive = x > 0
    below = where(positive, 0.0, x)  # expm1 of large numbers would overflow
    return scale * where(positive, x, alpha * expm1(input_scale * below))


_elu.example(lambda rng: (_ramp(rng) + 0.1, {"alpha": 1.5, "scale": 1.1, "input_scale": 0.5}))


def elu(input, alpha=1.0, inplace=False):
    """y = x above 0, else α (eˣ - 1); the slope at 0 is α. Source: Clevert et al. 2016, eq. 15.

    >>> tx.nn.functional.elu(tx.asarray([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """
    y = _elu(input, alpha=alpha)
    return y if inplace is False else in_place(input, y, inplace)


def selu(input, inplace=False):
    """y = λ x above 0, else λ α (eˣ - 1), with λ ≈ 1.0507 and α ≈ 1.6733; the slope at 0 is λ α.

    It keeps mean 0 and variance 1 through layers. Source: Klambauer et al. 2017, eq. 2 and 14.

    >>> tx.nn.functional.selu(tx.asarray([-1000.0, 2.0]))
    tensor([-1.7580993,  2.101402 ])
    """
    y = _elu(input, alpha=1.6732632423543772, scale=1.0507009873554805)
    return y if inplace is False else in_place(input, y, inplace)


def celu(input, alpha=1.0, inplace=False):
    """y = x above 0, else α (e^(x/α) - 1), smooth at 0 for any α. Raises ArgumentError for α = 0.

    Source: Barron 2017, eq. 2.

    >>> tx.nn.functional.celu(tx.asarray([-1000.0, 2.0]), alpha=3.0)
    tensor([-3.,  2.])
    """
    expect_numbers("celu", alpha=alpha)
    if alpha == 0:
        raise ArgumentError("celu divides by alpha, got 0; for max(x, 0) use relu")
    y = _elu(input, alpha=alpha, input_scale=1 / alpha)
    return y if inplace is False else in_place(input, y, inplace)


# -- two bounds -------------------------------------------------------------------------------


@composite(real=True)
def _hardtanh(x, /, *, min_val, max_val):
    return where(x <= min_val, min_val, where(x >= max_val, max_val, x))


_hardtanh.example(lambda rng: (_ramp(rng) + 0.1, {"min_val": -1.5, "max_val": 2.0}))


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """y = min(max(x, ``min_val``), ``max_val``); its gradient at both bounds is 0.

    Raises ArgumentError if the first is above the second.

    >>> tx.nn.functional.hardtanh(tx.asarray([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    expect_numbers("hardtanh", min_val=min_val, max_val=max_val)
    if min_val > max_val:
        raise ArgumentError(f"hardtanh expects min_val <= max_val, got {min_val} and {max_val}")
    y = _hardtanh(input, min_val=min_val, max_val=max_val)
    return y if inplace is False else in_place(input, y, inplace)


def relu6(input, inplace=False):
    """y = min(max(x, 0), 6); its gradient at 0 and 6 is 0. Source: Krizhevsky 2010, sec. 2.

    >>> tx.nn.functional.relu6(tx.asarray([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


@composite(real=True, floating=("x",))
def _hardsigmoid(x, /):
    return _hardtanh(x + 3, min_val=0.0, max_val=6.0) / 6


def hardsigmoid(input, inplace=False):
    """y = min(max(x + 3, 0), 6) / 6; its gradient at -3 and 3 is 0. Source: Howard et al. 2019.

    >>> tx.nn.functional.hardsigmoid(tx.asarray([-4.0, 0.0, 4.0]))
    tensor([0. , 0.5, 1. ])
    """
    y = _hardsigmoid(input)
    return y if inplace is False else in_place(input, y, inplace)


@composite(real=True, floating=("x",))
def _hardswish(x, /):
    return x * _hardsigmoid(x)


def hardswish(input, inplace=False):
    """y = x · hardsigmoid(x), with slope 0 at -3, 1 at 3. Source: Howard et al. 2019, sec. 5.2.

    >>> tx.nn.functional.hardswish(tx.asarray([0.0, 1.5, 4.0]))
    tensor([0.   , 1.125, 4.   ])
    """
    y = _hardswish(input)
    return y if inplace is False else in_place(input, y, inplace)


for _op in (_hardsigmoid, _hardswish):
    _op.example(lambda rng: (2 * _ramp(rng) + 0.1,))


# -- thresholds -------------------------------------------------------------------------------


@composite(real=True, floating=("x",))
def _hardshrink(x, /, *, lambd):
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


def hardshrink(input, lambd=0.5):
    """y = 0 between -λ and λ, with gradient 0; else x.

    >>> tx.nn.functional.hardshrink(tx.asarray([-2.0, 0.5, 0.6]))
    tensor([-2. ,  0. ,  0.6])
    """
    return _hardshrink(input, lambd=lambd)


@composite(real=True, floating=("x",))
def _softshrink(x, /, *, lambd):
    return where(abs(x) <= lambd, 0.0, x - lambd * sign(x))


for _op in (_hardshrink, _softshrink):
    _op.example(lambda rng: (_ramp(rng) + 0.1, {"lambd": 0.75}))


def softshrink(input, lambd=0.5):
    """y = 0 between -λ and λ, with gradient 0; else x - λ sign(x).

    Raises ArgumentError for λ below 0.

    >>> tx.nn.functional.softshrink(tx.asarray([-2.0, 0.5, 1.0]))
    tensor([-1.5,  0. ,  0.5])
    """
    expect_numbers("softshrink", lambd=lambd)
    if lambd < 0:
        raise ArgumentError(f"softshrink expects lambd of 0 or more, got {lambd}")
    return _softshrink(input, lambd=lambd)


@composite(real=True)
def _threshold(x, /, *, threshold, value):
    return where(x <= threshold, value, x)


_threshold.example(lambda rng: (_ramp(rng) + 0.1, {"threshold": 0.75, "value": -2.0}))


def threshold(input, threshold, value, inplace=False):
    """y = x above ``threshold``, else ``value``, with gradient 0.

    >>> tx.nn.functional.threshold(tx.asarray([1.0, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    y = _threshold(input, threshold=threshold, value=value)
    return y if inplace is False else in_place(input, y, inplace)


# -- in place ---------------------------------------------------------------------------------


def _with_inplace(function, options=""):
    """``function`` with ``inplace=True``, as a function whose name ends with an underscore."""
    name, signature = f"{function.__name__}_", inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "inplace"]

    def call(*args, **kwargs):
        return function(*args, **kwargs, inplace=True)

    call.__name__ = call.__qualname__ = name
    call.__signature__ = signature.replace(parameters=parameters)
    call.__doc__ = f"""``{function.__name__}`` with ``inplace=True``: the input becomes the result.

    >>> x = tx.asarray([-8.0, 2.0])
    >>> tx.nn.functional.{name}(x{options}) is x
    True
    """
    return call


celu_, elu_, selu_ = map(_with_inplace, (celu, elu, selu))
relu_, leaky_relu_, rrelu_ = map(_with_inplace, (relu, leaky_relu, rrelu))
hardtanh_, threshold_ = _with_inplace(hardtanh), _with_inplace(threshold, ", 1.0, 20.0")
