"""Discrete Fourier transforms, of one axis or of several.

With ω = exp(-2πi/N), a transform is X_k = c Σ_j x_j ω^(jk), its inverse x_j = c' Σ_k X_k ω^(-jk).
N is the number of elements transformed, over all axes, and ``norm`` places the factor 1/N:

==============  ========  =========
norm            c         c'
==============  ========  =========
``"backward"``  1         1/N
``"ortho"``     1/√N      1/√N
``"forward"``   1/N       1
==============  ========  =========

If ``n`` (``s`` for several axes) differs from the length of an axis, the axis is cut or padded with
zeros. The spectrum of real numbers is symmetric, X_(N-k) = conj X_k, so ``rfft``, ``rfftn`` and
``ihfft`` return its first N // 2 + 1 elements only.
"""

import operator

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import foreign_errors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.fft.dft import _dft, _half_dft, _whole_dft
from tinyxp.ops.creation import asarray, astype
from tinyxp.ops.examples import complex_normal, normal
from tinyxp.ops.orders import roll
from tinyxp.ops.padding import pad
from tinyxp.ops.shaping import normalize_axes

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfftn", "rfft", "rfftfreq", "rfftn",
]  # fmt: skip

NORMS = ("backward", "ortho", "forward")


def _to_complex(x):
    if x.dtype.kind == "complex floating":
        return x
    return astype(x, dtypes.complex128 if x.dtype is dtypes.float64 else dtypes.complex64)


def _plan(x, s, axes, norm):
    """The axes to transform, from 0, and the new length of each (None: unchanged)."""
    if norm not in NORMS:
        raise ArgumentError(f"unknown norm {norm!r}; choose one of {', '.join(map(repr, NORMS))}")
    if s is not None and axes is None:
        raise ArgumentError(f"s={s!r} needs axes: which axes are to have these lengths?")
    axes = normalize_axes(axes, x.ndim)
    lengths = [-1] * len(axes) if s is None else [operator.index(n) for n in s]
    if len(lengths) != len(axes):
        raise ShapeError(f"s must name a length for each of the axes {axes}, got {s!r}")
    for axis, n in zip(axes, lengths, strict=True):
        if n < -1 or n == 0 or (n == -1 and x.shape[axis] == 0):
            n = x.shape[axis] if n == -1 else n
            raise ArgumentError(f"a transform needs at least one element, got {n} at axis {axis}")
    return axes, [None if n == -1 else n for n in lengths]


def _plan_last(x, s, axes, norm):
    """The result of ``_plan`` with the last axis and its length apart."""
    axes, lengths = _plan(x, s, axes, norm)
    if not axes:
        raise ShapeError("expected at least one axis to transform, got none")
    return axes[:-1], lengths[:-1], axes[-1], lengths[-1]


def _resize(x, lengths, axes):
    """x with each of ``axes`` cut or padded with zeros to its length."""
    if all(n in (None, x.shape[axis]) for n, axis in zip(lengths, axes, strict=True)):
        return x
    keep, margins = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for n, axis in zip(lengths, axes, strict=True):
        if n is not None:
            keep[axis] = slice(n)
            margins[axis] = (0, max(0, n - x.shape[axis]))
    x = x[tuple(keep)]
    return pad(x, tuple(margins)) if any(after for _, after in margins) else x


def _complex_transform(x, s, axes, norm, inverse):
    axes, lengths = _plan(x, s, axes, norm)
    x = _resize(_to_complex(x), lengths, axes)
    return _dft(x, axes=axes, norm=norm, inverse=inverse) if axes else x


def _real_transform(x, s, axes, norm, inverse):
    """The half spectrum over the last axis, then the whole spectrum over the others."""
    axes, lengths, last, n = _plan_last(x, s, axes, norm)
    x = x if x.dtype.kind == "real floating" else astype(x, dtypes.DEFAULT_FLOAT)
    x = _resize(x, (*lengths, n), (*axes, last))
    y = _half_dft(x, axis=last, norm=norm, inverse=inverse)
    return _dft(y, axes=axes, norm=norm, inverse=inverse) if axes else y


