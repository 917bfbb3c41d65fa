"""Dropout: random elements or channels are set to 0 in training.

Random numbers come from ``generator``, or the default one (``tx.manual_seed``). All raise
ArgumentError for p outside of [0, 1], and GradientError for ``inplace`` on a leaf that requires
grad.
"""

import math

from tinyxp import backends
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.checks import expect_numbers, in_place
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import empty
from tinyxp.ops.examples import normal
from tinyxp.random import _bernoulli, source

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


@composite
def _dropout(x, /, *, seed, counter, p):
    keep = _bernoulli(x, seed, counter, 1 - p)
    return where(keep, x * (1 / (1 - p) if p < 1 else 0.0), 0.0)


_dropout.example(normal((3, 5), seed=2**40 + 1, counter=2**64 - 2, p=0.3))


def probability(p):
    """Return p as a float. Raises DTypeError for other types, ArgumentError outside of [0, 1]."""
    expect_numbers("dropout", p=p)
    if not 0 <= p <= 1:
        raise ArgumentError(f"a dropout probability lies in [0, 1], got {p}")
    return float(p)


def _draw(name, input, axes, p, generator):
    """True with probability 1 - p, drawn for each element of the first ``axes`` axes."""
    like = input
    if axes < input.ndim:
        with backends.using(input.backend):
            like = empty(input.shape[:axes] + (1,) * (input.ndim - axes), device=input.device)
    elif axes > input.ndim:
        raise ShapeError(f"{name} drops channels, got shape {input.shape}; see dropout")
    return source(generator).bernoulli(like, 1 - p)


def _drop(name, input, axes, p, training, inplace, generator):
    """x / (1 - p), or 0 with probability p."""
    p = probability(p)
    expect_tensors(name, input)
    if not training or p == 0:
        return input
    if axes is None:
        seed, counter = source(generator)._take(input.size)
        y = _dropout(input, seed=seed, counter=counter, p=p)
    else:
        keep = _draw(name, input, axes, p, generator)
        y = where(keep, input * (1 / (1 - p) if p < 1 else 0.0), 0.0)
    return y if inplace is False else in_place(input, y, inplace)


@typed
def dropout(input, p=0.5, training=True, inplace=False, *, generator=None):
    """y = x / (1 - p) with probability 1 - p, else 0, which keeps the mean: (...) -> (...).

    Does nothing unless ``training``. Source: Srivastava et al. 2014, scaled at training time.

    >>> tx.nn.functional.dropout(tx.ones(4), 0.5, generator=tx.random.Generator(0))
    tensor([2., 0., 0., 0.])
    """
    return _drop("dropout", input, None, p, training, inplace, generator)


@typed
def dropout1d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """``dropout`` of whole channels: (N, C, L) or (C, L) -> the same. Raises ShapeError.

    >>> tx.nn.functional.dropout1d(tx.ones((2, 2)), generator=tx.random.Generator(0))
    tensor([[2., 2.],
            [0., 0.]])
    """
    expect_tensors("dropout1d", input)
    if input.ndim not in (2, 3):
        raise ShapeError(f"dropout1d expects (N, C, L) or (C, L), got {input.shape}")
    return _drop("dropout1d", input, input.ndim - 1, p, training, inplace, generator)


@typed
def dropout2d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """``dropout`` of whole channels: (N, C, H, W) -> the same. Raises ShapeError.

    Three axes are (N, C, L) and not (C, H, W), as in PyTorch.
    Source: Tompson et al. 2015, sec. 3.2.

    >>> x = tx.ones((2, 1, 1, 2))
    >>> tx.nn.functional.dropout2d(x, generator=tx.random.Generator(0)).flatten()
    tensor([2., 2., 0., 0.])
    """
    return _drop("dropout2d", input, 2, p, training, inplace, generator)


@typed
def dropout3d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """``dropout`` of whole channels: (N, C, D, H, W) or (C, D, H, W) -> the same.

    The first axis is C unless there are five. Raises ShapeError.

    >>> x = tx.ones((2, 1, 1, 2))
    >>> tx.nn.functional.dropout3d(x, generator=tx.random.Generator(0)).flatten()
    tensor([2., 2., 0., 0.])
    """
    expect_tensors("dropout3d", input)
    axes = 2 if input.ndim == 5 else 1
    return _drop("dropout3d", input, axes, p, training, inplace, generator)


FLOOR = -1.7580993408473766  # -λ α, the limit of selu at -inf


def _alpha_drop(name, input, axes, p, training, inplace, generator):
    """a x + b, or a · FLOOR + b with probability p; a and b keep mean 0 and variance 1."""
    p = probability(p)
    expect_tensors(name, input)
    if not training or p == 0:
        return input
    keep = _draw(name, input, axes or input.ndim, p, generator)
    a = 1 / math.sqrt((1 - p) * (1 + p * FLOOR * FLOOR)) if p < 1 else 0.0
    y = a * where(keep, input, FLOOR) - a * FLOOR * p
    return y if inplace is False else in_place(input, y, inplace)


@typed
def alpha_dropout(input, p=0.5, training=False, inplace=False, *, generator=None):
    """Dropout for ``selu``: y = a x + b, or a α' + b with probability p; (...) -> (...).

    α' ≈ -1.7581, a = ((1 - p) (1 + p α'²))^(-1/2), b = -a α' p: mean 0 and variance 1 are
    kept. Does nothing unless ``training``. Source: Klambauer et al. 2017, "New Dropout
    Technique".

    >>> tx.nn.functional.alpha_dropout(tx.ones(2), 0.5, True, generator=tx.random.Generator(0))
    tensor([ 1.6655989, -0.7791938])
    """
    return _alpha_drop("alpha_dropout", input, None, p, training, inplace, generator)


@typed
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False, *, generator=None):
    """``alpha_dropout`` of whole channels: (N, C, ...) -> the same. Raises ShapeError.

    >>> x = tx.ones((2, 1, 2))
    >>> g = tx.random.Generator(0)
    >>> tx.nn.functional.feature_alpha_dropout(x, 0.5, True, generator=g).flatten()
    tensor([ 1.6655989,  1.6655989, -0.7791938, -0.7791938])
    """
    return _alpha_drop("feature_alpha_dropout", input, 2, p, training, inplace, generator)
