"""Losses of class scores; the target is a class, or a probability for each class.

``reduction``: "mean", "sum" or "none"; ``size_average`` and ``reduce`` are its older forms.
"""

import math

from tinyxp.core import dtypes
from tinyxp.core import hints as advice
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.activations import log_softmax
from tinyxp.nn.functional.checks import expect_indices, expect_numbers
from tinyxp.nn.functional.reduction import (
    expect_class_weight,
    expect_plain_mean,
    reduce_losses,
    resolve_reduction,
)
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import uniform
from tinyxp.ops.gathering import take, take_along_axis
from tinyxp.ops.linear import tensordot
from tinyxp.ops.reductions import mean, sum
from tinyxp.ops.shaping import expand_dims, moveaxis, reshape, squeeze

__all__ = ["cross_entropy", "linear_cross_entropy", "nll_loss"]


def _pick(x, targets, valid):
    """x[i, targets[i]], for invalid rows any element: (N, C), (N) -> (N)."""
    places = expand_dims(where(valid, targets, 0), axis=1)
    return squeeze(take_along_axis(x, places, axis=1), axis=1)


def _weights(weight, targets, valid):
    """weight[targets[i]], for invalid rows 0: (C), (N) -> (N)."""
    return where(valid, take(weight, where(valid, targets, 0), axis=0), 0.0)


@composite(real=True, floating=("logits", "weight"), autocast="float32")
def _cross_entropy(
    logits, targets, weight=None, /, *, ignore_index, label_smoothing, reduction="none"
):
    valid = targets != ignore_index
    log_p = log_softmax(logits, dim=1)
    losses = -_pick(log_p, targets, valid)
    if weight is not None:
        losses = _weights(weight, targets, valid) * losses
    if label_smoothing:
        smooth = mean(log_p if weight is None else weight * log_p, axis=1)
        losses = (1 - label_smoothing) * losses - label_smoothing * smooth
    return _reduce_classes(where(valid, losses, 0.0), targets, valid, weight, reduction)


def _scores(ignored, count, weighted=False, **static):
    """An example whose first ``count`` targets are ``ignored``."""

    def make(rng):
        targets = rng.integers(0, 4, size=(5,))
        targets[:count] = ignored
        weights = [rng.uniform(0.5, 2, size=(4,))] if weighted else []
        return rng.normal(size=(5, 4)), targets, *weights, {"ignore_index": ignored} | static

    return make


_cross_entropy.example(_scores(-100, 0, label_smoothing=0.0))
_cross_entropy.example(_scores(-1, 2, label_smoothing=0.1))
_cross_entropy.example(_scores(-1, 1, label_smoothing=0.0, reduction="mean"))
_cross_entropy.example(_scores(-1, 0, label_smoothing=0.1, reduction="sum"))
_cross_entropy.example(_scores(2, 2, weighted=True, label_smoothing=0.1))


@composite(real=True, floating=("logits", "target", "weight"), autocast="float32")
def _soft_cross_entropy(logits, target, weight=None, /, *, label_smoothing):
    log_p = log_softmax(logits, dim=1)
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / logits.shape[1]
    return -sum(target * (log_p if weight is None else weight * log_p), axis=1)


_soft_cross_entropy.example(uniform(0, 2, (5, 4), (5, 4), label_smoothing=0.0))
_soft_cross_entropy.example(uniform(0, 2, (5, 4), (5, 4), (4,), label_smoothing=0.1))


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """loss = -Σ w_c q_c ln softmax(input)_c, the target q a class index or probabilities.

    Shapes: input (N, C) with target (N); or (N, C, d₁, …) with (N, d₁, …); or (C) with (). Targets
    of the input's own shape and a floating dtype are probabilities. ``weight`` (C) holds w, else 1.
    With label smoothing ε, q becomes (1 - ε) q + ε/C. The loss of indices equal to ``ignore_index``
    is 0. The mean for indices divides by the sum of the weights of the others; that for
    probabilities divides by N d₁ …. Raises ShapeError, DTypeError for indices that are not
    integers, IndexingError for a class that does not exist, ArgumentError. Source: Szegedy et al.
    2016, sec. 7 (smoothing).

    >>> logits = tx.asarray([[0.0, 0.0]])
    >>> tx.nn.functional.cross_entropy(logits, tx.asarray([1]))
    tensor(0.6931472)
    >>> tx.nn.functional.cross_entropy(logits, tx.asarray([[0.5, 0.5]]), tx.asarray([1.0, 3.0]))
    tensor(1.3862944)
    """
    expect_numbers("cross_entropy", ignore_index=ignore_index, label_smoothing=label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    expect_tensors("cross_entropy", input, target)
    if input.ndim and input.shape == target.shape:
        return _of_probabilities(
            input, target, weight, ignore_index, label_smoothing, (reduction, size_average, reduce)
        )
    rows, places = _rows("cross_entropy", input, target, weight, ignore_index)
    operands = (rows, places) if weight is None else (rows, places, weight)
    reduction = resolve_reduction(reduction, size_average, reduce)
    expect_plain_mean(reduction, weight, places, ignore_index)
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    loss = _cross_entropy(*operands, **options, reduction=reduction)
    return reshape(loss, target.shape) if reduction == "none" else loss


def _of_probabilities(input, target, weight, ignore_index, label_smoothing, reduction):
    if not dtypes.isdtype(target.dtype, "real floating"):
        raise DTypeError(
            "cross_entropy takes a target of the input's shape for probabilities of a floating "
            f"dtype, got {target.dtype!r}; class indices have no axis of classes (for "
            f"one-hot rows: tx.argmax(target, axis={min(1, input.ndim - 1)}))"
        )
    if ignore_index >= 0:
        raise ArgumentError(f"ignore_index={ignore_index} is for class indices, not probabilities")
    axis = min(1, input.ndim - 1)
    expect_class_weight("cross_entropy", weight, input.shape[axis])
    rows, goals = (_as_rows(x, axis) for x in (input, target))
    losses = _soft_cross_entropy(rows, goals, weight, label_smoothing=label_smoothing)
    return reduce_losses(reshape(losses, input.shape[:axis] + input.shape[axis + 1 :]), *reduction)


@composite(real=True, floating=("log_p", "weight"), autocast="float32")
def _nll_loss(log_p, targets, weight=None, /, *, ignore_index):
    valid = targets != ignore_index
    losses = -_pick(log_p, targets, valid)
    if weight is not None:
        losses = _weights(weight, targets, valid) * losses
    return where(valid, losses, 0.0)


_nll_loss.example(_scores(-100, 1))
_nll_loss.example(_scores(3, 1, weighted=True))


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):
    """loss = -w_t input[t], t the target, of log-probabilities; the rest as in ``cross_entropy``.

    >>> tx.nn.functional.nll_loss(tx.asarray([[-1.0, -2.0]]), tx.asarray([1]))
    tensor(2.)
    """
    expect_numbers("nll_loss", ignore_index=ignore_index)
    rows, places = _rows("nll_loss", input, target, weight, ignore_index)
    losses = _nll_loss(rows, places, weight, ignore_index=ignore_index)
    valid = places != ignore_index
    reduction = resolve_reduction(reduction, size_average, reduce)
    expect_plain_mean(reduction, weight, places, ignore_index)
    loss = _reduce_classes(losses, places, valid, weight, reduction)
    return reshape(loss, target.shape) if reduction == "none" else loss


