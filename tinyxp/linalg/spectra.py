"""Eigenvalues and singular values with their vectors, of (..., m, n), matrix by matrix.

Vectors are determined up to a phase (a sign, if real), which is the same here on every backend: in
each column of U or of eigenvectors, the first element at least 0.4 times as large as the largest is
real and positive. So the vectors have a derivative wherever no two values are equal.

The values alone also have a first derivative where some are equal. A function of the vectors of
equal values (up to rounding) raises GradientError in its backward pass, and so do second
derivatives at equal values, which need their vectors. One case cannot be detected: if vectors are
multiplied by equal values of 0, as in U diag(S), their gradient is 0 as if they were unused.
"""

from typing import NamedTuple

import numpy as np

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor
from tinyxp.linalg.common import (
    diagonal_matrix,
    divide_by_gaps,
    divide_or_zero,
    expect_matrices,
    expect_square,
    expect_zero,
    hermitian,
    is_rounding,
    linalg_errors,
    phases,
    skew,
    without_phase,
)
from tinyxp.linalg.factors import complete
from tinyxp.ops.complexes import adjoint, conj, real
from tinyxp.ops.examples import normal
from tinyxp.ops.shaping import matrix_transpose as transposed

__all__ = ["eig", "eigh", "eigvals", "eigvalsh", "svd", "svdvals"]


