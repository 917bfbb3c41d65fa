"""What the decompositions share: checks, the phase of vectors, and division by gaps."""

from contextlib import contextmanager

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.foreign_errors import first_line
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


@contextmanager
def linalg_errors(name, x, expected):
    """Turn a LinAlgError, which each library defines for itself, into an ArgumentError."""
    try:
        yield
    except Exception as error:
        if not type(error).__name__.endswith("LinAlgError"):
            raise
        raise ArgumentError(
            f"{name} expects {expected}, got one in shape {tuple(x.shape)} that is not "
            f"({first_line(error)})"
        ) from error


def hermitian(xp, x):
    """(x + xᴴ) / 2, halved before the sum, which could overflow."""
    return x / 2 + adjoint(xp, x) / 2


def skew(xp, x):
    """(x - xᴴ) / 2."""
    return x / 2 - adjoint(xp, x) / 2


def identity_like(xp, x):
    """The identity matrix of the size of x's last axis, with its dtype and device."""
    return xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)


def diagonal_matrix(xp, d):
    """The matrices with ``d`` on their diagonals: (..., n) -> (..., n, n)."""
    return xp.expand_dims(d, axis=-2) * identity_like(xp, d)


# -- vectors that are unique up to a phase ------------------------------------------------------
#
# An eigenvector is determined up to a phase (a sign, if real), and every library chooses another,
# some of them discontinuously. Here the pivot of a column is made real and positive: its first
# element at least 0.4 times as large as the largest. So the phase is the same on every backend, it
# has a derivative, and it does not jump for vectors with elements of equal size, which are common.


def pivots(xp, v):
    """The row of the pivot of each column of v: (..., m, n) -> (..., 1, n)."""
    size = xp.abs(v)
    large = size >= 0.4 * xp.max(size, axis=-2, keepdims=True)
    return xp.argmax(xp.astype(large, xp.int32), axis=-2, keepdims=True)  # the first one


def phases(xp, v):
    """For each column of v the factor of modulus 1 that makes its pivot real and positive."""
    phase = xp.sign(xp.take_along_axis(v, pivots(xp, v), axis=-2))
    return conj.on(xp, xp.where(phase == 0, xp.ones_like(phase), phase))


def without_phase(xp, g, v, others=None):
    """The gradient g of the columns of v, corrected because their pivots stay real.

    The step i·θ·v keeps the pivot p + dp real if θ = -Im dp / p, and changes L by
    Re Σ g·iθv = -θ Im s, where s = Σ gᵢ·vᵢ. So -i Im(s) / p is added to g at the pivot. ``others``
    is Σ gᵢ·vᵢ of columns with the same phase. Real vectors need no correction.
    """
    if not is_complex(v) or 0 in v.shape:
        return g
    rows = pivots(xp, v)
    pivot = xp.take_along_axis(real.on(xp, v), rows, axis=-2)
    s = xp.sum(g * v, axis=-2, keepdims=True)
    s = s if others is None else s + others
    here = xp.reshape(xp.arange(v.shape[-2], device=v.device), (-1, 1)) == rows
    return xp.where(here, g - 1j * imag.on(xp, s) / pivot, g)


# -- division by gaps between values ------------------------------------------------------------
#
# 1 / (wⱼ - wᵢ) does not exist between equal values. If the gradient of their vectors is 0, so is
# the product. If it is not, the limit of 0 / 0 is unknown: it differs between the projector on all
# these vectors and v f(w) vᴴ.


def is_rounding(xp, d, spectrum):
    """Whether d, computed from a ``spectrum`` (..., n), is only rounding error."""
    size = xp.sum(xp.abs(spectrum), axis=-1)
    size = xp.reshape(size, (*size.shape, *(1,) * (len(d.shape) - len(size.shape))))
    return xp.abs(d) <= xp.finfo(spectrum.dtype).eps * size


def divide_or_zero(xp, a, d, zero):
    """a / d, and 0 where ``zero`` holds."""
    return xp.where(zero, xp.zeros_like(a), a) / xp.where(zero, xp.ones_like(d), d)


def expect_zero(xp, a, zero):
    """Raise GradientError unless a is 0 where its divisor is 0."""
    if bool(xp.any(zero & (a != 0))):
        raise GradientError(
            "two eigenvalues or singular values are equal, or a singular value is 0, and the "
            "result depends on their vectors, whose derivative is undefined there; write it "
            "without vectors: with products, norms, det, inv, pinv, or the values alone"
        )


def divide_by_gaps(xp, a, w, *gradients):
    """a[i, j] / (wⱼ - wᵢ), and 0 between equal values, where ``gradients`` must be 0."""
    gaps = xp.expand_dims(w, axis=-2) - xp.expand_dims(w, axis=-1)
    zero = is_rounding(xp, gaps, w)
    for g in gradients:
        expect_zero(xp, g, zero & (identity_like(xp, w) == 0))
    return divide_or_zero(xp, a, gaps, zero)


# -- matrices for examples ----------------------------------------------------------------------


def invertible(rng, *shape):
    """Random matrices far from singular."""
    return rng.normal(size=shape) + 3 * np.eye(shape[-1])


def positive_definite(rng, *shape):
    """Random symmetric matrices with positive eigenvalues, also with an added imaginary part."""
    a = rng.normal(size=shape)
    return a @ np.swapaxes(a, -1, -2) + 3 * np.eye(shape[-1])
