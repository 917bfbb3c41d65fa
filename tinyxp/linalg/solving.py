"""Inverses, matrix powers, ranks, and systems of linear equations."""

import operator

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors, mixed
from tinyxp.core.primitive import primitive
from tinyxp.errors import DTypeError, ShapeError
from tinyxp.linalg.common import expect_matrices, expect_square, invertible, linalg_errors
from tinyxp.ops.arithmetic import where
from tinyxp.ops.complexes import adjoint, conj
from tinyxp.ops.creation import zeros
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import matmul
from tinyxp.ops.regular import eye

__all__ = ["inv", "matrix_power", "matrix_rank", "pinv", "solve"]


@primitive(floating=True)
def inv(xp, x, /):
    """y = x⁻¹: (..., n, n) -> (..., n, n).

    Raises ShapeError if x is not square, ArgumentError if a matrix is singular.

    >>> tx.linalg.inv(tx.asarray([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    expect_square("inv", x)
    with linalg_errors("inv", x, "an invertible matrix"):
        return xp.linalg.inv(x)


@inv.vjp
def _(xp, g, y):
    b = xp.matrix_transpose(y)
    return -xp.matmul(xp.matmul(b, g), b)


inv.example(lambda rng: (invertible(rng, 3, 3),))
inv.example(lambda rng: (invertible(rng, 2, 2, 2),))


@primitive(floating=True)
def solve(xp, x1, x2, /):
    """The solution y of x₁ y = x₂.

    (..., n, n), (..., n, k) -> (..., n, k), leading axes broadcast together; or
    (..., n, n), (n,) -> (..., n). Raises ShapeError, or ArgumentError if a matrix is singular.

    >>> tx.linalg.solve(tx.asarray([[2.0, 0.0], [0.0, 4.0]]), tx.asarray([1.0, 1.0]))
    tensor([0.5 , 0.25])
    """
    expect_square("solve", x1)
    n, b = x1.shape[-1], tuple(x2.shape)
    if not b or b[-2 if len(b) > 1 else 0] != n:
        raise ShapeError(
            f"solve with matrices of shape {tuple(x1.shape)} expects ({n},) or (..., {n}, k), "
            f"got {b}"
        )
    column = len(b) == 1
    if column:
        x2 = xp.expand_dims(x2, axis=-1)
    # as many axes as x₁ has, because PyTorch could take a matrix for a stack of vectors
    x2 = xp.reshape(x2, (*(1,) * (len(x1.shape) - len(x2.shape)), *x2.shape))
    with linalg_errors("solve", x1, "an invertible matrix"):
        y = xp.linalg.solve(x1, x2)
    return y[..., 0] if column else y


solve.op.broadcasts = False  # the broadcasting hint would be wrong for its last two axes


@solve.vjp(0)
def _(xp, g, x1, x2_shape, y):
    if len(x2_shape) == 1:
        g, y = xp.expand_dims(g, axis=-1), xp.expand_dims(y, axis=-1)
    return -xp.matmul(xp.linalg.solve(xp.matrix_transpose(x1), g), xp.matrix_transpose(y))


@solve.vjp(1)
def _(xp, g, x1, x2_shape):
    if len(x2_shape) == 1:
        return xp.linalg.solve(xp.matrix_transpose(x1), xp.expand_dims(g, axis=-1))[..., 0]
    return xp.linalg.solve(xp.matrix_transpose(x1), g)


solve.example(lambda rng: (invertible(rng, 3, 3), rng.normal(size=(3, 2))))
solve.example(lambda rng: (invertible(rng, 3, 3), rng.normal(size=(3,))))
solve.example(lambda rng: (invertible(rng, 2, 2, 2), rng.normal(size=(2,))))
solve.example(lambda rng: (invertible(rng, 2, 1, 2, 2), rng.normal(size=(3, 2, 1))))
solve.example(lambda rng: (invertible(rng, 2, 2, 2), rng.normal(size=(2, 2))))


def _cutoff(xp, s, rtol, shape):
    """The size up to which singular values (..., k) count as 0: (..., 1)."""
    if rtol is None:
        rtol = max(shape[-2:]) * float(xp.finfo(s.dtype).eps)
    if not isinstance(rtol, (int, float)):
        rtol = xp.expand_dims(xp.astype(rtol, s.dtype), axis=-1)
    return xp.max(s, axis=-1, keepdims=True) * rtol


def _tolerance(name, x, rtol):
    """rtol as a number or as an array of x's backend."""
    expect_tensors(name, x)
    expect_matrices(name, x)
    if rtol is None or (isinstance(rtol, (int, float)) and not isinstance(rtol, bool)):
        return rtol
    expect_tensors(name, rtol)
    if rtol.dtype.kind != "real floating":
        raise DTypeError(f"{name} expects rtol as a number or a real floating tensor, got {rtol!r}")
    if rtol.backend is not x.backend:
        raise mixed(name, x.backend, rtol.backend)
    return rtol.array


