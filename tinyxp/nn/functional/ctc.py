"""Connectionist temporal classification: the probability of all alignments of a target."""

import math

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import foreign_errors, typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.activations import log_softmax
from tinyxp.nn.functional.checks import expect_indices
from tinyxp.nn.functional.reduction import reduce_losses, resolve_reduction
from tinyxp.ops.arithmetic import logaddexp, where
from tinyxp.ops.creation import asarray, astype, full_like
from tinyxp.ops.gathering import take, take_along_axis
from tinyxp.ops.padding import pad
from tinyxp.ops.parts import _unstack
from tinyxp.ops.reductions import all, mean
from tinyxp.ops.regular import arange
from tinyxp.ops.shaping import expand_dims, reshape, squeeze, stack

__all__ = ["ctc_loss"]


@composite(real=True, floating=("log_probs",), autocast="float32")
def _ctc_loss(log_probs, targets, input_lengths, target_lengths, /, blank=0):
    """-ln Σ over all alignments, by the forward variables α of Graves et al., eq. 5-8."""
    n = targets.shape[0]
    # the states: a blank, label 1, a blank, label 2, …, a blank
    labels = reshape(stack([full_like(targets, blank), targets], axis=2), (n, -1))
    labels = pad(labels, ((0, 0), (0, 1)), constant_values=blank)
    states = arange(labels.shape[1], device=labels.device)
    # a blank is optional between two different labels
    skips = (labels != blank) & (
        labels != pad(labels, ((0, 0), (2, 0)), constant_values=blank)[:, :-2]
    )
    emitted = take_along_axis(log_probs, expand_dims(labels, axis=0), axis=2)
    ends = expand_dims(2 * target_lengths, axis=1)
    lengths = expand_dims(input_lengths, axis=1)
    nothing = full_like(labels, -math.inf, dtype=log_probs.dtype)  # ln 0
    alpha = where(states == 0, 0.0, nothing)  # before time 0
    for t, p in enumerate(_unstack(emitted)):
        before = pad(alpha, ((0, 0), (2, 0)), constant_values=-math.inf)
        reached = logaddexp(alpha, before[:, 1:-1])
        reached = logaddexp(reached, where(skips, before[:, :-2], -math.inf))
        alpha = where(t < lengths, reached + p, alpha)
    last = take_along_axis(alpha, ends, axis=1)  # the last blank, or the last label
    label = take_along_axis(alpha, where(ends > 0, ends - 1, 0), axis=1)
    losses = squeeze(-logaddexp(last, where(ends > 0, label, -math.inf)), axis=1)
    return where(losses == math.inf, math.inf, losses)  # without an alignment there is no gradient


@_ctc_loss.example
def _(rng):
    targets = np.asarray([[2, 1], [1, 1]])  # the second needs a blank between
    return rng.normal(size=(4, 2, 3)), targets, np.asarray([3, 4]), np.asarray([2, 2])


@_ctc_loss.example
def _(rng):
    targets, lengths = np.asarray([[0, 1], [1, 0], [0, 0]]), np.asarray([[3, 2, 3], [2, 1, 0]])
    return rng.normal(size=(3, 3, 3)), targets, *lengths, {"blank": 2}


