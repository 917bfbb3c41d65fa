"""Losses with a margin between right and wrong scores, or between distances.

``reduction``: "mean", "sum" or "none"; ``size_average`` and ``reduce`` are its older forms.
"""

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_callable, expect_tensors, floats
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.activations import logsigmoid
from tinyxp.nn.functional.checks import expect_indices, expect_numbers
from tinyxp.nn.functional.distances import pairwise_distance
from tinyxp.nn.functional.reduction import (
    expect_alike,
    expect_class_weight,
    reduce_losses,
    resolve_reduction,
)
from tinyxp.ops.arithmetic import where
from tinyxp.ops.bounds import minimum
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal
from tinyxp.ops.exponential import sqrt
from tinyxp.ops.gathering import take, take_along_axis
from tinyxp.ops.reductions import any, sum
from tinyxp.ops.regular import arange
from tinyxp.ops.scans import cumulative_prod
from tinyxp.ops.shaping import expand_dims, reshape

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


def _hinge(x):
    """max(x, 0), with gradient 1 at 0: a margin that is exactly met still has a gradient."""
    return where(x < 0, 0.0, x)


# -- pairs ------------------------------------------------------------------------------------


@composite(real=True, floating=("input", "target"), autocast="float32")
def _hinge_embedding_loss(input, target, /, margin=1.0):
    return where(target == -1, 0.0, input) + where(target == 1, 0.0, _hinge(margin - input))


@_hinge_embedding_loss.example
def _(rng):
    input = rng.permutation(12).reshape(3, 4) / 4.0
    return input, rng.integers(0, 2, size=(3, 4)) * 2 - 1, {"margin": 1.4}


def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """loss = x where the target is 1, max(0, margin - x) where it is -1; x is often a distance.

    Shapes must be equal; raises ShapeError. Source: Hadsell et al. 2006.

    >>> x, target = tx.asarray([0.5, 0.5, 3.0]), tx.asarray([1, -1, -1])
    >>> tx.nn.functional.hinge_embedding_loss(x, target, reduction="none")
    tensor([0.5, 0.5, 0. ])
    """
    expect_alike("hinge_embedding_loss", input, target)
    losses = _hinge_embedding_loss(input, target, margin=margin)
    return reduce_losses(losses, reduction, size_average, reduce)


@composite(real=True, floating=("input1", "input2", "target"), autocast="float32")
def _margin_ranking_loss(input1, input2, target, /, margin=0.0):
    return _hinge(margin - target * (input1 - input2))


@_margin_ranking_loss.example
def _(rng):
    input1, input2 = rng.permutation(12).reshape(3, 4) * 1.0, rng.permutation(12).reshape(3, 4)
    return input1, input2 + 0.5, rng.uniform(0.5, 1, size=(3, 4)), {"margin": 0.1}


def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """loss = max(0, margin - target · (input1 - input2)): 1 ranks input1 higher, -1 lower.

    Shapes must be equal; raises ShapeError. Source: Herbrich et al. 1999.

    >>> higher, lower, target = tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([1])
    >>> tx.nn.functional.margin_ranking_loss(higher, lower, target, margin=0.5)
    tensor(2.5)
    """
    names = "input1, input2 and target"
    expect_alike("margin_ranking_loss", input1, input2, target, names=names)
    losses = _margin_ranking_loss(input1, input2, target, margin=margin)
    return reduce_losses(losses, reduction, size_average, reduce)


@composite(real=True, floating=("input", "target"), autocast="float32")
def _soft_margin_loss(input, target, /):
    return -logsigmoid(target * input)


_soft_margin_loss.example(normal((3, 4), (3, 4)))


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """loss = ln(1 + e^(-target · x)), exact for x of any size; the target is 1 or -1.

    Shapes must be equal; raises ShapeError.

    >>> tx.nn.functional.soft_margin_loss(tx.asarray([0.0, -1000.0]), tx.asarray([1, -1]))
    tensor(0.3465736)
    """
    expect_alike("soft_margin_loss", input, target)
    return reduce_losses(_soft_margin_loss(input, target), reduction, size_average, reduce)


