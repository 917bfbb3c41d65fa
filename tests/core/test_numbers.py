"""Numbers that a dtype does not hold, and tensors of one element where Python takes numbers."""

import math
import operator
import subprocess
import sys

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import nn
from tinyxp.core.exchange import import_array
from tinyxp.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    ExportError,
    GradientError,
    ShapeError,
    TinyError,
)

NAN, INF = float("nan"), float("inf")
F = nn.functional
SPANS = {
    "int8": (-128, 127),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 255),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def assigned(dtype, value, key):
    x = tx.ones(3, dtype=dtype)
    x[key] = value
    return x[0]


WRITTEN = {  # ways by which a number n becomes an element of a tensor of dtype t
    "asarray": lambda n, t: tx.asarray([[n]], dtype=t)[0, 0],
    "asarray of a number": lambda n, t: tx.asarray(n, dtype=t),
    "tensor": lambda n, t: tx.tensor([n], dtype=t)[0],
    "Tensor": lambda n, t: tx.Tensor([n], dtype=t)[0],
    "full": lambda n, t: tx.full(2, n, dtype=t)[0],
    "full_like": lambda n, t: tx.full_like(tx.ones(2, dtype=t), n)[0],
    "x[0]": lambda n, t: assigned(t, n, 0),
    "x[:]": lambda n, t: assigned(t, [n, 1, 1], slice(None)),
    "x[mask]": lambda n, t: assigned(t, n, tx.asarray([True, False, False])),
    "x[[0]]": lambda n, t: assigned(t, n, [0]),
    "setitem": lambda n, t: tx.setitem(tx.ones(2, dtype=t), 0, n)[0],
}
INTEGERS = {
    "where": lambda n, t: tx.where(tx.asarray([True, False]), n, tx.ones(2, dtype=t))[0],
    "masked_fill": lambda n, t: tx.ones(2, dtype=t).masked_fill(tx.asarray([True, True]), n)[0],
    "pad": lambda n, t: tx.pad(tx.ones(2, dtype=t), 1, constant_values=n)[0],
    "F.pad": lambda n, t: F.pad(tx.ones(2, dtype=t), (1, 1), value=n)[0],
    "x + n": lambda n, t: tx.zeros((), dtype=t) + n,
    "n + x": lambda n, t: n + tx.zeros((), dtype=t),
    "arange": lambda n, t: tx.arange(n, n + 1, dtype=t)[0],
}


@each("dtype", SPANS)
def test_the_ends_of_a_span_and_what_lies_beyond(dtype, backend):
    t = getattr(tx, dtype)
    low, high = SPANS[dtype]
    for way in (WRITTEN | INTEGERS).values():
        for n in (low, high, 1):
            if way is INTEGERS["arange"] and abs(n) > 2**62:
                continue  # in floating point on some libraries
            assert way(n, t).item() == n
        for n in (low - 1, high + 1):
            with pytest.raises(TinyError):
                way(n, t)


@each("way", WRITTEN)
def test_nan_and_infinity_are_no_integers(way, backend):
    for n in (NAN, INF, -INF, 1e30):
        for t in (tx.int32, tx.int64, tx.uint8):
            with pytest.raises((ArgumentError, DTypeError)):
                WRITTEN[way](n, t)


ALSO = {
    "a NumPy number": lambda: tx.asarray(np.int64(300), dtype=tx.uint8),
    "a NumPy number in a list": lambda: tx.asarray([np.int64(300)], dtype=tx.uint8),
    "a range": lambda: tx.asarray(range(299, 301), dtype=tx.uint8),
    "x[0] of a NumPy number": lambda: assigned(tx.uint8, np.int64(300), 0),
    "a float too large": lambda: tx.asarray([300.0], dtype=tx.uint8),
    "a complex number": lambda: tx.asarray([1j], dtype=tx.float32),
    "full of a complex number": lambda: tx.full(2, 1j, dtype=tx.float32),
    "linspace": lambda: tx.linspace(0, 300, 3, dtype=tx.uint8),
    "arange": lambda: tx.arange(250, 260, dtype=tx.uint8),
    "arange downwards": lambda: tx.arange(2, -3, -1, dtype=tx.uint8),
    "clip": lambda: tx.clip(tx.ones(2, dtype=tx.uint8), -1, 5),
    "pad of NaN": lambda: tx.pad(tx.ones(2, dtype=tx.int32), 1, constant_values=NAN),
    "masked_fill of NaN": lambda: tx.ones(1, dtype=tx.int32).masked_fill(tx.asarray(True), NAN),
    "ConstantPad1d": lambda: nn.ConstantPad1d(1, 300)(tx.ones((1, 2), dtype=tx.uint8)),
    "constant_": lambda: nn.init.constant_(tx.zeros(2, dtype=tx.uint8), 300),
    "maximum": lambda: tx.maximum(tx.ones(2, dtype=tx.uint8), 300),
    "x < n": lambda: tx.ones(2, dtype=tx.uint8) < 300,
    "x == n": lambda: tx.ones(2, dtype=tx.uint8) == -1,
    "x // n": lambda: tx.ones(2, dtype=tx.uint8) // 300,
    "x % n": lambda: tx.ones(2, dtype=tx.uint8) % -1,
    "x & n": lambda: tx.ones(2, dtype=tx.uint8) & 300,
    "x ** n": lambda: tx.ones(2, dtype=tx.uint8) ** 300,
    "x += n": lambda: operator.iadd(tx.ones(2, dtype=tx.uint8), 300),
    "one_hot": lambda: F.one_hot(tx.asarray([0, 5]), 3),
    "no dtype": lambda: tx.asarray(2**64),
}


