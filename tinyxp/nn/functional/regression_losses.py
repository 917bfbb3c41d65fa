"""Losses of regression, and of the parameters of a distribution of the targets.

``reduction``: "mean", "sum" or "none"; ``size_average`` and ``reduce`` are its older forms.
Input and target are not broadcast: (N, 1) and (N) would give N² losses.
"""

import math

from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional.checks import expect_numbers
from tinyxp.nn.functional.reduction import expect_alike, reduce_losses, resolve_reduction
from tinyxp.ops.arithmetic import where
from tinyxp.ops.bounds import minimum
from tinyxp.ops.creation import full_like
from tinyxp.ops.examples import uniform
from tinyxp.ops.exponential import exp, log
from tinyxp.ops.reductions import any, sum
from tinyxp.ops.rounding import abs
from tinyxp.ops.shaping import expand_dims

__all__ = [
    "gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "poisson_nll_loss",
    "smooth_l1_loss",
]  # fmt: skip


@composite(real=True, floating=("input", "target"), autocast="float32")
def _mse_loss(input, target, /):
    difference = input - target
    return difference * difference


@composite(floating=("input", "target"), autocast="float32")
def _l1_loss(input, target, /):
    return abs(input - target)


@composite(real=True, floating=("input", "target"), autocast="float32")
def _smooth_l1_loss(input, target, /, beta=1.0):
    distance = abs(input - target)
    near = minimum(distance, beta)  # the square of inf would have the gradient NaN
    return near / beta * (distance - near / 2)


@composite(real=True, floating=("input", "target"), autocast="float32")
def _huber_loss(input, target, /, delta=1.0):
    distance = abs(input - target)
    near = minimum(distance, delta)  # as in _smooth_l1_loss
    return near * (distance - near / 2)


def _ramp(rng):
    """Distinct numbers at a distance of at least 1, so that differences of 0.5 are at no kink."""
    return rng.permutation(12).reshape(3, 4) * 1.0


for _op in (_mse_loss, _l1_loss):
    _op.example(lambda rng: (_ramp(rng), _ramp(rng) + 0.5))