def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """loss = 1 - c where the target is 1, max(0, c - margin) where it is -1, 0 elsewhere.

    c = x · y / √((x · x + ε) (y · y + ε)), the cosine of x = input1 and y = input2; ε = 1e-12,
    as in PyTorch. Shapes: input1 and input2 (N, D), target (N); or (D), (D) and ().
    Raises ShapeError.

    >>> x, y = tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]])
    >>> tx.nn.functional.cosine_embedding_loss(x, y, tx.asarray([-1]), margin=0.5)
    tensor(0.3)
    """
    expect_alike("cosine_embedding_loss", input1, input2, names="input1 and input2")
    expect_tensors("cosine_embedding_loss", target)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ShapeError(
            "cosine_embedding_loss expects inputs (N, D) and target (N), or (D) and (); "
            f"got {input1.shape} and {target.shape}"
        )
    input1, input2 = floats(input1, input2)
    product, *squares = (
        sum(x * y, axis=-1) for x, y in ((input1, input2), (input1, input1), (input2, input2))
    )
    epsilon = 9.999999960041972e-13  # the float32 next to 1e-12, as in PyTorch
    cosine = product / sqrt((squares[0] + epsilon) * (squares[1] + epsilon))
    losses = where(target == 1, 1 - cosine, 0.0) + where(target == -1, _hinge(cosine - margin), 0.0)
    return reduce_losses(losses, reduction, size_average, reduce)


