"""Norms of vectors and of matrices; they are real. Integers become float32 first."""

import math

from tinyxp.core.composite import composite
from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError
from tinyxp.linalg.common import expect_matrices, to_floating
from tinyxp.linalg.spectra import svdvals
from tinyxp.ops.arithmetic import where
from tinyxp.ops.complexes import conj
from tinyxp.ops.examples import normal
from tinyxp.ops.logic import isnan
from tinyxp.ops.reductions import any as any_of
from tinyxp.ops.reductions import max as largest
from tinyxp.ops.reductions import min as smallest
from tinyxp.ops.reductions import sum
from tinyxp.ops.rounding import abs
from tinyxp.ops.shaping import expand_dims, expect_axes, normalize_axes

__all__ = ["matrix_norm", "vector_norm"]


@primitive
def _length(xp, x, /, axis=None, keepdims=False):
    """√Σ |x|²."""
    expect_axes(x, axis)
    size = xp.abs(x)
    return xp.sqrt(xp.sum(size * size, axis=axis, keepdims=keepdims))


@_length.vjp
def _(xp, g, x, y, axis, keepdims):
    if not keepdims:
        axes = normalize_axes(axis, len(x.shape))
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        g, y = xp.reshape(g, shape), xp.reshape(y, shape)
    zero = y == 0  # and so x = 0
    return conj.on(xp, x) * (g / xp.where(zero, 1.0, y))


_length.example(normal((2, 3)))
_length.example(normal((3, 2, 2), axis=(0, -1), keepdims=True))
_length.example(normal((3, 2), axis=1))


@composite(autocast="float32")
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """y = (Σ |x|^p)^(1/p) with p = ``ord``, over ``axis`` (one, several, or None for all).

    In the limits, inf and -inf give the largest and the smallest |x|, and 0 the number of x that
    are not 0. The gradient is 0 where the norm is 0, and at each x that is 0; equal largest
    elements share theirs. Raises ArgumentError, AxisError.

    >>> tx.linalg.vector_norm(tx.asarray([3.0, -4.0]))
    tensor(5.)
    """
    if isinstance(ord, str) or not hasattr(ord, "__float__") or math.isnan(ord):
        raise ArgumentError(f"vector_norm expects a number as ord, got {ord!r}")
    x = to_floating(x)
    over = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        return _length(x, axis, keepdims)
    size = abs(x)
    if ord == math.inf:
        return largest(size, **over)
    if ord == -math.inf:
        return smallest(size, **over)
    if ord == 1:
        return sum(size, **over)
    if ord == 0:
        return sum(where(x != 0, 1.0, size), **over)
    zero = size == 0
    size = where(zero, 1.0, size)
    powers = where(zero, 0.0, size**ord) if ord > 0 else size**ord
    total = sum(powers, **over)
    vanishes = any_of(zero, **over) & ~isnan(total) if ord < 0 else total == 0  # or an underflow
    return where(vanishes, 0.0, where(vanishes, 1.0, total) ** (1 / ord))


vector_norm.example(normal((2, 3)))
vector_norm.example(normal((3, 2, 2), axis=(0, -1), keepdims=True, ord=3))
vector_norm.example(normal((3, 4), axis=1, ord=1))
vector_norm.example(normal((3, 4), axis=0, ord=-1.5))
vector_norm.example(normal((3, 4), axis=0, ord=0.5))
vector_norm.example(normal((3, 4), ord=0, axis=1))
vector_norm.example(normal((3, 4), ord=math.inf, axis=1))
vector_norm.example(normal((3, 4), ord=-math.inf))


@composite(autocast="float32")
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """The norm ``ord`` of each matrix: (..., m, n) -> (...), or (..., 1, 1) with ``keepdims``.

    =========  ====================================  ========  ==========================
    ord                                              ord
    =========  ====================================  ========  ==========================
    "fro"      √Σ |x|²                               "nuc"     Σ singular values
    1, -1      largest, smallest column sum of |x|   2, -2     largest, smallest of them
    inf, -inf  largest, smallest row sum of |x|
    =========  ====================================  ========  ==========================

    Equal largest sums share the gradient. Raises ShapeError, ArgumentError.

    >>> tx.linalg.matrix_norm(tx.asarray([[1.0, -2.0], [2.0, 4.0]]))
    tensor(5.)
    """
    expect_matrices("matrix_norm", x)
    if ord in ("fro", None):
        return _length(to_floating(x), (-2, -1), keepdims)
    if ord not in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(
            f"matrix_norm knows the ord 'fro', 'nuc', 1, -1, 2, -2, inf and -inf, got {ord!r}"
        )
    x = to_floating(x)
    spectral = ord in ("nuc", 2, -2)
    sizes = svdvals(x) if spectral else sum(abs(x), axis=-2 if ord in (1, -1) else -1)
    fold = sum if ord == "nuc" else largest if ord > 0 else smallest
    y = fold(sizes, axis=-1)
    return expand_dims(expand_dims(y, axis=-1), axis=-1) if keepdims else y


matrix_norm.example(normal((2, 3, 2)))


for _ord in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
    matrix_norm.example(normal((2, 2, 3), ord=_ord, keepdims=_ord == 2))
