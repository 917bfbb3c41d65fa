"""Losses: how far predictions are from targets, one number for each or reduced to one.

``reduction``: "mean", "sum" or "none", on all of them.
"""

import math

from tinyxp import dtypes
from tinyxp.backends.errors import ArgumentError, ShapeError
from tinyxp.composite import composite
from tinyxp.nn.functional.activations import log_softmax, softplus
from tinyxp.nn.functional.checks import expect_indices
from tinyxp.operation import expect_tensors
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype
from tinyxp.ops.gathering import take_along_axis
from tinyxp.ops.reductions import mean, sum
from tinyxp.ops.rounding import abs
from tinyxp.ops.shaping import expand_dims, moveaxis, reshape, squeeze
from tinyxp.primitive import primitive

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]

# -- classes ----------------------------------------------------------------------------------


def _picked(x, targets, valid):
    """x[i, targets[i]], and of rows that are not valid any: (N, C), (N) -> (N)."""
    places = expand_dims(where(valid, targets, 0), axis=1)
    return squeeze(take_along_axis(x, places, axis=1), axis=1)


@composite(real=True)
def _cross_entropy(logits, targets, /, *, ignore_index, label_smoothing):
    valid = targets != ignore_index
    log_p = log_softmax(logits, dim=1)
    losses = -_picked(log_p, targets, valid)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * mean(log_p, axis=1)
    return where(valid, losses, 0.0)


@_cross_entropy.example
def _(rng):
    targets = rng.integers(0, 4, size=(5,))
    return rng.normal(size=(5, 4)), targets, {"ignore_index": -100, "label_smoothing": 0.0}


@_cross_entropy.example
def _(rng):
    targets = rng.integers(0, 4, size=(5,))
    targets[1:3] = -1
    return rng.normal(size=(5, 4)), targets, {"ignore_index": -1, "label_smoothing": 0.1}