# -- triplets ---------------------------------------------------------------------------------


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """loss = max(0, margin + d(anchor, positive) - d(anchor, negative)), d ``pairwise_distance``.

    With ``swap``, d(positive, negative) replaces the last distance where it is smaller. Shapes:
    all (N, D), or all (D). Raises ShapeError, ArgumentError unless the margin is above 0.
    Source: Balntas et al. 2016, sec. 3.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> tx.nn.functional.triplet_margin_loss(a, p, n, eps=0.0)
    tensor(3.)
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x1, x2: pairwise_distance(x1, x2, p, eps),
        margin=margin,
        swap=swap,
        reduction=resolve_reduction(reduction, size_average, reduce),
    )


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """``triplet_margin_loss`` with any distance: a function (N, ...), (N, ...) -> (N).

    None means ``pairwise_distance``. Raises as ``triplet_margin_loss`` does.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> far = lambda x1, x2: tx.max(tx.abs(x1 - x2), axis=-1)
    >>> tx.nn.functional.triplet_margin_with_distance_loss(a, p, n, distance_function=far)
    tensor(2.)
    """
    names = "anchor, positive and negative"
    expect_alike("triplet_margin_loss", anchor, positive, negative, names=names)
    expect_numbers("triplet_margin_loss", margin=margin)
    if not margin > 0:
        raise ArgumentError(f"triplet_margin_loss expects a margin above 0, got {margin}")
    reduction = resolve_reduction(reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    expect_callable("triplet_margin_loss", distance)
    if not isinstance(swap, (bool, int)):
        raise DTypeError(f"triplet_margin_loss: swap is True or False, got {swap!r}")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduce_losses(_hinge(margin + near - far), reduction)


# -- classes ----------------------------------------------------------------------------------


@composite(real=True, floating=("input", "weight"), autocast="float32")
def _multi_margin_loss(input, target, weight=None, /, p=1, margin=1.0):
    places = expand_dims(target, axis=1)
    gap = margin - take_along_axis(input, places, axis=1) + input
    others = arange(input.shape[1], device=input.device) != places
    loss = where(others & ~(gap <= 0), gap if p == 1 else gap * gap, 0.0)  # a NaN stays
    if weight is not None:
        loss = expand_dims(take(weight, target, axis=0), axis=1) * loss
    return sum(loss, axis=1) / input.shape[1]


@_multi_margin_loss.example
def _(rng):
    input = rng.permutation(12).reshape(3, 4) * 0.5
    return input, rng.integers(0, 4, size=(3,)), {"margin": 1.3}


@_multi_margin_loss.example
def _(rng):
    input, target = rng.permutation(12).reshape(3, 4) * 0.5, rng.integers(0, 4, size=(3,))
    return input, target, rng.uniform(0.5, 2, size=(4,)), {"p": 2, "margin": 1.3}


@typed
def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """loss = Σ w_t max(0, margin - x_t + x_c)ᵖ / C over all classes c but the target t.

    Shapes: input (N, C) with target (N), or (C) with (); weight (C). Raises ShapeError,
    DTypeError, IndexingError, ArgumentError unless p is 1 or 2. Source: Crammer & Singer 2001.

    >>> tx.nn.functional.multi_margin_loss(tx.asarray([[1.0, 0.5]]), tx.asarray([0]))
    tensor(0.25)
    """
    name = "multi_margin_loss"
    rows, targets, shape = _classes(name, input, target)
    if p not in (1, 2):
        raise ArgumentError(f"{name} expects p = 1 or p = 2, got {p}")
    if target.size != rows.shape[0] or target.ndim > 1:
        raise ShapeError(
            f"{name} expects input (N, C) and target (N), or (C) and (); "
            f"got {input.shape} and {target.shape}"
        )
    expect_indices(name, target, rows.shape[1], "classes")
    expect_class_weight(name, weight, rows.shape[1])
    targets = reshape(targets, (rows.shape[0],))
    losses = _multi_margin_loss(rows, targets, weight, p=p, margin=margin)
    return reduce_losses(reshape(losses, shape), reduction, size_average, reduce)


@composite(real=True, floating=("input",), autocast="float32")
def _multilabel_margin_loss(input, target, /):
    listed = cumulative_prod(astype(target >= 0, dtypes.int64), axis=1) > 0  # up to the first -1
    places = where(listed, target, 0)
    classes = arange(input.shape[1], device=input.device)
    right = any(expand_dims(listed, axis=2) & (expand_dims(places, axis=2) == classes), axis=1)
    gap = (
        1 - expand_dims(take_along_axis(input, places, axis=1), axis=2) + expand_dims(input, axis=1)
    )
    counted = expand_dims(listed, axis=2) & ~expand_dims(right, axis=1) & ~(gap <= 0)
    return sum(where(counted, gap, 0.0), axis=(1, 2)) / input.shape[1]


_multilabel_margin_loss.example(
    lambda rng: (rng.normal(size=(3, 4)), rng.permuted([[0, 1, 2, -1]] * 3, axis=1))
)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """loss = Σ max(0, 1 - x_t + x_c) / C over all right classes t and all wrong ones c.

    Shapes: input and target (N, C), or (C). A row of the target lists the right classes, up to
    the first -1. Raises ShapeError, DTypeError, IndexingError.

    >>> x, target = tx.asarray([[0.1, 0.2, 0.4, 0.8]]), tx.asarray([[3, 0, -1, 1]])
    >>> tx.nn.functional.multilabel_margin_loss(x, target)
    tensor(0.85)
    """
    name = "multilabel_margin_loss"
    rows, targets, shape = _classes(name, input, target)
    expect_alike(name, input, target)
    expect_indices(name, target, rows.shape[1], "classes", -1)
    losses = _multilabel_margin_loss(rows, reshape(targets, rows.shape))
    return reduce_losses(reshape(losses, shape), reduction, size_average, reduce)


def _classes(name, input, target):
    """Return the scores as (N, C), the targets as int64, and the shape of the losses."""
    expect_tensors(name, input, target)
    if input.ndim > 2 or 0 in input.shape[-1:]:
        raise ShapeError(f"{name} expects input (N, C) or (C), C not 0, got {input.shape}")
    if not dtypes.isdtype(target.dtype, "integral"):
        raise DTypeError(f"{name} expects targets of an integer dtype, got {target.dtype!r}")
    shape = input.shape[:-1]
    rows = input if input.ndim == 2 else reshape(input, (1, max(1, input.size)))
    return rows, astype(target, dtypes.int64, copy=False), shape