def _transform_to_real(x, s, axes, norm, inverse):
    """The complex transform over all axes but the last, then from the half spectrum in the last."""
    axes, lengths, last, n = _plan_last(x, s, axes, norm)
    n = 2 * (x.shape[last] - 1) if n is None else n
    if n == 0:
        raise ArgumentError(f"a spectrum of one element needs n=1, got shape {x.shape} without n")
    x = _resize(_to_complex(x), (*lengths, n // 2 + 1), (*axes, last))
    x = _dft(x, axes=axes, norm=norm, inverse=inverse) if axes else x
    return _whole_dft(x, n=n, axis=last, norm=norm, inverse=inverse)


def _as_lengths(n):
    return None if n is None else (n,)


@composite
def fft(x, /, *, n=None, axis=-1, norm="backward"):
    """X_k = c Σ_j x_j exp(-2πi jk/n) along ``axis``, complex.

    Shapes: (..., m, ...) -> (..., n, ...). A real x becomes complex first. Raises AxisError for an
    axis that does not exist, ArgumentError for an empty axis and for an unknown norm.

    >>> tx.fft.fft(tx.asarray([1.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    return _complex_transform(x, _as_lengths(n), (axis,), norm, False)


@composite
def ifft(x, /, *, n=None, axis=-1, norm="backward"):
    """x_j = c' Σ_k X_k exp(2πi jk/n) along ``axis``: the inverse of ``fft``.

    >>> tx.fft.ifft(tx.asarray([3.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    return _complex_transform(x, _as_lengths(n), (axis,), norm, True)


@composite
def fftn(x, /, *, s=None, axes=None, norm="backward"):
    """``fft`` over several axes or all, with the lengths ``s``.

    >>> tx.fft.fftn(tx.asarray([[1.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]], dtype=complex64)
    """
    return _complex_transform(x, s, axes, norm, False)


@composite
def ifftn(x, /, *, s=None, axes=None, norm="backward"):
    """``ifft`` over several axes or all: the inverse of ``fftn``.

    >>> tx.fft.ifftn(tx.asarray([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]], dtype=complex64)
    """
    return _complex_transform(x, s, axes, norm, True)


@composite(real=True)
def rfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The first n // 2 + 1 elements of ``fft`` of a real x; the others are their conjugates.

    Raises DTypeError for a complex x.

    >>> tx.fft.rfft(tx.asarray([1.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j], dtype=complex64)
    """
    return _real_transform(x, _as_lengths(n), (axis,), norm, False)


@composite
def irfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The n real numbers (by default 2 (m - 1)) whose ``rfft`` is x: (m) -> (n).

    An odd n must be given. The imaginary parts of X₀ and, for an even n, of X_(n/2) are ignored.

    >>> tx.fft.irfft(tx.asarray([3.0, 0.0]), n=3)
    tensor([1., 1., 1.])
    """
    return _transform_to_real(x, _as_lengths(n), (axis,), norm, True)


@composite(real=True)
def rfftn(x, /, *, s=None, axes=None, norm="backward"):
    """``rfft`` over the last of ``axes`` (None for all), then ``fft`` over the others.

    >>> tx.fft.rfftn(tx.asarray([[1.0, 0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j]], dtype=complex64)
    """
    return _real_transform(x, s, axes, norm, False)


@composite
def irfftn(x, /, *, s=None, axes=None, norm="backward"):
    """The real numbers of lengths ``s`` whose ``rfftn`` is x; the last is 2 (m - 1) by default.

    >>> tx.fft.irfftn(tx.asarray([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [1., 1.]])
    """
    return _transform_to_real(x, s, axes, norm, True)


@composite
def hfft(x, /, *, n=None, axis=-1, norm="backward"):
    """``fft`` of a symmetric signal, x_(n-j) = conj x_j, given by its first half; it is real.

    >>> tx.fft.hfft(tx.asarray([1.0, 0.0]), n=3)
    tensor([1., 1., 1.])
    """
    return _transform_to_real(x, _as_lengths(n), (axis,), norm, False)


@composite(real=True)
def ihfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The first half of ``ifft`` of a real x: the inverse of ``hfft``.

    >>> tx.fft.ihfft(tx.asarray([3.0, 0.0, 0.0])).real
    tensor([1., 1.])
    """
    return _real_transform(x, _as_lengths(n), (axis,), norm, True)


for _op in (fft, ifft, rfft, ihfft):
    _op.example(normal((2, 5)))
for _op in (fft, ifft, hfft, irfft):  # cut to n
    _op.example(complex_normal((4, 2), n=3, axis=0, norm="ortho"))
for _op in (fft, ifft, rfft, hfft, ihfft, irfft):  # padded to n
    _op.example(normal((2, 3), n=6, norm="forward"))
for _op in (hfft, irfft):
    _op.example(complex_normal((2, 3)))
for _op in (fftn, ifftn, rfftn, irfftn):
    _op.example(normal((2, 3)))
    _op.example(normal((3, 2, 3), s=(5, 2), axes=(-1, 0), norm="ortho"))


@composite
def fftshift(x, /, *, axes=None):
    """x with the frequency 0 moved to the middle of ``axes`` (None for all).

    >>> tx.fft.fftshift(tx.asarray([0, 1, 2, -2, -1]))
    tensor([-2, -1,  0,  1,  2])
    """
    axes = normalize_axes(axes, x.ndim)
    return roll(x, tuple(x.shape[i] // 2 for i in axes), axis=axes)


@composite
def ifftshift(x, /, *, axes=None):
    """The inverse of ``fftshift``.

    >>> tx.fft.ifftshift(tx.asarray([-2, -1, 0, 1, 2]))
    tensor([ 0,  1,  2, -2, -1])
    """
    axes = normalize_axes(axes, x.ndim)
    return roll(x, tuple(-(x.shape[i] // 2) for i in axes), axis=axes)


for _op in (fftshift, ifftshift):
    _op.example(normal((3, 5), axes=1))
    _op.example(normal((3, 4)))


def _frequencies(name, k, n, d, dtype, device):
    dtype = dtypes.as_dtype(dtype or dtypes.DEFAULT_FLOAT)
    if dtype.kind != "real floating":
        raise DTypeError(f"{name} makes real floating numbers, got {dtype!r}")
    if n < 1 or d == 0:
        raise ArgumentError(f"{name} expects n ≥ 1 samples at a distance d ≠ 0, got {n}, {d}")
    return asarray(k / (n * d), dtype=dtype, device=device)


def fftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of the n elements of ``fft``, 0, 1, …, -1 over n d, for a sample spacing d.

    >>> tx.fft.fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    with foreign_errors("fftfreq", n, d):
        k = np.arange(n)
        k = np.where(k < (n + 1) // 2, k, k - n)
        return _frequencies("fftfreq", k, n, d, dtype, device)


def rfftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of the n // 2 + 1 elements of ``rfft``: 0, 1, …, n // 2 over n d.

    >>> tx.fft.rfftfreq(4)
    tensor([0.  , 0.25, 0.5 ])
    """
    with foreign_errors("rfftfreq", n, d):
        return _frequencies("rfftfreq", np.arange(n // 2 + 1), n, d, dtype, device)
