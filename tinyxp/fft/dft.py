"""The discrete Fourier transforms as primitives; ``fourier`` makes the public functions of them.

The matrix ω^(jk) of a transform is symmetric, so each gradient is a transform of the same direction
and norm: ``_dft`` is its own, and ``_half_dft`` and ``_whole_dft`` are each other's, with half or
twice the weight for elements of the half spectrum that occur twice in the whole.
"""

from tinyxp.core.primitive import primitive
from tinyxp.ops.examples import complex_normal, normal


@primitive
def _dft(xp, x, /, axes, norm="backward", inverse=False):
    """The transform of a complex x over ``axes``."""
    if 0 in x.shape:  # not every library accepts an empty batch
        return xp.zeros_like(x)
    if len(axes) == 1:  # faster in the libraries
        return (xp.fft.ifft if inverse else xp.fft.fft)(x, axis=axes[0], norm=norm)
    return (xp.fft.ifftn if inverse else xp.fft.fftn)(x, axes=axes, norm=norm)


_dft.vjp(lambda xp, g, axes, norm, inverse: _dft.on(xp, g, axes=axes, norm=norm, inverse=inverse))
_dft.example(complex_normal((3, 4), axes=(0, 1), norm="ortho", inverse=True))
_dft.example(complex_normal((2, 3), axes=(1,), norm="forward"))


@primitive(real=True)
def _half_dft(xp, x, /, axis, norm="backward", inverse=False):
    """The first half of the spectrum of a real x: (n) -> (n // 2 + 1)."""
    if 0 in x.shape:
        shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
        dtype = xp.complex64 if x.dtype == xp.float32 else xp.complex128
        return xp.zeros(shape, dtype=dtype, device=x.device)
    return (xp.fft.ihfft if inverse else xp.fft.rfft)(x, axis=axis, norm=norm)


@_half_dft.vjp
def _(xp, g, x_shape, axis, norm, inverse):
    g = g / _multiplicity(xp, g, x_shape[axis], axis)
    return _whole_dft.on(xp, g, n=x_shape[axis], axis=axis, norm=norm, inverse=inverse)


_half_dft.example(normal((2, 5), axis=1, norm="ortho"))
_half_dft.example(normal((4, 2), axis=0, inverse=True))


@primitive
def _whole_dft(xp, x, /, n, axis, norm="backward", inverse=False):
    """The n real numbers of a half spectrum x: (n // 2 + 1) -> (n)."""
    if 0 in x.shape:
        dtype = xp.float32 if x.dtype == xp.complex64 else xp.float64
        shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
        return xp.zeros(shape, dtype=dtype, device=x.device)
    return (xp.fft.irfft if inverse else xp.fft.hfft)(x, n=n, axis=axis, norm=norm)


@_whole_dft.vjp
def _(xp, g, n, axis, norm, inverse):
    gx = _half_dft.on(xp, g, axis=axis, norm=norm, inverse=inverse)
    return gx * _multiplicity(xp, gx, n, axis)


_whole_dft.example(complex_normal((2, 3), n=5, axis=1, inverse=True))
_whole_dft.example(complex_normal((3, 2), n=4, axis=0, norm="forward"))


def _multiplicity(xp, half, n, axis):
    """How often a half spectrum's elements occur in the whole: twice but for real frequencies."""
    k = xp.arange(half.shape[axis], device=half.device)
    once = xp.astype(2 * k % n == 0, half.dtype)
    return xp.reshape(2 - once, (-1, *(1 for _ in half.shape[axis + 1 :])))
