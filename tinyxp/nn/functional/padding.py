"""Padding by a constant, or by the elements of the tensor."""

import operator

import numpy as np

from tinyxp import backends
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.ops import padding
from tinyxp.ops.creation import asarray
from tinyxp.ops.gathering import take

__all__ = ["pad"]


@typed
def pad(input, pad, mode="constant", value=None):
    """Pad x; a negative width removes elements.

    ``pad`` is (before, after) of the last axis, then of the one before it, and so on. Modes, for
    a b c d with the padding (2, 2):

    ===========  ===================  =========================================
    "constant"   v v a b c d v v      v = ``value``, 0 if None; any axes
    "reflect"    c b a b c d c b      less than the length of the axis
    "replicate"  a a a b c d d d
    "circular"   c d a b c d a b      at most the length of the axis
    ===========  ===================  =========================================

    All but "constant" pad the last k = 1, 2 or 3 axes of an input with k + 1 or k + 2 axes.
    Raises ShapeError, ArgumentError, DTypeError.

    >>> x = tx.asarray([[1, 2, 3]])
    >>> tx.nn.functional.pad(x, (1, 2)), tx.nn.functional.pad(x, (1, 2), "reflect")
    (tensor([[0, 1, 2, 3, 0, 0]]), tensor([[2, 1, 2, 3, 2, 1]]))
    """
    margins = _margins(input, pad)
    if mode == "constant":
        return _constant(input, margins, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(
            f"pad expects mode 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}"
        )
    if value is not None and value != 0:
        raise ArgumentError(f"pad with mode {mode!r} takes no value, got {value}")
    k = len(margins)
    if k not in (1, 2, 3) or input.ndim not in (k + 1, k + 2):
        raise ShapeError(
            f"pad with mode {mode!r} pads the last 1, 2 or 3 axes of an input with one or two "
            f"axes more, got {k} pairs of margins and shape {input.shape}"
        )
    for axis, margin in margins.items():
        found = _places(mode, margin, input.shape[axis])
        if margin != (0, 0):
            with backends.using(input.backend):
                places = asarray(found, device=input.device)
            input = take(input, places, axis=axis)
    return input


def _margins(input, pad):
    """{axis: (before, after)}, after the checks for all modes."""
    expect_tensors("pad", input)
    if not isinstance(pad, (tuple, list)) or not all(hasattr(n, "__index__") for n in pad):
        raise DTypeError(f"pad expects a tuple of integers, got {pad!r}")
    pad = tuple(map(operator.index, pad))
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(
            f"pad expects pairs (before, after), at most one for each of {input.ndim} axes, "
            f"got {pad}"
        )
    return {input.ndim - 1 - i: pad[2 * i : 2 * i + 2] for i in range(len(pad) // 2)}


def _constant(x, margins, value):
    every = [margins.get(axis, (0, 0)) for axis in range(x.ndim)]
    if any(n < 0 for pair in every for n in pair):
        kept = [_kept(pair, n) for pair, n in zip(every, x.shape, strict=True)]
        if any(start > stop for start, stop in kept):
            raise ShapeError(f"pad by {every} removes more elements than the shape {x.shape} has")
        x = x[tuple(slice(*bounds) for bounds in kept)]
        every = [(max(before, 0), max(after, 0)) for before, after in every]
    return padding.pad(x, tuple(every), constant_values=value)


def _kept(margin, n):
    """The begin and end of the remaining part of an axis."""
    return max(-margin[0], 0), n - max(-margin[1], 0)


def _places(mode, margin, n):
    """The position in an axis of length n of each element of the padded axis."""
    before, after = margin
    start, stop = _kept(margin, n)
    if mode == "circular":
        if max(before, after) > max(stop - start, 0):
            raise ShapeError(f"pad with mode 'circular' by {margin} exceeds an axis of length {n}")
    elif n + before + after < 1 or n == 0 or (mode == "reflect" and max(before, after) >= n):
        raise ShapeError(
            f"pad with mode {mode!r} by {margin} does not fit an axis of length {n}; "
            "at least one element must remain, and a reflected padding be shorter than the axis"
        )
    places = np.arange(-before, n + after)
    if mode == "reflect":
        return (n - 1) - abs((n - 1) - abs(places))
    if mode == "replicate":
        return np.clip(places, 0, n - 1)
    return start + (places - start) % max(stop - start, 1)