_smooth_l1_loss.example(lambda rng: (_ramp(rng), _ramp(rng) + 0.4, {"beta": 0.7}))
_huber_loss.example(lambda rng: (_ramp(rng), _ramp(rng) - 0.4, {"delta": 0.7}))


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """loss = w (input - target)². Shapes must be equal, that of ``weight`` too; raises ShapeError.

    The mean of weighted losses divides by the sum of the weights.

    >>> tx.nn.functional.mse_loss(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(2.)
    """
    expect_alike("mse_loss", input, target)
    reduction = resolve_reduction(reduction, size_average, reduce)
    return _mean_by_weight("mse_loss", _mse_loss(input, target), weight, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """loss = w |input - target|. Shapes must be equal, that of ``weight`` too; raises ShapeError.

    The mean of weighted losses divides by the sum of the weights.

    >>> tx.nn.functional.l1_loss(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(1.)
    """
    expect_alike("l1_loss", input, target)
    reduction = resolve_reduction(reduction, size_average, reduce)
    return _mean_by_weight("l1_loss", _l1_loss(input, target), weight, reduction)


def _mean_by_weight(name, losses, weight, reduction):
    if weight is None:
        return reduce_losses(losses, reduction)
    expect_alike(name, losses, weight, names="weight and input")
    losses = losses * weight
    return sum(losses) / sum(weight) if reduction == "mean" else reduce_losses(losses, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """With d = |input - target|: loss = d² / 2β where d < β, else d - β/2.

    Shapes must be equal; raises ShapeError, ArgumentError for β < 0. With β = 0 it is ``l1_loss``.
    Source: Girshick 2015, eq. 3.

    >>> tx.nn.functional.smooth_l1_loss(tx.asarray([0.5, 3.0]), tx.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    expect_alike("smooth_l1_loss", input, target)
    expect_numbers("smooth_l1_loss", beta=beta)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss expects beta of 0 or more, got {beta}")
    losses = _smooth_l1_loss(input, target, beta=beta) if beta else _l1_loss(input, target)
    return reduce_losses(losses, reduction, size_average, reduce)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """With d = |input - target|: loss = w d²/2 where d ≤ δ, else w δ (d - δ/2).

    Shapes must be equal, that of ``weight`` too; raises ShapeError, ArgumentError for δ ≤ 0. The
    mean divides by the number of elements, with a weight too. Source: Huber 1964.

    >>> tx.nn.functional.huber_loss(tx.asarray([1.0, 3.0]), tx.zeros(2), "none", delta=2.0)
    tensor([0.5, 4. ])
    """
    expect_alike("huber_loss", input, target)
    expect_numbers("huber_loss", delta=delta)
    if not delta > 0:
        raise ArgumentError(f"huber_loss expects delta above 0, got {delta}")
    losses = _huber_loss(input, target, delta=delta)
    if weight is not None:
        expect_alike("huber_loss", losses, weight, names="weight and input")
        losses = losses * weight
    return reduce_losses(losses, reduction)


# -- parameters of distributions --------------------------------------------------------------


@composite(real=True, floating=("input", "target"), autocast="float32")
def _poisson_nll_loss(input, target, /, log_input=True, full=False, eps=1e-8):
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:  # Stirling's ln(target!)
        large = target > 1
        t = where(large, target, 1.0)
        loss = loss + where(large, t * log(t) - t + log(2 * math.pi * t) / 2, 0.0)
    return loss


_poisson_nll_loss.example(
    lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0, 3, size=(3, 4)), {"full": True})
)


_poisson_nll_loss.example(uniform(0.5, 2, (3, 4), (3, 4), log_input=False, eps=0.1))


def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """-ln of a Poisson distribution at the target t: loss = eˣ - t x + ln t!, the input x = ln λ.

    Without ``log_input`` the input is λ, and loss = λ - t ln(λ + ε) + ln t!. The last term is
    omitted, or with ``full`` is Stirling's t ln t - t + ½ ln 2πt where t > 1. Shapes must be equal;
    raises ShapeError.

    >>> tx.nn.functional.poisson_nll_loss(tx.asarray([0.0]), tx.asarray([2.0]))
    tensor(1.)
    """
    expect_alike("poisson_nll_loss", input, target)
    losses = _poisson_nll_loss(input, target, log_input=log_input, full=full, eps=eps)
    return reduce_losses(losses, reduction, size_average, reduce)


@composite(real=True, floating=("input", "target", "var"), autocast="float32")
def _gaussian_nll_loss(input, target, var, /, full=False, eps=1e-6):
    # only the value is at least ε: the gradient passes, so that a smaller variance can grow
    var = where(var < eps, var - var.detach() + eps, var)
    difference = input - target
    loss = (log(var) + difference * difference / var) / 2
    return loss + math.log(2 * math.pi) / 2 if full else loss


_gaussian_nll_loss.example(uniform(0.5, 2, (3, 4), (3, 4), (3, 4)))
_gaussian_nll_loss.example(uniform(0.5, 2, (3, 4), (3, 4), (3, 1), full=True))


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """-ln of a normal distribution at the target: loss = ½ (ln v + (input - target)² / v).

    v = max(var, ε), with the gradient of var; ``full`` adds ½ ln 2π. The target has the shape of
    the input, or 1 in place of one axis; ``var`` too, or it lacks the last axis, or is a number.
    Raises ShapeError, ArgumentError for a negative variance. Source: Nix & Weigend 1994, eq. 3.

    >>> tx.nn.functional.gaussian_nll_loss(tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([4.0]))
    tensor(1.1931472)
    """
    name = "gaussian_nll_loss"
    expect_tensors(name, input, target)
    if not _spreads(target.shape, input.shape):
        raise ShapeError(
            f"{name} expects a target of the input's shape {input.shape}, or with 1 in place of "
            f"one axis, got {target.shape}; reshape it"
        )
    if isinstance(var, (int, float)):
        if var < 0:
            raise ArgumentError(f"{name} expects variances of 0 or more, got {var}")
        var = full_like(input, var)
    expect_tensors(name, var)
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = expand_dims(var, axis=-1)
    if not _spreads(var.shape, input.shape):
        raise ShapeError(
            f"{name} expects var of the input's shape {input.shape}, without its last axis, or "
            f"with 1 in place of one axis, got {var.shape}"
        )
    if bool(any(var.detach() < 0)):
        raise ArgumentError(f"{name} expects variances of 0 or more, got a negative one")
    return reduce_losses(_gaussian_nll_loss(input, target, var, full=full, eps=eps), reduction)


def _spreads(shape, whole):
    """Whether ``shape`` is ``whole``, except for one axis of length 1."""
    if len(shape) != len(whole):
        return False
    others = [a for a, b in zip(shape, whole, strict=True) if a != b]
    return others in ([], [1])