@typed
def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """loss = -ln Σ Π_t p_t(π_t) over all π that equal the target without repetitions and blanks.

    Shapes: log_probs (T, N, C), of probabilities as from ``log_softmax``; targets (N, S), or
    concatenated, (Σ target_lengths); lengths (N), as tensors or tuples. Or without N: (T, C), (S),
    (), (). The loss of a target without an alignment is inf, or 0 with ``zero_infinity``, and its
    gradient is 0. The mean is that of loss / target length. ``log_probs`` are normalized again,
    which does not change log-probabilities, so the gradient is that of the scores before
    ``log_softmax``, as in PyTorch.
    Raises ShapeError, DTypeError, IndexingError, ArgumentError. Source: Graves et al. 2006, sec. 4.

    >>> log_probs = tx.log(tx.asarray([[0.5, 0.5], [0.5, 0.5]]))  # 01, 10, 11 are right
    >>> tx.nn.functional.ctc_loss(log_probs, tx.asarray([1]), (2,), (1,))
    tensor(0.2876821)
    """
    name = "ctc_loss"
    reduction = resolve_reduction(reduction)
    expect_tensors(name, log_probs, targets)
    if log_probs.ndim not in (2, 3):
        raise ShapeError(f"{name} expects log_probs (T, N, C) or (T, C), got {log_probs.shape}")
    batched = log_probs.ndim == 3
    log_probs = log_probs if batched else expand_dims(log_probs, axis=1)
    longest, n, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"{name} expects blank in [0, {classes}), got {blank}")
    frames = _lengths("input_lengths", input_lengths, n, longest)
    sizes = _lengths("target_lengths", target_lengths, n, targets.size)
    with backends.using(log_probs.backend):
        frames, counts = (
            asarray(x, dtype=dtypes.int64, device=log_probs.device) for x in (frames, sizes)
        )
        targets = _pad_targets(targets, sizes, n)
        inside = arange(targets.shape[1], device=targets.device) < expand_dims(counts, axis=1)
    targets = where(inside, targets, blank)  # the padding is not checked
    expect_indices(name, targets, classes, "classes")
    # a time at which all probabilities are 0 has no softmax, and no target has an alignment
    nothing = all(log_probs == -math.inf, axis=2, keepdims=True)
    normalised = log_softmax(where(nothing, 0.0, log_probs), dim=2)
    log_probs = where(nothing, -math.inf, normalised)
    losses = _ctc_loss(log_probs, targets, frames, counts, blank=blank)
    if zero_infinity:
        losses = where(losses == math.inf, 0.0, losses)
    if reduction == "mean":
        return mean(losses / astype(where(counts > 0, counts, 1), losses.dtype))
    return reduce_losses(losses if batched else squeeze(losses, axis=0), reduction)


def _lengths(what, value, n, most):
    """Convert lengths, a tensor, integers or one integer, to an array (n)."""
    with foreign_errors("ctc_loss", what):
        lengths = np.asarray(value.tolist() if isinstance(value, Tensor) else value)
    if lengths.size and lengths.dtype.kind not in "iu":
        raise DTypeError(f"ctc_loss expects {what} to be integers, got {lengths.dtype}")
    if lengths.size != n or lengths.ndim > 1:
        raise ShapeError(f"ctc_loss expects {what} ({n},), got {lengths.shape}")
    wrong = lengths[(lengths < 0) | (lengths > most)]
    if wrong.size:
        raise ArgumentError(f"ctc_loss expects {what} between 0 and {most}, got {int(wrong[0])}")
    return lengths.reshape(n).astype(np.int64)


def _pad_targets(targets, sizes, n):
    """Convert targets, (N, S) or concatenated, to (N, S)."""
    if not dtypes.isdtype(targets.dtype, "integral"):
        raise DTypeError(f"ctc_loss expects targets of an integer dtype, got {targets.dtype!r}")
    targets = astype(targets, dtypes.int64, copy=False)
    if targets.ndim == 2 and targets.shape[0] == n and max(sizes, default=0) <= targets.shape[1]:
        return targets
    if targets.ndim != 1 or targets.size != sizes.sum():
        raise ShapeError(
            f"ctc_loss expects targets ({n}, S) with S of at least {max(sizes, default=0)}, or "
            f"concatenated ({sizes.sum()},), got {targets.shape}"
        )
    width = max(sizes, default=0)
    if width == 0:
        return reshape(targets, (n, 0))
    places = np.cumsum(sizes)[:, None] - sizes[:, None] + np.arange(width)
    places = asarray(np.minimum(places, targets.size - 1), device=targets.device)
    return take(targets, places, axis=0)
