"""Losses of probabilities, of binary variables or of a distribution.

``reduction``: "mean", "sum" or "none"; ``size_average`` and ``reduce`` are its older forms.
"""

import math

from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import floats
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError
from tinyxp.nn.functional.activations import logsigmoid
from tinyxp.nn.functional.reduction import expect_alike, reduce_losses, weigh
from tinyxp.ops.arithmetic import where
from tinyxp.ops.examples import normal
from tinyxp.ops.exponential import exp, log
from tinyxp.ops.reductions import mean, sum

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
    "multilabel_soft_margin_loss",
]  # fmt: skip


def _log(xp, p):
    """max(ln p, -100), without a warning at 0."""
    inside = p > math.exp(-100)
    return xp.where(inside, xp.log(xp.where(inside, p, 1.0)), -100.0)


def _log_rest(xp, p):
    """max(ln(1 - p), -100), exact for small p."""
    inside = p < 1
    return xp.where(inside, xp.log1p(-xp.where(inside, p, 0.0)), -100.0)


@primitive(real=True)
def _binary_cross_entropy(xp, p, target, /):
    return -(target * _log(xp, p) + (1 - target) * _log_rest(xp, p))


@_binary_cross_entropy.vjp(0)
def _(xp, g, p, target):
    return g * (p - target) / xp.maximum(p * (1 - p), 1e-12)  # finite at 0 and 1, as in PyTorch


_binary_cross_entropy.vjp(1)(lambda xp, g, p: g * (_log_rest(xp, p) - _log(xp, p)))
_binary_cross_entropy.example(
    lambda rng: (rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4)))
)


def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """loss = -w (target · ln p + (1 - target) · ln(1 - p)), the input p in [0, 1].

    Logarithms are at least -100, and the gradient's divisor p (1 - p) at least 1e-12, as in
    PyTorch. ``weight`` broadcasts to the input. Raises ShapeError unless shapes are equal,
    ArgumentError for p or a target outside of [0, 1].

    >>> tx.nn.functional.binary_cross_entropy(tx.asarray([0.5, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """
    expect_alike("binary_cross_entropy", input, target)
    input, target = floats(input, target)
    xp = input.backend.xp
    inside = [xp.all((x.array >= 0) & (x.array <= 1)) for x in (input, target)]
    if not bool(inside[0] & inside[1]):  # one synchronization for both
        if bool(inside[0]):
            raise ArgumentError("binary_cross_entropy expects targets in [0, 1]")
        raise ArgumentError(
            "binary_cross_entropy expects probabilities in [0, 1]; "
            "for logits use binary_cross_entropy_with_logits"
        )
    losses = weigh(_binary_cross_entropy(input, target), weight, "binary_cross_entropy")
    return reduce_losses(losses, reduction, size_average, reduce)


@composite(real=True, floating=("input", "target", "pos_weight"), autocast="float32")
def _binary_cross_entropy_with_logits(input, target, pos_weight=None, /):
    log_p = logsigmoid(input)
    if pos_weight is None:
        return (1 - target) * input - log_p
    return (1 - target) * input - ((pos_weight - 1) * target + 1) * log_p


_binary_cross_entropy_with_logits.example(
    lambda rng: (rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)))
)
_binary_cross_entropy_with_logits.example(
    lambda rng: (rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(0.5, 2, size=(4,)))
)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """``binary_cross_entropy(sigmoid(x), target)``, exact for logits x of any size:

    loss = w ((1 - target) · x + (1 + (p - 1) · target) · ln(1 + e⁻ˣ)), p = ``pos_weight``,
    which multiplies the loss of a target of 1. Both weights broadcast to the input. Raises
    ShapeError unless the shapes of input and target are equal.

    >>> logits, target = tx.asarray([1000.0, 0.0]), tx.asarray([1.0, 0.0])
    >>> tx.nn.functional.binary_cross_entropy_with_logits(logits, target)
    tensor(0.3465736)
    """
    name = "binary_cross_entropy_with_logits"
    expect_alike(name, input, target)
    losses = _binary_cross_entropy_with_logits(input, target, pos_weight)
    expect_alike(name, input, losses, names="the input, and its product with pos_weight,")
    return reduce_losses(weigh(losses, weight, name), reduction, size_average, reduce)


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The mean over classes, the last axis, of w · ``binary_cross_entropy_with_logits``.

    Shapes: input and target (..., C), weight broadcast to it; the losses are (...). Raises
    ShapeError.

    >>> logits, target = tx.asarray([[1000.0, 0.0]]), tx.asarray([[1.0, 0.0]])
    >>> tx.nn.functional.multilabel_soft_margin_loss(logits, target)
    tensor(0.3465736)
    """
    name = "multilabel_soft_margin_loss"
    expect_alike(name, input, target)
    losses = weigh(_binary_cross_entropy_with_logits(input, target), weight, name)
    return reduce_losses(mean(losses, axis=-1), reduction, size_average, reduce)


@composite(real=True, floating=("input", "target"), autocast="float32")
def _kl_div(input, target, /, log_target=False):
    if log_target:
        return exp(target) * (target - input)
    return target * log(where(target == 0, 1.0, target)) - target * input  # 0 · ln 0 = 0


_kl_div.example(lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.1, 1, size=(3, 4))))
_kl_div.example(normal((3, 4), (3, 4), log_target=True))


@typed
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The terms of the divergence of Kullback & Leibler: loss = t (ln t - x), x log-probabilities.

    The target t holds probabilities, or with ``log_target`` their logarithms. Shapes must be equal.
    The divergence of distributions is ``reduction="batchmean"``: the sum of the losses over the
    length of the first axis. "mean" divides by all elements, as in PyTorch. Raises ShapeError,
    ArgumentError. Source: Kullback & Leibler 1951.

    >>> x, t = tx.log(tx.asarray([[0.5, 0.5]])), tx.asarray([[1.0, 0.0]])
    >>> tx.nn.functional.kl_div(x, t, reduction="batchmean")
    tensor(0.6931472)
    """
    expect_alike("kl_div", input, target)
    losses = _kl_div(input, target, log_target=log_target)
    if reduction == "batchmean" and size_average is None and reduce is None:
        return sum(losses) / input.shape[0] if input.ndim else losses
    return reduce_losses(losses, reduction, size_average, reduce)
