"""Hints for errors about shapes: what would fit. They are computed only once an error is raised.

Each function takes shapes and returns a clause, ``"; …"``, or nothing where it has no hint.
"""

import math
from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]


def for_features(shape: Shape, features: int, layer: str = "") -> str:
    """For x of a shape whose last axis should have ``features``.

    >>> from tinyxp.core import hints
    >>> hints.for_features((8, 16, 5, 5), 400)
    '; flatten it first: x.flatten(1) gives (8, 400)'
    """
    for axis in range(1, len(shape)):
        if math.prod(shape[axis:]) == features and axis < len(shape) - 1:
            flat = (*shape[:axis], features)
            return f"; flatten it first: x.flatten({axis}) gives {flat}"
    if features in shape[:-1]:
        axis = shape.index(features)
        return f"; axis {axis} has {features}: tx.moveaxis(x, {axis}, -1) makes it the last"
    if len(shape) > 3:  # probably images
        return f"; x.flatten(1) would give it {math.prod(shape[1:])} features"
    return f"; with this x it would have to be {layer}" if layer else ""


def for_matmul(a: Shape, b: Shape) -> str:
    """For a @ b: a transposed operand, or leading axes that do not broadcast."""
    if len(a) > 1 and len(b) > 1 and a[-1] == b[-2]:
        problem = broadcast(a[:-2], b[:-2])
        return (
            f"; the leading axes {a[:-2]} and {b[:-2]} do not broadcast: {problem}"
            if problem
            else ""
        )
    if len(b) > 1 and a[-1] == b[-1]:
        turned = (*b[:-2], b[-1], b[-2])
        return f"; with the second transposed it fits: x1 @ x2.mT, {a} @ {turned}"
    if len(a) > 1 and len(b) > 1 and a[-2] == b[-2]:
        turned = (*a[:-2], a[-1], a[-2])
        return f"; with the first transposed it fits: x1.mT @ x2, {turned} @ {b}"
    return ""


def broadcast(*shapes: Shape) -> str | None:
    """Which axis keeps shapes from broadcasting, and what would let them; None if nothing does."""
    for axis in range(1, 1 + max(map(len, shapes), default=0)):
        lengths = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(lengths) > 1:
            a, b = sorted(lengths)[:2]
            return (
                f"axis -{axis} is {a} in one and {b} in the other; they must be equal, or one be 1"
                f"{_broadcast_advice(shapes)}"
            )
    return None


def _broadcast_advice(shapes: Sequence[Shape]) -> str:
    if len(shapes) != 2:
        return ""
    short, long = sorted(shapes, key=len)
    n = len(short)
    if 0 < n < len(long):
        for start in range(len(long) - n):
            if long[start : start + n] == short:  # short matches earlier axes of long
                new = len(long) - n - start
                to = (*short, *(1,) * new)
                return f"; to lie along axis {start}, reshape {short} to {to}"
    if n == len(long) == 2 and short == long[::-1]:
        return "; with one of them transposed, x.T, they are equal"
    return ""


def for_channels(shape: Shape, channels: int, spatial: int) -> str:
    """For a batch of images whose channel axis is not where a convolution expects it."""
    if len(shape) == spatial and channels == 1:
        return "; add a channel axis: tx.expand_dims(x, axis=0)"
    if len(shape) == spatial + 1 and shape[0] != channels and channels == 1:
        return "; add a channel axis: tx.expand_dims(x, axis=1)"
    if shape and shape[-1] == channels:
        to = len(shape) - spatial - 1
        return f"; the channels seem to be last: tx.moveaxis(x, -1, {to}) moves them to axis {to}"
    return ""


def for_classes(scores: Shape, target: Shape) -> str:
    """For scores (N, C, …) beside class numbers (N, …)."""
    if target and target[-1] == 1 and target[:-1] == scores[:1]:
        return "; remove the last axis of the target: target.squeeze(-1)"
    if len(scores) > 2 and scores[:-1] == target:
        return "; the classes seem to be last: tx.moveaxis(scores, -1, 1)"
    if scores and target and scores[0] != target[0]:
        return f"; there are {scores[0]} samples, and {target[0]} targets"
    return ""


def for_reshape(size: int, shape: Any) -> str | None:
    """For ``size`` elements that do not fill a shape."""
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if not all(isinstance(n, int) for n in shape):
        return None
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape:
        return f"{size} elements are not a multiple of {known}"
    fitting = [
        (*shape[:i], -1, *shape[i + 1 :])
        for i, n in enumerate(shape)
        if n and known and size % (known // n) == 0
    ]
    hint = f"; {fitting[0]} would fit" if fitting else ""
    return f"{size} elements do not fill {shape}, which takes {known}{hint}"


def for_concat(shapes: Sequence[Shape], axis: int) -> str | None:
    """For tensors that cannot be joined along an axis: the first one that differs."""
    first = shapes[0]
    for i, shape in enumerate(shapes):
        if len(shape) != len(first):
            return (
                f"operand {i} has {len(shape)} axes, operand 0 has {len(first)}; all need the same "
                "number"
            )
        for k, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and k != axis % len(first):
                other = [j for j in range(len(first)) if j != k and first[j] != shape[j]]
                hint = "" if other else f"; with axis={k} they could be joined"
                return f"axis {k} is {a} in operand 0 and {b} in operand {i}{hint}"
    return None


def for_axes(axes: Sequence[int], ndim: int) -> str:
    """For ``permute_dims``."""
    return f"it takes each of the {ndim} axes once, such as {tuple(range(ndim))[::-1]}, got {axes}"