@each("name", ALSO)
def test_also_refused(name, backend):
    with pytest.raises((ArgumentError, DTypeError, IndexError)):
        ALSO[name]()


def test_what_is_held_stays(backend):
    assert tx.asarray([1.9, -1.9], dtype=tx.int32).tolist() == [1, -1]
    assert tx.asarray([-0.5], dtype=tx.uint8).tolist() == [0]
    assert tx.arange(0, 300, 100, dtype=tx.uint8).tolist() == [0, 100, 200]
    assert tx.astype(tx.asarray([300]), tx.uint8).tolist() == [44]  # a cast was asked for
    assert (tx.asarray([1, 2], dtype=tx.uint8) + 1.5).dtype is tx.float32
    assert tx.asarray([2, 0], dtype=tx.bool).tolist() == [True, False]


# -- tensors as numbers ---------------------------------------------------------------------------


def test_formats(backend):
    x, n = tx.asarray(1.25, requires_grad=True), tx.asarray(7)
    assert (f"{x:.1f} {x:>6} {x}", f"{n:03d}{n}") == ("1.2   1.25 1.25", "0077")
    assert (f"{x * 2:.2e}", f"{x:.2f} {n:d}", f"{n:.2f}") == ("2.50e+00", "1.25 7", "7.00")
    assert f"{tx.asarray([2.5]):.2f}" == "2.50"
    v = tx.asarray([1.0, 2.0])
    assert f"{v}" == str(v)
    with pytest.raises(DTypeError, match=r"'\.2f'.*\(2,\)"):
        f"{v:.2f}"
    with pytest.raises(ValueError, match="format code"):
        f"{x:d}"


def test_numbers_that_python_takes(backend):
    x, n = tx.asarray(2.5), tx.asarray(2)
    items = ["a", "b", "c", "d"]
    assert [*range(n)] == [0, 1]
    assert (items[n], items[n:], items[: tx.asarray([1])], "ab" * n, n * [0]) == (
        "c", ["c", "d"], ["a"], "abab", [0, 0],
    )  # fmt: skip
    assert (round(x), round(x * 1.01, 1), math.trunc(-x), math.floor(x)) == (2, 2.5, -2, 2)
    assert (math.sqrt(n * n), math.isclose(x, 2.5), int(x), complex(x)) == (2.0, True, 2, 2.5)
    assert [part.tolist() for part in divmod(tx.asarray([7, -7]), n)] == [[3, -4], [1, 1]]
    assert [part.item() for part in divmod(7, n)] == [3, 1]
    assert tx.arange(9)[n : tx.asarray(8) : n].tolist() == [2, 4, 6]
    assert tx.zeros((n, 3)).shape == tx.zeros(6).reshape(n, 3).shape == (2, 3)
    assert tx.full((2,), x).tolist() == [2.5, 2.5]
    assert tx.full((1,), tx.asarray(2.0, dtype=tx.float64)).dtype is tx.float64
    assert tx.arange(x).tolist() == tx.linspace(tx.asarray(0.0), n, 3).tolist() == [0.0, 1.0, 2.0]
    assert (sum([x, x]).item(), max([x, tx.asarray(3.0)]).item()) == (5.0, 3.0)


@each(
    ("kind", "call"),
    [
        (ShapeError, lambda: round(tx.ones(2))),
        (ArgumentError, lambda: round(tx.asarray(NAN))),
        (ArgumentError, lambda: math.trunc(tx.asarray(INF))),
        (DTypeError, lambda: range(tx.asarray(1.5))),
        (DTypeError, lambda: [1, 2][tx.asarray(1.0)]),
        (DTypeError, lambda: tx.asarray(1.5) * [1]),
        (DTypeError, lambda: tx.ones(2) * [1, 2]),
        (DTypeError, lambda: tx.ones(2) == [1, 2]),
        (DTypeError, lambda: tx.ones(2) + None),
        (DTypeError, lambda: None in tx.ones(2)),
        (GradientError, lambda: tx.full(2, tx.asarray(1.0, requires_grad=True))),
    ],
)
def test_what_is_no_number(kind, call, backend):
    with pytest.raises(kind):
        call()


