"""Complex numbers and their parts: elementwise, (...) -> (...).

These functions are not holomorphic. In a vjp dL = Re Σ g·dy, so their gradients follow from dy =
Re dx, Im dx and the conjugate of dx. Every other vjp is written as for real numbers.
"""

from tinyxp.core.primitive import primitive
from tinyxp.core.tensor import is_complex
from tinyxp.errors import ArgumentError
from tinyxp.ops.examples import complex_normal, normal

__all__ = ["conj", "imag", "real"]


@primitive(view=True)
def real(xp, x, /):
    """y = Re x; a real x is returned as it is.

    >>> tx.real(tx.asarray([1 + 2j]))
    tensor([1.])
    """
    return xp.real(x) if is_complex(x) else x


real.vjp(lambda xp, g: g)


@primitive(view=True)
def imag(xp, x, /):
    """y = Im x; zeros for a real x.

    >>> tx.imag(tx.asarray([1 + 2j]))
    tensor([2.])
    """
    return xp.imag(x) if is_complex(x) else xp.zeros_like(x)


imag.vjp(lambda xp, g, x: g * -1j if is_complex(x) else xp.zeros_like(g))


@primitive(view=True)
def conj(xp, x, /):
    """y = Re x - i Im x; a real x is returned as it is.

    >>> tx.conj(tx.asarray([1 + 2j]))
    tensor([1.-2.j], dtype=complex64)
    """
    return xp.conj(x) if is_complex(x) else x


conj.vjp(lambda xp, g: conj.on(xp, g))


real.put(lambda x, v: _from_parts(v, imag(x)) if is_complex(x) else v)


@imag.put
def _(x, v):
    if not is_complex(x):
        raise ArgumentError("a real tensor has no imaginary part to write to; make it complex")
    return _from_parts(real(x), v)


conj.put(lambda x, v: conj(v))
conj.op.lens.layout = lambda a, key: a
for _op in (real, imag, conj):
    _op.example(complex_normal((3, 4)))


@primitive(real=True)
def _from_parts(xp, re, im, /):
    # not re + 1j * im, whose real part is NaN where im is NaN or Inf
    y = xp.astype(re, xp.result_type(re.dtype, xp.complex64))
    xp.imag(y)[...] = im
    return y


_from_parts.vjp(0)(lambda xp, g: xp.real(g))
_from_parts.vjp(1)(lambda xp, g: -xp.imag(g))
_from_parts.example(normal((3, 4), (3, 4)))


def adjoint(xp, x):
    """xᴴ, each matrix transposed and conjugated, for a vjp: (..., m, n) -> (..., n, m)."""
    return conj.on(xp, xp.matrix_transpose(x))