def cross_entropy(input, target, *, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """loss = -ln softmax(input)[target], the input being logits, the target class indices.

    Shapes: input (N, C) with target (N); or (N, C, d₁, …) with (N, d₁, …); or (C) with (). Targets
    equal to ``ignore_index`` cost nothing, and the mean does not count them. With label smoothing ε
    the target is (1 - ε) · one-hot + ε/C. Raises ShapeError, DTypeError for targets that are not
    integers, IndexingError for a class that does not exist, ArgumentError.
    Source: Szegedy et al. 2016, sec. 7 (smoothing).

    >>> tx.nn.functional.cross_entropy(tx.asarray([[0.0, 0.0]]), tx.asarray([1]))
    tensor(0.6931472)
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing lies in [0, 1], got {label_smoothing}")
    rows, places = _rows("cross_entropy", input, target, ignore_index)
    losses = _cross_entropy(
        rows, places, ignore_index=ignore_index, label_smoothing=label_smoothing
    )
    return _reduce_classes(losses, places != ignore_index, target.shape, reduction)


@composite(real=True)
def _nll_loss(log_p, targets, /, *, ignore_index):
    valid = targets != ignore_index
    return where(valid, -_picked(log_p, targets, valid), 0.0)


@_nll_loss.example
def _(rng):
    targets = rng.integers(0, 4, size=(5,))
    targets[0] = -100
    return rng.normal(size=(5, 4)), targets, {"ignore_index": -100}


def nll_loss(input, target, *, ignore_index=-100, reduction="mean"):
    """loss = -input[target], the input being log-probabilities; otherwise as ``cross_entropy``.

    >>> tx.nn.functional.nll_loss(tx.asarray([[-1.0, -2.0]]), tx.asarray([1]))
    tensor(2.)
    """
    rows, places = _rows("nll_loss", input, target, ignore_index)
    losses = _nll_loss(rows, places, ignore_index=ignore_index)
    return _reduce_classes(losses, places != ignore_index, target.shape, reduction)


def _rows(name, input, target, ignore_index):
    """Scores and targets as (N, C) and (N), after all checks."""
    expect_tensors(name, input, target)
    axis = min(1, input.ndim - 1)
    if input.ndim == 0 or input.shape[:axis] + input.shape[axis + 1 :] != target.shape:
        raise ShapeError(
            f"{name} expects input (N, C) and target (N), or (N, C, d1, ...) and (N, d1, ...), "
            f"or (C) and (); got {input.shape} and {target.shape}"
        )
    classes = input.shape[axis]
    expect_indices(name, target, classes, "classes", ignore_index)
    if input.ndim != 2:
        input = reshape(moveaxis(input, axis, -1), (target.size, classes))
    places = astype(target, dtypes.int64, copy=False)  # so that it can meet any ignore_index
    return input, reshape(places, (-1,))


def _reduce_classes(losses, valid, shape, reduction):
    if reduction == "mean":
        count = sum(astype(valid, losses.dtype))
        return sum(losses) / where(count > 0, count, math.nan)  # no target at all: NaN, in silence
    return _reduce(reshape(losses, shape), reduction)


def _reduce(losses, reduction):
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")


# -- numbers ----------------------------------------------------------------------------------


def _expect_alike(name, input, target):
    expect_tensors(name, input, target)
    if input.shape != target.shape:
        raise ShapeError(
            f"{name} expects input and target of one shape, got {input.shape} and {target.shape}; "
            "they are not broadcast, so squeeze or reshape one to the other"
        )


@composite(real=True)
def _mse_loss(input, target, /):
    difference = input - target
    return difference * difference


@composite
def _l1_loss(input, target, /):
    return abs(input - target)


@_mse_loss.example
@_l1_loss.example
def _(rng):
    return rng.permutation(12).reshape(3, 4) * 1.0, rng.permutation(12).reshape(3, 4) + 0.5


def mse_loss(input, target, *, reduction="mean"):
    """loss = (input - target)². Shapes must be equal; raises ShapeError.

    >>> tx.nn.functional.mse_loss(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(2.)
    """
    _expect_alike("mse_loss", input, target)
    return _reduce(_mse_loss(input, target), reduction)


def l1_loss(input, target, *, reduction="mean"):
    """loss = |input - target|. Shapes must be equal; raises ShapeError.

    >>> tx.nn.functional.l1_loss(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(1.)
    """
    _expect_alike("l1_loss", input, target)
    return _reduce(_l1_loss(input, target), reduction)


# -- probabilities ----------------------------------------------------------------------------


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


@_binary_cross_entropy.vjp(1)
def _(xp, g, p):
    return g * (_log_rest(xp, p) - _log(xp, p))


@_binary_cross_entropy.example
def _(rng):
    return rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4))


def binary_cross_entropy(input, target, *, reduction="mean"):
    """loss = -(target · ln p + (1 - target) · ln(1 - p)), the input p in [0, 1].

    Logarithms are held above -100, and the gradient's divisor p (1 - p) above 1e-12, as in PyTorch.
    Raises ShapeError unless shapes are equal, ArgumentError for p outside of [0, 1].

    >>> tx.nn.functional.binary_cross_entropy(tx.asarray([0.5, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """
    _expect_alike("binary_cross_entropy", input, target)
    xp = input.backend.xp
    if not bool(xp.all((input.data >= 0) & (input.data <= 1))):
        raise ArgumentError(
            "binary_cross_entropy expects probabilities in [0, 1]; "
            "for logits use binary_cross_entropy_with_logits"
        )
    return _reduce(_binary_cross_entropy(input, target), reduction)


@composite(real=True)
def _binary_cross_entropy_with_logits(input, target, /):
    return (1 - target) * input + softplus(-input)


@_binary_cross_entropy_with_logits.example
def _(rng):
    return rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))


def binary_cross_entropy_with_logits(input, target, *, reduction="mean"):
    """loss = (1 - target) · x + ln(1 + e⁻ˣ), which is ``binary_cross_entropy(sigmoid(x), target)``.

    Exact for logits x of any size. Raises ShapeError unless shapes are equal.

    >>> logits, target = tx.asarray([1000.0, 0.0]), tx.asarray([1.0, 0.0])
    >>> tx.nn.functional.binary_cross_entropy_with_logits(logits, target)
    tensor(0.3465736)
    """
    _expect_alike("binary_cross_entropy_with_logits", input, target)
    return _reduce(_binary_cross_entropy_with_logits(input, target), reduction)
