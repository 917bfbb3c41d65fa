"""What the decompositions share: checks, the gauge of a vector, and matrices of a spectrum."""

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.operation import first_line
from tinyxp.core.tensor import is_complex
from tinyxp.errors import ArgumentError, GradientError, ShapeError
from tinyxp.ops.complexes import adjoint, conj, imag, real
from tinyxp.ops.creation import astype


def expect_matrices(name, x):
    """Raise ShapeError unless x has the two axes of a matrix."""
    if len(x.shape) < 2:
        raise ShapeError(
            f"{name} expects matrices, (..., m, n), got shape {tuple(x.shape)}; "
            "for one row write x[None, :]"
        )


def expect_square(name, x):
    """Raise ShapeError unless x is a square matrix or a stack of them."""
    expect_matrices(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} expects square matrices, (..., n, n), got {tuple(x.shape)}")


def to_floating(x):
    """x as it is, or as float32 if it holds integers."""
    return x if x.dtype.kind.endswith("floating") else astype(x, dtypes.DEFAULT_FLOAT)


class numerical:
    """Turn a library's LinAlgError (which has no common type) into an ArgumentError."""

    def __init__(self, name, x, expected):
        self.name, self.x, self.expected = name, x, expected

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if type(error).__name__.endswith("LinAlgError"):
            raise ArgumentError(
                f"{self.name} expects {self.expected}, got one in shape {tuple(self.x.shape)} "
                f"that is not ({first_line(error)})"
            ) from error


def transpose(xp, x):
    """xᵀ."""
    return xp.matrix_transpose(x)


def hermitian(xp, x):
    """(x + xᴴ) / 2, each half first: a sum of large numbers would overflow."""
    return x / 2 + adjoint(xp, x) / 2


def skew(xp, x):
    """(x - xᴴ) / 2."""
    return x / 2 - adjoint(xp, x) / 2


def identity_like(xp, x):
    """The identity matrix beside x, as large as its last axis."""
    return xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)


def diagonal_matrix(xp, d):
    """The matrices with ``d`` on their diagonals: (..., n) -> (..., n, n)."""
    return xp.expand_dims(d, axis=-2) * identity_like(xp, d)


# -- vectors that are unique up to a phase ------------------------------------------------------
#
# An eigenvector is free to turn by a phase (a sign, if real). Libraries choose one each, some of
# them in jumps, so a choice of our own is made: the pivot of a column, its first element at least
# 0.4 as large as its largest, is real and positive. It is the same on every backend, it has a
# derivative, and vectors with elements of equal size, which are common, do not jump.


def pivots(xp, v):
    """In which row the pivot of each column of v is: (..., m, n) -> (..., 1, n)."""
    size = xp.abs(v)
    large = size >= 0.4 * xp.max(size, axis=-2, keepdims=True)
    return xp.argmax(xp.astype(large, xp.int32), axis=-2, keepdims=True)  # the first of equals


def phases(xp, v):
    """For each column of v the number of size 1 that makes its pivot real and positive."""
    phase = xp.sign(xp.take_along_axis(v, pivots(xp, v), axis=-2))
    return conj.on(xp, xp.where(phase == 0, xp.ones_like(phase), phase))


def without_phase(xp, g, v, others=None):
    """The gradient g of the columns of v, with what comes from keeping their pivots real.

    ``others``: Σ gᵢ·vᵢ of columns that turn along. A step i·θ·v keeps the pivot p + dp real if
    θ = -Im dp / p, and L changes with it by Re Σ g·iθv = -θ Im s, where s = Σ gᵢ·vᵢ. So
    -i Im(s) / p is added to g at the pivot. (Real vectors have no phase but a sign.)
    """
    if not is_complex(v) or 0 in v.shape:
        return g
    rows = pivots(xp, v)
    pivot = xp.take_along_axis(real.on(xp, v), rows, axis=-2)
    s = xp.sum(g * v, axis=-2, keepdims=True)
    s = s if others is None else s + others
    here = xp.reshape(xp.arange(v.shape[-2], device=v.device), (-1, 1)) == rows
    return xp.where(here, g - 1j * imag.on(xp, s) / pivot, g)


# -- matrices made of a spectrum ----------------------------------------------------------------
#
# 1 / (wⱼ - wᵢ) does not exist between equal values. Where nothing is asked of their vectors its
# factor is 0, and so is the product. Where something is, the limit of 0 / 0 cannot be known: it is
# one number for the projector on all these vectors, and another for v f(w) vᴴ.


def is_rounding(xp, d, spectrum):
    """Whether d, made of a ``spectrum`` (..., n), is nothing but rounding."""
    size = xp.sum(xp.abs(spectrum), axis=-1)
    size = xp.reshape(size, (*size.shape, *(1,) * (len(d.shape) - len(size.shape))))
    return xp.abs(d) <= xp.finfo(spectrum.dtype).eps * size


def divided(xp, a, d, idle):
    """a / d, and 0 where d is ``idle``."""
    return xp.where(idle, xp.zeros_like(a), a) / xp.where(idle, xp.ones_like(d), d)


def expect_nothing(xp, a, idle):
    """Raise GradientError unless a is 0 where its divisor is ``idle``."""
    if bool(xp.any(idle & (a != 0))):
        raise GradientError(
            "two eigenvalues or singular values are equal, or a singular value is 0, and the "
            "result depends on their vectors, whose derivative cannot be told there; write it "
            "with what needs no vectors: products, norms, det, inv, pinv, or the values alone"
        )


def over_gaps(xp, a, w, *asked):
    """a[i, j] / (wⱼ - wᵢ), 0 between equal values, where ``asked`` (..., n, n) must be 0."""
    gaps = xp.expand_dims(w, axis=-2) - xp.expand_dims(w, axis=-1)
    idle = is_rounding(xp, gaps, w)
    for part in asked:
        expect_nothing(xp, part, idle & (identity_like(xp, w) == 0))
    return divided(xp, a, gaps, idle)


# -- matrices for examples ----------------------------------------------------------------------


def invertible(rng, *shape):
    """Random matrices far from singular."""
    return rng.normal(size=shape) + 3 * np.eye(shape[-1])


def positive_definite(rng, *shape):
    """Random symmetric matrices with positive eigenvalues, also beside an imaginary part."""
    a = rng.normal(size=shape)
    return a @ np.swapaxes(a, -1, -2) + 3 * np.eye(shape[-1])