def test_none_and_text_are_never_equal(backend):
    x = tx.asarray([1, 2])
    assert (x == None, x != None, x == "a", None in [x], "a" in [x]) == (  # noqa: E711
        False, True, False, False, False,
    )  # fmt: skip
    assert (1 in x, 3 in x, tx.asarray(2) in x) == (True, False, True)


def test_another_type_may_know_what_to_do_with_a_tensor():
    class Unit:
        def __radd__(self, x):
            return "added"

        __rmul__ = __rmatmul__ = __gt__ = __radd__

    x = tx.ones(2)
    assert (x + Unit(), x * Unit(), x @ Unit(), x < Unit()) == ("added",) * 4
    for call in (lambda: x - Unit(), lambda: Unit() + x, lambda: x > object()):
        with pytest.raises(TypeError):
            call()


def test_lists_of_tensors(backend):
    """Tensors without axes are numbers in a list; gradients flow back to them."""
    a, b = tx.asarray(1.0, requires_grad=True), tx.asarray(2.0)
    x = tx.asarray([[a, b], [a * 3, 4]])
    assert (x.tolist(), x.dtype) == ([[1.0, 2.0], [3.0, 4.0]], tx.float32)
    (x * tx.asarray([[1.0, 2.0], [10.0, 20.0]])).sum().backward()
    assert a.grad.item() == 31.0
    assert tx.tensor([b, 1, tx.asarray(3)]).tolist() == [2.0, 1.0, 3.0]
    assert tx.asarray([tx.asarray(1), 2]).dtype is tx.int64
    assert tx.asarray([tx.asarray(1), 2.5]).dtype is tx.float32
    assert tx.asarray([tx.asarray(1.0, dtype=tx.float64), b]).dtype is tx.float64
    assert tx.asarray([b, b], dtype=tx.float64).dtype is tx.float64
    y = tx.zeros(2)
    y[:] = [b, 5]
    assert y.tolist() == [2.0, 5.0]
    with pytest.raises(GradientError, match="detach"):
        tx.tensor([a, b])
    for bad in ([tx.ones(2), tx.ones(2)], [b, "a"], [b, None]):
        with pytest.raises(DTypeError, match=r"tx\.stack"):
            tx.asarray(bad)
    for bad in ([[b], [b, b]], [b, [b]]):
        with pytest.raises(ShapeError):
            tx.asarray(bad)


# -- gradients that are assigned ------------------------------------------------------------------


def test_an_assigned_gradient_fits(backend):
    x = tx.ones((2, 3)).requires_grad_()
    g = tx.ones((2, 3))
    x.grad = g
    assert x.grad is g
    for kind, bad in (
        (ShapeError, tx.ones(6)),
        (ShapeError, tx.ones((3, 2))),
        (DTypeError, tx.ones((2, 3), dtype=tx.float64)),
        (DTypeError, 0),
        (DTypeError, np.ones((2, 3), np.float32)),
        (GradientError, x),
    ):
        with pytest.raises(kind):
            x.grad = bad
        assert x.grad is g
    with pytest.raises(BackendError):
        x.grad = g.to("numpy" if backend != "numpy" else "strict")
    x.grad = None
    assert x.grad is None


# -- other libraries ------------------------------------------------------------------------------


def test_tensors_of_pytorch_that_cannot_be_handed_over():
    torch = pytest.importorskip("torch")
    with pytest.raises(GradientError, match="detach"):
        import_array(torch.ones(2, requires_grad=True), np.from_dlpack)
    with pytest.raises(ExportError, match="DLPack"):
        import_array(torch.ones(2, dtype=torch.bfloat16), np.from_dlpack)
    assert import_array(torch.ones(2), np.from_dlpack).tolist() == [1.0, 1.0]


def test_scipy_without_its_variable_is_told_of_it(monkeypatch):
    pytest.importorskip("scipy")
    program = (
        "import tinyxp as tx, scipy.special, scipy.fft\n"
        "x = tx.asarray([1.0, 2.0], requires_grad=True)\n"
        "for f in (scipy.special.logsumexp, scipy.fft.fft):\n"
        "    try: f(x)\n"
        "    except tx.errors.TinyError as error: print('SCIPY_ARRAY_API=1' in str(error))\n"
        "try: x.numpy()\n"
        "except tx.errors.TinyError as error: print('SCIPY' in str(error))\n"
    )
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "False"], done.stderr


@pytest.mark.parametrize("shape", [(2,), (0,), (2, 1)])
def test_several_elements_are_no_number(shape):
    """Each conversion names itself; and the truth of many says how one asks for it."""
    x = tx.zeros(shape)
    with pytest.raises(ShapeError, match=r"truth of a tensor of shape \(.*use tx.any or tx.all"):
        bool(x > 0)
    for kind in (float, int, complex, round):
        with pytest.raises(ShapeError, match=rf"^{kind.__name__}\(\) expects a tensor of one elem"):
            kind(x)
    assert bool(tx.ones((1, 1))) and round(tx.asarray(2.345), 1) == pytest.approx(2.3)