@primitive(floating=True)
def _pinv(xp, x, /, rtol=None):
    if 0 in x.shape:
        return xp.matrix_transpose(xp.zeros_like(x))
    with linalg_errors("pinv", x, "finite numbers"):
        u, s, vh = xp.linalg.svd(x, full_matrices=False)
    small = s <= _cutoff(xp, s, rtol, x.shape)
    s = xp.where(small, 0.0, 1 / xp.where(small, 1.0, s))
    return xp.matmul(adjoint(xp, vh) * xp.expand_dims(s, axis=-2), adjoint(xp, u))


@_pinv.vjp
def _(xp, g, x, y):
    # dy = -y dx y + y yᴴ dxᴴ (1 - x y) + (1 - y x) dxᴴ yᴴ y (Golub and Pereyra 1973, eq. 4.12)
    gt, yh = xp.matrix_transpose(g), adjoint(xp, y)
    m = xp.matmul(xp.matmul(gt, y), yh)
    m = m - xp.matmul(x, xp.matmul(y, m))
    n = xp.matmul(xp.matmul(yh, y), gt)
    n = n - xp.matmul(xp.matmul(n, y), x)
    b = xp.matrix_transpose(y)
    return conj.on(xp, m + n) - xp.matmul(xp.matmul(b, g), b)


_pinv.example(normal((4, 2)))
_pinv.example(normal((2, 2, 3), rtol=1e-09))


def pinv(x, /, *, rtol=None):
    """The pseudo-inverse y = x⁺: x y and y x project orthogonally on x's columns and rows.

    (..., m, n) -> (..., n, m). Singular values up to ``rtol`` times the largest count as 0; rtol is
    a number or a tensor (...), by default max(m, n) times the dtype's eps. Raises ShapeError.

    The gradient is that of matrices of the same rank, because x⁺ is discontinuous in the rank.

    >>> tx.linalg.pinv(tx.asarray([[2.0], [0.0]]))
    tensor([[0.5, 0. ]])
    """
    return _pinv(x, rtol=_tolerance("pinv", x, rtol))


@primitive(floating=True, no_gradient="a rank is a count, which is piecewise constant")
def _matrix_rank(xp, x, /, rtol=None):
    if 0 in x.shape:
        return xp.zeros(tuple(x.shape[:-2]), dtype=xp.int64, device=x.device)
    with linalg_errors("matrix_rank", x, "finite numbers"):
        s = xp.linalg.svdvals(x)
    return xp.count_nonzero(s > _cutoff(xp, s, rtol, x.shape), axis=-1)


def matrix_rank(x, /, *, rtol=None):
    """The number of singular values larger than ``rtol`` times the largest (see ``pinv``).

    (..., m, n) -> (...), integers, without a gradient. Raises ShapeError.

    >>> tx.linalg.matrix_rank(tx.ones((3, 3)))
    tensor(1)
    """
    return _matrix_rank(x, rtol=_tolerance("matrix_rank", x, rtol))


@composite
def _matrix_power(x, /, n):
    expect_square("matrix_power", x)
    if n < 0:
        x, n = inv(x), -n
    if n == 0:  # computed from x, so that its gradient exists and is 0
        return where(
            zeros(x.shape, dtype=dtypes.bool, device=x.device),
            x,
            eye(x.shape[-1], dtype=x.dtype, device=x.device),
        )
    power = None
    while n:  # by squaring: x¹³ = x⁸ x⁴ x
        if n & 1:
            power = x if power is None else matmul(power, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return power


_matrix_power.example(normal((2, 2, 2), n=5))
_matrix_power.example(lambda rng: (invertible(rng, 3, 3), {"n": -2}))
_matrix_power.example(normal((2, 2), n=0))


@typed
def matrix_power(x, n, /):
    """y = x · x · … · x, n times; for a negative n, of x⁻¹; for 0, the identity matrix.

    (..., m, m) -> (..., m, m). Raises ShapeError, DTypeError, or ArgumentError if n is negative and
    a matrix singular.

    >>> tx.linalg.matrix_power(tx.asarray([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    expect_tensors("matrix_power", x)
    if not hasattr(n, "__index__"):
        raise DTypeError(f"matrix_power expects an integer exponent, got {n!r}")
    return _matrix_power(x, n=operator.index(n))
