"""The Fourier transforms against NumPy's: values, lengths, norms, dtypes, gradients, errors."""

import itertools

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tinyxp import backends
from tinyxp.errors import ArgumentError, AxisError, DTypeError, ShapeError

NORMS = ("backward", "ortho", "forward")
TAKE_COMPLEX = ("fft", "ifft", "irfft", "hfft")
TAKE_REAL = ("rfft", "ihfft")


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


@each("n", [None, 1, 2, 4, 5, 9])
@each("name", [*TAKE_COMPLEX, *TAKE_REAL])
def test_one_axis(name, n, backend):
    for wide, axis, norm in itertools.product((False, True), (0, 1, -1), NORMS):
        kinds = ("complex64", "complex128") if name in TAKE_COMPLEX else ("float32", "float64")
        x = numbers((3, 4, 5), kinds[wide])
        y = getattr(tx.fft, name)(tx.asarray(x), n=n, axis=axis, norm=norm)
        close(y, getattr(np.fft, name)(x, n=n, axis=axis, norm=norm))


@each(
    ("s", "axes"),
    [
        (None, None),
        (None, (1,)),
        (None, (2, 0)),
        ((6, 2), (0, -1)),
        ((2, -1, 7), (0, 1, 2)),
        ((5,), (-2,)),
    ],
)
@each("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_several_axes(name, s, axes, backend):
    kinds = ("float32", "float64") if name == "rfftn" else ("complex64", "complex128")
    for kind, norm in itertools.product(kinds, NORMS):
        x = numbers((3, 4, 5), kind)
        y = getattr(tx.fft, name)(tx.asarray(x), s=s, axes=axes, norm=norm)
        close(y, getattr(np.fft, name)(x, s=s, axes=axes, norm=norm))


def test_all_of_the_last_axis(backend):
    """-1 means all elements, of which irfftn makes 2 (m - 1), while NumPy makes m."""
    x = numbers((3, 4), "complex128")
    close(tx.fft.irfftn(tx.asarray(x), s=(3, -1), axes=(0, 1)), np.fft.irfftn(x))


@pytest.mark.parametrize("name", TAKE_COMPLEX)
def test_real_numbers_become_complex(name, backend):
    for kind in ("float32", "float64"):
        x = numbers((4,), kind)
        close(getattr(tx.fft, name)(tx.asarray(x)), getattr(np.fft, name)(x))
    y = getattr(tx.fft, name)(tx.asarray([1, 2, 3]))
    assert y.dtype in (tx.complex64, tx.float32)


def test_integers_become_float32(backend):
    assert tx.fft.rfft(tx.asarray([1, 2, 3])).dtype is tx.complex64


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_inverses(n, backend):
    z, x = numbers((2, n), "complex128"), numbers((2, n), "float64")
    for norm in NORMS:
        close(tx.fft.ifft(tx.fft.fft(tx.asarray(z), norm=norm), norm=norm), z)
        close(tx.fft.ifftn(tx.fft.fftn(tx.asarray(z), norm=norm), norm=norm), z)
        close(tx.fft.irfft(tx.fft.rfft(tx.asarray(x), norm=norm), n=n, norm=norm), x)
        close(tx.fft.hfft(tx.fft.ihfft(tx.asarray(x), norm=norm), n=n, norm=norm), x)
        whole = {"s": (2, n), "axes": (0, 1), "norm": norm}
        close(tx.fft.irfftn(tx.fft.rfftn(tx.asarray(x), norm=norm), **whole), x)


def test_a_batch_of_none(backend):
    """An empty batch, which PyTorch's library cannot transform."""
    x = tx.zeros((0, 4), dtype=tx.float64)
    assert tx.fft.fft(x).shape == (0, 4)
    assert tx.fft.rfft(x).shape == (0, 3) and tx.fft.rfft(x).dtype is tx.complex128
    assert tx.fft.irfft(x).shape == (0, 6) and tx.fft.irfft(x).dtype is tx.float64


def test_a_number_has_no_axes_to_transform(backend):
    z = tx.asarray(1 + 2j)
    assert tx.fft.fftn(z).item() == 1 + 2j
    with pytest.raises(ShapeError, match="at least one axis to transform"):
        tx.fft.rfftn(tx.asarray(1.0))


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1)])
def test_shifts(axes, backend):
    x = numbers((4, 5), "float32")
    close(tx.fft.fftshift(tx.asarray(x), axes=axes), np.fft.fftshift(x, axes=axes))
    close(tx.fft.ifftshift(tx.asarray(x), axes=axes), np.fft.ifftshift(x, axes=axes))


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_frequencies(n, backend):
    for dtype in (tx.float32, tx.float64):
        expected = np.fft.fftfreq(n, d=0.3).astype(dtype.name)
        close(tx.fft.fftfreq(n, d=0.3, dtype=dtype), expected)
        expected = np.fft.rfftfreq(n, d=0.3).astype(dtype.name)
        close(tx.fft.rfftfreq(n, d=0.3, dtype=dtype), expected)
    assert tx.fft.fftfreq(n).dtype is tx.float32
    assert tx.fft.fftfreq(n, device=tx.zeros(1).device).backend is backends.current()


