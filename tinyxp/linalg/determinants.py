"""Determinants and their logarithms: (..., n, n) -> (...)."""

from typing import NamedTuple

from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import Tensor, is_complex
from tinyxp.errors import GradientError
from tinyxp.linalg.common import diagonal_matrix, expect_square, identity_like, invertible
from tinyxp.ops.complexes import adjoint, conj, imag
from tinyxp.ops.reductions import products_after, products_before

__all__ = ["det", "slogdet"]


class Slogdet(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


def _as_factor(xp, a):
    """A number for each matrix, shaped to multiply it: (...) -> (..., 1, 1)."""
    return xp.reshape(a, (*a.shape, 1, 1))


@primitive(floating=True)
def det(xp, x, /):
    """det x = Σ over permutations π of sign(π) Π x[i, π(i)].

    (..., n, n) -> (...). The gradient, the cofactors, and the second derivative hold for singular
    matrices too; higher derivatives need an invertible x. Raises ShapeError.

    >>> tx.linalg.det(tx.asarray([[1.0, 2.0], [3.0, 4.0]])).item()
    -2.0
    """
    expect_square("det", x)
    return xp.linalg.det(x)


det.vjp(lambda xp, g, x: _as_factor(xp, g) * _cofactors.on(xp, x))


def _through_svd(xp, x):
    """U, s, Vᴴ of x, and det(U) det(Vᴴ), of modulus 1."""
    u, s, vh = xp.linalg.svd(x)
    return u, s, vh, _as_factor(xp, xp.linalg.det(u) * xp.linalg.det(vh))


@primitive(floating=True)
def _cofactors(xp, x, /):
    """C = ∂det/∂x, which is det(x) x⁻ᵀ if x is invertible.

    C(u s vᴴ) = C(u) C(s) C(vᴴ); for a diagonal s, C has the products of all others.
    """
    u, s, vh, phase = _through_svd(xp, x)
    others = products_before(xp, s) * products_after(xp, s)
    return phase * xp.matmul(conj.on(xp, u) * xp.expand_dims(others, axis=-2), conj.on(xp, vh))


@primitive(floating=True)
def _minors(xp, x, h, /):
    """Σ h·∂²det/∂x², which is det(x) (tr(hᵀ x⁻ᵀ) x⁻ᵀ - x⁻ᵀ hᵀ x⁻ᵀ) if it exists.

    For a diagonal s, ∂²det/∂x_ii∂x_kk = -∂²det/∂x_ik∂x_ki is the product of all but s_i and s_k.
    """
    u, s, vh, phase = _through_svd(xp, x)
    # rest[i, k]: the product of all before i, between i and k, and after k
    before, after = products_before(xp, s), products_after(xp, s)
    columns = xp.broadcast_to(xp.expand_dims(s, axis=-2), x.shape)
    between = products_before(xp, xp.where(xp.triu(xp.ones_like(columns), k=1) == 1, columns, 1.0))
    rest = xp.expand_dims(before, axis=-1) * between * xp.expand_dims(after, axis=-2)
    rest = xp.triu(rest, k=1)
    rest = rest + xp.matrix_transpose(rest)
    h = phase * xp.matmul(xp.matmul(adjoint(xp, u), h), adjoint(xp, vh))
    own = xp.sum(h * identity_like(xp, h), axis=-1, keepdims=True)
    ones = xp.matmul(xp.astype(rest, h.dtype), own)
    inner = diagonal_matrix(xp, ones[..., 0]) - rest * xp.matrix_transpose(h)
    return xp.matmul(xp.matmul(conj.on(xp, u), inner), conj.on(xp, vh))


@_minors.vjp(0)
def _(xp, g, x, h):
    d = _as_factor(xp, xp.linalg.det(x))
    b = xp.matrix_transpose(xp.linalg.inv(x))
    bg = xp.matmul(xp.matmul(b, xp.matrix_transpose(g)), b)
    bh = xp.matmul(xp.matmul(b, xp.matrix_transpose(h)), b)
    t, u = (xp.sum(a * b, axis=(-2, -1), keepdims=True) for a in (h, g))
    w = xp.sum(g * bh, axis=(-2, -1), keepdims=True)
    twice = xp.matmul(xp.matmul(bh, xp.matrix_transpose(g)), b)
    twice = twice + xp.matmul(xp.matmul(bg, xp.matrix_transpose(h)), b)
    return d * ((t * u - w) * b - u * bh - t * bg + twice)


@_cofactors.vjp
@_minors.vjp(1)
def _(xp, g, x):
    return _minors.on(xp, x, g)


for _op in (det, _cofactors):
    _op.example(lambda rng: (invertible(rng, 3, 3),))
    _op.example(lambda rng: (invertible(rng, 2, 2, 2),))


@det.example
def _(rng):
    x = rng.normal(size=(3, 3))
    x[2] = x[0] - 2 * x[1]  # of rank 2
    return (x,)


@det.example
def _(rng):
    x = rng.normal(size=(4, 4))
    x[2], x[3] = x[0] - 2 * x[1], x[0] + x[1]  # of rank 2: the first gradient is 0
    return (x,)


_minors.example(lambda rng: (invertible(rng, 3, 3), rng.normal(size=(3, 3))))
_minors.example(lambda rng: (invertible(rng, 2, 2, 2), rng.normal(size=(2, 2, 2))))


@primitive(floating=True)
def _slogdet(xp, x, /):
    expect_square("slogdet", x)
    return tuple(xp.linalg.slogdet(x))


@_slogdet.vjp
def _(xp, g, x, y):
    # d ln|det| + i d(phase) = tr(x⁻¹ dx)
    sign, c = y[0], g[1]
    if is_complex(x):
        c = c + 1j * imag.on(xp, g[0] * sign)
    singular = sign == 0
    if bool(xp.any(singular & (c != 0))):
        raise GradientError("slogdet has no derivative where the determinant is 0; det has one")
    b = xp.linalg.inv(xp.where(_as_factor(xp, singular), identity_like(xp, x), x))
    return _as_factor(xp, c) * xp.matrix_transpose(b)


_slogdet.example(lambda rng: (invertible(rng, 3, 3),))
_slogdet.example(lambda rng: (-invertible(rng, 2, 3, 3),))


def slogdet(x, /):
    """The sign of det x (of modulus 1, if complex) and ln|det x|, which cannot overflow.

    (..., n, n) -> (sign, logabsdet), (...) each. A singular matrix gives 0 and -inf, and has no
    gradient. Raises ShapeError, and GradientError in the backward pass.

    >>> tx.linalg.slogdet(tx.asarray([[-1.0, 0.0], [0.0, 1.0]]))
    Slogdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return Slogdet(*_slogdet(x))
