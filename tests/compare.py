"""How tests compare numbers. Each name has one meaning, and every test file imports it from here.

``difference``           how one array differs from another, in words, or None
``differences``          those of nested results, each with its place
``close``                asserts that results differ by no more than a tolerance
``same``                 asserts that results have the same bits
``value_and_gradients``  the results of a function and the gradients by its operands
``use_kernels``          puts a table of kernels in place of a backend's own
``as_one``               a kernel and those that are asked after it, as one
``formulas``             a backend without its kernels
``agree_with_formula``   asserts that kernels give what the formulas give
``agree_with_numpy``     asserts that the backend in use gives what NumPy's gives

Tests against PyTorch use ``agree`` of tests/nn/pytorch.py.
"""

import contextlib

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import backends
from tinyxp.backends import Kernel

# by the precision of a dtype, relative to the largest element
TOLERANCES = {"float64": 1e-11, "complex128": 1e-11, "float32": 2e-4, "complex64": 2e-4}


def numbers(x):
    """The NumPy array of a tensor, ours or PyTorch's; an array or a number as an array."""
    if isinstance(x, tx.Tensor):
        return x.detach().numpy()
    if hasattr(x, "resolve_conj"):  # PyTorch's
        return x.numpy(force=True)
    return np.asarray(x)


def difference(found, expected, tolerance=0.0, floor=1.0):
    """How ``found`` differs from ``expected`` in dtype, shape or numbers; None if it does not.

    The tolerance is relative to the largest element of ``expected``, or to ``floor`` where all
    are smaller. NaN equals NaN. Without a tolerance the signs of zeros count, too.
    """
    a, b = numbers(found), numbers(expected)
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} instead of {b.dtype} {b.shape}"
    if a.size == 0:
        return None
    if not tolerance or a.dtype.kind not in "fc":
        wrong = different_bits(a, b)
    else:
        with np.errstate(invalid="ignore"):  # inf - inf
            error, largest = np.abs(a - b).max(), np.abs(b).max()
        if np.isfinite(largest) and error <= tolerance * max(largest, floor):
            return None
        largest = np.abs(np.where(np.isfinite(b), b, 0)).max()
        margin = tolerance * max(largest, floor)
        wrong = ~np.isclose(a, b, rtol=0, atol=margin, equal_nan=True)
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{a[place]} instead of {b[place]} at {place} ({wrong.sum()} of {a.size})"


def different_bits(a, b):
    """Where two arrays differ; one NaN is like another."""
    if a.dtype.kind == "c":
        return different_bits(a.real, b.real) | different_bits(a.imag, b.imag)
    wrong = a != b
    if a.dtype.kind in "fV":  # V: ml_dtypes' bfloat16
        wrong = np.where(np.isnan(b), ~np.isnan(a), wrong | (np.signbit(a) != np.signbit(b)))
    return wrong


def differences(found, expected, tolerance=0.0, place="", floor=1.0):
    """Those of two trees of lists, tuples and dicts: "[0]['x']: 1.0 instead of 2.0 at (3,) …".

    A tolerance of None is that of the precision, TOLERANCES; integers must be equal.
    """
    if isinstance(expected, (dict, list, tuple)):
        if not isinstance(found, (dict, list, tuple)) or len(found) != len(expected):
            return [f"{place}: {found!r} instead of {expected!r}"]
        keys = list(expected) if isinstance(expected, dict) else range(len(expected))
        if isinstance(expected, dict) and list(found) != keys:
            return [f"{place}: the keys {list(found)} instead of {keys}"]
        return [
            text
            for key in keys
            for text in differences(
                found[key], expected[key], tolerance, f"{place}[{key!r}]", floor
            )
        ]
    if tolerance is None:
        tolerance = TOLERANCES.get(numbers(expected).dtype.name, 0.0)
    text = difference(found, expected, tolerance, floor)
    return [] if text is None else [f"{place}: {text}" if place else text]


def close(found, expected, tolerance=None, what="", floor=1.0):
    """``found``, nested as ``expected``, has its dtypes and shapes, and its numbers up to the
    tolerance: that of the precision, TOLERANCES, unless one is given."""
    wrong = differences(found, expected, tolerance, what, floor)
    assert not wrong, "\n".join(wrong[:10])


def same(found, expected, what=""):
    """``found``, nested as ``expected``, has the same bits; one NaN is like another."""
    wrong = differences(found, expected, 0.0, what)
    assert not wrong, "\n".join(wrong[:10])


def weights(shape, i=0):
    """Those of result ``i``: quarters, which 16 bits hold exactly."""
    return np.random.default_rng(9 + i).integers(-8, 9, size=shape) / 4


def value_and_gradients(f, operands):
    """NumPy arrays: the results of ``f``, and the gradients of Σ weights · results by each
    floating array or tensor among its operands.

    The gradient of an operand that no result depends on is zeros.
    """
    xs = [tx.asarray(x) if isinstance(x, np.ndarray) else x for x in operands]
    xs = [x.detach() if isinstance(x, tx.Tensor) else x for x in xs]
    leaves = [x for x in xs if isinstance(x, tx.Tensor) and x.dtype.kind.endswith("floating")]
    for x in leaves:
        x.requires_grad_()
    ys = f(*xs)
    ys = [y for y in (ys if isinstance(ys, (list, tuple)) else [ys]) if y is not None]
    recorded = [y for y in ys if y.requires_grad]
    sums = [tx.asarray(weights(y.shape, i), dtype=y.dtype) for i, y in enumerate(recorded)]
    grads = []
    if recorded:
        found = tx.autograd.grad(recorded, leaves, sums, allow_unused=True)
        zeros = [tx.zeros_like(x.detach()) for x in leaves]
        grads = [z if g is None else g for g, z in zip(found, zeros, strict=True)]
    return [numbers(x) for x in (*ys, *grads)]


def use_kernels(patch, table, backend="numpy"):
    """Put the kernels and functions of a table in place of the backend's own."""
    own = backends.get(backend).__dict__
    kernels = {name: x for name, x in table.items() if isinstance(x, Kernel)}
    patch.setitem(own, "kernels", kernels)
    patch.setitem(own, "functions", {name: table[name] for name in table.keys() - kernels.keys()})


def as_one(kernel):
    """A kernel and those after it as one, to be called by itself."""
    if kernel.next is None:
        return kernel

    def forward(*arrays, **static):
        result = kernel.accept(arrays, static)
        if result is NotImplemented:
            return NotImplemented
        y, residuals, own = result
        return y, (own, residuals)

    def vjp(g, residuals, needs):
        own, kept = residuals
        return own.vjp(g, kept, needs)

    return Kernel(forward, vjp)


@contextlib.contextmanager
def formulas(backend="numpy"):
    """The backend of that name in use, without its kernels: composites run as their formulas."""
    with tx.backend(backend), pytest.MonkeyPatch.context() as patch:
        use_kernels(patch, {}, backend)
        yield


def agree_with_formula(f, arrays, tolerance, what=""):
    """The results and gradients of ``f`` on the backend in use, by its kernels, are those of the
    formulas on NumPy."""
    found = value_and_gradients(f, arrays)
    with formulas():
        expected = value_and_gradients(f, arrays)
    close(found, expected, tolerance, what)


def agree_with_numpy(f, arrays, tolerance=1e-12, what=""):
    """The results and gradients of ``f`` on the backend in use are NumPy's; returns them."""
    found = value_and_gradients(f, arrays)
    with tx.backend("numpy"):
        close(found, value_and_gradients(f, arrays), tolerance, what)
    return found
