"""Cholesky and QR factors of (..., m, n), matrix by matrix.

In the vjps Re Σ g·dy = Re Σ gx·dx, so conjugates appear only where the formula itself has them.
"""

from typing import NamedTuple

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor, is_complex
from tinyxp.errors import ArgumentError, GradientError
from tinyxp.linalg.common import (
    expect_matrices,
    expect_square,
    hermitian,
    identity_like,
    is_rounding,
    linalg_errors,
    phases,
    positive_definite,
    to_floating,
    without_phase,
)
from tinyxp.ops.complexes import adjoint, conj, imag
from tinyxp.ops.creation import zeros
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import matmul
from tinyxp.ops.shaping import concat
from tinyxp.ops.shaping import matrix_transpose as transposed

__all__ = ["cholesky", "qr"]


class QR(NamedTuple):
    Q: Tensor
    R: Tensor


@primitive(floating=True)
def cholesky(xp, x, /, *, upper=False):
    """The triangular L with x = L Lᴴ and a positive diagonal; U = Lᴴ if ``upper``.

    (..., n, n) -> (..., n, n). x stands for its Hermitian part (x + xᴴ) / 2. Raises ShapeError if
    it is not square, ArgumentError if it is not positive-definite.

    Gradient: Murray 2016, "Differentiation of the Cholesky decomposition".

    >>> tx.linalg.cholesky(tx.asarray([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    expect_square("cholesky", x)
    with linalg_errors("cholesky", x, "a positive-definite matrix"):
        lower = xp.linalg.cholesky(hermitian(xp, x))
    return adjoint(xp, lower) if upper else lower


@cholesky.vjp
def _(xp, g, y, upper):
    lower, g = (adjoint(xp, y), adjoint(xp, g)) if upper else (y, g)
    k = xp.matmul(xp.matrix_transpose(lower), g)
    k = xp.tril(k) / 2 + xp.tril(k, k=-1) / 2  # the lower triangle, half of its diagonal
    # L⁻ᵀ k conj(L)⁻¹
    k = xp.linalg.solve(xp.matrix_transpose(lower), k)
    k = xp.linalg.solve(adjoint(xp, lower), xp.matrix_transpose(k))
    return hermitian(xp, xp.matrix_transpose(k))


cholesky.example(lambda rng: (positive_definite(rng, 3, 3),))
cholesky.example(lambda rng: (positive_definite(rng, 2, 2, 2), {"upper": True}))


@primitive(floating=True)
def _qr(xp, x, /):
    """For m >= n, the reduced Q, and R with a positive diagonal."""
    with linalg_errors("qr", x, "finite numbers"):
        q, r = xp.linalg.qr(x, mode="reduced")
    if 0 in x.shape:
        return q, r
    d = xp.linalg.diagonal(r)
    d = xp.expand_dims(xp.sign(xp.where(d == 0, xp.ones_like(d), d)), axis=-2)
    return q * d, xp.triu(r * xp.matrix_transpose(conj.on(xp, d)))


@_qr.vjp
def _(xp, g, y):
    # With C = Qᴴ dx R⁻¹ and its strictly lower triangle L: Qᴴ dQ = L - Lᴴ + i Im diag C = W and
    # dR = (C - W) R. (Walter and Lehmann 2012; for wide and complex x Roberts and Roberts 2020.)
    q, r = y
    gq, gr = g
    lengths = xp.linalg.diagonal(r)
    if bool(xp.any(is_rounding(xp, lengths, lengths))):
        raise GradientError(
            f"qr has no derivative where the first {r.shape[-1]} columns of a matrix are linearly "
            "dependent"
        )
    p = xp.matmul(xp.matrix_transpose(q), gq)
    t = xp.matmul(gr, xp.matrix_transpose(r))
    z = p - t
    n = t + xp.tril(z - adjoint(xp, z), k=-1)
    if is_complex(z):
        n = n + 1j * imag.on(xp, z) * identity_like(xp, z)
    a = gq + xp.matmul(conj.on(xp, q), n - p)
    return xp.matrix_transpose(xp.linalg.solve(r, xp.matrix_transpose(a)))


_qr.example(normal((4, 3)))
_qr.example(normal((2, 2, 2)))


@primitive(floating=True)
def _complement(xp, q, /):
    """Orthonormal columns orthogonal to those of q: (..., m, n) -> (..., m, m - n), m > n."""
    rest = xp.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :]
    return rest if 0 in rest.shape else rest * phases(xp, rest)


@_complement.vjp
def _(xp, g, q, y):
    # yᴴ q = 0 gives dy = -(q⁺)ᴴ dqᴴ y, up to a rotation of the columns of y
    if y.shape[-1] == 1:
        g = without_phase(xp, g, y)
    else:
        _expect_any_basis(xp, g, y)
    w = xp.matmul(xp.matrix_transpose(g), adjoint(xp, xp.linalg.pinv(q)))
    return -conj.on(xp, xp.matmul(y, w))


def _expect_any_basis(xp, g, y):
    """Raise GradientError if a rotation y W changes the result: then gᵀ y is not Hermitian."""
    if 0 in g.shape:
        return
    b = xp.matmul(xp.matrix_transpose(g), y)
    rotation = float(xp.max(xp.abs(b - adjoint(xp, b))))
    eps = xp.finfo(y.dtype).eps
    rounding = 100 * eps + 1000 * eps**0.75 * float(xp.max(xp.abs(g)))
    if rotation > rounding:
        raise GradientError(
            "the last columns of a complete Q (or of a full U or V) are an arbitrary basis, and "
            "only functions that are the same for every basis have a derivative, such as the "
            "projector q @ qᴴ; use mode='reduced' or full_matrices=False"
        )


_complement.example(normal((4, 3)))
_complement.example(normal((2, 2, 1)))


def complete(q):
    """The columns of q (..., m, n), completed to m orthonormal columns."""
    return q if q.shape[-1] == q.shape[-2] else concat([q, _complement(q)], axis=-1)


@typed
def qr(x, /, *, mode="reduced"):
    """x = Q R with orthonormal columns Q and an upper triangular R with a positive diagonal.

    (..., m, n) -> (Q, R), (..., m, k) and (..., k, n) with k = min(m, n); if mode is "complete"
    (..., m, m) and (..., m, n). Raises ShapeError, ArgumentError.

    The gradient needs linearly independent first k columns of x. The last m - n columns of a
    complete Q are an arbitrary orthonormal basis of the rest of the space. GradientError is raised
    in the backward pass for dependent columns, and if the result depends on that basis.

    >>> tx.linalg.qr(tx.asarray([[0.0, 2.0], [1.0, 3.0]])).R
    tensor([[1., 3.],
            [0., 2.]])
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr knows the modes 'reduced' and 'complete', got {mode!r}")
    expect_tensors("qr", x)
    expect_matrices("qr", x)
    x = to_floating(x)
    m, n = x.shape[-2:]
    q, r = _qr(x[..., :m])
    if m < n:
        r = concat([r, matmul(conj(transposed(q)), x[..., m:])], axis=-1)
    elif mode == "complete" and m > n:
        q = complete(q)
        r = concat([r, zeros((*r.shape[:-2], m - n, n), dtype=r.dtype, device=r.device)], axis=-2)
    return QR(q, r)
