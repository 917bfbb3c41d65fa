"""Activations that make their input the result: ``relu_(x)`` is ``relu(x, inplace=True)``.

Differentiable as ``x += y`` is; all raise GradientError on a leaf that requires grad.
"""

from tinyxp.nn.functional import piecewise_activations

__all__ = [
    "celu_",
    "elu_",
    "hardtanh_",
    "leaky_relu_",
    "relu_",
    "rrelu_",
    "selu_",
    "threshold_",
]


def relu_(input):
    """``relu`` in place.

    >>> x = tx.asarray([-1.0, 2.0])
    >>> tx.nn.functional.relu_(x) is x, x
    (True, tensor([0., 2.]))
    """
    return piecewise_activations.relu(input, inplace=True)


def leaky_relu_(input, negative_slope=0.01):
    """``leaky_relu`` in place.

    >>> tx.nn.functional.leaky_relu_(tx.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return piecewise_activations.leaky_relu(input, negative_slope, inplace=True)


def rrelu_(input, lower=1 / 8, upper=1 / 3, training=False, *, generator=None):
    """``rrelu`` in place.

    >>> tx.nn.functional.rrelu_(tx.asarray([-8.0, 2.0]), 0.25, 0.5)
    tensor([-3.,  2.])
    """
    return piecewise_activations.rrelu(
        input, lower, upper, training, inplace=True, generator=generator
    )


def elu_(input, alpha=1.0):
    """``elu`` in place.

    >>> tx.nn.functional.elu_(tx.asarray([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """
    return piecewise_activations.elu(input, alpha, inplace=True)


def selu_(input):
    """``selu`` in place.

    >>> tx.nn.functional.selu_(tx.asarray([-1000.0, 2.0]))
    tensor([-1.7580993,  2.101402 ])
    """
    return piecewise_activations.selu(input, inplace=True)


def celu_(input, alpha=1.0):
    """``celu`` in place.

    >>> tx.nn.functional.celu_(tx.asarray([-1000.0, 2.0]), alpha=3.0)
    tensor([-3.,  2.])
    """
    return piecewise_activations.celu(input, alpha, inplace=True)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """``hardtanh`` in place.

    >>> tx.nn.functional.hardtanh_(tx.asarray([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    return piecewise_activations.hardtanh(input, min_val, max_val, inplace=True)


def threshold_(input, threshold, value):
    """``threshold`` in place.

    >>> tx.nn.functional.threshold_(tx.asarray([1.0, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    return piecewise_activations.threshold(input, threshold, value, inplace=True)