def test_one_operation_on_the_tape_in_either_direction(pulls):
    """The gradient of a transform is one transform, not several smaller steps."""
    x = tx.asarray(numbers((8,), "complex128"), requires_grad=True)
    tx.fft.fft(x).backward(tx.ones(8, dtype=tx.complex128))
    assert pulls == ["dft"]
    np.testing.assert_allclose(x.grad.numpy(), 8 * (np.arange(8) == 0), atol=1e-12)


def test_the_gradient_of_a_real_signal_is_real(backend):
    x = tx.asarray(numbers((2, 5), "float32"), requires_grad=True)
    tx.sum(tx.abs(tx.fft.rfft(x, n=7)) ** 2).backward()
    assert x.grad.dtype is tx.float32 and x.grad.shape == (2, 5)


@each("n", range(1, 8))
@each("name", [*TAKE_COMPLEX, *TAKE_REAL])
def test_gradient_for_every_length(name, n):
    """Even and odd lengths, cut and padded, up to the third order."""
    kind = "complex128" if name in TAKE_COMPLEX else "float64"
    x = tx.asarray(numbers((4,), kind))
    f = getattr(tx.fft, name)
    tx.gradcheck(lambda x: f(x * x, n=n, norm=NORMS[n % 3]), x, order=3)


@each(
    ("call", "kind", "text"),
    [
        (lambda x: tx.fft.fft(x, axis=2), AxisError, "axis 2 does not exist"),
        (lambda x: tx.fft.fft(x, n=0), ArgumentError, "at least one element, got 0 at axis 1"),
        (lambda x: tx.fft.irfft(x, n=-3), ArgumentError, "at least one element, got -3"),
        (lambda x: tx.fft.fft(x, norm="orto"), ArgumentError, "choose one of 'backward', 'ortho'"),
        (lambda x: tx.fft.fft(x, n=2.5), DTypeError, "fft cannot take"),
        (lambda x: tx.fft.fftn(x, s=(2,)), ArgumentError, "needs axes"),
        (lambda x: tx.fft.fftn(x, s=(2,), axes=(0, 1)), ShapeError, "a length for each"),
        (lambda x: tx.fft.fftn(x, axes=(0, 0)), ShapeError, "axes must differ"),
        (lambda x: tx.fft.irfft(x[:, :1]), ArgumentError, "needs n=1"),
        (lambda x: tx.fft.fft(x[:, :0]), ArgumentError, "at least one element, got 0"),
        (lambda x: tx.fft.rfft(tx.fft.fft(x)), DTypeError, "rfft is for real numbers"),
        (lambda x: tx.fft.fft([1.0, 2.0]), DTypeError, "fft expects Tensors, got list"),
        (lambda x: tx.fft.fftfreq(0), ArgumentError, "n ≥ 1"),
        (lambda x: tx.fft.fftfreq(4, d=0.0), ArgumentError, "d ≠ 0"),
        (lambda x: tx.fft.fftfreq("4"), DTypeError, "fftfreq cannot take"),
        (lambda x: tx.fft.rfftfreq(4, dtype=tx.int64), DTypeError, "real floating numbers"),
    ],
)
def test_errors(call, kind, text, backend):
    with pytest.raises(kind, match=text):
        call(tx.ones((3, 4)))