class Eigh(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


class Eig(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


class SVD(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


def _sandwich(xp, u, inner, vh):
    """conj(u) · inner · conj(vh): the gradient of x, from that of uᴴ x v."""
    return xp.matmul(xp.matmul(conj.on(xp, u), inner), conj.on(xp, vh))


@primitive(floating=True)
def _eigh(xp, x, /):
    expect_square("eigh", x)
    with linalg_errors("eigh", x, "finite numbers"):
        w, v = xp.linalg.eigh(hermitian(xp, x))
    return (w, v) if 0 in x.shape else (w, v * phases(xp, v))


@_eigh.vjp
def _(xp, g, y):
    # dw = Re diag(vᴴ dx v), dv = v (E ∘ vᴴ dx v), E[i, j] = 1 / (wⱼ - wᵢ)
    w, v = y
    p = xp.matmul(xp.matrix_transpose(v), without_phase(xp, g[1], v))
    inner = diagonal_matrix(xp, g[0]) + divide_by_gaps(xp, skew(xp, p), w, p)
    return _sandwich(xp, v, inner, adjoint(xp, v))


def eigh(x, /):
    """x v = v diag(w): ascending eigenvalues w and orthonormal eigenvectors, the columns of v.

    (..., n, n) -> (eigenvalues, eigenvectors), (..., n) real and (..., n, n). x stands for its
    Hermitian part (x + xᴴ) / 2, and so does its gradient. Raises ShapeError, ArgumentError.

    >>> w, v = tx.linalg.eigh(tx.asarray([[2.0, 1.0], [1.0, 2.0]]))
    >>> w
    tensor([1., 3.])
    """
    return Eigh(*_eigh(x))


@primitive(floating=True)
def eigvalsh(xp, x, /):
    """The eigenvalues of the Hermitian part of x, ascending (see ``eigh``).

    (..., n, n) -> (..., n), real. Equal eigenvalues have a gradient too, if the result does not
    depend on their order. Raises ShapeError, ArgumentError.

    >>> tx.linalg.eigvalsh(tx.asarray([[2.0, 1.0], [1.0, 2.0]]))
    tensor([1., 3.])
    """
    expect_square("eigvalsh", x)
    with linalg_errors("eigvalsh", x, "finite numbers"):
        return xp.linalg.eigvalsh(hermitian(xp, x))


@eigvalsh.vjp
def _(xp, g, x):
    _, v = _eigh.on(xp, x)
    return xp.matmul(conj.on(xp, v) * xp.expand_dims(g, axis=-2), xp.matrix_transpose(v))


@_eigh.example
@eigvalsh.example
def _(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return (q * np.asarray([1, 1.5, 2.2]) @ q.T,)  # eigenvalues far apart


@_eigh.example
@eigvalsh.example
def _(rng):
    x = rng.normal(size=(2, 2, 2))
    return (x + x.swapaxes(-1, -2),)


@primitive(floating=True)
def _eig(xp, x, /):
    expect_square("eig", x)
    with linalg_errors("eig", x, "finite numbers"):
        w, v = xp.linalg.eig(x)
    return (w, v) if 0 in x.shape else (w, v * phases(xp, v))


@_eig.vjp
def _(xp, g, y):
    # dw = diag(v⁻¹ dx v), dv = v (E ∘ v⁻¹ dx v + D), where the diagonal D keeps length and phase
    w, v = y
    g, gw = without_phase(xp, g[1], v), g[0]
    g = g - conj.on(xp, v) * xp.sum(real.on(xp, g * v), axis=-2, keepdims=True)
    vt = xp.matrix_transpose(v)
    p = xp.matmul(vt, g)
    inner = diagonal_matrix(xp, gw) + divide_by_gaps(xp, p, w, p)
    return xp.linalg.solve(vt, xp.matmul(inner, vt))


_eig.example(normal((3, 3)))
_eig.example(normal((2, 2, 2)))


def eig(x, /):
    """x v = v diag(w): the eigenvalues w and the eigenvectors of length 1, the columns of v.

    (..., n, n) -> (eigenvalues, eigenvectors), (..., n) and (..., n, n), both complex. Their order
    is the library's. Raises ShapeError, ArgumentError. The gradient needs n independent
    eigenvectors.

    >>> w, v = tx.linalg.eig(tx.asarray([[0.0, 2.0], [0.0, 3.0]]))
    >>> w
    tensor([0.+0.j, 3.+0.j], dtype=complex64)
    """
    return Eig(*_eig(x))


def eigvals(x, /):
    """The eigenvalues of x, complex, in the order of ``eig``: (..., n, n) -> (..., n).

    >>> tx.linalg.eigvals(tx.asarray([[0.0, 2.0], [0.0, 3.0]]))
    tensor([0.+0.j, 3.+0.j], dtype=complex64)
    """
    # by eig, because libraries order the eigenvalues differently without the vectors
    return _eig(x)[0]


@primitive(floating=True)
def _svd(xp, x, /):
    with linalg_errors("svd", x, "finite numbers"):
        u, s, vh = xp.linalg.svd(x, full_matrices=False)
    if 0 in x.shape:
        return u, s, vh
    turn = phases(xp, u)
    return u * turn, s, vh * xp.matrix_transpose(conj.on(xp, turn))


@_svd.vjp
def _(xp, g, y):
    # With P = uᴴ dx v: ds = Re diag P, and uᴴ du = X + Y, vᴴ dv = X - Y, where
    # X = (P + Pᴴ) / 2 (sⱼ - sᵢ) and Y = (P - Pᴴ) / 2 (sⱼ + sᵢ). (Townsend 2016.)
    u, s, vh = y
    gu, gs, gv = g[0], g[1], adjoint(xp, g[2])
    v = adjoint(xp, vh)
    gu = without_phase(xp, gu, u, xp.sum(gv * v, axis=-2, keepdims=True))
    pu, pv = xp.matmul(xp.matrix_transpose(u), gu), xp.matmul(xp.matrix_transpose(v), gv)
    sums = xp.expand_dims(s, axis=-2) + xp.expand_dims(s, axis=-1)
    inner = diagonal_matrix(xp, gs) + divide_by_gaps(xp, skew(xp, pu + pv), s, pu, pv)
    inner = inner + divide_or_zero(xp, skew(xp, pu - pv), sums, is_rounding(xp, sums, s))
    gx = _sandwich(xp, u, inner, vh)
    # the part of the gradient outside of the columns of u, or of v
    m, n = u.shape[-2], v.shape[-2]
    if m == n:
        return gx
    rest = gu - xp.matmul(conj.on(xp, u), pu) if m > n else gv - xp.matmul(conj.on(xp, v), pv)
    divisor = xp.expand_dims(s, axis=-2)
    zero = is_rounding(xp, divisor, s)
    expect_zero(xp, rest, zero)
    rest = divide_or_zero(xp, rest, divisor, zero)
    if m > n:
        return gx + xp.matmul(rest, conj.on(xp, vh))
    return gx + xp.matmul(conj.on(xp, u), adjoint(xp, rest))


_svd.example(normal((3, 3)))
_svd.example(normal((3, 2)))
_svd.example(normal((2, 2, 3)))


@typed
def svd(x, /, *, full_matrices=True):
    """x = U diag(S) Vh with orthonormal columns of U and rows of Vh, and S >= 0 descending.

    (..., m, n) -> (U, S, Vh), (..., m, m), (..., k) real and (..., n, n) with k = min(m, n);
    without ``full_matrices`` (..., m, k), (..., k) and (..., k, n). Raises ShapeError,
    ArgumentError.

    The last columns of a full U, or rows of Vh, are an arbitrary orthonormal basis of the rest of
    the space; a function that depends on it raises GradientError in its backward pass.

    >>> tx.linalg.svd(tx.asarray([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])
    """
    expect_tensors("svd", x)
    expect_matrices("svd", x)
    u, s, vh = _svd(x)
    if full_matrices:
        u = complete(u)
        if vh.shape[-1] > vh.shape[-2]:
            vh = transposed(conj(complete(transposed(conj(vh)))))
    return SVD(u, s, vh)


@primitive(floating=True)
def svdvals(xp, x, /):
    """The singular values of x, descending: (..., m, n) -> (..., min(m, n)), real.

    Equal values and 0 have a gradient too, if the result is smooth there (like Σ s²).

    >>> tx.linalg.svdvals(tx.asarray([[0.0, 2.0], [1.0, 0.0]]))
    tensor([2., 1.])
    """
    expect_matrices("svdvals", x)
    with linalg_errors("svdvals", x, "finite numbers"):
        return xp.linalg.svdvals(x)


@svdvals.vjp
def _(xp, g, x):
    u, _, vh = _svd.on(xp, x)
    return xp.matmul(conj.on(xp, u) * xp.expand_dims(g, axis=-2), conj.on(xp, vh))


svdvals.example(normal((3, 3)))
svdvals.example(normal((2, 3, 2)))