def _as_rows(x, axis):
    """x with the axis of classes last and the others merged: (N, C, d₁, …) -> (N d₁ …, C)."""
    if x.ndim == 2:
        return x
    x = moveaxis(x, axis, -1)
    return reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _rows(name, input, target, weight, ignore_index):
    """Check scores and targets, and return them as (N, C) and (N)."""
    expect_tensors(name, input, target)
    axis = min(1, input.ndim - 1)
    if input.ndim == 1 and target.shape == (1,):
        target = reshape(target, ())  # PyTorch's other form of the target of one sample
    if input.ndim == 0 or input.shape[:axis] + input.shape[axis + 1 :] != target.shape:
        raise ShapeError(
            f"{name} expects input (N, C) and target (N), or (N, C, d1, ...) and (N, d1, ...), "
            f"or (C) and (); got {input.shape} and {target.shape}"
            f"{advice.for_classes(input.shape, target.shape)}"
        )
    classes = input.shape[axis]
    expect_indices(name, target, classes, "classes", ignore_index)
    expect_class_weight(name, weight, classes)
    if target.dtype is not dtypes.int64:
        target = astype(target, dtypes.int64)  # which can be compared with any ignore_index
    return _as_rows(input, axis), target if target.ndim == 1 else reshape(target, (-1,))


def _reduce_classes(losses, places, valid, weight, reduction):
    if reduction != "mean":
        return reduce_losses(losses, reduction)
    counts = astype(valid, losses.dtype) if weight is None else _weights(weight, places, valid)
    total = sum(counts)
    return sum(losses) / where(total == 0, math.nan, total)  # NaN without any target


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """``cross_entropy`` of the logits input · linear_weightᵀ + linear_bias.

    Shapes: input (N, I), linear_weight (C, d₁, …, I), linear_bias (C, d₁, …), target as for logits
    (N, C, d₁, …); or input (I), linear_weight (C, I). ``options`` choose among
    PyTorch's implementations; they have no effect. Raises what ``cross_entropy`` raises.

    >>> x, w = tx.asarray([[1.0, 2.0]]), tx.zeros((3, 2))
    >>> tx.nn.functional.linear_cross_entropy(x, w, tx.asarray([1]))
    tensor(1.0986123)
    """
    name = "linear_cross_entropy"
    expect_tensors(name, input, linear_weight, target)
    if (
        input.ndim not in (1, 2)
        or linear_weight.ndim < 2
        or input.shape[-1] != linear_weight.shape[-1]
        or (input.ndim == 1 and linear_weight.ndim > 2)
    ):
        raise ShapeError(
            f"{name} expects input (N, I) and linear_weight (C, d1, ..., I), or (I) and (C, I); "
            f"got {input.shape} and {linear_weight.shape}"
        )
    logits = tensordot(input, linear_weight, axes=((-1,), (-1,)))
    if linear_bias is not None:
        expect_tensors(name, linear_bias)
        if linear_bias.shape != linear_weight.shape[:-1]:
            raise ShapeError(
                f"{name} expects linear_bias {linear_weight.shape[:-1]}, got {linear_bias.shape}"
            )
        logits = logits + linear_bias
    if ignore_index is not None and target.shape == logits.shape:
        raise ArgumentError(f"ignore_index={ignore_index} is for class indices, not probabilities")
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
